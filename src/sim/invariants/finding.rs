//! L6: how soon the sweep finds what no event told of, measured while nothing goes wrong.

use jiff::Timestamp;

use super::Inspector;
use crate::diagnose::Family;
use crate::event::{Signal, SignalKind};
use crate::incident::{Incident, Outcome};
use crate::node::NodeId;
use crate::sim::account::Account;
use crate::sim::ailment::Ailment;
use crate::sim::driver::SWEEP_SECS;
use crate::time::{after, secs_between};

/// What queue, reads and the commit may add to the five minutes, in seconds.
const SLACK_SECS: i64 = 60;
/// What was told is not told again for so long, even if it is another fault.
const AN_HOUR_SECS: i64 = 3_600;

impl Inspector {
    /// From now on nothing goes wrong any more, except that events may stay lost.
    pub fn calm_since(&mut self, at: Timestamp) {
        self.calm_since = Some(at);
    }

    /// L6, at the opening of an incident: not later than five minutes after AWS showed the node as dead.
    pub(super) fn found_in_time(&mut self, account: &Account, opened: &Incident, now: Timestamp) {
        let by_sweep = opened.symptoms.iter().all(|symptom| matches!(symptom.kind, SignalKind::Swept { .. }));
        if !by_sweep || opened.asked.is_some() {
            return;
        }
        let Some(due) = self.due_since(account, opened.node, now) else { return };
        let late = secs_between(due, opened.first_seen);
        if late > SWEEP_SECS + SLACK_SECS {
            self.broken("L6", now, Some(opened.node), || format!("shown as dead since {due}, found {late}s later"));
        }
    }

    /// L6, at the end: the sweep has found every dead node, whatever happened to the events.
    pub(super) fn every_dead_node_is_found(&mut self, account: &Account, signal: &Signal, now: Timestamp) {
        let node = signal.node;
        if account.ledger.has_open(node) {
            return;
        }
        let Some(due) = self.due_since(account, node, now) else { return };
        if secs_between(due, now) > SWEEP_SECS + SLACK_SECS {
            let ailment = account.world.truth(node).and_then(|truth| truth.ailment).map(Ailment::cause);
            self.broken("L6", now, Some(node), || format!("ill with {ailment:?}, and nobody looks after it"));
        }
    }

    /// Since when a sweep should have opened an incident on a node: since AWS shows it as dead, and nothing stood in the way.
    fn due_since(&self, account: &Account, node: NodeId, now: Timestamp) -> Option<Timestamp> {
        let calm_since = self.calm_since?;
        let mut shown = account.world.shown_dead_since(node)?;
        let newest = account.world.newest_loss(node);
        // What was dead before the first sweep is old news, and who waits on the shelf has its turn later.
        if account.ledger.bulletin().is_baseline(node)
            || account.ledger.shelf().iter().any(|signal| signal.node == node)
        {
            return None;
        }
        let mute = [account.ledger.muted_until(node), account.world.muted_until(node)].into_iter().flatten().max();
        let last = account.ledger.last(node).map(|last| match last.outcome {
            // A script's own fault says nothing about the node.
            Outcome::Blocked | Outcome::DryRun | Outcome::NotOurs if last.cause.family() == Family::Elsewhere => {
                last.at
            }
            // What ended without a repair has been told. It is quiet while nothing changes, and for an hour in any case.
            Outcome::Blocked | Outcome::DryRun | Outcome::NotOurs => {
                let quiet_secs = self.stack().quiet_secs;
                if let Some((_, newly_shown)) = newest.filter(|(since, _)| *since > last.at) {
                    shown = shown.max(newly_shown);
                    after(last.at, quiet_secs.min(AN_HOUR_SECS))
                } else {
                    after(last.at, quiet_secs)
                }
            }
            Outcome::SelfHealed
            | Outcome::Fixed
            | Outcome::Cycled
            | Outcome::Replaced
            | Outcome::NeedsHuman
            | Outcome::Deferred
            | Outcome::Gone => last.at,
        });
        let due = [Some(calm_since), mute, last, self.storms.shelved_at(node)]
            .into_iter()
            .flatten()
            .fold(shown, Timestamp::max);
        (due <= now).then_some(due)
    }
}
