//! A shared cause: nodes that have something in common fail together, and no remedy on one of them removes that.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::incident::{Incident, IncidentId};
use crate::node::CommandId;
use crate::observe::{Common, Factor, Observation};
use crate::policy::{Policy, SharedCausePolicy};
use crate::time::secs_between;

/// What is known of another open incident.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Which one; it names its node.
    pub incident: IncidentId,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// Whether its node is in trouble beyond a blip.
    pub beyond_a_blip: bool,
    /// What its node shares with others.
    pub factors: Arc<[Factor]>,
    /// What it was seen to have in common with others.
    pub shared: Option<Factor>,
    /// The command that it began with.
    pub command: Option<CommandId>,
}

impl Peer {
    /// What others need to know of an incident.
    #[must_use]
    pub fn of(incident: &Incident) -> Self {
        Self {
            incident: incident.id,
            first_seen: incident.first_seen,
            beyond_a_blip: incident.is_beyond_a_blip(),
            factors: Arc::clone(&incident.place.factors),
            shared: incident.shared.clone(),
            command: incident.command().cloned(),
        }
    }
}

/// Whether the node's trouble is its own.
///
/// Not its own: at least so many nodes, and such a share of those that have something in common, failed within the window,
/// and so many times as often as those without it. Where nobody is without it, it tells nothing apart, and other rails hold.
///
/// # Errors
/// The refusal, with what they share and the four numbers. Of several factors, the most telling one is named.
pub fn check(incident: &Incident, seen: &Observation, peers: &[Peer], policy: &Policy) -> Result<(), Refusal> {
    planted!(IgnoreSharedCause => return Ok(()));
    let Some(factors) = seen.factors.known() else { return Ok(()) };
    let rule = &policy.shared_cause;
    // The cheap way out for almost every look: whatever they share, too few fell into one window with it.
    let needed = usize::try_from(rule.nodes).unwrap_or(usize::MAX);
    if peers.iter().filter(|peer| is_near(peer, incident, rule)).count().saturating_add(1) < needed {
        return Ok(());
    }
    let found = factors.shared.iter().filter_map(|share| fails_together(incident, share, factors.fleet, peers, rule));
    match found.min_by(|one, other| one.0.cmp(other.0)) {
        Some((_, refusal)) => Err(refusal),
        None => Ok(()),
    }
}

/// Whether one window may hold both, and the peer counts.
fn is_near(peer: &Peer, incident: &Incident, rule: &SharedCausePolicy) -> bool {
    secs_between(peer.first_seen, incident.first_seen).saturating_abs() < rule.window_secs && is_real(peer, incident)
}

/// Whether a peer is another incident, and one that counts.
fn is_real(peer: &Peer, incident: &Incident) -> bool {
    peer.incident != incident.id && peer.beyond_a_blip
}

fn fails_together<'a>(
    incident: &Incident,
    share: &'a Common,
    fleet: u32,
    peers: &[Peer],
    rule: &SharedCausePolicy,
) -> Option<(&'a Factor, Refusal)> {
    let others = fleet.saturating_sub(share.members);
    if others == 0 {
        return None;
    }
    let mine = incident.first_seen;
    let real = || peers.iter().filter(|peer| is_real(peer, incident));
    let has = |peer: &Peer| peer.factors.contains(&share.factor);
    // Each window that holds this incident begins with one of them; the fullest counts.
    let starts = real().filter(|peer| has(peer)).map(|peer| peer.first_seen).chain([mine]);
    let inside = |from: Timestamp, at: Timestamp| at >= from && secs_between(from, at) < rule.window_secs;
    let best = starts
        .filter(|from| inside(*from, mine))
        .map(|from| {
            let (with, without) =
                real().filter(|peer| inside(from, peer.first_seen)).fold((1_u32, 0_u32), |sum, peer| {
                    if has(peer) { (sum.0.saturating_add(1), sum.1) } else { (sum.0, sum.1.saturating_add(1)) }
                });
            (with, std::cmp::Reverse(without))
        })
        .max()?;
    let (failing, std::cmp::Reverse(outside)) = best;
    let members = share.members.max(failing);
    let enough = failing >= rule.nodes;
    let wide = u64::from(failing) * 100 >= u64::from(members) * u64::from(rule.percent);
    // failing / members >= times * outside / others, without a division.
    let telling =
        u64::from(failing) * u64::from(others) >= u64::from(rule.times) * u64::from(outside) * u64::from(members);
    (enough && wide && telling).then(|| {
        let factor = share.factor.clone();
        (&share.factor, Refusal::SharedCause { factor, failing, members, outside, others })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incident::Symptom;
    use crate::node::NodeId;
    use crate::observe::samples::{home, noon, seen, swept_ssm};
    use crate::observe::{Fact, Factors};
    use crate::time::after;

    fn subnet(name: &str) -> Factor {
        Factor::Subnet(name.parse().unwrap())
    }

    fn role() -> Factor {
        Factor::Role("web-role".parse().unwrap())
    }

    fn share(factor: Factor, members: u32) -> Common {
        Common { factor, members }
    }

    fn incident() -> Incident {
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        Incident::open(&home(), &seen(noon()), symptom, noon(), noon())
    }

    fn peer(number: u128, secs: i64, factors: &[Factor]) -> Peer {
        let first_seen = after(noon(), secs);
        let incident = IncidentId::new(first_seen, NodeId::numbered(number));
        Peer { incident, first_seen, beyond_a_blip: true, factors: factors.into(), shared: None, command: None }
    }

    fn told(peers: &[Peer], shares: &[Common], fleet: u32) -> Option<String> {
        let shares: Arc<[Common]> = shares.into();
        let seen = seen(noon()).with(|seen| seen.factors = Fact::Known(Factors { shared: shares.clone(), fleet }));
        check(&incident(), &seen, peers, &Policy::default()).err().map(|refusal| refusal.to_string())
    }

    /// Two more with subnet `a`, one without: with this node three of `members`.
    fn three() -> [Peer; 3] {
        [peer(1, -60, &[subnet("a")]), peer(2, 60, &[subnet("a")]), peer(3, 0, &[subnet("b")])]
    }

    #[test]
    fn nodes_that_share_something_and_fail_together_have_a_shared_cause() {
        assert_eq!(
            told(&three(), &[share(subnet("a"), 6)], 66).as_deref(),
            Some(
                "3 of 6 nodes with subnet a failed together, and 1 of 60 without it: what they share is the cause, and \
                 nothing done to one node removes it"
            )
        );
    }

    #[test]
    fn two_are_a_coincidence_and_so_is_a_small_share() {
        assert_eq!(told(&three()[1..], &[share(subnet("a"), 6)], 66), None, "two and a stranger");
        assert_eq!(told(&three(), &[share(subnet("a"), 7)], 66), None, "three of seven");
    }

    #[test]
    fn where_the_rest_fails_as_often_it_is_not_what_they_share() {
        assert!(told(&three(), &[share(subnet("a"), 6)], 12).is_some(), "1 of 6 is a third of 3 of 6");
        assert_eq!(told(&three(), &[share(subnet("a"), 6)], 11), None, "1 of 5 is more than a third of 3 of 6");
    }

    #[test]
    fn what_every_node_has_tells_nothing_apart() {
        assert_eq!(told(&three()[..2], &[share(subnet("a"), 6)], 6), None);
    }

    #[test]
    fn only_what_falls_into_one_window_with_it_counts() {
        let spread = [peer(1, -599, &[subnet("a")]), peer(2, 1, &[subnet("a")])];
        assert_eq!(told(&spread, &[share(subnet("a"), 3)], 60), None, "600 s from the first to the last");
        let close = [peer(1, -598, &[subnet("a")]), peer(2, 1, &[subnet("a")])];
        assert!(told(&close, &[share(subnet("a"), 3)], 60).is_some());
    }

    #[test]
    fn blips_do_not_count() {
        let mut peers = three();
        peers[0].beyond_a_blip = false;
        assert_eq!(told(&peers, &[share(subnet("a"), 6)], 66), None);
    }

    #[test]
    fn of_several_factors_the_most_telling_one_is_named() {
        let both: [Peer; 3] = [1, 2, 3].map(|number| peer(number, 0, &[role(), subnet("a")]));
        let text = told(&both, &[share(role(), 4), share(subnet("a"), 4)], 50).unwrap();
        assert!(text.starts_with("4 of 4 nodes with subnet a"), "{text}");
    }

    #[test]
    fn what_could_not_be_read_is_no_shared_cause() {
        let blind = seen(noon()).with(|seen| seen.factors = Fact::Unknown(crate::observe::Blind::Throttled));
        assert_eq!(check(&incident(), &blind, &three(), &Policy::default()), Ok(()));
    }
}
