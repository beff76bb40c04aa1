//! The duel: the same sick fleets, handled by Defib and by models of what people use today.
//!
//! A seed decides a fleet and what falls ill in it, and when ([`case`]). Every contender gets that same fleet, those same faults
//! at the same moments, and a world with the same seed. It sees what AWS shows and acts through what AWS offers ([`hands`]);
//! what is true is for the judge alone ([`judge`]). Defib runs as it ships: the real engine, with its defaults, in mode
//! `replace`. Each model is written from the documents that its file names.
//!
//! What the models leave out, and for whom that is generous or harsh, stands in docs/DUEL.md.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::soak::home;
use crate::time::after;

pub mod case;
pub mod contender;
mod course;
pub mod hands;
pub mod judge;
mod mix;
pub mod score;
mod slots;

use case::Case;
use contender::Contender;
pub use contender::Who;
use judge::Judge;
pub use score::{Schedule, Score};

/// The length of a bout, in seconds.
pub const LENGTH_SECS: i64 = 12 * 3_600;
/// From then on nothing new falls ill, so that what is under way can end.
pub const FAULTS_UNTIL_SECS: i64 = 8 * 3_600;
/// The judge looks this often, in seconds.
const STEP_SECS: i64 = 60;

/// What became of all seeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Duel {
    /// What was to be handled; the same for everybody.
    pub schedule: Schedule,
    /// How each contender did, in the order of [`Who::ALL`].
    pub scores: [Score; Who::ALL.len()],
}

impl Default for Duel {
    fn default() -> Self {
        Self { schedule: Schedule::default(), scores: std::array::from_fn(|_| Score::default()) }
    }
}

impl Duel {
    fn merge(&mut self, other: Self) {
        self.schedule.add(&other.schedule);
        for (mine, more) in self.scores.iter_mut().zip(other.scores) {
            mine.merge(more);
        }
    }
}

/// Lets every contender handle the fleet of one seed.
#[must_use]
pub fn run_seed(seed: u64) -> Duel {
    let mut duel = Duel::default();
    let Some(home) = home() else { return duel };
    let case = Case::of(seed, &home);
    duel.schedule = case.schedule();
    for (who, score) in Who::ALL.into_iter().zip(&mut duel.scores) {
        *score = play(&case, who.enter(&case).as_mut());
    }
    duel
}

/// Plays one bout: faults come and go, the contender does what it does, the judge writes down.
fn play(case: &Case, contender: &mut dyn Contender) -> Score {
    let mut judge = Judge::new(case.names(), case.faults.clone(), case.start);
    for step in 1..=LENGTH_SECS / STEP_SECS {
        let now = after(case.start, step * STEP_SECS);
        contender.run_until(now);
        let messages = contender.take_messages();
        judge.look(contender.world(), &messages, now);
    }
    judge.finish(contender.world())
}

/// Runs many seeds on several threads. The sums do not depend on how many there are.
#[must_use]
pub fn run(seeds: &RangeInclusive<u64>, threads: usize, each: impl Fn() + Sync) -> Duel {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Duel::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                let mut mine = Duel::default();
                loop {
                    let seed = seeds.start().checked_add(next.fetch_add(1, Ordering::Relaxed));
                    let Some(seed) = seed.filter(|seed| seeds.contains(seed)) else { break };
                    mine.merge(run_seed(seed));
                    each();
                }
                if let Ok(mut total) = total.lock() {
                    total.merge(mine);
                }
            });
        }
    });
    let mut duel = total.into_inner().unwrap_or_default();
    for score in &mut duel.scores {
        score.settle();
    }
    duel
}
