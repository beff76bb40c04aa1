//! Runs of commits for whoever must decide as the ledger does.

use jiff::Timestamp;
use proptest::prelude::*;

use super::tests::{commit, incident};
use crate::guard::Scope;
use crate::guard::breaker::Tried;
use crate::incident::{Ending, Incident, Phase, Remedy};
use crate::node::NodeId;
use crate::ports::{Claim, Claims, Commit, Expect, Loaded, Permits, RateClaim};
use crate::time::after;

/// What happens to one node at one moment.
#[allow(clippy::struct_excessive_bools, reason = "each is one choice of its own")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) wait: i64,
    pub(crate) number: u128,
    phase: u8,
    permits: u8,
    stale: bool,
    troubled: bool,
    tried: bool,
    quarantine: bool,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    (
        0_i64..400,
        1_u128..7,
        0_u8..5,
        0_u8..4,
        prop::bool::weighted(0.1),
        any::<bool>(),
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(wait, number, phase, permits, stale, troubled, tried, quarantine)| Step {
            wait,
            number,
            phase,
            permits,
            stale,
            troubled,
            tried,
            quarantine,
        })
}

fn claims(node: NodeId, at: Timestamp) -> Claims {
    Claims {
        at_once: vec![
            Claim { scope: Scope::Node(node), limit: 1, floor: None },
            Claim { scope: Scope::Account, limit: 2, floor: None },
        ],
        rates: vec![
            RateClaim { scope: Scope::Node(node), window_secs: 3_600, limit: 2 },
            RateClaim { scope: Scope::Account, window_secs: 3_600, limit: 4 },
        ],
        chosen_at: at,
        remedy: Remedy::Reboot,
        group: Scope::Account,
    }
}

/// The commit that a step makes on what is stored.
pub(crate) fn decided(loaded: &Loaded, step: Step, now: Timestamp) -> Commit {
    let open = loaded.incident.as_ref();
    let last = loaded.last.as_ref().filter(|_| !step.stale).map(|last| last.id);
    let (expect, mut next) = match open {
        None => (Expect::NoOpenIncident { last }, incident(step.number, now)),
        Some(open) => {
            let mut next = Incident::clone(open);
            next.version += 1;
            (Expect::Version(open.version - u64::from(step.stale)), next)
        }
    };
    if open.is_some() {
        next.phase = match step.phase {
            0 => Phase::Watching { until: now },
            1..=3 => Phase::Examining { since: now, deadline: now, sending: None },
            _ => Phase::Closed { ending: Ending::SelfHealed, at: now },
        };
    }
    let permits = match step.permits {
        0 => Permits::Keep,
        1 => Permits::Free { unsent_since: None },
        2 => Permits::Free { unsent_since: Some(after(now, -600)) },
        _ => Permits::Take(claims(next.node, after(now, -600))),
    };
    let mut commit = commit(expect, &next, permits);
    commit.news.limits.active = 3;
    commit.news.troubled = step.troubled;
    if step.tried {
        commit.news.tried.push(Tried {
            incident: next.id,
            scope: Scope::Account,
            remedy: Remedy::Reboot,
            helped: false,
        });
    }
    commit.quarantine = step.quarantine.then_some(3);
    commit
}
