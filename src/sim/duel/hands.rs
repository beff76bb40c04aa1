//! What a model sees and does: what AWS shows, and what AWS offers. The truth is out of its reach.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::effect::Effect;
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Check, EcsStatus, Fact, InstanceState, Ping};
use crate::ports::Performed;
use crate::sim::machine::{Machine, moment};
use crate::sim::world::World;
use crate::time::secs_between;

/// Something that was sent to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// About which node; none when it is about many.
    pub node: Option<NodeId>,
    /// It says that a person is needed.
    pub asks_person: bool,
}

/// An agent as AWS shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    /// There is none on this node.
    NotHere,
    /// It should be there and has never registered, or is no longer registered.
    Unregistered,
    /// It answers, or nothing could be read.
    Fine,
    /// It is shown as lost.
    Lost,
}

/// A running node as AWS shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub node: NodeId,
    /// Its Auto Scaling group.
    pub group: Option<AutoScalingGroupName>,
    /// `LaunchTime`.
    pub launched_at: Timestamp,
    /// The SSM agent, by its ping status.
    pub ssm: Agent,
    /// The ECS agent, by `agentConnected`.
    pub ecs: Agent,
    /// ECS calls the container runtime impaired.
    pub runtime_impaired: bool,
    /// Tasks on it.
    pub tasks: u32,
}

impl Seen {
    /// Whether it has become part of its cluster: what a Kubernetes node has that has registered.
    #[must_use]
    pub fn has_joined(&self) -> bool {
        self.ssm != Agent::Unregistered && self.ecs != Agent::Unregistered
    }

    /// What stands for a Kubernetes node's `Ready` here: every agent answers, and the runtime does.
    ///
    /// Generous: a kubelet knows nothing of the SSM agent, so without this its tools would miss a quarter of the faults.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ssm != Agent::Lost && self.ecs != Agent::Lost && !self.runtime_impaired
    }
}

/// What a model may do at one moment.
#[derive(Debug)]
pub struct Hands<'a> {
    world: &'a mut World,
    ecs_groups: &'a [AutoScalingGroupName],
    messages: &'a mut Vec<Message>,
    now: Timestamp,
}

impl<'a> Hands<'a> {
    pub(super) fn new(
        world: &'a mut World,
        ecs_groups: &'a [AutoScalingGroupName],
        messages: &'a mut Vec<Message>,
        now: Timestamp,
    ) -> Self {
        Self { world, ecs_groups, messages, now }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Lists every running node.
    pub fn nodes(&mut self) -> Vec<Seen> {
        self.world.advance(self.now);
        let running = self.world.machines.iter().filter(|machine| machine.state == InstanceState::Running);
        running.map(|machine| self.seen(machine)).collect()
    }

    /// A machine as the services list it.
    fn seen(&self, machine: &Machine) -> Seen {
        let fleet = machine.member.as_ref().and_then(|member| self.world.fleets.get(member.group));
        let group = fleet.map(|fleet| fleet.name.clone());
        let (ssm, mut ecs) = self.world.agents(machine, self.world.now);
        // Their drains wait for tasks that are told to stop, as ours does.
        self.world.with_stopping(machine, &mut ecs);
        let ssm = match ssm {
            Fact::Known(ssm) if ssm.ping == Ping::ConnectionLost => Agent::Lost,
            Fact::Known(_) | Fact::Unknown(_) => Agent::Fine,
            Fact::Absent => Agent::Unregistered,
        };
        let runtime_impaired = ecs.known().is_some_and(|ecs| ecs.runtime_check == Check::Impaired);
        let tasks = ecs.known().map_or(0, |ecs| ecs.tasks);
        let ecs = match ecs {
            Fact::Known(ecs) if ecs.status == EcsStatus::Inactive => Agent::Unregistered,
            Fact::Known(ecs) if !ecs.connected => Agent::Lost,
            Fact::Known(_) | Fact::Unknown(_) => Agent::Fine,
            Fact::Absent if group.as_ref().is_some_and(|group| self.ecs_groups.contains(group)) => Agent::Unregistered,
            Fact::Absent => Agent::NotHere,
        };
        let launched_at = moment(machine.launched_at);
        Seen { node: machine.id, group, launched_at, ssm, ecs, runtime_impaired, tasks }
    }

    /// Does something to a node; says whether AWS took it.
    pub fn act(&mut self, effect: Effect, node: NodeId) -> bool {
        let target = self.world.target_of(node);
        matches!(self.world.perform(effect, &target, self.now), Performed::Done { .. })
    }

    /// Tells people what it did to a node.
    pub fn tell(&mut self, node: NodeId) {
        self.messages.push(Message { node: Some(node), asks_person: false });
    }
}

/// Since when something has been true of nodes, as a tool that looks now and then remembers it.
#[derive(Debug, Clone, Default)]
pub struct Since(BTreeMap<NodeId, Timestamp>);

impl Since {
    /// Notes whether it is true now; answers for how many seconds it has been.
    pub fn note(&mut self, node: NodeId, is: bool, now: Timestamp) -> Option<i64> {
        if is {
            Some(secs_between(*self.0.entry(node).or_insert(now), now))
        } else {
            self.0.remove(&node);
            None
        }
    }

    /// Forgets a node.
    pub fn forget(&mut self, node: NodeId) {
        self.0.remove(&node);
    }
}

/// How many nodes a pool has, and how many of them are unhealthy, by group. Nodes in no group are one pool.
#[derive(Debug, Clone, Default)]
pub struct Pools(BTreeMap<Option<AutoScalingGroupName>, (u64, u64)>);

impl Pools {
    /// Counts a node.
    pub fn count(&mut self, group: Option<&AutoScalingGroupName>, unhealthy: bool) {
        let (all, bad) = self.0.entry(group.cloned()).or_default();
        *all += 1;
        *bad += u64::from(unhealthy);
    }

    /// All nodes of a pool, and the unhealthy ones.
    #[must_use]
    pub fn of(&self, group: Option<&AutoScalingGroupName>) -> (u64, u64) {
        self.0.get(&group.cloned()).copied().unwrap_or_default()
    }
}
