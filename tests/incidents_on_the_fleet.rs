//! Whole incidents over the wire: the real engine, the ledger in memory, and the nodes behind the simulated account's HTTP door.
//! Each prints its calls, so that the next cut is easy to see.

#![cfg(all(feature = "aws", feature = "cli"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)] // So may helpers of tests.

mod fleet_door;

use std::collections::BTreeMap;
use std::sync::Arc;

use defib::engine::{self, Answer, Context, Done, Pass, Request, Trigger};
use defib::event::{Signal, SignalKind, SweptAgent};
use defib::incident::{IncidentId, Outcome, Phase};
use defib::node::NodeId;
use defib::observe::Look;
use defib::policy::{Mode, Policy};
use defib::ports::{Key, Ports as _};
use defib::sim::account::Account;
use defib::sim::world::{World, WorldSettings};
use defib::time::after;
use fleet_door::{Door, home};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const NODE: &str = "i-0a1b2c3d4e5f60718";

/// Passes over one incident, at most.
const PASSES_MAX: usize = 200;

/// An account whose ledger is in memory and whose nodes are behind the door.
struct Edge {
    ledger: Account,
    door: Door,
    runtime: Runtime,
    context: Arc<Context>,
}

impl Edge {
    fn open(world: &Value, mode: Mode) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let door = runtime.block_on(Door::open(world));
        let settings =
            WorldSettings { home: home(), start: door.now(), seed: 1, flapping: false, background_commands: false };
        let policy = Policy { mode, ..Policy::default() };
        let context = Arc::new(Context { home: home(), policy });
        Self { ledger: Account::new(World::new(settings)), door, runtime, context }
    }

    fn pass(&mut self, trigger: Trigger) -> Done {
        let (mut pass, mut request) =
            Pass::new(Arc::clone(&self.context), trigger).step(Answer::Start, self.door.now());
        loop {
            let now = self.door.now();
            let answer = match &request {
                Request::Done(done) => return done.clone(),
                Request::Observe(node, look) => {
                    Answer::Observed(Arc::new(self.runtime.block_on(self.door.nodes.observe(*node, look, now))))
                }
                Request::Perform(perform) => {
                    Answer::Performed(self.runtime.block_on(self.door.nodes.perform(perform, now)))
                }
                other => engine::answer(&mut self.ledger, other, now),
            };
            (pass, request) = pass.step(answer, self.door.now());
        }
    }

    /// Follows an incident from its signal to its end, and tells what it cost.
    fn live(&mut self, signal: Signal) -> (Option<Outcome>, Vec<Vec<String>>) {
        let _ = self.door.calls();
        let mut done = self.pass(Trigger::Signal(signal));
        let mut calls = vec![self.door.calls()];
        let Some(id) = done.incident else { return (None, calls) };
        for _ in 0..PASSES_MAX {
            let Some(at) = done.wake_at.filter(|_| !self.rests(id)) else { break };
            let wait = at.as_second() - self.door.now().as_second();
            self.door.advance(wait.max(1));
            done = self.pass(Trigger::Wake(id));
            calls.push(self.door.calls());
        }
        self.tell(id, &calls);
        (self.outcome(id), calls)
    }

    /// Whether it rests for a person.
    fn rests(&mut self, id: IncidentId) -> bool {
        let now = self.door.now();
        let incident = self.ledger.load(Key::Incident(id), now).unwrap().incident;
        incident.is_some_and(|incident| matches!(incident.phase, Phase::Resting { .. }))
    }

    fn outcome(&mut self, id: IncidentId) -> Option<Outcome> {
        let now = self.door.now();
        match &self.ledger.load(Key::Incident(id), now).unwrap().incident?.phase {
            Phase::Closed { ending, .. } => Some(ending.outcome()),
            _ => None,
        }
    }

    fn tell(&mut self, id: IncidentId, calls: &[Vec<String>]) {
        let now = self.door.now();
        let incident = self.ledger.load(Key::Incident(id), now).unwrap().incident.unwrap();
        for entry in &incident.history {
            println!("{} {:?}", entry.at, entry.event);
        }
        println!("{:?}", incident.phase);
        for (n, calls) in calls.iter().enumerate() {
            println!("pass {n}: {}", calls.join(" "));
        }
        let mut sums: BTreeMap<&str, usize> = BTreeMap::new();
        for call in calls.iter().flatten() {
            *sums.entry(call.as_str()).or_default() += 1;
        }
        println!("{} calls: {sums:?}", calls.iter().flatten().count());
    }
}

fn node() -> NodeId {
    NODE.parse().unwrap()
}

fn swept(agent: SweptAgent, at: Timestamp) -> Signal {
    Signal { node: node(), at, kind: SignalKind::Swept { agent, since: Some(after(at, -900)) } }
}

/// A cluster of six in one group, of which the first is ill.
fn cluster(fault: Option<&str>) -> Value {
    let tags = json!({"defib:managed": "true"});
    let member = |n: u8| {
        let mut member =
            json!({"id": format!("i-0a1b2c3d4e5f6071{n}"), "tags": tags, "cluster": "web", "group": "web-asg"});
        if n == 8
            && let Some(fault) = fault
        {
            (member["fault"], member["since_secs"]) = (json!(fault), json!(1_200));
        }
        member
    };
    let instances: Vec<Value> = (1..=8).map(member).collect();
    json!({"instances": instances, "groups": [{"name": "web-asg", "min": 1, "max": 10, "tags": {"defib:managed": "true"}}]})
}

#[test]
fn a_flap_that_heals_by_itself_costs_four_calls() {
    let mut world = cluster(Some("ecs-agent.stopped"));
    (world["instances"][7]["since_secs"], world["instances"][7]["lasts_secs"]) = (json!(120), json!(240));
    let mut edge = Edge::open(&world, Mode::Restart);
    // As after a sweep: the function is warm.
    let now = edge.door.now();
    edge.runtime.block_on(edge.door.nodes.troubled(now)).unwrap();
    let seen = edge.runtime.block_on(edge.door.nodes.observe(node(), &Look::default(), now));
    let ecs = seen.ecs.known().unwrap();
    assert!(!ecs.connected);
    let kind = SignalKind::EcsDisconnected {
        container_instance: ecs.arn.clone(),
        cluster: Some(ecs.cluster.clone()),
        version: None,
    };
    let (outcome, calls) = edge.live(Signal { node: node(), at: now, kind });
    assert_eq!(outcome, Some(Outcome::SelfHealed));
    assert_eq!(calls.iter().flatten().count(), 4, "{calls:?}");
}

#[test]
fn an_ecs_agent_is_restarted() {
    let mut edge = Edge::open(&cluster(Some("ecs-agent.hung")), Mode::Restart);
    let at = edge.door.now();
    let (outcome, _) = edge.live(swept(SweptAgent::Ecs, at));
    assert_eq!(outcome, Some(Outcome::Fixed));
}

#[test]
fn a_silent_node_is_rebooted() {
    let mut edge = Edge::open(&cluster(Some("host.kernel-hang")), Mode::Cycle);
    let at = edge.door.now();
    let (outcome, _) = edge.live(swept(SweptAgent::Ssm, at));
    assert_eq!(outcome, Some(Outcome::Cycled));
}

#[test]
fn a_node_on_failing_hardware_is_stopped_and_started() {
    let mut edge = Edge::open(&cluster(Some("platform.hardware")), Mode::Cycle);
    let at = edge.door.now();
    let (outcome, _) = edge.live(swept(SweptAgent::Ssm, at));
    assert_eq!(outcome, Some(Outcome::Cycled));
}

#[test]
fn what_cannot_be_cured_is_replaced() {
    let mut edge = Edge::open(&cluster(Some("ecs-agent.instance-type-changed")), Mode::Replace);
    let at = edge.door.now();
    let (outcome, _) = edge.live(swept(SweptAgent::Ecs, at));
    assert_eq!(outcome, Some(Outcome::Replaced));
}

#[test]
fn a_node_without_a_role_is_told_and_not_treated() {
    let mut edge = Edge::open(&cluster(Some("identity.no-instance-profile")), Mode::Replace);
    let at = edge.door.now();
    let (outcome, _) = edge.live(swept(SweptAgent::Ssm, at));
    println!("{outcome:?}");
    assert!(matches!(outcome, Some(Outcome::NotOurs | Outcome::Blocked) | None));
    let landed = edge.door.ask("GET", "/world", "")["landed"].clone();
    assert!(landed.as_array().unwrap().iter().all(|effect| effect["effect"] == "probe"), "{landed}");
}
