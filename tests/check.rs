//! `defib check` as a person runs it, against the simulated account's door.

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.

mod fleet_door;

use std::process::{Command, Output};

use fleet_door::Door;
use serde_json::{Value, json};

const NO_PROFILE: &str = "i-0a1b2c3d4e5f60718";
const SHUT: &str = "i-0a1b2c3d4e5f60719";
const NO_NAMES: &str = "i-0a1b2c3d4e5f6071a";
const MAY_NOT: &str = "i-0a1b2c3d4e5f6071b";
const WELL: &str = "i-0a1b2c3d4e5f6071c";
const ECS_LOST: &str = "i-0a1b2c3d4e5f6071d";
const RACK: &str = "mi-0a1b2c3d4e5f6071e";
const DISK: &str = "i-0a1b2c3d4e5f6071f";
const RETIRED: &str = "i-0a1b2c3d4e5f60720";

fn world() -> Value {
    let sick = |id: &str, fault: &str| json!({"id": id, "fault": fault, "since_secs": 2_000});
    let mut denied = sick(MAY_NOT, "identity.access-denied");
    denied["role"] = json!("starved-role");
    let mut lost = sick(ECS_LOST, "ecs-agent.stopped");
    lost["cluster"] = json!("prod-web");
    json!({"instances": [
        sick(NO_PROFILE, "identity.no-instance-profile"), sick(SHUT, "network.unreachable"), sick(NO_NAMES, "network.dns"),
        denied, {"id": WELL, "cluster": "prod-web"}, lost, {"id": RACK}, sick(DISK, "impaired-volume"), sick(RETIRED, "retirement"),
    ]})
}

struct Desk {
    door: Door,
}

impl Desk {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { door: runtime.block_on(Door::open(&world())) }
    }

    fn check(&self, arguments: &[&str]) -> Output {
        let endpoint = format!("http://{}", self.door.at);
        Command::new(env!("CARGO_BIN_EXE_defib"))
            .args(["check", "--region", "us-east-1", "--endpoint-url", &endpoint])
            .args(arguments)
            .env("AWS_ACCESS_KEY_ID", "a")
            .env("AWS_SECRET_ACCESS_KEY", "b")
            .env_remove("AWS_PROFILE")
            .output()
            .unwrap()
    }

    /// The answer about one node, and the exit code.
    fn told(&self, node: &str) -> (Value, Option<i32>) {
        let output = self.check(&["--json", node]);
        let text = String::from_utf8_lossy(&output.stdout);
        let told = serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{output:?}"));
        (told, output.status.code())
    }

    /// The cause, and the checks that failed; each of them has its fix.
    fn failed(&self, node: &str) -> (String, Vec<String>) {
        let (told, code) = self.told(node);
        let checks = told["checks"].as_array().unwrap();
        let failed: Vec<&Value> = checks.iter().filter(|line| line["verdict"] == "FAIL").collect();
        assert!(failed.iter().all(|line| line["fix"].as_str().is_some_and(|fix| !fix.is_empty())), "{told:#}");
        assert_eq!(code, Some(if failed.is_empty() { 0 } else { 3 }), "{told:#}");
        let ids = failed.iter().map(|line| line["id"].as_str().unwrap().to_owned()).collect();
        (told["cause"].as_str().unwrap().to_owned(), ids)
    }
}

#[test]
fn each_trouble_around_a_node_is_named_by_the_check_that_shows_it() {
    let desk = Desk::open();
    for (node, cause, check) in [
        (NO_PROFILE, "identity.no-instance-profile", "I01"),
        (SHUT, "network.unreachable", "N09"),
        (MAY_NOT, "identity.access-denied", "I02"),
    ] {
        let (named, failed) = desk.failed(node);
        assert_eq!(named, cause, "{node}");
        assert!(failed.iter().any(|id| id == check), "{node}: {failed:?}");
    }
    let (told, _) = desk.told(NO_NAMES);
    let lines = told["checks"].as_array().unwrap();
    let names = lines.iter().find(|line| line["id"] == "N11").unwrap();
    assert_ne!(names["verdict"], "OK", "{told:#}");
}

#[test]
fn a_well_node_and_a_rack_have_nothing_that_failed() {
    let desk = Desk::open();
    for node in [WELL, RACK] {
        let (told, code) = desk.told(node);
        assert_eq!((&told["well"], &told["cause"], code), (&json!(true), &json!("healthy"), Some(0)), "{told:#}");
        let bad = told["checks"].as_array().unwrap().iter().filter(|line| line["verdict"] == "FAIL").count();
        assert_eq!(bad, 0, "{told:#}");
    }
}

#[test]
fn impaired_volumes_and_a_retirement_are_why_a_node_is_silent() {
    let desk = Desk::open();
    let (named, failed) = desk.failed(DISK);
    assert_eq!(named, "host.io-stalled");
    assert!(failed.iter().any(|id| id == "E03"), "{failed:?}");
    let (told, _) = desk.told(RETIRED);
    assert_eq!(told["cause"], "platform.hardware", "{told:#}");
}

#[test]
fn what_only_this_command_reads_has_its_lines() {
    let desk = Desk::open();
    let (told, _) = desk.told(WELL);
    let ids: Vec<&str> = told["checks"].as_array().unwrap().iter().map(|line| line["id"].as_str().unwrap()).collect();
    for id in ["E03", "E04", "E05", "E06", "E07", "E08", "S01", "S03", "S13", "C01", "C02", "C03", "C04", "C16"] {
        assert!(ids.contains(&id), "{id}: {ids:?}");
    }
}

#[test]
fn a_cluster_is_checked_node_by_node_for_people() {
    let desk = Desk::open();
    let output = desk.check(&["--cluster", "prod-web", "--no-color"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text.contains(WELL) && text.contains(ECS_LOST) && !text.contains(SHUT), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    let failed = lines.iter().position(|line| line.contains("FAIL    C01")).unwrap();
    assert!(lines[failed + 1].trim_start().starts_with("fix: "), "{text}");
    assert!(text.contains("cause: healthy"), "{text}");
}

#[test]
fn nothing_is_changed_and_no_command_is_sent() {
    let desk = Desk::open();
    let _ = desk.door.calls();
    let _ = desk.check(&[SHUT, ECS_LOST]);
    let calls = desk.door.calls();
    assert!(!calls.is_empty());
    let reads = ["Describe", "Get", "List", "Simulate"];
    assert!(calls.iter().all(|call| reads.iter().any(|read| call.starts_with(read))), "{calls:?}");
}

#[test]
fn an_unknown_node_and_an_empty_cluster_are_said_to_be_so() {
    let desk = Desk::open();
    let (_, failed) = desk.failed("i-0123456789abcdef0");
    assert_eq!(failed, ["G02"]);
    let output = desk.check(&["--cluster", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no container instances"), "{output:?}");
}
