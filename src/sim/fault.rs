//! Ports that fail on purpose: each request can be refused, lose its answer, see too little, or land late.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use super::chance::{Chance, Choice, Kind};
use super::coverage::Mishap;
use crate::node::NodeId;
use crate::observe::{Asg, Blind, Ec2, Ecs, Fact, Look, Observation, Ssm};
use crate::policy::standing::{News, Reading, Remembered};
use crate::ports::{
    Commit, Committed, DocumentPorts, Key, KillSwitch, Loaded, OutboxItem, Perform, Performed, PortError, Ports, Post,
    ReportId, Shelve, Survey, Switch,
};
use crate::storm::{Digest, DigestId};
use crate::time::{after, secs_between};

/// What probabilities count in.
const WHOLE: u32 = 10_000;

/// The oldest that a fact of a stale look may be, in seconds: AWS's describe calls answer with what was so some seconds ago.
pub const STALE_MAX_SECS: i64 = 45;

/// The oldest that a stale survey may be, in seconds: two sweeps ago at most.
const STALE_SURVEY_MAX_SECS: i64 = 11 * 60;

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
    /// A look in which some services answer as they did at the look before, some seconds ago.
    pub stale_look: u32,
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
        stale_look: 0,
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
            stale_look: scale(self.stale_look),
            stale_survey: scale(self.stale_survey),
            crash: scale(self.crash),
            pause: scale(self.pause),
            dark_switch: scale(self.dark_switch),
        }
    }
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
    chance: Chance,
    /// What went wrong at the request that was answered last.
    mishap: Mishap,
    /// The look that was taken last shows some facts as they were.
    stale: bool,
    late: Vec<(Timestamp, Perform)>,
    /// The latest true survey, and when, where surveys may be stale.
    survey: Option<(Timestamp, Survey)>,
    /// The latest true look at each node, where looks may be stale.
    looks: BTreeMap<NodeId, Before>,
}

impl<P: Ports> Faulty<P> {
    /// Wraps ports.
    #[must_use]
    pub fn new(inner: P, plan: FaultPlan, seed: u64, choice: Choice) -> Self {
        let chance = Chance::new(seed, choice);
        let (mishap, late, looks) = (Mishap::Nothing, Vec::new(), BTreeMap::new());
        Self { inner, plan, chance, mishap, stale: false, late, survey: None, looks }
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

    /// Whatever else goes wrong by chance.
    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// What went wrong at the request that was answered last.
    #[must_use]
    pub fn mishap(&self) -> Mishap {
        self.mishap
    }

    /// Whether the look that was taken last shows some facts as they were.
    #[must_use]
    pub fn stale(&self) -> bool {
        self.stale
    }

    /// Whether the process dies at the coming request, and where.
    pub fn crash(&mut self) -> Option<CrashPoint> {
        if !self.chance.hits(Kind::Crash, self.plan.crash) {
            return None;
        }
        let before = self.chance.between(Kind::Crash, 0, 1) == 0;
        Some(if before { CrashPoint::Before } else { CrashPoint::After })
    }

    /// For how many seconds the process stands still before the coming request.
    pub fn pause_before(&mut self) -> Option<i64> {
        self.pause(Kind::PauseBefore, self.plan.pause)
    }

    /// For how many seconds the process stands still after the answer.
    pub fn pause_after(&mut self) -> Option<i64> {
        self.pause(Kind::PauseAfter, self.plan.pause)
    }

    fn pause(&mut self, kind: Kind, rate: u32) -> Option<i64> {
        if !self.chance.hits(kind, rate) {
            return None;
        }
        // Most pauses are short; some outlive every window that the engine counts on.
        let (least, most) = match self.chance.between(kind, 0, 4) {
            0 => (1, 14),
            1 => (15, 59),
            2 => (60, 299),
            3 => (300, 1_199),
            _ => (600, 1_199),
        };
        Some(self.chance.between(kind, least, most))
    }

    /// When the next late effect lands.
    pub fn next_late(&self) -> Option<Timestamp> {
        self.late.iter().map(|(at, _)| *at).min()
    }

    /// Lets an effect land whose moment has come, though nobody waits for its answer any more; none when there is no other.
    pub fn land_late(&mut self, now: Timestamp) -> Option<Perform> {
        let index = self.late.iter().position(|(at, _)| *at <= now)?;
        let (_, mut perform) = self.late.swap_remove(index);
        // Its time was checked when it was sent; it only arrives now.
        perform.not_after = now;
        self.inner.perform(&perform, now);
        Some(perform)
    }

    /// Runs a request that may fail before it lands or lose its answer after.
    fn attempt<T>(&mut self, run: impl FnOnce(&mut P) -> Result<T, PortError>) -> Result<T, PortError> {
        self.mishap = Mishap::Nothing;
        if self.chance.hits(Kind::Fail, self.plan.fail) {
            self.mishap = Mishap::Failed;
            return Err(PortError::Transient);
        }
        let answer = run(&mut self.inner);
        if self.chance.hits(Kind::LoseAnswer, self.plan.lose_answer) {
            self.mishap = Mishap::LostAnswer;
            return Err(PortError::Transient);
        }
        answer
    }

    /// Makes some facts of a look unknown.
    fn blind(&mut self, seen: &mut Observation) {
        self.mishap = Mishap::Blind;
        let rate = self.plan.blind_fact;
        let Some(rng) = self.chance.stream(Kind::BlindLook) else { return };
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
        if seen.successor != Fact::Absent {
            hide(rng, rate, &mut seen.successor);
        }
    }

    /// Makes some facts of a look those of the look before, and keeps it for the look after.
    ///
    /// Each service is read by itself, so one may lag behind while another does not. The connection of the SSM agent is a
    /// question to the control channel of this moment, and the answer of a command comes from the very record that it is kept
    /// in: those are never old.
    fn age(&mut self, seen: &mut Observation) {
        if self.plan.stale_look == 0 {
            return;
        }
        let before = self.looks.insert(seen.node, Before::of(seen));
        let Some(before) = before.filter(|before| secs_between(before.at, seen.at) <= STALE_MAX_SECS) else { return };
        if !self.chance.hits(Kind::StaleLook, self.plan.stale_look) {
            return;
        }
        (self.mishap, self.stale) = (Mishap::Stale, true);
        let which = self.chance.between(Kind::StaleLook, 1, 15);
        let old = |bit: i64| which & bit != 0;
        if old(1) {
            seen.ec2 = before.ec2;
        }
        if old(2) {
            seen.ecs = before.ecs;
        }
        if old(4) {
            seen.asg = before.asg;
        }
        if old(8)
            && let (Fact::Known(ssm), Fact::Known(before)) = (&mut seen.ssm, before.ssm)
        {
            (ssm.ping, ssm.last_ping, ssm.tags) = (before.ping, before.last_ping, before.tags);
        }
    }
}

/// What a look saw that a later one may show again.
#[derive(Debug)]
struct Before {
    at: Timestamp,
    ec2: Fact<Ec2>,
    ssm: Fact<Ssm>,
    ecs: Fact<Ecs>,
    asg: Fact<Asg>,
}

impl Before {
    fn of(seen: &Observation) -> Self {
        let Observation { at, ec2, ssm, ecs, asg, .. } = seen;
        Self { at: *at, ec2: ec2.clone(), ssm: ssm.clone(), ecs: ecs.clone(), asg: asg.clone() }
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
        if self.chance.hits(Kind::DarkSwitch, self.plan.dark_switch) {
            loaded.rails.switch = KillSwitch::Unreadable;
        }
        Ok(loaded)
    }

    fn observe(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        self.mishap = Mishap::Nothing;
        self.stale = false;
        let mut seen = self.inner.observe(node, look, now);
        self.age(&mut seen);
        if self.chance.hits(Kind::BlindLook, self.plan.blind_look) {
            self.blind(&mut seen);
        }
        // A deeper look does not ask again for what the same pass has seen of these.
        if let Some(before) = &look.seen {
            (seen.ecs, seen.probe) = (before.ecs.clone(), before.probe.clone());
            seen.invocation = before.invocation.clone();
        }
        seen
    }

    fn commit(&mut self, commit: &Commit, now: Timestamp) -> Result<Committed, PortError> {
        self.attempt(|ports| ports.commit(commit, now))
    }

    fn perform(&mut self, perform: &Perform, now: Timestamp) -> Performed {
        self.mishap = Mishap::Nothing;
        // Past its time an effect is not even sent, so nothing can be lost on the way.
        if now > perform.not_after {
            return self.inner.perform(perform, now);
        }
        if self.chance.hits(Kind::Fail, self.plan.fail) {
            self.mishap = Mishap::Failed;
            Performed::Unknown
        } else if self.chance.hits(Kind::LoseAnswer, self.plan.lose_answer) {
            self.mishap = Mishap::LostAnswer;
            self.inner.perform(perform, now);
            Performed::Unknown
        } else if self.chance.hits(Kind::LandLate, self.plan.land_late) {
            self.mishap = Mishap::LandedLate;
            let at = after(now, self.chance.between(Kind::LandLate, 1, LATE_MAX_SECS));
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
        if self.survey.is_some()
            && self.chance.hits(Kind::StaleSurvey, self.plan.stale_survey)
            && let Some((_, stale)) =
                self.survey.as_ref().filter(|(at, _)| secs_between(*at, now) <= STALE_SURVEY_MAX_SECS)
        {
            self.mishap = Mishap::Stale;
            return Ok(stale.clone());
        }
        let survey = self.attempt(|ports| ports.survey(now))?;
        if self.plan.stale_survey > 0 {
            self.survey = Some((now, survey.clone()));
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
