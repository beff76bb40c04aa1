//! The way from an instance to the services that its agents speak with, as the control plane sees it.
//!
//! A packet's fate is judged for all addresses at once: each place on the way says which addresses it blocks and of which nobody
//! can tell. A service is *open* when no address is in either set, *blocked* when each is certainly blocked, and *unknown*
//! otherwise. Names decide where packets go: to an endpoint's network interfaces, or to public addresses. What was not read
//! is never open and never blocked (S8). `docs/DIAGNOSIS.md` has the rules; `tests/packet_walk` walks single packets beside it.

use std::collections::BTreeMap;
use std::net::IpAddr;

mod acl;
mod changed;
mod cidr;
mod endpoint;
mod groups;
mod hop;
mod ids;
mod model;
mod names;
mod report;
mod routes;
#[cfg(test)]
pub(crate) mod samples;
mod service;
#[cfg(test)]
mod tests;
mod walk;
mod way;

pub use cidr::{Cidr, Family, Ranges};
pub use hop::{Check, Obstacle, Verdict};
pub use ids::{
    NatGatewayId, NetworkAclId, PrefixListId, RouteTableId, SecurityGroupId, SubnetId, VpcEndpointId, VpcId,
};
pub use model::{
    AclEntry, Destination, Dns, Endpoint, EndpointInterface, EndpointKind, GroupRule, Host, Lifetime, NameServer,
    NatGateway, NetworkAcl, PathKey, Peer, Ports, PrefixList, Protocol, Route, RouteTable, SecurityGroup, Subnet,
    Surroundings, Target,
};
pub use report::{Paths, paths};
pub use service::{Need, Service};
pub use way::{Passed, Way};

/// What tells hosts of the same surroundings apart: hosts that agree in it share one judgement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostKey {
    path: PathKey,
    public: bool,
    families: [bool; 2],
    /// Only where some rule draws a border through the subnet.
    addresses: [Option<IpAddr>; 2],
}

impl HostKey {
    /// The key of a host.
    #[must_use]
    pub fn of(host: &Host, around: &Surroundings) -> Self {
        let each = [Family::V4, Family::V6].map(|family| host.address(family));
        let apart = tells_apart(host, around);
        Self {
            path: PathKey::of(host),
            public: host.public,
            families: each.map(|address| address.is_some()),
            addresses: if apart { each } else { [None, None] },
        }
    }
}

/// Whether some rule treats hosts of the host's subnet differently, or nobody can tell.
fn tells_apart(host: &Host, around: &Surroundings) -> bool {
    let Some(subnet) = around.subnets.known().and_then(|subnets| subnets.get(&host.subnet)) else { return true };
    let entries = around.acls.known().into_iter().flatten().flat_map(|acl| &acl.entries).map(|entry| entry.block);
    let groups = around.groups.known().into_iter().flat_map(BTreeMap::values);
    let peers = groups.flat_map(|group| &group.inbound).flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
        Peer::Block(block) => Some(*block),
        Peer::List(_) | Peer::Group(_) => None,
    });
    let lists = around.lists.values().filter_map(|list| list.entries.known()).flatten().copied();
    entries.chain(peers).chain(lists).any(|block| {
        let own = |other: &Cidr| other.family() == block.family();
        subnet.blocks.iter().filter(|other| own(other)).any(|other| {
            let (rule, hosts) = (block.ranges(), other.ranges());
            rule.meets(&hosts) && !rule.covers(&hosts)
        })
    })
}

/// Judgements of one snapshot, each made once. Lives as long as the snapshots that it was asked with: a batch.
#[derive(Debug, Clone, Default)]
pub struct PathBook {
    judged: BTreeMap<HostKey, Paths>,
}

impl PathBook {
    /// The ways from a host. `around` are the surroundings of the host's [`PathKey`].
    pub fn paths(&mut self, host: &Host, around: &Surroundings) -> &Paths {
        self.judged.entry(HostKey::of(host, around)).or_insert_with(|| paths(host, around))
    }

    /// How many different judgements were made.
    #[must_use]
    pub fn len(&self) -> usize {
        self.judged.len()
    }

    /// Whether nothing was asked yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.judged.is_empty()
    }
}
