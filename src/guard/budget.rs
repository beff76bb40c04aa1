//! How many disruptive remedies at once, and how many in a while.
//!
//! The claims are worked out here; the ledger grants all of them or none, in the transaction that saves the phase, so two
//! invocations can never share one slot.

use jiff::Timestamp;

use super::{Refusal, Scope};
use crate::incident::{Incident, Remedy};
use crate::observe::{Asg, Observation};
use crate::policy::{Budgets, Policy};
use crate::ports::{Claim, Claims, Floor, RateClaim};
use crate::time::{after, secs_between};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What a disruptive remedy on this node must be granted.
#[must_use]
pub fn claims(incident: &Incident, seen: &Observation, policy: &Policy) -> Claims {
    let budgets = &policy.budgets;
    let node = Scope::Node(incident.node);
    let mut at_once =
        vec![Claim::new(node.clone(), 1, None), Claim::new(Scope::Account, budgets.account_at_once, None)];
    // A group that could not be read is taken for a small one: the limit is one.
    if let Some(group) = seen.group.known() {
        // Container instances without an Auto Scaling group: what is registered is all the capacity there is.
        let alone = seen.asg.known().is_none() && seen.ecs.known().is_some();
        let floor = alone.then(|| Floor::new(group.size, 0));
        at_once.push(Claim::new(Scope::Group(group.name.clone()), budgets.at_once(group.size), floor));
        if let Some(zone) = &incident.place.zone {
            at_once.push(Claim::new(Scope::Zone(zone.clone()), budgets.at_once(group.zone_size), None));
        }
    } else if let Some(zone) = &incident.place.zone {
        at_once.push(Claim::new(Scope::Zone(zone.clone()), 1, None));
    }
    at_once.extend(seen.asg.known().map(|asg| of_scaling_group(asg, budgets)));
    let rates = vec![
        RateClaim { scope: node.clone(), window_secs: HOUR, limit: budgets.node_an_hour },
        RateClaim { scope: node, window_secs: DAY, limit: budgets.node_a_day },
        RateClaim { scope: Scope::Account, window_secs: HOUR, limit: budgets.account_an_hour },
        RateClaim { scope: Scope::Account, window_secs: DAY, limit: budgets.account_a_day },
    ];
    // What was chosen before this, drained for, and never sent, was no remedy.
    let chosen_at = incident.unsent_since().unwrap_or(incident.first_seen);
    let remedy = incident.attempts.last().map_or(Remedy::Reboot, |attempt| attempt.remedy);
    Claims { at_once, rates, chosen_at, remedy, group: incident.place.scope() }
}

/// What an Auto Scaling group can spare: what there should be, less what is missing already.
fn of_scaling_group(asg: &Asg, budgets: &Budgets) -> Claim {
    // Standby lowers the desired capacity, and its members come back.
    let of = asg.desired.saturating_add(asg.standby);
    let floor = Floor::new(of, of.saturating_sub(asg.existing));
    Claim::new(Scope::ScalingGroup(asg.name.clone()), budgets.at_once(of), Some(floor))
}

impl Claim {
    /// A claim to one of so many places, or fewer where the floor allows fewer.
    fn new(scope: Scope, limit: u32, floor: Option<Floor>) -> Self {
        planted!(NoCapacityFloor => return Self { scope, limit, floor: None });
        let floor = floor.filter(|floor| floor.room() < limit);
        Self { scope, limit: floor.map_or(limit, Floor::room), floor }
    }
}

impl Floor {
    /// Nine tenths of so many nodes stay; all but one in groups under ten (S11).
    #[must_use]
    pub fn new(of: u32, missing: u32) -> Self {
        let out = if of < 10 { 1 } else { of / 10 };
        Self { of, stay: of.saturating_sub(out), missing }
    }

    /// How many may be out for repair at once.
    #[must_use]
    pub fn room(self) -> u32 {
        self.of.saturating_sub(self.stay).saturating_sub(self.missing)
    }
}

/// Whether one more holder fits.
///
/// # Errors
/// The refusal with both numbers.
pub fn check(held: u32, claim: &Claim) -> Result<(), Refusal> {
    if held < claim.limit {
        return Ok(());
    }
    let scope = claim.scope.clone();
    Err(match claim.floor {
        Some(Floor { of, stay, missing }) => Refusal::CapacityFloor { scope, of, stay, held, missing },
        None => Refusal::Budget { scope, held, limit: claim.limit },
    })
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
    use crate::incident::Symptom;
    use crate::observe::samples::{Seen, home, noon, seen, swept_ssm};

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
    fn what_was_drained_for_and_never_sent_is_no_remedy() {
        use crate::incident::{Attempt, AttemptResult, Remedy, Symptom};
        use crate::observe::samples::{home, seen, swept_ssm};
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        let mut incident = Incident::open(&home(), &seen(noon()), symptom, noon(), noon());
        let at = |secs| crate::time::after(noon(), secs);
        let attempt =
            |remedy, secs, acted_at| Attempt { remedy, at: at(secs), acted_at, result: AttemptResult::NotSent };
        let chosen_at = |incident: &Incident| claims(incident, &seen(noon()), &Policy::default()).chosen_at;
        incident.attempts.push(attempt(Remedy::Reboot, 100, None));
        incident.attempts.push(attempt(Remedy::FreeDisk, 200, Some(at(200))));
        incident.attempts.push(attempt(Remedy::Reboot, 300, None));
        assert_eq!((chosen_at(&incident), incident.unsent_since()), (at(100), Some(at(100))));
        incident.attempts.push(attempt(Remedy::Reboot, 400, Some(at(400))));
        assert_eq!((chosen_at(&incident), incident.unsent_since()), (noon(), None), "sent: it counts");
    }

    #[test]
    fn a_full_budget_refuses_with_its_numbers() {
        let claim = Claim::new(Scope::Group("blue".into()), 2, None);
        assert_eq!(check(1, &claim), Ok(()));
        assert_eq!(check(2, &claim).unwrap_err().to_string(), "2 in repair in group blue, limit 2");
    }

    fn claimed(seen: &Seen, policy: &Policy) -> Vec<Claim> {
        let symptom = Symptom { at: noon(), kind: swept_ssm() };
        let incident = Incident::open(&home(), seen, symptom, noon(), noon());
        claims(&incident, seen, policy).at_once
    }

    fn of_group(desired: u32, standby: u32, existing: u32) -> Claim {
        let seen = seen(noon()).in_cluster().with_asg(|asg| {
            (asg.desired, asg.standby, asg.existing) = (desired, standby, existing);
        });
        let wide = Budgets { group_at_once: 100, group_percent: 50, ..Budgets::default() };
        let claims = claimed(&seen, &Policy { budgets: wide, ..Policy::default() });
        claims.into_iter().find(|claim| matches!(claim.scope, Scope::ScalingGroup(_))).unwrap()
    }

    #[test]
    fn nine_tenths_of_a_group_stay_whatever_the_budget() {
        assert_eq!([10, 19, 20, 45].map(|desired| of_group(desired, 0, desired).limit), [1, 1, 2, 4]);
        let refusal = check(1, &of_group(10, 0, 10)).unwrap_err().to_string();
        let words = "capacity floor: 9 of 10 nodes of Auto Scaling group blue-asg must stay; 1 in repair, 0 missing";
        assert_eq!(refusal, words);
    }

    #[test]
    fn a_small_group_can_spare_one_and_a_group_that_lacks_one_can_spare_none() {
        assert_eq!([1, 2, 9].map(|desired| of_group(desired, 0, desired).limit), [1, 1, 1]);
        assert_eq!([2, 9, 10].map(|desired| of_group(desired, 0, desired - 1).limit), [0, 0, 0]);
        assert_eq!((of_group(20, 0, 19).limit, of_group(20, 0, 17).limit), (1, 0));
        let refusal = check(0, &of_group(2, 0, 1)).unwrap_err().to_string();
        let words = "capacity floor: 1 of 2 nodes of Auto Scaling group blue-asg must stay; 0 in repair, 1 missing";
        assert_eq!(refusal, words);
    }

    #[test]
    fn a_member_in_standby_still_belongs_to_what_there_should_be() {
        assert_eq!((of_group(1, 1, 2).limit, of_group(9, 1, 10).limit), (1, 1));
        assert_eq!(of_group(19, 1, 20).limit, 2);
    }

    #[test]
    fn where_the_budget_is_lower_it_is_the_budget_that_refuses() {
        let blue = seen(noon()).in_cluster().in_group();
        let claims = claimed(&blue, &Policy::default());
        assert!(claims.iter().all(|claim| claim.floor.is_none() && claim.limit <= 5), "{claims:?}");
        assert_eq!(claims.len(), 5);
    }

    #[test]
    fn a_cluster_without_an_auto_scaling_group_keeps_nine_tenths_of_what_is_registered() {
        let wide = Budgets { group_at_once: 100, group_percent: 50, ..Budgets::default() };
        let policy = Policy { budgets: wide, ..Policy::default() };
        let group = |seen: &Seen| {
            let claims = claimed(seen, &policy);
            claims.into_iter().find(|claim| matches!(claim.scope, Scope::Group(_))).unwrap().limit
        };
        // Twelve strong: half of them by the budget, one by the floor.
        assert_eq!(group(&seen(noon()).in_cluster()), 1);
        assert_eq!(group(&seen(noon()).in_cluster().in_group()), 6, "its Auto Scaling group is what counts");
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
