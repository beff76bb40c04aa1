//! A place on the way, and which addresses can be reached past it.

use std::fmt;
use std::sync::Arc;

use super::super::{Cause, Mark};
use super::cidr::Ranges;
use crate::observe::Blind;

/// A check of the network path (docs/DIAGNOSIS.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// The subnet's route leads somewhere.
    Route,
    /// A host behind an internet gateway has a public address.
    PublicAddress,
    /// The NAT gateway works, and stands where it can.
    Nat,
    /// Interface endpoints of the SSM agent.
    SsmEndpoints,
    /// Endpoints of the ECS agent and of what it pulls.
    EcsEndpoints,
    /// Where an endpoint has its network interfaces.
    EndpointInterfaces,
    /// An endpoint's groups let the host in.
    EndpointGroups,
    /// An endpoint's policy.
    EndpointPolicy,
    /// The host's groups let it out.
    Groups,
    /// Network ACLs, both ways.
    Acl,
    /// Names: the VPC's DNS, private DNS, name servers.
    Names,
    /// IPv6.
    V6,
}

impl Check {
    /// Each of them, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Route,
        Self::PublicAddress,
        Self::Nat,
        Self::SsmEndpoints,
        Self::EcsEndpoints,
        Self::EndpointInterfaces,
        Self::EndpointGroups,
        Self::EndpointPolicy,
        Self::Groups,
        Self::Acl,
        Self::Names,
        Self::V6,
    ];

    /// Its number.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Route => "N01",
            Self::PublicAddress => "N02",
            Self::Nat => "N03",
            Self::SsmEndpoints => "N04",
            Self::EcsEndpoints => "N05",
            Self::EndpointInterfaces => "N06",
            Self::EndpointGroups => "N07",
            Self::EndpointPolicy => "N08",
            Self::Groups => "N09",
            Self::Acl => "N10",
            Self::Names => "N11",
            Self::V6 => "N12",
        }
    }

    /// What it means that nothing is in the way.
    #[must_use]
    pub fn passes(self) -> &'static str {
        match self {
            Self::Route => "routes lead on",
            Self::PublicAddress => "the instance has a public address",
            Self::Nat => "the NAT gateway is available, and its subnet leads to an internet gateway",
            Self::SsmEndpoints | Self::EcsEndpoints => "the endpoints are available",
            Self::EndpointInterfaces => "the endpoints have network interfaces",
            Self::EndpointGroups => "the endpoints' groups let TCP 443 in",
            Self::EndpointPolicy => "the endpoints' policies allow it",
            Self::Groups => "the instance's groups let TCP 443 out",
            Self::Acl => "network ACLs let TCP 443 out and the answers back",
            Self::Names => "names resolve by the VPC's own resolver",
            Self::V6 => "IPv6",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.id())
    }
}

/// A place on the way. Addresses in neither set are reached past it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) check: Check,
    /// The thing itself, by its id.
    pub(super) at: Arc<str>,
    /// What it means for the agent where it blocks.
    pub(super) cause: Cause,
    /// Addresses that are certainly not reached.
    pub(super) blocked: Ranges,
    /// Addresses of which nobody can tell.
    pub(super) dark: Ranges,
    /// Why not, if something is blocked.
    pub(super) fault: String,
    /// What to change then.
    pub(super) fix: String,
    /// Why nobody can tell, if something is dark.
    pub(super) doubt: String,
    /// Worth a word where nothing is in the way.
    pub(super) note: String,
    /// The read that failed, if that is why.
    pub(super) blind: Option<Blind>,
}

impl Hop {
    /// Nothing is in the way.
    pub(super) fn clear(check: Check, at: impl fmt::Display) -> Self {
        Self {
            check,
            at: at.to_string().into(),
            cause: Cause::NetworkUnreachable,
            blocked: Ranges::none(),
            dark: Ranges::none(),
            fault: String::new(),
            fix: String::new(),
            doubt: String::new(),
            note: String::new(),
            blind: None,
        }
    }

    /// The same, with something in the way of some addresses.
    pub(super) fn blocks(self, addresses: Ranges, fault: impl FnOnce() -> (String, String)) -> Self {
        if addresses.is_empty() {
            return self;
        }
        let (fault, fix) = fault();
        Self { blocked: addresses, fault, fix, ..self }
    }

    /// The same, with some addresses in the dark.
    pub(super) fn hides(self, addresses: Ranges, doubt: impl FnOnce() -> String) -> Self {
        if addresses.is_empty() { self } else { Self { dark: addresses, doubt: doubt(), ..self } }
    }

    /// The same, in the dark because a read failed.
    pub(super) fn unread(self, addresses: Ranges, what: &dyn fmt::Display, blind: Blind) -> Self {
        let hop = self.hides(addresses, || format!("could not read {what}: {}", blind.as_str()));
        Self { blind: Some(blind), ..hop }
    }

    /// The same, where blocking means something else than a silent network.
    pub(super) fn meaning(self, cause: Cause) -> Self {
        Self { cause, ..self }
    }

    /// What came of it, for packets to these addresses.
    pub(super) fn mark(&self, to: &Ranges) -> Mark {
        if !to.is_empty() && self.blocked.covers(to) {
            Mark::Fail
        } else if self.blocked.meets(to) {
            Mark::Warn
        } else if self.dark.meets(to) {
            Mark::Unknown
        } else {
            Mark::Ok
        }
    }
}

/// Whether packets arrive, and the answers come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// They do, as far as the control plane decides it.
    Open,
    /// They certainly do not.
    Blocked(Obstacle),
    /// Nobody can tell.
    Unknown {
        /// Why.
        what: Arc<str>,
        /// The read that failed, if that is why. None: it cannot be seen by any read.
        blind: Option<Blind>,
    },
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Obstacle {
    /// The check that found it.
    pub check: Check,
    /// The thing itself, by its id.
    pub at: Arc<str>,
    /// What it does, in words that name the ids.
    pub why: Arc<str>,
    /// What a person changes.
    pub fix: Arc<str>,
    /// What that means for the agent.
    pub cause: Cause,
}

impl Verdict {
    /// A verdict without a view.
    pub(super) fn unknown(what: impl Into<Arc<str>>, blind: Option<Blind>) -> Self {
        Self::Unknown { what: what.into(), blind }
    }

    /// What becomes of packets to any of these addresses, past all of these places.
    pub(super) fn of(to: &Ranges, hops: &[Hop]) -> Self {
        let blocked = hops.iter().fold(Ranges::none(), |sum, hop| sum.or(&hop.blocked));
        if blocked.covers(to) {
            // The first place that blocks everything alone, else all of them together.
            let alone = hops.iter().find(|hop| hop.blocked.covers(to));
            let together: Vec<&Hop> = hops.iter().filter(|hop| hop.blocked.meets(to)).collect();
            return match alone.or(together.first().copied()) {
                Some(hop) => {
                    let why = if alone.is_some() {
                        hop.fault.clone()
                    } else {
                        let faults: Vec<&str> = together.iter().take(3).map(|hop| hop.fault.as_str()).collect();
                        format!("between them nothing is left: {}", faults.join("; "))
                    };
                    Self::Blocked(Obstacle {
                        check: hop.check,
                        at: hop.at.clone(),
                        why: why.into(),
                        fix: hop.fix.as_str().into(),
                        cause: hop.cause,
                    })
                }
                None => Self::unknown("there is no address to go to", None),
            };
        }
        let unread = hops.iter().find(|hop| hop.blind.is_some() && hop.dark.meets(to));
        let dark = hops.iter().find(|hop| hop.dark.meets(to));
        if let Some(hop) = unread.or(dark) {
            return Self::unknown(hop.doubt.as_str(), hop.blind);
        }
        match hops.iter().find(|hop| hop.blocked.meets(to)) {
            Some(hop) => Self::unknown(format!("of some addresses only: {}", hop.fault), None),
            None => Self::Open,
        }
    }

    /// What becomes of packets that take one of several ways, and nobody knows which.
    pub(super) fn either(ways: Vec<Self>) -> Self {
        let (open, all) = (ways.iter().filter(|way| **way == Self::Open).count(), ways.len());
        let mut blocked = None;
        for way in ways {
            match way {
                Self::Open => {}
                Self::Unknown { .. } => return way,
                Self::Blocked(obstacle) => {
                    blocked.get_or_insert(obstacle);
                }
            }
        }
        match blocked {
            None if all > 0 => Self::Open,
            None => Self::unknown("no way is known", None),
            Some(obstacle) if open == 0 => Self::Blocked(obstacle),
            Some(obstacle) => Self::unknown(format!("perhaps by a way that is blocked: {}", obstacle.why), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::path::cidr::{Cidr, Family};

    fn to(text: &str) -> Ranges {
        text.parse::<Cidr>().unwrap().ranges()
    }

    fn wall(blocked: &str) -> Hop {
        Hop::clear(Check::Acl, blocked).blocks(to(blocked), || (format!("{blocked} is shut"), "open it".to_owned()))
    }

    fn fog(dark: &str) -> Hop {
        Hop::clear(Check::Route, dark).hides(to(dark), || format!("{dark} is dark"))
    }

    #[test]
    fn nothing_in_the_way_is_open() {
        assert_eq!(Verdict::of(&to("10.0.0.0/8"), &[wall("11.0.0.0/8"), fog("12.0.0.0/8")]), Verdict::Open);
    }

    #[test]
    fn a_wall_in_front_of_everything_blocks_whatever_the_fog_behind_it() {
        let Verdict::Blocked(found) = Verdict::of(&to("10.0.0.0/8"), &[fog("0.0.0.0/0"), wall("0.0.0.0/0")]) else {
            panic!("not blocked")
        };
        assert_eq!((&*found.at, &*found.why, &*found.fix), ("0.0.0.0/0", "0.0.0.0/0 is shut", "open it"));
    }

    #[test]
    fn two_halves_of_a_wall_block_together() {
        let Verdict::Blocked(found) = Verdict::of(&to("10.0.0.0/8"), &[wall("10.0.0.0/9"), wall("10.128.0.0/9")])
        else {
            panic!("not blocked")
        };
        assert_eq!(&*found.why, "between them nothing is left: 10.0.0.0/9 is shut; 10.128.0.0/9 is shut");
    }

    #[test]
    fn half_a_wall_or_any_fog_is_unknown_and_a_failed_read_is_named_first() {
        assert!(matches!(Verdict::of(&to("10.0.0.0/8"), &[wall("10.0.0.0/9")]), Verdict::Unknown { blind: None, .. }));
        let unread = Hop::clear(Check::Groups, "sg-1").unread(Ranges::all(Family::V4), &"sg-1", Blind::Throttled);
        let Verdict::Unknown { what, blind } = Verdict::of(&to("10.0.0.0/8"), &[fog("10.0.0.0/9"), unread]) else {
            panic!("known")
        };
        assert_eq!((&*what, blind), ("could not read sg-1: throttled", Some(Blind::Throttled)));
    }

    #[test]
    fn of_several_ways_only_agreement_is_certain() {
        let blocked = || Verdict::of(&to("10.0.0.0/8"), &[wall("0.0.0.0/0")]);
        let dark = || Verdict::unknown("dark", None);
        assert_eq!(Verdict::either(vec![Verdict::Open, Verdict::Open]), Verdict::Open);
        assert_eq!(Verdict::either(vec![blocked(), blocked()]), blocked());
        assert!(matches!(Verdict::either(vec![blocked(), Verdict::Open]), Verdict::Unknown { .. }));
        assert_eq!(Verdict::either(vec![blocked(), dark()]), dark());
        assert!(matches!(Verdict::either(vec![]), Verdict::Unknown { .. }));
    }
}
