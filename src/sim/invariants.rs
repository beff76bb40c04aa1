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
use super::world::{StandsIn, Truth};
use crate::effect::{Effect, IntentId, Weight};
use crate::engine::Request;
use crate::incident::{Incident, IncidentId, Remedy};
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Observation, Tags};
use crate::policy::standing::Trouble;
use crate::policy::{Mode, Policy};
use crate::ports::{KillSwitch, Permits, Switch};
use crate::time::after;
use rails::Told;

mod capacity;
mod curing;
mod ending;
mod finding;
mod fleet;
mod gates;
mod landing;
mod rails;
mod saving;
mod storm;
mod strangers;
mod telling;
mod workload;

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
    /// When it was sent: earlier, when it landed after its pass had given up.
    pub(crate) sent_at: Timestamp,
    /// What the pass that sent it had seen.
    pub(crate) seen: Option<&'a Observation>,
    /// Some facts of it were older than it says.
    pub(crate) stale: bool,
    /// Whether its pass could not read the kill switch.
    pub(crate) dark: bool,
    /// The policies that it may go by; one at least.
    pub(crate) policies: &'a [Policy],
}

impl Landing<'_> {
    /// Whether one of the policies that it may go by allows it.
    fn allowed(&self, by: impl FnMut(&Policy) -> bool) -> bool {
        self.policies.iter().any(by)
    }

    /// The highest mode of those policies.
    fn mode(&self) -> Mode {
        self.policies.iter().map(|policy| policy.mode).max().unwrap_or(Mode::Off)
    }

    /// The largest limit of those policies.
    fn most<T: Ord + Default>(&self, of: impl FnMut(&Policy) -> T) -> T {
        self.policies.iter().map(of).max().unwrap_or_default()
    }

    /// The smallest limit of those policies.
    fn least<T: Ord + Default>(&self, of: impl FnMut(&Policy) -> T) -> T {
        self.policies.iter().map(of).min().unwrap_or_default()
    }
}

/// What carries tags beside a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A cluster, by name.
    Cluster(Arc<str>),
    /// An Auto Scaling group, by name.
    ScalingGroup(Arc<str>),
}

/// Watches one schedule.
#[derive(Debug)]
pub struct Inspector {
    /// What people wanted to hold, from when on.
    policies: Vec<(Timestamp, Policy)>,
    spots: BTreeMap<NodeId, Spot>,
    tags: BTreeMap<NodeId, Vec<(Timestamp, Tags)>>,
    /// Of clusters and Auto Scaling groups, by name.
    group_tags: BTreeMap<Place, Vec<(Timestamp, Tags)>>,
    sent_seen: usize,
    landed_seen: usize,
    switched_seen: usize,
    commits_seen: u64,
    paused_since: Option<Timestamp>,
    mutes: BTreeMap<NodeId, (Timestamp, Timestamp)>,
    intents: Vec<(IncidentId, IntentId)>,
    remedies: BTreeMap<NodeId, LastRemedy>,
    /// When the ledger last granted permits to each.
    granted: BTreeMap<IncidentId, Timestamp>,
    counted: Vec<(Timestamp, NodeId, IncidentId)>,
    published_seen: usize,
    /// Incidents that are open, as their newest records say, and their nodes.
    open: Vec<(NodeId, IncidentId)>,
    /// When each incident was first seen, as its first record said.
    opened: BTreeMap<IncidentId, Timestamp>,
    /// When a person last approved each.
    approvals: BTreeMap<IncidentId, (Timestamp, Remedy)>,
    /// When the end of each was decided that has to give something back first.
    decided: BTreeMap<IncidentId, Timestamp>,
    storms: storm::Storms,
    /// What people were told of quarantines, and when they ended them.
    quarantines: BTreeMap<NodeId, Told>,
    /// Bad policy documents, and whether one stands at the end.
    bad_documents: (usize, bool),
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
    incident: IncidentId,
    remedy: Remedy,
    cause: Option<crate::diagnose::Cause>,
    acted_at: Timestamp,
}

impl Inspector {
    /// An inspector of an account with these nodes.
    #[must_use]
    pub fn new(policy: Policy, spots: BTreeMap<NodeId, Spot>) -> Self {
        Self {
            policies: vec![(Timestamp::MIN, policy)],
            spots,
            tags: BTreeMap::new(),
            group_tags: BTreeMap::new(),
            sent_seen: 0,
            landed_seen: 0,
            switched_seen: 0,
            commits_seen: 0,
            paused_since: None,
            mutes: BTreeMap::new(),
            intents: Vec::new(),
            remedies: BTreeMap::new(),
            granted: BTreeMap::new(),
            counted: Vec::new(),
            published_seen: 0,
            open: Vec::new(),
            opened: BTreeMap::new(),
            approvals: BTreeMap::new(),
            decided: BTreeMap::new(),
            storms: storm::Storms::default(),
            quarantines: BTreeMap::new(),
            bad_documents: (0, false),
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

    /// People set the tags of a cluster or group.
    pub fn place_tagged(&mut self, place: Place, tags: Tags, at: Timestamp) {
        self.group_tags.entry(place).or_default().push((at, tags));
    }

    /// From now on people want this policy, whatever Defib makes of the document in which they say so.
    pub fn policy_changed(&mut self, policy: Policy, at: Timestamp) {
        self.policies.push((at, policy));
    }

    /// What holds for a node that was seen, by the newest document.
    fn policy_of(&self, seen: &Observation) -> Policy {
        let cluster = seen.ecs.known().map(|ecs| ecs.cluster.name());
        let group = seen.asg.known().map(|asg| asg.name.as_str());
        self.policies.last().map(|(_, policy)| policy.at(cluster, group).into_owned()).unwrap_or_default()
    }

    /// What the stack itself says: no document in these schedules changes what is judged by it.
    fn stack(&self) -> Policy {
        self.policies.first().map(|(_, policy)| policy.clone()).unwrap_or_default()
    }

    /// The policies for a node that a pass whose effect lands now may go by: all that held within the grace before, and
    /// the fallback under a bad document for as long as the good one after it could not be read.
    fn policies_for(
        &self,
        node: NodeId,
        incident: Option<&Incident>,
        account: &Account,
        now: Timestamp,
    ) -> Vec<Policy> {
        let since = after(now, -GRACE_SECS);
        let first = self.policies.iter().rposition(|(at, _)| *at <= since).unwrap_or(0);
        let fallen = matches!(account.ledger.remembered().trouble, Some(Trouble::Invalid { .. } | Trouble::Gone));
        let unread = fallen && !self.bad_documents.1;
        let first = first.saturating_sub(usize::from(unread));
        let spot = self.spots.get(&node);
        // A node that a group launched meanwhile is where it was seen.
        let place = incident.filter(|_| spot.is_none()).map(|incident| &incident.place);
        let seen_in = place.and_then(|place| place.container_instance.as_ref()).map(|(cluster, _)| cluster.name());
        let seen_group = place.and_then(|place| place.group.as_ref()).map(AutoScalingGroupName::as_str);
        let cluster = spot.and_then(|spot| spot.group.as_deref()).or(seen_in);
        let group = spot.and_then(|spot| spot.scaling_group.as_deref()).or(seen_group);
        self.policies.iter().skip(first).map(|(_, policy)| policy.at(cluster, group).into_owned()).collect()
    }

    /// Where a node counts, one that a group launched meanwhile too.
    fn spot_of(&self, account: &Account, node: NodeId) -> Option<Spot> {
        self.spots.get(&node).cloned().or_else(|| {
            let StandsIn { cluster, group, zone } = account.world.stands_in(node)?;
            Some(Spot { group: cluster.or_else(|| group.clone()), zone, scaling_group: group })
        })
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
                Switch::Clear(node) => {
                    self.quarantines.insert(node, Told { cleared_at: *at, since: None });
                    // What is under way still counts.
                    let open = account.ledger.open_on(node).filter(|open| landing::disrupted(open)).map(|open| open.id);
                    self.counted.retain(|(_, on, by)| *on != node || Some(*by) == open);
                }
            }
        }
        self.switched_seen = account.switched.len();
    }

    fn follow_effects(&mut self, account: &Account, what: &Happened<'_>) {
        let (sent_at, seen, stale) = (what.sent_at, what.seen, what.stale);
        for sent in account.sent.iter().skip(self.sent_seen) {
            if !sent.landed {
                continue;
            }
            let Some(landed) = account.world.landed().get(self.landed_seen) else { continue };
            self.landed_seen += 1;
            let incident = account.ledger.incident(sent.incident).map(AsRef::as_ref);
            let policies = self.policies_for(sent.node, incident, account, sent.at);
            let dark = what.switch == Some(KillSwitch::Unreadable);
            let truth = &landed.truth;
            let landing =
                Landing { sent: *sent, truth, incident, account, sent_at, seen, stale, dark, policies: &policies };
            self.check_landing(&landing);
        }
        self.sent_seen = account.sent.len();
    }

    /// The tags that have held on a node for the whole of the grace, so that nobody can have missed them.
    fn settled_tags(&self, node: NodeId, now: Timestamp) -> impl Iterator<Item = &Tags> {
        settled(self.tags.get(&node), now)
    }

    /// The same of a cluster or group.
    fn settled_place_tags(&self, place: &Place, now: Timestamp) -> impl Iterator<Item = &Tags> {
        settled(self.group_tags.get(place), now)
    }
}

/// The values that have held for the whole of the grace.
fn settled(history: Option<&Vec<(Timestamp, Tags)>>, now: Timestamp) -> impl Iterator<Item = &Tags> {
    let since = after(now, -GRACE_SECS);
    let history = history.map_or(&[][..], Vec::as_slice);
    let last_before = history.iter().rposition(|(at, _)| *at <= since);
    // Without a value that is old enough nothing is certain.
    history.iter().skip(last_before.unwrap_or(history.len())).map(|(_, tags)| tags)
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
        if let Some(request) = what.request {
            self.storms.follow_shelf(request, what.at);
        }
        if account.digests.len() > self.storms.digests_seen() {
            self.follow_digests(account);
        }
        if account.commits > self.commits_seen {
            self.commits_seen = account.commits;
            if let Some(Request::Commit(commit)) = what.request
                && let Some(saved) = account.ledger.incident(commit.next.id)
            {
                self.follow_trouble(account, commit, what.at);
                self.follow_decision(saved);
                if matches!(commit.permits, Permits::Take(_)) {
                    self.granted.insert(commit.next.id, what.at);
                }
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
