//! The walk of a packet from the host, place by place, for all addresses at once.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use super::acl::{self, ANSWERS, ANSWERS_TO_HOSTS, Way};
use super::cidr::{self, Cidr, Family, Ranges};
use super::groups;
use super::hop::{Check, Hop};
use super::ids::{NatGatewayId, SecurityGroupId, SubnetId};
use super::model::{Destination, Host, Lifetime, NatGateway, Ports, Protocol, Route, RouteTable, Surroundings, Target};
use super::routes::{self, Share};
use super::service::Service;
use crate::observe::{Blind, Fact};

/// Where IPv6 stands for IPv4 behind a NAT64 (RFC 6052).
const NAT64: (u128, u128) = (0x64_ff9b << 96, (0x64_ff9b << 96) | 0xffff_ffff);

/// A host that sends packets of one family to one port.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walker<'a> {
    pub(super) host: &'a Host,
    pub(super) around: &'a Surroundings,
    pub(super) address: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    /// Whose addresses they are, if they are a service's.
    pub(super) service: Option<Service>,
    /// Some rule tells the hosts of its subnet apart. If none does, what is said of one host is said of all.
    pub(super) apart: bool,
}

impl Walker<'_> {
    pub(super) fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Where the packets come from, for people.
    pub(super) fn from(&self) -> String {
        if self.apart { self.address.to_string() } else { self.host.subnet.to_string() }
    }

    /// `TCP 443`.
    fn flow(&self) -> String {
        let name = match self.protocol {
            Protocol::Udp => "UDP",
            Protocol::Tcp | Protocol::All | Protocol::Other => "TCP",
        };
        format!("{name} {}", self.port)
    }

    /// From the host's groups to the last gateway, for addresses outside the subnet.
    pub(super) fn out(&self, to: &Ranges) -> Vec<Hop> {
        let mut hops = vec![self.groups_out(to, &BTreeSet::new())];
        hops.extend(self.leaves(to));
        hops.extend(self.routes(to));
        hops
    }

    /// The ACL of the host's subnet, for packets to these addresses outside of it.
    pub(super) fn leaves(&self, to: &Ranges) -> Vec<Hop> {
        self.border(&self.host.subnet, to, ANSWERS_TO_HOSTS)
    }

    /// The host's own groups. `peers` are the groups of what is at these addresses.
    pub(super) fn groups_out(&self, to: &Ranges, peers: &BTreeSet<SecurityGroupId>) -> Hop {
        let allowed = groups::outbound(self.around, self.host, self.family(), (self.protocol, self.port), peers);
        let refused = to.minus(&allowed.addresses);
        let names = listed(&self.host.groups);
        let hop = Hop::clear(Check::Groups, &names);
        match allowed.unread {
            Some((what, blind)) => hop.unread(refused, &what, blind),
            None => hop.blocks(refused.clone(), || {
                let (flow, family, lets) = (self.flow(), self.family(), lets(&self.host.groups));
                let fault = if to.meets(&allowed.addresses) {
                    format!("{names} {lets} {flow} out only to some addresses")
                } else {
                    format!("{names} {lets} no {flow} out by {family}")
                };
                (fault, format!("add an outbound rule for {flow} to {names}"))
            }),
        }
    }

    /// A subnet's ACL, for packets that leave the subnet to these addresses and for the answers.
    fn border(&self, subnet: &SubnetId, to: &Ranges, must: Ports) -> Vec<Hop> {
        let acl = match acl::of(self.around, subnet) {
            Ok(acl) => acl,
            Err(blind) => return vec![unread_acl(subnet, to, blind)],
        };
        let (family, flow) = (self.family(), self.flow());
        let clear = || Hop::clear(Check::Acl, &acl.id);
        let out = acl::allowed(acl, Way::Out, family, self.protocol, self.port);
        let answers = acl::answers(acl, Way::In, family, self.protocol, must);
        let go = clear().blocks(to.minus(&out), || {
            let fault = format!("{} of {subnet} lets no {flow} out{}", acl.id, partly(to, &out));
            (fault, format!("allow {flow} out in {}", acl.id))
        });
        let come = clear().blocks(to.minus(&answers.some), || {
            let fault = format!(
                "{} of {subnet} lets no answers in to the ports {}-{}{}",
                acl.id,
                ANSWERS.first,
                ANSWERS.last,
                partly(to, &answers.some)
            );
            (fault, format!("allow {} from port {} in to 1024-65535 in {}", self.word(), self.port, acl.id))
        });
        let come = come.hides(to.and(&answers.some).minus(&answers.whole), || {
            format!("{} of {subnet} lets answers in only to some of the ports {}-{}", acl.id, must.first, must.last)
        });
        vec![go, come]
    }

    /// A subnet's ACL, for the host's packets that enter it on their way to these addresses, and for the answers.
    pub(super) fn enters(&self, subnet: &SubnetId, to: &Ranges) -> Vec<Hop> {
        let acl = match acl::of(self.around, subnet) {
            Ok(acl) => acl,
            Err(blind) => return vec![unread_acl(subnet, to, blind)],
        };
        let (family, flow) = (self.family(), self.flow());
        let clear = || Hop::clear(Check::Acl, &acl.id);
        let all_if = |refused: bool| if refused { to.clone() } else { Ranges::none() };
        let entry = acl::allowed(acl, Way::In, family, self.protocol, self.port).holds(self.address);
        let answers = acl::answers(acl, Way::Out, family, self.protocol, ANSWERS_TO_HOSTS);
        let (some, whole) = (answers.some.holds(self.address), answers.whole.holds(self.address));
        let go = clear().blocks(all_if(!entry), || {
            let fault = format!("{} of {subnet} lets no {flow} in from {}", acl.id, self.from());
            (fault, format!("allow {flow} in from {} in {}", self.host.subnet, acl.id))
        });
        // Both borders may let some answers through, and yet none to one and the same port.
        let refused = match acl::of(self.around, &self.host.subnet) {
            Ok(own) if some => {
                let own_some = acl::answers(own, Way::In, family, self.protocol, ANSWERS_TO_HOSTS).some;
                let past = acl::answers_past(acl, own, self.address, self.protocol, ANSWERS_TO_HOSTS);
                to.and(&own_some).minus(&past)
            }
            Ok(_) | Err(_) => all_if(!some),
        };
        let come = clear().blocks(refused, || {
            let fault = if some {
                format!(
                    "{} of {subnet} and the network ACL of {} let no answer to the same port",
                    acl.id, self.host.subnet
                )
            } else {
                format!("{} of {subnet} lets no answers out to {}", acl.id, self.from())
            };
            (fault, format!("allow {} out to ports 1024-65535 of {} in {}", self.word(), self.host.subnet, acl.id))
        });
        let come = come.hides(all_if(some && !whole), || {
            let ports = ANSWERS_TO_HOSTS;
            format!("{} of {subnet} lets answers out only to some of the ports {}-{}", acl.id, ports.first, ports.last)
        });
        vec![go, come]
    }

    fn word(&self) -> &'static str {
        match self.protocol {
            Protocol::Udp => "UDP",
            Protocol::Tcp | Protocol::All | Protocol::Other => "TCP",
        }
    }

    /// The host's route table, and the gateways that it leads to.
    pub(super) fn routes(&self, to: &Ranges) -> Vec<Hop> {
        let subnet = &self.host.subnet;
        let (table, shares) = match self.split(subnet, to) {
            Ok(found) => found,
            Err(hop) => return vec![*hop],
        };
        shares.into_iter().flat_map(|share| self.first_gateway(table, share, to)).collect()
    }

    fn split(&self, subnet: &SubnetId, to: &Ranges) -> Result<(&RouteTable, Vec<Share<'_>>), Box<Hop>> {
        let unread = |at: &dyn fmt::Display, what: &dyn fmt::Display, blind| {
            Box::new(Hop::clear(Check::Route, at).unread(to.clone(), what, blind))
        };
        let table = routes::of(self.around, subnet)
            .map_err(|blind| unread(subnet, &format_args!("the route table of {subnet}"), blind))?;
        let shares = routes::split(self.around, table, self.family(), to, self.service)
            .map_err(|missing| unread(&table.id, &missing.list, missing.blind))?;
        Ok((table, shares))
    }

    fn first_gateway(&self, table: &RouteTable, share: Share<'_>, to: &Ranges) -> Vec<Hop> {
        let clear = || Hop::clear(Check::Route, &table.id);
        let addresses = share.addresses;
        let Some(route) = share.route else {
            let some = if addresses == *to { "" } else { " to some addresses" };
            return vec![clear().blocks(addresses, || {
                let fault = format!("{} has no route out{some}", table.id);
                let fix = format!("add a route to an internet or NAT gateway to {}, or interface endpoints", table.id);
                (fault, fix)
            })];
        };
        if let Some(hop) = blackhole(table, route, &addresses) {
            return vec![hop];
        }
        let (from, family) = (destination(route), self.family());
        match &route.target {
            Target::Local => vec![clear()],
            Target::InternetGateway(id) if family == Family::V4 && !self.host.public => {
                vec![
                    clear(),
                    Hop::clear(Check::PublicAddress, id).blocks(addresses, || {
                        let fault =
                            format!("{} sends {from} to {id}, and the instance has no public IPv4 address", table.id);
                        (
                            fault,
                            "give the instance an Elastic IP address, or route its subnet to a NAT gateway".to_owned(),
                        )
                    }),
                ]
            }
            Target::InternetGateway(id) => vec![
                clear().blocks(inward(&addresses, family), || nothing_private(table, &from, id)),
                Hop::clear(Check::PublicAddress, id),
            ],
            Target::EgressOnly(id) if family == Family::V6 => {
                vec![clear().blocks(inward(&addresses, family), || nothing_private(table, &from, id))]
            }
            Target::EgressOnly(id) => vec![clear().blocks(addresses, || {
                let fault = format!("{} sends {from} to {id}, which passes only IPv6", table.id);
                (fault, format!("route {from} of {} to an internet or NAT gateway", table.id))
            })],
            Target::Nat(id) => {
                let mut hops = vec![clear()];
                hops.extend(self.nat(table, route, id, &addresses));
                hops
            }
            Target::Endpoint(id) => match routes::gateway(self.around, &route.target) {
                Some(endpoint) => vec![clear(), self.state(endpoint, &addresses), self.policy(endpoint, &addresses)],
                None => vec![clear().hides(addresses, || beyond(table, &from, id))],
            },
            Target::Beyond(id) => vec![clear().hides(addresses, || beyond(table, &from, id))],
        }
    }

    /// A NAT gateway: its state, the border of its subnet, and the way on from there.
    fn nat(&self, table: &RouteTable, route: &Route, id: &NatGatewayId, to: &Ranges) -> Vec<Hop> {
        let clear = || Hop::clear(Check::Nat, id);
        let from = destination(route);
        let known = match &self.around.nats {
            Fact::Unknown(blind) => return vec![clear().unread(to.clone(), id, *blind)],
            Fact::Absent => None,
            Fact::Known(nats) => nats.get(id),
        };
        let Some(nat) = known else {
            return vec![match self.shared() {
                Ok(false) => clear().blocks(to.clone(), || {
                    let fault = format!("{} sends {from} to {id}, which does not exist", table.id);
                    (fault, format!("route {from} of {} to a NAT gateway that exists", table.id))
                }),
                Ok(true) => clear().hides(to.clone(), || format!("{id} belongs to another account")),
                Err(blind) => clear().unread(to.clone(), &self.host.subnet, blind),
            }];
        };
        let say =
            |words: &str| (format!("{} sends {from} to {id}, which {words}", table.id), replace_nat(table, &from));
        match nat.state {
            Lifetime::Gone => return vec![clear().blocks(to.clone(), || say("is not available"))],
            Lifetime::Coming => return vec![clear().hides(to.clone(), || format!("{id} is not available yet"))],
            Lifetime::Available => {}
        }
        if self.family() == Family::V6 {
            let mapped: Ranges = std::iter::once(NAT64).collect();
            let hop = clear().blocks(to.minus(&mapped), || say("passes IPv6 only to IPv4"));
            return vec![hop.hides(to.and(&mapped), || format!("what {id} makes of IPv6 (NAT64) cannot be seen"))];
        }
        if !nat.public {
            return vec![clear().hides(to.clone(), || format!("beyond the private {id} nothing can be seen"))];
        }
        if !nat.has_public_address {
            return vec![clear().blocks(to.clone(), || say("has no public address"))];
        }
        self.past_nat(id, nat, to)
    }

    fn past_nat(&self, id: &NatGatewayId, nat: &NatGateway, to: &Ranges) -> Vec<Hop> {
        let clear = || Hop::clear(Check::Nat, id);
        let Some(subnet) = &nat.subnet else {
            return vec![clear().hides(to.clone(), || format!("{id} is a regional one: its own way cannot be seen"))];
        };
        let mut hops = vec![clear()];
        hops.extend(self.enters(subnet, to));
        hops.extend(self.border(subnet, to, ANSWERS));
        let (table, shares) = match self.split(subnet, to) {
            Ok(found) => found,
            Err(hop) => {
                hops.push(*hop);
                return hops;
            }
        };
        for share in shares {
            let addresses = share.addresses;
            let blocks = |words: String| {
                clear().blocks(addresses.clone(), || {
                    let fault = format!("{id} stands in {subnet}, whose {} {words}", table.id);
                    (fault, format!("route 0.0.0.0/0 of {} to an internet gateway", table.id))
                })
            };
            let hop = match share.route {
                None => blocks("has no route to an internet gateway".to_owned()),
                Some(route) if !route.active => {
                    blocks(format!("sends {} to {}, which is gone (blackhole)", destination(route), target(route)))
                }
                Some(route) => match &route.target {
                    Target::InternetGateway(gateway) => clear().blocks(inward(&addresses, self.family()), || {
                        nothing_private(table, &destination(route), gateway)
                    }),
                    Target::Nat(other) if other != id => {
                        clear().hides(addresses.clone(), || beyond(table, &destination(route), other))
                    }
                    Target::Local | Target::EgressOnly(_) | Target::Nat(_) => {
                        blocks(format!("sends {} to {}", destination(route), target(route)))
                    }
                    Target::Endpoint(_) | Target::Beyond(_) => {
                        clear().hides(addresses.clone(), || beyond(table, &destination(route), &target(route)))
                    }
                },
            };
            hops.push(hop);
        }
        hops
    }

    /// Whether another account owns the host's subnet.
    pub(super) fn shared(&self) -> Result<bool, Blind> {
        match &self.around.subnets {
            Fact::Known(subnets) => subnets.get(&self.host.subnet).map(|subnet| subnet.shared).ok_or(Blind::Empty),
            Fact::Absent => Err(Blind::Empty),
            Fact::Unknown(blind) => Err(*blind),
        }
    }
}

fn unread_acl(subnet: &SubnetId, to: &Ranges, blind: Blind) -> Hop {
    Hop::clear(Check::Acl, subnet).unread(to.clone(), &format_args!("the network ACL of {subnet}"), blind)
}

fn blackhole(table: &RouteTable, route: &Route, addresses: &Ranges) -> Option<Hop> {
    if route.active {
        return None;
    }
    let (from, target) = (destination(route), target(route));
    Some(Hop::clear(Check::Route, &table.id).blocks(addresses.clone(), || {
        let fault = format!("{} sends {from} to {target}, which is gone (blackhole)", table.id);
        (fault, format!("replace the route of {} for {from} by one to a gateway that exists", table.id))
    }))
}

fn replace_nat(table: &RouteTable, from: &str) -> String {
    format!("route {from} of {} to a public NAT gateway that is available", table.id)
}

/// Addresses that no packet reaches past a gateway to the internet.
fn inward(addresses: &Ranges, family: Family) -> Ranges {
    addresses.minus(&cidr::public(family))
}

fn nothing_private(table: &RouteTable, from: &str, id: &dyn fmt::Display) -> (String, String) {
    let fault = format!("{} sends {from} to {id}, past which there are no private addresses", table.id);
    (fault, format!("add a route to the private network to {}", table.id))
}

fn beyond(table: &RouteTable, from: &str, id: &dyn fmt::Display) -> String {
    format!("{} sends {from} to {id}, and beyond that nothing can be seen", table.id)
}

fn destination(route: &Route) -> String {
    match &route.to {
        Destination::Block(block) => block.to_string(),
        Destination::List(id) => id.to_string(),
    }
}

fn target(route: &Route) -> String {
    match &route.target {
        Target::Local => "local".to_owned(),
        Target::InternetGateway(id) | Target::EgressOnly(id) | Target::Beyond(id) => id.to_string(),
        Target::Nat(id) => id.to_string(),
        Target::Endpoint(id) => id.to_string(),
    }
}

/// " to some addresses", where others pass.
fn partly(to: &Ranges, passed: &Ranges) -> &'static str {
    if to.meets(passed) { " to some addresses" } else { "" }
}

/// At most three names, and how many more there are.
pub(super) fn listed<T: fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    let all: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let first: Vec<&str> = all.iter().take(3).map(String::as_str).collect();
    match all.len().saturating_sub(3) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The verb for one group, or for several.
pub(super) fn lets(groups: &BTreeSet<SecurityGroupId>) -> &'static str {
    if groups.len() == 1 { "lets" } else { "let" }
}

/// Where one address alone lies.
pub(super) fn only(address: IpAddr) -> Ranges {
    Cidr::single(address).ranges()
}
