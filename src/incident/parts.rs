//! What an incident is made of: the place, the symptoms, the tries, the words of operators.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Remedy;
use crate::event::SignalKind;
use crate::guard::Scope;
use crate::node::{
    AccountId, AutoScalingGroupName, AvailabilityZone, ClusterArn, CommandId, ContainerInstanceArn, DisplayName,
    Region, ResourceName,
};
use crate::observe::{Check, Connection, Ecs, Factor, Observation, Platform, StopGates};
use crate::time::secs_between;

/// Looks further apart than this do not belong to one run, in seconds: a node parked for an hour may have been well in
/// between, and be caught in a natural reconnect at the next look.
const RUN_GAP_SECS: i64 = 360;

/// Where a node stands, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// Availability Zone.
    pub zone: Option<AvailabilityZone>,
    /// The `Name` tag.
    pub name: Option<DisplayName>,
    /// Cluster and container instance.
    pub container_instance: Option<(ClusterArn, ContainerInstanceArn)>,
    /// Auto Scaling group.
    pub group: Option<AutoScalingGroupName>,
    /// What runs there.
    pub platform: Platform,
    /// Tasks on it when it was last seen.
    pub tasks: u32,
    /// It has a public address that a stop and start changes. Of its own beside `stop`, since older records have only this.
    #[serde(default)]
    pub public_address_changes: bool,
    /// What forbids to stop and start it.
    #[serde(default, skip_serializing_if = "nothing_bars")]
    pub stop: StopGates,
    /// The services that had tasks on it, the first few.
    #[serde(default, skip_serializing_if = "no_services")]
    pub services: Arc<[ResourceName]>,
    /// What it shares with other nodes.
    #[serde(default, skip_serializing_if = "no_factors")]
    pub factors: Arc<[Factor]>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn nothing_bars(stop: &StopGates) -> bool {
    *stop == StopGates::default()
}

fn no_services(services: &Arc<[ResourceName]>) -> bool {
    services.is_empty()
}

fn no_factors(factors: &Arc<[Factor]>) -> bool {
    factors.is_empty()
}

impl Place {
    /// What the node counts under: its cluster, else its Auto Scaling group, else the account.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match (&self.container_instance, &self.group) {
            (Some((cluster, _)), _) => Scope::Group(cluster.name().into()),
            (None, Some(group)) => Scope::Group(group.as_str().into()),
            (None, None) => Scope::Account,
        }
    }
}

/// Something that told of the outage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symptom {
    /// When it was received.
    pub at: Timestamp,
    /// What it said.
    pub kind: SignalKind,
}

/// An unbroken run of looks that found the ECS container agent disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// The first of them.
    pub since: Timestamp,
    /// The latest of them.
    pub until: Timestamp,
    /// The SSM agent was not connected either, when its connection was last read.
    #[serde(default)]
    pub ssm_away: bool,
    /// ECS itself has called the connection impaired.
    #[serde(default)]
    pub impaired: bool,
}

impl Run {
    /// A run that begins with this look.
    pub(super) fn beginning(seen: &Observation, ecs: &Ecs) -> Self {
        let ssm_away = connection(seen) == Some(Connection::NotConnected);
        Self { since: seen.at, until: seen.at, ssm_away, impaired: ecs.agent_check == Check::Impaired }
    }

    /// The run with one more look, if that look belongs to it.
    ///
    /// Looks far apart do not. Nor does one that shows that something came back: the SSM agent is connected again, or ECS took
    /// its word back. Then a host that was silent is there again, and its ECS agent may be on its way, or be in a natural
    /// reconnect. How long that lasts is timed from now (S1).
    pub(super) fn with(self, seen: &Observation, ecs: &Ecs) -> Option<Self> {
        let connection = connection(seen);
        let ssm_came_back = self.ssm_away && connection == Some(Connection::Connected);
        let ecs_came_back = self.impaired && ecs.agent_check == Check::Ok;
        if ssm_came_back || ecs_came_back || secs_between(self.until, seen.at) > RUN_GAP_SECS {
            return None;
        }
        let now = Self::beginning(seen, ecs);
        // What could not be read is as it was.
        let ssm_away = if connection.is_some() { now.ssm_away } else { self.ssm_away };
        Some(Self { since: self.since, ssm_away, impaired: self.impaired || now.impaired, ..now })
    }
}

fn connection(seen: &Observation) -> Option<Connection> {
    seen.ssm.known().and_then(|ssm| ssm.connection.known()).copied()
}

/// Our last probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProbeSent {
    /// When its intent was saved.
    pub at: Timestamp,
    /// Its command, once known.
    pub command: Option<CommandId>,
}

/// What of ours is still in effect on the node, to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "four independent things that must each be given back")]
pub struct Holds {
    /// We set it to `DRAINING`.
    pub draining: bool,
    /// We moved it to Standby.
    pub standby: bool,
    /// We stopped it.
    pub stopped: bool,
    /// We hold permits for a disruptive remedy.
    pub permits: bool,
}

/// One try at one remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The remedy.
    pub remedy: Remedy,
    /// When it was decided.
    pub at: Timestamp,
    /// When its own effect was committed; none while the node is still being drained or set aside.
    pub acted_at: Option<Timestamp>,
    /// How it ended.
    pub result: AttemptResult,
}

/// How a try at a remedy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptResult {
    /// Still going on.
    Running,
    /// Its proof was seen.
    Helped,
    /// Its proof was not seen in time.
    Failed,
    /// AWS refused the call: nothing happened.
    Refused,
    /// It was never sent: its time had passed, or a guard stepped in while the node was drained.
    NotSent,
}

impl AttemptResult {
    /// The word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Helped => "helped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NotSent => "not-sent",
        }
    }
}

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Who, as claimed.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// This remedy rather than the next one of the ladder.
    pub remedy: Option<Remedy>,
}

/// An approval: bound to this incident, one remedy and an expiry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Approval {
    /// Who, as claimed.
    pub by: Arc<str>,
    /// The remedy.
    pub remedy: Remedy,
    /// Until when.
    pub until: Timestamp,
}
