//! The circuit breaker: when many nodes fail at once, or remedies do not help, nothing disruptive is begun.
//!
//! It stands in the ledger and changes in the ledger's transactions: whoever takes the permits of a disruptive remedy asks it
//! in the same one, so that no two invocations can see it differently. It opens, rests for its cool-down, lets one canary
//! through, and closes when the canary was helped or when nobody needs one.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Refusal, Scope};
use crate::incident::{IncidentId, Remedy};
use crate::node::NodeId;
use crate::policy::Policy;
use crate::time::{after, secs_between};

/// Results of one kind of remedy in one scope that are looked at: the latest ten.
const RESULTS_KEPT: usize = 10;
/// With fewer results than this nothing can be said about a remedy.
const RESULTS_LEAST: usize = 4;
/// A half-open breaker that nobody asked for so long is closed, in seconds: there is nothing left to try it on.
const QUIET_SECS: i64 = 30 * 60;
/// A canary gets so long, in seconds; its own incident ends sooner, unless it rests with something of ours in effect.
const CANARY_SECS: i64 = 2 * 3_600;
/// Nodes that are remembered at most; far more than any limit that a policy can set.
const TROUBLED_MAX: usize = 2_000;

/// When the breaker opens and how long it rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BreakerLimits {
    /// Distinct nodes in the window that open it, at least …
    pub nodes: u32,
    /// … and at least this share of the fleet, in percent.
    pub percent: u32,
    /// The window, in seconds.
    pub window_secs: i64,
    /// How long it stays open before a canary may try, in seconds.
    pub cool_down_secs: i64,
}

impl BreakerLimits {
    /// What a policy says.
    #[must_use]
    pub fn of(policy: &Policy) -> Self {
        let breaker = &policy.breaker;
        Self {
            nodes: breaker.nodes,
            percent: breaker.percent,
            window_secs: breaker.window_secs,
            cool_down_secs: breaker.cool_down_secs,
        }
    }

    /// Distinct nodes that open it in a fleet of this size: the larger of number and share.
    #[must_use]
    pub fn nodes_in(&self, fleet: u32) -> u32 {
        let share = fleet.saturating_mul(self.percent).div_ceil(100);
        self.nodes.max(share).max(1)
    }
}

/// What the breaker remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breaker {
    /// Nodes in trouble within the window, each once, the latest last.
    pub troubled: Vec<(NodeId, Timestamp)>,
    /// How disruptive remedies ended, the latest last.
    pub results: Vec<Tried>,
    /// Why it is open; none: it is closed.
    pub trips: Vec<Trip>,
}

/// How a disruptive remedy ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tried {
    /// In which incident.
    pub incident: IncidentId,
    /// Where it counts: the node's cluster or Auto Scaling group, else the account.
    pub scope: Scope,
    /// The remedy.
    pub remedy: Remedy,
    /// Whether its proof was seen.
    pub helped: bool,
}

/// Why the breaker is open, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trip {
    /// Why.
    pub why: TripReason,
    /// Since when.
    pub since: Timestamp,
    /// When a canary may try.
    pub until: Timestamp,
    /// The incident that tries, and since when.
    pub canary: Option<(IncidentId, Timestamp)>,
}

/// Why the breaker opened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason", rename_all_fields = "kebab-case")]
pub enum TripReason {
    /// Many nodes in trouble at once: no disruptive remedy anywhere.
    Nodes {
        /// How many.
        count: u32,
        /// So many open it.
        limit: u32,
        /// Within this window.
        window_secs: i64,
    },
    /// A remedy did not help often enough: this remedy not in this scope.
    Results {
        /// Where.
        scope: Scope,
        /// Which remedy.
        remedy: Remedy,
        /// How often it helped …
        helped: u32,
        /// … of so many.
        of: u32,
    },
}

impl std::fmt::Display for TripReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nodes { count, limit, window_secs } => {
                write!(f, "{count} nodes in trouble within {}, limit {limit}", crate::time::spoken(*window_secs))
            }
            Self::Results { scope, remedy, helped, of } => {
                write!(f, "{remedy} in {scope} helped in {helped} of the last {of}")
            }
        }
    }
}

impl TripReason {
    /// Whether it keeps this remedy in this scope from being begun.
    fn covers(&self, tried: Remedy, at: &Scope) -> bool {
        match self {
            Self::Nodes { .. } => true,
            Self::Results { scope, remedy, .. } => *remedy == tried && scope == at,
        }
    }

    /// Whether it concerns the whole account.
    #[must_use]
    pub fn is_storm(&self) -> bool {
        match self {
            Self::Nodes { .. } => true,
            Self::Results { .. } => false,
        }
    }
}

impl Breaker {
    /// Whether many nodes in trouble hold it open.
    #[must_use]
    pub fn in_storm(&self) -> bool {
        self.trips.iter().any(|trip| trip.why.is_storm())
    }

    /// A node is in trouble beyond a blip. Opens when too many are, and stays open for the cool-down after the last of them.
    pub fn troubled(&mut self, node: NodeId, now: Timestamp, limits: &BreakerLimits, fleet: u32) {
        planted!(NoBreaker => return);
        self.forget(now, limits.window_secs);
        self.troubled.retain(|(known, _)| *known != node);
        if self.troubled.len() >= TROUBLED_MAX {
            self.troubled.remove(0);
        }
        self.troubled.push((node, now));
        let count = u32::try_from(self.troubled.len()).unwrap_or(u32::MAX);
        let limit = limits.nodes_in(fleet);
        if count < limit {
            return;
        }
        let until = after(now, limits.cool_down_secs);
        let why = TripReason::Nodes { count, limit, window_secs: limits.window_secs };
        match self.trips.iter_mut().find(|trip| trip.why.is_storm()) {
            Some(trip) => {
                // A canary that is under way keeps its place; but it began before this, and does not decide any more.
                trip.until = trip.until.max(until);
                if let TripReason::Nodes { count: most, .. } = &mut trip.why {
                    *most = count.max(*most);
                }
            }
            None => self.trips.push(Trip { why, since: now, until, canary: None }),
        }
    }

    /// A disruptive remedy ended. The canary decides about its trips; the others count.
    pub fn tried(&mut self, tried: &Tried, now: Timestamp, limits: &BreakerLimits) {
        planted!(NoBreaker => return);
        let mut decides = false;
        for trip in &mut self.trips {
            let Some((_, since)) = trip.canary.filter(|(incident, _)| *incident == tried.incident) else { continue };
            #[cfg(feature = "plants")]
            let tried = &Tried {
                helped: tried.helped || crate::plants::on(crate::plants::Plant::FailedCanaryCloses),
                ..tried.clone()
            };
            if !tried.helped {
                (trip.canary, trip.until) = (None, trip.until.max(after(now, limits.cool_down_secs)));
            } else if since < trip.until {
                trip.canary = None;
            } else {
                decides = true;
            }
        }
        if decides {
            self.trips.retain(|trip| trip.canary.is_none_or(|(incident, _)| incident != tried.incident));
            // What led to the trip is over; it is not to be counted again.
            self.results.retain(|known| known.remedy != tried.remedy || known.scope != tried.scope);
        }
        self.results.push(tried.clone());
        let same = |known: &&Tried| known.remedy == tried.remedy && known.scope == tried.scope;
        let count = self.results.iter().filter(same).count();
        if count > RESULTS_KEPT
            && let Some(oldest) = self.results.iter().position(|known| same(&known))
        {
            self.results.remove(oldest);
        }
        let (of, helped) = self.results.iter().filter(same).fold((0_usize, 0_usize), |(of, helped), known| {
            (of.saturating_add(1), helped.saturating_add(usize::from(known.helped)))
        });
        let covered = self.trips.iter().any(|trip| match &trip.why {
            TripReason::Results { scope, remedy, .. } => *remedy == tried.remedy && *scope == tried.scope,
            TripReason::Nodes { .. } => false,
        });
        if of >= RESULTS_LEAST && helped.saturating_mul(2) < of && !covered {
            let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let (scope, remedy) = (tried.scope.clone(), tried.remedy);
            let why = TripReason::Results { scope, remedy, helped: number(helped), of: number(of) };
            self.trips.push(Trip { why, since: now, until: after(now, limits.cool_down_secs), canary: None });
        }
    }

    /// Whether this remedy may begin here.
    ///
    /// # Errors
    /// The refusal: why the breaker is open and until when, or who its canary is.
    pub fn check(&self, remedy: Remedy, scope: &Scope, holder: IncidentId, now: Timestamp) -> Result<(), Refusal> {
        planted!(IgnoreBreaker => return Ok(()));
        for trip in self.trips.iter().filter(|trip| trip.why.covers(remedy, scope)) {
            if now < trip.until {
                return Err(Refusal::BreakerOpen { why: trip.why.clone(), until: trip.until });
            }
            planted!(ManyCanaries => continue);
            match trip.canary {
                Some((canary, since)) if canary != holder && secs_between(since, now) < CANARY_SECS => {
                    return Err(Refusal::Canary { node: canary.node() });
                }
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Whoever passes a half-open breaker is its canary.
    pub fn take(&mut self, remedy: Remedy, scope: &Scope, holder: IncidentId, now: Timestamp) {
        for trip in self.trips.iter_mut().filter(|trip| trip.why.covers(remedy, scope)) {
            if trip.canary.is_none_or(|(canary, since)| canary != holder || since < trip.until) {
                trip.canary = Some((holder, now));
            }
        }
    }

    /// A canary that gave its permits back without having tried is none any more.
    pub fn freed(&mut self, holder: IncidentId) {
        for trip in &mut self.trips {
            if trip.canary.is_some_and(|(canary, _)| canary == holder) {
                trip.canary = None;
            }
        }
    }

    /// Closes what nobody needs any more, and forgets what is too old.
    pub fn tidy(&mut self, now: Timestamp, limits: &BreakerLimits) {
        self.forget(now, limits.window_secs);
        planted!(BreakerNeverCloses => return);
        self.trips.retain(|trip| {
            let tried = trip.canary.is_some_and(|(_, since)| secs_between(since, now) < CANARY_SECS);
            tried || secs_between(trip.until, now) < QUIET_SECS
        });
    }

    fn forget(&mut self, now: Timestamp, window_secs: i64) {
        self.troubled.retain(|(_, at)| secs_between(*at, now) < window_secs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BreakerLimits = BreakerLimits { nodes: 3, percent: 5, window_secs: 300, cool_down_secs: 600 };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_176_000 + second).unwrap()
    }

    fn incident(number: u128) -> IncidentId {
        IncidentId::new(at(0), NodeId::numbered(number))
    }

    fn stormy(nodes: u128) -> Breaker {
        let mut breaker = Breaker::default();
        for number in 0..nodes {
            breaker.troubled(NodeId::numbered(number), at(10), &LIMITS, 20);
        }
        breaker
    }

    fn tried(number: u128, helped: bool) -> Tried {
        Tried { incident: incident(number), scope: Scope::Group("blue".into()), remedy: Remedy::Reboot, helped }
    }

    #[test]
    fn the_larger_of_number_and_share_opens_it() {
        let limits = BreakerLimits { nodes: 10, percent: 5, ..LIMITS };
        assert_eq!([0, 100, 200, 201, 10_000].map(|fleet| limits.nodes_in(fleet)), [10, 10, 10, 11, 500]);
    }

    #[test]
    fn distinct_nodes_count_and_only_within_the_window() {
        let mut breaker = stormy(2);
        breaker.troubled(NodeId::numbered(1), at(20), &LIMITS, 20);
        assert!(!breaker.in_storm(), "the same node twice is one");
        breaker.troubled(NodeId::numbered(2), at(310), &LIMITS, 20);
        assert!(!breaker.in_storm(), "the first has left the window");
        breaker.troubled(NodeId::numbered(3), at(311), &LIMITS, 20);
        assert!(breaker.in_storm());
    }

    #[test]
    fn an_open_breaker_refuses_with_its_numbers_and_then_takes_one_canary() {
        let mut breaker = stormy(3);
        let scope = Scope::Account;
        let refusal = breaker.check(Remedy::Reboot, &scope, incident(1), at(609)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the breaker is open until 2026-11-20 12:10:10 UTC: 3 nodes in trouble within 5m00s, limit 3"
        );
        assert_eq!(breaker.check(Remedy::Reboot, &scope, incident(1), at(610)), Ok(()));
        breaker.take(Remedy::Reboot, &scope, incident(1), at(610));
        let refusal = breaker.check(Remedy::Reboot, &scope, incident(2), at(611)).unwrap_err();
        assert_eq!(refusal.to_string(), format!("the breaker is half-open and {} is its canary", NodeId::numbered(1)));
        assert_eq!(breaker.check(Remedy::Reboot, &scope, incident(1), at(611)), Ok(()), "its next step");
    }

    #[test]
    fn the_canary_decides() {
        let scope = Scope::Group("blue".into());
        let mut breaker = stormy(3);
        breaker.take(Remedy::Reboot, &scope, incident(1), at(610));
        let mut failed = breaker.clone();
        failed.tried(&tried(1, false), at(900), &LIMITS);
        assert!(failed.check(Remedy::Reboot, &scope, incident(2), at(1_499)).is_err());
        assert!(failed.check(Remedy::Reboot, &scope, incident(2), at(1_500)).is_ok());
        breaker.tried(&tried(1, true), at(900), &LIMITS);
        assert!(breaker.trips.is_empty());
    }

    #[test]
    fn a_canary_that_did_not_try_makes_room() {
        let mut breaker = stormy(3);
        breaker.take(Remedy::Reboot, &Scope::Account, incident(1), at(610));
        breaker.freed(incident(1));
        assert_eq!(breaker.check(Remedy::Reboot, &Scope::Account, incident(2), at(700)), Ok(()));
    }

    #[test]
    fn trouble_in_the_middle_of_it_keeps_it_open_for_longer() {
        let mut breaker = stormy(3);
        breaker.troubled(NodeId::numbered(9), at(100), &LIMITS, 20);
        assert!(breaker.check(Remedy::Reboot, &Scope::Account, incident(1), at(650)).is_err());
        assert_eq!(breaker.trips.len(), 1);
    }

    #[test]
    fn the_canary_of_before_does_not_close_what_opened_anew() {
        let mut breaker = stormy(10);
        breaker.take(Remedy::Reboot, &Scope::Account, incident(1), at(1_000));
        let limits = BreakerLimits::of(&Policy::default());
        for number in 20..30 {
            breaker.troubled(NodeId::numbered(number), at(1_010), &limits, 10);
        }
        let until = breaker.trips[0].until;
        let canary = Err(Refusal::Canary { node: NodeId::numbered(1) });
        assert_eq!(breaker.check(Remedy::Reboot, &Scope::Account, incident(2), until), canary, "one at a time");
        breaker.tried(&tried(1, true), at(1_020), &limits);
        assert!(breaker.check(Remedy::Reboot, &Scope::Account, incident(2), at(1_030)).is_err());
        assert_eq!(breaker.check(Remedy::Reboot, &Scope::Account, incident(2), until), Ok(()));
        breaker.take(Remedy::Reboot, &Scope::Account, incident(2), until);
        breaker.tried(&tried(2, true), after(until, 60), &limits);
        assert!(breaker.trips.is_empty());
    }

    #[test]
    fn the_canary_of_before_may_be_the_one_of_now() {
        let mut breaker = stormy(3);
        breaker.take(Remedy::Reboot, &Scope::Account, incident(1), at(610));
        breaker.troubled(NodeId::numbered(9), at(620), &LIMITS, 20);
        breaker.troubled(NodeId::numbered(8), at(620), &LIMITS, 20);
        breaker.troubled(NodeId::numbered(7), at(620), &LIMITS, 20);
        breaker.take(Remedy::StopStart, &Scope::Account, incident(1), at(1_220));
        breaker.tried(&tried(1, true), at(1_300), &LIMITS);
        assert!(breaker.trips.is_empty());
    }

    #[test]
    fn a_remedy_that_rarely_helps_is_stopped_where_it_does_not_help() {
        let (blue, green) = (Scope::Group("blue".into()), Scope::Group("green".into()));
        let mut breaker = Breaker::default();
        for (number, helped) in [(1, true), (2, false), (3, false)] {
            breaker.tried(&tried(number, helped), at(0), &LIMITS);
        }
        assert!(breaker.trips.is_empty(), "three say nothing");
        breaker.tried(&tried(4, true), at(0), &LIMITS);
        assert!(breaker.trips.is_empty(), "half of them helped");
        breaker.tried(&tried(5, false), at(0), &LIMITS);
        let refusal = breaker.check(Remedy::Reboot, &blue, incident(6), at(10)).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the breaker is open until 2026-11-20 12:10:00 UTC: reboot in group blue helped in 2 of the last 5"
        );
        assert_eq!(breaker.check(Remedy::Replace, &blue, incident(6), at(10)), Ok(()), "another remedy");
        assert_eq!(breaker.check(Remedy::Reboot, &green, incident(6), at(10)), Ok(()), "another scope");
        breaker.take(Remedy::Reboot, &blue, incident(6), at(600));
        breaker.tried(&tried(6, true), at(700), &LIMITS);
        assert!(breaker.trips.is_empty());
        assert_eq!(breaker.results.len(), 1, "what came before the trip is not counted again");
    }

    #[test]
    fn only_the_last_ten_results_count() {
        let mut breaker = Breaker::default();
        for number in 0..12 {
            breaker.tried(&tried(number, true), at(0), &LIMITS);
        }
        assert_eq!(breaker.results.len(), RESULTS_KEPT);
        for number in 0..5 {
            breaker.tried(&tried(20 + number, false), at(0), &LIMITS);
        }
        assert!(breaker.trips.is_empty(), "five of ten helped");
        breaker.tried(&tried(30, false), at(0), &LIMITS);
        assert_eq!(breaker.trips.len(), 1);
    }

    #[test]
    fn each_remedy_has_results_of_its_own_in_each_scope() {
        let (blue, green) = (Scope::Group("blue".into()), Scope::Group("green".into()));
        let result =
            |number, remedy, scope: &Scope, helped| Tried { remedy, scope: scope.clone(), ..tried(number, helped) };
        let mut breaker = Breaker::default();
        for number in 0..10 {
            for (remedy, scope) in [(Remedy::StopStart, &blue), (Remedy::Reboot, &green), (Remedy::StopStart, &green)] {
                breaker.tried(&result(number, remedy, scope, true), at(0), &LIMITS);
            }
        }
        assert_eq!(breaker.results.len(), 30, "ten of each are kept");
        for number in 20..25 {
            breaker.tried(&tried(number, false), at(0), &LIMITS);
        }
        assert_eq!(breaker.trips.len(), 1, "a fifth failure opens nothing twice");
        for (remedy, scope) in [(Remedy::StopStart, &blue), (Remedy::Reboot, &green)] {
            for number in 30..40 {
                breaker.tried(&result(number, remedy, scope, false), at(0), &LIMITS);
            }
        }
        assert_eq!(breaker.trips.len(), 3, "it may be open for another remedy here, and for this one elsewhere, too");
        breaker.take(Remedy::Reboot, &blue, incident(50), at(600));
        breaker.tried(&tried(50, true), at(700), &LIMITS);
        assert_eq!(breaker.trips.len(), 2);
        assert_eq!(breaker.results.len(), 31, "what the others' trips rest on stays");
    }

    #[test]
    fn who_comes_after_a_canary_that_never_ended_is_the_canary() {
        let mut breaker = stormy(3);
        breaker.take(Remedy::Reboot, &Scope::Account, incident(1), at(610));
        breaker.take(Remedy::StopStart, &Scope::Account, incident(1), at(700));
        assert_eq!(breaker.trips[0].canary, Some((incident(1), at(610))), "its next remedy gives it no more time");
        breaker.take(Remedy::Reboot, &Scope::Account, incident(2), at(610 + CANARY_SECS));
        breaker.tried(&tried(2, true), at(700 + CANARY_SECS), &LIMITS);
        assert!(breaker.trips.is_empty());
    }

    #[test]
    fn it_closes_when_nobody_needs_it() {
        let mut breaker = stormy(3);
        breaker.tidy(at(610 + QUIET_SECS - 1), &LIMITS);
        assert_eq!(breaker.trips.len(), 1);
        breaker.tidy(at(610 + QUIET_SECS), &LIMITS);
        assert!(breaker.trips.is_empty() && breaker.troubled.is_empty());
    }

    #[test]
    fn a_canary_that_never_ends_does_not_hold_it_for_ever() {
        let mut breaker = stormy(3);
        breaker.take(Remedy::Reboot, &Scope::Account, incident(1), at(610));
        breaker.tidy(at(610 + CANARY_SECS - 1), &LIMITS);
        assert_eq!(breaker.trips.len(), 1);
        assert_eq!(breaker.check(Remedy::Reboot, &Scope::Account, incident(2), at(610 + CANARY_SECS)), Ok(()));
        breaker.tidy(at(610 + CANARY_SECS), &LIMITS);
        assert!(breaker.trips.is_empty());
    }
}
