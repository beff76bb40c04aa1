//! Route tables: the longest prefix wins.

use super::cidr::{Cidr, Family, Ranges};
use super::groups::entries;
use super::ids::{PrefixListId, SubnetId};
use super::model::{Destination, Endpoint, EndpointKind, Route, RouteTable, Surroundings, Target};
use super::service::Service;
use crate::observe::{Blind, Fact};

/// The table of a subnet: its own, else the main one. Every VPC has a main one, so an answer without it is no answer.
pub(super) fn of<'a>(around: &'a Surroundings, subnet: &SubnetId) -> Result<&'a RouteTable, Blind> {
    let tables = match &around.tables {
        Fact::Known(tables) => tables,
        Fact::Absent => return Err(Blind::Empty),
        Fact::Unknown(blind) => return Err(*blind),
    };
    let own = tables.iter().find(|table| table.subnets.contains(subnet));
    own.or_else(|| tables.iter().find(|table| table.main)).ok_or(Blind::Empty)
}

/// Addresses, and the route that their packets take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Share<'a> {
    /// The route; none: no route matches.
    pub(super) route: Option<&'a Route>,
    /// The addresses.
    pub(super) addresses: Ranges,
}

/// Why nobody can say which route packets take: a prefix list of the table that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unread {
    pub(super) list: PrefixListId,
    pub(super) blind: Blind,
}

/// What a table does with packets to some addresses.
///
/// The longest prefix wins; of equal ones a static route before a prefix list's, and both before a propagated one. No propagated
/// route wins against the VPC's own block (the VPC user guide's page on route priority).
pub(super) fn split<'a>(
    around: &Surroundings,
    table: &'a RouteTable,
    family: Family,
    to: &Ranges,
    service: Option<Service>,
) -> Result<Vec<Share<'a>>, Unread> {
    let mut candidates: Vec<(Cidr, u8, &Route)> = Vec::new();
    for route in &table.routes {
        // The list of a gateway endpoint holds the addresses of its own service alone.
        if gateway(around, &route.target).is_some_and(|endpoint| !serves(around, endpoint, service)) {
            continue;
        }
        match &route.to {
            Destination::Block(block) => candidates.push((*block, if route.propagated { 2 } else { 0 }, route)),
            Destination::List(id) => match entries(around, id) {
                Ok(blocks) => candidates.extend(blocks.iter().map(|block| (*block, 1, route))),
                Err(blind) => return Err(Unread { list: id.clone(), blind }),
            },
        }
    }
    candidates.retain(|(block, _, _)| block.family() == family);
    candidates.sort_by_key(|(block, rank, _)| (std::cmp::Reverse(block.length()), *rank));
    let local = local(table, family);
    let mut left = to.clone();
    let mut shares: Vec<Share<'a>> = Vec::new();
    for (block, _, route) in candidates {
        let mut won = block.ranges().and(&left);
        if route.propagated {
            won = won.minus(&local);
        }
        if !won.is_empty() {
            left = left.minus(&won);
            shares.push(Share { route: Some(route), addresses: won });
        }
    }
    if !left.is_empty() {
        shares.push(Share { route: None, addresses: left });
    }
    Ok(shares)
}

/// The addresses inside the VPC.
pub(super) fn local(table: &RouteTable, family: Family) -> Ranges {
    let blocks = table.routes.iter().filter(|route| route.target == Target::Local).filter_map(|route| match route.to {
        Destination::Block(block) => Some(block),
        Destination::List(_) => None,
    });
    Ranges::of(blocks, family)
}

/// The gateway endpoint that a route leads to, where that is known.
pub(super) fn gateway<'a>(around: &'a Surroundings, target: &Target) -> Option<&'a Endpoint> {
    let Target::Endpoint(id) = target else { return None };
    around.endpoints.known()?.iter().find(|one| one.id == *id && one.kind == EndpointKind::Gateway)
}

/// Whether an endpoint is one of this service.
pub(super) fn serves(around: &Surroundings, endpoint: &Endpoint, service: Option<Service>) -> bool {
    service.is_some_and(|service| service.is_named(&endpoint.service, around.region.as_str()))
}
