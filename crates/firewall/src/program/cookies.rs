//! Cookies in place of half-open connections (RFC 4987, 3.6): a SYN is answered here, and nothing is remembered of it.
//!
//! The number of the answer is the cookie. The acknowledgement of it brings the cookie back, by which the kernel makes the
//! connection (`net.ipv4.tcp_syncookies` says whether it does). Cookies are made and checked by the kernel for its own listening
//! sockets, so both sides agree about them. They hold the size of segments, but no window scale: answers have no other option.

use skep_btf::BuildError;
use skep_ir::{Block, Callee, Cond, FuncRef, Memory, Module, Type, Unary, Value, Width};

use super::answer::{self, Reply};
use super::code::{self, Code};
use super::view::{Types, View};
use super::{Hook, Maps, work};
use crate::rules::words::TCP;
use crate::tables::layout::attr;

/// [`work::COOKIE`]: the packet has brought no cookie.
pub const NONE: i64 = 0;
/// It has brought one that is right.
pub const RIGHT: i64 = 1;
/// It acknowledges what was never sent.
pub const WRONG: i64 = 2;

/// Flags of TCP that say what a segment is for.
pub const KIND: u64 = 0x17;
/// The one that begins a connection.
pub const SYN: u64 = 2;
/// The one that may bring a cookie.
pub const ACK: u64 = 16;

/// Bytes of a header of TCP, and of the longest one.
const HEAD: i64 = 20;
const LONGEST: i64 = 60;
/// Bytes of the answer's header: with an option for the size of segments.
const ANSWER: i64 = HEAD + 4;
/// The window of answers: that of Linux, in bytes.
const WINDOW: i64 = 64_240;

/// `state` in `struct bpf_sock`, and the value for sockets that listen (`linux/bpf.h`, `net/tcp_states.h`).
const STATE: i16 = 72;
const LISTEN: i64 = 10;
/// `struct bpf_sock_tuple` of both versions.
const TUPLE: u32 = 40;

/// The functions.
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    /// `(context, network, at, bits)`: whether the packet brings a cookie, into [`work::COOKIE`].
    pub check: FuncRef,
    /// `(context, at, network, end, bits)`: answers a SYN; gives what the program returns, or 0 if the packet has to go on.
    pub give: FuncRef,
}

/// Adds the functions for packets that arrive.
///
/// # Errors
/// None but for a defect.
pub fn add(module: &mut Module, types: &mut Types, maps: &Maps) -> Result<Cookies, BuildError> {
    let mut function = |name: &str, numbers, body: fn(&mut Code<'_>, &View, &[Value])| {
        let function = types.function(name, numbers, (maps, Hook::Ingress, 0), body)?;
        Ok(module.add_function(function))
    };
    Ok(Cookies { check: function("skep_fw_cookie_check", 3, check)?, give: function("skep_fw_cookie_give", 4, give)? })
}

/// Where the parts of a packet are copied to.
struct Headers {
    network: Value,
    bytes: Value,
    segment: Value,
    segment_bytes: Value,
}

/// Copies the headers into the working memory: that of the internet protocol into [`work::ANSWER`], that of TCP into
/// [`work::SEGMENT`].
fn headers(code: &mut Code<'_>, view: &View, (network, at): (Value, Value), six: bool, fail: Block) -> Headers {
    let bytes = if six { 40 } else { 20 };
    let copy = code.b.ptr_add_const(view.memory, work::ANSWER.into());
    view.fetch_to(code, network, copy, bytes, fail);
    let segment = code.b.ptr_add_const(view.memory, work::SEGMENT.into());
    view.fetch_to(code, at, segment, HEAD, fail);
    let words = code.load(Width::W8, view.memory, work::SEGMENT + 12);
    let words = code.with(skep_ir::Binary::Lshr, words, 4);
    let size = code.with(skep_ir::Binary::Shl, words, 2);
    code.leave_if(fail, Cond::Ult, size, HEAD);
    code.leave_if(fail, Cond::Ugt, size, LONGEST);
    let failed = code.helper(code::SKB_LOAD, &[view.context, at, segment, size]);
    code.leave_if(fail, Cond::Ne, failed, 0);
    Headers { network: copy, bytes: code.num(bytes), segment, segment_bytes: size }
}

/// Runs `then` with the listening socket that the packet is for, and releases it.
fn listener(
    code: &mut Code<'_>,
    view: &View,
    (at, six): (Value, bool),
    none: Block,
    then: impl FnOnce(&mut Code<'_>, Value) -> Value,
) -> Value {
    let tuple = code.buffer(TUPLE);
    let width = if six { 16 } else { 4 };
    for (from, to) in [(work::SOURCE, 0), (work::DESTINATION, width)] {
        for part in (0..width).step_by(4) {
            let word = code.load(Width::W32, view.memory, from + part);
            code.store(Width::W32, tuple, to + part, word);
        }
    }
    view.fetch(code, at, 4, none);
    let ports = code.load(Width::W32, view.head, 0);
    code.store(Width::W32, tuple, 2 * width, ports);
    // BPF_F_CURRENT_NETNS
    let (size, here, zero) = (code.num(i64::from(2 * width) + 4), code.num(-1), code.num(0));
    let args = [view.context, tuple, size, here, zero];
    let socket = code.b.call(Callee::Helper(code::SOCKET_LOOKUP), &args, Type::nullable(Memory::Any));
    let null = code.b.null(Memory::Any);
    let (found, listens, other) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
    let socket = code.b.branch_refining(Cond::Ne, socket, null, found, none);
    code.b.switch_to(found);
    let state = code.load(Width::W32, socket, STATE);
    let listen = code.num(LISTEN);
    code.b.branch(Cond::Eq, state, listen, listens, other);
    code.b.switch_to(other);
    code.helper(code::SOCKET_RELEASE, &[socket]);
    code.close(none);
    code.b.switch_to(listens);
    let result = then(code, socket);
    code.helper(code::SOCKET_RELEASE, &[socket]);
    result
}

/// Both versions of the protocol, the code for each of them.
fn versions(code: &mut Code<'_>, bits: Value, mut each: impl FnMut(&mut Code<'_>, bool)) {
    let (six, end) = (code.b.block(&[]), code.b.block(&[]));
    let version = code.bits(attr::V6);
    code.leave_for(six, Cond::Set, bits, version);
    each(code, false);
    code.close(end);
    code.b.switch_to(six);
    each(code, true);
    code.close(end);
    code.b.switch_to(end);
}

fn check(code: &mut Code<'_>, view: &View, args: &[Value]) {
    let &[network, at, bits] = args else { return };
    let none = code.b.block(&[]);
    versions(code, bits, |code, six| {
        let headers = headers(code, view, (network, at), six, none);
        let failed = listener(code, view, (at, six), none, |code, socket| {
            let twenty = code.num(HEAD);
            let args = [socket, headers.network, headers.bytes, headers.segment, twenty];
            code.helper(code::COOKIE_CHECK, &args)
        });
        let wrong = code.num(WRONG);
        code.store(Width::W32, view.memory, work::COOKIE, wrong);
        code.when_is(Cond::Eq, failed, 0, |code| {
            let right = code.num(RIGHT);
            code.store(Width::W32, view.memory, work::COOKIE, right);
        });
    });
    code.close(none);
    code.b.switch_to(none);
}

fn give(code: &mut Code<'_>, view: &View, args: &[Value]) {
    let &[at, network, end, bits] = args else { return };
    let none = code.b.block(&[]);
    versions(code, bits, |code, six| {
        let headers = headers(code, view, (network, at), six, none);
        let made = listener(code, view, (at, six), none, |code, socket| {
            let args = [socket, headers.network, headers.bytes, headers.segment, headers.segment_bytes];
            code.helper(code::COOKIE_MAKE, &args)
        });
        // An error: this socket wants none.
        code.leave_if(none, Cond::Slt, made, 0);
        let mss = code.with(skep_ir::Binary::Lshr, made, 32);
        let cookie = code.with(skep_ir::Binary::And, made, 0xffff_ffff);
        let place = i64::from(if six { 40_u8 } else { 20 });
        let reply = Reply { view, at, network, end };
        if six {
            reply.header_6(code, TCP, ANSWER)
        } else {
            reply.header_4(code, TCP, 20 + ANSWER)
        }
        for (from, to) in [(0, 2), (2, 0)] {
            let port = code.load(Width::W16, view.memory, work::SEGMENT + from);
            reply.put(code, Width::W16, place + to, port);
        }
        let own = code.b.unary(Unary::Swap32, cookie);
        reply.put(code, Width::W32, place + 4, own);
        let first = code.load(Width::W32, view.memory, work::SEGMENT + 4);
        let first = code.b.unary(Unary::Swap32, first);
        let next = code.with(skep_ir::Binary::Add, first, 1);
        let next = code.b.unary(Unary::Swap32, next);
        reply.put(code, Width::W32, place + 8, next);
        reply.put_byte(code, place + 12, (ANSWER / 4) << 4);
        reply.put_byte(code, place + 13, (SYN | ACK) as i64);
        reply.put_net16(code, place + 14, WINDOW);
        reply.put_net16(code, place + 16, 0);
        reply.put_net16(code, place + 18, 0);
        reply.put_net16(code, place + 20, 0x0204);
        let mss = code.b.unary(Unary::Swap16, mss);
        reply.put(code, Width::W16, place + 22, mss);
        let pseudo = answer::net16(TCP.into()) + answer::net16(ANSWER);
        let (start, addresses) = if six { (8, 32) } else { (12, 8) };
        let sum = reply.sum(code, start, addresses + ANSWER, pseudo);
        reply.put(code, Width::W16, place + 16, sum);
        reply.send(code, place + ANSWER, Some((start, addresses, pseudo)), none);
    });
    code.close(none);
    code.b.switch_to(none);
}
