//! The subject line and the text message: short, ASCII, the outcome first and the node's id whole.

use super::story::Story;
use super::{ReportKind, redact, words};
use crate::diagnose::name;
use crate::incident::{Ending, Outcome};
use crate::time::spoken;

/// SNS takes subjects under 100 characters.
pub const SUBJECT_MAX: usize = 99;
/// One text message.
pub const SMS_MAX: usize = 140;

pub(super) fn subject(story: &Story<'_>) -> String {
    let label = story.label().map(|label| redact::ascii(&label)).unwrap_or_default();
    let node = &story.node;
    let (what, tail) = what_and_tail(story);
    let head = match story.outcome {
        Outcome::SelfHealed | Outcome::Fixed => story.fault.part_on(node),
        _ => node.clone(),
    };
    fit(&format!("[defib] {}: {head}", words::label(story)), &label, &what, &tail, SUBJECT_MAX)
}

/// What stands after the node and in brackets.
fn what_and_tail(story: &Story<'_>) -> (String, String) {
    let lasted = spoken(story.down_secs);
    let cause = story.cause.map(name).unwrap_or_default().to_owned();
    if story.report.kind == ReportKind::NeedsApproval {
        let what = story.waiting_remedy().map_or("remedy", words::noun);
        return (format!("{what}?"), cause);
    }
    match story.incident.ending() {
        Some(Ending::SelfHealed) => (String::new(), format!("by itself, {lasted}")),
        Some(Ending::Helped { remedy }) => match story.outcome {
            Outcome::Fixed => (String::new(), format!("{}, {lasted}", words::noun(*remedy))),
            Outcome::Replaced => ("by a new instance".to_owned(), lasted),
            _ => (format!("{}, healthy again", words::noun(*remedy)), lasted),
        },
        Some(Ending::DoesNotStart) => ("does not start".to_owned(), cause),
        Some(Ending::NotGivenBack) => (format!("still {}", story.held()), cause),
        Some(Ending::CauseNotOurs | Ending::LadderExhausted | Ending::Quarantined { .. } | Ending::TooLong) | None => {
            ("still broken".to_owned(), cause)
        }
        Some(Ending::Refused { refusal } | Ending::WaitedTooLong { refusal }) => {
            ("still broken".to_owned(), refusal.rail().replace('-', " "))
        }
        Some(Ending::Gone) => ("stopped or terminated".to_owned(), lasted),
        Some(Ending::SessionGaveUp) => ("session ended by its client".to_owned(), "node answers".to_owned()),
        Some(Ending::ScriptTimedOut) => ("script took too long".to_owned(), "node answers".to_owned()),
        Some(Ending::CommandRejected) => ("command rejected".to_owned(), "node not at fault".to_owned()),
        Some(Ending::WouldHave { remedy: Some(remedy) }) => (format!("would have {}", words::past(*remedy)), cause),
        Some(Ending::WouldHave { remedy: None }) => ("needs a person".to_owned(), cause),
        Some(Ending::ClosedBy { by, .. }) => (format!("by {}", redact::ascii(&redact::cut(by, 20))), lasted),
    }
}

/// Joins head, label, clause and bracket, shortening the label first, then dropping the bracket, then the clause.
fn fit(head: &str, label: &str, what: &str, tail: &str, most: usize) -> String {
    let joined = |label: &str, what: &str, tail: &str| {
        let mut text = head.to_owned();
        for part in [label, what].into_iter().filter(|part| !part.is_empty()) {
            text.push(' ');
            text.push_str(part);
        }
        if !tail.is_empty() {
            text.push_str(" (");
            text.push_str(tail);
            text.push(')');
        }
        text
    };
    let whole = joined(label, what, tail);
    if whole.len() <= most {
        return whole;
    }
    let without = joined("", what, tail);
    let room = most.saturating_sub(without.len()).saturating_sub(1);
    if room >= 8 {
        return joined(&redact::cut(label, room), what, tail);
    }
    [without, joined("", what, ""), head.to_owned()]
        .into_iter()
        .find(|text| text.len() <= most)
        .unwrap_or_else(|| redact::cut(head, most))
}

/// One text message: the subject without its mark, the cause and how to learn more.
pub(super) fn sms(story: &Story<'_>) -> String {
    let label = story.label().map(|label| redact::ascii(&label)).unwrap_or_default();
    let (what, tail) = what_and_tail(story);
    let head = format!("defib {}: {}", words::label(story), story.node);
    let what = if what.is_empty() { story.fault.back().to_owned() } else { what };
    fit(&head, &label, &what, &tail, SMS_MAX)
}
