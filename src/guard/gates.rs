//! What must be out of the way before one remedy on one node: sight, other work, sessions, the platform and the group.

use jiff::Timestamp;

use super::{GroupRefusal, NoWay, Refusal, Sight, StopRefusal};
use crate::effect::Effect;
use crate::incident::{Incident, Remedy};
use crate::observe::{Busy, Fact, Health, Lifecycle, Observation, Platform, Standing};
use crate::policy::{Policy, SessionsRule};
use crate::time::{after, secs_between};

/// Whether the node is old enough to be expected to answer.
///
/// # Errors
/// The refusal, with the age and the grace.
pub fn launch_grace(seen: &Observation, policy: &Policy, now: Timestamp) -> Result<(), Refusal> {
    let Some(ec2) = seen.ec2.known() else { return Ok(()) };
    let age_secs = secs_between(ec2.launched_at, now);
    if age_secs >= policy.launch_grace_secs {
        Ok(())
    } else {
        Err(Refusal::LaunchGrace { age_secs, grace_secs: policy.launch_grace_secs })
    }
}

/// Whether enough time has passed since the attempt before.
///
/// # Errors
/// The refusal, with the moment at which it has.
pub fn cooldown(incident: &Incident, policy: &Policy, now: Timestamp) -> Result<(), Refusal> {
    let last = incident.attempts.iter().rev().find_map(|attempt| attempt.acted_at);
    match last.map(|at| after(at, policy.cooldown_secs)) {
        Some(until) if until > now => Err(Refusal::Cooldown { until }),
        Some(_) | None => Ok(()),
    }
}

/// Whether everything is seen that must be before the way to a cause can be trusted. Unknown is not bad, and not good.
///
/// # Errors
/// The first thing that is not seen, and why.
pub fn sight(seen: &Observation) -> Result<(), Refusal> {
    fn seen_at_all<T>(fact: &Fact<T>, what: Sight) -> Result<(), Refusal> {
        fact.blind().map_or(Ok(()), |blind| Err(Refusal::CannotSee { what, blind }))
    }
    seen_at_all(&seen.ec2, Sight::Ec2)?;
    seen_at_all(&seen.ssm, Sight::Ssm)?;
    if let Some(ssm) = seen.ssm.known() {
        seen_at_all(&ssm.connection, Sight::Ssm)?;
    }
    seen_at_all(&seen.ecs, Sight::Ecs)?;
    seen_at_all(&seen.asg, Sight::Group)?;
    // Its size sets the budget, and its name is what the budget is counted by.
    seen_at_all(&seen.group, Sight::Group)?;
    if let Some(ssm) = seen.ssm.known() {
        seen_at_all(&ssm.tags, Sight::Ssm)?;
    }
    // A managed node has neither role nor console in this account.
    if seen.node.is_instance() {
        seen_at_all(&seen.identity, Sight::Identity)?;
        seen_at_all(&seen.network, Sight::Network)?;
        seen_at_all(&seen.console, Sight::Console)?;
    }
    Ok(())
}

/// Whether people are at work on the node whose sessions the remedy would cut.
///
/// # Errors
/// The refusal, with the number of sessions.
pub fn sessions(seen: &Observation, policy: &Policy, remedy: Remedy) -> Result<(), Refusal> {
    if !remedy.ends_sessions() {
        return Ok(());
    }
    match (policy.sessions, &seen.sessions) {
        (SessionsRule::Ignore | SessionsRule::Warn, _) | (SessionsRule::Wait, Fact::Absent | Fact::Known(0)) => Ok(()),
        (SessionsRule::Wait, Fact::Known(count)) => Err(Refusal::LiveSessions { count: *count }),
        (SessionsRule::Wait, Fact::Unknown(blind)) => Err(Refusal::CannotSee { what: Sight::Sessions, blind: *blind }),
    }
}

/// Whether somebody else's work runs: on an answering node any, on a silent one only its group's deployment.
///
/// # Errors
/// The refusal, naming the work.
pub fn other_work(seen: &Observation, health: Health) -> Result<(), Refusal> {
    match &seen.busy {
        Fact::Known(Busy::Idle) | Fact::Absent => Ok(()),
        Fact::Known(Busy::Deployment) => Err(Refusal::OtherWork { work: Busy::Deployment }),
        Fact::Known(work) if health.ssm == Standing::Well => Err(Refusal::OtherWork { work: *work }),
        Fact::Known(_) => Ok(()),
        Fact::Unknown(blind) => Err(Refusal::CannotSee { what: Sight::OtherWork, blind: *blind }),
    }
}

/// Whether a remedy can be carried out on this kind of node at all, as it answers now.
///
/// # Errors
/// The refusal, with the reason.
pub fn way(seen: &Observation, health: Health, remedy: Remedy) -> Result<(), Refusal> {
    let no_way = |why| Err(Refusal::NoWay { remedy, why });
    if Effect::of(remedy).needs_ssm() {
        if health.ssm != Standing::Well {
            return no_way(NoWay::SsmSilent);
        }
        if seen.ssm.known().is_some_and(|ssm| ssm.platform == Platform::Bottlerocket) {
            return no_way(NoWay::NoShell);
        }
        return Ok(());
    }
    let Some(ec2) = seen.ec2.known() else { return no_way(NoWay::NotEc2) };
    match remedy {
        Remedy::StopStart => {
            let stop = |why| Err(Refusal::Stop { why });
            let gates = ec2.stop;
            if gates.instance_store_root {
                stop(StopRefusal::InstanceStoreRoot)
            } else if gates.instance_store_data {
                stop(StopRefusal::InstanceStoreData)
            } else if gates.spot {
                stop(StopRefusal::Spot)
            } else if gates.stop_protected {
                stop(StopRefusal::StopProtected)
            } else {
                Ok(())
            }
        }
        Remedy::Replace => match &seen.asg {
            Fact::Known(_) => Ok(()),
            Fact::Absent | Fact::Unknown(_) => no_way(NoWay::NoGroup),
        },
        Remedy::Reboot
        | Remedy::FreeDisk
        | Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime => Ok(()),
    }
}

/// Whether the Auto Scaling group lets the remedy happen now.
///
/// # Errors
/// The refusal, with the group's numbers.
pub fn group(seen: &Observation, remedy: Remedy, through_standby: bool) -> Result<(), Refusal> {
    let Some(asg) = seen.asg.known() else { return Ok(()) };
    let refuse = |why| Err(Refusal::Group { why });
    if remedy == Remedy::Replace && asg.suspended {
        return refuse(GroupRefusal::Suspended);
    }
    if (remedy == Remedy::Replace || through_standby) && asg.refreshing {
        return refuse(GroupRefusal::Refreshing);
    }
    match asg.lifecycle {
        Lifecycle::InService if through_standby && asg.desired <= asg.min => {
            refuse(GroupRefusal::BelowMinimum { desired: asg.desired, min: asg.min })
        }
        Lifecycle::InService | Lifecycle::Standby => Ok(()),
        Lifecycle::Pending | Lifecycle::EnteringStandby | Lifecycle::Terminating | Lifecycle::Other => {
            refuse(GroupRefusal::NotInService)
        }
    }
}

/// Whether a remedy on this node goes through Standby: a stop always, a reboot unless only EC2 watches the group's health.
#[must_use]
pub fn through_standby(seen: &Observation, remedy: Remedy) -> bool {
    let Some(asg) = seen.asg.known() else { return false };
    match remedy {
        Remedy::StopStart => true,
        Remedy::Reboot => !asg.ec2_health_only,
        Remedy::FreeDisk
        | Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime
        | Remedy::Replace => false,
    }
}
