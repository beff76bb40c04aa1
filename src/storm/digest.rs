//! One message about many nodes, typed and stored; it is rendered when it is published.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Gather;
use crate::diagnose::Cause;
use crate::guard::breaker::TripReason;
use crate::incident::held::Ghost;
use crate::incident::{IncidentId, Outcome};
use crate::node::{AccountId, CommandId, DisplayName, DocumentName, NodeId, Region};
use crate::observe::Factor;
use crate::policy::Mode;
use crate::policy::standing::News;

/// Rows that are kept of a digest; the rest is counted.
pub const ROWS_MAX: usize = 200;

/// Names a digest: what it is about, when that began, and how often it was told. Repeats carry the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DigestId {
    /// What kind of digest.
    pub kind: DigestKind,
    /// When what it tells of began.
    pub since: Timestamp,
    /// Tells apart what began at the same moment.
    pub index: u32,
    /// Counts the digests about it, from 1.
    pub n: u32,
}

/// What a digest is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestKind {
    /// Many nodes at once, or remedies that do not help: the breaker is open, or nodes wait for a place.
    Storm,
    /// Nodes that have something in common failed together.
    SharedCause,
    /// One Run Command failed on many nodes.
    Command,
    /// What was dead long before Defib first looked.
    Baseline,
    /// The policy document cannot be used, or can be used again.
    Policy,
    /// Container instances are registered whose EC2 instances are gone.
    Ghosts,
}

/// A message about many nodes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Digest {
    /// Its name.
    pub id: DigestId,
    /// When it was decided.
    pub at: Timestamp,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The mode that the deployment ran in.
    pub mode: Mode,
    /// Whether what it tells of is over.
    pub over: bool,
    /// Why the breaker is open, and until when.
    pub trips: Vec<(TripReason, Timestamp)>,
    /// What the nodes share.
    pub factor: Option<Factor>,
    /// The command, and its document.
    pub command: Option<(CommandId, Option<DocumentName>)>,
    /// What there is to tell of the policy document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<News>,
    /// Container instances whose EC2 instances are gone, at most [`ROWS_MAX`].
    #[serde(default, skip_serializing_if = "no_ghosts")]
    pub ghosts: Arc<[Ghost]>,
    /// Nodes in the account and region.
    pub fleet: u32,
    /// Nodes with an open incident of it.
    pub open: u32,
    /// Nodes that wait for a place.
    pub waiting: u32,
    /// What became of single nodes since the digest before, at most [`ROWS_MAX`].
    pub rows: Arc<[Row]>,
    /// Rows that did not fit.
    pub more: u32,
}

fn no_ghosts(ghosts: &Arc<[Ghost]>) -> bool {
    ghosts.is_empty()
}

/// What became of one node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The node.
    pub node: NodeId,
    /// Its `Name` tag.
    pub name: Option<DisplayName>,
    /// Its incident; none where none was opened.
    pub incident: Option<IncidentId>,
    /// How that ended, or for what it rests; none while it goes on.
    pub outcome: Option<Outcome>,
    /// Its cause, once known.
    pub cause: Option<Cause>,
}

impl DigestKind {
    /// The word in code, JSON and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storm => "storm",
            Self::SharedCause => "shared-cause",
            Self::Command => "command",
            Self::Baseline => "baseline",
            Self::Policy => "policy",
            Self::Ghosts => "ghosts",
        }
    }

    /// What an episode is told as.
    #[must_use]
    pub fn of(about: &Gather) -> Self {
        match about {
            Gather::Storm => Self::Storm,
            Gather::Shared(_) => Self::SharedCause,
            Gather::Command(_) => Self::Command,
        }
    }
}

impl DigestId {
    /// The thread that it belongs to: the same for every digest of one episode.
    #[must_use]
    pub fn thread(&self) -> String {
        let at = jiff::tz::Offset::UTC.to_datetime(self.since);
        let (year, month, day) = (at.year(), at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        let index = if self.index > 0 { format!("-{}", self.index) } else { String::new() };
        let kind = self.kind.as_str();
        format!("{kind}-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z{index}")
    }
}

impl fmt::Display for DigestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.thread(), self.n)
    }
}
