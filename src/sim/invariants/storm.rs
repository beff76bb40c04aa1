//! Promises and rails about many nodes at once: the breaker, the shared cause, the number worked on, the digests.
//!
//! Counted again here from what was saved and what landed; the breaker's own record is never asked.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{GRACE_SECS, Inspector, Landing};
use crate::effect::Weight;
use crate::engine::Request;
use crate::event::SignalKind;
use crate::guard::Scope;
use crate::guard::breaker::{BreakerLimits, Tried};
use crate::incident::{AttemptResult, Event, Incident, Phase, Remedy};
use crate::node::NodeId;
use crate::observe::Factor;
use crate::ports::{Commit, OutboxItem};
use crate::sim::account::Account;
use crate::sim::driver::SWEEP_SECS;
use crate::time::{after, secs_between};

/// What was committed before the breaker opened may land for so long.
const COMMITTED_SECS: i64 = 60;
/// A half-open breaker that nobody needs closes after half an hour, and the sweep that does it may be late.
const CLOSES_SECS: i64 = 45 * 60;
/// A canary that never ends is given up after two hours.
const CANARY_SECS: i64 = 2 * 3_600 + 15 * 60;
/// Digests about one thing are at least so far apart.
const DIGESTS_APART_SECS: i64 = 15 * 60;
/// What was dead for so long before the first sweep is no news: an hour, and as long as a sweep may stand still between its
/// look and its end.
const LONG_DEAD_SECS: i64 = 3_600 + 900;
/// So many failures in a row, and the remedy rests.
const FAILURES: usize = 4;

/// What the judge remembers of storms.
#[derive(Debug, Default)]
pub(super) struct Storms {
    troubled: BTreeMap<NodeId, Timestamp>,
    /// When the breaker must have opened, and until when it must rest.
    open: Option<(Timestamp, Timestamp)>,
    /// Failures in a row of a remedy in a scope, and when the last of them was.
    failing: Vec<(Scope, Remedy, usize, Timestamp)>,
    digests_seen: usize,
    /// When a node was last put on the shelf, or taken from it.
    shelved: BTreeMap<NodeId, Timestamp>,
    told: BTreeMap<String, (Timestamp, u32)>,
    /// Whether the breaker had a canary after the last commit, and when it was last seen to have one.
    canary: (bool, Option<Timestamp>),
    /// Nodes that events told of which nobody sent.
    forged: BTreeSet<NodeId>,
}

impl Storms {
    /// When a node was last put on the shelf, or taken from it.
    pub(super) fn shelved_at(&self, node: NodeId) -> Option<Timestamp> {
        self.shelved.get(&node).copied()
    }

    /// Follows who waits for a place.
    pub(super) fn follow_shelf(&mut self, request: &Request, now: Timestamp) {
        match request {
            Request::Shelve(shelve) => {
                self.shelved.insert(shelve.signal.node, now);
            }
            Request::Post(post) => {
                let moved = post.shelve.iter().map(|signal| signal.node).chain(post.unshelve.iter().copied());
                self.shelved.extend(moved.map(|node| (node, now)));
            }
            Request::Load(_)
            | Request::Observe(..)
            | Request::Commit(_)
            | Request::Perform(_)
            | Request::Publish(_)
            | Request::MarkSent(_)
            | Request::Survey
            | Request::PublishDigest(_)
            | Request::MarkDigestSent(_)
            | Request::Switch(_)
            | Request::Done(_) => {}
        }
    }

    pub(super) fn digests_seen(&self) -> usize {
        self.digests_seen
    }
}

impl Inspector {
    /// A commit was saved: does it tell of trouble, or of how a remedy ended?
    pub(super) fn follow_trouble(&mut self, account: &Account, commit: &Commit, now: Timestamp) {
        let limits = commit.news.limits.breaker;
        let canary = account.ledger.bulletin().breaker.trips.iter().any(|trip| trip.canary.is_some());
        if canary || self.storms.canary.0 {
            self.storms.canary.1 = Some(now);
        }
        self.storms.canary.0 = canary;
        if !self.policies.iter().any(|(_, policy)| BreakerLimits::of(policy) == limits) {
            self.broken("rail", now, None, || format!("{limits:?} are limits of the breaker that no policy names"));
        }
        for tried in &commit.news.tried {
            let acted_at = account.ledger.incident(tried.incident).and_then(|incident| incident.acted_at());
            self.follow_tried(tried, acted_at, (now, limits.cool_down_secs));
        }
        if !commit.news.troubled {
            return;
        }
        let storms = &mut self.storms;
        storms.troubled.insert(commit.next.node, now);
        storms.troubled.retain(|_, at| secs_between(*at, now) < limits.window_secs);
        // Every machine that ever was: more than any sweep counted, so the breaker may only open sooner than this says.
        let fleet = u32::try_from(account.world.nodes().count()).unwrap_or(u32::MAX);
        let fleet = fleet.max(account.ledger.bulletin().fleet);
        if u32::try_from(storms.troubled.len()).unwrap_or(u32::MAX) >= limits.nodes_in(fleet) {
            let until = after(now, limits.cool_down_secs);
            let since = storms.open.filter(|(_, until)| *until > now).map_or(now, |(since, _)| since);
            storms.open = Some((since, until));
        }
    }

    fn follow_tried(&mut self, tried: &Tried, acted_at: Option<Timestamp>, (now, cool_down_secs): (Timestamp, i64)) {
        let storms = &mut self.storms;
        let known =
            storms.failing.iter().position(|(scope, remedy, ..)| *scope == tried.scope && *remedy == tried.remedy);
        match (known, tried.helped) {
            (Some(index), true) => {
                storms.failing.swap_remove(index);
            }
            (None, true) => {}
            (Some(index), false) => {
                if let Some((.., count, at)) = storms.failing.get_mut(index) {
                    (*count, *at) = (*count + 1, now);
                }
            }
            (None, false) => storms.failing.push((tried.scope.clone(), tried.remedy, 1, now)),
        }
        if let Some((_, until)) = storms.open.filter(|(_, until)| now >= *until) {
            // The canary's end. One that failed opens it anew; what began before it was half-open decides nothing, and what
            // follows one that helped is the breaker's own count.
            let canary = acted_at.is_some_and(|at| at >= until && secs_between(until, at) < CLOSES_SECS - 15 * 60);
            storms.open = (canary && !tried.helped).then(|| (now, after(now, cool_down_secs)));
        }
    }

    /// S6: nothing disruptive while the breaker is open, and one canary when it is half-open.
    pub(super) fn never_through_an_open_breaker(&mut self, landing: &Landing<'_>) {
        if landing.sent.effect.weight() != Weight::Disruptive {
            return;
        }
        let now = landing.sent.at;
        let limits = BreakerLimits::of(&self.stack());
        if let Some((since, until)) = self.storms.open {
            if now < until && secs_between(since, now) > COMMITTED_SECS && secs_between(now, until) > COMMITTED_SECS {
                return self.breach("S6", landing, || format!("while the breaker is open from {since} to {until}"));
            }
            let half_open = now >= until && secs_between(until, now) < CLOSES_SECS - 15 * 60;
            let other = landing.account.ledger.open().find(|other| {
                other.id != landing.sent.incident
                    && other.attempts.last().is_some_and(|attempt| {
                        attempt.remedy.is_disruptive()
                            && attempt.result == AttemptResult::Running
                            && attempt.acted_at.is_some_and(|at| at >= until)
                    })
            });
            if half_open && let Some(other) = other.map(|other| other.id) {
                return self.breach("S6", landing, || format!("beside the canary {other}"));
            }
        }
        let Some((scope, remedy)) = landing.incident.and_then(|incident| {
            let remedy = incident.attempts.last().map(|attempt| attempt.remedy)?;
            Some((incident.place.scope(), remedy))
        }) else {
            return;
        };
        let failing = self.storms.failing.iter().find(|(known, of, ..)| *known == scope && *of == remedy);
        if let Some((.., count, at)) = failing.cloned()
            && count == FAILURES
            && (COMMITTED_SECS..limits.cool_down_secs - COMMITTED_SECS).contains(&secs_between(at, now))
        {
            self.breach("S6", landing, || format!("as {remedy} in {scope} failed {count} times in a row until {at}"));
        }
    }

    /// L5: the breaker closes again.
    pub(super) fn breaker_closes(&mut self, account: &Account, now: Timestamp) {
        for trip in &account.ledger.bulletin().breaker.trips {
            let tried = trip.canary.is_some_and(|(_, since)| secs_between(since, now) < CANARY_SECS);
            // Who was its canary a moment ago gave the place back without having tried: the next sweep closes it.
            let freed = self.storms.canary.1.is_some_and(|at| secs_between(at, now) <= 2 * SWEEP_SECS);
            if secs_between(trip.until, now) > CLOSES_SECS && !tried && !freed {
                let (why, until) = (trip.why.clone(), trip.until);
                self.broken("L5", now, None, || {
                    format!("the breaker is open still, its cool-down ended at {until}: {why}")
                });
            }
        }
    }

    /// Nodes that share something and failed together are not cycled one by one.
    pub(super) fn never_against_a_shared_cause(&mut self, landing: &Landing<'_>) {
        if landing.sent.effect.weight() != Weight::Disruptive {
            return;
        }
        let (Some(incident), Some(seen)) = (landing.incident, landing.seen) else { return };
        let Some(factors) = seen.factors.known() else { return };
        let rule = self.stack().shared_cause;
        let settled = |other: &Incident| {
            // Known to be in trouble for so long that every pass had seen it.
            let since = other.history.iter().find_map(|entry| match entry.event {
                Event::HoldDownOver { .. } => Some(entry.at),
                _ => None,
            });
            !matches!(other.phase, Phase::Watching { .. })
                && since.is_some_and(|since| secs_between(since, landing.sent.at) > GRACE_SECS)
        };
        let others: Vec<&Incident> = landing
            .account
            .ledger
            .open()
            .map(AsRef::as_ref)
            .filter(|other| other.id != incident.id && settled(other))
            .collect();
        let has = |other: &Incident, factor: &Factor| other.place.factors.contains(factor);
        for share in factors.shared.iter() {
            let rest = factors.fleet.saturating_sub(share.members);
            for (from, to) in [(1 - rule.window_secs, 0), (0, rule.window_secs - 1)] {
                let inside =
                    |other: &&&Incident| (from..=to).contains(&secs_between(incident.first_seen, other.first_seen));
                let with = others.iter().filter(inside).filter(|other| has(other, &share.factor)).count();
                // Whoever got well since the decision still counted then.
                let counted = |other: &Incident| match &other.phase {
                    Phase::Closed { at, .. } => secs_between(*at, landing.sent.at) <= GRACE_SECS,
                    Phase::Resting { .. }
                    | Phase::Watching { .. }
                    | Phase::Examining { .. }
                    | Phase::Parked { .. }
                    | Phase::Draining { .. }
                    | Phase::Standby { .. }
                    | Phase::Treating { .. }
                    | Phase::Verifying { .. } => true,
                };
                let all_around = landing.account.ledger.incidents().filter(|other| counted(other)).filter(|other| {
                    let near = secs_between(incident.first_seen, other.first_seen).abs() <= rule.window_secs;
                    near && !has(other, &share.factor)
                });
                let (failing, outside) = (1 + with as u64, all_around.count() as u64);
                let members = u64::from(share.members).max(failing);
                let together = failing >= u64::from(rule.nodes)
                    && failing * 100 >= members * u64::from(rule.percent)
                    && rest > 0
                    && failing * u64::from(rest) >= u64::from(rule.times) * outside * members;
                if together {
                    let factor = share.factor.clone();
                    return self.breach("rail", landing, || {
                        format!("though {failing} of {members} with {factor} fail together")
                    });
                }
            }
        }
    }

    /// Not more is worked on at once than the policy says; what a person asked for aside.
    pub(super) fn not_too_many_at_once(&mut self, account: &Account, now: Timestamp) {
        let limit = self.policies.first().map_or(0, |(_, policy)| policy.budgets.active_incidents);
        let driven = || account.ledger.open().filter(|open| open.is_driven() && open.asked.is_none());
        if u32::try_from(driven().count()).unwrap_or(u32::MAX) <= limit {
            return;
        }
        let rested = |open: &Incident| open.history.iter().any(|entry| matches!(entry.event, Event::Closed(_)));
        let count = driven().filter(|open| !rested(open)).count();
        if u32::try_from(count).unwrap_or(u32::MAX) > limit {
            self.broken("rail", now, None, || format!("{count} incidents are worked on at once, limit {limit}"));
        }
    }

    /// An event that nobody sent tells of this node: what it opens is not of its own accord.
    pub fn forged(&mut self, node: NodeId) {
        self.storms.forged.insert(node);
    }

    /// What was dead long before the first sweep opens no incident of its own accord.
    pub(super) fn never_old_news(&mut self, account: &Account, saved: &Incident, now: Timestamp) {
        let swept = saved.symptoms.iter().all(|symptom| matches!(symptom.kind, SignalKind::Swept { .. }));
        let Some(baseline) = account.ledger.bulletin().baseline.as_ref().map(|baseline| baseline.at) else { return };
        // What had an incident before was known already; what people tagged may have been none of Defib's business.
        let known = |other: &Incident| other.node == saved.node && other.first_seen < saved.first_seen;
        if !swept
            || self.tags.get(&saved.node).is_some_and(|tags| tags.len() > 1)
            || self.storms.forged.contains(&saved.node)
            || saved.asked.is_some()
            || account.ledger.incidents().any(|other| known(other))
        {
            return;
        }
        // A node may have been ill for longer than AWS has shown it.
        let shown_since = account.world.shown_since(saved.node);
        if shown_since.is_some_and(|since| secs_between(since, baseline) > LONG_DEAD_SECS) {
            self.broken("rail", now, Some(saved.node), || format!("{} opened for what was dead long before", saved.id));
        }
    }

    /// Digests about one thing are a quarter of an hour apart, and repeats carry the id of before.
    pub(super) fn follow_digests(&mut self, account: &Account) {
        let new: Vec<_> = account.digests.iter().skip(self.storms.digests_seen).cloned().collect();
        self.storms.digests_seen = account.digests.len();
        for (published_at, digest) in new {
            let (thread, n) = (digest.id.thread(), digest.id.n);
            match self.storms.told.get(&thread) {
                Some((_, known)) if *known >= n => continue,
                // The end of a policy's trouble is told at once.
                Some((at, _)) if secs_between(*at, digest.at) < DIGESTS_APART_SECS && digest.policy.is_none() => {
                    self.broken("rail", published_at, None, || {
                        format!("{} came too soon after the one before", digest.id)
                    });
                }
                Some(_) | None => {}
            }
            self.storms.told.insert(thread, (digest.at, n));
        }
    }

    /// Whether a report has waited for its digest for so long that it must have been told.
    pub(super) fn is_late(item: &OutboxItem, now: Timestamp) -> bool {
        secs_between(item.report.at, now) > 2 * DIGESTS_APART_SECS
    }

    /// Whether a digest told how an incident ended.
    pub(super) fn told_in_a_digest(account: &Account, incident: &Incident) -> bool {
        let outcome = incident.ending().map(crate::incident::Ending::outcome);
        let mut rows = account.digests.iter().flat_map(|(_, digest)| digest.rows.iter());
        rows.any(|row| row.incident == Some(incident.id) && row.outcome == outcome)
    }
}
