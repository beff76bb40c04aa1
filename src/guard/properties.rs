//! Budgets and rates against a plain count.

use jiff::Timestamp;
use proptest::prelude::*;

use super::budget::{check, check_rate};
use super::{Refusal, Scope};
use crate::policy::Budgets;
use crate::ports::{Claim, RateClaim};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_share_of_a_group_is_its_percent_rounded_down_and_never_none(
        size in 0_u32..2_000, group_percent in 0_u32..=100, group_at_once in 1_u32..40,
    ) {
        let limit = Budgets { group_at_once, group_percent, ..Budgets::default() }.at_once(size);
        prop_assert!(limit >= 1 && limit <= group_at_once, "{}", limit);
        prop_assert!(limit == 1 || limit * 100 <= size * group_percent, "{} of {}", limit, size);
        prop_assert!(size >= 10 || limit == 1, "{} of a small group", limit);
        // One more would be too many, whichever of the limits holds.
        prop_assert!(limit == group_at_once || (limit + 1) * 100 > size * group_percent || size < 10);
    }

    #[test]
    fn one_more_fits_below_the_limit_and_nowhere_else(held in 0_u32..12, limit in 0_u32..12) {
        let answer = check(held, &Claim { scope: Scope::Account, limit, floor: None });
        let fits = held.checked_add(1).is_some_and(|then| then <= limit);
        let refusal = Refusal::Budget { scope: Scope::Account, held, limit };
        prop_assert_eq!(answer, if fits { Ok(()) } else { Err(refusal) });
    }

    #[test]
    fn a_rate_is_what_a_plain_count_says(
        earlier in prop::collection::vec(0_i64..400, 0..12), limit in 1_u32..6, window_secs in 1_i64..300, now in 400_i64..700,
    ) {
        let claim = RateClaim { scope: Scope::Account, window_secs, limit };
        let stamps: Vec<Timestamp> = earlier.iter().copied().map(at).collect();
        // A stamp counts until the window has passed since, and not at that very second.
        let counted = |moment: i64| earlier.iter().filter(|&&stamp| moment < stamp + window_secs).count();
        let limit_of = usize::try_from(limit).unwrap();
        match check_rate(&stamps, &claim, at(now)) {
            Ok(()) => prop_assert!(counted(now) < limit_of),
            Err(Refusal::Rate { count, free_at, .. }) => {
                prop_assert_eq!(usize::try_from(count).unwrap(), counted(now));
                prop_assert!(counted(now) >= limit_of);
                // It names the first second at which one more fits.
                let free = free_at.as_second();
                prop_assert!(free > now && counted(free) < limit_of && counted(free - 1) >= limit_of, "{}", free);
                prop_assert_eq!(check_rate(&stamps, &claim, free_at), Ok(()));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
