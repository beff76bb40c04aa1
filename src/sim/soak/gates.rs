//! What stands in the way of a stop and start, drawn from a stream of its own, so that what a seed drew before keeps its course.

use fastrand::Rng;
use jiff::Timestamp;

use super::scenario::LENGTH_SECS;
use crate::node::NodeId;
use crate::policy::{AddressRule, LeftRule, Policy};
use crate::sim::invariants::Spot;
use crate::sim::machine::MachineSpec;
use crate::time::after;

/// Tells this stream from the others.
const STREAM: u64 = 0x57a9_6a7e_57a9_6a7e;

/// Draws gates for the fleet and rules for the policy, and answers when AWS is sold out, and for how many seconds.
pub(super) fn draw(
    seed: u64,
    policy: &mut Policy,
    fleet: &mut [(NodeId, MachineSpec, Spot)],
    start: Timestamp,
) -> Vec<(Timestamp, i64)> {
    let mut rng = Rng::with_seed(seed ^ STREAM);
    if rng.u8(0..4) == 0 {
        policy.workload.left = LeftRule::GiveBack;
    }
    if rng.u8(0..3) == 0 {
        if rng.bool() {
            policy.address_change = AddressRule::Refuse;
        }
        for (_, spec, _) in fleet.iter_mut().filter(|(_, spec, _)| !spec.hybrid) {
            let stop = &mut spec.stop;
            match rng.u8(0..12) {
                0 => stop.instance_store_data = true,
                1 => stop.volume_key = true,
                2 => stop.stop_denied = true,
                3 => stop.start_denied = true,
                4..=6 => stop.public_address_changes = true,
                7 => stop.elastic_address = true,
                _ => {}
            }
        }
    }
    let mut shortages = Vec::new();
    if rng.u8(0..4) == 0 {
        for _ in 0..rng.usize(1..4) {
            let from = rng.i64(0..LENGTH_SECS - 600);
            let secs = rng.i64(300..5_400).min(LENGTH_SECS - from);
            shortages.push((after(start, from), secs));
        }
    }
    shortages
}
