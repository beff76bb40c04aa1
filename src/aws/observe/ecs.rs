//! ECS's view of a node, and where its container instance is.

use aws_sdk_ecs::types::{
    ClusterField, ContainerInstance, ContainerInstanceField, DesiredStatus, InstanceHealthCheckResult,
    InstanceHealthCheckState, InstanceHealthCheckType,
};
use jiff::Timestamp;

use super::workload::TASKS_A_CALL;
use crate::aws::cache::{AROUND_SECS, CENSUS_SECS, PLACE_SECS};
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::{count, moment, tags};
use crate::node::{ClusterArn, ContainerInstanceArn, NodeId};
use crate::observe::{Blind, Check, Ecs, EcsStatus, Fact, Look, Tags};

/// A node's cluster and container instance.
pub(super) type Place = (ClusterArn, ContainerInstanceArn);

/// Where nothing is decided, a node stays in no cluster for so long, in seconds.
const NOWHERE_SECS: i64 = 1_800;
/// Pages that a search reads at most.
const PAGES_MAX: usize = 100;

impl Nodes {
    /// ECS's view: of the container instance that the look names, else of the one that a search finds.
    pub(super) async fn ecs(&self, node: NodeId, look: &Look, now: Timestamp) -> Fact<Ecs> {
        let named = look.container_instance.clone().filter(|(cluster, arn)| self.is_home(cluster, arn));
        if let Some(place) = named.clone().or_else(|| self.cache.places.get(&node, now, PLACE_SECS).flatten()) {
            match self.container_instance(node, &place, look.close && !look.only_ecs, now).await {
                // Deregistered, or another node's: it may have registered anew, with another ARN.
                Ok(seen) if seen.as_ref().is_none_or(|seen| seen.status == EcsStatus::Inactive) => {
                    self.cache.places.forget(&node);
                    let again = self.search(node, &[place.0], now).await;
                    return match again {
                        Ok(Some(place)) => self.described(node, &place, look.close && !look.only_ecs, now).await,
                        Ok(None) => seen.map_or(Fact::Absent, Fact::Known),
                        Err(blind) => Fact::Unknown(blind),
                    };
                }
                Ok(seen) => return seen.map_or(Fact::Absent, Fact::Known),
                Err(blind) => return Fact::Unknown(blind),
            }
        }
        match self.place(node, look, now).await {
            Ok(Some(place)) => self.described(node, &place, look.close && !look.only_ecs, now).await,
            Ok(None) => Fact::Absent,
            Err(blind) => Fact::Unknown(blind),
        }
    }

    async fn described(&self, node: NodeId, place: &Place, close: bool, now: Timestamp) -> Fact<Ecs> {
        match self.container_instance(node, place, close, now).await {
            Ok(seen) => seen.map_or(Fact::Absent, Fact::Known),
            Err(blind) => Fact::Unknown(blind),
        }
    }

    /// Where a node's container instance is; none: in no cluster. The last census knows, or the clusters are searched.
    async fn place(&self, node: NodeId, look: &Look, now: Timestamp) -> Result<Option<Place>, Blind> {
        if let Some(Some(place)) = self.cache.places.get(&node, now, PLACE_SECS) {
            return Ok(Some(place));
        }
        // Who was in no cluster may have come into one: a decision goes by the census of this look. Elsewhere a search, which asks
        // every cluster, is spared for as long as an incident usually lasts.
        let nowhere = if look.close { AROUND_SECS } else { NOWHERE_SECS };
        if self.cache.places.get(&node, now, nowhere) == Some(None) {
            return Ok(None);
        }
        let holds = if look.close { AROUND_SECS } else { CENSUS_SECS };
        let counted = self.cache.census(now, holds).map(|census| (census.place(node), census.at));
        let (found, at) = match counted {
            Some((Fact::Known(place), at)) => (Some(place), at),
            Some((Fact::Absent, at)) => (None, at),
            Some((Fact::Unknown(_), _)) | None => {
                let clusters = self.clusters().await?;
                (self.search(node, &clusters, now).await?, now)
            }
        };
        self.cache.places.put(node, at, found.clone());
        Ok(found)
    }

    /// Every cluster of the account and region.
    pub(super) async fn clusters(&self) -> Result<Vec<ClusterArn>, Blind> {
        let (mut clusters, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let answer = self.clients.ecs.list_clusters().set_next_token(token.take()).send().await;
            let output = answer.map_err(|error| Fault::of("ListClusters", error).blind())?;
            let page = output.cluster_arns.ok_or(Blind::Empty)?;
            clusters.extend(page.iter().filter_map(|arn| arn.parse().ok()));
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(clusters);
            }
        }
        Err(Blind::Empty)
    }

    /// Searches clusters for a node's container instance. The cluster query language compares attributes of the instance.
    async fn search(&self, node: NodeId, clusters: &[ClusterArn], now: Timestamp) -> Result<Option<Place>, Blind> {
        for cluster in clusters {
            let request = self.clients.ecs.list_container_instances().cluster(cluster.as_str());
            let answer = request.filter(format!("ec2InstanceId == {node}")).send().await;
            let output = match answer.map_err(|error| Fault::of("ListContainerInstances", error)) {
                Ok(output) => output,
                // Deleted a moment ago.
                Err(fault) if fault.kind == FaultKind::Absent => continue,
                Err(fault) => return Err(fault.blind()),
            };
            // An old agent registers a second one for the same instance: the newest comes last, and either shows the node.
            let arns = output.container_instance_arns.ok_or(Blind::Empty)?;
            // The rest of the list may hold it.
            if arns.is_empty() && output.next_token.is_some_and(|token| !token.is_empty()) {
                return Err(Blind::Empty);
            }
            if let Some(arn) = arns.last().and_then(|arn| arn.parse().ok()) {
                let place = (cluster.clone(), arn);
                self.cache.places.put(node, now, Some(place.clone()));
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// One container instance; none: ECS does not know it, or it is another node's.
    async fn container_instance(
        &self,
        node: NodeId,
        place: &Place,
        close: bool,
        now: Timestamp,
    ) -> Result<Option<Ecs>, Blind> {
        let (cluster, arn) = place;
        let request = self.clients.ecs.describe_container_instances().cluster(cluster.as_str());
        let request = request.container_instances(arn.as_str());
        let request = request.include(ContainerInstanceField::ContainerInstanceHealth);
        let (answer, tags) = tokio::join!(request.send(), self.cluster_tags(cluster, close, now));
        let output = match answer.map_err(|error| Fault::of("DescribeContainerInstances", error)) {
            Ok(output) => output,
            Err(fault) if fault.kind == FaultKind::Absent => return Ok(None),
            Err(fault) => return Err(fault.blind()),
        };
        let (row, missing) = (output.container_instances().first(), output.failures().iter().any(is_missing));
        match row {
            None if missing => Ok(None),
            None => Err(Blind::Empty),
            Some(row) if row.ec2_instance_id() != Some(node.to_string().as_str()) => Ok(None),
            Some(row) => {
                self.cache.places.put(node, now, Some(place.clone()));
                Ok(Some(registered(row, place.clone(), tags?)))
            }
        }
    }

    /// The same with all its tasks, where the look asks for them. ECS's counts leave out tasks that are told to stop and have not: their
    /// connections still live.
    pub(super) async fn with_stopping(&self, seen: Fact<Ecs>, look: &Look) -> Fact<Ecs> {
        match seen {
            Fact::Known(ecs) if look.stopping && ecs.status == EcsStatus::Draining && ecs.tasks == 0 => {
                match self.stopping(&ecs).await {
                    Ok(tasks) => Fact::Known(Ecs { tasks, ..ecs }),
                    Err(blind) => Fact::Unknown(blind),
                }
            }
            seen => seen,
        }
    }

    /// Tasks on a container instance that are told to stop, and have not stopped.
    ///
    /// `runningTasksCount` and `pendingTasksCount` know nothing of `DEACTIVATING`, `STOPPING` and `DEPROVISIONING`
    /// ([life cycle](https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html)). Not verified on a
    /// real account.
    async fn stopping(&self, ecs: &Ecs) -> Result<u32, Blind> {
        let cluster = ecs.cluster.as_str();
        let arns = self.task_arns(ecs, Some(DesiredStatus::Stopped)).await?;
        let mut stopping = 0;
        for some in arns.chunks(TASKS_A_CALL) {
            let request = self.clients.ecs.describe_tasks().cluster(cluster).set_tasks(Some(some.to_vec()));
            let output = request.send().await.map_err(|error| Fault::of("DescribeTasks", error).blind())?;
            let rows = output.tasks.ok_or(Blind::Empty)?;
            stopping += rows.iter().filter(|task| task.last_status() != Some("STOPPED")).count();
        }
        Ok(u32::try_from(stopping).unwrap_or(u32::MAX))
    }

    /// The same with its cluster's tags as they are now, once a decision may follow.
    pub(super) async fn with_fresh_tags(&self, seen: Fact<Ecs>, now: Timestamp) -> Fact<Ecs> {
        let Fact::Known(ecs) = seen else { return seen };
        match self.cluster_tags(&ecs.cluster, true, now).await {
            Ok(cluster_tags) => Fact::Known(Ecs { cluster_tags, ..ecs }),
            Err(blind) => Fact::Unknown(blind),
        }
    }

    /// A cluster's tags: fresh enough for a decision where one may follow.
    async fn cluster_tags(&self, cluster: &ClusterArn, close: bool, now: Timestamp) -> Result<Tags, Blind> {
        let holds = if close { AROUND_SECS } else { CENSUS_SECS };
        if let Some(known) = self.cache.clusters.get(cluster, now, holds) {
            return Ok(known);
        }
        let request = self.clients.ecs.describe_clusters().clusters(cluster.as_str()).include(ClusterField::Tags);
        let output = request.send().await.map_err(|error| Fault::of("DescribeClusters", error).blind())?;
        let row = output.clusters().first().ok_or(Blind::Empty)?;
        let read = tags(row.tags().iter().map(|tag| (tag.key(), tag.value())));
        self.cache.clusters.put(cluster.clone(), now, read);
        Ok(read)
    }

    /// Whether a cluster and a container instance are of the account and region that we look after (S13).
    fn is_home(&self, cluster: &ClusterArn, arn: &ContainerInstanceArn) -> bool {
        let home = format!(":ecs:{}:{}:", self.home.region, self.home.account);
        [cluster.as_str(), arn.as_str()].into_iter().all(|arn| arn.contains(&home))
    }
}

fn is_missing(failure: &aws_sdk_ecs::types::Failure) -> bool {
    failure.reason() == Some("MISSING")
}

/// A container instance as ECS describes it.
pub(super) fn registered(row: &ContainerInstance, (cluster, arn): Place, cluster_tags: Tags) -> Ecs {
    let check = |kind| check_of(row, &kind);
    let (agent, runtime) =
        (check(InstanceHealthCheckType::AgentConnectivity), check(InstanceHealthCheckType::ContainerRuntime));
    let (agent_check, runtime_check) = (state_of(agent), state_of(runtime));
    // Of a node whose agent is away, what its runtime does is not known.
    let runtime_check = if row.agent_connected() { runtime_check } else { Check::Undecided };
    let since = |row: Option<&InstanceHealthCheckResult>| row?.last_status_change().and_then(moment);
    let impaired_since = match (agent_check, runtime_check) {
        (Check::Impaired, _) => since(agent),
        (Check::Ok | Check::Undecided, Check::Impaired) => since(runtime),
        (Check::Ok | Check::Undecided, Check::Ok | Check::Undecided) => None,
    };
    Ecs {
        cluster,
        arn,
        connected: row.agent_connected(),
        status: status_of(row),
        tasks: count(row.running_tasks_count()).saturating_add(count(row.pending_tasks_count())),
        agent_check,
        runtime_check,
        impaired_since,
        cluster_tags,
    }
}

/// A container instance's status.
pub(super) fn status_of(row: &ContainerInstance) -> EcsStatus {
    match row.status().unwrap_or_default() {
        "ACTIVE" => EcsStatus::Active,
        "DRAINING" => EcsStatus::Draining,
        "INACTIVE" => EcsStatus::Inactive,
        // Registering, deregistering, and what is not known yet.
        _ => EcsStatus::Transitional,
    }
}

/// One health check of a container instance.
pub(super) fn check_of<'a>(
    row: &'a ContainerInstance,
    kind: &InstanceHealthCheckType,
) -> Option<&'a InstanceHealthCheckResult> {
    row.health_status()?.details().iter().find(|check| check.r#type() == Some(kind))
}

/// What a health check says.
pub(super) fn state_of(check: Option<&InstanceHealthCheckResult>) -> Check {
    match check.and_then(|check| check.status()) {
        Some(InstanceHealthCheckState::Ok) => Check::Ok,
        Some(InstanceHealthCheckState::Impaired) => Check::Impaired,
        // Initializing, not enough data, not reported by an old agent.
        Some(_) | None => Check::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ecs::types::ContainerInstanceHealthStatus;
    use aws_smithy_types::DateTime;

    use super::*;

    fn place() -> Place {
        let arn = "arn:aws:ecs:us-east-1:111122223333:";
        (format!("{arn}cluster/blue").parse().unwrap(), format!("{arn}container-instance/blue/c0ffee").parse().unwrap())
    }

    fn row(connected: bool, checks: &[(InstanceHealthCheckType, InstanceHealthCheckState)]) -> ContainerInstance {
        let check = |(kind, state): &(InstanceHealthCheckType, InstanceHealthCheckState)| {
            let check = InstanceHealthCheckResult::builder().r#type(kind.clone()).status(state.clone());
            check.last_status_change(DateTime::from_secs(1_800_000_000)).build()
        };
        let health = ContainerInstanceHealthStatus::builder().set_details(Some(checks.iter().map(check).collect()));
        ContainerInstance::builder()
            .agent_connected(connected)
            .status("ACTIVE")
            .running_tasks_count(3)
            .pending_tasks_count(1)
            .health_status(health.build())
            .build()
    }

    fn seen(row: &ContainerInstance) -> Ecs {
        registered(row, place(), Tags::default())
    }

    #[test]
    fn checks_are_those_of_the_agent_and_of_the_runtime() {
        use InstanceHealthCheckState::{Impaired, Ok};
        use InstanceHealthCheckType::{AcceleratedCompute, AgentConnectivity, ContainerRuntime};
        let sick =
            seen(&row(true, &[(AcceleratedCompute, Impaired), (AgentConnectivity, Ok), (ContainerRuntime, Impaired)]));
        assert_eq!((sick.agent_check, sick.runtime_check), (Check::Ok, Check::Impaired));
        assert!(sick.impaired_since.is_some() && sick.tasks == 4);
        let lost = seen(&row(false, &[(AgentConnectivity, Impaired), (ContainerRuntime, Ok)]));
        assert_eq!((lost.agent_check, lost.runtime_check), (Check::Impaired, Check::Undecided), "nobody can tell");
    }

    #[test]
    fn what_an_old_agent_does_not_report_is_undecided() {
        let seen = seen(&ContainerInstance::builder().agent_connected(true).status("ACTIVE").build());
        assert_eq!((seen.agent_check, seen.runtime_check), (Check::Undecided, Check::Undecided));
        assert_eq!((seen.impaired_since, seen.connected), (None, true));
    }

    #[test]
    fn a_status_that_is_not_known_is_on_its_way() {
        let status = |text: &str| status_of(&ContainerInstance::builder().status(text).build());
        assert_eq!(status("DRAINING"), EcsStatus::Draining);
        assert_eq!(status("INACTIVE"), EcsStatus::Inactive);
        assert_eq!(status("REGISTRATION_FAILED"), EcsStatus::Transitional);
        assert_eq!(status("SOMETHING_NEW"), EcsStatus::Transitional);
    }
}
