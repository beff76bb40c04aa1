//! One pass over an incident, as a value: requests out, answers in, no I/O.
//!
//! `Pass::step` takes the answer to its last request and says what it needs next. A crash is a dropped value. The engine
//! decides nothing about *what* to do: that is [`crate::plan`]; it only keeps the order (save, then perform) and the rules
//! of who may write.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::Signal;
use crate::incident::{IncidentId, Place, Remedy};
use crate::node::{AutoScalingGroupName, Home, NodeId};
use crate::observe::{Look, Observation};
use crate::plan::{PlanId, Preview};
use crate::policy::Policy;
use crate::ports::{
    Commit, Committed, Key, Loaded, OutboxItem, Perform, Performed, PortError, Ports, Post, ReportId, Shelve, Survey,
    Switch,
};
use crate::storm::{Digest, DigestId};

mod in_force;
mod pass;
#[cfg(test)]
mod tests;

pub use in_force::policy_in_force;
pub use pass::Pass;

/// What every pass is given: where it works, and by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    /// Account and region.
    pub home: Home,
    /// The rules.
    pub policy: Policy,
}

impl Context {
    /// The rules for a node, by what was seen of it; by where it was last seen, where that could not be read or it left.
    #[must_use]
    pub fn policy_for(&self, seen: Option<&Observation>, place: Option<&Place>) -> Cow<'_, Policy> {
        if self.policy.blocks.is_none() {
            return Cow::Borrowed(&self.policy);
        }
        let cluster = seen.and_then(|seen| seen.ecs.known()).map(|ecs| ecs.cluster.name());
        let group = seen.and_then(|seen| seen.asg.known()).map(|asg| asg.name.as_str());
        let last_cluster = || place?.container_instance.as_ref().map(|(cluster, _)| cluster.name());
        let last_group = || place?.group.as_ref().map(AutoScalingGroupName::as_str);
        self.policy.at(cluster.or_else(last_cluster), group.or_else(last_group))
    }
}

/// Why a pass begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// An event told of something.
    Signal(Signal),
    /// The timer says that it is time to look again.
    Wake(IncidentId),
    /// An operator wants something.
    Operator(OperatorRequest),
    /// The five-minute sweep.
    Sweep,
}

/// What an operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperatorRequest {
    /// Who, as claimed.
    pub by: Arc<str>,
    /// What.
    pub action: Action,
    /// When: an approval is of what had been asked by then.
    pub at: Timestamp,
    /// The plan that somebody read before asking for a repair: another one is not carried out.
    pub plan: Option<PlanId>,
}

/// What an operator wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Repair a node now, with this remedy or the next one of the ladder.
    Fix(NodeId, Option<Remedy>),
    /// Say what such a repair would be, and begin none.
    Preview(NodeId, Option<Remedy>),
    /// Approve the remedy that an incident waits with.
    Approve(IncidentId),
    /// End an incident by hand.
    Close(IncidentId),
    /// Change a switch.
    Switch(Switch),
}

/// What a pass needs next.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Request {
    /// What does the ledger know?
    Load(Key),
    /// How does the node look?
    Observe(NodeId, Look),
    /// Save this, all or nothing.
    Commit(Arc<Commit>),
    /// Send this, once.
    Perform(Arc<Perform>),
    /// Tell people.
    Publish(Arc<OutboxItem>),
    /// People were told.
    MarkSent(ReportId),
    /// Which nodes look troubled?
    Survey,
    /// Let this node wait for a place.
    Shelve(Box<Shelve>),
    /// Save this about the whole account.
    Post(Arc<Post>),
    /// Tell people about many nodes.
    PublishDigest(Arc<Digest>),
    /// People were told.
    MarkDigestSent(DigestId),
    /// Change a switch.
    Switch(Switch),
    /// Nothing more.
    Done(Done),
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Nothing was asked yet: begin.
    Start,
    /// To `Load`.
    Loaded(Box<Loaded>),
    /// To `Observe`.
    Observed(Arc<Observation>),
    /// To `Commit` and `Post`.
    Committed(Committed),
    /// To `Perform`.
    Performed(Performed),
    /// To `Publish`, `MarkSent`, `PublishDigest`, `MarkDigestSent`, `Shelve` and `Switch`.
    Ok,
    /// To `Survey`.
    Surveyed(Box<Survey>),
    /// The port did not answer.
    Failed(PortError),
}

/// How a pass ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Done {
    /// The incident that it worked on, when there is one.
    pub incident: Option<IncidentId>,
    /// When to look again; none when the incident is closed, or there is none.
    pub wake_at: Option<Timestamp>,
    /// What became of it.
    pub verdict: Verdict,
    /// Passes that follow from this one: what a sweep found.
    pub follow: Vec<Trigger>,
}

impl Done {
    /// The end of a pass that could not begin, or was given up: the same trigger is to be tried again.
    #[must_use]
    pub fn retry(error: PortError) -> Self {
        Self { incident: None, wake_at: None, verdict: Verdict::Retry(error), follow: Vec::new() }
    }
}

/// What became of a pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The incident moved on, or waits.
    Progress,
    /// The incident is closed.
    Closed,
    /// There was nothing to do, for this reason.
    Ignored(IgnoreReason),
    /// An operator's request was refused, for this reason.
    Refused(String),
    /// An operator asked what a repair would be.
    Planned(Arc<Preview>),
    /// A port did not answer: the same trigger should be tried again.
    Retry(PortError),
}

/// Why a signal opened no incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IgnoreReason {
    /// AWS does not know the node: one read, and no more.
    UnknownNode,
    /// Nothing of the node could be read, so nobody knows whether there is one: to be tried again.
    NotSeen,
    /// The node is stopped or terminated.
    NotRunning,
    /// The node is well.
    AlreadyWell,
    /// The command failed on its own account.
    CommandsOwnFault,
    /// The command is one of ours.
    OwnCommand,
    /// Nothing changed since the node's last incident ended without a repair.
    ToldAlready,
    /// It tells of a recovery, and there is no open incident.
    NothingOpen,
    /// A tag or an operator muted the node.
    Muted,
    /// The stack's mode is `off`.
    Off,
    /// So many nodes are looked after that this one waits for a place.
    NoRoom,
}

/// Answers one request through ports that answer at once: the in-memory driver's whole work.
pub fn answer<P: Ports>(ports: &mut P, request: &Request, now: Timestamp) -> Answer {
    let failed = Answer::Failed;
    match request {
        Request::Load(key) => ports.load(*key, now).map_or_else(failed, |loaded| Answer::Loaded(Box::new(loaded))),
        Request::Observe(node, look) => Answer::Observed(Arc::new(ports.observe(*node, look, now))),
        Request::Commit(commit) => ports.commit(commit, now).map_or_else(failed, Answer::Committed),
        Request::Perform(perform) => Answer::Performed(ports.perform(perform, now)),
        Request::Publish(item) => ports.publish(item, now).map_or_else(failed, |()| Answer::Ok),
        Request::MarkSent(id) => ports.mark_sent(*id, now).map_or_else(failed, |()| Answer::Ok),
        Request::Survey => ports.survey(now).map_or_else(failed, |survey| Answer::Surveyed(Box::new(survey))),
        Request::Shelve(shelve) => ports.shelve(shelve, now).map_or_else(failed, |()| Answer::Ok),
        Request::Post(post) => ports.post(post, now).map_or_else(failed, Answer::Committed),
        Request::PublishDigest(digest) => ports.publish_digest(digest, now).map_or_else(failed, |()| Answer::Ok),
        Request::MarkDigestSent(id) => ports.mark_digest_sent(*id, now).map_or_else(failed, |()| Answer::Ok),
        Request::Switch(switch) => ports.switch(*switch, now).map_or_else(failed, |()| Answer::Ok),
        Request::Done(_) => Answer::Ok,
    }
}

impl IgnoreReason {
    /// The reason in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownNode => "AWS does not know the node",
            Self::NotSeen => "nothing of the node could be read; ask again in a minute",
            Self::NotRunning => "the node is not running",
            Self::AlreadyWell => "the node is well",
            Self::CommandsOwnFault => "the command failed on its own account, the node answered",
            Self::OwnCommand => "the command is one of ours",
            Self::ToldAlready => "told already, and nothing changed since",
            Self::NothingOpen => "it tells of a recovery or an end, and there is no open incident",
            Self::Muted => "the node is muted",
            Self::Off => "the mode is off",
            Self::NoRoom => "so many nodes are looked after that it waits for a place",
        }
    }
}
