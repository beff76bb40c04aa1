//! Faults of the agents themselves.

use super::profile::{EcsFace, Profile, SsmFace, hints, shows};
use crate::diagnose::{Cause, Channel};
use crate::incident::Remedy;

/// Only the SSM agent is silent. A restart would cure it, but nothing can carry the restart there.
const SSM_SILENT: Profile = Profile {
    ssm: SsmFace::Silent,
    cures: &[Remedy::RestartSsmAgent, Remedy::Reboot, Remedy::StopStart, Remedy::Replace],
    ..Profile::QUIET
};

pub(super) const SSM_STOPPED: Profile = Profile {
    leaves: &[hints(
        Channel::Console,
        Cause::SsmAgentStopped,
        "systemd[1]: amazon-ssm-agent.service: Main process exited, code=exited, status=194/n/a",
    )],
    ..SSM_SILENT
};

/// Leaves nothing but silence: the honest case of an unknown cause.
pub(super) const SSM_HUNG: Profile = SSM_SILENT;

pub(super) const SSM_HIBERNATING: Profile = Profile {
    leaves: &[shows(
        Channel::Probe,
        Cause::SsmAgentHibernating,
        "hibernate.log: Backing off health check to every 3600 seconds for 3600 seconds",
    )],
    ..SSM_SILENT
};

pub(super) const SSM_WORKER_CRASH: Profile = Profile {
    ssm: SsmFace::Flaky,
    leaves: &[shows(
        Channel::Probe,
        Cause::SsmAgentWorkerCrash,
        "amazon-ssm-agent.log: Process ssm-agent-worker (pid:2211) has been terminated (7 times within the hour)",
    )],
    ..SSM_SILENT
};

pub(super) const SSM_WORKERS_EXHAUSTED: Profile = Profile {
    ssm: SsmFace::TakesNoCommands,
    // The stuck workers survive a restart of the agent: KillMode=process (facts/host.md §1).
    cures: super::profile::ANY_RESTART,
    leaves: &[shows(
        Channel::Probe,
        Cause::SsmAgentWorkersExhausted,
        "5 ssm-document-worker processes older than 6 h; amazon-ssm-agent.log: ProcessorBufferFull",
    )],
    ..Profile::QUIET
};

pub(super) const SSM_UPDATE_STUCK: Profile = Profile {
    leaves: &[hints(
        Channel::Console,
        Cause::SsmAgentUpdateStuck,
        "amazon-ssm-agent-updater: ErrorUpdaterLockBusy: another update is in progress",
    )],
    ..SSM_SILENT
};

pub(super) const SSM_MISCONFIGURED: Profile = Profile {
    cures: &[],
    forbids: &Remedy::ALL,
    leaves: &[shows(
        Channel::Console,
        Cause::SsmAgentMisconfigured,
        "amazon-ssm-agent: Failed to parse /etc/amazon/ssm/amazon-ssm-agent.json: invalid character '}' at line 14",
    )],
    ..SSM_SILENT
};

/// Only the ECS agent is down; the probe sees why.
const ECS_DOWN: Profile = Profile {
    ecs: EcsFace::Disconnected,
    cures: &[Remedy::RestartEcsAgent, Remedy::RestartRuntime, Remedy::Reboot, Remedy::StopStart, Remedy::Replace],
    ..Profile::QUIET
};

/// What starts on the same machine finds the same state: only a new node helps (facts/host.md §4).
const ECS_BEYOND_RESTART: Profile = Profile {
    cures: &[Remedy::Replace],
    forbids: &[Remedy::RestartEcsAgent, Remedy::Reboot, Remedy::StopStart],
    ..ECS_DOWN
};

pub(super) const ECS_STOPPED: Profile = Profile {
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentStopped,
        "unit ecs: inactive (dead), Result=success; ecs-init.log: Agent exited with code 0",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_HUNG: Profile = Profile {
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentHung,
        "unit ecs: active (running); introspection on port 51678: no answer in 3 s",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_CRASH_LOOP: Profile = Profile {
    cures: super::profile::ANY_RESTART,
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentCrashLoop,
        "ecs-init.log: ECS Agent failed to start, retrying in 14.8s (41 times within the hour); exit code 1",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_TERMINAL_EXIT: Profile = Profile {
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentTerminalExit,
        "ecs-init.log: Agent exited with code 5; agent exited with terminal exit code; unit ecs: failed",
    )],
    ..ECS_BEYOND_RESTART
};

pub(super) const ECS_DEREGISTERED: Profile = Profile {
    ecs: EcsFace::Inactive,
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentDeregistered,
        "ecs-agent.log: level=error msg=\"Container instance is deregistered\" error=\"InactiveInstanceException\"",
    )],
    ..ECS_BEYOND_RESTART
};

pub(super) const ECS_STATE_CORRUPT: Profile = Profile {
    cures: &[Remedy::Replace],
    forbids: &[Remedy::RestartEcsAgent],
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentStateCorrupt,
        "ecs-agent.log: level=critical msg=\"Error loading previously saved state\" error=\"invalid database\"",
    )],
    ..ECS_DOWN
};

/// A person decides which of the two clusters is meant: the launch template may name the wrong one.
pub(super) const ECS_CLUSTER_MISMATCH: Profile = Profile {
    cures: &[],
    forbids: &[Remedy::RestartEcsAgent, Remedy::Reboot, Remedy::StopStart],
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentClusterMismatch,
        "ecs-agent.log: Data mismatch; saved cluster 'blue' does not match configured cluster 'default'",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_INSTANCE_TYPE_CHANGED: Profile = Profile {
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentInstanceTypeChanged,
        "ecs-agent.log: current instance type does not match the registered instance type; exit code 5",
    )],
    ..ECS_BEYOND_RESTART
};

pub(super) const ECS_IMAGE_MISSING: Profile = Profile {
    cures: &[Remedy::Replace],
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentImageMissing,
        "ecs-init.log: could not load Amazon Elastic Container Service Agent; no image amazon/amazon-ecs-agent:latest",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_CLOUD_INIT_FAILED: Profile = Profile {
    cures: &[Remedy::Replace],
    forbids: &[Remedy::RestartEcsAgent],
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentCloudInitFailed,
        "ecs-agent.log: Cloud-init failure detected; cloud-init status: error",
    )],
    ..ECS_DOWN
};

pub(super) const ECS_MISCONFIGURED: Profile = Profile {
    cures: &[],
    forbids: &Remedy::ALL,
    leaves: &[shows(
        Channel::Probe,
        Cause::EcsAgentMisconfigured,
        "ecs-agent.log: InvalidParameterException: Invalid attribute name in ECS_INSTANCE_ATTRIBUTES; exit code 5",
    )],
    ..ECS_DOWN
};
