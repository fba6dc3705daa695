//! Which registers of a classic program matter at each instruction, shared by the comparison and the explanation.

use skep_isa::classic::{Op, SCRATCH_WORDS, SKF_AD_OFF};

/// Number of the accumulator, behind those of the scratch words.
pub(crate) const A: usize = SCRATCH_WORDS as usize;
/// Number of X.
pub(crate) const X: usize = A + 1;
/// Number of registers.
pub(crate) const REGS: usize = X + 1;

/// Numbers of the ancillary words that are special (`SKF_AD_*` divided by 4).
pub(super) mod word {
    pub(in crate::diff) const IFINDEX: u32 = 2;
    pub(in crate::diff) const NLATTR: u32 = 3;
    pub(in crate::diff) const NLATTR_NEST: u32 = 4;
    pub(in crate::diff) const HATYPE: u32 = 7;
    pub(in crate::diff) const XOR_X: u32 = 10;
}

/// Whether the ancillary word with this number is computed from registers and packet instead of being a plain number.
pub(super) fn is_computed(number: u32) -> bool {
    matches!(number, word::NLATTR | word::NLATTR_NEST | word::XOR_X)
}

/// For every instruction, the registers that it or a later one reads before writing them: bits by register number.
pub(crate) fn live_registers(ops: &[Op]) -> Vec<u32> {
    const BIT_A: u32 = 1 << A;
    const BIT_X: u32 = 1 << X;
    let mut live = vec![0u32; ops.len() + 1];
    for (at, op) in ops.iter().enumerate().rev() {
        let after = |distance: u32| live.get(at + 1 + distance as usize).copied().unwrap_or(0);
        let next = after(0);
        let mem = |k: u32| 1u32 << (k % SCRATCH_WORDS);
        live[at] = match *op {
            Op::LdAbs(_, k) if k >= SKF_AD_OFF => match (k - SKF_AD_OFF) / 4 {
                number if is_computed(number) => next | BIT_A | BIT_X,
                _ => next & !BIT_A,
            },
            Op::LdAbs(..) | Op::LdImm(_) | Op::LdLen => next & !BIT_A,
            Op::LdInd(..) | Op::Txa => next & !BIT_A | BIT_X,
            Op::LdMem(k) => next & !BIT_A | mem(k),
            Op::LdxImm(_) | Op::LdxLen | Op::LdxMsh(_) => next & !BIT_X,
            Op::LdxMem(k) => next & !BIT_X | mem(k),
            Op::St(k) => next & !mem(k) | BIT_A,
            Op::Stx(k) => next & !mem(k) | BIT_X,
            Op::AluK(..) | Op::Neg => next | BIT_A,
            Op::AluX(_) => next | BIT_A | BIT_X,
            Op::Ja(k) => after(k),
            Op::JumpK { jt, jf, .. } => after(jt.into()) | after(jf.into()) | BIT_A,
            Op::JumpX { jt, jf, .. } => after(jt.into()) | after(jf.into()) | BIT_A | BIT_X,
            Op::RetK(_) => 0,
            Op::RetA => BIT_A,
            Op::Tax => next & !BIT_X | BIT_A,
        };
    }
    live
}
