//! Tasks and services: one service a cluster, as the world has it, and tasks that no service started.
//!
//! Tasks that found another node for a while are counted in their service and listed on no node; the world knows how many
//! they are, not where.

use serde_json::{Value, json};

use super::{check_service, includes, missing, paged, some, with_token};
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::machines::digits;
use crate::fleet::{Answered, Fleet};
use crate::observe::{EcsStatus, InstanceState};
use crate::sim::machine::{EcsSide, Machine, moment};

/// A task on a container instance.
struct Task<'a> {
    id: String,
    machine: &'a Machine,
    ecs: &'a EcsSide,
    /// Started by the cluster's service.
    of_service: bool,
    protected: bool,
    course: Course,
}

/// Where a task is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Running,
    /// Told to stop; ECS names the last status between that and the end.
    Stopping,
    /// ECS shows it for another hour.
    Stopped,
}

impl Course {
    fn last_status(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Stopped => "STOPPED",
        }
    }

    fn desired_status(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Stopping | Self::Stopped => "STOPPED",
        }
    }
}

/// ECS shows a stopped task for at least this long, in seconds.
const STOPPED_VISIBLE_SECS: i64 = 3_600;

impl Fleet {
    fn tasks(&self, cluster: usize) -> Vec<Task<'_>> {
        let mut tasks = Vec::new();
        for (machine, ecs) in self.members(cluster).filter(|(_, ecs)| ecs.registered) {
            let now = self.world.now;
            let protected = ecs.protected(now);
            let task = |salt: u128, of_service, protected| Task {
                id: digits(machine.id, salt, 32),
                machine,
                ecs,
                of_service,
                protected,
                course: Course::Running,
            };
            tasks.extend((0..ecs.tasks).map(|n| task(100 + u128::from(n), true, n < protected)));
            tasks.extend((0..ecs.special.standalone).map(|n| task(100_000 + u128::from(n), false, false)));
            // Those that came last are told first, so that the ids of those that stay are the same.
            let shown = now < ecs.stopping.until.saturating_add(STOPPED_VISIBLE_SECS);
            let told = if shown { ecs.stopping.count } else { 0 };
            let course = if ecs.stopping(now) > 0 { Course::Stopping } else { Course::Stopped };
            let from = ecs.tasks;
            tasks.extend((from..from + told).map(|n| Task { course, ..task(100 + u128::from(n), true, false) }));
        }
        tasks
    }

    fn cluster_name(&self, cluster: usize) -> &str {
        self.world.clusters.get(cluster).map_or("default", |cluster| &cluster.name)
    }

    fn task_arn(&self, cluster: usize, id: &str) -> String {
        self.arn("ecs", &format!("task/{}/{id}", self.cluster_name(cluster)))
    }

    fn service_name(&self, cluster: usize) -> String {
        format!("{}-service", self.cluster_name(cluster))
    }

    fn family(&self, task: &Task<'_>, cluster: usize) -> String {
        if task.of_service { self.cluster_name(cluster).to_owned() } else { "batch".to_owned() }
    }

    /// `ListTasks`.
    pub(super) fn list_tasks(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let host = match body.text("containerInstance")? {
            None => None,
            Some(named) => {
                let (machine, _) = self.container_instance(cluster, named).ok_or_else(|| {
                    AwsError::new("InvalidParameterException", "Referenced container instance was not found.")
                })?;
                check_service(machine)?;
                Some(machine.id)
            }
        };
        let service = body.text("serviceName")?;
        let own = self.service_name(cluster);
        if service.is_some_and(|name| name.rsplit('/').next() != Some(own.as_str())) {
            return Err(AwsError::new("ServiceNotFoundException", "Service not found."));
        }
        let desired = body.text("desiredStatus")?.unwrap_or("RUNNING");
        let family = body.text("family")?;
        let elsewhere = body.text("launchType")?.is_some_and(|kind| kind != "EC2");
        let all = self.tasks(cluster).into_iter().filter(|task| {
            task.course.desired_status() == desired
                && !elsewhere
                && host.is_none_or(|host| host == task.machine.id)
                && (service.is_none() || task.of_service)
                && family.is_none_or(|family| family == self.family(task, cluster))
        });
        let arns: Vec<String> = all.map(|task| self.task_arn(cluster, &task.id)).collect();
        let (page, next) = paged(arns, body)?;
        Ok(with_token(json!({ "taskArns": page }), next))
    }

    /// The tasks that a request names, and the failures for those that are not there.
    fn named_tasks<'a>(&'a self, body: Body<'_>, cluster: usize) -> Result<(Vec<Task<'a>>, Vec<Value>), AwsError> {
        let named = some(body, "tasks", 100)?;
        let mut all = self.tasks(cluster);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in named {
            let id = name.rsplit('/').next().unwrap_or_default();
            if let Some(place) = all.iter().position(|task| task.id == id) {
                found.push(all.swap_remove(place));
            } else {
                let arn = if name.starts_with("arn:") { shown(name) } else { self.task_arn(cluster, &shown(name)) };
                failures.push(missing(&arn));
            }
        }
        for task in &found {
            check_service(task.machine)?;
        }
        Ok((found, failures))
    }

    /// `DescribeTasks`.
    pub(super) fn describe_tasks(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let (found, failures) = self.named_tasks(body, cluster)?;
        let found: Vec<Value> = found.iter().map(|task| self.described_task(task, cluster)).collect();
        Ok(json!({ "tasks": found, "failures": failures }))
    }

    fn described_task(&self, task: &Task<'_>, cluster: usize) -> Value {
        let family = self.family(task, cluster);
        let (group, started_by) = if task.of_service {
            (format!("service:{}", self.service_name(cluster)), "ecs-svc/0000000000000000001".to_owned())
        } else {
            (format!("family:{family}"), "on-call".to_owned())
        };
        let at = task.ecs.tasks_since;
        json!({
            "taskArn": self.task_arn(cluster, &task.id),
            "clusterArn": self.world.clusters.get(cluster).map_or("", |cluster| cluster.arn.as_str()),
            "taskDefinitionArn": self.arn("ecs", &format!("task-definition/{family}:1")),
            "containerInstanceArn": task.ecs.arn,
            "group": group,
            "startedBy": started_by,
            "lastStatus": task.course.last_status(),
            "desiredStatus": task.course.desired_status(),
            "launchType": "EC2",
            "availabilityZone": task.machine.zone,
            "connectivity": "CONNECTED",
            "healthStatus": "UNKNOWN",
            "cpu": "256",
            "memory": "512",
            "createdAt": at,
            "startedAt": at,
            "version": 3,
            "enableExecuteCommand": false,
            "attachments": [],
            "attributes": [],
            "containers": [],
            "overrides": { "containerOverrides": [], "inferenceAcceleratorOverrides": [] },
            "tags": [],
        })
    }

    /// `DescribeServices`.
    pub(super) fn describe_services(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let named = some(body, "services", 10)?;
        let tags = includes(body, "TAGS")?;
        let own = self.service_name(cluster);
        let (mut found, mut failures) = (Vec::new(), Vec::new());
        for name in named {
            if name.rsplit('/').next() == Some(own.as_str()) {
                found.push(self.described_service(cluster, tags));
            } else {
                let arn = if name.starts_with("arn:") {
                    shown(name)
                } else {
                    self.arn("ecs", &format!("service/{}/{}", self.cluster_name(cluster), shown(name)))
                };
                failures.push(missing(&arn));
            }
        }
        Ok(json!({ "services": found, "failures": failures }))
    }

    fn described_service(&self, cluster: usize, tags: bool) -> Value {
        let name = self.service_name(cluster);
        let place = format!("{}/{name}", self.cluster_name(cluster));
        let (desired, minimum) =
            self.world.clusters.get(cluster).map_or((0, 100), |known| (known.desired, known.minimum_percent));
        let running = self.running(cluster, desired);
        let definition = self.arn("ecs", &format!("task-definition/{}:1", self.cluster_name(cluster)));
        let created = self.world.now - 30 * 86_400;
        let mut answer = json!({
            "serviceArn": self.arn("ecs", &format!("service/{place}")),
            "serviceName": name,
            "clusterArn": self.world.clusters.get(cluster).map_or("", |cluster| cluster.arn.as_str()),
            "status": "ACTIVE",
            "desiredCount": desired,
            "runningCount": running,
            "pendingCount": desired.saturating_sub(running),
            "launchType": "EC2",
            "taskDefinition": definition,
            "schedulingStrategy": "REPLICA",
            "deploymentController": { "type": "ECS" },
            "deploymentConfiguration": { "maximumPercent": 200, "minimumHealthyPercent": minimum },
            "deployments": [{
                "id": "ecs-svc/0000000000000000001", "status": "PRIMARY", "taskDefinition": definition,
                "desiredCount": desired, "runningCount": running, "pendingCount": desired.saturating_sub(running),
                "failedTasks": 0, "createdAt": created, "updatedAt": created, "launchType": "EC2",
                "rolloutState": "COMPLETED", "rolloutStateReason": "ECS deployment completed.",
            }],
            "loadBalancers": [],
            "serviceRegistries": [],
            "events": [],
            "placementConstraints": [],
            "placementStrategy": [],
            "createdAt": created,
            "enableECSManagedTags": false,
            "enableExecuteCommand": false,
            "propagateTags": "NONE",
        });
        if let Some(fields) = answer.as_object_mut().filter(|_| tags) {
            fields.insert("tags".to_owned(), json!([]));
        }
        answer
    }

    /// Tasks of a cluster's service that run, as ECS counts: those of disconnected agents too, and those that found another
    /// node.
    fn running(&self, cluster: usize, desired: u32) -> u32 {
        let registered = || self.members(cluster).filter(|(machine, ecs)| machine.exists() && ecs.registered);
        let at_home: u32 = registered().map(|(_, ecs)| ecs.tasks).sum();
        let takers = registered().any(|(machine, ecs)| {
            machine.state == InstanceState::Running
                && ecs.link.up
                && ecs.status == EcsStatus::Active
                && !machine.is_deregistered()
        });
        if takers { at_home.max(desired) } else { at_home }
    }

    /// `GetTaskProtection`. Tasks that no service started cannot be protected.
    pub(super) fn get_task_protection(&self, body: Body<'_>) -> Answered {
        let cluster = self.cluster(body)?;
        let (found, mut failures) = self.named_tasks(body, cluster)?;
        let mut protected = Vec::new();
        for task in &found {
            let arn = self.task_arn(cluster, &task.id);
            if !task.of_service {
                failures.push(json!({ "arn": arn, "reason": "TASK_NOT_VALID" }));
                continue;
            }
            let mut one = json!({ "taskArn": arn, "protectionEnabled": task.protected });
            if let Some(fields) = one.as_object_mut().filter(|_| task.protected) {
                fields.insert("expirationDate".to_owned(), json!(moment(task.ecs.special.protected_until).as_second()));
            }
            protected.push(one);
        }
        Ok(json!({ "protectedTasks": protected, "failures": failures }))
    }
}
