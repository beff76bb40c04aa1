//! Capacity for instances that start: there is some, but for the windows in which AWS is sold out.

use jiff::Timestamp;

use super::World;
use crate::sim::machine::Secs;

/// When nothing can be started: from a moment on, until another.
pub(crate) type Shortages = Vec<(Secs, Secs)>;

impl World {
    /// From a moment on AWS finds no capacity for so many seconds: `InsufficientInstanceCapacity`.
    pub fn sell_out(&mut self, from: Timestamp, secs: i64) {
        let from = from.as_second();
        self.shortages.push((from, from.saturating_add(secs)));
    }

    /// Whether there is no capacity now.
    #[must_use]
    pub fn is_sold_out(&self) -> bool {
        self.shortages.iter().any(|(from, until)| (*from..*until).contains(&self.now))
    }
}
