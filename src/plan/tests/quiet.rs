//! What was told once, and when it is told again.

use super::opening::nothing_loaded;
use super::*;
use crate::diagnose::Cause;
use crate::engine::IgnoreReason;
use crate::event::SweptAgent;
use crate::incident::{IncidentId, Outcome};
use crate::observe::Blind;
use crate::observe::samples::{command_id, command_trouble};
use crate::ports::LastIncident;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

fn context(mode: Mode) -> Context {
    Context { home: home(), policy: Policy::in_mode(mode) }
}

/// The node's last incident, which ended so many seconds before noon.
fn last(outcome: Outcome, ago: i64) -> LastIncident {
    let at = after(noon(), -ago);
    LastIncident {
        id: IncidentId::new(at, node_id()),
        outcome,
        cause: Cause::EcsAgentHung,
        at,
        command: None,
        allowed: Some(Mode::Cycle),
        acted_at: None,
    }
}

/// The ECS agent has been away since so many seconds before noon.
fn away(ago: i64) -> impl FnOnce(Seen) -> Seen {
    move |seen| seen.ecs_lost().with_ecs(|ecs| ecs.impaired_since = Some(after(noon(), -ago)))
}

fn swept(since: Option<i64>) -> SignalKind {
    SignalKind::Swept { agent: SweptAgent::Ecs, since: since.map(|ago| after(noon(), -ago)) }
}

/// Whether a signal about a node with this past opens an incident.
fn heard(
    kind: SignalKind,
    last: LastIncident,
    mode: Mode,
    tell: impl FnOnce(Seen) -> Seen,
) -> Result<Plan, IgnoreReason> {
    let signal = Signal { node: node_id(), at: noon(), kind };
    let (loaded, context) = (Loaded { last: Some(last), ..nothing_loaded() }, context(mode));
    admit(&signal, &loaded, &context, noon())?;
    match open(&signal, &tell(seen(noon())), &loaded, &context, noon()) {
        Opening::Open(plan) => Ok(*plan),
        Opening::Ignore(reason) => Err(reason),
    }
}

fn quiet(result: &Result<Plan, IgnoreReason>) -> bool {
    match result {
        Ok(_) => false,
        Err(reason) => {
            assert_eq!(*reason, IgnoreReason::ToldAlready);
            true
        }
    }
}

#[test]
fn what_is_left_of_a_node_that_is_gone_opens_nothing_until_an_agent_speaks() {
    let blind = |why, pinged: i64, connected| {
        move |seen: Seen| {
            let seen = seen.ecs_lost().with_ecs(|ecs| ecs.connected = connected);
            let seen = seen.ssm_doubtful().with_ssm(|ssm| ssm.last_ping = after(noon(), -pinged));
            seen.with(|seen| seen.ec2 = Fact::Unknown(why))
        }
    };
    let opened = |outcome, tell: &dyn Fn(Seen) -> Seen| {
        heard(command_trouble(), last(outcome, 600), Mode::Cycle, tell).map(|_| ())
    };
    for outcome in [Outcome::Gone, Outcome::Replaced] {
        for pinged in [601, 600] {
            assert_eq!(opened(outcome, &blind(Blind::Throttled, pinged, false)), Err(IgnoreReason::NotSeen));
        }
        assert_eq!(opened(outcome, &blind(Blind::Denied, 601, false)), Err(IgnoreReason::UnknownNode));
        assert_eq!(opened(outcome, &blind(Blind::Throttled, 599, false)), Ok(()), "it spoke since");
        assert_eq!(opened(outcome, &blind(Blind::Throttled, 601, true)), Ok(()), "ECS has it connected");
    }
    assert_eq!(opened(Outcome::Fixed, &blind(Blind::Throttled, 601, false)), Ok(()));
}

#[test]
fn whose_session_was_refused_is_asked_once_an_hour_at_most() {
    let asked = |cause, ago| {
        let past = LastIncident { cause, ..last(Outcome::SelfHealed, ago) };
        heard(SignalKind::SessionRefused, past, Mode::Cycle, Seen::in_cluster).map(|_| ())
    };
    assert_eq!(asked(Cause::SessionClientGaveUp, 3_599), Err(IgnoreReason::AlreadyWell));
    assert_eq!(asked(Cause::SessionClientGaveUp, 3_600), Ok(()));
    assert_eq!(asked(Cause::Unknown, 60), Ok(()), "something else was told");
}

#[test]
fn what_was_told_is_not_told_again_for_a_day_while_nothing_changes() {
    for outcome in Outcome::ALL {
        let unrepaired = matches!(outcome, Outcome::Blocked | Outcome::DryRun | Outcome::NotOurs);
        for kind in [ecs_disconnect(), swept(Some(2 * DAY))] {
            let told = |ago| quiet(&heard(kind.clone(), last(outcome, ago), Mode::Cycle, away(2 * DAY)));
            assert_eq!(told(DAY - 1), unrepaired, "{outcome}");
            assert!(!told(DAY), "{outcome} a day ago");
        }
    }
}

#[test]
fn a_scripts_own_fault_says_nothing_about_the_nodes_next_trouble() {
    let script = LastIncident { cause: Cause::CommandScriptTimeout, ..last(Outcome::NotOurs, 60) };
    assert!(!quiet(&heard(ecs_disconnect(), script, Mode::Cycle, away(2 * DAY))));
}

#[test]
fn a_node_that_got_well_and_falls_ill_again_is_told_about_again_but_once_an_hour_at_most() {
    for kind in [ecs_disconnect(), swept(Some(60)), swept(None)] {
        let again = |ago| quiet(&heard(kind.clone(), last(Outcome::Blocked, ago), Mode::Cycle, away(60)));
        assert!(again(HOUR - 1), "{kind:?}");
        assert!(!again(HOUR), "{kind:?}");
    }
    // Dead since before the end of the incident that told of it.
    assert!(quiet(&heard(ecs_disconnect(), last(Outcome::Blocked, HOUR), Mode::Cycle, away(HOUR + 60))));
    let silent_since = |ago: i64| move |seen: Seen| dead(seen).with_ssm(|ssm| ssm.last_ping = after(noon(), -ago));
    let told = |ago| quiet(&heard(command_trouble(), last(Outcome::NotOurs, HOUR), Mode::Cycle, silent_since(ago)));
    assert!(!told(HOUR - 1), "its agent has spoken since then");
    assert!(told(HOUR), "its agent has not");
}

#[test]
fn more_that_defib_may_do_is_news() {
    let before = |allowed| LastIncident { allowed: Some(allowed), ..last(Outcome::DryRun, HOUR) };
    let told = |allowed, mode| quiet(&heard(ecs_disconnect(), before(allowed), mode, away(2 * DAY)));
    assert!(!told(Mode::Observe, Mode::Restart), "the mode was raised");
    assert!(told(Mode::Restart, Mode::Restart), "as before");
    assert!(told(Mode::Cycle, Mode::Restart), "less than before");
    let nobodys = |seen: Seen| away(2 * DAY)(seen).with_ec2(|ec2| ec2.tags.managed = false);
    assert!(quiet(&heard(ecs_disconnect(), before(Mode::Observe), Mode::Cycle, nobodys)), "not opted in, as before");
    let hybrid = |seen: Seen| away(2 * DAY)(seen.hybrid()).with_ssm(|ssm| ssm.tags = Fact::Unknown(Blind::Throttled));
    assert!(quiet(&heard(ecs_disconnect(), before(Mode::Observe), Mode::Cycle, hybrid)), "its tags are those of SSM");
    let unread = |seen: Seen| away(2 * DAY)(seen).with(|look| look.asg = Fact::Unknown(Blind::Throttled));
    assert!(quiet(&heard(ecs_disconnect(), before(Mode::Observe), Mode::Cycle, unread)), "a tag may lower it still");
}

#[test]
fn sweeps_have_a_quiet_node_looked_at_right_after_each_full_hour() {
    let looked = |since, ago| {
        let signal = Signal { node: node_id(), at: noon(), kind: swept(Some(since)) };
        !is_no_news(&signal, Some(&last(Outcome::Blocked, ago)), &context(Mode::Cycle), noon())
    };
    let sweeps = |since| (0..24).map(|number| 10 + number * 300).filter(move |ago| looked(since, *ago));
    assert_eq!(sweeps(2 * DAY).collect::<Vec<_>>(), [3_610, 3_910], "of two hours of sweeps");
    assert_eq!(sweeps(60).count(), 12, "in the second hour each, as it fell ill anew");
    assert!(looked(2 * DAY, HOUR + 599) && !looked(2 * DAY, HOUR + 600));
    let signal = Signal { node: node_id(), at: noon(), kind: swept(Some(2 * DAY)) };
    assert!(!is_no_news(&signal, None, &context(Mode::Cycle), noon()), "nothing was told of it");
}

#[test]
fn the_end_of_one_command_is_told_once_however_often_it_is_delivered() {
    let past = LastIncident { command: Some(command_id()), ..last(Outcome::Fixed, 10 * DAY) };
    assert!(quiet(&heard(command_trouble(), past, Mode::Cycle, dead)));
}

#[test]
fn the_cooldown_is_the_nodes_and_not_the_incidents() {
    let acted = |secs: i64| LastIncident { acted_at: Some(after(noon(), -secs)), ..last(Outcome::Fixed, 30) };
    let opened = |secs| heard(ecs_disconnect(), acted(secs), Mode::Cycle, away(20)).unwrap().next;
    let policy = Policy { cooldown_secs: 900, ..Policy::in_mode(Mode::Cycle) };
    let until = |incident: &Incident, secs| crate::guard::gates::cooldown(incident, &policy, after(noon(), secs));
    assert_eq!(until(&opened(60), 839), Err(Refusal::Cooldown { until: after(noon(), 840) }));
    assert_eq!(until(&opened(60), 840), Ok(()));
    let later =
        crate::incident::Incident { phase: Phase::Closed { ending: Ending::SelfHealed, at: noon() }, ..*opened(60) };
    assert_eq!(
        LastIncident::of(&later).unwrap().acted_at,
        Some(after(noon(), -60)),
        "through an incident without a try"
    );
}

#[test]
fn whoever_opened_an_incident_on_an_old_word_learns_of_the_try_before_it() {
    let acted = |secs: i64| LastIncident { acted_at: Some(after(noon(), -secs)), ..last(Outcome::Fixed, 30) };
    let opened = heard(ecs_disconnect(), last(Outcome::Fixed, 30), Mode::Cycle, away(20)).unwrap().next;
    let known = |last: &LastIncident| informed(&opened, Some(last)).acted_before;
    assert_eq!((opened.acted_before, known(&acted(60))), (None, Some(after(noon(), -60))));
    let own = LastIncident { id: opened.id, ..acted(60) };
    assert_eq!(known(&own), None, "its own tries stand in its record");
    let later = Incident { acted_before: Some(after(noon(), -10)), ..*opened.clone() };
    assert_eq!(informed(&later, Some(&acted(60))).acted_before, Some(after(noon(), -10)), "the later one counts");
}
