//! The just-in-time compiler: 64-bit BPF to machine code.
//!
//! ```text
//!  Program --flow, facts--> Plan --x86::lower | a64::lower--> Lowered --arena--> Compiled --enter--> Outcome
//! ```
//!
//! Code is generated for a named machine, not for the one that runs the generator, so each machine's generator is built
//! and tested everywhere. What all of them share: programs' pointers are offsets from the base of the cage, cut to 32
//! bits unless they are known to be small; the state lies at fixed distances in front of the base; fuel is kept in a
//! register and written to the state around calls of helpers.
//!
//! A program stops early in two ways. Code calls the stop stub, whose return address tells where; or an access faults,
//! and the signal handler does the rest. Both lead to the exit that the entry stub prepared.

#[allow(dead_code, unused_imports, reason = "the encoder is complete, and only tests generate for another machine")]
mod a64;
mod arena;
mod cold;
pub mod foreign;
mod lowered;
mod pattern;
mod plan;
mod run;
mod signal;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_imports, reason = "as for the other generator"))]
mod x86;

pub(crate) use lowered::{Access as AccessSite, Call, Lowered, Place, Reason, Stop};
pub(crate) use plan::{ArrayMap, Plan};
pub(crate) use run::{Compiled, Ended, call_back, run};
