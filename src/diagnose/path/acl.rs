//! Network ACLs: by number, without memory.

use std::net::IpAddr;

use super::cidr::{Family, Ranges};
use super::ids::SubnetId;
use super::model::{AclEntry, NetworkAcl, Ports, Protocol, Surroundings};
use crate::observe::{Blind, Fact};

/// Ports that answers may come back to, with any client (the VPC user guide's page on ephemeral ports).
pub(super) const ANSWERS: Ports = Ports { first: 1024, last: u16::MAX };

/// The ports that Linux (32768–60999) and Windows (49152–65535) choose from by default.
pub(super) const ANSWERS_TO_HOSTS: Ports = Ports { first: 32_768, last: u16::MAX };

/// Which way a packet crosses the border of a subnet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Out,
    In,
}

/// The ACL of a subnet. Every subnet has one, so an answer without it is no answer.
pub(super) fn of<'a>(around: &'a Surroundings, subnet: &SubnetId) -> Result<&'a NetworkAcl, Blind> {
    let acls = match &around.acls {
        Fact::Known(acls) => acls,
        Fact::Absent => return Err(Blind::Empty),
        Fact::Unknown(blind) => return Err(*blind),
    };
    acls.iter().find(|acl| acl.subnets.contains(subnet)).ok_or(Blind::Empty)
}

/// Where packets to one port may go to, or come from.
pub(super) fn allowed(acl: &NetworkAcl, way: Way, family: Family, protocol: Protocol, port: u16) -> Ranges {
    let mut entries: Vec<&AclEntry> = relevant(acl, way, family, protocol).filter(|e| matches(e, port)).collect();
    entries.sort_by_key(|entry| entry.number);
    let mut undecided = Ranges::all(family);
    let mut allowed = Ranges::none();
    for entry in entries {
        let block = entry.block.ranges();
        if entry.allow {
            allowed = allowed.or(&block.and(&undecided));
        }
        undecided = undecided.minus(&block);
    }
    allowed
}

/// What an ACL lets through of answers, whose port the client chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answers {
    /// Addresses whose answers arrive at each port that matters.
    pub(super) whole: Ranges,
    /// Addresses whose answers arrive at some port at least.
    pub(super) some: Ranges,
}

/// Judges answers to ports, of which those in `must` all have to be open for a client to be sure.
pub(super) fn answers(acl: &NetworkAcl, way: Way, family: Family, protocol: Protocol, must: Ports) -> Answers {
    let mut answers = Answers { whole: Ranges::all(family), some: Ranges::none() };
    for port in ports(&[(acl, way)], family, protocol, must) {
        let open = allowed(acl, way, family, protocol, port);
        if must.holds(port) {
            answers.whole = answers.whole.and(&open);
        }
        answers.some = answers.some.or(&open);
    }
    answers
}

/// Addresses whose answers pass both a subnet on their way out to the host and the host's own subnet on their way in, at one and
/// the same port.
pub(super) fn answers_past(
    other: &NetworkAcl,
    own: &NetworkAcl,
    host: IpAddr,
    protocol: Protocol,
    must: Ports,
) -> Ranges {
    let family = Family::of(host);
    let ports = ports(&[(other, Way::Out), (own, Way::In)], family, protocol, must);
    let open = ports.into_iter().filter(|port| allowed(other, Way::Out, family, protocol, *port).holds(host));
    open.fold(Ranges::none(), |sum, port| sum.or(&allowed(own, Way::In, family, protocol, port)))
}

/// One port of each stretch in which all ports fare alike: the rules' borders.
fn ports(acls: &[(&NetworkAcl, Way)], family: Family, protocol: Protocol, must: Ports) -> Vec<u16> {
    let entries = acls.iter().flat_map(|(acl, way)| relevant(acl, *way, family, protocol));
    let narrow = entries.filter(|entry| entry.protocol != Protocol::All);
    let borders = narrow.flat_map(|entry| [Some(entry.ports.first), entry.ports.last.checked_add(1)]).flatten();
    let mut ports: Vec<u16> = borders.chain([ANSWERS.first, must.first]).filter(|port| ANSWERS.holds(*port)).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

fn relevant(acl: &NetworkAcl, way: Way, family: Family, protocol: Protocol) -> impl Iterator<Item = &AclEntry> {
    acl.entries.iter().filter(move |entry| {
        entry.outbound == (way == Way::Out)
            && entry.block.family() == family
            && (entry.protocol == protocol || entry.protocol == Protocol::All)
    })
}

fn matches(entry: &AclEntry, port: u16) -> bool {
    entry.protocol == Protocol::All || entry.ports.holds(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u16, allow: bool, protocol: Protocol, ports: (u16, u16), block: &str) -> AclEntry {
        let ports = Ports { first: ports.0, last: ports.1 };
        AclEntry { number, outbound: true, allow, protocol, ports, block: block.parse().unwrap() }
    }

    fn acl(entries: Vec<AclEntry>) -> NetworkAcl {
        NetworkAcl { id: "acl-1".parse().unwrap(), subnets: Vec::new(), entries }
    }

    fn out(entries: Vec<AclEntry>, address: &str) -> bool {
        allowed(&acl(entries), Way::Out, Family::V4, Protocol::Tcp, 443).holds(address.parse().unwrap())
    }

    const TCP: Protocol = Protocol::Tcp;

    #[test]
    fn the_lowest_number_decides_whatever_the_order_of_the_list() {
        let deny_first =
            || vec![entry(200, true, TCP, (443, 443), "0.0.0.0/0"), entry(100, false, TCP, (443, 443), "52.0.0.0/8")];
        assert!(!out(deny_first(), "52.1.1.1"));
        assert!(out(deny_first(), "53.1.1.1"));
        let mut allow_first = deny_first();
        allow_first[1].number = 300;
        assert!(out(allow_first, "52.1.1.1"));
    }

    #[test]
    fn what_no_rule_decides_is_denied() {
        assert!(!out(vec![], "52.1.1.1"));
        assert!(!out(vec![entry(100, true, TCP, (80, 80), "0.0.0.0/0")], "52.1.1.1"));
        assert!(!out(vec![entry(100, true, Protocol::Udp, (0, 65_535), "0.0.0.0/0")], "52.1.1.1"));
        assert!(!out(vec![entry(100, true, TCP, (443, 443), "::/0")], "52.1.1.1"), "of the other family");
    }

    #[test]
    fn all_protocols_means_all_ports() {
        assert!(out(vec![entry(100, true, Protocol::All, (0, 0), "0.0.0.0/0")], "52.1.1.1"));
    }

    #[test]
    fn answers_need_every_port_that_the_client_may_choose() {
        let judged = |entries| answers(&acl(entries), Way::Out, Family::V4, TCP, ANSWERS_TO_HOSTS);
        let all = Ranges::all(Family::V4);
        let usual = judged(vec![entry(100, true, TCP, (32_768, 65_535), "0.0.0.0/0")]);
        assert_eq!((usual.whole, usual.some), (all.clone(), all.clone()));
        let half = judged(vec![entry(100, true, TCP, (1_024, 40_000), "0.0.0.0/0")]);
        assert_eq!((half.whole, half.some), (Ranges::none(), all.clone()));
        let hole = judged(vec![
            entry(90, false, TCP, (50_000, 50_000), "10.0.0.0/8"),
            entry(100, true, TCP, (1_024, 65_535), "0.0.0.0/0"),
        ]);
        assert!(!hole.whole.holds("10.0.0.1".parse().unwrap()) && hole.whole.holds("11.0.0.1".parse().unwrap()));
        assert_eq!(hole.some, all);
        let none = judged(vec![entry(100, true, TCP, (443, 443), "0.0.0.0/0")]);
        assert_eq!(none.some, Ranges::none());
    }
}
