//! Runs the engine over the simulated account in virtual time: the queue, the timers, the sweep, and processes that die.
//!
//! It stands for everything between an event and a pass: EventBridge, the intake queue, Step Functions, the schedule and the
//! Lambda service. Passes interleave request by request, as concurrent invocations do.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use super::account::Account;
use super::chance::{Chance, Choice, Kind, Struck};
use super::coverage::{Coverage, Mishap, Stand};
use super::fault::{CrashPoint, FaultPlan, Faulty};
use crate::engine::{Answer, Context, Done, Pass, Request, Trigger, Verdict, answer, policy_in_force};
use crate::event::Signal;
use crate::incident::IncidentId;
use crate::policy::library::Library;
use crate::policy::standing::{Reading, Remembered};
use crate::time::{after, secs_between};

mod deployment;
mod queue;
mod running;
mod settings;

use queue::{Agenda, Due, Intake};
pub use running::run_pass;
use running::{Late, Running, Source};
pub use settings::{DriverCounts, DriverSettings, Happened, SignalChaos, TraceLine, Watch};

/// Seconds between two sweeps.
pub const SWEEP_SECS: i64 = 300;
/// Concurrent passes: the function's reserved concurrency.
const PASSES_MAX: usize = 10;
/// Seconds that a pass may take: what Lambda allows.
const PASS_MAX_SECS: i64 = 900;
/// Seconds until a message that was received and not deleted can be received again.
const VISIBILITY_SECS: i64 = 180;
/// Seconds until the timer tries again after a failed pass.
const RETRY_SECS: i64 = 60;
/// A process that does not go on for so many seconds stands still.
const STILL_SECS: i64 = 5;
/// A probability of one, in ten-thousandths.
const ALWAYS: u32 = 10_000;
/// The timer never waits for less than this many seconds.
const WAIT_MIN_SECS: i64 = 15;

/// The engine over a simulated account, in virtual time.
#[derive(Debug)]
pub struct Driver {
    ports: Faulty<Account>,
    context: Arc<Context>,
    settings: DriverSettings,
    rng: Rng,
    now: Timestamp,
    agenda: Agenda,
    intake: Intake,
    /// The number of the timer that each incident waits with.
    timers: BTreeMap<IncidentId, u32>,
    /// For which incident each timer was set, by its number.
    timers_set: Vec<IncidentId>,
    slots: Vec<Option<Box<Running>>>,
    backlog: VecDeque<(Trigger, Source)>,
    /// Effects that land after their callers gave up.
    late: Vec<Late>,
    counts: DriverCounts,
    trace: Vec<TraceLine>,
    coverage: Coverage,
    /// What the policy documents say.
    library: Library,
    hash: u64,
}

impl Driver {
    /// A driver that stands at `now`, with its first sweep within the next five minutes.
    #[must_use]
    pub fn new(account: Account, context: Arc<Context>, settings: DriverSettings, now: Timestamp) -> Self {
        Self::choosing(account, context, settings, now, Choice::default())
    }

    /// The same, with only some of what would go wrong by chance.
    #[must_use]
    pub fn choosing(
        account: Account,
        context: Arc<Context>,
        settings: DriverSettings,
        now: Timestamp,
        choice: Choice,
    ) -> Self {
        let mut rng = Rng::with_seed(settings.seed);
        let mut agenda = Agenda::default();
        agenda.add(after(now, rng.i64(1..=SWEEP_SECS)), Due::Sweep);
        Self {
            ports: Faulty::new(account, settings.faults, rng.u64(..), choice),
            context,
            settings,
            rng,
            now,
            agenda,
            intake: Intake::default(),
            timers: BTreeMap::new(),
            timers_set: Vec::with_capacity(64),
            slots: Vec::with_capacity(PASSES_MAX),
            backlog: VecDeque::new(),
            late: Vec::new(),
            counts: DriverCounts::default(),
            trace: Vec::new(),
            coverage: Coverage::default(),
            library: Library::default(),
            hash: 0xcbf2_9ce4_8422_2325,
        }
    }

    /// The moment at which it stands.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> &Account {
        self.ports.inner()
    }

    /// The account, to change it.
    pub fn account_mut(&mut self) -> &mut Account {
        self.ports.inner_mut()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> DriverCounts {
        DriverCounts {
            dead_letters: self.intake.dead,
            waiting: self.messages_waiting(),
            waiting_most: self.intake.most,
            ..self.counts
        }
    }

    /// A number that differs when anything went differently.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The situations that its passes have been in.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What went wrong by chance, when that is kept.
    pub fn struck(&mut self) -> &[Struck] {
        self.ports.chance().struck()
    }

    /// Takes the trace kept so far.
    pub fn take_trace(&mut self) -> Vec<TraceLine> {
        std::mem::take(&mut self.trace)
    }

    /// From now on nothing goes wrong any more; but events may stay lost. Processes that stand still die: nobody waits for them.
    pub fn calm_down(&mut self, lose_events: bool) {
        self.settings.faults = FaultPlan::NONE;
        let lose = if lose_events { ALWAYS } else { 0 };
        self.settings.signals = SignalChaos { lose, ..SignalChaos::default() };
        self.settings.timer_dies = 0;
        self.ports.set_plan(FaultPlan::NONE);
        let soon = after(self.now, STILL_SECS);
        for slot in 0..self.slots.len() {
            let stands = |running: &mut Box<Running>| running.due > soon;
            if let Some(running) = self.slots.get_mut(slot).and_then(|place| place.take_if(stands)) {
                self.die(slot, &running, "stood still");
            }
        }
    }

    /// Sends a trigger to the intake queue at a moment.
    pub fn deliver(&mut self, trigger: Trigger, at: Timestamp) {
        let message = self.intake.send(trigger);
        self.agenda.add(at.max(self.now), Due::Message(short(message)));
    }

    /// Whether nothing is going on: no pass, no message but the sweep, and every open incident rests.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.slots.iter().all(Option::is_none)
            && self.backlog.is_empty()
            && self.intake.waiting == self.intake.sweeps
            && self.account().ledger.unsent().is_empty()
            && self.account().ledger.gathered().is_empty()
            && self.account().ledger.digests().is_empty()
            && self.account().ledger.open().all(|incident| incident.is_resting())
    }

    /// Messages that nobody has dealt with yet, sweeps aside.
    #[must_use]
    pub fn messages_waiting(&self) -> u64 {
        self.intake.waiting - self.intake.sweeps
    }

    /// Runs until a moment.
    pub fn run_until(&mut self, until: Timestamp, watch: &mut impl Watch) {
        while self.step_before(until, watch) {}
        self.now = self.now.max(until);
        self.catch_up(watch);
    }

    /// Runs until nothing is going on, but never beyond the horizon; says whether it became quiet.
    pub fn run_until_quiet(&mut self, horizon: Timestamp, watch: &mut impl Watch) -> bool {
        while !self.is_quiet() {
            if !self.step_before(horizon, watch) {
                return self.is_quiet();
            }
        }
        true
    }

    /// Does the next thing that is due, if it is due before the horizon.
    fn step_before(&mut self, until: Timestamp, watch: &mut impl Watch) -> bool {
        let world = self.ports.inner().world.next_event_at();
        let aside = world.unwrap_or(Timestamp::MAX).min(self.ports.next_late().unwrap_or(Timestamp::MAX));
        let next = self.agenda.next_at().unwrap_or(Timestamp::MAX);
        let at = next.min(aside);
        if at > until {
            return false;
        }
        self.now = self.now.max(at);
        if aside <= next {
            self.catch_up(watch);
        } else if let Some((_, due)) = self.agenda.pop() {
            self.act(due, watch);
            self.take_signals();
        }
        true
    }

    /// Lets the world come to the present.
    fn catch_up(&mut self, watch: &mut impl Watch) {
        while let Some(landed) = self.ports.land_late(self.now) {
            if let Some(index) = self.late.iter().position(|late| late.is_about(&landed)) {
                let late = self.late.swap_remove(index);
                watch.happened(self.ports.inner(), &late.landed(self.now));
            }
        }
        self.ports.inner_mut().world.advance(self.now);
        self.take_signals();
    }

    fn act(&mut self, due: Due, watch: &mut impl Watch) {
        match due {
            Due::Message(index) => {
                let index = index as usize;
                if let Some(trigger) = self.intake.receive(index) {
                    self.begin(trigger, Source::Message(index));
                }
            }
            Due::Timer(number) => {
                if let Some(incident) = self.timers_set.get(number as usize).copied()
                    && self.timers.get(&incident) == Some(&number)
                {
                    self.begin(Trigger::Wake(incident), Source::Timer(incident));
                }
            }
            Due::Sweep => {
                self.agenda.add(after(self.now, SWEEP_SECS), Due::Sweep);
                if !self.hits(Kind::LoseSweep, self.settings.signals.lose_sweep) {
                    self.deliver(Trigger::Sweep, self.now);
                }
            }
            Due::Land(slot, number) => self.land(usize::from(slot), number, watch),
            Due::Resume(slot, number) => self.resume(usize::from(slot), number),
        }
    }

    /// Sends the world's signals on their way. Asked after every step, and seldom for anything.
    fn take_signals(&mut self) {
        if self.ports.inner().world.has_signals() {
            for (at, signal) in self.ports.inner_mut().world.take_signals() {
                self.send_signal(signal, at);
            }
        }
    }

    fn send_signal(&mut self, signal: Signal, at: Timestamp) {
        let chaos = self.settings.signals;
        if self.hits(Kind::DuplicateSignal, chaos.duplicate) {
            let again = after(at, self.ports.chance().between(Kind::DuplicateSignal, 1, 599));
            self.deliver(Trigger::Signal(signal.clone()), again);
        }
        if self.hits(Kind::LoseSignal, chaos.lose) {
            return;
        }
        let late = if self.hits(Kind::DelaySignal, chaos.delay) {
            self.ports.chance().between(Kind::DelaySignal, 5, 599)
        } else {
            self.rng.i64(0..3)
        };
        self.deliver(Trigger::Signal(signal), after(at, late));
    }

    fn begin(&mut self, trigger: Trigger, source: Source) {
        let free = self.slots.iter().position(Option::is_none);
        let slot = match free {
            Some(slot) => slot,
            None if self.slots.len() < PASSES_MAX => {
                self.slots.push(None);
                self.slots.len() - 1
            }
            None => {
                self.backlog.push_back((trigger, source));
                return;
            }
        };
        if let Source::Message(index) = source {
            // Received now: it comes back unless it is deleted in time.
            self.agenda.add(after(self.now, VISIBILITY_SECS), Due::Message(short(index)));
        }
        let Some(context) = self.context_now() else {
            self.counts.retries += 1;
            return self.failed(source);
        };
        self.counts.passes += 1;
        let number = self.counts.passes;
        let (pass, request) = Pass::new(context, trigger).step(Answer::Start, self.now);
        let running = Running {
            number,
            source,
            began: self.now,
            pass: Some(pass),
            request,
            answer: Answer::Start,
            seen: None,
            switch: None,
            stale: false,
            stand: Stand::Unread,
            told: Stand::Unread,
            paused: false,
            due: self.now,
        };
        self.go_on(slot, Box::new(running));
    }

    /// What a pass that begins now goes by; none: the policy cannot be read, so it is tried again.
    fn context_now(&mut self) -> Option<Arc<Context>> {
        let account = self.ports.inner();
        if account.document == Reading::Unused && *account.ledger.remembered() == Remembered::default() {
            return Some(Arc::clone(&self.context));
        }
        let stack = &self.context.policy;
        let (policy, _) = policy_in_force(&mut self.ports, stack, self.now, &mut self.library).ok()?;
        Some(Arc::new(Context { home: self.context.home.clone(), policy }))
    }

    /// Sends a pass's request on its way, or ends the pass.
    fn go_on(&mut self, slot: usize, mut running: Box<Running>) {
        if let Request::Done(done) = &mut running.request {
            let done = std::mem::replace(done, nothing_done());
            let source = running.source;
            self.note(running.number, || "Done".to_owned(), || format!("{done:?}"));
            self.finish(source, done);
            return self.release(slot);
        }
        if let Request::Publish(item) = &running.request {
            running.told = Stand::of(&item.report.incident);
        }
        let latency = self.rng.i64(5..=self.settings.latency_max_ms.max(5));
        self.ports.chance().at(self.now);
        // Half as often as after an answer.
        let pause = if self.rng.bool() { self.ports.pause_before() } else { None };
        running.paused = pause.is_some();
        let at = after_millis(pause.map_or(self.now, |secs| after(self.now, secs)), latency);
        running.due = at;
        self.agenda.add(at, Due::Land(slot_number(slot), running.number));
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(running);
        }
    }

    /// Takes the pass out of its slot, if it still is the one that is meant and has time left.
    fn pick_up(&mut self, slot: usize, number: u64, killed: Mishap) -> Option<Box<Running>> {
        let place = self.slots.get_mut(slot)?;
        if place.as_ref().is_none_or(|running| running.number != number) {
            return None;
        }
        let running = place.take()?;
        if secs_between(running.began, self.now) > PASS_MAX_SECS {
            self.visit(&running, killed);
            self.die(slot, &running, "took too long");
            return None;
        }
        Some(running)
    }

    fn land(&mut self, slot: usize, number: u64, watch: &mut impl Watch) {
        let Some(mut running) = self.pick_up(slot, number, Mishap::DiedBefore) else { return };
        if running.paused {
            self.visit(&running, Mishap::PausedBefore);
        }
        self.ports.chance().at(self.now);
        let crash = self.ports.crash();
        if crash == Some(CrashPoint::Before) {
            self.visit(&running, Mishap::DiedBefore);
            return self.die(slot, &running, "died before");
        }
        self.counts.requests += 1;
        self.counts.looks += u64::from(matches!(running.request, Request::Observe(..)));
        self.counts.surveys += u64::from(running.request == Request::Survey);
        running.answer = answer(&mut self.ports, &running.request, self.now);
        self.visit(&running, self.ports.mishap());
        self.mix(&running.request, &running.answer);
        self.note(number, || format!("{:?}", running.request), || format!("{:?}", running.answer));
        if self.ports.mishap() == Mishap::LandedLate {
            self.late.extend(Late::of(&running, self.now));
        }
        let what = Happened {
            at: self.now,
            sent_at: self.now,
            pass: number,
            request: Some(&running.request),
            answer: Some(&running.answer),
            seen: running.seen.as_deref(),
            switch: running.switch,
            stale: running.stale,
        };
        watch.happened(self.ports.inner(), &what);
        if crash == Some(CrashPoint::After) {
            self.visit(&running, Mishap::DiedAfter);
            return self.die(slot, &running, "died after");
        }
        if let Answer::Observed(seen) = &running.answer {
            running.seen = Some(Arc::clone(seen));
            running.stale = self.ports.stale();
        }
        if let Answer::Loaded(loaded) = &running.answer {
            running.switch = Some(loaded.rails.switch);
        }
        match self.ports.pause_after() {
            Some(secs) => {
                self.visit(&running, Mishap::PausedAfter);
                running.due = after(self.now, secs);
                self.agenda.add(running.due, Due::Resume(slot_number(slot), number));
                if let Some(place) = self.slots.get_mut(slot) {
                    *place = Some(running);
                }
            }
            None => self.advance(slot, running),
        }
    }

    fn resume(&mut self, slot: usize, number: u64) {
        if let Some(running) = self.pick_up(slot, number, Mishap::DiedAfter) {
            self.advance(slot, running);
        }
    }

    fn visit(&mut self, running: &Running, mishap: Mishap) {
        if let Some(cell) = running.cell(mishap) {
            self.coverage.visit(cell);
        }
    }

    fn advance(&mut self, slot: usize, mut running: Box<Running>) {
        running.learn();
        let answer = std::mem::replace(&mut running.answer, Answer::Start);
        let Some(pass) = running.pass.take() else { return self.release(slot) };
        let (pass, request) = pass.step(answer, self.now);
        running.pass = Some(pass);
        running.request = request;
        self.go_on(slot, running);
    }

    /// The process is gone; whoever started it finds out.
    fn die(&mut self, slot: usize, running: &Running, how: &'static str) {
        self.counts.crashes += 1;
        self.note(running.number, || format!("{:?}", running.request), || how.to_owned());
        self.failed(running.source);
        self.release(slot);
    }

    fn release(&mut self, slot: usize) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = None;
        }
        if let Some((trigger, source)) = self.backlog.pop_front() {
            self.begin(trigger, source);
        }
    }

    /// A pass came to nothing: the timer tries again, a message comes back by itself.
    fn failed(&mut self, source: Source) {
        match source {
            Source::Message(_) => {}
            Source::Timer(incident) => self.set_timer(incident, after(self.now, RETRY_SECS)),
        }
    }

    fn finish(&mut self, source: Source, done: Done) {
        match done.verdict {
            Verdict::Retry(_) => {
                self.counts.retries += 1;
                return self.failed(source);
            }
            Verdict::Progress | Verdict::Closed | Verdict::Ignored(_) | Verdict::Refused(_) | Verdict::Planned(_) => {}
        }
        if let Source::Message(index) = source {
            self.intake.delete(index);
        }
        match (done.incident, done.wake_at) {
            (Some(incident), Some(wake)) => self.set_timer(incident, wake.max(after(self.now, WAIT_MIN_SECS))),
            (Some(incident), None) => {
                self.timers.remove(&incident);
            }
            (None, _) => {}
        }
        for trigger in done.follow {
            let at = after(self.now, self.rng.i64(0..3));
            self.deliver(trigger, at);
        }
    }

    fn set_timer(&mut self, incident: IncidentId, at: Timestamp) {
        if self.hits(Kind::TimerDies, self.settings.timer_dies) {
            self.counts.timers_died += 1;
            self.timers.remove(&incident);
            return;
        }
        let number = short(self.timers_set.len());
        self.timers_set.push(incident);
        self.timers.insert(incident, number);
        self.agenda.add(at, Due::Timer(number));
    }

    fn hits(&mut self, kind: Kind, rate: u32) -> bool {
        let now = self.now;
        let chance: &mut Chance = self.ports.chance();
        chance.at(now);
        chance.hits(kind, rate)
    }

    fn note(&mut self, pass: u64, request: impl FnOnce() -> String, answer: impl FnOnce() -> String) {
        if self.settings.trace {
            self.trace.push(TraceLine { at: self.now, pass, request: request(), answer: answer() });
        }
    }

    /// Folds what happened into the hash.
    fn mix(&mut self, request: &Request, answer: &Answer) {
        let what = match (request, answer) {
            (_, Answer::Failed(_)) => 1,
            (Request::Load(_), _) => 2,
            (Request::Observe(node, _), _) => 3 ^ low(node.value()),
            (Request::Commit(commit), _) => 4 ^ (commit.next.version << 8) ^ low(commit.next.node.value()),
            (Request::Perform(perform), _) => 5 ^ (perform.effect as u64) << 8 ^ low(perform.target.node.value()),
            (Request::Publish(item), _) => 6 ^ u64::from(item.id.n) << 8 ^ low(item.id.incident.node().value()),
            (Request::MarkSent(_), _) => 7,
            (Request::Survey, _) => 8,
            (Request::Switch(_), _) => 9,
            (Request::Done(_), _) => 10,
            (Request::Shelve(shelve), _) => 0x0b ^ low(shelve.signal.node.value()),
            (Request::Post(post), _) => 0x0c ^ (post.expect << 8),
            (Request::PublishDigest(digest), _) => 0x0d ^ (u64::from(digest.id.n) << 8),
            (Request::MarkDigestSent(_), _) => 14,
        };
        let at = self.now.as_microsecond().cast_unsigned();
        self.hash = (self.hash ^ at).wrapping_mul(0x0100_0000_01b3).rotate_left(17) ^ what;
    }
}

/// The moment some milliseconds later.
fn after_millis(at: Timestamp, millis: i64) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond().saturating_add(millis)).unwrap_or(Timestamp::MAX)
}

fn nothing_done() -> Done {
    Done { incident: None, wake_at: None, verdict: Verdict::Progress, follow: Vec::new() }
}

/// A count of things in one schedule: far fewer than four thousand million.
fn short(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The number of a slot: there are ten.
fn slot_number(slot: usize) -> u8 {
    u8::try_from(slot).unwrap_or(u8::MAX)
}

/// The low half of a node's number.
#[allow(clippy::cast_possible_truncation, reason = "only mixed into a hash")]
fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests;
