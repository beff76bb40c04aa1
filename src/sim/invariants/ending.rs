//! Promises about the whole account, after the faults have stopped and everything had time to end.

use jiff::Timestamp;

use super::Inspector;
use crate::effect::Effect;
use crate::event::Signal;
use crate::incident::{Ending, Entry, Event, Incident, Outcome, Phase};
use crate::observe::InstanceState;
use crate::sim::account::{Account, Sent};
use crate::sim::ailment::Ailment;
use crate::sim::driver::SWEEP_SECS;
use crate::time::secs_between;

/// The longest that an incident may take, parked time aside, in seconds.
const UNPARKED_MAX_SECS: i64 = 6 * 3_600;

/// What timers, sweeps and the last undoing may add, in seconds.
const SLACK_SECS: i64 = 3_600;

/// What was taken and not given back is tried again so soon, in seconds: the looks of a rest are half an hour apart.
const AGAIN_SECS: i64 = 35 * 60;
/// What one try to start takes before the rest goes on, in seconds.
const STARTS_SECS: i64 = 300;

impl Inspector {
    /// Checks everything that must hold in the end. `troubled` is what a sweep would list now, `messages` wait in the queue.
    pub fn check_end(&mut self, account: &Account, (troubled, messages): (&[Signal], u64), now: Timestamp) {
        #[cfg(feature = "plants")]
        let _judging = crate::plants::Planted::new(None);
        if messages > 0 {
            self.broken("L4", now, None, || format!("{messages} messages wait in the queue, and nothing goes on"));
        }
        self.nobody_waits_beside_a_place(account, troubled, now);
        for signal in troubled {
            self.every_dead_node_is_found(account, signal, now);
        }
        for incident in account.ledger.incidents() {
            self.every_incident_ends(incident, now);
            self.every_end_is_told(account, incident, now);
            self.nothing_stays_taken(account, incident, now);
        }
        self.permits_have_open_holders(account, now);
        self.breaker_closes(account, now);
        for item in account.ledger.gathered().iter().filter(|item| Self::is_late(item, now)) {
            self.broken("L4", now, Some(item.id.incident.node()), || format!("report {} was never told", item.id));
        }
        for digest in account.ledger.digests() {
            self.broken("L4", now, None, || format!("digest {} never left", digest.id));
        }
        self.each_bad_document_is_told_once(account, now);
        let news = account.ledger.policy_news().len();
        let told = account.digests.iter().filter(|(_, digest)| digest.policy.is_some()).map(|(_, digest)| digest.id);
        let told = told.collect::<std::collections::BTreeSet<_>>().len();
        if told < news {
            self.broken("L2", now, None, || format!("{news} pieces of news about the policy document, {told} told"));
        }
        for item in account.ledger.unsent() {
            self.broken("L4", now, Some(item.id.incident.node()), || format!("report {} never left", item.id));
        }
    }

    /// L6: who waits for a place has it, once there is one, after everybody before it: one each sweep, at the least.
    fn nobody_waits_beside_a_place(&mut self, account: &Account, troubled: &[Signal], now: Timestamp) {
        let sweeps = i64::try_from(account.ledger.shelf().len()).unwrap_or(i64::MAX).saturating_add(2);
        let lately = |at: Timestamp| secs_between(at, now) <= sweeps.saturating_mul(SWEEP_SECS);
        let least = self.policies.iter().map(|(_, policy)| policy.budgets.watched_incidents).min().unwrap_or_default();
        let taken = account.ledger.open().filter(|open| match &open.phase {
            Phase::Watching { .. } | Phase::Parked { .. } => true,
            Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. }
            | Phase::Resting { .. }
            | Phase::Closed { .. } => false,
        });
        let moved_at = |incident: &Incident| incident.history.last().map_or(incident.first_seen, |entry| entry.at);
        let moving = account.ledger.incidents().any(|incident| lately(moved_at(incident)));
        if moving || u32::try_from(taken.count()).unwrap_or(u32::MAX) >= least {
            return;
        }
        // Whose node is none of our business is found to be so when its turn comes, and waits again.
        let meant = |node| troubled.iter().any(|signal| signal.node == node);
        let shelved = |node| meant(node) && self.storms.shelved_at(node).is_some_and(|at| !lately(at));
        let waits = account.ledger.shelf().iter().map(|signal| signal.node).find(|node| shelved(*node));
        if let Some(node) = waits {
            self.broken("L6", now, Some(node), || "waits for a place, though there is one".to_owned());
        }
    }

    /// L1: each ends in one record or rests, within 6 h of unparked time.
    fn every_incident_ends(&mut self, incident: &Incident, now: Timestamp) {
        let (ended, over) = match &incident.phase {
            Phase::Closed { at, .. } => (*at, true),
            Phase::Resting { since, .. } => (*since, true),
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Parked { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => (now, false),
        };
        // What was found again a short while ago has its whole time before it.
        let longest = self.policies.iter().map(|(_, policy)| policy.incident_max_secs + policy.parked_max_secs).max();
        let most = longest.unwrap_or_default() + SLACK_SECS;
        if !over && secs_between(incident.first_seen, now) > most {
            let (id, phase) = (incident.id, incident.phase.name());
            self.broken("L1", now, Some(incident.node), || format!("{id} is still {phase}"));
        }
        // A rest may be long; only the way to it counts, and a close by hand after a rest does not.
        let rested = matches!(incident.ending(), Some(Ending::ClosedBy { rested: true, .. }));
        let took = secs_between(incident.first_seen, ended) - incident.parked_secs;
        if took > UNPARKED_MAX_SECS && !rested && !was_resting(incident) {
            self.broken("L1", now, Some(incident.node), || format!("{} took {took}s besides waiting", incident.id));
        }
    }

    /// L2: each end but a silent self-heal was told, under one id.
    fn every_end_is_told(&mut self, account: &Account, incident: &Incident, now: Timestamp) {
        let Some(outcome) = incident.ending().map(Ending::outcome) else { return };
        let told =
            account.published.iter().any(|(_, item)| item.id.incident == incident.id && item.id.outcome == outcome);
        let waits = |item: &std::sync::Arc<crate::ports::OutboxItem>| {
            item.id.incident == incident.id && !Self::is_late(item, now)
        };
        let told = told || Self::told_in_a_digest(account, incident) || account.ledger.gathered().iter().any(waits);
        if !told && outcome != Outcome::SelfHealed {
            self.broken("L2", now, Some(incident.node), || {
                format!("{} ended as {outcome} and nobody was told", incident.id)
            });
        }
    }

    /// S14: what we took is given back, or a person was told so.
    fn nothing_stays_taken(&mut self, account: &Account, incident: &Incident, now: Timestamp) {
        let Some(ending) = incident.ending() else { return };
        self.never_left_stopped(account, incident, now);
        if !incident.is_closed() {
            self.started_again_at_rest(account, incident, now);
            return self.tried_again_at_rest(account, incident, now);
        }
        // Who took it last: a later incident of the node gives back what it took itself.
        let last = |take: Effect, back: Effect| {
            let of_node = |sent: &&Sent| sent.node == incident.node && sent.landed;
            let mut moves = account.sent.iter().rev().filter(of_node);
            moves
                .find(|sent| sent.effect == take || sent.effect == back)
                .is_some_and(|sent| sent.effect == take && sent.incident == incident.id)
        };
        let loud = matches!(ending.outcome(), Outcome::NeedsHuman | Outcome::Replaced | Outcome::Gone)
            || matches!(ending, Ending::ClosedBy { .. });
        let Some(truth) = account.world.truth(incident.node).filter(|truth| truth.exists) else { return };
        for (what, taken) in [
            ("DRAINING", truth.draining && last(Effect::Drain, Effect::Activate)),
            ("in Standby", truth.standby && last(Effect::EnterStandby, Effect::ExitStandby)),
            ("stopped", truth.stopped && last(Effect::Stop, Effect::Start)),
        ] {
            if taken && !loud {
                let outcome = ending.outcome();
                self.broken("S14", now, Some(incident.node), || {
                    format!("{} ended as {outcome}, still {what}", incident.id)
                });
            }
        }
    }

    /// S14: a report alone is not enough; what we stopped and a person was told of is started again at every look of the rest.
    fn started_again_at_rest(&mut self, account: &Account, incident: &Incident, now: Timestamp) {
        let Phase::Resting { since, .. } = &incident.phase else { return };
        let stands = account.world.truth(incident.node).is_some_and(|truth| truth.state == InstanceState::Stopped);
        let moves = |sent: &&Sent| sent.incident == incident.id && matches!(sent.effect, Effect::Stop | Effect::Start);
        let ours = account.sent.iter().rev().find(|sent| moves(sent) && sent.landed);
        // Whom people have started meanwhile is theirs, also where they stopped it again.
        if !stands || !incident.holds.stopped || ours.is_none_or(|sent| sent.effect == Effect::Start) {
            return;
        }
        let sent = account.sent.iter().rev().find(moves).map_or(*since, |sent| sent.at);
        // Whose process died before it sent the start has tried: the intent was saved, and nobody knows more.
        let given_up = incident.history.iter().rev().find_map(|entry| match entry.event {
            Event::Burned(Effect::Start) => Some(entry.at),
            _ => None,
        });
        let last = given_up.map_or(sent, |at| at.max(sent));
        if secs_between(last, now) > AGAIN_SECS + STARTS_SECS {
            self.broken("S14", now, Some(incident.node), || {
                format!("{} rests, the node stopped, and nobody has tried to start it since {last}", incident.id)
            });
        }
    }

    /// S14: a report alone is not enough; what we drained and a person was told of is tried again at every look of the rest.
    fn tried_again_at_rest(&mut self, account: &Account, incident: &Incident, now: Timestamp) {
        let Phase::Resting { since, .. } = &incident.phase else { return };
        let Some(truth) = account.world.truth(incident.node).filter(|truth| truth.running && truth.draining) else {
            return;
        };
        let of_drains =
            |sent: &&Sent| sent.incident == incident.id && matches!(sent.effect, Effect::Drain | Effect::Activate);
        let ours = account.sent.iter().rev().find(|sent| of_drains(sent) && sent.landed);
        // While ECS itself does not answer, nobody can know that it is drained still.
        let silent = truth.ailment == Some(Ailment::ServiceUnavailable);
        if truth.standby || silent || ours.is_none_or(|sent| sent.effect == Effect::Activate) {
            return;
        }
        let last = account.sent.iter().rev().find(of_drains).map_or(*since, |sent| sent.at);
        let calm = self.calm_since.unwrap_or(now).max(truth.cut_off_until.unwrap_or(*since));
        if secs_between(last.max(*since).max(calm), now) > AGAIN_SECS {
            self.broken("S14", now, Some(incident.node), || {
                format!("{} rests since {since}, and nobody tried to set the node back to ACTIVE", incident.id)
            });
        }
    }

    /// S14: a report alone is not enough; what we stopped, we try to start.
    fn never_left_stopped(&mut self, account: &Account, incident: &Incident, now: Timestamp) {
        let still = account.world.truth(incident.node).is_some_and(|truth| truth.state == InstanceState::Stopped);
        let ours = |effect| account.sent.iter().rposition(|sent| sent.incident == incident.id && sent.effect == effect);
        let Some(stopped) = ours(Effect::Stop).filter(|index| account.sent.get(*index).is_some_and(|sent| sent.landed))
        else {
            return;
        };
        // One that was lost on its way was tried, too.
        let since = account.sent.get(stopped).map(|sent| sent.at);
        let lost = |entry: &Entry| entry.event == Event::Burned(Effect::Start) && Some(entry.at) > since;
        let lost = incident.history.iter().any(lost);
        if still && !lost && ours(Effect::Start).is_none_or(|started| started < stopped) {
            self.broken("S14", now, Some(incident.node), || format!("{} never tried to start it again", incident.id));
        }
    }

    /// S9: permits held = open holders.
    fn permits_have_open_holders(&mut self, account: &Account, now: Timestamp) {
        for (scope, holder) in account.ledger.holders() {
            let open = account.ledger.incident(holder).is_some_and(|incident| !incident.is_closed());
            if !open {
                self.broken("S9", now, Some(holder.node()), || {
                    format!("{holder} is over and holds a permit in {scope}")
                });
            }
        }
        for incident in account.ledger.open() {
            let holds = account.ledger.holders().any(|(_, holder)| holder == incident.id);
            if incident.holds.permits != holds {
                let says = incident.holds.permits;
                self.broken("S9", now, Some(incident.node), || {
                    format!("{} says that it holds permits: {says}; the ledger says: {holds}", incident.id)
                });
            }
        }
    }
}

/// Whether the incident came to rest before it ended.
pub(super) fn was_resting(incident: &Incident) -> bool {
    incident.history.iter().rev().skip(1).any(|entry| matches!(entry.event, crate::incident::Event::Closed(_)))
}
