//! The custom-notification envelope of Amazon Q Developer in chat applications (Slack, Teams). It drops plain text without a word.

use std::collections::BTreeMap;

use serde::Serialize;

use super::email::capital;
use super::links::links;
use super::story::Story;
use super::{ReportKind, redact, words};
use crate::diagnose::sentence;
use crate::incident::Outcome;
use crate::ports::ReportId;

/// The service takes descriptions under this many characters.
pub const DESCRIPTION_MAX: usize = 2_000;
/// Titles are kept to one readable line.
const TITLE_MAX: usize = 240;

/// The envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// `1.0`.
    pub version: &'static str,
    /// `custom`.
    pub source: &'static str,
    /// Names the notification; repeats carry the same.
    pub id: String,
    /// What people see.
    pub content: Content,
    /// What chat groups and filters by.
    pub metadata: Metadata,
}

/// What people see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// `client-markdown`.
    pub text_type: &'static str,
    /// One line.
    pub title: String,
    /// A few lines, under 2,000 characters.
    pub description: String,
    /// What to do.
    pub next_steps: Vec<String>,
    /// For a search.
    pub keywords: Vec<String>,
}

/// What chat groups and filters by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The incident: one thread an incident.
    pub thread_id: String,
    /// The title, short.
    pub summary: String,
    /// `defib.incident`.
    pub event_type: &'static str,
    /// The node's ARN.
    pub related_resources: Vec<String>,
    /// Strings by strings.
    pub additional_context: BTreeMap<&'static str, String>,
}

pub(super) fn envelope(story: &Story<'_>, id: &ReportId) -> Envelope {
    let incident = story.incident;
    let place = story.label().map(|label| format!(" ({})", redact::chat(&label))).unwrap_or_default();
    let headline = redact::chat(&words::headline(story));
    let heading = heading(story);
    let title =
        format!("{} {heading}: {}", emoji(story), headline.replacen(&story.node, &format!("{}{place}", story.node), 1));
    let partition = incident.place.region.partition();
    let (account, region) = (incident.place.account, &incident.place.region);
    let arn = if incident.node.is_instance() {
        format!("arn:{partition}:ec2:{region}:{account}:instance/{}", story.node)
    } else {
        format!("arn:{partition}:ssm:{region}:{account}:managed-instance/{}", story.node)
    };
    let nth = if id.n > 1 { format!("-{}", id.n) } else { String::new() };
    Envelope {
        version: "1.0",
        source: "custom",
        id: format!("{}-{}{nth}", incident.id, story.outcome),
        content: Content {
            text_type: "client-markdown",
            title: redact::cut(&title, TITLE_MAX),
            description: description(story),
            next_steps: next_steps(story),
            keywords: keywords(story),
        },
        metadata: Metadata {
            thread_id: incident.id.to_string(),
            summary: format!("{heading}: {}", story.fault.part_on(&story.node)),
            event_type: "defib.incident",
            related_resources: vec![arn],
            additional_context: context(story, id),
        },
    }
}

/// The heading in small letters: `Needs you`.
fn heading(story: &Story<'_>) -> String {
    capital(&words::label(story).to_ascii_lowercase())
}

fn emoji(story: &Story<'_>) -> &'static str {
    if story.report.kind == ReportKind::NeedsApproval {
        return ":raised_hand:";
    }
    if story.closed_by().is_some() {
        return ":ballot_box_with_check:";
    }
    match story.outcome {
        Outcome::SelfHealed | Outcome::Fixed => ":white_check_mark:",
        Outcome::Cycled => ":arrows_counterclockwise:",
        Outcome::Replaced => ":recycle:",
        Outcome::NeedsHuman => ":rotating_light:",
        Outcome::Blocked => ":no_entry:",
        Outcome::Deferred => ":hourglass:",
        Outcome::Gone => ":wave:",
        Outcome::NotOurs => ":information_source:",
        Outcome::DryRun => ":eyes:",
    }
}

fn description(story: &Story<'_>) -> String {
    let place = &story.incident.place;
    let mut lines = Vec::with_capacity(6);
    match story.helped() {
        Some(remedy) => lines.push(format!(
            "*Fixed by* {}, after {}.",
            words::fixed_by(remedy, place.platform),
            words::span(story.down_secs)
        )),
        None => lines.push(format!("*What broke* {}", story.what_broke())),
    }
    let name = story.name.as_deref().map(|name| format!(" {}", quoted(name))).unwrap_or_default();
    let cluster =
        story.cluster.map(|cluster| format!(", cluster {}", quoted(&redact::name(cluster)))).unwrap_or_default();
    lines.push(format!("*Where* `{}`{name}{cluster}, account `{}` `{}`", story.node, place.account, place.region));
    if story.goes_on() {
        lines.push(format!("*Broken for* {} and counting", words::span(story.down_secs)));
    }
    if let Some(diagnosis) = story.diagnosis {
        let evidence = diagnosis.findings.iter().map(|finding| finding.evidence.as_ref()).find(|text| !text.is_empty());
        let evidence = evidence.map(|text| format!(": {}", quoted(&redact::excerpt(text)))).unwrap_or_default();
        let sure = words::share(diagnosis.confidence);
        lines.push(format!("*Cause* {} (confidence {sure}){evidence}", sentence(diagnosis.cause)));
    }
    if let Some(why) = super::email::stopped(story) {
        lines.push(format!("*Stopped because* {}", redact::chat(&why)));
    }
    if let Some(effects) = super::email::side_effects(story) {
        lines.push(format!("*Side effects* {effects}"));
    }
    if let Some((document, command, _)) = story.command() {
        lines.push(format!("*Started by* Run Command `{}` `{command}`", redact::cut(document.as_str(), 100)));
    }
    redact::cut(&lines.join("\n"), DESCRIPTION_MAX - 1)
}

/// Text from outside, in a code span, where markup is not read.
fn quoted(text: &str) -> String {
    format!("`{}`", redact::chat(text))
}

fn next_steps(story: &Story<'_>) -> Vec<String> {
    let ask = words::ask(story);
    let first = match ask.as_str() {
        "Nothing for you to do." => "Nothing to do".to_owned(),
        ask => capital(&redact::chat(ask.trim_end_matches('.').trim_start_matches("Please "))),
    };
    let mut steps = vec![first];
    if story.wants_steps() {
        // Our own words and commands, to be copied as they are.
        steps.extend(super::email::steps(story).into_iter().take(3));
    }
    let links: Vec<String> = links(story).iter().map(|link| format!("<{}|{}>", link.url, link.title)).collect();
    steps.push(links.join(" - "));
    steps
}

fn keywords(story: &Story<'_>) -> Vec<String> {
    let mut words = vec![story.outcome.as_str().to_owned(), story.fault.as_str().to_owned()];
    words.extend(story.cause.map(|cause| cause.code().to_owned()));
    words.extend(story.label().map(|label| redact::chat(&label)));
    words
}

fn context(story: &Story<'_>, id: &ReportId) -> BTreeMap<&'static str, String> {
    let mut context = BTreeMap::from([
        ("incidentId", story.incident.id.to_string()),
        ("reportId", id.to_string()),
        ("outcome", story.outcome.as_str().to_owned()),
        ("severity", words::severity(story).as_str().to_owned()),
        ("mode", story.report.mode.as_str().to_owned()),
    ]);
    let action = story.helped().or_else(|| story.waiting_remedy()).or_else(|| story.incident.performed().last());
    context.insert("action", action.map_or("none", crate::incident::Remedy::as_str).to_owned());
    if let Some(cause) = story.cause {
        context.insert("cause", cause.code().to_owned());
    }
    context
}
