//! Root causes, by the codes that every output of Defib uses.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares [`Cause`] and its codes in one place, so that a code cannot be forgotten.
macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// Why a node's agents do not answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Cause {
            $($(#[$doc])* #[serde(rename = $code)] $name,)*
        }

        impl Cause {
            /// Every cause, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code: `family.name`, or one of `healthy` and `unknown`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }
    };
}

causes! {
    /// Instance metadata is off, blocked, or one hop too far.
    IdentityImdsUnreachable = "identity.imds-unreachable",
    /// No IAM role on the instance, and no Default Host Management.
    IdentityNoInstanceProfile = "identity.no-instance-profile",
    /// The role lacks a permission, or an SCP or endpoint policy denies it.
    IdentityAccessDenied = "identity.access-denied",
    /// The token is expired or invalid, and not because of the clock.
    IdentityCredentialsExpired = "identity.credentials-expired",
    /// The hybrid activation, fingerprint or hardware id does not match; a cloned registration.
    IdentityRegistrationMismatch = "identity.registration-mismatch",
    /// Default Host Management is missing or broken.
    IdentityDefaultHostManagement = "identity.default-host-management",
    /// A name does not resolve.
    NetworkDns = "network.dns",
    /// TCP times out, is refused or has no route: security group, network ACL, route, NAT, missing endpoint.
    NetworkUnreachable = "network.unreachable",
    /// Certificate or handshake trouble, an intercepting proxy.
    NetworkTls = "network.tls",
    /// The proxy setting is wrong, or `no_proxy` is missing.
    NetworkProxy = "network.proxy",
    /// The clock is off by more than AWS accepts.
    ClockSkew = "clock.skew",
    /// The service is not running: stopped, disabled, masked, not installed, or exit 194.
    SsmAgentStopped = "ssm-agent.stopped",
    /// The process is up but does not answer.
    SsmAgentHung = "ssm-agent.hung",
    /// The agent backed off after failures.
    SsmAgentHibernating = "ssm-agent.hibernating",
    /// The worker or the core panics again and again.
    SsmAgentWorkerCrash = "ssm-agent.worker-crash",
    /// Five workers and the queue are full.
    SsmAgentWorkersExhausted = "ssm-agent.workers-exhausted",
    /// A self update holds its lock or failed.
    SsmAgentUpdateStuck = "ssm-agent.update-stuck",
    /// The configuration, vault or local state is unreadable or broken.
    SsmAgentMisconfigured = "ssm-agent.misconfigured",
    /// The unit is inactive, exited cleanly or never started.
    EcsAgentStopped = "ecs-agent.stopped",
    /// The process is up; introspection or ACS never answers.
    EcsAgentHung = "ecs-agent.hung",
    /// The agent exits and restarts again and again.
    EcsAgentCrashLoop = "ecs-agent.crash-loop",
    /// Exit 5 for another reason than the named ones.
    EcsAgentTerminalExit = "ecs-agent.terminal-exit",
    /// The container instance was deregistered.
    EcsAgentDeregistered = "ecs-agent.deregistered",
    /// The saved state is unreadable or does not match.
    EcsAgentStateCorrupt = "ecs-agent.state-corrupt",
    /// The saved cluster differs from the configured one.
    EcsAgentClusterMismatch = "ecs-agent.cluster-mismatch",
    /// The cluster does not exist or is inactive.
    EcsAgentClusterMissing = "ecs-agent.cluster-missing",
    /// The instance was resized after it registered.
    EcsAgentInstanceTypeChanged = "ecs-agent.instance-type-changed",
    /// The agent or pause image is missing or cannot be loaded.
    EcsAgentImageMissing = "ecs-agent.image-missing",
    /// User data or cloud-init failed.
    EcsAgentCloudInitFailed = "ecs-agent.cloud-init-failed",
    /// Attributes, configuration or parameters are invalid.
    EcsAgentMisconfigured = "ecs-agent.misconfigured",
    /// Docker or containerd is not running, or its socket is gone.
    RuntimeDockerDown = "runtime.docker-down",
    /// Docker does not answer in time.
    RuntimeDockerHung = "runtime.docker-hung",
    /// A daemon.json, network, cgroup or version problem keeps docker or the agent from working.
    RuntimeDockerMisconfigured = "runtime.docker-misconfigured",
    /// The storage driver's metadata is broken.
    RuntimeStorageCorrupt = "runtime.storage-corrupt",
    /// A file system is full.
    HostDiskFull = "host.disk-full",
    /// A file system has no inodes left.
    HostInodesExhausted = "host.inodes-exhausted",
    /// Memory is exhausted, or the kernel killed a process for it.
    HostOutOfMemory = "host.out-of-memory",
    /// No process or thread can be started.
    HostPidsExhausted = "host.pids-exhausted",
    /// No file can be opened.
    HostOpenFilesExhausted = "host.open-files-exhausted",
    /// Soft lockup, hung task or panic.
    HostKernelHang = "host.kernel-hang",
    /// The root file system is read-only.
    HostReadOnlyRoot = "host.read-only-root",
    /// A block device fails or does not answer.
    HostIoStalled = "host.io-stalled",
    /// The CPU is saturated for long.
    HostCpuSaturated = "host.cpu-saturated",
    /// Emergency mode, dracut, failed mounts.
    HostBootFailure = "host.boot-failure",
    /// Connection tracking full, default route lost, link down, a local firewall in the way.
    HostNetworkStack = "host.network-stack",
    /// The EC2 system status check fails, or the hardware reports errors.
    PlatformHardware = "platform.hardware",
    /// `ExecutionTimedOut`: the script, not the node.
    CommandScriptTimeout = "command.script-timeout",
    /// `AccessDenied`, `InvalidPlatform`, `RateExceeded` or `Terminated`: never a fault of the node.
    CommandRejected = "command.rejected",
    /// The control plane answers 5xx or throttles: no fault of the node.
    ServiceUnavailable = "service.unavailable",
    /// A port forward or session ended on the client's side.
    SessionClientGaveUp = "session.client-gave-up",
    /// Normal recycling of a websocket.
    NoisePeriodicReconnect = "noise.periodic-reconnect",
    /// Nothing is wrong.
    Healthy = "healthy",
    /// No cause could be shown.
    Unknown = "unknown",
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// A text that is no cause's code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such cause: {0}")]
pub struct NoSuchCause(pub String);

impl FromStr for Cause {
    type Err = NoSuchCause;

    fn from_str(code: &str) -> Result<Self, NoSuchCause> {
        Self::ALL.iter().copied().find(|cause| cause.code() == code).ok_or_else(|| NoSuchCause(code.to_owned()))
    }
}

/// What kind of thing is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IAM, credentials, metadata, registration.
    Identity,
    /// The way from the host to AWS.
    Network,
    /// The host's clock.
    Clock,
    /// The SSM agent itself.
    SsmAgent,
    /// The ECS container agent itself.
    EcsAgent,
    /// Docker or containerd.
    Runtime,
    /// The operating system and its resources.
    Host,
    /// EC2's hardware.
    Platform,
    /// Nothing that a remedy on the node could change: the script, the service, a client, noise.
    Elsewhere,
    /// Not known.
    Unknown,
}

impl Cause {
    /// What kind of thing is at fault.
    #[must_use]
    pub fn family(self) -> Family {
        match self.code().split('.').next().unwrap_or_default() {
            "identity" => Family::Identity,
            "network" => Family::Network,
            "clock" => Family::Clock,
            "ssm-agent" => Family::SsmAgent,
            "ecs-agent" => Family::EcsAgent,
            "runtime" => Family::Runtime,
            "host" => Family::Host,
            "platform" => Family::Platform,
            "unknown" => Family::Unknown,
            _ => Family::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for cause in Cause::ALL {
            assert_eq!(cause.code().parse::<Cause>().as_ref(), Ok(cause));
            assert_eq!(serde_json::to_string(cause).unwrap(), format!("\"{}\"", cause.code()));
        }
        assert!("host.on-fire".parse::<Cause>().is_err());
    }
}
