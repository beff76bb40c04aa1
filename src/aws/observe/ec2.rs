//! EC2's view of an instance.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    DeviceType, Instance, InstanceAttributeName, InstanceLifecycleType, InstanceStateName, InstanceStatus,
    InstanceStatusSummary, InstanceType, SummaryStatus,
};
use jiff::Timestamp;

use crate::aws::cache::PLACE_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::{moment, tags};
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Blind, Check, Ec2, Fact, InstanceState, Manager, StopGates};
use crate::time::secs_between;

/// The tag by which Auto Scaling marks its members; Standby does not take it away.
const GROUP_TAG: &str = "aws:autoscaling:groupName";
/// The address of an interface whose owner is this is an automatic one, and not an Elastic IP.
const AUTOMATIC_OWNER: &str = "amazon";
/// Status checks hold for so long, in seconds.
const CHECKS_SECS: i64 = 90;
/// The row of a terminated instance is kept for so long, in seconds: EC2 forgets it after an hour.
const OVER_SECS: i64 = 1_800;
/// A launch that is younger than this, in seconds, may be a stop and start of ours, whose proof wants the status checks.
pub(super) const YOUNG_SECS: i64 = 1_800;

/// The status checks, and what only further calls say of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Further {
    /// The two checks, when they were read.
    pub checks: Option<(Check, Check)>,
    /// `DisableApiStop`.
    pub stop_protected: Option<bool>,
    /// The instance type has instance storage.
    pub storage: Option<bool>,
}

impl Nodes {
    /// The row of one instance. Absent: EC2 does not know the id.
    pub(super) async fn instance_row(&self, node: NodeId, now: Timestamp) -> Fact<Instance> {
        // Nothing more becomes of it.
        if let Some(over) = self.cache.over.get(&node, now, OVER_SECS) {
            return Fact::Known(over);
        }
        let answer = self.clients.ec2.describe_instances().instance_ids(node.to_string()).send().await;
        let output = match answer.map_err(|error| Fault::of("DescribeInstances", &error)) {
            Ok(output) => output,
            Err(fault) if fault.kind == FaultKind::Absent => return Fact::Absent,
            Err(fault) => return Fact::Unknown(fault.blind()),
        };
        let id = node.to_string();
        let rows = output.reservations.unwrap_or_default();
        let mut rows = rows.into_iter().flat_map(|reservation| reservation.instances.unwrap_or_default());
        // Asked for one id, EC2 answers with it or with an error.
        let Some(row) = rows.find(|row| row.instance_id() == Some(id.as_str())) else {
            return Fact::Unknown(Blind::Empty);
        };
        if state(&row) == Some(InstanceState::Terminated) {
            self.cache.over.put(node, now, row.clone());
        }
        if let Some(kind) = row.instance_type() {
            self.cache.kinds.put(node, now, kind.clone());
        }
        Fact::Known(row)
    }

    /// The row of one instance, which may be so many seconds old, and when it was read.
    pub(super) async fn instance_row_since(
        &self,
        node: NodeId,
        secs: i64,
        now: Timestamp,
    ) -> (Fact<Instance>, Timestamp) {
        if let Some((at, row)) = self.cache.instances.dated(&node, now, secs) {
            return (Fact::Known(row), at);
        }
        let read = self.instance_row(node, now).await;
        if let Fact::Known(row) = &read {
            self.cache.instances.put(node, now, row.clone());
        }
        (read, now)
    }

    /// The two status checks of one instance.
    pub(super) async fn checks(&self, node: NodeId, now: Timestamp) -> Result<(Check, Check), Blind> {
        if let Some(known) = self.cache.checks.get(&node, now, CHECKS_SECS) {
            return Ok(known);
        }
        let request = self.clients.ec2.describe_instance_status();
        let answer = request.instance_ids(node.to_string()).include_all_instances(true).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceStatus", &error).blind())?;
        let id = node.to_string();
        let rows = output.instance_statuses.unwrap_or_default();
        let checks =
            rows.iter().find(|row| row.instance_id() == Some(id.as_str())).map(checks_of).ok_or(Blind::Empty)?;
        self.cache.checks.put(node, now, checks);
        Ok(checks)
    }

    /// `DisableApiStop`.
    pub(super) async fn stop_protected(&self, node: NodeId, now: Timestamp) -> Result<bool, Blind> {
        if let Some(known) = self.cache.stop_protected.get(&node, now, PLACE_SECS) {
            return Ok(known);
        }
        let request = self.clients.ec2.describe_instance_attribute();
        let request = request.instance_id(node.to_string()).attribute(InstanceAttributeName::DisableApiStop);
        let answer = request.send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceAttribute", &error).blind())?;
        let value = output.disable_api_stop.and_then(|attribute| attribute.value).ok_or(Blind::Empty)?;
        self.cache.stop_protected.put(node, now, value);
        Ok(value)
    }

    /// Whether instances of a type have instance storage.
    pub(super) async fn has_storage(&self, kind: Option<&InstanceType>, now: Timestamp) -> Result<bool, Blind> {
        let Some(kind) = kind else { return Err(Blind::Empty) };
        let name = kind.as_str().to_owned();
        if let Some(known) = self.cache.storage.ever(&name) {
            return Ok(known);
        }
        let answer = self.clients.ec2.describe_instance_types().instance_types(kind.clone()).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceTypes", &error).blind())?;
        let row = output.instance_types.unwrap_or_default().into_iter().next();
        let value = row.and_then(|row| row.instance_storage_supported).ok_or(Blind::Empty)?;
        self.cache.storage.put(name, now, value);
        Ok(value)
    }

    /// What is known of the gates of a stop without another call.
    pub(super) fn gates_known(&self, node: NodeId, row: &Instance, now: Timestamp) -> Further {
        let kind = row.instance_type().map(|kind| kind.as_str().to_owned());
        Further {
            checks: None,
            stop_protected: self.cache.stop_protected.get(&node, now, PLACE_SECS),
            storage: kind.and_then(|kind| self.cache.storage.ever(&kind)),
        }
    }
}

/// An instance as EC2 describes it. What no further call said of a stop forbids it: only a look that asked decides about one.
pub(super) fn instance(row: &Instance, further: Further) -> Fact<Ec2> {
    let (Some(state), Some(launched_at)) = (state(row), row.launch_time().and_then(moment)) else {
        return Fact::Unknown(Blind::Empty);
    };
    let zone = row.placement().and_then(|placement| placement.availability_zone());
    let Some(zone) = zone.and_then(|zone| zone.parse().ok()) else { return Fact::Unknown(Blind::Empty) };
    let (system_check, instance_check) = match further.checks {
        Some(checks) if state == InstanceState::Running => checks,
        Some(_) | None => (Check::Undecided, Check::Undecided),
    };
    let automatic = row.network_interfaces().iter().any(|interface| {
        let owner = interface.association().and_then(|association| association.ip_owner_id());
        owner == Some(AUTOMATIC_OWNER)
    });
    Fact::Known(Ec2 {
        state,
        launched_at,
        system_check,
        instance_check,
        name: tag(row, "Name").and_then(|name| name.parse().ok()),
        zone,
        tags: tags(row.tags().iter().map(|tag| (tag.key(), tag.value()))),
        manager: manager(row),
        stop: StopGates {
            instance_store_root: row.root_device_type() == Some(&DeviceType::InstanceStore),
            instance_store_data: further.storage.unwrap_or(true),
            spot: row.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
            stop_protected: further.stop_protected.unwrap_or(true),
            public_address_changes: automatic,
        },
    })
}

/// Whether a look that reads the checks only where they may matter reads them.
pub(super) fn is_young(row: &Instance, now: Timestamp) -> bool {
    row.launch_time().and_then(moment).is_some_and(|launched| secs_between(launched, now) < YOUNG_SECS)
}

/// The state; none when it is one that nobody knows yet.
pub(super) fn state(row: &Instance) -> Option<InstanceState> {
    match row.state()?.name()? {
        InstanceStateName::Pending => Some(InstanceState::Pending),
        InstanceStateName::Running => Some(InstanceState::Running),
        InstanceStateName::Stopping => Some(InstanceState::Stopping),
        InstanceStateName::Stopped => Some(InstanceState::Stopped),
        InstanceStateName::ShuttingDown => Some(InstanceState::ShuttingDown),
        InstanceStateName::Terminated => Some(InstanceState::Terminated),
        _ => None,
    }
}

/// The Auto Scaling group that the instance is in, by its tag.
pub(super) fn group(row: &Instance) -> Option<AutoScalingGroupName> {
    tag(row, GROUP_TAG)?.parse().ok()
}

/// The instance profile's name, from its ARN.
pub(super) fn profile(row: &Instance) -> Option<&str> {
    row.iam_instance_profile()?.arn()?.rsplit('/').next()
}

/// The status checks: system, then instance.
pub(super) fn checks_of(row: &InstanceStatus) -> (Check, Check) {
    let check = |summary: Option<&InstanceStatusSummary>| match summary.and_then(InstanceStatusSummary::status) {
        Some(SummaryStatus::Ok) => Check::Ok,
        Some(SummaryStatus::Impaired) => Check::Impaired,
        Some(_) | None => Check::Undecided,
    };
    (check(row.system_status()), check(row.instance_status()))
}

fn tag<'a>(row: &'a Instance, key: &str) -> Option<&'a str> {
    row.tags().iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value())
}

/// Who else repairs it. The tags are those that EKS and Karpenter document; the principal of ECS Managed Instances is not verified
/// on a real account.
fn manager(row: &Instance) -> Option<Manager> {
    if let Some(operator) = row.operator().filter(|operator| operator.managed() == Some(true)) {
        let of_ecs = operator.principal().is_some_and(|principal| principal.starts_with("ecs"));
        return Some(if of_ecs { Manager::EcsManagedInstances } else { Manager::Provider });
    }
    let keys: BTreeSet<&str> = row.tags().iter().filter_map(|tag| tag.key()).collect();
    if keys.contains("karpenter.sh/nodepool") || keys.contains("karpenter.sh/provisioner-name") {
        Some(Manager::Karpenter)
    } else if keys.contains("eks:nodegroup-name") {
        Some(Manager::Eks)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::builders::InstanceBuilder;
    use aws_sdk_ec2::types::{
        IamInstanceProfile, InstanceNetworkInterface, InstanceNetworkInterfaceAssociation, InstanceState as SdkState,
        OperatorResponse, Placement, Tag,
    };
    use aws_smithy_types::DateTime;

    use super::*;
    use crate::policy::Mode;

    fn running() -> InstanceBuilder {
        Instance::builder()
            .instance_id("i-0a1b2c3d4e5f60718")
            .state(SdkState::builder().name(InstanceStateName::Running).build())
            .launch_time(DateTime::from_secs(1_800_000_000))
            .placement(Placement::builder().availability_zone("us-east-1a").build())
    }

    fn tagged(pairs: &[(&str, &str)]) -> Instance {
        let tags = pairs.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        running().set_tags(Some(tags.collect())).build()
    }

    fn known(row: &Instance, further: Further) -> Ec2 {
        instance(row, further).known().unwrap().clone()
    }

    #[test]
    fn a_row_becomes_what_defib_needs_of_it() {
        let row =
            tagged(&[("Name", "web-1"), ("defib:managed", "true"), ("defib:mode", "restart"), (GROUP_TAG, "web")]);
        let read =
            Further { checks: Some((Check::Ok, Check::Impaired)), stop_protected: Some(false), storage: Some(false) };
        let seen = known(&row, read);
        assert_eq!((seen.state, seen.zone.as_str()), (InstanceState::Running, "us-east-1a"));
        assert_eq!((seen.system_check, seen.instance_check), (Check::Ok, Check::Impaired));
        assert_eq!((seen.tags.managed, seen.tags.mode), (true, Some(Mode::Restart)));
        assert_eq!((seen.name.unwrap().as_str(), seen.stop), ("web-1", StopGates::default()));
        assert_eq!(group(&row).unwrap().as_str(), "web");
    }

    #[test]
    fn what_was_not_asked_about_a_stop_forbids_it() {
        let stop = known(&running().build(), Further::default()).stop;
        assert!(stop.stop_protected && stop.instance_store_data && !stop.instance_store_root);
    }

    #[test]
    fn half_a_row_is_unknown_and_never_bad() {
        for row in [
            Instance::builder().build(),
            running().set_state(None).build(),
            running().set_launch_time(None).build(),
            running().set_placement(None).build(),
            running().state(SdkState::builder().name(InstanceStateName::from("hibernating")).build()).build(),
        ] {
            assert_eq!(instance(&row, Further::default()), Fact::Unknown(Blind::Empty));
        }
    }

    #[test]
    fn checks_of_what_does_not_run_say_nothing() {
        let row = running().state(SdkState::builder().name(InstanceStateName::Stopped).build()).build();
        let further = Further { checks: Some((Check::Impaired, Check::Impaired)), ..Further::default() };
        assert_eq!(known(&row, further).system_check, Check::Undecided);
    }

    #[test]
    fn an_automatic_address_changes_and_an_elastic_one_stays() {
        let owned = |owner: &str| {
            let association = InstanceNetworkInterfaceAssociation::builder().ip_owner_id(owner).build();
            let interface = InstanceNetworkInterface::builder().association(association).build();
            known(&running().network_interfaces(interface).build(), Further::default()).stop.public_address_changes
        };
        assert!(owned("amazon") && !owned("111122223333"));
    }

    #[test]
    fn whoever_else_repairs_it_is_seen() {
        let operated = |principal: &str| {
            running().operator(OperatorResponse::builder().managed(true).principal(principal).build()).build()
        };
        assert_eq!(manager(&operated("eks.amazonaws.com")), Some(Manager::Provider));
        assert_eq!(manager(&operated("ecs.amazonaws.com")), Some(Manager::EcsManagedInstances));
        assert_eq!(manager(&tagged(&[("eks:nodegroup-name", "blue")])), Some(Manager::Eks));
        assert_eq!(manager(&tagged(&[("karpenter.sh/nodepool", "blue")])), Some(Manager::Karpenter));
        assert_eq!(manager(&tagged(&[("Name", "karpenter")])), None);
    }

    #[test]
    fn the_profile_s_name_ends_its_arn() {
        let arn = "arn:aws:iam::111122223333:instance-profile/path/web";
        let row = running().iam_instance_profile(IamInstanceProfile::builder().arn(arn).build()).build();
        assert_eq!(profile(&row), Some("web"));
        assert_eq!(profile(&running().build()), None);
    }
}
