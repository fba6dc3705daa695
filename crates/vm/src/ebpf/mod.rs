//! The 64-bit machine: a safe interpreter with maps, helpers and a checked address space.
//!
//! ```text
//! [isa::ebpf::Insn] --Vm::new--> decoded steps --run--> register 0, or a Fault (instruction, address, region)
//! object::Object ------SocketFilter::from_object------/
//! ```
//!
//! Programs need no proof of safety: every access is checked against the object that it points into, every instruction
//! is paid with fuel, at most 8 functions are active, and stack frames start as zeros. What a correct program never
//! reads (registers after a call) holds a pattern that makes mistakes visible.
//!
//! What lives here: execution. The instruction set is `skep_isa::ebpf`; whether the kernel would accept a program is the
//! business of a verifier.

mod fault;
mod helpers;
mod interpreter;
mod map;
pub mod maps;
mod memory;
mod program;
pub mod semantics;
mod socket_filter;

pub use fault::{Access, Fault, FaultKind, Region};
pub use helpers::{Helper, Helpers, Machine};
pub use interpreter::{DEFAULT_FUEL, Input, Vm};
pub use map::{MAX_KEY_BYTES, MAX_MAP_BYTES, Map, MapError, Shape, Slot, UpdateFlag};
pub use memory::{CONTEXT_START, FRAME_BYTES, MAX_FRAMES, Memory, PACKET_START, map_handle};
pub use program::{LoadError, MAX_INSNS, Problem};
pub use socket_filter::{ObjectError, SkBuff, SocketFilter};
