//! What an operator's word changes. Nobody bypasses the rails: a fix skips the hold-down, and nothing else.

use std::sync::Arc;

use jiff::Timestamp;

use super::draft::{Draft, Plan};
use super::open::{close_look, down_since, known_and_running};
use super::preview::{PlanId, preview};
use super::{acted_before, examine};
use crate::effect::IntentState;
use crate::engine::Context;
use crate::event::{SignalKind, SweptAgent};
use crate::guard::ownership;
use crate::incident::{Approval, Ask, Ending, Event, Incident, OperatorWord, Phase, Remedy, Said, Symptom};
use crate::observe::{Health, Look, Observation, Standing};
use crate::policy::Policy;
use crate::ports::Loaded;
use crate::time::after;

/// An approval holds this long, in seconds.
const APPROVAL_SECS: i64 = 3_600;

/// What an operator is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorAnswer {
    /// It changes this.
    Plan(Box<Plan>),
    /// It is refused, for this reason.
    Refused(String),
}

fn refused(why: impl Into<String>) -> OperatorAnswer {
    OperatorAnswer::Refused(why.into())
}

/// The line that says who said what.
fn said(word: OperatorWord, by: &Arc<str>) -> Event {
    planted!(ForgetWhoApproved => return Event::Operator(Said { word, by: None }));
    Event::Operator(Said { word, by: Some(Arc::clone(by)) })
}

/// The look that a fix needs.
#[must_use]
pub fn fix_look(incident: Option<&Incident>, now: Timestamp) -> Look {
    close_look(incident, now)
}

/// Repair a node now: opens an incident past its hold-down, or hurries the one that is open. Bound to a plan, only if the plan is still
/// the one that somebody read.
#[must_use]
pub fn fix(
    seen: &Observation,
    loaded: &Loaded,
    context: &Context,
    (by, remedy, plan): (&Arc<str>, Option<Remedy>, Option<PlanId>),
    now: Timestamp,
) -> OperatorAnswer {
    if let Some(plan) = plan {
        match preview(seen, loaded, context, remedy, now) {
            Ok(preview) if preview.id() != plan => {
                return refused(format!("the plan is another one by now, {}: read it again", preview.id()));
            }
            Ok(_) => {}
            Err(why) => return refused(why),
        }
    }
    let policy = context.policy_for(Some(seen), loaded.incident.as_ref().map(|incident| &incident.place));
    let mut draft = match drafted(seen, loaded, &policy, context, (by, remedy), now) {
        Ok(draft) => draft,
        Err(why) => return refused(why),
    };
    draft.note(said(OperatorWord::Fix, by));
    let phase = Phase::Examining { since: now, deadline: after(now, examine::EXAMINE_SECS), sending: None };
    let wake = draft.in_secs(0);
    OperatorAnswer::Plan(Box::new(draft.go(phase, Some(wake))))
}

/// Whether AWS knows the node, and it runs.
pub(super) fn known(seen: &Observation) -> Result<(), String> {
    known_and_running(seen).map_err(|reason| reason.as_str().to_owned())
}

/// The incident as it stands once somebody asked for a repair, or why there can be none.
pub(super) fn drafted<'a>(
    seen: &Observation,
    loaded: &Loaded,
    policy: &'a Policy,
    context: &Context,
    (by, remedy): (&Arc<str>, Option<Remedy>),
    now: Timestamp,
) -> Result<Draft<'a>, String> {
    let (incident, rails) = (loaded.incident.as_deref(), &loaded.rails);
    let health = Health::of(seen, now);
    if incident.is_none() {
        known(seen)?;
    }
    if health.is_well() {
        return Err("the node is well: there is nothing to fix".to_owned());
    }
    ownership::check(seen).map_err(|refusal| refusal.to_string())?;
    examine::running(rails).map_err(|refusal| refusal.to_string())?;
    if let Some(Err(refusal)) = remedy.map(|remedy| examine::free_of_quarantine(rails, remedy)) {
        return Err(refusal.to_string());
    }
    let ask = Ask { by: Arc::clone(by), at: now, remedy };
    let mut draft = if let Some(incident) = incident {
        match &incident.phase {
            Phase::Watching { .. } | Phase::Parked { .. } | Phase::Resting { .. } | Phase::Examining { .. } => {}
            Phase::Draining { .. } | Phase::Standby { .. } | Phase::Treating { .. } | Phase::Verifying { .. } => {
                return Err(format!("a remedy is under way in {}", incident.id));
            }
            Phase::Closed { .. } => return Err(format!("{} is closed", incident.id)),
        }
        if incident.phase.intent().is_some_and(|intent| intent.state == IntentState::Pending) {
            return Err(format!("a probe is under way in {}; ask again in a minute", incident.id));
        }
        let mut draft = Draft::of(incident, policy, seen.at, now);
        match &incident.phase {
            Phase::Parked { since, .. } => draft.parked_until_now(*since),
            // A rest may have lasted for days: both clocks begin anew.
            Phase::Resting { .. } => draft.next.parked_secs = 0,
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. }
            | Phase::Closed { .. } => {}
        }
        draft
    } else {
        let agent = if health.ssm == Standing::Well { SweptAgent::Ecs } else { SweptAgent::Ssm };
        let symptom = Symptom { at: now, kind: SignalKind::Swept { agent, since: None } };
        let mut opened = Incident::open(&context.home, seen, symptom, now, now);
        opened.down_since = down_since(seen, now);
        opened.looks = 1;
        opened.acted_before = acted_before(&opened, loaded.last.as_ref());
        Draft::of(&opened, policy, seen.at, now)
    };
    draft.next.asked = Some(ask);
    Ok(draft)
}

/// Approves the remedy that an incident waits with: bound to this incident, this remedy and an expiry. A word holds for what had been
/// asked when it was given, `asked_at`, however long it was on its way.
#[must_use]
pub fn approve(
    incident: &Incident,
    policy: &Policy,
    by: &Arc<str>,
    asked_at: Timestamp,
    now: Timestamp,
) -> OperatorAnswer {
    // While it waits, the node is examined again and again, which takes a minute or two each time: whoever answers in one of
    // these was asked all the same.
    let examining = matches!(incident.phase, Phase::Examining { .. });
    let waits = examining || matches!(incident.phase, Phase::Parked { .. });
    let Some(remedy) = asked_for(incident, now).filter(|_| waits) else {
        return refused(format!("{} does not wait for an approval", incident.id));
    };
    if asked_for(incident, asked_at) != Some(remedy) {
        return refused(format!("{} has come to wait for another approval, that of {remedy}, meanwhile", incident.id));
    }
    let mut draft = Draft::of(incident, policy, now, now);
    draft.next.approval = Some(Approval { by: Arc::clone(by), remedy, until: after(now, APPROVAL_SECS) });
    draft.note(said(OperatorWord::Approved, by));
    // While it is examined, the look that it waits for comes by itself.
    if examining {
        return OperatorAnswer::Plan(Box::new(draft.keep_wake()));
    }
    let wake = draft.in_secs(0);
    OperatorAnswer::Plan(Box::new(draft.stay(Some(wake))))
}

/// The remedy for which a person's approval was awaited at a moment.
fn asked_for(incident: &Incident, at: Timestamp) -> Option<Remedy> {
    let turns = |event: &Event| matches!(event, Event::Parked(_) | Event::Chosen { .. } | Event::Ended { .. });
    let last = incident.history.iter().rev().find(|entry| entry.at <= at && turns(&entry.event))?;
    if let Event::Parked(refusal) = &last.event { refusal.asks_for() } else { None }
}

/// Ends an incident by hand, once nothing of ours is on its way or in effect.
#[must_use]
pub fn close(incident: &Incident, policy: &Policy, by: &Arc<str>, now: Timestamp) -> OperatorAnswer {
    if incident.is_closed() {
        return refused(format!("{} is closed already", incident.id));
    }
    let under_way = match &incident.phase {
        Phase::Draining { .. } | Phase::Standby { .. } | Phase::Treating { .. } | Phase::Verifying { .. } => true,
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => false,
    };
    if under_way || incident.phase.intent().is_some_and(|intent| intent.state == IntentState::Pending) {
        return refused(format!("a remedy is under way in {}; close it afterwards", incident.id));
    }
    // Whoever closes this would leave the node out of service, and nobody would come back for it (S14).
    if incident.holds.stopped {
        return refused(format!("{} is still stopped by defib: start it first", incident.node));
    }
    if incident.holds.standby {
        return refused(format!("{} is still in Standby: bring it back into service first", incident.node));
    }
    let rested = incident.is_resting();
    let mut draft = Draft::of(incident, policy, now, now);
    draft.note(said(OperatorWord::Closed, by));
    let ending = Ending::ClosedBy { by: Arc::clone(by), rested };
    // A drain that is still ours is undone first.
    OperatorAnswer::Plan(Box::new(draft.end(ending)))
}
