//! Drain and Standby: taken before a remedy, given back on every ending.

use super::*;
use crate::incident::{Holds, Then};
use crate::observe::{Blind, EcsStatus, InstanceState, Lifecycle, Spare};
use crate::policy::LeftRule;

/// What else is seen of a node.
type Tell = fn(Seen) -> Seen;

fn cluster_node(seen: Seen) -> Seen {
    dead(seen).in_cluster().ecs_lost()
}

fn draining_node(tasks: u32) -> impl Fn(Seen) -> Seen {
    move |seen| {
        cluster_node(seen).with_ecs(|ecs| {
            ecs.status = EcsStatus::Draining;
            ecs.tasks = tasks;
        })
    }
}

/// Draining, on its way to a reboot.
fn drained() -> Case {
    silent().patient().look(cluster_node).done()
}

#[test]
fn a_drain_comes_first_with_its_permits_and_the_reboot_after_another_close_look() {
    let begun = silent().patient().look(cluster_node);
    assert_eq!((begun.effect(), begun.incident.phase.name()), (Some(Effect::Drain), "draining"));
    assert!(matches!(begun.permits(), Permits::Take(_)) && begun.incident.holds.draining);
    let waiting = begun.done().wait(20).look(draining_node(3));
    assert_eq!((waiting.effect(), waiting.incident.phase.name()), (None, "draining"));
    let empty = waiting.wait(20).look(draining_node(0));
    assert_eq!((empty.effect(), empty.incident.phase.name()), (None, "examining"));
    let rebooted = empty.wait(15).look(draining_node(0));
    assert_eq!((rebooted.effect(), rebooted.incident.holds.permits), (Some(Effect::Reboot), true));
}

#[test]
fn a_drain_without_an_agent_lasts_two_minutes_and_one_with_an_agent_five() {
    let disconnected = drained();
    assert_eq!(disconnected.clone().wait(117).look(draining_node(4)).incident.phase.name(), "draining");
    let over = disconnected.wait(118).look(draining_node(4));
    assert_eq!(over.incident.phase.name(), "examining");
    assert!(over.incident.history.iter().any(|entry| entry.event == Event::Drained { left: 4 }));
    let docker = silent().patient().look(|seen| seen.docker_hung().host_says(&[Cause::RuntimeDockerHung]));
    let Phase::Draining { deadline, .. } = docker.incident.phase else { panic!("{:?}", docker.incident.phase) };
    assert_eq!(secs_between(docker.now, deadline), 300);
}

#[test]
fn a_drain_that_cannot_be_seen_does_not_count_as_done() {
    let blind = |seen: Seen| cluster_node(seen).with(|seen| seen.ecs = Fact::Unknown(Blind::Throttled));
    assert_eq!(drained().wait(30).look(blind).incident.phase.name(), "draining");
    let over = drained().wait(118).look(blind);
    let told = over.incident.history.iter().find(|entry| matches!(entry.event, Event::Drained { .. }));
    assert_eq!(told.unwrap().event, Event::Drained { left: 4 }, "as many as were seen last");
}

#[test]
fn tasks_that_cannot_be_seen_at_the_end_of_a_drain_are_given_back_where_the_policy_says_so() {
    let blind = |seen: Seen| cluster_node(seen).with(|seen| seen.ecs = Fact::Unknown(Blind::Throttled));
    let gives_back = || drained().policy(|policy| policy.workload.left = LeftRule::GiveBack).wait(118);
    assert_eq!(gives_back().look(blind).effect(), Some(Effect::Activate));
    let empty = |seen: Seen| draining_node(0)(seen).with_ecs(|ecs| ecs.connected = true);
    assert_eq!(gives_back().look(empty).incident.phase.name(), "examining", "nothing is left");
    // Of an agent that is seen to be away, no wait would help.
    assert_eq!(gives_back().look(draining_node(4)).incident.phase.name(), "examining");
}

#[test]
fn a_node_that_recovers_while_it_is_drained_is_given_back_untouched() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let well = drained().wait(20).look(draining_node(0)).wait(15).look(back);
    assert_eq!((well.effect(), well.incident.phase.name()), (Some(Effect::Activate), "draining"));
    assert!(!well.freed(), "until then it is missing from its group");
    let active = well.done().wait(15).look(Seen::in_cluster);
    assert!(active.freed());
    assert_eq!((active.outcome(), active.incident.holds), (Some(Outcome::SelfHealed), Holds::default()));
    assert_eq!(active.incident.performed().count(), 0);
}

#[test]
fn what_ends_while_its_drain_is_given_back_is_gone_once_it_is_terminated() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let giving_back = drained().wait(20).look(draining_node(0)).wait(15).look(back).done().wait(15);
    let ended = |state| giving_back.clone().look(|seen| back(seen).state(state)).incident.ending().cloned();
    assert_eq!(ended(InstanceState::Terminated), Some(Ending::Gone));
    // Somebody may start it again: it is still given back, and its end is the one that it had.
    let stopped = giving_back.clone().look(|seen| back(seen).state(InstanceState::Stopped));
    let Phase::Draining { then: Then::End(ending), .. } = &stopped.incident.phase else { panic!("{stopped:?}") };
    assert_ne!(ending, &Ending::Gone);
}

#[test]
fn what_nothing_follows_from_is_not_read_again_while_a_node_is_held() {
    let spared = |case: &Case| asked(case).spare;
    assert_eq!(spared(&drained()), Spare::BUT_ECS);
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let giving_back = drained().wait(20).look(draining_node(0)).wait(15).look(back).done();
    assert_eq!(spared(&giving_back), Spare { ec2: false, ssm: true, ecs: false, asg: true });
    let mut case = entering();
    assert_eq!(spared(&case), Spare { ec2: true, ssm: true, ecs: true, asg: false });
    let Phase::Standby { intent, .. } = &mut case.incident.phase else { panic!("{case:?}") };
    intent.effect = Effect::ExitStandby;
    assert_eq!(spared(&case), Spare { ec2: false, ssm: true, ecs: true, asg: false }, "the group may have replaced it");
}

#[test]
fn a_person_is_asked_to_give_back_until_nothing_is_held_any_more() {
    let rests = |holds: Holds, tell: Tell| {
        let (why, since) = (Ending::NotGivenBack, noon());
        let case = silent().patient().phase(Phase::Resting { why, since, remind_at: after(noon(), 90_000) });
        case.with(|incident| incident.holds = holds).look(tell)
    };
    let asked = |holds, tell| match rests(holds, tell).incident.phase {
        Phase::Resting { why, .. } => why,
        other => panic!("{other:?}"),
    };
    let (drained, aside) = (Holds { draining: true, ..Holds::default() }, Holds { standby: true, ..Holds::default() });
    let off: Tell = |seen| dead(seen).in_cluster().in_group().state(InstanceState::Pending);
    assert_eq!(asked(Holds { stopped: true, ..drained }, off), Ending::NotGivenBack, "it is still stopped");
    let standby: Tell = |seen| dead(seen).in_cluster().in_group().with_asg(|asg| asg.lifecycle = Lifecycle::Standby);
    assert_eq!(asked(Holds { standby: true, ..drained }, standby), Ending::NotGivenBack, "it is still in Standby");
    let draining: Tell = |seen| draining_node(2)(seen).in_group().state(InstanceState::Pending);
    assert_eq!(asked(Holds { draining: true, ..aside }, draining), Ending::NotGivenBack, "it is still drained");
    assert_eq!(asked(drained, off), Ending::LadderExhausted, "nothing is held: the node is what needs a person");
}

#[test]
fn a_drain_that_is_left_over_is_undone_unless_the_node_was_replaced_or_cannot_be_seen() {
    let undone = |tried: Remedy, tell: &dyn Fn(Seen) -> Seen| {
        let phase = Phase::Resting { why: Ending::NotGivenBack, since: noon(), remind_at: after(noon(), 90_000) };
        let attempt = remedy_tried(tried, noon(), AttemptResult::Failed);
        let case = silent().patient().phase(phase).with(|incident| {
            incident.holds.draining = true;
            incident.attempts.push(attempt);
        });
        case.look(tell).effect() == Some(Effect::Activate)
    };
    assert!(undone(Remedy::Reboot, &draining_node(2)));
    assert!(!undone(Remedy::Replace, &draining_node(2)), "it is to be gone");
    let unknown = |seen: Seen| draining_node(2)(seen).with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled));
    assert!(!undone(Remedy::Reboot, &unknown));
    // What EC2 does not know: a managed node has no state there, an instance is gone.
    let managed = |id: &str| {
        let tell = |seen: Seen| draining_node(2)(seen).with(|seen| seen.ec2 = Fact::Absent);
        let phase = Phase::Resting { why: Ending::NotGivenBack, since: noon(), remind_at: after(noon(), 90_000) };
        let case = silent().patient().phase(phase).with(|incident| {
            incident.node = id.parse().unwrap();
            incident.holds.draining = true;
        });
        case.look(tell).effect() == Some(Effect::Activate)
    };
    assert!(managed("mi-0a1b2c3d4e5f60718"));
    assert!(!managed("i-0a1b2c3d4e5f60718"));
}

#[test]
fn a_drain_is_taken_back_until_it_works_and_loudly_given_up() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let mut case = drained().wait(20).look(draining_node(0)).wait(15).look(back);
    for how in [Performed::Refused, Performed::TooLate, Performed::Refused] {
        case = case.answered(&how).wait(60).look(back);
        assert_eq!(case.effect(), Some(Effect::Activate), "{how:?}");
    }
    // Accepted, and without effect: again after a minute.
    let again = case.clone().done().wait(60).look(back);
    assert_eq!(again.effect(), Some(Effect::Activate));
    let given_up = case.done().wait(3_600).look(back);
    assert_eq!(given_up.incident.ending(), Some(&Ending::NotGivenBack));
    assert_eq!((given_up.reports(), given_up.incident.holds.draining), ([ReportKind::NeedsHuman].as_slice(), true));
}

#[test]
fn what_could_not_be_given_back_is_tried_again_at_every_later_look() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let ill = |seen: Seen| dead(back(seen));
    let case = drained().wait(20).look(draining_node(0)).wait(15).look(back).answered(&Performed::Refused);
    let given_up = case.wait(3_600).look(back);
    assert_eq!(given_up.reports(), [ReportKind::NeedsHuman]);
    let again = given_up.wait(1_800).look(ill);
    assert_eq!((again.effect(), again.incident.phase.name()), (Some(Effect::Activate), "draining"));
    let active = again.clone().done().wait(15).look(|seen| dead(seen.in_cluster()));
    assert_eq!((active.incident.phase.name(), active.incident.holds.draining), ("resting", false));
    assert_eq!((active.effect(), active.reports().len()), (None, 0), "it is ill still, and a person knows");
    assert_eq!(active.incident.ending(), Some(&Ending::LadderExhausted), "it is no longer held");
    let by_others =
        again.answered(&Performed::Refused).wait(15).look(ill).wait(60).look(|seen| dead(seen.in_cluster()));
    assert_eq!(by_others.incident.ending(), Some(&Ending::LadderExhausted));
}

#[test]
fn in_vain_it_is_tried_for_six_hours_and_then_once_a_day_and_the_reminder_comes_all_the_same() {
    let ill = |seen: Seen| dead(seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining));
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let case = drained().wait(20).look(draining_node(0)).wait(15).look(back).answered(&Performed::Refused);
    let mut case = case.wait(3_600).look(back);
    let (mut tries, mut reminders, mut lines) = (0, 0, case.incident.history.len());
    for look in 0..96 {
        case = case.wait(1_800).look(ill);
        reminders += case.reports().iter().filter(|kind| **kind == ReportKind::Reminder).count();
        if case.effect() == Some(Effect::Activate) {
            tries += 1;
            case = case.answered(&Performed::Refused).wait(15).look(ill);
            assert_eq!((case.incident.phase.name(), case.reports().len()), ("resting", 0), "look {look}");
        }
    }
    lines = case.incident.history.len() - lines;
    assert_eq!((tries, reminders), (13, 2), "eleven in six hours, and one with each reminder of two days");
    assert!(lines < 60, "{lines} lines of history");
}

#[test]
fn what_does_not_run_is_not_set_back_to_active() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let case = drained().wait(20).look(draining_node(0)).wait(15).look(back).answered(&Performed::Refused);
    let resting = case.wait(3_600).look(back).wait(1_800);
    for state in [InstanceState::Stopping, InstanceState::Pending] {
        let look = resting.clone().look(|seen| dead(back(seen)).with_ec2(|ec2| ec2.state = state));
        assert_eq!(look.effect(), None, "{state:?}");
    }
}

#[test]
fn somebody_elses_drain_is_neither_begun_nor_undone() {
    let rebooted = silent().patient().look(draining_node(2));
    assert_eq!((rebooted.effect(), rebooted.incident.holds.draining), (Some(Effect::Reboot), false));
}

/// Every ending of an incident that holds a drain begins with its undoing.
#[test]
fn whatever_ends_an_incident_the_drain_is_given_back_first() {
    let held = || drained().wait(20).look(draining_node(0)).wait(15);
    let ends: [(&str, Tell); 4] = [
        ("a futile cause shows up", |seen| draining_node(0)(seen).profile_missing()),
        ("opted out", |seen| draining_node(0)(seen).mode_tag(Mode::Off)),
        ("no longer opted in", |seen| draining_node(0)(seen).untagged()),
        ("mode lowered", |seen| draining_node(0)(seen).mode_tag(Mode::Restart)),
    ];
    for (name, tell) in ends {
        let case = held().look(tell);
        assert_eq!((case.effect(), case.outcome()), (Some(Effect::Activate), None), "{name}");
    }
    let too_long = held().after_secs(6 * 3_600).examining().look(draining_node(0));
    assert_eq!(too_long.effect(), Some(Effect::Activate), "too long");
    let waited =
        held().with(|incident| incident.parked_secs = 6 * 3_600).look(|seen| draining_node(0)(seen).sessions(2));
    assert_eq!(waited.effect(), Some(Effect::Activate), "waited too long");
}

#[test]
fn a_refused_drain_parks_and_holds_nothing() {
    let case = silent().patient().look(cluster_node).answered(&Performed::Refused);
    assert_eq!((case.incident.phase.name(), case.incident.holds), ("parked", Holds::default()));
    assert!(case.freed());
}

fn standby_node(lifecycle: Lifecycle) -> impl Fn(Seen) -> Seen {
    move |seen| dead(seen).with_asg(|asg| asg.lifecycle = lifecycle)
}

/// On its way into Standby, for a reboot.
fn entering() -> Case {
    silent().patient().look(standby_node(Lifecycle::InService)).done()
}

#[test]
fn a_member_is_set_aside_before_its_reboot_and_brought_back_after_its_proof() {
    let begun = silent().patient().look(standby_node(Lifecycle::InService));
    assert_eq!((begun.effect(), begun.incident.phase.name()), (Some(Effect::EnterStandby), "standby"));
    let moving = begun.done().wait(15).look(standby_node(Lifecycle::EnteringStandby));
    assert_eq!((moving.effect(), moving.incident.phase.name()), (None, "standby"));
    let rebooted =
        moving.wait(15).look(standby_node(Lifecycle::Standby)).wait(15).look(standby_node(Lifecycle::Standby));
    assert_eq!(rebooted.effect(), Some(Effect::Reboot));
    let since = rebooted.incident.attempts[0].acted_at.unwrap();
    let well = |seen: Seen| {
        let at = seen.at;
        let seen = seen.with_asg(|asg| asg.lifecycle = Lifecycle::Standby);
        seen.probe_answered(after(at, -15), after(since, 20), &[])
    };
    let asked = rebooted.done().wait(90).look(|seen| seen.with_asg(|asg| asg.lifecycle = Lifecycle::Standby)).done();
    let leaving = asked.wait(20).look(well).wait(60).look(well);
    assert_eq!((leaving.effect(), leaving.incident.phase.name()), (Some(Effect::ExitStandby), "standby"));
    let closed = leaving.done().wait(30).look(Seen::in_group);
    assert_eq!((closed.outcome(), closed.incident.holds), (Some(Outcome::Cycled), Holds::default()));
}

#[test]
fn a_sick_member_stays_in_standby_and_a_person_is_told() {
    let inside = entering().wait(15).look(standby_node(Lifecycle::Standby)).wait(15);
    let futile = inside.look(|seen| standby_node(Lifecycle::Standby)(seen).profile_missing());
    assert_eq!((futile.effect(), futile.incident.ending()), (None, Some(&Ending::NotGivenBack)));
    assert_eq!((futile.reports(), futile.incident.holds.standby), ([ReportKind::NeedsHuman].as_slice(), true));
    // Once it is well again it is brought back, and only then is the incident over.
    let well = futile.wait(1_800).look(|seen| seen.with_asg(|asg| asg.lifecycle = Lifecycle::Standby));
    assert_eq!((well.effect(), well.outcome()), (Some(Effect::ExitStandby), None));
}

#[test]
fn a_standby_that_never_comes_parks_and_one_that_is_refused_too() {
    let never = entering().wait(600).look(standby_node(Lifecycle::InService));
    assert_eq!((never.incident.phase.name(), never.incident.holds.standby), ("parked", false));
    let half = entering().wait(600).look(standby_node(Lifecycle::EnteringStandby));
    assert_eq!((half.incident.phase.name(), half.incident.holds.standby), ("parked", true));
    let refused = silent().patient().look(standby_node(Lifecycle::InService)).answered(&Performed::Refused);
    assert_eq!((refused.incident.phase.name(), refused.incident.holds.standby), ("parked", false));
}

#[test]
fn a_move_to_standby_that_was_lost_while_nobody_saw_the_group_is_asked_for_again() {
    let blind = |seen: Seen| dead(seen).with(|seen| seen.asg = Fact::Unknown(Blind::Throttled));
    let unseen = entering().wait(600).look(blind);
    assert_eq!((unseen.incident.phase.name(), unseen.incident.holds.standby), ("parked", true), "it may be there");
    for (lifecycle, next) in [(Lifecycle::InService, Effect::EnterStandby), (Lifecycle::Standby, Effect::Reboot)] {
        let again = unseen.clone().wait(120).look(standby_node(lifecycle));
        assert_eq!(again.effect(), Some(next), "{lifecycle:?}");
    }
}

#[test]
fn what_is_held_and_not_shown_is_looked_at_again_soon() {
    let back = |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.status = EcsStatus::Draining).host_says(&[]);
    let held = drained().wait(20).look(draining_node(0)).wait(15).look(back).answered(&Performed::Refused);
    let rests = held.wait(3_600).look(back).wait(1_800);
    let without_ecs = |seen: Seen| draining_node(0)(seen).with(|seen| seen.ecs = Fact::Unknown(Blind::Unavailable));
    let blind_to_ec2 = |seen: Seen| draining_node(0)(seen).with(|seen| seen.ec2 = Fact::Unknown(Blind::Unavailable));
    let next = |case: &Case, tell: &dyn Fn(Seen) -> Seen| secs_between(case.now, case.plan(tell).next.wake_at.unwrap());
    assert_eq!((next(&rests, &without_ecs), next(&rests, &blind_to_ec2)), (300, 1_800), "only its drain is held");
    let stopped = rests.with(|incident| incident.holds = Holds { stopped: true, ..Holds::default() });
    assert_eq!((next(&stopped, &without_ecs), next(&stopped, &blind_to_ec2)), (1_800, 300));
}

#[test]
fn bringing_back_is_tried_until_it_works_and_loudly_given_up() {
    let well = |seen: Seen| seen.with_asg(|asg| asg.lifecycle = Lifecycle::Standby).host_says(&[]);
    let mut case = entering().wait(15).look(standby_node(Lifecycle::Standby)).wait(15).look(well);
    for _ in 0..3 {
        case = case.answered(&Performed::Refused).wait(60).look(well);
        assert_eq!(case.effect(), Some(Effect::ExitStandby));
    }
    let given_up = case.answered(&Performed::Refused).wait(3_600).look(well);
    assert_eq!(given_up.incident.ending(), Some(&Ending::NotGivenBack));
}

#[test]
fn a_group_without_its_tag_is_not_touched() {
    let untagged = |seen: Seen| standby_node(Lifecycle::InService)(seen).with_asg(|asg| asg.tags.managed = false);
    let case = silent().patient().look(untagged);
    assert_eq!((case.effect(), case.outcome()), (None, Some(Outcome::NotOurs)));
    let Phase::Closed { ending: Ending::Refused { refusal }, .. } = &case.incident.phase else { panic!("not refused") };
    assert_eq!(refusal.to_string(), "its Auto Scaling group does not carry the tag defib:managed=true");
}

#[test]
fn the_permits_of_a_parked_remedy_belong_to_others() {
    let watched = |seen: Seen| draining_node(0)(seen).sessions(1);
    let case = drained().wait(20).look(draining_node(0)).wait(15).look(watched);
    assert_eq!((case.incident.phase.name(), case.effect(), case.freed()), ("draining", Some(Effect::Activate), false));
    let case = case.done().wait(15).look(|seen| dead(seen).in_cluster().ecs_lost().sessions(1));
    assert_eq!((case.incident.phase.name(), case.freed()), ("parked", true));
}
