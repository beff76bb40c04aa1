//! Auto Scaling: groups, their members, Standby, and termination through the group.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::AwsError;
use super::input::{Form, shown};
use super::machines::{digits, spelled};
use super::page;
use super::{Answered, Fleet};
use crate::effect::{Effect, Target};
use crate::node::NodeId;
use crate::observe::{InstanceState, Lifecycle};
use crate::ports::Performed;
use crate::sim::machine::{Machine, moment};

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &mut Fleet, operation: &str, form: &Form) -> Option<Answered> {
    Some(match operation {
        "DescribeAutoScalingInstances" => fleet.describe_auto_scaling_instances(form),
        "DescribeAutoScalingGroups" => fleet.describe_auto_scaling_groups(form),
        "DescribeInstanceRefreshes" => fleet.describe_instance_refreshes(form),
        "EnterStandby" => fleet.enter_standby(form),
        "ExitStandby" => fleet.exit_standby(form),
        "TerminateInstanceInAutoScalingGroup" => fleet.terminate_in_group(form),
        _ => return None,
    })
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

fn bad_token() -> AwsError {
    AwsError::new("InvalidNextToken", "The NextToken value is not valid.")
}

fn paged(all: Vec<Value>, form: &Form, most: i64, default: usize) -> Result<(Vec<Value>, Option<String>), AwsError> {
    let size = page::size(form.number("MaxRecords")?, 1..=most, default, |_| {
        invalid(format!("1 validation error detected: MaxRecords is from 1 to {most}"))
    })?;
    page::page(all, form.text("NextToken"), size, bad_token)
}

impl Fleet {
    /// Members of a group that the group still lists.
    fn group_members(&self, group: usize) -> impl Iterator<Item = (&Machine, Lifecycle)> {
        self.world.machines.iter().filter_map(move |machine| {
            let member = machine.member.as_ref().filter(|member| member.group == group && machine.exists())?;
            Some((machine, member.lifecycle))
        })
    }

    pub(super) fn group_named(&self, name: &str) -> Option<usize> {
        self.world.fleets.iter().position(|fleet| fleet.name.as_str() == name)
    }

    /// `DescribeAutoScalingInstances`: an id that is in no group is left out.
    fn describe_auto_scaling_instances(&self, form: &Form) -> Answered {
        let ids = form.list("InstanceIds.member");
        let mut found = Vec::new();
        for (group, fleet) in self.world.fleets.iter().enumerate() {
            for (machine, lifecycle) in self.group_members(group) {
                if ids.is_empty() || ids.iter().any(|id| id.parse() == Ok(machine.id)) {
                    let mut member = self.member(machine, lifecycle);
                    if let Some(fields) = member.as_object_mut() {
                        fields.insert("AutoScalingGroupName".to_owned(), json!(fleet.name.as_str()));
                        // This operation alone writes it in capitals.
                        let health = if healthy(machine) { "HEALTHY" } else { "UNHEALTHY" };
                        fields.insert("HealthStatus".to_owned(), json!(health));
                    }
                    found.push(member);
                }
            }
        }
        let (page, next) = paged(found, form, 50, 50)?;
        Ok(json!({ "AutoScalingInstances": page, "NextToken": next }))
    }

    fn member(&self, machine: &Machine, lifecycle: Lifecycle) -> Value {
        json!({
            "InstanceId": machine.id,
            "InstanceType": self.instance_type(machine),
            "AvailabilityZone": machine.zone,
            "LifecycleState": lifecycle_word(lifecycle),
            "HealthStatus": if healthy(machine) { "Healthy" } else { "Unhealthy" },
            "ProtectedFromScaleIn": false,
            "LaunchTemplate": {
                "LaunchTemplateId": "lt-0d5b11c0de0000001", "LaunchTemplateName": "nodes", "Version": "1",
            },
        })
    }

    /// `DescribeAutoScalingGroups`: a name that is no group's is left out.
    fn describe_auto_scaling_groups(&self, form: &Form) -> Answered {
        let names = form.list("AutoScalingGroupNames.member");
        let filters = form.forms("Filters.member");
        let mut found = Vec::new();
        for (group, fleet) in self.world.fleets.iter().enumerate() {
            if !names.is_empty() && !names.contains(&fleet.name.as_str()) {
                continue;
            }
            let tags = self.tags_of_group(group);
            let mut fits = true;
            for filter in &filters {
                let (name, values) = (filter.need_text("Name")?, filter.list("Values.member"));
                fits &= match name {
                    "tag-key" => tags.keys().any(|key| values.contains(&key.as_str())),
                    "tag-value" => tags.values().any(|value| values.contains(&value.as_str())),
                    name => match name.strip_prefix("tag:") {
                        Some(key) => tags.get(key).is_some_and(|value| values.contains(&value.as_str())),
                        None => return Err(invalid(format!("Invalid filter type {}.", shown(name)))),
                    },
                };
            }
            if fits {
                found.push(self.described_group(group, &tags));
            }
        }
        let (page, next) = paged(found, form, 100, 50)?;
        Ok(json!({ "AutoScalingGroups": page, "NextToken": next }))
    }

    pub(super) fn tags_of_group(&self, group: usize) -> BTreeMap<String, String> {
        let Some(fleet) = self.world.fleets.get(group) else { return BTreeMap::new() };
        self.group_tags.get(fleet.name.as_str()).cloned().unwrap_or_else(|| spelled(fleet.tags))
    }

    /// `MaxSize`, which the world does not know.
    fn group_max(&self, group: usize) -> u32 {
        let Some(fleet) = self.world.fleets.get(group) else { return 0 };
        let least = fleet.desired.max(fleet.size);
        self.group_max.get(fleet.name.as_str()).copied().unwrap_or(least.saturating_mul(2)).max(least)
    }

    fn described_group(&self, group: usize, tags: &BTreeMap<String, String>) -> Value {
        let Some(fleet) = self.world.fleets.get(group) else { return json!({}) };
        let name = fleet.name.as_str();
        let members: Vec<Value> =
            self.group_members(group).map(|(machine, lifecycle)| self.member(machine, lifecycle)).collect();
        let mut zones: Vec<String> =
            self.group_members(group).filter_map(|(machine, _)| Some(machine.zone.as_ref()?.to_string())).collect();
        zones.sort();
        zones.dedup();
        let mut subnets: Vec<String> = self.group_members(group).map(|(machine, _)| Self::subnet(machine)).collect();
        subnets.sort();
        subnets.dedup();
        let tags: Vec<Value> = tags
            .iter()
            .map(|(key, value)| {
                json!({
                    "ResourceId": name, "ResourceType": "auto-scaling-group", "Key": key, "Value": value,
                    "PropagateAtLaunch": true,
                })
            })
            .collect();
        let suspended: Vec<Value> = ["Launch", "Terminate"]
            .into_iter()
            .filter(|_| fleet.suspended)
            .map(|process| json!({ "ProcessName": process, "SuspensionReason": "User suspended at 2026-11-01T00:00:00Z" }))
            .collect();
        json!({
            "AutoScalingGroupName": name,
            "AutoScalingGroupARN": self.arn("autoscaling", &format!(
                "autoScalingGroup:0d5b11c0-de00-4000-8000-00000000{group:04x}:autoScalingGroupName/{name}"
            )),
            "LaunchTemplate": {
                "LaunchTemplateId": "lt-0d5b11c0de0000001", "LaunchTemplateName": "nodes", "Version": "$Latest",
            },
            "MinSize": fleet.min,
            "MaxSize": self.group_max(group),
            "DesiredCapacity": fleet.desired,
            "DefaultCooldown": 300,
            "AvailabilityZones": zones,
            "LoadBalancerNames": [],
            "TargetGroupARNs": [],
            "HealthCheckType": if fleet.ec2_health_only { "EC2" } else { "EC2,ELB" },
            "HealthCheckGracePeriod": 300,
            "Instances": members,
            "CreatedTime": moment(self.world.now - 90 * 86_400).to_string(),
            "SuspendedProcesses": suspended,
            "VPCZoneIdentifier": subnets.join(","),
            "EnabledMetrics": [],
            "Tags": tags,
            "TerminationPolicies": ["Default"],
            "NewInstancesProtectedFromScaleIn": false,
            "ServiceLinkedRoleARN": self.global_arn("iam", "role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"),
            "CapacityRebalance": false,
            "TrafficSources": [],
        })
    }

    /// `DescribeInstanceRefreshes`: the one that runs, if one does.
    fn describe_instance_refreshes(&self, form: &Form) -> Answered {
        let name = form.need_text("AutoScalingGroupName")?;
        let group = self.group_named(name).ok_or_else(group_not_found)?;
        let mut found = Vec::new();
        if let Some(fleet) = self.world.fleets.get(group).filter(|fleet| fleet.refreshing) {
            found.push(json!({
                "InstanceRefreshId": "0d5b11c0-de00-4000-8000-000000000001",
                "AutoScalingGroupName": name,
                "Status": "InProgress",
                "StartTime": moment(fleet.refreshing_since.unwrap_or(self.world.now)).to_string(),
                "PercentageComplete": 0,
                "InstancesToUpdate": fleet.size,
            }));
        }
        let (page, next) = paged(found, form, 100, 50)?;
        Ok(json!({ "InstanceRefreshes": page, "NextToken": next }))
    }

    /// The members that `EnterStandby` or `ExitStandby` names, which must all be in the group.
    fn named_members(&self, form: &Form) -> Result<(usize, Vec<(NodeId, Lifecycle)>), AwsError> {
        let group = self.group_named(form.need_text("AutoScalingGroupName")?).ok_or_else(group_not_found)?;
        let mut members = Vec::new();
        for id in form.list("InstanceIds.member") {
            let found = self.group_members(group).find(|(machine, _)| id.parse() == Ok(machine.id));
            let (machine, lifecycle) = found.ok_or_else(|| {
                invalid(format!(
                    "The instance {} is not part of Auto Scaling group {}.",
                    shown(id),
                    self.group_name(group)
                ))
            })?;
            members.push((machine.id, lifecycle));
        }
        if members.is_empty() {
            return Err(invalid("at least one instance is needed"));
        }
        Ok((group, members))
    }

    fn group_name(&self, group: usize) -> String {
        self.world.fleets.get(group).map_or_else(String::new, |fleet| fleet.name.to_string())
    }

    /// `EnterStandby`, refused below the minimum (facts/aws.md §4).
    fn enter_standby(&mut self, form: &Form) -> Answered {
        let (group, members) = self.named_members(form)?;
        form.need_text("ShouldDecrementDesiredCapacity")?;
        if !form.flag("ShouldDecrementDesiredCapacity")? {
            return Err(invalid("the simulated account enters Standby only with ShouldDecrementDesiredCapacity=true"));
        }
        for (node, lifecycle) in &members {
            if *lifecycle != Lifecycle::InService {
                return Err(invalid(format!("The instance {node} is not in InService.")));
            }
        }
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let (min, desired) = self.world.fleets.get(group).map_or((0, 0), |fleet| (fleet.min, fleet.desired));
        if desired < min.saturating_add(count) {
            return Err(invalid(format!(
                "AutoScalingGroup {} has min-size={min}, max-size={}, and desired-size={desired}. To place into standby \
                 {count} instance, please update the AutoScalingGroup sizes appropriately.",
                self.group_name(group),
                self.group_max(group)
            )));
        }
        self.land_in_group(group, &members, Effect::EnterStandby, "Moving EC2 instance to Standby")
    }

    /// `ExitStandby`.
    fn exit_standby(&mut self, form: &Form) -> Answered {
        let (group, members) = self.named_members(form)?;
        for (node, lifecycle) in &members {
            if *lifecycle != Lifecycle::Standby {
                return Err(invalid(format!("The instance {node} is not in Standby.")));
            }
            if self.machine(*node).is_some_and(|machine| machine.state != InstanceState::Running) {
                return Err(invalid(format!("The instance {node} is not running and cannot exit Standby.")));
            }
        }
        self.land_in_group(group, &members, Effect::ExitStandby, "Moving EC2 instance out of Standby")
    }

    fn land_in_group(&mut self, group: usize, members: &[(NodeId, Lifecycle)], effect: Effect, what: &str) -> Answered {
        let mut activities = Vec::new();
        for (node, _) in members {
            if !self.lands(group, *node, effect) {
                return Err(contended());
            }
            activities.push(self.activity(group, *node, &format!("{what}: {node}")));
        }
        Ok(json!({ "Activities": activities }))
    }

    /// An effect through a group lands in the world, which logs it.
    fn lands(&mut self, group: usize, node: NodeId, effect: Effect) -> bool {
        let group = self.world.fleets.get(group).map(|fleet| fleet.name.clone());
        let target = Target { node, container_instance: None, group };
        let now = self.world.now();
        matches!(self.world.perform(effect, &target, now), Performed::Done { .. })
    }

    fn activity(&self, group: usize, node: NodeId, what: &str) -> Value {
        let now = self.world.now();
        json!({
            "ActivityId": digits(node, 900 + u128::from(self.requests), 32),
            "AutoScalingGroupName": self.group_name(group),
            "Description": what,
            "Cause": format!("At {now} instance {node} was named by a user request."),
            "StartTime": now.to_string(),
            "StatusCode": "InProgress",
            "Progress": 50,
            "Details": "{}",
        })
    }

    /// `TerminateInstanceInAutoScalingGroup`, the desired capacity kept.
    fn terminate_in_group(&mut self, form: &Form) -> Answered {
        let id = form.need_text("InstanceId")?;
        form.need_text("ShouldDecrementDesiredCapacity")?;
        if form.flag("ShouldDecrementDesiredCapacity")? {
            return Err(invalid("the simulated account terminates only with ShouldDecrementDesiredCapacity=false"));
        }
        let unknown =
            || invalid(format!("Instance Id not found - No managed instance found for instance ID: {}", shown(id)));
        let node: NodeId = id.parse().map_err(|_| unknown())?;
        let machine = self.machine(node).filter(|machine| machine.exists()).ok_or_else(unknown)?;
        let member = machine.member.as_ref().ok_or_else(unknown)?;
        let group = member.group;
        if member.lifecycle == Lifecycle::Terminating {
            let message = format!("Activities in progress for instance {node}");
            return Err(AwsError::new("ScalingActivityInProgress", message));
        }
        if !self.lands(group, node, Effect::Terminate) {
            return Err(contended());
        }
        Ok(json!({ "Activity": self.activity(group, node, &format!("Terminating EC2 instance: {node}")) }))
    }
}

/// The group is busy with the member already.
fn contended() -> AwsError {
    let message = "You already have a pending update to an Amazon EC2 Auto Scaling resource";
    AwsError::new("ResourceContention", message).with_status(500)
}

fn group_not_found() -> AwsError {
    invalid("AutoScalingGroup name not found - null")
}

fn healthy(machine: &Machine) -> bool {
    let exempt = machine.member.as_ref().is_some_and(|member| member.lifecycle != Lifecycle::InService);
    exempt || matches!(machine.state, InstanceState::Running | InstanceState::Pending)
}

fn lifecycle_word(lifecycle: Lifecycle) -> &'static str {
    match lifecycle {
        Lifecycle::InService => "InService",
        Lifecycle::Pending => "Pending",
        Lifecycle::EnteringStandby => "EnteringStandby",
        Lifecycle::Standby => "Standby",
        Lifecycle::Terminating => "Terminating",
        Lifecycle::Other => "Detaching",
    }
}
