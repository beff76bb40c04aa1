//! Sends: once, and told as done only where it was done, as refused only where nothing was.

use defib::aws::{Clients, Nodes};
use defib::config::Stopwatch;
use defib::effect::{Effect, IntentId, Target};
use defib::incident::IncidentId;
use defib::node::NodeId;
use defib::ports::{Perform, Performed};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cells::{self, Cell};
use crate::fleet_door::{Door, home};
use crate::reads::documents;
use crate::wire_door::{Between, Fault, Rule, Upstream, When};

/// One effect of each kind, and the operation by which it is sent.
const EFFECTS: [(Effect, &str); 11] = [
    (Effect::Probe, "SendCommand"),
    (Effect::RestartEcsAgent, "SendCommand"),
    (Effect::Drain, "UpdateContainerInstancesState"),
    (Effect::Activate, "UpdateContainerInstancesState"),
    (Effect::Deregister, "DeregisterContainerInstance"),
    (Effect::EnterStandby, "EnterStandby"),
    (Effect::ExitStandby, "ExitStandby"),
    (Effect::Terminate, "TerminateInstanceInAutoScalingGroup"),
    (Effect::Reboot, "RebootInstances"),
    (Effect::Stop, "StopInstances"),
    (Effect::Start, "StartInstances"),
];
/// What can go wrong before the service sees the request.
const BEFORE: [Fault; 9] = [
    Fault::BadRequest,
    Fault::TooMany,
    Fault::Internal,
    Fault::Busy,
    Fault::Denied,
    Fault::Expired,
    Fault::Page,
    Fault::Timeout,
    Fault::Reset,
];
/// What can go wrong once it has acted. That it refuses in its own words is not among them: then it has not.
const AFTER: [Fault; 10] = [
    Fault::Internal,
    Fault::Busy,
    Fault::Page,
    Fault::Timeout,
    Fault::Reset,
    Fault::Truncated,
    Fault::Malformed,
    Fault::Empty,
    Fault::Slow,
    Fault::Endless,
];
/// A send has ten seconds, and the test's machine is busy.
const SEND_SECS_MAX: f64 = 14.0;

struct Task {
    at: String,
    now: Timestamp,
    perform: Perform,
    rule: Rule,
}

/// A send with its fault, on a node of its own.
struct Sent {
    rule: Rule,
    node: NodeId,
    effect: Effect,
    performed: Performed,
    times: usize,
    secs: f64,
}

/// The matrices of all sends: with the fault before the service acts, and after.
pub(crate) fn matrices() -> (Vec<Cell>, Vec<Cell>) {
    let watch = Stopwatch::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rules = Vec::new();
    for (effect, operation) in EFFECTS {
        for (faults, when) in [(&BEFORE[..], When::Before), (&AFTER[..], When::After)] {
            rules.extend(faults.iter().map(|fault| (effect, Rule::every(operation, *fault, when))));
        }
    }
    let door = runtime.block_on(Door::open(&world(rules.len())));
    let tasks = runtime.block_on(prepare(&door, &rules));
    let count = tasks.len();
    let ran = cells::run(tasks, |task| task.rule.fault.hangs(), send);
    let landed = door.ask("GET", "/world", "")["landed"].clone();
    println!("{count} cells of sends in {:.0} s", watch.seconds());
    let (before, after): (Vec<Sent>, Vec<Sent>) = ran.into_iter().partition(|sent| sent.rule.when == When::Before);
    let judged = |sent: Vec<Sent>| sent.into_iter().map(|sent| judge(&sent, &landed)).collect();
    (judged(before), judged(after))
}

fn id(n: usize) -> String {
    format!("i-0a1b2c3d4e5f6{n:04x}")
}

/// A node for each cell. Clusters and groups are large enough that no other cell is in the way.
fn world(count: usize) -> Value {
    let tags = json!({"defib:managed": "true"});
    let per = count / EFFECTS.len();
    let instances: Vec<Value> = (0..count)
        .map(|n| match EFFECTS[n / per].0 {
            Effect::Reboot | Effect::Stop | Effect::Start => json!({"id": id(n), "tags": tags}),
            _ => json!({"id": id(n), "tags": tags, "cluster": "prod", "group": "prod-asg"}),
        })
        .collect();
    json!({"instances": instances, "groups": [{"name": "prod-asg", "min": 0, "max": 1_000}]})
}

async fn prepare(door: &Door, rules: &[(Effect, Rule)]) -> Vec<Task> {
    let truth = door.ask("GET", "/world", "");
    let account = format!("arn:aws:ecs:{}:{}", home().region, home().account);
    let mut performs = Vec::new();
    for (n, (effect, rule)) in rules.iter().enumerate() {
        let node: NodeId = id(n).parse().unwrap();
        let of = |row: &&Value| row["id"] == json!(node);
        let row = truth["instances"].as_array().unwrap().iter().find(of).unwrap();
        let arn = row["ecs"]["container_instance"].as_str().map(|arn| arn.parse().unwrap());
        let cluster = format!("{account}:cluster/prod").parse().unwrap();
        let group = row["group"]["name"].as_str().map(|name| name.parse().unwrap());
        let target = Target { node, container_instance: arn.map(|arn| (cluster, arn)), group };
        performs.push((node, *effect, target, *rule));
    }
    // What must be undone must have been done.
    for (node, effect, target, _) in &performs {
        let before = match effect {
            Effect::ExitStandby => Effect::EnterStandby,
            Effect::Start => Effect::Stop,
            Effect::Activate => Effect::Drain,
            _ => continue,
        };
        let now = door.now();
        let sent = door.nodes.perform(&perform(*node, before, target.clone(), now), now).await;
        assert_eq!(sent, Performed::Done { command: None }, "{effect:?}");
    }
    door.advance(300);
    // Not one of its own machines' doings comes in between, however slow this one is.
    door.hold();
    let now = door.now();
    let task = |(node, effect, target, rule)| Task {
        at: door.at.clone(),
        now,
        perform: perform(node, effect, target, now),
        rule,
    };
    performs.into_iter().map(task).collect()
}

fn perform(node: NodeId, effect: Effect, target: Target, now: Timestamp) -> Perform {
    let incident = IncidentId::new(now, node);
    Perform { incident, intent: IntentId(1), effect, target, not_after: now + SignedDuration::from_secs(20) }
}

async fn send(task: Task) -> Sent {
    let Task { at, now, perform, rule } = task;
    let between = Between::open(Upstream::At(at), Some(rule)).await;
    let nodes = Nodes::new(Clients::of(&between.shared().await), home(), documents(), || Timestamp::UNIX_EPOCH);
    let watch = Stopwatch::start();
    let performed = nodes.perform(&perform, now).await;
    let secs = watch.seconds();
    Sent { rule, node: perform.target.node, effect: perform.effect, performed, times: between.seen().len(), secs }
}

/// Compares what is told with what was done.
fn judge(sent: &Sent, landed: &Value) -> Cell {
    let Sent { rule, node, effect, performed, times, secs } = sent;
    let of = |row: &&Value| row["instance"] == json!(node) && row["effect"] == json!(effect);
    let done = landed.as_array().unwrap().iter().filter(of).count();
    let mut problems = Vec::new();
    let mut broken = |what: String| problems.push(format!("[{effect:?}, {:?}] {what}: {performed:?}", rule.when));
    if *times != 1 {
        broken(format!("sent {times} times"));
    }
    if *secs > SEND_SECS_MAX {
        broken(format!("it took {secs:.1} s"));
    }
    if done != usize::from(rule.when == When::After) {
        broken(format!("landed {done} times"));
    }
    let word = match performed {
        Performed::Done { .. } => "done",
        Performed::Refused => "refused",
        Performed::TooLate => "too late",
        Performed::Unknown => "unknown",
    };
    match (performed, done) {
        (Performed::Done { .. }, 1) | (Performed::Refused, 0) | (Performed::Unknown, _) => {}
        _ => broken(format!("landed {done} times, and told otherwise")),
    }
    Cell { operation: rule.operation, fault: rule.fault, word, problems }
}
