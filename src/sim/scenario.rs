//! Scenarios: short commented scripts that say what happens to a small fleet, and when.
//!
//! One step a line. Times are spans from the beginning (`90s`, `12m`, `2h`). A line that begins with `#` is a comment.
//!
//! ```text
//! mode replace
//! policy sessions=warn
//! node web-1 cluster=prod group=prod-asg zone=a tasks=4
//! at 10m fault web-1 ecs-agent.hung
//! at 12m command web-1 undeliverable AWS-RunPatchBaseline
//! at 20m tag web-1 mode=off
//! at 25m operator pause
//! at 26m upgrade mode=observe
//! at 27m remove
//! nodes batch 400 cluster=batch subnet=subnet-0a1b
//! at 30m fault all batch network.unreachable
//! document good
//! mode: cycle
//! end
//! at 30m document good
//! until 3h
//! ```

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;

use super::ailment::Ailment;
use super::machine::MachineSpec;
use super::world::GroupSettings;
use crate::incident::Remedy;
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{Busy, Factor, InvocationStatus, Manager, Platform, Tags};
use crate::policy::settings::{Kind, SETTINGS, Value};
use crate::policy::{Mode, Policy};

/// A script, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The rules.
    pub policy: Policy,
    /// Decides what is left to chance.
    pub seed: u64,
    /// The machines, by the name that the script uses.
    pub machines: Vec<(String, MachineSpec)>,
    /// What can be set of groups.
    pub groups: BTreeMap<AutoScalingGroupName, GroupSettings>,
    /// `minimumHealthyPercent` of clusters' services, where it is not ECS's default.
    pub minimums: BTreeMap<String, u32>,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
    /// How long it lasts at most, in seconds.
    pub lasts_secs: i64,
    /// Tells numbers only: a fleet of thousands would fill a book.
    pub counts_only: bool,
    /// Policy documents by the name that the script uses, good or bad.
    pub documents: BTreeMap<String, Arc<str>>,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Seconds after the beginning.
    pub at_secs: i64,
    /// What.
    pub what: What,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A hidden fault begins; with seconds, it ends by itself.
    Fault(String, Ailment, Option<i64>),
    /// A person repairs what lies outside the host.
    Repair(String),
    /// Somebody's command ends like this; with a node, it is the command that was sent to that node, too.
    Command(String, InvocationStatus, String, Option<String>),
    /// Somebody tries to open a session and is refused.
    SessionRefused(String),
    /// Somebody changes Defib's tags on a node.
    Tag(String, Tags),
    /// Live sessions from now on.
    Sessions(String, u16),
    /// From now on so many tasks of no service, and so many protected ones for two hours.
    Tasks(String, u32, u32),
    /// Somebody works on a node, for so many seconds.
    Busy(String, Busy, i64),
    /// Somebody stops a node.
    Stop(String),
    /// Somebody terminates a node.
    Terminate(String),
    /// Somebody closes the policy's change calendar for so many seconds.
    CloseCalendar(i64),
    /// AWS finds no capacity for what starts, for so many seconds.
    SoldOut(i64),
    /// Somebody changes an Auto Scaling group.
    Group(AutoScalingGroupName, GroupSettings),
    /// An operator says something.
    Operator(Word),
    /// The last event about a node is delivered once more.
    Again(String),
    /// Somebody puts a policy document where Defib reads it, or takes it away.
    Document(Option<Arc<str>>),
    /// Somebody changes Defib's tags on an Auto Scaling group.
    TagGroup(AutoScalingGroupName, Tags),
    /// Somebody changes Defib's tags on a cluster.
    TagCluster(String, Tags),
    /// The stack is updated: a newer function finds what the older one left, under this mode from now on.
    Upgrade(Option<Mode>),
    /// The stack is removed.
    Remove,
}

/// What an operator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Do nothing from now on.
    Pause,
    /// Work again.
    Resume,
    /// Leave a node alone for so many seconds.
    Mute(String, i64),
    /// Stop leaving it alone.
    Unmute(String),
    /// End a node's quarantine.
    Clear(String),
    /// Repair a node now.
    Fix(String, Option<Remedy>),
    /// Approve what a node's incident waits with.
    Approve(String),
    /// End a node's incident.
    Close(String),
}

/// Why a script cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct BadScenario {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

impl FromStr for Scenario {
    type Err = BadScenario;

    fn from_str(text: &str) -> Result<Self, BadScenario> {
        let mut scenario = Self {
            policy: Policy::in_mode(Mode::Replace),
            seed: 1,
            machines: Vec::new(),
            groups: BTreeMap::new(),
            minimums: BTreeMap::new(),
            steps: Vec::new(),
            lasts_secs: 4 * 3_600,
            counts_only: false,
            documents: BTreeMap::new(),
        };
        let mut open: Option<(&str, String)> = None;
        for (index, line) in text.lines().enumerate() {
            // A document stands as it is, between its name and its end.
            if let Some((name, document)) = &mut open {
                if line.trim_end() == "end" {
                    scenario.documents.insert((*name).to_owned(), Arc::from(document.as_str()));
                    open = None;
                } else {
                    document.push_str(line);
                    document.push('\n');
                }
                continue;
            }
            if let Some(name) = line.strip_prefix("document ") {
                open = Some((name.trim(), String::new()));
                continue;
            }
            let line_text = line.split(" #").next().unwrap_or_default().trim();
            if line_text.is_empty() || line_text.starts_with('#') {
                continue;
            }
            let words: Vec<&str> = line_text.split_whitespace().collect();
            scenario.read(&words).map_err(|problem| BadScenario { line: index + 1, problem })?;
        }
        if let Some((name, _)) = open {
            let problem = format!("the document {name} has no end: a line that says end");
            return Err(BadScenario { line: text.lines().count(), problem });
        }
        scenario.steps.sort_by_key(|step| step.at_secs);
        Ok(scenario)
    }
}

impl Scenario {
    fn read(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["mode", mode] => self.policy.mode = mode.parse().map_err(|e: crate::policy::NotAMode| e.to_string())?,
            ["seed", seed] => self.seed = seed.parse().map_err(|_| format!("not a number: {seed}"))?,
            ["until", span] => self.lasts_secs = span_secs(span)?,
            ["policy", settings @ ..] => {
                for setting in settings {
                    self.policy_setting(setting)?;
                }
            }
            ["group", name, settings @ ..] => {
                let name = name.parse().map_err(|e: crate::node::BadName| e.to_string())?;
                let group = self.groups.entry(name).or_default();
                for setting in settings {
                    group_setting(group, setting)?;
                }
            }
            ["cluster", name, setting] => {
                let percent = setting.strip_prefix("minimum=").and_then(|text| text.parse().ok());
                let percent = percent.ok_or_else(|| format!("expected minimum=PERCENT: {setting}"))?;
                self.minimums.insert((*name).to_owned(), percent);
            }
            ["node", name, settings @ ..] => {
                let mut spec = MachineSpec::new().named(name);
                for setting in settings {
                    spec = node_setting(spec, setting)?;
                }
                self.machines.push(((*name).to_owned(), spec));
            }
            ["nodes", name, count, settings @ ..] => {
                let count: u32 = count
                    .parse()
                    .ok()
                    .filter(|n| (1..=NODES_MAX).contains(n))
                    .ok_or_else(|| format!("expected a number of nodes from 1 to {NODES_MAX}: {count}"))?;
                for number in 1..=count {
                    let name = format!("{name}-{number}");
                    let mut spec = MachineSpec::new().named(&name);
                    for setting in settings {
                        spec = node_setting(spec, setting)?;
                    }
                    self.machines.push((name, spec));
                }
            }
            ["print", "counts"] => self.counts_only = true,
            ["at", span, step @ ..] => {
                let at_secs = span_secs(span)?;
                for what in self.steps_of(step)? {
                    self.steps.push(Step { at_secs, what });
                }
            }
            _ => {
                return Err(
                    "expected mode, seed, policy, document, group, cluster, node, nodes, print, at or until".to_owned()
                );
            }
        }
        Ok(())
    }

    fn policy_setting(&mut self, setting: &str) -> Result<(), String> {
        let (key, value) = setting.split_once('=').ok_or_else(|| format!("expected key=value: {setting}"))?;
        if key == "parked-max" {
            self.policy.parked_max_secs = span_secs(value)?;
            return Ok(());
        }
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == key) else {
            let names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
            return Err(format!("no such policy setting: {key}; allowed are parked-max, {}", names.join(", ")));
        };
        let parsed = match setting.kind {
            Kind::Number { low, high } => {
                value.parse().ok().filter(|number| (low..=high).contains(number)).map(Value::Number)
            }
            Kind::Flag => value.parse().ok().map(Value::Flag),
            Kind::Document => value.parse().ok().map(Value::Document),
            Kind::Word(words) => words.iter().find(|word| **word == value).map(|word| Value::Word(word)),
        };
        let parsed = parsed.ok_or_else(|| format!("{key} is {}", setting.kind.allowed()))?;
        setting.set(&mut self.policy, &parsed);
        Ok(())
    }

    /// A step, for every node where it names `all NAME`: `fault all web ecs-agent.hung` for web-1, web-2 and so on.
    fn steps_of(&self, words: &[&str]) -> Result<Vec<What>, String> {
        let [verb, "all", name, rest @ ..] = words else { return Ok(vec![self.what(words)?]) };
        let prefix = format!("{name}-");
        let numbered =
            |known: &str| known.strip_prefix(&prefix).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        let named: Vec<&str> =
            self.machines.iter().map(|(known, _)| known.as_str()).filter(|known| numbered(known)).collect();
        if named.is_empty() {
            return Err(format!("no nodes are called {name}-1 and so on; declare them before they are used"));
        }
        let one = |node: &str| self.what(&[&[*verb, node], rest].concat());
        named.into_iter().map(one).collect()
    }

    /// The machine that a step names.
    fn node(&self, name: &str) -> Result<String, String> {
        if self.machines.iter().any(|(known, _)| known == name) {
            Ok(name.to_owned())
        } else {
            Err(format!("no node is called {name}; declare it before it is used"))
        }
    }

    fn what(&self, words: &[&str]) -> Result<What, String> {
        Ok(match words {
            ["fault", node, code] => What::Fault(self.node(node)?, ailment(code)?, None),
            ["fault", node, code, "for", span] => What::Fault(self.node(node)?, ailment(code)?, Some(span_secs(span)?)),
            ["repair", node] => What::Repair(self.node(node)?),
            ["command", node, status, document] => {
                What::Command(self.node(node)?, invocation(status)?, (*document).to_owned(), None)
            }
            ["command", node, status, document, "as", other] => {
                let same = Some(self.node(other)?);
                What::Command(self.node(node)?, invocation(status)?, (*document).to_owned(), same)
            }
            ["session-refused", node] => What::SessionRefused(self.node(node)?),
            ["tag", node, tags @ ..] => What::Tag(self.node(node)?, read_tags(tags)?),
            ["sessions", node, count] => {
                What::Sessions(self.node(node)?, count.parse().map_err(|_| format!("not a number: {count}"))?)
            }
            ["tasks", node, standalone, protected] => {
                let number = |text: &str| text.parse().map_err(|_| format!("not a number: {text}"));
                What::Tasks(self.node(node)?, number(standalone)?, number(protected)?)
            }
            ["busy", node, work, "for", span] => What::Busy(self.node(node)?, busy(work)?, span_secs(span)?),
            ["stop", node] => What::Stop(self.node(node)?),
            ["terminate", node] => What::Terminate(self.node(node)?),
            ["calendar", "closed", "for", span] => What::CloseCalendar(span_secs(span)?),
            ["capacity", "lacks", "for", span] => What::SoldOut(span_secs(span)?),
            ["group", name, settings @ ..] => {
                let name: AutoScalingGroupName = name.parse().map_err(|e: crate::node::BadName| e.to_string())?;
                let mut group = GroupSettings::default();
                for setting in settings {
                    group_setting(&mut group, setting)?;
                }
                What::Group(name, group)
            }
            ["document", "none"] => What::Document(None),
            ["document", name] => {
                let known = self.documents.get(*name);
                What::Document(Some(Arc::clone(known.ok_or_else(|| format!("no document is called {name}"))?)))
            }
            ["tag-group", name, tags @ ..] => {
                let name = name.parse().map_err(|e: crate::node::BadName| e.to_string())?;
                What::TagGroup(name, read_tags(tags)?)
            }
            ["tag-cluster", name, tags @ ..] => What::TagCluster((*name).to_owned(), read_tags(tags)?),
            ["upgrade"] => What::Upgrade(None),
            ["upgrade", mode] => {
                let mode = mode.strip_prefix("mode=").ok_or_else(|| format!("expected mode=MODE: {mode}"))?;
                What::Upgrade(Some(mode.parse().map_err(|e: crate::policy::NotAMode| e.to_string())?))
            }
            ["remove"] => What::Remove,
            ["again", node] => What::Again(self.node(node)?),
            ["operator", "pause"] => What::Operator(Word::Pause),
            ["operator", "resume"] => What::Operator(Word::Resume),
            ["operator", "mute", node, "for", span] => What::Operator(Word::Mute(self.node(node)?, span_secs(span)?)),
            ["operator", "unmute", node] => What::Operator(Word::Unmute(self.node(node)?)),
            ["operator", "clear", node] => What::Operator(Word::Clear(self.node(node)?)),
            ["operator", "fix", node] => What::Operator(Word::Fix(self.node(node)?, None)),
            ["operator", "fix", node, remedy] => {
                let remedy = remedy.parse().map_err(|e: crate::incident::NoSuchRemedy| e.to_string())?;
                What::Operator(Word::Fix(self.node(node)?, Some(remedy)))
            }
            ["operator", "approve", node] => What::Operator(Word::Approve(self.node(node)?)),
            ["operator", "close", node] => What::Operator(Word::Close(self.node(node)?)),
            _ => {
                return Err(
                    "expected fault, repair, command, session-refused, tag, tag-group, tag-cluster, document, sessions, \
                     tasks, busy, stop, terminate, group, calendar, capacity, upgrade, remove, again or operator"
                        .to_owned(),
                );
            }
        })
    }
}

/// Nodes that one line may declare.
const NODES_MAX: u32 = 20_000;

/// Reads a span: `90s`, `12m`, `2h`, `1d`.
///
/// # Errors
/// What would be one.
pub fn span_secs(text: &str) -> Result<i64, String> {
    let bad = || format!("not a span: {text}; write 90s, 12m, 2h or 1d");
    crate::time::span(text).filter(|secs| (0..=30 * 86_400).contains(secs)).ok_or_else(bad)
}

fn ailment(code: &str) -> Result<Ailment, String> {
    Ailment::named(code).ok_or_else(|| format!("the simulated account does not know {code}"))
}

fn invocation(word: &str) -> Result<InvocationStatus, String> {
    Ok(match word {
        "success" => InvocationStatus::Success,
        "failed" => InvocationStatus::Failed,
        "undeliverable" => InvocationStatus::Undeliverable,
        "delivery-timed-out" => InvocationStatus::DeliveryTimedOut,
        "execution-timed-out" => InvocationStatus::ExecutionTimedOut,
        "rejected" => InvocationStatus::Rejected,
        _ => {
            return Err(
                "a command is success, failed, undeliverable, delivery-timed-out, execution-timed-out or rejected"
                    .to_owned(),
            );
        }
    })
}

fn busy(word: &str) -> Result<Busy, String> {
    Ok(match word {
        "patching" => Busy::Patching,
        "automation" => Busy::Automation,
        "command" => Busy::Command,
        "deployment" => Busy::Deployment,
        _ => return Err("work is patching, automation, command or deployment".to_owned()),
    })
}

fn read_tags(words: &[&str]) -> Result<Tags, String> {
    let mut tags = Tags { managed: true, mode: None, mute_until: None };
    for word in words {
        match word.split_once('=') {
            Some(("managed", value)) => tags.managed = value == "true",
            // As on a real tag: what cannot be read counts as off.
            Some(("mode", value)) => tags.mode = Some(value.parse().unwrap_or(Mode::Off)),
            Some(("mute-until", value)) => {
                tags.mute_until = Some(value.parse::<Timestamp>().map_err(|_| format!("not a moment: {value}"))?);
            }
            _ => return Err("tags are managed=, mode= and mute-until=".to_owned()),
        }
    }
    Ok(tags)
}

fn group_setting(group: &mut GroupSettings, setting: &str) -> Result<(), String> {
    let (key, value) = setting.split_once('=').ok_or_else(|| format!("expected key=value: {setting}"))?;
    let number = || value.parse::<u32>().map_err(|_| format!("not a number: {value}"));
    match key {
        "min" => group.min = Some(number()?),
        "desired" => group.desired = Some(number()?),
        "health" => group.ec2_health_only = Some(value == "ec2"),
        "suspended" => group.suspended = Some(value == "true"),
        "refreshing" => group.refreshing = Some(value == "true"),
        "managed" => group.tags = Some(Tags { managed: value == "true", mode: None, mute_until: None }),
        _ => {
            return Err(format!(
                "no such group setting: {key}; allowed are min, desired, health, suspended, refreshing, managed"
            ));
        }
    }
    Ok(())
}

fn node_setting(spec: MachineSpec, setting: &str) -> Result<MachineSpec, String> {
    let (key, value) = setting.split_once('=').unwrap_or((setting, "true"));
    Ok(match key {
        "cluster" => spec.in_cluster(value),
        "group" => spec.in_group(value),
        "zone" => spec.in_zone(value.chars().next().unwrap_or('a')),
        "tasks" => spec.with_tasks(value.parse().map_err(|_| format!("not a number: {value}"))?),
        "standalone" => spec.with_standalone(value.parse().map_err(|_| format!("not a number: {value}"))?),
        "protected" => spec.with_protected(value.parse().map_err(|_| format!("not a number: {value}"))?),
        "sessions" => spec.with_sessions(value.parse().map_err(|_| format!("not a number: {value}"))?),
        "age" => spec.aged(span_secs(value)?),
        "dead" => spec.dead_for(span_secs(value)?),
        "id" => spec.with_id(value.parse::<NodeId>().map_err(|e| e.to_string())?),
        "hybrid" => spec.hybrid(),
        "spot" => spec.spot(),
        "instance-store" => spec.on_instance_store(),
        "instance-store-data" => spec.barred(|stop| stop.instance_store_data = true),
        "stop-protected" => spec.barred(|stop| stop.stop_protected = true),
        "volume-key" => spec.barred(|stop| stop.volume_key = true),
        "stop-denied" => spec.barred(|stop| stop.stop_denied = true),
        "start-denied" => spec.barred(|stop| stop.start_denied = true),
        "public-address" => spec.barred(|stop| stop.public_address_changes = true),
        "elastic-address" => spec.barred(|stop| stop.elastic_address = true),
        "subnet" => spec.sharing(Factor::Subnet(value.parse().map_err(|e: crate::node::BadName| e.to_string())?)),
        "endpoint" => spec.sharing(Factor::Endpoint(value.parse().map_err(|e: crate::node::BadName| e.to_string())?)),
        "role" => spec.sharing(Factor::Role(value.parse().map_err(|e: crate::node::BadName| e.to_string())?)),
        "image" => spec.sharing(Factor::Image(value.parse().map_err(|e: crate::node::BadName| e.to_string())?)),
        "platform" => spec.on(match value {
            "linux" => Platform::Linux,
            "snap" => Platform::Snap,
            "windows" => Platform::Windows,
            "bottlerocket" => Platform::Bottlerocket,
            _ => return Err("a platform is linux, snap, windows or bottlerocket".to_owned()),
        }),
        "manager" => spec.managed_by(match value {
            "provider" => Manager::Provider,
            "eks" => Manager::Eks,
            "karpenter" => Manager::Karpenter,
            "ecs" => Manager::EcsManagedInstances,
            _ => return Err("a manager is provider, eks, karpenter or ecs".to_owned()),
        }),
        "managed" => {
            let tags = Tags { managed: value == "true", ..spec.tags };
            spec.tagged(tags)
        }
        "mode" => {
            let tags = Tags { mode: Some(value.parse().unwrap_or(Mode::Off)), ..spec.tags };
            spec.tagged(tags)
        }
        _ => {
            return Err(format!(
                "no such node setting: {key}; allowed are cluster, group, zone, tasks, standalone, protected, sessions, age, \
                 dead, id, hybrid, spot, instance-store, instance-store-data, stop-protected, volume-key, stop-denied, start-denied, \
                 public-address, elastic-address, subnet, endpoint, role, image, platform, manager, managed, mode"
            ));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_reads_as_it_is_written() {
        let scenario: Scenario = "# A comment\nmode cycle\nnode web-1 cluster=prod tasks=4\nat 10m fault web-1 ecs-agent.hung for 3m # and why\nat 90s operator pause\nuntil 1h"
            .parse()
            .unwrap();
        assert_eq!(scenario.policy.mode, Mode::Cycle);
        assert_eq!(scenario.lasts_secs, 3_600);
        assert_eq!(scenario.steps.iter().map(|step| step.at_secs).collect::<Vec<_>>(), [90, 600]);
        assert_eq!(scenario.steps[1].what, What::Fault("web-1".into(), Ailment::EcsAgentHung, Some(180)));
    }

    #[test]
    fn a_mistake_is_named_with_its_line_and_what_is_allowed() {
        let error = "mode replace\nat 10m fault web-1 ecs-agent.hung".parse::<Scenario>().unwrap_err();
        assert_eq!(error.to_string(), "line 2: no node is called web-1; declare it before it is used");
        assert!("node a\nat 5x stop a".parse::<Scenario>().unwrap_err().problem.contains("90s, 12m, 2h or 1d"));
        assert!("dance".parse::<Scenario>().is_err());
    }
}
