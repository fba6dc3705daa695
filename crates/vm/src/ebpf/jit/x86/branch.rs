//! Jumps and calls, and filling in the distances of those whose targets come later.

use std::fmt;

use skep_isa::ebpf::Size;

use super::encode::Assembler;
use super::form::{Field, Form, Opcode};
use super::operand::{Cond, Rm};

/// Place of a distance of one byte that [`Assembler::patch_rel8`] fills in. Until then it is zero: to the instruction
/// that follows. A place belongs to the assembler that made it; to any other it means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a jump without a target goes nowhere"]
pub(crate) struct Rel8(usize);

/// Place of a distance of four bytes that [`Assembler::patch_rel32`] fills in. Until then it is zero. The
/// same holds as for [`Rel8`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a jump without a target goes nowhere"]
pub(crate) struct Rel32(usize);

/// A distance that does not fit in the field of its instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutOfRange {
    /// Where the distance counts from: the end of the instruction, as an offset in the code.
    pub(crate) from: usize,
    /// Where it should lead, as an offset in the code.
    pub(crate) target: usize,
    /// Size of the field in bits: 8 or 32.
    pub(crate) bits: u32,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, target, bits } = self;
        write!(f, "a jump with a distance of {bits} bits cannot lead from byte {from} of the code to byte {target}; ")?;
        match bits {
            8 => f.write_str("use the form with 32 bits"),
            _ => f.write_str("the code must be smaller"),
        }
    }
}

impl std::error::Error for OutOfRange {}

/// `target - from`, if `T` holds it.
fn distance<T: TryFrom<i128>>(from: usize, target: usize, bits: u32) -> Result<T, OutOfRange> {
    T::try_from(target as i128 - from as i128).map_err(|_| OutOfRange { from, target, bits })
}

/// Jumps and calls. Distances count from the end of the instruction.
impl Assembler {
    /// `jmp` with a distance of one byte.
    pub(crate) fn jmp8(&mut self) -> Rel8 {
        self.rel8(Opcode::One(0xeb))
    }

    /// `jmp` with a distance of four bytes.
    pub(crate) fn jmp32(&mut self) -> Rel32 {
        self.rel32(Opcode::One(0xe9))
    }

    /// `jcc` with a distance of one byte.
    pub(crate) fn jcc8(&mut self, cond: Cond) -> Rel8 {
        self.rel8(Opcode::One(0x70).plus(cond.code()))
    }

    /// `jcc` with a distance of four bytes.
    pub(crate) fn jcc32(&mut self, cond: Cond) -> Rel32 {
        self.rel32(Opcode::Two(0x80).plus(cond.code()))
    }

    /// `call` with a distance of four bytes.
    pub(crate) fn call32(&mut self) -> Rel32 {
        self.rel32(Opcode::One(0xe8))
    }

    /// `jmp` to the address in a register or in memory.
    pub(crate) fn jmp(&mut self, target: impl Into<Rm>) {
        self.indirect(4, target.into());
    }

    /// `call` of the address in a register or in memory.
    pub(crate) fn call(&mut self, target: impl Into<Rm>) {
        self.indirect(2, target.into());
    }

    /// Lets the jump at `at` lead to `target`, an offset in the code.
    ///
    /// # Errors
    ///
    /// The distance does not fit in 8 bits; the code is as before.
    pub(crate) fn patch_rel8(&mut self, at: Rel8, target: usize) -> Result<(), OutOfRange> {
        let distance: i8 = distance(at.0 + 1, target, i8::BITS)?;
        self.code[at.0] = distance as u8;
        Ok(())
    }

    /// Lets the jump or call at `at` lead to `target`, an offset in the code.
    ///
    /// # Errors
    ///
    /// The distance does not fit in 32 bits; the code is as before.
    pub(crate) fn patch_rel32(&mut self, at: Rel32, target: usize) -> Result<(), OutOfRange> {
        let distance: i32 = distance(at.0 + 4, target, i32::BITS)?;
        self.code[at.0..at.0 + 4].copy_from_slice(&distance.to_le_bytes());
        Ok(())
    }

    fn rel8(&mut self, opcode: Opcode) -> Rel8 {
        opcode.put(&mut self.code);
        let at = self.position();
        self.code.push(0);
        Rel8(at)
    }

    fn rel32(&mut self, opcode: Opcode) -> Rel32 {
        opcode.put(&mut self.code);
        let at = self.position();
        self.code.extend([0; 4]);
        Rel32(at)
    }

    /// The operand of these is 64 bits wide without any prefix.
    fn indirect(&mut self, digit: u8, rm: Rm) {
        Form { opcode: Opcode::One(0xff), size: Size::W, field: Field::Digit(digit), rm, rm_byte: false }
            .put(&mut self.code);
    }
}
