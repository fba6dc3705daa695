//! Finding the first rule that a packet matches behind a given place.

use skep_ir::{Binary, Block, Cond, FuncRef, Module, Value, Width};

use super::code::{self, Code};
use super::{Hook, Maps, Shape, straight, work};
use crate::rules::Family;
use crate::tables::entry::{LATE, MORE, WIDE, details, line};
use crate::tables::layout::{
    CELL_V6, CLASSES, HASH_1, HASH_2, LONGEST_CHAIN, NOT_DESTINATION, NOT_SOURCE, PAIRS, SLOT_BYTES, SLOTS,
    SOURCE_STEP, Side, WAYS, attr, book, class_mask, slots_before,
};

/// The number that stands for a rule which cannot be judged at this hook.
pub const UNDECIDED: i64 = 0xffff_ffff;
/// Entries of a chain that are looked at by one call.
const STEP: i64 = 16;
/// De Bruijn's sequence of 64 bits, whose windows of 6 bits are all different.
const DE_BRUIJN: u64 = 0x03f7_9d71_b4cb_0a89;

/// Adds the functions and gives the one that searches: `(after)`, the number of the rule or 0.
pub fn add(module: &mut Module, maps: &Maps, shape: &Shape, hook: Hook) -> FuncRef {
    let hook_name = hook.program();
    let look = code::function(&format!("{hook_name}_look"), 1, |code, args| look(code, maps, hook, args));
    let look = module.add_function(look);
    let step = code::function(&format!("{hook_name}_step"), 2, |code, args| step(code, maps, (hook, look), args));
    let step = module.add_function(step);
    let walk = code::function(&format!("{hook_name}_walk"), 2, |code, args| walk(code, step, args));
    let walk = module.add_function(walk);
    let search = code::function(&format!("{hook_name}_search"), 1, |code, args| {
        search(code, maps, shape, (hook, step, walk), args[0]);
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

fn search(code: &mut Code<'_>, maps: &Maps, shape: &Shape, (hook, step, walk): (Hook, FuncRef, FuncRef), after: Value) {
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
    let nothing = code.b.block(&[]);
    let word = code.num(book::FACTOR.into());
    let factor = code.element(maps.book, word, nothing);
    let factor = code.load(Width::W64, factor, 0);
    code.store(Width::W64, memory, work::FACTOR, factor);
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
        code.repeat(PAIRS as i64, |code, _, done, again| {
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
            let bucket = bucket(code, shape, memory, pair, way);
            let head = code.element(maps.heads, bucket, done);
            let head = code.load(Width::W64, head, 0);
            let first = code.with(Binary::And, head, u32::MAX.into());
            code.leave_if(again, Cond::Eq, first, 0);
            let order = code.with(Binary::Lshr, head, 32);
            let best = code.load(Width::W32, memory, work::ORDER + 4);
            code.leave_for(again, Cond::Ugt, order, best);
            let rest = code.call(step, &[first, after]);
            code.leave_if(again, Cond::Eq, rest, 0);
            code.call(walk, &[rest, after]);
        });
        code.close(skip);
        code.b.switch_to(skip);
    }
    code.close(nothing);
    code.b.switch_to(nothing);
    let found = code.load(Width::W32, memory, work::FOUND);
    code.b.ret(Some(found));
}

/// The bucket of a pair of classes and a way, as [`Key::bucket`](crate::tables::Key::bucket).
fn bucket(code: &mut Code<'_>, shape: &Shape, memory: Value, pair: Value, way: usize) -> Value {
    let source = code.with(Binary::Lshr, pair, i64::from(SOURCE_STEP.ilog2()));
    let destination = code.with(Binary::And, pair, SOURCE_STEP as i64 - 1);
    let [source, destination] = [(source, work::SOURCES), (destination, work::DESTINATIONS)].map(|(class, place)| {
        let class = code.with(Binary::And, class, SOURCE_STEP as i64 - 1);
        let distance = code.with(Binary::Shl, class, 3);
        let at = code.b.ptr_add(memory, distance);
        code.load(Width::W64, at, place)
    });
    let attributes = code.load(Width::W64, memory, work::ATTRIBUTES);
    let version = code.with(Binary::Lshr, attributes, i64::from(attr::V6.ilog2() - CELL_V6.ilog2()));
    let version = code.with(Binary::And, version, CELL_V6 as i64);
    let cell = code.b.binary(Binary::Or, pair, version);
    let mut cell = code.with(Binary::Or, cell, (way as i64) << 8);
    if way > 0 {
        let port = code.load(Width::W16, memory, work::PORTS + 2);
        let port = if way == 1 { port } else { code.with(Binary::Lshr, port, 8) };
        let port = code.with(Binary::Shl, port, 16);
        cell = code.b.binary(Binary::Or, cell, port);
    }
    let mut times = |value: Value, factor: u64| {
        let factor = code.bits(factor);
        code.b.binary(Binary::Mul, value, factor)
    };
    let (destination, cell) = (times(destination, HASH_1), times(cell, HASH_2));
    let sum = code.b.binary(Binary::Add, source, destination);
    let sum = code.b.binary(Binary::Add, sum, cell);
    let shifted = code.with(Binary::Lshr, sum, 32);
    let mixed = code.b.binary(Binary::Xor, sum, shifted);
    let factor = code.load(Width::W64, memory, work::FACTOR);
    let mixed = code.b.binary(Binary::Mul, mixed, factor);
    code.with(Binary::Lshr, mixed, i64::from(64 - shape.sizes.bucket_bits))
}

/// Asks the index about both sides, and keeps the hashes of what classes keep.
fn index(
    code: &mut Code<'_>,
    maps: &Maps,
    shape: &Shape,
    memory: Value,
    family: Family,
    sums: &[[code::Var; WAYS]; 2],
) {
    let hash_bits = shape.sizes.hash_bits;
    let factor = code.load(Width::W64, memory, work::FACTOR);
    for (side, from, to) in
        [(Side::Source, work::SOURCE, work::SOURCES), (Side::Destination, work::DESTINATION, work::DESTINATIONS)]
    {
        let address = [0, 8].map(|word| code.load(Width::W64, memory, from + word));
        for class in 0..CLASSES {
            let mut kept = [address[0], address[1]];
            for (word, mask) in kept.iter_mut().zip(class_mask(family, class)) {
                let mask = code.bits(mask);
                *word = code.b.binary(Binary::And, *word, mask);
            }
            let hash = hash(code, kept, factor);
            code.store(Width::W64, memory, to + 8 * class as i16, hash);
            let slot = code.with(Binary::Lshr, hash, i64::from(64 - hash_bits));
            let line = code.with(Binary::Lshr, slot, i64::from(SLOTS.ilog2()));
            let before = slots_before(family, side, class, hash_bits) / SLOTS;
            let line = code.with(Binary::Add, line, before.into());
            let next = code.b.block(&[]);
            let line = code.element(maps.index, line, next);
            let within = code.with(Binary::And, slot, i64::from(SLOTS) - 1);
            let within = code.with(Binary::Shl, within, i64::from(SLOT_BYTES.ilog2()));
            let slot = code.b.ptr_add(line, within);
            for (way, sum) in (0..).zip(&sums[side as usize]) {
                let others = code.load(Width::W8, slot, way);
                let pairs = match side {
                    Side::Source => code.with(Binary::Shl, others, (SOURCE_STEP * class) as i64),
                    Side::Destination => {
                        let spread = spread(code, others);
                        code.with(Binary::Shl, spread, class as i64)
                    }
                };
                code.or_into(*sum, pairs);
            }
            code.close(next);
            code.b.switch_to(next);
        }
    }
}

/// Brings the bits of sources that a byte has to the distance of [`SOURCE_STEP`].
fn spread(code: &mut Code<'_>, sources: Value) -> Value {
    let each = |distance: usize| (0..CLASSES).fold(0, |sum, class| sum | 1u64 << (distance * class));
    // Bit 0 is taken to place 8 by the second addend, bit 1 by the third, and so on; sums never meet.
    let factor = code.bits(each(SOURCE_STEP - 1));
    let copies = code.b.binary(Binary::Mul, sources, factor);
    let mask = code.bits(each(SOURCE_STEP));
    code.b.binary(Binary::And, copies, mask)
}

/// [`hash`](crate::tables::layout::hash)
fn hash(code: &mut Code<'_>, [low, high]: [Value; 2], factor: Value) -> Value {
    let first = code.b.binary(Binary::Mul, low, factor);
    let shifted = code.with(Binary::Lshr, first, 32);
    let mixed = code.b.binary(Binary::Xor, first, shifted);
    let mixed = code.b.binary(Binary::Add, mixed, high);
    let factor = code.bits(HASH_2);
    code.b.binary(Binary::Mul, mixed, factor)
}

/// `(first, after)`: goes on with a long chain. Steps in steps, because the verifier takes a loop turn by turn.
fn walk(code: &mut Code<'_>, step: FuncRef, args: &[Value]) {
    let &[first, after] = args else { return };
    let at = code.var(first);
    code.repeat(i64::from(LONGEST_CHAIN) / STEP - 1, |code, _, done, _| {
        let from = code.get(at);
        let rest = code.call(step, &[from, after]);
        code.set(at, rest);
        code.leave_if(done, Cond::Eq, rest, 0);
    });
}

/// `(first, after)`: looks into a part of a chain and keeps the first entry that matches, if it comes before the one that was
/// found elsewhere. Gives the entry behind the part, or 0 if there is nothing more to be looked for.
fn step(code: &mut Code<'_>, maps: &Maps, (hook, look): (Hook, FuncRef), args: &[Value]) {
    let &[first, after] = args else { return };
    let memory = code.only(maps.work, 0);
    let done = code.b.block(&[]);
    let at = code.var(first);
    code.repeat(STEP, |code, _, _, next| {
        let number = code.get(at);
        code.leave_if(done, Cond::Eq, number, 0);
        let row = code.element(maps.entries, number, done);
        let follower = code.load(Width::W32, row, line::NEXT);
        code.set(at, follower);
        let order = code.load(Width::W64, row, line::ORDER);
        let best = code.load(Width::W64, memory, work::ORDER);
        code.leave_for(done, Cond::Uge, order, best);
        code.leave_for(next, Cond::Ule, order, after);
        compare(code, memory, row, hook, next);
        let states = code.load(Width::W32, row, line::STATES);
        let more = code.num((WIDE | MORE).into());
        code.when(Cond::Set, states, more, |code| {
            let differs = code.call(look, &[number]);
            code.leave_if(next, Cond::Ne, differs, 0);
        });
        let rule = code.load(Width::W32, row, line::RULE);
        code.store(Width::W32, memory, work::FOUND, rule);
        if hook == Hook::Xdp {
            let late = code.num(LATE.into());
            code.when(Cond::Set, states, late, |code| {
                let undecided = code.num(UNDECIDED);
                code.store(Width::W32, memory, work::FOUND, undecided);
            });
        }
        code.store(Width::W64, memory, work::ORDER, order);
        code.close(done);
    });
    let rest = code.get(at);
    code.b.ret(Some(rest));
    code.b.switch_to(done);
}

/// Leaves for `miss` if the packet is not what an entry asks for, but for its details. One branch is for nearly all of it: which
/// field of an entry is another one is hard to foretell.
fn compare(code: &mut Code<'_>, memory: Value, row: Value, hook: Hook, miss: Block) {
    let states = code.load(Width::W32, row, line::STATES);
    let mut wrong = sides(code, states, (line::SOURCE, line::DESTINATION), |code, wanted, packet| {
        different(code, Width::W32, (memory, packet), (row, wanted), (row, wanted + 4))
    });
    let mut also = |code: &mut Code<'_>, what: Value| wrong = code.b.binary(Binary::Or, wrong, what);
    for port in [0, 1] {
        let value = code.load(Width::W16, memory, work::PORTS + 2 * port);
        let first = code.load(Width::W16, row, line::PORTS + 4 * port);
        let last = code.load(Width::W16, row, line::PORTS + 4 * port + 2);
        for (low, high) in [(first, value), (value, last)] {
            // Negative if they are not in this order.
            let distance = code.b.binary(Binary::Sub, high, low);
            let negative = code.with(Binary::Lshr, distance, 63);
            also(code, negative);
        }
    }
    let (value, mask) = ((row, line::ATTRIBUTES), (row, line::ATTRIBUTES + 8));
    let mut attributes = different(code, Width::W64, (memory, work::ATTRIBUTES), value, mask);
    if hook == Hook::Xdp {
        // The network card may have taken the VLAN away: it is not compared here.
        let rest = code.bits(!attr::VLAN);
        attributes = code.b.binary(Binary::And, attributes, rest);
    }
    also(code, attributes);
    let wanted = code.load(Width::W32, row, line::INTERFACE);
    let here = code.load(Width::W32, memory, work::INTERFACE);
    let other = code.b.binary(Binary::Xor, wanted, here);
    let other = code.b.binary(Binary::Mul, wanted, other);
    also(code, other);
    code.leave_if(miss, Cond::Ne, wrong, 0);
    if hook != Hook::Xdp {
        let state = code.load(Width::W32, memory, work::STATE);
        let both = code.b.binary(Binary::And, states, state);
        code.leave_if(miss, Cond::Eq, both, 0);
    }
}

/// `(number)`: 1 if the packet is not what the details of an entry ask for.
fn look(code: &mut Code<'_>, maps: &Maps, hook: Hook, args: &[Value]) {
    let &[number] = args else { return };
    let memory = code.only(maps.work, 1);
    let miss = code.b.block(&[]);
    let first = code.element(maps.entries, number, miss);
    let states = code.load(Width::W32, first, line::STATES);
    let row = code.element(maps.details, number, miss);
    let wide = code.num(WIDE.into());
    code.when(Cond::Set, states, wide, |code| {
        let wrong = sides(code, states, (details::SOURCE, details::DESTINATION), |code, wanted, packet| {
            let [first, second] = [0, 8].map(|word| {
                let (value, mask) = ((row, wanted + word), (row, wanted + 16 + word));
                different(code, Width::W64, (memory, packet + word), value, mask)
            });
            code.b.binary(Binary::Or, first, second)
        });
        code.leave_if(miss, Cond::Ne, wrong, 0);
    });
    if hook != Hook::Xdp {
        masked(code, Width::W32, (memory, work::MARK), (row, details::MARK), (row, details::MARK + 4), miss);
        let wanted = code.load(Width::W64, row, details::CONDITIONS);
        code.when_is(Cond::Ne, wanted, 0, |code| {
            let held = code.load(Width::W64, memory, work::CONDITIONS);
            let kept = code.b.binary(Binary::And, held, wanted);
            code.leave_for(miss, Cond::Ne, kept, wanted);
        });
    }
    for side in [0, 8] {
        let wanted = code.load(Width::W64, row, details::MACS + side);
        code.when_is(Cond::Ne, wanted, 0, |code| {
            let seen = code.load(Width::W64, memory, work::MACS + side);
            code.leave_for(miss, Cond::Ne, seen, wanted);
        });
    }
    let least = code.load(Width::W32, row, details::PAYLOAD_LENGTH);
    code.when_is(Cond::Ne, least, 0, |code| {
        let length = code.load(Width::W32, memory, work::PAYLOAD_LENGTH);
        code.leave_for(miss, Cond::Ult, length, least);
        let offset = code.load(Width::W32, row, details::PAYLOAD_OFFSET);
        let offset = code.with(Binary::And, offset, 63);
        let at = code.b.ptr_add(memory, offset);
        masked(code, Width::W64, (at, work::PAYLOAD), (row, details::PAYLOAD), (row, details::PAYLOAD + 8), miss);
    });
    code.give(0);
    code.b.switch_to(miss);
    code.give(1);
}

/// 0 if both addresses are inside of their prefixes, or outside where the states say so. `different` tells from the places of a
/// prefix and of the packet's address which bits are others.
fn sides(
    code: &mut Code<'_>,
    states: Value,
    (source, destination): (i16, i16),
    mut different: impl FnMut(&mut Code<'_>, i16, i16) -> Value,
) -> Value {
    let zero = code.num(0);
    let mut wrong = zero;
    for (wanted, packet, not) in [(source, work::SOURCE, NOT_SOURCE), (destination, work::DESTINATION, NOT_DESTINATION)]
    {
        let different = different(code, wanted, packet);
        // The highest bit is set if any bit is.
        let negative = code.b.binary(Binary::Sub, zero, different);
        let any = code.b.binary(Binary::Or, different, negative);
        let outside = code.with(Binary::Lshr, any, 63);
        let not = code.with(Binary::Lshr, states, not.ilog2().into());
        let not = code.with(Binary::And, not, 1);
        let this = code.b.binary(Binary::Xor, outside, not);
        wrong = code.b.binary(Binary::Or, wrong, this);
    }
    wrong
}

/// In which bits a word is not what an entry asks for; each is a pointer and a distance.
fn different(code: &mut Code<'_>, width: Width, word: (Value, i16), value: (Value, i16), mask: (Value, i16)) -> Value {
    let word = code.load(width, word.0, word.1);
    let mask = code.load(width, mask.0, mask.1);
    let value = code.load(width, value.0, value.1);
    let kept = code.b.binary(Binary::And, word, mask);
    code.b.binary(Binary::Xor, kept, value)
}

/// Leaves for `miss` unless a word with a mask has a value; each is a pointer and a distance.
fn masked(code: &mut Code<'_>, width: Width, word: (Value, i16), value: (Value, i16), mask: (Value, i16), miss: Block) {
    let different = different(code, width, word, value, mask);
    code.leave_if(miss, Cond::Ne, different, 0);
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
