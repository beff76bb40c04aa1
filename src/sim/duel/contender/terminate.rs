//! The usual home-made function: terminate what ECS calls disconnected.
//!
//! Sources. aws/amazon-ecs-agent issue 618, "Disconnected ecs-agents": a service of the reporter's own terminates an instance whose
//! agent has stayed away for five minutes, some twenty times a day on fifty hosts. PRX/Infrastructure pull requests 147, 392 and
//! 394, which publish every step of such a function: an instance that has not connected to ECS within 10 minutes of its launch
//! goes; one that was connected counts as lost only when it is older than those 600 seconds; and, because the first version
//! took too many down for a brief `agentConnected=false`, only after five minutes without a connection. It posts to a chat room.
//!
//! Kind: the last version is modelled, with its wait, and not the first. Every minute is our number. It looks after clusters;
//! nodes without ECS are none of its business.

use super::Rules;
use crate::effect::Effect;
use crate::sim::duel::hands::{Agent, Hands, Since};
use crate::time::secs_between;

/// An instance may take this long to connect after its launch.
const LAUNCH_GRACE_SECS: i64 = 600;
/// An agent may be disconnected for this long.
const DISCONNECTED_SECS: i64 = 300;

/// Terminates on disconnect.
#[derive(Debug, Default)]
pub(super) struct Terminate {
    disconnected: Since,
}

impl Rules for Terminate {
    const EVERY_SECS: i64 = 60;

    fn look(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now();
        for seen in hands.nodes() {
            let gone_for = self.disconnected.note(seen.node, seen.ecs == Agent::Lost, now);
            let too_long = match seen.ecs {
                Agent::NotHere | Agent::Fine => false,
                Agent::Unregistered => true,
                Agent::Lost => gone_for.is_some_and(|secs| secs >= DISCONNECTED_SECS),
            };
            let old_enough = secs_between(seen.launched_at, now) > LAUNCH_GRACE_SECS;
            if too_long && old_enough && hands.act(Effect::Terminate, seen.node) {
                self.disconnected.forget(seen.node);
                hands.tell(seen.node);
            }
        }
    }
}
