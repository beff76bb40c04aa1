//! Endings: giving back what was taken, resting for a person, and the reminder a day.

use jiff::Timestamp;

use super::cycle;
use super::draft::{Draft, Plan};
use crate::guard::Refusal;
use crate::incident::{Ending, Event, OperatorWord, Outcome, Phase, Remedy, Said, Then};
use crate::observe::{EcsStatus, Fact, InstanceState, Lifecycle, Observation};
use crate::ports::Rails;
use crate::report::ReportKind;
use crate::time::after;

/// A person is reminded once a day.
pub(super) const REMIND_SECS: i64 = 24 * 3_600;
/// What could not be given back is tried again at so many looks of a rest, six hours of them, and then with each reminder: a
/// record that grew for ever could not be saved one day.
const TRIES_MAX: usize = 12;
/// An instance that we stopped and that does not start is tried at so many looks of a rest, a day of them, and then with each reminder:
/// capacity comes back at any hour.
const STARTS_MAX: usize = 48;
/// A resting node is looked at this often, in seconds, to notice that it recovered.
pub(super) const REST_LOOK_SECS: i64 = 30 * 60;
/// What we hold of a resting node, and AWS did not show, is looked at again after this, in seconds: half an hour more is too long for a
/// node that waits to be given back (S14).
const UNSEEN_LOOK_SECS: i64 = 5 * 60;

impl Draft<'_> {
    /// Ends the incident once everything that is ours has been given back.
    pub(super) fn end(self, ending: Ending) -> Plan {
        let holds = self.next.holds;
        planted!(LeaveStopped => if holds.stopped { return self.finish(ending); });
        planted!(LeaveInStandby => if holds.standby { return self.finish(ending); });
        planted!(ForgetDrain => if holds.draining && !holds.standby && !holds.stopped { return self.finish(ending); });
        if holds.stopped {
            return cycle::start_again(self);
        }
        if holds.standby {
            // Left with a sick node, Standby would let the group terminate it: it stays, and a person is told (S14).
            return if well_after(&ending) {
                cycle::leave_standby(self, ending)
            } else {
                self.finish(Ending::NotGivenBack)
            };
        }
        if holds.draining {
            return cycle::undo_drain(self, Then::End(ending));
        }
        self.finish(ending)
    }
}

/// Whether the node is well when an incident ends like this.
fn well_after(ending: &Ending) -> bool {
    match ending.outcome() {
        Outcome::SelfHealed | Outcome::Fixed | Outcome::Cycled | Outcome::Replaced => true,
        Outcome::NeedsHuman
        | Outcome::Blocked
        | Outcome::Deferred
        | Outcome::Gone
        | Outcome::NotOurs
        | Outcome::DryRun => false,
    }
}

/// What a person gave back in our stead is ours no more.
fn given_back_by_others(draft: &mut Draft<'_>, seen: &Observation) {
    let before = draft.next.holds;
    let holds = &mut draft.next.holds;
    holds.stopped &= seen.ec2.known().is_none_or(|ec2| ec2.state != InstanceState::Running);
    holds.standby &= seen.asg.known().is_none_or(|asg| asg.lifecycle != Lifecycle::InService);
    holds.draining &= seen.ecs.known().is_none_or(|ecs| ecs.status != EcsStatus::Active);
    if *holds != before {
        draft.free();
        draft.touch();
        let held = draft.next.holds.stopped || draft.next.holds.standby || draft.next.holds.draining;
        if let Phase::Resting { why, .. } = &mut draft.next.phase
            && !held
        {
            *why = given_back(why.clone());
        }
    }
}

/// For what a person is asked once nothing of ours is in effect any more.
fn given_back(why: Ending) -> Ending {
    if matches!(why, Ending::NotGivenBack | Ending::DoesNotStart) { Ending::LadderExhausted } else { why }
}

/// Whether a drain of ours can and should be undone while the incident rests: not on a node that is stopped, or on its way to be
/// gone. From Standby it comes back as a whole, once it is well.
fn still_drained(draft: &Draft<'_>, seen: &Observation) -> bool {
    let holds = draft.next.holds;
    let runs = match &seen.ec2 {
        Fact::Known(ec2) => ec2.state == InstanceState::Running,
        Fact::Absent => !draft.next.node.is_instance(),
        Fact::Unknown(_) => false,
    };
    let replaced = draft.next.performed().any(|remedy| remedy == Remedy::Replace);
    let drained = seen.ecs.known().is_some_and(|ecs| ecs.status == EcsStatus::Draining);
    holds.draining && !holds.standby && !holds.stopped && runs && !replaced && drained
}

/// How often giving back has been given up.
fn tries(draft: &Draft<'_>) -> usize {
    draft.next.history.iter().filter(|entry| matches!(entry.event, Event::Closed(Ending::NotGivenBack))).count()
}

/// How often starting what we stopped has been given up.
fn starts(draft: &Draft<'_>) -> usize {
    draft.next.history.iter().filter(|entry| matches!(entry.event, Event::Closed(Ending::DoesNotStart))).count()
}

/// Whether an incident rests because of its node's quarantine.
fn is_quarantine(why: &Ending) -> bool {
    matches!(why, Ending::Quarantined { .. } | Ending::Refused { refusal: Refusal::Quarantined { .. } })
}

/// A resting incident does nothing until the node's state changes: then it ends; one in quarantine goes on once a person cleared the node. Once a day it reminds.
pub(super) fn resting(
    mut draft: Draft<'_>,
    seen: &Observation,
    rails: &Rails,
    why: Ending,
    (since, remind_at): (Timestamp, Timestamp),
) -> Plan {
    let now = draft.now;
    given_back_by_others(&mut draft, seen);
    let why = draft.next.ending().cloned().unwrap_or(why);
    if draft.health(seen).is_well() {
        return draft.end(Ending::SelfHealed);
    }
    let cleared = rails.quarantine.is_none();
    #[cfg(feature = "plants")]
    let cleared = cleared || crate::plants::on(crate::plants::Plant::IgnoreQuarantine);
    if cleared && is_quarantine(&why) {
        // A person cleared the node, so this goes on where it ended, with its clocks anew.
        // Whose word it was stands in the switch's log: the ledger keeps only that the quarantine is gone.
        draft.note(Event::Operator(Said { word: OperatorWord::Cleared, by: None }));
        draft.next.parked_secs = 0;
        let wake = draft.in_secs(0);
        let deadline = after(now, super::examine::EXAMINE_SECS);
        return draft.go(Phase::Examining { since: now, deadline, sending: None }, Some(wake));
    }
    let due = now >= remind_at;
    if due {
        draft.note(Event::Reminded);
        draft.report(ReportKind::Reminder);
    }
    let stopped = seen.ec2.known().is_some_and(|ec2| ec2.state == InstanceState::Stopped);
    #[cfg(feature = "plants")]
    let stopped = stopped && !crate::plants::on(crate::plants::Plant::StartOnce);
    if draft.next.holds.stopped && stopped && (due || starts(&draft) < STARTS_MAX) {
        // A person was told, and capacity may be back: a node that we stopped is not left so (S14).
        return cycle::try_to_start(draft);
    }
    if still_drained(&draft, seen) && (due || tries(&draft) < TRIES_MAX) {
        // A person was told, and ECS may accept it now: one call, and the next one at the next look.
        return cycle::try_to_undo_drain(draft, Then::End(given_back(why)));
    }
    if !due {
        let holds = draft.next.holds;
        let unseen = holds.stopped && seen.ec2.blind().is_some() || holds.draining && seen.ecs.blind().is_some();
        let wake = after(now, if unseen { UNSEEN_LOOK_SECS } else { REST_LOOK_SECS }).min(remind_at);
        return draft.stay(Some(wake));
    }
    let remind_at = after(now, REMIND_SECS);
    let wake = after(now, REST_LOOK_SECS);
    draft.go(Phase::Resting { why, since, remind_at }, Some(wake))
}
