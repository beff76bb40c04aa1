//! The steps of one pass.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Answer, Context, Done, Request, Trigger, Verdict};

/// One pass. Owns everything it needs between two requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pass {
    context: Arc<Context>,
    trigger: Trigger,
}

impl Pass {
    /// A pass that has not begun.
    #[must_use]
    pub fn new(context: Arc<Context>, trigger: Trigger) -> Self {
        Self { context, trigger }
    }

    /// Takes the answer to the last request, and says what is needed next.
    #[must_use]
    pub fn step(self, _answer: Answer, _now: Timestamp) -> (Self, Request) {
        let done = Done { incident: None, wake_at: None, verdict: Verdict::Progress, follow: Vec::new() };
        (self, Request::Done(done))
    }
}
