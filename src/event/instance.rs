//! EC2: an instance changed its state.

use super::envelope::Claim;
use super::fields::{Fields, folded};
use super::{DropReason, Excerpt, GoneKind, SignalKind};
use crate::node::Home;

/// `EC2 Instance State-change Notification`. A reboot emits none.
pub(super) fn state_change(detail: Fields<'_>, _event: Fields<'_>, _home: &Home) -> Result<Claim, DropReason> {
    let state = detail.need_text("state")?;
    let what = match folded(state).as_str() {
        "stopped" => GoneKind::Stopped,
        "terminated" => GoneKind::Terminated,
        _ => return Err(DropReason::InstanceState { state: Excerpt::of(state.trim()) }),
    };
    Ok((detail.node("instance-id")?, SignalKind::Gone { what }))
}
