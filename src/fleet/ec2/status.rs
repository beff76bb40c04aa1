//! Status checks and the console: what can be seen of an instance without its agents.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{dry_run, filter, millis, paged, state, state_name};
use crate::fleet::input::Form;
use crate::fleet::{Answered, Fleet};
use crate::observe::{EventKind, InstanceState, Scheduled};
use crate::sim::machine::{Link, Machine};

impl Fleet {
    /// `DescribeInstanceStatus`: running instances only, unless all are asked for (facts/aws.md §2.4).
    pub(super) fn describe_instance_status(&self, form: &Form) -> Answered {
        let nodes = self.instance_ids(form)?;
        dry_run(form)?;
        let all = form.flag("IncludeAllInstances")?;
        let read = filter::read(form)?;
        let filters = read.all();
        let mut found = Vec::new();
        for machine in self.shown_instances(nodes.as_deref()) {
            if !all && machine.state != InstanceState::Running {
                continue;
            }
            let mut fits = true;
            for filter in &filters {
                let (system, instance) = self.checks(machine);
                let given = match filter.name {
                    "availability-zone" => machine.zone.as_ref().map_or_else(String::new, ToString::to_string),
                    "instance-state-name" => state_name(machine.state).to_owned(),
                    "instance-status.status" => instance.to_owned(),
                    "system-status.status" => system.to_owned(),
                    _ => return Err(filter.unknown()),
                };
                fits &= filter.matches(&given);
            }
            if fits {
                found.push(self.status(machine));
            }
        }
        let (page, next) = paged(found, form)?;
        Ok(json!({ "instanceStatusSet": page, "nextToken": next }))
    }

    /// System status and instance status.
    fn checks(&self, machine: &Machine) -> (&'static str, &'static str) {
        let now = self.world.now;
        let word = |link: &Link| match (machine.state == InstanceState::Running, now >= machine.checks_from) {
            (false, _) => "not-applicable",
            (true, false) => "initializing",
            (true, true) if link.shown(now) => "ok",
            (true, true) => "impaired",
        };
        (word(&machine.system_check), word(&machine.instance_check))
    }

    fn status(&self, machine: &Machine) -> Value {
        let now = self.world.now;
        let (system, instance) = self.checks(machine);
        let summary = |word: &str, link: &Link| {
            let details = match word {
                "ok" => vec![json!({ "name": "reachability", "status": "passed" })],
                "initializing" => vec![json!({ "name": "reachability", "status": "initializing" })],
                "impaired" => vec![json!({
                    "name": "reachability", "status": "failed", "impairedSince": millis(link.shown_since(now)),
                })],
                _ => Vec::new(),
            };
            json!({ "status": word, "details": details })
        };
        let disks = match system {
            "ok" | "impaired" if machine.volumes_check.shown(now) => "ok",
            "ok" | "impaired" => "impaired",
            other => other,
        };
        let events: Vec<Value> = machine.scheduled().iter().map(event).collect();
        let managed = Self::operator(machine);
        json!({
            "instanceId": machine.id,
            "availabilityZone": machine.zone,
            "instanceState": state(machine.state),
            "systemStatus": summary(system, &machine.system_check),
            "instanceStatus": summary(instance, &machine.instance_check),
            "attachedEbsStatus": summary(disks, &machine.volumes_check),
            "eventsSet": events,
            "operator": { "managed": managed.is_some(), "principal": managed },
        })
    }

    /// `GetConsoleOutput`.
    pub(super) fn get_console_output(&self, form: &Form) -> Answered {
        let machine = self.need_instance(form)?;
        dry_run(form)?;
        let text = self.console(machine);
        Ok(json!({
            "instanceId": machine.id,
            "timestamp": millis(self.world.now),
            "output": STANDARD.encode(text),
        }))
    }
}

fn event(scheduled: &Scheduled) -> Value {
    let (code, description) = match scheduled.kind {
        EventKind::Retirement => ("instance-retirement", "The instance is running on degraded hardware"),
        EventKind::Stop => ("instance-stop", "The instance is running on degraded hardware"),
        EventKind::Reboot => ("system-reboot", "The instance needs a reboot"),
        EventKind::Maintenance | EventKind::Other => ("system-maintenance", "Scheduled maintenance"),
    };
    let not_before = scheduled.not_before.map(|at| millis(at.as_second()));
    json!({ "instanceEventId": "instance-event-0a1b2c3d4e5f60718", "code": code, "description": description, "notBefore": not_before })
}
