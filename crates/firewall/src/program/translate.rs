//! Address translation: addresses and ports of connections are changed on their way in or out, and back.
//!
//! A translated connection has two entries in a map of its own: one for the packets that its rule is about, one for the answers,
//! which come the other way. Answers that arrive are changed before rules see them, everything else behind the verdict, so rules
//! speak of the addresses that the hosts themselves use. An entry is found by direction, addresses, ports and protocol; echo
//! requests have their number in place of ports.

mod fragments;
mod quoted;

use skep_btf::BuildError;
use skep_ir::{Binary, Block, Cond, FuncRef, MapRef, Module, Unary, Value, Width};

use super::code::{self, Code};
use super::table::Table;
use super::view::{Types, View};
use super::{Hook, Maps, work};
use crate::rules::words::{ICMP, ICMP6, TCP};
use crate::tables::layout::{attr, record};

/// Bytes of a key: source, destination, their ports in the order of the machine, protocol and direction.
pub const KEY_BYTES: usize = 40;
/// Bytes of an entry: the new source, destination and ports, [`ANSWERS`] and [`CLOSED`], until when its port is taken.
pub const VALUE_BYTES: usize = 48;

pub use fragments::table as fragments;

/// Where parts of keys and entries are.
mod at {
    use crate::tables::layout::maps;

    pub(super) const SOURCE: i16 = 0;
    pub(super) const DESTINATION: i16 = 16;
    pub(super) const PORTS: i16 = 32;
    pub(super) const KIND: i16 = 36;
    pub(super) const SEEN: i16 = 36;
    pub(super) const UNTIL: i16 = maps::TRANSLATIONS.until;
}

/// Bit: the entry is for answers.
const ANSWERS: i64 = 1;
/// Bit: an end has closed the connection.
const CLOSED: i64 = 2;

/// Bit of the protocol in keys of packets that leave.
const OUT: i64 = 1 << 8;
/// Bit of the protocol in keys of version 6.
const SIX: i64 = 1 << 9;
/// Ports that are tried when one is taken.
const TRIES: i64 = 32;
/// Seconds for which the port of a connection without packets is not given to another: TCP (RFC 5382, 5), TCP that begins or has
/// been closed (the same), UDP (RFC 4787, 4.3), others.
const KEPT: [i64; 4] = [7440, 240, 300, 60];
/// SYN, FIN and RST.
const SYN: u64 = 2;
const CLOSING: u64 = 5;
const SECOND: i64 = 1_000_000_000;

/// The functions.
#[derive(Debug, Clone, Copy)]
pub struct Translate {
    /// `(ports, bits)`: looks for the packet's entry; [`work::TRANSLATION`] says what was found.
    pub find: FuncRef,
    /// `(context, ports, bits)`: makes the entries that the rule in [`work::RULE`] asks for; 0 if that is not possible, [`FULL`]
    /// if there is no room.
    pub make: FuncRef,
    /// `(context, network, at, bits)`: changes the packet.
    pub apply: FuncRef,
    /// `(bits)`: as `find`, by the packet that an ICMP error quotes.
    pub find_quoted: FuncRef,
    /// `(context, network, at, bits)`: changes an ICMP error and the packet that it quotes.
    pub apply_quoted: FuncRef,
    /// `(number, bits)`: as `find`, for a later fragment of the packet with this number.
    pub find_later: FuncRef,
    /// `(number, bits)`: remembers for later fragments how the first one is going to be changed.
    pub remember: FuncRef,
}

/// There is no room for another translated connection.
pub const FULL: i64 = 2;
/// Nothing is to be translated.
pub const NOTHING: i64 = 0;
/// The entry that was found is for packets that a rule is about.
pub const FORWARD: i64 = 1;
/// The entry that was found is for answers.
pub const ANSWER: i64 = 2;

/// Adds the functions for a hook.
///
/// # Errors
/// None but for a defect.
pub fn add(
    module: &mut Module,
    types: &mut Types,
    (maps, table, fragments): (&Maps, Table, MapRef),
    hook: Hook,
) -> Result<Translate, BuildError> {
    let name = hook.program();
    let find = code::function(&format!("{name}_find"), 2, |code, args| find(code, maps, table, hook, args));
    let find = module.add_function(find);
    let make = types.function(&format!("{name}_make"), 2, (maps, hook, 0), |code, view, args| {
        make(code, view, maps, table, args);
    })?;
    let make = module.add_function(make);
    let apply = types.function(&format!("{name}_change"), 3, (maps, hook, 0), apply)?;
    let apply = module.add_function(apply);
    let find_quoted = code::function(&format!("{name}_find_quoted"), 1, |code, args| {
        quoted::find(code, maps, table, hook, args);
    });
    let find_quoted = module.add_function(find_quoted);
    let apply_quoted = types.function(&format!("{name}_change_quoted"), 3, (maps, hook, 0), quoted::apply)?;
    let apply_quoted = module.add_function(apply_quoted);
    let find_later = code::function(&format!("{name}_find_later"), 2, |code, args| {
        fragments::find(code, maps, fragments, hook, args);
    });
    let find_later = module.add_function(find_later);
    let remember = code::function(&format!("{name}_remember"), 2, |code, args| {
        fragments::remember(code, maps, fragments, hook, args);
    });
    let remember = module.add_function(remember);
    Ok(Translate { find, make, apply, find_quoted, apply_quoted, find_later, remember })
}

/// Bits of the protocol in the key of a packet.
fn kind(code: &mut Code<'_>, bits: Value, hook: Hook) -> Value {
    let protocol = code.with(Binary::And, bits, 0xff);
    kind_of(code, protocol, bits, hook)
}

/// The same for a packet of another protocol.
fn kind_of(code: &mut Code<'_>, protocol: Value, bits: Value, hook: Hook) -> Value {
    let six = code.with(Binary::Lshr, bits, i64::from(attr::V6.trailing_zeros()) - 9);
    let six = code.with(Binary::And, six, SIX);
    let kind = code.b.binary(Binary::Or, protocol, six);
    code.with(Binary::Or, kind, if hook == Hook::Egress { OUT } else { 0 })
}

fn copy(code: &mut Code<'_>, memory: Value, from: i16, to: i16) {
    for word in [0, 8] {
        let value = code.load(Width::W64, memory, from + word);
        code.store(Width::W64, memory, to + word, value);
    }
}

/// Until when a port is taken.
fn until(code: &mut Code<'_>, memory: Value, bits: Value, seen: Value) -> Value {
    let [tcp, short, udp, other] = KEPT;
    let protocol = code.with(Binary::And, bits, 0xff);
    let first = code.num(other);
    let seconds = code.var(first);
    for (number, kept) in [(TCP, tcp), (17, udp)] {
        code.when_is(Cond::Eq, protocol, number.into(), |code| {
            let kept = code.num(kept);
            code.set(seconds, kept);
        });
    }
    // Only TCP has flags.
    let (syn, closed) = (code.bits(SYN << attr::FLAGS_SHIFT), code.num(CLOSED));
    for (value, bit) in [(bits, syn), (seen, closed)] {
        code.when(Cond::Set, value, bit, |code| {
            let short = code.num(short);
            code.set(seconds, short);
        });
    }
    let seconds = code.get(seconds);
    let span = code.with(Binary::Mul, seconds, SECOND);
    let now = code.load(Width::W64, memory, work::NOW);
    code.b.binary(Binary::Add, now, span)
}

/// What has been seen of a connection with this packet, by what was seen before.
fn seen(code: &mut Code<'_>, bits: Value, before: Value) -> Value {
    let seen = code.var(before);
    let (closing, syn) = (code.bits(CLOSING << attr::FLAGS_SHIFT), code.bits(SYN << attr::FLAGS_SHIFT));
    code.when(Cond::Set, bits, closing, |code| {
        let closed = code.num(CLOSED);
        code.or_into(seen, closed);
    });
    // The same ports again: another connection.
    code.when(Cond::Set, bits, syn, |code| {
        let kind = code.with(Binary::And, before, ANSWERS);
        code.set(seen, kind);
    });
    code.get(seen)
}

/// Notes that a packet has been seen. Gives [`ANSWERS`] if the entry is for answers, else 0.
fn prolong(code: &mut Code<'_>, memory: Value, bits: Value, entry: Value) -> Value {
    let before = code.load(Width::W32, entry, at::SEEN);
    let seen = seen(code, bits, before);
    code.store(Width::W32, entry, at::SEEN, seen);
    let until = until(code, memory, bits, seen);
    code.store(Width::W64, entry, at::UNTIL, until);
    code.with(Binary::And, before, ANSWERS)
}

fn find(code: &mut Code<'_>, maps: &Maps, table: Table, hook: Hook, args: &[Value]) {
    let &[ports, bits] = args else { return };
    let memory = code.only(maps.work, 0);
    let (none, missing) = (code.num(NOTHING), code.b.block(&[]));
    code.store(Width::W32, memory, work::TRANSLATION, none);
    copy(code, memory, work::SOURCE, work::PAIR + at::SOURCE);
    copy(code, memory, work::DESTINATION, work::PAIR + at::DESTINATION);
    code.store(Width::W32, memory, work::PAIR + at::PORTS, ports);
    let kind = kind(code, bits, hook);
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind);
    let key = code.b.ptr_add_const(memory, work::PAIR.into());
    let entry = code.find(table.map, key, missing);
    let is_answer = prolong(code, memory, bits, entry);
    for word in (0..VALUE_BYTES as i16).step_by(8) {
        let value = code.load(Width::W64, entry, word);
        code.store(Width::W64, memory, work::CHANGED + word, value);
    }
    let found = code.with(Binary::Add, is_answer, FORWARD);
    code.store(Width::W32, memory, work::TRANSLATION, found);
    // The entry of the other direction lives as long, so that both leave the table together.
    copy(code, memory, work::CHANGED + at::SOURCE, work::PAIR + at::DESTINATION);
    copy(code, memory, work::CHANGED + at::DESTINATION, work::PAIR + at::SOURCE);
    let new = code.load(Width::W32, memory, work::CHANGED + at::PORTS);
    let turned = turn(code, new);
    code.store(Width::W32, memory, work::PAIR + at::PORTS, turned);
    let kind = self::kind(code, bits, hook.other());
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind);
    let other = code.find(table.map, key, missing);
    prolong(code, memory, bits, other);
    code.close(missing);
    code.b.switch_to(missing);
}

/// The new addresses and ports into [`work::CHANGED`], the key of the answers into [`work::PAIR`].
fn make(code: &mut Code<'_>, view: &View, maps: &Maps, table: Table, args: &[Value]) {
    let &[ports, bits] = args else { return };
    let memory = view.memory;
    let fail = code.b.block(&[]);
    let rule = code.load(Width::W32, memory, work::RULE);
    let row = code.element(maps.rules, rule, fail);
    let flags = code.load(Width::W32, row, record::FLAGS);
    copy(code, memory, work::SOURCE, work::CHANGED + at::SOURCE);
    copy(code, memory, work::DESTINATION, work::CHANGED + at::DESTINATION);
    let port = code.var(ports);
    // Which side changes: the destination where packets arrive, the source where they leave.
    let side = if view.hook == Hook::Egress { at::SOURCE } else { at::DESTINATION };
    let has_address = code.num(record::HAS_ADDRESS.into());
    let named = code.b.block(&[]);
    let done = code.b.block(&[]);
    code.leave_for(named, Cond::Set, flags, has_address);
    if view.hook == Hook::Egress {
        own_address(code, view, bits, fail);
    }
    code.close(done);
    code.b.switch_to(named);
    for word in [0, 8] {
        let value = code.load(Width::W64, row, record::ADDRESS + word);
        code.store(Width::W64, memory, work::CHANGED + side + word, value);
    }
    code.close(done);
    code.b.switch_to(done);
    if view.hook == Hook::Ingress {
        let wanted = code.load(Width::W32, row, record::PORT);
        code.when_is(Cond::Ne, wanted, 0, |code| {
            let source = code.with(Binary::And, ports, 0xffff);
            let shifted = code.with(Binary::Shl, wanted, 16);
            let both = code.b.binary(Binary::Or, source, shifted);
            code.set(port, both);
        });
    }
    // The key of the answers: the other way round, and met at the other hook.
    copy(code, memory, work::CHANGED + at::SOURCE, work::PAIR + at::DESTINATION);
    copy(code, memory, work::CHANGED + at::DESTINATION, work::PAIR + at::SOURCE);
    let kind_there = kind(code, bits, view.hook.other());
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind_there);
    let free = code.b.block(&[]);
    code.repeat(TRIES, |code, _, _, again| {
        let both = code.get(port);
        let turned = turn(code, both);
        code.store(Width::W32, memory, work::PAIR + at::PORTS, turned);
        let key = code.b.ptr_add_const(memory, work::PAIR.into());
        let taken = code.find(table.map, key, free);
        let until = code.load(Width::W64, taken, at::UNTIL);
        let now = code.load(Width::W64, memory, work::NOW);
        code.leave_for(free, Cond::Ult, until, now);
        // The same connection as before is not another one.
        let back = code.load(Width::W32, taken, at::PORTS);
        let own = turn(code, ports);
        let differs = code.b.block(&[]);
        code.leave_for(differs, Cond::Ne, back, own);
        for (theirs, ours) in [(at::DESTINATION, work::SOURCE), (at::SOURCE, work::DESTINATION)] {
            for word in [0, 8] {
                let theirs = code.load(Width::W64, taken, theirs + word);
                let ours = code.load(Width::W64, memory, ours + word);
                code.leave_for(differs, Cond::Ne, theirs, ours);
            }
        }
        code.close(free);
        code.b.switch_to(differs);
        // Answers of two connections to one place could not be told apart where destinations are changed, because the
        // sender's port is not ours to choose.
        if view.hook == Hook::Ingress {
            return code.close(fail);
        }
        let random = code.helper(code::RANDOM, &[]);
        let random = code.with(Binary::And, random, 0xffff_ffff);
        let random = code.with(Binary::Urem, random, 65536 - 1024);
        let next = code.with(Binary::Add, random, 1024);
        let protocol = code.with(Binary::And, bits, 0xff);
        let first = code.with(Binary::Lshr, ports, 16);
        let other = code.var(first);
        for echo in [ICMP, ICMP6] {
            code.when_is(Cond::Eq, protocol, echo.into(), |code| code.set(other, next));
        }
        let other = code.get(other);
        let shifted = code.with(Binary::Shl, other, 16);
        let both = code.b.binary(Binary::Or, next, shifted);
        code.set(port, both);
        code.close(again);
    });
    code.close(fail);

    code.b.switch_to(free);
    let new = code.get(port);
    let full = code.b.block(&[]);
    enter(code, view, table, [ports, new, bits], full);
    code.give(1);
    code.b.switch_to(full);
    code.give(FULL);
    code.b.switch_to(fail);
    code.give(0);
}

/// Writes both entries of a connection; the key of its answers is in [`work::PAIR`]. Leaves for `fail` if there is no room.
fn enter(code: &mut Code<'_>, view: &View, table: Table, [ports, new, bits]: [Value; 3], fail: Block) {
    let memory = view.memory;
    let value = code.buffer(VALUE_BYTES as u32);
    for (from, to) in [(work::DESTINATION, at::SOURCE), (work::SOURCE, at::DESTINATION)] {
        for word in [0, 8] {
            let part = code.load(Width::W64, memory, from + word);
            code.store(Width::W64, value, to + word, part);
        }
    }
    let turned = turn(code, ports);
    code.store(Width::W32, value, at::PORTS, turned);
    let answers = code.num(ANSWERS);
    code.store(Width::W32, value, at::SEEN, answers);
    let until = until(code, memory, bits, answers);
    code.store(Width::W64, value, at::UNTIL, until);
    put(code, memory, table, value, fail);
    // The entry of the packet itself.
    copy(code, memory, work::SOURCE, work::PAIR + at::SOURCE);
    copy(code, memory, work::DESTINATION, work::PAIR + at::DESTINATION);
    code.store(Width::W32, memory, work::PAIR + at::PORTS, ports);
    let kind_here = kind(code, bits, view.hook);
    code.store(Width::W32, memory, work::PAIR + at::KIND, kind_here);
    code.store(Width::W32, memory, work::CHANGED + at::PORTS, new);
    let zero = code.num(0);
    code.store(Width::W32, memory, work::CHANGED + at::SEEN, zero);
    code.store(Width::W64, memory, work::CHANGED + at::UNTIL, until);
    let changed = code.b.ptr_add_const(memory, work::CHANGED.into());
    put(code, memory, table, changed, fail);
}

/// Two ports in one word, the other way round.
fn turn(code: &mut Code<'_>, ports: Value) -> Value {
    let low = code.with(Binary::Lshr, ports, 16);
    let low = code.with(Binary::And, low, 0xffff);
    let high = code.with(Binary::And, ports, 0xffff);
    let high = code.with(Binary::Shl, high, 16);
    code.b.binary(Binary::Or, low, high)
}

fn put(code: &mut Code<'_>, memory: Value, table: Table, value: Value, fail: Block) {
    let key = code.b.ptr_add_const(memory, work::PAIR.into());
    let failed = code.insert(table, key, value);
    code.leave_if(fail, Cond::Ne, failed, 0);
}

/// Places in `struct bpf_fib_lookup` (`linux/bpf.h`).
pub mod route {
    #![allow(missing_docs)]
    pub const BYTES: u32 = 64;
    pub const FAMILY: i16 = 0;
    pub const INTERFACE: i16 = 8;
    pub const SOURCE: i16 = 16;
    pub const DESTINATION: i16 = 32;
    /// `BPF_FIB_LOOKUP_SKIP_NEIGH`
    pub const SKIP_NEIGHBOUR: i64 = 4;
    /// With `BPF_FIB_LOOKUP_OUTPUT` and `BPF_FIB_LOOKUP_SRC`: the address from which this host would send.
    pub const OWN_ADDRESS: i64 = 2 | SKIP_NEIGHBOUR | 16;
}

/// A question about the routes of this host, from the interface of the packet on; addresses are still to be filled in.
pub(super) fn question(code: &mut Code<'_>, view: &View, bits: Value) -> Value {
    let query = code.buffer(route::BYTES);
    let four = code.num(2);
    let family = code.var(four);
    let six = code.bits(attr::V6);
    code.when(Cond::Set, bits, six, |code| {
        let six = code.num(10);
        code.set(family, six);
    });
    let family = code.get(family);
    code.store(Width::W8, query, route::FAMILY, family);
    let interface = code.load(Width::W32, view.memory, work::INTERFACE);
    code.store(Width::W32, query, route::INTERFACE, interface);
    query
}

/// What an entry says becomes of a packet: where the programs look for it.
fn found(code: &mut Code<'_>, memory: Value, entry: Value) {
    for word in (0..VALUE_BYTES as i16).step_by(8) {
        let value = code.load(Width::W64, entry, word);
        code.store(Width::W64, memory, work::CHANGED + word, value);
    }
    let seen = code.load(Width::W32, entry, at::SEEN);
    let found = code.with(Binary::And, seen, ANSWERS);
    let found = code.with(Binary::Add, found, FORWARD);
    code.store(Width::W32, memory, work::TRANSLATION, found);
}

/// Masquerading: the address that the host itself would send from here.
fn own_address(code: &mut Code<'_>, view: &View, bits: Value, fail: Block) {
    let query = question(code, view, bits);
    for part in [0, 4, 8, 12] {
        let word = code.load(Width::W32, view.memory, work::DESTINATION + part);
        code.store(Width::W32, query, route::DESTINATION + part, word);
    }
    let (size, flags) = (code.num(route::BYTES.into()), code.num(route::OWN_ADDRESS));
    let failed = code.helper(code::ROUTE, &[view.context, query, size, flags]);
    code.leave_if(fail, Cond::Ne, failed, 0);
    for part in [0, 4, 8, 12] {
        let word = code.load(Width::W32, query, route::SOURCE + part);
        code.store(Width::W32, view.memory, work::CHANGED + at::SOURCE + part, word);
    }
}

/// Flags of `bpf_l4_csum_replace`: the pseudo header has changed; a sum of 0 means that there is none.
const PSEUDO_HEADER: i64 = 0x10;
const ZERO_IS_NONE: i64 = 0x20;

/// Changes addresses and ports of the packet and in the working memory to those of [`work::CHANGED`].
fn apply(code: &mut Code<'_>, view: &View, args: &[Value]) {
    let &[network, at, bits] = args else { return };
    let later = code.bits(attr::LATER);
    code.when(Cond::Set, bits, later, |code| fragments::apply(code, view, network, bits));
    let protocol = code.with(Binary::And, bits, 0xff);
    for (number, sum, flags, in_4) in
        [(TCP, 16, 0, true), (17, 6, ZERO_IS_NONE, true), (ICMP, 2, 0, false), (ICMP6, 2, 0, true)]
    {
        let next = code.b.block(&[]);
        code.leave_if(next, Cond::Ne, protocol, number.into());
        let sum = code.with(Binary::Add, at, sum);
        let (six, ports) = (code.b.block(&[]), code.b.block(&[]));
        let version = code.bits(attr::V6);
        code.leave_for(six, Cond::Set, bits, version);
        for (place, offset) in [(self::at::SOURCE, 12), (self::at::DESTINATION, 16)] {
            address_4(code, view, (network, offset), place, in_4.then_some((sum, flags)));
        }
        code.close(ports);
        code.b.switch_to(six);
        for (place, offset) in [(self::at::SOURCE, 8), (self::at::DESTINATION, 24)] {
            address_6(code, view, (network, offset), place, Some((sum, flags)));
        }
        code.close(ports);
        code.b.switch_to(ports);
        if number == ICMP || number == ICMP6 {
            let place = code.with(Binary::Add, at, 4);
            port(code, view, place, 0, (sum, flags));
        } else {
            port(code, view, at, 0, (sum, flags));
            let place = code.with(Binary::Add, at, 2);
            port(code, view, place, 2, (sum, flags));
        }
        code.give(1);
        code.b.switch_to(next);
    }
    code.give(0);
}

fn address_4(code: &mut Code<'_>, view: &View, (network, offset): (Value, i64), place: i16, sum: Option<(Value, i64)>) {
    let memory = view.memory;
    let old = code.load(Width::W32, memory, work::SOURCE + place);
    let new = code.load(Width::W32, memory, work::CHANGED + place);
    code.when(Cond::Ne, old, new, |code| {
        if let Some((sum, flags)) = sum {
            let flags = code.num(4 | PSEUDO_HEADER | flags);
            code.helper(code::L4_SUM_REPLACE, &[view.context, sum, old, new, flags]);
        }
        let (head_sum, four) = (code.with(Binary::Add, network, 10), code.num(4));
        code.helper(code::L3_SUM_REPLACE, &[view.context, head_sum, old, new, four]);
        store(code, view, (network, offset), place, 4);
    });
}

fn address_6(code: &mut Code<'_>, view: &View, (network, offset): (Value, i64), place: i16, sum: Option<(Value, i64)>) {
    let memory = view.memory;
    let same = code.b.block(&[]);
    let differences = [0, 8].map(|word| {
        let old = code.load(Width::W64, memory, work::SOURCE + place + word);
        let new = code.load(Width::W64, memory, work::CHANGED + place + word);
        code.b.binary(Binary::Xor, old, new)
    });
    let different = code.b.binary(Binary::Or, differences[0], differences[1]);
    code.leave_if(same, Cond::Eq, different, 0);
    let old = code.b.ptr_add_const(memory, i32::from(work::SOURCE + place));
    let new = code.b.ptr_add_const(memory, i32::from(work::CHANGED + place));
    let (sixteen, zero) = (code.num(16), code.num(0));
    let difference = code.helper(code::SUM_DIFF, &[old, sixteen, new, sixteen, zero]);
    if let Some((sum, flags)) = sum {
        let flags = code.num(PSEUDO_HEADER | flags);
        code.helper(code::L4_SUM_REPLACE, &[view.context, sum, zero, difference, flags]);
    }
    store(code, view, (network, offset), place, 16);
    code.close(same);
    code.b.switch_to(same);
}

/// Writes a new address into the packet and the working memory.
fn store(code: &mut Code<'_>, view: &View, (network, offset): (Value, i64), place: i16, bytes: i64) {
    let new = code.b.ptr_add_const(view.memory, i32::from(work::CHANGED + place));
    let to = code.with(Binary::Add, network, offset);
    let (bytes, zero) = (code.num(bytes), code.num(0));
    code.helper(code::SKB_STORE, &[view.context, to, new, bytes, zero]);
    copy(code, view.memory, work::CHANGED + place, work::SOURCE + place);
}

/// Writes a port into the packet, and where it has ports, into the working memory.
fn port(code: &mut Code<'_>, view: &View, place: Value, side: i16, (sum, flags): (Value, i64)) {
    let same = code.b.block(&[]);
    view.fetch(code, place, 2, same);
    let old = code.load(Width::W16, view.head, 0);
    let new = code.load(Width::W16, view.memory, work::CHANGED + at::PORTS + side);
    code.store(Width::W16, view.memory, work::PORTS + side, new);
    let new = code.b.unary(Unary::Swap16, new);
    code.leave_for(same, Cond::Eq, old, new);
    code.store(Width::W16, view.head, 8, new);
    let (two, zero) = (code.num(2), code.num(0));
    let flags = code.num(2 | flags);
    code.helper(code::L4_SUM_REPLACE, &[view.context, sum, old, new, flags]);
    let from = code.b.ptr_add_const(view.head, 8);
    code.helper(code::SKB_STORE, &[view.context, place, from, two, zero]);
    code.close(same);
    code.b.switch_to(same);
}
