//! The fleet at rest: what Defib has taken from nodes and not given back, and container instances that nothing runs behind.
//!
//! The mark is the record: what an incident took stands in its [`Holds`](super::Holds) before it is taken, so a function that
//! died or was removed leaves its name behind. What AWS shows confirms it or takes it back. Others drain, stop and use Standby,
//! too: without a record nothing is listed as held. The caller reads; this only decides, so it is the same everywhere.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Incident, IncidentId, Phase};
use crate::effect::Effect;
use crate::node::{AutoScalingGroupName, ClusterArn, ContainerInstanceArn, DisplayName, NodeId};
use crate::observe::{EcsStatus, Fact, InstanceState, Lifecycle, Observation};
use crate::time;

/// Something that is taken from a node, in the order in which it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// The instance is stopped.
    Stopped,
    /// The instance is in Standby.
    Standby,
    /// The container instance is `DRAINING`.
    Draining,
}

impl Hold {
    /// The effect that takes it.
    fn taken_by(self) -> Effect {
        match self {
            Self::Stopped => Effect::Stop,
            Self::Standby => Effect::EnterStandby,
            Self::Draining => Effect::Drain,
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Stopped => "stopped",
            Self::Standby => "in Standby",
            Self::Draining => "DRAINING",
        })
    }
}

/// What AWS shows of a node, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The node.
    pub node: NodeId,
    /// EC2's state; absent: EC2 does not know it, or it is none of EC2's.
    pub state: Fact<InstanceState>,
    /// Its place in its Auto Scaling group.
    pub lifecycle: Fact<Lifecycle>,
    /// The status of its container instance; absent: ECS lists none.
    pub ecs: Fact<EcsStatus>,
    /// That container instance.
    pub container_instance: Option<(ClusterArn, ContainerInstanceArn)>,
}

impl Sighting {
    /// What a look at a node shows of it.
    #[must_use]
    pub fn of(seen: &Observation) -> Self {
        let ecs = seen.ecs.known();
        Self {
            node: seen.node,
            state: part(&seen.ec2, |ec2| ec2.state),
            lifecycle: part(&seen.asg, |asg| asg.lifecycle),
            ecs: part(&seen.ecs, |ecs| ecs.status),
            container_instance: ecs.map(|ecs| (ecs.cluster.clone(), ecs.arn.clone())),
        }
    }

    /// Whether something is taken from the node, as AWS shows it; none where that could not be read.
    fn shows(&self, hold: Hold) -> Option<bool> {
        match hold {
            Hold::Stopped => {
                judged(&self.state, |state| matches!(state, InstanceState::Stopping | InstanceState::Stopped))
            }
            Hold::Standby => judged(&self.lifecycle, |lifecycle| {
                matches!(lifecycle, Lifecycle::EnteringStandby | Lifecycle::Standby)
            }),
            Hold::Draining => judged(&self.ecs, |status| status == EcsStatus::Draining),
        }
    }

    /// Whether the instance runs and its container instance is `INACTIVE`.
    fn is_deregistered(&self) -> bool {
        judged(&self.state, |state| state == InstanceState::Running) == Some(true)
            && judged(&self.ecs, |status| status == EcsStatus::Inactive) == Some(true)
    }
}

fn part<T, U>(fact: &Fact<T>, of: impl Fn(&T) -> U) -> Fact<U> {
    match fact {
        Fact::Known(known) => Fact::Known(of(known)),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(blind) => Fact::Unknown(*blind),
    }
}

fn judged<T: Copy>(fact: &Fact<T>, is: impl Fn(T) -> bool) -> Option<bool> {
    match fact {
        Fact::Known(known) => Some(is(*known)),
        Fact::Absent => Some(false),
        Fact::Unknown(_) => None,
    }
}

/// One thing that Defib holds of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Held {
    /// The node.
    pub node: NodeId,
    /// Its `Name` tag.
    pub name: Option<DisplayName>,
    /// What.
    pub hold: Hold,
    /// Since when, by the incident's history; none: it was about to be taken, and nobody knows whether it was.
    pub since: Option<Timestamp>,
    /// By which incident.
    pub incident: IncidentId,
    /// Where that incident stands.
    pub phase: &'static str,
    /// When that incident wants to be looked at next. While a function works, it gives back by itself; where this is long past,
    /// nobody works any more, and where the incident rests or is closed, a person must give it back.
    pub wake_at: Option<Timestamp>,
    /// The incident is neither closed nor at rest, so that a working function gives back by itself (also one that waits for its turn).
    pub driven: bool,
    /// AWS shows it so; false: nobody could read that.
    pub confirmed: bool,
    /// The command that gives it back by hand.
    pub by_hand: String,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        write!(f, "{}{name} is {}", self.node, self.hold)?;
        match self.since {
            Some(since) => write!(f, " since {}", time::moment(since))?,
            None => f.write_str(", or was about to be")?,
        }
        write!(f, ", by {} ({})", self.incident, self.phase)?;
        if !self.confirmed {
            f.write_str("; AWS could not be asked")?;
        }
        Ok(())
    }
}

/// A container instance that is registered still, though its EC2 instance is gone: ECS counts it, and nothing can run there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ghost {
    /// The instance that is gone.
    pub node: NodeId,
    /// The cluster.
    pub cluster: ClusterArn,
    /// What is left.
    pub container_instance: ContainerInstanceArn,
}

impl Ghost {
    /// The command that removes it. A name of ECS's holds nothing that a shell reads as something else.
    #[must_use]
    pub fn removal(&self) -> String {
        format!(
            "aws ecs deregister-container-instance --region {} --cluster {} --container-instance {} --force",
            self.cluster.region(),
            self.cluster.name(),
            self.container_instance.id()
        )
    }
}

/// A container instance that is registered without anything behind it, or the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct LeftOver {
    /// The node.
    pub node: NodeId,
    /// Its cluster.
    pub cluster: ClusterArn,
    /// The container instance.
    pub container_instance: ContainerInstanceArn,
    /// What is wrong.
    pub why: LeftOverReason,
    /// The incident that terminated the instance, where it was Defib.
    pub incident: Option<IncidentId>,
    /// An incident of the node is neither closed nor at rest, so that a working function may yet clean it up.
    pub driven: bool,
    /// The command that cleans it up.
    pub by_hand: String,
}

/// What is wrong with what is left over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeftOverReason {
    /// It is still registered, and its instance is terminated or unknown to EC2.
    InstanceGone,
    /// It is `INACTIVE`, and its instance still runs and serves nobody.
    Deregistered,
}

impl fmt::Display for LeftOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster = self.cluster.name();
        match self.why {
            LeftOverReason::InstanceGone => {
                write!(
                    f,
                    "{} is gone, and its container instance is still registered in cluster {cluster}",
                    self.node
                )?;
            }
            LeftOverReason::Deregistered => {
                write!(f, "{} runs, and its container instance in cluster {cluster} is INACTIVE", self.node)?;
            }
        }
        self.incident.map_or(Ok(()), |incident| write!(f, ", since {incident}"))
    }
}

/// What Defib holds, by its records and by what AWS shows: what AWS shows as given back is left out, whatever the record says.
///
/// Sorted by node, and for each node in the order in which it is to be given back. A node without a sighting counts as not read.
#[must_use]
pub fn held<'a>(incidents: impl IntoIterator<Item = &'a Incident>, sightings: &[Sighting]) -> Vec<Held> {
    let mut found: Vec<Held> = Vec::new();
    for incident in incidents {
        let sighting = sightings.iter().find(|sighting| sighting.node == incident.node);
        let marks = [
            (incident.holds.stopped, Hold::Stopped),
            (incident.holds.standby, Hold::Standby),
            (incident.holds.draining, Hold::Draining),
        ];
        for hold in marks.into_iter().filter_map(|(marked, hold)| marked.then_some(hold)) {
            let shown = sighting.and_then(|sighting| sighting.shows(hold));
            if shown == Some(false) {
                continue;
            }
            found.push(Held {
                node: incident.node,
                name: incident.place.name.clone(),
                hold,
                since: taken_at(incident, hold),
                incident: incident.id,
                phase: incident.phase.name(),
                wake_at: incident.wake_at,
                driven: is_driven(incident),
                confirmed: shown == Some(true),
                by_hand: by_hand(incident, hold),
            });
        }
    }
    // Of two records of one node the newer one knows more.
    found.sort_by(|one, other| {
        (one.node, one.hold).cmp(&(other.node, other.hold)).then_with(|| other.incident.cmp(&one.incident))
    });
    found.dedup_by(|later, kept| (later.node, later.hold) == (kept.node, kept.hold));
    found
}

/// When an incident took something, as its history tells; what nobody knows the end of counts as taken.
fn taken_at(incident: &Incident, hold: Hold) -> Option<Timestamp> {
    let taken = hold.taken_by();
    incident.history.iter().rev().find_map(|entry| match &entry.event {
        Event::Done(effect) | Event::Burned(effect) if *effect == taken => Some(entry.at),
        _ => None,
    })
}

fn by_hand(incident: &Incident, hold: Hold) -> String {
    let (node, region) = (incident.node, &incident.place.region);
    // A name that a shell would read as something else is left for the reader to fill in.
    let plain = |name: &&str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let group = || incident.place.group.as_ref().map(AutoScalingGroupName::as_str).filter(plain).unwrap_or("GROUP");
    match hold {
        Hold::Stopped => format!("aws ec2 start-instances --region {region} --instance-ids {node}"),
        Hold::Standby => {
            format!(
                "aws autoscaling exit-standby --region {region} --instance-ids {node} --auto-scaling-group-name {}",
                group()
            )
        }
        Hold::Draining => {
            let (cluster, arn) = match &incident.place.container_instance {
                Some((cluster, arn)) => (cluster.name(), arn.id()),
                None => ("CLUSTER", "CONTAINER_INSTANCE"),
            };
            format!(
                "aws ecs update-container-instances-state --region {region} --cluster {cluster} --container-instances {arn} --status ACTIVE"
            )
        }
    }
}

/// Container instances without an instance, as a sweep finds them, and instances without their container instance, among what was seen.
///
/// `incidents` only tell whose doing it was, and whether somebody is at it. A node of which something could not be read is none:
/// unknown is not gone.
#[must_use]
pub fn left_over<'a>(
    ghosts: &[Ghost],
    sightings: &[Sighting],
    incidents: impl IntoIterator<Item = &'a Incident>,
) -> Vec<LeftOver> {
    let incidents: Vec<&Incident> = incidents.into_iter().collect();
    let gone = ghosts.iter().map(|ghost| {
        (ghost.node, &ghost.cluster, &ghost.container_instance, LeftOverReason::InstanceGone, ghost.removal())
    });
    let deregistered = sightings.iter().filter(|sighting| sighting.is_deregistered()).filter_map(|sighting| {
        let (cluster, arn) = sighting.container_instance.as_ref()?;
        let node = sighting.node;
        let by_hand =
            format!("restart its ECS agent once /var/lib/ecs/data/agent.db is moved aside, or replace {node}");
        Some((node, cluster, arn, LeftOverReason::Deregistered, by_hand))
    });
    let found = gone.chain(deregistered).map(|(node, cluster, container_instance, why, by_hand)| {
        let own = || incidents.iter().filter(|incident| incident.node == node);
        let ended = |incident: &&&Incident| {
            let terminated = |event: &Event| matches!(event, Event::Done(Effect::Terminate | Effect::Deregister));
            incident.history.iter().any(|entry| terminated(&entry.event))
        };
        LeftOver {
            node,
            cluster: cluster.clone(),
            container_instance: container_instance.clone(),
            why,
            incident: own().filter(ended).map(|incident| incident.id).max(),
            driven: own().any(|incident| is_driven(incident)),
            by_hand,
        }
    });
    let mut found: Vec<LeftOver> = found.collect();
    found.sort_by_key(|left| left.node);
    found
}

/// Whether a working function goes on with an incident by itself.
fn is_driven(incident: &Incident) -> bool {
    !matches!(incident.phase, Phase::Resting { .. } | Phase::Closed { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Symptom;
    use crate::observe::Blind;
    use crate::observe::samples::{home, noon, seen, swept_ssm};
    use crate::time::after;

    /// An incident that has drained, set aside and stopped its node.
    fn taken() -> Incident {
        let node = seen(noon()).in_cluster().in_group();
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        let mut incident = Incident::open(&home(), &node, symptom, noon(), noon());
        (incident.holds.draining, incident.holds.standby, incident.holds.stopped) = (true, true, true);
        for (secs, effect) in [(60, Effect::Drain), (120, Effect::EnterStandby), (180, Effect::Stop)] {
            incident.note(after(noon(), secs), Event::Done(effect));
        }
        incident
    }

    fn sighting(incident: &Incident) -> Sighting {
        Sighting {
            node: incident.node,
            state: Fact::Known(InstanceState::Stopped),
            lifecycle: Fact::Known(Lifecycle::Standby),
            ecs: Fact::Known(EcsStatus::Draining),
            container_instance: incident.place.container_instance.clone(),
        }
    }

    fn holds(held: &[Held]) -> Vec<Hold> {
        held.iter().map(|held| held.hold).collect()
    }

    #[test]
    fn what_was_taken_is_listed_in_the_order_in_which_it_is_given_back() {
        let incident = taken();
        let listed = held([&incident], &[sighting(&incident)]);
        assert_eq!(holds(&listed), [Hold::Stopped, Hold::Standby, Hold::Draining]);
        assert!(listed.iter().all(|held| held.confirmed && held.driven && held.incident == incident.id));
        let since: Vec<_> = listed.iter().map(|held| held.since).collect();
        assert_eq!(since, [180, 120, 60].map(|secs| Some(after(noon(), secs))));
        assert!(listed[0].to_string().contains("is stopped since 2026-11-20 12:03:00 UTC, by inc-"), "{}", listed[0]);
    }

    #[test]
    fn what_aws_shows_as_given_back_is_not_listed_and_what_it_hides_is() {
        let incident = taken();
        let mut shown = sighting(&incident);
        (shown.state, shown.lifecycle) = (Fact::Known(InstanceState::Running), Fact::Unknown(Blind::Throttled));
        shown.ecs = Fact::Absent;
        let listed = held([&incident], &[shown]);
        assert_eq!(holds(&listed), [Hold::Standby], "unknown is not given back");
        assert!(!listed[0].confirmed && listed[0].to_string().ends_with("; AWS could not be asked"));
        assert_eq!(held([&incident], &[]).len(), 3, "nothing was read");
    }

    #[test]
    fn others_drain_and_stop_too_and_are_not_listed() {
        let mut incident = taken();
        let shown = sighting(&incident);
        incident.holds = super::super::Holds::default();
        assert_eq!(held([&incident], std::slice::from_ref(&shown)), []);
        assert_eq!(held([], &[shown]), []);
    }

    #[test]
    fn of_two_records_of_a_node_the_newer_one_is_named() {
        let older = taken();
        let mut newer = taken();
        newer.id = IncidentId::new(after(noon(), 3_600), newer.node);
        for order in [[&older, &newer], [&newer, &older]] {
            let listed = held(order, &[]);
            assert!(listed.len() == 3 && listed.iter().all(|held| held.incident == newer.id));
        }
    }

    #[test]
    fn what_was_about_to_be_taken_is_said_to_be_doubtful() {
        let mut incident = taken();
        incident.history = std::sync::Arc::default();
        let listed = held([&incident], &[]);
        assert!(listed[0].since.is_none() && listed[0].to_string().contains("is stopped, or was about to be, by"));
    }

    /// The container instance of a node, as a sweep finds it once the instance is gone.
    fn ghost(incident: &Incident) -> Ghost {
        let (cluster, container_instance) = incident.place.container_instance.clone().unwrap();
        Ghost { node: incident.node, cluster, container_instance }
    }

    #[test]
    fn a_ghost_is_left_over_whether_or_not_a_record_knows_its_node() {
        let mut incident = taken();
        let ghost = ghost(&incident);
        let of = |incidents: &[&Incident]| {
            let found = left_over(std::slice::from_ref(&ghost), &[], incidents.iter().copied());
            assert_eq!(found.iter().map(|left| left.why).collect::<Vec<_>>(), [LeftOverReason::InstanceGone]);
            found.into_iter().next().unwrap()
        };
        let strange = of(&[]);
        assert_eq!((strange.incident, strange.driven), (None, false));
        assert!(strange.by_hand.starts_with("aws ecs deregister-container-instance --region us-east-1 --cluster "));
        assert_eq!(
            (of(&[&incident]).incident, of(&[&incident]).driven),
            (None, true),
            "nothing says that it was Defib"
        );
        incident.note(noon(), Event::Done(Effect::Terminate));
        assert_eq!(of(&[&incident]).incident, Some(incident.id));
        incident.phase = Phase::Closed { ending: crate::incident::Ending::TooLong, at: noon() };
        assert_eq!((of(&[&incident]).incident, of(&[&incident]).driven), (Some(incident.id), false), "nobody is at it");
        let mut other = taken();
        other.node = NodeId::numbered(77);
        assert!(!of(&[&other]).driven, "of another node");
    }

    #[test]
    fn an_instance_that_runs_without_its_registration_is_left_over() {
        let at = |state, ecs| left_over(&[], &[Sighting { state, ecs, ..sighting(&taken()) }], []);
        let (running, inactive) = (Fact::Known(InstanceState::Running), Fact::Known(EcsStatus::Inactive));
        let found = at(running.clone(), inactive.clone());
        assert_eq!(found.iter().map(|left| left.why).collect::<Vec<_>>(), [LeftOverReason::Deregistered]);
        for (state, ecs) in [
            (Fact::Unknown(Blind::Denied), inactive.clone()),
            (Fact::Absent, inactive.clone()),
            (Fact::Known(InstanceState::Terminated), inactive),
            (running.clone(), Fact::Known(EcsStatus::Active)),
            (running.clone(), Fact::Absent),
            (running, Fact::Unknown(Blind::Denied)),
        ] {
            assert_eq!(at(state, ecs), []);
        }
    }
}
