//! What Defib can do to the world, as values.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::incident::Remedy;
use crate::node::{AutoScalingGroupName, ClusterArn, CommandId, ContainerInstanceArn, NodeId};
use crate::policy::Mode;

/// One thing done to a node or to its place in a service. It needs no decision to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Run the read-only probe on the host by Run Command.
    Probe,
    /// Free disk space on the host by Run Command.
    FreeDisk,
    /// Schedule a restart of the SSM agent on the host by Run Command.
    RestartSsmAgent,
    /// Restart the ECS container agent on the host by Run Command; tasks keep running.
    RestartEcsAgent,
    /// Restart docker, then the ECS container agent, by Run Command; containers die.
    RestartRuntime,
    /// Set the container instance to `DRAINING`.
    Drain,
    /// Set the container instance back to `ACTIVE`.
    Activate,
    /// Move the instance to Standby in its Auto Scaling group, desired capacity lowered.
    EnterStandby,
    /// Bring the instance back into service in its Auto Scaling group.
    ExitStandby,
    /// `RebootInstances`. Asynchronous, answers nothing, never changes the instance's state (facts/aws.md §2.4).
    Reboot,
    /// `StopInstances`.
    Stop,
    /// `StartInstances`.
    Start,
    /// `TerminateInstanceInAutoScalingGroup`, desired capacity kept.
    Terminate,
    /// `DeregisterContainerInstance` with force, once the instance is fenced.
    Deregister,
}

/// How much an effect can hurt, which decides the rails that it passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// Reads only, though it runs on the node.
    ReadOnly,
    /// Changes something that no workload notices.
    Gentle,
    /// Takes capacity away, reversibly.
    Guarding,
    /// Workload on the node stops.
    Disruptive,
    /// Gives back what Defib took. Exempt from budgets, pause and opt-out, so that no node is left taken.
    Restoring,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 14] = [
        Self::Probe,
        Self::FreeDisk,
        Self::RestartSsmAgent,
        Self::RestartEcsAgent,
        Self::RestartRuntime,
        Self::Drain,
        Self::Activate,
        Self::EnterStandby,
        Self::ExitStandby,
        Self::Reboot,
        Self::Stop,
        Self::Start,
        Self::Terminate,
        Self::Deregister,
    ];

    /// How much the effect can hurt.
    #[must_use]
    pub fn weight(self) -> Weight {
        match self {
            Self::Probe => Weight::ReadOnly,
            Self::FreeDisk | Self::RestartSsmAgent | Self::RestartEcsAgent => Weight::Gentle,
            Self::Drain | Self::EnterStandby => Weight::Guarding,
            Self::RestartRuntime | Self::Reboot | Self::Stop | Self::Terminate => Weight::Disruptive,
            Self::Activate | Self::ExitStandby | Self::Start | Self::Deregister => Weight::Restoring,
        }
    }

    /// The lowest mode in which the stack's role may do this.
    #[must_use]
    pub fn least_mode(self) -> Mode {
        match self {
            Self::Probe => Mode::Observe,
            Self::FreeDisk | Self::RestartSsmAgent | Self::RestartEcsAgent => Mode::Restart,
            Self::RestartRuntime
            | Self::Drain
            | Self::Activate
            | Self::EnterStandby
            | Self::ExitStandby
            | Self::Reboot
            | Self::Stop
            | Self::Start => Mode::Cycle,
            Self::Terminate | Self::Deregister => Mode::Replace,
        }
    }

    /// Whether it travels by Run Command, which a dead SSM agent cannot take.
    #[must_use]
    pub fn needs_ssm(self) -> bool {
        match self {
            Self::Probe | Self::FreeDisk | Self::RestartSsmAgent | Self::RestartEcsAgent | Self::RestartRuntime => true,
            Self::Drain
            | Self::Activate
            | Self::EnterStandby
            | Self::ExitStandby
            | Self::Reboot
            | Self::Stop
            | Self::Start
            | Self::Terminate
            | Self::Deregister => false,
        }
    }

    /// The effect that carries out a remedy, after the node has been drained and set aside.
    #[must_use]
    pub fn of(remedy: Remedy) -> Self {
        match remedy {
            Remedy::FreeDisk => Self::FreeDisk,
            Remedy::RestartSsmAgent => Self::RestartSsmAgent,
            Remedy::RestartEcsAgent => Self::RestartEcsAgent,
            Remedy::RestartRuntime => Self::RestartRuntime,
            Remedy::Reboot => Self::Reboot,
            Remedy::StopStart => Self::Stop,
            Remedy::Replace => Self::Terminate,
        }
    }

    /// What was done, for a timeline: `rebooted the instance`.
    #[must_use]
    pub fn past_tense(self) -> &'static str {
        match self {
            Self::Probe => "sent the read-only probe",
            Self::FreeDisk => "freed disk space",
            Self::RestartSsmAgent => "scheduled a restart of the SSM agent",
            Self::RestartEcsAgent => "restarted the ECS agent",
            Self::RestartRuntime => "restarted docker, then the ECS agent",
            Self::Drain => "ECS: set the container instance to DRAINING",
            Self::Activate => "ECS: set the container instance back to ACTIVE",
            Self::EnterStandby => "ASG: moved the instance to Standby",
            Self::ExitStandby => "ASG: brought the instance back into service",
            Self::Reboot => "EC2: reboot",
            Self::Stop => "EC2: stop",
            Self::Start => "EC2: start",
            Self::Terminate => "ASG: terminated the instance, capacity kept",
            Self::Deregister => "ECS: deregistered the container instance",
        }
    }
}

/// Where an effect applies. The node is always there: an empty target set cannot be written down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Its container instance and cluster, for ECS effects.
    pub container_instance: Option<(ClusterArn, ContainerInstanceArn)>,
    /// Its Auto Scaling group, for effects through the group.
    pub group: Option<AutoScalingGroupName>,
}

/// Names one try at one effect, so that it lands at most once: incident, then a count inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IntentId(pub u32);

impl fmt::Display for IntentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// An effect that was decided and saved before it is sent, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Intent {
    /// Its name inside the incident.
    pub id: IntentId,
    /// What is to be done.
    pub effect: Effect,
    /// When it was saved.
    pub committed_at: Timestamp,
    /// After this moment it must not be sent any more.
    pub not_after: Timestamp,
    /// What became of it.
    pub state: IntentState,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IntentState {
    /// Saved; perhaps sent, perhaps not.
    Pending,
    /// The call succeeded.
    Landed {
        /// When the answer came.
        at: Timestamp,
        /// The Run Command id, for effects that travel by Run Command.
        command: Option<CommandId>,
    },
    /// AWS refused the call: certainly nothing happened.
    Refused {
        /// When the answer came.
        at: Timestamp,
    },
    /// Nobody knows whether it happened; from here on it counts as if it had.
    Burned {
        /// When it was given up.
        at: Timestamp,
    },
}

/// Seconds after its commit during which an intent may be sent (DESIGN.md §7).
pub const SEND_WINDOW_SECS: i64 = 20;
/// Seconds after `not_after` before anybody may burn an intent: longer than the one send may take.
pub const BURN_AFTER_SECS: i64 = 30;

impl Intent {
    /// The Run Command id, once known.
    #[must_use]
    pub fn command(&self) -> Option<&CommandId> {
        match &self.state {
            IntentState::Landed { command, .. } => command.as_ref(),
            IntentState::Pending | IntentState::Refused { .. } | IntentState::Burned { .. } => None,
        }
    }
}
