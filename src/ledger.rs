//! The ledger: what a commit may change, and when it is refused.
//!
//! The simulated account keeps all of it in memory. On AWS it lies in DynamoDB, and [`cells::Cells`] is the part that one commit
//! reads: the very same code decides on it, and what changed is written in one transaction.
//!
//! A commit is all or nothing. Permits are sets of holders, never counters, so a process that dies leaks nothing that cannot
//! be seen; rates are lists of moments, never hour buckets, so no burst hides at the full hour.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::Signal;
use crate::guard::budget::{check, check_rate};
use crate::guard::{Refusal, Scope};
use crate::incident::{Incident, IncidentId};
use crate::node::NodeId;
use crate::policy::standing::{News, Remembered};
use crate::ports::{
    Claims, Commit, Committed, Expect, Key, KillSwitch, LastIncident, Loaded, OutboxItem, Permits, Post, Quarantine,
    Rails, ReportId, Shelve, Switch,
};
use crate::storm::{Around, Bulletin, Digest, DigestId};
use crate::time::after;

pub mod cells;
pub mod entry;

use entry::Entry;

/// An open incident this late, in seconds, has lost its timer; a report that nobody sent in this time was forgotten.
pub const OVERDUE_SECS: i64 = 60;

/// The longest window that a rate is counted over, in seconds.
const RATE_KEPT_SECS: i64 = 24 * 3_600;

/// Incidents, permits, rates, reports on their way out, and the switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    incidents: BTreeMap<IncidentId, Arc<Incident>>,
    /// The records above that are not closed.
    open: BTreeMap<NodeId, Arc<Incident>>,
    /// Those of them that are worked on.
    driven: BTreeSet<IncidentId>,
    last: BTreeMap<NodeId, LastIncident>,
    permits: BTreeMap<Scope, Vec<IncidentId>>,
    rates: BTreeMap<Scope, Vec<(Timestamp, IncidentId)>>,
    unsent: Vec<Arc<OutboxItem>>,
    gathered: Vec<Arc<OutboxItem>>,
    digests: Vec<Arc<Digest>>,
    shelf: Vec<Signal>,
    bulletin: Arc<Bulletin>,
    /// What passes are told of everything else, until something of it changes.
    around: Option<Arc<Around>>,
    mutes: BTreeMap<NodeId, Timestamp>,
    quarantines: BTreeMap<NodeId, Quarantine>,
    switch: KillSwitch,
    policy: Remembered,
    policy_news: Vec<(Timestamp, News)>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            incidents: BTreeMap::new(),
            open: BTreeMap::new(),
            driven: BTreeSet::new(),
            last: BTreeMap::new(),
            permits: BTreeMap::new(),
            rates: BTreeMap::new(),
            unsent: Vec::new(),
            gathered: Vec::new(),
            digests: Vec::new(),
            shelf: Vec::new(),
            bulletin: Arc::new(Bulletin::default()),
            around: None,
            mutes: BTreeMap::new(),
            quarantines: BTreeMap::new(),
            switch: KillSwitch::Running,
            policy: Remembered::default(),
            policy_news: Vec::new(),
        }
    }
}

impl Ledger {
    /// Reads what is known under a key.
    pub fn load(&mut self, key: Key) -> Loaded {
        let around = self.around();
        let (node, incident) = match key {
            Key::Node(node) => (node, self.open_on(node)),
            Key::Incident(id) => (id.node(), self.incidents.get(&id)),
        };
        #[cfg(feature = "plants")]
        let incident = incident
            .filter(|_| matches!(key, Key::Incident(_)) || !crate::plants::on(crate::plants::Plant::SecondIncident));
        let unsent = incident.map_or_else(Vec::new, |incident| {
            self.unsent.iter().filter(|item| item.id.incident == incident.id).cloned().collect()
        });
        Loaded {
            incident: incident.cloned(),
            rails: Rails {
                switch: self.switch,
                muted_until: self.mutes.get(&node).copied(),
                quarantine: self.quarantines.get(&node).copied(),
                around: Some(around),
            },
            last: self.last.get(&node).cloned(),
            unsent,
        }
    }

    /// Saves a change: all of it, or nothing.
    pub fn commit(&mut self, commit: &Commit, now: Timestamp) -> Committed {
        if !self.still_true(commit) {
            return Committed::Conflict;
        }
        let next = &commit.next;
        if let Err(refusal) = self.may_drive(commit) {
            return Committed::Refused(refusal);
        }
        match &commit.permits {
            Permits::Keep => {}
            Permits::Take(claims) => match self.may_take(claims, next.id, now) {
                Ok(()) => self.take(claims, next.id, now),
                Err(refusal) => return Committed::Refused(refusal),
            },
            Permits::Free { unsent_since } => {
                for holders in self.permits.values_mut() {
                    planted!(PermitsNeverFreed => break);
                    holders.retain(|holder| *holder != next.id);
                }
                if let Some(chosen_at) = unsent_since {
                    for stamps in self.rates.values_mut() {
                        stamps.retain(|(at, by)| *by != next.id || at < chosen_at);
                    }
                }
            }
        }
        self.hear(commit, now);
        if let Some(count) = commit.quarantine {
            self.quarantines.entry(next.node).or_insert(Quarantine { since: now, count });
        }
        for item in &commit.outbox {
            let list = if item.gather.is_some() { &mut self.gathered } else { &mut self.unsent };
            list.push(Arc::clone(item));
        }
        self.shelf.retain(|signal| signal.node != next.node);
        self.incidents.insert(next.id, Arc::clone(next));
        if next.is_driven() {
            self.driven.insert(next.id);
        } else {
            self.driven.remove(&next.id);
        }
        if let Some(last) = LastIncident::of(next) {
            self.open.remove(&next.node);
            self.last.insert(next.node, last);
        } else {
            self.open.insert(next.node, Arc::clone(next));
        }
        Committed::Saved
    }

    /// Whether what the commit expects is so.
    fn still_true(&self, commit: &Commit) -> bool {
        let next = &commit.next;
        let stored = self.incidents.get(&next.id);
        planted!(NoCompareAndSet => return true);
        planted!(VersionOnlyCompare => if matches!(commit.expect, Expect::NoOpenIncident { .. }) {
            return stored.is_none();
        });
        planted!(SecondIncident => if matches!(commit.expect, Expect::NoOpenIncident { .. }) {
            return stored.is_none();
        });
        match commit.expect {
            Expect::NoOpenIncident { last } => {
                !self.open.contains_key(&next.node) && stored.is_none() && self.last_on(next.node) == last
            }
            // A closed record is final.
            Expect::Version(version) => {
                stored.is_some_and(|stored| stored.version == version && !stored.is_closed())
                    && next.version == version.saturating_add(1)
            }
        }
    }

    /// Whether the kill switch, a quarantine, every budget and every rate leave room.
    fn may_take(&self, claims: &Claims, holder: IncidentId, now: Timestamp) -> Result<(), Refusal> {
        match self.switch {
            #[cfg(feature = "plants")]
            _ if crate::plants::on(crate::plants::Plant::IgnorePause) => {}
            KillSwitch::Running => {}
            KillSwitch::Paused => return Err(Refusal::Paused),
            KillSwitch::Unreadable => return Err(Refusal::PauseUnreadable),
        }
        self.bulletin.breaker.check(claims.remedy, &claims.group, holder, now)?;
        for claim in &claims.at_once {
            planted!(IgnoreQuarantine => break);
            if let Scope::Node(node) = &claim.scope
                && let Some(Quarantine { since, count }) = self.quarantines.get(node).copied()
            {
                return Err(Refusal::Quarantined { since, count });
            }
        }
        for claim in &claims.at_once {
            planted!(NoBudget => break);
            let others = self
                .permits
                .get(&claim.scope)
                .map_or(0, |holders| holders.iter().filter(|other| **other != holder).count());
            check(u32::try_from(others).unwrap_or(u32::MAX), claim)?;
        }
        for claim in &claims.rates {
            planted!(NoRate => break);
            let stamps = self.rates.get(&claim.scope).map_or(&[][..], Vec::as_slice);
            let own = own_stamp(stamps, claims, holder);
            let others: Vec<Timestamp> =
                stamps.iter().enumerate().filter(|(index, _)| Some(*index) != own).map(|(_, (at, _))| *at).collect();
            check_rate(&others, claim, now)?;
        }
        Ok(())
    }

    fn take(&mut self, claims: &Claims, holder: IncidentId, now: Timestamp) {
        if !self.bulletin.breaker.trips.is_empty() {
            Arc::make_mut(&mut self.bulletin).breaker.take(claims.remedy, &claims.group, holder, now);
            self.around = None;
        }
        for claim in &claims.at_once {
            let holders = self.permits.entry(claim.scope.clone()).or_default();
            if !holders.contains(&holder) {
                holders.push(holder);
            }
        }
        for (index, claim) in claims.rates.iter().enumerate() {
            // An hour and a day of the same scope share one list: one remedy, one stamp.
            if claims.rates.iter().take(index).any(|earlier| earlier.scope == claim.scope) {
                continue;
            }
            let stamps = self.rates.entry(claim.scope.clone()).or_default();
            stamps.retain(|(stamp, _)| *stamp > after(now, -RATE_KEPT_SECS));
            // A remedy counts from its last step, the disruptive one, and not from the drain before it.
            if let Some(own) = own_stamp(stamps, claims, holder) {
                stamps.remove(own);
            }
            stamps.push((now, holder));
        }
    }

    /// Whether there is a place for one more incident that is worked on. Who asked for a repair does not wait in line, and
    /// what is worked on already stays so.
    fn may_drive(&self, commit: &Commit) -> Result<(), Refusal> {
        planted!(NoActiveCap => return Ok(()));
        let next = &commit.next;
        let before = self.incidents.get(&next.id);
        let stays = before.is_some_and(|before| before.is_driven() || before.is_resting());
        if stays || !next.is_driven() || next.asked.is_some() {
            return Ok(());
        }
        let active = u32::try_from(self.driven.len()).unwrap_or(u32::MAX);
        let limit = commit.news.limits.active;
        if active < limit { Ok(()) } else { Err(Refusal::ActiveIncidents { active, limit }) }
    }

    /// What a saved change means for the whole account.
    fn hear(&mut self, commit: &Commit, now: Timestamp) {
        let next = &commit.next;
        let news = &commit.news;
        if news.troubled || !news.tried.is_empty() {
            Arc::make_mut(&mut self.bulletin).hear(news, next.node, now);
            self.around = None;
        }
        if matches!(commit.permits, Permits::Free { .. }) && !self.bulletin.breaker.trips.is_empty() {
            Arc::make_mut(&mut self.bulletin).breaker.freed(next.id);
            self.around = None;
        }
        let before = self.incidents.get(&next.id);
        let changed = before.is_none_or(|before| {
            before.is_driven() != next.is_driven()
                || before.is_closed() != next.is_closed()
                || before.phase.name() != next.phase.name()
                || before.symptoms.len() != next.symptoms.len()
                || before.shared != next.shared
                || before.place.factors != next.place.factors
        });
        if changed {
            self.around = None;
        }
    }

    /// What else goes on.
    pub fn around(&mut self) -> Arc<Around> {
        if let Some(around) = &self.around {
            return Arc::clone(around);
        }
        let mut entries = Vec::with_capacity(self.open.len());
        entries.extend(self.open().map(|open| Entry::of(open)));
        let around = entry::around(&self.bulletin, self.shelf.len(), entries);
        let around = Arc::new(around);
        self.around = Some(Arc::clone(&around));
        around
    }

    /// Lets a node wait for a place.
    pub fn shelve(&mut self, shelve: &Shelve, now: Timestamp) {
        let node = shelve.signal.node;
        if self.has_open(node) {
            return;
        }
        if self.shelf.iter().all(|known| known.node != node) {
            self.shelf.push(shelve.signal.clone());
        }
        cells::hear_shelved(&mut self.bulletin, shelve, now);
        self.around = None;
    }

    /// Saves what a sweep decided: all of it, or nothing.
    pub fn post(&mut self, post: &Post, now: Timestamp) -> Committed {
        let Some(bulletin) = cells::posted(&self.bulletin, post, now) else { return Committed::Conflict };
        self.bulletin = Arc::new(bulletin);
        self.digests.extend(post.digests.iter().cloned());
        for id in &post.release {
            if let Some(index) = self.gathered.iter().position(|item| item.id == *id) {
                self.unsent.push(self.gathered.remove(index));
            }
        }
        self.gathered.retain(|item| !post.told.contains(&item.id));
        self.shelf.retain(|signal| !post.unshelve.contains(&signal.node));
        for signal in &post.shelve {
            if !self.has_open(signal.node) && self.shelf.iter().all(|known| known.node != signal.node) {
                self.shelf.push(signal.clone());
            }
        }
        self.around = None;
        Committed::Saved
    }

    /// Remembers that a digest was sent.
    pub fn mark_digest_sent(&mut self, id: DigestId) {
        self.digests.retain(|digest| digest.id != id);
    }

    /// Nodes that wait for a place.
    #[must_use]
    pub fn shelf(&self) -> &[Signal] {
        &self.shelf
    }

    /// Reports that are told together with others.
    #[must_use]
    pub fn gathered(&self) -> &[Arc<OutboxItem>] {
        &self.gathered
    }

    /// Digests that nobody marked as sent.
    #[must_use]
    pub fn digests(&self) -> &[Arc<Digest>] {
        &self.digests
    }

    /// The record about the whole account.
    #[must_use]
    pub fn bulletin(&self) -> &Arc<Bulletin> {
        &self.bulletin
    }

    /// Remembers that a report was sent.
    pub fn mark_sent(&mut self, id: ReportId) {
        self.unsent.retain(|item| item.id != id);
    }

    /// Open incidents whose wake is overdue, and incidents with reports that nobody sent.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<IncidentId> {
        let late = after(now, -OVERDUE_SECS);
        let mut overdue: Vec<_> =
            self.open.values().filter(|open| open.wake_at.is_none_or(|wake| wake < late)).map(|open| open.id).collect();
        for item in &self.unsent {
            if item.report.at < late && !overdue.contains(&item.id.incident) {
                overdue.push(item.id.incident);
            }
        }
        overdue
    }

    /// Changes a switch.
    pub fn switch(&mut self, switch: Switch) {
        match switch {
            Switch::Pause => self.switch = KillSwitch::Paused,
            Switch::Resume => self.switch = KillSwitch::Running,
            Switch::Mute(node, until) => {
                self.mutes.insert(node, until);
            }
            Switch::Unmute(node) => {
                self.mutes.remove(&node);
            }
            Switch::Clear(node) => {
                self.quarantines.remove(&node);
                let scope = Scope::Node(node);
                let holders = self.permits.get(&scope).cloned().unwrap_or_default();
                if let Some(stamps) = self.rates.get_mut(&scope) {
                    let mut cell = cells::ScopeCell { holders, stamps: std::mem::take(stamps) };
                    cells::clear(&mut cell);
                    *stamps = cell.stamps;
                }
            }
        }
    }

    /// Until when an operator muted a node.
    #[must_use]
    pub fn muted_until(&self, node: NodeId) -> Option<Timestamp> {
        self.mutes.get(&node).copied()
    }

    /// How a node's last incident ended.
    #[must_use]
    pub fn last(&self, node: NodeId) -> Option<&LastIncident> {
        self.last.get(&node)
    }

    /// What is remembered of the policy document.
    #[must_use]
    pub fn remembered(&self) -> &Remembered {
        &self.policy
    }

    /// Remembers this of the policy document, with its news, unless somebody else was faster.
    pub fn remember(&mut self, next: &Remembered, news: Option<&News>, now: Timestamp) -> bool {
        if next.version != self.policy.version.saturating_add(1) {
            return false;
        }
        self.policy = next.clone();
        self.policy_news.extend(news.map(|news| (now, news.clone())));
        true
    }

    /// What there was to tell of the policy document, in order.
    #[must_use]
    pub fn policy_news(&self) -> &[(Timestamp, News)] {
        &self.policy_news
    }

    /// The open incident of a node.
    #[must_use]
    pub fn open_on(&self, node: NodeId) -> Option<&Arc<Incident>> {
        self.open.get(&node)
    }

    /// The incident of a node that ended last.
    #[must_use]
    pub fn last_on(&self, node: NodeId) -> Option<IncidentId> {
        self.last.get(&node).map(|last| last.id)
    }

    /// Whether a node has an open incident.
    #[must_use]
    pub fn has_open(&self, node: NodeId) -> bool {
        self.open.contains_key(&node)
    }

    /// One incident, open or closed.
    #[must_use]
    pub fn incident(&self, id: IncidentId) -> Option<&Arc<Incident>> {
        self.incidents.get(&id)
    }

    /// Every incident, the oldest first.
    pub fn incidents(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.incidents.values()
    }

    /// Every open incident, by node.
    pub fn open(&self) -> impl Iterator<Item = &Arc<Incident>> {
        self.open.values()
    }

    /// Puts another form of an open record in its place, as a function of another version would have stored it.
    pub(crate) fn restore(&mut self, incident: Incident) {
        let incident = Arc::new(incident);
        self.incidents.insert(incident.id, Arc::clone(&incident));
        self.open.insert(incident.node, incident);
        self.around = None;
    }

    /// Who holds permits, scope by scope.
    pub fn holders(&self) -> impl Iterator<Item = (&Scope, IncidentId)> {
        self.permits.iter().flat_map(|(scope, holders)| holders.iter().map(move |holder| (scope, *holder)))
    }

    /// Reports that nobody marked as sent.
    #[must_use]
    pub fn unsent(&self) -> &[Arc<OutboxItem>] {
        &self.unsent
    }
}

/// The stamp of an earlier step of the same remedy, when its holder takes its permits again.
fn own_stamp(stamps: &[(Timestamp, IncidentId)], claims: &Claims, holder: IncidentId) -> Option<usize> {
    stamps.iter().rposition(|(at, by)| *by == holder && *at >= claims.chosen_at)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
pub(crate) mod tests;
