//! The whole behaviour of the product: from an incident and what was seen of its node to what happens next.
//!
//! Synchronous, without a clock, I/O or randomness. If something is lacking in here, the observation lacks a field.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::effect::{BURN_AFTER_SECS, Effect, Intent, IntentState};
use crate::guard::{Refusal, mode};
use crate::incident::{Ending, Incident, Phase, Remedy, Then};
use crate::node::{CommandId, DocumentName};
use crate::observe::{Depth, Ec2, Fact, InstanceState, Look, Observation, PROBE_LOST_SECS, Spare, Succession};
use crate::policy::{Mode, Policy};
use crate::ports::{LastIncident, Rails};
use crate::time::secs_between;

pub mod course;
mod cycle;
mod draft;
mod end;
mod examine;
pub mod ladder;
mod open;
mod operator;
pub mod preview;
mod quiet;
mod settle;
#[cfg(test)]
mod tests;
mod verify;

pub use draft::Plan;
pub use open::{Opening, Told, admit, open, told};
pub use operator::{OperatorAnswer, approve, close, fix, fix_look};
pub use preview::{PlanId, Preview, preview, preview_look};
pub(crate) use quiet::{is_as_told, is_no_news, told_already};
pub use settle::{refused, settle};

use draft::Draft;

/// A look is never taken sooner than this after the one before, in seconds: the timer's own floor.
pub const SOONEST_SECS: i64 = 15;
/// An intent may not be sent later than this after the reads that it rests on (S1), in seconds.
const READS_HOLD_SECS: i64 = 30;

/// What a pass needs before it can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wants {
    /// Nothing: it is too early, or the incident is over.
    Wait(Option<Timestamp>),
    /// A look at the node.
    Look(Look),
}

/// What a pass over an open incident needs before it can decide.
#[must_use]
pub fn wants(incident: &Incident, policy: &Policy, now: Timestamp) -> Wants {
    if let Some(intent) = incident.phase.intent()
        && intent.state == IntentState::Pending
    {
        // Somebody may be sending it this very moment. Nobody burns it before that is impossible.
        let burnable = burnable(intent);
        if now < burnable {
            return Wants::Wait(Some(burnable));
        }
    }
    let close = match &incident.phase {
        Phase::Watching { until } => now >= *until,
        Phase::Examining { .. } | Phase::Parked { .. } => true,
        Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Verifying { .. }
        | Phase::Resting { .. } => false,
        Phase::Closed { .. } => return Wants::Wait(None),
    };
    let calendar = policy.calendar.clone().filter(|_| close);
    Wants::Look(look(incident, calendar, close, now))
}

/// Lets an incident wait for others to end, once its hold-down is over and so many are worked on already. It costs no call.
#[must_use]
pub fn wait_for_room(incident: &Incident, rails: &Rails, policy: &Policy, now: Timestamp) -> Option<Box<Plan>> {
    planted!(NoActiveCap => return None);
    let (active, limit) = (rails.around.as_ref()?.active, policy.budgets.active_incidents);
    let waits_since = match &incident.phase {
        Phase::Watching { until } if now >= *until => None,
        Phase::Parked { refusal: Refusal::ActiveIncidents { .. }, since, .. } => Some(*since),
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Verifying { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => return None,
    };
    // Who asked for a repair does not wait in line.
    if incident.asked.is_some() || active < limit {
        return None;
    }
    let mut draft = Draft::of(incident, policy, now, now);
    match waits_since {
        Some(since) => draft.parked_until_now(since),
        // Nobody looked, and nothing told of a recovery: it counts as trouble.
        None => draft.trouble(),
    }
    Some(Box::new(draft.park(Refusal::ActiveIncidents { active, limit })))
}

/// When an intent may be given up: nobody can be sending it any more.
fn burnable(intent: &Intent) -> Timestamp {
    planted!(BurnTooEarly => return intent.committed_at);
    crate::time::after(intent.not_after, BURN_AFTER_SECS)
}

/// The look that fits an incident.
fn look(incident: &Incident, calendar: Option<DocumentName>, close: bool, now: Timestamp) -> Look {
    // What was said before a remedy proves nothing after it.
    let acted_at = acted_at(incident);
    let probe = incident.probe.as_ref().filter(|probe| acted_at.is_none_or(|acted_at| probe.at > acted_at));
    let probe: Option<CommandId> = probe.and_then(|probe| probe.command.clone());
    let place = &incident.place;
    // Once the hold-down is over the look is about the whole node.
    let watches = matches!(incident.phase, Phase::Watching { .. });
    Look {
        command: incident.command().cloned(),
        probe,
        repair: verify::late_repair(incident, now),
        group: place.group.clone(),
        container_instance: place.container_instance.clone(),
        calendar,
        told_by_sweep: false,
        stopping: close || matches!(incident.phase, Phase::Draining { then: Then::Examine, .. }),
        only_ecs: watches && incident.symptoms.iter().all(|symptom| symptom.kind.is_of_ecs()),
        spare: if close { Spare::default() } else { spare(&incident.phase) },
        ssm_first: ssm_first(incident, now),
        close,
        depth: Depth::Agents,
        rehearse: false,
        succession: succession(incident),
        // What freed a disk is proven by the host alone.
        pinged_after: acted_at.filter(|_| !matches!(incident.phase, Phase::Verifying { remedy: Remedy::FreeDisk, .. })),
        seen: None,
    }
}

/// The deeper look that a plan asks for, in the same pass.
#[must_use]
pub fn deeper(incident: &Incident, seen: &Arc<Observation>, policy: &Policy, depth: Depth, now: Timestamp) -> Look {
    let calendar = policy.calendar.clone();
    // Where a stop and start may follow, AWS is asked first whether it would accept both.
    let rehearse = depth == Depth::All && mode::reach(seen, policy).mode >= Mode::Cycle;
    Look { depth, rehearse, seen: Some(Arc::clone(seen)), ..look(incident, calendar, true, now) }
}

/// What is asked about the place of a container instance whose replacement waits for its proof.
fn succession(incident: &Incident) -> Option<Succession> {
    let Phase::Verifying { remedy: Remedy::Replace, since, .. } = incident.phase else { return None };
    let place = &incident.place;
    place.container_instance.as_ref()?;
    Some(Succession { since, services: Arc::clone(&place.services) })
}

/// Since when the proof of a remedy is waited for.
fn acted_at(incident: &Incident) -> Option<Timestamp> {
    match &incident.phase {
        Phase::Verifying { since, .. } => Some(*since),
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => None,
    }
}

/// Whether everything waits for the SSM agent: a probe is on its way, or the proof begins with its connection. Only of a node that
/// was sent a probe: it is registered.
fn ssm_first(incident: &Incident, now: Timestamp) -> bool {
    let Some(probe) = incident.probe.as_ref().filter(|probe| probe.command.is_some()) else { return false };
    match &incident.phase {
        Phase::Examining { .. } => secs_between(probe.at, now) <= PROBE_LOST_SECS,
        Phase::Verifying { remedy, .. } => {
            matches!(remedy, Remedy::RestartSsmAgent | Remedy::Reboot | Remedy::StopStart)
        }
        Phase::Watching { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => false,
    }
}

/// What nothing follows from in a phase: each look costs calls, and a remedy takes a look every 15 to 20 seconds.
fn spare(phase: &Phase) -> Spare {
    match phase {
        // Until it is drained or given back, only ECS counts; what became of the instance is seen at the close look after that.
        Phase::Draining { then: Then::Examine, .. } => Spare::BUT_ECS,
        Phase::Draining { then: Then::Park { .. } | Then::End(_), .. } => {
            Spare { ec2: false, ssm: true, ecs: false, asg: true }
        }
        // What became of the instance meanwhile is seen at the close look after that, unless the group may have replaced it.
        Phase::Standby { intent, .. } => {
            Spare { ec2: intent.effect == Effect::EnterStandby, ssm: true, ecs: true, asg: false }
        }
        Phase::Treating { intent, .. } => match intent.effect {
            Effect::Stop | Effect::Start => Spare { ec2: false, ssm: true, ecs: true, asg: true },
            Effect::Terminate | Effect::Deregister | Effect::ExitStandby => {
                Spare { ec2: false, ssm: true, ecs: false, asg: true }
            }
            // Whatever is seen, the proof is waited for next.
            Effect::Probe
            | Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime
            | Effect::Drain
            | Effect::Activate
            | Effect::EnterStandby
            | Effect::Reboot => Spare::ALL,
        },
        Phase::Verifying { remedy, .. } => match remedy {
            // The agent's connection is the proof.
            Remedy::RestartEcsAgent => Spare::BUT_ECS,
            Remedy::Replace => Spare { ec2: false, ssm: true, ecs: true, asg: false },
            // Before the host is asked, every tag is read.
            Remedy::FreeDisk
            | Remedy::RestartSsmAgent
            | Remedy::RestartRuntime
            | Remedy::Reboot
            | Remedy::StopStart => Spare::default(),
        },
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => Spare::default(),
    }
}

/// When an effect was last sent to the node before an incident, as far as that or its predecessor knows.
fn acted_before(incident: &Incident, last: Option<&LastIncident>) -> Option<Timestamp> {
    let before = last.filter(|last| last.id != incident.id).and_then(|last| last.acted_at);
    incident.acted_before.max(before)
}

/// An incident with what the one before it on its node did: the cooldown is the node's. Whoever opened it may have stood still
/// meanwhile, and have missed the end of that one.
#[must_use]
pub fn informed<'a>(incident: &'a Incident, last: Option<&LastIncident>) -> Cow<'a, Incident> {
    let acted_before = acted_before(incident, last);
    if acted_before == incident.acted_before {
        return Cow::Borrowed(incident);
    }
    Cow::Owned(Incident { acted_before, ..incident.clone() })
}

/// Decides what happens next in an open incident.
#[must_use]
pub fn decide(incident: &Incident, seen: &Observation, rails: &Rails, policy: &Policy, now: Timestamp) -> Plan {
    let mut draft = Draft::of(incident, policy, seen.at, now);
    draft.next.see(seen);
    // What could not be read allows nothing more; what was read may still forbid.
    let allowed = mode::allowed(seen, policy);
    let before = if seen.shows_all_tags() { Some(allowed) } else { draft.next.allowed };
    draft.next.allowed = before.map(|before| before.min(allowed));
    draft.burn();
    if let Some(plan) = gone(&draft, seen) {
        return plan;
    }
    match draft.next.phase.clone() {
        Phase::Watching { until } => examine::watch(draft, seen, rails, until),
        Phase::Examining { since, deadline, .. } => examine::examine(draft, seen, rails, since, deadline),
        Phase::Parked { since, .. } => examine::unpark(draft, seen, rails, since),
        Phase::Draining { intent, deadline, then } => cycle::draining(draft, seen, intent, deadline, then),
        Phase::Standby { intent, deadline, then } => cycle::standby(draft, seen, intent, deadline, then),
        Phase::Treating { intent, remedy, deadline } => cycle::treating(draft, seen, intent, remedy, deadline),
        Phase::Verifying { remedy, since, deadline, proven_since, .. } => {
            verify::verifying(draft, seen, rails, remedy, (since, deadline), proven_since)
        }
        Phase::Resting { why, since, remind_at } => end::resting(draft, seen, rails, why, (since, remind_at)),
        Phase::Closed { .. } => draft.stay(None),
    }
}

/// Only a re-read end of the instance ends the incident, and never while it is our own doing (S15).
fn gone(draft: &Draft, seen: &Observation) -> Option<Plan> {
    if !draft.next.node.is_instance() {
        return None;
    }
    let state = match &seen.ec2 {
        Fact::Known(Ec2 { state, .. }) => *state,
        // Long terminated: EC2 forgets an instance after about an hour.
        Fact::Absent => InstanceState::Terminated,
        Fact::Unknown(_) => return None,
    };
    let ours = match &draft.next.phase {
        Phase::Treating { remedy, .. } | Phase::Verifying { remedy, .. } => *remedy == Remedy::Replace,
        // We terminated it, and what should have come in its place did not: that is for a person to close.
        Phase::Resting { .. } => draft.next.performed().any(|remedy| remedy == Remedy::Replace),
        // Leaving Standby with a sick node may already be the replacement (DESIGN.md §7).
        Phase::Standby { intent, then: Then::Examine, .. } => intent.effect == Effect::ExitStandby,
        // On its way to an end already, with something to give back first.
        Phase::Draining { then: Then::End(_), .. } => state == InstanceState::Stopped,
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Closed { .. } => false,
    };
    planted!(OwnStopIsGone => return matches!(
        state,
        InstanceState::Stopped | InstanceState::Terminated | InstanceState::ShuttingDown
    ).then(|| draft.clone().finish(Ending::Gone)));
    match state {
        InstanceState::Terminated | InstanceState::ShuttingDown if !ours => Some(draft.clone().finish(Ending::Gone)),
        // Somebody may start it again, and then it must not be found draining.
        InstanceState::Stopped if !ours && !draft.next.holds.stopped && !stopping(&draft.next.phase) => {
            Some(draft.clone().end(Ending::Gone))
        }
        InstanceState::Terminated
        | InstanceState::ShuttingDown
        | InstanceState::Stopped
        | InstanceState::Pending
        | InstanceState::Running
        | InstanceState::Stopping => None,
    }
}

/// Whether our own stop is under way.
fn stopping(phase: &Phase) -> bool {
    matches!(
        phase,
        Phase::Treating { remedy: Remedy::StopStart, .. } | Phase::Verifying { remedy: Remedy::StopStart, .. }
    )
}
