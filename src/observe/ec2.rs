//! EC2's view of a node: its state, its checks, what is scheduled for it, and what stands in the way of a stop.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Manager, Tags};
use crate::node::{AvailabilityZone, DisplayName};

/// EC2's view of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ec2 {
    /// The instance's state.
    pub state: InstanceState,
    /// `LaunchTime`: changes with a stop and start, not with a reboot.
    pub launched_at: Timestamp,
    /// The system status check: the hardware below.
    pub system_check: Check,
    /// The instance status check: the operating system.
    pub instance_check: Check,
    /// The check of attached EBS volumes; undecided where it was not read.
    pub volumes_check: Check,
    /// What AWS has scheduled for it, the event that matters most; none: nothing, or nobody asked.
    pub scheduled: Option<Scheduled>,
    /// The `Name` tag.
    pub name: Option<DisplayName>,
    /// Where it runs.
    pub zone: AvailabilityZone,
    /// Defib's tags.
    pub tags: Tags,
    /// Who else repairs this instance.
    pub manager: Option<Manager>,
    /// What stands in the way of a stop and start.
    pub stop: StopGates,
}

/// `InstanceState` of EC2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running; a reboot does not leave this state.
    Running,
    /// On its way down.
    Stopping,
    /// Stopped, and can be started.
    Stopped,
    /// On its way out.
    ShuttingDown,
    /// Gone for good.
    Terminated,
}

/// A status check of EC2, or a health check of ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Passed.
    Ok,
    /// Failed.
    Impaired,
    /// Not decided: initializing, insufficient data, or not applicable.
    Undecided,
}

/// What `DescribeInstanceStatus` says of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChecks {
    /// `SystemStatus`.
    pub system: Check,
    /// `InstanceStatus`.
    pub instance: Check,
    /// `AttachedEbsStatus`.
    pub volumes: Check,
    /// Of `Events`, the open one that matters most.
    pub scheduled: Option<Scheduled>,
}

impl StatusChecks {
    /// Nothing is decided, and nothing planned.
    pub const UNDECIDED: Self =
        Self { system: Check::Undecided, instance: Check::Undecided, volumes: Check::Undecided, scheduled: None };
}

/// A scheduled event that is still to come, or in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scheduled {
    /// What will be done.
    pub kind: EventKind,
    /// `NotBefore`.
    pub not_before: Option<Timestamp>,
}

/// `Code` of a scheduled event, what ends the instance before what interrupts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// `instance-retirement`.
    Retirement,
    /// `instance-stop`.
    Stop,
    /// `instance-reboot`, `system-reboot`.
    Reboot,
    /// `system-maintenance`.
    Maintenance,
    /// What is not known yet.
    Other,
}

/// What makes a stop and start impossible or harmful (facts/aws.md §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent answer of DescribeInstances")]
pub struct StopGates {
    /// The root device is an instance store: a stop is refused, a shutdown terminates.
    pub instance_store_root: bool,
    /// Data volumes on an instance store: a stop erases them.
    pub instance_store_data: bool,
    /// A Spot instance: a stop is refused, or the request is reopened elsewhere.
    pub spot: bool,
    /// `DisableApiStop`.
    pub stop_protected: bool,
    /// A public address that is not an Elastic IP: it changes.
    pub public_address_changes: bool,
    /// An Elastic IP: a stop and start keeps it, and it belongs to nobody once the instance is terminated.
    pub elastic_address: bool,
    /// A volume is encrypted under a key that the stack does not name: without a grant for it the instance does not start again.
    pub volume_key: bool,
    /// A `DryRun` of the stop was refused.
    pub stop_denied: bool,
    /// A `DryRun` of the start was refused: what stops would stay stopped.
    pub start_denied: bool,
}
