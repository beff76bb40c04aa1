//! The cells and their declaration.

use super::*;

#[test]
fn every_cell_has_a_place_of_its_own() {
    let mut seen = Coverage::default();
    let mut count = 0;
    for cell in Cell::all() {
        assert!(!seen.has(cell), "{cell} twice");
        seen.visit(cell);
        count += 1;
        assert_eq!(seen.visited(), count);
    }
    assert_eq!(count, CELLS);
}

#[test]
fn every_rule_reaches_something_and_no_rule_says_what_another_says() {
    for rule in RULES {
        assert!(Cell::all().any(|cell| rule.reaches(cell)), "{}", rule.because);
    }
    for cell in Cell::all() {
        let rules = RULES.iter().filter(|rule| rule.reaches(cell)).count();
        assert!(rules <= 1, "{cell} by {rules} rules");
        assert!(!is_declared(cell) || rules == 1, "{cell}");
    }
}

#[test]
fn hundreds_of_cells_are_declared_and_most_are_not() {
    let declared = Coverage::declared().visited();
    assert!(declared > 500 && declared < CELLS / 2, "{declared} of {CELLS}");
}

#[test]
fn a_process_can_die_at_whatever_can_be_asked_and_nothing_else_is_declared_there() {
    for cell in Cell::all().filter(|cell| cell.mishap == Mishap::DiedBefore) {
        let asked = is_declared(Cell { mishap: Mishap::Nothing, ..cell });
        assert_eq!(is_declared(cell), asked, "{cell}");
        for mishap in Mishap::ALL {
            assert!(asked || !is_declared(Cell { mishap, ..cell }), "{cell}");
        }
    }
}

#[test]
fn what_must_never_happen_is_not_declared() {
    let never = |stand, asked| !is_declared(Cell { stand, asked, mishap: Mishap::Nothing });
    assert!(never(Stand::Watching, Asked::Perform(Weight::Disruptive)));
    assert!(never(Stand::Opening, Asked::Perform(Weight::ReadOnly)));
    assert!(never(Stand::Parked, Asked::Perform(Weight::Gentle)));
    assert!(never(Stand::Resting, Asked::Perform(Weight::Restoring)));
    assert!(never(Stand::Verifying(Remedy::Reboot), Asked::Perform(Weight::Disruptive)));
    assert!(never(Stand::Treating(Remedy::RestartSsmAgent), Asked::Perform(Weight::Disruptive)));
    assert!(never(Stand::Closed, Asked::Commit));
    assert!(never(Stand::Watching, Asked::Publish));
}

#[test]
fn a_visit_outside_and_an_empty_cell_are_both_named() {
    let declared = Coverage::declared();
    let mut seen = declared;
    assert!(seen.outside(&declared).is_empty() && seen.empty(&declared).is_empty());
    let outside = Cell { stand: Stand::Watching, asked: Asked::Perform(Weight::Disruptive), mishap: Mishap::Nothing };
    seen.visit(outside);
    assert_eq!(seen.outside(&declared), [outside]);
    assert_eq!(outside.to_string(), "watching / perform-disruptive / nothing");
    let mut less = Coverage::default();
    let kept: Vec<_> = Cell::all().filter(|cell| declared.has(*cell)).skip(1).collect();
    for cell in kept {
        less.visit(cell);
    }
    assert_eq!(less.empty(&declared).len(), 1);
    less.merge(&declared);
    assert!(less.empty(&declared).is_empty());
}
