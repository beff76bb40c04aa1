//! Sets the scene for an event: the node that it names exists, in a small healthy fleet, with a fault that fits.

use jiff::Timestamp;

use super::account::Account;
use super::ailment::{Ailment, EcsFace};
use super::machine::MachineSpec;
use super::world::GroupSettings;
use crate::event::{CoarseStatus, HealthCheck, Signal, SignalKind, SweptAgent};
use crate::node::{AutoScalingGroupName, BadName, ClusterArn, Home};
use crate::observe::InvocationStatus;
use crate::time::after;

/// Machines around the one that is ill: enough for budgets and for a group that can lose one.
pub(super) const FLEET: u32 = 6;
/// The Auto Scaling group that the fleet belongs to.
const GROUP: &str = "prod-web-asg";
/// The cluster of a fleet whose event names none.
const CLUSTER: &str = "prod-web";

/// The fault that explains an event when nobody says which.
///
/// A coarse `Failed` is mostly an ordinary failure of a script (facts/aws.md §1.1), so it fits a node that is well.
#[must_use]
pub fn fitting(kind: &SignalKind) -> Ailment {
    match kind {
        SignalKind::CommandTrouble { status, .. } => match status {
            CoarseStatus::TimedOut | CoarseStatus::Undeliverable | CoarseStatus::DeliveryTimedOut => {
                Ailment::SsmAgentHung
            }
            CoarseStatus::ExecutionTimedOut => Ailment::CommandScriptTimeout,
            CoarseStatus::Failed => Ailment::Healthy,
        },
        SignalKind::EcsHealthImpaired { check: HealthCheck::ContainerRuntime, .. } => Ailment::RuntimeDockerHung,
        SignalKind::EcsHealthImpaired { check: HealthCheck::AgentConnectivity, .. }
        | SignalKind::EcsDisconnected { .. } => Ailment::EcsAgentHung,
        SignalKind::SessionRefused => Ailment::SsmAgentHung,
        SignalKind::Swept { agent, .. } => match agent {
            SweptAgent::Ssm => Ailment::SsmAgentHung,
            SweptAgent::Ecs => Ailment::EcsAgentHung,
        },
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsConnected
        | SignalKind::Gone { .. } => Ailment::Healthy,
    }
}

/// Makes the world fit a signal: the node exists, opted in, with this fault, which began early enough to cause the event.
/// A node that exists already stays as it is; only the event's command is added.
pub fn stage(account: &mut Account, signal: &Signal, fault: Ailment, now: Timestamp) {
    let node = signal.node;
    let world = &mut account.world;
    if world.truth(node).is_none() {
        let (cluster, runs_ecs) = match &signal.kind {
            SignalKind::EcsHealthImpaired { cluster, .. } | SignalKind::EcsDisconnected { cluster, .. } => {
                (cluster.clone(), true)
            }
            SignalKind::EcsHealthRestored | SignalKind::EcsConnected => (None, true),
            SignalKind::CommandTrouble { .. }
            | SignalKind::CommandSucceeded
            | SignalKind::Gone { .. }
            | SignalKind::SessionRefused
            | SignalKind::Swept { .. } => (None, node.is_instance()),
        };
        let number = u32::try_from(node.value() % u128::from(FLEET)).unwrap_or(0);
        for machine in 0..FLEET {
            let mut spec = MachineSpec::new().named(&format!("web-{}", machine + 1)).with_tasks(4 + machine);
            if machine == number {
                spec = spec.with_id(node);
            }
            // A managed node is in no group, and its fleet would be somewhere else.
            if node.is_instance() {
                spec = spec.in_group(GROUP);
            } else if machine != number {
                continue;
            }
            if runs_ecs {
                spec = in_cluster(spec, cluster.as_ref());
            }
            world.add(spec);
        }
        if let Ok(group) = GROUP.parse::<AutoScalingGroupName>() {
            // Room for one to be set aside.
            world.set_group(&group, &GroupSettings { min: Some(FLEET - 2), ..GroupSettings::default() });
        }
        // The event's own command is the whole fault; the node must not send more of its kind.
        let is_command = matches!(signal.kind, SignalKind::CommandTrouble { .. });
        if !(is_command && matches!(fault, Ailment::CommandScriptTimeout | Ailment::CommandRejected)) {
            world.afflict(node, fault, after(now, -began_before(&signal.kind)), None);
        }
        world.advance(now);
    }
    if let SignalKind::CommandTrouble { command, document, status } = &signal.kind {
        let details = status_details(*status, fault);
        world.stage_command(node, command.clone(), document.clone(), details, now);
    }
}

fn in_cluster(mut spec: MachineSpec, cluster: Option<&ClusterArn>) -> MachineSpec {
    spec = spec.in_cluster(cluster.map_or(CLUSTER, ClusterArn::name));
    spec.cluster_arn = cluster.cloned();
    spec
}

/// How long before its event a fault began, in seconds: a command times out long after, a disconnect is told at once.
pub(super) fn began_before(kind: &SignalKind) -> i64 {
    match kind {
        SignalKind::CommandTrouble { .. } => 20 * 60,
        SignalKind::EcsHealthImpaired { .. } => 8 * 60,
        SignalKind::SessionRefused => 5 * 60,
        SignalKind::EcsDisconnected { .. } => 150,
        SignalKind::Swept { .. } => 16 * 60,
        SignalKind::CommandSucceeded
        | SignalKind::EcsHealthRestored
        | SignalKind::EcsConnected
        | SignalKind::Gone { .. } => 0,
    }
}

/// The `StatusDetails` behind an event's coarse status, on a node with this fault.
pub(super) fn status_details(status: CoarseStatus, fault: Ailment) -> InvocationStatus {
    match (fault, status) {
        (Ailment::CommandScriptTimeout, _) => InvocationStatus::ExecutionTimedOut,
        (Ailment::CommandRejected, _) => InvocationStatus::Rejected,
        (_, CoarseStatus::TimedOut | CoarseStatus::DeliveryTimedOut) => InvocationStatus::DeliveryTimedOut,
        (_, CoarseStatus::Undeliverable) => InvocationStatus::Undeliverable,
        (fault, CoarseStatus::ExecutionTimedOut) if fault.is_harmless() => InvocationStatus::ExecutionTimedOut,
        (_, CoarseStatus::ExecutionTimedOut) => InvocationStatus::DeliveryTimedOut,
        (fault, CoarseStatus::Failed) if fault.is_harmless() => InvocationStatus::Failed,
        (_, CoarseStatus::Failed) => InvocationStatus::Undeliverable,
    }
}

/// The node of a rehearsal whose fault nobody's event tells of.
#[must_use]
pub fn telling_node(fault: Ailment) -> &'static str {
    // A registration is what only managed nodes have.
    if fault == Ailment::IdentityRegistrationMismatch { "mi-0a1b2c3d4e5f60718" } else { "i-0a1b2c3d4e5f60718" }
}

/// The event that would first tell of a fault: a disconnect where the ECS agent suffers, else a command that times out.
///
/// # Errors
/// None in fact: the names in it are fixed, and are checked like all others.
pub fn telling(fault: Ailment) -> Result<SignalKind, BadName> {
    let ecs_suffers =
        fault.profile().agents(true).ecs != EcsFace::Connected && fault != Ailment::IdentityRegistrationMismatch;
    let is_command = matches!(fault, Ailment::CommandScriptTimeout | Ailment::CommandRejected);
    if ecs_suffers || (fault.is_harmless() && !is_command) {
        return Ok(SignalKind::EcsDisconnected {
            container_instance:
                "arn:aws:ecs:us-east-1:111122223333:container-instance/prod-web/c0ffee00112233445566778899aabbcc"
                    .parse()?,
            cluster: Some("arn:aws:ecs:us-east-1:111122223333:cluster/prod-web".parse()?),
            version: None,
        });
    }
    Ok(SignalKind::CommandTrouble {
        command: "7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77".parse()?,
        document: "AWS-RunShellScript".parse()?,
        status: if fault == Ailment::CommandRejected { CoarseStatus::Failed } else { CoarseStatus::TimedOut },
    })
}

/// The account and region that AWS's own documentation uses: home, where no event says otherwise.
///
/// # Errors
/// None in fact: the names in it are fixed, and are checked like all others.
pub fn documentation_home() -> Result<Home, BadName> {
    Ok(Home { account: "111122223333".parse()?, region: "us-east-1".parse()? })
}
