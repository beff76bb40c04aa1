//! Counts of the whole account at one moment: groups, zones, what nodes share, and who looks troubled.
//!
//! Pure: rows in, counts out. The rules are those by which the simulated account counts (`sim/world/census.rs`, `share.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::event::{Signal, SignalKind, SweptAgent};
use crate::incident::held::Ghost;
use crate::node::{AutoScalingGroupName, AvailabilityZone, ClusterArn, ContainerInstanceArn, NodeId, ResourceName};
use crate::observe::{
    Blind, Check, Common, EcsStatus, Fact, Factor, Factors, Group, InstanceState, Lifecycle, PING_STALE_SECS, Ping,
    StatusChecks,
};
use crate::time::secs_between;

/// A member in service that has not registered for longer than this since its launch looks lost, in seconds.
const REGISTERS_SECS: i64 = 600;
/// A ping at most this old, in seconds, shows that the way to Systems Manager is open: agents ping every five minutes.
const ANSWERS_SECS: i64 = 360;

/// One node, as far as counts need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aws) struct Row {
    pub node: NodeId,
    /// The instance's state; none for a managed node, which EC2 does not know.
    pub state: Option<InstanceState>,
    pub launched_at: Option<Timestamp>,
    pub zone: Option<AvailabilityZone>,
    pub subnet: Option<ResourceName>,
    pub security_groups: BTreeSet<String>,
    /// The instance profile. Its name stands for its role: they hold one role each, and mostly share its name.
    pub profile: Option<ResourceName>,
    pub image: Option<ResourceName>,
    pub checks: StatusChecks,
    pub ssm: Option<(Ping, Timestamp)>,
    pub ecs: Option<EcsRow>,
    pub member: Option<(AutoScalingGroupName, Lifecycle)>,
}

/// A node's container instance, as far as counts need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aws) struct EcsRow {
    pub cluster: ClusterArn,
    pub arn: ContainerInstanceArn,
    pub connected: bool,
    pub status: EcsStatus,
    pub runtime_impaired: bool,
    /// Since when the agent's connection has been impaired, by ECS's own clock.
    pub impaired_since: Option<Timestamp>,
}

/// What a node counts with: its cluster, else its Auto Scaling group, else the account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kin {
    Cluster(ClusterArn),
    Fleet(AutoScalingGroupName),
    Account,
}

impl Kin {
    fn of(row: &Row) -> Self {
        match (&row.ecs, &row.member) {
            (Some(ecs), _) => Self::Cluster(ecs.cluster.clone()),
            (None, Some((group, _))) => Self::Fleet(group.clone()),
            (None, None) => Self::Account,
        }
    }

    fn label(&self) -> &str {
        match self {
            Self::Cluster(cluster) => cluster.name(),
            Self::Fleet(group) => group.as_str(),
            Self::Account => "the account",
        }
    }
}

/// How many, and how many of them are unhealthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Tally {
    size: u32,
    unhealthy: u32,
}

impl Tally {
    fn count(&mut self, unhealthy: bool) {
        self.size = self.size.saturating_add(1);
        self.unhealthy = self.unhealthy.saturating_add(u32::from(unhealthy));
    }
}

/// The whole account at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::aws) struct Census {
    /// When its first read was sent.
    pub at: Timestamp,
    rows: BTreeMap<NodeId, Row>,
    account: Tally,
    groups: BTreeMap<Kin, Tally>,
    zones: BTreeMap<AvailabilityZone, Tally>,
    /// Members of one group in one zone.
    parts: BTreeMap<(Kin, AvailabilityZone), Tally>,
    shares: BTreeMap<Factor, u32>,
    /// Groups of which some member is registered with Systems Manager, so that the others should be.
    registers: BTreeSet<AutoScalingGroupName>,
}

impl Census {
    /// Counts.
    pub(in crate::aws) fn of(at: Timestamp, rows: Vec<Row>) -> Self {
        let registers = rows.iter().filter(|row| row.ssm.is_some());
        let registers = registers.filter_map(|row| row.member.as_ref().map(|(group, _)| group.clone())).collect();
        let mut census = Self {
            at,
            rows: rows.into_iter().map(|row| (row.node, row)).collect(),
            account: Tally::default(),
            groups: BTreeMap::new(),
            zones: BTreeMap::new(),
            parts: BTreeMap::new(),
            shares: BTreeMap::new(),
            registers,
        };
        let rows = std::mem::take(&mut census.rows);
        for row in rows.values().filter(|row| stays(row)) {
            let (unhealthy, kin) = (census.is_unhealthy(row), Kin::of(row));
            census.account.count(unhealthy);
            if let Some(zone) = &row.zone {
                census.zones.entry(zone.clone()).or_default().count(unhealthy);
                census.parts.entry((kin.clone(), zone.clone())).or_default().count(unhealthy);
            }
            census.groups.entry(kin).or_default().count(unhealthy);
            for factor in factors(row) {
                let members = census.shares.entry(factor).or_default();
                *members = members.saturating_add(1);
            }
        }
        census.rows = rows;
        census
    }

    /// The nodes of a cluster, by its name or ARN.
    pub(in crate::aws) fn members(&self, cluster: &str) -> Vec<NodeId> {
        let is = |row: &&Row| {
            row.ecs.as_ref().is_some_and(|ecs| ecs.cluster.as_str() == cluster || ecs.cluster.name() == cluster)
        };
        self.rows.values().filter(is).map(|row| row.node).collect()
    }

    /// Nodes that exist.
    pub(in crate::aws) fn fleet(&self) -> u32 {
        self.account.size
    }

    /// The group that a node counts with.
    pub(in crate::aws) fn group(&self, node: NodeId) -> Fact<Group> {
        // It was launched since.
        let Some(row) = self.rows.get(&node) else { return Fact::Unknown(Blind::Empty) };
        let kin = Kin::of(row);
        let whole = match &kin {
            Kin::Account => self.account,
            kin => self.groups.get(kin).copied().unwrap_or_default(),
        };
        let zone = row.zone.as_ref().and_then(|zone| self.zones.get(zone)).copied().unwrap_or_default();
        let part = row.zone.clone().and_then(|zone| self.parts.get(&(kin.clone(), zone)).copied()).unwrap_or_default();
        let own = u32::from(stays(row));
        let own_unhealthy = u32::from(stays(row) && self.is_unhealthy(row));
        Fact::Known(Group {
            name: Arc::from(kin.label()),
            size: whole.size,
            zone_size: zone.size,
            unhealthy: whole.unhealthy,
            zone_unhealthy: zone.unhealthy,
            zone_peers: part.size.saturating_sub(own),
            zone_peers_unhealthy: part.unhealthy.saturating_sub(own_unhealthy),
        })
    }

    /// What a node shares with others.
    pub(in crate::aws) fn factors(&self, node: NodeId) -> Fact<Factors> {
        let Some(row) = self.rows.get(&node) else { return Fact::Unknown(Blind::Empty) };
        let share = |factor: Factor| Common { members: self.shares.get(&factor).copied().unwrap_or(1), factor };
        Fact::Known(Factors { shared: factors(row).map(share).collect(), fleet: self.account.size })
    }

    /// Where a node's container instance was. One that was launched shortly before may have registered since.
    pub(in crate::aws) fn place(&self, node: NodeId) -> Fact<(ClusterArn, ContainerInstanceArn)> {
        let unknown = Fact::Unknown(Blind::NotRead);
        let Some(row) = self.rows.get(&node) else { return unknown };
        match &row.ecs {
            Some(ecs) => Fact::Known((ecs.cluster.clone(), ecs.arn.clone())),
            None if self.is_settled(row) => Fact::Absent,
            None => unknown,
        }
    }

    /// Whether a node was an instance that runs.
    pub(in crate::aws) fn runs(&self, node: NodeId) -> bool {
        self.rows.get(&node).is_some_and(|row| row.state == Some(InstanceState::Running))
    }

    /// The status checks of a node.
    pub(in crate::aws) fn checks(&self, node: NodeId) -> Option<StatusChecks> {
        self.rows.get(&node).map(|row| row.checks)
    }

    /// Whether another node of the same subnet and the same security groups was heard by Systems Manager a short time ago: then
    /// routes, network ACLs, endpoints and security groups let the agent through.
    pub(in crate::aws) fn neighbour_answers(&self, node: NodeId) -> bool {
        let Some(own) = self.rows.get(&node).filter(|own| own.subnet.is_some()) else { return false };
        self.rows.values().any(|row| {
            row.node != node
                && row.subnet == own.subnet
                && row.security_groups == own.security_groups
                && row.ssm.is_some_and(|(ping, at)| ping == Ping::Online && secs_between(at, self.at) <= ANSWERS_SECS)
        })
    }

    /// Running nodes of which AWS shows an agent as lost, and since when: by the agent that was lost last, and by the one that
    /// has been away for longest. Whatever does not run is no trouble of its agents.
    ///
    /// A managed node that is switched off looks like one whose agent died; it is not told about unless ECS misses it, too.
    pub(in crate::aws) fn troubled(&self) -> Vec<(Signal, Option<Timestamp>)> {
        let mut found = Vec::new();
        for row in self.rows.values().filter(|row| matches!(row.state, None | Some(InstanceState::Running))) {
            let ssm = row.state.is_some() && self.ssm_looks_lost(row);
            let ecs = row.ecs.as_ref().filter(|ecs| !ecs.connected && ecs.status != EcsStatus::Inactive);
            let agent = match (ssm, ecs) {
                (true, _) => SweptAgent::Ssm,
                (false, Some(_)) => SweptAgent::Ecs,
                (false, None) => continue,
            };
            let of_ssm = ssm.then(|| row.ssm.map(|(_, at)| at).or(row.launched_at)).flatten();
            let of_ecs = ecs.and_then(|ecs| ecs.impaired_since);
            let losses = [of_ssm, of_ecs];
            let newest = losses.into_iter().flatten().max();
            let kind = SignalKind::Swept { agent, since: newest };
            found.push((Signal { node: row.node, at: self.at, kind }, losses.into_iter().flatten().min()));
        }
        found
    }

    /// Container instances that are still registered though their instance does not exist any more.
    pub(in crate::aws) fn ghosts(&self) -> Vec<Ghost> {
        let gone = self.rows.values().filter(|row| row.state == Some(InstanceState::Terminated));
        let left = gone.filter_map(|row| Some((row.node, row.ecs.as_ref()?)));
        left.map(|(node, ecs)| Ghost { node, cluster: ecs.cluster.clone(), container_instance: ecs.arn.clone() })
            .collect()
    }

    fn ssm_looks_lost(&self, row: &Row) -> bool {
        if matches!(row.state, Some(state) if state != InstanceState::Running) {
            return false;
        }
        match row.ssm {
            Some((ping, at)) => ping == Ping::ConnectionLost || secs_between(at, self.at) > PING_STALE_SECS,
            // Where nobody of a group that ECS knows uses Systems Manager, nobody is expected to.
            None => row.member.as_ref().is_some_and(|(group, lifecycle)| {
                *lifecycle == Lifecycle::InService
                    && self.is_settled(row)
                    && (row.ecs.is_none() || self.registers.contains(group))
            }),
        }
    }

    fn is_settled(&self, row: &Row) -> bool {
        row.launched_at.is_some_and(|at| secs_between(at, self.at) > REGISTERS_SECS)
    }

    /// Whether AWS shows a node as unhealthy.
    fn is_unhealthy(&self, row: &Row) -> bool {
        let runs = row.state == Some(InstanceState::Running);
        row.ecs.as_ref().is_some_and(|ecs| !ecs.connected || ecs.runtime_impaired)
            || self.ssm_looks_lost(row)
            || runs && (row.checks.system == Check::Impaired || row.checks.instance == Check::Impaired)
            || stands_still(row)
    }
}

/// Whether a node is one that stays: neither gone nor on its way out.
fn stays(row: &Row) -> bool {
    !matches!(row.state, Some(InstanceState::ShuttingDown | InstanceState::Terminated))
}

/// Whether a member of an Auto Scaling group does not run, though its group wants it to.
fn stands_still(row: &Row) -> bool {
    matches!(row.state, Some(InstanceState::Stopping | InstanceState::Stopped))
        && row.member.as_ref().is_some_and(|(_, lifecycle)| *lifecycle != Lifecycle::Terminating)
}

/// What a node shares, in order.
fn factors(row: &Row) -> impl Iterator<Item = Factor> + '_ {
    let subnet = row.subnet.clone().map(Factor::Subnet);
    let role = row.profile.clone().map(Factor::Role);
    let image = row.image.clone().map(Factor::Image);
    [subnet, role, image, row.zone.clone().map(Factor::Zone)].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::after;

    fn noon() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn row(n: u128) -> Row {
        Row {
            node: NodeId::numbered(n),
            state: Some(InstanceState::Running),
            launched_at: Some(after(noon(), -86_400)),
            zone: Some("us-east-1a".parse().unwrap()),
            subnet: Some("subnet-1".parse().unwrap()),
            security_groups: BTreeSet::from(["sg-1".to_owned()]),
            profile: Some("web".parse().unwrap()),
            image: Some("ami-1".parse().unwrap()),
            checks: StatusChecks { system: Check::Ok, instance: Check::Ok, ..StatusChecks::UNDECIDED },
            ssm: Some((Ping::Online, after(noon(), -60))),
            ecs: None,
            member: None,
        }
    }

    fn in_cluster(n: u128, connected: bool) -> Row {
        let arn = "arn:aws:ecs:us-east-1:111122223333:";
        let ecs = EcsRow {
            cluster: format!("{arn}cluster/blue").parse().unwrap(),
            arn: format!("{arn}container-instance/blue/{n}").parse().unwrap(),
            connected,
            status: EcsStatus::Active,
            runtime_impaired: false,
            impaired_since: (!connected).then(|| after(noon(), -500)),
        };
        Row { ecs: Some(ecs), ..row(n) }
    }

    fn in_group(n: u128, lifecycle: Lifecycle) -> Row {
        Row { member: Some(("web".parse().unwrap(), lifecycle)), ..row(n) }
    }

    fn lost(row: Row, secs: i64) -> Row {
        Row { ssm: Some((Ping::Online, after(noon(), -secs))), ..row }
    }

    fn group(rows: Vec<Row>, n: u128) -> Group {
        Census::of(noon(), rows).group(NodeId::numbered(n)).known().unwrap().clone()
    }

    #[test]
    fn a_node_counts_with_its_cluster_else_its_group_else_the_account() {
        let rows = || vec![in_cluster(1, true), in_cluster(2, false), in_group(3, Lifecycle::InService), row(4)];
        let counted = |n| (group(rows(), n).name.to_string(), group(rows(), n).size, group(rows(), n).unhealthy);
        assert_eq!(counted(1), ("blue".to_owned(), 2, 1));
        assert_eq!(counted(3), ("web".to_owned(), 1, 0));
        assert_eq!(counted(4), ("the account".to_owned(), 4, 1));
        let blue = group(rows(), 1);
        assert_eq!((blue.zone_size, blue.zone_unhealthy, blue.zone_peers, blue.zone_peers_unhealthy), (4, 1, 1, 1));
        assert_eq!(group(rows(), 2).zone_peers_unhealthy, 0, "the other one is well");
    }

    #[test]
    fn whoever_is_on_its_way_out_does_not_count() {
        for (state, ghosts) in [(InstanceState::ShuttingDown, 0), (InstanceState::Terminated, 1)] {
            let gone = Row { state: Some(state), ..in_cluster(2, false) };
            let census = Census::of(noon(), vec![in_cluster(1, true), gone]);
            assert_eq!((census.fleet(), census.ghosts().len(), census.troubled().len()), (1, ghosts, 0));
            assert_eq!(census.group(NodeId::numbered(1)).known().unwrap().unhealthy, 0);
        }
    }

    #[test]
    fn unhealthy_is_what_aws_shows() {
        let counted = |row: Row| group(vec![row], 1).unhealthy;
        assert_eq!(counted(row(1)), 0);
        assert_eq!(counted(lost(row(1), PING_STALE_SECS)), 0);
        assert_eq!(counted(lost(row(1), PING_STALE_SECS + 1)), 1);
        assert_eq!(counted(Row { checks: StatusChecks { instance: Check::Impaired, ..row(1).checks }, ..row(1) }), 1);
        let stopped = |row| Row { state: Some(InstanceState::Stopped), ..row };
        assert_eq!(counted(stopped(lost(row(1), 9_000))), 0, "somebody stopped it");
        assert_eq!(counted(stopped(in_group(1, Lifecycle::InService))), 1, "its group wants it to run");
        let unregistered = Row { ssm: None, ..in_group(1, Lifecycle::InService) };
        assert_eq!(counted(unregistered.clone()), 1);
        assert_eq!(counted(Row { launched_at: Some(after(noon(), -600)), ..unregistered }), 0, "not yet");
    }

    #[test]
    fn who_never_registered_is_expected_only_where_its_fellows_are() {
        let member = |n, ssm| Row { ssm, member: in_group(n, Lifecycle::InService).member, ..in_cluster(n, true) };
        let alone = Census::of(noon(), vec![member(1, None), member(2, None)]);
        assert!(alone.troubled().is_empty(), "nobody of the group uses Systems Manager");
        let one = Census::of(noon(), vec![member(1, None), member(2, row(2).ssm)]);
        assert_eq!(one.troubled().len(), 1);
    }

    #[test]
    fn what_nodes_share_is_counted_with_its_members() {
        let other = Row { subnet: Some("subnet-2".parse().unwrap()), ..row(3) };
        let census = Census::of(noon(), vec![row(1), row(2), other]);
        let factors = census.factors(NodeId::numbered(1)).known().unwrap().clone();
        let counted: Vec<_> = factors.shared.iter().map(|common| (common.factor.to_string(), common.members)).collect();
        let expected = [
            ("subnet subnet-1".to_owned(), 2),
            ("role web".to_owned(), 3),
            ("image ami-1".to_owned(), 3),
            ("Availability Zone us-east-1a".to_owned(), 3),
        ];
        assert_eq!((counted, factors.fleet), (expected.to_vec(), 3));
    }

    #[test]
    fn whoever_was_launched_since_is_unknown_and_never_half_counted() {
        let census = Census::of(noon(), vec![row(1)]);
        assert_eq!(census.group(NodeId::numbered(2)), Fact::Unknown(Blind::Empty));
        assert_eq!(census.factors(NodeId::numbered(2)), Fact::Unknown(Blind::Empty));
        assert_eq!(census.place(NodeId::numbered(2)), Fact::Unknown(Blind::NotRead));
        assert_eq!(census.place(NodeId::numbered(1)), Fact::Absent);
    }

    #[test]
    fn troubles_carry_both_ends_of_the_outage() {
        let both = lost(in_cluster(1, false), 1_000);
        let census = Census::of(noon(), vec![both, in_cluster(2, false), in_cluster(3, true)]);
        let found = census.troubled();
        let ssm = SignalKind::Swept { agent: SweptAgent::Ssm, since: Some(after(noon(), -500)) };
        assert_eq!((&found[0].0.kind, found[0].1), (&ssm, Some(after(noon(), -1_000))));
        let ecs = SignalKind::Swept { agent: SweptAgent::Ecs, since: Some(after(noon(), -500)) };
        assert_eq!((&found[1].0.kind, found.len()), (&ecs, 2));
    }

    #[test]
    fn a_managed_node_that_is_silent_may_be_switched_off() {
        let managed: NodeId = "mi-0a1b2c3d4e5f60718".parse().unwrap();
        let silent = lost(Row { node: managed, state: None, zone: None, ..row(1) }, 9_000);
        let anywhere = Row { node: managed, state: None, zone: None, ..in_cluster(1, false) };
        assert!(Census::of(noon(), vec![silent]).troubled().is_empty());
        assert_eq!(Census::of(noon(), vec![anywhere]).troubled().len(), 1);
    }

    #[test]
    fn a_neighbour_that_answers_shows_that_the_way_is_open() {
        let answers =
            |other: Row| Census::of(noon(), vec![lost(row(1), 9_000), other]).neighbour_answers(NodeId::numbered(1));
        assert!(answers(row(2)));
        assert!(!answers(lost(row(2), 9_000)));
        assert!(!answers(Row { subnet: Some("subnet-2".parse().unwrap()), ..row(2) }));
        assert!(!answers(Row { security_groups: BTreeSet::new(), ..row(2) }));
        assert!(!answers(Row { ssm: None, ..row(2) }));
    }
}
