//! Looks at a node over the network: each fact known, absent or unknown, and no call that nothing follows from.
//!
//! EC2 is asked first and alone: an id that it does not know costs this one read (S13). What follows is read at the same time. Where a
//! census is due anyway, it goes first, and its rows of the node are those that the look takes.
//! What only a decision needs is read on close looks, and only where the node is not plainly well.

use std::sync::Arc;

use aws_sdk_ec2::types::Instance;
use jiff::Timestamp;

use self::census::Census;
use self::ec2::Further;
use self::rehearsal::Rehearsal;
use super::cache::{AROUND_SECS, CENSUS_SECS};
use super::nodes::Nodes;
use crate::diagnose::Agents;
use crate::node::{AutoScalingGroupName, NodeId};
use crate::observe::{
    Blind, Busy, Depth, Ec2, Ecs, Fact, Findings, Health, InstanceState, Look, Observation, Probe, ProbeAnswer, Spare,
    Standing, StatusChecks,
};

/// Reads every page of a list, or none of it. `$request` makes the request for a page from its token.
macro_rules! every_page {
    ($operation:literal, $rows:ident, $most:expr, |$token:ident| $request:expr) => {{
        let (mut all, mut next) = (Vec::new(), None::<String>);
        let mut whole = false;
        for _ in 0..$most {
            let $token = next.take();
            let answer = $request.send().await;
            let output = answer.map_err(|error| crate::aws::fault::Fault::of($operation, error).blind())?;
            // AWS writes an empty list; one that is missing is no answer.
            all.extend(output.$rows.ok_or(crate::observe::Blind::Empty)?);
            next = output.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                whole = true;
                break;
            }
        }
        if whole { Ok(all) } else { Err(crate::observe::Blind::Empty) }
    }};
}

pub(super) mod asg;
mod besides;
pub(super) mod census;
mod check;
pub(super) mod commands;
mod console;
mod ec2;
mod ecs;
mod identity;
mod probe;
pub(super) mod rehearsal;
pub(super) mod ssm;
mod successor;
mod take;
pub(super) mod vpc;
mod workload;

pub use check::Checked;
pub(super) use commands::invocation_status;
pub(super) use take::Rows;

/// What the look before a probe saw of the instance and its container instance serves the look at its answer, if it is not older than
/// this, in seconds: what is sent on it must be gone after 30 (S1), and needs a few of them itself.
const AGAIN_SECS: i64 = 24;

/// An instance that ran in a census which is this old at most, in seconds, is taken to run still, so that a census is worth its calls.
const LATELY_SECS: i64 = 600;

/// Nobody asked.
macro_rules! not_read {
    () => {
        Fact::Unknown(Blind::NotRead)
    };
}

impl Nodes {
    /// Looks at a node.
    ///
    /// `now` is the moment before the first read is sent. Nothing in here fails: what could not be read is unknown.
    pub async fn observe(&self, node: NodeId, look: &Look, now: Timestamp) -> Observation {
        if let Some(before) = &look.seen {
            return Box::pin(self.deeper(before, look, now)).await;
        }
        let mut seen = nothing_of(node, look, now);
        if look.ssm_first && self.waits_for_ssm(&mut seen, look, now).await {
            return seen;
        }
        if node.is_instance() {
            // On the heap: the futures of a look, all their requests at once, are too large to be moved about.
            Box::pin(self.instance(&mut seen, look, now)).await;
        } else {
            Box::pin(self.managed(&mut seen, look, now)).await;
        }
        if let Some(asked) = &look.succession {
            seen.successor = Box::pin(self.successor(&seen, asked, look)).await;
        }
        seen
    }

    /// Asks for our probe alone, or for the SSM agent's connection alone, and whether there is anything else to ask for now.
    async fn waits_for_ssm(&self, seen: &mut Observation, look: &Look, now: Timestamp) -> bool {
        let node = seen.node;
        // A probe that was sent says more than the connection.
        let asked = look.close || look.probe.is_some();
        let ssm = if asked { self.heard_of(node, now).await } else { self.away(node, now).await };
        let Some(ssm) = ssm else { return false };
        // Where no probe was sent, nothing can have been answered by an agent that is away.
        let probe = if_asked(asked, self.probe(node, look.probe.as_ref(), now)).await;
        let waits = Observation { ssm, probe, ..nothing_of(node, look, now) };
        if !waits.waits_for_ssm(look) {
            return false;
        }
        let Observation { ssm, invocation, probe, .. } = waits;
        *seen = Observation { ssm, invocation, probe, ..Observation::unread(node, now) };
        true
    }

    /// What a deeper look adds to what the same pass has seen.
    async fn deeper(&self, before: &Observation, look: &Look, now: Timestamp) -> Observation {
        let node = before.node;
        let mut seen = before.clone();
        seen.depth = look.depth;
        let answers = seen.ssm.known().is_some_and(|ssm| ssm.answers(now));
        let spares = seen.may_spare_connection(answers, look, now);
        if let Fact::Known(ssm) = &mut seen.ssm
            && ssm.connection == Fact::Unknown(Blind::NotRead)
            && !spares
        {
            ssm.connection = self.connection(node, now).await;
        }
        // It is connected after all, so that somebody may be at work there.
        if seen.busy == Fact::Absent && seen.may_be_busy() {
            seen.busy = self.commands_of_others(node, now).await;
        }
        if look.depth >= Depth::Cause && before.depth < Depth::Cause {
            seen.console = console_if(node, self.console(node, now)).await;
        }
        if look.depth >= Depth::Remedy && before.depth < Depth::Remedy {
            let group = seen.asg.known().map(|asg| asg.name.clone());
            let still_refreshing = async {
                match &group {
                    Some(group) => self.refreshing(group, AROUND_SECS, now).await,
                    None => Ok(false),
                }
            };
            let refreshing;
            (seen.sessions, seen.workload, seen.calendar, refreshing) = tokio::join!(
                self.sessions(node, now),
                self.workload(&before.ecs, now),
                self.calendar(look.calendar.as_ref(), now),
                still_refreshing,
            );
            match (refreshing, &mut seen.asg) {
                (Ok(refreshing), Fact::Known(asg)) => asg.refreshing = refreshing,
                (Ok(_), Fact::Absent | Fact::Unknown(_)) => {}
                (Err(blind), _) => seen.asg = Fact::Unknown(blind),
            }
            seen.busy = busy_with(&seen, seen.busy.clone());
        }
        if look.depth == Depth::All
            && let Fact::Known(ec2) = &mut seen.ec2
        {
            // The same pass has read the instance, so its row is known.
            let stop = match self.instance_row_since(node, AGAIN_SECS, now).await.0 {
                Fact::Known(row) => {
                    let is_member = seen.ecs != Fact::Absent || seen.asg != Fact::Absent;
                    let asked = (true, Rehearsal::of(look.rehearse, is_member));
                    let gates = Box::pin(self.stop_gates(asked, node, Some(&row), Further::default(), now)).await;
                    gates.and_then(|gates| ec2::instance(&row, gates).known().map(|ec2| ec2.stop).ok_or(Blind::Empty))
                }
                Fact::Absent => Err(Blind::Empty),
                Fact::Unknown(blind) => Err(blind),
            };
            match stop {
                Ok(stop) => ec2.stop = stop,
                Err(blind) => seen.ec2 = Fact::Unknown(blind),
            }
        }
        seen
    }

    async fn instance(&self, seen: &mut Observation, look: &Look, now: Timestamp) {
        let (node, spare) = (seen.node, look.spare);
        // Where only ECS told of it, ECS is asked first whether there is anything to decide.
        let decides = look.close && !look.only_ecs;
        let ran = || self.cache.census(now, LATELY_SECS).is_some_and(|census| census.runs(node));
        let mut census = if decides && ran() { Some(self.census(node, now).await) } else { None };
        let row = match if_asked(!spare.ec2, self.row_for(seen, look, now)).await {
            Fact::Known(row) => Some(row),
            Fact::Absent => {
                // Of an instance that EC2 has forgotten, only the group that it was in says more.
                if look.group.is_some() {
                    seen.asg = self.asg(node, Fact::Absent, look, false, now).await;
                }
                return;
            }
            Fact::Unknown(blind) => {
                seen.ec2 = Fact::Unknown(blind);
                None
            }
        };
        let state = row.as_ref().and_then(ec2::state);
        let gone = matches!(state, Some(InstanceState::ShuttingDown | InstanceState::Terminated));
        // On its way out: nothing more follows from what the other services say.
        if !look.close && state == Some(InstanceState::ShuttingDown) {
            if let Some(row) = &row {
                *seen =
                    Observation { ec2: ec2::instance(row, Further::default()), ..Observation::unread(node, seen.at) };
            }
            return;
        }
        // A stop and start is proven by the checks; elsewhere a plain look does without.
        let young = spare == Spare::default()
            && state == Some(InstanceState::Running)
            && row.as_ref().is_some_and(|row| ec2::is_young(row, now));
        let tagged = tagged_group(row.as_ref(), &seen.ec2);
        // Before the rest, where it is needed anyway: it spares the calls that would find out the same of this one node.
        if census.is_none() && decides && state == Some(InstanceState::Running) {
            census = Some(self.census(node, now).await);
        }
        let mut further = row.as_ref().map(|row| self.gates_known(node, row, now)).unwrap_or_default();
        // First, because what it says may make Systems Manager's view of the node needless.
        seen.probe = if_asked(!spare.ssm, self.probe(node, look.probe.as_ref(), now)).await;
        seen.repair = self.repair(node, look.repair.as_ref(), now).await;
        // Before the host was asked every tag was read, and nothing is sent to it any more.
        let told = look.pinged_after.is_some()
            && matches!(seen.probe, Fact::Known(Probe { answer: ProbeAnswer::Answered { .. }, .. }));
        let reused = self.ecs_again(seen, look, now);
        let (ecs, ssm, invocation, asg, checks) = tokio::join!(
            if_asked(!spare.ecs, self.ecs_or(reused, node, look, now)),
            if_asked(!spare.ssm && !look.only_ecs && !gone, self.ssm(seen, state, look, now)),
            self.invocation(node, look.command.as_ref(), now),
            // A close look has it from the census.
            if_asked(!spare.asg && !look.close && !told, self.asg(node, tagged.clone(), look, false, now)),
            self.checks_if(young && !look.close, node, now),
        );
        (seen.ecs, seen.ssm, seen.invocation, seen.asg) = (ecs, ssm, invocation, asg);
        if let Some(row) = &row {
            seen.ec2 = match checks {
                Ok(checks) => {
                    further.checks = checks;
                    ec2::instance(row, further)
                }
                Err(blind) => Fact::Unknown(blind),
            };
        }
        self.around(seen, look, now);
        // Of what is gone nothing is decided any more.
        if !look.close || gone || seen.is_plainly_well(look, now) {
            return;
        }
        let census = match census {
            Some(census) => census,
            None => self.census(node, now).await,
        };
        if look.only_ecs {
            seen.ssm = self.ssm(seen, state, look, now).await;
            seen.ecs = self.with_fresh_tags(seen.ecs.clone(), now).await;
        }
        Box::pin(self.closer(seen, look, (row.as_ref(), further, tagged), census, now)).await;
    }

    /// The instance's row, as it was read already if it may be: `seen.at` is then the moment of that.
    async fn row_for(&self, seen: &mut Observation, look: &Look, now: Timestamp) -> Fact<Instance> {
        let Some(secs) = may_be_old(look) else { return self.instance_row(seen.node, now).await };
        let (row, at) = self.instance_row_since(seen.node, secs, now).await;
        seen.at = seen.at.min(at);
        row
    }

    /// The container instance as it was read already, if it may be.
    fn ecs_again(&self, seen: &mut Observation, look: &Look, now: Timestamp) -> Option<Ecs> {
        let (at, ecs) = self.cache.container_instances.dated(&seen.node, now, may_be_old(look)?)?;
        // An event or an earlier look may name another one.
        if look.container_instance.as_ref().is_some_and(|(_, arn)| *arn != ecs.arn) {
            return None;
        }
        seen.at = seen.at.min(at);
        Some(ecs)
    }

    async fn ecs_or(&self, reused: Option<Ecs>, node: NodeId, look: &Look, now: Timestamp) -> Fact<Ecs> {
        if let Some(ecs) = reused {
            let known = self.with_fresh_tags(Fact::Known(ecs), now).await;
            return self.with_stopping(known, look).await;
        }
        let read = self.with_stopping(self.ecs(node, look, now).await, look).await;
        if let Fact::Known(ecs) = &read
            && look.close
        {
            self.cache.container_instances.put(node, now, ecs.clone());
        }
        read
    }

    /// What only a decision needs.
    async fn closer(
        &self,
        seen: &mut Observation,
        look: &Look,
        (row, further, tagged): (Option<&Instance>, Further, Fact<AutoScalingGroupName>),
        census: Result<Arc<Census>, Blind>,
        now: Timestamp,
    ) {
        let (node, deep) = (seen.node, look.depth >= Depth::Remedy);
        let tells_cause = look.depth >= Depth::Cause;
        seen.depth = look.depth;
        let running = row.and_then(ec2::state) == Some(InstanceState::Running);
        let silent = silent(seen, now);
        let (sessions, busy, workload, calendar, identity, console, stop) = tokio::join!(
            if_asked(deep, self.sessions(node, now)),
            self.others_work(seen, now),
            if_asked(deep, self.workload(&seen.ecs, now)),
            if_asked(deep, self.calendar(look.calendar.as_ref(), now)),
            self.identity_if(row, silent, now),
            if_asked(tells_cause, self.console(node, now)),
            self.stop_gates((look.depth == Depth::All, Rehearsal::of(look.rehearse, true)), node, row, further, now),
        );
        seen.asg = self.asg(node, tagged, look, silent.ssm, now).await;
        // The checks lag behind by minutes anyway; those of a census are as good.
        let checks = match census.as_ref().ok().filter(|_| running).and_then(|census| census.checks(node)) {
            Some(checks) => Ok(Some(checks)),
            None => self.checks_if(running, node, now).await.map(|checks| checks.or(further.checks)),
        };
        (seen.sessions, seen.workload, seen.calendar) = (sessions, workload, calendar);
        (seen.identity, seen.console) = (identity, console);
        seen.busy = busy_with(seen, busy);
        if let Some(row) = row {
            seen.ec2 = match checks.and_then(|checks| Ok(Further { checks, ..stop? })) {
                Ok(further) => ec2::instance(row, further),
                Err(blind) => Fact::Unknown(blind),
            };
        }
        match census {
            Ok(census) => {
                (seen.group, seen.factors) = (census.group(node), census.factors(node));
                seen.network = self.network(row, silent, census.neighbour_answers(node), now).await;
            }
            Err(blind) => {
                (seen.group, seen.factors) = (Fact::Unknown(blind), Fact::Unknown(blind));
                seen.network = self.network(row, silent, false, now).await;
            }
        }
    }

    /// A managed node: EC2, Auto Scaling and IAM know nothing of it.
    async fn managed(&self, seen: &mut Observation, look: &Look, now: Timestamp) {
        let node = seen.node;
        let (ssm, ecs, invocation, probe) = tokio::join!(
            // Its tags are there and nowhere else, so it is asked also where only ECS told.
            if_asked(!look.spare.ssm, self.ssm(seen, None, look, now)),
            if_asked(!look.spare.ecs, async { self.with_stopping(self.ecs(node, look, now).await, look).await }),
            self.invocation(node, look.command.as_ref(), now),
            if_asked(!look.spare.ssm, self.probe(node, look.probe.as_ref(), now)),
        );
        (seen.ssm, seen.ecs, seen.invocation, seen.probe) = (ssm, ecs, invocation, probe);
        seen.repair = self.repair(node, look.repair.as_ref(), now).await;
        self.around(seen, look, now);
        if !look.close || seen.is_plainly_well(look, now) {
            return;
        }
        if look.only_ecs {
            seen.ecs = self.with_fresh_tags(seen.ecs.clone(), now).await;
        }
        let deep = look.depth >= Depth::Remedy;
        seen.depth = look.depth;
        let (census, sessions, busy, workload, calendar) = tokio::join!(
            self.census(node, now),
            if_asked(deep, self.sessions(node, now)),
            self.others_work(seen, now),
            if_asked(deep, self.workload(&seen.ecs, now)),
            if_asked(deep, self.calendar(look.calendar.as_ref(), now)),
        );
        (seen.sessions, seen.workload, seen.calendar) = (sessions, workload, calendar);
        seen.busy = busy_with(seen, busy);
        (seen.identity, seen.network, seen.console) = (Fact::Known(Findings::default()), Fact::Absent, Fact::Absent);
        (seen.group, seen.factors) = match census {
            Ok(census) => (census.group(node), census.factors(node)),
            Err(blind) => (Fact::Unknown(blind), Fact::Unknown(blind)),
        };
    }

    /// What the last census says of a node's surroundings, where nothing is decided by it.
    fn around(&self, seen: &mut Observation, look: &Look, now: Timestamp) {
        let holds = if look.close { AROUND_SECS } else { CENSUS_SECS };
        let unread = Blind::NotRead;
        (seen.group, seen.factors) = match self.cache.census(now, holds) {
            Some(census) => (census.group(seen.node), census.factors(seen.node)),
            None => (Fact::Unknown(unread), Fact::Unknown(unread)),
        };
    }

    /// Findings about the way from the node to AWS.
    ///
    /// Where both agents answer there is a way. A neighbour of the same subnet and security groups that is heard shows the way of the SSM
    /// agent where a read fails; so does the node's own SSM agent for its ECS agent's (S7, S8).
    async fn network(
        &self,
        row: Option<&Instance>,
        silent: Agents,
        neighbour_answers: bool,
        now: Timestamp,
    ) -> Fact<Findings> {
        let open = || Fact::Known(Findings::default());
        if !silent.ssm && !silent.ecs {
            return open();
        }
        let judged = match row.and_then(|row| Some((vpc::host(row)?, vpc::vpc_of(row)?))) {
            Some((host, vpc)) => Box::pin(self.around_vpc(&vpc, now)).await.paths(&host).channel(silent),
            None => Fact::Unknown(Blind::Empty),
        };
        let heard = neighbour_answers || !silent.ssm;
        if heard && judged.blind().is_some() { open() } else { judged }
    }

    async fn identity_if(&self, row: Option<&Instance>, silent: Agents, now: Timestamp) -> Fact<Findings> {
        match row {
            Some(row) => self.identity(row, silent, now).await,
            None => not_read!(),
        }
    }

    /// Commands of others: none runs on a node whose SSM agent is not connected.
    async fn others_work(&self, seen: &Observation, now: Timestamp) -> Fact<Busy> {
        if seen.may_be_busy() { self.commands_of_others(seen.node, now).await } else { Fact::Absent }
    }

    /// What stands in the way of a stop; where nobody asked, only what is known already.
    async fn stop_gates(
        &self,
        (asked, rehearse): (bool, Rehearsal),
        node: NodeId,
        row: Option<&Instance>,
        known: Further,
        now: Timestamp,
    ) -> Result<Further, Blind> {
        if !asked {
            return Ok(known);
        }
        let kind = row.and_then(Instance::instance_type);
        let (stop_protected, storage, volume_key, denied) = tokio::join!(
            self.stop_protected(node, now),
            self.has_storage(kind, now),
            self.has_foreign_key(node, row, now),
            self.rehearsal_if(rehearse, node, now),
        );
        let denied = denied?;
        Ok(Further {
            checks: None,
            stop_protected: Some(stop_protected?),
            storage: Some(storage?),
            volume_key: Some(volume_key?),
            denied,
        })
    }

    async fn checks_if(&self, asked: bool, node: NodeId, now: Timestamp) -> Result<Option<StatusChecks>, Blind> {
        if asked { self.checks(node, now).await.map(Some) } else { Ok(None) }
    }
}

/// How old what a look says of the instance and its container instance may be, in seconds; none: it is read, and not kept.
///
/// What the look before a probe saw serves the look at its answer, and what the census of a sweep saw the look at the node that the sweep told of.
/// Else only the census of the same look is as good.
fn may_be_old(look: &Look) -> Option<i64> {
    if look.told_by_sweep || look.close && follows_probe(look) { Some(AGAIN_SECS) } else { look.close.then_some(0) }
}

/// Whether the look is for the answer to a probe that was sent a moment ago.
fn follows_probe(look: &Look) -> bool {
    look.ssm_first && look.probe.is_some() && look.depth == Depth::Agents
}

/// A fact that is read only where something follows from it.
async fn if_asked<T>(asked: bool, read: impl Future<Output = Fact<T>>) -> Fact<T> {
    if asked { read.await } else { not_read!() }
}

/// The console of an instance: a managed node has none.
async fn console_if(node: NodeId, read: impl Future<Output = Fact<Findings>>) -> Fact<Findings> {
    if node.is_instance() { read.await } else { Fact::Absent }
}

/// The group that the instance's tag names.
fn tagged_group(row: Option<&Instance>, ec2: &Fact<Ec2>) -> Fact<AutoScalingGroupName> {
    match (row, ec2) {
        (Some(row), _) => ec2::group(row).map_or(Fact::Absent, Fact::Known),
        (None, Fact::Unknown(blind)) => Fact::Unknown(*blind),
        (None, Fact::Known(_) | Fact::Absent) => Fact::Absent,
    }
}

/// Other work: that of the node's group, else commands on the node.
fn busy_with(seen: &Observation, commands: Fact<Busy>) -> Fact<Busy> {
    match &seen.asg {
        Fact::Known(asg) if asg.refreshing => Fact::Known(Busy::Deployment),
        Fact::Known(_) | Fact::Absent | Fact::Unknown(_) => commands,
    }
}

/// The agents that do not answer.
fn silent(seen: &Observation, now: Timestamp) -> Agents {
    let health = Health::of(seen, now);
    let is = |standing| !matches!(standing, Standing::Well | Standing::NotPresent);
    let never = seen.ssm == Fact::Absent && seen.ecs == Fact::Absent;
    Agents { ssm: is(health.ssm) || never, ecs: is(health.ecs) || never }
}

/// What is seen of an id that AWS does not know, before what the look names was asked for.
fn nothing_of(node: NodeId, look: &Look, at: Timestamp) -> Observation {
    let mut seen = Observation::of_nothing(node, at);
    if look.command.is_some() {
        seen.invocation = not_read!();
    }
    if look.probe.is_some() {
        seen.probe = not_read!();
    }
    if look.repair.is_some() {
        seen.repair = not_read!();
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::CommandId;
    use crate::observe::samples::{COMMAND, noon, seen};

    #[test]
    fn who_is_silent_is_whom_nobody_hears() {
        let who = |seen: &Observation| {
            let Agents { ssm, ecs } = silent(seen, noon());
            (ssm, ecs)
        };
        assert_eq!(who(&seen(noon()).in_cluster()), (false, false));
        assert_eq!(who(&seen(noon()).ecs_lost()), (false, true));
        assert_eq!(who(&seen(noon()).ssm_doubtful()), (true, false));
        let never = seen(noon()).with(|seen| seen.ssm = Fact::Absent);
        assert_eq!(who(&never), (true, true), "it runs, and nobody ever heard of it");
    }

    #[test]
    fn a_close_look_goes_no_further_only_where_the_node_is_plainly_well() {
        let plainly = |seen: &Observation, look: &Look| seen.is_plainly_well(look, noon());
        let well = seen(noon()).in_cluster();
        assert!(plainly(&well, &Look::default()));
        let command: Option<CommandId> = Some(COMMAND.parse().unwrap());
        assert!(
            !plainly(&well, &Look { command: command.clone(), ..Look::default() }),
            "its command was not delivered"
        );
        assert!(!plainly(&well, &Look { probe: command, ..Look::default() }), "its host may say that it is sick");
        let unasked = well.with(|seen| seen.ssm = Fact::Unknown(Blind::NotRead));
        assert!(!plainly(&unasked, &Look::default()));
        assert!(plainly(&unasked, &Look { only_ecs: true, ..Look::default() }));
        assert!(!plainly(&seen(noon()).ecs_lost(), &Look { only_ecs: true, ..Look::default() }));
    }

    #[test]
    fn a_refresh_of_the_group_goes_before_commands() {
        let refreshed = seen(noon()).with_asg(|asg| asg.refreshing = true);
        assert_eq!(busy_with(&refreshed, Fact::Known(Busy::Command)), Fact::Known(Busy::Deployment));
        assert_eq!(busy_with(&seen(noon()), Fact::Unknown(Blind::Denied)), Fact::Unknown(Blind::Denied));
    }
}
