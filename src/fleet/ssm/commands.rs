//! Run Command: what is sent, and what became of it on each node.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Parameters, with_token};
use crate::diagnose::{Finding, Severity};
use crate::effect::Effect;
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::page;
use crate::fleet::protocol::Service;
use crate::fleet::{Answered, Fleet, uuid};
use crate::node::{CommandId, DocumentName, NodeId};
use crate::observe::{Busy, InstanceState, InvocationStatus, Platform};
use crate::sim::machine::{Machine, Secs, moment};
use crate::sim::traffic::{Command, Stage, Work};
use crate::sim::world::Sending;

/// An invocation cannot be read in its first seconds (facts/aws.md §2.1).
const INVISIBLE_SECS: Secs = 2;
/// Our own documents give a step so long, in seconds.
const OWN_STEP_SECS: Secs = 60;
/// `executionTimeout` and `TimeoutSeconds` where nobody says otherwise.
const DEFAULT_TIMEOUT_SECS: Secs = 3_600;
/// Characters of output that `GetCommandInvocation` and `ListCommandInvocations` carry (facts/aws.md §2.1).
const OUTPUT_MAX: usize = 24_000;
const SHORT_OUTPUT_MAX: usize = 2_500;

/// A command as it was sent, beyond what the world needs of it.
#[derive(Debug, Clone, Default)]
pub(in crate::fleet) struct Sent {
    comment: String,
    version: String,
    /// For the plugin's name: our own documents have one step.
    pub(in crate::fleet) own: Option<Effect>,
}

impl Fleet {
    /// `SendCommand`. Accepted for nodes whose agent is dead, and for stopped ones (facts/aws.md §2.1).
    pub(super) fn send_command(&mut self, body: Body<'_>) -> Answered {
        let name = body.need_text("DocumentName")?;
        let document: DocumentName = name.parse().map_err(|_| {
            AwsError::new("InvalidDocument", format!("Document with name {} does not exist.", shown(name)))
        })?;
        let comment = body.text("Comment")?.unwrap_or_default();
        if comment.chars().count() > 100 {
            return Err(AwsError::new("ValidationException", "Comment has more than 100 characters"));
        }
        let timeout = body.number("TimeoutSeconds")?.unwrap_or(DEFAULT_TIMEOUT_SECS);
        if !(30..=2_592_000).contains(&timeout) {
            return Err(AwsError::new("ValidationException", "TimeoutSeconds is from 30 to 2592000"));
        }
        let parameters = body.lists("Parameters")?;
        let order = order(&document, &parameters)?;
        let nodes = self.targets(body)?;
        self.check_service(nodes.iter().copied())?;
        let id: CommandId = self.next_command_id()?;
        for node in &nodes {
            let busy = if document.as_str().contains("Patch") { Busy::Patching } else { Busy::Command };
            let (work, total) = match order {
                Order::Ours(effect) => (Work::Ours(effect), timeout + OWN_STEP_SECS),
                Order::Theirs { runs_secs, ends, step_secs } => {
                    (Work::Theirs { runs_secs, ends, busy }, timeout + step_secs)
                }
            };
            self.world.send_document(
                *node,
                Sending { id: id.clone(), document: document.clone(), work, times_out_secs: total },
            );
        }
        let own = match order {
            Order::Ours(effect) => Some(effect),
            Order::Theirs { .. } => None,
        };
        let version = body.text("DocumentVersion")?.unwrap_or("$DEFAULT").to_owned();
        let total = timeout + if own.is_some() { OWN_STEP_SECS } else { DEFAULT_TIMEOUT_SECS };
        let answer = json!({
            "Command": {
                "CommandId": id,
                "DocumentName": document,
                "DocumentVersion": version,
                "Comment": comment,
                "ExpiresAfter": self.world.now + total,
                "Parameters": parameters,
                "InstanceIds": body.texts("InstanceIds")?,
                "Targets": targets_as_sent(body)?,
                "RequestedDateTime": self.world.now,
                "Status": "Pending",
                "StatusDetails": "Pending",
                "OutputS3Region": "",
                "OutputS3BucketName": "",
                "OutputS3KeyPrefix": "",
                "MaxConcurrency": body.text("MaxConcurrency")?.unwrap_or("50"),
                "MaxErrors": body.text("MaxErrors")?.unwrap_or("0"),
                "TargetCount": nodes.len(),
                "CompletedCount": 0,
                "ErrorCount": 0,
                "DeliveryTimedOutCount": 0,
                "ServiceRole": "",
                "NotificationConfig": { "NotificationArn": "", "NotificationEvents": [], "NotificationType": "" },
                "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
                "TimeoutSeconds": timeout,
            }
        });
        self.sent.insert(id.to_string(), Sent { comment: comment.to_owned(), version, own });
        Ok(answer)
    }

    fn next_command_id(&self) -> Result<CommandId, AwsError> {
        let mixed = (u128::from(self.requests) << 64 | u128::from(self.seed)).wrapping_mul(0xbf58_476d_1ce4_e5b9_94d1);
        uuid(mixed).parse().map_err(|_| AwsError::broken(Service::Ssm))
    }

    /// The nodes that a command goes to: by id, all of them valid, or by tag.
    fn targets(&self, body: Body<'_>) -> Result<Vec<NodeId>, AwsError> {
        let mut ids = body.texts("InstanceIds")?;
        let targets = body.objects("Targets")?;
        if ids.is_empty() && targets.is_empty() {
            return Err(AwsError::missing(Service::Ssm, "instanceIds"));
        }
        if ids.len() > 50 {
            return Err(AwsError::new("ValidationException", "InstanceIds has more than 50 members"));
        }
        let mut nodes = Vec::new();
        for target in targets {
            let (key, values) = (target.need_text("Key")?, target.texts("Values")?);
            match key.strip_prefix("tag:") {
                None if key == "InstanceIds" => ids.extend(values),
                Some(tag) => nodes.extend(self.world.machines.iter().filter_map(|machine| {
                    let tags = self.tags_of(machine);
                    let fits = tags.get(tag).is_some_and(|given| values.contains(&given.as_str()));
                    (fits && takes_sends(machine)).then_some(machine.id)
                })),
                None => return Err(AwsError::new("InvalidTarget", format!("{} is not a target", shown(key)))),
            }
        }
        let mut bad = Vec::new();
        for id in ids {
            match id.parse().ok().and_then(|node| self.machine(node)).filter(|machine| takes_sends(machine)) {
                Some(machine) if nodes.contains(&machine.id) => {
                    return Err(AwsError::new("DuplicateInstanceId", "an instance id stands there twice"));
                }
                Some(machine) => nodes.push(machine.id),
                None => bad.push(shown(id)),
            }
        }
        if bad.is_empty() {
            return Ok(nodes);
        }
        let account = self.world.home.account;
        let message = format!("Instances [[{}]] not in a valid state for account {account}", bad.join(", "));
        Err(AwsError::new("InvalidInstanceId", message))
    }

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
        let plugins = if details {
            let (started, ended) = self.events.times_of(number);
            let mut plugin = json!({
                "Name": plugin(sent),
                "Status": status.coarse,
                "StatusDetails": spaced(status.details),
                "ResponseCode": status.code,
                "Output": cut(&self.output(command, machine), SHORT_OUTPUT_MAX),
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
            vec![plugin]
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

    /// `GetCommandInvocation` of the one step that a document has here.
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
        if body.text("PluginName")?.is_some_and(|wanted| wanted != plugin(sent)) {
            return Err(AwsError::new("InvalidPluginName", "the document has no such step"));
        }
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
            "PluginName": plugin(sent),
            "ResponseCode": status.code,
            "ExecutionStartDateTime": at(started),
            "ExecutionElapsedTime": took,
            "ExecutionEndDateTime": at(ended),
            "Status": status.coarse,
            "StatusDetails": status.details,
            "StandardOutputContent": cut(&self.output(command, machine), OUTPUT_MAX),
            "StandardOutputUrl": "",
            "StandardErrorContent": if status.coarse == "Failed" && status.code == 1 { "failed to run commands: exit status 1" } else { "" },
            "StandardErrorUrl": "",
            "CloudWatchOutputConfig": { "CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false },
        }))
    }

    /// What the step printed.
    fn output(&self, command: &Command, machine: &Machine) -> String {
        if command.status != InvocationStatus::Success {
            return String::new();
        }
        match (&command.work, &command.answer) {
            (Work::Ours(Effect::Probe), Some((booted_at, findings))) => {
                probe_output(machine, moment(*booted_at), findings)
            }
            (Work::Ours(effect), _) => format!("{}\n", json!({ "action": action_word(*effect), "done": true })),
            (Work::Theirs { .. }, _) => String::new(),
        }
    }
}

/// What a document does here.
#[derive(Debug, Clone, Copy)]
enum Order {
    Ours(Effect),
    Theirs { runs_secs: Secs, ends: InvocationStatus, step_secs: Secs },
}

/// The actions of our repair document.
const ACTIONS: [(&str, Effect); 4] = [
    ("free-disk", Effect::FreeDisk),
    ("restart-ssm-agent", Effect::RestartSsmAgent),
    ("restart-ecs-agent", Effect::RestartEcsAgent),
    ("restart-runtime", Effect::RestartRuntime),
];

fn action_word(effect: Effect) -> &'static str {
    ACTIONS.iter().find(|(_, known)| *known == effect).map_or("", |(word, _)| word)
}

/// What a document will do: one of ours by its name and action, any other is somebody's script.
fn order(document: &DocumentName, parameters: &Parameters) -> Result<Order, AwsError> {
    let bad = |message: String| AwsError::new("InvalidParameters", message);
    let name = document.as_str();
    if document.is_own() && name.contains("Probe") {
        return if parameters.is_empty() {
            Ok(Order::Ours(Effect::Probe))
        } else {
            Err(bad("the document has no parameters".to_owned()))
        };
    }
    if document.is_own() && name.contains("Repair") {
        let [action] = parameters.get("Action").map_or(&[][..], Vec::as_slice) else {
            return Err(bad("Action is required, and has one value".to_owned()));
        };
        if let Some(other) = parameters.keys().find(|key| *key != "Action") {
            return Err(bad(format!("{} is not a parameter of the document", shown(other))));
        }
        let found = ACTIONS.iter().find(|(word, _)| word == action);
        return found
            .map(|(_, effect)| Order::Ours(*effect))
            .ok_or_else(|| bad(format!("{} is not an allowed value of Action", shown(action))));
    }
    Ok(script(parameters))
}

/// Somebody's script: `sleep 40` takes its time, `exit 1` fails, and what takes longer than `executionTimeout` is ended.
fn script(parameters: &Parameters) -> Order {
    let lines = parameters.get("commands").map_or(&[][..], Vec::as_slice);
    let number = |line: &str, word: &str| -> Option<Secs> { line.trim().strip_prefix(word)?.trim().parse().ok() };
    let asleep: Secs = lines.iter().filter_map(|line| number(line, "sleep ")).map(|secs| secs.clamp(0, 172_800)).sum();
    let fails = lines.iter().filter_map(|line| number(line, "exit ")).any(|code| code != 0);
    let given = parameters.get("executionTimeout").and_then(|values| values.first());
    let step_secs = given
        .and_then(|secs| secs.parse().ok())
        // The agent silently takes an hour for anything outside (facts/aws.md §3.1).
        .filter(|secs| (5..=172_800).contains(secs))
        .unwrap_or(DEFAULT_TIMEOUT_SECS);
    let runs_secs = 2 + asleep;
    if runs_secs > step_secs {
        return Order::Theirs { runs_secs: step_secs, ends: InvocationStatus::ExecutionTimedOut, step_secs };
    }
    Order::Theirs {
        runs_secs,
        ends: if fails { InvocationStatus::Failed } else { InvocationStatus::Success },
        step_secs,
    }
}

/// States in which a registered node is a valid target (facts/aws.md §2.1).
fn takes_sends(machine: &Machine) -> bool {
    machine.ssm_registered && !matches!(machine.state, InstanceState::ShuttingDown | InstanceState::Terminated)
}

fn targets_as_sent(body: Body<'_>) -> Result<Vec<Value>, AwsError> {
    let mut targets = Vec::new();
    for target in body.objects("Targets")? {
        targets.push(json!({ "Key": target.need_text("Key")?, "Values": target.texts("Values")? }));
    }
    Ok(targets)
}

fn plugin(sent: Option<&Sent>) -> &'static str {
    match sent.and_then(|sent| sent.own) {
        Some(Effect::Probe) => "probe",
        Some(_) => "repair",
        None => "aws:runShellScript",
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
        (InvocationStatus::Failed, _) => ("Failed", "Failed", 1),
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

/// What the probe prints: the boot, then the findings, the worst first.
fn probe_output(machine: &Machine, booted_at: Timestamp, findings: &[Finding]) -> String {
    let mut findings: Vec<&Finding> = findings.iter().collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let boot_id = uuid(machine.id.value() << 32 | u128::from(machine.boots));
    let mut lines = vec![json!({ "check": "boot", "booted_at": booted_at.to_string(), "boot_id": boot_id })];
    if machine.spec.platform == Platform::Bottlerocket {
        findings.clear();
    }
    lines.extend(findings.into_iter().map(|finding| {
        let severity = match finding.severity {
            Severity::Cause => "cause",
            Severity::Symptom => "symptom",
            Severity::Noise => "noise",
        };
        let mut line = Map::new();
        line.insert("check".to_owned(), json!(finding.cause.code()));
        line.insert("severity".to_owned(), json!(severity));
        line.insert("evidence".to_owned(), json!(&*finding.evidence));
        Value::Object(line)
    }));
    lines.iter().map(|line| format!("{line}\n")).collect()
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

    #[test]
    fn a_repair_is_one_of_four_actions_and_a_probe_has_no_parameter() {
        let name = |text: &str| text.parse::<DocumentName>().unwrap();
        let with = |key: &str, value: &str| Parameters::from([(key.to_owned(), vec![value.to_owned()])]);
        let repair = name("Defib-prod-Repair-0a1b2c");
        assert!(matches!(
            order(&repair, &with("Action", "restart-ecs-agent")),
            Ok(Order::Ours(Effect::RestartEcsAgent))
        ));
        for bad in [Parameters::new(), with("Action", "rm -rf /"), with("Other", "free-disk")] {
            assert_eq!(order(&repair, &bad).unwrap_err().code, "InvalidParameters");
        }
        let probe = name("Defib-Probe-1");
        assert!(matches!(order(&probe, &Parameters::new()), Ok(Order::Ours(Effect::Probe))));
        assert!(order(&probe, &with("Action", "free-disk")).is_err());
        assert!(matches!(order(&name("AWS-RunShellScript"), &with("commands", "exit 3")), Ok(Order::Theirs { .. })));
    }
}
