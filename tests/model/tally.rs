//! What happened how often, counted while the model is explored.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters, shared by all threads.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    conflicts: AtomicU64,
    refusals: AtomicU64,
    by_started: [AtomicU64; 8],
    late: AtomicU64,
}

impl Tally {
    /// Somebody else was faster.
    pub(crate) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    /// A rail in the ledger refused.
    pub(crate) fn refusal(&self) {
        self.refusals.fetch_add(1, Ordering::Relaxed);
    }

    /// An effect lands late.
    pub(crate) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    /// How often an effect landed late.
    pub(crate) fn landed_late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// A state is looked at in which so many invocations were started.
    pub(crate) fn state(&self, started: u8) {
        if let Some(count) = self.by_started.get(usize::from(started)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often somebody else was faster.
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// How often a rail in the ledger refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// How many states had so many invocations started.
    pub(crate) fn with_started(&self, started: u8) -> u64 {
        self.by_started.get(usize::from(started)).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
