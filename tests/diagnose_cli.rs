//! `defib diagnose` from outside: its lines, its exit codes, and what it does with what is none (CONTRACT.md).

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // So may helpers of tests.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn diagnose(args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_defib"))
        .arg("diagnose")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("defib starts");
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn a_text_gets_one_object_with_the_fields_of_the_contract() {
    let output = diagnose(&["--text", "-"], b"Error: open /var/lib/amazon/ssm/x: no space left on device\n");
    assert!(output.status.success());
    let [answer] = objects(&output).try_into().unwrap();
    assert_eq!(answer["id"], "-");
    assert_eq!(answer["cause"], "host.disk-full");
    assert_eq!(answer["also"][0], "host.inodes-exhausted");
    assert!(answer["confidence"].as_f64().is_some_and(|sure| (0.0..=1.0).contains(&sure)));
    assert_eq!((&answer["reboot_helps"], &answer["restart_agent_helps"]), (&"no".into(), &"after-fix".into()));
    assert!(answer["findings"][0]["evidence"].as_str().unwrap().contains("no space left on device"));
}

#[test]
fn each_line_gets_an_answer_in_order_and_a_broken_one_costs_only_itself() {
    let input = concat!(
        "{\"id\":\"a\",\"kind\":\"dmesg\",\"text\":\"[1.2] Kernel panic - not syncing: Fatal exception\"}\n",
        "this is no JSON\n",
        "\n",
        "{\"id\":7,\"text\":42}\n",
        "{\"id\":\"b\",\"kind\":null,\"text\":\"\"}",
    );
    let output = diagnose(&["--jsonl", "-"], input.as_bytes());
    assert_eq!(output.status.code(), Some(1), "two lines are no questions");
    let answers = objects(&output);
    let said: Vec<(&Value, &Value)> = answers.iter().map(|answer| (&answer["id"], &answer["cause"])).collect();
    assert_eq!(
        said,
        [
            (&"a".into(), &"host.kernel-hang".into()),
            (&Value::Null, &"unknown".into()),
            (&7.into(), &"unknown".into()),
            (&"b".into(), &"unknown".into()),
        ]
    );
    assert_eq!((&answers[1]["line"], answers[1]["error"].is_string()), (&2.into(), true));
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 2"));
}

#[test]
fn any_bytes_get_an_answer_and_no_bytes_too() {
    let hostile: Vec<u8> = (0..=255_u8).cycle().take(300_000).collect();
    for input in [&hostile[..], b"", b"\xff\xfe\0", b"{\"a\":[[[[", b"\n\n\n"] {
        let output = diagnose(&["--text", "-"], input);
        assert!(output.status.success());
        assert_eq!(objects(&output).len(), 1);
    }
}

#[test]
fn people_get_a_page_when_they_ask_for_it() {
    let output = diagnose(
        &["--text", "-", "--output", "table"],
        b"Cannot connect to the Docker daemon at unix:///var/run/docker.sock\n",
    );
    let page = String::from_utf8(output.stdout).unwrap();
    for part in ["runtime.docker-down", "Evidence", "What to do", "sudo journalctl"] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let output = diagnose(&["--text", "/nowhere/at-all.log"], b"");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/at-all.log"));
    assert_eq!(diagnose(&[], b"").status.code(), Some(2));
    assert_eq!(diagnose(&["--text", "-", "--jsonl", "-"], b"").status.code(), Some(2));
}
