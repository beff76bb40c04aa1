//! The JSON schema of a policy document, made from the table of settings; `docs/schema/policy-1.schema.json` is a copy.

use serde_json::{Map, Value, json};

use super::Policy;
use super::document::{BLOCKS_MAX, HIGHEST, WAIT_SECS};
use super::places::Glob;
use super::settings::{Kind, SETTINGS, Section};
use crate::diagnose::Cause;

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let mut top = settings(None, false);
    for section in Section::ALL {
        top.insert(section.as_str().to_owned(), table(section.meaning(), &settings(Some(section), false)));
    }
    let mut rule = Map::new();
    rule.insert(
        "wait-secs".to_owned(),
        described(WAIT_SECS, "Seconds from the first look to the first remedy, in place of both hold-downs."),
    );
    rule.insert("highest-remedy".to_owned(), described(HIGHEST, "The strongest remedy against this cause."));
    let causes: Map<String, Value> =
        Cause::ALL.iter().map(|cause| (cause.code().to_owned(), json!({ "$ref": "#/$defs/cause" }))).collect();
    top.insert("causes".to_owned(), table("What holds for single causes.", &causes));
    for (name, what) in [("clusters", "clusters"), ("groups", "Auto Scaling groups")] {
        let description = format!("What differs for {what}, by name. The first block that matches counts.");
        let list = json!({
            "description": description,
            "type": ["array", "null"],
            "maxItems": BLOCKS_MAX,
            "items": { "$ref": "#/$defs/block" },
        });
        top.insert(name.to_owned(), list);
    }
    let mut block = settings(None, true);
    for section in Section::ALL {
        let settings = settings(Some(section), true);
        if !settings.is_empty() {
            block.insert(section.as_str().to_owned(), table(section.meaning(), &settings));
        }
    }
    let pattern = json!({
        "description": "A name, in which * stands for any letters and ? for one.",
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": Glob::MOST,
        "pattern": "^[^:]*$",
    });
    block.insert("match".to_owned(), pattern);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Defib's policy",
        "description": "What Defib may do, and how patient it is. Only what differs from the defaults needs to be said.",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": top,
        "$defs": {
            "cause": table("What holds for this cause.", &rule),
            "block": {
                "description": "What differs for the names that match.",
                "type": "object",
                "additionalProperties": false,
                "required": ["match"],
                "properties": block,
            },
        },
    })
}

/// The schema as it is printed and kept.
#[must_use]
pub fn printed() -> String {
    // A tree of our own always prints.
    serde_json::to_string_pretty(&schema()).map(|text| text + "\n").unwrap_or_default()
}

fn settings(section: Option<Section>, block: bool) -> Map<String, Value> {
    let default = Policy::default();
    let rows = SETTINGS.iter().filter(|setting| setting.section == section && (setting.in_blocks || !block));
    rows.map(|setting| {
        let mut row = described(setting.kind, setting.meaning);
        if let Some(row) = row.as_object_mut()
            && !block
        {
            row.insert("default".to_owned(), json!(setting.get(&default)));
        }
        (setting.name.to_owned(), row)
    })
    .collect()
}

fn described(kind: Kind, meaning: &str) -> Value {
    match kind {
        Kind::Flag => json!({ "description": meaning, "type": "boolean" }),
        Kind::Number { low, high } => {
            json!({ "description": meaning, "type": "integer", "minimum": low, "maximum": high })
        }
        Kind::Document => {
            json!({ "description": meaning, "type": "string", "pattern": r"^\s*[A-Za-z0-9_\-.:/]{1,256}\s*$" })
        }
        Kind::Word(words) => json!({ "description": meaning, "enum": words }),
    }
}

fn table(meaning: &str, properties: &Map<String, Value>) -> Value {
    json!({
        "description": meaning,
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": properties,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/policy-1.schema.json");

    #[test]
    fn the_schema_in_docs_is_what_the_table_says() {
        let kept = std::fs::read_to_string(PATH).unwrap_or_default();
        assert!(kept == printed(), "stale; write it anew: defib policy schema > docs/schema/policy-1.schema.json");
    }
}
