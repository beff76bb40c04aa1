//! What happens at a planned moment.

use super::{Due, InstanceState, World, moment};
use crate::event::{GoneKind, HealthCheck, SignalKind};
use crate::incident::Remedy;
use crate::observe::{EcsStatus, Findings, Lifecycle};
use crate::sim::ailment::{Ailment, Checks, EcsFace};
use crate::sim::machine::{Illness, Machine, Secs};

/// How long a crashing agent stays up, in seconds.
const FLAKY_UP: std::ops::RangeInclusive<i64> = 30..=90;
/// How long it stays away, in seconds: its core starts the worker again within 60 s, systemd the core after 90 s
/// (facts/host.md §1).
const FLAKY_DOWN: std::ops::RangeInclusive<i64> = 30..=120;

impl World {
    /// One planned moment has come.
    pub(super) fn happen(&mut self, machine: usize, due: Due) {
        self.census.outdate();
        match due {
            Due::FallIll { ailment, lasts } => self.fall_ill(machine, ailment, lasts),
            Due::Recover { generation } => {
                if self.illness_is(machine, generation) {
                    self.recover(machine);
                }
            }
            Due::Flake { generation } => self.flake(machine, generation),
            Due::Settle => self.settle(machine),
            Due::PowerDone { boots } => self.power_done(machine, boots),
            Due::HostUp { boots, stopped } => self.host_up(machine, boots, stopped),
            Due::UnitsUp { boots } => self.units_up(machine, boots),
            Due::EcsShown { generation } => self.ecs_shown(machine, generation),
            Due::EcsImpaired => self.ecs_impaired(machine),
            Due::RuntimeImpaired => self.runtime_impaired(machine),
            Due::Gap => self.gap(machine, true),
            Due::TasksLeave => self.tasks_leave(machine),
            Due::TasksCome => self.tasks_come(machine),
            Due::Moved => self.moved(machine),
            Due::GroupNotices => self.group_notices(machine),
            Due::EcsForgets => {
                self.deregister(machine);
            }
            Due::Launch => self.launch_missing(machine),
            Due::Deliver(command) => self.deliver(command),
            Due::Finish(command) => self.finish(command),
            Due::Expire(command) => self.expire(command),
            Due::SsmRestart { boots } => self.ssm_restarts(machine, boots),
            Due::Traffic => self.somebody_sends(),
        }
    }

    pub(super) fn is_boot(&self, machine: usize, boots: u32) -> bool {
        self.machines.get(machine).is_some_and(|machine| machine.boots == boots)
    }

    fn illness_is(&self, machine: usize, generation: u32) -> bool {
        let ill = self.machines.get(machine).and_then(|machine| machine.illness.as_ref());
        ill.is_some_and(|ill| ill.generation == generation)
    }

    fn fall_ill(&mut self, index: usize, ailment: Ailment, lasts: Option<Secs>) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(index) else { return };
        if !machine.exists() {
            return;
        }
        let harmful = |ill: &Illness| !ill.ailment.is_harmless();
        if ailment.is_harmless() && machine.illness.as_ref().is_some_and(harmful) {
            // Noise on an ill node: the fault stays the fault.
            self.tell_of_harmless(index, ailment);
            return;
        }
        machine.illnesses += 1;
        let generation = machine.illnesses;
        machine.illness = Some(Illness::new(ailment, now, generation));
        if ailment.profile().ecs == EcsFace::Inactive
            && let Some(ecs) = machine.ecs.as_mut()
        {
            // Deregistered: a drain ends with it, and whatever registers anew begins as ACTIVE.
            ecs.set_status(EcsStatus::Active, now);
        }
        if let Some(lasts) = lasts {
            self.queue.push(now + lasts.max(1), index, Due::Recover { generation });
        }
        if Self::is_flaky(machine) {
            self.queue.push(now + self.rng.i64(FLAKY_DOWN), index, Due::Flake { generation });
        }
        self.settle(index);
        if ailment.profile().ecs == EcsFace::Inactive {
            self.emit(index, SignalKind::Gone { what: GoneKind::ContainerInstanceInactive });
        }
        self.tell_of_harmless(index, ailment);
    }

    /// The fault is gone: by itself, by a person or by a remedy.
    pub(super) fn recover(&mut self, machine: usize) {
        let now = self.now;
        if let Some(machine) = self.machines.get_mut(machine)
            && machine.illness.take().is_some_and(|ill| ill.ailment == Ailment::ServiceUnavailable)
        {
            machine.cut_off_until = Some(now);
        }
        self.settle(machine);
    }

    /// A remedy takes effect: it cures the fault of the moment, or it does not.
    pub(super) fn treat(&mut self, index: usize, remedy: Remedy) {
        let Some(machine) = self.machines.get_mut(index) else { return };
        let known = machine.spec.is_cured_by(remedy);
        if let Some(ill) = machine.illness.as_mut() {
            if ill.is_cured_by(remedy, known) {
                machine.illness = None;
            } else if ill.ailment.profile().first == Some(remedy) && !ill.prepared && known != Some(false) {
                ill.prepare();
            }
        }
    }

    fn flake(&mut self, index: usize, generation: u32) {
        if !self.illness_is(index, generation) {
            return;
        }
        let mut up = false;
        if let Some(ill) = self.machines.get_mut(index).and_then(|machine| machine.illness.as_mut()) {
            ill.flaky_up = !ill.flaky_up;
            up = ill.flaky_up;
        }
        let next = if up { self.rng.i64(FLAKY_UP) } else { self.rng.i64(FLAKY_DOWN) };
        self.queue.push(self.now + next, index, Due::Flake { generation });
        self.settle(index);
    }

    /// Brings the agents, the checks and the record of health in line with what is true now.
    pub(crate) fn settle(&mut self, index: usize) {
        let now = self.now;
        self.census.outdate();
        let Some(machine) = self.machines.get_mut(index) else { return };
        let (ssm, ecs_up) = (machine.ssm_wanted(now), machine.ecs_wanted(now));
        if machine.ssm.up != ssm {
            let lag = if ssm { self.rng.i64(2..=15) } else { self.rng.i64(5..=60) };
            machine.last_ping = machine.pinged_at(now);
            machine.ssm.turn(ssm, now, lag);
            machine.ssm_registered |= ssm;
        }
        let (runtime_bad, natural) = (machine.runtime_bad(), machine.is_well(now));
        let inactive = machine.is_deregistered();
        if let Some(ecs) = machine.ecs.as_mut() {
            if std::mem::replace(&mut ecs.inactive, inactive) && !inactive {
                ecs.listed_since = now;
            }
            if ecs.link.up != ecs_up {
                // A closed socket is noticed at once; an agent that just falls silent is not.
                let lag = match (ecs_up, natural) {
                    (false, true) => 0,
                    (false, false) => self.rng.i64(10..=120),
                    (true, _) => self.rng.i64(1..=10),
                };
                if ecs_up && !ecs.known {
                    // A new machine registers for the first time.
                    (ecs.registered, ecs.known, ecs.listed_since) = (true, true, now);
                }
                ecs.link.turn(ecs_up, now, lag);
                self.queue.push(now + lag, index, Due::EcsShown { generation: ecs.link.generation });
                if ecs_up {
                    self.queue.push(now + self.rng.i64(30..=120), index, Due::TasksCome);
                }
            }
            match (runtime_bad, ecs.runtime_bad_since) {
                (true, None) => {
                    ecs.runtime_bad_since = Some(now);
                    self.queue.push(now + self.ecs_impaired_secs, index, Due::RuntimeImpaired);
                }
                (false, Some(_)) => ecs.runtime_bad_since = None,
                _ => {}
            }
        }
        let failing = machine.failing_check();
        for (link, passes) in [
            (&mut machine.instance_check, !matches!(failing, Checks::Instance | Checks::Volumes)),
            (&mut machine.system_check, failing != Checks::System),
            (&mut machine.volumes_check, failing != Checks::Volumes),
        ] {
            if link.up != passes {
                let lag = self.rng.i64(60..=120);
                link.turn(passes, now, lag);
            }
        }
        if natural {
            machine.well_since = machine.well_since.or(Some(now));
            machine.ill_since = None;
        } else {
            machine.ill_since = machine.ill_since.or(Some(now));
            machine.well_since = None;
        }
        let restored =
            !runtime_bad && machine.ecs.as_mut().is_some_and(|ecs| std::mem::take(&mut ecs.runtime_impaired));
        // An agent that was connected all the time, and took nothing, takes what waits once its workers are free.
        let waiting = if machine.takes_commands() { std::mem::take(&mut machine.waiting) } else { Vec::new() };
        if restored {
            self.emit(index, SignalKind::EcsHealthRestored);
        }
        for command in waiting {
            self.queue.push(now + self.rng.i64(1..=5), index, Due::Deliver(command));
        }
    }

    /// AWS shows a change of `agentConnected`, and says so.
    fn ecs_shown(&mut self, index: usize, generation: u32) {
        let (now, threshold) = (self.now, self.ecs_impaired_secs);
        let Some(machine) = self.machines.get_mut(index) else { return };
        let gone = !machine.exists();
        let Some(ecs) = machine.ecs.as_mut() else { return };
        if ecs.link.generation != generation || !ecs.link.differs() || !ecs.registered || gone {
            return;
        }
        ecs.version += 1;
        let connected = ecs.link.up;
        let restored = connected && std::mem::take(&mut ecs.impaired);
        let (arn, version) = (ecs.arn.clone(), ecs.version);
        let cluster = self.clusters.get(ecs.cluster).map(|cluster| cluster.arn.clone());
        if connected {
            self.emit(index, SignalKind::EcsConnected);
        } else {
            self.emit(index, SignalKind::EcsDisconnected { container_instance: arn, cluster, version: Some(version) });
            self.queue.push(now + threshold, index, Due::EcsImpaired);
        }
        if restored {
            self.emit(index, SignalKind::EcsHealthRestored);
        }
    }

    /// ECS calls the connection impaired once it has been shown as lost for long enough.
    fn ecs_impaired(&mut self, index: usize) {
        let (now, threshold) = (self.now, self.ecs_impaired_secs);
        let Some(machine) = self.machines.get_mut(index) else { return };
        let there = machine.state == InstanceState::Running || !machine.id.is_instance();
        let Some(ecs) = machine.ecs.as_mut() else { return };
        let since = ecs.link.shown_since(now);
        if ecs.impaired || !ecs.registered || !there || ecs.link.shown(now) || now - since < threshold {
            return;
        }
        ecs.impaired = true;
        self.emit_impaired(index, HealthCheck::AgentConnectivity, since);
    }

    /// ECS calls the runtime impaired, when a connected agent has been telling it for long enough.
    fn runtime_impaired(&mut self, index: usize) {
        let (now, threshold) = (self.now, self.ecs_impaired_secs);
        let Some(ecs) = self.machines.get_mut(index).and_then(|machine| machine.ecs.as_mut()) else { return };
        let Some(since) = ecs.runtime_bad_since.filter(|since| now - since >= threshold) else { return };
        if ecs.runtime_impaired || !ecs.registered || !ecs.link.shown(now) {
            return;
        }
        ecs.runtime_impaired = true;
        self.emit_impaired(index, HealthCheck::ContainerRuntime, since);
    }

    fn emit_impaired(&mut self, index: usize, check: HealthCheck, since: Secs) {
        let Some(ecs) = self.machines.get(index).and_then(|machine| machine.ecs.as_ref()) else { return };
        let container_instance = ecs.arn.clone();
        let cluster = self.clusters.get(ecs.cluster).map(|cluster| cluster.arn.clone());
        let since = Some(moment(since));
        self.emit(index, SignalKind::EcsHealthImpaired { check, container_instance, cluster, since });
    }

    /// Half of the tasks leave, then the rest; none while the agent is away, because nobody stops them. Protected ones and
    /// those of no service stay, and so do those that the service cannot spare.
    fn tasks_leave(&mut self, index: usize) {
        let (now, may_leave) = (self.now, self.may_leave(index));
        let mut more = false;
        let stop_secs = self.machines.get(index).map_or(0, tasks_stop_secs);
        if let Some(ecs) = self.machines.get_mut(index).and_then(|machine| machine.ecs.as_mut())
            && ecs.status == EcsStatus::Draining
        {
            if ecs.link.up {
                let unprotected = ecs.tasks.saturating_sub(ecs.protected(now));
                let leaves = (ecs.tasks - ecs.tasks / 2).min(may_leave).min(unprotected);
                ecs.stop_tasks(leaves, stop_secs, now);
            }
            more = ecs.tasks > 0;
        }
        if more {
            self.queue.push(self.now + self.rng.i64(20..=60), index, Due::TasksLeave);
        }
    }

    /// ECS places tasks on an active container instance whose agent is there.
    fn tasks_come(&mut self, index: usize) {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(index) else { return };
        let (tasks, running) = (machine.spec.tasks, machine.state == InstanceState::Running);
        if let Some(ecs) = machine.ecs.as_mut()
            && running
            && ecs.registered
            && ecs.link.up
            && ecs.status == EcsStatus::Active
        {
            ecs.set_tasks(tasks, now);
        }
    }

    /// A transition of the instance's state is complete.
    fn power_done(&mut self, index: usize, boots: u32) {
        let now = self.now;
        if !self.is_boot(index, boots) {
            return;
        }
        let Some(machine) = self.machines.get_mut(index) else { return };
        machine.state_since = now;
        match machine.state {
            InstanceState::Pending => {
                machine.state = InstanceState::Running;
                machine.checks_from = now + self.rng.i64(60..=120);
                if let Some(member) = machine.member.as_mut()
                    && member.lifecycle == Lifecycle::Pending
                {
                    self.queue.push(now + self.rng.i64(15..=40), index, Due::Moved);
                }
            }
            InstanceState::Stopping => {
                machine.state = InstanceState::Stopped;
                // EC2 says nothing of machines outside EC2.
                if machine.id.is_instance() {
                    self.emit(index, SignalKind::Gone { what: GoneKind::Stopped });
                }
            }
            InstanceState::ShuttingDown => {
                machine.state = InstanceState::Terminated;
                machine.illness = machine.illness.take().map(without_evidence);
                self.forget_size(index);
                self.emit(index, SignalKind::Gone { what: GoneKind::Terminated });
                self.left(index);
            }
            InstanceState::Running | InstanceState::Stopped | InstanceState::Terminated => {}
        }
        self.settle(index);
    }

    fn forget_size(&mut self, index: usize) {
        let Some(machine) = self.machines.get(index) else { return };
        if let Some(zone) = self.zones.get_mut(machine.zone_index) {
            zone.size = zone.size.saturating_sub(1);
        }
        if let Some(cluster) = machine.ecs.as_ref().and_then(|ecs| self.clusters.get_mut(ecs.cluster)) {
            cluster.size = cluster.size.saturating_sub(1);
        }
        if let Some(fleet) = machine.member.as_ref().and_then(|member| self.fleets.get_mut(member.group)) {
            fleet.size = fleet.size.saturating_sub(1);
        }
        self.account_size = self.account_size.saturating_sub(1);
    }

    /// The operating system has started: after a reboot, or after a stop and start.
    fn host_up(&mut self, index: usize, boots: u32, stopped: bool) {
        if !self.is_boot(index, boots) {
            return;
        }
        if let Some(machine) = self.machines.get_mut(index) {
            machine.host_up = true;
            machine.booted_at = self.now;
        }
        if boots > 0 {
            self.treat(index, if stopped { Remedy::StopStart } else { Remedy::Reboot });
        }
        self.settle(index);
    }

    fn units_up(&mut self, index: usize, boots: u32) {
        if !self.is_boot(index, boots) {
            return;
        }
        if let Some(machine) = self.machines.get_mut(index) {
            machine.units_up = true;
        }
        self.settle(index);
    }
}

/// How long tasks on this machine take to stop, in seconds: most of them less than the 30 of the default `stopTimeout`, some of them longer
/// ([ECS](https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html)).
fn tasks_stop_secs(machine: &Machine) -> Secs {
    machine.spec.tasks_stop_secs.unwrap_or_else(|| match machine.id.value() % 32 {
        few @ 0..28 => 2 + Secs::try_from(few).unwrap_or_default(),
        _ => 120,
    })
}

/// A terminated machine keeps its fault for whoever launches the next one like it, and shows nothing any more.
fn without_evidence(mut ill: Illness) -> Illness {
    (ill.identity, ill.network) = (Findings::default(), Findings::default());
    (ill.console, ill.probe) = (Findings::default(), Findings::default());
    ill
}
