//! What an incident says of itself, and what it takes over from a look.

use super::*;
use crate::event::{SignalKind, SweptAgent};
use crate::observe::samples::{Seen, command_trouble, ecs_disconnect, home, noon, seen};
use crate::observe::{Blind, Check, Connection, Fact, Workload};
use crate::time::{after, secs_between};

fn told(kind: SignalKind) -> Incident {
    let until = after(noon(), 120);
    Incident::open(&home(), &seen(noon()), Symptom { at: noon(), kind }, noon(), until)
}

fn swept(agent: SweptAgent) -> SignalKind {
    SignalKind::Swept { agent, since: Some(noon()) }
}

#[test]
fn systems_manager_should_know_what_a_sweep_missed_there() {
    assert!(told(swept(SweptAgent::Ssm)).expects_ssm());
    assert!(!told(swept(SweptAgent::Ecs)).expects_ssm());
    assert!(!told(command_trouble()).expects_ssm());
}

#[test]
fn a_hold_down_is_for_blips_and_what_outlasted_it_is_none() {
    assert!(told(swept(SweptAgent::Ssm)).is_beyond_a_blip());
    let mut incident = told(ecs_disconnect());
    assert!(!incident.is_beyond_a_blip());
    incident.phase = Phase::Examining { since: noon(), deadline: after(noon(), 600), sending: None };
    assert!(incident.is_beyond_a_blip());
    incident.phase = Phase::Closed { at: noon(), ending: Ending::Gone };
    assert!(!incident.is_beyond_a_blip());
}

/// An ECS agent that is away, so many seconds after noon.
fn away(secs: i64) -> Seen {
    seen(after(noon(), secs)).ecs_lost()
}

fn ssm(seen: Seen, connection: Fact<Connection>) -> Seen {
    seen.with_ssm(|ssm| ssm.connection = connection)
}

fn run_after(looks: impl IntoIterator<Item = Seen>) -> Option<Run> {
    let mut incident = told(ecs_disconnect());
    for look in looks {
        incident.see(&look);
    }
    incident.ecs_down
}

#[test]
fn looks_that_are_far_apart_show_no_run() {
    let since = |gap| run_after([away(0), away(gap)]).unwrap().since;
    assert_eq!(since(360), noon());
    assert_eq!(since(361), after(noon(), 361));
}

#[test]
fn an_ssm_agent_that_could_not_be_read_is_as_it_was() {
    let lost = |secs| ssm(away(secs), Fact::Known(Connection::NotConnected));
    let blind = |secs| ssm(away(secs), Fact::Unknown(Blind::Throttled));
    assert!(run_after([lost(0), blind(60)]).unwrap().ssm_away);
    assert!(!run_after([away(0), blind(60)]).unwrap().ssm_away);
    assert!(run_after([away(0), lost(60)]).unwrap().ssm_away);
}

#[test]
fn what_ecs_once_called_impaired_it_must_take_back_itself() {
    let checked = |secs, check| away(secs).with_ecs(|ecs| ecs.agent_check = check);
    let impaired = |looks: &[(i64, Check)]| {
        run_after(looks.iter().map(|&(secs, check)| checked(secs, check)))
            .map(|run| (run.impaired, secs_between(noon(), run.since)))
    };
    assert_eq!(impaired(&[(0, Check::Impaired), (60, Check::Undecided)]), Some((true, 0)));
    assert_eq!(impaired(&[(0, Check::Undecided), (60, Check::Impaired)]), Some((true, 0)));
    assert_eq!(impaired(&[(0, Check::Undecided), (60, Check::Ok)]), Some((false, 0)));
    assert_eq!(impaired(&[(0, Check::Impaired), (60, Check::Ok)]), Some((false, 60)), "it came back, and is away anew");
}

#[test]
fn what_is_empty_takes_no_room_in_a_stored_incident() {
    let stored = |incident: &Incident| serde_json::to_value(incident).unwrap()["place"].clone();
    let mut incident = told(command_trouble());
    let place = stored(&incident);
    assert!(place.get("services").is_none() && place.get("factors").is_none(), "{place}");
    incident.place.services = Arc::from(["web".parse().unwrap()]);
    incident.place.factors = Arc::from([Factor::Subnet("subnet-1".parse().unwrap())]);
    let place = stored(&incident);
    assert!(place.get("services").is_some() && place.get("factors").is_some(), "{place}");
}

#[test]
fn a_result_has_its_word() {
    use AttemptResult::{Failed, Helped, NotSent, Refused, Running};
    let words = [Running, Helped, Failed, Refused, NotSent].map(AttemptResult::as_str);
    assert_eq!(words, ["running", "helped", "failed", "refused", "not-sent"]);
}

#[test]
fn services_are_remembered_when_their_tasks_have_left() {
    let mut incident = told(command_trouble());
    let serving = |services: &[&str]| {
        let services = services.iter().map(|name| name.parse().unwrap()).collect();
        let workload = Workload { services, ..Workload::default() };
        seen(noon()).in_cluster().with(|seen| seen.workload = Fact::Known(workload))
    };
    let known = |incident: &Incident| incident.place.services.iter().map(ToString::to_string).collect::<Vec<_>>();
    incident.see(&serving(&["web"]));
    incident.see(&serving(&[]));
    assert_eq!(known(&incident), ["web"]);
    incident.see(&serving(&["web", "jobs"]));
    assert_eq!(known(&incident), ["web", "jobs"]);
}
