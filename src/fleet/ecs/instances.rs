//! Container instances: what ECS shows of them, drained and deregistered.

use serde_json::{Value, json};

use super::{check_service, includes, missing, paged, query, some, with_token};
use crate::effect::{Effect, Target};
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::machines::listed;
use crate::fleet::{Answered, Fleet};
use crate::node::NodeId;
use crate::observe::{Check, EcsStatus, Fact};
use crate::ports::Performed;
use crate::sim::machine::{EcsSide, Machine, Secs};

/// The agent's version, made up; new enough for health checks.
pub(in crate::fleet) const AGENT: &str = "1.105.1";
/// A container instance can be described for an hour after it was deregistered (facts/aws.md §2.2).
const INACTIVE_VISIBLE_SECS: Secs = 3_600;

impl Fleet {
    /// `ListContainerInstances`: without a status those that are active or drain.
    pub(super) fn list_container_instances(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let terms = query::read(body.text("filter")?.unwrap_or_default())?;
        let status = body.text("status")?;
        let known = ["ACTIVE", "DRAINING", "REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED"];
        if status.is_some_and(|status| !known.contains(&status)) {
            return Err(AwsError::new("InvalidParameterException", "status is not one that can be listed"));
        }
        let mut found = Vec::new();
        for (machine, ecs) in self.members(cluster) {
            let is = Self::container_status(machine, ecs);
            let listed = status.map_or(matches!(is, "ACTIVE" | "DRAINING"), |wanted| wanted == is);
            if ecs.registered && listed && self.satisfies(machine, ecs, &terms) {
                found.push(ecs.arn.to_string());
            }
        }
        let (page, next) = paged(found, body)?;
        Ok(with_token(json!({ "containerInstanceArns": page }), next))
    }

    /// `DescribeContainerInstances`.
    pub(super) fn describe_container_instances(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let named = some(body, "containerInstances", 100)?;
        let (tags, health) = (includes(body, "TAGS")?, includes(body, "CONTAINER_INSTANCE_HEALTH")?);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in named {
            match self.container_instance(cluster, name).filter(|(_, ecs)| self.can_be_described(ecs)) {
                Some((machine, ecs)) => {
                    check_service(machine)?;
                    found.push(self.described(machine, ecs, tags, health));
                }
                None => failures.push(missing(&self.container_instance_arn(cluster, name))),
            }
        }
        Ok(json!({ "containerInstances": found, "failures": failures }))
    }

    fn can_be_described(&self, ecs: &EcsSide) -> bool {
        // Everything on it ended when it was deregistered.
        ecs.registered || self.world.now - ecs.special.since <= INACTIVE_VISIBLE_SECS
    }

    /// The ARN of a container instance that may not exist.
    fn container_instance_arn(&self, cluster: usize, name: &str) -> String {
        let cluster = self.world.clusters.get(cluster).map_or("default", |cluster| &cluster.name);
        if name.starts_with("arn:") {
            shown(name)
        } else {
            self.arn("ecs", &format!("container-instance/{cluster}/{}", shown(name)))
        }
    }

    /// What ECS says of the agent's connection.
    pub(in crate::fleet) fn shown_connected(&self, machine: &Machine, ecs: &EcsSide) -> bool {
        ecs.registered && !machine.is_deregistered() && ecs.link.shown(self.world.now) && machine.exists()
    }

    pub(in crate::fleet) fn container_status(machine: &Machine, ecs: &EcsSide) -> &'static str {
        if !ecs.registered || machine.is_deregistered() {
            return "INACTIVE";
        }
        match ecs.status {
            EcsStatus::Active => "ACTIVE",
            EcsStatus::Draining => "DRAINING",
            EcsStatus::Transitional => "REGISTERING",
            EcsStatus::Inactive => "INACTIVE",
        }
    }

    /// A container instance as ECS describes it; events carry the same object.
    pub(in crate::fleet) fn described(&self, machine: &Machine, ecs: &EcsSide, tags: bool, health: bool) -> Value {
        let zone = machine.zone.as_ref().map_or("", |zone| zone.as_str());
        let running = ecs.tasks + ecs.special.standalone;
        let used = i64::from(running) * 256;
        let mut answer = json!({
            "containerInstanceArn": ecs.arn,
            "ec2InstanceId": machine.id,
            "version": ecs.version,
            "versionInfo": { "agentVersion": AGENT, "agentHash": "1a2b3c4d", "dockerVersion": "DockerVersion: 25.0.8" },
            "registeredResources": resources(2_048, 7_680),
            "remainingResources": resources(2_048 - used, 7_680 - 2 * used),
            "status": Self::container_status(machine, ecs),
            "agentConnected": self.shown_connected(machine, ecs),
            "runningTasksCount": running,
            "pendingTasksCount": 0,
            "attributes": [
                { "name": "ecs.availability-zone", "value": zone },
                { "name": "ecs.instance-type", "value": self.instance_type(machine) },
                { "name": "ecs.os-type", "value": "linux" },
                { "name": "com.amazonaws.ecs.capability.task-eni" },
            ],
            "registeredAt": machine.launched_at,
            "attachments": [],
            "tags": if tags { listed(&self.tags_of(machine), "key", "value") } else { Vec::new() },
        });
        if let Some(fields) = answer.as_object_mut() {
            if let Some(member) = machine.member.as_ref().and_then(|member| self.world.fleets.get(member.group)) {
                fields.insert("capacityProviderName".to_owned(), json!(member.name.as_str()));
            }
            if health {
                fields.insert("healthStatus".to_owned(), self.health(machine, ecs));
            }
        }
        answer
    }

    /// `healthStatus`: the two checks that exist on EC2 capacity.
    fn health(&self, machine: &Machine, ecs: &EcsSide) -> Value {
        let now = self.world.now;
        let (agent, runtime) = match self.world.agents(machine, now).1 {
            Fact::Known(seen) => (seen.agent_check, seen.runtime_check),
            Fact::Absent | Fact::Unknown(_) => (Check::Undecided, Check::Undecided),
        };
        let runtime_since = ecs.runtime_bad_since.unwrap_or(machine.booted_at);
        let overall = if [agent, runtime].contains(&Check::Impaired) {
            "IMPAIRED"
        } else {
            check_word(if agent == Check::Ok { runtime } else { agent })
        };
        json!({
            "overallStatus": overall,
            "details": [
                {
                    "type": "CONTAINER_RUNTIME", "status": check_word(runtime),
                    "lastStatusChange": runtime_since, "lastUpdated": now,
                },
                {
                    "type": "AGENT_CONNECTIVITY", "status": check_word(agent),
                    "lastStatusChange": ecs.link.shown_since(now), "lastUpdated": now,
                },
            ],
        })
    }

    /// `UpdateContainerInstancesState`: at most ten, to `ACTIVE` or `DRAINING` (facts/aws.md §2.2).
    pub(super) fn update_container_instances_state(&mut self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let named = some(body, "containerInstances", 10)?;
        let (effect, wanted) = match body.need_text("status")? {
            "ACTIVE" => (Effect::Activate, EcsStatus::Active),
            "DRAINING" => (Effect::Drain, EcsStatus::Draining),
            _ => {
                return Err(AwsError::new(
                    "InvalidParameterException",
                    "Container instances status should be one of [ACTIVE,DRAINING]",
                ));
            }
        };
        let (mut changed, mut failures) = (Vec::new(), Vec::new());
        for name in named {
            let Some((machine, ecs)) =
                self.container_instance(cluster, name).filter(|(_, ecs)| self.can_be_described(ecs))
            else {
                failures.push(missing(&self.container_instance_arn(cluster, name)));
                continue;
            };
            check_service(machine)?;
            let (node, arn) = (machine.id, ecs.arn.to_string());
            let already = ecs.status == wanted;
            let inactive = Self::container_status(machine, ecs) == "INACTIVE";
            if inactive || !(already || self.land_in_ecs(node, effect)) {
                failures.push(json!({ "arn": arn, "reason": "INACTIVE" }));
            } else {
                changed.push(node);
            }
        }
        let found: Vec<Value> = changed.into_iter().filter_map(|node| self.described_node(node)).collect();
        Ok(json!({ "containerInstances": found, "failures": failures }))
    }

    /// An effect on a node's container instance lands in the world, which logs it.
    fn land_in_ecs(&mut self, node: NodeId, effect: Effect) -> bool {
        let target = Target { group: None, ..self.world.target_of(node) };
        let now = self.world.now();
        matches!(self.world.perform(effect, &target, now), Performed::Done { .. })
    }

    fn described_node(&self, node: NodeId) -> Option<Value> {
        let machine = self.machine(node)?;
        Some(self.described(machine, machine.ecs.as_ref()?, false, false))
    }

    /// `DeregisterContainerInstance`.
    pub(super) fn deregister_container_instance(&mut self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let named = body.need_text("containerInstance")?;
        let force = body.flag("force")?.unwrap_or(false);
        let gone = || AwsError::new("InvalidParameterException", "Referenced container instance was not found.");
        let (machine, ecs) =
            self.container_instance(cluster, named).filter(|(_, ecs)| ecs.registered).ok_or_else(gone)?;
        check_service(machine)?;
        if ecs.tasks + ecs.special.standalone > 0 && !force {
            return Err(AwsError::new("InvalidParameterException", "Found running tasks on the instance."));
        }
        let node = machine.id;
        if !self.land_in_ecs(node, Effect::Deregister) {
            return Err(gone());
        }
        let found = self.described_node(node).ok_or_else(gone)?;
        Ok(json!({ "containerInstance": found }))
    }
}

pub(in crate::fleet) fn check_word(check: Check) -> &'static str {
    match check {
        Check::Ok => "OK",
        Check::Impaired => "IMPAIRED",
        Check::Undecided => "INSUFFICIENT_DATA",
    }
}

fn resources(cpu: i64, memory: i64) -> Value {
    let number = |name: &str, value: i64| json!({ "name": name, "type": "INTEGER", "doubleValue": 0.0, "longValue": 0, "integerValue": value.max(0) });
    let ports = |name: &str, ports: &[&str]| {
        json!({
            "name": name, "type": "STRINGSET", "doubleValue": 0.0, "longValue": 0, "integerValue": 0,
            "stringSetValue": ports,
        })
    };
    json!([
        number("CPU", cpu),
        number("MEMORY", memory),
        ports("PORTS", &["22", "2375", "2376", "51678", "51679"]),
        ports("PORTS_UDP", &[]),
    ])
}
