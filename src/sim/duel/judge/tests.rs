//! The judge's arithmetic, on cases made by hand.

use super::super::LENGTH_SECS;
use super::*;
use crate::node::NodeId;
use crate::sim::ailment::Ailment;
use crate::sim::machine::MachineSpec;
use crate::sim::soak::home;
use crate::sim::world::WorldSettings;
use crate::time::after;

/// Three nodes of a group, the first of which may fall ill in minute 2, and its judge.
struct Bench {
    world: World,
    judge: Judge,
    start: Timestamp,
    nodes: Vec<NodeId>,
    minute: i64,
}

impl Bench {
    fn new(fault: Option<Ailment>, passes_secs: Option<i64>) -> Self {
        let start = Timestamp::from_second(1_795_176_000).unwrap();
        let settings =
            WorldSettings { home: home().unwrap(), start, seed: 5, flapping: false, background_commands: false };
        let mut world = World::new(settings);
        let spec = |name: &str| MachineSpec::new().named(name).in_cluster("blue").in_group("blue").with_tasks(3);
        let specs = ["node-0", "node-1", "node-2"].map(spec);
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        let nodes = specs.into_iter().map(|spec| world.add(spec)).collect();
        let faults =
            fault.map(|ailment| Fault { slot: 0, ailment, begins_secs: 120, passes_secs }).into_iter().collect();
        Self { world, judge: Judge::new(names, faults, start), start, nodes, minute: 0 }
    }

    fn play(&mut self, minutes: i64) {
        for _ in 0..minutes {
            self.minute += 1;
            let now = after(self.start, self.minute * 60);
            self.world.advance(now);
            self.judge.look(&mut self.world, &[], now);
        }
    }

    fn act(&mut self, effect: Effect, node: usize) {
        let target = self.world.target_of(self.nodes[node]);
        let now = self.world.now();
        self.world.perform(effect, &target, now);
    }

    fn tell(&mut self, node: usize, asks_person: bool) {
        let message = Message { node: Some(self.nodes[node]), asks_person };
        let now = self.world.now();
        self.judge.look(&mut self.world, &[message], now);
    }

    fn finish(mut self) -> Score {
        self.play(LENGTH_SECS / 60 - self.minute);
        self.judge.finish(&self.world)
    }
}

#[test]
fn a_healthy_node_that_is_rebooted_counts_as_touched_and_its_tasks_as_lost() {
    let mut bench = Bench::new(None, None);
    bench.play(5);
    bench.act(Effect::Reboot, 1);
    let score = bench.finish();
    assert_eq!((score.disruptive, score.healthy_touched, score.futile, score.tasks_lost), (1, 1, 0, 3));
    assert_eq!(score.left_broken, 0);
}

#[test]
fn a_fault_that_a_reboot_cures_is_neither_futile_nor_touched() {
    let mut bench = Bench::new(Some(Ailment::HostKernelHang), None);
    bench.play(12);
    bench.act(Effect::Reboot, 0);
    let score = bench.finish();
    assert_eq!((score.disruptive, score.healthy_touched, score.futile, score.left_broken), (1, 0, 0, 0));
    // Ten minutes of illness, then a hard reset and the boot.
    assert!(matches!(score.repair_secs[..], [750..=1_100]), "{:?}", score.repair_secs);
}

#[test]
fn a_node_that_nobody_repairs_is_left_broken() {
    let score = Bench::new(Some(Ailment::EcsAgentHung), None).finish();
    assert_eq!((score.never_repaired, score.left_broken, score.repair_secs.len()), (1, 1, 0));
}

#[test]
fn an_identity_fault_that_is_rebooted_counts_as_futile_and_as_cycled_in_vain() {
    let mut bench = Bench::new(Some(Ailment::IdentityAccessDenied), None);
    bench.play(10);
    bench.act(Effect::Reboot, 0);
    bench.play(10);
    bench.act(Effect::Reboot, 0);
    let score = bench.finish();
    assert_eq!((score.futile, score.in_vain, score.healthy_touched, score.came_along), (2, 1, 0, 0));
    // Only a person could fix it, so it is nobody's fault that it is broken.
    assert_eq!((score.left_broken, score.never_repaired), (0, 0));
}

#[test]
fn a_replacement_that_has_the_fault_as_well_counts_as_one_that_came_along() {
    let mut bench = Bench::new(Some(Ailment::NetworkUnreachable), None);
    bench.play(10);
    bench.act(Effect::Terminate, 0);
    let score = bench.finish();
    assert_eq!((score.futile, score.came_along, score.in_vain, score.left_broken), (1, 1, 1, 0));
}

#[test]
fn a_replacement_repairs_its_place() {
    let mut bench = Bench::new(Some(Ailment::EcsAgentTerminalExit), None);
    bench.play(10);
    bench.act(Effect::Terminate, 0);
    let score = bench.finish();
    assert_eq!((score.futile, score.left_broken, score.repair_secs.len()), (0, 0, 1));
}

#[test]
fn a_second_reboot_while_the_first_is_under_way_is_futile() {
    let mut bench = Bench::new(Some(Ailment::EcsAgentHung), None);
    bench.play(10);
    bench.act(Effect::Reboot, 0);
    bench.world.advance(after(bench.world.now(), 75));
    bench.act(Effect::Reboot, 0);
    bench.minute += 2;
    assert_eq!(bench.finish().futile, 1);
}

#[test]
fn a_full_disk_is_not_cured_by_a_reboot_and_is_by_a_new_node() {
    let mut bench = Bench::new(Some(Ailment::HostDiskFull), None);
    bench.play(10);
    bench.act(Effect::Reboot, 0);
    bench.play(10);
    bench.act(Effect::Terminate, 0);
    let score = bench.finish();
    assert_eq!((score.futile, score.left_broken), (1, 0));
}

#[test]
fn what_was_drained_first_is_not_lost() {
    let mut bench = Bench::new(Some(Ailment::RuntimeDockerHung), None);
    bench.play(10);
    bench.act(Effect::Drain, 0);
    bench.play(10);
    bench.act(Effect::Terminate, 0);
    assert_eq!(bench.finish().tasks_lost, 0);
}

#[test]
fn a_node_left_draining_is_left_broken() {
    let mut bench = Bench::new(None, None);
    bench.play(5);
    bench.act(Effect::Drain, 1);
    let score = bench.finish();
    assert_eq!((score.left_broken, score.disruptive), (1, 0));
}

#[test]
fn a_passing_fault_passes_also_on_the_node_that_took_its_place() {
    let mut bench = Bench::new(Some(Ailment::NetworkUnreachable), Some(15 * 60));
    bench.play(12);
    bench.act(Effect::Terminate, 0);
    let score = bench.finish();
    assert_eq!((score.left_broken, score.futile, score.in_vain, score.never_repaired), (0, 1, 0, 0));
}

#[test]
fn only_a_message_that_asks_for_a_person_while_the_fault_is_at_work_tells_of_it() {
    let mut bench = Bench::new(Some(Ailment::IdentityAccessDenied), None);
    bench.tell(0, true);
    bench.play(10);
    bench.tell(0, false);
    bench.tell(1, true);
    assert_eq!(bench.judge.told.len(), 0);
    bench.tell(0, true);
    bench.tell(0, true);
    let score = bench.finish();
    assert_eq!((score.told, score.messages), (1, 5));
}
