//! Draws that decide whether something goes wrong, so that each thing that went wrong has a name of its own.
//!
//! Every kind draws from a stream of its own, and each hit is the n-th of its kind. A schedule can be played again with only some
//! of its hits, which is how the smallest schedule that still breaks a promise is found.

use std::fmt;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use crate::time::moment;

/// What probabilities count in.
const WHOLE: u32 = 10_000;

/// Writes the enum and its words from one table.
macro_rules! kinds {
    ($($kind:ident, $about:literal;)*) => {
        /// Something that can go wrong by chance.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $about] $kind,)*
        }

        impl Kind {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// What happens.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$kind => $about,)* }
            }
        }
    };
}

kinds! {
    Fail, "the port does not answer, and nothing happened";
    LoseAnswer, "it happens, and the answer is lost";
    LandLate, "the effect lands up to 25 s after its caller gave up";
    BlindLook, "some facts of a look cannot be read";
    StaleLook, "some facts of a look are those of the look before";
    StaleSurvey, "the sweep sees what the sweep before saw";
    Crash, "the process dies at a request";
    PauseBefore, "the process stands still before a request";
    PauseAfter, "the process stands still after an answer";
    LoseSignal, "an event is lost";
    DuplicateSignal, "an event comes twice";
    DelaySignal, "an event comes late";
    LoseSweep, "a sweep never starts";
    TimerDies, "a timer dies";
    DarkSwitch, "the kill switch cannot be read";
}

/// The n-th hit of a kind, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hit {
    /// What.
    pub kind: Kind,
    /// Which one.
    pub n: u32,
}

/// A hit and when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Struck {
    /// When.
    pub at: Timestamp,
    /// Which one.
    pub hit: Hit,
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", moment(self.at), self.hit.kind.about())
    }
}

/// Which hits count, and whether they are written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Only these, in order; none: all.
    pub only: Option<Arc<[Hit]>>,
    /// Keep what hit and when.
    pub keep: bool,
}

/// The streams.
#[derive(Debug)]
pub struct Chance {
    streams: [(Rng, u32); Kind::ALL.len()],
    choice: Choice,
    struck: Vec<Struck>,
    now: Timestamp,
}

impl Chance {
    /// Streams from one seed.
    #[must_use]
    pub fn new(seed: u64, choice: Choice) -> Self {
        let mut seeds = Rng::with_seed(seed);
        let streams = std::array::from_fn(|_| (Rng::with_seed(seeds.u64(..)), 0));
        Self { streams, choice, struck: Vec::new(), now: Timestamp::UNIX_EPOCH }
    }

    /// The moment at which whatever hits next does so.
    pub fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    /// Whether a kind of thing happens now, this often in ten thousand.
    pub fn hits(&mut self, kind: Kind, rate: u32) -> bool {
        if rate == 0 {
            return false;
        }
        let Some((rng, count)) = self.streams.get_mut(kind as usize) else { return false };
        if rng.u32(0..WHOLE) >= rate {
            return false;
        }
        let hit = Hit { kind, n: *count };
        *count += 1;
        if self.choice.only.as_ref().is_some_and(|only| only.binary_search(&hit).is_err()) {
            return false;
        }
        if self.choice.keep {
            self.struck.push(Struck { at: self.now, hit });
        }
        true
    }

    /// A number of a kind's own stream.
    pub fn between(&mut self, kind: Kind, least: i64, most: i64) -> i64 {
        self.streams.get_mut(kind as usize).map_or(least, |(rng, _)| rng.i64(least..=most))
    }

    /// The stream of a kind, for whatever else it has to draw.
    pub fn stream(&mut self, kind: Kind) -> Option<&mut Rng> {
        self.streams.get_mut(kind as usize).map(|(rng, _)| rng)
    }

    /// What hit so far, when that was asked for.
    #[must_use]
    pub fn struck(&self) -> &[Struck] {
        &self.struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(only: Option<&[Hit]>) -> Chance {
        Chance::new(7, Choice { only: only.map(Arc::from), keep: true })
    }

    fn hits(chance: &mut Chance, kind: Kind) -> Vec<bool> {
        (0..200).map(|_| chance.hits(kind, 1_000)).collect()
    }

    #[test]
    fn one_kind_never_moves_the_draws_of_another() {
        let (mut alone, mut beside) = (chance(None), chance(None));
        let mut mixed = Vec::new();
        for _ in 0..200 {
            beside.hits(Kind::Crash, 5_000);
            mixed.push(beside.hits(Kind::Fail, 1_000));
        }
        assert_eq!(hits(&mut alone, Kind::Fail), mixed);
        assert!(mixed.contains(&true) && mixed.contains(&false));
    }

    #[test]
    fn only_the_chosen_hits_happen_and_they_keep_their_place() {
        let all = hits(&mut chance(None), Kind::Fail);
        let third = all.iter().enumerate().filter(|(_, hit)| **hit).nth(2).map(|(index, _)| index);
        let mut chosen = chance(Some(&[Hit { kind: Kind::Fail, n: 2 }]));
        let only = hits(&mut chosen, Kind::Fail);
        assert_eq!(only.iter().position(|hit| *hit), third);
        assert_eq!(only.iter().filter(|hit| **hit).count(), 1);
        assert_eq!(chosen.struck().len(), 1);
    }

    #[test]
    fn what_never_happens_draws_nothing() {
        let mut chance = chance(None);
        for _ in 0..50 {
            assert!(!chance.hits(Kind::Fail, 0));
        }
        assert_eq!(hits(&mut chance, Kind::Fail), hits(&mut self::chance(None), Kind::Fail));
    }
}
