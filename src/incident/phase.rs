//! Where a treatment stands.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Ending, Remedy};
use crate::effect::Intent;
use crate::guard::Refusal;

/// Where the treatment stands. Each variant owns its facts; each but the last two has its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "name", rename_all_fields = "kebab-case")]
pub enum Phase {
    /// Waiting out a blip.
    Watching {
        /// When the hold-down is over.
        until: Timestamp,
    },
    /// Finding the cause and choosing a remedy.
    Examining {
        /// Since when.
        since: Timestamp,
        /// When to stop looking and park.
        deadline: Timestamp,
        /// The probe that is on its way to being sent.
        sending: Option<Intent>,
    },
    /// A rail stands in the way for now.
    Parked {
        /// Which one, with its numbers.
        refusal: Refusal,
        /// Since when.
        since: Timestamp,
        /// When to try again.
        until: Timestamp,
        /// When to give up waiting.
        limit: Timestamp,
    },
    /// Our drain: the effect that begins or undoes it, then the wait for tasks to end.
    Draining {
        /// The drain, or its undoing.
        intent: Intent,
        /// When to go on without.
        deadline: Timestamp,
        /// What follows.
        then: Then,
    },
    /// Our Standby: the effect that enters or leaves it, then the wait for the group.
    Standby {
        /// Entering or leaving.
        intent: Intent,
        /// When to give up.
        deadline: Timestamp,
        /// What follows.
        then: Then,
    },
    /// The remedy's own effect is on its way, or half done.
    Treating {
        /// The effect.
        intent: Intent,
        /// The remedy that it belongs to.
        remedy: Remedy,
        /// When to give up.
        deadline: Timestamp,
    },
    /// Waiting for the proof that it helped.
    Verifying {
        /// The remedy.
        remedy: Remedy,
        /// Since when: the moment its effect was committed.
        since: Timestamp,
        /// When it counts as failed.
        deadline: Timestamp,
        /// Since when the proof has been seen without a break.
        proven_since: Option<Timestamp>,
        /// A probe or a clean-up that belongs to the proof.
        sending: Option<Intent>,
    },
    /// Needs a person. Nothing is done until the node's state changes or a person closes it.
    Resting {
        /// Why, and what to do.
        why: Ending,
        /// Since when.
        since: Timestamp,
        /// When to remind.
        remind_at: Timestamp,
    },
    /// Over.
    Closed {
        /// How it ended.
        ending: Ending,
        /// When.
        at: Timestamp,
    },
}

/// What follows a drain, a Standby, or the undoing of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Look closely once more, then the remedy.
    Examine,
    /// Wait for a rail, with the node given back meanwhile.
    Park {
        /// Which rail, with its numbers.
        refusal: Refusal,
    },
    /// Give back what else is held, then end.
    End(Ending),
}

impl Phase {
    /// The phase's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Watching { .. } => "watching",
            Self::Examining { .. } => "examining",
            Self::Parked { .. } => "parked",
            Self::Draining { .. } => "draining",
            Self::Standby { .. } => "standby",
            Self::Treating { .. } => "treating",
            Self::Verifying { .. } => "verifying",
            Self::Resting { .. } => "resting",
            Self::Closed { .. } => "closed",
        }
    }

    /// The intent that is in this phase's hands.
    #[must_use]
    pub fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Examining { sending, .. } | Self::Verifying { sending, .. } => sending.as_ref(),
            Self::Draining { intent, .. } | Self::Standby { intent, .. } | Self::Treating { intent, .. } => {
                Some(intent)
            }
            Self::Watching { .. } | Self::Parked { .. } | Self::Resting { .. } | Self::Closed { .. } => None,
        }
    }

    /// The same, to record what became of it.
    pub fn intent_mut(&mut self) -> Option<&mut Intent> {
        match self {
            Self::Examining { sending, .. } | Self::Verifying { sending, .. } => sending.as_mut(),
            Self::Draining { intent, .. } | Self::Standby { intent, .. } | Self::Treating { intent, .. } => {
                Some(intent)
            }
            Self::Watching { .. } | Self::Parked { .. } | Self::Resting { .. } | Self::Closed { .. } => None,
        }
    }
}
