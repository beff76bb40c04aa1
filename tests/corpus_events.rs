//! Real events from documentation and fixtures, where the folder that holds them is at hand.

use std::fs;
use std::path::Path;

use defib::event::{Verdict, answer};
use jiff::Timestamp;
use serde_json::Value;

#[test]
fn real_events_lead_to_what_their_labels_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/events");
    let Ok(index) = fs::read_to_string(folder.join("index.jsonl")) else {
        println!("skipped: ../shared/corpus/events is not here; its events are not part of this repository");
        return;
    };
    let mut wrong = Vec::new();
    let rows: Vec<Value> = index.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() >= 69, "{} rows", rows.len());
    for row in rows {
        let file = row["file"].as_str().unwrap();
        let given = answer(file, &fs::read(folder.join(file)).unwrap(), None, Timestamp::UNIX_EPOCH);
        let leads_to = match given.verdict {
            Verdict::Trouble => "trouble",
            Verdict::Recovered | Verdict::Gone => "close",
            Verdict::Ignored | Verdict::Rejected => "ignore",
        };
        if row["expected"] != leads_to {
            wrong.push(format!("{} expected, {given:?}", row["expected"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
