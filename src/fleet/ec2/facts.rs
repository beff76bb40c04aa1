//! What is fixed about an instance: its attributes, and its type.

use serde_json::{Value, json};

use super::{dry_run, root_device};
use crate::fleet::error::AwsError;
use crate::fleet::input::{Form, shown};
use crate::fleet::{Answered, Fleet};

impl Fleet {
    /// `DescribeInstanceAttribute`.
    pub(super) fn describe_instance_attribute(&self, form: &Form) -> Answered {
        let machine = self.need_instance(form)?;
        let attribute = form.need_text("Attribute")?;
        dry_run(form)?;
        let termination = self.extras.get(&machine.id).is_some_and(|extra| extra.termination_protected);
        let value = match attribute {
            "disableApiStop" => json!({ "value": machine.spec.stop.stop_protected }),
            "disableApiTermination" => json!({ "value": termination }),
            "instanceInitiatedShutdownBehavior" => {
                // An instance store cannot be stopped, so a shutdown terminates it.
                json!({ "value": if root_device(machine) == "ebs" { "stop" } else { "terminate" } })
            }
            "instanceType" => json!({ "value": self.instance_type(machine) }),
            "rootDeviceName" => json!({ "value": "/dev/xvda" }),
            "ebsOptimized" | "sourceDestCheck" | "enaSupport" => json!({ "value": true }),
            "userData" => json!({}),
            _ => {
                return Err(AwsError::new(
                    "InvalidParameterValue",
                    format!("Value ({}) for parameter attribute is invalid. Unknown attribute.", shown(attribute)),
                ));
            }
        };
        Ok(json!({ "instanceId": machine.id, attribute: value }))
    }

    /// `DescribeInstanceTypes` of the types that are asked for; without any, of those in the account.
    pub(super) fn describe_instance_types(&self, form: &Form) -> Answered {
        dry_run(form)?;
        let mut types: Vec<String> = form.list("InstanceType").into_iter().map(str::to_owned).collect();
        let bad: Vec<&str> = types.iter().filter(|name| !looks_like_a_type(name)).map(String::as_str).collect();
        if !bad.is_empty() {
            let message = format!("The following supplied instance types do not exist: [{}]", shown(&bad.join(", ")));
            return Err(AwsError::new("InvalidInstanceType", message));
        }
        if types.is_empty() {
            types = self.world.machines.iter().map(|machine| self.instance_type(machine)).collect();
        }
        types.sort();
        types.dedup();
        let found: Vec<Value> = types.iter().map(|name| described(name)).collect();
        Ok(json!({ "instanceTypeSet": found }))
    }
}

fn described(name: &str) -> Value {
    let (family, size) = name.split_once('.').unwrap_or((name, ""));
    let disks = has_disks(family);
    let metal = size.starts_with("metal");
    let storage = disks.then(|| json!({ "totalSizeInGB": 118, "nvmeSupport": "required" }));
    json!({
        "instanceType": name,
        "currentGeneration": true,
        "freeTierEligible": false,
        "supportedUsageClasses": ["on-demand", "spot"],
        "supportedRootDeviceTypes": ["ebs"],
        "supportedVirtualizationTypes": ["hvm"],
        "bareMetal": metal,
        "hypervisor": (!metal).then_some("nitro"),
        "processorInfo": { "supportedArchitectures": ["arm64"] },
        "vCpuInfo": { "defaultVCpus": 2, "defaultCores": 2, "defaultThreadsPerCore": 1 },
        "memoryInfo": { "sizeInMiB": 8192 },
        "instanceStorageSupported": disks,
        "instanceStorageInfo": storage,
        "hibernationSupported": false,
        "burstablePerformanceSupported": family.starts_with('t'),
        "dedicatedHostsSupported": true,
        "autoRecoverySupported": !disks && !metal,
    })
}

fn looks_like_a_type(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    name.split_once('.').is_some_and(|(family, size)| plain(family) && plain(size))
}

/// Whether a family has disks of its own: a `d` behind the generation says so, and some older families always do.
fn has_disks(family: &str) -> bool {
    let generation = family.find(|c: char| c.is_ascii_digit()).unwrap_or(family.len());
    let (letters, rest) = family.split_at(generation);
    rest.contains('d')
        || matches!(letters, "i" | "im" | "is" | "d" | "h" | "x" | "f")
        || matches!(family, "m1" | "m2" | "m3" | "c1" | "c3" | "r3" | "g2" | "hs1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_with_disks_are_told_by_their_name() {
        for family in ["m6gd", "c5d", "r5ad", "i3", "i4i", "m3", "d3en", "z1d", "g4dn"] {
            assert!(has_disks(family), "{family}");
        }
        for family in ["m7g", "t4g", "c6in", "r7iz", "m5"] {
            assert!(!has_disks(family), "{family}");
        }
    }
}
