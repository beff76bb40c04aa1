//! Events that nobody sent, and events of strangers: what a schedule puts into the queue beside the truth.

use std::sync::Arc;

use fastrand::Rng;
use jiff::Timestamp;

use crate::event::{CoarseStatus, GoneKind, HealthCheck, Signal, SignalKind, SweptAgent};
use crate::node::{CommandId, NodeId};
use crate::time::after;

/// The text of an event of another account or another region.
pub(super) fn foreign_event(rng: &mut Rng, nodes: &[NodeId], at: Timestamp) -> (NodeId, Arc<str>) {
    let stranger = NodeId::numbered(rng.u128(..));
    let node = if nodes.contains(&stranger) { NodeId::numbered(0) } else { stranger };
    let (account, region) = if rng.bool() { ("444455556666", "us-east-1") } else { ("111122223333", "eu-central-1") };
    let text = format!(
        r#"{{"version":"0","id":"{:08x}-0000-4000-8000-000000000000","detail-type":"EC2 Command Invocation Status-change Notification","source":"aws.ssm","account":"{account}","time":"{at}","region":"{region}","resources":["arn:aws:ec2:{region}:{account}:instance/{node}"],"detail":{{"command-id":"7c2f6b1e-9a51-4f0e-8f0d-3a1d1b1f9e77","document-name":"AWS-RunShellScript","instance-id":"{node}","requested-date-time":"{at}","status":"TimedOut"}}}}"#,
        rng.u32(..)
    );
    (node, Arc::from(text))
}

/// An event that nobody sent, about one of our nodes or about one that does not exist here.
pub(super) fn forged_signal(rng: &mut Rng, nodes: &[NodeId], at: Timestamp) -> Option<Signal> {
    let node = if rng.u8(0..4) == 0 { NodeId::numbered(rng.u128(..)) } else { *rng.choice(nodes)? };
    let arn = "arn:aws:ecs:us-east-1:111122223333:container-instance/blue/0123456789abcdef0123456789abcdef";
    let kind = match rng.u8(0..12) {
        0..=2 => SignalKind::CommandTrouble {
            command: random_command(rng)?,
            document: if rng.bool() { "AWS-RunShellScript" } else { "Defib-Probe" }.parse().ok()?,
            status: if rng.bool() { CoarseStatus::TimedOut } else { CoarseStatus::Failed },
        },
        3 => SignalKind::CommandSucceeded,
        4 => SignalKind::EcsHealthImpaired {
            check: if rng.bool() { HealthCheck::AgentConnectivity } else { HealthCheck::ContainerRuntime },
            container_instance: arn.parse().ok()?,
            cluster: None,
            since: Some(after(at, -rng.i64(0..9_000))),
        },
        5 => SignalKind::EcsHealthRestored,
        6 => SignalKind::EcsDisconnected { container_instance: arn.parse().ok()?, cluster: None, version: Some(7) },
        7 => SignalKind::EcsConnected,
        8 | 9 => SignalKind::Gone {
            what: match rng.u8(0..3) {
                0 => GoneKind::Stopped,
                1 => GoneKind::Terminated,
                _ => GoneKind::ContainerInstanceInactive,
            },
        },
        10 => SignalKind::SessionRefused,
        _ => SignalKind::Swept { agent: if rng.bool() { SweptAgent::Ssm } else { SweptAgent::Ecs }, since: None },
    };
    Some(Signal { node, at, kind })
}

fn random_command(rng: &mut Rng) -> Option<CommandId> {
    let value = rng.u128(..);
    let part = |shift: u32, mask: u128| (value >> shift) & mask;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 0xffff_ffff),
        part(80, 0xffff),
        part(64, 0xffff),
        part(48, 0xffff),
        part(0, 0xffff_ffff_ffff)
    )
    .parse()
    .ok()
}
