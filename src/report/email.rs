//! The plain-text mail: the outcome, what the reader must do, then why and what was done.

use std::fmt::Write as _;

use super::limits::Limits;
use super::links::links;
use super::machine::findings;
use super::story::Story;
use super::timeline::{clock, date, lines, same_day};
use super::{ReportKind, StackInfo, redact, words};
use crate::diagnose::{Cause, advice, sentence};
use crate::guard::{Lasts, Refusal};
use crate::incident::{Ending, Outcome, Phase, Remedy};
use crate::node::AutoScalingGroupName;
use crate::observe::Platform;

/// Where the values of the facts begin.
const INDENT: usize = 15;
/// Where prose is wrapped.
pub(super) const WIDTH: usize = 90;

pub(super) fn email(story: &Story<'_>, stack: &StackInfo<'_>, limits: Limits) -> String {
    let mut blocks = vec![format!("{}: {}.\n{}", words::label(story), words::headline(story), words::ask(story))];
    blocks.push(facts(story));
    blocks.extend(why(story, limits));
    if story.wants_steps() {
        blocks.push(to_do(story));
    }
    blocks.extend(history(story, limits));
    blocks.push(link_block(story));
    blocks.push(foot(story, stack));
    blocks.join("\n\n") + "\n"
}

/// The facts, a line each.
fn facts(story: &Story<'_>) -> String {
    let incident = story.incident;
    let place = &incident.place;
    let mut rows = String::new();
    row(&mut rows, "What broke", &story.what_broke());
    if let Some((document, command, status)) = story.command() {
        let status = status.as_str();
        row(&mut rows, "Started by", &format!("Run Command {document} ({status}), command {command}"));
    }
    if let Some(ask) = &incident.asked {
        row(&mut rows, "Asked by", &redact::name(&ask.by));
    }
    row(&mut rows, "Where", &located(story));
    more(&mut rows, &format!("account {}, {}", place.account, place.region));
    if let Some(lasted) = lasted(story) {
        let heading = if story.goes_on() { "Broken for" } else { "Down for" };
        row(&mut rows, heading, &lasted);
    }
    if let Some(remedy) = story.helped() {
        row(&mut rows, "Fixed by", &words::fixed_by(remedy, place.platform));
    }
    if let Some(effects) = side_effects(story) {
        row(&mut rows, "Side effects", &effects);
    }
    if let Some(why) = stopped(story) {
        stopped_row(&mut rows, &why);
    }
    rows.trim_end().to_owned()
}

fn located(story: &Story<'_>) -> String {
    let name = story.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    let cluster = story.cluster.map_or_else(|| "no ECS cluster".to_owned(), |name| format!("cluster {name}"));
    let group = story.group.as_deref().map_or_else(|| "no Auto Scaling group".to_owned(), |name| format!("ASG {name}"));
    format!("{}{name}, {cluster}, {group}", story.node)
}

fn lasted(story: &Story<'_>) -> Option<String> {
    let since = story.incident.down_since;
    if story.goes_on() {
        let (time, day) = (clock(since, false), date(since));
        return Some(format!("{} and counting (since {time} UTC, {day})", words::span(story.down_secs)));
    }
    let end = story.ended_at?;
    let apart = !same_day(since, end);
    let (from, to) = (clock(since, apart), clock(end, apart));
    let day = if apart { String::new() } else { format!(", {}", date(end)) };
    Some(format!("{}   ({from} -> {to} UTC{day})", words::span(story.down_secs)))
}

/// What else the remedy did.
pub(super) fn side_effects(story: &Story<'_>) -> Option<String> {
    let tasks = story.incident.place.tasks;
    Some(match story.helped()? {
        Remedy::FreeDisk => "old logs, unused images and old command output were deleted".to_owned(),
        Remedy::RestartSsmAgent => "none: no instance cycled; live sessions on it, if any, ended".to_owned(),
        Remedy::RestartEcsAgent => match tasks {
            0 => "none: no instance cycled".to_owned(),
            1 => "none: 1 running task kept running, no instance cycled".to_owned(),
            tasks => format!("none: {tasks} running tasks kept running, no instance cycled"),
        },
        Remedy::RestartRuntime => format!("containers ended: {}", story.moved()),
        Remedy::Reboot => story.with_sessions(story.moved()),
        Remedy::StopStart if story.incident.place.public_address_changes => {
            story.with_sessions(format!("{}; its public IP is not elastic and changed", story.moved()))
        }
        Remedy::StopStart => story.with_sessions(story.moved()),
        Remedy::Replace if story.incident.place.stop.elastic_address => {
            "the old instance and its disks are gone; its tasks run elsewhere; its Elastic IP belongs to no instance now".to_owned()
        }
        Remedy::Replace => "the old instance and its disks are gone; its tasks run elsewhere".to_owned(),
    })
}

/// What stopped Defib.
pub(super) fn stopped(story: &Story<'_>) -> Option<String> {
    match story.incident.ending() {
        Some(Ending::CauseNotOurs) if story.spared_a_futile_reboot() => {
            Some("the cause is not one that Defib can remove; a reboot does not help, so none was tried".to_owned())
        }
        Some(ending) => words::because(ending, story.incident),
        None => story.refusal().map(|refusal| redact::excerpt(&refusal.to_string())),
    }
}

/// The cause and its evidence.
fn why(story: &Story<'_>, limits: Limits) -> Option<String> {
    let diagnosis = story.diagnosis?;
    let heading = match story.outcome {
        Outcome::NeedsHuman | Outcome::Blocked | Outcome::Deferred | Outcome::DryRun => "Most likely cause",
        Outcome::Cycled => "Why we cycled it",
        Outcome::Replaced => "Why we replaced it",
        Outcome::SelfHealed | Outcome::Fixed | Outcome::Gone | Outcome::NotOurs => {
            "Why it broke (from the diagnostics)"
        }
    };
    let mut block = heading.to_owned();
    let sure = words::share(diagnosis.confidence);
    item(&mut block, "  ", &format!("{} (confidence {sure}, {})", capital(sentence(diagnosis.cause)), diagnosis.cause));
    let shown = findings(story, limits);
    for finding in &shown {
        let text = if finding.evidence.is_empty() { sentence(finding.code) } else { &finding.evidence };
        item(&mut block, "  - ", text);
    }
    let hidden = diagnosis.findings.len().saturating_sub(shown.len());
    if hidden > 0 {
        item(&mut block, "  - ", &format!("{hidden} more: defib show {}", story.incident.id));
    }
    if !diagnosis.also.is_empty() {
        let also: Vec<&str> = diagnosis.also.iter().take(3).map(|cause| crate::diagnose::name(*cause)).collect();
        item(&mut block, "  ", &format!("It could also be: {}", also.join(", ")));
    }
    Some(block)
}

/// Steps for a person, with the node's own ids.
pub(super) fn steps(story: &Story<'_>) -> Vec<String> {
    let node = &story.node;
    let own = |steps: &[&str]| -> Vec<String> { steps.iter().map(|step| (*step).to_owned()).collect() };
    let raw = match story.incident.ending() {
        Some(Ending::DoesNotStart) => own(&[
            "aws ec2 start-instances --instance-ids INSTANCE_ID",
            "If capacity lacks: try again later, or change the instance type",
            "If a volume's key is at fault: the caller needs kms:CreateGrant on it",
        ]),
        Some(Ending::NotGivenBack) => {
            let holds = story.incident.holds;
            let stopped = "EC2: aws ec2 start-instances --instance-ids INSTANCE_ID";
            let standby =
                "ASG: aws autoscaling exit-standby --instance-ids INSTANCE_ID --auto-scaling-group-name GROUP";
            let draining = "ECS: set the container instance back to ACTIVE in the console, once it is healthy";
            let steps = [(holds.stopped, stopped), (holds.standby, standby), (holds.draining, draining)];
            steps.into_iter().filter(|(held, _)| *held).map(|(_, step)| step.to_owned()).collect()
        }
        Some(Ending::SessionGaveUp) => own(advice(Cause::SessionClientGaveUp)),
        Some(Ending::ScriptTimedOut) => own(advice(Cause::CommandScriptTimeout)),
        Some(Ending::CommandRejected) => own(advice(Cause::CommandRejected)),
        _ => own(advice(story.cause.unwrap_or(Cause::Unknown))),
    };
    let region = story.incident.place.region.as_str();
    let group = story.incident.place.group.as_ref().map(AutoScalingGroupName::as_str).filter(|name| is_plain(name));
    let filled = |step: &String| {
        step.replace("INSTANCE_ID", node).replace("REGION", region).replace("GROUP", group.unwrap_or("GROUP"))
    };
    let fits = |step: &&String| story.incident.node.is_instance() || !step.contains("aws ec2 ");
    raw.iter().filter(fits).map(|step| on_platform(step, story.incident.place.platform)).map(|s| filled(&s)).collect()
}

/// A step as it is done on the node's platform, where that differs.
fn on_platform(step: &str, platform: Platform) -> String {
    match platform {
        Platform::Windows if step.starts_with("sudo systemctl restart amazon-ssm-agent") => {
            "Restart-Service AmazonSSMAgent -Force".to_owned()
        }
        Platform::Windows if step.starts_with("sudo systemctl restart ecs") => "Restart-Service AmazonECS".to_owned(),
        Platform::Linux | Platform::Snap | Platform::Windows | Platform::Bottlerocket => step.to_owned(),
    }
}

/// Whether a name may stand in a command that people copy into a shell.
fn is_plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b)) && !name.starts_with('-')
}

fn to_do(story: &Story<'_>) -> String {
    let mut block = "What to do".to_owned();
    let mut steps = steps(story);
    if story.goes_on() {
        steps.push(format!("Or silence it for 24 h: defib mute {} --for 24h", story.node));
    }
    for (n, step) in steps.iter().enumerate() {
        item(&mut block, &format!("  {}. ", n.saturating_add(1)), step);
    }
    block
}

fn history(story: &Story<'_>, limits: Limits) -> Option<String> {
    let lines = lines(story.incident, limits.lines);
    if lines.is_empty() {
        return None;
    }
    let heading = match story.outcome {
        Outcome::NeedsHuman => "What we tried (UTC)",
        _ => "What we did (UTC)",
    };
    Some(lines.iter().fold(heading.to_owned(), |block, line| block + "\n  " + line))
}

fn link_block(story: &Story<'_>) -> String {
    let links = links(story);
    let width = links.iter().map(|link| link.title.len()).max().unwrap_or_default();
    links.iter().fold("Links".to_owned(), |block, link| format!("{block}\n  {:width$}  {}", link.title, link.url))
}

/// When the node is touched again, then the incident's id.
fn foot(story: &Story<'_>, stack: &StackInfo<'_>) -> String {
    let id = story.incident.id;
    let block = again(story).map(|line| line + "\n").unwrap_or_default();
    let (version, name) = (redact::name(stack.version), redact::name(stack.name));
    let mut block = block + &format!("Incident {id} | defib {version} | stack {name}\nDetails:  defib show {id}");
    if story.report.kind == ReportKind::NeedsApproval {
        block = block + "\nApprove:  defib approve " + &id.to_string();
    }
    block + &format!("\nMute this instance:  defib mute {} --for 24h, or tag it defib:mode=off", story.node)
}

/// When Defib will touch the node again.
fn again(story: &Story<'_>) -> Option<String> {
    let moment = |at| format!("{} UTC, {}", clock(at, false), date(at));
    if story.report.kind == ReportKind::NeedsApproval {
        let limit = match &story.incident.phase {
            Phase::Parked { limit, .. } => format!(" It waits until {}.", moment(*limit)),
            _ => String::new(),
        };
        return Some(format!("We will not touch this instance before it is approved.{limit}"));
    }
    match story.incident.ending()? {
        Ending::Quarantined { .. } | Ending::Refused { refusal: Refusal::Quarantined { .. } } => Some(
            "We will do nothing more to this instance that stops workload until you clear it; one reminder a day."
                .to_owned(),
        ),
        Ending::DoesNotStart | Ending::NotGivenBack => {
            Some("We go on trying to give it back, and do nothing else to it; one reminder a day.".to_owned())
        }
        Ending::CauseNotOurs | Ending::LadderExhausted | Ending::TooLong => {
            let next = match &story.incident.phase {
                Phase::Resting { remind_at, .. } => format!(" (next: {})", moment(*remind_at)),
                _ => String::new(),
            };
            Some(format!("We will not touch this instance again until its state changes; one reminder a day{next}."))
        }
        Ending::Refused { refusal } => Some(match refusal.lasts() {
            Lasts::ForGood => "We will not touch this instance until that changes.".to_owned(),
            Lasts::Until(at) => format!("We may touch this instance again from {}.", moment(at)),
            Lasts::Secs(_) => "The sweep looks at this instance again.".to_owned(),
        }),
        Ending::WaitedTooLong { refusal: Refusal::Approval { .. } } => {
            Some("Nobody approved it in time. The sweep finds the node again while it is broken.".to_owned())
        }
        Ending::WaitedTooLong { .. } => {
            Some("The sweep finds the node again while it is broken, and begins anew.".to_owned())
        }
        Ending::WouldHave { .. } => Some("In mode observe we touch nothing.".to_owned()),
        Ending::SelfHealed
        | Ending::Helped { .. }
        | Ending::Gone
        | Ending::SessionGaveUp
        | Ending::ScriptTimedOut
        | Ending::CommandRejected
        | Ending::ClosedBy { .. } => None,
    }
}

/// A fact: its heading, its value wrapped beside it.
pub(super) fn row(block: &mut String, heading: &str, value: &str) {
    rows_of(block, [heading, ""], &wrap(value, WIDTH - INDENT));
}

/// A heading that is too long for its column and stands on two lines, so its value does too.
fn stopped_row(block: &mut String, why: &str) {
    let mut lines = wrap(why, WIDTH - INDENT);
    if lines.len() == 1 {
        lines = wrap(why, why.chars().count() / 2 + 8);
    }
    rows_of(block, ["Stopped", "because"], &lines);
}

fn rows_of(block: &mut String, headings: [&str; 2], lines: &[String]) {
    for (n, line) in lines.iter().enumerate() {
        let heading = headings.get(n).copied().unwrap_or_default();
        let _ = writeln!(block, "  {heading:<12} {line}");
    }
}

fn more(block: &mut String, value: &str) {
    let _ = writeln!(block, "{:INDENT$}{value}", "");
}

/// An item of a list, wrapped under itself.
pub(super) fn item(block: &mut String, mark: &str, text: &str) {
    for (n, line) in wrap(text, 100 - mark.len()).iter().enumerate() {
        block.push('\n');
        if n == 0 {
            block.push_str(mark);
        } else {
            block.push_str(&" ".repeat(mark.len()));
        }
        block.push_str(line);
    }
}

/// Breaks a text between words; a longer word stands alone and whole, so that commands and ids can be copied.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::with_capacity(2);
    let mut line = String::new();
    for word in text.split(' ') {
        let needed = line.chars().count().saturating_add(word.chars().count()).saturating_add(1);
        if !line.is_empty() && needed > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The same text with a capital in front.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().collect::<String>() + chars.as_str()).unwrap_or_default()
}
