//! The control door, `/_fleet/`: what is true of the account, and what somebody does to it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::calls::Rule;
use super::machines::listed;
use super::protocol::{Answer, Pause, Request};
use super::{Fleet, WorldFile};
use crate::sim::machine::Machine;
use crate::time::after;

/// The farthest that the clock can be moved ahead at once: ten days.
const ADVANCE_MAX_SECS: i64 = 864_000;

/// Answers a request to the control door.
pub(super) fn answer(fleet: &mut Fleet, request: &Request<'_>) -> Answer {
    let path = request.path.strip_prefix("/_fleet").unwrap_or_default().trim_end_matches('/');
    let asked =
        |flag: &str| form_urlencoded::parse(request.query.as_bytes()).any(|(name, value)| name == flag && value != "0");
    let done = match (request.method, path) {
        ("GET", "") => Ok(json!({
            "doors": ["GET /_fleet/world", "POST /_fleet/world[?replace=1]", "POST /_fleet/advance", "POST /_fleet/hold",
                "GET /_fleet/calls[?reset=1]", "GET /_fleet/events", "GET /_fleet/faults", "POST /_fleet/faults",
                "DELETE /_fleet/faults", "POST /_fleet/role", "DELETE /_fleet/role"],
        })),
        ("GET", "/world") => Ok(fleet.truth()),
        ("POST", "/world") => fleet.change_world(request.body, asked("replace")),
        ("POST", "/advance") => fleet.advance(request.body),
        ("POST", "/hold") => Ok(fleet.hold()),
        ("GET", "/calls") => {
            let calls: Vec<Value> = fleet.calls.all().map(|call| json!(call)).collect();
            if asked("reset") {
                fleet.calls.clear();
            }
            Ok(json!({ "calls": calls }))
        }
        ("GET", "/events") => Ok(json!({ "events": fleet.events.drain() })),
        ("GET", "/faults") => Ok(json!({ "faults": fleet.faults.all() })),
        ("POST", "/faults") => fleet.inject(request.body),
        ("DELETE", "/faults") => {
            fleet.faults.clear();
            Ok(json!({ "faults": [] }))
        }
        ("POST", "/role") => fleet.set_role(request.body),
        ("DELETE", "/role") => {
            fleet.role = None;
            Ok(json!({ "statements": [] }))
        }
        (_, "" | "/world" | "/advance" | "/hold" | "/calls" | "/events" | "/faults" | "/role") => {
            return written(405, &json!({ "error": format!("{} is not answered here", request.method) }));
        }
        _ => return written(404, &json!({ "error": "there is no such door; GET /_fleet lists them" })),
    };
    match done {
        Ok(value) => written(200, &value),
        Err(error) => written(400, &json!({ "error": error })),
    }
}

fn written(status: u16, value: &Value) -> Answer {
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer { status, headers, body: format!("{value}\n"), pause: Pause::None }
}

/// How far to move the clock.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    secs: i64,
}

/// One rule, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Rules {
    One(Rule),
    Many(Vec<Rule>),
}

impl Fleet {
    fn change_world(&mut self, body: &[u8], replace: bool) -> Result<Value, String> {
        let file = WorldFile::read(body).map_err(|error| told(&error))?;
        if replace {
            let home = self.world.home().clone();
            let file = file.at_home(Some(home.account), Some(home.region));
            // The clock stays where it is: what was moved ahead is not undone.
            let mut fresh = Self::of(&file, self.world.now()).map_err(|error| told(&error))?;
            (fresh.ahead_secs, fresh.held, fresh.requests) = (self.ahead_secs, self.held, self.requests);
            fresh.role = self.role.take();
            *self = fresh;
        } else {
            self.change(&file).map_err(|error| told(&error))?;
        }
        Ok(self.truth())
    }

    fn advance(&mut self, body: &[u8]) -> Result<Value, String> {
        let Advance { secs } = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        if !(0..=ADVANCE_MAX_SECS).contains(&secs) {
            return Err(format!("secs is from 0 to {ADVANCE_MAX_SECS}: time does not run backwards"));
        }
        self.ahead_secs = self.ahead_secs.saturating_add(secs);
        self.catch_up(after(self.world.now(), secs));
        Ok(json!({ "now": self.world.now(), "ahead_secs": self.ahead_secs }))
    }

    /// From here on only [`Self::advance`] moves the clock: what is compared does not depend on how fast the machine is.
    fn hold(&mut self) -> Value {
        self.held = true;
        json!({ "now": self.world.now(), "ahead_secs": self.ahead_secs })
    }

    fn inject(&mut self, body: &[u8]) -> Result<Value, String> {
        let rules = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let rules = match rules {
            Rules::One(rule) => vec![rule],
            Rules::Many(rules) => rules,
        };
        for rule in rules {
            self.faults.add(rule)?;
        }
        Ok(json!({ "faults": self.faults.all() }))
    }

    /// Everything that is true, and what landed on it.
    fn truth(&self) -> Value {
        let machines: Vec<Value> = self.world.machines.iter().map(|machine| self.truth_of(machine)).collect();
        let landed: Vec<Value> = self
            .world
            .landed()
            .iter()
            .map(|landed| json!({ "at": landed.at, "instance": landed.node, "effect": landed.effect, "command": landed.command }))
            .collect();
        let groups: Vec<Value> = self
            .world
            .fleets
            .iter()
            .map(|fleet| {
                json!({
                    "name": fleet.name.as_str(), "min": fleet.min, "desired": fleet.desired, "members": fleet.size,
                    "suspended": fleet.suspended, "refreshing": fleet.refreshing,
                })
            })
            .collect();
        let home = self.world.home();
        json!({
            "account": home.account,
            "region": home.region,
            "now": self.world.now(),
            "ahead_secs": self.ahead_secs,
            "instances": machines,
            "groups": groups,
            "landed": landed,
        })
    }

    fn truth_of(&self, machine: &Machine) -> Value {
        let at = |secs: Option<i64>| -> Option<Timestamp> { secs.map(crate::sim::machine::moment) };
        let ecs = machine.ecs.as_ref().map(|ecs| {
            json!({
                "cluster": self.world.clusters.get(ecs.cluster).map(|cluster| &*cluster.name),
                "container_instance": ecs.arn,
                "status": Self::container_status(machine, ecs),
                "agent_up": ecs.link.up,
                "tasks": ecs.tasks,
                "standalone": ecs.special.standalone,
            })
        });
        let group = machine.member.as_ref().and_then(|member| {
            let fleet = self.world.fleets.get(member.group)?;
            Some(json!({ "name": fleet.name.as_str(), "lifecycle": member.lifecycle }))
        });
        json!({
            "id": machine.id,
            "name": machine.spec.name,
            "state": machine.state,
            "zone": machine.zone,
            "well": machine.well_since.is_some(),
            "well_since": at(machine.well_since),
            "ill_since": at(machine.ill_since),
            "fault": machine.illness.as_ref().map(|ill| ill.ailment.code()),
            "fault_since": at(machine.illness.as_ref().map(|ill| ill.began)),
            "ssm_agent_up": machine.ssm.up,
            "boots": machine.boots,
            "booted_at": at(Some(machine.booted_at)),
            "launched_at": at(Some(machine.launched_at)),
            "sessions": machine.sessions,
            "ecs": ecs,
            "group": group,
            "tags": listed(&self.tags_of(machine), "key", "value"),
        })
    }
}

/// An error with what lies behind it.
fn told(error: &super::files::WorldError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
