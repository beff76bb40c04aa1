//! Evidence becomes findings, and findings become one cause.

use serde::{Deserialize, Serialize};

use crate::observe::Findings;

mod advice;
pub mod allowed;
mod cause;
pub mod check_line;
pub mod console_view;
pub mod ecs_view;
mod finding;
pub mod iam;
pub mod identity;
pub mod path;
pub mod platform;
mod rank;
pub mod registration;
pub mod ssm_view;
pub mod text;

pub use advice::{advice, name, please, reboot_helps, restart_agent_helps, sentence};
pub use cause::{Cause, Family, NoSuchCause};
pub use check_line::{Agents, CheckLine, Mark};
pub use finding::{Channel, Finding, Severity};
pub use rank::diagnose;

/// What the evidence says, all together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// The one cause.
    pub cause: Cause,
    /// How sure, in percent.
    pub confidence: u8,
    /// What else it could be.
    pub also: Vec<Cause>,
    /// The evidence, the weightiest first.
    pub findings: Findings,
}

/// Whether something helps against a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Helps {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// Once the cause itself has been removed.
    AfterFix,
    /// Nobody knows.
    Unknown,
}
