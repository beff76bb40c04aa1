//! One open incident per node: what is known of an outage, and where its treatment stands.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnose::Diagnosis;
use crate::effect::{Intent, IntentId};
use crate::event::SignalKind;
use crate::guard::Refusal;
use crate::node::{
    AccountId, AutoScalingGroupName, AvailabilityZone, ClusterArn, CommandId, ContainerInstanceArn, DisplayName, Home,
    NodeId, Region,
};
use crate::observe::{Observation, Platform};
use crate::time::secs_between;

mod history;
mod id;
mod outcome;

pub use history::{Entry, Event, Milestone, OperatorWord};
pub use id::IncidentId;
pub use outcome::{Ending, Outcome};

/// The schema of a stored incident. Older ones are migrated when read, newer ones are left alone.
pub const SCHEMA: u32 = 1;

/// A remedy, the cheapest first. The order is the ladder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Free disk space.
    FreeDisk,
    /// Restart the SSM agent.
    RestartSsmAgent,
    /// Restart the ECS container agent.
    RestartEcsAgent,
    /// Restart docker, then the ECS container agent.
    RestartRuntime,
    /// Reboot.
    Reboot,
    /// Stop and start: new hardware.
    StopStart,
    /// Replace through the Auto Scaling group.
    Replace,
}

impl Remedy {
    /// Every remedy, in the ladder's order.
    pub const ALL: [Self; 7] = [
        Self::FreeDisk,
        Self::RestartSsmAgent,
        Self::RestartEcsAgent,
        Self::RestartRuntime,
        Self::Reboot,
        Self::StopStart,
        Self::Replace,
    ];

    /// The name in code, JSON and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreeDisk => "free-disk",
            Self::RestartSsmAgent => "restart-ssm-agent",
            Self::RestartEcsAgent => "restart-ecs-agent",
            Self::RestartRuntime => "restart-runtime",
            Self::Reboot => "reboot",
            Self::StopStart => "stop-start",
            Self::Replace => "replace",
        }
    }

    /// Whether workload on the node stops (SAFETY.md).
    #[must_use]
    pub fn is_disruptive(self) -> bool {
        match self {
            Self::FreeDisk | Self::RestartSsmAgent | Self::RestartEcsAgent => false,
            Self::RestartRuntime | Self::Reboot | Self::StopStart | Self::Replace => true,
        }
    }

    /// Whether live sessions on the node end with it.
    #[must_use]
    pub fn ends_sessions(self) -> bool {
        match self {
            Self::FreeDisk | Self::RestartEcsAgent | Self::RestartRuntime => false,
            Self::RestartSsmAgent | Self::Reboot | Self::StopStart | Self::Replace => true,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such remedy: allowed are free-disk, restart-ssm-agent, restart-ecs-agent, restart-runtime, reboot, stop-start and replace"
)]
pub struct NoSuchRemedy;

impl FromStr for Remedy {
    type Err = NoSuchRemedy;

    fn from_str(text: &str) -> Result<Self, NoSuchRemedy> {
        Self::ALL.into_iter().find(|remedy| remedy.as_str() == text).ok_or(NoSuchRemedy)
    }
}

/// An outage of one node, from its first symptom to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Its name, for ever.
    pub id: IncidentId,
    /// Counts commits: the second half of every compare-and-set.
    pub version: u64,
    /// The node.
    pub node: NodeId,
    /// Where the node stands, for reports and effects.
    pub place: Place,
    /// When the first symptom was looked at. Never moves.
    pub first_seen: Timestamp,
    /// Since when the agents have been silent, as far as AWS's own clocks tell. Never later than `first_seen`.
    pub down_since: Timestamp,
    /// What told of it, in order, each once.
    pub symptoms: Vec<Symptom>,
    /// Looks that found the node in trouble; an ECS health event counts as one.
    pub looks: u32,
    /// The unbroken run of looks that found the ECS container agent disconnected.
    #[serde(default)]
    pub ecs_down: Option<Run>,
    /// Where the treatment stands.
    pub phase: Phase,
    /// What of ours is still in effect on the node.
    pub holds: Holds,
    /// Remedies tried, in order.
    pub attempts: Vec<Attempt>,
    /// What the last close look said.
    pub diagnosis: Option<Diagnosis>,
    /// Our last probe.
    pub probe: Option<ProbeSent>,
    /// What an operator asked for.
    pub asked: Option<Ask>,
    /// Who approved what.
    pub approval: Option<Approval>,
    /// Seconds spent parked so far: time that does not count against the incident's own limit.
    pub parked_secs: i64,
    /// The one moment at which to look again; none once it is closed.
    pub wake_at: Option<Timestamp>,
    /// Which execution of the timer drives it; the sweep starts the next one when an execution died.
    pub timer_generation: u32,
    /// Intents so far.
    pub intents: u32,
    /// Reports so far.
    pub reports: u32,
    /// What happened, in order.
    pub history: Vec<Entry>,
}

/// Where a node stands, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// Availability Zone.
    pub zone: Option<AvailabilityZone>,
    /// The `Name` tag.
    pub name: Option<DisplayName>,
    /// Cluster and container instance.
    pub container_instance: Option<(ClusterArn, ContainerInstanceArn)>,
    /// Auto Scaling group.
    pub group: Option<AutoScalingGroupName>,
    /// What runs there.
    pub platform: Platform,
    /// Tasks on it when it was last seen.
    pub tasks: u32,
    /// It has a public address that a stop and start changes.
    #[serde(default)]
    pub public_address_changes: bool,
}

/// Something that told of the outage.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symptom {
    /// When it was received.
    pub at: Timestamp,
    /// What it said.
    pub kind: SignalKind,
}

/// An unbroken run of looks that found the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The first of them.
    pub since: Timestamp,
    /// The latest of them.
    pub until: Timestamp,
}

/// Looks further apart than this do not belong to one run, in seconds: a node parked for an hour may have been well in
/// between, and be caught in a natural reconnect at the next look.
const RUN_GAP_SECS: i64 = 360;

/// Our last probe.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProbeSent {
    /// When its intent was saved.
    pub at: Timestamp,
    /// Its command, once known.
    pub command: Option<CommandId>,
}

/// What of ours is still in effect on the node, to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "four independent things that must each be given back")]
pub struct Holds {
    /// We set it to `DRAINING`.
    pub draining: bool,
    /// We moved it to Standby.
    pub standby: bool,
    /// We stopped it.
    pub stopped: bool,
    /// We hold permits for a disruptive remedy.
    pub permits: bool,
}

/// One try at one remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The remedy.
    pub remedy: Remedy,
    /// When it was decided.
    pub at: Timestamp,
    /// When its own effect was committed; none while the node is still being drained or set aside.
    pub acted_at: Option<Timestamp>,
    /// How it ended.
    pub result: AttemptResult,
}

/// How a try at a remedy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptResult {
    /// Still going on.
    Running,
    /// Its proof was seen.
    Helped,
    /// Its proof was not seen in time.
    Failed,
    /// AWS refused the call: nothing happened.
    Refused,
    /// It was never sent: its time had passed, or a guard stepped in while the node was drained.
    NotSent,
}

impl AttemptResult {
    /// The word in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Helped => "helped",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::NotSent => "not-sent",
        }
    }
}

/// What an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ask {
    /// Who, as claimed.
    pub by: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// This remedy rather than the next one of the ladder.
    pub remedy: Option<Remedy>,
}

/// An approval: bound to this incident, one remedy and an expiry.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Approval {
    /// Who, as claimed.
    pub by: Arc<str>,
    /// The remedy.
    pub remedy: Remedy,
    /// Until when.
    pub until: Timestamp,
}

/// Where the treatment stands. Each variant owns its facts; each but the last two has its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name", rename_all_fields = "kebab-case")]
pub enum Phase {
    /// Waiting out a blip.
    Watching {
        /// When the hold-down is over.
        until: Timestamp,
    },
    /// Finding the cause and choosing a remedy.
    Examining {
        /// Since when.
        since: Timestamp,
        /// When to stop looking and park.
        deadline: Timestamp,
        /// The probe that is on its way to being sent.
        sending: Option<Intent>,
    },
    /// A rail stands in the way for now.
    Parked {
        /// Which one, with its numbers.
        refusal: Refusal,
        /// Since when.
        since: Timestamp,
        /// When to try again.
        until: Timestamp,
        /// When to give up waiting.
        limit: Timestamp,
    },
    /// Our drain: the effect that begins or undoes it, then the wait for tasks to end.
    Draining {
        /// The drain, or its undoing.
        intent: Intent,
        /// When to go on without.
        deadline: Timestamp,
        /// What follows.
        then: Then,
    },
    /// Our Standby: the effect that enters or leaves it, then the wait for the group.
    Standby {
        /// Entering or leaving.
        intent: Intent,
        /// When to give up.
        deadline: Timestamp,
        /// What follows.
        then: Then,
    },
    /// The remedy's own effect is on its way, or half done.
    Treating {
        /// The effect.
        intent: Intent,
        /// The remedy that it belongs to.
        remedy: Remedy,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Waiting for the proof that it helped.
    Verifying {
        /// The remedy.
        remedy: Remedy,
        /// Since when: the moment its effect was committed.
        since: Timestamp,
        /// When it counts as failed.
        deadline: Timestamp,
        /// Since when the proof has been seen without a break.
        proven_since: Option<Timestamp>,
        /// A probe or a clean-up that belongs to the proof.
        sending: Option<Intent>,
    },
    /// Needs a person. Nothing is done until the node's state changes or a person closes it.
    Resting {
        /// Why, and what to do.
        why: Ending,
        /// Since when.
        since: Timestamp,
        /// When to remind.
        remind_at: Timestamp,
    },
    /// Over.
    Closed {
        /// How it ended.
        ending: Ending,
        /// When.
        at: Timestamp,
    },
}

/// What follows a drain, a Standby, or the undoing of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Look closely once more, then the remedy.
    Examine,
    /// Give back what else is held, then end.
    End(Ending),
}

impl Phase {
    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Watching { .. } => "watching",
            Self::Examining { .. } => "examining",
            Self::Parked { .. } => "parked",
            Self::Draining { .. } => "draining",
            Self::Standby { .. } => "standby",
            Self::Treating { .. } => "treating",
            Self::Verifying { .. } => "verifying",
            Self::Resting { .. } => "resting",
            Self::Closed { .. } => "closed",
        }
    }

    /// The intent that is in this phase's hands.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Examining { sending, .. } | Self::Verifying { sending, .. } => sending.as_ref(),
            Self::Draining { intent, .. } | Self::Standby { intent, .. } | Self::Treating { intent, .. } => {
                Some(intent)
            }
            Self::Watching { .. } | Self::Parked { .. } | Self::Resting { .. } | Self::Closed { .. } => None,
        }
    }

    /// The same, to record what became of it.
    pub fn intent_mut(&mut self) -> Option<&mut Intent> {
        match self {
            Self::Examining { sending, .. } | Self::Verifying { sending, .. } => sending.as_mut(),
            Self::Draining { intent, .. } | Self::Standby { intent, .. } | Self::Treating { intent, .. } => {
                Some(intent)
            }
            Self::Watching { .. } | Self::Parked { .. } | Self::Resting { .. } | Self::Closed { .. } => None,
        }
    }
}

impl Incident {
    /// A new incident in its hold-down.
    #[must_use]
    pub fn open(home: &Home, seen: &Observation, symptom: Symptom, now: Timestamp, until: Timestamp) -> Self {
        let id = IncidentId::new(now, seen.node);
        let mut incident = Self {
            schema: SCHEMA,
            id,
            version: 0,
            node: seen.node,
            place: Place {
                account: home.account,
                region: home.region.clone(),
                zone: None,
                name: None,
                container_instance: None,
                group: None,
                platform: Platform::default(),
                tasks: 0,
                public_address_changes: false,
            },
            first_seen: now,
            down_since: now,
            symptoms: Vec::with_capacity(2),
            looks: 0,
            ecs_down: None,
            phase: Phase::Watching { until },
            holds: Holds::default(),
            attempts: Vec::new(),
            diagnosis: None,
            probe: None,
            asked: None,
            approval: None,
            parked_secs: 0,
            wake_at: Some(until),
            timer_generation: 0,
            intents: 0,
            reports: 0,
            history: Vec::with_capacity(16),
        };
        incident.see(seen);
        incident.add_symptom(symptom);
        incident
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. })
    }

    /// Whether it rests until a person comes.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        matches!(self.phase, Phase::Resting { .. })
    }

    /// How it ended, or for what it rests.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Resting { why: ending, .. } | Phase::Closed { ending, .. } => Some(ending),
            Phase::Watching { .. }
            | Phase::Examining { .. }
            | Phase::Parked { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => None,
        }
    }

    /// Adds a line to the history.
    pub fn note(&mut self, at: Timestamp, event: Event) {
        self.history.push(Entry { at, event });
    }

    /// Adds a symptom, unless the same thing was already told; says whether it was new.
    pub fn add_symptom(&mut self, symptom: Symptom) -> bool {
        let known = self.symptoms.iter().any(|known| known.kind == symptom.kind || known.kind.repeats(&symptom.kind));
        if known || self.symptoms.len() >= 20 {
            return false;
        }
        self.note(symptom.at, Event::Told(symptom.kind.clone()));
        self.symptoms.push(symptom);
        true
    }

    /// Whether something told that Systems Manager should know the node.
    #[must_use]
    pub fn expects_ssm(&self) -> bool {
        self.symptoms.iter().any(|symptom| symptom.kind.expects_ssm())
    }

    /// Takes over what an observation says of the node's place, and how long the ECS container agent has been away.
    pub fn see(&mut self, seen: &Observation) {
        if let Some(ec2) = seen.ec2.known() {
            self.place.zone = Some(ec2.zone.clone());
            self.place.name.clone_from(&ec2.name);
            self.place.public_address_changes = ec2.stop.public_address_changes;
        }
        if let Some(ssm) = seen.ssm.known() {
            self.place.platform = ssm.platform;
        }
        if let Some(ecs) = seen.ecs.known() {
            let run = self.ecs_down.filter(|run| secs_between(run.until, seen.at) <= RUN_GAP_SECS);
            let since = run.map_or(seen.at, |run| run.since);
            self.ecs_down = (!ecs.connected).then_some(Run { since, until: seen.at });
            self.place.container_instance = Some((ecs.cluster.clone(), ecs.arn.clone()));
            self.place.tasks = ecs.tasks;
        }
        if let Some(asg) = seen.asg.known() {
            self.place.group = Some(asg.name.clone());
        }
    }

    /// The next intent's name.
    pub fn next_intent(&mut self) -> IntentId {
        self.intents = self.intents.saturating_add(1);
        IntentId(self.intents)
    }

    /// The command that the incident began with, when it began with one.
    #[must_use]
    pub fn command(&self) -> Option<&CommandId> {
        self.symptoms.iter().find_map(|symptom| match &symptom.kind {
            SignalKind::CommandTrouble { command, .. } => Some(command),
            SignalKind::CommandSucceeded
            | SignalKind::EcsHealthImpaired { .. }
            | SignalKind::EcsHealthRestored
            | SignalKind::EcsDisconnected { .. }
            | SignalKind::EcsConnected
            | SignalKind::Gone { .. }
            | SignalKind::SessionRefused
            | SignalKind::Swept { .. } => None,
        })
    }

    /// The attempt that is going on.
    pub fn running_attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.result == AttemptResult::Running)
    }

    /// Remedies that were performed, in order, each as often as it was.
    pub fn performed(&self) -> impl Iterator<Item = Remedy> + '_ {
        self.attempts
            .iter()
            .filter(|attempt| match attempt.result {
                AttemptResult::Running | AttemptResult::Helped | AttemptResult::Failed => attempt.acted_at.is_some(),
                AttemptResult::Refused | AttemptResult::NotSent => false,
            })
            .map(|attempt| attempt.remedy)
    }
}
