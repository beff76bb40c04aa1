//! What a role may do, as IAM simulates it, and who may take it on.

use super::{Judged, Role};
use crate::diagnose::iam::{Document, Grant};
use crate::diagnose::path::Service;
use crate::diagnose::{Agents, Cause, CheckLine, Severity};
use crate::observe::{Blind, Fact};

/// `EvaluationResult` of `SimulatePrincipalPolicy`, of one action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// `EvalActionName`.
    pub action: String,
    /// `EvalDecision`.
    pub effect: Effect,
    /// `AllowedByPermissionsBoundary`, where IAM took a boundary into account.
    pub by_boundary: Option<bool>,
    /// `AllowedByOrganizations`, where IAM took service control policies into account.
    pub by_organizations: Option<bool>,
    /// `MissingContextValues` is not empty: a condition could not be judged.
    pub missing_context: bool,
}

/// `EvalDecision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// `allowed`.
    Allowed,
    /// `implicitDeny`: nothing allows it.
    ImplicitDeny,
    /// `explicitDeny`: a statement denies it.
    ExplicitDeny,
}

/// What is known of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    Yes,
    /// Refused, and by what.
    No(&'static str),
    Perhaps(&'static str),
    Unread(Blind),
}

fn may(role: &Role, action: &str) -> May {
    let decisions = match &role.decisions {
        Fact::Known(decisions) => decisions,
        Fact::Absent => return May::Unread(Blind::Empty),
        Fact::Unknown(blind) => return May::Unread(*blind),
    };
    let Some(decision) = decisions.iter().find(|one| one.action.eq_ignore_ascii_case(action)) else {
        return May::Unread(Blind::Empty);
    };
    match decision {
        Decision { missing_context: true, .. } => May::Perhaps("a condition could not be judged"),
        Decision { by_organizations: Some(false), .. } => May::No("a service control policy denies"),
        Decision { by_boundary: Some(false), .. } => May::No("its permissions boundary does not allow"),
        Decision { effect: Effect::ExplicitDeny, .. } => May::No("a policy denies"),
        Decision { effect: Effect::ImplicitDeny, .. } => May::No("no policy allows"),
        Decision { effect: Effect::Allowed, by_boundary: Some(true), .. } => May::Yes,
        Decision { effect: Effect::Allowed, by_boundary: None, .. } => match &role.boundary {
            Fact::Absent => May::Yes,
            Fact::Known(_) => May::Perhaps("its permissions boundary was not taken into account"),
            Fact::Unknown(blind) => May::Unread(*blind),
        },
    }
}

/// What the permissions of a role let an agent do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    /// All that it cannot do without.
    Enough,
    /// Not known.
    Unknown,
    /// Too little.
    Lacks,
}

/// Judges a role's permissions for one agent: `I02` for SSM, `I03` for ECS. `replaced` says that something else gives the SSM agent
/// what the role lacks.
pub(super) fn judge(role: &Role, ssm: bool, replaced: bool, cause: Cause) -> (Judged, Power) {
    let (id, concerns) =
        if ssm { ("I02", Agents { ssm: true, ecs: false }) } else { ("I03", Agents { ssm: false, ecs: true }) };
    let (vital, useful): (&[Service], &[Service]) = if ssm {
        (&[Service::Ssm, Service::SsmMessages], &[Service::Ec2Messages])
    } else {
        (&[Service::Ecs, Service::EcsAgent], &[Service::EcsTelemetry])
    };
    let of = |services: &[Service]| -> Vec<(Service, &'static str, May)> {
        let actions =
            services.iter().flat_map(|service| service.actions().iter().map(move |action| (*service, *action)));
        actions.map(|(service, action)| (service, action, may(role, action))).collect()
    };
    let (vital, useful) = (of(vital), of(useful));
    let refused = |(_, action, may): &(Service, &'static str, May)| match may {
        May::No(why) => Some((*action, *why)),
        May::Yes | May::Perhaps(_) | May::Unread(_) => None,
    };
    let name = &role.name;
    let fix = if ssm {
        format!("attach AmazonSSMManagedInstanceCore to the role {name}")
    } else {
        format!("attach AmazonEC2ContainerServiceforEC2Role to the role {name}")
    };
    if let Some((action, why)) = vital.iter().find_map(refused) {
        let text = format!("the role {name} may not call {action}: {why} it");
        // Without its messages an agent still has the older way, if that is allowed.
        let other_way = ssm
            && vital.iter().filter(|one| one.0 == Service::Ssm).all(|one| refused(one).is_none())
            && useful.iter().any(|one| refused(one).is_none());
        if replaced || other_way {
            let severity = if replaced { Severity::Noise } else { Severity::Symptom };
            return (Judged::says(CheckLine::warn(id, text, fix)).means(cause, severity, concerns), Power::Lacks);
        }
        return (Judged::says(CheckLine::fail(id, text, fix)).means(cause, Severity::Cause, concerns), Power::Lacks);
    }
    for (_, action, may) in &vital {
        match may {
            May::Unread(blind) => {
                let what = format!("whether the role {name} may call {action}");
                return (Judged::unread(id, &what, *blind, concerns), Power::Unknown);
            }
            May::Perhaps(why) => {
                let text = format!("whether the role {name} may call {action} is not known: {why}");
                return (Judged::says(CheckLine::unknown(id, text)), Power::Unknown);
            }
            May::Yes | May::No(_) => {}
        }
    }
    if let Some((action, why)) = useful.iter().find_map(refused) {
        let text = format!("the role {name} may not call {action}: {why} it; the agent stays connected without");
        return (Judged::says(CheckLine::warn(id, text, fix)), Power::Enough);
    }
    let agent = if ssm { "the SSM agent" } else { "the ECS agent" };
    (Judged::says(CheckLine::ok(id, format!("the role {name} holds what {agent} needs"))), Power::Enough)
}

/// Judges who may take a role on.
pub(super) fn trust(id: &'static str, role: &Role, services: &[&str], cause: Cause, concerns: Agents) -> Judged {
    let (name, who) = (&role.name, services.first().copied().unwrap_or_default());
    let text = match &role.trust {
        Fact::Known(text) => text,
        Fact::Absent => return Judged::unread(id, &format!("the trust policy of {name}"), Blind::Empty, concerns),
        Fact::Unknown(blind) => return Judged::unread(id, &format!("the trust policy of {name}"), *blind, concerns),
    };
    let Ok(document) = Document::parse(text) else {
        return Judged::says(CheckLine::unknown(id, format!("the trust policy of {name} could not be understood")));
    };
    match document.grant_to_service("sts:AssumeRole", services) {
        Grant::Allowed => Judged::says(CheckLine::ok(id, format!("the role {name} trusts {who}"))),
        Grant::Unclear => {
            let text = format!("whether the role {name} trusts {who} depends on its conditions");
            Judged::says(CheckLine::unknown(id, text))
        }
        Grant::Denied | Grant::NotAllowed => {
            let text = format!("the role {name} does not trust {who}, so nobody gets its credentials");
            let fix = format!("allow sts:AssumeRole to {who} in the trust policy of {name}");
            Judged::says(CheckLine::fail(id, text, fix)).means(cause, Severity::Cause, concerns)
        }
    }
}
