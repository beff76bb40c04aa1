//! What an answer to an effect, or a refused commit, means for the incident.

use jiff::Timestamp;

use super::draft::{Draft, Plan};
use super::{cycle, examine, verify};
use crate::effect::{Effect, Intent, IntentState};
use crate::guard::Refusal;
use crate::incident::{AttemptResult, Event, Incident, Phase, Remedy};
use crate::node::CommandId;
use crate::policy::Policy;
use crate::ports::Performed;
use crate::time::after;

/// Records what became of the intent that was just sent.
///
/// An unknown answer changes nothing: the intent stays pending and is burned once nobody can be sending it any more.
#[must_use]
pub fn settle(incident: &Incident, performed: &Performed, policy: &Policy, now: Timestamp) -> Plan {
    let mut draft = Draft::of(incident, policy, now, now);
    let Some(intent) = draft.next.phase.intent().cloned() else { return draft.stay(incident.wake_at) };
    let probe = intent.effect == Effect::Probe;
    match performed {
        Performed::Done { command } => {
            mark(&mut draft, IntentState::Landed { at: now, command: command.clone() });
            if probe {
                return probe_settled(draft, command.as_ref());
            }
            draft.next.repair.clone_from(command);
            draft.note(Event::Done(intent.effect));
            landed(draft, &intent)
        }
        Performed::Refused | Performed::TooLate => {
            mark(&mut draft, IntentState::Refused { at: now });
            if probe {
                draft.next.probe = None;
                return probe_settled(draft, None);
            }
            if *performed == Performed::Refused {
                draft.note(Event::Refused(intent.effect));
                refused_call(draft, &intent)
            } else {
                draft.note(Event::Expired(intent.effect));
                expired(draft, &intent)
            }
        }
        Performed::Unknown => {
            let burnable = super::burnable(&intent);
            draft.stay(Some(burnable))
        }
    }
}

fn mark(draft: &mut Draft<'_>, state: IntentState) {
    if let Some(intent) = draft.next.phase.intent_mut() {
        intent.state = state;
    }
    draft.touch();
}

/// The probe is on its way, or was refused: the phase goes on without it in its hands.
fn probe_settled(mut draft: Draft<'_>, command: Option<&CommandId>) -> Plan {
    if let Some(probe) = &mut draft.next.probe {
        probe.command = command.cloned();
    }
    // What was planned for a probe that is on its way holds; otherwise another look follows soon.
    let soon = draft.in_secs(20);
    let wake = draft.next.wake_at.filter(|_| command.is_some()).map_or(soon, |planned| planned.max(soon));
    match &mut draft.next.phase {
        Phase::Examining { sending, .. } | Phase::Verifying { sending, .. } => *sending = None,
        Phase::Watching { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => {}
    }
    draft.stay(Some(wake))
}

/// Most effects are followed by waiting for their proof; a stop, a start and a termination by waiting for a state.
fn landed(draft: Draft<'_>, intent: &Intent) -> Plan {
    let treating = match &draft.next.phase {
        Phase::Treating { remedy, .. } => Some(*remedy),
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Verifying { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => None,
    };
    let waits_for_a_state = matches!(intent.effect, Effect::Stop | Effect::Start | Effect::Terminate);
    match treating {
        Some(remedy) if !waits_for_a_state => verify::begin(draft, remedy),
        // What was planned for a state that takes its time holds.
        Some(_) | None => {
            let soon = draft.in_secs(20);
            let wake = draft.next.wake_at.map_or(soon, |planned| planned.max(soon));
            draft.stay(Some(wake))
        }
    }
}

/// AWS refused the call. A refused start is tried again; a refused undoing too; everything else parks.
fn refused_call(mut draft: Draft<'_>, intent: &Intent) -> Plan {
    let effect = intent.effect;
    match effect {
        Effect::Start | Effect::Activate | Effect::ExitStandby => {
            let wake = draft.in_secs(60);
            draft.stay(Some(wake))
        }
        Effect::Drain => {
            draft.next.holds.draining = false;
            draft.park(Refusal::CallRefused { effect })
        }
        Effect::EnterStandby => {
            draft.next.holds.standby = false;
            draft.park(Refusal::CallRefused { effect })
        }
        // Already gone: that is what it was for.
        Effect::Deregister => verify::begin(draft, Remedy::Replace),
        Effect::Probe
        | Effect::FreeDisk
        | Effect::RestartSsmAgent
        | Effect::RestartEcsAgent
        | Effect::RestartRuntime
        | Effect::Reboot
        | Effect::Stop
        | Effect::Terminate => {
            let remedy = draft.next.running_attempt().map_or(Remedy::Reboot, |attempt| attempt.remedy);
            cycle::call_refused(draft, remedy, effect)
        }
    }
}

/// The moment had passed before the call was sent: nothing happened, so the node is looked at afresh.
fn expired(mut draft: Draft<'_>, intent: &Intent) -> Plan {
    match intent.effect {
        Effect::Start | Effect::Activate | Effect::ExitStandby | Effect::Deregister => {
            let wake = draft.in_secs(0);
            return draft.stay(Some(wake));
        }
        Effect::Drain => draft.next.holds.draining = false,
        Effect::EnterStandby => draft.next.holds.standby = false,
        Effect::Stop => draft.next.holds.stopped = false,
        Effect::Probe
        | Effect::FreeDisk
        | Effect::RestartSsmAgent
        | Effect::RestartEcsAgent
        | Effect::RestartRuntime
        | Effect::Reboot
        | Effect::Terminate => {}
    }
    if let Some(attempt) = draft.next.running_attempt() {
        attempt.acted_at = None;
    }
    draft.end_attempt(AttemptResult::NotSent);
    draft.free();
    let now = draft.now;
    let wake = draft.in_secs(0);
    let deadline = after(now, examine::EXAMINE_SECS);
    draft.go(Phase::Examining { since: now, deadline, sending: None }, Some(wake))
}

/// A rail in the ledger refused the commit: nothing was saved, so the incident parks as it was.
#[must_use]
pub fn refused(incident: &Incident, refusal: Refusal, policy: &Policy, now: Timestamp) -> Plan {
    let mut draft = Draft::of(incident, policy, now, now);
    if let Phase::Parked { since, .. } = &incident.phase {
        draft.parked_until_now(*since);
    }
    draft.park(refusal)
}
