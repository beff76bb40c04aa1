//! What a sweep sees: running nodes whose agents AWS shows as lost, and commands whose end no event told.

use std::collections::BTreeSet;

use aws_sdk_ssm::types::{CommandFilter, CommandFilterKey, CommandInvocation};
use jiff::Timestamp;

use super::fault::Fault;
use super::nodes::Nodes;
use super::observe::{Rows, invocation_status};
use super::translate::moment;
use crate::event::{CoarseStatus, Signal, SignalKind};
use crate::incident::held::Ghost;
use crate::node::{DocumentName, NodeId};
use crate::observe::{Blind, InvocationStatus};
use crate::ports::PortError;
use crate::time::after;

/// Commands that began so long ago may just have ended, in seconds: the default time-outs are two hours together
/// (facts/aws.md §3.1), and sweeps are five minutes apart.
const COMMANDS_SECS: i64 = 2 * 3_600 + 600;
/// What was told of a command is told again after so long, in seconds.
const TOLD_SECS: i64 = 1_800;
/// Rows a page, and pages of each status: what one command did to thousands of nodes is told by the first of them.
const PAGE: i32 = 50;
const PAGES_MAX: usize = 10;

/// What a sweep saw of the nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Nodes that look troubled, and since when, as far as AWS shows; each node once.
    pub troubled: Vec<(Signal, Option<Timestamp>)>,
    /// Nodes in the account and region.
    pub fleet: u32,
    /// Container instances whose EC2 instances are gone.
    pub ghosts: Vec<Ghost>,
}

impl Nodes {
    /// Looks for nodes in trouble that no event told of. The census that it takes serves the looks that follow.
    ///
    /// # Errors
    /// A list could not be read to its end: half of it would say nothing of the other half.
    pub async fn troubled(&self, now: Timestamp) -> Result<Swept, PortError> {
        let (census, ended) =
            tokio::join!(Box::pin(self.take_census(Rows::OfTroubled, now)), Box::pin(self.ended_badly(now)));
        let census = census.map_err(|blind: Blind| {
            tracing::warn!("the sweep cannot see the whole account: {}", blind.as_str());
            PortError::Transient
        })?;
        let mut troubled = census.troubled();
        let known: BTreeSet<NodeId> = troubled.iter().map(|(signal, _)| signal.node).collect();
        // Lost events are the smaller half of a sweep: the next one lists them again.
        let ended = ended.unwrap_or_default();
        troubled.extend(ended.into_iter().filter(|(signal, _)| !known.contains(&signal.node)));
        Ok(Swept { troubled, fleet: census.fleet(), ghosts: census.ghosts() })
    }

    /// Looks for container instances whose EC2 instances are gone, as a sweep does, with no other list read than the two that it takes.
    ///
    /// # Errors
    /// Why a list could not be read to its end.
    pub async fn ghosts(&self, now: Timestamp) -> Result<Vec<Ghost>, Blind> {
        Ok(Box::pin(self.take_registrations(now)).await?.ghosts())
    }

    /// Invocations of others that ended badly. Each is told again after half an hour, for the sweep that told it may have come to
    /// nothing; an incident that it led to knows its command.
    async fn ended_badly(&self, now: Timestamp) -> Result<Vec<(Signal, Option<Timestamp>)>, Blind> {
        let (undelivered, timed_out) =
            tokio::join!(self.invocations("Undeliverable", now), self.invocations("TimedOut", now));
        let (mut found, mut nodes) = (Vec::new(), BTreeSet::new());
        for row in undelivered?.into_iter().chain(timed_out?) {
            let Some((signal, since)) = trouble(&row, now) else { continue };
            let Some(command) = signal.kind.command().cloned() else { continue };
            let key = (command, signal.node);
            if self.cache.told.get(&key, now, TOLD_SECS).is_none() && nodes.insert(signal.node) {
                self.cache.told.put(key, now, ());
                found.push((signal, since));
            }
        }
        Ok(found)
    }

    async fn invocations(&self, status: &str, now: Timestamp) -> Result<Vec<CommandInvocation>, Blind> {
        let filter = |key, value: String| CommandFilter::builder().key(key).value(value).build();
        let since = after(now, -COMMANDS_SECS);
        // Whole seconds: AWS takes no fractions here.
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since).to_string();
        let (Ok(by_status), Ok(by_time)) =
            (filter(CommandFilterKey::Status, status.to_owned()), filter(CommandFilterKey::InvokedAfter, since))
        else {
            return Err(Blind::NotRead);
        };
        let (mut rows, mut token) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let request = self.clients.ssm.list_command_invocations().filters(by_status.clone());
            let request = request.filters(by_time.clone()).max_results(PAGE).set_next_token(token.take());
            let answer = request.send().await;
            let output = answer.map_err(|error| Fault::of("ListCommandInvocations", error).blind())?;
            rows.extend(output.command_invocations.ok_or(Blind::Empty)?);
            token = output.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(rows)
    }
}

/// What an event would have told of an invocation; none of our own commands (S4), and of ends that are nobody's trouble.
fn trouble(row: &CommandInvocation, now: Timestamp) -> Option<(Signal, Option<Timestamp>)> {
    let status = match invocation_status(row) {
        InvocationStatus::Undeliverable => CoarseStatus::Undeliverable,
        InvocationStatus::DeliveryTimedOut => CoarseStatus::DeliveryTimedOut,
        InvocationStatus::ExecutionTimedOut => CoarseStatus::ExecutionTimedOut,
        InvocationStatus::Open | InvocationStatus::Success | InvocationStatus::Failed | InvocationStatus::Rejected => {
            return None;
        }
    };
    let document: DocumentName = row.document_name()?.parse().ok()?;
    if document.is_own() {
        return None;
    }
    let command = row.command_id()?.parse().ok()?;
    let node = row.instance_id()?.parse().ok()?;
    let kind = SignalKind::CommandTrouble { command, document, status };
    Some((Signal { node, at: now, kind }, row.requested_date_time().and_then(moment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(document: &str, details: &str) -> CommandInvocation {
        CommandInvocation::builder()
            .command_id("7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77")
            .instance_id("i-0a1b2c3d4e5f60718")
            .document_name(document)
            .status_details(details)
            .build()
    }

    #[test]
    fn what_no_event_told_is_told_by_the_list() {
        let told = |document, details| {
            trouble(&row(document, details), Timestamp::UNIX_EPOCH).map(|(signal, _)| match signal.kind {
                SignalKind::CommandTrouble { status, .. } => status,
                other => panic!("{other:?}"),
            })
        };
        assert_eq!(told("AWS-RunShellScript", "Undeliverable"), Some(CoarseStatus::Undeliverable));
        assert_eq!(told("AWS-RunShellScript", "Delivery Timed Out"), Some(CoarseStatus::DeliveryTimedOut));
        assert_eq!(told("AWS-RunShellScript", "Failed"), None);
        assert_eq!(told("Defib-Probe-abc123", "Undeliverable"), None, "ours");
    }
}
