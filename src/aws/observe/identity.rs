//! Findings about an instance's role. A silent instance without one cannot be helped on the host.

use std::sync::Arc;

use jiff::Timestamp;

use crate::aws::cache::PLACE_SECS;
use crate::aws::fault::{Fault, FaultKind};
use crate::aws::nodes::Nodes;
use crate::diagnose::{Cause, Channel, Finding, Severity};
use crate::observe::{Blind, Connection, Fact, Findings, Ssm};
use crate::report::redact;

impl Nodes {
    /// Findings about the instance profile and its role.
    ///
    /// Only of an instance whose SSM agent is silent: one that answers has a role, or is under Default Host Management, which is
    /// no business of the profile's.
    pub(super) async fn identity(&self, profile: Option<&str>, ssm: &Fact<Ssm>, now: Timestamp) -> Fact<Findings> {
        match ssm {
            // Where the connection was not asked for, its ping is recent.
            Fact::Known(Ssm {
                connection: Fact::Known(Connection::Connected) | Fact::Unknown(Blind::NotRead), ..
            }) => {
                return nothing();
            }
            Fact::Known(_) | Fact::Absent => {}
            Fact::Unknown(blind) => return Fact::Unknown(*blind),
        }
        let Some(profile) = profile else { return found("the instance has no instance profile, and so no role") };
        match self.holds_a_role(profile, now).await {
            Ok(Some(true)) => nothing(),
            Ok(Some(false)) => found(&format!("the instance profile {} holds no role", redact::name(profile))),
            Ok(None) => found(&format!("the instance profile {} does not exist any more", redact::name(profile))),
            Err(blind) => Fact::Unknown(blind),
        }
    }

    /// Whether a profile holds a role; none: there is no such profile.
    async fn holds_a_role(&self, profile: &str, now: Timestamp) -> Result<Option<bool>, Blind> {
        let key = profile.to_owned();
        if let Some(known) = self.cache.profiles.get(&key, now, PLACE_SECS) {
            return Ok(known);
        }
        let answer = self.clients.iam.get_instance_profile().instance_profile_name(profile).send().await;
        let holds = match answer.map_err(|error| Fault::of("GetInstanceProfile", &error)) {
            Ok(output) => {
                let row = output.instance_profile().filter(|row| row.instance_profile_name() == profile);
                Some(!row.ok_or(Blind::Empty)?.roles().is_empty())
            }
            Err(fault) if fault.kind == FaultKind::Absent => None,
            Err(fault) => return Err(fault.blind()),
        };
        self.cache.profiles.put(key, now, holds);
        Ok(holds)
    }
}

fn nothing() -> Fact<Findings> {
    Fact::Known(Findings::default())
}

fn found(evidence: &str) -> Fact<Findings> {
    let finding = Finding {
        cause: Cause::IdentityNoInstanceProfile,
        severity: Severity::Cause,
        channel: Channel::Identity,
        evidence: Arc::from(evidence),
    };
    Fact::Known(Arc::from([finding]))
}
