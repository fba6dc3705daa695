//! Machine code for AArch64 processors: a typed encoder for the instructions that programs need, and the generator.
//!
//! ```text
//! registers, conditions --\
//! AddImm, BitmaskImm -------> Code::METHOD --> words of 32 bits --Code::patch(Site, Position)--> finished code
//! Address, Bitfield ------/
//! ```
//!
//! What can be wrong about a request is a type where that is possible: where register number 31 means the stack pointer
//! a method takes [`RegOrSp`], where it means zero [`RegOrZr`], and immediates that only exist for some values are made
//! by a constructor that may refuse. The rest, distances and pairs of registers, is an [`EncodeError`].
//!
//! The generator: `lower` is the driver with frames and jumps; `arith`, `access` and `calls` are the kinds of steps;
//! `peephole` is sequences of them; `stubs` is how code is entered and left.
//!
//! All encodings are those of the Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C6; constants that
//! are built into a method are the fixed bits of the instruction named there. Atomic instructions other than the
//! exclusive loads and stores need FEAT_LSE (Armv8.1).

mod access;
mod arith;
mod branch;
mod calls;
mod code;
mod data;
mod error;
mod immediate;
mod literal;
mod lower;
mod memory;
mod peephole;
mod register;
mod stubs;

pub(crate) use branch::{Cond, Landing, Position, Site};
pub(crate) use code::Code;
pub(crate) use data::{Arith, Divide, Extend, Logic, Reverse, Select, Shift};
pub(crate) use error::EncodeError;
pub(crate) use immediate::{AddImm, Bitfield, BitmaskImm};
pub(crate) use literal::Quarter;
pub(crate) use lower::{link, lower};
pub(crate) use memory::{Address, AtomicOp, Barrier, Index, Load, PairMode, Size};
pub(crate) use register::{Reg, RegOrSp, RegOrZr, SP, Width, ZR};
pub(crate) use stubs::{Stubs, stubs};

#[cfg(test)]
mod tests;
