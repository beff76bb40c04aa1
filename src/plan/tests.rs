//! The plan, rule by rule. Each test tells one small story of one node.

use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::diagnose::Cause;
use crate::effect::Effect;
use crate::engine::{Context, IgnoreReason};
use crate::event::{Signal, SignalKind};
use crate::guard::Refusal;
use crate::incident::{Attempt, AttemptResult, Ending, Event, Outcome, ProbeSent, Run, Symptom};
use crate::observe::samples::{Seen, command_id, command_trouble, ecs_disconnect, home, node_id, noon, seen};
use crate::policy::Mode;
use crate::ports::{KillSwitch, Loaded, Performed, Permits};
use crate::report::ReportKind;
use crate::time::{after, secs_between};

mod blindness;
mod endings;
mod holding;
mod looks;
mod opening;
mod operators;
mod patience;
mod previews;
mod proofs;
mod quarantine;
mod quiet;
mod refusals;
mod rules;
mod rungs;
mod settling;
mod steps;

pub(crate) const RUNNING: Rails =
    Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };

/// One node's treatment, look by look.
#[derive(Debug, Clone)]
struct Case {
    incident: Incident,
    policy: Policy,
    rails: Rails,
    now: Timestamp,
    /// What the last plan wanted.
    last: Option<Plan>,
}

/// An incident that a signal opened at noon, in mode `replace`.
fn told(kind: SignalKind) -> Case {
    let now = noon();
    let policy = Policy::in_mode(Mode::Replace);
    let until = after(now, policy.restart_hold_down_secs);
    let incident = Incident::open(&home(), &seen(now), Symptom { at: now, kind }, now, until);
    let mut case = Case { incident, policy, rails: RUNNING, now, last: None };
    case.incident.looks = 1;
    case
}

/// An incident about a node whose command could not be delivered.
fn silent() -> Case {
    told(command_trouble())
}

/// An incident about a node whose ECS agent lost its connection.
fn disconnected() -> Case {
    told(ecs_disconnect())
}

impl Case {
    fn mode(mut self, mode: Mode) -> Self {
        self.policy.mode = mode;
        self
    }

    fn policy(mut self, change: impl FnOnce(&mut Policy)) -> Self {
        change(&mut self.policy);
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Incident)) -> Self {
        change(&mut self.incident);
        self
    }

    /// The clock stands this many seconds after the first look.
    fn after_secs(mut self, secs: i64) -> Self {
        self.now = after(self.incident.first_seen, secs);
        self
    }

    /// The hold-downs are over, and the node was looked at twice.
    fn patient(self) -> Self {
        let patient = self.with(|incident| incident.looks = 2).after_secs(600).examining();
        // Look after look, ECS has not seen its agent.
        let run = ecs_away(after(patient.now, -300), after(patient.now, -20));
        patient.with(|incident| incident.ecs_down = Some(run))
    }

    fn examining(mut self) -> Self {
        let deadline = after(self.now, 1_800);
        // The probe that samples of observations tell of is ours.
        self.incident.probe = Some(ProbeSent { at: after(self.now, -95), command: Some(command_id()) });
        self.incident.phase = Phase::Examining { since: self.now, deadline, sending: None };
        self
    }

    fn phase(mut self, phase: Phase) -> Self {
        self.incident.phase = phase;
        self
    }

    /// What is seen now, told by `tell`.
    fn plan(&self, tell: impl FnOnce(Seen) -> Seen) -> Plan {
        decide(&self.incident, &tell(seen(self.now)), &self.rails, &self.policy, self.now)
    }

    /// Looks, and takes the plan over as saved; nothing was sent yet.
    fn look(mut self, tell: impl FnOnce(Seen) -> Seen) -> Self {
        let plan = self.plan(tell);
        self.incident = *plan.next.clone();
        self.last = Some(plan);
        self
    }

    /// Some seconds pass.
    fn wait(mut self, secs: i64) -> Self {
        self.now = after(self.now, secs);
        self
    }

    /// The effect that was decided gets this answer, two seconds later.
    fn answered(mut self, how: &Performed) -> Self {
        self = self.wait(2);
        let plan = settle(&self.incident, how, &self.policy, self.now);
        self.incident = *plan.next.clone();
        self.last = Some(plan);
        self
    }

    fn done(self) -> Self {
        self.answered(&Performed::Done { command: None })
    }

    fn effect(&self) -> Option<Effect> {
        effect(self.last.as_ref().expect("a look"))
    }

    fn permits(&self) -> &Permits {
        &self.last.as_ref().expect("a look").permits
    }

    fn freed(&self) -> bool {
        matches!(self.permits(), Permits::Free { .. })
    }

    fn reports(&self) -> &[ReportKind] {
        &self.last.as_ref().expect("a look").reports
    }

    fn outcome(&self) -> Option<Outcome> {
        self.incident.ending().map(Ending::outcome)
    }

    fn intent_state(&self) -> Option<&IntentState> {
        self.incident.phase.intent().map(|intent| &intent.state)
    }
}

/// The look that an incident asks for.
fn asked(case: &Case) -> Look {
    match wants(&case.incident, &case.policy, case.now) {
        Wants::Look(look) => look,
        Wants::Wait(until) => panic!("it waits until {until:?}"),
    }
}

fn effect(plan: &Plan) -> Option<Effect> {
    plan.perform.as_ref().map(|perform| perform.effect)
}

/// What a plan is parked for.
fn parked(plan: &Plan) -> Option<&Refusal> {
    match &plan.next.phase {
        Phase::Parked { refusal, .. } => Some(refusal),
        _ => None,
    }
}

/// ECS has not seen its agent, look after look; the SSM agent was there.
fn ecs_away(since: Timestamp, until: Timestamp) -> Run {
    Run { since, until, ssm_away: false, impaired: false }
}

fn remedy_tried(remedy: Remedy, acted_at: Timestamp, result: AttemptResult) -> Attempt {
    Attempt { remedy, at: acted_at, acted_at: Some(acted_at), result }
}

/// Dead, as EC2, SSM and a lost probe see it.
fn dead(seen: Seen) -> Seen {
    seen.ssm_silent()
}

/// An ECS agent that lost its connection on a host that answers.
fn ecs_lost(seen: Seen) -> Seen {
    seen.ecs_lost().host_says(&[Cause::EcsAgentHung])
}
