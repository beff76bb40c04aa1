//! `defib replay`: a recorded incident once more, under another policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::event::EventFile;
use super::{Global, Ui, paint, policy_file, simulate};
use crate::diagnose::Cause;
use crate::guard::Refusal;
use crate::incident::{Ending, Event, Incident, IncidentId, Outcome, Phase, Remedy, record};
use crate::node::NodeId;
use crate::policy::{Mode, Policy};
use crate::sim::rehearsal::{Played, Rehearsal, Staging};
use crate::sim::transcript;
use crate::time::secs_between;

/// A file of records may be this large, in bytes: a stored record is at most 400 KB.
const MAX_BYTES: usize = 16 << 20;

/// Rehearse a recorded incident, or an event, under another policy: what was done then, and what would be done now.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// An incident as `defib show ID --json` prints it, or several, one a line; or an EventBridge event. `-` is standard input.
    #[arg(value_name = "INCIDENT.json|EVENT.json")]
    file: PathBuf,
    /// The policy to rehearse it under, in YAML.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// How far Defib may go there: off, observe, restart, cycle or replace (the default); the policy goes no further.
    #[arg(long, value_name = "M")]
    mode: Option<Mode>,
    /// Decides everything that is left to chance.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

pub(super) fn run(args: &ReplayArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    if args.file == Path::new("-") && args.policy == Path::new("-") {
        bail!("standard input can be the incident or the policy, not both");
    }
    let policy = policy_file::load(Some(&args.policy), args.mode)?;
    let bytes = policy_file::bytes_up_to(&args.file, MAX_BYTES)?;
    if bytes.len() > MAX_BYTES {
        bail!("{} is larger than {} MB, which no file of incidents needs to be", args.file.display(), MAX_BYTES >> 20);
    }
    match what(&bytes).with_context(|| format!("failed to read {}", args.file.display()))? {
        Given::Event => {
            let event = EventFile { name: args.file.to_string_lossy().into_owned(), bytes };
            simulate::events(&[event], None, (global, ui), &policy, args.seed)
        }
        Given::Incidents(incidents) => replay(&incidents, args, &policy, ui),
    }
}

/// What a file holds.
#[derive(Debug)]
enum Given {
    Event,
    Incidents(Vec<Incident>),
}

/// Tells what a file holds: one event, or incidents one after another.
fn what(bytes: &[u8]) -> anyhow::Result<Given> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut incidents = Vec::new();
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<IgnoredAny>();
    let mut from = 0;
    let mut number = 0_usize;
    while let Some(next) = stream.next() {
        next.map_err(|error| anyhow::anyhow!("it is not JSON at line {}, column {}", error.line(), error.column()))?;
        let to = stream.byte_offset();
        let object = bytes.get(from..to).unwrap_or_default();
        from = to;
        number = number.saturating_add(1);
        match kind(object) {
            Kind::Event if number == 1 => {
                if bytes.get(to..).is_some_and(|rest| !rest.trim_ascii().is_empty()) {
                    bail!("more follows the event; replay events in files of their own");
                }
                return Ok(Given::Event);
            }
            Kind::Event => bail!("number {number} is an event among incidents; replay events in files of their own"),
            Kind::Incident => incidents.push(read(object, number)?),
            Kind::Within(inner) => incidents.push(read(inner.to_string().as_bytes(), number)?),
            Kind::Evidence => {}
            Kind::Other(what) => bail!(
                "number {number} is {what}; expected an incident as `defib show ID --json` prints it, or an EventBridge event"
            ),
        }
    }
    if incidents.is_empty() {
        bail!("it is empty; expected an incident as `defib show ID --json` prints it, or an EventBridge event");
    }
    Ok(Given::Incidents(incidents))
}

fn read(object: &[u8], number: usize) -> anyhow::Result<Incident> {
    let incident = record::read(object).with_context(|| format!("number {number} cannot be used"))?;
    // Sums of time end with the year 9999, and a rehearsal goes on from here.
    if !(YEARS.0..=YEARS.1).contains(&incident.first_seen.as_second()) {
        bail!("number {number} cannot be used: its firstSeen is the moment of no incident");
    }
    Ok(incident)
}

/// The years 2006 and 9000, in seconds: before the first instance there was no incident.
const YEARS: (i64, i64) = (1_136_073_600, 221_845_392_000);

/// What one JSON value of a file is.
enum Kind {
    Incident,
    /// It carries the incident in a field.
    Within(Value),
    Event,
    /// What `defib show --json --evidence` prints beside the record.
    Evidence,
    Other(&'static str),
}

fn kind(object: &[u8]) -> Kind {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(object) else {
        return Kind::Other("no JSON object (of several incidents give one a line)");
    };
    let has = |name: &str| fields.contains_key(name);
    if has("schema") && (has("phase") || has("history")) {
        Kind::Incident
    } else if has("detail-type") || has("detail") {
        Kind::Event
    } else if fields.get("incident").is_some_and(|inner| inner.get("schema").is_some()) {
        fields.remove("incident").map_or(Kind::Other("no incident"), Kind::Within)
    } else if has("before") && has("console") {
        Kind::Evidence
    } else if has("incident_id") || has("incidentId") {
        Kind::Other("what was told of an incident, not its record")
    } else {
        Kind::Other("neither an incident nor an event")
    }
}

/// What stood in the way, for programs.
#[derive(Debug, Serialize)]
struct RefusalLine {
    rail: &'static str,
    text: String,
}

/// One incident, as it was recorded or as it was rehearsed, for programs.
#[derive(Debug, Serialize)]
struct IncidentLine {
    r#type: &'static str,
    incident_id: IncidentId,
    node_id: NodeId,
    cause: Cause,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
    remedies: Vec<Remedy>,
    reports: usize,
    duration_secs: i64,
    refusals: Vec<RefusalLine>,
}

impl IncidentLine {
    fn of(r#type: &'static str, incident: &Incident, reports: usize, duration_secs: i64) -> Self {
        let refusals = refusals(incident)
            .into_iter()
            .map(|refusal| RefusalLine { rail: refusal.rail(), text: refusal.to_string() })
            .collect();
        Self {
            r#type,
            incident_id: incident.id,
            node_id: incident.node,
            cause: simulate::cause_of(incident),
            outcome: incident.ending().map(Ending::outcome),
            remedies: incident.performed().collect(),
            reports,
            duration_secs,
            refusals,
        }
    }
}

/// The last line, for programs: what would be done now, in numbers.
#[derive(Debug, Serialize)]
struct SummaryLine {
    r#type: &'static str,
    events: usize,
    recorded: usize,
    incidents: usize,
    outcomes: BTreeMap<&'static str, usize>,
    remedies: usize,
    reports: usize,
    virtual_secs: i64,
    /// Records whose outcome or remedies would be others.
    changed: usize,
}

fn replay(recorded: &[Incident], args: &ReplayArgs, policy: &Policy, ui: &Ui) -> anyhow::Result<ExitCode> {
    let mut sum = SummaryLine {
        r#type: "summary",
        events: 0,
        recorded: recorded.len(),
        incidents: 0,
        outcomes: BTreeMap::new(),
        remedies: 0,
        reports: 0,
        virtual_secs: 0,
        changed: 0,
    };
    let mut all: Vec<Arc<Incident>> = Vec::new();
    for (index, then) in recorded.iter().enumerate() {
        let (rehearsal, staging) = Rehearsal::of_record(then, policy.clone(), args.seed);
        let played = rehearsal.play();
        let now: Vec<Arc<Incident>> = played.incidents.iter().filter(|now| is_about(now, then)).cloned().collect();
        let changed = now.first().is_none_or(|now| differs(then, now)) || now.len() > 1;
        sum.changed += usize::from(changed);
        sum.virtual_secs = sum.virtual_secs.max(played.virtual_secs);
        for incident in &now {
            let word = incident.ending().map_or("open", |ending| ending.outcome().as_str());
            *sum.outcomes.entry(word).or_insert(0) += 1;
            sum.incidents += 1;
            sum.remedies += incident.performed().count();
            sum.reports += transcript::reports_of(incident, &played);
        }
        if ui.is_json() {
            objects(ui, then, &now, &played)?;
        } else {
            if index > 0 {
                ui.line("")?;
            }
            let by = format!("{} (mode {})", args.policy.display(), policy.mode);
            tell(ui, then, &now, &Stage { played: &played, staging: &staging, by: &by, changed })?;
        }
        all.extend(now);
    }
    if ui.is_json() {
        ui.object(&sum)?;
    }
    Ok(simulate::code_for(all.iter().map(AsRef::as_ref)))
}

/// Whether a rehearsed incident is about the recorded node; blips of its agents aside, unless the record is one.
fn is_about(now: &Incident, then: &Incident) -> bool {
    now.node == then.node && (transcript::is_blip(then) || !transcript::is_blip(now))
}

fn differs(then: &Incident, now: &Incident) -> bool {
    then.ending().map(Ending::outcome) != now.ending().map(Ending::outcome) || !then.performed().eq(now.performed())
}

/// How long a record lasted, in seconds: to its end, to its rest, or to its last line.
fn recorded_secs(then: &Incident) -> i64 {
    let end = match &then.phase {
        Phase::Closed { at, .. } => Some(*at),
        Phase::Resting { since, .. } => Some(*since),
        Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Verifying { .. } => then.history.last().map(|entry| entry.at),
    };
    end.map_or(0, |end| secs_between(then.first_seen, end).max(0))
}

fn recorded_reports(then: &Incident) -> usize {
    usize::try_from(then.reports).unwrap_or(usize::MAX)
}

fn objects(ui: &Ui, then: &Incident, now: &[Arc<Incident>], played: &Played) -> anyhow::Result<()> {
    ui.object(&IncidentLine::of("recorded", then, recorded_reports(then), recorded_secs(then)))?;
    for incident in now.iter().filter(|incident| incident.ending().is_some()) {
        let reports = transcript::reports_of(incident, played);
        ui.object(&IncidentLine::of("incident", incident, reports, transcript::duration_secs(incident, played)))?;
    }
    Ok(())
}

/// What was put on the stage, and what came of it.
struct Stage<'a> {
    played: &'a Played,
    staging: &'a Staging,
    by: &'a str,
    changed: bool,
}

fn tell(ui: &Ui, then: &Incident, now: &[Arc<Incident>], stage: &Stage<'_>) -> anyhow::Result<()> {
    let name = then.place.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    ui.line(&format!("{0}Recorded: {1}{name}{0:#}", paint::HEAD, then.id))?;
    for line in transcript::history_lines(then) {
        ui.line(&simulate::painted(&line))?;
    }
    ui.line(&simulate::painted(&transcript::ending_line(then, recorded_reports(then), recorded_secs(then))))?;
    ui.line("")?;
    ui.line(&format!("{0}Rehearsed under {1}{0:#}", paint::HEAD, stage.by))?;
    for line in staged(stage.staging) {
        ui.line(&format!("  {line}"))?;
    }
    for incident in now {
        for line in transcript::history_lines(incident) {
            ui.line(&simulate::painted(&line))?;
        }
        let (reports, secs) =
            (transcript::reports_of(incident, stage.played), transcript::duration_secs(incident, stage.played));
        ui.line(&simulate::painted(&transcript::ending_line(incident, reports, secs)))?;
    }
    if now.is_empty() {
        ui.line("  => no incident: Defib would not have looked")?;
    }
    ui.line("")?;
    side(ui, "Then", Some(then))?;
    for incident in now {
        side(ui, "Now", Some(incident))?;
    }
    if now.is_empty() {
        side(ui, "Now", None)?;
    }
    let verdict = if stage.changed { "It would go another way." } else { "It would go the same way." };
    ui.line(&format!("{0}{verdict}{0:#}", paint::HEAD))?;
    Ok(())
}

/// What the rehearsal is made of, in sentences, so that nobody takes it for more.
fn staged(staging: &Staging) -> Vec<String> {
    let mut lines = Vec::new();
    let around = match (staging.others, &staging.shared) {
        (0, _) => "alone".to_owned(),
        (others, Some(factor)) => format!("among {others} nodes, of which those that share {factor} fail with it"),
        (others, None) => format!("among {others} healthy nodes"),
    };
    lines.push(format!("on the embedded account, with the fault {}, {around}", staging.fault.cause()));
    if staging.stands_in {
        lines.push("the record names no cause that can be rehearsed: this fault shows the same symptoms".to_owned());
    }
    for refusal in &staging.left_out {
        lines.push(format!("not rehearsed, since it lay outside the node: {refusal}"));
    }
    lines
}

/// One side of the comparison: the outcome, the remedies, and what stood in the way.
fn side(ui: &Ui, label: &str, incident: Option<&Incident>) -> anyhow::Result<()> {
    let Some(incident) = incident else {
        return Ok(ui.line(&format!("{label:<5} nothing"))?);
    };
    let outcome = incident.ending().map_or("open", |ending| ending.outcome().as_str());
    let cause = simulate::cause_of(incident);
    let tried: Vec<String> = incident
        .attempts
        .iter()
        .map(|attempt| format!("{} ({})", attempt.remedy, attempt.result.as_str().replace('-', " ")))
        .collect();
    let tried = if tried.is_empty() { "none".to_owned() } else { tried.join(", ") };
    ui.line(&format!("{label:<5} {outcome}; cause {cause}; remedies: {tried}"))?;
    for refusal in refusals(incident) {
        ui.line(&format!("      in the way: {refusal}"))?;
    }
    if let Some(Ending::WouldHave { remedy: Some(remedy) }) = incident.ending() {
        ui.line(&format!("      would have come next: {remedy}"))?;
    }
    Ok(())
}

/// What stood in the way, in order, each wait once.
fn refusals(incident: &Incident) -> Vec<&Refusal> {
    let waits = incident.history.iter().filter_map(|entry| match &entry.event {
        Event::Parked(refusal) => Some(refusal),
        Event::Closed(Ending::Refused { refusal } | Ending::WaitedTooLong { refusal }) => Some(refusal),
        Event::Told(_)
        | Event::InvocationRead(_)
        | Event::Looked { .. }
        | Event::HoldDownOver { .. }
        | Event::ProbeAnswered { .. }
        | Event::ProbeUndelivered
        | Event::Diagnosed { .. }
        | Event::Chosen { .. }
        | Event::Done(_)
        | Event::Refused(_)
        | Event::Expired(_)
        | Event::Burned(_)
        | Event::HostRefused { .. }
        | Event::Drained { .. }
        | Event::SessionsCut { .. }
        | Event::Reached(_)
        | Event::Ended { .. }
        | Event::Unparked
        | Event::Operator(_)
        | Event::Reminded
        | Event::Closed(_) => None,
    });
    let mut told: Vec<&Refusal> = Vec::new();
    for refusal in waits {
        // A wait that ends in a refusal is told with the last numbers.
        told.retain(|known| !known.is_again(refusal));
        told.push(refusal);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::samples;

    fn stored() -> String {
        record::write(&samples::cycled().incident).unwrap()
    }

    #[test]
    fn a_record_is_taken_bare_pretty_in_lines_and_within_a_report() {
        let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&stored()).unwrap()).unwrap();
        let within = format!("{{\"kind\":\"ended\",\"incident\":{}}}", stored());
        for text in [stored(), pretty, within, format!("\u{feff}{}\n", stored())] {
            let Given::Incidents(read) = what(text.as_bytes()).unwrap() else { panic!("an event: {text}") };
            assert_eq!(read, [samples::cycled().incident]);
        }
        let Given::Incidents(read) = what(format!("{}\n\n{}\n", stored(), stored()).as_bytes()).unwrap() else {
            panic!("an event")
        };
        assert_eq!(read.len(), 2);
    }

    #[test]
    fn what_is_neither_is_named_and_never_shown() {
        for (text, words) in [
            ("", "it is empty"),
            ("[\"hunter2\"]", "number 1 is no JSON object"),
            ("{\"hunter2\": 1}", "number 1 is neither an incident nor an event"),
            ("{\"schema\": 1,\n \"hunter2", "it is not JSON at line 2"),
            ("{\"type\":\"incident\",\"incident_id\":\"hunter2\"}", "number 1 is what was told of an incident"),
            ("{\"schema\": 9, \"phase\": 1}", "has schema 9, and this version of defib knows 1"),
            ("{\"schema\": 1, \"phase\": \"hunter2\"}", "not of the expected form"),
        ] {
            let error = format!("{:#}", what(text.as_bytes()).unwrap_err());
            assert!(error.contains(words), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(matches!(what(b"{\"detail-type\": 3}\n").unwrap(), Given::Event));
        assert!(what(b"{\"detail-type\": 3} {}").is_err(), "more than one event");
        let with_evidence = format!("{}\n{{\"before\": \"reboot\", \"console\": null}}", stored());
        assert!(matches!(what(with_evidence.as_bytes()).unwrap(), Given::Incidents(incidents) if incidents.len() == 1));
        let far = stored().replace("\"firstSeen\":\"2026", "\"firstSeen\":\"9999");
        assert!(far != stored() && format!("{:#}", what(far.as_bytes()).unwrap_err()).contains("firstSeen"));
        let mixed = format!("{}\n{{\"detail-type\": 3}}", stored());
        assert!(what(mixed.as_bytes()).is_err(), "an event among incidents");
    }
}
