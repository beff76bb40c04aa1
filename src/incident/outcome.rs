//! How incidents end.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Remedy;
use crate::guard::Refusal;

/// How an incident ended: one word for code, JSON, metrics and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The node recovered by itself. Counted, not mailed.
    SelfHealed,
    /// A remedy helped, and no workload stopped for it.
    Fixed,
    /// A reboot, a stop and start, or a restart of the runtime helped.
    Cycled,
    /// A new instance took its place.
    Replaced,
    /// Only a person can go on.
    NeedsHuman,
    /// A rail that does not go away by itself stands in the way.
    Blocked,
    /// It waited for as long as it may; the sweep finds the node again.
    Deferred,
    /// The node is stopped or terminated, and not by us.
    Gone,
    /// Not a fault of the node, or not a node that Defib may touch.
    NotOurs,
    /// Mode `observe`: what would have been done.
    DryRun,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 10] = [
        Self::SelfHealed,
        Self::Fixed,
        Self::Cycled,
        Self::Replaced,
        Self::NeedsHuman,
        Self::Blocked,
        Self::Deferred,
        Self::Gone,
        Self::NotOurs,
        Self::DryRun,
    ];

    /// The word in code, JSON and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfHealed => "self-healed",
            Self::Fixed => "fixed",
            Self::Cycled => "cycled",
            Self::Replaced => "replaced",
            Self::NeedsHuman => "needs-human",
            Self::Blocked => "blocked",
            Self::Deferred => "deferred",
            Self::Gone => "gone",
            Self::NotOurs => "not-ours",
            Self::DryRun => "dry-run",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How and why an incident ended, or for what it rests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum Ending {
    /// Recovered by itself.
    SelfHealed,
    /// A remedy helped.
    Helped {
        /// Which one.
        remedy: Remedy,
    },
    /// The cause calls for a person: no remedy on the host can help, whatever the mode.
    CauseNotOurs,
    /// Every remedy that the cause allows was tried.
    LadderExhausted,
    /// The incident took longer than it may.
    TooLong,
    /// So many disruptive remedies in a day are no accident any more.
    Quarantined {
        /// How many.
        count: u32,
    },
    /// The instance was stopped by us and does not start.
    DoesNotStart,
    /// We could not give back what we took: drained or in Standby still.
    NotGivenBack,
    /// A rail that does not go away by itself.
    Refused {
        /// Which one, with its numbers.
        refusal: Refusal,
    },
    /// Waited for as long as it may.
    WaitedTooLong {
        /// For what.
        refusal: Refusal,
    },
    /// The node is stopped or terminated, and not by us.
    Gone,
    /// A session was refused or ended because its client had given it up; the node answers.
    SessionGaveUp,
    /// The script took too long, the node answers.
    ScriptTimedOut,
    /// The command was rejected before it reached the node.
    CommandRejected,
    /// Mode `observe`.
    WouldHave {
        /// What would have been done; none where only a person could do something.
        remedy: Option<Remedy>,
    },
    /// A person closed it.
    ClosedBy {
        /// Who, as claimed.
        by: Arc<str>,
        /// Whether it rested as needs-human before.
        rested: bool,
    },
}

impl Ending {
    /// The word for it.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::SelfHealed => Outcome::SelfHealed,
            Self::Helped { remedy } => match remedy {
                Remedy::FreeDisk | Remedy::RestartSsmAgent | Remedy::RestartEcsAgent => Outcome::Fixed,
                Remedy::RestartRuntime | Remedy::Reboot | Remedy::StopStart => Outcome::Cycled,
                Remedy::Replace => Outcome::Replaced,
            },
            Self::CauseNotOurs
            | Self::LadderExhausted
            | Self::TooLong
            | Self::Quarantined { .. }
            | Self::DoesNotStart
            | Self::NotGivenBack => Outcome::NeedsHuman,
            Self::Refused { refusal } => match refusal {
                Refusal::NotOptedIn { .. } | Refusal::OptedOut { .. } | Refusal::ManagedElsewhere { .. } => {
                    Outcome::NotOurs
                }
                Refusal::Quarantined { .. } => Outcome::NeedsHuman,
                Refusal::Paused
                | Refusal::PauseUnreadable
                | Refusal::Muted { .. }
                | Refusal::LaunchGrace { .. }
                | Refusal::ModeTooLow { .. }
                | Refusal::Budget { .. }
                | Refusal::Rate { .. }
                | Refusal::BreakerOpen { .. }
                | Refusal::Canary { .. }
                | Refusal::SharedCause { .. }
                | Refusal::ActiveIncidents { .. }
                | Refusal::LiveSessions { .. }
                | Refusal::OtherWork { .. }
                | Refusal::Approval { .. }
                | Refusal::CannotSee { .. }
                | Refusal::CallRefused { .. }
                | Refusal::Cooldown { .. }
                | Refusal::Group { .. }
                | Refusal::Stop { .. }
                | Refusal::CauseLimit { .. }
                | Refusal::UnhealthyStop { .. }
                | Refusal::ZoneFrozen { .. }
                | Refusal::LastInZone { .. }
                | Refusal::CalendarClosed { .. }
                | Refusal::Workload { .. }
                | Refusal::CapacityFloor { .. }
                | Refusal::NoWay { .. } => Outcome::Blocked,
            },
            Self::WaitedTooLong { .. } => Outcome::Deferred,
            Self::Gone => Outcome::Gone,
            Self::ScriptTimedOut | Self::CommandRejected | Self::SessionGaveUp => Outcome::NotOurs,
            Self::WouldHave { .. } => Outcome::DryRun,
            Self::ClosedBy { rested: true, .. } => Outcome::NeedsHuman,
            Self::ClosedBy { rested: false, .. } => Outcome::Deferred,
        }
    }
}
