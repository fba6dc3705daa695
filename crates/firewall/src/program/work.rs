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
/// Bytes of a record.
pub const RECORD: usize = 88;
/// The rule that was found last.
pub const FOUND: i16 = 88;
/// The mark to set, and whether it is.
pub const NEW_MARK: i16 = 92;
pub const SET_MARK: i16 = 96;
/// What [`OTHER`] holds: 0 nothing, 1 the connection that an ICMP error is about, 2 the key of later fragments.
pub const OTHER_KIND: i16 = 100;
/// Key of the connection.
pub const FLOW: i16 = 104;
/// Another key.
pub const OTHER: i16 = 144;
/// The source by class, with room for eight.
pub const SOURCES: i16 = 184;
/// The destination by class.
pub const DESTINATIONS: i16 = 312;
/// The payload, and room for what is read behind its end.
pub const PAYLOAD: i16 = 440;
/// The key of a bucket.
pub const KEY: i16 = 632;
/// The headers of an answer to the sender.
pub const ANSWER: i16 = 672;
/// Link addresses as [`mac`](crate::tables::layout::mac) has them: from, to.
pub const MACS: i16 = 784;
/// Which conditions hold.
pub const CONDITIONS: i16 = 800;
/// What is known about the translation of the packet.
pub const TRANSLATION: i16 = 808;
/// The key of a translation.
pub const PAIR: i16 = 816;
/// The entry of a translation: the new addresses and ports.
pub const CHANGED: i16 = 856;
/// Bytes.
pub const SIZE: usize = 904;
