//! Requests that the function carries out, or refuses.

use std::process::ExitCode;

use super::super::{Global, Ui, exit, paint};
use super::{Asker, IncidentArgs, MuteArgs, NodeArgs, OnlyArgs, desk};
use crate::operator::{Answer, Asked, Verb};
use crate::report::redact;
use crate::time;

pub(super) async fn about_incident(
    verb: Verb,
    args: &IncidentArgs,
    global: &Global,
    ui: &Ui,
) -> anyhow::Result<ExitCode> {
    submit(verb, |asked| asked.about_incident(args.id), &args.asker, global, ui).await
}

pub(super) async fn about_node(verb: Verb, args: &NodeArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    submit(verb, |asked| asked.about_node(args.node), &args.asker, global, ui).await
}

pub(super) async fn mute(args: &MuteArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let about = |asked: Asked| Asked { for_secs: Some(args.secs), ..asked.about_node(args.node) };
    submit(Verb::Mute, about, &args.asker, global, ui).await
}

pub(super) async fn about_all(verb: Verb, args: &OnlyArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    submit(verb, |asked| asked, &args.asker, global, ui).await
}

async fn submit(
    verb: Verb,
    about: impl FnOnce(Asked) -> Asked,
    asker: &Asker,
    global: &Global,
    ui: &Ui,
) -> anyhow::Result<ExitCode> {
    let deployment = desk::deployment(&asker.which, global).await?;
    let request = about(Asked::new(verb, desk::caller(asker, &deployment).await));
    let answer = deployment.ask(&request).await?;
    told(&request, &answer, ui)
}

/// Prints the function's answer, and says by the exit code whether it did what was asked.
pub(super) fn told(asked: &Asked, answer: &Answer, ui: &Ui) -> anyhow::Result<ExitCode> {
    if ui.is_json() {
        ui.object(answer)?;
    } else if let Some(refusal) = &answer.refusal {
        ui.line(&format!("{0}refused{0:#} {1}", paint::WARN, redact::excerpt(refusal)))?;
    } else {
        ui.line(&done(asked, answer))?;
    }
    Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// What was done, in a line.
fn done(asked: &Asked, answer: &Answer) -> String {
    let (node, id) = (asked.node.as_deref().unwrap_or_default(), asked.id.as_deref().unwrap_or_default());
    match asked.action {
        Verb::Fix => {
            let id = answer.incident_id.map(|id| id.to_string()).unwrap_or_default();
            format!("begun as {id}; it is examined first. Watch it with: defib show {id}")
        }
        Verb::Plan => format!("looked at {node}"),
        Verb::Approve => format!("approved {id}: the remedy that it waits with, for an hour"),
        Verb::Close => format!("closed {id}"),
        Verb::Mute => {
            format!("muted {node} for {}: it is left alone", time::spoken(asked.for_secs.unwrap_or_default()))
        }
        Verb::Unmute => format!("{node} is not muted any more"),
        Verb::Clear => format!("cleared the quarantine of {node}; what was done to it before does not count any more"),
        Verb::Pause => "paused: nothing new is begun; what was taken out of service is still given back".to_owned(),
        Verb::Resume => "goes on".to_owned(),
    }
}
