//! Random tests as library functions: `cargo test` runs each for a second, a fuzzer without end.
//!
//! What lives here: the bodies, the generators that make programs out of bytes, and the slow reference interpreter of
//! the classic machine. A body panics when an invariant is broken.

mod classic;
mod ebpf;
mod idioms;
mod stateful;

pub use classic::{Special, classic, program as classic_program, reference, translation};
pub use ebpf::{arbitrary_program, arithmetic, arithmetic_program, ebpf};
pub use idioms::idiom_program;
pub use skep_isa::fuzz::Bytes;
pub use stateful::{STATEFUL_MAPS, StatefulMap, stateful_program};
