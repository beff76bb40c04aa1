//! Hold-downs, two looks, cool-downs, and what skips them.

use super::*;
use crate::incident::Ask;
use crate::observe::samples::ecs_impaired;
use crate::observe::{Blind, Ping};
use crate::policy::places::CauseRule;
use crate::storm::Around;

#[test]
fn an_agent_is_restarted_after_five_minutes_and_not_a_second_before() {
    let case = disconnected().with(|incident| incident.looks = 2).examining();
    let early = case.clone().after_secs(299).plan(ecs_lost);
    assert_eq!(effect(&early), None);
    assert_eq!(early.next.wake_at, Some(after(noon(), 314)), "never sooner than the timer can be");
    assert_eq!(effect(&case.after_secs(300).plan(ecs_lost)), Some(Effect::RestartEcsAgent));
}

#[test]
fn a_node_is_cycled_after_ten_minutes_and_not_a_second_before() {
    let case = silent().with(|incident| incident.looks = 2).examining();
    let early = case.clone().after_secs(599).plan(dead);
    assert_eq!((effect(&early), early.next.phase.name()), (None, "examining"));
    assert_eq!(effect(&case.after_secs(600).plan(dead)), Some(Effect::Reboot));
}

#[test]
fn a_hold_down_waits_until_it_is_over() {
    let case = disconnected().with(|incident| incident.looks = 2).examining();
    assert_eq!(case.after_secs(100).plan(ecs_lost).next.wake_at, Some(after(noon(), 300)));
}

#[test]
fn a_silent_node_is_looked_at_in_time_for_a_last_probe_while_the_hold_down_runs() {
    let wake = |secs| {
        let case = silent().with(|incident| incident.looks = 2).examining().after_secs(secs);
        secs_between(noon(), case.plan(dead).next.wake_at.unwrap())
    };
    assert_eq!(wake(100), 505, "a probe that is sent then is lost when the ten minutes are over");
    assert_eq!(wake(450), 510, "but not sooner than in a minute");
    assert_eq!(wake(570), 600);
}

#[test]
fn an_agent_that_is_not_connected_is_given_the_time_in_which_a_probe_is_lost() {
    let case = silent().after_secs(510);
    let sent = |tell: fn(Seen) -> Seen| {
        let plan = case.clone().examining().with(|incident| incident.probe = None).plan(tell);
        (effect(&plan), secs_between(case.now, plan.next.wake_at.unwrap()))
    };
    assert_eq!(sent(Seen::ssm_doubtful), (Some(Effect::Probe), 95));
    assert_eq!(sent(Seen::ecs_lost), (Some(Effect::Probe), 20), "this one may answer at once");
}

#[test]
fn an_agent_that_is_not_connected_is_asked_so_that_the_probe_is_lost_when_something_can_be_done() {
    let asked = |case: &Case, tell: fn(Seen) -> Seen| {
        let plan = case.clone().with(|incident| incident.probe = None).examining().plan(tell);
        (effect(&plan), secs_between(noon(), plan.next.wake_at.unwrap()))
    };
    let case = silent().after_secs(300);
    assert_eq!(asked(&case, Seen::ssm_doubtful), (None, 505), "ten minutes less the time in which a probe is lost");
    assert_eq!(asked(&silent().after_secs(485), Seen::ssm_doubtful), (None, 505));
    assert_eq!(
        asked(&silent().after_secs(486), Seen::ssm_doubtful),
        (Some(Effect::Probe), 581),
        "it is due soon anyway"
    );
    // The same where nobody read the connection, for the agent has not pinged for long.
    let unread: fn(Seen) -> Seen = |seen| {
        seen.ssm_doubtful().with_ssm(|ssm| {
            (ssm.ping, ssm.connection) = (Ping::ConnectionLost, Fact::Unknown(Blind::NotRead));
        })
    };
    assert_eq!(asked(&case, unread), (None, 505));
    // Whoever answers is asked at once, and so is everybody where the cause is wanted now.
    assert_eq!(asked(&case, Seen::ecs_lost).0, Some(Effect::Probe));
    let only_restarts = case.clone().policy(|policy| policy.mode = Mode::Restart);
    let own_time = case.clone().policy(|policy| {
        let rule = CauseRule { wait_secs: Some(60), ..CauseRule::default() };
        policy.causes.insert(Cause::HostKernelHang, rule);
    });
    let by_a_person = case.with(|incident| {
        incident.asked = Some(Ask { by: "ops".into(), at: noon(), remedy: None });
    });
    for now in [only_restarts, own_time, by_a_person] {
        assert_eq!(asked(&now, Seen::ssm_doubtful).0, Some(Effect::Probe));
    }
}

#[test]
fn a_probe_is_not_put_off_beyond_the_examination() {
    // It would be due 505 s after noon.
    let asked = |deadline: i64| {
        let case = silent().after_secs(300).with(|incident| incident.probe = None);
        let phase = Phase::Examining { since: case.now, deadline: after(noon(), deadline), sending: None };
        effect(&case.phase(phase).plan(Seen::ssm_doubtful))
    };
    assert_eq!((asked(505), asked(506)), (Some(Effect::Probe), None));
}

#[test]
fn a_node_that_was_looked_at_once_is_looked_at_again_first() {
    let case = disconnected().with(|incident| incident.looks = 0).after_secs(900).examining();
    let first = case.clone().look(ecs_lost);
    assert_eq!((first.effect(), first.incident.looks), (None, 1));
    assert_eq!(first.wait(20).look(ecs_lost).effect(), Some(Effect::RestartEcsAgent));
}

#[test]
fn a_health_event_of_ecs_counts_as_a_look() {
    let opened = |kind| {
        let signal = Signal { node: node_id(), at: noon(), kind };
        let context = Context { home: home(), policy: Policy::in_mode(Mode::Cycle) };
        let loaded = Loaded { incident: None, rails: RUNNING, last: None, unsent: Vec::new() };
        match open(&signal, &seen(noon()).ecs_lost(), &loaded, &context, noon()) {
            Opening::Open(plan) => plan.next.looks,
            Opening::Ignore(reason) => panic!("{}", reason.as_str()),
        }
    };
    assert_eq!((opened(ecs_disconnect()), opened(ecs_impaired())), (1, 2));
}

#[test]
fn a_fix_by_an_operator_skips_the_hold_down_but_not_the_second_look() {
    let ask = Ask { by: "ops".into(), at: noon(), remedy: None };
    let case = disconnected().with(|incident| incident.asked = Some(ask)).after_secs(30).examining();
    assert_eq!(case.clone().with(|incident| incident.looks = 0).plan(ecs_lost).perform, None);
    assert_eq!(effect(&case.plan(ecs_lost)), Some(Effect::RestartEcsAgent));
}

#[test]
fn attempts_are_a_cool_down_apart() {
    let case = disconnected().patient();
    let failed = remedy_tried(Remedy::RestartEcsAgent, case.now, AttemptResult::Failed);
    let case = case.with(|incident| incident.attempts.push(failed));
    let early = case.clone().wait(299).plan(ecs_lost);
    assert_eq!((effect(&early), early.next.phase.name()), (None, "examining"));
    assert_eq!(effect(&case.wait(300).plan(ecs_lost)), Some(Effect::RestartEcsAgent));
}

#[test]
fn a_healthy_node_inside_the_hold_down_closes_without_a_word() {
    let case = disconnected().after_secs(90).look(Seen::in_cluster);
    assert_eq!(case.outcome(), Some(Outcome::SelfHealed));
    assert_eq!((case.reports(), case.incident.wake_at), ([].as_slice(), None));
}

#[test]
fn a_sick_node_inside_the_hold_down_is_left_alone_until_it_is_over() {
    let case = disconnected().after_secs(90).look(ecs_lost);
    assert_eq!((case.effect(), case.incident.phase.name()), (None, "watching"));
    assert_eq!(case.incident.wake_at, Some(after(noon(), 300)));
}

#[test]
fn a_connection_proves_nothing_when_a_command_was_not_delivered() {
    let case = silent().after_secs(90).look(|seen| seen);
    assert_eq!(case.incident.phase.name(), "watching");
    let asked = case.after_secs(300).look(|seen| seen);
    assert_eq!(asked.effect(), Some(Effect::Probe));
}

#[test]
fn a_look_is_never_planned_for_less_than_fifteen_seconds_ahead() {
    let case = disconnected().after_secs(296).look(ecs_lost);
    assert_eq!(case.incident.wake_at, Some(after(case.now, SOONEST_SECS)));
}

#[test]
fn an_incident_that_takes_too_long_asks_for_a_person() {
    let case = disconnected().patient().after_secs(5 * 3_600).examining();
    assert_eq!(case.clone().look(ecs_lost).effect(), Some(Effect::RestartEcsAgent), "its last second");
    let case = case.wait(1).examining();
    assert_eq!(case.clone().look(ecs_lost).incident.ending(), Some(&Ending::TooLong));
    let waited = case.with(|incident| incident.parked_secs = 60).look(ecs_lost);
    assert_eq!(waited.effect(), Some(Effect::RestartEcsAgent), "time spent parked does not count");
}

#[test]
fn what_is_worked_on_leaves_room_or_an_incident_waits_once_its_hold_down_is_over() {
    let full = Around { active: 10, ..Around::nothing() };
    let wait = |case: &Case| {
        let policy = case.clone().policy(|policy| policy.budgets.active_incidents = 10).policy;
        let rails = Rails { around: Some(Arc::new(full.clone())), ..RUNNING };
        wait_for_room(&case.incident, &rails, &policy, case.now)
    };
    let over = disconnected().after_secs(300);
    assert_eq!(wait(&over.clone().after_secs(299)), None, "it watches anyway");
    let plan = wait(&over).unwrap();
    let refusal = Refusal::ActiveIncidents { active: 10, limit: 10 };
    assert!(matches!(&plan.next.phase, Phase::Parked { refusal: told, .. } if *told == refusal));
    assert_eq!(wait(&over.clone().patient()), None, "what was begun goes on");
    let asked = over.with(|incident| incident.asked = Some(Ask { at: noon(), by: "ops".into(), remedy: None }));
    assert_eq!(wait(&asked), None, "somebody waits for it");
}

#[test]
fn an_incident_is_worked_on_from_the_end_of_its_hold_down_to_its_rest_unless_it_waits_for_room() {
    let parked = |refusal: Refusal| {
        let until = after(noon(), 600);
        silent().phase(Phase::Parked { refusal, since: noon(), until, limit: until }).incident.is_driven()
    };
    assert!(!silent().incident.is_driven(), "its hold-down");
    assert!(silent().examining().incident.is_driven());
    assert!(parked(Refusal::LiveSessions { count: 1, who: Arc::default() }));
    assert!(!parked(Refusal::ActiveIncidents { active: 10, limit: 10 }));
    let resting = Phase::Resting { why: Ending::LadderExhausted, since: noon(), remind_at: after(noon(), 86_400) };
    assert!(!silent().phase(resting).incident.is_driven());
}
