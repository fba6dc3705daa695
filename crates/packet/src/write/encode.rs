//! Bytes of both formats, in this machine's byte order. No I/O.

use skep_proto::LinkType;

use crate::file::{
    BLOCK_ENHANCED, BLOCK_INTERFACE, BLOCK_SECTION, BYTE_ORDER_MAGIC, Direction, FILE_HEADER, Interface, MAGIC_MICRO,
    MAGIC_NANO, OPT_END, OPT_FLAGS, OPT_IF_NAME, OPT_IF_TSRESOL, Packet, Timestamp,
};

/// Bytes of a pcap record header.
pub(super) const RECORD_HEADER: usize = 16;
/// Bytes of an enhanced packet block without data and options.
const ENHANCED_EMPTY: usize = 32;
/// Bytes of the flags option with the end mark.
const FLAGS_OPTION: usize = 12;

/// The pcap file header.
pub(super) fn pcap_header(out: &mut Vec<u8>, nano: bool, link: LinkType, link_extra: u32, snaplen: u32) {
    put_word(out, if nano { MAGIC_NANO } else { MAGIC_MICRO });
    put_half(out, 2);
    put_half(out, 4);
    put_word(out, 0);
    put_word(out, 0);
    put_word(out, snaplen);
    put_word(out, link_extra | u32::from(link.0));
}

/// A pcap record. Times before 1970 or after 2106, which the format cannot hold, become the nearest that it can.
#[inline]
pub(super) fn pcap_record(out: &mut Vec<u8>, packet: &Packet<'_>, nano: bool) {
    let latest = Timestamp::new(i64::from(u32::MAX), 999_999_999);
    let ts = packet.ts.clamp(Timestamp(0), latest);
    let fraction = if nano { ts.nanos() } else { ts.nanos() / 1000 };
    put_word(out, ts.seconds() as u32);
    put_word(out, fraction);
    put_word(out, packet.data.len() as u32);
    put_word(out, packet.orig_len);
    out.extend_from_slice(packet.data);
}

/// Length of the pcap unit (file header or record) at the start of `bytes`, which hold at least its header.
pub(super) fn pcap_unit(bytes: &[u8], first: bool) -> usize {
    if first { FILE_HEADER } else { RECORD_HEADER + word_at(bytes, 8) }
}

/// Length of the pcapng block at the start of `bytes`.
pub(super) fn pcapng_unit(bytes: &[u8], _first: bool) -> usize {
    word_at(bytes, 4)
}

/// A number of the unit at hand. A unit that is shorter than its head cannot occur in our own output; if it did, it
/// would count as incomplete.
fn word_at(bytes: &[u8], at: usize) -> usize {
    let raw = bytes.get(at..at + 4).and_then(|raw| raw.try_into().ok());
    raw.map_or(usize::MAX / 2, |raw| u32::from_ne_bytes(raw) as usize)
}

/// The section header block, of a section whose length is not stated.
pub(super) fn section(out: &mut Vec<u8>) {
    put_word(out, BLOCK_SECTION);
    put_word(out, 28);
    put_word(out, BYTE_ORDER_MAGIC);
    put_half(out, 1);
    put_half(out, 0);
    out.extend_from_slice(&u64::MAX.to_ne_bytes());
    put_word(out, 28);
}

/// An interface description block.
pub(super) fn interface(out: &mut Vec<u8>, interface: &Interface) {
    let start = out.len();
    put_word(out, BLOCK_INTERFACE);
    put_word(out, 0);
    put_half(out, interface.link.0);
    put_half(out, 0);
    put_word(out, interface.snaplen);
    if let Some(name) = &interface.name {
        option(out, OPT_IF_NAME, &name.as_bytes()[..name.len().min(u16::MAX as usize)]);
    }
    option(out, OPT_IF_TSRESOL, &[interface.digits.min(9)]);
    option(out, OPT_END, &[]);
    let total = (out.len() - start + 4) as u32;
    put_word(out, total);
    out[start + 4..start + 8].copy_from_slice(&total.to_ne_bytes());
}

/// Length of the enhanced packet block of a packet.
#[inline]
pub(super) fn enhanced_len(packet: &Packet<'_>) -> usize {
    let options = if packet.direction.is_some() { FLAGS_OPTION } else { 0 };
    ENHANCED_EMPTY + packet.data.len().next_multiple_of(4) + options
}

/// An enhanced packet block of interface `id`, whose time stamps have so many digits after the second. Times before
/// 1970 become 1970.
#[inline]
pub(super) fn enhanced(out: &mut Vec<u8>, packet: &Packet<'_>, id: u32, digits: u8) {
    let total = enhanced_len(packet) as u32;
    let ticks = packet.ts.0.max(0).cast_unsigned() / 10u64.pow(u32::from(9 - digits.min(9)));
    put_word(out, BLOCK_ENHANCED);
    put_word(out, total);
    put_word(out, id);
    put_word(out, (ticks >> 32) as u32);
    put_word(out, ticks as u32);
    put_word(out, packet.data.len() as u32);
    put_word(out, packet.orig_len);
    out.extend_from_slice(packet.data);
    pad(out, packet.data.len());
    if let Some(direction) = packet.direction {
        let flags: u32 = match direction {
            Direction::Inbound => 1,
            Direction::Outbound => 2,
        };
        option(out, OPT_FLAGS, &flags.to_ne_bytes());
        option(out, OPT_END, &[]);
    }
    put_word(out, total);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    put_half(out, code);
    put_half(out, value.len() as u16);
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..len.next_multiple_of(4) - len]);
}

#[inline]
fn put_word(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_ne_bytes());
}

#[inline]
fn put_half(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_ne_bytes());
}
