//! What the nodes around a node say about a disruptive remedy on it: where many are unhealthy at once, the fault is hardly the
//! node's own, and cycling one after the other makes an outage worse.

use super::{Refusal, Sight};
use crate::observe::{Check, EcsStatus, Fact, Group, InstanceState, Observation};
use crate::policy::Policy;

/// The group, or why nobody knows it. None: the node is in no group that anybody counts.
fn group(seen: &Observation) -> Result<Option<&Group>, Refusal> {
    match &seen.group {
        Fact::Known(group) => Ok(Some(group)),
        Fact::Absent => Ok(None),
        Fact::Unknown(blind) => Err(Refusal::CannotSee { what: Sight::Group, blind: *blind }),
    }
}

/// Whether it is in a cluster or an Auto Scaling group.
fn has_fellows(seen: &Observation) -> bool {
    seen.ecs.known().is_some() || seen.asg.known().is_some()
}

/// Whether few enough of the group are unhealthy, this node included.
///
/// # Errors
/// The refusal, with the numbers of the group.
pub fn unhealthy_stop(seen: &Observation, policy: &Policy) -> Result<(), Refusal> {
    planted!(NoUnhealthyStop => return Ok(()));
    let Some(group) = group(seen)? else { return Ok(()) };
    // What is in no cluster and no Auto Scaling group has nothing in common but the account: that is the breaker's.
    if !has_fellows(seen) {
        return Ok(());
    }
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

/// Whether the node's Availability Zone is not frozen.
///
/// # Errors
/// The refusal, with the numbers of the zone.
pub fn zone_freeze(seen: &Observation, policy: &Policy) -> Result<(), Refusal> {
    planted!(NoZoneFreeze => return Ok(()));
    // A managed node stands in no zone.
    let (Some(group), Some(ec2)) = (group(seen)?, seen.ec2.known()) else { return Ok(()) };
    let (size, unhealthy) = (group.zone_size, group.zone_unhealthy);
    if !policy.budgets.freezes(size, unhealthy) {
        return Ok(());
    }
    let percent = policy.budgets.zone_freeze_percent;
    Err(Refusal::ZoneFrozen { zone: ec2.zone.clone(), unhealthy, size, percent })
}

/// Whether others of the node's group could take over in its zone, or it serves no more itself.
///
/// A node that is the only member in its zone is no last one: there is no redundancy that its repair takes away. Nor is one that is in no
/// cluster and no Auto Scaling group. What we drained would serve again once it is given back.
///
/// # Errors
/// The refusal, with the zone and its numbers.
pub fn last_in_zone(seen: &Observation, drained_by_us: bool) -> Result<(), Refusal> {
    planted!(TakeTheLastOfAZone => return Ok(()));
    let (Some(group), Some(ec2)) = (group(seen)?, seen.ec2.known()) else { return Ok(()) };
    if !has_fellows(seen) || group.zone_peers == 0 || group.zone_peers_unhealthy < group.zone_peers {
        return Ok(());
    }
    let serves = match &seen.ecs {
        Fact::Known(ecs) => ecs.connected && ecs.status != EcsStatus::Inactive && (ecs.tasks > 0 || drained_by_us),
        Fact::Absent => {
            let checks = [ec2.system_check, ec2.instance_check];
            ec2.state == InstanceState::Running && !checks.contains(&Check::Impaired)
        }
        Fact::Unknown(blind) => return Err(Refusal::CannotSee { what: Sight::Ecs, blind: *blind }),
    };
    if !serves {
        return Ok(());
    }
    let members = group.zone_peers.saturating_add(1);
    Err(Refusal::LastInZone { zone: ec2.zone.clone(), members, unhealthy: group.zone_peers_unhealthy })
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
    fn a_zone_of_which_half_is_unhealthy_is_frozen() {
        let frozen = |size, unhealthy| {
            let seen = blue(|group| (group.zone_size, group.zone_unhealthy) = (size, unhealthy));
            text(zone_freeze(&seen, &Policy::default()))
        };
        assert_eq!((frozen(4, 1).as_str(), frozen(9, 4).as_str()), ("", ""));
        assert_eq!(frozen(4, 2), "2 of 4 nodes in us-east-1a are unhealthy; from 50 % on the zone is frozen");
        assert_eq!(frozen(3, 3), "", "too small a zone to tell");
        let hybrid = blue(|group| (group.zone_size, group.zone_unhealthy) = (9, 9)).hybrid();
        assert_eq!(zone_freeze(&hybrid, &Policy::default()), Ok(()), "it stands in no zone");
    }

    fn last(peers: u32, unhealthy: u32, change: impl FnOnce(Seen) -> Seen) -> String {
        let seen = change(blue(|group| (group.zone_peers, group.zone_peers_unhealthy) = (peers, unhealthy)));
        text(last_in_zone(&seen, false))
    }

    #[test]
    fn the_last_of_its_group_that_serves_in_a_zone_is_left_alone() {
        let words = "it is the last that serves of 3 nodes of its group in us-east-1a; 2 unhealthy";
        assert_eq!(last(2, 2, |seen| seen), words);
        assert_eq!(last(2, 1, |seen| seen), "", "another one serves");
    }

    #[test]
    fn the_only_one_in_its_zone_had_no_redundancy_to_lose() {
        assert_eq!(last(0, 0, |seen| seen), "");
        assert_eq!(last(2, 2, |seen| seen.with(|seen| seen.ecs = Fact::Absent)), "", "it is in no group");
    }

    #[test]
    fn a_node_that_serves_no_more_is_no_last_one() {
        assert_eq!(last(2, 2, |seen| seen.with_ecs(|ecs| ecs.connected = false)), "");
        assert_eq!(last(2, 2, |seen| seen.with_ecs(|ecs| ecs.tasks = 0)), "");
        let drained = blue(|group| (group.zone_peers, group.zone_peers_unhealthy) = (1, 1));
        let drained = drained.with_ecs(|ecs| ecs.tasks = 0);
        assert!(last_in_zone(&drained, true).is_err(), "given back, it would serve again");
        let without_ecs = |seen: Seen| seen.in_group().with(|seen| seen.ecs = Fact::Absent);
        assert_ne!(last(1, 1, without_ecs), "");
        assert_eq!(last(1, 1, |seen| without_ecs(seen).with_ec2(|ec2| ec2.system_check = Check::Impaired)), "");
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
