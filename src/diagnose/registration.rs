//! Whether a node is in the ECS cluster that it is meant for, as lines: C03, C04 and C16.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;

use super::CheckLine;
use crate::node::BadName;
use crate::observe::{Fact, Observation};
use crate::time::secs_between;

/// An instance that is younger than this, in seconds, may still be registering.
const REGISTERS_SECS: i64 = 600;
/// Before this version the agent reports no health of the runtime and of itself (facts/aws.md §1.3).
const HEALTH_SINCE: EcsAgentVersion = EcsAgentVersion([1, 57, 0]);

/// What ECS, and the instance's user data, say of where a node belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The cluster that user data names. Absent: it names none, or there is no user data.
    pub configured: Fact<Configured>,
    /// The cluster that the node is registered with, else the one that it is meant for. Absent: ECS knows no such cluster.
    pub cluster: Fact<ClusterState>,
    /// Its agent. Absent: it is registered with no cluster.
    pub agent: Fact<EcsAgent>,
}

/// A cluster, as user data names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configured {
    /// By its name.
    Named(Arc<str>),
    /// By something that is put together on the host, or user data is compressed.
    Hidden,
}

/// A cluster's `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterState {
    /// `ACTIVE`.
    Active,
    /// `PROVISIONING`: its capacity providers are being made.
    Provisioning,
    /// `INACTIVE`, `DEPROVISIONING`, `FAILED`, or what is not known yet.
    Other(Arc<str>),
}

impl ClusterState {
    /// By the API's word.
    #[must_use]
    pub fn named(status: &str) -> Self {
        match status {
            "ACTIVE" => Self::Active,
            "PROVISIONING" => Self::Provisioning,
            other => Self::Other(other.into()),
        }
    }
}

/// `VersionInfo` and `AgentUpdateStatus` of a container instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EcsAgent {
    /// `AgentVersion`.
    pub version: EcsAgentVersion,
    /// The last `UpdateContainerAgent` ended in `FAILED`.
    pub update_failed: bool,
}

/// A version of the ECS agent, as `1.86.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EcsAgentVersion(pub [u32; 3]);

impl FromStr for EcsAgentVersion {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "a version of the ECS agent", given: text.to_owned() };
        let parts: Vec<u32> = text.trim().split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| bad())?;
        parts.try_into().map(Self).map_err(|_| bad())
    }
}

impl fmt::Display for EcsAgentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The cluster that user data names: in `ecs.config`, in Bottlerocket's settings, or to `Initialize-ECSAgent` on Windows. The last word
/// counts. Nothing else of user data is kept: it may hold secrets.
#[must_use]
pub fn configured(user_data: &[u8]) -> Fact<Configured> {
    // Compressed by gzip, or nothing that a person wrote.
    let Ok(text) = std::str::from_utf8(user_data) else { return Fact::Known(Configured::Hidden) };
    let mut settings = "";
    let mut found = Fact::Absent;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            settings = line;
        }
        let toml = line.strip_prefix("cluster").filter(|_| settings == "[settings.ecs]").map(str::trim_start);
        let value = assigned(line, "ECS_CLUSTER")
            .or_else(|| toml.and_then(|rest| rest.strip_prefix('=')))
            .or_else(|| line.split_once("Initialize-ECSAgent").and_then(|(_, rest)| after(rest, "-Cluster ")));
        if let Some(value) = value {
            let value = value.trim_start().trim_start_matches(['"', '\'', '\\']);
            let end = value.find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').unwrap_or(value.len());
            found = match value.split_at(end) {
                (name, rest) if !name.is_empty() && !rest.starts_with(['$', '{', '`', '%']) => {
                    Fact::Known(Configured::Named(name.into()))
                }
                _ => Fact::Known(Configured::Hidden),
            };
        }
    }
    found
}

fn after<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    text.split_once(words).map(|(_, rest)| rest)
}

/// The value that a line gives to a variable; one that it only reads is none.
fn assigned<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (before, rest) = line.rsplit_once(name)?;
    let own = !before.ends_with(|c: char| c.is_ascii_alphanumeric() || "_$".contains(c) || c == '{');
    rest.trim_start().strip_prefix('=').filter(|_| own)
}

/// Where the node belongs, check by check.
#[must_use]
pub fn lines(seen: &Observation, registration: &Registration, now: Timestamp) -> Vec<CheckLine> {
    let mut lines = vec![registered(seen, registration, now)];
    let named = match (&seen.ecs, &registration.configured) {
        (Fact::Known(ecs), _) => Some(ecs.cluster.name().to_owned()),
        (Fact::Absent | Fact::Unknown(_), Fact::Known(Configured::Named(name))) => Some(name.as_ref().to_owned()),
        (Fact::Absent | Fact::Unknown(_), Fact::Known(Configured::Hidden) | Fact::Absent | Fact::Unknown(_)) => None,
    };
    lines.extend(named.map(|name| state(&name, &registration.cluster)));
    if seen.ecs.known().is_some() {
        lines.push(version(&registration.agent));
    }
    lines
}

fn registered(seen: &Observation, registration: &Registration, now: Timestamp) -> CheckLine {
    let id = "C03";
    let why = match &registration.configured {
        _ if !seen.node.is_instance() => "a managed node has no user data".to_owned(),
        Fact::Known(Configured::Hidden) => "user data does not show the name".to_owned(),
        Fact::Unknown(blind) => format!("could not read user data: {}", blind.as_str()),
        Fact::Known(Configured::Named(_)) | Fact::Absent => String::new(),
    };
    match (&seen.ecs, &registration.configured) {
        (Fact::Unknown(blind), _) => {
            CheckLine::unknown(id, format!("could not read whether it is in a cluster: {}", blind.as_str()))
        }
        (Fact::Known(ecs), _) if !why.is_empty() => {
            let cluster = ecs.cluster.name();
            CheckLine::unknown(
                id,
                format!("in the cluster {cluster}; whether it is the right one cannot be seen: {why}"),
            )
        }
        (Fact::Known(ecs), Fact::Known(Configured::Named(name))) if &**name != ecs.cluster.name() => {
            let text = format!("in the cluster {}, and its user data names {name}", ecs.cluster.name());
            let fix = "if the second is meant, replace it, or stop the agent, remove /var/lib/ecs/data and start it; else mend \
                       the launch template";
            CheckLine::warn(id, text, fix)
        }
        (Fact::Known(ecs), Fact::Known(_)) => {
            CheckLine::ok(id, format!("in the cluster {}, which its user data names", ecs.cluster.name()))
        }
        (Fact::Known(ecs), Fact::Absent | Fact::Unknown(_)) => {
            CheckLine::ok(id, format!("in the cluster {}; its user data names none", ecs.cluster.name()))
        }
        (Fact::Absent, Fact::Known(Configured::Named(name))) => {
            let text = format!("in no cluster, though its user data names {name}");
            let fix = "read /var/log/ecs/ecs-init.log and ecs-agent.log there; a replacement by the same template fares the same";
            let young = seen.ec2.known().is_some_and(|ec2| secs_between(ec2.launched_at, now) < REGISTERS_SECS);
            if young {
                CheckLine::warn(id, text, "wait; it may still be registering")
            } else {
                CheckLine::fail(id, text, fix)
            }
        }
        (Fact::Absent, Fact::Known(Configured::Hidden) | Fact::Unknown(_)) => {
            CheckLine::unknown(id, format!("in no cluster; whether it is meant for one cannot be seen: {why}"))
        }
        (Fact::Absent, Fact::Absent) => CheckLine::ok(id, "in no cluster, and meant for none that can be seen"),
    }
}

fn state(name: &str, cluster: &Fact<ClusterState>) -> CheckLine {
    let id = "C04";
    let fix = "create the cluster again, or mend the name in the launch template and replace the instance";
    match cluster {
        Fact::Known(ClusterState::Active) => CheckLine::ok(id, format!("the cluster {name} is ACTIVE")),
        Fact::Known(ClusterState::Provisioning) => {
            CheckLine::warn(id, format!("the cluster {name} is PROVISIONING"), "wait until it is ACTIVE")
        }
        Fact::Known(ClusterState::Other(status)) => CheckLine::fail(id, format!("the cluster {name} is {status}"), fix),
        Fact::Absent => CheckLine::fail(id, format!("ECS knows no cluster {name}"), fix),
        Fact::Unknown(blind) => {
            CheckLine::unknown(id, format!("could not read the cluster {name}: {}", blind.as_str()))
        }
    }
}

fn version(agent: &Fact<EcsAgent>) -> CheckLine {
    let id = "C16";
    let update = "aws ecs update-container-agent, or a newer image: tasks keep running";
    match agent {
        Fact::Known(EcsAgent { version, .. }) if *version < HEALTH_SINCE => {
            CheckLine::warn(id, format!("the ECS agent {version} is old: it reports no health of its runtime"), update)
        }
        Fact::Known(EcsAgent { version, update_failed: true }) => {
            CheckLine::warn(id, format!("the last update of the ECS agent, {version}, has failed"), update)
        }
        Fact::Known(EcsAgent { version, update_failed: false }) => {
            CheckLine::unknown(id, format!("the ECS agent is version {version}; ECS does not tell which is the newest"))
        }
        Fact::Absent => CheckLine::unknown(id, "the ECS agent's version is not known: ECS does not tell it"),
        Fact::Unknown(blind) => {
            CheckLine::unknown(id, format!("could not read the ECS agent's version: {}", blind.as_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Blind;
    use crate::observe::samples::{Seen, noon, seen};
    use crate::time::after;

    fn named(user_data: &str) -> Fact<Configured> {
        configured(user_data.as_bytes())
    }

    fn name(name: &str) -> Fact<Configured> {
        Fact::Known(Configured::Named(name.into()))
    }

    #[test]
    fn user_data_names_a_cluster_in_many_ways() {
        for text in [
            "#!/bin/bash\necho ECS_CLUSTER=blue >> /etc/ecs/ecs.config",
            "#!/bin/bash\ncat <<'EOF' >> /etc/ecs/ecs.config\nECS_CLUSTER=blue\nECS_ENABLE_GPU_SUPPORT=true\nEOF",
            "echo \"ECS_CLUSTER=blue\" | tee -a /etc/ecs/ecs.config",
            "#cloud-config\nwrite_files:\n- path: /etc/ecs/ecs.config\n  content: \"ECS_CLUSTER=blue\\nECS_LOGLEVEL=info\"",
            "[settings.ecs]\ncluster = \"blue\"\n[settings.host-containers.admin]\nenabled = true",
            "<powershell>\nInitialize-ECSAgent -Cluster 'blue' -EnableTaskIAMRole\n</powershell>",
            "# ECS_CLUSTER=old\nexport ECS_CLUSTER = blue\nstart --with $ECS_CLUSTER=x",
        ] {
            assert_eq!(named(text), name("blue"), "{text}");
        }
        for text in [
            "ECS_CLUSTER=$CLUSTER_NAME",
            "echo ECS_CLUSTER=prod-${COLOR} >> /etc/ecs/ecs.config",
            "ECS_CLUSTER=`hostname`",
        ] {
            assert_eq!(named(text), Fact::Known(Configured::Hidden), "{text}");
        }
        assert_eq!(configured(&[0x1f, 0x8b, 8, 0, 0xff]), Fact::Known(Configured::Hidden), "compressed");
        for text in ["", "#!/bin/sh\nyum update -y", "MY_ECS_CLUSTER=x", "[settings.other]\ncluster = \"x\""] {
            assert_eq!(named(text), Fact::Absent, "{text}");
        }
    }

    fn told(seen: &Seen, configured: &Fact<Configured>, id: &str) -> String {
        let agent = EcsAgent { version: "1.86.3".parse().unwrap(), update_failed: false };
        let registration = Registration {
            configured: configured.clone(),
            cluster: Fact::Known(ClusterState::Active),
            agent: Fact::Known(agent),
        };
        let lines = lines(seen, &registration, noon());
        lines.iter().filter(|line| line.id == id).map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_node_is_held_against_the_cluster_that_it_is_meant_for() {
        let member = || seen(noon()).in_cluster();
        assert!(told(&member(), &name("blue"), "C03").starts_with("OK"));
        assert!(told(&member(), &Fact::Absent, "C03").starts_with("OK"));
        assert!(
            told(&member(), &name("green"), "C03")
                .starts_with("WARN    C03 in the cluster blue, and its user data names green")
        );
        assert!(told(&member(), &Fact::Known(Configured::Hidden), "C03").starts_with("UNKNOWN"));
        assert!(
            told(&member(), &Fact::Unknown(Blind::Denied), "C03").contains("could not read user data: access denied")
        );
        let alone = || seen(noon());
        assert!(told(&alone(), &Fact::Absent, "C03").starts_with("OK"));
        assert!(
            told(&alone(), &name("green"), "C03")
                .starts_with("FAIL    C03 in no cluster, though its user data names green")
        );
        assert!(told(&alone(), &Fact::Unknown(Blind::Denied), "C03").starts_with("UNKNOWN"));
        let young = alone().with_ec2(|ec2| ec2.launched_at = after(noon(), -60));
        assert!(told(&young, &name("green"), "C03").starts_with("WARN"));
        let blind = alone().with(|seen| seen.ecs = Fact::Unknown(Blind::Throttled));
        assert!(told(&blind, &name("green"), "C03").starts_with("UNKNOWN"));
        assert!(told(&seen(noon()).in_cluster().hybrid(), &Fact::Absent, "C03").starts_with("UNKNOWN"));
    }

    #[test]
    fn a_cluster_that_is_gone_is_a_failure_and_a_node_without_one_has_no_line() {
        let of = |cluster: Fact<ClusterState>| state("blue", &cluster).to_string();
        assert!(of(Fact::Known(ClusterState::named("ACTIVE"))).starts_with("OK"));
        assert!(of(Fact::Known(ClusterState::named("PROVISIONING"))).starts_with("WARN"));
        assert!(
            of(Fact::Known(ClusterState::named("INACTIVE")))
                .starts_with("FAIL    C04 the cluster blue is INACTIVE; fix: ")
        );
        assert!(of(Fact::Absent).starts_with("FAIL"));
        assert!(of(Fact::Unknown(Blind::Denied)).starts_with("UNKNOWN"));
        assert_eq!(told(&seen(noon()), &Fact::Absent, "C04"), "");
        assert!(told(&seen(noon()), &name("green"), "C04").contains("cluster green"));
        assert!(told(&seen(noon()).in_cluster(), &name("green"), "C04").contains("cluster blue"));
    }

    #[test]
    fn an_old_ecs_agent_is_told_of_and_a_newer_one_is_never_called_the_newest() {
        let of = |version: &str, update_failed| {
            let agent = EcsAgent { version: version.parse().unwrap(), update_failed };
            super::version(&Fact::Known(agent)).to_string()
        };
        assert!(of("1.56.9", false).starts_with("WARN"));
        assert!(of("1.57.0", true).contains("has failed"));
        assert!(of("1.105.1", false).starts_with("UNKNOWN C16 the ECS agent is version 1.105.1"));
        assert!(version(&Fact::Unknown(Blind::Denied)).to_string().starts_with("UNKNOWN"));
        assert_eq!(told(&seen(noon()), &Fact::Absent, "C16"), "", "in no cluster");
        assert!("1.2".parse::<EcsAgentVersion>().is_err());
    }
}
