//! What every form of a report needs to know of its incident, worked out once.

use jiff::Timestamp;

use super::fault::Fault;
use super::{Report, ReportKind, redact};
use crate::diagnose::{Cause, Diagnosis, Helps, reboot_helps};
use crate::event::{CoarseStatus, SignalKind};
use crate::guard::Refusal;
use crate::incident::{Ending, Event, Incident, Outcome, Phase, Remedy};
use crate::node::{CommandId, DocumentName};
use crate::observe::Standing;
use crate::time::secs_between;

/// A report and what follows from it.
pub(super) struct Story<'a> {
    pub(super) report: &'a Report,
    pub(super) incident: &'a Incident,
    pub(super) outcome: Outcome,
    pub(super) fault: Fault,
    /// The node's id, whole.
    pub(super) node: String,
    /// The `Name` tag, fit to be shown.
    pub(super) name: Option<String>,
    /// The cluster's name: checked text, but of any length up to 255.
    pub(super) cluster: Option<&'a str>,
    /// The Auto Scaling group's name, fit to be shown.
    pub(super) group: Option<String>,
    pub(super) diagnosis: Option<&'a Diagnosis>,
    pub(super) cause: Option<Cause>,
    /// When the outage ended; none while it goes on.
    pub(super) ended_at: Option<Timestamp>,
    /// How long it lasted, or has lasted so far.
    pub(super) down_secs: i64,
}

impl<'a> Story<'a> {
    pub(super) fn of(report: &'a Report) -> Self {
        let incident = report.incident.as_ref();
        let outcome = report.outcome();
        let over = match outcome {
            Outcome::SelfHealed | Outcome::Fixed | Outcome::Cycled | Outcome::Replaced => true,
            Outcome::NeedsHuman
            | Outcome::Blocked
            | Outcome::Deferred
            | Outcome::Gone
            | Outcome::NotOurs
            | Outcome::DryRun => false,
        };
        let closed_at = match &incident.phase {
            Phase::Closed { at, .. } => Some(*at),
            _ => None,
        };
        let ended_at = if over { Some(closed_at.unwrap_or(report.at)) } else { None };
        Self {
            report,
            incident,
            outcome,
            fault: Fault::of(incident),
            node: incident.node.to_string(),
            name: incident.place.name.as_ref().map(|name| redact::name(name.as_str())).filter(|name| !name.is_empty()),
            cluster: incident.place.container_instance.as_ref().map(|(cluster, _)| cluster.name()),
            group: incident.place.group.as_ref().map(|group| redact::name(group.as_str())).filter(|g| !g.is_empty()),
            diagnosis: incident.diagnosis.as_ref(),
            cause: incident.diagnosis.as_ref().map(|diagnosis| diagnosis.cause),
            ended_at,
            down_secs: secs_between(incident.down_since, ended_at.unwrap_or(report.at)).max(0),
        }
    }

    /// What people call the node's place: its cluster, else its name, else its group.
    pub(super) fn label(&self) -> Option<String> {
        self.cluster.map(redact::name).or_else(|| self.name.clone()).or_else(|| self.group.clone())
    }

    /// Whether the outage goes on, as far as anybody knows.
    pub(super) fn goes_on(&self) -> bool {
        if self.closed_by().is_some() {
            return false;
        }
        match self.outcome {
            Outcome::NeedsHuman | Outcome::Blocked | Outcome::Deferred | Outcome::DryRun => true,
            Outcome::NotOurs => !matches!(
                self.incident.ending(),
                Some(Ending::ScriptTimedOut | Ending::CommandRejected | Ending::SessionGaveUp)
            ),
            Outcome::SelfHealed | Outcome::Fixed | Outcome::Cycled | Outcome::Replaced | Outcome::Gone => false,
        }
    }

    /// What a remedy did, with the live sessions that it cut.
    pub(super) fn with_sessions(&self, what: String) -> String {
        let cut = self.incident.history.iter().rev().find_map(|entry| match &entry.event {
            Event::SessionsCut { count, .. } => Some(*count),
            _ => None,
        });
        match cut {
            Some(1) => format!("{what}; 1 live session was cut"),
            Some(count) => format!("{what}; {count} live sessions were cut"),
            None => what,
        }
    }

    /// Who closed it by hand.
    pub(super) fn closed_by(&self) -> Option<&'a str> {
        match self.incident.ending() {
            Some(Ending::ClosedBy { by, .. }) => Some(by),
            _ => None,
        }
    }

    /// The remedy that helped.
    pub(super) fn helped(&self) -> Option<Remedy> {
        match self.incident.ending() {
            Some(Ending::Helped { remedy }) => Some(*remedy),
            _ => None,
        }
    }

    /// The refusal that keeps Defib from going on.
    pub(super) fn refusal(&self) -> Option<&'a Refusal> {
        match (&self.incident.phase, self.incident.ending()) {
            (Phase::Parked { refusal, .. }, _)
            | (_, Some(Ending::Refused { refusal } | Ending::WaitedTooLong { refusal })) => Some(refusal),
            _ => None,
        }
    }

    /// The remedy that waits for an approval, or that a rail keeps back.
    pub(super) fn waiting_remedy(&self) -> Option<Remedy> {
        match self.refusal()? {
            Refusal::Approval { remedy }
            | Refusal::ModeTooLow { remedy, .. }
            | Refusal::CauseLimit { remedy, .. }
            | Refusal::NoWay { remedy, .. } => Some(*remedy),
            _ => None,
        }
    }

    /// Whether there are steps for a person to follow.
    pub(super) fn wants_steps(&self) -> bool {
        match self.report.kind {
            ReportKind::NeedsHuman | ReportKind::Reminder => true,
            ReportKind::NeedsApproval => false,
            ReportKind::Ended => match self.incident.ending() {
                Some(
                    Ending::WouldHave { remedy: None }
                    | Ending::ScriptTimedOut
                    | Ending::SessionGaveUp
                    | Ending::CommandRejected
                    | Ending::CauseNotOurs
                    | Ending::LadderExhausted
                    | Ending::Quarantined { .. }
                    | Ending::TooLong
                    | Ending::DoesNotStart
                    | Ending::NotGivenBack,
                )
                | None => true,
                Some(
                    Ending::SelfHealed
                    | Ending::Helped { .. }
                    | Ending::Refused { .. }
                    | Ending::WaitedTooLong { .. }
                    | Ending::Gone
                    | Ending::WouldHave { remedy: Some(_) }
                    | Ending::ClosedBy { .. },
                ) => false,
            },
        }
    }

    /// What broke, and how the other agent fared.
    pub(super) fn what_broke(&self) -> String {
        let clause = self.fault.clause();
        let seen = self.incident.history.iter().rev().find_map(|entry| match entry.event {
            Event::Looked { ssm, ecs } if ssm == Standing::Ill || ecs == Standing::Ill => Some((ssm, ecs)),
            _ => None,
        });
        let beside = match (self.fault, seen) {
            (Fault::SsmAgentUnreachable, Some((_, Standing::Well))) => "; the ECS agent stayed connected",
            (Fault::SsmAgentUnreachable, Some((_, Standing::Ill))) => "; the ECS agent was disconnected, too",
            (Fault::EcsAgentDisconnected, Some((Standing::Well, _))) => "; the SSM agent answered",
            (Fault::EcsAgentDisconnected, Some((Standing::Ill, _))) => "; the SSM agent was silent, too",
            (Fault::SystemCheckFailed | Fault::InstanceCheckFailed, Some((Standing::Ill, Standing::Well))) => {
                "; the SSM agent was silent, the ECS agent stayed connected"
            }
            (Fault::SystemCheckFailed | Fault::InstanceCheckFailed, Some((Standing::Well, Standing::Ill))) => {
                "; the ECS agent was disconnected, the SSM agent answered"
            }
            (Fault::SystemCheckFailed | Fault::InstanceCheckFailed, Some(_)) => "; no agent answered",
            _ => "",
        };
        format!("{clause}{beside}")
    }

    /// Whether the cause is one that a reboot does not help against, and none was tried.
    pub(super) fn spared_a_futile_reboot(&self) -> bool {
        self.cause.is_some_and(|cause| reboot_helps(cause) == Helps::No)
            && !self.incident.performed().any(Remedy::is_disruptive)
    }

    /// What of ours is still in effect on the node.
    pub(super) fn held(&self) -> &'static str {
        let holds = self.incident.holds;
        match (holds.draining, holds.standby, holds.stopped) {
            (_, _, true) => "stopped",
            (true, true, false) => "DRAINING and in Standby",
            (true, false, false) => "DRAINING",
            (false, true, false) => "in Standby",
            (false, false, false) => "set aside",
        }
    }

    /// What became of the tasks, after a disruptive remedy.
    pub(super) fn moved(&self) -> String {
        let left = self.incident.history.iter().rev().find_map(|entry| match entry.event {
            Event::Drained { left } => Some(left),
            _ => None,
        });
        match (left, self.incident.place.container_instance.is_some()) {
            (Some(0), _) => "it was drained first, its service tasks were moved".to_owned(),
            (Some(1), _) => "1 task was still on it and ended".to_owned(),
            (Some(left), _) => format!("{left} tasks were still on it and ended"),
            (None, true) => "tasks on it ended and were started again elsewhere".to_owned(),
            (None, false) => "what ran on it was stopped".to_owned(),
        }
    }

    /// The command that the incident began with.
    pub(super) fn command(&self) -> Option<(&'a DocumentName, &'a CommandId, CoarseStatus)> {
        self.incident.symptoms.iter().find_map(|symptom| match &symptom.kind {
            SignalKind::CommandTrouble { command, document, status } => Some((document, command, *status)),
            _ => None,
        })
    }
}
