//! What must be out of the way before one remedy on one node: sight, other work, sessions, the platform and the group.

use std::sync::Arc;

use jiff::Timestamp;

use super::{GroupRefusal, NoWay, Refusal, Sight, StopRefusal};
use crate::effect::Effect;
use crate::incident::{Holds, Incident, Remedy};
use crate::observe::{Blind, Busy, Depth, Fact, Health, Lifecycle, Observation, Platform, Standing, StopGates};
use crate::policy::{AddressRule, Policy, SessionsRule};
use crate::time::{after, secs_between};

/// Whether the node is old enough to be expected to answer.
///
/// # Errors
/// The refusal, with the age and the grace.
pub fn launch_grace(seen: &Observation, policy: &Policy, now: Timestamp) -> Result<(), Refusal> {
    planted!(NoLaunchGrace => return Ok(()));
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
    planted!(NoCooldown => return Ok(()));
    let last = incident.acted_at();
    #[cfg(feature = "plants")]
    let last = if crate::plants::on(crate::plants::Plant::CooldownOfOneIncident) {
        last.filter(|_| last != incident.acted_before)
    } else {
        last
    };
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
    planted!(NoSightGate => return Ok(()));
    planted!(UnknownIsDead => return Ok(()));
    seen_at_all(&seen.ec2, Sight::Ec2)?;
    seen_at_all(&seen.ssm, Sight::Ssm)?;
    // What the host answered just now says more than its connection, which then stays unread.
    let answered = seen.host_answered(seen.at);
    // Nor is it needed at no deeper look than this, where the host is asked next.
    let spared = |fact: Option<Blind>| seen.depth == Depth::Agents && fact == Some(Blind::NotRead);
    if let Some(ssm) = seen.ssm.known()
        && !spared(ssm.connection.blind())
        && !(answered && ssm.connection.blind() == Some(Blind::NotRead))
    {
        seen_at_all(&ssm.connection, Sight::Ssm)?;
    }
    seen_at_all(&seen.ecs, Sight::Ecs)?;
    seen_at_all(&seen.asg, Sight::Group)?;
    // Its size sets the budget, and its name is what the budget is counted by.
    seen_at_all(&seen.group, Sight::Group)?;
    // Whether its trouble is its own is judged by what it shares.
    seen_at_all(&seen.factors, Sight::Factors)?;
    if let Some(ssm) = seen.ssm.known() {
        seen_at_all(&ssm.tags, Sight::Ssm)?;
    }
    // A managed node has neither role nor console in this account.
    if seen.node.is_instance() {
        seen_at_all(&seen.identity, Sight::Identity)?;
        seen_at_all(&seen.network, Sight::Network)?;
        if !spared(seen.console.blind()) {
            seen_at_all(&seen.console, Sight::Console)?;
        }
    }
    Ok(())
}

/// Whether people are at work on the node whose sessions the remedy would cut.
///
/// # Errors
/// The refusal, with the number of sessions.
pub fn sessions(seen: &Observation, policy: &Policy, remedy: Remedy) -> Result<(), Refusal> {
    planted!(IgnoreSessions => return Ok(()));
    if !remedy.ends_sessions() {
        return Ok(());
    }
    match (policy.sessions, &seen.sessions) {
        (SessionsRule::Ignore | SessionsRule::Warn, _) | (SessionsRule::Wait, Fact::Absent) => Ok(()),
        (SessionsRule::Wait, Fact::Known(sessions)) if sessions.live == 0 => Ok(()),
        (SessionsRule::Wait, Fact::Known(sessions)) => {
            Err(Refusal::LiveSessions { count: sessions.live, who: Arc::clone(&sessions.who) })
        }
        (SessionsRule::Wait, Fact::Unknown(blind)) => Err(Refusal::CannotSee { what: Sight::Sessions, blind: *blind }),
    }
}

/// Whether somebody else's work runs: on an answering node any, on a silent one only its group's deployment.
///
/// # Errors
/// The refusal, naming the work.
pub fn other_work(seen: &Observation, health: Health) -> Result<(), Refusal> {
    planted!(IgnoreOtherWork => if !matches!(seen.busy, Fact::Known(Busy::Deployment)) { return Ok(()); });
    planted!(IgnoreRefresh => if matches!(seen.busy, Fact::Known(Busy::Deployment)) { return Ok(()); });
    match &seen.busy {
        Fact::Known(Busy::Idle) | Fact::Absent => Ok(()),
        Fact::Known(Busy::Deployment) => Err(Refusal::OtherWork { work: Busy::Deployment }),
        Fact::Known(work) if health.ssm == Standing::Well => Err(Refusal::OtherWork { work: *work }),
        Fact::Known(_) => Ok(()),
        Fact::Unknown(blind) => Err(Refusal::CannotSee { what: Sight::OtherWork, blind: *blind }),
    }
}

/// Whether nothing of an instance's own makes a stop and start impossible or harmful (facts/aws.md §4), whatever the policy says.
///
/// # Errors
/// The refusal, with the first reason.
pub fn stop(gates: StopGates) -> Result<(), Refusal> {
    let reasons = [
        (gates.instance_store_root, StopRefusal::InstanceStoreRoot),
        (gates.instance_store_data, StopRefusal::InstanceStoreData),
        (gates.spot, StopRefusal::Spot),
        (gates.stop_protected, StopRefusal::StopProtected),
        (gates.volume_key, StopRefusal::VolumeKey),
        (gates.stop_denied, StopRefusal::StopDenied),
        (gates.start_denied, StopRefusal::StartDenied),
    ];
    reasons.into_iter().find(|(stands, _)| *stands).map_or(Ok(()), |(_, why)| Err(Refusal::Stop { why }))
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
            planted!(IgnoreStopGates => return Ok(()));
            stop(ec2.stop)
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

/// Whether the policy lets a remedy change the node's public address. Members of an Auto Scaling group come and go with their addresses,
/// so nobody keeps theirs.
///
/// # Errors
/// The refusal.
pub fn address(seen: &Observation, policy: &Policy, remedy: Remedy) -> Result<(), Refusal> {
    let alone = matches!(seen.asg, Fact::Absent);
    let changes = seen.ec2.known().is_some_and(|ec2| ec2.stop.public_address_changes);
    match policy.address_change {
        AddressRule::Refuse if remedy == Remedy::StopStart && alone && changes => {
            Err(Refusal::Stop { why: StopRefusal::PublicAddress })
        }
        AddressRule::Allow | AddressRule::Refuse => Ok(()),
    }
}

/// Whether the Auto Scaling group lets the remedy happen now.
///
/// # Errors
/// The refusal, with the group's numbers.
pub fn group(seen: &Observation, remedy: Remedy, through_standby: bool) -> Result<(), Refusal> {
    planted!(IgnoreGroup => return Ok(()));
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

/// Whether the node must be moved to Standby before this remedy. What we asked for and the group does not show was lost, and a member in
/// service that is stopped is replaced by its group.
#[must_use]
pub fn needs_standby(seen: &Observation, remedy: Remedy, holds: Holds) -> bool {
    let in_service = seen.asg.known().is_some_and(|asg| asg.lifecycle == Lifecycle::InService);
    through_standby(seen, remedy) && (in_service || !holds.standby)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::{Attempt, AttemptResult, Symptom};
    use crate::observe::samples::{Seen, home, noon, seen, swept_ssm};

    type Hide = fn(&mut Observation, Blind);

    fn text<T>(result: Result<T, Refusal>) -> String {
        result.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    fn health(seen: &Seen) -> Health {
        Health::of(seen, noon())
    }

    #[test]
    fn a_young_node_has_its_grace() {
        let aged = |secs: i64| seen(noon()).with_ec2(|ec2| ec2.launched_at = after(noon(), -secs));
        let policy = Policy::default();
        let refusal = text(launch_grace(&aged(599), &policy, noon()));
        assert_eq!(refusal, "it was launched 9m59s ago, the launch grace is 10m00s");
        assert_eq!(launch_grace(&aged(600), &policy, noon()), Ok(()));
        assert_eq!(launch_grace(&seen(noon()).hybrid(), &policy, noon()), Ok(()));
    }

    #[test]
    fn the_cool_down_counts_from_what_was_last_sent() {
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        let mut incident = Incident::open(&home(), &seen(noon()), symptom, noon(), noon());
        assert_eq!(cooldown(&incident, &Policy::default(), noon()), Ok(()));
        for acted_at in [Some(noon()), None] {
            let (remedy, result) = (Remedy::Reboot, AttemptResult::Failed);
            incident.attempts.push(Attempt { remedy, at: noon(), acted_at, result });
        }
        let refusal = text(cooldown(&incident, &Policy::default(), after(noon(), 299)));
        assert_eq!(refusal, "the attempt before was too short a time ago, wait until 2026-11-20 12:05:00 UTC");
        assert_eq!(cooldown(&incident, &Policy::default(), after(noon(), 300)), Ok(()));
    }

    #[test]
    fn each_thing_that_must_be_seen_is_named_when_it_is_not() {
        let why = Blind::Throttled;
        let hidden: [(Hide, &str); 8] = [
            (|seen, why| seen.ec2 = Fact::Unknown(why), "the instance's state from EC2"),
            (|seen, why| seen.ssm = Fact::Unknown(why), "the node's state from Systems Manager"),
            (
                |seen, why| {
                    if let Fact::Known(ssm) = &mut seen.ssm {
                        ssm.connection = Fact::Unknown(why);
                    }
                },
                "the node's state from Systems Manager",
            ),
            (|seen, why| seen.ecs = Fact::Unknown(why), "the container instance from ECS"),
            (|seen, why| seen.asg = Fact::Unknown(why), "the Auto Scaling group"),
            (|seen, why| seen.identity = Fact::Unknown(why), "the instance's role"),
            (|seen, why| seen.network = Fact::Unknown(why), "the network path"),
            (|seen, why| seen.console = Fact::Unknown(why), "the console output"),
        ];
        assert_eq!(sight(&seen(noon()).in_cluster().in_group()), Ok(()));
        for (hide, what) in hidden {
            let refusal = text(sight(&seen(noon()).in_cluster().in_group().with(|seen| hide(seen, why))));
            assert_eq!(refusal, format!("could not read {what}: throttled"));
        }
        assert_eq!(sight(&seen(noon()).hybrid()), Ok(()), "a managed node has neither role nor console here");
    }

    #[test]
    fn live_sessions_are_waited_for_unless_the_policy_says_otherwise() {
        let policy = |sessions| Policy { sessions, ..Policy::default() };
        let two = seen(noon()).sessions(2);
        let wait = policy(SessionsRule::Wait);
        assert_eq!(text(sessions(&two, &wait, Remedy::Reboot)), "2 live Session Manager sessions would be cut");
        let one = text(sessions(&seen(noon()).sessions(1), &wait, Remedy::RestartSsmAgent));
        assert_eq!(one, "1 live Session Manager session would be cut");
        assert_eq!(sessions(&two, &wait, Remedy::RestartEcsAgent), Ok(()), "it cuts none");
        for rule in [SessionsRule::Warn, SessionsRule::Ignore] {
            assert_eq!(sessions(&two, &policy(rule), Remedy::Reboot), Ok(()));
        }
        let blind = seen(noon()).with(|seen| seen.sessions = Fact::Unknown(Blind::Denied));
        assert_eq!(text(sessions(&blind, &wait, Remedy::Reboot)), "could not read the live sessions: access denied");
    }

    #[test]
    fn a_record_keeps_who_is_at_work_and_an_older_one_had_no_names() {
        let named = Refusal::LiveSessions { count: 1, who: ["alice-0a1b2c".parse().unwrap()].into() };
        let stored = serde_json::to_value(&named).unwrap();
        let whole = serde_json::json!({ "rail": "live-sessions", "count": 1, "who": ["alice-0a1b2c"] });
        assert_eq!(stored, whole);
        assert_eq!(serde_json::from_value::<Refusal>(stored).unwrap(), named);
        let nameless = Refusal::LiveSessions { count: 1, who: Arc::default() };
        let old = serde_json::json!({ "rail": "live-sessions", "count": 1 });
        assert_eq!(serde_json::to_value(&nameless).unwrap(), old);
        assert_eq!(serde_json::from_value::<Refusal>(old).unwrap(), nameless);
    }

    #[test]
    fn the_work_of_others_is_named() {
        for (work, words) in [
            (Busy::Patching, "it is being patched"),
            (Busy::Automation, "an Automation runs on it"),
            (Busy::Command, "somebody's command runs on it"),
            (Busy::Deployment, "a deployment or instance refresh of its group runs"),
        ] {
            let answering = seen(noon()).busy(work);
            assert_eq!(text(other_work(&answering, health(&answering))), words);
            let silent = seen(noon()).ssm_silent().busy(work);
            let protects = work == Busy::Deployment;
            assert_eq!(other_work(&silent, health(&silent)).is_err(), protects, "{words}");
        }
        let blind = seen(noon()).with(|seen| seen.busy = Fact::Unknown(Blind::Empty));
        let refusal = text(other_work(&blind, health(&blind)));
        assert_eq!(refusal, "could not read whether other work runs on the node: the answer was empty");
    }

    #[test]
    fn each_remedy_needs_a_way_to_the_node() {
        let way = |seen: &Seen, remedy| text(way(seen, health(seen), remedy));
        let silent = seen(noon()).ssm_silent();
        assert_eq!(
            way(&silent, Remedy::RestartEcsAgent),
            "restart-ecs-agent needs Run Command, and the SSM agent does not answer"
        );
        let bottlerocket = seen(noon()).with_ssm(|ssm| ssm.platform = Platform::Bottlerocket);
        assert_eq!(way(&bottlerocket, Remedy::FreeDisk), "free-disk needs a shell on the host, and it has none");
        let hybrid = seen(noon()).hybrid();
        assert_eq!(way(&hybrid, Remedy::Reboot), "reboot needs the EC2 API, and this is not an EC2 instance");
        assert_eq!(way(&silent, Remedy::Replace), "replace needs an Auto Scaling group, and it is in none");
        for remedy in Remedy::ALL {
            assert_eq!(way(&seen(noon()).in_group(), remedy), "", "{remedy}");
        }
    }

    #[test]
    fn what_a_stop_would_destroy_is_not_stopped() {
        let stop = |change: fn(&mut crate::observe::StopGates)| {
            let seen = seen(noon()).with_ec2(|ec2| change(&mut ec2.stop));
            assert_eq!(way(&seen, health(&seen), Remedy::Reboot), Ok(()));
            text(way(&seen, health(&seen), Remedy::StopStart))
        };
        let root = "its root device is an instance store, so it cannot be stopped";
        assert_eq!(stop(|gates| gates.instance_store_root = true), root);
        assert_eq!(stop(|gates| gates.instance_store_data = true), "a stop would erase the data on its instance store");
        assert_eq!(stop(|gates| gates.spot = true), "it is a Spot instance, which cannot be stopped and started");
        assert_eq!(stop(|gates| gates.stop_protected = true), "stop protection (DisableApiStop) is on");
        assert_eq!(stop(|gates| gates.public_address_changes = true), "", "told in the report, not refused");
        assert_eq!(stop(|gates| gates.elastic_address = true), "", "it stays");
        assert!(stop(|gates| gates.volume_key = true).contains("VolumeKeyArns"));
        assert_eq!(stop(|gates| gates.stop_denied = true), "AWS would not let Defib stop it (DryRun)");
        assert_eq!(stop(|gates| gates.start_denied = true), "AWS would not let Defib start it again (DryRun)");
    }

    #[test]
    fn the_policy_may_keep_the_public_address_of_what_stands_alone() {
        let alone = seen(noon()).with_ec2(|ec2| ec2.stop.public_address_changes = true);
        let keeps = Policy { address_change: AddressRule::Refuse, ..Policy::default() };
        let words = "a stop would change its public address, which is not an Elastic IP";
        assert_eq!(text(address(&alone, &keeps, Remedy::StopStart)), words);
        assert_eq!(address(&alone, &keeps, Remedy::Reboot), Ok(()), "a reboot keeps it");
        assert_eq!(address(&alone, &Policy::default(), Remedy::StopStart), Ok(()));
        assert_eq!(address(&alone.in_group(), &keeps, Remedy::StopStart), Ok(()), "a member's address is nobody's");
        assert_eq!(address(&seen(noon()), &keeps, Remedy::StopStart), Ok(()), "it has none");
    }

    #[test]
    fn the_group_has_a_say_in_what_changes_it() {
        let asked = |seen: &Seen, remedy, standby| text(group(seen, remedy, standby));
        let suspended = seen(noon()).with_asg(|asg| asg.suspended = true);
        let words = "Launch or Terminate is suspended in its Auto Scaling group";
        assert_eq!(asked(&suspended, Remedy::Replace, false), words);
        assert_eq!(asked(&suspended, Remedy::Reboot, true), "");
        let refreshing = seen(noon()).with_asg(|asg| asg.refreshing = true);
        let words = "an instance refresh of its Auto Scaling group runs";
        assert_eq!(asked(&refreshing, Remedy::Replace, false), words);
        assert_eq!(asked(&refreshing, Remedy::StopStart, true), words);
        assert_eq!(asked(&refreshing, Remedy::Reboot, false), "");
        let full = seen(noon()).with_asg(|asg| (asg.desired, asg.min) = (4, 4));
        let words = "Standby would lower the group from 4 below its minimum of 4";
        assert_eq!(asked(&full, Remedy::StopStart, true), words);
        assert_eq!(asked(&full, Remedy::Replace, false), "");
        for lifecycle in [Lifecycle::Pending, Lifecycle::EnteringStandby, Lifecycle::Terminating, Lifecycle::Other] {
            let moving = seen(noon()).with_asg(|asg| asg.lifecycle = lifecycle);
            let words = "it is not in service in its Auto Scaling group";
            assert_eq!(asked(&moving, Remedy::Reboot, true), words);
        }
        assert_eq!(asked(&seen(noon()), Remedy::Replace, false), "", "it is in none");
    }

    #[test]
    fn a_stop_goes_through_standby_and_a_reboot_only_where_the_group_would_mind() {
        let member = |ec2_only| seen(noon()).with_asg(|asg| asg.ec2_health_only = ec2_only);
        let through = |seen: &Seen| Remedy::ALL.into_iter().filter(|r| through_standby(seen, *r)).collect::<Vec<_>>();
        assert_eq!(through(&member(false)), [Remedy::Reboot, Remedy::StopStart]);
        assert_eq!(through(&member(true)), [Remedy::StopStart]);
        assert_eq!(through(&seen(noon())), []);
    }
}
