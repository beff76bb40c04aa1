//! A rehearsal: the product at work on a small fleet, in virtual time, from its first event to its last report.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::account::{Account, Sent};
use super::ailment::Ailment;
use super::driver::{Driver, DriverCounts, DriverSettings};
use super::scenario::{Scenario, What, Word};
use super::stage;
use super::world::{World, WorldSettings};
use crate::engine::{Action, Context, OperatorRequest, Trigger};
use crate::event::{CoarseStatus, Signal, SignalKind};
use crate::incident::held::{Held, LeftOver, Sighting, held, left_over};
use crate::incident::{Incident, IncidentId};
use crate::node::{CommandId, DocumentName, Home, NodeId};
use crate::observe::{InvocationStatus, Look, Tags};
use crate::policy::Policy;
use crate::policy::standing::{News, Reading};
use crate::ports::{OutboxItem, ReportId, Switch};
use crate::report::policy_problem;
use crate::storm::{Digest, DigestId};
use crate::time::after;

mod record;

pub use record::Staging;

/// The world is this old when a rehearsal begins, in seconds, so that its machines are at work.
const BEFORE_SECS: i64 = 3_600;
/// A rehearsal of events ends after this long at the latest, in seconds: parked incidents wait for six hours.
const HORIZON_SECS: i64 = 13 * 3_600;
/// After its time is up, a rehearsal goes on this long at most until nothing is going on, in seconds.
const GRACE_SECS: i64 = 15 * 60;
/// Events further apart than this are brought closer, in seconds: samples in documentation are years apart.
const APART_SECS: i64 = 600;

/// The product at work on a small fleet.
#[derive(Debug)]
pub struct Rehearsal {
    driver: Driver,
    start: Timestamp,
    horizon: Timestamp,
    names: BTreeMap<String, NodeId>,
    steps: Vec<(Timestamp, What)>,
    /// What the world did, for the transcript.
    world_lines: Vec<(Timestamp, String)>,
    last_told: BTreeMap<NodeId, Signal>,
    commands: u32,
    /// Which command was last sent to a node, by its number.
    command_of: BTreeMap<String, u32>,
    /// The change calendar that the policy names.
    calendar: Option<DocumentName>,
    /// Plays to the very end of its time, though nothing goes on any more: a mute may end, a reminder may be due.
    to_the_end: bool,
    counts_only: bool,
    /// The stack's rules, which an update of it may change.
    policy: Policy,
    /// Nobody works any more.
    removed: bool,
}

/// What became of a rehearsal.
#[derive(Debug, Clone)]
pub struct Played {
    /// Every incident, in the order of their ids.
    pub incidents: Vec<Arc<Incident>>,
    /// Every report, each once.
    pub reports: Vec<(Timestamp, Arc<OutboxItem>)>,
    /// Every digest, each once.
    pub digests: Vec<(Timestamp, Arc<Digest>)>,
    /// What happened in the world, as far as the script says so.
    pub world_lines: Vec<(Timestamp, String)>,
    /// When it began.
    pub start: Timestamp,
    /// How much virtual time it took, in seconds.
    pub virtual_secs: i64,
    /// What the driver counted.
    pub counts: DriverCounts,
    /// Effects that landed.
    pub landed: Vec<Sent>,
    /// Tells numbers only.
    pub counts_only: bool,
    /// Nodes that wait for a place in the end.
    pub shelved: usize,
    /// The nodes by what the script calls them; none where there was no script.
    pub names: BTreeMap<String, NodeId>,
    /// What is left taken from nodes, as `doctor` would list it; read only where the stack was removed.
    pub left: Option<(Vec<Held>, Vec<LeftOver>)>,
}

impl Rehearsal {
    /// Sets the scene for events of one account and region.
    #[must_use]
    pub fn of_events(home: &Home, signals: &[Signal], fault: Option<Ailment>, policy: Policy, seed: u64) -> Self {
        let start = signals.iter().map(|signal| signal.at).min().unwrap_or_else(tour_start).clamp(earliest(), latest());
        let mut rehearsal = Self::new(home.clone(), policy, seed, start, HORIZON_SECS);
        // Commands first: a node whose fault is its command must not send others of its own.
        let is_command = |signal: &&Signal| matches!(signal.kind, SignalKind::CommandTrouble { .. });
        let (commands, others): (Vec<&Signal>, Vec<&Signal>) = signals.iter().partition(is_command);
        for signal in commands.into_iter().chain(others) {
            let apart = crate::time::secs_between(start, signal.at).clamp(0, APART_SECS);
            let at = after(start, apart);
            let fault = fault.unwrap_or_else(|| stage::fitting(&signal.kind));
            stage::stage(rehearsal.driver.account_mut(), signal, fault, start);
            let told = Signal { at, ..signal.clone() };
            rehearsal.driver.deliver(Trigger::Signal(told), at);
        }
        rehearsal
    }

    /// Sets the scene for a script.
    #[must_use]
    pub fn of_scenario(home: Home, scenario: &Scenario) -> Self {
        let start = tour_start();
        let mut rehearsal = Self::new(home, scenario.policy.clone(), scenario.seed, start, scenario.lasts_secs);
        let world = &mut rehearsal.driver.account_mut().world;
        // The machines come in just before the curtain rises, so that their ages are what the script says.
        world.advance(after(start, -5));
        let mut names = BTreeMap::new();
        for (name, spec) in &scenario.machines {
            names.insert(name.clone(), world.add(spec.clone()));
        }
        for (group, settings) in &scenario.groups {
            world.set_group(group, settings);
        }
        for (cluster, percent) in &scenario.minimums {
            world.set_minimum(cluster, *percent);
        }
        world.advance(start);
        if scenario.steps.iter().any(|step| matches!(step.what, What::Document(_))) {
            rehearsal.driver.account_mut().document = Reading::Absent;
        }
        rehearsal.names = names;
        rehearsal.to_the_end = true;
        rehearsal.counts_only = scenario.counts_only;
        rehearsal.steps = scenario.steps.iter().map(|step| (after(start, step.at_secs), step.what.clone())).collect();
        rehearsal
    }

    fn new(home: Home, policy: Policy, seed: u64, start: Timestamp, lasts_secs: i64) -> Self {
        let begin = after(start, -BEFORE_SECS);
        let settings =
            WorldSettings { home: home.clone(), start: begin, seed, flapping: true, background_commands: false };
        let account = Account::new(World::new(settings));
        let (calendar, rules) = (policy.calendar.clone(), policy.clone());
        let context = Arc::new(Context { home, policy });
        Self {
            calendar,
            driver: Driver::new(account, context, DriverSettings::calm(seed), start),
            start,
            horizon: after(start, lasts_secs),
            names: BTreeMap::new(),
            steps: Vec::new(),
            world_lines: Vec::new(),
            last_told: BTreeMap::new(),
            commands: 0,
            command_of: BTreeMap::new(),
            to_the_end: false,
            counts_only: false,
            policy: rules,
            removed: false,
        }
    }

    /// Plays it to its end: all steps, then until nothing is going on any more, or the time is up.
    #[must_use]
    pub fn play(mut self) -> Played {
        let steps = std::mem::take(&mut self.steps);
        for (at, what) in steps {
            self.driver.run_until(at, &mut ());
            self.step(at, what);
        }
        // Nothing may have been told yet: a silent agent shows after fifteen minutes, and the sweep comes every five.
        self.driver.run_until(after(self.driver.now(), 25 * 60).min(self.horizon), &mut ());
        if self.to_the_end {
            self.driver.run_until(self.horizon, &mut ());
        }
        // What is in the middle of something then may finish it, a blip above all.
        self.driver.run_until_quiet(after(self.horizon, GRACE_SECS), &mut ());
        let left = self.removed.then(|| self.left());
        let account = self.driver.account();
        // What Defib says of the document stands among what happened around it.
        let news = account.ledger.policy_news().iter().map(|(at, news)| (*at, told(news)));
        self.world_lines.extend(news);
        self.world_lines.sort_by_key(|(at, _)| *at);
        let mut seen: Vec<ReportId> = Vec::new();
        let reports = account
            .published
            .iter()
            .filter(|(_, item)| {
                let new = !seen.contains(&item.id);
                seen.push(item.id);
                new
            })
            .cloned()
            .collect();
        let mut told: Vec<DigestId> = Vec::new();
        let digests = account
            .digests
            .iter()
            .filter(|(_, digest)| {
                let new = !told.contains(&digest.id);
                told.push(digest.id);
                new
            })
            .cloned()
            .collect();
        Played {
            digests,
            incidents: account.ledger.incidents().cloned().collect(),
            reports,
            world_lines: self.world_lines,
            start: self.start,
            virtual_secs: crate::time::secs_between(self.start, self.driver.now()),
            landed: account.sent.iter().filter(|sent| sent.landed).copied().collect(),
            counts_only: self.counts_only,
            counts: self.driver.counts(),
            shelved: account.ledger.shelf().len(),
            names: self.names,
            left,
        }
    }

    /// What is left taken from nodes, by the records and by what AWS shows.
    fn left(&mut self) -> (Vec<Held>, Vec<LeftOver>) {
        let now = self.driver.now();
        let account = self.driver.account_mut();
        let nodes: Vec<NodeId> = account.world.nodes().collect();
        let see = |node| Sighting::of(&account.world.observe(node, &Look::default(), now));
        let sightings: Vec<Sighting> = nodes.into_iter().map(see).collect();
        let ghosts = account.world.ghosts();
        let incidents = || account.ledger.incidents().map(AsRef::as_ref);
        (held(incidents(), &sightings), left_over(&ghosts, &sightings, incidents()))
    }

    fn say(&mut self, at: Timestamp, text: String) {
        self.world_lines.push((at, text));
    }

    fn node(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// One step of a script. Scripts were checked when they were read, so every name is known.
    fn step(&mut self, at: Timestamp, what: What) {
        match what {
            What::Fault(name, ailment, lasts) => {
                let Some(node) = self.node(&name) else { return };
                let by_itself = lasts.map(|secs| format!(", for {}", crate::time::spoken(secs))).unwrap_or_default();
                self.say(at, format!("{name} falls ill: {}{by_itself}", ailment.code()));
                self.driver.account_mut().world.afflict(node, ailment, at, lasts);
            }
            What::Repair(name) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("a person repairs what was wrong around {name}"));
                self.driver.account_mut().world.repair(node, at);
            }
            What::Command(name, status, document, same) => {
                self.command(at, (&name, same.as_deref()), status, &document);
            }
            What::SessionRefused(name) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("StartSession to {name} is refused: TargetNotConnected"));
                self.tell(Signal { node, at, kind: SignalKind::SessionRefused });
            }
            What::Tag(name, tags) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("somebody tags {name}: {}", spelled_tags(tags)));
                self.driver.account_mut().world.set_tags(node, tags, at);
            }
            What::TagGroup(name, tags) => {
                self.say(at, format!("somebody tags group {name}: {}", spelled_tags(tags)));
                self.driver.account_mut().world.set_group_tags(name.as_str(), tags);
            }
            What::TagCluster(name, tags) => {
                self.say(at, format!("somebody tags cluster {name}: {}", spelled_tags(tags)));
                self.driver.account_mut().world.set_cluster_tags(&name, tags);
            }
            What::Document(text) => {
                let lines = text.as_deref().map(|text| text.lines().map(str::trim).collect::<Vec<_>>().join(" / "));
                self.say(at, format!("the policy document is now: {}", lines.as_deref().unwrap_or("gone")));
                self.driver.account_mut().document = text.map_or(Reading::Absent, Reading::Text);
            }
            What::Sessions(name, count) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("{name} has {count} live sessions"));
                self.driver.account_mut().world.set_sessions(node, count, at);
            }
            What::Tasks(name, standalone, protected) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("{name} has {standalone} tasks of no service, and {protected} protected ones"));
                let world = &mut self.driver.account_mut().world;
                world.set_special(node, (standalone, protected), after(at, 2 * 3_600), at);
            }
            What::Busy(name, work, secs) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("somebody works on {name} for {}", crate::time::spoken(secs)));
                self.driver.account_mut().world.set_busy(node, work, after(at, secs), at);
            }
            What::Stop(name) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("somebody stops {name}"));
                self.driver.account_mut().world.stop_by_hand(node, at);
            }
            What::Terminate(name) => {
                let Some(node) = self.node(&name) else { return };
                self.say(at, format!("somebody terminates {name}"));
                self.driver.account_mut().world.terminate_by_hand(node, at);
            }
            What::Group(name, settings) => {
                self.say(at, format!("somebody changes the Auto Scaling group {}", name.as_str()));
                self.driver.account_mut().world.set_group(&name, &settings);
            }
            What::CloseCalendar(secs) => {
                let Some(name) = self.calendar.clone() else { return };
                self.say(
                    at,
                    format!("the change calendar {} is closed for {}", name.as_str(), crate::time::spoken(secs)),
                );
                self.driver.account_mut().world.close_calendar(&name, at, secs);
            }
            What::Upgrade(mode) => {
                let under = mode.map(|mode| format!(", mode {mode}")).unwrap_or_default();
                self.say(at, format!("the stack is updated: a newer function from now on{under}"));
                self.policy.mode = mode.unwrap_or(self.policy.mode);
                self.driver.upgrade(self.policy.clone());
            }
            What::Remove => {
                self.say(at, "the stack is removed".to_owned());
                self.driver.remove();
                self.removed = true;
            }
            What::SoldOut(secs) => {
                self.say(at, format!("AWS has no capacity for what starts, for {}", crate::time::spoken(secs)));
                self.driver.account_mut().world.sell_out(at, secs);
            }
            What::Again(name) => {
                let Some(signal) = self.node(&name).and_then(|node| self.last_told.get(&node)).cloned() else { return };
                self.say(at, format!("the last event about {name} is delivered once more"));
                self.driver.deliver(Trigger::Signal(signal), at);
            }
            What::Operator(word) => self.operator(at, &word),
        }
    }

    /// Somebody's command ends, and EventBridge tells of it with its coarse status.
    fn command(&mut self, at: Timestamp, (name, same): (&str, Option<&str>), status: InvocationStatus, document: &str) {
        let Some(node) = self.node(name) else { return };
        let id = match same.and_then(|same| self.command_of.get(same)) {
            Some(known) => *known,
            None => self.commands + 1,
        };
        self.commands = self.commands.max(id);
        self.command_of.insert(name.to_owned(), id);
        let id = format!("7c2f6b1e-9a51-4f0e-8f0d-{id:012x}");
        let (Ok(command), Ok(document)) = (id.parse::<CommandId>(), document.parse::<DocumentName>()) else { return };
        self.say(at, format!("a command on {name} ends: {document}, {}", spelled(status)));
        let world = &mut self.driver.account_mut().world;
        world.stage_command(node, command.clone(), document.clone(), status, at);
        let kind = match status {
            InvocationStatus::Success => SignalKind::CommandSucceeded,
            InvocationStatus::Failed | InvocationStatus::Undeliverable | InvocationStatus::Rejected => {
                SignalKind::CommandTrouble { command, document, status: CoarseStatus::Failed }
            }
            InvocationStatus::DeliveryTimedOut | InvocationStatus::ExecutionTimedOut | InvocationStatus::Open => {
                SignalKind::CommandTrouble { command, document, status: CoarseStatus::TimedOut }
            }
        };
        self.tell(Signal { node, at, kind });
    }

    fn tell(&mut self, signal: Signal) {
        self.last_told.insert(signal.node, signal.clone());
        let at = signal.at;
        self.driver.deliver(Trigger::Signal(signal), at);
    }

    fn operator(&mut self, at: Timestamp, word: &Word) {
        let open = |this: &Self, name: &str| -> Option<IncidentId> {
            let node = this.node(name)?;
            this.driver.account().ledger.open_on(node).map(|incident| incident.id)
        };
        let (text, action) = match word {
            Word::Pause => ("pause".to_owned(), Some(Action::Switch(Switch::Pause))),
            Word::Resume => ("resume".to_owned(), Some(Action::Switch(Switch::Resume))),
            Word::Mute(name, secs) => (
                format!("mute {name} for {}", crate::time::spoken(*secs)),
                self.node(name).map(|node| Action::Switch(Switch::Mute(node, after(at, *secs)))),
            ),
            Word::Unmute(name) => {
                (format!("unmute {name}"), self.node(name).map(|node| Action::Switch(Switch::Unmute(node))))
            }
            Word::Clear(name) => {
                (format!("clear {name}"), self.node(name).map(|node| Action::Switch(Switch::Clear(node))))
            }
            Word::Fix(name, remedy) => (format!("fix {name}"), self.node(name).map(|node| Action::Fix(node, *remedy))),
            Word::Approve(name) => (format!("approve {name}"), open(self, name).map(Action::Approve)),
            Word::Close(name) => (format!("close {name}"), open(self, name).map(Action::Close)),
        };
        self.say(at, format!("operator: {text}"));
        if let Some(action) = action {
            let request = OperatorRequest { by: Arc::from("ops"), action, at, plan: None };
            self.driver.deliver(Trigger::Operator(request), at);
        }
    }
}

/// What Defib tells of the policy document, in a line.
fn told(news: &News) -> String {
    match news {
        News::Problem(problem) => format!("defib tells: {}", policy_problem::subject(problem)),
        News::Mended { fallen } => format!("defib logs: {}", policy_problem::mended(fallen)),
    }
}

/// Tags as the script spells them.
fn spelled_tags(tags: Tags) -> String {
    let mode = tags.mode.map(|mode| format!(", mode={mode}")).unwrap_or_default();
    let mute = tags.mute_until.map(|until| format!(", mute-until={until}")).unwrap_or_default();
    format!("managed={}{mode}{mute}", tags.managed)
}

/// A status as AWS spells it.
fn spelled(status: InvocationStatus) -> &'static str {
    match status {
        InvocationStatus::Open => "InProgress",
        InvocationStatus::Success => "Success",
        InvocationStatus::DeliveryTimedOut => "DeliveryTimedOut",
        InvocationStatus::ExecutionTimedOut => "ExecutionTimedOut",
        InvocationStatus::Failed => "Failed",
        InvocationStatus::Undeliverable => "Undeliverable",
        InvocationStatus::Rejected => "Cancelled",
    }
}

/// Scripts begin at a fixed moment, so that their transcripts never change.
#[must_use]
pub fn tour_start() -> Timestamp {
    // 2026-11-20T14:00:00Z.
    Timestamp::from_second(1_795_183_200).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Before this, an event's time is not one that AWS can have sent: EC2 opened in 2006.
fn earliest() -> Timestamp {
    Timestamp::from_second(1_136_073_600).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// What is told of a later year is played in this one: sums of time end with the year 9999, and a rehearsal goes on from its start.
fn latest() -> Timestamp {
    Timestamp::from_second(221_845_392_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    #[test]
    fn scripts_begin_in_the_early_afternoon() {
        assert_eq!(super::tour_start().to_string(), "2026-11-20T14:00:00Z");
    }
}
