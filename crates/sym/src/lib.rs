//! Symbols: where functions, probes and addresses are, in files, in processes and in the kernel.
//!
//! ```text
//!  "bash", "libc", a path --Binaries--> path --Binary--> functions, PLT entries, USDT probes, build id
//!                                                            |
//!                                            offset in the file: what uprobes take
//!  a process, an address --Processes--> function+distance in a file, in the vdso, in compiled code (perf-PID.map)
//!  registers and a copy of a stack --Processes--> addresses of all callers, by call frame information
//!  Binary --DebugInfo--> parameters of functions, types, addresses of lines
//!  /proc/kallsyms --Kallsyms--> address <-> name+offset [module]
//!  available_filter_functions --> names that can be traced, by pattern
//! ```
//!
//! Nothing here attaches anything or needs privilege, except that the kernel hides its addresses from ordinary users.
//! Files are read where they are needed, not mapped: one that changes meanwhile gives an error or old facts, no fault.
//!
//! Guarantees: readers are total; any file gives facts or an error that names it.

mod arguments;
mod binary;
mod cache;
mod contents;
mod debug_files;
mod demangle;
mod dwarf;
mod error;
mod finder;
mod functions;
#[doc(hidden)]
pub mod fuzz;
mod head;
mod kallsyms;
mod notes;
mod pattern;
mod plt;
mod process;
mod registers;
mod resolve;
mod unwind;
mod usdt;
mod zip;

pub use arguments::{Argument, ArgumentError, Location, parse_arguments};
pub use binary::{Binary, Machine, Symbol, SymbolKind};
pub use debug_files::DebugDirs;
pub use demangle::demangle;
pub use dwarf::{DebugComposite, DebugFunction, DebugInfo, DebugMember, DebugParameter, DebugType, EntryId, Home};
pub use error::SymError;
pub use finder::SystemSymbols;
pub use kallsyms::{Kallsyms, KernelSymbol, TraceableFunction, traceable_functions};
pub use pattern::Pattern;
pub use process::{Processes, UserSymbol};
pub use registers::{Register, program_counter};
pub use resolve::{Mapping, find_library, find_program, mappings, resolve};
pub use usdt::UsdtProbe;
