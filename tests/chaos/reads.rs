//! Reads: a fact is what it is without the fault, or unknown for the fitting reason.

use defib::aws::operations::{OPERATIONS, Operation};
use defib::aws::{Clients, Documents, Nodes, Swept};
use defib::config::Stopwatch;
use defib::effect::{Effect, IntentId, Target};
use defib::incident::IncidentId;
use defib::node::NodeId;
use defib::observe::{Blind, Fact, Health, Look, Observation};
use defib::ports::{Perform, Performed, PortError};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cells::{self, Cell};
use crate::fleet_door::{Door, home};
use crate::wire_door::{Amend, Between, Fault, Request, Response, Rule, Upstream, When};

const ECS_LOST: &str = "i-0a1b2c3d4e5f60718";
const SSM_LOST: &str = "i-0a1b2c3d4e5f60719";
const MANAGED: &str = "mi-0a1b2c3d4e5f6071a";

/// A pass has a minute; a look may not take all of it.
const LOOK_SECS_MAX: f64 = 59.0;

fn world() -> Value {
    let tags = json!({"defib:managed": "true"});
    let member = |id: &str, name: &str, fault: Option<&str>| {
        let mut member = json!({"id": id, "name": name, "tags": tags, "cluster": "prod-web", "group": "prod-web-asg", "standalone": 1});
        if let Some(fault) = fault {
            (member["fault"], member["since_secs"]) = (json!(fault), json!(1_500));
        }
        member
    };
    json!({
        "instances": [
            member(ECS_LOST, "web-1", Some("ecs-agent.stopped")),
            member(SSM_LOST, "web-2", Some("ssm-agent.hung")),
            member("i-0a1b2c3d4e5f6071b", "web-3", None),
            {"id": MANAGED, "name": "rack-7", "tags": tags, "cluster": "racks", "fault": "ssm-agent.hung", "since_secs": 1_500},
        ],
        "groups": [{"name": "prod-web-asg", "min": 1, "max": 5}],
        "sessions": {ECS_LOST: 2},
        "calendars": {"Freeze": [{"secs": 3_600}]},
    })
}

/// Somebody looks, or sweeps.
#[derive(Debug, Clone)]
struct Scene {
    name: &'static str,
    look: Option<(NodeId, Look)>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Look(Box<Observation>),
    Sweep(Result<Swept, PortError>),
}

/// One look in one kind of trouble.
struct Task {
    at: String,
    now: Timestamp,
    scene: Scene,
    rule: Rule,
}

/// What came of it, and whether it asked for what was spoiled.
struct Told {
    task: Task,
    seen: Seen,
    asked: bool,
    secs: f64,
}

pub(crate) fn documents() -> Documents {
    Documents { probe: "Defib-Probe-abc".parse().unwrap(), repair: "Defib-Repair-abc".parse().unwrap() }
}

/// A probe says so much that its whole output must be asked for.
fn talkative(request: &Request, mut response: Response) -> Response {
    if request.operation != "ListCommandInvocations" {
        return response;
    }
    let mut body: Value = serde_json::from_str(&response.body).unwrap_or_default();
    for plugin in body["CommandInvocations"].as_array_mut().into_iter().flatten() {
        for plugin in plugin["CommandPlugins"].as_array_mut().into_iter().flatten() {
            if let Some(output) = plugin["Output"].as_str().filter(|output| output.contains("boot")) {
                // Last words would say that the findings before them are all.
                let findings: Vec<&str> = output.lines().filter(|line| !line.contains("\"journal\"")).collect();
                plugin["Output"] = format!("{}\n{}", findings.join("\n"), "noise ".repeat(500)).into();
            }
        }
    }
    response.body = body.to_string();
    response
}

const TALKATIVE: Option<Amend> = Some(talkative);

async fn see(at: &str, scene: &Scene, now: Timestamp, rule: Option<Rule>) -> (Seen, Vec<Request>, f64) {
    let between = Between::amended(Upstream::At(at.to_owned()), rule, TALKATIVE).await;
    let nodes = Nodes::new(Clients::of(&between.shared().await), home(), documents(), || Timestamp::UNIX_EPOCH);
    let watch = Stopwatch::start();
    let seen = match &scene.look {
        Some((node, look)) => Seen::Look(Box::new(nodes.observe(*node, look, now).await)),
        None => Seen::Sweep(nodes.troubled(now).await),
    };
    (seen, between.seen(), watch.seconds())
}

/// The matrix of all reads of the node side.
pub(crate) fn matrix() -> Vec<Cell> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let watch = Stopwatch::start();
    let (door, scenes, now) = runtime.block_on(stage());
    let mut tasks = Vec::new();
    let mut known: Vec<&str> = Vec::new();
    // What is seen without a fault.
    let mut right: Vec<Seen> = Vec::new();
    for scene in &scenes {
        let (before, asked, _) = runtime.block_on(see(&door.at, scene, now, None));
        if let Seen::Sweep(swept) = &before {
            assert_eq!(swept.as_ref().unwrap().troubled.len(), 2, "{swept:?}");
        }
        let mut operations: Vec<&str> = asked.iter().map(|request| request.operation.as_str()).collect();
        operations.sort_unstable();
        operations.dedup();
        println!("{}: {} operations, {} calls", scene.name, operations.len(), asked.len());
        for row in OPERATIONS.iter().filter(|row| operations.contains(&row.operation)) {
            // The later close looks are for what the first one does not need.
            if scene.name.starts_with("again") && known.contains(&row.operation) {
                continue;
            }
            known.push(row.operation);
            for fault in Fault::ALL {
                let when = if fault.needs_answer() { When::After } else { When::Before };
                let rule = Rule::every(row.operation, fault, when);
                tasks.push(Task { at: door.at.clone(), now, scene: scene.clone(), rule });
            }
        }
        right.push(before);
    }
    // The books have a matrix of their own, and the policy's parameter is one of them.
    let of_nodes =
        |row: &&Operation| !matches!(row.service, "dynamodb" | "states" | "sns") && row.operation != "GetParameter";
    let reads = OPERATIONS.iter().filter(of_nodes).map(|row| row.operation).filter(|name| is_read(name));
    for read in reads {
        assert!(known.contains(&read), "no look needs {read}");
    }
    let count = tasks.len();
    let hangs = |task: &Task| task.rule.fault.hangs();
    let told = cells::run(tasks, hangs, tell);
    // Looks that wait for a time limit share this machine with hundreds of others: what took too long is tried again without them.
    let (late, mut told): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|told| told.secs > LOOK_SECS_MAX);
    println!("{} looks took too long beside all others", late.len());
    told.extend(cells::run(late.into_iter().map(|told| told.task).collect(), hangs, tell));
    for (scene, right) in scenes.iter().zip(&right) {
        assert_eq!(runtime.block_on(see(&door.at, scene, now, None)).0, *right, "looks change nothing");
    }
    let slowest = told.iter().map(|told| told.secs).fold(0.0, f64::max);
    let of = |told: &Told| scenes.iter().position(|scene| scene.name == told.task.scene.name).unwrap();
    let cells = told.into_iter().map(|told| judge(&told, &right[of(&told)])).collect();
    println!("{count} cells of reads in {:.0} s; the slowest look took {slowest:.1} s", watch.seconds());
    drop(door);
    cells
}

/// A node whose ECS agent is lost and whose probe has answered, one whose SSM agent is lost, a managed one.
async fn stage() -> (Door, Vec<Scene>, Timestamp) {
    let door = Door::open(&world()).await;
    let (node, at) = (ECS_LOST.parse().unwrap(), door.now());
    let target = Target { node, container_instance: None, group: None };
    let not_after = at + SignedDuration::from_secs(20);
    let incident = IncidentId::new(at, node);
    let send = Perform { incident, intent: IntentId(1), effect: Effect::Probe, target, not_after };
    let Performed::Done { command: probe } = door.nodes.perform(&send, at).await else { panic!("no probe") };
    door.advance(125);
    // A slow machine takes minutes for what follows: agents would ping meanwhile.
    door.hold();
    let close = || Look { close: true, calendar: Some("Freeze".parse().unwrap()), ..Look::default() };
    let look = |name, node: &str, look| Scene { name, look: Some((node.parse().unwrap(), look)) };
    let scenes = vec![
        look("plain", ECS_LOST, Look::default()),
        look("close", ECS_LOST, Look { probe: probe.clone(), command: probe, ..close() }),
        look("again: silent", SSM_LOST, close()),
        look("again: managed", MANAGED, close()),
        Scene { name: "sweep", look: None },
    ];
    let now = door.now();
    (door, scenes, now)
}

pub(crate) fn is_read(operation: &str) -> bool {
    ["Describe", "Get", "List", "Simulate"].iter().any(|verb| operation.starts_with(verb))
}

async fn tell(task: Task) -> Told {
    let look = || async {
        let (seen, asked, secs) = see(&task.at, &task.scene, task.now, Some(task.rule)).await;
        ((seen, asked), secs)
    };
    let ((seen, asked), secs) = cells::undisturbed(task.rule.fault, look).await;
    let asked = asked.iter().any(|request| request.operation == task.rule.operation);
    Told { task, seen, asked, secs }
}

/// Compares what was seen with what is seen without the fault.
fn judge(told: &Told, right: &Seen) -> Cell {
    let Told { task: Task { now, scene, rule, .. }, seen, asked, secs } = told;
    let mut problems = Vec::new();
    if *secs > LOOK_SECS_MAX {
        problems.push(format!("{}: it took {secs:.1} s", scene.name));
    }
    if !asked {
        problems.push(format!("{}: never asked for", scene.name));
    }
    let expected = fitting(rule.fault);
    let word = match (seen, right) {
        _ if seen == right => "same",
        (Seen::Look(seen), Seen::Look(right)) => {
            let found = differences(seen, right, expected, &mut problems);
            if Health::of(seen, *now).is_ill() && !Health::of(right, *now).is_ill() {
                problems.push(format!("{}: it looks ill", scene.name));
            }
            found
        }
        (Seen::Sweep(Err(PortError::Transient)), _) => "again",
        (other, _) => {
            problems.push(format!("sweep: {other:?}"));
            "?"
        }
    };
    for problem in &mut problems {
        problem.insert_str(0, &format!("[{}] ", scene.name));
    }
    Cell { operation: rule.operation, fault: rule.fault, word, problems }
}

/// Why a fact is unknown after such a fault.
fn fitting(fault: Fault) -> Blind {
    match fault {
        Fault::TooMany => Blind::Throttled,
        Fault::Denied | Fault::Page => Blind::Denied,
        Fault::Empty => Blind::Empty,
        _ => Blind::Unavailable,
    }
}

/// Compares fact by fact.
fn differences(seen: &Observation, right: &Observation, expected: Blind, problems: &mut Vec<String>) -> &'static str {
    let mut word = "same";
    let mut judge = |name: &str, ok: bool, blind: Option<Blind>, shown: String| match blind {
        _ if ok => {}
        // What follows from another fact is not asked for, or nothing is made of it.
        Some(blind) if blind == expected => word = blind_word(blind),
        Some(Blind::NotRead | Blind::Empty) => {}
        Some(_) | None => problems.push(format!("{name}: {shown}")),
    };
    macro_rules! judge {
        ($($field:ident),*) => {
            $(judge(
                stringify!($field),
                right.$field == seen.$field,
                seen.$field.blind(),
                format!("{:?}", seen.$field),
            );)*
        };
    }
    judge!(
        ec2, ecs, asg, group, factors, invocation, probe, sessions, busy, workload, successor, calendar, identity,
        network, console
    );
    // What is unknown inside of Systems Manager's view.
    let mut ssm = seen.ssm.clone();
    if let (Fact::Known(ssm), Some(known)) = (&mut ssm, right.ssm.known()) {
        for blind in [ssm.connection.blind(), ssm.tags.blind()].into_iter().flatten() {
            judge("ssm", false, Some(blind), format!("{:?}", seen.ssm));
        }
        if ssm.connection.blind().is_some() {
            ssm.connection = known.connection.clone();
        }
        if ssm.tags.blind().is_some() {
            ssm.tags = known.tags.clone();
        }
    }
    judge("ssm", right.ssm == ssm, ssm.blind(), format!("{:?}", seen.ssm));
    word
}

fn blind_word(blind: Blind) -> &'static str {
    match blind {
        Blind::NotRead => "not read",
        Blind::Throttled => "throttled",
        Blind::Denied => "denied",
        Blind::Empty => "empty",
        Blind::Unavailable => "no answer",
    }
}
