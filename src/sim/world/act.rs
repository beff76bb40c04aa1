//! Effects land: AWS accepts or refuses them as it would.

use jiff::Timestamp;

use super::{Due, InstanceState, World};
use crate::effect::{Effect, Target};
use crate::event::{GoneKind, SignalKind};
use crate::observe::EcsStatus;
use crate::ports::Performed;

const DONE: Performed = Performed::Done { command: None };

impl World {
    /// Carries out an effect. It lands now, or is refused.
    pub fn perform(&mut self, effect: Effect, target: &Target, now: Timestamp) -> Performed {
        self.advance(now);
        self.census.outdate();
        let Some(index) = self.index(target.node) else { return Performed::Refused };
        let noted = self.note_of(index, effect, None);
        let performed = self.accept(effect, target, index);
        if let (Performed::Done { command }, Some(mut landed)) = (&performed, noted) {
            landed.command.clone_from(command);
            self.landed.push(landed);
        }
        performed
    }

    fn accept(&mut self, effect: Effect, target: &Target, index: usize) -> Performed {
        let Some(machine) = self.machines.get(index) else { return Performed::Refused };
        if Self::service_down(machine) {
            return Performed::Refused;
        }
        let is_instance = machine.id.is_instance();
        let named_group = machine
            .member
            .as_ref()
            .and_then(|member| self.fleets.get(member.group))
            .is_some_and(|fleet| target.group.as_ref() == Some(&fleet.name));
        let named_ecs = machine.ecs.as_ref().is_some_and(|ecs| {
            ecs.registered && target.container_instance.as_ref().is_some_and(|(_, arn)| *arn == ecs.arn)
        });
        match effect {
            Effect::Probe
            | Effect::FreeDisk
            | Effect::RestartSsmAgent
            | Effect::RestartEcsAgent
            | Effect::RestartRuntime => match self.send_ours(index, effect) {
                Some(command) => Performed::Done { command: Some(command) },
                None => Performed::Refused,
            },
            Effect::Drain if named_ecs => self.drain(index),
            Effect::Activate if named_ecs => self.activate(index),
            Effect::Deregister if named_ecs => self.deregister(index),
            Effect::EnterStandby if named_group => self.enter_standby(index),
            Effect::ExitStandby if named_group => self.exit_standby(index),
            Effect::Terminate if named_group => self.terminate_in_group(index),
            Effect::Reboot if is_instance => self.reboot(index),
            Effect::Stop if is_instance => self.stop(index),
            Effect::Start if is_instance => self.start(index),
            _ => Performed::Refused,
        }
    }

    fn drain(&mut self, index: usize) -> Performed {
        let now = self.now;
        let Some(machine) = self.machines.get_mut(index) else { return Performed::Refused };
        let gone = !machine.exists() || machine.is_deregistered();
        let Some(ecs) = machine.ecs.as_mut() else { return Performed::Refused };
        if ecs.status != EcsStatus::Active || gone {
            return Performed::Refused;
        }
        ecs.set_status(EcsStatus::Draining, now);
        let after = self.rng.i64(20..=60);
        self.queue.push(self.now + after, index, Due::TasksLeave);
        DONE
    }

    fn activate(&mut self, index: usize) -> Performed {
        let now = self.now;
        let Some(ecs) = self.machines.get_mut(index).and_then(|machine| machine.ecs.as_mut()) else {
            return Performed::Refused;
        };
        ecs.set_status(EcsStatus::Active, now);
        let after = self.rng.i64(30..=120);
        self.queue.push(self.now + after, index, Due::TasksCome);
        DONE
    }

    /// The container instance is forgotten, and ECS says `INACTIVE`.
    pub(super) fn deregister(&mut self, index: usize) -> Performed {
        let now = self.now;
        let Some(ecs) = self.machines.get_mut(index).and_then(|machine| machine.ecs.as_mut()) else {
            return Performed::Refused;
        };
        if !ecs.registered {
            return Performed::Refused;
        }
        ecs.registered = false;
        ecs.end_tasks(now);
        self.emit(index, SignalKind::Gone { what: GoneKind::ContainerInstanceInactive });
        DONE
    }

    /// `RebootInstances`: accepted for anything that is not gone; does nothing to what does not run.
    pub(super) fn reboot(&mut self, index: usize) -> Performed {
        let Some(machine) = self.machines.get(index) else { return Performed::Refused };
        match machine.state {
            InstanceState::Running => {
                let boots = self.host_down(index);
                let down = if self.hung(index) { self.rng.i64(150..=300) } else { self.rng.i64(25..=70) };
                let units = self.rng.i64(35..=110);
                self.queue.push(self.now + down, index, Due::HostUp { boots, stopped: false });
                self.queue.push(self.now + down + units, index, Due::UnitsUp { boots });
                DONE
            }
            // Silently ignored (facts/aws.md §0).
            InstanceState::Terminated | InstanceState::ShuttingDown => DONE,
            InstanceState::Pending | InstanceState::Stopping | InstanceState::Stopped => Performed::Refused,
        }
    }

    fn hung(&self, index: usize) -> bool {
        self.machines.get(index).is_some_and(crate::sim::machine::Machine::hangs)
    }

    /// The operating system goes down. Answers which boot comes next.
    fn host_down(&mut self, index: usize) -> u32 {
        let Some(machine) = self.machines.get_mut(index) else { return 0 };
        machine.boots += 1;
        (machine.host_up, machine.units_up, machine.sessions) = (false, false, 0);
        machine.busy_until = self.now;
        if let Some(ecs) = machine.ecs.as_mut() {
            ecs.end_tasks(self.now);
        }
        let boots = machine.boots;
        self.settle(index);
        boots
    }

    /// `StopInstances`.
    pub(super) fn stop(&mut self, index: usize) -> Performed {
        let Some(machine) = self.machines.get(index) else { return Performed::Refused };
        let gates = machine.spec.stop;
        let forbidden = gates.instance_store_root || gates.spot || gates.stop_protected || gates.stop_denied;
        if machine.state != InstanceState::Running || forbidden {
            return Performed::Refused;
        }
        let takes = if self.hung(index) { self.rng.i64(90..=240) } else { self.rng.i64(30..=120) };
        self.power_down(index, InstanceState::Stopping, takes);
        self.group_will_notice(index);
        DONE
    }

    fn power_down(&mut self, index: usize, state: InstanceState, takes: i64) {
        let boots = self.host_down(index);
        if let Some(machine) = self.machines.get_mut(index) {
            (machine.state, machine.state_since) = (state, self.now);
        }
        self.queue.push(self.now + takes, index, Due::PowerDone { boots });
        self.settle(index);
    }

    /// `StartInstances`.
    pub(super) fn start(&mut self, index: usize) -> Performed {
        let (now, sold_out) = (self.now, self.is_sold_out());
        self.census.outdate();
        let Some(machine) = self.machines.get_mut(index) else { return Performed::Refused };
        match machine.state {
            // Without a grant for its volumes' key, AWS accepts the start and stops it again; here it is refused at once.
            InstanceState::Stopped if sold_out || machine.spec.stop.start_denied || machine.spec.stop.volume_key => {
                return Performed::Refused;
            }
            InstanceState::Stopped => {}
            // Starting what runs changes nothing and is no error.
            InstanceState::Running | InstanceState::Pending => return DONE,
            InstanceState::Stopping | InstanceState::ShuttingDown | InstanceState::Terminated => {
                return Performed::Refused;
            }
        }
        machine.boots += 1;
        let boots = machine.boots;
        (machine.state, machine.state_since, machine.launched_at) = (InstanceState::Pending, now, now);
        let (runs, host, units) = (self.rng.i64(5..=20), self.rng.i64(15..=40), self.rng.i64(25..=70));
        self.queue.push(now + runs, index, Due::PowerDone { boots });
        self.queue.push(now + runs + host, index, Due::HostUp { boots, stopped: true });
        self.queue.push(now + runs + host + units, index, Due::UnitsUp { boots });
        DONE
    }

    /// The instance is terminated: by its group, by us through the group, or by hand. A container instance whose agent was
    /// connected is deregistered by ECS; the other stays as a ghost.
    pub(super) fn terminate(&mut self, index: usize) {
        self.set_lifecycle(index, crate::observe::Lifecycle::Terminating);
        self.forget_shares();
        let connected = self
            .machines
            .get(index)
            .and_then(|machine| machine.ecs.as_ref())
            .is_some_and(|ecs| ecs.registered && ecs.link.up);
        let takes = self.rng.i64(30..=90);
        self.power_down(index, InstanceState::ShuttingDown, takes);
        if connected {
            self.queue.push(self.now + takes + 20, index, Due::EcsForgets);
        }
    }
}
