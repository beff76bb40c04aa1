//! The smallest schedule that still breaks the same promise.
//!
//! Pieces are taken away in ever smaller chunks, and whatever is not needed stays away (after Zeller's delta debugging). What is
//! left is not the smallest of all, but nothing more can be taken from it; and it is the same on every machine, because the
//! search is bounded by runs and not by time.

use super::elements::Element;
use super::scenario::{Scenario, Step};
use super::{SoakOptions, home, play};
use crate::sim::chance::{Choice, Struck};
use crate::sim::invariants::Violation;
use crate::time::moment;

/// Runs after which the search ends with what it has.
const RUNS_MAX: u32 = 2_000;

/// A schedule from which nothing more can be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// What it breaks.
    pub violation: Violation,
    /// What it is made of: rules first, then what happens, by its time.
    pub lines: Vec<String>,
    /// Pieces that are left.
    pub left: usize,
    /// Pieces of the whole schedule.
    pub of: usize,
    /// Schedules that were run to find it.
    pub runs: u32,
}

/// Shrinks the schedule of a seed; none when it breaks no promise.
#[must_use]
pub fn shrink(seed: u64, options: &SoakOptions) -> Option<Shrunk> {
    let scenario = Scenario::new(seed, &home()?, options.percent(), false);
    let choice = Choice { only: None, keep: true };
    let (result, struck) = play(seed, &scenario, choice, false);
    let promise = result.violations.first()?.promise;
    let all = scenario.elements(&struck);
    let run = |kept: &[Element]| {
        let (less, choice) = scenario.with_only(kept);
        let (result, struck) = play(seed, &less, choice, false);
        result.violations.into_iter().find(|violation| violation.promise == promise).map(|found| (found, struck))
    };
    let (kept, runs) = minimize(&all, RUNS_MAX, |kept| run(kept).is_some());
    // Everything together is the schedule itself, so this breaks the promise in any case.
    let (violation, struck) = run(&kept)?;
    let lines = lines(&scenario, &kept, &struck);
    Some(Shrunk { violation, lines, left: kept.len(), of: all.len(), runs })
}

/// Takes away what is not needed for `fails`, in ever smaller chunks; says how often it asked.
fn minimize<T: Copy>(all: &[T], runs_max: u32, mut fails: impl FnMut(&[T]) -> bool) -> (Vec<T>, u32) {
    let (mut kept, mut runs) = (all.to_vec(), 0);
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 {
        let before = kept.len();
        let mut from = 0;
        while from < kept.len() && runs < runs_max {
            let to = (from + chunk).min(kept.len());
            let less: Vec<T> = kept.iter().take(from).chain(kept.iter().skip(to)).copied().collect();
            runs += 1;
            if fails(&less) {
                kept = less;
            } else {
                from = to;
            }
        }
        if runs >= runs_max {
            break;
        }
        // Single pieces are tried again until none can go: what one needed may have gone in the meantime.
        chunk = match (chunk, kept.len() < before) {
            (1, true) => 1,
            (1, false) => 0,
            _ => chunk.div_ceil(2).min(chunk - 1),
        };
    }
    (kept, runs)
}

/// The schedule, for people.
fn lines(scenario: &Scenario, kept: &[Element], struck: &[Struck]) -> Vec<String> {
    let (policy, mut lines, mut timed) = (&scenario.policy, Vec::new(), Vec::new());
    let (parked, whole) = (policy.parked_max_secs, policy.incident_max_secs);
    lines.push(format!("mode {}; an incident takes at most {whole} s and {parked} s parked", policy.mode));
    let mut ill = |ill: &super::scenario::Illness, when: &str| {
        let lasts = ill.lasts.map_or_else(String::new, |secs| format!(" for {secs} s"));
        timed.push((ill.at, format!("{} falls ill with {}{lasts}{when}", ill.node, ill.ailment.code())));
    };
    for element in kept {
        match element {
            Element::Trait(what) => lines.push(scenario.unusual(*what)),
            Element::Illness(index) => {
                scenario.illnesses.get(*index).iter().for_each(|illness| ill(illness, ""));
            }
            Element::Drill => scenario.drill.iter().for_each(|drill| ill(drill, ", and every event is lost")),
            Element::Step(_) | Element::Hit(_) => {}
        }
    }
    for element in kept {
        if let Element::Step(index) = element
            && let Some((at, step)) = scenario.steps.get(*index)
        {
            timed.push((
                *at,
                match step {
                    Step::Deed(deed) => format!("a person: {deed:?}"),
                    Step::Forged(signal) => {
                        format!("an event that nobody sent, about {}: {:?}", signal.node, signal.kind)
                    }
                    Step::Document(document) => format!("the policy document becomes {:?}", document.reading()),
                    Step::Foreign(node, _) => format!("an event from elsewhere, about {node}"),
                },
            ));
        }
    }
    timed.extend(struck.iter().map(|struck| (struck.at, struck.hit.kind.about().to_owned())));
    timed.sort_by_key(|(at, _)| *at);
    lines.extend(timed.into_iter().map(|(at, text)| format!("{}  {text}", moment(at))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_left() {
        let all: Vec<u32> = (0..100).collect();
        let needed = [3, 57, 58];
        let (kept, runs) = minimize(&all, 1_000, |kept| needed.iter().all(|number| kept.contains(number)));
        assert_eq!(kept, needed);
        assert!(runs < 100, "{runs} runs");
    }

    #[test]
    fn a_piece_that_is_needed_only_beside_another_goes_with_it() {
        let all: Vec<u32> = (0..40).collect();
        // 7 is needed; 30 only as long as 31 is there.
        let (kept, _) = minimize(&all, 1_000, |kept| kept.contains(&7) && (!kept.contains(&31) || kept.contains(&30)));
        assert_eq!(kept, [7]);
    }

    #[test]
    fn the_search_is_bounded_and_always_ends_with_something_that_fails() {
        let all: Vec<u32> = (0..1_000).collect();
        let (kept, runs) = minimize(&all, 10, |kept| kept.len() >= 300);
        assert!(runs <= 10 && kept.len() >= 300);
        assert_eq!(minimize(&all, 1_000, |_| false).0.len(), 1_000);
        assert!(minimize(&all, 1_000, |_| true).0.is_empty());
    }

    #[test]
    fn a_schedule_that_breaks_nothing_is_not_shrunk() {
        assert_eq!(shrink(0, &SoakOptions::default()), None);
    }

    #[test]
    fn with_everything_kept_a_schedule_is_itself_and_with_nothing_it_is_calm() {
        let options = SoakOptions::default();
        for seed in 0..6 {
            let Some(home) = home() else { panic!("no home") };
            let scenario = Scenario::new(seed, &home, options.percent(), false);
            let (whole, struck) = play(seed, &scenario, Choice { only: None, keep: true }, true);
            let all = scenario.elements(&struck);
            let (same, choice) = scenario.with_only(&all);
            let (again, _) = play(seed, &same, choice, true);
            assert_eq!((again.hash, again.requests), (whole.hash, whole.requests), "seed {seed}");
            let (calm, choice) = scenario.with_only(&[]);
            let (calm, struck) = play(seed, &calm, choice, true);
            assert_eq!((calm.incidents, calm.crashes, struck.len()), (0, 0, 0), "seed {seed}");
        }
    }
}
