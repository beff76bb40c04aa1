//! Defib itself: the real engine over the simulated account, as it ships, in mode `replace`.
//!
//! EventBridge's signals arrive within seconds, the sweep comes every five minutes, everything is opted in, and every limit and
//! time is the built-in default. Nothing fails at its ports: nothing fails for the models either.

use std::sync::Arc;

use jiff::Timestamp;

use super::Contender;
use crate::engine::Context;
use crate::incident::Outcome;
use crate::policy::{Mode, Policy};
use crate::ports::OutboxItem;
use crate::sim::account::Account;
use crate::sim::driver::{Driver, DriverSettings};
use crate::sim::duel::case::Case;
use crate::sim::duel::hands::Message;
use crate::sim::world::World;

/// Defib at work on a world.
#[derive(Debug)]
pub(super) struct Defib {
    driver: Driver,
    published_seen: usize,
}

impl Defib {
    pub(super) fn new(case: &Case) -> Self {
        let context = Arc::new(Context { home: case.home.clone(), policy: Policy::in_mode(Mode::Replace) });
        let settings = DriverSettings::calm(case.contender_seed);
        let driver = Driver::new(Account::new(case.world()), context, settings, case.start);
        Self { driver, published_seen: 0 }
    }
}

impl Contender for Defib {
    fn run_until(&mut self, until: Timestamp) {
        self.driver.run_until(until, &mut ());
    }

    fn world(&mut self) -> &mut World {
        &mut self.driver.account_mut().world
    }

    fn take_messages(&mut self) -> Vec<Message> {
        let published = &self.driver.account().published;
        let messages = published.iter().skip(self.published_seen).map(|(_, item)| message(item)).collect();
        self.published_seen = published.len();
        messages
    }
}

fn message(item: &OutboxItem) -> Message {
    let asks_person = matches!(item.id.outcome, Outcome::NeedsHuman | Outcome::Blocked);
    Message { node: Some(item.id.incident.node()), asks_person }
}
