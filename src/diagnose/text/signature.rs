//! What is known of messages: entries of the files in `signatures/`, read once, looked for in one pass over a line.
//!
//! A pattern is not a regular expression but words in their order: `*` stands for anything in between, `~` for a number, `|` for
//! the edge of a word, and case does not matter. The longest word of each pattern is a key; one Aho-Corasick automaton finds the keys of
//! all patterns at once, and only what it finds is looked at closely (docs/decisions/0052).

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::super::{Cause, Helps};
use super::keys::Keys;
use super::place::Place;
use crate::json;

/// Which part of a node, or of AWS, prints a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The SSM agent and its workers.
    SsmAgent,
    /// The ECS container agent.
    EcsAgent,
    /// What starts the ECS agent on a host.
    EcsInit,
    /// The kernel.
    Kernel,
    /// Docker, containerd, runc.
    Docker,
    /// systemd and its tools.
    Systemd,
    /// What runs before and beside systemd while a host boots.
    Boot,
    /// cloud-init and user data.
    CloudInit,
    /// The plugin on the client of a session.
    SessionManagerPlugin,
    /// `ssm-cli get-diagnostics`.
    SsmCli,
    /// EC2's status checks.
    Ec2Status,
    /// Run Command, and the AWS command line that calls it.
    RunCommand,
    /// ECS's own view of the container instance.
    EcsService,
    /// Tools that look at the host: df, free, top.
    Host,
    /// Defib's own probe.
    Probe,
    /// Any of the agents: their AWS SDK, their HTTP client.
    Agent,
}

/// How a message weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Shows that something works, and takes earlier trouble back.
    Good,
    /// Worth a line, explains nothing.
    Noise,
    /// Follows from a cause.
    Symptom,
    /// Explains the outage.
    Cause,
}

/// What a good message takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heals {
    /// The agent talks to its service: no trouble of identity, network, clock or start is left.
    Connection,
    /// The agent started: it is not stopped any more.
    Start,
    /// Docker answers again.
    Runtime,
    /// A command has ended: a worker is free.
    Workers,
    /// Nothing: it is good news by itself.
    Nothing,
}

/// One thing that is known of messages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Its own name, `component.what`.
    pub id: String,
    /// Who prints it.
    pub component: Component,
    /// What it points to.
    pub cause: Cause,
    /// How it weighs.
    pub weight: Weight,
    /// Patterns of which one is enough.
    pub any: Vec<String>,
    /// Patterns of which one must be in the line as well; none are asked for when it is empty.
    #[serde(default)]
    pub with: Vec<String>,
    /// Patterns that must not be in the line.
    #[serde(default)]
    pub not: Vec<String>,
    /// Where the line must come from; anywhere when it is empty. A line of unknown origin always counts.
    #[serde(default)]
    pub within: Vec<Place>,
    /// Whether an application's own line of this kind says nothing about the node.
    #[serde(default)]
    pub agents_only: bool,
    /// How often it must be seen; seldomer it is noise.
    #[serde(default)]
    pub at_least: u64,
    /// How often a minute it must be seen; seldomer it is noise.
    #[serde(default)]
    pub per_minute: u64,
    /// What a good message takes back.
    #[serde(default)]
    pub heals: Option<Heals>,
    /// What else it may mean.
    #[serde(default)]
    pub also: Vec<Cause>,
    /// Whether a reboot helps, where that differs from what holds for the cause.
    #[serde(default)]
    pub reboot: Option<Helps>,
    /// Whether a restart of the agent helps, where that differs from what holds for the cause.
    #[serde(default)]
    pub restart: Option<Helps>,
    /// Lines of this kind. Each is a test.
    pub samples: Vec<String>,
    /// Where it is known from.
    pub source: String,
    /// What it means.
    pub meaning: String,
    /// What to do about it.
    pub remedy: String,
}

impl Signature {
    /// Whether a line from there counts.
    fn concerns(&self, place: Place) -> bool {
        (self.within.is_empty() || place == Place::Unknown || self.within.contains(&place))
            && !(self.agents_only && place == Place::Application)
    }

    /// Whether it says something about the node only where an agent says it.
    #[must_use]
    pub fn asks_for_agent(&self) -> bool {
        let agents = [Place::Ssm, Place::Ecs, Place::Docker, Place::Plugin];
        let within = !self.within.is_empty() && self.within.iter().all(|place| agents.contains(place));
        self.weight > Weight::Noise && (self.agents_only || within)
    }
}

/// The files, one a component.
const FILES: [&str; 8] = [
    include_str!("signatures/agents.json"),
    include_str!("signatures/ssm-agent.json"),
    include_str!("signatures/ecs-agent.json"),
    include_str!("signatures/runtime.json"),
    include_str!("signatures/kernel.json"),
    include_str!("signatures/boot.json"),
    include_str!("signatures/host.json"),
    include_str!("signatures/commands.json"),
];

/// Every signature, ready to be looked for.
#[derive(Debug)]
pub struct Library {
    signatures: Vec<Signature>,
    /// What each key of the automaton belongs to.
    keys: Vec<Key>,
    without: Vec<Vec<Pattern>>,
    with: Vec<Vec<Pattern>>,
    automaton: Option<Keys>,
}

#[derive(Debug)]
struct Key {
    signature: usize,
    pattern: Pattern,
}

impl Library {
    /// The one of this build. Its files are read at the first call; a broken one would be empty, which a test rules out.
    #[must_use]
    pub fn get() -> &'static Self {
        static LIBRARY: OnceLock<Library> = OnceLock::new();
        LIBRARY.get_or_init(|| {
            let entries = FILES.iter().filter_map(|file| json::read::<Vec<Signature>>(file).ok());
            Self::new(entries.flatten().collect())
        })
    }

    fn new(signatures: Vec<Signature>) -> Self {
        let mut keys = Vec::new();
        for (signature, entry) in signatures.iter().enumerate() {
            keys.extend(entry.any.iter().map(|text| Key { signature, pattern: Pattern::new(text) }));
        }
        let automaton = Keys::new(keys.iter().map(|key| key.pattern.key()));
        let patterns = |texts: &Vec<String>| texts.iter().map(|text| Pattern::new(text)).collect();
        let without = signatures.iter().map(|entry| patterns(&entry.not)).collect();
        let with = signatures.iter().map(|entry| patterns(&entry.with)).collect();
        Self { signatures, keys, without, with, automaton }
    }

    /// All of them.
    #[must_use]
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Finds those that a line in lower case shows.
    pub fn matches(&self, line: &str, place: Place, found: &mut Found) {
        found.clear();
        let Some(automaton) = &self.automaton else { return };
        for hit in automaton.hits(line) {
            let number = hit.pattern().as_usize();
            // A key that comes a thousand times in a line is looked at once.
            let Some(key) = self.keys.get(number).filter(|_| found.is_new(number)) else { continue };
            if !found.signatures.contains(&key.signature)
                && self.signatures.get(key.signature).is_some_and(|entry| entry.concerns(place))
                && key.pattern.is_in(line)
                && self.lets(key.signature, line)
            {
                found.signatures.push(key.signature);
            }
        }
    }

    /// Where in a line in lower case a signature's words begin, as far as its keys tell.
    #[must_use]
    pub fn position(&self, signature: usize, line: &str) -> Option<usize> {
        let patterns = self.keys.iter().filter(|key| key.signature == signature).map(|key| &key.pattern);
        patterns.filter(|pattern| pattern.is_in(line)).filter_map(|pattern| line.find(pattern.key())).min()
    }

    fn lets(&self, signature: usize, line: &str) -> bool {
        let holds = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_in(line));
        let with = self.with.get(signature).is_none_or(|patterns| patterns.is_empty() || holds(patterns));
        with && !self.without.get(signature).is_some_and(|patterns| holds(patterns))
    }
}

/// What a line shows. One is used for all lines, so that nothing is allocated for those that show nothing.
#[derive(Debug, Default)]
pub struct Found {
    /// The numbers of the signatures.
    pub signatures: Vec<usize>,
    tried: Vec<usize>,
    is_tried: Vec<bool>,
}

impl Found {
    fn clear(&mut self) {
        self.signatures.clear();
        for number in self.tried.drain(..) {
            if let Some(tried) = self.is_tried.get_mut(number) {
                *tried = false;
            }
        }
    }

    fn is_new(&mut self, number: usize) -> bool {
        if self.is_tried.len() <= number {
            self.is_tried.resize(number + 1, false);
        }
        match self.is_tried.get_mut(number) {
            Some(tried) if !*tried => {
                *tried = true;
                self.tried.push(number);
                true
            }
            Some(_) | None => false,
        }
    }
}

/// Words in their order.
#[derive(Debug)]
struct Pattern {
    pieces: Vec<Piece>,
}

/// What stands together: texts with a number between each two.
#[derive(Debug)]
struct Piece {
    text: String,
    /// What follows after a number, and after another one.
    numbered: Vec<String>,
    starts_word: bool,
    ends_word: bool,
}

impl Pattern {
    fn new(text: &str) -> Self {
        // A blank beside a gap is the edge of a word: nothing need stand between the two.
        let parts: Vec<&str> = text.split('*').collect();
        let last = parts.len().saturating_sub(1);
        let pieces = parts.iter().enumerate().filter(|(_, part)| !part.trim().is_empty()).map(|(number, part)| {
            let after_gap = if number > 0 { part.trim_start() } else { part };
            let bare = if number < last { after_gap.trim_end() } else { after_gap };
            let lower = bare.trim_matches('|').to_ascii_lowercase();
            let mut texts = lower.split('~').map(str::to_owned);
            Piece {
                text: texts.next().unwrap_or_default(),
                numbered: texts.collect(),
                starts_word: bare.starts_with('|') || (number > 0 && part.starts_with(' ')),
                ends_word: bare.ends_with('|') || (number < last && part.ends_with(' ')),
            }
        });
        Self { pieces: pieces.collect() }
    }

    /// The longest piece: the rarest, most likely.
    fn key(&self) -> &str {
        let texts = self.pieces.iter().flat_map(|piece| std::iter::once(&piece.text).chain(&piece.numbered));
        texts.map(String::as_str).max_by_key(|text| text.len()).unwrap_or("\0")
    }

    fn is_in(&self, line: &str) -> bool {
        let mut from = 0;
        for piece in &self.pieces {
            match piece.end_in(line, from) {
                Some(end) => from = end,
                None => return false,
            }
        }
        true
    }
}

impl Piece {
    /// Where its first place at or after `from` ends.
    fn end_in(&self, line: &str, from: usize) -> Option<usize> {
        let rest = line.get(from..)?;
        // Most lines lack it, and to prepare a search costs more than to see that.
        if !rest.contains(&*self.text) {
            return None;
        }
        for (at, found) in rest.match_indices(&self.text) {
            let start = from + at;
            let Some(end) = self.after_numbers(line, start + found.len()) else { continue };
            let word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
            let before = start.checked_sub(1).and_then(|at| line.as_bytes().get(at).copied());
            let after = line.as_bytes().get(end).copied();
            let cut = (self.starts_word && word(before)) || (self.ends_word && word(after));
            if !cut {
                return Some(end);
            }
        }
        None
    }

    /// Where the piece ends of which the first text ends at `from`.
    fn after_numbers(&self, line: &str, from: usize) -> Option<usize> {
        self.numbered.iter().try_fold(from, |from, text| {
            let rest = line.get(from..)?;
            let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            (after.len() < rest.len() && after.starts_with(text.as_str()))
                .then(|| line.len() - after.len() + text.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_pattern_is_words_in_their_order() {
        let holds = |pattern: &str, line: &str| Pattern::new(pattern).is_in(line);
        assert!(holds("task * blocked for more than", "info: task dockerd:1 blocked for more than 120 seconds"));
        assert!(!holds("blocked * task ", "task dockerd:1 blocked for more than 120 seconds"));
        assert!(holds("Exited with code 5|", "agent exited with code 5"));
        assert!(!holds("exited with code 5|", "agent exited with code 53"));
        assert!(!holds("|error", "noerror"));
        assert!(holds("imds * unreachable", "imds unreachable") && holds("imds * unreachable", "imds is unreachable"));
        assert!(!holds("imds * unreachable", "imdsunreachable"));
        assert!(holds("killed process ~ (* total-vm", "no killed process; killed process 12 (java) total-vm:1kb"));
        assert!(
            !holds("killed process ~ (", "killed process (java)") && !holds("killed process ~ (", "killed process 1 x")
        );
        assert!(holds("stuck for ~s!", "cpu#1 stuck for 22s! [x]"));
    }

    #[test]
    fn every_file_reads_and_no_two_entries_share_a_name() {
        let mut names = BTreeSet::new();
        for file in FILES {
            for entry in serde_json::from_str::<Vec<Signature>>(file).unwrap() {
                assert!(!entry.samples.is_empty() && !entry.any.is_empty(), "{}", entry.id);
                assert!(
                    !entry.meaning.is_empty() && !entry.remedy.is_empty() && !entry.source.is_empty(),
                    "{}",
                    entry.id
                );
                assert!(
                    entry.any.iter().all(|text| Pattern::new(text).key().len() >= 4),
                    "{}: too short a key",
                    entry.id
                );
                assert_eq!(entry.heals.is_some(), entry.weight == Weight::Good, "{}", entry.id);
                assert!(names.insert(entry.id.clone()), "{} twice", entry.id);
            }
        }
        assert!(names.len() >= 160, "{}", names.len());
    }

    #[test]
    fn every_sample_shows_its_own_signature() {
        let library = Library::get();
        let mut found = Found::default();
        for (number, entry) in library.signatures().iter().enumerate() {
            for sample in &entry.samples {
                let line = sample.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
                library.matches(&line, Place::Unknown, &mut found);
                assert!(found.signatures.contains(&number), "{}: {sample}", entry.id);
            }
        }
    }
}
