//! `defib soak`: the simulation, seed after seed, until one breaks a promise.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, exit, soaked};
use crate::config::Stopwatch;
use crate::sim::coverage::Coverage;
use crate::sim::soak::{self, Load, SeedResult, SoakOptions};

/// From so many seeds on every declared situation must have come up.
const COVERED_FROM: u64 = 100_000;
/// Violations that are printed in full; the rest is counted.
const SHOWN_MAX: u64 = 20;

/// Run the simulation: the real engine over the simulated account, a seed for everything, every promise checked.
#[derive(Debug, Clone, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is one switch of the command line")]
pub(super) struct SoakArgs {
    /// Seeds A..B, without B.
    #[arg(long, value_name = "A..B", value_parser = seeds, conflicts_with = "seed", required_unless_present_any = ["seed", "list_plants"])]
    seeds: Option<RangeInclusive<u64>>,
    /// One seed.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print every request and its answer, and what was broken.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Print the smallest schedule that still breaks the same promise; done by itself unless a bug is planted.
    #[arg(long, conflicts_with = "trace")]
    shrink: bool,
    /// Faults, in percent of the usual.
    #[arg(long, value_name = "P", default_value_t = 100)]
    load: u32,
    /// Plant a deliberate bug, which the promises must catch.
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// List the bugs that can be planted.
    #[arg(long)]
    list_plants: bool,
    /// Print the declared situations of the passes, and which ones did not come up.
    #[arg(long)]
    coverage: bool,
    /// Threads; as many as there are processors unless given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// The last line.
#[derive(serde::Serialize)]
struct Summary {
    seeds: u64,
    violations: usize,
    incidents: u64,
    crashes: u64,
    seconds: f64,
}

/// Reads `A..B`.
pub(super) fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, end) = text.split_once("..").ok_or("expected A..B, for example 0..50000")?;
    let number =
        |part: &str| part.trim().replace('_', "").parse::<u64>().map_err(|error| format!("\"{part}\": {error}"));
    let (first, end) = (number(first)?, number(end)?);
    match end.checked_sub(1) {
        Some(last) if first <= last => Ok(first..=last),
        Some(_) | None => Err("there is no seed in it: A must be less than B".to_owned()),
    }
}

/// How many threads to use: as many as there are processors unless somebody says otherwise.
pub(super) fn threads(given: Option<NonZeroUsize>) -> usize {
    given.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from)
}

/// Runs it.
///
/// # Errors
/// When standard output cannot be written, or the command line asks for what this build has not.
pub(super) fn run(args: &SoakArgs, ui: &Ui) -> Result<ExitCode> {
    if args.list_plants {
        return list_plants(ui);
    }
    #[cfg(feature = "plants")]
    let _planted = match plant_of(args) {
        Ok(plant) => crate::plants::Planted::new(plant),
        Err(unknown) => {
            ui.error(&unknown);
            return Ok(ExitCode::from(exit::USAGE));
        }
    };
    #[cfg(not(feature = "plants"))]
    if let Some(plant) = &args.plant {
        ui.error(&format!("--plant {plant}: planted bugs exist only in builds with the Cargo feature `plants`"));
        return Ok(ExitCode::from(exit::USAGE));
    }
    let Some(range) = args.seeds.clone().or_else(|| args.seed.map(|seed| seed..=seed)) else {
        bail!("no seeds: use --seeds A..B or --seed N");
    };
    let options = SoakOptions { trace: args.trace, load: Some(Load { percent: args.load }), fingerprint: false };
    let threads = threads(args.threads);
    let watch = Stopwatch::start();
    let progress = progress(&range);
    let result = soak::run(&range, threads, &options, |one| {
        progress.inc(1);
        report(one, args, ui);
        // A plant has done its work with the first promise that it broke.
        args.plant.is_none() || one.violations.is_empty()
    });
    progress.finish_and_clear();
    #[cfg(feature = "plants")]
    if let Some(plant) = &args.plant {
        soaked::plant(plant, *range.start(), &result, ui)?;
    }
    if let Some((seed, _)) = result.broken.first()
        && (args.shrink || (args.plant.is_none() && !args.trace))
        && let Some(shrunk) = soak::shrink(*seed, &options)
    {
        soaked::shrunk(*seed, &shrunk, &options_of(args), ui)?;
    }
    if args.coverage {
        soaked::coverage(&result, ui)?;
    }
    let covered = is_covered(args, &result, ui);
    let seconds = watch.elapsed().as_secs_f64();
    let line = Summary {
        seeds: result.seeds,
        violations: result.broken.len(),
        incidents: result.incidents,
        crashes: result.crashes,
        seconds: (seconds * 1_000.0).round() / 1_000.0,
    };
    ui.object(&line)?;
    Ok(match (result.broken.is_empty(), covered) {
        (false, _) => ExitCode::from(exit::FINDINGS),
        (true, false) => ExitCode::from(exit::ERROR),
        (true, true) => ExitCode::SUCCESS,
    })
}

/// Whether every declared situation came up and no other did. Few seeds prove nothing about that, nor does a planted bug.
fn is_covered(args: &SoakArgs, result: &soak::SoakResult, ui: &Ui) -> bool {
    if args.plant.is_some() || result.seeds < COVERED_FROM {
        return true;
    }
    let empty = result.coverage.empty(&Coverage::declared());
    for cell in &empty {
        ui.error(&format!("no schedule was in the declared situation {cell}"));
    }
    for (cell, seed) in &result.outside {
        ui.error(&format!("seed {seed} was in a situation that is not declared: {cell}"));
    }
    empty.is_empty() && result.outside.is_empty()
}

/// One name a line, or one object; none in builds without them.
#[cfg_attr(not(feature = "plants"), allow(clippy::unnecessary_wraps, unused_variables, reason = "nothing is written"))]
fn list_plants(ui: &Ui) -> Result<ExitCode> {
    #[cfg(feature = "plants")]
    for plant in crate::plants::Plant::ALL {
        if ui.is_json() {
            ui.object(&serde_json::json!({ "plant": plant.as_str() }))?;
        } else {
            ui.line(plant.as_str())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The plant that was asked for.
#[cfg(feature = "plants")]
fn plant_of(args: &SoakArgs) -> Result<Option<crate::plants::Plant>, String> {
    let Some(name) = &args.plant else { return Ok(None) };
    name.parse().map(Some).map_err(|error| {
        let known: Vec<_> = crate::plants::Plant::ALL.iter().map(|plant| plant.as_str()).collect();
        format!("--plant {name}: {error}; there are {}", known.join(", "))
    })
}

/// The options that a schedule depends on, to be given once more.
fn options_of(args: &SoakArgs) -> String {
    let load = if args.load == 100 { String::new() } else { format!(" --load {}", args.load) };
    let plant = args.plant.as_ref().map_or_else(String::new, |plant| format!(" --plant {plant}"));
    format!("{load}{plant}")
}

/// Prints the trace and what was broken, with the command that plays it again.
fn report(result: &SeedResult, args: &SoakArgs, ui: &Ui) {
    static SHOWN: AtomicU64 = AtomicU64::new(0);
    // Who reads no more is told by the last line, if at all.
    let _ = soaked::trace(result, ui);
    for violation in &result.violations {
        if SHOWN.fetch_add(1, Ordering::Relaxed) >= SHOWN_MAX && result.trace.is_empty() {
            return;
        }
        let _ = soaked::violation(result.seed, violation, &options_of(args), ui);
    }
}

/// A bar on standard error for whoever waits; silent where nobody looks.
pub(super) fn progress(range: &RangeInclusive<u64>) -> ProgressBar {
    let bar = ProgressBar::new((range.end() - range.start()).saturating_add(1));
    match ProgressStyle::with_template("{wide_bar} {pos} of {len} schedules, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_half_open() {
        assert_eq!(seeds("0..50_000"), Ok(0..=49_999));
        assert!(seeds("5..5").is_err() && seeds("5").is_err() && seeds("a..b").is_err());
    }
}
