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

mod classic_filter;
mod context;
mod environment;
mod facts;
mod fault;
mod fib;
mod flow;
mod helpers;
mod interpreter;
mod jit;
mod layout;
mod machine;
pub mod maps;
mod program;
mod regions;
pub mod semantics;
mod socket_filter;
mod space;
mod state;
mod timers;
mod vm;
mod worker;

pub use classic_filter::ClassicFilter;
pub use context::{
    MAX_FRAME_BYTES, PacketError, PtRegs, RawTracepoint, Skb, SkbVerdict, X86Register, XdpAction, XdpFrame, XdpVerdict,
};
pub use environment::{Clock, ClonedPacket, MAX_PRINTED_LINES, Redirect, Task};
pub use fault::{Fault, FaultKind, Region};
pub use fib::{Device, FibTable, Neighbour, Route, RouteKind};
pub use helpers::{HelperFn, Helpers};
#[doc(hidden)]
pub use jit::foreign;
pub use layout::{CONTEXT_WINDOW, FRAME_BYTES, MAX_CONTEXT_BYTES, MAX_FRAMES, map_handle};
pub use machine::{Bytes, Machine};
pub use maps::{Batch, Map, MapError, Shape, SharedBytes, UpdateFlag, UserSide};
pub use program::{LoadError, MAX_INSNS, Problem};
pub use socket_filter::{ObjectError, SkBuff, SocketFilter};
pub use space::{Access, Model};
pub use vm::{DEFAULT_FUEL, Engine, Setup, SetupError, Vm};
pub use worker::{Input, Step, Watcher, Worker};
