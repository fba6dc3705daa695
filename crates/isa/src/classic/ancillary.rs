//! The ancillary words: facts about a packet that the Linux kernel keeps outside its bytes.
//!
//! One table gives offset, names, and the field of `struct __sk_buff` or the helper that a 64-bit program uses
//! instead.

use super::SKF_AD_OFF;

/// Where a 64-bit socket filter finds the value of an ancillary word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A 32-bit field of `struct __sk_buff` at this byte offset.
    Field(i16),
    /// A 16-bit field in network byte order, widened to 32 bits, at this byte offset.
    FieldBe16(i16),
    /// Like `Field`, but zero means that the packet has no device, which ends a classic program with the
    /// accumulator as its result.
    FieldOfDevice(i16),
    /// The result of a helper without arguments.
    Helper(u32),
    /// Not a fact about the packet: `A ^= X`.
    XorX,
    /// Out of reach of a program loaded with `bpf(2)`; the reason.
    Unreachable(&'static str),
}

/// One ancillary word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ancillary {
    /// Distance from [`SKF_AD_OFF`], a multiple of 4 from 0 to 60.
    pub offset: u32,
    /// Name that tcpdump prints in brackets.
    pub name: &'static str,
    /// Name of the constant in `linux/filter.h` without its `SKF_AD_` prefix.
    pub constant: &'static str,
    /// Bits of the value: the largest value is `2^bits - 1`.
    pub bits: u8,
    /// What the word holds.
    pub meaning: &'static str,
    /// How a 64-bit program gets the value.
    pub source: Source,
}

impl Ancillary {
    /// The load operand that reads the word: `SKF_AD_OFF + offset`.
    pub const fn k(&self) -> u32 {
        SKF_AD_OFF.wrapping_add(self.offset)
    }
}

const fn word(
    offset: u32,
    name: &'static str,
    constant: &'static str,
    bits: u8,
    source: Source,
    meaning: &'static str,
) -> Ancillary {
    Ancillary { offset, name, constant, bits, meaning, source }
}

/// Reason given for the words that need code of the kernel.
const NEEDS_PARSER: &str = "it is computed by a parser inside the kernel that has no helper";

// TABLE
/// All ancillary words in the order of their offsets.
///
/// Offsets and constants: `linux/filter.h`; names: libpcap 1.10; field offsets: `struct __sk_buff` in `linux/bpf.h`.
pub const ANCILLARY: [Ancillary; 16] = [
    word(0, "proto", "PROTOCOL", 16, Source::FieldBe16(16), "EtherType of the network header"),
    word(
        4,
        "type",
        "PKTTYPE",
        3,
        Source::Field(4),
        "packet type: 0 to us, 1 broadcast, 2 multicast, 3 other, 4 outgoing",
    ),
    word(8, "ifidx", "IFINDEX", 32, Source::FieldOfDevice(40), "number of the interface"),
    word(12, "nla", "NLATTR", 32, Source::Unreachable(NEEDS_PARSER), "offset of netlink attribute X from A on"),
    word(16, "nlan", "NLATTR_NEST", 32, Source::Unreachable(NEEDS_PARSER), "offset of nested netlink attribute X in A"),
    word(20, "mark", "MARK", 32, Source::Field(8), "firewall mark"),
    word(24, "queue", "QUEUE", 16, Source::Field(12), "receive queue of the device"),
    word(
        28,
        "hatype",
        "HATYPE",
        16,
        Source::Unreachable("struct __sk_buff has no such field"),
        "ARPHRD_ type of the device",
    ),
    word(32, "rxhash", "RXHASH", 32, Source::Field(68), "receive hash of the flow"),
    word(36, "cpu", "CPU", 32, Source::Helper(8), "processor that runs the filter"),
    word(40, "xor_x", "ALU_XOR_X", 32, Source::XorX, "A ^ X"),
    word(44, "vlan_tci", "VLAN_TAG", 16, Source::Field(24), "VLAN tag that the device took off"),
    word(48, "vlanp", "VLAN_TAG_PRESENT", 1, Source::Field(20), "1 if the device took a VLAN tag off"),
    word(
        52,
        "poff",
        "PAY_OFFSET",
        32,
        Source::Unreachable(NEEDS_PARSER),
        "offset of the payload of the transport protocol",
    ),
    word(56, "random", "RANDOM", 32, Source::Helper(7), "a random number"),
    word(60, "vlan_tpid", "VLAN_TPID", 16, Source::FieldBe16(28), "EtherType of the VLAN tag that the device took off"),
];

/// The word that an absolute load with operand `k` reads, or `None` if `k` is no ancillary offset.
pub fn ancillary(k: u32) -> Option<&'static Ancillary> {
    let offset = k.wrapping_sub(SKF_AD_OFF);
    if !offset.is_multiple_of(4) {
        return None;
    }
    ANCILLARY.get(usize::try_from(offset / 4).ok()?)
}

/// The word with the given printed name.
pub fn ancillary_by_name(name: &str) -> Option<&'static Ancillary> {
    ANCILLARY.iter().find(|word| word.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_indexed_by_offset() {
        for word in &ANCILLARY {
            assert_eq!(ancillary(word.k()), Some(word));
            assert_eq!(ancillary_by_name(word.name), Some(word));
            assert!((1..=32).contains(&word.bits));
        }
        assert_eq!(ancillary(SKF_AD_OFF + 1), None);
        assert_eq!(ancillary(SKF_AD_OFF + 64), None);
        assert_eq!(ancillary(12), None);
        assert_eq!(ancillary(u32::MAX), None);
    }
}
