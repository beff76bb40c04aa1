use super::*;

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn text(text: &str) -> Reading {
    Reading::Text(text.into())
}

/// A stack in mode replace whose passes begin ten minutes apart.
struct Stack {
    policy: Policy,
    kept: Remembered,
    now: Timestamp,
    news: Vec<News>,
    library: Library,
}

impl Stack {
    fn new() -> Self {
        let policy = Policy::in_mode(Mode::Replace);
        Self { policy, kept: Remembered::default(), now: noon(), news: Vec::new(), library: Library::default() }
    }

    /// A pass begins; what is answered is kept.
    fn pass(&mut self, reading: &Reading) -> Option<Policy> {
        self.now = after(self.now, 600);
        let standing = standing(&self.policy, reading, &self.kept, self.now, &mut self.library);
        if let Some(next) = standing.keep {
            assert_eq!(next.version, self.kept.version + 1, "every change is a version");
            self.kept = next;
        }
        self.news.extend(standing.news);
        standing.policy
    }

    fn modes(&mut self, readings: &[Reading]) -> Vec<Mode> {
        readings.iter().map(|reading| self.pass(reading).map_or(Mode::Off, |policy| policy.mode)).collect()
    }
}

#[test]
fn a_decision_may_be_sent_for_a_minute_after_its_document_was_read() {
    let policy = Stack::new().pass(&text(GOOD)).unwrap();
    assert_eq!(policy.known.holds_until(), Some(after(noon(), 660)));
    assert_eq!(Known::default().holds_until(), None);
}

#[test]
fn a_document_that_is_taken_out_of_the_stack_is_forgotten() {
    let mut stack = Stack::new();
    stack.modes(&[text(GOOD), Reading::Unused]);
    assert_eq!(stack.kept.good, None);
}

#[test]
fn what_cannot_be_read_for_a_quarter_of_an_hour_is_no_short_trouble_any_more() {
    let mut stack = Stack::new();
    stack.modes(&[text(GOOD), Reading::Unreadable]);
    let since = stack.now;
    let after_secs = |secs| {
        let mut library = Library::default();
        standing(&stack.policy, &Reading::Unreadable, &stack.kept, after(since, secs), &mut library).policy
    };
    assert_eq!(after_secs(899), None);
    assert_eq!(after_secs(900).map(|policy| policy.mode), Some(Mode::Observe));
}

const GOOD: &str = "mode: cycle\nbudgets: {account-at-once: 2}\ngroups: [{match: web, mode: restart}]\n";
const BAD: &str = "mode: cycle\nbudgets: {account-at-once: lots, group-at-once: 0}\n";

#[test]
fn a_bad_document_leaves_the_last_good_one_in_force_and_only_observes() {
    let mut stack = Stack::new();
    assert_eq!(stack.pass(&text(GOOD)).unwrap().mode, Mode::Cycle);
    let bad = stack.pass(&text(BAD)).unwrap();
    assert_eq!((bad.mode, bad.budgets.account_at_once, bad.highest_mode()), (Mode::Observe, 2, Mode::Observe));
    assert_eq!(bad.at(None, Some("web")).mode, Mode::Observe, "no block goes beyond it");
    assert!(bad.known.fallen.unwrap().covers(stack.now));
}

#[test]
fn it_is_told_once_with_its_place_and_what_is_allowed() {
    let mut stack = Stack::new();
    stack.modes(&[text(GOOD), text(BAD), text(BAD), text(BAD)]);
    let [News::Problem(problem)] = stack.news.as_slice() else { panic!("{:?}", stack.news) };
    assert_eq!(problem.at, after(noon(), 1_200));
    assert_eq!(problem.in_force_hash, Some(DocumentHash::of(GOOD)));
    let Wrong::Invalid { line, column, text, allowed, more } = &problem.what else { panic!("{problem:?}") };
    assert_eq!((*line, *column, *more), (2, 28, 1));
    assert_eq!(text, "account-at-once is \"lots\"");
    assert_eq!(allowed.as_deref(), Some("a whole number from 0 to 100"));
}

#[test]
fn another_bad_document_is_told_of_its_own_and_a_good_one_ends_it_once() {
    let mut stack = Stack::new();
    let modes = stack.modes(&[text(GOOD), text(BAD), text("mode: cyclee"), text(GOOD), text(GOOD)]);
    assert_eq!(modes, [Mode::Cycle, Mode::Observe, Mode::Observe, Mode::Cycle, Mode::Cycle]);
    let [News::Problem(_), News::Problem(_), News::Mended { fallen }] = stack.news.as_slice() else {
        panic!("{:?}", stack.news)
    };
    assert_eq!((fallen.since, fallen.until), (after(noon(), 1_200), Some(after(noon(), 2_400))));
    assert!(stack.kept.fallen.unwrap().covers(after(noon(), 1_800)), "it is remembered afterwards");
    assert!(!stack.kept.fallen.unwrap().covers(stack.now));
}

#[test]
fn a_first_document_that_is_bad_leaves_the_stack_s_limits() {
    let mut stack = Stack::new();
    stack.policy.cooldown_secs = 77;
    let policy = stack.pass(&text("{")).unwrap();
    assert_eq!((policy.mode, policy.cooldown_secs), (Mode::Observe, 77));
    assert!(matches!(&stack.news[..], [News::Problem(PolicyProblem { in_force_hash: None, .. })]));
    assert_eq!(stack.pass(&Reading::Absent).unwrap().mode, Mode::Replace, "it is taken away again");
}

#[test]
fn a_stack_without_a_document_has_its_own_settings_and_remembers_nothing() {
    let mut stack = Stack::new();
    assert_eq!(stack.pass(&Reading::Unused).unwrap(), stack.policy);
    assert_eq!(stack.modes(&[Reading::Absent, Reading::Unused]), [Mode::Replace, Mode::Replace]);
    assert_eq!((&stack.kept, stack.news.len()), (&Remembered::default(), 0));
}

#[test]
fn a_document_that_is_gone_is_not_taken_for_leave_to_do_more() {
    let mut stack = Stack::new();
    let modes = stack.modes(&[text("mode: restart"), Reading::Absent, Reading::Absent, text("{}"), Reading::Unused]);
    assert_eq!(modes, [Mode::Restart, Mode::Observe, Mode::Observe, Mode::Replace, Mode::Replace]);
    assert!(matches!(
        stack.news.as_slice(),
        [News::Problem(PolicyProblem { what: Wrong::Gone, .. }), News::Mended { .. }]
    ));
}

#[test]
fn what_cannot_be_read_is_tried_again_and_only_then_falls_to_observe() {
    let mut stack = Stack::new();
    stack.pass(&text(GOOD));
    assert_eq!(stack.pass(&Reading::Unreadable), None);
    assert_eq!(stack.pass(&Reading::Unreadable), None, "ten minutes");
    assert_eq!(stack.pass(&text(GOOD)).unwrap().mode, Mode::Cycle);
    assert!(stack.news.is_empty(), "a blip is nobody's news");
    for _ in 0..2 {
        assert_eq!(stack.pass(&Reading::Unreadable), None);
    }
    for _ in 0..3 {
        assert_eq!(stack.pass(&Reading::Unreadable).unwrap().mode, Mode::Observe);
    }
    assert!(matches!(
        stack.news.as_slice(),
        [News::Problem(PolicyProblem { what: Wrong::Unreadable { secs: 1_200 }, .. })]
    ));
    assert_eq!(stack.pass(&text(GOOD)).unwrap().mode, Mode::Cycle);
    assert_eq!(stack.news.len(), 2);
}

#[test]
fn a_bad_document_that_cannot_be_read_either_stays_what_it_is() {
    let mut stack = Stack::new();
    let modes = stack.modes(&[text(GOOD), text(BAD), Reading::Unreadable, text(BAD)]);
    assert_eq!(modes, [Mode::Cycle, Mode::Observe, Mode::Observe, Mode::Observe]);
    assert_eq!(stack.news.len(), 1);
}

#[test]
fn a_lower_stack_stays_lower() {
    let mut stack = Stack::new();
    stack.policy.mode = Mode::Off;
    assert_eq!(stack.modes(&[text(GOOD), text(BAD)]), [Mode::Off, Mode::Off]);
}

#[test]
fn what_is_remembered_survives_its_stored_form() {
    let mut stack = Stack::new();
    stack.modes(&[text(GOOD), text(BAD)]);
    let stored = serde_json::to_string(&stack.kept).unwrap();
    assert_eq!(serde_json::from_str::<Remembered>(&stored).unwrap(), stack.kept);
}
