//! The tour of `defib simulate`: each remedy helps and proves it, beside at least eight faults.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.

use std::collections::BTreeSet;
use std::process::Command;

use defib::incident::{AttemptResult, Incident, Outcome, Proof, Remedy};
use defib::report::timeline;
use defib::sim::rehearsal::{Played, Rehearsal};
use defib::sim::scenario::{Scenario, What};
use defib::sim::stage;
use jiff::Timestamp;

fn tour() -> (Scenario, Played) {
    let scenario: Scenario = include_str!("../src/sim/tour.txt").parse().unwrap();
    let played = Rehearsal::of_scenario(stage::documentation_home().unwrap(), &scenario).play();
    (scenario, played)
}

/// The moment in a proof that must be later than the remedy.
fn moment(proof: Proof) -> Option<Timestamp> {
    match proof {
        Proof::DiskFree { asked_at: at }
        | Proof::SsmPinged { at, .. }
        | Proof::EcsConnected { since: at }
        | Proof::RuntimeAnswers { since: at }
        | Proof::Booted { at, .. }
        | Proof::Launched { at } => Some(at),
        Proof::BackAfterReboot { pinged_at } => pinged_at,
        Proof::GroupWhole { .. } => None,
    }
}

/// The attempts that helped, each with its incident.
fn helped(played: &Played) -> Vec<(&Incident, Remedy, Timestamp)> {
    let each = |incident: &'_ std::sync::Arc<Incident>| -> Vec<(Remedy, Timestamp)> {
        let helped = incident.attempts.iter().filter(|attempt| attempt.result == AttemptResult::Helped);
        helped.map(|attempt| (attempt.remedy, attempt.acted_at.unwrap())).collect()
    };
    let of = |incident| each(incident).into_iter().map(move |(remedy, at)| (incident.as_ref(), remedy, at));
    played.incidents.iter().flat_map(of).collect()
}

#[test]
fn each_remedy_helps_and_its_proof_is_later_than_the_remedy() {
    let (_, played) = tour();
    let helped = helped(&played);
    let remedies: BTreeSet<Remedy> = helped.iter().map(|(_, remedy, _)| *remedy).collect();
    assert_eq!(remedies.into_iter().collect::<Vec<_>>(), Remedy::ALL);
    for (incident, remedy, acted_at) in helped {
        let proof = incident.proof_of(remedy).unwrap_or_else(|| panic!("{remedy} on {}: no proof", incident.node));
        let is_later = match proof {
            // A group has no clock of its own; its new member registered after the remedy, or there is no proof.
            Proof::GroupWhole { .. } => true,
            _ => moment(proof).is_some_and(|at| at > acted_at),
        };
        assert!(is_later, "{remedy} at {acted_at}: {proof:?}");
        // And it stands in the history, in words.
        let words = timeline::proven(proof);
        let told = incident.history.iter().filter_map(|entry| timeline::line(entry, incident));
        assert!(told.into_iter().any(|line| line.contains(&words)), "{remedy}: {words}");
    }
}

#[test]
fn there_are_at_least_eight_faults_and_each_is_told_of() {
    let (scenario, played) = tour();
    let ill: BTreeSet<_> = scenario
        .steps
        .iter()
        .filter_map(|step| match &step.what {
            What::Fault(name, ailment, _) => Some((name.clone(), *ailment)),
            _ => None,
        })
        .collect();
    assert!(ill.iter().map(|(_, ailment)| ailment).collect::<BTreeSet<_>>().len() >= 8, "{ill:?}");
    for (name, ailment) in ill {
        let told = played
            .reports
            .iter()
            .any(|(_, item)| item.report.incident.place.name.as_ref().is_some_and(|known| known.as_str() == name));
        assert!(told, "nobody was told of {name}: {ailment:?}");
    }
    let outcomes: BTreeSet<Outcome> = played.reports.iter().map(|(_, item)| item.id.outcome).collect();
    for outcome in [Outcome::Fixed, Outcome::Cycled, Outcome::Replaced, Outcome::NeedsHuman, Outcome::NotOurs] {
        assert!(outcomes.contains(&outcome), "{outcome}");
    }
}

#[test]
fn the_printed_tour_ends_its_timeline_with_one_proof_for_each_remedy() {
    let ran = Command::new(env!("CARGO_BIN_EXE_defib")).arg("simulate").env("NO_COLOR", "1").output().unwrap();
    assert!(ran.status.success());
    let text = String::from_utf8(ran.stdout).unwrap();
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("Each remedy that helped")).collect();
    for (line, remedy) in table[1..].iter().zip(Remedy::ALL) {
        assert!(line.trim_start().starts_with(remedy.as_str()), "{line}");
    }
    assert_eq!(table[1 + Remedy::ALL.len()], "");
    // A page that is read: not much longer than what it has to show.
    assert!(text.lines().count() < 360, "{} lines", text.lines().count());
    assert_eq!(text.matches("Subject: ").count(), 3);
}
