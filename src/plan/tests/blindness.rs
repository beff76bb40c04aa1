//! What is not known never counts as bad (S8).

use super::*;
use crate::guard::Sight;
use crate::observe::{Blind, Busy};
use crate::policy::SessionsRule;

type Hide = fn(&mut Observation, Blind);

/// Each fact of an observation, and how to hide it.
const FACTS: [(&str, Hide); 13] = [
    ("ec2", |seen, why| seen.ec2 = Fact::Unknown(why)),
    ("ssm", |seen, why| seen.ssm = Fact::Unknown(why)),
    ("connection", |seen, why| {
        if let Fact::Known(ssm) = &mut seen.ssm {
            ssm.connection = Fact::Unknown(why);
        }
    }),
    ("ecs", |seen, why| seen.ecs = Fact::Unknown(why)),
    ("asg", |seen, why| seen.asg = Fact::Unknown(why)),
    ("group", |seen, why| seen.group = Fact::Unknown(why)),
    ("invocation", |seen, why| seen.invocation = Fact::Unknown(why)),
    ("probe", |seen, why| seen.probe = Fact::Unknown(why)),
    ("sessions", |seen, why| seen.sessions = Fact::Unknown(why)),
    ("busy", |seen, why| seen.busy = Fact::Unknown(why)),
    ("identity", |seen, why| seen.identity = Fact::Unknown(why)),
    ("network", |seen, why| seen.network = Fact::Unknown(why)),
    ("console", |seen, why| seen.console = Fact::Unknown(why)),
];

const BLIND: [Blind; 5] = [Blind::NotRead, Blind::Throttled, Blind::Denied, Blind::Empty, Blind::Unavailable];

/// Facts that only make a remedy more careful: a group that could not be read is taken for a small one, and what became
/// of a command says nothing more about a node that answers to nobody.
const CAREFUL: [&str; 1] = ["invocation"];

#[test]
fn every_fact_that_is_hidden_keeps_a_dead_node_from_being_cycled() {
    let case = silent().patient();
    let dead = |seen: Seen| seen.in_cluster().in_group().ecs_lost().ssm_silent();
    assert_eq!(effect(&case.plan(dead)), Some(Effect::Drain), "with everything known it is cycled");
    for (name, hide) in FACTS {
        for why in BLIND {
            let plan = case.plan(|seen| dead(seen).with(|seen| hide(seen, why)));
            let allowed = CAREFUL.contains(&name);
            let effect = effect(&plan);
            assert!(allowed || matches!(effect, None | Some(Effect::Probe)), "{name} {why:?}: {effect:?}");
        }
    }
}

#[test]
fn every_fact_that_is_hidden_keeps_an_agent_from_being_restarted() {
    let case = disconnected().patient();
    assert_eq!(effect(&case.plan(ecs_lost)), Some(Effect::RestartEcsAgent));
    for (name, hide) in FACTS {
        // The restart of the ECS agent ends no sessions.
        let allowed = CAREFUL.contains(&name) || name == "sessions";
        let plan = case.plan(|seen| ecs_lost(seen).with(|seen| hide(seen, Blind::Throttled)));
        let effect = effect(&plan);
        assert!(allowed || matches!(effect, None | Some(Effect::Probe)), "{name}: {effect:?}");
    }
}

#[test]
fn without_the_group_nobody_knows_the_budget() {
    let plan = silent().patient().plan(|seen| dead(seen).with(|seen| seen.group = Fact::Unknown(Blind::Throttled)));
    let refusal = parked(&plan).unwrap();
    assert_eq!(*refusal, Refusal::CannotSee { what: Sight::Group, blind: Blind::Throttled });
}

#[test]
fn a_blind_look_names_the_fact_that_it_lacks() {
    let plan = silent().patient().plan(|seen| dead(seen).with(|seen| seen.console = Fact::Unknown(Blind::Denied)));
    let refusal = parked(&plan).unwrap();
    assert_eq!(*refusal, Refusal::CannotSee { what: Sight::Console, blind: Blind::Denied });
    assert_eq!(refusal.to_string(), "could not read the console output: access denied");
}

#[test]
fn a_throttled_service_is_named_as_the_cause_when_nothing_else_is_known() {
    let case = silent().patient();
    let blind = |why| {
        let plan = case.plan(|seen| dead(seen).with(|seen| seen.ecs = Fact::Unknown(why)));
        plan.next.diagnosis.map(|found| found.cause)
    };
    assert_eq!(blind(Blind::Throttled), Some(Cause::ServiceUnavailable));
    assert_eq!(blind(Blind::Denied), None);
}

#[test]
fn nothing_is_sent_to_a_node_whose_tags_could_not_be_read() {
    let case = silent().patient();
    for (name, hide) in FACTS.into_iter().filter(|(name, _)| ["ec2", "asg", "ecs"].contains(name)) {
        let plan = case.plan(|seen| seen.in_cluster().in_group().ssm_doubtful().with(|seen| hide(seen, Blind::Denied)));
        assert_eq!((effect(&plan), plan.next.phase.name()), (None, "parked"), "{name}");
    }
}

#[test]
fn a_doubtful_node_is_asked_before_anything_else_and_only_asked() {
    let asked = silent().patient().look(Seen::ssm_doubtful);
    assert_eq!(asked.effect(), Some(Effect::Probe));
    let waiting = asked.done().wait(20);
    let sent_at = waiting.incident.probe.as_ref().unwrap().at;
    let pending = |seen: Seen| {
        let answer = crate::observe::ProbeAnswer::Pending;
        seen.ssm_doubtful().with(|seen| seen.probe = Fact::Known(crate::observe::Probe { sent_at, answer }))
    };
    let plan = waiting.plan(pending);
    assert_eq!((effect(&plan), plan.next.phase.name()), (None, "examining"));
    assert_eq!(effect(&waiting.wait(80).plan(pending)), Some(Effect::Reboot), "nobody picked it up in 90 s");
}

#[test]
fn an_answer_that_cannot_be_read_is_waited_for_and_then_given_up() {
    let asked = silent().patient().look(Seen::ssm_doubtful).done().wait(30);
    let blind = |seen: Seen| seen.ssm_doubtful().with(|seen| seen.probe = Fact::Unknown(Blind::Throttled));
    let waits = asked.clone().look(blind);
    assert_eq!((waits.effect(), waits.incident.phase.name()), (None, "examining"));
    let gave_up = asked.wait(1_800).look(blind);
    let refusal = parked(gave_up.last.as_ref().unwrap());
    assert_eq!(refusal, Some(&Refusal::CannotSee { what: Sight::Probe, blind: Blind::Throttled }));
}

#[test]
fn signs_of_trouble_are_not_enough_to_cycle_a_node() {
    // In mode `observe` without probes nobody may ask, so nothing is proven: what would be done is only told.
    let observing = silent().mode(Mode::Observe).patient().look(Seen::ssm_doubtful);
    assert_eq!((observing.effect(), observing.outcome()), (None, Some(Outcome::DryRun)));
    // Nor does a probe of a while ago that was lost, on a node that is connected.
    let stale = |seen: Seen| {
        let at = seen.at;
        seen.with_ssm(|ssm| ssm.last_ping = after(at, -1_200)).probe_lost(after(at, -200))
    };
    assert_eq!(effect(&silent().patient().plan(stale)), Some(Effect::Probe));
}

#[test]
fn unknown_sessions_stop_only_a_policy_that_waits_for_them() {
    let case = silent().patient();
    let hidden = |seen: Seen| dead(seen).with(|seen| seen.sessions = Fact::Unknown(Blind::Unavailable));
    let refusal = case.plan(hidden);
    assert_eq!(parked(&refusal).unwrap().to_string(), "could not read the live sessions: no answer from the service");
    let ignoring = case.policy(|policy| policy.sessions = SessionsRule::Ignore);
    assert_eq!(effect(&ignoring.plan(hidden)), Some(Effect::Reboot));
}

#[test]
fn an_unreadable_kill_switch_counts_as_paused() {
    let mut case = silent().patient();
    case.rails.switch = KillSwitch::Unreadable;
    assert_eq!(parked(&case.plan(dead)), Some(&Refusal::PauseUnreadable));
    case.rails.switch = KillSwitch::Paused;
    assert_eq!(parked(&case.plan(dead)), Some(&Refusal::Paused));
}

#[test]
fn work_of_others_on_a_silent_node_does_not_protect_it_but_a_deployment_does() {
    let case = silent().patient();
    assert_eq!(effect(&case.plan(|seen| dead(seen).busy(Busy::Patching))), Some(Effect::Reboot));
    let plan = case.plan(|seen| dead(seen).busy(Busy::Deployment));
    assert_eq!(parked(&plan), Some(&Refusal::OtherWork { work: Busy::Deployment }));
}
