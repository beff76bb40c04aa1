//! A rehearsal of a recorded incident: its node, its cause and its circumstances, once more, under rules of today.
//!
//! A record tells what was found and what stood in the way; what it does not tell is taken from a small healthy fleet. What a
//! remedy did then it does again: one that helped helps, one that did not does not.

use jiff::Timestamp;

use super::{HORIZON_SECS, Rehearsal};
use crate::engine::Trigger;
use crate::event::{GoneKind, Signal, SignalKind};
use crate::guard::{GroupRefusal, Refusal, Resource, StopRefusal, WorkloadRefusal};
use crate::incident::{AttemptResult, Ending, Event, Incident, OperatorWord};
use crate::node::Home;
use crate::observe::{Factor, InvocationStatus, Standing, Tags};
use crate::policy::{Mode, Policy};
use crate::sim::ailment::Ailment;
use crate::sim::machine::MachineSpec;
use crate::sim::scenario::{What, Word};
use crate::sim::stage::{self, FLEET};
use crate::sim::world::GroupSettings;
use crate::time::{after, secs_between};

/// What the script of a rehearsed record calls its node.
const IT: &str = "it";
/// A fault cannot have begun longer than this before the first look, in seconds: the world is not much older.
const BEGAN_MOST_SECS: i64 = 3_500;
/// A node that recovered by itself was well for about so long before that was seen, in seconds.
const SEEN_WELL_SECS: i64 = 45;

/// What was put on the stage for a recorded incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staging {
    /// The hidden fault.
    pub fault: Ailment,
    /// The record names no cause that the simulated account knows: the fault only shows the same symptoms.
    pub stands_in: bool,
    /// Nodes around it.
    pub others: u32,
    /// They fail together with it.
    pub shared: Option<Factor>,
    /// What stood in the way then and lies outside the node, each rail once: the fleet of the rehearsal does not have it.
    pub left_out: Vec<Refusal>,
}

impl Rehearsal {
    /// Sets the scene for a recorded incident, beginning at the moment at which it was first seen.
    #[must_use]
    pub fn of_record(incident: &Incident, policy: Policy, seed: u64) -> (Self, Staging) {
        let home = Home { account: incident.place.account, region: incident.place.region.clone() };
        let start = incident.first_seen;
        let mut rehearsal = Self::new(home, policy, seed, start, HORIZON_SECS);
        let (fault, stands_in) = fault_of(incident);
        let mut staging = Staging { fault, stands_in, others: 0, shared: None, left_out: Vec::new() };
        let began = began(incident, start);
        rehearsal.driver.account_mut().world.advance(after(began, -30));
        rehearsal.people_the_stage(incident, (began, start), &mut staging);
        rehearsal.surround(incident, start, &mut staging.left_out);
        rehearsal.driver.account_mut().world.advance(start);
        rehearsal.tell_again(incident, start, fault);
        rehearsal.names.insert(IT.to_owned(), incident.node);
        rehearsal.steps.extend(by_people(incident));
        let last = rehearsal.horizon;
        rehearsal.steps.retain(|(at, _)| *at <= last);
        rehearsal.steps.sort_by_key(|(at, _)| *at);
        (rehearsal, staging)
    }

    /// The node and those around it.
    fn people_the_stage(&mut self, incident: &Incident, (began, start): (Timestamp, Timestamp), staging: &mut Staging) {
        let place = &incident.place;
        let world = &mut self.driver.account_mut().world;
        let mut like_it = MachineSpec::new();
        like_it.zone_named.clone_from(&place.zone);
        like_it.group.clone_from(&place.group);
        like_it.platform = place.platform;
        if let Some((cluster, _)) = &place.container_instance {
            like_it = like_it.in_cluster(cluster.name());
            like_it.cluster_arn = Some(cluster.clone());
        }
        let shared = incident.shared.clone().filter(|_| incident.node.is_instance());
        if let Some(factor) = shared.clone().filter(|factor| !matches!(factor, Factor::Zone(_))) {
            like_it = like_it.sharing(factor);
        }
        let mut it = like_it.clone().with_id(incident.node);
        it.name.clone_from(&place.name);
        it.container_instance = place.container_instance.as_ref().map(|(_, arn)| arn.clone());
        it.stop = place.stop;
        it.stop.public_address_changes |= place.public_address_changes;
        if place.tasks > 0 && it.cluster_arn.is_some() {
            it = it.with_tasks(place.tasks);
        }
        for attempt in incident.attempts.iter().filter(|attempt| attempt.acted_at.is_some()) {
            match attempt.result {
                AttemptResult::Helped => it = it.cured_by(attempt.remedy, true),
                AttemptResult::Failed => it = it.cured_by(attempt.remedy, false),
                AttemptResult::Running | AttemptResult::Refused | AttemptResult::NotSent => {}
            }
        }
        for (refusal, _) in circumstances(incident) {
            it = as_refused(it, refusal, secs_between(began, start).saturating_add(30));
        }
        let lasts = healed_at(incident).map(|at| secs_between(began, at).saturating_sub(SEEN_WELL_SECS).max(30));
        world.add(it);
        world.afflict(incident.node, staging.fault, began, lasts);
        // A managed node is alone here: its fleet would be somewhere else.
        if !incident.node.is_instance() {
            return;
        }
        for _ in 1..FLEET {
            let other = world.add(like_it.clone());
            staging.others += 1;
            if shared.is_some() {
                world.afflict(other, staging.fault, began, lasts);
            }
        }
        if shared.is_some() {
            for _ in 0..FLEET {
                world.add(MachineSpec::new().in_zone('z'));
                staging.others += 1;
            }
        }
        staging.shared = shared;
        if let Some(group) = &place.group {
            // Room for one to be set aside.
            world.set_group(group, &GroupSettings { min: Some(FLEET - 2), ..GroupSettings::default() });
        }
    }

    /// What stood in the way around the node, as far as the record tells of it.
    fn surround(&mut self, incident: &Incident, start: Timestamp, left_out: &mut Vec<Refusal>) {
        let calendar = self.calendar.clone();
        let mut ends = Vec::new();
        let world = &mut self.driver.account_mut().world;
        for (refusal, until) in circumstances(incident) {
            let ends_at = until.unwrap_or(Timestamp::MAX);
            let lasts_secs = until.map_or(HORIZON_SECS * 2, |until| secs_between(start, until).max(60));
            match refusal {
                Refusal::LiveSessions { .. } => ends.push((ends_at, What::Sessions(IT.to_owned(), 0))),
                Refusal::OtherWork { work } => {
                    world.set_busy(incident.node, *work, after(start, lasts_secs), after(start, -5));
                }
                Refusal::Workload { why: WorkloadRefusal::Standalone { .. } | WorkloadRefusal::Protected { .. } } => {
                    ends.push((ends_at, What::Tasks(IT.to_owned(), 0, 0)));
                }
                Refusal::Group { why } => {
                    let settings = match why {
                        GroupRefusal::Suspended => GroupSettings { suspended: Some(true), ..GroupSettings::default() },
                        GroupRefusal::Refreshing => {
                            GroupSettings { refreshing: Some(true), ..GroupSettings::default() }
                        }
                        GroupRefusal::BelowMinimum { .. } => {
                            GroupSettings { min: Some(FLEET), ..GroupSettings::default() }
                        }
                        GroupRefusal::NotInService => GroupSettings::default(),
                    };
                    if let Some(group) = &incident.place.group {
                        world.set_group(group, &settings);
                    }
                }
                Refusal::CalendarClosed { name, .. } if calendar.as_ref() == Some(name) => {
                    world.close_calendar(name, start, lasts_secs);
                }
                Refusal::NotOptedIn { resource }
                | Refusal::OptedOut { resource }
                | Refusal::ModeTooLow { lowered_by: Some(resource), .. } => {
                    if let Some(tags) = tags_that_refuse(refusal) {
                        match resource {
                            Resource::Instance => {}
                            Resource::Group => {
                                if let Some(group) = &incident.place.group {
                                    world.set_group_tags(group.as_str(), tags);
                                }
                            }
                            Resource::Cluster => {
                                if let Some((cluster, _)) = &incident.place.container_instance {
                                    world.set_cluster_tags(cluster.name(), tags);
                                }
                            }
                        }
                    }
                }
                // Of the node itself, and on it already; or of the rules, which are the question.
                Refusal::ManagedElsewhere { .. }
                | Refusal::Muted { .. }
                | Refusal::LaunchGrace { .. }
                | Refusal::Stop { .. }
                | Refusal::NoWay { .. }
                | Refusal::ModeTooLow { lowered_by: None, .. }
                | Refusal::CauseLimit { .. }
                | Refusal::Approval { .. }
                | Refusal::Cooldown { .. }
                | Refusal::CalendarClosed { .. } => {}
                // Of the rest of the account, of which the record does not say enough.
                Refusal::SharedCause { .. } if incident.shared.is_some() => {}
                Refusal::SharedCause { .. }
                | Refusal::Paused
                | Refusal::PauseUnreadable
                | Refusal::Budget { .. }
                | Refusal::Rate { .. }
                | Refusal::BreakerOpen { .. }
                | Refusal::Canary { .. }
                | Refusal::ActiveIncidents { .. }
                | Refusal::Quarantined { .. }
                | Refusal::CannotSee { .. }
                | Refusal::CallRefused { .. }
                | Refusal::UnhealthyStop { .. }
                | Refusal::CapacityFloor { .. }
                | Refusal::ZoneFrozen { .. }
                | Refusal::LastInZone { .. }
                | Refusal::Workload {
                    why: WorkloadRefusal::ServiceMinimum { .. } | WorkloadRefusal::StillThere { .. },
                } => {
                    if left_out.iter().all(|known| known.rail() != refusal.rail()) {
                        left_out.push(refusal.clone());
                    }
                }
            }
        }
        self.steps.extend(ends);
    }

    /// What told of it then tells of it again, as long as nothing had been done: what came later may have come of that.
    fn tell_again(&mut self, incident: &Incident, start: Timestamp, fault: Ailment) {
        let acted = incident.attempts.iter().find_map(|attempt| attempt.acted_at).unwrap_or(Timestamp::MAX);
        let read = incident.history.iter().find_map(|entry| match &entry.event {
            Event::InvocationRead(status) if *status != InvocationStatus::Open => Some(*status),
            _ => None,
        });
        for symptom in incident.symptoms.iter().filter(|symptom| symptom.at <= acted) {
            if let SignalKind::CommandTrouble { command, document, status } = &symptom.kind {
                let details = read.unwrap_or_else(|| stage::status_details(*status, fault));
                let world = &mut self.driver.account_mut().world;
                world.stage_command(incident.node, command.clone(), document.clone(), details, start);
            }
            let at = symptom.at.max(start);
            let signal = Signal { node: incident.node, at, kind: symptom.kind.clone() };
            self.driver.deliver(Trigger::Signal(signal), at);
        }
    }
}

/// The fault that a record tells of, and whether it only stands in for one that is not known.
fn fault_of(incident: &Incident) -> (Ailment, bool) {
    match incident.ending() {
        Some(Ending::ScriptTimedOut) => return (Ailment::CommandScriptTimeout, false),
        Some(Ending::CommandRejected) => return (Ailment::CommandRejected, false),
        // What ailed the node is told by the diagnosis.
        Some(
            Ending::SelfHealed
            | Ending::Helped { .. }
            | Ending::CauseNotOurs
            | Ending::LadderExhausted
            | Ending::TooLong
            | Ending::Quarantined { .. }
            | Ending::DoesNotStart
            | Ending::NotGivenBack
            | Ending::Refused { .. }
            | Ending::WaitedTooLong { .. }
            | Ending::Gone
            | Ending::SessionGaveUp
            | Ending::WouldHave { .. }
            | Ending::ClosedBy { .. },
        )
        | None => {}
    }
    // The surest of all that was found; a later look may have found only what a remedy had left.
    let mut surest: Option<(u8, Ailment)> = None;
    let last = incident.diagnosis.iter().map(|found| (found.confidence, found.cause));
    let found = incident.history.iter().filter_map(|entry| match entry.event {
        Event::Diagnosed { cause, confidence } => Some((confidence, cause)),
        _ => None,
    });
    for (confidence, cause) in found.chain(last) {
        if let Some(ailment) = Ailment::from_cause(cause)
            && surest.is_none_or(|(known, _)| confidence > known)
        {
            surest = Some((confidence, ailment));
        }
    }
    if let Some((_, ailment)) = surest {
        return (ailment, false);
    }
    let looked = incident.history.iter().rev().find_map(|entry| match entry.event {
        Event::Looked { ssm: Standing::Well, ecs: Standing::Well } => None,
        Event::Looked { ssm, ecs } => Some((ssm, ecs)),
        _ => None,
    });
    let silent = |standing: Standing| matches!(standing, Standing::Ill | Standing::Suspect);
    let fault = match looked {
        Some((ssm, ecs)) if silent(ssm) && silent(ecs) => Ailment::HostKernelHang,
        Some((ssm, _)) if silent(ssm) => Ailment::SsmAgentHung,
        Some((_, ecs)) if silent(ecs) => Ailment::EcsAgentHung,
        Some(_) | None => {
            incident.symptoms.first().map_or(Ailment::SsmAgentHung, |symptom| stage::fitting(&symptom.kind))
        }
    };
    (fault, true)
}

/// When the fault began: early enough to cause what told of it.
fn began(incident: &Incident, start: Timestamp) -> Timestamp {
    let told = incident.symptoms.first().map_or(0, |symptom| stage::began_before(&symptom.kind));
    incident.down_since.min(after(start, -told)).max(after(start, -BEGAN_MOST_SECS))
}

/// When it was seen to be well again, and nobody had helped it.
fn healed_at(incident: &Incident) -> Option<Timestamp> {
    incident.history.iter().rev().find_map(|entry| match &entry.event {
        Event::Closed(Ending::SelfHealed) => Some(entry.at),
        _ => None,
    })
}

/// What stood in the way, in order, and until when, where that is known.
fn circumstances(incident: &Incident) -> impl Iterator<Item = (&Refusal, Option<Timestamp>)> {
    let waits = incident.history.iter().enumerate().filter_map(|(index, entry)| match &entry.event {
        Event::Parked(refusal) => {
            let later = incident.history.iter().skip(index.saturating_add(1));
            let mut later = later.filter(|entry| matches!(entry.event, Event::Unparked | Event::Chosen { .. }));
            Some((refusal, later.next().map(|entry| entry.at)))
        }
        _ => None,
    });
    let ended = incident.ending().and_then(|ending| match ending {
        Ending::Refused { refusal } => Some((refusal, None)),
        _ => None,
    });
    waits.chain(ended)
}

/// Tags with which a refusal like this one comes about.
fn tags_that_refuse(refusal: &Refusal) -> Option<Tags> {
    let tags = Tags { managed: true, mode: None, mute_until: None };
    match refusal {
        Refusal::NotOptedIn { .. } => Some(Tags { managed: false, ..tags }),
        Refusal::OptedOut { .. } => Some(Tags { mode: Some(Mode::Off), ..tags }),
        Refusal::ModeTooLow { mode, lowered_by: Some(_), .. } => Some(Tags { mode: Some(*mode), ..tags }),
        Refusal::Muted { until } => Some(Tags { mute_until: Some(*until), ..tags }),
        _ => None,
    }
}

/// The machine as a refusal tells of it; `lead_secs`: how long before the first look it is added.
fn as_refused(mut spec: MachineSpec, refusal: &Refusal, lead_secs: i64) -> MachineSpec {
    match refusal {
        Refusal::LiveSessions { count, .. } => return spec.with_sessions(*count),
        Refusal::Workload { why: WorkloadRefusal::Standalone { count } } => return spec.with_standalone(*count),
        Refusal::Workload { why: WorkloadRefusal::Protected { count, .. } } => return spec.with_protected(*count),
        Refusal::ManagedElsewhere { by } => return spec.managed_by(*by),
        Refusal::LaunchGrace { age_secs, .. } => spec.age_secs = age_secs.saturating_sub(lead_secs).max(0),
        Refusal::Stop { why } => match why {
            StopRefusal::InstanceStoreRoot => spec.stop.instance_store_root = true,
            StopRefusal::InstanceStoreData => spec.stop.instance_store_data = true,
            StopRefusal::Spot => spec.stop.spot = true,
            StopRefusal::StopProtected => spec.stop.stop_protected = true,
            StopRefusal::VolumeKey => spec.stop.volume_key = true,
            StopRefusal::StopDenied => spec.stop.stop_denied = true,
            StopRefusal::StartDenied => spec.stop.start_denied = true,
            StopRefusal::PublicAddress => spec.stop.public_address_changes = true,
        },
        Refusal::NotOptedIn { resource: Resource::Instance }
        | Refusal::OptedOut { resource: Resource::Instance }
        | Refusal::ModeTooLow { lowered_by: Some(Resource::Instance), .. }
        | Refusal::Muted { .. } => {
            if let Some(tags) = tags_that_refuse(refusal) {
                spec.tags = tags;
            }
        }
        // Of what is around the node, or of the rules: not on the machine.
        Refusal::NotOptedIn { resource: Resource::Group | Resource::Cluster }
        | Refusal::OptedOut { resource: Resource::Group | Resource::Cluster }
        | Refusal::ModeTooLow { lowered_by: Some(Resource::Group | Resource::Cluster) | None, .. }
        | Refusal::Workload { why: WorkloadRefusal::ServiceMinimum { .. } | WorkloadRefusal::StillThere { .. } }
        | Refusal::Paused
        | Refusal::PauseUnreadable
        | Refusal::CauseLimit { .. }
        | Refusal::Budget { .. }
        | Refusal::Rate { .. }
        | Refusal::BreakerOpen { .. }
        | Refusal::Canary { .. }
        | Refusal::SharedCause { .. }
        | Refusal::ActiveIncidents { .. }
        | Refusal::Quarantined { .. }
        | Refusal::OtherWork { .. }
        | Refusal::Approval { .. }
        | Refusal::CannotSee { .. }
        | Refusal::CallRefused { .. }
        | Refusal::Cooldown { .. }
        | Refusal::Group { .. }
        | Refusal::UnhealthyStop { .. }
        | Refusal::CapacityFloor { .. }
        | Refusal::ZoneFrozen { .. }
        | Refusal::LastInZone { .. }
        | Refusal::CalendarClosed { .. }
        | Refusal::NoWay { .. } => {}
    }
    spec
}

/// What people did then, and do again: they ask, approve, stop and terminate.
fn by_people(incident: &Incident) -> Vec<(Timestamp, What)> {
    let asked = incident.asked.as_ref().and_then(|asked| asked.remedy);
    let it = || IT.to_owned();
    let mut steps = Vec::new();
    for entry in incident.history.iter() {
        let what = match &entry.event {
            Event::Operator(said) => match said.word {
                OperatorWord::Fix => What::Operator(Word::Fix(it(), asked)),
                OperatorWord::Approved => What::Operator(Word::Approve(it())),
                OperatorWord::Closed | OperatorWord::Cleared => continue,
            },
            Event::Closed(Ending::Gone) => {
                let terminated = |kind: &SignalKind| matches!(kind, SignalKind::Gone { what: GoneKind::Terminated });
                if incident.symptoms.iter().any(|symptom| terminated(&symptom.kind)) {
                    What::Terminate(it())
                } else {
                    What::Stop(it())
                }
            }
            // Done by Defib, or by nobody.
            Event::Told(_)
            | Event::InvocationRead(_)
            | Event::Looked { .. }
            | Event::HoldDownOver { .. }
            | Event::ProbeAnswered { .. }
            | Event::ProbeUndelivered
            | Event::Diagnosed { .. }
            | Event::Chosen { .. }
            | Event::Done(_)
            | Event::Refused(_)
            | Event::Expired(_)
            | Event::Burned(_)
            | Event::HostRefused { .. }
            | Event::Drained { .. }
            | Event::SessionsCut { .. }
            | Event::Reached(_)
            | Event::Ended { .. }
            | Event::Parked(_)
            | Event::Unparked
            | Event::Reminded
            | Event::Closed(_) => continue,
        };
        steps.push((entry.at, what));
    }
    steps
}
