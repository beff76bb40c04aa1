//! medik8s' node health check with escalating remediations.
//!
//! Sources. medik8s/node-healthcheck-operator, `docs/configuration.md`: a node is unhealthy when `Ready` is False or Unknown for
//! 300 s; remediation needs `minHealthy`, 51 %, of the nodes; the example of `escalatingRemediations` has self node remediation,
//! which reboots, with a timeout of 300 s, then a remediator that provisions anew; storm recovery, which is optional, waits
//! 30 s in its example after `minHealthy` is met again. `docs/workflow.md`: remediations under way go on while `minHealthy` is not
//! met; the next remediator comes when the timeout of the one before has passed; a healthy node's remediation is deleted.
//! Red Hat's documentation, "Remediating nodes with Node Health Checks" and "Using Self Node Remediation".
//!
//! A cluster is an Auto Scaling group here, and nodes in no group are one more, whose nodes can only be rebooted. Storm
//! recovery is on. It writes Kubernetes events and metrics, and messages to nobody. Nodes that never joined do not exist for it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Rules;
use crate::effect::Effect;
use crate::node::{AutoScalingGroupName, NodeId};
use crate::sim::duel::hands::{Hands, Pools, Seen, Since};
use crate::time::{after, secs_between};

/// How long a node is not ready before it counts as unhealthy.
const UNHEALTHY_SECS: i64 = 300;
/// Remediation needs this share of healthy nodes.
const MIN_HEALTHY_PERCENT: u64 = 51;
/// When the reboot has not helped after this, the node is provisioned anew.
const REBOOT_TIMEOUT_SECS: i64 = 300;
/// `stormTerminationDelay`.
const STORM_DELAY_SECS: i64 = 30;

/// A remediation under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remediation {
    /// Rebooted then.
    Rebooted(Timestamp),
    /// The last remediator has been called.
    Exhausted,
}

/// Reboots, then provisions anew.
#[derive(Debug, Default)]
pub(super) struct Medik8s {
    not_ready: Since,
    under_way: BTreeMap<NodeId, Remediation>,
    storm_until: BTreeMap<Option<AutoScalingGroupName>, Timestamp>,
}

impl Medik8s {
    /// Whether a cluster has too few healthy nodes, or had until just now.
    fn in_storm(&mut self, group: Option<&AutoScalingGroupName>, pools: &Pools, now: Timestamp) -> bool {
        let (all, unhealthy) = pools.of(group);
        let too_few = (all - unhealthy) * 100 < all * MIN_HEALTHY_PERCENT;
        if too_few {
            self.storm_until.insert(group.cloned(), after(now, STORM_DELAY_SECS));
        }
        self.storm_until.get(&group.cloned()).is_some_and(|until| now < *until)
    }

    /// The next remediation of an unhealthy node, if one is due.
    fn remediate(&mut self, seen: &Seen, hands: &mut Hands<'_>) {
        let now = hands.now();
        match self.under_way.get(&seen.node) {
            None => {
                hands.act(Effect::Reboot, seen.node);
                self.under_way.insert(seen.node, Remediation::Rebooted(now));
            }
            Some(Remediation::Rebooted(at)) if secs_between(*at, now) >= REBOOT_TIMEOUT_SECS => {
                hands.act(Effect::Terminate, seen.node);
                self.under_way.insert(seen.node, Remediation::Exhausted);
            }
            Some(Remediation::Rebooted(_) | Remediation::Exhausted) => {}
        }
    }
}

impl Rules for Medik8s {
    const EVERY_SECS: i64 = 60;

    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now();
        let nodes: Vec<_> = hands.nodes().into_iter().filter(Seen::has_joined).collect();
        let mut pools = Pools::default();
        let mut unhealthy = Vec::new();
        for seen in &nodes {
            let bad_for = self.not_ready.note(seen.node, !seen.is_ready(), now);
            let is_unhealthy = bad_for.is_some_and(|secs| secs >= UNHEALTHY_SECS);
            pools.count(seen.group.as_ref(), is_unhealthy);
            if is_unhealthy {
                unhealthy.push(seen);
            } else if seen.is_ready() {
                self.under_way.remove(&seen.node);
            }
        }
        for seen in unhealthy {
            let storm = self.in_storm(seen.group.as_ref(), &pools, now);
            if !storm || self.under_way.contains_key(&seen.node) {
                self.remediate(seen, hands);
            }
        }
    }
}
