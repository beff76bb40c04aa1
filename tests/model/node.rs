//! A small node: whether it is well, and what AWS shows of it.

use std::sync::{Arc, LazyLock};

use defib::effect::Effect;
use defib::event::{HealthCheck, Signal, SignalKind, SweptAgent};
use defib::node::{ClusterArn, CommandId, ContainerInstanceArn, NodeId};
use defib::observe::{
    Blind, Busy, Check, Connection, Depth, Ec2, Ecs, EcsStatus, Fact, Factors, Group, InstanceState, Look, Observation,
    Ping, Platform, Probe, ProbeAnswer, Sessions, Ssm, StopGates, Tags, Workload,
};
use defib::ports::Performed;
use defib::time::{after, secs_between};
use jiff::Timestamp;

use super::key::Ago;

/// How long a reboot keeps a node away, in seconds.
const BOOT_SECS: i64 = 60;
/// Until when a probe can be delivered, in seconds: its delivery time-out.
const DELIVERY_SECS: i64 = 60;
/// The longest natural reconnect of an ECS agent, in seconds.
const BLIP_SECS: i64 = 120;
/// No rule asks whether a node has been well for longer than this, in seconds.
const WELL_KNOWN_SECS: i64 = 91;
/// No rule asks whether a probe was sent longer ago than this, in seconds.
const PROBE_KNOWN_SECS: i64 = 20_000;
/// How long it has been there when the model begins, in seconds.
const AGE_SECS: i64 = 86_400;

/// What is wrong with a node when the model begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Trouble {
    /// Its SSM agent hangs, and it is in no cluster: a probe is needed to be certain.
    SsmHung,
    /// Its ECS agent is gone, it has no SSM agent, and people drain it already: two looks are needed to be certain.
    EcsLost,
    /// It is well, and its ECS agent renews its connection for two minutes.
    Blip,
}

/// A node, and what is true of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Node {
    /// Its id.
    pub(crate) id: NodeId,
    /// What is wrong with it.
    pub(crate) trouble: Trouble,
    /// Since when it has been well; none while it is ill or boots.
    pub(crate) well_since: Option<Timestamp>,
    /// Its boot, when one is going on: until when, and whether it is well then.
    pub(crate) boot: Option<(Timestamp, bool)>,
    booted_at: Timestamp,
    last_ping: Timestamp,
    blip_until: Option<Timestamp>,
    probes: Vec<Sent>,
}

/// A probe of ours.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Sent {
    at: Timestamp,
    /// When the host that answered it had booted; none while nobody has.
    answered: Option<Timestamp>,
}

/// What makes a difference about a node from now on.
pub(crate) type NodeShape = (Trouble, Option<i64>, Option<(i64, bool)>, i64, Option<i64>);
/// The same about a probe.
pub(crate) type ProbeShape = (i64, Option<i64>);

impl Node {
    /// A node in trouble.
    pub(crate) fn new(number: u128, trouble: Trouble, now: Timestamp) -> Self {
        let long_ago = after(now, -AGE_SECS);
        let blips = trouble == Trouble::Blip;
        Self {
            id: NodeId::numbered(0x0d5a_b1e0_0000_0000 + number),
            trouble,
            well_since: blips.then_some(long_ago),
            boot: None,
            booted_at: long_ago,
            last_ping: after(now, -1_200),
            blip_until: blips.then_some(after(now, BLIP_SECS)),
            probes: Vec::new(),
        }
    }

    /// Lets what was due until now happen.
    pub(crate) fn come_to(&mut self, now: Timestamp) {
        if let Some((until, well)) = self.boot
            && until <= now
        {
            self.boot = None;
            self.booted_at = until;
            if well {
                self.recover(until);
            }
        }
        self.blip_until = self.blip_until.filter(|until| *until > now);
    }

    /// Moments at which it changes, or what is shown of it.
    pub(crate) fn moments(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let boot = self.boot.map(|(until, _)| until);
        [boot, self.blip_until].into_iter().flatten()
    }

    /// When a probe counts as lost, if nobody has answered it.
    pub(crate) fn probe_lost_at(&self, command: &CommandId) -> Option<Timestamp> {
        self.sent(command).filter(|sent| sent.answered.is_none()).map(|sent| after(sent.at, DELIVERY_SECS))
    }

    /// Whether it can recover by itself now.
    pub(crate) fn can_recover(&self) -> bool {
        self.well_since.is_none() && self.boot.is_none()
    }

    /// It recovers by itself, and takes the probes that still wait for it.
    pub(crate) fn recover(&mut self, now: Timestamp) {
        self.well_since = Some(now);
        for sent in &mut self.probes {
            if sent.answered.is_none() && secs_between(sent.at, now) < DELIVERY_SECS {
                sent.answered = Some(self.booted_at);
            }
        }
    }

    /// What makes a difference about it from now on.
    pub(crate) fn shape(&self, ago: &Ago) -> NodeShape {
        let boot = self.boot.map(|(until, well)| (ago.of(until), well));
        let well = self.well_since.map(|since| ago.capped(since, WELL_KNOWN_SECS));
        (self.trouble, well, boot, ago.of(self.booted_at), self.blip_until.map(|until| ago.of(until)))
    }

    /// What makes a difference about a probe from now on.
    pub(crate) fn probe_shape(&self, command: &CommandId, ago: &Ago) -> Option<ProbeShape> {
        let sent = self.sent(command)?;
        Some((ago.capped(sent.at, PROBE_KNOWN_SECS), sent.answered.map(|booted| ago.of(booted))))
    }

    fn sent(&self, command: &CommandId) -> Option<&Sent> {
        let index = COMMANDS.iter().position(|known| known == command)?;
        self.probes.get(index)
    }

    /// Whether its agent is connected, as AWS shows it.
    fn connected(&self) -> bool {
        self.well_since.is_some() && self.blip_until.is_none()
    }

    /// An effect reaches it.
    ///
    /// # Panics
    /// When it is one that nothing in this model calls for.
    pub(crate) fn take(&mut self, effect: Effect, now: Timestamp) -> Performed {
        match effect {
            Effect::Probe => {
                let command = COMMANDS.get(self.probes.len()).cloned();
                assert!(command.is_some(), "more probes than the model has names for");
                self.probes.push(Sent { at: now, answered: self.well_since.map(|_| self.booted_at) });
                Performed::Done { command }
            }
            Effect::Reboot => {
                self.boot = Some((after(now, BOOT_SECS), self.well_since.is_some()));
                self.well_since = None;
                Performed::Done { command: None }
            }
            Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime
            | Effect::Drain
            | Effect::Activate
            | Effect::EnterStandby
            | Effect::ExitStandby
            | Effect::Stop
            | Effect::Start
            | Effect::Terminate
            | Effect::Deregister => panic!("the model knows no {effect:?}"),
        }
    }

    /// What tells that it is in trouble.
    pub(crate) fn signal(&self, now: Timestamp) -> Signal {
        let kind = match self.trouble {
            Trouble::SsmHung => SignalKind::CommandTrouble {
                command: COMMANDS[COMMANDS.len() - 1].clone(),
                document: "AWS-RunShellScript".parse().unwrap(),
                status: defib::event::CoarseStatus::TimedOut,
            },
            Trouble::EcsLost => SignalKind::EcsHealthImpaired {
                check: HealthCheck::AgentConnectivity,
                container_instance: PLACE.1.clone(),
                cluster: Some(PLACE.0.clone()),
                since: None,
            },
            Trouble::Blip => SignalKind::EcsDisconnected {
                container_instance: PLACE.1.clone(),
                cluster: Some(PLACE.0.clone()),
                version: Some(7),
            },
        };
        Signal { node: self.id, at: now, kind }
    }

    /// What tells that it is well again.
    pub(crate) fn recovery(&self, now: Timestamp) -> Signal {
        let kind = match self.trouble {
            Trouble::SsmHung => SignalKind::CommandSucceeded,
            Trouble::EcsLost | Trouble::Blip => SignalKind::EcsConnected,
        };
        Signal { node: self.id, at: now, kind }
    }

    /// What the sweep finds, when it finds it in trouble.
    pub(crate) fn swept(&self, now: Timestamp) -> Option<Signal> {
        let agent = match self.trouble {
            Trouble::SsmHung => SweptAgent::Ssm,
            Trouble::EcsLost | Trouble::Blip => SweptAgent::Ecs,
        };
        (!self.connected()).then_some(Signal { node: self.id, at: now, kind: SignalKind::Swept { agent, since: None } })
    }

    /// What AWS shows of it.
    pub(crate) fn look(&self, look: &Look, now: Timestamp) -> Observation {
        let seen = self.shown(look, now);
        match &look.seen {
            Some(before) => before.as_ref().clone().completed(seen),
            None => seen,
        }
    }

    fn shown(&self, look: &Look, now: Timestamp) -> Observation {
        let deep = look.close && look.depth >= Depth::Remedy;
        let close =
            |fact: Fact<defib::observe::Findings>| if look.close { fact } else { Fact::Unknown(Blind::NotRead) };
        let nothing = || close(Fact::Known(Arc::from([])));
        let (ssm, ecs) = match self.trouble {
            Trouble::SsmHung => (Fact::Known(self.ssm(now)), Fact::Absent),
            Trouble::EcsLost | Trouble::Blip => (Fact::Absent, Fact::Known(self.ecs())),
        };
        Observation {
            node: self.id,
            at: now,
            depth: if look.close { look.depth } else { Depth::All },
            ec2: Fact::Known(self.ec2()),
            ssm,
            ecs,
            asg: Fact::Absent,
            group: Fact::Known(Group {
                name: Arc::from("blue"),
                size: 2,
                zone_size: 2,
                unhealthy: 1,
                zone_unhealthy: 1,
                zone_peers: 1,
                zone_peers_unhealthy: 0,
            }),
            // It shares nothing, runs no task that needs regard, and no calendar is named.
            factors: Fact::Known(Factors { shared: Arc::from([]), fleet: 2 }),
            workload: if deep { Fact::Known(Workload::default()) } else { Fact::Unknown(Blind::NotRead) },
            successor: Fact::Absent,
            calendar: Fact::Absent,
            invocation: Fact::Absent,
            probe: self.probe(look, now),
            repair: Fact::Absent,
            sessions: if deep { Fact::Known(Sessions::default()) } else { Fact::Unknown(Blind::NotRead) },
            busy: if look.close { Fact::Known(Busy::Idle) } else { Fact::Unknown(Blind::NotRead) },
            identity: nothing(),
            network: nothing(),
            console: if look.close && look.depth >= Depth::Cause { nothing() } else { Fact::Unknown(Blind::NotRead) },
        }
    }

    /// The same, while the services that know its agents answer with nothing. Throttled they would be the cause by themselves
    /// (`service.unavailable`), and no remedy would hang on whether unknown counts as dead.
    pub(crate) fn look_blindly(&self, look: &Look, now: Timestamp) -> Observation {
        let mut seen = self.look(look, now);
        let why = Blind::Empty;
        (seen.ssm, seen.ecs, seen.probe) = (Fact::Unknown(why), Fact::Unknown(why), Fact::Unknown(why));
        seen
    }

    fn ec2(&self) -> Ec2 {
        Ec2 {
            state: InstanceState::Running,
            launched_at: self.first_boot(),
            system_check: Check::Ok,
            instance_check: Check::Ok,
            volumes_check: Check::Ok,
            scheduled: None,
            name: None,
            zone: "us-east-1a".parse().unwrap(),
            tags: Tags { managed: true, mode: None, mute_until: None },
            manager: None,
            // After a reboot that did not help only a person is left.
            stop: StopGates { stop_protected: true, ..StopGates::default() },
        }
    }

    /// When it was launched: before its pings stopped.
    fn first_boot(&self) -> Timestamp {
        after(self.last_ping, -AGE_SECS)
    }

    fn ssm(&self, now: Timestamp) -> Ssm {
        let connected = self.connected();
        let (ping, connection) = if connected {
            (Ping::Online, Connection::Connected)
        } else {
            (Ping::ConnectionLost, Connection::NotConnected)
        };
        Ssm {
            ping,
            last_ping: if connected { now } else { self.last_ping },
            connection: Fact::Known(connection),
            platform: Platform::Linux,
            tags: Fact::Absent,
        }
    }

    fn ecs(&self) -> Ecs {
        let connected = self.connected();
        Ecs {
            cluster: PLACE.0.clone(),
            arn: PLACE.1.clone(),
            connected,
            status: EcsStatus::Draining,
            tasks: 0,
            agent_check: if connected { Check::Ok } else { Check::Impaired },
            runtime_check: if connected { Check::Ok } else { Check::Undecided },
            impaired_since: None,
            cluster_tags: Tags::default(),
        }
    }

    fn probe(&self, look: &Look, now: Timestamp) -> Fact<Probe> {
        let Some(id) = &look.probe else { return Fact::Absent };
        let Some(sent) = self.sent(id) else { return Fact::Unknown(Blind::Empty) };
        let answer = match sent.answered {
            Some(booted_at) => ProbeAnswer::Answered { booted_at, boot: None, findings: Arc::from([]) },
            None if secs_between(sent.at, now) < DELIVERY_SECS => ProbeAnswer::Pending,
            None => ProbeAnswer::Undelivered,
        };
        Fact::Known(Probe { sent_at: sent.at, answer })
    }
}

/// Names for our probes, and one for somebody's command.
static COMMANDS: LazyLock<Vec<CommandId>> =
    LazyLock::new(|| (0..256).map(|n| format!("7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e{n:02x}").parse().unwrap()).collect());

static PLACE: LazyLock<(ClusterArn, ContainerInstanceArn)> = LazyLock::new(|| {
    let arn = |what: &str| format!("arn:aws:ecs:us-east-1:111122223333:{what}");
    let instance = arn("container-instance/blue/c0ffee00112233445566778899aabbcc");
    (arn("cluster/blue").parse().unwrap(), instance.parse().unwrap())
});
