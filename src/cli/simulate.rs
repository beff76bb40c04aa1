//! `defib simulate`: the product at work on the embedded account, in virtual time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;

use super::event::EventFile;
use super::{Global, Ui, event as event_command, exit, paint, policy_file};
use crate::config;
use crate::diagnose::Cause;
use crate::event::{Signal, Verdict, read};
use crate::incident::{Incident, Outcome, Remedy};
use crate::node::Home;
use crate::policy::{Mode, Policy};
use crate::ports::OutboxItem;
use crate::report::{StackInfo, render, render_digest};
use crate::sim::ailment::Ailment;
use crate::sim::rehearsal::{Played, Rehearsal, tour_start};
use crate::sim::scenario::Scenario;
use crate::sim::stage;
use crate::sim::transcript::{self, Kind, Line};

/// The tour: a sick fleet, one fault of each kind.
pub(super) const TOUR: &str = include_str!("../sim/tour.txt");
/// Messages of the tour that are printed in full: the first of each of these outcomes.
const SHOWN: [Outcome; 3] = [Outcome::Fixed, Outcome::Cycled, Outcome::NeedsHuman];

/// Run the product on the embedded account, in virtual time; without arguments, a tour of its faults.
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// EventBridge events, one a file: the node that each names exists there, opted in, with a fault that fits.
    #[arg(value_name = "EVENT.json")]
    events: Vec<PathBuf>,
    /// The hidden fault, by its cause's code.
    #[arg(long, value_name = "CAUSE", value_parser = fault)]
    fault: Option<Ailment>,
    /// Play a script.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["events", "fault"])]
    scenario: Option<PathBuf>,
    /// A policy in YAML.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// How far Defib may go: off, observe, restart, cycle or replace (the default here).
    #[arg(long, value_name = "M")]
    mode: Option<Mode>,
    /// Decides everything that is left to chance.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

fn fault(code: &str) -> Result<Ailment, String> {
    Ailment::named(code).ok_or_else(|| {
        let known: Vec<&str> = Ailment::all().iter().map(|ailment| ailment.code()).collect();
        format!("the simulated account does not know it; it knows {}", known.join(", "))
    })
}

pub(super) fn run(args: &SimulateArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let policy = policy_file::load(args.policy.as_deref(), args.mode)?;
    let seed = args.seed.unwrap_or(1);
    if let Some(file) = &args.scenario {
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        let mut scenario: Scenario = text.parse().with_context(|| format!("failed to read {}", file.display()))?;
        overrule(&mut scenario, args, &policy);
        let played = Rehearsal::of_scenario(home(global)?, &scenario).play();
        show(ui, &played, Messages::All)?;
        let code = code_of(&played);
        return summary(ui, &[played], &[]).map(|()| code);
    }
    if !args.events.is_empty() {
        let files: Result<Vec<EventFile>, _> = args.events.iter().map(|file| EventFile::read(file)).collect();
        return events(&files?, args.fault, (global, ui), &policy, seed);
    }
    if let Some(ailment) = args.fault {
        let signal = told_by(ailment)?;
        let played = Rehearsal::of_events(&home(global)?, &[signal], Some(ailment), policy, seed).play();
        show(ui, &played, Messages::All)?;
        let code = code_of(&played);
        return summary(ui, &[played], &[]).map(|()| code);
    }
    tour(args, global, ui, &policy)
}

/// The home of a rehearsal without an event.
fn home(global: &Global) -> anyhow::Result<Home> {
    let documentation = stage::documentation_home()?;
    Ok(Home {
        account: global.account.unwrap_or(documentation.account),
        region: global.region.clone().unwrap_or(documentation.region),
    })
}

/// What the command line says outranks the script.
fn overrule(scenario: &mut Scenario, args: &SimulateArgs, policy: &Policy) {
    if args.policy.is_some() {
        scenario.policy = policy.clone();
    }
    if let Some(mode) = args.mode {
        scenario.policy.mode = mode;
    }
    if let Some(seed) = args.seed {
        scenario.seed = seed;
    }
}

fn tour(args: &SimulateArgs, global: &Global, ui: &Ui, policy: &Policy) -> anyhow::Result<ExitCode> {
    let mut scenario: Scenario = TOUR.parse().context("failed to read the tour")?;
    overrule(&mut scenario, args, policy);
    if !ui.is_json() {
        ui.line(&format!("{0}A sick fleet on the embedded account{0:#}", paint::HEAD))?;
        ui.line("Every fault below is hidden from Defib; it sees what AWS would show. Times are UTC, and virtual.\n")?;
    }
    let watch = config::Stopwatch::start();
    let played = Rehearsal::of_scenario(home(global)?, &scenario).play();
    ui.progress(&format!(
        "played {} of virtual time in {} ms: {} passes, {} requests",
        crate::time::spoken(played.virtual_secs),
        watch.elapsed().as_millis(),
        played.counts.passes,
        played.counts.requests
    ));
    show(ui, &played, Messages::FirstOfEach(&SHOWN))?;
    summary(ui, &[played], &[]).map(|()| ExitCode::SUCCESS)
}

/// What an event led to, for programs.
#[derive(Debug, Serialize)]
struct EventLine<'a> {
    r#type: &'static str,
    file: &'a str,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Rehearses what events would lead to.
pub(super) fn events(
    files: &[EventFile],
    fault: Option<Ailment>,
    (global, ui): (&Global, &Ui),
    policy: &Policy,
    seed: u64,
) -> anyhow::Result<ExitCode> {
    let mut homes: BTreeMap<String, (Home, Vec<Signal>)> = BTreeMap::new();
    let mut verdicts = Vec::new();
    for EventFile { name, bytes } in files {
        let given = event_command::home(global, bytes);
        let reading = read(bytes, given.as_ref(), config::now());
        let verdict = reading.verdict();
        let reason = reading.result.as_ref().err().map(ToString::to_string);
        if ui.is_json() {
            ui.object(&EventLine { r#type: "event", file: name, verdict, reason })?;
        } else {
            let why = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            ui.line(&format!("{0}{name}{0:#}  {verdict}{why}", paint::HEAD))?;
        }
        verdicts.push(verdict);
        if let (Some(home), Ok(signal)) = (reading.home_of(), reading.result) {
            let at = reading.sent_at.unwrap_or_else(tour_start);
            let key = format!("{}/{}", home.account, home.region);
            homes.entry(key).or_insert_with(|| (home, Vec::new())).1.push(Signal { at, ..signal });
        }
    }
    let mut all = Vec::new();
    let mut code = ExitCode::SUCCESS;
    for (home, signals) in homes.into_values() {
        let played = Rehearsal::of_events(&home, &signals, fault, policy.clone(), seed).play();
        if !ui.is_json() {
            ui.line("")?;
        }
        show(ui, &played, Messages::All)?;
        if code_of(&played) != ExitCode::SUCCESS {
            code = ExitCode::from(exit::NEEDS_HUMAN);
        }
        all.push(played);
    }
    summary(ui, &all, &verdicts).map(|()| code)
}

/// 5 if an incident needs a human or is blocked, else 0.
fn code_of(played: &Played) -> ExitCode {
    code_for(played.incidents.iter().map(AsRef::as_ref))
}

/// The same, of some incidents only.
pub(super) fn code_for<'a>(incidents: impl IntoIterator<Item = &'a Incident>) -> ExitCode {
    let bad = incidents.into_iter().filter_map(Incident::ending).any(|ending| match ending.outcome() {
        Outcome::NeedsHuman | Outcome::Blocked => true,
        Outcome::SelfHealed
        | Outcome::Fixed
        | Outcome::Cycled
        | Outcome::Replaced
        | Outcome::Deferred
        | Outcome::Gone
        | Outcome::NotOurs
        | Outcome::DryRun => false,
    });
    if bad { ExitCode::from(exit::NEEDS_HUMAN) } else { ExitCode::SUCCESS }
}

/// The event that would tell of a fault, where no event is given.
fn told_by(ailment: Ailment) -> anyhow::Result<Signal> {
    let kind = stage::telling(ailment);
    let node = stage::telling_node(ailment);
    Ok(Signal { node: node.parse().context("failed to name the node")?, at: tour_start(), kind: kind? })
}

/// One closed or resting incident, for programs.
#[derive(Debug, Serialize)]
struct IncidentLine {
    r#type: &'static str,
    incident_id: crate::incident::IncidentId,
    node_id: crate::node::NodeId,
    cause: Cause,
    outcome: Outcome,
    remedies: Vec<Remedy>,
    reports: usize,
    duration_secs: i64,
}

/// What an incident's cause is called for programs.
pub(super) fn cause_of(incident: &Incident) -> Cause {
    let healed = incident.ending().is_some_and(|ending| ending.outcome() == Outcome::SelfHealed);
    // Nobody had to look: it healed inside its hold-down, or the node went away.
    let unseen = if healed { Cause::Healthy } else { Cause::Unknown };
    incident.diagnosis.as_ref().map_or(unseen, |found| found.cause)
}

fn incident_line(incident: &Incident, played: &Played) -> Option<IncidentLine> {
    let outcome = incident.ending()?.outcome();
    let cause = cause_of(incident);
    Some(IncidentLine {
        r#type: "incident",
        incident_id: incident.id,
        node_id: incident.node,
        cause,
        outcome,
        remedies: incident.performed().collect(),
        reports: transcript::reports_of(incident, played),
        duration_secs: transcript::duration_secs(incident, played),
    })
}

/// Which messages are printed in full.
#[derive(Debug, Clone, Copy)]
enum Messages {
    /// Every one.
    All,
    /// The first of each of these outcomes.
    FirstOfEach(&'static [Outcome]),
}

/// Prints what happened, then the messages.
fn show(ui: &Ui, played: &Played, messages: Messages) -> anyhow::Result<()> {
    if ui.is_json() {
        for line in played.incidents.iter().filter_map(|incident| incident_line(incident, played)) {
            ui.object(&line)?;
        }
        return Ok(());
    }
    for line in transcript::lines(played) {
        ui.line(&painted(&line))?;
    }
    if matches!(messages, Messages::FirstOfEach(_)) {
        ui.line("")?;
        for line in transcript::proofs(played) {
            ui.line(&painted(&line))?;
        }
    }
    let mut shown: Vec<Outcome> = Vec::new();
    for (_, item) in &played.reports {
        let outcome = item.id.outcome;
        let show = match messages {
            Messages::All => true,
            Messages::FirstOfEach(outcomes) => outcomes.contains(&outcome) && !shown.contains(&outcome),
        };
        if show {
            shown.push(outcome);
            message(ui, item)?;
        }
    }
    if matches!(messages, Messages::All) {
        for (_, digest) in &played.digests {
            let rendered = render_digest(digest, &StackInfo { name: "defib", version: env!("CARGO_PKG_VERSION") });
            mail(ui, &rendered.subject, &rendered.email)?;
        }
    }
    Ok(())
}

pub(super) fn painted(line: &Line) -> String {
    let style = match line.kind {
        Kind::World => paint::WORLD,
        Kind::Headline | Kind::Sum => paint::HEAD,
        Kind::Event => return line.to_string(),
        Kind::Blank => return String::new(),
        Kind::Ending(outcome) => match outcome {
            Outcome::SelfHealed | Outcome::Fixed | Outcome::Cycled | Outcome::Replaced => paint::GOOD,
            Outcome::NeedsHuman | Outcome::Blocked => paint::BAD,
            Outcome::Deferred => paint::WARN,
            Outcome::Gone | Outcome::NotOurs | Outcome::DryRun => paint::DID,
        },
    };
    format!("{style}{line}{style:#}")
}

/// Prints one message as its reader gets it.
fn message(ui: &Ui, item: &Arc<OutboxItem>) -> anyhow::Result<()> {
    let rendered = render(&item.report, &item.id, &StackInfo { name: "defib", version: env!("CARGO_PKG_VERSION") });
    mail(ui, &rendered.subject, &rendered.email)
}

fn mail(ui: &Ui, subject: &str, text: &str) -> anyhow::Result<()> {
    let rule = "-".repeat(100);
    ui.line("")?;
    ui.line(&format!("{0}{rule}{0:#}", paint::FAINT))?;
    ui.line(&format!("{0}Subject: {1}{0:#}", paint::HEAD, subject))?;
    ui.line("")?;
    ui.line(text.trim_end())?;
    ui.line(&format!("{0}{rule}{0:#}", paint::FAINT))?;
    Ok(())
}

/// The last line, for programs.
#[derive(Debug, Serialize)]
struct SummaryLine {
    r#type: &'static str,
    events: usize,
    incidents: usize,
    outcomes: BTreeMap<&'static str, usize>,
    remedies: usize,
    reports: usize,
    virtual_secs: i64,
}

fn summary(ui: &Ui, all: &[Played], verdicts: &[Verdict]) -> anyhow::Result<()> {
    if !ui.is_json() {
        return Ok(());
    }
    let mut outcomes = BTreeMap::new();
    for incident in all.iter().flat_map(|played| &played.incidents) {
        let word = incident.ending().map_or("open", |ending| ending.outcome().as_str());
        *outcomes.entry(word).or_insert(0) += 1;
    }
    ui.object(&SummaryLine {
        r#type: "summary",
        events: verdicts.len(),
        incidents: all.iter().map(|played| played.incidents.len()).sum(),
        outcomes,
        remedies: all.iter().flat_map(|played| &played.incidents).map(|incident| incident.performed().count()).sum(),
        reports: all.iter().map(|played| played.reports.len() + played.digests.len()).sum(),
        virtual_secs: all.iter().map(|played| played.virtual_secs).max().unwrap_or(0),
    })
}
