//! The node side of the AWS edge against the simulated account's HTTP door: what is seen, what is done, and what each costs.

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // So may helpers of tests.

mod fleet_door;

use defib::diagnose::Cause;
use defib::effect::{Effect, IntentId, Target};
use defib::event::{SignalKind, SweptAgent};
use defib::guard::gates;
use defib::incident::IncidentId;
use defib::incident::held::Ghost;
use defib::node::NodeId;
use defib::observe::{
    Blind, Busy, EcsStatus, Fact, Health, InstanceState, Lifecycle, Look, Observation, ProbeAnswer, Sessions, Spare,
    Standing,
};
use defib::ports::{Perform, Performed};
use fleet_door::Door;
use jiff::SignedDuration;
use serde_json::{Value, json};

const ECS_LOST: &str = "i-0a1b2c3d4e5f60718";
const SSM_LOST: &str = "i-0a1b2c3d4e5f60719";
const WELL: &str = "i-0a1b2c3d4e5f6071a";
const NO_PROFILE: &str = "i-0a1b2c3d4e5f6071b";
const PLAIN: &str = "i-0a1b2c3d4e5f6071c";
const UNKNOWN: &str = "i-0000000000000dead";

fn world() -> Value {
    let tags = json!({"defib:managed": "true"});
    let member = |id: &str, name: &str| json!({"id": id, "name": name, "tags": tags, "cluster": "prod-web", "group": "prod-web-asg"});
    let (mut ecs_lost, mut ssm_lost, mut well) =
        (member(ECS_LOST, "web-1"), member(SSM_LOST, "web-2"), member(WELL, "web-3"));
    (ecs_lost["fault"], ecs_lost["since_secs"]) = (json!("ecs-agent.stopped"), json!(900));
    (ssm_lost["fault"], ssm_lost["since_secs"]) = (json!("ssm-agent.hung"), json!(1_500));
    (well["standalone"], well["protected"]) = (json!(1), json!(2));
    json!({
        "instances": [
            ecs_lost, ssm_lost, well,
            {"id": NO_PROFILE, "tags": tags, "fault": "identity.no-instance-profile", "since_secs": 2_000},
            {"id": PLAIN, "tags": tags},
            {"count": 8, "name": "bulk"},
        ],
        "groups": [{"name": "prod-web-asg", "min": 1, "max": 5}],
        "sessions": {WELL: 2},
        "calendars": {"Freeze": [{"secs": 3_600}]},
    })
}

async fn look(door: &Door, node: &str, look: &Look) -> Observation {
    let _ = door.calls();
    door.nodes.observe(id(node), look, door.now()).await
}

async fn perform(door: &Door, node: &str, effect: Effect, seen: &Observation) -> Performed {
    let target = Target {
        node: id(node),
        container_instance: seen.ecs.known().map(|ecs| (ecs.cluster.clone(), ecs.arn.clone())),
        group: seen.asg.known().map(|asg| asg.name.clone()),
    };
    let now = door.now();
    let not_after = now + SignedDuration::from_secs(20);
    let incident = IncidentId::new(now, id(node));
    let perform = Perform { incident, intent: IntentId(1), effect, target, not_after };
    door.nodes.perform(&perform, now).await
}

fn id(node: &str) -> NodeId {
    node.parse().unwrap()
}

fn close() -> Look {
    Look { close: true, ..Look::default() }
}

/// Runs a story on a runtime like the function's.
fn run<F: Future<Output = ()>>(story: F) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story);
}

#[test]
fn an_unknown_id_costs_one_read() {
    run(async {
        let door = Door::open(&world()).await;
        let seen = look(&door, UNKNOWN, &Look::default()).await;
        assert_eq!((&seen.ec2, &seen.ssm, &seen.ecs), (&Fact::Absent, &Fact::Absent, &Fact::Absent));
        assert_eq!(door.calls(), ["DescribeInstances"]);
    });
}

#[test]
fn a_plain_look_at_what_ecs_told_of_costs_two_calls() {
    run(async {
        let door = Door::open(&world()).await;
        let first = look(&door, ECS_LOST, &Look::default()).await;
        let ecs = first.ecs.known().unwrap();
        let named = Look {
            container_instance: Some((ecs.cluster.clone(), ecs.arn.clone())),
            only_ecs: true,
            ..Look::default()
        };
        let seen = look(&door, ECS_LOST, &named).await;
        assert_eq!(seen.ssm, Fact::Unknown(Blind::NotRead));
        assert_eq!(Health::of(&seen, door.now()).ecs, Standing::Ill);
        let mut calls = door.calls();
        calls.sort();
        assert_eq!(calls, ["DescribeContainerInstances", "DescribeInstances"]);
        let _ = look(&door, WELL, &Look::default()).await;
        let seen = look(&door, WELL, &Look { only_ecs: true, close: true, ..Look::default() }).await;
        assert!(Health::of(&seen, door.now()).is_well());
        assert_eq!(door.calls(), ["DescribeInstances", "DescribeContainerInstances"], "it came back by itself");
    });
}

#[test]
fn a_close_look_sees_everything_that_a_decision_needs() {
    run(async {
        let door = Door::open(&world()).await;
        for node in [ECS_LOST, SSM_LOST] {
            let asked = Look { calendar: Some("Freeze".parse().unwrap()), ..close() };
            let seen = look(&door, node, &asked).await;
            println!("{node}: {:?}", door.calls());
            assert_eq!(gates::sight(&seen), Ok(()), "{seen:#?}");
            let calendar = seen.calendar.known().unwrap();
            assert!(!calendar.open && calendar.changes_at.is_some());
            // On a node whose SSM agent is not connected no command runs.
            let busy = if node == ECS_LOST { Fact::Known(Busy::Idle) } else { Fact::Absent };
            assert_eq!((&seen.busy, &seen.sessions), (&busy, &Fact::Known(Sessions::default())));
            let asg = seen.asg.known().unwrap();
            assert_eq!((asg.lifecycle, asg.in_service, asg.desired), (Lifecycle::InService, 3, 3));
            let group = seen.group.known().unwrap();
            assert_eq!((&*group.name, group.size, group.unhealthy), ("prod-web", 3, 2));
            let again = look(&door, node, &asked).await;
            println!("{node} again: {:?}", door.calls());
            assert_eq!(again.group, seen.group);
        }
        let standing = |seen: &Observation| Health::of(seen, door.now());
        let ecs_lost = look(&door, ECS_LOST, &close()).await;
        assert_eq!((standing(&ecs_lost).ssm, standing(&ecs_lost).ecs), (Standing::Well, Standing::Ill));
        let ssm_lost = look(&door, SSM_LOST, &close()).await;
        assert_eq!(standing(&ssm_lost).ssm, Standing::Suspect);
    });
}

#[test]
fn a_missing_role_is_found() {
    run(async {
        let door = Door::open(&world()).await;
        let seen = look(&door, NO_PROFILE, &close()).await;
        let causes: Vec<Cause> = seen.identity.known().unwrap().iter().map(|finding| finding.cause).collect();
        assert_eq!(causes, [Cause::IdentityNoInstanceProfile]);
    });
}

#[test]
fn a_probe_answers_and_a_silent_node_does_not() {
    run(async {
        let door = Door::open(&world()).await;
        for (node, answers) in [(ECS_LOST, true), (SSM_LOST, false)] {
            let seen = look(&door, node, &close()).await;
            let Performed::Done { command: Some(command) } = perform(&door, node, Effect::Probe, &seen).await else {
                panic!("the probe was not sent");
            };
            let asked = Look { probe: Some(command), ..close() };
            let seen = look(&door, node, &asked).await;
            assert_eq!(seen.probe.known().map(|probe| &probe.answer), Some(&ProbeAnswer::Pending));
            // Delivery and execution together have two minutes.
            door.advance(125);
            let seen = look(&door, node, &asked).await;
            let probe = seen.probe.known().unwrap_or_else(|| panic!("{:?}", seen.probe));
            println!("{node}: {probe:?}");
            assert_eq!(matches!(probe.answer, ProbeAnswer::Answered { .. }), answers);
            assert_eq!(matches!(probe.answer, ProbeAnswer::Undelivered), !answers);
        }
    });
}

#[test]
fn every_effect_lands_on_the_one_node() {
    run(async {
        let door = Door::open(&world()).await;
        let seen = look(&door, ECS_LOST, &close()).await;
        let done = Performed::Done { command: None };
        assert_eq!(perform(&door, ECS_LOST, Effect::Drain, &seen).await, done);
        assert_eq!(look(&door, ECS_LOST, &Look::default()).await.ecs.known().unwrap().status, EcsStatus::Draining);
        assert_eq!(perform(&door, ECS_LOST, Effect::Activate, &seen).await, done);
        assert_eq!(perform(&door, ECS_LOST, Effect::EnterStandby, &seen).await, done);
        door.advance(60);
        let group = seen.asg.known().map(|asg| asg.name.clone());
        let in_group = Look { group, ..Look::default() };
        assert_eq!(look(&door, ECS_LOST, &in_group).await.asg.known().unwrap().lifecycle, Lifecycle::Standby);
        assert_eq!(perform(&door, ECS_LOST, Effect::ExitStandby, &seen).await, done);
        assert_eq!(perform(&door, PLAIN, Effect::Reboot, &seen).await, done);
        door.advance(300);
        assert_eq!(perform(&door, PLAIN, Effect::Stop, &seen).await, done);
        assert_eq!(perform(&door, PLAIN, Effect::Start, &seen).await, Performed::Refused, "it is still stopping");
        door.advance(300);
        assert_eq!(look(&door, PLAIN, &Look::default()).await.ec2.known().unwrap().state, InstanceState::Stopped);
        assert_eq!(perform(&door, PLAIN, Effect::Start, &seen).await, done);
        assert_eq!(perform(&door, SSM_LOST, Effect::Terminate, &seen).await, done);
        assert_eq!(
            perform(&door, PLAIN, Effect::Terminate, &look(&door, PLAIN, &close()).await).await,
            Performed::Refused
        );
        assert!(matches!(
            perform(&door, ECS_LOST, Effect::RestartEcsAgent, &seen).await,
            Performed::Done { command: Some(_) }
        ));
        let landed = door.ask("GET", "/world", "")["landed"].clone();
        println!("{landed:#}");
    });
}

#[test]
fn a_drained_node_has_tasks_until_the_last_has_stopped() {
    run(async {
        let mut world = world();
        world["instances"][2]["tasks_stop_secs"] = json!(300);
        (world["instances"][2]["standalone"], world["instances"][2]["protected"]) = (json!(0), json!(0));
        let door = Door::open(&world).await;
        let seen = look(&door, WELL, &close()).await;
        perform(&door, WELL, Effect::Drain, &seen).await;
        // All four are told within four minutes, and ECS counts none of them any more.
        door.advance(250);
        let for_drain = Look { spare: Spare::BUT_ECS, stopping: true, ..Look::default() };
        for closely in [&for_drain, &Look::closely()] {
            assert!(look(&door, WELL, closely).await.ecs.known().unwrap().tasks > 0);
        }
        assert_eq!(look(&door, WELL, &close()).await.ecs.known().unwrap().tasks, 0, "by ECS's own count");
        door.advance(300);
        assert_eq!(look(&door, WELL, &for_drain).await.ecs.known().unwrap().tasks, 0);
    });
}

#[test]
fn what_is_throttled_is_refused_and_what_is_lost_is_unknown() {
    run(async {
        let door = Door::open(&world()).await;
        let seen = look(&door, PLAIN, &close()).await;
        for (fault, performed) in [
            ("throttle", Performed::Refused),
            ("deny", Performed::Refused),
            ("500", Performed::Unknown),
            ("lost", Performed::Unknown),
        ] {
            door.inject(&json!([{"operation": "RebootInstances", "fault": fault, "count": 1}]));
            let _ = door.calls();
            assert_eq!(perform(&door, PLAIN, Effect::Reboot, &seen).await, performed, "{fault}");
            assert_eq!(door.calls(), ["RebootInstances"], "{fault}: sent once");
        }
    });
}

#[test]
fn what_cannot_be_read_is_unknown_and_never_bad() {
    run(async {
        for (fault, blind) in [("throttle", Blind::Throttled), ("deny", Blind::Denied), ("500", Blind::Unavailable)] {
            let door = Door::open(&world()).await;
            door.inject(&json!([{"operation": "*", "fault": fault, "count": 10_000}]));
            let seen = look(&door, ECS_LOST, &close()).await;
            println!("{fault}: {} calls", door.calls().len());
            let unknown = Fact::Unknown(blind);
            assert_eq!((&seen.ssm, &seen.sessions), (&Fact::Unknown(blind), &Fact::Unknown(blind)));
            assert_eq!((seen.ec2.blind(), seen.ecs.blind(), seen.asg.blind()), (Some(blind), Some(blind), Some(blind)));
            assert_eq!((seen.group.blind(), seen.factors.blind()), (Some(blind), Some(blind)));
            assert_eq!(seen.busy, unknown);
            let health = Health::of(&seen, door.now());
            assert!(!health.is_well() && !health.is_ill() && !health.is_suspect());
        }
    });
}

#[test]
fn a_sweep_finds_whoever_is_lost() {
    run(async {
        let door = Door::open(&world()).await;
        let swept = door.nodes.troubled(door.now()).await.unwrap();
        println!("{:?}\n{:?}", door.calls(), swept.troubled);
        assert_eq!(swept.fleet, 13);
        let agents: Vec<(String, SweptAgent)> = swept
            .troubled
            .iter()
            .filter_map(|(signal, _)| match signal.kind {
                SignalKind::Swept { agent, .. } => Some((signal.node.to_string(), agent)),
                _ => None,
            })
            .collect();
        let expected = [(ECS_LOST, SweptAgent::Ecs), (SSM_LOST, SweptAgent::Ssm), (NO_PROFILE, SweptAgent::Ssm)]
            .map(|(n, a)| (n.to_owned(), a));
        assert_eq!(agents, expected);
        assert!(swept.troubled.iter().all(|(_, since)| since.is_some()));
    });
}

/// EC2 lists what is terminated for an hour; ECS keeps a container instance whose agent was not connected when it went.
#[test]
fn what_ec2_has_forgotten_and_ecs_has_not_is_found_by_a_sweep_and_by_the_doctor() {
    run(async {
        let door = Door::open(&world()).await;
        let seen = look(&door, ECS_LOST, &close()).await;
        let (cluster, container_instance) = seen.ecs.known().map(|ecs| (ecs.cluster.clone(), ecs.arn.clone())).unwrap();
        assert_eq!(door.nodes.ghosts(door.now()).await.unwrap(), []);
        assert!(matches!(perform(&door, ECS_LOST, Effect::Terminate, &seen).await, Performed::Done { .. }));
        door.advance(2 * 3_600);
        let seen = look(&door, ECS_LOST, &close()).await;
        assert_eq!((&seen.ec2, &seen.ecs), (&Fact::Absent, &Fact::Absent), "a look at the node alone shows nothing");
        let _ = door.calls();
        let found = door.nodes.ghosts(door.now()).await.unwrap();
        assert_eq!(found, [Ghost { node: id(ECS_LOST), cluster, container_instance }]);
        let reads = ["ListClusters", "ListContainerInstances", "DescribeContainerInstances", "DescribeInstances"];
        let calls = door.calls();
        assert!(calls.iter().all(|call| call == "DescribeClusters" || reads.contains(&call.as_str())), "{calls:?}");
        assert_eq!(door.nodes.troubled(door.now()).await.unwrap().ghosts, found);
        door.inject(&json!([{"operation": "DescribeInstances", "fault": "deny", "count": 10}]));
        assert_eq!(door.nodes.ghosts(door.now()).await, Err(Blind::Denied), "unknown is not gone");
    });
}

/// A table with nothing in it, behind a door of its own. The thread ends with the process.
#[cfg(feature = "operate")]
fn empty_table() -> String {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let body = r#"{"Responses":{},"UnprocessedKeys":{},"Items":[],"Count":0,"ScannedCount":0}"#;
            let kind = "content-type: application/x-amz-json-1.0\r\nconnection: close";
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    url
}

/// Whoever asks the doctor hears of it, though no record knows the node.
#[cfg(feature = "operate")]
#[test]
fn the_doctor_lists_what_ec2_has_forgotten_and_ecs_has_not() {
    run(async {
        let door = Door::open(&world()).await;
        let table = empty_table();
        let doctor = || {
            let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_defib"));
            command.args(["--json", "--region", "us-east-1", "doctor", "--table", "defib"]);
            command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_ENDPOINT_URL", &table);
            for service in ["SSM", "EC2", "ECS", "AUTO_SCALING", "IAM"] {
                command.env(format!("AWS_ENDPOINT_URL_{service}"), format!("http://{}", door.at));
            }
            let ran = command.output().unwrap();
            let lines: Vec<Value> =
                ran.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
            let said = |check: &str| lines.iter().filter(|line| line["check"] == check).cloned().collect::<Vec<_>>();
            assert!(!said("incidents").is_empty(), "the ledger was read: {lines:?} {ran:?}");
            (ran.status.code(), said("left over"))
        };
        assert_eq!(doctor(), (Some(0), Vec::new()));
        let seen = look(&door, ECS_LOST, &close()).await;
        assert!(matches!(perform(&door, ECS_LOST, Effect::Terminate, &seen).await, Performed::Done { .. }));
        door.advance(2 * 3_600);
        let (code, said) = doctor();
        let [line] = &said[..] else { panic!("{said:?}") };
        assert_eq!((code, line["verdict"].as_str()), (Some(3), Some("WARN")), "{line}");
        assert!(line["text"].as_str().unwrap().starts_with(ECS_LOST), "{line}");
        assert!(line["fix"].as_str().unwrap().starts_with("aws ecs deregister-container-instance "), "{line}");
        door.inject(&json!([{"operation": "ListClusters", "fault": "deny", "count": 100}]));
        let (code, said) = doctor();
        assert_eq!((code, said[0]["verdict"].as_str(), said.len()), (Some(3), Some("UNKNOWN"), 1), "{said:?}");
    });
}
