//! The tasks that would end with a disruptive remedy, as ECS shows them.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_ecs::types::{DeploymentConfiguration, DesiredStatus, ProtectedTask, SchedulingStrategy, Service, Task};
use jiff::Timestamp;

use crate::aws::cache::AROUND_SECS;
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::aws::translate::{count, moment, number};
use crate::node::ResourceName;
use crate::observe::{Blind, Ecs, EcsStatus, Fact, Share, Workload};

/// What a task's group begins with when a service started it.
const SERVICE: &str = "service:";
/// ECS's own limits: tasks a description, services a description.
pub(super) const TASKS_A_CALL: usize = 100;
const SERVICES_A_CALL: usize = 10;
/// `minimumHealthyPercent` where nobody set it.
const MINIMUM_PERCENT: i32 = 100;

impl Nodes {
    /// The tasks on a container instance.
    pub(super) async fn workload(&self, ecs: &Fact<Ecs>, now: Timestamp) -> Fact<Workload> {
        let ecs = match ecs {
            Fact::Known(ecs) if ecs.status == EcsStatus::Inactive => return Fact::Absent,
            Fact::Known(ecs) => ecs,
            Fact::Absent => return Fact::Absent,
            Fact::Unknown(blind) => return Fact::Unknown(*blind),
        };
        // Without tasks nothing ends.
        if ecs.tasks == 0 {
            return Fact::Known(Workload::default());
        }
        if let Some(known) = self.cache.workloads.get(&ecs.arn, now, AROUND_SECS) {
            return Fact::Known(known);
        }
        match self.tasks_on(ecs).await {
            Ok(workload) => {
                self.cache.workloads.put(ecs.arn.clone(), now, workload.clone());
                Fact::Known(workload)
            }
            Err(blind) => Fact::Unknown(blind),
        }
    }

    async fn tasks_on(&self, ecs: &Ecs) -> Result<Workload, Blind> {
        let cluster = ecs.cluster.as_str();
        let arns = self.task_arns(ecs, None).await?;
        let (mut tasks, mut protected) = (Vec::new(), Vec::new());
        for some in arns.chunks(TASKS_A_CALL) {
            let request = self.clients.ecs.describe_tasks().cluster(cluster).set_tasks(Some(some.to_vec()));
            let output = request.send().await.map_err(|error| Fault::of("DescribeTasks", error).blind())?;
            let (told, rows) = (output.failures().len(), output.tasks.unwrap_or_default());
            // One that ended between the two calls is a failure `MISSING`.
            if rows.len() + told < some.len() {
                return Err(Blind::Empty);
            }
            tasks.extend(rows);
        }
        let of_services: Vec<String> = tasks
            .iter()
            .filter(|task| service_name(task).is_some())
            .filter_map(|task| task.task_arn().map(ToOwned::to_owned))
            .collect();
        for some in of_services.chunks(TASKS_A_CALL) {
            let request = self.clients.ecs.get_task_protection().cluster(cluster).set_tasks(Some(some.to_vec()));
            let output = request.send().await.map_err(|error| Fault::of("GetTaskProtection", error).blind())?;
            let (told, rows) = (output.failures().len(), output.protected_tasks.unwrap_or_default());
            if rows.len() + told < some.len() {
                return Err(Blind::Empty);
            }
            protected.extend(rows);
        }
        let names: BTreeSet<&str> = tasks.iter().filter_map(service_name).collect();
        let names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
        let mut services = Vec::new();
        for some in names.chunks(SERVICES_A_CALL) {
            let request = self.clients.ecs.describe_services().cluster(cluster).set_services(Some(some.to_vec()));
            let output = request.send().await.map_err(|error| Fault::of("DescribeServices", error).blind())?;
            services.extend(output.services.unwrap_or_default());
        }
        if services.len() < names.len() {
            // A service that is not described may be the one that cannot spare a task.
            return Err(Blind::Empty);
        }
        Ok(workload(&tasks, &protected, &services))
    }

    /// The tasks on a container instance that shall run, or that have this desired status.
    pub(super) async fn task_arns(&self, ecs: &Ecs, desired: Option<DesiredStatus>) -> Result<Vec<String>, Blind> {
        let (mut arns, mut token) = (Vec::new(), None);
        // A container instance holds far fewer.
        while arns.len() < 2_000 {
            let request = self.clients.ecs.list_tasks().cluster(ecs.cluster.as_str());
            let request = request.container_instance(ecs.arn.as_str()).set_next_token(token.take());
            let request = request.set_desired_status(desired.clone());
            let output = request.send().await.map_err(|error| Fault::of("ListTasks", error).blind())?;
            arns.extend(output.task_arns.ok_or(Blind::Empty)?);
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                return Ok(arns);
            }
        }
        Err(Blind::Empty)
    }
}

/// The service that started a task.
fn service_name(task: &Task) -> Option<&str> {
    task.group()?.strip_prefix(SERVICE)
}

fn workload(tasks: &[Task], protected: &[ProtectedTask], services: &[Service]) -> Workload {
    let alive = |task: &&Task| task.last_status() != Some("STOPPED");
    let protected = || protected.iter().filter(|task| task.protection_enabled());
    Workload {
        standalone: number(tasks.iter().filter(alive).filter(|task| service_name(task).is_none()).count()),
        protected: number(protected().count()),
        protected_until: protected().filter_map(|task| task.expiration_date().and_then(moment)).max(),
        service: services.iter().filter_map(|service| share(service, tasks)).min_by_key(slack),
        services: named(services, tasks),
    }
}

/// The services that have tasks here and need a place elsewhere, as many as one call describes.
fn named(services: &[Service], tasks: &[Task]) -> Arc<[ResourceName]> {
    let here = services.iter().filter(|service| share(service, tasks).is_some());
    here.filter_map(|service| service.service_name()?.parse().ok()).take(SERVICES_A_CALL).collect()
}

/// A service's tasks here and elsewhere. Tasks of a daemon serve the node itself and need no place elsewhere.
fn share(service: &Service, tasks: &[Task]) -> Option<Share> {
    if service.scheduling_strategy() == Some(&SchedulingStrategy::Daemon) {
        return None;
    }
    let name = service.service_name()?;
    let runs = |task: &&Task| task.last_status() == Some("RUNNING") && service_name(task) == Some(name);
    let here = number(tasks.iter().filter(runs).count());
    let minimum = service.deployment_configuration().and_then(DeploymentConfiguration::minimum_healthy_percent);
    (here > 0).then(|| Share {
        here,
        elsewhere: count(service.running_count()).saturating_sub(here),
        desired: count(service.desired_count()),
        minimum_percent: count(minimum.unwrap_or(MINIMUM_PERCENT)),
    })
}

/// What a service would have above its minimum without the tasks here; negative: what it would lack. In thousandths, so that a
/// small service is not hidden by a large one.
fn slack(share: &Share) -> i64 {
    let least = share.desired.saturating_mul(share.minimum_percent).div_ceil(100);
    (i64::from(share.elsewhere) - i64::from(least)) * 1_000 / i64::from(share.desired.max(1))
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::DateTime;

    use super::*;

    fn task(group: &str) -> Task {
        Task::builder().group(group).last_status("RUNNING").build()
    }

    fn service(name: &str, desired: i32, running: i32, minimum: i32) -> Service {
        let rules = DeploymentConfiguration::builder().minimum_healthy_percent(minimum).build();
        let service = Service::builder().service_name(name).desired_count(desired).running_count(running);
        service.deployment_configuration(rules).build()
    }

    #[test]
    fn tasks_are_told_apart_by_who_started_them() {
        let tasks = [task("service:web"), task("service:web"), task("family:batch")];
        let until = DateTime::from_secs(1_800_000_000);
        let protected = [
            ProtectedTask::builder().protection_enabled(true).expiration_date(until).build(),
            ProtectedTask::builder().protection_enabled(false).build(),
        ];
        let seen = workload(&tasks, &protected, &[service("web", 4, 4, 50)]);
        assert_eq!((seen.standalone, seen.protected), (1, 1));
        assert!(seen.protected_until.is_some());
        assert_eq!(seen.service, Some(Share { here: 2, elsewhere: 2, desired: 4, minimum_percent: 50 }));
    }

    #[test]
    fn the_service_that_can_spare_the_least_is_named() {
        let tasks = [task("service:web"), task("service:api")];
        let seen = workload(&tasks, &[], &[service("web", 100, 100, 50), service("api", 1, 1, 100)]);
        assert_eq!(seen.service, Some(Share { here: 1, elsewhere: 0, desired: 1, minimum_percent: 100 }));
    }

    #[test]
    fn a_daemon_needs_no_place_elsewhere() {
        let mut daemon = service("agent", 3, 3, 100);
        daemon.scheduling_strategy = Some(SchedulingStrategy::Daemon);
        assert_eq!(workload(&[task("service:agent")], &[], &[daemon]).service, None);
    }
}
