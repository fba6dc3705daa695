//! Address prefixes of both versions of the internet protocol, and complements.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The version of the internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Bits of an address.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// The addresses that agree in their first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The version.
    pub family: Family,
    /// The address from the highest bit on; bits behind the length are zero.
    pub address: u128,
    /// Bits that count, at most [`Family::bits`].
    pub length: u8,
}

/// The highest `length` bits.
const fn mask(length: u8) -> u128 {
    if length == 0 { 0 } else { u128::MAX << (128 - length as u32) }
}

impl Prefix {
    /// The prefix of an address from the highest bit on; bits behind the length are cleared.
    pub const fn new(family: Family, address: u128, length: u8) -> Self {
        let length = if length > family.bits() { family.bits() } else { length };
        Self { family, address: address & mask(length), length }
    }

    /// All addresses of a version.
    pub const fn all(family: Family) -> Self {
        Self::new(family, 0, 0)
    }

    /// One address.
    pub fn of(address: IpAddr) -> Self {
        let (family, bits) = place(address);
        Self::new(family, bits, family.bits())
    }

    /// The bits that count.
    pub const fn mask(&self) -> u128 {
        mask(self.length)
    }

    /// Whether an address (from the highest bit on) is one of these.
    pub const fn contains(&self, family: Family, address: u128) -> bool {
        matches!((self.family, family), (Family::V4, Family::V4) | (Family::V6, Family::V6))
            && address & self.mask() == self.address
    }

    /// Whether every address of `other` is one of these.
    pub const fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.family, other.address)
    }

    /// Reads `ADDRESS` or `ADDRESS/LENGTH`.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let parsed: IpAddr = address.parse().map_err(|_| format!("`{address}` is no IPv4 or IPv6 address"))?;
        let (family, bits) = place(parsed);
        let length = match length {
            None => family.bits(),
            Some(text) => text.parse().ok().filter(|&length| length <= family.bits()).ok_or_else(|| {
                format!("the length of a prefix is a number from 0 to {}, not `{text}`", family.bits())
            })?,
        };
        if bits & !mask(length) != 0 {
            let right = Self::new(family, bits, length);
            return Err(format!("`{text}` has bits behind its length; the network is `{right}`"));
        }
        Ok(Self::new(family, bits, length))
    }
}

/// An address from the highest bit on.
pub fn place(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(address) => (Family::V4, u128::from(u32::from(address)) << 96),
        IpAddr::V6(address) => (Family::V6, u128::from(address)),
    }
}

/// The address back.
pub fn address(family: Family, bits: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from((bits >> 96) as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(bits)),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        address(self.family, self.address).fmt(f)?;
        if self.length < self.family.bits() { write!(f, "/{}", self.length) } else { Ok(()) }
    }
}

/// The prefixes that together have every address which none of the given ones has.
pub fn complement(prefixes: &[Prefix], family: Family) -> Vec<Prefix> {
    let mut sorted: Vec<Prefix> = prefixes.iter().copied().filter(|prefix| prefix.family == family).collect();
    sorted.sort_by_key(|prefix| (prefix.address, prefix.length));
    // One that another covers stands behind it.
    let mut outer: Vec<Prefix> = Vec::new();
    for prefix in sorted {
        if !outer.last().is_some_and(|last| last.covers(&prefix)) {
            outer.push(prefix);
        }
    }
    let mut result = Vec::new();
    split(Prefix::all(family), &outer, &mut result);
    result
}

/// What of `whole` is in none of the prefixes, which are sorted, disjoint and inside of `whole`.
fn split(whole: Prefix, inside: &[Prefix], result: &mut Vec<Prefix>) {
    match inside {
        [] => result.push(whole),
        [only] if *only == whole => {}
        _ => {
            let length = whole.length + 1;
            let high = Prefix::new(whole.family, whole.address | 1 << (128 - u32::from(length)), length);
            let middle = inside.partition_point(|prefix| prefix.address < high.address);
            split(Prefix::new(whole.family, whole.address, length), &inside[..middle], result);
            split(high, &inside[middle..], result);
        }
    }
}

/// The ranges that together have every port which none of the given ones has.
pub fn complement_ports(ranges: &[RangeInclusive<u16>]) -> Vec<RangeInclusive<u16>> {
    let mut sorted: Vec<_> = ranges.to_vec();
    sorted.sort_by_key(|range| *range.start());
    let mut result = Vec::new();
    let mut next = 0u32;
    for range in sorted {
        if u32::from(*range.start()) > next {
            result.push(next as u16..=range.start() - 1);
        }
        next = next.max(u32::from(*range.end()) + 1);
    }
    if next <= 0xffff {
        result.push(next as u16..=0xffff);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_printed() {
        for text in ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            assert_eq!(Prefix::parse(text).unwrap().to_string(), text);
        }
        assert!(Prefix::parse("10.0.0.1/8").unwrap_err().contains("the network is `10.0.0.0/8`"));
        assert!(Prefix::parse("10.0.0.0/33").unwrap_err().contains("0 to 32"));
        assert!(Prefix::parse("x").is_err());
    }

    #[test]
    fn complements_have_the_rest() {
        skep_random::random_test(|u| {
            let family = if u.arbitrary()? { Family::V4 } else { Family::V6 };
            let shift = 128 - u32::from(family.bits());
            let mut prefixes = Vec::new();
            for _ in 0..u.int_in_range(0..=5)? {
                let bits: u128 = u.arbitrary::<u128>()? << shift;
                prefixes.push(Prefix::new(family, bits, u.int_in_range(0..=family.bits())?));
            }
            let rest = complement(&prefixes, family);
            for _ in 0..20 {
                let near = prefixes.first().map_or(0, |prefix| prefix.address);
                let bits = if u.arbitrary()? {
                    near ^ 1 << u.int_in_range(shift..=127)?
                } else {
                    u.arbitrary::<u128>()? << shift
                };
                let times = rest.iter().filter(|prefix| prefix.contains(family, bits)).count();
                let is_in = prefixes.iter().any(|prefix| prefix.contains(family, bits));
                assert_eq!(times, usize::from(!is_in));
            }
            Ok(())
        })
        .budget_ms(300);
        assert_eq!(complement_ports(&[22..=22, 80..=443, 400..=65535]), [0..=21, 23..=79]);
        assert_eq!(complement_ports(&[]), [0..=65535]);
    }
}
