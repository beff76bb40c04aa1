//! What a drain does to tasks.

use super::*;

#[test]
fn a_drain_ends_with_a_connected_agent_only() {
    let mut world = World::new(quiet(14));
    let (live, dead) = (world.add(container_host()), world.add(container_host()));
    // Somewhere the tasks must go.
    world.add(container_host());
    world.afflict(dead, Ailment::NetworkUnreachable, at(1), None);
    world.does(Effect::Drain, live, 200);
    world.does(Effect::Drain, dead, 200);
    let mut tasks = |node| world.observe(node, &close(), at(600)).ecs.known().unwrap().tasks;
    assert_eq!((tasks(live), tasks(dead)), (0, 4));
    world.does(Effect::Activate, live, 600);
    assert_eq!(world.observe(live, &close(), at(800)).ecs.known().unwrap().tasks, 4);
}

#[test]
fn tasks_that_a_drain_told_to_stop_are_there_until_they_have() {
    let mut world = World::new(quiet(14));
    let node = world.add(container_host().with_slow_tasks(300));
    world.add(container_host());
    world.does(Effect::Drain, node, 200);
    let look = Look { stopping: true, ..close() };
    let mut tasks = |secs| world.observe(node, &look, at(secs)).ecs.known().unwrap().tasks;
    // At the latest after four minutes all are told, and after five more the last has stopped.
    assert!(tasks(450) > 0);
    assert_eq!(tasks(760), 0);
    assert_eq!(world.fact(node).stopping_since, None);
}
