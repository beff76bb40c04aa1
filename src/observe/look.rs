//! How closely a node is looked at, and what a look may leave unread because nothing follows from it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    ANSWER_FRESH_SECS, Blind, Connection, Ec2, Fact, Health, Observation, PROBE_FRESH_SECS, PROBE_LOST_SECS, Probe,
    ProbeAnswer, Ssm, Standing,
};
use crate::node::{AutoScalingGroupName, ClusterArn, CommandId, ContainerInstanceArn, DocumentName, ResourceName};
use crate::time::secs_between;

/// How closely to look.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent question")]
pub struct Look {
    /// The command that the incident began with, read again for its exact status.
    pub command: Option<CommandId>,
    /// Our last probe.
    pub probe: Option<CommandId>,
    /// Our last repair on the host, where its proof is late.
    pub repair: Option<CommandId>,
    /// The Auto Scaling group that the node was last seen in: read by name once the node has left it.
    pub group: Option<AutoScalingGroupName>,
    /// The container instance that the node was last seen as, or that an event named: spares the search for it.
    pub container_instance: Option<(ClusterArn, ContainerInstanceArn)>,
    /// The change calendar that the policy names.
    pub calendar: Option<DocumentName>,
    /// Only ECS told of the node, and the hold-down runs: Systems Manager need not be asked before ECS shows the agent as gone.
    pub only_ecs: bool,
    /// A sweep told of the node: what its census saw a moment ago need not be read again.
    pub told_by_sweep: bool,
    /// Tasks that are told to stop and have not count as well, though ECS counts them on the container instance no more: the end of a drain is
    /// waited for, or what ends tasks is decided about.
    pub stopping: bool,
    /// What nothing follows from in this look.
    pub spare: Spare,
    /// Everything waits for our probe, or for the SSM agent: while [`Observation::waits_for_ssm`], the rest may stay unread.
    pub ssm_first: bool,
    /// Also read what only a diagnosis needs: identity, network path, other work; and what `depth` says.
    pub close: bool,
    /// How far a close look goes.
    pub depth: Depth,
    /// Also ask AWS, by `DryRun`, whether it would accept a stop and a start: only where the mode allows them, for it needs their rights.
    pub rehearse: bool,
    /// A moment after which the SSM agent must have pinged: a row that shows such a ping need not be read again.
    pub pinged_after: Option<Timestamp>,
    /// The node was replaced: what came in its place is read as well, once its group is whole again.
    pub succession: Option<Succession>,
    /// What the same pass has seen already: only what a deeper look adds to it is read.
    pub seen: Option<Arc<Observation>>,
}

impl Look {
    /// As close as a decision about a node needs, where no incident says more of it: what ends tasks may follow.
    #[must_use]
    pub fn closely() -> Self {
        Self { close: true, stopping: true, ..Self::default() }
    }
}

/// What is asked about the place of a node that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Succession {
    /// Whoever registered since then is new.
    pub since: Timestamp,
    /// The services that had tasks on the node.
    pub services: Arc<[ResourceName]>,
}

/// What came in the place of a node that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Successor {
    /// A container instance has registered in the cluster since, and its agent is connected.
    pub registered: bool,
    /// Every service that had tasks on the old node runs as many as it wants.
    pub at_desired: bool,
}

/// How far a close look goes. A remedy that needs more is preceded, in the same pass, by a deeper look at the same node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Depth {
    /// The agents, the role, the way to AWS, others' work and the group: enough to ask the host, or to restart an agent that it names.
    Agents,
    /// Also the console, and the SSM agent's connection whatever its last ping was: enough to name a cause without the host.
    Cause,
    /// Also sessions, tasks and the change calendar.
    Remedy,
    /// Also what stands in the way of a stop and start.
    #[default]
    All,
}

/// Facts that a look may leave unread, because nothing follows from them in the incident's phase. Never of a close look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four services, each of which is asked or not")]
pub struct Spare {
    /// EC2's view.
    pub ec2: bool,
    /// Systems Manager's view.
    pub ssm: bool,
    /// ECS's view.
    pub ecs: bool,
    /// The Auto Scaling group's view.
    pub asg: bool,
}

impl Spare {
    /// Nothing is needed at all.
    pub const ALL: Self = Self { ec2: true, ssm: true, ecs: true, asg: true };
    /// Everything but ECS's view.
    pub const BUT_ECS: Self = Self { ecs: false, ..Self::ALL };
}

impl Observation {
    /// Whether the group that the node left has all the members that it wants, so that who came in its place can be asked.
    #[must_use]
    pub fn group_is_whole(&self) -> bool {
        self.asg.known().is_some_and(|asg| asg.in_service >= asg.desired)
    }

    /// Whether the node is so plainly well that a close look need go no further. Where a command could not be delivered, or the
    /// host was asked, its answer decides, and then everything is needed.
    #[must_use]
    pub fn is_plainly_well(&self, look: &Look, now: Timestamp) -> bool {
        let health = Health::of(self, now);
        let heard = health.ssm == Standing::Well || look.only_ecs && health.ecs == Standing::Well;
        health.is_well() && heard && look.command.is_none() && look.probe.is_none()
    }

    /// Whether there is but one thing to wait for, so that the rest may stay unread: the answer to a probe that is on its way; else, where
    /// a proof is waited for, the connection of an SSM agent that was away.
    #[must_use]
    pub fn waits_for_ssm(&self, look: &Look) -> bool {
        let away = self.ssm.known().is_some_and(|ssm| ssm.connection == Fact::Known(Connection::NotConnected));
        look.ssm_first && (self.ssm.known().is_some() && self.awaits_probe() || !look.close && away)
    }

    /// Whether a probe is on its way that is not lost yet.
    #[must_use]
    pub fn awaits_probe(&self) -> bool {
        matches!(self.probe.known(), Some(Probe { sent_at, answer: ProbeAnswer::Pending })
            if secs_between(*sent_at, self.at) <= PROBE_LOST_SECS)
    }

    /// Whether the host answered our probe so lately that this outweighs what is read from elsewhere.
    #[must_use]
    pub fn host_answered(&self, now: Timestamp) -> bool {
        matches!(self.probe.known(), Some(Probe { sent_at, answer: ProbeAnswer::Answered { .. } })
            if secs_between(*sent_at, now) <= ANSWER_FRESH_SECS)
    }

    /// Whether the SSM agent's connection may stay unread: the host has answered our probe just now, or is sent one next whatever the
    /// connection is; or the agent has not pinged for long, which makes it suspect either way. `answers` says whether it pinged lately.
    #[must_use]
    pub fn may_spare_connection(&self, answers: bool, look: &Look, now: Timestamp) -> bool {
        let age_secs = self.probe.known().map(|probe| secs_between(probe.sent_at, now));
        let told = self.host_answered(now);
        // A probe that is as old as this says nothing any more.
        let over = look.probe.is_none() || age_secs > Some(PROBE_FRESH_SECS);
        if !look.close {
            // Where a proof is waited for, what the host said was sent after the remedy.
            return self.node.is_instance()
                && if look.pinged_after.is_some() { answers && told } else { !answers && over };
        }
        let asked_next = over && (!answers || look.only_ecs || look.probe.is_some());
        self.node.is_instance() && (answers && told || look.depth == Depth::Agents && asked_next)
    }

    /// Whether a command of somebody else can be running: not on a node whose SSM agent is not connected, or has not pinged for long where
    /// nobody asked, unless its host has answered our probe, so that it was connected a moment ago.
    #[must_use]
    pub fn may_be_busy(&self) -> bool {
        let away = self.ssm.known().is_some_and(|ssm| match ssm.connection {
            Fact::Known(connection) => connection == Connection::NotConnected,
            Fact::Absent => false,
            Fact::Unknown(blind) => blind == Blind::NotRead && !ssm.answers(self.at),
        });
        let answered = matches!(self.probe.known(), Some(Probe { answer: ProbeAnswer::Answered { .. }, .. }));
        !away || answered
    }

    /// What was seen, completed by a deeper look of the same pass. The moment stays that of the first reads.
    #[must_use]
    pub fn completed(self, deeper: Self) -> Self {
        fn fill<T>(had: Fact<T>, read: Fact<T>) -> Fact<T> {
            if had.blind() == Some(Blind::NotRead) { read } else { had }
        }
        let ssm = match (self.ssm, deeper.ssm) {
            (Fact::Known(had), Fact::Known(read)) => {
                Fact::Known(Ssm { connection: fill(had.connection, read.connection), ..had })
            }
            (had, read) => fill(had, read),
        };
        let ec2 = match (self.ec2, deeper.ec2) {
            (Fact::Known(had), Fact::Known(read)) if deeper.depth == Depth::All => {
                Fact::Known(Ec2 { stop: read.stop, ..had })
            }
            (had, _) => had,
        };
        let busy = match (self.busy, deeper.busy) {
            // Nobody could be at work on it, as far as was seen then.
            (Fact::Absent, read @ Fact::Known(_)) => read,
            (had, read) => fill(had, read),
        };
        Self {
            depth: deeper.depth,
            ec2,
            ssm,
            busy,
            sessions: fill(self.sessions, deeper.sessions),
            workload: fill(self.workload, deeper.workload),
            calendar: fill(self.calendar, deeper.calendar),
            identity: fill(self.identity, deeper.identity),
            network: fill(self.network, deeper.network),
            console: fill(self.console, deeper.console),
            ..self
        }
    }
}
