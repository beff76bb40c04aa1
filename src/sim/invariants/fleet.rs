//! Rails of a disruptive remedy that rest on the nodes around: what AWS certainly showed of them, long enough to be seen.

use jiff::Timestamp;

use super::{GRACE_SECS, Inspector, Landing};
use crate::time::secs_between;

/// AWS shows that an agent is back after this long at the latest, in seconds.
const BACK_SECS: i64 = 10;

impl Inspector {
    /// For every step of a disruptive remedy, the drain and Standby before it too.
    pub(super) fn with_regard_to_others(&mut self, landing: &Landing<'_>) {
        self.never_in_a_sick_group(landing);
        self.never_in_a_frozen_zone(landing);
        self.never_the_last_of_a_zone(landing);
        self.above_the_floor(landing);
    }

    /// Not while so much of the zone is unhealthy.
    fn never_in_a_frozen_zone(&mut self, landing: &Landing<'_>) {
        let node = landing.sent.node;
        let crowd = landing.account.world.zone_crowd(node);
        let budgets = &self.stack().budgets;
        // Even the smallest zone that a look can have shown counted, and the largest was frozen.
        let counted = budgets.freezes(crowd.least, crowd.least);
        if node.is_instance() && counted && budgets.freezes(crowd.most, crowd.unhealthy) {
            let (unhealthy, size) = (crowd.unhealthy, crowd.most);
            self.breach("rail", landing, || format!("with {unhealthy} of {size} nodes of its zone unhealthy"));
        }
    }

    /// S11: the last member of a group that serves in its zone is left alone.
    fn never_the_last_of_a_zone(&mut self, landing: &Landing<'_>) {
        let peers = landing.account.world.peer_crowd(landing.sent.node);
        let truth = landing.truth;
        let long = |since: Option<Timestamp>| {
            since.is_some_and(|since| secs_between(since, landing.sent.at) > GRACE_SECS + BACK_SECS)
        };
        let drained = landing.incident.is_some_and(|incident| incident.holds.draining) && truth.draining;
        let serves = long(truth.ecs_up_since) && (drained || truth.tasks > 0 && long(truth.tasks_since));
        if landing.sent.node.is_instance() && peers.least > 0 && peers.unhealthy == peers.most && serves {
            let others = peers.most;
            self.breach("S11", landing, || format!("on the last that serves in its zone, {others} others unhealthy"));
        }
    }

    /// Not while more of the group is unhealthy than the policy lets be.
    fn never_in_a_sick_group(&mut self, landing: &Landing<'_>) {
        let alone = |spot: &super::Spot| spot.group.is_none() && spot.scaling_group.is_none();
        if self.spot_of(landing.account, landing.sent.node).as_ref().is_none_or(alone) {
            return;
        }
        let crowd = landing.account.world.group_crowd(landing.sent.node);
        let budgets = &self.stack().budgets;
        if budgets.unhealthy_at_most(crowd.least).is_none() {
            return;
        }
        if let Some(limit) = budgets.unhealthy_at_most(crowd.most)
            && crowd.unhealthy > limit
        {
            let (unhealthy, size) = (crowd.unhealthy, crowd.most);
            self.breach("rail", landing, || format!("with {unhealthy} of {size} nodes unhealthy, limit {limit}"));
        }
    }
}
