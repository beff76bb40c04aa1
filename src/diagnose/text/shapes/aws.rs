//! Answers of AWS as its command line prints them.

use serde_json::Value;

use super::super::super::{Cause, Helps};
use super::super::books::{Books, Sighting};
use super::super::place::Place;
use super::super::signature::{Component, Heals, Weight};
use super::json::field;

/// Reads what is known of a value's form.
pub(super) fn read(value: &Value, books: &mut Books) {
    bare(value, QUERY_DEPTH, books);
    for item in list(value, "InstanceInformationList") {
        ping(item, books);
    }
    if field(value, "Target").is_string() && field(value, "Status").is_string() {
        connection(value, books);
    }
    for item in list(value, "InstanceStatuses") {
        status_checks(item, books);
    }
    for reservation in list(value, "Reservations") {
        list(reservation, "Instances").for_each(|item| instance(item, books));
    }
    if field(value, "IamInstanceProfileAssociations").as_array().is_some_and(Vec::is_empty) {
        note(books, "no-profile", Component::Agent, Cause::IdentityNoInstanceProfile, Weight::Cause, value);
    }
    for item in list(value, "CommandInvocations") {
        invocation(item, books);
    }
    if field(value, "CommandId").is_string() && field(value, "StatusDetails").is_string() {
        invocation(value, books);
    }
    for item in list(value, "containerInstances") {
        container_instance(item, books);
    }
    for item in list(value, "clusters").filter(|item| field(item, "clusterName").is_string()) {
        if field(item, "status").as_str().is_some_and(|status| status != "ACTIVE") {
            note(books, "cluster-inactive", Component::EcsService, Cause::EcsAgentClusterMissing, Weight::Cause, item);
        } else {
            well(books, "the cluster is ACTIVE");
        }
    }
    for item in list(value, "failures").filter(|item| field(item, "reason") == "MISSING") {
        let cluster = field(item, "arn").as_str().is_some_and(|arn| arn.contains(":cluster/"));
        let cause = if cluster { Cause::EcsAgentClusterMissing } else { Cause::EcsAgentDeregistered };
        note(books, "missing", Component::EcsService, cause, Weight::Cause, item);
    }
    for item in list(value, "VolumeStatuses").filter(|item| field(field(item, "VolumeStatus"), "Status") == "impaired")
    {
        note(books, "volume-impaired", Component::Ec2Status, Cause::HostIoStalled, Weight::Cause, item);
    }
    for item in list(value, "ActivationList").filter(|item| field(item, "Expired") == true) {
        note(
            books,
            "activation-expired",
            Component::RunCommand,
            Cause::IdentityRegistrationMismatch,
            Weight::Symptom,
            item,
        );
    }
    for item in list(value, "EvaluationResults") {
        match field(item, "EvalDecision").as_str() {
            Some("allowed") => well(books, "the simulation allows it"),
            Some(decision) if decision.ends_with("Deny") => {
                note(books, "simulated-deny", Component::Agent, Cause::IdentityAccessDenied, Weight::Cause, item);
            }
            Some(_) | None => {}
        }
    }
    if let Some(roles) = field(field(value, "InstanceProfile"), "Roles").as_array()
        && roles.is_empty()
    {
        note(
            books,
            "profile-without-role",
            Component::Agent,
            Cause::IdentityNoInstanceProfile,
            Weight::Cause,
            field(value, "InstanceProfile"),
        );
    }
    host_management(field(value, "ServiceSetting"), books);
    if field(value, "Code").is_string() && field(value, "LastUpdated").is_string() {
        metadata_credentials(value, books);
    }
    if field(value, "Cluster").is_string() && field(value, "Version").is_string() {
        introspection(value, books);
    }
    for item in list(value, "VpcEndpoints")
        .filter(|item| field(item, "State").is_string() && field(item, "State") != "available")
    {
        note(books, "endpoint-not-available", Component::Agent, Cause::NetworkUnreachable, Weight::Cause, item);
    }
}

/// The account's setting for Default Host Management: a role, or `$None`.
fn host_management(setting: &Value, books: &mut Books) {
    let about = field(setting, "SettingId").as_str().is_some_and(|id| id.ends_with("management-role"));
    if about && field(setting, "SettingValue") == "$None" {
        let cause = Cause::IdentityDefaultHostManagement;
        let text = format!("Default Host Management has no role: {setting}");
        let sighting = Sighting::new("aws.no-host-management", Component::RunCommand, cause, Weight::Cause, &text);
        books.note(sighting.or(&[Cause::IdentityNoInstanceProfile]), None);
    } else if about {
        well(books, "Default Host Management has a role");
    }
}

/// How deep the lists go that `--query` makes.
const QUERY_DEPTH: u32 = 3;

/// What `--query` leaves of an answer: the parts, without the names of the lists that held them.
fn bare(value: &Value, depth: u32, books: &mut Books) {
    if let Some(items) = value.as_array().filter(|_| depth > 0) {
        for item in items {
            bare(item, depth - 1, books);
        }
    }
    let options = field(value, "HttpEndpoint").is_string() && field(value, "HttpTokens").is_string();
    if options && field(value, "HttpEndpoint") == "disabled" {
        note(books, "metadata-off", Component::Agent, Cause::IdentityImdsUnreachable, Weight::Cause, value);
    }
    let text = |name: &str| field(value, name).is_string();
    if field(value, "SystemStatus").is_object() {
        status_checks(value, books);
    }
    if text("PingStatus") {
        ping(value, books);
    }
    if field(value, "agentConnected").is_boolean() {
        container_instance(value, books);
    }
    if text("clusterName") && text("status") && field(value, "status") == "INACTIVE" {
        note(books, "cluster-inactive", Component::EcsService, Cause::EcsAgentClusterMissing, Weight::Cause, value);
    }
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    field(value, name).as_array().into_iter().flatten()
}

fn note(books: &mut Books, id: &str, component: Component, cause: Cause, weight: Weight, item: &Value) {
    books.note(Sighting::new(&format!("aws.{id}"), component, cause, weight, &item.to_string()), None);
}

/// A weak sign of health: this part is as it should be.
fn well(books: &mut Books, text: &str) {
    books.note(Sighting::new("aws.fine", Component::Agent, Cause::Healthy, Weight::Noise, text), None);
}

fn helped(books: &mut Books, sighting: Sighting, reboot: Helps, restart: Helps) {
    books.note(sighting.helped(reboot, restart), None);
}

/// Systems Manager's own view. A lost ping says that the agent is silent, not why.
fn ping(item: &Value, books: &mut Books) {
    match field(item, "PingStatus").as_str() {
        Some("Online") => books.success(Place::Ssm, Heals::Nothing),
        Some(other) => {
            let text = format!("PingStatus {other}, last ping {}", field(item, "LastPingDateTime"));
            let sighting =
                Sighting::new("aws.ping-lost", Component::RunCommand, Cause::Unknown, Weight::Symptom, &text);
            books.note(sighting.or(&[Cause::SsmAgentStopped, Cause::SsmAgentHung, Cause::NetworkUnreachable]), None);
        }
        None => {}
    }
}

fn connection(value: &Value, books: &mut Books) {
    let status = field(value, "Status").as_str().unwrap_or_default().to_ascii_lowercase();
    match status.as_str() {
        "connected" => books.success(Place::Ssm, Heals::Nothing),
        "notconnected" | "not_connected" => {
            let text = format!("connection status {status}");
            let sighting =
                Sighting::new("aws.not-connected", Component::RunCommand, Cause::Unknown, Weight::Symptom, &text);
            books.note(sighting.or(&[Cause::SsmAgentStopped, Cause::SsmAgentHung, Cause::NetworkUnreachable]), None);
        }
        _ => {}
    }
}

fn status_checks(item: &Value, books: &mut Books) {
    let status = |check: &str| field(field(item, check), "Status").as_str().unwrap_or_default();
    let bad = |status: &str| matches!(status, "impaired");
    if bad(status("SystemStatus")) {
        let sighting = Sighting::new(
            "aws.system-impaired",
            Component::Ec2Status,
            Cause::PlatformHardware,
            Weight::Cause,
            &field(item, "SystemStatus").to_string(),
        );
        helped(books, sighting, Helps::No, Helps::No);
    }
    if bad(status("AttachedEbsStatus")) {
        note(
            books,
            "ebs-impaired",
            Component::Ec2Status,
            Cause::HostIoStalled,
            Weight::Cause,
            field(item, "AttachedEbsStatus"),
        );
    }
    if bad(status("InstanceStatus")) {
        let text = field(item, "InstanceStatus").to_string();
        let sighting =
            Sighting::new("aws.instance-impaired", Component::Ec2Status, Cause::HostKernelHang, Weight::Symptom, &text);
        let sighting = sighting.or(&[Cause::HostBootFailure, Cause::HostNetworkStack, Cause::HostOutOfMemory]);
        // EC2's own advice for a failed instance check, and the table of checks (E02).
        helped(books, sighting, Helps::Yes, Helps::No);
    }
    for event in list(item, "Events") {
        let code = field(event, "Code").as_str().unwrap_or_default();
        let done = field(event, "Description")
            .as_str()
            .is_some_and(|text| text.starts_with("[Completed]") || text.starts_with("[Canceled]"));
        if matches!(code, "instance-retirement" | "instance-stop") && !done {
            note(books, "retirement", Component::Ec2Status, Cause::PlatformHardware, Weight::Cause, event);
        }
    }
    if status("SystemStatus") == "ok" && status("InstanceStatus") == "ok" {
        books.success(Place::Unknown, Heals::Nothing);
    }
}

fn instance(item: &Value, books: &mut Books) {
    if field(field(item, "MetadataOptions"), "HttpEndpoint") == "disabled" {
        note(
            books,
            "metadata-off",
            Component::Agent,
            Cause::IdentityImdsUnreachable,
            Weight::Cause,
            field(item, "MetadataOptions"),
        );
    }
    let running = field(field(item, "State"), "Name") == "running";
    // Default Host Management may give it its permissions all the same, so this is no proof.
    if running && field(item, "IamInstanceProfile").is_null() {
        let text = format!(
            "{} has no IamInstanceProfile; only Default Host Management could give its agent permissions",
            field(item, "InstanceId")
        );
        let cause = Cause::IdentityNoInstanceProfile;
        let sighting = Sighting::new("aws.no-profile", Component::Agent, cause, Weight::Symptom, &text);
        helped(books, sighting.or(&[Cause::IdentityDefaultHostManagement]), Helps::No, Helps::No);
    }
    let state = field(field(item, "State"), "Name").as_str().unwrap_or_default();
    if matches!(state, "terminated" | "shutting-down" | "stopped" | "stopping") {
        let text = format!("{} is {state}: no agent runs there", field(item, "InstanceId"));
        let sighting = Sighting::new("aws.not-running", Component::Ec2Status, Cause::Unknown, Weight::Symptom, &text);
        helped(books, sighting, Helps::No, Helps::No);
    }
    if running && field(item, "IamInstanceProfile").is_object() && field(item, "MetadataOptions").is_object() {
        well(books, "the instance runs with a profile");
    }
    let why = field(field(item, "StateReason"), "Code").as_str().unwrap_or_default();
    if matches!(why, "Server.InternalError" | "Server.ScheduledStop") {
        note(
            books,
            "stopped-by-server",
            Component::Ec2Status,
            Cause::PlatformHardware,
            Weight::Cause,
            field(item, "StateReason"),
        );
    } else if why == "Client.InternalError" {
        note(
            books,
            "does-not-start",
            Component::Ec2Status,
            Cause::HostBootFailure,
            Weight::Symptom,
            field(item, "StateReason"),
        );
    }
}

/// Run Command. Only a delivery that timed out says something about the node.
fn invocation(item: &Value, books: &mut Books) {
    let details: String =
        field(item, "StatusDetails").as_str().unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).collect();
    let details = details.to_ascii_lowercase();
    let text = format!("StatusDetails {}, ResponseCode {}", field(item, "StatusDetails"), field(item, "ResponseCode"));
    let sighting =
        |id: &str, cause, weight| Sighting::new(&format!("aws.{id}"), Component::RunCommand, cause, weight, &text);
    match details.as_str() {
        "success" => books.success(Place::Unknown, Heals::Nothing),
        "executiontimedout" => {
            books.note(sighting("execution-timed-out", Cause::CommandScriptTimeout, Weight::Cause), None);
        }
        "timedout" if field(item, "ResponseCode").as_i64().is_some_and(|code| code >= 0) => {
            books.note(sighting("timed-out", Cause::CommandScriptTimeout, Weight::Symptom), None);
        }
        "deliverytimedout" | "undeliverable" | "timedout" => {
            let also = [
                Cause::SsmAgentStopped,
                Cause::SsmAgentHung,
                Cause::SsmAgentWorkersExhausted,
                Cause::NetworkUnreachable,
            ];
            books.note(sighting("delivery-timed-out", Cause::Unknown, Weight::Symptom).or(&also), None);
        }
        "accessdenied" | "invalidplatform" | "terminated" | "ratelimitexceeded" | "rateexceeded"
        | "noinstancesintag" | "canceled" | "cancelled" => {
            books.note(sighting("rejected", Cause::CommandRejected, Weight::Cause), None);
        }
        "failed" => books.note(sighting("script-failed", Cause::Healthy, Weight::Noise), None),
        _ => {}
    }
}

fn container_instance(item: &Value, books: &mut Books) {
    let status = field(item, "status").as_str().unwrap_or_default();
    if status == "INACTIVE" {
        return note(
            books,
            "instance-inactive",
            Component::EcsService,
            Cause::EcsAgentDeregistered,
            Weight::Cause,
            field(item, "status"),
        );
    }
    for check in list(field(item, "healthStatus"), "details").filter(|check| field(check, "status") == "IMPAIRED") {
        let cause = if field(check, "type") == "CONTAINER_RUNTIME" { Cause::RuntimeDockerHung } else { Cause::Unknown };
        note(books, "health-impaired", Component::EcsService, cause, Weight::Symptom, check);
    }
    match field(item, "agentConnected").as_bool() {
        Some(true) => books.success(Place::Ecs, Heals::Nothing),
        Some(false) => {
            let text = format!("agentConnected false, status {status}");
            let sighting =
                Sighting::new("aws.agent-disconnected", Component::EcsService, Cause::Unknown, Weight::Symptom, &text);
            books.note(sighting.or(&[Cause::EcsAgentHung, Cause::EcsAgentStopped, Cause::NetworkUnreachable]), None);
        }
        None => {}
    }
}

/// `http://169.254.169.254/latest/meta-data/iam/…`.
fn metadata_credentials(value: &Value, books: &mut Books) {
    match field(value, "Code").as_str() {
        Some("Success") | None => {}
        Some(code) if code.contains("AssumeRole") => {
            note(books, "role-not-assumable", Component::Agent, Cause::IdentityAccessDenied, Weight::Cause, value);
        }
        Some(_) => note(
            books,
            "metadata-no-credentials",
            Component::Agent,
            Cause::IdentityNoInstanceProfile,
            Weight::Cause,
            value,
        ),
    }
}

/// The ECS agent's own page. It says nothing about the link to ECS (facts/host.md §2).
fn introspection(value: &Value, books: &mut Books) {
    if field(value, "ContainerInstanceArn").is_string() {
        books.success(Place::Ecs, Heals::Start);
        books.success(Place::Ecs, Heals::Nothing);
    } else {
        let text = format!("the ECS agent has not registered: {value}");
        books.note(
            Sighting::new("ecs-agent.not-registered", Component::EcsAgent, Cause::Unknown, Weight::Symptom, &text),
            None,
        );
    }
}
