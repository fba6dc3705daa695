//! ICMP errors about translated connections (RFC 5508, 4): the packet that they quote is changed back to what its sender has
//! sent, and so is the address that the error goes to or comes from.
//!
//! An error goes the way of answers to what it quotes, so the quoted packet turned round finds the entry. Checksums within the
//! quoted packet, whose end is missing, are left as they are.

use skep_ir::{Binary, Cond, Unary, Value, Width};

use super::super::code::{self, Code};
use super::super::view::View;
use super::super::{Hook, Maps, work};
use super::{NOTHING, Table, address_4, address_6, at, copy, kind_of, turn};
use crate::rules::words::WITH_PORTS;
use crate::tables::layout::attr;

/// `(bits)`: looks for the entry; [`work::TRANSLATION`] says what was found.
pub(super) fn find(code: &mut Code<'_>, maps: &Maps, table: Table, hook: Hook, args: &[Value]) {
    let &[bits] = args else { return };
    let memory = code.only(maps.work, 0);
    let (none, missing) = (code.num(NOTHING), code.b.block(&[]));
    code.store(Width::W32, memory, work::TRANSLATION, none);
    copy(code, memory, work::QUOTED + 16, work::PAIR + at::SOURCE);
    copy(code, memory, work::QUOTED, work::PAIR + at::DESTINATION);
    let ports = code.load(Width::W32, memory, work::QUOTED_PORTS);
    let turned = turn(code, ports);
    code.store(Width::W32, memory, work::PAIR + at::PORTS, turned);
    let protocol = code.load(Width::W32, memory, work::QUOTED_PROTOCOL);
    let protocol = code.with(Binary::And, protocol, 0xff);
    let kind = kind_of(code, protocol, bits, hook);
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind);
    let key = code.b.ptr_add_const(memory, work::PAIR.into());
    let entry = code.find(table.map, key, missing);
    super::found(code, memory, entry);
    code.close(missing);
    code.b.switch_to(missing);
}

/// A side of the quoted packet, and the side of an answer that it is.
struct Side {
    /// Where its address is in [`work::QUOTED`].
    quoted: i16,
    /// Where it is in entries, and in the working memory for the error itself.
    entry: i16,
    /// Offsets in headers of both versions: of the quoted packet, of the error.
    four: [i64; 2],
    six: [i64; 2],
    /// Of its port in the quoted header, and of the port in entries.
    port: i64,
    entry_port: i16,
}

const SIDES: [Side; 2] = [
    Side { quoted: 0, entry: at::DESTINATION, four: [12, 16], six: [8, 24], port: 0, entry_port: 2 },
    Side { quoted: 16, entry: at::SOURCE, four: [16, 12], six: [24, 8], port: 2, entry_port: 0 },
];

/// `(context, network, at, bits)`
pub(super) fn apply(code: &mut Code<'_>, view: &View, args: &[Value]) {
    let &[network, at, bits] = args else { return };
    let memory = view.memory;
    let sum = code.with(Binary::Add, at, 2);
    let inner = code.with(Binary::Add, at, 8);
    for side in &SIDES {
        ports(code, view, sum, side);
        let (six, next) = (code.b.block(&[]), code.b.block(&[]));
        let differences = [0, 8].map(|word| {
            let old = code.load(Width::W64, memory, work::QUOTED + side.quoted + word);
            let new = code.load(Width::W64, memory, work::CHANGED + side.entry + word);
            code.b.binary(Binary::Xor, old, new)
        });
        let different = code.b.binary(Binary::Or, differences[0], differences[1]);
        code.leave_if(next, Cond::Eq, different, 0);
        let old = code.b.ptr_add_const(memory, i32::from(work::QUOTED + side.quoted));
        let new = code.b.ptr_add_const(memory, i32::from(work::CHANGED + side.entry));
        let zero = code.num(0);
        let version = code.bits(attr::V6);
        code.leave_for(six, Cond::Set, bits, version);
        // The quoted header has a sum of its own, so the sum over it stays what it is.
        let (old_4, new_4) = (code.load(Width::W32, old, 0), code.load(Width::W32, new, 0));
        let (head_sum, four) = (code.with(Binary::Add, inner, 10), code.num(4));
        code.helper(code::L3_SUM_REPLACE, &[view.context, head_sum, old_4, new_4, four]);
        let to = code.with(Binary::Add, inner, side.four[0]);
        code.helper(code::SKB_STORE, &[view.context, to, new, four, zero]);
        address_4(code, view, (network, side.four[1]), side.entry, None);
        code.close(next);
        code.b.switch_to(six);
        let sixteen = code.num(16);
        let difference = code.helper(code::SUM_DIFF, &[old, sixteen, new, sixteen, zero]);
        code.helper(code::L4_SUM_REPLACE, &[view.context, sum, zero, difference, zero]);
        let to = code.with(Binary::Add, inner, side.six[0]);
        code.helper(code::SKB_STORE, &[view.context, to, new, sixteen, zero]);
        address_6(code, view, (network, side.six[1]), side.entry, Some((sum, 0)));
        code.close(next);
        code.b.switch_to(next);
    }
    code.give(1);
}

/// The port of a side, or the number of an echo request.
fn ports(code: &mut Code<'_>, view: &View, sum: Value, side: &Side) {
    let (same, has_ports, change) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
    let protocol = code.load(Width::W32, view.memory, work::QUOTED_PROTOCOL);
    let start = code.load(Width::W32, view.memory, work::QUOTED_AT);
    let number = code.with(Binary::Add, start, 4);
    let place = code.var(number);
    for &known in WITH_PORTS {
        code.leave_if(has_ports, Cond::Eq, protocol, known.into());
    }
    // There is one number for both sides.
    code.close(if side.port == 0 { change } else { same });
    code.b.switch_to(has_ports);
    let own = code.with(Binary::Add, start, side.port);
    code.set(place, own);
    code.close(change);
    code.b.switch_to(change);
    let place = code.get(place);
    view.fetch(code, place, 2, same);
    let old = code.load(Width::W16, view.head, 0);
    let new = code.load(Width::W16, view.memory, work::CHANGED + at::PORTS + side.entry_port);
    let new = code.b.unary(Unary::Swap16, new);
    code.leave_for(same, Cond::Eq, old, new);
    code.store(Width::W16, view.head, 8, new);
    let (two, zero) = (code.num(2), code.num(0));
    code.helper(code::L4_SUM_REPLACE, &[view.context, sum, old, new, two]);
    let from = code.b.ptr_add_const(view.head, 8);
    code.helper(code::SKB_STORE, &[view.context, place, from, two, zero]);
    code.close(same);
    code.b.switch_to(same);
}
