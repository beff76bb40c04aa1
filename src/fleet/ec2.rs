//! EC2: instances, their status checks, their console, and what starts and stops them.

use serde_json::{Value, json};

use super::error::AwsError;
use super::input::{Form, shown};
use super::machines::{digits, listed};
use super::page;
use super::{Answered, Fleet};
use crate::node::NodeId;
use crate::observe::InstanceState;
use crate::sim::ailment::Ailment;
use crate::sim::machine::{Machine, moment};

mod facts;
pub(super) mod filter;
mod network;
mod power;
mod status;
mod volumes;

use filter::Filter;

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &mut Fleet, operation: &str, form: &Form) -> Option<Answered> {
    Some(match operation {
        "DescribeInstances" => fleet.describe_instances(form),
        "DescribeInstanceStatus" => fleet.describe_instance_status(form),
        "DescribeInstanceAttribute" => fleet.describe_instance_attribute(form),
        "DescribeInstanceTypes" => fleet.describe_instance_types(form),
        "DescribeVolumes" => fleet.describe_volumes(form),
        "GetConsoleOutput" => fleet.get_console_output(form),
        "RebootInstances" => fleet.reboot_instances(form),
        "StopInstances" => fleet.stop_instances(form),
        "StartInstances" => fleet.start_instances(form),
        _ => return network::call(fleet, operation, form),
    })
}

impl Fleet {
    /// `DescribeInstances`, one reservation an instance.
    fn describe_instances(&self, form: &Form) -> Answered {
        let nodes = self.instance_ids(form)?;
        if nodes.is_some() && form.text("MaxResults").is_some() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            ));
        }
        dry_run(form)?;
        let read = filter::read(form)?;
        let filters = read.all();
        let mut found = Vec::new();
        for machine in self.shown_instances(nodes.as_deref()) {
            if self.fits(machine, &filters)? {
                found.push(self.reservation(machine));
            }
        }
        let (page, next) = paged(found, form)?;
        Ok(json!({ "reservationSet": page, "nextToken": next }))
    }

    /// The instances that EC2 shows: those that were asked for, or all.
    fn shown_instances<'a>(&'a self, nodes: Option<&'a [NodeId]>) -> impl Iterator<Item = &'a Machine> {
        self.world
            .machines
            .iter()
            .filter(move |machine| self.ec2_shows(machine) && nodes.is_none_or(|nodes| nodes.contains(&machine.id)))
    }

    /// `InstanceId.1`, …, each of which must exist; none when there are none.
    fn instance_ids(&self, form: &Form) -> Result<Option<Vec<NodeId>>, AwsError> {
        let (mut nodes, mut missing) = (Vec::new(), Vec::new());
        for id in form.list("InstanceId") {
            let node = instance_id(id)?;
            match self.machine(node).filter(|machine| self.ec2_shows(machine)) {
                Some(_) => nodes.push(node),
                None => missing.push(node),
            }
        }
        match missing.as_slice() {
            [] => Ok((!nodes.is_empty()).then_some(nodes)),
            [one] => {
                Err(AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{one}' does not exist")))
            }
            [..] => {
                let ids: Vec<String> = missing.iter().map(ToString::to_string).collect();
                let message = format!("The instance IDs '{}' do not exist", ids.join(", "));
                Err(AwsError::new("InvalidInstanceID.NotFound", message))
            }
        }
    }

    /// `InstanceId.1`, …, of an operation that needs one at least.
    fn need_instance_ids(&self, form: &Form) -> Result<Vec<NodeId>, AwsError> {
        self.instance_ids(form)?
            .ok_or_else(|| AwsError::new("MissingParameter", "The request must contain the parameter InstanceId"))
    }

    /// The one `InstanceId` of an operation.
    fn need_instance(&self, form: &Form) -> Result<&Machine, AwsError> {
        let node = instance_id(form.need_text("InstanceId")?)?;
        self.machine(node).filter(|machine| self.ec2_shows(machine)).ok_or_else(|| {
            AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{node}' does not exist"))
        })
    }

    fn fits(&self, machine: &Machine, filters: &[Filter<'_>]) -> Result<bool, AwsError> {
        for filter in filters {
            let given: Vec<String> = match filter.name {
                "instance-id" => vec![machine.id.to_string()],
                "instance-state-name" => vec![state_name(machine.state).to_owned()],
                "instance-state-code" => vec![state_code(machine.state).to_string()],
                "instance-type" => vec![self.instance_type(machine)],
                "instance-lifecycle" => machine.spec.stop.spot.then(|| "spot".to_owned()).into_iter().collect(),
                "availability-zone" => machine.zone.iter().map(ToString::to_string).collect(),
                "subnet-id" => vec![network::subnet(machine)],
                "vpc-id" => vec![network::vpc(machine).to_owned()],
                "image-id" => vec![Self::image(machine)],
                "private-ip-address" => vec![Self::private_address(machine)],
                "root-device-type" => vec![root_device(machine).to_owned()],
                "iam-instance-profile.arn" => self.profile_arn(machine).into_iter().collect(),
                "tag-key" => self.tags_of(machine).into_keys().collect(),
                name => match name.strip_prefix("tag:") {
                    Some(key) => self.tags_of(machine).remove(key).into_iter().collect(),
                    None => return Err(filter.unknown()),
                },
            };
            if !given.iter().any(|value| filter.matches(value)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn profile_arn(&self, machine: &Machine) -> Option<String> {
        Self::role(machine).map(|role| self.global_arn("iam", &format!("instance-profile/{role}")))
    }

    fn reservation(&self, machine: &Machine) -> Value {
        json!({
            "reservationId": format!("r-{}", digits(machine.id, 1, 17)),
            "ownerId": self.world.home.account,
            "groupSet": [],
            "instancesSet": [self.instance(machine)],
        })
    }

    fn instance(&self, machine: &Machine) -> Value {
        let gone = matches!(machine.state, InstanceState::Terminated);
        let gates = machine.spec.stop;
        let address = Self::private_address(machine);
        let mut answer = json!({
            "instanceId": machine.id,
            "imageId": Self::image(machine),
            "instanceState": state(machine.state),
            "privateDnsName": if gone { String::new() } else { self.computer_name(machine) },
            "dnsName": "",
            "reason": "",
            "amiLaunchIndex": 0,
            "productCodes": [],
            "instanceType": self.instance_type(machine),
            "launchTime": millis(machine.launched_at),
            "placement": { "availabilityZone": machine.zone, "groupName": "", "tenancy": "default" },
            "monitoring": { "state": "disabled" },
            "architecture": "arm64",
            "rootDeviceType": root_device(machine),
            "rootDeviceName": "/dev/xvda",
            "virtualizationType": "hvm",
            "hypervisor": "xen",
            "clientToken": "",
            "tagSet": listed(&self.tags_of(machine), "key", "value"),
            "groupSet": [],
            "blockDeviceMapping": block_devices(machine),
            "networkInterfaceSet": [],
            "ebsOptimized": true,
            "enaSupport": true,
            "hibernationOptions": { "configured": false },
            "enclaveOptions": { "enabled": false },
            "capacityReservationSpecification": { "capacityReservationPreference": "open" },
            "metadataOptions": metadata_options(machine),
            "platformDetails": if machine.spec.platform == crate::observe::Platform::Windows { "Windows" } else { "Linux/UNIX" },
            "usageOperation": "RunInstances",
            "operator": { "managed": false },
        });
        let Some(fields) = answer.as_object_mut() else { return answer };
        if machine.spec.platform == crate::observe::Platform::Windows {
            fields.insert("platform".to_owned(), json!("windows"));
        }
        if let Some(principal) = Self::operator(machine) {
            fields.insert("operator".to_owned(), json!({ "managed": true, "principal": principal }));
        }
        if gates.spot {
            fields.insert("instanceLifecycle".to_owned(), json!("spot"));
            fields.insert("spotInstanceRequestId".to_owned(), json!(format!("sir-{}", digits(machine.id, 2, 8))));
        }
        if matches!(machine.state, InstanceState::Stopping | InstanceState::Stopped | InstanceState::ShuttingDown)
            || gone
        {
            let (code, message) =
                ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown");
            fields.insert("stateReason".to_owned(), json!({ "code": code, "message": message }));
        }
        if gone {
            return answer;
        }
        fields.insert("vpcId".to_owned(), json!(network::vpc(machine)));
        fields.insert("subnetId".to_owned(), json!(network::subnet(machine)));
        fields.insert("privateIpAddress".to_owned(), json!(address));
        fields.insert("sourceDestCheck".to_owned(), json!(true));
        fields.insert("groupSet".to_owned(), json!([network::group(machine)]));
        let public =
            (gates.public_address_changes && machine.state == InstanceState::Running).then(|| public_address(machine));
        let elastic = gates.elastic_address.then(|| elastic_address(machine));
        // An Elastic IP takes the place of the automatic one.
        let public = elastic.clone().or(public);
        if let Some(public) = &public {
            fields.insert("ipAddress".to_owned(), json!(public));
        }
        fields.insert(
            "networkInterfaceSet".to_owned(),
            json!([self.network_interface(machine, public.as_deref(), elastic.is_some())]),
        );
        if let Some(arn) = self.profile_arn(machine) {
            let id = format!("AIPA{}", digits(machine.id, 3, 17).to_uppercase());
            fields.insert("iamInstanceProfile".to_owned(), json!({ "arn": arn, "id": id }));
        }
        answer
    }

    fn network_interface(&self, machine: &Machine, public: Option<&str>, elastic: bool) -> Value {
        let address = Self::private_address(machine);
        let owner = if elastic { json!(self.world.home.account) } else { json!("amazon") };
        let association = public.map(|public| json!({ "publicIp": public, "publicDnsName": "", "ipOwnerId": owner }));
        json!({
            "networkInterfaceId": format!("eni-{}", digits(machine.id, 4, 17)),
            "subnetId": network::subnet(machine),
            "vpcId": network::vpc(machine),
            "ownerId": self.world.home.account,
            "status": "in-use",
            "description": "",
            "macAddress": "0e:00:00:00:00:01",
            "privateIpAddress": address,
            "privateDnsName": self.computer_name(machine),
            "sourceDestCheck": true,
            "interfaceType": "interface",
            "groupSet": [network::group(machine)],
            "attachment": {
                "attachmentId": format!("eni-attach-{}", digits(machine.id, 5, 17)),
                "deviceIndex": 0, "status": "attached", "attachTime": millis(machine.launched_at),
                "deleteOnTermination": true,
            },
            "association": association,
            "privateIpAddressesSet": [{ "privateIpAddress": address, "primary": true, "association": association }],
        })
    }
}

/// An id that is one of an instance.
fn instance_id(id: &str) -> Result<NodeId, AwsError> {
    id.parse()
        .ok()
        .filter(|node: &NodeId| node.is_instance())
        .ok_or_else(|| AwsError::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{}\"", shown(id))))
}

/// `DryRun`: what would have been allowed is refused with this code.
fn dry_run(form: &Form) -> Result<(), AwsError> {
    if form.flag("DryRun")? {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(AwsError::new("DryRunOperation", message).with_status(412));
    }
    Ok(())
}

fn paged(found: Vec<Value>, form: &Form) -> Result<(Vec<Value>, Option<String>), AwsError> {
    let most = page::size(form.number("MaxResults")?, 5..=1_000, 1_000, |asked| {
        AwsError::new(
            "InvalidParameterValue",
            format!("Value ( {asked} ) for parameter maxResults is invalid. Expecting a value from 5 to 1000."),
        )
    })?;
    let bad = || AwsError::new("InvalidNextToken", "The token is not valid.");
    page::page(found, form.text("NextToken"), most, bad)
}

fn root_device(machine: &Machine) -> &'static str {
    if machine.spec.stop.instance_store_root { "instance-store" } else { "ebs" }
}

fn block_devices(machine: &Machine) -> Vec<Value> {
    if machine.spec.stop.instance_store_root || machine.state == InstanceState::Terminated {
        return Vec::new();
    }
    vec![json!({
        "deviceName": "/dev/xvda",
        "ebs": {
            "volumeId": volumes::volume_id(machine), "status": "attached",
            "attachTime": millis(machine.launched_at), "deleteOnTermination": true,
        },
    })]
}

fn metadata_options(machine: &Machine) -> Value {
    let off = Fleet::ailment(machine) == Some(Ailment::IdentityImdsUnreachable);
    json!({
        "state": "applied", "httpTokens": "required", "httpPutResponseHopLimit": 2,
        "httpEndpoint": if off { "disabled" } else { "enabled" }, "httpProtocolIpv6": "disabled",
        "instanceMetadataTags": "disabled",
    })
}

/// A public address that is nobody's Elastic IP: another one after each stop and start.
fn public_address(machine: &Machine) -> String {
    let [.., b] = machine.id.value().to_be_bytes();
    format!("203.0.113.{}", b.wrapping_add(u8::try_from(machine.boots % 251).unwrap_or(0)))
}

/// An Elastic IP: the same for as long as the instance exists.
fn elastic_address(machine: &Machine) -> String {
    let [.., b] = machine.id.value().to_be_bytes();
    format!("198.51.100.{b}")
}

/// A moment as EC2 writes it.
fn millis(secs: i64) -> String {
    moment(secs).to_string().replace('Z', ".000Z")
}

fn state(state: InstanceState) -> Value {
    json!({ "code": state_code(state), "name": state_name(state) })
}

pub(super) fn state_name(state: InstanceState) -> &'static str {
    match state {
        InstanceState::Pending => "pending",
        InstanceState::Running => "running",
        InstanceState::Stopping => "stopping",
        InstanceState::Stopped => "stopped",
        InstanceState::ShuttingDown => "shutting-down",
        InstanceState::Terminated => "terminated",
    }
}

fn state_code(state: InstanceState) -> u8 {
    match state {
        InstanceState::Pending => 0,
        InstanceState::Running => 16,
        InstanceState::ShuttingDown => 32,
        InstanceState::Terminated => 48,
        InstanceState::Stopping => 64,
        InstanceState::Stopped => 80,
    }
}
