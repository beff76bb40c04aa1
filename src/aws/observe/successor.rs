//! Who came in the place of a container instance that was replaced, and whether its services have their tasks again.
//!
//! Asked only once the group is whole: two calls at most, for one cluster and the few services that had tasks on the old node.

use aws_sdk_ecs::types::{ContainerInstanceStatus, Service};
use jiff::Timestamp;

use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::node::ClusterArn;
use crate::observe::{Blind, Fact, Look, Observation, Succession, Successor};

impl Nodes {
    /// What came in the place of a node that was replaced. Absent: it was in no cluster.
    pub(super) async fn successor(&self, seen: &Observation, asked: &Succession, look: &Look) -> Fact<Successor> {
        let Some((cluster, _)) = &look.container_instance else { return Fact::Absent };
        if !seen.group_is_whole() {
            return Fact::Unknown(Blind::NotRead);
        }
        match self.has_registered_since(cluster, asked.since).await {
            // Before somebody is there for them the services need not be asked for.
            Ok(false) => Fact::Known(Successor { registered: false, at_desired: false }),
            Ok(true) => match self.at_desired(cluster, asked).await {
                Ok(at_desired) => Fact::Known(Successor { registered: true, at_desired }),
                Err(blind) => Fact::Unknown(blind),
            },
            Err(blind) => Fact::Unknown(blind),
        }
    }

    /// Whether a container instance whose agent is connected has registered in a cluster since.
    async fn has_registered_since(&self, cluster: &ClusterArn, since: Timestamp) -> Result<bool, Blind> {
        let request = self.clients.ecs.list_container_instances().cluster(cluster.as_str());
        let request = request.status(ContainerInstanceStatus::Active).filter(registered_since(since));
        let output = request.send().await.map_err(|error| Fault::of("ListContainerInstances", error).blind())?;
        let arns = output.container_instance_arns.ok_or(Blind::Empty)?;
        // The rest of the list may hold one.
        if arns.is_empty() && output.next_token.is_some_and(|token| !token.is_empty()) {
            return Err(Blind::Empty);
        }
        Ok(!arns.is_empty())
    }

    /// Whether every service that had tasks on the node runs as many as it wants. One that is gone since wants none.
    async fn at_desired(&self, cluster: &ClusterArn, asked: &Succession) -> Result<bool, Blind> {
        if asked.services.is_empty() {
            return Ok(true);
        }
        let names: Vec<String> = asked.services.iter().map(|name| name.as_str().to_owned()).collect();
        let request = self.clients.ecs.describe_services().cluster(cluster.as_str()).set_services(Some(names));
        let output = request.send().await.map_err(|error| Fault::of("DescribeServices", error).blind())?;
        let (services, gone) = (output.services.unwrap_or_default(), output.failures.unwrap_or_default());
        if services.len().saturating_add(gone.len()) < asked.services.len() {
            return Err(Blind::Empty);
        }
        Ok(services.iter().all(runs_what_it_wants))
    }
}

fn runs_what_it_wants(service: &Service) -> bool {
    service.running_count() >= service.desired_count()
}

/// The filter in the cluster query language, which takes no fractions of seconds.
fn registered_since(since: Timestamp) -> String {
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since).to_string().replace('Z', "+00:00");
    format!("registeredAt > {since} and agentConnected == true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_written_as_ecs_writes_it() {
        let since: Timestamp = "2026-11-20T12:00:00.5Z".parse().unwrap();
        let filter = registered_since(since);
        assert_eq!(filter, "registeredAt > 2026-11-20T12:00:00+00:00 and agentConnected == true");
    }

    #[test]
    fn a_service_runs_what_it_wants_or_more() {
        let service = |running, wanted| Service::builder().running_count(running).desired_count(wanted).build();
        assert!(runs_what_it_wants(&service(3, 3)) && runs_what_it_wants(&service(4, 3)));
        assert!(!runs_what_it_wants(&service(2, 3)));
    }
}
