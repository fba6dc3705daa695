//! Short lists as code: one comparison after the other, without tables.
//!
//! The tables are filled all the same, and are used as soon as a rule is added or removed on its own
//! ([`book::CHANGED`](crate::tables::layout::book)).

use skep_ir::{Binary, Block, Cond, Value, Width};

use super::code::Code;
use super::search::UNDECIDED;
use super::{Hook, work};
use crate::tables::Entry;
use crate::tables::layout::{ANY_STATE, NOT_DESTINATION, NOT_SOURCE, Words, attr};

/// Most entries of a list that becomes code: with 20 it is hardly faster than the tables, with 60 slower (a test measures).
pub const MOST_ENTRIES: usize = 16;

/// Compares the packet with entries, which are in their order, and returns the rule of the first one behind `after` that it
/// matches, or 0.
pub fn search(code: &mut Code<'_>, memory: Value, entries: &[Entry], hook: Hook, after: Value) {
    for entry in entries {
        let next = code.b.block(&[]);
        let order = code.bits(entry.order);
        code.leave_for(next, Cond::Uge, after, order);
        compare(code, memory, entry, hook, next);
        let undecided = hook == Hook::Xdp && asks_more(entry);
        let rule = code.num(if undecided { UNDECIDED } else { entry.rule.into() });
        code.store(Width::W32, memory, work::FOUND, rule);
        code.store(Width::W64, memory, work::ORDER, order);
        code.b.ret(Some(rule));
        code.b.switch_to(next);
    }
    code.give(0);
}

/// Whether an entry asks for what XDP does not know.
const fn asks_more(entry: &Entry) -> bool {
    entry.states & ANY_STATE != ANY_STATE
        || entry.mark[1] != 0
        || entry.attributes[1] & attr::VLAN != 0
        || entry.conditions != 0
}

fn compare(code: &mut Code<'_>, memory: Value, entry: &Entry, hook: Hook, miss: Block) {
    let kept = if hook == Hook::Xdp { !attr::VLAN } else { u64::MAX };
    masked(code, memory, work::ATTRIBUTES, entry.attributes.map(|word| word & kept), miss);
    for (place, wanted, not) in
        [(work::SOURCE, entry.source, NOT_SOURCE), (work::DESTINATION, entry.destination, NOT_DESTINATION)]
    {
        address(code, memory, place, wanted, entry.states & not != 0, miss);
    }
    for (port, place) in entry.ports.chunks(2).zip([work::PORTS, work::PORTS + 2]) {
        let &[first, last] = port else { continue };
        if (first, last) == (0, u16::MAX) {
            continue;
        }
        let value = code.load(Width::W16, memory, place);
        if first == last {
            code.leave_if(miss, Cond::Ne, value, first.into());
        } else {
            code.leave_if(miss, Cond::Ult, value, first.into());
            code.leave_if(miss, Cond::Ugt, value, last.into());
        }
    }
    if hook != Hook::Xdp {
        if entry.states & ANY_STATE != ANY_STATE {
            let state = code.load(Width::W32, memory, work::STATE);
            let both = code.with(Binary::And, state, (entry.states & ANY_STATE).into());
            code.leave_if(miss, Cond::Eq, both, 0);
        }
        if entry.mark[1] != 0 {
            let mark = code.load(Width::W32, memory, work::MARK);
            let kept = code.with(Binary::And, mark, entry.mark[1].into());
            code.leave_if(miss, Cond::Ne, kept, entry.mark[0].into());
        }
        if entry.conditions != 0 {
            masked(code, memory, work::CONDITIONS, [entry.conditions; 2], miss);
        }
    }
    if entry.interface != 0 {
        let here = code.load(Width::W32, memory, work::INTERFACE);
        code.leave_if(miss, Cond::Ne, here, entry.interface.into());
    }
    for (wanted, place) in entry.macs.into_iter().zip([work::MACS, work::MACS + 8]) {
        if wanted != 0 {
            masked(code, memory, place, [wanted, u64::MAX], miss);
        }
    }
    if entry.payload_length != 0 {
        let length = code.load(Width::W32, memory, work::PAYLOAD_LENGTH);
        code.leave_if(miss, Cond::Ult, length, entry.payload_length.into());
        masked(code, memory, work::PAYLOAD + entry.payload_offset as i16, entry.payload, miss);
    }
}

/// Leaves for `miss` unless a word has a value in the bits of a mask.
fn masked(code: &mut Code<'_>, memory: Value, place: i16, [value, mask]: [u64; 2], miss: Block) {
    if mask == 0 {
        return;
    }
    let word = code.load(Width::W64, memory, place);
    let kept = if mask == u64::MAX {
        word
    } else {
        let mask = code.bits(mask);
        code.b.binary(Binary::And, word, mask)
    };
    let value = code.bits(value);
    code.leave_for(miss, Cond::Ne, kept, value);
}

fn address(code: &mut Code<'_>, memory: Value, place: i16, [value, mask]: [Words; 2], not: bool, miss: Block) {
    if !not {
        for (word, place) in [place, place + 8].into_iter().enumerate() {
            masked(code, memory, place, [value[word], mask[word]], miss);
        }
        return;
    }
    let outside = code.b.block(&[]);
    for (word, place) in [place, place + 8].into_iter().enumerate() {
        masked(code, memory, place, [value[word], mask[word]], outside);
    }
    code.close(miss);
    code.b.switch_to(outside);
}
