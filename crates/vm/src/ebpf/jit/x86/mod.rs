//! Machine code for x86-64 processors.
//!
//! ```text
//! operand  registers, conditions, memory operands
//! form     one instruction as data -> prefixes, opcode, ModRM, SIB, displacement
//! encode   the assembler: one method per kind of instruction, always its shortest encoding
//! branch   jumps and calls, and filling in their distances
//!
//! lower    steps -> code: driver, frames, jumps      arith, memory, calls    the kinds of steps
//! peephole sequences of steps with shorter code      stubs                   how code is entered and left
//! ```
//!
//! Nothing in this module runs code or depends on the machine that it runs on. The encodings are those of the Intel 64 Software
//! Developer's Manual, volume 2, which is meant by "the manual" below.

mod arith;
mod branch;
mod calls;
#[cfg_attr(not(test), expect(dead_code, reason = "the assembler is complete for what generators may want"))]
mod encode;
mod form;
mod lower;
mod memory;
#[cfg_attr(not(test), expect(dead_code, reason = "as for the assembler"))]
mod operand;
mod peephole;
mod stubs;
#[cfg(test)]
mod tests;

pub(crate) use branch::{Rel8, Rel32};
pub(crate) use encode::{Alu, Assembler, LockedAlu, Shift, ShiftX, Unary};
pub(crate) use lower::lower;
#[cfg(test)]
pub(crate) use operand::Rm;
pub(crate) use operand::{Cond, Mem, Reg, Scale};
pub(crate) use stubs::stubs;
