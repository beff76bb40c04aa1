//! What opens an incident, and what does not.

use super::*;
use crate::event::GoneKind;
use crate::observe::samples::{command_id, ecs_impaired, swept_ssm};
use crate::observe::{Blind, InstanceState, InvocationStatus, Spare};

fn context(mode: Mode) -> Context {
    Context { home: home(), policy: Policy::in_mode(mode) }
}

fn signal(kind: SignalKind) -> Signal {
    Signal { node: node_id(), at: noon(), kind }
}

pub(super) fn nothing_loaded() -> Loaded {
    Loaded { incident: None, rails: RUNNING, last: None, unsent: Vec::new() }
}

fn admitted(kind: SignalKind) -> Result<Look, IgnoreReason> {
    admit(&signal(kind), &nothing_loaded(), &context(Mode::Cycle), noon())
}

fn opened(kind: SignalKind, tell: impl FnOnce(Seen) -> Seen) -> Result<Plan, IgnoreReason> {
    opened_under(&RUNNING, kind, tell)
}

fn opened_under(rails: &Rails, kind: SignalKind, tell: impl FnOnce(Seen) -> Seen) -> Result<Plan, IgnoreReason> {
    let loaded = Loaded { rails: rails.clone(), ..nothing_loaded() };
    match open(&signal(kind), &tell(seen(noon())), &loaded, &context(Mode::Cycle), noon()) {
        Opening::Open(plan) => Ok(*plan),
        Opening::Ignore(reason) => Err(reason),
    }
}

#[test]
fn trouble_opens_a_watch_of_five_minutes() {
    let plan = opened(ecs_disconnect(), Seen::ecs_lost).unwrap();
    assert_eq!(plan.next.phase, Phase::Watching { until: after(noon(), 300) });
    assert_eq!((plan.next.wake_at, effect(&plan), plan.reports.len()), (Some(after(noon(), 300)), None, 0));
    assert_eq!((plan.next.looks, plan.next.symptoms.len()), (1, 1));
}

#[test]
fn the_first_look_is_at_what_the_signal_is_about() {
    let of_ecs = admitted(ecs_disconnect()).unwrap();
    assert!(of_ecs.only_ecs && !of_ecs.close && !of_ecs.told_by_sweep && of_ecs.container_instance.is_some());
    let of_ssm = admitted(command_trouble()).unwrap();
    assert_eq!((of_ssm.only_ecs, of_ssm.command, of_ssm.container_instance), (false, Some(command_id()), None));
    let of_a_sweep = admitted(swept_ssm()).unwrap();
    assert!(of_a_sweep.told_by_sweep && !of_a_sweep.only_ecs, "its census saw the node a moment ago");
}

#[test]
fn whether_a_node_is_gone_is_looked_for_everywhere_whatever_else_is_waited_for() {
    let told =
        |case: &Case, kind| match crate::plan::told(&signal(kind), &case.incident, &context(Mode::Cycle), case.now) {
            crate::plan::Told::Look(look) => Some((look.spare, look.ssm_first)),
            crate::plan::Told::Symptom(_) | crate::plan::Told::Nothing => None,
        };
    let gone = SignalKind::Gone { what: GoneKind::Stopped };
    let proving = super::proofs::sent(Remedy::RestartEcsAgent);
    let asked = |case: &Case| asked(case).spare;
    assert_ne!(asked(&proving), Spare::default(), "its proof needs ECS alone");
    assert_eq!(told(&proving, gone.clone()), Some((Spare::default(), false)));
    let probed = disconnected().patient().with(|incident| {
        incident.probe = Some(ProbeSent { at: after(noon(), 595), command: Some(command_id()) });
    });
    let probed = probed.after_secs(600);
    assert!(super::asked(&probed).ssm_first, "a probe is on its way");
    assert_eq!(told(&probed, gone), Some((Spare::default(), false)));
    assert_eq!(told(&probed, SignalKind::EcsConnected), None, "the next look comes soon enough");
}

#[test]
fn our_own_documents_never_open_an_incident() {
    let own = SignalKind::CommandTrouble {
        command: command_id(),
        document: "Defib-Probe".parse().unwrap(),
        status: crate::event::CoarseStatus::TimedOut,
    };
    assert_eq!(admitted(own), Err(IgnoreReason::OwnCommand));
    assert!(admitted(command_trouble()).is_ok());
}

#[test]
fn good_news_about_a_node_without_an_incident_is_dropped() {
    for kind in [
        SignalKind::CommandSucceeded,
        SignalKind::EcsHealthRestored,
        SignalKind::EcsConnected,
        SignalKind::Gone { what: GoneKind::Stopped },
    ] {
        assert_eq!(admitted(kind.clone()), Err(IgnoreReason::NothingOpen), "{kind:?}");
    }
    for kind in [command_trouble(), ecs_disconnect(), ecs_impaired(), swept_ssm(), SignalKind::SessionRefused] {
        assert!(admitted(kind.clone()).is_ok(), "{kind:?}");
    }
}

#[test]
fn nothing_is_looked_at_when_the_mode_is_off() {
    let admitted = admit(&signal(ecs_disconnect()), &nothing_loaded(), &context(Mode::Off), noon());
    assert_eq!(admitted, Err(IgnoreReason::Off));
    assert_eq!(opened(ecs_disconnect(), |seen| seen.ecs_lost().mode_tag(Mode::Off)), Err(IgnoreReason::Off));
}

#[test]
fn a_muted_node_is_left_alone_whoever_muted_it() {
    let until = after(noon(), 60);
    let by_tag = opened(ecs_disconnect(), |seen| seen.ecs_lost().with_ec2(|ec2| ec2.tags.mute_until = Some(until)));
    assert_eq!(by_tag, Err(IgnoreReason::Muted));
    let by_operator = Rails { muted_until: Some(until), ..RUNNING };
    assert_eq!(opened_under(&by_operator, ecs_disconnect(), Seen::ecs_lost), Err(IgnoreReason::Muted));
    let over = Rails { muted_until: Some(noon()), ..RUNNING };
    assert!(opened_under(&over, ecs_disconnect(), Seen::ecs_lost).is_ok());
}

#[test]
fn an_unknown_or_stopped_node_is_ignored() {
    assert_eq!(
        opened(ecs_disconnect(), |seen| seen.with(|seen| seen.ec2 = Fact::Absent)),
        Err(IgnoreReason::UnknownNode)
    );
    for state in [
        InstanceState::Pending,
        InstanceState::Stopping,
        InstanceState::Stopped,
        InstanceState::ShuttingDown,
        InstanceState::Terminated,
    ] {
        assert_eq!(opened(ecs_disconnect(), |seen| seen.ecs_lost().state(state)), Err(IgnoreReason::NotRunning));
    }
    let nobody_knows = |seen: Seen| {
        seen.hybrid().with(|seen| {
            seen.ssm = Fact::Absent;
            seen.ecs = Fact::Absent;
        })
    };
    assert_eq!(opened(swept_ssm(), nobody_knows), Err(IgnoreReason::UnknownNode));
    assert!(opened(swept_ssm(), |seen| seen.hybrid().ssm_doubtful()).is_ok());
}

#[test]
fn a_node_that_ec2_did_not_show_is_watched_where_anybody_else_knows_it() {
    let told = |[by_ssm, by_ecs, by_group]: [bool; 3]| {
        opened(swept_ssm(), |seen| {
            seen.ssm_silent().in_cluster().in_group().ecs_lost().with(|seen| {
                let blind = Blind::Throttled;
                seen.ec2 = Fact::Unknown(blind);
                if !by_ssm {
                    seen.ssm = Fact::Unknown(blind);
                }
                if !by_ecs {
                    seen.ecs = Fact::Unknown(blind);
                }
                if !by_group {
                    seen.asg = Fact::Unknown(blind);
                }
            })
        })
        .map(|plan| plan.next.phase.name())
    };
    for known in [[true, false, false], [false, true, false], [false, false, true]] {
        assert_eq!(told(known), Ok("watching"), "{known:?}");
    }
    assert_eq!(told([false; 3]), Err(IgnoreReason::NotSeen), "it may be anybody's id");
}

#[test]
fn a_node_that_is_well_is_ignored_unless_a_command_was_not_delivered() {
    assert_eq!(opened(ecs_disconnect(), Seen::in_cluster), Err(IgnoreReason::AlreadyWell));
    assert!(opened(command_trouble(), |seen| seen.invocation(InvocationStatus::Undeliverable)).is_ok());
    assert!(opened(command_trouble(), |seen| seen.with(|seen| seen.invocation = Fact::Unknown(Blind::Denied))).is_ok());
}

#[test]
fn a_command_that_failed_by_itself_is_dropped() {
    for status in [InvocationStatus::Failed, InvocationStatus::Success, InvocationStatus::Rejected] {
        assert_eq!(
            opened(command_trouble(), |seen| seen.invocation(status)),
            Err(IgnoreReason::CommandsOwnFault),
            "{status:?}"
        );
    }
}

#[test]
fn a_script_that_timed_out_is_told_once_to_those_who_opted_in() {
    let plan = opened(command_trouble(), |seen| seen.invocation(InvocationStatus::ExecutionTimedOut)).unwrap();
    assert_eq!(plan.next.ending(), Some(&Ending::ScriptTimedOut));
    assert_eq!((plan.reports.as_slice(), effect(&plan)), ([ReportKind::Ended].as_slice(), None));
    let stranger = |seen: Seen| seen.untagged().invocation(InvocationStatus::ExecutionTimedOut);
    assert_eq!(opened(command_trouble(), stranger), Err(IgnoreReason::CommandsOwnFault));
}

#[test]
fn a_node_that_cannot_be_seen_is_only_watched() {
    let plan = opened(ecs_disconnect(), |seen| seen.with(|seen| seen.ec2 = Fact::Unknown(Blind::Throttled))).unwrap();
    assert_eq!((plan.next.phase.name(), effect(&plan)), ("watching", None));
}

#[test]
fn an_id_of_which_nothing_can_be_read_opens_nothing_and_is_asked_for_again() {
    let unread = |seen: Seen| {
        seen.with(|seen| {
            seen.ec2 = Fact::Unknown(Blind::Throttled);
            (seen.ssm, seen.ecs, seen.asg) = (Fact::Absent, Fact::Unknown(Blind::Throttled), Fact::Absent);
        })
    };
    assert_eq!(opened(ecs_disconnect(), unread), Err(IgnoreReason::NotSeen));
    let elsewhere =
        |seen: Seen| seen.hybrid().with(|seen| (seen.ssm, seen.ecs) = (Fact::Unknown(Blind::Throttled), Fact::Absent));
    assert_eq!(opened(ecs_disconnect(), elsewhere), Err(IgnoreReason::NotSeen));
}

#[test]
fn the_outage_began_when_the_clocks_of_aws_say_so_and_never_in_the_future() {
    let by_ssm = opened(swept_ssm(), Seen::ssm_doubtful).unwrap();
    assert_eq!(by_ssm.next.down_since, after(noon(), -1_200));
    let ahead =
        opened(ecs_disconnect(), |seen| seen.ecs_lost().with_ecs(|ecs| ecs.impaired_since = Some(after(noon(), 60))));
    assert_eq!(ahead.unwrap().next.down_since, noon());
}

#[test]
fn a_recovery_is_looked_at_while_somebody_waits_for_it_and_the_end_of_a_node_always() {
    let gone = SignalKind::Gone { what: GoneKind::Terminated };
    let looks = |kind: SignalKind, case: &Case| match crate::plan::told(
        &signal(kind),
        &case.incident,
        &context(Mode::Cycle),
        case.now,
    ) {
        Told::Look(_) => true,
        Told::Nothing => false,
        Told::Symptom(plan) => panic!("a symptom: {plan:?}"),
    };
    let watching = silent();
    let resting = silent().patient().look(|seen| dead(seen).profile_missing());
    let verifying = silent().patient().look(dead).done().wait(30);
    let examining = silent().patient();
    for (case, waits) in [(&watching, true), (&resting, true), (&verifying, false), (&examining, false)] {
        for kind in [SignalKind::EcsConnected, SignalKind::EcsHealthRestored, SignalKind::CommandSucceeded] {
            assert_eq!(looks(kind, case), waits, "{}", case.incident.phase.name());
        }
        assert!(looks(gone.clone(), case), "{}", case.incident.phase.name());
        assert!(!looks(swept_ssm(), case), "the sweep tells nothing new");
    }
    // While an effect is under way nobody looks.
    assert!(!looks(gone, &silent().patient().look(dead)));
}

#[test]
fn a_script_that_timed_out_on_a_sick_node_opens_a_watch() {
    let plan = opened(command_trouble(), |seen| dead(seen).invocation(InvocationStatus::ExecutionTimedOut)).unwrap();
    assert_eq!((plan.next.phase.name(), plan.next.ending()), ("watching", None));
}

#[test]
fn nothing_is_opened_on_a_look_of_long_ago() {
    let opened = |secs: i64| {
        let look = seen(after(noon(), -secs)).ecs_lost();
        match open(&signal(ecs_disconnect()), &look, &nothing_loaded(), &context(Mode::Cycle), noon()) {
            Opening::Open(_) => None,
            Opening::Ignore(reason) => Some(reason),
        }
    };
    assert_eq!([120, 121].map(opened), [None, Some(IgnoreReason::NotSeen)]);
}
