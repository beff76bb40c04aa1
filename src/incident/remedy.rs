//! What can be done against an outage, from the cheapest to the dearest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A remedy, the cheapest first. The order is the ladder's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remedy {
    /// Free disk space.
    FreeDisk,
    /// Restart the SSM agent.
    RestartSsmAgent,
    /// Restart the ECS container agent.
    RestartEcsAgent,
    /// Restart docker, then the ECS container agent.
    RestartRuntime,
    /// Reboot.
    Reboot,
    /// Stop and start: new hardware.
    StopStart,
    /// Replace through the Auto Scaling group.
    Replace,
}

impl Remedy {
    /// Every remedy, in the ladder's order.
    pub const ALL: [Self; 7] = [
        Self::FreeDisk,
        Self::RestartSsmAgent,
        Self::RestartEcsAgent,
        Self::RestartRuntime,
        Self::Reboot,
        Self::StopStart,
        Self::Replace,
    ];

    /// The name in code, JSON and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreeDisk => "free-disk",
            Self::RestartSsmAgent => "restart-ssm-agent",
            Self::RestartEcsAgent => "restart-ecs-agent",
            Self::RestartRuntime => "restart-runtime",
            Self::Reboot => "reboot",
            Self::StopStart => "stop-start",
            Self::Replace => "replace",
        }
    }

    /// Whether workload on the node stops (SAFETY.md).
    #[must_use]
    pub fn is_disruptive(self) -> bool {
        match self {
            Self::FreeDisk | Self::RestartSsmAgent | Self::RestartEcsAgent => false,
            Self::RestartRuntime | Self::Reboot | Self::StopStart | Self::Replace => true,
        }
    }

    /// Whether live sessions on the node end with it.
    #[must_use]
    pub fn ends_sessions(self) -> bool {
        match self {
            Self::FreeDisk | Self::RestartEcsAgent | Self::RestartRuntime => false,
            Self::RestartSsmAgent | Self::Reboot | Self::StopStart | Self::Replace => true,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is no remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such remedy: allowed are free-disk, restart-ssm-agent, restart-ecs-agent, restart-runtime, reboot, stop-start and replace"
)]
pub struct NoSuchRemedy;

impl FromStr for Remedy {
    type Err = NoSuchRemedy;

    fn from_str(text: &str) -> Result<Self, NoSuchRemedy> {
        Self::ALL.into_iter().find(|remedy| remedy.as_str() == text).ok_or(NoSuchRemedy)
    }
}
