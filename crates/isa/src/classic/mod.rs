//! Classic BPF: instructions, their constructors and the meaning of their operators.
//!
//! What lives here: the encoding of `struct sock_filter` (`linux/filter.h`), the table of instruction forms, the
//! listings that tcpdump prints and their readers, the kernel's rules for a valid program, the ancillary words, and
//! the arithmetic of the machine, stated once for interpreters, optimisers and symbolic search. Running a program
//! is the business of `skep-vm`.

mod ancillary;
mod check;
#[doc(hidden)]
pub mod fuzz;
mod insn;
mod listing;
mod op;
mod ops;
mod parse;

pub use ancillary::{ANCILLARY, Ancillary, Source, ancillary, ancillary_by_name};
pub use check::{CheckError, Rule, check, check_structure};
pub use insn::Insn;
pub use listing::{PadStyle, c_array, decimal, from_ne_bytes, line, listing, to_ne_bytes, xt_bpf};
pub use op::{FORMS, Form, Op, Operand};
pub use ops::{AluOp, JmpOp, Size};
pub use parse::{ParseError, parse_c_array, parse_decimal, parse_listing};

/// Words of scratch memory, `M[0]` to `M[15]` (`BPF_MEMWORDS`).
pub const SCRATCH_WORDS: u32 = 16;
/// Most instructions that the Linux kernel accepts in one classic program (`BPF_MAXINSNS`).
pub const MAX_INSNS: usize = 4096;
/// Start of the ancillary area: a load at `SKF_AD_OFF + n` asks the kernel about the packet (`linux/filter.h`).
pub const SKF_AD_OFF: u32 = (-0x1000i32) as u32;
/// Loads at `SKF_NET_OFF + n` count from the network header.
pub const SKF_NET_OFF: u32 = (-0x10_0000i32) as u32;
/// Loads at `SKF_LL_OFF + n` count from the link-layer header.
pub const SKF_LL_OFF: u32 = (-0x20_0000i32) as u32;
