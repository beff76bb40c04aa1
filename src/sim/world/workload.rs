//! Tasks: one service a cluster, and on single machines tasks that no service started or that are protected.
//!
//! Simpler than outside: a task of the service that has left its node, or died with it, runs at once on another node of the
//! cluster that is active and whose agent is connected, if there is one; it goes home when its node is back. ECS counts what
//! ran on a disconnected agent as running, and starts it again elsewhere only while that node drains.

use std::sync::Arc;

use jiff::Timestamp;

use super::census::LOOK_SECS;
use super::{InstanceState, World, moment};
use crate::node::{NodeId, ResourceName};
use crate::observe::{Blind, EcsStatus, Fact, Look, Observation, Share, Successor, Workload};
use crate::sim::machine::{EcsSide, Machine, Secs, Special};

/// ECS starts what a draining node with a disconnected agent ran elsewhere after this long, in seconds.
const STARTS_SECS: Secs = 60;

impl World {
    /// The tasks on a container instance, as ECS shows them.
    pub(super) fn workload(&self, machine: &Machine) -> Fact<Workload> {
        let registered = machine.ecs.as_ref().filter(|ecs| ecs.registered && !machine.is_deregistered());
        let Some(ecs) = registered else { return Fact::Absent };
        let protected = ecs.protected(self.now);
        Fact::Known(Workload {
            standalone: ecs.special.standalone,
            protected,
            protected_until: (protected > 0).then(|| moment(ecs.special.protected_until)),
            service: self.share(machine, ecs),
            services: if ecs.tasks > 0 { self.services_of(ecs) } else { Arc::from([]) },
        })
    }

    /// The name of its cluster's one service.
    fn services_of(&self, ecs: &EcsSide) -> Arc<[ResourceName]> {
        let cluster = self.clusters.get(ecs.cluster);
        cluster.and_then(|cluster| format!("{}-service", cluster.name).parse().ok()).into_iter().collect()
    }

    /// What came in the place of a machine that was replaced, where the look asks.
    pub(super) fn successor(&self, machine: &Machine, look: &Look, seen: &Observation) -> Fact<Successor> {
        let (Some(asked), Some(ecs)) = (&look.succession, machine.ecs.as_ref()) else { return Fact::Absent };
        if !seen.group_is_whole() {
            return Fact::Unknown(Blind::NotRead);
        }
        let since = asked.since.as_second();
        let registered = self.others(machine).any(|(_, ecs)| ecs.listed_since > since && ecs.link.shown(self.now));
        let Some(cluster) = self.clusters.get(ecs.cluster) else { return Fact::Unknown(Blind::Empty) };
        let at_home: u32 = self.others(machine).map(|(_, ecs)| ecs.tasks).sum();
        let takers = self.others(machine).any(|(other, ecs)| takes_tasks(other, ecs));
        let at_desired = asked.services.is_empty() || takers || at_home >= cluster.desired;
        Fact::Known(Successor { registered, at_desired })
    }

    fn share(&self, machine: &Machine, ecs: &EcsSide) -> Option<Share> {
        let cluster = self.clusters.get(ecs.cluster)?;
        let takers = self.others(machine).any(|(other, ecs)| takes_tasks(other, ecs));
        let at_home: u32 = self.others(machine).map(|(_, ecs)| ecs.tasks).sum();
        let replaced = ecs.status == EcsStatus::Draining && !ecs.link.up && self.now - ecs.status_since >= STARTS_SECS;
        let own = if replaced { 0 } else { ecs.tasks };
        let displaced = cluster.desired.saturating_sub(at_home).saturating_sub(own);
        let elsewhere = if takers { at_home + displaced } else { at_home };
        let share =
            Share { here: ecs.tasks, elsewhere, desired: cluster.desired, minimum_percent: cluster.minimum_percent };
        (ecs.tasks > 0).then_some(share)
    }

    /// The other container instances of a machine's cluster.
    fn others<'a>(&'a self, machine: &'a Machine) -> impl Iterator<Item = (&'a Machine, &'a EcsSide)> {
        let cluster = machine.ecs.as_ref().map(|ecs| ecs.cluster);
        let members = self.machines.iter().filter_map(|other| Some((other, other.ecs.as_ref()?)));
        members.filter(move |(other, ecs)| {
            Some(ecs.cluster) == cluster && other.id != machine.id && other.exists() && ecs.registered
        })
    }

    /// How many tasks the service of a draining node can spare there: all that find another node, and what is above its minimum.
    pub(super) fn may_leave(&self, index: usize) -> u32 {
        let Some((machine, ecs)) = self.machines.get(index).and_then(|machine| Some((machine, machine.ecs.as_ref()?)))
        else {
            return 0;
        };
        let (Some(share), takers) =
            (self.share(machine, ecs), self.others(machine).any(|(other, ecs)| takes_tasks(other, ecs)))
        else {
            return 0;
        };
        let least = share.desired.saturating_mul(share.minimum_percent).div_ceil(100);
        if takers { share.here } else { (share.here + share.elsewhere).saturating_sub(least) }
    }

    /// Somebody starts or ends tasks of no service, or protects tasks of the service for a while.
    pub fn set_special(&mut self, node: NodeId, (standalone, protected): (u32, u32), until: Timestamp, now: Timestamp) {
        self.advance(now);
        let (protected_until, since) = (until.as_second(), self.now);
        if let Some(ecs) = self.index(node).and_then(|index| self.machines.get_mut(index)).and_then(|m| m.ecs.as_mut())
        {
            ecs.special = Special { standalone, protected, protected_until, since };
        }
    }

    /// Somebody changes the service of a cluster.
    pub fn set_minimum(&mut self, cluster: &str, minimum_percent: u32) {
        if let Some(cluster) = self.clusters.iter_mut().find(|known| *known.name == *cluster) {
            cluster.minimum_percent = minimum_percent;
        }
    }

    /// For whoever judges: what the service of a node would keep elsewhere without the tasks that it had here, with the most leave
    /// that recent changes give.
    #[must_use]
    pub fn share_without(&self, node: NodeId, here: u32) -> Option<Share> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        let cluster = self.clusters.get(machine.ecs.as_ref()?.cluster)?;
        let lately = |since: Secs| self.now - since <= LOOK_SECS;
        let (mut at_home, mut takers) = (0, false);
        for (other, ecs) in self.others(machine) {
            let changed = lately(ecs.link.since) || lately(ecs.status_since) || lately(other.state_since);
            let moving = changed || lately(ecs.tasks_since) || ecs.status == EcsStatus::Draining;
            at_home += if moving { other.spec.tasks.max(ecs.tasks) } else { ecs.tasks };
            takers |= changed || takes_tasks(other, ecs);
        }
        // Others that are gone for good a short time ago were still counted.
        takers |= self.machines.iter().any(|other| !other.exists() && lately(other.state_since));
        let displaced = cluster.desired.saturating_sub(at_home).saturating_sub(here);
        let elsewhere = if takers { at_home + displaced } else { at_home };
        Some(Share { here, elsewhere, desired: cluster.desired, minimum_percent: cluster.minimum_percent })
    }
}

/// Whether ECS places tasks on a node.
fn takes_tasks(machine: &Machine, ecs: &EcsSide) -> bool {
    machine.state == InstanceState::Running
        && ecs.link.up
        && ecs.status == EcsStatus::Active
        && !machine.is_deregistered()
}
