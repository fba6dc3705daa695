//! The rules under which the Linux kernel accepts a classic program.
//!
//! Same rules and same verdicts as `bpf_check_basics_ok`, `bpf_check_classic` and `check_load_and_stores` in
//! `net/core/filter.c`. What the kernel answers with one EINVAL is told apart here.

use std::fmt;

use super::{AluOp, Insn, MAX_INSNS, Op, SCRATCH_WORDS, SKF_AD_OFF, ancillary, listing};

/// Why a program would be refused. Indices count instructions from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckError {
    /// There is no instruction.
    Empty,
    /// More than [`MAX_INSNS`] instructions; the number of them.
    TooLong(usize),
    /// The last instruction does not end the program.
    NoReturn {
        /// Index of the last instruction.
        at: usize,
    },
    /// One instruction breaks a rule.
    Insn {
        /// Index of the instruction.
        at: usize,
        /// The instruction itself, for the message.
        insn: Insn,
        /// The rule.
        rule: Rule,
    },
}

/// A rule about a single instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The opcode is not one of the machine's.
    UnknownOpcode,
    /// Division or modulus by the constant 0.
    DivisionByZero,
    /// Shift by a constant of 32 or more.
    ShiftTooFar,
    /// `M[k]` with `k` of 16 or more.
    NoSuchScratchWord,
    /// A jump leaves the program; all jumps go forward, so this includes jumps meant to go back.
    JumpOutside,
    /// An absolute load inside the ancillary area that is none of the ancillary words.
    NoSuchAncillary,
    /// `M[k]` is read although some path to the instruction did not write it.
    ScratchReadBeforeWrite,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownOpcode => "the opcode does not exist",
            Self::DivisionByZero => "division by the constant 0; test for it instead",
            Self::ShiftTooFar => "a shift count must be 0 to 31",
            Self::NoSuchScratchWord => "scratch memory has the words M[0] to M[15]",
            Self::JumpOutside => "the jump must go forward and stay inside the program",
            Self::NoSuchAncillary => "no ancillary word is at this offset; they are at 0 to 60 in steps of 4",
            Self::ScratchReadBeforeWrite => "the word is read before every path has written it; store to it first",
        })
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the program is empty; it needs at least a `ret`"),
            Self::TooLong(len) => write!(f, "the program has {len} instructions, the kernel takes at most {MAX_INSNS}"),
            Self::NoReturn { at } => write!(f, "instruction {at} is the last one and must be `ret`"),
            Self::Insn { at, insn, rule } => {
                write!(f, "instruction {}: {rule}", listing::line(insn, *at, listing::PadStyle::V1_11))
            }
        }
    }
}

impl std::error::Error for CheckError {}

/// Whether the Linux kernel would accept the program with `SO_ATTACH_FILTER`.
///
/// # Errors
/// The first broken rule, in the order in which the kernel looks: length, each instruction by itself, the end of
/// the program, scratch memory.
pub fn check(insns: &[Insn]) -> Result<(), CheckError> {
    if insns.len() > MAX_INSNS {
        return Err(CheckError::TooLong(insns.len()));
    }
    check_structure(insns)?;
    check_scratch(insns)
}

/// The rules of [`check`] that make a program runnable at all: everything except the largest length and the
/// initialisation of scratch memory.
///
/// # Errors
/// The first broken rule.
pub fn check_structure(insns: &[Insn]) -> Result<(), CheckError> {
    for (at, insn) in insns.iter().enumerate() {
        let Some(op) = insn.decode() else {
            return Err(CheckError::Insn { at, insn: *insn, rule: Rule::UnknownOpcode });
        };
        check_operands(op, insns.len() - at - 1).map_err(|rule| CheckError::Insn { at, insn: *insn, rule })?;
    }
    match insns.last().map(Insn::decode) {
        None => Err(CheckError::Empty),
        Some(Some(Op::RetK(_) | Op::RetA)) => Ok(()),
        Some(_) => Err(CheckError::NoReturn { at: insns.len() - 1 }),
    }
}

/// Checks one instruction that `following` others follow.
fn check_operands(op: Op, following: usize) -> Result<(), Rule> {
    // The target of a jump by `n` is the instruction n + 1 further on, so n must be less than what follows.
    let reaches = |distance: u32| usize::try_from(distance).is_ok_and(|n| n < following);
    match op {
        Op::AluK(AluOp::Div | AluOp::Mod, 0) => Err(Rule::DivisionByZero),
        Op::AluK(AluOp::Lsh | AluOp::Rsh, 32..) => Err(Rule::ShiftTooFar),
        Op::LdMem(k) | Op::LdxMem(k) | Op::St(k) | Op::Stx(k) if k >= SCRATCH_WORDS => Err(Rule::NoSuchScratchWord),
        Op::Ja(k) if !reaches(k) => Err(Rule::JumpOutside),
        Op::JumpK { jt, jf, .. } | Op::JumpX { jt, jf, .. } if !reaches(jt.into()) || !reaches(jf.into()) => {
            Err(Rule::JumpOutside)
        }
        Op::LdAbs(_, k) if k >= SKF_AD_OFF && ancillary(k).is_none() => Err(Rule::NoSuchAncillary),
        _ => Ok(()),
    }
}

/// Checks that scratch memory is written before it is read, on a program whose structure is sound.
///
/// Follows the kernel to the letter: it does not treat `ret` as the end of a path, so the set of written words
/// after a `ret` also flows into the next instruction.
fn check_scratch(insns: &[Insn]) -> Result<(), CheckError> {
    const ALL: u16 = u16::MAX;
    let mut written_at = vec![ALL; insns.len()];
    let mut written: u16 = 0;
    for (at, insn) in insns.iter().enumerate() {
        written &= written_at[at];
        let mut join = |distance: u32, written: u16| {
            if let Some(mask) = usize::try_from(distance).ok().and_then(|n| written_at.get_mut(at + 1 + n)) {
                *mask &= written;
            }
        };
        match insn.decode() {
            Some(Op::St(k) | Op::Stx(k)) => written |= 1 << k,
            Some(Op::LdMem(k) | Op::LdxMem(k)) if written & (1 << k) == 0 => {
                return Err(CheckError::Insn { at, insn: *insn, rule: Rule::ScratchReadBeforeWrite });
            }
            Some(Op::Ja(k)) => {
                join(k, written);
                written = ALL;
            }
            Some(Op::JumpK { jt, jf, .. } | Op::JumpX { jt, jf, .. }) => {
                join(jt.into(), written);
                join(jf.into(), written);
                written = ALL;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::{JmpOp, Size};

    #[track_caller]
    fn breaks(insns: &[Insn], at: usize, rule: Rule) {
        assert_eq!(check(insns), Err(CheckError::Insn { at, insn: insns[at], rule }));
    }

    #[test]
    fn lengths() {
        assert_eq!(check(&[]), Err(CheckError::Empty));
        let longest = vec![Insn::ret_k(0); MAX_INSNS];
        assert_eq!(check(&longest), Ok(()));
        let longer = vec![Insn::ret_k(0); MAX_INSNS + 1];
        assert_eq!(check(&longer), Err(CheckError::TooLong(4097)));
        assert_eq!(check_structure(&longer), Ok(()));
        assert_eq!(check(&[Insn::ret_k(0), Insn::tax()]), Err(CheckError::NoReturn { at: 1 }));
    }

    #[test]
    fn operands() {
        let ret = Insn::ret_a();
        breaks(&[Insn { code: 0x0e, ..Insn::default() }], 0, Rule::UnknownOpcode);
        breaks(&[Insn { code: 0x100, ..Insn::default() }, ret], 0, Rule::UnknownOpcode);
        breaks(&[Insn::alu_k(AluOp::Div, 0), ret], 0, Rule::DivisionByZero);
        breaks(&[Insn::alu_k(AluOp::Mod, 0), ret], 0, Rule::DivisionByZero);
        assert_eq!(check(&[Insn::alu_k(AluOp::Lsh, 31), ret]), Ok(()));
        breaks(&[Insn::alu_k(AluOp::Rsh, 32), ret], 0, Rule::ShiftTooFar);
        breaks(&[Insn::st(16), ret], 0, Rule::NoSuchScratchWord);
        breaks(&[Insn::ldx_mem(u32::MAX), ret], 0, Rule::NoSuchScratchWord);
        breaks(&[Insn::ld_abs(Size::Word, SKF_AD_OFF + 1), ret], 0, Rule::NoSuchAncillary);
        breaks(&[Insn::ld_abs(Size::Word, u32::MAX), ret], 0, Rule::NoSuchAncillary);
        assert_eq!(check(&[Insn::ld_abs(Size::Byte, SKF_AD_OFF + 60), ret]), Ok(()));
        assert_eq!(check(&[Insn::ld_ind(Size::Byte, u32::MAX), ret]), Ok(()));
    }

    #[test]
    fn jumps() {
        let ret = Insn::ret_k(0);
        assert_eq!(check(&[Insn::ja(0), ret]), Ok(()));
        breaks(&[Insn::ja(1), ret], 0, Rule::JumpOutside);
        breaks(&[ret, Insn::ja(u32::MAX), ret], 1, Rule::JumpOutside);
        breaks(&[Insn::jump_k(JmpOp::Eq, 0, 0, 1), ret], 0, Rule::JumpOutside);
        breaks(&[Insn::jump_x(JmpOp::Set, 1, 0), ret], 0, Rule::JumpOutside);
        assert_eq!(check(&[Insn::jump_x(JmpOp::Set, 1, 0), ret, ret]), Ok(()));
    }

    #[test]
    fn scratch_must_be_written_on_every_path() {
        let ret = Insn::ret_a();
        breaks(&[Insn::ld_mem(0), ret], 0, Rule::ScratchReadBeforeWrite);
        breaks(&[Insn::jump_k(JmpOp::Eq, 0, 1, 0), Insn::st(3), Insn::ld_mem(3), ret], 2, Rule::ScratchReadBeforeWrite);
        let both = [Insn::jump_k(JmpOp::Eq, 0, 2, 0), Insn::st(3), Insn::ja(1), Insn::stx(3), Insn::ld_mem(3), ret];
        assert_eq!(check(&both), Ok(()));
        // The kernel joins across `ret`: the word is written on the only path to the load, yet it is refused.
        let after_ret = [Insn::jump_k(JmpOp::Eq, 0, 1, 0), ret, Insn::ld_mem(0), ret];
        breaks(&after_ret, 2, Rule::ScratchReadBeforeWrite);
    }

    #[test]
    fn messages_name_the_instruction() {
        let error = check(&[Insn::alu_k(AluOp::Div, 0), Insn::ret_a()]).unwrap_err();
        assert_eq!(error.to_string(), "instruction (000) div      #0: division by the constant 0; test for it instead");
    }
}
