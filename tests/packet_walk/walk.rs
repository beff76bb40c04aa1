//! The slow way: one packet after the other, one rule after the other. It shares no code with what it judges.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use defib::diagnose::path::{
    Cidr, Destination, Endpoint, EndpointKind, Family, GroupRule, Lifetime, NameServer, Peer, Protocol, Route,
    RouteTable, SecurityGroup, SecurityGroupId, Service, SubnetId, Surroundings, Target,
};
use defib::observe::Fact;

use super::generate::{Case, blocks, gateway, policy_says};

/// What becomes of a packet and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Arrives,
    Dark,
    Dies,
}

use Fate::{Arrives, Dark, Dies};

/// What becomes of many: all alike, or nobody knows.
fn alike(fates: impl IntoIterator<Item = Fate>) -> Option<Fate> {
    let all: BTreeSet<Fate> = fates.into_iter().collect();
    match all.len() {
        0 => None,
        1 => all.first().copied(),
        _ => Some(Dark),
    }
}

fn lives(arrives: bool) -> Fate {
    if arrives { Arrives } else { Dies }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(u32::try_from(bits).unwrap()).into(),
        Family::V6 => Ipv6Addr::from(bits).into(),
    }
}

/// Whether an address is in a block: the leading bits are the same.
fn inside(block: Cidr, address: IpAddr) -> bool {
    let width = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let free = u32::from(width - block.length().min(width));
    Family::of(address) == block.family() && (free == 128 || bits(address) >> free == block.borders().0 >> free)
}

/// Whether somebody on the internet may have this address.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let special = a == 0
                || a == 10
                || a == 127
                || a >= 224
                || (a == 100 && (64..128).contains(&b))
                || (a == 169 && b == 254)
                || (a == 172 && (16..32).contains(&b))
                || (a == 192 && b == 168)
                || (a == 192 && b == 0 && (c == 0 || c == 2))
                || (a == 192 && b == 88 && c == 99)
                || (a == 198 && (b == 18 || b == 19))
                || (a == 198 && b == 51 && c == 100)
                || (a == 203 && b == 0 && c == 113);
            !special
        }
        IpAddr::V6(v6) => v6.segments()[0] >> 13 == 1 || is_mapped(v6),
    }
}

/// IPv4 behind a NAT64.
fn is_mapped(v6: Ipv6Addr) -> bool {
    v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0]
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => v6.segments()[0] >> 9 == 0xfc00 >> 9,
    }
}

/// Walks the packets of one case.
pub(crate) struct Feet<'a> {
    case: &'a Case,
    around: &'a Surroundings,
    blocks: Vec<Cidr>,
    ports: Vec<u16>,
}

/// What a packet is about.
#[derive(Clone, Copy)]
struct About<'a> {
    protocol: Protocol,
    port: u16,
    service: Option<Service>,
    /// The groups of what it goes to; none: nobody knows them.
    peers: Option<&'a BTreeSet<SecurityGroupId>>,
}

impl<'a> Feet<'a> {
    pub(crate) fn of(case: &'a Case) -> Self {
        let around = &case.around;
        let entries = around.acls.known().into_iter().flatten().flat_map(|acl| &acl.entries);
        let borders = entries.flat_map(|entry| [entry.ports.first, entry.ports.last.saturating_add(1)]);
        let mut ports: Vec<u16> = borders.chain([1_024, 32_768, 65_535]).filter(|port| *port >= 1_024).collect();
        ports.sort_unstable();
        ports.dedup();
        Self { case, around, blocks: blocks(around), ports }
    }

    /// What becomes of a service's packets.
    pub(crate) fn to(&self, service: Service) -> Fate {
        let by = |family| self.case.host.address(family).map(|own| self.by_family(own, service));
        match (by(Family::V4), by(Family::V6)) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(v4), Some(v6)) if v4 == Arrives || v6 == Arrives => Arrives,
            (Some(Dies), Some(Dies)) => Dies,
            (Some(_), Some(_)) | (None, None) => Dark,
        }
    }

    /// An address of each stretch in which all of them fare alike, and each one of small blocks.
    fn samples(&self, family: Family, wanted: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
        let last = if family == Family::V4 { u128::from(u32::MAX) } else { u128::MAX };
        let mut numbers = vec![0, last];
        for block in self.blocks.iter().filter(|block| block.family() == family) {
            let (first, end) = block.borders();
            numbers.extend([first, end, end.saturating_add(1)]);
        }
        // The borders of what is special, each with the address before it.
        let special: Vec<u128> = match family {
            Family::V4 => [
                "1.0.0.0",
                "10.0.0.0",
                "11.0.0.0",
                "100.64.0.0",
                "100.128.0.0",
                "127.0.0.0",
                "128.0.0.0",
                "169.254.0.0",
                "169.255.0.0",
                "172.16.0.0",
                "172.32.0.0",
                "192.0.0.0",
                "192.0.1.0",
                "192.0.2.0",
                "192.0.3.0",
                "192.88.99.0",
                "192.88.100.0",
                "192.168.0.0",
                "192.169.0.0",
                "198.18.0.0",
                "198.20.0.0",
                "198.51.100.0",
                "198.51.101.0",
                "203.0.113.0",
                "203.0.114.0",
                "224.0.0.0",
            ]
            .map(|text| bits(text.parse().unwrap()))
            .to_vec(),
            Family::V6 => ["64:ff9b::", "64:ff9b::1:0:0", "2000::", "4000::", "fc00::", "fe00::"]
                .map(|text| bits(text.parse().unwrap()))
                .to_vec(),
        };
        numbers.extend(special.iter().flat_map(|number| [*number, number - 1]));
        numbers.retain(|number| *number <= last);
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| address(family, number)).filter(|found| wanted(*found)).collect()
    }

    fn by_family(&self, own: IpAddr, service: Service) -> Fate {
        let family = Family::of(own);
        let asked = self.asking();
        let mut fates = Vec::new();
        if let Fact::Known(zones) = &self.around.dns.zones
            && zones.iter().any(|zone| **zone == *format!("{service}.us-east-1.amazonaws.com"))
        {
            return if asked == Dies { Dies } else { Dark };
        }
        let amazon = self.amazon() == Some(true);
        let dns = &self.around.dns;
        let attributes = match (&dns.support, &dns.hostnames) {
            (Fact::Known(false), _) | (_, Fact::Known(false)) => Some(false),
            (Fact::Known(true), Fact::Known(true)) => Some(true),
            _ => None,
        };
        let mut certain = false;
        if let Some(endpoints) = self.around.endpoints.known() {
            for one in endpoints.iter().filter(|one| one.kind == EndpointKind::Interface && self.is_of(one, service)) {
                let led = if !amazon {
                    None
                } else if one.private_dns && attributes == Some(true) && one.state == Lifetime::Available {
                    Some(true)
                } else if one.private_dns && attributes != Some(false) {
                    None
                } else {
                    Some(false)
                };
                if led == Some(true) && !certain {
                    // What was only possible does not matter beside what is certain.
                    certain = true;
                    fates.clear();
                }
                if led == Some(true) || led.is_none() && !certain {
                    fates.push(self.to_endpoint(own, service, one));
                }
            }
        } else {
            fates.push(Dark);
        }
        if !certain {
            let public = self.to_public(own, service);
            fates.push(public);
            if self.around.endpoints.known().is_some() && self.shared() != Some(false) {
                fates.push(Dark);
            }
            if public == Dies && dns.zones.known().is_none() && self.somewhere_private(own) {
                fates.push(Dark);
            }
        }
        let way = alike(fates).unwrap_or(Dark);
        debug_assert_eq!(Family::of(own), family);
        if asked == Dies || way == Dies { Dies } else { asked.max(way) }
    }

    fn is_of(&self, endpoint: &Endpoint, service: Service) -> bool {
        *endpoint.service == *format!("com.amazonaws.{}.{service}", self.around.region)
    }

    fn shared(&self) -> Option<bool> {
        Some(self.around.subnets.known()?.get(&self.case.host.subnet)?.shared)
    }

    fn is_amazon(&self, server: NameServer) -> bool {
        match server {
            NameServer::Amazon => true,
            NameServer::Address(at) => {
                at == "169.254.169.253".parse::<IpAddr>().unwrap()
                    || self.around.block.known().is_some() && at == "10.0.0.2".parse::<IpAddr>().unwrap()
            }
        }
    }

    /// Whether the VPC's own resolver answers; none: nobody knows.
    fn amazon(&self) -> Option<bool> {
        let servers = self.around.dns.servers.known()?;
        if servers.is_empty() { None } else { Some(servers.iter().all(|server| self.is_amazon(*server))) }
    }

    /// What becomes of the question for a name.
    fn asking(&self) -> Fate {
        match self.amazon() {
            None => Dark,
            Some(true) => self.around.dns.support.known().map_or(Dark, |on| lives(*on)),
            Some(false) => {
                let servers = self.around.dns.servers.known().unwrap();
                let dead = servers.iter().all(|server| match server {
                    NameServer::Address(at) if !self.is_amazon(*server) => self.to_server(*at) == Dies,
                    _ => false,
                });
                if dead { Dies } else { Dark }
            }
        }
    }

    fn to_server(&self, server: IpAddr) -> Fate {
        let Some(own) = self.case.host.address(Family::of(server)) else { return Dies };
        let about = About { protocol: Protocol::Udp, port: 53, service: None, peers: None };
        let near = self.around.subnets.known().and_then(|all| all.get(&self.case.host.subnet));
        match near.map(|subnet| subnet.blocks.iter().any(|block| inside(*block, server))) {
            Some(true) => self.groups_out(server, about),
            Some(false) => self.by_ports(|port, onward| self.out((own, server), port, about, onward)),
            None => self.groups_out(server, about).max(Dark),
        }
    }

    /// One answer port after the other. Hosts choose from 32768 on; some choose from 1024 on.
    fn by_ports(&self, fate: impl Fn(u16, &OnceCell<Fate>) -> Fate) -> Fate {
        // What a NAT gateway makes of the packet is the same for each port of the host.
        let onward = OnceCell::new();
        let each: Vec<(u16, Fate)> = self.ports.iter().map(|port| (*port, fate(*port, &onward))).collect();
        if each.iter().all(|(_, fate)| *fate == Dies) {
            Dies
        } else if each.iter().filter(|(port, _)| *port >= 32_768).all(|(_, fate)| *fate == Arrives) {
            Arrives
        } else {
            Dark
        }
    }

    fn to_public(&self, own: IpAddr, service: Service) -> Fate {
        let family = Family::of(own);
        let about = About { protocol: Protocol::Tcp, port: 443, service: Some(service), peers: Some(&NOBODY) };
        let table = self.table(&self.case.host.subnet);
        let mut listed = None;
        if let Some(table) = table {
            for route in &table.routes {
                if let Destination::List(id) = &route.to
                    && listed.is_none()
                    && gateway(self.around, &route.target).is_some_and(|one| self.is_of(one, service))
                {
                    listed = Some(self.around.lists.get(id).and_then(|list| list.entries.known()));
                }
            }
        }
        let unread = listed == Some(None);
        let local = |at: IpAddr| {
            table.is_some_and(|table| {
                table.routes.iter().any(|route| {
                    route.target == Target::Local && matches!(route.to, Destination::Block(block) if inside(block, at))
                })
            })
        };
        let public = self.samples(family, |at| is_public(at) && !local(at));
        let to = match listed.flatten() {
            Some(entries) if entries.iter().any(|block| block.family() == family) => {
                self.samples(family, |at| entries.iter().any(|block| inside(*block, at)))
            }
            Some(_) | None => public,
        };
        let fates = to.into_iter().map(|at| self.by_ports(|port, onward| self.out((own, at), port, about, onward)));
        let fate = alike(fates).unwrap();
        if fate == Arrives && (unread || family == Family::V6) { Dark } else { fate }
    }

    /// Whether a packet to some private address outside the VPC may arrive anywhere.
    fn somewhere_private(&self, own: IpAddr) -> bool {
        let Some(table) = self.table(&self.case.host.subnet) else { return false };
        let about = About { protocol: Protocol::Tcp, port: 443, service: None, peers: Some(&NOBODY) };
        let local = |at: IpAddr| {
            table.routes.iter().any(|route| {
                route.target == Target::Local && matches!(route.to, Destination::Block(block) if inside(block, at))
            })
        };
        let to = self.samples(Family::of(own), |at| is_private(at) && !local(at));
        to.into_iter().any(|at| self.by_ports(|port, onward| self.out((own, at), port, about, onward)) != Dies)
    }

    fn to_endpoint(&self, own: IpAddr, service: Service, endpoint: &Endpoint) -> Fate {
        let family = Family::of(own);
        let has_family = if family == Family::V4 { endpoint.v4 } else { endpoint.v6 };
        let mut to: Vec<(SubnetId, IpAddr)> = Vec::new();
        if let Some(interfaces) = endpoint.interfaces.known() {
            for one in interfaces {
                to.extend(one.addresses.iter().map(|at| (one.subnet.clone(), *at)));
            }
        } else {
            let Some(subnets) = self.around.subnets.known() else { return Dark };
            for id in &endpoint.subnets {
                for block in &subnets[id].blocks {
                    let (first, last) = block.borders();
                    to.extend((first..=last).map(|at| (id.clone(), address(block.family(), at))));
                }
            }
        }
        to.retain(|(_, at)| Family::of(*at) == family && has_family);
        let about = About { protocol: Protocol::Tcp, port: 443, service: Some(service), peers: Some(&endpoint.groups) };
        let fates = to.iter().map(|(subnet, at)| {
            self.by_ports(|port, onward| {
                let mut fate = self.groups_out(*at, about);
                fate = fate
                    .max(Self::state(endpoint))
                    .max(Self::policy(endpoint, service))
                    .max(self.groups_in(own, endpoint));
                if *subnet != self.case.host.subnet {
                    fate = fate.max(self.crosses_out(&self.case.host.subnet, *at, port, about));
                    fate = fate.max(self.route((own, *at), port, about, onward));
                    fate = fate.max(self.crosses_in(subnet, own, port, about));
                }
                fate
            })
        });
        // Without any network interface nothing is there.
        alike(fates).unwrap_or(Dies)
    }

    fn state(endpoint: &Endpoint) -> Fate {
        match endpoint.state {
            Lifetime::Available => Arrives,
            Lifetime::Coming => Dark,
            Lifetime::Gone => Dies,
        }
    }

    fn policy(endpoint: &Endpoint, service: Service) -> Fate {
        endpoint.policy.as_ref().map_or(Arrives, |text| policy_says(text, service).map_or(Dark, lives))
    }

    /// Out of the host, out of its subnet, along the routes.
    fn out(&self, (own, to): (IpAddr, IpAddr), port: u16, about: About<'_>, onward: &OnceCell<Fate>) -> Fate {
        let groups = self.groups_out(to, about);
        if groups == Dies {
            return Dies;
        }
        let acl = self.crosses_out(&self.case.host.subnet, to, port, about);
        if acl == Dies {
            return Dies;
        }
        groups.max(acl).max(self.route((own, to), port, about, onward))
    }

    fn groups_out(&self, to: IpAddr, about: About<'_>) -> Fate {
        self.any_group(&self.case.host.groups, |group| &group.outbound, to, about)
    }

    fn groups_in(&self, own: IpAddr, endpoint: &Endpoint) -> Fate {
        let about = About { protocol: Protocol::Tcp, port: 443, service: None, peers: Some(&self.case.host.groups) };
        self.any_group(&endpoint.groups, |group| &group.inbound, own, about)
    }

    fn any_group(
        &self,
        groups: &BTreeSet<SecurityGroupId>,
        side: impl Fn(&SecurityGroup) -> &Vec<GroupRule>,
        other: IpAddr,
        about: About<'_>,
    ) -> Fate {
        let mut best = if groups.is_empty() { Dark } else { Dies };
        for id in groups {
            let Some(group) = self.around.groups.known().and_then(|all| all.get(id)) else {
                best = best.min(Dark);
                continue;
            };
            for rule in side(group) {
                let matches = rule.protocol == Protocol::All
                    || rule.protocol == about.protocol && (rule.ports.first..=rule.ports.last).contains(&about.port);
                for peer in rule.peers.iter().filter(|_| matches) {
                    let fate = match peer {
                        Peer::Block(block) => lives(inside(*block, other)),
                        Peer::Group(id) => about.peers.map_or(Dark, |peers| lives(peers.contains(id))),
                        Peer::List(id) => match self.around.lists.get(id).and_then(|list| list.entries.known()) {
                            Some(entries) => lives(entries.iter().any(|block| inside(*block, other))),
                            None => Dark,
                        },
                    };
                    best = best.min(fate);
                }
            }
        }
        best
    }

    /// Out of a subnet, and the answer back in to one port.
    fn crosses_out(&self, subnet: &SubnetId, to: IpAddr, answer: u16, about: About<'_>) -> Fate {
        let go = self.acl(subnet, true, to, about.port, about.protocol);
        go.max(self.acl(subnet, false, to, answer, about.protocol))
    }

    /// Into a subnet, and the answer back out to one port.
    fn crosses_in(&self, subnet: &SubnetId, from: IpAddr, answer: u16, about: About<'_>) -> Fate {
        let go = self.acl(subnet, false, from, about.port, about.protocol);
        go.max(self.acl(subnet, true, from, answer, about.protocol))
    }

    fn acl(&self, subnet: &SubnetId, outbound: bool, other: IpAddr, port: u16, protocol: Protocol) -> Fate {
        let Some(acls) = self.around.acls.known() else { return Dark };
        let Some(acl) = acls.iter().find(|acl| acl.subnets.contains(subnet)) else { return Dark };
        let mut first: Option<(u16, bool)> = None;
        for entry in &acl.entries {
            let matches = entry.outbound == outbound
                && inside(entry.block, other)
                && (entry.protocol == Protocol::All
                    || entry.protocol == protocol && entry.ports.first <= port && port <= entry.ports.last);
            if matches && first.is_none_or(|(number, _)| entry.number < number) {
                first = Some((entry.number, entry.allow));
            }
        }
        lives(first.is_some_and(|(_, allow)| allow))
    }

    fn table(&self, subnet: &SubnetId) -> Option<&'a RouteTable> {
        let tables = self.around.tables.known()?;
        tables.iter().find(|table| table.subnets.contains(subnet)).or_else(|| tables.iter().find(|table| table.main))
    }

    /// The route of a packet; an error where nobody knows it.
    fn choose(&self, table: &'a RouteTable, to: IpAddr, about: About<'_>) -> Result<Option<&'a Route>, ()> {
        let mut best: Option<((u8, u8), &Route)> = None;
        for route in &table.routes {
            if let Some(endpoint) = gateway(self.around, &route.target)
                && !about.service.is_some_and(|service| self.is_of(endpoint, service))
            {
                continue;
            }
            let (blocks, rank): (&[Cidr], u8) = match &route.to {
                Destination::Block(block) => (std::slice::from_ref(block), if route.propagated { 0 } else { 2 }),
                Destination::List(id) => match self.around.lists.get(id).and_then(|list| list.entries.known()) {
                    Some(entries) => (entries, 1),
                    None => return Err(()),
                },
            };
            for block in blocks.iter().filter(|block| inside(**block, to)) {
                let key = (block.length(), rank);
                if best.is_none_or(|(than, _)| key > than) {
                    best = Some((key, route));
                }
            }
        }
        // What is in the VPC stays there, whatever a propagated route says.
        if best.is_some_and(|(_, route)| route.propagated) {
            let own = table.routes.iter().find(|route| {
                route.target == Target::Local && matches!(route.to, Destination::Block(block) if inside(block, to))
            });
            if let Some(own) = own {
                let still = table.routes.iter().filter(|route| !route.propagated);
                let longest = |route: &&Route| match route.to {
                    Destination::Block(block) if inside(block, to) => block.length(),
                    _ => 0,
                };
                let kept = still.max_by_key(longest).unwrap_or(own);
                return Ok(Some(kept));
            }
        }
        Ok(best.map(|(_, route)| route))
    }

    fn route(&self, (own, to): (IpAddr, IpAddr), port: u16, about: About<'_>, onward: &OnceCell<Fate>) -> Fate {
        let Some(table) = self.table(&self.case.host.subnet) else { return Dark };
        let Ok(route) = self.choose(table, to, about) else { return Dark };
        let Some(route) = route.filter(|route| route.active) else { return Dies };
        match &route.target {
            Target::Local => Arrives,
            Target::InternetGateway(_) => lives(is_public(to) && (own.is_ipv6() || self.case.host.public)),
            Target::EgressOnly(_) => lives(own.is_ipv6() && is_public(to)),
            Target::Beyond(_) => Dark,
            Target::Endpoint(_) => gateway(self.around, &route.target).map_or(Dark, |endpoint| {
                let policy = about.service.map_or(Arrives, |service| Self::policy(endpoint, service));
                Self::state(endpoint).max(policy)
            }),
            Target::Nat(id) => {
                let Some(nats) = self.around.nats.known() else { return Dark };
                let Some(nat) = nats.get(id) else {
                    return if self.shared() == Some(false) { Dies } else { Dark };
                };
                match nat.state {
                    Lifetime::Gone => return Dies,
                    Lifetime::Coming => return Dark,
                    Lifetime::Available => {}
                }
                if let IpAddr::V6(v6) = to {
                    return if is_mapped(v6) { Dark } else { Dies };
                }
                if !nat.public {
                    return Dark;
                }
                if !nat.has_public_address {
                    return Dies;
                }
                let Some(subnet) = &nat.subnet else { return Dark };
                let into = self.crosses_in(subnet, own, port, about);
                // The NAT gateway chooses a port of its own, and any may be its choice.
                let past = *onward.get_or_init(|| {
                    let out = alike(self.ports.iter().map(|port| self.crosses_out(subnet, to, *port, about))).unwrap();
                    out.max(self.past_nat(route, subnet, to, about))
                });
                into.max(past)
            }
        }
    }

    fn past_nat(&self, came_by: &Route, subnet: &SubnetId, to: IpAddr, about: About<'_>) -> Fate {
        let Some(table) = self.table(subnet) else { return Dark };
        let Ok(route) = self.choose(table, to, about) else { return Dark };
        let Some(route) = route.filter(|route| route.active) else { return Dies };
        match &route.target {
            Target::InternetGateway(_) => lives(is_public(to)),
            Target::Local | Target::EgressOnly(_) => Dies,
            Target::Nat(_) if route.target == came_by.target => Dies,
            Target::Nat(_) | Target::Endpoint(_) | Target::Beyond(_) => Dark,
        }
    }
}

static NOBODY: BTreeSet<SecurityGroupId> = BTreeSet::new();
