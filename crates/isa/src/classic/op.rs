//! Decoded classic instructions and the one table of instruction forms.
//!
//! Opcode numbers come from the constructors of [`Insn`]; mnemonics and operand notation are the columns of
//! [`FORMS`]. Decoder, listing, listing parser and validator all read that table.

use super::{AluOp, Insn, JmpOp, Size};

/// A classic instruction taken apart: what interpreters, optimisers and translators match on.
///
/// Every value encodes to exactly one [`Insn`] and every valid `Insn` decodes to one value; fields that an
/// instruction does not use are dropped by decoding and zero after encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `A = packet[k]`, or an ancillary word when `k` lies in the ancillary area.
    LdAbs(Size, u32),
    /// `A = packet[X + k]`
    LdInd(Size, u32),
    /// `A = k`
    LdImm(u32),
    /// `A = M[k]`
    LdMem(u32),
    /// `A = length of the packet`
    LdLen,
    /// `X = k`
    LdxImm(u32),
    /// `X = M[k]`
    LdxMem(u32),
    /// `X = length of the packet`
    LdxLen,
    /// `X = 4 * (packet[k] & 0xf)`
    LdxMsh(u32),
    /// `M[k] = A`
    St(u32),
    /// `M[k] = X`
    Stx(u32),
    /// `A = A OP k`
    AluK(AluOp, u32),
    /// `A = A OP X`
    AluX(AluOp),
    /// `A = -A`
    Neg,
    /// Skip `k` instructions.
    Ja(u32),
    /// Skip `jt` instructions if `A OP k`, else `jf`.
    JumpK {
        /// The condition.
        op: JmpOp,
        /// The constant compared with.
        k: u32,
        /// Distance when the condition holds.
        jt: u8,
        /// Distance when it does not.
        jf: u8,
    },
    /// Skip `jt` instructions if `A OP X`, else `jf`.
    JumpX {
        /// The condition.
        op: JmpOp,
        /// Distance when the condition holds.
        jt: u8,
        /// Distance when it does not.
        jf: u8,
    },
    /// End with `k`.
    RetK(u32),
    /// End with `A`.
    RetA,
    /// `X = A`
    Tax,
    /// `A = X`
    Txa,
}

/// How the operand of a form is written in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// Nothing.
    None,
    /// `#0x1f`
    Hex,
    /// `#31`, as a signed number.
    Dec,
    /// `[12]` or the name of an ancillary word.
    Abs,
    /// `[x + 14]`
    Ind,
    /// `M[3]`
    Mem,
    /// `4*([14]&0xf)`
    Msh,
    /// `#pktlen`
    Len,
    /// `x`
    X,
    /// The index of the target instruction.
    Target,
}

/// One row of the instruction table.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The instruction with all operands zero; its encoding gives the opcode.
    pub op: Op,
    /// Name in listings.
    pub mnemonic: &'static str,
    /// Notation of the operand.
    pub operand: Operand,
}

impl Form {
    /// The opcode of the form.
    pub const fn code(&self) -> u16 {
        self.op.encode().code
    }
}

const fn form(op: Op, mnemonic: &'static str, operand: Operand) -> Form {
    Form { op, mnemonic, operand }
}

const fn jump_k(op: JmpOp) -> Op {
    Op::JumpK { op, k: 0, jt: 0, jf: 0 }
}

const fn jump_x(op: JmpOp) -> Op {
    Op::JumpX { op, jt: 0, jf: 0 }
}

// TABLE
/// Every instruction form that the Linux kernel accepts (`chk_code_allowed` in `net/core/filter.c`).
///
/// Mnemonics and operand notation follow tcpdump; `ldx #pktlen` is an instruction that tcpdump never emits.
pub const FORMS: [Form; 49] = [
    form(Op::LdAbs(Size::Word, 0), "ld", Operand::Abs),
    form(Op::LdAbs(Size::Half, 0), "ldh", Operand::Abs),
    form(Op::LdAbs(Size::Byte, 0), "ldb", Operand::Abs),
    form(Op::LdInd(Size::Word, 0), "ld", Operand::Ind),
    form(Op::LdInd(Size::Half, 0), "ldh", Operand::Ind),
    form(Op::LdInd(Size::Byte, 0), "ldb", Operand::Ind),
    form(Op::LdImm(0), "ld", Operand::Hex),
    form(Op::LdMem(0), "ld", Operand::Mem),
    form(Op::LdLen, "ld", Operand::Len),
    form(Op::LdxImm(0), "ldx", Operand::Hex),
    form(Op::LdxMem(0), "ldx", Operand::Mem),
    form(Op::LdxLen, "ldx", Operand::Len),
    form(Op::LdxMsh(0), "ldxb", Operand::Msh),
    form(Op::St(0), "st", Operand::Mem),
    form(Op::Stx(0), "stx", Operand::Mem),
    form(Op::AluK(AluOp::Add, 0), "add", Operand::Dec),
    form(Op::AluK(AluOp::Sub, 0), "sub", Operand::Dec),
    form(Op::AluK(AluOp::Mul, 0), "mul", Operand::Dec),
    form(Op::AluK(AluOp::Div, 0), "div", Operand::Dec),
    form(Op::AluK(AluOp::Or, 0), "or", Operand::Hex),
    form(Op::AluK(AluOp::And, 0), "and", Operand::Hex),
    form(Op::AluK(AluOp::Lsh, 0), "lsh", Operand::Dec),
    form(Op::AluK(AluOp::Rsh, 0), "rsh", Operand::Dec),
    form(Op::AluK(AluOp::Mod, 0), "mod", Operand::Dec),
    form(Op::AluK(AluOp::Xor, 0), "xor", Operand::Hex),
    form(Op::AluX(AluOp::Add), "add", Operand::X),
    form(Op::AluX(AluOp::Sub), "sub", Operand::X),
    form(Op::AluX(AluOp::Mul), "mul", Operand::X),
    form(Op::AluX(AluOp::Div), "div", Operand::X),
    form(Op::AluX(AluOp::Or), "or", Operand::X),
    form(Op::AluX(AluOp::And), "and", Operand::X),
    form(Op::AluX(AluOp::Lsh), "lsh", Operand::X),
    form(Op::AluX(AluOp::Rsh), "rsh", Operand::X),
    form(Op::AluX(AluOp::Mod), "mod", Operand::X),
    form(Op::AluX(AluOp::Xor), "xor", Operand::X),
    form(Op::Neg, "neg", Operand::None),
    form(Op::Ja(0), "ja", Operand::Target),
    form(jump_k(JmpOp::Eq), "jeq", Operand::Hex),
    form(jump_k(JmpOp::Gt), "jgt", Operand::Hex),
    form(jump_k(JmpOp::Ge), "jge", Operand::Hex),
    form(jump_k(JmpOp::Set), "jset", Operand::Hex),
    form(jump_x(JmpOp::Eq), "jeq", Operand::X),
    form(jump_x(JmpOp::Gt), "jgt", Operand::X),
    form(jump_x(JmpOp::Ge), "jge", Operand::X),
    form(jump_x(JmpOp::Set), "jset", Operand::X),
    form(Op::RetK(0), "ret", Operand::Dec),
    form(Op::RetA, "ret", Operand::None),
    form(Op::Tax, "tax", Operand::None),
    form(Op::Txa, "txa", Operand::None),
];

/// Row number of each opcode in [`FORMS`], or `NO_FORM`.
static BY_CODE: [u8; 256] = index_by_code();
const NO_FORM: u8 = u8::MAX;

const fn index_by_code() -> [u8; 256] {
    let mut index = [NO_FORM; 256];
    let mut row = 0;
    while row < FORMS.len() {
        let code = FORMS[row].code() as usize;
        assert!(index[code] == NO_FORM, "two forms share an opcode");
        index[code] = row as u8;
        row += 1;
    }
    index
}

impl Op {
    /// The encoded instruction.
    pub const fn encode(self) -> Insn {
        match self {
            Self::LdAbs(size, k) => Insn::ld_abs(size, k),
            Self::LdInd(size, k) => Insn::ld_ind(size, k),
            Self::LdImm(k) => Insn::ld_imm(k),
            Self::LdMem(k) => Insn::ld_mem(k),
            Self::LdLen => Insn::ld_len(),
            Self::LdxImm(k) => Insn::ldx_imm(k),
            Self::LdxMem(k) => Insn::ldx_mem(k),
            Self::LdxLen => Insn::ldx_len(),
            Self::LdxMsh(k) => Insn::ldx_msh(k),
            Self::St(k) => Insn::st(k),
            Self::Stx(k) => Insn::stx(k),
            Self::AluK(op, k) => Insn::alu_k(op, k),
            Self::AluX(op) => Insn::alu_x(op),
            Self::Neg => Insn::neg(),
            Self::Ja(k) => Insn::ja(k),
            Self::JumpK { op, k, jt, jf } => Insn::jump_k(op, k, jt, jf),
            Self::JumpX { op, jt, jf } => Insn::jump_x(op, jt, jf),
            Self::RetK(k) => Insn::ret_k(k),
            Self::RetA => Insn::ret_a(),
            Self::Tax => Insn::tax(),
            Self::Txa => Insn::txa(),
        }
    }

    /// The same operation with the operands of `insn`.
    const fn with_operands(self, insn: Insn) -> Self {
        let Insn { jt, jf, k, .. } = insn;
        match self {
            Self::LdAbs(size, _) => Self::LdAbs(size, k),
            Self::LdInd(size, _) => Self::LdInd(size, k),
            Self::LdImm(_) => Self::LdImm(k),
            Self::LdMem(_) => Self::LdMem(k),
            Self::LdxImm(_) => Self::LdxImm(k),
            Self::LdxMem(_) => Self::LdxMem(k),
            Self::LdxMsh(_) => Self::LdxMsh(k),
            Self::St(_) => Self::St(k),
            Self::Stx(_) => Self::Stx(k),
            Self::AluK(op, _) => Self::AluK(op, k),
            Self::Ja(_) => Self::Ja(k),
            Self::JumpK { op, .. } => Self::JumpK { op, k, jt, jf },
            Self::JumpX { op, .. } => Self::JumpX { op, jt, jf },
            Self::RetK(_) => Self::RetK(k),
            Self::LdLen | Self::LdxLen | Self::AluX(_) | Self::Neg | Self::RetA | Self::Tax | Self::Txa => self,
        }
    }
}

impl Insn {
    /// The table row of the instruction, `None` for an opcode that does not exist.
    pub fn form(&self) -> Option<&'static Form> {
        let row = *BY_CODE.get(usize::from(self.code))?;
        FORMS.get(usize::from(row))
    }

    /// Takes the instruction apart, `None` for an opcode that does not exist.
    ///
    /// Unused fields are ignored, as every kernel and libpcap do.
    pub fn decode(&self) -> Option<Op> {
        self.form().map(|form| form.op.with_operands(*self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_decodes_to_itself() {
        for form in &FORMS {
            let insn = Insn { code: form.code(), jt: 3, jf: 4, k: 5 };
            let op = insn.decode().unwrap();
            assert_eq!(std::mem::discriminant(&op), std::mem::discriminant(&form.op));
            assert_eq!(op.encode().decode(), Some(op));
            assert_eq!(op.encode().code, form.code());
        }
    }

    #[test]
    fn codes_outside_the_table_do_not_decode() {
        let known = (0..=u16::MAX).filter(|&code| Insn { code, ..Insn::default() }.decode().is_some()).count();
        assert_eq!(known, FORMS.len());
        // `ret x` exists in old BSD sources only; the kernel refuses it.
        assert_eq!(Insn { code: 0x0e, ..Insn::default() }.decode(), None);
    }
}
