//! The Auto Scaling group's view of an instance.

use std::sync::Arc;

use aws_sdk_autoscaling::types::{AutoScalingGroup, InstanceRefreshStatus};
use jiff::Timestamp;

use crate::aws::cache::{AROUND_SECS, CENSUS_SECS};
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::aws::translate::{count, number, tags};
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Asg, Blind, Depth, Fact, Lifecycle, Look, Spare, Tags};

/// An Auto Scaling group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aws) struct Seen {
    /// The group.
    pub name: AutoScalingGroupName,
    /// `DesiredCapacity`.
    pub desired: u32,
    /// `MinSize`.
    pub min: u32,
    /// The health check is EC2's only.
    pub ec2_health_only: bool,
    /// `Launch` or `Terminate` is suspended.
    pub suspended: bool,
    /// Defib's tags.
    pub tags: Tags,
    /// Its members, and where each is in the group's life cycle.
    pub members: Vec<(NodeId, Lifecycle)>,
}

impl Nodes {
    /// The group's view: of the group that the instance's tag names, else of the one that it was last seen in.
    ///
    /// A plain look reads it only where the node was seen in the group before; at the opening of an incident what a census saw
    /// is enough. Nothing is sent to a node whose SSM agent is `silent` before a deeper look, which asks for refreshes again.
    pub(super) async fn asg(
        &self,
        node: NodeId,
        tagged: Fact<AutoScalingGroupName>,
        look: &Look,
        silent: bool,
        now: Timestamp,
    ) -> Fact<Asg> {
        let (name, is_tagged) = match (tagged, &look.group) {
            (Fact::Known(name), _) => (name, true),
            (Fact::Absent | Fact::Unknown(_), Some(name)) => (name.clone(), false),
            (Fact::Absent, None) => return Fact::Absent,
            (Fact::Unknown(blind), None) => return Fact::Unknown(blind),
        };
        let holds = match look {
            Look { close: false, group: None, .. } => CENSUS_SECS,
            // Standby is waited for, and nothing else.
            Look { close: false, spare: Spare { asg: false, ecs: true, ssm: true, .. }, .. } => 0,
            Look { .. } => AROUND_SECS,
        };
        let group = match self.group(&name, holds, now).await {
            Ok(Some(group)) => group,
            // The SDK reads an answer in which everything is missing as an empty list; the tag says that there is a group.
            Ok(None) if is_tagged => return Fact::Unknown(Blind::Empty),
            Ok(None) => return Fact::Absent,
            Err(blind) => return Fact::Unknown(blind),
        };
        let refreshing = if look.close && !(silent && look.depth < Depth::Remedy) {
            // Before workload is stopped, the deeper look asks again.
            let holds = if look.depth < Depth::Remedy { CENSUS_SECS } else { AROUND_SECS };
            match self.refreshing(&name, holds, now).await {
                Ok(refreshing) => refreshing,
                Err(blind) => return Fact::Unknown(blind),
            }
        } else {
            // Nothing is chosen on a plain look.
            self.cache.refreshes.get(&name, now, CENSUS_SECS).unwrap_or_default()
        };
        Fact::Known(view(&group, node, refreshing))
    }

    async fn group(&self, name: &AutoScalingGroupName, holds: i64, now: Timestamp) -> Result<Option<Arc<Seen>>, Blind> {
        if let Some(known) = self.cache.groups.get(name, now, holds) {
            return Ok(known);
        }
        if holds == CENSUS_SECS {
            return Err(Blind::NotRead);
        }
        let request = self.clients.autoscaling.describe_auto_scaling_groups();
        let answer = request.auto_scaling_group_names(name.as_str()).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeAutoScalingGroups", error).blind())?;
        let rows = output.auto_scaling_groups.ok_or(Blind::Empty)?;
        let row = rows.iter().find(|row| row.auto_scaling_group_name() == Some(name.as_str()));
        let group = match row.map(seen) {
            Some(Some(group)) => Some(Arc::new(group)),
            Some(None) => return Err(Blind::Empty),
            None => None,
        };
        self.cache.groups.put(name.clone(), now, group.clone());
        Ok(group)
    }

    pub(super) async fn refreshing(
        &self,
        name: &AutoScalingGroupName,
        holds: i64,
        now: Timestamp,
    ) -> Result<bool, Blind> {
        // One that runs ends at any time, and is asked for again sooner.
        let kept = |secs| self.cache.refreshes.get(name, now, secs);
        if let Some(known) = kept(AROUND_SECS).or_else(|| kept(holds).filter(|runs| !runs)) {
            return Ok(known);
        }
        let request = self.clients.autoscaling.describe_instance_refreshes();
        // The newest come first, and only one can run.
        let answer = request.auto_scaling_group_name(name.as_str()).max_records(5).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeInstanceRefreshes", error).blind())?;
        let refreshes = output.instance_refreshes.ok_or(Blind::Empty)?;
        let runs = refreshes.iter().any(|refresh| refresh.status().is_some_and(runs));
        self.cache.refreshes.put(name.clone(), now, runs);
        Ok(runs)
    }
}

/// Whether a refresh may still replace members. What is not known yet counts as running.
fn runs(status: &InstanceRefreshStatus) -> bool {
    !matches!(
        status,
        InstanceRefreshStatus::Successful
            | InstanceRefreshStatus::Failed
            | InstanceRefreshStatus::Cancelled
            | InstanceRefreshStatus::RollbackFailed
            | InstanceRefreshStatus::RollbackSuccessful
    )
}

/// A group as Auto Scaling describes it; none: half a row.
pub(super) fn seen(row: &AutoScalingGroup) -> Option<Seen> {
    let suspended = row.suspended_processes().iter().filter_map(|process| process.process_name());
    let members = row.instances().iter().filter_map(|member| {
        let lifecycle = member.lifecycle_state().map_or(Lifecycle::Other, |state| lifecycle(state.as_str()));
        Some((member.instance_id()?.parse().ok()?, lifecycle))
    });
    Some(Seen {
        name: row.auto_scaling_group_name()?.parse().ok()?,
        desired: count(row.desired_capacity()?),
        min: count(row.min_size()?),
        ec2_health_only: row.health_check_type() == Some("EC2"),
        suspended: suspended.into_iter().any(|process| matches!(process, "Launch" | "Terminate")),
        tags: tags(row.tags().iter().map(|tag| (tag.key(), tag.value()))),
        members: members.collect(),
    })
}

/// `LifecycleState`.
fn lifecycle(state: &str) -> Lifecycle {
    match state {
        "InService" => Lifecycle::InService,
        "EnteringStandby" => Lifecycle::EnteringStandby,
        "Standby" => Lifecycle::Standby,
        _ if state.starts_with("Pending") => Lifecycle::Pending,
        _ if state.starts_with("Terminat") => Lifecycle::Terminating,
        // `Warmed:*`, `Detach*`, `Quarantined`, and what is not known yet.
        _ => Lifecycle::Other,
    }
}

/// What the group shows of one instance. One that has left it is on its way out.
fn view(group: &Seen, node: NodeId, refreshing: bool) -> Asg {
    let own = group.members.iter().find(|(member, _)| *member == node).map(|(_, lifecycle)| *lifecycle);
    let members =
        |is: &dyn Fn(Lifecycle) -> bool| number(group.members.iter().filter(|(_, lifecycle)| is(*lifecycle)).count());
    Asg {
        name: group.name.clone(),
        lifecycle: own.unwrap_or(Lifecycle::Terminating),
        desired: group.desired,
        min: group.min,
        in_service: members(&|lifecycle| lifecycle == Lifecycle::InService),
        standby: members(&|lifecycle| matches!(lifecycle, Lifecycle::Standby | Lifecycle::EnteringStandby)),
        existing: members(&|lifecycle| !matches!(lifecycle, Lifecycle::Terminating | Lifecycle::Other)),
        ec2_health_only: group.ec2_health_only,
        suspended: group.suspended,
        refreshing,
        tags: group.tags,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{Instance, LifecycleState, SuspendedProcess, TagDescription};

    use super::*;

    fn node(n: u128) -> NodeId {
        NodeId::numbered(n)
    }

    fn row(members: &[(u128, &str)]) -> AutoScalingGroup {
        let members = members.iter().map(|(id, state)| {
            Instance::builder().instance_id(node(*id).to_string()).lifecycle_state(LifecycleState::from(*state)).build()
        });
        AutoScalingGroup::builder()
            .auto_scaling_group_name("web")
            .desired_capacity(3)
            .min_size(2)
            .health_check_type("EC2")
            .set_instances(Some(members.collect()))
            .tags(TagDescription::builder().key("defib:managed").value("true").build())
            .build()
    }

    #[test]
    fn members_are_counted_by_where_they_are() {
        let states = ["InService", "InService", "Standby", "EnteringStandby", "Pending:Wait", "Terminating:Wait"];
        let mut members: Vec<(u128, &str)> = (1..).zip(states).collect();
        members.push((9, "Warmed:Stopped"));
        let group = seen(&row(&members)).unwrap();
        let view = view(&group, node(3), false);
        assert_eq!((view.in_service, view.standby, view.existing), (2, 2, 5));
        assert_eq!((view.lifecycle, view.desired, view.min), (Lifecycle::Standby, 3, 2));
        assert!(view.ec2_health_only && view.tags.managed && !view.suspended);
    }

    #[test]
    fn whoever_left_the_group_is_on_its_way_out() {
        let group = seen(&row(&[(1, "InService")])).unwrap();
        assert_eq!(view(&group, node(2), false).lifecycle, Lifecycle::Terminating);
    }

    #[test]
    fn only_the_processes_that_a_replacement_needs_count_as_suspended() {
        let suspended = |name: &str| {
            let mut row = row(&[]);
            row.suspended_processes = Some(vec![SuspendedProcess::builder().process_name(name).build()]);
            seen(&row).unwrap().suspended
        };
        assert!(suspended("Launch") && suspended("Terminate") && !suspended("AZRebalance"));
    }

    #[test]
    fn half_a_row_is_none() {
        assert_eq!(seen(&AutoScalingGroup::builder().auto_scaling_group_name("web").build()), None);
    }

    #[test]
    fn a_refresh_of_an_unknown_kind_counts_as_running() {
        assert!(runs(&InstanceRefreshStatus::Baking) && runs(&InstanceRefreshStatus::from("New")));
        assert!(!runs(&InstanceRefreshStatus::Successful) && !runs(&InstanceRefreshStatus::Cancelled));
    }
}
