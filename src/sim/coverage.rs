//! Which situations the simulation has been in: where an incident stood, what a pass asked for, and what went wrong just then.
//!
//! A simulation that never kills a process while a node is in Standby proves nothing about it. So the cells that can be reached are
//! declared (`declared.rs`), each with its reason; at the end of a long run an empty one fails, and so does a visit to any other.

use std::fmt;

use crate::effect::{Effect, Weight};
use crate::engine::Request;
use crate::incident::{Incident, Phase, Remedy, Then};

mod declared;

pub use declared::{RULES, Rule, is_declared};

/// Where the incident stood, as the pass knew it: as it was loaded, or as the pass itself saved it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stand {
    /// Nothing has been read yet.
    Unread,
    /// The ledger was read, and the node has no open incident.
    Opening,
    /// The hold-down.
    Watching,
    /// Looking for the cause.
    Examining,
    /// A rail stands in the way.
    Parked,
    /// Our drain, or its undoing.
    Draining(Way),
    /// Our Standby, or its end.
    Standby(Way),
    /// A remedy's effect is on its way.
    Treating(Remedy),
    /// Waiting for a remedy's proof.
    Verifying(Remedy),
    /// Waiting for a person.
    Resting,
    /// Over.
    Closed,
}

/// What a drain or a Standby is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// Into it, before a remedy.
    In,
    /// Out of it, because the remedy needs the node back in its group.
    Out,
    /// Out of it, to wait for a rail.
    Park,
    /// Out of it, to end the incident.
    End,
}

/// What a pass asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// What the ledger knows.
    Load,
    /// A look at the node.
    Observe,
    /// A change of the ledger.
    Commit,
    /// An effect of this weight.
    Perform(Weight),
    /// A report to be sent.
    Publish,
    /// A report to be marked as sent.
    MarkSent,
    /// The sweep's lists.
    Survey,
    /// A change of a switch.
    Switch,
    /// Let a node wait for a place.
    Shelve,
    /// Save what a sweep decided about the whole account.
    Post,
    /// Tell of many nodes at once.
    PublishDigest,
    /// That was told.
    MarkDigestSent,
}

/// What went wrong at the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mishap {
    /// Nothing.
    Nothing,
    /// The port did not answer, and nothing happened.
    Failed,
    /// It happened, and the answer was lost.
    LostAnswer,
    /// The effect landed after its caller had given up.
    LandedLate,
    /// A look that missed facts.
    Blind,
    /// An answer from a while ago.
    Stale,
    /// The process stood still before the request.
    PausedBefore,
    /// The process stood still after the answer.
    PausedAfter,
    /// The process died before the request, or was killed there because its time was up: it leaves the same behind.
    DiedBefore,
    /// The process died after the request had landed, before it took the answer, or was killed there.
    DiedAfter,
}

/// Weights in the order of their cells.
const WEIGHTS: [Weight; 5] =
    [Weight::ReadOnly, Weight::Gentle, Weight::Guarding, Weight::Disruptive, Weight::Restoring];
const WAYS: [Way; 4] = [Way::In, Way::Out, Way::Park, Way::End];
const ASKED: usize = 16;
const MISHAPS: usize = 10;
const STANDS: usize = 7 + 2 * WAYS.len() + 2 * Remedy::ALL.len();
/// All cells, reachable or not.
pub const CELLS: usize = STANDS * ASKED * MISHAPS;
const WORDS: usize = CELLS.div_ceil(64);

impl Stand {
    /// Where an incident stands.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        let way = |then: &Then| match then {
            Then::Examine => Way::In,
            Then::Park { .. } => Way::Park,
            Then::End(_) => Way::End,
        };
        match &incident.phase {
            Phase::Watching { .. } => Self::Watching,
            Phase::Examining { .. } => Self::Examining,
            Phase::Parked { .. } => Self::Parked,
            Phase::Draining { then, .. } => Self::Draining(way(then)),
            Phase::Standby { intent, then: Then::Examine, .. } if intent.effect == Effect::ExitStandby => {
                Self::Standby(Way::Out)
            }
            Phase::Standby { then, .. } => Self::Standby(way(then)),
            Phase::Treating { remedy, .. } => Self::Treating(*remedy),
            Phase::Verifying { remedy, .. } => Self::Verifying(*remedy),
            Phase::Resting { .. } => Self::Resting,
            Phase::Closed { .. } => Self::Closed,
        }
    }

    /// Every one, in the order of its cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let first = [Self::Unread, Self::Opening, Self::Watching, Self::Examining, Self::Parked];
        let ways = WAYS.into_iter().map(Self::Draining).chain(WAYS.into_iter().map(Self::Standby));
        let remedies = Remedy::ALL.into_iter().map(Self::Treating).chain(Remedy::ALL.into_iter().map(Self::Verifying));
        first.into_iter().chain(ways).chain(remedies).chain([Self::Resting, Self::Closed])
    }

    fn index(self) -> usize {
        let (ways, remedies) = (WAYS.len(), Remedy::ALL.len());
        match self {
            Self::Unread => 0,
            Self::Opening => 1,
            Self::Watching => 2,
            Self::Examining => 3,
            Self::Parked => 4,
            Self::Draining(way) => 5 + way as usize,
            Self::Standby(way) => 5 + ways + way as usize,
            Self::Treating(remedy) => 5 + 2 * ways + remedy as usize,
            Self::Verifying(remedy) => 5 + 2 * ways + remedies + remedy as usize,
            Self::Resting => 5 + 2 * ways + 2 * remedies,
            Self::Closed => 6 + 2 * ways + 2 * remedies,
        }
    }
}

impl Asked {
    /// What a request asks for; none for the end of a pass.
    #[must_use]
    pub fn of(request: &Request) -> Option<Self> {
        Some(match request {
            Request::Load(_) => Self::Load,
            Request::Observe(..) => Self::Observe,
            Request::Commit(_) => Self::Commit,
            Request::Perform(perform) => Self::Perform(perform.effect.weight()),
            Request::Publish(_) => Self::Publish,
            Request::MarkSent(_) => Self::MarkSent,
            Request::Survey => Self::Survey,
            Request::Switch(_) => Self::Switch,
            Request::Shelve(_) => Self::Shelve,
            Request::Post(_) => Self::Post,
            Request::PublishDigest(_) => Self::PublishDigest,
            Request::MarkDigestSent(_) => Self::MarkDigestSent,
            Request::Done(_) => return None,
        })
    }

    /// Every one, in the order of its cells.
    pub fn all() -> impl Iterator<Item = Self> {
        let first = [Self::Load, Self::Observe, Self::Commit];
        let last = [
            Self::Publish,
            Self::MarkSent,
            Self::Survey,
            Self::Switch,
            Self::Shelve,
            Self::Post,
            Self::PublishDigest,
            Self::MarkDigestSent,
        ];
        first.into_iter().chain(WEIGHTS.into_iter().map(Self::Perform)).chain(last)
    }

    fn index(self) -> usize {
        match self {
            Self::Load => 0,
            Self::Observe => 1,
            Self::Commit => 2,
            Self::Perform(weight) => 3 + weight as usize,
            Self::Publish => 8,
            Self::MarkSent => 9,
            Self::Survey => 10,
            Self::Switch => 11,
            Self::Shelve => 12,
            Self::Post => 13,
            Self::PublishDigest => 14,
            Self::MarkDigestSent => 15,
        }
    }
}

impl Mishap {
    /// Every one, in the order of its cells.
    pub const ALL: [Self; MISHAPS] = [
        Self::Nothing,
        Self::Failed,
        Self::LostAnswer,
        Self::LandedLate,
        Self::Blind,
        Self::Stale,
        Self::PausedBefore,
        Self::PausedAfter,
        Self::DiedBefore,
        Self::DiedAfter,
    ];
}

/// One situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    /// Where the incident stood; for a report, where it stood when the report was written.
    pub stand: Stand,
    /// What was asked for.
    pub asked: Asked,
    /// What went wrong.
    pub mishap: Mishap,
}

impl Cell {
    /// Every cell, reachable or not, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        Stand::all().flat_map(|stand| {
            Asked::all().flat_map(move |asked| Mishap::ALL.into_iter().map(move |mishap| Self { stand, asked, mishap }))
        })
    }

    fn index(self) -> usize {
        (self.stand.index() * ASKED + self.asked.index()) * MISHAPS + self.mishap as usize
    }
}

/// The cells that were visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coverage {
    words: [u64; WORDS],
}

impl Default for Coverage {
    fn default() -> Self {
        Self { words: [0; WORDS] }
    }
}

impl Coverage {
    /// Visits a cell.
    pub fn visit(&mut self, cell: Cell) {
        let index = cell.index();
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    /// Whether a cell was visited.
    #[must_use]
    pub fn has(&self, cell: Cell) -> bool {
        let index = cell.index();
        self.words.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    /// Adds what somebody else visited.
    pub fn merge(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// How many cells were visited.
    #[must_use]
    pub fn visited(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The cells that are declared.
    #[must_use]
    pub fn declared() -> Self {
        let mut declared = Self::default();
        Cell::all().filter(|cell| is_declared(*cell)).for_each(|cell| declared.visit(cell));
        declared
    }

    /// The declared cells that were not visited.
    #[must_use]
    pub fn empty(&self, declared: &Self) -> Vec<Cell> {
        Cell::all().filter(|cell| declared.has(*cell) && !self.has(*cell)).collect()
    }

    /// The cells that were visited and are not declared.
    #[must_use]
    pub fn outside(&self, declared: &Self) -> Vec<Cell> {
        // Asked after every schedule, and nearly always for nothing.
        if self.words.iter().zip(&declared.words).all(|(word, allowed)| word & !allowed == 0) {
            return Vec::new();
        }
        Cell::all().filter(|cell| self.has(*cell) && !declared.has(*cell)).collect()
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread => f.pad("unread"),
            Self::Opening => f.pad("opening"),
            Self::Watching => f.pad("watching"),
            Self::Examining => f.pad("examining"),
            Self::Parked => f.pad("parked"),
            Self::Draining(way) => f.pad(&format!("draining-{}", way.as_str())),
            Self::Standby(way) => f.pad(&format!("standby-{}", way.as_str())),
            Self::Treating(remedy) => f.pad(&format!("treating-{remedy}")),
            Self::Verifying(remedy) => f.pad(&format!("verifying-{remedy}")),
            Self::Resting => f.pad("resting"),
            Self::Closed => f.pad("closed"),
        }
    }
}

impl Way {
    fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Park => "park",
            Self::End => "end",
        }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Load => "load",
            Self::Observe => "observe",
            Self::Commit => "commit",
            Self::Perform(Weight::ReadOnly) => "perform-read-only",
            Self::Perform(Weight::Gentle) => "perform-gentle",
            Self::Perform(Weight::Guarding) => "perform-guarding",
            Self::Perform(Weight::Disruptive) => "perform-disruptive",
            Self::Perform(Weight::Restoring) => "perform-restoring",
            Self::Publish => "publish",
            Self::MarkSent => "mark-sent",
            Self::Survey => "survey",
            Self::Switch => "switch",
            Self::Shelve => "shelve",
            Self::Post => "post",
            Self::PublishDigest => "publish-digest",
            Self::MarkDigestSent => "mark-digest-sent",
        })
    }
}

impl fmt::Display for Mishap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nothing => "nothing",
            Self::Failed => "failed",
            Self::LostAnswer => "lost-answer",
            Self::LandedLate => "landed-late",
            Self::Blind => "blind",
            Self::Stale => "stale",
            Self::PausedBefore => "paused-before",
            Self::PausedAfter => "paused-after",
            Self::DiedBefore => "died-before",
            Self::DiedAfter => "died-after",
        })
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {} / {}", self.stand, self.asked, self.mishap)
    }
}

#[cfg(test)]
mod tests;
