//! What an event claims. Only its ids are believed; every fact is read again before anything is done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::node::{ClusterArn, CommandId, ContainerInstanceArn, DocumentName, NodeId};

/// A hint that something happened to a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signal {
    /// The node that the event is about.
    pub node: NodeId,
    /// When the event says that it happened; the sender's clock.
    pub at: Timestamp,
    /// What it claims.
    pub kind: SignalKind,
}

/// What an event claims about its node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum SignalKind {
    /// A Run Command invocation ended badly. The event's status is coarse: `Undeliverable` arrives as `Failed`, both
    /// time-outs as `TimedOut` (facts/aws.md §1.1), so the invocation is read again before it means anything.
    CommandTrouble {
        /// The command.
        command: CommandId,
        /// Its document.
        document: DocumentName,
        /// The coarse status as it came, spaces removed.
        status: CoarseStatus,
    },
    /// A Run Command invocation succeeded: the node's SSM agent answers.
    CommandSucceeded,
    /// ECS says that a health check of the container instance is `IMPAIRED`; already debounced by ECS.
    EcsHealthImpaired {
        /// Which check.
        check: HealthCheck,
        /// The container instance.
        container_instance: ContainerInstanceArn,
        /// Its cluster, when the event names it.
        cluster: Option<ClusterArn>,
        /// Since when, by ECS's own clock.
        since: Option<Timestamp>,
    },
    /// ECS says that every health check is OK again.
    EcsHealthRestored,
    /// `agentConnected` is false. Several an hour are normal.
    EcsDisconnected {
        /// The container instance.
        container_instance: ContainerInstanceArn,
        /// Its cluster, when the event names it.
        cluster: Option<ClusterArn>,
        /// `detail.version`: equal for duplicates, higher for later states.
        version: Option<u64>,
    },
    /// `agentConnected` is true.
    EcsConnected,
    /// EC2 says `stopped` or `terminated`, or ECS says that the container instance is `INACTIVE`.
    Gone {
        /// What exactly is gone.
        what: GoneKind,
    },
    /// CloudTrail saw `StartSession` refused with `TargetNotConnected`.
    SessionRefused,
    /// The sweep found the node in trouble; nobody told.
    Swept {
        /// Which agent the sweep saw down.
        agent: SweptAgent,
        /// Since when an agent has been away, where that is known; of two that are away, the one that was lost last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
}

/// A health check of a container instance that Defib acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HealthCheck {
    /// The container agent's connection to ECS.
    AgentConnectivity,
    /// The container runtime, docker or containerd.
    ContainerRuntime,
}

/// The coarse status that an event carries, compared with spaces removed and case folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub enum CoarseStatus {
    /// Delivery or execution timed out; which of the two is only in `StatusDetails`.
    TimedOut,
    /// An ordinary failure of the script, or `Undeliverable`.
    Failed,
    /// Not known to be sent in events, matched in case it is.
    Undeliverable,
    /// As above.
    DeliveryTimedOut,
    /// As above.
    ExecutionTimedOut,
}

impl CoarseStatus {
    /// The status as AWS writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "TimedOut",
            Self::Failed => "Failed",
            Self::Undeliverable => "Undeliverable",
            Self::DeliveryTimedOut => "DeliveryTimedOut",
            Self::ExecutionTimedOut => "ExecutionTimedOut",
        }
    }
}

/// What is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GoneKind {
    /// The instance is stopped.
    Stopped,
    /// The instance is terminated.
    Terminated,
    /// The container instance is deregistered.
    ContainerInstanceInactive,
}

/// Which agent the sweep saw down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SweptAgent {
    /// The SSM agent.
    Ssm,
    /// The ECS container agent.
    Ecs,
}

impl SignalKind {
    /// The command that it tells of.
    #[must_use]
    pub fn command(&self) -> Option<&CommandId> {
        match self {
            Self::CommandTrouble { command, .. } => Some(command),
            Self::CommandSucceeded
            | Self::EcsHealthImpaired { .. }
            | Self::EcsHealthRestored
            | Self::EcsDisconnected { .. }
            | Self::EcsConnected
            | Self::Gone { .. }
            | Self::SessionRefused
            | Self::Swept { .. } => None,
        }
    }

    /// The container instance that it names, where it names the cluster, too.
    #[must_use]
    pub fn container_instance(&self) -> Option<(ClusterArn, ContainerInstanceArn)> {
        match self {
            Self::EcsHealthImpaired { container_instance, cluster, .. }
            | Self::EcsDisconnected { container_instance, cluster, .. } => {
                cluster.clone().map(|cluster| (cluster, container_instance.clone()))
            }
            Self::CommandTrouble { .. }
            | Self::CommandSucceeded
            | Self::EcsHealthRestored
            | Self::EcsConnected
            | Self::Gone { .. }
            | Self::SessionRefused
            | Self::Swept { .. } => None,
        }
    }

    /// Whether it is ECS that tells of trouble.
    #[must_use]
    pub fn is_of_ecs(&self) -> bool {
        match self {
            Self::EcsHealthImpaired { .. }
            | Self::EcsDisconnected { .. }
            | Self::Swept { agent: SweptAgent::Ecs, .. } => true,
            Self::CommandTrouble { .. }
            | Self::CommandSucceeded
            | Self::EcsHealthRestored
            | Self::EcsConnected
            | Self::Gone { .. }
            | Self::SessionRefused
            | Self::Swept { agent: SweptAgent::Ssm, .. } => false,
        }
    }

    /// Whether it tells that Systems Manager should know the node.
    #[must_use]
    pub fn expects_ssm(&self) -> bool {
        matches!(self, Self::Swept { agent: SweptAgent::Ssm, .. })
    }

    /// Whether what it tells of is more than a blip by itself: ECS and the age of a ping have waited already.
    #[must_use]
    pub fn is_beyond_a_blip(&self) -> bool {
        match self {
            Self::EcsHealthImpaired { .. } | Self::Swept { agent: SweptAgent::Ssm, .. } => true,
            // The list may have caught a natural reconnect; a command or a session may have met one.
            Self::Swept { agent: SweptAgent::Ecs, .. }
            | Self::EcsDisconnected { .. }
            | Self::CommandTrouble { .. }
            | Self::SessionRefused
            | Self::CommandSucceeded
            | Self::EcsHealthRestored
            | Self::EcsConnected
            | Self::Gone { .. } => false,
        }
    }

    /// Since when an agent has been away, where the signal says so.
    #[must_use]
    pub fn away_since(&self) -> Option<Timestamp> {
        match self {
            Self::Swept { since, .. } => *since,
            Self::CommandTrouble { .. }
            | Self::CommandSucceeded
            | Self::EcsHealthImpaired { .. }
            | Self::EcsHealthRestored
            | Self::EcsDisconnected { .. }
            | Self::EcsConnected
            | Self::Gone { .. }
            | Self::SessionRefused => None,
        }
    }

    /// Whether `later` tells of the same outage in the same way: another disconnect of the same agent, another delivery
    /// of the same command's end. Task churn repeats a disconnect many times (facts/aws.md §1.3).
    #[must_use]
    pub fn repeats(&self, later: &Self) -> bool {
        match (self, later) {
            (Self::EcsDisconnected { .. }, Self::EcsDisconnected { .. })
            | (Self::SessionRefused, Self::SessionRefused)
            | (Self::Swept { .. }, Self::Swept { .. }) => true,
            (Self::EcsHealthImpaired { check, .. }, Self::EcsHealthImpaired { check: other, .. }) => check == other,
            (Self::CommandTrouble { command, .. }, Self::CommandTrouble { command: other, .. }) => command == other,
            _ => false,
        }
    }
}
