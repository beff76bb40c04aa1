//! An operator's request, from JSON.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::diagnose::please;
use crate::engine::{Action, OperatorRequest};
use crate::event::Excerpt;
use crate::incident::{IncidentId, NoSuchRemedy, Remedy};
use crate::node::{DisplayName, NodeId};
use crate::plan::Preview;
use crate::ports::{MUTE_SECS, Switch};
use crate::time::after;

/// What an operator may send. A field that is not known may be a typing error in one that matters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    action: String,
    by: String,
    id: Option<String>,
    node: Option<String>,
    for_secs: Option<i64>,
    remedy: Option<String>,
    plan: Option<String>,
}

/// The request, or why it is refused.
pub(super) fn read(request: Value, now: Timestamp) -> Result<OperatorRequest, String> {
    let asked: Asked = serde_json::from_value(request).map_err(|error| plain(&error.to_string()))?;
    let by: DisplayName =
        asked.by.parse().map_err(|_| "by must name who asks, in at most 255 characters".to_owned())?;
    let action = asked.action()?;
    if asked.remedy.is_some() && !matches!(asked.action.as_str(), "fix" | "plan") {
        return Err(format!("remedy means nothing to {}", asked.action));
    }
    if asked.plan.is_some() && asked.action != "fix" {
        return Err(format!("plan means nothing to {}", asked.action));
    }
    if asked.for_secs.is_some() && asked.action != "mute" {
        return Err(format!("for_secs means nothing to {}", asked.action));
    }
    let action = match action {
        Wanted::Ready(action) => action,
        Wanted::Mute(node, secs) => Action::Switch(Switch::Mute(node, after(now, secs))),
    };
    let plan = asked.plan.as_deref().map(str::parse).transpose();
    let plan = plan.map_err(|error: crate::plan::preview::NoSuchPlan| error.to_string())?;
    Ok(OperatorRequest { by: Arc::from(by.as_str()), action, at: now, plan })
}

enum Wanted {
    Ready(Action),
    Mute(NodeId, i64),
}

impl Asked {
    fn action(&self) -> Result<Wanted, String> {
        let switch = |switch| Ok(Wanted::Ready(Action::Switch(switch)));
        match self.action.as_str() {
            "fix" => Ok(Wanted::Ready(Action::Fix(self.node()?, self.remedy()?))),
            "plan" => Ok(Wanted::Ready(Action::Preview(self.node()?, self.remedy()?))),
            "approve" => Ok(Wanted::Ready(Action::Approve(self.incident()?))),
            "close" => Ok(Wanted::Ready(Action::Close(self.incident()?))),
            "mute" => match self.for_secs {
                Some(secs) if MUTE_SECS.contains(&secs) => Ok(Wanted::Mute(self.node()?, secs)),
                _ => Err(format!("mute needs for_secs, from {} to {}", MUTE_SECS.start(), MUTE_SECS.end())),
            },
            "unmute" => switch(Switch::Unmute(self.node()?)),
            "clear" => switch(Switch::Clear(self.node()?)),
            "pause" => switch(Switch::Pause),
            "resume" => switch(Switch::Resume),
            other => Err(format!(
                "no such action: \"{}\"; allowed are plan, fix, approve, mute, unmute, clear, pause, resume and close",
                Excerpt::of(other)
            )),
        }
    }

    fn remedy(&self) -> Result<Option<Remedy>, String> {
        let remedy = self.remedy.as_deref().map(str::parse).transpose();
        remedy.map_err(|error: NoSuchRemedy| error.to_string())
    }

    fn incident(&self) -> Result<IncidentId, String> {
        let id = self.id.as_deref().ok_or_else(|| format!("{} needs the id of an incident", self.action))?;
        id.parse().map_err(|_| format!("not an incident id: \"{}\"", Excerpt::long(id)))
    }

    /// The node, or that of the incident.
    fn node(&self) -> Result<NodeId, String> {
        match (&self.node, &self.id) {
            (Some(node), None) => node.parse().map_err(|_| format!("not a node id: \"{}\"", Excerpt::of(node))),
            (None, Some(_)) => self.incident().map(IncidentId::node),
            (Some(_), Some(_)) => Err(format!("{} takes a node or the id of an incident, not both", self.action)),
            (None, None) => Err(format!("{} needs a node", self.action)),
        }
    }
}

/// What a repair would be, for the command line and for programs.
pub(super) fn told(preview: &Preview) -> Value {
    let rungs: Vec<Value> = preview
        .rungs
        .iter()
        .map(|rung| json!({ "remedy": rung.remedy.as_str(), "turn": rung.turn.as_str() }))
        .collect();
    json!({
        "hash": preview.id().to_string(),
        "node_id": preview.node.to_string(),
        "incident_id": preview.incident.map(|id| id.to_string()),
        "well": preview.is_well(),
        "mode": preview.mode.as_str(),
        "cause": preview.cause.to_string(),
        "confidence": f64::from(preview.confidence) / 100.0,
        "also": preview.also.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "advice": if preview.is_well() { None } else { Some(please(preview.cause)) },
        "probes_first": preview.probes_first,
        "next": preview.next().map(Remedy::as_str),
        "remedies": rungs,
        "refusal": preview.refusal.as_ref().map(ToString::to_string),
    })
}

/// A text of a library that may repeat what came from outside.
fn plain(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NODE: &str = "i-0a1b2c3d4e5f60718";
    const INCIDENT: &str = "inc-20261120T140211Z-i-0a1b2c3d4e5f60718";

    fn action(request: Value) -> Result<Action, String> {
        read(request, Timestamp::UNIX_EPOCH).map(|request| request.action)
    }

    #[test]
    fn each_action_is_understood() {
        let (node, id): (NodeId, IncidentId) = (NODE.parse().unwrap(), INCIDENT.parse().unwrap());
        let until = after(Timestamp::UNIX_EPOCH, 3_600);
        for (request, wanted) in [
            (json!({"action":"fix","node":NODE,"by":"me"}), Action::Fix(node, None)),
            (
                json!({"action":"fix","id":INCIDENT,"by":"me","remedy":"reboot"}),
                Action::Fix(node, Some(crate::incident::Remedy::Reboot)),
            ),
            (json!({"action":"approve","id":INCIDENT,"by":"me"}), Action::Approve(id)),
            (json!({"action":"close","id":INCIDENT,"by":"me"}), Action::Close(id)),
            (json!({"action":"mute","node":NODE,"by":"me","for_secs":3600}), Action::Switch(Switch::Mute(node, until))),
            (json!({"action":"unmute","node":NODE,"by":"me"}), Action::Switch(Switch::Unmute(node))),
            (json!({"action":"clear","id":INCIDENT,"by":"me"}), Action::Switch(Switch::Clear(node))),
            (json!({"action":"pause","by":"me"}), Action::Switch(Switch::Pause)),
            (json!({"action":"resume","by":"me"}), Action::Switch(Switch::Resume)),
        ] {
            assert_eq!(action(request), Ok(wanted));
        }
    }

    #[test]
    fn a_refused_request_says_what_is_allowed() {
        for (request, told) in [
            (
                json!({"action":"reboot","by":"me"}),
                "allowed are plan, fix, approve, mute, unmute, clear, pause, resume and close",
            ),
            (json!({"action":"fix","node":NODE}), "missing field `by`"),
            (json!({"action":"fix","by":" ","node":NODE}), "by must name who asks"),
            (json!({"action":"fix","by":"me"}), "fix needs a node"),
            (json!({"action":"fix","by":"me","node":NODE,"id":INCIDENT}), "not both"),
            (json!({"action":"fix","by":"me","node":NODE,"remedi":"reboot"}), "unknown field `remedi`"),
            (json!({"action":"fix","by":"me","node":NODE,"remedy":"prayer"}), "allowed are free-disk"),
            (json!({"action":"fix","by":"me","node":NODE,"plan":"5b1"}), "not the hash of a plan"),
            (
                json!({"action":"close","by":"me","id":INCIDENT,"plan":"0000000000000001"}),
                "plan means nothing to close",
            ),
            (json!({"action":"approve","by":"me","node":NODE}), "approve needs the id of an incident"),
            (json!({"action":"mute","by":"me","node":NODE}), "mute needs for_secs, from 60 to 7776000"),
            (json!({"action":"pause","by":"me","for_secs":60}), "for_secs means nothing to pause"),
            (json!("fix"), "invalid type"),
        ] {
            let refusal = action(request).unwrap_err();
            assert!(refusal.contains(told), "{refusal}");
        }
    }
}
