//! What `defib soak` prints before its last line: lines for people, or objects for programs.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;

use super::Ui;
use crate::config;
use crate::sim::coverage::{Asked, Cell, Coverage, Mishap, Stand};
use crate::sim::invariants::Violation;
use crate::sim::soak::{SeedResult, Shrunk, SoakResult};

/// Something that is printed, for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Object<'a> {
    Trace {
        at: jiff::Timestamp,
        pass: u64,
        request: &'a str,
        answer: &'a str,
    },
    Violation {
        seed: u64,
        #[serde(flatten)]
        what: What<'a>,
        version: &'a str,
        commit: Option<&'a str>,
        replay: &'a str,
    },
    Shrunk {
        seed: u64,
        pieces: usize,
        of: usize,
        runs: u32,
        schedule: &'a [String],
        #[serde(flatten)]
        what: What<'a>,
        replay: &'a str,
    },
    Situations {
        stand: &'a str,
        asked: &'a str,
        reached: &'a [String],
        never: &'a [String],
        undeclared: &'a [String],
    },
    Coverage {
        reached: usize,
        declared: usize,
        requests_a_schedule: u64,
    },
    #[cfg(feature = "plants")]
    Plant {
        plant: &'a str,
        caught_by: Option<&'static str>,
        seeds: u64,
    },
}

/// A broken promise.
#[derive(Debug, Serialize)]
struct What<'a> {
    promise: &'static str,
    at: jiff::Timestamp,
    node_id: Option<String>,
    text: &'a str,
}

impl<'a> What<'a> {
    fn of(violation: &'a Violation) -> Self {
        let Violation { promise, at, node, text } = violation;
        Self { promise, at: *at, node_id: node.map(|node| node.to_string()), text }
    }
}

/// What was run: a seed goes another way in another build.
fn build(commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    commit.map_or_else(|| format!("defib {version}"), |commit| format!("defib {version}, commit {commit}"))
}

/// Prints an object, or lines that say the same.
fn say(ui: &Ui, object: &Object<'_>, lines: &[String]) -> Result<()> {
    if ui.is_json() {
        return ui.object(object);
    }
    let mut out = std::io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Prints the trace of a seed.
pub(super) fn trace(result: &SeedResult, ui: &Ui) -> Result<()> {
    if ui.is_json() {
        return result.trace.iter().try_for_each(|line| {
            ui.object(&Object::Trace { at: line.at, pass: line.pass, request: &line.request, answer: &line.answer })
        });
    }
    let mut out = std::io::stdout().lock();
    result.trace.iter().try_for_each(|line| Ok(writeln!(out, "{line}")?))
}

/// Prints what a seed broke, with the options that play it again.
pub(super) fn violation(seed: u64, broken: &Violation, options: &str, ui: &Ui) -> Result<()> {
    let commit = config::commit();
    let (commit, replay) = (commit.as_deref(), format!("defib soak --seed {seed}{options} --trace"));
    let lines = [format!("seed {seed}: {broken}"), format!("  replay: {replay}  ({})", build(commit))];
    let version = env!("CARGO_PKG_VERSION");
    say(ui, &Object::Violation { seed, what: What::of(broken), version, commit, replay: &replay }, &lines)
}

/// Prints the smallest schedule that still breaks what a seed breaks, and how to come by it again.
pub(super) fn shrunk(seed: u64, shrunk: &Shrunk, options: &str, ui: &Ui) -> Result<()> {
    let Shrunk { violation, lines: schedule, left, of, runs } = shrunk;
    let replay = format!("defib soak --seed {seed}{options} --shrink");
    let mut lines = vec![format!("the smallest schedule: {left} of {of} pieces of seed {seed}, after {runs} runs")];
    lines.extend(schedule.iter().map(|line| format!("  {line}")));
    lines.extend([format!("  {violation}"), format!("  again: {replay}")]);
    let what = What::of(violation);
    let object = Object::Shrunk { seed, pieces: *left, of: *of, runs: *runs, schedule, what, replay: &replay };
    say(ui, &object, &lines)
}

/// For each place and request, what can go wrong there: what came up, what nobody was in, and what is not declared.
pub(super) fn coverage(result: &SoakResult, ui: &Ui) -> Result<()> {
    let (seen, declared) = (&result.coverage, Coverage::declared());
    for stand in Stand::all() {
        for asked in Asked::all() {
            let (mut reached, mut never, mut undeclared, mut words) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for mishap in Mishap::ALL {
                let cell = Cell { stand, asked, mishap };
                let (list, mark) = match (declared.has(cell), seen.has(cell)) {
                    (true, true) => (&mut reached, ""),
                    (true, false) => (&mut never, " (never)"),
                    (false, true) => (&mut undeclared, " (not declared)"),
                    (false, false) => continue,
                };
                list.push(mishap.to_string());
                words.push(format!("{mishap}{mark}"));
            }
            if !words.is_empty() {
                let (at, of) = (stand.to_string(), asked.to_string());
                let (reached, never, undeclared) = (&reached, &never, &undeclared);
                let object = Object::Situations { stand: &at, asked: &of, reached, never, undeclared };
                say(ui, &object, &[format!("{stand:<27} {asked:<18} {}", words.join(", "))])?;
            }
        }
    }
    let (declared, empty) = (declared.visited(), seen.empty(&declared).len());
    let (reached, mean) = (declared.saturating_sub(empty), result.requests / result.seeds.max(1));
    let line = format!("{reached} of {declared} declared situations; {mean} requests in a schedule");
    say(ui, &Object::Coverage { reached, declared, requests_a_schedule: mean }, &[line])
}

/// Says by what a plant was caught, and after how many seeds.
#[cfg(feature = "plants")]
pub(super) fn plant(plant: &str, first: u64, result: &SoakResult, ui: &Ui) -> Result<()> {
    // Seeds are handed out in order and none is broken off, so the lowest is always the same one.
    let (caught_by, seeds, line) = match result.broken.first() {
        Some((seed, violation)) => {
            let seeds = seed.saturating_sub(first).saturating_add(1);
            let promise = violation.promise;
            (Some(promise), seeds, format!("{plant}: caught by {promise} after {seeds} seeds"))
        }
        None => (None, result.seeds, format!("{plant}: not caught in {} seeds", result.seeds)),
    };
    say(ui, &Object::Plant { plant, caught_by, seeds }, &[line])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_names_the_commit_where_it_is_known() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(build(None), format!("defib {version}"));
        assert_eq!(build(Some("0123456789ab")), format!("defib {version}, commit 0123456789ab"));
    }
}
