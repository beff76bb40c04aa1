//! What an operator and the function say to each other: a request, and its answer. The command line writes the one and reads the
//! other, the function the other way round, and people may write requests by hand.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::diagnose::please;
use crate::event::Excerpt;
use crate::incident::{IncidentId, Remedy};
use crate::node::NodeId;
use crate::plan::Preview;
use crate::plan::preview::Turn;
use crate::policy::Mode;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Verb {
    /// Say what a repair of a node would be.
    Plan,
    /// Repair a node now.
    Fix,
    /// Approve the remedy that an incident waits with.
    Approve,
    /// Leave a node alone for a while.
    Mute,
    /// Look after it again.
    Unmute,
    /// End a node's quarantine.
    Clear,
    /// The kill switch.
    Pause,
    /// Release it.
    Resume,
    /// End an incident by hand.
    Close,
}

impl Verb {
    /// All of them, in the order in which people are told of them.
    pub const ALL: [Self; 9] = [
        Self::Plan,
        Self::Fix,
        Self::Approve,
        Self::Mute,
        Self::Unmute,
        Self::Clear,
        Self::Pause,
        Self::Resume,
        Self::Close,
    ];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Fix => "fix",
            Self::Approve => "approve",
            Self::Mute => "mute",
            Self::Unmute => "unmute",
            Self::Clear => "clear",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Close => "close",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<Verb> for &'static str {
    fn from(verb: Verb) -> Self {
        verb.as_str()
    }
}

/// A word that is none of the actions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such action: \"{0}\"; allowed are plan, fix, approve, mute, unmute, clear, pause, resume and close")]
pub struct NoSuchVerb(Excerpt);

impl FromStr for Verb {
    type Err = NoSuchVerb;

    fn from_str(text: &str) -> Result<Self, NoSuchVerb> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| NoSuchVerb(Excerpt::of(text)))
    }
}

impl TryFrom<String> for Verb {
    type Error = NoSuchVerb;

    fn try_from(text: String) -> Result<Self, NoSuchVerb> {
        text.parse()
    }
}

/// A request. A field that is not known may be a typing error in one that matters.
///
/// Ids, remedies and plans are text here, since people write them: the function reads them, and says in plain words what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// What.
    pub action: Verb,
    /// Who asks, as claimed.
    pub by: String,
    /// The incident that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The node that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// For how long, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_secs: Option<i64>,
    /// With which remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The plan that an approval is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

impl Asked {
    /// A request about nothing in particular.
    #[must_use]
    pub fn new(action: Verb, by: String) -> Self {
        Self { action, by, id: None, node: None, for_secs: None, remedy: None, plan: None }
    }

    /// The same about a node.
    #[must_use]
    pub fn about_node(self, node: NodeId) -> Self {
        Self { node: Some(node.to_string()), ..self }
    }

    /// The same about an incident.
    #[must_use]
    pub fn about_incident(self, id: IncidentId) -> Self {
        Self { id: Some(id.to_string()), ..self }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether what was asked for is done, or begun.
    pub ok: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// The incident that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident_id: Option<IncidentId>,
    /// The plan that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Planned>,
}

impl Answer {
    /// The answer to what is not done.
    #[must_use]
    pub fn refused(refusal: String) -> Self {
        Self { ok: false, refusal: Some(refusal), incident_id: None, plan: None }
    }
}

/// What a repair would be. What is not there is said to be `null`.
///
/// Causes are text, since a newer version may know more of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What an approval is bound to.
    pub hash: String,
    /// The node.
    pub node_id: NodeId,
    /// Its open incident.
    pub incident_id: Option<IncidentId>,
    /// There is nothing to repair.
    pub well: bool,
    /// The mode that holds for it.
    pub mode: Mode,
    /// The likely cause.
    pub cause: String,
    /// How sure, from 0 to 1.
    pub confidence: f64,
    /// What else it could be.
    pub also: Vec<String>,
    /// What a person is asked to do, to stand after "Please ".
    pub advice: Option<String>,
    /// Whether the host is asked first, by the read-only probe.
    pub probes_first: bool,
    /// The remedy whose turn is first.
    pub next: Option<Remedy>,
    /// All that the cause calls for, in their order.
    pub remedies: Vec<PlannedRemedy>,
    /// What stands in the way.
    pub refusal: Option<String>,
}

/// A remedy of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRemedy {
    /// Which.
    pub remedy: Remedy,
    /// When its turn comes.
    pub turn: Turn,
}

impl From<&Preview> for Planned {
    fn from(preview: &Preview) -> Self {
        let well = preview.is_well();
        let remedies = preview.rungs.iter().map(|rung| PlannedRemedy { remedy: rung.remedy, turn: rung.turn });
        Self {
            hash: preview.id().to_string(),
            node_id: preview.node,
            incident_id: preview.incident,
            well,
            mode: preview.mode,
            cause: preview.cause.to_string(),
            confidence: f64::from(preview.confidence) / 100.0,
            also: preview.also.iter().map(ToString::to_string).collect(),
            advice: (!well).then(|| please(preview.cause).to_owned()),
            probes_first: preview.probes_first,
            next: preview.next(),
            remedies: remedies.collect(),
            refusal: preview.refusal.as_ref().map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::diagnose::Cause;
    use crate::guard::Refusal;
    use crate::observe::{Health, Standing};
    use crate::plan::preview::Rung;

    #[test]
    fn every_action_has_one_word_and_the_refusal_names_them_all() {
        let refusal = "reboot".parse::<Verb>().unwrap_err().to_string();
        for verb in Verb::ALL {
            assert_eq!(verb.as_str().parse(), Ok(verb));
            assert_eq!(serde_json::to_value(verb).unwrap(), json!(verb.as_str()));
            assert!(refusal.contains(verb.as_str()), "{refusal} has no {verb}");
        }
        for wrong in ["", "Fix", "fix ", "reboot"] {
            assert!(serde_json::from_value::<Verb>(json!(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_request_is_written_without_what_it_does_not_say_and_read_back() {
        let node: NodeId = "i-0a1b2c3d4e5f60718".parse().unwrap();
        let mute = Asked { for_secs: Some(60), ..Asked::new(Verb::Mute, "me".to_owned()).about_node(node) };
        let written = serde_json::to_value(&mute).unwrap();
        assert_eq!(written, json!({"action": "mute", "by": "me", "node": "i-0a1b2c3d4e5f60718", "for_secs": 60}));
        assert_eq!(serde_json::from_value::<Asked>(written).unwrap(), mute);
        let id = IncidentId::new(jiff::Timestamp::UNIX_EPOCH, node);
        let close = serde_json::to_value(Asked::new(Verb::Close, "me".to_owned()).about_incident(id)).unwrap();
        assert_eq!(close, json!({"action": "close", "by": "me", "id": id.to_string()}));
    }

    fn preview(standing: Standing, refusal: Option<Refusal>) -> Preview {
        let health = Health { ssm: standing, ecs: standing, runtime: Standing::Well, platform: Standing::Well };
        Preview {
            node: "i-0a1b2c3d4e5f60718".parse().unwrap(),
            incident: None,
            health,
            mode: Mode::Cycle,
            cause: Cause::SsmAgentHung,
            confidence: 85,
            also: vec![Cause::Unknown],
            asked: None,
            probes_first: true,
            rungs: vec![Rung { remedy: Remedy::Reboot, turn: Turn::Next }],
            refusal,
        }
    }

    /// The names are those that programs read: `defib fix --json`.
    #[test]
    fn a_plan_is_written_with_nothing_left_out_and_read_back() {
        let ill = preview(Standing::Ill, Some(Refusal::Paused));
        let planned = Planned::from(&ill);
        let written = serde_json::to_value(&planned).unwrap();
        let expected = json!({
            "hash": ill.id().to_string(), "node_id": "i-0a1b2c3d4e5f60718", "incident_id": null, "well": false, "mode": "cycle",
            "cause": "ssm-agent.hung", "confidence": 0.85, "also": ["unknown"], "advice": please(Cause::SsmAgentHung),
            "probes_first": true, "next": "reboot", "remedies": [{"remedy": "reboot", "turn": "next"}],
            "refusal": Refusal::Paused.to_string(),
        });
        assert_eq!(written, expected);
        assert_eq!(serde_json::from_value::<Planned>(written).unwrap(), planned);
        let well = serde_json::to_value(Planned::from(&preview(Standing::Well, None))).unwrap();
        assert_eq!((&well["well"], &well["advice"], &well["refusal"]), (&json!(true), &Value::Null, &Value::Null));
    }

    #[test]
    fn an_answer_of_a_newer_version_is_read_as_far_as_this_one_knows_it() {
        let answer: Answer = serde_json::from_value(json!({"ok": true, "since": "now"})).unwrap();
        assert_eq!(answer, Answer { ok: true, refusal: None, incident_id: None, plan: None });
        assert_eq!(serde_json::to_value(&answer).unwrap(), json!({"ok": true}));
        assert!(
            serde_json::from_value::<Answer>(json!({"refusal": "paused"})).is_err(),
            "whether it is done is not said"
        );
    }
}
