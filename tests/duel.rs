//! The duel: its sums never depend on the threads, and the contenders differ where their rules do.

use defib::sim::duel::{Who, run, run_seed};

#[test]
fn the_sums_do_not_depend_on_the_threads() {
    let seeds = 0..=5;
    let once = run(&seeds, 1, || {});
    assert_eq!(once, run(&seeds, 3, || {}));
    assert_eq!(once.schedule.seeds, 6);
}

#[test]
fn a_seed_always_goes_the_same_way() {
    assert_eq!(run_seed(3), run_seed(3));
}

#[test]
fn defib_touches_no_healthy_node_and_cycles_nothing_that_only_a_person_can_fix() {
    let duel = run(&(0..=19), 2, || {});
    let of = |who| &duel.scores[Who::ALL.iter().position(|other| *other == who).expect("it takes part")];
    let defib = of(Who::Defib);
    assert_eq!((defib.healthy_touched, defib.in_vain, defib.came_along), (0, 0, 0));
    assert_eq!(defib.told, duel.schedule.person_only);
    let nobody = of(Who::Nothing);
    assert_eq!((nobody.disruptive, nobody.messages, nobody.left_broken), (0, 0, duel.schedule.curable));
    for who in Who::ALL.into_iter().filter(|who| ![Who::Defib, Who::Nothing].contains(who)) {
        assert!(of(who).in_vain > 0 && of(who).told == 0, "{who}");
        assert!(!of(who).repair_secs.is_empty(), "{who}");
    }
}
