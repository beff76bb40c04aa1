//! VPCs by seed: a small address space, overlapping rules, and now and then something that nobody could read.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::str::FromStr;

use defib::diagnose::path::{
    AclEntry, Cidr, Destination, Dns, Endpoint, EndpointInterface, EndpointKind, GroupRule, Host, Lifetime, NameServer,
    NatGateway, NetworkAcl, Peer, Ports, PrefixList, Protocol, Route, RouteTable, SecurityGroup, Service, Subnet,
    Surroundings, Target,
};
use defib::observe::{Blind, Fact};
use fastrand::Rng;

/// What each VPC has four of at most.
const SUBNETS: usize = 4;
/// The subnets' blocks, by number, of both families.
const BLOCKS: [(&str, &str); SUBNETS] = [
    ("10.0.0.0/28", "2600:0:0:1::/124"),
    ("10.0.0.16/28", "2600:0:0:1::10/124"),
    ("10.0.0.32/28", "2600:0:0:1::20/124"),
    ("10.0.0.48/28", "2600:0:0:1::30/124"),
];
/// What rules and routes are about. The wide ones are drawn more often.
const WIDE: [&str; 6] = ["0.0.0.0/0", "0.0.0.0/0", "::/0", "10.0.0.0/26", "2600:0:0:1::/122", "0.0.0.0/0"];
const NARROW: [&str; 22] = [
    "0.0.0.0/1",
    "128.0.0.0/1",
    "128.0.0.0/2",
    "10.0.0.0/8",
    "10.0.0.0/28",
    "10.0.0.16/28",
    "10.0.0.32/28",
    "10.0.0.48/29",
    "10.0.0.56/29",
    "10.0.0.4/30",
    "10.1.0.0/16",
    "172.16.0.0/12",
    "52.0.0.0/8",
    "52.94.0.0/16",
    "52.216.0.0/15",
    "8.8.8.8/32",
    "::/1",
    "2000::/3",
    "2600::/16",
    "64:ff9b::/96",
    "2600:0:0:1::10/124",
    "fd00::/8",
];
const POLICIES: [&str; 5] = [
    r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
    r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"},{"Effect":"Deny","Principal":"*","Action":["ssm:*","ecs:*","s3:*"],"Resource":"*"}]}"#,
    r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*"}]}"#,
    r#"{"Statement":[{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"*","Resource":"*"}]}"#,
    "{",
];
/// What the policies above say to each of the services that the walk asks for: `None` is unclear.
pub(crate) fn policy_says(text: &str, service: Service) -> Option<bool> {
    match POLICIES.iter().position(|policy| *policy == text) {
        Some(0) => Some(true),
        Some(1) => Some(!matches!(
            service,
            Service::Ssm | Service::Ecs | Service::EcsAgent | Service::EcsTelemetry | Service::S3
        )),
        Some(2) => Some(service == Service::S3),
        _ => None,
    }
}

/// A host, what surrounds it, and the services to ask for.
pub(crate) struct Case {
    pub(crate) host: Host,
    pub(crate) around: Surroundings,
    pub(crate) services: Vec<Service>,
}

pub(crate) fn parse<T: FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} does not parse"))
}

/// Another host of the same subnet and groups.
pub(crate) fn neighbour(host: &Host, seed: u64) -> Host {
    let mut maker = Maker { rng: Rng::with_seed(!seed), wild: 0, blind: 0 };
    let subnet = usize::from(host.subnet.as_str().ends_with('1'));
    let mut other = host.clone();
    other.v4 = host.v4.map(|_| parse(&maker.address(subnet, false).to_string()));
    other.v6 = host.v6.map(|_| parse(&maker.address(subnet, true).to_string()));
    other
}

struct Maker {
    rng: Rng,
    /// How many of a hundred things are drawn wild instead of usual.
    wild: u32,
    /// How many of a hundred reads fail.
    blind: u32,
}

pub(crate) fn case(seed: u64) -> Case {
    let mut rng = Rng::with_seed(seed);
    let wild = [2, 8, 20, 60][rng.usize(0..4)];
    let blind = [0, 0, 1, 8][rng.usize(0..4)];
    Maker { rng, wild, blind }.case()
}

impl Maker {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.u32(0..100) < percent
    }

    fn wild(&mut self) -> bool {
        let wild = self.wild;
        self.chance(wild)
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.usize(0..from.len())]
    }

    fn read<T>(&mut self, value: T) -> Fact<T> {
        let blind = self.blind;
        if self.chance(blind) { Fact::Unknown(Blind::Throttled) } else { Fact::Known(value) }
    }

    fn block(&mut self) -> Cidr {
        let text = if self.wild() { self.pick(&NARROW) } else { self.pick(&WIDE) };
        parse(text)
    }

    fn address(&mut self, subnet: usize, v6: bool) -> IpAddr {
        let last = u16::try_from(subnet * 16).unwrap() + self.rng.u16(4..14);
        if v6 { IpAddr::V6([0x2600, 0, 0, 1, 0, 0, 0, last].into()) } else { parse(&format!("10.0.0.{last}")) }
    }

    fn case(mut self) -> Case {
        let subnet = self.rng.usize(0..2);
        let (v4, v6) = [(true, false), (true, false), (true, true), (false, true)][self.rng.usize(0..4)];
        let address = |maker: &mut Self, v6| maker.address(subnet, v6);
        let host = Host {
            subnet: parse(&format!("subnet-{subnet}")),
            groups: self.groups(),
            v4: v4.then(|| address(&mut self, false)).map(|found| parse(&found.to_string())),
            v6: v6.then(|| address(&mut self, true)).map(|found| parse(&found.to_string())),
            public: self.rng.bool(),
        };
        let mut services: Vec<Service> = Service::ALL.to_vec();
        self.rng.shuffle(&mut services);
        services.truncate(3);
        let endpoints = self.endpoints(&services);
        let (subnets, groups, acls, tables, nats) =
            (self.subnets(), self.all_groups(), self.acls(), self.tables(), self.nats());
        let around = Surroundings {
            region: parse("us-east-1"),
            vpc: parse("vpc-1"),
            block: self.read(parse("10.0.0.0/26")),
            subnets: self.read(subnets),
            groups: self.read(groups),
            acls: self.read(acls),
            tables: self.read(tables),
            nats: self.read(nats),
            endpoints: self.read(endpoints),
            lists: self.lists(),
            dns: self.dns(),
        };
        Case { host, around, services }
    }

    fn groups(&mut self) -> BTreeSet<defib::diagnose::path::SecurityGroupId> {
        if self.wild() && self.chance(5) {
            return BTreeSet::new();
        }
        (0..=self.rng.usize(0..2)).map(|_| parse(&format!("sg-{}", self.rng.usize(0..4)))).collect()
    }

    fn subnets(&mut self) -> BTreeMap<defib::diagnose::path::SubnetId, Subnet> {
        let mut all = BTreeMap::new();
        for (n, (v4, v6)) in BLOCKS.iter().enumerate() {
            let blocks = vec![parse(v4), parse(v6)];
            let shared = self.wild() && self.chance(20);
            all.insert(parse(&format!("subnet-{n}")), Subnet { zone: parse("us-east-1a"), blocks, shared });
        }
        all
    }

    fn ports(&mut self) -> Ports {
        let borders: [u16; 8] = [0, 442, 443, 1_024, 32_768, 40_000, 61_000, 65_535];
        let (a, b) = (borders[self.rng.usize(0..8)], borders[self.rng.usize(0..8)]);
        Ports { first: a.min(b), last: a.max(b) }
    }

    fn protocol(&mut self) -> Protocol {
        [Protocol::All, Protocol::Tcp, Protocol::Tcp, Protocol::Udp, Protocol::Other][self.rng.usize(0..5)]
    }

    fn rule(&mut self) -> GroupRule {
        let usual = !self.wild();
        let peers = (0..=self.rng.usize(0..2)).map(|_| match self.rng.u32(0..10) {
            0 => Peer::List(parse("pl-own")),
            1 => Peer::Group(parse(&format!("sg-{}", self.rng.usize(0..4)))),
            _ => Peer::Block(self.block()),
        });
        let mut peers: Vec<Peer> = peers.collect();
        if usual {
            peers.push(Peer::Block(parse(self.pick(&["0.0.0.0/0", "0.0.0.0/0", "::/0"]))));
            return GroupRule { protocol: Protocol::All, ports: Ports::ALL, peers };
        }
        let ports = if self.rng.bool() { Ports { first: 443, last: 443 } } else { self.ports() };
        GroupRule { protocol: self.protocol(), ports, peers }
    }

    fn all_groups(&mut self) -> BTreeMap<defib::diagnose::path::SecurityGroupId, SecurityGroup> {
        let mut all = BTreeMap::new();
        for n in 0..4 {
            if self.wild() && self.chance(10) {
                continue;
            }
            let rules = |maker: &mut Self| {
                let least = usize::from(!maker.wild());
                (0..maker.rng.usize(least..4)).map(|_| maker.rule()).collect()
            };
            let (inbound, outbound) = (rules(self), rules(self));
            all.insert(parse(&format!("sg-{n}")), SecurityGroup { inbound, outbound });
        }
        all
    }

    fn acls(&mut self) -> Vec<NetworkAcl> {
        let mut acls: Vec<NetworkAcl> = (0..3)
            .map(|n| NetworkAcl { id: parse(&format!("acl-{n}")), subnets: Vec::new(), entries: self.entries() })
            .collect();
        for subnet in 0..SUBNETS {
            if !(self.wild() && self.chance(5)) {
                let n = self.rng.usize(0..3);
                acls[n].subnets.push(parse(&format!("subnet-{subnet}")));
            }
        }
        acls
    }

    /// An ACL that lets answers through to half of the ports alone, another half each way.
    fn halves(&mut self) -> Vec<AclEntry> {
        let halves = [Ports { first: 1_024, last: 40_000 }, Ports { first: 40_001, last: 65_535 }];
        let https = Ports { first: 443, last: 443 };
        let mut entries = Vec::new();
        for (outbound, block) in [(false, "0.0.0.0/0"), (false, "::/0"), (true, "0.0.0.0/0"), (true, "::/0")] {
            for (number, ports) in [(1, https), (2, halves[self.rng.usize(0..2)])] {
                let (allow, protocol) = (true, Protocol::Tcp);
                entries.push(AclEntry { number, outbound, allow, protocol, ports, block: parse(block) });
            }
        }
        entries
    }

    fn entries(&mut self) -> Vec<AclEntry> {
        if self.wild() && self.chance(30) {
            return self.halves();
        }
        let mut entries = Vec::new();
        for (outbound, block) in [(false, "0.0.0.0/0"), (false, "::/0"), (true, "0.0.0.0/0"), (true, "::/0")] {
            if !self.wild() {
                let (protocol, ports) = (Protocol::All, Ports::ALL);
                entries.push(AclEntry { number: 100, outbound, allow: true, protocol, ports, block: parse(block) });
            }
        }
        while self.wild() && entries.len() < 10 {
            entries.push(AclEntry {
                number: self.rng.u16(1..200),
                outbound: self.rng.bool(),
                allow: self.rng.bool(),
                protocol: self.protocol(),
                ports: self.ports(),
                block: self.block(),
            });
        }
        // No two rules of one direction have the same number at AWS.
        let mut taken = BTreeSet::new();
        entries.retain(|entry| taken.insert((entry.outbound, entry.number, entry.block.family())));
        self.rng.shuffle(&mut entries);
        entries
    }

    fn tables(&mut self) -> Vec<RouteTable> {
        let mut tables: Vec<RouteTable> = (0..3).map(|n| self.table(n)).collect();
        for subnet in 0..SUBNETS {
            // The first table is the private one, the second the public one.
            let n = if self.wild() { self.rng.usize(0..4) } else { usize::from(subnet >= 2) };
            if let Some(table) = tables.get_mut(n) {
                table.subnets.push(parse(&format!("subnet-{subnet}")));
            }
        }
        let main = self.rng.usize(0..3);
        let none = self.wild() && self.chance(10);
        tables[main].main = !none;
        tables
    }

    fn table(&mut self, n: usize) -> RouteTable {
        let route = |to: &str, target: &str| Route {
            to: Destination::Block(parse(to)),
            target: parse(target),
            active: true,
            propagated: false,
        };
        let mut routes = vec![route("10.0.0.0/26", "local"), route("2600:0:0:1::/122", "local")];
        if !self.wild() {
            let target = if n == 1 || self.chance(20) { "igw-1" } else { self.pick(&["nat-0", "nat-1"]) };
            routes.push(route("0.0.0.0/0", target));
        }
        if self.rng.bool() {
            routes.push(route("::/0", self.pick(&["eigw-1", "igw-1"])));
        }
        if self.chance(30) {
            routes.push(Route { to: Destination::List(parse("pl-s3")), ..route("::/0", "vpce-s3") });
        }
        if self.wild() {
            // A VPN tells of the VPC's own blocks, and of one that is like a static route.
            let to = self.pick(&["10.0.0.32/28", "10.0.0.48/28", "0.0.0.0/0", "2600:0:0:1::20/124"]);
            routes.push(Route { propagated: true, ..route(to, "vgw-1") });
        }
        while self.wild() && routes.len() < 8 {
            let to = match self.rng.u32(0..6) {
                0 => Destination::List(parse("pl-own")),
                _ => Destination::Block(self.block()),
            };
            let target =
                self.pick(&["igw-1", "nat-0", "nat-1", "nat-9", "eigw-1", "tgw-1", "vgw-1", "vpce-gwlb", "eni-1"]);
            let propagated = self.chance(20);
            routes.push(Route { to, target: parse(target), active: !self.chance(15), propagated });
        }
        // One static route for each destination, as at AWS; propagated ones may repeat it.
        let mut taken: Vec<(Destination, bool)> = Vec::new();
        routes.retain(|route| {
            let new = !taken.contains(&(route.to.clone(), route.propagated));
            taken.push((route.to.clone(), route.propagated));
            new
        });
        self.rng.shuffle(&mut routes);
        RouteTable { id: parse(&format!("rtb-{n}")), main: false, subnets: Vec::new(), routes }
    }

    fn lifetime(&mut self) -> Lifetime {
        if self.wild() { [Lifetime::Gone, Lifetime::Coming][self.rng.usize(0..2)] } else { Lifetime::Available }
    }

    fn nats(&mut self) -> BTreeMap<defib::diagnose::path::NatGatewayId, NatGateway> {
        let mut all = BTreeMap::new();
        for n in 0..2 {
            let subnet = if self.wild() { self.rng.usize(0..=SUBNETS) } else { 2 + n };
            let nat = NatGateway {
                state: self.lifetime(),
                subnet: (subnet < SUBNETS).then(|| parse(&format!("subnet-{subnet}"))),
                public: !self.wild(),
                has_public_address: !self.wild(),
            };
            all.insert(parse(&format!("nat-{n}")), nat);
        }
        all
    }

    fn endpoints(&mut self, services: &[Service]) -> Vec<Endpoint> {
        let mut all = Vec::new();
        for service in services {
            for _ in 0..[0, 1, 1, 2][self.rng.usize(0..4)] {
                all.push(self.endpoint(*service, all.len()));
            }
        }
        if !self.wild() {
            let kind = EndpointKind::Gateway;
            all.push(Endpoint { kind, id: parse("vpce-s3"), ..self.endpoint(Service::S3, 99) });
        }
        all
    }

    fn endpoint(&mut self, service: Service, n: usize) -> Endpoint {
        let subnets: BTreeSet<usize> = (0..self.rng.usize(1..3)).map(|_| self.rng.usize(0..SUBNETS)).collect();
        let (v4, v6) = if self.wild() { (self.rng.bool(), self.rng.bool()) } else { (true, self.rng.bool()) };
        let mut interfaces = Vec::new();
        for subnet in subnets.iter().filter(|_| n % 7 != 6) {
            let addresses = [(v4, false), (v6, true)].into_iter().filter(|(has, _)| *has);
            let addresses = addresses.map(|(_, six)| self.address(*subnet, six)).collect();
            interfaces.push(EndpointInterface { subnet: parse(&format!("subnet-{subnet}")), addresses });
        }
        let policy = if self.wild() { Some(self.pick(&POLICIES).into()) } else { None };
        Endpoint {
            id: parse(&format!("vpce-{n}")),
            service: format!("com.amazonaws.us-east-1.{service}").into(),
            kind: EndpointKind::Interface,
            state: self.lifetime(),
            subnets: subnets.iter().map(|subnet| parse(&format!("subnet-{subnet}"))).collect(),
            interfaces: if self.chance(40) { Fact::Unknown(Blind::NotRead) } else { Fact::Known(interfaces) },
            groups: self.groups(),
            private_dns: !self.wild(),
            v4,
            v6,
            policy,
        }
    }

    fn lists(&mut self) -> BTreeMap<defib::diagnose::path::PrefixListId, PrefixList> {
        let own = (0..self.rng.usize(0..3)).map(|_| self.block()).collect();
        let storage = ["52.216.0.0/15", "3.5.0.0/19"].map(parse).to_vec();
        let mut lists = BTreeMap::new();
        lists.insert(parse("pl-own"), PrefixList { name: None, entries: self.read(own) });
        if !self.wild() {
            lists.insert(parse("pl-s3"), PrefixList { name: None, entries: self.read(storage) });
        }
        lists
    }

    fn dns(&mut self) -> Dns {
        let servers: Vec<NameServer> = if self.wild() {
            let all =
                ["AmazonProvidedDNS", "10.0.0.2", "169.254.169.253", "10.0.0.37", "8.8.8.8", "10.1.0.2", "fd00::53"];
            (0..self.rng.usize(0..3)).map(|_| parse(self.pick(&all))).collect()
        } else {
            vec![NameServer::Amazon]
        };
        let zones = match self.rng.u32(0..20) {
            0 => Fact::Known(vec![format!("{}.us-east-1.amazonaws.com", self.pick(&["ssm", "logs", "ecs"])).into()]),
            1..=9 => Fact::Known(vec!["example.com".into()]),
            _ => Fact::Unknown(Blind::NotRead),
        };
        let (support, hostnames) = (!(self.wild() && self.chance(30)), !self.wild());
        Dns { support: self.read(support), hostnames: self.read(hostnames), servers: self.read(servers), zones }
    }
}

/// Every block that something of a case speaks of.
pub(crate) fn blocks(around: &Surroundings) -> Vec<Cidr> {
    let mut all: Vec<Cidr> = BLOCKS.iter().flat_map(|(v4, v6)| [parse(v4), parse(v6)]).collect();
    all.extend(WIDE.iter().chain(&NARROW).map(|text| parse::<Cidr>(text)));
    all.extend(around.lists.values().filter_map(|list| list.entries.known()).flatten().copied());
    all.sort_unstable();
    all.dedup();
    all
}

/// Whether a route leads to a gateway endpoint that is known.
pub(crate) fn gateway<'a>(around: &'a Surroundings, target: &Target) -> Option<&'a Endpoint> {
    match target {
        Target::Endpoint(id) => {
            let endpoints = around.endpoints.known()?;
            endpoints.iter().find(|one| one.id == *id && one.kind == EndpointKind::Gateway)
        }
        _ => None,
    }
}
