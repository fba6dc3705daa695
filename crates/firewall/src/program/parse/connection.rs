//! Of which connection a packet is, or of which one an ICMP error tells.

use skep_ir::{Binary, Cond, Value, Width};

use super::super::code::Code;
use super::super::flows::{self, Ends, FRAGMENT_KEY};
use super::super::work;
use super::Reader;
use crate::rules::words::WITH_PORTS;
use crate::tables::layout::attr;

impl Reader<'_> {
    /// The connection that an ICMP error is about: the headers behind its own eight bytes.
    pub(super) fn about(&self, code: &mut Code<'_>, at: Value) {
        let (six, read, end) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
        let zero = code.num(0);
        let words = [(); 4].map(|()| code.var(zero));
        let (protocol, next) = (code.var(zero), code.var(zero));
        let inner = code.with(Binary::Add, at, 8);
        let bits = code.get(self.bits);
        let version = code.bits(attr::V6);
        code.leave_for(six, Cond::Set, bits, version);
        self.fetch(code, inner, 20, end);
        for (word, offset) in [(0, 12), (2, 16)] {
            let address = code.load(Width::W32, self.head, offset);
            code.set(words[word], address);
        }
        let number = code.load(Width::W8, self.head, 9);
        code.set(protocol, number);
        let first = code.load(Width::W8, self.head, 0);
        let length = code.with(Binary::And, first, 15);
        let length = code.with(Binary::Shl, length, 2);
        let place = code.b.binary(Binary::Add, inner, length);
        code.set(next, place);
        code.close(read);
        code.b.switch_to(six);
        self.fetch(code, inner, 40, end);
        for (word, offset) in [8, 16, 24, 32].into_iter().enumerate() {
            let part = code.load(Width::W64, self.head, offset);
            code.set(words[word], part);
        }
        let number = code.load(Width::W8, self.head, 6);
        code.set(protocol, number);
        let place = code.with(Binary::Add, inner, 40);
        code.set(next, place);
        code.close(read);

        code.b.switch_to(read);
        let (ports, build) = (code.b.block(&[]), code.b.block(&[]));
        let both = [code.var(zero), code.var(zero)];
        let (number, place) = (code.get(protocol), code.get(next));
        for &known in WITH_PORTS {
            code.leave_if(ports, Cond::Eq, number, known.into());
        }
        // Messages of ICMP have their number behind type, code and checksum.
        let id = code.with(Binary::Add, place, 4);
        self.fetch(code, id, 2, build);
        let id = code.load_net16(self.head, 0);
        both.iter().for_each(|port| code.set(*port, id));
        code.close(build);
        code.b.switch_to(ports);
        self.fetch(code, place, 4, end);
        for (port, offset) in both.into_iter().zip([0, 2]) {
            let value = code.load_net16(self.head, offset);
            code.set(port, value);
        }
        code.close(build);
        code.b.switch_to(build);
        let ends = Ends {
            addresses: words.map(|word| code.get(word)),
            ports: both.map(|port| code.get(port)),
            protocol: code.get(protocol),
        };
        flows::key(code, self.memory, work::OTHER, &ends);
        for (word, place) in ends.addresses.into_iter().zip([0, 8, 16, 24]) {
            code.store(Width::W64, self.memory, work::QUOTED + place, word);
        }
        for (port, place) in ends.ports.into_iter().zip([0, 2]) {
            code.store(Width::W16, self.memory, work::QUOTED_PORTS + place, port);
        }
        code.store(Width::W32, self.memory, work::QUOTED_PROTOCOL, ends.protocol);
        let place = code.get(next);
        code.store(Width::W32, self.memory, work::QUOTED_AT, place);
        let one = code.num(1);
        code.store(Width::W32, self.memory, work::OTHER_KIND, one);
        code.close(end);
        code.b.switch_to(end);
    }

    /// Keys of the connection and of later fragments.
    pub(super) fn keys(&self, code: &mut Code<'_>, bits: Value) {
        let words = [work::SOURCE, work::SOURCE + 8, work::DESTINATION, work::DESTINATION + 8];
        let addresses = words.map(|place| code.load(Width::W64, self.memory, place));
        let protocol = code.get(self.protocol);
        let (whole, fragment, later, end) =
            (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
        let marked = code.with(Binary::Or, protocol, FRAGMENT_KEY);
        let id = code.get(self.id);
        let upper = code.with(Binary::Lshr, id, 16);
        // The halves of the number change places with the addresses, which differ in both directions of no packet.
        let numbered = Ends { addresses, ports: [id, upper], protocol: marked };
        let bit = code.bits(attr::FRAGMENT);
        code.b.branch(Cond::Set, bits, bit, fragment, whole);
        code.b.switch_to(fragment);
        let bit = code.bits(attr::LATER);
        code.leave_for(later, Cond::Set, bits, bit);
        flows::key(code, self.memory, work::OTHER, &numbered);
        let two = code.num(2);
        code.store(Width::W32, self.memory, work::OTHER_KIND, two);
        code.close(whole);
        code.b.switch_to(later);
        flows::key(code, self.memory, work::FLOW, &numbered);
        code.close(end);
        code.b.switch_to(whole);
        let ports = self.key_ports.map(|port| code.get(port));
        flows::key(code, self.memory, work::FLOW, &Ends { addresses, ports, protocol });
        code.close(end);
        code.b.switch_to(end);
    }
}
