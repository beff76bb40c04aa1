//! Reads what surrounds a silent instance in its VPC: every list whole, or unknown.
//!
//! A VPC is read at once and kept for some minutes, for its nodes fall silent together. What no answer holds is unknown, and then
//! nothing is concluded from what it lacks (S8). The rows are turned into the diagnosis's own words by `vpc/rows.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::types::{Filter, Vpc, VpcAttributeName};
use jiff::Timestamp;

use crate::aws::cache::PLACE_SECS;
use crate::aws::fault::Fault;
use crate::aws::nodes::Nodes;
use crate::diagnose::path::{
    Dns, Endpoint, EndpointInterface, Host, NameServer, NatGateway, NatGatewayId, NetworkAcl, PathBook, Paths,
    PrefixList, PrefixListId, RouteTable, SecurityGroup, SecurityGroupId, Subnet, SubnetId, Surroundings, VpcId,
};
use crate::observe::{Blind, Fact};

mod rows;

pub(super) use rows::{host, vpc_of};

/// Pages of one list, at most; a longer one is not half judged.
const PAGES_MAX: usize = 20;
/// Prefix lists that are read, at most: groups and routes seldom name more than two.
const LISTS_MAX: usize = 10;
/// The options of a VPC that has none.
const NO_OPTIONS: &str = "default";

/// What surrounds the instances of a VPC, with the judgements that were made of it: hosts of one subnet and the same groups share them.
#[derive(Debug)]
pub(in crate::aws) struct Around {
    surroundings: Surroundings,
    book: Mutex<PathBook>,
}

impl Around {
    /// The ways from a host.
    pub(super) fn paths(&self, host: &Host) -> Paths {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).paths(host, &self.surroundings).clone()
    }
}

impl Nodes {
    /// What surrounds the instances of a VPC; read once in five minutes, unless a part of it could not be read.
    pub(super) async fn around_vpc(&self, vpc: &VpcId, now: Timestamp) -> Arc<Around> {
        if let Some(known) = self.cache.surroundings.get(vpc, now, PLACE_SECS) {
            return known;
        }
        let (whole, subnets, groups, acls, tables) =
            tokio::join!(self.vpc(vpc), self.subnets(vpc), self.groups(vpc), self.acls(vpc), self.route_tables(vpc),);
        let (nats, endpoints, support, hostnames) = tokio::join!(
            self.nat_gateways(vpc),
            self.endpoints(vpc),
            self.dns_attribute(vpc, VpcAttributeName::EnableDnsSupport),
            self.dns_attribute(vpc, VpcAttributeName::EnableDnsHostnames),
        );
        let servers = match &whole {
            Ok(row) => self.name_servers(row).await,
            Err(blind) => Fact::Unknown(*blind),
        };
        let lists = self.lists(rows::lists_named(groups.as_ref().ok(), tables.as_ref().ok())).await;
        let surroundings = Surroundings {
            region: self.home.region.clone(),
            vpc: vpc.clone(),
            block: fact(whole.and_then(|row| rows::block(&row))),
            subnets: fact(subnets),
            groups: fact(groups),
            acls: fact(acls),
            tables: fact(tables),
            nats: fact(nats),
            endpoints: fact(endpoints),
            lists,
            // Private hosted zones are Route 53's, which Defib does not ask.
            dns: Dns { support, hostnames, servers, zones: Fact::Unknown(Blind::NotRead) },
        };
        let whole = is_whole(&surroundings);
        let around = Arc::new(Around { surroundings, book: Mutex::default() });
        if whole {
            self.cache.surroundings.put(vpc.clone(), now, Arc::clone(&around));
        }
        around
    }

    async fn vpc(&self, vpc: &VpcId) -> Result<Vpc, Blind> {
        let answer = self.clients.ec2.describe_vpcs().vpc_ids(vpc.as_str()).send().await;
        let output = answer.map_err(|error| Fault::of("DescribeVpcs", error).blind())?;
        output.vpcs.and_then(|rows| rows.into_iter().next()).ok_or(Blind::Empty)
    }

    async fn subnets(&self, vpc: &VpcId) -> Result<BTreeMap<SubnetId, Subnet>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeSubnets", subnets, PAGES_MAX, |token| {
            self.clients.ec2.describe_subnets().filters(of_vpc(vpc)).set_next_token(token)
        });
        let account = self.home.account.to_string();
        at_least_one(read?)?.iter().map(|row| rows::subnet(row, &account)).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn groups(&self, vpc: &VpcId) -> Result<BTreeMap<SecurityGroupId, SecurityGroup>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeSecurityGroups", security_groups, PAGES_MAX, |token| {
            self.clients.ec2.describe_security_groups().filters(of_vpc(vpc)).set_next_token(token)
        });
        at_least_one(read?)?.iter().map(rows::group).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn acls(&self, vpc: &VpcId) -> Result<Vec<NetworkAcl>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeNetworkAcls", network_acls, PAGES_MAX, |token| {
            self.clients.ec2.describe_network_acls().filters(of_vpc(vpc)).set_next_token(token)
        });
        at_least_one(read?)?.iter().map(rows::acl).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn route_tables(&self, vpc: &VpcId) -> Result<Vec<RouteTable>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeRouteTables", route_tables, PAGES_MAX, |token| {
            self.clients.ec2.describe_route_tables().filters(of_vpc(vpc)).set_next_token(token)
        });
        at_least_one(read?)?.iter().map(rows::route_table).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn nat_gateways(&self, vpc: &VpcId) -> Result<BTreeMap<NatGatewayId, NatGateway>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeNatGateways", nat_gateways, PAGES_MAX, |token| {
            self.clients.ec2.describe_nat_gateways().filter(of_vpc(vpc)).set_next_token(token)
        });
        read?.iter().map(rows::nat_gateway).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn endpoints(&self, vpc: &VpcId) -> Result<Vec<Endpoint>, Blind> {
        let read: Result<Vec<_>, Blind> = every_page!("DescribeVpcEndpoints", vpc_endpoints, PAGES_MAX, |token| {
            self.clients.ec2.describe_vpc_endpoints().filters(of_vpc(vpc)).set_next_token(token)
        });
        let read = read?;
        let ids: Vec<String> = read.iter().flat_map(|row| row.network_interface_ids().iter().cloned()).collect();
        let interfaces = if ids.is_empty() { Ok(BTreeMap::new()) } else { self.interfaces(ids).await };
        let of = |row| rows::endpoint(row, interfaces.as_ref().map_err(|blind| *blind));
        read.iter().map(of).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn interfaces(&self, ids: Vec<String>) -> Result<BTreeMap<String, EndpointInterface>, Blind> {
        let request = self.clients.ec2.describe_network_interfaces().set_network_interface_ids(Some(ids));
        let answer = request.send().await;
        let output = answer.map_err(|error| Fault::of("DescribeNetworkInterfaces", error).blind())?;
        let found = output.network_interfaces.ok_or(Blind::Empty)?;
        found.iter().map(rows::interface).collect::<Option<_>>().ok_or(Blind::Empty)
    }

    async fn dns_attribute(&self, vpc: &VpcId, attribute: VpcAttributeName) -> Fact<bool> {
        let request = self.clients.ec2.describe_vpc_attribute().vpc_id(vpc.as_str()).attribute(attribute);
        match request.send().await.map_err(|error| Fault::of("DescribeVpcAttribute", error)) {
            // It answers with the one that was asked for.
            Ok(output) => {
                let given = output.enable_dns_support.or(output.enable_dns_hostnames).and_then(|given| given.value);
                given.map_or(Fact::Unknown(Blind::Empty), Fact::Known)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    async fn name_servers(&self, vpc: &Vpc) -> Fact<Vec<NameServer>> {
        let Some(options) = vpc.dhcp_options_id() else { return Fact::Unknown(Blind::Empty) };
        if options == NO_OPTIONS {
            return Fact::Absent;
        }
        let answer = self.clients.ec2.describe_dhcp_options().dhcp_options_ids(options).send().await;
        match answer.map_err(|error| Fault::of("DescribeDhcpOptions", error)) {
            Ok(output) => {
                let row = output.dhcp_options.and_then(|rows| rows.into_iter().next());
                row.and_then(|row| rows::name_servers(&row)).map_or(Fact::Unknown(Blind::Empty), Fact::Known)
            }
            Err(fault) => Fact::Unknown(fault.blind()),
        }
    }

    async fn lists(&self, wanted: BTreeSet<PrefixListId>) -> BTreeMap<PrefixListId, PrefixList> {
        let mut lists = BTreeMap::new();
        if wanted.is_empty() || wanted.len() > LISTS_MAX {
            return lists;
        }
        let ids: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        let answer = self.clients.ec2.describe_managed_prefix_lists().set_prefix_list_ids(Some(ids)).send().await;
        let names = match answer.map_err(|error| Fault::of("DescribeManagedPrefixLists", error)) {
            Ok(output) => rows::list_names(output.prefix_lists()),
            Err(fault) => {
                fault.tell();
                BTreeMap::new()
            }
        };
        for id in wanted {
            let read: Result<Vec<_>, Blind> = self.list_entries(&id).await;
            let blocks = read.and_then(|entries| rows::blocks(&entries).ok_or(Blind::Empty));
            lists.insert(id.clone(), PrefixList { name: names.get(&id).cloned(), entries: fact(blocks) });
        }
        lists
    }

    async fn list_entries(&self, id: &PrefixListId) -> Result<Vec<aws_sdk_ec2::types::PrefixListEntry>, Blind> {
        every_page!("GetManagedPrefixListEntries", entries, PAGES_MAX, |token| {
            self.clients.ec2.get_managed_prefix_list_entries().prefix_list_id(id.as_str()).set_next_token(token)
        })
    }
}

fn of_vpc(vpc: &VpcId) -> Filter {
    Filter::builder().name("vpc-id").values(vpc.as_str()).build()
}

/// Every VPC has a subnet where it has an instance, a group, an ACL and a route table: an empty list is no answer.
fn at_least_one<T>(rows: Vec<T>) -> Result<Vec<T>, Blind> {
    if rows.is_empty() { Err(Blind::Empty) } else { Ok(rows) }
}

fn fact<T>(read: Result<T, Blind>) -> Fact<T> {
    read.map_or_else(Fact::Unknown, Fact::Known)
}

/// Whether every part was read, so that it may be kept.
fn is_whole(around: &Surroundings) -> bool {
    let blind = [
        around.block.blind(),
        around.subnets.blind(),
        around.groups.blind(),
        around.acls.blind(),
        around.tables.blind(),
        around.nats.blind(),
        around.endpoints.blind(),
        around.dns.support.blind(),
        around.dns.hostnames.blind(),
        around.dns.servers.blind(),
    ];
    let endpoints = around.endpoints.known().into_iter().flatten();
    let unseen = endpoints.filter(|endpoint| endpoint.interfaces.blind().is_some()).count();
    blind.iter().all(Option::is_none) && unseen == 0 && around.lists.values().all(|list| list.entries.blind().is_none())
}
