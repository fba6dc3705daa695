//! Answers to the senders of rejected packets: a reset for TCP, an ICMP error for others (RFC 9293, 3.5.2; RFC 1812, 5.3.9
//! and 4.3.2; RFC 4443, 2.4).
//!
//! The packet itself becomes the answer: its addresses change places, its headers are written anew, and it is sent back. Where
//! packets leave, the answer arrives at this host as if the other end had sent it. Answers carry a mark of ours in `cb`, by
//! which the program that meets them next lets them pass.

use skep_ir::{Binary, Block, Cond, Unary, Value, Width};

use super::code::{self, Code};
use super::parse::field;
use super::view::View;
use super::{Hook, Maps, work};
use crate::rules::words::{ICMP, ICMP6, TCP};
use crate::tables::layout::{attr, record};

/// What `cb` of an answer holds. Drivers and the stack leave other things there, but never three such words.
const MARKS: [u32; 3] = [0x736b_6570, 0x6669_7265, 0x7761_6c6c];
/// Types of ICMP messages that are never answered: errors and redirects.
const UNANSWERED: [i64; 5] = [3, 4, 5, 11, 12];
/// Bytes behind a header of the internet protocol that an ICMP error quotes.
const QUOTED: i64 = 8;
/// Bytes of headers.
const TCP_BYTES: i64 = 20;
const ICMP_BYTES: i64 = 8;

/// A number in the order of the network, as it is stored.
pub fn net16(number: i64) -> i64 {
    i64::from((number as u16).to_be())
}

/// Lets pass what this firewall has answered itself.
pub fn own(code: &mut Code<'_>, context: Value, hook: Hook) {
    let other = code.b.block(&[]);
    for (mark, word) in MARKS.into_iter().zip(0..) {
        let seen = code.load(Width::W32, context, field::CB + 4 * word);
        code.leave_if(other, Cond::Ne, seen, mark.into());
    }
    let zero = code.b.i32(0);
    code.b.store(Width::W32, context, field::CB, zero);
    code.give(hook.pass());
    code.b.switch_to(other);
}

/// A packet that becomes an answer.
pub struct Reply<'v> {
    /// What is needed to read it.
    pub view: &'v View,
    /// Where the header behind that of the internet protocol begins.
    pub at: Value,
    /// Where the header of the internet protocol begins.
    pub network: Value,
    /// Where the packet ends by its own words.
    pub end: Value,
}

/// A rejected packet.
struct Rejected<'v> {
    reply: Reply<'v>,
    protocol: Value,
    /// Not 0 if TCP gets an ICMP error, too.
    has_message: Value,
    /// The codes of that, as the record of the rule has them.
    codes: Value,
}

/// `(context, at, network, end, bits)`: sends the answer, if the packet may be answered; gives what the program returns.
pub fn answer(code: &mut Code<'_>, maps: &Maps, view: &View, args: &[Value]) {
    let &[at, network, end, bits] = args else { return };
    let protocol = code.with(Binary::And, bits, 0xff);
    let missing = code.b.block(&[]);
    let rule = code.load(Width::W32, view.memory, work::RULE);
    let row = code.element(maps.rules, rule, missing);
    let (flags, codes) = (code.load(Width::W32, row, record::FLAGS), code.load(Width::W32, row, record::PORT));
    let has_message = code.with(Binary::And, flags, record::MESSAGE.into());
    Rejected { reply: Reply { view, at, network, end }, protocol, has_message, codes }.answer(code, bits);
    code.close(missing);
    code.b.switch_to(missing);
    code.give(view.hook.drop());
}

impl Reply<'_> {
    pub fn put(&self, code: &mut Code<'_>, width: Width, at: i64, value: Value) {
        code.store(width, self.view.memory, work::ANSWER + at as i16, value);
    }

    pub fn put_net16(&self, code: &mut Code<'_>, at: i64, number: i64) {
        let number = code.num(net16(number));
        self.put(code, Width::W16, at, number);
    }

    pub fn put_byte(&self, code: &mut Code<'_>, at: i64, number: i64) {
        let number = code.num(number);
        self.put(code, Width::W8, at, number);
    }

    /// Addresses change places.
    pub fn header_4(&self, code: &mut Code<'_>, protocol: u8, total: i64) {
        for (at, number) in [(0, 0x4500), (2, total), (4, 0), (6, 0x4000), (10, 0)] {
            self.put_net16(code, at, number);
        }
        self.put_byte(code, 8, 64);
        self.put_byte(code, 9, protocol.into());
        for (from, to) in [(work::DESTINATION, 12), (work::SOURCE, 16)] {
            let address = code.load(Width::W32, self.view.memory, from);
            self.put(code, Width::W32, to, address);
        }
        let sum = self.sum(code, 0, 20, 0);
        self.put(code, Width::W16, 10, sum);
    }

    pub fn header_6(&self, code: &mut Code<'_>, protocol: u8, bytes: i64) {
        for (at, number) in [(0, 0x6000), (2, 0), (4, bytes)] {
            self.put_net16(code, at, number);
        }
        self.put_byte(code, 6, protocol.into());
        self.put_byte(code, 7, 64);
        for (from, to) in [(work::DESTINATION, 8), (work::SOURCE, 24)] {
            for word in [0, 8] {
                let part = code.load(Width::W64, self.view.memory, from + word);
                self.put(code, Width::W64, to + i64::from(word), part);
            }
        }
    }

    /// The checksum (RFC 1071) of bytes of the answer and a number.
    pub fn sum(&self, code: &mut Code<'_>, at: i64, bytes: i64, more: i64) -> Value {
        let folded = self.folded(code, at, bytes, more);
        code.with(Binary::Xor, folded, 0xffff)
    }

    fn folded(&self, code: &mut Code<'_>, at: i64, bytes: i64, more: i64) -> Value {
        let from = code.b.ptr_add_const(self.view.memory, i32::from(work::ANSWER) + at as i32);
        let (zero, bytes, more) = (code.num(0), code.num(bytes), code.num(more));
        let mut sum = code.helper(code::SUM_DIFF, &[zero, zero, from, bytes, more]);
        // Releases before 6.13 do not fold.
        for _ in 0..3 {
            let low = code.with(Binary::And, sum, 0xffff);
            let high = code.with(Binary::Lshr, sum, 16);
            let high = code.with(Binary::And, high, 0xffff);
            sum = code.b.binary(Binary::Add, low, high);
        }
        sum
    }

    /// Makes the packet the answer and sends it. `sum` says where the answer has its pseudo header, how long it is, and the
    /// number that belongs to it: a checksum that a device is to complete holds the sum of those only.
    pub fn send(&self, code: &mut Code<'_>, bytes: i64, sum: Option<(i64, i64, i64)>, silent: Block) {
        let zero = code.num(0);
        self.view.fetch(code, zero, 12, silent);
        let length = code.with(Binary::Add, self.network, bytes);
        let failed = code.helper(code::SKB_CHANGE_TAIL, &[self.view.context, length, zero]);
        code.leave_if(silent, Cond::Ne, failed, 0);
        // The addresses of the link: the upper half of the buffer takes them the other way round.
        for (from, to) in [(0, 6), (6, 0)] {
            for part in [0, 2, 4] {
                let value = code.load(Width::W16, self.view.head, from + part);
                code.store(Width::W16, self.view.head, 20 + to + part, value);
            }
        }
        let turned = code.b.ptr_add_const(self.view.head, 20);
        let twelve = code.num(12);
        code.helper(code::SKB_STORE, &[self.view.context, zero, turned, twelve, zero]);
        let answer = code.b.ptr_add_const(self.view.memory, work::ANSWER.into());
        let size = code.num(bytes);
        let failed = code.helper(code::SKB_STORE, &[self.view.context, self.network, answer, size, zero]);
        code.leave_if(silent, Cond::Ne, failed, 0);
        if let Some(pseudo) = sum {
            self.complete(code, pseudo, silent);
        }
        for (mark, word) in MARKS.into_iter().zip(0..) {
            let mark = code.b.i32(mark);
            code.b.store(Width::W32, self.view.context, field::CB + 4 * word, mark);
        }
        let interface = code.load(Width::W32, self.view.memory, work::INTERFACE);
        let back = code.num(self.view.hook.back());
        let action = code.helper(code::REDIRECT, &[interface, back]);
        code.b.ret(Some(action));
    }

    /// Packets of hosts within this one have checksums that a device was to complete (`CHECKSUM_PARTIAL`), and their answers
    /// still do. Programs cannot ask for that, but a replacement outside of the pseudo header changes nothing then.
    fn complete(&self, code: &mut Code<'_>, (start, bytes, more): (i64, i64, i64), silent: Block) {
        let place = code.with(Binary::Add, self.at, 16);
        let (zero, one, two) = (code.num(0), code.num(1), code.num(2));
        self.view.fetch(code, place, 2, silent);
        let whole = code.load(Width::W16, self.view.head, 0);
        code.helper(code::L4_SUM_REPLACE, &[self.view.context, place, zero, one, two]);
        self.view.fetch(code, place, 2, silent);
        let now = code.load(Width::W16, self.view.head, 0);
        code.store(Width::W16, self.view.head, 4, whole);
        code.when(Cond::Eq, now, whole, |code| {
            let pseudo = self.folded(code, start, bytes, more);
            code.store(Width::W16, self.view.head, 4, pseudo);
        });
        let kept = code.b.ptr_add_const(self.view.head, 4);
        code.helper(code::SKB_STORE, &[self.view.context, place, kept, two, zero]);
    }

    /// The header of a reset at a place of the answer: it takes the number that the packet acknowledges, or acknowledges the
    /// packet.
    fn reset(&self, code: &mut Code<'_>, bits: Value, place: i64, silent: Block) {
        let flag = |bit: i64| bit << attr::FLAGS_SHIFT;
        let reset = code.num(flag(4));
        code.leave_for(silent, Cond::Set, bits, reset);
        let at = self.at;
        self.view.fetch(code, at, 14, silent);
        for (from, to) in [(0, 2), (2, 0)] {
            let port = code.load(Width::W16, self.view.head, from);
            self.put(code, Width::W16, place + to, port);
        }
        let sequence = code.load(Width::W32, self.view.head, 4);
        let acknowledged = code.load(Width::W32, self.view.head, 8);
        let words = code.load(Width::W8, self.view.head, 12);
        let words = code.with(Binary::Lshr, words, 4);
        let header = code.with(Binary::Shl, words, 2);
        let zero = code.num(0);
        for (at, width) in [(14, Width::W16), (16, Width::W16), (18, Width::W16)] {
            self.put(code, width, place + at, zero);
        }
        self.put_byte(code, place + 12, (TCP_BYTES / 4) << 4);
        let acknowledges = code.num(flag(16));
        code.either(
            Cond::Set,
            bits,
            acknowledges,
            |code| {
                self.put(code, Width::W32, place + 4, acknowledged);
                let zero = code.num(0);
                self.put(code, Width::W32, place + 8, zero);
                self.put_byte(code, place + 13, 4);
            },
            |code| {
                let zero = code.num(0);
                self.put(code, Width::W32, place + 4, zero);
                let end = self.end;
                let start = code.b.binary(Binary::Add, at, header);
                let data = code.b.binary(Binary::Sub, end, start);
                let first = code.b.unary(Unary::Swap32, sequence);
                let mut next = code.b.binary(Binary::Add, data, first);
                for shift in [0, 1] {
                    // SYN and FIN take a number each.
                    let bit = code.with(Binary::Lshr, bits, i64::from(attr::FLAGS_SHIFT) + shift);
                    let bit = code.with(Binary::And, bit, 1);
                    next = code.b.binary(Binary::Add, next, bit);
                }
                let next = code.b.unary(Unary::Swap32, next);
                self.put(code, Width::W32, place + 8, next);
                self.put_byte(code, place + 13, 4 | 16);
            },
        );
    }
}

impl Rejected<'_> {
    fn answer(&self, code: &mut Code<'_>, bits: Value) {
        let silent = code.b.block(&[]);
        let later = code.bits(attr::LATER);
        code.leave_for(silent, Cond::Set, bits, later);
        if self.reply.view.hook == Hook::Ingress {
            // PACKET_HOST: no answers to what was sent to many, or to others.
            let kind = code.load(Width::W32, self.reply.view.context, field::KIND);
            code.leave_if(silent, Cond::Ne, kind, 0);
        }
        let six = code.b.block(&[]);
        let version = code.bits(attr::V6);
        code.leave_for(six, Cond::Set, bits, version);
        self.answer_4(code, bits, silent);
        code.close(silent);
        code.b.switch_to(six);
        self.answer_6(code, bits, silent);
        code.close(silent);
        code.b.switch_to(silent);
    }

    /// Leaves unless the header of the internet protocol has so many bytes.
    fn plain(&self, code: &mut Code<'_>, bytes: i64, silent: Block) {
        let length = code.b.binary(Binary::Sub, self.reply.at, self.reply.network);
        code.leave_if(silent, Cond::Ne, length, bytes);
    }

    fn answer_4(&self, code: &mut Code<'_>, bits: Value, silent: Block) {
        self.plain(code, 20, silent);
        for (place, is_sender) in [(work::SOURCE, true), (work::DESTINATION, false)] {
            let first = code.load(Width::W8, self.reply.view.memory, place);
            // Groups and the broadcast address; senders without an address, and those of the loopback network.
            code.leave_if(silent, Cond::Uge, first, 224);
            if is_sender {
                code.leave_if(silent, Cond::Eq, first, 0);
                code.leave_if(silent, Cond::Eq, first, 127);
            }
        }
        let protocol = self.protocol;
        let (other, end) = (code.b.block(&[]), code.b.block(&[]));
        code.leave_if(other, Cond::Ne, protocol, TCP.into());
        code.leave_if(other, Cond::Ne, self.has_message, 0);
        self.reply.header_4(code, TCP, 20 + TCP_BYTES);
        self.reply.reset(code, bits, 20, silent);
        let sum = self.reply.sum(code, 12, 8 + TCP_BYTES, net16(TCP.into()) + net16(TCP_BYTES));
        self.reply.put(code, Width::W16, 20 + 16, sum);
        self.reply.send(code, 20 + TCP_BYTES, Some((12, 8, net16(TCP.into()) + net16(TCP_BYTES))), silent);
        code.b.switch_to(other);
        let number = code.with(Binary::Lshr, bits, attr::TYPE_SHIFT.into());
        let number = code.with(Binary::And, number, 0xff);
        code.when_is(Cond::Eq, protocol, ICMP.into(), |code| {
            for kind in UNANSWERED {
                code.leave_if(silent, Cond::Eq, number, kind);
            }
        });
        code.close(end);
        code.b.switch_to(end);
        let bytes = ICMP_BYTES + 20 + QUOTED;
        self.reply.header_4(code, ICMP, 20 + bytes);
        self.error(code, 20, (3, 0), 20 + QUOTED, silent);
        let sum = self.reply.sum(code, 20, bytes, 0);
        self.reply.put(code, Width::W16, 20 + 2, sum);
        self.reply.send(code, 20 + bytes, None, silent);
    }

    fn answer_6(&self, code: &mut Code<'_>, bits: Value, silent: Block) {
        self.plain(code, 40, silent);
        for place in [work::SOURCE, work::DESTINATION] {
            let first = code.load(Width::W8, self.reply.view.memory, place);
            code.leave_if(silent, Cond::Eq, first, 0xff);
        }
        let parts = [0, 8].map(|word| code.load(Width::W64, self.reply.view.memory, work::SOURCE + word));
        let any = code.b.binary(Binary::Or, parts[0], parts[1]);
        code.leave_if(silent, Cond::Eq, any, 0);
        let protocol = self.protocol;
        let (other, end) = (code.b.block(&[]), code.b.block(&[]));
        code.leave_if(other, Cond::Ne, protocol, TCP.into());
        code.leave_if(other, Cond::Ne, self.has_message, 0);
        self.reply.header_6(code, TCP, TCP_BYTES);
        self.reply.reset(code, bits, 40, silent);
        let pseudo = net16(TCP.into()) + net16(TCP_BYTES);
        let sum = self.reply.sum(code, 8, 32 + TCP_BYTES, pseudo);
        self.reply.put(code, Width::W16, 40 + 16, sum);
        self.reply.send(code, 40 + TCP_BYTES, Some((8, 32, pseudo)), silent);
        code.b.switch_to(other);
        code.leave_if(end, Cond::Ne, protocol, ICMP6.into());
        let number = code.with(Binary::Lshr, bits, attr::TYPE_SHIFT.into());
        let number = code.with(Binary::And, number, 0xff);
        code.leave_if(silent, Cond::Ult, number, 128);
        code.leave_if(silent, Cond::Eq, number, 137);
        code.close(end);
        code.b.switch_to(end);
        let bytes = ICMP_BYTES + 40 + QUOTED;
        self.reply.header_6(code, ICMP6, bytes);
        self.error(code, 40, (1, 8), 40 + QUOTED, silent);
        let sum = self.reply.sum(code, 8, 32 + bytes, net16(ICMP6.into()) + net16(bytes));
        self.reply.put(code, Width::W16, 40 + 2, sum);
        self.reply.send(code, 40 + bytes, None, silent);
    }

    /// The ICMP message at a place of the answer, with the packet's own headers behind it: its type ("destination
    /// unreachable"), and where the codes have the one of its version.
    fn error(&self, code: &mut Code<'_>, place: i64, (kind, shift): (i64, i64), quoted: i64, silent: Block) {
        self.reply.put_byte(code, place, kind);
        let number = code.with(Binary::Lshr, self.codes, shift);
        self.reply.put(code, Width::W8, place + 1, number);
        self.reply.put_net16(code, place + 2, 0);
        let zero = code.num(0);
        self.reply.put(code, Width::W32, place + 4, zero);
        let to = code.b.ptr_add_const(self.reply.view.memory, i32::from(work::ANSWER) + (place + ICMP_BYTES) as i32);
        self.reply.view.fetch_to(code, self.reply.network, to, quoted, silent);
    }
}
