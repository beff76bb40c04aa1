//! The ledger's transactions, each rule by itself.

use super::*;
use crate::incident::{Ending, Phase, Remedy, Symptom};
use crate::node::Home;
use crate::observe::Observation;
use crate::policy::Policy;
use crate::ports::{Claim, RateClaim};
use crate::storm::News;

pub(crate) fn moment(secs: i64) -> Timestamp {
    after("2026-11-20T12:00:00Z".parse().unwrap(), secs)
}

fn home() -> Home {
    Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

pub(crate) fn incident(number: u128, at: Timestamp) -> Incident {
    let node = NodeId::numbered(number);
    let symptom = Symptom { at, kind: crate::event::SignalKind::SessionRefused };
    let mut incident = Incident::open(&home(), &Observation::unread(node, at), symptom, at, after(at, 300));
    incident.version = 1;
    incident
}

pub(crate) fn commit(expect: Expect, next: &Incident, permits: Permits) -> Commit {
    Commit {
        expect,
        next: Arc::new(next.clone()),
        permits,
        outbox: Vec::new(),
        news: News::nothing(&Policy::default()),
        quarantine: None,
    }
}

/// Nothing has ever been known of the node.
pub(crate) const FIRST: Expect = Expect::NoOpenIncident { last: None };

pub(crate) fn opened(ledger: &mut Ledger, number: u128) -> Incident {
    let incident = incident(number, moment(0));
    let saved = ledger.commit(&commit(FIRST, &incident, Permits::Keep), moment(0));
    assert_eq!(saved, Committed::Saved);
    incident
}

fn next(incident: &mut Incident) -> Expect {
    let expect = Expect::Version(incident.version);
    incident.version += 1;
    expect
}

fn claims(limit: u32, rate: u32) -> Permits {
    claims_since(limit, rate, 0)
}

/// The claims of a remedy that was chosen then.
fn claims_since(limit: u32, rate: u32, chosen: i64) -> Permits {
    Permits::Take(Claims {
        chosen_at: moment(chosen),
        remedy: Remedy::Reboot,
        group: Scope::Account,
        at_once: vec![Claim { scope: Scope::Account, limit, floor: None }],
        rates: vec![
            RateClaim { scope: Scope::Account, window_secs: 3_600, limit: rate },
            RateClaim { scope: Scope::Account, window_secs: 86_400, limit: rate + 1 },
        ],
    })
}

#[test]
fn a_node_has_one_open_incident_at_most() {
    let mut ledger = Ledger::default();
    let first = opened(&mut ledger, 1);
    let second = incident(1, moment(5));
    let conflict = ledger.commit(&commit(FIRST, &second, Permits::Keep), moment(5));
    assert_eq!(conflict, Committed::Conflict);
    assert_eq!(ledger.open_on(first.node).unwrap().id, first.id);
}

#[test]
fn nothing_is_opened_by_who_missed_that_another_incident_came_and_went() {
    let mut ledger = Ledger::default();
    // Two passes find that nothing is open; the other one opens, replaces the node, and ends.
    let late = incident(1, moment(10));
    let mut other = incident(1, moment(20));
    assert_eq!(ledger.commit(&commit(FIRST, &other, Permits::Keep), moment(20)), Committed::Saved);
    let expect = next(&mut other);
    other.phase = Phase::Closed { ending: Ending::Helped { remedy: Remedy::Replace }, at: moment(200) };
    assert_eq!(ledger.commit(&commit(expect, &other, Permits::Keep), moment(200)), Committed::Saved);
    assert_eq!(ledger.commit(&commit(FIRST, &late, Permits::Keep), moment(400)), Committed::Conflict);
    // Whoever knows of that one may open the next.
    let informed = Expect::NoOpenIncident { last: Some(other.id) };
    assert_eq!(
        ledger.commit(&commit(informed, &incident(1, moment(410)), Permits::Keep), moment(410)),
        Committed::Saved
    );
}

#[test]
fn only_the_version_that_was_read_can_be_replaced() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    let mut other = one.clone();
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Keep), moment(1)), Committed::Saved);
    let expect = next(&mut other);
    assert_eq!(ledger.commit(&commit(expect, &other, Permits::Keep), moment(1)), Committed::Conflict);
    // A version that skips one is no successor.
    let expect = Expect::Version(one.version);
    one.version += 2;
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Keep), moment(2)), Committed::Conflict);
}

#[test]
fn permits_are_all_or_none_and_belong_to_their_holder() {
    let mut ledger = Ledger::default();
    let (mut one, mut other) = (opened(&mut ledger, 1), opened(&mut ledger, 2));
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, claims(1, 9)), moment(1)), Committed::Saved);
    let expect = next(&mut other);
    let refused = ledger.commit(&commit(expect, &other, claims(1, 9)), moment(2));
    assert_eq!(refused, Committed::Refused(Refusal::Budget { scope: Scope::Account, held: 1, limit: 1 }));
    assert_eq!(ledger.open_on(other.node).unwrap().version, 1, "a refused commit saves nothing");
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Free { unsent_since: None }), moment(3)), Committed::Saved);
    assert_eq!(ledger.holders().count(), 0);
    assert_eq!(ledger.commit(&commit(Expect::Version(1), &other, claims(1, 9)), moment(4)), Committed::Saved);
}

#[test]
fn an_hour_and_a_day_count_a_remedy_once() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    for at in [0, 10] {
        // The drain and the remedy itself: two steps, one remedy.
        for step in [at, at + 5] {
            let expect = next(&mut one);
            assert_eq!(ledger.commit(&commit(expect, &one, claims_since(1, 2, at)), moment(step)), Committed::Saved);
        }
        let expect = next(&mut one);
        assert_eq!(
            ledger.commit(&commit(expect, &one, Permits::Free { unsent_since: None }), moment(at + 6)),
            Committed::Saved
        );
    }
    let expect = next(&mut one);
    let refused = ledger.commit(&commit(expect, &one, claims_since(1, 2, 20)), moment(20));
    assert!(matches!(refused, Committed::Refused(Refusal::Rate { count: 2, limit: 2, .. })), "{refused:?}");
}

#[test]
fn the_kill_switch_stops_every_new_permit_and_nothing_else() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    ledger.switch(Switch::Pause);
    let expect = next(&mut one);
    let refused = ledger.commit(&commit(expect, &one, claims(1, 9)), moment(1));
    assert_eq!(refused, Committed::Refused(Refusal::Paused));
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Keep), moment(1)), Committed::Saved);
}

#[test]
fn a_closed_record_is_final_and_can_still_be_read() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    one.phase = Phase::Closed { ending: Ending::SelfHealed, at: moment(9) };
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Keep), moment(9)), Committed::Saved);
    assert!(!ledger.has_open(one.node));
    assert_eq!(ledger.load(Key::Node(one.node)).last.unwrap().id, one.id);
    assert_eq!(ledger.load(Key::Incident(one.id)).incident.unwrap().version, 2);
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, Permits::Keep), moment(10)), Committed::Conflict);
}

#[test]
fn an_incident_without_a_timer_is_found_by_the_sweep() {
    let mut ledger = Ledger::default();
    let one = opened(&mut ledger, 1);
    assert!(ledger.overdue(moment(300)).is_empty());
    assert_eq!(ledger.overdue(moment(361)), [one.id]);
}

/// Claims of a node alone, within a day.
fn of_node(incident: &Incident, chosen: i64) -> Permits {
    let scope = Scope::Node(incident.node);
    let rates = vec![RateClaim { scope: scope.clone(), window_secs: 86_400, limit: 1 }];
    Permits::Take(Claims {
        chosen_at: moment(chosen),
        remedy: Remedy::Reboot,
        group: Scope::Account,
        at_once: vec![Claim { scope, limit: 1, floor: None }],
        rates,
    })
}

#[test]
fn a_quarantine_stands_until_it_is_cleared_and_the_nodes_day_begins_anew() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, of_node(&one, 0)), moment(0)), Committed::Saved);
    let expect = next(&mut one);
    let free = Permits::Free { unsent_since: None };
    let ends = Commit { quarantine: Some(1), ..commit(expect, &one, free) };
    assert_eq!(ledger.commit(&ends, moment(60)), Committed::Saved);
    let quarantine = Quarantine { since: moment(60), count: 1 };
    assert_eq!(ledger.load(Key::Node(one.node)).rails.quarantine, Some(quarantine));
    // A day later the rate is free, and the quarantine still stands.
    let late = 2 * 86_400;
    let expect = next(&mut one);
    let refused = ledger.commit(&commit(expect, &one, of_node(&one, late)), moment(late));
    assert_eq!(refused, Committed::Refused(Refusal::Quarantined { since: moment(60), count: 1 }));
    one.version -= 1;
    ledger.switch(Switch::Clear(one.node));
    assert_eq!(ledger.load(Key::Node(one.node)).rails.quarantine, None);
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, of_node(&one, 70)), moment(70)), Committed::Saved);
}

#[test]
fn what_is_under_way_still_counts_after_a_clear() {
    let mut ledger = Ledger::default();
    let mut one = opened(&mut ledger, 1);
    let expect = next(&mut one);
    assert_eq!(ledger.commit(&commit(expect, &one, of_node(&one, 0)), moment(0)), Committed::Saved);
    ledger.switch(Switch::Clear(one.node));
    let expect = next(&mut one);
    let refused = ledger.commit(&commit(expect, &one, of_node(&one, 100)), moment(100));
    assert!(matches!(refused, Committed::Refused(Refusal::Rate { count: 1, .. })), "{refused:?}");
}
