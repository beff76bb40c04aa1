//! The function on the embedded account: for trying the zip without AWS.
//!
//! The account lives as long as the process. Its clock begins at the present and moves only when somebody asks for it: a wake
//! moves it to the incident's stored `wake_at`, a sweep by five minutes, everything else by a second. Between, the world
//! lives on, and what AWS would tell of it is told.

use std::future::Future;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::drive::{Allowance, Driver, Ran, note_policy, run_pass};
use crate::config::{BadSetting, Settings};
use crate::engine::{Context, Done, Trigger, policy_in_force};
use crate::node::{DisplayName, Home};
use crate::policy::library::Library;
use crate::policy::standing::Reading;
use crate::policy::yaml::MAX_BYTES;
use crate::report::StackInfo;
use crate::sim::account::Account;
use crate::sim::ailment::Ailment;
use crate::sim::stage;
use crate::sim::world::{World, WorldSettings};
use crate::time::after;

/// A sweep moves the clock by this.
const SWEEP_SECS: i64 = 300;
/// A node that an event names is put into the world this long before the event, so that its fault can have caused it.
const BEFOREHAND_SECS: i64 = 30 * 60;
/// The deployment's name in reports, when nobody gave it one.
const DEFAULT_STACK: &str = "defib";

/// The function's hands on the embedded account.
#[derive(Debug)]
pub struct Embedded {
    context: Arc<Context>,
    stack: String,
    fault: Option<Ailment>,
    /// Where the policy document is.
    policy: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) account: Account,
    pub(super) now: Timestamp,
    pub(super) library: Library,
}

impl Embedded {
    /// An empty account at this moment.
    ///
    /// # Errors
    /// The settings name no home.
    pub fn new(settings: &Settings, now: Timestamp) -> Result<Self, BadSetting> {
        let home = settings.home()?;
        // Whole seconds read better in a trial.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        let world = World::new(WorldSettings {
            home: home.clone(),
            start: now,
            seed: settings.sim_seed,
            flapping: false,
            background_commands: false,
        });
        Ok(Self {
            context: Arc::new(Context { home, policy: settings.policy.clone() }),
            stack: settings.stack.as_ref().map_or(DEFAULT_STACK, DisplayName::as_str).to_owned(),
            fault: settings.sim_fault.and_then(Ailment::from_cause),
            policy: settings.sim_policy.clone(),
            state: Mutex::new(State { account: Account::new(world), now, library: Library::default() }),
        })
    }

    /// Looks at the account, or changes it.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn run_now(&self, trigger: Trigger, allowance: &mut Allowance) -> Ran {
        self.with(|state| {
            let place = Place {
                context: &self.context,
                stack: StackInfo { name: &self.stack, version: env!("CARGO_PKG_VERSION") },
                policy: self.policy.as_deref(),
            };
            state.prepare(&trigger, self.fault, &place);
            let mut done = state.pass(trigger, &place, allowance);
            let mut follow = Vec::new();
            for next in std::mem::take(&mut done.follow) {
                let ended = state.pass(next.clone(), &place, allowance);
                follow.push((next, ended));
            }
            Ran { done, follow }
        })
    }
}

impl Driver for Embedded {
    fn home(&self) -> &Home {
        &self.context.home
    }

    fn now(&self) -> Timestamp {
        self.with(|state| state.now)
    }

    fn run(&self, trigger: Trigger, allowance: &mut Allowance) -> impl Future<Output = Ran> {
        std::future::ready(self.run_now(trigger, allowance))
    }
}

/// What stands in the file now.
fn document(file: &Path) -> Reading {
    let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    match std::fs::File::open(file).and_then(|open| open.take(most).read_to_end(&mut bytes)) {
        // What is no UTF-8 becomes what no setting allows.
        Ok(_) => Reading::Text(String::from_utf8_lossy(&bytes).into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Reading::Absent,
        Err(_) => Reading::Unreadable,
    }
}

/// What every pass on this account shares.
struct Place<'a> {
    context: &'a Arc<Context>,
    stack: StackInfo<'a>,
    policy: Option<&'a Path>,
}

impl State {
    fn pass(&mut self, trigger: Trigger, place: &Place<'_>, allowance: &mut Allowance) -> Done {
        self.account.document = place.policy.map_or(Reading::Unused, document);
        let (policy, news) =
            match policy_in_force(&mut self.account, &place.context.policy, self.now, &mut self.library) {
                Ok(in_force) => in_force,
                Err(error) => {
                    tracing::warn!("the policy document cannot be read; the pass will be tried again: {error}");
                    return Done::retry(error);
                }
            };
        if let Some(news) = news {
            note_policy(&news, &place.context.home, &place.stack, self.now);
        }
        let context = Arc::new(Context { home: place.context.home.clone(), policy });
        run_pass(&mut self.account, &context, &place.stack, trigger, self.now, allowance)
    }

    /// Moves the clock, and makes the world fit what a signal says.
    fn prepare(&mut self, trigger: &Trigger, fault: Option<Ailment>, place: &Place<'_>) {
        match trigger {
            Trigger::Signal(signal) => {
                let new = self.account.world.truth(signal.node).is_none();
                let until = after(self.now, if new { BEFOREHAND_SECS } else { 1 });
                // Whoever is there already lives through that time as well.
                let fault = fault.unwrap_or_else(|| stage::fitting(&signal.kind));
                if !new {
                    self.live_until(until, place);
                }
                stage::stage(&mut self.account, signal, fault, until);
                self.now = until;
            }
            Trigger::Wake(id) => {
                let wake_at = self.account.ledger.incident(*id).and_then(|incident| incident.wake_at);
                self.live_until(wake_at.unwrap_or(self.now), place);
            }
            Trigger::Operator(_) => self.live_until(after(self.now, 1), place),
            Trigger::Sweep => self.live_until(after(self.now, SWEEP_SECS), place),
        }
    }

    /// Lets the world live on, and tells what AWS would tell, each event at its time.
    fn live_until(&mut self, until: Timestamp, place: &Place<'_>) {
        while let Some(at) = self.account.world.next_event_at().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.account.world.advance(self.now);
            for (_, signal) in self.account.world.take_signals() {
                self.pass(Trigger::Signal(signal), place, &mut Allowance::new());
            }
        }
        self.now = self.now.max(until);
        self.account.world.advance(self.now);
    }
}
