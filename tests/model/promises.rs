//! The promises of docs/SAFETY.md, judged by what is true in the model. Nothing is planted while they judge.

use defib::effect::{Effect, IntentId, IntentState, Weight};
use defib::incident::{AttemptResult, Incident, IncidentId, Outcome};
use defib::ports::{Commit, OutboxItem, Perform, Permits};
use defib::time::{after, secs_between};
use jiff::Timestamp;

use super::state::{COOLDOWN_SECS, LATE_SECS, Sight, State};

/// How long a node must have been well for a remedy on it to be a breach, in seconds.
const WELL_SECS: i64 = 90;
/// The oldest look that a disruptive effect may rest on, in seconds.
const FRESH_SECS: i64 = 30;
/// Until when after a pause a disruptive effect may land, in seconds.
const PAUSE_SECS: i64 = 60;

/// A promise of docs/SAFETY.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "docs/SAFETY.md says what they are")]
pub(crate) enum Promise {
    S1,
    S2,
    S5,
    S6,
    S7,
    S8,
    L2,
}

/// Which promise was broken, and how.
pub(crate) type Broken = (Promise, &'static str);

/// An effect that landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Landed {
    /// For which incident.
    pub(crate) incident: IncidentId,
    /// Under which name.
    pub(crate) intent: IntentId,
    /// What.
    pub(crate) effect: Effect,
    /// How many attempts there were in its incident.
    pub(crate) attempt: usize,
}

impl State {
    pub(crate) fn broke(&mut self, promise: Promise, how: &'static str) {
        self.broken.get_or_insert((promise, how));
    }

    /// S1 and S8, when an effect is sent: on fresh reads that saw something, and in time.
    pub(crate) fn judge_sending(&mut self, sight: Option<Sight>, perform: &Perform) {
        let weight = perform.effect.weight();
        if weight == Weight::Disruptive && self.now > perform.not_after {
            self.broke(Promise::S1, "a disruptive effect was sent after its time");
        }
        if matches!(weight, Weight::ReadOnly | Weight::Restoring) {
            return;
        }
        match sight {
            None => self.broke(Promise::S8, "an effect was sent without any look"),
            Some(sight) if sight.blind => self.broke(Promise::S8, "an effect was sent after a blind look"),
            Some(sight) if weight == Weight::Disruptive && secs_between(sight.at, self.now) > FRESH_SECS => {
                self.broke(Promise::S1, "a disruptive effect was sent on old reads");
            }
            Some(_) => {}
        }
    }

    /// S1, S2, S5, S6 and S7, when an effect lands.
    pub(crate) fn judge_landing(&mut self, perform: &Perform) {
        let now = self.now;
        let incident = self.ledger.incident(perform.incident).cloned();
        let attempt = incident.as_ref().map_or(0, |incident| incident.attempts.len());
        let landing = Landed { incident: perform.incident, intent: perform.intent, effect: perform.effect, attempt };
        let same = |earlier: &Landed| (earlier.incident, earlier.intent) == (landing.incident, landing.intent);
        if self.landed.iter().any(same) {
            self.broke(Promise::S5, "an effect landed twice");
        }
        let pending = incident
            .as_ref()
            .and_then(|incident| incident.phase.intent())
            .is_some_and(|intent| intent.id == perform.intent && intent.state == IntentState::Pending);
        if !pending {
            self.broke(Promise::S5, "an effect landed whose intent was not saved, or was given up");
        }
        if now > after(perform.not_after, LATE_SECS) {
            self.broke(Promise::S1, "an effect landed long after its time");
        }
        if perform.effect.weight() == Weight::Disruptive {
            self.judge_disruption(&landing, perform, incident.as_deref());
        }
        self.landed.push(landing);
    }

    fn judge_disruption(&mut self, landing: &Landed, perform: &Perform, incident: Option<&Incident>) {
        let now = self.now;
        let node = self.nodes.iter().find(|node| node.id == perform.target.node);
        if node.and_then(|node| node.well_since).is_some_and(|since| secs_between(since, now) >= WELL_SECS) {
            self.broke(Promise::S1, "a node was cycled that had been well for 90 s");
        }
        if self.paused_since.is_some_and(|since| secs_between(since, now) > PAUSE_SECS) {
            self.broke(Promise::S6, "a disruptive effect landed more than 60 s after the pause");
        }
        let others = self.ledger.open().filter(|other| other.id != landing.incident);
        if others.filter(|other| is_disrupted(other)).count() > 0 {
            self.broke(Promise::S2, "two nodes of a small group were cycled at once");
        }
        let again =
            |earlier: &Landed| earlier.effect.weight() == Weight::Disruptive && earlier.incident == landing.incident;
        if self.landed.iter().any(|earlier| again(earlier) && earlier.attempt == landing.attempt) {
            self.broke(Promise::S5, "two effects landed for one attempt");
        }
        let hasty = incident.is_some_and(|incident| {
            let acted: Vec<Timestamp> = incident.attempts.iter().filter_map(|tried| tried.acted_at).collect();
            acted.windows(2).any(|pair| secs_between(pair[0], pair[1]) < COOLDOWN_SECS)
        });
        if hasty {
            self.broke(Promise::S5, "two tries were less than a cooldown apart");
        }
        let unverified = incident.is_some_and(|incident| {
            let earlier = incident.attempts.iter().rev().skip(1);
            earlier.into_iter().any(|tried| tried.result == AttemptResult::Running && tried.acted_at.is_some())
        });
        if unverified {
            self.broke(Promise::S7, "a remedy was sent past one that was not verified");
        }
    }

    /// S6, when a change was saved: nothing disruptive while paused.
    pub(crate) fn judge_saved(&mut self, commit: &Commit) {
        let takes = matches!(commit.permits, Permits::Take(_));
        if takes && self.paused_since.is_some() {
            self.broke(Promise::S6, "a disruptive remedy was saved while paused");
        }
    }

    /// L2, when people are told: only of what is saved.
    pub(crate) fn judge_telling(&mut self, item: &OutboxItem) {
        let saved = self.ledger.incident(item.id.incident);
        if saved.is_none_or(|saved| saved.version < item.report.incident.version || saved.reports < item.id.n) {
            self.broke(Promise::L2, "people were told of what was not saved");
        }
    }

    /// S5: at most one open incident a node.
    pub(crate) fn one_incident_a_node(&self) -> bool {
        self.nodes.iter().all(|node| {
            self.ledger.incidents().filter(|incident| incident.node == node.id && !incident.is_closed()).count() <= 1
        })
    }

    /// S9: permits held are the permits of open incidents that say so.
    pub(crate) fn permits_have_open_holders(&self) -> bool {
        let holds = |id| self.ledger.incident(id).is_some_and(|held| !held.is_closed() && held.holds.permits);
        let has = |id| self.ledger.holders().any(|(_, holder)| holder == id);
        self.ledger.holders().all(|(_, holder)| holds(holder))
            && self.ledger.open().all(|incident| !incident.holds.permits || has(incident.id))
    }

    /// L2: an end that must be told has its report saved or sent.
    pub(crate) fn every_end_has_its_report(&self) -> bool {
        self.ledger.incidents().all(|incident| {
            let Some(outcome) = incident.ending().map(defib::incident::Ending::outcome) else { return true };
            let silent = outcome == Outcome::SelfHealed && incident.reports == 0;
            let of_end = |id: &defib::ports::ReportId| id.incident == incident.id && id.n == incident.reports;
            silent || self.published.iter().any(of_end) || self.ledger.unsent().iter().any(|item| of_end(&item.id))
        })
    }

    /// Whether the kill switch is thrown.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused_since.is_some()
    }
}

/// Whether a disruptive remedy of an incident has been sent and is not over.
fn is_disrupted(incident: &Incident) -> bool {
    incident.attempts.last().is_some_and(|attempt| {
        attempt.remedy.is_disruptive() && attempt.result == AttemptResult::Running && attempt.acted_at.is_some()
    })
}
