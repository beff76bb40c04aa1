//! Run Command: an invocation on one node changed its status.

use super::envelope::Claim;
use super::fields::{Fields, folded};
use super::{CoarseStatus, DropReason, Excerpt, SignalKind};
use crate::node::{CommandId, DocumentName, Home};

/// Stands for the document of an event that names none: nothing is decided by it.
const NO_DOCUMENT: &str = "unnamed";

/// `EC2 Command Status-change Notification`. Its `parameters` may hold secrets, so nothing of it is read.
pub(super) fn whole(_detail: Fields<'_>, _event: Fields<'_>, _home: &Home) -> Result<Claim, DropReason> {
    Err(DropReason::CommandLevel)
}

/// `EC2 Command Invocation Status-change Notification`.
///
/// Only `detail.instance-id` names the node: in AWS's own sample `resources` holds another one.
pub(super) fn invocation(detail: Fields<'_>, _event: Fields<'_>, _home: &Home) -> Result<Claim, DropReason> {
    let status = detail.need_text("status")?;
    let document = detail.text("document-name")?;
    if let Some(document) = document.filter(|name| is_own(name)) {
        return Err(DropReason::OwnDocument { document: Excerpt::of(document.trim()) });
    }
    let folded_status = folded(status);
    if folded_status == "success" {
        return Ok((detail.node("instance-id")?, SignalKind::CommandSucceeded));
    }
    let status =
        coarse(&folded_status).ok_or_else(|| DropReason::CommandStatus { status: Excerpt::of(status.trim()) })?;
    let node = detail.node("instance-id")?;
    let command: CommandId = detail.need_name("command-id")?;
    let document: DocumentName = match document {
        Some(_) => detail.need_name("document-name")?,
        None => NO_DOCUMENT.parse().map_err(|_| DropReason::Empty)?,
    };
    Ok((node, SignalKind::CommandTrouble { command, document, status }))
}

/// Whether the name, or the last part of a shared document's ARN, is one of ours.
fn is_own(document: &str) -> bool {
    document.parse::<DocumentName>().is_ok_and(|name| name.is_own())
}

/// The statuses that deserve a look. `Cancelled` in both spellings, `Terminated`, `InvalidPlatform`, `AccessDenied` and
/// `RateExceeded` are never a node's fault.
fn coarse(folded_status: &str) -> Option<CoarseStatus> {
    match folded_status {
        "timedout" => Some(CoarseStatus::TimedOut),
        "failed" => Some(CoarseStatus::Failed),
        "undeliverable" => Some(CoarseStatus::Undeliverable),
        "deliverytimedout" => Some(CoarseStatus::DeliveryTimedOut),
        "executiontimedout" => Some(CoarseStatus::ExecutionTimedOut),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Fields;
    use super::*;
    use crate::event::Verdict;
    use serde_json::{Value, json};

    fn detail(status: &str) -> Value {
        json!({
            "command-id": "0c5d9f6e-6a3b-4c1e-9d57-2b8f4a7e1c30", "document-name": "AWS-RunShellScript",
            "instance-id": "mi-0a1b2c3d4e5f60718", "status": status
        })
    }

    fn claim(detail: &Value) -> Result<Claim, DropReason> {
        let home = Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let fields = Fields(detail.as_object().unwrap());
        invocation(fields, fields, &home)
    }

    #[test]
    fn every_spelling_of_trouble_is_heard() {
        for status in ["TimedOut", "Timed Out", "FAILED", "undeliverable", "Delivery Timed Out", "executionTimedOut "] {
            let (node, kind) = claim(&detail(status)).unwrap();
            assert_eq!(node.to_string(), "mi-0a1b2c3d4e5f60718");
            assert_eq!(kind.name(), "command-trouble", "{status}");
        }
    }

    #[test]
    fn what_is_no_fault_of_the_node_is_ignored() {
        for status in
            ["Canceled", "Cancelled", "Cancelling", "Pending", "In Progress", "Delayed", "Terminated", "Access Denied"]
        {
            assert_eq!(claim(&detail(status)).unwrap_err().verdict(), Verdict::Ignored, "{status}");
        }
    }

    #[test]
    fn our_own_documents_never_speak() {
        for name in ["Defib-Probe", "arn:aws:ssm:us-east-1:111122223333:document/Defib-RestartAgent"] {
            for status in ["TimedOut", "Success"] {
                let mut own = detail(status);
                own["document-name"] = json!(name);
                assert_eq!(claim(&own).unwrap_err().name(), "own-document");
            }
        }
        let mut other = detail("TimedOut");
        other["document-name"] = json!("Not-Defib-Probe");
        assert!(claim(&other).is_ok());
    }

    #[test]
    fn a_success_needs_nothing_but_its_node() {
        let (_, kind) = claim(&json!({ "instance-id": "i-0a1b2c3d", "status": "Success" })).unwrap();
        assert_eq!(kind, SignalKind::CommandSucceeded);
    }

    #[test]
    fn an_id_that_is_no_id_is_turned_away_without_repeating_it() {
        let mut bad = detail("TimedOut");
        bad["instance-id"] = json!(format!("i-0a1b2c3d; reboot <!channel> {}", "x".repeat(10_000)));
        let reason = claim(&bad).unwrap_err();
        assert_eq!((reason.verdict(), reason.name()), (Verdict::Rejected, "bad-id"));
        let text = reason.to_string();
        assert!(text.len() < 160 && !text.contains(['<', '!', ';']), "{text}");
    }
}
