//! Each way to fail, by itself.

use super::*;
use crate::effect::{Effect, IntentId, Target};
use crate::incident::IncidentId;
use crate::node::Home;
use crate::sim::account::Account;
use crate::sim::world::{MachineSpec, World, WorldSettings};

fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn faulty(plan: FaultPlan) -> (Faulty<Account>, NodeId) {
    let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let settings = WorldSettings { home, start: start(), seed: 1, flapping: false, background_commands: false };
    let mut world = World::new(settings);
    let node = world.add(MachineSpec::new());
    (Faulty::new(Account::new(world), plan, 7, Choice::default()), node)
}

fn reboot(node: NodeId, not_after: Timestamp) -> Perform {
    Perform {
        incident: IncidentId::new(start(), node),
        intent: IntentId(1),
        effect: Effect::Reboot,
        target: Target { node, container_instance: None, group: None },
        not_after,
    }
}

#[test]
fn a_failed_request_changes_nothing() {
    let (mut ports, node) = faulty(FaultPlan { fail: 10_000, ..FaultPlan::NONE });
    assert_eq!(ports.switch(Switch::Mute(node, after(start(), 60)), start()), Err(PortError::Transient));
    assert_eq!(ports.perform(&reboot(node, after(start(), 20)), start()), Performed::Unknown);
    assert!(ports.inner().switched.is_empty() && ports.inner().sent.is_empty());
}

#[test]
fn a_lost_answer_hides_a_change_that_was_made() {
    let (mut ports, node) = faulty(FaultPlan { lose_answer: 10_000, ..FaultPlan::NONE });
    assert_eq!(ports.switch(Switch::Pause, start()), Err(PortError::Transient));
    assert_eq!(ports.perform(&reboot(node, after(start(), 20)), start()), Performed::Unknown);
    assert_eq!((ports.inner().switched.len(), ports.inner().sent.len()), (1, 1));
}

#[test]
fn an_effect_may_land_after_its_caller_gave_up_but_before_anybody_burns_it() {
    let (mut ports, node) = faulty(FaultPlan { land_late: 10_000, ..FaultPlan::NONE });
    assert_eq!(ports.perform(&reboot(node, start()), start()), Performed::Unknown);
    assert!(ports.inner().sent.is_empty());
    let at = ports.next_late().unwrap();
    assert!(at > start() && at < after(start(), crate::effect::BURN_AFTER_SECS));
    assert_eq!(ports.land_late(after(at, -1)), None);
    assert_eq!(ports.land_late(at).map(|landed| landed.intent), Some(reboot(node, start()).intent));
    assert_eq!(ports.inner().sent.iter().map(|sent| (sent.at, sent.landed)).collect::<Vec<_>>(), [(at, true)]);
    assert_eq!((ports.next_late(), ports.land_late(at)), (None, None));
}

#[test]
fn what_is_too_late_is_never_sent() {
    let (mut ports, node) = faulty(FaultPlan { lose_answer: 5_000, land_late: 5_000, ..FaultPlan::NONE });
    assert_eq!(ports.perform(&reboot(node, start()), after(start(), 1)), Performed::TooLate);
}

#[test]
fn a_blind_look_sees_unknown_facts_and_never_false_ones() {
    let (mut ports, node) = faulty(FaultPlan { blind_look: 10_000, blind_fact: 10_000, ..FaultPlan::NONE });
    let seen = ports.observe(node, &Look { close: true, ..Look::default() }, start());
    assert!(seen.ec2.blind().is_some() && seen.ssm.blind().is_some() && seen.sessions.blind().is_some());
}

#[test]
fn a_stale_look_shows_what_was_so_at_the_look_before_and_never_anything_older() {
    let look = Look::default();
    let state = |seen: &Observation| seen.ec2.known().map(|ec2| ec2.state);
    let (mut new, mut old) = (0, 0);
    for seconds in [20, STALE_MAX_SECS + 1] {
        for seed in 0..40 {
            let (mut ports, node) = faulty(FaultPlan { stale_look: 10_000, ..FaultPlan::NONE });
            ports.chance = Chance::new(seed, Choice::default());
            let before = ports.observe(node, &look, start());
            ports.inner_mut().world.stop_by_hand(node, start());
            let now = after(start(), seconds);
            let seen = ports.observe(node, &look, now);
            assert_eq!(seen.at, now, "it is old, and does not say so");
            if seconds > STALE_MAX_SECS {
                assert_ne!(state(&seen), state(&before));
                assert_eq!(ports.mishap(), Mishap::Nothing);
            } else {
                assert_eq!(ports.mishap(), Mishap::Stale);
                old += u32::from(state(&seen) == state(&before));
                new += u32::from(state(&seen) != state(&before));
            }
        }
    }
    assert!(old > 10 && new > 10, "{old} old and {new} new");
}
