//! Finding the first rule that a packet matches behind a given place.

use skep_ir::{Binary, Block, Cond, FuncRef, MapRef, Module, Value, Width};

use super::code::{self, Code};
use super::{Hook, Maps, Shape, straight, work};
use crate::rules::Family;
use crate::tables::layout::{
    ANY_STATE, CLASSES, HASH_1, HASH_2, LONGEST_CHAIN, NOT_DESTINATION, NOT_SOURCE, PAIRS, Side, WAYS, attr, book,
    class_mask, entry, slots_before,
};

/// The number that stands for a rule which cannot be judged at this hook.
pub const UNDECIDED: i64 = 0xffff_ffff;
/// De Bruijn's sequence of 64 bits, whose windows of 6 bits are all different.
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;

/// Adds the functions and gives the one that searches: `(after)`, the number of the rule or 0.
pub fn add(module: &mut Module, maps: &Maps, shape: &Shape, hook: Hook) -> FuncRef {
    let hook_name = hook.program();
    let probe = code::function(&format!("{hook_name}_probe"), 3, |code, args| probe(code, maps, hook, args));
    let probe = module.add_function(probe);
    let search = code::function(&format!("{hook_name}_search"), 1, |code, args| {
        search(code, maps, shape, (hook, probe), args[0]);
    });
    module.add_function(search)
}

/// The position of a bit by the window of [`DE_BRUIJN`] that a multiplication with it brings to the top.
pub fn positions() -> skep_ir::MapDecl {
    let mut table = vec![0u8; 64];
    for bit in 0..64u32 {
        table[(DE_BRUIJN.wrapping_shl(bit) >> 58) as usize] = bit as u8;
    }
    let mut decl = skep_ir::MapDecl::new("fw_bits", skep_isa::MapType::Array, 4, 64, 1);
    decl.contents = vec![(vec![0; 4], table)];
    decl
}

fn search(code: &mut Code<'_>, maps: &Maps, shape: &Shape, (hook, probe): (Hook, FuncRef), after: Value) {
    let memory = code.only(maps.work, 0);
    let positions = code.only(maps.positions, 0);
    let (none, last) = (code.num(0), code.num(-1));
    code.store(Width::W32, memory, work::FOUND, none);
    code.store(Width::W64, memory, work::ORDER, last);
    if !shape.straight.is_empty() {
        let tables = code.b.block(&[]);
        let word = code.num(book::CHANGED.into());
        let changed = code.element(maps.book, word, tables);
        let changed = code.load(Width::W64, changed, 0);
        code.leave_if(tables, Cond::Ne, changed, 0);
        straight::search(code, memory, &shape.straight, hook, after);
        code.b.switch_to(tables);
    }
    let zero = code.num(0);
    let mut var = || code.var(zero);
    let sums: [[code::Var; WAYS]; 2] = std::array::from_fn(|_| std::array::from_fn(|_| var()));
    let attributes = code.load(Width::W64, memory, work::ATTRIBUTES);
    let version = code.bits(attr::V6);
    code.either(
        Cond::Set,
        attributes,
        version,
        |code| index(code, maps, shape, memory, Family::V6, &sums),
        |code| index(code, maps, shape, memory, Family::V4, &sums),
    );
    for (way, (&source, &destination)) in sums[0].iter().zip(&sums[1]).enumerate() {
        let skip = code.b.block(&[]);
        if way > 0 {
            let ports = code.bits(attr::HAS_PORTS);
            let has = code.b.binary(Binary::And, attributes, ports);
            code.leave_if(skip, Cond::Eq, has, 0);
        }
        let (source, destination) = (code.get(source), code.get(destination));
        let both = code.b.binary(Binary::And, source, destination);
        let left = code.var(both);
        code.repeat(PAIRS as i64, |code, _, done, _| {
            let bits = code.get(left);
            code.leave_if(done, Cond::Eq, bits, 0);
            let zero = code.num(0);
            let negative = code.b.binary(Binary::Sub, zero, bits);
            let lowest = code.b.binary(Binary::And, bits, negative);
            let rest = code.b.binary(Binary::Xor, bits, lowest);
            code.set(left, rest);
            let factor = code.bits(DE_BRUIJN);
            let window = code.b.binary(Binary::Mul, lowest, factor);
            let window = code.with(Binary::Lshr, window, 58);
            let at = code.b.ptr_add(positions, window);
            let pair = code.load(Width::W8, at, 0);
            let way = code.num(way as i64);
            code.call(probe, &[pair, way, after]);
        });
        code.close(skip);
        code.b.switch_to(skip);
    }
    let found = code.load(Width::W32, memory, work::FOUND);
    code.b.ret(Some(found));
}

/// Asks the index about both sides, and keeps the bits that classes keep.
fn index(
    code: &mut Code<'_>,
    maps: &Maps,
    shape: &Shape,
    memory: Value,
    family: Family,
    sums: &[[code::Var; WAYS]; 2],
) {
    let hash_bits = shape.sizes.hash_bits;
    let sides = [
        (Side::Source, work::SOURCE, work::SOURCES, &sums[0]),
        (Side::Destination, work::DESTINATION, work::DESTINATIONS, &sums[1]),
    ];
    for (side, from, to, sums) in sides {
        let low = code.load(Width::W64, memory, from);
        let high = code.load(Width::W64, memory, from + 8);
        for class in 0..CLASSES {
            let masks = class_mask(family, class).map(|mask| code.bits(mask));
            let low = code.b.binary(Binary::And, low, masks[0]);
            let high = code.b.binary(Binary::And, high, masks[1]);
            let place = to + 16 * class as i16;
            code.store(Width::W64, memory, place, low);
            code.store(Width::W64, memory, place + 8, high);
            let slot = hash(code, low, high, hash_bits);
            let slot = code.with(Binary::Add, slot, slots_before(family, side, class, hash_bits).into());
            let next = code.b.block(&[]);
            let words = code.element(maps.index, slot, next);
            for (way, sum) in (0..).zip(sums) {
                let word = code.load(Width::W64, words, 8 * way);
                code.or_into(*sum, word);
            }
            code.close(next);
            code.b.switch_to(next);
        }
    }
}

/// [`hash`](crate::tables::layout::hash)
fn hash(code: &mut Code<'_>, low: Value, high: Value, bits: u32) -> Value {
    let factor = code.bits(HASH_1);
    let first = code.b.binary(Binary::Mul, low, factor);
    let shifted = code.with(Binary::Lshr, first, 32);
    let mixed = code.b.binary(Binary::Xor, first, shifted);
    let mixed = code.b.binary(Binary::Add, mixed, high);
    let factor = code.bits(HASH_2);
    let mixed = code.b.binary(Binary::Mul, mixed, factor);
    code.with(Binary::Lshr, mixed, i64::from(64 - bits))
}

/// `(pair, way, after)`: looks into one bucket and keeps the first entry that matches, if it comes before the one that was
/// found elsewhere.
fn probe(code: &mut Code<'_>, maps: &Maps, hook: Hook, args: &[Value]) {
    let &[pair, way, after] = args else { return };
    let memory = code.only(maps.work, 0);
    let done = code.b.block(&[]);
    let port = code.load(Width::W16, memory, work::PORTS + 2);
    let kept = code.var(port);
    code.when_is(Cond::Eq, way, 0, |code| {
        let zero = code.num(0);
        code.set(kept, zero);
    });
    code.when_is(Cond::Eq, way, 2, |code| {
        let upper = code.with(Binary::Lshr, port, 8);
        code.set(kept, upper);
    });
    let source = code.with(Binary::Udiv, pair, CLASSES as i64);
    let destination = code.with(Binary::Urem, pair, CLASSES as i64);
    let shifted = code.with(Binary::Shl, destination, 8);
    let cell = code.b.binary(Binary::Or, source, shifted);
    let shifted = code.with(Binary::Shl, way, 16);
    let cell = code.b.binary(Binary::Or, cell, shifted);
    let mut place = |class: Value| {
        let class = code.with(Binary::And, class, 7);
        let distance = code.with(Binary::Mul, class, 16);
        code.b.ptr_add(memory, distance)
    };
    let (source, destination) = (place(source), place(destination));
    let attributes = code.load(Width::W64, memory, work::ATTRIBUTES);
    let version = code.bits(attr::V6);
    let zero = code.num(0);
    let bucket = code.var(zero);
    let look_up = |code: &mut Code<'_>, map: MapRef, width: Width, parts: i16| {
        let key = code.b.ptr_add_const(memory, work::KEY.into());
        let size = width.bytes() as i16;
        for (from, to) in [(source, 0), (destination, 1)] {
            let offset = if to == 0 { work::SOURCES } else { work::DESTINATIONS };
            for part in 0..parts {
                let value = code.load(width, from, offset + part * size);
                code.store(width, key, (to * parts + part) * size, value);
            }
        }
        let behind = 2 * parts * size;
        code.store(Width::W32, key, behind, cell);
        let port = code.get(kept);
        code.store(Width::W32, key, behind + 4, port);
        let found = code.find(map, key, done);
        let number = code.load(Width::W32, found, 0);
        code.set(bucket, number);
    };
    let (six, four, chain) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
    code.b.branch(Cond::Set, attributes, version, six, four);
    code.b.switch_to(six);
    look_up(code, maps.keys_6, Width::W64, 2);
    code.close(chain);
    code.b.switch_to(four);
    look_up(code, maps.keys_4, Width::W32, 1);
    code.close(chain);
    code.b.switch_to(chain);
    let bucket = code.get(bucket);
    let head = code.element(maps.heads, bucket, done);
    let first = code.load(Width::W32, head, 0);
    let at = code.var(first);
    code.repeat(i64::from(LONGEST_CHAIN), |code, _, _, next| {
        let number = code.get(at);
        code.leave_if(done, Cond::Eq, number, 0);
        let row = code.element(maps.entries, number, done);
        let follower = code.load(Width::W32, row, entry::NEXT);
        code.set(at, follower);
        let order = code.load(Width::W64, row, entry::ORDER);
        let best = code.load(Width::W64, memory, work::ORDER);
        code.leave_for(done, Cond::Uge, order, best);
        code.leave_for(next, Cond::Ule, order, after);
        compare(code, memory, row, hook, next);
        let rule = code.load(Width::W32, row, entry::RULE);
        let rule = if hook == Hook::Xdp { undecided(code, row, rule) } else { rule };
        code.store(Width::W32, memory, work::FOUND, rule);
        code.store(Width::W64, memory, work::ORDER, order);
        code.close(done);
    });
    code.close(done);
    code.b.switch_to(done);
}

/// Leaves for `miss` if the packet is not what an entry asks for.
fn compare(code: &mut Code<'_>, memory: Value, row: Value, hook: Hook, miss: Block) {
    let states = code.load(Width::W32, row, entry::STATES);
    let sides = [(entry::SOURCE, work::SOURCE, NOT_SOURCE), (entry::DESTINATION, work::DESTINATION, NOT_DESTINATION)];
    for (wanted, packet, not) in sides {
        let [first, second] = [0, 8].map(|word| {
            let address = code.load(Width::W64, memory, packet + word);
            let mask = code.load(Width::W64, row, wanted + 16 + word);
            let value = code.load(Width::W64, row, wanted + word);
            let kept = code.b.binary(Binary::And, address, mask);
            code.b.binary(Binary::Xor, kept, value)
        });
        let different = code.b.binary(Binary::Or, first, second);
        let not = code.num(not.into());
        code.either(
            Cond::Set,
            states,
            not,
            |code| code.leave_if(miss, Cond::Eq, different, 0),
            |code| code.leave_if(miss, Cond::Ne, different, 0),
        );
    }
    for port in [0, 1] {
        let value = code.load(Width::W16, memory, work::PORTS + 2 * port);
        let first = code.load(Width::W16, row, entry::PORTS + 4 * port);
        let last = code.load(Width::W16, row, entry::PORTS + 4 * port + 2);
        code.leave_for(miss, Cond::Ult, value, first);
        code.leave_for(miss, Cond::Ugt, value, last);
    }
    let (value, mask) = (entry::ATTRIBUTES, entry::ATTRIBUTES + 8);
    if hook == Hook::Xdp {
        // The network card may have taken the VLAN away: it is not compared here.
        let packet = code.load(Width::W64, memory, work::ATTRIBUTES);
        let mask = code.load(Width::W64, row, mask);
        let rest = code.bits(!attr::VLAN);
        let mask = code.b.binary(Binary::And, mask, rest);
        let wanted = code.load(Width::W64, row, value);
        let wanted = code.b.binary(Binary::And, wanted, rest);
        let seen = code.b.binary(Binary::And, packet, mask);
        code.leave_for(miss, Cond::Ne, seen, wanted);
    } else {
        masked(code, Width::W64, (memory, work::ATTRIBUTES), (row, value), (row, mask), miss);
        let state = code.load(Width::W32, memory, work::STATE);
        let both = code.b.binary(Binary::And, states, state);
        code.leave_if(miss, Cond::Eq, both, 0);
        masked(code, Width::W32, (memory, work::MARK), (row, entry::MARK), (row, entry::MARK + 4), miss);
        let wanted = code.load(Width::W64, row, entry::CONDITIONS);
        code.when_is(Cond::Ne, wanted, 0, |code| {
            let held = code.load(Width::W64, memory, work::CONDITIONS);
            let kept = code.b.binary(Binary::And, held, wanted);
            code.leave_for(miss, Cond::Ne, kept, wanted);
        });
    }
    for side in [0, 8] {
        let wanted = code.load(Width::W64, row, entry::MACS + side);
        code.when_is(Cond::Ne, wanted, 0, |code| {
            let seen = code.load(Width::W64, memory, work::MACS + side);
            code.leave_for(miss, Cond::Ne, seen, wanted);
        });
    }
    let wanted = code.load(Width::W32, row, entry::INTERFACE);
    code.when_is(Cond::Ne, wanted, 0, |code| {
        let here = code.load(Width::W32, memory, work::INTERFACE);
        code.leave_for(miss, Cond::Ne, wanted, here);
    });
    let least = code.load(Width::W32, row, entry::PAYLOAD_LENGTH);
    code.when_is(Cond::Ne, least, 0, |code| {
        let length = code.load(Width::W32, memory, work::PAYLOAD_LENGTH);
        code.leave_for(miss, Cond::Ult, length, least);
        let offset = code.load(Width::W32, row, entry::PAYLOAD_OFFSET);
        let offset = code.with(Binary::And, offset, 63);
        let at = code.b.ptr_add(memory, offset);
        masked(code, Width::W64, (at, work::PAYLOAD), (row, entry::PAYLOAD), (row, entry::PAYLOAD + 8), miss);
    });
}

/// Leaves for `miss` unless a word with a mask has a value; each is a pointer and a distance.
fn masked(code: &mut Code<'_>, width: Width, word: (Value, i16), value: (Value, i16), mask: (Value, i16), miss: Block) {
    let word = code.load(width, word.0, word.1);
    let mask = code.load(width, mask.0, mask.1);
    let value = code.load(width, value.0, value.1);
    let kept = code.b.binary(Binary::And, word, mask);
    code.leave_for(miss, Cond::Ne, kept, value);
}

/// The rule of an entry, or [`UNDECIDED`] if it asks for what XDP does not know: state, mark, VLAN,
/// conditions.
fn undecided(code: &mut Code<'_>, row: Value, rule: Value) -> Value {
    let result = code.var(rule);
    let (unknown, known) = (code.b.block(&[]), code.b.block(&[]));
    let states = code.load(Width::W32, row, entry::STATES);
    let states = code.with(Binary::And, states, ANY_STATE.into());
    code.leave_if(unknown, Cond::Ne, states, ANY_STATE.into());
    let mark = code.load(Width::W32, row, entry::MARK + 4);
    code.leave_if(unknown, Cond::Ne, mark, 0);
    let mask = code.load(Width::W64, row, entry::ATTRIBUTES + 8);
    let vlan = code.bits(attr::VLAN);
    let asked = code.b.binary(Binary::And, mask, vlan);
    code.leave_if(unknown, Cond::Ne, asked, 0);
    let conditions = code.load(Width::W64, row, entry::CONDITIONS);
    code.leave_if(unknown, Cond::Ne, conditions, 0);
    code.close(known);
    code.b.switch_to(unknown);
    let number = code.num(UNDECIDED);
    code.set(result, number);
    code.close(known);
    code.b.switch_to(known);
    code.get(result)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_bit_has_a_window_of_its_own() {
        let decl = super::positions();
        let table = &decl.contents[0].1;
        for bit in 0..64u32 {
            assert_eq!(table[(super::DE_BRUIJN.wrapping_shl(bit) >> 58) as usize], bit as u8);
        }
    }
}
