//! What was seen of a node, and how fresh it is.
//!
//! Every fact is known, absent or unknown. A throttled, denied or empty answer is unknown, and an unknown fact never counts
//! as a bad one (S8).

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnose::Finding;
use crate::node::{
    AutoScalingGroupName, ClusterArn, CommandId, ContainerInstanceArn, DocumentName, NodeId, ResourceName,
};
use crate::policy::Mode;
use crate::time::secs_between;

mod ec2;
mod factors;
mod health;
mod look;
mod repair;
#[cfg(test)]
pub(crate) mod samples;
mod sessions;

pub use ec2::{Check, Ec2, EventKind, InstanceState, Scheduled, StatusChecks, StopGates};
pub use factors::{Common, Factor, Factors};
pub use health::{ANSWER_FRESH_SECS, Health, PING_STALE_SECS, PROBE_FRESH_SECS, PROBE_LOST_SECS, Standing};
pub use look::{Depth, Look, Spare, Succession, Successor};
pub use repair::{HostRefusal, RepairEnd};
pub use sessions::Sessions;

/// A fact about the world.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fact<T> {
    /// It was read.
    Known(T),
    /// AWS answered that there is no such thing.
    Absent,
    /// It could not be read, so nothing follows from it.
    Unknown(Blind),
}

impl<T> Fact<T> {
    /// The fact, if it was read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(fact) => Some(fact),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// Why it could not be read.
    pub fn blind(&self) -> Option<Blind> {
        match self {
            Self::Unknown(blind) => Some(*blind),
            Self::Known(_) | Self::Absent => None,
        }
    }
}

/// Why a fact is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Blind {
    /// Nobody asked.
    NotRead,
    /// AWS throttled the read.
    Throttled,
    /// The role may not read it.
    Denied,
    /// The answer was empty where it must not be.
    Empty,
    /// No answer in time, or a 5xx.
    Unavailable,
}

impl Blind {
    /// The reason, to stand after "could not read …: ".
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRead => "not asked for",
            Self::Throttled => "throttled",
            Self::Denied => "access denied",
            Self::Empty => "the answer was empty",
            Self::Unavailable => "no answer from the service",
        }
    }
}

/// Everything that was seen of a node at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Observation {
    /// The node.
    pub node: NodeId,
    /// When the first of the reads was sent: nothing in here that is the node's own is older. What surrounds it (its group's numbers,
    /// what it shares, sessions, other work, tasks) may be a minute older.
    pub at: Timestamp,
    /// How far the look went, if it was a close one.
    pub depth: Depth,
    /// EC2's view. Absent for a managed node and for an id that EC2 does not know.
    pub ec2: Fact<Ec2>,
    /// Systems Manager's view. Absent: not registered.
    pub ssm: Fact<Ssm>,
    /// ECS's view. Absent: no container instance.
    pub ecs: Fact<Ecs>,
    /// The Auto Scaling group's view. Absent: not in a group.
    pub asg: Fact<Asg>,
    /// The group that budgets count by.
    pub group: Fact<Group>,
    /// What the node shares with others.
    pub factors: Fact<Factors>,
    /// The Run Command invocation that the incident began with.
    pub invocation: Fact<Invocation>,
    /// What our last probe said. Absent: none was sent.
    pub probe: Fact<Probe>,
    /// How our last repair on the host ended. Absent: the look named none.
    pub repair: Fact<RepairEnd>,
    /// Live Session Manager sessions.
    pub sessions: Fact<Sessions>,
    /// Somebody else's work on the node. Absent: none that a command could be, for the SSM agent is not connected.
    pub busy: Fact<Busy>,
    /// The tasks that would end with a disruptive remedy. Absent: no container instance. Close looks only.
    pub workload: Fact<Workload>,
    /// What came in the place of a node that was replaced. Absent: the look did not ask, or the node was in no cluster.
    pub successor: Fact<Successor>,
    /// The change calendar that the look named. Absent: it named none. Close looks only.
    pub calendar: Fact<Calendar>,
    /// Findings about role, profile, metadata and registration.
    pub identity: Fact<Findings>,
    /// Findings about the way from the node to AWS.
    pub network: Fact<Findings>,
    /// Findings in the console output.
    pub console: Fact<Findings>,
}

impl Observation {
    /// What is seen of an id that AWS does not know.
    #[must_use]
    pub fn of_nothing(node: NodeId, at: Timestamp) -> Self {
        Self {
            ec2: Fact::Absent,
            ssm: Fact::Absent,
            ecs: Fact::Absent,
            asg: Fact::Absent,
            group: Fact::Absent,
            factors: Fact::Absent,
            invocation: Fact::Absent,
            probe: Fact::Absent,
            repair: Fact::Absent,
            successor: Fact::Absent,
            ..Self::unread(node, at)
        }
    }

    /// What is seen where nobody asked.
    #[must_use]
    pub fn unread(node: NodeId, at: Timestamp) -> Self {
        let unread = Blind::NotRead;
        Self {
            node,
            at,
            depth: Depth::All,
            ec2: Fact::Unknown(unread),
            ssm: Fact::Unknown(unread),
            ecs: Fact::Unknown(unread),
            asg: Fact::Unknown(unread),
            group: Fact::Unknown(unread),
            factors: Fact::Unknown(unread),
            invocation: Fact::Unknown(unread),
            probe: Fact::Unknown(unread),
            repair: Fact::Unknown(unread),
            sessions: Fact::Unknown(unread),
            busy: Fact::Unknown(unread),
            workload: Fact::Unknown(unread),
            successor: Fact::Absent,
            calendar: Fact::Unknown(unread),
            identity: Fact::Unknown(unread),
            network: Fact::Unknown(unread),
            console: Fact::Unknown(unread),
        }
    }

    /// Whether every tag that may forbid something was read: the node's, its group's, its cluster's.
    #[must_use]
    pub fn shows_all_tags(&self) -> bool {
        // Outside EC2 the node's own are those of Systems Manager.
        let own = self.node.is_instance() || self.ssm.known().is_some_and(|ssm| ssm.tags.blind().is_none());
        own && self.ec2.blind().is_none() && self.asg.blind().is_none() && self.ecs.blind().is_none()
    }
}

/// Findings of one channel; empty when it was looked at and nothing was found.
pub type Findings = Arc<[Finding]>;

/// What Defib's tags on a resource say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Tags {
    /// `defib:managed` opts the resource in.
    pub managed: bool,
    /// `defib:mode` lowers what is allowed; `off` opts out. An unreadable value counts as `off`.
    pub mode: Option<Mode>,
    /// `defib:mute-until`.
    pub mute_until: Option<Timestamp>,
}

/// Who else repairs an instance, so that Defib only tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manager {
    /// `Operator.Managed`: an AWS service runs it.
    Provider,
    /// An EKS node group.
    Eks,
    /// Karpenter.
    Karpenter,
    /// ECS Managed Instances.
    EcsManagedInstances,
}

impl Manager {
    /// The name people know it by.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "the AWS service that operates it",
            Self::Eks => "Amazon EKS",
            Self::Karpenter => "Karpenter",
            Self::EcsManagedInstances => "ECS Managed Instances",
        }
    }
}

/// Systems Manager's view of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ssm {
    /// `PingStatus`: stays `Online` for minutes after the agent died (facts/aws.md §3.2).
    pub ping: Ping,
    /// `LastPingDateTime`.
    pub last_ping: Timestamp,
    /// `GetConnectionStatus`: the control channel, right now.
    pub connection: Fact<Connection>,
    /// `PlatformType` and name.
    pub platform: Platform,
    /// Defib's tags on a managed node, which only Systems Manager knows. Absent for an instance: EC2 has them.
    pub tags: Fact<Tags>,
}

impl Ssm {
    /// Whether the agent pinged lately.
    #[must_use]
    pub fn answers(&self, now: Timestamp) -> bool {
        self.ping == Ping::Online && secs_between(self.last_ping, now) <= PING_STALE_SECS
    }
}

/// `PingStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Ping {
    /// `Online`.
    Online,
    /// `ConnectionLost`.
    ConnectionLost,
}

/// `GetConnectionStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Connection {
    /// `connected`.
    Connected,
    /// `notconnected`.
    NotConnected,
}

/// What runs on the node, as far as it changes the way of repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Platform {
    /// Linux with systemd.
    #[default]
    Linux,
    /// Ubuntu with the agent from a snap.
    Snap,
    /// Windows.
    Windows,
    /// Bottlerocket: no shell on the host.
    Bottlerocket,
}

/// ECS's view of a container instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ecs {
    /// Its cluster.
    pub cluster: ClusterArn,
    /// Its ARN; changes when it registers anew.
    pub arn: ContainerInstanceArn,
    /// `agentConnected`.
    pub connected: bool,
    /// Its status.
    pub status: EcsStatus,
    /// Tasks that are not `STOPPED`.
    pub tasks: u32,
    /// The health check `AGENT_CONNECTIVITY`.
    pub agent_check: Check,
    /// The health check `CONTAINER_RUNTIME`.
    pub runtime_check: Check,
    /// `lastStatusChange` of the impaired check: when the outage began, by ECS's own clock.
    pub impaired_since: Option<Timestamp>,
    /// The cluster's tags.
    pub cluster_tags: Tags,
}

/// A container instance's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EcsStatus {
    /// Takes tasks.
    Active,
    /// Takes none, loses its service tasks.
    Draining,
    /// Registering or deregistering.
    Transitional,
    /// Deregistered.
    Inactive,
}

/// The Auto Scaling group's view of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent answer of DescribeAutoScalingGroups")]
pub struct Asg {
    /// The group.
    pub name: AutoScalingGroupName,
    /// The instance's place in the group's life cycle.
    pub lifecycle: Lifecycle,
    /// `DesiredCapacity`.
    pub desired: u32,
    /// `MinSize`.
    pub min: u32,
    /// Members in service.
    pub in_service: u32,
    /// Members in Standby or on their way in: `DesiredCapacity` was lowered by one for each.
    pub standby: u32,
    /// Members that are there at all and not on their way out: pending, in service or in Standby.
    pub existing: u32,
    /// The health check is EC2's only, so a reboot does not make it replace the member.
    pub ec2_health_only: bool,
    /// `Launch` or `Terminate` is suspended.
    pub suspended: bool,
    /// An instance refresh runs.
    pub refreshing: bool,
    /// The group's tags.
    pub tags: Tags,
}

/// `LifecycleState`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// `InService`.
    InService,
    /// `Pending*`.
    Pending,
    /// `EnteringStandby`.
    EnteringStandby,
    /// `Standby`.
    Standby,
    /// `Terminating*`, `Terminated`.
    Terminating,
    /// `Warmed:*`, `Detach*`, and what is not known yet.
    Other,
}

/// The group that budgets count by: the cluster, else the Auto Scaling group, else the account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Group {
    /// What people call it.
    pub name: Arc<str>,
    /// Its members.
    pub size: u32,
    /// Nodes in this node's Availability Zone.
    pub zone_size: u32,
    /// Members that AWS shows as unhealthy, this node included: an agent that is shown as gone, a status check that fails, or
    /// an instance that stands still though it should run.
    pub unhealthy: u32,
    /// Nodes in this node's Availability Zone that AWS shows as unhealthy, this node included.
    pub zone_unhealthy: u32,
    /// Other members in this node's Availability Zone.
    pub zone_peers: u32,
    /// Those of them that AWS shows as unhealthy.
    pub zone_peers_unhealthy: u32,
}

/// A Run Command invocation, read again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Invocation {
    /// The command.
    pub command: CommandId,
    /// What its status means.
    pub status: InvocationStatus,
}

/// `StatusDetails` of an invocation, as far as they differ in what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum InvocationStatus {
    /// Pending, delayed or in progress.
    Open,
    /// The node answered.
    Success,
    /// Not delivered in time. An agent that dies in the middle ends like this too.
    DeliveryTimedOut,
    /// The script took too long, on a node that answered.
    ExecutionTimedOut,
    /// The script failed, on a node that answered.
    Failed,
    /// Could not be delivered. No proof that it did not run (facts/aws.md §0).
    Undeliverable,
    /// Cancelled, terminated, access denied, invalid platform, rate exceeded: never a fault of the node.
    Rejected,
}

/// What our own probe said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Probe {
    /// When it was sent.
    pub sent_at: Timestamp,
    /// What came back.
    pub answer: ProbeAnswer,
}

/// What came back from a probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeAnswer {
    /// Nothing yet.
    Pending,
    /// AWS says that it was not delivered.
    Undelivered,
    /// The host answered.
    Answered {
        /// When the host booted, by its own clock.
        booted_at: Timestamp,
        /// Which boot it is: another id after each start, whatever the clock says. None: the host knows none.
        boot: Option<ResourceName>,
        /// What it found.
        findings: Findings,
    },
}

/// A change calendar's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Calendar {
    /// Which one.
    pub name: DocumentName,
    /// `OPEN`: changes may be made.
    pub open: bool,
    /// When that changes, as far as the calendar says.
    pub changes_at: Option<Timestamp>,
}

/// The tasks on a container instance, as far as their end matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Workload {
    /// Tasks that no service started.
    pub standalone: u32,
    /// Tasks under scale-in protection.
    pub protected: u32,
    /// When the last of these protections expires.
    pub protected_until: Option<Timestamp>,
    /// The service that would be left with the least of what it needs, had the tasks here ended; none: no service has any here.
    pub service: Option<Share>,
    /// The services that have tasks here, daemons aside; the first few.
    pub services: Arc<[ResourceName]>,
}

/// A service's tasks here and elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Share {
    /// Running on this node.
    pub here: u32,
    /// Running elsewhere, as ECS counts: those of disconnected agents too.
    pub elsewhere: u32,
    /// `desiredCount`.
    pub desired: u32,
    /// `minimumHealthyPercent`.
    pub minimum_percent: u32,
}

impl Share {
    /// Whether the service would keep its minimum, had the tasks here ended. ECS rounds the minimum up.
    #[must_use]
    pub fn keeps_minimum(self) -> bool {
        let least = self.desired.saturating_mul(self.minimum_percent).div_ceil(100);
        self.here == 0 || self.elsewhere >= least
    }
}

/// Somebody else's work on a node, during which Defib keeps its hands off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Busy {
    /// Nobody works on it.
    Idle,
    /// A patch run.
    Patching,
    /// An Automation execution.
    Automation,
    /// Somebody's command.
    Command,
    /// A deployment or an instance refresh of its group.
    Deployment,
}
