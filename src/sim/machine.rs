//! One simulated machine: what is true of it, and what AWS shows.

use jiff::Timestamp;

use super::ailment::{Ailment, Checks, EcsFace, Runtime, SsmFace};
use crate::diagnose::{Cause, Channel, Finding, Severity};
use crate::incident::Remedy;
use crate::node::{AvailabilityZone, ContainerInstanceArn, NodeId, ResourceName};
use crate::observe::{Busy, EcsStatus, Findings, InstanceState, Lifecycle, Scheduled, Sessions, Tags};
use crate::policy::Mode;

mod link;
mod spec;

pub(crate) use link::{Link, Secs};
pub use spec::MachineSpec;

/// A fault at work, with its evidence ready to be shown.
#[derive(Debug, Clone)]
pub(crate) struct Illness {
    pub ailment: Ailment,
    /// When it began.
    pub began: Secs,
    /// What had to be done first has been done: the disk has room again.
    pub prepared: bool,
    /// In a flaky phase, whether the agent is there just now.
    pub flaky_up: bool,
    pub generation: u32,
    pub identity: Findings,
    pub network: Findings,
    pub console: Findings,
    pub probe: Findings,
}

impl Illness {
    pub(crate) fn new(ailment: Ailment, began: Secs, generation: u32) -> Self {
        let profile = ailment.profile();
        Self {
            ailment,
            began,
            prepared: false,
            flaky_up: false,
            generation,
            identity: profile.findings(Channel::Identity),
            network: profile.findings(Channel::Network),
            console: profile.findings(Channel::Console),
            probe: profile.findings(Channel::Probe),
        }
    }

    /// Whether a remedy that takes effect now cures it; `known`: whether it is known to help, whatever the table says.
    pub(crate) fn is_cured_by(&self, remedy: Remedy, known: Option<bool>) -> bool {
        let profile = self.ailment.profile();
        let ready = profile.first.is_none() || self.prepared || remedy == Remedy::Replace;
        // What prepares the cure is none by itself, though it helped.
        let known = known.filter(|_| profile.first != Some(remedy));
        ready && known.unwrap_or_else(|| profile.cures.contains(&remedy))
    }

    /// The disk has room again: what is left is an agent that died of it.
    pub(crate) fn prepare(&mut self) {
        self.prepared = true;
        self.console = Findings::default();
        self.probe = Findings::from([Finding {
            cause: Cause::EcsAgentStopped,
            severity: Severity::Cause,
            channel: Channel::Probe,
            evidence: "unit ecs: failed, Result=exit-code, since before the disk was freed".into(),
        }]);
    }
}

/// A machine's place in ECS.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent truth")]
pub(crate) struct EcsSide {
    pub cluster: usize,
    pub arn: ContainerInstanceArn,
    pub registered: bool,
    /// It has registered once; after that only a person registers it anew.
    pub known: bool,
    /// ECS lists it as `INACTIVE`, and none of its tasks.
    pub inactive: bool,
    /// Since when ECS has listed it otherwise.
    pub listed_since: Secs,
    pub link: Link,
    pub status: EcsStatus,
    /// Tasks of the cluster's service.
    pub tasks: u32,
    /// Since when there have been tasks, or none.
    pub tasks_since: Secs,
    /// Tasks of the service that a drain told to stop.
    pub stopping: Stopping,
    /// Tasks that nobody moves, beside those of the service.
    pub special: Special,
    /// Since when it has had its status.
    pub status_since: Secs,
    pub version: u64,
    /// ECS has called the agent's connectivity impaired.
    pub impaired: bool,
    /// The runtime has been failing since then.
    pub runtime_bad_since: Option<Secs>,
    /// ECS has called the runtime impaired.
    pub runtime_impaired: bool,
    /// A natural reconnect is going on until then.
    pub gap_until: Secs,
}

/// Tasks that are told to stop and serve their last requests, up to the `stopTimeout` of their task definition. ECS counts them
/// among a container instance's tasks no more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Stopping {
    /// How many.
    pub count: u32,
    /// When the first of them was told.
    pub since: Secs,
    /// When the last of them has stopped.
    pub until: Secs,
}

/// Tasks that no drain moves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Special {
    /// Tasks that no service started.
    pub standalone: u32,
    /// Tasks of the service under scale-in protection.
    pub protected: u32,
    /// When the protection expires.
    pub protected_until: Secs,
    /// Since when these numbers have been as they are.
    pub since: Secs,
}

impl EcsSide {
    /// Tasks of the service that are under scale-in protection now.
    pub(crate) fn protected(&self, now: Secs) -> u32 {
        if now < self.special.protected_until { self.special.protected.min(self.tasks) } else { 0 }
    }

    /// Tasks that are told to stop, and have not.
    pub(crate) fn stopping(&self, now: Secs) -> u32 {
        if now < self.stopping.until { self.stopping.count } else { 0 }
    }

    /// So many tasks of the service are told to stop, and will have after so many seconds.
    pub(crate) fn stop_tasks(&mut self, count: u32, secs: Secs, now: Secs) {
        let before = self.stopping(now);
        let since = if before > 0 { self.stopping.since } else { now };
        if count > 0 {
            self.stopping = Stopping { count: before.saturating_add(count), since, until: now.saturating_add(secs) };
        }
        self.set_tasks(self.tasks.saturating_sub(count), now);
    }

    /// Everything on it has ended.
    pub(crate) fn end_tasks(&mut self, now: Secs) {
        self.set_tasks(0, now);
        self.stopping = Stopping::default();
        self.special = Special { since: now, ..Special::default() };
    }

    /// From now on it has this status.
    pub(crate) fn set_status(&mut self, status: EcsStatus, now: Secs) {
        if self.status != status {
            (self.status, self.status_since) = (status, now);
        }
    }

    /// From now on it has so many tasks.
    pub(crate) fn set_tasks(&mut self, tasks: u32, now: Secs) {
        if (tasks == 0) != (self.tasks == 0) {
            self.tasks_since = now;
        }
        self.tasks = tasks;
    }
}

/// A machine's place in its Auto Scaling group.
#[derive(Debug, Clone)]
pub(crate) struct Membership {
    pub group: usize,
    pub lifecycle: Lifecycle,
}

/// Since when the tags have said what they say, for the promises that allow 90 s.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TagTimes {
    pub managed: Option<Secs>,
    pub unmanaged: Option<Secs>,
    pub opted_out: Option<Secs>,
    pub muted: Option<Secs>,
}

/// One machine.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub id: NodeId,
    pub spec: MachineSpec,
    pub zone: Option<AvailabilityZone>,
    pub zone_index: usize,
    pub tags: Tags,
    pub tag_times: TagTimes,
    pub state: InstanceState,
    pub state_since: Secs,
    /// Counts reboots, stops and starts, so that what was planned before one is dropped.
    pub boots: u32,
    pub launched_at: Secs,
    pub booted_at: Secs,
    /// The operating system runs.
    pub host_up: bool,
    /// The units of the agents have been started since the boot.
    pub units_up: bool,
    /// The SSM agent is being restarted until then.
    pub ssm_away_until: Secs,
    /// The ECS agent is being restarted until then.
    pub ecs_away_until: Secs,
    pub ssm_registered: bool,
    pub ssm: Link,
    /// The last ping before the agent went away.
    pub last_ping: Secs,
    pub instance_check: Link,
    pub volumes_check: Link,
    pub system_check: Link,
    pub checks_from: Secs,
    pub ecs: Option<EcsSide>,
    pub member: Option<Membership>,
    pub illness: Option<Illness>,
    pub illnesses: u32,
    pub sessions: u16,
    pub busy: Busy,
    pub busy_since: Secs,
    pub busy_until: Secs,
    /// Since when nothing is wrong with it and all its agents answer.
    pub well_since: Option<Secs>,
    /// Until when the services did not answer about it.
    pub cut_off_until: Option<Secs>,
    /// Since when something is wrong, or an agent does not answer.
    pub ill_since: Option<Secs>,
    /// Commands that wait for the agent.
    pub waiting: Vec<u32>,
}

/// How long before a retirement AWS tells of it, in seconds.
const NOTICE_SECS: Secs = 14 * 86_400;

/// Seconds between two pings of the SSM agent (facts/aws.md §3.2).
pub(crate) const PING_EVERY: Secs = 300;

impl Machine {
    /// When the SSM agent last pinged.
    pub(crate) fn pinged_at(&self, now: Secs) -> Secs {
        if self.ssm.up {
            let since = self.ssm.since;
            since + (now - since).max(0) / PING_EVERY * PING_EVERY
        } else {
            self.last_ping
        }
    }

    /// Whether SSM lists the node: stopped and terminated instances vanish, powered-off machines outside EC2 do not.
    pub(crate) fn ssm_listed(&self) -> bool {
        self.ssm_registered
            && (!self.id.is_instance()
                || matches!(self.state, InstanceState::Pending | InstanceState::Running | InstanceState::Stopping))
    }

    /// Whether the SSM agent takes a command now.
    pub(crate) fn takes_commands(&self) -> bool {
        self.ssm.up && self.ssm_face() != SsmFace::TakesNoCommands
    }

    /// How the SSM agent behaves under the fault of the moment.
    pub(crate) fn ssm_face(&self) -> SsmFace {
        self.illness.as_ref().map_or(SsmFace::Answers, |ill| ill.ailment.profile().agents(self.ecs.is_some()).ssm)
    }

    /// Whether ECS lists its container instance as `INACTIVE`.
    pub(crate) fn is_deregistered(&self) -> bool {
        self.ecs_face() == EcsFace::Inactive
    }

    fn ecs_face(&self) -> EcsFace {
        self.illness.as_ref().map_or(EcsFace::Connected, |ill| ill.ailment.profile().ecs)
    }

    /// Whether the SSM agent should be there.
    pub(crate) fn ssm_wanted(&self, now: Secs) -> bool {
        let face = match self.ssm_face() {
            SsmFace::Answers | SsmFace::AnswersBesideEcs | SsmFace::TakesNoCommands => true,
            SsmFace::Silent => false,
            SsmFace::Flaky => self.illness.as_ref().is_some_and(|ill| ill.flaky_up),
        };
        self.host_up && self.units_up && face && now >= self.ssm_away_until
    }

    /// Whether the ECS agent should be connected.
    pub(crate) fn ecs_wanted(&self, now: Secs) -> bool {
        let gap = self.ecs.as_ref().is_some_and(|ecs| now < ecs.gap_until);
        self.host_up && self.units_up && self.ecs_face() == EcsFace::Connected && now >= self.ecs_away_until && !gap
    }

    /// Whether the runtime fails.
    pub(crate) fn runtime_bad(&self) -> bool {
        self.host_up && self.illness.as_ref().is_some_and(|ill| ill.ailment.profile().runtime == Runtime::Impaired)
    }

    /// Which status check the fault of the moment fails.
    pub(crate) fn failing_check(&self) -> Checks {
        if self.state == InstanceState::Running {
            self.illness.as_ref().map_or(Checks::Pass, |ill| ill.ailment.profile().checks)
        } else {
            Checks::Pass
        }
    }

    /// What AWS has scheduled for it, as long as it runs on the hardware that fails.
    pub(crate) fn scheduled(&self) -> Option<Scheduled> {
        let ill = self.illness.as_ref().filter(|_| self.state == InstanceState::Running)?;
        let kind = ill.ailment.profile().scheduled?;
        Some(Scheduled { kind, not_before: Some(moment(ill.began + NOTICE_SECS)) })
    }

    /// Sessions on it, as Session Manager lists them.
    pub(crate) fn sessions(&self) -> Sessions {
        let left = u16::from(self.illness.as_ref().is_some_and(|ill| ill.ailment == Ailment::SessionClientGaveUp));
        let id = |number| self.session_id(number);
        if self.sessions == 0 && left == 0 {
            return Sessions::default();
        }
        let live = self.sessions.saturating_add(left);
        Sessions {
            live,
            who: (0..live).filter_map(id).take(Sessions::KEPT).collect(),
            left: (self.sessions..live).filter_map(id).collect(),
        }
    }

    /// A session's id, by its number.
    pub(crate) fn session_id(&self, number: u16) -> Option<ResourceName> {
        let digits = self.id.value().wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(u128::from(number));
        format!("on-call-{:017x}", digits & 0xf_ffff_ffff_ffff_ffff).parse().ok()
    }

    /// Whether nothing is wrong with it: a natural reconnect is nothing wrong.
    pub(crate) fn is_well(&self, now: Secs) -> bool {
        let harmless = self.illness.as_ref().is_none_or(|ill| ill.ailment.is_harmless());
        self.state == InstanceState::Running
            && self.host_up
            && self.units_up
            && harmless
            && now >= self.ssm_away_until
            && now >= self.ecs_away_until
    }

    /// Whether it still exists for its clusters and groups.
    pub(crate) fn exists(&self) -> bool {
        !matches!(self.state, InstanceState::Terminated)
    }

    /// Whether the operating system would not answer a request to shut down.
    pub(crate) fn hangs(&self) -> bool {
        self.illness.as_ref().is_some_and(|ill| ill.ailment.profile().hangs)
    }

    /// Takes new tags over.
    pub(crate) fn retag(&mut self, tags: Tags, now: Secs) {
        let times = &mut self.tag_times;
        let since = |is: bool, before: Option<Secs>| if is { before.or(Some(now)) } else { None };
        times.managed = since(tags.managed, times.managed);
        times.unmanaged = since(!tags.managed, times.unmanaged);
        times.opted_out = since(tags.mode == Some(Mode::Off), times.opted_out);
        let muted = tags.mute_until.is_some_and(|until| until.as_second() > now);
        times.muted = since(muted, times.muted);
        self.tags = tags;
    }
}

/// A whole second as a moment.
pub(crate) fn moment(secs: Secs) -> Timestamp {
    Timestamp::from_second(secs).unwrap_or(Timestamp::UNIX_EPOCH)
}
