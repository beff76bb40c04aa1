//! What people do meanwhile: tags, switches, requests, and their own hands on the machines.

use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use super::driver::Driver;
use super::invariants::{Inspector, Place};
use crate::engine::{Action, OperatorRequest, Trigger};
use crate::incident::{Phase, Remedy};
use crate::node::NodeId;
use crate::observe::Tags;
use crate::policy::Mode;
use crate::ports::Switch;
use crate::time::after;

/// The cluster that every schedule has.
pub const CLUSTER: &str = "blue";
/// Its Auto Scaling group.
pub const SCALING_GROUP: &str = "blue-asg";

/// Something that a person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Sets a node's tags.
    Tag(NodeId, Tags),
    /// Sets the tags of the Auto Scaling group.
    TagGroup(Tags),
    /// Sets the tags of the cluster.
    TagCluster(Tags),
    /// Pauses everything.
    Pause,
    /// Lets it work again.
    Resume,
    /// Mutes a node for some seconds.
    Mute(NodeId, i64),
    /// Ends that.
    Unmute(NodeId),
    /// Ends a quarantine.
    Clear(NodeId),
    /// Asks for a repair.
    Fix(NodeId, Option<Remedy>),
    /// Approves the remedy of some incident that waits for it.
    Approve(usize),
    /// Closes some open incident.
    Close(usize),
    /// Stops an instance by hand.
    Stop(NodeId),
    /// Starts it.
    Start(NodeId),
    /// Terminates an instance by hand.
    Terminate(NodeId),
    /// Removes whatever ails a node.
    Repair(NodeId),
    /// Starts or ends tasks of no service, and protects tasks for some seconds.
    Tasks(NodeId, (u32, u32), i64),
}

impl Deed {
    /// A random one, about one of these nodes.
    pub fn random(rng: &mut Rng, nodes: &[NodeId], now: Timestamp) -> Option<Self> {
        let node = *nodes.get(rng.usize(0..nodes.len().max(1)))?;
        Some(match rng.u8(0..32) {
            0..=8 => Self::Tag(node, random_tags(rng, now)),
            9 => Self::Pause,
            10..=12 => Self::Resume,
            13 | 14 => Self::Mute(node, rng.i64(60..5_400)),
            15 => Self::Unmute(node),
            16..=18 => Self::Fix(node, if rng.bool() { None } else { rng.choice(Remedy::ALL) }),
            19..=22 => Self::Approve(rng.usize(..)),
            23 | 24 => Self::Close(rng.usize(..)),
            25 => Self::Stop(node),
            26 => Self::Start(node),
            27 => Self::Terminate(node),
            _ => Self::Repair(node),
        })
    }

    /// Tasks come and go, on one of these nodes.
    pub fn random_tasks(rng: &mut Rng, nodes: &[NodeId]) -> Option<Self> {
        let node = *rng.choice(nodes)?;
        let count = |rng: &mut Rng| if rng.bool() { 0 } else { rng.u32(1..3) };
        Some(Self::Tasks(node, (count(rng), count(rng)), rng.i64(300..7_200)))
    }

    /// Does it.
    pub fn apply(self, driver: &mut Driver, inspector: &mut Inspector) {
        let now = driver.now();
        match self {
            Self::Tag(node, tags) => {
                driver.account_mut().world.set_tags(node, tags, now);
                inspector.tagged(node, tags, now);
            }
            Self::TagGroup(tags) => {
                driver.account_mut().world.set_group_tags(SCALING_GROUP, tags);
                inspector.place_tagged(Place::ScalingGroup(SCALING_GROUP.into()), tags, now);
            }
            Self::TagCluster(tags) => {
                driver.account_mut().world.set_cluster_tags(CLUSTER, tags);
                inspector.place_tagged(Place::Cluster(CLUSTER.into()), tags, now);
            }
            Self::Pause => ask(driver, Action::Switch(Switch::Pause)),
            Self::Resume => ask(driver, Action::Switch(Switch::Resume)),
            Self::Mute(node, secs) => ask(driver, Action::Switch(Switch::Mute(node, after(now, secs)))),
            Self::Unmute(node) => ask(driver, Action::Switch(Switch::Unmute(node))),
            Self::Clear(node) => ask(driver, Action::Switch(Switch::Clear(node))),
            Self::Fix(node, remedy) => ask(driver, Action::Fix(node, remedy)),
            Self::Approve(pick) => {
                let waiting = driver.account().ledger.open().filter(|open| matches!(open.phase, Phase::Parked { .. }));
                let ids: Vec<_> = waiting.map(|open| open.id).collect();
                if let Some(id) = ids.get(pick % ids.len().max(1)) {
                    if let Some(waiting) = driver.account().ledger.incident(*id) {
                        inspector.approved(waiting, now);
                    }
                    ask(driver, Action::Approve(*id));
                }
            }
            Self::Close(pick) => {
                let ids: Vec<_> = driver.account().ledger.open().map(|open| open.id).collect();
                if let Some(id) = ids.get(pick % ids.len().max(1)) {
                    ask(driver, Action::Close(*id));
                }
            }
            Self::Stop(node) => driver.account_mut().world.stop_by_hand(node, now),
            Self::Start(node) => driver.account_mut().world.start_by_hand(node, now),
            Self::Terminate(node) => driver.account_mut().world.terminate_by_hand(node, now),
            Self::Repair(node) => driver.account_mut().world.repair(node, now),
            Self::Tasks(node, special, secs) => {
                driver.account_mut().world.set_special(node, special, after(now, secs), now);
            }
        }
    }
}

/// Tags as people set them: mostly opted in, sometimes lowered, out or mute.
pub fn random_tags(rng: &mut Rng, now: Timestamp) -> Tags {
    let mode = match rng.u8(0..10) {
        0 => Some(Mode::Off),
        1 => Some(Mode::Observe),
        2 => Some(Mode::Restart),
        3 => Some(Mode::Cycle),
        _ => None,
    };
    let mute_until = if rng.u8(0..8) == 0 { Some(after(now, rng.i64(60..5_400))) } else { None };
    Tags { managed: rng.u8(0..6) > 0, mode, mute_until }
}

/// An operator's request, through the function like every other.
fn ask(driver: &mut Driver, action: Action) {
    let now = driver.now();
    let request =
        OperatorRequest { by: Arc::from("arn:aws:iam::111122223333:user/operator"), action, at: now, plan: None };
    driver.deliver(Trigger::Operator(request), now);
}
