//! Which remedies a cause calls for, in order: the one table that decides between a restart, a reboot and a message.
//!
//! A cause with an empty row is not one that anything on the host can remove: network, identity, clock and configuration are
//! told, never treated (DESIGN.md §6, facts/checks.md §6).

use crate::diagnose::{Cause, Family};
use crate::event::SignalKind;
use crate::guard::mode::{check_cause, least_mode};
use crate::guard::{GroupRefusal, Refusal, gates};
use crate::incident::{AttemptResult, Event, Incident, Remedy};
use crate::observe::{Depth, Health, Observation, Standing};
use crate::policy::{Mode, Policy};

use Remedy::{FreeDisk, Reboot, Replace, RestartEcsAgent, RestartRuntime, RestartSsmAgent, StopStart};

/// The remedies that a cause calls for, the cheapest first. Empty: only a person can help.
#[must_use]
pub fn rungs(cause: Cause, health: Health) -> &'static [Remedy] {
    planted!(RebootForIdentity => if cause.family() == Family::Identity { return &[Reboot]; });
    planted!(RestartFutile => if matches!(cause.family(), Family::Network | Family::Clock) || matches!(
        cause,
        Cause::SsmAgentMisconfigured | Cause::EcsAgentMisconfigured
    ) {
        return &[RestartSsmAgent, RestartEcsAgent];
    });
    match cause {
        // Not one of these is removed by anything done on the host, and a restart of an agent only hides it for a while.
        Cause::IdentityImdsUnreachable
        | Cause::IdentityNoInstanceProfile
        | Cause::IdentityAccessDenied
        | Cause::IdentityCredentialsExpired
        | Cause::IdentityRegistrationMismatch
        | Cause::IdentityDefaultHostManagement
        | Cause::NetworkDns
        | Cause::NetworkUnreachable
        | Cause::NetworkTls
        | Cause::NetworkProxy
        | Cause::ClockSkew
        | Cause::SsmAgentMisconfigured
        | Cause::EcsAgentMisconfigured
        | Cause::EcsAgentClusterMismatch
        | Cause::EcsAgentClusterMissing
        | Cause::RuntimeDockerMisconfigured
        | Cause::HostCpuSaturated => &[],
        // Not faults of the node.
        Cause::CommandScriptTimeout
        | Cause::CommandRejected
        | Cause::ServiceUnavailable
        | Cause::SessionClientGaveUp
        | Cause::NoisePeriodicReconnect
        | Cause::Healthy => &[],
        Cause::SsmAgentStopped
        | Cause::SsmAgentHung
        | Cause::SsmAgentHibernating
        | Cause::SsmAgentWorkerCrash
        | Cause::SsmAgentWorkersExhausted => &[RestartSsmAgent, Reboot, StopStart, Replace],
        // A reboot clears the lock; updates themselves are advice.
        Cause::SsmAgentUpdateStuck => &[Reboot, Replace],
        Cause::EcsAgentStopped | Cause::EcsAgentHung | Cause::EcsAgentCrashLoop => {
            &[RestartEcsAgent, RestartRuntime, Reboot, Replace]
        }
        // Exit 5 and its kin: systemd does not restart it, and neither should we.
        Cause::EcsAgentTerminalExit
        | Cause::EcsAgentDeregistered
        | Cause::EcsAgentStateCorrupt
        | Cause::EcsAgentInstanceTypeChanged
        | Cause::EcsAgentCloudInitFailed => &[Replace],
        Cause::EcsAgentImageMissing => &[RestartEcsAgent, Replace],
        Cause::RuntimeDockerDown | Cause::RuntimeDockerHung => &[RestartRuntime, Reboot, Replace],
        Cause::RuntimeStorageCorrupt => &[Replace],
        // A reboot meets the same device again; a stop and start attaches the volume anew (facts/checks.md E03).
        Cause::HostIoStalled => &[StopStart, Replace],
        // A reboot frees nothing.
        Cause::HostDiskFull | Cause::HostInodesExhausted => &[FreeDisk, RestartSsmAgent, RestartEcsAgent, Replace],
        Cause::HostOutOfMemory => &[RestartSsmAgent, RestartEcsAgent, Reboot, Replace],
        Cause::HostPidsExhausted
        | Cause::HostOpenFilesExhausted
        | Cause::HostReadOnlyRoot
        | Cause::HostBootFailure
        | Cause::HostNetworkStack => &[Reboot, Replace],
        Cause::HostKernelHang => &[Reboot, StopStart, Replace],
        // A reboot stays on the same hardware.
        Cause::PlatformHardware => &[StopStart, Replace],
        Cause::Unknown => unknown(health),
    }
}

/// The ladder for a node that does not say why.
fn unknown(health: Health) -> &'static [Remedy] {
    // It never registered, and does not say why: a wrong template makes the next instance the same (facts/checks.md C03).
    if health.is_unregistered() {
        return &[];
    }
    let ssm_answers = health.ssm == Standing::Well;
    let ecs_silent = health.ecs == Standing::Ill;
    match (ssm_answers, ecs_silent) {
        (true, true) => &[RestartEcsAgent, RestartRuntime, Reboot, Replace],
        (true, false) => &[],
        // Silent: one reboot, after the console was read and showed no futile cause.
        (false, _) => &[Reboot, Replace],
    }
}

/// What follows for this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This remedy.
    Remedy(Remedy),
    /// No remedy on the host removes this cause.
    NotOurs,
    /// Every remedy that the cause allows was tried, or cannot be carried out here.
    Exhausted,
    /// The next remedy has to wait for the group.
    Wait(Refusal),
    /// Whether the next remedy can be carried out shows only in a deeper look.
    Look(Depth),
}

/// The next remedy for a node.
#[must_use]
pub fn choose(
    incident: &Incident,
    seen: &Observation,
    health: Health,
    cause: Cause,
    (policy, mode): (&Policy, Mode),
) -> Choice {
    let ladder = rungs(cause, health);
    if ladder.is_empty() {
        return Choice::NotOurs;
    }
    #[cfg(feature = "plants")]
    let ladder = match ladder {
        [less @ .., _] if crate::plants::on(crate::plants::Plant::GiveUpEarly) => less,
        ladder => ladder,
    };
    // A person may ask for a later rung than the next one, but for none that the cause does not call for (S7).
    let asked = incident.asked.as_ref().and_then(|asked| asked.remedy).filter(|remedy| ladder.contains(remedy));
    let (mut wait, mut left_out) = (None, None);
    for &remedy in ladder {
        if asked.is_some_and(|asked| remedy < asked) {
            continue;
        }
        if !relevant(incident, health, cause, remedy) || spent(incident, policy, remedy) {
            continue;
        }
        if remedy == StopStart && seen.depth < Depth::All && seen.ec2.known().is_some() {
            return Choice::Look(Depth::All);
        }
        match gates::way(seen, health, remedy).and_then(|()| gates::address(seen, policy, remedy)) {
            Ok(()) => {}
            Err(refusal @ Refusal::Stop { .. }) => {
                left_out = Some(refusal);
                continue;
            }
            Err(_) => continue,
        }
        // A rung that the mode or the policy forbids is no way around a group that may yet make room.
        let forbidden = least_mode(remedy) > mode || check_cause(policy, cause, remedy).is_err();
        if wait.is_some() && forbidden {
            break;
        }
        let standby = gates::needs_standby(seen, remedy, incident.holds);
        match gates::group(seen, remedy, standby) {
            Ok(()) => return Choice::Remedy(remedy),
            // A group at its minimum may stay there for ever: a later rung that needs no Standby goes first.
            Err(refusal @ Refusal::Group { why: GroupRefusal::BelowMinimum { .. } }) => {
                wait.get_or_insert(refusal);
            }
            Err(refusal) => return Choice::Wait(refusal),
        }
    }
    // Where nothing was tried, whoever is told reads what stood in the way.
    let untried = incident.performed().next().is_none();
    wait.or(left_out.filter(|_| untried)).map_or(Choice::Exhausted, Choice::Wait)
}

/// Whether a remedy could have its turn on this node at all: it concerns it, was not tried, and there is a way to carry it out.
pub(super) fn possible(
    incident: &Incident,
    seen: &Observation,
    health: Health,
    cause: Cause,
    policy: &Policy,
    remedy: Remedy,
) -> bool {
    relevant(incident, health, cause, remedy)
        && !spent(incident, policy, remedy)
        && gates::way(seen, health, remedy).is_ok()
}

/// Whether an agent's restart concerns an agent that is in trouble.
fn relevant(incident: &Incident, health: Health, cause: Cause, remedy: Remedy) -> bool {
    match remedy {
        RestartSsmAgent => cause.family() == Family::SsmAgent || incident.symptoms.iter().any(|s| of_ssm(&s.kind)),
        RestartEcsAgent => {
            health.ecs == Standing::Ill || (health.ecs == Standing::Well && cause.family() == Family::EcsAgent)
        }
        RestartRuntime => health.ecs != Standing::NotPresent,
        FreeDisk | Reboot | StopStart | Replace => true,
    }
}

/// Whether a symptom is one of the SSM agent's.
#[must_use]
pub fn of_ssm(kind: &SignalKind) -> bool {
    match kind {
        SignalKind::CommandTrouble { .. } | SignalKind::SessionRefused => true,
        SignalKind::Swept { agent, .. } => *agent == crate::event::SweptAgent::Ssm,
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthImpaired { .. }
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsDisconnected { .. }
        | SignalKind::EcsConnected
        | SignalKind::Gone { .. } => false,
    }
}

/// How often a remedy may be tried in one incident.
pub(super) fn tries_max(policy: &Policy, remedy: Remedy) -> u8 {
    match remedy {
        RestartSsmAgent | RestartEcsAgent => policy.agent_restarts_max,
        FreeDisk | RestartRuntime | Reboot | StopStart | Replace => 1,
    }
}

/// Whether a remedy has had its tries. Never past an unverified one: a running attempt is not spent, its phase is.
fn spent(incident: &Incident, policy: &Policy, remedy: Remedy) -> bool {
    // A person who asks for a repair opens the ladder anew; the rates per node still hold.
    let from = incident.asked.as_ref().map(|asked| asked.at);
    let counted = || incident.attempts.iter().filter(move |attempt| from.is_none_or(|from| attempt.at >= from));
    let tries = counted()
        .filter(|attempt| attempt.remedy == remedy)
        .filter(|attempt| match attempt.result {
            AttemptResult::Helped | AttemptResult::Failed => true,
            AttemptResult::Running | AttemptResult::Refused | AttemptResult::NotSent => false,
        })
        .count();
    // What stands above a remedy that was tried is not gone back to: the ladder is only climbed.
    let climbed = counted().any(|attempt| {
        attempt.remedy > remedy && matches!(attempt.result, AttemptResult::Helped | AttemptResult::Failed)
    });
    // What the host itself refused, it would refuse again.
    let refused = incident.history.iter().any(|line| {
        matches!(line.event, Event::HostRefused { remedy: of, .. } if of == remedy)
            && from.is_none_or(|from| line.at >= from)
    });
    planted!(LadderDown => return tries >= usize::from(tries_max(policy, remedy)));
    planted!(TriesForEver => return false);
    tries >= usize::from(tries_max(policy, remedy)) || climbed || refused
}
