//! The steps of a remedy, second by second: until when each waits, when it is tried again, and when it is given up.

use super::*;
use crate::effect::{Intent, IntentId};
use crate::incident::{Holds, Milestone, Then};
use crate::observe::{Blind, EcsStatus, InstanceState, Lifecycle};

/// Between two looks, in seconds.
const LOOK: i64 = 15;

fn landed(at: Timestamp) -> IntentState {
    IntentState::Landed { at, command: None }
}

fn refused(at: Timestamp) -> IntentState {
    IntentState::Refused { at }
}

fn burned(at: Timestamp) -> IntentState {
    IntentState::Burned { at }
}

/// A case whose effect was saved so many seconds ago.
fn sent(remedy: Remedy, effect: Effect, secs: i64, state: fn(Timestamp) -> IntentState) -> (Case, Intent) {
    let case = silent().patient().wait(2_000);
    let committed_at = after(case.now, -secs);
    let state = state(committed_at);
    let intent = Intent { id: IntentId(1), effect, committed_at, not_after: after(committed_at, 20), state };
    let attempt = remedy_tried(remedy, committed_at, AttemptResult::Running);
    let case = case.with(|incident| {
        incident.attempts.push(attempt);
        incident.holds.permits = true;
        incident.wake_at = None;
    });
    (case, intent)
}

fn draining(secs: i64, state: fn(Timestamp) -> IntentState, left: i64, then: Then) -> Case {
    let effect = if then == Then::Examine { Effect::Drain } else { Effect::Activate };
    let (case, intent) = sent(Remedy::Reboot, effect, secs, state);
    let deadline = after(case.now, left);
    case.with(|incident| incident.holds.draining = true).phase(Phase::Draining { intent, deadline, then })
}

fn standby(effect: Effect, secs: i64, state: fn(Timestamp) -> IntentState, left: i64, then: Then) -> Case {
    let (case, intent) = sent(Remedy::Replace, effect, secs, state);
    let deadline = after(case.now, left);
    case.with(|incident| incident.holds.standby = true).phase(Phase::Standby { intent, deadline, then })
}

fn treating(remedy: Remedy, effect: Effect, secs: i64, state: fn(Timestamp) -> IntentState, left: i64) -> Case {
    let (case, intent) = sent(remedy, effect, secs, state);
    let deadline = after(case.now, left);
    case.with(|incident| incident.holds.stopped = remedy == Remedy::StopStart).phase(Phase::Treating {
        intent,
        remedy,
        deadline,
    })
}

/// Nothing happens but another look; at what takes minutes, after half the time that has passed.
fn waits(case: &Case, tell: impl FnOnce(Seen) -> Seen) -> bool {
    let plan = case.plan(tell);
    let same = plan.next.phase == case.incident.phase && plan.next.holds == case.incident.holds;
    assert!(!same || plan.perform.is_none());
    let secs = match &case.incident.phase {
        Phase::Treating { intent, .. } | Phase::Standby { intent, .. }
            if matches!(intent.effect, Effect::Stop | Effect::Terminate | Effect::EnterStandby) =>
        {
            (secs_between(intent.committed_at, case.now) / 2).clamp(LOOK, 60)
        }
        _ => LOOK,
    };
    assert!(!same || plan.next.wake_at == Some(after(case.now, secs)), "{:?}", plan.next.wake_at);
    same
}

fn parked_for(plan: &Plan) -> Option<Effect> {
    match parked(plan) {
        Some(Refusal::CallRefused { effect }) => Some(*effect),
        _ => None,
    }
}

fn ends() -> Then {
    Then::End(Ending::SelfHealed)
}

fn ecs(status: EcsStatus, tasks: u32) -> impl Fn(Seen) -> Seen + Copy {
    move |seen| dead(seen).ecs_lost().with_ecs(|ecs| (ecs.status, ecs.tasks) = (status, tasks))
}

fn ecs_unseen(seen: Seen) -> Seen {
    dead(seen).with(|seen| seen.ecs = Fact::Unknown(Blind::Throttled))
}

fn member(lifecycle: Lifecycle) -> impl Fn(Seen) -> Seen + Copy {
    move |seen| dead(seen).with_asg(|asg| asg.lifecycle = lifecycle)
}

fn machine(state: InstanceState) -> impl Fn(Seen) -> Seen + Copy {
    move |seen| dead(seen).in_cluster().state(state)
}

fn reached(plan: &Plan, milestone: Milestone) -> bool {
    plan.next.history.iter().any(|entry| entry.event == Event::Reached(milestone))
}

#[test]
fn a_drain_is_waited_for_until_its_tasks_are_gone_or_its_time_is_up() {
    let busy = ecs(EcsStatus::Draining, 2);
    assert!(waits(&draining(30, landed, 1, Then::Examine), busy));
    assert!(waits(&draining(30, landed, 1, Then::Examine), ecs_unseen));
    for (left, tell, tasks) in [(1, ecs(EcsStatus::Draining, 0), 0), (0, ecs(EcsStatus::Draining, 2), 2)] {
        let plan = draining(30, landed, left, Then::Examine).plan(tell);
        assert!(matches!(plan.next.phase, Phase::Examining { .. }), "{left}");
        assert!(plan.next.history.iter().any(|entry| entry.event == Event::Drained { left: tasks }), "{left}");
        assert!(plan.next.holds.draining && plan.next.holds.permits);
    }
    let gone = draining(30, landed, 1, Then::Examine).plan(dead);
    assert!(gone.next.history.iter().any(|entry| entry.event == Event::Drained { left: 0 }), "deregistered");
}

#[test]
fn a_drain_on_a_disconnected_agent_is_looked_at_when_its_time_is_over() {
    let wake = |secs: i64, left: i64, tell: &dyn Fn(Seen) -> Seen| {
        let case = draining(secs, landed, left, Then::Examine);
        secs_between(case.now, case.plan(tell).next.wake_at.unwrap())
    };
    let disconnected = ecs(EcsStatus::Draining, 2);
    assert_eq!(wake(20, 100, &disconnected), 100, "it ends no task");
    let connected = |seen: Seen| disconnected(seen).with_ecs(|ecs| ecs.connected = true);
    assert_eq!([20, 60, 200].map(|secs| wake(secs, 100, &connected)), [15, 30, 60], "after half the time that passed");
    assert_eq!(wake(200, 40, &connected), 40, "and not after its end");
}

#[test]
fn a_refused_drain_holds_nothing() {
    let plan = draining(30, refused, 100, Then::Examine).plan(ecs(EcsStatus::Active, 2));
    assert_eq!((parked_for(&plan), plan.next.holds), (Some(Effect::Drain), Holds::default()));
}

#[test]
fn a_drain_is_undone_again_after_a_minute_or_a_refusal_and_given_up_at_its_deadline() {
    let still = ecs(EcsStatus::Draining, 0);
    assert!(waits(&draining(59, landed, 1, ends()), still));
    assert!(waits(&draining(59, landed, 1, ends()), ecs_unseen));
    for case in [draining(60, landed, 1, ends()), draining(59, refused, 1, ends())] {
        let plan = case.plan(still);
        let Phase::Draining { deadline, .. } = plan.next.phase else { panic!("{:?}", plan.next.phase) };
        assert_eq!((effect(&plan), deadline), (Some(Effect::Activate), after(case.now, 1)));
        assert_eq!(plan.next.wake_at, Some(after(case.now, LOOK)));
    }
    for tell in [&still as &dyn Fn(Seen) -> Seen, &ecs_unseen] {
        let plan = draining(59, landed, 0, ends()).plan(tell);
        assert_eq!(plan.next.ending(), Some(&Ending::NotGivenBack));
        assert!(plan.next.holds.draining && plan.next.holds.permits, "it is still missing from its cluster");
    }
}

#[test]
fn a_drain_is_undone_when_the_node_is_active_or_no_longer_registered() {
    for tell in [&ecs(EcsStatus::Active, 1) as &dyn Fn(Seen) -> Seen, &dead, &ecs(EcsStatus::Inactive, 0)] {
        let plan = draining(1, landed, 100, ends()).plan(tell);
        assert_eq!((plan.next.ending(), plan.next.holds), (Some(&Ending::SelfHealed), Holds::default()));
    }
    let refusal = Refusal::LiveSessions { count: 1, who: Arc::default() };
    let plan = draining(1, landed, 100, Then::Park { refusal: refusal.clone() }).plan(ecs(EcsStatus::Active, 1));
    assert_eq!((parked(&plan), plan.next.holds), (Some(&refusal), Holds::default()));
}

#[test]
fn standby_is_waited_for_until_it_is_reached_refused_or_its_time_is_up() {
    let entering = |secs, state, left| standby(Effect::EnterStandby, secs, state, left, Then::Examine);
    assert!(waits(&entering(30, landed, 1), member(Lifecycle::EnteringStandby)));
    assert!(waits(&entering(30, landed, 1), member(Lifecycle::InService)));
    let inside = entering(30, landed, 1).plan(member(Lifecycle::Standby));
    assert!(matches!(inside.next.phase, Phase::Examining { .. }) && inside.next.holds.standby);
    assert!(reached(&inside, Milestone::InStandby));
    let never = entering(30, landed, 0).plan(member(Lifecycle::InService));
    assert_eq!((parked_for(&never), never.next.holds.standby), (Some(Effect::EnterStandby), false));
    let half = entering(30, landed, 0).plan(member(Lifecycle::EnteringStandby));
    assert_eq!((parked_for(&half), half.next.holds.standby), (Some(Effect::EnterStandby), true));
    let no = entering(30, refused, 100).plan(member(Lifecycle::InService));
    assert_eq!((parked_for(&no), no.next.holds.standby), (Some(Effect::EnterStandby), false));
}

#[test]
fn standby_is_left_for_a_replacement_until_the_group_has_moved_the_instance() {
    let leaving = |state, left| standby(Effect::ExitStandby, 30, state, left, Then::Examine);
    let inside = member(Lifecycle::Standby);
    assert!(waits(&leaving(landed, 1), inside));
    for (state, left) in [(landed as fn(Timestamp) -> IntentState, 0), (refused, 1)] {
        let plan = leaving(state, left).plan(inside);
        assert_eq!((parked_for(&plan), plan.next.holds.standby), (Some(Effect::ExitStandby), true), "{left}");
    }
    let back = leaving(landed, 1).plan(member(Lifecycle::InService));
    assert!(matches!(back.next.phase, Phase::Examining { .. }) && !back.next.holds.standby);
    assert!(reached(&back, Milestone::InService));
    // The group terminates what left Standby sick: what follows is what follows our own termination.
    let gone = leaving(landed, 1).plan(|seen| inside(seen).state(InstanceState::ShuttingDown));
    let Phase::Treating { remedy, deadline, .. } = gone.next.phase else { panic!("{:?}", gone.next.phase) };
    let case = leaving(landed, 1);
    assert_eq!((remedy, deadline), (Remedy::Replace, after(case.now, 1_200)));
    assert_eq!(gone.next.attempts.last().unwrap().acted_at, Some(case.now));
    let blind = |seen: Seen| inside(seen).with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled));
    assert!(waits(&leaving(landed, 1), blind), "not to be seen is not gone");
}

#[test]
fn standby_is_ended_again_after_two_minutes_or_a_refusal_and_given_up_at_its_deadline() {
    let leaving = |secs, state, left| standby(Effect::ExitStandby, secs, state, left, ends());
    let inside = member(Lifecycle::Standby);
    let unseen = |seen: Seen| dead(seen).with(|seen| seen.asg = Fact::Unknown(Blind::Throttled));
    assert!(waits(&leaving(119, landed, 1), inside) && waits(&leaving(119, landed, 1), unseen));
    for case in [leaving(120, landed, 1), leaving(119, refused, 1)] {
        let plan = case.plan(inside);
        let Phase::Standby { deadline, .. } = plan.next.phase else { panic!("{:?}", plan.next.phase) };
        assert_eq!((effect(&plan), deadline), (Some(Effect::ExitStandby), after(case.now, 1)));
    }
    for tell in [&inside as &dyn Fn(Seen) -> Seen, &unseen] {
        assert_eq!(leaving(30, landed, 0).plan(tell).next.ending(), Some(&Ending::NotGivenBack));
    }
    for tell in [&member(Lifecycle::InService) as &dyn Fn(Seen) -> Seen, &member(Lifecycle::Pending), &dead] {
        let plan = leaving(1, landed, 100).plan(tell);
        assert_eq!((plan.next.ending(), plan.next.holds), (Some(&Ending::SelfHealed), Holds::default()));
    }
}

#[test]
fn a_stop_is_waited_for_until_it_is_seen_lost_or_stuck() {
    let stopping = |secs, left| treating(Remedy::StopStart, Effect::Stop, secs, landed, left);
    assert!(waits(&stopping(180, 1), machine(InstanceState::Running)));
    assert!(waits(&stopping(900, 1), machine(InstanceState::Stopping)));
    assert!(
        waits(&stopping(10, 0), machine(InstanceState::Running)),
        "a look from right after the call proves nothing"
    );
    let lost = [(181, 1, InstanceState::Running), (181, 1, InstanceState::Pending)];
    for (secs, left, state) in lost {
        let plan = stopping(secs, left).plan(machine(state));
        assert!(matches!(plan.next.phase, Phase::Examining { .. }), "{secs}");
        assert_eq!(plan.next.attempts.last().unwrap().result, AttemptResult::Failed);
        assert!(!plan.next.holds.stopped && matches!(plan.permits, Permits::Free { .. }));
    }
    let stuck = stopping(900, 0).plan(machine(InstanceState::Stopping));
    assert_eq!((stuck.next.ending(), stuck.next.holds.stopped), (Some(&Ending::DoesNotStart), true));
    let case = stopping(30, 100);
    let stopped = case.plan(machine(InstanceState::Stopped));
    let Phase::Treating { deadline, .. } = stopped.next.phase else { panic!("{:?}", stopped.next.phase) };
    assert_eq!((effect(&stopped), deadline), (Some(Effect::Start), after(case.now, 600)));
    assert!(reached(&stopped, Milestone::Stopped) && stopped.next.wake_at == Some(after(case.now, 75)));
}

#[test]
fn a_start_is_tried_again_after_a_minute_and_told_of_at_its_deadline_whatever_keeps_it() {
    let starting = |secs, state, left| treating(Remedy::StopStart, Effect::Start, secs, state, left);
    let stopped = machine(InstanceState::Stopped);
    assert!(waits(&starting(60, landed, 1), stopped) && waits(&starting(10, landed, 0), stopped));
    assert!(waits(&starting(60, refused, 1), stopped), "capacity does not come back within seconds");
    assert!(waits(&starting(10, landed, 1), machine(InstanceState::Pending)));
    for case in [starting(61, landed, 1), starting(61, refused, 1)] {
        let plan = case.plan(stopped);
        let Phase::Treating { deadline, .. } = plan.next.phase else { panic!("{:?}", plan.next.phase) };
        assert_eq!((effect(&plan), deadline), (Some(Effect::Start), after(case.now, 1)));
        assert_eq!(plan.next.wake_at, Some(after(case.now, 75)));
    }
    for state in [InstanceState::Stopped, InstanceState::Pending, InstanceState::Stopping] {
        let told = starting(61, landed, 0).plan(machine(state));
        assert_eq!((told.next.ending(), told.next.holds.stopped), (Some(&Ending::DoesNotStart), true), "{state:?}");
    }
    let late = starting(601, refused, -1).plan(stopped);
    assert_eq!(effect(&late), Some(Effect::Start), "nobody looked for ten minutes: a try goes before the word");
    let told = starting(600, refused, -1).plan(stopped);
    assert_eq!((effect(&told), told.next.ending()), (None, Some(&Ending::DoesNotStart)));
    // The pass stood still before it sent the last one, which nobody can have refused.
    let missed =
        |left| starting(61, landed, left).with(|incident| incident.note(noon(), Event::Expired(Effect::Start)));
    for (left, next) in [(0, Some(Effect::Start)), (-600, Some(Effect::Start)), (-601, None)] {
        assert_eq!(effect(&missed(left).plan(stopped)), next, "{left}");
    }
    for sent in [Event::Done(Effect::Start), Event::Refused(Effect::Start), Event::Burned(Effect::Start)] {
        let case = missed(0).with(|incident| incident.note(noon(), sent.clone()));
        assert_eq!(case.plan(stopped).next.ending(), Some(&Ending::DoesNotStart), "{sent:?}");
    }
    let unseen = |seen: Seen| dead(seen).with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled));
    assert!(waits(&starting(61, landed, -599), unseen), "it may run by now");
    assert_eq!(starting(61, landed, -600).plan(unseen).next.ending(), Some(&Ending::DoesNotStart));
    let runs = starting(10, landed, 1).plan(machine(InstanceState::Running));
    assert!(matches!(runs.next.phase, Phase::Verifying { remedy: Remedy::StopStart, .. }));
    assert!(!runs.next.holds.stopped && reached(&runs, Milestone::Running));
}

#[test]
fn a_terminated_instance_is_fenced_before_its_registration_is_removed() {
    let fencing = |secs, state, left| treating(Remedy::Replace, Effect::Terminate, secs, state, left);
    assert!(waits(&fencing(30, landed, 1), machine(InstanceState::ShuttingDown)));
    assert!(waits(&fencing(900, landed, 1), machine(InstanceState::Running)), "it was accepted");
    assert!(waits(&fencing(180, burned, 1), machine(InstanceState::Running)));
    let lost = fencing(181, burned, 1).plan(machine(InstanceState::Running));
    assert!(matches!(lost.next.phase, Phase::Examining { .. }) && matches!(lost.permits, Permits::Free { .. }));
    assert_eq!(lost.next.attempts.last().unwrap().result, AttemptResult::Failed);
    assert!(waits(&fencing(181, burned, 1), machine(InstanceState::ShuttingDown)));
    let stuck = fencing(900, landed, 0).plan(machine(InstanceState::ShuttingDown));
    assert_eq!(stuck.next.ending(), Some(&Ending::LadderExhausted));
    assert_eq!(stuck.next.attempts.last().unwrap().result, AttemptResult::Failed);
    let gone = |seen: Seen| machine(InstanceState::Terminated)(seen).with(|seen| seen.ec2 = Fact::Absent);
    for tell in [&machine(InstanceState::Terminated) as &dyn Fn(Seen) -> Seen, &machine(InstanceState::Stopped), &gone]
    {
        let case = fencing(30, landed, 100).with(|incident| incident.holds.draining = true);
        let plan = case.plan(tell);
        assert_eq!((effect(&plan), plan.next.holds.draining), (Some(Effect::Deregister), false));
        assert!(reached(&plan, Milestone::Fenced) && plan.next.wake_at == Some(after(case.now, LOOK)));
        let ghost = case.plan(|seen| tell(seen).with_ecs(|ecs| ecs.status = EcsStatus::Inactive));
        assert!(matches!(ghost.next.phase, Phase::Verifying { .. }), "ECS has removed it by itself");
        let none = case.plan(|seen| tell(seen).with(|seen| seen.ecs = Fact::Absent));
        assert!(matches!(none.next.phase, Phase::Verifying { .. }), "there was none");
        let blind = case.plan(|seen| tell(seen).with(|seen| seen.ecs = Fact::Unknown(Blind::Throttled)));
        assert!(matches!(blind.next.phase, Phase::Treating { .. }) && blind.perform.is_none());
    }
}

#[test]
fn a_refused_removal_of_a_registration_is_tried_until_its_deadline() {
    let removing = |state, left| treating(Remedy::Replace, Effect::Deregister, 30, state, left);
    let terminated = machine(InstanceState::Terminated);
    assert_eq!(effect(&removing(refused, 1).plan(terminated)), Some(Effect::Deregister));
    for case in [removing(refused, 0), removing(landed, 1)] {
        let plan = case.plan(terminated);
        assert!(matches!(plan.next.phase, Phase::Verifying { remedy: Remedy::Replace, .. }) && plan.perform.is_none());
    }
}

#[test]
fn a_refused_stop_has_stopped_nothing() {
    let plan = treating(Remedy::StopStart, Effect::Stop, 30, refused, 100).plan(machine(InstanceState::Running));
    assert_eq!((parked_for(&plan), plan.next.holds), (Some(Effect::Stop), Holds::default()));
    assert_eq!(plan.next.attempts.last().unwrap().result, AttemptResult::Refused);
    let plan = treating(Remedy::Reboot, Effect::Reboot, 30, refused, 100)
        .with(|incident| incident.holds.stopped = true)
        .plan(machine(InstanceState::Running));
    assert!(plan.next.holds.stopped, "what another remedy stopped is still stopped");
}
