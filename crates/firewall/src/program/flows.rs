//! Connections: which state a packet is in, and what is remembered behind an accepted one.
//!
//! A connection is one entry for both directions, with the time until which it is known. It comes into being with the first
//! packet that is accepted while its state is new, and packets of both directions prolong it.

use skep_ir::{Binary, Block, Cond, FuncRef, Module, Value, Width};

use super::code::{self, Code};
use super::{Maps, work};
use crate::rules::words::{ICMP, TCP};
use crate::tables::layout::attr;

/// Bytes of a key: lower address, higher address, their ports, protocol.
pub const FLOW_KEY: usize = 40;
/// Bytes of a connection: when it is forgotten, and what has been seen of it: the flags of TCP that close it, and the bits below.
pub const FLOW_BYTES: usize = 16;
/// Bit: the first packet came from the higher end, by the order of keys.
const TURNED: i64 = 1 << 8;
/// Bit: a packet of the other end has been seen.
const ANSWERED: i64 = 1 << 9;
/// Bit: the first end has answered that. A sender that does not own its address never does.
pub const ASSURED: i64 = 1 << 10;
/// Bit of the protocol in keys of later fragments, whose ports are the number of the packet.
pub const FRAGMENT_KEY: i64 = 1 << 16;

/// Seconds for which connections are known without packets: TCP with both ends, TCP before that, TCP being closed, UDP,
/// others, later fragments.
pub const TIMEOUTS: [i64; 6] = [432_000, 120, 60, 180, 60, 30];

const SECOND: i64 = 1_000_000_000;
pub const NEW: i64 = 1;
const ESTABLISHED: i64 = 2;
const RELATED: i64 = 4;
pub const INVALID: i64 = 8;
/// FIN and RST.
const CLOSING: i64 = 5;
/// SYN, and SYN with ACK.
const SYN: i64 = 2;
const SYN_ACK: i64 = 18;

/// The functions.
#[derive(Debug, Clone, Copy)]
pub struct Flows {
    /// Finds the state of the packet.
    pub state: FuncRef,
    /// Remembers an accepted packet; not 0 if there is no room for its connection.
    pub follow: FuncRef,
}

/// Adds the functions, once for all programs.
pub fn add(module: &mut Module, maps: &Maps) -> Flows {
    let mut once = |name: &str, body: fn(&mut Code<'_>, &Maps)| match module.function(name) {
        Some(function) => function,
        None => {
            let function = code::function(name, 0, |code, _| body(code, maps));
            module.add_function(function)
        }
    };
    Flows { state: once("skep_fw_state", state), follow: once("skep_fw_follow", follow) }
}

/// Whether a connection is known; leaves for `unknown` if not.
fn known(code: &mut Code<'_>, maps: &Maps, memory: Value, key: i16, unknown: Block) -> Value {
    let key = code.b.ptr_add_const(memory, key.into());
    let flow = code.find(maps.flows.map, key, unknown);
    let until = code.load(Width::W64, flow, 0);
    let now = code.load(Width::W64, memory, work::NOW);
    code.leave_for(unknown, Cond::Ult, until, now);
    flow
}

fn state(code: &mut Code<'_>, maps: &Maps) {
    let memory = code.only(maps.work, 0);
    let (unknown, unrelated) = (code.b.block(&[]), code.b.block(&[]));
    known(code, maps, memory, work::FLOW, unknown);
    let established = code.num(ESTABLISHED);
    code.store(Width::W32, memory, work::STATE, established);
    code.give(0);
    code.b.switch_to(unknown);
    let kind = code.load(Width::W32, memory, work::OTHER_KIND);
    code.leave_if(unrelated, Cond::Ne, kind, 1);
    known(code, maps, memory, work::OTHER, unrelated);
    let related = code.num(RELATED);
    code.store(Width::W32, memory, work::STATE, related);
    code.give(0);
    code.b.switch_to(unrelated);
    fresh(code, memory);
}

/// The state of a packet of no known connection ([`fresh_state`](crate::facts::Facts::fresh_state)).
pub fn fresh(code: &mut Code<'_>, memory: Value) {
    let (invalid, new, end) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
    let bits = code.load(Width::W64, memory, work::ATTRIBUTES);
    let later = code.bits(attr::LATER);
    code.leave_for(invalid, Cond::Set, bits, later);
    let has_flags = code.bits(attr::HAS_FLAGS);
    code.when(Cond::Set, bits, has_flags, |code| {
        let looked_at = code.with(Binary::And, bits, 0x17 << attr::FLAGS_SHIFT);
        code.leave_if(invalid, Cond::Ne, looked_at, 2 << attr::FLAGS_SHIFT);
    });
    let has_icmp = code.bits(attr::HAS_ICMP);
    code.when(Cond::Set, bits, has_icmp, |code| error(code, bits, invalid));
    code.close(new);
    for (block, state) in [(new, NEW), (invalid, INVALID)] {
        code.b.switch_to(block);
        let state = code.num(state);
        code.store(Width::W32, memory, work::STATE, state);
        code.close(end);
    }
    code.b.switch_to(end);
}

/// Leaves for a block if the packet is an ICMP error ([`is_error`](crate::facts::is_error)).
pub fn error(code: &mut Code<'_>, bits: Value, block: Block) {
    let (six, end) = (code.b.block(&[]), code.b.block(&[]));
    let number = code.with(Binary::Lshr, bits, attr::TYPE_SHIFT.into());
    let number = code.with(Binary::And, number, 0xff);
    let protocol = code.with(Binary::And, bits, 0xff);
    code.leave_if(six, Cond::Ne, protocol, ICMP.into());
    for kind in [3, 11, 12] {
        code.leave_if(block, Cond::Eq, number, kind);
    }
    code.close(end);
    code.b.switch_to(six);
    for kind in 1..=4 {
        code.leave_if(block, Cond::Eq, number, kind);
    }
    code.close(end);
    code.b.switch_to(end);
}

fn follow(code: &mut Code<'_>, maps: &Maps) {
    let memory = code.only(maps.work, 0);
    let end = code.b.block(&[]);
    let bits = code.load(Width::W64, memory, work::ATTRIBUTES);
    let state = code.load(Width::W32, memory, work::STATE);
    code.leave_if(end, Cond::Ugt, state, ESTABLISHED);
    let protocol = code.with(Binary::And, bits, 0xff);
    let flags = code.with(Binary::Lshr, bits, attr::FLAGS_SHIFT.into());
    let flags = code.with(Binary::And, flags, 0xff);
    let closing = code.with(Binary::And, flags, CLOSING);
    let turned = turned(code, memory);
    let first = code.b.binary(Binary::Or, closing, turned);
    let seen = code.var(first);
    let fresh = code.b.block(&[]);
    let flow = known(code, maps, memory, work::FLOW, fresh);
    let before = code.load(Width::W64, flow, 8);
    let (syn, keep, write) = (code.with(Binary::And, flags, SYN_ACK), code.b.block(&[]), code.b.block(&[]));
    // The ports of a connection that has been closed may begin another one.
    code.leave_if(keep, Cond::Ne, syn, SYN);
    let closed = code.with(Binary::And, before, CLOSING);
    code.leave_if(write, Cond::Ne, closed, 0);
    code.close(keep);
    code.b.switch_to(keep);
    let both = code.b.binary(Binary::Or, before, closing);
    code.set(seen, both);
    let side = code.with(Binary::And, before, TURNED);
    code.either(
        Cond::Ne,
        side,
        turned,
        |code| {
            let answered = code.num(ANSWERED);
            code.or_into(seen, answered);
        },
        |code| {
            let waits = code.b.block(&[]);
            let answered = code.with(Binary::And, before, ANSWERED);
            code.leave_if(waits, Cond::Eq, answered, 0);
            let syn = code.with(Binary::And, flags, SYN);
            code.leave_if(waits, Cond::Ne, syn, 0);
            let assured = code.num(ASSURED);
            code.or_into(seen, assured);
            code.close(waits);
            code.b.switch_to(waits);
        },
    );
    code.close(write);
    code.b.switch_to(write);
    let seen_now = code.get(seen);
    let until = self::until(code, memory, protocol, seen_now);
    code.store(Width::W64, flow, 0, until);
    code.store(Width::W64, flow, 8, seen_now);
    later_fragments(code, maps, memory);

    code.b.switch_to(fresh);
    code.leave_if(end, Cond::Ne, state, NEW);
    let value = code.buffer(FLOW_BYTES as u32);
    let until = self::until(code, memory, protocol, first);
    code.store(Width::W64, value, 0, until);
    code.store(Width::W64, value, 8, first);
    let failed = put(code, maps, memory, work::FLOW, value);
    code.when_is(Cond::Ne, failed, 0, |code| code.b.ret(Some(failed)));
    later_fragments(code, maps, memory);
    code.b.switch_to(end);
}

/// [`TURNED`] if the packet comes from the higher end of its key.
fn turned(code: &mut Code<'_>, memory: Value) -> Value {
    let straight = code.num(0);
    let turned = code.var(straight);
    let (differs, end) = (code.b.block(&[]), code.b.block(&[]));
    let parts = [
        (Width::W64, work::SOURCE, work::FLOW),
        (Width::W64, work::SOURCE + 8, work::FLOW + 8),
        // A host that talks to itself has two ports only.
        (Width::W16, work::PORTS, work::FLOW + 32),
    ];
    for (width, own, low) in parts {
        let (own, low) = (code.load(width, memory, own), code.load(width, memory, low));
        code.leave_for(differs, Cond::Ne, own, low);
    }
    code.close(end);
    code.b.switch_to(differs);
    let bit = code.num(TURNED);
    code.set(turned, bit);
    code.close(end);
    code.b.switch_to(end);
    code.get(turned)
}

fn put(code: &mut Code<'_>, maps: &Maps, memory: Value, key: i16, value: Value) -> Value {
    let key = code.b.ptr_add_const(memory, key.into());
    code.insert(maps.flows, key, value)
}

/// Behind the first fragment, the others are known for a while. Returns.
fn later_fragments(code: &mut Code<'_>, maps: &Maps, memory: Value) {
    let kind = code.load(Width::W32, memory, work::OTHER_KIND);
    code.when_is(Cond::Ne, kind, 2, |code| code.give(0));
    let value = code.buffer(FLOW_BYTES as u32);
    let now = code.load(Width::W64, memory, work::NOW);
    let until = code.with(Binary::Add, now, TIMEOUTS[5] * SECOND);
    code.store(Width::W64, value, 0, until);
    let failed = put(code, maps, memory, work::OTHER, value);
    code.b.ret(Some(failed));
}

/// Until when a connection is known.
fn until(code: &mut Code<'_>, memory: Value, protocol: Value, seen: Value) -> Value {
    let [both, half, closed, udp, rest, _] = TIMEOUTS;
    let first = code.num(rest);
    let seconds = code.var(first);
    code.when_is(Cond::Eq, protocol, 17, |code| {
        let value = code.num(udp);
        code.set(seconds, value);
    });
    code.when_is(Cond::Eq, protocol, TCP.into(), |code| {
        let value = code.num(half);
        code.set(seconds, value);
        for (bits, span) in [(ASSURED, both), (CLOSING, closed)] {
            let bits = code.num(bits);
            code.when(Cond::Set, seen, bits, |code| {
                let value = code.num(span);
                code.set(seconds, value);
            });
        }
    });
    let seconds = code.get(seconds);
    let span = code.with(Binary::Mul, seconds, SECOND);
    let now = code.load(Width::W64, memory, work::NOW);
    code.b.binary(Binary::Add, now, span)
}

/// Two addresses with ports, for a key.
pub struct Ends {
    /// One address and the other, two words each.
    pub addresses: [Value; 4],
    /// Their ports.
    pub ports: [Value; 2],
    /// The protocol, with [`FRAGMENT_KEY`] for later fragments.
    pub protocol: Value,
}

/// Writes a key, which is the same for both directions.
pub fn key(code: &mut Code<'_>, memory: Value, place: i16, ends: &Ends) {
    let [low, high, other_low, other_high] = ends.addresses;
    let [port, other_port] = ends.ports;
    let (straight, turned, end) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
    code.leave_for(straight, Cond::Ult, low, other_low);
    code.leave_for(turned, Cond::Ugt, low, other_low);
    code.leave_for(straight, Cond::Ult, high, other_high);
    code.leave_for(turned, Cond::Ugt, high, other_high);
    code.leave_for(straight, Cond::Ule, port, other_port);
    code.close(turned);
    let orders = [
        (straight, [low, high, other_low, other_high], [port, other_port]),
        (turned, [other_low, other_high, low, high], [other_port, port]),
    ];
    for (block, addresses, ports) in orders {
        code.b.switch_to(block);
        for (word, at) in addresses.into_iter().zip(0..) {
            code.store(Width::W64, memory, place + 8 * at, word);
        }
        for (port, at) in ports.into_iter().zip(0..) {
            code.store(Width::W16, memory, place + 32 + 2 * at, port);
        }
        code.close(end);
    }
    code.b.switch_to(end);
    code.store(Width::W32, memory, place + 36, ends.protocol);
}
