//! Reading one statement of assembly text.
//!
//! A statement becomes an [`Op`] and, where it names a label, the label: its distance is filled in by the assembler.

use super::super::{AluOp, AtomicOp, Callee, Imm64, JmpOp, Op, Order, Reg, Size, Src, Width};
use super::cursor::{Cursor, Fault, Operand};
use crate::helpers;

/// One statement: the instruction, and the label its distance refers to.
pub struct Statement<'a> {
    pub op: Op,
    pub label: Option<&'a str>,
}

impl Statement<'_> {
    fn plain(op: Op) -> Self {
        Self { op, label: None }
    }
}

/// The opcode that a listing prints in front of an instruction; it decides where the kernel's text is ambiguous.
type Opcode = Option<u8>;

/// Opcode of a 64-bit immediate load, which the kernel prints like a move.
const LOAD_IMM: u8 = 0x18;

/// Reads a statement up to the end of the line.
pub fn statement<'a>(cursor: &mut Cursor<'a>) -> Result<Statement<'a>, Fault> {
    let opcode = listed_opcode(cursor);
    let statement = unfinished(cursor, opcode)?;
    cursor.expect_end()?;
    Ok(statement)
}

/// `(b7)` in front of an instruction, as in verifier logs.
fn listed_opcode(cursor: &mut Cursor) -> Opcode {
    let mut ahead = *cursor;
    if !ahead.eat("(") {
        return None;
    }
    let (digits, _) = ahead.rest().split_once(')')?;
    let code = u8::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2)?;
    ahead.eat(digits);
    ahead.eat(")");
    *cursor = ahead;
    Some(code)
}

fn unfinished<'a>(cursor: &mut Cursor<'a>, opcode: Opcode) -> Result<Statement<'a>, Fault> {
    if cursor.eat("*") {
        return store(cursor).map(Statement::plain);
    }
    if let Some(dst) = cursor.operand() {
        return assignment(cursor, dst, opcode);
    }
    let mut ahead = *cursor;
    let parse: fn(&mut Cursor<'a>, Opcode) -> Result<Statement<'a>, Fault> = match ahead.word() {
        Some("exit") => |_, _| Ok(Statement::plain(Op::Exit)),
        Some("goto") => |cursor, _| {
            jump(cursor, "the 16 bits of `goto`; use `gotol`", |off: i16| Op::Goto { off })
        },
        Some("gotol") => |cursor, _| jump(cursor, "32 bits", |off: i32| Op::GotoLong { off }),
        Some("may_goto") => |cursor, _| jump(cursor, "the 16 bits of `may_goto`", |off: i16| Op::MayGoto { off }),
        Some("if") => conditional,
        Some("call") => |cursor, _| call(cursor),
        Some("callx") => |cursor, _| Ok(Statement::plain(Op::Call(Callee::Reg(cursor.expect_reg()?)))),
        Some("lock") => |cursor, _| locked(cursor).map(Statement::plain),
        Some("store_release") => |cursor, _| store_release(cursor).map(Statement::plain),
        _ => return cursor.expected("an instruction"),
    };
    *cursor = ahead;
    parse(cursor, opcode)
}

/// A target: a distance with or without `pc`, or a label.
fn jump<'a, T: TryFrom<i128> + Default>(
    cursor: &mut Cursor<'a>,
    limit: &str,
    op: impl Fn(T) -> Op,
) -> Result<Statement<'a>, Fault> {
    let mut ahead = *cursor;
    let has_distance = ahead.rest().trim_start().starts_with(['+', '-']) || {
        ahead.eat_word("pc") && ahead.rest().starts_with(['+', '-'])
    };
    if has_distance {
        *cursor = ahead;
        let statement = Statement::plain(op(cursor.ranged(limit)?));
        skip_symbol(cursor);
        return Ok(statement);
    }
    match cursor.word() {
        Some(label) => Ok(Statement { op: op(T::default()), label: Some(label) }),
        None => cursor.expected("a distance (`+3`) or a label"),
    }
}

/// LLVM prints the symbol of a target behind its distance: `goto +3 <LBB0_2>`.
fn skip_symbol(cursor: &mut Cursor) {
    let mut ahead = *cursor;
    if ahead.eat("<") {
        while !ahead.rest().is_empty() && !ahead.eat(">") {
            let step = ahead.rest().chars().next().map_or(0, char::len_utf8);
            let skipped = ahead.rest().get(..step).unwrap_or("");
            ahead.eat(skipped);
        }
        *cursor = ahead;
    }
}

fn conditional<'a>(cursor: &mut Cursor<'a>, opcode: Opcode) -> Result<Statement<'a>, Fault> {
    let left = cursor.expect_operand()?;
    let Some(op) = cursor.symbol(JmpOp::ALL, JmpOp::symbol) else {
        return cursor.expected("a condition (==, !=, >, >=, <, <=, s>, s>=, s<, s<= or &)");
    };
    let src = source(cursor, left.width, opcode)?;
    if !cursor.eat_word("goto") {
        return cursor.expected("`goto`");
    }
    let Operand { width, reg: dst } = left;
    jump(cursor, "the 16 bits of a conditional jump", |off| Op::JumpIf { width, op, dst, src, off })
}

/// The second operand: a register of the same width or a constant.
fn source(cursor: &mut Cursor, width: Width, opcode: Opcode) -> Result<Src, Fault> {
    let at = cursor.position();
    match cursor.operand() {
        Some(right) if right.width == width => Ok(Src::Reg(right.reg)),
        Some(_) => Err((at, format!("both operands must be of one width, written with `{}`", width.letter()))),
        None => constant(cursor, width, opcode).map(Src::Imm),
    }
}

/// A constant of 32 bits.
///
/// Constants are extended by their sign, so one from 0x80000000 on means what it says for 32-bit operations only.
/// Listings of the kernel print the bits of negative constants.
fn constant(cursor: &mut Cursor, width: Width, opcode: Opcode) -> Result<i32, Fault> {
    let number = cursor.expect_number()?;
    let as_bits = u32::try_from(number.value).ok().filter(|_| width == Width::W32 || (opcode.is_some() && number.hex));
    match (i32::try_from(number.value), as_bits) {
        (Ok(value), _) => Ok(value),
        (_, Some(bits)) => Ok(bits as i32),
        _ => Err((number.at, format!("{} does not fit the 32-bit constant; load it with `rN = VALUE ll`", number.value))),
    }
}

fn assignment<'a>(cursor: &mut Cursor<'a>, dst: Operand, opcode: Opcode) -> Result<Statement<'a>, Fault> {
    let Some(op) = cursor.symbol(AluOp::ALL, AluOp::symbol) else {
        return cursor.expected("an operator such as `=` or `+=`");
    };
    if op == AluOp::Mov {
        return value(cursor, dst, opcode);
    }
    let Operand { width, reg } = dst;
    let src = source(cursor, width, opcode)?;
    Ok(Statement::plain(Op::Alu { width, op, dst: reg, src }))
}

/// The right side of `=`.
fn value<'a>(cursor: &mut Cursor<'a>, dst: Operand, opcode: Opcode) -> Result<Statement<'a>, Fault> {
    let at = cursor.position();
    let Operand { width, reg } = dst;
    if cursor.eat("*") {
        return load(cursor, dst, at).map(Statement::plain);
    }
    if cursor.eat("(") {
        return sign_extension(cursor, dst).map(Statement::plain);
    }
    let mut ahead = *cursor;
    if ahead.eat("-") && let Some(operand) = ahead.operand() {
        *cursor = ahead;
        let op = Op::Neg { width, dst: reg };
        return if operand == dst { Ok(Statement::plain(op)) } else { Err((at, SAME_REGISTER.to_owned())) };
    }
    if cursor.operand().is_some() {
        *cursor = Cursor::clone(cursor);
        return moved(cursor, dst, at).map(Statement::plain);
    }
    if let Some(word) = ahead_word(cursor) {
        return named_value(cursor, dst, word, at);
    }
    number_value(cursor, dst, opcode).map(Statement::plain)
}
