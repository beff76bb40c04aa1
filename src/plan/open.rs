//! From a signal to a new incident, or to a counted reason to leave it.

use jiff::Timestamp;

use super::draft::{Draft, Plan};
use super::{Wants, acted_before, look, quiet, wants};
use crate::diagnose::{Cause, diagnose};
use crate::engine::{Context, IgnoreReason};
use crate::event::{Signal, SignalKind};
use crate::guard::{Refusal, mode, ownership};
use crate::incident::{Ending, Event, Incident, Outcome, Phase, Symptom};
use crate::observe::{Blind, Depth, Fact, Health, InstanceState, InvocationStatus, Look, Observation, Spare};
use crate::policy::{Mode, Policy};
use crate::ports::Loaded;
use crate::time::{after, secs_between};

/// Nothing is opened on a look whose first read was sent longer ago, in seconds. A look under throttling takes long, too, and must
/// be allowed to.
const LOOK_HOLDS_SECS: i64 = 120;

/// What a signal about a node without an open incident leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Nothing, for this reason.
    Ignore(IgnoreReason),
    /// A new incident; its plan is committed with "no open incident" expected.
    Open(Box<Plan>),
}

/// Whether a signal about a node without an open incident is worth a look.
///
/// # Errors
/// The reason to leave it.
pub fn admit(signal: &Signal, loaded: &Loaded, context: &Context, now: Timestamp) -> Result<Look, IgnoreReason> {
    if context.policy.highest_mode() == Mode::Off {
        return Err(IgnoreReason::Off);
    }
    match &signal.kind {
        #[cfg(feature = "plants")]
        SignalKind::CommandTrouble { .. } if crate::plants::on(crate::plants::Plant::NoOwnCommandFilter) => {}
        SignalKind::CommandTrouble { document, .. } if document.is_own() => {
            return Err(IgnoreReason::OwnCommand);
        }
        SignalKind::CommandTrouble { .. }
        | SignalKind::EcsHealthImpaired { .. }
        | SignalKind::EcsDisconnected { .. }
        | SignalKind::SessionRefused
        | SignalKind::Swept { .. } => {}
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsConnected
        | SignalKind::Gone { .. } => return Err(IgnoreReason::NothingOpen),
    }
    if quiet::told_already(signal, loaded.last.as_ref(), context, now) {
        return Err(IgnoreReason::ToldAlready);
    }
    let look = Look {
        command: signal.kind.command().cloned(),
        container_instance: signal.kind.container_instance(),
        only_ecs: signal.kind.is_of_ecs(),
        told_by_sweep: matches!(signal.kind, SignalKind::Swept { .. }),
        ..Look::default()
    };
    planted!(NoActiveCap => return Ok(look));
    if loaded.rails.around.as_ref().is_some_and(|around| around.room(&context.policy) == 0) {
        // Nothing new waits for no place.
        let as_told = quiet::is_as_told(signal, loaded.last.as_ref(), context, now);
        return Err(if as_told { IgnoreReason::ToldAlready } else { IgnoreReason::NoRoom });
    }
    Ok(look)
}

/// Opens an incident for a node that was looked at, or says why not.
#[must_use]
pub fn open(signal: &Signal, seen: &Observation, loaded: &Loaded, context: &Context, now: Timestamp) -> Opening {
    // Whoever stood still since this look may open what was opened, treated and ended meanwhile.
    if secs_between(seen.at, now) > LOOK_HOLDS_SECS {
        return Opening::Ignore(IgnoreReason::NotSeen);
    }
    if let Err(reason) = known_and_running(seen) {
        return Opening::Ignore(reason);
    }
    // What is left of a node that is gone, most likely: its registration stays with ECS for a while (S15).
    // An agent that has spoken since then says that it is not gone, or came back.
    let spoke = |since: Timestamp| {
        seen.ssm.known().is_some_and(|ssm| ssm.last_ping > since) || seen.ecs.known().is_some_and(|ecs| ecs.connected)
    };
    let gone = loaded
        .last
        .as_ref()
        .is_some_and(|last| matches!(last.outcome, Outcome::Replaced | Outcome::Gone) && !spoke(last.at));
    #[cfg(feature = "plants")]
    let gone = gone && !crate::plants::on(crate::plants::Plant::ReopenAfterReplace);
    match seen.ec2.blind().filter(|_| gone && seen.node.is_instance()) {
        // It will not be seen at the next try either.
        Some(Blind::Denied) => return Opening::Ignore(IgnoreReason::UnknownNode),
        Some(_) => return Opening::Ignore(IgnoreReason::NotSeen),
        None => {}
    }
    if ownership::check_mute(seen, loaded.rails.muted_until, now).is_err() {
        return Opening::Ignore(IgnoreReason::Muted);
    }
    let policy = context.policy_for(Some(seen), None);
    if mode::reach(seen, &policy).mode == Mode::Off {
        return Opening::Ignore(IgnoreReason::Off);
    }
    if loaded.last.as_ref().is_some_and(|last| quiet::nothing_changed(signal, seen, last, context, now)) {
        return Opening::Ignore(IgnoreReason::ToldAlready);
    }
    let health = Health::of(seen, now).expecting_ssm(signal.kind.expects_ssm());
    let status = seen.invocation.known().map(|invocation| invocation.status);
    let is_command = matches!(signal.kind, SignalKind::CommandTrouble { .. });
    let script_timed_out = match (is_command, status) {
        (true, Some(InvocationStatus::Failed | InvocationStatus::Success)) => {
            // The node answered, and its script failed: cheap to drop, and most of what is called `Failed`.
            return Opening::Ignore(IgnoreReason::CommandsOwnFault);
        }
        (true, Some(InvocationStatus::Rejected)) => return Opening::Ignore(IgnoreReason::CommandsOwnFault),
        (true, Some(InvocationStatus::ExecutionTimedOut)) if health.is_well() => true,
        (true, Some(_) | None) => false,
        // Why a session is refused on a node that is well, its host can tell: its client may have given up.
        (false, _) if health.is_well() && may_ask_about_sessions(signal, seen, loaded, &policy, now) => false,
        (false, _) if health.is_well() => return Opening::Ignore(IgnoreReason::AlreadyWell),
        (false, _) => false,
    };
    // Whose scripts time out is told only to those who asked for this node to be looked after.
    if script_timed_out && ownership::check(seen).is_err() {
        return Opening::Ignore(IgnoreReason::CommandsOwnFault);
    }
    let until = after(now, policy.restart_hold_down_secs);
    #[cfg(feature = "plants")]
    let until = if crate::plants::on(crate::plants::Plant::NoHoldDown) { now } else { until };
    let symptom = Symptom { at: now, kind: signal.kind.clone() };
    let mut incident = Incident::open(&context.home, seen, symptom, now, until);
    incident.looks = match signal.kind {
        // Debounced by ECS, so it counts as a look of its own.
        SignalKind::EcsHealthImpaired { .. } => 2,
        _ => 1,
    };
    incident.down_since = down_since(seen, now);
    incident.allowed = seen.shows_all_tags().then(|| mode::allowed(seen, &policy));
    incident.acted_before = acted_before(&incident, loaded.last.as_ref());
    let mut draft = Draft::of(&incident, &policy, seen.at, now);
    draft.touch();
    if let Some(status) = status {
        draft.note(Event::InvocationRead(status));
    }
    if script_timed_out {
        draft.next.diagnosis = Some(diagnose(seen, health, now));
        return Opening::Open(Box::new(draft.finish(Ending::ScriptTimedOut)));
    }
    draft.note(Event::Looked { ssm: health.ssm, ecs: health.ecs });
    if signal.kind.is_beyond_a_blip() && !health.is_well() {
        draft.trouble();
    }
    Opening::Open(Box::new(draft.stay(Some(until))))
}

/// What was told of a session is told again after so many seconds: people try a session again and again, and one word an hour is enough.
const SESSION_TOLD_SECS: i64 = 3_600;

/// Whether the host of a node that is well may be asked why a session to it was refused.
fn may_ask_about_sessions(
    signal: &Signal,
    seen: &Observation,
    loaded: &Loaded,
    policy: &Policy,
    now: Timestamp,
) -> bool {
    let told = loaded
        .last
        .as_ref()
        .is_some_and(|last| last.cause == Cause::SessionClientGaveUp && secs_between(last.at, now) < SESSION_TOLD_SECS);
    signal.kind == SignalKind::SessionRefused
        && !told
        && ownership::check(seen).is_ok()
        && policy.may_probe(mode::reach(seen, policy).mode)
}

/// What a signal about a node with an open incident leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// Another symptom: save it.
    Symptom(Box<Plan>),
    /// It may be over: look.
    Look(Look),
    /// Nothing.
    Nothing,
}

/// What a signal about a node with an open incident leads to: another symptom, or the moment to look whether it is over.
#[must_use]
pub fn told(signal: &Signal, incident: &Incident, context: &Context, now: Timestamp) -> Told {
    let symptom = match &signal.kind {
        SignalKind::CommandTrouble { document, .. } => !document.is_own(),
        SignalKind::EcsHealthImpaired { .. } | SignalKind::EcsDisconnected { .. } | SignalKind::SessionRefused => true,
        // The sweep looked a moment before the incident opened: it tells nothing new.
        SignalKind::Swept { .. } => return Told::Nothing,
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsConnected
        | SignalKind::Gone { .. } => false,
    };
    if symptom {
        let mut draft = Draft::of(incident, &context.policy, now, now);
        if !draft.next.add_symptom(Symptom { at: now, kind: signal.kind.clone() }) {
            return Told::Nothing;
        }
        if signal.kind.is_beyond_a_blip() {
            draft.trouble();
        }
        draft.touch();
        return Told::Symptom(Box::new(draft.keep_wake()));
    }
    let waits = matches!(
        incident.phase,
        Phase::Watching { .. } | Phase::Resting { .. } | Phase::Parked { refusal: Refusal::ActiveIncidents { .. }, .. }
    );
    let gone = matches!(signal.kind, SignalKind::Gone { .. });
    match wants(incident, &context.policy_for(None, Some(&incident.place)), now) {
        // Whether it is gone, EC2 says.
        Wants::Look(look) if gone => Told::Look(Look { spare: Spare::default(), ssm_first: false, ..look }),
        Wants::Look(look) if waits => Told::Look(look),
        // In the middle of a treatment the next look comes soon enough.
        Wants::Look(_) | Wants::Wait(_) => Told::Nothing,
    }
}

/// Since when the agents have been silent, by AWS's own clocks; never in the future.
pub(super) fn down_since(seen: &Observation, now: Timestamp) -> Timestamp {
    let health = Health::of(seen, now);
    let by_ecs = seen.ecs.known().and_then(|ecs| ecs.impaired_since);
    let by_ssm = match health.ssm {
        crate::observe::Standing::Suspect | crate::observe::Standing::Ill => seen.ssm.known().map(|ssm| ssm.last_ping),
        crate::observe::Standing::Well | crate::observe::Standing::NotPresent | crate::observe::Standing::Unknown => {
            None
        }
    };
    [by_ecs, by_ssm].into_iter().flatten().min().unwrap_or(now).min(now)
}

/// Whether AWS knows the node, and it is meant to run.
pub(super) fn known_and_running(seen: &Observation) -> Result<(), IgnoreReason> {
    planted!(OpenUnknown => if seen.ec2.known().is_none() { return Ok(()); });
    match &seen.ec2 {
        Fact::Known(ec2) => match ec2.state {
            InstanceState::Running => Ok(()),
            InstanceState::Pending
            | InstanceState::Stopping
            | InstanceState::Stopped
            | InstanceState::ShuttingDown
            | InstanceState::Terminated => Err(IgnoreReason::NotRunning),
        },
        Fact::Absent if seen.node.is_instance() => Err(IgnoreReason::UnknownNode),
        Fact::Absent => match (&seen.ssm, &seen.ecs) {
            (Fact::Known(_), _) | (_, Fact::Known(_)) => Ok(()),
            (Fact::Absent, Fact::Absent) => Err(IgnoreReason::UnknownNode),
            (Fact::Unknown(_), _) | (_, Fact::Unknown(_)) => Err(IgnoreReason::NotSeen),
        },
        // Somebody else knows it: opens a watch, from which nothing follows until it can be seen.
        Fact::Unknown(_) if seen.ssm.known().is_some() || seen.ecs.known().is_some() || seen.asg.known().is_some() => {
            Ok(())
        }
        // It may be anybody's id, and a record would tell people of a node that never was (S13).
        Fact::Unknown(_) => Err(IgnoreReason::NotSeen),
    }
}

/// The look that an operator's request for a node needs.
pub(super) fn close_look(incident: Option<&Incident>, now: Timestamp) -> Look {
    incident.map_or(Look { depth: Depth::Remedy, ..Look::closely() }, |incident| Look {
        ssm_first: false,
        // Whoever asks means the whole node, whatever the incident is about so far.
        only_ecs: false,
        // What a stop needs is seen by the look before it, which also rehearses it.
        depth: Depth::Remedy,
        ..look(incident, None, true, now)
    })
}
