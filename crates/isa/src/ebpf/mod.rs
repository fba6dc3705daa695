//! The 64-bit instruction set of RFC 9669 with the additions of Linux.
//!
//! What lives here: the table of instructions, encoding and decoding, the meaning of the operators, and the text
//! form. Running programs is the business of `skep-vm`, proving them safe that of a verifier.

mod decode;
#[doc(hidden)]
pub mod fuzz;
mod index;
mod insn;
mod op;
mod ops;
mod table;
mod text;

pub use decode::{DecodeError, Field, InsnError, decode_program, validate};
pub use index::{ByteOff, InsnIdx};
pub use insn::{Endian, Insn, from_bytes, to_bytes};
pub use op::{Callee, Encoded, Imm64, Op, encode_program};
pub use ops::{AluOp, AtomicOp, JmpOp, Order, Reg, Size, Src, Width};
pub use table::{Cpu, Group, ROWS, Row, Uses};
pub use text::{AsmError, Notation, assemble, disassemble, line, numbered};
