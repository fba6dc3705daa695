//! The classic (32-bit accumulator) machine: check a program once, run it on millions of packets.
//!
//! ```text
//! [isa::classic::Insn] --Program::new--> checked, predecoded, fused ops --run--> bytes to keep
//! ```
//!
//! What lives here: structural checks, predecoding and the interpreter. The meaning of the operators comes from
//! [`skep_isa::classic`]; the stricter checks of the Linux kernel (4,096 instructions, scratch words written before
//! they are read) live there as well, because they are about what loads and not about what runs.

mod ancillary;
mod exec;
mod metadata;
mod op;
mod program;

pub use metadata::Metadata;
pub use program::{LoadError, MAX_INSNS, Program};

pub(crate) use ancillary::find_attribute;
pub(crate) use exec::{MAX_PACKET, packet_load};
pub(crate) use metadata::next_random;
