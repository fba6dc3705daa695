//! The classic pcap format: file header and records, in every variant that libpcap 1.10 reads.
//!
//! Facts: pcap-savefile(5), `sf-pcap.c` of libpcap. Pure decoding: no I/O, no allocation per record.

use skep_proto::LinkType;

use super::types::{Direction, Encoding, Interface, Timestamp, max_captured};
use super::wire::{Fault, Record, Step};

/// Bytes of the file header.
pub(crate) const FILE_HEADER: usize = 24;
/// Bytes of an ordinary record header.
const RECORD_HEADER: usize = 16;
/// Bytes of a record header of the format of Alexey Kuznetzov's patched libpcap, which Linux distributions shipped.
const KUZNETZOV_HEADER: usize = 24;

/// Microseconds in the writer's byte order.
pub(crate) const MAGIC_MICRO: u32 = 0xa1b2_c3d4;
/// Nanoseconds in the writer's byte order.
pub(crate) const MAGIC_NANO: u32 = 0xa1b2_3c4d;
const MAGIC_KUZNETZOV: u32 = 0xa1b2_cd34;

/// Which of the two length fields of a record holds the captured length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LengthOrder {
    CapturedFirst,
    /// Before version 2.3.
    CapturedLast,
    /// Version 2.3 was written both ways: the smaller is the captured length.
    Unclear,
}

/// What the file header says: enough to decode every record.
#[derive(Debug)]
pub(crate) struct Pcap {
    pub(crate) interface: Interface,
    swapped: bool,
    kuznetzov: bool,
    nanos_per_tick: u32,
    order: LengthOrder,
    encoding: Encoding,
    /// More captured bytes than this are a sign of damage.
    limit: u32,
}

impl Pcap {
    /// True if these four bytes begin a pcap file.
    pub(crate) fn recognises(magic: [u8; 4]) -> bool {
        let native = u32::from_ne_bytes(magic);
        [native, native.swap_bytes()].iter().any(|m| [MAGIC_MICRO, MAGIC_NANO, MAGIC_KUZNETZOV].contains(m))
    }

    /// Decodes the file header. The magic number must have been recognised.
    pub(crate) fn new(header: &[u8; FILE_HEADER]) -> Result<Self, Fault> {
        let native = word(header, 0, false);
        let swapped = ![MAGIC_MICRO, MAGIC_NANO, MAGIC_KUZNETZOV].contains(&native);
        let magic = if swapped { native.swap_bytes() } else { native };
        let version = word(header, 4, swapped);
        // Two 16-bit fields, which a 32-bit swap has also exchanged.
        let (major, minor) = match (swapped, cfg!(target_endian = "little")) {
            (false, true) | (true, false) => (version & 0xffff, version >> 16),
            _ => (version >> 16, version & 0xffff),
        };
        let order = match (major, minor) {
            (2, 0..=2) | (543, 0) => LengthOrder::CapturedLast,
            (2, 3) => LengthOrder::Unclear,
            (2, 4) => LengthOrder::CapturedFirst,
            _ => {
                let what = format!("this is pcap version {major}.{minor}; versions 2.0 to 2.4 can be read");
                return Err(Fault::unsupported(4, what));
            }
        };
        let link_word = word(header, 20, swapped);
        let link = LinkType::from_file_number(link_word as u16);
        let limit = max_captured(link);
        let snaplen = word(header, 16, swapped);
        let snaplen = if snaplen == 0 || snaplen > i32::MAX as u32 { limit } else { snaplen };
        // Those who wrote the patched format did not count the Ethernet header; libpcap corrects it so, too.
        let uncounted = if magic == MAGIC_KUZNETZOV && link == LinkType::EN10MB { 14 } else { 0 };
        let snaplen = snaplen + uncounted;
        let nano = magic == MAGIC_NANO;
        let encoding = match (swapped || order != LengthOrder::CapturedFirst, magic) {
            (false, MAGIC_MICRO) => Encoding::PcapMicro,
            (false, MAGIC_NANO) => Encoding::PcapNano,
            _ => Encoding::Other,
        };
        Ok(Self {
            interface: Interface {
                link,
                snaplen,
                link_extra: link_word & 0xffff_0000,
                digits: if nano { 9 } else { 6 },
                name: None,
            },
            swapped,
            kuznetzov: magic == MAGIC_KUZNETZOV,
            nanos_per_tick: if nano { 1 } else { 1000 },
            order,
            encoding,
            limit,
        })
    }

    /// Decodes the record at the start of `bytes`.
    #[inline]
    pub(crate) fn step(&self, bytes: &[u8], offset: u64) -> Result<Step, Fault> {
        let header_len = if self.kuznetzov { KUZNETZOV_HEADER } else { RECORD_HEADER };
        if bytes.len() < header_len {
            return Ok(Step::Need(header_len));
        }
        let (mut captured, mut orig_len) = (word(bytes, 8, self.swapped), word(bytes, 12, self.swapped));
        if self.order != LengthOrder::CapturedFirst && (self.order == LengthOrder::CapturedLast || captured > orig_len)
        {
            std::mem::swap(&mut captured, &mut orig_len);
        }
        if captured > self.limit {
            return Err(self.too_long(captured, offset));
        }
        let total = header_len + captured as usize;
        if bytes.len() < total {
            return Ok(Step::Need(total));
        }
        let seconds = word(bytes, 0, self.swapped);
        let fraction = word(bytes, 4, self.swapped);
        let (ifindex, direction) = if self.kuznetzov { self.kuznetzov_fields(bytes) } else { (None, None) };
        // libpcap cuts such packets, which broken writers made, down to the snapshot length; so does this.
        let data_len = captured.min(self.interface.snaplen);
        let encoding = if data_len == captured { self.encoding } else { Encoding::Other };
        Ok(Step::Record(Record {
            consumed: total,
            data_start: header_len,
            data_len: data_len as usize,
            orig_len,
            ts: Timestamp(i64::from(seconds) * 1_000_000_000 + i64::from(fraction) * i64::from(self.nanos_per_tick)),
            interface: 0,
            link: self.interface.link,
            direction,
            ifindex,
            encoding,
        }))
    }

    #[cold]
    fn too_long(&self, captured: u32, offset: u64) -> Fault {
        let link = self.interface.link;
        let what = format!("the record claims {captured} captured bytes; {link} packets have at most {}", self.limit);
        Fault::corrupt(offset, what)
    }

    /// Interface number and packet type (`PACKET_*` of linux/if_packet.h; 4 is "sent by us").
    fn kuznetzov_fields(&self, bytes: &[u8]) -> (Option<u32>, Option<Direction>) {
        let ifindex = word(bytes, 16, self.swapped);
        let direction = if bytes[22] == 4 { Direction::Outbound } else { Direction::Inbound };
        (Some(ifindex), Some(direction))
    }
}

/// The 32-bit number at `at`; the caller has checked the length.
#[inline]
fn word(bytes: &[u8], at: usize, swapped: bool) -> u32 {
    let raw = u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    if swapped { raw.swap_bytes() } else { raw }
}
