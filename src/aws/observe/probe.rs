//! What our own probe said: one compact JSON object a line, the boot first, then findings, the worst first.
//!
//! A host printed it, and a host may print anything: the text is bounded, a line that is no finding is skipped, and what is
//! shown of it is redacted (S12).

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::aws::translate::moment;
use crate::diagnose::{Cause, Channel, Finding, Severity};
use crate::json;
use crate::node::{CommandId, NodeId, ResourceName};
use crate::observe::{Blind, Fact, Findings, InvocationStatus, Probe, ProbeAnswer};
use crate::report::redact;
use crate::time::after;

use super::commands::invocation_status;

/// Bytes of an answer that are read: what `GetCommandInvocation` gives at most.
const BYTES_MAX: usize = 24_000;
/// Lines that are read, and findings that are kept.
const LINES_MAX: usize = 200;
const FINDINGS_MAX: usize = 20;
/// An invocation is listed only a moment after its command was sent, in seconds (facts/aws.md §2.1).
const LISTED_SECS: i64 = 60;
/// The output that a list shows is cut to this, in bytes; what is as long may be longer (facts/aws.md §2.1).
const LIST_CUTS: usize = 2_400;

impl Nodes {
    /// What our last probe said. Absent: none was sent.
    pub(super) async fn probe(&self, node: NodeId, command: Option<&CommandId>, now: Timestamp) -> Fact<Probe> {
        let Some(command) = command else { return Fact::Absent };
        if let Some(known) = self.cache.probes.ever(command) {
            return Fact::Known(known);
        }
        if let Some(pending) = self.cache.pending.get(command, now, 0) {
            return Fact::Known(pending);
        }
        let row = match self.command_row(node, command, true).await {
            Ok(Some(row)) => row,
            Ok(None) => return self.not_listed(command, now),
            Err(blind) => return Fact::Unknown(blind),
        };
        let Some(sent_at) = row.requested_date_time().and_then(moment) else { return Fact::Unknown(Blind::Empty) };
        let status = invocation_status(&row);
        let mut output: String = row.command_plugins().iter().filter_map(|plugin| plugin.output()).collect();
        if says_something(status) && output.len() >= LIST_CUTS && !has_all_findings(&output) {
            // The step of the node's platform; the other one was left out, and says only that.
            let longest = row.command_plugins().iter().max_by_key(|plugin| plugin.output().map_or(0, str::len));
            let step = longest.and_then(|plugin| plugin.name());
            match self.whole_output(node, command, step).await {
                Ok(Some(whole)) => output = whole,
                Ok(None) => {}
                // The worst of it stands at its beginning, which is here.
                Err(fault) => fault.tell(),
            }
        }
        let fact = answer(status, &output, sent_at);
        if let Fact::Known(probe) = &fact {
            let kept = match probe.answer {
                ProbeAnswer::Answered { .. } | ProbeAnswer::Undelivered => &self.cache.probes,
                ProbeAnswer::Pending => &self.cache.pending,
            };
            kept.put(command.clone(), now, probe.clone());
            if matches!(probe.answer, ProbeAnswer::Answered { .. }) {
                let end = output.floor_char_boundary(BYTES_MAX);
                let text = Arc::from(output.get(..end).unwrap_or_default());
                self.cache.probe_texts.put(node, now, (command.clone(), text));
            }
        }
        fact
    }

    /// A probe that is not listed: not yet, or nobody knows.
    fn not_listed(&self, command: &CommandId, now: Timestamp) -> Fact<Probe> {
        match self.cache.sent.get(command, now, LISTED_SECS) {
            Some(sent_at) => Fact::Known(Probe { sent_at, answer: ProbeAnswer::Pending }),
            None => Fact::Unknown(Blind::Empty),
        }
    }

    /// The output of one step. Of a document with several, as ours is, it must be named (facts/aws.md §2.1).
    async fn whole_output(
        &self,
        node: NodeId,
        command: &CommandId,
        step: Option<&str>,
    ) -> Result<Option<String>, Fault> {
        let request = self.clients.ssm.get_command_invocation().command_id(command.as_str());
        let answer = request.instance_id(node.to_string()).set_plugin_name(step.map(ToOwned::to_owned)).send().await;
        match answer.map_err(|error| Fault::of("GetCommandInvocation", error)) {
            Ok(output) => Ok(output.standard_output_content),
            Err(fault) if fault.kind == FaultKind::Absent => Ok(None),
            Err(fault) => Err(fault),
        }
    }
}

/// Whether only last words can be missing, which stand behind all findings: then the rest is not worth another call. Each host
/// that answers has such words, and mostly few findings.
fn has_all_findings(cut: &str) -> bool {
    cut.contains("\n{\"check\":\"journal\",")
}

/// Whether the host itself said something.
fn says_something(status: InvocationStatus) -> bool {
    match status {
        InvocationStatus::Success | InvocationStatus::Failed | InvocationStatus::ExecutionTimedOut => true,
        InvocationStatus::Open
        | InvocationStatus::DeliveryTimedOut
        | InvocationStatus::Undeliverable
        | InvocationStatus::Rejected => false,
    }
}

/// What came back. A host that answered without saying when it booted proves nothing: neither that it is well nor that it is not.
fn answer(status: InvocationStatus, output: &str, sent_at: Timestamp) -> Fact<Probe> {
    let answer = match status {
        InvocationStatus::Open => ProbeAnswer::Pending,
        InvocationStatus::DeliveryTimedOut | InvocationStatus::Undeliverable => ProbeAnswer::Undelivered,
        InvocationStatus::Success | InvocationStatus::Failed | InvocationStatus::ExecutionTimedOut => {
            match parse(output, sent_at) {
                Some((booted_at, boot, findings)) => ProbeAnswer::Answered { booted_at, boot, findings },
                None => return Fact::Unknown(Blind::Empty),
            }
        }
        // Cancelled, or not allowed: says nothing of the node.
        InvocationStatus::Rejected => return Fact::Unknown(Blind::Denied),
    };
    Fact::Known(Probe { sent_at, answer })
}

/// A line of the output, as far as it matters.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    check: Cow<'a, str>,
    #[serde(default)]
    severity: Option<Cow<'a, str>>,
    #[serde(default)]
    evidence: Option<Cow<'a, str>>,
    #[serde(default)]
    booted_at: Option<Cow<'a, str>>,
    #[serde(default)]
    boot_id: Option<Cow<'a, str>>,
}

/// When the host booted, by which id, and what it found; none where it does not say when it booted, or says what cannot be.
fn parse(output: &str, sent_at: Timestamp) -> Option<(Timestamp, Option<ResourceName>, Findings)> {
    let end = output.floor_char_boundary(BYTES_MAX);
    let (mut booted_at, mut boot, mut findings) = (None, None, Vec::new());
    let lines = output.get(..end).unwrap_or_default().lines().take(LINES_MAX);
    for line in lines.filter_map(|line| json::read::<Line<'_>>(line.trim()).ok()) {
        if line.check == "boot" {
            booted_at = booted_at.or_else(|| line.booted_at.as_deref()?.parse::<Timestamp>().ok());
            boot = boot.or_else(|| line.boot_id.as_deref()?.parse::<ResourceName>().ok());
        } else if let Some(finding) = finding(&line)
            && findings.len() < FINDINGS_MAX
        {
            findings.push(finding);
        }
    }
    // By a clock that is far ahead it booted in the future: then the time of the boot proves nothing.
    let booted_at = booted_at.filter(|booted_at| *booted_at <= after(sent_at, 300))?;
    Some((booted_at, boot, findings.into()))
}

fn finding(line: &Line<'_>) -> Option<Finding> {
    let cause = line.check.parse::<Cause>().ok().filter(|cause| !matches!(cause, Cause::Healthy | Cause::Unknown))?;
    let severity = match line.severity.as_deref() {
        Some("cause") => Severity::Cause,
        Some("symptom") => Severity::Symptom,
        // A word that nobody knows weighs nothing.
        Some(_) | None => Severity::Noise,
    };
    let evidence = redact::excerpt(line.evidence.as_deref().unwrap_or_default());
    Some(Finding { cause, severity, channel: Channel::Probe, evidence: evidence.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: &str = r#"{"check":"boot","booted_at":"2026-11-20T11:00:00Z","boot_id":"b"}"#;

    fn sent() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn said(output: &str) -> Option<Vec<(Cause, Severity, String)>> {
        let (_, _, findings) = parse(output, sent())?;
        Some(findings.iter().map(|f| (f.cause, f.severity, f.evidence.to_string())).collect())
    }

    #[test]
    fn lines_become_findings_and_other_lines_are_skipped() {
        let output = format!(
            "{BOOT}\n{}\n{}\nnoise\n{}\n",
            r#"{"check":"host.disk-full","severity":"cause","evidence":"/ 100 %, password=hunter2hunter2"}"#,
            r#"{"check":"host.on-fire","severity":"cause","evidence":"x"}"#,
            r#"{"check":"clock.skew","severity":"loud","evidence":"2 s"}"#,
        );
        let said = said(&output).unwrap();
        assert_eq!(said.len(), 2);
        assert_eq!((said[0].0, said[0].1), (Cause::HostDiskFull, Severity::Cause));
        assert!(!said[0].2.contains("hunter2"), "{}", said[0].2);
        assert_eq!((said[1].0, said[1].1), (Cause::ClockSkew, Severity::Noise));
    }

    #[test]
    fn an_answer_without_a_boot_proves_nothing() {
        let fact = |status, output: &str| answer(status, output, sent());
        assert_eq!(fact(InvocationStatus::Success, ""), Fact::Unknown(Blind::Empty));
        let future = BOOT.replace("2026-11-20T11", "2027-11-20T11");
        assert_eq!(fact(InvocationStatus::Success, &future), Fact::Unknown(Blind::Empty));
        for status in [InvocationStatus::Success, InvocationStatus::Failed, InvocationStatus::ExecutionTimedOut] {
            let said = fact(status, BOOT);
            let Some(Probe { answer: ProbeAnswer::Answered { boot: Some(boot), .. }, .. }) = said.known() else {
                panic!("{said:?}")
            };
            assert_eq!(boot.as_str(), "b");
        }
    }

    #[test]
    fn a_cut_among_the_last_words_costs_no_finding_and_no_call() {
        let findings =
            format!("{BOOT}\n{}", r#"{"check":"host.disk-full","severity":"cause","evidence":"/ says \"journal\""}"#);
        assert!(!has_all_findings(&findings), "what a finding quotes is no last word");
        assert!(has_all_findings(&format!("{findings}\n{{\"check\":\"journal\",\"severity\":\"noise\",\"evid")));
        assert!(!has_all_findings(&format!("{findings}\n{{\"check\":\"journal")));
    }

    #[test]
    fn only_what_aws_could_not_deliver_is_undelivered() {
        let fact = |status| answer(status, "", sent());
        for status in [InvocationStatus::DeliveryTimedOut, InvocationStatus::Undeliverable] {
            assert!(matches!(fact(status), Fact::Known(Probe { answer: ProbeAnswer::Undelivered, .. })));
        }
        assert_eq!(fact(InvocationStatus::Rejected), Fact::Unknown(Blind::Denied));
        assert!(matches!(fact(InvocationStatus::Open), Fact::Known(Probe { answer: ProbeAnswer::Pending, .. })));
    }

    proptest! {
        #[test]
        fn any_output_is_an_answer_or_none(output in ".*", cut in 0_usize..400) {
            let _ = parse(&output, sent());
            let whole = format!("{BOOT}\n{{\"check\":\"host.disk-full\",\"evidence\":\"{output}\"}}");
            let part: String = whole.chars().take(cut).collect();
            if let Some((_, _, findings)) = parse(&part, sent()) {
                prop_assert!(findings.iter().all(|finding| finding.evidence.chars().count() <= redact::EXCERPT_MAX));
            }
        }

        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = parse(&String::from_utf8_lossy(&bytes), sent());
        }
    }
}
