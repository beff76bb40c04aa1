//! What a schedule is made of, piece by piece, and the same schedule with only some of the pieces.

use std::sync::Arc;

use super::scenario::Scenario;
use crate::incident::Remedy;
use crate::observe::Tags;
use crate::policy::{Budgets, Policy};
use crate::sim::chance::{Choice, Hit, Struck};
use crate::sim::world::GroupSettings;

/// A piece of a schedule that can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Element {
    /// The n-th illness.
    Illness(usize),
    /// The n-th thing that people or liars do.
    Step(usize),
    /// The node that falls ill in the calm.
    Drill,
    /// Something that goes wrong by chance.
    Hit(Hit),
    /// Something that is not as it usually is.
    Trait(Trait),
}

/// Something that is not as it usually is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Trait {
    /// ECS agents renew their connections.
    Flapping,
    /// Other people send commands.
    Traffic,
    /// Requests take longer.
    Latency,
    /// The Auto Scaling group's settings.
    Group,
    /// A node's tags.
    Tags(usize),
    /// Live sessions on a node.
    Sessions(usize),
    /// A node is a Spot instance.
    Spot(usize),
    /// A field of the policy.
    Policy(Field),
}

/// A field of the policy, or some that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Field {
    Budgets,
    HoldDowns,
    LaunchGrace,
    Cooldown,
    Restarts,
    Quiet,
    Probes,
    Sessions,
    Approval,
}

const FIELDS: [Field; 9] = [
    Field::Budgets,
    Field::HoldDowns,
    Field::LaunchGrace,
    Field::Cooldown,
    Field::Restarts,
    Field::Quiet,
    Field::Probes,
    Field::Sessions,
    Field::Approval,
];

impl Scenario {
    /// Everything that can be taken away, those first that are most likely not needed.
    pub(super) fn elements(&self, struck: &[Struck]) -> Vec<Element> {
        let mut elements = Vec::with_capacity(struck.len() + self.illnesses.len() + self.steps.len() + 32);
        let mut hits: Vec<_> = struck.iter().map(|struck| struck.hit).collect();
        hits.sort_unstable();
        elements.extend(hits.into_iter().map(Element::Hit));
        elements.extend((0..self.steps.len()).map(Element::Step));
        elements.extend(self.traits().filter(|what| !self.is_usual(*what)).map(Element::Trait));
        elements.extend((0..self.illnesses.len()).map(Element::Illness));
        elements.extend(self.drill.is_some().then_some(Element::Drill));
        elements
    }

    fn traits(&self) -> impl Iterator<Item = Trait> {
        let nodes = 0..self.fleet.len();
        [Trait::Flapping, Trait::Traffic, Trait::Latency, Trait::Group]
            .into_iter()
            .chain(FIELDS.into_iter().map(Trait::Policy))
            .chain(nodes.flat_map(|node| [Trait::Tags(node), Trait::Sessions(node), Trait::Spot(node)]))
    }

    /// Whether taking it away would change nothing.
    fn is_usual(&self, what: Trait) -> bool {
        let mut plain = self.clone();
        plain.set_usual(what);
        plain.policy == self.policy
            && plain.world == self.world
            && plain.group == self.group
            && plain.settings == self.settings
            && plain.fleet == self.fleet
    }

    /// The same schedule with only these of its elements, in order.
    pub(super) fn with_only(&self, kept: &[Element]) -> (Self, Choice) {
        let has = |element: Element| kept.contains(&element);
        let mut less = self.clone();
        for what in self.traits().filter(|what| !has(Element::Trait(*what))) {
            less.set_usual(what);
        }
        let mut index = 0..;
        less.illnesses.retain(|_| index.next().is_some_and(|index| has(Element::Illness(index))));
        let mut index = 0..;
        less.steps.retain(|_| index.next().is_some_and(|index| has(Element::Step(index))));
        if !has(Element::Drill) {
            less.drill = None;
        }
        let mut hits: Vec<Hit> = kept
            .iter()
            .filter_map(|element| match element {
                Element::Hit(hit) => Some(*hit),
                Element::Illness(_) | Element::Step(_) | Element::Drill | Element::Trait(_) => None,
            })
            .collect();
        hits.sort_unstable();
        (less, Choice { only: Some(Arc::from(hits)), keep: true })
    }

    /// Makes something as it usually is. How long things may wait stays, so that everything can end in time.
    fn set_usual(&mut self, what: Trait) {
        match what {
            Trait::Flapping => self.world.flapping = false,
            Trait::Traffic => self.world.background_commands = false,
            Trait::Latency => self.settings.latency_max_ms = self.settings.latency_max_ms.min(300),
            Trait::Group => self.group = GroupSettings::default(),
            Trait::Tags(node) => {
                self.spec(node, |spec| spec.tags = Tags { managed: true, mode: None, mute_until: None });
            }
            Trait::Sessions(node) => self.spec(node, |spec| spec.sessions = 0),
            Trait::Spot(node) => self.spec(node, |spec| spec.stop.spot = false),
            Trait::Policy(field) => self.policy.set_usual(field),
        }
    }

    fn spec(&mut self, node: usize, change: impl FnOnce(&mut crate::sim::machine::MachineSpec)) {
        if let Some((_, spec, _)) = self.fleet.get_mut(node) {
            change(spec);
        }
    }

    /// What is not as usual in it, in words.
    pub(super) fn unusual(&self, what: Trait) -> String {
        let node = |index: usize| self.fleet.get(index).map_or_else(String::new, |(node, ..)| node.to_string());
        let spec = |index: usize| self.fleet.get(index).map(|(_, spec, _)| spec);
        let policy = &self.policy;
        match what {
            Trait::Flapping => "ECS agents renew their connections every half hour".to_owned(),
            Trait::Traffic => "other people send commands".to_owned(),
            Trait::Latency => format!("requests take up to {} ms", self.settings.latency_max_ms),
            Trait::Group => format!("the group: {:?}", self.group),
            Trait::Tags(index) => format!("{}: {:?}", node(index), spec(index).map(|spec| spec.tags)),
            Trait::Sessions(index) => {
                format!("{} has {} live sessions", node(index), spec(index).map_or(0, |spec| spec.sessions))
            }
            Trait::Spot(index) => format!("{} is a Spot instance", node(index)),
            Trait::Policy(field) => match field {
                Field::Budgets => format!("{:?}", policy.budgets),
                Field::HoldDowns => format!(
                    "hold-down {} s, {} s for what is disruptive",
                    policy.restart_hold_down_secs, policy.disruptive_hold_down_secs
                ),
                Field::LaunchGrace => format!("launch grace {} s", policy.launch_grace_secs),
                Field::Cooldown => format!("cooldown {} s", policy.cooldown_secs),
                Field::Restarts => format!("{} restarts of an agent at most", policy.agent_restarts_max),
                Field::Quiet => format!("quiet for {} s after an end without a repair", policy.quiet_secs),
                Field::Probes => format!("probes in mode observe: {}", policy.allow_probes),
                Field::Sessions => format!("live sessions: {:?}", policy.sessions),
                Field::Approval => {
                    let from = policy.approve_from.map_or("nothing", Remedy::as_str);
                    format!("approval from {from} on")
                }
            },
        }
    }
}

impl Policy {
    /// Sets a field back to its default.
    fn set_usual(&mut self, field: Field) {
        let usual = Self::default();
        match field {
            Field::Budgets => self.budgets = Budgets::default(),
            Field::HoldDowns => {
                self.restart_hold_down_secs = usual.restart_hold_down_secs;
                self.disruptive_hold_down_secs = usual.disruptive_hold_down_secs;
            }
            Field::LaunchGrace => self.launch_grace_secs = usual.launch_grace_secs,
            Field::Cooldown => self.cooldown_secs = usual.cooldown_secs,
            Field::Restarts => self.agent_restarts_max = usual.agent_restarts_max,
            Field::Quiet => self.quiet_secs = usual.quiet_secs,
            Field::Probes => self.allow_probes = usual.allow_probes,
            Field::Sessions => self.sessions = usual.sessions,
            Field::Approval => self.approve_from = usual.approve_from,
        }
    }
}
