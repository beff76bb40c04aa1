//! The judge: what was done, held against what was true when it was done.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::case::Fault;
use super::course::Course;
use super::hands::Message;
use super::score::Score;
use super::slots::Slots;
use crate::effect::Effect;
use crate::incident::Remedy;
use crate::node::DisplayName;
use crate::sim::world::{Landed, Truth, World};

/// A node that has been well for so long must not be touched, in seconds: the promise S1 of docs/SAFETY.md.
const HEALTHY_SECS: i64 = 90;

/// Follows one bout.
#[derive(Debug)]
pub struct Judge {
    slots: Slots,
    course: Course,
    score: Score,
    /// Places whose fault for a person was told of.
    told: BTreeSet<usize>,
    /// Places whose fault for a person was acted on.
    in_vain: BTreeSet<usize>,
}

impl Judge {
    /// A judge of a fleet with these places and faults.
    #[must_use]
    pub fn new(names: Vec<Option<DisplayName>>, faults: Vec<Fault>, start: Timestamp) -> Self {
        Self {
            slots: Slots::new(names),
            course: Course::new(faults, start),
            score: Score::default(),
            told: BTreeSet::new(),
            in_vain: BTreeSet::new(),
        }
    }

    /// Judges what has happened since the last time, and lets faults begin and pass.
    pub fn look(&mut self, world: &mut World, messages: &[Message], now: Timestamp) {
        self.slots.update(world);
        for landed in world.landed() {
            // What travels by Run Command does nothing before the host carries it out.
            if !landed.effect.needs_ssm() {
                self.judge(landed);
            }
        }
        for ran in world.ran() {
            self.judge(ran);
        }
        world.clear_landed();
        for message in messages {
            self.hear(*message);
        }
        self.course.advance(&self.slots, world, now);
    }

    fn judge(&mut self, landed: &Landed) {
        let Some(remedy) = disruptive(landed.effect) else { return };
        let truth = &landed.truth;
        self.score.disruptive += 1;
        self.score.tasks_lost += u64::from(truth.tasks);
        if truth.healthy_for(landed.at).is_some_and(|secs| secs >= HEALTHY_SECS) {
            self.score.healthy_touched += 1;
        } else if !is_cured(truth, remedy) {
            self.score.futile += 1;
            let ill = truth.ailment.is_some_and(|ailment| !ailment.is_harmless());
            self.score.came_along += u64::from(ill && remedy == Remedy::Replace);
        }
        if let Some(slot) = self.slots.of(landed.node).filter(|slot| self.course.needs_person(*slot)) {
            self.in_vain.insert(slot);
        }
    }

    fn hear(&mut self, message: Message) {
        self.score.messages += 1;
        let slot = message.node.and_then(|node| self.slots.of(node));
        if let Some(slot) = slot.filter(|slot| message.asks_person && self.course.needs_person(*slot)) {
            self.told.insert(slot);
        }
    }

    /// Sums up.
    #[must_use]
    pub fn finish(mut self, world: &World) -> Score {
        let broken =
            (0..self.slots.len()).filter(|slot| !self.course.needs_person(*slot) && !self.serves(*slot, world)).count();
        self.score.left_broken = broken as u64;
        (self.score.repair_secs, self.score.never_repaired) = self.course.repairs();
        self.score.told = self.told.len() as u64;
        self.score.in_vain = self.in_vain.len() as u64;
        self.score
    }

    /// Whether a machine stands in a place, is well, and may be used.
    fn serves(&self, slot: usize, world: &World) -> bool {
        self.slots
            .truth(slot, world)
            .is_some_and(|truth| truth.running && truth.healthy_since.is_some() && !truth.draining && !truth.standby)
    }
}

/// The remedy of an effect that stops workload; none for others.
fn disruptive(effect: Effect) -> Option<Remedy> {
    match effect {
        Effect::RestartRuntime => Some(Remedy::RestartRuntime),
        Effect::Reboot => Some(Remedy::Reboot),
        Effect::Stop => Some(Remedy::StopStart),
        Effect::Terminate => Some(Remedy::Replace),
        Effect::Probe
        | Effect::FreeDisk
        | Effect::RestartSsmAgent
        | Effect::RestartEcsAgent
        | Effect::Drain
        | Effect::Activate
        | Effect::EnterStandby
        | Effect::ExitStandby
        | Effect::Start
        | Effect::Deregister => None,
    }
}

/// Whether the fault at work is cured by a remedy, and allows it. Where there is no fault, nothing is cured.
fn is_cured(truth: &Truth, remedy: Remedy) -> bool {
    let Some(ailment) = truth.ailment else { return false };
    let profile = ailment.profile();
    let ready = profile.first.is_none() || truth.prepared || remedy == Remedy::Replace;
    ready && profile.cures.contains(&remedy) && !truth.forbids(remedy)
}

#[cfg(test)]
mod tests;
