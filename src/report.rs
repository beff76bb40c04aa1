//! What people read.
//!
//! A [`Report`] is typed and stored; [`render`] turns it into every form that a subscriber may want when it is published.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::incident::{Incident, Outcome};
use crate::policy::Mode;

mod chat;
mod digest;
mod email;
mod fault;
mod left_over;
mod limits;
mod links;
mod machine;
mod message;
pub mod policy_problem;
pub mod redact;
#[cfg(test)]
pub(crate) mod samples;
mod story;
mod subject;
#[cfg(test)]
mod tests;
pub mod timeline;
mod words;

pub use chat::{Content, DESCRIPTION_MAX, Envelope, Metadata};
pub use digest::{MachineDigest, MachineRow, OpenBreaker, SharedFactor, digest_line, render_digest};
pub use fault::Fault;
pub use limits::WHOLE_MAX;
pub use machine::{Command, Evidence, Machine, Step};
pub use message::{Message, StackInfo, render};
pub use subject::{SMS_MAX, SUBJECT_MAX};
pub use timeline::line;
pub use words::Severity;

/// A report, typed: the incident as it stood, and what the report is for. It is rendered when it is published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What it is for.
    pub kind: ReportKind,
    /// When it was decided.
    pub at: Timestamp,
    /// The mode that the deployment ran in.
    pub mode: Mode,
    /// The incident as it stood.
    pub incident: Arc<Incident>,
}

/// What a report is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// The incident ended.
    Ended,
    /// It rests until a person comes.
    NeedsHuman,
    /// It still rests; once a day.
    Reminder,
    /// A remedy waits for the approval of a person.
    NeedsApproval,
}

impl Report {
    /// The outcome that the report carries.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.kind {
            ReportKind::NeedsApproval => Outcome::Blocked,
            ReportKind::Ended | ReportKind::NeedsHuman | ReportKind::Reminder => {
                self.incident.ending().map_or(Outcome::NeedsHuman, crate::incident::Ending::outcome)
            }
        }
    }
}
