//! Takes a census: every page of every list, or none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_ec2::types::{Filter, Instance, InstanceStatus};
use aws_sdk_ecs::types::{ClusterField, ContainerInstance, ContainerInstanceField, InstanceHealthCheckType};
use aws_sdk_ssm::types::InstanceInformation;
use jiff::Timestamp;

use super::census::{Census, EcsRow, Row};
use super::{asg, ec2, ecs, ssm};
use crate::aws::cache::AROUND_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::{moment, tags};
use crate::node::{AutoScalingGroupName, ClusterArn, NodeId};
use crate::observe::{Blind, Check, InstanceState, Lifecycle, StatusChecks};

/// Rows a page, by each service's own limit.
const INSTANCES_A_PAGE: i32 = 1_000;
const NODES_A_PAGE: i32 = 50;
const CONTAINER_INSTANCES_A_CALL: usize = 100;
const CLUSTERS_A_CALL: usize = 100;
const GROUPS_A_PAGE: i32 = 100;
/// Nodes whose rows a sweep keeps at most: it looks at no more within the time for which a row holds.
const ROWS_MAX: usize = 50;
/// Pages of one list, at most: 50,000 nodes of Systems Manager. A longer list is not half counted.
const PAGES_MAX: usize = 1_000;

impl Nodes {
    /// A census for a decision about a node; taken anew where there is none that is fresh enough.
    pub(in crate::aws) async fn census(&self, node: NodeId, now: Timestamp) -> Result<Arc<Census>, Blind> {
        if let Some(census) = self.cache.census(now, AROUND_SECS) {
            return Ok(census);
        }
        Box::pin(self.take_census(Rows::Of(node), now)).await
    }

    /// Takes a census now, and keeps these rows of it, so that nobody reads them again.
    pub(in crate::aws) async fn take_census(&self, keep: Rows, now: Timestamp) -> Result<Arc<Census>, Blind> {
        let (instances, statuses, nodes, container_instances, groups) = tokio::join!(
            self.all_instances(),
            self.all_statuses(),
            self.all_nodes(),
            self.all_container_instances(now),
            self.all_groups(),
        );
        let groups = groups?;
        let lists = Lists {
            instances: instances?,
            statuses: statuses?,
            nodes: nodes?,
            container_instances: container_instances?,
            groups: groups.iter().filter_map(asg::seen).collect(),
        };
        // The SDK reads an answer in which everything is missing as an empty list; a member's tag says that there is a group.
        let none_of_some = groups.is_empty() && lists.instances.iter().any(|row| ec2::group(row).is_some());
        if none_of_some || lists.groups.len() < groups.len() {
            return Err(Blind::Empty);
        }
        let census = Arc::new(Census::of(now, rows(&lists)));
        match keep {
            Rows::None => {}
            Rows::Of(node) => self.keep_rows(&lists, &[node], now),
            Rows::OfTroubled => {
                let troubled = census.troubled().into_iter().map(|(signal, _)| signal.node);
                self.keep_rows(&lists, &troubled.take(ROWS_MAX).collect::<Vec<_>>(), now);
            }
        }
        for information in &lists.nodes {
            let node = information.instance_id().and_then(|id| id.parse().ok());
            if let Some((node, row)) = node.zip(ssm::Row::of(information)) {
                self.cache.rows.put(node, now, row);
            }
        }
        for group in lists.groups {
            self.cache.groups.put(group.name.clone(), now, Some(Arc::new(group)));
        }
        self.cache.keep_census(Arc::clone(&census));
        Ok(census)
    }

    /// What a read of one instance, and of its container instance, would have said.
    fn keep_rows(&self, lists: &Lists, nodes: &[NodeId], now: Timestamp) {
        let id = |text: Option<&str>| text.and_then(|text| text.parse::<NodeId>().ok()).filter(|id| nodes.contains(id));
        for row in &lists.instances {
            if let Some(node) = id(row.instance_id()) {
                self.cache.instances.put(node, now, row.clone());
            }
        }
        for (cluster, row) in &lists.container_instances {
            let Some(node) = id(row.ec2_instance_id()) else { continue };
            let Some(arn) = row.container_instance_arn().and_then(|arn| arn.parse().ok()) else { continue };
            let Some(tags) = self.cache.clusters.get(cluster, now, AROUND_SECS) else { continue };
            let before = self.cache.container_instances.get(&node, now, 0);
            // Of two that an old agent left, the one that is connected shows how the node fares.
            if before.is_none_or(|before| !before.connected) {
                self.cache.container_instances.put(node, now, ecs::registered(row, (cluster.clone(), arn), tags));
            }
        }
    }

    /// A census of instances and container instances alone, which no look is to rest on.
    pub(in crate::aws) async fn take_registrations(&self, now: Timestamp) -> Result<Census, Blind> {
        // In this order: what was launched between the two is not registered yet, and is no ghost.
        let container_instances = self.all_container_instances(now).await?;
        let instances = self.all_instances().await?;
        let lists =
            Lists { instances, container_instances, statuses: Vec::new(), nodes: Vec::new(), groups: Vec::new() };
        Ok(Census::of(now, rows(&lists)))
    }

    async fn all_instances(&self) -> Result<Vec<Instance>, Blind> {
        // What is terminated counts nowhere, and stays in the list for an hour.
        let states = ["pending", "running", "shutting-down", "stopping", "stopped"].map(ToOwned::to_owned);
        let states = Filter::builder().name("instance-state-name").set_values(Some(states.to_vec())).build();
        let reservations = every_page!("DescribeInstances", reservations, PAGES_MAX, |token| {
            let request = self.clients.ec2.describe_instances().filters(states.clone());
            request.max_results(INSTANCES_A_PAGE).set_next_token(token)
        })?;
        Ok(reservations.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default()).collect())
    }

    async fn all_statuses(&self) -> Result<Vec<InstanceStatus>, Blind> {
        every_page!("DescribeInstanceStatus", instance_statuses, PAGES_MAX, |token| {
            self.clients.ec2.describe_instance_status().max_results(INSTANCES_A_PAGE).set_next_token(token)
        })
    }

    async fn all_nodes(&self) -> Result<Vec<InstanceInformation>, Blind> {
        every_page!("DescribeInstanceInformation", instance_information_list, PAGES_MAX, |token| {
            self.clients.ssm.describe_instance_information().max_results(NODES_A_PAGE).set_next_token(token)
        })
    }

    async fn all_groups(&self) -> Result<Vec<AutoScalingGroup>, Blind> {
        every_page!("DescribeAutoScalingGroups", auto_scaling_groups, PAGES_MAX, |token| {
            self.clients.autoscaling.describe_auto_scaling_groups().max_records(GROUPS_A_PAGE).set_next_token(token)
        })
    }

    async fn all_container_instances(&self, now: Timestamp) -> Result<Vec<(ClusterArn, ContainerInstance)>, Blind> {
        let clusters = self.clusters().await?;
        self.tags_of_clusters(&clusters, now).await?;
        let mut all = Vec::new();
        for cluster in clusters {
            let Some(arns) = self.container_instances_of(&cluster).await? else { continue };
            for some in arns.chunks(CONTAINER_INSTANCES_A_CALL) {
                let request = self.clients.ecs.describe_container_instances().cluster(cluster.as_str());
                let request = request.include(ContainerInstanceField::ContainerInstanceHealth);
                let answer = request.set_container_instances(Some(some.to_vec())).send().await;
                let output = answer.map_err(|error| Fault::of("DescribeContainerInstances", error).blind())?;
                // One that was deregistered between the two calls is a failure `MISSING`.
                let told = output.failures().len();
                let rows = output.container_instances.unwrap_or_default();
                if rows.len() + told < some.len() {
                    return Err(Blind::Empty);
                }
                all.extend(rows.into_iter().map(|row| (cluster.clone(), row)));
            }
        }
        Ok(all)
    }

    /// The container instances of a cluster; none: it was deleted a moment ago.
    async fn container_instances_of(&self, cluster: &ClusterArn) -> Result<Option<Vec<String>>, Blind> {
        let (mut arns, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.clients.ecs.list_container_instances().cluster(cluster.as_str());
            let answer = request.set_next_token(token.take()).send().await;
            let output = match answer.map_err(|error| Fault::of("ListContainerInstances", error)) {
                Ok(output) => output,
                Err(fault) if fault.kind == FaultKind::Absent => return Ok(None),
                Err(fault) => return Err(fault.blind()),
            };
            arns.extend(output.container_instance_arns.ok_or(Blind::Empty)?);
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(Some(arns));
            }
        }
        Err(Blind::Empty)
    }

    /// Warms the tags of clusters, so that a look does not read them one by one.
    async fn tags_of_clusters(&self, clusters: &[ClusterArn], now: Timestamp) -> Result<(), Blind> {
        let stale = |cluster: &&ClusterArn| self.cache.clusters.get(cluster, now, AROUND_SECS).is_none();
        let stale: Vec<String> = clusters.iter().filter(stale).map(|cluster| cluster.as_str().to_owned()).collect();
        for some in stale.chunks(CLUSTERS_A_CALL) {
            let request = self.clients.ecs.describe_clusters().set_clusters(Some(some.to_vec()));
            let answer = request.include(ClusterField::Tags).send().await;
            let output = answer.map_err(|error| Fault::of("DescribeClusters", error).blind())?;
            for row in output.clusters() {
                if let Some(Ok(arn)) = row.cluster_arn().map(str::parse::<ClusterArn>) {
                    let read = tags(row.tags().iter().map(|tag| (tag.key(), tag.value())));
                    self.cache.clusters.put(arn, now, read);
                }
            }
        }
        Ok(())
    }
}

/// The rows of a census that are kept as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) enum Rows {
    /// None.
    None,
    /// Those of the node that is looked at.
    Of(NodeId),
    /// Those of the nodes that look troubled, a few of them: a look at each follows.
    OfTroubled,
}

/// Whole lists of everything that counts.
struct Lists {
    instances: Vec<Instance>,
    statuses: Vec<InstanceStatus>,
    nodes: Vec<InstanceInformation>,
    container_instances: Vec<(ClusterArn, ContainerInstance)>,
    groups: Vec<asg::Seen>,
}

/// One row a node, from all lists. A managed node has no row of EC2's.
fn rows(lists: &Lists) -> Vec<Row> {
    let id = |text: Option<&str>| text.and_then(|text| text.parse::<NodeId>().ok());
    let mut rows: BTreeMap<NodeId, Row> = BTreeMap::new();
    for instance in &lists.instances {
        if let Some(node) = id(instance.instance_id()) {
            rows.insert(node, of_instance(node, instance));
        }
    }
    for status in &lists.statuses {
        if let Some(row) = id(status.instance_id()).and_then(|node| rows.get_mut(&node)) {
            row.checks = ec2::checks_of(status);
        }
    }
    for information in &lists.nodes {
        let Some(node) = id(information.instance_id()) else { continue };
        let seen = ssm::Row::of(information).map(|row| (row.ping, row.last_ping));
        if node.is_instance() {
            if let Some(row) = rows.get_mut(&node) {
                row.ssm = seen;
            }
        } else {
            rows.entry(node).or_insert_with(|| empty(node)).ssm = seen;
        }
    }
    for (cluster, container_instance) in &lists.container_instances {
        let Some(node) = id(container_instance.ec2_instance_id()) else { continue };
        let Some(found) = of_container_instance(cluster, container_instance) else { continue };
        let row = rows.entry(node).or_insert_with(|| empty(node));
        // An old agent registers a second one: the one that is connected shows how the node fares.
        if row.ecs.as_ref().is_none_or(|known| !known.connected) {
            row.ecs = Some(found);
        }
    }
    let member_of: BTreeMap<NodeId, (AutoScalingGroupName, Lifecycle)> = lists
        .groups
        .iter()
        .flat_map(|group| group.members.iter().map(|(node, lifecycle)| (*node, (group.name.clone(), *lifecycle))))
        .collect();
    for (node, member) in member_of {
        if let Some(row) = rows.get_mut(&node) {
            row.member = Some(member);
        }
    }
    rows.into_values().collect()
}

/// A node of which nothing is known but that it is there. An instance that EC2 does not list is gone.
fn empty(node: NodeId) -> Row {
    Row {
        node,
        state: node.is_instance().then_some(InstanceState::Terminated),
        launched_at: None,
        zone: None,
        subnet: None,
        security_groups: BTreeSet::new(),
        profile: None,
        image: None,
        checks: StatusChecks::UNDECIDED,
        ssm: None,
        ecs: None,
        member: None,
    }
}

fn of_instance(node: NodeId, instance: &Instance) -> Row {
    let groups = instance.security_groups().iter();
    Row {
        state: ec2::state(instance),
        launched_at: instance.launch_time().and_then(moment),
        zone: instance.placement().and_then(|placement| placement.availability_zone()?.parse().ok()),
        subnet: instance.subnet_id().and_then(|subnet| subnet.parse().ok()),
        security_groups: groups.filter_map(|group| group.group_id().map(ToOwned::to_owned)).collect(),
        profile: ec2::profile(instance).and_then(|profile| profile.parse().ok()),
        image: instance.image_id().and_then(|image| image.parse().ok()),
        ..empty(node)
    }
}

fn of_container_instance(cluster: &ClusterArn, row: &ContainerInstance) -> Option<EcsRow> {
    let agent = ecs::check_of(row, &InstanceHealthCheckType::AgentConnectivity);
    let runtime = ecs::check_of(row, &InstanceHealthCheckType::ContainerRuntime);
    let impaired = ecs::state_of(agent) == Check::Impaired;
    Some(EcsRow {
        cluster: cluster.clone(),
        arn: row.container_instance_arn()?.parse().ok()?,
        connected: row.agent_connected(),
        status: ecs::status_of(row),
        runtime_impaired: row.agent_connected() && ecs::state_of(runtime) == Check::Impaired,
        impaired_since: agent.filter(|_| impaired).and_then(|check| check.last_status_change().and_then(moment)),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceState as SdkState, InstanceStateName};
    use aws_smithy_types::DateTime;

    use super::*;

    #[test]
    fn lists_of_four_services_become_one_row_a_node() {
        let node = NodeId::numbered(1);
        let managed: NodeId = "mi-0a1b2c3d4e5f60718".parse().unwrap();
        let gone = NodeId::numbered(2);
        let state = SdkState::builder().name(InstanceStateName::Running).build();
        let pinged = |node: NodeId| {
            InstanceInformation::builder()
                .instance_id(node.to_string())
                .ping_status(aws_sdk_ssm::types::PingStatus::Online)
                .last_ping_date_time(DateTime::from_secs(1_800_000_000))
                .build()
        };
        let cluster: ClusterArn = "arn:aws:ecs:us-east-1:111122223333:cluster/blue".parse().unwrap();
        let registered = |node: NodeId, n: u8| {
            let arn = format!("arn:aws:ecs:us-east-1:111122223333:container-instance/blue/{n}");
            let row = ContainerInstance::builder().ec2_instance_id(node.to_string()).container_instance_arn(arn);
            (cluster.clone(), row.agent_connected(true).status("ACTIVE").build())
        };
        let lists = Lists {
            instances: vec![Instance::builder().instance_id(node.to_string()).state(state).build()],
            statuses: Vec::new(),
            nodes: vec![pinged(node), pinged(managed)],
            container_instances: vec![registered(node, 1), registered(gone, 2)],
            groups: Vec::new(),
        };
        let rows = rows(&lists);
        assert_eq!(rows.len(), 3);
        let of = |id| rows.iter().find(|row| row.node == id).unwrap();
        assert!(of(node).ssm.is_some() && of(node).ecs.is_some());
        assert_eq!(of(gone).state, Some(InstanceState::Terminated), "a ghost");
        assert_eq!(of(managed).state, None);
    }
}
