//! What AWS tells of the account: the world's signals as native EventBridge events.
//!
//! The forms follow the pages that events/README.md names; none was captured on a real account.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ec2::state_name;
use super::{Fleet, mixed, ssm, uuid};
use crate::event::{GoneKind, HealthCheck, Signal, SignalKind};
use crate::node::NodeId;
use crate::observe::InstanceState;
use crate::sim::machine::{EcsSide, Machine, Secs};
use crate::sim::traffic::Stage;

/// Events that nobody fetched are kept up to this number; the oldest go first.
const EVENTS_MAX: usize = 100_000;

/// What was told already.
#[derive(Debug, Default)]
pub(super) struct Told {
    waiting: Vec<Value>,
    states: BTreeMap<NodeId, InstanceState>,
    /// When each invocation began to run, and when it ended.
    times: BTreeMap<u32, (Option<Secs>, Option<Secs>)>,
    count: u64,
}

impl Told {
    /// When an invocation began to run, and when it ended.
    pub(super) fn times_of(&self, number: u32) -> (Option<Secs>, Option<Secs>) {
        self.times.get(&number).copied().unwrap_or_default()
    }

    /// Hands over what waits.
    pub(super) fn drain(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.waiting)
    }
}

impl Fleet {
    /// Writes down what AWS tells of the moment that the world has reached.
    pub(super) fn listen(&mut self) {
        let at = self.world.now();
        let mut told = self.power_changes(at);
        told.extend(self.command_changes(at));
        for (at, signal) in self.world.take_signals() {
            told.extend(self.native(at, &signal));
        }
        for mut event in told {
            self.events.count += 1;
            if let Some(fields) = event.as_object_mut() {
                let id = uuid(mixed(u128::from(self.seed) ^ 1 << 62, u128::from(self.events.count)));
                fields.insert("id".to_owned(), json!(id));
            }
            self.events.waiting.push(event);
        }
        let excess = self.events.waiting.len().saturating_sub(EVENTS_MAX);
        self.events.waiting.drain(..excess);
    }

    /// States of instances that changed, those aside that signals tell of.
    fn power_changes(&mut self, at: Timestamp) -> Vec<Value> {
        let mut changed = Vec::new();
        for machine in self.world.machines.iter().filter(|machine| machine.id.is_instance()) {
            let before = self.events.states.insert(machine.id, machine.state);
            let new = before.is_none() && machine.state == InstanceState::Pending;
            let told_by_signal = matches!(machine.state, InstanceState::Stopped | InstanceState::Terminated);
            if (new || before.is_some_and(|before| before != machine.state)) && !told_by_signal {
                changed.push((machine.id, machine.state));
            }
        }
        changed.into_iter().map(|(node, state)| self.state_change(at, node, state)).collect()
    }

    /// Invocations that began, and those that succeeded; signals tell of the others.
    fn command_changes(&mut self, at: Timestamp) -> Vec<Value> {
        let mut changed = Vec::new();
        for (number, command) in self.world.commands.numbered() {
            let times = self.events.times.entry(number).or_default();
            let now = self.world.now;
            match command.stage {
                Stage::Sent => continue,
                Stage::Running { .. } if times.0.is_none() => times.0 = Some(now),
                Stage::Ended if times.1.is_none() => times.1 = Some(now),
                Stage::Running { .. } | Stage::Ended => continue,
            }
            let word = ssm::coarse_word(command);
            if matches!(word, "InProgress" | "Success")
                && let Some(machine) = self.world.machines.get(command.machine)
            {
                changed.push((machine.id, command.clone(), word));
            }
        }
        changed
            .into_iter()
            .map(|(node, command, word)| {
                let document = command.document.as_ref().map_or("", |name| name.as_str());
                self.invocation(at, node, command.id.as_str(), document, word)
            })
            .collect()
    }

    /// A signal as the event that brings it; none for what only a sweep sees.
    fn native(&self, at: Timestamp, signal: &Signal) -> Option<Value> {
        let machine = self.machine(signal.node)?;
        match &signal.kind {
            SignalKind::CommandTrouble { command, document, status } => {
                Some(self.invocation(at, signal.node, command.as_str(), document.as_str(), status.as_str()))
            }
            SignalKind::CommandSucceeded => {
                let command = uuid(signal.node.value());
                Some(self.invocation(at, signal.node, &command, "AWS-RunShellScript", "Success"))
            }
            SignalKind::EcsDisconnected { version, .. } => {
                self.container_instance_change(at, machine, Some(false), *version)
            }
            SignalKind::EcsConnected => self.container_instance_change(at, machine, Some(true), None),
            SignalKind::Gone { what: GoneKind::ContainerInstanceInactive } => {
                self.container_instance_change(at, machine, None, None)
            }
            SignalKind::Gone { what: GoneKind::Stopped } => {
                Some(self.state_change(at, signal.node, InstanceState::Stopped))
            }
            SignalKind::Gone { what: GoneKind::Terminated } => {
                Some(self.state_change(at, signal.node, InstanceState::Terminated))
            }
            SignalKind::EcsHealthImpaired { check, since, .. } => {
                self.health_change(at, machine, Some((*check, since.unwrap_or(at))))
            }
            SignalKind::EcsHealthRestored => self.health_change(at, machine, None),
            SignalKind::SessionRefused => Some(self.session_refused(at, signal.node)),
            SignalKind::Swept { .. } => None,
        }
    }

    fn event(&self, at: Timestamp, source: &str, kind: &str, resources: &[String], detail: &Value) -> Value {
        let home = self.world.home();
        json!({
            "version": "0",
            "detail-type": kind,
            "source": source,
            "account": home.account,
            "time": at.to_string(),
            "region": home.region,
            "resources": resources,
            "detail": detail,
        })
    }

    fn node_arn(&self, node: NodeId) -> String {
        if node.is_instance() {
            self.arn("ec2", &format!("instance/{node}"))
        } else {
            self.arn("ssm", &format!("managed-instance/{node}"))
        }
    }

    fn state_change(&self, at: Timestamp, node: NodeId, state: InstanceState) -> Value {
        let detail = json!({ "instance-id": node, "state": state_name(state) });
        self.event(at, "aws.ec2", "EC2 Instance State-change Notification", &[self.node_arn(node)], &detail)
    }

    fn invocation(&self, at: Timestamp, node: NodeId, command: &str, document: &str, status: &str) -> Value {
        let sent = self.world.commands.numbered().find(|(_, known)| known.id.as_str() == command);
        let sent_at = sent.map_or(at.as_second(), |(_, known)| known.sent_at);
        let detail = json!({
            "command-id": command,
            "document-name": document,
            "instance-id": node,
            "requested-date-time": written(sent_at),
            "status": status,
        });
        let kind = "EC2 Command Invocation Status-change Notification";
        self.event(at, "aws.ssm", kind, &[self.node_arn(node)], &detail)
    }

    /// `connected` none: the container instance is `INACTIVE`.
    fn container_instance_change(
        &self,
        at: Timestamp,
        machine: &Machine,
        connected: Option<bool>,
        version: Option<u64>,
    ) -> Option<Value> {
        let ecs = machine.ecs.as_ref()?;
        let Value::Object(mut detail) = self.described(machine, ecs, false, false) else { return None };
        for field in ["tags", "attachments", "capacityProviderName"] {
            detail.remove(field);
        }
        for list in ["registeredResources", "remainingResources"] {
            detail.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().for_each(plain_resource);
        }
        detail.insert("accountType".to_owned(), json!("MEMBER"));
        detail.insert("clusterArn".to_owned(), json!(self.world.clusters.get(ecs.cluster)?.arn));
        detail.insert("agentConnected".to_owned(), json!(connected.unwrap_or(false)));
        detail.insert("registeredAt".to_owned(), json!(written(machine.launched_at)));
        detail.insert("updatedAt".to_owned(), json!(written(at.as_second())));
        match (connected, detail.get("status").and_then(Value::as_str)) {
            (None, _) => detail.insert("status".to_owned(), json!("INACTIVE")),
            // What was deregistered since then was not, when it connected.
            (Some(_), Some("INACTIVE")) => detail.insert("status".to_owned(), json!("ACTIVE")),
            (Some(_), _) => None,
        };
        if let Some(version) = version {
            detail.insert("version".to_owned(), json!(version));
        }
        let resources = [ecs.arn.to_string()];
        let kind = "ECS Container Instance State Change";
        Some(self.event(at, "aws.ecs", kind, &resources, &Value::Object(detail)))
    }

    fn health_change(
        &self,
        at: Timestamp,
        machine: &Machine,
        impaired: Option<(HealthCheck, Timestamp)>,
    ) -> Option<Value> {
        let ecs: &EcsSide = machine.ecs.as_ref()?;
        let check = |check: HealthCheck, name: &str, reason: &str| {
            let since = impaired.filter(|(bad, _)| *bad == check).map(|(_, since)| since);
            json!({
                "type": name,
                "status": if since.is_some() { "IMPAIRED" } else { "OK" },
                "lastStatusChange": since.unwrap_or(at).to_string(),
                "lastUpdated": at.to_string(),
                "statusReason": since.map(|since| format!("{reason} since {since}")),
            })
        };
        let member = machine.member.as_ref().and_then(|member| self.world.fleets.get(member.group));
        let detail = json!({
            "clusterArn": self.world.clusters.get(ecs.cluster)?.arn,
            "containerInstanceArn": ecs.arn,
            "capacityProviderName": member.map(|fleet| fleet.name.as_str()),
            "ec2InstanceId": machine.id,
            "overallStatus": if impaired.is_some() { "IMPAIRED" } else { "OK" },
            "healthChecks": [
                check(HealthCheck::ContainerRuntime, "CONTAINER_RUNTIME", "Container runtime not responding"),
                check(HealthCheck::AgentConnectivity, "AGENT_CONNECTIVITY", "Agent disconnected"),
            ],
        });
        let kind = "ECS Container Instance Health Change";
        Some(self.event(at, "aws.ecs", kind, &[ecs.arn.to_string()], &detail))
    }

    fn session_refused(&self, at: Timestamp, node: NodeId) -> Value {
        let home = self.world.home();
        let user = format!("assumed-role/on-call/{}", home.account);
        let detail = json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "AssumedRole", "principalId": "AROAEXAMPLEEXAMPLEID:on-call",
                "arn": self.global_arn("sts", &user), "accountId": home.account,
            },
            "eventTime": at.to_string(),
            "eventSource": "ssm.amazonaws.com",
            "eventName": "StartSession",
            "awsRegion": home.region,
            "errorCode": "TargetNotConnected",
            "errorMessage": format!("{node} is not connected."),
            "requestParameters": { "target": node },
            "responseElements": null,
            "readOnly": false,
            "eventType": "AwsApiCall",
            "managementEvent": true,
            "recipientAccountId": home.account,
            "eventCategory": "Management",
        });
        self.event(at, "aws.ssm", "AWS API Call via CloudTrail", &[], &detail)
    }
}

/// A moment with thousandths, as both services write it.
fn written(secs: Secs) -> String {
    crate::sim::machine::moment(secs).to_string().replace('Z', ".000Z")
}

/// Events carry of a resource only the value that its type has.
fn plain_resource(resource: &mut Value) {
    let Some(fields): Option<&mut Map<String, Value>> = resource.as_object_mut() else { return };
    let is_number = fields.get("type").is_some_and(|kind| kind == "INTEGER");
    fields.remove("doubleValue");
    fields.remove("longValue");
    if !is_number {
        fields.remove("integerValue");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::CoarseStatus;
    use crate::event::{DropReason, read_value};
    use crate::fleet::WorldFile;

    fn fleet() -> Fleet {
        let file = br#"{"instances":[{"id":"i-0a1b2c3d4e5f60718","cluster":"prod-web","group":"prod-web-asg"},
            {"id":"mi-0a1b2c3d4e5f60718"}]}"#;
        Fleet::of(&WorldFile::read(file).unwrap(), "2026-11-20T14:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn our_own_parser_reads_every_event_back_as_the_same_signal() {
        let fleet = fleet();
        let node: NodeId = "i-0a1b2c3d4e5f60718".parse().unwrap();
        let at = fleet.world.now();
        let ecs = fleet.machine(node).unwrap().ecs.clone().unwrap();
        let cluster = Some(fleet.world.clusters[0].arn.clone());
        let since = Some(crate::time::after(at, -300));
        let mut kinds = vec![
            SignalKind::CommandSucceeded,
            SignalKind::EcsHealthRestored,
            SignalKind::EcsConnected,
            SignalKind::SessionRefused,
            SignalKind::EcsDisconnected {
                container_instance: ecs.arn.clone(),
                cluster: cluster.clone(),
                version: Some(7),
            },
        ];
        for what in [GoneKind::Stopped, GoneKind::Terminated, GoneKind::ContainerInstanceInactive] {
            kinds.push(SignalKind::Gone { what });
        }
        for check in [HealthCheck::AgentConnectivity, HealthCheck::ContainerRuntime] {
            let (container_instance, cluster) = (ecs.arn.clone(), cluster.clone());
            kinds.push(SignalKind::EcsHealthImpaired { check, container_instance, cluster, since });
        }
        for status in [CoarseStatus::TimedOut, CoarseStatus::Failed, CoarseStatus::Undeliverable] {
            let command = "3f9a6d17-84c2-4b0e-a5d1-7c60e2b98f41".parse().unwrap();
            kinds.push(SignalKind::CommandTrouble { command, document: "AWS-RunShellScript".parse().unwrap(), status });
        }
        for kind in kinds {
            let signal = Signal { node, at, kind };
            let event = fleet.native(at, &signal).unwrap();
            let reading = read_value(&event, Some(fleet.world.home()), at);
            assert_eq!(reading.result, Ok(signal), "{event}");
        }
    }

    #[test]
    fn events_of_nodes_outside_ec2_name_the_managed_node() {
        let fleet = fleet();
        let node: NodeId = "mi-0a1b2c3d4e5f60718".parse().unwrap();
        let event = fleet.invocation(fleet.world.now(), node, "3f9a6d17-84c2-4b0e-a5d1-7c60e2b98f41", "X", "TimedOut");
        assert_eq!(event["resources"][0], "arn:aws:ssm:us-east-1:111122223333:managed-instance/mi-0a1b2c3d4e5f60718");
    }

    #[test]
    fn a_story_is_told_in_order_and_every_event_can_be_read() {
        let mut fleet = fleet();
        let node: NodeId = "i-0a1b2c3d4e5f60718".parse().unwrap();
        let start = fleet.world.now();
        fleet.world.afflict(node, crate::sim::ailment::Ailment::EcsAgentStopped, start, None);
        fleet.catch_up(crate::time::after(start, 900));
        fleet.world.terminate_by_hand(node, fleet.world.now());
        fleet.listen();
        fleet.catch_up(crate::time::after(start, 1_800));
        let told = fleet.events.drain();
        let names: Vec<String> = told
            .iter()
            .map(|event| match read_value(event, Some(fleet.world.home()), fleet.world.now()).result {
                Ok(signal) => signal.kind.name().to_owned(),
                Err(DropReason::InstanceState { state }) => state.to_string(),
                Err(other) => panic!("{other}: {event}"),
            })
            .collect();
        let expected = ["ecs-disconnected", "ecs-health-impaired", "shutting-down", "gone", "pending", "running"];
        let mut found = names.iter();
        for name in expected {
            assert!(found.any(|told| told == name), "{name} in {names:?}");
        }
        assert!(told.iter().all(|event| event["id"].as_str().is_some_and(|id| id.len() == 36)));
    }
}
