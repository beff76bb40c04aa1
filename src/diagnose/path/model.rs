//! What surrounds an instance in its VPC, as the API tells it.
//!
//! Each part is a [`Fact`]. A list that was read and is empty is `Known` and empty (or `Absent`, which is the same); a list that
//! could not be read is `Unknown`, and then nothing is concluded from what it lacks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use std::sync::Arc;

use super::cidr::{Cidr, Family};
use super::ids::{
    NatGatewayId, NetworkAclId, PrefixListId, RouteTableId, SecurityGroupId, SubnetId, VpcEndpointId, VpcId,
};
use crate::node::{AvailabilityZone, BadName, Region, ResourceName};
use crate::observe::Fact;

/// The instance's own part of its way: the primary network interface (`DescribeInstances`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// `SubnetId`.
    pub subnet: SubnetId,
    /// `SecurityGroups`: never empty at AWS.
    pub groups: BTreeSet<SecurityGroupId>,
    /// `PrivateIpAddress`.
    pub v4: Option<Ipv4Addr>,
    /// The first of `Ipv6Addresses`.
    pub v6: Option<Ipv6Addr>,
    /// Whether it has a public IPv4 address of its own, elastic or not (`Association.PublicIp`).
    pub public: bool,
}

impl Host {
    /// Its address of a family.
    #[must_use]
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }
}

/// What surrounds the hosts of a subnet and a set of groups. Read once for each such pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The region, which the names of services carry.
    pub region: Region,
    /// The VPC.
    pub vpc: VpcId,
    /// `CidrBlock` of the VPC: its resolver answers at the base of this block plus two.
    pub block: Fact<Cidr>,
    /// The VPC's subnets.
    pub subnets: Fact<BTreeMap<SubnetId, Subnet>>,
    /// The groups of the host and of the endpoints.
    pub groups: Fact<BTreeMap<SecurityGroupId, SecurityGroup>>,
    /// The VPC's network ACLs.
    pub acls: Fact<Vec<NetworkAcl>>,
    /// The VPC's route tables, the main one among them.
    pub tables: Fact<Vec<RouteTable>>,
    /// The VPC's NAT gateways, those that are gone for a while among them.
    pub nats: Fact<BTreeMap<NatGatewayId, NatGateway>>,
    /// The VPC's endpoints.
    pub endpoints: Fact<Vec<Endpoint>>,
    /// The prefix lists that groups and routes name. One that is missing here was not read.
    pub lists: BTreeMap<PrefixListId, PrefixList>,
    /// How names are resolved.
    pub dns: Dns,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its Availability Zone.
    pub zone: AvailabilityZone,
    /// Its blocks of both families.
    pub blocks: Vec<Cidr>,
    /// Another account owns it (`OwnerId`) and shares it: endpoints and NAT gateways of the owner cannot be seen from here.
    pub shared: bool,
}

/// A security group. What is allowed out is answered; there is no deny.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecurityGroup {
    /// `IpPermissions`.
    pub inbound: Vec<GroupRule>,
    /// `IpPermissionsEgress`.
    pub outbound: Vec<GroupRule>,
}

/// One `IpPermission`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    /// `IpProtocol`.
    pub protocol: Protocol,
    /// `FromPort` to `ToPort`. Of protocol `-1` they mean nothing.
    pub ports: Ports,
    /// `IpRanges`, `Ipv6Ranges`, `PrefixListIds` and `UserIdGroupPairs`.
    pub peers: Vec<Peer>,
}

/// Whom a group's rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A block of either family.
    Block(Cidr),
    /// A prefix list.
    List(PrefixListId),
    /// Whatever is in a group; often the group itself.
    Group(SecurityGroupId),
}

/// A protocol, as far as rules about TCP and DNS care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// `-1`: every one, on every port.
    All,
    /// `tcp`, `6`.
    Tcp,
    /// `udp`, `17`.
    Udp,
    /// Another.
    Other,
}

impl Protocol {
    /// By the word or number that the API uses.
    #[must_use]
    pub fn named(text: &str) -> Self {
        match text.trim() {
            "-1" | "all" => Self::All,
            "tcp" | "6" => Self::Tcp,
            "udp" | "17" => Self::Udp,
            _ => Self::Other,
        }
    }
}

/// Ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Ports {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// As the API gives them: none, and `-1`, mean every port.
    #[must_use]
    pub fn given(from: Option<i32>, to: Option<i32>) -> Self {
        let port = |number: Option<i32>, all| number.and_then(|n| u16::try_from(n).ok()).unwrap_or(all);
        Self { first: port(from, 0), last: port(to, u16::MAX) }
    }

    /// Whether it holds a port.
    #[must_use]
    pub fn holds(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// A network ACL. It keeps no state: the way out and the way of the answer are judged apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkAcl {
    /// Its id.
    pub id: NetworkAclId,
    /// The subnets in `Associations`.
    pub subnets: Vec<SubnetId>,
    /// `Entries`, in any order. What none of them decides is denied.
    pub entries: Vec<AclEntry>,
}

/// One entry of a network ACL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// `RuleNumber`: the lowest that matches decides.
    pub number: u16,
    /// `Egress`.
    pub outbound: bool,
    /// `RuleAction` is `allow`.
    pub allow: bool,
    /// `Protocol`.
    pub protocol: Protocol,
    /// `PortRange`.
    pub ports: Ports,
    /// `CidrBlock` or `Ipv6CidrBlock`: where the packet comes from, or goes to.
    pub block: Cidr,
}

/// A route table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    /// Its id.
    pub id: RouteTableId,
    /// It serves the subnets that name no table (`Associations[].Main`).
    pub main: bool,
    /// The subnets in `Associations`.
    pub subnets: Vec<SubnetId>,
    /// `Routes`, in any order.
    pub routes: Vec<Route>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it is for.
    pub to: Destination,
    /// Where it leads.
    pub target: Target,
    /// `State` is `active`, not `blackhole`.
    pub active: bool,
    /// `Origin` is `EnableVgwRoutePropagation`: others win over it.
    pub propagated: bool,
}

/// What a route is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// `DestinationCidrBlock`, `DestinationIpv6CidrBlock`.
    Block(Cidr),
    /// `DestinationPrefixListId`.
    List(PrefixListId),
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Inside the VPC.
    Local,
    /// An internet gateway, `igw-…`.
    InternetGateway(ResourceName),
    /// A NAT gateway.
    Nat(NatGatewayId),
    /// An egress-only internet gateway, `eigw-…`: IPv6 alone.
    EgressOnly(ResourceName),
    /// A gateway endpoint, or one of a Gateway Load Balancer.
    Endpoint(VpcEndpointId),
    /// A place that cannot be seen from this VPC: a transit gateway, a VPN, a peer, an appliance, a local or carrier gateway.
    Beyond(ResourceName),
}

impl FromStr for Target {
    type Err = BadName;

    /// By whichever of a route's target fields is set.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let name = || text.parse::<ResourceName>();
        match text.split_once('-').map_or(text, |(kind, _)| kind) {
            "local" => Ok(Self::Local),
            "igw" => name().map(Self::InternetGateway),
            "eigw" => name().map(Self::EgressOnly),
            "nat" => text.parse().map(Self::Nat),
            "vpce" => text.parse().map(Self::Endpoint),
            _ => name().map(Self::Beyond),
        }
    }
}

/// A NAT gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatGateway {
    /// `State`.
    pub state: Lifetime,
    /// Its subnet. None: a regional one, which has none.
    pub subnet: Option<SubnetId>,
    /// `ConnectivityType` is `public`.
    pub public: bool,
    /// One of its addresses has a `PublicIp`.
    pub has_public_address: bool,
}

/// Whether something of a VPC can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lifetime {
    /// `available`.
    Available,
    /// On its way in, or half of it: `pending`, `pendingAcceptance`, `partial`.
    Coming,
    /// On its way out, or never came: `deleting`, `deleted`, `failed`, `rejected`, `expired`.
    Gone,
}

impl Lifetime {
    /// By the API's word, in either of its spellings.
    #[must_use]
    pub fn named(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "available" => Self::Available,
            "deleting" | "deleted" | "failed" | "rejected" | "expired" => Self::Gone,
            _ => Self::Coming,
        }
    }
}

/// A VPC endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: VpcEndpointId,
    /// `ServiceName`.
    pub service: Arc<str>,
    /// `VpcEndpointType`.
    pub kind: EndpointKind,
    /// `State`.
    pub state: Lifetime,
    /// `SubnetIds`.
    pub subnets: Vec<SubnetId>,
    /// Its network interfaces, if somebody asked `DescribeNetworkInterfaces` for `NetworkInterfaceIds`. Otherwise any address of
    /// its subnets may be theirs.
    pub interfaces: Fact<Vec<EndpointInterface>>,
    /// `Groups`.
    pub groups: BTreeSet<SecurityGroupId>,
    /// `PrivateDnsEnabled`.
    pub private_dns: bool,
    /// `IpAddressType` has IPv4: the default.
    pub v4: bool,
    /// `IpAddressType` has IPv6.
    pub v6: bool,
    /// `PolicyDocument`; none allows everything.
    pub policy: Option<Arc<str>>,
}

/// `VpcEndpointType`, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointKind {
    /// `Interface`.
    Interface,
    /// `Gateway`: S3 and DynamoDB, by a route.
    Gateway,
    /// `GatewayLoadBalancer` and what is not known yet.
    Other,
}

/// A network interface of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInterface {
    /// Its subnet.
    pub subnet: SubnetId,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    /// `PrefixListName`: those of AWS are called `com.amazonaws.REGION.s3`.
    pub name: Option<Arc<str>>,
    /// Its entries.
    pub entries: Fact<Vec<Cidr>>,
}

/// How names are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// `enableDnsSupport`.
    pub support: Fact<bool>,
    /// `enableDnsHostnames`.
    pub hostnames: Fact<bool>,
    /// `domain-name-servers` of the DHCP options. Absent: no options, and so no server.
    pub servers: Fact<Vec<NameServer>>,
    /// The private hosted zones that are associated with the VPC, if somebody asked Route 53.
    pub zones: Fact<Vec<Arc<str>>>,
}

/// A name server in DHCP options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameServer {
    /// `AmazonProvidedDNS`: the VPC's own resolver.
    Amazon,
    /// By its address.
    Address(IpAddr),
}

impl FromStr for NameServer {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        match text.trim() {
            "AmazonProvidedDNS" => Ok(Self::Amazon),
            other => other
                .parse()
                .map(Self::Address)
                .map_err(|_| BadName { expected: "a name server", given: text.to_owned() }),
        }
    }
}

/// Which surroundings a host has: nodes with the same key are read once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathKey {
    /// The subnet.
    pub subnet: SubnetId,
    /// The groups.
    pub groups: BTreeSet<SecurityGroupId>,
}

impl PathKey {
    /// The key of a host.
    #[must_use]
    pub fn of(host: &Host) -> Self {
        Self { subnet: host.subnet.clone(), groups: host.groups.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_told_by_their_prefix() {
        let target = |text: &str| text.parse::<Target>().unwrap();
        assert_eq!(target("local"), Target::Local);
        assert!(matches!(target("igw-0a1b"), Target::InternetGateway(_)));
        assert!(matches!(target("eigw-0a1b"), Target::EgressOnly(_)));
        assert!(matches!(target("nat-0a1b"), Target::Nat(_)));
        assert!(matches!(target("vpce-0a1b"), Target::Endpoint(_)));
        for beyond in ["tgw-0a1b", "vgw-0a1b", "pcx-0a1b", "eni-0a1b", "lgw-0a1b", "cagw-0a1b", "i-0a1b2c3d"] {
            assert!(matches!(target(beyond), Target::Beyond(_)), "{beyond}");
        }
        assert!("nat-\n".parse::<Target>().is_err());
    }

    #[test]
    fn states_are_read_in_both_spellings_of_the_api() {
        for (text, lifetime) in [
            ("available", Lifetime::Available),
            ("Available", Lifetime::Available),
            ("PendingAcceptance", Lifetime::Coming),
            ("pending", Lifetime::Coming),
            ("Deleted", Lifetime::Gone),
            ("failed", Lifetime::Gone),
            ("what comes next", Lifetime::Coming),
        ] {
            assert_eq!(Lifetime::named(text), lifetime, "{text}");
        }
    }

    #[test]
    fn ports_that_are_not_given_are_all_ports() {
        assert_eq!(Ports::given(None, None), Ports::ALL);
        assert_eq!(Ports::given(Some(-1), Some(-1)), Ports::ALL);
        assert_eq!(Ports::given(Some(443), Some(443)), Ports { first: 443, last: 443 });
        assert!(Ports::given(Some(0), Some(442)).holds(442) && !Ports::given(Some(0), Some(442)).holds(443));
    }

    #[test]
    fn a_name_server_is_amazons_or_an_address() {
        assert_eq!("AmazonProvidedDNS".parse(), Ok(NameServer::Amazon));
        assert_eq!("10.0.0.2".parse(), Ok(NameServer::Address("10.0.0.2".parse().unwrap())));
        assert!("dns.example.com".parse::<NameServer>().is_err());
    }
}
