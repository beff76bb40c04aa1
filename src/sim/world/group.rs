//! What an Auto Scaling group does with its members.

use super::{Due, InstanceState, World};
use crate::observe::Lifecycle;
use crate::ports::Performed;
use crate::sim::machine::Secs;

const DONE: Performed = Performed::Done { command: None };

impl World {
    pub(crate) fn count_members(&self, group: usize, is: impl Fn(Lifecycle) -> bool) -> u32 {
        u32::try_from(self.members(group).filter(|lifecycle| is(*lifecycle)).count()).unwrap_or(u32::MAX)
    }

    /// Where each member of a group that exists is in its life.
    pub(super) fn members(&self, group: usize) -> impl Iterator<Item = Lifecycle> {
        let existing = self.machines.iter().filter(|machine| machine.exists());
        let members = existing.filter_map(|machine| machine.member.as_ref());
        members.filter_map(move |member| (member.group == group).then_some(member.lifecycle))
    }

    fn lifecycle(&self, machine: usize) -> Option<(usize, Lifecycle)> {
        let member = self.machines.get(machine)?.member.as_ref()?;
        Some((member.group, member.lifecycle))
    }

    pub(super) fn set_lifecycle(&mut self, machine: usize, lifecycle: Lifecycle) {
        if let Some(member) = self.machines.get_mut(machine).and_then(|machine| machine.member.as_mut()) {
            member.lifecycle = lifecycle;
        }
    }

    /// `EnterStandby` with the desired capacity lowered, refused below the minimum.
    pub(super) fn enter_standby(&mut self, machine: usize) -> Performed {
        let Some((group, Lifecycle::InService)) = self.lifecycle(machine) else { return Performed::Refused };
        let Some(fleet) = self.fleets.get_mut(group) else { return Performed::Refused };
        if fleet.desired <= fleet.min {
            return Performed::Refused;
        }
        fleet.desired -= 1;
        self.set_lifecycle(machine, Lifecycle::EnteringStandby);
        let takes = self.rng.i64(5..=30);
        self.queue.push(self.now + takes, machine, Due::Moved);
        DONE
    }

    /// `ExitStandby`: the desired capacity rises, and the group looks after the member again.
    pub(super) fn exit_standby(&mut self, machine: usize) -> Performed {
        let Some((group, Lifecycle::Standby)) = self.lifecycle(machine) else { return Performed::Refused };
        let Some(fleet) = self.fleets.get_mut(group) else { return Performed::Refused };
        fleet.desired += 1;
        self.set_lifecycle(machine, Lifecycle::Pending);
        let takes = self.rng.i64(5..=30);
        self.queue.push(self.now + takes, machine, Due::Moved);
        DONE
    }

    /// A move into or out of Standby is complete.
    pub(super) fn moved(&mut self, machine: usize) {
        match self.lifecycle(machine) {
            Some((_, Lifecycle::EnteringStandby)) => self.set_lifecycle(machine, Lifecycle::Standby),
            Some((_, Lifecycle::Pending)) => {
                self.set_lifecycle(machine, Lifecycle::InService);
                self.group_will_notice(machine);
            }
            _ => {}
        }
    }

    /// The group looks at a member a little later: one in service that does not run is replaced (facts/aws.md §4).
    pub(super) fn group_will_notice(&mut self, machine: usize) {
        let after = self.rng.i64(10..=60);
        self.queue.push(self.now + after, machine, Due::GroupNotices);
    }

    pub(super) fn group_notices(&mut self, machine: usize) {
        let fine = |state| matches!(state, InstanceState::Running | InstanceState::Pending);
        let Some((_, Lifecycle::InService)) = self.lifecycle(machine) else { return };
        if self.machines.get(machine).is_some_and(|machine| machine.exists() && !fine(machine.state)) {
            self.terminate(machine);
        }
    }

    /// `TerminateInstanceInAutoScalingGroup`, the capacity kept.
    pub(super) fn terminate_in_group(&mut self, machine: usize) -> Performed {
        let gone = |state| matches!(state, InstanceState::ShuttingDown | InstanceState::Terminated);
        match (self.lifecycle(machine), self.machines.get(machine)) {
            (Some((_, lifecycle)), Some(found)) if lifecycle != Lifecycle::Terminating && !gone(found.state) => {
                self.terminate(machine);
                DONE
            }
            _ => Performed::Refused,
        }
    }

    /// A machine that is gone leaves a hole, which the group fills.
    pub(super) fn left(&mut self, machine: usize) {
        if self.lifecycle(machine).is_some() {
            let after: Secs = self.rng.i64(60..=180);
            self.queue.push(self.now + after, machine, Due::Launch);
        }
    }

    /// Launches what is missing. Nothing is missing when a member in Standby was terminated: its place was given up when
    /// it entered.
    pub(super) fn launch_missing(&mut self, gone: usize) {
        let Some((group, _)) = self.lifecycle(gone) else { return };
        let held =
            self.count_members(group, |lifecycle| matches!(lifecycle, Lifecycle::InService | Lifecycle::Pending));
        let Some(fleet) = self.fleets.get(group) else { return };
        if fleet.suspended {
            self.queue.push(self.now + 300, gone, Due::Launch);
        } else if held < fleet.desired {
            self.launch_like(gone);
        }
    }
}
