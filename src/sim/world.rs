//! The simulated account's world: nodes with hidden faults and honest symptoms, in virtual time.
//!
//! What is true and what AWS shows are two things here, as they are outside: pings go stale, `agentConnected` lags, status
//! checks take minutes, commands to a dead agent are accepted and never run. The world moves only when it is told the time,
//! from one planned moment to the next; the same seed and the same calls give the same world.
//!
//! Simpler than outside, on purpose: an Auto Scaling group replaces members that do not run, but not those whose status
//! checks fail; a second fault takes the first one's place; IAM denies nothing, so that a forgotten check is seen to land;
//! a repaired network is found again at once, where a real agent may sleep for up to an hour.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::ailment::{Ailment, SsmFace};
use super::machine::{Machine, Secs, moment};
use super::traffic::{Commands, Documents};
use crate::effect::Effect;
use crate::event::{Signal, SignalKind, SweptAgent};
use crate::node::{AutoScalingGroupName, AvailabilityZone, ClusterArn, CommandId, Home, NodeId};
use crate::observe::{Busy, Findings, InstanceState, Lifecycle, Tags};

mod act;
mod add;
mod calendar;
mod capacity;
mod census;
mod group;
mod happen;
mod look;
mod people;
mod run;
mod share;
mod truth;
mod workload;

pub use super::machine::MachineSpec;
use census::Census;
pub use people::GroupSettings;
#[cfg(feature = "cli")]
pub(crate) use run::Sending;
pub use truth::{Landed, Truth};

/// What a world is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorldSettings {
    /// Account and region.
    pub home: Home,
    /// When it begins.
    pub start: Timestamp,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// ECS agents drop and renew their connection every half hour, as they do.
    pub flapping: bool,
    /// Other people send commands to nodes.
    pub background_commands: bool,
}

/// Something that will happen to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// A fault begins.
    FallIll { ailment: Ailment, lasts: Option<Secs> },
    /// A fault ends by itself.
    Recover { generation: u32 },
    /// A flaky agent comes or goes.
    Flake { generation: u32 },
    /// Agents may have to come or go.
    Settle,
    /// Stopping, pending and shutting down end.
    PowerDone { boots: u32 },
    /// The operating system goes down for a reboot.
    HostUp { boots: u32, stopped: bool },
    /// The agents' units start.
    UnitsUp { boots: u32 },
    /// AWS shows a change of `agentConnected`.
    EcsShown { generation: u32 },
    /// ECS may call the agent's connectivity impaired.
    EcsImpaired,
    /// ECS may call the runtime impaired.
    RuntimeImpaired,
    /// A natural reconnect.
    Gap,
    /// Tasks leave a draining container instance.
    TasksLeave,
    /// ECS places tasks again.
    TasksCome,
    /// Standby has been entered or left.
    Moved,
    /// The Auto Scaling group notices a member that is not running.
    GroupNotices,
    /// A container instance of a terminated machine is deregistered by ECS.
    EcsForgets,
    /// The Auto Scaling group launches what is missing; the machine is the one that left.
    Launch,
    /// A command reaches the agent.
    Deliver(u32),
    /// A command is done.
    Finish(u32),
    /// A command's time is up.
    Expire(u32),
    /// The out-of-band restart of the SSM agent.
    SsmRestart { boots: u32 },
    /// Somebody sends a command to some node.
    Traffic,
}

/// What is planned, in order; what was planned first comes first at the same moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    /// What comes last stands first: much of what is planned comes soon, so that little has to move for it.
    planned: Vec<Planned>,
}

/// Something planned.
#[derive(Debug, Clone, Copy)]
struct Planned {
    at: Secs,
    machine: usize,
    due: Due,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Secs, machine: usize, due: Due) {
        let later = self.planned.partition_point(|other| other.at > at);
        self.planned.insert(later, Planned { at, machine, due });
    }

    fn first_at(&self) -> Option<Secs> {
        self.planned.last().map(|planned| planned.at)
    }

    fn pop_until(&mut self, now: Secs) -> Option<(Secs, usize, Due)> {
        if self.first_at()? > now {
            return None;
        }
        self.planned.pop().map(|planned| (planned.at, planned.machine, planned.due))
    }
}

/// An ECS cluster.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub arn: ClusterArn,
    pub name: Arc<str>,
    pub size: u32,
    /// `desiredCount` of its one service.
    pub desired: u32,
    /// `minimumHealthyPercent` of that service.
    pub minimum_percent: u32,
    pub tags: Tags,
}

/// Where a node counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandsIn {
    /// Its cluster.
    pub cluster: Option<Arc<str>>,
    /// Its Auto Scaling group.
    pub group: Option<Arc<str>>,
    /// The last letter of its Availability Zone.
    pub zone: Option<char>,
}

/// An Auto Scaling group.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub name: AutoScalingGroupName,
    pub label: Arc<str>,
    pub size: u32,
    pub desired: u32,
    pub min: u32,
    pub ec2_health_only: bool,
    pub suspended: bool,
    pub suspended_since: Option<Secs>,
    pub refreshing: bool,
    pub refreshing_since: Option<Secs>,
    pub tags: Tags,
}

/// An Availability Zone and how many nodes stand in it.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    pub letter: char,
    pub name: Option<AvailabilityZone>,
    pub size: u32,
}

/// Everything that is true of the simulated account's nodes, and what AWS shows of it.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) home: Home,
    pub(crate) rng: fastrand::Rng,
    pub(crate) now: Secs,
    pub(crate) flapping: bool,
    /// Looks leave out what the edge of AWS leaves out to save calls.
    pub(crate) lean: bool,
    /// `PingStatus` turns to `ConnectionLost` after this age of the last ping. Undocumented; drawn from the seed.
    pub(crate) ping_lost_secs: Secs,
    /// ECS calls a connection impaired after this long. Undocumented; drawn from the seed (inferred).
    pub(crate) ecs_impaired_secs: Secs,
    pub(crate) queue: Queue,
    pub(crate) machines: Vec<Machine>,
    by_id: BTreeMap<NodeId, usize>,
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) fleets: Vec<Fleet>,
    pub(crate) zones: Vec<Zone>,
    pub(crate) account_label: Arc<str>,
    pub(crate) account_size: u32,
    pub(crate) commands: Commands,
    pub(crate) documents: Documents,
    pub(crate) nothing: Findings,
    shares: Option<share::Shares>,
    census: Census,
    pub(crate) calendars: calendar::Calendars,
    pub(crate) shortages: capacity::Shortages,
    signals: Vec<(Timestamp, Signal)>,
    landed: Vec<Landed>,
    ran: Vec<Landed>,
}

impl World {
    /// An empty world.
    #[must_use]
    pub fn new(settings: WorldSettings) -> Self {
        let mut rng = fastrand::Rng::with_seed(settings.seed);
        let now = settings.start.as_second();
        let (ping_lost_secs, ecs_impaired_secs) = (rng.i64(600..=900), rng.i64(180..=420));
        let mut world = Self {
            home: settings.home,
            rng,
            now,
            flapping: settings.flapping,
            lean: false,
            ping_lost_secs,
            ecs_impaired_secs,
            queue: Queue::default(),
            machines: Vec::with_capacity(16),
            by_id: BTreeMap::new(),
            clusters: Vec::new(),
            fleets: Vec::new(),
            zones: Vec::new(),
            account_label: "the account".into(),
            account_size: 0,
            commands: Commands::seeded(settings.seed),
            documents: Documents::new(),
            // One of its own: the default's count is shared by all threads, which would wait for each other at every look.
            nothing: Findings::from([]),
            shares: None,
            census: Census::default(),
            calendars: calendar::Calendars::default(),
            shortages: capacity::Shortages::new(),
            signals: Vec::new(),
            landed: Vec::with_capacity(32),
            ran: Vec::with_capacity(16),
        };
        if settings.background_commands {
            let first = world.rng.i64(60..=900);
            world.queue.push(now + first, 0, Due::Traffic);
        }
        world
    }

    /// Account and region.
    #[must_use]
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The moment up to which the world has moved.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        moment(self.now)
    }

    /// Every machine that ever was, in the order of its arrival.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.machines.iter().map(|machine| machine.id)
    }

    pub(crate) fn index(&self, node: NodeId) -> Option<usize> {
        self.by_id.get(&node).copied()
    }

    /// A hidden fault begins at a moment, or at once when that has passed. With `lasts` it ends by itself.
    pub fn afflict(&mut self, node: NodeId, ailment: Ailment, at: Timestamp, lasts: Option<i64>) {
        if let Some(machine) = self.index(node) {
            self.queue.push(at.as_second().max(self.now), machine, Due::FallIll { ailment, lasts });
        }
        self.advance(moment(self.now));
    }

    /// Lets everything happen that is due.
    pub fn advance(&mut self, now: Timestamp) {
        let until = now.as_second().max(self.now);
        while let Some((at, machine, due)) = self.queue.pop_until(until) {
            self.now = at.max(self.now);
            self.happen(machine, due);
        }
        self.now = until;
    }

    /// The next moment at which something happens by itself, or an event waits to be taken.
    #[must_use]
    pub fn next_event_at(&self) -> Option<Timestamp> {
        match self.signals.first() {
            Some((at, _)) => Some(*at),
            None => self.queue.first_at().map(moment),
        }
    }

    /// Whether AWS has sent an event since the last time.
    #[must_use]
    pub fn has_signals(&self) -> bool {
        !self.signals.is_empty()
    }

    /// The events that AWS has sent since the last time.
    pub fn take_signals(&mut self) -> Vec<(Timestamp, Signal)> {
        std::mem::take(&mut self.signals)
    }

    /// What a sweep would list: agents that AWS shows as lost, members in service that never registered, and container
    /// instances of machines that are gone.
    pub fn troubled(&mut self, now: Timestamp) -> Vec<Signal> {
        self.advance(now);
        let (now, mut found) = (self.now, Vec::new());
        for machine in &self.machines {
            let agent = if self.ssm_looks_lost(machine, now) {
                SweptAgent::Ssm
            } else if machine.ecs.as_ref().is_some_and(|ecs| ecs.registered && !ecs.link.shown(now)) {
                SweptAgent::Ecs
            } else {
                continue;
            };
            let since = self.newest_loss(machine.id).map(|(since, _)| since);
            found.push(Signal { node: machine.id, at: moment(now), kind: SignalKind::Swept { agent, since } });
        }
        found
    }

    /// Since when AWS has shown an agent of a running node as lost; none when it shows none.
    #[must_use]
    pub fn shown_dead_since(&self, node: NodeId) -> Option<Timestamp> {
        let now = self.now;
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        if machine.state != InstanceState::Running {
            return None;
        }
        let ssm = self.ssm_looks_lost(machine, now).then(|| {
            if machine.ssm_listed() {
                machine.pinged_at(now) + self.ping_lost_secs + 1
            } else {
                machine.launched_at + share::REGISTERS_SECS
            }
        });
        let ecs = machine.ecs.as_ref().filter(|ecs| ecs.registered && !ecs.link.shown(now));
        let ecs = ecs.map(|ecs| ecs.link.shown_since(now));
        ssm.into_iter().chain(ecs).min().map(|since| moment(since.max(machine.state_since)))
    }

    /// Whether a node is or was in this account.
    #[must_use]
    pub fn knows(&self, node: NodeId) -> bool {
        self.by_id.contains_key(&node)
    }

    /// Since when an instance refresh of the node's Auto Scaling group has been running.
    #[must_use]
    pub fn refreshing_since(&self, node: NodeId) -> Option<Timestamp> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        let fleet = machine.member.as_ref().and_then(|member| self.fleets.get(member.group))?;
        fleet.refreshing_since.filter(|_| fleet.refreshing).map(moment)
    }

    /// Where a node counts: its cluster, its Auto Scaling group, its Availability Zone.
    #[must_use]
    pub fn stands_in(&self, node: NodeId) -> Option<StandsIn> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        let cluster = machine.ecs.as_ref().and_then(|ecs| self.clusters.get(ecs.cluster));
        let fleet = machine.member.as_ref().and_then(|member| self.fleets.get(member.group));
        let zone = machine.zone.as_ref().and_then(|zone| zone.as_str().chars().next_back());
        let (cluster, group) =
            (cluster.map(|known| Arc::clone(&known.name)), fleet.map(|known| Arc::clone(&known.label)));
        Some(StandsIn { cluster, group, zone })
    }

    /// Until when tags of a node, its group or its cluster mute it, in the past too.
    #[must_use]
    pub fn muted_until(&self, node: NodeId) -> Option<Timestamp> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        let group = machine.member.as_ref().and_then(|member| self.fleets.get(member.group));
        let cluster = machine.ecs.as_ref().and_then(|ecs| self.clusters.get(ecs.cluster));
        let tags = [Some(&machine.tags), group.map(|group| &group.tags), cluster.map(|cluster| &cluster.tags)];
        tags.into_iter().flatten().filter_map(|tags| tags.mute_until).max()
    }

    fn ssm_looks_lost(&self, machine: &Machine, now: Secs) -> bool {
        if machine.state != InstanceState::Running {
            return false;
        }
        let in_service = machine.member.as_ref().is_some_and(|member| member.lifecycle == Lifecycle::InService);
        if machine.ssm_listed() {
            now - machine.pinged_at(now) > self.ping_lost_secs
        } else {
            in_service && now - machine.launched_at > 600
        }
    }

    /// Every effect that AWS accepted, with the truth of that moment.
    #[must_use]
    pub fn landed(&self) -> &[Landed] {
        &self.landed
    }

    /// Every effect that a host carried out on behalf of Run Command, with the truth of that moment.
    #[must_use]
    pub fn ran(&self) -> &[Landed] {
        &self.ran
    }

    /// Forgets both logs.
    pub fn clear_landed(&mut self) {
        self.landed.clear();
        self.ran.clear();
    }

    pub(crate) fn log_ran(&mut self, machine: usize, effect: Effect, command: Option<CommandId>) {
        if let Some(landed) = self.note_of(machine, effect, command) {
            self.ran.push(landed);
        }
    }

    /// AWS sends an event about a machine.
    pub(crate) fn emit(&mut self, machine: usize, kind: SignalKind) {
        if let Some(machine) = self.machines.get(machine) {
            let at = moment(self.now);
            self.signals.push((at, Signal { node: machine.id, at, kind }));
        }
    }

    /// Who works on a machine just now, beside Defib.
    pub(crate) fn busy_now(machine: &Machine, now: Secs) -> Busy {
        if now < machine.busy_until { machine.busy } else { Busy::Idle }
    }

    /// Whether a fault is the service's own, so that nothing can be read of the node's agents.
    pub(crate) fn service_down(machine: &Machine) -> bool {
        machine.illness.as_ref().is_some_and(|ill| ill.ailment == Ailment::ServiceUnavailable)
    }

    /// Whether a fault makes the SSM agent come and go.
    pub(crate) fn is_flaky(machine: &Machine) -> bool {
        machine.ssm_face() == SsmFace::Flaky
    }
}

#[cfg(test)]
mod tests;
