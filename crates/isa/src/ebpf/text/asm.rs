//! From text to instructions: lines, labels and distances.

use std::collections::HashMap;
use std::fmt;

use super::super::{Callee, Endian, Imm64, Insn, Op};
use super::cursor::{Cursor, Fault};
use super::statement::{Statement, statement};

/// A line that could not be assembled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsmError {
    /// Number of the line, from 1.
    pub line: usize,
    /// Number of the character in the line, from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.reason)
    }
}

impl std::error::Error for AsmError {}

/// A reference to a label that waits for its definition.
struct Pending<'a> {
    slot: usize,
    op: Op,
    label: &'a str,
    line: usize,
    column: usize,
}

/// Assembles a program: one instruction a line in the notation of this module.
///
/// Also understood: labels (`name:`) as targets of jumps, calls and `subprog[name]`; helpers by name
/// (`call bpf_ktime_get_ns`); comments from `;` or `//` to the end of the line and lines that start with `#`; LLVM's
/// spellings; positions (`12:`) and opcodes (`(b7)`) as listings print them, which are skipped. A name that is both a
/// helper's and a label's calls the helper.
///
/// # Errors
/// The first line that cannot be read, with the column; a label that is missing, defined twice or out of reach. The
/// program as a whole is not judged; see [`validate`](super::super::validate).
pub fn assemble(text: &str) -> Result<Vec<Insn>, AsmError> {
    let mut insns = Vec::new();
    let mut labels: HashMap<&str, usize> = HashMap::new();
    let mut pending = Vec::new();
    for (index, full) in text.lines().enumerate() {
        let line = index + 1;
        let mut cursor = Cursor::new(without_comment(full));
        let fault = |(at, reason): Fault| AsmError { line, column: column(full, at), reason };
        skip_position(&mut cursor);
        while let Some(label) = label(&mut cursor) {
            if labels.insert(label, insns.len()).is_some() {
                return Err(fault((0, format!("the label `{label}` is defined twice"))));
            }
        }
        let at = cursor.position();
        if cursor.rest().is_empty() {
            continue;
        }
        if let Some(slot) = data(&mut cursor).map_err(fault)? {
            insns.push(slot);
            continue;
        }
        let Statement { op, label } = statement(&mut cursor).map_err(fault)?;
        if let Some(label) = label {
            pending.push(Pending { slot: insns.len(), op, label, line, column: column(full, at) });
        }
        op.emit(&mut insns);
    }
    for reference in pending {
        let (line, column) = (reference.line, reference.column);
        let op = resolve(&reference, &labels).map_err(|reason| AsmError { line, column, reason })?;
        insns[reference.slot] = op.encode().first;
    }
    Ok(insns)
}

fn without_comment(line: &str) -> &str {
    if line.trim_start().starts_with('#') {
        return "";
    }
    let end = [line.find(';'), line.find("//")].into_iter().flatten().min();
    line.get(..end.unwrap_or(line.len())).unwrap_or("")
}

fn column(line: &str, at: usize) -> usize {
    line.get(..at).map_or(at, |before| before.chars().count()) + 1
}

/// `12:` in front of an instruction.
fn skip_position(cursor: &mut Cursor) {
    let mut ahead = *cursor;
    if ahead.rest().trim_start().starts_with(|c: char| c.is_ascii_digit()) && ahead.number().is_some() && ahead.eat(":")
    {
        *cursor = ahead;
    }
}

/// `name:` in front of an instruction or alone.
fn label<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    let mut ahead = *cursor;
    let word = ahead.word()?;
    if !ahead.rest().starts_with(':') {
        return None;
    }
    ahead.eat(":");
    *cursor = ahead;
    Some(word)
}

/// `.8byte NUMBER`: a slot as a number.
fn data(cursor: &mut Cursor) -> Result<Option<Insn>, Fault> {
    if !cursor.eat(".8byte") {
        return Ok(None);
    }
    let at = cursor.position();
    let number = cursor.rest().trim();
    let value = match (number.strip_prefix("0x"), number.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (None, Some(_)) => number.parse::<i64>().ok().map(i64::cast_unsigned),
        (None, None) => number.parse().ok(),
    };
    let value = value.ok_or_else(|| (at, format!("`{number}` is no number of 64 bits")))?;
    Ok(Some(Insn::from_bytes(value.to_le_bytes(), Endian::Little)))
}

/// The instruction with its distance filled in.
fn resolve(reference: &Pending, labels: &HashMap<&str, usize>) -> Result<Op, String> {
    let Pending { slot, label, .. } = reference;
    let target = *labels.get(label).ok_or_else(|| format!("there is no label `{label}`"))?;
    let distance = target as i64 - (*slot as i64 + 1);
    let too_far = |hint: &str| format!("the label `{label}` is {distance} slots away, too far for this jump{hint}");
    let short = || i16::try_from(distance).map_err(|_| too_far("; jump to a `gotol`"));
    let long = || i32::try_from(distance).map_err(|_| too_far(""));
    Ok(match reference.op {
        Op::Goto { .. } => Op::Goto { off: short()? },
        Op::GotoLong { .. } => Op::GotoLong { off: long()? },
        Op::MayGoto { .. } => Op::MayGoto { off: short()? },
        Op::JumpIf { width, op, dst, src, .. } => Op::JumpIf { width, op, dst, src, off: short()? },
        Op::Call(_) => Op::Call(Callee::Local(long()?)),
        Op::LoadImm { dst, .. } => Op::LoadImm { dst, value: Imm64::Func(long()?) },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Notation, disassemble, line};
    use super::*;
    use crate::ebpf::{ROWS, decode_program, numbered};

    #[track_caller]
    fn check(text: &str, plain: &str) {
        let insns = assemble(text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(disassemble(&insns).unwrap(), plain);
        assert_eq!(assemble(plain).unwrap(), insns);
    }

    #[track_caller]
    fn rejects(text: &str, message: &str) {
        assert_eq!(assemble(text).unwrap_err().to_string(), message);
    }

    #[test]
    fn labels_and_comments() {
        check(
            "; counts to five\n\
             start: r0 = 0 // zero\n\
             # loop\n\
             loop:\n\
             \x20 r0 += 1\n\
             \x20 if r0 < 5 goto loop\n\
             \x20 r1 = 7 ll\n\
             \x20 call double\n\
             \x20 r2 = subprog[double] ll\n\
             \x20 exit\n\
             double: r0 = r1\n\
             \x20 r0 <<= 1\n\
             \x20 goto end\n\
             end: exit\n",
            "r0 = 0\nr0 += 1\nif r0 < 5 goto -2\nr1 = 0x7 ll\ncall pc+3\nr2 = subprog[+2] ll\nexit\nr0 = r1\nr0 <<= 1\n\
             goto +0\nexit\n",
        );
    }

    #[test]
    fn spellings_of_llvm_and_the_kernel() {
        check("w0 = *(u32 *)(r1 + 4)", "r0 = *(u32 *)(r1 +4)\n");
        check("r0 = *(u32 *)(r1 + -4)", "r0 = *(u32 *)(r1 -4)\n");
        check("r0 = *(u32 *)(r1 - 4)", "r0 = *(u32 *)(r1 -4)\n");
        check("*(u32 *)(r10 - 4) = w3", "*(u32 *)(r10 -4) = r3\n");
        check("12: (05) goto pc-13", "goto -13\n");
        check("if r1 == 0 goto +3 <LBB0_2>", "if r1 == 0 goto +3\n");
        check("(55) if r1 != 0xffffffff goto pc+2", "if r1 != -1 goto +2\n");
        check("if w1 != 0xffffffff goto +2", "if w1 != -1 goto +2\n");
        check("(18) r1 = 0x5", "r1 = 0x5 ll\n");
        check("r1 = -1 ll", "r1 = 0xffffffffffffffff ll\n");
        check("call bpf_ktime_get_ns#5", "call 5\n");
        check("call ktime_get_ns", "call 5\n");
        check("call kernel-function#77", "call kfunc 77\n");
        check("call kfunc 77 module 2", "call kfunc 77 module 2\n");
        check("r0 = atomic_fetch_add((u64 *)(r1 + 0), r0)", "r0 = atomic64_fetch_add((u64 *)(r1 +0), r0)\n");
        check("w2 = xchg32_32(r1 + 8, w2)", "r2 = atomic_xchg((u32 *)(r1 +8), r2)\n");
        check("r0 = cmpxchg_64(r1 + 8, r0, r2)", "r0 = atomic64_cmpxchg((u64 *)(r1 +8), r0, r2)\n");
        check("lock *(u32 *)(r1 + 0) ^= w2", "lock *(u32 *)(r1 +0) ^= r2\n");
        check("r0 = *(u8 *)skb[r7]", "r0 = *(u8 *)skb[r7 + 0]\n");
        check("r0 = *(u16 *)skb[-4096]", "r0 = *(u16 *)skb[-4096]\n");
    }

    #[test]
    fn slots_as_numbers() {
        check(".8byte 0x2a000000b7\n.8byte 149\n", "r0 = 42\nexit\n");
        rejects(".8byte exit", "line 1, column 8: `exit` is no number of 64 bits");
    }

    #[test]
    fn errors_have_a_place_and_a_remedy() {
        rejects(
            "r0 = 1\nr0 = r11",
            "line 2, column 6: `r11` is no value; expected a register, a number, a load or a function",
        );
        rejects(
            "r0 = 0x80000000",
            "line 1, column 6: 2147483648 does not fit the 32-bit constant; load it with `rN = VALUE ll`",
        );
        rejects("w0 += r1", "line 1, column 7: both operands must be of one width, written with `w`");
        rejects(
            "if r0 ! 1 goto +1",
            "line 1, column 7: expected a condition (==, !=, >, >=, <, <=, s>, s>=, s<, s<= or &), found `!`",
        );
        rejects("goto nowhere", "line 1, column 1: there is no label `nowhere`");
        rejects("a: exit\na: exit", "line 2, column 1: the label `a` is defined twice");
        rejects("goto +40000", "line 1, column 6: 40000 does not fit the 16 bits of `goto`; use `gotol`");
        rejects("r0 = -r1", "line 1, column 7: expected r0, the register that is assigned");
        rejects(
            "r1 = atomic64_xchg((u64 *)(r2 +0), r3)",
            "line 1, column 36: expected r1: the old value replaces the operand",
        );
        rejects("exit now", "line 1, column 6: expected the end of the line, found `now`");
        rejects("r0", "line 1, column 3: expected an operator such as `=` or `+=`, found the end of the line");
        rejects(
            "r0 = *(u32 *)(r1 +40000)",
            "line 1, column 18: 40000 does not fit the 16-bit offset of a memory access",
        );
        rejects("é = 1", "line 1, column 1: expected an instruction, found `é`");
        let far = format!("goto end\n{}end: exit", "r0 = 0\n".repeat(40_000));
        rejects(
            &far,
            "line 1, column 1: the label `end` is 40000 slots away, too far for this jump; jump to a `gotol`",
        );
    }

    /// Every row of the table, printed in both notations and read back.
    #[test]
    fn every_row_round_trips() {
        for row in &ROWS {
            let mut insns = Vec::new();
            row.op.emit(&mut insns);
            let plain = line(&row.op, Notation::Plain);
            assert_eq!(assemble(&plain), Ok(insns.clone()), "{plain}");
            let kernel = line(&row.op, Notation::Kernel);
            // The kernel prints no difference between 64-bit loads of numbers and of references.
            if !matches!(row.op, Op::LoadImm { .. }) {
                assert_eq!(assemble(&kernel), Ok(insns), "{kernel}");
            }
        }
    }

    #[test]
    fn listings_can_be_read_back() {
        let insns = assemble("r1 = 0x123456789 ll\nif r1 > -1 goto +1\ncall 5\nexit").unwrap();
        let ops = decode_program(&insns).unwrap();
        let listing = numbered(&ops, Notation::Kernel);
        assert_eq!(
            listing,
            "   0: (18) r1 = 0x123456789\n   2: (25) if r1 > 0xffffffff goto pc+1\n   3: (85) call bpf_ktime_get_ns#5\n   \
             4: (95) exit\n"
        );
        assert_eq!(assemble(&listing), Ok(insns));
    }
}
