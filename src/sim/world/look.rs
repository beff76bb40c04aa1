//! What AWS shows of a node, with AWS's lags.

use jiff::Timestamp;

use super::{World, moment};
use crate::node::NodeId;
use crate::observe::{
    Asg, Blind, Busy, Check, Connection, Depth, Ec2, Ecs, EcsStatus, Fact, Findings, Group, HostRefusal, InstanceState,
    Invocation, InvocationStatus, Lifecycle, Look, Observation, Ping, Probe, ProbeAnswer, RepairEnd, Spare, Ssm,
};
use crate::sim::machine::{Illness, Machine, Secs};
use crate::sim::traffic::HostAnswer;

/// Terminated instances stay visible for about an hour.
const TERMINATED_VISIBLE_SECS: Secs = 3_600;

impl World {
    /// Looks at a node as AWS shows it.
    pub fn observe(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        if let Some(before) = &look.seen {
            return before.as_ref().clone().completed(self.look(node, look, now));
        }
        self.look(node, look, now)
    }

    fn look(&mut self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        self.advance(now);
        let mut seen = Observation::of_nothing(node, now);
        seen.invocation = self.invocation(look);
        seen.probe = self.probe(look);
        seen.repair = self.repair_end(look);
        let Some(index) = self.index(node) else { return seen };
        seen.factors = self.factors(index);
        let Some(machine) = self.machines.get(index) else { return seen };
        (seen.ssm, seen.ecs) = self.agents(machine, self.now);
        if look.stopping {
            self.with_stopping(machine, &mut seen.ecs);
        }
        if seen.waits_for_ssm(look) {
            seen = only_of_ssm(seen);
        } else {
            self.look_around(index, look, &mut seen);
        }
        leave_out(&mut seen, look);
        if self.lean {
            lean(&mut seen, look, moment(self.now));
        }
        seen
    }

    /// Everything but the agents.
    fn look_around(&mut self, index: usize, look: &Look, seen: &mut Observation) {
        self.take_census();
        let Some(machine) = self.machines.get(index) else { return };
        let now = self.now;
        let long_gone =
            machine.state == InstanceState::Terminated && now - machine.state_since > TERMINATED_VISIBLE_SECS;
        if !long_gone {
            seen.ec2 = ec2(machine, now);
        }
        seen.asg = self.asg(machine, look);
        seen.successor = self.successor(machine, look, seen);
        seen.group = Fact::Known(self.group_of(machine));
        if look.close {
            self.look_closely(machine, look, seen);
        }
    }

    /// The agents as SSM and ECS list them.
    pub(crate) fn agents(&self, machine: &Machine, now: Secs) -> (Fact<Ssm>, Fact<Ecs>) {
        if Self::service_down(machine) {
            return (Fact::Unknown(Blind::Unavailable), Fact::Unknown(Blind::Unavailable));
        }
        (self.ssm(machine, now), self.ecs(machine, now))
    }

    /// The same with the tasks that are told to stop and have not, once nothing else is there.
    pub(crate) fn with_stopping(&self, machine: &Machine, seen: &mut Fact<Ecs>) {
        planted!(ForgetStoppingTasks => return);
        if let (Fact::Known(seen), Some(ecs)) = (seen, &machine.ecs)
            && seen.status == EcsStatus::Draining
            && seen.tasks == 0
        {
            seen.tasks = ecs.stopping(self.now);
        }
    }

    fn look_closely(&self, machine: &Machine, look: &Look, seen: &mut Observation) {
        let shows = |pick: fn(&Illness) -> &Findings| {
            Fact::Known(machine.illness.as_ref().map_or_else(|| self.nothing.clone(), |ill| pick(ill).clone()))
        };
        let refreshing = machine
            .member
            .as_ref()
            .and_then(|member| self.fleets.get(member.group))
            .is_some_and(|fleet| fleet.refreshing);
        seen.busy = Fact::Known(if refreshing { Busy::Deployment } else { Self::busy_now(machine, self.now) });
        if !self.lean || look.depth >= Depth::Remedy {
            seen.sessions = Fact::Known(machine.sessions());
            seen.workload =
                if Self::service_down(machine) { Fact::Unknown(Blind::Unavailable) } else { self.workload(machine) };
            seen.calendar = self.calendar(look.calendar.as_ref());
        }
        seen.identity = shows(|ill| &ill.identity);
        if machine.id.is_instance() {
            seen.network = shows(|ill| &ill.network);
            seen.console = shows(|ill| &ill.console);
        } else {
            (seen.network, seen.console) = (Fact::Absent, Fact::Absent);
        }
    }

    fn ssm(&self, machine: &Machine, now: Secs) -> Fact<Ssm> {
        if !machine.ssm_listed() {
            return Fact::Absent;
        }
        let last_ping = machine.pinged_at(now);
        let ping = if now - last_ping > self.ping_lost_secs { Ping::ConnectionLost } else { Ping::Online };
        let connected = machine.ssm.shown(now);
        Fact::Known(Ssm {
            ping,
            last_ping: moment(last_ping),
            connection: Fact::Known(if connected { Connection::Connected } else { Connection::NotConnected }),
            platform: machine.spec.platform,
            tags: if machine.id.is_instance() { Fact::Absent } else { Fact::Known(machine.tags) },
        })
    }

    fn ecs(&self, machine: &Machine, now: Secs) -> Fact<Ecs> {
        let Some((ecs, cluster)) = machine
            .ecs
            .as_ref()
            .filter(|ecs| ecs.registered)
            .and_then(|ecs| self.clusters.get(ecs.cluster).map(|cluster| (ecs, cluster)))
        else {
            return Fact::Absent;
        };
        let connected = ecs.link.shown(now) && machine.exists();
        let agent_check = if ecs.impaired { Check::Impaired } else { Check::Ok };
        let runtime_check = match (connected, ecs.runtime_impaired) {
            (false, _) => Check::Undecided,
            (true, true) => Check::Impaired,
            (true, false) => Check::Ok,
        };
        let impaired_since = match (ecs.impaired, ecs.runtime_impaired) {
            (true, _) => Some(ecs.link.shown_since(now)),
            (false, true) => ecs.runtime_bad_since,
            (false, false) => None,
        };
        Fact::Known(Ecs {
            cluster: cluster.arn.clone(),
            arn: ecs.arn.clone(),
            connected,
            status: if machine.is_deregistered() { EcsStatus::Inactive } else { ecs.status },
            tasks: ecs.tasks + ecs.special.standalone,
            agent_check,
            runtime_check,
            impaired_since: impaired_since.map(moment),
            cluster_tags: cluster.tags,
        })
    }

    /// The group of a member, or the group that the look names once the node has left it.
    fn asg(&self, machine: &Machine, look: &Look) -> Fact<Asg> {
        let member = machine.member.as_ref().filter(|_| machine.exists());
        let (group, lifecycle) = match (member, &look.group) {
            (Some(member), _) => (member.group, member.lifecycle),
            (None, Some(name)) => match self.fleets.iter().position(|fleet| fleet.name == *name) {
                Some(group) => (group, Lifecycle::Terminating),
                None => return Fact::Absent,
            },
            (None, None) => return Fact::Absent,
        };
        let Some(fleet) = self.fleets.get(group) else { return Fact::Absent };
        let (mut in_service, mut standby, mut existing) = (0, 0, 0);
        for lifecycle in self.members(group) {
            in_service += u32::from(lifecycle == Lifecycle::InService);
            standby += u32::from(is_standby(lifecycle));
            existing += u32::from(lifecycle != Lifecycle::Terminating);
        }
        Fact::Known(Asg {
            name: fleet.name.clone(),
            lifecycle,
            desired: fleet.desired,
            min: fleet.min,
            in_service,
            standby,
            existing,
            ec2_health_only: fleet.ec2_health_only,
            suspended: fleet.suspended,
            refreshing: fleet.refreshing,
            tags: fleet.tags,
        })
    }

    fn group_of(&self, machine: &Machine) -> Group {
        let zone_size = self.zones.get(machine.zone_index).map_or(0, |zone| zone.size);
        let cluster = machine.ecs.as_ref().and_then(|ecs| self.clusters.get(ecs.cluster));
        let fleet = machine.member.as_ref().and_then(|member| self.fleets.get(member.group));
        let (name, size) = match (cluster, fleet) {
            (Some(cluster), _) => (&cluster.name, cluster.size),
            (None, Some(fleet)) => (&fleet.label, fleet.size),
            (None, None) => (&self.account_label, self.account_size),
        };
        let peers = self.peers(machine);
        Group {
            name: name.clone(),
            size,
            zone_size,
            unhealthy: self.census.of(machine).unhealthy,
            zone_unhealthy: self.census.of_zone(machine).unhealthy,
            zone_peers: peers.size,
            zone_peers_unhealthy: peers.unhealthy,
        }
    }

    fn invocation(&self, look: &Look) -> Fact<Invocation> {
        let Some(id) = &look.command else { return Fact::Absent };
        self.commands
            .find(id)
            .map_or(Fact::Absent, |command| Fact::Known(Invocation { command: id.clone(), status: command.status }))
    }

    fn repair_end(&self, look: &Look) -> Fact<RepairEnd> {
        let Some(id) = &look.repair else { return Fact::Absent };
        let Some(command) = self.commands.find(id) else { return Fact::Unknown(Blind::Empty) };
        let code = command.refusal.map_or(0, HostRefusal::exit_code);
        Fact::Known(RepairEnd::of(command.status, [code]))
    }

    fn probe(&self, look: &Look) -> Fact<Probe> {
        let Some(id) = &look.probe else { return Fact::Absent };
        let Some(command) = self.commands.find(id) else { return Fact::Unknown(Blind::Empty) };
        let answer = match (command.status, &command.answer) {
            (InvocationStatus::Success, Some(HostAnswer { booted_at, boot_id, findings })) => {
                let (boot, findings) = (boot_id.clone(), findings.clone());
                ProbeAnswer::Answered { booted_at: moment(*booted_at), boot, findings }
            }
            (InvocationStatus::Open | InvocationStatus::Success, _) => ProbeAnswer::Pending,
            _ => ProbeAnswer::Undelivered,
        };
        Fact::Known(Probe { sent_at: moment(command.sent_at), answer })
    }
}

/// What is read where everything waits for the SSM agent.
fn only_of_ssm(seen: Observation) -> Observation {
    let awaits_probe = seen.awaits_probe();
    let Observation { node, at, mut ssm, invocation, probe, .. } = seen;
    if let Fact::Known(ssm) = &mut ssm
        && awaits_probe
    {
        ssm.connection = Fact::Unknown(Blind::NotRead);
    }
    Observation { ssm, invocation, probe, ..Observation::unread(node, at) }
}

/// Leaves out what nobody would read over the network.
fn leave_out(seen: &mut Observation, look: &Look) {
    let unread = Blind::NotRead;
    let Spare { ec2, ssm, ecs, asg } = look.spare;
    if ec2 {
        seen.ec2 = Fact::Unknown(unread);
    }
    if ssm {
        seen.ssm = Fact::Unknown(unread);
    }
    if ecs {
        seen.ecs = Fact::Unknown(unread);
    }
    if asg {
        seen.asg = Fact::Unknown(unread);
    }
}

/// Leaves out what the edge of AWS leaves out beside that, to save calls: Systems Manager's view of an instance that only ECS told
/// of, and what only a decision needs where the node is plainly well. Every schedule of a soak is played like this; the scripts
/// that people read are not, for they tell of both agents.
fn lean(seen: &mut Observation, look: &Look, now: Timestamp) {
    let unread = Blind::NotRead;
    // On its way out: nothing more follows from what the other services say.
    if !look.close && seen.ec2.known().is_some_and(|ec2| ec2.state == InstanceState::ShuttingDown) {
        (seen.ssm, seen.ecs, seen.asg) = (Fact::Unknown(unread), Fact::Unknown(unread), Fact::Unknown(unread));
    }
    let ssm = seen.ssm.clone();
    if look.only_ecs && seen.node.is_instance() {
        seen.ssm = Fact::Unknown(unread);
    }
    if !look.close {
        spare_connection(seen, look, now);
        return;
    }
    if !seen.is_plainly_well(look, now) {
        seen.ssm = ssm;
        seen.depth = look.depth;
        not_so_deep(seen, look, now);
        return;
    }
    seen.sessions = Fact::Unknown(unread);
    seen.busy = Fact::Unknown(unread);
    seen.workload = Fact::Unknown(unread);
    seen.calendar = Fact::Unknown(unread);
    seen.identity = Fact::Unknown(unread);
    seen.network = Fact::Unknown(unread);
    seen.console = Fact::Unknown(unread);
}

/// Leaves out what only a deeper look reads; what no remedy was chosen for was not read to begin with.
fn not_so_deep(seen: &mut Observation, look: &Look, now: Timestamp) {
    let unread = Blind::NotRead;
    spare_connection(seen, look, now);
    if !seen.may_be_busy() && seen.busy != Fact::Known(Busy::Deployment) {
        seen.busy = Fact::Absent;
    }
    if look.depth < Depth::Cause && seen.node.is_instance() {
        seen.console = Fact::Unknown(unread);
    }
}

/// Leaves out the SSM agent's connection where the host decides.
fn spare_connection(seen: &mut Observation, look: &Look, now: Timestamp) {
    let answers = seen.ssm.known().is_some_and(|ssm| ssm.answers(now));
    let spares = seen.may_spare_connection(answers, look, now);
    if let Fact::Known(ssm) = &mut seen.ssm
        && spares
    {
        ssm.connection = Fact::Unknown(Blind::NotRead);
    }
}

/// Whether the desired capacity was lowered for a member like this.
pub(super) fn is_standby(lifecycle: Lifecycle) -> bool {
    matches!(lifecycle, Lifecycle::Standby | Lifecycle::EnteringStandby)
}

fn ec2(machine: &Machine, now: Secs) -> Fact<Ec2> {
    if !machine.id.is_instance() {
        return Fact::Absent;
    }
    let Some(zone) = &machine.zone else { return Fact::Unknown(Blind::Empty) };
    let decided = machine.state == InstanceState::Running && now >= machine.checks_from;
    let check = |passes: bool| match (decided, passes) {
        (false, _) => Check::Undecided,
        (true, true) => Check::Ok,
        (true, false) => Check::Impaired,
    };
    Fact::Known(Ec2 {
        state: machine.state,
        launched_at: moment(machine.launched_at),
        system_check: check(machine.system_check.shown(now)),
        instance_check: check(machine.instance_check.shown(now)),
        volumes_check: check(machine.volumes_check.shown(now)),
        scheduled: machine.scheduled(),
        name: machine.spec.name.clone(),
        zone: zone.clone(),
        tags: machine.tags,
        manager: machine.spec.manager,
        stop: machine.spec.stop,
    })
}
