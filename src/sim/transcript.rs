//! A played rehearsal as lines of text: what happened in the world, then each incident from its first symptom to its end.
//!
//! The same lines are the golden files of the scenarios and what `defib simulate` prints, there with colours.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use super::rehearsal::Played;
use crate::effect::Weight;
use crate::incident::{Incident, Outcome, Phase, Remedy};
use crate::report::{digest_line, timeline};
use crate::storm::Digest;
use crate::time::{secs_between, spoken};

/// What a line is, so that whoever prints it can choose a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something in the world, which Defib does not know of.
    World,
    /// An incident's headline.
    Headline,
    /// A line of an incident's history.
    Event,
    /// How an incident ended.
    Ending(Outcome),
    /// A rehearsal's sum.
    Sum,
    /// Nothing.
    Blank,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// When, if it has a moment.
    pub at: Option<Timestamp>,
    /// What it says.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, self.at) {
            (Kind::World, Some(at)) => write!(f, "{}  ~ {}", clock(at), self.text),
            (_, Some(at)) => write!(f, "  {}  {}", clock(at), self.text),
            (Kind::Ending(_), None) => write!(f, "  => {}", self.text),
            (_, None) => f.write_str(&self.text),
        }
    }
}

fn clock(at: Timestamp) -> String {
    timeline::clock(at, false)
}

/// The lines of a played rehearsal.
#[must_use]
pub fn lines(played: &Played) -> Vec<Line> {
    if played.counts_only {
        return numbers(played);
    }
    let blank = || Line { kind: Kind::Blank, at: None, text: String::new() };
    let mut lines: Vec<Line> = played
        .world_lines
        .iter()
        .map(|(at, text)| Line { kind: Kind::World, at: Some(*at), text: text.clone() })
        .collect();
    let (blips, stories): (Vec<_>, Vec<_>) =
        played.incidents.iter().partition(|incident| reports_of(incident, played) == 0 && is_blip(incident));
    for incident in stories {
        if !lines.is_empty() {
            lines.push(blank());
        }
        lines.extend(incident_lines(incident, played));
    }
    if !played.digests.is_empty() {
        if !lines.is_empty() {
            lines.push(blank());
        }
        for (at, digest) in &played.digests {
            lines.push(Line { kind: Kind::Event, at: Some(*at), text: format!("digest: {}", digest_line(digest)) });
        }
    }
    if !blips.is_empty() {
        if !lines.is_empty() {
            lines.push(blank());
        }
        let secs = blips.iter().map(|incident| duration_secs(incident, played)).max().unwrap_or(0);
        let count = blips.len();
        let text = format!(
            "{count} blip{} healed by {} inside the hold-down, the longest after {}: counted, not mailed",
            if count == 1 { "" } else { "s" },
            if count == 1 { "itself" } else { "themselves" },
            spoken(secs)
        );
        lines.push(Line { kind: Kind::Ending(Outcome::SelfHealed), at: None, text });
    }
    if !lines.is_empty() {
        lines.push(blank());
    }
    lines.push(Line { kind: Kind::Sum, at: None, text: sum(played) });
    lines
}

/// The same in numbers, for fleets whose transcript would fill a book.
fn numbers(played: &Played) -> Vec<Line> {
    let at = |secs: i64| crate::time::after(played.start, secs);
    let line = |text: String| Line { kind: Kind::Event, at: None, text };
    let landed = || played.landed.iter().filter(|sent| sent.effect.weight() == Weight::Disruptive);
    let disruptive: Vec<Timestamp> = landed().map(|sent| sent.at).collect();
    let most = disruptive
        .iter()
        .map(|from| disruptive.iter().filter(|at| (0..3_600).contains(&secs_between(*from, **at))).count())
        .max()
        .unwrap_or(0);
    let mut lines: Vec<Line> = played
        .digests
        .iter()
        .map(|(at, digest)| Line { kind: Kind::Event, at: Some(*at), text: format!("digest: {}", digest_line(digest)) })
        .collect();
    let opened = played.digests.iter().find(|(_, digest)| !digest.trips.is_empty()).map(|(_, digest)| digest.id.since);
    let before = opened.map(|since| disruptive.iter().filter(|at| **at < since).count());
    lines.push(Line { kind: Kind::Blank, at: None, text: String::new() });
    lines.push(line(format!("incidents: {}", played.incidents.len())));
    lines.push(line(format!("disruptive remedies: {} in all, at most {most} in any hour", disruptive.len())));
    if let Some(before) = before {
        lines.push(line(format!("of these before the first digest of an open breaker: {before}")));
        let while_open = landed().filter(|sent| sent.breaker_open).count();
        lines.push(line(format!("of these while the breaker was open: {while_open}")));
    }
    for hour in 0..=played.virtual_secs / 3_600 {
        let inside = |moment: &Timestamp| *moment >= at(hour * 3_600) && *moment < at((hour + 1) * 3_600);
        let landed = disruptive.iter().filter(|moment| inside(moment)).count();
        let told = played.reports.iter().map(|(at, _)| at).chain(played.digests.iter().map(|(at, _)| at));
        let told = told.filter(|moment| inside(moment)).count();
        lines.push(line(format!("hour {}: {landed} disruptive remedies, {told} messages", hour + 1)));
    }
    let counts = played.counts;
    lines.push(line(format!("looks at nodes: {}, sweeps' lists: {}", counts.looks, counts.surveys)));
    lines.push(line(format!(
        "messages in the queue: at most {}, {} at the end; dead letters: {}",
        counts.waiting_most, counts.waiting, counts.dead_letters
    )));
    let waiting = played.digests.iter().map(|(_, digest)| digest.waiting).max().unwrap_or(0);
    lines.push(line(format!("nodes that wait for a place: at most {waiting} told of, {} at the end", played.shelved)));
    lines.push(Line { kind: Kind::Blank, at: None, text: String::new() });
    lines.push(Line { kind: Kind::Sum, at: None, text: sum(played) });
    lines
}

/// Each remedy that helped, the first time that it did, with what proved it.
#[must_use]
pub fn proofs(played: &Played) -> Vec<Line> {
    let mut lines = Vec::new();
    for remedy in Remedy::ALL {
        let helped = |incident: &Arc<Incident>| incident.proof_of(remedy).map(|proof| (Arc::clone(incident), proof));
        let Some((incident, proof)) = played.incidents.iter().find_map(helped) else { continue };
        let name = incident.place.name.as_ref().map_or_else(|| incident.node.to_string(), ToString::to_string);
        let text = format!("  {:<17}  {name:<10}  {}", remedy.as_str(), timeline::proven(proof));
        lines.push(Line { kind: Kind::Event, at: None, text });
    }
    if !lines.is_empty() {
        lines.insert(
            0,
            Line { kind: Kind::Headline, at: None, text: "Each remedy that helped, with its proof".to_owned() },
        );
    }
    lines
}

/// Whether an incident never got beyond its hold-down: a natural reconnect, mostly.
#[must_use]
pub fn is_blip(incident: &Incident) -> bool {
    incident.attempts.is_empty()
        && incident.diagnosis.is_none()
        && incident.ending().is_some_and(|ending| ending.outcome() == Outcome::SelfHealed)
}

/// The lines of one incident.
fn incident_lines(incident: &Incident, played: &Played) -> Vec<Line> {
    let mut lines = vec![headline(incident)];
    lines.extend(history_lines(incident));
    lines.push(ending_line(incident, reports_of(incident, played), duration_secs(incident, played)));
    lines
}

/// The line above an incident.
fn headline(incident: &Incident) -> Line {
    let name = incident.place.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    Line { kind: Kind::Headline, at: None, text: format!("{}{name}", incident.id) }
}

/// The lines of an incident's history.
pub fn history_lines(incident: &Incident) -> impl Iterator<Item = Line> {
    incident.history.iter().filter_map(|entry| {
        timeline::line(entry, incident).map(|text| Line { kind: Kind::Event, at: Some(entry.at), text })
    })
}

/// The line that says how an incident ended, after how many reports and seconds.
#[must_use]
pub fn ending_line(incident: &Incident, reports: usize, secs: i64) -> Line {
    let ending = incident.ending();
    let outcome = ending.map_or("open", |ending| ending.outcome().as_str());
    let cause = incident.diagnosis.as_ref().map(|found| format!("cause {}; ", found.cause)).unwrap_or_default();
    let remedies: Vec<&str> = incident.performed().map(crate::incident::Remedy::as_str).collect();
    let remedies = if remedies.is_empty() { "none".to_owned() } else { remedies.join(", ") };
    let text = format!(
        "{outcome} after {}; {cause}remedies: {remedies}; {reports} message{}",
        spoken(secs),
        if reports == 1 { "" } else { "s" }
    );
    let kind = ending.map_or(Kind::Event, |ending| Kind::Ending(ending.outcome()));
    Line { kind, at: None, text }
}

/// How many reports told of an incident, repeats counted once, digests with it.
#[must_use]
pub fn reports_of(incident: &Incident, played: &Played) -> usize {
    let told =
        |digest: &Digest| digest.rows.iter().any(|row| row.incident == Some(incident.id) && row.outcome.is_some());
    let digests = played.digests.iter().filter(|(_, digest)| told(digest)).count();
    played.reports.iter().filter(|(_, item)| item.id.incident == incident.id).count() + digests
}

/// How long an incident lasted, in seconds, from its first look to its end, to its rest, or to the rehearsal's end.
#[must_use]
pub fn duration_secs(incident: &Incident, played: &Played) -> i64 {
    let end = match &incident.phase {
        Phase::Closed { at, .. } => *at,
        Phase::Resting { since, .. } => *since,
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Verifying { .. } => crate::time::after(played.start, played.virtual_secs),
    };
    secs_between(incident.first_seen, end)
}

fn sum(played: &Played) -> String {
    let mut outcomes: Vec<String> = Vec::new();
    for outcome in Outcome::ALL {
        let count = played
            .incidents
            .iter()
            .filter(|incident| incident.ending().is_some_and(|ending| ending.outcome() == outcome))
            .count();
        if count > 0 {
            outcomes.push(format!("{count} {outcome}"));
        }
    }
    let open = played.incidents.iter().filter(|incident| incident.ending().is_none()).count();
    if open > 0 {
        outcomes.push(format!("{open} still open"));
    }
    let what = if outcomes.is_empty() { "no incident".to_owned() } else { outcomes.join(", ") };
    let reports = played.reports.len() + played.digests.len();
    format!("{what}; {reports} message{}", if reports == 1 { "" } else { "s" })
}
