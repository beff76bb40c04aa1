//! What people do besides, drawn from a stream of its own, so that what a seed drew before keeps its course.

use fastrand::Rng;
use jiff::Timestamp;

use super::scenario::{LENGTH_SECS, Step};
use crate::node::NodeId;
use crate::sim::people::Deed;
use crate::time::after;

/// Tells this stream from the one that draws the fleet.
const STREAM: u64 = 0x0be5_1de5_0be5_1de5;

/// What people do besides, in no order.
pub(super) fn steps(seed: u64, nodes: &[NodeId], start: Timestamp) -> Vec<(Timestamp, Step)> {
    let mut rng = Rng::with_seed(seed ^ STREAM);
    let mut steps = Vec::new();
    if rng.bool() {
        return steps;
    }
    for _ in 0..rng.usize(0..4) {
        let at = after(start, rng.i64(0..LENGTH_SECS));
        if let Some(node) = rng.choice(nodes) {
            steps.push((at, Step::Deed(Deed::Clear(*node))));
        }
    }
    steps
}
