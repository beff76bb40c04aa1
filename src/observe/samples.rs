//! What was seen of a node, for tests, told like a story: `seen(now).tagged().ssm_silent().profile_missing()`.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Asg, Blind, Busy, Check, Connection, Ec2, Ecs, EcsStatus, Fact, Factors, Group, InstanceState, Invocation,
    InvocationStatus, Lifecycle, Observation, Ping, Platform, Probe, ProbeAnswer, Sessions, Share, Ssm, StopGates,
    Tags, Workload,
};
use crate::diagnose::{Cause, Channel, Finding, Severity};
use crate::event::{CoarseStatus, HealthCheck, SignalKind, SweptAgent};
use crate::node::{ClusterArn, CommandId, ContainerInstanceArn, Home, NodeId};
use crate::policy::Mode;
use crate::time::after;

pub(crate) const NODE: &str = "i-0a1b2c3d4e5f60718";
pub(crate) const CLUSTER: &str = "arn:aws:ecs:us-east-1:111122223333:cluster/blue";
pub(crate) const COMMAND: &str = "7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77";

/// A moment on the day of the samples: `noon()`, and seconds after it.
pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn node_id() -> NodeId {
    NODE.parse().unwrap()
}

pub(crate) fn home() -> Home {
    Home { account: "111122223333".parse().unwrap(), region: "us-east-1".parse().unwrap() }
}

pub(crate) fn command_id() -> CommandId {
    COMMAND.parse().unwrap()
}

pub(crate) fn container_instance() -> ContainerInstanceArn {
    format!("{}/c0ffee00112233445566778899aabbcc", CLUSTER.replace("cluster/", "container-instance/")).parse().unwrap()
}

fn cluster() -> ClusterArn {
    CLUSTER.parse().unwrap()
}

/// A command could not be delivered.
pub(crate) fn command_trouble() -> SignalKind {
    SignalKind::CommandTrouble {
        command: command_id(),
        document: "AWS-RunShellScript".parse().unwrap(),
        status: CoarseStatus::TimedOut,
    }
}

/// The ECS agent lost its connection.
pub(crate) fn ecs_disconnect() -> SignalKind {
    SignalKind::EcsDisconnected { container_instance: container_instance(), cluster: Some(cluster()), version: Some(7) }
}

/// ECS says that the agent's connectivity is impaired.
pub(crate) fn ecs_impaired() -> SignalKind {
    SignalKind::EcsHealthImpaired {
        check: HealthCheck::AgentConnectivity,
        container_instance: container_instance(),
        cluster: Some(cluster()),
        since: None,
    }
}

/// The sweep saw the SSM agent down.
pub(crate) fn swept_ssm() -> SignalKind {
    SignalKind::Swept { agent: SweptAgent::Ssm, since: None }
}

/// A cause, shown on a channel.
pub(crate) fn finding(cause: Cause, channel: Channel) -> Finding {
    Finding { cause, severity: Severity::Cause, channel, evidence: Arc::from("") }
}

/// An observation that is being told.
#[derive(Debug, Clone)]
pub(crate) struct Seen(pub(crate) Observation);

impl Deref for Seen {
    type Target = Observation;

    fn deref(&self) -> &Observation {
        &self.0
    }
}

impl DerefMut for Seen {
    fn deref_mut(&mut self) -> &mut Observation {
        &mut self.0
    }
}

/// A plain instance, a day old, opted in, whose SSM agent answers; everything was looked at, and nothing found.
pub(crate) fn seen(now: Timestamp) -> Seen {
    Seen(Observation {
        node: node_id(),
        at: now,
        depth: crate::observe::Depth::All,
        ec2: Fact::Known(Ec2 {
            state: InstanceState::Running,
            launched_at: after(now, -86_400),
            system_check: Check::Ok,
            instance_check: Check::Ok,
            volumes_check: Check::Ok,
            scheduled: None,
            name: None,
            zone: "us-east-1a".parse().unwrap(),
            tags: Tags { managed: true, mode: None, mute_until: None },
            manager: None,
            stop: StopGates::default(),
        }),
        ssm: Fact::Known(Ssm {
            ping: Ping::Online,
            last_ping: after(now, -30),
            connection: Fact::Known(Connection::Connected),
            platform: Platform::Linux,
            tags: Fact::Absent,
        }),
        ecs: Fact::Absent,
        asg: Fact::Absent,
        group: Fact::Absent,
        factors: Fact::Known(Factors { shared: Arc::from([]), fleet: 1 }),
        invocation: Fact::Absent,
        probe: Fact::Absent,
        repair: Fact::Absent,
        sessions: Fact::Known(Sessions::default()),
        busy: Fact::Known(Busy::Idle),
        workload: Fact::Absent,
        successor: Fact::Absent,
        calendar: Fact::Absent,
        identity: Fact::Known(Arc::from([])),
        network: Fact::Known(Arc::from([])),
        console: Fact::Known(Arc::from([])),
    })
}

impl Seen {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Observation)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn with_ec2(self, change: impl FnOnce(&mut Ec2)) -> Self {
        self.with(|seen| match &mut seen.ec2 {
            Fact::Known(ec2) => change(ec2),
            Fact::Absent | Fact::Unknown(_) => panic!("no EC2 side to change"),
        })
    }

    pub(crate) fn with_ssm(self, change: impl FnOnce(&mut Ssm)) -> Self {
        self.with(|seen| match &mut seen.ssm {
            Fact::Known(ssm) => change(ssm),
            Fact::Absent | Fact::Unknown(_) => panic!("no SSM side to change"),
        })
    }

    pub(crate) fn with_ecs(self, change: impl FnOnce(&mut Ecs)) -> Self {
        let seen = if self.ecs.known().is_some() { self } else { self.in_cluster() };
        seen.with(|seen| match &mut seen.ecs {
            Fact::Known(ecs) => change(ecs),
            Fact::Absent | Fact::Unknown(_) => panic!("no ECS side to change"),
        })
    }

    pub(crate) fn with_asg(self, change: impl FnOnce(&mut Asg)) -> Self {
        let seen = if self.asg.known().is_some() { self } else { self.in_group() };
        seen.with(|seen| match &mut seen.asg {
            Fact::Known(asg) => change(asg),
            Fact::Absent | Fact::Unknown(_) => panic!("no group to change"),
        })
    }

    /// A container instance of cluster blue, twelve strong, four tasks on it.
    pub(crate) fn in_cluster(self) -> Self {
        self.with(|seen| {
            seen.ecs = Fact::Known(Ecs {
                cluster: cluster(),
                arn: container_instance(),
                connected: true,
                status: EcsStatus::Active,
                tasks: 4,
                agent_check: Check::Ok,
                runtime_check: Check::Ok,
                impaired_since: None,
                cluster_tags: Tags::default(),
            });
            let service = Some(Share { here: 4, elsewhere: 44, desired: 48, minimum_percent: 50 });
            seen.workload = Fact::Known(Workload { service, ..Workload::default() });
            seen.group = Fact::Known(Group {
                name: Arc::from("blue"),
                size: 12,
                zone_size: 4,
                unhealthy: 1,
                zone_unhealthy: 1,
                zone_peers: 3,
                zone_peers_unhealthy: 0,
            });
        })
    }

    /// A member of an opted-in group with room for one to be set aside.
    pub(crate) fn in_group(self) -> Self {
        self.with(|seen| {
            seen.asg = Fact::Known(Asg {
                name: "blue-asg".parse().unwrap(),
                lifecycle: Lifecycle::InService,
                desired: 12,
                min: 10,
                in_service: 12,
                standby: 0,
                existing: 12,
                ec2_health_only: false,
                suspended: false,
                refreshing: false,
                tags: Tags { managed: true, mode: None, mute_until: None },
            });
        })
    }

    /// A managed node, outside EC2.
    pub(crate) fn hybrid(self) -> Self {
        self.with(|seen| {
            seen.node = "mi-0a1b2c3d4e5f60718".parse().unwrap();
            seen.ec2 = Fact::Absent;
            if let Fact::Known(ssm) = &mut seen.ssm {
                ssm.tags = Fact::Known(Tags { managed: true, mode: None, mute_until: None });
            }
            let nobody_asked = Fact::Unknown(Blind::NotRead);
            (seen.identity, seen.network, seen.console) = (nobody_asked.clone(), nobody_asked.clone(), nobody_asked);
        })
    }

    pub(crate) fn untagged(self) -> Self {
        self.with_ec2(|ec2| ec2.tags.managed = false)
    }

    pub(crate) fn mode_tag(self, mode: Mode) -> Self {
        self.with_ec2(|ec2| ec2.tags.mode = Some(mode))
    }

    pub(crate) fn state(self, state: InstanceState) -> Self {
        self.with_ec2(|ec2| ec2.state = state)
    }

    /// `notconnected`: a sign of trouble, and no proof.
    pub(crate) fn ssm_doubtful(self) -> Self {
        let at = self.at;
        self.with_ssm(|ssm| {
            ssm.ping = Ping::ConnectionLost;
            ssm.last_ping = after(at, -1_200);
            ssm.connection = Fact::Known(Connection::NotConnected);
        })
    }

    /// `notconnected`, and a probe of a minute and a half ago was not delivered: the agent is dead.
    pub(crate) fn ssm_silent(self) -> Self {
        let at = self.at;
        self.ssm_doubtful().probe_lost(after(at, -95))
    }

    pub(crate) fn probe_lost(self, sent_at: Timestamp) -> Self {
        self.with(|seen| seen.probe = Fact::Known(Probe { sent_at, answer: ProbeAnswer::Undelivered }))
    }

    /// A probe, sent just now, was answered with these causes by a host that booted then.
    pub(crate) fn probe_answered(self, sent_at: Timestamp, booted_at: Timestamp, causes: &[Cause]) -> Self {
        let findings = causes.iter().map(|&cause| finding(cause, Channel::Probe)).collect();
        self.with(|seen| {
            seen.probe =
                Fact::Known(Probe { sent_at, answer: ProbeAnswer::Answered { booted_at, boot: None, findings } });
        })
    }

    /// The host answers a fresh probe, with these causes.
    pub(crate) fn host_says(self, causes: &[Cause]) -> Self {
        let at = self.at;
        self.probe_answered(after(at, -10), after(at, -86_400), causes)
    }

    pub(crate) fn ecs_lost(self) -> Self {
        self.with_ecs(|ecs| {
            ecs.connected = false;
            ecs.agent_check = Check::Impaired;
        })
    }

    pub(crate) fn docker_hung(self) -> Self {
        self.with_ecs(|ecs| ecs.runtime_check = Check::Impaired)
    }

    pub(crate) fn hardware_failing(self) -> Self {
        self.with_ec2(|ec2| ec2.system_check = Check::Impaired)
    }

    pub(crate) fn console_says(self, cause: Cause) -> Self {
        self.with(|seen| seen.console = Fact::Known(Arc::from([finding(cause, Channel::Console)])))
    }

    pub(crate) fn profile_missing(self) -> Self {
        let found = finding(Cause::IdentityNoInstanceProfile, Channel::Identity);
        self.with(|seen| seen.identity = Fact::Known(Arc::from([found])))
    }

    pub(crate) fn invocation(self, status: InvocationStatus) -> Self {
        self.with(|seen| seen.invocation = Fact::Known(Invocation { command: command_id(), status }))
    }

    pub(crate) fn sessions(self, count: u16) -> Self {
        self.with(|seen| seen.sessions = Fact::Known(Sessions { live: count, ..Sessions::default() }))
    }

    pub(crate) fn busy(self, work: Busy) -> Self {
        self.with(|seen| seen.busy = Fact::Known(work))
    }
}
