//! ECS: clusters, container instances and what runs on them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::AwsError;
use super::input::{Body, shown};
use super::machines::{listed, spelled};
use super::page;
use super::protocol::Service;
use super::{Answered, Fleet};
use crate::sim::machine::{EcsSide, Machine};
use crate::sim::world::World;

mod instances;
mod query;
mod tasks;

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &mut Fleet, operation: &str, body: Body<'_>) -> Option<Answered> {
    Some(match operation {
        "ListClusters" => fleet.list_clusters(body),
        "DescribeClusters" => fleet.describe_clusters(body),
        "ListContainerInstances" => fleet.list_container_instances(body),
        "DescribeContainerInstances" => fleet.describe_container_instances(body),
        "UpdateContainerInstancesState" => fleet.update_container_instances_state(body),
        "DeregisterContainerInstance" => fleet.deregister_container_instance(body),
        "ListTasks" => fleet.list_tasks(body),
        "DescribeTasks" => fleet.describe_tasks(body),
        "DescribeServices" => fleet.describe_services(body),
        "GetTaskProtection" => fleet.get_task_protection(body),
        _ => return None,
    })
}

impl Fleet {
    /// The place of the cluster that a request names, `default` when it names none.
    fn cluster(&self, body: Body<'_>) -> Result<usize, AwsError> {
        let named = body.text("cluster")?.unwrap_or("default");
        self.cluster_named(named).ok_or_else(|| AwsError::new("ClusterNotFoundException", "Cluster not found."))
    }

    pub(super) fn cluster_named(&self, named: &str) -> Option<usize> {
        self.world.clusters.iter().position(|cluster| *cluster.name == *named || cluster.arn.as_str() == named)
    }

    /// `ListClusters`.
    fn list_clusters(&self, body: Body<'_>) -> Answered {
        let all: Vec<String> = self.world.clusters.iter().map(|cluster| cluster.arn.to_string()).collect();
        let (page, next) = paged(all, body)?;
        Ok(with_token(json!({ "clusterArns": page }), next))
    }

    /// `DescribeClusters`.
    fn describe_clusters(&self, body: Body<'_>) -> Answered {
        let mut named = body.texts("clusters")?;
        if named.is_empty() {
            named.push("default");
        }
        let tags = includes(body, "TAGS")?;
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in named {
            if let Some(cluster) = self.cluster_named(name) {
                found.extend(self.described_cluster(cluster, tags));
                continue;
            }
            let named = || self.arn("ecs", &format!("cluster/{}", shown(name)));
            failures.push(missing(&if name.starts_with("arn:") { shown(name) } else { named() }));
        }
        Ok(json!({ "clusters": found, "failures": failures }))
    }

    fn described_cluster(&self, place: usize, tags: bool) -> Option<Value> {
        let cluster = self.world.clusters.get(place)?;
        let members: Vec<(&Machine, &EcsSide)> =
            self.members(place).filter(|(machine, ecs)| ecs.registered && !machine.is_deregistered()).collect();
        let running: u32 = members.iter().map(|(_, ecs)| ecs.tasks + ecs.special.standalone).sum();
        Some(json!({
            "clusterArn": cluster.arn,
            "clusterName": &*cluster.name,
            "status": "ACTIVE",
            "registeredContainerInstancesCount": members.len(),
            "runningTasksCount": running,
            "pendingTasksCount": 0,
            "activeServicesCount": 1,
            "statistics": [],
            "tags": if tags { listed(&self.tags_of_cluster(place), "key", "value") } else { Vec::new() },
            "settings": [{ "name": "containerInsights", "value": "disabled" }],
            "capacityProviders": [],
            "defaultCapacityProviderStrategy": [],
        }))
    }

    pub(super) fn tags_of_cluster(&self, place: usize) -> BTreeMap<String, String> {
        let Some(cluster) = self.world.clusters.get(place) else { return BTreeMap::new() };
        self.cluster_tags.get(&*cluster.name).cloned().unwrap_or_else(|| spelled(cluster.tags))
    }

    /// The machines that are or were container instances of a cluster.
    fn members(&self, cluster: usize) -> impl Iterator<Item = (&Machine, &EcsSide)> {
        let with_ecs = self.world.machines.iter().filter_map(|machine| Some((machine, machine.ecs.as_ref()?)));
        with_ecs.filter(move |(_, ecs)| ecs.cluster == cluster)
    }

    /// A container instance of a cluster, by ARN or id.
    fn container_instance(&self, cluster: usize, named: &str) -> Option<(&Machine, &EcsSide)> {
        self.members(cluster).find(|(_, ecs)| ecs.known && (ecs.arn.as_str() == named || ecs.arn.id() == named))
    }
}

/// ECS fails for a node whose fault is the service's own.
fn check_service(machine: &Machine) -> Result<(), AwsError> {
    if World::service_down(machine) { Err(AwsError::broken(Service::Ecs)) } else { Ok(()) }
}

fn includes(body: Body<'_>, what: &str) -> Result<bool, AwsError> {
    Ok(body.texts("include")?.contains(&what))
}

fn missing(arn: &str) -> Value {
    json!({ "arn": arn, "reason": "MISSING" })
}

fn paged(all: Vec<String>, body: Body<'_>) -> Result<(Vec<String>, Option<String>), AwsError> {
    let most = page::size(body.number("maxResults")?, 1..=100, 100, |_| {
        AwsError::new("InvalidParameterException", "maxResults is from 1 to 100")
    })?;
    let bad = || AwsError::new("InvalidParameterException", "Invalid token");
    page::page(all, body.text("nextToken")?, most, bad)
}

/// An answer with the token of the next page, when there is one.
fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let (Some(fields), Some(next)) = (answer.as_object_mut(), next) {
        fields.insert("nextToken".to_owned(), json!(next));
    }
    answer
}

/// A list that must hold from 1 to `most` texts.
fn some<'a>(body: Body<'a>, field: &str, most: usize) -> Result<Vec<&'a str>, AwsError> {
    let list = body.texts(field)?;
    if list.is_empty() {
        return Err(AwsError::new("InvalidParameterException", format!("{field} can not be empty.")));
    }
    if list.len() > most {
        return Err(AwsError::new("InvalidParameterException", format!("{field} has more than {most} members")));
    }
    Ok(list)
}
