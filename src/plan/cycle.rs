//! Around and inside a remedy: drain, Standby, the effect itself, and giving everything back.
//!
//! Each step saves its intent first. After a drain or a Standby the node is examined again before anything disruptive is
//! sent, so a node that recovered in the meantime is given back untouched.

use std::sync::Arc;

use jiff::Timestamp;

use super::draft::{Draft, Plan};
use super::{examine, verify};
use crate::effect::{Effect, Intent, IntentState};
use crate::guard::{Refusal, WorkloadRefusal, budget, gates};
use crate::incident::{Attempt, AttemptResult, Ending, Event, Milestone, Phase, Remedy, Then};
use crate::observe::{EcsStatus, Fact, InstanceState, Lifecycle, Observation, Sessions};
use crate::policy::{LeftRule, SessionsRule};
use crate::time::{after, secs_between};

/// A connected agent gets this long to end its tasks, in seconds.
const DRAIN_SECS: i64 = 300;
/// A disconnected agent cannot stop tasks: its drain only keeps new ones away and starts replacements (DESIGN.md §7).
const DRAIN_DISCONNECTED_SECS: i64 = 120;
/// How long the group gets to move an instance, in seconds.
const STANDBY_SECS: i64 = 600;
/// How long an instance gets to stop, in seconds; a stuck stop is an AWS support case.
const STOP_SECS: i64 = 15 * 60;
/// How long a terminated instance gets until it can do no more harm, in seconds (DESIGN.md §7).
const FENCE_SECS: i64 = 20 * 60;
/// How long to go on trying to give back what was taken, in seconds.
const GIVE_BACK_SECS: i64 = 3_600;
/// Between two looks at a state that is changing, in seconds.
const LOOK_SECS: i64 = 15;
/// When to look first whether an instance has stopped, in seconds: a sick one takes a minute and more.
const STOP_LOOK_SECS: i64 = 90;
/// When to look first whether it runs again, in seconds: for the same reason.
const START_LOOK_SECS: i64 = 75;
/// When to look first whether it is terminated, in seconds: nobody waits for that but its registration.
const FENCE_LOOK_SECS: i64 = 120;
/// Between two looks at what takes minutes, at most, in seconds.
const LOOK_MAX_SECS: i64 = 60;
/// Between two tries of the same call, in seconds.
const RETRY_SECS: i64 = 60;
/// Between two tries of a start at most, in seconds: each wait is twice the one before, for capacity that lacks comes back within
/// minutes or within hours, and every try is a line of the record.
const START_RETRY_MAX_SECS: i64 = 15 * 60;
/// A person is told when an instance that we stopped has not come back for so long, in seconds. It is worse than a sick one, so this is
/// soon; the tries go on.
const START_TELL_SECS: i64 = 10 * 60;
/// How long a single further start may take, in seconds: what starts runs within a minute or two.
const START_TRY_SECS: i64 = 180;

/// Begins a remedy, or takes the next step towards it: permits first, then drain, then Standby, then the effect.
pub(super) fn begin(mut draft: Draft<'_>, seen: &Observation, remedy: Remedy) -> Plan {
    let now = draft.now;
    if draft.next.running_attempt().is_none_or(|attempt| attempt.remedy != remedy) {
        draft.end_attempt(AttemptResult::NotSent);
        let earlier = draft.next.attempts.iter().filter(|a| a.remedy == remedy && a.acted_at.is_some()).count();
        let attempt = u8::try_from(earlier.saturating_add(1)).unwrap_or(u8::MAX);
        draft.note(Event::Chosen { remedy, attempt, of: super::ladder::tries_max(draft.policy, remedy) });
        draft.next.attempts.push(Attempt { remedy, at: now, acted_at: None, result: AttemptResult::Running });
    }
    if remedy.is_disruptive() {
        let claims = budget::claims(&draft.next, seen, draft.policy);
        draft.claim(claims);
        if let Some(deadline) = drain_for(&draft, seen, remedy) {
            let intent = draft.intend(Effect::Drain);
            draft.next.holds.draining = true;
            let wake = drained_at(&draft, seen, &intent, deadline);
            return draft.go(Phase::Draining { intent, deadline, then: Then::Examine }, Some(wake));
        }
        // From Standby the group would launch nobody: its desired capacity was lowered when the instance went there.
        if remedy == Remedy::Replace && draft.next.holds.standby {
            let intent = draft.intend(Effect::ExitStandby);
            let deadline = after(now, STANDBY_SECS);
            let wake = draft.in_secs(LOOK_SECS);
            return draft.go(Phase::Standby { intent, deadline, then: Then::Examine }, Some(wake));
        }
        if gates::needs_standby(seen, remedy, draft.next.holds) {
            let intent = draft.intend(Effect::EnterStandby);
            draft.next.holds.standby = true;
            let deadline = after(now, STANDBY_SECS);
            let wake = draft.in_secs(LOOK_SECS);
            return draft.go(Phase::Standby { intent, deadline, then: Then::Examine }, Some(wake));
        }
    }
    if remedy.ends_sessions()
        && draft.policy.sessions == SessionsRule::Warn
        && let Some(Sessions { live, who, .. }) = seen.sessions.known().filter(|sessions| sessions.live > 0)
    {
        draft.note(Event::SessionsCut { count: *live, who: Arc::clone(who) });
    }
    act(draft, remedy)
}

/// Until when to drain before this remedy; none where it needs no drain, or has it already, or somebody else drains.
pub(super) fn drain_for(draft: &Draft<'_>, seen: &Observation, remedy: Remedy) -> Option<Timestamp> {
    let ecs = seen.ecs.known()?;
    if draft.next.holds.draining || ecs.status != EcsStatus::Active {
        return None;
    }
    // A dead agent's tasks are not saved by a drain when the instance goes for good.
    if remedy == Remedy::Replace && !ecs.connected {
        return None;
    }
    let secs = if ecs.connected { DRAIN_SECS } else { DRAIN_DISCONNECTED_SECS };
    Some(after(draft.now, secs))
}

/// When to look at a drain again. A disconnected agent ends no task, so that only its deadline ends the drain.
fn drained_at(draft: &Draft<'_>, seen: &Observation, intent: &Intent, deadline: Timestamp) -> Timestamp {
    match seen.ecs.known() {
        Some(ecs) if !ecs.connected => deadline.max(draft.in_secs(LOOK_SECS)),
        Some(_) | None => later(draft, intent).min(deadline.max(draft.in_secs(LOOK_SECS))),
    }
}

/// When to look again at what was asked for.
fn later(draft: &Draft<'_>, intent: &Intent) -> Timestamp {
    draft.half_as_long(intent.committed_at, (LOOK_SECS, LOOK_MAX_SECS))
}

/// The remedy's own effect.
fn act(mut draft: Draft<'_>, remedy: Remedy) -> Plan {
    let now = draft.now;
    let intent = draft.intend(Effect::of(remedy));
    if let Some(attempt) = draft.next.running_attempt() {
        attempt.acted_at = Some(now);
    }
    let secs = match remedy {
        Remedy::StopStart => {
            draft.next.holds.stopped = true;
            STOP_SECS
        }
        Remedy::Replace => FENCE_SECS,
        Remedy::FreeDisk
        | Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime
        | Remedy::Reboot => RETRY_SECS,
    };
    let wake = draft.in_secs(match remedy {
        Remedy::StopStart => STOP_LOOK_SECS,
        Remedy::Replace => FENCE_LOOK_SECS,
        Remedy::FreeDisk
        | Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime
        | Remedy::Reboot => LOOK_SECS,
    });
    draft.go(Phase::Treating { intent, remedy, deadline: after(now, secs) }, Some(wake))
}

/// Our drain, or its undoing.
pub(super) fn draining(
    mut draft: Draft<'_>,
    seen: &Observation,
    intent: Intent,
    deadline: Timestamp,
    then: Then,
) -> Plan {
    let now = draft.now;
    let ecs = match &seen.ecs {
        Fact::Known(ecs) => Some(ecs),
        // Deregistered in the meantime: nothing is left to drain or to give back.
        Fact::Absent => None,
        Fact::Unknown(_) if now < deadline => {
            let wake = draft.in_secs(LOOK_SECS);
            return draft.go(Phase::Draining { intent, deadline, then }, Some(wake));
        }
        Fact::Unknown(_) => None,
    };
    let refused = matches!(intent.state, IntentState::Refused { .. });
    match then {
        Then::Examine => {
            if refused {
                draft.next.holds.draining = false;
                return draft.park(Refusal::CallRefused { effect: Effect::Drain });
            }
            let left = match &seen.ecs {
                Fact::Known(ecs) => ecs.tasks,
                Fact::Absent => 0,
                // Not to be seen: as many as were seen last.
                Fact::Unknown(_) => draft.next.place.tasks,
            };
            if left == 0 || now >= deadline {
                draft.note(Event::Drained { left });
                // Whose agent is disconnected can end no tasks, however long anybody waits. What cannot be seen may be connected.
                let ends = match &seen.ecs {
                    Fact::Known(ecs) => ecs.connected,
                    Fact::Absent => false,
                    Fact::Unknown(_) => true,
                };
                if left > 0 && ends && draft.policy.workload.left == LeftRule::GiveBack {
                    planted!(GoOnAnyway => return examine_again(draft));
                    return draft.park(Refusal::Workload { why: WorkloadRefusal::StillThere { count: left } });
                }
                return examine_again(draft);
            }
            let wake = drained_at(&draft, seen, &intent, deadline);
            draft.go(Phase::Draining { intent, deadline, then: Then::Examine }, Some(wake))
        }
        then @ (Then::Park { .. } | Then::End(_)) => {
            let active = ecs.is_none_or(|ecs| ecs.status != EcsStatus::Draining);
            if active && seen.ecs.blind().is_none() {
                draft.next.holds.draining = false;
                draft.touch();
                return given_back(draft, then);
            }
            if now >= deadline {
                return draft.finish(Ending::NotGivenBack);
            }
            // Refused, burned, or accepted and without effect after a while: try again, with an intent of its own.
            let tried_for = secs_between(intent.committed_at, now);
            if refused || tried_for >= RETRY_SECS {
                return activate(draft, then, deadline);
            }
            let wake = draft.in_secs(LOOK_SECS);
            draft.go(Phase::Draining { intent, deadline, then }, Some(wake))
        }
    }
}

/// Goes on once something has been given back.
fn given_back(draft: Draft<'_>, then: Then) -> Plan {
    match then {
        Then::Examine => examine_again(draft),
        Then::Park { refusal } => draft.park(refusal),
        Then::End(ending) => draft.end(ending),
    }
}

/// Sets our drained container instance back to `ACTIVE`, then goes on.
pub(super) fn undo_drain(draft: Draft<'_>, then: Then) -> Plan {
    let deadline = after(draft.now, GIVE_BACK_SECS);
    activate(draft, then, deadline)
}

/// The same, once.
pub(super) fn try_to_undo_drain(draft: Draft<'_>, then: Then) -> Plan {
    let deadline = after(draft.now, LOOK_SECS);
    activate(draft, then, deadline)
}

fn activate(mut draft: Draft<'_>, then: Then, deadline: Timestamp) -> Plan {
    let intent = draft.intend(Effect::Activate);
    let wake = draft.in_secs(LOOK_SECS);
    draft.go(Phase::Draining { intent, deadline, then }, Some(wake))
}

/// Our Standby, or its end.
pub(super) fn standby(
    mut draft: Draft<'_>,
    seen: &Observation,
    intent: Intent,
    deadline: Timestamp,
    then: Then,
) -> Plan {
    let now = draft.now;
    let lifecycle = seen.asg.known().map(|asg| asg.lifecycle);
    let refused = matches!(intent.state, IntentState::Refused { .. });
    match then {
        // On the way out, to be replaced: leaving it with a sick node may already make the group replace it.
        Then::Examine if intent.effect == Effect::ExitStandby => {
            let leaving = seen
                .ec2
                .known()
                .is_none_or(|ec2| matches!(ec2.state, InstanceState::ShuttingDown | InstanceState::Terminated));
            if leaving && seen.ec2.blind().is_none() {
                // The group replaces it by itself: what follows is what follows our own termination.
                if let Some(attempt) = draft.next.running_attempt() {
                    attempt.acted_at = Some(now);
                }
                let deadline = after(now, FENCE_SECS);
                return fencing(draft, seen, intent, deadline);
            }
            if lifecycle.is_some_and(|state| state != Lifecycle::Standby) {
                draft.next.holds.standby = false;
                draft.note(Event::Reached(Milestone::InService));
                return examine_again(draft);
            }
            if refused || now >= deadline {
                return draft.park(Refusal::CallRefused { effect: Effect::ExitStandby });
            }
            let wake = draft.in_secs(LOOK_SECS);
            draft.go(Phase::Standby { intent, deadline, then: Then::Examine }, Some(wake))
        }
        Then::Examine => {
            if refused {
                draft.next.holds.standby = false;
                return draft.park(Refusal::CallRefused { effect: Effect::EnterStandby });
            }
            if lifecycle == Some(Lifecycle::Standby) {
                draft.note(Event::Reached(Milestone::InStandby));
                return examine_again(draft);
            }
            if draft.read_at >= deadline {
                // Burned, and it never came: the group still has it in service.
                draft.next.holds.standby = lifecycle != Some(Lifecycle::InService);
                return draft.park(Refusal::CallRefused { effect: Effect::EnterStandby });
            }
            let wake = later(&draft, &intent);
            draft.go(Phase::Standby { intent, deadline, then: Then::Examine }, Some(wake))
        }
        then @ (Then::Park { .. } | Then::End(_)) => {
            let back = match &seen.asg {
                Fact::Known(asg) => matches!(asg.lifecycle, Lifecycle::InService | Lifecycle::Pending),
                Fact::Absent => true,
                Fact::Unknown(_) => false,
            };
            if back {
                draft.next.holds.standby = false;
                draft.note(Event::Reached(Milestone::InService));
                return given_back(draft, then);
            }
            if now >= deadline {
                return draft.finish(Ending::NotGivenBack);
            }
            let tried_for = secs_between(intent.committed_at, now);
            if refused || tried_for >= RETRY_SECS.saturating_mul(2) {
                return exit_standby(draft, then, deadline);
            }
            let wake = draft.in_secs(LOOK_SECS);
            draft.go(Phase::Standby { intent, deadline, then }, Some(wake))
        }
    }
}

/// Brings our instance back into service, then ends.
pub(super) fn leave_standby(draft: Draft<'_>, ending: Ending) -> Plan {
    let deadline = after(draft.now, GIVE_BACK_SECS);
    exit_standby(draft, Then::End(ending), deadline)
}

fn exit_standby(mut draft: Draft<'_>, then: Then, deadline: Timestamp) -> Plan {
    let intent = draft.intend(Effect::ExitStandby);
    let wake = draft.in_secs(LOOK_SECS);
    draft.go(Phase::Standby { intent, deadline, then }, Some(wake))
}

/// The node is drained, or set aside: look closely once more before the next step.
fn examine_again(draft: Draft<'_>) -> Plan {
    let now = draft.now;
    let wake = draft.in_secs(LOOK_SECS);
    let deadline = after(now, examine::EXAMINE_SECS);
    draft.go(Phase::Examining { since: now, deadline, sending: None }, Some(wake))
}

/// The remedy's own effect: on its way, refused, or half done.
pub(super) fn treating(
    mut draft: Draft<'_>,
    seen: &Observation,
    intent: Intent,
    remedy: Remedy,
    deadline: Timestamp,
) -> Plan {
    let refused = matches!(intent.state, IntentState::Refused { .. });
    match intent.effect {
        // A start is tried again, and so is a deregistration that came too late: its instance is terminated already.
        Effect::Start => starting(draft, seen, intent, deadline),
        Effect::Deregister if refused && draft.now < deadline => fencing(draft, seen, intent, deadline),
        Effect::Deregister => verify::begin(draft, Remedy::Replace),
        _ if refused => call_refused(draft, remedy, intent.effect),
        Effect::Stop => stopping(draft, seen, intent, deadline),
        Effect::Terminate => fencing(draft, seen, intent, deadline),
        Effect::Probe
        | Effect::FreeDisk
        | Effect::RestartSsmAgent
        | Effect::RestartEcsAgent
        | Effect::RestartRuntime
        | Effect::Drain
        | Effect::Activate
        | Effect::EnterStandby
        | Effect::ExitStandby
        | Effect::Reboot => {
            draft.touch();
            verify::begin(draft, remedy)
        }
    }
}

/// AWS refused the remedy's call: certainly nothing happened, and the same call may be accepted later.
pub(super) fn call_refused(mut draft: Draft<'_>, remedy: Remedy, effect: Effect) -> Plan {
    if remedy == Remedy::StopStart {
        draft.next.holds.stopped = false;
    }
    draft.end_attempt(AttemptResult::Refused);
    draft.park(Refusal::CallRefused { effect })
}

fn stopping(mut draft: Draft<'_>, seen: &Observation, intent: Intent, deadline: Timestamp) -> Plan {
    let now = draft.now;
    let remedy = Remedy::StopStart;
    match seen.ec2.known().map(|ec2| ec2.state) {
        Some(InstanceState::Stopped) => {
            draft.note(Event::Reached(Milestone::Stopped));
            planted!(LeaveStopped => return draft.finish(Ending::DoesNotStart));
            start_again(draft)
        }
        // It ran so long after the call: the call was lost, or somebody started it. A look from right after the call proves
        // nothing, however late it is weighed.
        Some(InstanceState::Running | InstanceState::Pending)
            if secs_between(intent.committed_at, draft.read_at) > RETRY_SECS.saturating_mul(3) =>
        {
            draft.next.holds.stopped = false;
            draft.end_attempt(AttemptResult::Failed);
            draft.free();
            examine_again(draft)
        }
        // Stuck on its way down, or not to be seen for so long.
        Some(InstanceState::Stopping) | None if now >= deadline => draft.finish(Ending::DoesNotStart),
        // What others terminate meanwhile is judged before this.
        Some(
            InstanceState::Running
            | InstanceState::Pending
            | InstanceState::Stopping
            | InstanceState::ShuttingDown
            | InstanceState::Terminated,
        )
        | None => {
            let wake = later(&draft, &intent);
            draft.go(Phase::Treating { intent, remedy, deadline }, Some(wake))
        }
    }
}

/// Starts what we stopped.
pub(super) fn start_again(draft: Draft<'_>) -> Plan {
    let deadline = after(draft.now, START_TELL_SECS);
    start(draft, deadline)
}

/// The same, once, of what a person was told of already.
pub(super) fn try_to_start(draft: Draft<'_>) -> Plan {
    let deadline = after(draft.now, START_TRY_SECS);
    start(draft, deadline)
}

fn start(mut draft: Draft<'_>, deadline: Timestamp) -> Plan {
    let intent = draft.intend(Effect::Start);
    let wake = draft.in_secs(START_LOOK_SECS);
    draft.go(Phase::Treating { intent, remedy: Remedy::StopStart, deadline }, Some(wake))
}

fn starting(mut draft: Draft<'_>, seen: &Observation, intent: Intent, deadline: Timestamp) -> Plan {
    let now = draft.now;
    let remedy = Remedy::StopStart;
    let state = seen.ec2.known().map(|ec2| ec2.state);
    if state == Some(InstanceState::Running) {
        draft.next.holds.stopped = false;
        draft.note(Event::Reached(Milestone::Running));
        return verify::begin(draft, remedy);
    }
    let soon = draft.in_secs(LOOK_SECS);
    let refused = matches!(intent.state, IntentState::Refused { .. });
    let lately = !refused && secs_between(intent.committed_at, now) <= RETRY_SECS;
    // What cannot be seen may run by now; nobody waits for the sight of it for ever.
    let until = if state.is_some() { deadline } else { after(deadline, START_TELL_SECS) };
    // Whatever it is that keeps it: it does not run, and that is our doing. A person is told, and the tries go on (S14).
    if now >= until && !lately {
        // Nobody has looked for so long, or the pass stood still and the last try was never sent: another one goes first, and whether it
        // helped is told right after it.
        let missed = never_sent(&draft) && secs_between(until, now) <= START_TELL_SECS;
        let unseen = secs_between(intent.committed_at, now) > START_TELL_SECS;
        if state == Some(InstanceState::Stopped) && (unseen || missed) {
            return start(draft, deadline);
        }
        return draft.finish(Ending::DoesNotStart);
    }
    if state != Some(InstanceState::Stopped) {
        return draft.go(Phase::Treating { intent, remedy, deadline }, Some(soon));
    }
    // Refused, or accepted and stopped again, as EC2 does where it finds no capacity only afterwards.
    let due = start_due(&draft, &intent);
    if now > due {
        return start(draft, deadline);
    }
    let wake = if refused { due.min(deadline) } else { soon };
    draft.go(Phase::Treating { intent, remedy, deadline }, Some(wake))
}

/// Whether the moment of the last start had passed before it was sent.
fn never_sent(draft: &Draft<'_>) -> bool {
    let last = draft.next.history.iter().rev().find_map(|entry| match entry.event {
        Event::Done(Effect::Start) | Event::Refused(Effect::Start) | Event::Burned(Effect::Start) => Some(false),
        Event::Expired(Effect::Start) => Some(true),
        _ => None,
    });
    last == Some(true)
}

/// When an instance that has not started may be started again: at once where the last start was never sent.
fn start_due(draft: &Draft<'_>, last: &Intent) -> Timestamp {
    let since = draft.next.history.iter().rev();
    let since = since.take_while(|entry| entry.event != Event::Reached(Milestone::Stopped));
    let mut sent: u32 = 0;
    for entry in since {
        match entry.event {
            Event::Done(Effect::Start) | Event::Refused(Effect::Start) | Event::Burned(Effect::Start) => {
                sent = sent.saturating_add(1);
            }
            Event::Expired(Effect::Start) if sent == 0 => return last.committed_at,
            _ => {}
        }
    }
    let doubled = RETRY_SECS.saturating_mul(1 << sent.saturating_sub(1).min(8));
    after(last.committed_at, doubled.min(START_RETRY_MAX_SECS))
}

/// Waits until the terminated instance can do no more harm, then removes its container instance.
fn fencing(mut draft: Draft<'_>, seen: &Observation, intent: Intent, deadline: Timestamp) -> Plan {
    let now = draft.now;
    let remedy = Remedy::Replace;
    let fenced = match &seen.ec2 {
        Fact::Known(ec2) => matches!(ec2.state, InstanceState::Terminated | InstanceState::Stopped),
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    };
    #[cfg(feature = "plants")]
    let fenced = fenced || crate::plants::on(crate::plants::Plant::NoFence);
    if fenced {
        draft.note(Event::Reached(Milestone::Fenced));
        // It is gone with the instance, whatever we had set.
        draft.next.holds.draining = false;
        draft.next.holds.standby = false;
        return match &seen.ecs {
            Fact::Known(ecs) if ecs.status != EcsStatus::Inactive => {
                let intent = draft.intend(Effect::Deregister);
                let wake = draft.in_secs(LOOK_SECS);
                draft.go(Phase::Treating { intent, remedy, deadline }, Some(wake))
            }
            Fact::Known(_) | Fact::Absent => verify::begin(draft, remedy),
            Fact::Unknown(_) => {
                let wake = draft.in_secs(LOOK_SECS);
                draft.go(Phase::Treating { intent, remedy, deadline }, Some(wake))
            }
        };
    }
    let running = seen.ec2.known().is_some_and(|ec2| ec2.state == InstanceState::Running);
    let burned = matches!(intent.state, IntentState::Burned { .. });
    if running && burned && secs_between(intent.committed_at, now) > RETRY_SECS.saturating_mul(3) {
        draft.end_attempt(AttemptResult::Failed);
        draft.free();
        return examine_again(draft);
    }
    if now >= deadline {
        draft.end_attempt(AttemptResult::Failed);
        return draft.finish(Ending::LadderExhausted);
    }
    let wake = later(&draft, &intent);
    draft.go(Phase::Treating { intent, remedy, deadline }, Some(wake))
}
