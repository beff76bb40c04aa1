//! The black box: what a node showed right before something disruptive was done to it, kept with the incident.
//!
//! A reboot takes the console and the host's memory with it, a replacement the whole machine. Each disruptive effect is preceded by
//! one item of evidence in the ledger; where that cannot be kept, the effect is not sent. Texts are redacted like reports are.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::nodes::Nodes;
use crate::effect::{Effect, Weight};
use crate::node::{CommandId, NodeId};
use crate::ports::Perform;
use crate::report::redact;

/// Characters of the console that are kept: its end, which is the newest.
const CONSOLE_MAX: usize = 40_000;
/// Characters of a probe's answer that are kept: all that Systems Manager gives.
const PROBE_MAX: usize = 24_000;
/// The console was read by the very pass that decided, or not long before, in seconds.
const CONSOLE_SECS: i64 = 900;

/// What a node showed right before a disruptive effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlackBox {
    /// When it was kept.
    pub at: Timestamp,
    /// The node.
    pub node: NodeId,
    /// What was about to be done.
    pub before: Effect,
    /// The end of the console output, redacted; none: it could not be read, or is empty.
    pub console: Option<String>,
    /// What the host last answered to the probe: its boot id, its findings, and the last words of its agents, redacted; none: it
    /// answered none.
    pub probe: Option<String>,
}

/// Whether evidence is kept before an effect: what stops workload takes evidence with it.
#[must_use]
pub fn is_due(effect: Effect) -> bool {
    match effect.weight() {
        Weight::Disruptive => true,
        Weight::ReadOnly | Weight::Gentle | Weight::Guarding | Weight::Restoring => false,
    }
}

impl Nodes {
    /// What is known of a node without another call: the pass that decided has just read it.
    #[must_use]
    pub fn black_box(&self, perform: &Perform, now: Timestamp) -> BlackBox {
        let node = perform.target.node;
        let console = self.cache.consoles.get(&node, now, CONSOLE_SECS);
        let probe = self.cache.probe_texts.ever(&node);
        BlackBox {
            at: now,
            node,
            before: perform.effect,
            console: console.and_then(|console| kept(&console.text, CONSOLE_MAX)),
            probe: probe.and_then(|(_, text): (CommandId, std::sync::Arc<str>)| kept(&text, PROBE_MAX)),
        }
    }
}

/// The end of a text, redacted line by line; none where nothing is left.
fn kept(text: &str, most: usize) -> Option<String> {
    let text = redact::page(text, most);
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_kept_before_what_stops_workload_and_only_then() {
        let due: Vec<Effect> = Effect::ALL.into_iter().filter(|effect| is_due(*effect)).collect();
        assert_eq!(due, [Effect::RestartRuntime, Effect::Reboot, Effect::Stop, Effect::Terminate]);
    }

    #[test]
    fn the_end_is_kept_without_secrets() {
        let console = format!("{}\nlogin: password=hunter2hunter2\nKernel panic - not syncing\n", "x\n".repeat(30_000));
        let text = kept(&console, CONSOLE_MAX).unwrap();
        assert!(text.chars().count() <= CONSOLE_MAX);
        assert!(text.ends_with("Kernel panic - not syncing"), "{}", text.len());
        assert!(!text.contains("hunter2"), "a password is no evidence");
        assert_eq!(kept(" \n\n", CONSOLE_MAX), None);
    }
}
