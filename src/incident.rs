//! One open incident per node: what is known of an outage, and where its treatment stands.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnose::Diagnosis;
use crate::effect::IntentId;
use crate::guard::Refusal;
use crate::node::{CommandId, Home, NodeId, ResourceName};
use crate::observe::{Factor, Observation, Platform, Probe, ProbeAnswer, StopGates};
use crate::policy::Mode;

pub mod held;
mod history;
mod id;
mod outcome;
mod parts;
mod phase;
mod proof;
pub mod record;
mod remedy;
#[cfg(test)]
mod tests;

pub use history::{Entry, Event, Milestone, OperatorWord, Said};
pub use id::IncidentId;
pub use outcome::{Ending, Outcome};
pub use parts::{Approval, Ask, Attempt, AttemptResult, Holds, Place, ProbeSent, Run, Symptom};
pub use phase::{Phase, Then};
pub use proof::Proof;
pub use remedy::{NoSuchRemedy, Remedy};

/// The schema of a stored incident. Older ones are migrated when read, newer ones are left alone.
pub const SCHEMA: u32 = 1;

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
    /// What it and other incidents have in common, once that was seen: they are told of together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<Factor>,
    /// Where the treatment stands.
    pub phase: Phase,
    /// How far Defib might go on the node when it was last looked at: no further than observe where nobody opted it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Mode>,
    /// When an effect was last sent to the node in an incident before this one: the cooldown is the node's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_before: Option<Timestamp>,
    /// What of ours is still in effect on the node.
    pub holds: Holds,
    /// Remedies tried, in order.
    pub attempts: Vec<Attempt>,
    /// What proved the remedies that helped, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// What the last close look said.
    pub diagnosis: Option<Diagnosis>,
    /// Our last probe.
    pub probe: Option<ProbeSent>,
    /// The command of the repair that was sent to the host last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repair: Option<CommandId>,
    /// The host's boot id, as its last answer before a remedy gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<ResourceName>,
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
    /// What happened, in order. Shared: most looks add no line to it, and a record is copied at each.
    pub history: Arc<Vec<Entry>>,
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
                stop: StopGates::default(),
                services: Arc::from([]),
                factors: Arc::from([]),
            },
            first_seen: now,
            down_since: now,
            symptoms: Vec::with_capacity(2),
            looks: 0,
            ecs_down: None,
            shared: None,
            allowed: None,
            acted_before: None,
            phase: Phase::Watching { until },
            holds: Holds::default(),
            attempts: Vec::new(),
            proofs: Vec::new(),
            diagnosis: None,
            probe: None,
            repair: None,
            boot: None,
            asked: None,
            approval: None,
            parked_secs: 0,
            wake_at: Some(until),
            timer_generation: 0,
            intents: 0,
            reports: 0,
            history: Arc::new(Vec::with_capacity(8)),
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
        Arc::make_mut(&mut self.history).push(Entry { at, event });
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
            self.place.stop = ec2.stop;
        }
        if let Some(ssm) = seen.ssm.known() {
            self.place.platform = ssm.platform;
        }
        if let Some(ecs) = seen.ecs.known() {
            let run = self.ecs_down.and_then(|run| run.with(seen, ecs));
            self.ecs_down = (!ecs.connected).then(|| run.unwrap_or_else(|| Run::beginning(seen, ecs)));
            self.place.container_instance = Some((ecs.cluster.clone(), ecs.arn.clone()));
            self.place.tasks = ecs.tasks;
        }
        if let Some(workload) = seen.workload.known().filter(|workload| !workload.services.is_empty()) {
            self.place.services = Arc::clone(&workload.services);
        }
        self.see_boot(seen);
        if let Some(asg) = seen.asg.known() {
            self.place.group = Some(asg.name.clone());
        }
        if let Some(factors) = seen.factors.known() {
            let now = || factors.shared.iter().map(|share| &share.factor);
            if !self.place.factors.iter().eq(now()) {
                self.place.factors = now().cloned().collect();
            }
        }
    }

    /// Remembers by its id which boot of the host answered last, until a remedy may have started another one.
    fn see_boot(&mut self, seen: &Observation) {
        let acted = matches!(self.phase, Phase::Treating { .. } | Phase::Verifying { .. });
        if let Some(Probe { answer: ProbeAnswer::Answered { boot: Some(boot), .. }, .. }) = seen.probe.known()
            && !acted
            && self.boot.as_ref() != Some(boot)
        {
            self.boot = Some(boot.clone());
        }
    }

    /// Whether it is worked on: past its hold-down, not at rest, and not waiting for its turn.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        match &self.phase {
            Phase::Watching { .. } | Phase::Resting { .. } | Phase::Closed { .. } => false,
            Phase::Parked { refusal, .. } => !matches!(refusal, Refusal::ActiveIncidents { .. }),
            Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => true,
        }
    }

    /// Whether its node is in trouble beyond a blip: it outlasted the hold-down, or what told of it does not tell of blips.
    #[must_use]
    pub fn is_beyond_a_blip(&self) -> bool {
        match &self.phase {
            Phase::Watching { .. } => self.symptoms.iter().any(|symptom| symptom.kind.is_beyond_a_blip()),
            Phase::Closed { .. } => false,
            Phase::Resting { .. }
            | Phase::Parked { .. }
            | Phase::Examining { .. }
            | Phase::Draining { .. }
            | Phase::Standby { .. }
            | Phase::Treating { .. }
            | Phase::Verifying { .. } => true,
        }
    }

    /// The next intent's name.
    pub fn next_intent(&mut self) -> IntentId {
        self.intents = self.intents.saturating_add(1);
        IntentId(self.intents)
    }

    /// When an effect was last sent to the node, in this incident or in one before.
    #[must_use]
    pub fn acted_at(&self) -> Option<Timestamp> {
        self.attempts.iter().rev().find_map(|attempt| attempt.acted_at).or(self.acted_before)
    }

    /// When the first of the disruptive remedies was chosen that were drained for and never sent; none where the last one was
    /// sent.
    #[must_use]
    pub fn unsent_since(&self) -> Option<Timestamp> {
        planted!(UnsentCounts => return self.attempts.last().filter(|last| last.acted_at.is_none()).map(|last| last.at));
        let disruptive = self.attempts.iter().rev().filter(|attempt| attempt.remedy.is_disruptive());
        disruptive.take_while(|attempt| attempt.acted_at.is_none()).last().map(|attempt| attempt.at)
    }

    /// Who approved a remedy last, as claimed.
    #[must_use]
    pub fn approved_by(&self) -> Option<&str> {
        self.history.iter().rev().find_map(|entry| match &entry.event {
            Event::Operator(Said { word: OperatorWord::Approved, by }) => by.as_deref(),
            _ => None,
        })
    }

    /// The command that the incident began with, when it began with one.
    #[must_use]
    pub fn command(&self) -> Option<&CommandId> {
        self.symptoms.iter().find_map(|symptom| symptom.kind.command())
    }

    /// The attempt that is going on.
    pub fn running_attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut().filter(|attempt| attempt.result == AttemptResult::Running)
    }

    /// What proved a remedy, the last time that it helped; none in records from before proofs were kept.
    #[must_use]
    pub fn proof_of(&self, remedy: Remedy) -> Option<Proof> {
        self.proofs.iter().rev().copied().find(|proof| proof.remedy() == remedy)
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
