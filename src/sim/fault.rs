//! Ports that fail on purpose: each request can be refused, lose its answer, see too little, or land late.

use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use crate::node::NodeId;
use crate::observe::{Blind, Fact, Look, Observation};
use crate::policy::standing::{News, Reading, Remembered};
use crate::ports::{
    Commit, Committed, DocumentPorts, Key, KillSwitch, Loaded, OutboxItem, Perform, Performed, PortError, Ports, Post,
    ReportId, Shelve, Survey, Switch,
};
use crate::storm::{Digest, DigestId};
use crate::time::after;

/// What probabilities count in.
const WHOLE: u32 = 10_000;

/// The latest that a request without an answer may land, in seconds: less than anybody waits before burning an intent.
const LATE_MAX_SECS: i64 = 25;

/// How often things go wrong, in ten-thousandths of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The port does not answer, and nothing happened.
    pub fail: u32,
    /// It happened, and the answer is lost.
    pub lose_answer: u32,
    /// An effect lands up to 25 seconds after its caller gave up.
    pub land_late: u32,
    /// A look in which some services do not answer.
    pub blind_look: u32,
    /// When a look is blind, each single fact is missing this often.
    pub blind_fact: u32,
    /// The sweep's lists are those of the sweep before.
    pub stale_survey: u32,
    /// The process dies at a request.
    pub crash: u32,
    /// The process stands still before or after a request.
    pub pause: u32,
    /// The kill switch cannot be read, though the rest of the ledger can.
    pub dark_switch: u32,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        fail: 0,
        lose_answer: 0,
        land_late: 0,
        blind_look: 0,
        blind_fact: 0,
        stale_survey: 0,
        crash: 0,
        pause: 0,
        dark_switch: 0,
    };

    /// The same, more or less often.
    #[must_use]
    pub fn scaled(self, percent: u32) -> Self {
        let scale = |rate: u32| (rate.saturating_mul(percent) / 100).min(WHOLE / 2);
        Self {
            fail: scale(self.fail),
            lose_answer: scale(self.lose_answer),
            land_late: scale(self.land_late),
            blind_look: scale(self.blind_look),
            blind_fact: scale(self.blind_fact),
            stale_survey: scale(self.stale_survey),
            crash: scale(self.crash),
            pause: scale(self.pause),
            dark_switch: scale(self.dark_switch),
        }
    }
}

/// How often each thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// Requests that failed before anything happened.
    pub failed: u64,
    /// Requests whose answer was lost.
    pub lost_answers: u64,
    /// Effects that landed late.
    pub landed_late: u64,
    /// Looks that saw too little.
    pub blind_looks: u64,
    /// Surveys that were old.
    pub stale_surveys: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Processes that stood still.
    pub pauses: u64,
}

/// Where a process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before the request reached the port.
    Before,
    /// After it landed, before its answer was taken.
    After,
}

/// Ports that fail by a seeded plan.
#[derive(Debug)]
pub struct Faulty<P> {
    inner: P,
    plan: FaultPlan,
    rng: Rng,
    /// A stream of its own, which leaves the others as they were.
    dark: Rng,
    counts: FaultCounts,
    late: Vec<(Timestamp, Perform)>,
    survey: Option<Survey>,
}

impl<P: Ports> Faulty<P> {
    /// Wraps ports.
    #[must_use]
    pub fn new(inner: P, plan: FaultPlan, seed: u64) -> Self {
        let counts = FaultCounts::default();
        let (rng, dark) = (Rng::with_seed(seed), Rng::with_seed(!seed));
        Self { inner, plan, rng, dark, counts, late: Vec::new(), survey: None }
    }

    /// The ports behind.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// The ports behind, to change them.
    pub fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }

    /// From now on, other probabilities.
    pub fn set_plan(&mut self, plan: FaultPlan) {
        self.plan = plan;
    }

    /// How often each thing went wrong so far.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.counts
    }

    /// Whether the process dies at the coming request, and where.
    pub fn crash(&mut self) -> Option<CrashPoint> {
        if !self.hits(self.plan.crash) {
            return None;
        }
        self.counts.crashes += 1;
        Some(if self.rng.bool() { CrashPoint::Before } else { CrashPoint::After })
    }

    /// For how many seconds the process stands still around the coming request.
    pub fn pause(&mut self) -> Option<i64> {
        if !self.hits(self.plan.pause) {
            return None;
        }
        self.counts.pauses += 1;
        // Most pauses are short; some outlive every window that the engine counts on.
        Some(match self.rng.u8(0..4) {
            0 => self.rng.i64(1..15),
            1 => self.rng.i64(15..60),
            2 => self.rng.i64(60..300),
            _ => self.rng.i64(300..1_200),
        })
    }

    /// When the next late effect lands.
    pub fn next_late(&self) -> Option<Timestamp> {
        self.late.iter().map(|(at, _)| *at).min()
    }

    /// Lets effects land whose moment has come, though nobody waits for their answers any more.
    pub fn land_late(&mut self, now: Timestamp) {
        let mut index = 0;
        while let Some((at, _)) = self.late.get(index) {
            if *at <= now {
                let (_, mut perform) = self.late.swap_remove(index);
                // Its time was checked when it was sent; it only arrives now.
                perform.not_after = now;
                self.inner.perform(&perform, now);
            } else {
                index += 1;
            }
        }
    }

    fn hits(&mut self, rate: u32) -> bool {
        rate > 0 && self.rng.u32(0..WHOLE) < rate
    }

    /// Runs a request that may fail before it lands or lose its answer after.
    fn attempt<T>(&mut self, run: impl FnOnce(&mut P) -> Result<T, PortError>) -> Result<T, PortError> {
        let (fail, lose) = (self.plan.fail, self.plan.lose_answer);
        if fail == 0 && lose == 0 {
            return run(&mut self.inner);
        }
        let draw = self.rng.u32(0..WHOLE);
        if draw < fail {
            self.counts.failed += 1;
            return Err(PortError::Transient);
        }
        let answer = run(&mut self.inner);
        if draw < fail + lose {
            self.counts.lost_answers += 1;
            return Err(PortError::Transient);
        }
        answer
    }

    /// Makes some facts of a look unknown.
    fn blind(&mut self, seen: &mut Observation) {
        self.counts.blind_looks += 1;
        let rate = self.plan.blind_fact;
        let rng = &mut self.rng;
        hide(rng, rate, &mut seen.ec2);
        hide(rng, rate, &mut seen.ssm);
        if let Fact::Known(ssm) = &mut seen.ssm {
            hide(rng, rate, &mut ssm.connection);
        }
        hide(rng, rate, &mut seen.ecs);
        hide(rng, rate, &mut seen.asg);
        hide(rng, rate, &mut seen.group);
        hide(rng, rate, &mut seen.factors);
        hide(rng, rate, &mut seen.invocation);
        hide(rng, rate, &mut seen.probe);
        hide(rng, rate, &mut seen.sessions);
        hide(rng, rate, &mut seen.busy);
        hide(rng, rate, &mut seen.workload);
        hide(rng, rate, &mut seen.calendar);
        hide(rng, rate, &mut seen.identity);
        hide(rng, rate, &mut seen.network);
        hide(rng, rate, &mut seen.console);
    }
}

/// Makes a fact unknown this often.
fn hide<T>(rng: &mut Rng, rate: u32, fact: &mut Fact<T>) {
    if matches!(fact, Fact::Unknown(_)) || rng.u32(0..WHOLE) >= rate {
        return;
    }
    *fact = Fact::Unknown(match rng.u8(0..4) {
        0 => Blind::Throttled,
        1 => Blind::Denied,
        2 => Blind::Empty,
        _ => Blind::Unavailable,
    });
}

impl<P: Ports + DocumentPorts> DocumentPorts for Faulty<P> {
    fn document(&mut self, now: Timestamp) -> Reading {
        self.attempt(|ports| Ok(ports.document(now))).unwrap_or(Reading::Unreadable)
    }

    fn remembered(&mut self, now: Timestamp) -> Result<Remembered, PortError> {
        self.attempt(|ports| ports.remembered(now))
    }

    fn remember(&mut self, next: &Remembered, news: Option<&News>, now: Timestamp) -> Result<bool, PortError> {
        self.attempt(|ports| ports.remember(next, news, now))
    }
}

impl<P: Ports> Ports for Faulty<P> {
    fn load(&mut self, key: Key, now: Timestamp) -> Result<Loaded, PortError> {
        let mut loaded = self.attempt(|ports| ports.load(key, now))?;
        if self.plan.dark_switch > 0 && self.dark.u32(0..WHOLE) < self.plan.dark_switch {
            loaded.rails.switch = KillSwitch::Unreadable;
        }
        Ok(loaded)
    }

    fn observe(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        let mut seen = self.inner.observe(node, look, now);
        if self.hits(self.plan.blind_look) {
            self.blind(&mut seen);
        }
        seen
    }

    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Committed, PortError> {
        self.attempt(|ports| ports.commit(commit, now))
    }

    fn perform(&mut self, perform: &Perform, now: Timestamp) -> Performed {
        // Past its time an effect is not even sent, so nothing can be lost on the way.
        if now > perform.not_after {
            return self.inner.perform(perform, now);
        }
        let draw = self.rng.u32(0..WHOLE);
        let plan = self.plan;
        if draw < plan.fail {
            self.counts.failed += 1;
            Performed::Unknown
        } else if draw < plan.fail + plan.lose_answer {
            self.counts.lost_answers += 1;
            self.inner.perform(perform, now);
            Performed::Unknown
        } else if draw < plan.fail + plan.lose_answer + plan.land_late {
            self.counts.landed_late += 1;
            let at = after(now, self.rng.i64(1..=LATE_MAX_SECS));
            self.late.push((at, perform.clone()));
            Performed::Unknown
        } else {
            self.inner.perform(perform, now)
        }
    }

    fn publish(&mut self, item: &Arc<OutboxItem>, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.publish(item, now))
    }

    fn mark_sent(&mut self, id: ReportId, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.mark_sent(id, now))
    }

    fn survey(&mut self, now: Timestamp) -> Result<Survey, PortError> {
        if self.hits(self.plan.stale_survey)
            && let Some(stale) = &self.survey
        {
            self.counts.stale_surveys += 1;
            return Ok(stale.clone());
        }
        let survey = self.attempt(|ports| ports.survey(now))?;
        if self.plan.stale_survey > 0 {
            self.survey = Some(survey.clone());
        }
        Ok(survey)
    }

    fn shelve(&mut self, shelve: &Shelve, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.shelve(shelve, now))
    }

    fn post(&mut self, post: &Post, now: Timestamp) -> Result<Committed, PortError> {
        self.attempt(|ports| ports.post(post, now))
    }

    fn publish_digest(&mut self, digest: &Arc<Digest>, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.publish_digest(digest, now))
    }

    fn mark_digest_sent(&mut self, id: DigestId, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.mark_digest_sent(id, now))
    }

    fn switch(&mut self, switch: Switch, now: Timestamp) -> Result<(), PortError> {
        self.attempt(|ports| ports.switch(switch, now))
    }
}

#[cfg(test)]
mod tests;
