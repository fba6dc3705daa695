//! Abstract numbers exactly as the kernel's verifier has them: what it knows about a register that holds a number.
//!
//! * [`Tnum`]: for each of 64 bits, whether it is 0, 1 or not known (`kernel/bpf/tnum.c`).
//! * [`Range`]: the least and the greatest value.
//! * [`Scalar`]: a `Tnum` and ranges as unsigned and signed numbers of 64 and of 32 bits, kept consistent as
//!   `reg_bounds_sync` does (`kernel/bpf/verifier.c`), with arithmetic ([`Scalar::alu`]), comparisons
//!   ([`Scalar::decide`], [`Scalar::refine`]), conversions, loads, and the join and widening of an analysis.
//!
//! The rules are those of Linux 6.18. Where 6.1 or 6.12 know less, the function says so; a pass that removes a check
//! because of a fact found here has to stay clear of those when it compiles for an older kernel.
//!
//! ```
//! use skep_domain::{Cond, Op, Scalar, Width};
//!
//! // A byte of a packet, compared with 63, times four: an offset that the verifier accepts below 256.
//! let byte = Scalar::load(1, false);
//! let (index, _) = byte.refine(Cond::Le, Scalar::constant(63), Width::W64).expect("the branch can be taken");
//! let offset = index.alu(Op::Lsh, Scalar::constant(2), Width::W64);
//! assert_eq!((offset.u64().min, offset.u64().max), (0, 252));
//! assert_eq!(offset.bits().to_string(), "(0x0; 0xfc)");
//! ```
//!
//! # Guarantees
//! * Every function is sound: if the operands contain the concrete operands, the result contains the concrete result of
//!   the instruction set (RFC 9669). Tests check that for all small numbers and for random large ones.
//! * Nothing panics, whatever the operands.

mod alu;
mod compare;
mod convert;
pub mod fuzz;
mod range;
mod scalar;
mod tnum;

pub use alu::{Op, Width};
pub use compare::Cond;
pub use range::Range;
pub use scalar::Scalar;
pub use tnum::Tnum;
