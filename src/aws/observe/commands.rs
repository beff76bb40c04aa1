//! Commands on a node: the one that an incident began with, and those of others that run now.

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey, CommandInvocation, CommandInvocationStatus, CommandPlugin};
use jiff::Timestamp;

use crate::aws::cache::AROUND_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::plain;
use crate::node::{CommandId, DocumentName, NodeId};
use crate::observe::{Blind, Busy, Fact, Invocation, InvocationStatus, RepairEnd};

/// Rows a page, and pages that a look reads at most.
const PAGE: i32 = 50;
const PAGES_MAX: usize = 20;
/// What AWS's own patch documents begin with.
const PATCHES: &str = "AWS-RunPatchBaseline";

impl Nodes {
    /// The invocation that the incident began with.
    pub(super) async fn invocation(
        &self,
        node: NodeId,
        command: Option<&CommandId>,
        now: Timestamp,
    ) -> Fact<Invocation> {
        let Some(command) = command else { return Fact::Absent };
        let known = |status| Fact::Known(Invocation { command: command.clone(), status });
        let key = (command.clone(), node);
        if let Some(status) = self.cache.ended.ever(&key) {
            return known(status);
        }
        match self.command_row(node, command, false).await {
            Err(blind) => Fact::Unknown(blind),
            // The command is another account's, or older than the thirty days for which AWS keeps it.
            Ok(None) => Fact::Absent,
            Ok(Some(row)) => {
                let status = invocation_status(&row);
                if status != InvocationStatus::Open {
                    self.cache.ended.put(key, now, status);
                }
                known(status)
            }
        }
    }

    /// How our repair on the host ended. Absent: the look names none.
    pub(super) async fn repair(&self, node: NodeId, command: Option<&CommandId>, now: Timestamp) -> Fact<RepairEnd> {
        let Some(command) = command else { return Fact::Absent };
        if let Some(known) = self.cache.repairs.ever(command) {
            return Fact::Known(known);
        }
        match self.command_row(node, command, true).await {
            Ok(Some(row)) => {
                let codes = row.command_plugins().iter().map(CommandPlugin::response_code);
                let end = RepairEnd::of(invocation_status(&row), codes);
                if end != RepairEnd::Open {
                    self.cache.repairs.put(command.clone(), now, end);
                }
                Fact::Known(end)
            }
            Ok(None) => Fact::Unknown(Blind::Empty),
            Err(blind) => Fact::Unknown(blind),
        }
    }

    /// The row of a command on a node; none: not listed, or not yet.
    pub(super) async fn command_row(
        &self,
        node: NodeId,
        command: &CommandId,
        details: bool,
    ) -> Result<Option<CommandInvocation>, Blind> {
        let request = self.clients.ssm.list_command_invocations();
        let request = request.command_id(command.as_str()).instance_id(node.to_string()).details(details);
        match request.send().await.map_err(|error| Fault::of("ListCommandInvocations", error)) {
            Ok(output) => Ok(output.command_invocations.ok_or(Blind::Empty)?.into_iter().next()),
            Err(fault) if fault.kind == FaultKind::Absent => Ok(None),
            Err(fault) => Err(fault.blind()),
        }
    }

    /// Somebody's command on the node that runs now.
    pub(super) async fn commands_of_others(&self, node: NodeId, now: Timestamp) -> Fact<Busy> {
        if let Some(known) = self.cache.busy.get(&node, now, AROUND_SECS) {
            return Fact::Known(known);
        }
        let filter = CommandFilter::builder().key(CommandFilterKey::Status).value("InProgress").build();
        let Ok(filter) = filter else { return Fact::Unknown(Blind::NotRead) };
        let (mut rows, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.clients.ssm.list_command_invocations().instance_id(node.to_string());
            let request = request.filters(filter.clone()).max_results(PAGE).set_next_token(token.take());
            let output = match request.send().await.map_err(|error| Fault::of("ListCommandInvocations", error)) {
                Ok(output) => output,
                Err(fault) => return Fact::Unknown(fault.blind()),
            };
            let Some(page) = output.command_invocations else { return Fact::Unknown(Blind::Empty) };
            rows.extend(page);
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        let busy = busy(&rows);
        self.cache.busy.put(node, now, busy);
        Fact::Known(busy)
    }
}

/// `StatusDetails`, or the coarse status where that is all there is.
pub(in crate::aws) fn invocation_status(row: &CommandInvocation) -> InvocationStatus {
    let coarse = row.status().map(CommandInvocationStatus::as_str);
    status_of(row.status_details().filter(|details| !details.is_empty()).or(coarse).unwrap_or_default())
}

/// What an invocation's status means.
pub(super) fn status_of(details: &str) -> InvocationStatus {
    match plain(details).as_str() {
        "success" => InvocationStatus::Success,
        // The coarse `TimedOut` says not which of the two; a delivery that failed is looked into.
        "deliverytimedout" | "timedout" => InvocationStatus::DeliveryTimedOut,
        "executiontimedout" => InvocationStatus::ExecutionTimedOut,
        "failed" | "incomplete" => InvocationStatus::Failed,
        "undeliverable" => InvocationStatus::Undeliverable,
        "cancelled" | "canceled" | "terminated" | "accessdenied" | "invalidplatform" | "rateexceeded"
        | "noinstancesintag" | "limitexceeded" => InvocationStatus::Rejected,
        // Pending, in progress, delayed, cancelling, and what is not known yet: nothing follows from it.
        _ => InvocationStatus::Open,
    }
}

/// The work that keeps Defib's hands off: patching before anything else.
fn busy(rows: &[CommandInvocation]) -> Busy {
    let documents = || rows.iter().filter_map(|row| row.document_name()?.parse::<DocumentName>().ok());
    let theirs = || documents().filter(|document| !document.is_own());
    let patches =
        |document: &DocumentName| document.as_str().rsplit('/').next().is_some_and(|name| name.starts_with(PATCHES));
    if theirs().any(|document| patches(&document)) {
        Busy::Patching
    } else if theirs().next().is_some() {
        Busy::Command
    } else {
        Busy::Idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(document: &str) -> CommandInvocation {
        CommandInvocation::builder().document_name(document).build()
    }

    #[test]
    fn every_spelling_of_a_status_means_the_same() {
        for (details, status) in [
            ("Success", InvocationStatus::Success),
            ("Delivery Timed Out", InvocationStatus::DeliveryTimedOut),
            ("DeliveryTimedOut", InvocationStatus::DeliveryTimedOut),
            ("Execution Timed Out", InvocationStatus::ExecutionTimedOut),
            ("Undeliverable", InvocationStatus::Undeliverable),
            ("Failed", InvocationStatus::Failed),
            ("Access Denied", InvocationStatus::Rejected),
            ("Canceled", InvocationStatus::Rejected),
            ("In Progress", InvocationStatus::Open),
            ("Delayed", InvocationStatus::Open),
            ("SomethingNew", InvocationStatus::Open),
            ("", InvocationStatus::Open),
        ] {
            assert_eq!(status_of(details), status, "{details}");
        }
    }

    #[test]
    fn our_own_commands_keep_nobody_s_hands_off() {
        assert_eq!(busy(&[]), Busy::Idle);
        assert_eq!(busy(&[ran("Defib-Probe-abc123")]), Busy::Idle);
        assert_eq!(busy(&[ran("Defib-Probe-abc123"), ran("AWS-RunShellScript")]), Busy::Command);
        let shared = "arn:aws:ssm:us-east-1:111122223333:document/AWS-RunPatchBaselineAssociation";
        assert_eq!(busy(&[ran("AWS-RunShellScript"), ran(shared)]), Busy::Patching);
    }
}
