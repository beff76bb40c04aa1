//! EC2's view of an instance.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    DeviceType, EbsStatusSummary, EventCode, Instance, InstanceAttributeName, InstanceLifecycleType, InstanceStateName,
    InstanceStatus, InstanceStatusEvent, InstanceStatusSummary, InstanceType, SummaryStatus,
};
use jiff::Timestamp;

use crate::aws::cache::GATES_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::{moment, tags};
use crate::diagnose::platform::{EventKind, ScheduledEvent, scheduled};
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Blind, Check, Ec2, Fact, InstanceState, Manager, StatusChecks, StopGates};
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
    /// The checks, when they were read.
    pub checks: Option<StatusChecks>,
    /// `DisableApiStop`.
    pub stop_protected: Option<bool>,
    /// The instance type has instance storage.
    pub storage: Option<bool>,
    /// A volume is encrypted under a key that the stack does not name.
    pub volume_key: Option<bool>,
    /// A `DryRun` of a stop was refused, and one of a start; neither where nobody tried.
    pub denied: (bool, bool),
}

impl Nodes {
    /// The row of one instance. Absent: EC2 does not know the id.
    pub(super) async fn instance_row(&self, node: NodeId, now: Timestamp) -> Fact<Instance> {
        // Nothing more becomes of it.
        if let Some(over) = self.cache.over.get(&node, now, OVER_SECS) {
            return Fact::Known(over);
        }
        let answer = self.clients.ec2.describe_instances().instance_ids(node.to_string()).send().await;
        let output = match answer.map_err(|error| Fault::of("DescribeInstances", error)) {
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

    /// The status checks of one instance, and what is scheduled for it.
    pub(super) async fn checks(&self, node: NodeId, now: Timestamp) -> Result<StatusChecks, Blind> {
        if let Some(known) = self.cache.checks.get(&node, now, CHECKS_SECS) {
            return Ok(known);
        }
        let request = self.clients.ec2.describe_instance_status();
        let answer = request.instance_ids(node.to_string()).include_all_instances(true).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceStatus", error).blind())?;
        let id = node.to_string();
        let rows = output.instance_statuses.unwrap_or_default();
        let checks =
            rows.iter().find(|row| row.instance_id() == Some(id.as_str())).map(checks_of).ok_or(Blind::Empty)?;
        self.cache.checks.put(node, now, checks);
        Ok(checks)
    }

    /// `DisableApiStop`.
    pub(super) async fn stop_protected(&self, node: NodeId, now: Timestamp) -> Result<bool, Blind> {
        if let Some(known) = self.cache.stop_protected.get(&node, now, GATES_SECS) {
            return Ok(known);
        }
        let request = self.clients.ec2.describe_instance_attribute();
        let request = request.instance_id(node.to_string()).attribute(InstanceAttributeName::DisableApiStop);
        let answer = request.send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceAttribute", error).blind())?;
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
        let output = answer.map_err(|error| Fault::of("DescribeInstanceTypes", error).blind())?;
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
            stop_protected: self.cache.stop_protected.get(&node, now, GATES_SECS),
            storage: kind.and_then(|kind| self.cache.storage.ever(&kind)),
            volume_key: self.cache.volume_keys.get(&node, now, GATES_SECS),
            denied: self.rehearsed(node, now),
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
    let checks = match further.checks {
        Some(checks) if state == InstanceState::Running => checks,
        Some(_) | None => StatusChecks::UNDECIDED,
    };
    let owners = || {
        let associations = row.network_interfaces().iter().filter_map(|interface| interface.association());
        associations.filter_map(|association| association.ip_owner_id())
    };
    let (denied_stop, denied_start) = further.denied;
    Fact::Known(Ec2 {
        state,
        launched_at,
        system_check: checks.system,
        instance_check: checks.instance,
        volumes_check: checks.volumes,
        scheduled: checks.scheduled,
        name: tag(row, "Name").and_then(|name| name.parse().ok()),
        zone,
        tags: tags(row.tags().iter().map(|tag| (tag.key(), tag.value()))),
        manager: manager(row),
        stop: StopGates {
            instance_store_root: row.root_device_type() == Some(&DeviceType::InstanceStore),
            instance_store_data: further.storage.unwrap_or(true),
            spot: row.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
            stop_protected: further.stop_protected.unwrap_or(true),
            public_address_changes: owners().any(|owner| owner == AUTOMATIC_OWNER),
            elastic_address: owners().any(|owner| owner != AUTOMATIC_OWNER),
            volume_key: further.volume_key.unwrap_or(true),
            stop_denied: denied_stop,
            start_denied: denied_start,
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

/// The status checks, and of the scheduled events the open one that matters most.
pub(super) fn checks_of(row: &InstanceStatus) -> StatusChecks {
    let check = |status: Option<&SummaryStatus>| match status {
        Some(SummaryStatus::Ok) => Check::Ok,
        Some(SummaryStatus::Impaired) => Check::Impaired,
        Some(_) | None => Check::Undecided,
    };
    StatusChecks {
        system: check(row.system_status().and_then(InstanceStatusSummary::status)),
        instance: check(row.instance_status().and_then(InstanceStatusSummary::status)),
        volumes: check(row.attached_ebs_status().and_then(EbsStatusSummary::status)),
        scheduled: scheduled(&events_of(row)),
    }
}

/// The scheduled events, those that are over too.
pub(super) fn events_of(row: &InstanceStatus) -> Vec<ScheduledEvent> {
    let event = |event: &InstanceStatusEvent| ScheduledEvent {
        kind: EventKind::named(event.code().map_or("", EventCode::as_str)),
        not_before: event.not_before().and_then(moment),
        description: event.description().unwrap_or_default().into(),
    };
    row.events().iter().map(event).collect()
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
        let checks = StatusChecks { system: Check::Ok, instance: Check::Impaired, ..StatusChecks::UNDECIDED };
        let read = Further {
            checks: Some(checks),
            stop_protected: Some(false),
            storage: Some(false),
            volume_key: Some(false),
            denied: (false, false),
        };
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
        assert!(stop.stop_protected && stop.instance_store_data && stop.volume_key && !stop.instance_store_root);
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
        let checks = StatusChecks { system: Check::Impaired, volumes: Check::Impaired, ..StatusChecks::UNDECIDED };
        let further = Further { checks: Some(checks), ..Further::default() };
        let seen = known(&row, further);
        assert_eq!((seen.system_check, seen.volumes_check), (Check::Undecided, Check::Undecided));
    }

    #[test]
    fn volumes_and_what_is_scheduled_come_with_the_checks() {
        let event = |code: EventCode, description: &str| {
            let at = DateTime::from_secs(1_900_000_000);
            InstanceStatusEvent::builder().code(code).description(description).not_before(at).build()
        };
        let row = InstanceStatus::builder()
            .attached_ebs_status(EbsStatusSummary::builder().status(SummaryStatus::Impaired).build())
            .events(event(EventCode::SystemReboot, "r"))
            .events(event(EventCode::InstanceRetirement, "degraded"))
            .events(event(EventCode::InstanceStop, "[Completed] degraded"))
            .build();
        let checks = checks_of(&row);
        assert_eq!((checks.system, checks.volumes), (Check::Undecided, Check::Impaired));
        assert_eq!(checks.scheduled.map(|event| event.kind), Some(EventKind::Retirement));
        assert_eq!(checks_of(&InstanceStatus::builder().build()).scheduled, None);
    }

    #[test]
    fn an_automatic_address_changes_and_an_elastic_one_stays() {
        let owned = |owner: &str| {
            let association = InstanceNetworkInterfaceAssociation::builder().ip_owner_id(owner).build();
            let interface = InstanceNetworkInterface::builder().association(association).build();
            let stop = known(&running().network_interfaces(interface).build(), Further::default()).stop;
            (stop.public_address_changes, stop.elastic_address)
        };
        assert_eq!((owned("amazon"), owned("111122223333")), ((true, false), (false, true)));
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
