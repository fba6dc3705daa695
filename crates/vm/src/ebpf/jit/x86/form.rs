//! From one instruction as data to its bytes: prefixes, opcode, ModRM, SIB and displacement (manual, volume 2,
//! chapter 2).

use skep_isa::ebpf::{Size, Width};

use super::operand::{Mem, Reg, Rm};

/// Prefix that makes a read-modify-write of memory atomic.
pub(super) const LOCK: u8 = 0xf0;
/// Prefix that makes operands 16 bits wide.
const OPERAND_SIZE: u8 = 0x66;
/// First byte of the opcodes with two bytes.
const ESCAPE: u8 = 0x0f;
/// First byte of the VEX prefix with three bytes, the only one that reaches the opcodes of BMI2.
const VEX3: u8 = 0xc4;
/// A REX prefix without any of its bits.
const REX: u8 = 0x40;
/// ModRM value of the r/m field, and SIB value of the index field, that say "SIB follows" and "no index".
const RSP: u8 = 4;
/// Base whose encoding without displacement means something else, so that it needs one of zero.
const RBP: u8 = 5;

/// An opcode of one byte, or of two of which the first is 0F.
#[derive(Clone, Copy)]
pub(super) enum Opcode {
    One(u8),
    Two(u8),
}

impl Opcode {
    /// The opcode for operands of `size`, where this is the one for bytes and the next one is for all other sizes: the
    /// rule of the oldest instructions.
    pub(super) const fn sized(self, size: Size) -> Self {
        self.plus(!matches!(size, Size::B) as u8)
    }

    /// The opcode `number` places further on.
    pub(super) const fn plus(self, number: u8) -> Self {
        match self {
            Self::One(byte) => Self::One(byte + number),
            Self::Two(byte) => Self::Two(byte + number),
        }
    }

    /// Appends its bytes.
    pub(super) fn put(self, code: &mut Vec<u8>) {
        match self {
            Self::One(byte) => code.push(byte),
            Self::Two(byte) => code.extend([ESCAPE, byte]),
        }
    }
}

/// What the middle field of ModRM holds.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// A register operand.
    Reg(Reg),
    /// A register of which the low byte is the operand.
    Byte(Reg),
    /// More of the opcode, 0 to 7.
    Digit(u8),
}

impl Field {
    /// The register as an operand of `size`.
    pub(super) const fn sized(reg: Reg, size: Size) -> Self {
        match size {
            Size::B => Self::Byte(reg),
            _ => Self::Reg(reg),
        }
    }

    const fn low(self) -> u8 {
        match self {
            Self::Reg(reg) | Self::Byte(reg) => reg.low(),
            Self::Digit(digit) => digit,
        }
    }

    const fn high(self) -> u8 {
        match self {
            Self::Reg(reg) | Self::Byte(reg) => reg.high(),
            Self::Digit(_) => 0,
        }
    }

    const fn needs_rex(self) -> bool {
        matches!(self, Self::Byte(reg) if reg.byte_needs_rex())
    }
}

/// One instruction with a ModRM byte, without its immediate.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// The opcode, already the one for the size.
    pub(super) opcode: Opcode,
    /// Operand size as the prefixes say it. `W` also stands for "no prefix", where 64 bits are the default.
    pub(super) size: Size,
    /// The first or second operand, depending on the opcode.
    pub(super) field: Field,
    /// The other operand.
    pub(super) rm: Rm,
    /// Whether `rm`, if it is a register, means its low byte.
    pub(super) rm_byte: bool,
}

impl Form {
    /// An instruction on two operands of the same size, whose opcode for bytes is `opcode`.
    pub(super) const fn sized(opcode: Opcode, size: Size, field: Field, rm: Rm) -> Self {
        Self { opcode: opcode.sized(size), size, field, rm, rm_byte: matches!(size, Size::B) }
    }

    /// An instruction that has no form for bytes, on operands of `width`.
    pub(super) const fn wide(opcode: Opcode, width: Width, field: Field, rm: Rm) -> Self {
        Self { opcode, size: width.size(), field, rm, rm_byte: false }
    }

    /// Appends its bytes.
    pub(super) fn put(self, code: &mut Vec<u8>) {
        let (index, base) = extension(self.rm);
        let byte = self.field.needs_rex() || matches!(self.rm, Rm::Reg(reg) if self.rm_byte && reg.byte_needs_rex());
        prefixes(code, self.size, [self.field.high(), index, base], byte);
        self.opcode.put(code);
        modrm(code, self.field.low(), self.rm);
    }
}

/// An instruction whose opcode holds its register, `opcode` being that of the first register.
pub(super) fn put_in_opcode(code: &mut Vec<u8>, opcode: Opcode, size: Size, reg: Reg) {
    prefixes(code, size, [0, 0, reg.high()], false);
    opcode.plus(reg.low()).put(code);
}

/// A row of the table of VEX instructions: their opcode map, mandatory prefix and opcode byte.
#[derive(Clone, Copy)]
pub(super) struct Vex {
    /// 2 for opcodes that start with 0F 38, 3 for 0F 3A.
    pub(super) map: u8,
    /// Mandatory prefix: 0 none, 1 for 66, 2 for F3, 3 for F2.
    pub(super) prefix: u8,
    /// Last byte of the opcode.
    pub(super) byte: u8,
}

impl Vex {
    /// Appends the instruction. `second` is the operand in the prefix, `None` for instructions without one.
    pub(super) fn put(self, code: &mut Vec<u8>, width: Width, reg: Reg, second: Option<Reg>, rm: Rm) {
        let (index, base) = extension(rm);
        // The prefix holds the extensions and the second operand inverted; "none" is all ones.
        let extensions = !(reg.high() << 7 | index << 6 | base << 5) & 0xe0;
        let second = !second.map_or(0, Reg::number) & 0x0f;
        let wide = matches!(width, Width::W64) as u8;
        code.extend([VEX3, extensions | self.map, wide << 7 | second << 3 | self.prefix, self.byte]);
        modrm(code, reg.low(), rm);
    }
}

/// The high bits of index and base, or of the register in the place of the base.
const fn extension(rm: Rm) -> (u8, u8) {
    match rm {
        Rm::Reg(reg) => (0, reg.high()),
        Rm::Mem(mem) => match mem.index() {
            Some((index, _)) => (index.high(), mem.base().high()),
            None => (0, mem.base().high()),
        },
    }
}

/// The prefix for 16 bits and REX, each if needed. `byte` asks for REX even if it is empty.
fn prefixes(code: &mut Vec<u8>, size: Size, [reg, index, base]: [u8; 3], byte: bool) {
    if matches!(size, Size::H) {
        code.push(OPERAND_SIZE);
    }
    let wide = matches!(size, Size::DW) as u8;
    let rex = REX | wide << 3 | reg << 2 | index << 1 | base;
    if byte || rex != REX {
        code.push(rex);
    }
}

/// ModRM and what follows it up to the displacement.
fn modrm(code: &mut Vec<u8>, field: u8, rm: Rm) {
    match rm {
        Rm::Reg(reg) => code.push(0xc0 | field << 3 | reg.low()),
        Rm::Mem(mem) => memory(code, field, mem),
    }
}

fn memory(code: &mut Vec<u8>, field: u8, mem: Mem) {
    let base = mem.base().low();
    let (mode, disp_bytes) = match mem.disp() {
        0 if base != RBP => (0x00, 0),
        disp if i8::try_from(disp).is_ok() => (0x40, 1),
        _ => (0x80, 4),
    };
    match mem.index() {
        // The r/m value of rsp and r12 is the one that says "SIB follows".
        None if base != RSP => code.push(mode | field << 3 | base),
        None => code.extend([mode | field << 3 | RSP, RSP << 3 | base]),
        Some((index, scale)) => code.extend([mode | field << 3 | RSP, scale.code() << 6 | index.low() << 3 | base]),
    }
    code.extend(&mem.disp().to_le_bytes()[..disp_bytes]);
}
