//! Limits and modes: what Defib may do, and how patient it is.
//!
//! The built-in defaults are those of SAFETY.md; a document, read by [`document`], says what differs, and where. Which layer
//! goes over which stands in [`layers`]. A tag only lowers; [`crate::guard::mode`] sees to it at every look.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::diagnose::Cause;
use crate::incident::Remedy;
use crate::node::DocumentName;

pub mod document;
pub mod layers;
pub mod library;
mod mistakes;
mod nearest;
pub mod places;
#[cfg(test)]
mod properties;
pub mod schema;
pub mod settings;
pub mod standing;
pub mod tree;
pub mod yaml;

#[cfg(any(feature = "cli", feature = "lambda"))]
pub(crate) use nearest::distance;
pub(crate) use nearest::nearest;

/// How far Defib may go. Each mode includes the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Nothing at all.
    Off,
    /// Look and tell. Nothing is sent to nodes, unless `allow_probes` is set.
    Observe,
    /// Free disk space, restart agents.
    Restart,
    /// Drain, restart the runtime, reboot, stop and start.
    Cycle,
    /// Replace through the Auto Scaling group.
    Replace,
}

impl Mode {
    /// Every mode, the lowest first.
    pub const ALL: [Self; 5] = [Self::Off, Self::Observe, Self::Restart, Self::Cycle, Self::Replace];

    /// The word that stands in settings, tags and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Restart => "restart",
            Self::Cycle => "cycle",
            Self::Replace => "replace",
        }
    }

    /// The mode at most, to stand after "allows ": what it does at its strongest.
    #[must_use]
    pub fn allows(self) -> &'static str {
        match self {
            Self::Off => "nothing",
            Self::Observe => "looking and telling only",
            Self::Restart => "at most an agent restart",
            Self::Cycle => "at most a stop and start",
            Self::Replace => "everything up to a replacement",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a mode: allowed are off, observe, restart, cycle and replace")]
pub struct NotAMode;

impl std::str::FromStr for Mode {
    type Err = NotAMode;

    fn from_str(text: &str) -> Result<Self, NotAMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text.trim())).ok_or(NotAMode)
    }
}

/// What live Session Manager sessions mean for a remedy that would end them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionsRule {
    /// Wait until they have ended.
    #[default]
    Wait,
    /// Go on, and say in the report that they were there.
    Warn,
    /// Go on.
    Ignore,
}

/// What a public address means that a stop and start would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressRule {
    /// It changes, and the report says so.
    #[default]
    Allow,
    /// A node outside Auto Scaling groups is not stopped.
    Refuse,
}

/// What tasks mean that are still there when a drain has had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftRule {
    /// The remedy goes on.
    #[default]
    GoOn,
    /// The node is given back, and tried again later. A disconnected agent cannot end tasks, so nothing is waited for there.
    GiveBack,
}

/// What tasks of some kind mean for a remedy that would end them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TasksRule {
    /// It waits until they have ended.
    #[default]
    Refuse,
    /// It goes on.
    Ignore,
}

/// Tasks that nobody starts again elsewhere by itself, or that asked not to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct WorkloadRules {
    /// Tasks that no service started.
    pub standalone: TasksRule,
    /// Tasks under scale-in protection.
    pub protected: TasksRule,
    /// Tasks that a drain did not end in its time.
    pub left: LeftRule,
}

/// What Defib may do, and how patient it is. Times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Policy {
    /// How far Defib may go.
    pub mode: Mode,
    /// In mode `observe`, send the read-only probe all the same.
    pub allow_probes: bool,
    /// Live sessions.
    pub sessions: SessionsRule,
    /// A public address that a stop and start would change.
    pub address_change: AddressRule,
    /// From this remedy on, a person must approve.
    pub approve_from: Option<Remedy>,
    /// The change calendar that must be open for a disruptive remedy.
    pub calendar: Option<DocumentName>,
    /// From the first look to an agent restart, with two looks at least.
    pub restart_hold_down_secs: i64,
    /// From the first look to a disruptive remedy.
    pub disruptive_hold_down_secs: i64,
    /// After its launch, a node is left alone for this long.
    pub launch_grace_secs: i64,
    /// Between two attempts on one node.
    pub cooldown_secs: i64,
    /// Agent restarts of one kind in one incident.
    pub agent_restarts_max: u8,
    /// How long a parked incident waits before it ends as deferred.
    pub parked_max_secs: i64,
    /// How long an incident may take in all, parked time aside, before a person is asked.
    pub incident_max_secs: i64,
    /// A node whose incident ended without a repair is not told about again for this long, while nothing changes.
    pub quiet_secs: i64,
    /// Limits on what happens at the same time and how often.
    pub budgets: Budgets,
    /// When the circuit breaker opens.
    pub breaker: BreakerPolicy,
    /// When nodes count as failing together.
    pub shared_cause: SharedCausePolicy,
    /// Tasks that a disruptive remedy would end.
    pub workload: WorkloadRules,
    /// What a document says about single causes. Not part of the stored form.
    #[serde(skip)]
    pub causes: BTreeMap<Cause, places::CauseRule>,
    /// Where a document says something else; [`Policy::at`] looks. Not part of the stored form.
    #[serde(skip)]
    pub blocks: Option<Arc<places::Blocks>>,
    /// When the document was read, and whether its place was empty of a good one. Not part of the stored form.
    #[serde(skip)]
    pub known: standing::Known,
}

/// Limits on disruptive remedies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Budgets {
    /// At once in the account.
    pub account_at_once: u32,
    /// At once in a group or Availability Zone, at most this many …
    pub group_at_once: u32,
    /// … and at most this share of it, in percent; one in groups under ten.
    pub group_percent: u32,
    /// No disruptive remedy while more than this share of the group is unhealthy, in percent and rounded up, and one node at
    /// least; there is no such stop in groups under six.
    pub unhealthy_percent: u32,
    /// No disruptive remedy in an Availability Zone of which this share is unhealthy, in percent; zones under four nodes aside.
    pub zone_freeze_percent: u32,
    /// In any hour, in the account.
    pub account_an_hour: u32,
    /// In any day, in the account.
    pub account_a_day: u32,
    /// In any hour, on one node.
    pub node_an_hour: u32,
    /// In any day, on one node; then the node waits for a person.
    pub node_a_day: u32,
    /// Incidents that are worked on at the same time; the rest wait.
    pub active_incidents: u32,
    /// Incidents in their hold-down at the same time; nodes beyond that are only noted.
    pub watched_incidents: u32,
}

/// When the circuit breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct BreakerPolicy {
    /// It opens when so many distinct nodes are in trouble within the window …
    pub nodes: u32,
    /// … and this share of the fleet, in percent.
    pub percent: u32,
    /// The window, in seconds.
    pub window_secs: i64,
    /// How long it rests before one canary may try, in seconds.
    pub cool_down_secs: i64,
}

/// When nodes that share something count as failing together.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct SharedCausePolicy {
    /// So many at least …
    pub nodes: u32,
    /// … and this share of those that have it, in percent …
    pub percent: u32,
    /// … within so many seconds …
    pub window_secs: i64,
    /// … and so many times as often as those without it.
    pub times: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Observe,
            allow_probes: false,
            sessions: SessionsRule::Wait,
            address_change: AddressRule::Allow,
            approve_from: None,
            calendar: None,
            restart_hold_down_secs: 5 * 60,
            disruptive_hold_down_secs: 10 * 60,
            launch_grace_secs: 10 * 60,
            cooldown_secs: 5 * 60,
            agent_restarts_max: 2,
            parked_max_secs: 6 * 3_600,
            incident_max_secs: 5 * 3_600,
            quiet_secs: 24 * 3_600,
            budgets: Budgets::default(),
            breaker: BreakerPolicy::default(),
            shared_cause: SharedCausePolicy::default(),
            workload: WorkloadRules::default(),
            causes: BTreeMap::new(),
            blocks: None,
            known: standing::Known::default(),
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            account_at_once: 5,
            group_at_once: 3,
            group_percent: 10,
            unhealthy_percent: 20,
            zone_freeze_percent: 50,
            account_an_hour: 20,
            account_a_day: 50,
            node_an_hour: 1,
            node_a_day: 3,
            active_incidents: 50,
            watched_incidents: 1_000,
        }
    }
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { nodes: 10, percent: 5, window_secs: 5 * 60, cool_down_secs: 10 * 60 }
    }
}

impl Default for SharedCausePolicy {
    fn default() -> Self {
        Self { nodes: 3, percent: 50, window_secs: 10 * 60, times: 3 }
    }
}

impl Policy {
    /// The defaults in another mode.
    #[must_use]
    pub fn in_mode(mode: Mode) -> Self {
        Self { mode, ..Self::default() }
    }

    /// Whether the read-only probe may be sent.
    #[must_use]
    pub fn may_probe(&self, mode: Mode) -> bool {
        match mode {
            Mode::Off => false,
            Mode::Observe => self.allow_probes,
            Mode::Restart | Mode::Cycle | Mode::Replace => true,
        }
    }
}

/// Groups under this size know no unhealthy stop: one sick node of four would already be more than a fifth.
const UNHEALTHY_STOP_FROM: u32 = 6;

/// Zones under this size are never frozen: one sick node of two would already be half.
const ZONE_FREEZE_FROM: u32 = 4;

impl Budgets {
    /// Whether a zone of `size` nodes is frozen with so many unhealthy.
    #[must_use]
    pub fn freezes(&self, size: u32, unhealthy: u32) -> bool {
        size >= ZONE_FREEZE_FROM && unhealthy.saturating_mul(100) >= size.saturating_mul(self.zone_freeze_percent)
    }

    /// How many of a group of `size` nodes may be unhealthy at most, for a disruptive remedy on one of them; none in small
    /// groups, where one at a time is all that holds.
    #[must_use]
    pub fn unhealthy_at_most(&self, size: u32) -> Option<u32> {
        let share = size.saturating_mul(self.unhealthy_percent).div_ceil(100);
        (size >= UNHEALTHY_STOP_FROM).then_some(share.max(1))
    }

    /// How many of a group or zone of `size` nodes may be in repair at once: one under ten nodes.
    #[must_use]
    pub fn at_once(&self, size: u32) -> u32 {
        if size < 10 { 1 } else { self.group_at_once.min(size.saturating_mul(self.group_percent) / 100).max(1) }
    }
}
