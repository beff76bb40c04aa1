//! The flat form for machines, `defib.report/1`. Its schema is `docs/schema/report-1.schema.json`.

use jiff::Timestamp;
use serde::Serialize;

use super::limits::Limits;
use super::story::Story;
use super::words::{self, Severity};
use super::{ReportKind, redact};
use crate::diagnose::{Cause, Channel};
use crate::incident::{AttemptResult, Ending, IncidentId, Outcome, Phase, Remedy};
use crate::node::{AccountId, NodeId, Region};
use crate::policy::Mode;
use crate::ports::ReportId;

/// A report for machines.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// `defib.report/1`.
    pub schema: &'static str,
    /// The incident: the thread that the report belongs to.
    pub incident_id: IncidentId,
    /// `incident/outcome/n`: repeats carry the same.
    pub report_id: String,
    /// What the report is for.
    pub kind: ReportKind,
    /// How the incident ended, or for what it rests.
    pub outcome: Outcome,
    /// How loud it is.
    pub severity: Severity,
    /// What broke: one of the words of [`super::Fault`].
    pub fault: &'static str,
    /// Why, when that is known.
    pub cause: Option<Cause>,
    /// How sure, from 0 to 1.
    pub confidence: Option<f64>,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The node, `i-…` or `mi-…`.
    pub instance_id: NodeId,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// The Auto Scaling group's name.
    pub auto_scaling_group: Option<String>,
    /// The command that it began with.
    pub command: Option<Command>,
    /// Since when the agents were silent.
    pub started_at: Timestamp,
    /// When the outage ended; null while it goes on.
    pub ended_at: Option<Timestamp>,
    /// How long it lasted, or has lasted so far.
    pub duration_seconds: i64,
    /// Remedies tried, in order.
    pub steps: Vec<Step>,
    /// Who approved a remedy last, as claimed, redacted.
    pub approved_by: Option<String>,
    /// What the evidence says, the weightiest first.
    pub findings: Vec<Evidence>,
    /// Why nothing more was done: a stable word.
    pub stopped_because: Option<&'static str>,
    /// The same in words, with its numbers.
    pub stopped_because_text: Option<String>,
    /// When the next reminder is due.
    pub next_reminder_at: Option<Timestamp>,
    /// The mode that the deployment ran in.
    pub mode: Mode,
}

/// A Run Command invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Command {
    /// Its id.
    pub id: String,
    /// Its document.
    pub document: String,
    /// Its coarse status.
    pub status: &'static str,
}

/// One try at one remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The remedy.
    pub action: Remedy,
    /// Which try at this remedy it was, from 1.
    pub attempt: usize,
    /// How it ended.
    pub result: AttemptResult,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it points to.
    pub code: Cause,
    /// How it weighs.
    pub severity: crate::diagnose::Severity,
    /// Where it was seen.
    pub channel: Channel,
    /// What was seen, redacted.
    pub evidence: String,
}

pub(super) fn machine(story: &Story<'_>, id: &ReportId, limits: Limits) -> Machine {
    let incident = story.incident;
    Machine {
        schema: "defib.report/1",
        incident_id: incident.id,
        report_id: id.to_string(),
        kind: story.report.kind,
        outcome: story.outcome,
        severity: words::severity(story),
        fault: story.fault.as_str(),
        cause: story.cause,
        confidence: story.diagnosis.map(|diagnosis| f64::from(diagnosis.confidence.min(100)) / 100.0),
        account: incident.place.account,
        region: incident.place.region.clone(),
        instance_id: incident.node,
        cluster: story.cluster.map(str::to_owned),
        auto_scaling_group: incident.place.group.as_ref().map(|group| redact::excerpt_of(group.as_str(), 255)),
        command: story.command().map(|(document, command, status)| Command {
            id: command.as_str().to_owned(),
            document: document.as_str().to_owned(),
            status: status.as_str(),
        }),
        started_at: incident.down_since,
        ended_at: story.ended_at,
        duration_seconds: story.down_secs,
        steps: steps(story, limits.steps),
        approved_by: incident.approved_by().map(redact::name),
        findings: findings(story, limits),
        stopped_because: stopped_because(story),
        stopped_because_text: incident
            .ending()
            .and_then(|ending| words::because(ending, story.incident))
            .or_else(|| story.refusal().map(|refusal| redact::excerpt(&refusal.to_string()))),
        next_reminder_at: match &incident.phase {
            Phase::Resting { remind_at, .. } => Some(*remind_at),
            _ => None,
        },
        mode: story.report.mode,
    }
}

fn steps(story: &Story<'_>, most: usize) -> Vec<Step> {
    let mut counts = [0_usize; Remedy::ALL.len()];
    let mut steps: Vec<Step> = Vec::with_capacity(story.incident.attempts.len());
    for attempt in &story.incident.attempts {
        let place = Remedy::ALL.iter().position(|remedy| *remedy == attempt.remedy);
        let nth = place.and_then(|place| counts.get_mut(place)).map_or(1, |count| {
            *count = count.saturating_add(1);
            *count
        });
        steps.push(Step { action: attempt.remedy, attempt: nth, result: attempt.result });
    }
    let skipped = steps.len().saturating_sub(most);
    steps.split_off(skipped)
}

pub(super) fn findings(story: &Story<'_>, limits: Limits) -> Vec<Evidence> {
    let all = story.diagnosis.map(|diagnosis| diagnosis.findings.iter()).into_iter().flatten();
    all.take(limits.findings)
        .map(|finding| Evidence {
            code: finding.cause,
            severity: finding.severity,
            channel: finding.channel,
            evidence: redact::excerpt_of(&finding.evidence, limits.evidence),
        })
        .collect()
}

fn stopped_because(story: &Story<'_>) -> Option<&'static str> {
    if let Some(refusal) = story.refusal() {
        return Some(refusal.rail());
    }
    match story.incident.ending()? {
        Ending::CauseNotOurs => Some("cause-not-ours"),
        Ending::LadderExhausted => Some("ladder-exhausted"),
        Ending::Quarantined { .. } => Some("quarantined"),
        Ending::TooLong => Some("too-long"),
        Ending::DoesNotStart => Some("does-not-start"),
        Ending::NotGivenBack => Some("not-given-back"),
        Ending::SessionGaveUp => Some("session-gave-up"),
        Ending::ScriptTimedOut => Some("script-timed-out"),
        Ending::CommandRejected => Some("command-rejected"),
        Ending::WouldHave { .. } => Some("mode-observe"),
        Ending::ClosedBy { .. } => Some("closed-by-hand"),
        Ending::SelfHealed
        | Ending::Helped { .. }
        | Ending::Refused { .. }
        | Ending::WaitedTooLong { .. }
        | Ending::Gone => None,
    }
}
