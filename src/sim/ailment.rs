//! The catalogue of hidden faults: what each one does to a node, what it leaves behind as evidence, and what cures it.
//!
//! A fault is one row of a table, a [`Profile`]. The simulated machine knows nothing of causes: it asks the row.

use crate::diagnose::Cause;

mod agents;
mod elsewhere;
mod host;
mod profile;
mod surroundings;

pub use profile::{Agents, Checks, EcsFace, Profile, Runtime, SsmFace, Trace};

/// Declares [`Ailment`]: each variant is named like its cause and points at its row. Behind them stand other faces of a cause, with
/// names of their own.
macro_rules! ailments {
    ($($name:ident = $row:path,)* ; $($face:ident($code:literal, $cause:ident) = $face_row:path,)*) => {
        /// A hidden fault of a simulated node. Most are named like the cause that a good diagnosis finds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Ailment {
            $(#[doc = concat!("See [`Cause::", stringify!($name), "`].")] $name,)*
            $(#[doc = concat!("Another face of [`Cause::", stringify!($cause), "`].")] $face,)*
        }

        impl Ailment {
            /// Every fault that the simulated account knows.
            pub const ALL: &[Self] = &[$(Self::$name,)* $(Self::$face,)*];

            /// One fault a cause, named like it.
            pub const CAUSES: &[Self] = &[$(Self::$name,)*];

            /// The cause that explains it.
            #[must_use]
            pub fn cause(self) -> Cause {
                match self {
                    $(Self::$name => Cause::$name,)*
                    $(Self::$face => Cause::$cause,)*
                }
            }

            /// Its name in scripts: its cause's code, or one of its own.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$name => Cause::$name.code(),)*
                    $(Self::$face => $code,)*
                }
            }

            /// Its row in the table.
            #[must_use]
            pub fn profile(self) -> &'static Profile {
                match self {
                    $(Self::$name => &$row,)*
                    $(Self::$face => &$face_row,)*
                }
            }
        }
    };
}

ailments! {
    Healthy = elsewhere::HEALTHY,
    NoisePeriodicReconnect = elsewhere::PERIODIC_RECONNECT,
    CommandScriptTimeout = elsewhere::SCRIPT_TIMEOUT,
    CommandRejected = elsewhere::REJECTED,
    SessionClientGaveUp = elsewhere::CLIENT_GAVE_UP,
    ServiceUnavailable = elsewhere::SERVICE_UNAVAILABLE,
    IdentityImdsUnreachable = surroundings::IMDS_UNREACHABLE,
    IdentityNoInstanceProfile = surroundings::NO_INSTANCE_PROFILE,
    IdentityAccessDenied = surroundings::ACCESS_DENIED,
    IdentityCredentialsExpired = surroundings::CREDENTIALS_EXPIRED,
    IdentityRegistrationMismatch = surroundings::REGISTRATION_MISMATCH,
    IdentityDefaultHostManagement = surroundings::DEFAULT_HOST_MANAGEMENT,
    NetworkDns = surroundings::DNS,
    NetworkUnreachable = surroundings::UNREACHABLE,
    NetworkTls = surroundings::TLS,
    NetworkProxy = surroundings::PROXY,
    ClockSkew = surroundings::CLOCK_SKEW,
    SsmAgentStopped = agents::SSM_STOPPED,
    SsmAgentHung = agents::SSM_HUNG,
    SsmAgentHibernating = agents::SSM_HIBERNATING,
    SsmAgentWorkerCrash = agents::SSM_WORKER_CRASH,
    SsmAgentWorkersExhausted = agents::SSM_WORKERS_EXHAUSTED,
    SsmAgentUpdateStuck = agents::SSM_UPDATE_STUCK,
    SsmAgentMisconfigured = agents::SSM_MISCONFIGURED,
    EcsAgentStopped = agents::ECS_STOPPED,
    EcsAgentHung = agents::ECS_HUNG,
    EcsAgentCrashLoop = agents::ECS_CRASH_LOOP,
    EcsAgentTerminalExit = agents::ECS_TERMINAL_EXIT,
    EcsAgentDeregistered = agents::ECS_DEREGISTERED,
    EcsAgentStateCorrupt = agents::ECS_STATE_CORRUPT,
    EcsAgentClusterMismatch = agents::ECS_CLUSTER_MISMATCH,
    EcsAgentInstanceTypeChanged = agents::ECS_INSTANCE_TYPE_CHANGED,
    EcsAgentImageMissing = agents::ECS_IMAGE_MISSING,
    EcsAgentCloudInitFailed = agents::ECS_CLOUD_INIT_FAILED,
    EcsAgentMisconfigured = agents::ECS_MISCONFIGURED,
    RuntimeDockerDown = host::DOCKER_DOWN,
    RuntimeDockerHung = host::DOCKER_HUNG,
    RuntimeStorageCorrupt = host::STORAGE_CORRUPT,
    RuntimeDockerMisconfigured = host::DOCKER_MISCONFIGURED,
    HostDiskFull = host::DISK_FULL,
    HostInodesExhausted = host::INODES_EXHAUSTED,
    HostOutOfMemory = host::OUT_OF_MEMORY,
    HostPidsExhausted = host::PIDS_EXHAUSTED,
    HostOpenFilesExhausted = host::OPEN_FILES_EXHAUSTED,
    HostKernelHang = host::KERNEL_HANG,
    HostReadOnlyRoot = host::READ_ONLY_ROOT,
    HostIoStalled = host::IO_STALLED,
    HostBootFailure = host::BOOT_FAILURE,
    HostNetworkStack = host::NETWORK_STACK,
    HostCpuSaturated = host::CPU_SATURATED,
    PlatformHardware = host::HARDWARE,
    ;
    ImpairedVolume("impaired-volume", HostIoStalled) = host::IMPAIRED_VOLUME,
    Retirement("retirement", PlatformHardware) = host::RETIREMENT,
}

impl Ailment {
    /// Every fault that the simulated account knows.
    #[must_use]
    pub fn all() -> &'static [Self] {
        Self::ALL
    }

    /// The fault that is named like a cause, when the simulated account knows it.
    #[must_use]
    pub fn from_cause(cause: Cause) -> Option<Self> {
        Self::CAUSES.iter().copied().find(|ailment| ailment.cause() == cause)
    }

    /// The fault with this name.
    #[must_use]
    pub fn named(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|ailment| ailment.code() == code)
    }

    /// The other face of the same cause; itself where it has but one.
    #[must_use]
    pub fn other_face(self) -> Self {
        Self::ALL.iter().copied().find(|other| *other != self && other.cause() == self.cause()).unwrap_or(self)
    }

    /// Whether nothing is wrong with the node itself.
    #[must_use]
    pub fn is_harmless(self) -> bool {
        let profile = self.profile();
        profile.ssm == SsmFace::Answers && profile.ecs == EcsFace::Connected && profile.runtime == Runtime::Answers
    }

    /// Whether it can only be seen on a node that runs the ECS agent.
    #[must_use]
    pub fn needs_ecs(self) -> bool {
        let profile = self.profile();
        !self.is_harmless() && profile.ssm == SsmFace::Answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Channel, Family, Severity};
    use crate::incident::Remedy;

    #[test]
    fn what_cures_a_fault_is_not_forbidden_by_it() {
        for ailment in Ailment::ALL {
            let profile = ailment.profile();
            // A full disk forbids a reboot only until it has been freed.
            if profile.first.is_none() {
                for remedy in profile.cures {
                    assert!(!profile.forbids.contains(remedy), "{ailment:?} is cured by {remedy} and forbids it");
                }
            }
        }
    }

    #[test]
    fn every_family_of_causes_has_a_fault() {
        let families = [
            Family::Identity,
            Family::Network,
            Family::Clock,
            Family::SsmAgent,
            Family::EcsAgent,
            Family::Runtime,
            Family::Host,
            Family::Platform,
            Family::Elsewhere,
        ];
        for family in families {
            assert!(Ailment::ALL.iter().any(|ailment| ailment.cause().family() == family), "{family:?}");
        }
    }

    #[test]
    fn every_fault_is_found_by_its_cause() {
        for ailment in Ailment::CAUSES {
            assert_eq!(Ailment::from_cause(ailment.cause()), Some(*ailment));
        }
        assert_eq!(Ailment::from_cause(Cause::Unknown), None);
        for ailment in Ailment::ALL {
            assert_eq!(Ailment::named(ailment.code()), Some(*ailment));
            assert!(Ailment::from_cause(ailment.cause()).is_some());
        }
        assert_eq!(Ailment::HostIoStalled.other_face(), Ailment::ImpairedVolume);
        assert_eq!(Ailment::HostDiskFull.other_face(), Ailment::HostDiskFull);
    }

    #[test]
    fn faults_of_the_surroundings_can_be_seen_without_the_host() {
        for ailment in Ailment::ALL {
            let outside = matches!(ailment.cause().family(), Family::Identity | Family::Network | Family::Clock);
            if outside {
                let seen = ailment.profile().leaves.iter().any(|trace| {
                    trace.cause == ailment.cause()
                        && trace.severity == Severity::Cause
                        && matches!(trace.channel, Channel::Identity | Channel::Network | Channel::Console)
                });
                assert!(seen, "{ailment:?} leaves nothing on the control plane or the console");
                assert!(ailment.profile().cures.is_empty(), "{ailment:?} is repaired by a person only");
                assert_eq!(ailment.profile().forbids, Remedy::ALL, "{ailment:?} forbids every remedy");
            }
        }
    }

    #[test]
    fn a_fault_that_forbids_a_reboot_on_a_silent_node_shows_itself_without_the_host() {
        for ailment in Ailment::ALL {
            let profile = ailment.profile();
            if profile.ssm != SsmFace::Answers && profile.forbids.contains(&Remedy::Reboot) {
                let seen = matches!(profile.checks, Checks::System | Checks::Volumes)
                    || profile.scheduled.is_some()
                    || profile.leaves.iter().any(|trace| {
                        trace.severity == Severity::Cause
                            && matches!(trace.channel, Channel::Identity | Channel::Network | Channel::Console)
                    });
                assert!(seen, "{ailment:?}");
            }
        }
    }

    #[test]
    fn a_fault_that_only_ecs_feels_shows_itself_to_the_probe() {
        for ailment in Ailment::ALL.iter().filter(|ailment| ailment.needs_ecs()) {
            let seen = ailment.profile().leaves.iter().any(|trace| trace.channel == Channel::Probe);
            assert!(seen, "{ailment:?}");
        }
    }

    #[test]
    fn evidence_is_short_and_comes_from_a_channel_that_is_read() {
        for trace in Ailment::ALL.iter().flat_map(|ailment| ailment.profile().leaves) {
            assert!(!trace.evidence.is_empty() && trace.evidence.chars().count() <= 400, "{}", trace.evidence);
            assert!(matches!(trace.channel, Channel::Identity | Channel::Network | Channel::Console | Channel::Probe));
        }
    }

    #[test]
    fn a_hung_ssm_agent_leaves_nothing_but_silence() {
        assert!(Ailment::SsmAgentHung.profile().leaves.is_empty());
    }
}
