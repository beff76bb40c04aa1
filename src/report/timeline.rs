//! An incident's history in plain words, one short line an entry. The mail and `defib simulate` print the same.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::fault::Fault;
use super::{redact, words};
use crate::effect::Effect;
use crate::event::{GoneKind, HealthCheck, SignalKind, SweptAgent};
use crate::guard::Named;
use crate::incident::{AttemptResult, Ending, Entry, Event, Incident, Milestone, OperatorWord, Proof, Remedy, Said};
use crate::observe::{InvocationStatus, Standing};

/// Lines are shorter than this.
pub const LINE_MAX: usize = 140;

/// What an entry says, without its time; none where the line before said it already.
#[must_use]
pub fn line(entry: &Entry, incident: &Incident) -> Option<String> {
    words_of(&entry.event, incident).map(|text| redact::cut(&text, LINE_MAX - 1))
}

fn words_of(event: &Event, incident: &Incident) -> Option<String> {
    Some(match event {
        Event::Told(kind) => told(kind),
        Event::InvocationRead(status) => invocation(*status).to_owned(),
        Event::Looked { ssm, ecs } => looked(*ssm, *ecs),
        Event::HoldDownOver { secs } => {
            let still = Fault::of(incident).still();
            format!("still {still} after the {} hold-down -> started", words::span(*secs))
        }
        Event::ProbeAnswered { findings: 1, secs } => format!("probe answered: 1 finding ({secs} s)"),
        Event::ProbeAnswered { findings, secs } => format!("probe answered: {findings} findings ({secs} s)"),
        Event::ProbeUndelivered => "probe was not delivered".to_owned(),
        Event::Diagnosed { cause, confidence } => format!("cause: {cause} (confidence {})", words::share(*confidence)),
        Event::Chosen { remedy, of: 0 | 1, .. } => words::imperative(*remedy).to_owned(),
        Event::Chosen { remedy, attempt, of } => format!("{} (attempt {attempt} of {of})", words::imperative(*remedy)),
        Event::Done(effect) => effect.past_tense().to_owned(),
        Event::Refused(effect) => format!("{}: AWS refused it, nothing happened", call(*effect)),
        Event::Expired(effect) => format!("{}: not sent, its time had passed", call(*effect)),
        Event::Burned(effect) => format!("{}: no answer, so it counts as done", call(*effect)),
        Event::HostRefused { remedy, why } => {
            format!("{}: it did not work: {}", words::noun(*remedy), why.as_str())
        }
        Event::Drained { left: 0 } => "drained: 0 tasks left".to_owned(),
        Event::Drained { left: 1 } => "drain ended with 1 task left".to_owned(),
        Event::Drained { left } => format!("drain ended with {left} tasks left"),
        Event::SessionsCut { count, who } => {
            let sessions = if *count == 1 { "session" } else { "sessions" };
            redact::excerpt(&format!("cuts {count} live {sessions}, as the policy has it{}", Named(who)))
        }
        Event::Reached(milestone) => reached(*milestone).to_owned(),
        Event::Ended { remedy, result } => return ended(*remedy, *result, incident),
        Event::Parked(refusal) => format!("waiting: {}", redact::excerpt(&refusal.to_string())),
        Event::Unparked => "the way is free -> went on".to_owned(),
        Event::Operator(said) => operator(said),
        Event::Reminded => "reminded: it still needs a person".to_owned(),
        Event::Closed(ending) => closed(ending, incident),
    })
}

fn operator(said: &Said) -> String {
    let what = match said.word {
        OperatorWord::Fix => "repair it now",
        OperatorWord::Approved => "approved",
        OperatorWord::Closed => "closed it by hand",
        OperatorWord::Cleared => "cleared its quarantine",
    };
    match &said.by {
        Some(by) => format!("operator {}: {what}", redact::name(by)),
        None => format!("operator: {what}"),
    }
}

fn told(kind: &SignalKind) -> String {
    match kind {
        SignalKind::CommandTrouble { command, document, status } => {
            let id: String = command.as_str().chars().take(8).collect();
            let document = redact::cut(document.as_str(), 32);
            format!("event: Run Command {} ({document}, command {id}...)", status.as_str())
        }
        SignalKind::CommandSucceeded => "event: Run Command succeeded".to_owned(),
        SignalKind::EcsHealthImpaired { check, .. } => format!(
            "event: ECS health check {} is IMPAIRED",
            match check {
                HealthCheck::AgentConnectivity => "AGENT_CONNECTIVITY",
                HealthCheck::ContainerRuntime => "CONTAINER_RUNTIME",
            }
        ),
        SignalKind::EcsHealthRestored => "event: ECS health checks are OK again".to_owned(),
        SignalKind::EcsDisconnected { .. } => "event: agentConnected=false".to_owned(),
        SignalKind::EcsConnected => "event: agentConnected=true".to_owned(),
        SignalKind::Gone { what } => match what {
            GoneKind::Stopped => "event: the instance is stopped",
            GoneKind::Terminated => "event: the instance is terminated",
            GoneKind::ContainerInstanceInactive => "event: the container instance is INACTIVE",
        }
        .to_owned(),
        SignalKind::SessionRefused => "event: StartSession refused (TargetNotConnected)".to_owned(),
        SignalKind::Swept { agent: SweptAgent::Ssm, .. } => {
            "sweep: the SSM agent is silent, and no event told".to_owned()
        }
        SignalKind::Swept { agent: SweptAgent::Ecs, .. } => {
            "sweep: the ECS agent is disconnected, and no event told".to_owned()
        }
    }
}

fn invocation(status: InvocationStatus) -> &'static str {
    match status {
        InvocationStatus::Open => "read the invocation again: still open",
        InvocationStatus::Success => "read the invocation again: Success",
        InvocationStatus::DeliveryTimedOut => "read the invocation again: DeliveryTimedOut",
        InvocationStatus::ExecutionTimedOut => "read the invocation again: ExecutionTimedOut, the script took too long",
        InvocationStatus::Failed => "read the invocation again: Failed on a node that answered",
        InvocationStatus::Undeliverable => "read the invocation again: Undeliverable",
        InvocationStatus::Rejected => "read the invocation again: rejected or cancelled",
    }
}

fn looked(ssm: Standing, ecs: Standing) -> String {
    let ssm = match ssm {
        Standing::NotPresent => None,
        Standing::Well => Some("SSM agent answers"),
        Standing::Suspect => Some("SSM agent seems silent"),
        Standing::Ill => Some("SSM agent silent"),
        Standing::Unknown => Some("SSM agent not visible"),
    };
    let ecs = match ecs {
        Standing::NotPresent => None,
        Standing::Well => Some("ECS agent connected"),
        Standing::Suspect => Some("ECS agent seems silent"),
        Standing::Ill => Some("ECS agent disconnected"),
        Standing::Unknown => Some("ECS agent not visible"),
    };
    match (ssm, ecs) {
        (Some(ssm), Some(ecs)) => format!("looked: {ssm}, {ecs}"),
        (Some(only), None) | (None, Some(only)) => format!("looked: {only}"),
        (None, None) => "looked: no agent is registered".to_owned(),
    }
}

/// A call, as a heading for what became of it.
fn call(effect: Effect) -> &'static str {
    match effect {
        Effect::Probe => "probe",
        Effect::FreeDisk => "free disk",
        Effect::RestartSsmAgent => "restart SSM agent",
        Effect::RestartEcsAgent => "restart ECS agent",
        Effect::RestartRuntime => "restart docker and the ECS agent",
        Effect::Drain => "ECS: drain",
        Effect::Activate => "ECS: back to ACTIVE",
        Effect::EnterStandby => "ASG: to Standby",
        Effect::ExitStandby => "ASG: back into service",
        Effect::Reboot => "EC2: reboot",
        Effect::Stop => "EC2: stop",
        Effect::Start => "EC2: start",
        Effect::Terminate => "ASG: terminate",
        Effect::Deregister => "ECS: deregister",
    }
}

fn reached(milestone: Milestone) -> &'static str {
    match milestone {
        Milestone::Stopped => "EC2: stopped",
        Milestone::Running => "EC2: running again",
        Milestone::Fenced => "EC2: terminated, it can do no more harm",
        Milestone::InStandby => "ASG: in Standby",
        Milestone::InService => "ASG: back in service",
        Milestone::SsmAnswers => "SSM agent connected again",
        Milestone::EcsConnected => "ECS agent connected",
        Milestone::GroupWhole => "ASG: at its desired capacity again",
    }
}

fn ended(remedy: Remedy, result: AttemptResult, incident: &Incident) -> Option<String> {
    let noun = words::noun(remedy);
    match result {
        AttemptResult::Running => None,
        // The last line says the same, with the proof; only what helped with a part of it has no other line.
        AttemptResult::Helped if remedy == Remedy::FreeDisk => {
            let proof = incident.proof_of(remedy).map(|proof| format!("; {}", proven(proof)));
            Some(format!("{noun}: it helped{}", proof.unwrap_or_default()))
        }
        AttemptResult::Helped => None,
        AttemptResult::Failed => Some(format!("{noun}: it did not help in time")),
        AttemptResult::Refused => Some(format!("{noun}: AWS refused it")),
        AttemptResult::NotSent => Some(format!("{noun}: was not sent")),
    }
}

/// A remedy's proof in words, with the moments and numbers that make it one.
#[must_use]
pub fn proven(proof: Proof) -> String {
    let at = |at: Timestamp| clock(at, false);
    match proof {
        Proof::DiskFree { asked_at } => {
            format!("the probe of {}, later than the clean-up, finds no full disk", at(asked_at))
        }
        Proof::SsmPinged { at: ping, asked_at: Some(asked_at) } => {
            format!("ping at {}, later than the restart; the probe of {} was answered", at(ping), at(asked_at))
        }
        Proof::SsmPinged { at: ping, asked_at: None } => {
            format!("SSM agent connected, ping at {}, later than the restart", at(ping))
        }
        Proof::EcsConnected { since } => format!("agent connected since {}, stable for 60 s", at(since)),
        Proof::RuntimeAnswers { since } => {
            format!("docker answers, agent connected since {}, stable for 60 s", at(since))
        }
        Proof::Booted { at: boot } => format!("boot at {}, later than the reboot; agents answer", at(boot)),
        Proof::BackAfterReboot { pinged_at: Some(ping) } => {
            format!("ping at {}, later than the reboot; agents answer", at(ping))
        }
        Proof::BackAfterReboot { pinged_at: None } => "agents that were silent answer after the reboot".to_owned(),
        Proof::Launched { at: launch } => {
            format!("launch at {}, later than the stop; status checks ok, agents answer", at(launch))
        }
        Proof::GroupWhole { in_service, desired } => {
            format!("a new node took its place, {in_service} of {desired} in service")
        }
    }
}

fn closed(ending: &Ending, incident: &Incident) -> String {
    match ending {
        Ending::SelfHealed => "healthy again by itself -> closed".to_owned(),
        Ending::Helped { remedy } if let Some(proof) = incident.proof_of(*remedy) => {
            format!("{} -> closed", proven(proof))
        }
        // Records from before proofs were kept.
        Ending::Helped { remedy } => match remedy {
            Remedy::FreeDisk => "space freed, agents answer -> closed",
            Remedy::RestartSsmAgent => "SSM agent connected, a fresh probe answered -> closed",
            Remedy::RestartEcsAgent => "agent connected, stable for 60 s -> closed",
            Remedy::RestartRuntime => "docker answers, agent connected -> closed",
            Remedy::Reboot => "booted later than the action, agents answer -> closed",
            Remedy::StopStart => "launch time changed, status checks ok, agents answer -> closed",
            Remedy::Replace => "a new node took its place -> closed",
        }
        .to_owned(),
        Ending::CauseNotOurs
        | Ending::LadderExhausted
        | Ending::Quarantined { .. }
        | Ending::TooLong
        | Ending::DoesNotStart
        | Ending::NotGivenBack => format!("gave up: {}", words::because(ending, incident).unwrap_or_default()),
        Ending::Refused { .. } | Ending::WaitedTooLong { .. } => {
            format!("stopped: {}", words::because(ending, incident).unwrap_or_default())
        }
        Ending::Gone => "stopped or terminated, and not by us -> closed".to_owned(),
        Ending::SessionGaveUp => "the client of a session gave up; the node answers -> closed".to_owned(),
        Ending::ScriptTimedOut => "the script took too long; the node answers -> closed".to_owned(),
        Ending::CommandRejected => "the command never reached the node -> closed".to_owned(),
        Ending::WouldHave { remedy: Some(remedy) } => {
            format!("mode observe: would have {} -> closed", words::past(*remedy))
        }
        Ending::WouldHave { remedy: None } => "mode observe: only a person could do something -> closed".to_owned(),
        Ending::ClosedBy { by, .. } => format!("closed by {}", redact::name(by)),
    }
}

/// `14:02:11`, or `20 Nov 14:02:11` where the day is not clear.
#[must_use]
pub fn clock(at: Timestamp, with_date: bool) -> String {
    let civil = Offset::UTC.to_datetime(at);
    let time = format!("{:02}:{:02}:{:02}", civil.hour(), civil.minute(), civil.second());
    if with_date { format!("{:02} {} {time}", civil.day(), month(civil.month())) } else { time }
}

/// `20 Nov 2026`.
#[must_use]
pub fn date(at: Timestamp) -> String {
    let civil = Offset::UTC.to_datetime(at);
    format!("{} {} {}", civil.day(), month(civil.month()), civil.year())
}

/// Whether two moments lie on one day, in UTC.
#[must_use]
pub fn same_day(one: Timestamp, other: Timestamp) -> bool {
    Offset::UTC.to_datetime(one).date() == Offset::UTC.to_datetime(other).date()
}

fn month(number: i8) -> &'static str {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    usize::try_from(number).ok().and_then(|n| MONTHS.get(n.wrapping_sub(1))).copied().unwrap_or("???")
}

/// The history with its times, at most `most` lines; what is left out is left out in the middle, and said.
pub(super) fn lines(incident: &Incident, most: usize) -> Vec<String> {
    let first = incident.history.first().map(|entry| entry.at);
    let last = incident.history.last().map(|entry| entry.at);
    let with_date = !first.zip(last).is_some_and(|(first, last)| same_day(first, last));
    let all = incident
        .history
        .iter()
        .filter_map(|entry| line(entry, incident).map(|text| format!("{}  {text}", clock(entry.at, with_date))));
    let all: Vec<String> = all.collect();
    if all.len() <= most {
        return all;
    }
    let head = most / 3;
    let tail = most.saturating_sub(head).saturating_sub(1);
    let left_out = all.len().saturating_sub(head).saturating_sub(tail);
    let mut shown: Vec<String> = all.iter().take(head).cloned().collect();
    shown.push(format!("...       {left_out} lines left out: defib show {}", incident.id));
    shown.extend(all.iter().skip(head.saturating_add(left_out)).cloned());
    shown
}
