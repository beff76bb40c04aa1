//! The log of calls, and faults that somebody injected into them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Fleet;
use super::protocol::Service;
use crate::node::NodeId;

/// More calls than this are not kept: the oldest go first.
const CALLS_MAX: usize = 100_000;

/// A call that was received.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Received {
    /// Counts from 1.
    n: u64,
    /// By the account's clock.
    at: Timestamp,
    service: &'static str,
    operation: String,
    /// What it asked for, cut.
    asked: String,
    /// The nodes that the request named, by id or by container instance.
    nodes: Vec<NodeId>,
    /// `ok`, an error's code, or what became of the answer.
    outcome: String,
}

/// Every call that was received, in order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: std::collections::VecDeque<Received>,
    count: u64,
}

impl Calls {
    pub(super) fn push(
        &mut self,
        at: Timestamp,
        (service, operation): (Service, &str),
        asked: String,
        nodes: Vec<NodeId>,
        outcome: &str,
    ) {
        self.count += 1;
        if self.list.len() >= CALLS_MAX {
            self.list.pop_front();
        }
        self.list.push_back(Received {
            n: self.count,
            at,
            service: service.prefix(),
            operation: operation.chars().take(80).collect(),
            asked,
            nodes,
            outcome: outcome.to_owned(),
        });
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Received> {
        self.list.iter()
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }
}

/// What an injected fault does to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Injected {
    /// Too many requests; nothing is done.
    Throttle,
    /// Access denied; nothing is done.
    Deny,
    /// A 500; nothing is done.
    Broken,
    /// It is done, and the answer comes late.
    Slow { secs: u64 },
    /// Nothing is done, and no answer comes.
    Hang,
    /// It is done, and no answer comes.
    Lost,
}

/// The kind of an injected fault, as the control door names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FaultKind {
    Throttle,
    Deny,
    #[serde(rename = "500")]
    Broken,
    Timeout,
    Hang,
    Lost,
}

/// A fault to be injected.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// The operation, `SendCommand`; `*` is every one.
    operation: String,
    /// `ssm`, `ecs`, `ec2`, `autoscaling` or `iam`; every one of them when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    /// Only calls that name this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<NodeId>,
    fault: FaultKind,
    /// For `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secs: Option<u64>,
    /// How many calls it strikes; every one when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
}

/// The faults that wait for their calls.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Vec<Rule>,
}

impl Faults {
    /// Adds a fault; an answer says what is wrong with it.
    pub(super) fn add(&mut self, rule: Rule) -> Result<(), String> {
        if let Some(service) = &rule.service
            && !Service::ALL.iter().any(|known| known.prefix() == service)
        {
            return Err(format!("there is no service {service:?}: ssm, ecs, ec2, autoscaling or iam"));
        }
        if rule.fault == FaultKind::Timeout && rule.secs.is_none() {
            return Err("a timeout needs \"secs\"".to_owned());
        }
        self.rules.push(rule);
        Ok(())
    }

    pub(super) fn all(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
    }

    /// The fault that strikes a call, if one does; the oldest that fits.
    pub(super) fn take(&mut self, service: Service, operation: &str, nodes: &[NodeId]) -> Option<Injected> {
        let fits = |rule: &Rule| {
            (rule.operation == "*" || rule.operation == operation)
                && rule.service.as_ref().is_none_or(|wanted| wanted == service.prefix())
                && rule.node.is_none_or(|node| nodes.contains(&node))
        };
        let found = self.rules.iter().position(|rule| fits(rule) && rule.count != Some(0))?;
        let rule = self.rules.get_mut(found)?;
        let injected = match rule.fault {
            FaultKind::Throttle => Injected::Throttle,
            FaultKind::Deny => Injected::Deny,
            FaultKind::Broken => Injected::Broken,
            FaultKind::Timeout => Injected::Slow { secs: rule.secs.unwrap_or(0) },
            FaultKind::Hang => Injected::Hang,
            FaultKind::Lost => Injected::Lost,
        };
        if let Some(count) = &mut rule.count {
            *count -= 1;
            if *count == 0 {
                self.rules.remove(found);
            }
        }
        Some(injected)
    }
}

impl Fleet {
    /// The nodes that texts of a request name: by their own id, or by their container instance.
    pub(super) fn named_in<'a>(&self, texts: impl Iterator<Item = &'a str>) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = Vec::new();
        for text in texts.take(1_000) {
            let node = text.parse().ok().or_else(|| self.node_of_container_instance(text));
            if let Some(node) = node.filter(|node| !nodes.contains(node)) {
                nodes.push(node);
            }
        }
        nodes
    }

    fn node_of_container_instance(&self, text: &str) -> Option<NodeId> {
        let mut with_ecs = self.world.machines.iter().filter_map(|machine| Some((machine.id, machine.ecs.as_ref()?)));
        with_ecs.find(|(_, ecs)| ecs.arn.as_str() == text || ecs.arn.id() == text).map(|(node, _)| node)
    }
}
