//! `defib duel`: the same sick fleets, handled by Defib and by models of what people use today.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::process::ExitCode;

use anyhow::Result;

use super::soak::{progress, seeds, threads};
use super::{Ui, exit};
use crate::sim::duel::{self, Duel, Schedule, Score, Who};
use crate::time::spoken;

/// Let Defib and models of what people use today handle the same sick fleets, and compare.
///
/// The models, their sources and their assumptions stand in docs/DUEL.md.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct DuelArgs {
    /// Seeds A..B, without B: one fleet each.
    #[arg(long, value_name = "A..B", value_parser = seeds, default_value = "0..2000")]
    seeds: RangeInclusive<u64>,
    /// Threads; as many as there are processors unless given.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// A contender's line for programs.
#[derive(serde::Serialize)]
struct Line {
    r#type: &'static str,
    contender: &'static str,
    repair_p50_seconds: Option<i64>,
    repair_p95_seconds: Option<i64>,
    repaired_ones_p95_seconds: Option<i64>,
    repaired: usize,
    never_repaired: u64,
    left_broken: u64,
    disruptive: u64,
    futile: u64,
    healthy_touched: u64,
    came_along: u64,
    tasks_lost: u64,
    person_only_told: u64,
    person_only_cycled: u64,
    messages: u64,
}

/// The last line for programs.
#[derive(serde::Serialize)]
struct Summary {
    r#type: &'static str,
    seeds: u64,
    nodes: u64,
    curable: u64,
    person_only: u64,
    passing: u64,
}

/// Runs it.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn run(args: &DuelArgs, ui: &Ui) -> Result<ExitCode> {
    let threads = threads(args.threads);
    let bar = progress(&args.seeds);
    let duel = duel::run(&args.seeds, threads, || bar.inc(1));
    bar.finish_and_clear();
    if duel.schedule.seeds == 0 {
        return Ok(ExitCode::from(exit::ERROR));
    }
    if ui.is_json() {
        for (who, score) in Who::ALL.into_iter().zip(&duel.scores) {
            ui.object(&line(who, score))?;
        }
        ui.object(&summary(&duel.schedule))?;
    } else {
        ui.line(&headline(&duel.schedule))?;
        ui.line("")?;
        for row in table(&duel) {
            ui.line(&row)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn line(who: Who, score: &Score) -> Line {
    Line {
        r#type: "contender",
        contender: who.as_str(),
        repair_p50_seconds: score.repaired_within(50),
        repair_p95_seconds: score.repaired_within(95),
        repaired_ones_p95_seconds: score.repaired_ones_within(95),
        repaired: score.repair_secs.len(),
        never_repaired: score.never_repaired,
        left_broken: score.left_broken,
        disruptive: score.disruptive,
        futile: score.futile,
        healthy_touched: score.healthy_touched,
        came_along: score.came_along,
        tasks_lost: score.tasks_lost,
        person_only_told: score.told,
        person_only_cycled: score.in_vain,
        messages: score.messages,
    }
}

fn summary(schedule: &Schedule) -> Summary {
    let Schedule { seeds, nodes, curable, person_only, passing } = *schedule;
    Summary { r#type: "summary", seeds, nodes, curable, person_only, passing }
}

fn headline(schedule: &Schedule) -> String {
    let hours = duel::LENGTH_SECS / 3_600;
    format!(
        "{} fleets of {} nodes in all, {hours} hours each: {} faults that a remedy cures, {} that only a person can fix, {} \
         that pass by themselves.",
        grouped(schedule.seeds),
        grouped(schedule.nodes),
        grouped(schedule.curable),
        grouped(schedule.person_only),
        grouped(schedule.passing),
    )
}

/// A row of the table: what is measured, and how it is read off a score.
type Measure = (&'static str, fn(&Score) -> String);

/// What the table shows, in its order. Times are of faults that a remedy cures.
const MEASURES: [Measure; 12] = [
    ("repaired, of the faults that a remedy cures", |score| percent(score.repaired_of_thousand())),
    ("time to repair, p50 of all", |score| time(score.repaired_within(50))),
    ("time to repair, p95 of all", |score| time(score.repaired_within(95))),
    ("time to repair, p95 of the repaired", |score| time(score.repaired_ones_within(95))),
    ("nodes left broken", |score| grouped(score.left_broken)),
    ("futile cycles", |score| grouped(score.futile)),
    ("… replacements that had the fault, too", |score| grouped(score.came_along)),
    ("healthy nodes touched", |score| grouped(score.healthy_touched)),
    ("tasks lost", |score| grouped(score.tasks_lost)),
    ("faults for a person: told", |score| grouped(score.told)),
    ("faults for a person: cycled in vain", |score| grouped(score.in_vain)),
    ("messages sent", |score| grouped(score.messages)),
];

/// The table in Markdown, its columns aligned so that it reads well as it is.
fn table(duel: &Duel) -> Vec<String> {
    let mut rows: Vec<Vec<String>> =
        vec![std::iter::once(String::new()).chain(Who::ALL.map(|who| who.to_string())).collect()];
    for (name, read) in MEASURES {
        rows.push(std::iter::once(name.to_owned()).chain(duel.scores.iter().map(read)).collect());
    }
    let columns = Who::ALL.len() + 1;
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let laid_out = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column == 0 { format!(" {cell:<width$} ") } else { format!(" {cell:>width$} ") }
        });
        format!("|{}|", cells.collect::<Vec<_>>().join("|"))
    };
    let rule = widths
        .iter()
        .enumerate()
        .map(|(column, width)| if column == 0 { "-".repeat(width + 2) } else { format!("{}:", "-".repeat(width + 1)) });
    let mut lines: Vec<_> = rows.iter().map(laid_out).collect();
    lines.insert(1, format!("|{}|", rule.collect::<Vec<_>>().join("|")));
    lines
}

fn time(secs: Option<i64>) -> String {
    secs.map_or_else(|| "never".to_owned(), spoken)
}

fn percent(of_thousand: u64) -> String {
    format!("{}.{} %", of_thousand / 10, of_thousand % 10)
}

/// A number with commas: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_easy_to_read() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn every_row_of_the_table_is_as_wide_as_its_head() {
        let lines = table(&Duel::default());
        let wide = |line: &String| line.chars().count();
        assert_eq!(lines.len(), MEASURES.len() + 2);
        assert!(lines.iter().all(|line| wide(line) == wide(&lines[0])), "{lines:#?}");
        assert!(lines[3].contains("never"));
    }
}
