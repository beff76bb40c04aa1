//! A report in every form that a subscriber may want, ready to be published once.

use std::collections::BTreeMap;

use super::chat::{Envelope, envelope};
use super::email::email;
use super::limits::{Limits, WHOLE_MAX};
use super::machine::{Machine, machine};
use super::story::Story;
use super::subject::{sms, subject};
use super::{Report, words};
use crate::ports::ReportId;

/// The deployment that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackInfo<'a> {
    /// The stack's name.
    pub name: &'a str,
    /// The version of Defib that runs in it.
    pub version: &'a str,
}

/// A rendered report, with its form for machines: a [`Machine`], or a [`super::MachineDigest`].
#[derive(Debug, Clone, PartialEq)]
pub struct Message<M = Machine> {
    /// ASCII, at most 99 characters, no line break, the node's id whole.
    pub subject: String,
    /// Plain text, for `default` and `email`.
    pub email: String,
    /// For Slack and Teams, by `https`.
    pub chat: Envelope,
    /// For queues, functions and streams.
    pub machine: M,
    /// One text message.
    pub sms: String,
    /// Six message attributes for subscription filters, none empty.
    pub attributes: Vec<(&'static str, String)>,
}

/// Renders a report. Long stories are shortened until the whole message fits.
#[must_use]
pub fn render(report: &Report, id: &ReportId, stack: &StackInfo<'_>) -> Message {
    let story = Story::of(report);
    let [usual, shorter, shortest] = Limits::LADDER;
    for limits in [usual, shorter] {
        let message = render_within(&story, id, stack, limits);
        if message.sns_json().len() <= WHOLE_MAX {
            return message;
        }
    }
    render_within(&story, id, stack, shortest)
}

fn render_within(story: &Story<'_>, id: &ReportId, stack: &StackInfo<'_>, limits: Limits) -> Message {
    let place = &story.incident.place;
    Message {
        subject: subject(story),
        email: email(story, stack, limits),
        chat: envelope(story, id),
        machine: machine(story, id, limits),
        sms: sms(story),
        attributes: vec![
            ("outcome", story.outcome.as_str().to_owned()),
            ("severity", words::severity(story).as_str().to_owned()),
            ("fault", story.fault.as_str().to_owned()),
            ("cluster", story.cluster.unwrap_or("none").to_owned()),
            ("account", place.account.to_string()),
            ("region", place.region.to_string()),
        ],
    }
}

impl<M: serde::Serialize> Message<M> {
    /// The document for a publish with `MessageStructure=json`: one string for each protocol.
    #[must_use]
    pub fn sns_json(&self) -> String {
        let (chat, machine) = (json(&self.chat), json(&self.machine));
        let document: BTreeMap<&str, &str> = BTreeMap::from([
            ("default", self.email.as_str()),
            ("email", self.email.as_str()),
            ("https", chat.as_str()),
            ("sqs", machine.as_str()),
            ("lambda", machine.as_str()),
            ("firehose", machine.as_str()),
            ("email-json", machine.as_str()),
            ("sms", self.sms.as_str()),
        ]);
        json(&document)
    }
}

/// Our own types always serialize; should one ever not, an empty text is better than a lost report.
fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
