//! What is due, in order; and messages that come back until somebody has dealt with them.

use jiff::Timestamp;

use crate::engine::Trigger;

/// How often a message is handed out before it goes to the dead-letter queue.
const RECEIVES_MAX: u8 = 5;

/// Something that happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A message can be received.
    Message(u32),
    /// The timer of this number runs out.
    Timer(u32),
    /// The schedule starts a sweep.
    Sweep,
    /// The request of the pass in this slot, of this number, reaches its port.
    Land(u8, u64),
    /// The pass goes on with the answer that it got a while ago.
    Resume(u8, u64),
}

/// Messages that a schedule has room for from the start, for most never have more.
const MESSAGES: usize = 256;
/// The same of what is due at once.
const DUE: usize = 64;

/// Everything that is due; what was added first comes first at the same moment.
#[derive(Debug)]
pub(super) struct Agenda {
    /// What comes last stands first: most of what is added comes soon, so that little has to move for it.
    entries: Vec<(Timestamp, Due)>,
}

impl Default for Agenda {
    fn default() -> Self {
        Self { entries: Vec::with_capacity(DUE) }
    }
}

impl Agenda {
    pub(super) fn add(&mut self, at: Timestamp, due: Due) {
        let later = self.entries.partition_point(|(other, _)| *other > at);
        self.entries.insert(later, (at, due));
    }

    pub(super) fn next_at(&self) -> Option<Timestamp> {
        self.entries.last().map(|(at, _)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<(Timestamp, Due)> {
        self.entries.pop()
    }
}

#[derive(Debug)]
struct Message {
    trigger: Option<Trigger>,
    receives: u8,
}

/// The intake queue: a message comes back until it is deleted, or goes to the dead-letter queue.
#[derive(Debug)]
pub(super) struct Intake {
    messages: Vec<Message>,
    /// Messages that are neither deleted nor dead.
    pub(super) waiting: u64,
    /// The most of these at any moment, sweeps aside.
    pub(super) most: u64,
    /// Of these, sweeps.
    pub(super) sweeps: u64,
    /// Messages that nobody could deal with.
    pub(super) dead: u64,
}

impl Default for Intake {
    fn default() -> Self {
        Self { messages: Vec::with_capacity(MESSAGES), waiting: 0, most: 0, sweeps: 0, dead: 0 }
    }
}

impl Intake {
    pub(super) fn send(&mut self, trigger: Trigger) -> usize {
        self.waiting += 1;
        self.sweeps += u64::from(trigger == Trigger::Sweep);
        self.most = self.most.max(self.waiting - self.sweeps);
        self.messages.push(Message { trigger: Some(trigger), receives: 0 });
        self.messages.len() - 1
    }

    /// Hands a message out, unless it is deleted or dead.
    pub(super) fn receive(&mut self, index: usize) -> Option<Trigger> {
        let message = self.messages.get_mut(index)?;
        if message.receives >= RECEIVES_MAX {
            if self.delete(index) {
                self.dead += 1;
            }
            return None;
        }
        message.receives += 1;
        message.trigger.clone()
    }

    /// Deletes a message; says whether it was still there.
    pub(super) fn delete(&mut self, index: usize) -> bool {
        let Some(trigger) = self.messages.get_mut(index).and_then(|message| message.trigger.take()) else {
            return false;
        };
        self.waiting -= 1;
        self.sweeps -= u64::from(trigger == Trigger::Sweep);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_first_comes_first_at_the_same_moment() {
        let at = Timestamp::UNIX_EPOCH;
        let mut agenda = Agenda::default();
        agenda.add(crate::time::after(at, 1), Due::Sweep);
        agenda.add(at, Due::Message(1));
        agenda.add(at, Due::Message(2));
        let order: Vec<_> = std::iter::from_fn(|| agenda.pop()).map(|(_, due)| due).collect();
        assert_eq!(order, [Due::Message(1), Due::Message(2), Due::Sweep]);
    }

    #[test]
    fn a_message_that_nobody_deletes_is_dead_after_five_receives() {
        let mut intake = Intake::default();
        let index = intake.send(Trigger::Sweep);
        for _ in 0..5 {
            assert!(intake.receive(index).is_some());
        }
        assert!(intake.receive(index).is_none());
        assert_eq!((intake.dead, intake.waiting, intake.sweeps), (1, 0, 0));
        assert!(!intake.delete(index));
    }
}
