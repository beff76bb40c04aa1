//! What an event leads to, in one word.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Signal, SignalKind};

/// What an event leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The node deserves a look.
    Trouble,
    /// The node, or one of its agents, answers again.
    Recovered,
    /// The node is no more.
    Gone,
    /// A proper event that is not about us.
    Ignored,
    /// Malformed, without a usable id, or from a place that has no say here.
    Rejected,
}

impl Verdict {
    /// The word that outputs, logs and metrics use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trouble => "trouble",
            Self::Recovered => "recovered",
            Self::Gone => "gone",
            Self::Ignored => "ignored",
            Self::Rejected => "rejected",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Signal {
    /// What the signal leads to; never [`Verdict::Ignored`] or [`Verdict::Rejected`].
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match &self.kind {
            SignalKind::CommandTrouble { .. }
            | SignalKind::EcsHealthImpaired { .. }
            | SignalKind::EcsDisconnected { .. }
            | SignalKind::SessionRefused
            | SignalKind::Swept { .. } => Verdict::Trouble,
            SignalKind::CommandSucceeded | SignalKind::EcsHealthRestored | SignalKind::EcsConnected => {
                Verdict::Recovered
            }
            SignalKind::Gone { .. } => Verdict::Gone,
        }
    }
}

impl SignalKind {
    /// The name that outputs, logs and metrics use; the same as in stored records.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CommandTrouble { .. } => "command-trouble",
            Self::CommandSucceeded => "command-succeeded",
            Self::EcsHealthImpaired { .. } => "ecs-health-impaired",
            Self::EcsHealthRestored => "ecs-health-restored",
            Self::EcsDisconnected { .. } => "ecs-disconnected",
            Self::EcsConnected => "ecs-connected",
            Self::Gone { .. } => "gone",
            Self::SessionRefused => "session-refused",
            Self::Swept { .. } => "swept",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{GoneKind, SweptAgent};
    use serde_json::json;

    #[test]
    fn words_and_stored_words_agree() {
        use Verdict::{Gone, Ignored, Recovered, Rejected, Trouble};
        for verdict in [Trouble, Recovered, Gone, Ignored, Rejected] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), json!(verdict.to_string()));
        }
        for kind in [
            SignalKind::CommandSucceeded,
            SignalKind::EcsHealthRestored,
            SignalKind::EcsConnected,
            SignalKind::SessionRefused,
            SignalKind::Gone { what: GoneKind::Stopped },
            SignalKind::Swept { agent: SweptAgent::Ssm, since: None },
        ] {
            assert_eq!(serde_json::to_value(&kind).unwrap()["type"], json!(kind.name()));
        }
    }
}
