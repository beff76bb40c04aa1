//! What an operator is shown before a repair, and what his approval is bound to.

use super::*;
use crate::plan::preview::Turn::{Forbidden, Later, Never, Next, Skipped};
use crate::plan::preview::{PlanId, Preview, Turn};

fn shown(case: &Case, mode: Mode, asked: Option<Remedy>, tell: impl FnOnce(Seen) -> Seen) -> Result<Preview, String> {
    let context = Context { home: home(), policy: Policy { mode, ..case.policy.clone() } };
    preview(&tell(seen(case.now)), &loaded(case, false), &context, asked, case.now)
}

fn loaded(case: &Case, is_open: bool) -> Loaded {
    let incident = is_open.then(|| Arc::new(case.incident.clone()));
    Loaded { incident, rails: case.rails.clone(), last: None, unsent: Vec::new() }
}

fn turns(preview: &Preview) -> Vec<(Remedy, Turn)> {
    preview.rungs.iter().map(|rung| (rung.remedy, rung.turn)).collect()
}

#[test]
fn a_preview_shows_the_ladder_and_begins_nothing() {
    let preview = shown(&silent(), Mode::Cycle, None, dead).unwrap();
    assert_eq!(turns(&preview), [(Remedy::Reboot, Next), (Remedy::Replace, Never)], "it is in no group");
    assert_eq!((preview.next(), preview.refusal, preview.probes_first), (Some(Remedy::Reboot), None, false));
}

#[test]
fn a_preview_looks_as_closely_as_a_fix_and_at_the_calendar() {
    let policy = Policy { calendar: Some("freeze".parse().unwrap()), ..Policy::in_mode(Mode::Cycle) };
    let context = Context { home: home(), policy: policy.clone() };
    let (case, now) = (silent(), noon());
    for incident in [None, Some(&case.incident)] {
        let expected = Look { calendar: policy.calendar.clone(), ..fix_look(incident, now) };
        assert_eq!(preview_look(incident, &context, now), expected);
    }
}

#[test]
fn a_preview_says_whether_the_host_would_be_asked_first() {
    let probes = |tell: fn(Seen) -> Seen| shown(&silent(), Mode::Cycle, None, tell).unwrap().probes_first;
    assert!(probes(Seen::ssm_doubtful));
    assert!(!probes(dead), "nobody would hear it");
    assert!(!probes(|seen| seen.ssm_doubtful().profile_missing()), "AWS has told already");
}

#[test]
fn each_turn_has_its_word() {
    let words = [Next, Later, Skipped, Forbidden, Never].map(Turn::as_str);
    assert_eq!(words, ["next", "later", "skipped", "forbidden", "never"]);
}

#[test]
fn a_preview_names_the_rail_that_stands_in_the_way() {
    let preview = shown(&silent(), Mode::Cycle, None, |seen| dead(seen).sessions(2)).unwrap();
    assert_eq!(preview.next(), Some(Remedy::Reboot));
    assert!(preview.refusal.unwrap().to_string().contains("session"));
    let preview = shown(&silent(), Mode::Restart, None, dead).unwrap();
    assert!(preview.refusal.unwrap().to_string().contains("restart"), "the mode is too low");
    let mut muted = silent();
    muted.rails.muted_until = Some(after(muted.now, 60));
    let preview = shown(&muted, Mode::Cycle, None, dead).unwrap();
    assert!(matches!(preview.refusal, Some(Refusal::Muted { .. })), "{:?}", preview.refusal);
    let mut approved = silent();
    approved.policy.approve_from = Some(Remedy::Reboot);
    let preview = shown(&approved, Mode::Cycle, None, dead).unwrap();
    assert_eq!(preview.refusal, Some(Refusal::Approval { remedy: Remedy::Reboot }));
}

#[test]
fn a_cause_that_nothing_on_the_host_removes_has_no_remedies_in_its_preview() {
    let preview = shown(&silent(), Mode::Replace, None, |seen| dead(seen).profile_missing()).unwrap();
    assert_eq!((turns(&preview), preview.next()), (vec![], None));
    assert_eq!(preview.cause, Cause::IdentityNoInstanceProfile);
}

#[test]
fn a_well_node_has_an_empty_preview_and_an_unknown_one_none() {
    let preview = shown(&silent(), Mode::Cycle, None, |seen| seen).unwrap();
    assert!(preview.is_well() && preview.rungs.is_empty());
    let absent = |seen: Seen| dead(seen).with(|seen| seen.ec2 = Fact::Absent);
    assert_eq!(shown(&silent(), Mode::Cycle, None, absent).unwrap_err(), "AWS does not know the node");
}

#[test]
fn an_asked_remedy_comes_first_in_the_preview() {
    let preview = shown(&silent(), Mode::Replace, Some(Remedy::Replace), |seen| dead(seen).in_group()).unwrap();
    assert_eq!(turns(&preview), [(Remedy::Reboot, Skipped), (Remedy::Replace, Next)]);
    let plain = shown(&silent(), Mode::Replace, None, |seen| dead(seen).in_group()).unwrap();
    assert_eq!(turns(&plain), [(Remedy::Reboot, Next), (Remedy::Replace, Later)]);
    assert_ne!(plain.id(), preview.id());
    let futile = shown(&silent(), Mode::Replace, Some(Remedy::RestartRuntime), |seen| dead(seen).in_group());
    assert!(
        futile.unwrap_err().ends_with("without --remedy the next one is reboot"),
        "never another one than was asked for"
    );
    let lower = shown(&silent(), Mode::Cycle, None, |seen| dead(seen).in_group()).unwrap();
    assert_eq!(turns(&lower), [(Remedy::Reboot, Next), (Remedy::Replace, Forbidden)]);
}

#[test]
fn an_approved_plan_is_carried_out_only_while_it_is_the_plan() {
    let case = silent();
    let context = Context { home: home(), policy: Policy::in_mode(Mode::Cycle) };
    let bound = |tell: fn(Seen) -> Seen, plan: PlanId, now| {
        fix(&tell(seen(now)), &loaded(&case, true), &context, (&Arc::from("ops"), None, Some(plan)), now)
    };
    let plan = shown(&case, Mode::Cycle, None, dead).unwrap().id();
    let later = after(case.now, 90);
    assert!(matches!(bound(dead, plan, later), OperatorAnswer::Plan(_)), "a minute and an incident change no plan");
    let OperatorAnswer::Refused(why) = bound(|seen| dead(seen).profile_missing(), plan, later) else {
        panic!("carried out")
    };
    assert!(why.starts_with("the plan is another one by now"), "{why}");
}
