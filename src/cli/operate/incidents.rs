//! `defib incidents` and `defib show`.

use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use jiff::Timestamp;
use serde::Serialize;

use super::super::{Global, Ui, exit, paint};
use super::{IncidentsArgs, ShowArgs, desk};
use crate::diagnose::{Cause, please, sentence};
use crate::incident::{Incident, Phase, record};
use crate::report::{line, redact};

/// An incident in a list.
#[derive(Debug, Serialize)]
struct Row {
    incident_id: String,
    node_id: String,
    phase: &'static str,
    cause: Option<Cause>,
    outcome: Option<&'static str>,
    first_seen: Timestamp,
    wake_at: Option<Timestamp>,
    remedies: Vec<&'static str>,
    waits_for: Option<String>,
    reports: u32,
}

impl Row {
    fn of(incident: &Incident) -> Self {
        let waits_for = match &incident.phase {
            Phase::Parked { refusal, .. } => Some(redact::excerpt(&refusal.to_string())),
            Phase::Resting { .. } => Some("a person".to_owned()),
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. }
            | Phase::Closed { .. } => None,
        };
        Self {
            incident_id: incident.id.to_string(),
            node_id: incident.node.to_string(),
            phase: incident.phase.name(),
            cause: incident.diagnosis.as_ref().map(|diagnosis| diagnosis.cause),
            outcome: incident.ending().map(|ending| ending.outcome().as_str()),
            first_seen: incident.first_seen,
            wake_at: incident.wake_at,
            remedies: incident.attempts.iter().map(|attempt| attempt.remedy.as_str()).collect(),
            waits_for,
            reports: incident.reports,
        }
    }
}

pub(super) async fn list(args: &IncidentsArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let ledger = desk::deployment(&args.which, global).await?.ledger();
    let read = if args.all {
        let (incidents, unread) = ledger.all_incidents().await.map_err(desk::unread)?;
        if unread > 0 {
            ui.note(&format!(
                "{unread} records are left out: a newer version of defib wrote them, or they are damaged"
            ));
        }
        incidents
    } else {
        ledger.open_incidents().await.map_err(desk::unread)?
    };
    let rows: Vec<Row> = read.iter().map(|incident| Row::of(incident)).collect();
    if ui.is_json() {
        for row in &rows {
            ui.object(row)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        ui.line(if args.all { "no incidents" } else { "no open incidents" })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["incident", "phase", "cause", "remedies", "waits for"]);
    for row in rows {
        table.add_row([
            row.incident_id,
            row.outcome.filter(|_| row.phase == "closed").unwrap_or(row.phase).to_owned(),
            row.cause.map(|cause| cause.to_string()).unwrap_or_default(),
            row.remedies.join(", "),
            row.waits_for.unwrap_or_default(),
        ]);
    }
    for line in table.to_string().lines() {
        ui.line(line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn show(args: &ShowArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let ledger = desk::deployment(&args.which, global).await?.ledger();
    let Some(incident) = ledger.incident(args.id).await.map_err(desk::unread)? else {
        ui.error(&format!("there is no {} in the ledger; closed incidents are kept for ninety days", args.id));
        return Ok(ExitCode::from(exit::ERROR));
    };
    let evidence = if args.evidence { ledger.evidence_of(args.id).await.map_err(desk::unread)? } else { Vec::new() };
    if ui.is_json() {
        ui.line(&record::write(&incident)?)?;
        for kept in &evidence {
            ui.object(kept)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    tell(&incident, ui)?;
    for kept in &evidence {
        ui.line(&format!(
            "{0}kept at {1}, right before this: {2}{0:#}",
            paint::HEAD,
            kept.at,
            kept.before.past_tense()
        ))?;
        for (what, text) in [("console", &kept.console), ("probe", &kept.probe)] {
            let text = text.as_deref().unwrap_or("nothing could be read");
            ui.line(&format!("  {what}:"))?;
            for printed in text.lines() {
                ui.line(&format!("    {printed}"))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(incident: &Incident, ui: &Ui) -> std::io::Result<()> {
    let (head, faint) = (paint::HEAD, paint::FAINT);
    let row = Row::of(incident);
    ui.line(&format!("{head}{}{head:#}: {}", row.incident_id, row.outcome.unwrap_or(row.phase)))?;
    let place = &incident.place;
    let mut about = vec![row.node_id];
    about.extend(place.name.as_ref().map(|name| redact::name(name.as_str())));
    about.extend(place.container_instance.as_ref().map(|(cluster, _)| format!("cluster {}", cluster.name())));
    about.extend(place.group.as_ref().map(|group| format!("group {group}")));
    about.extend(place.zone.as_ref().map(ToString::to_string));
    ui.line(&format!("  {}", about.join(", ")))?;
    if let Some(diagnosis) = &incident.diagnosis {
        let (cause, sure) = (diagnosis.cause, diagnosis.confidence);
        ui.line(&format!("  cause: {cause}, {sure} % sure: {}", sentence(cause)))?;
        for finding in diagnosis.findings.iter() {
            ui.line(&format!("    {faint}{}{faint:#}", redact::excerpt(&finding.evidence)))?;
        }
        if cause != Cause::Healthy {
            ui.line(&format!("  please {}", please(cause)))?;
        }
    }
    if let Some(waits_for) = row.waits_for {
        ui.line(&format!("  {0}waits for{0:#} {waits_for}", paint::WARN))?;
    }
    let holds = incident.holds;
    let taken = [(holds.draining, "drained"), (holds.standby, "in Standby"), (holds.stopped, "stopped")];
    let taken: Vec<&str> = taken.iter().filter(|(is_held, _)| *is_held).map(|(_, word)| *word).collect();
    if !taken.is_empty() {
        ui.line(&format!("  {0}by our hand it is{0:#} {1}", paint::WARN, taken.join(" and ")))?;
    }
    if let Some(wake_at) = incident.wake_at {
        ui.line(&format!("  looked at again at {wake_at}"))?;
    }
    for entry in incident.history.iter() {
        if let Some(text) = line(entry, incident) {
            ui.line(&format!("  {faint}{}{faint:#}  {text}", entry.at))?;
        }
    }
    Ok(())
}
