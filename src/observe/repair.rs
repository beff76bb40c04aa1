//! How a repair on the host ended, by the exit code of our own script (`infra/documents/repair.sh`). Nothing that a host printed
//! comes in: a number stands for a reason, and the reason's words are ours (S12).

use serde::{Deserialize, Serialize};

use super::InvocationStatus;

/// How our last repair on the host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepairEnd {
    /// Not yet, or nobody tells.
    Open,
    /// The script did what it is for. Whether that helped is another question.
    Done,
    /// The script tried, and it did not work; or it could not be run.
    Failed,
    /// The script says that it cannot help here.
    Refused(HostRefusal),
}

impl RepairEnd {
    /// How a repair ended, by its invocation's status and the exit codes of its steps; that of another platform's step is 0.
    #[must_use]
    pub fn of(status: InvocationStatus, exit_codes: impl IntoIterator<Item = i32>) -> Self {
        match status {
            InvocationStatus::Open => Self::Open,
            InvocationStatus::Success => Self::Done,
            InvocationStatus::Failed => {
                exit_codes.into_iter().find_map(HostRefusal::of).map_or(Self::Failed, Self::Refused)
            }
            InvocationStatus::DeliveryTimedOut
            | InvocationStatus::ExecutionTimedOut
            | InvocationStatus::Undeliverable
            | InvocationStatus::Rejected => Self::Failed,
        }
    }
}

/// Why a host did not do what it was asked for, or why that is known not to have helped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostRefusal {
    /// There is no shell on the host: Bottlerocket, or a container.
    NoShell,
    /// What was to be restarted is not installed.
    NotInstalled,
    /// A person masked the unit, or disabled the service on Windows.
    Masked,
    /// The container runtime does not answer, so that the agent was not restarted.
    RuntimeSilent,
    /// Another repair of the host was running.
    Busy,
    /// A file system is still full, and what is left may be somebody's data.
    StillFull,
    /// The agent was started and ended with its terminal exit code again.
    EndedAgain,
}

impl HostRefusal {
    /// Every refusal.
    pub const ALL: [Self; 7] = [
        Self::NoShell,
        Self::NotInstalled,
        Self::Masked,
        Self::RuntimeSilent,
        Self::Busy,
        Self::StillFull,
        Self::EndedAgain,
    ];

    /// The exit code by which the script says so. 194 and 3010 are not among them: the SSM agent takes those for a wish to reboot.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::NoShell => 10,
            Self::NotInstalled => 11,
            Self::Masked => 12,
            Self::RuntimeSilent => 13,
            Self::Busy => 14,
            Self::StillFull => 15,
            Self::EndedAgain => 16,
        }
    }

    /// The refusal that an exit code stands for.
    #[must_use]
    pub fn of(exit_code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.exit_code() == exit_code)
    }

    /// The reason, to stand after a colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoShell => "the host has no shell that could repair it",
            Self::NotInstalled => "it is not installed on the host",
            Self::Masked => "its unit is masked, which only a person does",
            Self::RuntimeSilent => "docker does not answer on the host",
            Self::Busy => "another repair was running on the host",
            Self::StillFull => "the disk is still full, and what is left may be somebody's data",
            Self::EndedAgain => "the agent ended with exit code 5 again",
        }
    }

    /// Whether the same remedy would meet the same refusal. What another repair does may still be the proof.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::NoShell
            | Self::NotInstalled
            | Self::Masked
            | Self::RuntimeSilent
            | Self::StillFull
            | Self::EndedAgain => true,
            Self::Busy => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exit_code_of_the_scripts_is_known_and_every_refusal_is_used() {
        let linux = include_str!("../../infra/documents/repair.sh");
        let windows = include_str!("../../infra/documents/repair.ps1");
        let codes = |script: &str, word: &str| -> Vec<i32> {
            let calls = script.split(word).skip(1).filter_map(|rest| rest.split(' ').next()?.parse().ok());
            let mut codes: Vec<i32> = calls.filter(|code| *code != 1).collect();
            codes.sort_unstable();
            codes.dedup();
            codes
        };
        let all: Vec<i32> = HostRefusal::ALL.into_iter().map(HostRefusal::exit_code).collect();
        assert_eq!(codes(linux, "refuse "), all);
        // On Windows there is always a shell.
        assert_eq!(codes(windows, "Stop-WithRefusal "), all[1..]);
    }

    #[test]
    fn only_a_script_that_failed_may_have_refused() {
        assert_eq!(RepairEnd::of(InvocationStatus::Failed, [0, 13]), RepairEnd::Refused(HostRefusal::RuntimeSilent));
        assert_eq!(RepairEnd::of(InvocationStatus::Failed, [1, 0]), RepairEnd::Failed);
        assert_eq!(RepairEnd::of(InvocationStatus::Success, [0, 0]), RepairEnd::Done);
        assert_eq!(RepairEnd::of(InvocationStatus::Open, [-1]), RepairEnd::Open);
        assert_eq!(RepairEnd::of(InvocationStatus::Undeliverable, [-1]), RepairEnd::Failed);
    }

    #[test]
    fn an_exit_code_stands_for_one_refusal_and_the_agents_own_codes_for_none() {
        for refusal in HostRefusal::ALL {
            assert_eq!(HostRefusal::of(refusal.exit_code()), Some(refusal));
        }
        for code in [-1, 0, 1, 5, 124, 137, 194, 3010] {
            assert_eq!(HostRefusal::of(code), None, "{code}");
        }
    }
}
