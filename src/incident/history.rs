//! What happened in an incident, as typed lines; the words are chosen where they are shown.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AttemptResult, Ending, Remedy};
use crate::diagnose::Cause;
use crate::effect::Effect;
use crate::event::SignalKind;
use crate::guard::Refusal;
use crate::node::ResourceName;
use crate::observe::{HostRefusal, InvocationStatus, Standing};

/// One line of an incident's history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What a line of an incident's history says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "of")]
pub enum Event {
    /// Somebody or something told of trouble.
    Told(SignalKind),
    /// The invocation that told of it was read again.
    InvocationRead(InvocationStatus),
    /// A look found the node like this.
    Looked {
        /// The SSM agent.
        ssm: Standing,
        /// The ECS container agent.
        ecs: Standing,
    },
    /// The hold-down is over and the node is still in trouble.
    HoldDownOver {
        /// How long it was, in seconds.
        secs: i64,
    },
    /// The host answered the probe.
    ProbeAnswered {
        /// How many findings came back.
        findings: u32,
        /// How long it took, in seconds.
        secs: i64,
    },
    /// The probe was not delivered.
    ProbeUndelivered,
    /// The cause was named.
    Diagnosed {
        /// The cause.
        cause: Cause,
        /// How sure, in percent.
        confidence: u8,
    },
    /// A remedy was chosen.
    Chosen {
        /// The remedy.
        remedy: Remedy,
        /// Which try it is, from 1.
        attempt: u8,
        /// How many tries there may be.
        of: u8,
    },
    /// An effect was sent, and AWS accepted it.
    Done(Effect),
    /// An effect was sent, and AWS refused it.
    Refused(Effect),
    /// An effect was not sent any more: its time had passed.
    Expired(Effect),
    /// Nobody knows whether an effect landed.
    Burned(Effect),
    /// The host did not carry out a remedy, or says that it cannot have helped.
    HostRefused {
        /// The remedy.
        remedy: Remedy,
        /// Why.
        why: HostRefusal,
    },
    /// A drain ended with this many tasks left.
    Drained {
        /// Tasks that are not `STOPPED`.
        left: u32,
    },
    /// Live sessions ended with the remedy, as the policy wants it.
    SessionsCut {
        /// How many.
        count: u16,
        /// The ids of the first few.
        #[serde(default)]
        who: Arc<[ResourceName]>,
    },
    /// The instance reached a state that was waited for.
    Reached(Milestone),
    /// A remedy ended.
    Ended {
        /// The remedy.
        remedy: Remedy,
        /// How.
        result: AttemptResult,
    },
    /// A rail stands in the way for now.
    Parked(Refusal),
    /// The rail is out of the way.
    Unparked,
    /// An operator said something.
    Operator(Said),
    /// A person was reminded.
    Reminded,
    /// It ended, or came to rest.
    Closed(Ending),
}

/// A state that was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// The instance is stopped.
    Stopped,
    /// The instance runs again.
    Running,
    /// The instance is terminated: it can do no more harm.
    Fenced,
    /// The group has taken the instance to Standby.
    InStandby,
    /// The group has the instance in service again.
    InService,
    /// The SSM agent is connected, and its ping is later than the remedy.
    SsmAnswers,
    /// The ECS container agent is connected.
    EcsConnected,
    /// The group is at its desired capacity again.
    GroupWhole,
}

/// What an operator said, and who it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "StoredSaid")]
pub struct Said {
    /// What.
    pub word: OperatorWord,
    /// Who, as claimed; none in records from before names were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Arc<str>>,
}

/// Older records hold the word alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredSaid {
    Word(OperatorWord),
    Said {
        word: OperatorWord,
        #[serde(default)]
        by: Option<Arc<str>>,
    },
}

impl From<StoredSaid> for Said {
    fn from(stored: StoredSaid) -> Self {
        match stored {
            StoredSaid::Word(word) => Self { word, by: None },
            StoredSaid::Said { word, by } => Self { word, by },
        }
    }
}

/// What an operator said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorWord {
    /// Repair it now.
    Fix,
    /// Approved.
    Approved,
    /// Closed by hand.
    Closed,
    /// The node's quarantine was ended.
    Cleared,
}
