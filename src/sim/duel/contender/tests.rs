//! Each model keeps the rule that its sources state.

use super::*;
use crate::effect::Effect;
use crate::node::NodeId;
use crate::sim::ailment::Ailment;
use crate::sim::machine::MachineSpec;
use crate::sim::soak::home;
use crate::sim::world::WorldSettings;
use crate::time::secs_between;

/// A model at work on a small cluster.
struct Bench<R> {
    model: Model<R>,
    start: Timestamp,
    nodes: Vec<NodeId>,
}

impl<R: Rules> Bench<R> {
    /// A cluster of so many nodes, and a node without ECS in no group.
    fn new(size: u32, rules: R) -> Self {
        let start = Timestamp::from_second(1_795_176_000).unwrap();
        let settings =
            WorldSettings { home: home().unwrap(), start, seed: 5, flapping: false, background_commands: false };
        let mut world = World::new(settings);
        let mut nodes: Vec<_> = (0..size)
            .map(|_| world.add(MachineSpec::new().in_cluster("blue").in_group("blue").with_tasks(3)))
            .collect();
        nodes.push(world.add(MachineSpec::new()));
        let model = Model::on(world, vec!["blue".parse().unwrap()], rules, after(start, 1));
        Self { model, start, nodes }
    }

    fn ill(&mut self, node: usize, ailment: Ailment) {
        self.model.world.afflict(self.nodes[node], ailment, self.start, None);
    }

    /// Plays some minutes; says what landed, on which node of the bench, and in which minute.
    fn play(&mut self, minutes: i64) -> Vec<(Effect, usize, i64)> {
        self.model.run_until(after(self.start, minutes * 60));
        let landed = self.model.world.landed();
        let place = |node| self.nodes.iter().position(|known| *known == node).unwrap_or(usize::MAX);
        landed.iter().map(|one| (one.effect, place(one.node), secs_between(self.start, one.at) / 60)).collect()
    }
}

/// A fault that only silences the ECS agent.
const ECS_GONE: Ailment = Ailment::EcsAgentHung;
/// A fault that only silences the SSM agent.
const SSM_GONE: Ailment = Ailment::SsmAgentHung;

#[test]
fn nobody_does_nothing() {
    let mut bench = Bench::new(4, nothing::Nothing);
    bench.ill(0, Ailment::HostKernelHang);
    assert!(bench.play(600).is_empty());
}

#[test]
fn the_script_reboots_what_ssm_calls_lost_and_not_again_for_half_an_hour() {
    let mut bench = Bench::new(4, reboot::Reboot::default());
    bench.ill(0, Ailment::IdentityAccessDenied);
    bench.ill(1, ECS_GONE);
    let done = bench.play(80);
    assert!(done.iter().all(|(effect, node, _)| (*effect, *node) == (Effect::Reboot, 0)), "{done:?}");
    let minutes: Vec<_> = done.iter().map(|(_, _, minute)| *minute).collect();
    assert!((10..=20).contains(&minutes[0]), "{minutes:?}");
    assert!(minutes.len() >= 2 && minutes.windows(2).all(|pair| pair[1] - pair[0] >= 30), "{minutes:?}");
    assert_eq!(bench.model.take_messages().len(), minutes.len());
}

#[test]
fn the_function_terminates_after_five_minutes_without_a_connection() {
    let mut bench = Bench::new(4, terminate::Terminate::default());
    bench.ill(0, ECS_GONE);
    bench.ill(1, SSM_GONE);
    let done = bench.play(60);
    assert!(matches!(done[..], [(Effect::Terminate, 0, 5..=8)]), "{done:?}");
}

#[test]
fn the_function_gives_a_new_instance_ten_minutes_to_connect() {
    let mut bench = Bench::new(4, terminate::Terminate::default());
    bench.ill(0, Ailment::NetworkUnreachable);
    let done = bench.play(60);
    // The new instance has the fault as well and never connects, so it goes as well, and so on.
    let minutes: Vec<_> = done.iter().map(|(_, _, minute)| *minute).collect();
    assert!(minutes.len() >= 3, "{done:?}");
    assert!(minutes.windows(2).all(|pair| (11..=16).contains(&(pair[1] - pair[0]))), "{minutes:?}");
}

#[test]
fn the_function_lets_short_reconnects_be() {
    let mut bench = Bench::new(4, terminate::Terminate::default());
    bench.model.world.afflict(bench.nodes[0], ECS_GONE, bench.start, Some(240));
    assert!(bench.play(60).is_empty());
}

#[test]
fn karpenter_replaces_after_half_an_hour_and_only_in_a_pool() {
    let mut bench = Bench::new(10, karpenter::Karpenter::default());
    bench.ill(0, ECS_GONE);
    bench.ill(10, SSM_GONE);
    let done = bench.play(60);
    assert!(matches!(done[..], [(Effect::Terminate, 0, 30..=34)]), "{done:?}");
}

#[test]
fn karpenter_stops_above_a_fifth_of_a_pool_rounded_up() {
    let with_ill = |size, count| {
        let mut bench = Bench::new(size, karpenter::Karpenter::default());
        (0..count).for_each(|node| bench.ill(node, ECS_GONE));
        bench.play(60).len()
    };
    assert_eq!((with_ill(10, 2), with_ill(10, 3)), (2, 0));
    // Of three nodes one may be unhealthy.
    assert_eq!((with_ill(3, 1), with_ill(3, 2)), (1, 0));
}

#[test]
fn karpenter_launches_anew_what_has_not_registered_within_a_quarter_of_an_hour() {
    let mut bench = Bench::new(10, karpenter::Karpenter::default());
    bench.ill(0, Ailment::IdentityAccessDenied);
    let done = bench.play(70);
    let minutes: Vec<_> = done.iter().map(|(_, _, minute)| *minute).collect();
    assert!(minutes.len() >= 2 && (16..=21).contains(&(minutes[1] - minutes[0])), "{minutes:?}");
}

#[test]
fn eks_replaces_after_half_an_hour_and_drains_where_somebody_can() {
    let mut bench = Bench::new(10, eks::Eks::default());
    bench.ill(0, ECS_GONE);
    bench.ill(1, Ailment::RuntimeDockerHung);
    bench.ill(10, SSM_GONE);
    let done = bench.play(70);
    let of = |node| done.iter().filter(|(_, on, _)| *on == node).map(|(effect, _, _)| *effect).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![Effect::Terminate], vec![Effect::Drain, Effect::Terminate]));
    assert!(of(10).is_empty() && done.iter().all(|(_, _, minute)| *minute >= 30), "{done:?}");
    assert!(
        bench.model.world.landed().iter().filter(|one| one.truth.tasks > 0 && one.effect == Effect::Terminate).count()
            == 1
    );
}

#[test]
fn eks_stops_above_a_fifth_only_in_groups_of_more_than_five() {
    let with_ill = |size, count| {
        let mut bench = Bench::new(size, eks::Eks::default());
        (0..count).for_each(|node| bench.ill(node, ECS_GONE));
        bench.play(60).len()
    };
    assert_eq!((with_ill(10, 2), with_ill(10, 3)), (2, 0));
    assert_eq!((with_ill(5, 4), with_ill(6, 2)), (4, 0));
}

#[test]
fn eks_leaves_alone_what_never_joined() {
    let mut bench = Bench::new(10, eks::Eks::default());
    bench.ill(0, Ailment::IdentityAccessDenied);
    assert_eq!(bench.play(300).len(), 1);
}

#[test]
fn medik8s_reboots_after_five_minutes_and_replaces_when_that_did_not_help() {
    let mut bench = Bench::new(10, medik8s::Medik8s::default());
    bench.ill(0, ECS_GONE);
    bench.ill(1, Ailment::EcsAgentTerminalExit);
    let done = bench.play(60);
    let of = |node| done.iter().filter(|(_, on, _)| *on == node).map(|(effect, _, _)| *effect).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), (vec![Effect::Reboot], vec![Effect::Reboot, Effect::Terminate]));
    assert!(done.iter().all(|(_, _, minute)| (5..=14).contains(minute)), "{done:?}");
}

#[test]
fn medik8s_begins_nothing_while_fewer_than_51_percent_are_healthy() {
    let with_ill = |count| {
        let mut bench = Bench::new(10, medik8s::Medik8s::default());
        (0..count).for_each(|node| bench.ill(node, Ailment::NetworkUnreachable));
        bench.play(30).iter().filter(|(effect, _, _)| *effect == Effect::Reboot).count()
    };
    // Four of ten leave 60 % healthy, five leave 50 %; nodes are seen as lost one after the other.
    assert_eq!(with_ill(4), 4);
    assert!(with_ill(8) <= 4, "{}", with_ill(8));
}

#[test]
fn medik8s_can_only_reboot_a_node_in_no_group() {
    let mut bench = Bench::new(10, medik8s::Medik8s::default());
    // Two more nodes in no group, so that the sick one is not most of its cluster.
    bench.model.world.add(MachineSpec::new());
    bench.model.world.add(MachineSpec::new());
    bench.ill(10, Ailment::IdentityAccessDenied);
    let done = bench.play(120);
    assert!(matches!(done[..], [(Effect::Reboot, 10, _)]), "{done:?}");
}
