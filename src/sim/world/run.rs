//! Run Command: what is sent is accepted at once, delivered when the agent takes it, and told of when it ends.

use super::{Due, World};
use crate::effect::Effect;
use crate::event::SignalKind;
use crate::incident::Remedy;
#[cfg(feature = "cli")]
use crate::node::NodeId;
use crate::node::{CommandId, DocumentName};
use crate::observe::{HostRefusal, InvocationStatus, Platform};
use crate::sim::ailment::Runtime;
use crate::sim::machine::{Machine, Secs};
use crate::sim::traffic::{Command, HostAnswer, Stage, Work, coarse};

/// The delivery time-out of our own commands.
const OWN_TIMES_OUT_SECS: Secs = 60;

/// A command that somebody sends under an id of their own, to one node of perhaps several.
#[cfg(feature = "cli")]
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    pub id: CommandId,
    pub document: DocumentName,
    pub work: Work,
    /// `TimeoutSeconds`: what an agent has not taken by then does not run any more.
    pub starts_within_secs: Secs,
    /// When it is given up, whatever became of it.
    pub times_out_secs: Secs,
}

/// What the repair's script refuses (`infra/documents/repair.sh`): it leaves the ECS agent alone where docker does not answer.
fn refusal(machine: &Machine, effect: Effect) -> Option<HostRefusal> {
    let silent = machine.illness.as_ref().is_some_and(|ill| ill.ailment.profile().runtime == Runtime::Impaired);
    (effect == Effect::RestartEcsAgent && silent).then_some(HostRefusal::RuntimeSilent)
}

impl World {
    /// Sends one of our commands. Accepted for dead agents too, as long as the node is registered (facts/aws.md §2.1).
    pub(super) fn send_ours(&mut self, machine: usize, effect: Effect) -> Option<CommandId> {
        if !self.machines.get(machine).is_some_and(Machine::ssm_listed) {
            return None;
        }
        let document = match effect {
            Effect::Probe => &self.documents.probe,
            Effect::FreeDisk => &self.documents.free_disk,
            Effect::RestartSsmAgent => &self.documents.restart_ssm,
            Effect::RestartEcsAgent => &self.documents.restart_ecs,
            _ => &self.documents.restart_runtime,
        };
        let document = document.clone();
        self.send(machine, document, Work::Ours(effect), OWN_TIMES_OUT_SECS)
    }

    /// Sends a command as the door was asked to. One of our effects counts as landed, as it does in [`World::perform`].
    #[cfg(feature = "cli")]
    pub(crate) fn send_document(&mut self, node: NodeId, sending: Sending) {
        let Some(machine) = self.index(node) else { return };
        if let Work::Ours(effect) = sending.work {
            self.census.outdate();
            let noted = self.note_of(machine, effect, Some(sending.id.clone()));
            self.landed.extend(noted);
        }
        let Sending { id, document, work, starts_within_secs, times_out_secs } = sending;
        self.put(machine, Some(document), work, (starts_within_secs, times_out_secs), Some(id));
    }

    /// Puts a command on its way.
    pub(crate) fn send(
        &mut self,
        machine: usize,
        document: Option<DocumentName>,
        work: Work,
        times_out_secs: Secs,
    ) -> Option<CommandId> {
        self.put(machine, document, work, (times_out_secs, times_out_secs), None)
    }

    fn put(
        &mut self,
        machine: usize,
        document: Option<DocumentName>,
        work: Work,
        (starts_within_secs, times_out_secs): (Secs, Secs),
        named: Option<CommandId>,
    ) -> Option<CommandId> {
        let (now, arrives) = (self.now, self.rng.i64(1..=5));
        let (number, id) = self.commands.add(|id| Command {
            id: named.unwrap_or(id),
            machine,
            document,
            work,
            sent_at: now,
            starts_by: now + starts_within_secs,
            expires_at: now + times_out_secs,
            stage: Stage::Sent,
            status: InvocationStatus::Open,
            answer: None,
            refusal: None,
        })?;
        self.queue.push(now + arrives, machine, Due::Deliver(number));
        self.queue.push(now + times_out_secs, machine, Due::Expire(number));
        Some(id)
    }

    /// The agent takes a command, or it waits for the agent.
    pub(super) fn deliver(&mut self, number: u32) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(number).filter(|command| command.stage == Stage::Sent) else {
            return;
        };
        if now > command.starts_by {
            // Too late to begin; it is told of when its whole time is up.
            return;
        }
        let Some(machine) = self.machines.get_mut(command.machine) else { return };
        if !machine.takes_commands() {
            machine.waiting.push(number);
            return;
        }
        let no_shell = machine.spec.platform == Platform::Bottlerocket;
        if no_shell && matches!(command.work, Work::Ours(effect) if effect != Effect::Probe) {
            (command.stage, command.status) = (Stage::Ended, InvocationStatus::Rejected);
            self.tell_of_end(number);
            return;
        }
        command.stage = Stage::Running { boots: machine.boots };
        let runs_secs = match &command.work {
            Work::Ours(_) => self.rng.i64(2..=15),
            Work::Theirs { runs_secs, busy, .. } => {
                if now >= machine.busy_until {
                    machine.busy_since = now;
                }
                (machine.busy, machine.busy_until) = (*busy, now + runs_secs);
                *runs_secs
            }
        };
        self.queue.push(now + runs_secs, command.machine, Due::Finish(number));
    }

    /// A command is done, unless its agent went away meanwhile: then nobody tells of it before its time is up.
    pub(super) fn finish(&mut self, number: u32) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(number) else { return };
        let Stage::Running { boots } = command.stage else { return };
        let Some(machine) = self.machines.get(command.machine) else { return };
        if machine.boots != boots || !machine.ssm.up {
            command.expires_at = command.expires_at.max(now + OWN_TIMES_OUT_SECS);
            self.queue.push(command.expires_at, command.machine, Due::Expire(number));
            return;
        }
        command.stage = Stage::Ended;
        let (index, id) = (command.machine, command.id.clone());
        match command.work {
            Work::Ours(effect) => {
                command.refusal = refusal(machine, effect);
                if command.refusal.is_some() {
                    command.status = InvocationStatus::Failed;
                    self.tell_of_end(number);
                    return;
                }
                command.status = InvocationStatus::Success;
                if effect == Effect::Probe {
                    let shell = machine.spec.platform != Platform::Bottlerocket;
                    let findings = machine
                        .illness
                        .as_ref()
                        .filter(|_| shell)
                        .map_or_else(|| self.nothing.clone(), |ill| ill.probe.clone());
                    command.answer = Some(HostAnswer::of(machine.booted_at, machine.boots, findings));
                }
                self.log_ran(index, effect, Some(id));
                self.run(index, effect);
            }
            Work::Theirs { ends, .. } => {
                command.status = ends;
                self.tell_of_end(number);
            }
        }
    }

    /// A command's time is up: nobody took it, or nobody told how it ended.
    pub(super) fn expire(&mut self, number: u32) {
        let now = self.now;
        let Some(command) = self.commands.get_mut(number) else { return };
        let over = match command.stage {
            Stage::Ended => false,
            Stage::Sent => true,
            // It runs: it ends by itself, or the finish that found no agent has planned another end.
            Stage::Running { boots } => self
                .machines
                .get(command.machine)
                .is_some_and(|machine| machine.boots != boots || !machine.ssm.up || !machine.exists()),
        };
        if !over || now < command.expires_at {
            return;
        }
        let never_taken = command.stage == Stage::Sent;
        command.stage = Stage::Ended;
        command.status = if never_taken && self.rng.bool() {
            InvocationStatus::Undeliverable
        } else {
            InvocationStatus::DeliveryTimedOut
        };
        if let Some(machine) = self.machines.get_mut(command.machine) {
            machine.waiting.retain(|waiting| *waiting != number);
        }
        self.tell_of_end(number);
    }

    /// The event about an invocation that ended badly; the rule forwards no other.
    pub(crate) fn tell_of_end(&mut self, number: u32) {
        let Some(command) = self.commands.get(number) else { return };
        if let (Some(status), Some(document)) = (coarse(command.status), command.document.clone()) {
            let kind = SignalKind::CommandTrouble { command: command.id.clone(), document, status };
            self.emit(command.machine, kind);
        }
    }

    /// The host carries out one of our effects.
    fn run(&mut self, index: usize, effect: Effect) {
        let now = self.now;
        match effect {
            Effect::FreeDisk => self.treat(index, Remedy::FreeDisk),
            Effect::RestartSsmAgent => {
                // Out of band, ten seconds later: a command must not kill its own agent (facts/aws.md §3.3).
                let boots = self.machines.get(index).map_or(0, |machine| machine.boots);
                self.queue.push(self.now + 10, index, Due::SsmRestart { boots });
            }
            Effect::RestartEcsAgent => self.ecs_restarts(index, Remedy::RestartEcsAgent),
            Effect::RestartRuntime => {
                if let Some(ecs) = self.machines.get_mut(index).and_then(|machine| machine.ecs.as_mut()) {
                    ecs.end_tasks(now);
                }
                self.ecs_restarts(index, Remedy::RestartRuntime);
            }
            _ => {}
        }
        self.settle(index);
    }

    fn ecs_restarts(&mut self, index: usize, remedy: Remedy) {
        self.treat(index, remedy);
        let back = self.now + self.rng.i64(5..=30);
        if let Some(machine) = self.machines.get_mut(index) {
            machine.ecs_away_until = back;
        }
        self.queue.push(back, index, Due::Settle);
    }

    /// The SSM agent restarts; live sessions end with it.
    pub(super) fn ssm_restarts(&mut self, index: usize, boots: u32) {
        if !self.is_boot(index, boots) {
            return;
        }
        self.treat(index, Remedy::RestartSsmAgent);
        let back = self.now + self.rng.i64(3..=10);
        if let Some(machine) = self.machines.get_mut(index) {
            machine.ssm_away_until = back;
            machine.sessions = 0;
        }
        self.queue.push(back, index, Due::Settle);
        self.settle(index);
    }
}
