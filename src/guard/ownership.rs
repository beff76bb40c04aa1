//! Whose node it is: opted in, opted out, muted, or somebody else's to repair.

use jiff::Timestamp;

use super::{Refusal, Resource};
use crate::incident::Remedy;
use crate::observe::{Fact, Observation, Tags};
use crate::policy::Mode;

/// Whether Defib may look after this node at all.
///
/// # Errors
/// The refusal, naming the resource whose tag is missing or speaks against it.
pub fn check(seen: &Observation) -> Result<(), Refusal> {
    if let Some(ec2) = seen.ec2.known() {
        if let Some(by) = ec2.manager {
            return Err(Refusal::ManagedElsewhere { by });
        }
        opted(&ec2.tags, Resource::Instance)?;
    } else if let Some(tags) = managed_tags(seen) {
        opted(tags, Resource::Instance)?;
    } else if !seen.node.is_instance() && matches!(seen.ssm, Fact::Absent) {
        // Nothing says that it was opted in.
        return Err(Refusal::NotOptedIn { resource: Resource::Instance });
    }
    let out = |tags: Option<&Tags>, resource| match tags.and_then(|tags| tags.mode) {
        Some(Mode::Off) => Err(Refusal::OptedOut { resource }),
        Some(Mode::Observe | Mode::Restart | Mode::Cycle | Mode::Replace) | None => Ok(()),
    };
    out(seen.asg.known().map(|asg| &asg.tags), Resource::Group)?;
    out(seen.ecs.known().map(|ecs| &ecs.cluster_tags), Resource::Cluster)
}

/// Whether everything that a remedy changes is opted in: IAM sees only the tag of the very resource.
///
/// # Errors
/// The refusal, naming the resource.
pub fn check_remedy(seen: &Observation, remedy: Remedy, through_standby: bool) -> Result<(), Refusal> {
    let group_changes = remedy == Remedy::Replace || through_standby;
    match seen.asg.known() {
        Some(asg) if group_changes => opted(&asg.tags, Resource::Group),
        Some(_) | None => Ok(()),
    }
}

/// The tags of a managed node, as far as they could be read; [`super::gates::sight`] sees to it that nothing is done without.
pub(super) fn managed_tags(seen: &Observation) -> Option<&Tags> {
    seen.ssm.known().and_then(|ssm| ssm.tags.known())
}

fn opted(tags: &Tags, resource: Resource) -> Result<(), Refusal> {
    if tags.mode == Some(Mode::Off) {
        Err(Refusal::OptedOut { resource })
    } else if tags.managed {
        Ok(())
    } else {
        Err(Refusal::NotOptedIn { resource })
    }
}

/// Whether the node is muted, by a tag or by an operator.
///
/// # Errors
/// The refusal, with the moment at which the later of the two ends.
pub fn check_mute(seen: &Observation, by_operator: Option<Timestamp>, now: Timestamp) -> Result<(), Refusal> {
    let tags = [
        seen.ec2.known().and_then(|ec2| ec2.tags.mute_until),
        managed_tags(seen).and_then(|tags| tags.mute_until),
        seen.asg.known().and_then(|asg| asg.tags.mute_until),
        seen.ecs.known().and_then(|ecs| ecs.cluster_tags.mute_until),
        by_operator,
    ];
    match tags.into_iter().flatten().max() {
        Some(until) if until > now => Err(Refusal::Muted { until }),
        Some(_) | None => Ok(()),
    }
}
