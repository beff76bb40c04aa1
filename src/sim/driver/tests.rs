//! The driver by itself.

use super::*;
use crate::node::{Home, NodeId};
use crate::policy::{Mode, Policy};
use crate::sim::world::{World, WorldSettings};

fn start() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn driver(settings: DriverSettings) -> Driver {
    let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    let world =
        WorldSettings { home: home.clone(), start: start(), seed: 1, flapping: false, background_commands: false };
    let context = Arc::new(Context { home, policy: Policy::in_mode(Mode::Replace) });
    Driver::new(Account::new(World::new(world)), context, settings, start())
}

#[test]
fn a_sweep_comes_every_five_minutes() {
    let mut driver = driver(DriverSettings::calm(1));
    driver.run_until(after(start(), 3_600), &mut ());
    assert_eq!(driver.counts().passes, 12);
}

#[test]
fn a_signal_about_a_node_that_does_not_exist_costs_one_look_and_leaves_nothing() {
    let mut driver = driver(DriverSettings::calm(1));
    let signal = Signal { node: NodeId::numbered(7), at: start(), kind: crate::event::SignalKind::SessionRefused };
    driver.deliver(Trigger::Signal(signal), start());
    assert!(driver.run_until_quiet(after(start(), 200), &mut ()));
    assert_eq!(driver.account().ledger.incidents().count(), 0);
}

#[test]
fn a_message_whose_pass_always_dies_ends_in_the_dead_letter_queue() {
    let mut settings = DriverSettings::calm(1);
    settings.faults.crash = 10_000;
    settings.signals.lose_sweep = 10_000;
    let mut driver = driver(settings);
    let signal = Signal { node: NodeId::numbered(7), at: start(), kind: crate::event::SignalKind::SessionRefused };
    driver.deliver(Trigger::Signal(signal), start());
    driver.run_until(after(start(), 3_600), &mut ());
    let counts = driver.counts();
    // Until the engine asks for something, its passes end before they can die.
    assert!(counts.crashes == 0 || (counts.crashes, counts.dead_letters) == (5, 1), "{counts:?}");
}
