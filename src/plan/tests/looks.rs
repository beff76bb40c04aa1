//! What one look leads to: when a probe is sent, how long its answer holds, what is certain, and what is told of it.

use super::*;
use crate::diagnose::{Channel, Finding, Severity, diagnose};
use crate::guard::Sight;
use crate::incident::Approval;
use crate::observe::samples::finding;
use crate::observe::{Blind, Busy, Check, Depth, Fact, Health, InvocationStatus, Probe, ProbeAnswer};

fn probe(age: i64, answer: ProbeAnswer) -> impl Fn(Seen) -> Seen {
    move |seen| {
        let sent_at = after(seen.at, -age);
        let answer = answer.clone();
        seen.with(|seen| seen.probe = Fact::Known(Probe { sent_at, answer }))
    }
}

fn hung() -> ProbeAnswer {
    let findings = std::iter::once(finding(Cause::EcsAgentHung, Channel::Probe)).collect();
    ProbeAnswer::Answered { booted_at: noon(), boot: None, findings }
}

/// A case whose last probe was sent so many seconds ago.
fn probed(age: i64) -> Case {
    let case = disconnected().patient().wait(1_000);
    let sent = ProbeSent { at: after(case.now, -age), command: Some(command_id()) };
    case.examining().with(|incident| incident.probe = Some(sent))
}

#[test]
fn what_a_host_said_holds_for_ninety_seconds() {
    let effect_at = |age| effect(&probed(age).plan(|seen| probe(age, hung())(seen.ecs_lost())));
    assert_eq!(effect_at(90), Some(Effect::RestartEcsAgent));
    assert_eq!(effect_at(91), Some(Effect::Probe), "it is asked again");
    // A question changes nothing, so what became of the last repair may still be asked; a new repair is another one.
    let repaired = |age| probed(age).with(|incident| incident.repair = Some(command_id()));
    let repair_at = |age| repaired(age).plan(|seen| probe(age, hung())(seen.ecs_lost())).next.repair.is_some();
    assert_eq!((repair_at(90), repair_at(91)), (false, true));
}

#[test]
fn what_a_host_said_before_a_remedy_is_not_asked_for_after_it() {
    let patient = silent().patient();
    let before = asked(&patient);
    assert_eq!((before.probe, before.pinged_after), (Some(command_id()), None));
    let rebooted = patient.look(dead).done().wait(30);
    let Phase::Verifying { since, .. } = rebooted.incident.phase else { panic!("{:?}", rebooted.incident.phase) };
    let verifying = asked(&rebooted);
    assert_eq!((verifying.probe, verifying.pinged_after), (None, Some(since)));
    let sent = |secs| {
        let probe = ProbeSent { at: after(since, secs), command: Some(command_id()) };
        asked(&rebooted.clone().with(|incident| incident.probe = Some(probe))).probe
    };
    assert_eq!((sent(0), sent(1)), (None, Some(command_id())));
}

#[test]
fn a_look_is_about_ecs_alone_while_the_hold_down_lasts_and_nothing_else_was_told() {
    assert!(asked(&disconnected()).only_ecs);
    assert!(!asked(&disconnected().patient()).only_ecs);
    assert!(!asked(&silent()).only_ecs);
}

#[test]
fn a_fix_looks_as_closely_as_the_look_before_a_remedy() {
    let watched = disconnected();
    for incident in [None, Some(&watched.incident)] {
        let look = fix_look(incident, watched.now);
        assert!(look.close && look.stopping && !look.only_ecs && !look.ssm_first, "{look:?}");
        assert_eq!(look.depth, Depth::Remedy);
    }
    let probed = probed(10);
    assert!(
        asked(&probed).ssm_first && !fix_look(Some(&probed.incident), probed.now).ssm_first,
        "a probe is on its way"
    );
    assert_eq!(
        fix_look(Some(&watched.incident), watched.now).container_instance,
        watched.incident.place.container_instance
    );
}

#[test]
fn a_probe_is_waited_for_a_minute_and_a_half_and_what_it_did_not_say_holds_for_two() {
    let look = |age| probed(age).plan(|seen| probe(age, ProbeAnswer::Pending)(seen.ecs_lost()));
    let waits = look(90);
    assert_eq!((effect(&waits), waits.next.phase.name()), (None, "examining"));
    assert_eq!(waits.next.wake_at, Some(after(probed(90).now, 20)));
    for age in [91, 103] {
        assert_ne!(effect(&look(age)), Some(Effect::Probe), "{age}");
    }
    assert_eq!(effect(&look(104)), Some(Effect::Probe));
    let lost = |age| effect(&probed(age).plan(|seen| seen.ecs_lost().probe_lost(after(probed(age).now, -age))));
    assert_ne!(lost(103), Some(Effect::Probe));
    assert_eq!(lost(104), Some(Effect::Probe));
}

#[test]
fn an_answer_that_cannot_be_read_is_waited_for_as_long_as_it_may_come() {
    let blind = |seen: Seen| seen.ecs_lost().with(|seen| seen.probe = Fact::Unknown(Blind::Throttled));
    assert_eq!(effect(&probed(90).plan(blind)), None);
    assert_eq!(effect(&probed(91).plan(blind)), Some(Effect::Probe));
}

#[test]
fn after_the_last_second_of_an_examination_nobody_is_asked_any_more() {
    let ends = |left| {
        let case = probed(200);
        let (since, deadline) = (after(case.now, -600), after(case.now, left));
        case.phase(Phase::Examining { since, deadline, sending: None }).plan(Seen::ecs_lost)
    };
    assert_eq!(effect(&ends(1)), Some(Effect::Probe));
    let refusal = Refusal::CannotSee { what: Sight::Probe, blind: Blind::Empty };
    assert_eq!(parked(&ends(0)), Some(&refusal));
}

#[test]
fn one_answer_is_one_line_of_the_history() {
    let lines = |case: &Case| {
        let entries = case.incident.history.iter();
        entries.filter(|entry| matches!(entry.event, Event::ProbeAnswered { findings: 1, .. })).count()
    };
    let case = probed(10).with(|incident| incident.looks = 0);
    let sent = after(case.now, -10);
    let told = |seen: Seen| {
        let age = secs_between(sent, seen.at);
        probe(age, hung())(seen.ecs_lost())
    };
    let once = case.look(told);
    let line = once.incident.history.iter().find(|entry| matches!(entry.event, Event::ProbeAnswered { .. })).unwrap();
    assert_eq!(line.event, Event::ProbeAnswered { findings: 1, secs: 10 });
    let twice = once.with(|incident| incident.looks = 0).wait(20).look(told);
    assert_eq!(lines(&twice), 1);
    // The next probe's answer is another one.
    let next = twice.with(|incident| incident.looks = 0).wait(60);
    let next = next.look(|seen| probe(5, hung())(seen.ecs_lost()));
    assert_eq!(lines(&next), 2);
}

#[test]
fn an_ecs_agent_is_certainly_gone_after_longer_than_any_reconnect() {
    let failing = |seen: Seen| seen.ecs_lost().hardware_failing().host_says(&[]);
    let seen_down = |secs: i64| {
        let case = disconnected().patient();
        let run = ecs_away(after(case.now, -secs), case.now);
        case.with(|incident| incident.ecs_down = Some(run))
    };
    assert!(effect(&seen_down(150).plan(failing)).is_some());
    let case = seen_down(149);
    let plan = case.plan(failing);
    assert_eq!((effect(&plan), plan.next.phase.name()), (None, "examining"));
    assert_eq!(plan.next.wake_at, Some(after(case.now, 20)));
    let never = case.clone().with(|incident| incident.ecs_down = None).plan(failing);
    assert!(effect(&never).is_none());
    // What stays uncertain until the end of the examination goes to a person.
    let (since, deadline) = (after(case.now, -600), case.now);
    let over = case.phase(Phase::Examining { since, deadline, sending: None }).plan(failing);
    assert_eq!(over.next.ending(), Some(&Ending::TooLong));
}

/// Looks every 20 s for so long, until something is sent.
fn watched(mut case: Case, secs: i64, tell: impl Fn(Seen) -> Seen + Copy) -> Case {
    for _ in 0..secs / 20 {
        case = case.wait(20).look(tell);
        if case.effect().is_some() {
            break;
        }
    }
    case
}

#[test]
fn a_host_that_is_back_gets_a_reconnect_s_time_to_bring_its_ecs_agent_back() {
    let gone = |seen: Seen| seen.ecs_lost().ssm_doubtful();
    // The instance status check lags behind, and everything the host says is well.
    let back = |seen: Seen| seen.ecs_lost().with_ec2(|ec2| ec2.instance_check = Check::Impaired).host_says(&[]);
    let silent = disconnected().patient().with(|incident| incident.ecs_down = None).look(gone).wait(300).look(gone);
    let run = silent.incident.ecs_down.expect("a run");
    assert_eq!((secs_between(run.since, run.until), run.ssm_away), (300, true));
    let silent = silent.examining();
    let soon = watched(silent.clone(), 160, back);
    assert_eq!((soon.effect(), soon.incident.phase.name()), (None, "examining"));
    assert_eq!(watched(silent, 180, back).effect(), Some(Effect::Drain));
}

#[test]
fn an_outage_that_ecs_called_over_is_not_one_with_the_reconnect_after_it() {
    let impaired = |seen: Seen| seen.ecs_lost().with_ecs(|ecs| ecs.agent_check = Check::Impaired);
    let run = |case: &Case| case.incident.ecs_down.map(|run| secs_between(run.since, run.until));
    let ill = disconnected().patient().with(|incident| incident.ecs_down = None).look(impaired).wait(60).look(impaired);
    assert_eq!(run(&ill), Some(60));
    let over = |seen: Seen| seen.ecs_lost().with_ecs(|ecs| ecs.agent_check = Check::Ok);
    assert_eq!(run(&ill.clone().wait(60).look(over)), Some(0));
    // What was not read says nothing.
    let unread = |seen: Seen| impaired(seen).with_ecs(|ecs| ecs.agent_check = Check::Undecided);
    assert_eq!(run(&ill.wait(60).look(unread)), Some(120));
}

#[test]
fn a_status_check_alone_is_not_certain_and_the_word_of_the_host_is() {
    let failing = |seen: Seen| seen.in_cluster().hardware_failing();
    let case = disconnected().patient();
    let alone = case.plan(|seen| failing(seen).host_says(&[]));
    assert_eq!((effect(&alone), alone.next.phase.name()), (None, "examining"));
    assert!(effect(&case.plan(|seen| seen.docker_hung().host_says(&[Cause::RuntimeDockerHung]))).is_some());
}

#[test]
fn a_diagnosis_is_told_when_it_changes() {
    let lines = |case: &Case| {
        case.incident.history.iter().filter(|entry| matches!(entry.event, Event::Diagnosed { .. })).count()
    };
    let case = disconnected().with(|incident| incident.looks = 0).after_secs(100).examining();
    let once = case.look(|seen| seen.ecs_lost().host_says(&[Cause::EcsAgentHung]));
    assert_eq!(lines(&once), 1);
    let same = once.wait(20).look(|seen| seen.ecs_lost().host_says(&[Cause::EcsAgentHung]));
    assert_eq!(lines(&same), 1);
    let other = same.wait(20).look(|seen| seen.ecs_lost().host_says(&[Cause::HostDiskFull]));
    assert_eq!((lines(&other), other.incident.diagnosis.as_ref().unwrap().cause), (2, Cause::HostDiskFull));
}

#[test]
fn a_lost_probe_is_told_of_a_node_that_was_asked_and_is_silent() {
    let told = |case: Case, tell: fn(Seen) -> Seen| {
        case.look(tell).incident.history.iter().any(|entry| entry.event == Event::ProbeUndelivered)
    };
    assert!(told(silent().patient(), dead));
    assert!(!told(silent().patient().with(|incident| incident.probe = None), dead), "nobody asked it");
    assert!(!told(disconnected().patient(), ecs_lost), "it answers");
}

#[test]
fn a_hold_down_ends_early_for_a_node_that_is_well_unless_a_command_was_lost() {
    let well = disconnected().after_secs(100).look(Seen::in_cluster);
    assert_eq!((well.outcome(), well.incident.reports), (Some(Outcome::SelfHealed), 0));
    let until = noon();
    for (case, tell) in [(silent(), Seen::in_cluster as fn(Seen) -> Seen), (disconnected(), ecs_lost)] {
        let waits = case.after_secs(100).look(tell);
        assert_eq!((waits.incident.phase.name(), waits.incident.wake_at), ("watching", Some(after(until, 300))));
    }
    let over = disconnected().after_secs(300).look(ecs_lost);
    assert!(over.incident.history.iter().any(|entry| entry.event == Event::HoldDownOver { secs: 300 }));
    let well = disconnected().after_secs(300).look(Seen::in_cluster);
    assert!(!well.incident.history.iter().any(|entry| matches!(entry.event, Event::HoldDownOver { .. })));
}

#[test]
fn a_script_s_own_end_is_told_on_a_node_that_is_well_and_treated_on_none() {
    let fresh = |seen: Seen| seen.host_says(&[]);
    for (status, ending) in [
        (InvocationStatus::ExecutionTimedOut, Some(Ending::ScriptTimedOut)),
        (InvocationStatus::Rejected, Some(Ending::CommandRejected)),
        (InvocationStatus::Failed, Some(Ending::SelfHealed)),
    ] {
        let plan = silent().patient().plan(|seen| fresh(seen).invocation(status));
        assert_eq!(plan.next.ending(), ending.as_ref(), "{status:?}");
        let sick = silent().patient().plan(|seen| dead(seen).invocation(status));
        assert_eq!(sick.next.ending(), None, "{status:?}");
    }
    let timed_out = |case: Case| {
        let plan = case.plan(|seen| fresh(seen).in_cluster().invocation(InvocationStatus::ExecutionTimedOut));
        plan.next.ending().cloned()
    };
    assert_eq!(timed_out(silent().patient()), Some(Ending::ScriptTimedOut));
    assert_eq!(timed_out(disconnected().patient()), Some(Ending::SelfHealed), "something else was told, too");
}

#[test]
fn an_approval_holds_for_its_remedy_until_its_last_second() {
    let case = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient();
    let approved = |remedy, secs| {
        let approval = Approval { by: "ops".into(), remedy, until: after(case.now, secs) };
        let case = case.clone().with(|incident| incident.approval = Some(approval));
        effect(&case.plan(dead))
    };
    assert_eq!(approved(Remedy::Reboot, 1), Some(Effect::Reboot));
    assert_eq!(approved(Remedy::Reboot, 0), None);
    assert_eq!(approved(Remedy::StopStart, 1), None);
    let later = silent().policy(|policy| policy.approve_from = Some(Remedy::StopStart)).patient();
    assert_eq!(effect(&later.plan(dead)), Some(Effect::Reboot), "what is weaker needs none");
}

#[test]
fn a_mute_that_has_not_ended_parks_again_without_a_look_at_the_rest() {
    let muted = |secs: i64| {
        let mut case = silent().patient();
        let until = after(case.now, 600);
        case.rails.muted_until = Some(after(case.now, secs));
        let (since, limit) = (after(case.now, -100), after(case.now, 9_000));
        case.phase(Phase::Parked { refusal: Refusal::Muted { until }, since, until, limit })
    };
    let still = muted(600).look(dead);
    assert!(matches!(parked(still.last.as_ref().unwrap()), Some(Refusal::Muted { .. })));
    assert_eq!((still.incident.looks, still.incident.parked_secs), (2, 100));
    assert_eq!(muted(-1).look(dead).effect(), Some(Effect::Reboot), "somebody ended it");
    let well = muted(600).look(|seen| seen.host_says(&[]));
    assert_eq!(well.outcome(), Some(Outcome::SelfHealed));
}

#[test]
fn an_answering_node_on_which_somebody_works_is_not_even_asked() {
    let plan = disconnected().patient().plan(|seen| seen.ecs_lost().busy(Busy::Command));
    assert_eq!(parked(&plan), Some(&Refusal::OtherWork { work: Busy::Command }));
    assert_eq!(effect(&plan), None);
}

/// A look that goes no deeper than this, told by `tell`.
fn plan_at(case: &Case, depth: Depth, tell: fn(Seen) -> Seen) -> Plan {
    case.plan(|seen| {
        tell(seen).with(|seen| {
            let unread = Blind::NotRead;
            seen.depth = depth;
            if depth < Depth::Remedy {
                (seen.sessions, seen.workload) = (Fact::Unknown(unread), Fact::Unknown(unread));
                seen.calendar = Fact::Unknown(unread);
            }
            if depth < Depth::Cause {
                seen.console = Fact::Unknown(unread);
            }
        })
    })
}

#[test]
fn an_agent_that_the_host_names_is_restarted_without_a_deeper_look() {
    let plan = plan_at(&disconnected().patient(), Depth::Agents, ecs_lost);
    assert_eq!((effect(&plan), plan.deeper), (Some(Effect::RestartEcsAgent), None));
}

#[test]
fn what_nobody_names_and_what_ends_work_is_looked_at_more_closely_first() {
    let deeper = |case: &Case, depth, tell| {
        let plan = plan_at(case, depth, tell);
        (plan.deeper, effect(&plan))
    };
    let silent = silent().patient();
    assert_eq!(deeper(&silent, Depth::Agents, dead), (Some(Depth::Cause), None), "its console may tell");
    assert_eq!(deeper(&silent, Depth::Cause, dead), (Some(Depth::Remedy), None), "what would end with it?");
    assert_eq!(deeper(&silent, Depth::Remedy, dead), (None, Some(Effect::Reboot)));
    let ends_work: fn(Seen) -> Seen = |seen| seen.ecs_lost().host_says(&[Cause::HostKernelHang]);
    let lost = disconnected().patient();
    assert_eq!(deeper(&lost, Depth::Agents, ends_work), (Some(Depth::Remedy), None));
    let hardware: fn(Seen) -> Seen = |seen| seen.ssm_silent().hardware_failing();
    assert_eq!(deeper(&silent, Depth::Remedy, hardware), (Some(Depth::All), None), "may it be stopped?");
    assert_eq!(deeper(&silent, Depth::All, hardware), (None, Some(Effect::Stop)));
}

#[test]
fn a_node_that_is_well_again_is_looked_at_more_closely_only_where_refused_sessions_told_of_it() {
    let well: fn(Seen) -> Seen = |seen| seen.in_cluster().host_says(&[]);
    let healed = plan_at(&disconnected().patient(), Depth::Cause, well);
    assert_eq!((healed.deeper, healed.next.ending()), (None, Some(&Ending::SelfHealed)));
    let refused = told(SignalKind::SessionRefused).patient();
    let closer = plan_at(&refused, Depth::Cause, well);
    assert_eq!((closer.deeper, closer.next.ending()), (Some(Depth::Remedy), None), "whose sessions?");
}

#[test]
fn a_node_that_is_well_by_an_old_ping_is_looked_at_until_its_connection_is_known() {
    let by_ping: fn(Seen) -> Seen =
        |seen| seen.in_cluster().with_ssm(|ssm| ssm.connection = Fact::Unknown(Blind::NotRead)).host_says(&[]);
    let by_blindness: fn(Seen) -> Seen =
        |seen| seen.in_cluster().with_ssm(|ssm| ssm.connection = Fact::Unknown(Blind::Throttled)).host_says(&[]);
    let known: fn(Seen) -> Seen = |seen| seen.in_cluster().host_says(&[]);
    let next = |depth, tell| {
        let plan = plan_at(&disconnected().patient(), depth, tell);
        (plan.deeper, plan.next.ending().is_some())
    };
    assert_eq!(next(Depth::Agents, by_ping), (Some(Depth::Cause), false));
    assert_eq!(next(Depth::Cause, by_ping), (None, true), "it was asked for");
    assert_eq!(next(Depth::Remedy, by_ping), (None, true));
    assert_eq!(next(Depth::Agents, by_blindness), (None, true), "another look would be as blind");
    assert_eq!(next(Depth::Agents, known), (None, true));
    let refused = told(SignalKind::SessionRefused).patient();
    let seen_all = plan_at(&refused, Depth::Remedy, known);
    assert_eq!((seen_all.deeper, seen_all.next.ending()), (None, Some(&Ending::SelfHealed)), "whose sessions is known");
}

#[test]
fn aws_itself_names_only_a_cause_of_role_or_network_that_it_shows_now() {
    let (ill, well) = (Health::of(&seen(noon()).ecs_lost(), noon()), Health::of(&seen(noon()), noon()));
    let told = |cause, channel, severity, health| {
        let found = Finding { severity, ..finding(cause, channel) };
        let mut diagnosis = diagnose(&seen(noon()).ecs_lost(), ill, noon());
        (diagnosis.cause, diagnosis.findings) = (cause, Arc::from([found]));
        examine::told_by_aws(&diagnosis, health)
    };
    let (role, network) = (Cause::IdentityNoInstanceProfile, Cause::NetworkUnreachable);
    assert!(told(role, Channel::Identity, Severity::Cause, ill));
    assert!(told(network, Channel::Network, Severity::Cause, ill));
    assert!(!told(role, Channel::Identity, Severity::Cause, well), "nothing is wrong");
    assert!(!told(role, Channel::Console, Severity::Cause, ill), "a console may tell of yesterday");
    assert!(!told(role, Channel::Identity, Severity::Symptom, ill));
    assert!(!told(Cause::HostKernelHang, Channel::Identity, Severity::Cause, ill));
}

#[test]
fn a_sick_host_with_agents_that_answer_is_certain_only_by_its_own_word() {
    let sick = |found: Finding| {
        let tell = |seen: Seen| seen.in_cluster().hardware_failing().with(|seen| seen.probe = Fact::Absent);
        let probed = |seen: Seen| {
            let answer = ProbeAnswer::Answered { booted_at: noon(), boot: None, findings: Arc::from([found.clone()]) };
            let sent_at = after(seen.at, -10);
            tell(seen).with(|seen| seen.probe = Fact::Known(Probe { sent_at, answer }))
        };
        effect(&silent().patient().plan(probed)).is_some()
    };
    assert!(sick(finding(Cause::HostKernelHang, Channel::Probe)));
    assert!(!sick(Finding { severity: Severity::Symptom, ..finding(Cause::HostKernelHang, Channel::Probe) }));
}

#[test]
fn a_sessions_end_is_looked_for_before_the_ssm_agent_is_restarted() {
    let crash: fn(Seen) -> Seen = |seen| seen.host_says(&[Cause::SsmAgentWorkerCrash]);
    let plan = plan_at(&silent().patient(), Depth::Agents, crash);
    assert_eq!(plan.deeper, Some(Depth::Remedy));
}

#[test]
fn a_deeper_look_adds_to_the_first_one_and_takes_nothing_back() {
    let first = seen(noon()).ecs_lost().with(|seen| {
        seen.depth = Depth::Agents;
        seen.console = Fact::Unknown(Blind::NotRead);
        seen.sessions = Fact::Unknown(Blind::NotRead);
        seen.busy = Fact::Unknown(Blind::Throttled);
    });
    let second = seen(after(noon(), 3)).in_cluster().sessions(2).console_says(Cause::HostKernelHang);
    let both = (*first).clone().completed((*second).clone());
    assert_eq!((both.at, both.depth), (noon(), Depth::All));
    assert_eq!((&both.ecs, &both.busy), (&first.ecs, &first.busy));
    assert_eq!((&both.console, &both.sessions), (&second.console, &second.sessions));
}

#[test]
fn who_came_in_the_place_of_a_replaced_container_instance_is_asked_while_its_proof_is_waited_for() {
    let since = noon();
    let verifying = |remedy| Phase::Verifying { remedy, since, deadline: since, proven_since: None, sending: None };
    let case =
        silent().look(Seen::in_cluster).with(|incident| incident.place.services = Arc::from(["web".parse().unwrap()]));
    let asked = |case: &Case| match wants(&case.incident, &case.policy, after(noon(), 60)) {
        Wants::Look(look) => look.succession,
        Wants::Wait(_) => None,
    };
    let succession = asked(&case.clone().phase(verifying(Remedy::Replace))).unwrap();
    assert_eq!((succession.since, succession.services.len()), (since, 1));
    assert_eq!(asked(&case.phase(verifying(Remedy::Reboot))), None);
    assert_eq!(asked(&silent().phase(verifying(Remedy::Replace))), None, "it was in no cluster");
}

#[test]
fn aws_is_asked_whether_it_would_start_again_only_where_the_mode_may_stop() {
    let look = |mode: Mode| {
        let case = silent().mode(mode).patient();
        let seen = Arc::new(seen(noon()).hardware_failing().0);
        deeper(&case.incident, &seen, &case.policy, Depth::All, noon()).rehearse
    };
    assert_eq!(Mode::ALL.map(look), [false, false, false, true, true]);
    let case = silent().patient();
    let seen = Arc::new(seen(noon()).hardware_failing().0);
    let deeper = deeper(&case.incident, &seen, &case.policy, Depth::Remedy, noon());
    assert!(!deeper.rehearse);
    assert_eq!(deeper.seen, Some(seen), "it goes on from what was seen");
}
