//! What a repair of a node would be, without beginning one: what `defib fix` shows before anybody approves it.
//!
//! It goes by the code that decides later, on one look and without a probe: the host may yet name another cause. What an approval
//! is bound to is therefore not this text but its [`PlanId`], and all that it names is looked at again before anything is done.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ladder::{self, Choice};
use super::{examine, operator};
use crate::diagnose::{Cause, diagnose};
use crate::engine::Context;
use crate::guard::{Refusal, gates, mode, ownership};
use crate::hash::fnv1a;
use crate::incident::{Incident, IncidentId, Remedy};
use crate::node::NodeId;
use crate::observe::{Health, Look, Observation, Standing};
use crate::policy::Mode;
use crate::ports::Loaded;

/// What a repair of a node would be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Preview {
    /// The node.
    pub node: NodeId,
    /// Its open incident.
    pub incident: Option<IncidentId>,
    /// How the node fares.
    pub health: Health,
    /// The mode that holds for it.
    pub mode: Mode,
    /// The likely cause.
    pub cause: Cause,
    /// How sure, in percent.
    pub confidence: u8,
    /// What else it could be.
    pub also: Vec<Cause>,
    /// The remedy that the operator asked for.
    pub asked: Option<Remedy>,
    /// Whether the host is asked first, by the read-only probe; what it says may change all the rest.
    pub probes_first: bool,
    /// The remedies that the cause calls for, in their order; none: nothing on the host removes it.
    pub rungs: Vec<Rung>,
    /// What stands in the way of the next one, or of any.
    pub refusal: Option<Refusal>,
}

/// One remedy of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rung {
    /// The remedy.
    pub remedy: Remedy,
    /// When its turn comes.
    pub turn: Turn,
}

/// When the turn of a remedy comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// First.
    Next,
    /// When those before it have not helped.
    Later,
    /// Passed over, for a later one is taken first.
    Skipped,
    /// Not while the mode and the policy are what they are.
    Forbidden,
    /// Never: it cannot be carried out on this node, was tried, or what it restarts is well.
    Never,
}

impl Turn {
    /// The name in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Later => "later",
            Self::Skipped => "skipped",
            Self::Forbidden => "forbidden",
            Self::Never => "never",
        }
    }
}

/// What an approval of a plan is bound to: the node, its mode, the cause, and the remedies with their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanId(u64);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that names no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the hash of a plan: it has sixteen hexadecimal digits")]
pub struct NoSuchPlan;

impl FromStr for PlanId {
    type Err = NoSuchPlan;

    fn from_str(text: &str) -> Result<Self, NoSuchPlan> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = if is_hex { u64::from_str_radix(text, 16).ok() } else { None };
        value.map(Self).ok_or(NoSuchPlan)
    }
}

impl Preview {
    /// The remedy whose turn is first.
    #[must_use]
    pub fn next(&self) -> Option<Remedy> {
        self.rungs.iter().find(|rung| rung.turn == Turn::Next).map(|rung| rung.remedy)
    }

    /// Whether there is nothing to repair.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.health.is_well()
    }

    /// What an approval is bound to. Numbers that change from one minute to the next are not part of it, and neither is an incident
    /// that opens meanwhile: the plan is the same.
    #[must_use]
    pub fn id(&self) -> PlanId {
        let mut text = vec![format!("{} {} {} {:?}", self.node, self.mode, self.cause, self.asked)];
        text.extend(self.rungs.iter().map(|rung| format!("{}={}", rung.remedy, rung.turn.as_str())));
        PlanId(fnv1a(text.join(" ").bytes()))
    }
}

/// The look that a preview needs.
#[must_use]
pub fn preview_look(incident: Option<&Incident>, context: &Context, now: Timestamp) -> Look {
    let calendar = context.policy_for(None, incident.map(|incident| &incident.place)).calendar.clone();
    Look { calendar, ..operator::fix_look(incident, now) }
}

/// What a repair would be, by what is seen now.
///
/// # Errors
/// Why there can be none: the words that a repair would be refused with.
pub fn preview(
    seen: &Observation,
    loaded: &Loaded,
    context: &Context,
    asked: Option<Remedy>,
    now: Timestamp,
) -> Result<Preview, String> {
    let policy = context.policy_for(Some(seen), loaded.incident.as_ref().map(|incident| &incident.place));
    let reach = mode::reach(seen, &policy);
    let health = Health::of(seen, now);
    let found = diagnose(seen, health, now);
    let mut preview = Preview {
        node: seen.node,
        incident: loaded.incident.as_ref().map(|incident| incident.id),
        health,
        mode: reach.mode,
        cause: found.cause,
        confidence: found.confidence,
        also: found.also.clone(),
        asked,
        probes_first: false,
        rungs: Vec::new(),
        refusal: None,
    };
    if health.is_well() {
        operator::known(seen)?;
        return Ok(preview);
    }
    let draft = operator::drafted(seen, loaded, &policy, context, (&Arc::from("preview"), asked), now)?;
    preview.probes_first = policy.may_probe(reach.mode)
        && seen.ssm.known().is_some()
        && matches!(health.ssm, Standing::Well | Standing::Suspect)
        && !examine::told_by_aws(&found, health);
    let choice = ladder::choose(&draft.next, seen, health, found.cause, (&policy, reach.mode));
    let next = match choice {
        Choice::Remedy(remedy) => Some(remedy),
        Choice::Wait(refusal) => {
            preview.refusal = Some(refusal);
            None
        }
        Choice::NotOurs | Choice::Exhausted | Choice::Look(_) => None,
    };
    let may = |remedy| mode::check(reach, remedy).and(mode::check_cause(&policy, found.cause, remedy)).is_ok();
    if let Some(asked) = asked.filter(|asked| next != Some(*asked)) {
        let instead = next.map_or_else(|| "none".to_owned(), |next| next.to_string());
        return Err(format!(
            "{asked} is not for {} on this node, or had its tries; without --remedy the next one is {instead}",
            found.cause
        ));
    }
    let can = |remedy| ladder::possible(&draft.next, seen, health, found.cause, &policy, remedy);
    preview.rungs = ladder::rungs(found.cause, health)
        .iter()
        .map(|&remedy| {
            let turn = match next {
                Some(next) if remedy == next => Turn::Next,
                Some(_) | None if !can(remedy) => Turn::Never,
                Some(next) if remedy < next => Turn::Skipped,
                Some(_) | None if !may(remedy) => Turn::Forbidden,
                Some(_) | None => Turn::Later,
            };
            Rung { remedy, turn }
        })
        .collect();
    if let Err(refusal) = ownership::check_mute(seen, loaded.rails.muted_until, now) {
        preview.refusal = Some(refusal);
    } else if let Some(remedy) = next {
        preview.refusal = mode::check(reach, remedy)
            .and_then(|()| mode::check_cause(&policy, found.cause, remedy))
            .and_then(|()| gates::launch_grace(seen, &policy, now))
            .and_then(|()| examine::rails_of_remedy(&draft, seen, health, &loaded.rails, remedy))
            .err();
    }
    Ok(preview)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_plan_reads_back_and_nothing_else_does() {
        let id = PlanId(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string(), "00abcdef01234567");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "abc", "00abcdef0123456g", "+0abcdef01234567", "00abcdef012345678"] {
            assert_eq!(text.parse::<PlanId>(), Err(NoSuchPlan), "{text}");
        }
    }
}
