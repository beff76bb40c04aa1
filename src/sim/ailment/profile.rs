//! What a row of the table of faults says.

use std::sync::Arc;

use crate::diagnose::{Cause, Channel, Finding, Severity};
use crate::incident::Remedy;
use crate::observe::{EventKind, Findings};

/// How the SSM agent behaves under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SsmFace {
    /// It answers.
    Answers,
    /// It answers where ECS runs beside it, because the fault sits on docker's volume; silent on other nodes.
    AnswersBesideEcs,
    /// Nothing is heard of it.
    Silent,
    /// It comes for some seconds and goes again.
    Flaky,
    /// Connected, ping online, and takes no command.
    TakesNoCommands,
}

/// How the ECS agent behaves under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EcsFace {
    /// It stays connected.
    Connected,
    /// It is not connected.
    Disconnected,
    /// Not connected, and ECS lists the container instance as `INACTIVE`.
    Inactive,
}

/// How the container runtime behaves under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Runtime {
    /// It answers.
    Answers,
    /// It does not, and a connected ECS agent says so.
    Impaired,
}

/// Which of EC2's status checks fails under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checks {
    /// None.
    Pass,
    /// The instance status check.
    Instance,
    /// The system status check.
    System,
    /// The check of attached EBS volumes, and the instance status check with it: the root does not answer.
    Volumes,
}

/// Which agents a fault silences on a given node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Agents {
    /// How the SSM agent behaves there.
    pub ssm: SsmFace,
    /// How the ECS agent behaves there.
    pub ecs: EcsFace,
}

/// One piece of evidence that a fault leaves on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trace {
    /// What it points to.
    pub cause: Cause,
    /// How it weighs.
    pub severity: Severity,
    /// Where it is seen.
    pub channel: Channel,
    /// What is seen.
    pub evidence: &'static str,
}

/// What a fault does to a node, what it leaves behind, and what cures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// The SSM agent.
    pub ssm: SsmFace,
    /// The ECS agent.
    pub ecs: EcsFace,
    /// The container runtime.
    pub runtime: Runtime,
    /// EC2's status checks.
    pub checks: Checks,
    /// What AWS schedules because of it.
    pub scheduled: Option<EventKind>,
    /// The operating system does not answer a request to shut down, so that EC2 resets it after some minutes.
    pub hangs: bool,
    /// Without this remedy before, no other but a replacement cures it.
    pub first: Option<Remedy>,
    /// What cures it. Empty: a person must repair something, and a new node would fall ill as well.
    pub cures: &'static [Remedy],
    /// What must not be done against it (S7).
    pub forbids: &'static [Remedy],
    /// Its evidence.
    pub leaves: &'static [Trace],
}

/// Everything that starts the operating system or the machine anew.
pub(super) const ANY_RESTART: &[Remedy] = &[Remedy::Reboot, Remedy::StopStart, Remedy::Replace];

impl Profile {
    /// The row of a node without any symptom.
    pub(super) const QUIET: Self = Self {
        ssm: SsmFace::Answers,
        ecs: EcsFace::Connected,
        runtime: Runtime::Answers,
        checks: Checks::Pass,
        scheduled: None,
        hangs: false,
        first: None,
        cures: &[],
        forbids: &[],
        leaves: &[],
    };

    /// The row of a node whose agents are both silent.
    pub(super) const SILENT: Self =
        Self { ssm: SsmFace::Silent, ecs: EcsFace::Disconnected, cures: ANY_RESTART, ..Self::QUIET };

    /// How the agents behave on a node with or without the ECS agent.
    #[must_use]
    pub fn agents(&self, has_ecs: bool) -> Agents {
        let ssm = match self.ssm {
            SsmFace::AnswersBesideEcs if has_ecs => SsmFace::Answers,
            SsmFace::AnswersBesideEcs => SsmFace::Silent,
            face => face,
        };
        Agents { ssm, ecs: self.ecs }
    }

    /// Its evidence on one channel, as findings. Built once for an illness, cloned for every look.
    #[must_use]
    pub fn findings(&self, channel: Channel) -> Findings {
        self.leaves.iter().filter(|trace| trace.channel == channel).map(Trace::finding).collect()
    }
}

impl Trace {
    /// It as a finding.
    #[must_use]
    pub fn finding(&self) -> Finding {
        Finding {
            cause: self.cause,
            severity: self.severity,
            channel: self.channel,
            evidence: Arc::from(self.evidence),
        }
    }
}

/// Evidence that explains the outage.
pub(super) const fn shows(channel: Channel, cause: Cause, evidence: &'static str) -> Trace {
    Trace { cause, severity: Severity::Cause, channel, evidence }
}

/// Evidence that follows from a cause.
pub(super) const fn hints(channel: Channel, cause: Cause, evidence: &'static str) -> Trace {
    Trace { cause, severity: Severity::Symptom, channel, evidence }
}

/// Evidence that explains nothing.
pub(super) const fn chatter(channel: Channel, cause: Cause, evidence: &'static str) -> Trace {
    Trace { cause, severity: Severity::Noise, channel, evidence }
}
