//! Run Command: what is sent, to which nodes, and what it will do there.

use serde_json::{Value, json};

use super::Parameters;
use crate::effect::Effect;
use crate::fleet::error::AwsError;
use crate::fleet::input::{Body, shown};
use crate::fleet::protocol::Service;
use crate::fleet::{Answered, Fleet, mixed, uuid};
use crate::node::{CommandId, DocumentName, NodeId};
use crate::observe::{Busy, InstanceState, InvocationStatus};
use crate::sim::machine::{Machine, Secs};
use crate::sim::traffic::Work;
use crate::sim::world::Sending;

/// Our own documents give a step so long, in seconds (`infra/documents`).
const PROBE_STEP_SECS: Secs = 60;
const REPAIR_STEP_SECS: Secs = 300;
/// `executionTimeout` and `TimeoutSeconds` where nobody says otherwise.
const DEFAULT_TIMEOUT_SECS: Secs = 3_600;

/// A command as it was sent, beyond what the world needs of it.
#[derive(Debug, Clone, Default)]
pub(in crate::fleet) struct Sent {
    pub(super) comment: String,
    pub(super) version: String,
    /// For the names of the steps.
    pub(super) own: Option<Effect>,
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
        let version = body.text("DocumentVersion")?.unwrap_or("$DEFAULT").to_owned();
        let (concurrency, errors) =
            (body.text("MaxConcurrency")?.unwrap_or("50"), body.text("MaxErrors")?.unwrap_or("0"));
        let (asked, named) = (targets_as_sent(body)?, body.texts("InstanceIds")?);
        // From here on it is sent, and nothing is refused any more.
        let (own, step_secs) = match order {
            Order::Ours(Effect::Probe) => (Some(Effect::Probe), PROBE_STEP_SECS),
            Order::Ours(effect) => (Some(effect), REPAIR_STEP_SECS),
            Order::Theirs { step_secs, .. } => (None, step_secs),
        };
        for node in &nodes {
            let busy = if document.as_str().contains("Patch") { Busy::Patching } else { Busy::Command };
            let work = match order {
                Order::Ours(effect) => Work::Ours(effect),
                Order::Theirs { runs_secs, ends, .. } => Work::Theirs { runs_secs, ends, busy },
            };
            self.world.send_document(
                *node,
                Sending {
                    id: id.clone(),
                    document: document.clone(),
                    work,
                    starts_within_secs: timeout,
                    times_out_secs: timeout + step_secs,
                },
            );
        }
        let answer = json!({
            "Command": {
                "CommandId": id,
                "DocumentName": document,
                "DocumentVersion": version,
                "Comment": comment,
                "ExpiresAfter": self.world.now + timeout + step_secs,
                "Parameters": parameters,
                "InstanceIds": named,
                "Targets": asked,
                "RequestedDateTime": self.world.now,
                "Status": "Pending",
                "StatusDetails": "Pending",
                "OutputS3Region": "",
                "OutputS3BucketName": "",
                "OutputS3KeyPrefix": "",
                "MaxConcurrency": concurrency,
                "MaxErrors": errors,
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
        // Another salt than the request's own id has.
        uuid(mixed(u128::from(self.seed) ^ 1 << 63, u128::from(self.requests)))
            .parse()
            .map_err(|_| AwsError::broken(Service::Ssm))
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
                None => return Err(AwsError::new("ValidationException", format!("{} is not a target", shown(key)))),
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

pub(super) fn action_word(effect: Effect) -> &'static str {
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

#[cfg(test)]
mod tests {
    use super::*;

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
