//! What broke, as one word for subscription filters and as a clause for people.

use crate::diagnose::{Cause, Channel, Severity};
use crate::event::{HealthCheck, SignalKind, SweptAgent};
use crate::incident::{Ending, Event, Incident};
use crate::observe::Standing;

/// What broke, as seen from outside; the cause is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The SSM agent does not answer.
    SsmAgentUnreachable,
    /// The ECS container agent is disconnected.
    EcsAgentDisconnected,
    /// ECS says that the container runtime is impaired.
    RuntimeImpaired,
    /// EC2's instance status check fails.
    InstanceCheckFailed,
    /// EC2's system status check fails.
    SystemCheckFailed,
    /// A command took too long on a node that answers.
    CommandTimedOut,
    /// A command was rejected before it reached the node.
    CommandRejected,
    /// The client of a session gave up.
    SessionGaveUp,
    /// The instance went away.
    InstanceGone,
    /// Nothing told of a fault: an operator asked.
    None,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 10] = [
        Self::SsmAgentUnreachable,
        Self::EcsAgentDisconnected,
        Self::RuntimeImpaired,
        Self::InstanceCheckFailed,
        Self::SystemCheckFailed,
        Self::CommandTimedOut,
        Self::CommandRejected,
        Self::SessionGaveUp,
        Self::InstanceGone,
        Self::None,
    ];

    /// The word in JSON and attributes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SsmAgentUnreachable => "ssm-agent-unreachable",
            Self::EcsAgentDisconnected => "ecs-agent-disconnected",
            Self::RuntimeImpaired => "runtime-impaired",
            Self::InstanceCheckFailed => "instance-check-failed",
            Self::SystemCheckFailed => "system-check-failed",
            Self::CommandTimedOut => "command-timed-out",
            Self::CommandRejected => "command-rejected",
            Self::SessionGaveUp => "session-gave-up",
            Self::InstanceGone => "instance-gone",
            Self::None => "none",
        }
    }

    /// What an incident is about.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        match incident.ending() {
            Some(Ending::ScriptTimedOut) => return Self::CommandTimedOut,
            Some(Ending::CommandRejected) => return Self::CommandRejected,
            Some(Ending::SessionGaveUp) => return Self::SessionGaveUp,
            _ => {}
        }
        if let Some(diagnosis) = &incident.diagnosis {
            if diagnosis.cause == Cause::PlatformHardware {
                return Self::SystemCheckFailed;
            }
            let mut by_ec2 = diagnosis
                .findings
                .iter()
                .filter(|finding| finding.channel == Channel::Ec2 && finding.severity != Severity::Noise);
            match by_ec2.next().map(|finding| finding.cause) {
                Some(Cause::PlatformHardware) => return Self::SystemCheckFailed,
                Some(_) => return Self::InstanceCheckFailed,
                None => {}
            }
        }
        let told = incident.symptoms.iter().find_map(|symptom| Self::told_by(&symptom.kind)).unwrap_or(Self::None);
        // It began with a blip of the ECS agent, and what stayed is the silence of the other one.
        let last_look = incident.history.iter().rev().find_map(|entry| match entry.event {
            Event::Looked { ssm, ecs } => Some((ssm, ecs)),
            _ => None,
        });
        match (told, last_look) {
            (Self::EcsAgentDisconnected, Some((Standing::Ill | Standing::Suspect, Standing::Well))) => {
                Self::SsmAgentUnreachable
            }
            (told, _) => told,
        }
    }

    fn told_by(kind: &SignalKind) -> Option<Self> {
        match kind {
            SignalKind::CommandTrouble { .. }
            | SignalKind::SessionRefused
            | SignalKind::Swept { agent: SweptAgent::Ssm, .. } => Some(Self::SsmAgentUnreachable),
            SignalKind::EcsHealthImpaired { check: HealthCheck::ContainerRuntime, .. } => Some(Self::RuntimeImpaired),
            SignalKind::EcsHealthImpaired { check: HealthCheck::AgentConnectivity, .. }
            | SignalKind::EcsDisconnected { .. }
            | SignalKind::Swept { agent: SweptAgent::Ecs, .. } => Some(Self::EcsAgentDisconnected),
            SignalKind::Gone { .. } => Some(Self::InstanceGone),
            SignalKind::CommandSucceeded | SignalKind::EcsHealthRestored | SignalKind::EcsConnected => None,
        }
    }

    /// What broke, as a clause.
    pub(super) fn clause(self) -> &'static str {
        match self {
            Self::SsmAgentUnreachable => "SSM agent stopped answering",
            Self::EcsAgentDisconnected => "ECS container agent stopped talking to ECS",
            Self::RuntimeImpaired => "container runtime stopped answering (ECS: CONTAINER_RUNTIME IMPAIRED)",
            Self::InstanceCheckFailed => "EC2 instance status check failed: the operating system does not answer",
            Self::SystemCheckFailed => "EC2 system status check failed: the hardware below the instance",
            Self::CommandTimedOut => "a command took longer than its time-out; the node answers",
            Self::CommandRejected => "a command was rejected or cancelled before it reached the node",
            Self::SessionGaveUp => "a session ended because its client gave up; the node answers",
            Self::InstanceGone => "the instance went away",
            Self::None => "nothing told of a fault; an operator asked",
        }
    }

    /// The part that broke, to stand after "the ".
    pub(super) fn part(self) -> &'static str {
        match self {
            Self::SsmAgentUnreachable => "SSM agent",
            Self::EcsAgentDisconnected => "ECS agent",
            Self::RuntimeImpaired => "container runtime",
            Self::InstanceCheckFailed | Self::SystemCheckFailed | Self::InstanceGone | Self::None => "instance",
            Self::CommandTimedOut | Self::CommandRejected => "command",
            Self::SessionGaveUp => "session",
        }
    }

    /// The part and its node: `the ECS agent on i-…`, or only `i-…`.
    pub(super) fn part_on(self, node: &str) -> String {
        match self {
            Self::SsmAgentUnreachable | Self::EcsAgentDisconnected | Self::RuntimeImpaired => {
                format!("{} on {node}", self.part())
            }
            Self::InstanceCheckFailed
            | Self::SystemCheckFailed
            | Self::InstanceGone
            | Self::None
            | Self::CommandTimedOut
            | Self::CommandRejected
            | Self::SessionGaveUp => node.to_owned(),
        }
    }

    /// How it is when it is well again.
    pub(super) fn back(self) -> &'static str {
        match self {
            Self::EcsAgentDisconnected => "is connected again",
            Self::SsmAgentUnreachable
            | Self::RuntimeImpaired
            | Self::CommandTimedOut
            | Self::CommandRejected
            | Self::SessionGaveUp
            | Self::None => "answers again",
            Self::InstanceCheckFailed | Self::SystemCheckFailed | Self::InstanceGone => "is healthy again",
        }
    }

    /// How it still is, to stand after "still ".
    pub(super) fn still(self) -> &'static str {
        match self {
            Self::EcsAgentDisconnected => "disconnected",
            Self::SsmAgentUnreachable | Self::InstanceGone => "silent",
            Self::RuntimeImpaired | Self::InstanceCheckFailed | Self::SystemCheckFailed => "impaired",
            Self::CommandTimedOut | Self::CommandRejected | Self::SessionGaveUp | Self::None => "in trouble",
        }
    }
}
