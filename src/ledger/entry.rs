//! What the list of open incidents says of each: enough to know what else is going on without reading every record.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::guard::Refusal;
use crate::guard::shared::Peer;
use crate::incident::{Incident, Phase};
use crate::storm::{Around, Bulletin};

/// One open incident, in short.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// What others need to know of it.
    pub peer: Peer,
    /// What it asks for now.
    pub load: Load,
    /// When it wants to be looked at again.
    pub wake_at: Option<Timestamp>,
}

/// What an open incident asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Load {
    /// A look, in its hold-down.
    Watched,
    /// A place: it waits for others to end.
    Parked,
    /// Work.
    Driven,
    /// Nothing before a person comes.
    Resting,
}

impl Entry {
    /// What the list says of an incident.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let load = match &incident.phase {
            Phase::Watching { .. } => Load::Watched,
            Phase::Parked { refusal: Refusal::ActiveIncidents { .. }, .. } => Load::Parked,
            Phase::Parked { .. }
            | Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => Load::Driven,
            Phase::Resting { .. } | Phase::Closed { .. } => Load::Resting,
        };
        Self { peer: Peer::of(incident), load, wake_at: incident.wake_at }
    }
}

/// What passes are told of everything else.
#[must_use]
pub fn around(bulletin: &Arc<Bulletin>, shelved: usize, entries: Vec<Entry>) -> Around {
    let count = |load| u32::try_from(entries.iter().filter(|entry| entry.load == load).count()).unwrap_or(u32::MAX);
    Around {
        bulletin: Arc::clone(bulletin),
        active: count(Load::Driven),
        watched: count(Load::Watched),
        parked: count(Load::Parked),
        shelved: u32::try_from(shelved).unwrap_or(u32::MAX),
        peers: entries.into_iter().map(|entry| entry.peer).collect(),
    }
}
