//! Intents: saved first, sent once, and what each answer means.

use super::*;
use crate::effect::{SEND_WINDOW_SECS, Weight};
use crate::incident::{Milestone, Then};
use crate::observe::{InstanceState, Lifecycle};

const ANSWERS: [Performed; 4] =
    [Performed::Done { command: None }, Performed::Refused, Performed::TooLate, Performed::Unknown];

#[test]
fn an_intent_may_be_sent_for_twenty_seconds_and_not_on_old_reads() {
    let case = silent().patient();
    let fresh = case.plan(dead).perform.unwrap();
    assert_eq!(fresh.not_after, after(case.now, SEND_WINDOW_SECS));
    let old = case.plan(|seen| dead(seen).with(|seen| seen.at = after(case.now, -25))).perform.unwrap();
    assert_eq!(old.not_after, after(case.now, 5), "reads hold for 30 s");
}

#[test]
fn the_intent_in_the_record_is_the_one_that_is_sent() {
    let plan = silent().patient().plan(dead);
    let (intent, perform) = (plan.next.phase.intent().unwrap(), plan.perform.as_ref().unwrap());
    assert_eq!((intent.id, intent.effect, intent.not_after), (perform.intent, perform.effect, perform.not_after));
    assert_eq!(intent.state, IntentState::Pending);
    assert_eq!((perform.incident, perform.target.node), (plan.next.id, plan.next.node));
}

#[test]
fn while_an_intent_is_under_way_nobody_looks_and_then_it_is_burned() {
    let case = silent().patient().look(dead);
    let burnable = after(case.now, SEND_WINDOW_SECS + BURN_AFTER_SECS);
    for secs in [0, 15, 49] {
        assert_eq!(wants(&case.incident, &case.policy, after(case.now, secs)), Wants::Wait(Some(burnable)));
    }
    assert!(matches!(wants(&case.incident, &case.policy, burnable), Wants::Look(_)));
    let burned = case.wait(50).look(dead);
    assert_eq!(burned.effect(), None, "it counts as if it had been sent");
    assert_eq!(burned.incident.phase.name(), "verifying");
    assert!(burned.incident.history.iter().any(|entry| entry.event == Event::Burned(Effect::Reboot)));
}

#[test]
fn an_unknown_answer_changes_nothing_until_it_can_be_burned() {
    let sent = silent().patient().look(dead);
    let not_after = sent.incident.phase.intent().unwrap().not_after;
    let case = sent.answered(&Performed::Unknown);
    assert_eq!(case.intent_state(), Some(&IntentState::Pending));
    assert_eq!(case.incident.wake_at, Some(after(not_after, BURN_AFTER_SECS)));
}

#[test]
fn a_reboot_is_verified_refused_or_looked_at_afresh() {
    let phases = ANSWERS.map(|how| {
        let case = silent().patient().look(dead).answered(&how);
        (case.incident.phase.name(), case.incident.attempts[0].result, case.incident.holds.permits)
    });
    assert_eq!(
        phases,
        [
            ("verifying", AttemptResult::Running, true),
            ("parked", AttemptResult::Refused, false),
            ("examining", AttemptResult::NotSent, false),
            ("treating", AttemptResult::Running, true),
        ]
    );
}

/// Every effect that begins something, with each answer: the phase that follows.
#[test]
fn each_answer_to_each_effect_leads_to_its_phase() {
    let of = |effect: Effect| -> [&'static str; 4] {
        ANSWERS.map(|how| treated(effect).answered(&how).incident.phase.name())
    };
    for effect in Effect::ALL {
        let expected = match effect {
            Effect::Probe => ["examining"; 4],
            Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime
            | Effect::Reboot => ["verifying", "parked", "examining", "treating"],
            Effect::Stop | Effect::Terminate => ["treating", "parked", "examining", "treating"],
            // What we stopped is started whatever AWS says.
            Effect::Start => ["treating"; 4],
            Effect::Deregister => ["verifying", "verifying", "treating", "treating"],
            Effect::Drain => ["draining", "parked", "examining", "draining"],
            Effect::EnterStandby => ["standby", "parked", "examining", "standby"],
            // What we took is given back whatever AWS says.
            Effect::Activate => ["draining"; 4],
            Effect::ExitStandby => ["standby"; 4],
        };
        assert_eq!(of(effect), expected, "{effect:?}");
    }
}

/// An incident in whose hands this effect is.
fn treated(effect: Effect) -> Case {
    let mut case = silent().patient();
    let id = case.incident.next_intent();
    let (committed_at, not_after) = (case.now, after(case.now, 20));
    let intent = crate::effect::Intent { id, effect, committed_at, not_after, state: IntentState::Pending };
    let deadline = after(case.now, 600);
    let treating = |remedy| Phase::Treating { intent: intent.clone(), remedy, deadline };
    let then = if effect.weight() == Weight::Restoring { Then::End(Ending::SelfHealed) } else { Then::Examine };
    let phase = match effect {
        Effect::Probe => Phase::Examining { since: case.now, deadline, sending: Some(intent) },
        Effect::Drain | Effect::Activate => Phase::Draining { intent, deadline, then },
        Effect::EnterStandby | Effect::ExitStandby => Phase::Standby { intent, deadline, then },
        Effect::FreeDisk => treating(Remedy::FreeDisk),
        Effect::RestartSsmAgent => treating(Remedy::RestartSsmAgent),
        Effect::RestartEcsAgent => treating(Remedy::RestartEcsAgent),
        Effect::RestartRuntime => treating(Remedy::RestartRuntime),
        Effect::Reboot => treating(Remedy::Reboot),
        Effect::Stop | Effect::Start => treating(Remedy::StopStart),
        Effect::Terminate | Effect::Deregister => treating(Remedy::Replace),
    };
    let remedy = match &phase {
        Phase::Treating { remedy, .. } => *remedy,
        _ => Remedy::Reboot,
    };
    case.incident.attempts.push(remedy_tried(remedy, case.now, AttemptResult::Running));
    case.phase(phase)
}

#[test]
fn a_deregistration_that_came_too_late_is_tried_again_and_never_ends_as_gone() {
    let over = |seen: Seen| dead(seen).in_cluster().in_group().state(InstanceState::Terminated);
    let late = treated(Effect::Deregister).answered(&Performed::TooLate);
    let again = late.wait(20).look(over);
    assert_eq!((again.effect(), again.incident.phase.name()), (Some(Effect::Deregister), "treating"));
    let ghost = again.done().wait(20).look(over);
    assert_eq!(ghost.incident.phase.name(), "closed");
    assert_eq!(ghost.outcome(), Some(Outcome::Replaced));
}

#[test]
fn a_start_is_tried_until_it_works_and_loudly_given_up() {
    let stopped = |seen: Seen| dead(seen).state(InstanceState::Stopped);
    let mut case = treated(Effect::Start).with(|incident| incident.holds.stopped = true);
    // Each wait is twice the one before.
    for secs in [61, 121, 241] {
        let waits = case.answered(&Performed::Refused);
        let early = waits.clone().wait(secs - 20).look(stopped);
        assert_eq!((early.effect(), early.incident.phase.name()), (None, "treating"), "{secs}");
        case = waits.wait(secs).look(stopped);
        assert_eq!(case.effect(), Some(Effect::Start), "{secs}");
    }
    let late = case.answered(&Performed::Refused).wait(3_600).look(stopped);
    assert_eq!(late.effect(), Some(Effect::Start), "nobody looked for an hour: a try goes before the word");
    let given_up = late.answered(&Performed::Refused).wait(60).look(stopped);
    assert_eq!(given_up.incident.ending(), Some(&Ending::DoesNotStart));
    assert_eq!(given_up.reports(), [ReportKind::NeedsHuman]);
    let performed: Vec<Remedy> = given_up.incident.performed().collect();
    assert_eq!(performed, [Remedy::StopStart], "it was stopped, so it was performed");
}

#[test]
fn a_start_that_was_never_sent_is_due_at_once_and_one_before_it_counts_for_nothing() {
    let stopped = |seen: Seen| dead(seen).state(InstanceState::Stopped);
    let starting = treated(Effect::Start).with(|incident| incident.holds.stopped = true);
    let missed = starting.answered(&Performed::TooLate).wait(20).look(stopped);
    assert_eq!(missed.effect(), Some(Effect::Start));
    let refused = missed.answered(&Performed::Refused);
    assert_eq!(refused.clone().wait(40).look(stopped).effect(), None, "that one was sent");
    assert_eq!(refused.wait(61).look(stopped).effect(), Some(Effect::Start));
}

#[test]
fn what_does_not_start_is_tried_at_every_look_of_a_day_and_then_once_a_day() {
    let stopped = |seen: Seen| dead(seen).state(InstanceState::Stopped);
    let mut case = treated(Effect::Start).with(|incident| incident.holds.stopped = true);
    case = case.answered(&Performed::Refused).wait(3_600).look(stopped);
    case = case.answered(&Performed::Refused).wait(60).look(stopped);
    let (mut tries, mut later, mut messages) = (0, 0, case.reports().len());
    for look in 0..4 * 48 {
        case = case.wait(1_800).look(stopped);
        messages += case.reports().len();
        if case.effect() == Some(Effect::Start) {
            *(if tries == look { &mut tries } else { &mut later }) += 1;
            case = case.answered(&Performed::Refused).wait(200).look(stopped);
            assert_eq!(case.incident.phase.name(), "resting");
            messages += case.reports().len();
        }
    }
    // The first of forty-eight was before; the reminder of the first day comes with one of them.
    assert_eq!((tries, later), (47, 3), "at each look of a day, and then with each reminder");
    assert_eq!(messages, 5, "told once, then a reminder a day");
    let running = case.wait(1_800).look(|seen| seen);
    assert_eq!((running.outcome(), running.incident.holds.stopped), (Some(Outcome::SelfHealed), false));
}

#[test]
fn a_stop_and_start_goes_all_the_way_and_is_proven() {
    let state = |state| move |seen: Seen| dead(seen).hardware_failing().state(state);
    let stopping = silent().patient().look(|seen| dead(seen).hardware_failing());
    assert_eq!((stopping.effect(), stopping.incident.holds.stopped), (Some(Effect::Stop), true));
    let Phase::Treating { deadline, .. } = stopping.incident.phase else { panic!("{:?}", stopping.incident.phase) };
    assert_eq!(secs_between(stopping.now, deadline), 900, "until a stuck stop is told of");
    let waiting = stopping.done().wait(30).look(state(InstanceState::Stopping));
    assert_eq!((waiting.effect(), waiting.incident.phase.name()), (None, "treating"));
    let starting = waiting.wait(60).look(state(InstanceState::Stopped));
    assert_eq!((starting.effect(), starting.outcome()), (Some(Effect::Start), None), "our own stop closes nothing");
    let running = starting.done().wait(30).look(state(InstanceState::Running));
    assert_eq!((running.incident.phase.name(), running.incident.holds.stopped), ("verifying", false));
    let relaunched = |seen: Seen| {
        let at = seen.at;
        seen.with_ec2(|ec2| ec2.launched_at = after(at, -90))
    };
    let seen_once = running.wait(60).look(relaunched);
    assert_eq!(seen_once.incident.phase.name(), "verifying");
    let proven = seen_once.wait(60).look(relaunched);
    assert_eq!(proven.incident.ending(), Some(&Ending::Helped { remedy: Remedy::StopStart }));
    assert_eq!((proven.outcome(), proven.freed()), (Some(Outcome::Cycled), true));
}

#[test]
fn a_reboot_counts_only_with_a_boot_after_it() {
    let rebooted = silent().patient().look(dead).done();
    let since = rebooted.incident.attempts[0].acted_at.unwrap();
    let asked = rebooted.wait(120).look(|seen| seen);
    assert_eq!(asked.effect(), Some(Effect::Probe), "it pings again, so its host can be asked");
    let asked = asked.done().wait(20);
    let old_boot = |seen: Seen| {
        let at = seen.at;
        seen.probe_answered(after(at, -15), after(since, -86_400), &[])
    };
    let new_boot = |seen: Seen| {
        let at = seen.at;
        seen.probe_answered(after(at, -15), after(since, 30), &[])
    };
    assert_eq!(asked.clone().look(old_boot).incident.phase.name(), "verifying");
    let proven = asked.look(new_boot).wait(60).look(new_boot);
    assert_eq!(proven.incident.ending(), Some(&Ending::Helped { remedy: Remedy::Reboot }));
}

#[test]
fn no_host_is_asked_for_the_proof_once_the_mode_was_lowered_to_observe() {
    let rebooted = silent().patient().look(dead).done().mode(Mode::Observe);
    let looked = rebooted.wait(120).look(|seen| seen);
    assert_eq!((looked.effect(), looked.incident.phase.name()), (None, "verifying"), "the proof is taken from outside");
    let proven = looked.clone().wait(60).look(|seen| seen);
    assert_eq!(proven.incident.ending(), Some(&Ending::Helped { remedy: Remedy::Reboot }));
    let may_probe = Case { policy: Policy { allow_probes: true, ..looked.policy.clone() }, ..looked };
    assert_eq!(may_probe.wait(20).look(|seen| seen).effect(), Some(Effect::Probe));
}

#[test]
fn a_remedy_without_its_proof_has_failed_and_its_permits_go_back() {
    let restarted = silent().patient().look(dead).done();
    let failed = restarted.wait(15 * 60).look(dead);
    assert_eq!(failed.incident.attempts[0].result, AttemptResult::Failed);
    assert_eq!((failed.incident.phase.name(), failed.freed()), ("examining", true));
}

#[test]
fn a_replacement_is_fenced_deregistered_and_proven_by_the_group() {
    let failed = remedy_tried(Remedy::Reboot, noon(), AttemptResult::Failed);
    let case = silent().with(|incident| incident.attempts.push(failed)).patient();
    let sick = |seen: Seen| dead(seen).in_cluster().ecs_lost().in_group();
    let leaving = move |state, in_service| {
        move |seen: Seen| {
            sick(seen).state(state).with_asg(|asg| {
                asg.lifecycle = Lifecycle::Terminating;
                asg.in_service = in_service;
            })
        }
    };
    let terminated = case.look(sick);
    assert_eq!(terminated.effect(), Some(Effect::Terminate), "a dead agent's tasks are not saved by a drain");
    let fencing = terminated.done().wait(30).look(leaving(InstanceState::ShuttingDown, 11));
    assert_eq!((fencing.incident.phase.name(), fencing.outcome()), ("treating", None));
    let fenced = fencing.wait(60).look(leaving(InstanceState::Terminated, 11));
    assert_eq!(fenced.effect(), Some(Effect::Deregister));
    assert!(fenced.incident.history.iter().any(|entry| entry.event == Event::Reached(Milestone::Fenced)));
    let waiting = fenced.done().wait(20).look(leaving(InstanceState::Terminated, 11));
    assert_eq!(waiting.incident.phase.name(), "verifying");
    let late = waiting.clone().wait(30 * 60).look(leaving(InstanceState::Terminated, 11));
    assert_eq!(late.incident.ending(), Some(&Ending::LadderExhausted), "nobody came in its place: told, not hidden");
    let whole = waiting.wait(60).look(leaving(InstanceState::Terminated, 12));
    assert_eq!(whole.outcome(), Some(Outcome::Replaced));
}

#[test]
fn a_rail_in_the_ledger_parks_the_incident_as_it_was() {
    let case = silent().patient();
    let scope = crate::guard::Scope::Account;
    let refusal = Refusal::Budget { scope, held: 5, limit: 5 };
    let plan = refused(&case.incident, refusal.clone(), &case.policy, case.now);
    assert_eq!(parked(&plan), Some(&refusal));
    assert_eq!((plan.perform, plan.permits, plan.next.attempts.len()), (None, Permits::Keep, 0));
}

#[test]
fn a_stop_is_not_given_up_for_a_look_from_right_after_it_however_late_that_is_weighed() {
    let running = |seen: Seen| dead(seen).state(InstanceState::Running);
    let case = treated(Effect::Stop).with(|incident| incident.holds.stopped = true).done().wait(600);
    let old = case.plan(|seen| running(seen).with(|seen| seen.at = after(case.now, -580)));
    assert_eq!((old.next.phase.name(), old.next.holds.stopped), ("treating", true));
    let fresh = case.plan(running);
    assert_eq!((fresh.next.phase.name(), fresh.next.holds.stopped), ("examining", false));
}

#[test]
fn a_standby_is_not_given_up_for_an_old_look_either() {
    let in_service = |seen: Seen| dead(seen).in_group();
    let case = treated(Effect::EnterStandby).with(|incident| incident.holds.standby = true).done().wait(700);
    let old = case.plan(|seen| in_service(seen).with(|seen| seen.at = after(case.now, -690)));
    assert_eq!((old.next.phase.name(), old.next.holds.standby), ("standby", true));
    assert!(!case.plan(in_service).next.holds.standby);
}
