//! The simulation: the real engine over the simulated account, a seed for everything, and every promise checked.
//!
//! A schedule is eight nodes and three hours of virtual time. Then the faults stop, and whatever is still open must end.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::account::Account;
use super::chance::{Choice, Struck};
use super::coverage::{Cell, Coverage};
use super::driver::{Driver, TraceLine};
use super::invariants::{Inspector, Place, Violation};
use crate::effect::Effect;
use crate::engine::{Context, Trigger};
use crate::event::Signal;
use crate::guard::mode::reach;
use crate::guard::ownership::check_mute;
use crate::incident::Outcome;
use crate::node::Home;
use crate::observe::Look;
use crate::policy::standing::Reading;
use crate::policy::{Mode, Policy};
use crate::ports::Key;
use crate::time::{after, secs_between};
use jiff::Timestamp;

mod besides;
mod elements;
mod forged;
mod gates;
mod scenario;
mod shrink;

use scenario::{LENGTH_SECS, Scenario, Step};
pub use shrink::{Shrunk, shrink};

/// How long an account may take to come to rest after the faults have stopped, in seconds.
const CALM_SECS: i64 = 8 * 3_600;
/// How often the calm is looked at for a rest, in seconds.
const CALM_STEP_SECS: i64 = 900;
/// How long a drill takes, in seconds: until AWS shows a dead agent, and the sweep after that.
const DRILL_SECS: i64 = 1_500;
/// Within so many seconds each incident at rest has been looked at, and what it holds was tried to be given back.
const REST_LOOKS_SECS: i64 = 40 * 60;
/// How long what the last sweep sent on is waited for at a time, in seconds.
const MINUTE_SECS: i64 = 60;
/// A change of tags or mode is noticed within the hour; and the sweeps and looks that takes, in seconds.
const NOTICED_SECS: i64 = 3 * 3_600;
/// Every so many seeds, one is run twice and must go the same way.
const TWICE_EVERY: u64 = 1_000;

/// More or fewer faults than usual, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Load {
    /// 100 is usual.
    pub percent: u32,
}

/// How to run schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoakOptions {
    /// Whether to keep a trace.
    pub trace: bool,
    /// More or fewer faults than usual.
    pub load: Option<Load>,
    /// Whether the hash covers everything that is stored in the end, too.
    pub fingerprint: bool,
}

impl SoakOptions {
    fn percent(&self) -> u32 {
        self.load.map_or(100, |load| load.percent)
    }
}

/// What became of one schedule.
#[derive(Debug, Clone)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The promises that were broken.
    pub violations: Vec<Violation>,
    /// Incidents that opened.
    pub incidents: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Requests that reached a port.
    pub requests: u64,
    /// How the incidents ended, or for what they rest, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Effects that landed, in the order of [`Effect::ALL`].
    pub effects: [u64; Effect::ALL.len()],
    /// The situations that passes have been in.
    pub coverage: Coverage,
    /// Differs when anything went differently.
    pub hash: u64,
    /// Every request, when a trace was asked for.
    pub trace: Vec<TraceLine>,
}

/// What became of many.
#[derive(Debug, Clone, Default)]
pub struct SoakResult {
    /// Schedules that ran.
    pub seeds: u64,
    /// Incidents that opened.
    pub incidents: u64,
    /// Processes that died.
    pub crashes: u64,
    /// Requests that reached a port.
    pub requests: u64,
    /// How the incidents ended, or for what they rest, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Effects that landed, in the order of [`Effect::ALL`].
    pub effects: [u64; Effect::ALL.len()],
    /// The situations that passes have been in.
    pub coverage: Coverage,
    /// Situations that nobody declared, each with the lowest seed that was in it.
    pub outside: BTreeMap<Cell, u64>,
    /// Broken promises, by seed.
    pub broken: Vec<(u64, Violation)>,
}

/// The account that every schedule plays in.
#[must_use]
pub fn home() -> Option<Home> {
    Some(Home { account: "111122223333".parse().ok()?, region: "us-east-1".parse().ok()? })
}

/// Runs the schedule of one seed.
#[must_use]
pub fn run_seed(seed: u64, options: &SoakOptions) -> SeedResult {
    let Some(home) = home() else { return SeedResult::of(seed) };
    let scenario = Scenario::new(seed, &home, options.percent(), options.trace);
    play(seed, &scenario, Choice::default(), options.fingerprint).0
}

/// Plays a schedule; says what became of it, and what went wrong by chance when that is kept.
fn play(seed: u64, scenario: &Scenario, choice: Choice, fingerprint: bool) -> (SeedResult, Vec<Struck>) {
    let mut result = SeedResult::of(seed);
    let mut inspector = Inspector::new(scenario.policy.clone(), scenario.spots());
    for (node, spec, _) in &scenario.fleet {
        inspector.tagged(*node, spec.tags, after(scenario.start, -86_400));
    }
    if let Some(tags) = scenario.group.tags {
        let group = Place::ScalingGroup(super::people::SCALING_GROUP.into());
        inspector.place_tagged(group, tags, after(scenario.start, -86_400));
    }
    let mut policy = scenario.policy.clone();
    let mut bad = 0;
    let context = Arc::new(Context { home: scenario.home.clone(), policy: scenario.policy.clone() });
    let account = Account::new(scenario.world());
    let mut driver = Driver::choosing(account, context, scenario.settings, scenario.start, choice);
    if scenario.steps.iter().any(|(_, step)| matches!(step, Step::Document(_))) {
        // A stack says from the start where its document would be.
        driver.account_mut().document = Reading::Absent;
    }
    for (at, step) in &scenario.steps {
        driver.run_until(*at, &mut inspector);
        match step {
            Step::Deed(deed) => deed.apply(&mut driver, &mut inspector),
            Step::Document(document) => {
                driver.account_mut().document = document.reading();
                bad += usize::from(document.is_bad);
                inspector.bad_documents(bad, document.stands());
                let read_before = driver.account().ledger.remembered().good.clone();
                policy = document.means(&scenario.policy, read_before.as_deref());
                inspector.policy_changed(policy.clone(), *at);
            }
            Step::Forged(signal) => {
                inspector.forged(signal.node);
                driver.deliver(Trigger::Signal(Signal::clone(signal)), *at);
            }
            Step::Foreign(node, text) => {
                inspector.foreign(*node);
                // Read at the door as every event is; what is let in is looked at.
                if let Ok(signal) = crate::event::read(text.as_bytes(), Some(&scenario.home), *at).result {
                    driver.deliver(Trigger::Signal(signal), *at);
                }
            }
        }
    }
    let horizon = after(scenario.start, LENGTH_SECS);
    driver.run_until(horizon, &mut inspector);
    come_to_rest(scenario, &mut driver, &mut inspector, horizon);
    let now = driver.now();
    let troubled = troubled(&mut driver, &policy, horizon);
    inspector.check_end(driver.account(), (&troubled, driver.messages_waiting()), now);
    inspector.check_cures(driver.account_mut(), horizon, now);
    let counts = driver.counts();
    result.incidents = u64::try_from(driver.account().ledger.incidents().count()).unwrap_or(u64::MAX);
    for ending in driver.account().ledger.incidents().filter_map(|incident| incident.ending()) {
        count(&mut result.outcomes, ending.outcome() as usize);
    }
    for sent in driver.account().sent.iter().filter(|sent| sent.landed) {
        count(&mut result.effects, sent.effect as usize);
    }
    result.crashes = counts.crashes;
    result.requests = counts.requests;
    result.coverage = *driver.coverage();
    result.hash = driver.hash();
    if fingerprint {
        result.hash ^= whole_hash(driver.account());
    }
    result.trace = driver.take_trace();
    result.violations = inspector.into_violations();
    (result, driver.struck().to_vec())
}

/// A number that differs when anything ended differently: every record with its history, every report, every effect.
fn whole_hash(account: &Account) -> u64 {
    let mut hasher = DefaultHasher::new();
    for incident in account.ledger.incidents() {
        incident.hash(&mut hasher);
    }
    for (at, item) in &account.published {
        (at, item.id).hash(&mut hasher);
    }
    for sent in &account.sent {
        (sent.at, sent.incident, sent.intent, sent.effect, sent.landed).hash(&mut hasher);
    }
    for (scope, holder) in account.ledger.holders() {
        (scope, holder).hash(&mut hasher);
    }
    hasher.finish()
}

/// After the faults: nothing goes wrong any more, the pause ends, and the rest is up to Defib. In a drill events stay lost, and
/// one more node falls ill, which only the sweep can find.
fn come_to_rest(scenario: &Scenario, driver: &mut Driver, inspector: &mut Inspector, horizon: Timestamp) {
    driver.calm_down(scenario.drill.is_some());
    driver.account_mut().world.flapping = false;
    super::people::Deed::Resume.apply(driver, inspector);
    inspector.calm_since(horizon);
    let end = after(horizon, CALM_SECS);
    // Two sweeps at least, so that whatever is ill has been found.
    let mut least = after(horizon, CALM_STEP_SECS);
    if let Some(drill) = &scenario.drill {
        driver.account_mut().world.afflict(drill.node, drill.ailment, drill.at, drill.lasts);
        least = after(drill.at, DRILL_SECS);
    }
    if scenario.long_calm {
        least = least.max(after(horizon, NOTICED_SECS));
    }
    driver.run_until(least, inspector);
    while !is_settled(driver, horizon) && driver.now() < end {
        let next = after(driver.now(), CALM_STEP_SECS);
        driver.run_until(next, inspector);
    }
    // What the last sweep sent on is dealt with before the next one.
    for _ in 0..4 {
        let ledger = &driver.account().ledger;
        if driver.messages_waiting() > 0 || !(ledger.digests().is_empty() && ledger.unsent().is_empty()) {
            let next = after(driver.now(), MINUTE_SECS);
            driver.run_until(next, inspector);
        }
    }
}

/// What a sweep would list now, without the nodes that a tag turns off or that were muted when the faults stopped.
fn troubled(driver: &mut Driver, policy: &Policy, calm_since: Timestamp) -> Vec<Signal> {
    #[cfg(feature = "plants")]
    let _judging = crate::plants::Planted::new(None);
    let now = driver.now();
    let look = Look::default();
    let account = driver.account_mut();
    let mut troubled = account.world.troubled(now);
    troubled.retain(|signal| {
        let seen = account.world.observe(signal.node, &look, now);
        let muted = account.ledger.load(Key::Node(signal.node)).rails.muted_until;
        let cluster = seen.ecs.known().map(|ecs| ecs.cluster.name());
        let group = seen.asg.known().map(|asg| asg.name.as_str());
        reach(&seen, &policy.at(cluster, group)).mode > Mode::Off && check_mute(&seen, muted, calm_since).is_ok()
    });
    troubled
}

/// Whether everything that began before the horizon is over. What waited too long is found again by the sweep, for ever.
fn is_settled(driver: &Driver, horizon: Timestamp) -> bool {
    driver.messages_waiting() == 0
        && driver.account().ledger.unsent().is_empty()
        && driver.account().ledger.gathered().is_empty()
        && driver.account().ledger.digests().is_empty()
        && driver.account().ledger.shelf().is_empty()
        && driver.account().ledger.open().all(|open| {
            // What a rest still holds is tried again at its next look.
            let tried = !open.holds.draining || secs_between(horizon, driver.now()) > REST_LOOKS_SECS;
            (open.is_resting() && tried) || open.first_seen > horizon
        })
}

/// Runs many, on several threads. What each seed does never depends on how many threads there are.
pub fn run(
    seeds: &RangeInclusive<u64>,
    threads: usize,
    options: &SoakOptions,
    each: impl Fn(&SeedResult) -> bool + Sync,
) -> SoakResult {
    let next = AtomicU64::new(0);
    let declared = Coverage::declared();
    let total = Mutex::new(SoakResult::default());
    #[cfg(feature = "plants")]
    let plant = crate::plants::chosen();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                #[cfg(feature = "plants")]
                let _planted = crate::plants::Planted::new(plant);
                let mut mine = SoakResult::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = seeds.start().checked_add(next.fetch_add(1, Ordering::Relaxed));
                    let Some(seed) = seed.filter(|seed| seeds.contains(seed)) else { break };
                    let result = run_checked(seed, options);
                    mine.add(&result, &declared);
                    if !each(&result) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                if let Ok(mut total) = total.lock() {
                    total.merge(mine);
                }
            });
        }
    });
    let mut result = total.into_inner().unwrap_or_default();
    result.broken.sort_by_key(|(seed, _)| *seed);
    result
}

/// Runs a seed, and every thousandth one twice.
fn run_checked(seed: u64, options: &SoakOptions) -> SeedResult {
    if !seed.is_multiple_of(TWICE_EVERY) {
        return run_seed(seed, options);
    }
    let options = &SoakOptions { fingerprint: true, ..*options };
    let mut result = run_seed(seed, options);
    let again = run_seed(seed, options);
    if again.hash != result.hash || again.requests != result.requests {
        result.violations.push(Violation {
            promise: "determinism",
            at: Timestamp::UNIX_EPOCH,
            node: None,
            text: "the same seed went two ways".to_owned(),
        });
    }
    result
}

fn count(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count += 1;
    }
}

fn sum(counts: &mut [u64], more: &[u64]) {
    for (count, more) in counts.iter_mut().zip(more) {
        *count += more;
    }
}

impl SeedResult {
    fn of(seed: u64) -> Self {
        Self {
            seed,
            violations: Vec::new(),
            incidents: 0,
            crashes: 0,
            requests: 0,
            outcomes: [0; Outcome::ALL.len()],
            effects: [0; Effect::ALL.len()],
            coverage: Coverage::default(),
            hash: 0,
            trace: Vec::new(),
        }
    }
}

impl SoakResult {
    fn add(&mut self, result: &SeedResult, declared: &Coverage) {
        self.seeds += 1;
        self.incidents += result.incidents;
        self.crashes += result.crashes;
        self.requests += result.requests;
        sum(&mut self.outcomes, &result.outcomes);
        sum(&mut self.effects, &result.effects);
        self.broken.extend(result.violations.iter().map(|violation| (result.seed, violation.clone())));
        self.coverage.merge(&result.coverage);
        self.add_outside(result.coverage.outside(declared).into_iter().map(|cell| (cell, result.seed)));
    }

    fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.incidents += other.incidents;
        self.crashes += other.crashes;
        self.requests += other.requests;
        sum(&mut self.outcomes, &other.outcomes);
        sum(&mut self.effects, &other.effects);
        self.broken.extend(other.broken);
        self.coverage.merge(&other.coverage);
        self.add_outside(other.outside.into_iter());
    }

    fn add_outside(&mut self, cells: impl Iterator<Item = (Cell, u64)>) {
        for (cell, seed) in cells {
            self.outside.entry(cell).and_modify(|lowest| *lowest = seed.min(*lowest)).or_insert(seed);
        }
    }
}
