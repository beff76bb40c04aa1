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
    let duel = run(&(0..=11), 2, || {});
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

#[cfg(feature = "cli")]
#[test]
fn programs_get_one_object_for_each_contender_and_a_sum() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_defib"))
        .args(["duel", "--seeds", "0..2", "--threads", "1", "--json"])
        .output()
        .expect("defib starts");
    let text = String::from_utf8(output.stdout).expect("defib speaks UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    assert!(output.status.success());
    assert_eq!(lines.len(), Who::ALL.len() + 1);
    assert_eq!((&lines[0]["contender"], &lines[0]["healthy_touched"]), (&"Defib".into(), &0.into()));
    assert_eq!((&lines[7]["type"], &lines[7]["seeds"]), (&"summary".into(), &2.into()));
}
