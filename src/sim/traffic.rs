//! What happens on nodes without Defib: other people's commands, and the ECS agent's natural reconnects.

use crate::event::{CoarseStatus, SignalKind};
use crate::node::DocumentName;
use crate::observe::{Busy, InvocationStatus};
use crate::sim::ailment::Ailment;
use crate::sim::machine::Secs;
use crate::sim::world::{Due, World};

mod commands;

pub(crate) use commands::{Command, Commands, HostAnswer, Stage, Work};

/// Documents that other people send, parsed once.
#[derive(Debug, Clone)]
pub(crate) struct Documents {
    script: Option<DocumentName>,
    patch: Option<DocumentName>,
    pub probe: Option<DocumentName>,
    pub free_disk: Option<DocumentName>,
    pub restart_ssm: Option<DocumentName>,
    pub restart_ecs: Option<DocumentName>,
    pub restart_runtime: Option<DocumentName>,
}

impl Documents {
    pub(crate) fn new() -> Self {
        Self {
            script: "AWS-RunShellScript".parse().ok(),
            patch: "AWS-RunPatchBaseline".parse().ok(),
            probe: "Defib-Probe".parse().ok(),
            free_disk: "Defib-FreeDisk".parse().ok(),
            restart_ssm: "Defib-RestartSsmAgent".parse().ok(),
            restart_ecs: "Defib-RestartEcsAgent".parse().ok(),
            restart_runtime: "Defib-RestartRuntime".parse().ok(),
        }
    }
}

/// What an event says of an invocation's end: `Undeliverable` arrives as `Failed` (facts/aws.md §1.1).
pub(crate) fn coarse(status: InvocationStatus) -> Option<CoarseStatus> {
    match status {
        InvocationStatus::Open | InvocationStatus::Success => None,
        InvocationStatus::DeliveryTimedOut | InvocationStatus::ExecutionTimedOut => Some(CoarseStatus::TimedOut),
        InvocationStatus::Failed | InvocationStatus::Undeliverable | InvocationStatus::Rejected => {
            Some(CoarseStatus::Failed)
        }
    }
}

/// Seconds between two natural reconnects, without the jitter (facts/aws.md §5).
const RECONNECT_EVERY: Secs = 1_800;
const RECONNECT_JITTER: Secs = 300;

impl World {
    /// Somebody sends something to some node, now and then.
    pub(crate) fn somebody_sends(&mut self) {
        let pause = self.rng.i64(180..=1_200);
        self.queue.push(self.now + pause, 0, Due::Traffic);
        if self.machines.is_empty() {
            return;
        }
        let machine = self.rng.usize(0..self.machines.len());
        let patch = self.rng.u8(0..10) == 0;
        let ends = match self.rng.u8(0..20) {
            0 => InvocationStatus::ExecutionTimedOut,
            1 | 2 => InvocationStatus::Failed,
            _ => InvocationStatus::Success,
        };
        self.send_theirs(machine, patch, ends);
    }

    /// Somebody sends one command. A node that is not registered gets `InvalidInstanceId`, and no invocation exists.
    pub(crate) fn send_theirs(&mut self, machine: usize, patch: bool, ends: InvocationStatus) {
        if !self.machines.get(machine).is_some_and(crate::sim::machine::Machine::ssm_listed) {
            return;
        }
        let (document, busy, runs_secs) = if patch {
            (self.documents.patch.clone(), Busy::Patching, self.rng.i64(120..=900))
        } else {
            (self.documents.script.clone(), Busy::Command, self.rng.i64(2..=90))
        };
        let times_out = self.rng.i64(120..=900);
        self.send(machine, document, Work::Theirs { runs_secs, ends, busy }, times_out);
    }

    /// Plans the next natural reconnect of a node's ECS agent.
    pub(crate) fn plan_gap(&mut self, machine: usize) {
        let wait = RECONNECT_EVERY + self.rng.i64(0..=RECONNECT_JITTER);
        self.queue.push(self.now + wait, machine, Due::Gap);
    }

    /// The ECS agent drops its socket, as it does every half hour, and comes back: mostly at once, at times after minutes.
    pub(crate) fn gap(&mut self, machine: usize, again: bool) {
        if !self.machines.get(machine).is_some_and(crate::sim::machine::Machine::exists) {
            return;
        }
        let secs = if self.rng.u8(0..5) == 0 { self.rng.i64(20..=120) } else { self.rng.i64(1..=10) };
        let until = self.now + secs;
        if again {
            self.plan_gap(machine);
        }
        if let Some(ecs) = self.machines.get_mut(machine).and_then(|machine| machine.ecs.as_mut()) {
            ecs.gap_until = until;
            self.queue.push(until, machine, Due::Settle);
            self.settle(machine);
        }
    }

    /// What a fault that is none of the node's shows of itself when it begins.
    pub(crate) fn tell_of_harmless(&mut self, machine: usize, ailment: Ailment) {
        match ailment {
            Ailment::NoisePeriodicReconnect => self.gap(machine, false),
            Ailment::CommandScriptTimeout => {
                self.end_at_once(machine, InvocationStatus::ExecutionTimedOut);
            }
            Ailment::CommandRejected => self.end_at_once(machine, InvocationStatus::Rejected),
            Ailment::SessionClientGaveUp => self.emit(machine, SignalKind::SessionRefused),
            _ => {}
        }
    }

    /// A command of somebody else that has just ended like this.
    fn end_at_once(&mut self, machine: usize, status: InvocationStatus) {
        let (document, now) = (self.documents.script.clone(), self.now);
        let added = self.commands.add(|id| Command {
            id,
            machine,
            document,
            work: Work::Theirs { runs_secs: 0, ends: status, busy: Busy::Idle },
            sent_at: now - 600,
            starts_by: now,
            expires_at: now,
            stage: Stage::Ended,
            status,
            answer: None,
            refusal: None,
        });
        if let Some((number, _)) = added {
            self.tell_of_end(number);
        }
    }
}
