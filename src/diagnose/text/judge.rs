//! From what was seen to one cause.
//!
//! A cause outranks a symptom. Among causes, what explains the others comes first: a dying disk makes the root read-only, a
//! full disk breaks an agent's state, a proxy in the way makes metadata unreachable, and not the other way round
//! (facts/host.md §7.9 and 7.11).

use super::super::{Cause, Helps, reboot_helps, restart_agent_helps};
use super::books::Sighting;
use super::place::Place;
use super::signature::{Component, Weight};

/// The one cause, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Judgement {
    /// The one cause.
    pub cause: Cause,
    /// What else it could be, the likeliest first.
    pub also: Vec<Cause>,
    /// How sure, from 0 to 1.
    pub confidence: f64,
    /// Whether a reboot helps.
    pub reboot: Helps,
    /// Whether a restart of the agent helps.
    pub restart: Helps,
}

/// At most so many other causes are named.
const ALSO_MAX: usize = 4;

/// Judges what was seen; sorts it, the weightiest first.
pub(super) fn judge(sightings: &mut [Sighting], works: bool) -> Judgement {
    sightings.sort_by_key(|sighting| (order(sighting), sighting.first_line));
    let standing = |weight: Weight| {
        let of_weight = |sighting: &&Sighting| !sighting.over && sighting.weight == weight;
        sightings.iter().find(of_weight).map(|first| first.cause)
    };
    let weight = if standing(Weight::Cause).is_some() { Weight::Cause } else { Weight::Symptom };
    match standing(weight) {
        Some(cause) => named(sightings, cause, weight),
        None => quiet(sightings, works),
    }
}

fn order(sighting: &Sighting) -> (bool, std::cmp::Reverse<Weight>, u8) {
    // Our own probe looked for what explains what, and says the worst first; the engine keeps that order, too.
    let rank = if sighting.component == Component::Probe { 0 } else { rank(sighting.cause) };
    (sighting.over, std::cmp::Reverse(sighting.weight), rank)
}

fn named(sightings: &[Sighting], cause: Cause, weight: Weight) -> Judgement {
    let speaking = |sighting: &&Sighting| !sighting.over && sighting.weight >= Weight::Symptom;
    let for_it: Vec<&Sighting> = sightings
        .iter()
        .filter(speaking)
        .filter(|sighting| sighting.cause == cause && sighting.weight == weight)
        .collect();
    let mut also: Vec<Cause> = Vec::new();
    for other in sightings
        .iter()
        .filter(speaking)
        .map(|sighting| sighting.cause)
        .chain(for_it.iter().flat_map(|s| s.also.iter().copied()))
    {
        if other != cause && !also.contains(&other) {
            also.push(other);
        }
    }
    let rivals = sightings.iter().filter(speaking).any(|sighting| {
        sighting.cause != cause && sighting.weight == weight && sighting.cause.family() != cause.family()
    });
    let confidence = match (weight, for_it.len()) {
        (Weight::Cause, 2..) if !rivals => 0.97,
        (Weight::Cause, _) if !rivals => 0.9,
        (Weight::Cause, _) => 0.8,
        (Weight::Symptom | Weight::Noise | Weight::Good, _) if !rivals => 0.6,
        (Weight::Symptom | Weight::Noise | Weight::Good, _) => 0.45,
    };
    also.truncate(ALSO_MAX);
    // Where evidence of one cause disagrees about what helps, the more careful has it.
    let least =
        |helps: &dyn Fn(&Sighting) -> Helps| for_it.iter().map(|s| helps(s)).min_by_key(|&helps| boldness(helps));
    let mut reboot = least(&|s| s.reboot.unwrap_or_else(|| reboot_for(cause))).unwrap_or(Helps::Unknown);
    let mut restart = least(&|s| s.restart.unwrap_or_else(|| restart_for(cause, s.place))).unwrap_or(Helps::Unknown);
    if weight == Weight::Symptom {
        // A guess is no ground to stop anything.
        for helps in [&mut reboot, &mut restart] {
            if *helps == Helps::Yes
                && !for_it.iter().any(|s| s.reboot == Some(Helps::Yes) || s.restart == Some(Helps::Yes))
            {
                *helps = Helps::Unknown;
            }
        }
    }
    Judgement { cause, also, confidence, reboot, restart }
}

/// Nothing is wrong any more, or nothing was said.
fn quiet(sightings: &[Sighting], works: bool) -> Judgement {
    let trouble_over = sightings.iter().any(|s| s.over && s.weight >= Weight::Symptom);
    let reconnects = sightings.iter().any(|s| s.cause == Cause::NoisePeriodicReconnect);
    let harmless = sightings.iter().any(|s| s.weight == Weight::Noise && s.cause == Cause::Healthy);
    let (cause, confidence, also) = if reconnects {
        let also = if works || trouble_over { vec![Cause::Healthy] } else { Vec::new() };
        (Cause::NoisePeriodicReconnect, 0.85, also)
    } else if works && trouble_over {
        (Cause::Healthy, 0.75, vec![Cause::NoisePeriodicReconnect])
    } else if works {
        (Cause::Healthy, 0.85, Vec::new())
    } else if harmless {
        (Cause::Healthy, 0.5, vec![Cause::Unknown])
    } else {
        (Cause::Unknown, 0.2, Vec::new())
    };
    let (reboot, restart) = (reboot_for(cause), restart_for(cause, Place::Unknown));
    Judgement { cause, also, confidence, reboot, restart }
}

/// A plain no has it; whoever does not know has no say.
fn boldness(helps: Helps) -> u8 {
    match helps {
        Helps::No => 0,
        Helps::AfterFix => 1,
        Helps::Yes => 2,
        Helps::Unknown => 3,
    }
}

/// Whether a reboot helps, by the cause alone. Bolder than nobody: where the table of remedies hopes, a text alone does not.
fn reboot_for(cause: Cause) -> Helps {
    match cause {
        // A unit that somebody stopped, and a root that an agent finds read-only, need a look first.
        Cause::HostReadOnlyRoot | Cause::SsmAgentStopped => Helps::Unknown,
        other => reboot_helps(other),
    }
}

/// Whether a restart of the agent helps, by the cause and by the agent that tells of it: the ECS agent tries again within
/// seconds, the SSM agent backs off for up to an hour (facts/host.md §1 and §2).
fn restart_for(cause: Cause, place: Place) -> Helps {
    match (restart_agent_helps(cause), place) {
        (Helps::AfterFix | Helps::Yes, Place::Ecs | Place::Plugin | Place::Docker)
            if !matches!(cause, Cause::EcsAgentStopped | Cause::EcsAgentHung | Cause::EcsAgentTerminalExit) =>
        {
            Helps::No
        }
        // Whose credentials they are is not known.
        (Helps::Yes, Place::Unknown | Place::Application) if cause == Cause::IdentityCredentialsExpired => {
            Helps::Unknown
        }
        (helps, _) => helps,
    }
}

/// The place of a cause among causes of the same weight: what explains the others comes first.
fn rank(cause: Cause) -> u8 {
    match cause {
        Cause::PlatformHardware => 0,
        Cause::HostIoStalled => 1,
        Cause::HostBootFailure => 2,
        Cause::HostReadOnlyRoot => 3,
        Cause::HostInodesExhausted => 4,
        Cause::HostDiskFull => 5,
        Cause::HostPidsExhausted => 6,
        Cause::HostOpenFilesExhausted => 7,
        Cause::HostOutOfMemory => 8,
        Cause::HostKernelHang => 9,
        Cause::HostNetworkStack => 10,
        Cause::HostCpuSaturated => 11,
        Cause::ClockSkew => 12,
        Cause::IdentityRegistrationMismatch => 13,
        Cause::SsmAgentMisconfigured => 14,
        Cause::NetworkProxy => 15,
        Cause::IdentityNoInstanceProfile => 16,
        Cause::IdentityImdsUnreachable => 17,
        Cause::IdentityCredentialsExpired => 18,
        Cause::IdentityAccessDenied => 19,
        Cause::NetworkTls => 20,
        Cause::NetworkDns => 21,
        Cause::NetworkUnreachable => 22,
        Cause::IdentityDefaultHostManagement => 23,
        Cause::RuntimeStorageCorrupt => 24,
        Cause::RuntimeDockerMisconfigured => 25,
        Cause::RuntimeDockerHung => 26,
        Cause::RuntimeDockerDown => 27,
        Cause::EcsAgentCloudInitFailed => 28,
        Cause::EcsAgentInstanceTypeChanged => 29,
        Cause::EcsAgentClusterMismatch => 30,
        Cause::EcsAgentClusterMissing => 31,
        Cause::EcsAgentDeregistered => 32,
        Cause::EcsAgentMisconfigured => 33,
        Cause::EcsAgentImageMissing => 34,
        Cause::EcsAgentStateCorrupt => 35,
        Cause::SsmAgentUpdateStuck => 36,
        Cause::SsmAgentWorkersExhausted => 37,
        Cause::SsmAgentWorkerCrash => 38,
        Cause::EcsAgentHung => 39,
        Cause::SsmAgentHung => 40,
        Cause::SsmAgentHibernating => 41,
        Cause::ServiceUnavailable => 42,
        Cause::EcsAgentTerminalExit => 43,
        Cause::EcsAgentCrashLoop => 44,
        Cause::EcsAgentStopped => 45,
        Cause::SsmAgentStopped => 46,
        Cause::CommandScriptTimeout => 47,
        Cause::CommandRejected => 48,
        Cause::SessionClientGaveUp => 49,
        Cause::NoisePeriodicReconnect => 50,
        Cause::Healthy => 51,
        Cause::Unknown => 52,
    }
}
