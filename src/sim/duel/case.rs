//! What a seed decides: the fleet, and what falls ill in it, and when.

use fastrand::Rng;
use jiff::Timestamp;

use super::score::Schedule;
use super::{FAULTS_UNTIL_SECS, mix};
use crate::node::{AutoScalingGroupName, DisplayName, Home};
use crate::sim::ailment::Ailment;
use crate::sim::machine::MachineSpec;
use crate::sim::world::{GroupSettings, World, WorldSettings};

/// The moment at which every bout begins: 2026-11-20T12:00:00Z.
const START: i64 = 1_795_176_000;
/// Between two faults on one node, in seconds: enough for the first to be over for everybody.
const APART_SECS: i64 = 1_800;
/// The names of clusters; each has one Auto Scaling group of the same name.
const CLUSTERS: [&str; 3] = ["blue", "green", "gold"];
/// The Auto Scaling group of nodes without ECS.
const PLAIN_GROUP: &str = "workers";

/// A fault of the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which place in the fleet.
    pub slot: usize,
    /// What.
    pub ailment: Ailment,
    /// When it begins, in seconds after the start.
    pub begins_secs: i64,
    /// When it passes by itself, in seconds after the start.
    pub passes_secs: Option<i64>,
}

/// What can end a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Some remedy cures it.
    Curable,
    /// Only a person can fix it: no remedy cures it, and a new node has it as well.
    PersonOnly,
    /// It passes by itself.
    Passing,
}

impl Fault {
    /// What can end it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.passes_secs {
            Some(_) => Kind::Passing,
            None if self.ailment.profile().cures.is_empty() => Kind::PersonOnly,
            None => Kind::Curable,
        }
    }

    fn is_apart_from(&self, other: &Self) -> bool {
        let end = |fault: &Self| fault.passes_secs.unwrap_or(i64::MAX - APART_SECS) + APART_SECS;
        self.slot != other.slot || self.begins_secs >= end(other) || other.begins_secs >= end(self)
    }
}

/// The fleet of a seed and the schedule of its faults.
#[derive(Debug, Clone)]
pub struct Case {
    /// When it begins.
    pub start: Timestamp,
    /// Account and region.
    pub home: Home,
    /// Every place in the fleet. A node and whatever replaces it have the place's name.
    pub specs: Vec<MachineSpec>,
    /// What falls ill.
    pub faults: Vec<Fault>,
    world_seed: u64,
    /// The seed of what a contender leaves to chance.
    pub contender_seed: u64,
}

impl Case {
    /// The case of a seed.
    #[must_use]
    pub fn of(seed: u64, home: &Home) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0xd0e1_5eed_0f0d_efb1);
        let start = Timestamp::from_second(START).unwrap_or(Timestamp::UNIX_EPOCH);
        let specs = fleet(&mut rng);
        let mut faults = Vec::with_capacity(64);
        if rng.u8(0..8) == 0 {
            break_a_zone(&mut rng, &specs, &mut faults);
        }
        draw_lasting(&mut rng, &specs, &mut faults);
        draw_passing(&mut rng, &specs, &mut faults);
        Self { start, home: home.clone(), specs, faults, world_seed: rng.u64(..), contender_seed: rng.u64(..) }
    }

    /// A world with this fleet, well as yet.
    #[must_use]
    pub fn world(&self) -> World {
        let mut world = World::new(WorldSettings {
            home: self.home.clone(),
            start: self.start,
            seed: self.world_seed,
            flapping: true,
            background_commands: true,
        });
        for spec in &self.specs {
            world.add(spec.clone());
        }
        for name in CLUSTERS.into_iter().chain([PLAIN_GROUP]) {
            if let Ok(group) = name.parse::<AutoScalingGroupName>() {
                let size = self.specs.iter().filter(|spec| spec.group.as_ref() == Some(&group)).count();
                // Room above the minimum, as groups have that are meant to lose a node now and then.
                let min = u32::try_from(size * 3 / 4).ok();
                world.set_group(&group, &GroupSettings { min, ..GroupSettings::default() });
            }
        }
        world
    }

    /// The names of the places.
    #[must_use]
    pub fn names(&self) -> Vec<Option<DisplayName>> {
        self.specs.iter().map(|spec| spec.name.clone()).collect()
    }

    /// The groups whose members belong to an ECS cluster: a contender is told in its configuration.
    #[must_use]
    pub fn ecs_groups(&self) -> Vec<AutoScalingGroupName> {
        CLUSTERS.iter().filter_map(|name| name.parse().ok()).collect()
    }

    /// What is to be handled.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let count = |kind| self.faults.iter().filter(|fault| fault.kind() == kind).count() as u64;
        Schedule {
            seeds: 1,
            nodes: self.specs.len() as u64,
            curable: count(Kind::Curable),
            person_only: count(Kind::PersonOnly),
            passing: count(Kind::Passing),
        }
    }
}

/// Two or three clusters, a group without ECS, and some nodes in no group, over three zones.
fn fleet(rng: &mut Rng) -> Vec<MachineSpec> {
    let mut specs = Vec::with_capacity(64);
    let clusters = rng.usize(2..=CLUSTERS.len());
    let zone = |rng: &mut Rng| *rng.choice(&['a', 'b', 'c']).unwrap_or(&'a');
    for cluster in CLUSTERS.iter().take(clusters) {
        for _ in 0..rng.u32(10..=16) {
            let spec = MachineSpec::new().in_cluster(cluster).in_group(cluster).with_tasks(rng.u32(2..=8));
            specs.push(spec.in_zone(zone(rng)));
        }
    }
    for _ in 0..rng.u32(3..=6) {
        specs.push(MachineSpec::new().in_group(PLAIN_GROUP).in_zone(zone(rng)));
    }
    for _ in 0..rng.u32(2..=4) {
        specs.push(MachineSpec::new().in_zone(zone(rng)));
    }
    let age = |rng: &mut Rng| rng.i64(2..30 * 24) * 3_600;
    specs.into_iter().enumerate().map(|(slot, spec)| spec.named(&format!("node-{slot:02}")).aged(age(rng))).collect()
}

/// The route or the resolver of one cluster's nodes in one zone breaks, until a person repairs it.
fn break_a_zone(rng: &mut Rng, specs: &[MachineSpec], faults: &mut Vec<Fault>) {
    let cluster = if rng.bool() { "blue" } else { "green" };
    let zone = *rng.choice(&['a', 'b', 'c']).unwrap_or(&'a');
    let ailment = if rng.u8(0..4) == 0 { Ailment::NetworkDns } else { Ailment::NetworkUnreachable };
    let begins = rng.i64(30..420) * 60;
    let passes = begins + rng.i64(30..=120) * 60;
    for (slot, spec) in specs.iter().enumerate() {
        if spec.cluster.as_deref() == Some(cluster) && spec.zone == zone {
            faults.push(Fault { slot, ailment, begins_secs: begins, passes_secs: Some(passes) });
        }
    }
}

/// Six to fourteen faults that last, on as many nodes: a node falls ill for good at most once.
fn draw_lasting(rng: &mut Rng, specs: &[MachineSpec], faults: &mut Vec<Fault>) {
    for _ in 0..rng.u32(6..=14) {
        add(rng, specs, faults, |rng, slot, spec| {
            let begins_secs = rng.i64(10..FAULTS_UNTIL_SECS / 60) * 60;
            let ailment = mix::draw(rng, mix::LASTING, spec.cluster.is_some());
            Fault { slot, ailment, begins_secs, passes_secs: None }
        });
    }
}

/// Twice to four times as many that pass by themselves.
fn draw_passing(rng: &mut Rng, specs: &[MachineSpec], faults: &mut Vec<Fault>) {
    for _ in 0..rng.u32(20..=40) {
        add(rng, specs, faults, |rng, slot, spec| {
            let begins_secs = rng.i64(10..FAULTS_UNTIL_SECS / 60) * 60;
            let ailment = mix::draw(rng, mix::PASSING, spec.cluster.is_some());
            let passes_secs = Some(begins_secs + mix::passes_after_minutes(rng) * 60);
            Fault { slot, ailment, begins_secs, passes_secs }
        });
    }
}

/// Adds a fault where it meets no other one; gives up after some tries.
fn add(
    rng: &mut Rng,
    specs: &[MachineSpec],
    faults: &mut Vec<Fault>,
    draw: impl Fn(&mut Rng, usize, &MachineSpec) -> Fault,
) {
    for _ in 0..8 {
        let slot = rng.usize(0..specs.len().max(1));
        let Some(spec) = specs.get(slot) else { return };
        let fault = draw(rng, slot, spec);
        if faults.iter().all(|other| fault.is_apart_from(other)) {
            faults.push(fault);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::soak::home;

    #[test]
    fn a_seed_always_gives_the_same_case() {
        let home = home().unwrap();
        let (once, again) = (Case::of(7, &home), Case::of(7, &home));
        assert_eq!((once.specs, once.faults), (again.specs, again.faults));
    }

    #[test]
    fn a_fleet_is_as_large_and_as_sick_as_documented() {
        let home = home().unwrap();
        for seed in 0..200 {
            let case = Case::of(seed, &home);
            let schedule = case.schedule();
            assert!((25..=60).contains(&schedule.nodes), "{schedule:?}");
            assert!((4..=14).contains(&(schedule.curable + schedule.person_only)), "{schedule:?}");
            assert!(schedule.passing >= 15, "{schedule:?}");
            assert!(case.names().iter().all(Option::is_some));
        }
    }

    #[test]
    fn faults_on_one_node_never_meet() {
        let home = home().unwrap();
        for seed in 0..200 {
            let faults = Case::of(seed, &home).faults;
            for (index, fault) in faults.iter().enumerate() {
                assert!(faults.iter().skip(index + 1).all(|other| fault.is_apart_from(other)), "seed {seed}");
            }
        }
    }
}
