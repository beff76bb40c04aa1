//! Tasks that a disruptive remedy must not end, by the tasks that were there right before it.

use super::{GRACE_SECS, Inspector, Landing};
use crate::effect::Weight;
use crate::policy::TasksRule;
use crate::time::secs_between;

/// AWS shows that an agent is back after this long at the latest, in seconds.
const BACK_SECS: i64 = 10;

impl Inspector {
    /// For every step of a disruptive remedy, the drain and Standby before it too.
    pub(super) fn with_regard_to_tasks(&mut self, landing: &Landing<'_>) {
        let (truth, rules) = (landing.truth, self.stack().workload);
        let seen = truth.special_since.is_some_and(|since| secs_between(since, landing.sent.at) > GRACE_SECS);
        for (what, count, rule) in [
            ("that no service started", truth.standalone, rules.standalone),
            ("protected", truth.protected, rules.protected),
        ] {
            if seen && count > 0 && rule == TasksRule::Refuse {
                self.breach("rail", landing, || format!("on {count} tasks {what}"));
            }
        }
        if landing.sent.effect.weight() == Weight::Disruptive {
            self.above_the_services_minimum(landing);
        }
    }

    /// S11: no service falls below its minimum by what ends here, while ECS has its tasks in hand.
    fn above_the_services_minimum(&mut self, landing: &Landing<'_>) {
        let truth = landing.truth;
        let long = |since: Option<jiff::Timestamp>| {
            since.is_some_and(|since| secs_between(since, landing.sent.at) > GRACE_SECS + BACK_SECS)
        };
        if truth.tasks == 0 || !long(truth.ecs_up_since) || !long(truth.tasks_since) {
            return;
        }
        let share = landing.account.world.share_without(landing.sent.node, truth.tasks);
        if let Some(share) = share.filter(|share| !share.keeps_minimum()) {
            let (left, desired, percent) = (share.elsewhere, share.desired, share.minimum_percent);
            self.breach("S11", landing, || {
                format!("and left a service {left} of {desired} tasks, minimum {percent} %")
            });
        }
    }
}
