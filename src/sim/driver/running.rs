//! A pass between two steps, and the situation that it is in.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Happened, after_millis};
use crate::effect::IntentId;
use crate::engine::{Answer, Context, Done, Pass, Request, Trigger, answer};
use crate::incident::IncidentId;
use crate::observe::Observation;
use crate::ports::{Committed, KillSwitch, Perform, Ports};
use crate::sim::coverage::{Asked, Cell, Mishap, Stand};

/// Who started a pass, and hears of its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Message(usize),
    Timer(IncidentId),
}

/// A pass between two steps.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) source: Source,
    pub(super) began: Timestamp,
    /// None while it takes a step.
    pub(super) pass: Option<Box<Pass>>,
    pub(super) request: Request,
    pub(super) answer: Answer,
    pub(super) seen: Option<Arc<Observation>>,
    /// How it read the kill switch last.
    pub(super) switch: Option<KillSwitch>,
    /// Some facts of it were older than it says.
    pub(super) stale: bool,
    /// Where the incident stands, as the pass knows it.
    pub(super) stand: Stand,
    /// Where it stood when the report was written that is being sent.
    pub(super) told: Stand,
    /// It stood still before the request that is on its way.
    pub(super) paused: bool,
    /// When it goes on.
    pub(super) due: Timestamp,
}

/// What a pass knew when it sent an effect that lands after it gave up.
#[derive(Debug)]
pub(super) struct Late {
    key: (IncidentId, IntentId),
    sent_at: Timestamp,
    seen: Option<Arc<Observation>>,
    switch: Option<KillSwitch>,
    stale: bool,
}

impl Late {
    /// What a pass knows that sends an effect now.
    pub(super) fn of(running: &Running, now: Timestamp) -> Option<Self> {
        let Request::Perform(perform) = &running.request else { return None };
        let key = (perform.incident, perform.intent);
        Some(Self { key, sent_at: now, seen: running.seen.clone(), switch: running.switch, stale: running.stale })
    }

    /// Whether it is about this effect.
    pub(super) fn is_about(&self, landed: &Perform) -> bool {
        self.key == (landed.incident, landed.intent)
    }

    /// It has landed.
    pub(super) fn landed(&self, at: Timestamp) -> Happened<'_> {
        let (seen, switch, stale) = (self.seen.as_deref(), self.switch, self.stale);
        Happened { at, sent_at: self.sent_at, pass: 0, request: None, answer: None, seen, switch, stale }
    }
}

impl Running {
    /// The situation that it is in.
    pub(super) fn cell(&self, mishap: Mishap) -> Option<Cell> {
        let asked = Asked::of(&self.request)?;
        let stand = match asked {
            Asked::Load => Stand::Unread,
            Asked::Publish | Asked::MarkSent => self.told,
            Asked::Observe
            | Asked::Commit
            | Asked::Perform(_)
            | Asked::Survey
            | Asked::Switch
            | Asked::Shelve
            | Asked::Post
            | Asked::PublishDigest
            | Asked::MarkDigestSent => self.stand,
        };
        Some(Cell { stand, asked, mishap })
    }

    /// Takes over what the answer says of the incident.
    pub(super) fn learn(&mut self) {
        match (&self.request, &self.answer) {
            (_, Answer::Loaded(loaded)) => {
                self.stand = loaded.incident.as_deref().map_or(Stand::Opening, Stand::of);
            }
            (Request::Commit(commit), Answer::Committed(Committed::Saved)) => self.stand = Stand::of(&commit.next),
            _ => {}
        }
    }
}

/// Drives one pass to its end on ports that answer at once, each request a moment later.
pub fn run_pass<P: Ports>(ports: &mut P, context: &Arc<Context>, trigger: Trigger, now: &mut Timestamp) -> Done {
    let (mut pass, mut request) = Pass::new(Arc::clone(context), trigger).step(Answer::Start, *now);
    loop {
        if let Request::Done(done) = request {
            return done;
        }
        *now = after_millis(*now, 50);
        let given = answer(ports, &request, *now);
        (pass, request) = pass.step(given, *now);
    }
}
