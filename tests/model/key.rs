//! What makes two states the same: everything that makes a difference from now on, with every moment told from now.
//!
//! Left out is what nothing reads any more: when things of long ago were, most lines of the history, absolute versions.
//! That nothing reads them is not believed but tried: `main.rs` checks that states with the same key lead to the same keys.

use std::hash::{Hash, Hasher};

use defib::effect::{Intent, IntentState};
use defib::engine::{Request, Trigger};
use defib::incident::{Event, Incident, IncidentId, Phase};
use defib::ports::{Commit, Expect, OutboxItem, Perform, Permits, ReportId};
use defib::time::secs_between;
use jiff::Timestamp;

use super::state::{Running, State};

/// Further back, in seconds, everything is as long ago; and no rule looks so far ahead.
const LONG_AGO_SECS: i64 = 20_000;

/// Tells moments as seconds from now.
#[derive(Debug)]
pub(crate) struct Ago(pub Timestamp);

impl Ago {
    /// Seconds since then; negative for what is to come.
    pub(crate) fn of(&self, at: Timestamp) -> i64 {
        self.capped(at, LONG_AGO_SECS)
    }

    /// The same, where it makes no difference how much longer ago than this it was.
    pub(crate) fn capped(&self, at: Timestamp, most: i64) -> i64 {
        secs_between(at, self.0).min(most)
    }
}

/// A hasher for many small numbers: multiplies to 128 bits and folds both halves.
#[derive(Debug, Default)]
pub(crate) struct Mixer(u64);

const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

impl Mixer {
    #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
    fn mix(&mut self, number: u64) {
        let wide = u128::from(self.0.rotate_left(29) ^ number ^ 0xa076_1d64_78bd_642f) * u128::from(FACTOR);
        self.0 = (wide as u64) ^ ((wide >> 64) as u64) ^ number.rotate_left(32);
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        let mut last = Self(self.0);
        last.mix(FACTOR);
        last.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut whole = [0; 8];
            whole[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(whole));
        }
        self.mix(bytes.len() as u64);
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number.cast_unsigned() as u64);
    }

    fn write_i64(&mut self, number: i64) {
        self.mix(number.cast_unsigned());
    }
}

impl State {
    /// What makes it the same as another one.
    pub(crate) fn key(&self) -> u64 {
        let mut mixer = Mixer::default();
        (self.started, self.mishaps, self.broken).hash(&mut mixer);
        mixer.write_u64(self.lasting_key());
        let keyer = Keyer { state: self, ago: Ago(self.now) };
        // Which of two invocations is called the first makes no difference.
        let each = |sum: u64, key: u64| sum.wrapping_add(key);
        mixer.write_u64(self.running.iter().map(|running| keyer.running(running)).fold(0, each));
        mixer.finish()
    }

    /// The same without what is going on: the nodes, what Defib remembers, and what was done.
    pub(crate) fn lasting_key(&self) -> u64 {
        let keyer = Keyer { state: self, ago: Ago(self.now) };
        let (ago, mut mixer) = (&keyer.ago, Mixer::default());
        self.asked.hash(&mut mixer);
        // Later than a minute after a pause nothing may land any more.
        self.paused_since.map(|since| ago.capped(since, 61)).hash(&mut mixer);
        for node in &self.nodes {
            node.shape(ago).hash(&mut mixer);
        }
        for incident in self.ledger.incidents() {
            keyer.incident(incident, &mut mixer);
        }
        for (_, holder) in self.ledger.holders() {
            keyer.name(holder).hash(&mut mixer);
        }
        keyer.reports(self.ledger.unsent().iter().map(|item| item.id)).hash(&mut mixer);
        keyer.reports(self.published.iter().copied()).hash(&mut mixer);
        for landed in &self.landed {
            (keyer.name(landed.incident), landed.intent, landed.effect, landed.attempt).hash(&mut mixer);
        }
        let late = self.late.iter().map(|late| {
            let mut mixer = Mixer::default();
            ago.of(late.sent_at).hash(&mut mixer);
            keyer.perform(&late.perform, &mut mixer);
            mixer.finish()
        });
        mixer.write_u64(late.fold(0, u64::wrapping_add));
        mixer.finish()
    }
}

/// Tells the parts of a state.
struct Keyer<'a> {
    state: &'a State,
    ago: Ago,
}

impl Keyer<'_> {
    /// An incident by its place among all of them: its id holds a moment.
    fn name(&self, id: IncidentId) -> Option<usize> {
        self.state.ledger.incidents().position(|incident| incident.id == id)
    }

    fn reports(&self, ids: impl Iterator<Item = ReportId>) -> Vec<(Option<usize>, u8, u32)> {
        let mut told: Vec<_> = ids.map(|id| (self.name(id.incident), id.outcome as u8, id.n)).collect();
        told.sort_unstable();
        told
    }

    fn incident(&self, incident: &Incident, mixer: &mut Mixer) {
        let ago = &self.ago;
        let cause = incident.diagnosis.as_ref().map(|found| (found.cause, found.confidence));
        (incident.node, cause, incident.reports, incident.intents).hash(mixer);
        for symptom in &incident.symptoms {
            symptom.kind.hash(mixer);
        }
        if let Phase::Closed { ending, .. } = &incident.phase {
            return ending.outcome().hash(mixer);
        }
        let policy_waits = super::state::HOLD_DOWN_SECS;
        (ago.capped(incident.first_seen, policy_waits), incident.looks.min(2), incident.holds).hash(mixer);
        let run = incident.ecs_down;
        run.map(|run| (ago.of(run.since), ago.capped(run.until, 361), run.ssm_away, run.impaired)).hash(mixer);
        for tried in &incident.attempts {
            let acted = tried.acted_at.map(|at| ago.of(at));
            (tried.remedy, tried.result, acted, ago.of(tried.at)).hash(mixer);
        }
        if let Some(probe) = &incident.probe {
            let node = self.state.nodes.iter().find(|node| node.id == incident.node);
            let facts = probe.command.as_ref().and_then(|command| node?.probe_shape(command, ago));
            (ago.of(probe.at), probe.command.is_some(), facts).hash(mixer);
        }
        incident.asked.as_ref().map(|asked| ago.of(asked.at)).hash(mixer);
        incident.wake_at.map(|wake| ago.capped(wake, 0)).hash(mixer);
        self.phase(&incident.phase, mixer);
        for entry in incident.history.iter() {
            self.line(entry.at, &entry.event, mixer);
        }
    }

    fn phase(&self, phase: &Phase, mixer: &mut Mixer) {
        let ago = &self.ago;
        std::mem::discriminant(phase).hash(mixer);
        match phase {
            Phase::Watching { until } => ago.capped(*until, 0).hash(mixer),
            Phase::Examining { deadline, sending, .. } => {
                ago.capped(*deadline, 0).hash(mixer);
                self.intent(sending.as_ref(), mixer);
            }
            Phase::Parked { refusal, .. } => refusal.rail().hash(mixer),
            Phase::Treating { intent, remedy, deadline } => {
                (remedy, ago.capped(*deadline, 0)).hash(mixer);
                self.intent(Some(intent), mixer);
            }
            Phase::Verifying { remedy, since, deadline, proven_since, sending } => {
                let proven = proven_since.map(|since| ago.capped(since, 60));
                (remedy, ago.of(*since), ago.capped(*deadline, 0), proven).hash(mixer);
                self.intent(sending.as_ref(), mixer);
            }
            Phase::Resting { why, remind_at, .. } => (why.outcome(), ago.capped(*remind_at, 0)).hash(mixer),
            Phase::Closed { ending, .. } => ending.outcome().hash(mixer),
            Phase::Draining { .. } | Phase::Standby { .. } => panic!("the model has no group and no active instance"),
        }
    }

    fn intent(&self, intent: Option<&Intent>, mixer: &mut Mixer) {
        let Some(intent) = intent else { return };
        (intent.id, intent.effect, std::mem::discriminant(&intent.state)).hash(mixer);
        if intent.state == IntentState::Pending {
            self.ago.capped(intent.not_after, 30).hash(mixer);
            #[cfg(feature = "plants")]
            self.ago.of(intent.committed_at).hash(mixer);
        }
    }

    /// The lines of the history that something reads.
    fn line(&self, at: Timestamp, event: &Event, mixer: &mut Mixer) {
        match event {
            Event::Diagnosed { cause, .. } => (1, cause).hash(mixer),
            Event::Chosen { .. } => 2.hash(mixer),
            Event::Ended { .. } => 3.hash(mixer),
            Event::Parked(refusal) => (4, refusal.rail()).hash(mixer),
            Event::HostRefused { remedy, .. } => (10, remedy).hash(mixer),
            Event::Operator(word) => (5, word).hash(mixer),
            Event::Reminded => (6, self.ago.of(at)).hash(mixer),
            Event::Closed(ending) => (7, ending.outcome(), self.ago.of(at)).hash(mixer),
            Event::ProbeAnswered { .. } => (8, self.ago.of(at)).hash(mixer),
            Event::Reached(milestone) => (9, milestone, self.ago.of(at)).hash(mixer),
            Event::Told(_)
            | Event::InvocationRead(_)
            | Event::Looked { .. }
            | Event::HoldDownOver { .. }
            | Event::ProbeUndelivered
            | Event::Done(_)
            | Event::Refused(_)
            | Event::Expired(_)
            | Event::Burned(_)
            | Event::Drained { .. }
            | Event::SessionsCut { .. }
            | Event::Unparked => {}
        }
    }

    fn perform(&self, perform: &Perform, mixer: &mut Mixer) {
        let name = self.name(perform.incident);
        (name, perform.intent, perform.effect, self.ago.capped(perform.not_after, 31)).hash(mixer);
    }

    /// An invocation: what started it, what it asks for, and what it remembers.
    fn running(&self, running: &Running) -> u64 {
        let mut mixer = Mixer::default();
        match running.pass.trigger() {
            Trigger::Signal(signal) => (1, signal.node, &signal.kind).hash(&mut mixer),
            Trigger::Wake(id) => (2, self.name(*id)).hash(&mut mixer),
            Trigger::Operator(request) => (3, &request.action).hash(&mut mixer),
            Trigger::Sweep => 4.hash(&mut mixer),
        }
        let sight = running.sight.map(|sight| (self.ago.capped(sight.at, 31), sight.blind));
        (running.stands, running.wrote, running.tries, running.performed, sight).hash(&mut mixer);
        self.reports(running.untold.iter().copied()).hash(&mut mixer);
        let stored = running.saved.as_ref().map(|saved| (self.state.ledger.incident(saved.id), saved));
        let behind = stored.is_some_and(|(stored, saved)| stored.is_none_or(|stored| stored != saved));
        (behind, running.saved.as_ref().map(|saved| self.name(saved.id))).hash(&mut mixer);
        match &running.request {
            // It will read again and save what became of its effect, if that is still to be saved.
            Request::Commit(_) if behind && running.performed.is_some() => {}
            Request::Commit(commit) => {
                // Once it is old, it reads no more after a conflict.
                running.pass.is_old(self.state.now).hash(&mut mixer);
                self.commit(commit, &mut mixer);
            }
            Request::Perform(perform) => self.perform(perform, &mut mixer),
            other => panic!("nobody stands still at {other:?}"),
        }
        mixer.finish()
    }

    /// How many versions ago something was read. Further behind than one makes no difference: it conflicts.
    fn behind(&self, id: IncidentId, version: u64) -> Option<u64> {
        let stored = self.state.ledger.incident(id)?;
        Some(stored.version.saturating_sub(version).min(1))
    }

    fn commit(&self, commit: &Commit, mixer: &mut Mixer) {
        let expects = match commit.expect {
            Expect::NoOpenIncident { .. } => (!self.state.still_so(commit)).then_some(2),
            Expect::Version(version) => self.behind(commit.next.id, version),
        };
        let permits = match &commit.permits {
            Permits::Keep => 0,
            Permits::Take(_) => 1,
            Permits::Free { unsent_since: None } => 2,
            Permits::Free { unsent_since: Some(_) } => 3,
        };
        (expects, permits, commit.outbox.iter().map(|item: &std::sync::Arc<OutboxItem>| item.id.n).max()).hash(mixer);
        self.incident(&commit.next, mixer);
    }
}
