//! A pass by itself: save, then perform; tell only what is saved; end, whatever the answers are.

use std::collections::BTreeSet;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;
use crate::effect::{Effect, IntentState};
use crate::event::SignalKind;
use crate::guard::Refusal;
use crate::incident::{Ending, Event, Incident, Outcome, Phase, Symptom};
use crate::observe::samples::{Seen, command_trouble, ecs_disconnect, home, node_id, noon, seen};
use crate::policy::Mode;
use crate::ports::{Claims, Expect, Found, KillSwitch, Permits, Rails};
use crate::report::{Report, ReportKind};
use crate::time::after;

fn context() -> Arc<Context> {
    Arc::new(Context { home: home(), policy: Policy::in_mode(Mode::Replace) })
}

fn loaded(incident: Option<Incident>) -> Answer {
    let rails = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };
    Answer::Loaded(Box::new(Loaded { incident: incident.map(Arc::new), rails, last: None, unsent: Vec::new() }))
}

fn observed(seen: Seen) -> Answer {
    Answer::Observed(Arc::new(seen.0))
}

const SAVED: Answer = Answer::Committed(Committed::Saved);

/// Ten minutes after a command was not delivered, about to be treated.
fn patient(now: Timestamp) -> Incident {
    let at = after(now, -600);
    let mut incident = Incident::open(&home(), &seen(at), Symptom { at, kind: command_trouble() }, at, after(at, 300));
    (incident.version, incident.looks) = (4, 2);
    incident.phase = Phase::Examining { since: now, deadline: after(now, 1_800), sending: None };
    incident
}

/// A pass that is played by hand.
struct Played {
    pass: Box<Pass>,
    request: Request,
    now: Timestamp,
}

fn begin(trigger: Trigger) -> Played {
    let now = noon();
    let (pass, request) = Pass::new(context(), trigger).step(Answer::Start, now);
    Played { pass, request, now }
}

fn woken() -> Played {
    begin(Trigger::Wake(patient(noon()).id))
}

impl Played {
    fn answer(self, answer: Answer) -> Self {
        let now = after(self.now, 1);
        let (pass, request) = self.pass.step(answer, now);
        Self { pass, request, now }
    }

    fn wait(mut self, secs: i64) -> Self {
        self.now = after(self.now, secs);
        self
    }

    fn commit(&self) -> &Commit {
        match &self.request {
            Request::Commit(commit) => commit,
            other => panic!("not a commit: {other:?}"),
        }
    }

    fn done(&self) -> &Done {
        match &self.request {
            Request::Done(done) => done,
            other => panic!("not done: {other:?}"),
        }
    }
}

/// Up to the commit that carries a reboot.
fn about_to_reboot() -> Played {
    woken().answer(loaded(Some(patient(noon())))).answer(observed(seen(after(noon(), 1)).ssm_silent()))
}

#[test]
fn an_effect_is_sent_after_it_is_saved_and_its_answer_is_saved_too() {
    let saving = about_to_reboot();
    let commit = saving.commit();
    assert_eq!((commit.expect, commit.next.version), (Expect::Version(4), 5));
    assert!(matches!(commit.permits, Permits::Take(_)));
    let sending = saving.answer(SAVED);
    let Request::Perform(perform) = &sending.request else { panic!("{:?}", sending.request) };
    assert_eq!(perform.effect, Effect::Reboot);
    let settling = sending.answer(Answer::Performed(Performed::Done { command: None }));
    assert_eq!((settling.commit().expect, settling.commit().next.phase.name()), (Expect::Version(5), "verifying"));
    let done = settling.answer(SAVED);
    assert_eq!(done.done().verdict, Verdict::Progress);
    assert!(done.done().wake_at.is_some());
}

#[test]
fn nothing_is_sent_after_a_save_that_failed_or_was_lost() {
    let failed = about_to_reboot().answer(Answer::Failed(PortError::Transient));
    assert_eq!(failed.done().verdict, Verdict::Retry(PortError::Transient));
    let lost = about_to_reboot().answer(Answer::Committed(Committed::Conflict));
    assert!(matches!(lost.request, Request::Load(_)), "whoever loses reads again: {:?}", lost.request);
}

#[test]
fn an_effect_whose_time_has_passed_is_not_sent() {
    let late = about_to_reboot().wait(25).answer(SAVED);
    let next = &late.commit().next;
    assert_eq!(next.phase.name(), "examining");
    assert!(next.history.iter().any(|entry| entry.event == Event::Expired(Effect::Reboot)));
}

#[test]
fn a_rail_in_the_ledger_parks_the_incident() {
    let refusal = Refusal::Paused;
    let parking = about_to_reboot().answer(Answer::Committed(Committed::Refused(refusal)));
    assert_eq!((parking.commit().next.phase.name(), parking.commit().next.version), ("parked", 5));
    assert_eq!(parking.answer(SAVED).done().verdict, Verdict::Progress);
}

#[test]
fn whoever_loses_again_and_again_leaves_it_to_the_next_trigger() {
    let mut played = about_to_reboot();
    for _ in 0..3 {
        played = played.answer(Answer::Committed(Committed::Conflict)).answer(loaded(Some(patient(noon()))));
        played = played.answer(observed(seen(noon()).ssm_silent()));
    }
    let done = played.answer(Answer::Committed(Committed::Conflict));
    assert_eq!(done.done().verdict, Verdict::Retry(PortError::Transient));
}

#[test]
fn an_answer_is_saved_even_when_somebody_else_saved_something_meanwhile() {
    let saving = about_to_reboot();
    let saved = Arc::clone(&saving.commit().next);
    let sending = saving.answer(SAVED);
    let lost = sending
        .answer(Answer::Performed(Performed::Done { command: None }))
        .answer(Answer::Committed(Committed::Conflict));
    let mut theirs = (*saved).clone();
    theirs.version += 1;
    theirs.add_symptom(Symptom { at: noon(), kind: SignalKind::SessionRefused });
    let again = lost.answer(loaded(Some(theirs)));
    let next = &again.commit().next;
    assert_eq!((next.version, next.phase.name(), next.symptoms.len()), (7, "verifying", 2));
}

/// A pass that stood still for so long that its incident is closed and the next one has come just as far: both of their
/// intents are number one.
#[test]
fn what_became_of_an_effect_is_never_saved_in_another_incident() {
    let healed = Trigger::Signal(Signal { node: node_id(), at: noon(), kind: SignalKind::CommandSucceeded });
    let incident = Incident { phase: Phase::Watching { until: noon() }, ..patient(noon()) };
    let silent = || observed(seen(after(noon(), 1)).ssm_silent());
    let sending = begin(healed).answer(loaded(Some(incident))).answer(silent()).answer(SAVED);
    let Request::Perform(perform) = &sending.request else { panic!("{:?}", sending.request) };
    let mut next = patient(after(noon(), 900));
    next.phase = about_to_reboot().commit().next.phase.clone();
    assert_eq!(
        next.phase.intent().map(|intent| (intent.id, &intent.state)),
        Some((perform.intent, &IntentState::Pending))
    );
    let settling = sending.wait(900).answer(Answer::Performed(Performed::TooLate));
    let late = settling.answer(Answer::Committed(Committed::Conflict)).answer(loaded(Some(next)));
    assert!(matches!(late.request, Request::Done(_)), "{:?}", late.request);
}

#[test]
fn a_report_is_saved_then_sent_then_marked() {
    let at = after(noon(), 1);
    let saving =
        woken().answer(loaded(Some(patient(noon())))).answer(observed(seen(at).ssm_silent().profile_missing()));
    let item = Arc::clone(&saving.commit().outbox[0]);
    assert_eq!((item.id.outcome, item.id.n, item.report.kind), (Outcome::NeedsHuman, 1, ReportKind::NeedsHuman));
    let telling = saving.answer(SAVED);
    assert_eq!(telling.request, Request::Publish(Arc::clone(&item)));
    let marking = telling.answer(Answer::Ok);
    assert_eq!(marking.request, Request::MarkSent(item.id));
    assert_eq!(marking.answer(Answer::Ok).done().verdict, Verdict::Progress);
}

#[test]
fn reports_that_nobody_marked_are_sent_again_under_the_same_id() {
    let mut over = patient(noon());
    over.phase = Phase::Closed { ending: Ending::Gone, at: noon() };
    let incident = Arc::new(over);
    let report = Report { kind: ReportKind::Ended, at: noon(), mode: Mode::Cycle, incident: Arc::clone(&incident) };
    let item = Arc::new(OutboxItem {
        id: ReportId { incident: incident.id, outcome: Outcome::Gone, n: 1 },
        report,
        gather: None,
    });
    let rails = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };
    let unsent = vec![Arc::clone(&item)];
    let known = Loaded { incident: Some(incident), rails, last: None, unsent };
    let telling = woken().answer(Answer::Loaded(Box::new(known)));
    assert_eq!(telling.request, Request::Publish(item));
    let done = telling.answer(Answer::Ok).answer(Answer::Ok);
    assert_eq!((&done.done().verdict, done.done().wake_at), (&Verdict::Closed, None));
}

#[test]
fn another_symptom_is_added_and_the_same_one_is_not() {
    let signal = |kind| Trigger::Signal(Signal { node: node_id(), at: noon(), kind });
    let other = begin(signal(ecs_disconnect())).answer(loaded(Some(patient(noon()))));
    assert_eq!(other.commit().next.symptoms.len(), 2);
    let same = begin(signal(command_trouble())).answer(loaded(Some(patient(noon()))));
    assert_eq!(same.done().verdict, Verdict::Progress);
}

#[test]
fn a_new_incident_expects_that_there_is_none() {
    let signal = Signal { node: node_id(), at: noon(), kind: ecs_disconnect() };
    let opening = begin(Trigger::Signal(signal)).answer(loaded(None)).answer(observed(seen(noon()).ecs_lost()));
    let none = Expect::NoOpenIncident { last: None };
    assert_eq!((opening.commit().expect, opening.commit().next.version), (none, 1));
}

#[test]
fn a_sweep_hands_on_what_it_found() {
    let signal = Signal { node: node_id(), at: noon(), kind: ecs_disconnect() };
    let overdue = patient(noon()).id;
    let found = Found { signal: signal.clone(), since: Some(noon()), last: None };
    let survey = Survey { troubled: vec![found], overdue: vec![overdue], ..Survey::default() };
    let posting = begin(Trigger::Sweep).answer(Answer::Surveyed(Box::new(survey)));
    assert!(matches!(posting.request, Request::Post(_)), "the first sweep remembers that it was the first");
    let done = posting.answer(SAVED);
    assert_eq!(done.done().follow, [Trigger::Wake(overdue), Trigger::Signal(signal)]);
}

#[test]
fn a_pass_that_stood_still_begins_nothing_on_the_policy_of_its_beginning() {
    let looked = |secs: i64| {
        let next = woken().wait(secs - 1).answer(loaded(Some(patient(noon()))));
        matches!(&next.request, Request::Done(done) if done.verdict == Verdict::Retry(PortError::Transient))
    };
    assert_eq!([30, 31].map(looked), [false, true]);
    // Whatever it was that asked for a look.
    let told = Trigger::Signal(Signal { node: node_id(), at: noon(), kind: SignalKind::EcsConnected });
    let watched = || {
        let incident = patient(noon());
        Incident { phase: Phase::Watching { until: after(noon(), 300) }, ..incident }
    };
    let looks = |secs: i64| begin(told.clone()).wait(secs - 1).answer(loaded(Some(watched()))).request;
    assert!(matches!(looks(30), Request::Observe(..)));
    assert!(matches!(looks(31), Request::Done(done) if done.verdict == Verdict::Retry(PortError::Transient)));
}

#[test]
fn an_answer_that_does_not_fit_is_tried_again_later() {
    let done = woken().answer(SAVED);
    assert_eq!(done.done().verdict, Verdict::Retry(PortError::Transient));
}

/// A port that answers whatever it likes, mostly with what was asked for.
struct Whims {
    rng: Rng,
    now: Timestamp,
    stored: Option<Arc<Incident>>,
    /// Reports that may be told: saved ones, and those that the ledger had.
    tellable: BTreeSet<ReportId>,
    last_saved: Option<Arc<Incident>>,
}

impl Whims {
    fn seen(&mut self) -> Seen {
        let all = seen(self.now);
        match self.rng.u8(0..10) {
            0 => all,
            1 => all.ssm_doubtful(),
            2 => all.ssm_silent().profile_missing(),
            3 => all.ssm_silent().hardware_failing(),
            4 => all.in_cluster().in_group().ecs_lost().ssm_silent(),
            5 => all.ssm_silent().untagged(),
            6 => all.state(crate::observe::InstanceState::Terminated),
            _ => all.ssm_silent(),
        }
    }

    fn answer(&mut self, request: &Request) -> Answer {
        if self.rng.u8(0..25) == 0 {
            return match self.rng.u8(0..5) {
                0 => Answer::Start,
                1 => Answer::Ok,
                2 => Answer::Surveyed(Box::default()),
                3 => Answer::Performed(Performed::Refused),
                _ => Answer::Failed(PortError::Transient),
            };
        }
        match request {
            Request::Load(_) => {
                let incident = self.stored.clone().filter(|_| self.rng.u8(0..8) > 0);
                let unsent: Vec<_> = incident.iter().filter(|_| self.rng.bool()).map(unsent).collect();
                self.tellable.extend(unsent.iter().map(|item| item.id));
                let rails = Rails { switch: KillSwitch::Running, muted_until: None, quarantine: None, around: None };
                Answer::Loaded(Box::new(Loaded { incident, rails, last: None, unsent }))
            }
            Request::Observe(..) => observed(self.seen()),
            Request::Commit(commit) => Answer::Committed(match self.rng.u8(0..8) {
                0 | 1 => Committed::Conflict,
                2 if matches!(commit.permits, Permits::Take(Claims { .. })) => Committed::Refused(Refusal::Paused),
                _ => {
                    self.tellable.extend(commit.outbox.iter().map(|item| item.id));
                    self.stored = Some(Arc::clone(&commit.next));
                    self.last_saved = Some(Arc::clone(&commit.next));
                    Committed::Saved
                }
            }),
            Request::Perform(_) => Answer::Performed(match self.rng.u8(0..4) {
                0 => Performed::Done { command: None },
                1 => Performed::Refused,
                2 => Performed::TooLate,
                _ => Performed::Unknown,
            }),
            Request::Publish(_) | Request::MarkSent(_) | Request::Switch(_) => Answer::Ok,
            Request::Shelve(_) | Request::PublishDigest(_) | Request::MarkDigestSent(_) => Answer::Ok,
            Request::Post(_) => Answer::Committed(Committed::Saved),
            Request::Survey => Answer::Surveyed(Box::default()),
            Request::Done(_) => Answer::Start,
        }
    }

    /// What may be asked for, given all that was answered.
    fn check(&self, request: &Request) {
        match request {
            Request::Perform(perform) => {
                let saved = self.last_saved.as_ref().expect("something was saved");
                let intent = saved.phase.intent().expect("the intent was saved");
                assert_eq!((saved.id, intent.id, intent.effect), (perform.incident, perform.intent, perform.effect));
                assert_eq!(intent.state, IntentState::Pending);
                assert!(self.now <= perform.not_after);
            }
            Request::Publish(item) => assert!(self.tellable.contains(&item.id), "{} was never saved", item.id),
            Request::MarkSent(id) => assert!(self.tellable.contains(id)),
            _ => {}
        }
    }
}

fn unsent(incident: &Arc<Incident>) -> Arc<OutboxItem> {
    let report = Report { kind: ReportKind::Reminder, at: noon(), mode: Mode::Cycle, incident: Arc::clone(incident) };
    Arc::new(OutboxItem {
        id: ReportId { incident: incident.id, outcome: Outcome::NeedsHuman, n: 90 },
        report,
        gather: None,
    })
}

fn any_trigger(rng: &mut Rng) -> Trigger {
    let id = patient(noon()).id;
    let signal = |kind| Trigger::Signal(Signal { node: node_id(), at: noon(), kind });
    let ask = |action| Trigger::Operator(OperatorRequest { by: "ops".into(), action, at: noon(), plan: None });
    match rng.u8(0..9) {
        0 => signal(ecs_disconnect()),
        1 => signal(command_trouble()),
        2 => signal(SignalKind::CommandSucceeded),
        3 => ask(Action::Fix(node_id(), None)),
        4 => ask(Action::Approve(id)),
        5 => ask(Action::Close(id)),
        6 => ask(Action::Switch(Switch::Pause)),
        7 => Trigger::Sweep,
        _ => Trigger::Wake(id),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn every_pass_ends_and_keeps_its_order_whatever_the_answers_are(seed in any::<u64>()) {
        let mut rng = Rng::with_seed(seed);
        let (mut now, trigger) = (noon(), any_trigger(&mut rng));
        let stored = rng.bool().then(|| Arc::new(patient(noon())));
        let mut whims = Whims { rng, now, stored, tellable: BTreeSet::new(), last_saved: None };
        let (mut pass, mut request) = Pass::new(context(), trigger).step(Answer::Start, now);
        let mut steps = 0;
        while !matches!(request, Request::Done(_)) {
            steps += 1;
            prop_assert!(steps <= 60, "no end in sight: {:?}", request);
            whims.check(&request);
            let answer = whims.answer(&request);
            now = after(now, whims.rng.i64(0..12));
            whims.now = now;
            (pass, request) = pass.step(answer, now);
        }
        let (_, after_the_end) = pass.step(Answer::Ok, now);
        prop_assert!(matches!(after_the_end, Request::Done(_)), "nothing follows the end");
    }
}
