//! Machine code for x86-64 processors.
//!
//! ```text
//! operand  registers, conditions, memory operands
//! form     one instruction as data -> prefixes, opcode, ModRM, SIB, displacement
//! encode   the assembler: one method per kind of instruction, always its shortest encoding
//! branch   jumps and calls, and filling in their distances
//! ```
//!
//! What lives here: bytes. Which instruction does the work of which BPF instruction is not decided here. Nothing in
//! this module runs code or depends on the machine that it runs on. The encodings are those of the Intel 64 Software
//! Developer's Manual, volume 2, which is meant by "the manual" below.
#![cfg_attr(not(test), expect(dead_code, unused_imports, reason = "the lowering comes next"))]

mod branch;
mod encode;
mod form;
mod operand;
#[cfg(test)]
mod tests;

pub(crate) use branch::{OutOfRange, Rel8, Rel32};
pub(crate) use encode::{Alu, Assembler, LockedAlu, Shift, ShiftX, Unary};
pub(crate) use operand::{Cond, Mem, Reg, Rm, Scale};
