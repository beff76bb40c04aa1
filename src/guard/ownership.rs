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
    planted!(IgnoreOptOut => return Ok(()));
    planted!(IgnoreGroupTags => return Ok(()));
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
        #[cfg(feature = "plants")]
        Some(_) if crate::plants::on(crate::plants::Plant::IgnoreGroupTags) => Ok(()),
        Some(asg) if group_changes => opted(&asg.tags, Resource::Group),
        Some(_) | None => Ok(()),
    }
}

/// The tags of a managed node, as far as they could be read; [`super::gates::sight`] sees to it that nothing is done without.
pub(super) fn managed_tags(seen: &Observation) -> Option<&Tags> {
    seen.ssm.known().and_then(|ssm| ssm.tags.known())
}

fn opted(tags: &Tags, resource: Resource) -> Result<(), Refusal> {
    planted!(IgnoreOptOut => if tags.managed { return Ok(()); });
    planted!(IgnoreOptIn => if tags.mode != Some(Mode::Off) { return Ok(()); });
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
    planted!(IgnoreMute => return Ok(()));
    let tags = [
        seen.ec2.known().and_then(|ec2| ec2.tags.mute_until),
        managed_tags(seen).and_then(|tags| tags.mute_until),
        seen.asg.known().and_then(|asg| asg.tags.mute_until),
        seen.ecs.known().and_then(|ecs| ecs.cluster_tags.mute_until),
        by_operator,
    ];
    #[cfg(feature = "plants")]
    let tags = if crate::plants::on(crate::plants::Plant::IgnoreGroupTags) {
        [tags[0], tags[1], None, None, by_operator]
    } else {
        tags
    };
    match tags.into_iter().flatten().max() {
        Some(until) if until > now => Err(Refusal::Muted { until }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::samples::{noon, seen};
    use crate::observe::{Blind, Fact, Manager};
    use crate::time::after;

    fn refusal<T>(result: Result<T, Refusal>) -> String {
        result.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    #[test]
    fn an_opted_in_node_may_be_looked_after() {
        assert_eq!(check(&seen(noon()).in_cluster().in_group()), Ok(()));
        assert_eq!(check(&seen(noon()).hybrid()), Ok(()), "its tags are those of Systems Manager");
    }

    #[test]
    fn a_node_without_the_tag_is_never_touched() {
        let text = refusal(check(&seen(noon()).untagged()));
        assert_eq!(text, "the node does not carry the tag defib:managed=true");
    }

    #[test]
    fn a_tag_on_any_of_the_three_opts_out() {
        let out = |seen: crate::observe::samples::Seen| refusal(check(&seen));
        assert_eq!(out(seen(noon()).mode_tag(Mode::Off)), "the node carries the tag defib:mode=off");
        let group = seen(noon()).with_asg(|asg| asg.tags.mode = Some(Mode::Off));
        assert_eq!(out(group), "its Auto Scaling group carries the tag defib:mode=off");
        let cluster = seen(noon()).with_ecs(|ecs| ecs.cluster_tags.mode = Some(Mode::Off));
        assert_eq!(out(cluster), "its cluster carries the tag defib:mode=off");
        assert_eq!(check(&seen(noon()).mode_tag(Mode::Observe)), Ok(()), "a lower mode is no opt-out");
    }

    #[test]
    fn whoever_else_repairs_it_is_named() {
        for (by, name) in [
            (Manager::Provider, "the AWS service that operates it"),
            (Manager::Eks, "Amazon EKS"),
            (Manager::Karpenter, "Karpenter"),
            (Manager::EcsManagedInstances, "ECS Managed Instances"),
        ] {
            let managed = seen(noon()).with_ec2(|ec2| ec2.manager = Some(by));
            assert_eq!(refusal(check(&managed)), format!("{name} repairs this instance"));
        }
    }

    #[test]
    fn what_changes_the_group_needs_the_tag_of_the_group() {
        let untagged = seen(noon()).with_asg(|asg| asg.tags.managed = false);
        let text = "its Auto Scaling group does not carry the tag defib:managed=true";
        assert_eq!(refusal(check_remedy(&untagged, Remedy::Replace, false)), text);
        assert_eq!(refusal(check_remedy(&untagged, Remedy::Reboot, true)), text);
        assert_eq!(check_remedy(&untagged, Remedy::Reboot, false), Ok(()));
        assert_eq!(check_remedy(&seen(noon()), Remedy::Reboot, true), Ok(()), "it is in no group");
    }

    #[test]
    fn the_latest_mute_counts_and_an_old_one_does_not() {
        let now = noon();
        let muted = |secs: [i64; 3], operator: Option<i64>| {
            let seen = seen(now)
                .with_ec2(|ec2| ec2.tags.mute_until = Some(after(now, secs[0])))
                .with_asg(|asg| asg.tags.mute_until = Some(after(now, secs[1])))
                .with_ecs(|ecs| ecs.cluster_tags.mute_until = Some(after(now, secs[2])));
            check_mute(&seen, operator.map(|secs| after(now, secs)), now)
        };
        assert_eq!(muted([-1, 0, -1], None), Ok(()));
        for (secs, operator) in [([600, 0, 0], None), ([0, 600, 0], None), ([0, 0, 600], None), ([1, 2, 3], Some(600))]
        {
            let text = refusal(muted(secs, operator));
            assert_eq!(text, "it is muted until 2026-11-20 12:10:00 UTC");
        }
    }

    #[test]
    fn a_node_outside_ec2_that_nobody_knows_was_not_opted_in() {
        let unknown = seen(noon()).hybrid().with(|seen| seen.ssm = Fact::Absent);
        assert_eq!(refusal(check(&unknown)), "the node does not carry the tag defib:managed=true");
        let instance =
            seen(noon()).with(|seen| (seen.ec2, seen.ssm) = (Fact::Unknown(Blind::Unavailable), Fact::Absent));
        assert_eq!(check(&instance), Ok(()), "an instance has its tags in EC2, unread as they are");
    }

    #[test]
    fn unread_tags_are_the_business_of_sight() {
        let blind = seen(noon()).with(|seen| seen.ec2 = Fact::Unknown(Blind::Denied));
        assert_eq!(check(&blind), Ok(()));
        assert!(crate::guard::gates::sight(&blind).is_err());
    }
}
