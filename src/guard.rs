//! The rails. Each one answers Ok or a [`Refusal`] with its numbers, which reaches the log and the mail unchanged.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnose::Cause;
use crate::effect::Effect;
use crate::incident::Remedy;
use crate::node::{AutoScalingGroupName, AvailabilityZone, DocumentName, NodeId, ResourceName};
use crate::observe::{Blind, Busy, Factor, Manager};
use crate::policy::Mode;
use breaker::TripReason;

pub mod breaker;
pub mod budget;
pub mod calendar;
pub mod fleet;
pub mod gates;
pub mod mode;
pub mod ownership;
#[cfg(test)]
mod properties;
pub mod shared;
mod words;
pub mod workload;

pub(crate) use words::Named;

/// Why Defib keeps its hands off, with the numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rail", rename_all_fields = "kebab-case")]
pub enum Refusal {
    /// An operator paused everything.
    Paused,
    /// Nobody knows whether everything is paused, so it is.
    PauseUnreadable,
    /// The opt-in tag is missing.
    NotOptedIn {
        /// On what.
        resource: Resource,
    },
    /// A tag opts it out.
    OptedOut {
        /// On what.
        resource: Resource,
    },
    /// Somebody else repairs this instance.
    ManagedElsewhere {
        /// Who.
        by: Manager,
    },
    /// A tag or an operator muted it.
    Muted {
        /// Until when.
        until: Timestamp,
    },
    /// It was launched only just now.
    LaunchGrace {
        /// Its age.
        age_secs: i64,
        /// The grace.
        grace_secs: i64,
    },
    /// The mode does not reach that far.
    ModeTooLow {
        /// The remedy that would come next.
        remedy: Remedy,
        /// The mode.
        mode: Mode,
        /// Whose tag lowered it; none: the stack's own mode.
        lowered_by: Option<Resource>,
    },
    /// The policy goes no further against this cause.
    CauseLimit {
        /// The cause.
        cause: Cause,
        /// The remedy that would come next.
        remedy: Remedy,
        /// The strongest that is allowed; none: it is only told.
        highest: Option<Remedy>,
    },
    /// Too many disruptive remedies at once.
    Budget {
        /// Where.
        scope: Scope,
        /// In repair now.
        held: u32,
        /// At most.
        limit: u32,
    },
    /// Too many disruptive remedies in a while.
    Rate {
        /// Where.
        scope: Scope,
        /// Done in the window.
        count: u32,
        /// At most.
        limit: u32,
        /// The window.
        window_secs: i64,
        /// When the oldest of them leaves the window.
        free_at: Timestamp,
    },
    /// The circuit breaker is open.
    BreakerOpen {
        /// Why.
        why: TripReason,
        /// When a canary may try.
        until: Timestamp,
    },
    /// The circuit breaker is half-open, and somebody else tries whether it can close.
    Canary {
        /// The node on which it is tried.
        node: NodeId,
    },
    /// Nodes that share something failed together: nothing that is done to one of them removes what they share.
    SharedCause {
        /// What they share.
        factor: Factor,
        /// Those that failed together …
        failing: u32,
        /// … of so many that have it.
        members: u32,
        /// Those that failed at the same time without it …
        outside: u32,
        /// … of so many that do not have it.
        others: u32,
    },
    /// So many incidents are being worked on that this one waits for its turn.
    ActiveIncidents {
        /// Worked on now.
        active: u32,
        /// At most.
        limit: u32,
    },
    /// So many disruptive remedies in a day are no accident any more: a person must clear the node.
    Quarantined {
        /// Since when.
        since: Timestamp,
        /// How many in the day before.
        count: u32,
    },
    /// People work on the node.
    LiveSessions {
        /// How many sessions.
        count: u16,
        /// The ids of the first few, which begin with who opened them.
        #[serde(default, skip_serializing_if = "nobody")]
        who: Arc<[ResourceName]>,
    },
    /// Somebody else's work runs on the node.
    OtherWork {
        /// What.
        work: Busy,
    },
    /// A person must approve.
    Approval {
        /// What.
        remedy: Remedy,
    },
    /// Something that must be known is not.
    CannotSee {
        /// What.
        what: Sight,
        /// Why not.
        blind: Blind,
    },
    /// AWS refused the call that would have begun it.
    CallRefused {
        /// Which one.
        effect: Effect,
    },
    /// Too soon after the attempt before.
    Cooldown {
        /// Until when.
        until: Timestamp,
    },
    /// The Auto Scaling group does not let it happen.
    Group {
        /// Why.
        why: GroupRefusal,
    },
    /// The instance cannot be stopped and started.
    Stop {
        /// Why.
        why: StopRefusal,
    },
    /// So much of the group is unhealthy that the fault is hardly the node's own.
    UnhealthyStop {
        /// The group.
        group: Arc<str>,
        /// Unhealthy members.
        unhealthy: u32,
        /// All members.
        size: u32,
        /// At most.
        limit: u32,
    },
    /// One node less, and the group would have less capacity than it must keep.
    CapacityFloor {
        /// Which group.
        scope: Scope,
        /// Nodes that there should be.
        of: u32,
        /// Nodes that must stay.
        stay: u32,
        /// Nodes in repair now.
        held: u32,
        /// Nodes that are missing for other reasons.
        missing: u32,
    },
    /// So much of the Availability Zone is unhealthy that it is frozen.
    ZoneFrozen {
        /// The zone.
        zone: AvailabilityZone,
        /// Unhealthy nodes.
        unhealthy: u32,
        /// All nodes.
        size: u32,
        /// From this share on, in percent.
        percent: u32,
    },
    /// It is the last of its group that serves in its Availability Zone.
    LastInZone {
        /// The zone.
        zone: AvailabilityZone,
        /// Members there, this one included.
        members: u32,
        /// The unhealthy ones: all others.
        unhealthy: u32,
    },
    /// Tasks on the node would end that must not.
    Workload {
        /// Which, and why.
        why: WorkloadRefusal,
    },
    /// The change calendar is closed.
    CalendarClosed {
        /// Which one.
        name: DocumentName,
        /// When it opens, as far as it says.
        until: Option<Timestamp>,
    },
    /// The remedy cannot be carried out on this kind of node.
    NoWay {
        /// Which remedy.
        remedy: Remedy,
        /// Why.
        why: NoWay,
    },
}

fn nobody(who: &Arc<[ResourceName]>) -> bool {
    who.is_empty()
}

/// What carries a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// The instance.
    Instance,
    /// Its Auto Scaling group.
    Group,
    /// Its cluster.
    Cluster,
}

/// Where a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// One node.
    Node(NodeId),
    /// A cluster or Auto Scaling group.
    Group(Arc<str>),
    /// An Auto Scaling group: its capacity.
    ScalingGroup(AutoScalingGroupName),
    /// An Availability Zone.
    Zone(AvailabilityZone),
    /// The account in this region.
    Account,
}

/// Something that must be seen before anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// EC2's view.
    Ec2,
    /// Systems Manager's view.
    Ssm,
    /// ECS's view.
    Ecs,
    /// The Auto Scaling group's view.
    Group,
    /// What the node shares with others.
    Factors,
    /// Role and profile.
    Identity,
    /// The way to AWS.
    Network,
    /// Console output.
    Console,
    /// Live sessions.
    Sessions,
    /// Somebody else's work.
    OtherWork,
    /// The tasks on the node.
    Workload,
    /// The change calendar.
    Calendar,
    /// The invocation that told of it.
    Invocation,
    /// Whether the node takes a command.
    Probe,
}

/// Why an Auto Scaling group does not let a remedy happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason", rename_all_fields = "kebab-case")]
pub enum GroupRefusal {
    /// `Launch` or `Terminate` is suspended.
    Suspended,
    /// An instance refresh runs.
    Refreshing,
    /// Standby would go below the minimum.
    BelowMinimum {
        /// `DesiredCapacity`.
        desired: u32,
        /// `MinSize`.
        min: u32,
    },
    /// The instance is in no state to be moved.
    NotInService,
}

/// Which tasks a remedy would end, though they must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason", rename_all_fields = "kebab-case")]
pub enum WorkloadRefusal {
    /// Tasks that no service started, so nobody starts them again.
    Standalone {
        /// How many.
        count: u32,
    },
    /// Tasks under scale-in protection.
    Protected {
        /// How many.
        count: u32,
        /// When the last of these protections expires.
        until: Option<Timestamp>,
    },
    /// A service would fall below its `minimumHealthyPercent`.
    ServiceMinimum {
        /// Its tasks elsewhere.
        elsewhere: u32,
        /// Its desired count.
        desired: u32,
        /// Its minimum, in percent.
        percent: u32,
    },
    /// Tasks that the drain did not end in its time.
    StillThere {
        /// How many.
        count: u32,
    },
}

/// Why an instance cannot be stopped and started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopRefusal {
    /// Its root device is an instance store.
    InstanceStoreRoot,
    /// A stop erases its data volumes.
    InstanceStoreData,
    /// It is a Spot instance.
    Spot,
    /// `DisableApiStop`.
    StopProtected,
    /// A volume is encrypted under a key that the stack does not name.
    VolumeKey,
    /// A `DryRun` of the stop was refused.
    StopDenied,
    /// A `DryRun` of the start was refused.
    StartDenied,
    /// A stop changes its public address, and the policy keeps it.
    PublicAddress,
}

/// Why a remedy cannot be carried out on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoWay {
    /// The SSM agent does not answer, so nothing can be run on the host.
    SsmSilent,
    /// The node is not an EC2 instance.
    NotEc2,
    /// The node is in no Auto Scaling group.
    NoGroup,
    /// The host has no shell.
    NoShell,
}

/// Whether a refusal goes away, and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lasts {
    /// It stays until a person changes something.
    ForGood,
    /// Ask again at this moment.
    Until(Timestamp),
    /// Ask again after this many seconds.
    Secs(i64),
}

impl Refusal {
    /// Whether it goes away, and when to ask again.
    #[must_use]
    pub fn lasts(&self) -> Lasts {
        match self {
            Self::NotOptedIn { .. }
            | Self::OptedOut { .. }
            | Self::ManagedElsewhere { .. }
            | Self::ModeTooLow { .. }
            | Self::CauseLimit { .. }
            | Self::Quarantined { .. }
            | Self::Stop { .. }
            | Self::NoWay { .. } => Lasts::ForGood,
            Self::Muted { until } | Self::Cooldown { until } => Lasts::Until(*until),
            Self::CalendarClosed { until: Some(until), .. } => Lasts::Until(*until),
            Self::Rate { free_at, .. } => Lasts::Until(*free_at),
            Self::BreakerOpen { until, .. } => Lasts::Until(*until),
            Self::LaunchGrace { age_secs, grace_secs } => Lasts::Secs(grace_secs.saturating_sub(*age_secs).max(15)),
            Self::Paused
            | Self::PauseUnreadable
            | Self::Approval { .. }
            | Self::Group { .. }
            | Self::CallRefused { .. }
            | Self::LiveSessions { .. }
            | Self::SharedCause { .. }
            | Self::ActiveIncidents { .. }
            | Self::ZoneFrozen { .. }
            | Self::LastInZone { .. }
            | Self::CalendarClosed { until: None, .. }
            | Self::OtherWork { .. } => Lasts::Secs(300),
            Self::Workload { why } => match why {
                WorkloadRefusal::Standalone { .. } | WorkloadRefusal::Protected { .. } => Lasts::Secs(300),
                // Asked after a drain that moved too little: another one is not tried every few minutes.
                WorkloadRefusal::ServiceMinimum { .. } | WorkloadRefusal::StillThere { .. } => Lasts::Secs(1_800),
            },
            Self::Budget { .. }
            | Self::Canary { .. }
            | Self::CannotSee { .. }
            | Self::UnhealthyStop { .. }
            | Self::CapacityFloor { .. } => Lasts::Secs(120),
        }
    }

    /// The remedy that a person is asked to approve.
    #[must_use]
    pub fn asks_for(&self) -> Option<Remedy> {
        if let Self::Approval { remedy } = self { Some(*remedy) } else { None }
    }

    /// Whether it is the same wait as another, whatever the numbers are now. The question for another remedy is another one.
    #[must_use]
    pub fn is_again(&self, other: &Self) -> bool {
        self.rail() == other.rail() && self.asks_for() == other.asks_for()
    }

    /// The rail's name: a stable word for machines.
    #[must_use]
    pub fn rail(&self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::PauseUnreadable => "pause-unreadable",
            Self::NotOptedIn { .. } => "not-opted-in",
            Self::OptedOut { .. } => "opted-out",
            Self::ManagedElsewhere { .. } => "managed-elsewhere",
            Self::Muted { .. } => "muted",
            Self::LaunchGrace { .. } => "launch-grace",
            Self::ModeTooLow { .. } => "mode-too-low",
            Self::CauseLimit { .. } => "cause-limit",
            Self::Budget { .. } => "budget",
            Self::Rate { .. } => "rate",
            Self::BreakerOpen { .. } => "breaker-open",
            Self::Canary { .. } => "breaker-canary",
            Self::SharedCause { .. } => "shared-cause",
            Self::ActiveIncidents { .. } => "active-incidents",
            Self::Quarantined { .. } => "quarantined",
            Self::LiveSessions { .. } => "live-sessions",
            Self::OtherWork { .. } => "other-work",
            Self::Approval { .. } => "approval",
            Self::CannotSee { .. } => "cannot-see",
            Self::CallRefused { .. } => "call-refused",
            Self::Cooldown { .. } => "cooldown",
            Self::Group { .. } => "group",
            Self::Stop { .. } => "stop",
            Self::UnhealthyStop { .. } => "unhealthy-stop",
            Self::CapacityFloor { .. } => "capacity-floor",
            Self::ZoneFrozen { .. } => "zone-frozen",
            Self::LastInZone { .. } => "last-in-zone",
            Self::Workload { .. } => "workload",
            Self::CalendarClosed { .. } => "calendar-closed",
            Self::NoWay { .. } => "no-way",
        }
    }
}
