//! Every file in `events/` gets the verdict that `events/README.md` promises, and no change to them stops the parser.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // The helpers of a test may panic, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use defib::event::{MAX_BYTES, Verdict, answer, read, read_value};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
}

fn now() -> Timestamp {
    "2026-11-20T15:00:00Z".parse().unwrap()
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "json")
}

/// The tables of the README: each file and its verdict.
fn promised() -> BTreeMap<String, String> {
    let verdicts = ["trouble", "recovered", "gone", "ignored", "rejected"];
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    let mut table = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| ")) {
        let row: Vec<&str> = line.split('|').map(str::trim).collect();
        if !is_json(Path::new(row[1])) {
            continue;
        }
        let named: Vec<&&str> = row.iter().filter(|cell| verdicts.contains(cell)).collect();
        assert_eq!(named.len(), 1, "{row:?} should hold one verdict");
        assert!(table.insert(row[1].to_owned(), (*named[0]).to_owned()).is_none(), "{} has two rows", row[1]);
    }
    table
}

/// The files that are there, by the names that the README uses.
fn present() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for (path, prefix) in [(folder(), ""), (folder().join("hostile"), "hostile/")] {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if is_json(&entry.path()) {
                all.insert(format!("{prefix}{}", entry.file_name().to_str().unwrap()));
            }
        }
    }
    all
}

/// The events that AWS sends, parsed.
fn real_events() -> Vec<Value> {
    present()
        .iter()
        .filter(|file| !file.starts_with("hostile/"))
        .map(|file| serde_json::from_slice(&fs::read(folder().join(file)).unwrap()).unwrap())
        .collect()
}

fn invocation(status: &str) -> Value {
    let mut event: Value =
        serde_json::from_slice(&fs::read(folder().join("ssm-invocation-timed-out.json")).unwrap()).unwrap();
    event["detail"]["status"] = json!(status);
    event
}

#[test]
fn every_file_has_a_row_and_every_row_a_file() {
    let rows: BTreeSet<String> = promised().into_keys().collect();
    assert_eq!(rows, present());
    assert!(rows.iter().filter(|file| file.starts_with("hostile/")).count() >= 20);
    assert!(rows.iter().any(|file| file.contains("-timed-out")));
}

#[test]
fn every_file_gets_its_promised_verdict() {
    for (file, verdict) in promised() {
        let given = answer(&file, &fs::read(folder().join(&file)).unwrap(), None, now());
        assert_eq!(given.verdict.to_string(), verdict, "{given:?}");
        assert_eq!(given.node_id.is_some(), given.signal.is_some(), "{given:?}");
        assert_ne!(given.reason.is_some(), given.signal.is_some(), "{given:?}");
        if file.starts_with("hostile/") {
            assert!(given.node_id.is_none(), "{given:?}");
        }
    }
}

#[test]
fn every_documented_event_is_at_home_and_of_a_type_that_the_readme_names() {
    let text = fs::read_to_string(folder().join("README.md")).unwrap();
    for event in real_events() {
        let reading = read_value(&event, None, now());
        let home = reading.home_of().unwrap();
        assert_eq!((home.account.to_string().as_str(), home.region.as_str()), ("111122223333", "us-east-1"));
        assert!(text.contains(reading.detail_type.unwrap().as_str()));
        assert!(reading.sent_at.is_some_and(|at| at < now()));
    }
}

#[test]
fn no_reason_repeats_more_than_a_little_harmless_text() {
    for file in present() {
        let Some(reason) = answer(&file, &fs::read(folder().join(&file)).unwrap(), None, now()).reason else {
            continue;
        };
        assert!(reason.len() <= 200, "{file}: {reason}");
        assert!(reason.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{file}: {reason}");
        assert!(!reason.contains(['<', '>', '$', '!', '`', '@']), "{file}: {reason}");
    }
}

#[test]
fn files_beyond_the_limit_are_rejected_and_files_up_to_it_are_read() {
    let mut padded = fs::read(folder().join("ssm-invocation-timed-out.json")).unwrap();
    padded.resize(MAX_BYTES, b' ');
    assert_eq!(read(&padded, None, now()).verdict(), Verdict::Trouble);
    padded.push(b' ');
    assert_eq!(read(&padded, None, now()).verdict(), Verdict::Rejected);
    assert_eq!(read(&vec![b' '; 10 << 20], None, now()).verdict(), Verdict::Rejected);
}

/// Any JSON, not deep.
fn any_json() -> impl Strategy<Value = Value> {
    let known = ["aws.ssm", "i-0a1b2c3d", "TimedOut", "111122223333", "us-east-1"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(known.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop_oneof![Just("detail".to_owned()), Just("source".to_owned()), ".{0,8}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|pairs| Value::from(Map::from_iter(pairs))),
        ]
    })
}

/// The paths of everything below the top of an event.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, child)| (format!("{at}/{key}"), child)).collect(),
        Value::Array(list) => list.iter().enumerate().map(|(index, child)| (format!("{at}/{index}"), child)).collect(),
        _ => Vec::new(),
    };
    for (pointer, child) in children {
        pointers(child, &pointer, found);
        found.push(pointer);
    }
}

/// Puts `new` at `pointer`, or takes away what stands there.
fn change(event: &mut Value, pointer: &str, new: Option<Value>) {
    if let Some(new) = new {
        if let Some(place) = event.pointer_mut(pointer) {
            *place = new;
        }
        return;
    }
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    if let Some(map) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
        map.remove(key);
    }
}

/// Each character in either case, with white space in between.
fn respelled(status: &str, choices: &[u8]) -> String {
    let mut text = String::new();
    for (index, c) in status.chars().enumerate() {
        let choice = choices[index % choices.len()];
        text.push_str(["", " ", "\t", "\u{a0}"][usize::from(choice / 2 % 4)]);
        text.push(if choice.is_multiple_of(2) { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() });
    }
    text
}

proptest! {
    // A failing case is printed; the seed files that proptest would leave look for a lib.rs that tests do not have.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert_eq!(read(&bytes, None, now()).verdict(), Verdict::Rejected);
    }

    #[test]
    fn any_text_that_looks_like_json_is_answered(text in "[\\[\\]{}:,\"a-z0-9.eE+\\\\ -]{0,200}") {
        prop_assert_eq!(read(text.as_bytes(), None, now()).verdict(), Verdict::Rejected);
    }

    #[test]
    fn any_json_is_answered(value in any_json()) {
        prop_assert!(matches!(read_value(&value, None, now()).verdict(), Verdict::Ignored | Verdict::Rejected));
    }

    #[test]
    fn any_change_to_a_real_event_is_answered(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any_json())), 1..4),
    ) {
        let mut event = which.get(&real_events()).clone();
        for (place, new) in changes {
            let mut all = Vec::new();
            pointers(&event, "", &mut all);
            if !all.is_empty() {
                change(&mut event, place.get::<String>(&all), new);
            }
        }
        let by_value = read_value(&event, None, now());
        let by_bytes = read(event.to_string().as_bytes(), None, now());
        prop_assert_eq!(by_value.verdict(), by_bytes.verdict());
    }

    #[test]
    fn any_cut_through_a_real_event_is_rejected(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
    ) {
        let text = which.get(&real_events()).to_string();
        let kept = at.index(text.len());
        prop_assert_eq!(read(&text.as_bytes()[..kept], None, now()).verdict(), Verdict::Rejected);
    }

    #[test]
    fn unknown_fields_change_nothing(which in any::<prop::sample::Index>(), extra in any_json()) {
        let mut event = which.get(&real_events()).clone();
        let before = read_value(&event, None, now()).verdict();
        event["x-new"] = extra.clone();
        event["detail"]["x-new"] = extra;
        prop_assert_eq!(read_value(&event, None, now()).verdict(), before);
    }

    #[test]
    fn parameters_may_be_anything(parameters in any_json()) {
        for (status, verdict) in [("TimedOut", Verdict::Trouble), ("Success", Verdict::Recovered)] {
            let mut event = invocation(status);
            event["detail"]["parameters"] = parameters.clone();
            prop_assert_eq!(read_value(&event, None, now()).verdict(), verdict);
        }
    }

    #[test]
    fn statuses_are_known_in_any_case_and_spacing(choices in prop::collection::vec(any::<u8>(), 1..24)) {
        let verdict = |status: &str| read_value(&invocation(&respelled(status, &choices)), None, now()).verdict();
        for status in ["TimedOut", "Failed", "Undeliverable", "DeliveryTimedOut", "ExecutionTimedOut"] {
            prop_assert_eq!(verdict(status), Verdict::Trouble);
        }
        prop_assert_eq!(verdict("Success"), Verdict::Recovered);
        for status in ["Canceled", "Cancelled", "InProgress"] {
            prop_assert_eq!(verdict(status), Verdict::Ignored);
        }
    }

    #[test]
    fn a_node_is_named_only_by_a_well_formed_id(id in "[ im0-9a-f-]{0,24}") {
        let mut event = invocation("TimedOut");
        event["detail"]["instance-id"] = json!(id);
        match read_value(&event, None, now()).result {
            Ok(signal) => prop_assert_eq!(signal.node.to_string(), id.trim()),
            Err(reason) => prop_assert_eq!(reason.verdict(), Verdict::Rejected),
        }
    }
}
