//! Rails of a disruptive remedy that rest on the nodes around: what AWS certainly showed of them, long enough to be seen.

use super::{Inspector, Landing};

impl Inspector {
    /// For every step of a disruptive remedy, the drain and Standby before it too.
    pub(super) fn with_regard_to_others(&mut self, landing: &Landing<'_>) {
        self.never_in_a_sick_group(landing);
        self.above_the_floor(landing);
    }

    /// Not while more of the group is unhealthy than the policy lets be.
    fn never_in_a_sick_group(&mut self, landing: &Landing<'_>) {
        let crowd = landing.account.world.group_crowd(landing.sent.node);
        let budgets = &self.policy.budgets;
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
