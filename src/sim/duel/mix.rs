//! How often each fault strikes. Weights, not measurements: nobody publishes such a table.
//!
//! They follow what the agents' issue trackers are full of: agents that hang or stop come first, then the host's disk and
//! memory, then roles and routes, and hardware last. Short interruptions are more frequent than all of these.

use fastrand::Rng;

use crate::sim::ailment::Ailment;

/// A fault and its weight.
pub(super) type Weighted = (Ailment, u32);

/// Faults that last until something is done about them.
pub(super) const LASTING: &[Weighted] = &[
    // SSM agent, 24.
    (Ailment::SsmAgentHung, 8),
    (Ailment::SsmAgentStopped, 6),
    (Ailment::SsmAgentWorkerCrash, 3),
    (Ailment::SsmAgentWorkersExhausted, 3),
    (Ailment::SsmAgentHibernating, 2),
    (Ailment::SsmAgentUpdateStuck, 2),
    // ECS agent, 25.
    (Ailment::EcsAgentHung, 7),
    (Ailment::EcsAgentStopped, 6),
    (Ailment::EcsAgentCrashLoop, 4),
    (Ailment::EcsAgentTerminalExit, 2),
    (Ailment::EcsAgentDeregistered, 2),
    (Ailment::EcsAgentStateCorrupt, 1),
    (Ailment::EcsAgentInstanceTypeChanged, 1),
    (Ailment::EcsAgentImageMissing, 1),
    (Ailment::EcsAgentCloudInitFailed, 1),
    // Runtime, 9.
    (Ailment::RuntimeDockerHung, 4),
    (Ailment::RuntimeDockerDown, 4),
    (Ailment::RuntimeStorageCorrupt, 1),
    // Host, 21.
    (Ailment::HostDiskFull, 6),
    (Ailment::HostOutOfMemory, 4),
    (Ailment::HostInodesExhausted, 2),
    (Ailment::HostKernelHang, 2),
    (Ailment::HostPidsExhausted, 1),
    (Ailment::HostOpenFilesExhausted, 1),
    (Ailment::HostReadOnlyRoot, 1),
    (Ailment::HostIoStalled, 1),
    (Ailment::HostBootFailure, 1),
    (Ailment::HostNetworkStack, 2),
    // Hardware, 3.
    (Ailment::PlatformHardware, 3),
    // Identity, network, clock, configuration, load: 18. Only a person can fix these.
    (Ailment::IdentityAccessDenied, 3),
    (Ailment::IdentityNoInstanceProfile, 2),
    (Ailment::IdentityCredentialsExpired, 1),
    (Ailment::IdentityImdsUnreachable, 1),
    (Ailment::IdentityDefaultHostManagement, 1),
    (Ailment::NetworkUnreachable, 3),
    (Ailment::NetworkDns, 1),
    (Ailment::NetworkTls, 1),
    (Ailment::NetworkProxy, 1),
    (Ailment::ClockSkew, 1),
    (Ailment::SsmAgentMisconfigured, 1),
    (Ailment::EcsAgentMisconfigured, 1),
    (Ailment::RuntimeDockerMisconfigured, 1),
];

/// Faults that pass by themselves, while they last. Full load is among them: it ends with the batch that caused it.
pub(super) const PASSING: &[Weighted] = &[
    (Ailment::NetworkUnreachable, 5),
    (Ailment::EcsAgentStopped, 5),
    (Ailment::SsmAgentStopped, 4),
    (Ailment::HostCpuSaturated, 4),
    (Ailment::EcsAgentHung, 3),
    (Ailment::SsmAgentHung, 2),
    (Ailment::RuntimeDockerHung, 1),
];

/// Draws a fault that can be felt on such a node.
pub(super) fn draw(rng: &mut Rng, table: &[Weighted], runs_ecs: bool) -> Ailment {
    let possible = |(ailment, _): &&Weighted| runs_ecs || !ailment.needs_ecs();
    let sum: u32 = table.iter().filter(possible).map(|(_, weight)| weight).sum();
    let mut left = rng.u32(0..sum.max(1));
    for (ailment, weight) in table.iter().filter(possible) {
        match left.checked_sub(*weight) {
            Some(rest) => left = rest,
            None => return *ailment,
        }
    }
    Ailment::Healthy
}

/// How many minutes a passing fault lasts: mostly up to four, now and then up to half an hour.
pub(super) fn passes_after_minutes(rng: &mut Rng) -> i64 {
    match rng.u8(0..25) {
        0..15 => rng.i64(1..=4),
        15..22 => rng.i64(5..=10),
        _ => rng.i64(11..=30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_mix_can_be_drawn_and_none_is_harmless() {
        let mut rng = Rng::with_seed(1);
        for table in [LASTING, PASSING] {
            assert!(table.iter().all(|(ailment, weight)| *weight > 0 && !ailment.is_harmless()));
            let drawn: Vec<_> = (0..20_000).map(|_| draw(&mut rng, table, true)).collect();
            assert!(table.iter().all(|(ailment, _)| drawn.contains(ailment)));
        }
    }

    #[test]
    fn a_node_without_ecs_gets_no_fault_that_only_ecs_feels() {
        let mut rng = Rng::with_seed(2);
        assert!((0..5_000).all(|_| !draw(&mut rng, LASTING, false).needs_ecs()));
    }

    #[test]
    fn lasting_faults_are_those_of_the_documented_weights() {
        let sum = |is: fn(Ailment) -> bool| -> u32 {
            LASTING.iter().filter(|(ailment, _)| is(*ailment)).map(|(_, weight)| weight).sum()
        };
        assert_eq!((sum(|_| true), sum(|ailment| ailment.profile().cures.is_empty())), (100, 18));
    }
}
