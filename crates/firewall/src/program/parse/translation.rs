//! When the addresses of a packet are changed.

use skep_ir::{Binary, Block, Cond, Value, Width};

use super::super::code::Code;
use super::super::translate::{ANSWER, FORWARD, FULL, NOTHING, Translate};
use super::super::{Hook, work};
use super::Reader;
use crate::tables::layout::{attr, record, special};

impl Reader<'_> {
    /// The ports by which a translation is found, in one word.
    fn pair(&self, code: &mut Code<'_>) -> Value {
        let [from, to] = self.key_ports.map(|port| code.get(port));
        let to = code.with(Binary::Shl, to, 16);
        code.b.binary(Binary::Or, from, to)
    }

    /// Changes the packet, or the one that an ICMP error quotes with it. Behind the first fragment others are changed as well.
    fn change(&self, code: &mut Code<'_>, translate: &Translate, bits: Value) {
        let (network, at, number) = (code.get(self.network), code.get(self.at), code.get(self.id));
        let mask = code.bits(attr::FRAGMENT | attr::LATER);
        let fragment = code.b.binary(Binary::And, bits, mask);
        let first = code.bits(attr::FRAGMENT);
        code.when(Cond::Eq, fragment, first, |code| {
            code.call(translate.remember, &[number, bits]);
        });
        self.by_kind(
            code,
            |code| {
                code.call(translate.apply_quoted, &[self.context, network, at, bits]);
            },
            |code| {
                code.call(translate.apply, &[self.context, network, at, bits]);
            },
        );
    }

    /// One thing for ICMP errors, another one for other packets.
    fn by_kind(&self, code: &mut Code<'_>, error: impl FnOnce(&mut Code<'_>), other: impl FnOnce(&mut Code<'_>)) {
        let (kind, one) = (code.load(Width::W32, self.memory, work::OTHER_KIND), code.num(1));
        code.either(Cond::Eq, kind, one, error, other);
    }

    /// Looks for the packet's translation. Where answers to changed sources arrive, they are changed back at once.
    pub(super) fn translate_answers(&self, code: &mut Code<'_>, translate: &Translate, bits: Value) {
        let (whole, found, end) = (code.b.block(&[]), code.b.block(&[]), code.b.block(&[]));
        let none = code.num(NOTHING);
        code.store(Width::W32, self.memory, work::TRANSLATION, none);
        let (later, number) = (code.bits(attr::LATER), code.get(self.id));
        code.when(Cond::Set, bits, later, |code| {
            code.call(translate.find_later, &[number, bits]);
            code.close(found);
        });
        self.by_kind(
            code,
            |code| {
                code.call(translate.find_quoted, &[bits]);
                code.close(found);
            },
            |code| code.close(whole),
        );
        code.close(end);
        code.b.switch_to(whole);
        // Other messages of ICMP have no number.
        let pair = self.pair(code);
        code.leave_if(end, Cond::Eq, pair, 0);
        code.call(translate.find, &[pair, bits]);
        code.close(found);
        code.b.switch_to(found);
        if self.parts.hook == Hook::Ingress {
            let found = code.load(Width::W32, self.memory, work::TRANSLATION);
            code.leave_if(end, Cond::Ne, found, ANSWER);
            self.change(code, translate, bits);
            let none = code.num(NOTHING);
            code.store(Width::W32, self.memory, work::TRANSLATION, none);
            self.by_kind(
                code,
                // The connection is that of the packet as it is quoted now.
                |code| {
                    let at = code.get(self.at);
                    self.about(code, at);
                },
                |code| {
                    let (from, to) = (work::CHANGED + 32, work::CHANGED + 34);
                    for (port, place) in self.key_ports.into_iter().zip([from, to]) {
                        let value = code.load(Width::W16, self.memory, place);
                        code.set(port, value);
                    }
                },
            );
        }
        code.close(end);
        code.b.switch_to(end);
    }

    /// Changes an accepted packet whose connection is translated, or whose rule says so.
    pub(super) fn translate(&self, code: &mut Code<'_>, translate: &Translate, bits: Value, drop: Block) {
        let (change, end) = (code.b.block(&[]), code.b.block(&[]));
        let found = code.load(Width::W32, self.memory, work::TRANSLATION);
        for known in [FORWARD, ANSWER] {
            code.leave_if(change, Cond::Eq, found, known);
        }
        let rule = code.load(Width::W32, self.memory, work::RULE);
        let row = code.element(self.parts.maps.rules, rule, end);
        let flags = code.load(Width::W32, row, record::FLAGS);
        let translates = code.with(Binary::And, flags, record::TRANSLATE.into());
        code.leave_if(end, Cond::Eq, translates, 0);
        // What a later fragment or an error belongs to would be known; other messages of ICMP have no number.
        let later = code.bits(attr::LATER);
        code.leave_for(end, Cond::Set, bits, later);
        let pair = self.pair(code);
        code.leave_if(end, Cond::Eq, pair, 0);
        let made = code.call(translate.make, &[self.context, pair, bits]);
        code.leave_if(drop, Cond::Eq, made, 0);
        let full = code.num(FULL);
        let full = code.b.compare(Cond::Eq, made, full);
        self.refuse(code, full, special::NO_TRANSLATION, drop);
        code.close(change);
        code.b.switch_to(change);
        self.change(code, translate, bits);
        code.close(end);
        code.b.switch_to(end);
    }
}
