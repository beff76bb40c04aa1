//! What only `defib check` reads of a node: no decision of the engine rests on it.

use aws_sdk_ec2::types::InstanceAttributeName;
use aws_sdk_ecs::types::AgentUpdateStatus;
use aws_sdk_ssm::types::{
    DescribeActivationsFilter, DescribeActivationsFilterKeys, InstanceInformation, InstanceInformationStringFilter,
};

use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::aws::translate::moment;
use crate::diagnose::identity::Activation;
use crate::diagnose::registration::{ClusterState, Configured, EcsAgent, Registration, configured};
use crate::node::{ClusterArn, ContainerInstanceArn, NodeId};
use crate::observe::{Blind, Ecs, Fact};

impl Nodes {
    /// The whole row of Systems Manager. Absent: not listed.
    pub(super) async fn listed_row(&self, node: NodeId) -> Fact<InstanceInformation> {
        let id = node.to_string();
        let filter = InstanceInformationStringFilter::builder().key("InstanceIds").values(&id).build();
        let Ok(filter) = filter else { return Fact::Unknown(Blind::NotRead) };
        let answer = self.clients.ssm.describe_instance_information().filters(filter).send().await;
        match answer.map_err(|error| Fault::of("DescribeInstanceInformation", error)) {
            Ok(output) => {
                let Some(rows) = output.instance_information_list else { return Fact::Unknown(Blind::Empty) };
                let row = rows.into_iter().find(|row| row.instance_id() == Some(id.as_str()));
                row.map_or(Fact::Absent, Fact::Known)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    /// The activation that a managed node registered with. Absent: it is there no more.
    pub(super) async fn activation(&self, id: &str) -> Fact<Activation> {
        let keys = DescribeActivationsFilterKeys::ActivationIds;
        let filter = DescribeActivationsFilter::builder().filter_key(keys).filter_values(id).build();
        let answer = self.clients.ssm.describe_activations().filters(filter).send().await;
        let output = match answer.map_err(|error| Fault::of("DescribeActivations", error)) {
            Ok(output) => output,
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let Some(row) = output.activation_list().iter().find(|row| row.activation_id() == Some(id)) else {
            // The rest of the list may hold it.
            let more = output.next_token().is_some_and(|token| !token.is_empty());
            return if more { Fact::Unknown(Blind::Empty) } else { Fact::Absent };
        };
        let number = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
        let counts = (number(row.registration_limit()), number(row.registrations_count()));
        match (row.expiration_date().and_then(moment), counts) {
            (Some(expires_at), (Some(limit), Some(count))) => Fact::Known(Activation { expires_at, limit, count }),
            (Some(_) | None, _) => Fact::Unknown(Blind::Empty),
        }
    }

    /// Where a node belongs, as user data and ECS say.
    pub(super) async fn registration(&self, node: NodeId, ecs: &Fact<Ecs>) -> Registration {
        let configured = if node.is_instance() { self.configured(node).await } else { Fact::Absent };
        let named = match (ecs, &configured) {
            (Fact::Known(ecs), _) => Some(ecs.cluster.as_str().to_owned()),
            (Fact::Absent | Fact::Unknown(_), Fact::Known(Configured::Named(name))) => Some(name.as_ref().to_owned()),
            (Fact::Absent | Fact::Unknown(_), Fact::Known(Configured::Hidden) | Fact::Absent | Fact::Unknown(_)) => {
                None
            }
        };
        let cluster = match named {
            Some(name) => self.cluster_state(&name).await,
            None => Fact::Unknown(Blind::NotRead),
        };
        let agent = match ecs {
            Fact::Known(ecs) => self.ecs_agent(&ecs.cluster, &ecs.arn).await,
            Fact::Absent => Fact::Absent,
            Fact::Unknown(blind) => Fact::Unknown(*blind),
        };
        Registration { configured, cluster, agent }
    }

    async fn configured(&self, node: NodeId) -> Fact<Configured> {
        let request = self.clients.ec2.describe_instance_attribute();
        let request = request.instance_id(node.to_string()).attribute(InstanceAttributeName::UserData);
        let output = match request.send().await.map_err(|error| Fault::of("DescribeInstanceAttribute", error)) {
            Ok(output) => output,
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let Some(value) = output.user_data().and_then(|attribute| attribute.value()) else { return Fact::Absent };
        let compact: String = value.split_whitespace().collect();
        aws_smithy_types::base64::decode(compact).map_or(Fact::Unknown(Blind::Empty), |bytes| configured(&bytes))
    }

    /// The state of a cluster, by its name or ARN.
    async fn cluster_state(&self, cluster: &str) -> Fact<ClusterState> {
        let answer = self.clients.ecs.describe_clusters().clusters(cluster).send().await;
        match answer.map_err(|error| Fault::of("DescribeClusters", error)) {
            Ok(output) => match (output.clusters().first().and_then(|row| row.status()), output.failures().first()) {
                (Some(status), _) => Fact::Known(ClusterState::named(status)),
                (None, Some(failure)) if failure.reason() == Some("MISSING") => Fact::Absent,
                (None, Some(_) | None) => Fact::Unknown(Blind::Empty),
            },
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    async fn ecs_agent(&self, cluster: &ClusterArn, arn: &ContainerInstanceArn) -> Fact<EcsAgent> {
        let request = self.clients.ecs.describe_container_instances().cluster(cluster.as_str());
        let answer = request.container_instances(arn.as_str()).send().await;
        let output = match answer.map_err(|error| Fault::of("DescribeContainerInstances", error)) {
            Ok(output) => output,
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let Some(row) = output.container_instances().first() else { return Fact::Unknown(Blind::Empty) };
        let version = row.version_info().and_then(|info| info.agent_version()).and_then(|text| text.parse().ok());
        let update_failed = row.agent_update_status() == Some(&AgentUpdateStatus::Failed);
        version.map_or(Fact::Absent, |version| Fact::Known(EcsAgent { version, update_failed }))
    }
}
