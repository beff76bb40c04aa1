//! What proves that a remedy helped: everything later than it, for as long as it must hold, within its time.

use super::*;
use crate::incident::{Holds, Milestone};
use crate::observe::{
    Blind, Check, Connection, Fact, Health, InstanceState, PROBE_LOST_SECS, Ping, Probe, ProbeAnswer, Standing,
    Successor,
};
use crate::plan::draft::Draft;

/// How long each remedy has to help, in seconds.
const BUDGETS: [(Remedy, i64); 7] = [
    (Remedy::FreeDisk, 180),
    (Remedy::RestartSsmAgent, 360),
    (Remedy::RestartEcsAgent, 360),
    (Remedy::RestartRuntime, 480),
    (Remedy::Reboot, 900),
    (Remedy::StopStart, 900),
    (Remedy::Replace, 1_800),
];
/// Seconds from the remedy to the looks of these tests.
const LOOKED: i64 = 120;

/// A remedy was sent two minutes before now, and its proof is waited for.
pub(super) fn sent(remedy: Remedy) -> Case {
    let case = silent().patient().wait(LOOKED);
    let since = after(case.now, -LOOKED);
    let deadline = after(since, 600);
    let attempt = remedy_tried(remedy, since, AttemptResult::Running);
    case.with(|incident| {
        incident.attempts.push(attempt);
        incident.holds = Holds { permits: true, ..Holds::default() };
    })
    .phase(Phase::Verifying { remedy, since, deadline, proven_since: None, sending: None })
}

/// The moment so many seconds after the remedy.
pub(super) fn then(case: &Case, secs: i64) -> Timestamp {
    after(case.now, secs - LOOKED)
}

/// What a look makes of the proof: the effect that it sends, since when it is proven, and the remedy that it ends with.
fn verdict(plan: &Plan) -> (Option<Effect>, Option<Timestamp>, Option<&Ending>) {
    let proven = match &plan.next.phase {
        Phase::Verifying { proven_since, .. } => *proven_since,
        _ => None,
    };
    (effect(plan), proven, plan.next.ending())
}

fn is_seen(case: &Case, tell: impl FnOnce(Seen) -> Seen) -> bool {
    let plan = case.plan(tell);
    let (sends, proven, ending) = verdict(&plan);
    assert_eq!(sends, None);
    assert_eq!(proven.is_some(), proven == Some(case.now));
    proven.is_some() || matches!(ending, Some(Ending::Helped { .. }))
}

fn asks_host(case: &Case, tell: impl FnOnce(Seen) -> Seen) -> bool {
    let plan = case.plan(tell);
    let asks = effect(&plan) == Some(Effect::Probe);
    if asks {
        // What was asked is remembered, and looked for at the next look.
        let probe = plan.next.probe.as_ref().unwrap();
        let Phase::Verifying { remedy, proven_since, .. } = plan.next.phase else { panic!("{:?}", plan.next.phase) };
        // All the rest must hold for a minute, which begins now.
        let holds = if remedy == Remedy::FreeDisk { 20 } else { 60 };
        assert_eq!((probe.at, plan.next.wake_at), (case.now, Some(after(case.now, holds))));
        assert_eq!(proven_since, Some(case.now));
    }
    asks
}

/// Connected, with a ping so many seconds after the remedy.
fn pinged(case: &Case, secs: i64) -> impl FnOnce(Seen) -> Seen + use<> {
    let at = then(case, secs);
    move |seen| seen.with_ssm(|ssm| ssm.last_ping = at)
}

/// Answered a probe that was sent so many seconds after the remedy; the host booted so many after it.
fn answered(case: &Case, sent: i64, booted: i64, causes: &'static [Cause]) -> impl FnOnce(Seen) -> Seen + use<> {
    let (sent, booted) = (then(case, sent), then(case, booted));
    move |seen| seen.probe_answered(sent, booted, causes)
}

#[test]
fn each_remedy_has_its_own_time_to_help() {
    for (remedy, secs) in BUDGETS {
        let case = sent(remedy);
        let draft = Draft::of(&case.incident, &case.policy, case.now, case.now);
        let plan = super::super::verify::begin(draft, remedy);
        let Phase::Verifying { since, deadline, proven_since, .. } = plan.next.phase else { panic!("{:?}", plan.next) };
        assert_eq!((since, deadline), (then(&case, 0), after(case.now, secs)), "{remedy}");
        let first = match remedy {
            Remedy::FreeDisk => 20,
            Remedy::RestartSsmAgent => 40,
            Remedy::RestartEcsAgent | Remedy::RestartRuntime => 60,
            Remedy::StopStart => 90,
            Remedy::Reboot => 120,
            Remedy::Replace => 240,
        };
        assert_eq!((proven_since, plan.next.wake_at), (None, Some(after(case.now, first))), "{remedy}");
    }
}

#[test]
fn looks_for_the_proof_are_taken_after_half_the_time_that_passed() {
    let case = sent(Remedy::Reboot);
    let wait = |secs: i64| {
        let later = Case { now: then(&case, secs), ..case.clone() };
        secs_between(later.now, later.plan(Seen::ssm_silent).next.wake_at.unwrap())
    };
    assert_eq!([30, 60, 100, 200, 400].map(wait), [20, 30, 50, 100, 120]);
    let deadline = match case.incident.phase {
        Phase::Verifying { deadline, .. } => deadline,
        ref phase => panic!("{phase:?}"),
    };
    let last = Case { now: after(deadline, -50), ..case.clone() };
    assert_eq!(last.plan(Seen::ssm_silent).next.wake_at, Some(deadline));
}

#[test]
fn at_the_deadline_a_remedy_has_failed_and_no_second_sooner() {
    for (remedy, _) in BUDGETS {
        let case = sent(remedy).wait(600 - LOOKED);
        let early = Case { now: after(case.now, -1), ..case.clone() }.plan(Seen::ssm_doubtful);
        assert_eq!(early.next.attempts.last().unwrap().result, AttemptResult::Running, "{remedy}");
        assert!(matches!(early.next.phase, Phase::Verifying { .. }), "{remedy}");
        let late = case.plan(Seen::ssm_doubtful);
        assert_eq!(late.next.attempts.last().unwrap().result, AttemptResult::Failed, "{remedy}");
        if remedy == Remedy::Replace {
            assert_eq!(late.next.ending(), Some(&Ending::LadderExhausted));
        } else {
            let deadline = after(case.now, 1_800);
            assert_eq!(late.next.phase, Phase::Examining { since: case.now, deadline, sending: None }, "{remedy}");
            assert!(matches!(late.permits, Permits::Free { .. }), "{remedy}");
        }
    }
}

#[test]
fn a_proof_holds_for_a_minute_before_it_counts() {
    let case = sent(Remedy::RestartEcsAgent).look(Seen::in_cluster);
    let (from, wake) = (case.now, case.incident.wake_at);
    assert_eq!(wake, Some(after(from, 60)));
    let nearly = case.clone().wait(59).look(Seen::in_cluster);
    let (_, proven, ending) = verdict(nearly.last.as_ref().unwrap());
    assert_eq!((proven, ending), (Some(from), None));
    assert_eq!(nearly.incident.wake_at, Some(after(nearly.now, 15)), "no timer is shorter");
    let held = case.clone().wait(60).look(Seen::in_cluster);
    assert_eq!(held.incident.ending(), Some(&Ending::Helped { remedy: Remedy::RestartEcsAgent }));
    assert!(held.freed());
    let broken = case.wait(30).look(Seen::ecs_lost);
    assert_eq!(verdict(broken.last.as_ref().unwrap()), (None, None, None), "it begins anew");
    let again = broken.wait(30).look(Seen::in_cluster);
    assert_eq!(verdict(again.last.as_ref().unwrap()).1, Some(again.now));
}

#[test]
fn freed_space_is_proven_at_once_by_a_host_that_was_asked_after_it() {
    let case = sent(Remedy::FreeDisk);
    assert!(is_seen(&case, answered(&case, 1, -900, &[])));
    for sent in [0, -1] {
        assert!(asks_host(&case, answered(&case, sent, -900, &[])), "{sent}");
    }
    for cause in [&[Cause::HostDiskFull], &[Cause::HostInodesExhausted]] {
        let plan = case.plan(answered(&case, 1, -900, cause));
        assert_eq!(verdict(&plan), (None, None, None), "{cause:?}");
    }
    assert!(is_seen(&case, answered(&case, 1, -900, &[Cause::HostOutOfMemory])));
}

#[test]
fn space_for_an_agent_that_is_still_down_leads_to_the_next_rung() {
    let case = sent(Remedy::FreeDisk);
    let plan = case.plan(|seen| answered(&case, 1, -900, &[])(seen).ecs_lost());
    assert!(matches!(plan.next.phase, Phase::Examining { since, .. } if since == case.now));
    assert_eq!(plan.next.attempts.last().unwrap().result, AttemptResult::Helped);
    let plan = case.plan(|seen| answered(&case, 1, -900, &[])(seen).in_cluster());
    assert_eq!(plan.next.ending(), Some(&Ending::Helped { remedy: Remedy::FreeDisk }));
}

#[test]
fn an_ssm_agent_is_back_when_it_pinged_and_took_a_command_after_the_remedy() {
    let case = sent(Remedy::RestartSsmAgent);
    let both = |ping, sent| {
        let (ping, answer) = (pinged(&case, ping), answered(&case, sent, -900, &[]));
        move |seen| answer(ping(seen))
    };
    assert!(is_seen(&case, both(1, 1)));
    assert!(asks_host(&case, both(1, 0)));
    for ping in [0, -1] {
        assert_eq!(verdict(&case.plan(both(ping, 1))), (None, None, None), "{ping}");
    }
    let cut = |seen: Seen| both(1, 1)(seen).with_ssm(|ssm| ssm.connection = Fact::Known(Connection::NotConnected));
    assert_eq!(verdict(&case.plan(cut)), (None, None, None));
}

#[test]
fn the_runtime_is_back_with_its_agent_and_a_host_whose_docker_answers() {
    let case = sent(Remedy::RestartRuntime);
    let host = |sent, causes| {
        let answer = answered(&case, sent, -900, causes);
        move |seen: Seen| answer(seen.in_cluster())
    };
    assert!(is_seen(&case, host(1, &[])) && is_seen(&case, host(1, &[Cause::SsmAgentHung])));
    assert!(
        asks_host(&case, host(0, &[])) && asks_host(&case, Seen::in_cluster),
        "asked before the remedy is not asked"
    );
    for dead in [&[Cause::RuntimeDockerHung], &[Cause::RuntimeDockerDown], &[Cause::RuntimeStorageCorrupt]] {
        assert_eq!(verdict(&case.plan(host(1, dead))), (None, None, None), "{dead:?}");
    }
    assert!(!is_seen(&case, |seen| host(1, &[])(seen).docker_hung()));
    assert!(!is_seen(&case, |seen| host(1, &[])(seen).ecs_lost()));
    // Where the host cannot be asked, the check of ECS must say that docker answers.
    let silent =
        |check: Check| move |seen: Seen| seen.in_cluster().with_ecs(|ecs| ecs.runtime_check = check).ssm_silent();
    assert!(is_seen(&case, silent(Check::Ok)) && !is_seen(&case, silent(Check::Undecided)));
    let mut paused = case.clone();
    paused.rails.switch = KillSwitch::Paused;
    assert!(is_seen(&paused, |seen| seen.in_cluster().with_ecs(|ecs| ecs.runtime_check = Check::Ok)));
    let agent = sent(Remedy::RestartEcsAgent);
    assert!(is_seen(&agent, |seen| seen.in_cluster().docker_hung()), "of the agent nothing else was asked");
}

#[test]
fn a_reboot_is_proven_by_a_boot_after_it() {
    let case = sent(Remedy::Reboot);
    let host = |booted| {
        let (ping, answer) = (pinged(&case, 30), answered(&case, 60, booted, &[]));
        move |seen| answer(ping(seen))
    };
    assert!(is_seen(&case, host(1)));
    for booted in [0, -1] {
        assert!(asks_host(&case, host(booted)), "it answered before it went down {booted}");
    }
    assert!(asks_host(&case, pinged(&case, 1)));
    assert!(!asks_host(&case, pinged(&case, 0)), "it has not pinged since");
    assert!(!is_seen(&case, |seen| host(1)(seen).ecs_lost()), "an agent is still down");
    // Its status is still the old one, and it has pinged since: only the host can tell.
    let doubtful = |seen: Seen| pinged(&case, 1)(seen).with_ssm(|ssm| ssm.ping = Ping::ConnectionLost);
    assert_eq!(Health::of(&doubtful(seen(case.now)), case.now).ssm, Standing::Suspect);
    assert!(asks_host(&case, doubtful));
    let old = |seen: Seen| pinged(&case, 0)(seen).with_ssm(|ssm| ssm.ping = Ping::ConnectionLost);
    assert!(!asks_host(&case, old));
}

#[test]
fn a_proof_that_was_begun_goes_on_while_the_host_is_waited_for_and_nothing_speaks_against_it() {
    let case = sent(Remedy::Reboot);
    let from = then(&case, 60);
    let case = case.with(|incident| {
        incident.probe = Some(ProbeSent { at: from, command: Some(command_id()) });
        let Phase::Verifying { proven_since, .. } = &mut incident.phase else { panic!("{:?}", incident.phase) };
        *proven_since = Some(from);
    });
    let proven = |tell: &dyn Fn(Seen) -> Seen| verdict(&case.plan(tell)).1;
    let unread = |seen: Seen| seen.with(|seen| seen.ec2 = Fact::Unknown(Blind::NotRead));
    let back = |seen: Seen| pinged(&case, 30)(seen);
    assert_eq!(proven(&back), Some(from), "all the rest is there");
    assert_eq!(proven(&|seen| unread(seen.ssm_doubtful())), Some(from), "nothing else was read");
    assert_eq!(proven(&Seen::ssm_doubtful), None, "all was read, and it is not back");
    let blind = |seen: Seen| seen.ssm_doubtful().with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled));
    assert_eq!(proven(&blind), None);
    let waited = case.clone().wait(200);
    assert_eq!(verdict(&waited.plan(|seen| unread(seen.ssm_doubtful()))).1, None, "nobody is waited for any more");
}

#[test]
fn a_host_that_answered_and_has_not_pinged_since_its_reboot_is_not_asked_again() {
    let case = sent(Remedy::Reboot);
    let answer = |ping: i64| {
        let (ping, answer) = (pinged(&case, ping), answered(&case, 60, -900, &[]));
        move |seen: Seen| answer(ping(seen))
    };
    assert!(asks_host(&case, answer(1)));
    assert!(!asks_host(&case, answer(0)));
}

#[test]
fn a_probe_of_the_moment_of_the_remedy_is_not_one_after_it() {
    let asked = |secs| {
        let case = sent(Remedy::Reboot);
        let probe = ProbeSent { at: then(&case, secs), command: Some(command_id()) };
        let case = case.with(|incident| incident.probe = Some(probe));
        let soon = Case { now: then(&case, 60), ..case };
        let ping = pinged(&soon, 30 - 60 + LOOKED);
        effect(&soon.plan(ping)) == Some(Effect::Probe)
    };
    assert_eq!((asked(0), asked(1)), (true, false));
}

#[test]
fn where_the_host_may_not_be_asked_the_runtime_is_proven_by_ecs_and_by_docker() {
    let mut case = sent(Remedy::RestartRuntime);
    case.rails.switch = KillSwitch::Paused;
    let ecs = |connected, check| {
        move |seen: Seen| seen.in_cluster().with_ecs(|ecs| (ecs.connected, ecs.runtime_check) = (connected, check))
    };
    assert!(is_seen(&case, ecs(true, Check::Ok)));
    assert!(!is_seen(&case, ecs(false, Check::Ok)));
    assert!(!is_seen(&case, ecs(true, Check::Impaired)));
    assert!(!is_seen(&case, ecs(true, Check::Undecided)));
}

#[test]
fn a_boot_is_told_from_another_by_its_id_where_both_are_known() {
    let id = |text: &str| Some(text.parse().unwrap());
    let case = sent(Remedy::Reboot).with(|incident| incident.boot = "boot-1".parse().ok());
    let host = |booted, boot: &str| {
        let (ping, answer, boot) = (pinged(&case, 30), answered(&case, 60, booted, &[]), id(boot));
        move |seen: Seen| {
            answer(ping(seen)).with(|seen| {
                if let Fact::Known(Probe { answer: ProbeAnswer::Answered { boot: known, .. }, .. }) = &mut seen.probe {
                    *known = boot;
                }
            })
        }
    };
    assert!(is_seen(&case, host(-9_000, "boot-2")), "its clock is wrong, and it has booted");
    assert!(asks_host(&case, host(1, "boot-1")), "its clock jumped, and it has not");
    let unknown = case.clone().with(|incident| incident.boot = None);
    assert!(is_seen(&unknown, host(1, "boot-1")) && asks_host(&unknown, host(0, "boot-2")), "by its clock");
}

#[test]
fn a_reboot_of_a_host_without_ssm_is_proven_by_its_ecs_agent() {
    let case = sent(Remedy::Reboot).with(|incident| incident.symptoms.clear());
    let without = |seen: Seen| seen.in_cluster().with(|seen| seen.ssm = Fact::Absent);
    assert!(is_seen(&case, without));
    assert!(!is_seen(&case, |seen| without(seen).ecs_lost()));
    let blind = |seen: Seen| seen.in_cluster().with(|seen| seen.ssm = Fact::Unknown(Blind::Throttled));
    assert!(!is_seen(&case, blind));
}

#[test]
fn a_stop_and_start_is_proven_by_a_launch_after_it_with_both_checks_ok() {
    let case = sent(Remedy::StopStart);
    let launched = |secs| {
        let at = then(&case, secs);
        move |seen: Seen| seen.with_ec2(|ec2| ec2.launched_at = at)
    };
    assert!(is_seen(&case, launched(1)));
    for secs in [0, -1] {
        assert!(!is_seen(&case, launched(secs)), "{secs}");
    }
    // Undecided is what they are for minutes after each start.
    for check in [Check::Impaired, Check::Undecided] {
        assert!(!is_seen(&case, |seen| launched(1)(seen).with_ec2(|ec2| ec2.system_check = check)));
        assert!(!is_seen(&case, |seen| launched(1)(seen).with_ec2(|ec2| ec2.instance_check = check)));
    }
    assert!(!is_seen(&case, |seen| launched(1)(seen).ecs_lost()));
}

#[test]
fn a_replacement_is_proven_by_a_group_that_is_whole_without_the_old_instance() {
    let case = sent(Remedy::Replace);
    let group = |in_service: u32, over: bool| {
        move |seen: Seen| {
            let seen = seen.with_asg(|asg| (asg.desired, asg.in_service) = (12, in_service));
            seen.state(if over { InstanceState::Terminated } else { InstanceState::ShuttingDown })
        }
    };
    assert!(is_seen(&case, group(12, true)) && is_seen(&case, group(13, true)));
    assert!(!is_seen(&case, group(11, true)) && !is_seen(&case, group(12, false)));
    assert!(is_seen(&case, |seen| group(12, true)(seen).with(|seen| seen.ec2 = Fact::Absent)));
    let blind = Fact::Unknown(Blind::Throttled);
    assert!(!is_seen(&case, |seen| group(12, true)(seen).with(|seen| seen.ec2 = blind)));
    assert!(!is_seen(&case, |seen| seen.state(InstanceState::Terminated)), "no group is seen");
    for (registered, at_desired) in [(true, true), (true, false), (false, true), (false, false)] {
        let successor = Successor { registered, at_desired };
        let seen = is_seen(&case, |seen| group(12, true)(seen).with(|seen| seen.successor = Fact::Known(successor)));
        assert_eq!(seen, registered && at_desired, "{successor:?}");
    }
    let unseen = Fact::Unknown(Blind::Throttled);
    assert!(!is_seen(&case, |seen| group(12, true)(seen).with(|seen| seen.successor = unseen)));
    let plan = case.plan(group(12, true));
    assert!(plan.next.history.iter().any(|entry| entry.event == Event::Reached(Milestone::GroupWhole)));
}

#[test]
fn a_host_is_asked_once_until_its_answer_is_lost() {
    let asked = |secs: i64| {
        let case = sent(Remedy::FreeDisk);
        let probe = ProbeSent { at: then(&case, secs), command: Some(command_id()) };
        case.with(|incident| incident.probe = Some(probe))
    };
    let pending = |secs: i64| {
        let case = asked(secs);
        let probe = Probe { sent_at: then(&case, secs), answer: ProbeAnswer::Pending };
        asks_host(&case, |seen| seen.with(|seen| seen.probe = Fact::Known(probe)))
    };
    assert!(!pending(LOOKED - 1), "its answer may come");
    assert!(!pending(LOOKED - PROBE_LOST_SECS), "it may yet come");
    assert!(pending(LOOKED - PROBE_LOST_SECS - 1), "it will not come");
    assert!(pending(0), "it was not asked after the remedy");
    let case = asked(LOOKED - 10);
    assert!(asks_host(&case, |seen| seen.probe_lost(then(&case, LOOKED - 10))), "nobody took it");
}

#[test]
fn whoever_paused_muted_or_opted_out_is_heard_before_the_host_is_asked() {
    let case = sent(Remedy::RestartSsmAgent);
    let well = |seen| pinged(&case, 1)(seen);
    assert!(asks_host(&case, well));
    let mut paused = case.clone();
    paused.rails.switch = KillSwitch::Paused;
    // From outside, a connection that lasts is proof enough; a full disk cannot be seen from there.
    assert!(is_seen(&paused, well) && !is_seen(&paused, |seen| well(seen).ecs_lost()));
    let mut muted = case.clone();
    muted.rails.muted_until = Some(after(case.now, 60));
    assert!(is_seen(&muted, well));
    assert!(is_seen(&case, |seen| well(seen).mode_tag(Mode::Off)));
    for (remedy, outside) in [(Remedy::FreeDisk, false), (Remedy::Reboot, true)] {
        let mut paused = sent(remedy);
        paused.rails.switch = KillSwitch::Paused;
        let ping = pinged(&paused, 1);
        assert_eq!(is_seen(&paused, ping), outside, "{remedy}");
    }
}

#[test]
fn what_was_waited_for_is_told_once_and_only_when_it_was_reached() {
    let told = |case: &Case, milestone| {
        case.incident.history.iter().filter(|entry| entry.event == Event::Reached(milestone)).count()
    };
    let (ssm, ecs) = (Milestone::SsmAnswers, Milestone::EcsConnected);
    for (remedy, of_ssm) in [
        (Remedy::RestartSsmAgent, true),
        (Remedy::Reboot, true),
        (Remedy::StopStart, true),
        (Remedy::RestartEcsAgent, false),
        (Remedy::RestartRuntime, false),
    ] {
        let case = sent(remedy);
        let ping = pinged(&case, 1);
        let once = case.clone().look(|seen| ping(seen).in_cluster());
        assert_eq!((told(&once, ssm), told(&once, ecs)), (usize::from(of_ssm), 1), "{remedy}");
        let ping = pinged(&case, 1);
        let twice = once.wait(20).look(|seen| ping(seen).in_cluster());
        assert_eq!((told(&twice, ssm), told(&twice, ecs)), (usize::from(of_ssm), 1), "{remedy}");
        // "Connected" before the host went down is only what it was.
        let ping = pinged(&case, -1);
        let before = case.clone().look(|seen| ping(seen).in_cluster());
        let goes_down = matches!(remedy, Remedy::Reboot | Remedy::StopStart);
        assert_eq!((told(&before, ssm), told(&before, ecs)), (0, usize::from(!goes_down)), "{remedy}");
        let lost = case.clone().look(Seen::ecs_lost);
        assert_eq!(told(&lost, ecs), 0, "{remedy}");
        // Of an earlier remedy it was told, too; that is another story.
        let mut earlier = case.clone();
        let at = then(&case, -1);
        earlier.incident.note(at, Event::Reached(ecs));
        let ping = pinged(&case, 1);
        assert_eq!(told(&earlier.look(|seen| ping(seen).in_cluster()), ecs), 2, "{remedy}");
    }
}
