//! The ladder: the whole table, and what mode, platform and group make of it.

use super::ladder::rungs;
use super::*;
use crate::diagnose::Family;
use crate::guard::GroupRefusal;
use crate::incident::Ask;
use crate::observe::{Health, HostRefusal, Platform, Standing};
use crate::policy::SessionsRule;

fn health(ssm: Standing, ecs: Standing) -> Health {
    Health { ssm, ecs, runtime: Standing::NotPresent, platform: Standing::Well }
}

#[test]
fn the_whole_table_is_this() {
    let silent = health(Standing::Ill, Standing::Ill);
    let words = |rungs: &[Remedy]| rungs.iter().map(|rung| rung.as_str()).collect::<Vec<_>>().join(", ");
    let mut table: Vec<String> = Cause::ALL
        .iter()
        .filter(|cause| **cause != Cause::Unknown)
        .map(|cause| format!("{cause}: {}", words(rungs(*cause, silent))))
        .collect();
    for (ssm, ecs) in [
        (Standing::Well, Standing::Ill),
        (Standing::Well, Standing::Well),
        (Standing::Ill, Standing::Well),
        (Standing::Ill, Standing::Ill),
        (Standing::Suspect, Standing::NotPresent),
    ] {
        let row = words(rungs(Cause::Unknown, health(ssm, ecs)));
        table.push(format!("unknown, SSM {ssm:?}, ECS {ecs:?}: {row}"));
    }
    insta::assert_snapshot!("ladder", table.join("\n"));
}

#[test]
fn the_table_asks_for_ever_stronger_remedies_each_once() {
    for &cause in Cause::ALL {
        for ssm in [Standing::Well, Standing::Ill] {
            let rungs = rungs(cause, health(ssm, Standing::Ill));
            assert!(rungs.is_sorted() && rungs.windows(2).all(|pair| pair[0] != pair[1]), "{cause}: {rungs:?}");
        }
    }
}

#[test]
fn role_network_and_clock_have_no_remedy() {
    for &cause in Cause::ALL {
        if matches!(cause.family(), Family::Identity | Family::Network | Family::Clock | Family::Elsewhere) {
            assert_eq!(rungs(cause, health(Standing::Ill, Standing::Ill)), [], "{cause}");
        }
    }
}

/// A cause without a rung, whatever shows it, in every mode, with any agent silent, never leads to a remedy.
#[test]
fn a_cause_without_a_rung_is_told_and_never_treated() {
    // Of a node that is ill, a client that gave up its session is no cause (diagnose/rank.rs).
    let none = [Cause::Healthy, Cause::SessionClientGaveUp];
    let empty = Cause::ALL
        .iter()
        .filter(|cause| rungs(**cause, health(Standing::Ill, Standing::Ill)).is_empty() && !none.contains(cause));
    for &cause in empty {
        for mode in Mode::ALL {
            for kind in [command_trouble(), ecs_disconnect()] {
                let case = told(kind).mode(mode).patient();
                let shown_by_console = case.plan(|seen| dead(seen).in_cluster().ecs_lost().console_says(cause));
                let shown_by_host = case.plan(|seen| seen.ecs_lost().host_says(&[cause]));
                for plan in [shown_by_console, shown_by_host] {
                    assert_eq!(effect(&plan), None, "{cause} in mode {mode}");
                    assert_eq!(plan.permits, Permits::Keep);
                }
            }
        }
    }
}

#[test]
fn a_missing_role_asks_for_a_person_and_names_the_cause() {
    let case = silent().patient().look(|seen| dead(seen).profile_missing());
    assert_eq!((case.effect(), case.outcome()), (None, Some(Outcome::NeedsHuman)));
    assert_eq!(case.incident.ending(), Some(&Ending::CauseNotOurs));
    assert_eq!(case.incident.diagnosis.as_ref().unwrap().cause, Cause::IdentityNoInstanceProfile);
    assert_eq!(case.reports(), [ReportKind::NeedsHuman]);
}

#[test]
fn each_mode_goes_as_far_as_it_may_on_a_dead_node() {
    let outcome = |mode| {
        let plan = silent().mode(mode).patient().plan(dead);
        (effect(&plan), plan.next.ending().map(ToOwned::to_owned))
    };
    let too_low =
        |mode| Ending::Refused { refusal: Refusal::ModeTooLow { remedy: Remedy::Reboot, mode, lowered_by: None } };
    assert_eq!(outcome(Mode::Off), (None, Some(too_low(Mode::Off))));
    assert_eq!(outcome(Mode::Observe), (None, Some(Ending::WouldHave { remedy: Some(Remedy::Reboot) })));
    assert_eq!(outcome(Mode::Restart), (None, Some(too_low(Mode::Restart))));
    assert_eq!(outcome(Mode::Cycle), (Some(Effect::Reboot), None));
    assert_eq!(outcome(Mode::Replace), (Some(Effect::Reboot), None));
}

#[test]
fn the_policy_may_end_the_ladder_of_a_cause_early() {
    use crate::policy::places::{CauseRule, Highest};
    let ending = |mode, highest| {
        let mut case = silent().mode(mode).patient();
        case.policy.causes.insert(Cause::Unknown, CauseRule { wait_secs: None, highest: Some(highest) });
        let plan = case.plan(dead);
        (effect(&plan), plan.next.ending().map(ToOwned::to_owned))
    };
    let limit = |highest| Ending::Refused {
        refusal: Refusal::CauseLimit { cause: Cause::Unknown, remedy: Remedy::Reboot, highest },
    };
    assert_eq!(ending(Mode::Replace, Highest::Nothing), (None, Some(limit(None))));
    let agents = Remedy::RestartEcsAgent;
    assert_eq!(ending(Mode::Replace, Highest::Remedy(agents)), (None, Some(limit(Some(agents)))));
    assert_eq!(ending(Mode::Replace, Highest::Remedy(Remedy::Reboot)), (Some(Effect::Reboot), None));
    // Nobody is told of a remedy that would not have been taken.
    assert_eq!(ending(Mode::Observe, Highest::Nothing), (None, Some(Ending::WouldHave { remedy: None })));
}

#[test]
fn a_tag_lowers_the_mode_and_never_raises_it() {
    let lowered = silent().patient().look(|seen| dead(seen).mode_tag(Mode::Restart));
    assert_eq!(lowered.outcome(), Some(Outcome::Blocked));
    let raised = silent().mode(Mode::Restart).patient().look(|seen| dead(seen).mode_tag(Mode::Replace));
    assert_eq!((raised.effect(), raised.outcome()), (None, Some(Outcome::Blocked)));
}

#[test]
fn observe_sends_not_even_a_probe_unless_it_may() {
    let case = silent().mode(Mode::Observe).patient();
    assert_eq!(effect(&case.plan(Seen::ssm_doubtful)), None);
    let allowed = case.policy(|policy| policy.allow_probes = true);
    assert_eq!(effect(&allowed.plan(Seen::ssm_doubtful)), Some(Effect::Probe));
}

#[test]
fn failing_hardware_is_left_by_a_stop_and_start_and_never_by_a_reboot() {
    let hardware = |seen: Seen| dead(seen).hardware_failing();
    assert_eq!(effect(&silent().patient().plan(hardware)), Some(Effect::Stop));
    let spot = |seen: Seen| hardware(seen).in_group().with_ec2(|ec2| ec2.stop.spot = true);
    assert_eq!(effect(&silent().patient().plan(spot)), Some(Effect::Terminate));
    let alone = silent().patient().look(|seen| hardware(seen).with_ec2(|ec2| ec2.stop.spot = true));
    let refusal = Refusal::Stop { why: crate::guard::StopRefusal::Spot };
    assert_eq!(alone.incident.ending(), Some(&Ending::Refused { refusal }), "and people read why");
}

#[test]
fn a_reboot_that_failed_is_not_repeated_and_nothing_gentler_is_gone_back_to() {
    let case = silent().patient();
    let failed = remedy_tried(Remedy::Reboot, after(case.now, -1_000), AttemptResult::Failed);
    let case = case.with(|incident| incident.attempts.push(failed));
    assert_eq!(case.clone().look(dead).incident.ending(), Some(&Ending::LadderExhausted));
    assert_eq!(effect(&case.plan(|seen| dead(seen).in_group())), Some(Effect::Terminate));
    let back = case.plan(|seen| seen.ecs_lost().host_says(&[Cause::EcsAgentHung]));
    assert_eq!((effect(&back), back.next.ending()), (None, Some(&Ending::LadderExhausted)));
}

#[test]
fn an_agent_is_restarted_twice_before_the_runtime_is() {
    let mut case = disconnected().patient();
    for expected in [Effect::RestartEcsAgent, Effect::RestartEcsAgent, Effect::Drain] {
        let plan = case.plan(ecs_lost);
        assert_eq!(effect(&plan), Some(expected));
        let failed = remedy_tried(Remedy::RestartEcsAgent, case.now, AttemptResult::Failed);
        case = case.with(|incident| incident.attempts.push(failed)).wait(1_000);
        let run = ecs_away(after(case.now, -900), after(case.now, -20));
        case = case.with(|incident| incident.ecs_down = Some(run));
    }
}

#[test]
fn a_call_that_was_refused_does_not_use_up_a_try() {
    let case = silent().patient();
    let refused = remedy_tried(Remedy::Reboot, after(case.now, -1_000), AttemptResult::Refused);
    assert_eq!(effect(&case.with(|incident| incident.attempts.push(refused)).plan(dead)), Some(Effect::Reboot));
}

#[test]
fn an_operator_may_ask_for_a_later_rung_but_for_none_that_the_cause_does_not_call_for() {
    let asking = |remedy| {
        let ask = Ask { by: "ops".into(), at: noon(), remedy: Some(remedy) };
        silent().with(|incident| incident.asked = Some(ask)).patient()
    };
    assert_eq!(effect(&asking(Remedy::Replace).plan(|seen| dead(seen).in_group())), Some(Effect::Terminate));
    assert_eq!(effect(&asking(Remedy::StopStart).plan(dead)), Some(Effect::Reboot), "not on the ladder of `unknown`");
    let no_role = asking(Remedy::Reboot).plan(|seen| dead(seen).profile_missing());
    assert_eq!((effect(&no_role), no_role.next.ending()), (None, Some(&Ending::CauseNotOurs)));
}

#[test]
fn who_asks_for_a_repair_opens_the_ladder_anew_from_that_moment_on() {
    let asked_after = |secs: i64| {
        let case = silent().patient();
        let at = after(case.now, -1_000);
        let failed = remedy_tried(Remedy::Reboot, at, AttemptResult::Failed);
        let case = case.with(|incident| {
            incident.asked = Some(Ask { by: "ops".into(), at: after(at, secs), remedy: None });
            incident.attempts.push(failed);
        });
        effect(&case.plan(dead))
    };
    assert_eq!((asked_after(0), asked_after(1)), (None, Some(Effect::Reboot)));
}

#[test]
fn what_the_host_refused_before_somebody_asked_is_tried_again() {
    let asked_after = |secs: i64| {
        let case = disconnected().patient();
        let at = after(case.now, -1_000);
        let case = case.with(|incident| {
            let why = HostRefusal::Masked;
            incident.note(at, Event::HostRefused { remedy: Remedy::RestartEcsAgent, why });
            incident.asked = Some(Ask { by: "ops".into(), at: after(at, secs), remedy: None });
        });
        effect(&case.plan(ecs_lost))
    };
    assert_ne!(asked_after(0), Some(Effect::RestartEcsAgent));
    assert_eq!(asked_after(1), Some(Effect::RestartEcsAgent));
}

#[test]
fn the_ssm_agent_is_restarted_where_something_told_of_it() {
    use crate::event::SweptAgent;
    use crate::plan::ladder::of_ssm;
    let swept = |agent| SignalKind::Swept { agent, since: None };
    assert!(of_ssm(&command_trouble()) && of_ssm(&SignalKind::SessionRefused) && of_ssm(&swept(SweptAgent::Ssm)));
    assert!(!of_ssm(&ecs_disconnect()) && !of_ssm(&swept(SweptAgent::Ecs)));
}

#[test]
fn a_host_without_a_shell_is_rebooted_and_a_managed_node_is_not() {
    let bottlerocket =
        |seen: Seen| ecs_lost(seen).with_ssm(|ssm| ssm.platform = Platform::Bottlerocket).with_ecs(|ecs| ecs.tasks = 0);
    assert_eq!(effect(&disconnected().patient().plan(bottlerocket)), Some(Effect::Drain));
    let hybrid = silent().with(|incident| incident.node = "mi-0a1b2c3d4e5f60718".parse().unwrap()).patient();
    let plan = hybrid.plan(|seen| dead(seen).hybrid());
    assert_eq!((effect(&plan), plan.next.ending()), (None, Some(&Ending::LadderExhausted)));
}

#[test]
fn a_group_at_its_minimum_is_waited_for_with_its_numbers() {
    let full = |seen: Seen| dead(seen).with_asg(|asg| (asg.desired, asg.min) = (10, 10));
    let plan = silent().mode(Mode::Cycle).patient().plan(full);
    assert_eq!(parked(&plan).unwrap().to_string(), "Standby would lower the group from 10 below its minimum of 10");
    assert_eq!(effect(&silent().patient().plan(full)), Some(Effect::Terminate), "a later rung needs no Standby");
    let ec2_only = |seen: Seen| full(seen).with_asg(|asg| asg.ec2_health_only = true);
    assert_eq!(effect(&silent().patient().plan(ec2_only)), Some(Effect::Reboot), "such a group ignores a reboot");
}

#[test]
fn a_suspended_or_refreshing_group_keeps_its_members() {
    let failed = remedy_tried(Remedy::Reboot, noon(), AttemptResult::Failed);
    let case = silent().with(|incident| incident.attempts.push(failed)).patient();
    let suspended = case.plan(|seen| dead(seen).with_asg(|asg| asg.suspended = true));
    assert_eq!(parked(&suspended), Some(&Refusal::Group { why: GroupRefusal::Suspended }));
    let refreshing = case.plan(|seen| dead(seen).with_asg(|asg| asg.refreshing = true));
    assert_eq!(parked(&refreshing), Some(&Refusal::Group { why: GroupRefusal::Refreshing }));
}

#[test]
fn disk_space_is_freed_before_the_agent_is_restarted() {
    let full = |seen: Seen| seen.ecs_lost().host_says(&[Cause::HostDiskFull]);
    let freed = disconnected().patient().look(full).done();
    assert_eq!(freed.incident.attempts[0].remedy, Remedy::FreeDisk);
    let empty = |seen: Seen| seen.ecs_lost().host_says(&[]);
    let proven = freed.wait(20).look(empty);
    assert_eq!(
        (proven.incident.attempts[0].result, proven.incident.phase.name()),
        (AttemptResult::Helped, "examining")
    );
    let next = proven.wait(300).look(|seen| seen.ecs_lost().host_says(&[Cause::EcsAgentStopped]));
    assert_eq!(next.effect(), Some(Effect::RestartEcsAgent));
    assert_eq!(next.incident.diagnosis.unwrap().cause, Cause::HostDiskFull, "the cause that began it stays on top");
}

#[test]
fn a_script_that_timed_out_on_an_answering_node_is_told_once_and_nothing_is_done() {
    use crate::observe::InvocationStatus::{ExecutionTimedOut, Rejected};
    for (status, ending) in [(ExecutionTimedOut, Ending::ScriptTimedOut), (Rejected, Ending::CommandRejected)] {
        let case = silent().patient().look(|seen| seen.invocation(status));
        assert_eq!((case.effect(), case.incident.ending()), (None, Some(&ending)));
        assert_eq!((case.reports(), case.outcome()), ([ReportKind::Ended].as_slice(), Some(Outcome::NotOurs)));
        let dead_too = silent().patient().look(|seen| dead(seen).invocation(status));
        assert_eq!(dead_too.effect(), Some(Effect::Reboot), "a node that is dead as well is cycled");
    }
}

#[test]
fn an_agent_that_is_in_no_trouble_is_not_restarted() {
    use crate::plan::ladder::{Choice, choose};
    let next = |case: &Case, ssm, ecs, cause| {
        let look = seen(case.now).in_cluster();
        choose(&case.incident, &look, health(ssm, ecs), cause, (&case.policy, Mode::Restart))
    };
    // No memory: an agent that died of it is restarted, one that lives is not.
    let (ssm, ecs) = (silent().patient(), disconnected().patient());
    let cause = Cause::HostOutOfMemory;
    let (agent, reboot) = (Choice::Remedy(Remedy::RestartEcsAgent), Choice::Remedy(Remedy::Reboot));
    assert_eq!(next(&ecs, Standing::Well, Standing::Ill, cause), agent);
    assert_eq!(next(&ecs, Standing::Well, Standing::Well, cause), reboot);
    assert_eq!(next(&ecs, Standing::Well, Standing::NotPresent, cause), reboot);
    assert_eq!(next(&ssm, Standing::Well, Standing::Well, cause), Choice::Remedy(Remedy::RestartSsmAgent));
    // Named by the host itself, it is restarted though ECS still hears it; where there is none, nothing is.
    let hung = Cause::EcsAgentHung;
    assert_eq!(next(&ecs, Standing::Well, Standing::Well, hung), agent);
    assert_eq!(next(&ecs, Standing::Well, Standing::NotPresent, hung), reboot);
    assert_eq!(
        next(&ecs, Standing::Well, Standing::Well, Cause::RuntimeDockerHung),
        Choice::Remedy(Remedy::RestartRuntime)
    );
}

#[test]
fn a_try_is_counted_among_those_of_its_own_remedy_that_were_sent() {
    let tried = |remedy, sent: bool| {
        let result = if sent { AttemptResult::Failed } else { AttemptResult::NotSent };
        Attempt { remedy, at: noon(), acted_at: sent.then(noon), result }
    };
    let chosen = |sent| {
        let attempts = vec![tried(Remedy::FreeDisk, true), tried(Remedy::RestartEcsAgent, sent)];
        let case = disconnected().patient().with(|incident| incident.attempts = attempts).look(ecs_lost);
        case.incident.history.iter().find_map(|entry| match entry.event {
            Event::Chosen { remedy, attempt, of } => Some((remedy, attempt, of)),
            _ => None,
        })
    };
    assert_eq!(chosen(false), Some((Remedy::RestartEcsAgent, 1, 2)));
    assert_eq!(chosen(true), Some((Remedy::RestartEcsAgent, 2, 2)));
}

#[test]
fn sessions_that_a_remedy_cuts_are_noted_where_the_policy_warns() {
    let cut = |rule: SessionsRule, live| {
        let case = silent().policy(|policy| policy.sessions = rule).patient().look(|seen| dead(seen).sessions(live));
        assert_eq!(case.effect(), Some(Effect::Reboot), "{rule:?}");
        case.incident.history.iter().find_map(|entry| match entry.event {
            Event::SessionsCut { count, .. } => Some(count),
            _ => None,
        })
    };
    assert_eq!(cut(SessionsRule::Warn, 2), Some(2));
    assert_eq!(cut(SessionsRule::Warn, 0), None);
    assert_eq!(cut(SessionsRule::Ignore, 2), None);
}
