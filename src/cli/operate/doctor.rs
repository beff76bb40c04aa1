//! `defib doctor`: whether the deployment itself is well, line by line. It reads, and changes nothing.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::super::{Global, Ui, exit, paint, template};
use super::{DoctorArgs, desk};
use crate::aws::deployment::{Deployment, Function};
use crate::aws::ledger::Ledger;
use crate::aws::table::Table;
use crate::aws::{Clients, Nodes};
use crate::config::{self, Resources, Settings};
use crate::diagnose::Mark;
use crate::effect::Effect;
use crate::incident::held::{Ghost, Sighting, held, left_over};
use crate::incident::{Entry, Event, Incident};
use crate::ledger::OVERDUE_SECS;
use crate::node::{DocumentName, NodeId};
use crate::observe::{Blind, Look};
use crate::policy::Mode;
use crate::ports::KillSwitch;
use crate::time::secs_between;

/// So many nodes are asked for at most.
const ASKED_MAX: usize = 50;
/// Two sweeps should have driven what is overdue for longer, in seconds.
const SWEEPS_SECS: i64 = 600;

/// A line about one part.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: Mark,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// The lines so far.
#[derive(Debug, Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, check: &'static str, verdict: Mark, text: impl Into<String>, fix: Option<&str>) {
        self.0.push(Line { check, verdict, text: text.into(), fix: fix.map(ToOwned::to_owned) });
    }

    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.add(check, Mark::Ok, text, None);
    }

    fn warn(&mut self, check: &'static str, text: impl Into<String>, fix: &str) {
        self.add(check, Mark::Warn, text, Some(fix));
    }

    fn fail(&mut self, check: &'static str, text: impl Into<String>, fix: &str) {
        self.add(check, Mark::Fail, text, Some(fix));
    }

    /// What could not be read is neither good nor bad.
    fn dark(&mut self, check: &'static str, why: impl Display) {
        self.add(check, Mark::Unknown, why.to_string(), None);
    }
}

pub(super) async fn run(args: &DoctorArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let shared = desk::shared(global).await?;
    let (now, clients) = (config::now(), Clients::of(&shared));
    let mut lines = Lines::default();
    let kept = match &args.table {
        None => {
            let deployment = desk::find(&args.which, &shared).await?;
            function(&deployment.function, &mut lines);
            queues(&deployment, &mut lines).await;
            may_invoke(&deployment, &mut lines).await;
            if let Some(settings) = settings(&deployment.function, &mut lines) {
                documents(&deployment, &settings.resources, &mut lines).await;
                topic(&deployment, &settings.resources, &mut lines).await;
                rights(&deployment, settings.policy.mode, &mut lines).await;
            }
            deployment.ledger()
        }
        // Of a stack that is gone its table tells what it held.
        Some(table) => {
            lines.add("function", Mark::Unknown, format!("not looked at: the table {table} alone"), None);
            Ledger::new(Table::new(clients.dynamodb.clone(), table.as_str().into()))
        }
    };
    let nodes = desk::nodes(&shared, global)?;
    ledger(&kept, &nodes, now, &mut lines).await;
    // What is held or left over is a finding whether or not it is given back by itself, and a ledger in the dark is none that is fine.
    let found = |line: &Line| {
        line.verdict == Mark::Fail
            || matches!(line.check, "held" | "left over")
            || (line.verdict == Mark::Unknown && matches!(line.check, "ledger" | "incidents"))
    };
    let failed = lines.0.iter().any(found);
    for line in &lines.0 {
        if ui.is_json() {
            ui.object(line)?;
            continue;
        }
        let style = match line.verdict {
            Mark::Ok => paint::GOOD,
            Mark::Warn => paint::WARN,
            Mark::Fail => paint::BAD,
            Mark::Unknown => paint::FAINT,
        };
        ui.line(&format!("  {style}{:7}{style:#} {:12} {}", line.verdict, line.check, line.text))?;
        if let Some(fix) = &line.fix {
            ui.line(&format!("                       {0}fix: {fix}{0:#}", paint::FAINT))?;
        }
    }
    Ok(if failed { ExitCode::from(exit::FINDINGS) } else { ExitCode::SUCCESS })
}

/// The function itself.
fn function(function: &Function, lines: &mut Lines) {
    let state = function.state.as_deref().unwrap_or("Active");
    let update = function.last_update.as_deref().unwrap_or("Successful");
    if state == "Active" && update != "Failed" {
        lines.ok("function", format!("{} is active", function.name));
    } else {
        let text = format!("{} is {state}, its last update {update}", function.name);
        lines.fail("function", text, "look at the stack's events, and deploy it again");
    }
}

/// How it is set, and how far it may go. None: it does not start like that, and what it works with nobody can know.
fn settings(function: &Function, lines: &mut Lines) -> Option<Settings> {
    let settings = match function.settings() {
        Ok(settings) => settings,
        Err(bad) => {
            let fix =
                "set that parameter, and update the stack; a newer version's setting only its own command line knows";
            lines.fail("settings", bad.to_string(), fix);
            for check in ["mode", "probe", "repair", "topic", "role"] {
                lines.dark(check, "not looked at: the settings cannot be used");
            }
            return None;
        }
    };
    let mode = settings.policy.mode;
    let text = format!("mode {mode} allows {}", mode.allows());
    match mode {
        Mode::Off | Mode::Observe => {
            lines.warn("mode", text, "raise the parameter Mode when a week of reports has earned it");
        }
        Mode::Restart | Mode::Cycle | Mode::Replace => lines.ok("mode", text),
    }
    Some(settings)
}

/// The documents that it sends, against those that this version was made with.
async fn documents(deployment: &Deployment, resources: &Resources, lines: &mut Lines) {
    for (check, variable, kind, name) in [
        ("probe", "DEFIB_PROBE_DOCUMENT", "Defib-Probe-", &resources.probe_document),
        ("repair", "DEFIB_REPAIR_DOCUMENT", "Defib-Repair-", &resources.repair_document),
    ] {
        let Some(name) = name.as_ref().map(DocumentName::as_str) else {
            lines.fail(check, format!("{variable} is not set"), "deploy the stack again");
            continue;
        };
        let ours = template::document_hash(kind);
        let is_ours = ours.is_some_and(|hash| name.ends_with(hash));
        match deployment.document(name).await {
            Ok(status) if status != "Active" => {
                lines.fail(check, format!("{name} is {status}"), "wait a minute, then deploy the stack again");
            }
            Ok(_) if is_ours => lines.ok(check, format!("{name} is active, and of this version")),
            Ok(_) => lines.warn(
                check,
                format!("{name} is active, and not of this version of the command line"),
                "update the stack from this version's template, or use that version's command line",
            ),
            Err(failed) if failed.is_absent() => {
                lines.fail(check, format!("there is no document {name}"), "deploy the stack again");
            }
            Err(failed) => lines.dark(check, failed),
        }
    }
}

/// What brings it events, and what keeps failing.
async fn queues(deployment: &Deployment, lines: &mut Lines) {
    let feeds = match deployment.feeds().await {
        Ok(feeds) => feeds,
        Err(failed) => return lines.dark("intake", failed),
    };
    if feeds.is_empty() {
        lines.fail("intake", "no queue feeds the function: it hears of no event", "deploy the stack again");
    }
    for feed in feeds {
        let name = feed.queue.rsplit(':').next().unwrap_or_default().to_owned();
        if feed.state != "Enabled" {
            lines.fail("intake", format!("{name} is {}", feed.state), "enable the event source mapping");
        }
        match deployment.dig(&feed.queue).await {
            Err(failed) => lines.dark("intake", failed),
            Ok(dug) => {
                match (dug.intake.visible, dug.intake.in_flight) {
                    (Some(waiting), Some(working)) => {
                        lines.ok("intake", format!("{name} has {waiting} events waiting and {working} in work"));
                    }
                    _ => lines.dark("intake", format!("SQS does not say how much waits in {name}")),
                }
                match dug.dead {
                    None => lines.fail("dead letters", "the intake has no dead-letter queue", "deploy the stack again"),
                    Some(dead) => match dead.visible.zip(dead.in_flight).map(|(visible, taken)| visible + taken) {
                        Some(0) => lines.ok("dead letters", "none"),
                        Some(count) => lines.fail(
                            "dead letters",
                            format!("{count} events failed five times each"),
                            "read why in the function's log, then send them again: RUNBOOK, Dead letters",
                        ),
                        None => lines.dark("dead letters", "SQS does not say how many there are"),
                    },
                }
            }
        }
    }
}

/// Who hears of it.
async fn topic(deployment: &Deployment, resources: &Resources, lines: &mut Lines) {
    let Some(topic) = &resources.topic else {
        return lines.fail("topic", "DEFIB_TOPIC is not set: nobody is told", "deploy the stack again");
    };
    match deployment.listeners(topic).await {
        Err(failed) => lines.dark("topic", failed),
        Ok((Some(0), Some(0))) => {
            lines.fail("topic", "nobody has subscribed to the reports", "subscribe an address to the topic");
        }
        Ok((Some(0), Some(pending))) => lines.fail(
            "topic",
            format!("{pending} subscriptions wait to be confirmed, and nobody else is told"),
            "confirm the mail that SNS sent",
        ),
        Ok((Some(confirmed), _)) if confirmed > 0 => {
            lines.ok("topic", format!("{confirmed} subscriptions get the reports"));
        }
        Ok(_) => lines.dark("topic", "SNS does not say how many have subscribed"),
    }
}

/// What whoever runs this may do.
async fn may_invoke(deployment: &Deployment, lines: &mut Lines) {
    match deployment.may_invoke().await {
        Ok(()) => lines.ok("invoke", "you may hand requests to the function"),
        Err(failed) if failed.is_denied() => {
            lines.warn("invoke", "you may not hand requests to the function", "ask for lambda:InvokeFunction on it");
        }
        Err(failed) => lines.dark("invoke", failed),
    }
}

/// What the function may do.
async fn rights(deployment: &Deployment, mode: Mode, lines: &mut Lines) {
    match deployment.rights(mode).await {
        Err(failed) => lines.dark("role", failed),
        Ok(rights) if rights.denied.is_empty() => {
            lines.ok("role", format!("IAM's simulation allows the {} actions of mode {mode}", rights.asked));
        }
        // The simulation knows neither the resources nor all conditions, so that a denial is a hint.
        Ok(rights) => lines.warn(
            "role",
            format!("IAM's simulation denies {}", rights.denied.join(", ")),
            "look for a boundary or a service control policy; what names its resources may be allowed all the same",
        ),
    }
}

/// What it remembers: whether it works, and what of its doing is not undone.
async fn ledger(ledger: &Ledger, nodes: &Nodes, now: Timestamp, lines: &mut Lines) {
    let (standing, all, policy) =
        tokio::join!(Box::pin(ledger.standing()), Box::pin(ledger.all_incidents()), Box::pin(ledger.remembered()));
    match &standing {
        Err(error) => return lines.dark("ledger", desk::unread(*error)),
        Ok((KillSwitch::Running, _)) => lines.ok("switch", "running"),
        Ok((KillSwitch::Paused, _)) => lines.warn("switch", "paused: nothing new is begun", "defib resume"),
        Ok((KillSwitch::Unreadable, _)) => {
            lines.fail("switch", "the switch cannot be read, which counts as paused", "defib pause, then defib resume");
        }
    }
    if let Ok((_, bulletin)) = &standing {
        if bulletin.baseline.is_some() {
            let text = format!("it has counted {} nodes; the alarm sweep-missing tells when it ends", bulletin.fleet);
            lines.ok("sweep", text);
        } else {
            lines.warn("sweep", "no sweep has ended yet", "wait five minutes, then look at the schedule's rule");
        }
        breaker(bulletin, lines);
    }
    match policy {
        Err(error) => lines.dark("policy", desk::unread(error)),
        Ok(remembered) => match remembered.trouble {
            None => lines.ok("policy", "the document in force is the one that was read last"),
            Some(_) => lines.fail(
                "policy",
                match remembered.fallen {
                    Some(fallen) => format!("the document cannot be used since {}, so it only observes", fallen.since),
                    None => "the document could not be read lately".to_owned(),
                },
                "defib policy check FILE names the line",
            ),
        },
    }
    match all {
        Err(error) => lines.dark("incidents", desk::unread(error)),
        Ok((all, unread)) => {
            if unread > 0 {
                let text = format!("{unread} records cannot be read: a newer version wrote them, or they are damaged");
                lines.fail("records", text, "deploy that version again, or use its command line");
            }
            incidents(&all, now, lines);
            Box::pin(taken(&all, nodes, now, lines)).await;
        }
    }
}

fn breaker(bulletin: &crate::storm::Bulletin, lines: &mut Lines) {
    if bulletin.breaker.trips.is_empty() {
        lines.ok("breaker", "closed");
    } else {
        lines.warn(
            "breaker",
            "open: so much is ill, or so little helps, that nothing disruptive is begun",
            "look for what the nodes share: the digest names it",
        );
    }
}

/// What is under way, what waits for a person, and what is left as we took it.
fn incidents(all: &[Arc<Incident>], now: Timestamp, lines: &mut Lines) {
    let open: Vec<&Incident> = all.iter().map(AsRef::as_ref).filter(|incident| !incident.is_closed()).collect();
    let resting = open.iter().filter(|incident| incident.is_resting()).count();
    match resting {
        0 => lines.ok("incidents", format!("{} open, none waits for a person", open.len())),
        _ => lines.warn(
            "incidents",
            format!("{} open, {resting} of them wait for a person", open.len()),
            "defib incidents, then defib show ID",
        ),
    }
    match all.iter().flat_map(|incident| incident.symptoms.iter().map(|symptom| symptom.at)).max() {
        Some(at) => lines.ok("last event", format!("{at}, of those that told of trouble")),
        None => lines.ok("last event", "none has told of trouble in the last ninety days"),
    }
    match open.iter().filter(|incident| is_late(incident.wake_at, now)).count() {
        0 => lines.ok("timers", "none is overdue"),
        late => lines.fail(
            "timers",
            format!("{late} incidents should have been looked at long ago"),
            "look at the sweep's rule, the function's errors and its reserved concurrency",
        ),
    }
}

/// Whether a look is so long overdue that nobody seems to work any more.
fn is_late(wake_at: Option<Timestamp>, now: Timestamp) -> bool {
    wake_at.is_some_and(|wake| secs_between(wake, now) > OVERDUE_SECS + SWEEPS_SECS)
}

/// What is left of our doing: nodes that are held, by the records and by what AWS shows, and, whoever's doing it was, registrations of
/// nodes that are gone.
async fn taken(all: &[Arc<Incident>], nodes: &Nodes, now: Timestamp, lines: &mut Lines) {
    let holds = |incident: &&Arc<Incident>| {
        let holds = incident.holds;
        let terminated =
            |entry: &Entry| matches!(entry.event, Event::Done(Effect::Terminate) | Event::Burned(Effect::Terminate));
        holds.stopped || holds.standby || holds.draining || incident.history.iter().any(terminated)
    };
    let asked: BTreeSet<NodeId> =
        all.iter().rev().filter(holds).map(|incident| incident.node).take(ASKED_MAX).collect();
    if asked.len() == ASKED_MAX {
        lines.dark("left over", format!("only the {ASKED_MAX} nodes of the newest incidents were asked for"));
    }
    let mut sightings = Vec::new();
    for node in asked {
        let seen = Box::pin(nodes.observe(node, &Look::default(), now)).await;
        sightings.push(Sighting::of(&seen));
    }
    let ghosts = Box::pin(nodes.ghosts(now)).await;
    at_rest(all, &sightings, ghosts, now, lines);
}

/// A line for each of them.
fn at_rest(
    all: &[Arc<Incident>],
    sightings: &[Sighting],
    ghosts: Result<Vec<Ghost>, Blind>,
    now: Timestamp,
    lines: &mut Lines,
) {
    let records = || all.iter().map(AsRef::as_ref);
    for one in held(records(), sightings) {
        let driven = one.driven && !is_late(one.wake_at, now);
        let by_hand = if driven {
            format!("wait: it is given back by itself; else {}", one.by_hand)
        } else {
            one.by_hand.clone()
        };
        let verdict = if driven { Mark::Warn } else { Mark::Fail };
        lines.add("held", verdict, one.to_string(), Some(&by_hand));
    }
    let ghosts = ghosts.unwrap_or_else(|blind| {
        lines.dark(
            "left over",
            format!("whether container instances of instances that are gone are registered: {}", blind.as_str()),
        );
        Vec::new()
    });
    for one in left_over(&ghosts, sightings, records()) {
        let by_hand = if one.driven {
            format!("wait: its incident may yet clean it up; else {}", one.by_hand)
        } else {
            one.by_hand.clone()
        };
        lines.warn("left over", one.to_string(), &by_hand);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Symptom;
    use crate::observe::samples::{home, noon, seen, swept_ssm};

    /// Check, verdict, text and fix of each line about what is at rest.
    fn said(all: &[Arc<Incident>], ghosts: Result<Vec<Ghost>, Blind>) -> Vec<(&'static str, Mark, String, String)> {
        let mut lines = Lines::default();
        at_rest(all, &[], ghosts, noon(), &mut lines);
        lines.0.into_iter().map(|line| (line.check, line.verdict, line.text, line.fix.unwrap_or_default())).collect()
    }

    fn ghost() -> Ghost {
        let seen = seen(noon()).in_cluster();
        let ecs = seen.ecs.known().unwrap();
        Ghost { node: seen.node, cluster: ecs.cluster.clone(), container_instance: ecs.arn.clone() }
    }

    fn set(name: &str, value: &str) -> (Option<Mode>, Vec<(&'static str, Mark)>) {
        let function = Function {
            name: "defib".to_owned(),
            role: String::new(),
            state: None,
            last_update: None,
            variables: [(name.to_owned(), value.to_owned())].into(),
        };
        let mut lines = Lines::default();
        let mode = settings(&function, &mut lines).map(|settings| settings.policy.mode);
        (mode, lines.0.into_iter().map(|line| (line.check, line.verdict)).collect())
    }

    #[test]
    fn the_settings_are_read_as_the_function_reads_them() {
        assert_eq!(set("DEFIB_MODE", "cycle"), (Some(Mode::Cycle), vec![("mode", Mark::Ok)]));
        assert_eq!(set("DEFIB_MODE", ""), (Some(Mode::Observe), vec![("mode", Mark::Warn)]));
        for (name, value) in [("DEFIB_MODE", "all"), ("DEFIB_TOPIC", "defib"), ("DEFIB_NODE_AN_HOUR", "many")] {
            let (mode, said) = set(name, value);
            assert_eq!(said.first(), Some(&("settings", Mark::Fail)), "{name}={value}");
            assert!(mode.is_none() && said[1..].iter().all(|(_, verdict)| *verdict == Mark::Unknown), "{said:?}");
            assert!(said.iter().any(|(check, _)| *check == "mode"), "what was not looked at is said: {said:?}");
        }
    }

    #[test]
    fn a_ghost_that_no_incident_knows_is_left_over() {
        let said = said(&[], Ok(vec![ghost()]));
        let [(check, verdict, text, fix)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((*check, *verdict, fix), ("left over", Mark::Warn, &ghost().removal()));
        assert!(text.contains(&ghost().node.to_string()) && text.contains("still registered in cluster"), "{text}");
    }

    #[test]
    fn whoever_is_replacing_the_node_is_waited_for() {
        let node = seen(noon()).in_cluster();
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        let incident = Arc::new(Incident::open(&home(), &node, symptom, noon(), noon()));
        let said = said(&[incident], Ok(vec![ghost()]));
        assert!(said.iter().any(|(check, _, _, fix)| *check == "left over" && fix.starts_with("wait: ")), "{said:?}");
    }

    #[test]
    fn ghosts_that_could_not_be_looked_for_are_not_none() {
        assert_eq!(said(&[], Ok(Vec::new())), []);
        let said = said(&[], Err(Blind::Denied));
        let [(check, verdict, text, _)] = &said[..] else { panic!("{said:?}") };
        assert_eq!((*check, *verdict), ("left over", Mark::Unknown));
        assert!(text.ends_with(Blind::Denied.as_str()), "{text}");
    }
}
