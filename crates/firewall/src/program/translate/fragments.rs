//! Later fragments, which have no ports: they are changed as the first one was.
//!
//! The table is small, and its oldest entries give way: what is lost with one is a packet.

use skep_ir::{Binary, Cond, MapDecl, MapRef, Value, Width};
use skep_isa::MapType;

use super::super::code::{self, Code};
use super::super::view::View;
use super::super::{Hook, Maps, work};
use super::{KEY_BYTES, NOTHING, SECOND, VALUE_BYTES, address_4, address_6, at, copy, kind};
use crate::tables::layout::{attr, maps};

/// Packets in fragments that are known.
const PACKETS: u32 = 1 << 12;
/// Seconds for which they are: as long as Linux waits for missing ones (`net.ipv4.ipfrag_time`).
const KNOWN: i64 = 30;

/// The table.
pub fn table() -> MapDecl {
    MapDecl::new(maps::FRAGMENTS, MapType::LruHash, KEY_BYTES as u32, VALUE_BYTES as u32, PACKETS)
}

/// The key of the packet in the working memory: its number stands in place of ports.
fn key(code: &mut Code<'_>, memory: Value, hook: Hook, number: Value, bits: Value) -> Value {
    copy(code, memory, work::SOURCE, work::PAIR + at::SOURCE);
    copy(code, memory, work::DESTINATION, work::PAIR + at::DESTINATION);
    code.store(Width::W32, memory, work::PAIR + at::PORTS, number);
    let kind = kind(code, bits, hook);
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind);
    code.b.ptr_add_const(memory, work::PAIR.into())
}

/// `(number, bits)`: how the first fragment was changed.
pub(super) fn find(code: &mut Code<'_>, maps: &Maps, table: MapRef, hook: Hook, args: &[Value]) {
    let &[number, bits] = args else { return };
    let memory = code.only(maps.work, 0);
    let (none, missing) = (code.num(NOTHING), code.b.block(&[]));
    code.store(Width::W32, memory, work::TRANSLATION, none);
    let key = key(code, memory, hook, number, bits);
    let entry = code.find(table, key, missing);
    let until = code.load(Width::W64, entry, at::UNTIL);
    let now = code.load(Width::W64, memory, work::NOW);
    code.leave_for(missing, Cond::Ult, until, now);
    super::found(code, memory, entry);
    code.close(missing);
    code.b.switch_to(missing);
}

/// `(number, bits)`: remembers what is in [`work::CHANGED`].
pub(super) fn remember(code: &mut Code<'_>, maps: &Maps, table: MapRef, hook: Hook, args: &[Value]) {
    let &[number, bits] = args else { return };
    let memory = code.only(maps.work, 0);
    let key = key(code, memory, hook, number, bits);
    let value = code.buffer(VALUE_BYTES as u32);
    for word in (0..VALUE_BYTES as i16).step_by(8) {
        let part = code.load(Width::W64, memory, work::CHANGED + word);
        code.store(Width::W64, value, word, part);
    }
    let now = code.load(Width::W64, memory, work::NOW);
    let until = code.with(Binary::Add, now, KNOWN * SECOND);
    code.store(Width::W64, value, at::UNTIL, until);
    let (map, any) = (code.b.map_addr(table), code.num(0));
    code.helper(code::MAP_UPDATE, &[map, key, value, any]);
}

/// Changes addresses only: sums and ports are in the first fragment. Returns.
pub(super) fn apply(code: &mut Code<'_>, view: &View, network: Value, bits: Value) {
    let version = code.bits(attr::V6);
    code.either(
        Cond::Set,
        bits,
        version,
        |code| {
            for (place, offset) in [(at::SOURCE, 8), (at::DESTINATION, 24)] {
                address_6(code, view, (network, offset), place, None);
            }
        },
        |code| {
            for (place, offset) in [(at::SOURCE, 12), (at::DESTINATION, 16)] {
                address_4(code, view, (network, offset), place, None);
            }
        },
    );
    code.give(1);
}
