//! The ledger in memory: the same transactions as the one in DynamoDB, without the network.
//!
//! A commit is all or nothing. Permits are sets of holders, never counters, so a process that dies leaks nothing that cannot
//! be seen; rates are lists of moments, never hour buckets, so no burst hides at the full hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::guard::budget::{check, check_rate};
use crate::guard::{Refusal, Scope};
use crate::incident::{Incident, IncidentId};
use crate::node::NodeId;
use crate::ports::{
    Claims, Commit, Committed, Expect, Key, KillSwitch, LastIncident, Loaded, OutboxItem, Permits, Rails, ReportId,
    Switch,
};
use crate::time::after;

/// An open incident this late, in seconds, has lost its timer.
const OVERDUE_SECS: i64 = 60;

/// The longest window that a rate is counted over, in seconds.
const RATE_KEPT_SECS: i64 = 24 * 3_600;

/// Incidents, permits, rates, reports on their way out, and the switches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    incidents: BTreeMap<IncidentId, Arc<Incident>>,
    open: BTreeMap<NodeId, IncidentId>,
    last: BTreeMap<NodeId, LastIncident>,
    permits: BTreeMap<Scope, Vec<IncidentId>>,
    rates: BTreeMap<Scope, Vec<(Timestamp, IncidentId)>>,
    unsent: Vec<Arc<OutboxItem>>,
    mutes: BTreeMap<NodeId, Timestamp>,
    switch: KillSwitch,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            incidents: BTreeMap::new(),
            open: BTreeMap::new(),
            last: BTreeMap::new(),
            permits: BTreeMap::new(),
            rates: BTreeMap::new(),
            unsent: Vec::new(),
            mutes: BTreeMap::new(),
            switch: KillSwitch::Running,
        }
    }
}

impl Ledger {
    /// Reads what is known under a key.
    #[must_use]
    pub fn load(&self, key: Key) -> Loaded {
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
            rails: Rails { switch: self.switch, muted_until: self.mutes.get(&node).copied() },
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
        self.unsent.extend(commit.outbox.iter().cloned());
        self.incidents.insert(next.id, Arc::clone(next));
        if let crate::incident::Phase::Closed { ending, at } = &next.phase {
            self.open.remove(&next.node);
            let cause = next.diagnosis.as_ref().map_or(crate::diagnose::Cause::Unknown, |diagnosis| diagnosis.cause);
            let command = next.command().cloned();
            let last = LastIncident { id: next.id, outcome: ending.outcome(), cause, at: *at, command };
            self.last.insert(next.node, last);
        } else {
            self.open.insert(next.node, next.id);
        }
        Committed::Saved
    }

    /// Whether what the commit expects is so.
    fn still_true(&self, commit: &Commit) -> bool {
        let next = &commit.next;
        let stored = self.incidents.get(&next.id);
        planted!(NoCompareAndSet => return true);
        planted!(VersionOnlyCompare => if commit.expect == Expect::NoOpenIncident { return stored.is_none(); });
        planted!(SecondIncident => if commit.expect == Expect::NoOpenIncident { return stored.is_none(); });
        match commit.expect {
            Expect::NoOpenIncident => !self.open.contains_key(&next.node) && stored.is_none(),
            // A closed record is final.
            Expect::Version(version) => {
                stored.is_some_and(|stored| stored.version == version && !stored.is_closed())
                    && next.version == version.saturating_add(1)
            }
        }
    }

    /// Whether the kill switch, every budget and every rate leave room.
    fn may_take(&self, claims: &Claims, holder: IncidentId, now: Timestamp) -> Result<(), Refusal> {
        match self.switch {
            #[cfg(feature = "plants")]
            _ if crate::plants::on(crate::plants::Plant::IgnorePause) => {}
            KillSwitch::Running => {}
            KillSwitch::Paused => return Err(Refusal::Paused),
            KillSwitch::Unreadable => return Err(Refusal::PauseUnreadable),
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

    /// Remembers that a report was sent.
    pub fn mark_sent(&mut self, id: ReportId) {
        self.unsent.retain(|item| item.id != id);
    }

    /// Open incidents whose wake is overdue, and incidents with reports that nobody sent.
    #[must_use]
    pub fn overdue(&self, now: Timestamp) -> Vec<IncidentId> {
        let late = after(now, -OVERDUE_SECS);
        let mut overdue: Vec<_> = self
            .open
            .values()
            .filter(|id| self.incidents.get(id).is_some_and(|open| open.wake_at.is_none_or(|wake| wake < late)))
            .copied()
            .collect();
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
        }
    }

    /// The open incident of a node.
    #[must_use]
    pub fn open_on(&self, node: NodeId) -> Option<&Arc<Incident>> {
        self.open.get(&node).and_then(|id| self.incidents.get(id))
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
        self.open.values().filter_map(|id| self.incidents.get(id))
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
mod tests;
