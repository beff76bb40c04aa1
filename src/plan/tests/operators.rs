//! What operators may ask for, and what they are refused.

use super::*;
use crate::incident::{OperatorWord, Said};
use crate::observe::samples::swept_ssm;

fn context() -> Context {
    Context { home: home(), policy: Policy::in_mode(Mode::Cycle) }
}

fn asked(case: Option<&Case>, tell: impl FnOnce(Seen) -> Seen) -> Result<Plan, String> {
    let (now, rails) = case.map_or((noon(), RUNNING), |case| (case.now, case.rails.clone()));
    let incident = case.map(|case| Arc::new(case.incident.clone()));
    let loaded = Loaded { incident, rails, last: None, unsent: Vec::new() };
    plan_of(fix(&tell(seen(now)), &loaded, &context(), (&Arc::from("ops"), None, None), now))
}

fn plan_of(answer: OperatorAnswer) -> Result<Plan, String> {
    match answer {
        OperatorAnswer::Plan(plan) => Ok(*plan),
        OperatorAnswer::Refused(why) => Err(why),
    }
}

fn approved(case: &Case) -> Result<Plan, String> {
    plan_of(approve(&case.incident, &case.policy, &Arc::from("ops"), case.now, case.now))
}

fn closed(case: &Case) -> Result<Plan, String> {
    plan_of(close(&case.incident, &case.policy, &Arc::from("ops"), case.now))
}

#[test]
fn a_fix_opens_an_incident_past_its_hold_down() {
    let plan = asked(None, dead).unwrap();
    assert_eq!((plan.next.phase.name(), effect(&plan)), ("examining", None));
    assert_eq!(plan.next.asked.as_ref().unwrap().by.as_ref(), "ops");
    assert_eq!(plan.next.symptoms[0].kind, swept_ssm());
    assert_eq!(
        plan.next.history.last().unwrap().event,
        Event::Operator(Said { word: OperatorWord::Fix, by: Some(Arc::from("ops")) })
    );
    let case = Case { incident: *plan.next, policy: context().policy, rails: RUNNING, now: noon(), last: None };
    assert_eq!(case.wait(15).look(dead).effect(), Some(Effect::Reboot), "fifteen seconds later");
}

#[test]
fn a_fix_bypasses_no_rail() {
    assert_eq!(asked(None, |seen| seen).unwrap_err(), "the node is well: there is nothing to fix");
    assert_eq!(
        asked(None, |seen| dead(seen).untagged()).unwrap_err(),
        "the node does not carry the tag defib:managed=true"
    );
    assert_eq!(
        asked(None, |seen| dead(seen).with(|seen| seen.ec2 = Fact::Absent)).unwrap_err(),
        "AWS does not know the node"
    );
    let mut paused = silent();
    paused.rails.switch = KillSwitch::Paused;
    assert_eq!(asked(Some(&paused), dead).unwrap_err(), "an operator paused defib");
    paused.rails.switch = KillSwitch::Unreadable;
    assert_eq!(asked(Some(&paused), dead).unwrap_err(), "the pause switch could not be read, which counts as paused");
    let mut muted = silent();
    muted.rails.muted_until = Some(after(noon(), 3_600));
    let plan = asked(Some(&muted), dead).unwrap();
    let case = Case { incident: *plan.next, ..muted }.wait(15).look(dead);
    assert_eq!((case.effect(), case.incident.phase.name()), (None, "parked"));
}

#[test]
fn a_fix_does_not_disturb_a_remedy_or_a_probe_that_is_under_way() {
    let treating = silent().patient().look(dead);
    let id = treating.incident.id;
    assert_eq!(asked(Some(&treating), dead).unwrap_err(), format!("a remedy is under way in {id}"));
    let probing = silent().patient().look(Seen::ssm_doubtful);
    assert_eq!(
        asked(Some(&probing), dead).unwrap_err(),
        format!("a probe is under way in {id}; ask again in a minute")
    );
    let over = silent().patient().look(|seen| seen.host_says(&[]));
    assert_eq!(asked(Some(&over), dead).unwrap_err(), format!("{id} is closed"));
}

#[test]
fn a_fix_after_a_long_rest_has_its_time_anew() {
    let rests = silent().patient().look(|seen| dead(seen).profile_missing());
    assert_eq!(rests.incident.phase.name(), "resting");
    let next_day = rests.wait(20 * 3_600);
    let plan = asked(Some(&next_day), dead).unwrap();
    let fixed = Case { incident: *plan.next, ..next_day }.wait(15).look(dead);
    assert_eq!(fixed.effect(), Some(Effect::Reboot), "{:?}", fixed.incident.phase);
}

#[test]
fn the_wait_before_a_fix_counts_as_parked() {
    let parked = silent().patient().look(|seen| dead(seen).sessions(1)).wait(4_000);
    assert_eq!(parked.incident.phase.name(), "parked");
    assert_eq!(asked(Some(&parked), dead).unwrap().next.parked_secs, 4_000);
}

#[test]
fn an_approval_is_for_one_remedy_and_for_an_hour() {
    let waiting = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient().look(dead);
    assert_eq!(waiting.reports(), [ReportKind::NeedsApproval]);
    let refusal = parked(waiting.last.as_ref().unwrap()).unwrap().to_string();
    assert_eq!(refusal, "reboot needs the approval of a person");
    let plan = approved(&waiting).unwrap();
    let approval = plan.next.approval.clone().unwrap();
    assert_eq!((approval.remedy, approval.until), (Remedy::Reboot, after(waiting.now, 3_600)));
    assert_eq!(plan.next.approved_by(), Some("ops"));
    let approved = Case { incident: *plan.next, ..waiting };
    assert_eq!(approved.clone().wait(15).look(dead).effect(), Some(Effect::Reboot));
    assert_eq!(approved.clone().wait(3_600).look(dead).effect(), None, "it has run out");
    let hardware = approved.wait(15).look(|seen| dead(seen).hardware_failing());
    assert_eq!(hardware.effect(), None, "another remedy needs another approval");
}

#[test]
fn an_approval_is_asked_for_once_while_it_is_waited_for() {
    let waiting = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient().look(dead);
    let again = waiting.wait(300).look(dead);
    assert_eq!((again.incident.phase.name(), again.reports().len(), again.incident.reports), ("parked", 0, 1));
}

#[test]
fn a_word_that_was_long_on_its_way_approves_nothing_that_was_asked_after_it() {
    let waiting = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient().look(dead);
    let given = waiting.now;
    let other = waiting.wait(300).look(|seen| dead(seen).hardware_failing());
    assert_eq!(other.incident.phase.name(), "parked");
    assert_eq!(other.reports(), [ReportKind::NeedsApproval], "another remedy is another question");
    let word = |asked_at| approve(&other.incident, &other.policy, &Arc::from("ops"), asked_at, other.now);
    let refusal = plan_of(word(given)).unwrap_err();
    assert!(refusal.ends_with("has come to wait for another approval, that of stop-start, meanwhile"), "{refusal}");
    let plan = plan_of(word(other.now)).unwrap();
    assert_eq!(plan.next.approval.map(|approval| approval.remedy), Some(Remedy::StopStart));
}

#[test]
fn a_question_is_asked_once_however_often_another_comes_between() {
    let waiting = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient().look(dead);
    let other = waiting.wait(300).look(|seen| dead(seen).hardware_failing());
    let again = other.wait(300).look(dead);
    assert_eq!((again.incident.phase.name(), again.reports().len(), again.incident.reports), ("parked", 0, 2));
    let plan = approved(&again).unwrap();
    assert_eq!(plan.next.approval.map(|approval| approval.remedy), Some(Remedy::Reboot));
}

#[test]
fn who_is_asked_may_answer_while_the_node_is_examined_again() {
    let waiting = silent().policy(|policy| policy.approve_from = Some(Remedy::Reboot)).patient().look(dead);
    // The last probe has grown old: another one is sent before the same rail is asked again.
    let unproven = |seen: Seen| seen.ssm_doubtful().with(|seen| seen.probe = Fact::Absent);
    let again = waiting.wait(300).look(unproven);
    assert_eq!((again.incident.phase.name(), again.effect()), ("examining", Some(Effect::Probe)));
    let plan = approved(&again).unwrap();
    assert_eq!(plan.next.approval.as_ref().map(|approval| approval.remedy), Some(Remedy::Reboot));
    assert_eq!((&plan.next.phase, plan.next.wake_at), (&again.incident.phase, again.incident.wake_at));
    // Something else stands in its way now.
    let muted = again.with(|incident| {
        let why = Event::Parked(Refusal::Muted { until: noon() });
        incident.note(noon(), why);
    });
    assert!(approved(&muted).is_err());
}

#[test]
fn what_needs_no_approval_cannot_be_approved() {
    let case = silent();
    let id = case.incident.id;
    assert_eq!(approved(&case).unwrap_err(), format!("{id} does not wait for an approval"));
}

#[test]
fn an_incident_is_closed_by_hand_unless_something_is_under_way() {
    let watching = closed(&silent()).unwrap();
    assert_eq!(watching.next.ending(), Some(&Ending::ClosedBy { by: "ops".into(), rested: false }));
    assert_eq!(watching.reports, [ReportKind::Ended]);
    let id = watching.next.id;
    let treating = silent().patient().look(dead);
    assert_eq!(closed(&treating).unwrap_err(), format!("a remedy is under way in {id}; close it afterwards"));
    let probing = silent().patient().look(Seen::ssm_doubtful);
    assert_eq!(closed(&probing).unwrap_err(), format!("a remedy is under way in {id}; close it afterwards"));
    let over = Case { incident: *watching.next, ..silent() };
    assert_eq!(closed(&over).unwrap_err(), format!("{id} is closed already"));
}

#[test]
fn a_resting_incident_that_is_closed_by_hand_stays_needs_human_in_the_books() {
    let rests = silent().patient().look(|seen| dead(seen).profile_missing());
    let plan = closed(&rests).unwrap();
    assert_eq!(plan.next.ending().map(Ending::outcome), Some(Outcome::NeedsHuman));
    assert!(plan.next.is_closed());
    assert_eq!(plan.reports, [ReportKind::Ended]);
}

#[test]
fn a_parked_incident_that_holds_a_drain_gives_it_back_before_it_closes() {
    let parked = silent().patient().look(|seen| dead(seen).sessions(1)).with(|incident| incident.holds.draining = true);
    let plan = closed(&parked).unwrap();
    assert_eq!((effect(&plan), plan.next.phase.name()), (Some(Effect::Activate), "draining"));
}
