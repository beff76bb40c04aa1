//! The contenders, and how one enters a bout.

use std::fmt;

use jiff::Timestamp;

use super::case::Case;
use super::hands::{Hands, Message};
use crate::node::AutoScalingGroupName;
use crate::sim::world::World;
use crate::time::after;

mod defib;
mod eks;
mod karpenter;
mod medik8s;
mod nothing;
mod reboot;
mod terminate;
#[cfg(test)]
mod tests;

/// Who handles a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// Defib, as it ships, in mode `replace`.
    Defib,
    /// Nobody.
    Nothing,
    /// A script that reboots what SSM calls `ConnectionLost`.
    Reboot,
    /// The usual home-made function that terminates what ECS calls disconnected.
    Terminate,
    /// Karpenter's node repair.
    Karpenter,
    /// EKS's node auto repair for managed node groups.
    Eks,
    /// medik8s' node health check with escalating remediations.
    Medik8s,
}

impl Who {
    /// Every contender, in the order of the table.
    pub const ALL: [Self; 7] =
        [Self::Defib, Self::Nothing, Self::Reboot, Self::Terminate, Self::Karpenter, Self::Eks, Self::Medik8s];

    /// Its name in the table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Defib => "Defib",
            Self::Nothing => "nobody",
            Self::Reboot => "reboot",
            Self::Terminate => "terminate",
            Self::Karpenter => "Karpenter",
            Self::Eks => "EKS",
            Self::Medik8s => "medik8s",
        }
    }

    /// Enters a bout.
    pub(super) fn enter(self, case: &Case) -> Box<dyn Contender> {
        match self {
            Self::Defib => Box::new(defib::Defib::new(case)),
            Self::Nothing => Box::new(Model::new(case, nothing::Nothing)),
            Self::Reboot => Box::new(Model::new(case, reboot::Reboot::default())),
            Self::Terminate => Box::new(Model::new(case, terminate::Terminate::default())),
            Self::Karpenter => Box::new(Model::new(case, karpenter::Karpenter::default())),
            Self::Eks => Box::new(Model::new(case, eks::Eks::default())),
            Self::Medik8s => Box::new(Model::new(case, medik8s::Medik8s::default())),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Somebody who handles a fleet.
pub(super) trait Contender {
    /// Lets time pass, and does what it does meanwhile.
    fn run_until(&mut self, until: Timestamp);

    /// The world, for the faults and the judge.
    fn world(&mut self) -> &mut World;

    /// What it has told people since the last time.
    fn take_messages(&mut self) -> Vec<Message>;
}

/// The rules of a tool: it looks now and then, and acts on what it sees.
pub(super) trait Rules {
    /// Seconds between two looks.
    const EVERY_SECS: i64;

    /// Looks and acts.
    fn look(&mut self, hands: &mut Hands<'_>);
}

/// A tool at work on a world.
#[derive(Debug)]
pub(super) struct Model<R> {
    world: World,
    rules: R,
    ecs_groups: Vec<AutoScalingGroupName>,
    messages: Vec<Message>,
    next_look: Timestamp,
}

impl<R: Rules> Model<R> {
    fn new(case: &Case, rules: R) -> Self {
        // Nobody's schedule is in step with the faults.
        let first = fastrand::Rng::with_seed(case.contender_seed).i64(1..=R::EVERY_SECS.max(1));
        Self::on(case.world(), case.ecs_groups(), rules, after(case.start, first))
    }

    fn on(world: World, ecs_groups: Vec<AutoScalingGroupName>, rules: R, next_look: Timestamp) -> Self {
        Self { world, rules, ecs_groups, messages: Vec::new(), next_look }
    }
}

impl<R: Rules> Contender for Model<R> {
    fn run_until(&mut self, until: Timestamp) {
        while self.next_look <= until {
            let now = self.next_look;
            self.world.advance(now);
            self.rules.look(&mut Hands::new(&mut self.world, &self.ecs_groups, &mut self.messages, now));
            self.next_look = after(now, R::EVERY_SECS.max(1));
        }
        self.world.advance(until);
        // None of the models listens to events.
        self.world.take_signals();
    }

    fn world(&mut self) -> &mut World {
        &mut self.world
    }

    fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }
}
