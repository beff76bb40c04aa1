//! What people do: they tag, stop, start, terminate and repair, and they open sessions.

use jiff::Timestamp;

use super::{InstanceState, World};
use crate::effect::Target;
use crate::node::{AutoScalingGroupName, CommandId, DocumentName, NodeId};
use crate::observe::{Busy, InvocationStatus, Tags};
use crate::sim::traffic::{Command, Stage, Work};

/// What can be set of an Auto Scaling group; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSettings {
    /// `DesiredCapacity`.
    pub desired: Option<u32>,
    /// `MinSize`.
    pub min: Option<u32>,
    /// The health check is EC2's only.
    pub ec2_health_only: Option<bool>,
    /// `Launch` or `Terminate` is suspended.
    pub suspended: Option<bool>,
    /// An instance refresh runs.
    pub refreshing: Option<bool>,
    /// Defib's tags on it.
    pub tags: Option<Tags>,
}

impl World {
    /// Somebody changes the tags of an instance.
    pub fn set_tags(&mut self, node: NodeId, tags: Tags, now: Timestamp) {
        self.advance(now);
        let at = self.now;
        if let Some(machine) = self.index(node).and_then(|index| self.machines.get_mut(index)) {
            machine.retag(tags, at);
        }
    }

    /// Somebody changes an Auto Scaling group.
    pub fn set_group(&mut self, name: &AutoScalingGroupName, settings: &GroupSettings) {
        if let Some(fleet) = self.fleets.iter_mut().find(|fleet| fleet.name == *name) {
            fleet.desired = settings.desired.unwrap_or(fleet.desired);
            fleet.min = settings.min.unwrap_or(fleet.min);
            fleet.ec2_health_only = settings.ec2_health_only.unwrap_or(fleet.ec2_health_only);
            if let Some(suspended) = settings.suspended {
                fleet.suspended_since = fleet.suspended_since.filter(|_| suspended).or(suspended.then_some(self.now));
                fleet.suspended = suspended;
            }
            if let Some(refreshing) = settings.refreshing {
                fleet.refreshing_since =
                    fleet.refreshing_since.filter(|_| refreshing).or(refreshing.then_some(self.now));
                fleet.refreshing = refreshing;
            }
            fleet.tags = settings.tags.unwrap_or(fleet.tags);
        }
    }

    /// Somebody raises the desired capacity of a group that finds no instances for it.
    pub fn want_more(&mut self, name: &AutoScalingGroupName, more: u32) {
        if let Some(fleet) = self.fleets.iter_mut().find(|fleet| fleet.name == *name) {
            fleet.desired = fleet.desired.saturating_add(more);
        }
    }

    /// Somebody changes the tags of an Auto Scaling group.
    pub fn set_group_tags(&mut self, name: &str, tags: Tags) {
        for fleet in self.fleets.iter_mut().filter(|fleet| fleet.name.as_str() == name) {
            fleet.tags = tags;
        }
    }

    /// Somebody changes the tags of a cluster.
    pub fn set_cluster_tags(&mut self, name: &str, tags: Tags) {
        for cluster in self.clusters.iter_mut().filter(|cluster| *cluster.name == *name) {
            cluster.tags = tags;
        }
    }

    /// People open and close sessions: from now on this many are live.
    pub fn set_sessions(&mut self, node: NodeId, sessions: u16, now: Timestamp) {
        self.advance(now);
        if let Some(machine) = self.index(node).and_then(|index| self.machines.get_mut(index)) {
            machine.sessions = sessions;
        }
    }

    /// Somebody works on a node for a while.
    pub fn set_busy(&mut self, node: NodeId, busy: Busy, until: Timestamp, now: Timestamp) {
        self.advance(now);
        let at = self.now;
        if let Some(machine) = self.index(node).and_then(|index| self.machines.get_mut(index)) {
            (machine.busy, machine.busy_since, machine.busy_until) = (busy, at, until.as_second());
        }
    }

    /// A person repairs what is wrong: the route, the role, the configuration.
    pub fn repair(&mut self, node: NodeId, now: Timestamp) {
        self.advance(now);
        if let Some(index) = self.index(node) {
            self.recover(index);
        }
    }

    /// Somebody stops an instance. A machine outside EC2 is powered off.
    pub fn stop_by_hand(&mut self, node: NodeId, now: Timestamp) {
        self.advance(now);
        if let Some(index) = self.index(node) {
            self.stop(index);
        }
    }

    /// Somebody starts an instance.
    pub fn start_by_hand(&mut self, node: NodeId, now: Timestamp) {
        self.advance(now);
        if let Some(index) = self.index(node) {
            self.start(index);
        }
    }

    /// Somebody terminates an instance.
    pub fn terminate_by_hand(&mut self, node: NodeId, now: Timestamp) {
        self.advance(now);
        if let Some(index) = self.index(node)
            && self.machines.get(index).is_some_and(|machine| {
                !matches!(machine.state, InstanceState::ShuttingDown | InstanceState::Terminated)
            })
        {
            self.terminate(index);
        }
    }

    /// Makes an invocation exist that an event tells of, under the id and with the end that the event means. No event is
    /// sent for it.
    pub fn stage_command(
        &mut self,
        node: NodeId,
        command: CommandId,
        document: DocumentName,
        status: InvocationStatus,
        now: Timestamp,
    ) {
        self.advance(now);
        let Some(machine) = self.index(node) else { return };
        self.commands.add_named(Command {
            id: command,
            machine,
            document: Some(document),
            work: Work::Theirs { runs_secs: 0, ends: status, busy: Busy::Idle },
            sent_at: self.now - 600,
            starts_by: self.now,
            expires_at: self.now,
            stage: Stage::Ended,
            status,
            answer: None,
            refusal: None,
        });
    }

    /// What an effect on a node would name: the container instance and the group that AWS shows now.
    #[must_use]
    pub fn target_of(&self, node: NodeId) -> Target {
        let machine = self.index(node).and_then(|index| self.machines.get(index));
        let container_instance = machine
            .and_then(|machine| machine.ecs.as_ref())
            .and_then(|ecs| self.clusters.get(ecs.cluster).map(|cluster| (cluster.arn.clone(), ecs.arn.clone())));
        let group = machine
            .and_then(|machine| machine.member.as_ref())
            .and_then(|member| self.fleets.get(member.group))
            .map(|fleet| fleet.name.clone());
        Target { node, container_instance, group }
    }
}
