//! Whether an instance that is stopped would start again: asked before anything is done to it.
//!
//! `DryRun` answers what IAM says of the real call, and changes nothing. It needs the right to the real call, so it is only asked in the
//! modes that have it. Of the keys of volumes it says nothing: EC2 uses them only when an instance starts.

use aws_sdk_ec2::types::{Instance, Volume};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;

use crate::aws::cache::GATES_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::node::NodeId;
use crate::observe::Blind;

/// The error by which EC2 says that it would have done it.
const WOULD_SUCCEED: &str = "DryRunOperation";
/// The error by which IAM forbids it.
const NOT_ALLOWED: &str = "UnauthorizedOperation";
/// The error of a start of what runs already: IAM has allowed it by then.
const WRONG_STATE: &str = "IncorrectInstanceState";

/// What is rehearsed before an instance is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::aws) enum Rehearsal {
    /// Nothing.
    None,
    /// That it may be started again.
    Start,
    /// That it may be stopped, and started again.
    Both,
}

impl Rehearsal {
    /// What a look asks for, by whether the node is taken out of a cluster or a group before it is stopped.
    pub(super) fn of(rehearse: bool, is_taken_out: bool) -> Self {
        match (rehearse, is_taken_out) {
            (false, _) => Self::None,
            (true, false) => Self::Start,
            (true, true) => Self::Both,
        }
    }
}

impl Nodes {
    /// Whether a volume is encrypted under a key that the stack does not name. A volume says under which key, and not whose that is: the key
    /// that AWS manages (`aws/ebs`) is to be named as well.
    pub(super) async fn has_foreign_key(
        &self,
        node: NodeId,
        row: Option<&Instance>,
        now: Timestamp,
    ) -> Result<bool, Blind> {
        if let Some(known) = self.cache.volume_keys.get(&node, now, GATES_SECS) {
            return Ok(known);
        }
        let Some(row) = row else { return Err(Blind::Empty) };
        let ids = volume_ids(row);
        let value = if ids.is_empty() {
            false
        } else {
            let request = self.clients.ec2.describe_volumes().set_volume_ids(Some(ids.clone()));
            let answer = request.send().await;
            let output = answer.map_err(|error| Fault::of("DescribeVolumes", error).blind())?;
            let volumes = output.volumes.unwrap_or_default();
            if volumes.len() < ids.len() {
                return Err(Blind::Empty);
            }
            volumes.iter().any(|volume| self.is_foreign(volume))
        };
        self.cache.volume_keys.put(node, now, value);
        Ok(value)
    }

    fn is_foreign(&self, volume: &Volume) -> bool {
        let named = volume.kms_key_id().is_some_and(|key| self.volume_keys.contains(key));
        volume.encrypted() == Some(true) && !named
    }

    /// What was rehearsed a short time ago; nothing is known to be refused where nothing was.
    pub(super) fn rehearsed(&self, node: NodeId, now: Timestamp) -> (bool, bool) {
        let kept = |what| self.cache.rehearsals.get(&(node, what), now, GATES_SECS);
        kept(Rehearsal::Both).or_else(|| kept(Rehearsal::Start)).unwrap_or_default()
    }

    /// Whether AWS would refuse a stop, and a start after it; neither where nobody asks. Of a node that is taken out of nothing before
    /// it is stopped only the start is asked for: a stop that is refused has then done no harm.
    pub(super) async fn rehearsal_if(
        &self,
        asked: Rehearsal,
        node: NodeId,
        now: Timestamp,
    ) -> Result<(bool, bool), Blind> {
        if asked == Rehearsal::None {
            return Ok((false, false));
        }
        if let Some(known) = self.cache.rehearsals.get(&(node, asked), now, GATES_SECS) {
            return Ok(known);
        }
        let stop = self.clients.ec2.stop_instances().instance_ids(node.to_string()).dry_run(true);
        let start = self.clients.ec2.start_instances().instance_ids(node.to_string()).dry_run(true);
        let denied = if asked == Rehearsal::Start {
            (false, is_denied("StartInstances", start.send().await)?)
        } else {
            let (stop, start) = tokio::join!(stop.send(), start.send());
            (is_denied("StopInstances", stop)?, is_denied("StartInstances", start)?)
        };
        self.cache.rehearsals.put((node, asked), now, denied);
        Ok(denied)
    }
}

/// The EBS volumes of an instance.
fn volume_ids(row: &Instance) -> Vec<String> {
    let devices = row.block_device_mappings().iter().filter_map(|device| device.ebs()?.volume_id());
    devices.map(ToOwned::to_owned).collect()
}

/// Whether a rehearsed call was refused. Throttled, or without an answer: nobody knows.
fn is_denied<T, E>(operation: &'static str, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<bool, Blind>
where
    E: ProvideErrorMetadata,
{
    // A `DryRun` never succeeds; whatever answered as if it had did not understand it.
    let Err(error) = answer else { return Err(Blind::Empty) };
    if error.code() == Some(WOULD_SUCCEED) || error.code() == Some(WRONG_STATE) {
        return Ok(false);
    }
    let fault = Fault::of(operation, error);
    match fault.kind {
        FaultKind::Invalid => Ok(true),
        // Credentials that are no good say nothing of the right itself.
        FaultKind::Denied if fault.code.as_ref().is_some_and(|code| code.ends_with(NOT_ALLOWED)) => Ok(true),
        FaultKind::Denied | FaultKind::Throttled | FaultKind::Absent | FaultKind::Unavailable => Err(fault.blind()),
    }
}
