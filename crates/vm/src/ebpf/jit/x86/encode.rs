//! The assembler: a method for each kind of instruction, which appends its shortest encoding.
//!
//! Operands are written in the order of the manual, the destination first. A `Size` is that of the operands; 32-bit
//! results clear the upper half of a register, 8- and 16-bit results leave the rest of it as it was. Flags are as the
//! manual says.

use skep_isa::ebpf::{Size, Width};

use super::form::{Field, Form, LOCK, Opcode, Vex, put_in_opcode};
use super::operand::{Cond, Mem, Reg, Rm};

/// Two-operand arithmetic. The code is the digit of the immediate forms, and times 8 the opcode of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Alu {
    /// Sum.
    Add = 0,
    /// Bitwise or.
    Or = 1,
    /// Sum with carry.
    Adc = 2,
    /// Difference with borrow.
    Sbb = 3,
    /// Bitwise and.
    And = 4,
    /// Difference.
    Sub = 5,
    /// Bitwise exclusive or.
    Xor = 6,
    /// The flags of the difference; the destination is only read.
    Cmp = 7,
}

/// Arithmetic on memory that can be atomic and returns nothing but flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LockedAlu {
    /// Sum.
    Add,
    /// Bitwise or.
    Or,
    /// Bitwise and.
    And,
    /// Difference.
    Sub,
    /// Bitwise exclusive or.
    Xor,
}

impl LockedAlu {
    /// The operation without the prefix.
    pub(crate) const fn alu(self) -> Alu {
        match self {
            Self::Add => Alu::Add,
            Self::Or => Alu::Or,
            Self::And => Alu::And,
            Self::Sub => Alu::Sub,
            Self::Xor => Alu::Xor,
        }
    }
}

/// Operations on one operand, `rax` and `rdx` being the others of the last four. The code is the digit of the opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Unary {
    /// All bits inverted; the flags stay.
    Not = 2,
    /// Zero minus the operand.
    Neg = 3,
    /// `rdx:rax` = `rax` times the operand, without sign (`ax` for bytes).
    Mul = 4,
    /// The same with sign.
    Imul = 5,
    /// `rdx:rax` divided by the operand without sign: quotient to `rax`, remainder to `rdx`. Traps on a divisor of zero
    /// and on a quotient that does not fit.
    Div = 6,
    /// The same with sign, truncated towards zero.
    Idiv = 7,
}

/// Shifts and rotations of one operand in place. The code is the digit of the opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Shift {
    /// Rotation to the left.
    Rol = 0,
    /// Rotation to the right.
    Ror = 1,
    /// Shift to the left.
    Shl = 4,
    /// Shift to the right, filled with zeros.
    Shr = 5,
    /// Shift to the right, filled with the sign.
    Sar = 7,
}

/// Shifts of BMI2, which take the count from any register and leave the flags alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ShiftX {
    /// `shlx`
    Shl,
    /// `shrx`
    Shr,
    /// `sarx`
    Sar,
}

impl ShiftX {
    const fn row(self) -> Vex {
        let prefix = match self {
            Self::Shl => 1,
            Self::Sar => 2,
            Self::Shr => 3,
        };
        Vex { map: 2, prefix, byte: 0xf7 }
    }
}

/// `rorx` of BMI2.
const RORX: Vex = Vex { map: 3, prefix: 3, byte: 0xf0 };

/// The recommended instructions without effect, of 1 to 9 bytes (manual, volume 2, table 4-12).
const NOPS: [&[u8]; 9] = [
    &[0x90],
    &[0x66, 0x90],
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// Machine code under construction.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    pub(super) code: Vec<u8>,
}

/// Declares the methods for instructions whose bytes are always the same.
macro_rules! fixed {
    ($($(#[$doc:meta])+ $name:ident = $($byte:literal)+;)+) => {
        impl Assembler {
            $($(#[$doc])+ pub(crate) fn $name(&mut self) { self.code.extend([$($byte),+]); })+
        }
    };
}

fixed! {
    /// `ret`: to the address on the stack.
    ret = 0xc3;
    /// `int3`: a breakpoint.
    int3 = 0xcc;
    /// `ud2`: an instruction that the processor promises to reject.
    ud2 = 0x0f 0x0b;
    /// `endbr64`: a place where indirect jumps may arrive.
    endbr64 = 0xf3 0x0f 0x1e 0xfa;
    /// `mfence`: all earlier memory accesses before all later ones.
    mfence = 0x0f 0xae 0xf0;
    /// `cdq`: `edx` filled with the sign of `eax`.
    cdq = 0x99;
    /// `cqo`: `rdx` filled with the sign of `rax`.
    cqo = 0x48 0x99;
}

/// The code so far.
impl Assembler {
    /// No code yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Offset of the next instruction from the first one, in bytes.
    pub(crate) fn position(&self) -> usize {
        self.code.len()
    }

    /// The bytes so far.
    pub(crate) fn code(&self) -> &[u8] {
        &self.code
    }

    /// The finished code.
    pub(crate) fn into_code(self) -> Vec<u8> {
        self.code
    }

    /// `count` bytes without effect, in as few instructions as possible.
    pub(crate) fn nop(&mut self, mut count: usize) {
        while count > 0 {
            let nop = NOPS[count.min(NOPS.len()) - 1];
            self.code.extend(nop);
            count -= nop.len();
        }
    }

    /// The low bytes of `imm` that an operand of `size` takes: 1, 2 or 4.
    fn immediate(&mut self, size: Size, imm: i32) {
        let bytes = match size {
            Size::B => 1,
            Size::H => 2,
            Size::W | Size::DW => 4,
        };
        self.code.extend(&imm.to_le_bytes()[..bytes]);
    }
}

/// Whether a byte, extended by its sign to `size`, gives the operand that `imm` stands for.
fn byte_is_enough(size: Size, imm: i32) -> bool {
    match size {
        Size::B => true,
        Size::H => i8::try_from(imm as i16).is_ok(),
        Size::W | Size::DW => i8::try_from(imm).is_ok(),
    }
}

/// Moves.
impl Assembler {
    /// `mov dst, src`
    pub(crate) fn mov(&mut self, width: Width, dst: Reg, src: Reg) {
        self.movzx(width.size(), dst, src);
    }

    /// `dst` = `value`, all 64 bits, with 5, 6, 7 or 10 bytes of code. Flags stay, so zero is no `xor`.
    pub(crate) fn mov_imm(&mut self, dst: Reg, value: u64) {
        if let Ok(low) = u32::try_from(value) {
            put_in_opcode(&mut self.code, Opcode::One(0xb8), Size::W, dst);
            self.code.extend(low.to_le_bytes());
        } else if let Ok(signed) = i32::try_from(value as i64) {
            self.store_imm(Size::DW, dst, signed);
        } else {
            put_in_opcode(&mut self.code, Opcode::One(0xb8), Size::DW, dst);
            self.code.extend(value.to_le_bytes());
        }
    }

    /// `dst` = the `size` low bytes of `src`, all other bits zero: `movzx`, and `mov` for 4 and 8 bytes.
    pub(crate) fn movzx(&mut self, size: Size, dst: Reg, src: impl Into<Rm>) {
        let (opcode, width) = match size {
            Size::B => (Opcode::Two(0xb6), Width::W32),
            Size::H => (Opcode::Two(0xb7), Width::W32),
            Size::W => (Opcode::One(0x8b), Width::W32),
            Size::DW => (Opcode::One(0x8b), Width::W64),
        };
        let rm_byte = matches!(size, Size::B);
        Form { rm_byte, ..Form::wide(opcode, width, Field::Reg(dst), src.into()) }.put(&mut self.code);
    }

    /// `dst` = the `size` low bytes of `src` extended by their sign to `width`: `movsx`, `movsxd`, and `mov` where
    /// there is nothing to extend.
    pub(crate) fn movsx(&mut self, width: Width, size: Size, dst: Reg, src: impl Into<Rm>) {
        let opcode = match (size, width) {
            (Size::B, _) => Opcode::Two(0xbe),
            (Size::H, _) => Opcode::Two(0xbf),
            (Size::W, Width::W64) => Opcode::One(0x63),
            (Size::W, Width::W32) | (Size::DW, _) => Opcode::One(0x8b),
        };
        let rm_byte = matches!(size, Size::B);
        Form { rm_byte, ..Form::wide(opcode, width, Field::Reg(dst), src.into()) }.put(&mut self.code);
    }

    /// `mov dst, src` to memory.
    pub(crate) fn store(&mut self, size: Size, dst: Mem, src: Reg) {
        Form::sized(Opcode::One(0x88), size, Field::sized(src, size), dst.into()).put(&mut self.code);
    }

    /// `mov dst, imm`: the low `size` bytes of `imm`, or all of it extended by its sign for 8 bytes. To set a register,
    /// [`Self::mov_imm`] is shorter.
    pub(crate) fn store_imm(&mut self, size: Size, dst: impl Into<Rm>, imm: i32) {
        Form::sized(Opcode::One(0xc6), size, Field::Digit(0), dst.into()).put(&mut self.code);
        self.immediate(size, imm);
    }

    /// `lea dst, src`: the address itself, cut to `width`.
    pub(crate) fn lea(&mut self, width: Width, dst: Reg, src: Mem) {
        Form::wide(Opcode::One(0x8d), width, Field::Reg(dst), src.into()).put(&mut self.code);
    }

    /// `cmovcc dst, src`. Memory is read, and 32 bits clear the upper half of `dst`, even if `cond` does not hold.
    pub(crate) fn cmov(&mut self, cond: Cond, width: Width, dst: Reg, src: impl Into<Rm>) {
        Form::wide(Opcode::Two(0x40).plus(cond.code()), width, Field::Reg(dst), src.into()).put(&mut self.code);
    }

    /// `setcc dst`: one byte, 1 if `cond` holds and 0 if not. The rest of a register stays.
    pub(crate) fn setcc(&mut self, cond: Cond, dst: impl Into<Rm>) {
        let opcode = Opcode::Two(0x90).plus(cond.code());
        Form { opcode, size: Size::B, field: Field::Digit(0), rm: dst.into(), rm_byte: true }.put(&mut self.code);
    }

    /// `push reg`, all 64 bits.
    pub(crate) fn push(&mut self, reg: Reg) {
        put_in_opcode(&mut self.code, Opcode::One(0x50), Size::W, reg);
    }

    /// `pop reg`, all 64 bits.
    pub(crate) fn pop(&mut self, reg: Reg) {
        put_in_opcode(&mut self.code, Opcode::One(0x58), Size::W, reg);
    }

    /// `bswap reg`: the bytes in reverse order. For 16 bits, rotate by 8.
    pub(crate) fn bswap(&mut self, width: Width, reg: Reg) {
        put_in_opcode(&mut self.code, Opcode::Two(0xc8), width.size(), reg);
    }

    /// `xchg a, b`. With memory it is atomic and a full barrier, without any prefix.
    pub(crate) fn xchg(&mut self, size: Size, a: impl Into<Rm>, b: Reg) {
        let a = a.into();
        let other = match a {
            Rm::Reg(a) if b == Reg::Rax => Some(a),
            Rm::Reg(Reg::Rax) => Some(b),
            _ => None,
        };
        match other {
            // The short form of rax with itself is `nop`, which would not clear the upper half.
            Some(other) if other != Reg::Rax && size != Size::B => {
                put_in_opcode(&mut self.code, Opcode::One(0x90), size, other);
            }
            _ => Form::sized(Opcode::One(0x86), size, Field::sized(b, size), a).put(&mut self.code),
        }
    }
}

/// Arithmetic.
impl Assembler {
    /// `op dst, src` to a register.
    pub(crate) fn alu(&mut self, op: Alu, size: Size, dst: Reg, src: impl Into<Rm>) {
        let opcode = Opcode::One((op as u8) << 3 | 2);
        Form::sized(opcode, size, Field::sized(dst, size), src.into()).put(&mut self.code);
    }

    /// `op dst, src` to memory.
    pub(crate) fn alu_mem(&mut self, op: Alu, size: Size, dst: Mem, src: Reg) {
        let opcode = Opcode::One((op as u8) << 3);
        Form::sized(opcode, size, Field::sized(src, size), dst.into()).put(&mut self.code);
    }

    /// `op dst, imm`: the low `size` bytes of `imm`, or all of it extended by its sign for 8 bytes.
    pub(crate) fn alu_imm(&mut self, op: Alu, size: Size, dst: impl Into<Rm>, imm: i32) {
        let dst = dst.into();
        let field = Field::Digit(op as u8);
        if size != Size::B && byte_is_enough(size, imm) {
            let form = Form::sized(Opcode::One(0x80), size, field, dst);
            Form { opcode: Opcode::One(0x83), ..form }.put(&mut self.code);
            self.immediate(Size::B, imm);
        } else if dst == Rm::Reg(Reg::Rax) {
            let opcode = Opcode::One((op as u8) << 3 | 4).sized(size);
            put_in_opcode(&mut self.code, opcode, size, Reg::Rax);
            self.immediate(size, imm);
        } else {
            Form::sized(Opcode::One(0x80), size, field, dst).put(&mut self.code);
            self.immediate(size, imm);
        }
    }

    /// `test a, b`: the flags of the bitwise and.
    pub(crate) fn test(&mut self, size: Size, a: impl Into<Rm>, b: Reg) {
        Form::sized(Opcode::One(0x84), size, Field::sized(b, size), a.into()).put(&mut self.code);
    }

    /// `test a, imm`: the low `size` bytes of `imm`, or all of it extended by its sign for 8 bytes.
    pub(crate) fn test_imm(&mut self, size: Size, a: impl Into<Rm>, imm: i32) {
        let a = a.into();
        if a == Rm::Reg(Reg::Rax) {
            put_in_opcode(&mut self.code, Opcode::One(0xa8).sized(size), size, Reg::Rax);
        } else {
            Form::sized(Opcode::One(0xf6), size, Field::Digit(0), a).put(&mut self.code);
        }
        self.immediate(size, imm);
    }

    /// `op rm`
    pub(crate) fn unary(&mut self, op: Unary, size: Size, rm: impl Into<Rm>) {
        Form::sized(Opcode::One(0xf6), size, Field::Digit(op as u8), rm.into()).put(&mut self.code);
    }

    /// `imul dst, src`: the low half of the product.
    pub(crate) fn imul(&mut self, width: Width, dst: Reg, src: impl Into<Rm>) {
        Form::wide(Opcode::Two(0xaf), width, Field::Reg(dst), src.into()).put(&mut self.code);
    }

    /// `imul dst, src, imm`: the low half of the product with `imm` extended by its sign.
    pub(crate) fn imul_imm(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, imm: i32) {
        let (opcode, size) = if byte_is_enough(width.size(), imm) { (0x6b, Size::B) } else { (0x69, Size::W) };
        Form::wide(Opcode::One(opcode), width, Field::Reg(dst), src.into()).put(&mut self.code);
        self.immediate(size, imm);
    }

    /// `op dst, count`. The processor uses the low 5 bits of `count`, 6 bits for 8 bytes.
    pub(crate) fn shift_imm(&mut self, op: Shift, size: Size, dst: impl Into<Rm>, count: u8) {
        let opcode = Opcode::One(if count == 1 { 0xd0 } else { 0xc0 });
        Form::sized(opcode, size, Field::Digit(op as u8), dst.into()).put(&mut self.code);
        if count != 1 {
            self.code.push(count);
        }
    }

    /// `op dst, cl`. The processor uses the low 5 bits of the count, 6 bits for 8 bytes.
    pub(crate) fn shift_cl(&mut self, op: Shift, size: Size, dst: impl Into<Rm>) {
        Form::sized(Opcode::One(0xd2), size, Field::Digit(op as u8), dst.into()).put(&mut self.code);
    }

    /// `shlx`, `shrx`, `sarx` `dst, src, count`. Needs BMI2. The processor uses the low 5 or 6 bits of `count`.
    pub(crate) fn shiftx(&mut self, op: ShiftX, width: Width, dst: Reg, src: impl Into<Rm>, count: Reg) {
        op.row().put(&mut self.code, width, dst, Some(count), src.into());
    }

    /// `rorx dst, src, count`. Needs BMI2. The processor uses the low 5 or 6 bits of `count`.
    pub(crate) fn rorx(&mut self, width: Width, dst: Reg, src: impl Into<Rm>, count: u8) {
        RORX.put(&mut self.code, width, dst, None, src.into());
        self.code.push(count);
    }
}

/// Atomic operations on memory; each is a full barrier.
impl Assembler {
    /// `lock op dst, src`
    pub(crate) fn lock_alu(&mut self, op: LockedAlu, width: Width, dst: Mem, src: Reg) {
        self.code.push(LOCK);
        self.alu_mem(op.alu(), width.size(), dst, src);
    }

    /// `lock xadd dst, src`: adds `src` to memory and puts the old value of the memory in `src`.
    pub(crate) fn lock_xadd(&mut self, width: Width, dst: Mem, src: Reg) {
        self.code.push(LOCK);
        Form::wide(Opcode::Two(0xc1), width, Field::Reg(src), dst.into()).put(&mut self.code);
    }

    /// `lock cmpxchg dst, src`: if memory holds what is in `rax`, stores `src`; else loads `rax` from it. The zero flag
    /// says which.
    pub(crate) fn lock_cmpxchg(&mut self, width: Width, dst: Mem, src: Reg) {
        self.code.push(LOCK);
        Form::wide(Opcode::Two(0xb1), width, Field::Reg(src), dst.into()).put(&mut self.code);
    }
}
