//! What people do besides, drawn from a stream of its own, so that what a seed drew before keeps its course.

use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use super::scenario::{LENGTH_SECS, Step};
use crate::node::NodeId;
use crate::policy::standing::Reading;
use crate::policy::{Mode, Policy, yaml};
use crate::sim::people::{Deed, random_tags};
use crate::time::after;

/// Tells this stream from the one that draws the fleet.
const STREAM: u64 = 0x0be5_1de5_0be5_1de5;

/// Texts that are no policies: a word, a number out of range, a place, no YAML at all.
const BAD: [&str; 5] = [
    "mode: cyclee\n",
    "budgets: {account-at-once: -1}\n",
    "account-a-day: 3\n",
    "groups: [{mode: off}]\n",
    "mode: {\n",
];

/// What a seed draws besides.
#[derive(Debug)]
pub(super) struct Besides {
    /// What people do, in no order.
    pub(super) steps: Vec<(Timestamp, Step)>,
    /// How often the kill switch cannot be read, in ten-thousandths.
    pub(super) dark_switch: u32,
}

/// A policy document as people leave it.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// None: they take it away.
    text: Option<Arc<str>>,
    /// Whether it cannot be used.
    pub(super) is_bad: bool,
}

impl Document {
    /// What is read from now on.
    pub(super) fn reading(&self) -> Reading {
        self.text.clone().map_or(Reading::Absent, Reading::Text)
    }

    /// Whether that must have been told in the end, if nothing better follows.
    pub(super) fn stands(&self) -> bool {
        self.is_bad && self.text.is_some()
    }

    /// What must hold from then on, given the last good document that Defib has read: one that it never read in its time
    /// cannot bind it.
    pub(super) fn means(&self, stack: &Policy, read_before: Option<&str>) -> Policy {
        let read = |text: &str| yaml::read(text.as_bytes()).unwrap_or_default();
        let observing = Policy { mode: stack.mode.min(Mode::Observe), ..stack.clone() };
        match (&self.text, read_before) {
            (Some(text), _) if !self.is_bad => read(text).under(stack),
            (Some(_), None) => observing,
            (None, None) => stack.clone(),
            (Some(_) | None, Some(before)) => read(before).under(&observing),
        }
    }
}

/// What people do besides.
pub(super) fn of(seed: u64, nodes: &[NodeId], start: Timestamp) -> Besides {
    let mut rng = Rng::with_seed(seed ^ STREAM);
    let mut steps = Vec::new();
    let dark_switch = if rng.u8(0..4) == 0 { rng.u32(0..2_000) } else { 0 };
    if rng.bool() {
        for _ in 0..rng.usize(0..6) {
            let at = after(start, rng.i64(0..LENGTH_SECS));
            let deed = match rng.u8(0..3) {
                0 => rng.choice(nodes).map(|node| Deed::Clear(*node)),
                1 => Some(Deed::TagGroup(random_tags(&mut rng, at))),
                _ => Some(Deed::TagCluster(random_tags(&mut rng, at))),
            };
            steps.extend(deed.map(|deed| (at, Step::Deed(deed))));
        }
    }
    if rng.u8(0..6) == 0 {
        documents(&mut rng, start, &mut steps);
    }
    Besides { steps, dark_switch }
}

/// A document for some time or other, now and then a bad one.
fn documents(rng: &mut Rng, start: Timestamp, steps: &mut Vec<(Timestamp, Step)>) {
    if rng.u8(0..3) == 0 {
        return tight_then_loose(rng, start, steps);
    }
    let mut moments: Vec<i64> = (0..rng.usize(1..6)).map(|_| rng.i64(0..LENGTH_SECS)).collect();
    moments.sort_unstable();
    for secs in moments {
        let document = match rng.u8(0..8) {
            0..=2 => {
                let text = rng.choice(BAD).unwrap_or_default().to_owned() + &"# \n".repeat(rng.usize(0..2));
                Document { text: Some(text.into()), is_bad: true }
            }
            3 => Document { text: None, is_bad: true },
            _ => Document { text: Some(good_text(rng).into()), is_bad: false },
        };
        steps.push((after(start, secs), Step::Document(document)));
    }
}

/// One remedy a day for each node, and any number later: what is in quarantine stays there all the same.
fn tight_then_loose(rng: &mut Rng, start: Timestamp, steps: &mut Vec<(Timestamp, Step)>) {
    let later = rng.i64(LENGTH_SECS / 3..LENGTH_SECS);
    for (secs, day) in [(rng.i64(0..1_800), 1), (later, 10)] {
        let text = format!("budgets: {{node-an-hour: 6, node-a-day: {day}}}\n");
        steps.push((after(start, secs), Step::Document(Document { text: Some(text.into()), is_bad: false })));
    }
}

/// A good document: another mode, other limits, a block or two.
fn good_text(rng: &mut Rng) -> String {
    let mode = |rng: &mut Rng| rng.choice(Mode::ALL).unwrap_or(Mode::Replace);
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    if rng.bool() {
        let _ = writeln!(text, "mode: {}", mode(rng));
    }
    if rng.bool() {
        let _ = writeln!(text, "cooldown-secs: {}", rng.i64(60..900));
    }
    if rng.u8(0..3) > 0 {
        let (hour, day) = (rng.u32(1..4), rng.u32(1..6));
        let at_once = rng.u32(1..5);
        let _ = writeln!(text, "budgets: {{node-an-hour: {hour}, node-a-day: {day}, account-at-once: {at_once}}}");
    }
    if rng.bool() {
        let _ = writeln!(text, "clusters: [{{match: 'b*', mode: {}}}, {{match: '*', mode: off}}]", mode(rng));
    }
    if rng.u8(0..3) == 0 {
        let _ = writeln!(text, "groups: [{{match: '*-asg', mode: {}, sessions: warn}}]", mode(rng));
    }
    if text.is_empty() { "{}\n".to_owned() } else { text }
}
