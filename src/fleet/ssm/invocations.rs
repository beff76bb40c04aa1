//! Run Command: what became of a command on each node.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::commands::{Sent, action_word};
use super::with_token;
use crate::diagnose::{Finding, Severity};
use crate::effect::Effect;
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::page;
use crate::fleet::{Answered, Fleet};
use crate::node::{NodeId, ResourceName};
use crate::observe::{InvocationStatus, Platform};
use crate::sim::machine::{Machine, Secs, moment};
use crate::sim::traffic::{Command, HostAnswer, Stage, Work};

/// An invocation cannot be read in its first seconds (facts/aws.md §2.1).
const INVISIBLE_SECS: Secs = 2;
/// Characters of output that `GetCommandInvocation` and `ListCommandInvocations` carry (facts/aws.md §2.1).
const OUTPUT_MAX: usize = 24_000;
const SHORT_OUTPUT_MAX: usize = 2_500;

impl Fleet {
    /// `ListCommandInvocations`, the newest first.
    pub(super) fn list_command_invocations(&self, body: Body<'_>) -> Answered {
        let most = page::size(body.number("MaxResults")?, 1..=50, 50, |_| {
            AwsError::new("ValidationException", "MaxResults is from 1 to 50")
        })?;
        let wanted = body.text("CommandId")?;
        if wanted.is_some_and(|id| id.len() != 36) {
            return Err(AwsError::new("InvalidCommandId", "a command id has 36 characters"));
        }
        let node = match body.text("InstanceId")? {
            None => None,
            Some(id) => Some(
                id.parse::<NodeId>()
                    .map_err(|_| AwsError::new("InvalidInstanceId", format!("{} is not an instance id", shown(id))))?,
            ),
        };
        self.check_service(node.into_iter())?;
        let mut filters = Vec::new();
        for filter in body.objects("Filters")? {
            filters.push((filter.need_text("key")?, filter.need_text("value")?));
        }
        let details = body.flag("Details")?.unwrap_or(false);
        let mut found: Vec<(Secs, Value)> = Vec::new();
        for (number, command) in self.world.commands.numbered() {
            let Some(machine) = self.world.machines.get(command.machine) else { continue };
            let visible = self.world.now - command.sent_at >= INVISIBLE_SECS;
            let fits = visible
                && wanted.is_none_or(|id| id == command.id.as_str())
                && node.is_none_or(|node| node == machine.id);
            if fits && passes(command, &filters)? {
                found.push((command.sent_at, self.listed_invocation(number, command, machine, details)));
            }
        }
        found.reverse();
        found.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let bad = || AwsError::new("InvalidNextToken", "The specified token isn't valid.");
        let (page, next) = page::page(found, body.text("NextToken")?, most, bad)?;
        let page: Vec<Value> = page.into_iter().map(|(_, value)| value).collect();
        Ok(with_token(json!({ "CommandInvocations": page }), next))
    }

    fn listed_invocation(&self, number: u32, command: &Command, machine: &Machine, details: bool) -> Value {
        let sent = self.sent.get(command.id.as_str());
        let status = status(command);
        let plugins: Vec<Value> = if details {
            steps(sent, machine).iter().map(|step| self.listed_step(number, command, machine, step)).collect()
        } else {
            Vec::new()
        };
        json!({
            "CommandId": command.id,
            "InstanceId": machine.id,
            "InstanceName": machine.spec.name.as_ref().map_or("", |name| name.as_str()),
            "Comment": sent.map_or("", |sent| &sent.comment),
            "DocumentName": command.document.as_ref().map_or("", |name| name.as_str()),
            "DocumentVersion": sent.map_or("$DEFAULT", |sent| &sent.version),
            "RequestedDateTime": command.sent_at,
            "Status": status.coarse,
            "StatusDetails": spaced(status.details),
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "CommandPlugins": plugins,
            "ServiceRole": "",
            "NotificationConfig": { "NotificationArn": "", "NotificationEvents": [], "NotificationType": "" },
            "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
        })
    }

    /// One of `CommandPlugins`.
    fn listed_step(&self, number: u32, command: &Command, machine: &Machine, step: &Step) -> Value {
        let status = status(command);
        let (started, ended) = self.events.times_of(number);
        let mut plugin = json!({
            "Name": step.name,
            "Status": status.coarse,
            "StatusDetails": spaced(status.details),
            "ResponseCode": status.code,
            "Output": cut(&output(command, machine, step), SHORT_OUTPUT_MAX),
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
            "OutputS3Region": "",
            "OutputS3BucketName": "",
            "OutputS3KeyPrefix": "",
        });
        if let Some(fields) = plugin.as_object_mut() {
            if let Some(at) = started {
                fields.insert("ResponseStartDateTime".to_owned(), json!(at));
            }
            if let Some(at) = ended {
                fields.insert("ResponseFinishDateTime".to_owned(), json!(at));
            }
        }
        plugin
    }

    /// `GetCommandInvocation` of one step. Of a document with several, as ours are, it must be named (facts/aws.md §2.1).
    pub(super) fn get_command_invocation(&self, body: Body<'_>) -> Answered {
        let (id, instance) = (body.need_text("CommandId")?, body.need_text("InstanceId")?);
        if id.len() != 36 {
            return Err(AwsError::new("InvalidCommandId", "a command id has 36 characters"));
        }
        let node: NodeId = instance
            .parse()
            .map_err(|_| AwsError::new("ValidationException", format!("{} is no instance id", shown(instance))))?;
        self.check_service(std::iter::once(node))?;
        let missing = || AwsError::new("InvocationDoesNotExist", "");
        let found = self.world.commands.numbered().find_map(|(number, command)| {
            let machine = self.world.machines.get(command.machine)?;
            (command.id.as_str() == id && machine.id == node).then_some((number, command, machine))
        });
        let (number, command, machine) =
            found.filter(|(_, command, _)| self.world.now - command.sent_at >= INVISIBLE_SECS).ok_or_else(missing)?;
        let sent = self.sent.get(id);
        let steps = steps(sent, machine);
        let step = match (body.text("PluginName")?, steps.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(wanted), steps) => steps.iter().find(|step| step.name == wanted),
        };
        let step = step.ok_or_else(|| {
            let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
            AwsError::new("InvalidPluginName", format!("the document has the steps {}", names.join(", ")))
        })?;
        let status = status(command);
        let (started, ended) = self.events.times_of(number);
        let at = |secs: Option<Secs>| secs.map_or_else(String::new, |secs| moment(secs).to_string());
        let took = match (started, ended) {
            (Some(started), Some(ended)) => format!("PT{}S", ended - started),
            _ => String::new(),
        };
        Ok(json!({
            "CommandId": command.id,
            "InstanceId": node,
            "Comment": sent.map_or("", |sent| &sent.comment),
            "DocumentName": command.document.as_ref().map_or("", |name| name.as_str()),
            "DocumentVersion": sent.map_or("$DEFAULT", |sent| &sent.version),
            "PluginName": step.name,
            "ResponseCode": status.code,
            "ExecutionStartDateTime": at(started),
            "ExecutionElapsedTime": took,
            "ExecutionEndDateTime": at(ended),
            "Status": status.coarse,
            "StatusDetails": status.details,
            "StandardOutputContent": cut(&output(command, machine, step), OUTPUT_MAX),
            "StandardOutputUrl": "",
            "StandardErrorContent": if status.coarse == "Failed" && status.code == 1 { "failed to run commands: exit status 1" } else { "" },
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
        }))
    }
}

/// A step of a document, and whether it runs on the node's platform.
struct Step {
    name: &'static str,
    runs: bool,
}

/// The steps of a document: our own have one for each platform, any other has one here.
fn steps(sent: Option<&Sent>, machine: &Machine) -> Vec<Step> {
    let windows = machine.spec.platform == Platform::Windows;
    let names = match sent.and_then(|sent| sent.own) {
        Some(Effect::Probe) => ["ProbeLinux", "ProbeWindows"],
        Some(_) => ["RepairLinux", "RepairWindows"],
        None => return vec![Step { name: "aws:runShellScript", runs: true }],
    };
    names.into_iter().map(|name| Step { name, runs: name.ends_with("Windows") == windows }).collect()
}

/// What a step printed.
fn output(command: &Command, machine: &Machine, step: &Step) -> String {
    if command.status != InvocationStatus::Success {
        return String::new();
    }
    if !step.runs {
        let platform = if step.name.ends_with("Windows") { "Windows" } else { "Linux" };
        return format!(
            "Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType, {platform}]'. \
             Step name: {}",
            step.name
        );
    }
    match (&command.work, &command.answer) {
        (Work::Ours(Effect::Probe), Some(HostAnswer { booted_at, boot_id, findings })) => {
            probe_output(machine, (moment(*booted_at), boot_id.as_ref()), findings)
        }
        (Work::Ours(effect), _) => format!("{}\n", json!({ "action": action_word(*effect), "done": true })),
        (Work::Theirs { .. }, _) => String::new(),
    }
}

/// An invocation's status in AWS's words.
struct Status {
    coarse: &'static str,
    /// Without spaces.
    details: &'static str,
    code: i32,
}

fn status(command: &Command) -> Status {
    let (coarse, details, code) = match (command.status, command.stage) {
        (InvocationStatus::Open, Stage::Running { .. }) => ("InProgress", "InProgress", -1),
        (InvocationStatus::Open, Stage::Sent | Stage::Ended) => ("Pending", "Pending", -1),
        (InvocationStatus::Success, _) => ("Success", "Success", 0),
        (InvocationStatus::DeliveryTimedOut, _) => ("TimedOut", "DeliveryTimedOut", -1),
        (InvocationStatus::ExecutionTimedOut, _) => ("TimedOut", "ExecutionTimedOut", 137),
        (InvocationStatus::Failed, _) => {
            ("Failed", "Failed", command.refusal.map_or(1, crate::observe::HostRefusal::exit_code))
        }
        (InvocationStatus::Undeliverable, _) => ("Failed", "Undeliverable", -1),
        (InvocationStatus::Rejected, _) => match &command.work {
            Work::Ours(_) => ("Failed", "InvalidPlatform", -1),
            Work::Theirs { .. } => ("Failed", "AccessDenied", -1),
        },
    };
    Status { coarse, details, code }
}

/// An invocation's coarse status, as events carry it.
pub(in crate::fleet) fn coarse_word(command: &Command) -> &'static str {
    status(command).coarse
}

/// `DeliveryTimedOut` as `ListCommandInvocations` writes it: `Delivery Timed Out`.
fn spaced(details: &str) -> String {
    let mut text = String::with_capacity(details.len() + 2);
    for c in details.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

fn passes(command: &Command, filters: &[(&str, &str)]) -> Result<bool, AwsError> {
    let status = status(command);
    for (key, value) in filters {
        let time = || -> Result<Timestamp, AwsError> {
            value.parse().map_err(|_| AwsError::new("ValidationException", format!("{} is no time", shown(value))))
        };
        let fits = match *key {
            "Status" => *value == status.coarse || *value == status.details,
            "DocumentName" => command.document.as_ref().is_some_and(|name| name.as_str() == *value),
            "InvokedAfter" => moment(command.sent_at) > time()?,
            "InvokedBefore" => moment(command.sent_at) < time()?,
            _ => return Err(AwsError::new("InvalidFilterKey", format!("{} is not a filter", shown(key)))),
        };
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the probe prints: the boot, then the findings, the worst first, then what systemd said last.
fn probe_output(
    machine: &Machine,
    (booted_at, boot_id): (Timestamp, Option<&ResourceName>),
    findings: &[Finding],
) -> String {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let mut lines = vec![json!({ "check": "boot", "booted_at": booted_at.to_string(), "boot_id": boot_id })];
    if machine.spec.platform == Platform::Bottlerocket {
        findings.clear();
    }
    if findings.iter().all(|finding| finding.severity == Severity::Noise) {
        lines.push(told("healthy", "noise", "all was looked at, and nothing is wrong"));
    }
    lines.extend(findings.into_iter().map(|finding| {
        let severity = match finding.severity {
            Severity::Cause => "cause",
            Severity::Symptom => "symptom",
            Severity::Noise => "noise",
        };
        told(finding.cause.code(), severity, &finding.evidence)
    }));
    if machine.spec.platform != Platform::Bottlerocket {
        lines.push(told("journal", "noise", "units: systemd[1]: Started amazon-ssm-agent.service - amazon-ssm-agent."));
    }
    lines.iter().fold(String::new(), |text, line| text + &line.to_string() + "\n")
}

/// One line of the probe.
fn told(check: &str, severity: &str, evidence: &str) -> Value {
    let mut line = Map::new();
    line.insert("check".to_owned(), json!(check));
    line.insert("severity".to_owned(), json!(severity));
    line.insert("evidence".to_owned(), json!(evidence));
    Value::Object(line)
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_spelled_with_spaces_where_aws_does() {
        for (word, with_spaces) in
            [("DeliveryTimedOut", "Delivery Timed Out"), ("InProgress", "In Progress"), ("Success", "Success")]
        {
            assert_eq!(spaced(word), with_spaces);
        }
    }
}
