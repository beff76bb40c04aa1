//! A script that reboots what SSM calls `ConnectionLost`.
//!
//! Sources. The AWS blog "Centralized monitoring and alerting for AWS Systems Manager Agent status on managed nodes across AWS
//! Organization": a function on a schedule reads `PingStatus` from `DescribeInstanceInformation`. That a reboot is what people
//! then do: aws/amazon-ecs-agent issue 1960 (nothing else brought the agent back), aws-samples/one-observability-demo pull request
//! 287 and aws-samples/aws-cloud9-bootstrapping-example pull request 7, which reboot an instance so that its SSM agent
//! connects.
//!
//! None of them names numbers, so these are ours, and kind: it looks every five minutes, leaves an instance alone for half an
//! hour after a reboot instead of hitting it while it starts, and posts one line for each.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Rules;
use crate::effect::Effect;
use crate::node::NodeId;
use crate::sim::duel::hands::{Agent, Hands};
use crate::time::secs_between;

/// After a reboot, an instance is left alone for this long.
const AGAIN_AFTER_SECS: i64 = 30 * 60;

/// Reboots on `ConnectionLost`.
#[derive(Debug, Default)]
pub(super) struct Reboot {
    rebooted: BTreeMap<NodeId, Timestamp>,
}

impl Rules for Reboot {
    const EVERY_SECS: i64 = 5 * 60;

    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now();
        for seen in hands.nodes() {
            let waits = self.rebooted.get(&seen.node).is_some_and(|at| secs_between(*at, now) < AGAIN_AFTER_SECS);
            if seen.ssm == Agent::Lost && !waits && hands.act(Effect::Reboot, seen.node) {
                self.rebooted.insert(seen.node, now);
                hands.tell(seen.node);
            }
        }
    }
}
