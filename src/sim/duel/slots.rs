//! The places of a fleet: which machine stands where, through every replacement.

use std::collections::BTreeMap;

use crate::node::{DisplayName, NodeId};
use crate::sim::world::{Truth, World};

/// The places of a fleet. A replacement has the name of the node before it, and so its place.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    names: Vec<Option<DisplayName>>,
    machines_seen: usize,
    newest: Vec<Option<NodeId>>,
    places: BTreeMap<NodeId, usize>,
}

impl Slots {
    pub(super) fn new(names: Vec<Option<DisplayName>>) -> Self {
        let newest = vec![None; names.len()];
        Self { names, machines_seen: 0, newest, places: BTreeMap::new() }
    }

    /// Takes in machines that have come since the last time.
    pub(super) fn update(&mut self, world: &World) {
        for machine in world.machines.iter().skip(self.machines_seen) {
            self.machines_seen += 1;
            let place = self.names.iter().position(|name| name.is_some() && *name == machine.spec.name);
            if let Some(place) = place {
                self.places.insert(machine.id, place);
                if let Some(newest) = self.newest.get_mut(place) {
                    *newest = Some(machine.id);
                }
            }
        }
    }

    /// The place of a machine.
    pub(super) fn of(&self, node: NodeId) -> Option<usize> {
        self.places.get(&node).copied()
    }

    /// The newest machine of a place.
    pub(super) fn node(&self, slot: usize) -> Option<NodeId> {
        self.newest.get(slot).copied().flatten()
    }

    /// What is true of the machine that stands in a place.
    pub(super) fn truth(&self, slot: usize, world: &World) -> Option<Truth> {
        world.truth(self.node(slot)?)
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}
