//! A node that was cycled too often in a day waits for a person.

use super::*;
use crate::guard::Scope;
use crate::incident::{OperatorWord, Said};
use crate::ports::Quarantine;

const DAY_SECS: i64 = 24 * 3_600;

/// What the ledger answers when the day of the node is full.
fn full(window_secs: i64) -> Refusal {
    let scope = Scope::Node(node_id());
    Refusal::Rate { scope, count: 3, limit: 3, window_secs, free_at: after(noon(), window_secs) }
}

fn quarantined(case: &Case) -> Case {
    let quarantine = Some(Quarantine { since: noon(), count: 3 });
    Case { rails: Rails { quarantine, ..RUNNING }, ..case.clone() }
}

#[test]
fn a_full_day_of_a_node_puts_it_into_quarantine_with_the_same_plan() {
    let case = silent().patient();
    let plan = refused(&case.incident, full(DAY_SECS), &case.policy, case.now);
    assert_eq!((plan.quarantine, plan.next.phase.name()), (Some(3), "resting"));
    assert_eq!(plan.reports, [ReportKind::NeedsHuman]);
    for shorter in [3_600, DAY_SECS - 1] {
        let plan = refused(&case.incident, full(shorter), &case.policy, case.now);
        assert_eq!((plan.quarantine, plan.next.phase.name()), (None, "parked"), "{shorter}");
    }
}

#[test]
fn a_node_in_quarantine_is_not_cycled_by_a_later_incident() {
    let case = quarantined(&silent().patient()).look(dead);
    assert_eq!((case.effect(), case.outcome()), (None, Some(Outcome::NeedsHuman)));
    assert_eq!(case.incident.phase.name(), "resting");
    let Some(Ending::Refused { refusal }) = case.incident.ending() else { panic!("{:?}", case.incident.phase) };
    assert_eq!(
        refusal.to_string(),
        "3 disruptive remedies in a day put it into quarantine at 2026-11-20 12:00:00 UTC, until a person clears it"
    );
}

#[test]
fn a_node_in_quarantine_still_gets_what_stops_no_workload() {
    let case = quarantined(&disconnected().patient()).look(ecs_lost);
    assert_eq!(case.effect(), Some(Effect::RestartEcsAgent));
}

#[test]
fn what_rests_in_quarantine_goes_on_once_a_person_cleared_the_node() {
    let rests = quarantined(&silent().patient()).look(dead).wait(20 * 3_600);
    let still = rests.clone().look(dead);
    assert_eq!((still.incident.phase.name(), still.reports().len()), ("resting", 0));
    let cleared = Case { rails: RUNNING, ..rests }.look(dead);
    assert_eq!(cleared.incident.phase.name(), "examining");
    assert_eq!(
        cleared.incident.history.last().unwrap().event,
        Event::Operator(Said { word: OperatorWord::Cleared, by: None })
    );
    let goes_on = cleared.wait(15).look(dead);
    assert_eq!(goes_on.effect(), Some(Effect::Reboot), "its time begins anew: {:?}", goes_on.incident.phase);
}

#[test]
fn a_node_that_rests_for_another_reason_stays_at_rest() {
    let rests = silent().patient().look(|seen| dead(seen).profile_missing()).wait(1_800);
    assert_eq!(rests.look(|seen| dead(seen).profile_missing()).incident.phase.name(), "resting");
}

#[test]
fn a_fix_does_not_go_around_a_quarantine() {
    let case = quarantined(&silent());
    let context = Context { home: home(), policy: case.policy.clone() };
    let loaded = Loaded { incident: None, rails: case.rails.clone(), last: None, unsent: Vec::new() };
    let ask = |remedy| fix(&dead(seen(noon())), &loaded, &context, (&Arc::from("ops"), remedy, None), noon());
    let OperatorAnswer::Refused(why) = ask(Some(Remedy::Reboot)) else { panic!("not refused") };
    assert!(why.ends_with("until a person clears it"), "{why}");
    assert!(matches!(ask(None), OperatorAnswer::Plan(_)), "something gentler may do");
}
