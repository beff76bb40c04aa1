//! The promises of SAFETY.md, checked against what is true at the moment an effect lands.
//!
//! Nothing here asks the ledger's own counters: budgets are counted again from what landed, tags from what people set. Each
//! promise is one small function over one landed effect, or over the whole account at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::account::{Account, Sent};
use super::driver::{Happened, Watch};
use super::world::Truth;
use crate::effect::{Effect, IntentId, Weight};
use crate::engine::Request;
use crate::incident::{Incident, IncidentId, Remedy};
use crate::node::NodeId;
use crate::observe::{Observation, Tags};
use crate::policy::Policy;
use crate::ports::Switch;
use crate::time::after;

mod curing;
mod ending;
mod finding;
mod landing;
mod rails;
mod saving;
mod strangers;
mod telling;

/// How long AWS and people may take to see a change, in seconds, before a promise counts it.
pub const GRACE_SECS: i64 = 90;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its number in SAFETY.md.
    pub promise: &'static str,
    /// When.
    pub at: Timestamp,
    /// On which node.
    pub node: Option<NodeId>,
    /// What happened.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "{} at {} on {node}: {}", self.promise, self.at, self.text),
            None => write!(f, "{} at {}: {}", self.promise, self.at, self.text),
        }
    }
}

/// Where a node counts for budgets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// Its group: the cluster, else the Auto Scaling group.
    pub group: Option<Arc<str>>,
    /// Its Availability Zone.
    pub zone: Option<char>,
    /// Its Auto Scaling group.
    pub scaling_group: Option<Arc<str>>,
}

/// An effect that has just landed, with everything that is true around it.
pub(crate) struct Landing<'a> {
    pub(crate) sent: Sent,
    pub(crate) truth: &'a Truth,
    pub(crate) incident: Option<&'a Incident>,
    pub(crate) account: &'a Account,
    /// What the pass that sent it saw; none when it landed after its pass had given up.
    pub(crate) seen: Option<&'a Observation>,
    /// Some facts of it were older than it says.
    pub(crate) stale: bool,
    pub(crate) late: bool,
}

/// Watches one schedule.
#[derive(Debug)]
pub struct Inspector {
    policy: Policy,
    spots: BTreeMap<NodeId, Spot>,
    tags: BTreeMap<NodeId, Vec<(Timestamp, Tags)>>,
    sent_seen: usize,
    landed_seen: usize,
    switched_seen: usize,
    commits_seen: u64,
    paused_since: Option<Timestamp>,
    mutes: BTreeMap<NodeId, (Timestamp, Timestamp)>,
    intents: Vec<(IncidentId, IntentId)>,
    remedies: BTreeMap<IncidentId, LastRemedy>,
    decided: Vec<(Timestamp, NodeId, IncidentId)>,
    published_seen: usize,
    /// When each incident was first seen, as its first record said.
    opened: BTreeMap<IncidentId, Timestamp>,
    /// When a person last approved each.
    approvals: BTreeMap<IncidentId, Timestamp>,
    /// Nodes of other accounts and regions that events told of.
    foreign: Vec<NodeId>,
    /// Looks at nodes that AWS does not know, by pass.
    strangers: Vec<(u64, NodeId)>,
    /// When the faults stopped.
    calm_since: Option<Timestamp>,
    violations: Vec<Violation>,
}

/// The last remedy that landed in an incident.
#[derive(Debug, Clone, Copy)]
struct LastRemedy {
    remedy: Remedy,
    cause: Option<crate::diagnose::Cause>,
    acted_at: Timestamp,
}

impl Inspector {
    /// An inspector of an account with these nodes.
    #[must_use]
    pub fn new(policy: Policy, spots: BTreeMap<NodeId, Spot>) -> Self {
        Self {
            policy,
            spots,
            tags: BTreeMap::new(),
            sent_seen: 0,
            landed_seen: 0,
            switched_seen: 0,
            commits_seen: 0,
            paused_since: None,
            mutes: BTreeMap::new(),
            intents: Vec::new(),
            remedies: BTreeMap::new(),
            decided: Vec::new(),
            published_seen: 0,
            opened: BTreeMap::new(),
            approvals: BTreeMap::new(),
            foreign: Vec::new(),
            strangers: Vec::new(),
            calm_since: None,
            violations: Vec::new(),
        }
    }

    /// People set a node's tags.
    pub fn tagged(&mut self, node: NodeId, tags: Tags, at: Timestamp) {
        self.tags.entry(node).or_default().push((at, tags));
    }

    /// The promises that were broken.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The same, with the inspector's end.
    #[must_use]
    pub fn into_violations(self) -> Vec<Violation> {
        self.violations
    }

    /// Remembers a broken promise; the first of each kind says enough.
    fn broken(&mut self, promise: &'static str, at: Timestamp, node: Option<NodeId>, text: impl FnOnce() -> String) {
        if self.violations.iter().all(|known| known.promise != promise || known.node != node) {
            self.violations.push(Violation { promise, at, node, text: text() });
        }
    }

    fn follow_switches(&mut self, account: &Account) {
        for (at, switch) in account.switched.iter().skip(self.switched_seen) {
            match *switch {
                Switch::Pause => self.paused_since = self.paused_since.or(Some(*at)),
                Switch::Resume => self.paused_since = None,
                Switch::Mute(node, until) => {
                    self.mutes.insert(node, (*at, until));
                }
                Switch::Unmute(node) => {
                    self.mutes.remove(&node);
                }
            }
        }
        self.switched_seen = account.switched.len();
    }

    fn follow_effects(&mut self, account: &Account, what: &Happened<'_>) {
        let (seen, stale, late) = (what.seen, what.stale, what.request.is_none());
        for sent in account.sent.iter().skip(self.sent_seen) {
            if !sent.landed {
                continue;
            }
            let Some(landed) = account.world.landed().get(self.landed_seen) else { continue };
            self.landed_seen += 1;
            let incident = account.ledger.incident(sent.incident).map(AsRef::as_ref);
            let landing = Landing { sent: *sent, truth: &landed.truth, incident, account, seen, stale, late };
            self.check_landing(&landing);
        }
        self.sent_seen = account.sent.len();
    }

    /// The tags that have held on a node for the whole of the grace, so that nobody can have missed them.
    fn settled_tags(&self, node: NodeId, now: Timestamp) -> impl Iterator<Item = &Tags> {
        let since = after(now, -GRACE_SECS);
        let history = self.tags.get(&node).map_or(&[][..], Vec::as_slice);
        let last_before = history.iter().rposition(|(at, _)| *at <= since);
        // Without a value that is old enough nothing is certain.
        history.iter().skip(last_before.unwrap_or(history.len())).map(|(_, tags)| tags)
    }
}

impl Watch for Inspector {
    fn happened(&mut self, account: &Account, what: &Happened<'_>) {
        #[cfg(feature = "plants")]
        let _judging = crate::plants::Planted::new(None);
        if let Some(request) = what.request {
            self.nothing_for_strangers(account, what, request);
        }
        if account.switched.len() > self.switched_seen {
            self.follow_switches(account);
        }
        if account.sent.len() > self.sent_seen {
            self.follow_effects(account, what);
        }
        if account.published.len() > self.published_seen {
            self.follow_reports(account);
        }
        if account.commits > self.commits_seen {
            self.commits_seen = account.commits;
            if let Some(Request::Commit(commit)) = what.request
                && let Some(saved) = account.ledger.incident(commit.next.id)
            {
                self.check_saved(account, saved, what.at);
            }
        }
    }
}

/// Whether an effect is what carries a remedy out.
pub(crate) fn remedy_of(effect: Effect) -> Option<Remedy> {
    match effect.weight() {
        Weight::Gentle | Weight::Disruptive => Remedy::ALL.into_iter().find(|remedy| Effect::of(*remedy) == effect),
        Weight::ReadOnly | Weight::Guarding | Weight::Restoring => None,
    }
}
