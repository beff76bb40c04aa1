//! Gone, resting, parked for too long: honest ends.

use super::*;
use crate::observe::{Blind, InstanceState};

#[test]
fn somebody_elses_stop_or_termination_ends_the_incident() {
    for state in [InstanceState::Stopped, InstanceState::ShuttingDown, InstanceState::Terminated] {
        for case in [silent().after_secs(300), silent().patient(), silent().patient().look(dead).done().wait(30)] {
            let over = case.look(|seen| dead(seen).state(state));
            assert_eq!(over.incident.ending(), Some(&Ending::Gone), "{state:?}");
            assert_eq!(over.reports(), [ReportKind::Ended]);
        }
    }
    let forgotten = silent().patient().look(|seen| dead(seen).with(|seen| seen.ec2 = Fact::Absent));
    assert_eq!(forgotten.outcome(), Some(Outcome::Gone), "EC2 forgets an instance after an hour");
}

#[test]
fn a_reboot_that_was_sent_stays_on_record_when_the_node_goes_away() {
    let gone = silent().patient().look(dead).done().wait(30).look(|seen| dead(seen).state(InstanceState::Terminated));
    assert_eq!(gone.incident.attempts[0].result, AttemptResult::Failed);
    assert_eq!(gone.incident.performed().collect::<Vec<_>>(), [Remedy::Reboot]);
    assert!(gone.freed());
}

#[test]
fn what_our_own_replacement_terminated_is_not_somebody_elses_end() {
    let rests_after = |remedy| {
        let tried = remedy_tried(remedy, after(noon(), 400), AttemptResult::Failed);
        let case = rests().with(|incident| incident.attempts.push(tried)).wait(1_800);
        case.look(|seen| dead(seen).state(InstanceState::Terminated)).incident.phase.name()
    };
    assert_eq!(rests_after(Remedy::Replace), "resting", "what should have come in its place is for a person to see");
    assert_eq!(rests_after(Remedy::Reboot), "closed");
}

#[test]
fn an_instance_that_our_own_start_still_shows_as_stopped_is_not_gone() {
    let (since, deadline) = (noon(), after(noon(), 900));
    let verifying = |remedy| {
        let phase = Phase::Verifying { remedy, since, deadline, proven_since: None, sending: None };
        silent().patient().phase(phase).look(|seen| dead(seen).state(InstanceState::Stopped)).outcome()
    };
    assert_eq!(verifying(Remedy::StopStart), None);
    assert_eq!(verifying(Remedy::Reboot), Some(Outcome::Gone));
}

#[test]
fn a_node_that_cannot_be_seen_is_not_gone() {
    let blind = silent().patient().look(|seen| dead(seen).with(|seen| seen.ec2 = Fact::Unknown(Blind::Empty)));
    assert_eq!((blind.outcome(), blind.incident.phase.name()), (None, "parked"));
}

#[test]
fn a_managed_node_is_never_gone_for_ec2() {
    let case = silent().with(|incident| incident.node = "mi-0a1b2c3d4e5f60718".parse().unwrap()).patient();
    assert_ne!(case.look(|seen| dead(seen).hybrid()).outcome(), Some(Outcome::Gone));
}

fn rests() -> Case {
    silent().patient().look(|seen| dead(seen).profile_missing())
}

#[test]
fn a_resting_incident_does_nothing_and_reminds_once_a_day() {
    let first = rests();
    assert_eq!((first.reports(), first.incident.reports), ([ReportKind::NeedsHuman].as_slice(), 1));
    let mut case = first;
    let mut reminders = 0;
    for _ in 0..=(3 * 48) {
        let before = case.now;
        case = case.look(dead);
        assert_eq!((case.effect(), case.incident.phase.name()), (None, "resting"));
        reminders += case.reports().iter().filter(|kind| **kind == ReportKind::Reminder).count();
        let wake = case.incident.wake_at.unwrap();
        assert!(secs_between(before, wake) <= 1_800, "a recovery is noticed within half an hour");
        case.now = wake;
    }
    assert_eq!(reminders, 3);
}

#[test]
fn a_resting_node_that_recovers_is_told_as_well() {
    let well = rests().wait(1_800).look(|seen| seen);
    assert_eq!((well.outcome(), well.reports()), (Some(Outcome::SelfHealed), [ReportKind::Ended].as_slice()));
    assert_eq!(well.incident.reports, 2);
}

#[test]
fn a_parked_incident_asks_again_and_says_it_once() {
    let mut case = silent().patient();
    for n in 0..5 {
        case = case.look(|seen| dead(seen).sessions(2));
        assert_eq!((case.incident.phase.name(), case.effect()), ("parked", None));
        assert_eq!(case.incident.wake_at, Some(after(case.now, 300)));
        assert_eq!(case.incident.parked_secs, n * 300);
        case = case.wait(300);
    }
    let lines = case.incident.history.iter().filter(|entry| matches!(entry.event, Event::Parked(_))).count();
    assert_eq!(lines, 1);
    assert_eq!(case.look(dead).effect(), Some(Effect::Reboot), "the sessions have ended");
}

#[test]
fn a_parked_incident_ends_as_deferred_at_its_limit() {
    let case = silent().with(|incident| incident.parked_secs = 6 * 3_600 - 100).patient();
    let last = case.look(|seen| dead(seen).sessions(2));
    assert_eq!(last.incident.wake_at, Some(after(last.now, 100)), "not beyond the limit");
    let over = last.wait(100).look(|seen| dead(seen).sessions(2));
    let refusal = Refusal::LiveSessions { count: 2, who: Arc::default() };
    assert_eq!(over.incident.ending(), Some(&Ending::WaitedTooLong { refusal }));
    assert_eq!((over.outcome(), over.reports()), (Some(Outcome::Deferred), [ReportKind::Ended].as_slice()));
}

#[test]
fn a_rail_that_never_goes_away_ends_the_incident_at_once() {
    let untagged = silent().patient().look(|seen| dead(seen).untagged());
    assert_eq!((untagged.outcome(), untagged.reports()), (Some(Outcome::NotOurs), [ReportKind::Ended].as_slice()));
}

#[test]
fn a_parked_node_that_recovers_closes_whatever_the_rail_was() {
    let case = silent().patient().look(|seen| dead(seen).sessions(2)).wait(300);
    assert_eq!(case.look(|seen| seen.host_says(&[])).outcome(), Some(Outcome::SelfHealed));
}

#[test]
fn a_closed_incident_is_left_alone() {
    let case = silent().patient().look(|seen| seen.host_says(&[]));
    assert_eq!(wants(&case.incident, &case.policy, case.now), Wants::Wait(None));
    let plan = case.plan(dead);
    assert_eq!((plan.changed, effect(&plan), *plan.next), (false, None, case.incident));
}
