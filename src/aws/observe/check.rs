//! `defib check`: a node is looked at as closely as can be, whether it is well or not, and every check gets its line.
//!
//! Reads alone, with the rights of whoever asks.

use aws_sdk_ec2::types::{Instance, InstanceAutoRecoveryState};
use aws_sdk_ssm::types::InstanceInformation;
use jiff::Timestamp;

use super::{Rows, vpc};
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::diagnose::identity::{instance, managed};
use crate::diagnose::platform::Hardware;
use crate::diagnose::ssm_view::AgentRelease;
use crate::diagnose::{
    Agents, CheckLine, Diagnosis, allowed, console_view, diagnose, ecs_view, platform, registration, ssm_view,
};
use crate::node::{AccountId, NodeId};
use crate::observe::{Blind, Fact, Health, Look, Observation};
use crate::policy::Policy;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The node.
    pub node: NodeId,
    /// Every check, in the order of `docs/DIAGNOSIS.md`.
    pub lines: Vec<CheckLine>,
    /// What they say together.
    pub diagnosis: Diagnosis,
    /// Whether every agent that it has answers.
    pub well: bool,
}

impl Nodes {
    /// Checks a node. Nothing in here fails: what could not be read is a line that says so.
    pub async fn check(&self, node: NodeId, policy: &Policy, now: Timestamp) -> Checked {
        let seen = Box::pin(self.observe(node, &Look::closely(), now)).await;
        let row = if node.is_instance() { self.instance_row(node, now).await.known().cloned() } else { None };
        let hardware = Box::pin(self.hardware(node, row.as_ref())).await;
        let health = Health::of(&seen, now);
        let well = health.is_well();
        // Of a node that is well no decision needs the console, but whoever checks it wants to know.
        let console = match &seen.console {
            Fact::Unknown(Blind::NotRead) if node.is_instance() => Box::pin(self.console(node, now)).await,
            read => read.clone(),
        };
        let listed = Box::pin(self.listed_row(node)).await;
        let registration = Box::pin(self.registration(node, &seen.ecs)).await;
        let mut lines = platform::lines(&seen, &hardware, policy, now);
        lines.extend(console_view::lines(&console, well));
        if let Some(row) = &row {
            lines.extend(Box::pin(self.around_lines(&seen, row, now)).await);
        }
        lines.extend(allowed::lines(&seen, policy, now));
        if !node.is_instance() {
            lines.extend(Box::pin(self.activation_lines(&listed, now)).await);
        }
        lines.extend(ssm_view::lines(&seen, &release(&listed), now));
        lines.extend(ecs_view::lines(&seen));
        lines.extend(registration::lines(&seen, &registration, now));
        Checked { node, lines, diagnosis: diagnose(&seen, health, now), well }
    }

    /// The activation of a managed node.
    async fn activation_lines(&self, listed: &Fact<InstanceInformation>, now: Timestamp) -> Vec<CheckLine> {
        let activation = match listed {
            Fact::Known(row) => match row.activation_id() {
                Some(id) => self.activation(id).await,
                None => Fact::Unknown(Blind::Empty),
            },
            // Which one a node would have used that is not registered, nobody can know.
            Fact::Absent => Fact::Unknown(Blind::NotRead),
            Fact::Unknown(blind) => Fact::Unknown(*blind),
        };
        let registered = match release(listed) {
            Fact::Known(release) => Fact::Known(release.version),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(blind) => Fact::Unknown(blind),
        };
        managed(&activation, &registered, now).lines()
    }

    /// Network and identity, of a well node too.
    async fn around_lines(&self, seen: &Observation, row: &Instance, now: Timestamp) -> Vec<CheckLine> {
        // Of a node that no agent was ever heard of, both are looked for.
        let never = seen.ssm == Fact::Absent && seen.ecs == Fact::Absent;
        let has = |there: bool| there || never;
        let agents = Agents { ssm: has(seen.ssm != Fact::Absent), ecs: has(seen.ecs != Fact::Absent) };
        let mut lines = match vpc::host(row).zip(vpc::vpc_of(row)) {
            Some((host, vpc)) => Box::pin(self.around_vpc(&vpc, now)).await.paths(&host).lines(agents),
            None => vec![CheckLine::unknown("N01", "the instance's place in its VPC could not be read")],
        };
        lines.extend(instance(&Box::pin(self.who(row, agents, now)).await, agents).lines());
        lines
    }

    async fn hardware(&self, node: NodeId, row: Option<&Instance>) -> Hardware {
        let recovery = row.and_then(|row| row.maintenance_options()).and_then(|options| options.auto_recovery());
        let auto_recovery = match (row, recovery) {
            (None, _) => Fact::Absent,
            // Automatic recovery is on where nothing else is said (EC2 user guide).
            (Some(_), recovery) => Fact::Known(recovery != Some(&InstanceAutoRecoveryState::Disabled)),
        };
        if row.is_none() {
            return Hardware { volumes: Fact::Absent, events: Fact::Absent, auto_recovery };
        }
        let request = self.clients.ec2.describe_instance_status();
        let answer = request.instance_ids(node.to_string()).include_all_instances(true).send().await;
        let status = answer.map_err(|error| Fault::of("DescribeInstanceStatus", error).blind());
        let status = status
            .and_then(|output| output.instance_statuses.and_then(|rows| rows.into_iter().next()).ok_or(Blind::Empty));
        match status {
            Ok(status) => {
                let events = Fact::Known(super::ec2::events_of(&status));
                Hardware { volumes: Fact::Known(super::ec2::checks_of(&status).volumes), events, auto_recovery }
            }
            Err(blind) => Hardware { volumes: Fact::Unknown(blind), events: Fact::Unknown(blind), auto_recovery },
        }
    }

    /// The nodes of a cluster, by its name or ARN.
    ///
    /// # Errors
    /// Why the account could not be read.
    pub async fn members(&self, cluster: &str, now: Timestamp) -> Result<Vec<NodeId>, Blind> {
        let census = Box::pin(self.take_census(Rows::None, now)).await?;
        Ok(census.members(cluster))
    }

    /// The account that a node is in.
    ///
    /// # Errors
    /// Why it could not be read; none such is [`Blind::Empty`].
    pub async fn account_of(&self, node: Option<NodeId>) -> Result<AccountId, Blind> {
        let request = self.clients.ec2.describe_instances();
        let request = request.set_instance_ids(node.map(|node| vec![node.to_string()]));
        let answer = request.send().await.map_err(|error| Fault::of("DescribeInstances", error).blind())?;
        let rows = answer.reservations.unwrap_or_default();
        rows.iter().find_map(|row| row.owner_id()?.parse().ok()).ok_or(Blind::Empty)
    }
}

/// The SSM agent's version, and whether it is the latest; of Windows that is not said.
fn release(listed: &Fact<InstanceInformation>) -> Fact<AgentRelease> {
    match listed {
        Fact::Known(row) => match row.agent_version().and_then(|version| version.parse().ok()) {
            Some(version) => Fact::Known(AgentRelease { version, latest: row.is_latest_version() }),
            None => Fact::Unknown(Blind::Empty),
        },
        Fact::Absent => Fact::Absent,
        Fact::Unknown(blind) => Fact::Unknown(*blind),
    }
}
