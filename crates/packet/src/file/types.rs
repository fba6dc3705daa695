//! What a capture file holds: packets, their time stamps, and the interfaces that they came from.

use skep_proto::LinkType;

/// Nanoseconds since 1970-01-01 00:00 UTC; negative before it.
///
/// The range (about 292 years each way) covers every 32-bit time stamp; a pcapng time outside it is clamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    const SECOND: i64 = 1_000_000_000;

    /// From whole seconds and a fraction in nanoseconds. Clamps at the ends of the range.
    #[must_use]
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(Self::SECOND).saturating_add(nanos as i64))
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(Self::SECOND)
    }

    /// The fraction of the second, 0 to 999,999,999 nanoseconds.
    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.0.rem_euclid(Self::SECOND) as u32
    }
}

/// Which way a packet went, as far as the capture recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Received by the capturing machine.
    Inbound,
    /// Sent by the capturing machine.
    Outbound,
}

/// How the bytes of a packet's record are laid out in the file: tells a writer whether it may copy them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A 16-byte pcap record header in this machine's byte order with microseconds.
    PcapMicro,
    /// A 16-byte pcap record header in this machine's byte order with nanoseconds.
    PcapNano,
    /// Anything else; the packet has to be encoded anew.
    Other,
}

/// One packet, borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// When it was captured. 0 if the record holds no time (a pcapng simple packet block).
    pub ts: Timestamp,
    /// The bytes that were captured, link header first.
    pub data: &'a [u8],
    /// How long the packet was on the wire, in bytes; more than `data` if it was cut off when captured.
    pub orig_len: u32,
    /// Index into [`Reader::interfaces`](super::Reader::interfaces).
    pub interface: u32,
    /// How `data` begins.
    pub link: LinkType,
    /// Which way it went, if the file says so.
    pub direction: Option<Direction>,
    /// The system's number of the interface, if the file says so.
    pub ifindex: Option<u32>,
    /// Where its record begins: a byte offset in the file, counted after decompression.
    pub file_offset: u64,
    pub(crate) record: &'a [u8],
    pub(crate) encoding: Encoding,
}

impl<'a> Packet<'a> {
    /// A packet that does not come from a file: captured live or made up. `interface` is 0.
    #[must_use]
    pub const fn new(ts: Timestamp, data: &'a [u8], orig_len: u32, link: LinkType) -> Self {
        Self {
            ts,
            data,
            orig_len,
            interface: 0,
            link,
            direction: None,
            ifindex: None,
            file_offset: 0,
            record: &[],
            encoding: Encoding::Other,
        }
    }

    /// The same packet with at most `len` bytes of data; the length on the wire stays.
    #[must_use]
    pub fn cut(self, len: u32) -> Self {
        match self.data.get(..len as usize) {
            Some(data) if data.len() < self.data.len() => Self { data, record: &[], encoding: Encoding::Other, ..self },
            _ => self,
        }
    }

    /// The packet's record exactly as it is in the file, with its header; empty if it did not come from a file.
    #[must_use]
    pub const fn record(&self) -> (&'a [u8], Encoding) {
        (self.record, self.encoding)
    }
}

/// An interface that packets of a file came from. A pcap file has exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface {
    /// How packets of this interface begin.
    pub link: LinkType,
    /// Most bytes captured of a packet. Never 0: "no limit" in the file is given as the limit of the link type.
    pub snaplen: u32,
    /// The upper bits of the link type word of a pcap file: whether and how long a frame check sequence is present.
    pub link_extra: u32,
    /// Digits after the second in this interface's time stamps, 0 to 9; a binary resolution is given as 9.
    pub digits: u8,
    /// The interface's name (pcapng only).
    pub name: Option<String>,
}

/// Most bytes that a packet of a link type can have in a capture file.
///
/// The limits are those of libpcap 1.10 (`max_snaplen_for_dlt` in `pcap-common.c`), checked against the installed
/// tcpdump by a test: a record that claims more is damaged.
#[must_use]
pub fn max_captured(link: LinkType) -> u32 {
    const KIB: u32 = 1024;
    match link {
        LinkType::DBUS => 128 * KIB * KIB,
        LinkType::USBPCAP => KIB * KIB,
        LinkType::EBHSCR => 8 * KIB * KIB,
        _ => 256 * KIB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_split_and_clamp() {
        let t = Timestamp::new(1_700_000_000, 5);
        assert_eq!((t.seconds(), t.nanos()), (1_700_000_000, 5));
        let before = Timestamp(-1);
        assert_eq!((before.seconds(), before.nanos()), (-1, 999_999_999));
        assert_eq!(Timestamp::new(i64::MAX, 7).0, i64::MAX);
    }

    #[test]
    fn cutting_never_lengthens() {
        let p = Packet::new(Timestamp(0), b"abcdef", 9, LinkType::EN10MB);
        assert_eq!(p.cut(3).data, b"abc");
        assert_eq!(p.cut(60).data, b"abcdef");
        assert_eq!(p.cut(3).orig_len, 9);
    }
}
