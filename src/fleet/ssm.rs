//! Systems Manager: nodes and what it knows of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error::AwsError;
use super::input::{Body, shown};
use super::machines::listed;
use super::page;
use super::protocol::Service;
use super::{Answered, Fleet};
use crate::node::NodeId;
use crate::observe::{Connection, Fact, Ping, Platform, Ssm};
use crate::sim::machine::Machine;

mod commands;
mod elsewhere;
mod invocations;

pub(super) use commands::Sent;
pub(super) use invocations::coarse_word;

/// The agent's version, made up.
const AGENT: &str = "3.3.3050.0";

/// Answers an operation; none when the door does not know it.
pub(super) fn call(fleet: &mut Fleet, operation: &str, body: Body<'_>) -> Option<Answered> {
    Some(match operation {
        "DescribeInstanceInformation" => fleet.describe_instance_information(body),
        "GetConnectionStatus" => fleet.get_connection_status(body),
        "SendCommand" => fleet.send_command(body),
        "ListCommandInvocations" => fleet.list_command_invocations(body),
        "GetCommandInvocation" => fleet.get_command_invocation(body),
        "DescribeSessions" => fleet.describe_sessions(body),
        "GetCalendarState" => fleet.get_calendar_state(body),
        "DescribeDocument" => fleet.describe_document(body),
        "GetParameter" => fleet.get_parameter(body),
        "GetServiceSetting" => fleet.get_service_setting(body),
        "ListTagsForResource" => fleet.list_tags_for_resource(body),
        _ => return None,
    })
}

/// A condition of `Filters`, or of the older list.
struct Filter<'a> {
    key: &'a str,
    values: Vec<&'a str>,
}

impl Fleet {
    /// `DescribeInstanceInformation`: registered nodes; stopped and terminated instances are not among them.
    fn describe_instance_information(&self, body: Body<'_>) -> Answered {
        let filters = filters(body)?;
        let most = page::size(body.number("MaxResults")?, 5..=50, 10, |asked| {
            AwsError::new(
                "ValidationException",
                format!(
                    "Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must have value between 5 and 50"
                ),
            )
        })?;
        self.check_older_ids(body)?;
        for filter in &filters {
            self.check_service(filter.values.iter().filter_map(|value| value.parse().ok()))?;
        }
        let mut found = Vec::new();
        for machine in &self.world.machines {
            let (Fact::Known(ssm), _) = self.world.agents(machine, self.world.now) else { continue };
            if filters.iter().all(|filter| self.passes(filter, machine, &ssm)) {
                found.push(self.information(machine, &ssm));
            }
        }
        let bad = || AwsError::new("InvalidNextToken", "The specified token isn't valid.");
        let (page, next) = page::page(found, body.text("NextToken")?, most, bad)?;
        Ok(with_token(json!({ "InstanceInformationList": page }), next))
    }

    /// The older filter refuses ids that are not registered; `Filters` leaves them out without a word (facts/aws.md §2.1).
    fn check_older_ids(&self, body: Body<'_>) -> Result<(), AwsError> {
        for older in body.objects("InstanceInformationFilterList")? {
            if older.need_text("key")? == "InstanceIds" {
                for id in older.texts("valueSet")? {
                    let known = id.parse().ok().and_then(|node| self.machine(node)).is_some_and(Machine::ssm_listed);
                    if !known {
                        return Err(AwsError::new("InvalidInstanceId", format!("{} is not registered", shown(id))));
                    }
                }
            }
        }
        Ok(())
    }

    fn passes(&self, filter: &Filter<'_>, machine: &Machine, ssm: &Ssm) -> bool {
        let any = |is: &dyn Fn(&str) -> bool| filter.values.iter().any(|value| is(value));
        let (kind, _, _) = Self::platform(machine);
        match filter.key {
            "InstanceIds" => any(&|value| value.parse() == Ok(machine.id)),
            "PingStatus" => any(&|value| value == ping(ssm.ping)),
            "PlatformTypes" => any(&|value| value == kind),
            "ResourceType" => any(&|value| value == resource_type(machine.id)),
            "AgentVersion" => any(&|value| value == AGENT),
            "IamRole" => any(&|value| Self::role(machine).as_deref() == Some(value)),
            "tag-key" => any(&|value| self.tags_of(machine).contains_key(value)),
            key => key
                .strip_prefix("tag:")
                .is_some_and(|key| self.tags_of(machine).get(key).is_some_and(|given| any(&|value| value == given))),
        }
    }

    fn information(&self, machine: &Machine, ssm: &Ssm) -> Value {
        let (kind, name, version) = Self::platform(machine);
        let mut answer = json!({
            "InstanceId": machine.id,
            "PingStatus": ping(ssm.ping),
            "LastPingDateTime": ssm.last_ping.as_second(),
            "AgentVersion": AGENT,
            "PlatformType": kind,
            "PlatformName": name,
            "PlatformVersion": version,
            "ResourceType": resource_type(machine.id),
            "IPAddress": Self::private_address(machine),
            "ComputerName": self.computer_name(machine),
            "SourceId": machine.id,
            "SourceType": if machine.id.is_instance() { "AWS::EC2::Instance" } else { "AWS::SSM::ManagedInstance" },
        });
        if let Some(fields) = answer.as_object_mut() {
            if machine.spec.platform != Platform::Windows {
                fields.insert("IsLatestVersion".to_owned(), json!(true));
            }
            if !machine.id.is_instance() {
                fields.insert("ActivationId".to_owned(), json!("5bd1a9a0-0000-4000-8000-000000000001"));
                fields.insert("IamRole".to_owned(), json!("service-role/hybrid-node-role"));
                fields.insert("RegistrationDate".to_owned(), json!(machine.launched_at));
                fields.insert("Name".to_owned(), json!(machine.spec.name.as_ref().map_or("", |name| name.as_str())));
            }
        }
        answer
    }

    pub(super) fn computer_name(&self, machine: &Machine) -> String {
        if machine.id.is_instance() {
            let address = Self::private_address(machine).replace('.', "-");
            format!("ip-{address}.{}.compute.internal", self.world.home.region)
        } else {
            machine.spec.name.as_ref().map_or_else(|| machine.id.to_string(), ToString::to_string)
        }
    }

    /// `GetConnectionStatus`: what is not known is not connected.
    fn get_connection_status(&self, body: Body<'_>) -> Answered {
        let target = body.need_text("Target")?;
        let node: Option<NodeId> = target.parse().ok();
        self.check_service(node.into_iter())?;
        let machine = node.and_then(|node| self.machine(node));
        let ssm = machine.map(|machine| self.world.agents(machine, self.world.now).0);
        let connected = matches!(ssm, Some(Fact::Known(Ssm { connection: Fact::Known(Connection::Connected), .. })));
        Ok(json!({ "Target": target, "Status": if connected { "connected" } else { "notconnected" } }))
    }

    /// `ListTagsForResource`, of managed nodes outside EC2 only.
    fn list_tags_for_resource(&self, body: Body<'_>) -> Answered {
        let (kind, id) = (body.need_text("ResourceType")?, body.need_text("ResourceId")?);
        if kind != "ManagedInstance" {
            return Err(AwsError::new(
                "InvalidResourceType",
                "the simulated account keeps tags of ManagedInstance only",
            ));
        }
        let node: Option<NodeId> = id.parse().ok();
        self.check_service(node.into_iter())?;
        let machine = node.and_then(|node| self.machine(node)).filter(|machine| !machine.id.is_instance());
        let machine = machine
            .ok_or_else(|| AwsError::new("InvalidResourceId", format!("{} is not a managed node", shown(id))))?;
        Ok(json!({ "TagList": listed(&self.tags_of(machine), "Key", "Value") }))
    }

    /// The service fails for a node whose fault is the service's own.
    pub(super) fn check_service(&self, mut nodes: impl Iterator<Item = NodeId>) -> Result<(), AwsError> {
        let down = |node| self.machine(node).is_some_and(crate::sim::world::World::service_down);
        if nodes.any(down) { Err(AwsError::broken(Service::Ssm)) } else { Ok(()) }
    }
}

fn ping(ping: Ping) -> &'static str {
    match ping {
        Ping::Online => "Online",
        Ping::ConnectionLost => "ConnectionLost",
    }
}

fn resource_type(node: NodeId) -> &'static str {
    if node.is_instance() { "EC2Instance" } else { "ManagedInstance" }
}

/// The keys that `Filters` takes and this door understands.
const KEYS: [&str; 7] =
    ["InstanceIds", "PingStatus", "PlatformTypes", "ResourceType", "AgentVersion", "IamRole", "tag-key"];

fn filters(body: Body<'_>) -> Result<Vec<Filter<'_>>, AwsError> {
    let mut found = Vec::new();
    for filter in body.objects("Filters")? {
        found.push(Filter { key: filter.need_text("Key")?, values: filter.texts("Values")? });
    }
    let newer = found.len();
    for filter in body.objects("InstanceInformationFilterList")? {
        found.push(Filter { key: filter.need_text("key")?, values: filter.texts("valueSet")? });
    }
    if newer > 0 && found.len() > newer {
        return Err(AwsError::new(
            "ValidationException",
            "Filters and InstanceInformationFilterList cannot be used together",
        ));
    }
    for filter in &found {
        if !(KEYS.contains(&filter.key) || filter.key.starts_with("tag:")) {
            return Err(AwsError::new("InvalidFilterKey", format!("{} is not a filter", shown(filter.key))));
        }
    }
    let tags = found.iter().filter(|filter| filter.key.starts_with("tag")).count();
    if tags > 0 && tags < found.len() {
        return Err(AwsError::new(
            "InvalidInstanceInformationFilterValue",
            "filters by tag cannot be mixed with others",
        ));
    }
    Ok(found)
}

/// An answer with the token of the next page, when there is one.
pub(super) fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let (Some(fields), Some(next)) = (answer.as_object_mut(), next) {
        fields.insert("NextToken".to_owned(), json!(next));
    }
    answer
}

/// What is left of a map of parameters for the log: nothing secret is kept beyond the answer.
type Parameters = BTreeMap<String, Vec<String>>;
