//! What follows from a cause, in one row each: the remedies, what a restart and a reboot are worth, and what people do.
//!
//! The row is read from the tables that decide (`ladder.rs`, `diagnose::advice`), so it is what happens. `docs/CAUSES.md` prints
//! all of them, and `tests/courses.rs` holds each against DESIGN.md §6 and facts/checks.md.

use crate::diagnose::{Cause, Helps, please, reboot_helps, restart_agent_helps};
use crate::incident::Remedy;
use crate::observe::{Health, Standing};

use super::ladder::rungs;

/// What follows from one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Course {
    /// The cause.
    pub cause: Cause,
    /// The remedies in their order; empty: nothing that Defib does removes it, and a person is told.
    pub remedies: &'static [Remedy],
    /// Whether a restart of the agent alone removes it. A ladder may still begin with one, where it costs next to nothing.
    pub restart_agent_helps: Helps,
    /// Whether a reboot alone removes it.
    pub reboot_helps: Helps,
    /// What a person is asked to do, to stand after "Please ".
    pub please: &'static str,
}

impl Course {
    /// What follows from a cause on a node that stands like this.
    #[must_use]
    pub fn of(cause: Cause, health: Health) -> Self {
        Self {
            cause,
            remedies: rungs(cause, health),
            restart_agent_helps: restart_agent_helps(cause),
            reboot_helps: reboot_helps(cause),
            please: please(cause),
        }
    }

    /// The rows of every cause, for a node on which both agents are silent.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let silent =
            Health { ssm: Standing::Ill, ecs: Standing::Ill, runtime: Standing::NotPresent, platform: Standing::Well };
        Cause::ALL.iter().map(|&cause| Self::of(cause, silent)).collect()
    }

    /// The cheapest remedy, which is tried first.
    #[must_use]
    pub fn first(&self) -> Option<Remedy> {
        self.remedies.first().copied()
    }

    /// The strongest remedy, beyond which there is only a person.
    #[must_use]
    pub fn highest(&self) -> Option<Remedy> {
        self.remedies.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_a_row_with_its_cheapest_and_its_strongest_remedy() {
        let all = Course::all();
        assert_eq!(all.iter().map(|row| row.cause).collect::<Vec<_>>(), Cause::ALL);
        let ends = |cause| all.iter().find(|row| row.cause == cause).map(|row| (row.first(), row.highest()));
        assert_eq!(ends(Cause::EcsAgentHung), Some((Some(Remedy::RestartEcsAgent), Some(Remedy::Replace))));
        assert_eq!(ends(Cause::IdentityNoInstanceProfile), Some((None, None)), "a person is told");
    }
}
