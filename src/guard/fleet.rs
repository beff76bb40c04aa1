//! What the nodes around a node say about a disruptive remedy on it: where many are unhealthy at once, the fault is hardly the
//! node's own, and cycling one after the other makes an outage worse.

use super::{Refusal, Sight};
use crate::observe::{Fact, Group, Observation};
use crate::policy::Policy;

/// The group, or why nobody knows it. None: the node is in no group that anybody counts.
fn group(seen: &Observation) -> Result<Option<&Group>, Refusal> {
    match &seen.group {
        Fact::Known(group) => Ok(Some(group)),
        Fact::Absent => Ok(None),
        Fact::Unknown(blind) => Err(Refusal::CannotSee { what: Sight::Group, blind: *blind }),
    }
}

/// Whether few enough of the group are unhealthy, this node included.
///
/// # Errors
/// The refusal, with the numbers of the group.
pub fn unhealthy_stop(seen: &Observation, policy: &Policy) -> Result<(), Refusal> {
    planted!(NoUnhealthyStop => return Ok(()));
    let Some(group) = group(seen)? else { return Ok(()) };
    match policy.budgets.unhealthy_at_most(group.size) {
        Some(limit) if group.unhealthy > limit => Err(Refusal::UnhealthyStop {
            group: group.name.clone(),
            unhealthy: group.unhealthy,
            size: group.size,
            limit,
        }),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Blind;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::policy::Budgets;

    fn text<T>(result: Result<T, Refusal>) -> String {
        result.err().map(|refusal| refusal.to_string()).unwrap_or_default()
    }

    fn blue(change: impl FnOnce(&mut Group)) -> Seen {
        seen(noon()).in_cluster().with(|seen| match &mut seen.group {
            Fact::Known(group) => change(group),
            Fact::Absent | Fact::Unknown(_) => panic!("no group to change"),
        })
    }

    fn stopped(size: u32, unhealthy: u32) -> String {
        let seen = blue(|group| (group.size, group.unhealthy) = (size, unhealthy));
        text(unhealthy_stop(&seen, &Policy::default()))
    }

    #[test]
    fn a_group_of_which_more_than_a_fifth_is_unhealthy_is_left_alone() {
        assert_eq!(stopped(10, 2), "");
        assert_eq!(stopped(10, 3), "3 of 10 nodes of blue are unhealthy, limit 2");
        // A fifth of eleven is rounded up.
        assert_eq!(stopped(11, 3), "");
        assert_eq!(stopped(6, 2), "");
        assert_eq!(stopped(6, 3), "3 of 6 nodes of blue are unhealthy, limit 2");
    }

    #[test]
    fn a_small_group_is_not_blocked_by_its_own_sick_nodes() {
        assert_eq!(stopped(4, 2), "");
        assert_eq!(stopped(5, 5), "");
    }

    #[test]
    fn one_sick_node_never_blocks_itself_however_low_the_share() {
        let policy = Policy { budgets: Budgets { unhealthy_percent: 1, ..Budgets::default() }, ..Policy::default() };
        let of = |size, unhealthy| {
            let seen = blue(|group| (group.size, group.unhealthy) = (size, unhealthy));
            unhealthy_stop(&seen, &policy).is_ok()
        };
        assert_eq!([of(50, 1), of(50, 2), of(300, 3), of(300, 4)], [true, false, true, false]);
    }

    #[test]
    fn a_group_that_could_not_be_read_is_no_healthy_one() {
        let blind = seen(noon()).with(|seen| seen.group = Fact::Unknown(Blind::Throttled));
        assert_eq!(
            text(unhealthy_stop(&blind, &Policy::default())),
            "could not read the Auto Scaling group: throttled"
        );
        assert_eq!(unhealthy_stop(&seen(noon()), &Policy::default()), Ok(()), "it is in none");
    }
}
