//! Bytes of the packet for whoever watches, and for rules that look at the payload.

use skep_ir::{Binary, Cond, Value, Width};

use super::super::code::Code;
use super::super::work;
use super::Reader;
use crate::rules::parse::PAYLOAD_BYTES;
use crate::tables::layout::watch;

impl Reader<'_> {
    /// Keeps the first bytes of the packet for whoever watches.
    pub(super) fn capture(&self, code: &mut Code<'_>, watch: Value) {
        let kinds = code.load(Width::W32, watch, watch::KINDS);
        code.store(Width::W32, self.memory, work::WATCHED, kinds);
        let place = code.num(self.parts.hook as i64 | i64::from(self.parts.shape.bank) << 8);
        code.store(Width::W32, self.memory, work::HOOK, place);
        let zero = code.num(0);
        let length = code.load(Width::W32, self.memory, work::LENGTH);
        let read = self.copy(code, zero, length, work::PACKET, work::MOST_CAPTURED as i64);
        code.store(Width::W32, self.memory, work::CAPTURED, read);
    }

    /// Sends a record of what became of the packet, if somebody wants to know that.
    pub(super) fn tell(&self, code: &mut Code<'_>, what: u32) {
        let watched = code.load(Width::W32, self.memory, work::WATCHED);
        let kind = code.num(what.into());
        code.when(Cond::Set, watched, kind, |code| {
            code.call(self.parts.tell, &[kind]);
        });
    }

    /// The first bytes of the payload.
    pub(super) fn payload(&self, code: &mut Code<'_>, body: Value) {
        let end = code.get(self.end);
        code.leave_for(self.known, Cond::Uge, body, end);
        let there = code.b.binary(Binary::Sub, end, body);
        let read = self.copy(code, body, there, work::PAYLOAD, PAYLOAD_BYTES as i64);
        code.store(Width::W32, self.memory, work::PAYLOAD_LENGTH, read);
    }

    /// Reads bytes of the packet into the working memory, at most so many (a power of two), in pieces of that, a half, a
    /// quarter... so that the length of each is known. Gives how many were there.
    pub(super) fn copy(&self, code: &mut Code<'_>, body: Value, there: Value, place: i16, most_bytes: i64) -> Value {
        let most = code.num(most_bytes);
        let length = code.var(there);
        code.when(Cond::Ugt, there, most, |code| code.set(length, most));
        let length = code.get(length);
        let zero = code.num(0);
        let read = code.var(zero);
        let stop = code.b.block(&[]);
        for piece in (0..=most_bytes.ilog2()).rev().map(|bit| 1_i64 << bit) {
            let bit = code.num(piece);
            code.when(Cond::Set, length, bit, |code| {
                let done = code.get(read);
                let from = code.b.binary(Binary::Add, body, done);
                let room = code.with(Binary::And, done, 2 * most_bytes - 1);
                let to = code.b.ptr_add(self.memory, room);
                let to = code.b.ptr_add_const(to, place.into());
                self.fetch_to(code, from, to, piece, stop);
                let next = code.with(Binary::Add, done, piece);
                code.set(read, next);
            });
        }
        code.close(stop);
        code.b.switch_to(stop);
        code.get(read)
    }
}
