//! EC2: the volumes of instances, and the keys that they are encrypted under.

use serde_json::{Value, json};

use super::{digits, dry_run, filter, millis, paged};
use crate::fleet::error::AwsError;
use crate::fleet::input::{Form, shown};
use crate::fleet::{Answered, Fleet};
use crate::observe::InstanceState;
use crate::sim::machine::Machine;

impl Fleet {
    /// `DescribeVolumes`, of the volumes that are asked for or of all: the root volume of each instance that has one.
    pub(super) fn describe_volumes(&self, form: &Form) -> Answered {
        let asked = form.list("VolumeId");
        dry_run(form)?;
        let read = filter::read(form)?;
        if let Some(filter) = read.all().first() {
            return Err(filter.unknown());
        }
        let machines = || self.world.machines.iter().filter(|machine| has_volume(machine));
        for id in &asked {
            if !machines().any(|machine| volume_id(machine) == *id) {
                let message = format!("The volume '{}' does not exist.", shown(id));
                return Err(AwsError::new("InvalidVolume.NotFound", message));
            }
        }
        let wanted = machines().filter(|machine| asked.is_empty() || asked.contains(&volume_id(machine).as_str()));
        let found: Vec<Value> = wanted.map(|machine| self.volume(machine)).collect();
        let (page, next) = paged(found, form)?;
        Ok(json!({ "volumeSet": page, "nextToken": next }))
    }

    fn volume(&self, machine: &Machine) -> Value {
        let encrypted = machine.spec.stop.volume_key;
        let key = encrypted.then(|| {
            let home = &self.world.home;
            let account = home.account;
            format!("arn:aws:kms:{}:{account}:key/0d5b11c0-0000-4000-8000-{}", home.region, digits(machine.id, 7, 12))
        });
        json!({
            "volumeId": volume_id(machine),
            "size": 8,
            "snapshotId": "",
            "availabilityZone": machine.zone,
            "status": "in-use",
            "createTime": millis(machine.launched_at),
            "volumeType": "gp3",
            "encrypted": encrypted,
            "kmsKeyId": key,
            "multiAttachEnabled": false,
            "attachmentSet": [{
                "volumeId": volume_id(machine), "instanceId": machine.id, "device": "/dev/xvda", "status": "attached",
                "attachTime": millis(machine.launched_at), "deleteOnTermination": true,
            }],
        })
    }
}

/// Whether an instance has its root on a volume.
fn has_volume(machine: &Machine) -> bool {
    machine.id.is_instance() && !machine.spec.stop.instance_store_root && machine.state != InstanceState::Terminated
}

/// The root volume's id.
pub(super) fn volume_id(machine: &Machine) -> String {
    format!("vol-{}", digits(machine.id, 6, 17))
}
