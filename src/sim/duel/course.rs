//! The course of the faults in one bout: they begin on whatever machine stands in their place, and some pass.

use jiff::Timestamp;

use super::case::{Fault, Kind};
use super::slots::Slots;
use crate::sim::world::World;
use crate::time::secs_between;

/// A place must have been well for this long before something new befalls it, in seconds. Until then the fault waits, so
/// that no contender escapes it by having the node away just then.
const WELL_BEFORE_SECS: i64 = 60;
/// For so long a machine launched in place of one that had a passing fault may still turn up with it, in seconds.
const STRAGGLERS_SECS: i64 = 900;

/// How far a fault has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not begun.
    Waiting,
    /// At work since then.
    AtWork { since: Timestamp },
    /// The place was well again after so many seconds.
    Repaired { after_secs: i64 },
    /// It passed by itself, or its time passed before it could begin.
    Passed,
}

/// The faults of a bout.
#[derive(Debug, Clone)]
pub(super) struct Course {
    start: Timestamp,
    faults: Vec<(Fault, Stage)>,
}

impl Course {
    pub(super) fn new(faults: Vec<Fault>, start: Timestamp) -> Self {
        Self { start, faults: faults.into_iter().map(|fault| (fault, Stage::Waiting)).collect() }
    }

    /// Lets faults begin and pass, and notes which are over.
    pub(super) fn advance(&mut self, slots: &Slots, world: &mut World, now: Timestamp) {
        let elapsed_secs = secs_between(self.start, now);
        for (fault, stage) in &mut self.faults {
            let passed = fault.passes_secs.is_some_and(|secs| secs <= elapsed_secs);
            match stage {
                Stage::Waiting => {
                    if passed {
                        *stage = Stage::Passed;
                    } else if fault.begins_secs <= elapsed_secs {
                        begin(fault, stage, slots, world, now);
                    }
                }
                Stage::AtWork { since } => match fault.kind() {
                    Kind::Curable => {
                        let healthy_since = slots.truth(fault.slot, world).and_then(|truth| truth.healthy_since);
                        if let Some(at) = healthy_since {
                            *stage = Stage::Repaired { after_secs: secs_between(*since, at).max(0) };
                        }
                    }
                    Kind::PersonOnly => {}
                    Kind::Passing => {
                        if passed {
                            *stage = Stage::Passed;
                        }
                    }
                },
                Stage::Repaired { .. } | Stage::Passed => {}
            }
            let straggling = fault.passes_secs.is_some_and(|secs| elapsed_secs < secs + STRAGGLERS_SECS);
            if *stage == Stage::Passed && straggling {
                end(fault, slots, world, now);
            }
        }
    }

    /// Whether a fault that only a person can fix is at work in a place.
    pub(super) fn needs_person(&self, slot: usize) -> bool {
        self.faults.iter().any(|(fault, stage)| {
            fault.slot == slot && fault.kind() == Kind::PersonOnly && matches!(stage, Stage::AtWork { .. })
        })
    }

    /// How long each repair took, and how many curable faults were never repaired.
    pub(super) fn repairs(&self) -> (Vec<i64>, u64) {
        let (mut took, mut never) = (Vec::new(), 0);
        for (_, stage) in self.faults.iter().filter(|(fault, _)| fault.kind() == Kind::Curable) {
            match stage {
                Stage::Repaired { after_secs } => took.push(*after_secs),
                Stage::AtWork { .. } => never += 1,
                Stage::Waiting | Stage::Passed => {}
            }
        }
        (took, never)
    }
}

fn begin(fault: &Fault, stage: &mut Stage, slots: &Slots, world: &mut World, now: Timestamp) {
    let well = slots.truth(fault.slot, world).and_then(|truth| truth.healthy_for(now));
    if let (Some(node), Some(WELL_BEFORE_SECS..)) = (slots.node(fault.slot), well) {
        // A passing fault is ended by hand, so that it ends on a replacement, too.
        world.afflict(node, fault.ailment, now, None);
        *stage = Stage::AtWork { since: now };
    }
}

fn end(fault: &Fault, slots: &Slots, world: &mut World, now: Timestamp) {
    let ailment = slots.truth(fault.slot, world).and_then(|truth| truth.ailment);
    if let (Some(node), true) = (slots.node(fault.slot), ailment == Some(fault.ailment)) {
        world.repair(node, now);
    }
}
