//! What is true of a node, for whoever judges what was done to it.

use jiff::Timestamp;

use super::{InstanceState, World};
use crate::effect::Effect;
use crate::incident::Remedy;
use crate::node::{CommandId, NodeId};
use crate::observe::{EcsStatus, Lifecycle, StopGates, Tags};
use crate::sim::ailment::Ailment;
use crate::sim::machine::{Machine, Secs, moment};

/// What is true of a node at one moment. AWS shows it later, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is one independent truth")]
pub struct Truth {
    /// It is there and not terminated.
    pub exists: bool,
    /// EC2's state.
    pub state: InstanceState,
    /// It runs: neither stopped nor on its way.
    pub running: bool,
    /// The fault at work, harmless ones too.
    pub ailment: Option<Ailment>,
    /// Since when that fault has been at work.
    pub ailment_since: Option<Timestamp>,
    /// What the fault needs before anything else has been done: the disk has room again.
    pub prepared: bool,
    /// Since when nothing has been wrong with it and all its agents have answered.
    pub healthy_since: Option<Timestamp>,
    /// Until when the services did not answer about it.
    pub cut_off_until: Option<Timestamp>,
    /// Since when something has been wrong, or an agent has not answered.
    pub ill_since: Option<Timestamp>,
    /// Its container instance drains.
    pub draining: bool,
    /// It is in Standby, or on its way in.
    pub standby: bool,
    /// It is stopped, or on its way there.
    pub stopped: bool,
    /// Its container instance is registered, though the machine may be gone: a ghost.
    pub registered_in_ecs: bool,
    /// Since when its ECS agent has been connected; none where it is not, or is registered nowhere.
    pub ecs_up_since: Option<Timestamp>,
    /// Tasks of a service on it.
    pub tasks: u32,
    /// Since when it has had tasks, or none.
    pub tasks_since: Option<Timestamp>,
    /// Since when tasks on it have been told to stop and have not; none where none are.
    pub stopping_since: Option<Timestamp>,
    /// Tasks on it that no service started.
    pub standalone: u32,
    /// Tasks on it under scale-in protection.
    pub protected: u32,
    /// Since when these two have been as they are, and ECS has listed them: it lists none of an `INACTIVE` container instance.
    pub special_since: Option<Timestamp>,
    /// What stands in the way of a stop and start.
    pub stop: StopGates,
    /// It is a member of an Auto Scaling group, and in service there.
    pub in_service: bool,
    /// Since when `Launch` or `Terminate` has been suspended in its group.
    pub suspended_since: Option<Timestamp>,
    /// Live Session Manager sessions on it.
    pub sessions: u16,
    /// Since when somebody else's work has been running on it; none while none does.
    pub busy_since: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
    /// Since when it has been opted in.
    pub managed_since: Option<Timestamp>,
    /// Since when it has not been opted in.
    pub unmanaged_since: Option<Timestamp>,
    /// Since when `defib:mode=off` has opted it out.
    pub opted_out_since: Option<Timestamp>,
    /// `defib:mute-until` mutes it.
    pub muted: bool,
    /// Since when `defib:mute-until` has muted it, as long as the tag stood.
    pub muted_since: Option<Timestamp>,
    /// When the operating system last started.
    pub booted_at: Timestamp,
    /// `LaunchTime`.
    pub launched_at: Timestamp,
}

impl Truth {
    /// Seconds for which it has been healthy; none when it is not.
    #[must_use]
    pub fn healthy_for(&self, now: Timestamp) -> Option<i64> {
        self.healthy_since.map(|since| now.as_second() - since.as_second())
    }

    /// Whether the fault at work forbids a remedy (S7).
    #[must_use]
    pub fn forbids(&self, remedy: Remedy) -> bool {
        !self.prepared && self.ailment.is_some_and(|ailment| ailment.profile().forbids.contains(&remedy))
    }
}

/// An effect that landed, with the truth of that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// When.
    pub at: Timestamp,
    /// On what.
    pub node: NodeId,
    /// What.
    pub effect: Effect,
    /// The Run Command id, for effects that travel by Run Command.
    pub command: Option<CommandId>,
    /// The truth right before it.
    pub truth: Truth,
}

fn truth_of(machine: &Machine, now: Timestamp) -> Truth {
    let at = |secs: Option<Secs>| secs.map(moment);
    let ecs = machine.ecs.as_ref().filter(|ecs| ecs.registered && !machine.is_deregistered());
    Truth {
        ecs_up_since: at(ecs.filter(|ecs| ecs.link.up).map(|ecs| ecs.link.since)),
        tasks: ecs.map_or(0, |ecs| ecs.tasks),
        tasks_since: at(ecs.map(|ecs| ecs.tasks_since)),
        stopping_since: at(ecs.filter(|ecs| ecs.stopping(now.as_second()) > 0).map(|ecs| ecs.stopping.since)),
        standalone: ecs.map_or(0, |ecs| ecs.special.standalone),
        protected: ecs.map_or(0, |ecs| ecs.protected(now.as_second())),
        special_since: at(ecs.map(|ecs| ecs.special.since.max(ecs.listed_since))),
        exists: machine.exists(),
        state: machine.state,
        running: machine.state == InstanceState::Running,
        ailment: machine.illness.as_ref().map(|ill| ill.ailment),
        ailment_since: machine.illness.as_ref().map(|ill| moment(ill.began)),
        prepared: machine.illness.as_ref().is_some_and(|ill| ill.prepared),
        healthy_since: at(machine.well_since),
        cut_off_until: at(machine.cut_off_until),
        ill_since: at(machine.ill_since),
        draining: machine.ecs.as_ref().is_some_and(|ecs| ecs.registered && ecs.status == EcsStatus::Draining),
        standby: machine
            .member
            .as_ref()
            .is_some_and(|member| matches!(member.lifecycle, Lifecycle::Standby | Lifecycle::EnteringStandby)),
        stopped: matches!(machine.state, InstanceState::Stopped | InstanceState::Stopping),
        registered_in_ecs: machine.ecs.as_ref().is_some_and(|ecs| ecs.registered),
        stop: machine.spec.stop,
        in_service: machine.member.as_ref().is_some_and(|member| member.lifecycle == Lifecycle::InService),
        suspended_since: None,
        sessions: machine.sessions,
        busy_since: (now.as_second() < machine.busy_until).then(|| moment(machine.busy_since)),
        tags: machine.tags,
        managed_since: at(machine.tag_times.managed),
        unmanaged_since: at(machine.tag_times.unmanaged),
        opted_out_since: at(machine.tag_times.opted_out),
        muted: machine.tags.mute_until.is_some_and(|until| until > now),
        muted_since: at(machine.tag_times.muted),
        booted_at: moment(machine.booted_at),
        launched_at: moment(machine.launched_at),
    }
}

impl World {
    /// What is true of a node up to where the world has moved; none for an id that never was. Call
    /// [`World::advance`] first for a later moment.
    #[must_use]
    pub fn truth(&self, node: NodeId) -> Option<Truth> {
        let machine = self.index(node).and_then(|index| self.machines.get(index))?;
        Some(self.truth_about(machine, moment(self.now)))
    }

    pub(super) fn note_of(&self, machine: usize, effect: Effect, command: Option<CommandId>) -> Option<Landed> {
        let machine = self.machines.get(machine)?;
        let at = moment(self.now);
        Some(Landed { at, node: machine.id, effect, command, truth: self.truth_about(machine, at) })
    }

    fn truth_about(&self, machine: &Machine, now: Timestamp) -> Truth {
        let fleet = machine.member.as_ref().and_then(|member| self.fleets.get(member.group));
        let suspended_since = fleet.and_then(|fleet| fleet.suspended_since).map(moment);
        Truth { suspended_since, ..truth_of(machine, now) }
    }
}
