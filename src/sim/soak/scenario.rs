//! What a seed decides: the fleet, the rules, what goes wrong and when, and what people do.
//!
//! Every seed draws its own probabilities first (a swarm): one schedule is stormy and quick, the next calm with long pauses,
//! so that rare combinations come up that an average of everything would never show.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use super::besides::Document;
use super::forged::{foreign_event, forged_signal};
use crate::diagnose::Cause;
use crate::event::Signal;
use crate::incident::Remedy;
use crate::node::{Home, NodeId};
use crate::observe::Factor;
use crate::policy::places::{CauseRule, Highest};
use crate::policy::{BreakerPolicy, Budgets, Mode, Policy, SessionsRule, TasksRule, WorkloadRules};
use crate::sim::ailment::Ailment;
use crate::sim::driver::{DriverSettings, SignalChaos};
use crate::sim::fault::FaultPlan;
use crate::sim::invariants::Spot;
use crate::sim::machine::MachineSpec;
use crate::sim::people::{Deed, SCALING_GROUP, random_tags};
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
    /// People change the policy document, and what they mean by it.
    Document(Document),
    /// The text of an event of another account or region arrives, about a node that is not here.
    Foreign(NodeId, Arc<str>),
}

/// A fault of a node: which, when, and for how many seconds when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Illness {
    pub(super) node: NodeId,
    pub(super) ailment: Ailment,
    pub(super) at: Timestamp,
    pub(super) lasts: Option<i64>,
}

/// Everything that a seed decides, as data: parts of it can be taken away.
#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) start: Timestamp,
    pub(super) home: Home,
    pub(super) policy: Policy,
    pub(super) world: WorldSettings,
    pub(super) fleet: Vec<(NodeId, MachineSpec, Spot)>,
    pub(super) group: GroupSettings,
    pub(super) illnesses: Vec<Illness>,
    /// When the change calendar closes, and for how many seconds.
    pub(super) closed: Vec<(Timestamp, i64)>,
    /// When AWS has no capacity for what starts, and for how many seconds.
    pub(super) shortages: Vec<(Timestamp, i64)>,
    /// Members that the group asks for and does not get, as where an instance type is sold out.
    pub(super) missing: u32,
    /// The least healthy share of the services of each cluster, in percent.
    pub(super) minimums: [(&'static str, u32); 2],
    pub(super) settings: DriverSettings,
    pub(super) steps: Vec<(Timestamp, Step)>,
    /// After the faults, events stay lost and a node falls ill, so that only the sweep can find it.
    pub(super) drill: Option<Illness>,
    /// Nothing happens for so long after the faults that a change of tags or mode is noticed.
    pub(super) long_calm: bool,
}

impl Scenario {
    /// The schedule of a seed, with more or fewer faults.
    pub(super) fn new(seed: u64, home: &Home, load_percent: u32, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed_0f0d_efb1_b000);
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        // Rails that rest on what stands around a node have a source of chance of their own, so that a new one of them leaves
        // the rest of every schedule as it was.
        let mut aside = Rng::with_seed(seed ^ 0x0b57_ac1e_5eed_0002);
        let theme = Theme::random(&mut rng);
        let mut policy = random_policy(&mut rng);
        surroundings(&mut aside, &mut policy);
        let world = WorldSettings {
            home: home.clone(),
            start,
            seed: rng.u64(..),
            flapping: rng.u8(0..4) > 0,
            background_commands: rng.u8(0..4) > 0,
        };
        let whole = aside.u8(0..4) == 0;
        let mut closed = Vec::new();
        if policy.calendar.is_some() {
            for _ in 0..aside.usize(1..4) {
                closed.push((after(start, aside.i64(0..LENGTH_SECS)), aside.i64(300..5_400)));
            }
        }
        let mut fleet = fleet(&mut rng, start, whole);
        let young = aside.u8(0..8) == 0;
        let special = aside.u8(0..4) == 0;
        for (_, spec, _) in &mut fleet {
            if young && aside.bool() {
                *spec = spec.clone().aged(aside.i64(0..900));
            }
            if special && spec.cluster.is_some() && aside.bool() {
                *spec = spec.clone().with_standalone(aside.u32(0..2)).with_protected(aside.u32(0..2));
            }
        }
        let missing = u32::from(aside.u8(0..6) == 0);
        let nodes: Vec<NodeId> = fleet.iter().map(|(node, ..)| *node).collect();
        let mut group = random_group(&mut rng, start);
        theme.adjust(&mut policy, &mut group);
        let illnesses = fall_ill(&mut rng, &nodes, start, theme, load_percent);
        // What is rare must also be rare and interrupted.
        let frail = if theme == Theme::Any { rng.u8(0..16) == 0 } else { rng.u8(0..3) == 0 };
        let mut settings = DriverSettings {
            seed: rng.u64(..),
            faults: random_faults(&mut rng, frail).scaled(load_percent),
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
        }
        let shortages = super::gates::draw(seed, &mut policy, &mut fleet, start);
        let minimums = ["blue", "green"].map(|cluster| (cluster, *aside.choice(&[0, 0, 50, 50, 100]).unwrap_or(&50)));
        let besides = super::besides::of(seed, &nodes, start);
        settings.faults.dark_switch = besides.dark_switch.saturating_mul(load_percent) / 100;
        steps.extend(besides.steps);
        steps.sort_by_key(|(at, _)| *at);
        let drill = drill(&mut rng, &nodes, start);
        let long_calm = rng.u8(0..12) == 0;
        let home = home.clone();
        Self {
            start,
            home,
            policy,
            world,
            fleet,
            group,
            illnesses,
            closed,
            shortages,
            missing,
            minimums,
            settings,
            steps,
            drill,
            long_calm,
        }
    }

    /// The account as it is when the schedule begins.
    pub(super) fn world(&self) -> World {
        let mut world = World::new(self.world.clone());
        world.lean = true;
        for (_, spec, _) in &self.fleet {
            world.add(spec.clone());
        }
        if let Ok(group) = SCALING_GROUP.parse() {
            world.set_group(&group, &self.group);
            world.want_more(&group, self.missing);
        }
        if let Some(calendar) = &self.policy.calendar {
            for (at, secs) in &self.closed {
                world.close_calendar(calendar, *at, *secs);
            }
        }
        for (at, secs) in &self.shortages {
            world.sell_out(*at, *secs);
        }
        for (cluster, percent) in self.minimums {
            world.set_minimum(cluster, percent);
        }
        for ill in &self.illnesses {
            world.afflict(ill.node, ill.ailment, ill.at, ill.lasts);
        }
        world
    }

    /// Where each node counts.
    pub(super) fn spots(&self) -> BTreeMap<NodeId, Spot> {
        self.fleet.iter().map(|(node, _, spot)| (*node, spot.clone())).collect()
    }
}

/// What a schedule is about, where it is about something rare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    /// Nothing in particular.
    Any,
    /// Faults that the first remedies do not cure, in a group whose members are set aside before each.
    Stubborn,
    /// Faults that are cured by what is sent to the host.
    OnTheHost,
}

impl Theme {
    fn random(rng: &mut Rng) -> Self {
        match rng.u8(0..8) {
            0 => Self::Stubborn,
            1..=3 => Self::OnTheHost,
            _ => Self::Any,
        }
    }

    /// Faults that come up more often than others.
    fn favours(self) -> &'static [Ailment] {
        match self {
            Self::Any => &[],
            Self::Stubborn => &[
                Ailment::HostBootFailure,
                Ailment::HostIoStalled,
                Ailment::PlatformHardware,
                Ailment::EcsAgentImageMissing,
            ],
            Self::OnTheHost => &[
                // Twice, because it comes and goes, and is seldom caught while it is there.
                Ailment::SsmAgentWorkerCrash,
                Ailment::SsmAgentWorkerCrash,
                Ailment::SsmAgentHibernating,
                Ailment::HostDiskFull,
                Ailment::HostInodesExhausted,
                Ailment::EcsAgentHung,
                Ailment::RuntimeDockerHung,
            ],
        }
    }

    /// Rules under which such faults are treated to the end.
    fn adjust(self, policy: &mut Policy, group: &mut GroupSettings) {
        match self {
            Self::Any => return,
            Self::Stubborn => {
                policy.mode = Mode::Replace;
                *group = GroupSettings {
                    desired: None,
                    min: Some(0),
                    ec2_health_only: Some(false),
                    suspended: Some(false),
                    refreshing: Some(false),
                    tags: None,
                };
            }
            Self::OnTheHost => policy.mode = policy.mode.max(Mode::Cycle),
        }
        policy.sessions = SessionsRule::Ignore;
        policy.approve_from = None;
        policy.budgets = Budgets {
            account_at_once: 5,
            group_at_once: 4,
            group_percent: 50,
            account_an_hour: 20,
            account_a_day: 50,
            node_an_hour: 4,
            node_a_day: 6,
            ..policy.budgets
        };
    }
}

/// Eight nodes: a cluster in an Auto Scaling group, some single ones, now and then a managed node.
fn fleet(rng: &mut Rng, start: Timestamp, whole: bool) -> Vec<(NodeId, MachineSpec, Spot)> {
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
            // Ids of their own, so that nothing that is taken away from a schedule changes them.
            let mut node = NodeId::numbered(rng.u128(..));
            let mut spec = MachineSpec::new().in_zone(zone);
            let mut spot = Spot { group: None, zone: Some(zone), scaling_group: None };
            if index < in_group {
                spec = spec.in_cluster("blue").in_group("blue-asg").with_tasks(rng.u32(0..6));
                spot.group = Some(Arc::clone(&cluster));
                spot.scaling_group = Some(Arc::clone(&scaling));
            } else if hybrid && index == NODES - 1 {
                spec = spec.hybrid();
                node = format!("mi-{:017x}", node.value()).parse().unwrap_or(node);
                spot.zone = None;
            } else if rng.u8(0..3) == 0 {
                spec = spec.in_cluster("green");
                spot.group = Some(Arc::from("green"));
            }
            for factor in random_shares(rng, zone) {
                spec = spec.sharing(factor);
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
            (node, spec.with_id(node), spot)
        })
        .collect()
}

/// What a node shares with others: two subnets a zone, an endpoint for some, two roles, two images.
fn random_shares(rng: &mut Rng, zone: char) -> Vec<Factor> {
    let mut shares = Vec::with_capacity(4);
    let mut add = |factor: Option<Factor>| shares.extend(factor);
    add(format!("subnet-{zone}{}", rng.u8(0..2)).parse().ok().map(Factor::Subnet));
    if rng.bool() {
        add("vpce-0a1b".parse().ok().map(Factor::Endpoint));
    }
    add(format!("role-{}", rng.u8(0..2)).parse().ok().map(Factor::Role));
    add(format!("ami-{}", rng.u8(0..2)).parse().ok().map(Factor::Image));
    shares
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
            active_incidents: rng.u32(1..9),
            watched_incidents: rng.u32(1..13),
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
    if rng.u8(0..3) > 0 {
        policy.breaker = random_breaker(rng);
    }
    if rng.u8(0..3) > 0 {
        policy.shared_cause.percent = rng.u32(20..101);
        policy.shared_cause.nodes = rng.u32(2..5);
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
    if rng.u8(0..4) == 0 {
        policy.causes = random_causes(rng);
    }
    policy
}

/// A word about some of the causes that come up most.
fn random_causes(rng: &mut Rng) -> BTreeMap<Cause, CauseRule> {
    let causes = [
        Cause::Unknown,
        Cause::SsmAgentHung,
        Cause::EcsAgentHung,
        Cause::HostKernelHang,
        Cause::HostOutOfMemory,
        Cause::RuntimeDockerHung,
        Cause::HostIoStalled,
    ];
    let mut table = BTreeMap::new();
    for cause in causes {
        if rng.bool() {
            let highest = match rng.u8(0..3) {
                0 => None,
                1 => Some(Highest::Nothing),
                _ => rng.choice(Remedy::ALL).map(Highest::Remedy),
            };
            let wait_secs = rng.bool().then(|| rng.i64(0..1_800));
            table.insert(cause, CauseRule { wait_secs, highest });
        }
    }
    table
}

/// Small enough that eight nodes open it now and then.
fn random_breaker(rng: &mut Rng) -> BreakerPolicy {
    BreakerPolicy {
        nodes: rng.u32(2..9),
        percent: rng.u32(0..60),
        window_secs: rng.i64(60..900),
        cool_down_secs: rng.i64(60..1_500),
    }
}

/// What the policy says about the nodes around: half of the schedules let it be, so that everything else goes on.
fn surroundings(rng: &mut Rng, policy: &mut Policy) {
    let budgets = &mut policy.budgets;
    budgets.unhealthy_percent = if rng.bool() { 100 } else { *rng.choice(&[10, 20, 20, 35, 50]).unwrap_or(&20) };
    let mut rule = || if rng.u8(0..4) == 0 { TasksRule::Ignore } else { TasksRule::Refuse };
    policy.workload = WorkloadRules { standalone: rule(), protected: rule(), ..policy.workload };
    policy.calendar = if rng.u8(0..4) == 0 { "freeze".parse().ok() } else { None };
    budgets.zone_freeze_percent = if rng.bool() { 100 } else { *rng.choice(&[20, 35, 50, 50, 75]).unwrap_or(&50) };
}

/// How often requests go wrong. In a frail schedule hardly any pass gets through.
fn random_faults(rng: &mut Rng, frail: bool) -> FaultPlan {
    let mut some = |most: u32, frail_most: u32| {
        let most = if frail { frail_most } else { most };
        if rng.u8(0..3) == 0 { 0 } else { rng.u32(0..most) }
    };
    FaultPlan {
        fail: some(800, 2_500),
        lose_answer: some(500, 1_500),
        land_late: some(1_000, 3_000),
        blind_look: some(3_000, 6_000),
        blind_fact: 500 + some(4_000, 4_000),
        stale_look: some(3_000, 8_000),
        stale_survey: some(2_000, 5_000),
        crash: some(300, 1_500),
        pause: some(200, 2_000),
        dark_switch: 0,
    }
}

fn random_signals(rng: &mut Rng) -> SignalChaos {
    let mut some = |most: u32| if rng.bool() { 0 } else { rng.u32(0..most) };
    let lose = some(10_000);
    SignalChaos { lose, lose_sweep: lose, duplicate: some(5_000), delay: some(5_000) }
}

/// Illnesses begin and end; now and then many at once, of one kind.
fn fall_ill(rng: &mut Rng, nodes: &[NodeId], start: Timestamp, theme: Theme, load_percent: u32) -> Vec<Illness> {
    let count = rng.u32(6..24).saturating_mul(load_percent) / 100;
    let mut illnesses = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let at = after(start, rng.i64(60..LENGTH_SECS - 900));
        let favoured = if rng.u8(0..4) > 0 { rng.choice(theme.favours()) } else { None };
        let ailment = *favoured.or_else(|| rng.choice(Ailment::CAUSES)).unwrap_or(&Ailment::Healthy);
        // Without a draw, so that the schedules of old stay what they were.
        let ailment = if at.as_second() % 2 == 0 { ailment } else { ailment.other_face() };
        let lasts = match rng.u8(0..4) {
            0 => Some(rng.i64(30..600)),
            1 => Some(rng.i64(300..7_200)),
            _ => None,
        };
        if rng.u8(0..10) == 0 {
            for node in nodes {
                if rng.u8(0..3) > 0 {
                    illnesses.push(Illness { node: *node, ailment, at: after(at, rng.i64(0..300)), lasts });
                }
            }
        } else if let Some(node) = rng.choice(nodes) {
            illnesses.push(Illness { node: *node, ailment, at, lasts });
        }
    }
    illnesses
}

/// In some schedules a node dies in the calm, and nothing tells of it.
fn drill(rng: &mut Rng, nodes: &[NodeId], start: Timestamp) -> Option<Illness> {
    const DEADLY: [Ailment; 4] =
        [Ailment::SsmAgentHung, Ailment::SsmAgentStopped, Ailment::EcsAgentHung, Ailment::HostKernelHang];
    if rng.u8(0..8) > 0 {
        return None;
    }
    let (node, ailment) = (*rng.choice(nodes)?, *rng.choice(&DEADLY)?);
    Some(Illness { node, ailment, at: after(start, LENGTH_SECS + rng.i64(0..600)), lasts: None })
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
    for _ in 0..rng.usize(0..3) {
        let at = after(start, rng.i64(0..LENGTH_SECS));
        let (node, text) = foreign_event(rng, nodes, at);
        steps.push((at, Step::Foreign(node, text)));
    }
    steps.sort_by_key(|(at, _)| *at);
    steps
}
