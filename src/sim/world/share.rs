//! What machines share: subnets, endpoints, roles, images, zones; and since when AWS has shown that one is in trouble.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::{World, moment};
use crate::node::NodeId;
use crate::observe::{Common, Fact, Factor, Factors};
use crate::sim::machine::{Machine, Secs};

/// A member in service that has not registered for so many seconds since its launch looks lost.
pub(super) const REGISTERS_SECS: Secs = 601;

/// How many machines share what, and each machine's part of it, until a machine comes or goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    fleet: u32,
    members: BTreeMap<Factor, u32>,
    of_machine: BTreeMap<usize, Arc<[Common]>>,
}

impl World {
    /// Machines that exist.
    pub fn fleet_size(&mut self) -> u32 {
        self.counted().fleet
    }

    /// A machine came or went.
    pub(super) fn forget_shares(&mut self) {
        self.shares = None;
    }

    fn counted(&mut self) -> &mut Shares {
        let machines = &self.machines;
        self.shares.get_or_insert_with(|| {
            let mut shares = Shares::default();
            for machine in machines.iter().filter(|machine| machine.exists()) {
                shares.fleet += 1;
                for factor in factors(machine) {
                    *shares.members.entry(factor).or_default() += 1;
                }
            }
            shares
        })
    }

    /// What a machine shares with others.
    pub(super) fn factors(&mut self, index: usize) -> Fact<Factors> {
        self.counted();
        let Some(machine) = self.machines.get(index) else { return Fact::Absent };
        let Some(counted) = &mut self.shares else { return Fact::Absent };
        let members = &counted.members;
        let shared = counted.of_machine.entry(index).or_insert_with(|| {
            let share = |factor: Factor| Common { members: members.get(&factor).copied().unwrap_or(1), factor };
            factors(machine).map(share).collect()
        });
        Fact::Known(Factors { shared: Arc::clone(shared), fleet: counted.fleet })
    }

    /// Since when AWS has shown that a node is in trouble: the last ping, or the last change of the agent's check.
    #[must_use]
    pub fn shown_since(&self, node: NodeId) -> Option<Timestamp> {
        // Whichever agent has been away for longer says since when the node has been in trouble.
        self.losses(node).into_iter().flatten().map(|(since, _)| since).min().map(moment)
    }

    /// The newest loss of an agent: since when it has been away, and since when AWS has shown it.
    #[must_use]
    pub fn newest_loss(&self, node: NodeId) -> Option<(Timestamp, Timestamp)> {
        self.losses(node).into_iter().flatten().max().map(|(since, shown)| (moment(since), moment(shown)))
    }

    /// Of each agent that AWS shows as lost: since when it has been away, and since when AWS has shown it.
    fn losses(&self, node: NodeId) -> [Option<(Secs, Secs)>; 2] {
        let Some(machine) = self.index(node).and_then(|index| self.machines.get(index)) else { return [None; 2] };
        let now = self.now;
        let ssm = self.ssm_looks_lost(machine, now).then(|| {
            if machine.ssm_listed() {
                let pinged_at = machine.pinged_at(now);
                (pinged_at, pinged_at + self.ping_lost_secs + 1)
            } else {
                (machine.launched_at, machine.launched_at + REGISTERS_SECS)
            }
        });
        let ecs = machine.ecs.as_ref().filter(|ecs| !ecs.link.shown(now)).map(|ecs| ecs.link.shown_since(now));
        [ssm, ecs.map(|since| (since, since))]
    }
}

/// What a machine shares, in order.
fn factors(machine: &Machine) -> impl Iterator<Item = Factor> + '_ {
    machine.spec.shares.iter().cloned().chain(machine.zone.clone().map(Factor::Zone))
}
