//! ECS: a container instance changed, or only the tasks on it did.

use super::envelope::{Claim, same_place};
use super::fields::{Fields, folded};
use super::{DropReason, Excerpt, GoneKind, SignalKind};
use crate::node::{AccountId, ClusterArn, ContainerInstanceArn, Home, NodeId, Region};

/// The names in an event about a container instance, all of them from home.
pub(super) struct Names {
    /// The machine, `i-…` or `mi-…`.
    pub(super) node: NodeId,
    /// The cluster.
    pub(super) cluster: Option<ClusterArn>,
    container_instance: Option<ContainerInstanceArn>,
}

impl Names {
    /// The names in `detail`; an ARN of another account or region turns the event away.
    pub(super) fn read(detail: Fields<'_>, event: Fields<'_>, home: &Home) -> Result<Self, DropReason> {
        let node = detail.node("ec2InstanceId")?;
        let cluster: Option<ClusterArn> = detail.name("clusterArn")?;
        if let Some(arn) = &cluster {
            at_home("clusterArn", arn.as_str(), home)?;
        }
        let mut container_instance: Option<ContainerInstanceArn> = detail.name("containerInstanceArn")?;
        if let Some(arn) = &container_instance {
            at_home("containerInstanceArn", arn.as_str(), home)?;
        } else {
            container_instance = from_resources(event);
            if let Some(arn) = &container_instance {
                at_home("resources", arn.as_str(), home)?;
            }
        }
        Ok(Self { node, cluster, container_instance })
    }

    /// The container instance, without which nothing can be read again.
    pub(super) fn container_instance(&self) -> Result<ContainerInstanceArn, DropReason> {
        self.container_instance.clone().ok_or(DropReason::Missing { field: "containerInstanceArn" })
    }
}

/// ECS lists the container instance among the event's resources as well.
fn from_resources(event: Fields<'_>) -> Option<ContainerInstanceArn> {
    event.value("resources")?.as_array()?.iter().find_map(|resource| resource.as_str()?.parse().ok())
}

/// Whether an ECS ARN lies in our account and region.
fn at_home(field: &'static str, arn: &str, home: &Home) -> Result<(), DropReason> {
    let mut parts = arn.split(':').skip(3);
    let bad = || DropReason::BadName { field, expected: "an ARN", given: Excerpt::of(arn) };
    let region: Region = parts.next().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    let account: AccountId = parts.next().and_then(|text| text.parse().ok()).ok_or_else(bad)?;
    same_place((field, account), (field, &region), home)
}

/// `ECS Container Instance State Change`. Sent for every task that comes or goes, too.
pub(super) fn state_change(detail: Fields<'_>, event: Fields<'_>, home: &Home) -> Result<Claim, DropReason> {
    // A status that is missing counts as ACTIVE: the price is one look, while the price of turning the event away is an
    // outage that only the sweep finds.
    let status = detail.text("status")?.unwrap_or("ACTIVE");
    match folded(status).as_str() {
        "inactive" => {
            let names = Names::read(detail, event, home)?;
            Ok((names.node, SignalKind::Gone { what: GoneKind::ContainerInstanceInactive }))
        }
        "active" | "draining" => connection(detail, event, home),
        _ => Err(DropReason::ContainerInstanceStatus { status: Excerpt::of(status.trim()) }),
    }
}

/// What an instance in service says about its agent.
fn connection(detail: Fields<'_>, event: Fields<'_>, home: &Home) -> Result<Claim, DropReason> {
    let connected = detail.need_bool("agentConnected")?;
    let names = Names::read(detail, event, home)?;
    if connected {
        return Ok((names.node, SignalKind::EcsConnected));
    }
    let container_instance = names.container_instance()?;
    let version = detail.value("version").and_then(serde_json::Value::as_u64);
    Ok((names.node, SignalKind::EcsDisconnected { container_instance, cluster: names.cluster, version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use serde_json::{Value, json};

    const INSTANCE: &str = "arn:aws:ecs:us-east-1:111122223333:container-instance/prod-web/6f1d0b7c9a3e4d52";

    fn claim(detail: &Value) -> Result<Claim, DropReason> {
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let event = json!({ "resources": [7, INSTANCE] });
        state_change(Fields(detail.as_object().unwrap()), Fields(event.as_object().unwrap()), &home)
    }

    fn detail(status: &str, connected: bool) -> Value {
        json!({
            "agentConnected": connected, "status": status, "version": 42, "ec2InstanceId": " mi-0a1b2c3d4e5f60718",
            "containerInstanceArn": INSTANCE, "clusterArn": "arn:aws:ecs:us-east-1:111122223333:cluster/prod-web"
        })
    }

    #[test]
    fn only_instances_in_service_tell_about_their_agent() {
        let verdict = |status, connected| match claim(&detail(status, connected)) {
            Ok((_, kind)) => kind.name(),
            Err(reason) => reason.name(),
        };
        for status in ["ACTIVE", "DRAINING", "active"] {
            assert_eq!((verdict(status, false), verdict(status, true)), ("ecs-disconnected", "ecs-connected"));
        }
        for status in ["REGISTERING", "DEREGISTERING", "REGISTRATION_FAILED", "NEW"] {
            assert_eq!(verdict(status, false), "container-instance-status", "{status}");
        }
        assert_eq!((verdict("INACTIVE", false), verdict("INACTIVE", true)), ("gone", "gone"));
    }

    #[test]
    fn a_missing_status_still_earns_a_look() {
        let mut event = detail("ACTIVE", false);
        event.as_object_mut().unwrap().remove("status");
        assert_eq!(claim(&event).unwrap().1.name(), "ecs-disconnected");
    }

    #[test]
    fn a_version_that_is_no_version_is_left_out() {
        for (version, read) in [(json!(42), Some(42)), (json!(-1), None), (json!(1.0e300), None), (json!("42"), None)] {
            let mut event = detail("ACTIVE", false);
            event["version"] = version;
            let SignalKind::EcsDisconnected { version, .. } = claim(&event).unwrap().1 else {
                panic!("not disconnected")
            };
            assert_eq!(version, read);
        }
    }

    #[test]
    fn arns_of_other_accounts_and_regions_are_foreign() {
        for (field, arn, name) in [
            ("clusterArn", "arn:aws:ecs:us-east-1:444455556666:cluster/prod-web", "foreign-account"),
            ("containerInstanceArn", "arn:aws:ecs:eu-west-1:111122223333:container-instance/x", "foreign-region"),
            ("containerInstanceArn", "arn:aws:ecs:us-east-1:444455556666:container-instance/x", "foreign-account"),
            ("clusterArn", "prod-web", "bad-name"),
        ] {
            for (status, connected) in [("ACTIVE", false), ("ACTIVE", true), ("INACTIVE", false)] {
                let mut event = detail(status, connected);
                event[field] = json!(arn);
                let reason = claim(&event).unwrap_err();
                assert_eq!((reason.verdict(), reason.name()), (Verdict::Rejected, name));
            }
        }
    }

    #[test]
    fn the_resources_name_the_container_instance_when_the_detail_does_not() {
        let mut event = detail("ACTIVE", false);
        event.as_object_mut().unwrap().remove("containerInstanceArn");
        assert_eq!(claim(&event).unwrap().1.name(), "ecs-disconnected");
    }

    #[test]
    fn without_a_machine_there_is_nothing_to_look_at() {
        for status in ["ACTIVE", "INACTIVE"] {
            let mut event = detail(status, false);
            event.as_object_mut().unwrap().remove("ec2InstanceId");
            assert_eq!(claim(&event).unwrap_err().name(), "no-id");
        }
    }
}
