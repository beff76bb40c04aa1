//! What answers the engine's requests: own types, and no more than Defib needs.
//!
//! The engine asks; a driver answers through these ports. The simulated account answers in memory; the SDK's side answers
//! over the network. Both answer the same requests with the same types.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnose::Cause;
use crate::effect::{Effect, IntentId, Target};
use crate::event::Signal;
use crate::guard::breaker::BreakerLimits;
use crate::guard::{Refusal, Scope};
use crate::incident::held::Ghost;
use crate::incident::{Incident, IncidentId, Outcome, Phase, Remedy};
use crate::node::{CommandId, NodeId};
use crate::observe::{Look, Observation};
use crate::policy::Mode;
use crate::policy::standing::News as PolicyNews;
use crate::report::Report;
use crate::storm::{Around, Bulletin, Digest, DigestId, Gather, News};

mod document;

pub use document::DocumentPorts;

/// Why a port could not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum PortError {
    /// Throttled, timed out or 5xx: the same call may succeed later.
    #[error("the service did not answer in time or asked for less load")]
    Transient,
    /// A stored record was written by a newer version.
    #[error("the stored incident was written by a newer version of defib")]
    NewerSchema,
}

/// A request to load what the ledger knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The open incident of a node, if there is one.
    Node(NodeId),
    /// One incident, open or closed.
    Incident(IncidentId),
}

/// What the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loaded {
    /// The incident that was asked for.
    pub incident: Option<Arc<Incident>>,
    /// Switches that hold for every pass.
    pub rails: Rails,
    /// How the node's last incident ended.
    pub last: Option<LastIncident>,
    /// Reports of this incident that nobody marked as sent.
    pub unsent: Vec<Arc<OutboxItem>>,
}

/// Switches in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rails {
    /// The kill switch.
    pub switch: KillSwitch,
    /// An operator muted the node until then.
    pub muted_until: Option<Timestamp>,
    /// The node's quarantine; none when it is in none.
    pub quarantine: Option<Quarantine>,
    /// What else goes on in the account; none: nothing.
    pub around: Option<Arc<Around>>,
}

/// A node that was cycled too often in a day: nothing disruptive is done to it until a person clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: Timestamp,
    /// How many disruptive remedies there had been in the day.
    pub count: u32,
}

/// The kill switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KillSwitch {
    /// Work.
    Running,
    /// Do nothing.
    Paused,
    /// It could not be read: do nothing.
    Unreadable,
}

/// How a node's last incident ended, to keep a node that nothing can be done for from being told of every five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LastIncident {
    /// Which one.
    pub id: IncidentId,
    /// How.
    pub outcome: Outcome,
    /// Its cause.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
    /// The command that it began with.
    pub command: Option<CommandId>,
    /// How far Defib might have gone on the node when it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Mode>,
    /// When an effect was last sent to the node, in this incident or in one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<Timestamp>,
}

impl LastIncident {
    /// What is kept of an incident that is closed; none of an open one.
    #[must_use]
    pub fn of(incident: &Incident) -> Option<Self> {
        let Phase::Closed { ending, at } = &incident.phase else { return None };
        Some(Self {
            id: incident.id,
            outcome: ending.outcome(),
            cause: incident.diagnosis.as_ref().map_or(Cause::Unknown, |diagnosis| diagnosis.cause),
            at: *at,
            command: incident.command().cloned(),
            allowed: incident.allowed,
            acted_at: incident.acted_at(),
        })
    }
}

/// A change to the ledger: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Commit {
    /// What must still be true.
    pub expect: Expect,
    /// The incident's new record; its version is one more than the expected one.
    pub next: Arc<Incident>,
    /// What happens to its permits.
    pub permits: Permits,
    /// Reports to send.
    pub outbox: Vec<Arc<OutboxItem>>,
    /// What it means for the whole account.
    pub news: News,
    /// After so many disruptive remedies in a day, put the node into quarantine; one that stands stays as it is.
    pub quarantine: Option<u32>,
}

/// What must still be true when a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expect {
    /// The node has no open incident, and none has ended since the one that was loaded as its last: whoever stood still in between
    /// may open what was opened, treated and ended meanwhile (S15).
    NoOpenIncident {
        /// The one that was loaded as the node's last.
        last: Option<IncidentId>,
    },
    /// The incident's stored version.
    Version(u64),
}

/// What happens to an incident's permits in a commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Permits {
    /// They stay as they are.
    Keep,
    /// Take these, or refuse the whole commit. Taken again by its holder, a permit stays one, and the remedy counts in the
    /// rates from now.
    Take(Claims),
    /// Give them back. A remedy that was chosen then, and never sent, does not count in the rates either.
    Free {
        /// When the remedy was chosen; none when it was sent.
        unsent_since: Option<Timestamp>,
    },
}

/// Permits that a disruptive remedy needs, all or none. The kill switch is checked in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claims {
    /// At the same time.
    pub at_once: Vec<Claim>,
    /// In a window of time.
    pub rates: Vec<RateClaim>,
    /// When the remedy was chosen: what its holder took since then was for an earlier step of the same remedy.
    pub chosen_at: Timestamp,
    /// The remedy: the breaker may be open for it.
    pub remedy: Remedy,
    /// Where the breaker counts the node.
    pub group: Scope,
}

/// At most `limit` holders in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Where.
    pub scope: Scope,
    /// At most.
    pub limit: u32,
    /// What must stay of the scope, where that is what sets the limit.
    pub floor: Option<Floor>,
}

/// How much of a group must stay while some of it is out for repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Floor {
    /// Nodes that there should be.
    pub of: u32,
    /// Nodes that must stay.
    pub stay: u32,
    /// Nodes that are missing already, for other reasons.
    pub missing: u32,
}

/// At most `limit` in a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RateClaim {
    /// Where: a node or the account.
    pub scope: Scope,
    /// The window.
    pub window_secs: i64,
    /// At most.
    pub limit: u32,
}

/// A report on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OutboxItem {
    /// `incident/outcome/n`: repeats carry the same.
    pub id: ReportId,
    /// What it says, typed; rendered when it is published.
    pub report: Report,
    /// What it is told together with; none: it goes out by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gather: Option<Gather>,
}

/// `incident/outcome/n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReportId {
    /// The incident.
    pub incident: IncidentId,
    /// The outcome that it reports.
    pub outcome: Outcome,
    /// Counts the incident's reports, from 1.
    pub n: u32,
}

impl std::fmt::Display for ReportId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.incident, self.outcome, self.n)
    }
}

/// How a commit went.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Committed {
    /// It is saved.
    Saved,
    /// Somebody else was faster; nothing was saved.
    Conflict,
    /// A rail refused; nothing was saved.
    Refused(Refusal),
}

/// An effect to be sent once, now or never.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Perform {
    /// The incident.
    pub incident: IncidentId,
    /// The intent's name.
    pub intent: IntentId,
    /// What to do.
    pub effect: Effect,
    /// To what.
    pub target: Target,
    /// Checked once more right before the single, time-limited send.
    pub not_after: Timestamp,
}

/// What became of an effect.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Performed {
    /// AWS accepted it.
    Done {
        /// The Run Command id, for effects that travel by Run Command.
        command: Option<CommandId>,
    },
    /// AWS refused it: certainly nothing happened.
    Refused,
    /// It was not sent: `not_after` had passed.
    TooLate,
    /// No answer came: it may have landed, it may yet land.
    Unknown,
}

/// What the sweep saw.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Survey {
    /// Nodes that look troubled and have no open incident.
    pub troubled: Vec<Found>,
    /// Open incidents whose wake is overdue, and closed ones with unsent reports.
    pub overdue: Vec<IncidentId>,
    /// Nodes in the account and region.
    pub fleet: u32,
    /// Container instances whose EC2 instances are gone.
    pub ghosts: Vec<Ghost>,
    /// Nodes that wait for a place, in the order of their coming.
    pub waiting: Vec<Signal>,
    /// Reports that are told together with others, in the order of their coming.
    pub gathered: Vec<Arc<OutboxItem>>,
    /// Digests that nobody marked as sent.
    pub digests: Vec<Arc<Digest>>,
    /// What there was to tell of the policy document, in order.
    pub policy_news: Vec<(Timestamp, PolicyNews)>,
    /// What else goes on.
    pub around: Arc<Around>,
}

/// A node that looks troubled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Found {
    /// What is told of it.
    pub signal: Signal,
    /// Since when, as far as AWS shows.
    pub since: Option<Timestamp>,
    /// How the node's last incident ended: what was told already takes nobody's place.
    pub last: Option<LastIncident>,
}

/// A sweep's change to what concerns the whole account: all of it, or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Post {
    /// The version of the bulletin that it was decided on.
    pub expect: u64,
    /// The new bulletin; its breaker is not taken over, for passes may have changed it since.
    pub next: Arc<Bulletin>,
    /// By which the breaker is brought up to date.
    pub limits: BreakerLimits,
    /// Digests to send.
    pub digests: Vec<Arc<Digest>>,
    /// Gathered reports that they tell.
    pub told: Vec<ReportId>,
    /// Gathered reports that go out by themselves after all.
    pub release: Vec<ReportId>,
    /// Nodes that wait from now on.
    pub shelve: Vec<Signal>,
    /// Nodes whose turn it is.
    pub unshelve: Vec<NodeId>,
}

/// A node for which there is no place now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shelve {
    /// What was told of it.
    pub signal: Signal,
    /// What that means for the whole account.
    pub news: News,
}

/// How long a node may be muted, in seconds: at least a minute and at most ninety days.
pub const MUTE_SECS: std::ops::RangeInclusive<i64> = 60..=90 * 86_400;

/// A change to a switch that an operator asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Switch {
    /// Do nothing from now on.
    Pause,
    /// Work again.
    Resume,
    /// Leave a node alone until then.
    Mute(NodeId, Timestamp),
    /// Stop leaving it alone.
    Unmute(NodeId),
    /// End a node's quarantine; what was done to it before does not count in its rates any more.
    Clear(NodeId),
}

/// Whatever answers the engine's requests. One method a request, so that a wrapper can fail each of them.
///
/// # Errors
/// Every method fails with [`PortError::Transient`] when the service did not answer; nothing is known then about whether a
/// write happened.
pub trait Ports {
    /// Reads the ledger.
    ///
    /// # Errors
    /// See the trait.
    fn load(&mut self, key: Key, now: Timestamp) -> Result<Loaded, PortError>;

    /// Looks at a node.
    fn observe(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation;

    /// Changes the ledger.
    ///
    /// # Errors
    /// See the trait.
    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Committed, PortError>;

    /// Sends an effect, once.
    fn perform(&mut self, perform: &Perform, now: Timestamp) -> Performed;

    /// Publishes a report.
    ///
    /// # Errors
    /// See the trait.
    fn publish(&mut self, item: &Arc<OutboxItem>, now: Timestamp) -> Result<(), PortError>;

    /// Marks a report as sent.
    ///
    /// # Errors
    /// See the trait.
    fn mark_sent(&mut self, id: ReportId, now: Timestamp) -> Result<(), PortError>;

    /// Looks for nodes in trouble that no event told of.
    ///
    /// # Errors
    /// See the trait.
    fn survey(&mut self, now: Timestamp) -> Result<Survey, PortError>;

    /// Lets a node wait for a place.
    ///
    /// # Errors
    /// See the trait.
    fn shelve(&mut self, shelve: &Shelve, now: Timestamp) -> Result<(), PortError>;

    /// Saves what a sweep decided about the whole account.
    ///
    /// # Errors
    /// See the trait.
    fn post(&mut self, post: &Post, now: Timestamp) -> Result<Committed, PortError>;

    /// Publishes a digest.
    ///
    /// # Errors
    /// See the trait.
    fn publish_digest(&mut self, digest: &Arc<Digest>, now: Timestamp) -> Result<(), PortError>;

    /// Marks a digest as sent.
    ///
    /// # Errors
    /// See the trait.
    fn mark_digest_sent(&mut self, id: DigestId, now: Timestamp) -> Result<(), PortError>;

    /// Changes a switch.
    ///
    /// # Errors
    /// See the trait.
    fn switch(&mut self, switch: Switch, now: Timestamp) -> Result<(), PortError>;
}
