//! Who is unhealthy around a node: as AWS shows it, for looks, and beyond every doubt, for whoever judges.

use super::{InstanceState, World};
use crate::incident::held::Ghost;
use crate::node::NodeId;
use crate::observe::Lifecycle;
use crate::sim::ailment::Checks;
use crate::sim::machine::{Machine, Secs};

/// AWS shows that an agent is gone, or that a status check fails, after this long at the latest, in seconds.
const SHOWN_SECS: Secs = 120;
/// A look may be this much older than the effect that rests on it, in seconds.
pub(crate) const LOOK_SECS: Secs = 90;

/// What a node counts with: its cluster, else its Auto Scaling group, else the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kin {
    Cluster(usize),
    Fleet(usize),
    Account,
}

impl World {
    /// Container instances that ECS lists though their machines are gone.
    pub(crate) fn ghosts(&self) -> Vec<Ghost> {
        let gone = self.machines.iter().filter(|machine| !machine.exists());
        gone.filter_map(|machine| {
            let ecs = machine.ecs.as_ref().filter(|ecs| ecs.registered)?;
            let cluster = self.clusters.get(ecs.cluster)?.arn.clone();
            Some(Ghost { node: machine.id, cluster, container_instance: ecs.arn.clone() })
        })
        .collect()
    }
}

impl Kin {
    fn of(machine: &Machine) -> Self {
        match (&machine.ecs, &machine.member) {
            (Some(ecs), _) => Self::Cluster(ecs.cluster),
            (None, Some(member)) => Self::Fleet(member.group),
            (None, None) => Self::Account,
        }
    }

    /// Where its counts stand.
    fn place(self) -> usize {
        match self {
            Self::Account => 0,
            Self::Cluster(cluster) => 2 * cluster + 1,
            Self::Fleet(fleet) => 2 * fleet + 2,
        }
    }
}

/// Counts of one group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Members that stay.
    pub size: u32,
    /// Unhealthy members.
    pub unhealthy: u32,
}

impl Tally {
    fn count(&mut self, unhealthy: bool) {
        self.size += 1;
        self.unhealthy += u32::from(unhealthy);
    }
}

/// The counts of one moment. They are taken once and hold until something happens or time goes on.
#[derive(Debug, Clone, Default)]
pub(super) struct Census {
    at: Option<Secs>,
    account: Tally,
    /// By the group's place.
    groups: Vec<Tally>,
    /// By the zone's index.
    zones: Vec<Tally>,
    /// Members of one group in one zone: by the group's place, then by the zone's index.
    parts: Vec<Vec<Tally>>,
}

impl Census {
    /// Something happened: the counts hold no more.
    pub(super) fn outdate(&mut self) {
        self.at = None;
    }

    /// The counts of a machine's group.
    pub(super) fn of(&self, machine: &Machine) -> Tally {
        match Kin::of(machine) {
            Kin::Account => self.account,
            kin => self.groups.get(kin.place()).copied().unwrap_or_default(),
        }
    }

    /// The counts of a machine's zone.
    pub(super) fn of_zone(&self, machine: &Machine) -> Tally {
        self.zones.get(machine.zone_index).copied().unwrap_or_default()
    }

    /// The counts of those who share a machine's group and its zone.
    pub(super) fn of_part(&self, machine: &Machine) -> Tally {
        let part = self.parts.get(Kin::of(machine).place()).and_then(|zones| zones.get(machine.zone_index));
        part.copied().unwrap_or_default()
    }

    fn add(&mut self, machine: &Machine, unhealthy: bool) {
        let (group, zone) = (Kin::of(machine).place(), machine.zone_index);
        self.account.count(unhealthy);
        count(&mut self.groups, group, unhealthy);
        count(&mut self.zones, zone, unhealthy);
        if self.parts.len() <= group {
            self.parts.resize(group + 1, Vec::new());
        }
        if let Some(zones) = self.parts.get_mut(group) {
            count(zones, zone, unhealthy);
        }
    }
}

/// Counts a member where it belongs.
fn count(tallies: &mut Vec<Tally>, index: usize, unhealthy: bool) {
    if tallies.len() <= index {
        tallies.resize(index + 1, Tally::default());
    }
    if let Some(tally) = tallies.get_mut(index) {
        tally.count(unhealthy);
    }
}

/// How many nodes count together, for whoever judges: with the most leave that lags and recent changes give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Crowd {
    /// Nodes that were there at every moment on which a look may rest.
    pub least: u32,
    /// Nodes that were there at some such moment.
    pub most: u32,
    /// Nodes that AWS certainly showed as unhealthy at every such moment.
    pub unhealthy: u32,
}

impl World {
    /// Counts anew where the counts are not of this moment.
    pub(super) fn take_census(&mut self) {
        if self.census.at == Some(self.now) {
            return;
        }
        let mut census = std::mem::take(&mut self.census);
        census.groups.clear();
        census.zones.clear();
        // The lists stay, so that they need no memory anew.
        census.parts.iter_mut().for_each(Vec::clear);
        (census.at, census.account) = (Some(self.now), Tally::default());
        for machine in self.machines.iter().filter(|machine| stays(machine)) {
            census.add(machine, self.shown_unhealthy(machine));
        }
        self.census = census;
    }

    /// The others who share a machine's group and its zone.
    pub(super) fn peers(&self, machine: &Machine) -> Tally {
        let all = self.census.of_part(machine);
        let own = u32::from(stays(machine));
        let own_unhealthy = u32::from(stays(machine) && self.shown_unhealthy(machine));
        Tally { size: all.size.saturating_sub(own), unhealthy: all.unhealthy.saturating_sub(own_unhealthy) }
    }

    /// Whether AWS shows a machine as unhealthy.
    fn shown_unhealthy(&self, machine: &Machine) -> bool {
        let now = self.now;
        let ecs = machine.ecs.as_ref().filter(|ecs| ecs.registered);
        let checked = machine.state == InstanceState::Running && now >= machine.checks_from;
        ecs.is_some_and(|ecs| !ecs.link.shown(now) || ecs.runtime_impaired)
            || self.ssm_looks_lost(machine, now)
            || checked && !(machine.instance_check.shown(now) && machine.system_check.shown(now))
            || stands_still(machine)
    }

    /// Whether every look that an effect of this moment can rest on showed a machine as unhealthy.
    fn certainly_unhealthy(&self, machine: &Machine) -> bool {
        let now = self.now;
        let ago = |since: Secs, lag: Secs| now - since > lag + LOOK_SECS;
        let agent =
            machine.ecs.as_ref().is_some_and(|ecs| ecs.registered && !ecs.link.up && ago(ecs.link.since, SHOWN_SECS));
        let runs = machine.state == InstanceState::Running && ago(machine.state_since, 0);
        let check = match machine.failing_check() {
            Checks::Pass => false,
            Checks::Instance | Checks::Volumes => {
                !machine.instance_check.up && ago(machine.instance_check.since, SHOWN_SECS)
            }
            Checks::System => !machine.system_check.up && ago(machine.system_check.since, SHOWN_SECS),
        };
        let silent = machine.ssm_listed() && !machine.ssm.up && ago(machine.ssm.since, self.ping_lost_secs);
        agent
            || runs && ago(machine.checks_from, 0) && check
            || runs && silent
            || stands_still(machine) && ago(machine.state_since, 0)
    }

    fn crowd(&self, is_one: impl Fn(&Machine) -> bool) -> Crowd {
        let mut crowd = Crowd::default();
        for machine in self.machines.iter().filter(|machine| is_one(machine)) {
            let gone_for = if machine.exists() { 0 } else { self.now - machine.state_since };
            let old = machine.exists() && self.now - machine.launched_at > LOOK_SECS;
            crowd.most += u32::from(gone_for <= LOOK_SECS);
            crowd.least += u32::from(old);
            crowd.unhealthy += u32::from(stays(machine) && self.certainly_unhealthy(machine));
        }
        crowd
    }

    /// The group that a node counts with: its cluster, else its Auto Scaling group, else the account.
    #[must_use]
    pub fn group_crowd(&self, node: NodeId) -> Crowd {
        let Some(kin) = self.index(node).and_then(|index| self.machines.get(index)).map(Kin::of) else {
            return Crowd::default();
        };
        self.crowd(|machine| kin == Kin::Account || Kin::of(machine) == kin)
    }
}

impl World {
    /// The Availability Zone of a node.
    #[must_use]
    pub fn zone_crowd(&self, node: NodeId) -> Crowd {
        let Some(zone) = self.index(node).and_then(|index| self.machines.get(index)).map(|own| own.zone_index) else {
            return Crowd::default();
        };
        self.crowd(|machine| machine.zone_index == zone)
    }

    /// The others who share a node's group and its zone; nobody for a node that is in no group.
    #[must_use]
    pub fn peer_crowd(&self, node: NodeId) -> Crowd {
        let Some(own) = self.index(node).and_then(|index| self.machines.get(index)) else { return Crowd::default() };
        let (kin, zone) = (Kin::of(own), own.zone_index);
        self.crowd(|machine| {
            kin != Kin::Account && machine.id != node && Kin::of(machine) == kin && machine.zone_index == zone
        })
    }
}

/// How much of a group's capacity there is, for whoever judges: with the most leave that recent changes give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Nodes that there should be.
    pub of: u32,
    /// Nodes that are there, those included that were a short time ago.
    pub existing: u32,
}

impl World {
    /// The capacity that a node is a part of: its Auto Scaling group's, else its cluster's; none for a node in neither.
    #[must_use]
    pub fn capacity(&self, node: NodeId) -> Option<Capacity> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        let Some(member) = &machine.member else {
            let of = machine.ecs.as_ref().map(|_| self.group_crowd(node).most)?;
            return Some(Capacity { of, existing: of });
        };
        let fleet = self.fleets.get(member.group)?;
        let of = fleet.desired.saturating_add(self.count_members(member.group, super::look::is_standby));
        let lately = |machine: &&Machine| machine.exists() || self.now - machine.state_since <= LOOK_SECS;
        let members = self.machines.iter().filter(lately);
        let existing = members.filter(|other| other.member.as_ref().is_some_and(|own| own.group == member.group));
        Some(Capacity { of, existing: u32::try_from(existing.count()).unwrap_or(u32::MAX) })
    }

    /// Whether two nodes are part of the same capacity.
    #[must_use]
    pub fn shares_capacity(&self, one: NodeId, other: NodeId) -> bool {
        let machine = |node| self.index(node).and_then(|index| self.machines.get(index));
        let (Some(one), Some(other)) = (machine(one), machine(other)) else { return false };
        match (&one.member, &other.member) {
            (Some(one), Some(other)) => one.group == other.group,
            (None, _) => one.ecs.is_some() && Kin::of(one) == Kin::of(other),
            (Some(_), None) => false,
        }
    }
}

/// Whether a machine is one that stays: neither gone nor on its way out.
fn stays(machine: &Machine) -> bool {
    !matches!(machine.state, InstanceState::ShuttingDown | InstanceState::Terminated)
}

/// Whether a member of an Auto Scaling group does not run, though its group wants it to.
fn stands_still(machine: &Machine) -> bool {
    matches!(machine.state, InstanceState::Stopping | InstanceState::Stopped)
        && machine.member.as_ref().is_some_and(|member| member.lifecycle != Lifecycle::Terminating)
}
