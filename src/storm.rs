//! What happens to many nodes at once: the breaker's state, who waits, and what is told together.
//!
//! One record in the ledger, the [`Bulletin`], holds what concerns the whole account. Passes over incidents change it in the
//! same transactions as the incidents; the sweep tidies it up, and decides which messages about many nodes are due.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::guard::breaker::{Breaker, BreakerLimits, Tried};
use crate::guard::shared::Peer;
use crate::incident::Incident;
use crate::node::{CommandId, ContainerInstanceArn, NodeId};
use crate::observe::Factor;
use crate::policy::Policy;

pub mod digest;
mod sweep;
#[cfg(test)]
mod tests;

pub use digest::{Digest, DigestId, DigestKind, Row};
pub use sweep::{Sweep, sweep};

/// The schema of a stored bulletin.
pub const SCHEMA: u32 = 1;

/// What concerns the whole account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bulletin {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Counts what sweeps saved: what they decided on must still hold when it is saved. The breaker moves without it.
    pub version: u64,
    /// Nodes in the account and region, as the last sweep counted them.
    pub fleet: u32,
    /// The circuit breaker.
    pub breaker: Breaker,
    /// What the first sweep found long dead; none before it.
    pub baseline: Option<Baseline>,
    /// What is going on that many nodes have to do with.
    pub episodes: Vec<Episode>,
    /// How much of what there is to tell of the policy document has been told.
    #[serde(default)]
    pub policy_told: u32,
    /// Container instances that were seen without their instances, until they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ghosts: Vec<Haunt>,
}

/// A ghost that sweeps have seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Haunt {
    /// What is left.
    pub container_instance: ContainerInstanceArn,
    /// Since when, as sweeps have seen.
    pub since: Timestamp,
    /// Whether people were told of it.
    pub told: bool,
}

/// Nodes that were dead for long when Defib first looked: told once, and not treated until they come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// When.
    pub at: Timestamp,
    /// Those that are dead still.
    pub nodes: Vec<NodeId>,
}

/// Something that is told in digests, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Episode {
    /// What it is about.
    pub about: Gather,
    /// When it began.
    pub since: Timestamp,
    /// Tells apart episodes of one kind that began at the same moment.
    pub index: u32,
    /// When it was last told.
    pub told_at: Option<Timestamp>,
    /// How often it was told.
    pub told: u32,
    /// How it stood then, so that the same is not told again.
    pub last: Situation,
}

/// The numbers of an episode, as they were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Situation {
    /// Reasons for which the breaker is open.
    pub trips: u32,
    /// Nodes that have an open incident of it.
    pub open: u32,
    /// Nodes that wait for a place.
    pub waiting: u32,
}

/// What an incident's reports are told together with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "about", content = "of")]
pub enum Gather {
    /// The storm that is going on.
    Storm,
    /// Something that nodes share.
    Shared(Factor),
    /// One Run Command that many nodes failed.
    Command(CommandId),
}

/// What a pass knows of everything else that is going on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Around {
    /// The account's record.
    pub bulletin: Arc<Bulletin>,
    /// Incidents that are worked on.
    pub active: u32,
    /// Incidents in their hold-down.
    pub watched: u32,
    /// Incidents that wait for others to end before they are worked on.
    pub parked: u32,
    /// Nodes without an incident that wait for one.
    pub shelved: u32,
    /// Every open incident.
    pub peers: Arc<[Peer]>,
}

/// The limits that hold for the whole account, as the policy has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Incidents that are worked on at the same time.
    pub active: u32,
    /// When the breaker opens.
    pub breaker: BreakerLimits,
}

impl Limits {
    /// What a policy says.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        Self { active: policy.budgets.active_incidents, breaker: BreakerLimits::of(policy) }
    }
}

/// What a change to an incident means for the whole account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct News {
    /// Its node is in trouble beyond a blip, seen just now.
    pub troubled: bool,
    /// Disruptive remedies that ended with it.
    pub tried: Vec<Tried>,
    /// The limits in force.
    pub limits: Limits,
}

impl News {
    /// Nothing that concerns anybody else.
    #[must_use]
    pub fn nothing(policy: &Policy) -> Self {
        Self { troubled: false, tried: Vec::new(), limits: Limits::of(policy) }
    }
}

impl Default for Bulletin {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            version: 0,
            fleet: 0,
            breaker: Breaker::default(),
            baseline: None,
            episodes: Vec::new(),
            policy_told: 0,
            ghosts: Vec::new(),
        }
    }
}

impl Bulletin {
    /// The episode about something.
    #[must_use]
    pub fn episode(&self, about: &Gather) -> Option<&Episode> {
        self.episodes.iter().find(|episode| episode.about == *about)
    }

    /// Whether a node is one of those that were dead long before.
    #[must_use]
    pub fn is_baseline(&self, node: NodeId) -> bool {
        self.baseline.as_ref().is_some_and(|baseline| baseline.nodes.contains(&node))
    }

    /// Takes over what a saved change to an incident means.
    pub fn hear(&mut self, news: &News, node: NodeId, now: Timestamp) {
        if news.troubled {
            self.breaker.troubled(node, now, &news.limits.breaker, self.fleet);
        }
        for tried in &news.tried {
            self.breaker.tried(tried, now, &news.limits.breaker);
        }
    }
}

impl Default for Around {
    fn default() -> Self {
        Self::nothing()
    }
}

impl Around {
    /// What is around where nothing else is going on.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            bulletin: Arc::new(Bulletin::default()),
            active: 0,
            watched: 0,
            parked: 0,
            shelved: 0,
            peers: Arc::from([]),
        }
    }

    /// Whether so much goes on that reports are gathered.
    #[must_use]
    pub fn in_storm(&self) -> bool {
        self.bulletin.breaker.in_storm() || self.waiting() > 0
    }

    /// Nodes that wait for their turn.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.parked.saturating_add(self.shelved)
    }

    /// How many more nodes may be watched.
    #[must_use]
    pub fn room(&self, policy: &Policy) -> u32 {
        let taken = self.watched.saturating_add(self.parked);
        policy.budgets.watched_incidents.saturating_sub(taken)
    }

    /// What an incident's next report is told together with; none: it goes out by itself.
    #[must_use]
    pub fn gather(&self, incident: &Incident) -> Option<Gather> {
        if let Some(factor) = &incident.shared {
            return Some(Gather::Shared(factor.clone()));
        }
        if self.in_storm() {
            return Some(Gather::Storm);
        }
        let command = incident.command()?;
        let others =
            self.peers.iter().filter(|peer| peer.incident != incident.id && peer.command.as_ref() == Some(command));
        // A script that timed out is told within minutes of its event, before anybody can know how many nodes it ran on: it
        // is held back until the next sweep, and goes out by itself when it stayed the only one.
        let at_once = matches!(
            incident.ending(),
            Some(crate::incident::Ending::ScriptTimedOut | crate::incident::Ending::CommandRejected)
        );
        (at_once || others.count() >= COMMAND_PEERS).then(|| Gather::Command(command.clone()))
    }
}

/// So many other nodes with incidents of the same command make its reports one.
const COMMAND_PEERS: usize = 2;
