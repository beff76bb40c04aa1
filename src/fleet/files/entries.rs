//! The parts of a world file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{WorldError, impossible};
use crate::fleet::machines::understood;
use crate::node::{AutoScalingGroupName, ContainerInstanceArn, Home, NodeId, ResourceName};
use crate::observe::{Factor, Manager, Platform, StopGates};
use crate::sim::machine::MachineSpec;

/// A machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent property")]
pub(super) struct InstanceEntry {
    pub(super) id: Option<NodeId>,
    /// This many of the kind.
    pub(super) count: Option<usize>,
    #[serde(default)]
    pub(super) hybrid: bool,
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    /// The letter of the zone, or its whole name.
    pub(super) zone: Option<String>,
    pub(super) cluster: Option<String>,
    pub(super) container_instance: Option<ContainerInstanceArn>,
    pub(super) group: Option<AutoScalingGroupName>,
    #[serde(default)]
    pub(super) platform: Platform,
    pub(super) manager: Option<Manager>,
    #[serde(default)]
    pub(super) spot: bool,
    #[serde(default)]
    pub(super) stop_protected: bool,
    #[serde(default)]
    pub(super) termination_protected: bool,
    #[serde(default)]
    pub(super) instance_store_root: bool,
    #[serde(default)]
    pub(super) instance_store_data: bool,
    #[serde(default)]
    pub(super) public_address_changes: bool,
    #[serde(default)]
    pub(super) elastic_address: bool,
    #[serde(default)]
    pub(super) volume_key: bool,
    #[serde(default)]
    pub(super) stop_denied: bool,
    #[serde(default)]
    pub(super) start_denied: bool,
    pub(super) instance_type: Option<String>,
    pub(super) subnet: Option<ResourceName>,
    pub(super) image: Option<ResourceName>,
    pub(super) role: Option<ResourceName>,
    pub(super) tasks: Option<u32>,
    pub(super) tasks_stop_secs: Option<i64>,
    #[serde(default)]
    pub(super) standalone: u32,
    #[serde(default)]
    pub(super) protected: u32,
    pub(super) age_secs: Option<i64>,
    #[serde(default)]
    pub(super) sessions: u16,
    pub(super) fault: Option<String>,
    #[serde(default)]
    pub(super) since_secs: i64,
    pub(super) lasts_secs: Option<i64>,
}

/// A fault that begins, or ends.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultEntry {
    pub(super) instance: NodeId,
    /// None: somebody repairs what is wrong.
    pub(super) fault: Option<String>,
    #[serde(default)]
    pub(super) since_secs: i64,
    pub(super) lasts_secs: Option<i64>,
}

/// An Auto Scaling group; it exists by its members.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupEntry {
    pub(super) name: AutoScalingGroupName,
    pub(super) min: Option<u32>,
    pub(super) max: Option<u32>,
    pub(super) desired: Option<u32>,
    pub(super) ec2_health_only: Option<bool>,
    pub(super) suspended: Option<bool>,
    pub(super) refreshing: Option<bool>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

/// An ECS cluster; it exists by its container instances.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterEntry {
    pub(super) name: String,
    pub(super) minimum_percent: Option<u32>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

/// Tags that replace those of a machine.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagEntry {
    pub(super) instance: NodeId,
    pub(super) tags: BTreeMap<String, String>,
}

/// A window in which a change calendar is closed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Closed {
    /// From so many seconds from now on; negative ones lie back.
    #[serde(default)]
    pub(super) from_secs: i64,
    pub(super) secs: i64,
}

impl InstanceEntry {
    /// What a machine of the entry is made of; `number` counts from 0.
    pub(super) fn spec(&self, number: usize, count: usize, home: &Home) -> Result<MachineSpec, WorldError> {
        if count > 1 && (self.id.is_some() || self.container_instance.is_some()) {
            return Err(impossible("an id and a container instance belong to one machine, so count must be 1"));
        }
        let mut spec = match (&self.container_instance, &self.cluster) {
            (Some(arn), _) => MachineSpec::new().registered_as(arn.clone(), None),
            (None, Some(cluster)) => MachineSpec::new().in_cluster(cluster),
            (None, None) => MachineSpec::new(),
        };
        if let (Some(_), Some(cluster)) = (&self.container_instance, &self.cluster) {
            spec.cluster = Some(cluster.clone());
        }
        spec.id = self.id;
        spec.hybrid = self.hybrid || self.id.is_some_and(|id| !id.is_instance());
        let name = self.name.clone().or_else(|| self.tags.get("Name").cloned());
        if let Some(name) = name {
            let name = if count > 1 { format!("{name}-{}", number + 1) } else { name };
            spec.name = Some(name.parse().map_err(|_| impossible("a name is 1 to 255 printable characters"))?);
        }
        if let Some(zone) = &self.zone {
            let mut letters = zone.chars();
            match (letters.next(), letters.next()) {
                (Some(letter), None) if letter.is_ascii_lowercase() => spec.zone = letter,
                _ if zone.starts_with(home.region.as_str()) => {
                    spec.zone_named = Some(zone.parse().map_err(|_| impossible("zone is no Availability Zone"))?);
                    spec.zone = zone.chars().next_back().unwrap_or('a');
                }
                _ => {
                    return Err(impossible(format!("zone {zone:?} is neither a letter nor a zone of {}", home.region)));
                }
            }
        }
        spec.group.clone_from(&self.group);
        (spec.platform, spec.manager) = (self.platform, self.manager);
        spec.tags = understood(&self.tags);
        spec.stop = StopGates {
            instance_store_root: self.instance_store_root,
            instance_store_data: self.instance_store_data,
            spot: self.spot,
            stop_protected: self.stop_protected,
            public_address_changes: self.public_address_changes,
            elastic_address: self.elastic_address,
            volume_key: self.volume_key,
            stop_denied: self.stop_denied,
            start_denied: self.start_denied,
        };
        let shares = [
            self.subnet.clone().map(Factor::Subnet),
            self.role.clone().map(Factor::Role),
            self.image.clone().map(Factor::Image),
        ];
        spec.shares = shares.into_iter().flatten().collect();
        if let Some(tasks) = self.tasks {
            spec.tasks = tasks;
        }
        spec.tasks_stop_secs = self.tasks_stop_secs;
        (spec.standalone, spec.protected, spec.sessions) = (self.standalone, self.protected, self.sessions);
        Ok(spec)
    }
}
