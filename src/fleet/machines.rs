//! What AWS knows of a machine beside its health: tags in full, names of the resources around it, addresses.
//!
//! What nobody gave is made up from the machine's id, always the same.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Fleet, mixed};
use crate::node::NodeId;
use crate::observe::{Factor, InstanceState, Manager, Platform, Tags};
use crate::policy::Mode;
use crate::sim::ailment::Ailment;
use crate::sim::machine::{Machine, Secs};

/// A terminated instance stays visible for about an hour.
pub(super) const TERMINATED_VISIBLE_SECS: Secs = 3_600;

/// What a world file may say of a machine and the world has no use for.
#[derive(Debug, Clone, Default)]
pub(super) struct Extra {
    /// Every tag, as it was given.
    pub tags: BTreeMap<String, String>,
    pub instance_type: Option<String>,
    pub termination_protected: bool,
}

/// Tags as AWS lists them, made from what the world knows.
pub(super) fn spelled(tags: Tags) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    if tags.managed {
        all.insert("defib:managed".to_owned(), "true".to_owned());
    }
    if let Some(mode) = tags.mode {
        all.insert("defib:mode".to_owned(), mode.to_string());
    }
    if let Some(until) = tags.mute_until {
        all.insert("defib:mute-until".to_owned(), until.to_string());
    }
    all
}

/// What Defib's tags among all tags of a resource say to the world. An unreadable mode counts as `off`.
pub(super) fn understood(tags: &BTreeMap<String, String>) -> Tags {
    Tags {
        managed: tags.get("defib:managed").is_some_and(|value| value.trim() == "true"),
        mode: tags.get("defib:mode").map(|value| value.trim().parse().unwrap_or(Mode::Off)),
        mute_until: tags.get("defib:mute-until").and_then(|value| value.trim().parse().ok()),
    }
}

impl Fleet {
    pub(super) fn machine(&self, node: NodeId) -> Option<&Machine> {
        self.world.index(node).and_then(|index| self.world.machines.get(index))
    }

    /// The fault at work on a machine.
    pub(super) fn ailment(machine: &Machine) -> Option<Ailment> {
        machine.illness.as_ref().map(|ill| ill.ailment)
    }

    /// Whether EC2 still shows an instance.
    pub(super) fn ec2_shows(&self, machine: &Machine) -> bool {
        let now = self.world.now;
        let long_gone =
            machine.state == InstanceState::Terminated && now - machine.state_since > TERMINATED_VISIBLE_SECS;
        machine.id.is_instance() && !long_gone
    }

    /// Every tag of a machine, the ones that AWS puts there included.
    pub(super) fn tags_of(&self, machine: &Machine) -> BTreeMap<String, String> {
        // A machine that its group launched has what the one before it had.
        let mut tags = match self.extras.get(&machine.id) {
            Some(extra) => extra.tags.clone(),
            None => spelled(machine.tags),
        };
        if let Some(name) = &machine.spec.name {
            tags.entry("Name".to_owned()).or_insert_with(|| name.to_string());
        }
        if let Some(fleet) = machine.member.as_ref().and_then(|member| self.world.fleets.get(member.group)) {
            tags.insert("aws:autoscaling:groupName".to_owned(), fleet.name.to_string());
        }
        match machine.spec.manager {
            Some(Manager::Eks) => {
                tags.entry("eks:nodegroup-name".to_owned()).or_insert_with(|| "workers".to_owned());
            }
            Some(Manager::Karpenter) => {
                tags.entry("karpenter.sh/nodepool".to_owned()).or_insert_with(|| "default".to_owned());
            }
            Some(Manager::Provider | Manager::EcsManagedInstances) | None => {}
        }
        tags
    }

    /// The service that operates an instance, for `Operator`.
    pub(super) fn operator(machine: &Machine) -> Option<&'static str> {
        match machine.spec.manager? {
            Manager::Provider => Some("lambda.amazonaws.com"),
            Manager::EcsManagedInstances => Some("ecs.amazonaws.com"),
            Manager::Eks | Manager::Karpenter => None,
        }
    }

    pub(super) fn instance_type(&self, machine: &Machine) -> String {
        let given = self.extras.get(&machine.id).and_then(|extra| extra.instance_type.clone());
        given.unwrap_or_else(|| {
            let gates = machine.spec.stop;
            let made_up = if gates.instance_store_root {
                "m3.medium"
            } else if gates.instance_store_data {
                "m6gd.large"
            } else {
                "m7g.large"
            };
            made_up.to_owned()
        })
    }

    /// The instance profile's role; none where the fault is that there is none.
    pub(super) fn role(machine: &Machine) -> Option<String> {
        let none = matches!(
            Self::ailment(machine),
            Some(Ailment::IdentityNoInstanceProfile | Ailment::IdentityDefaultHostManagement)
        );
        let shared = shared(machine, |factor| matches!(factor, Factor::Role(_)));
        (!none).then(|| shared.unwrap_or_else(|| "node-role".to_owned()))
    }

    pub(super) fn subnet(machine: &Machine) -> String {
        shared(machine, |factor| matches!(factor, Factor::Subnet(_))).unwrap_or_else(|| {
            let letter = machine.zone.as_ref().and_then(|zone| zone.as_str().bytes().next_back()).unwrap_or(b'a');
            format!("subnet-0d5b11c0de0000{letter:03x}")
        })
    }

    pub(super) fn image(machine: &Machine) -> String {
        shared(machine, |factor| matches!(factor, Factor::Image(_)))
            .unwrap_or_else(|| "ami-0d5b11c0de0000001".to_owned())
    }

    /// A private address, made up from the id.
    pub(super) fn private_address(machine: &Machine) -> String {
        let [.., a, b] = machine.id.value().to_be_bytes();
        format!("10.0.{a}.{b}")
    }

    /// `PlatformType`, `PlatformName` and `PlatformVersion` of Systems Manager.
    pub(super) fn platform(machine: &Machine) -> (&'static str, &'static str, &'static str) {
        match machine.spec.platform {
            Platform::Linux => ("Linux", "Amazon Linux", "2023"),
            Platform::Snap => ("Linux", "Ubuntu", "24.04"),
            Platform::Windows => ("Windows", "Microsoft Windows Server 2022 Datacenter", "10.0.20348"),
            Platform::Bottlerocket => ("Linux", "Bottlerocket", "1.26.1"),
        }
    }

    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        let home = &self.world.home;
        format!("arn:{}:{service}:{}:{}:{resource}", home.region.partition(), home.region, home.account)
    }

    /// An ARN without a region.
    pub(super) fn global_arn(&self, service: &str, resource: &str) -> String {
        let home = &self.world.home;
        format!("arn:{}:{service}::{}:{resource}", home.region.partition(), home.account)
    }
}

/// Something that the machine's spec says that it shares.
fn shared(machine: &Machine, is: impl Fn(&Factor) -> bool) -> Option<String> {
    machine.spec.shares.iter().find(|factor| is(factor)).map(|factor| factor.id().to_owned())
}

/// Tags as a list of pairs under the names that a service uses.
pub(super) fn listed(tags: &BTreeMap<String, String>, key: &str, value: &str) -> Vec<Value> {
    tags.iter().map(|(k, v)| json!({ key: k, value: v })).collect()
}

/// A digit text made up from an id, for resource ids that nobody gave.
pub(super) fn digits(node: NodeId, salt: u128, length: usize) -> String {
    let text = format!("{:032x}", mixed(node.value(), salt));
    text.get(32 - length.min(32)..).unwrap_or_default().to_owned()
}
