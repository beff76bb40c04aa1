//! An operator's request, from JSON.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::engine::{Action, OperatorRequest};
use crate::event::Excerpt;
use crate::incident::{IncidentId, NoSuchRemedy, Remedy};
use crate::node::{DisplayName, NodeId};
use crate::operator::{Asked, Verb};
use crate::ports::{MUTE_SECS, Switch};
use crate::time::after;

/// The request, or why it is refused.
pub(super) fn read(request: Value, now: Timestamp) -> Result<OperatorRequest, String> {
    let asked: Asked = serde_json::from_value(request).map_err(|error| plain(&error.to_string()))?;
    let by: DisplayName =
        asked.by.parse().map_err(|_| "by must name who asks, in at most 255 characters".to_owned())?;
    let action = asked.wanted(now)?;
    if asked.remedy.is_some() && !matches!(asked.action, Verb::Fix | Verb::Plan) {
        return Err(format!("remedy means nothing to {}", asked.action));
    }
    if asked.plan.is_some() && asked.action != Verb::Fix {
        return Err(format!("plan means nothing to {}", asked.action));
    }
    if asked.for_secs.is_some() && asked.action != Verb::Mute {
        return Err(format!("for_secs means nothing to {}", asked.action));
    }
    let plan = asked.plan.as_deref().map(str::parse).transpose();
    let plan = plan.map_err(|error: crate::plan::preview::NoSuchPlan| error.to_string())?;
    Ok(OperatorRequest { by: Arc::from(by.as_str()), action, at: now, plan })
}

impl Asked {
    fn wanted(&self, now: Timestamp) -> Result<Action, String> {
        Ok(match self.action {
            Verb::Fix => Action::Fix(self.its_node()?, self.its_remedy()?),
            Verb::Plan => Action::Preview(self.its_node()?, self.its_remedy()?),
            Verb::Approve => Action::Approve(self.its_incident()?),
            Verb::Close => Action::Close(self.its_incident()?),
            Verb::Mute => match self.for_secs {
                Some(secs) if MUTE_SECS.contains(&secs) => {
                    Action::Switch(Switch::Mute(self.its_node()?, after(now, secs)))
                }
                Some(_) | None => {
                    return Err(format!("mute needs for_secs, from {} to {}", MUTE_SECS.start(), MUTE_SECS.end()));
                }
            },
            Verb::Unmute => Action::Switch(Switch::Unmute(self.its_node()?)),
            Verb::Clear => Action::Switch(Switch::Clear(self.its_node()?)),
            Verb::Pause => Action::Switch(Switch::Pause),
            Verb::Resume => Action::Switch(Switch::Resume),
        })
    }

    fn its_remedy(&self) -> Result<Option<Remedy>, String> {
        let remedy = self.remedy.as_deref().map(str::parse).transpose();
        remedy.map_err(|error: NoSuchRemedy| error.to_string())
    }

    fn its_incident(&self) -> Result<IncidentId, String> {
        let id = self.id.as_deref().ok_or_else(|| format!("{} needs the id of an incident", self.action))?;
        id.parse().map_err(|_| format!("not an incident id: \"{}\"", Excerpt::long(id)))
    }

    /// The node, or that of the incident.
    fn its_node(&self) -> Result<NodeId, String> {
        match (&self.node, &self.id) {
            (Some(node), None) => node.parse().map_err(|_| format!("not a node id: \"{}\"", Excerpt::of(node))),
            (None, Some(_)) => self.its_incident().map(IncidentId::node),
            (Some(_), Some(_)) => Err(format!("{} takes a node or the id of an incident, not both", self.action)),
            (None, None) => Err(format!("{} needs a node", self.action)),
        }
    }
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
