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
    let start = *cursor;
    match cursor.word() {
        Some("exit") => Ok(Statement::plain(Op::Exit)),
        Some("goto") => jump(cursor, "the 16 bits of `goto`; use `gotol`", |off| Op::Goto { off }),
        Some("gotol") => jump(cursor, "32 bits", |off| Op::GotoLong { off }),
        Some("may_goto") => jump(cursor, "the 16 bits of `may_goto`", |off| Op::MayGoto { off }),
        Some("if") => conditional(cursor, opcode),
        Some("call") => call(cursor),
        Some("callx") => Ok(Statement::plain(Op::Call(Callee::Reg(cursor.expect_reg()?)))),
        Some("lock") => locked(cursor).map(Statement::plain),
        Some("store_release") => store_release(cursor).map(Statement::plain),
        _ => {
            *cursor = start;
            cursor.expected("an instruction")
        }
    }
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
        _ => {
            Err((number.at, format!("{} does not fit the 32-bit constant; load it with `rN = VALUE ll`", number.value)))
        }
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
    if ahead.eat("-") && ahead.rest().starts_with(['r', 'w']) {
        *cursor = ahead;
        expect_same(cursor, dst)?;
        return Ok(Statement::plain(Op::Neg { width, dst: reg }));
    }
    let mut ahead = *cursor;
    if ahead.operand().is_none()
        && let Some(word) = ahead.word()
    {
        *cursor = ahead;
        return named_value(cursor, dst, word, opcode, at);
    }
    let mut ahead = *cursor;
    if let Some(number) = ahead.number()
        && (opcode == Some(LOAD_IMM) || ahead.eat_word("ll"))
    {
        *cursor = ahead;
        let bits = u64::try_from(number.value).or_else(|_| i64::try_from(number.value).map(|value| value as u64));
        let Ok(bits) = bits else { return Err((at, format!("{} does not fit 64 bits", number.value))) };
        return load_imm(dst, Imm64::Value(bits), at).map(Statement::plain);
    }
    let src = source(cursor, width, opcode)?;
    Ok(Statement::plain(Op::Alu { width, op: AluOp::Mov, dst: reg, src }))
}

fn expect_same(cursor: &mut Cursor, dst: Operand) -> Result<(), Fault> {
    let at = cursor.position();
    if cursor.expect_operand()? == dst {
        return Ok(());
    }
    Err((at, format!("expected {}{}, the register that is assigned", dst.width.letter(), dst.reg.number())))
}

fn load_imm(dst: Operand, value: Imm64, at: usize) -> Result<Op, Fault> {
    match dst.width {
        Width::W64 => Ok(Op::LoadImm { dst: dst.reg, value }),
        Width::W32 => Err((at, "64-bit constants need a 64-bit register, written with `r`".to_owned())),
    }
}

/// `(s8)r1`, after the opening parenthesis.
fn sign_extension(cursor: &mut Cursor, dst: Operand) -> Result<Op, Fault> {
    let at = cursor.position();
    let (from, signed) = cursor.access_type()?;
    if !signed || from.bytes() >= dst.width.size().bytes() {
        let fitting = if dst.width == Width::W64 { "s8, s16 or s32" } else { "s8 or s16" };
        return Err((at, format!("expected {fitting} to extend to {} bits", dst.width.bits())));
    }
    cursor.expect(")")?;
    match source(cursor, dst.width, None)? {
        Src::Reg(src) => Ok(Op::MovSx { width: dst.width, from, dst: dst.reg, src }),
        Src::Imm(_) => Err((at, "only registers can be extended".to_owned())),
    }
}

/// A memory or packet load, after the `*`.
fn load(cursor: &mut Cursor, dst: Operand, at: usize) -> Result<Op, Fault> {
    cursor.expect("(")?;
    let (size, signed) = cursor.access_type()?;
    cursor.expect("*")?;
    cursor.expect(")")?;
    if cursor.eat_word("skb") {
        return packet_load(cursor, dst, size, signed, at);
    }
    let (base, off) = cursor.address()?;
    // LLVM writes loads of up to 32 bits to a `w` register; they clear the high half anyway.
    if dst.width == Width::W32 && (signed || size == Size::DW) {
        return Err((at, "this load fills 64 bits; write the register with `r`".to_owned()));
    }
    if signed && size == Size::DW {
        return Err((at, "a load of 64 bits has no sign to extend; write u64".to_owned()));
    }
    Ok(Op::Load { size, signed, dst: dst.reg, base, off })
}

fn packet_load(cursor: &mut Cursor, dst: Operand, size: Size, signed: bool, at: usize) -> Result<Op, Fault> {
    if signed || size == Size::DW || dst.reg != Reg::R0 {
        return Err((at, "packet loads put a u8, u16 or u32 into r0".to_owned()));
    }
    cursor.expect("[")?;
    let op = match cursor.operand() {
        Some(src) => {
            cursor.eat("+");
            let k = if cursor.rest().trim_start().starts_with(']') { 0 } else { cursor.ranged("32 bits")? };
            Op::LdInd { size, src: src.reg, k }
        }
        None => Op::LdAbs { size, k: cursor.ranged("32 bits")? },
    };
    cursor.expect("]")?;
    Ok(op)
}

/// Right sides that start with a name.
fn named_value<'a>(
    cursor: &mut Cursor<'a>,
    dst: Operand,
    word: &str,
    opcode: Opcode,
    at: usize,
) -> Result<Statement<'a>, Fault> {
    if let Some((order, size)) = swap(word) {
        expect_same(cursor, dst)?;
        if dst.width == Width::W32 && size == Size::DW {
            return Err((at, "64 bits do not fit a `w` register".to_owned()));
        }
        return Ok(Statement::plain(Op::Swap { order, size, dst: dst.reg }));
    }
    if let Some((width, op)) = atomic_name(word) {
        return atomic(cursor, dst, width, op).map(Statement::plain);
    }
    match word {
        "load_acquire" => {
            cursor.expect("(")?;
            let (size, base, off) = cursor.typed_address()?;
            cursor.expect(")")?;
            Ok(Statement::plain(Op::LoadAcquire { size, dst: dst.reg, base, off }))
        }
        "addr_space_cast" => addr_space_cast(cursor, dst, at).map(Statement::plain),
        "map" | "var" | "subprog" => {
            let (value, label) = reference(cursor, word)?;
            if opcode != Some(LOAD_IMM) && !cursor.eat_word("ll") {
                return cursor.expected("`ll`");
            }
            Ok(Statement { op: load_imm(dst, value, at)?, label })
        }
        _ => Err((at, format!("`{word}` is no value; expected a register, a number, a load or a function"))),
    }
}

fn swap(word: &str) -> Option<(Order, Size)> {
    [Order::Swap, Order::Little, Order::Big].into_iter().find_map(|order| {
        let size = match word.strip_prefix(order.symbol())? {
            "16" => Size::H,
            "32" => Size::W,
            "64" => Size::DW,
            _ => return None,
        };
        Some((order, size))
    })
}

fn addr_space_cast(cursor: &mut Cursor, dst: Operand, at: usize) -> Result<Op, Fault> {
    cursor.expect("(")?;
    let src = cursor.expect_reg()?;
    cursor.expect(",")?;
    let to: u16 = cursor.ranged("an address space")?;
    cursor.expect(",")?;
    let from: u16 = cursor.ranged("an address space")?;
    cursor.expect(")")?;
    match (to, from) {
        (1, 0) => Ok(Op::AddrSpaceCast { dst: dst.reg, src, to_arena: true }),
        (0, 1) => Ok(Op::AddrSpaceCast { dst: dst.reg, src, to_arena: false }),
        _ => Err((at, "addresses can be cast from space 0 to 1 or from 1 to 0".to_owned())),
    }
}

/// The function names of atomic operations: the kernel's and, without a type in the address, LLVM's.
fn atomic_name(word: &str) -> Option<(Option<Width>, AtomicOp)> {
    let llvm = match word {
        "xchg_64" => Some((Width::W64, AtomicOp::Xchg)),
        "xchg32_32" => Some((Width::W32, AtomicOp::Xchg)),
        "cmpxchg_64" => Some((Width::W64, AtomicOp::CmpXchg)),
        "cmpxchg32_32" => Some((Width::W32, AtomicOp::CmpXchg)),
        _ => None,
    };
    if let Some((width, op)) = llvm {
        return Some((Some(width), op));
    }
    let name = word.strip_prefix("atomic64_").or_else(|| word.strip_prefix("atomic_"))?;
    let op = AtomicOp::from_symbol(name.strip_prefix("fetch_").unwrap_or(name))?;
    (name.starts_with("fetch_") == op.alu().is_some()).then_some((None, op))
}

/// The arguments of an atomic function. `untyped` is the width where the address has no type.
fn atomic(cursor: &mut Cursor, dst: Operand, untyped: Option<Width>, op: AtomicOp) -> Result<Op, Fault> {
    cursor.expect("(")?;
    let (width, base, off) = match untyped {
        Some(width) => {
            let (base, off) = cursor.place()?;
            (width, base, off)
        }
        None => atomic_address(cursor)?,
    };
    cursor.expect(",")?;
    if op == AtomicOp::CmpXchg {
        let at = cursor.position();
        let compared = register(cursor, width)?;
        if compared != Reg::R0 || dst.reg != Reg::R0 {
            return Err((at, "a compare-and-exchange compares with r0 and returns in r0".to_owned()));
        }
        cursor.expect(",")?;
    }
    let at = cursor.position();
    let src = register(cursor, width)?;
    if op != AtomicOp::CmpXchg && src != dst.reg {
        return Err((at, format!("expected {}: the old value replaces the operand", dst.reg)));
    }
    cursor.expect(")")?;
    Ok(Op::Atomic { width, op, fetch: true, base, off, src })
}

/// A typed address of 4 or 8 bytes.
fn atomic_address(cursor: &mut Cursor) -> Result<(Width, Reg, i16), Fault> {
    let at = cursor.position();
    let (size, base, off) = cursor.typed_address()?;
    match size {
        Size::W => Ok((Width::W32, base, off)),
        Size::DW => Ok((Width::W64, base, off)),
        Size::B | Size::H => Err((at, "atomic operations work on u32 and u64".to_owned())),
    }
}

/// A register that holds a value of this width: with `r`, or with `w` where only 32 bits matter.
fn register(cursor: &mut Cursor, width: Width) -> Result<Reg, Fault> {
    let at = cursor.position();
    let operand = cursor.expect_operand()?;
    if operand.width == Width::W32 && width == Width::W64 {
        return Err((at, "64 bits need a register written with `r`".to_owned()));
    }
    Ok(operand.reg)
}

/// `map[fd:3]`, `map[idx:3][0]+8`, `var[btf:7][fd:2]`, `subprog[+5]`, after the first word.
fn reference<'a>(cursor: &mut Cursor<'a>, word: &str) -> Result<(Imm64, Option<&'a str>), Fault> {
    const LIMIT: &str = "32 bits";
    cursor.expect("[")?;
    if word == "subprog" {
        let (distance, label) = match cursor.word() {
            Some(label) => (0, Some(label)),
            None => (cursor.ranged(LIMIT)?, None),
        };
        cursor.expect("]")?;
        return Ok((Imm64::Func(distance), label));
    }
    if word == "var" {
        cursor.expect("btf:")?;
        let id = cursor.ranged(LIMIT)?;
        cursor.expect("]")?;
        let mut fd = 0;
        if cursor.eat("[") {
            cursor.expect("fd:")?;
            fd = cursor.ranged(LIMIT)?;
            cursor.expect("]")?;
        }
        return Ok((Imm64::BtfVar { id, fd }, None));
    }
    let by_fd = cursor.eat("fd:");
    if !by_fd {
        cursor.expect("idx:")?;
    }
    let number: i32 = cursor.ranged(LIMIT)?;
    cursor.expect("]")?;
    let mut offset = None;
    if cursor.eat("[") {
        cursor.expect("0")?;
        cursor.expect("]")?;
        cursor.expect("+")?;
        offset = Some(cursor.ranged(LIMIT)?);
    }
    let value = match (by_fd, offset) {
        (true, None) => Imm64::MapFd(number),
        (true, Some(offset)) => Imm64::MapFdValue { fd: number, offset },
        (false, None) => Imm64::MapIdx(number),
        (false, Some(offset)) => Imm64::MapIdxValue { idx: number, offset },
    };
    Ok((value, None))
}

/// A store, after the `*`.
fn store(cursor: &mut Cursor) -> Result<Op, Fault> {
    let (size, base, off) = cursor.typed_address()?;
    cursor.expect("=")?;
    let at = cursor.position();
    let src = match cursor.operand() {
        Some(Operand { width: Width::W32, .. }) if size == Size::DW => {
            return Err((at, "64 bits need a register written with `r`".to_owned()));
        }
        Some(operand) => Src::Reg(operand.reg),
        None => {
            let width = if size == Size::DW { Width::W64 } else { Width::W32 };
            Src::Imm(constant(cursor, width, None)?)
        }
    };
    Ok(Op::Store { size, base, off, src })
}

/// `lock *(u64 *)(r1 +0) += r2`, after the first word.
fn locked(cursor: &mut Cursor) -> Result<Op, Fault> {
    const OPS: [AtomicOp; 4] = [AtomicOp::Add, AtomicOp::Or, AtomicOp::And, AtomicOp::Xor];
    cursor.expect("*")?;
    let (width, base, off) = atomic_address(cursor)?;
    let Some(op) = cursor.symbol(&OPS, |op| op.alu().map_or("", AluOp::symbol)) else {
        return cursor.expected("an atomic operator (+=, |=, &= or ^=)");
    };
    let src = register(cursor, width)?;
    Ok(Op::Atomic { width, op, fetch: false, base, off, src })
}

/// `store_release((u64 *)(r2 +0), r1)`, after the first word.
fn store_release(cursor: &mut Cursor) -> Result<Op, Fault> {
    cursor.expect("(")?;
    let (size, base, off) = cursor.typed_address()?;
    cursor.expect(",")?;
    let src = register(cursor, if size == Size::DW { Width::W64 } else { Width::W32 })?;
    cursor.expect(")")?;
    Ok(Op::StoreRelease { size, base, off, src })
}

/// The callee: a number or name of a helper, `pc+N` or a label of this program, or a kernel function.
fn call<'a>(cursor: &mut Cursor<'a>) -> Result<Statement<'a>, Fault> {
    const LIMIT: &str = "32 bits";
    let callee = |callee| Ok(Statement::plain(Op::Call(callee)));
    if cursor.eat("kernel-function#") {
        return callee(Callee::Kfunc { id: cursor.ranged(LIMIT)?, module: 0 });
    }
    let mut ahead = *cursor;
    if ahead.eat_word("pc") && ahead.rest().starts_with(['+', '-']) {
        *cursor = ahead;
        return callee(Callee::Local(cursor.ranged(LIMIT)?));
    }
    let Some(word) = cursor.word() else {
        return callee(Callee::Helper(cursor.ranged(LIMIT)?));
    };
    if cursor.eat("#") {
        return callee(Callee::Helper(cursor.ranged(LIMIT)?));
    }
    if word == "kfunc"
        && let Some(number) = cursor.number()
    {
        let id = i32::try_from(number.value).map_err(|_| (number.at, format!("{} is no BTF id", number.value)))?;
        let module = if cursor.eat_word("module") { cursor.ranged("16 bits")? } else { 0 };
        return callee(Callee::Kfunc { id, module });
    }
    match helpers::by_name(word) {
        Some(helper) => callee(Callee::Helper(helper.id as i32)),
        None => Ok(Statement { op: Op::Call(Callee::Local(0)), label: Some(word) }),
    }
}
