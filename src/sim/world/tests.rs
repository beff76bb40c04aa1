//! The world keeps its word.

use proptest::prelude::*;

use super::*;
use crate::diagnose::Channel;
use crate::effect::Target;
use crate::incident::Remedy;
use crate::observe::{
    Check, Connection, Fact, Health, HostRefusal, Look, Observation, Ping, ProbeAnswer, RepairEnd, Standing,
};
use crate::ports::Performed;
use crate::sim::machine::MachineSpec;

mod draining;

const START: i64 = 1_795_000_000;

fn at(secs: i64) -> Timestamp {
    moment(START + secs)
}

fn quiet(seed: u64) -> WorldSettings {
    WorldSettings {
        home: Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() },
        start: at(0),
        seed,
        flapping: false,
        background_commands: false,
    }
}

fn close() -> Look {
    Look { close: true, ..Look::default() }
}

fn container_host() -> MachineSpec {
    MachineSpec::new().named("web-1").in_cluster("blue").in_group("blue-asg")
}

fn command(performed: Performed) -> CommandId {
    match performed {
        Performed::Done { command: Some(command) } => command,
        other => panic!("no command: {other:?}"),
    }
}

impl World {
    fn health(&mut self, node: NodeId, secs: i64) -> Health {
        Health::of(&self.observe(node, &close(), at(secs)), at(secs))
    }

    fn does(&mut self, effect: Effect, node: NodeId, secs: i64) -> Performed {
        let target = self.target_of(node);
        self.perform(effect, &target, at(secs))
    }

    fn fact(&self, node: NodeId) -> Truth {
        self.truth(node).unwrap()
    }

    fn kinds(&mut self) -> Vec<SignalKind> {
        self.take_signals().into_iter().map(|(_, signal)| signal.kind).collect()
    }
}

#[test]
fn a_node_that_nobody_knows_is_absent_everywhere() {
    let mut world = World::new(quiet(1));
    let seen = world.observe("i-0123456789abcdef0".parse().unwrap(), &close(), at(5));
    assert_eq!((seen.ec2, seen.ssm, seen.ecs, seen.asg), (Fact::Absent, Fact::Absent, Fact::Absent, Fact::Absent));
}

#[test]
fn a_healthy_node_stays_well_for_hours() {
    let mut world = World::new(quiet(2));
    let node = world.add(container_host());
    for secs in (0..10_800).step_by(97) {
        assert!(world.health(node, secs).is_well(), "{secs}");
    }
    assert!(world.kinds().is_empty());
}

#[test]
fn a_dead_agent_looks_online_for_minutes_and_not_connected_within_one() {
    let mut world = World::new(quiet(3));
    let node = world.add(MachineSpec::new());
    world.afflict(node, Ailment::SsmAgentHung, at(100), None);
    let seen = world.observe(node, &close(), at(200));
    let ssm = seen.ssm.known().unwrap();
    assert_eq!((ssm.ping, ssm.connection.clone()), (Ping::Online, Fact::Known(Connection::NotConnected)));
    let seen = world.observe(node, &close(), at(1_100));
    assert_eq!(seen.ssm.known().unwrap().ping, Ping::ConnectionLost);
    assert_eq!(world.troubled(at(1_100)).len(), 1);
}

#[test]
fn a_look_that_is_not_close_reads_no_diagnosis() {
    let mut world = World::new(quiet(4));
    let node = world.add(MachineSpec::new());
    let seen = world.observe(node, &Look { close: false, ..close() }, at(1));
    let unread = |fact: &Fact<Findings>| matches!(fact, Fact::Unknown(crate::observe::Blind::NotRead));
    assert!(unread(&seen.identity) && unread(&seen.network) && unread(&seen.console));
    assert!(seen.sessions.known().is_none() && seen.busy.known().is_none());
}

#[test]
fn a_probe_to_a_live_node_brings_findings_and_one_to_a_dead_node_is_not_delivered() {
    let mut world = World::new(quiet(5));
    let (live, dead) = (world.add(container_host()), world.add(MachineSpec::new()));
    world.afflict(live, Ailment::EcsAgentStopped, at(10), None);
    world.afflict(dead, Ailment::SsmAgentStopped, at(10), None);
    let to_live = command(world.does(Effect::Probe, live, 100));
    let to_dead = command(world.does(Effect::Probe, dead, 100));
    let mut probe = |node, id: &CommandId, secs| {
        let look = Look { probe: Some(id.clone()), ..close() };
        world.observe(node, &look, at(secs)).probe.known().unwrap().answer.clone()
    };
    assert_eq!(probe(live, &to_live, 100), ProbeAnswer::Pending);
    match probe(live, &to_live, 125) {
        ProbeAnswer::Answered { findings, .. } => {
            assert_eq!(findings[0].cause, crate::diagnose::Cause::EcsAgentStopped);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(probe(dead, &to_dead, 150), ProbeAnswer::Pending);
    assert_eq!(probe(dead, &to_dead, 165), ProbeAnswer::Undelivered);
    let told = world.kinds().into_iter().any(|kind| match kind {
        SignalKind::CommandTrouble { document, .. } => document.as_str() == "Defib-Probe",
        _ => false,
    });
    assert!(told, "the event about our own command must be there to be ignored");
}

#[test]
fn a_restart_of_the_ecs_agent_brings_a_stopped_one_back() {
    let mut world = World::new(quiet(6));
    let node = world.add(container_host());
    world.afflict(node, Ailment::EcsAgentStopped, at(10), None);
    assert_eq!(world.health(node, 300).ecs, Standing::Ill);
    world.does(Effect::RestartEcsAgent, node, 300);
    assert!(world.health(node, 400).is_well());
    assert_eq!(world.ran().len(), 1);
}

#[test]
fn an_agent_on_a_full_disk_needs_room_first() {
    let mut world = World::new(quiet(7));
    let node = world.add(container_host());
    world.afflict(node, Ailment::HostDiskFull, at(10), None);
    world.does(Effect::RestartEcsAgent, node, 300);
    assert_eq!(world.health(node, 400).ecs, Standing::Ill);
    assert!(world.fact(node).forbids(Remedy::Reboot));
    world.does(Effect::FreeDisk, node, 400);
    assert_eq!(world.health(node, 450).ecs, Standing::Ill);
    world.does(Effect::RestartEcsAgent, node, 450);
    assert!(world.health(node, 550).is_well());
}

#[test]
fn a_reboot_keeps_the_state_and_changes_the_boot_time() {
    let mut world = World::new(quiet(8));
    let node = world.add(container_host());
    world.afflict(node, Ailment::HostKernelHang, at(10), None);
    let before = world.observe(node, &close(), at(600));
    assert_eq!(before.ec2.known().unwrap().instance_check, Check::Impaired);
    let booted = world.fact(node).booted_at;
    world.does(Effect::Reboot, node, 600);
    let during = world.observe(node, &close(), at(640));
    assert_eq!(during.ec2.known().unwrap().state, InstanceState::Running);
    assert!(world.health(node, 1_300).is_well());
    assert!(world.fact(node).booted_at > booted);
    assert_eq!(
        world.observe(node, &close(), at(1_300)).ec2.known().unwrap().launched_at,
        before.ec2.known().unwrap().launched_at
    );
}

#[test]
fn a_stop_and_start_gives_new_hardware_and_a_new_launch_time() {
    let mut world = World::new(quiet(9));
    let node = world.add(MachineSpec::new());
    world.afflict(node, Ailment::PlatformHardware, at(10), None);
    assert_eq!(world.health(node, 400).platform, Standing::Ill);
    world.does(Effect::Stop, node, 400);
    assert_eq!(world.does(Effect::Start, node, 410), Performed::Refused);
    let stopped = world.observe(node, &close(), at(700));
    assert_eq!(stopped.ec2.known().unwrap().state, InstanceState::Stopped);
    assert_eq!(stopped.ssm, Fact::Absent);
    world.does(Effect::Start, node, 700);
    assert_eq!(world.observe(node, &close(), at(740)).ec2.known().unwrap().system_check, Check::Undecided);
    assert!(world.health(node, 1_000).is_well());
    assert!(world.kinds().contains(&SignalKind::Gone { what: crate::event::GoneKind::Stopped }));
}

#[test]
fn stopping_a_member_in_service_loses_it_to_its_group() {
    let mut world = World::new(quiet(10));
    let node = world.add(container_host());
    world.stop_by_hand(node, at(10));
    world.advance(at(1_200));
    assert!(!world.fact(node).exists);
    let heir = world.nodes().last().unwrap();
    assert_ne!(heir, node);
    assert!(world.health(heir, 1_200).is_well());
}

#[test]
fn a_member_in_standby_may_be_stopped_and_comes_back() {
    let mut world = World::new(quiet(11));
    let (node, _) = (world.add(container_host()), world.add(container_host()));
    assert_eq!(world.does(Effect::EnterStandby, node, 5), Performed::Refused, "below the minimum");
    let group = "blue-asg".parse().unwrap();
    world.set_group(&group, &GroupSettings { min: Some(1), ..GroupSettings::default() });
    world.does(Effect::EnterStandby, node, 10);
    assert_eq!(world.does(Effect::ExitStandby, node, 11), Performed::Refused, "not there yet");
    world.does(Effect::Stop, node, 60);
    world.does(Effect::Start, node, 300);
    world.does(Effect::ExitStandby, node, 600);
    let seen = world.observe(node, &close(), at(700));
    assert_eq!(seen.asg.known().map(|asg| (asg.lifecycle, asg.desired)), Some((Lifecycle::InService, 2)));
    assert_eq!(world.nodes().count(), 2);
}

#[test]
fn a_replaced_node_leaves_a_ghost_until_it_is_deregistered() {
    let mut world = World::new(quiet(12));
    let node = world.add(container_host());
    world.afflict(node, Ailment::EcsAgentTerminalExit, at(10), None);
    assert_eq!(world.does(Effect::Terminate, node, 600), Performed::Done { command: None });
    let seen = world.observe(node, &close(), at(800));
    assert_eq!(seen.ec2.known().unwrap().state, InstanceState::Terminated);
    assert!(!seen.ecs.known().expect("a ghost").connected);
    assert_eq!(world.does(Effect::Deregister, node, 800), Performed::Done { command: None });
    assert_eq!(world.observe(node, &close(), at(801)).ecs, Fact::Absent);
    let heir = world.nodes().last().unwrap();
    assert!(world.health(heir, 1_500).is_well());
    assert_eq!(world.landed().len(), 2);
}

#[test]
fn what_no_replacement_cures_falls_on_the_heir() {
    let mut world = World::new(quiet(13));
    let node = world.add(container_host());
    world.afflict(node, Ailment::NetworkUnreachable, at(10), None);
    world.does(Effect::Terminate, node, 600);
    world.advance(at(1_500));
    let heir = world.nodes().last().unwrap();
    assert_eq!(world.fact(heir).ailment, Some(Ailment::NetworkUnreachable));
}

#[test]
fn ecs_tells_of_a_lost_agent_and_of_its_return() {
    let mut world = World::new(quiet(15));
    let node = world.add(container_host());
    world.afflict(node, Ailment::EcsAgentHung, at(10), Some(1_200));
    world.advance(at(1_500));
    let kinds = world.kinds();
    assert!(
        matches!(
            kinds.as_slice(),
            [
                SignalKind::EcsDisconnected { version: Some(2), .. },
                SignalKind::EcsHealthImpaired { .. },
                SignalKind::EcsConnected,
                SignalKind::EcsHealthRestored
            ]
        ),
        "{kinds:?}"
    );
}

#[test]
fn natural_reconnects_are_short_and_never_make_a_node_ill() {
    let mut world = World::new(WorldSettings { flapping: true, ..quiet(16) });
    let node = world.add(container_host());
    world.advance(at(10_800));
    let kinds = world.kinds();
    assert!(kinds.len() >= 8, "{kinds:?}");
    assert!(kinds.iter().all(|kind| { matches!(kind, SignalKind::EcsConnected | SignalKind::EcsDisconnected { .. }) }));
    assert!(world.fact(node).healthy_for(at(10_800)).unwrap() >= 10_800);
}

#[test]
fn other_peoples_commands_fail_on_dead_nodes() {
    let mut world = World::new(WorldSettings { background_commands: true, ..quiet(17) });
    let node = world.add(MachineSpec::new());
    world.afflict(node, Ailment::SsmAgentHung, at(10), None);
    world.advance(at(7_200));
    assert!(world.kinds().iter().any(|kind| matches!(kind, SignalKind::CommandTrouble { .. })));
}

#[test]
fn an_unregistered_node_refuses_commands() {
    let mut world = World::new(quiet(18));
    let node = world.add(MachineSpec::new());
    world.stop_by_hand(node, at(1));
    assert_eq!(world.does(Effect::Probe, node, 400), Performed::Refused);
    assert!(world.landed().is_empty());
}

#[test]
fn a_powered_off_machine_outside_ec2_is_not_swept() {
    let mut world = World::new(quiet(19));
    let node = world.add(MachineSpec::new().hybrid());
    assert!(!node.is_instance());
    world.stop_by_hand(node, at(1));
    let seen = world.observe(node, &close(), at(4_000));
    assert_eq!((seen.ec2, seen.ssm.known().unwrap().ping), (Fact::Absent, Ping::ConnectionLost));
    assert!(world.troubled(at(4_000)).is_empty() && world.kinds().is_empty());
}

/// A machine on which a fault can be seen.
fn host_for(ailment: Ailment) -> MachineSpec {
    if ailment == Ailment::IdentityRegistrationMismatch { MachineSpec::new().hybrid() } else { container_host() }
}

#[test]
fn every_harmful_fault_shows_and_every_harmless_one_does_not_last() {
    for &ailment in Ailment::ALL {
        let mut world = World::new(quiet(20));
        let node = world.add(host_for(ailment));
        world.afflict(node, ailment, at(10), None);
        let health = world.health(node, 1_400);
        let probe = command_or_none(world.does(Effect::Probe, node, 1_400));
        let answered = probe.is_some_and(|probe| {
            let seen = world.observe(node, &Look { probe: Some(probe), ..close() }, at(1_490));
            seen.probe.known().is_some_and(|probe| matches!(probe.answer, ProbeAnswer::Answered { .. }))
        });
        if ailment == Ailment::ServiceUnavailable {
            assert!(!health.is_ill() && !health.is_well(), "nothing can be read");
        } else if ailment.is_harmless() {
            assert!(health.is_well() && answered, "{ailment:?} {health:?}");
        } else {
            assert!(health.is_ill() || health.is_suspect() || !answered, "{ailment:?} {health:?}");
            assert!(world.fact(node).ill_since.is_some(), "{ailment:?}");
        }
    }
}

fn command_or_none(performed: Performed) -> Option<CommandId> {
    match performed {
        Performed::Done { command } => command,
        _ => None,
    }
}

#[test]
fn every_cure_that_can_reach_the_node_cures() {
    for &ailment in Ailment::ALL {
        let profile = ailment.profile();
        for &remedy in profile.cures {
            let reachable =
                !Effect::of(remedy).needs_ssm() || profile.agents(true).ssm == crate::sim::ailment::SsmFace::Answers;
            if remedy == Remedy::Replace || !reachable {
                continue;
            }
            let mut world = World::new(quiet(21));
            let node = world.add(MachineSpec::new().in_cluster("blue"));
            world.afflict(node, ailment, at(10), None);
            if let Some(first) = profile.first {
                world.does(Effect::of(first), node, 500);
            }
            world.does(Effect::of(remedy), node, 600);
            if remedy == Remedy::StopStart {
                world.does(Effect::Start, node, 900);
            }
            assert!(world.health(node, 2_400).is_well(), "{ailment:?} {remedy}");
        }
    }
}

/// Everything that can be seen of a world that lives through a schedule.
fn life(seed: u64, steps: &[(u8, u8, u16)]) -> (Vec<Observation>, Vec<SignalKind>) {
    let settings = WorldSettings { flapping: true, background_commands: true, ..quiet(seed) };
    let mut world = World::new(settings);
    for zone in ['a', 'b', 'c'] {
        world.add(container_host().in_zone(zone));
        world.add(MachineSpec::new().in_zone(zone).with_sessions(1));
    }
    let (mut clock, mut looks) = (0, Vec::new());
    for &(what, which, pause) in steps {
        clock += i64::from(pause);
        let nodes: Vec<NodeId> = world.nodes().collect();
        let node = nodes[usize::from(which) % nodes.len()];
        let what = usize::from(what);
        if let Some(effect) = Effect::ALL.get(what) {
            let target = Target { ..world.target_of(node) };
            world.perform(*effect, &target, at(clock));
        } else {
            let ailment = Ailment::ALL[what % Ailment::ALL.len()];
            world.afflict(node, ailment, at(clock), Some(600));
        }
        looks.push(world.observe(node, &close(), at(clock)));
        world.troubled(at(clock));
    }
    let kinds = world.kinds();
    (looks, kinds)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_seed_gives_the_same_world(
        seed in any::<u64>(),
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0u16..600), 0..60),
    ) {
        prop_assert_eq!(life(seed, &steps), life(seed, &steps));
    }

    #[test]
    fn looking_changes_nothing(
        seed in any::<u64>(),
        looks in proptest::collection::vec(0i64..4_000, 0..40),
    ) {
        let build = || {
            let mut world = World::new(WorldSettings { flapping: true, background_commands: true, ..quiet(seed) });
            let node = world.add(container_host());
            world.afflict(node, Ailment::SsmAgentWorkerCrash, at(300), Some(1_500));
            (world, node)
        };
        let (mut looked_at, node) = build();
        let (mut alone, _) = build();
        let mut looks = looks;
        looks.sort_unstable();
        for secs in looks {
            looked_at.observe(node, &close(), at(secs));
        }
        prop_assert_eq!(looked_at.observe(node, &close(), at(4_000)), alone.observe(node, &close(), at(4_000)));
    }
}

/// What a close look names, with a probe and the first command that somebody's event told of, on a host that fits.
fn diagnosed(ailment: Ailment) -> (crate::diagnose::Diagnosis, Health) {
    let mut world = World::new(quiet(23));
    let node = world.add(host_for(ailment));
    world.afflict(node, ailment, at(10), None);
    world.advance(at(1_300));
    let told = world.kinds().into_iter().find_map(|kind| match kind {
        SignalKind::CommandTrouble { command, .. } => Some(command),
        _ => None,
    });
    let probe = command_or_none(world.does(Effect::Probe, node, 1_300));
    let seen = world.observe(node, &Look { command: told, probe, ..close() }, at(1_395));
    let health = Health::of(&seen, at(1_395));
    (crate::diagnose::diagnose(&seen, health, at(1_395)), health)
}

fn named(ailment: Ailment) -> (crate::diagnose::Cause, Health) {
    let (found, health) = diagnosed(ailment);
    (found.cause, health)
}

#[test]
fn what_leaves_no_trace_outside_the_host_stands_among_the_alternatives() {
    for ailment in [Ailment::SsmAgentHung, Ailment::SsmAgentHibernating] {
        let outside = ailment.profile().leaves.iter().filter(|trace| trace.channel != Channel::Probe).count();
        assert_eq!(outside, 0, "{ailment:?} shows itself, so it can be named");
        let (found, health) = diagnosed(ailment);
        assert_eq!((found.cause, health.ssm), (crate::diagnose::Cause::Unknown, Standing::Ill), "{ailment:?}");
        assert!(found.also.contains(&ailment.cause()), "{ailment:?}: {:?}", found.also);
    }
}

#[test]
fn a_close_look_names_the_fault_wherever_it_left_something_to_see() {
    use crate::diagnose::Cause;
    for &ailment in Ailment::ALL {
        let (cause, _) = named(ailment);
        let expected = match ailment {
            // Noise explains nothing, and the node is well.
            Ailment::NoisePeriodicReconnect => Cause::Healthy,
            // Silent, without a trace outside the host: the honest answer, with what it may be.
            Ailment::SsmAgentHung | Ailment::SsmAgentHibernating => Cause::Unknown,
            named => named.cause(),
        };
        assert_eq!(cause, expected, "{ailment:?}");
    }
}

#[test]
fn the_ladder_of_what_a_close_look_names_can_cure_and_holds_nothing_forbidden() {
    for &ailment in Ailment::ALL {
        // Nothing could be read, so a rail stands before every remedy.
        if ailment == Ailment::ServiceUnavailable {
            continue;
        }
        let (cause, health) = named(ailment);
        let (ladder, profile) = (crate::plan::ladder::rungs(cause, health), ailment.profile());
        for remedy in ladder {
            assert!(!profile.forbids.contains(remedy), "{ailment:?}: {remedy}");
        }
        let cures = ladder.iter().any(|remedy| profile.cures.contains(remedy));
        assert_eq!(cures, !profile.cures.is_empty(), "{ailment:?}: {ladder:?}");
    }
}

#[test]
fn noise_on_an_ill_node_does_not_cure_it() {
    let mut world = World::new(quiet(24));
    let node = world.add(container_host());
    world.afflict(node, Ailment::HostKernelHang, at(10), None);
    world.afflict(node, Ailment::CommandScriptTimeout, at(60), None);
    world.advance(at(100));
    assert_eq!(world.fact(node).ailment, Some(Ailment::HostKernelHang));
}

#[test]
fn a_host_without_a_shell_takes_no_restart() {
    let mut world = World::new(quiet(25));
    let node = world.add(container_host().on(crate::observe::Platform::Bottlerocket));
    world.afflict(node, Ailment::EcsAgentStopped, at(10), None);
    world.does(Effect::RestartEcsAgent, node, 300);
    assert_eq!(world.health(node, 600).ecs, Standing::Ill);
    assert!(world.ran().is_empty());
}

#[test]
fn a_host_whose_docker_is_silent_refuses_to_restart_its_ecs_agent_and_says_why() {
    let mut world = World::new(quiet(27));
    let node = world.add(container_host());
    let mut ends = |ailment, secs: i64| {
        world.afflict(node, ailment, at(secs), None);
        let repair = Some(command(world.does(Effect::RestartEcsAgent, node, secs + 300)));
        let seen = world.observe(node, &Look { repair, ..close() }, at(secs + 400));
        world.repair(node, at(secs + 500));
        seen.repair
    };
    let refused = RepairEnd::Refused(HostRefusal::RuntimeSilent);
    assert_eq!(ends(Ailment::RuntimeDockerHung, 10), Fact::Known(refused));
    assert_eq!(ends(Ailment::EcsAgentHung, 2_000), Fact::Known(RepairEnd::Done));
    assert_eq!(world.ran().len(), 1, "what was refused did not run");
}

#[test]
fn a_machine_can_have_the_names_that_an_event_gives_it() {
    let arn = "arn:aws:ecs:us-east-1:111122223333:container-instance/prod-web/6f1d0b7c9a3e4d52";
    let mut world = World::new(quiet(26));
    let spec = MachineSpec::new().with_id("mi-0a1b2c3d4e5f60718".parse().unwrap());
    let node = world.add(spec.registered_as(arn.parse().unwrap(), None));
    let (cluster, named) = world.target_of(node).container_instance.unwrap();
    assert_eq!((cluster.name(), named.as_str()), ("prod-web", arn));
}

#[test]
fn tasks_come_back_after_the_runtime_was_restarted() {
    for seed in 30..60 {
        let mut world = World::new(quiet(seed));
        let node = world.add(container_host());
        world.afflict(node, Ailment::RuntimeDockerHung, at(10), None);
        world.does(Effect::RestartRuntime, node, 600);
        let seen = world.observe(node, &close(), at(900));
        assert_eq!(seen.ecs.known().map(|ecs| (ecs.tasks, ecs.runtime_check)), Some((4, Check::Ok)), "{seed}");
    }
}

#[test]
fn tag_flips_are_dated() {
    let mut world = World::new(quiet(27));
    let node = world.add(MachineSpec::new());
    assert!(world.fact(node).managed_since.is_some());
    world.set_tags(node, Tags::default(), at(50));
    world.set_tags(node, Tags { mode: Some(crate::policy::Mode::Off), ..Tags::default() }, at(70));
    let truth = world.fact(node);
    assert_eq!((truth.managed_since, truth.unmanaged_since), (None, Some(at(50))));
    assert_eq!(truth.opted_out_since, Some(at(70)));
}

#[test]
fn what_landed_is_kept_with_the_truth_before_it() {
    let mut world = World::new(quiet(28));
    let node = world.add(MachineSpec::new());
    world.does(Effect::Reboot, node, 100);
    let landed = &world.landed()[0];
    assert_eq!((landed.at, landed.node, landed.effect), (at(100), node, Effect::Reboot));
    assert!(landed.truth.healthy_for(at(100)).unwrap() > 90, "a promise was broken, and the log must show it");
    world.clear_landed();
    assert!(world.landed().is_empty());
}
