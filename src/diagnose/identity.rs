//! Who a node is to AWS: instance profile, role, trust, permissions, Default Host Management, metadata, hybrid activation.
//!
//! Pure functions over what IAM, EC2 and Systems Manager answer. A [`Role`] is the same for every node that has it, so it is
//! read once for each role. What another account decides (service control policies) cannot be seen, and is said to be unknown.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Agents, Cause, Channel, CheckLine, Finding, Severity};
use crate::node::{BadName, ResourceName};
use crate::observe::{Blind, Fact, Findings};
use crate::time::moment;

mod instance;
mod permissions;
#[cfg(test)]
mod tests;

pub use instance::instance;
pub use permissions::{Decision, Effect};

/// Default Host Management needs this version of the SSM agent or a newer one (Systems Manager user guide).
pub const HOST_MANAGEMENT_SINCE: AgentVersion = AgentVersion([3, 2, 582, 0]);

/// What is known of an EC2 instance's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceIdentity {
    /// The instance profile. Absent: none is attached.
    pub profile: Fact<Profile>,
    /// Default Host Management, by its service setting. Absent: it was never set, which is off.
    pub host_management: Fact<HostManagement>,
    /// `MetadataOptions`.
    pub metadata: Fact<Metadata>,
    /// `AgentVersion` of Systems Manager. Absent: not registered.
    pub agent: Fact<AgentVersion>,
}

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: ResourceName,
    /// Its role. Absent: the profile holds none, or does not exist any more.
    pub role: Fact<Role>,
}

/// A role, the same for all nodes that have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name: what it is cached by.
    pub name: ResourceName,
    /// `AssumeRolePolicyDocument`, as IAM gives it. Absent counts as not read: every role has one.
    pub trust: Fact<Arc<str>>,
    /// `PermissionsBoundary`. Absent: none.
    pub boundary: Fact<ResourceName>,
    /// What `SimulatePrincipalPolicy` decided on.
    pub decisions: Fact<Vec<Decision>>,
}

/// Default Host Management of the account and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostManagement {
    /// `$None`.
    Off,
    /// Its role: by name, and as IAM knows it. Absent: there is no such role.
    Role(ResourceName, Fact<Role>),
}

/// `MetadataOptions` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata {
    /// `HttpEndpoint` is enabled.
    pub enabled: bool,
    /// `HttpTokens` is required: `IMDSv2` alone.
    pub tokens_required: bool,
    /// `HttpPutResponseHopLimit`.
    pub hop_limit: u8,
    /// `State` is `pending`: a change is on its way.
    pub pending: bool,
}

/// A version of the SSM agent, `3.2.582.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentVersion(pub [u32; 4]);

impl FromStr for AgentVersion {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "a version of the SSM agent", given: text.to_owned() };
        let parts: Vec<u32> = text.trim().split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
        parts.try_into().map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for AgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, build] = self.0;
        write!(f, "{major}.{minor}.{patch}.{build}")
    }
}

/// The activation that a managed node registered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Activation {
    /// `ExpirationDate`.
    pub expires_at: Timestamp,
    /// `RegistrationLimit`.
    pub limit: u32,
    /// `RegistrationsCount`.
    pub count: u32,
}

/// One thing that was judged.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Judged {
    line: CheckLine,
    /// What it means, where it is bad.
    cause: Option<(Cause, Severity)>,
    /// The agents that it matters to.
    concerns: Agents,
    /// The read that failed, if the line is unknown because of one.
    blind: Option<Blind>,
}

impl Judged {
    fn says(line: CheckLine) -> Self {
        Self { line, cause: None, concerns: Agents::default(), blind: None }
    }

    fn means(self, cause: Cause, severity: Severity, concerns: Agents) -> Self {
        Self { cause: Some((cause, severity)), concerns, ..self }
    }

    fn unread(id: &'static str, what: &str, blind: Blind, concerns: Agents) -> Self {
        let line = CheckLine::unknown(id, format!("could not read {what}: {}", blind.as_str()));
        Self { line, cause: None, concerns, blind: Some(blind) }
    }
}

/// What was judged of a node's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity(Vec<Judged>);

impl Identity {
    /// The lines of the checks I01 to I08.
    #[must_use]
    pub fn lines(&self) -> Vec<CheckLine> {
        self.0.iter().map(|judged| judged.line.clone()).collect()
    }

    /// The findings for a node whose agents of `silent` do not answer: of the others none is a cause.
    #[must_use]
    pub fn findings(&self, silent: Agents) -> Vec<Finding> {
        let bad = self.0.iter().filter_map(|judged| judged.cause.map(|cause| (judged, cause)));
        bad.map(|(judged, (cause, severity))| Finding {
            cause,
            severity: if concerns(judged, silent) { severity } else { Severity::Noise },
            channel: Channel::Identity,
            evidence: judged.line.text.clone(),
        })
        .collect()
    }

    /// The channel for the diagnosis. Unknown where a read failed that a silent agent's cause may hide behind, unless a cause is
    /// proven without it (S8).
    #[must_use]
    pub fn channel(&self, silent: Agents) -> Fact<Findings> {
        let findings = self.findings(silent);
        let proven = findings.iter().any(|finding| finding.severity == Severity::Cause);
        let blind = self.0.iter().filter(|judged| concerns(judged, silent)).find_map(|judged| judged.blind);
        match blind {
            Some(blind) if !proven => Fact::Unknown(blind),
            Some(_) | None => Fact::Known(findings.into()),
        }
    }
}

fn concerns(judged: &Judged, silent: Agents) -> bool {
    judged.concerns.ssm && silent.ssm || judged.concerns.ecs && silent.ecs
}

/// Judges a managed node, `mi-…`: whether it could register again. An activation that has expired does not silence a node that is
/// registered with it.
#[must_use]
pub fn managed(activation: &Fact<Activation>, registered: &Fact<AgentVersion>, now: Timestamp) -> Identity {
    let id = "I08";
    let again = "create a new activation: aws ssm create-activation --iam-role ROLE --region REGION";
    let ssm = Agents { ssm: true, ecs: false };
    let refusal = match activation {
        Fact::Unknown(blind) => return Identity(vec![Judged::unread(id, "the activation", *blind, Agents::default())]),
        Fact::Absent => Some("the activation was deleted".to_owned()),
        Fact::Known(known) if known.expires_at <= now => {
            Some(format!("the activation expired at {}", moment(known.expires_at)))
        }
        Fact::Known(known) if known.count >= known.limit => {
            Some(format!("the activation is used up: {} of {} registrations", known.count, known.limit))
        }
        Fact::Known(_) => None,
    };
    let judged = match (refusal, registered) {
        (None, _) => Judged::says(CheckLine::ok(id, "the activation takes registrations")),
        (Some(why), Fact::Absent) => {
            let line = CheckLine::fail(id, format!("not registered, and {why}"), again);
            Judged::says(line).means(Cause::IdentityRegistrationMismatch, Severity::Cause, ssm)
        }
        (Some(why), Fact::Known(_) | Fact::Unknown(_)) => {
            Judged::says(CheckLine::warn(id, format!("{why}; only a new registration needs it"), again))
        }
    };
    Identity(vec![judged])
}

/// The worst mark of some lines.
#[cfg(test)]
fn worst(lines: &[CheckLine]) -> Option<super::Mark> {
    lines.iter().map(|line| line.verdict).max()
}
