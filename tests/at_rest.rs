//! The fleet at rest: whenever the stack is updated or lowered, everything is given back, or a person is told why not; whenever it
//! is removed, what is left is listed, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // The helpers of a test may panic, too.

use std::collections::BTreeSet;

use defib::effect::Effect;
use defib::incident::Outcome;
use defib::incident::held::Hold;
use defib::sim::rehearsal::{Played, Rehearsal};
use defib::sim::scenario::Scenario;
use defib::sim::stage;

/// A stop and start of a group member in Standby: from its first symptom in minute 11 to its end in minute 34.
const CYCLE: &str = "node sick cluster=prod group=prod-asg zone=b tasks=4\n\
    nodes other 4 cluster=prod group=prod-asg zone=b\n\
    group prod-asg min=1 health=elb\n\
    at 10m fault sick platform.hardware\n";
/// The same with a replacement.
const REPLACEMENT: &str = "node sick cluster=prod group=prod-asg zone=b tasks=4\n\
    nodes other 4 cluster=prod group=prod-asg zone=b\n\
    group prod-asg min=1\n\
    at 10m fault sick ecs-agent.instance-type-changed\n";
/// From before the first symptom to after the end, in seconds; an odd step falls into every part of a pass.
const MOMENTS: std::ops::Range<i64> = 655..2_080;
const STEP_SECS: usize = 7;

fn play(fleet: &str, steps: &str) -> Played {
    let scenario: Scenario = format!("{fleet}{steps}").parse().unwrap();
    Rehearsal::of_scenario(stage::documentation_home().unwrap(), &scenario).play()
}

fn landed(played: &Played, effect: Effect) -> usize {
    let node = played.names["sick"];
    played.landed.iter().filter(|sent| sent.node == node && sent.effect == effect).count()
}

/// What landed on the sick node and was not taken back.
fn taken(played: &Played) -> BTreeSet<Hold> {
    let pairs = [
        (Hold::Stopped, Effect::Stop, Effect::Start),
        (Hold::Standby, Effect::EnterStandby, Effect::ExitStandby),
        (Hold::Draining, Effect::Drain, Effect::Activate),
    ];
    let open = pairs.into_iter().filter(|(_, take, give)| landed(played, *take) > landed(played, *give));
    open.map(|(hold, ..)| hold).collect()
}

#[test]
fn an_upgrade_at_any_moment_is_harmless_and_a_lower_mode_still_gives_back() {
    let mut outcomes = BTreeSet::new();
    for to in ["upgrade", "upgrade mode=observe", "upgrade mode=restart"] {
        for at in MOMENTS.step_by(STEP_SECS) {
            // Removed at the end only to have it listed what is left.
            let played = play(CYCLE, &format!("at {at}s {to}\nat 110m remove\nuntil 2h\n"));
            let (held, ghosts) = played.left.as_ref().unwrap();
            assert!(ghosts.is_empty(), "{to} after {at} s: {ghosts:?}");
            let listed: BTreeSet<Hold> = held.iter().map(|held| held.hold).collect();
            assert_eq!(listed, taken(&played), "{to} after {at} s");
            if !held.is_empty() {
                // Sick as it is, its group would terminate it if it left Standby (SAFETY.md): it stays, and a person is told.
                assert!(to != "upgrade" && !listed.contains(&Hold::Stopped), "{to} after {at} s: {held:?}");
                assert!(listed.contains(&Hold::Standby) && held.iter().all(|held| held.phase == "resting"), "{held:?}");
                assert!(played.reports.iter().any(|(_, item)| item.id.outcome == Outcome::NeedsHuman), "{held:?}");
            }
            for effect in [Effect::Stop, Effect::Start, Effect::EnterStandby] {
                assert!(landed(&played, effect) <= 1, "{to} after {at} s: {effect:?} twice");
            }
            let node = played.names["sick"];
            let first = played.incidents.iter().find(|incident| incident.node == node).unwrap();
            let outcome = first.ending().unwrap_or_else(|| panic!("{to} after {at} s: still open")).outcome();
            outcomes.insert((to, outcome));
        }
    }
    assert!(outcomes.contains(&("upgrade", Outcome::Cycled)), "{outcomes:?}");
    assert_eq!(
        outcomes.iter().filter(|(to, _)| *to == "upgrade").count(),
        1,
        "as if nothing had happened: {outcomes:?}"
    );
    assert!(outcomes.contains(&("upgrade mode=observe", Outcome::DryRun)), "{outcomes:?}");
    assert!(
        outcomes.contains(&("upgrade mode=observe", Outcome::Cycled)),
        "begun, so brought to its end: {outcomes:?}"
    );
    assert!(outcomes.contains(&("upgrade mode=restart", Outcome::Blocked)), "{outcomes:?}");
}

#[test]
fn what_a_removal_at_any_moment_leaves_is_listed_and_nothing_else() {
    let mut seen = BTreeSet::new();
    for at in MOMENTS.step_by(STEP_SECS) {
        let played = play(CYCLE, &format!("at {at}s remove\nuntil 2h\n"));
        let (held, ghosts) = played.left.as_ref().unwrap();
        let listed: BTreeSet<Hold> = held.iter().map(|held| held.hold).collect();
        assert_eq!(listed, taken(&played), "removed after {at} s: {held:?}");
        assert!(held.iter().all(|held| held.confirmed && held.since.is_some()), "removed after {at} s: {held:?}");
        assert_eq!(ghosts, &[], "removed after {at} s");
        seen.insert(listed);
    }
    // From nothing over each step of the way to all three, and back.
    let steps: [&[Hold]; 4] =
        [&[], &[Hold::Draining], &[Hold::Standby, Hold::Draining], &[Hold::Stopped, Hold::Standby, Hold::Draining]];
    for step in steps {
        assert!(seen.contains(&step.iter().copied().collect()), "{step:?} was never left: {seen:?}");
    }
}

#[test]
fn a_ghost_is_left_by_a_removal_between_termination_and_deregistration_only() {
    let mut with = 0;
    for at in MOMENTS.step_by(STEP_SECS) {
        let played = play(REPLACEMENT, &format!("at {at}s remove\nuntil 2h\n"));
        let (held, ghosts) = played.left.as_ref().unwrap();
        assert!(held.is_empty(), "removed after {at} s: {held:?}");
        let open = landed(&played, Effect::Terminate) > 0 && landed(&played, Effect::Deregister) == 0;
        assert_eq!(ghosts.len(), usize::from(open), "removed after {at} s: {ghosts:?}");
        assert!(ghosts.iter().all(|ghost| ghost.incident.is_some()), "{ghosts:?}");
        with += ghosts.len();
    }
    assert!(with > 0);
}
