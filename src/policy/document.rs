//! The policy document: what a tree must hold to be one. Every mistake is told, not only the first.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::places::{Block, CauseRule, Given, Glob, Highest};
use super::settings::{Kind, SETTINGS, Section, Setting, Value};
use super::tree::{Finding, Key, Node, Spot, Yaml};
use crate::diagnose::Cause;
use crate::event::Excerpt;
use crate::incident::Remedy;

/// The limits of a cause's `wait-secs`: not less than the hold-down before a remedy that stops workload may be, and less than an
/// incident may take, or nothing would ever be done.
pub const WAIT_SECS: Kind = Kind::Number { low: 120, high: 14_400 };
/// What a cause's `highest-remedy` may be.
pub const HIGHEST: Kind = Kind::Word(&[
    "none",
    "free-disk",
    "restart-ssm-agent",
    "restart-ecs-agent",
    "restart-runtime",
    "reboot",
    "stop-start",
    "replace",
]);
/// The tables and lists at the top, beside the settings.
const PARTS: [&str; 6] = ["budgets", "workload", "storms", "causes", "clusters", "groups"];
/// Blocks of one kind; each look at a node tries them in turn.
pub const BLOCKS_MAX: usize = 200;
/// Findings that are told; after so many the document is something else.
const FINDINGS_MAX: usize = 50;

/// A policy document, read and checked: only what it says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The settings at the top.
    pub top: Vec<Given>,
    /// What it says about single causes.
    pub causes: BTreeMap<Cause, CauseRule>,
    /// Blocks for clusters.
    pub clusters: Vec<Block>,
    /// Blocks for Auto Scaling groups.
    pub groups: Vec<Block>,
}

impl Document {
    /// Reads a tree.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the lines; at least one finding.
    pub fn of(tree: &Node) -> Result<Self, Vec<Finding>> {
        let mut reader = Reader { findings: Vec::new() };
        let document = reader.document(tree);
        if reader.findings.is_empty() {
            return Ok(document);
        }
        reader.findings.sort_by_key(|finding| finding.at);
        Err(reader.findings)
    }

    /// The same without the mode at its top: somebody gave another one.
    #[must_use]
    pub fn without_mode(mut self) -> Self {
        self.top.retain(|given| SETTINGS.get(given.index).is_none_or(|setting| setting.name != "mode"));
        self
    }
}

/// Walks through a tree and collects what is wrong.
struct Reader {
    findings: Vec<Finding>,
}

/// Where settings stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Block,
}

impl Reader {
    fn tell(&mut self, at: Spot, problem: String) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { at, problem });
        }
    }

    fn document(&mut self, tree: &Node) -> Document {
        let mut document = Document::default();
        for (key, node) in self.table(tree, "the policy") {
            match key.text.as_str() {
                "budgets" => self.section(Section::Budgets, node, Level::Top, &mut document.top),
                "workload" => self.section(Section::Workload, node, Level::Top, &mut document.top),
                "storms" => self.section(Section::Storms, node, Level::Top, &mut document.top),
                "causes" => document.causes = self.causes(node),
                "clusters" => document.clusters = self.blocks(node, "clusters"),
                "groups" => document.groups = self.blocks(node, "groups"),
                _ => self.setting(key, node, (Level::Top, None), &mut document.top),
            }
        }
        document
    }

    /// The entries of a table; nothing at all counts as an empty one.
    fn table<'a>(&mut self, node: &'a Node, what: &str) -> &'a [(Key, Node)] {
        match &node.yaml {
            Yaml::Map(entries) => entries,
            Yaml::Null => &[],
            Yaml::Flag(_) | Yaml::Number(_) | Yaml::Text(_) | Yaml::Other(_) | Yaml::List(_) => {
                self.tell(node.at, format!("{what} is {}; allowed: a table of keys and values", node.yaml.described()));
                &[]
            }
        }
    }

    fn section(&mut self, section: Section, node: &Node, level: Level, into: &mut Vec<Given>) {
        for (key, value) in self.table(node, section.as_str()) {
            self.setting(key, value, (level, Some(section)), into);
        }
    }

    fn setting(&mut self, key: &Key, node: &Node, (level, section): (Level, Option<Section>), into: &mut Vec<Given>) {
        let known = SETTINGS.iter().enumerate().find(|(_, setting)| setting.name == key.text);
        let Some((index, setting)) = known else {
            return self.unknown(key, level, section);
        };
        if setting.section != section {
            let place = match (setting.section, section) {
                (Some(right), _) => format!("under {}", right.as_str()),
                (None, Some(wrong)) => format!("beside {}, not under it", wrong.as_str()),
                (None, None) => String::new(),
            };
            return self.tell(key.at, format!("{} stands {place}", setting.name));
        }
        if level == Level::Block && !setting.in_blocks {
            let problem = format!("{} holds for the whole account: it stands at the top, not in a block", setting.name);
            return self.tell(key.at, problem);
        }
        if let Some(value) = self.value(setting.name, setting.kind, node) {
            into.push(Given { index, value, line: key.at.line });
        }
    }

    fn value(&mut self, name: &str, kind: Kind, node: &Node) -> Option<Value> {
        let value = match (&node.yaml, kind) {
            (Yaml::Flag(flag), Kind::Flag) => Some(Value::Flag(*flag)),
            (Yaml::Number(number), Kind::Number { low, high }) if (low..=high).contains(number) => {
                Some(Value::Number(*number))
            }
            (Yaml::Text(text), Kind::Word(words)) => {
                words.iter().find(|word| *word == text).map(|word| Value::Word(word))
            }
            (Yaml::Text(text), Kind::Document) if text == "none" => Some(Value::Word("none")),
            (Yaml::Text(text), Kind::Document) => text.parse().ok().map(Value::Document),
            _ => None,
        };
        if value.is_none() {
            self.tell(node.at, format!("{name} is {}; allowed: {}", node.yaml.described(), kind.allowed()));
        }
        value
    }

    fn unknown(&mut self, key: &Key, level: Level, section: Option<Section>) {
        let settings = SETTINGS.iter().filter(|setting| setting.section == section);
        let settings = settings.filter(|setting| level == Level::Top || setting.in_blocks).map(|setting| setting.name);
        let parts: &[&str] = match (level, section) {
            (_, Some(_)) => &[],
            (Level::Top, None) => &PARTS,
            (Level::Block, None) => &["match", "budgets", "workload"],
        };
        let known: Vec<&str> = settings.chain(parts.iter().copied()).collect();
        self.no_such("setting", key, &known);
    }

    fn no_such(&mut self, what: &str, key: &Key, known: &[&str]) {
        let mut problem = format!("there is no {what} \"{}\"", Excerpt::of(&key.text));
        if let Some(near) = super::nearest(known, &key.text) {
            // Writing to a `String` cannot fail.
            let _ = write!(problem, "; did you mean {near}?");
        }
        let _ = write!(problem, "; allowed here: {}", known.join(", "));
        self.tell(key.at, problem);
    }

    fn causes(&mut self, node: &Node) -> BTreeMap<Cause, CauseRule> {
        let mut causes = BTreeMap::new();
        for (key, node) in self.table(node, "causes") {
            let Ok(cause) = key.text.parse::<Cause>() else {
                let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.code()).collect();
                self.no_such("cause", key, &known);
                continue;
            };
            let mut rule = CauseRule::default();
            for (key, node) in self.table(node, cause.code()) {
                match key.text.as_str() {
                    "wait-secs" => {
                        if let Some(Value::Number(secs)) = self.value("wait-secs", WAIT_SECS, node) {
                            rule.wait_secs = Some(secs);
                        }
                    }
                    "highest-remedy" => {
                        if let Some(Value::Word(word)) = self.value("highest-remedy", HIGHEST, node) {
                            let remedy = word.parse::<Remedy>();
                            rule.highest = Some(remedy.map_or(Highest::Nothing, Highest::Remedy));
                        }
                    }
                    _ => self.no_such("setting of a cause", key, &["wait-secs", "highest-remedy"]),
                }
            }
            causes.insert(cause, rule);
        }
        causes
    }

    fn blocks(&mut self, node: &Node, what: &str) -> Vec<Block> {
        let list = match &node.yaml {
            Yaml::List(list) => list.as_slice(),
            Yaml::Null => &[],
            Yaml::Flag(_) | Yaml::Number(_) | Yaml::Text(_) | Yaml::Other(_) | Yaml::Map(_) => {
                let problem = format!(
                    "{what} is {}; allowed: a list of blocks, each with match and what differs, the first match counts",
                    node.yaml.described()
                );
                self.tell(node.at, problem);
                &[]
            }
        };
        if list.len() > BLOCKS_MAX {
            self.tell(node.at, format!("{what} has {} blocks; allowed: {BLOCKS_MAX}", list.len()));
        }
        let mut blocks: Vec<Block> = Vec::new();
        for node in list.iter().take(BLOCKS_MAX) {
            let Some(block) = self.block(node, what) else { continue };
            let hidden_by = blocks.iter().find(|before| before.names == block.names || before.names.as_str() == "*");
            if let Some(before) = hidden_by {
                let problem = format!("this block is never reached: the one in line {} matches first", before.line);
                self.tell(node.at, problem);
            }
            blocks.push(block);
        }
        blocks
    }

    fn block(&mut self, node: &Node, what: &str) -> Option<Block> {
        let mut names = None;
        let mut has_match = false;
        let mut settings = Vec::new();
        for (key, node) in self.table(node, &format!("a block of {what}")) {
            match key.text.as_str() {
                "match" => {
                    has_match = true;
                    names = match &node.yaml {
                        Yaml::Text(text) => Glob::new(text),
                        // A name may look like a number.
                        Yaml::Number(number) => Glob::new(&number.to_string()),
                        Yaml::Null | Yaml::Flag(_) | Yaml::Other(_) | Yaml::List(_) | Yaml::Map(_) => None,
                    };
                    if names.is_none() {
                        let problem = format!(
                            "match is {}; allowed: a name (no ARN) of 1 to {} characters, in which * stands for any and ? for one",
                            node.yaml.described(),
                            Glob::MOST
                        );
                        self.tell(node.at, problem);
                    }
                }
                "budgets" => self.section(Section::Budgets, node, Level::Block, &mut settings),
                "workload" => self.section(Section::Workload, node, Level::Block, &mut settings),
                _ => self.setting(key, node, (Level::Block, None), &mut settings),
            }
        }
        if !has_match && matches!(node.yaml, Yaml::Map(_) | Yaml::Null) {
            self.tell(node.at, format!("this block of {what} has no match: which names is it for?"));
        }
        Some(Block { names: names?, line: node.at.line, settings })
    }
}

/// The setting with this name.
#[must_use]
pub fn setting(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::yaml::{MAX_BYTES, read};
    use super::*;

    fn found(text: &str) -> Vec<String> {
        read(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_document_says_nothing() {
        for text in ["", "\n", "# nothing\n", "---\n", "{}", "~", "budgets:\ncauses:\n"] {
            assert_eq!(read(text.as_bytes()), Ok(Document::default()), "{text:?}");
        }
    }

    #[test]
    fn a_document_holds_what_it_says_with_its_lines() {
        let text = "mode: off\nbudgets:\n  account-at-once: 2\ncauses:\n  host.disk-full:\n    wait-secs: 900\n    \
                    highest-remedy: none\ngroups:\n  - match: blue-*\n    mode: cycle\n    budgets: {node-a-day: 1}\n";
        let document = read(text.as_bytes()).unwrap();
        let told = |given: &Given| (SETTINGS[given.index].name, given.value.to_string(), given.line);
        assert_eq!(
            document.top.iter().map(told).collect::<Vec<_>>(),
            [("mode", "off".to_owned(), 1), ("account-at-once", "2".to_owned(), 3)]
        );
        let rule = CauseRule { wait_secs: Some(900), highest: Some(Highest::Nothing) };
        assert_eq!(document.causes, BTreeMap::from([(Cause::HostDiskFull, rule)]));
        let [block] = document.groups.as_slice() else { panic!("{document:?}") };
        assert_eq!((block.names.as_str(), block.line), ("blue-*", 9));
        assert_eq!(
            block.settings.iter().map(told).collect::<Vec<_>>(),
            [("mode", "cycle".to_owned(), 10), ("node-a-day", "1".to_owned(), 11)]
        );
    }

    /// A value that a setting may have, not its default one if there is another.
    fn allowed(setting: &Setting) -> String {
        match setting.kind {
            Kind::Flag => "true".to_owned(),
            Kind::Number { high, .. } => high.to_string(),
            Kind::Word(words) => words.last().copied().unwrap().to_owned(),
            Kind::Document => "freeze".to_owned(),
        }
    }

    /// All these settings, each in its section, every line led by `indent`.
    fn written(settings: &[&Setting], indent: &str) -> String {
        let mut text = String::new();
        for section in [None, Some(Section::Budgets), Some(Section::Workload), Some(Section::Storms)] {
            let mut inside = settings.iter().filter(|setting| setting.section == section).peekable();
            if let Some(section) = section.filter(|_| inside.peek().is_some()) {
                let _ = writeln!(text, "{indent}{}:", section.as_str());
            }
            for setting in inside {
                let deeper = if section.is_some() { "  " } else { "" };
                let _ = writeln!(text, "{indent}{deeper}{}: {}", setting.name, allowed(setting));
            }
        }
        text
    }

    fn told(given: &[Given]) -> BTreeMap<&'static str, &Value> {
        given.iter().map(|given| (SETTINGS[given.index].name, &given.value)).collect()
    }

    #[test]
    fn every_setting_is_read_where_it_stands() {
        let all: Vec<&Setting> = SETTINGS.iter().collect();
        let in_blocks: Vec<&Setting> = SETTINGS.iter().filter(|setting| setting.in_blocks).collect();
        let text = format!("{}clusters:\n  - match: x\n{}", written(&all, ""), written(&in_blocks, "    "));
        let document = read(text.as_bytes()).unwrap();
        let block = told(&document.clusters[0].settings);
        let top = told(&document.top);
        assert_eq!(top.len(), SETTINGS.len());
        assert_eq!(block.keys().copied().collect::<Vec<_>>(), {
            let mut names: Vec<_> = in_blocks.iter().map(|setting| setting.name).collect();
            names.sort_unstable();
            names
        });
        for setting in SETTINGS {
            assert_eq!(top[setting.name].to_string(), allowed(setting), "{}", setting.name);
            assert_eq!(super::setting(setting.name).map(|known| known.name), Some(setting.name));
        }
        assert_eq!(top["calendar"], &Value::Document("freeze".parse().unwrap()));
        assert!(super::setting("calender").is_none());
        let none = read(b"calendar: none\n").unwrap();
        assert_eq!(told(&none.top)["calendar"], &Value::Word("none"));
    }

    #[test]
    fn a_document_without_its_mode_keeps_the_rest() {
        let document = read(b"mode: off\nquiet-secs: 600\n").unwrap().without_mode();
        assert_eq!(told(&document.top).keys().copied().collect::<Vec<_>>(), ["quiet-secs"]);
    }

    #[test]
    fn two_hundred_blocks_are_read_and_one_more_is_too_many() {
        let blocks = |count| {
            (0..count).fold("groups:\n".to_owned(), |mut text, n| {
                let _ = writeln!(text, "  - match: g{n}");
                text
            })
        };
        assert_eq!(read(blocks(BLOCKS_MAX).as_bytes()).unwrap().groups.len(), BLOCKS_MAX);
        assert_eq!(found(&blocks(BLOCKS_MAX + 1)), ["2:3: groups has 201 blocks; allowed: 200"]);
    }

    #[test]
    fn what_is_allowed_at_the_top_and_in_a_block_is_offered_there() {
        let offered = |text: &str| -> Vec<String> {
            let finding = found(text).remove(0);
            finding.split_once("allowed here: ").unwrap().1.split(", ").map(str::to_owned).collect()
        };
        let (top, block) = (offered("qqq: 1\n"), offered("clusters:\n  - match: x\n    qqq: 1\n"));
        for setting in SETTINGS.iter().filter(|setting| setting.section.is_none()) {
            let name = setting.name.to_owned();
            assert_eq!((top.contains(&name), block.contains(&name)), (true, setting.in_blocks), "{name}");
        }
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_place_and_what_is_allowed() {
        let findings = found("mode: cycle\nsesions: wait\n");
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0]
                .starts_with("2:1: there is no setting \"sesions\"; did you mean sessions?; allowed here: mode, ")
        );
        let findings = found("clusters:\n  - match: x\n    clusters: []\n");
        assert!(
            findings[0].starts_with("3:5: there is no setting \"clusters\"")
                && findings[0].ends_with("match, budgets, workload")
        );
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_place_and_what_is_allowed() {
        assert_eq!(
            found(
                "budgets:\n  group-percent: 120\n  node-a-day: \"3\"\ncooldown-secs: -5\nmode: On\nallow-probes: yes\n"
            ),
            [
                "2:18: group-percent is 120; allowed: a whole number from 1 to 50",
                "3:15: node-a-day is \"3\"; allowed: a whole number from 0 to 20",
                "4:16: cooldown-secs is -5; allowed: a whole number from 60 to 86400",
                "5:7: mode is \"On\"; allowed: off, observe, restart, cycle or replace",
                "6:15: allow-probes is \"yes\"; allowed: true or false",
            ]
        );
        assert_eq!(
            found("cooldown-secs: 90.5\nquiet-secs: 99999999999999999999\nlaunch-grace-secs:\n"),
            [
                "1:16: cooldown-secs is not a whole number; allowed: a whole number from 60 to 86400",
                "2:13: quiet-secs is not a whole number; allowed: a whole number from 300 to 604800",
                "3:18: launch-grace-secs is empty; allowed: a whole number from 60 to 86400",
            ]
        );
    }

    #[test]
    fn what_holds_for_the_account_stands_at_the_top_only() {
        let findings = found(
            "groups:\n  - match: a\n    quiet-secs: 600\n    budgets:\n      account-at-once: 9\nnode-a-day: 2\n",
        );
        assert_eq!(
            findings,
            [
                "3:5: quiet-secs holds for the whole account: it stands at the top, not in a block",
                "5:7: account-at-once holds for the whole account: it stands at the top, not in a block",
                "6:1: node-a-day stands under budgets",
            ]
        );
    }

    #[test]
    fn a_block_says_whom_it_is_for_and_can_be_reached() {
        assert_eq!(
            found("clusters:\n  - mode: off\n  - match: 'arn:x'\n  - match: '*'\n  - match: prod\ngroups: prod\n"),
            [
                "2:5: this block of clusters has no match: which names is it for?",
                "3:12: match is \"arn:x\"; allowed: a name (no ARN) of 1 to 255 characters, in which * stands for any and ? for one",
                "5:5: this block is never reached: the one in line 4 matches first",
                "6:9: groups is \"prod\"; allowed: a list of blocks, each with match and what differs, the first match counts",
            ]
        );
    }

    #[test]
    fn a_cause_is_one_of_ours_and_its_rule_is_checked() {
        let findings =
            found("causes:\n  host.disk-ful: {}\n  host.disk-full: {wait-secs: 5, highest-remedy: destroy, x: 1}\n");
        assert!(findings[0].starts_with("2:3: there is no cause \"host.disk-ful\"; did you mean host.disk-full?"));
        assert!(
            findings[1].starts_with("3:31: wait-secs is 5; allowed: a whole number from 120 to 14400"),
            "{findings:?}"
        );
        assert!(findings[2].contains("highest-remedy is \"destroy\"; allowed: none, free-disk, "), "{findings:?}");
        assert!(findings[3].contains("there is no setting of a cause \"x\""), "{findings:?}");
    }

    #[test]
    fn junk_is_an_error_with_a_place() {
        let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for pair in "abcdefghi".as_bytes().windows(2) {
            let (before, next) = (pair[0] as char, pair[1] as char);
            let _ = writeln!(bomb, "{next}: &{next} [{}]", vec![format!("*{before}"); 9].join(", "));
        }
        let large = format!("mode: cycle\n{}", "# x\n".repeat(300_000));
        let deep = "[".repeat(30_000);
        for text in
            ["mode: [", "mode: cycle\nmode: off\n", "a: *nobody", "\t- x", "- 1\n- 2", "mode: a\n---\nmode: b\n"]
                .into_iter()
                .chain([bomb.as_str(), large.as_str(), deep.as_str()])
        {
            let findings = found(text);
            assert!((1..=FINDINGS_MAX).contains(&findings.len()), "{findings:?}");
            assert!(findings.iter().all(|finding| finding.len() < 2_000), "{findings:?}");
        }
        assert!(
            read(b"mode: cycle\n x\xff: 1").unwrap_err()[0]
                .to_string()
                .starts_with("2:3: this is no text; allowed: UTF-8")
        );
        let whole = format!("mode: off\n#{}", "x".repeat(MAX_BYTES - 11));
        assert!(whole.len() == MAX_BYTES && read(whole.as_bytes()).is_ok());
        assert!(read(&vec![b'x'; MAX_BYTES + 1]).unwrap_err()[0].problem.contains("too large; allowed: 65536 bytes"));
    }

    #[test]
    fn a_document_of_mistakes_is_told_in_fifty() {
        let text: String = (0..500).map(|n| format!("k{n}: 1")).collect::<Vec<_>>().join("\n");
        assert_eq!(found(&text).len(), FINDINGS_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&bytes);
        }

        #[test]
        fn anything_like_yaml_has_an_answer(text in "[-a-c:&*!<>?|%@'\"{}\\[\\], \n#0-2~\t.]{0,200}") {
            let _ = read(text.as_bytes());
        }

        #[test]
        fn anything_like_a_policy_has_an_answer(
            lines in proptest::collection::vec((0_usize..6, 0_usize..30, any::<i64>()), 0..30)
        ) {
            let words = ["mode", "budgets", "causes", "clusters", "groups", "match", "host.disk-full", "wait-secs"];
            let mut text = String::new();
            for (indent, word, number) in lines {
                let name = words.get(word).copied().or_else(|| SETTINGS.get(word - words.len()).map(|s| s.name));
                let dash = if number % 3 == 0 { "- " } else { "" };
                let value = if number % 2 == 0 { number.to_string() } else { String::new() };
                let _ = writeln!(text, "{}{dash}{}: {value}", " ".repeat(indent), name.unwrap_or("x"));
            }
            if let Err(findings) = read(text.as_bytes()) {
                prop_assert!(!findings.is_empty());
            }
        }
    }
}
