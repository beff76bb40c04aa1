//! Where a service's name leads: the VPC's resolver, private DNS, name servers of one's own.

use std::net::IpAddr;
use std::sync::Arc;

use super::cidr::{Cidr, Family, Ranges, number};
use super::groups;
use super::hop::{Check, Hop, Verdict};
use super::model::{Endpoint, EndpointKind, Lifetime, NameServer, Protocol, Surroundings};
use super::routes::serves;
use super::service::Service;
use super::walk::{Walker, listed, only};
use crate::diagnose::Cause;
use crate::observe::{Blind, Fact};

/// The VPC's own resolver at its fixed addresses. Neither groups nor ACLs filter what goes there (the VPC user guide, DNS).
const RESOLVERS: [&str; 2] = ["169.254.169.253", "fd00:ec2::253"];

/// Who resolves the host's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resolver {
    /// The VPC's own.
    Amazon,
    /// Servers of one's own, which may answer anything.
    Own(Vec<NameServer>),
    /// Not known.
    Unread(Blind),
}

/// Where a name may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lead<'a> {
    /// To the service's public addresses.
    Public,
    /// To an endpoint's network interfaces.
    Endpoint(&'a Endpoint),
    /// To a place that cannot be seen.
    Unseen(Arc<str>, Option<Blind>),
}

/// Who resolves the host's names.
pub(super) fn resolver(around: &Surroundings) -> Resolver {
    let servers = match &around.dns.servers {
        Fact::Known(servers) if !servers.is_empty() => servers,
        Fact::Known(_) | Fact::Absent => return Resolver::Unread(Blind::Empty),
        Fact::Unknown(blind) => return Resolver::Unread(*blind),
    };
    if servers.iter().all(|server| is_amazon(around, *server)) {
        Resolver::Amazon
    } else {
        Resolver::Own(servers.clone())
    }
}

fn is_amazon(around: &Surroundings, server: NameServer) -> bool {
    let NameServer::Address(address) = server else { return true };
    let fixed = RESOLVERS.iter().any(|fixed| fixed.parse() == Ok(address));
    let second = |block: &Cidr| block.family() == Family::of(address) && block.borders().0 + 2 == number(address);
    fixed || around.block.known().is_some_and(second)
}

/// What stands between the host and an answer to its question for a name.
pub(super) fn asking(walker: &Walker<'_>, resolver: &Resolver) -> Hop {
    let around = walker.around;
    let everything = Ranges::all(walker.family());
    let clear = Hop::clear(Check::Names, &around.vpc).meaning(Cause::NetworkDns);
    match resolver {
        Resolver::Unread(Blind::Empty) => clear.hides(everything, || "the DHCP options name no name server".to_owned()),
        Resolver::Unread(blind) => {
            clear.unread(everything, &format_args!("the DHCP options of {}", around.vpc), *blind)
        }
        Resolver::Amazon => match &around.dns.support {
            Fact::Known(true) => clear,
            Fact::Known(false) => clear.blocks(everything, || {
                let fault = format!("enableDnsSupport is off in {}, so no name resolves", around.vpc);
                (fault, format!("turn on enableDnsSupport in {}", around.vpc))
            }),
            Fact::Absent => clear.unread(everything, &"enableDnsSupport", Blind::Empty),
            Fact::Unknown(blind) => clear.unread(everything, &"enableDnsSupport", *blind),
        },
        Resolver::Own(servers) => {
            let names = listed(servers.iter().map(|server| match server {
                NameServer::Amazon => "AmazonProvidedDNS".to_owned(),
                NameServer::Address(address) => address.to_string(),
            }));
            let ways: Vec<Verdict> = servers.iter().map(|server| to_server(walker, *server)).collect();
            match Verdict::either(ways) {
                Verdict::Blocked(obstacle) => clear.blocks(everything, || {
                    let fault = format!("the name servers {names} cannot be asked: {}", obstacle.why);
                    (fault, obstacle.fix.to_string())
                }),
                Verdict::Open | Verdict::Unknown { .. } => clear.hides(everything, || {
                    format!(
                        "names are resolved by {names}; what they answer cannot be seen, private DNS may not resolve"
                    )
                }),
            }
        }
    }
}

/// Whether a question arrives at a name server, and its answer comes back.
fn to_server(walker: &Walker<'_>, server: NameServer) -> Verdict {
    let (around, host) = (walker.around, walker.host);
    let NameServer::Address(address) = server else { return Verdict::unknown("the VPC's own", None) };
    if is_amazon(around, server) {
        return Verdict::unknown("the VPC's own", None);
    }
    let family = Family::of(address);
    let Some(own) = host.address(family) else {
        let hop = Hop::clear(Check::Names, address).blocks(Ranges::all(family), || {
            (
                format!("the instance has no {family} address"),
                format!("name a server with an address that is not {family}"),
            )
        });
        return Verdict::of(&only(address), &[hop]);
    };
    let asks = Walker { address: own, protocol: Protocol::Udp, port: 53, service: None, ..*walker };
    let to = only(address);
    // A server that belongs to a group of the VPC is let out to by that group: whose it is, is not known.
    let mut hops = vec![groups_to_unknown(&asks, &to)];
    match neighbours(around, host, address) {
        Ok(true) => {}
        Ok(false) => {
            hops.extend(asks.leaves(&to));
            hops.extend(asks.routes(&to));
        }
        Err(blind) => hops.push(Hop::clear(Check::Names, address).unread(to.clone(), &host.subnet, blind)),
    }
    Verdict::of(&to, &hops)
}

/// The host's groups on the way to something whose own groups are not known: rules that name groups may be about it.
fn groups_to_unknown(asks: &Walker<'_>, to: &Ranges) -> Hop {
    let strict = asks.groups_out(to, &std::collections::BTreeSet::new());
    let every_group = groups::named_outbound(asks.around, &asks.host.groups);
    let lenient = asks.groups_out(to, &every_group);
    if lenient.blocked == strict.blocked {
        return strict;
    }
    Hop::clear(Check::Groups, &strict.at)
        .hides(strict.blocked, || format!("{} let out to some groups alone", strict.at))
}

fn neighbours(around: &Surroundings, host: &super::model::Host, address: IpAddr) -> Result<bool, Blind> {
    let subnets = match &around.subnets {
        Fact::Known(subnets) => subnets,
        Fact::Absent => return Err(Blind::Empty),
        Fact::Unknown(blind) => return Err(*blind),
    };
    let own = subnets.get(&host.subnet).ok_or(Blind::Empty)?;
    Ok(Ranges::of(own.blocks.iter().copied(), Family::of(address)).holds(address))
}

/// The ways that a service's name may lead. More than one: nobody knows which.
pub(super) fn leads<'a>(walker: &Walker<'a>, service: Service, resolver: &Resolver) -> Vec<Lead<'a>> {
    let around = walker.around;
    if let Fact::Known(zones) = &around.dns.zones
        && let Some(zone) = zones.iter().find(|zone| covers(zone, service, around.region.as_str()))
    {
        return vec![Lead::Unseen(format!("the private hosted zone {zone} answers for {service}").into(), None)];
    }
    let endpoints: &[Endpoint] = match &around.endpoints {
        Fact::Known(endpoints) => endpoints,
        Fact::Absent => &[],
        Fact::Unknown(blind) => {
            let what = format!("could not read the VPC's endpoints: {}", blind.as_str());
            return vec![Lead::Public, Lead::Unseen(what.into(), Some(*blind))];
        }
    };
    let own =
        || endpoints.iter().filter(|one| one.kind == EndpointKind::Interface && serves(around, one, Some(service)));
    let (mut certain, mut possible) = (Vec::new(), Vec::new());
    for endpoint in own() {
        match serves_name(around, endpoint, resolver) {
            Some(true) => certain.push(Lead::Endpoint(endpoint)),
            Some(false) => {}
            None => possible.push(Lead::Endpoint(endpoint)),
        }
    }
    if !certain.is_empty() {
        return certain;
    }
    possible.push(Lead::Public);
    match walker.shared() {
        Ok(false) => {}
        Ok(true) => {
            let what = format!("{} belongs to another account, whose endpoints cannot be seen", walker.host.subnet);
            possible.push(Lead::Unseen(what.into(), None));
        }
        Err(blind) => {
            let what = format!("could not read {}: {}", walker.host.subnet, blind.as_str());
            possible.push(Lead::Unseen(what.into(), Some(blind)));
        }
    }
    possible
}

/// Whether an endpoint's private DNS answers for its service's name; none: nobody knows.
fn serves_name(around: &Surroundings, endpoint: &Endpoint, resolver: &Resolver) -> Option<bool> {
    if *resolver != Resolver::Amazon {
        // A server of one's own may answer with the endpoint's address, with or without private DNS.
        return None;
    }
    if !endpoint.private_dns {
        return Some(false);
    }
    match (&around.dns.support, &around.dns.hostnames) {
        (Fact::Known(false), _) | (_, Fact::Known(false)) => Some(false),
        (Fact::Known(true), Fact::Known(true)) if endpoint.state == Lifetime::Available => Some(true),
        _ => None,
    }
}

/// An endpoint of the service that stands idle, because the service's name does not lead to it, and why.
pub(super) fn idle(walker: &Walker<'_>, service: Service, resolver: &Resolver) -> Option<(String, String)> {
    let around = walker.around;
    let endpoint = around.endpoints.known()?.iter().find(|one| {
        one.kind == EndpointKind::Interface
            && one.state == Lifetime::Available
            && serves(around, one, Some(service))
            && serves_name(around, one, resolver) == Some(false)
    })?;
    let (id, vpc) = (&endpoint.id, &around.vpc);
    Some(if endpoint.private_dns {
        (
            format!("enableDnsHostnames is off in {vpc}, so {service} does not resolve to {id}"),
            format!("turn on enableDnsHostnames in {vpc}"),
        )
    } else {
        (
            format!("private DNS of {id} is off, so {service} does not resolve to it"),
            format!("turn on private DNS of {id}"),
        )
    })
}

/// Whether a private hosted zone answers for a service's host names, those with a number or an account in front among them.
fn covers(zone: &str, service: Service, region: &str) -> bool {
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    let tail = format!(".{region}.amazonaws.com");
    let china = format!("{tail}.cn");
    let dual = format!(".{region}.api.aws");
    [tail, china, dual].iter().any(|tail| {
        let name = format!("{}{tail}", service.label());
        let numbered = zone.strip_suffix(tail.as_str()).is_some_and(|head| {
            head.strip_prefix(service.label()).is_some_and(|rest| rest.starts_with('-'))
                || head.strip_suffix(service.label()).is_some_and(|rest| rest.ends_with('.'))
        });
        numbered || name == zone || name.ends_with(&format!(".{zone}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_answers_for_the_names_below_it_and_for_numbered_ones() {
        for (zone, service) in [
            ("ssm.us-east-1.amazonaws.com.", Service::Ssm),
            ("us-east-1.amazonaws.com", Service::Logs),
            ("amazonaws.com", Service::EcsAgent),
            ("ecs-a-1.us-east-1.amazonaws.com", Service::EcsAgent),
            ("111122223333.dkr.ecr.us-east-1.amazonaws.com", Service::EcrDkr),
            ("ssm.us-east-1.api.aws", Service::Ssm),
        ] {
            assert!(covers(zone, service, "us-east-1"), "{zone}");
        }
        for zone in
            ["ssmmessages.us-east-1.amazonaws.com", "ssm.us-west-2.amazonaws.com", "example.com", "1.amazonaws.com"]
        {
            assert!(!covers(zone, Service::Ssm, "us-east-1"), "{zone}");
        }
    }
}
