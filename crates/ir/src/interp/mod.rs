//! The reference interpreter: what a module means, one instruction after the other.
//!
//! Memory is a set of [regions](Memory) with addresses far from each other, so that every access outside of an object is
//! noticed. What lies outside of the module (maps, helpers, the context, the packet) is a [`Host`]; [`World`] is one with
//! maps and the helpers that work on them.
//!
//! ```
//! use skep_ir::interp::{World, interpret};
//! use skep_ir::{FuncRef, parse};
//!
//! let module = parse("func @twice: static -> i32 {\nb0(v0: i32):\n  v1: i32 = add v0, v0\n  return v1\n}").unwrap();
//! let mut world = World::new(&module);
//! assert_eq!(interpret(&module, FuncRef(0), &[0x8000_0001], &mut world), Ok(Some(2)));
//! ```

mod machine;
mod memory;
mod world;

use std::fmt;

pub use machine::{Machine, interpret};
pub use memory::{Memory, OutOfBounds};
pub use world::World;

use crate::entity::{GlobalRef, KfuncRef, MapRef};
use crate::function::Loc;
use crate::op::Width;

/// Why a run ended without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trap {
    /// The name of the function.
    pub function: String,
    /// The instruction as text; empty if it was none.
    pub inst: String,
    /// Where the instruction comes from.
    pub loc: Loc,
    /// What happened.
    pub reason: Reason,
}

/// What a program must not do. A module that follows the rules and that the kernel accepts does none of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It ran for more instructions than allowed.
    Steps,
    /// More than eight functions called each other.
    Depth,
    /// An access outside of every object.
    Bounds(OutOfBounds),
    /// It came where it must not get.
    Unreachable,
    /// The host cannot do what was asked for.
    Host(String),
    /// The module breaks a rule.
    Rule(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Steps => f.write_str("the limit of instructions is reached"),
            Self::Depth => f.write_str("too many functions call each other"),
            Self::Bounds(error) => error.fmt(f),
            Self::Unreachable => f.write_str("control came to a place that it never gets to"),
            Self::Host(message) | Self::Rule(message) => f.write_str(message),
        }
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "function `{}`, `{}`: {}", self.function, self.inst, self.reason)
    }
}

impl std::error::Error for Trap {}

/// What lies outside of a module.
pub trait Host {
    /// All memory, that of the host's maps and variables included.
    fn memory(&mut self) -> &mut Memory;

    /// What `map_addr` gives.
    fn map(&self, map: MapRef) -> Option<u64>;

    /// The address of a variable.
    fn global(&self, global: GlobalRef) -> Option<u64>;

    /// The addresses of the metadata in front of the packet, of the packet, and of its end: what a context gives for
    /// pointers into it.
    fn packet(&self) -> Option<[u64; 3]>;

    /// Packet data in host order, `None` outside of the packet.
    fn packet_load(&mut self, offset: u32, width: Width) -> Option<u64>;

    /// Calls a helper. Unused arguments are 0. It may call functions of the module through `machine`.
    ///
    /// # Errors
    /// The reason if the host does not have it, or what happened in a function that it called.
    fn helper(&mut self, machine: &mut Machine<'_>, id: u32, args: [u64; 5]) -> Result<u64, Trap>;

    /// Calls a kernel function.
    ///
    /// # Errors
    /// As those of [`helper`](Self::helper).
    fn kfunc(&mut self, machine: &mut Machine<'_>, kfunc: KfuncRef, args: [u64; 5]) -> Result<u64, Trap>;
}
