//! L1 and L2 where the model ends: when nothing goes wrong any more, every incident comes to its end and is told.

use std::sync::Arc;

use defib::engine::{Context, Trigger};
use defib::time::after;
use jiff::Timestamp;

use super::state::State;
use super::tally::Tally;

/// More passes than the longest treatment takes.
const PASSES_MAX: usize = 200;
/// The timer is at least this late, in seconds.
const LATENESS_SECS: i64 = 40;

/// Whether everything that is open ends, as the node is and with the node recovered.
///
/// # Panics
/// When another promise is broken on the way, unless a planted bug is at work, which is found elsewhere.
pub(crate) fn ends_calmly(state: &State, context: &Arc<Context>) -> bool {
    let mut recovered = state.clone();
    recovered.wait(state.now);
    for node in recovered.nodes.iter_mut().filter(|node| node.can_recover()) {
        node.recover(state.now);
    }
    drive(state.clone(), context) && drive(recovered, context)
}

fn drive(mut state: State, context: &Arc<Context>) -> bool {
    let tally = Tally::default();
    if state.is_paused() {
        state.resume();
    }
    for _ in 0..PASSES_MAX {
        let busy = state.ledger.open().filter(|incident| !incident.is_resting());
        let due =
            busy.map(|incident| (incident.id, incident.wake_at.unwrap_or(Timestamp::MAX))).min_by_key(|due| due.1);
        let untold = state.ledger.unsent().first().map(|item| (item.id.incident, state.now));
        let Some((incident, at)) = untold.or(due) else { return true };
        // The timer is late, so that nothing is still on its way, and a treatment takes a dozen looks and not fifty.
        state.wait(at.max(after(state.now, LATENESS_SECS)));
        state.run_calmly(context, Trigger::Wake(incident), &tally);
        assert!(state.broken.is_none() || is_planted(), "{:?} while nothing went wrong", state.broken);
    }
    false
}

#[cfg(feature = "plants")]
fn is_planted() -> bool {
    defib::plants::chosen().is_some()
}

#[cfg(not(feature = "plants"))]
fn is_planted() -> bool {
    false
}
