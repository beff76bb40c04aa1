//! Blocks of addresses, and sets of them, of both families.
//!
//! Security groups, network ACLs and route tables all speak of blocks. What they do to a packet is therefore the same for all
//! addresses between two borders, and a whole answer is a handful of ranges instead of four billion packets.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::node::BadName;

/// A family of addresses. Rules of one never match packets of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    fn last(self) -> u128 {
        match self {
            Self::V4 => u32::MAX.into(),
            Self::V6 => u128::MAX,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// An address as a number within its family.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A block of addresses, `10.0.0.0/8` or `2001:db8::/32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    family: Family,
    first: u128,
    length: u8,
}

impl Cidr {
    /// One address alone.
    #[must_use]
    pub fn single(address: IpAddr) -> Self {
        let family = Family::of(address);
        Self { family, first: number(address), length: family.bits() }
    }

    /// The family of its addresses.
    #[must_use]
    pub fn family(self) -> Family {
        self.family
    }

    /// How many leading bits its addresses share.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Its first and last address, as numbers.
    #[must_use]
    pub fn borders(self) -> (u128, u128) {
        let free = u32::from(self.family.bits() - self.length);
        let spread = u128::MAX.checked_shl(free).map_or(u128::MAX, |mask| !mask);
        (self.first, self.first | spread)
    }

    /// Its addresses.
    #[must_use]
    pub fn ranges(self) -> Ranges {
        Ranges(vec![self.borders()])
    }
}

impl FromStr for Cidr {
    type Err = BadName;

    /// Bits behind the prefix are dropped, as AWS does.
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName { expected: "a block of addresses", given: text.to_owned() };
        let (address, length) = text.trim().split_once('/').ok_or_else(bad)?;
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let length: u8 = length.parse().map_err(|_| bad())?;
        let family = Family::of(address);
        let free = family.bits().checked_sub(length).ok_or_else(bad)?;
        let mask = u128::MAX.checked_shl(free.into()).unwrap_or(0);
        Ok(Self { family, first: number(address) & mask, length })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.family {
            Family::V4 => write!(f, "{}/{}", Ipv4Addr::from_bits(u32::try_from(self.first).unwrap_or(0)), self.length),
            Family::V6 => write!(f, "{}/{}", Ipv6Addr::from_bits(self.first), self.length),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A set of addresses of one family: ranges in order that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    /// No address.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Every address of a family.
    #[must_use]
    pub fn all(family: Family) -> Self {
        Self(vec![(0, family.last())])
    }

    /// The addresses of some blocks, those of the other family left out.
    pub fn of(blocks: impl IntoIterator<Item = Cidr>, family: Family) -> Self {
        blocks.into_iter().filter(|block| block.family == family).map(Cidr::borders).collect()
    }

    /// Whether it holds no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its ranges, in order: first and last address.
    pub fn iter(&self) -> impl Iterator<Item = (u128, u128)> {
        self.0.iter().copied()
    }

    /// Whether it holds an address.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = number(address);
        self.iter().any(|(first, last)| first <= address && address <= last)
    }

    /// What is in this set or the other.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.iter().chain(other.iter()).collect()
    }

    /// What is in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let both = self.iter().flat_map(|range| other.overlapping(range));
        both.collect()
    }

    /// The parts of a range that are in this set.
    fn overlapping(&self, (first, last): (u128, u128)) -> impl Iterator<Item = (u128, u128)> {
        let near = self.iter().skip_while(move |(_, to)| *to < first).take_while(move |(from, _)| *from <= last);
        near.map(move |(from, to)| (from.max(first), to.min(last)))
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        let mut kept = Vec::new();
        for (mut first, last) in self.iter() {
            let mut rest = true;
            for (from, to) in other.iter() {
                if to < first {
                    continue;
                }
                if from > last {
                    break;
                }
                if from > first {
                    kept.push((first, from - 1));
                }
                if to >= last {
                    rest = false;
                    break;
                }
                first = to + 1;
            }
            if rest {
                kept.push((first, last));
            }
        }
        Self(kept)
    }

    /// Whether every address of the other set is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        // Ranges do not touch, so one range is in one range or not at all.
        other.iter().all(|(first, last)| self.iter().any(|(from, to)| from <= first && last <= to))
    }

    /// Whether some address is in both.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        self.iter().any(|range| other.overlapping(range).next().is_some())
    }
}

impl FromIterator<(u128, u128)> for Ranges {
    fn from_iter<I: IntoIterator<Item = (u128, u128)>>(ranges: I) -> Self {
        let mut sorted: Vec<(u128, u128)> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                Some(_) | None => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

/// Where public addresses lie: all but what the registries keep for private, local and special use (RFC 6890).
pub(super) fn public(family: Family) -> Ranges {
    // 64:ff9b::/96 stands for IPv4 behind NAT64 (RFC 6052); everything public in IPv6 begins with 001.
    const V6: [(u128, u128); 2] =
        [(0x64_ff9b << 96, (0x64_ff9b << 96) | 0xffff_ffff), (0x2000 << 112, (0x4000 << 112) - 1)];
    const SPECIAL: [([u8; 4], u32); 14] = [
        ([0, 0, 0, 0], 8),
        ([10, 0, 0, 0], 8),
        ([100, 64, 0, 0], 10),
        ([127, 0, 0, 0], 8),
        ([169, 254, 0, 0], 16),
        ([172, 16, 0, 0], 12),
        ([192, 0, 0, 0], 24),
        ([192, 0, 2, 0], 24),
        ([192, 88, 99, 0], 24),
        ([192, 168, 0, 0], 16),
        ([198, 18, 0, 0], 15),
        ([198, 51, 100, 0], 24),
        ([203, 0, 113, 0], 24),
        ([224, 0, 0, 0], 3),
    ];
    match family {
        Family::V4 => Ranges::all(family).minus(&SPECIAL.into_iter().map(block).collect()),
        Family::V6 => V6.into_iter().collect(),
    }
}

/// Where the private addresses of other networks lie: those of RFC 1918, RFC 6598 and RFC 4193.
pub(super) fn private(family: Family) -> Ranges {
    const V4: [([u8; 4], u32); 4] =
        [([10, 0, 0, 0], 8), ([100, 64, 0, 0], 10), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    match family {
        Family::V4 => V4.into_iter().map(block).collect(),
        Family::V6 => std::iter::once((0xfc00 << 112, (0xfe00 << 112) - 1)).collect(),
    }
}

fn block((address, length): ([u8; 4], u32)) -> (u128, u128) {
    let first = u32::from_be_bytes(address);
    (first.into(), (first | (u32::MAX >> length)).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn holds(set: &Ranges, address: &str) -> bool {
        set.holds(address.parse().unwrap())
    }

    #[test]
    fn blocks_are_read_and_printed() {
        for text in ["0.0.0.0/0", "10.0.0.0/8", "52.94.1.9/32", "::/0", "2001:db8::/32", "fd00:ec2::253/128"] {
            assert_eq!(cidr(text).to_string(), text);
        }
        assert_eq!(cidr("10.1.2.3/8").to_string(), "10.0.0.0/8");
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "x/1", "10.0.0.0/-1"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn borders_are_those_of_the_block() {
        assert_eq!(cidr("0.0.0.0/0").borders(), (0, u32::MAX.into()));
        assert_eq!(cidr("::/0").borders(), (0, u128::MAX));
        assert_eq!(cidr("10.0.0.4/30").borders(), (0x0a00_0004, 0x0a00_0007));
        assert_eq!(cidr("::1/128").borders(), (1, 1));
    }

    #[test]
    fn public_addresses_are_those_outside_private_and_special_blocks() {
        let v4 = public(Family::V4);
        for address in ["52.94.1.1", "1.0.0.0", "9.255.255.255", "11.0.0.0", "172.32.0.0", "223.255.255.255"] {
            assert!(holds(&v4, address), "{address}");
        }
        for address in
            ["10.0.0.0", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "224.0.0.1", "0.1.1.1"]
        {
            assert!(!holds(&v4, address), "{address}");
        }
        let v6 = public(Family::V6);
        assert!(holds(&v6, "2600:1f00::1") && holds(&v6, "64:ff9b::3456:1") && holds(&v6, "3fff:ffff::"));
        assert!(!holds(&v6, "fd00::1") && !holds(&v6, "fe80::1") && !holds(&v6, "4000::"));
        assert!(holds(&private(Family::V4), "100.64.9.9") && holds(&private(Family::V6), "fdff::1"));
        assert!(!v4.meets(&private(Family::V4)) && !v6.meets(&private(Family::V6)));
    }

    /// Sets of numbers below 128, as bits, the slow way.
    fn bits(set: &Ranges) -> u128 {
        (0..128).filter(|n| set.iter().any(|(a, b)| a <= *n && *n <= b)).fold(0, |bits, n| bits | 1 << n)
    }

    fn small() -> impl Strategy<Value = Ranges> {
        let range = (0_u128..128, 0_u128..128).prop_map(|(a, b)| (a.min(b), a.max(b)));
        proptest::collection::vec(range, 0..6).prop_map(|ranges| ranges.into_iter().collect())
    }

    proptest! {
        #[test]
        fn sets_behave_like_sets(a in small(), b in small()) {
            prop_assert_eq!(bits(&a.or(&b)), bits(&a) | bits(&b));
            prop_assert_eq!(bits(&a.and(&b)), bits(&a) & bits(&b));
            prop_assert_eq!(bits(&a.minus(&b)), bits(&a) & !bits(&b));
            prop_assert_eq!(a.covers(&b), bits(&b) & !bits(&a) == 0);
            prop_assert_eq!(a.meets(&b), bits(&a) & bits(&b) != 0);
        }
    }
}
