//! What a host says against its own repair: heard when the proof is late, told to people, and not asked for again.

use super::proofs::{sent, then};
use super::*;
use crate::incident::Holds;
use crate::observe::{Fact, HostRefusal, RepairEnd};
use crate::plan::verify::late_repair;

fn says(end: RepairEnd) -> impl FnOnce(Seen) -> Seen {
    move |seen| ecs_lost(seen).with(|seen| seen.repair = Fact::Known(end))
}

#[test]
fn what_the_host_refuses_ends_the_attempt_and_is_told() {
    for why in HostRefusal::ALL.into_iter().filter(|why| why.is_final()) {
        let case = sent(Remedy::RestartEcsAgent).look(says(RepairEnd::Refused(why)));
        assert!(matches!(case.incident.phase, Phase::Examining { .. }), "{why:?}: {:?}", case.incident.phase);
        let lines: Vec<&Event> = case.incident.history.iter().map(|line| &line.event).collect();
        assert!(lines.contains(&&Event::HostRefused { remedy: Remedy::RestartEcsAgent, why }), "{lines:?}");
        assert_eq!(case.incident.attempts.last().map(|attempt| attempt.result), Some(AttemptResult::Failed));
        assert_eq!(case.incident.holds, Holds::default(), "its permits are free again");
        assert_eq!(case.last.unwrap().tried, [], "the breaker counts what is disruptive");
    }
}

#[test]
fn all_else_that_the_host_says_leaves_it_to_the_proof() {
    for end in [RepairEnd::Open, RepairEnd::Done, RepairEnd::Failed, RepairEnd::Refused(HostRefusal::Busy)] {
        let case = sent(Remedy::RestartEcsAgent).look(says(end));
        assert!(matches!(case.incident.phase, Phase::Verifying { .. }), "{end:?}");
    }
    let refused = RepairEnd::Refused(HostRefusal::Masked);
    let proven =
        sent(Remedy::RestartEcsAgent).look(|seen| seen.in_cluster().with(|seen| seen.repair = Fact::Known(refused)));
    assert!(
        matches!(proven.incident.phase, Phase::Verifying { proven_since: Some(_), .. }),
        "an agent that is back is back"
    );
}

#[test]
fn what_the_host_refused_is_not_chosen_again() {
    let refused = |remedy: Remedy| {
        let case = sent(remedy).look(says(RepairEnd::Refused(HostRefusal::Masked)));
        case.wait(400).look(ecs_lost).incident
    };
    let chosen: Vec<Remedy> = refused(Remedy::RestartEcsAgent).attempts.iter().map(|attempt| attempt.remedy).collect();
    assert_eq!(chosen.iter().filter(|remedy| **remedy == Remedy::RestartEcsAgent).count(), 1, "{chosen:?}");
}

#[test]
fn the_host_is_asked_what_became_of_it_only_when_the_proof_is_late() {
    let case = sent(Remedy::RestartEcsAgent).with(|incident| incident.repair = Some(command_id()));
    let asked = |case: &Case, secs| late_repair(&case.incident, then(case, secs)).is_some();
    assert!(!asked(&case, 104), "the first looks have what they need");
    assert!(asked(&case, 105));
    let proven = case.clone().look(Seen::in_cluster);
    assert!(!asked(&proven, 300), "its proof is there");
    let another = case.with(|incident| incident.repair = None);
    assert!(!asked(&another, 300), "nobody knows its command");
    let examining = another.with(|incident| incident.repair = Some(command_id())).examining();
    assert!(!asked(&examining, 300), "nothing is waited for");
}
