//! `defib replay`: what was recorded is rehearsed as it was, and another policy makes the difference that it should.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.

mod from_outside;

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use defib::event::Signal;
use defib::incident::{Ending, Incident, Outcome, Remedy, record};
use defib::policy::{Mode, Policy};
use defib::sim::ailment::Ailment;
use defib::sim::rehearsal::{Rehearsal, tour_start};
use defib::sim::scenario::Scenario;
use defib::sim::{stage, transcript};
use serde_json::Value;

use from_outside::{defib, out};

fn errors(ran: &Output) -> String {
    String::from_utf8(ran.stderr.clone()).unwrap()
}

fn lines(ran: &Output) -> Vec<Value> {
    out(ran).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{name}"));
    std::fs::write(&path, text).unwrap();
    path
}

fn replay(name: &str, text: &str, policy: &str, more: &[&str]) -> Output {
    let (incident, policy) = (file(&format!("{name}.json"), text), file(&format!("{name}.yaml"), policy));
    let paths = [incident.to_str().unwrap(), policy.to_str().unwrap()];
    defib(&[&["replay", paths[0], "--policy", paths[1]], more].concat())
}

/// What an incident of the simulated account looks like in the ledger, for a fault that an event tells of.
fn incident_of(fault: Ailment, policy: &Policy) -> Option<Arc<Incident>> {
    let node = stage::telling_node(fault).parse().unwrap();
    let signal = Signal { node, at: tour_start(), kind: stage::telling(fault).unwrap() };
    let home = stage::documentation_home().unwrap();
    let played = Rehearsal::of_events(&home, &[signal], Some(fault), policy.clone(), 1).play();
    played.incidents.iter().find(|incident| incident.node == node && !transcript::is_blip(incident)).cloned()
}

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/scenarios/{name}.txt"));
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

/// The first incident of a scenario that was more than a blip, as the ledger stores it.
fn record_of(name: &str) -> String {
    let played = Rehearsal::of_scenario(stage::documentation_home().unwrap(), &scenario(name)).play();
    let incident = played.incidents.iter().find(|incident| !transcript::is_blip(incident)).unwrap();
    record::write(incident).unwrap()
}

#[test]
fn under_the_same_policy_every_fault_goes_the_way_that_it_went() {
    let mut compared = 0;
    for mode in [Mode::Observe, Mode::Restart, Mode::Cycle, Mode::Replace] {
        let policy = Policy::in_mode(mode);
        for fault in Ailment::ALL {
            let Some(then) = incident_of(*fault, &policy) else { continue };
            // As stored: what is rehearsed is what the ledger holds.
            let then = record::read(record::write(&then).unwrap().as_bytes()).unwrap();
            let (rehearsal, staging) = Rehearsal::of_record(&then, policy.clone(), 1);
            let played = rehearsal.play();
            let now = played.incidents.iter().find(|incident| incident.node == then.node);
            let now = now.unwrap_or_else(|| panic!("{fault:?} in {mode}: no incident"));
            let told = |incident: &Incident| {
                (incident.ending().map(Ending::outcome), incident.performed().collect::<Vec<_>>())
            };
            assert_eq!(told(now), told(&then), "{fault:?} in {mode}, rehearsed with {staging:?}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn another_policy_makes_the_difference_and_says_why() {
    let record = record_of("ssm-agent-hung-reboot-heals");
    let ran = replay("restart", &record, "mode: restart\n", &["--json"]);
    assert_eq!(ran.status.code(), Some(5), "{}", errors(&ran));
    let lines = lines(&ran);
    assert_eq!(lines.len(), 3);
    let [then, now, sum] = [&lines[0], &lines[1], &lines[2]];
    assert_eq!((&then["type"], &then["outcome"]), (&"recorded".into(), &"cycled".into()));
    assert_eq!(then["remedies"], serde_json::json!(["reboot"]));
    assert_eq!((&now["type"], &now["outcome"]), (&"incident".into(), &"blocked".into()));
    assert_eq!(now["remedies"], serde_json::json!([]));
    assert_eq!(now["refusals"][0]["rail"], "mode-too-low");
    assert!(now["refusals"][0]["text"].as_str().unwrap().contains("restart"), "{now}");
    assert_eq!((&sum["type"], &sum["recorded"], &sum["changed"]), (&"summary".into(), &1.into(), &1.into()));
    for field in ["incident_id", "node_id", "cause", "outcome", "remedies", "reports", "duration_secs"] {
        assert!(then.get(field).is_some() && now.get(field).is_some(), "{field}");
    }
    let same = replay("same", &record, "mode: replace\n", &["--json"]);
    assert_eq!(same.status.code(), Some(0));
    assert_eq!(self::lines(&same)[2]["changed"], 0);
}

#[test]
fn people_read_both_sides_with_the_numbers() {
    let ran = replay("people", &record_of("ssm-agent-hung-reboot-heals"), "approve-from: reboot\n", &[]);
    let text = out(&ran);
    for words in
        ["Recorded: inc-", "Rehearsed under ", "Then  cycled", "Now   ", "in the way: ", "It would go another way."]
    {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn what_stood_in_the_way_then_stands_in_the_way_again() {
    // A Spot instance is replaced; where the policy goes no further than a cycle, nothing is left.
    let record = record_of("spot-instance-is-replaced-not-stopped");
    let now = lines(&replay("spot", &record, "mode: cycle\n", &["--json"]))[1].clone();
    assert!(!now["remedies"].as_array().unwrap().contains(&"stop-start".into()), "{now}");
    // Sessions are waited for as long as they lasted, unless the policy goes on with a warning.
    let record = record_of("live-sessions-are-waited-for");
    let wait = lines(&replay("wait", &record, "sessions: wait\n", &["--json"]));
    assert_eq!(wait[1]["refusals"][0]["rail"], "live-sessions", "{wait:?}");
    let warn = lines(&replay("warn", &record, "sessions: warn\n", &["--json"]));
    assert_eq!(warn[1]["refusals"], serde_json::json!([]), "{warn:?}");
    assert_eq!(warn[1]["outcome"], wait[1]["outcome"]);
    // Nobody else's node becomes ours by a policy.
    let record = record_of("managed-elsewhere-is-told-only");
    let now = lines(&replay("managed", &record, "mode: replace\n", &["--json"]))[1].clone();
    assert_eq!((&now["outcome"], &now["refusals"][0]["rail"]), (&"not-ours".into(), &"managed-elsewhere".into()));
}

#[test]
fn a_remedy_that_did_not_help_then_does_not_help_now() {
    let mut then = incident_of(Ailment::SsmAgentHung, &Policy::in_mode(Mode::Replace)).unwrap().as_ref().clone();
    assert_eq!(then.performed().collect::<Vec<_>>(), [Remedy::Reboot]);
    then.attempts[0].result = defib::incident::AttemptResult::Failed;
    let (rehearsal, _) = Rehearsal::of_record(&then, Policy::in_mode(Mode::Replace), 1);
    let played = rehearsal.play();
    let now = played.incidents.iter().find(|incident| incident.node == then.node).unwrap();
    assert_eq!(now.attempts[0].remedy, Remedy::Reboot);
    assert_ne!(now.ending().map(Ending::outcome), Some(Outcome::Cycled), "the reboot was of no use");
}

#[test]
fn every_frozen_record_can_be_rehearsed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen");
    let policy = file("frozen.yaml", "mode: cycle\n");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_str().unwrap().starts_with("incident-") {
            continue;
        }
        let ran = defib(&["replay", path.to_str().unwrap(), "--policy", policy.to_str().unwrap(), "--json"]);
        assert!(matches!(ran.status.code(), Some(0 | 5)), "{}: {}", path.display(), errors(&ran));
        assert_eq!(lines(&ran).last().unwrap()["type"], "summary");
        seen += 1;
    }
    assert!(seen > 20, "{seen}");
}

#[test]
fn an_event_is_rehearsed_as_simulate_does() {
    let policy = file("event.yaml", "mode: cycle\n");
    let policy = policy.to_str().unwrap();
    for event in
        ["events/ssm-invocation-timed-out.json", "events/ssm-own-document.json", "events/hostile/no-detail.json"]
    {
        let replayed = defib(&["replay", event, "--policy", policy, "--json"]);
        let simulated = defib(&["simulate", event, "--policy", policy, "--json"]);
        assert_eq!(out(&replayed), out(&simulated), "{event}: {}", errors(&replayed));
        assert_eq!(replayed.status.code(), simulated.status.code(), "{event}");
    }
}

#[test]
fn several_records_are_rehearsed_one_after_another() {
    let both = format!("{}\n{}\n", record_of("ssm-agent-hung-reboot-heals"), record_of("exit-five-is-not-restarted"));
    let lines = lines(&replay("both", &both, "mode: observe\n", &["--json"]));
    let kinds: Vec<&str> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["recorded", "incident", "recorded", "incident", "summary"]);
    assert!(lines.iter().filter(|line| line["type"] == "incident").all(|line| line["outcome"] == "dry-run"));
    assert_eq!(lines[4]["recorded"], 2);
}

#[test]
fn bad_input_is_a_clear_error_and_never_shown() {
    for (name, text, words) in [
        ("empty", "", "it is empty"),
        ("text", "hunter2", "not JSON at line 1"),
        ("other", "{\"hunter2\":1}", "neither an incident nor an event"),
        ("newer", "{\"schema\":99,\"phase\":{}}", "a newer version wrote it"),
        ("cut", "{\"schema\":1,\"phase\":", "not JSON"),
    ] {
        let ran = replay(name, text, "mode: cycle\n", &["--json"]);
        assert_eq!(ran.status.code(), Some(1), "{name}");
        assert!(errors(&ran).contains(words), "{name}: {}", errors(&ran));
        assert!(!errors(&ran).contains("hunter2") && out(&ran).is_empty(), "{name}");
    }
    let record = record_of("ssm-agent-hung-reboot-heals");
    let ran = replay("policy", &record, "mode: reckless\n", &[]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(errors(&ran).contains("off, observe, restart, cycle"), "{}", errors(&ran));
    assert_eq!(defib(&["replay", "events/ssm-invocation-timed-out.json"]).status.code(), Some(2), "no policy");
    let ran = defib(&["replay", "no-such-file.json", "--policy", "infra/policy.example.yaml"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(errors(&ran).contains("no-such-file.json"));
}
