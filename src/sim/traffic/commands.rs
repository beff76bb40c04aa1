//! Run Command's table of invocations, ours and other people's.

use crate::effect::Effect;
use crate::node::{CommandId, DocumentName, ResourceName};
use crate::observe::{Busy, Findings, HostRefusal, InvocationStatus};
use crate::sim::machine::Secs;

/// What a command does when it runs.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// One of our effects.
    Ours(Effect),
    /// Somebody else's script: how long it runs, what it ends as, and what it looks like meanwhile.
    Theirs { runs_secs: Secs, ends: InvocationStatus, busy: Busy },
}

/// How far a command has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// On its way to the agent.
    Sent,
    /// The agent runs it; `boots` of the machine at that moment.
    Running { boots: u32 },
    /// Over.
    Ended,
}

/// What a probe brought back from a host.
#[derive(Debug, Clone)]
pub(crate) struct HostAnswer {
    pub booted_at: Secs,
    /// The boot's id, written once: it is shown at every look.
    pub boot_id: Option<ResourceName>,
    pub findings: Findings,
}

impl HostAnswer {
    pub(crate) fn of(booted_at: Secs, boot: u32, findings: Findings) -> Self {
        let boot_id = format!("0d5b11c0-0000-4000-8000-{boot:012x}").parse().ok();
        Self { booted_at, boot_id, findings }
    }
}

/// One invocation.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub id: CommandId,
    pub machine: usize,
    pub document: Option<DocumentName>,
    pub work: Work,
    pub sent_at: Secs,
    /// What an agent has not taken by then does not run any more.
    pub starts_by: Secs,
    pub expires_at: Secs,
    pub stage: Stage,
    pub status: InvocationStatus,
    /// What the probe brought back.
    pub answer: Option<HostAnswer>,
    /// Why the host did not carry out our repair.
    pub refusal: Option<HostRefusal>,
}

/// Every invocation of the account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Commands {
    table: Vec<Command>,
    seed: u64,
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A UUID-shaped text: the world's seed, then the command's place in the table. Built by hand because it stands in the
/// simulation's loop.
fn written(seed: u64, place: u64) -> [u8; 36] {
    let mut text = *b"00000000-0000-4000-8000-000000000000";
    let mut put = |from: usize, digits: usize, value: u64| {
        for (offset, slot) in text.iter_mut().skip(from).take(digits).enumerate() {
            let shift = 4 * (digits - 1 - offset);
            let digit = usize::try_from(value >> shift & 0xf).unwrap_or(0);
            *slot = HEX.get(digit).copied().unwrap_or(b'0');
        }
    };
    put(0, 8, seed);
    put(9, 4, seed >> 32);
    put(24, 12, place);
    text
}

/// The place that an id of ours names.
fn place(id: &CommandId) -> Option<usize> {
    usize::from_str_radix(id.as_str().get(24..)?, 16).ok()
}

impl Commands {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self { table: Vec::with_capacity(32), seed }
    }

    /// Adds a command under a new id. None only if an id could not be written, which cannot happen.
    pub(crate) fn add(&mut self, build: impl FnOnce(CommandId) -> Command) -> Option<(u32, CommandId)> {
        let number = u32::try_from(self.table.len()).ok()?;
        let text = written(self.seed, u64::from(number));
        let id: CommandId = std::str::from_utf8(&text).ok()?.parse().ok()?;
        self.table.push(build(id.clone()));
        Some((number, id))
    }

    /// Adds a command under an id that somebody else chose.
    pub(crate) fn add_named(&mut self, command: Command) {
        self.table.push(command);
    }

    pub(crate) fn get(&self, number: u32) -> Option<&Command> {
        self.table.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Command> {
        self.table.get_mut(usize::try_from(number).ok()?)
    }

    /// Every invocation with its place, in the order of their sending.
    #[cfg(feature = "cli")]
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Command)> {
        (0..).zip(&self.table)
    }

    /// Finds a command: an id of ours names its place, others are searched for.
    pub(crate) fn find(&self, id: &CommandId) -> Option<&Command> {
        place(id)
            .and_then(|place| self.table.get(place))
            .filter(|command| command.id == *id)
            .or_else(|| self.table.iter().find(|command| command.id == *id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_uuids_and_name_their_place() {
        let text = written(0xdead_beef_1234_5678, 0xabc);
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text, "12345678-beef-4000-8000-000000000abc");
        assert_eq!(place(&text.parse().unwrap()), Some(0xabc));
    }
}
