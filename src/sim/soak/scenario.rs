//! What a seed decides: the fleet, the rules, what goes wrong and when, and what people do.
//!
//! Every seed draws its own probabilities first (a swarm): one schedule is stormy and quick, the next calm with long pauses,
//! so that rare combinations come up that an average of everything would never show.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use crate::event::{CoarseStatus, GoneKind, HealthCheck, Signal, SignalKind, SweptAgent};
use crate::incident::Remedy;
use crate::node::{CommandId, Home, NodeId};
use crate::observe::Tags;
use crate::policy::{Budgets, Mode, Policy, SessionsRule, TasksRule, WorkloadRules};
use crate::sim::ailment::Ailment;
use crate::sim::driver::{DriverSettings, SignalChaos};
use crate::sim::fault::FaultPlan;
use crate::sim::invariants::Spot;
use crate::sim::machine::MachineSpec;
use crate::sim::people::{Deed, random_tags};
use crate::sim::world::{GroupSettings, World, WorldSettings};
use crate::time::after;

/// The length of a schedule, in seconds.
pub(super) const LENGTH_SECS: i64 = 3 * 3_600;
/// Nodes in a schedule.
const NODES: usize = 8;
/// The moment at which every schedule begins: 2026-11-20T12:00:00Z.
const START: i64 = 1_795_176_000;

/// Something that happens at a moment of the schedule.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A person does something.
    Deed(Deed),
    /// An event arrives that nobody sent.
    Forged(Box<Signal>),
}

/// Everything that a seed decides.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) start: Timestamp,
    pub(super) home: Home,
    pub(super) policy: Policy,
    pub(super) world: World,
    pub(super) spots: BTreeMap<NodeId, Spot>,
    pub(super) tags: Vec<(NodeId, Tags)>,
    pub(super) settings: DriverSettings,
    pub(super) steps: Vec<(Timestamp, Step)>,
}

impl Scenario {
    /// The schedule of a seed, with more or fewer faults.
    pub(super) fn new(seed: u64, home: &Home, load_percent: u32, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed_0f0d_efb1_b000);
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        // Rails that rest on what stands around a node have a source of chance of their own, so that a new one of them leaves
        // the rest of every schedule as it was.
        let mut aside = Rng::with_seed(seed ^ 0x0b57_ac1e_5eed_0002);
        let mut policy = random_policy(&mut rng);
        surroundings(&mut aside, &mut policy);
        let mut world = World::new(WorldSettings {
            home: home.clone(),
            start,
            seed: rng.u64(..),
            flapping: rng.u8(0..4) > 0,
            background_commands: rng.u8(0..4) > 0,
        });
        let mut scenario_tags = Vec::with_capacity(NODES);
        let mut spots = BTreeMap::new();
        let mut nodes = Vec::with_capacity(NODES);
        let whole = aside.u8(0..4) == 0;
        if let Some(calendar) = &policy.calendar {
            for _ in 0..aside.usize(1..4) {
                world.close_calendar(calendar, after(start, aside.i64(0..LENGTH_SECS)), aside.i64(300..5_400));
            }
        }
        let young = aside.u8(0..8) == 0;
        let special = aside.u8(0..4) == 0;
        for (mut spec, spot) in fleet(&mut rng, start, whole) {
            if young && aside.bool() {
                spec = spec.aged(aside.i64(0..900));
            }
            if special && spec.cluster.is_some() && aside.bool() {
                spec = spec.with_standalone(aside.u32(0..2)).with_protected(aside.u32(0..2));
            }
            let tags = spec.tags;
            let node = world.add(spec);
            scenario_tags.push((node, tags));
            spots.insert(node, spot);
            nodes.push(node);
        }
        if let Ok(group) = "blue-asg".parse() {
            world.set_group(&group, &random_group(&mut rng, start));
            // A group that asks for one more than it gets, as where an instance type is sold out.
            let more = u32::from(aside.u8(0..6) == 0);
            world.want_more(&group, more);
        }
        fall_ill(&mut rng, &mut world, &nodes, start, load_percent);
        let settings = DriverSettings {
            seed: rng.u64(..),
            faults: random_faults(&mut rng).scaled(load_percent),
            signals: random_signals(&mut rng),
            timer_dies: if rng.bool() { 0 } else { rng.u32(0..1_500) },
            latency_max_ms: *rng.choice(&[50, 300, 300, 2_000]).unwrap_or(&300),
            trace,
        };
        let mut steps = steps(&mut rng, &nodes, start);
        if aside.u8(0..4) == 0 {
            for _ in 0..aside.usize(1..6) {
                let at = after(start, aside.i64(0..LENGTH_SECS));
                steps.extend(Deed::random_tasks(&mut aside, &nodes).map(|deed| (at, Step::Deed(deed))));
            }
            steps.sort_by_key(|(at, _)| *at);
        }
        for cluster in ["blue", "green"] {
            world.set_minimum(cluster, *aside.choice(&[0, 0, 50, 50, 100]).unwrap_or(&50));
        }
        Self { start, home: home.clone(), policy, world, spots, tags: scenario_tags, settings, steps }
    }
}

/// Eight nodes: a cluster in an Auto Scaling group, some single ones, now and then a managed node.
fn fleet(rng: &mut Rng, start: Timestamp, whole: bool) -> Vec<(MachineSpec, Spot)> {
    let in_group = rng.usize(2..7);
    // Now and then nearly all of them, so that what counts for large groups only counts at all.
    let in_group = if whole { in_group.max(4) + 2 } else { in_group };
    let hybrid = rng.u8(0..3) == 0;
    let cluster: Arc<str> = Arc::from("blue");
    let scaling: Arc<str> = Arc::from("blue-asg");
    let wary = rng.u8(0..3) == 0;
    (0..NODES)
        .map(|index| {
            let zone = if rng.bool() { 'a' } else { 'b' };
            let mut spec = MachineSpec::new().in_zone(zone);
            let mut spot = Spot { group: None, zone: Some(zone), scaling_group: None };
            if index < in_group {
                spec = spec.in_cluster("blue").in_group("blue-asg").with_tasks(rng.u32(0..6));
                spot.group = Some(Arc::clone(&cluster));
                spot.scaling_group = Some(Arc::clone(&scaling));
            } else if hybrid && index == NODES - 1 {
                spec = spec.hybrid();
                spot.zone = None;
            } else if rng.u8(0..3) == 0 {
                spec = spec.in_cluster("green");
                spot.group = Some(Arc::from("green"));
            }
            if wary && rng.u8(0..3) == 0 {
                spec = spec.tagged(random_tags(rng, start));
            }
            if rng.u8(0..12) == 0 {
                spec = spec.spot();
            }
            if rng.u8(0..8) == 0 {
                spec = spec.with_sessions(1);
            }
            (spec, spot)
        })
        .collect()
}

/// The group's settings: mostly willing and with room for one member in Standby.
fn random_group(rng: &mut Rng, start: Timestamp) -> GroupSettings {
    GroupSettings {
        desired: None,
        min: if rng.u8(0..4) > 0 { Some(rng.u32(0..3)) } else { None },
        ec2_health_only: Some(rng.bool()),
        suspended: Some(rng.u8(0..8) == 0),
        refreshing: Some(rng.u8(0..12) == 0),
        tags: if rng.u8(0..3) == 0 { Some(random_tags(rng, start)) } else { None },
    }
}

fn random_policy(rng: &mut Rng) -> Policy {
    let mode = match rng.u8(0..16) {
        0 => Mode::Off,
        1 | 2 => Mode::Observe,
        3..=5 => Mode::Restart,
        6..=10 => Mode::Cycle,
        _ => Mode::Replace,
    };
    let budgets = if rng.bool() {
        Budgets::default()
    } else {
        Budgets {
            account_at_once: rng.u32(1..5),
            group_at_once: rng.u32(1..4),
            group_percent: rng.u32(5..50),
            unhealthy_percent: Budgets::default().unhealthy_percent,
            zone_freeze_percent: Budgets::default().zone_freeze_percent,
            account_an_hour: rng.u32(1..20),
            account_a_day: rng.u32(2..50),
            node_an_hour: rng.u32(1..4),
            node_a_day: rng.u32(1..6),
        }
    };
    let mut policy = Policy { mode, allow_probes: rng.bool(), budgets, ..Policy::default() };
    if rng.u8(0..3) > 0 {
        policy.restart_hold_down_secs = rng.i64(30..600);
        policy.disruptive_hold_down_secs = policy.restart_hold_down_secs + rng.i64(0..600);
        policy.launch_grace_secs = rng.i64(60..900);
        policy.cooldown_secs = rng.i64(60..900);
        policy.agent_restarts_max = rng.u8(1..4);
        policy.quiet_secs = rng.i64(900..86_400);
    }
    // Short enough that everything can end within the hours after the faults.
    policy.parked_max_secs = rng.i64(900..3 * 3_600);
    policy.incident_max_secs = rng.i64(3_600..4 * 3_600);
    policy.sessions = match rng.u8(0..4) {
        0 => SessionsRule::Ignore,
        1 => SessionsRule::Warn,
        _ => SessionsRule::Wait,
    };
    if rng.u8(0..5) == 0 {
        policy.approve_from = rng.choice(Remedy::ALL);
    }
    policy
}

/// What the policy says about the nodes around: half of the schedules let it be, so that everything else goes on.
fn surroundings(rng: &mut Rng, policy: &mut Policy) {
    let budgets = &mut policy.budgets;
    budgets.unhealthy_percent = if rng.bool() { 100 } else { *rng.choice(&[10, 20, 20, 35, 50]).unwrap_or(&20) };
    let mut rule = || if rng.u8(0..4) == 0 { TasksRule::Ignore } else { TasksRule::Refuse };
    policy.workload = WorkloadRules { standalone: rule(), protected: rule() };
    policy.calendar = if rng.u8(0..4) == 0 { "freeze".parse().ok() } else { None };
    budgets.zone_freeze_percent = if rng.bool() { 100 } else { *rng.choice(&[20, 35, 50, 50, 75]).unwrap_or(&50) };
}

fn random_faults(rng: &mut Rng) -> FaultPlan {
    let mut some = |most: u32| if rng.u8(0..3) == 0 { 0 } else { rng.u32(0..most) };
    FaultPlan {
        fail: some(800),
        lose_answer: some(500),
        land_late: some(1_000),
        blind_look: some(3_000),
        blind_fact: 500 + some(4_000),
        stale_survey: some(2_000),
        crash: some(300),
        pause: some(200),
    }
}

fn random_signals(rng: &mut Rng) -> SignalChaos {
    let mut some = |most: u32| if rng.bool() { 0 } else { rng.u32(0..most) };
    SignalChaos { lose: some(10_000), duplicate: some(5_000), delay: some(5_000) }
}

/// Illnesses begin and end; now and then many at once, of one kind.
fn fall_ill(rng: &mut Rng, world: &mut World, nodes: &[NodeId], start: Timestamp, load_percent: u32) {
    let count = rng.u32(6..24).saturating_mul(load_percent) / 100;
    for _ in 0..count {
        let at = after(start, rng.i64(60..LENGTH_SECS - 900));
        let ailment = *rng.choice(Ailment::ALL).unwrap_or(&Ailment::Healthy);
        let lasts = match rng.u8(0..4) {
            0 => Some(rng.i64(30..600)),
            1 => Some(rng.i64(300..7_200)),
            _ => None,
        };
        if rng.u8(0..10) == 0 {
            for node in nodes {
                if rng.u8(0..3) > 0 {
                    world.afflict(*node, ailment, after(at, rng.i64(0..300)), lasts);
                }
            }
        } else if let Some(node) = rng.choice(nodes) {
            world.afflict(*node, ailment, at, lasts);
        }
    }
}

/// What people and liars do, in order.
fn steps(rng: &mut Rng, nodes: &[NodeId], start: Timestamp) -> Vec<(Timestamp, Step)> {
    let people = if rng.u8(0..3) == 0 { 0 } else { rng.usize(0..16) };
    let forged = if rng.bool() { 0 } else { rng.usize(0..30) };
    let mut steps = Vec::with_capacity(people + forged);
    for _ in 0..people {
        let at = after(start, rng.i64(0..LENGTH_SECS));
        if let Some(deed) = Deed::random(rng, nodes, at) {
            steps.push((at, Step::Deed(deed)));
        }
    }
    for _ in 0..forged {
        let at = after(start, rng.i64(0..LENGTH_SECS));
        if let Some(signal) = forged_signal(rng, nodes, at) {
            steps.push((at, Step::Forged(Box::new(signal))));
        }
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}

/// An event that nobody sent, about one of our nodes or about one that does not exist here.
fn forged_signal(rng: &mut Rng, nodes: &[NodeId], at: Timestamp) -> Option<Signal> {
    let node = if rng.u8(0..4) == 0 { NodeId::numbered(rng.u128(..)) } else { *rng.choice(nodes)? };
    let arn = "arn:aws:ecs:us-east-1:111122223333:container-instance/blue/0123456789abcdef0123456789abcdef";
    let kind = match rng.u8(0..12) {
        0..=2 => SignalKind::CommandTrouble {
            command: random_command(rng)?,
            document: if rng.bool() { "AWS-RunShellScript" } else { "Defib-Probe" }.parse().ok()?,
            status: if rng.bool() { CoarseStatus::TimedOut } else { CoarseStatus::Failed },
        },
        3 => SignalKind::CommandSucceeded,
        4 => SignalKind::EcsHealthImpaired {
            check: if rng.bool() { HealthCheck::AgentConnectivity } else { HealthCheck::ContainerRuntime },
            container_instance: arn.parse().ok()?,
            cluster: None,
            since: Some(after(at, -rng.i64(0..9_000))),
        },
        5 => SignalKind::EcsHealthRestored,
        6 => SignalKind::EcsDisconnected { container_instance: arn.parse().ok()?, cluster: None, version: Some(7) },
        7 => SignalKind::EcsConnected,
        8 | 9 => SignalKind::Gone {
            what: match rng.u8(0..3) {
                0 => GoneKind::Stopped,
                1 => GoneKind::Terminated,
                _ => GoneKind::ContainerInstanceInactive,
            },
        },
        10 => SignalKind::SessionRefused,
        _ => SignalKind::Swept { agent: if rng.bool() { SweptAgent::Ssm } else { SweptAgent::Ecs } },
    };
    Some(Signal { node, at, kind })
}

fn random_command(rng: &mut Rng) -> Option<CommandId> {
    let value = rng.u128(..);
    let part = |shift: u32, mask: u128| (value >> shift) & mask;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 0xffff_ffff),
        part(80, 0xffff),
        part(64, 0xffff),
        part(48, 0xffff),
        part(0, 0xffff_ffff_ffff)
    )
    .parse()
    .ok()
}
