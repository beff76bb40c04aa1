//! The command line from outside: its exit codes, its lines, and what it never does (CONTRACT.md).

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use defib::config::Stopwatch;
use defib::sim::ailment::Ailment;
use serde_json::Value;

/// What a run of `defib` left behind.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_defib"));
    command.args(args).current_dir(env!("CARGO_MANIFEST_DIR")).env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(mut command: Command) -> Ran {
    let output = command.output().expect("defib starts");
    let text = |bytes| String::from_utf8(bytes).expect("defib speaks UTF-8");
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

fn defib(args: &[&str]) -> Ran {
    run(command(args))
}

impl Ran {
    fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }

    fn of_type(&self, kind: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["type"] == kind).collect()
    }

    /// The remedies of all incidents.
    fn remedies(&self) -> Vec<String> {
        self.of_type("incident")
            .iter()
            .flat_map(|line| line["remedies"].as_array().unwrap().clone())
            .map(|remedy| remedy.as_str().unwrap().to_owned())
            .collect()
    }

    fn reports(&self) -> u64 {
        self.lines().last().unwrap()["reports"].as_u64().unwrap()
    }
}

fn events(folder: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<String> = std::fs::read_dir(root.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned())
        .filter(|name| Path::new(name).extension().is_some_and(|ending| ending == "json"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    files.sort_unstable();
    files
}

/// The events that ask for a look.
fn trouble() -> Vec<String> {
    let files = events("events");
    let mut args = vec!["event", "--json"];
    args.extend(files.iter().map(String::as_str));
    let lines = defib(&args).lines();
    let trouble = lines.iter().filter(|line| line["verdict"] == "trouble");
    trouble.map(|line| line["file"].as_str().unwrap().to_owned()).collect()
}

fn temporary(name: &str, text: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, text).unwrap();
    file
}

#[test]
fn every_sample_event_is_played_to_a_fitting_end() {
    for file in events("events") {
        let ran = defib(&["simulate", &file, "--json"]);
        let verdict = ran.of_type("event")[0]["verdict"].as_str().unwrap().to_owned();
        let last = ran.lines().pop().unwrap();
        assert_eq!(last["type"], "summary", "{file}");
        let bad =
            ran.of_type("incident").iter().any(|line| line["outcome"] == "needs-human" || line["outcome"] == "blocked");
        assert_eq!(ran.code, if bad { 5 } else { 0 }, "{file}: {}", ran.err);
        if verdict != "trouble" {
            assert_eq!((ran.code, ran.remedies().len(), ran.reports()), (0, 0, 0), "{file} is {verdict}");
        }
        let outcome = |line: &Value| line["outcome"].as_str().unwrap().to_owned();
        let named: Vec<String> =
            ran.of_type("incident").iter().filter(|line| line["reports"] != 0).map(outcome).collect();
        let fits = match file.rsplit('/').next().unwrap() {
            "ecs-agent-disconnected.json"
            | "ecs-agent-disconnected-draining.json"
            | "ecs-anywhere-disconnected.json"
            | "ecs-health-impaired-agent.json" => named == ["fixed"],
            "ecs-health-impaired-runtime.json"
            | "ssm-invocation-timed-out.json"
            | "ssm-invocation-undeliverable.json"
            | "ssm-invocation-delivery-timed-out.json"
            | "cloudtrail-start-session-target-not-connected.json" => named == ["cycled"],
            "ssm-invocation-execution-timed-out.json" => named == ["not-ours"],
            _ => named.is_empty(),
        };
        assert!(fits, "{file} ended as {named:?}");
    }
}

#[test]
fn a_healthy_node_is_neither_touched_nor_mailed_whatever_is_told_of_it() {
    for file in trouble() {
        let ran = defib(&["simulate", &file, "--fault", "healthy", "--json"]);
        // That a script timed out is told; a node that is well is not.
        let script = file.contains("execution-timed-out");
        assert_eq!((ran.code, ran.remedies(), ran.reports()), (0, vec![], u64::from(script)), "{file}");
    }
}

#[test]
fn a_script_that_timed_out_is_told_exactly_once() {
    for file in trouble().iter().filter(|file| file.contains("ssm-invocation")) {
        for seed in ["1", "2", "3"] {
            let args = ["simulate", file, "--fault", "command.script-timeout", "--seed", seed, "--json"];
            let ran = defib(&args);
            assert_eq!((ran.code, ran.remedies(), ran.reports()), (0, vec![], 1), "{file}, seed {seed}");
        }
    }
}

#[test]
fn role_network_and_clock_never_get_a_remedy() {
    let surroundings = ["identity.", "network.", "clock."];
    let faults: Vec<&str> = Ailment::all()
        .iter()
        .map(|ailment| ailment.cause().code())
        .filter(|code| surroundings.iter().any(|family| code.starts_with(family)))
        .collect();
    assert!(faults.len() >= 8, "{faults:?}");
    for file in trouble() {
        for fault in &faults {
            let ran = defib(&["simulate", &file, "--fault", fault, "--json"]);
            assert_eq!(ran.remedies(), Vec::<String>::new(), "{file} with {fault}");
            assert!([0, 5].contains(&ran.code), "{file} with {fault}: {}", ran.err);
        }
    }
}

#[test]
fn a_missing_role_is_named_and_asks_for_a_person() {
    let ran = defib(&["simulate", "--fault", "identity.no-instance-profile", "--json"]);
    let told = ran.of_type("incident").into_iter().find(|line| line["reports"] != 0).unwrap();
    assert_eq!(
        (ran.code, &told["cause"], &told["outcome"]),
        (5, &"identity.no-instance-profile".into(), &"needs-human".into())
    );
}

#[test]
fn every_fault_that_the_account_knows_can_be_played() {
    let wanted = [
        "identity.no-instance-profile",
        "identity.access-denied",
        "network.unreachable",
        "network.dns",
        "clock.skew",
        "command.script-timeout",
        "healthy",
    ];
    let known: Vec<&str> = Ailment::all().iter().map(|ailment| ailment.code()).collect();
    assert!(wanted.iter().all(|fault| known.contains(fault)));
    for fault in known {
        let ran = defib(&["simulate", "--fault", fault, "--json"]);
        assert!([0, 5].contains(&ran.code), "{fault}: {} {}", ran.code, ran.err);
        assert_eq!(ran.lines().last().unwrap()["type"], "summary", "{fault}");
    }
}

#[test]
fn the_tour_is_quick_and_shows_faults_and_whole_messages() {
    let watch = Stopwatch::start();
    let ran = defib(&["simulate"]);
    assert!(watch.elapsed().as_secs() < 5, "{:?}", watch.elapsed());
    assert_eq!(ran.code, 0);
    assert!(ran.out.matches("falls ill").count() >= 8, "{}", ran.out);
    assert_eq!(ran.out.lines().filter(|line| line.starts_with("Subject: [defib] ")).count(), 3);
}

#[test]
fn lines_for_programs_are_compact_and_keep_their_keys_in_order() {
    let ran = defib(&["simulate", "events/ssm-invocation-timed-out.json", "--json"]);
    for line in ran.out.lines() {
        let starts = [
            r#"{"type":"event","file":""#,
            r#"{"type":"incident","incident_id":""#,
            r#"{"type":"summary","events":1,"incidents":"#,
        ];
        assert!(starts.iter().any(|start| line.starts_with(start)), "{line}");
        assert!(!line.contains(": ") && !line.contains(", "), "not compact: {line}");
    }
    let incident = ran.out.lines().find(|line| line.contains("\"incident\"")).unwrap();
    let keys = ["type", "incident_id", "node_id", "cause", "outcome", "remedies", "reports", "duration_secs"];
    let places: Vec<usize> = keys.iter().map(|key| incident.find(&format!("\"{key}\":")).expect("a key")).collect();
    assert!(places.is_sorted(), "{incident}");
}

#[test]
fn nothing_is_coloured_for_pipes_files_or_whoever_asked() {
    let mut no_color = command(&["simulate"]);
    no_color.env("NO_COLOR", "1").env("CLICOLOR_FORCE", "0");
    for ran in
        [defib(&["simulate"]), defib(&["--no-color", "simulate"]), run(no_color), defib(&["simulate", "nowhere"])]
    {
        assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{}", ran.err);
    }
}

#[test]
fn global_options_may_stand_on_either_side_of_the_command() {
    let file = "events/ec2-stopped.json";
    let before = defib(&["--json", "--region", "eu-west-1", "event", file]);
    let after = defib(&["event", file, "--json", "--region", "eu-west-1"]);
    assert_eq!((before.code, &before.out), (after.code, &after.out));
    assert_eq!(before.lines()[0]["verdict"], "rejected", "another region's");
}

#[test]
fn a_wrong_command_line_is_exit_code_two() {
    for args in [
        &["simulate", "--fault", "host.on-fire"][..],
        &["simulate", "--mode", "furious"],
        &["simulate", "--seed", "lucky"],
        &["explode"],
        &["event"],
        &[],
    ] {
        let ran = defib(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
    }
    let ran = defib(&["simulate", "--fault", "host.on-fire"]);
    assert!(ran.err.contains("host.on-fire") && ran.err.contains("host.disk-full"), "{}", ran.err);
}

#[test]
fn every_event_file_gets_one_object_on_one_line() {
    let mut files = events("events");
    files.extend(events("events/hostile"));
    let mut args = vec!["event", "--json"];
    args.extend(files.iter().map(String::as_str));
    let ran = defib(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines = ran.lines();
    assert_eq!(lines.len(), files.len());
    for (line, file) in lines.iter().zip(&files) {
        assert_eq!(line["file"], file.as_str());
        assert!(["trouble", "recovered", "gone", "ignored", "rejected"].contains(&line["verdict"].as_str().unwrap()));
    }
}

#[test]
fn a_file_that_is_not_there_is_exit_code_one() {
    for args in [
        &["event", "events/no-such-event.json"][..],
        &["simulate", "events/no-such-event.json"],
        &["simulate", "--policy", "no-such-policy.yaml"],
        &["simulate", "--scenario", "no-such-scenario.txt"],
    ] {
        let ran = defib(args);
        assert_eq!(ran.code, 1, "{args:?}");
        assert!(ran.err.starts_with("error: failed to read ") && ran.err.contains("no-such-"), "{}", ran.err);
    }
}

#[test]
fn the_same_seed_plays_the_same_and_another_may_differ() {
    let play = |seed| defib(&["simulate", "events/ecs-agent-disconnected.json", "--json", "--seed", seed]).out;
    assert_eq!(play("7"), play("7"));
    assert!(["8", "9", "10", "11"].iter().any(|seed| play(seed) != play("7")));
}

#[test]
fn the_mode_is_a_cap() {
    let allowed = |mode| {
        let args = ["simulate", "events/ssm-invocation-timed-out.json", "--json", "--mode", mode];
        let ran = defib(&args);
        (ran.code, ran.remedies().len())
    };
    assert_eq!([allowed("off"), allowed("observe"), allowed("restart")], [(0, 0), (0, 0), (5, 0)]);
    assert_eq!([allowed("cycle"), allowed("replace")], [(0, 1), (0, 1)]);
}

#[test]
fn a_policy_is_obeyed_and_a_bad_one_is_named_with_its_place() {
    let event = "events/ssm-invocation-timed-out.json";
    let good = temporary("good.yaml", "mode: observe\n");
    let ran = defib(&["simulate", event, "--json", "--policy", good.to_str().unwrap()]);
    assert_eq!((ran.code, ran.remedies()), (0, vec![]));
    assert!(ran.of_type("incident").iter().any(|line| line["outcome"] == "dry-run"));
    let bad = temporary("bad.yaml", "mode: cycle\nbudgets:\n  account-at-one: 3\n");
    let ran = defib(&["simulate", event, "--policy", bad.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    let placed = ran.err.contains("bad.yaml:3:3: ");
    assert!(ran.err.contains("account-at-one") && placed, "{}", ran.err);
}

#[test]
fn completions_and_the_manual_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = defib(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("simulate"), "{shell}: {}", ran.err);
    }
    for args in [&["man"][..], &["man", "simulate"], &["--help"], &["simulate", "--help"], &["--version"]] {
        let ran = defib(args);
        assert!(ran.code == 0 && ran.out.contains("defib"), "{args:?}: {}", ran.err);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = command(&["simulate"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert!(!err.contains("panicked") && !err.contains("error"), "{err}");
}

#[test]
fn a_soak_for_programs_prints_one_object_a_line() {
    let ran = defib(&["soak", "--seed", "3", "--trace", "--coverage", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let objects: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no object: {line}")))
        .collect();
    let of = |kind: &str| objects.iter().filter(|object| object["type"] == kind).count();
    assert!(of("trace") > 100 && of("situations") > 50 && of("coverage") == 1, "{}", objects.len());
    assert_eq!(objects.last().map(|last| (&last["seeds"], &last["violations"])), Some((&1.into(), &0.into())));
    // The same for people, but for the last line.
    let told = defib(&["soak", "--seed", "3", "--trace", "--coverage"]);
    assert_eq!(told.out.lines().count(), ran.out.lines().count());
    assert!(told.out.contains("declared situations") && !told.out.lines().next().unwrap().starts_with('{'));
}

#[test]
fn no_threads_are_a_wrong_command_line() {
    for args in [["soak", "--seeds", "0..3"], ["duel", "--seeds", "0..3"]] {
        let ran = defib(&[&args[..], &["--threads", "0"]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
        assert!(ran.err.contains("--threads"), "{}", ran.err);
    }
}

#[cfg(feature = "plants")]
#[test]
fn a_violation_names_promise_seed_commit_and_the_command_that_plays_it_again() {
    let ran = |json: &[&str]| {
        let args = [&["soak", "--seeds", "0..200", "--plant", "no-active-cap"], json].concat();
        let ran = command(&args).env("DEFIB_COMMIT", "0123456789ab").output().unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap())
    };
    let (code, told) = ran(&[]);
    assert_eq!(code, Some(3), "{told}");
    let line = told.lines().find(|line| line.starts_with("  replay: ")).unwrap_or_default();
    assert!(line.contains("defib soak --seed ") && line.contains(" --plant no-active-cap --trace"), "{told}");
    assert!(line.ends_with(", commit 0123456789ab)"), "{told}");
    let (_, told) = ran(&["--json"]);
    let objects: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let violation = objects.iter().find(|object| object["type"] == "violation").unwrap();
    assert_eq!(violation["commit"], "0123456789ab");
    for name in ["promise", "seed", "at", "text", "replay"] {
        assert!(!violation[name].is_null(), "{name}: {violation}");
    }
    assert!(objects.iter().any(|object| object["type"] == "plant" && object["caught_by"].is_string()), "{told}");
}
