//! The console output of an instance: the one thing that a dead machine still says, and with no agent's help.

use std::sync::Arc;

use jiff::Timestamp;

use crate::aws::cache::{Console, PLACE_SECS};
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::diagnose::text::console_findings;
use crate::node::NodeId;
use crate::observe::{Fact, Findings};

/// Characters of a console that are read: EC2 gives 64 KiB, the newest last.
const TEXT_MAX: usize = 65_536;

impl Nodes {
    /// What the console output says. An instance that wrote nothing has nothing against it.
    ///
    /// `Latest` reads what was written up to now, and is known to Nitro instances only; of others EC2 keeps what was written around
    /// the last boot (EC2, `GetConsoleOutput`; not verified on a real account).
    pub(super) async fn console(&self, node: NodeId, now: Timestamp) -> Fact<Findings> {
        if let Some(known) = self.cache.consoles.get(&node, now, PLACE_SECS) {
            return Fact::Known(known.findings);
        }
        let output = match self.console_output(node, true).await {
            Err(fault) if fault.kind == FaultKind::Invalid => self.console_output(node, false).await,
            read => read,
        };
        match output {
            Ok(output) => {
                let text = decoded(output.as_deref().unwrap_or_default());
                let findings: Findings = console_findings(&text).into();
                self.cache.consoles.put(node, now, Console { text: Arc::from(text), findings: findings.clone() });
                Fact::Known(findings)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    async fn console_output(&self, node: NodeId, latest: bool) -> Result<Option<String>, Fault> {
        let request = self.clients.ec2.get_console_output().instance_id(node.to_string());
        let request = if latest { request.latest(true) } else { request };
        let answer = request.send().await;
        answer.map(|output| output.output).map_err(|error| Fault::of("GetConsoleOutput", error))
    }
}

/// The newest part of what is Base64 in the answer. What cannot be decoded says nothing.
fn decoded(output: &str) -> String {
    let compact: String = output.split_whitespace().collect();
    let bytes = aws_smithy_types::base64::decode(compact).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let from = text.ceil_char_boundary(text.len().saturating_sub(TEXT_MAX));
    text.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_part_of_a_console_is_read_and_junk_says_nothing() {
        assert_eq!(decoded("S2VybmVs\nIHBhbmlj\n"), "Kernel panic");
        assert_eq!(decoded("***"), "");
        let long = aws_smithy_types::base64::encode("ä".repeat(TEXT_MAX));
        let text = decoded(&long);
        assert!(text.len() <= TEXT_MAX && text.chars().all(|c| c == 'ä'), "{}", text.len());
    }
}
