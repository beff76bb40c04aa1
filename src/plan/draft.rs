//! A plan in the making: the incident's next record, and what goes with it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{READS_HOLD_SECS, SOONEST_SECS};
use crate::effect::{Effect, Intent, IntentState, SEND_WINDOW_SECS, Target};
use crate::guard::breaker::Tried;
use crate::guard::{Lasts, Refusal, Scope};
use crate::incident::{AttemptResult, Ending, Event, Incident, OperatorWord, Outcome, Phase, Then};
use crate::observe::{Depth, Health, Observation};
use crate::policy::Policy;
use crate::ports::{Claims, Perform, Permits};
use crate::report::ReportKind;
use crate::time::{after, secs_between};

/// A day.
const DAY_SECS: i64 = 24 * 3_600;

/// What happens next in an incident: a record to save, and what to do once it is saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plan {
    /// The incident's next record. Boxed, because a plan is handed on from function to function.
    pub next: Box<Incident>,
    /// Whether anything is worth saving; a plain "look again then" that changes nothing is not.
    pub changed: bool,
    /// What happens to the permits, in the same transaction.
    pub permits: Permits,
    /// Reports to send, in the same transaction.
    pub reports: Vec<ReportKind>,
    /// An effect to send once all that is saved.
    pub perform: Option<Arc<Perform>>,
    /// The node is in trouble beyond a blip, seen just now.
    pub troubled: bool,
    /// Disruptive remedies that ended.
    pub tried: Vec<Tried>,
    /// Puts the node into quarantine after so many disruptive remedies in a day, in the same transaction.
    pub quarantine: Option<u32>,
    /// Nothing is decided yet: first a look that goes so far. Nothing else of the plan counts then.
    pub deeper: Option<Depth>,
}

/// A plan in the making.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    /// Boxed, because a draft is handed on from function to function.
    pub(super) next: Box<Incident>,
    pub(super) policy: &'a Policy,
    pub(super) now: Timestamp,
    /// When the reads were taken that the plan rests on: long before `now`, where the process stood still in between.
    pub(super) read_at: Timestamp,
    wake_before: Option<Timestamp>,
    changed: bool,
    permits: Permits,
    reports: Vec<ReportKind>,
    perform: Option<Arc<Perform>>,
    troubled: bool,
    tried: Vec<Tried>,
    quarantine: Option<u32>,
}

impl<'a> Draft<'a> {
    pub(super) fn of(incident: &Incident, policy: &'a Policy, read_at: Timestamp, now: Timestamp) -> Self {
        Self {
            next: Box::new(incident.clone()),
            policy,
            now,
            read_at,
            wake_before: incident.wake_at,
            changed: false,
            permits: Permits::Keep,
            reports: Vec::new(),
            perform: None,
            troubled: false,
            tried: Vec::new(),
            quarantine: None,
        }
    }

    /// The node is in trouble beyond a blip: the breaker counts it.
    pub(super) fn trouble(&mut self) {
        self.troubled = true;
        self.changed = true;
    }

    /// The plan: look more closely, and decide then.
    pub(super) fn deeper(self, depth: Depth) -> Plan {
        Plan { deeper: Some(depth), ..self.plan(false) }
    }

    fn plan(self, changed: bool) -> Plan {
        Plan {
            next: self.next,
            changed,
            permits: self.permits,
            reports: self.reports,
            perform: self.perform,
            troubled: self.troubled,
            tried: self.tried,
            quarantine: self.quarantine,
            deeper: None,
        }
    }

    /// How the node fares, given what is expected of it.
    pub(super) fn health(&self, seen: &Observation) -> Health {
        Health::of(seen, self.now).expecting_ssm(self.next.expects_ssm())
    }

    /// Adds a line to the history.
    pub(super) fn note(&mut self, event: Event) {
        self.changed = true;
        self.next.note(self.now, event);
    }

    pub(super) fn touch(&mut self) {
        self.changed = true;
    }

    /// The moment `secs` from now, but never sooner than the timer can be.
    pub(super) fn in_secs(&self, secs: i64) -> Timestamp {
        after(self.now, secs.max(SOONEST_SECS))
    }

    /// When to look again at what takes its time: after half as long as it has taken since then, in seconds within these bounds.
    pub(super) fn half_as_long(&self, since: Timestamp, (least, most): (i64, i64)) -> Timestamp {
        self.in_secs((secs_between(since, self.now) / 2).clamp(least, most))
    }

    /// The plan: stay in this phase and look again then.
    pub(super) fn stay(mut self, wake_at: Option<Timestamp>) -> Plan {
        self.next.wake_at = wake_at.map(|at| at.max(after(self.now, SOONEST_SECS)));
        let changed = self.changed || self.next.wake_at != self.wake_before;
        self.plan(changed)
    }

    /// The plan: nothing but what was added; the moment to look again stays.
    pub(super) fn keep_wake(self) -> Plan {
        let changed = self.changed;
        self.plan(changed)
    }

    /// The plan: go to another phase and look again then.
    pub(super) fn go(mut self, phase: Phase, wake_at: Option<Timestamp>) -> Plan {
        self.changed = true;
        self.next.phase = phase;
        self.stay(wake_at)
    }

    /// An intent for an effect, to be sent once it is saved. The caller puts it into the phase.
    pub(super) fn intend(&mut self, effect: Effect) -> Intent {
        let id = self.next.next_intent();
        // Not later than the window, and not on reads that are no longer fresh (S1).
        let not_after = after(self.now, SEND_WINDOW_SECS).min(after(self.read_at, READS_HOLD_SECS));
        // Nor by rules that may have changed since.
        let not_after = self.policy.known.holds_until().map_or(not_after, |until| not_after.min(until));
        #[cfg(feature = "plants")]
        let not_after =
            if crate::plants::on(crate::plants::Plant::OldReads) { after(self.now, 300) } else { not_after };
        if effect != Effect::Probe {
            self.next.repair = None;
        }
        let place = &self.next.place;
        let target = Target {
            node: self.next.node,
            container_instance: place.container_instance.clone(),
            group: place.group.clone(),
        };
        self.perform = Some(Arc::new(Perform { incident: self.next.id, intent: id, effect, target, not_after }));
        self.changed = true;
        Intent { id, effect, committed_at: self.now, not_after, state: IntentState::Pending }
    }

    /// Takes the permits of a disruptive remedy, at each of its steps: the drain, Standby, and the remedy's own effect,
    /// which may be many minutes later and must still be within every rate and behind an open kill switch.
    pub(super) fn claim(&mut self, claims: Claims) {
        self.permits = Permits::Take(claims);
        self.next.holds.permits = true;
    }

    /// Gives the permits back, unless something of ours is still in effect: a node that we keep drained or in Standby is
    /// missing from its group as much as one that reboots.
    pub(super) fn free(&mut self) {
        let holds = self.next.holds;
        planted!(PermitsFreedEarly => if holds.permits {
            self.let_go();
            return;
        });
        if holds.permits && !(holds.draining || holds.standby || holds.stopped) {
            self.let_go();
        }
    }

    fn let_go(&mut self) {
        self.permits = Permits::Free { unsent_since: self.next.unsent_since() };
        self.next.holds.permits = false;
    }

    /// Ends the attempt that is going on.
    pub(super) fn end_attempt(&mut self, result: AttemptResult) {
        let ended = self.next.running_attempt().map(|attempt| {
            attempt.result = result;
            (attempt.remedy, attempt.acted_at.is_some())
        });
        let Some((remedy, sent)) = ended else { return };
        self.note(Event::Ended { remedy, result });
        let helped = match result {
            AttemptResult::Helped => true,
            AttemptResult::Failed => false,
            AttemptResult::Running | AttemptResult::Refused | AttemptResult::NotSent => return,
        };
        if sent && remedy.is_disruptive() {
            let (incident, scope) = (self.next.id, self.next.place.scope());
            self.tried.push(Tried { incident, scope, remedy, helped });
        }
    }

    /// Parks the incident until the rail may be out of the way, or ends it where it never will be.
    pub(super) fn park(mut self, refusal: Refusal) -> Plan {
        self.end_attempt(AttemptResult::NotSent);
        // So often in a day is no accident any more: the node waits for a person.
        if let Refusal::Rate { scope: Scope::Node(_), window_secs, count, .. } = refusal
            && window_secs >= DAY_SECS
        {
            self.quarantine = Some(count);
            return self.end(Ending::Quarantined { count });
        }
        let until = match refusal.lasts() {
            Lasts::ForGood => return self.end(Ending::Refused { refusal }),
            Lasts::Until(at) => at,
            Lasts::Secs(secs) => self.in_secs(secs),
        };
        let left = self.policy.parked_max_secs.saturating_sub(self.next.parked_secs);
        #[cfg(feature = "plants")]
        let left = if crate::plants::on(crate::plants::Plant::ParkForEver) { DAY_SECS } else { left };
        if left <= 0 {
            return self.end(Ending::WaitedTooLong { refusal });
        }
        // What lasts a minute or two is waited out with the node drained; for anything longer the node is given back.
        let short =
            matches!(refusal, Refusal::CannotSee { .. } | Refusal::Cooldown { .. } | Refusal::CallRefused { .. });
        let holds = self.next.holds;
        if holds.draining && !holds.standby && !holds.stopped && !short {
            return super::cycle::undo_drain(self, Then::Park { refusal });
        }
        // The permits of a remedy that does not happen now belong to another node.
        self.free();
        let limit = after(self.now, left);
        if self.waits().next().is_none_or(|last| !last.is_again(&refusal)) {
            // Who was asked for this remedy already, and then for another, knows of both.
            let asks = refusal.asks_for().is_some() && self.waits().all(|wait| *wait != refusal);
            self.note(Event::Parked(refusal.clone()));
            if asks {
                self.report(ReportKind::NeedsApproval);
            }
        }
        let until = until.min(limit).max(after(self.now, SOONEST_SECS));
        let since = self.now;
        self.go(Phase::Parked { refusal, since, until, limit }, Some(until))
    }

    /// What it has waited for since its last remedy, the newest first.
    fn waits(&self) -> impl Iterator<Item = &Refusal> {
        let since = self.next.history.iter().rev();
        let since = since.take_while(|entry| !matches!(entry.event, Event::Ended { .. } | Event::Chosen { .. }));
        since.filter_map(|entry| if let Event::Parked(refusal) = &entry.event { Some(refusal) } else { None })
    }

    /// Adds a report to what is saved.
    pub(super) fn report(&mut self, kind: ReportKind) {
        self.next.reports = self.next.reports.saturating_add(1);
        self.reports.push(kind);
        self.changed = true;
    }

    /// Ends the incident, or lets it rest for a person, with nothing more to give back.
    pub(super) fn finish(mut self, ending: Ending) -> Plan {
        // What was sent stays on record: a stop whose start never came was performed, and so was a reboot before the end.
        let sent = self.next.running_attempt().is_some_and(|attempt| attempt.acted_at.is_some());
        self.end_attempt(if sent { AttemptResult::Failed } else { AttemptResult::NotSent });
        let rests = ending.outcome() == Outcome::NeedsHuman && !matches!(ending, Ending::ClosedBy { .. });
        if self.next.holds.permits && !rests {
            // Nobody drives a closed incident any more, so nothing may stay held in its name.
            self.let_go();
        }
        self.free();
        self.note(Event::Closed(ending.clone()));
        let now = self.now;
        match ending.outcome() {
            Outcome::NeedsHuman if rests => {
                // Asked already, and the further attempt changed nothing: the reminder of the day comes at its time.
                let asked_at = self.asked_at();
                if asked_at.is_none() {
                    self.report(ReportKind::NeedsHuman);
                }
                let remind_at = after(asked_at.unwrap_or(now), super::end::REMIND_SECS);
                let wake = after(now, super::end::REST_LOOK_SECS);
                self.go(Phase::Resting { why: ending, since: now, remind_at }, Some(wake))
            }
            // Counted, not mailed; but whoever was told that it is broken is told that it is not.
            Outcome::SelfHealed if self.next.reports == 0 => self.go(Phase::Closed { ending, at: now }, None),
            Outcome::SelfHealed
            | Outcome::Fixed
            | Outcome::Cycled
            | Outcome::Replaced
            | Outcome::NeedsHuman
            | Outcome::Blocked
            | Outcome::Deferred
            | Outcome::Gone
            | Outcome::NotOurs
            | Outcome::DryRun => {
                self.next.phase = Phase::Closed { ending: ending.clone(), at: now };
                self.report(ReportKind::Ended);
                self.go(Phase::Closed { ending, at: now }, None)
            }
        }
    }

    /// When a person was asked or reminded last, if nothing but a try to give back has happened since.
    fn asked_at(&self) -> Option<Timestamp> {
        // The last line is the ending itself.
        let earlier = self.next.history.iter().rev().skip(1);
        let mut asked_at = None;
        for entry in earlier {
            match &entry.event {
                // Of several in a row only the first asked anybody.
                Event::Closed(ending) if ending.outcome() == Outcome::NeedsHuman => asked_at = Some(entry.at),
                Event::Reminded => return Some(entry.at),
                Event::Chosen { .. } | Event::Operator(_) => return asked_at,
                Event::Told(_)
                | Event::InvocationRead(_)
                | Event::Looked { .. }
                | Event::HoldDownOver { .. }
                | Event::ProbeAnswered { .. }
                | Event::ProbeUndelivered
                | Event::Diagnosed { .. }
                | Event::Done(_)
                | Event::Refused(_)
                | Event::Expired(_)
                | Event::Burned(_)
                | Event::HostRefused { .. }
                | Event::Drained { .. }
                | Event::SessionsCut { .. }
                | Event::Reached(_)
                | Event::Ended { .. }
                | Event::Parked(_)
                | Event::Unparked
                | Event::Closed(_) => {}
            }
        }
        asked_at
    }

    /// An intent that nobody can send any more counts as if it had been: it is burned.
    pub(super) fn burn(&mut self) {
        let now = self.now;
        planted!(RedoOrphan => if self.redo() {
            return;
        });
        let burned = self.next.phase.intent_mut().and_then(|intent| {
            let burnable = super::burnable(intent);
            (intent.state == IntentState::Pending && now >= burnable).then(|| {
                intent.state = IntentState::Burned { at: now };
                intent.effect
            })
        });
        if let Some(effect) = burned {
            self.note(Event::Burned(effect));
        }
    }

    /// A planted bug: what nobody knows the end of is sent once more, under the same name.
    #[cfg(feature = "plants")]
    fn redo(&mut self) -> bool {
        let now = self.now;
        let orphan = self.next.phase.intent().filter(|intent| {
            intent.state == IntentState::Pending
                && now >= super::burnable(intent)
                && secs_between(intent.committed_at, intent.not_after) <= SEND_WINDOW_SECS
        });
        let Some((id, effect)) = orphan.map(|intent| (intent.id, intent.effect)) else { return false };
        let again = self.intend(effect);
        self.next.intents = id.0;
        if let Some(perform) = &mut self.perform {
            Arc::make_mut(perform).intent = id;
        }
        if let Some(pending) = self.next.phase.intent_mut() {
            pending.not_after = again.not_after;
        }
        true
    }

    /// Adds a wait that is over to the time spent parked.
    pub(super) fn parked_until_now(&mut self, since: Timestamp) {
        let waited = secs_between(since, self.now).max(0);
        self.next.parked_secs = self.next.parked_secs.saturating_add(waited);
    }

    /// Seconds that the incident has lasted, parked time aside.
    ///
    /// What an operator fixed or cleared after it had rested has its time anew.
    pub(super) fn unparked_secs(&self) -> i64 {
        let rested = self.next.history.iter().any(|entry| matches!(entry.event, Event::Closed(_)));
        let asked = self.next.asked.as_ref().filter(|_| rested).map(|asked| asked.at);
        let cleared = self
            .next
            .history
            .iter()
            .rev()
            .find(|entry| matches!(&entry.event, Event::Operator(said) if said.word == OperatorWord::Cleared));
        let from = asked.max(cleared.map(|entry| entry.at)).unwrap_or(self.next.first_seen);
        secs_between(from, self.now).saturating_sub(self.next.parked_secs)
    }
}
