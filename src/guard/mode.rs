//! How far Defib may go on a node: the stack's mode is a hard cap, tags on the node, its group and its cluster only lower it.

use super::{Refusal, Resource};
use crate::diagnose::Cause;
use crate::effect::Effect;
use crate::incident::Remedy;
use crate::observe::{Observation, Tags};
use crate::policy::{Mode, Policy};

/// The mode that holds for a node, and whose tag lowered it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reach {
    /// The mode.
    pub mode: Mode,
    /// Whose tag lowered it; none: the stack's own mode.
    pub lowered_by: Option<Resource>,
}

/// The mode that holds for the node that was seen.
#[must_use]
pub fn reach(seen: &Observation, policy: &Policy) -> Reach {
    let mut reach = Reach { mode: policy.mode, lowered_by: None };
    planted!(IgnoreModeTags => return reach);
    planted!(ActInObserve => if reach.mode == Mode::Observe { reach.mode = Mode::Replace; });
    let mut lower = |tags: Option<&Tags>, resource| {
        planted!(IgnoreOptOut => if tags.is_some_and(|tags| tags.mode == Some(Mode::Off)) { return; });
        if let Some(mode) = tags.and_then(|tags| tags.mode)
            && mode < reach.mode
        {
            reach = Reach { mode, lowered_by: Some(resource) };
        }
    };
    lower(seen.ec2.known().map(|ec2| &ec2.tags), Resource::Instance);
    lower(super::ownership::managed_tags(seen), Resource::Instance);
    planted!(IgnoreGroupTags => return reach);
    lower(seen.asg.known().map(|asg| &asg.tags), Resource::Group);
    lower(seen.ecs.known().map(|ecs| &ecs.cluster_tags), Resource::Cluster);
    reach
}

/// How far Defib may go on a node in the end: nobody's node is only observed, and in nobody's group nothing is replaced.
#[must_use]
pub fn allowed(seen: &Observation, policy: &Policy) -> Mode {
    let mode = reach(seen, policy).mode;
    if super::ownership::check(seen).is_err() {
        mode.min(Mode::Observe)
    } else if seen.asg.known().is_some_and(|asg| !asg.tags.managed) {
        // What changes the group needs the group's own tag.
        mode.min(Mode::Cycle)
    } else {
        mode
    }
}

/// Whether the mode reaches as far as a remedy.
///
/// # Errors
/// The refusal, with the mode and whose it is.
pub fn check(reach: Reach, remedy: Remedy) -> Result<(), Refusal> {
    planted!(BeyondTheMode => return Ok(()));
    if reach.mode >= least_mode(remedy) {
        Ok(())
    } else {
        Err(Refusal::ModeTooLow { remedy, mode: reach.mode, lowered_by: reach.lowered_by })
    }
}

/// Whether the policy lets a remedy be used against this cause.
///
/// # Errors
/// The refusal, with the strongest remedy that it allows.
pub fn check_cause(policy: &Policy, cause: Cause, remedy: Remedy) -> Result<(), Refusal> {
    planted!(IgnoreCauseTable => return Ok(()));
    match policy.highest_against(cause) {
        Some(highest) if !highest.reaches(remedy) => {
            Err(Refusal::CauseLimit { cause, remedy, highest: highest.remedy() })
        }
        Some(_) | None => Ok(()),
    }
}

/// The lowest mode that includes a remedy.
#[must_use]
pub fn least_mode(remedy: Remedy) -> Mode {
    Effect::of(remedy).least_mode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Fact;
    use crate::observe::samples::{noon, seen};

    #[test]
    fn a_group_without_its_tag_is_not_changed() {
        let policy = Policy::in_mode(Mode::Replace);
        let member = |managed| allowed(&seen(noon()).in_group().with_asg(|asg| asg.tags.managed = managed), &policy);
        assert_eq!((member(true), member(false)), (Mode::Replace, Mode::Cycle));
    }

    #[test]
    fn a_managed_node_s_tags_lower_the_mode() {
        let policy = Policy::in_mode(Mode::Replace);
        let tagged = seen(noon()).hybrid().with_ssm(|ssm| {
            ssm.tags = Fact::Known(Tags { managed: true, mode: Some(Mode::Restart), mute_until: None });
        });
        let lowered = Reach { mode: Mode::Restart, lowered_by: Some(Resource::Instance) };
        assert_eq!(reach(&tagged, &policy), lowered);
        assert_eq!(reach(&seen(noon()).hybrid(), &policy).mode, Mode::Replace);
    }

    #[test]
    fn each_mode_includes_the_one_before() {
        let allowed = |mode| {
            let reach = Reach { mode, lowered_by: None };
            Remedy::ALL.into_iter().filter(|&remedy| check(reach, remedy).is_ok()).count()
        };
        assert_eq!(Mode::ALL.map(allowed), [0, 0, 3, 6, 7]);
    }

    #[test]
    fn a_policy_ends_the_ladder_of_a_cause_early() {
        use crate::policy::places::{CauseRule, Highest};
        let rule = |highest| CauseRule { wait_secs: None, highest: Some(highest) };
        let mut policy = Policy::in_mode(Mode::Replace);
        policy.causes.insert(Cause::SsmAgentHung, rule(Highest::Remedy(Remedy::Reboot)));
        policy.causes.insert(Cause::HostDiskFull, rule(Highest::Nothing));
        assert_eq!(check_cause(&policy, Cause::SsmAgentHung, Remedy::Reboot), Ok(()));
        assert_eq!(check_cause(&policy, Cause::Unknown, Remedy::Replace), Ok(()));
        let told = |cause, remedy| check_cause(&policy, cause, remedy).unwrap_err().to_string();
        assert_eq!(
            told(Cause::SsmAgentHung, Remedy::StopStart),
            "the policy allows at most reboot against ssm-agent.hung, and stop-start would be next"
        );
        assert_eq!(
            told(Cause::HostDiskFull, Remedy::FreeDisk),
            "the policy allows no remedy against host.disk-full, and free-disk would be next"
        );
    }

    #[test]
    fn a_refusal_says_whose_mode_it_is() {
        let reach = Reach { mode: Mode::Restart, lowered_by: Some(Resource::Instance) };
        assert_eq!(
            check(reach, Remedy::Reboot).unwrap_err().to_string(),
            "the tag defib:mode=restart on the node allows at most an agent restart, and reboot would be next"
        );
    }
}
