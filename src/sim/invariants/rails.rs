//! Rails that have no number of their own: patience, people at work, and their leave.

use super::{GRACE_SECS, Inspector, Landing, remedy_of};
use crate::effect::Weight;
use crate::guard::Refusal;
use crate::incident::{Ending, Event, Incident, Phase};
use crate::observe::{Health, Standing};
use crate::policy::places::Highest;
use crate::policy::standing::{News, Wrong};
use crate::policy::{Policy, SessionsRule};
use crate::sim::account::Account;
use crate::time::{after, secs_between};
use jiff::Timestamp;

/// How long an approval may have been on its way and hold, in seconds: an hour from when a pass took it up.
const APPROVED_MAX_SECS: i64 = 3_600 + 1_800;

/// What people were told of a node's quarantine, and when they last ended it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    pub(super) cleared_at: Timestamp,
    pub(super) since: Option<Timestamp>,
}

impl Inspector {
    /// People put this many bad documents where Defib reads its policy; the last of them may stand there still.
    pub fn bad_documents(&mut self, count: usize, stands: bool) {
        self.bad_documents = (count, stands);
    }

    /// A bad document is told once, not once a pass; one that stands at the end was told.
    pub(super) fn each_bad_document_is_told_once(&mut self, account: &Account, now: Timestamp) {
        let told = account.ledger.policy_news().iter().filter(
            |(_, news)| matches!(news, News::Problem(problem) if !matches!(problem.what, Wrong::Unreadable { .. })),
        );
        let told = told.count();
        let (bad, stands) = self.bad_documents;
        if told > bad || (stands && told == 0) {
            self.broken("rail", now, None, || format!("{told} reports about {bad} bad documents"));
        }
    }

    /// A person approves what this incident waits with.
    pub fn approved(&mut self, incident: &Incident, at: Timestamp) {
        // What it waits with when the word reaches it may be another remedy, of which this person knows nothing.
        if let Phase::Parked { refusal: Refusal::Approval { remedy }, .. } = &incident.phase {
            self.approvals.insert(incident.id, (at, *remedy));
        }
    }

    pub(super) fn within_the_rails(&mut self, landing: &Landing<'_>) {
        self.patiently(landing);
        self.never_while_it_boots(landing);
        self.never_under_peoples_hands(landing);
        self.never_beside_other_work(landing);
        self.within_the_table_of_causes(landing);
        self.with_leave(landing);
        self.never_in_quarantine(landing);
    }

    /// Remembers that people are told of a quarantine.
    pub(super) fn follow_quarantine(&mut self, saved: &Incident) {
        let Some(last) = saved.history.last() else { return };
        if !matches!(last.event, Event::Closed(Ending::Quarantined { .. })) {
            return;
        }
        let told = self.quarantines.entry(saved.node).or_insert(Told { cleared_at: Timestamp::MIN, since: None });
        if told.cleared_at < last.at {
            told.since = told.since.or(Some(last.at));
        }
    }

    /// From the moment when a quarantine was told until a person ends it, nothing is begun that stops workload.
    fn never_in_quarantine(&mut self, landing: &Landing<'_>) {
        let stops = matches!(landing.sent.effect.weight(), Weight::Guarding | Weight::Disruptive);
        let since = self.quarantines.get(&landing.sent.node).and_then(|told| told.since);
        if let Some(since) = since
            && stops
        {
            self.breach("rail", landing, || format!("on a node in quarantine since {since}"));
        }
    }

    /// The hold-down counts from the first look; an operator's word skips it.
    fn patiently(&mut self, landing: &Landing<'_>) {
        let Some(first_seen) = self.opened.get(&landing.sent.incident).copied() else { return };
        let hold_down = match landing.sent.effect.weight() {
            Weight::Gentle => landing.least(|policy| policy.restart_hold_down_secs),
            Weight::Guarding | Weight::Disruptive => landing.least(|policy| policy.disruptive_hold_down_secs),
            Weight::ReadOnly | Weight::Restoring => return,
        };
        // What the policy says about the cause goes first; nothing is looked for before the shorter hold-down is over.
        let cause = landing.incident.and_then(|incident| incident.diagnosis.as_ref()).map(|found| found.cause);
        let wait = |policy: &Policy| policy.causes.get(&cause?).and_then(|rule| rule.wait_secs);
        let hold_down = landing.least(|policy| wait(policy).unwrap_or(hold_down));
        let asked = landing.incident.is_some_and(|incident| incident.asked.is_some());
        let waited = secs_between(first_seen, landing.sent.at);
        if waited < hold_down && !asked {
            self.breach("rail", landing, || format!("after {waited}s, hold-down {hold_down}s"));
        }
    }

    /// The launch grace, counted from the launch itself.
    fn never_while_it_boots(&mut self, landing: &Landing<'_>) {
        let grace = landing.least(|policy| policy.launch_grace_secs);
        let age = secs_between(landing.truth.launched_at, landing.sent.at);
        // Started by somebody between the look and the effect: nobody could know.
        if age >= GRACE_SECS && age < grace {
            self.breach("rail", landing, || format!("{age}s after its launch, grace {grace}s"));
        }
    }

    /// Live sessions are waited for, where the policy says so.
    fn never_under_peoples_hands(&mut self, landing: &Landing<'_>) {
        let cuts = remedy_of(landing.sent.effect).is_some_and(crate::incident::Remedy::ends_sessions);
        let live = landing.truth.sessions;
        if cuts && !landing.allowed(|policy| policy.sessions != SessionsRule::Wait) && live > 0 {
            self.breach("rail", landing, || format!("and cut {live} live sessions"));
        }
    }

    /// Nothing beside somebody else's work on a node whose SSM agent was seen to answer, and nothing beside an instance refresh.
    fn never_beside_other_work(&mut self, landing: &Landing<'_>) {
        let (now, account) = (landing.sent.at, landing.account);
        let long = |since: jiff::Timestamp| secs_between(since, now) > GRACE_SECS;
        let answers = landing.seen.is_some_and(|seen| Health::of(seen, seen.at).ssm == Standing::Well);
        if answers && let Some(since) = landing.truth.busy_since.filter(|since| long(*since)) {
            self.breach("rail", landing, || format!("beside somebody's work that had been running since {since}"));
        }
        if let Some(since) = account.world.refreshing_since(landing.sent.node).filter(|since| long(*since)) {
            self.breach("rail", landing, || format!("beside an instance refresh that had been running since {since}"));
        }
    }

    /// Against a cause nothing stronger than the policy's table lets be.
    fn within_the_table_of_causes(&mut self, landing: &Landing<'_>) {
        let Some(remedy) = remedy_of(landing.sent.effect) else { return };
        let Some(found) = landing.incident.and_then(|incident| incident.diagnosis.as_ref()) else { return };
        let cause = found.cause;
        let lets = |policy: &Policy| match policy.causes.get(&cause).and_then(|rule| rule.highest) {
            Some(Highest::Nothing) => false,
            Some(Highest::Remedy(highest)) => remedy <= highest,
            None => true,
        };
        if !landing.allowed(lets) {
            self.breach("rail", landing, || format!("against {cause}, for which the policy does not allow it"));
        }
    }

    /// No step of a disruptive remedy while the change calendar has been closed for long enough to be seen.
    pub(super) fn while_the_calendar_is_open(&mut self, landing: &Landing<'_>) {
        let Some(name) = self.stack().calendar else { return };
        if let Some(since) = landing.account.world.calendar_closed_since(&name)
            && secs_between(since, landing.sent.at) > GRACE_SECS
        {
            self.breach("rail", landing, || format!("though the change calendar has been closed since {since}"));
        }
    }

    /// From some remedy on a person must have approved this very incident, a short time ago.
    fn with_leave(&mut self, landing: &Landing<'_>) {
        let Some(remedy) = remedy_of(landing.sent.effect) else { return };
        let free = landing.allowed(|policy| policy.approve_from.is_none_or(|from| remedy < from));
        let leave = self.approvals.get(&landing.sent.incident).copied();
        let approved = leave.is_some_and(|(at, what)| what == remedy && after(at, APPROVED_MAX_SECS) > landing.sent.at);
        if !free && !approved {
            self.breach("rail", landing, || format!("and nobody had approved it; leave was given for {leave:?}"));
        } else if !free && landing.incident.is_some_and(|incident| incident.approved_by().is_none()) {
            self.breach("rail", landing, || "and nobody can tell who approved it".to_owned());
        }
    }
}
