//! The running kernel: load programs and maps, attach filters, ask for verdicts and for what is allowed.
//!
//! This is where plain data becomes alive. Values that own a descriptor ([`LoadedProgram`], [`LoadedMap`]) close it
//! when they are dropped.
//!
//! ```
//! use skep_isa::classic::{Insn, JmpOp, Size};
//! use skep_kernel::Verdicts;
//!
//! // Keep packets that begin with 0x45: the kernel itself says what the filter does.
//! let filter = [
//!     Insn::ld_abs(Size::Byte, 0),
//!     Insn::jump_k(JmpOp::Eq, 0x45, 0, 1),
//!     Insn::ret_k(0xffff),
//!     Insn::ret_k(0),
//! ];
//! let verdicts = Verdicts::classic(&filter)?;
//! assert_eq!(verdicts.of(&[0x45, 0, 0, 20])?, Some(4));
//! assert_eq!(verdicts.of(&[0x60, 0, 0, 0])?, None);
//! # Ok::<(), skep_kernel::KernelError>(())
//! ```
//!
//! Guarantees:
//! - Every error says what was attempted, why it failed and what may help; none shows a bare number.
//! - A refused program comes with the verifier's reason; its whole log is kept.
//! - Buffers that the kernel reads or writes have the lengths it takes them to have: checked in one place.

pub mod attach;
mod errors;
mod features;
mod holders;
mod ids;
pub mod inventory;
mod kernel_btf;
mod link_info;
mod load;
mod loaded_btf;
mod log;
mod map;
mod map_batch;
mod map_commands;
mod map_info;
mod map_memory;
mod map_values;
mod memlock;
mod perf_buffer;
mod pin;
mod privileges;
pub mod probe;
mod prog;
mod prog_info;
mod ringbuf;
mod sanitize;
pub mod seccomp;
pub mod session;
mod stats;
mod sys;
mod terminal;
mod test_run;
mod token;
mod user_ringbuf;
mod verdict;
mod waiting;
mod watch;

pub use attach::{attach_classic, attach_program, bpf_extensions, detach, lock_filter};
pub use errors::KernelError;
pub use features::{Capability, confinement, has_capability, lockdown, possible_cpus, running_release, sysctl};
pub use holders::{Held, Holder, held_by, holders};
pub use ids::{BtfIds, Ids, LinkIds, MapIds, OpenLink, ProgramIds, btf_ids, link_ids, map_ids, program_ids};
pub use kernel_btf::KernelBtf;
pub use link_info::{Attach, IterLimit, LinkInfo, LinkTarget, PerfTarget, link_info};
pub use load::{LoadError, LoadOptions, Loaded, LoadedTable, RunningKernel, load, load_with, module_btf};
pub use loaded_btf::{BtfInfo, LoadedBtf};
pub use log::{SourceLine, VerifierLog};
pub use map::{LoadedMap, MapDefinition, MapOptions, MapTypes, Update};
pub use map_batch::{Entries, Entry};
pub use map_info::MapInfo;
pub use map_memory::MapMemory;
pub use map_values::CpuValues;
pub use memlock::{raise_memory_limit, raised_memory_limit};
pub use perf_buffer::{PerfBuffer, PerfRecord};
pub use pin::{BPFFS, Rights, bpf_mounts, is_on_bpffs, pin, unpin};
pub use privileges::{PrivilegeError, drop_privileges};
pub use prog::{FunctionRecord, LineRecord, LoadedProgram, LogLevel, ProgramDebug, ProgramDefinition, ProgramOptions};
pub use prog_info::{ProgramDump, ProgramInfo};
pub use ringbuf::RingBuffer;
pub use sanitize::BtfSupport;
pub use stats::{DescriptorUse, ProbePlace, Statistics, descriptor_use, enable_stats};
pub use terminal::{Keys, terminal_size};
pub use test_run::{TestInput, TestOutput, TestRun};
pub use token::Token;
pub use user_ringbuf::{Reservation, UserRingBuffer};
pub use verdict::{Verdicts, test_verdict, verdict_classic};
pub use waiting::Waiting;
pub use watch::Watch;

/// Reports a test that cannot run here; fails it when `SKEP_REQUIRE_KERNEL` is 1.
#[cfg(test)]
pub(crate) fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert_ne!(std::env::var("SKEP_REQUIRE_KERNEL").as_deref(), Ok("1"), "must not be skipped: {why}");
}
