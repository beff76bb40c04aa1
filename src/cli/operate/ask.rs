//! Requests that the function carries out, or refuses.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::{Global, Ui, exit, paint};
use super::{Asker, IncidentArgs, MuteArgs, NodeArgs, OnlyArgs, desk};
use crate::report::redact;
use crate::time;

pub(super) async fn about_incident(
    action: &str,
    args: &IncidentArgs,
    global: &Global,
    ui: &Ui,
) -> anyhow::Result<ExitCode> {
    submit(json!({ "action": action, "id": args.id.to_string() }), &args.asker, global, ui).await
}

pub(super) async fn about_node(action: &str, args: &NodeArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    submit(json!({ "action": action, "node": args.node.to_string() }), &args.asker, global, ui).await
}

pub(super) async fn mute(args: &MuteArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let request = json!({ "action": "mute", "node": args.node.to_string(), "for_secs": args.secs });
    submit(request, &args.asker, global, ui).await
}

pub(super) async fn about_all(action: &str, args: &OnlyArgs, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    submit(json!({ "action": action }), &args.asker, global, ui).await
}

async fn submit(mut request: Value, asker: &Asker, global: &Global, ui: &Ui) -> anyhow::Result<ExitCode> {
    let deployment = desk::deployment(&asker.which, global).await?;
    sign(&mut request, &desk::caller(asker, &deployment).await);
    let answer = deployment.ask(&request).await?;
    told(&request, &answer, ui)
}

/// Adds who asks.
pub(super) fn sign(request: &mut Value, by: &str) {
    if let Some(request) = request.as_object_mut() {
        request.insert("by".to_owned(), by.into());
    }
}

/// Prints the function's answer, and says by the exit code whether it did what was asked.
pub(super) fn told(request: &Value, answer: &Value, ui: &Ui) -> anyhow::Result<ExitCode> {
    if ui.is_json() {
        ui.object(answer)?;
    } else if let Some(refusal) = answer.get("refusal").and_then(Value::as_str) {
        ui.line(&format!("{0}refused{0:#} {1}", paint::WARN, redact::excerpt(refusal)))?;
    } else {
        ui.line(&done(request, answer))?;
    }
    let refused = answer.get("ok").and_then(Value::as_bool) != Some(true);
    Ok(if refused { ExitCode::from(exit::REFUSED) } else { ExitCode::SUCCESS })
}

/// What was done, in a line.
fn done(request: &Value, answer: &Value) -> String {
    let text = |from: &Value, field: &str| from.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (node, id) = (text(request, "node"), text(request, "id"));
    match text(request, "action").as_str() {
        "fix" => format!(
            "begun as {id}; it is examined first. Watch it with: defib show {id}",
            id = text(answer, "incident_id")
        ),
        "approve" => format!("approved {id}: the remedy that it waits with, for an hour"),
        "close" => format!("closed {id}"),
        "mute" => {
            let secs = request.get("for_secs").and_then(Value::as_i64).unwrap_or_default();
            format!("muted {node} for {}: it is left alone", time::spoken(secs))
        }
        "unmute" => format!("{node} is not muted any more"),
        "clear" => format!("cleared the quarantine of {node}; what was done to it before does not count any more"),
        "pause" => "paused: nothing new is begun; what was taken out of service is still given back".to_owned(),
        "resume" => "goes on".to_owned(),
        other => format!("done: {other}"),
    }
}
