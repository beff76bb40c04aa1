//! What a sweep decides about many nodes, told as stories.

use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::diagnose::Cause;
use crate::engine::{Context, Trigger};
use crate::event::{Signal, SignalKind, SweptAgent};
use crate::guard::Scope;
use crate::incident::held::Ghost;
use crate::incident::{Ending, IncidentId, Outcome, Phase, Remedy, Symptom};
use crate::observe::samples::{command_id, command_trouble, ecs_disconnect, home, noon, seen, swept_ssm};
use crate::policy::Mode;
use crate::ports::{Found, LastIncident, OutboxItem, ReportId, Survey};
use crate::report::{Report, ReportKind};
use crate::time::after;

fn at(secs: i64) -> Timestamp {
    after(noon(), secs)
}

fn node(number: u128) -> NodeId {
    NodeId::numbered(number)
}

fn context() -> Context {
    Context { home: home(), policy: Policy::in_mode(Mode::Replace) }
}

fn signal(number: u128) -> Signal {
    Signal { node: node(number), at: noon(), kind: SignalKind::Swept { agent: SweptAgent::Ssm, since: None } }
}

fn found(number: u128, dead_secs: i64) -> Found {
    Found { signal: signal(number), since: Some(at(-dead_secs)), last: None }
}

fn subnet() -> Factor {
    Factor::Subnet("subnet-0a1b".parse().unwrap())
}

/// A survey after the first one.
fn survey() -> Survey {
    let bulletin =
        Bulletin { baseline: Some(Baseline { at: at(-600), nodes: Vec::new() }), fleet: 100, ..Bulletin::default() };
    around(Survey { fleet: 100, ..Survey::default() }, |around| around.bulletin = Arc::new(bulletin))
}

fn around(mut survey: Survey, change: impl FnOnce(&mut Around)) -> Survey {
    change(Arc::make_mut(&mut survey.around));
    survey
}

/// What the next sweep sees of what this one saved.
fn later(survey: &Survey, sweep: &Sweep) -> Survey {
    let saved = sweep.post.as_ref().map_or_else(|| Arc::clone(&survey.around.bulletin), |post| Arc::clone(&post.next));
    let told = sweep.post.as_ref().map_or(&[][..], |post| &post.told);
    let mut next = around(survey.clone(), |around| around.bulletin = saved);
    next.gathered.retain(|item| !told.contains(&item.id));
    next
}

fn stormy(survey: Survey) -> Survey {
    around(survey, |around| {
        let bulletin = Arc::make_mut(&mut around.bulletin);
        let limits = Limits::of(&Policy::default()).breaker;
        for number in 0..10 {
            bulletin.breaker.troubled(node(number), noon(), &limits, 100);
        }
    })
}

/// A report that waits to be told with others.
fn gathered(number: u128, gather: Gather, secs: i64) -> Arc<OutboxItem> {
    let symptom = Symptom { at: noon(), kind: command_trouble() };
    let seen = seen(noon()).with(|seen| seen.node = node(number));
    let mut incident = Incident::open(&home(), &seen, symptom, noon(), noon());
    incident.phase = Phase::Closed { ending: Ending::ScriptTimedOut, at: at(secs) };
    let report = Report { kind: ReportKind::Ended, at: at(secs), mode: Mode::Replace, incident: Arc::new(incident) };
    let id = ReportId { incident: report.incident.id, outcome: Outcome::NotOurs, n: 1 };
    Arc::new(OutboxItem { id, report, gather: Some(gather) })
}

fn peer(number: u128, shared: Option<Factor>) -> Peer {
    let incident = IncidentId::new(noon(), node(number));
    Peer { incident, first_seen: noon(), beyond_a_blip: true, factors: Arc::from([]), shared, command: None }
}

fn kinds(sweep: &Sweep) -> Vec<(DigestKind, u32, bool)> {
    let digests = sweep.post.iter().flat_map(|post| post.digests.iter());
    digests.map(|digest| (digest.id.kind, digest.id.n, digest.over)).collect()
}

fn followed(sweep: &Sweep) -> Vec<NodeId> {
    let of = |trigger: &Trigger| match trigger {
        Trigger::Signal(signal) => Some(signal.node),
        Trigger::Wake(_) | Trigger::Operator(_) | Trigger::Sweep => None,
    };
    sweep.follow.iter().filter_map(of).collect()
}

#[test]
fn what_the_first_sweep_finds_long_dead_is_one_digest_and_no_incident() {
    let first = Survey { troubled: vec![found(1, 3_600), found(2, 3_599)], fleet: 9, ..Survey::default() };
    let swept = sweep(&first, &context(), noon());
    assert_eq!(followed(&swept), [node(2)], "what died within the hour is news");
    assert_eq!(kinds(&swept), [(DigestKind::Baseline, 1, false)]);
    let post = swept.post.as_ref().unwrap();
    assert_eq!((post.digests[0].open, post.digests[0].fleet), (1, 9));
    let next = later(&first, &swept);
    let again = sweep(&next, &context(), at(300));
    assert_eq!((followed(&again), kinds(&again)), (vec![node(2)], vec![]), "it stays old news");
    let back = Survey { troubled: Vec::new(), ..next };
    let swept = sweep(&back, &context(), at(600));
    assert!(!swept.post.unwrap().next.is_baseline(node(1)), "it came back, and is looked after from now on");
}

#[test]
fn nobody_knows_how_long_it_has_been_dead_so_it_is_old_news_at_first() {
    let first = Survey { troubled: vec![Found { signal: signal(1), since: None, last: None }], ..Survey::default() };
    assert!(sweep(&first, &context(), noon()).post.unwrap().next.is_baseline(node(1)));
}

#[test]
fn a_quiet_sweep_saves_nothing() {
    let swept = sweep(&survey(), &context(), noon());
    assert_eq!((swept.post, swept.follow), (None, vec![]));
}

#[test]
fn who_waited_longest_comes_first_and_the_rest_costs_no_look() {
    let mut context = context();
    context.policy.budgets.watched_incidents = 5;
    let crowded = around(survey(), |around| (around.watched, around.parked) = (2, 1));
    let troubled = [1, 3, 4, 5, 6].map(|number| found(number, 900)).into();
    let crowded = Survey { troubled, waiting: vec![signal(1)], ..crowded };
    let swept = sweep(&crowded, &context, noon());
    assert_eq!(followed(&swept), [node(1), node(3)], "two places are left");
    let post = swept.post.as_ref().unwrap();
    assert_eq!(post.unshelve, [node(1)]);
    assert_eq!(post.shelve.iter().map(|signal| signal.node).collect::<Vec<_>>(), [node(4), node(5), node(6)]);
    assert_eq!(kinds(&swept), [(DigestKind::Storm, 1, false)], "nodes wait: that is told");
    assert_eq!(post.digests[0].waiting, 4, "one incident that is parked, three nodes on the shelf");
}

#[test]
fn a_storm_is_told_at_once_then_every_quarter_of_an_hour_if_there_is_news_and_when_it_is_over() {
    let storm = stormy(survey());
    let first = sweep(&storm, &context(), at(60));
    assert_eq!(kinds(&first), [(DigestKind::Storm, 1, false)]);
    let mut next = later(&storm, &first);
    next.gathered = vec![gathered(7, Gather::Storm, 100)];
    let early = sweep(&next, &context(), at(60 + 899));
    assert_eq!(kinds(&early), [], "too soon, and what is gathered waits");
    let second = sweep(&next, &context(), at(60 + 900));
    assert_eq!(kinds(&second), [(DigestKind::Storm, 2, false)]);
    let digest = &second.post.as_ref().unwrap().digests[0];
    assert_eq!((digest.rows[0].node, digest.rows[0].outcome), (node(7), Some(Outcome::NotOurs)));
    assert_eq!(digest.id.thread(), first.post.as_ref().unwrap().digests[0].id.thread(), "one thread");
    let next = later(&next, &second);
    assert_eq!(kinds(&sweep(&next, &context(), at(60 + 2_000))), [], "no news");
    let closed = around(next, |around| Arc::make_mut(&mut around.bulletin).breaker.trips.clear());
    let third = sweep(&closed, &context(), at(60 + 2_300));
    assert_eq!(kinds(&third), [(DigestKind::Storm, 3, true)]);
    assert!(third.post.as_ref().unwrap().next.episodes.is_empty());
    assert_eq!(kinds(&sweep(&later(&closed, &third), &context(), at(60 + 2_600))), []);
}

#[test]
fn what_was_told_already_takes_nobodys_place() {
    let blocked = LastIncident {
        id: IncidentId::new(at(-7_500), node(1)),
        outcome: Outcome::Blocked,
        cause: Cause::SsmAgentHung,
        at: at(-7_200 - 900),
        command: None,
        allowed: None,
        acted_at: None,
    };
    let told = Found { last: Some(blocked.clone()), ..found(1, 9_000) };
    let survey = Survey { troubled: vec![told, found(2, 600)], ..survey() };
    assert_eq!(followed(&sweep(&survey, &context(), noon())), [node(2)]);
    // An hour after it was told it may be looked at again: after what is new, and only where there is room.
    let hourly = Found { last: Some(LastIncident { at: at(-7_300), ..blocked.clone() }), ..found(1, 9_000) };
    let mut narrow = context();
    narrow.policy.budgets.watched_incidents = 1;
    let both = Survey { troubled: vec![hourly, found(2, 600)], ..survey.clone() };
    assert_eq!(followed(&sweep(&both, &context(), noon())), [node(2), node(1)]);
    let one = sweep(&both, &narrow, noon());
    assert_eq!((followed(&one), one.post), (vec![node(2)], None), "nothing new waits for no place");
    let lately = Found { last: Some(LastIncident { at: at(-1_000), ..blocked }), ..found(1, 9_000) };
    let on_the_shelf = Survey { troubled: vec![lately], waiting: vec![signal(1)], ..survey };
    let swept = sweep(&on_the_shelf, &context(), noon());
    assert_eq!((followed(&swept), swept.post.unwrap().unshelve.clone()), (vec![], vec![node(1)]));
}

#[test]
fn who_got_well_while_waiting_leaves_the_shelf_without_a_look() {
    let waiting = |number, kind| Signal { node: node(number), at: noon(), kind };
    let survey = Survey {
        troubled: vec![found(1, 600)],
        waiting: vec![
            waiting(1, swept_ssm()),
            waiting(2, swept_ssm()),
            waiting(3, ecs_disconnect()),
            waiting(4, command_trouble()),
        ],
        ..survey()
    };
    let swept = sweep(&survey, &context(), at(60));
    let looked = |number, kind| Trigger::Signal(waiting(number, kind));
    let looks = [looked(1, swept_ssm()), looked(4, command_trouble())];
    assert_eq!(swept.follow, looks, "what became of a command no sweep sees");
    let mut left = swept.post.unwrap().unshelve.clone();
    left.sort_unstable();
    assert_eq!(left, [1, 2, 3, 4].map(node));
}

#[test]
fn a_remedy_that_does_not_help_is_told_though_there_is_no_storm() {
    let tried = |number| Tried {
        incident: IncidentId::new(noon(), node(number)),
        scope: Scope::Account,
        remedy: Remedy::Reboot,
        helped: false,
    };
    let failing = around(survey(), |around| {
        let limits = Limits::of(&Policy::default()).breaker;
        for number in 1..=4 {
            Arc::make_mut(&mut around.bulletin).breaker.tried(&tried(number), noon(), &limits);
        }
    });
    let swept = sweep(&failing, &context(), at(60));
    assert_eq!(kinds(&swept), [(DigestKind::Storm, 1, false)]);
    assert!(!failing.around.in_storm(), "reports about single nodes go out as ever");
}

#[test]
fn a_shared_cause_is_one_thread_that_names_what_is_shared() {
    let together = around(survey(), |around| {
        around.peers = (1..=4).map(|number| peer(number, (number < 4).then(subnet))).collect();
    });
    let together = Survey { gathered: vec![gathered(1, Gather::Shared(subnet()), 100)], ..together };
    let first = sweep(&together, &context(), at(120));
    assert_eq!(kinds(&first), [(DigestKind::SharedCause, 1, false)]);
    let digest = &first.post.as_ref().unwrap().digests[0];
    assert_eq!((digest.open, digest.factor.clone()), (3, Some(subnet())));
    assert_eq!(digest.rows.iter().map(|row| row.node).collect::<Vec<_>>(), [node(1), node(2), node(3)]);
    let over = around(later(&together, &first), |around| around.peers = Arc::from([]));
    assert_eq!(kinds(&sweep(&over, &context(), at(120 + 899))), []);
    assert_eq!(kinds(&sweep(&over, &context(), at(120 + 900))), [(DigestKind::SharedCause, 2, true)]);
}

#[test]
fn one_command_on_many_nodes_is_one_message_and_on_one_node_its_own() {
    let gather = || Gather::Command(command_id());
    let one = Survey { gathered: vec![gathered(1, gather(), 0)], ..survey() };
    assert_eq!(kinds(&sweep(&one, &context(), at(239))), [], "the others may still come");
    let alone = sweep(&one, &context(), at(240));
    assert_eq!((kinds(&alone), alone.post.as_ref().unwrap().release.len()), (vec![], 1));
    let many = Survey { gathered: (1..=30).map(|number| gathered(number, gather(), 0)).collect(), ..survey() };
    let told = sweep(&many, &context(), at(240));
    assert_eq!(kinds(&told), [(DigestKind::Command, 1, false)]);
    let post = told.post.as_ref().unwrap();
    assert_eq!((post.told.len(), post.digests[0].rows.len()), (30, 30));
    let document = post.digests[0].command.as_ref().and_then(|(_, document)| document.clone());
    assert_eq!(document.map(|document| document.to_string()).as_deref(), Some("AWS-RunShellScript"));
}

#[test]
fn what_a_digest_cannot_list_it_counts() {
    let gather = || Gather::Command(command_id());
    let many = Survey { gathered: (1..=203).map(|number| gathered(number, gather(), 0)).collect(), ..survey() };
    let told = sweep(&many, &context(), at(240)).post.unwrap();
    assert_eq!((told.digests[0].rows.len(), told.digests[0].more), (digest::ROWS_MAX, 3));
}

#[test]
fn episodes_of_one_kind_that_begin_together_have_names_of_their_own() {
    let role = Factor::Role("web-role".parse().unwrap());
    let both = around(survey(), |around| {
        around.peers = [peer(1, Some(subnet())), peer(2, Some(role))].into();
    });
    let told = sweep(&both, &context(), noon()).post.unwrap();
    let threads: Vec<String> = told.digests.iter().map(|digest| digest.id.thread()).collect();
    assert_eq!(threads, ["shared-cause-20261120T120000Z", "shared-cause-20261120T120000Z-1"]);
}

#[test]
fn reports_are_gathered_by_what_their_incidents_have_in_common() {
    let symptom = |kind| Symptom { at: noon(), kind };
    let mut incident = Incident::open(&home(), &seen(noon()), symptom(swept_ssm()), noon(), noon());
    let calm = Around::nothing();
    assert_eq!(calm.gather(&incident), None);
    let waiting = Around { shelved: 1, ..Around::nothing() };
    assert_eq!(waiting.gather(&incident), Some(Gather::Storm));
    incident.shared = Some(subnet());
    assert_eq!(waiting.gather(&incident), Some(Gather::Shared(subnet())), "what is closer goes first");
    let mut of_command = Incident::open(&home(), &seen(noon()), symptom(command_trouble()), noon(), noon());
    let same = |number| Peer { command: Some(command_id()), ..peer(number, None) };
    let three = Around { peers: [same(1), same(2)].into(), ..Around::nothing() };
    assert_eq!(three.gather(&of_command), Some(Gather::Command(command_id())));
    let two = Around { peers: [same(1)].into(), ..Around::nothing() };
    assert_eq!(two.gather(&of_command), None);
    of_command.phase = Phase::Closed { ending: Ending::ScriptTimedOut, at: noon() };
    assert_eq!(calm.gather(&of_command), Some(Gather::Command(command_id())), "held back until the next sweep");
}

#[test]
fn what_is_left_of_a_gone_instance_is_told_once_after_an_hour_and_never_while_it_is_repaired() {
    let arn = "arn:aws:ecs:us-east-1:111122223333:";
    let ghost = |number: u128| Ghost {
        node: node(number),
        cluster: format!("{arn}cluster/blue").parse().unwrap(),
        container_instance: format!("{arn}container-instance/blue/{number}").parse().unwrap(),
    };
    let first = Survey { ghosts: vec![ghost(1), ghost(2)], ..survey() };
    let swept = sweep(&first, &context(), noon());
    assert_eq!(kinds(&swept), [], "ECS removes most of them by itself");
    let early = later(&first, &swept);
    assert_eq!(kinds(&sweep(&early, &context(), at(3_599))), []);
    // One of them is being replaced by us.
    let busy = around(early.clone(), |around| around.peers = Arc::from([peer(2, None)]));
    let told = sweep(&busy, &context(), at(3_600));
    assert_eq!(kinds(&told), [(DigestKind::Ghosts, 1, false)]);
    let digest = &told.post.as_ref().unwrap().digests[0];
    assert_eq!(digest.ghosts.iter().map(|ghost| ghost.node).collect::<Vec<_>>(), [node(1)]);
    let rest = later(&early, &told);
    let second = sweep(&rest, &context(), at(3_900));
    assert_eq!(second.post.as_ref().unwrap().digests[0].ghosts.len(), 1, "the other one, once nobody repairs it");
    let silent = sweep(&later(&rest, &second), &context(), at(90_000));
    assert_eq!(kinds(&silent), [], "each is told once");
    let gone = Survey { ghosts: Vec::new(), ..later(&rest, &second) };
    assert!(sweep(&gone, &context(), at(90_000)).post.unwrap().next.ghosts.is_empty());
}
