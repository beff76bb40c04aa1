//! How a driver behaves, what it counts, and who watches it.

use std::fmt;

use jiff::Timestamp;

use crate::engine::{Answer, Request};
use crate::observe::Observation;
use crate::ports::KillSwitch;
use crate::sim::account::Account;
use crate::sim::fault::FaultPlan;

/// What happens to signals on their way, in ten-thousandths of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalChaos {
    /// Never arrives.
    pub lose: u32,
    /// A sweep never starts.
    pub lose_sweep: u32,
    /// Arrives again, up to ten minutes later.
    pub duplicate: u32,
    /// Arrives up to ten minutes late, and so out of order.
    pub delay: u32,
}

/// How a driver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverSettings {
    /// The seed of everything that the driver leaves to chance.
    pub seed: u64,
    /// What goes wrong at the ports.
    pub faults: FaultPlan,
    /// What goes wrong on the way of signals.
    pub signals: SignalChaos,
    /// A timer dies instead of waiting, in ten-thousandths.
    pub timer_dies: u32,
    /// The longest that a request takes, in milliseconds.
    pub latency_max_ms: i64,
    /// Whether to keep a trace.
    pub trace: bool,
}

impl DriverSettings {
    /// Nothing goes wrong.
    #[must_use]
    pub fn calm(seed: u64) -> Self {
        let signals = SignalChaos::default();
        Self { seed, faults: FaultPlan::NONE, signals, timer_dies: 0, latency_max_ms: 300, trace: false }
    }
}

/// What a driver counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DriverCounts {
    /// Passes that began.
    pub passes: u64,
    /// Requests that reached a port.
    pub requests: u64,
    /// Processes that died or took too long.
    pub crashes: u64,
    /// Passes that ended because a port did not answer.
    pub retries: u64,
    /// Timers that died.
    pub timers_died: u64,
    /// Messages in the dead-letter queue.
    pub dead_letters: u64,
    /// Messages that nobody has dealt with yet, sweeps aside.
    pub waiting: u64,
    /// The most of them at any moment.
    pub waiting_most: u64,
    /// Looks at single nodes.
    pub looks: u64,
    /// Lists of nodes that look troubled.
    pub surveys: u64,
}

/// One request and its answer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceLine {
    /// When the request reached its port.
    pub at: Timestamp,
    /// Counts the passes.
    pub pass: u64,
    /// What was asked.
    pub request: String,
    /// What came back.
    pub answer: String,
}

impl fmt::Display for TraceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} #{} {} -> {}", self.at, self.pass, self.request, self.answer)
    }
}

/// What just happened at a port, for those who watch.
#[derive(Debug)]
pub struct Happened<'a> {
    /// When.
    pub at: Timestamp,
    /// When it was asked for: earlier, when an effect landed whose caller had given up.
    pub sent_at: Timestamp,
    /// Counts the passes; 0 when an effect landed whose caller had given up.
    pub pass: u64,
    /// The request; none when an effect landed whose caller had given up.
    pub request: Option<&'a Request>,
    /// Its answer, whether or not the pass lives to take it.
    pub answer: Option<&'a Answer>,
    /// What the asking pass saw last.
    pub seen: Option<&'a Observation>,
    /// How the asking pass read the kill switch last.
    pub switch: Option<KillSwitch>,
    /// Whether some facts of it were older than it says.
    pub stale: bool,
}

/// Somebody who looks at the account after every request.
pub trait Watch {
    /// A request reached its port.
    fn happened(&mut self, account: &Account, what: &Happened<'_>);
}

/// Nobody watches.
impl Watch for () {
    fn happened(&mut self, _account: &Account, _what: &Happened<'_>) {}
}
