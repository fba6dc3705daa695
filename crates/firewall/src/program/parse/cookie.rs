//! When cookies are given and looked for.

use skep_ir::{Binary, Block, Cond, Unary, Value, Width};

use super::super::code::Code;
use super::super::cookies::{ACK, Cookies, KIND, NONE, RIGHT, SYN, WRONG};
use super::super::flows::{INVALID, NEW};
use super::super::work;
use super::Reader;
use crate::tables::layout::{attr, record, special};

/// Leaves unless the packet is a segment of TCP with these of the flags in [`KIND`].
fn only(code: &mut Code<'_>, bits: Value, flags: u64, other: Block) {
    let mask = code.bits(attr::HAS_FLAGS | attr::FRAGMENT | KIND << attr::FLAGS_SHIFT);
    let seen = code.b.binary(Binary::And, bits, mask);
    let wanted = code.bits(attr::HAS_FLAGS | flags << attr::FLAGS_SHIFT);
    code.leave_for(other, Cond::Ne, seen, wanted);
}

impl Reader<'_> {
    /// What acknowledges a cookie begins a connection.
    pub(super) fn look_for_cookie(&self, code: &mut Code<'_>, cookies: &Cookies, bits: Value) {
        let end = code.b.block(&[]);
        let none = code.num(NONE);
        code.store(Width::W32, self.memory, work::COOKIE, none);
        let state = code.load(Width::W32, self.memory, work::STATE);
        code.leave_if(end, Cond::Ne, state, INVALID);
        only(code, bits, ACK, end);
        let (network, at) = (code.get(self.network), code.get(self.at));
        code.call(cookies.check, &[self.context, network, at, bits]);
        let cookie = code.load(Width::W32, self.memory, work::COOKIE);
        code.leave_if(end, Cond::Ne, cookie, RIGHT);
        let new = code.num(NEW);
        code.store(Width::W32, self.memory, work::STATE, new);
        code.close(end);
        code.b.switch_to(end);
    }

    /// Answers an accepted SYN if its rule says so, and drops what acknowledges nothing.
    pub(super) fn give_cookie(&self, code: &mut Code<'_>, cookies: &Cookies, bits: Value, drop: Block) {
        let end = code.b.block(&[]);
        let rule = code.load(Width::W32, self.memory, work::RULE);
        let row = code.element(self.parts.maps.rules, rule, end);
        let flags = code.load(Width::W32, row, record::FLAGS);
        let gives = code.with(Binary::And, flags, record::COOKIES.into());
        code.leave_if(end, Cond::Eq, gives, 0);
        let cookie = code.load(Width::W32, self.memory, work::COOKIE);
        let wrong = code.num(WRONG);
        let wrong = code.b.compare(Cond::Eq, cookie, wrong);
        self.refuse(code, wrong, special::WRONG_COOKIE, drop);
        let state = code.load(Width::W32, self.memory, work::STATE);
        code.leave_if(end, Cond::Ne, state, NEW);
        only(code, bits, SYN, end);
        let places = [self.at, self.network, self.end].map(|place| code.get(place));
        let action = code.call(cookies.give, &[self.context, places[0], places[1], places[2], bits]);
        code.leave_if(end, Cond::Eq, action, 0);
        let reason = code.num(special::COOKIE.into());
        code.call(self.parts.judge, &[reason]);
        self.tell(code, crate::tables::layout::watch::DROPPED);
        let action = code.b.unary(Unary::Truncate, action);
        code.b.ret(Some(action));
        code.b.switch_to(end);
    }
}
