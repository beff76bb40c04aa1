//! Rows of EC2 in the diagnosis's own words. A row that lacks what it must have is none, and then the whole list is unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use aws_sdk_ec2::types::{
    DhcpConfiguration, DhcpOptions, Instance, InstanceNetworkInterface, IpPermission, ManagedPrefixList,
    NetworkInterface, PrefixListEntry, RouteOrigin, RouteState, RuleAction, Vpc, VpcEndpoint, VpcEndpointType,
};

use crate::diagnose::path::{
    AclEntry, Cidr, Destination, Endpoint, EndpointInterface, EndpointKind, GroupRule, Host, Lifetime, NameServer,
    NatGateway, NatGatewayId, NetworkAcl, Peer, Ports, PrefixListId, Protocol, Route, RouteTable, SecurityGroup,
    SecurityGroupId, Subnet, SubnetId, VpcId,
};
use crate::observe::{Blind, Fact};

/// The VPC of an instance; none where it is terminated, or in none.
pub(in crate::aws::observe) fn vpc_of(row: &Instance) -> Option<VpcId> {
    row.vpc_id()?.parse().ok()
}

/// The instance's own part of its way: its primary network interface.
pub(in crate::aws::observe) fn host(row: &Instance) -> Option<Host> {
    let first = |interface: &&InstanceNetworkInterface| {
        interface.attachment().is_some_and(|attachment| attachment.device_index() == Some(0))
    };
    let primary = row.network_interfaces().iter().find(first);
    let (subnet, groups) = match primary {
        Some(primary) => (primary.subnet_id(), primary.groups()),
        None => (row.subnet_id(), row.security_groups()),
    };
    let v4 = primary.map_or(row.private_ip_address(), InstanceNetworkInterface::private_ip_address);
    let v6 = match primary {
        Some(primary) => primary.ipv6_addresses().first().and_then(|address| address.ipv6_address()),
        None => row.ipv6_address(),
    };
    let public = primary.map_or(row.public_ip_address(), |primary| primary.association()?.public_ip());
    Some(Host {
        subnet: subnet?.parse().ok()?,
        groups: groups.iter().map(|group| group.group_id()?.parse().ok()).collect::<Option<_>>()?,
        v4: v4.map(str::parse).transpose().ok()?,
        v6: v6.map(str::parse).transpose().ok()?,
        public: public.is_some(),
    })
}

pub(super) fn block(row: &Vpc) -> Result<Cidr, Blind> {
    row.cidr_block().and_then(|block| block.parse().ok()).ok_or(Blind::Empty)
}

pub(super) fn subnet(row: &aws_sdk_ec2::types::Subnet, account: &str) -> Option<(SubnetId, Subnet)> {
    let v6 = row.ipv6_cidr_block_association_set().iter().filter_map(|associated| associated.ipv6_cidr_block());
    let blocks = row.cidr_block().into_iter().chain(v6).map(|block| block.parse().ok()).collect::<Option<Vec<_>>>()?;
    let shared = row.owner_id().is_some_and(|owner| owner != account);
    Some((row.subnet_id()?.parse().ok()?, Subnet { zone: row.availability_zone()?.parse().ok()?, blocks, shared }))
}

pub(super) fn group(row: &aws_sdk_ec2::types::SecurityGroup) -> Option<(SecurityGroupId, SecurityGroup)> {
    let rules = |rows: &[IpPermission]| rows.iter().map(rule).collect::<Option<Vec<_>>>();
    let group = SecurityGroup { inbound: rules(row.ip_permissions())?, outbound: rules(row.ip_permissions_egress())? };
    Some((row.group_id()?.parse().ok()?, group))
}

fn rule(row: &IpPermission) -> Option<GroupRule> {
    let v4 = row.ip_ranges().iter().map(|range| Some(Peer::Block(range.cidr_ip()?.parse().ok()?)));
    let v6 = row.ipv6_ranges().iter().map(|range| Some(Peer::Block(range.cidr_ipv6()?.parse().ok()?)));
    let lists = row.prefix_list_ids().iter().map(|list| Some(Peer::List(list.prefix_list_id()?.parse().ok()?)));
    let groups = row.user_id_group_pairs().iter().map(|pair| Some(Peer::Group(pair.group_id()?.parse().ok()?)));
    Some(GroupRule {
        protocol: Protocol::named(row.ip_protocol()?),
        ports: Ports::given(row.from_port(), row.to_port()),
        peers: v4.chain(v6).chain(lists).chain(groups).collect::<Option<_>>()?,
    })
}

pub(super) fn acl(row: &aws_sdk_ec2::types::NetworkAcl) -> Option<NetworkAcl> {
    let entry = |row: &aws_sdk_ec2::types::NetworkAclEntry| {
        let ports = row.port_range();
        Some(AclEntry {
            number: u16::try_from(row.rule_number()?).ok()?,
            outbound: row.egress()?,
            allow: *row.rule_action()? == RuleAction::Allow,
            protocol: Protocol::named(row.protocol()?),
            ports: ports.map_or(Ports::ALL, |ports| Ports::given(ports.from(), ports.to())),
            block: row.cidr_block().or(row.ipv6_cidr_block())?.parse().ok()?,
        })
    };
    Some(NetworkAcl {
        id: row.network_acl_id()?.parse().ok()?,
        subnets: ids(row.associations().iter().filter_map(|one| one.subnet_id()))?,
        entries: row.entries().iter().map(entry).collect::<Option<_>>()?,
    })
}

pub(super) fn route_table(row: &aws_sdk_ec2::types::RouteTable) -> Option<RouteTable> {
    Some(RouteTable {
        id: row.route_table_id()?.parse().ok()?,
        main: row.associations().iter().any(|one| one.main() == Some(true)),
        subnets: ids(row.associations().iter().filter_map(|one| one.subnet_id()))?,
        routes: row.routes().iter().map(route).collect::<Option<_>>()?,
    })
}

fn route(row: &aws_sdk_ec2::types::Route) -> Option<Route> {
    let block = row.destination_cidr_block().or(row.destination_ipv6_cidr_block());
    let to = match (block, row.destination_prefix_list_id()) {
        (Some(block), _) => Destination::Block(block.parse().ok()?),
        (None, list) => Destination::List(list?.parse().ok()?),
    };
    let target = row
        .gateway_id()
        .or(row.nat_gateway_id())
        .or(row.egress_only_internet_gateway_id())
        .or(row.transit_gateway_id())
        .or(row.vpc_peering_connection_id())
        .or(row.network_interface_id())
        .or(row.instance_id())
        .or(row.local_gateway_id())
        .or(row.carrier_gateway_id())
        .or(row.core_network_arn());
    Some(Route {
        to,
        target: target?.parse().ok()?,
        active: *row.state()? == RouteState::Active,
        propagated: row.origin() == Some(&RouteOrigin::EnableVgwRoutePropagation),
    })
}

pub(super) fn nat_gateway(row: &aws_sdk_ec2::types::NatGateway) -> Option<(NatGatewayId, NatGateway)> {
    let nat = NatGateway {
        state: Lifetime::named(row.state()?.as_str()),
        subnet: row.subnet_id().map(str::parse).transpose().ok()?,
        // Public is what it was before there was another kind.
        public: row.connectivity_type().is_none_or(|kind| kind.as_str() == "public"),
        has_public_address: row.nat_gateway_addresses().iter().any(|address| address.public_ip().is_some()),
    };
    Some((row.nat_gateway_id()?.parse().ok()?, nat))
}

pub(super) fn endpoint(
    row: &VpcEndpoint,
    interfaces: Result<&BTreeMap<String, EndpointInterface>, Blind>,
) -> Option<Endpoint> {
    let kind = match row.vpc_endpoint_type() {
        Some(VpcEndpointType::Interface) => EndpointKind::Interface,
        // The first kind there was.
        Some(VpcEndpointType::Gateway) | None => EndpointKind::Gateway,
        Some(_) => EndpointKind::Other,
    };
    let family = row.ip_address_type().map_or("ipv4", |family| family.as_str());
    let own = |all: &BTreeMap<String, EndpointInterface>| {
        let own = row.network_interface_ids().iter().map(|id| all.get(id).cloned());
        own.collect::<Option<Vec<_>>>().map_or(Fact::Unknown(Blind::Empty), Fact::Known)
    };
    Some(Endpoint {
        id: row.vpc_endpoint_id()?.parse().ok()?,
        service: Arc::from(row.service_name()?),
        kind,
        state: Lifetime::named(row.state()?.as_str()),
        subnets: ids(row.subnet_ids().iter().map(String::as_str))?,
        interfaces: interfaces.map_or_else(Fact::Unknown, own),
        groups: row.groups().iter().map(|group| group.group_id()?.parse().ok()).collect::<Option<BTreeSet<_>>>()?,
        private_dns: row.private_dns_enabled().unwrap_or_default(),
        v4: family != "ipv6",
        v6: family != "ipv4",
        policy: row.policy_document().map(Arc::from),
    })
}

pub(super) fn interface(row: &NetworkInterface) -> Option<(String, EndpointInterface)> {
    let v4 = row.private_ip_addresses().iter().filter_map(|address| address.private_ip_address());
    let v6 = row.ipv6_addresses().iter().filter_map(|address| address.ipv6_address());
    let addresses = v4.chain(v6).map(|address| address.parse().ok()).collect::<Option<Vec<IpAddr>>>()?;
    let found = EndpointInterface { subnet: row.subnet_id()?.parse().ok()?, addresses };
    Some((row.network_interface_id()?.to_owned(), found))
}

pub(super) fn name_servers(row: &DhcpOptions) -> Option<Vec<NameServer>> {
    let servers = row.dhcp_configurations().iter().filter(|one| one.key() == Some("domain-name-servers"));
    servers.flat_map(DhcpConfiguration::values).map(|value| value.value()?.parse().ok()).collect()
}

/// The prefix lists that groups and routes name.
pub(super) fn lists_named(
    groups: Option<&BTreeMap<SecurityGroupId, SecurityGroup>>,
    tables: Option<&Vec<RouteTable>>,
) -> BTreeSet<PrefixListId> {
    let rules =
        groups.into_iter().flat_map(BTreeMap::values).flat_map(|group| group.inbound.iter().chain(&group.outbound));
    let of_rules = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
        Peer::List(list) => Some(list.clone()),
        Peer::Block(_) | Peer::Group(_) => None,
    });
    let routes = tables.into_iter().flatten().flat_map(|table| &table.routes);
    let of_routes = routes.filter_map(|route| match &route.to {
        Destination::List(list) => Some(list.clone()),
        Destination::Block(_) => None,
    });
    of_rules.chain(of_routes).collect()
}

pub(super) fn list_names(rows: &[ManagedPrefixList]) -> BTreeMap<PrefixListId, Arc<str>> {
    let name =
        |row: &ManagedPrefixList| Some((row.prefix_list_id()?.parse().ok()?, Arc::from(row.prefix_list_name()?)));
    rows.iter().filter_map(name).collect()
}

pub(super) fn blocks(rows: &[PrefixListEntry]) -> Option<Vec<Cidr>> {
    rows.iter().map(|row| row.cidr()?.parse().ok()).collect()
}

fn ids<'a, T: std::str::FromStr>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<T>> {
    texts.map(|text| text.parse().ok()).collect()
}
