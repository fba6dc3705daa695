//! The pcapng format: blocks, sections, interfaces and packets, in both byte orders.
//!
//! Facts: draft-ietf-opsawg-pcapng. Name resolution, statistics, secrets, journal and custom blocks hold no packets and
//! are stepped over, whatever their size. Pure decoding: no I/O.

use std::collections::HashMap;

use skep_proto::LinkType;

use super::types::{Direction, Encoding, Interface, Timestamp, max_captured};
use super::wire::{Fault, Record, Step};

/// The section header block's type reads the same in both byte orders.
pub(crate) const BLOCK_SECTION: u32 = 0x0a0d_0d0a;
pub(crate) const BLOCK_INTERFACE: u32 = 1;
const BLOCK_PACKET: u32 = 2;
const BLOCK_SIMPLE: u32 = 3;
pub(crate) const BLOCK_ENHANCED: u32 = 6;
/// First word of a section header's body: tells the byte order.
pub(crate) const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;

pub(crate) const OPT_END: u16 = 0;
pub(crate) const OPT_IF_NAME: u16 = 2;
pub(crate) const OPT_IF_TSRESOL: u16 = 9;
const OPT_IF_TSOFFSET: u16 = 14;
/// `epb_flags` and, in the obsolete packet block, `pack_flags`.
pub(crate) const OPT_FLAGS: u16 = 2;

/// Type, length, and the first body word: nothing can be decided with less.
const BLOCK_HEAD: usize = 12;
/// Fields of the blocks before their variable part, with type and length.
const ENHANCED_FIXED: usize = 28;
const SIMPLE_FIXED: usize = 12;
const INTERFACE_FIXED: usize = 16;
const SECTION_FIXED: usize = 24;
/// The length is repeated at the end of each block.
const TRAILER: usize = 4;
/// Room for options in a packet block, beyond the largest packet of a link type.
const OPTIONS_ROOM: u32 = 1 << 24;
/// A file may name more interfaces than this only to use up memory.
const MAX_INTERFACES: usize = 1 << 16;

/// How ticks of an interface become nanoseconds.
#[derive(Debug, Clone, Copy)]
enum Resolution {
    /// 10^-n seconds with n at most 9: factor.
    Times(u64),
    /// 10^-n seconds with n above 9: divisor.
    Divided(u128),
    /// 2^-n seconds.
    Binary(u8),
}

/// What the packets of an interface of the current section need.
#[derive(Debug, Clone, Copy)]
struct Source {
    link: LinkType,
    snaplen: u32,
    resolution: Resolution,
    /// Seconds to add.
    offset: i64,
    /// Index into the reader's list, which covers all sections.
    global: u32,
}

/// The state between blocks.
#[derive(Debug, Default)]
pub(crate) struct PcapNg {
    swapped: bool,
    sources: Vec<Source>,
    /// The interfaces of all sections; equal ones are listed once, so concatenated files stay small.
    pub(crate) interfaces: Vec<Interface>,
    known: HashMap<Interface, u32>,
    /// Length and start of a block that was stepped over and whose trailer comes next.
    pending: Option<(u32, u64)>,
    in_section: bool,
    /// Longest packet that any interface of the section can have.
    longest: u32,
}

impl PcapNg {
    /// True if these four bytes begin a pcapng file.
    pub(crate) fn recognises(magic: [u8; 4]) -> bool {
        u32::from_ne_bytes(magic) == BLOCK_SECTION
    }

    /// Length and start of the block that is being stepped over, for a message about its missing end.
    pub(crate) fn unfinished(&self) -> Option<(u32, u64)> {
        self.pending
    }

    /// Decodes the block at the start of `bytes`.
    pub(crate) fn step(&mut self, bytes: &[u8], offset: u64) -> Result<Step, Fault> {
        if let Some((length, start)) = self.pending {
            return self.check_skipped_trailer(bytes, length, start);
        }
        if bytes.len() < BLOCK_HEAD {
            return Ok(Step::Need(BLOCK_HEAD));
        }
        let kind = self.word(bytes, 0);
        if kind == BLOCK_SECTION {
            self.swapped = section_order(bytes, offset)?;
        } else if !self.in_section {
            return Err(Fault::corrupt(offset, "a pcapng file has to begin with a section header block"));
        }
        let length = self.word(bytes, 4);
        if !length.is_multiple_of(4) || (length as usize) < smallest(kind) {
            let what = format!(
                "the block of type {kind} claims a length of {length} bytes; expected a multiple of 4, at least {}",
                smallest(kind)
            );
            return Err(Fault::corrupt(offset, what));
        }
        if !matches!(kind, BLOCK_SECTION | BLOCK_INTERFACE | BLOCK_ENHANCED | BLOCK_SIMPLE | BLOCK_PACKET) {
            self.pending = Some((length, offset));
            return Ok(Step::Skip(u64::from(length) - TRAILER as u64));
        }
        let limit = self.block_limit();
        if length > limit {
            let what = format!("the block of type {kind} claims {length} bytes; at most {limit} are possible here");
            return Err(Fault::corrupt(offset, what));
        }
        let total = length as usize;
        let Some(block) = bytes.get(..total) else { return Ok(Step::Need(total)) };
        let trailer = self.word(block, total - TRAILER);
        if trailer != length {
            return Err(bad_trailer(length, trailer, offset));
        }
        let body = &block[..total - TRAILER];
        match kind {
            BLOCK_ENHANCED => self.enhanced(body, total, offset, false).map(Step::Record),
            BLOCK_PACKET => self.enhanced(body, total, offset, true).map(Step::Record),
            BLOCK_SIMPLE => self.simple(body, total, offset).map(Step::Record),
            BLOCK_INTERFACE => self.interface(body, offset).map(|()| Step::Skip(total as u64)),
            _ => self.section(body, offset).map(|()| Step::Skip(total as u64)),
        }
    }

    fn check_skipped_trailer(&mut self, bytes: &[u8], length: u32, start: u64) -> Result<Step, Fault> {
        if bytes.len() < TRAILER {
            return Ok(Step::Need(TRAILER));
        }
        let trailer = self.word(bytes, 0);
        if trailer != length {
            return Err(bad_trailer(length, trailer, start));
        }
        self.pending = None;
        Ok(Step::Skip(TRAILER as u64))
    }

    fn block_limit(&self) -> u32 {
        self.longest.saturating_add(OPTIONS_ROOM)
    }

    fn section(&mut self, body: &[u8], offset: u64) -> Result<(), Fault> {
        let (major, minor) = (self.half(body, 12), self.half(body, 14));
        // 1.2 was written by some programs and means the same as 1.0.
        if major != 1 || !matches!(minor, 0 | 2) {
            let what = format!("this section is pcapng version {major}.{minor}; version 1.0 can be read");
            return Err(Fault::unsupported(offset + 12, what));
        }
        self.sources.clear();
        self.longest = 0;
        self.in_section = true;
        Ok(())
    }

    fn interface(&mut self, body: &[u8], offset: u64) -> Result<(), Fault> {
        let link = LinkType::from_file_number(self.half(body, 8));
        let snaplen = self.word(body, 12);
        let mut source = Source { link, snaplen, resolution: Resolution::Times(1000), offset: 0, global: 0 };
        let (mut digits, mut name) = (6, None);
        let mut options = Options { at: INTERFACE_FIXED, body, offset };
        while let Some((code, value)) = options.next(self)? {
            match (code, value) {
                (OPT_IF_NAME, value) => name = Some(printable(value)),
                (OPT_IF_TSRESOL, &[code]) => (source.resolution, digits) = resolution(code),
                (OPT_IF_TSOFFSET, value) => {
                    if let Ok(raw) = <[u8; 8]>::try_from(value) {
                        let number = u64::from_ne_bytes(raw);
                        source.offset = (if self.swapped { number.swap_bytes() } else { number }).cast_signed();
                    }
                }
                _ => {}
            }
        }
        let effective = if snaplen == 0 || snaplen > i32::MAX as u32 { max_captured(link) } else { snaplen };
        let interface = Interface { link, snaplen: effective, link_extra: 0, digits, name };
        source.global = self.global_index(interface, offset)?;
        if self.sources.len() == MAX_INTERFACES {
            return Err(too_many_interfaces(offset));
        }
        self.longest = self.longest.max(max_captured(link));
        self.sources.push(source);
        Ok(())
    }

    fn global_index(&mut self, interface: Interface, offset: u64) -> Result<u32, Fault> {
        if let Some(index) = self.known.get(&interface) {
            return Ok(*index);
        }
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(too_many_interfaces(offset));
        }
        let index = self.interfaces.len() as u32;
        self.interfaces.push(interface.clone());
        self.known.insert(interface, index);
        Ok(index)
    }

    /// Enhanced packet block, or the obsolete packet block, whose interface number is only 16 bits.
    fn enhanced(&self, body: &[u8], total: usize, offset: u64, obsolete: bool) -> Result<Record, Fault> {
        let number = if obsolete { u32::from(self.half(body, 8)) } else { self.word(body, 8) };
        let source = self.source(number, offset)?;
        let captured = self.word(body, 20);
        let data_len = captured as usize;
        let room = body.len() - ENHANCED_FIXED;
        if data_len > room || captured > max_captured(source.link) {
            let most = room.min(max_captured(source.link) as usize);
            let what = format!("the packet block claims {captured} captured bytes; at most {most} fit");
            return Err(Fault::corrupt(offset, what));
        }
        let ticks = u64::from(self.word(body, 12)) << 32 | u64::from(self.word(body, 16));
        let mut direction = None;
        let options_at = ENHANCED_FIXED + data_len.next_multiple_of(4);
        if options_at < body.len() {
            let mut options = Options { at: options_at, body, offset };
            while let Some((code, value)) = options.next(self)? {
                if code == OPT_FLAGS && value.len() == 4 {
                    direction = match self.word(value, 0) & 3 {
                        1 => Some(Direction::Inbound),
                        2 => Some(Direction::Outbound),
                        _ => None,
                    };
                }
            }
        }
        Ok(Record {
            consumed: total,
            data_start: ENHANCED_FIXED,
            data_len,
            orig_len: self.word(body, 24),
            ts: source.time(ticks),
            interface: source.global,
            link: source.link,
            direction,
            ifindex: None,
            encoding: Encoding::Other,
        })
    }

    /// A block without time or captured length: the length follows from the snapshot length of interface 0.
    fn simple(&self, body: &[u8], total: usize, offset: u64) -> Result<Record, Fault> {
        let source = self.source(0, offset)?;
        let orig_len = self.word(body, 8);
        let captured = if source.snaplen == 0 { orig_len } else { orig_len.min(source.snaplen) };
        let data_len = captured as usize;
        let room = body.len() - SIMPLE_FIXED;
        if data_len > room || captured > max_captured(source.link) {
            let what = format!("the packet block holds {room} bytes, but its packet should have {captured}");
            return Err(Fault::corrupt(offset, what));
        }
        Ok(Record {
            consumed: total,
            data_start: SIMPLE_FIXED,
            data_len,
            orig_len,
            ts: Timestamp(0),
            interface: source.global,
            link: source.link,
            direction: None,
            ifindex: None,
            encoding: Encoding::Other,
        })
    }

    #[inline]
    fn source(&self, number: u32, offset: u64) -> Result<&Source, Fault> {
        self.sources.get(number as usize).ok_or_else(|| {
            let count = self.sources.len();
            Fault::corrupt(offset, format!("the packet is of interface {number}, but the section describes {count}"))
        })
    }

    #[inline]
    fn word(&self, bytes: &[u8], at: usize) -> u32 {
        let raw = u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if self.swapped { raw.swap_bytes() } else { raw }
    }

    #[inline]
    fn half(&self, bytes: &[u8], at: usize) -> u16 {
        let raw = u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        if self.swapped { raw.swap_bytes() } else { raw }
    }
}

impl Source {
    /// Nanoseconds since the epoch; clamped to the range of [`Timestamp`].
    #[inline]
    fn time(&self, ticks: u64) -> Timestamp {
        if let (Resolution::Times(factor), 0) = (self.resolution, self.offset)
            && let Some(nanos) = ticks.checked_mul(factor)
            && let Ok(nanos) = i64::try_from(nanos)
        {
            return Timestamp(nanos);
        }
        let ticks = u128::from(ticks);
        let nanos = match self.resolution {
            Resolution::Times(factor) => ticks * u128::from(factor),
            Resolution::Divided(divisor) => ticks / divisor,
            Resolution::Binary(shift) => (ticks * 1_000_000_000) >> shift,
        };
        // At most 2^94, and the offset adds less than 2^93: no overflow in 128 bits.
        let total = nanos.cast_signed() + i128::from(self.offset) * 1_000_000_000;
        Timestamp(total.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

/// The options at the end of a block.
struct Options<'a> {
    at: usize,
    body: &'a [u8],
    offset: u64,
}

impl<'a> Options<'a> {
    /// Code and value of the next option; `None` at the end mark or the end of the block.
    fn next(&mut self, ng: &PcapNg) -> Result<Option<(u16, &'a [u8])>, Fault> {
        let rest = &self.body[self.at.min(self.body.len())..];
        if rest.is_empty() {
            return Ok(None);
        }
        // Blocks are whole words long, so an option header is complete if anything is left.
        let (code, length) = (ng.half(rest, 0), usize::from(ng.half(rest, 2)));
        if code == OPT_END {
            return Ok(None);
        }
        let Some(value) = rest.get(4..4 + length) else {
            let what = format!("option {code} claims {length} bytes, but the block has only {} left", rest.len() - 4);
            return Err(Fault::corrupt(self.offset, what));
        };
        self.at += 4 + length.next_multiple_of(4);
        Ok(Some((code, value)))
    }
}

/// The smallest possible length of a block, with type, both lengths and fixed fields.
const fn smallest(kind: u32) -> usize {
    TRAILER
        + match kind {
            BLOCK_SECTION => SECTION_FIXED,
            BLOCK_INTERFACE => INTERFACE_FIXED,
            BLOCK_ENHANCED | BLOCK_PACKET => ENHANCED_FIXED,
            BLOCK_SIMPLE => SIMPLE_FIXED,
            _ => 8,
        }
}

/// True if the section is in the other byte order.
fn section_order(bytes: &[u8], offset: u64) -> Result<bool, Fault> {
    let magic = u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if magic == BYTE_ORDER_MAGIC {
        Ok(false)
    } else if magic.swap_bytes() == BYTE_ORDER_MAGIC {
        Ok(true)
    } else {
        let what = format!("the section header has the byte-order mark {magic:08x}; expected {BYTE_ORDER_MAGIC:08x}");
        Err(Fault::corrupt(offset, what))
    }
}

/// `if_tsresol`: bit 7 chooses powers of two, the rest is the negative exponent. Also the decimal digits to keep.
fn resolution(code: u8) -> (Resolution, u8) {
    let exponent = code & 0x7f;
    if code & 0x80 != 0 {
        (Resolution::Binary(exponent), 9)
    } else if exponent <= 9 {
        (Resolution::Times(10u64.pow(u32::from(9 - exponent))), exponent)
    } else {
        // 10^29 and more exceed every tick count: the time is 0 whatever the divisor.
        (Resolution::Divided(10u128.pow(u32::from((exponent - 9).min(38)))), 9)
    }
}

/// An interface name as text; the format asks for UTF-8 and a few writers add a NUL.
fn printable(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end.min(255)]).into_owned()
}

#[cold]
fn bad_trailer(length: u32, trailer: u32, offset: u64) -> Fault {
    let what = format!("the block is {length} bytes long by its head and {trailer} by its tail; they should be equal");
    Fault::corrupt(offset, what)
}

#[cold]
fn too_many_interfaces(offset: u64) -> Fault {
    Fault::unsupported(offset, format!("the file describes more than {MAX_INTERFACES} interfaces; that is the limit"))
}
