//! Loops over texts and bytes whose lengths are only known at run time: searching, comparing, joining.
//!
//! The kernel's verifier goes through such a loop once, because nothing that it knows changes from round to round: what
//! they count with is in the memory per processor, of whose contents it knows nothing, as is what they read. `may_goto`
//! (Linux 6.9) bounds them.

use skep_diag::Span;
use skep_ir::{Binary, Block, Cond, Type as IrType, Value, Width};

use super::body::Body;
use super::helpers;
use super::memory::At;
use crate::check::tree::Expr;

impl Body<'_, '_, '_> {
    /// The bytes of a value in memory that distances can be added to, zeros behind them up to `size`.
    fn laid_out(&mut self, expr: &Expr, size: u32) -> At {
        let own = self.size(&expr.ty);
        let at = self.large_temp(size.max(own));
        self.fill(at, size.max(own).next_multiple_of(8));
        self.write(expr, at, true);
        at
    }

    /// A byte at a distance.
    fn byte_at(&mut self, at: At, distance: Value) -> Value {
        let start = self.addr(at);
        let byte = At { ptr: self.b.ptr_add(start, distance), off: 0, align: 1 };
        self.load(Width::W8, false, byte)
    }

    /// The head of a loop that the kernel bounds; goes on in its body. When it has run for too long, there is a warning,
    /// and `cut` is next.
    fn bounded_loop(&mut self, cut: Block, span: Span) -> Block {
        let (head, check, end) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.jump(head, &[]);
        self.b.switch_to(head);
        self.may_goto(check, end);
        self.b.switch_to(end);
        self.loop_was_cut(span);
        self.b.jump(cut, &[]);
        self.b.switch_to(check);
        head
    }

    /// Numbers that a loop counts with, all zero.
    fn counters(&mut self, count: u32) -> At {
        let at = self.large_temp(count * 8);
        self.fill(at, count * 8);
        at
    }

    /// `strstr`: `i` is where the part is tried, `j` how many of its bytes agree.
    pub fn search(&mut self, text: &Expr, part: &Expr, span: Span) -> Value {
        let (text_size, part_size) = (self.size(&text.ty), self.size(&part.ty));
        let (text, part) = (self.laid_out(text, 0), self.laid_out(part, 0));
        let (found, missing) = (self.b.block(&[IrType::I64]), self.b.block(&[]));
        let join = self.b.block(&[IrType::I64]);
        let counters = self.counters(2);
        let head = self.bounded_loop(missing, span);
        let (i, j) = (self.load(Width::W64, false, counters), self.load(Width::W64, false, counters.plus(8)));
        let (wanted, given, compare, same, other) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        // All of the part agrees: here it is.
        let complete = self.b.block(&[]);
        let limit = self.b.i64(part_size.into());
        let j = self.b.branch_refining(Cond::Ult, j, limit, wanted, complete);
        self.b.switch_to(complete);
        self.b.jump(found, &[i]);
        self.b.switch_to(wanted);
        let byte = self.byte_at(part, j);
        let none = self.b.i64(0);
        let ended = self.b.block(&[]);
        self.b.branch(Cond::Eq, byte, none, ended, given);
        self.b.switch_to(ended);
        self.b.jump(found, &[i]);
        // The text ends before the part does: it cannot begin further behind either.
        self.b.switch_to(given);
        let at = self.b.binary(Binary::Add, i, j);
        let limit = self.b.i64(text_size.into());
        let at = self.b.branch_refining(Cond::Ult, at, limit, compare, missing);
        self.b.switch_to(compare);
        let other_byte = self.byte_at(text, at);
        let none = self.b.i64(0);
        let differ = self.b.block(&[]);
        self.b.branch(Cond::Eq, other_byte, none, missing, differ);
        self.b.switch_to(differ);
        self.b.branch(Cond::Eq, byte, other_byte, same, other);
        self.b.switch_to(same);
        let next = self.b.binary_const(Binary::Add, j, 1);
        self.store(Width::W64, counters.plus(8), next);
        self.b.jump(head, &[]);
        self.b.switch_to(other);
        let next = self.b.binary_const(Binary::Add, i, 1);
        self.store(Width::W64, counters, next);
        let zero = self.b.i64(0);
        self.store(Width::W64, counters.plus(8), zero);
        self.b.jump(head, &[]);
        self.b.switch_to(missing);
        let none = self.b.i64(-1);
        self.b.jump(join, &[none]);
        self.b.switch_to(found);
        let place = self.b.param(found, 0);
        self.b.jump(join, &[place]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// `memcmp`: the difference of the first bytes that differ. The length is at most `room`.
    pub fn compare_order(&mut self, left: &Expr, right: &Expr, len: (&Expr, u32), span: Span) -> Value {
        let room = len.1;
        let (left, right) = (self.laid_out(left, room), self.laid_out(right, room));
        let len = self.scalar(len.0);
        let len = self.at_most(len, room);
        let (equal, join) = (self.b.block(&[]), self.b.block(&[IrType::I64]));
        let counter = self.counters(1);
        let head = self.bounded_loop(equal, span);
        let i = self.load(Width::W64, false, counter);
        let (inside, compare, same, other) =
            (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        self.b.branch(Cond::Ult, i, len, inside, equal);
        self.b.switch_to(inside);
        // The verifier compares with numbers that it knows.
        let limit = self.b.i64(room.into());
        let i = self.b.branch_refining(Cond::Ult, i, limit, compare, equal);
        self.b.switch_to(compare);
        let (a, b) = (self.byte_at(left, i), self.byte_at(right, i));
        self.b.branch(Cond::Eq, a, b, same, other);
        self.b.switch_to(same);
        let next = self.b.binary_const(Binary::Add, i, 1);
        self.store(Width::W64, counter, next);
        self.b.jump(head, &[]);
        self.b.switch_to(other);
        let difference = self.b.binary(Binary::Sub, a, b);
        self.b.jump(join, &[difference]);
        self.b.switch_to(equal);
        let none = self.b.i64(0);
        self.b.jump(join, &[none]);
        self.b.switch_to(join);
        self.b.param(join, 0)
    }

    /// `str_concat`: one text behind the other, cut at `size` bytes.
    pub fn write_both(&mut self, left: &Expr, right: &Expr, to: At, size: u32) {
        let (first, second) = (self.size(&left.ty), self.size(&right.ty));
        let whole = self.large_temp(first.saturating_add(second).max(size));
        self.fill(whole, first.saturating_add(second).max(size).next_multiple_of(8));
        self.write(left, whole, true);
        let len = self.length_at(whole, first);
        let len = self.at_most(len, first);
        let start = self.addr(whole);
        let behind = self.b.ptr_add(start, len);
        let from = self.bytes_of(right);
        let from = self.addr(from);
        let from = self.as_number(from);
        let room = self.b.i64(second.into());
        self.call_void(helpers::PROBE_READ_KERNEL_STR, &[behind, room, from]);
        self.copy(to, whole, size);
    }
}
