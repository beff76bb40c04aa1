//! Deliberate faults are caught by the promises that `docs/PLANTS.md` names.
#![cfg(feature = "plants")]

use std::collections::BTreeSet;

use defib::plants::{Plant, Planted};
use defib::sim::soak::{SoakOptions, run_seed};

/// A plant that took more seeds than this is left to `scripts/plants.py`, which has a quicker build.
const QUICK: u64 = 50;
/// So many seeds a quick one gets here.
const SEEDS_MAX: u64 = 2_000;

/// Name, promise and seeds of every row of the table.
fn table() -> Vec<(&'static str, &'static str, u64)> {
    let rows = include_str!("../docs/PLANTS.md").lines().filter(|line| line.starts_with("| `"));
    let read = |row: &'static str| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let (name, _about) = (cells.next()?.trim_matches('`'), cells.next()?);
        Some((name, cells.next()?, cells.next()?.replace(',', "").parse().ok()?))
    };
    rows.filter_map(read).collect()
}

#[test]
fn the_table_has_every_plant_once() {
    let rows = table();
    let told: BTreeSet<_> = rows.iter().map(|(name, ..)| *name).collect();
    let known: BTreeSet<_> = Plant::ALL.iter().map(|plant| plant.as_str()).collect();
    assert_eq!((told, rows.len()), (known, Plant::ALL.len()));
    assert!(rows.len() >= 20);
}

#[test]
fn what_is_caught_soon_is_caught_by_the_promise_of_the_table() {
    let mut tried = 0;
    for (name, promise, took) in table() {
        if promise == "nothing" || took > QUICK {
            continue;
        }
        let _planted = Planted::new(Some(name.parse().expect("a plant")));
        let caught =
            (0..SEEDS_MAX).find_map(|seed| run_seed(seed, &SoakOptions::default()).violations.into_iter().next());
        assert_eq!(caught.map(|violation| violation.promise), Some(promise), "{name}");
        tried += 1;
    }
    assert!(tried >= 20, "only {tried} plants are caught soon");
}

#[test]
fn without_a_choice_everything_is_as_usual() {
    for seed in 0..20 {
        let result = run_seed(seed, &SoakOptions::default());
        assert_eq!(result.violations, [], "seed {seed}");
    }
}
