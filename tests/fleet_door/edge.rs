//! Whole incidents over the wire: the real engine, the ledger in memory, and the nodes behind the door.

use std::sync::Arc;

use defib::aws::Documents;
use defib::effect::{Effect, IntentId, Target};
use defib::engine::{self, Answer, Context, Done, Pass, Request, Trigger};
use defib::event::{Signal, SignalKind, SweptAgent};
use defib::incident::{Incident, IncidentId, Outcome, Phase};
use defib::node::NodeId;
use defib::policy::{Mode, Policy};
use defib::ports::{Key, Perform, Performed, Ports as _};
use defib::sim::account::Account;
use defib::sim::world::{World, WorldSettings};
use defib::time::after;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::cost::Cost;
use crate::fleet_door::{Door, Received, home};
use crate::role;

/// The node that falls ill.
pub(crate) const NODE: &str = "i-0a1b2c3d4e5f60718";

/// An account whose ledger is in memory and whose nodes are behind the door.
pub(crate) struct Edge {
    ledger: Account,
    pub(crate) door: Door,
    pub(crate) runtime: Runtime,
    context: Arc<Context>,
}

/// How an incident went.
pub(crate) struct Lived {
    /// How it ended; none: it rests for a person, or none was opened.
    pub(crate) outcome: Option<Outcome>,
    /// Its calls.
    pub(crate) cost: Cost,
    /// Its record; none: none was opened.
    incident: Option<Arc<Incident>>,
}

impl Lived {
    /// What it rests for until a person comes; none: it does not rest, or none was opened.
    pub(crate) fn rests_for(&self) -> Option<Outcome> {
        let incident = self.incident.as_ref().filter(|incident| incident.is_resting())?;
        incident.ending().map(defib::incident::Ending::outcome)
    }

    /// Prints its history and each of its calls.
    pub(crate) fn tell(&self, story: &str) {
        if let Some(incident) = &self.incident {
            for entry in incident.history.iter() {
                println!("{} {:?}", entry.at, entry.event);
            }
            println!("{:?}", incident.phase);
        }
        self.cost.tell(story);
    }
}

impl Edge {
    pub(crate) fn open(world: &Value, mode: Mode) -> Self {
        Self::under(world, Policy { mode, ..Policy::default() })
    }

    pub(crate) fn under(world: &Value, policy: Policy) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (probe, repair) = (role::document("Probe"), role::document("Repair"));
        let documents = Documents { probe: probe.parse().unwrap(), repair: repair.parse().unwrap() };
        let door = runtime.block_on(Door::open_with(world, documents));
        let settings =
            WorldSettings { home: home(), start: door.now(), seed: 1, flapping: false, background_commands: false };
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

    /// A sweep found the node: the function is warm, as it is every five minutes.
    pub(crate) fn swept(&mut self, agent: SweptAgent) -> Signal {
        let at = self.door.now();
        self.runtime.block_on(self.door.nodes.troubled(at)).unwrap();
        Signal { node: node(), at, kind: SignalKind::Swept { agent, since: Some(after(at, -900)) } }
    }

    /// Follows an incident from its signal to its end.
    pub(crate) fn live(&mut self, signal: Signal, passes_max: usize) -> Lived {
        let _ = self.door.received();
        let mut done = self.pass(Trigger::Signal(signal));
        let mut calls: Vec<Vec<Received>> = vec![self.door.received()];
        let Some(id) = done.incident else { return Lived { outcome: None, cost: Cost(calls), incident: None } };
        for _ in 0..passes_max {
            let rests = matches!(self.incident(id).phase, Phase::Resting { .. });
            let Some(at) = done.wake_at.filter(|_| !rests) else { break };
            let wait = at.as_second() - self.door.now().as_second();
            self.door.advance(wait.max(1));
            done = self.pass(Trigger::Wake(id));
            calls.push(self.door.received());
            // Whoever is refused tries again for long, and always in vain.
            if calls.iter().flatten().any(Received::is_denied) {
                break;
            }
        }
        let incident = self.incident(id);
        let outcome = match &incident.phase {
            Phase::Closed { ending, .. } => Some(ending.outcome()),
            _ => None,
        };
        Lived { outcome, cost: Cost(calls), incident: Some(incident) }
    }

    /// Reboots the node, as if everything had been decided already.
    pub(crate) fn reboot(&self) -> Performed {
        let now = self.door.now();
        let target = Target { node: node(), container_instance: None, group: None };
        let incident = IncidentId::new(now, node());
        let perform =
            Perform { incident, intent: IntentId(1), effect: Effect::Reboot, target, not_after: after(now, 20) };
        self.runtime.block_on(self.door.nodes.perform(&perform, now))
    }

    fn incident(&mut self, id: IncidentId) -> Arc<Incident> {
        let now = self.door.now();
        self.ledger.load(Key::Incident(id), now).unwrap().incident.unwrap()
    }

    /// What landed on nodes, probes aside.
    pub(crate) fn landed(&self) -> Vec<String> {
        let landed = self.door.ask("GET", "/world", "")["landed"].clone();
        let effects = landed.as_array().unwrap().iter().map(|one| one["effect"].as_str().unwrap().to_owned());
        effects.filter(|effect| effect != "probe").collect()
    }
}

pub(crate) fn node() -> NodeId {
    NODE.parse().unwrap()
}

/// Where the node that falls ill is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In no group and no cluster.
    Alone,
    /// In an Auto Scaling group.
    Group,
    /// In an Auto Scaling group and a cluster, with tasks.
    Cluster,
}

/// A world of two clusters and a group, in which the node has been ill for a while.
pub(crate) fn world(place: Place, fault: Option<&str>) -> Value {
    let tags = json!({"defib:managed": "true"});
    let mut ill = json!({"id": NODE, "tags": tags});
    match place {
        Place::Alone => {}
        Place::Group => ill["group"] = json!("web-asg"),
        Place::Cluster => (ill["group"], ill["cluster"]) = (json!("web-asg"), json!("web")),
    }
    if let Some(fault) = fault {
        (ill["fault"], ill["since_secs"]) = (json!(fault), json!(1_200));
    }
    let member =
        |n: u8| json!({"id": format!("i-0a1b2c3d4e5f6071{n}"), "tags": tags, "cluster": "web", "group": "web-asg"});
    let mut instances: Vec<Value> = (1..8).map(member).collect();
    instances.push(ill);
    instances.push(json!({"count": 6, "name": "other", "tags": tags, "cluster": "other"}));
    json!({"instances": instances, "groups": [{"name": "web-asg", "min": 1, "max": 10, "tags": tags}]})
}
