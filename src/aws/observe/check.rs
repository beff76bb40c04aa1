//! `defib check`: a node is looked at as closely as can be, whether it is well or not, and every check gets its line.
//!
//! Reads alone, with the rights of whoever asks.

use aws_sdk_ec2::types::{Instance, InstanceAutoRecoveryState, SummaryStatus};
use jiff::Timestamp;

use super::vpc;
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::aws::translate::moment;
use crate::diagnose::identity::{instance, managed};
use crate::diagnose::platform::{EventKind, Hardware, ScheduledEvent};
use crate::diagnose::ssm_view::AgentRelease;
use crate::diagnose::{Agents, CheckLine, Diagnosis, Finding, allowed, diagnose_with, ecs_view, platform, ssm_view};
use crate::node::{AccountId, NodeId};
use crate::observe::{Blind, Check, Fact, Health, Look, Observation};
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
        let look = Look { close: true, ..Look::default() };
        let seen = Box::pin(self.observe(node, &look, now)).await;
        let row = if node.is_instance() { self.instance_row(node, now).await.known().cloned() } else { None };
        let hardware = Box::pin(self.hardware(node, row.as_ref())).await;
        let mut lines = platform::lines(&seen, &hardware, policy, now);
        if let Some(row) = &row {
            lines.extend(Box::pin(self.around_lines(&seen, row, now)).await);
        }
        lines.extend(allowed::lines(&seen, policy, now));
        if !node.is_instance() {
            lines.extend(self.activation_lines(&seen, now));
        }
        lines.extend(ssm_view::lines(&seen, &self.release(node), now));
        lines.extend(ecs_view::lines(&seen));
        let health = Health::of(&seen, now);
        // Of a node that is well, what may befall it some day explains nothing.
        let more = if health.is_well() { Fact::Absent } else { platform::channel(&seen, &hardware, now) };
        let more: Vec<Finding> = more.known().map(|findings| findings.to_vec()).unwrap_or_default();
        Checked { node, lines, diagnosis: diagnose_with(&seen, health, &more, now), well: health.is_well() }
    }

    /// The activation of a managed node: `DescribeActivations` is not read, so only that is said.
    fn activation_lines(&self, seen: &Observation, now: Timestamp) -> Vec<CheckLine> {
        let registered = match (&seen.ssm, self.release(seen.node)) {
            (Fact::Absent, _) => Fact::Absent,
            (Fact::Unknown(blind), _) => Fact::Unknown(*blind),
            (Fact::Known(_), Fact::Known(release)) => Fact::Known(release.version),
            (Fact::Known(_), Fact::Absent | Fact::Unknown(_)) => Fact::Unknown(Blind::Empty),
        };
        managed(&Fact::Unknown(Blind::NotRead), &registered, now).lines()
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
        let status = answer.map_err(|error| Fault::of("DescribeInstanceStatus", &error).blind());
        let status = status
            .and_then(|output| output.instance_statuses.and_then(|rows| rows.into_iter().next()).ok_or(Blind::Empty));
        match status {
            Ok(status) => {
                let volumes = match status.attached_ebs_status().and_then(|summary| summary.status()) {
                    Some(SummaryStatus::Ok) => Check::Ok,
                    Some(SummaryStatus::Impaired) => Check::Impaired,
                    Some(_) | None => Check::Undecided,
                };
                let events = status.events().iter().map(|event| ScheduledEvent {
                    kind: EventKind::named(event.code().map_or("", |code| code.as_str())),
                    not_before: event.not_before().and_then(moment),
                    description: event.description().unwrap_or_default().into(),
                });
                Hardware { volumes: Fact::Known(volumes), events: Fact::Known(events.collect()), auto_recovery }
            }
            Err(blind) => Hardware { volumes: Fact::Unknown(blind), events: Fact::Unknown(blind), auto_recovery },
        }
    }

    /// The SSM agent's version. Whether it is the latest, the row does not keep.
    fn release(&self, node: NodeId) -> Fact<AgentRelease> {
        match self.cache.rows.ever(&node).map(|row| row.version) {
            Some(Some(version)) => Fact::Known(AgentRelease { version, latest: None }),
            Some(None) => Fact::Unknown(Blind::Empty),
            None => Fact::Absent,
        }
    }

    /// The nodes of a cluster, by its name or ARN.
    ///
    /// # Errors
    /// Why the account could not be read.
    pub async fn members(&self, cluster: &str, now: Timestamp) -> Result<Vec<NodeId>, Blind> {
        let census = Box::pin(self.take_census(now)).await?;
        Ok(census.members(cluster))
    }

    /// The account that a node is in.
    ///
    /// # Errors
    /// Why it could not be read; none such is [`Blind::Empty`].
    pub async fn account_of(&self, node: Option<NodeId>) -> Result<AccountId, Blind> {
        let request = self.clients.ec2.describe_instances();
        let request = request.set_instance_ids(node.map(|node| vec![node.to_string()]));
        let answer = request.send().await.map_err(|error| Fault::of("DescribeInstances", &error).blind())?;
        let rows = answer.reservations.unwrap_or_default();
        rows.iter().find_map(|row| row.owner_id()?.parse().ok()).ok_or(Blind::Empty)
    }
}
