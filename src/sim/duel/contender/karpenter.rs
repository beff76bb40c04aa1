//! Karpenter's node repair.
//!
//! Sources. kubernetes-sigs/karpenter, `pkg/controllers/node/health/controller.go`: a node whose condition matches one of the
//! provider's repair policies for its toleration duration is deleted at once, with its grace period set to now; nothing is
//! deleted while more than 20 % of its node pool, rounded up, match such a condition.
//! `pkg/controllers/nodeclaim/lifecycle/liveness.go`: what has not registered within 15 minutes is deleted and launched anew.
//! Amazon EKS User Guide, "Automatically repair nodes in EKS clusters": `Ready` and `ContainerRuntimeReady` are tolerated for
//! 30 minutes, the action is always Replace. Karpenter documentation, "Disruption": forceful methods do not wait for a
//! replacement; they pass over disruption budgets.
//!
//! A node pool is an Auto Scaling group here; nodes in no group are none of its business. It writes Kubernetes events and
//! metrics, and messages to nobody.

use super::Rules;
use crate::effect::Effect;
use crate::sim::duel::hands::{Hands, Pools, Since};
use crate::time::secs_between;

/// How long a condition is tolerated.
const TOLERATION_SECS: i64 = 30 * 60;
/// How long a node may take to register.
const REGISTRATION_SECS: i64 = 15 * 60;
/// Above this share of a pool, rounded up, nothing is repaired.
const UNHEALTHY_PERCENT: u64 = 20;

/// Deletes what is not ready for half an hour.
#[derive(Debug, Default)]
pub(super) struct Karpenter {
    not_ready: Since,
}

impl Rules for Karpenter {
    const EVERY_SECS: i64 = 60;

    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now();
        let nodes = hands.nodes();
        let mut pools = Pools::default();
        for seen in nodes.iter().filter(|seen| seen.has_joined()) {
            pools.count(seen.group.as_ref(), !seen.is_ready());
        }
        for seen in nodes.iter().filter(|seen| seen.group.is_some()) {
            let bad_for = self.not_ready.note(seen.node, seen.has_joined() && !seen.is_ready(), now);
            let (all, unhealthy) = pools.of(seen.group.as_ref());
            let delete = if seen.has_joined() {
                let allowed = (all * UNHEALTHY_PERCENT).div_ceil(100);
                bad_for.is_some_and(|secs| secs >= TOLERATION_SECS) && unhealthy <= allowed
            } else {
                secs_between(seen.launched_at, now) >= REGISTRATION_SECS
            };
            if delete {
                hands.act(Effect::Terminate, seen.node);
            }
        }
    }
}
