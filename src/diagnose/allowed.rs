//! Whether Defib may lend a hand, as lines: G06 to G09 and G11. None of them keeps an agent from answering, so none fails.
//!
//! What stands in the way is decided by [`crate::guard`] and told in its words. What only the ledger knows is unknown to whoever does
//! not read it, and so is what nobody asked for.

use jiff::Timestamp;

use super::CheckLine;
use crate::guard::{Refusal, Resource, calendar, fleet, mode, ownership, workload};
use crate::observe::{Fact, Observation};
use crate::policy::{Mode, Policy};

/// The gates before any remedy, check by check.
#[must_use]
pub fn lines(seen: &Observation, policy: &Policy, now: Timestamp) -> Vec<CheckLine> {
    if seen.node.is_instance() && seen.ec2 == Fact::Absent {
        // There is nothing that anybody could lend a hand to.
        return Vec::new();
    }
    // The ledger is the stack's, and who checks a node need not be able to read it.
    let history = "the ledger was not read, where pause, quarantine, cooldown and open incidents stand";
    vec![
        consent(seen, policy, now),
        CheckLine::unknown("G07", history),
        company(seen, policy),
        outage(seen, policy),
        tasks(seen, policy),
    ]
}

/// A refusal as a line: what could not be read is unknown, and everything else is in the way.
fn refused(id: &'static str, refusal: &Refusal, fix: &str) -> CheckLine {
    if matches!(refusal, Refusal::CannotSee { .. }) {
        CheckLine::unknown(id, refusal.to_string())
    } else {
        CheckLine::warn(id, refusal.to_string(), fix)
    }
}

/// G06: opted in, not out, not muted, in no closed season.
fn consent(seen: &Observation, policy: &Policy, now: Timestamp) -> CheckLine {
    let id = "G06";
    if !seen.shows_all_tags() {
        return CheckLine::unknown(id, "could not read every tag that may forbid something: node, group, cluster");
    }
    match ownership::check(seen) {
        Err(refusal @ Refusal::NotOptedIn { .. }) => {
            return refused(id, &refusal, "tag it defib:managed=true, if Defib may repair it");
        }
        Err(refusal @ Refusal::OptedOut { .. }) => {
            return refused(id, &refusal, "remove the tag, if Defib may repair it");
        }
        // Whose it is, G05 says.
        Err(_) | Ok(()) => {}
    }
    if let Err(refusal) = ownership::check_mute(seen, None, now) {
        return refused(id, &refusal, "wait until then, or remove the tag defib:mute-until");
    }
    if let Err(refusal) = calendar::open(seen, policy) {
        return refused(id, &refusal, "wait until it opens");
    }
    // What the tags alone say: the stack's own mode is not theirs.
    let reach = mode::reach(seen, &Policy { mode: Mode::Replace, ..policy.clone() });
    let whose = match reach.lowered_by {
        None => return CheckLine::ok(id, "opted in, and no tag holds Defib back"),
        Some(Resource::Instance) => "the node",
        Some(Resource::Group) => "its Auto Scaling group",
        Some(Resource::Cluster) => "its cluster",
    };
    CheckLine::ok(id, format!("opted in, and a tag on {whose} lowers the mode to {}", reach.mode))
}

/// G08: how the others of its group fare, so that a repair makes nothing worse.
fn company(seen: &Observation, policy: &Policy) -> CheckLine {
    let id = "G08";
    let look = "look for what they share before one after the other is repaired";
    if let Err(refusal) = fleet::unhealthy_stop(seen, policy) {
        return refused(id, &refusal, look);
    }
    if let Err(refusal) = fleet::last_in_zone(seen, false) {
        return refused(id, &refusal, "let another one serve in that zone first");
    }
    match seen.group.known() {
        Some(group) => {
            CheckLine::ok(id, format!("{} of {} nodes of {} are unhealthy", group.unhealthy, group.size, group.name))
        }
        None => CheckLine::ok(id, "in no group that counts"),
    }
}

/// G09: many of one zone at once are hardly the fault of each of them. What AWS itself says of its health is not read.
fn outage(seen: &Observation, policy: &Policy) -> CheckLine {
    let id = "G09";
    if let Err(refusal) = fleet::zone_freeze(seen, policy) {
        return refused(id, &refusal, "look at the AWS Health Dashboard, and repair nothing before it is over");
    }
    match (seen.group.known(), seen.ec2.known()) {
        (Some(group), Some(ec2)) => {
            let (sick, size) = (group.zone_unhealthy, group.zone_size);
            CheckLine::ok(id, format!("{sick} of {size} nodes in {} are unhealthy", ec2.zone))
        }
        (Some(_) | None, _) => CheckLine::ok(id, "it stands in no Availability Zone that counts"),
    }
}

/// G11: the tasks that would end with a disruptive remedy.
fn tasks(seen: &Observation, policy: &Policy) -> CheckLine {
    let id = "G11";
    if let Fact::Unknown(blind) = seen.workload {
        return CheckLine::unknown(id, format!("could not read the tasks on the node: {}", blind.as_str()));
    }
    if let Err(refusal) = workload::tasks(seen, policy) {
        return refused(id, &refusal, "end or move them first, or let the policy ignore them (workload)");
    }
    if let Err(refusal) = workload::service_minimum(seen) {
        return refused(id, &refusal, "let more of its tasks run elsewhere first");
    }
    match (&seen.workload, seen.ecs.known()) {
        (Fact::Known(_), Some(ecs)) => CheckLine::ok(id, format!("{} tasks, which a drain moves", ecs.tasks)),
        (Fact::Known(_) | Fact::Absent | Fact::Unknown(_), _) => CheckLine::ok(id, "no tasks of ECS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Mark;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::observe::{Blind, Ecs, Share, Workload};
    use crate::time::after;

    fn line(seen: &Seen, id: &str) -> String {
        let lines = lines(seen, &Policy::default(), noon());
        lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn nothing_here_ever_fails_and_each_check_has_its_line() {
        let node = seen(noon()).in_cluster().in_group().with(|seen| seen.workload = Fact::Known(Workload::default()));
        let all = lines(&node, &Policy::default(), noon());
        let said: Vec<(&str, Mark)> = all.iter().map(|line| (line.id, line.verdict)).collect();
        let marks =
            [("G06", Mark::Ok), ("G07", Mark::Unknown), ("G08", Mark::Ok), ("G09", Mark::Ok), ("G11", Mark::Ok)];
        assert_eq!(said, marks, "{all:?}");
        let gone = seen(noon()).with(|seen| seen.ec2 = Fact::Absent);
        assert_eq!(lines(&gone, &Policy::default(), noon()), []);
    }

    #[test]
    fn consent_is_that_of_the_tags() {
        assert!(line(&seen(noon()).untagged(), "G06").starts_with("WARN    G06 the node does not carry the tag"));
        assert!(line(&seen(noon()).mode_tag(Mode::Off), "G06").contains("defib:mode=off; fix: remove the tag"));
        let muted = seen(noon()).with_ec2(|ec2| ec2.tags.mute_until = Some(after(noon(), 60)));
        assert!(line(&muted, "G06").contains("it is muted until 2026-11-20 12:01:00 UTC"));
        let lowered = seen(noon()).with_asg(|asg| asg.tags.mode = Some(Mode::Restart));
        assert!(line(&lowered, "G06").ends_with("a tag on its Auto Scaling group lowers the mode to restart"));
        let blind = seen(noon()).with(|seen| seen.asg = Fact::Unknown(Blind::Denied));
        assert!(line(&blind, "G06").starts_with("UNKNOWN"), "an unread tag may forbid");
        let policy = Policy { calendar: Some("freeze".parse().unwrap()), ..Policy::default() };
        let unasked = consent(&seen(noon()), &policy, noon());
        assert_eq!(unasked.verdict, Mark::Unknown, "a calendar that nobody read is not open");
    }

    #[test]
    fn a_sick_group_and_a_sick_zone_are_told_with_their_numbers() {
        let of = |change: fn(&mut crate::observe::Group)| {
            seen(noon()).in_cluster().with(|seen| match &mut seen.group {
                Fact::Known(group) => change(group),
                Fact::Absent | Fact::Unknown(_) => panic!("no group to change"),
            })
        };
        let group = of(|group| (group.size, group.unhealthy) = (10, 3));
        assert!(line(&group, "G08").starts_with("WARN    G08 3 of 10 nodes of blue are unhealthy, limit 2"));
        let last = of(|group| (group.zone_peers, group.zone_peers_unhealthy) = (2, 2));
        assert!(line(&last, "G08").starts_with("WARN"), "{}", line(&last, "G08"));
        let zone = of(|group| (group.zone_size, group.zone_unhealthy) = (8, 6));
        assert!(line(&zone, "G09").contains("AWS Health Dashboard"), "{}", line(&zone, "G09"));
        let blind = seen(noon()).in_cluster().with(|seen| seen.group = Fact::Unknown(Blind::Throttled));
        for id in ["G08", "G09"] {
            assert!(line(&blind, id).starts_with("UNKNOWN"), "{id}");
        }
    }

    #[test]
    fn tasks_that_may_not_end_are_counted() {
        let with = |workload: Workload| seen(noon()).in_cluster().with(|seen| seen.workload = Fact::Known(workload));
        let standalone = with(Workload { standalone: 2, ..Workload::default() });
        assert!(line(&standalone, "G11").contains("2 tasks that no service started would end"));
        let share = Share { here: 2, elsewhere: 1, desired: 3, minimum_percent: 100 };
        let service = with(Workload { service: Some(share), ..Workload::default() });
        let service = service.with_ecs(|ecs: &mut Ecs| ecs.connected = true);
        assert!(line(&service, "G11").contains("a service would keep 1 of its 3 tasks"));
        let blind = seen(noon()).in_cluster().with(|seen| seen.workload = Fact::Unknown(Blind::NotRead));
        assert!(line(&blind, "G11").starts_with("UNKNOWN"));
        let none = seen(noon()).with(|seen| seen.workload = Fact::Absent);
        assert_eq!(line(&none, "G11"), "OK      G11 no tasks of ECS");
    }
}
