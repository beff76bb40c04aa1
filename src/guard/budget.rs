//! How many disruptive remedies at once, and how many in a while.
//!
//! The claims are worked out here; the ledger grants all of them or none, in the transaction that saves the phase, so two
//! invocations can never share one slot.

use jiff::Timestamp;

use super::{Refusal, Scope};
use crate::incident::Incident;
use crate::observe::Observation;
use crate::policy::Policy;
use crate::ports::{Claim, Claims, RateClaim};
use crate::time::{after, secs_between};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What a disruptive remedy on this node must be granted.
#[must_use]
pub fn claims(incident: &Incident, seen: &Observation, policy: &Policy) -> Claims {
    let budgets = &policy.budgets;
    let node = Scope::Node(incident.node);
    let mut at_once =
        vec![Claim { scope: node.clone(), limit: 1 }, Claim { scope: Scope::Account, limit: budgets.account_at_once }];
    // A group that could not be read is taken for a small one: the limit is one.
    if let Some(group) = seen.group.known() {
        at_once.push(Claim { scope: Scope::Group(group.name.clone()), limit: budgets.at_once(group.size) });
        if let Some(zone) = &incident.place.zone {
            at_once.push(Claim { scope: Scope::Zone(zone.clone()), limit: budgets.at_once(group.zone_size) });
        }
    } else if let Some(zone) = &incident.place.zone {
        at_once.push(Claim { scope: Scope::Zone(zone.clone()), limit: 1 });
    }
    let rates = vec![
        RateClaim { scope: node.clone(), window_secs: HOUR, limit: budgets.node_an_hour },
        RateClaim { scope: node, window_secs: DAY, limit: budgets.node_a_day },
        RateClaim { scope: Scope::Account, window_secs: HOUR, limit: budgets.account_an_hour },
        RateClaim { scope: Scope::Account, window_secs: DAY, limit: budgets.account_a_day },
    ];
    let chosen_at = incident.attempts.last().map_or(incident.first_seen, |attempt| attempt.at);
    Claims { at_once, rates, chosen_at }
}

/// Whether one more holder fits.
///
/// # Errors
/// The refusal with both numbers.
pub fn check(held: u32, claim: &Claim) -> Result<(), Refusal> {
    if held < claim.limit {
        Ok(())
    } else {
        Err(Refusal::Budget { scope: claim.scope.clone(), held, limit: claim.limit })
    }
}

/// Whether one more fits into the window, given when the earlier ones were.
///
/// # Errors
/// The refusal with its numbers, and when the oldest of those that count leaves the window.
pub fn check_rate(earlier: &[Timestamp], claim: &RateClaim, now: Timestamp) -> Result<(), Refusal> {
    let inside = || earlier.iter().copied().filter(|&at| secs_between(at, now) < claim.window_secs);
    let count = u32::try_from(inside().count()).unwrap_or(u32::MAX);
    if count < claim.limit {
        return Ok(());
    }
    // With `count` inside and `limit` allowed, this many must leave before one more fits.
    let must_leave = usize::try_from(count.saturating_sub(claim.limit)).unwrap_or(0);
    let mut stamps: Vec<Timestamp> = inside().collect();
    stamps.sort_unstable();
    let leaves = stamps.get(must_leave).copied().unwrap_or(now);
    Err(Refusal::Rate {
        scope: claim.scope.clone(),
        count,
        limit: claim.limit,
        window_secs: claim.window_secs,
        free_at: after(leaves, claim.window_secs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Budgets;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn small_groups_have_one_at_a_time_and_large_ones_three_at_most() {
        let budgets = Budgets::default();
        assert_eq!([1, 9, 10, 19, 20, 30, 500].map(|size| budgets.at_once(size)), [1, 1, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn a_remedy_claims_its_node_its_group_its_zone_and_the_account_for_an_hour_and_a_day() {
        use crate::observe::samples::{home, noon, seen, swept_ssm};
        let look = seen(noon()).in_cluster();
        let symptom = crate::incident::Symptom { at: noon(), kind: swept_ssm() };
        let incident = Incident::open(&home(), &look, symptom, noon(), noon());
        let policy = Policy::default();
        let node = Scope::Node(incident.node);
        let zone = Scope::Zone("us-east-1a".parse().unwrap());
        let told = |claims: &Claims| {
            let at_once: Vec<_> = claims.at_once.iter().map(|claim| (claim.scope.clone(), claim.limit)).collect();
            let rates: Vec<_> =
                claims.rates.iter().map(|rate| (rate.scope.clone(), rate.window_secs, rate.limit)).collect();
            (at_once, rates)
        };
        let (at_once, rates) = told(&claims(&incident, &look, &policy));
        assert_eq!(
            at_once,
            [(node.clone(), 1), (Scope::Account, 5), (Scope::Group("blue".into()), 1), (zone.clone(), 1)]
        );
        let account = [(Scope::Account, 3_600, 20), (Scope::Account, 86_400, 50)];
        assert_eq!(rates, [&[(node.clone(), 3_600, 1), (node.clone(), 86_400, 3)], account.as_slice()].concat());
        let unread = look.clone().with(|look| look.group = crate::observe::Fact::Absent);
        assert_eq!(told(&claims(&incident, &unread, &policy)).0, [(node, 1), (Scope::Account, 5), (zone, 1)]);
    }

    #[test]
    fn a_full_budget_refuses_with_its_numbers() {
        let claim = Claim { scope: Scope::Group("blue".into()), limit: 2 };
        assert_eq!(check(1, &claim), Ok(()));
        assert_eq!(check(2, &claim).unwrap_err().to_string(), "2 in repair in group blue, limit 2");
    }

    #[test]
    fn a_rate_counts_only_what_is_inside_its_window_and_says_when_it_frees() {
        let claim = RateClaim { scope: Scope::Account, window_secs: 3_600, limit: 2 };
        assert_eq!(check_rate(&[at(0), at(3_000)], &claim, at(3_600)), Ok(()));
        let refusal = check_rate(&[at(100), at(3_000)], &claim, at(3_600)).unwrap_err();
        assert!(matches!(refusal, Refusal::Rate { count: 2, limit: 2, free_at, .. } if free_at == at(3_700)));
    }

    #[test]
    fn when_a_limit_was_lowered_the_rate_waits_until_enough_have_left() {
        let claim = RateClaim { scope: Scope::Account, window_secs: 3_600, limit: 1 };
        let refusal = check_rate(&[at(300), at(100), at(200)], &claim, at(400)).unwrap_err();
        assert!(matches!(refusal, Refusal::Rate { free_at, .. } if free_at == at(3_900)));
    }
}
