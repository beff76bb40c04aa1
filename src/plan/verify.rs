//! The proof that a remedy helped. A remedy without its proof counts as failed.

use jiff::Timestamp;

use super::draft::{Draft, Plan};
use super::examine;
use crate::diagnose::{Cause, Severity};
use crate::effect::Effect;
use crate::guard::mode::{self, Reach};
use crate::guard::{Refusal, ownership};
use crate::incident::{self, AttemptResult, Ending, Event, Incident, Milestone, Phase, ProbeSent, Remedy};
use crate::node::{CommandId, ResourceName};
use crate::observe::{
    Blind, Check, Connection, Fact, Health, HostRefusal, InstanceState, Observation, PROBE_LOST_SECS, Probe,
    ProbeAnswer, RepairEnd, Standing,
};
use crate::policy::Policy;
use crate::ports::Rails;
use crate::time::{after, secs_between};

/// Between two looks at least, in seconds: what answers soon is seen soon, and later looks come after half the time that passed.
const LOOK_SECS: i64 = 20;
/// Between two looks at most, in seconds.
const LOOK_MAX_SECS: i64 = 120;
/// How long a proof must hold, in seconds: ECS agents connect and drop again.
const STABLE_SECS: i64 = 60;
/// How long after its first look a proof is late, in seconds.
const LATE_SECS: i64 = 45;

/// How long a remedy has to help, in seconds.
///
/// An agent restart: the SSM agent pings at its start, and ECS reconnects within three minutes (facts/host.md §5). A reboot
/// turns into a hard one after a few minutes (facts/aws.md §2.4). A replacement launches, boots and registers.
fn budget_secs(remedy: Remedy) -> i64 {
    match remedy {
        Remedy::FreeDisk => 3 * 60,
        Remedy::RestartSsmAgent | Remedy::RestartEcsAgent => 6 * 60,
        Remedy::RestartRuntime => 8 * 60,
        Remedy::Reboot => 15 * 60,
        Remedy::StopStart => 15 * 60,
        Remedy::Replace => 30 * 60,
    }
}

/// When to look for the proof first, in seconds after the remedy: not before it can be there. An agent needs some ten seconds to
/// start after the ten that its restart waits, ECS's some more until it is connected, a host two minutes,
/// and a group four until it has launched another one.
fn first_look_secs(remedy: Remedy) -> i64 {
    match remedy {
        Remedy::FreeDisk => LOOK_SECS,
        Remedy::RestartSsmAgent => 40,
        Remedy::RestartEcsAgent | Remedy::RestartRuntime => 60,
        Remedy::StopStart => 90,
        Remedy::Reboot => 120,
        // Launched, booted and registered.
        Remedy::Replace => 240,
    }
}

/// The repair whose proof is late: then the host is asked what became of it. A proof that comes in time costs no call for this.
pub(super) fn late_repair(incident: &Incident, now: Timestamp) -> Option<CommandId> {
    match &incident.phase {
        Phase::Verifying { remedy, since, proven_since: None, .. }
            if secs_between(*since, now) >= first_look_secs(*remedy) + LATE_SECS =>
        {
            incident.repair.clone()
        }
        Phase::Verifying { .. }
        | Phase::Watching { .. }
        | Phase::Examining { .. }
        | Phase::Parked { .. }
        | Phase::Draining { .. }
        | Phase::Standby { .. }
        | Phase::Treating { .. }
        | Phase::Resting { .. }
        | Phase::Closed { .. } => None,
    }
}

/// What the host says against its repair, where that settles the matter.
fn refused_by_host(seen: &Observation) -> Option<HostRefusal> {
    match seen.repair.known()? {
        RepairEnd::Refused(why) => Some(*why).filter(|why| why.is_final()),
        RepairEnd::Open | RepairEnd::Done | RepairEnd::Failed => None,
    }
}

/// Starts to wait for the proof.
pub(super) fn begin(draft: Draft<'_>, remedy: Remedy) -> Plan {
    let acted = draft.next.attempts.last().and_then(|attempt| attempt.acted_at);
    let since = acted.unwrap_or(draft.now);
    let deadline = after(draft.now, budget_secs(remedy));
    let wake = draft.in_secs(first_look_secs(remedy));
    draft.go(Phase::Verifying { remedy, since, deadline, proven_since: None, sending: None }, Some(wake))
}

/// Looks for the proof.
pub(super) fn verifying(
    mut draft: Draft<'_>,
    seen: &Observation,
    rails: &Rails,
    remedy: Remedy,
    (since, deadline): (Timestamp, Timestamp),
    proven_since: Option<Timestamp>,
) -> Plan {
    let now = draft.now;
    let health = draft.health(seen);
    milestones(&mut draft, seen, remedy, since);
    let boot = draft.next.boot.clone();
    let proof = match proof(seen, health, remedy, since, boot.as_ref()) {
        Proof::AskHost if may_ask(seen, rails, draft.policy, remedy, now).is_err() => without_the_host(health, remedy),
        proof => proof,
    };
    if proof == Proof::AskHost {
        if now < deadline
            && let Some(plan) = ask_host(&mut draft, seen, remedy, since, deadline)
        {
            return plan;
        }
    } else if proof == Proof::Seen {
        let from = proven_since.unwrap_or(now);
        if secs_between(from, now) >= stable_secs(remedy) {
            draft.next.proofs.extend(incident::Proof::seen(remedy, seen, (since, from), boot.as_ref()));
            return proven(draft, health, remedy);
        }
        let wake = draft.in_secs(stable_secs(remedy).saturating_sub(secs_between(from, now)));
        let phase = Phase::Verifying { remedy, since, deadline, proven_since: Some(from), sending: None };
        return draft.go(phase, Some(wake));
    }
    let refused = refused_by_host(seen).filter(|_| proof != Proof::Seen);
    if let Some(why) = refused {
        draft.note(Event::HostRefused { remedy, why });
    }
    if refused.is_some() || now >= deadline {
        draft.end_attempt(AttemptResult::Failed);
        // The old instance is gone by our own doing and nobody took its place: that is told, not closed as gone (S15).
        if remedy == Remedy::Replace {
            return draft.finish(Ending::LadderExhausted);
        }
        draft.free();
        let deadline = after(now, examine::EXAMINE_SECS);
        let wake = draft.in_secs(0);
        return draft.go(Phase::Examining { since: now, deadline, sending: None }, Some(wake));
    }
    let waits = waits_for_host(&draft, seen, since);
    let wake = if waits { draft.in_secs(LOOK_SECS) } else { draft.half_as_long(since, (LOOK_SECS, LOOK_MAX_SECS)) };
    let wake = wake.min(deadline);
    // While the host has not answered nothing else was read, so that nothing speaks against what was seen before.
    let proven_since =
        proven_since.filter(|_| waits && (proof == Proof::AskHost || seen.ec2.blind() == Some(Blind::NotRead)));
    draft.go(Phase::Verifying { remedy, since, deadline, proven_since, sending: None }, Some(wake))
}

/// Whether the host may still be asked: somebody may have paused, muted or opted out the node since the remedy, or lowered the
/// mode so far that nothing is sent to nodes.
fn may_ask(seen: &Observation, rails: &Rails, policy: &Policy, remedy: Remedy, now: Timestamp) -> Result<(), Refusal> {
    let Reach { mode, lowered_by } = mode::reach(seen, policy);
    if !policy.may_probe(mode) {
        return Err(Refusal::ModeTooLow { remedy, mode, lowered_by });
    }
    examine::running(rails)?;
    ownership::check(seen)?;
    ownership::check_mute(seen, rails.muted_until, now)
}

/// The proof from outside, where the host may not be asked: an agent that was silent is connected again (DESIGN.md §7).
fn without_the_host(health: Health, remedy: Remedy) -> Proof {
    match remedy {
        Remedy::RestartSsmAgent | Remedy::Reboot if health.is_well() => Proof::Seen,
        Remedy::RestartRuntime if health.ecs == Standing::Well && health.runtime == Standing::Well => Proof::Seen,
        Remedy::FreeDisk
        | Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime
        | Remedy::Reboot
        | Remedy::StopStart
        | Remedy::Replace => Proof::NotYet,
    }
}

fn stable_secs(remedy: Remedy) -> i64 {
    match remedy {
        Remedy::FreeDisk | Remedy::Replace => 0,
        Remedy::RestartSsmAgent
        | Remedy::RestartEcsAgent
        | Remedy::RestartRuntime
        | Remedy::Reboot
        | Remedy::StopStart => STABLE_SECS,
    }
}

/// What an observation says about the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Not there.
    NotYet,
    /// Everything else is there; only the host can tell the rest.
    AskHost,
    /// It is there.
    Seen,
}

fn proof(seen: &Observation, health: Health, remedy: Remedy, since: Timestamp, boot: Option<&ResourceName>) -> Proof {
    planted!(NoProof => return Proof::Seen);
    let when = |seen| if seen { Proof::Seen } else { Proof::NotYet };
    match remedy {
        Remedy::FreeDisk => match host(seen, since) {
            Some(host) => when(host.room),
            None => Proof::AskHost,
        },
        Remedy::RestartSsmAgent => match (ssm_is_back(seen, since), host(seen, since)) {
            (true, Some(_)) => Proof::Seen,
            (true, None) => Proof::AskHost,
            (false, _) => Proof::NotYet,
        },
        Remedy::RestartEcsAgent => when(health.ecs == Standing::Well),
        // That docker answers, the host says itself: the check of ECS is late, or undecided.
        Remedy::RestartRuntime => match (health.ecs, health.runtime, host(seen, since)) {
            (Standing::Well, Standing::Ill, _) => Proof::NotYet,
            (Standing::Well, _, Some(host)) => when(host.docker),
            (Standing::Well, _, None) if health.ssm == Standing::Well => Proof::AskHost,
            (Standing::Well, runtime, None) => when(runtime == Standing::Well),
            (Standing::Ill | Standing::Suspect | Standing::Unknown | Standing::NotPresent, _, _) => Proof::NotYet,
        },
        Remedy::Reboot => {
            if !(health.is_well() || health.ssm == Standing::Suspect && ssm_is_back(seen, since)) {
                return Proof::NotYet;
            }
            match (&seen.ssm, host(seen, since)) {
                (Fact::Known(_), Some(host)) if host.is_new_boot(boot, since) => Proof::Seen,
                // It answered before it went down: it is asked again.
                (Fact::Known(_), Some(_)) if ssm_is_back(seen, since) => Proof::AskHost,
                // The host can be asked as soon as its agent pinged after the reboot.
                (Fact::Known(_), None) if ssm_is_back(seen, since) => Proof::AskHost,
                (Fact::Known(_) | Fact::Unknown(_), _) => Proof::NotYet,
                // No shell to ask: an agent that was silent is connected again (DESIGN.md §7).
                (Fact::Absent, _) => when(health.is_well()),
            }
        }
        Remedy::StopStart => {
            let relaunched = seen.ec2.known().is_some_and(|ec2| {
                let checks = [ec2.system_check, ec2.instance_check];
                ec2.launched_at > since
                    && checks.iter().all(|check| *check == Check::Ok)
                    && ec2.volumes_check != Check::Impaired
            });
            when(relaunched && health.is_well())
        }
        Remedy::Replace => match &seen.asg {
            // The old member has left the group, so the group's numbers are those of the rest.
            Fact::Known(_) => when(seen.group_is_whole() && instance_is_over(seen) && has_successor(seen)),
            Fact::Absent | Fact::Unknown(_) => Proof::NotYet,
        },
    }
}

/// Whether what runs containers has a successor that ECS knows, and the services have their tasks again.
fn has_successor(seen: &Observation) -> bool {
    match &seen.successor {
        Fact::Known(successor) => successor.registered && successor.at_desired,
        // It was in no cluster.
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    }
}

fn instance_is_over(seen: &Observation) -> bool {
    match &seen.ec2 {
        Fact::Known(ec2) => ec2.state == InstanceState::Terminated,
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    }
}

/// Connected, with a ping later than the remedy.
fn ssm_is_back(seen: &Observation, since: Timestamp) -> bool {
    seen.ssm.known().is_some_and(|ssm| {
        // Where the host answered our probe the connection need not be asked for.
        let spared = ssm.connection.blind() == Some(Blind::NotRead) && host(seen, since).is_some();
        (spared || ssm.connection == Fact::Known(Connection::Connected)) && ssm.last_ping > since
    })
}

/// What a probe sent after the remedy says of the host.
struct Host<'a> {
    booted_at: Timestamp,
    boot: Option<&'a ResourceName>,
    /// No disk is full.
    room: bool,
    /// Nothing says that docker does not answer.
    docker: bool,
}

impl Host<'_> {
    /// Whether it has booted since: by the ids of both boots, and where one is not known, by the host's clock.
    fn is_new_boot(&self, before: Option<&ResourceName>, since: Timestamp) -> bool {
        match (before, self.boot) {
            (Some(before), Some(boot)) => before != boot,
            (Some(_) | None, Some(_) | None) => self.booted_at > since,
        }
    }
}

fn host(seen: &Observation, since: Timestamp) -> Option<Host<'_>> {
    match seen.probe.known() {
        Some(Probe { sent_at, answer: ProbeAnswer::Answered { booted_at, boot, findings } }) if *sent_at > since => {
            let says = |causes: &[Cause]| {
                findings.iter().any(|finding| finding.severity != Severity::Noise && causes.contains(&finding.cause))
            };
            let full = [Cause::HostDiskFull, Cause::HostInodesExhausted];
            let dead = [Cause::RuntimeDockerDown, Cause::RuntimeDockerHung, Cause::RuntimeStorageCorrupt];
            Some(Host { booted_at: *booted_at, boot: boot.as_ref(), room: !says(&full), docker: !says(&dead) })
        }
        Some(_) | None => None,
    }
}

/// Sends a probe for the proof, unless one is on its way.
fn ask_host(
    draft: &mut Draft<'_>,
    seen: &Observation,
    remedy: Remedy,
    since: Timestamp,
    deadline: Timestamp,
) -> Option<Plan> {
    let now = draft.now;
    if waits_for_host(draft, seen, since) {
        return None;
    }
    let sending = draft.intend(Effect::Probe);
    draft.next.probe = Some(ProbeSent { at: now, command: None });
    // All the rest is there, and must hold for as long; what the host says when that is over completes it.
    let phase = Phase::Verifying { remedy, since, deadline, proven_since: Some(now), sending: Some(sending) };
    let wake = draft.in_secs(LOOK_SECS.max(stable_secs(remedy)));
    Some(draft.clone().go(phase, Some(wake)))
}

/// Whether a probe that was sent after the remedy is still on its way.
fn waits_for_host(draft: &Draft<'_>, seen: &Observation, since: Timestamp) -> bool {
    let sent = draft.next.probe.as_ref().filter(|probe| probe.at > since);
    sent.is_some_and(|probe| secs_between(probe.at, draft.now) <= PROBE_LOST_SECS)
        && !matches!(
            seen.probe.known(),
            Some(Probe { answer: ProbeAnswer::Undelivered | ProbeAnswer::Answered { .. }, .. })
        )
}

/// Lines for states that people wait for.
fn milestones(draft: &mut Draft<'_>, seen: &Observation, remedy: Remedy, since: Timestamp) {
    let told = |draft: &Draft<'_>, milestone| {
        draft
            .next
            .history
            .iter()
            .rev()
            .take_while(|entry| entry.at >= since)
            .any(|entry| entry.event == Event::Reached(milestone))
    };
    let of_ssm = matches!(remedy, Remedy::RestartSsmAgent | Remedy::Reboot | Remedy::StopStart);
    if of_ssm && ssm_is_back(seen, since) && !told(draft, Milestone::SsmAnswers) {
        draft.note(Event::Reached(Milestone::SsmAnswers));
    }
    // Before the host went down, "connected" is only what it was.
    let went_down = matches!(remedy, Remedy::Reboot | Remedy::StopStart) && !ssm_is_back(seen, since);
    if !went_down && seen.ecs.known().is_some_and(|ecs| ecs.connected) && !told(draft, Milestone::EcsConnected) {
        draft.note(Event::Reached(Milestone::EcsConnected));
    }
}

fn proven(mut draft: Draft<'_>, health: Health, remedy: Remedy) -> Plan {
    if remedy == Remedy::Replace {
        draft.note(Event::Reached(Milestone::GroupWhole));
    }
    draft.end_attempt(AttemptResult::Helped);
    draft.free();
    // Space is free again, and the agent that starved is still down: on to the next rung.
    if remedy == Remedy::FreeDisk && !health.is_well() {
        let now = draft.now;
        let deadline = after(now, examine::EXAMINE_SECS);
        let wake = draft.in_secs(0);
        return draft.go(Phase::Examining { since: now, deadline, sending: None }, Some(wake));
    }
    draft.end(Ending::Helped { remedy })
}
