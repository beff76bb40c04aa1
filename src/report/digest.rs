//! Messages about many nodes at once: a storm, a shared cause, one command, what was dead long before.
//!
//! One message instead of hundreds: what happens, why nothing is cycled meanwhile, and a table of the nodes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use super::chat::{Content, DESCRIPTION_MAX, Envelope, Metadata};
use super::email::{item, row};
use super::left_over::{left_over, removals};
use super::limits::WHOLE_MAX;
use super::message::{Message, StackInfo};
use super::subject::{SMS_MAX, SUBJECT_MAX};
use super::timeline::{clock, date};
use super::words::Severity;
use super::{policy_problem, redact, timeline};
use crate::diagnose::Cause;
use crate::incident::{IncidentId, Outcome};
use crate::node::{AccountId, Home, NodeId, Region};
use crate::policy::Mode;
use crate::policy::standing::News;
use crate::storm::{Digest, DigestKind, Row};

/// Rows of the table, from the usual number to the one that always fits.
const ROWS: [usize; 3] = [60, 25, 8];

/// A digest for machines, `defib.digest/1`. Its schema is `docs/schema/digest-1.schema.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineDigest {
    /// `defib.digest/1`.
    pub schema: &'static str,
    /// Repeats carry the same.
    pub digest_id: String,
    /// The same for every digest about one thing.
    pub thread_id: String,
    /// What it is about.
    pub kind: DigestKind,
    /// How loud it is.
    pub severity: Severity,
    /// Whether it is over.
    pub over: bool,
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// When what it tells of began.
    pub started_at: jiff::Timestamp,
    /// When it was decided.
    pub at: jiff::Timestamp,
    /// Nodes in the account and region.
    pub fleet: u32,
    /// Nodes with an open incident of it.
    pub open: u32,
    /// Nodes that wait for a place.
    pub waiting: u32,
    /// Why the breaker is open.
    pub breaker: Vec<OpenBreaker>,
    /// What the nodes share.
    pub factor: Option<SharedFactor>,
    /// The command that failed on them.
    pub command_id: Option<String>,
    /// Its document.
    pub document: Option<String>,
    /// Single nodes.
    pub nodes: Vec<MachineRow>,
    /// Nodes that are counted and not listed.
    pub more_nodes: u32,
    /// The mode that the deployment ran in.
    pub mode: Mode,
}

/// A reason for which the breaker is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenBreaker {
    /// Why, in words, with the numbers.
    pub why: String,
    /// When a canary may try.
    pub until: jiff::Timestamp,
}

/// What nodes share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedFactor {
    /// `endpoint`, `subnet`, `role`, `image` or `zone`.
    pub kind: &'static str,
    /// What AWS calls it.
    pub id: String,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MachineRow {
    /// The node.
    pub instance_id: NodeId,
    /// Its incident.
    pub incident_id: Option<IncidentId>,
    /// How that ended, or for what it rests.
    pub outcome: Option<Outcome>,
    /// Its cause.
    pub cause: Option<Cause>,
}

/// Renders a digest. A long table is shortened until the whole message fits.
#[must_use]
pub fn render_digest(digest: &Digest, stack: &StackInfo<'_>) -> Message<MachineDigest> {
    let [usual, shorter, shortest] = ROWS;
    for rows in [usual, shorter] {
        let message = render_within(digest, stack, rows);
        if message.sns_json().len() <= WHOLE_MAX {
            return message;
        }
    }
    render_within(digest, stack, shortest)
}

fn render_within(digest: &Digest, stack: &StackInfo<'_>, rows: usize) -> Message<MachineDigest> {
    let subject = subject(digest);
    let severity = severity(digest);
    Message {
        email: email(digest, stack, rows),
        chat: envelope(digest, severity),
        machine: machine(digest, severity, rows),
        sms: redact::cut(
            &redact::ascii(subject.trim_start_matches('[').replacen("defib] ", "defib ", 1).trim()),
            SMS_MAX,
        ),
        attributes: vec![
            ("outcome", digest.id.kind.as_str().to_owned()),
            ("severity", severity.as_str().to_owned()),
            ("fault", "many-nodes".to_owned()),
            ("cluster", "none".to_owned()),
            ("account", digest.account.to_string()),
            ("region", digest.region.to_string()),
        ],
        subject,
    }
}

fn severity(digest: &Digest) -> Severity {
    match (digest.id.kind, digest.over) {
        (DigestKind::Storm | DigestKind::SharedCause, false) => Severity::Critical,
        (DigestKind::Storm | DigestKind::SharedCause, true) => Severity::Info,
        (DigestKind::Command, _) => Severity::Info,
        (DigestKind::Baseline, _) => Severity::Warning,
        (DigestKind::Ghosts, _) => Severity::Info,
        (DigestKind::Policy, false) => Severity::Critical,
        (DigestKind::Policy, true) => Severity::Info,
    }
}

/// The heading: `STORM`.
fn label(digest: &Digest) -> &'static str {
    match (digest.id.kind, digest.over) {
        (DigestKind::Storm, false) => "STORM",
        (DigestKind::Storm, true) => "STORM OVER",
        (DigestKind::SharedCause, false) => "SHARED CAUSE",
        (DigestKind::SharedCause, true) => "SHARED CAUSE OVER",
        (DigestKind::Command, _) => "COMMAND",
        (DigestKind::Baseline, _) => "BASELINE",
        (DigestKind::Ghosts, _) => "LEFT OVER",
        (DigestKind::Policy, false) => "NEEDS YOU",
        (DigestKind::Policy, true) => "POLICY",
    }
}

fn nodes(count: u32) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// What is told, in a sentence without its end.
fn headline(digest: &Digest) -> String {
    let fleet = digest.fleet;
    match (digest.id.kind, digest.over) {
        (DigestKind::Storm, false) if digest.trips.iter().any(|(why, _)| why.is_storm()) => {
            format!("many nodes fail at once, so nothing is cycled for now ({} in trouble)", nodes(digest.open))
        }
        (DigestKind::Storm, false) if digest.trips.is_empty() => {
            format!("so many nodes are in trouble that {} for their turn", waits(digest.waiting))
        }
        (DigestKind::Storm, false) => "a remedy does not help often enough, so it is not used for now".to_owned(),
        (DigestKind::Storm, true) => "the breaker is closed, and no node waits any more".to_owned(),
        (DigestKind::SharedCause, false) => {
            format!("{} of {fleet} fail together and share {}", nodes(digest.open), factor(digest))
        }
        (DigestKind::SharedCause, true) => format!("the nodes that shared {} are no longer in trouble", factor(digest)),
        (DigestKind::Command, _) => {
            let told = u32::try_from(digest.rows.len()).unwrap_or(u32::MAX).saturating_add(digest.more);
            format!("one Run Command ended badly on {}", nodes(told))
        }
        (DigestKind::Baseline, _) => {
            format!("{} of {fleet} did not answer long before defib first looked", nodes(digest.open))
        }
        (DigestKind::Ghosts, _) => {
            let (many, instances) = left_over(digest.open);
            format!("{many} still registered in ECS, though {instances} gone")
        }
        (DigestKind::Policy, _) => match &digest.policy {
            Some(News::Problem(problem)) => {
                let wrong = policy_problem::in_short(problem);
                format!("the policy document cannot be used, so Defib only observes ({wrong})")
            }
            Some(News::Mended { fallen }) => policy_problem::mended(fallen),
            None => "the policy document".to_owned(),
        },
    }
}

fn waits(count: u32) -> String {
    if count == 1 { "1 waits".to_owned() } else { format!("{count} wait") }
}

fn factor(digest: &Digest) -> String {
    digest.factor.as_ref().map_or_else(|| "something".to_owned(), |factor| redact::name(&factor.to_string()))
}

/// What the reader must do.
fn ask(digest: &Digest) -> String {
    match (digest.id.kind, digest.over) {
        (DigestKind::Storm | DigestKind::SharedCause, true) => "Nothing for you to do.".to_owned(),
        (DigestKind::Storm, false) if digest.trips.iter().any(|(why, _)| !why.is_storm()) => {
            "Please look why the remedy does not help there.".to_owned()
        }
        (DigestKind::Storm, false) => "Please look for what they have in common.".to_owned(),
        (DigestKind::SharedCause, false) => format!("Please look at {}.", factor(digest)),
        (DigestKind::Command, _) => {
            "Please look at the command and its script first, then at the nodes below.".to_owned()
        }
        (DigestKind::Baseline, _) => {
            "Please repair or remove them; they are left alone until they come back, or until you ask: defib fix NODE"
                .to_owned()
        }
        (DigestKind::Ghosts, _) => {
            "Please remove them by the commands below, once you have seen that the instances are gone.".to_owned()
        }
        (DigestKind::Policy, false) => "Please correct the policy document: defib policy check FILE".to_owned(),
        (DigestKind::Policy, true) => "Nothing for you to do.".to_owned(),
    }
}

fn subject(digest: &Digest) -> String {
    if let Some(News::Problem(problem)) = &digest.policy {
        return policy_problem::subject(problem);
    }
    let what = match (digest.id.kind, digest.over) {
        (DigestKind::Storm, false) if digest.trips.iter().any(|(why, _)| why.is_storm()) => {
            format!("{} of {} in trouble, breaker open", digest.open, nodes(digest.fleet))
        }
        (DigestKind::Storm, false) if digest.trips.is_empty() => format!("{} for their turn", waits(digest.waiting)),
        (DigestKind::Storm, false) => "a remedy does not help, breaker open for it".to_owned(),
        (DigestKind::Storm, true) => "breaker closed".to_owned(),
        (DigestKind::SharedCause, false) => format!("{} of {} share {}", digest.open, digest.fleet, factor(digest)),
        (DigestKind::SharedCause, true) => factor(digest),
        (DigestKind::Command, _) => {
            let told = u32::try_from(digest.rows.len()).unwrap_or(u32::MAX).saturating_add(digest.more);
            let document = digest.command.as_ref().and_then(|(_, document)| document.as_ref());
            let document = document.map_or("Run Command", |document| document.as_str());
            format!("{} on {}", redact::cut(document, 40), nodes(told))
        }
        (DigestKind::Baseline, _) => format!("{} did not answer before", nodes(digest.open)),
        (DigestKind::Ghosts, _) => left_over(digest.open).0 + " left over",
        (DigestKind::Policy, _) => "a good document is there again".to_owned(),
    };
    redact::cut(&redact::ascii(&format!("[defib] {}: {what} ({})", label(digest), digest.region)), SUBJECT_MAX)
}

fn email(digest: &Digest, stack: &StackInfo<'_>, rows: usize) -> String {
    if let Some(News::Problem(problem)) = &digest.policy {
        let home = Home { account: digest.account, region: digest.region.clone() };
        return policy_problem::email(problem, &home, stack);
    }
    let mut facts = String::new();
    for (why, until) in &digest.trips {
        let why = redact::excerpt(&why.to_string());
        row(&mut facts, "Breaker", &format!("open until {} UTC: {why}", clock(*until, true)));
    }
    if let Some(factor) = &digest.factor {
        row(&mut facts, "Shared", &redact::excerpt(&factor.to_string()));
    }
    if let Some((command, document)) = &digest.command {
        let document = document.as_ref().map_or("a document", |document| document.as_str());
        row(&mut facts, "Command", &format!("Run Command {document}, command {command}"));
    }
    row(&mut facts, "Where", &format!("account {}, {}, {}", digest.account, digest.region, nodes(digest.fleet)));
    let since = digest.id.since;
    row(&mut facts, "Since", &format!("{} UTC, {}", clock(since, false), date(since)));
    if digest.waiting > 0 {
        row(&mut facts, "Waiting", &format!("{} for their turn; each is looked at later", waits(digest.waiting)));
    }
    let mut blocks =
        vec![format!("{}: {}.\n{}", label(digest), headline(digest), ask(digest)), facts.trim_end().to_owned()];
    if digest.ghosts.is_empty() {
        blocks.extend(table(digest, rows));
    } else {
        blocks.push(removals(digest, rows));
    }
    blocks.push(foot(digest, stack));
    blocks.join("\n\n") + "\n"
}

/// The nodes, a line each.
fn table(digest: &Digest, most: usize) -> Option<String> {
    if digest.rows.is_empty() {
        return None;
    }
    let mut block = "Nodes".to_owned();
    for row in digest.rows.iter().take(most) {
        item(&mut block, "  - ", &node_line(row));
    }
    let hidden = digest.rows.len().saturating_sub(most);
    let hidden = u32::try_from(hidden).unwrap_or(u32::MAX).saturating_add(digest.more);
    if hidden > 0 {
        let _ = write!(block, "\n  {hidden} more: defib incidents");
    }
    Some(block)
}

fn node_line(row: &Row) -> String {
    let name = row.name.as_ref().map(|name| format!(" ({})", redact::name(name.as_str()))).unwrap_or_default();
    let mut line = format!("{}{name}", row.node);
    match row.outcome {
        Some(outcome) => {
            let _ = write!(line, ": {outcome}");
        }
        None if row.incident.is_some() => line.push_str(": going on"),
        None => {}
    }
    if let Some(cause) = row.cause {
        let _ = write!(line, ", {cause}");
    }
    if let Some(incident) = row.incident {
        let _ = write!(line, ", {incident}");
    }
    line
}

fn foot(digest: &Digest, stack: &StackInfo<'_>) -> String {
    let next = match (digest.id.kind, digest.over) {
        (DigestKind::Storm | DigestKind::SharedCause, false) => {
            "More about this in a quarter of an hour at the earliest, and once when it is over.\n"
        }
        (DigestKind::Storm | DigestKind::SharedCause, true) => "From now on each node is told of by itself again.\n",
        (DigestKind::Command | DigestKind::Baseline | DigestKind::Policy | DigestKind::Ghosts, _) => "",
    };
    let (version, name) = (redact::name(stack.version), redact::name(stack.name));
    format!("{next}Digest {} | defib {version} | stack {name}\nDetails:  defib incidents", digest.id)
}

fn envelope(digest: &Digest, severity: Severity) -> Envelope {
    let emoji = match (digest.id.kind, digest.over) {
        (DigestKind::Storm, false) => ":zap:",
        (DigestKind::SharedCause, false) => ":link:",
        (DigestKind::Storm | DigestKind::SharedCause, true) => ":white_check_mark:",
        (DigestKind::Command, _) => ":scroll:",
        (DigestKind::Baseline, _) => ":clipboard:",
        (DigestKind::Ghosts, _) => ":ghost:",
        (DigestKind::Policy, false) => ":rotating_light:",
        (DigestKind::Policy, true) => ":white_check_mark:",
    };
    let headline = redact::chat(&headline(digest));
    let mut lines = vec![format!("*Where* account `{}` `{}`, {}", digest.account, digest.region, nodes(digest.fleet))];
    for (why, until) in &digest.trips {
        lines.push(format!("*Breaker* open until {} UTC: {}", clock(*until, true), redact::chat(&why.to_string())));
    }
    if digest.waiting > 0 {
        lines.push(format!("*Waiting* {} for their turn", waits(digest.waiting)));
    }
    for row in digest.rows.iter().take(10) {
        lines.push(format!("`{}` {}", row.node, redact::chat(row.outcome.map_or("going on", Outcome::as_str))));
    }
    let heading = super::email::capital(&label(digest).to_ascii_lowercase());
    let ask = ask(digest);
    let step = ask.trim_end_matches('.').trim_start_matches("Please ");
    Envelope {
        version: "1.0",
        source: "custom",
        id: digest.id.to_string().replace('/', "-"),
        content: Content {
            text_type: "client-markdown",
            title: redact::cut(&format!("{emoji} {heading}: {headline}"), 240),
            description: redact::cut(&lines.join("\n"), DESCRIPTION_MAX - 1),
            next_steps: vec![super::email::capital(&redact::chat(step))],
            keywords: vec![digest.id.kind.as_str().to_owned(), "many-nodes".to_owned()],
        },
        metadata: Metadata {
            thread_id: digest.id.thread(),
            summary: redact::cut(&format!("{heading}: {headline}"), 200),
            event_type: "defib.digest",
            related_resources: Vec::new(),
            additional_context: BTreeMap::from([
                ("digestId", digest.id.to_string()),
                ("outcome", digest.id.kind.as_str().to_owned()),
                ("severity", severity.as_str().to_owned()),
                ("mode", digest.mode.as_str().to_owned()),
            ]),
        },
    }
}

fn machine(digest: &Digest, severity: Severity, most: usize) -> MachineDigest {
    let hidden = u32::try_from(digest.rows.len().saturating_sub(most)).unwrap_or(u32::MAX);
    MachineDigest {
        schema: "defib.digest/1",
        digest_id: digest.id.to_string(),
        thread_id: digest.id.thread(),
        kind: digest.id.kind,
        severity,
        over: digest.over,
        account: digest.account,
        region: digest.region.clone(),
        started_at: digest.id.since,
        at: digest.at,
        fleet: digest.fleet,
        open: digest.open,
        waiting: digest.waiting,
        breaker: digest
            .trips
            .iter()
            .map(|(why, until)| OpenBreaker { why: redact::excerpt(&why.to_string()), until: *until })
            .collect(),
        factor: digest
            .factor
            .as_ref()
            .map(|factor| SharedFactor { kind: factor.kind(), id: redact::excerpt(factor.id()) }),
        command_id: digest.command.as_ref().map(|(command, _)| command.to_string()),
        document: digest.command.as_ref().and_then(|(_, document)| document.as_ref()).map(ToString::to_string),
        nodes: digest
            .rows
            .iter()
            .take(most)
            .map(|row| MachineRow {
                instance_id: row.node,
                incident_id: row.incident,
                outcome: row.outcome,
                cause: row.cause,
            })
            .collect(),
        more_nodes: digest.more.saturating_add(hidden),
        mode: digest.mode,
    }
}

/// A digest as a line of a timeline.
#[must_use]
pub fn digest_line(digest: &Digest) -> String {
    redact::cut(&format!("{}: {}", label(digest), headline(digest)), timeline::LINE_MAX - 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;
    use crate::guard::breaker::TripReason;
    use crate::observe::Factor;
    use crate::policy::standing::{Fallen, PolicyProblem, Wrong};
    use crate::storm::DigestId;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-20T{time}Z").parse().unwrap()
    }

    fn row(number: u128, outcome: Option<Outcome>) -> Row {
        let node = NodeId::numbered(number);
        let incident = Some(IncidentId::new(at("14:02:11"), node));
        Row {
            node,
            name: Some(format!("web-{number}").parse().unwrap()),
            incident,
            outcome,
            cause: Some(Cause::NetworkUnreachable),
        }
    }

    fn digest(kind: DigestKind, over: bool) -> Digest {
        Digest {
            id: DigestId { kind, since: at("14:05:00"), index: 0, n: if over { 3 } else { 1 } },
            at: at("14:20:00"),
            account: "111122223333".parse().unwrap(),
            region: "us-east-1".parse().unwrap(),
            mode: Mode::Cycle,
            over,
            trips: Vec::new(),
            factor: None,
            command: None,
            policy: None,
            ghosts: Arc::default(),
            fleet: 400,
            open: 31,
            waiting: 0,
            rows: Arc::from([row(1, Some(Outcome::NeedsHuman)), row(2, None)]),
            more: 29,
        }
    }

    fn ghost() -> crate::incident::held::Ghost {
        let arn = "arn:aws:ecs:us-east-1:111122223333:";
        crate::incident::held::Ghost {
            node: NodeId::numbered(1),
            cluster: format!("{arn}cluster/blue").parse().unwrap(),
            container_instance: format!("{arn}container-instance/blue/0123456789abcdef0123456789abcdef")
                .parse()
                .unwrap(),
        }
    }

    fn samples() -> Vec<(&'static str, Digest)> {
        use DigestKind::{Baseline, Command, Ghosts, Policy, SharedCause, Storm};
        let storm = TripReason::Nodes { count: 31, limit: 20, window_secs: 300 };
        let failing = TripReason::Results {
            scope: crate::guard::Scope::Group("blue".into()),
            remedy: crate::incident::Remedy::Reboot,
            helped: 1,
            of: 4,
        };
        let until = at("14:15:00");
        let factor = Some(Factor::Subnet("subnet-0a1b".parse().unwrap()));
        let problem = PolicyProblem { at: at("14:05:00"), what: Wrong::Gone, in_force_hash: None };
        let fallen = Fallen { since: at("14:05:00"), until: Some(at("14:20:00")) };
        let command = Some((crate::observe::samples::command_id(), Some("AWS-RunPatchBaseline".parse().unwrap())));
        vec![
            ("storm", Digest { trips: vec![(storm, until)], waiting: 12, ..digest(Storm, false) }),
            ("storm_waits", Digest { waiting: 1, ..digest(Storm, false) }),
            ("storm_remedy", Digest { trips: vec![(failing, until)], ..digest(Storm, false) }),
            ("storm_over", Digest { rows: Arc::from([]), more: 0, open: 0, ..digest(Storm, true) }),
            ("shared_cause", Digest { factor: factor.clone(), ..digest(SharedCause, false) }),
            ("shared_cause_over", Digest { factor, ..digest(SharedCause, true) }),
            ("command", Digest { command, ..digest(Command, false) }),
            ("policy", Digest { policy: Some(News::Problem(problem)), ..digest(Policy, false) }),
            ("policy_mended", Digest { policy: Some(News::Mended { fallen }), ..digest(Policy, true) }),
            ("ghosts", Digest { open: 1, more: 0, ghosts: Arc::from([ghost()]), ..digest(Ghosts, false) }),
            ("baseline", Digest { open: 2, more: 0, ..digest(Baseline, false) }),
        ]
    }

    fn message(digest: &Digest) -> Message<MachineDigest> {
        render_digest(digest, &StackInfo { name: "defib", version: "0.1.0" })
    }

    #[test]
    fn every_kind_of_digest_reads_well() {
        for (name, digest) in samples() {
            let message = message(&digest);
            let mail = format!("Subject: {}\nSMS:     {}\n---\n{}", message.subject, message.sms, message.email);
            insta::assert_snapshot!(format!("digest_{name}.email"), mail);
            insta::assert_json_snapshot!(format!("digest_{name}.chat"), message.chat);
        }
    }

    #[test]
    fn the_machine_form_of_a_digest_keeps_to_its_schema() {
        let schema: Value = serde_json::from_str(include_str!("../../docs/schema/digest-1.schema.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for (name, digest) in samples() {
            let form = serde_json::to_value(message(&digest).machine).unwrap();
            let errors: Vec<String> = validator.iter_errors(&form).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            let known = schema["properties"].as_object().unwrap();
            assert!(
                form.as_object().unwrap().keys().all(|key| known.contains_key(key)),
                "{name}: a field is not described"
            );
        }
    }

    #[test]
    fn a_digest_keeps_the_limits_however_many_nodes_it_lists() {
        let rows: Vec<Row> = (0..200).map(|number| row(number, Some(Outcome::Deferred))).collect();
        for (name, digest) in samples() {
            let ghosts = digest.ghosts.iter().cycle().take(200).cloned().collect();
            let digest =
                Digest { rows: rows.clone().into(), ghosts, more: 9_800, fleet: u32::MAX, waiting: u32::MAX, ..digest };
            let message = message(&digest);
            assert!(message.subject.len() <= SUBJECT_MAX && message.subject.is_ascii(), "{name}: {}", message.subject);
            assert!(message.sms.len() <= SMS_MAX && message.sms.is_ascii(), "{name}: {}", message.sms);
            assert!(message.chat.content.description.chars().count() < DESCRIPTION_MAX, "{name}");
            assert!(message.sns_json().len() <= WHOLE_MAX, "{name}");
            let lists = !matches!(digest.policy, Some(News::Problem(_)));
            let more = if digest.ghosts.is_empty() { "more: defib incidents" } else { "\n  and " };
            assert!(!lists || message.email.contains(more), "{name}");
            assert!(message.attributes.iter().all(|(_, value)| !value.is_empty()), "{name}");
        }
    }

    #[test]
    fn the_second_line_says_what_to_do() {
        for (name, digest) in samples() {
            let message = message(&digest);
            let second = message.email.lines().nth(1).unwrap();
            assert!(second.starts_with("Please ") || second.starts_with("Nothing for you to do"), "{name}: {second}");
        }
    }
}
