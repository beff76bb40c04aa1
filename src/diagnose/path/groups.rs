//! Security groups: what any of them allows is allowed, and answers need no rule.

use std::collections::BTreeSet;

use super::cidr::{Cidr, Family, Ranges};
use super::ids::{PrefixListId, SecurityGroupId};
use super::model::{GroupRule, Host, Peer, Protocol, SecurityGroup, Surroundings};
use crate::observe::{Blind, Fact};

/// What groups allow, as far as it could be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Allowed {
    /// Addresses that are allowed.
    pub(super) addresses: Ranges,
    /// Something that could not be read may allow more.
    pub(super) unread: Option<(String, Blind)>,
}

/// Where packets may go to. `peers` are the groups of what is there, if it is in groups at all.
pub(super) fn outbound(
    around: &Surroundings,
    host: &Host,
    family: Family,
    (protocol, port): (Protocol, u16),
    peers: &BTreeSet<SecurityGroupId>,
) -> Allowed {
    let rules = |group: &SecurityGroup| group.outbound.clone();
    judge(around, &host.groups, family, (protocol, port), peers, rules)
}

/// From where packets may come. `peers` are the groups of whoever sends them.
pub(super) fn inbound(
    around: &Surroundings,
    groups: &BTreeSet<SecurityGroupId>,
    family: Family,
    (protocol, port): (Protocol, u16),
    peers: &BTreeSet<SecurityGroupId>,
) -> Allowed {
    let rules = |group: &SecurityGroup| group.inbound.clone();
    judge(around, groups, family, (protocol, port), peers, rules)
}

fn judge(
    around: &Surroundings,
    groups: &BTreeSet<SecurityGroupId>,
    family: Family,
    (protocol, port): (Protocol, u16),
    peers: &BTreeSet<SecurityGroupId>,
    rules: impl Fn(&SecurityGroup) -> Vec<GroupRule>,
) -> Allowed {
    // At AWS nothing is without a group, so an answer without one is no answer.
    let unread = groups.is_empty().then(|| ("the security groups".to_owned(), Blind::Empty));
    let mut allowed = Allowed { addresses: Ranges::none(), unread };
    for id in groups {
        let group = match &around.groups {
            Fact::Known(known) => known.get(id).ok_or(Blind::Empty),
            Fact::Absent => Err(Blind::Empty),
            Fact::Unknown(blind) => Err(*blind),
        };
        let group = match group {
            Ok(group) => group,
            Err(blind) => {
                allowed.unread.get_or_insert((id.to_string(), blind));
                continue;
            }
        };
        let matching = rules(group)
            .into_iter()
            .filter(|rule| rule.protocol == Protocol::All || rule.protocol == protocol && rule.ports.holds(port));
        for peer in matching.flat_map(|rule| rule.peers) {
            let more = match peer {
                Peer::Block(block) => Ranges::of([block], family),
                Peer::Group(id) if peers.contains(&id) => Ranges::all(family),
                Peer::Group(_) => continue,
                Peer::List(id) => match entries(around, &id) {
                    Ok(blocks) => Ranges::of(blocks.iter().copied(), family),
                    Err(blind) => {
                        allowed.unread.get_or_insert((id.to_string(), blind));
                        continue;
                    }
                },
            };
            allowed.addresses = allowed.addresses.or(&more);
        }
    }
    allowed
}

/// A prefix list's entries.
pub(super) fn entries<'a>(around: &'a Surroundings, id: &PrefixListId) -> Result<&'a [Cidr], Blind> {
    match around.lists.get(id).map(|list| &list.entries) {
        Some(Fact::Known(blocks)) => Ok(blocks),
        Some(Fact::Absent) => Ok(&[]),
        Some(Fact::Unknown(blind)) => Err(*blind),
        None => Err(Blind::NotRead),
    }
}

/// Every group that the outbound rules of these groups name.
pub(super) fn named_outbound(around: &Surroundings, groups: &BTreeSet<SecurityGroupId>) -> BTreeSet<SecurityGroupId> {
    let known = around.groups.known();
    let rules = groups.iter().filter_map(|id| known?.get(id)).flat_map(|group| &group.outbound);
    let peers = rules.flat_map(|rule| &rule.peers).filter_map(|peer| match peer {
        Peer::Group(id) => Some(id.clone()),
        Peer::Block(_) | Peer::List(_) => None,
    });
    peers.collect()
}
