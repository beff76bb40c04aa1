//! Any text is a policy document, or told what is wrong with it and where.
#![no_main]

use std::fmt::Write as _;

use defib::policy::document::Document;
use defib::policy::layers::{Tagged, resolve};
use defib::policy::places::{Block, Given, Highest};
use defib::policy::settings::{Kind, SETTINGS, Section, Value};
use defib::policy::yaml::read;
use defib::policy::{Mode, Policy};
use libfuzzer_sys::fuzz_target;

/// What a document says, without the lines in which it says it.
fn said(document: &Document) -> String {
    let given = |given: &Given| format!("{}={} ", SETTINGS[given.index].name, given.value);
    let blocks = |blocks: &[Block]| {
        blocks
            .iter()
            .map(|block| format!("[{:?} {}]", block.names, block.settings.iter().map(given).collect::<String>()))
            .collect::<String>()
    };
    let top: String = document.top.iter().map(given).collect();
    format!("{top}|{:?}|{}|{}", document.causes, blocks(&document.clusters), blocks(&document.groups))
}

/// A text in quotes: JSON's are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a text")
}

/// A value as YAML: a document's name may end in a colon, which only quotes keep from being a key.
fn scalar(value: &Value) -> String {
    match value {
        Value::Document(name) => quoted(name.as_str()),
        other => other.to_string(),
    }
}

/// Writes settings: those at the top first, then each section.
fn write_settings(text: &mut String, settings: &[Given], indent: &str) {
    let of = |section: Option<Section>| settings.iter().filter(move |given| SETTINGS[given.index].section == section);
    for given in of(None) {
        let _ = writeln!(text, "{indent}{}: {}", SETTINGS[given.index].name, scalar(&given.value));
    }
    for section in Section::ALL {
        if of(Some(section)).next().is_some() {
            let _ = writeln!(text, "{indent}{}:", section.as_str());
        }
        for given in of(Some(section)) {
            let _ = writeln!(text, "{indent}  {}: {}", SETTINGS[given.index].name, scalar(&given.value));
        }
    }
}

/// The document in plain YAML, sections after the rest.
fn written(document: &Document) -> String {
    let mut text = String::new();
    write_settings(&mut text, &document.top, "");
    if !document.causes.is_empty() {
        text.push_str("causes:\n");
    }
    for (cause, rule) in &document.causes {
        let _ = writeln!(text, "  {cause}:");
        if let Some(secs) = rule.wait_secs {
            let _ = writeln!(text, "    wait-secs: {secs}");
        }
        if let Some(highest) = rule.highest {
            let word = highest.remedy().map_or("none".to_owned(), |remedy| remedy.to_string());
            let _ = writeln!(text, "    highest-remedy: {word}");
        }
    }
    for (what, blocks) in [("clusters", &document.clusters), ("groups", &document.groups)] {
        if !blocks.is_empty() {
            let _ = writeln!(text, "{what}:");
        }
        for block in blocks {
            let _ = writeln!(text, "  - match: {}", quoted(block.names.as_str()));
            write_settings(&mut text, &block.settings, "    ");
        }
    }
    text
}

/// Settings in the order in which they are written.
fn sorted(mut document: Document) -> Document {
    let order = |settings: &mut Vec<Given>| settings.sort_by_key(|given| SETTINGS[given.index].section);
    order(&mut document.top);
    document.clusters.iter_mut().chain(&mut document.groups).for_each(|block| order(&mut block.settings));
    document
}

fn assert_document(document: &Document) {
    let all =
        document.top.iter().chain(document.clusters.iter().chain(&document.groups).flat_map(|block| &block.settings));
    for given in all {
        match (SETTINGS[given.index].kind, &given.value) {
            (Kind::Number { low, high }, Value::Number(number)) => assert!((low..=high).contains(number)),
            (Kind::Word(words), Value::Word(word)) => assert!(words.contains(word)),
            (Kind::Flag, Value::Flag(_)) | (Kind::Document, Value::Document(_) | Value::Word("none")) => {}
            (kind, value) => panic!("{value} is not {}", kind.allowed()),
        }
    }
    let text = written(document);
    let again = read(text.as_bytes()).unwrap_or_else(|findings| panic!("{findings:?} in\n{text}"));
    assert_eq!(said(&again), said(&sorted(document.clone())), "{text}");
    assert_layers(document);
}

/// Every layer does what it says, for names that match and for none.
fn assert_layers(document: &Document) {
    let names = |blocks: &[Block]| {
        let own = blocks.iter().take(4).map(|block| Some(block.names.as_str().replace(['*', '?'], "x")));
        [None, Some("prod-web".to_owned())].into_iter().chain(own).collect::<Vec<_>>()
    };
    for stack in [Policy::in_mode(Mode::Observe), Policy::in_mode(Mode::Replace)] {
        let account = document.under(&stack);
        for cluster in names(&document.clusters) {
            for group in names(&document.groups) {
                let place = (cluster.as_deref(), group.as_deref());
                let resolved = resolve(document, &stack, place, &[]);
                assert_eq!(resolved.policy, *account.at(place.0, place.1), "explain says what holds");
                assert!(resolved.policy.mode <= stack.mode && resolved.policy.mode <= account.highest_mode());
                assert_eq!(resolved.rows().count(), SETTINGS.len());
                for (_, _, layer) in resolved.rows() {
                    assert!(!layer.to_string().is_empty());
                }
                let tagged = resolve(document, &stack, place, &[(Tagged::Group, Mode::Restart)]);
                assert_eq!(tagged.policy.mode, resolved.policy.mode.min(Mode::Restart));
            }
        }
    }
    for rule in document.causes.values() {
        assert!(rule.wait_secs.is_none_or(|secs| secs >= 0));
        assert!(rule.highest != Some(Highest::Nothing) || rule.highest.and_then(Highest::remedy).is_none());
    }
}

fuzz_target!(|bytes: &[u8]| {
    match read(bytes) {
        Ok(document) => assert_document(&document),
        Err(findings) => {
            assert!((1..=50).contains(&findings.len()));
            let text = String::from_utf8_lossy(bytes);
            // YAML breaks lines at a carriage return, too; where the bytes are no text, only a line feed is looked for.
            let lines: Vec<&str> = text.split('\n').collect();
            let breaks = text.matches(['\n', '\r']).count();
            for finding in &findings {
                let (line, column) = (finding.at.line as usize, finding.at.column as usize);
                assert!((1..=breaks + 1).contains(&line), "{finding} of {} lines", breaks + 1);
                let length = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                assert!((1..=length + 1).contains(&column), "{finding} in a text of width {length}");
                assert!(!finding.problem.is_empty() && !finding.problem.chars().any(char::is_control), "{finding}");
            }
            assert!(findings.is_sorted_by_key(|finding| finding.at), "{findings:?}");
        }
    }
});
