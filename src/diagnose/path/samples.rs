//! VPCs for tests, told like a story: `private().nat_is(Lifetime::Gone)`.

use std::collections::BTreeMap;

use super::*;
use crate::observe::{Blind, Fact};

/// A host and what surrounds it.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) host: Host,
    pub(crate) around: Surroundings,
}

pub(crate) fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn known<T>(fact: &mut Fact<T>) -> &mut T {
    match fact {
        Fact::Known(known) => known,
        Fact::Absent | Fact::Unknown(_) => panic!("not known"),
    }
}

pub(crate) fn rule(protocol: &str, port: Option<i32>, peer: &str) -> GroupRule {
    let peer = if peer.starts_with("sg-") {
        Peer::Group(id(peer))
    } else if peer.starts_with("pl-") {
        Peer::List(id(peer))
    } else {
        Peer::Block(id(peer))
    };
    GroupRule { protocol: Protocol::named(protocol), ports: Ports::given(port, port), peers: vec![peer] }
}

pub(crate) fn entry(number: u16, outbound: bool, allow: bool, ports: (u16, u16), block: &str) -> AclEntry {
    let ports = Ports { first: ports.0, last: ports.1 };
    AclEntry { number, outbound, allow, protocol: Protocol::Tcp, ports, block: id(block) }
}

pub(crate) fn route(to: &str, target: &str) -> Route {
    let to = if to.starts_with("pl-") { Destination::List(id(to)) } else { Destination::Block(id(to)) };
    Route { to, target: id(target), active: true, propagated: false }
}

fn everything(number: u16, outbound: bool, block: &str) -> AclEntry {
    let ports = Ports::ALL;
    AclEntry { number, outbound, allow: true, protocol: Protocol::All, ports, block: id(block) }
}

fn default_acl(name: &str, subnets: &[&str]) -> NetworkAcl {
    let entries = [false, true].into_iter().flat_map(|out| ["0.0.0.0/0", "::/0"].map(|block| (out, block)));
    NetworkAcl {
        id: id(name),
        subnets: subnets.iter().map(|subnet| id(subnet)).collect(),
        entries: entries.zip([100, 101, 100, 101]).map(|((out, block), n)| everything(n, out, block)).collect(),
    }
}

fn table(name: &str, main: bool, subnets: &[&str], routes: Vec<Route>) -> RouteTable {
    RouteTable { id: id(name), main, subnets: subnets.iter().map(|subnet| id(subnet)).collect(), routes }
}

fn subnet(zone: &str, block: &str) -> Subnet {
    Subnet { zone: id(zone), blocks: vec![id(block)], shared: false }
}

/// `subnet-1` with its own ACL and table behind `nat-1`, which stands in the public `subnet-2`; no endpoints.
pub(crate) fn private() -> Sample {
    let local = || route("10.0.0.0/16", "local");
    let open = SecurityGroup { inbound: vec![], outbound: vec![rule("-1", None, "0.0.0.0/0")] };
    let nat =
        NatGateway { state: Lifetime::Available, subnet: Some(id("subnet-2")), public: true, has_public_address: true };
    Sample {
        host: Host {
            subnet: id("subnet-1"),
            groups: [id("sg-1")].into(),
            v4: Some(id("10.0.1.10")),
            v6: None,
            public: false,
        },
        around: Surroundings {
            region: id("us-east-1"),
            vpc: id("vpc-1"),
            block: Fact::Known(id("10.0.0.0/16")),
            subnets: Fact::Known(BTreeMap::from([
                (id("subnet-1"), subnet("us-east-1a", "10.0.1.0/24")),
                (id("subnet-2"), subnet("us-east-1a", "10.0.2.0/24")),
                (id("subnet-3"), subnet("us-east-1b", "10.0.3.0/24")),
            ])),
            groups: Fact::Known(BTreeMap::from([(id("sg-1"), open)])),
            acls: Fact::Known(vec![
                default_acl("acl-1", &["subnet-1"]),
                default_acl("acl-2", &["subnet-2", "subnet-3"]),
            ]),
            tables: Fact::Known(vec![
                table("rtb-1", false, &["subnet-1"], vec![local(), route("0.0.0.0/0", "nat-1")]),
                table("rtb-2", false, &["subnet-2"], vec![local(), route("0.0.0.0/0", "igw-1")]),
                table("rtb-3", true, &[], vec![local()]),
            ]),
            nats: Fact::Known(BTreeMap::from([(id("nat-1"), nat)])),
            endpoints: Fact::Known(vec![]),
            lists: BTreeMap::new(),
            dns: Dns {
                support: Fact::Known(true),
                hostnames: Fact::Known(true),
                servers: Fact::Known(vec![NameServer::Amazon]),
                zones: Fact::Unknown(Blind::NotRead),
            },
        },
    }
}

/// The host stands in a subnet with a public address and a route to `igw-1`.
pub(crate) fn public() -> Sample {
    private().with(|host, _| host.public = true).routes(&[("10.0.0.0/16", "local"), ("0.0.0.0/0", "igw-1")])
}

/// No way out but interface endpoints in `subnet-3` and a gateway endpoint for S3.
pub(crate) fn isolated() -> Sample {
    let sample = private().routes(&[("10.0.0.0/16", "local"), ("pl-s3", "vpce-s3")]).with(|_, around| {
        let inside = SecurityGroup { inbound: vec![rule("tcp", Some(443), "10.0.0.0/16")], outbound: vec![] };
        known(&mut around.groups).insert(id("sg-2"), inside);
        let name = Some("com.amazonaws.us-east-1.s3".into());
        let entries = Fact::Known(vec![id("52.216.0.0/15"), id("3.5.0.0/19")]);
        around.lists.insert(id("pl-s3"), PrefixList { name, entries });
        known(&mut around.endpoints).push(Endpoint {
            kind: EndpointKind::Gateway,
            groups: [].into(),
            subnets: vec![],
            private_dns: false,
            ..endpoint("s3", "vpce-s3", "10.0.3.99")
        });
    });
    Service::ALL.iter().filter(|service| **service != Service::S3).zip(10..).fold(sample, |sample, (service, n)| {
        let name = format!("vpce-{}", service.as_str().replace(['.', '-'], ""));
        sample.endpoint(endpoint(service.as_str(), &name, &format!("10.0.3.{n}")))
    })
}

pub(crate) fn endpoint(service: &str, name: &str, address: &str) -> Endpoint {
    let interface = EndpointInterface { subnet: id("subnet-3"), addresses: vec![id(address)] };
    Endpoint {
        id: id(name),
        service: format!("com.amazonaws.us-east-1.{service}").into(),
        kind: EndpointKind::Interface,
        state: Lifetime::Available,
        subnets: vec![id("subnet-3")],
        interfaces: Fact::Known(vec![interface]),
        groups: [id("sg-2")].into(),
        private_dns: true,
        v4: true,
        v6: false,
        policy: None,
    }
}

impl Sample {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Host, &mut Surroundings)) -> Self {
        change(&mut self.host, &mut self.around);
        self
    }

    /// The routes of the host's own table.
    pub(crate) fn routes(self, routes: &[(&str, &str)]) -> Self {
        self.table("rtb-1", |table| table.routes = routes.iter().map(|(to, target)| route(to, target)).collect())
    }

    pub(crate) fn table(self, name: &str, change: impl FnOnce(&mut RouteTable)) -> Self {
        self.with(|_, around| {
            let found = known(&mut around.tables).iter_mut().find(|table| table.id.as_str() == name);
            change(found.expect("a table"));
        })
    }

    /// The outbound rules of `sg-1`.
    pub(crate) fn outbound(self, rules: Vec<GroupRule>) -> Self {
        self.with(|_, around| known(&mut around.groups).get_mut(&id("sg-1")).expect("sg-1").outbound = rules)
    }

    /// The inbound rules of `sg-2`.
    pub(crate) fn inbound(self, rules: Vec<GroupRule>) -> Self {
        self.with(|_, around| known(&mut around.groups).get_mut(&id("sg-2")).expect("sg-2").inbound = rules)
    }

    /// The entries of an ACL before those that allow everything.
    pub(crate) fn acl(self, name: &str, entries: Vec<AclEntry>) -> Self {
        self.with(|_, around| {
            let acl = known(&mut around.acls).iter_mut().find(|acl| acl.id.as_str() == name).expect("an ACL");
            acl.entries.extend(entries);
        })
    }

    /// An ACL that holds nothing but these entries.
    pub(crate) fn only_acl(self, name: &str, entries: Vec<AclEntry>) -> Self {
        let emptied = self.with(|_, around| {
            let acl = known(&mut around.acls).iter_mut().find(|acl| acl.id.as_str() == name).expect("an ACL");
            acl.entries.clear();
        });
        emptied.acl(name, entries)
    }

    pub(crate) fn nat(self, change: impl FnOnce(&mut NatGateway)) -> Self {
        self.with(|_, around| change(known(&mut around.nats).get_mut(&id("nat-1")).expect("nat-1")))
    }

    pub(crate) fn endpoint(self, endpoint: Endpoint) -> Self {
        self.with(|_, around| known(&mut around.endpoints).push(endpoint))
    }

    /// Changes each interface endpoint.
    pub(crate) fn endpoints(self, change: impl Fn(&mut Endpoint)) -> Self {
        self.with(|_, around| {
            let all = known(&mut around.endpoints).iter_mut();
            all.filter(|one| one.kind == EndpointKind::Interface).for_each(change);
        })
    }

    pub(crate) fn dns(self, change: impl FnOnce(&mut Dns)) -> Self {
        self.with(|_, around| change(&mut around.dns))
    }

    pub(crate) fn paths(&self) -> Paths {
        paths(&self.host, &self.around)
    }

    /// `open`, `unknown: …` or `N09 sg-1: …`, of the way to a service.
    pub(crate) fn to(&self, service: Service) -> String {
        match self.paths().verdict(service) {
            Some(Verdict::Open) => "open".to_owned(),
            Some(Verdict::Blocked(found)) => format!("{} {}: {}", found.check, found.at, found.why),
            Some(Verdict::Unknown { what, .. }) => format!("unknown: {what}"),
            None => "not judged".to_owned(),
        }
    }

    pub(crate) fn ssm(&self) -> String {
        self.to(Service::Ssm)
    }
}
