//! The cells that can be reached, as rules with their reasons. Nothing here was copied from a run.
//!
//! Two questions decide: what can a pass ask for where the incident stands, and what can go wrong at such a request? A change of
//! the product that asks for something new is a visit outside, and a rule here has to say why.

use super::{Asked, Cell, Mishap, Stand, Way};
use crate::effect::Weight;
use crate::incident::Remedy;

/// A rule about what can be asked for, and why.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Why it can be reached.
    pub because: &'static str,
    /// Whether the rule is about this.
    reaches: fn(Stand, Asked) -> bool,
}

/// What can be asked for where an incident stands.
pub const RULES: &[Rule] = &[
    Rule {
        because: "a pass about a node or an incident begins with the ledger, and again after a lost compare-and-set",
        reaches: |stand, asked| stand == Stand::Unread && asked == Asked::Load,
    },
    Rule {
        because: "a sweep and a switch concern no single incident, so nothing is read before them",
        reaches: |stand, asked| stand == Stand::Unread && matches!(asked, Asked::Survey | Asked::Switch),
    },
    Rule {
        because: "what a sweep decides about the whole account, and the digests that it tells, concern no single incident",
        reaches: |stand, asked| {
            stand == Stand::Unread && matches!(asked, Asked::Post | Asked::PublishDigest | Asked::MarkDigestSent)
        },
    },
    Rule {
        because: "a node without an incident waits for a place when there is none",
        reaches: |stand, asked| stand == Stand::Opening && asked == Asked::Shelve,
    },
    Rule {
        because: "a look decides what happens to a node without an incident, and to every incident that is not over",
        reaches: |stand, asked| is_driven(stand) && asked == Asked::Observe,
    },
    Rule {
        because: "what was decided is saved, wherever the incident stood before",
        reaches: |stand, asked| is_driven(stand) && asked == Asked::Commit,
    },
    Rule {
        because: "a probe asks the host for the cause",
        reaches: |stand, asked| stand == Stand::Examining && asked == Asked::Perform(Weight::ReadOnly),
    },
    Rule {
        because: "a probe belongs to the proof of what nobody sees from outside: room on a disk, an agent that takes commands, a docker that answers, a boot",
        reaches: |stand, asked| {
            let asks_host = [Remedy::FreeDisk, Remedy::RestartSsmAgent, Remedy::RestartRuntime, Remedy::Reboot];
            asks_host.into_iter().any(|remedy| stand == Stand::Verifying(remedy))
                && asked == Asked::Perform(Weight::ReadOnly)
        },
    },
    Rule {
        because: "a drain and a Standby are sent from the phase that they begin",
        reaches: |stand, asked| {
            matches!(stand, Stand::Draining(Way::In) | Stand::Standby(Way::In))
                && asked == Asked::Perform(Weight::Guarding)
        },
    },
    Rule {
        because: "what was taken is given back: a drained node before a wait or an end, one in Standby before a replacement or an end",
        reaches: |stand, asked| {
            matches!(stand, Stand::Draining(Way::Park | Way::End) | Stand::Standby(Way::Out | Way::End))
                && asked == Asked::Perform(Weight::Restoring)
        },
    },
    Rule {
        because: "a remedy's own effect is sent from the phase that treats with it",
        reaches: |stand, asked| match (stand, asked) {
            (Stand::Treating(remedy), Asked::Perform(Weight::Gentle)) => !remedy.is_disruptive(),
            (Stand::Treating(remedy), Asked::Perform(Weight::Disruptive)) => remedy.is_disruptive(),
            _ => false,
        },
    },
    Rule {
        because: "what was stopped is started, and what was terminated is deregistered, in the same phase",
        reaches: |stand, asked| {
            matches!(stand, Stand::Treating(Remedy::StopStart | Remedy::Replace))
                && asked == Asked::Perform(Weight::Restoring)
        },
    },
    Rule {
        because: "people are told of an end, of a rest, and of a remedy that waits for their approval",
        reaches: |stand, asked| {
            matches!(stand, Stand::Closed | Stand::Resting | Stand::Parked)
                && matches!(asked, Asked::Publish | Asked::MarkSent)
        },
    },
];

/// Whether a pass looks and decides there: a node without an incident, and one that is not over.
fn is_driven(stand: Stand) -> bool {
    match stand {
        // Nothing is known yet; a closed record is final.
        Stand::Unread | Stand::Closed => false,
        // No remedy needs a node that drains no more; and what is in Standby stays there while a rail stands in the way.
        Stand::Draining(Way::Out) | Stand::Standby(Way::Park) => false,
        Stand::Opening
        | Stand::Watching
        | Stand::Examining
        | Stand::Parked
        | Stand::Draining(Way::In | Way::Park | Way::End)
        | Stand::Standby(Way::In | Way::Out | Way::End)
        | Stand::Treating(_)
        | Stand::Verifying(_)
        | Stand::Resting => true,
    }
}

/// Whether something can go wrong at a request.
fn can_go_wrong(asked: Asked, mishap: Mishap) -> bool {
    match mishap {
        // Nothing has to go wrong; and a process may stand still or end at any request.
        Mishap::Nothing | Mishap::PausedBefore | Mishap::PausedAfter | Mishap::DiedBefore | Mishap::DiedAfter => true,
        // A look always answers: what could not be read is unknown in it.
        Mishap::Failed | Mishap::LostAnswer => asked != Asked::Observe,
        Mishap::Blind => asked == Asked::Observe,
        // The ledger reads consistently; what AWS shows, and what a sweep lists, may be of a while ago.
        Mishap::Stale => matches!(asked, Asked::Observe | Asked::Survey),
        // A commit has its answer or nobody knows; only an effect is still on its way when its caller gives up.
        Mishap::LandedLate => matches!(asked, Asked::Perform(_)),
    }
}

/// Whether a cell can be reached, and so must be.
#[must_use]
pub fn is_declared(cell: Cell) -> bool {
    can_go_wrong(cell.asked, cell.mishap) && RULES.iter().any(|rule| (rule.reaches)(cell.stand, cell.asked))
}

impl Rule {
    /// Whether the rule is about a cell.
    #[must_use]
    pub fn reaches(&self, cell: Cell) -> bool {
        (self.reaches)(cell.stand, cell.asked)
    }
}
