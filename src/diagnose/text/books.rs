//! What was seen so far, each kind of it once: how often, when first and last, and whether something later took it back.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::super::{Cause, Family, Helps};
use super::boots::Boots;
use super::place::{Moment, Place};
use super::signature::{Component, Heals, Weight};
use crate::report::redact;

/// At most so many kinds of evidence are kept; what a text shows beyond that is only counted.
const SIGHTINGS_MAX: usize = 512;
/// The last lines that are shown when nothing was recognised.
const TAIL_MAX: usize = 6;

/// One kind of evidence, and how often it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    /// The signature's id, or the look's own name.
    pub id: String,
    /// Who says so.
    pub component: Component,
    /// Where the line came from.
    pub place: Place,
    /// What it points to.
    pub cause: Cause,
    /// How it weighs.
    pub weight: Weight,
    /// What else it may mean.
    pub also: Vec<Cause>,
    /// The first line of the kind, redacted, in at most 400 characters.
    pub evidence: String,
    /// What it means.
    pub meaning: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether a reboot helps, where that differs from what holds for the cause.
    pub reboot: Option<Helps>,
    /// Whether a restart of the agent helps, where that differs from what holds for the cause.
    pub restart: Option<Helps>,
    /// How often.
    pub count: u64,
    /// The number of the first line.
    pub first_line: u64,
    /// The number of the last line.
    pub last_line: u64,
    /// When it was seen first, as far as the lines say so.
    pub first_at: Option<Moment>,
    /// When it was seen last.
    pub last_at: Option<Moment>,
    /// Something later shows that it is over.
    pub over: bool,
}

impl Sighting {
    /// Evidence of a cause, in the words of the look that found it.
    #[must_use]
    pub(super) fn new(id: &str, component: Component, cause: Cause, weight: Weight, evidence: &str) -> Self {
        Self {
            id: id.to_owned(),
            component,
            place: Place::Unknown,
            cause,
            weight,
            also: Vec::new(),
            evidence: redact::excerpt(evidence),
            meaning: String::new(),
            remedy: String::new(),
            reboot: None,
            restart: None,
            count: 1,
            first_line: 0,
            last_line: 0,
            first_at: None,
            last_at: None,
            over: false,
        }
    }

    /// The same, of another origin.
    #[must_use]
    pub(super) fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }

    /// The same, with what may help.
    #[must_use]
    pub(super) fn helped(self, reboot: Helps, restart: Helps) -> Self {
        Self { reboot: Some(reboot), restart: Some(restart), ..self }
    }

    /// The same, with what it may be as well.
    #[must_use]
    pub(super) fn or(self, also: &[Cause]) -> Self {
        Self { also: also.to_vec(), ..self }
    }

    /// How often a minute, over the time in which it was seen; `None` where the lines do not say when.
    #[must_use]
    pub(super) fn per_minute(&self) -> Option<u64> {
        let secs = self.last_at?.since(self.first_at?)?;
        if self.count < 2 {
            return None;
        }
        // A burst of one second is not thirty times as many in a minute.
        Some(self.count.saturating_mul(60) / secs.max(10))
    }
}

/// A success that a line told of.
#[derive(Debug, Clone, Copy)]
struct Success {
    place: Place,
    heals: Heals,
    line: u64,
    at: Option<Moment>,
}

/// So long after trouble that passes, an agent that connects shows that it has passed, in seconds.
const PASSED_SECS: u64 = 3_600;

/// Everything that was seen.
#[derive(Debug, Default)]
pub(super) struct Books {
    sightings: BTreeMap<(String, Place), Sighting>,
    successes: Vec<Success>,
    tail: VecDeque<Seen>,
    /// How many lines there were.
    lines: u64,
    /// The number of the line that is looked at.
    line: u64,
    /// What was left out for want of room.
    pub left_out: u64,
    boots: Boots,
    /// The last moment of each clock.
    last: [Option<Moment>; 3],
    /// The last moment of each clock at which an agent wrote something.
    agents: [Option<Moment>; 3],
    /// The last line in which systemd starts a service.
    started: u64,
}

/// A line of the tail, and how often it came with other figures.
#[derive(Debug, Clone)]
struct Seen {
    shape: u64,
    text: String,
    count: u64,
}

impl Books {
    /// Counts a line.
    pub(super) fn next_line(&mut self) {
        self.lines = self.lines.saturating_add(1);
        self.line = self.lines;
    }

    /// The number of the newest line.
    #[must_use]
    pub(super) fn newest(&self) -> u64 {
        self.lines
    }

    /// What follows belongs to a line before the newest.
    pub(super) fn back_to(&mut self, line: u64) {
        self.line = line;
    }

    /// Counts a sighting that was made before, without building it anew; `false` when it is the first of its kind.
    pub(super) fn again(&mut self, id: &str, place: Place, at: Option<Moment>) -> bool {
        // A key of its own is only built for what matched, which is rare beside what did not.
        let Some(known) = self.sightings.get_mut(&(id.to_owned(), place)) else { return false };
        known.count = known.count.saturating_add(1);
        known.last_line = self.line;
        known.last_at = at.or(known.last_at);
        true
    }

    /// Writes down a sighting.
    pub(super) fn note(&mut self, mut sighting: Sighting, at: Option<Moment>) {
        if self.again(&sighting.id, sighting.place, at) {
            return;
        }
        if self.sightings.len() >= SIGHTINGS_MAX {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        (sighting.first_line, sighting.last_line) = (self.line, self.line);
        (sighting.first_at, sighting.last_at) = (at, at);
        self.sightings.insert((sighting.id.clone(), sighting.place), sighting);
    }

    /// Writes down that something works.
    pub(super) fn success(&mut self, place: Place, heals: Heals) {
        self.success_at(place, heals, None);
    }

    /// Writes down that something worked at a moment.
    pub(super) fn success_at(&mut self, place: Place, heals: Heals, at: Option<Moment>) {
        let line = self.line;
        if let Some(known) = self.successes.iter_mut().find(|known| known.place == place && known.heals == heals) {
            known.line = line;
            known.at = at.or(known.at);
        } else if self.successes.len() < SIGHTINGS_MAX {
            self.successes.push(Success { place, heals, line, at });
        }
    }

    /// Looks at when a line, in lower case, was written and by whom, and whether a boot begins with it.
    pub(super) fn pass(&mut self, line: &str, place: Place, at: Option<Moment>) {
        self.boots.line(self.line, line, at);
        if place == Place::Systemd && line.contains(": started ") && !line.contains("session") {
            self.started = self.line;
        }
        let Some(at) = at else { return };
        if let Some(last) = self.last.get_mut(at.clock()) {
            *last = Some(at);
        }
        if matches!(place, Place::Ssm | Place::Ecs)
            && let Some(last) = self.agents.get_mut(at.clock())
        {
            *last = Some(at);
        }
    }

    /// A line, in lower case, has words with which boots begin.
    pub(super) fn boot(&mut self, line: &str, at: Option<Moment>) {
        self.boots.maybe_begins(self.line, line, at);
    }

    /// A line shows a system that has come up.
    pub(super) fn came_up(&mut self, at: Option<Moment>) {
        self.boots.is_up(self.line, at);
    }

    /// A line shows a system that starts its services.
    pub(super) fn serves(&mut self) {
        self.boots.serves(self.line);
    }

    /// Keeps a line for the case that nothing is recognised. Lines that differ in figures only are kept once.
    pub(super) fn keep(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let shape = shape(line);
        if let Some(at) = self.tail.iter().position(|seen| seen.shape == shape) {
            if let Some(mut seen) = self.tail.remove(at) {
                seen.count = seen.count.saturating_add(1);
                self.tail.push_back(seen);
            }
            return;
        }
        // The oldest gives its room to the newest.
        let mut text = if self.tail.len() >= TAIL_MAX {
            self.tail.pop_front().map(|seen| seen.text).unwrap_or_default()
        } else {
            String::new()
        };
        text.clear();
        // Longer than an excerpt, since what is taken out of it makes room.
        text.push_str(line.get(..line.floor_char_boundary(2 * redact::EXCERPT_MAX)).unwrap_or_default());
        self.tail.push_back(Seen { shape, text, count: 1 });
    }

    /// The last lines, redacted, each with how often it came.
    #[must_use]
    pub(super) fn tail(&self) -> Vec<(String, u64)> {
        self.tail.iter().map(|seen| (redact::excerpt(&seen.text), seen.count)).collect()
    }

    /// Everything that was seen, with what is over marked as such, and whether anything was seen to work.
    #[must_use]
    pub(super) fn close(self) -> (Vec<Sighting>, bool) {
        let Self { sightings, successes, mut boots, last, agents, started, .. } = self;
        let passed = |sighting: &Sighting, moments: &[Option<Moment>; 3]| {
            let since = |at: &Moment| at.at_least_since(sighting.last_at?);
            moments.iter().flatten().filter_map(since).any(|secs| secs >= PASSED_SECS)
        };
        let mut sightings: Vec<Sighting> = sightings.into_values().collect();
        for sighting in &sightings {
            boots.died(sighting);
        }
        for sighting in &mut sightings {
            sighting.over = successes.iter().any(|success| {
                success.line > sighting.last_line
                    && (outlived(success, sighting)
                        || (concerns(success.place, sighting.place) && ends(success.heals, sighting.cause)))
            });
            // Where memory is short, it is so again soon: an agent that goes on, or a service that was started again and leaves
            // the host in peace, shows that it is not.
            let again = started > sighting.last_line && passed(sighting, &last);
            sighting.over |= sighting.cause == Cause::HostOutOfMemory && (again || passed(sighting, &agents));
            sighting.over |= boots.ended(sighting);
        }
        // That something was started says nothing about how it fares: silence is not health (facts/host.md §7.2).
        (sightings, successes.iter().any(|success| success.heals != Heals::Start))
    }
}

/// Whether an agent connected long after trouble of the kind that passes by itself or with what caused it.
fn outlived(success: &Success, trouble: &Sighting) -> bool {
    let passes = matches!(
        trouble.cause,
        Cause::HostOutOfMemory
            | Cause::HostPidsExhausted
            | Cause::HostOpenFilesExhausted
            | Cause::HostCpuSaturated
            | Cause::HostKernelHang
            | Cause::HostNetworkStack
    );
    let between = success.at.zip(trouble.last_at).and_then(|(success, trouble)| success.since(trouble));
    passes && success.heals == Heals::Connection && between.is_some_and(|secs| secs >= PASSED_SECS)
}

/// Whether a success there says something about trouble here.
fn concerns(success: Place, trouble: Place) -> bool {
    success == trouble
        || (success == Place::Unknown && trouble != Place::Plugin)
        // What nobody is known to have said waits there, too.
        || matches!(trouble, Place::Unknown | Place::Application)
        || (trouble == Place::Systemd && matches!(success, Place::Ssm | Place::Ecs | Place::Docker))
}

/// Whether a success of that kind ends trouble of this kind.
fn ends(heals: Heals, cause: Cause) -> bool {
    match heals {
        Heals::Connection => {
            matches!(cause.family(), Family::Identity | Family::Network | Family::Clock)
                || matches!(
                    cause,
                    Cause::SsmAgentHibernating
                        | Cause::SsmAgentStopped
                        | Cause::SsmAgentHung
                        | Cause::EcsAgentStopped
                        | Cause::EcsAgentHung
                        | Cause::EcsAgentCrashLoop
                        | Cause::EcsAgentDeregistered
                        | Cause::ServiceUnavailable
                        | Cause::SessionClientGaveUp
                )
        }
        Heals::Start => matches!(cause, Cause::SsmAgentStopped | Cause::EcsAgentStopped),
        Heals::Runtime => matches!(cause, Cause::RuntimeDockerDown | Cause::RuntimeDockerHung),
        Heals::Workers => cause == Cause::SsmAgentWorkersExhausted,
        Heals::Nothing => false,
    }
}

/// The same number for lines that differ in figures only.
fn shape(line: &str) -> u64 {
    crate::hash::fnv1a(line.bytes().take(512).filter(|byte| !byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(cause: Cause, place: Place) -> Sighting {
        Sighting::new("x", Component::Agent, cause, Weight::Cause, "x").at(place)
    }

    #[test]
    fn a_later_success_takes_back_what_it_disproves_and_nothing_else() {
        let over = |cause, success_first: bool| {
            let mut books = Books::default();
            for step in 0..2 {
                books.next_line();
                if (step == 0) == success_first {
                    books.success(Place::Ssm, Heals::Connection);
                } else {
                    books.note(trouble(cause, Place::Ssm), None);
                }
            }
            books.close().0[0].over
        };
        assert!(over(Cause::NetworkDns, false));
        assert!(!over(Cause::NetworkDns, true), "what comes after is new");
        assert!(!over(Cause::HostDiskFull, false));
    }

    #[test]
    fn what_comes_again_is_counted_and_its_rate_is_known() {
        let mut books = Books::default();
        for second in 0..60 {
            books.next_line();
            let at = super::super::place::stamp(&format!("2026-11-21 03:10:{second:02}.0 INFO x")).at;
            books.note(trouble(Cause::NetworkDns, Place::Ssm), at);
        }
        let (seen, _) = books.close();
        assert_eq!((seen.len(), seen[0].count, seen[0].per_minute()), (1, 60, Some(61)));
        assert_eq!((seen[0].first_line, seen[0].last_line), (1, 60));
    }

    #[test]
    fn the_tail_holds_lines_that_differ_not_a_flood_of_one() {
        let mut books = Books::default();
        books.keep("first");
        for n in 0..100_000 {
            books.keep(&format!("request {n} failed"));
        }
        books.keep("last");
        let tail = books.tail();
        assert_eq!(
            tail.iter().map(|(text, count)| (text.as_str(), *count)).collect::<Vec<_>>(),
            [("first", 1), ("request 0 failed", 100_000), ("last", 1)]
        );
    }
}
