//! What was told of a node that nothing was done for is not told again, while nothing changes.

use jiff::Timestamp;

use crate::diagnose::Family;
use crate::engine::Context;
use crate::event::{Signal, SignalKind};
use crate::guard::mode;
use crate::incident::Outcome;
use crate::observe::{Health, Observation, Standing};
use crate::policy::Mode;
use crate::ports::LastIncident;
use crate::time::secs_between;

/// Told about so recently, a node is quiet whatever happens, in seconds: an agent that comes and goes is told about once
/// an hour at most.
const AN_HOUR_SECS: i64 = 3_600;
/// A node that only the sweep tells of, with nothing new, is looked at once or twice an hour, in case that a tag or the
/// policy changed: in the sweeps that come within so many seconds after the full hour. One of two may fail.
const LOOKED_AT_SECS: i64 = 600;

/// Whether what a sweep found was told already, and is not worth a look in this sweep.
pub(crate) fn is_no_news(signal: &Signal, last: Option<&LastIncident>, context: &Context, now: Timestamp) -> bool {
    let again = last.is_some_and(|last| secs_between(last.at, now) % AN_HOUR_SECS < LOOKED_AT_SECS);
    told_already(signal, last, context, now) || (is_as_told(signal, last, context, now) && !again)
}

/// Whether what a sweep found is as it was told. It may be looked at where there is room; it waits for nothing.
pub(crate) fn is_as_told(signal: &Signal, last: Option<&LastIncident>, context: &Context, now: Timestamp) -> bool {
    let Some(last) = last else { return false };
    holds(last, context, now) && signal.kind.away_since().is_none_or(|since| since <= last.at)
}

/// Whether what a signal tells was told already, as far as can be said without a look.
pub(crate) fn told_already(signal: &Signal, last: Option<&LastIncident>, context: &Context, now: Timestamp) -> bool {
    let Some(last) = last else { return false };
    // The same command's end, told once more.
    if let SignalKind::CommandTrouble { command, .. } = &signal.kind
        && last.command.as_ref() == Some(command)
    {
        return true;
    }
    // After the hour a look says whether it tells of something new; sweeps send what is worth one.
    holds(last, context, now) && secs_between(last.at, now) < AN_HOUR_SECS
}

/// Whether the node is as it was when its last incident ended without a repair.
///
/// Something new is a fault that began since then, by AWS's own clocks, or more that Defib may do.
pub(super) fn nothing_changed(
    signal: &Signal,
    seen: &Observation,
    last: &LastIncident,
    context: &Context,
    now: Timestamp,
) -> bool {
    if !holds(last, context, now) {
        return false;
    }
    let began = |at: Option<Timestamp>| at.is_some_and(|at| at > last.at);
    let health = Health::of(seen, now);
    let ill = |standing| matches!(standing, Standing::Ill | Standing::Suspect);
    let ssm = seen.ssm.known().filter(|_| ill(health.ssm)).map(|ssm| ssm.last_ping);
    let ecs = seen.ecs.known().filter(|_| ill(health.ecs)).and_then(|ecs| ecs.impaired_since);
    let policy = context.policy_for(Some(seen), None);
    // A tag that could not be read allows nothing. Where none was ever read, the least is taken: it is told once more, and
    // then it is known.
    let raised = seen.shows_all_tags() && mode::allowed(seen, &policy) > last.allowed.unwrap_or(Mode::Observe);
    #[cfg(feature = "plants")]
    let raised = raised && !crate::plants::on(crate::plants::Plant::ObserveForEver);
    !(raised || began(signal.kind.away_since()) || began(ssm) || began(ecs))
}

/// Whether the quiet time after the node's last incident holds.
fn holds(last: &LastIncident, context: &Context, now: Timestamp) -> bool {
    let unrepaired = match last.outcome {
        Outcome::Blocked | Outcome::DryRun | Outcome::NotOurs => true,
        Outcome::SelfHealed
        | Outcome::Fixed
        | Outcome::Cycled
        | Outcome::Replaced
        | Outcome::NeedsHuman
        | Outcome::Deferred
        | Outcome::Gone => false,
    };
    // Nothing could be done while no good policy document was there; now it can.
    let mended = context.policy.known.fallen.filter(|fallen| fallen.until.is_some());
    if last.outcome == Outcome::DryRun && mended.is_some_and(|fallen| fallen.covers(last.at)) {
        return false;
    }
    // A script that timed out says nothing about the node's next trouble.
    let about_the_node = last.cause.family() != Family::Elsewhere;
    unrepaired && about_the_node && secs_between(last.at, now) < context.policy.quiet_secs
}
