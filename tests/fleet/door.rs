//! The door, called as a handler: a clock that a story moves, and answers that are easy to ask.

use defib::fleet::{Answer, Fleet, Request, WorldFile};
use defib::time::after;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The door, and a clock that a story moves.
pub(crate) struct Door {
    pub(crate) fleet: Fleet,
    pub(crate) now: Timestamp,
}

/// An answer in XML.
pub(crate) struct Xml {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Xml {
    /// The text of every element of a name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        self.text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).collect()
    }

    pub(crate) fn one(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_else(|| panic!("no {name} in {}", self.text))
    }

    pub(crate) fn code(&self) -> (u16, &str) {
        (self.status, self.one("Code"))
    }
}

impl Door {
    pub(crate) fn open(world: &Value) -> Self {
        let now = "2026-11-20T14:00:00Z".parse().unwrap();
        let file = WorldFile::read(world.to_string().as_bytes()).unwrap();
        Self { fleet: Fleet::of(&file, now).unwrap(), now }
    }

    pub(crate) fn wait(&mut self, secs: i64) {
        self.now = after(self.now, secs);
    }

    pub(crate) fn ask(&mut self, request: &Request<'_>) -> Answer {
        self.fleet.answer(request, self.now)
    }

    pub(crate) fn json(&mut self, target: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request =
            Request { method: "POST", path: "/", target: Some(target), body: body.as_bytes(), ..Request::default() };
        let answer = self.ask(&request);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    pub(crate) fn ssm(&mut self, operation: &str, body: &Value) -> Value {
        self.json(&format!("AmazonSSM.{operation}"), body).1
    }

    pub(crate) fn ecs(&mut self, operation: &str, body: &Value) -> Value {
        self.json(&format!("AmazonEC2ContainerServiceV20141113.{operation}"), body).1
    }

    pub(crate) fn query(&mut self, version: &str, form: &str) -> Xml {
        let body = format!("Version={version}&Action={form}");
        let request = Request { method: "POST", path: "/", body: body.as_bytes(), ..Request::default() };
        let answer = self.ask(&request);
        Xml { status: answer.status, text: answer.body }
    }

    pub(crate) fn control(&mut self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let answer = self.ask(&Request { method, path, query, target: None, body: body.as_bytes() });
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }

    /// The truth of one machine.
    pub(crate) fn truth(&mut self, id: &str) -> Value {
        let (_, world) = self.control("GET", "/_fleet/world", &Value::Null);
        world["instances"].as_array().unwrap().iter().find(|one| one["id"] == id).unwrap().clone()
    }

    pub(crate) fn listed(&mut self, id: &str) -> Option<Value> {
        let body = json!({ "Filters": [{ "Key": "InstanceIds", "Values": [id] }] });
        self.ssm("DescribeInstanceInformation", &body)["InstanceInformationList"].get(0).cloned()
    }

    pub(crate) fn send(&mut self, id: &str, document: &str, parameters: &Value) -> String {
        let body = json!({
            "InstanceIds": [id], "DocumentName": document, "Parameters": parameters, "TimeoutSeconds": 60,
        });
        let sent = self.ssm("SendCommand", &body);
        sent["Command"]["CommandId"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
    }

    pub(crate) fn step(&mut self, command: &str, id: &str, step: &str) -> Value {
        let body = json!({ "CommandId": command, "InstanceId": id, "PluginName": step });
        self.ssm("GetCommandInvocation", &body)
    }

    pub(crate) fn invocation(&mut self, command: &str, id: &str) -> Value {
        self.ssm("GetCommandInvocation", &json!({ "CommandId": command, "InstanceId": id }))
    }
}
