//! EKS's node auto repair for managed node groups.
//!
//! Sources. Amazon EKS User Guide, "Automatically repair nodes in EKS clusters": `Ready` and `ContainerRuntimeReady` lead to
//! Replace after 30 minutes, `DiskPressure` and `MemoryPressure` to nothing; repair stops while a node group of more than five
//! nodes has more than 20 % unhealthy ones, and repairs in progress go on. Amazon EKS API Reference, `NodeRepairConfig`: the
//! number of nodes repaired in parallel is limited only when somebody sets a limit.
//!
//! Not documented, and decided in its favour: a node whose agent still answers is drained first, for at most the 15 minutes that
//! managed node groups give to pods in an update, and is given back when it is ready again meanwhile. Nodes that never joined
//! are no case for it. A node group is an Auto Scaling group here. It writes Kubernetes events, and messages to nobody.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Rules;
use crate::effect::Effect;
use crate::node::NodeId;
use crate::sim::duel::hands::{Agent, Hands, Pools, Seen, Since};
use crate::time::secs_between;

/// How long a condition lasts before it is repaired.
const REPAIR_AFTER_SECS: i64 = 30 * 60;
/// Above this share of a group nothing new is repaired …
const UNHEALTHY_PERCENT: u64 = 20;
/// … if the group has more nodes than this.
const SMALL_GROUP: u64 = 5;
/// How long a drain may take.
const DRAIN_SECS: i64 = 15 * 60;

/// Replaces what is not ready for half an hour.
#[derive(Debug, Default)]
pub(super) struct Eks {
    not_ready: Since,
    draining: BTreeMap<NodeId, Timestamp>,
}

impl Eks {
    /// Goes on with a repair that has begun.
    fn go_on(&mut self, seen: &Seen, began: Timestamp, hands: &mut Hands<'_>) {
        if seen.is_ready() {
            hands.act(Effect::Activate, seen.node);
        } else if seen.tasks == 0 || secs_between(began, hands.now()) >= DRAIN_SECS {
            hands.act(Effect::Terminate, seen.node);
        } else {
            return;
        }
        self.draining.remove(&seen.node);
    }
}

impl Rules for Eks {
    const EVERY_SECS: i64 = 60;

    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now();
        let nodes: Vec<_> =
            hands.nodes().into_iter().filter(|seen| seen.group.is_some() && seen.has_joined()).collect();
        let mut pools = Pools::default();
        for seen in &nodes {
            pools.count(seen.group.as_ref(), !seen.is_ready());
        }
        for seen in &nodes {
            let bad_for = self.not_ready.note(seen.node, !seen.is_ready(), now);
            if let Some(began) = self.draining.get(&seen.node).copied() {
                self.go_on(seen, began, hands);
                continue;
            }
            let (all, unhealthy) = pools.of(seen.group.as_ref());
            let stopped = all > SMALL_GROUP && unhealthy * 100 > all * UNHEALTHY_PERCENT;
            if stopped || bad_for.is_none_or(|secs| secs < REPAIR_AFTER_SECS) {
                continue;
            }
            if seen.ecs == Agent::Fine && seen.tasks > 0 && hands.act(Effect::Drain, seen.node) {
                self.draining.insert(seen.node, now);
            } else {
                hands.act(Effect::Terminate, seen.node);
            }
        }
    }
}
