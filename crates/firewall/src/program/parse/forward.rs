//! What is different for forwarded packets.

use skep_ir::{Cond, FuncRef, Value, Width};

use super::super::code::{Code, Var};
use super::super::translate::NOTHING;
use super::super::{Hook, work};
use super::{Reader, field};
use crate::tables::layout::{attr, special};

/// `PACKET_OTHERHOST`: what a bridge passes on, which is not forwarded by routes.
const OTHER_HOST: i64 = 3;

impl Reader<'_> {
    /// A packet that leaves and came in by an interface is forwarded: `on` is about that one.
    pub(super) fn forwarded(&self, code: &mut Code<'_>) {
        let end = code.b.block(&[]);
        let came_by = code.load(Width::W32, self.context, field::CAME_BY);
        code.leave_if(end, Cond::Eq, came_by, 0);
        let kind = code.load(Width::W32, self.context, field::KIND);
        code.leave_if(end, Cond::Eq, kind, OTHER_HOST);
        code.store(Width::W32, self.memory, work::INTERFACE, came_by);
        let forward = code.bits(attr::FORWARD);
        code.set(self.bits, forward);
        code.close(end);
        code.b.switch_to(end);
    }

    /// No rule is asked about a packet that arrives and is going to be forwarded.
    pub(super) fn routed(&self, code: &mut Code<'_>, routed: FuncRef, bits: Value, given: Var) {
        let before = code.get(given);
        code.when_is(Cond::Eq, before, 0, |code| {
            let yes = code.call(routed, &[self.context, bits]);
            code.when_is(Cond::Ne, yes, 0, |code| {
                let rule = code.num(special::FORWARDED.into());
                code.set(given, rule);
            });
        });
    }

    /// Translates; rules that change the addresses of what leaves are looked for first if the packet is a forwarded one, because
    /// another rule has accepted it.
    pub(super) fn translate_forwarded(&self, code: &mut Code<'_>, bits: Value, translate: impl FnOnce(&mut Code<'_>)) {
        if self.parts.hook != Hook::Egress || !self.parts.shape.forwards {
            return translate(code);
        }
        let accepted = code.load(Width::W32, self.memory, work::RULE);
        let accepted = code.var(accepted);
        let known = code.b.block(&[]);
        let forward = code.bits(attr::FORWARD);
        let is_forwarded = code.b.binary(skep_ir::Binary::And, bits, forward);
        code.leave_if(known, Cond::Eq, is_forwarded, 0);
        let found = code.load(Width::W32, self.memory, work::TRANSLATION);
        code.leave_if(known, Cond::Ne, found, NOTHING);
        let out = code.bits(attr::OUT);
        let both = code.b.binary(skep_ir::Binary::Or, bits, out);
        code.store(Width::W64, self.memory, work::ATTRIBUTES, both);
        let zero = code.num(0);
        code.call(self.parts.judge, &[zero]);
        code.close(known);
        code.b.switch_to(known);
        translate(code);
        let accepted = code.get(accepted);
        code.store(Width::W32, self.memory, work::RULE, accepted);
    }
}
