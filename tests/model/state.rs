//! A state of the model: the nodes, the ledger, and what is on its way.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use defib::effect::{IntentId, IntentState};
use defib::engine::{Context, Pass, Request};
use defib::incident::{Incident, Phase};
use defib::ledger::Ledger;
use defib::node::Home;
use defib::policy::{Budgets, Mode, Policy};
use defib::ports::{Perform, ReportId};
use defib::time::after;
use jiff::Timestamp;

use super::node::Node;
use super::promises::{Broken, Landed};

/// The latest that an effect without an answer may land, in seconds: what the SDK's time-outs allow.
pub(crate) const LATE_SECS: i64 = 25;
/// From the first look to a remedy, in seconds.
pub(crate) const HOLD_DOWN_SECS: i64 = 160;
/// Between two remedies of a node, in seconds.
pub(crate) const COOLDOWN_SECS: i64 = 120;
/// How long nobody touches an intent beyond its `not_after`, in seconds.
const BURN_SECS: i64 = 30;

/// Everything that is so at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// The moment.
    pub(crate) now: Timestamp,
    /// Invocations that were started, those aside that ended without having changed anything.
    pub(crate) started: u8,
    /// What went wrong with them: a blind look, a refused call, a lost answer, a death, and time that passed in the middle.
    pub(crate) mishaps: u8,
    /// The nodes.
    pub(crate) nodes: Vec<Node>,
    /// What Defib remembers.
    pub(crate) ledger: Ledger,
    /// Since when everything is paused.
    pub(crate) paused_since: Option<Timestamp>,
    /// An operator has asked for a repair.
    pub(crate) asked: bool,
    /// Invocations between two requests.
    pub(crate) running: Vec<Arc<Running>>,
    /// Effects that were sent and got no answer, and may yet land.
    pub(crate) late: Vec<Late>,
    /// Effects that landed, except probes.
    pub(crate) landed: Vec<Landed>,
    /// Reports that people got.
    pub(crate) published: Vec<ReportId>,
    /// The first promise that was broken.
    pub(crate) broken: Option<Broken>,
}

/// An invocation between two requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Running {
    /// The engine's own value.
    pub(crate) pass: Box<Pass>,
    /// What it asked for.
    pub(crate) request: Request,
    /// The look that it works with.
    pub(crate) sight: Option<Sight>,
    /// Time has passed since it asked.
    pub(crate) stands: bool,
    /// It has changed something: that it ran is to be seen.
    pub(crate) wrote: bool,
    /// The incident as it last read or saved it.
    pub(crate) saved: Option<Arc<Incident>>,
    /// Commits of it that came to nothing.
    pub(crate) tries: u8,
    /// What became of its effect, until that is saved.
    pub(crate) performed: Option<(IntentId, u8)>,
    /// Reports that it is to send.
    pub(crate) untold: Vec<ReportId>,
}

/// When an invocation looked, and whether it saw anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sight {
    /// When.
    pub(crate) at: Timestamp,
    /// The agents' services did not answer.
    pub(crate) blind: bool,
}

/// An effect that was sent and got no answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Late {
    /// When it was sent.
    pub(crate) sent_at: Timestamp,
    /// What.
    pub(crate) perform: Perform,
}

impl State {
    /// Nothing has happened yet.
    pub(crate) fn new(now: Timestamp, nodes: Vec<Node>) -> Self {
        Self {
            now,
            started: 0,
            mishaps: 0,
            nodes,
            ledger: Ledger::default(),
            paused_since: None,
            asked: false,
            running: Vec::new(),
            late: Vec::new(),
            landed: Vec::new(),
            published: Vec::new(),
            broken: None,
        }
    }

    /// The next moment at which something is due, or a rule changes its mind.
    pub(crate) fn next_moment(&self) -> Option<Timestamp> {
        let mut next = Next { now: self.now, at: None };
        self.nodes.iter().flat_map(Node::moments).for_each(|at| next.add(at));
        for late in &self.late {
            next.add(after(late.sent_at, LATE_SECS));
        }
        for incident in self.ledger.open() {
            incident.wake_at.into_iter().for_each(|at| next.add(at));
            if let Phase::Treating { deadline, .. } | Phase::Verifying { deadline, .. } = &incident.phase {
                next.add(*deadline);
            }
            let probe = incident.probe.as_ref().and_then(|probe| probe.command.as_ref());
            let node = self.nodes.iter().find(|node| node.id == incident.node);
            probe.and_then(|probe| node?.probe_lost_at(probe)).into_iter().for_each(|at| next.add(at));
            if let Some(intent) = incident.phase.intent()
                && intent.state == IntentState::Pending
            {
                next.add_window(intent.not_after);
            }
        }
        for running in &self.running {
            match &running.request {
                Request::Perform(perform) => next.add_window(perform.not_after),
                Request::Commit(commit) => {
                    commit.next.phase.intent().into_iter().for_each(|intent| next.add_window(intent.not_after));
                }
                Request::Load(_)
                | Request::Observe(..)
                | Request::Publish(_)
                | Request::MarkSent(_)
                | Request::Survey
                | Request::Shelve(_)
                | Request::Post(_)
                | Request::PublishDigest(_)
                | Request::MarkDigestSent(_)
                | Request::Switch(_)
                | Request::Done(_) => {}
            }
        }
        next.at
    }
}

/// Finds the earliest moment that is still to come.
struct Next {
    now: Timestamp,
    at: Option<Timestamp>,
}

impl Next {
    fn add(&mut self, at: Timestamp) {
        if at > self.now && self.at.is_none_or(|earliest| at < earliest) {
            self.at = Some(at);
        }
    }

    /// The last moment at which an effect may be sent, the first at which it may not, and when it can be given up.
    fn add_window(&mut self, not_after: Timestamp) {
        self.add(not_after);
        self.add(after(not_after, 1));
        self.add(after(not_after, BURN_SECS));
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.key());
    }
}

/// The rules of the model: short waits, so that six invocations are enough for a whole repair, and no limit that would hide
/// a second landing.
pub(crate) fn context() -> Arc<Context> {
    let budgets = Budgets { node_an_hour: 6, node_a_day: 6, ..Budgets::default() };
    let policy = Policy {
        restart_hold_down_secs: HOLD_DOWN_SECS,
        disruptive_hold_down_secs: HOLD_DOWN_SECS,
        launch_grace_secs: 0,
        cooldown_secs: COOLDOWN_SECS,
        agent_restarts_max: 1,
        // Limits in hours: nothing in the model lasts so long.
        parked_max_secs: 100_000_000,
        incident_max_secs: 100_000_000,
        quiet_secs: 100_000_000,
        budgets,
        ..Policy::in_mode(Mode::Cycle)
    };
    let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
    Arc::new(Context { home, policy })
}
