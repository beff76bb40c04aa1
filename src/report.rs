//! What people read.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::incident::{Incident, Outcome};
use crate::policy::Mode;

pub mod redact;

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
