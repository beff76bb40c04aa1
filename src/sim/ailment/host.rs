//! Faults of the container runtime, the operating system and the hardware.

use super::profile::{Checks, EcsFace, Profile, Runtime, SsmFace, hints, shows};
use crate::diagnose::{Cause, Channel};
use crate::incident::Remedy;
use crate::observe::EventKind;

const RUNTIME_DOWN: Profile = Profile {
    ecs: EcsFace::Disconnected,
    runtime: Runtime::Impaired,
    cures: &[Remedy::RestartRuntime, Remedy::Reboot, Remedy::StopStart, Remedy::Replace],
    ..Profile::QUIET
};

pub(super) const DOCKER_DOWN: Profile = Profile {
    leaves: &[
        shows(
            Channel::Probe,
            Cause::RuntimeDockerDown,
            "unit docker: failed, Result=exit-code; /run/docker.sock: connection refused",
        ),
        hints(Channel::Probe, Cause::EcsAgentStopped, "unit ecs: inactive (dead), stopped with docker"),
    ],
    ..RUNTIME_DOWN
};

pub(super) const DOCKER_HUNG: Profile = Profile {
    ecs: EcsFace::Connected,
    leaves: &[shows(
        Channel::Probe,
        Cause::RuntimeDockerHung,
        "docker info: no answer in 10 s; ecs-agent.log: [DockerRuntimeHealthcheck] Docker Ping failed",
    )],
    ..RUNTIME_DOWN
};

pub(super) const STORAGE_CORRUPT: Profile = Profile {
    cures: &[Remedy::Replace],
    leaves: &[shows(
        Channel::Probe,
        Cause::RuntimeStorageCorrupt,
        "dockerd: failed to start daemon: error initializing graphdriver: overlay2: invalid checksum",
    )],
    ..RUNTIME_DOWN
};

pub(super) const DOCKER_MISCONFIGURED: Profile = Profile {
    cures: &[],
    forbids: &Remedy::ALL,
    leaves: &[shows(
        Channel::Probe,
        Cause::RuntimeDockerMisconfigured,
        "dockerd: unable to configure the Docker daemon with file /etc/docker/daemon.json: invalid character",
    )],
    ..RUNTIME_DOWN
};

/// The agent that died of it starts again only when there is room.
const NO_ROOM: Profile = Profile {
    ssm: SsmFace::AnswersBesideEcs,
    ecs: EcsFace::Disconnected,
    first: Some(Remedy::FreeDisk),
    cures: &[Remedy::RestartEcsAgent, Remedy::RestartRuntime, Remedy::Reboot, Remedy::StopStart, Remedy::Replace],
    forbids: &[Remedy::Reboot, Remedy::StopStart],
    ..Profile::QUIET
};

pub(super) const DISK_FULL: Profile = Profile {
    leaves: &[
        shows(Channel::Probe, Cause::HostDiskFull, "/var/lib/docker: 100% used, 0 bytes free of 30 GiB"),
        shows(Channel::Console, Cause::HostDiskFull, "systemd-journald: write error: No space left on device"),
    ],
    ..NO_ROOM
};

pub(super) const INODES_EXHAUSTED: Profile = Profile {
    leaves: &[
        shows(Channel::Probe, Cause::HostInodesExhausted, "/var: 100% of 1966080 inodes used, 41% of space used"),
        shows(
            Channel::Console,
            Cause::HostInodesExhausted,
            "systemd-tmpfiles: mkdir /var/tmp: No space left on device (inodes 100% used)",
        ),
    ],
    ..NO_ROOM
};

pub(super) const OUT_OF_MEMORY: Profile = Profile {
    leaves: &[shows(
        Channel::Console,
        Cause::HostOutOfMemory,
        "Out of memory: Killed process 1423 (amazon-ssm-agen) total-vm:1842340kB",
    )],
    ..Profile::SILENT
};

pub(super) const PIDS_EXHAUSTED: Profile = Profile {
    ssm: SsmFace::TakesNoCommands,
    leaves: &[shows(
        Channel::Console,
        Cause::HostPidsExhausted,
        "cgroup: fork rejected by pids controller in /system.slice; -bash: fork: Resource temporarily unavailable",
    )],
    ..Profile::SILENT
};

pub(super) const OPEN_FILES_EXHAUSTED: Profile = Profile {
    ssm: SsmFace::TakesNoCommands,
    leaves: &[shows(
        Channel::Console,
        Cause::HostOpenFilesExhausted,
        "VFS: file-max limit 97816 reached; accept4: too many open files in system",
    )],
    ..Profile::SILENT
};

pub(super) const KERNEL_HANG: Profile = Profile {
    checks: Checks::Instance,
    hangs: true,
    leaves: &[shows(
        Channel::Console,
        Cause::HostKernelHang,
        "watchdog: BUG: soft lockup - CPU#1 stuck for 143s! [kworker/1:2:8123]",
    )],
    ..Profile::SILENT
};

pub(super) const READ_ONLY_ROOT: Profile = Profile {
    ssm: SsmFace::TakesNoCommands,
    leaves: &[shows(
        Channel::Console,
        Cause::HostReadOnlyRoot,
        "EXT4-fs error (device nvme0n1p1): Detected aborted journal; Remounting filesystem read-only",
    )],
    ..Profile::SILENT
};

pub(super) const IO_STALLED: Profile = Profile {
    checks: Checks::Instance,
    hangs: true,
    cures: &[Remedy::StopStart, Remedy::Replace],
    leaves: &[shows(
        Channel::Console,
        Cause::HostIoStalled,
        "nvme nvme0: I/O 22 QID 2 timeout, aborting; INFO: task jbd2/nvme0n1p1-8:1123 blocked for more than 122 seconds",
    )],
    ..Profile::SILENT
};

pub(super) const BOOT_FAILURE: Profile = Profile {
    checks: Checks::Instance,
    hangs: true,
    cures: &[Remedy::Replace],
    leaves: &[shows(
        Channel::Console,
        Cause::HostBootFailure,
        "You are in emergency mode. Dependency failed for /data: Timed out waiting for device /dev/xvdf",
    )],
    ..Profile::SILENT
};

pub(super) const NETWORK_STACK: Profile = Profile {
    leaves: &[shows(
        Channel::Console,
        Cause::HostNetworkStack,
        "nf_conntrack: nf_conntrack: table full, dropping packet",
    )],
    ..Profile::SILENT
};

/// The workload's own doing: a new machine gets the same workload and is soon as busy.
pub(super) const CPU_SATURATED: Profile = Profile {
    ssm: SsmFace::TakesNoCommands,
    cures: &[],
    leaves: &[hints(
        Channel::Console,
        Cause::HostCpuSaturated,
        "systemd[1]: systemd-logind.service: Watchdog timeout (limit 3min)! load average: 214.07",
    )],
    ..Profile::SILENT
};

pub(super) const HARDWARE: Profile = Profile {
    checks: Checks::System,
    hangs: true,
    cures: &[Remedy::StopStart, Remedy::Replace],
    forbids: &[Remedy::Reboot],
    leaves: &[hints(Channel::Console, Cause::PlatformHardware, "mce: [Hardware Error]: Machine check events logged")],
    ..Profile::SILENT
};

/// The root volume does not answer: nothing is written to the console any more, and a boot waits for the same volume.
pub(super) const IMPAIRED_VOLUME: Profile = Profile {
    checks: Checks::Volumes,
    hangs: true,
    cures: &[Remedy::StopStart, Remedy::Replace],
    forbids: &[Remedy::Reboot],
    ..Profile::SILENT
};

/// AWS has seen the hardware fail and has scheduled the end; the status checks pass. A boot stays on it.
pub(super) const RETIREMENT: Profile = Profile {
    scheduled: Some(EventKind::Retirement),
    hangs: true,
    cures: &[Remedy::StopStart, Remedy::Replace],
    forbids: &[Remedy::Reboot],
    ..Profile::SILENT
};
