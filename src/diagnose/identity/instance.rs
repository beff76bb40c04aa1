//! The identity of an EC2 instance, check by check.

use super::permissions::{Power, judge, trust};
use super::{HOST_MANAGEMENT_SINCE, HostManagement, Identity, InstanceIdentity, Judged, Metadata, Role};
use crate::diagnose::{Agents, Cause, CheckLine, Mark, Severity};
use crate::observe::{Blind, Fact};

/// The service that takes the role of an instance profile on, by its names in the partitions.
const EC2: [&str; 2] = ["ec2.amazonaws.com", "ec2.amazonaws.com.cn"];
/// The service that takes the role of Default Host Management on.
const SSM: [&str; 2] = ["ssm.amazonaws.com", "ssm.amazonaws.com.cn"];

/// What an instance profile gives an agent.
enum Given<'a> {
    /// A role.
    Role(&'a Role),
    /// Nothing, and why.
    Nothing(String),
    /// Not known.
    Unread(Blind),
}

/// Judges an EC2 instance for the agents that it should have.
///
/// The SSM agent takes the profile's role, and that of Default Host Management where the profile gives it nothing or too little. The
/// ECS agent has the profile alone.
#[must_use]
pub fn instance(seen: &InstanceIdentity, agents: Agents) -> Identity {
    let mut judged = Vec::new();
    let given = match &seen.profile {
        Fact::Absent => Given::Nothing("the instance has no instance profile, and so no role".to_owned()),
        Fact::Unknown(blind) => Given::Unread(*blind),
        Fact::Known(profile) => match &profile.role {
            Fact::Known(role) => Given::Role(role),
            Fact::Absent => Given::Nothing(format!("the instance profile {} holds no role", profile.name)),
            Fact::Unknown(blind) => Given::Unread(*blind),
        },
    };
    judged.push(profile(&given, seen, agents));
    let managed = matches!(&seen.host_management, Fact::Known(HostManagement::Role(..)));
    // Whether the SSM agent depends on Default Host Management.
    let mut leans = matches!(given, Given::Nothing(_));
    if let Given::Role(role) = &given {
        let trusted = trust("I04", role, &EC2, Cause::IdentityAccessDenied, Agents { ssm: !managed, ecs: true });
        leans = trusted.line.verdict == Mark::Fail;
        judged.push(trusted);
        if agents.ssm {
            let (line, power) = judge(role, true, managed, Cause::IdentityAccessDenied);
            leans = leans || power == Power::Lacks;
            judged.push(line);
        }
        if agents.ecs {
            judged.push(judge(role, false, false, Cause::IdentityAccessDenied).0);
        }
    }
    if agents.ssm {
        judged.extend(host_management(seen, leans));
    }
    judged.push(organizations(&given));
    judged.push(metadata(&seen.metadata));
    Identity(judged)
}

fn profile(given: &Given<'_>, seen: &InstanceIdentity, agents: Agents) -> Judged {
    let id = "I01";
    let why = match given {
        Given::Role(role) => {
            return Judged::says(CheckLine::ok(id, format!("the instance profile holds the role {}", role.name)));
        }
        Given::Unread(blind) => return Judged::unread(id, "the instance profile and its role", *blind, Agents::BOTH),
        Given::Nothing(why) => why,
    };
    let fix = "attach an instance profile: aws ec2 associate-iam-instance-profile";
    let fails = |concerns| {
        Judged::says(CheckLine::fail(id, why.as_str(), fix)).means(
            Cause::IdentityNoInstanceProfile,
            Severity::Cause,
            concerns,
        )
    };
    let ecs = Agents { ssm: false, ecs: true };
    match &seen.host_management {
        Fact::Absent | Fact::Known(HostManagement::Off) => fails(Agents::BOTH),
        Fact::Known(HostManagement::Role(..)) | Fact::Unknown(_) if agents.ecs => fails(ecs),
        Fact::Known(HostManagement::Role(name, _)) => {
            Judged::says(CheckLine::ok(id, format!("{why}; Default Host Management's {name} takes its place")))
        }
        Fact::Unknown(blind) => Judged {
            line: CheckLine::unknown(id, format!("{why}; could not read Default Host Management: {}", blind.as_str())),
            cause: Some((Cause::IdentityNoInstanceProfile, Severity::Symptom)),
            concerns: Agents { ssm: true, ecs: false },
            blind: Some(*blind),
        },
    }
}

/// Default Host Management: its role, and what it asks of the instance. `leans`: the SSM agent has nothing else.
fn host_management(seen: &InstanceIdentity, leans: bool) -> Vec<Judged> {
    let id = "I05";
    let concerns = Agents { ssm: leans, ecs: false };
    let cause = Cause::IdentityDefaultHostManagement;
    let (name, role) = match &seen.host_management {
        Fact::Absent | Fact::Known(HostManagement::Off) => {
            return vec![Judged::says(CheckLine::ok(
                id,
                "Default Host Management is off; the instance profile decides",
            ))];
        }
        Fact::Unknown(blind) => {
            return vec![Judged::unread(id, "Default Host Management", *blind, concerns)];
        }
        Fact::Known(HostManagement::Role(name, role)) => (name, role),
    };
    let bad = |text: String, fix: &str| {
        if leans {
            Judged::says(CheckLine::fail(id, text, fix)).means(cause, Severity::Cause, concerns)
        } else {
            Judged::says(CheckLine::warn(id, text, fix))
        }
    };
    if let Fact::Known(agent) = &seen.agent
        && *agent < HOST_MANAGEMENT_SINCE
    {
        let text = format!("Default Host Management needs agent {HOST_MANAGEMENT_SINCE}, and this one is {agent}");
        return vec![bad(text, "update the SSM agent, or attach an instance profile")];
    }
    let role = match role {
        Fact::Known(role) => role,
        Fact::Absent => {
            let text = format!("Default Host Management names the role {name}, which does not exist");
            return vec![bad(text, "create the role anew, or attach an instance profile")];
        }
        Fact::Unknown(blind) => return vec![Judged::unread(id, &format!("the role {name}"), *blind, concerns)],
    };
    let softened = |found: Judged| match (found.line.verdict, leans) {
        (Mark::Fail, false) => {
            let fix = found.line.fix.as_deref().unwrap_or_default().to_owned();
            Judged::says(CheckLine::warn(id, &*found.line.text, fix))
        }
        (Mark::Ok | Mark::Unknown | Mark::Warn | Mark::Fail, _) => {
            Judged { line: CheckLine { id, ..found.line }, concerns, ..found }
        }
    };
    let trusted = softened(trust(id, role, &SSM, cause, concerns));
    let may = softened(judge(role, true, !leans, cause).0);
    let mut all = vec![trusted, may];
    all.retain(|one| one.line.verdict != Mark::Ok);
    if let Fact::Known(Metadata { enabled: true, tokens_required: false, .. }) = &seen.metadata
        && leans
    {
        let text = "Default Host Management speaks IMDSv2 alone, and the instance does not require it";
        all.push(Judged::says(CheckLine::warn(id, text, "set HttpTokens to required")));
    }
    if all.is_empty() {
        all.push(Judged::says(CheckLine::ok(id, format!("Default Host Management is on with the role {name}"))));
    }
    all
}

/// Service control policies belong to another account.
fn organizations(given: &Given<'_>) -> Judged {
    let id = "I06";
    let decided = match given {
        Given::Role(role) => role
            .decisions
            .known()
            .is_some_and(|all| !all.is_empty() && all.iter().all(|one| one.by_organizations.is_some())),
        Given::Nothing(_) | Given::Unread(_) => false,
    };
    Judged::says(if decided {
        CheckLine::ok(id, "service control policies were taken into account")
    } else {
        CheckLine::unknown(id, "service control policies cannot be seen from this account")
    })
}

fn metadata(seen: &Fact<Metadata>) -> Judged {
    let id = "I07";
    let options = match seen {
        Fact::Known(options) => options,
        Fact::Absent => return Judged::unread(id, "the metadata options", Blind::Empty, Agents::BOTH),
        Fact::Unknown(blind) => return Judged::unread(id, "the metadata options", *blind, Agents::BOTH),
    };
    if options.pending {
        return Judged::says(CheckLine::unknown(id, "a change of the metadata options is on its way"));
    }
    if !options.enabled {
        let fix = "aws ec2 modify-instance-metadata-options --instance-id INSTANCE_ID --http-endpoint enabled";
        let line = CheckLine::fail(id, "instance metadata is off (HttpEndpoint disabled)", fix);
        return Judged::says(line).means(Cause::IdentityImdsUnreachable, Severity::Cause, Agents::BOTH);
    }
    let tokens = if options.tokens_required { "IMDSv2 is required" } else { "IMDSv1 is allowed too" };
    let hops = match options.hop_limit {
        0 | 1 => "; hop limit 1, so containers with a network of their own do not reach it",
        _ => "",
    };
    Judged::says(CheckLine::ok(id, format!("instance metadata is on, {tokens}{hops}")))
}
