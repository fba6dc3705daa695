//! What a packet is: the same reading as [`facts`](crate::facts), into the working memory. And what is done in the end.

mod capture;
mod connection;
mod cookie;
mod forward;
mod translation;

use skep_ir::{Binary, Block, Cond, FuncRef, Module, Unary, Value, Width};

use super::code::{self, Code, Var};
use super::cookies::Cookies;
use super::flows::{self, Flows};
use super::translate::Translate;
use super::view::View;
use super::{Hook, Maps, Shape, answer, work};
use crate::facts::{AUTHENTICATION, EXTENSIONS, FRAGMENT, IPV4, IPV6, MOST_EXTENSIONS, MOST_TAGS, TAGS};
use crate::rules::words::{ICMP, ICMP6, NEIGHBOUR_DISCOVERY, TCP, WITH_PORTS};
use crate::tables::layout::{ACCEPT, DROP, HAS_MAC, REJECT, attr, special, watch};

/// What a program is made of.
pub struct Parts<'p> {
    /// Its maps.
    pub maps: Maps,
    /// The judge.
    pub judge: FuncRef,
    /// Sends a record to whoever watches.
    pub tell: FuncRef,
    /// The functions about connections, if they are followed.
    pub flows: Option<Flows>,
    /// Where it runs.
    pub hook: Hook,
    /// What the programs are made for.
    pub shape: &'p Shape,
    /// Finds out which conditions hold that are not in the tables, if there are any.
    pub conditions: Option<FuncRef>,
    /// Answers the sender of a rejected packet.
    pub answer: Option<FuncRef>,
    /// Changes addresses, if some rule does.
    pub translate: Option<Translate>,
    /// Says whether a packet that arrives is going to be forwarded, if that is asked.
    pub routed: Option<FuncRef>,
    /// Gives cookies, if some rule does.
    pub cookies: Option<Cookies>,
}

/// Fields of `struct __sk_buff` and `struct xdp_md` (`linux/bpf.h`).
pub mod field {
    #![allow(missing_docs)]
    pub const LENGTH: i16 = 0;
    pub const KIND: i16 = 4;
    pub const CB: i16 = 48;
    pub const MARK: i16 = 8;
    pub const VLAN_PRESENT: i16 = 20;
    pub const VLAN_TCI: i16 = 24;
    pub const CAME_BY: i16 = 36;
    pub const INTERFACE: i16 = 40;
    pub const XDP_INTERFACE: i16 = 12;
}

/// Adds the program.
pub fn add(module: &mut Module, parts: &Parts<'_>) {
    let mut function = parts.hook.function(parts.hook.program());
    code::write(&mut function, |code, params| {
        let context = params[0];
        let memory = code.only(parts.maps.work, parts.hook.pass());
        let head = code.buffer(40);
        let zero = code.num(0);
        let blocks = [(); 3].map(|()| code.b.block(&[]));
        let var = |code: &mut Code<'_>| code.var(zero);
        let mut reader = Reader {
            parts,
            context,
            memory,
            head,
            bits: var(code),
            at: var(code),
            network: var(code),
            end: var(code),
            protocol: var(code),
            id: var(code),
            key_ports: [var(code), var(code)],
            foreign: blocks[0],
            malformed: blocks[1],
            known: blocks[2],
        };
        reader.program(code);
    });
    module.add_function(function);
}

struct Reader<'p> {
    parts: &'p Parts<'p>,
    context: Value,
    memory: Value,
    head: Value,
    /// [`attr`]
    bits: Var,
    /// Where the next header begins.
    at: Var,
    /// Where the header of the internet protocol begins.
    network: Var,
    /// Where the packet ends by its own words.
    end: Var,
    protocol: Var,
    /// The number of a packet in fragments.
    id: Var,
    /// Ports as connections have them.
    key_ports: [Var; 2],
    foreign: Block,
    malformed: Block,
    known: Block,
}

impl Reader<'_> {
    fn program(&mut self, code: &mut Code<'_>) {
        let hook = self.parts.hook;
        if hook != Hook::Xdp {
            answer::own(code, self.context, hook);
        }
        self.surroundings(code);
        let kind = self.link(code);
        let (four, six, next) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
        code.leave_if(four, Cond::Eq, kind, IPV4.into());
        code.leave_if(six, Cond::Eq, kind, IPV6.into());
        code.close(self.foreign);
        code.b.switch_to(four);
        let at = code.get(self.at);
        code.set(self.network, at);
        self.version_4(code);
        code.close(next);
        code.b.switch_to(six);
        let at = code.get(self.at);
        code.set(self.network, at);
        self.version_6(code);
        code.close(next);
        code.b.switch_to(next);
        self.transport(code);
        code.close(self.known);

        code.b.switch_to(self.known);
        self.finish(code);
        code.b.switch_to(self.malformed);
        if hook == Hook::Xdp {
            code.give(hook.pass());
        } else {
            let rule = code.num(special::MALFORMED.into());
            code.call(self.parts.judge, &[rule]);
            self.tell(code, watch::DROPPED);
            code.give(hook.drop());
        }
        code.b.switch_to(self.foreign);
        code.give(hook.pass());
    }

    /// Time, interface, length, mark.
    fn surroundings(&self, code: &mut Code<'_>) {
        let now = code.helper(code::TIME, &[]);
        code.store(Width::W64, self.memory, work::NOW, now);
        let (length, interface, mark) = if self.parts.hook == Hook::Xdp {
            let length = code.helper(code::XDP_LENGTH, &[self.context]);
            (length, code.load(Width::W32, self.context, field::XDP_INTERFACE), code.num(0))
        } else {
            let length = code.load(Width::W32, self.context, field::LENGTH);
            let interface = code.load(Width::W32, self.context, field::INTERFACE);
            (length, interface, code.load(Width::W32, self.context, field::MARK))
        };
        code.store(Width::W32, self.memory, work::LENGTH, length);
        code.store(Width::W32, self.memory, work::INTERFACE, interface);
        code.store(Width::W32, self.memory, work::MARK, mark);
        let zero = code.num(0);
        for place in [work::PORTS, work::PAYLOAD_LENGTH, work::STATE, work::SET_MARK, work::OTHER_KIND, work::HOOK] {
            code.store(Width::W32, self.memory, place, zero);
        }
        if self.parts.hook == Hook::Egress {
            let out = code.bits(attr::OUT);
            code.set(self.bits, out);
            if self.parts.shape.forwards {
                self.forwarded(code);
            }
        }
        let watch = code.only(self.parts.maps.watch, self.parts.hook.pass());
        code.store(Width::W32, self.memory, work::WATCHED, zero);
        let until = code.load(Width::W64, watch, watch::UNTIL);
        code.when(Cond::Ugt, until, now, |code| self.capture(code, watch));
    }

    /// Reads bytes of the packet into the buffer; leaves for a block if they are not there.
    fn fetch(&self, code: &mut Code<'_>, at: Value, bytes: i64, missing: Block) {
        self.view().fetch(code, at, bytes, missing);
    }

    fn fetch_to(&self, code: &mut Code<'_>, at: Value, to: Value, bytes: i64, missing: Block) {
        self.view().fetch_to(code, at, to, bytes, missing);
    }

    const fn view(&self) -> View {
        View { context: self.context, memory: self.memory, head: self.head, hook: self.parts.hook }
    }

    fn advance(&self, code: &mut Code<'_>, bytes: Value) {
        let at = code.get(self.at);
        let next = code.b.binary(Binary::Add, at, bytes);
        code.set(self.at, next);
    }

    /// The Ethernet header and VLAN tags; gives the EtherType.
    fn link(&self, code: &mut Code<'_>) -> Value {
        let zero = code.num(0);
        self.fetch(code, zero, 14, self.foreign);
        for (from, to) in [(6, work::MACS), (0, work::MACS + 8)] {
            let mut address = code.bits(HAS_MAC);
            for part in 0..3 {
                let half = code.load(Width::W16, self.head, from + 2 * part);
                let half = code.with(Binary::Shl, half, 16 * i64::from(part));
                address = code.b.binary(Binary::Or, address, half);
            }
            code.store(Width::W64, self.memory, to, address);
        }
        let kind = code.load_net16(self.head, 12);
        let kind = code.var(kind);
        let first = code.num(14);
        code.set(self.at, first);
        let tagged = code.var(zero);
        if self.parts.hook != Hook::Xdp {
            let present = code.load(Width::W32, self.context, field::VLAN_PRESENT);
            code.when_is(Cond::Ne, present, 0, |code| {
                let tag = code.load(Width::W32, self.context, field::VLAN_TCI);
                self.tag(code, tagged, tag);
            });
        }
        for _ in 0..MOST_TAGS {
            let (tag, next) = (code.b.block(&[]), code.b.block(&[]));
            let value = code.get(kind);
            for known in TAGS {
                code.leave_if(tag, Cond::Eq, value, known.into());
            }
            code.close(next);
            code.b.switch_to(tag);
            let at = code.get(self.at);
            self.fetch(code, at, 4, self.malformed);
            let inner = code.load_net16(self.head, 2);
            code.set(kind, inner);
            let had = code.get(tagged);
            code.when_is(Cond::Eq, had, 0, |code| {
                let tag = code.load_net16(self.head, 0);
                self.tag(code, tagged, tag);
            });
            let four = code.num(4);
            self.advance(code, four);
            code.close(next);
            code.b.switch_to(next);
        }
        code.get(kind)
    }

    fn tag(&self, code: &mut Code<'_>, tagged: Var, tag: Value) {
        let number = code.with(Binary::And, tag, 0xfff);
        let number = code.with(Binary::Shl, number, attr::VLAN_SHIFT.into());
        code.or_into(self.bits, number);
        self.set_bit(code, attr::HAS_VLAN);
        let yes = code.num(1);
        code.set(tagged, yes);
    }

    fn set_bit(&self, code: &mut Code<'_>, bit: u64) {
        let bit = code.bits(bit);
        code.or_into(self.bits, bit);
    }

    /// Says where the packet ends by the length in its header, which does not count if it is 0.
    fn set_end(&self, code: &mut Code<'_>, said: Value, before: i64) {
        let length = code.load(Width::W32, self.memory, work::LENGTH);
        code.set(self.end, length);
        code.when_is(Cond::Ne, said, 0, |code| {
            let at = code.get(self.at);
            let end = code.b.binary(Binary::Add, at, said);
            let end = code.with(Binary::Add, end, before);
            code.when(Cond::Ult, end, length, |code| code.set(self.end, end));
        });
    }

    /// Notes which fragment it is; the offset counts in any unit.
    fn fragment(&self, code: &mut Code<'_>, offset: Value, more: Value) {
        code.when_is(Cond::Ne, more, 0, |code| self.set_bit(code, attr::FRAGMENT));
        code.when_is(Cond::Ne, offset, 0, |code| self.set_bit(code, attr::FRAGMENT | attr::LATER));
    }

    fn version_4(&self, code: &mut Code<'_>) {
        let at = code.get(self.at);
        self.fetch(code, at, 20, self.malformed);
        let first = code.load(Width::W8, self.head, 0);
        let version = code.with(Binary::Lshr, first, 4);
        code.leave_if(self.malformed, Cond::Ne, version, 4);
        let words = code.with(Binary::And, first, 15);
        code.leave_if(self.malformed, Cond::Ult, words, 5);
        let zero = code.num(0);
        for (from, to) in [(12, work::SOURCE), (16, work::DESTINATION)] {
            let address = code.load(Width::W32, self.head, from);
            code.store(Width::W64, self.memory, to, address);
            code.store(Width::W64, self.memory, to + 8, zero);
        }
        let protocol = code.load(Width::W8, self.head, 9);
        code.set(self.protocol, protocol);
        let id = code.load(Width::W16, self.head, 4);
        code.set(self.id, id);
        let fragment = code.load_net16(self.head, 6);
        let offset = code.with(Binary::And, fragment, 0x1fff);
        let more = code.with(Binary::And, fragment, 0x2000);
        self.fragment(code, offset, more);
        let total = code.load_net16(self.head, 2);
        self.set_end(code, total, 0);
        let bytes = code.with(Binary::Shl, words, 2);
        self.advance(code, bytes);
    }

    fn version_6(&self, code: &mut Code<'_>) {
        let at = code.get(self.at);
        self.fetch(code, at, 40, self.malformed);
        self.set_bit(code, attr::V6);
        let first = code.load(Width::W8, self.head, 0);
        let version = code.with(Binary::Lshr, first, 4);
        code.leave_if(self.malformed, Cond::Ne, version, 6);
        for (from, to) in [(8, work::SOURCE), (24, work::DESTINATION)] {
            for word in [0, 8] {
                let value = code.load(Width::W64, self.head, from + word);
                code.store(Width::W64, self.memory, to + word, value);
            }
        }
        let next = code.load(Width::W8, self.head, 6);
        code.set(self.protocol, next);
        let total = code.load_net16(self.head, 4);
        self.set_end(code, total, 40);
        let forty = code.num(40);
        self.advance(code, forty);
        code.repeat(MOST_EXTENSIONS as i64 + 1, |code, number, done, again| {
            let extension = code.b.block(&[]);
            let protocol = code.get(self.protocol);
            for known in EXTENSIONS.into_iter().chain([FRAGMENT, AUTHENTICATION]) {
                code.leave_if(extension, Cond::Eq, protocol, known.into());
            }
            code.close(done);
            code.b.switch_to(extension);
            code.leave_if(self.malformed, Cond::Eq, number, MOST_EXTENSIONS as i64);
            self.extension(code, protocol, done, again);
        });
    }

    /// One extension header.
    fn extension(&self, code: &mut Code<'_>, protocol: Value, done: Block, again: Block) {
        let at = code.get(self.at);
        self.fetch(code, at, 4, self.malformed);
        let next = code.load(Width::W8, self.head, 0);
        code.set(self.protocol, next);
        let length = code.load(Width::W8, self.head, 1);
        let (fragment, authentication) = (code.b.block(&[]), code.b.block(&[]));
        code.leave_if(fragment, Cond::Eq, protocol, FRAGMENT.into());
        code.leave_if(authentication, Cond::Eq, protocol, AUTHENTICATION.into());
        for (block, add, shift) in [(None, 1, 3), (Some(authentication), 2, 2)] {
            if let Some(block) = block {
                code.b.switch_to(block);
            }
            let units = code.with(Binary::Add, length, add);
            let bytes = code.with(Binary::Shl, units, shift);
            self.advance(code, bytes);
            code.close(again);
        }
        code.b.switch_to(fragment);
        let word = code.load_net16(self.head, 2);
        let offset = code.with(Binary::Lshr, word, 3);
        let more = code.with(Binary::And, word, 1);
        self.fragment(code, offset, more);
        // The number of the packet, if it is there: what follows is missing otherwise.
        let number = code.b.block(&[]);
        let place = code.with(Binary::Add, at, 4);
        self.fetch(code, place, 4, number);
        let id = code.load(Width::W32, self.head, 0);
        code.set(self.id, id);
        code.close(number);
        code.b.switch_to(number);
        let eight = code.num(8);
        self.advance(code, eight);
        code.leave_if(done, Cond::Ne, offset, 0);
        code.close(again);
    }

    fn transport(&self, code: &mut Code<'_>) {
        let protocol = code.get(self.protocol);
        code.or_into(self.bits, protocol);
        let (ports, icmp) = (code.b.block(&[]), code.b.block(&[]));
        let bits = code.get(self.bits);
        let later = code.bits(attr::LATER);
        code.leave_for(self.known, Cond::Set, bits, later);
        for &known in WITH_PORTS {
            code.leave_if(ports, Cond::Eq, protocol, known.into());
        }
        for known in [ICMP, ICMP6] {
            code.leave_if(icmp, Cond::Eq, protocol, known.into());
        }
        code.close(self.known);
        code.b.switch_to(icmp);
        self.icmp(code);
        code.close(self.known);

        code.b.switch_to(ports);
        let at = code.get(self.at);
        self.fetch(code, at, 4, self.malformed);
        for (side, offset) in [0, 2].into_iter().enumerate() {
            let port = code.load_net16(self.head, offset);
            code.store(Width::W16, self.memory, work::PORTS + offset, port);
            code.set(self.key_ports[side], port);
        }
        self.set_bit(code, attr::HAS_PORTS);
        let body = code.with(Binary::Add, at, 8);
        let body = code.var(body);
        let carries = code.b.block(&[]);
        code.leave_if(carries, Cond::Eq, protocol, 17);
        code.leave_if(self.known, Cond::Ne, protocol, TCP.into());
        let place = code.with(Binary::Add, at, 12);
        self.fetch(code, place, 2, self.malformed);
        let flags = code.load(Width::W8, self.head, 1);
        let flags = code.with(Binary::Shl, flags, attr::FLAGS_SHIFT.into());
        code.or_into(self.bits, flags);
        self.set_bit(code, attr::HAS_FLAGS);
        let words = code.load(Width::W8, self.head, 0);
        let words = code.with(Binary::Lshr, words, 4);
        code.leave_if(self.malformed, Cond::Ult, words, 5);
        let bytes = code.with(Binary::Shl, words, 2);
        let start = code.b.binary(Binary::Add, at, bytes);
        code.set(body, start);
        code.close(carries);
        code.b.switch_to(carries);
        if self.parts.shape.payload {
            let body = code.get(body);
            self.payload(code, body);
        }
    }

    fn icmp(&self, code: &mut Code<'_>) {
        let at = code.get(self.at);
        self.fetch(code, at, 2, self.malformed);
        let number = code.load(Width::W8, self.head, 0);
        let shifted = code.with(Binary::Shl, number, attr::TYPE_SHIFT.into());
        code.or_into(self.bits, shifted);
        let extra = code.load(Width::W8, self.head, 1);
        let shifted = code.with(Binary::Shl, extra, attr::CODE_SHIFT.into());
        code.or_into(self.bits, shifted);
        self.set_bit(code, attr::HAS_ICMP);
        if self.parts.flows.is_none() && self.parts.translate.is_none() {
            return;
        }
        // Echo requests and answers of one number belong together.
        let (echo, end) = (code.b.block(&[]), code.b.block(&[]));
        for kind in [0, 8, 128, 129] {
            code.leave_if(echo, Cond::Eq, number, kind);
        }
        let (error, bits) = (code.b.block(&[]), code.get(self.bits));
        flows::error(code, bits, error);
        code.close(end);
        code.b.switch_to(error);
        self.about(code, at);
        code.close(end);
        code.b.switch_to(echo);
        let place = code.with(Binary::Add, at, 4);
        self.fetch(code, place, 2, end);
        let id = code.load_net16(self.head, 0);
        for port in self.key_ports {
            code.set(port, id);
        }
        code.close(end);
        code.b.switch_to(end);
    }

    /// State, verdict, and what follows from it.
    fn finish(&self, code: &mut Code<'_>) {
        let hook = self.parts.hook;
        let bits = code.get(self.bits);
        code.store(Width::W64, self.memory, work::ATTRIBUTES, bits);
        let zero = code.num(0);
        let given = code.var(zero);
        self.neighbours(code, bits, given);
        if let Some(translate) = self.parts.translate {
            self.translate_answers(code, &translate, bits);
        }
        if hook != Hook::Xdp {
            match self.parts.flows {
                Some(flows) => {
                    self.keys(code, bits);
                    code.call(flows.state, &[]);
                }
                None => flows::fresh(code, self.memory),
            }
            if let Some(cookies) = self.parts.cookies {
                self.look_for_cookie(code, &cookies, bits);
            }
            if let Some(conditions) = self.parts.conditions {
                code.call(conditions, &[self.context]);
            }
        }
        if let Some(routed) = self.parts.routed {
            self.routed(code, routed, bits, given);
        }
        let given = code.get(given);
        let verdict = if hook == Hook::Xdp && self.parts.shape.forwards {
            // Which packets are going to be forwarded is not known here, so nothing is dropped.
            code.num(ACCEPT.into())
        } else {
            code.call(self.parts.judge, &[given])
        };
        if hook == Hook::Egress && self.parts.shape.forwards {
            let interface = code.load(Width::W32, self.context, field::INTERFACE);
            code.store(Width::W32, self.memory, work::INTERFACE, interface);
        }
        let drop = code.b.block(&[]);
        code.leave_if(drop, Cond::Ne, verdict, ACCEPT.into());
        if let Some(cookies) = self.parts.cookies {
            self.give_cookie(code, &cookies, bits, drop);
        }
        if hook != Hook::Xdp {
            if let Some(flows) = self.parts.flows {
                let seen = code.b.block(&[]);
                if self.parts.routed.is_some() {
                    // Its connection begins where rules decide about it.
                    let rule = code.load(Width::W32, self.memory, work::RULE);
                    code.leave_if(seen, Cond::Eq, rule, special::FORWARDED.into());
                }
                let failed = code.call(flows.follow, &[]);
                self.refuse(code, failed, special::NO_CONNECTION, drop);
                code.close(seen);
                code.b.switch_to(seen);
            }
            if let Some(translate) = self.parts.translate {
                self.translate_forwarded(code, bits, |code| self.translate(code, &translate, bits, drop));
            }
            let set = code.load(Width::W32, self.memory, work::SET_MARK);
            code.when_is(Cond::Ne, set, 0, |code| {
                let mark = code.load(Width::W32, self.memory, work::NEW_MARK);
                let mark = code.b.unary(Unary::Truncate, mark);
                code.b.store(Width::W32, self.context, field::MARK, mark);
            });
            self.tell(code, watch::ACCEPTED);
        }
        code.give(hook.pass());
        code.b.switch_to(drop);
        // What was accepted and cannot be translated is dropped.
        code.when_is(Cond::Eq, verdict, ACCEPT.into(), |code| {
            let dropped = code.num(DROP.into());
            code.store(Width::W32, self.memory, work::VERDICT, dropped);
        });
        self.tell(code, watch::DROPPED);
        if let Some(answer) = self.parts.answer {
            code.when_is(Cond::Eq, verdict, REJECT.into(), |code| {
                let places = [self.at, self.network, self.end].map(|place| code.get(place));
                let action = code.call(answer, &[self.context, places[0], places[1], places[2], bits]);
                let action = code.b.unary(Unary::Truncate, action);
                code.b.ret(Some(action));
            });
        }
        code.give(hook.drop());
    }

    /// Drops an accepted packet for another reason if `failed` is not 0.
    pub(in crate::program) fn refuse(&self, code: &mut Code<'_>, failed: Value, reason: u32, drop: Block) {
        let go_on = code.b.block(&[]);
        code.leave_if(go_on, Cond::Eq, failed, 0);
        let reason = code.num(reason.into());
        code.call(self.parts.judge, &[reason]);
        code.close(drop);
        code.b.switch_to(go_on);
    }

    /// Neighbour discovery passes.
    fn neighbours(&self, code: &mut Code<'_>, bits: Value, given: Var) {
        let other = code.b.block(&[]);
        let of_interest = attr::V6 | attr::HAS_ICMP | attr::PROTOCOL;
        let mask = code.bits(of_interest);
        let seen = code.b.binary(Binary::And, bits, mask);
        let wanted = code.bits(attr::V6 | attr::HAS_ICMP | u64::from(ICMP6));
        code.leave_for(other, Cond::Ne, seen, wanted);
        let number = code.with(Binary::Lshr, bits, attr::TYPE_SHIFT.into());
        let number = code.with(Binary::And, number, 0xff);
        code.leave_if(other, Cond::Ult, number, (*NEIGHBOUR_DISCOVERY.start()).into());
        code.leave_if(other, Cond::Ugt, number, (*NEIGHBOUR_DISCOVERY.end()).into());
        if self.parts.hook == Hook::Xdp {
            code.give(Hook::Xdp.pass());
        } else {
            let rule = code.num(special::NEIGHBOURS.into());
            code.set(given, rule);
        }
        code.close(other);
        code.b.switch_to(other);
    }
}
