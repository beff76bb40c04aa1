//! The part of the ledger that one commit can read or change, in cells that a store keeps one by one.
//!
//! A store reads the cells, lets the commit be decided on them, and writes those that changed on the condition that nobody
//! else changed any of them meanwhile. So DynamoDB holds the same promises as the simulation, by the same code.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::guard::Scope;
use crate::incident::{Incident, IncidentId};
use crate::node::NodeId;
use crate::ports::{Commit, Committed, Expect, KillSwitch, LastIncident, Permits, Quarantine, Shelve};
use crate::storm::Bulletin;

/// What is kept of one node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCell {
    /// Its open incident.
    pub open: Option<IncidentId>,
    /// How its last one ended.
    pub last: Option<LastIncident>,
    /// An operator muted it until then.
    pub muted_until: Option<Timestamp>,
    /// It was cycled too often.
    pub quarantine: Option<Quarantine>,
}

/// What is kept of one scope that permits are counted in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeCell {
    /// Who holds a permit.
    pub holders: Vec<IncidentId>,
    /// Disruptive remedies of the last day, and of which incident.
    pub stamps: Vec<(Timestamp, IncidentId)>,
}

/// Everything that a commit on one incident can read or change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells {
    /// The stored record.
    pub incident: Option<Arc<Incident>>,
    /// Scopes that it has taken permits in.
    pub held: BTreeSet<Scope>,
    /// Its node.
    pub node: NodeCell,
    /// The scopes that it holds permits in, and those that the commit claims.
    pub scopes: BTreeMap<Scope, ScopeCell>,
    /// Incidents that are worked on.
    pub driven: BTreeSet<IncidentId>,
    /// The account's record.
    pub bulletin: Arc<Bulletin>,
    /// The kill switch.
    pub switch: KillSwitch,
}

impl Cells {
    /// The scopes that a commit reads or changes, given those that the incident has taken permits in.
    #[must_use]
    pub fn scopes_of(commit: &Commit, held: &BTreeSet<Scope>) -> BTreeSet<Scope> {
        match &commit.permits {
            Permits::Keep => BTreeSet::new(),
            Permits::Free { .. } => held.clone(),
            Permits::Take(claims) => {
                let at_once = claims.at_once.iter().map(|claim| &claim.scope);
                at_once.chain(claims.rates.iter().map(|claim| &claim.scope)).cloned().collect()
            }
        }
    }

    /// Decides a commit, and changes the cells when it is saved.
    pub fn commit(&mut self, commit: &Commit, now: Timestamp) -> Committed {
        let (id, node) = (commit.next.id, commit.next.node);
        let other = self.node.open.filter(|open| *open != id);
        if other.is_some() && matches!(commit.expect, Expect::NoOpenIncident { .. }) {
            return Committed::Conflict;
        }
        let mut ledger = self.ledger(id, node);
        let committed = ledger.commit(commit, now);
        if committed == Committed::Saved {
            if let Permits::Take(_) = &commit.permits {
                self.held.extend(Self::scopes_of(commit, &self.held));
            }
            self.incident = ledger.incidents.remove(&id);
            self.node = NodeCell {
                open: other.or_else(|| ledger.open.get(&node).map(|open| open.id)),
                last: ledger.last.remove(&node),
                muted_until: self.node.muted_until,
                quarantine: ledger.quarantines.get(&node).copied(),
            };
            for (scope, cell) in &mut self.scopes {
                cell.holders = ledger.permits.remove(scope).unwrap_or_default();
                cell.stamps = ledger.rates.remove(scope).unwrap_or_default();
            }
            self.driven = ledger.driven;
            self.bulletin = ledger.bulletin;
        }
        committed
    }

    /// A ledger that knows no more than this.
    fn ledger(&self, id: IncidentId, node: NodeId) -> Ledger {
        let mut ledger = Ledger {
            driven: self.driven.clone(),
            bulletin: Arc::clone(&self.bulletin),
            switch: self.switch,
            ..Ledger::default()
        };
        if let Some(incident) = &self.incident {
            ledger.incidents.insert(id, Arc::clone(incident));
            if self.node.open == Some(id) {
                ledger.open.insert(node, Arc::clone(incident));
            }
        }
        if let Some(last) = &self.node.last {
            ledger.last.insert(node, last.clone());
        }
        if let Some(quarantine) = self.node.quarantine {
            ledger.quarantines.insert(node, quarantine);
        }
        for (scope, cell) in &self.scopes {
            ledger.permits.insert(scope.clone(), cell.holders.clone());
            ledger.rates.insert(scope.clone(), cell.stamps.clone());
        }
        ledger
    }
}

/// What a node that waits for a place means for the account's record.
pub fn hear_shelved(bulletin: &mut Arc<Bulletin>, shelve: &Shelve, now: Timestamp) {
    Arc::make_mut(bulletin).hear(&shelve.news, shelve.signal.node, now);
}

/// The account's record after a sweep's post: the breaker belongs to the passes, and is brought up to date here.
#[must_use]
pub fn posted(stored: &Bulletin, post: &crate::ports::Post, now: Timestamp) -> Option<Bulletin> {
    if stored.version != post.expect {
        return None;
    }
    let mut breaker = stored.breaker.clone();
    breaker.tidy(now, &post.limits);
    for signal in post.shelve.iter().filter(|signal| signal.kind.is_beyond_a_blip()) {
        breaker.troubled(signal.node, now, &post.limits, post.next.fleet);
    }
    Some(Bulletin { breaker, ..Bulletin::clone(&post.next) })
}

/// What is left of a scope once a person cleared its node: what is under way still counts, for it may land after this.
pub fn clear(cell: &mut ScopeCell) {
    let under_way = cell.holders.clone();
    cell.stamps.retain(|(_, by)| under_way.contains(by));
}

#[cfg(test)]
mod tests;
