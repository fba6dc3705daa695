//! Working memory of a processor: what the parts of a program tell each other about one packet. Offsets in bytes.
//!
//! What stands in front of [`RECORD`] is what a record of a packet has.
#![allow(missing_docs)]

pub const SOURCE: i16 = 0;
pub const DESTINATION: i16 = 16;
/// [`attr`](crate::tables::layout::attr)
pub const ATTRIBUTES: i16 = 32;
/// Two ports in the order of the machine.
pub const PORTS: i16 = 40;
pub const INTERFACE: i16 = 44;
pub const STATE: i16 = 48;
pub const MARK: i16 = 52;
/// Bytes of the packet.
pub const LENGTH: i16 = 56;
pub const PAYLOAD_LENGTH: i16 = 60;
/// Nanoseconds of the monotonic clock.
pub const NOW: i16 = 64;
/// The rule that decided.
pub const RULE: i16 = 72;
pub const VERDICT: i16 = 76;
/// The place of the rule that was found last.
pub const ORDER: i16 = 80;
/// The hook: a number of [`Hook`](super::Hook).
pub const HOOK: i16 = 88;
/// The bank that the program is in.
pub const BANK: i16 = 89;
/// Why there is a record: a bit of [`watch`](crate::tables::layout::watch).
pub const KIND: i16 = 90;
/// 1 if a limit counts as exceeded because the table of limits was full.
pub const NO_LIMIT: i16 = 91;
/// Bytes of [`PACKET`] that were read.
pub const CAPTURED: i16 = 92;
/// The first bytes of the packet, if somebody watches.
pub const PACKET: i16 = 96;
/// Most of them.
pub const MOST_CAPTURED: usize = 128;
/// Bytes of a record.
pub const RECORD: usize = 224;
/// What somebody watches: bits of [`watch`](crate::tables::layout::watch).
pub const WATCHED: i16 = 224;
/// The rule that was found last.
pub const FOUND: i16 = 232;
/// The mark to set, and whether it is.
pub const NEW_MARK: i16 = 236;
pub const SET_MARK: i16 = 240;
/// What [`OTHER`] holds: 0 nothing, 1 the connection that an ICMP error is about, 2 the key of later fragments.
pub const OTHER_KIND: i16 = 244;
/// Key of the connection.
pub const FLOW: i16 = 248;
/// Another key.
pub const OTHER: i16 = 288;
/// Hashes of the source by class, with room for eight.
pub const SOURCES: i16 = 328;
/// Hashes of the destination by class.
pub const DESTINATIONS: i16 = 392;
/// What hashes depend on ([`FACTOR`](crate::tables::layout::book::FACTOR)).
pub const FACTOR: i16 = 456;
/// The payload, and room for what is read behind its end.
pub const PAYLOAD: i16 = 584;
/// The headers of an answer to the sender.
pub const ANSWER: i16 = 816;
/// Link addresses as [`mac`](crate::tables::layout::mac) has them: from, to.
pub const MACS: i16 = 928;
/// Which conditions hold.
pub const CONDITIONS: i16 = 944;
/// What is known about the translation of the packet.
pub const TRANSLATION: i16 = 952;
/// The key of a translation.
pub const PAIR: i16 = 960;
/// The entry of a translation: the new addresses and ports.
pub const CHANGED: i16 = 1000;
/// A header of TCP.
pub const SEGMENT: i16 = 1048;
/// Whether the packet brings a cookie: see `cookies`.
pub const COOKIE: i16 = 1112;
/// The packet that an ICMP error quotes, if [`OTHER_KIND`] is 1: its source, its destination, two ports in the order of the machine
/// (or the number of an echo request twice), its protocol, and where its header behind that of the internet protocol begins.
pub const QUOTED: i16 = 1120;
pub const QUOTED_PORTS: i16 = QUOTED + 32;
pub const QUOTED_PROTOCOL: i16 = QUOTED + 36;
pub const QUOTED_AT: i16 = QUOTED + 40;
/// Bytes.
pub const SIZE: usize = 1168;
