//! Watching, examining, parking: from "something was told" to "this remedy, now" or to an honest end.

use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;

use super::cycle;
use super::draft::{Draft, Plan};
use super::ladder::{self, Choice};
use crate::diagnose::{Cause, Channel, Diagnosis, Family, Severity, diagnose};
use crate::effect::Effect;
use crate::event::SignalKind;
use crate::guard::mode::Reach;
use crate::guard::{Refusal, Sight, calendar, fleet, gates, mode, ownership, shared, workload};
use crate::incident::{AttemptResult, Ending, Event, Phase, ProbeSent, Remedy};
use crate::observe::{
    ANSWER_FRESH_SECS, Blind, Connection, Depth, Fact, Health, InvocationStatus, Observation, PROBE_FRESH_SECS,
    PROBE_LOST_SECS, ProbeAnswer, Standing,
};
use crate::policy::Mode;
use crate::ports::{KillSwitch, Quarantine, Rails};
use crate::time::{after, secs_between};

/// How long an examination may go on before it parks, in seconds: several probes.
pub(super) const EXAMINE_SECS: i64 = 30 * 60;
/// Between two looks while something is expected to change soon, in seconds.
const LOOK_SECS: i64 = 20;
/// Longer than any natural reconnect of an ECS container agent, in seconds: they take up to two minutes (facts/aws.md §5).
const NATURAL_RECONNECT_SECS: i64 = 150;
/// A probe that is this old, in seconds, is surely lost, whatever the call and the timer took, and still holds.
const LOST_LOOK_SECS: i64 = PROBE_LOST_SECS + 5;
/// Between two looks at a node whose SSM agent is silent, while the hold-down runs, in seconds.
const SILENT_LOOK_SECS: i64 = 60;

/// The hold-down: a healthy node inside it closes silently.
pub(super) fn watch(mut draft: Draft<'_>, seen: &Observation, rails: &Rails, until: Timestamp) -> Plan {
    let now = draft.now;
    if now >= until {
        let secs = secs_between(draft.next.first_seen, now);
        let well = draft.health(seen).is_well();
        if !well {
            draft.note(Event::HoldDownOver { secs });
            draft.trouble();
        }
        return examine(draft, seen, rails, now, after(now, EXAMINE_SECS));
    }
    // Looked at early because an event told of a recovery.
    if draft.health(seen).is_well() && !delivery_failed(&draft) {
        return draft.end(Ending::SelfHealed);
    }
    draft.stay(Some(until))
}

/// The time of a rail has come: look whether it is out of the way.
pub(super) fn unpark(mut draft: Draft<'_>, seen: &Observation, rails: &Rails, since: Timestamp) -> Plan {
    let now = draft.now;
    draft.parked_until_now(since);
    // A rail that has not moved is asked again without a line in the history; `park` sees to that.
    draft.touch();
    examine(draft, seen, rails, now, after(now, EXAMINE_SECS))
}

/// Finds the cause and chooses what to do about it. Every disruptive effect is preceded by this very function, with fresh
/// reads, also after a drain or a Standby of many minutes.
pub(super) fn examine(
    mut draft: Draft<'_>,
    seen: &Observation,
    rails: &Rails,
    since: Timestamp,
    deadline: Timestamp,
) -> Plan {
    let now = draft.now;
    let examining = Phase::Examining { since, deadline, sending: None };
    let health = draft.health(seen);
    // A node that is well needs no leave to be left alone.
    let rails_of_node = running(rails)
        .and_then(|()| ownership::check(seen))
        .and_then(|()| ownership::check_mute(seen, rails.muted_until, now))
        .and_then(|()| gates::launch_grace(seen, draft.policy, now));
    if let Err(refusal) = rails_of_node {
        return if health.is_well() { draft.end(Ending::SelfHealed) } else { draft.park(refusal) };
    }
    if let Some(ending) = commands_own_fault(&mut draft, seen, health) {
        return draft.end(ending);
    }
    let reach = mode::reach(seen, draft.policy);
    // Somebody works on an answering node: not even a probe is sent.
    if !health.is_well()
        && let Err(refusal @ Refusal::OtherWork { .. }) = gates::other_work(seen, health)
    {
        return draft.park(refusal);
    }
    let found = diagnose(seen, health, now);
    if !told_by_aws(&found, health) {
        draft = match probe_first(draft, seen, health, reach, (since, deadline)) {
            ControlFlow::Continue(draft) => draft,
            ControlFlow::Break(plan) => return plan,
        };
    }
    if health.is_well() && !host_is_sick(&found) {
        return well(draft, seen, found);
    }
    // What the host itself said just now outweighs a console; without it, the console is read before anything is decided.
    if !seen.host_answered(now) && seen.depth < Depth::Cause {
        return draft.deeper(Depth::Cause);
    }
    draft.next.looks = draft.next.looks.saturating_add(1);
    if let Err(refusal) = gates::sight(seen) {
        return blinded(draft, refusal);
    }
    record(&mut draft, health, found.clone());
    let shared = common_cause(&mut draft, seen, rails);
    let too_long = draft.unparked_secs() > draft.policy.incident_max_secs;
    #[cfg(feature = "plants")]
    let too_long = too_long && !crate::plants::on(crate::plants::Plant::NoTimeLimit);
    if too_long {
        return draft.end(Ending::TooLong);
    }
    let choice = ladder::choose(&draft.next, seen, health, found.cause, (draft.policy, reach.mode));
    let remedy = match choice {
        Choice::Remedy(remedy) => remedy,
        Choice::NotOurs => {
            // Whoever is asked for help reads about what stands in the way now.
            draft.next.diagnosis = Some(found);
            return draft.end(Ending::CauseNotOurs);
        }
        Choice::Exhausted => {
            draft.next.diagnosis = Some(found);
            return draft.end(Ending::LadderExhausted);
        }
        Choice::Wait(refusal) => return draft.park(refusal),
        Choice::Look(depth) => return draft.deeper(depth),
    };
    if let Some(wait_until) = patience(&draft, found.cause, remedy) {
        // An agent that comes and goes may take a probe meanwhile, and then a gentler remedy; the last one is lost in time.
        let soon = draft.in_secs(SILENT_LOOK_SECS.max(secs_between(now, wait_until).saturating_sub(LOST_LOOK_SECS)));
        let wake = if health.ssm == Standing::Well { wait_until } else { wait_until.min(soon) };
        return draft.go(examining, Some(wake));
    }
    if reach.mode == Mode::Observe {
        let remedy = mode::check_cause(draft.policy, found.cause, remedy).is_ok().then_some(remedy);
        return draft.end(Ending::WouldHave { remedy });
    }
    if let Err(refusal) = mode::check(reach, remedy).and_then(|()| mode::check_cause(draft.policy, found.cause, remedy))
    {
        return draft.park(refusal);
    }
    if (remedy.is_disruptive() || remedy.ends_sessions()) && seen.depth < Depth::Remedy {
        return draft.deeper(Depth::Remedy);
    }
    if remedy.is_disruptive() && !certain(&draft, health, &found) {
        // Signs of trouble are not enough to cycle a node (S1): further looks and another probe will tell.
        if now >= deadline {
            return draft.end(Ending::TooLong);
        }
        let wake = draft.in_secs(LOOK_SECS);
        return draft.go(examining, Some(wake));
    }
    let gates = if remedy.is_disruptive() { shared.and_then(|()| breaker(&draft, rails, remedy)) } else { Ok(()) };
    let gates = gates.and_then(|()| remedy_gates(&draft, seen, health, remedy));
    if let Err(refusal) = gates.and_then(|()| free_of_quarantine(rails, remedy)) {
        return draft.park(refusal);
    }
    cycle::begin(draft, seen, remedy)
}

/// Something that must be seen is not: where AWS itself does not answer, that is all that is known.
fn blinded(mut draft: Draft<'_>, refusal: Refusal) -> Plan {
    if let Refusal::CannotSee { blind: Blind::Throttled | Blind::Unavailable, .. } = refusal
        && draft.next.diagnosis.is_none()
    {
        let findings = Arc::from([]);
        let cause = Cause::ServiceUnavailable;
        draft.next.diagnosis = Some(Diagnosis { cause, confidence: 60, also: Vec::new(), findings });
    }
    draft.park(refusal)
}

/// Whether the node is in no quarantine, or the remedy is one that does not count.
pub(super) fn free_of_quarantine(rails: &Rails, remedy: Remedy) -> Result<(), Refusal> {
    planted!(IgnoreQuarantine => return Ok(()));
    match rails.quarantine {
        Some(Quarantine { since, count }) if remedy.is_disruptive() => Err(Refusal::Quarantined { since, count }),
        Some(_) | None => Ok(()),
    }
}

/// Whether nobody paused everything.
pub(super) fn running(rails: &Rails) -> Result<(), Refusal> {
    planted!(IgnorePause => return Ok(()));
    match rails.switch {
        KillSwitch::Running => Ok(()),
        KillSwitch::Paused => Err(Refusal::Paused),
        #[cfg(feature = "plants")]
        KillSwitch::Unreadable if crate::plants::on(crate::plants::Plant::IgnoreDarkSwitch) => Ok(()),
        KillSwitch::Unreadable => Err(Refusal::PauseUnreadable),
    }
}

/// Whether the node's trouble is its own; the incident remembers what it shares with others, to be told of with them.
fn common_cause(draft: &mut Draft<'_>, seen: &Observation, rails: &Rails) -> Result<(), Refusal> {
    let Some(around) = &rails.around else { return Ok(()) };
    let checked = shared::check(&draft.next, seen, &around.peers, draft.policy);
    if let Err(Refusal::SharedCause { factor, .. }) = &checked
        && draft.next.shared.as_ref() != Some(factor)
    {
        draft.next.shared = Some(factor.clone());
        draft.touch();
    }
    checked
}

/// Whether the breaker lets this remedy begin. It is asked again in the transaction that takes the permits.
fn breaker(draft: &Draft<'_>, rails: &Rails, remedy: Remedy) -> Result<(), Refusal> {
    let Some(around) = &rails.around else { return Ok(()) };
    around.bulletin.breaker.check(remedy, &draft.next.place.scope(), draft.next.id, draft.now)
}

/// Whether AWS itself names a cause that nothing on the host removes: a probe would only take time.
///
/// The role and the network path are read from the API as they are now. The console is not: it may tell of yesterday.
pub(super) fn told_by_aws(found: &Diagnosis, health: Health) -> bool {
    !health.is_well()
        && matches!(found.cause.family(), Family::Identity | Family::Network)
        && found.findings.first().is_some_and(|finding| {
            finding.severity == Severity::Cause && matches!(finding.channel, Channel::Identity | Channel::Network)
        })
}

/// Whether the node is ill beyond doubt, so that it may be cycled (S1).
///
/// A natural reconnect, and a status check that lags behind a recovery by a minute or two, look like an outage in a single
/// look. So: the SSM agent took no probe; or ECS has not seen its agent for longer than any natural reconnect, look after
/// look; or the host itself says what is wrong. A status check alone, on a node whose agents answer, is not enough.
fn certain(draft: &Draft<'_>, health: Health, found: &Diagnosis) -> bool {
    planted!(SuspicionIsProof => return true);
    planted!(OneLookIsEnough => return health.is_ill());
    if health.ssm == Standing::Ill {
        return true;
    }
    match health.ecs {
        Standing::Ill => {
            draft.next.ecs_down.is_some_and(|run| secs_between(run.since, run.until) >= NATURAL_RECONNECT_SECS)
        }
        Standing::Well | Standing::NotPresent => {
            health.is_ill()
                && found
                    .findings
                    .iter()
                    .any(|finding| finding.channel == Channel::Probe && finding.severity == Severity::Cause)
        }
        Standing::Suspect | Standing::Unknown => false,
    }
}

/// An ordinary failure or time-out of a script is told or dropped, never treated.
fn commands_own_fault(draft: &mut Draft<'_>, seen: &Observation, health: Health) -> Option<Ending> {
    let only_commands =
        draft.next.symptoms.iter().all(|symptom| matches!(symptom.kind, SignalKind::CommandTrouble { .. }));
    let status = seen.invocation.known().map(|invocation| invocation.status)?;
    if !only_commands || !health.is_well() {
        return None;
    }
    match status {
        InvocationStatus::ExecutionTimedOut => {
            draft.note(Event::InvocationRead(status));
            draft.next.diagnosis = Some(diagnose(seen, health, draft.now));
            Some(Ending::ScriptTimedOut)
        }
        InvocationStatus::Rejected => {
            draft.note(Event::InvocationRead(status));
            draft.next.diagnosis = Some(diagnose(seen, health, draft.now));
            Some(Ending::CommandRejected)
        }
        InvocationStatus::Open
        | InvocationStatus::Success
        | InvocationStatus::DeliveryTimedOut
        | InvocationStatus::Failed
        | InvocationStatus::Undeliverable => None,
    }
}

/// What follows of a node that is well. Where only a refused session told of it, its client may have given up: then the session is over,
/// and people are told whose doing it is.
fn well(mut draft: Draft<'_>, seen: &Observation, found: Diagnosis) -> Plan {
    // By a ping of some minutes ago, where the host would have been asked next: the connection tells.
    let by_ping = seen.ssm.known().is_some_and(|ssm| ssm.connection.blind() == Some(Blind::NotRead));
    if by_ping && seen.depth < Depth::Cause {
        return draft.deeper(Depth::Cause);
    }
    if !only_sessions(&draft) {
        return draft.end(Ending::SelfHealed);
    }
    if found.cause == Cause::SessionClientGaveUp {
        draft.note(Event::Diagnosed { cause: found.cause, confidence: found.confidence });
        draft.next.diagnosis = Some(found);
        return draft.end(Ending::SessionGaveUp);
    }
    // The host says nothing of it; whose sessions there are may.
    if seen.depth < Depth::Remedy { draft.deeper(Depth::Remedy) } else { draft.end(Ending::SelfHealed) }
}

/// Whether nothing but refused sessions told of the node.
fn only_sessions(draft: &Draft<'_>) -> bool {
    draft.next.asked.is_none() && draft.next.symptoms.iter().all(|symptom| symptom.kind == SignalKind::SessionRefused)
}

/// Whether a command of somebody could not be delivered: then "connected" proves nothing.
fn delivery_failed(draft: &Draft<'_>) -> bool {
    draft.next.symptoms.iter().any(|symptom| matches!(symptom.kind, SignalKind::CommandTrouble { .. }))
}

/// Sends a probe where one is needed, or waits for the one that is on its way. Or else: go on without.
fn probe_first<'a>(
    mut draft: Draft<'a>,
    seen: &Observation,
    health: Health,
    reach: Reach,
    (since, deadline): (Timestamp, Timestamp),
) -> ControlFlow<Plan, Draft<'a>> {
    planted!(NeverProbe => return ControlFlow::Continue(draft));
    let now = draft.now;
    // Where there is nothing to send it to, or no leave to send, the other channel must do.
    if seen.ssm.known().is_none() {
        return ControlFlow::Continue(draft);
    }
    if !draft.policy.may_probe(reach.mode) {
        return ControlFlow::Continue(draft);
    }
    // One that is on its way is waited for, whatever else was read.
    if let (Some(probe), Some(_)) = (seen.probe.known(), &draft.next.probe)
        && seen.awaits_probe()
    {
        let phase = Phase::Examining { since, deadline, sending: None };
        let wake = draft.in_secs(probe_wait_secs(&draft, seen, secs_between(probe.sent_at, now)));
        return ControlFlow::Break(draft.go(phase, Some(wake)));
    }
    // Whose node it is stands in its tags, its group's and its cluster's. Unread, they forbid even a probe (S3, S8).
    if !seen.shows_all_tags() {
        return ControlFlow::Continue(draft);
    }
    let doubtful = match health.ssm {
        Standing::Suspect => true,
        // Reachable, and something is wrong, or a command was not delivered: ask the host.
        Standing::Well => !health.is_well() || delivery_failed(&draft) || only_sessions(&draft),
        Standing::Ill | Standing::NotPresent | Standing::Unknown => false,
    };
    if !doubtful {
        return ControlFlow::Continue(draft);
    }
    let recent = draft.next.probe.as_ref().is_some_and(|probe| secs_between(probe.at, now) <= PROBE_LOST_SECS);
    if recent && seen.probe.blind().is_some() {
        // The answer could not be read: that says nothing about the node, and a second probe would not help.
        let phase = Phase::Examining { since, deadline, sending: None };
        let wake = draft.in_secs(LOOK_SECS);
        return ControlFlow::Break(draft.go(phase, Some(wake)));
    }
    let settled = match (seen.probe.known(), &draft.next.probe) {
        (Some(probe), Some(_)) => match &probe.answer {
            ProbeAnswer::Answered { findings, .. } => {
                let fresh = secs_between(probe.sent_at, now) <= ANSWER_FRESH_SECS;
                if fresh {
                    note_answer(&mut draft, probe.sent_at, findings.len());
                }
                fresh
            }
            ProbeAnswer::Undelivered | ProbeAnswer::Pending => secs_between(probe.sent_at, now) <= PROBE_FRESH_SECS,
        },
        (None, _) | (_, None) => false,
    };
    if settled {
        return ControlFlow::Continue(draft);
    }
    if now >= deadline {
        let blind = seen.probe.blind().unwrap_or(Blind::Empty);
        return ControlFlow::Break(draft.park(Refusal::CannotSee { what: Sight::Probe, blind }));
    }
    let wait_secs = probe_wait_secs(&draft, seen, 0);
    if wait_secs > LOOK_SECS
        && let Some(later) = probe_later(&draft, reach, deadline)
    {
        return ControlFlow::Break(draft.go(Phase::Examining { since, deadline, sending: None }, Some(later)));
    }
    let sending = draft.intend(Effect::Probe);
    draft.next.probe = Some(ProbeSent { at: now, command: None });
    let wake = draft.in_secs(wait_secs);
    ControlFlow::Break(draft.go(Phase::Examining { since, deadline, sending: Some(sending) }, Some(wake)))
}

/// When to ask a node whose SSM agent is away, if not now: no gentle remedy reaches it, and what does is due only after the hold-down of
/// what stops workload. A probe that is lost right then serves; an earlier one would have to be sent again.
fn probe_later(draft: &Draft<'_>, reach: Reach, deadline: Timestamp) -> Option<Timestamp> {
    let policy = draft.policy;
    // Where nothing stronger is allowed, or a cause has a time of its own, the cause is wanted now; so it is by whoever asked.
    let now_or_never = reach.mode < Mode::Cycle
        || draft.next.asked.is_some()
        || policy.causes.values().any(|rule| rule.wait_secs.is_some());
    let due = after(draft.next.first_seen, policy.disruptive_hold_down_secs.saturating_sub(LOST_LOOK_SECS));
    (!now_or_never && due >= draft.in_secs(LOOK_SECS) && due < deadline).then_some(due)
}

/// How long to wait for the answer to a probe of this age, both in seconds: an agent that is not connected hardly takes it, and until
/// it is lost nothing follows from it.
fn probe_wait_secs(draft: &Draft<'_>, seen: &Observation, age_secs: i64) -> i64 {
    let away = seen.ssm.known().is_some_and(|ssm| match ssm.connection {
        Fact::Known(connection) => connection == Connection::NotConnected,
        Fact::Absent | Fact::Unknown(_) => !ssm.answers(draft.now),
    });
    if away { LOST_LOOK_SECS.saturating_sub(age_secs).max(LOOK_SECS) } else { LOOK_SECS }
}

/// One line a probe.
fn note_answer(draft: &mut Draft<'_>, sent_at: Timestamp, findings: usize) {
    let told = draft
        .next
        .history
        .iter()
        .rev()
        .any(|entry| entry.at >= sent_at && matches!(entry.event, Event::ProbeAnswered { .. }));
    if !told {
        let findings = u32::try_from(findings).unwrap_or(u32::MAX);
        let secs = secs_between(sent_at, draft.now);
        draft.note(Event::ProbeAnswered { findings, secs });
    }
}

/// Whether the host itself says that it is sick, though everything answers: a worker that crashes again and again.
fn host_is_sick(found: &Diagnosis) -> bool {
    let sick = matches!(
        found.cause.family(),
        Family::SsmAgent | Family::EcsAgent | Family::Runtime | Family::Host | Family::Platform
    );
    sick && found.findings.first().is_some_and(|finding| finding.severity == Severity::Cause)
}

/// Keeps the diagnosis with the incident, with a line in the history when it changed.
fn record(draft: &mut Draft<'_>, health: Health, found: Diagnosis) {
    let told = draft.next.history.iter().rev().find_map(|entry| match entry.event {
        Event::Diagnosed { cause, .. } => Some(cause),
        _ => None,
    });
    let news = told != Some(found.cause);
    if news {
        let probe_lost = matches!(health.ssm, Standing::Ill) && draft.next.probe.is_some();
        draft.note(Event::Looked { ssm: health.ssm, ecs: health.ecs });
        if probe_lost {
            draft.note(Event::ProbeUndelivered);
        }
        draft.note(Event::Diagnosed { cause: found.cause, confidence: found.confidence });
    }
    // Once a remedy has helped with part of it, what is left is a consequence: the cause that began it stays on top.
    let helped = draft.next.attempts.iter().any(|attempt| attempt.result == AttemptResult::Helped);
    let stays = draft.next.diagnosis.as_ref().is_some_and(|before| helped && before.confidence >= found.confidence);
    if !stays {
        draft.next.diagnosis = Some(found);
    }
    draft.touch();
}

/// Until when to be patient before a remedy: two looks, the hold-down, the cool-down.
fn patience(draft: &Draft<'_>, cause: Cause, remedy: Remedy) -> Option<Timestamp> {
    let policy = draft.policy;
    let now = draft.now;
    if draft.next.looks < 2 {
        return Some(draft.in_secs(LOOK_SECS));
    }
    let hold_down =
        if remedy.is_disruptive() { policy.disruptive_hold_down_secs } else { policy.restart_hold_down_secs };
    // What the policy says about this very cause goes first.
    let hold_down = policy.causes.get(&cause).and_then(|rule| rule.wait_secs).unwrap_or(hold_down);
    #[cfg(feature = "plants")]
    let hold_down = if crate::plants::on(crate::plants::Plant::NoHoldDown) { 0 } else { hold_down };
    let ready = after(draft.next.first_seen, hold_down);
    if now < ready && draft.next.asked.is_none() {
        return Some(ready);
    }
    match gates::cooldown(&draft.next, policy, now) {
        Err(Refusal::Cooldown { until }) => Some(until),
        Err(_) | Ok(()) => None,
    }
}

/// Every rail of a remedy that is asked before its permits are taken, for who wants to know what would be.
pub(super) fn rails_of_remedy(
    draft: &Draft<'_>,
    seen: &Observation,
    health: Health,
    rails: &Rails,
    remedy: Remedy,
) -> Result<(), Refusal> {
    gates::sight(seen)?;
    gates::cooldown(&draft.next, draft.policy, draft.now)?;
    if let (true, Some(around)) = (remedy.is_disruptive(), &rails.around) {
        shared::check(&draft.next, seen, &around.peers, draft.policy)?;
        breaker(draft, rails, remedy)?;
    }
    remedy_gates(draft, seen, health, remedy)?;
    free_of_quarantine(rails, remedy)
}

/// The rails of one remedy on one node.
fn remedy_gates(draft: &Draft<'_>, seen: &Observation, health: Health, remedy: Remedy) -> Result<(), Refusal> {
    let standby = gates::needs_standby(seen, remedy, draft.next.holds);
    ownership::check_remedy(seen, remedy, standby)?;
    gates::sessions(seen, draft.policy, remedy)?;
    gates::other_work(seen, health)?;
    if remedy.is_disruptive() {
        surroundings(draft, seen, remedy)?;
    }
    approval(draft, remedy)
}

/// The rails of what stops workload that rest on more than this node.
fn surroundings(draft: &Draft<'_>, seen: &Observation, remedy: Remedy) -> Result<(), Refusal> {
    calendar::open(seen, draft.policy)?;
    fleet::unhealthy_stop(seen, draft.policy)?;
    fleet::zone_freeze(seen, draft.policy)?;
    fleet::last_in_zone(seen, draft.next.holds.draining)?;
    workload::tasks(seen, draft.policy)?;
    // A drain respects every service's minimum by itself; what it left ends with the remedy.
    if cycle::drain_for(draft, seen, remedy).is_none() { workload::service_minimum(seen) } else { Ok(()) }
}

fn approval(draft: &Draft<'_>, remedy: Remedy) -> Result<(), Refusal> {
    planted!(IgnoreApproval => return Ok(()));
    match draft.policy.approve_from {
        Some(from) if remedy >= from => match &draft.next.approval {
            #[cfg(feature = "plants")]
            Some(_) if crate::plants::on(crate::plants::Plant::AnyApprovalWillDo) => Ok(()),
            Some(approval) if approval.remedy == remedy && approval.until > draft.now => Ok(()),
            Some(_) | None => Err(Refusal::Approval { remedy }),
        },
        Some(_) | None => Ok(()),
    }
}
