//! `defib policy` from outside.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.

mod from_outside;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use defib::policy::document::Document;
use defib::policy::settings::SETTINGS;
use defib::policy::yaml::read;
use defib::policy::{Policy, schema};

use from_outside::{defib, out};

const EXAMPLE: &str = "infra/policy.example.yaml";

fn json(ran: &Output) -> serde_json::Value {
    serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{ran:?}"))
}

/// A file of this test's own.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn example() -> Document {
    read(&std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE)).unwrap()).unwrap()
}

#[test]
fn the_example_says_every_setting_and_equals_the_defaults() {
    let example = example();
    let said: Vec<usize> = example.top.iter().map(|given| given.index).collect();
    assert_eq!(said, (0..SETTINGS.len()).collect::<Vec<_>>(), "every setting, in the order of the table");
    // Starting from something else everywhere, so that each line must count.
    let mut other = Policy::in_mode(defib::policy::Mode::Replace);
    other.quiet_secs = 1;
    assert_eq!(example.under(&other), Policy::default());
}

#[test]
fn the_example_s_commented_parts_are_right_too() {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE)).unwrap();
    let parts: String = text.lines().filter_map(|line| line.strip_prefix("#   ")).fold(String::new(), |all, line| {
        let part = ["causes:", "clusters:", "  "].iter().any(|start| line.starts_with(start)) && !all.is_empty();
        if part || line == "causes:" { all + line + "\n" } else { all }
    });
    let document = read(parts.as_bytes()).unwrap();
    assert_eq!((document.causes.len(), document.clusters.len()), (2, 2), "{parts}");
}

#[test]
fn the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() {
    let validator = jsonschema::validator_for(&schema::schema()).unwrap();
    let valid = |text: &str| validator.is_valid(&serde_saphyr::from_str::<serde_json::Value>(text).unwrap());
    assert!(valid(&std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(EXAMPLE)).unwrap()));
    for (text, good) in [
        ("mode: cycle\ncauses: {unknown: {highest-remedy: none, wait-secs: 120}}", true),
        ("groups: [{match: a, budgets: {node-a-day: 1}}]", true),
        ("sesions: wait", false),
        ("mode: everything", false),
        ("cooldown-secs: -1", false),
        ("budgets: {group-percent: 120}", false),
        ("groups: [{mode: cycle}]", false),
        ("groups: [{match: a, quiet-secs: 600}]", false),
        ("clusters: [{match: 'arn:aws'}]", false),
        ("causes: {host.on-fire: {}}", false),
        ("causes: {unknown: {wait-secs: 5}}", false),
    ] {
        assert_eq!((valid(text), read(text.as_bytes()).is_ok()), (good, good), "{text}");
    }
}

#[test]
fn schema_prints_the_schema_of_the_docs() {
    let ran = defib(&["policy", "schema"]);
    assert_eq!(ran.status.code(), Some(0));
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/policy-1.schema.json");
    assert_eq!(out(&ran), std::fs::read_to_string(kept).unwrap());
}

#[test]
fn check_says_what_a_good_document_holds() {
    let ran = defib(&["policy", "check", EXAMPLE]);
    assert_eq!(ran.status.code(), Some(0), "{ran:?}");
    assert_eq!(
        out(&ran),
        format!("ok  {EXAMPLE}: mode observe, 0 other settings changed, 0 causes, 0 cluster blocks, 0 group blocks\n")
    );
    let other = file("other.yaml", b"cooldown-secs: 600\nmode: cycle\ngroups: [{match: a}]\n");
    let ran = defib(&["policy", "check", other.to_str().unwrap()]);
    assert!(
        out(&ran).ends_with("mode cycle, 1 other setting changed, 0 causes, 0 cluster blocks, 1 group block\n"),
        "{ran:?}"
    );
}

#[test]
fn check_shows_line_column_and_what_is_allowed() {
    let bad = file("bad.yaml", b"mode: cycle\nbudgets:\n  group-percent: 120\nsesions: wait\n");
    let bad = bad.to_str().unwrap();
    let ran = defib(&["policy", "check", EXAMPLE, bad]);
    assert_eq!(ran.status.code(), Some(3), "{ran:?}");
    let text = out(&ran);
    let place = format!(
        "{bad}:3:18: group-percent is 120; allowed: a whole number from 1 to 50\n  3 |   group-percent: 120\n    |                  ^\n"
    );
    assert!(text.contains(&place), "{text}");
    assert!(text.contains(":4:1: there is no setting \"sesions\"; did you mean sessions?; allowed here: "), "{text}");
    let ran = defib(&["policy", "check", bad, "--json"]);
    let answer = json(&ran);
    assert_eq!((ran.status.code(), &answer["ok"]), (Some(3), &serde_json::json!(false)));
    assert_eq!((&answer["findings"][0]["line"], &answer["findings"][0]["column"]), (&3.into(), &18.into()));
}

#[test]
fn check_takes_standard_input_and_a_file_that_is_not_there_is_an_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_defib"))
        .args(["policy", "check", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"mode: off\n").unwrap();
    let ran = child.wait_with_output().unwrap();
    assert_eq!((ran.status.code(), out(&ran).trim()), (Some(0), r#"{"file":"-","ok":true,"findings":[]}"#));
    assert_eq!(defib(&["policy", "check", "no-such-file.yaml"]).status.code(), Some(1));
}

#[test]
fn junk_of_any_size_is_a_finding() {
    let megabyte = vec![b'x'; 1_000_000];
    for (name, bytes) in
        [("large", megabyte.as_slice()), ("latin", b"mode: \xe9"), ("nul", b"\0\0"), ("cut", b"mode: {")]
    {
        let path = file(&format!("junk-{name}.yaml"), bytes);
        let ran = defib(&["policy", "check", path.to_str().unwrap()]);
        assert_eq!(ran.status.code(), Some(3), "{name}: {ran:?}");
        assert!(out(&ran).contains(&format!("junk-{name}.yaml:1:")) && ran.stdout.len() < 1_000, "{name}: {ran:?}");
    }
}

#[test]
fn explain_names_the_layer_that_decided() {
    let policy = file(
        "layers.yaml",
        b"mode: restart\ncauses: {host.disk-full: {highest-remedy: none}}\nclusters:\n  - match: prod*\n    mode: cycle\n",
    );
    let policy = policy.to_str().unwrap();
    let script = file(
        "fleet.txt",
        b"node web-1 id=i-0a1b2c3d4e5f60718 cluster=prod group=web mode=restart\nnode web-2 cluster=prod\n",
    );
    let script = script.to_str().unwrap();
    let explain = |node: &str| defib(&["policy", "explain", node, "--policy", policy, "--scenario", script, "--json"]);
    let row = |answer: &serde_json::Value, name: &str| {
        let rows = answer["settings"].as_array().unwrap();
        rows.iter().find(|row| row["setting"] == name).unwrap().clone()
    };
    let by_id = json(&explain("i-0a1b2c3d4e5f60718"));
    assert_eq!(by_id["group"], "web");
    assert_eq!(
        row(&by_id, "mode"),
        serde_json::json!({"setting": "mode", "value": "restart", "decided_by": {"layer": "tag", "on": "node"}})
    );
    let by_name = json(&explain("web-2"));
    assert_eq!(
        row(&by_name, "mode")["decided_by"],
        serde_json::json!({"layer": "cluster-block", "names": "prod*", "line": 5})
    );
    assert_eq!(row(&by_name, "budgets.node-a-day")["decided_by"]["layer"], "default");
    assert_eq!(by_name["causes"][0]["highest_remedy"], "none");
    let ran = explain("web-3");
    assert_eq!(ran.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("it has web-1, web-2"));

    let ran = defib(&[
        "policy",
        "explain",
        "--policy",
        policy,
        "--cluster",
        "prod-2",
        "--stack",
        "DEFIB_MODE=restart",
        "--stack",
        "DEFIB_QUIET_SECS=600",
    ]);
    let text = out(&ran);
    assert!(text.starts_with("a node: cluster prod-2, no group\n"), "{text}");
    assert!(text.lines().any(|line| line.contains("stack: its mode caps the cycle of line 5")), "{text}");
    assert!(text.lines().any(|line| line.contains("quiet-secs") && line.ends_with("stack")), "{text}");
    assert!(
        text.lines().any(|line| line.contains("causes.host.disk-full") && line.contains("highest-remedy none")),
        "{text}"
    );
    assert_eq!(defib(&["policy", "explain", "--stack", "DEFIB_MODUS=cycle"]).status.code(), Some(1));
}

#[test]
fn explain_without_a_stack_allows_no_more_than_a_stack_without_settings() {
    let mode = |arguments: &[&str]| {
        let ran = defib(&[&["policy", "explain", "--json"], arguments].concat());
        let settings = json(&ran)["settings"].clone();
        let said = (settings[0]["value"].as_str().unwrap().to_owned(), settings[0]["decided_by"]["layer"].clone());
        (said, String::from_utf8(ran.stderr).unwrap())
    };
    let node = "i-0123456789abcdef0";
    let (said, heard) = mode(&[node]);
    assert_eq!(said, ("observe".to_owned(), "default".into()));
    assert!(heard.starts_with("note: the simulated account does not know i-0123456789abcdef0"), "{heard}");
    assert_eq!(mode(&[]), (("observe".to_owned(), "default".into()), String::new()));
    assert_eq!(mode(&[node, "--cluster", "prod"]).0, ("observe".to_owned(), "default".into()));
    assert_eq!(mode(&[node, "--stack", "DEFIB_QUIET_SECS=600"]).0.0, "observe");
    assert_eq!(mode(&[node, "--stack", "DEFIB_MODE=cycle"]).0, ("cycle".to_owned(), "stack".into()));

    let policy = file("cycle-alone.yaml", b"mode: cycle\n");
    let (said, heard) = mode(&["--policy", policy.to_str().unwrap()]);
    assert_eq!(said.0, "observe");
    assert!(heard.contains("no stack is named"), "{heard}");
    let script = file("restart-stack.txt", b"mode restart\nnode web-1\n");
    let script = ["web-1", "--scenario", script.to_str().unwrap(), "--stack", "DEFIB_QUIET_SECS=600"];
    assert_eq!(mode(&script).0, ("restart".to_owned(), "stack".into()));
}

#[test]
fn explain_refuses_what_is_no_node() {
    for blank in ["", "  "] {
        let ran = defib(&["policy", "explain", blank]);
        assert_eq!((ran.status.code(), out(&ran).as_str()), (Some(2), ""), "{ran:?}");
    }
    for (name, place) in [("no-such-node", &[][..]), ("i-12", &[]), ("no-such-node", &["--cluster", "prod"])] {
        let ran = defib(&[&["policy", "explain", name], place].concat());
        assert_eq!((ran.status.code(), out(&ran).as_str()), (Some(1), ""), "{ran:?}");
        let told = String::from_utf8_lossy(&ran.stderr);
        assert!(told.contains(&format!("there is no node {name}; allowed: an id as i-")), "{told}");
    }
}

#[test]
fn explain_knows_the_tour_and_what_each_tag_does() {
    let ran = defib(&["policy", "explain", "legacy-1"]);
    let text = out(&ran);
    assert!(text.starts_with("legacy-1: no cluster, no group\n"), "{text}");
    assert!(text.contains("tag on the node: no defib:managed=true, so it is only told about\n"), "{text}");
    let script = file(
        "tags.txt",
        b"mode cycle\nnode web-1 cluster=prod group=web\nat 10m tag-group web mode=restart\nat 20m tag-cluster prod mode=off\n",
    );
    let script = script.to_str().unwrap();
    let mode = |at: &str| {
        let answer = json(&defib(&["policy", "explain", "web-1", "--scenario", script, "--at", at, "--json"]));
        (answer["settings"][0]["value"].clone(), answer["settings"][0]["decided_by"].clone(), answer["tags"].clone())
    };
    assert_eq!((&mode("0s").0, &mode("0s").1), (&"cycle".into(), &serde_json::json!({"layer": "stack"})));
    assert_eq!((&mode("10m").0, &mode("10m").1["on"]), (&"restart".into(), &"group".into()));
    let (value, decided_by, tags) = mode("20m");
    assert_eq!((&value, &decided_by["on"]), (&"off".into(), &"cluster".into()));
    assert_eq!(tags[1], serde_json::json!({"on": "group", "managed": true, "mode": "restart", "mute_until": null}));
}

#[test]
fn explain_says_that_a_bad_document_stands_in_the_script() {
    let script = file(
        "bad-document.txt",
        b"node a\ndocument one\nmode: cycle\ncooldown-secs: 777\nend\ndocument two\nmode: cyclee\nend\nat 1m document one\nat 2m document two\n",
    );
    let script = script.to_str().unwrap();
    let text = |at: &str| out(&defib(&["policy", "explain", "a", "--scenario", script, "--at", at]));
    assert!(!text("1m").contains("cannot be used") && text("1m").contains("document, line 2"), "{}", text("1m"));
    let bad = text("2m");
    assert!(
        bad.contains("the last good one holds in mode observe: line 1, column 7: mode is \"cyclee\"; allowed: off"),
        "{bad}"
    );
    let row = |name: &str| bad.lines().find(|line| line.trim_start().starts_with(name)).unwrap().to_owned();
    assert!(row("mode ").contains("observe") && row("mode ").ends_with("no good document is there"), "{bad}");
    assert!(row("cooldown-secs").contains("777"), "{bad}");
}

/// What became of a node with this fault, under this policy.
fn played(name: &str, policy: &str, script: &str) -> serde_json::Value {
    let policy = file(&format!("{name}.yaml"), policy.as_bytes());
    let script = file(&format!("{name}.txt"), script.as_bytes());
    let ran =
        defib(&["simulate", "--scenario", script.to_str().unwrap(), "--policy", policy.to_str().unwrap(), "--json"]);
    let text = out(&ran);
    let line = text.lines().find(|line| line.contains("\"type\":\"incident\"") && !line.contains("self-healed"));
    serde_json::from_str(line.unwrap_or_else(|| panic!("{ran:?}"))).unwrap()
}

const HUNG: &str = "node web-1 cluster=prod group=web\nnode web-2 cluster=prod group=web\nat 10m fault web-1 ssm-agent.hung\nat 30m session-refused web-1\nuntil 3h\n";

#[test]
fn a_block_is_obeyed_where_it_matches_and_nowhere_else() {
    let blue = played("block-here", "mode: cycle\nclusters: [{match: 'pro?', mode: observe}]\n", HUNG);
    assert_eq!((&blue["outcome"], &blue["remedies"]), (&"dry-run".into(), &serde_json::json!([])));
    let other = played("block-elsewhere", "mode: cycle\nclusters: [{match: 'test*', mode: observe}]\n", HUNG);
    assert_eq!((&other["outcome"], &other["remedies"]), (&"cycled".into(), &serde_json::json!(["reboot"])));
    let raised = played("block-raises", "mode: off\ngroups: [{match: web, mode: cycle}]\n", HUNG);
    assert_eq!(raised["remedies"], serde_json::json!(["reboot"]));
}

#[test]
fn the_highest_remedy_against_a_cause_is_obeyed() {
    let at_most = |highest: &str| {
        played(
            &format!("highest-{highest}"),
            &format!(
                "causes: {{ssm-agent.hung: {{highest-remedy: {highest}}}, unknown: {{highest-remedy: {highest}}}}}\n"
            ),
            HUNG,
        )
    };
    assert_eq!(
        (&at_most("none")["outcome"], &at_most("none")["remedies"]),
        (&"blocked".into(), &serde_json::json!([]))
    );
    assert_eq!(at_most("restart-ssm-agent")["outcome"], "blocked");
    assert_eq!(
        (&at_most("reboot")["outcome"], &at_most("reboot")["remedies"]),
        (&"cycled".into(), &serde_json::json!(["reboot"]))
    );
}

#[test]
fn the_wait_of_a_cause_stands_in_place_of_the_hold_down() {
    let waiting = |secs: u32| {
        let rule = format!("{{wait-secs: {secs}}}");
        let policy = format!("causes: {{ssm-agent.hung: {rule}, unknown: {rule}}}\n");
        let played = played(&format!("wait-{secs}"), &policy, HUNG);
        assert_eq!(played["outcome"], "cycled", "{played}");
        played["duration_secs"].as_i64().unwrap()
    };
    let (short, long) = (waiting(600), waiting(3_000));
    assert!(long >= 3_000 && (2_000..2_800).contains(&(long - short)), "{short} {long}");
}
