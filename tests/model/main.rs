//! Every order of what can happen around one node, explored with the engine itself (docs/decisions/0021).
//!
//! The small checks run with all other tests. `make model` runs the slow ones in an optimized build: the whole model, and
//! one model for each of some planted bugs. `make model-two` looks at two nodes for as long as it may.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "all of it is a test"
)]

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use defib::engine::Context;
use defib::incident::{Ending, Incident, Outcome, Phase};
use jiff::Timestamp;
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

mod calm;
mod key;
mod node;
mod promises;
mod state;
mod steps;
mod tally;

use node::{Node, Trouble};
use promises::Promise;
use state::State;
use steps::{Bounds, Step};
use tally::Tally;

/// What the exhaustive check allows.
const WHOLE: Bounds = Bounds { started: 6, mishaps: 2 };
/// The same for every `make test`, which builds without optimization.
const SMALL: Bounds = Bounds { started: 3, mishaps: 1 };
/// More than the whole model has: the checker would stop there, and must not come there.
const TRANSITIONS_MAX: usize = 200_000_000;
/// The same for the length of a path.
const DEPTH_MAX: usize = 1_000;
/// What may happen to two nodes, how long they are explored, and how far.
const TWO_NODES: Bounds = Bounds { started: 5, mishaps: 1 };
const TWO_NODES_LIMIT: Duration = Duration::from_mins(8);
const TWO_NODES_MAX: usize = 60_000_000;
/// How many threads explore: as many as the machine in CI has cores.
const THREADS: usize = 2;
/// Each alone, in one model.
const ONE_NODE: &[&[Trouble]] = &[&[Trouble::SsmHung], &[Trouble::EcsLost], &[Trouble::Blip]];

/// The model: which nodes there are in the beginning, and what may happen.
#[derive(Debug)]
struct Defib {
    beginnings: Vec<Vec<Trouble>>,
    bounds: Bounds,
    context: Arc<Context>,
    tally: Tally,
    /// The keys of ends that have been driven on calmly.
    driven: Mutex<HashSet<u64>>,
    #[cfg(feature = "plants")]
    plant: Option<defib::plants::Plant>,
}

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

impl Defib {
    fn new(beginnings: &[&[Trouble]], bounds: Bounds) -> Self {
        Self {
            beginnings: beginnings.iter().map(|troubles| troubles.to_vec()).collect(),
            bounds,
            context: state::context(),
            tally: Tally::default(),
            driven: Mutex::default(),
            #[cfg(feature = "plants")]
            plant: None,
        }
    }

    /// L1: where nothing may start any more, what is open ends when nothing goes wrong any more.
    fn ends_calmly(&self, state: &State) -> bool {
        let over = state.started == self.bounds.started && state.running.is_empty() && state.late.is_empty();
        if !over || state.broken.is_some() {
            return true;
        }
        let is_new = self.driven.lock().unwrap().insert(state.lasting_key());
        #[cfg(feature = "plants")]
        let _planted = defib::plants::Planted::new(self.plant);
        !is_new || calm::ends_calmly(state, &self.context)
    }
}

fn is_kept(state: &State, promise: Promise) -> bool {
    state.broken.is_none_or(|(broken, _)| broken != promise)
}

fn some(state: &State, is_so: fn(&Incident) -> bool) -> bool {
    state.ledger.incidents().any(|incident| is_so(incident))
}

fn ended_as(incident: &Incident, outcome: Outcome) -> bool {
    incident.ending().map(Ending::outcome) == Some(outcome)
}

impl Model for Defib {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let nodes = |troubles: &Vec<Trouble>| {
            (1..).zip(troubles).map(|(number, trouble)| Node::new(number, *trouble, noon())).collect()
        };
        self.beginnings.iter().map(|troubles| State::new(noon(), nodes(troubles))).collect()
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.tally.state(state.started);
        steps::possible(state, self.bounds, steps);
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        #[cfg(feature = "plants")]
        let _planted = defib::plants::Planted::new(self.plant);
        steps::take(state, step, &self.context, &self.tally)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("S1", |_, state: &State| is_kept(state, Promise::S1)),
            Property::always("S2", |_, state: &State| is_kept(state, Promise::S2)),
            Property::always("S5", |_, state: &State| is_kept(state, Promise::S5) && state.one_incident_a_node()),
            Property::always("S6", |_, state: &State| is_kept(state, Promise::S6)),
            Property::always("S7", |_, state: &State| is_kept(state, Promise::S7)),
            Property::always("S8", |_, state: &State| is_kept(state, Promise::S8)),
            Property::always("S9", |_, state: &State| state.permits_have_open_holders()),
            Property::always("L1", |model: &Self, state: &State| model.ends_calmly(state)),
            Property::always("L2", |_, state: &State| is_kept(state, Promise::L2) && state.every_end_has_its_report()),
            // Without these the promises above would be kept by a model in which nothing happens.
            Property::sometimes("closed as cycled", |_, state: &State| some(state, |i| ended_as(i, Outcome::Cycled))),
            Property::sometimes("closed as self-healed", |_, state: &State| {
                some(state, |incident| ended_as(incident, Outcome::SelfHealed))
            }),
            Property::sometimes("needs a person", |_, state: &State| {
                some(state, |incident| ended_as(incident, Outcome::NeedsHuman))
            }),
            Property::sometimes("parked", |_, state: &State| {
                some(state, |incident| matches!(incident.phase, Phase::Parked { .. }))
            }),
            Property::sometimes("two incidents, one after the other", |_, state: &State| {
                state.ledger.incidents().filter(|incident| incident.is_closed()).count() > 1
            }),
            Property::sometimes("an intent was given up", |_, state: &State| {
                some(state, |i| i.history.iter().any(|line| matches!(line.event, defib::incident::Event::Burned(_))))
            }),
            Property::sometimes("a reboot landed", |_, state: &State| {
                state.landed.iter().any(|landed| landed.effect == defib::effect::Effect::Reboot)
            }),
        ]
    }
}

fn told(path: Path<State, Step>) -> String {
    let broken = path.last_state().broken.map_or("", |(_, how)| how);
    let steps: Vec<String> = path.into_actions().iter().map(|step| format!("{step:?}")).collect();
    format!("{} steps, {broken}\n    {}", steps.len(), steps.join("\n    "))
}

#[allow(clippy::disallowed_methods, reason = "a test that says how long it took reads the clock itself")]
fn clock() -> Instant {
    Instant::now()
}

/// Explores a model to its end, and sees to it that this was the end.
fn exhaust(name: &str, model: Defib) {
    let (began, bounds) = (clock(), model.bounds);
    let checker = model.checker().threads(THREADS).target_state_count(TRANSITIONS_MAX).target_max_depth(DEPTH_MAX);
    let checker = checker.spawn_dfs().join();
    let seconds = began.elapsed().as_secs_f64();
    let (states, transitions, depth) = (checker.unique_state_count(), checker.state_count(), checker.max_depth());
    let tally = &checker.model().tally;
    let looked_at: u64 = (0..=bounds.started).map(|started| tally.with_started(started)).sum();
    println!("model {name}: {states} states, {transitions} transitions, depth {depth}, {seconds:.1} s");
    println!(
        "    {} states had used all {} invocations; {} conflicts, {} refusals by the ledger, {} late landings, {} ends",
        tally.with_started(bounds.started),
        bounds.started,
        tally.conflicts(),
        tally.refusals(),
        tally.landed_late(),
        checker.model().driven.lock().unwrap().len(),
    );
    for property in checker.model().properties() {
        match (property.expectation, checker.discovery(property.name)) {
            (stateright::Expectation::Always, Some(path)) => panic!("{} is broken: {}", property.name, told(path)),
            (stateright::Expectation::Sometimes, None) => panic!("never: {}", property.name),
            _ => {}
        }
    }
    assert!(transitions < TRANSITIONS_MAX && depth < DEPTH_MAX, "a bound of the checker stopped it");
    assert!(checker.is_done(), "states are left");
    // The checker looks at every state that it found exactly once, unless it was stopped.
    assert_eq!(looked_at, states as u64, "some states were found and not looked at");
    assert!(tally.conflicts() > 0 && tally.refusals() > 0 && tally.landed_late() > 0, "too little happened");
}

#[test]
fn a_small_model_keeps_its_promises() {
    let model = Defib::new(ONE_NODE, SMALL);
    let checker = model.checker().threads(THREADS).spawn_dfs().join();
    let broken: Vec<_> = checker.discoveries().into_iter().filter(|(name, _)| is_promise(name)).collect();
    assert!(broken.is_empty(), "{:?}", broken.into_iter().map(|(name, path)| (name, told(path))).collect::<Vec<_>>());
    assert!(checker.unique_state_count() > 10_000);
}

fn is_promise(name: &str) -> bool {
    name.len() == 2
}

#[test]
#[ignore = "minutes without optimization; make model"]
fn one_node_is_exhausted() {
    exhaust("one node", Defib::new(ONE_NODE, WHOLE));
}

/// Not to the end: two nodes that share an account, a group and a zone, for as long as there is time.
#[test]
#[ignore = "eight minutes; make model-two"]
fn two_nodes_are_explored() {
    let began = clock();
    let pairs: &[&[Trouble]] = &[&[Trouble::EcsLost, Trouble::SsmHung], &[Trouble::EcsLost, Trouble::EcsLost]];
    let model = Defib::new(pairs, TWO_NODES);
    let checker = model.checker().threads(THREADS).timeout(TWO_NODES_LIMIT).target_state_count(TWO_NODES_MAX);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_dfs().join();
    println!(
        "model two nodes: {} states, {} transitions, depth {}, {:.1} s, {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64(),
        if began.elapsed() < TWO_NODES_LIMIT && checker.state_count() < TWO_NODES_MAX {
            "exhausted"
        } else {
            "not exhausted"
        }
    );
    let broken = checker.discoveries().into_iter().find(|(name, _)| is_promise(name));
    assert!(broken.is_none(), "{:?}", broken.map(|(name, path)| (name, told(path))));
}

/// Each of these is found by the model, by a shortest path to the promise that it breaks.
#[cfg(feature = "plants")]
#[test]
#[ignore = "minutes without optimization; make model"]
fn planted_bugs_are_found() {
    use defib::plants::Plant;
    let plants = [
        (Plant::NoCompareAndSet, "S5"),
        (Plant::VersionOnlyCompare, "S5"),
        (Plant::SecondIncident, "S5"),
        (Plant::PerformAfterConflict, "S5"),
        (Plant::PerformBeforeCommit, "S5"),
        (Plant::PublishBeforeCommit, "L2"),
        (Plant::NoPrecheck, "S1"),
        (Plant::OldReads, "S1"),
        (Plant::RedoOrphan, "S5"),
        (Plant::BurnTooEarly, "S5"),
        (Plant::UnknownIsDead, "S8"),
        (Plant::PermitsNeverFreed, "S9"),
        (Plant::OneLookIsEnough, "S1"),
        (Plant::IgnorePause, "S6"),
        (Plant::ForgetReport, "L2"),
        (Plant::NeverMarkSent, "L1"),
    ];
    let mut survivors = Vec::new();
    for (plant, promise) in plants {
        let began = clock();
        let model = Defib { plant: Some(plant), ..Defib::new(ONE_NODE, WHOLE) };
        let checker = model.checker().threads(1).target_state_count(3_000_000);
        let checker = checker.finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let states = checker.unique_state_count();
        let found = checker.discoveries().into_iter().filter(|(name, _)| is_promise(name));
        // Those that were found in the same block of states came by paths of nearly the same length.
        match found.min_by_key(|(name, path)| (path.clone().into_actions().len(), *name)) {
            Some((name, path)) => {
                let seconds = began.elapsed().as_secs_f64();
                println!("plant {plant}: {name} after {states} states, {seconds:.1} s, {}", told(path));
                if name != promise {
                    survivors.push(format!("{plant}: {name} instead of {promise}"));
                }
            }
            None => survivors.push(format!("{plant}: not found in {states} states")),
        }
    }
    assert!(survivors.is_empty(), "{survivors:?}");
}

/// What the key leaves out makes no difference: states with the same key lead to states with the same keys.
#[test]
fn states_with_one_key_have_one_future() {
    for troubles in ONE_NODE {
        let model = Defib::new(&[troubles], SMALL);
        let mut known: HashMap<u64, (State, HashSet<u64>)> = HashMap::new();
        let mut pending = model.init_states();
        let mut merged = 0;
        while let Some(state) = pending.pop() {
            let mut steps = Vec::new();
            model.actions(&state, &mut steps);
            let next: Vec<State> = steps.into_iter().filter_map(|step| model.next_state(&state, step)).collect();
            let keys: HashSet<u64> = next.iter().map(State::key).collect();
            match known.get(&state.key()) {
                Some((same, _)) if *same == state => {}
                Some((other, keys_of_other)) => {
                    merged += 1;
                    assert_eq!(*keys_of_other, keys, "one key, two futures\n{other:#?}\n{state:#?}");
                }
                None => {
                    known.insert(state.key(), (state, keys));
                    pending.extend(next);
                }
            }
        }
        assert!(merged > 100, "only {merged} of {} states were told by the same key", known.len());
    }
}

#[test]
fn a_key_does_not_know_what_time_it_is() {
    let model = Defib::new(ONE_NODE, SMALL);
    let later = defib::time::after(noon(), 86_400);
    for (troubles, early) in model.beginnings.iter().zip(model.init_states()) {
        let nodes = (1..).zip(troubles).map(|(number, trouble)| Node::new(number, *trouble, later)).collect();
        let mut pair = (early, State::new(later, nodes));
        for _ in 0..12 {
            assert_eq!(pair.0.key(), pair.1.key());
            let mut steps = Vec::new();
            model.actions(&pair.0, &mut steps);
            let next = steps
                .into_iter()
                .rev()
                .find_map(|step| Some((model.next_state(&pair.0, step)?, model.next_state(&pair.1, step)?)));
            let Some(next) = next else { break };
            pair = next;
        }
    }
}
