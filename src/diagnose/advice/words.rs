//! Each cause in words.

use crate::diagnose::Cause;

/// How a cause is said.
pub(super) struct Words {
    /// Two or three words, for a subject line.
    pub(super) name: &'static str,
    /// A clause, without a full stop.
    pub(super) sentence: &'static str,
    /// What the reader is asked to do, to stand after "Please ".
    pub(super) please: &'static str,
}

#[allow(clippy::too_many_lines, reason = "one table, one row a cause; splitting it would hide a missing row")]
pub(super) fn of(cause: Cause) -> Words {
    let (name, sentence, please) = match cause {
        Cause::IdentityImdsUnreachable => (
            "no instance metadata",
            "the instance metadata service cannot be reached from the host",
            "make instance metadata reachable again",
        ),
        Cause::IdentityNoInstanceProfile => {
            ("no IAM role", "no IAM role is attached to the instance", "attach a role to the instance")
        }
        Cause::IdentityAccessDenied => (
            "access denied",
            "AWS denies the agent's calls: the role lacks a permission, or a policy above it denies",
            "give the instance's role the missing permission",
        ),
        Cause::IdentityCredentialsExpired => (
            "credentials expired",
            "the agent's credentials are expired or invalid, and not because of the clock",
            "check the role behind the instance profile",
        ),
        Cause::IdentityRegistrationMismatch => (
            "registration mismatch",
            "the node's registration does not match its hardware: a cloned or changed machine",
            "clear the copied registration; a hybrid node registers again",
        ),
        Cause::IdentityDefaultHostManagement => (
            "Default Host Management",
            "Default Host Management, which gives this instance its permissions, is missing or broken",
            "repair Default Host Management or attach a role",
        ),
        Cause::NetworkDns => {
            ("DNS", "the host cannot resolve the names of AWS's endpoints", "repair name resolution for the host")
        }
        Cause::NetworkUnreachable => (
            "network unreachable",
            "the host cannot reach AWS's endpoints on port 443",
            "open the way from the host to AWS",
        ),
        Cause::NetworkTls => (
            "TLS",
            "TLS handshakes with AWS fail: an unknown certificate or an intercepting proxy",
            "let the host talk TLS with AWS undisturbed",
        ),
        Cause::NetworkProxy => (
            "proxy",
            "the agent's proxy setting is wrong, or no_proxy lacks the metadata address",
            "correct the agent's proxy setting",
        ),
        Cause::ClockSkew => ("clock off", "the host's clock is off by more than AWS accepts", "set the host's clock"),
        Cause::SsmAgentStopped => {
            ("SSM agent stopped", "the SSM agent's service is not running", "start the SSM agent")
        }
        Cause::SsmAgentHung => {
            ("SSM agent hung", "the SSM agent's process is up but does not answer", "restart the SSM agent")
        }
        Cause::SsmAgentHibernating => (
            "SSM agent hibernating",
            "the SSM agent backed off after failures and asks only once in up to an hour",
            "repair what made the agent back off",
        ),
        Cause::SsmAgentWorkerCrash => {
            ("SSM agent crashing", "the SSM agent crashes again and again", "update or reinstall the SSM agent")
        }
        Cause::SsmAgentWorkersExhausted => (
            "SSM workers busy",
            "all command workers of the SSM agent are busy and its queue is full",
            "cancel the commands that are stuck",
        ),
        Cause::SsmAgentUpdateStuck => (
            "SSM agent update stuck",
            "an update of the SSM agent holds its lock or failed",
            "finish or clear the agent's update",
        ),
        Cause::SsmAgentMisconfigured => (
            "SSM agent misconfigured",
            "the SSM agent's configuration, vault or local state is unreadable or broken",
            "repair the SSM agent's configuration",
        ),
        Cause::EcsAgentStopped => {
            ("ECS agent stopped", "the ECS agent's service is not running", "start the ECS agent")
        }
        Cause::EcsAgentHung => {
            ("ECS agent hung", "the ECS agent's process is up but does not answer", "restart the ECS agent")
        }
        Cause::EcsAgentCrashLoop => {
            ("ECS agent crash loop", "the ECS agent ends and starts again and again", "find why the ECS agent ends")
        }
        Cause::EcsAgentTerminalExit => (
            "ECS agent exit 5",
            "the ECS agent ended with exit code 5, which tells systemd not to start it again",
            "repair what made the ECS agent give up",
        ),
        Cause::EcsAgentDeregistered => (
            "deregistered",
            "the container instance was deregistered; the agent does not register again by itself",
            "replace the node or register it again",
        ),
        Cause::EcsAgentStateCorrupt => (
            "ECS agent state corrupt",
            "the ECS agent's saved state is unreadable or does not match",
            "replace the node or set the saved state aside",
        ),
        Cause::EcsAgentClusterMismatch => (
            "cluster mismatch",
            "the ECS agent's saved cluster differs from the configured one",
            "correct ECS_CLUSTER or replace the node",
        ),
        Cause::EcsAgentClusterMissing => (
            "cluster missing",
            "the ECS cluster that the agent is configured for does not exist or is inactive",
            "create the cluster or correct ECS_CLUSTER",
        ),
        Cause::EcsAgentInstanceTypeChanged => (
            "instance type changed",
            "the instance was resized after it registered, which the ECS agent refuses",
            "change the type back or replace the node",
        ),
        Cause::EcsAgentImageMissing => (
            "agent image missing",
            "the ECS agent's image is missing or cannot be loaded",
            "load the ECS agent's image again",
        ),
        Cause::EcsAgentCloudInitFailed => (
            "cloud-init failed",
            "user data or cloud-init failed, so the ECS agent refuses to start",
            "correct the user data and replace the node",
        ),
        Cause::EcsAgentMisconfigured => (
            "ECS agent misconfigured",
            "the ECS agent's attributes, configuration or parameters are invalid",
            "correct the ECS agent's configuration",
        ),
        Cause::RuntimeDockerDown => {
            ("docker down", "docker or containerd is not running", "start docker, then the ECS agent")
        }
        Cause::RuntimeDockerHung => {
            ("docker hung", "docker does not answer in time", "restart docker on a drained node")
        }
        Cause::RuntimeDockerMisconfigured => (
            "docker misconfigured",
            "docker's configuration, network, cgroup or version keeps it or the ECS agent from working",
            "correct docker's configuration",
        ),
        Cause::RuntimeStorageCorrupt => {
            ("docker storage corrupt", "the metadata of docker's storage driver is broken", "replace the node")
        }
        Cause::HostDiskFull => (
            "disk full",
            "a file system is full, so the agent cannot write its state",
            "free space on the full file system",
        ),
        Cause::HostInodesExhausted => (
            "no inodes left",
            "a file system has no inodes left, though there may be free space",
            "delete small files in great number",
        ),
        Cause::HostOutOfMemory => {
            ("out of memory", "memory is exhausted, or the kernel killed processes for it", "find what eats the memory")
        }
        Cause::HostPidsExhausted => {
            ("no process ids left", "no process or thread can be started on the host", "find what leaks processes")
        }
        Cause::HostOpenFilesExhausted => {
            ("no open files left", "no further file can be opened on the host", "find what leaks open files")
        }
        Cause::HostKernelHang => {
            ("kernel hang", "the kernel hangs or panicked", "look at the console output, then reboot")
        }
        Cause::HostReadOnlyRoot => (
            "root read-only",
            "the root file system is mounted read-only, most often after an I/O error",
            "check the root file system",
        ),
        Cause::HostIoStalled => {
            ("disk I/O stalled", "a block device fails or does not answer", "look at the volume, then replace the node")
        }
        Cause::HostCpuSaturated => {
            ("CPU saturated", "the CPU has been saturated for long, so the agents starve", "find what takes the CPU")
        }
        Cause::HostBootFailure => (
            "boot failed",
            "the host did not boot: emergency mode, or a mount that failed",
            "repair the root volume or replace the node",
        ),
        Cause::HostNetworkStack => (
            "host network",
            "the host's own network stack is in the way: connection tracking, route, link or firewall",
            "repair the host's network",
        ),
        Cause::PlatformHardware => (
            "EC2 hardware",
            "EC2's system status check fails: the hardware below the instance is at fault",
            "stop and start the instance",
        ),
        Cause::CommandScriptTimeout => (
            "script timeout",
            "the script took longer than its time-out; the node answers",
            "look at the script, not at the node",
        ),
        Cause::CommandRejected => (
            "command rejected",
            "the command was rejected or cancelled; that is never a fault of the node",
            "look at how the command was sent",
        ),
        Cause::ServiceUnavailable => (
            "AWS service trouble",
            "the AWS service itself throttled or failed; the node is not at fault",
            "look at the AWS Health Dashboard",
        ),
        Cause::SessionClientGaveUp => (
            "session ended by client",
            "a session or port forward ended on the client's side; the node is healthy",
            "start a new session",
        ),
        Cause::NoisePeriodicReconnect => {
            ("normal reconnect", "the agent's connection was recycled, which is normal", "do nothing")
        }
        Cause::Healthy => ("healthy", "nothing wrong was found", "do nothing"),
        Cause::Unknown => ("cause unknown", "the evidence shows no cause", "look at the node"),
    };
    Words { name, sentence, please }
}
