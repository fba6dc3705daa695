//! Symbols: where functions, probes and addresses are, in files, in processes and in the kernel.
//!
//! ```text
//!  "bash", "libc", a path --Binaries--> path --Binary--> functions, PLT entries, USDT probes, build id
//!                                                            |
//!                                            offset in the file: what uprobes take
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
mod error;
mod finder;
#[doc(hidden)]
pub mod fuzz;
mod kallsyms;
mod notes;
mod pattern;
mod plt;
mod registers;
mod resolve;
mod usdt;

pub use arguments::{Argument, ArgumentError, Location, parse_arguments};
pub use binary::{Binary, Machine, Symbol, SymbolKind};
pub use error::SymError;
pub use finder::SystemSymbols;
pub use kallsyms::{Kallsyms, KernelSymbol, TraceableFunction, traceable_functions};
pub use pattern::Pattern;
pub use registers::Register;
pub use resolve::{Mapping, find_library, find_program, mappings, resolve};
pub use usdt::UsdtProbe;
