//! What the process remembers between two looks, because it changes slowly or costs many calls to find out.
//!
//! A warm function keeps it; a cold one begins without. Nothing in here is older than its reader allows, and nothing that an
//! effect may change outlives that effect.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::types::Instance;
use jiff::Timestamp;

use super::observe::asg::Seen as Members;
use super::observe::census::Census;
use super::observe::rehearsal::Rehearsal;
use super::observe::ssm::Row as SsmRow;
use super::observe::vpc::Around;
use crate::diagnose::identity::{HostManagement, Profile, Role};
use crate::diagnose::path::VpcId;
use crate::effect::{Effect, Target};
use crate::node::{AutoScalingGroupName, ClusterArn, CommandId, ContainerInstanceArn, DocumentName, NodeId};
use crate::observe::{
    Busy, Calendar, Connection, Ecs, Fact, Findings, InvocationStatus, Probe, RepairEnd, Sessions, StatusChecks, Tags,
    Workload,
};
use crate::time::secs_between;

/// Where a node is, and what of it hardly changes, holds for so long, in seconds.
pub(super) const PLACE_SECS: i64 = 300;
/// What AWS itself enforces when an instance is stopped or started, and we ask only to spare it a drain in vain, holds for so long, in
/// seconds: as long as a drain and Standby may take.
pub(super) const GATES_SECS: i64 = 900;
/// What a rail is judged by holds for so long, in seconds: less than the 90 s of S3, with the time an effect may take.
pub(super) const AROUND_SECS: i64 = 60;
/// A census holds for so long where nothing is decided by it, in seconds: from one sweep to the next, and a minute.
pub(super) const CENSUS_SECS: i64 = 360;
/// Entries of one kind; where there are more, all are forgotten.
const KEPT_MAX: usize = 10_000;

/// One kind of thing, with the moment at which it was read.
#[derive(Debug)]
pub(super) struct Kept<K, V>(Mutex<BTreeMap<K, (Timestamp, V)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord, V: Clone> Kept<K, V> {
    /// What was read at most so many seconds ago.
    pub(super) fn get(&self, key: &K, now: Timestamp, secs: i64) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(at, _)| secs_between(*at, now) <= secs).map(|(_, value)| value.clone())
    }

    /// The same, with the moment at which it was read.
    pub(super) fn dated(&self, key: &K, now: Timestamp, secs: i64) -> Option<(Timestamp, V)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(at, _)| secs_between(*at, now) <= secs).cloned()
    }

    /// What was read at any time.
    pub(super) fn ever(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).map(|(_, value)| value.clone())
    }

    /// Keeps what was read.
    pub(super) fn put(&self, key: K, now: Timestamp, value: V) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now, value));
    }

    /// It may have changed.
    pub(super) fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// A console output.
#[derive(Debug, Clone)]
pub(super) struct Console {
    /// Its newest part, as the instance printed it.
    pub text: Arc<str>,
    /// What it says.
    pub findings: Findings,
}

/// Everything that the process remembers.
#[derive(Debug, Default)]
pub(super) struct Cache {
    /// A node's container instance; none where it was searched for and is not there.
    pub places: Kept<NodeId, Option<(ClusterArn, ContainerInstanceArn)>>,
    /// A cluster's tags.
    pub clusters: Kept<ClusterArn, Tags>,
    /// An Auto Scaling group and its members; none where there is no such group.
    pub groups: Kept<AutoScalingGroupName, Option<Arc<Members>>>,
    /// Whether an instance refresh runs.
    pub refreshes: Kept<AutoScalingGroupName, bool>,
    /// `DisableApiStop`.
    pub stop_protected: Kept<NodeId, bool>,
    /// Whether a volume of it is encrypted under a key that the stack does not name.
    pub volume_keys: Kept<NodeId, bool>,
    /// Whether AWS would accept a stop and a start, by `DryRun`.
    pub rehearsals: Kept<(NodeId, Rehearsal), (bool, bool)>,
    /// Instances in trouble: for the look that follows a probe, and from the census that a look or a sweep has just taken.
    pub instances: Kept<NodeId, Instance>,
    /// Their container instances, for the same.
    pub container_instances: Kept<NodeId, Ecs>,
    /// Instances that are terminated.
    pub over: Kept<NodeId, Instance>,
    /// Status checks, which lag behind by minutes anyway.
    pub checks: Kept<NodeId, StatusChecks>,
    /// Whether an instance type has instance storage. It never changes.
    pub storage: Kept<String, bool>,
    /// Instance profiles with their roles; none where there is no such profile.
    pub profiles: Kept<String, Option<Profile>>,
    /// Roles by their names.
    pub roles: Kept<String, Role>,
    /// Default Host Management of the account and region.
    pub host_management: Kept<(), Fact<HostManagement>>,
    /// What surrounds the instances of a VPC.
    pub surroundings: Kept<VpcId, Arc<Around>>,
    /// Live sessions.
    pub sessions: Kept<NodeId, Sessions>,
    /// Somebody else's work.
    pub busy: Kept<NodeId, Busy>,
    /// The tasks on a container instance.
    pub workloads: Kept<ContainerInstanceArn, Workload>,
    /// Console outputs.
    pub consoles: Kept<NodeId, Console>,
    /// What hosts last answered to a probe, as they printed it.
    pub probe_texts: Kept<NodeId, (CommandId, Arc<str>)>,
    /// Change calendars.
    pub calendars: Kept<DocumentName, Fact<Calendar>>,
    /// Who is connected, for the rest of one look.
    pub connections: Kept<NodeId, Connection>,
    /// Systems Manager's rows.
    pub rows: Kept<NodeId, SsmRow>,
    /// Tags of managed nodes.
    pub managed: Kept<NodeId, Tags>,
    /// Invocations that have ended. They never change.
    pub ended: Kept<(CommandId, NodeId), InvocationStatus>,
    /// Probes that have ended. They never change.
    pub probes: Kept<CommandId, Probe>,
    /// Probes that are on their way, for the rest of one look.
    pub pending: Kept<CommandId, Probe>,
    /// Repairs that have ended. They never change.
    pub repairs: Kept<CommandId, RepairEnd>,
    /// Commands that this process sent, and when.
    pub sent: Kept<CommandId, Timestamp>,
    /// Commands whose bad end a sweep told.
    pub told: Kept<(CommandId, NodeId), ()>,
    census: Mutex<Option<Arc<Census>>>,
}

impl Cache {
    /// A census that is at most so many seconds old.
    pub(super) fn census(&self, now: Timestamp, secs: i64) -> Option<Arc<Census>> {
        let census = self.census.lock().unwrap_or_else(PoisonError::into_inner);
        census.clone().filter(|census| secs_between(census.at, now) <= secs)
    }

    /// Keeps a census.
    pub(super) fn keep_census(&self, census: Arc<Census>) {
        *self.census.lock().unwrap_or_else(PoisonError::into_inner) = Some(census);
    }

    /// Something was done to a node, or may have been: what it changes is read anew.
    ///
    /// The row of Systems Manager stays: it says when the agent pinged last, and whoever waits for a later ping asks again.
    pub(super) fn touched(&self, effect: Effect, target: &Target) {
        let node = target.node;
        self.instances.forget(&node);
        self.container_instances.forget(&node);
        if let Some((_, arn)) = &target.container_instance {
            self.workloads.forget(arn);
        }
        let (of_group, of_host) = match effect {
            // The probe changes nothing, and a drain only the container instance.
            Effect::Probe | Effect::Drain | Effect::Activate => (false, false),
            Effect::EnterStandby | Effect::ExitStandby => (true, false),
            Effect::Terminate | Effect::Deregister | Effect::Reboot | Effect::Stop | Effect::Start => (true, true),
            Effect::FreeDisk | Effect::RestartSsmAgent | Effect::RestartEcsAgent | Effect::RestartRuntime => {
                (false, true)
            }
        };
        if let Some(group) = target.group.as_ref().filter(|_| of_group) {
            self.groups.forget(group);
        }
        if of_host {
            // Whoever was in no cluster is in none afterwards.
            if self.places.ever(&node).flatten().is_some() {
                self.places.forget(&node);
            }
            self.sessions.forget(&node);
            self.busy.forget(&node);
            self.consoles.forget(&node);
            self.checks.forget(&node);
            self.rehearsals.forget(&(node, Rehearsal::Start));
            self.rehearsals.forget(&(node, Rehearsal::Both));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::after;

    #[test]
    fn what_is_kept_holds_as_long_as_its_reader_allows() {
        let (kept, at) = (Kept::default(), Timestamp::UNIX_EPOCH);
        kept.put(1, at, "one");
        assert_eq!(kept.get(&1, after(at, 60), 60), Some("one"));
        assert_eq!(kept.get(&1, after(at, 61), 60), None);
        assert_eq!(kept.ever(&1), Some("one"));
        kept.forget(&1);
        assert_eq!(kept.ever(&1), None);
    }
}
