//! The programs in the kernel: one pair for all system calls, three for threads and signals.
//!
//! ```text
//!  raw tracepoint sys_enter / sys_exit
//!     filters: our own process, threads, group, name --> descriptor of the call (map `calls`)
//!                                                              |
//!     working memory of the processor <-- head, registers, one chunk for each operation
//!         |
//!         +--> ring buffer `events`      or, when only some results are wanted, `held` until the call ends
//!     counting: `started` by thread --> `stats` by call and processor; nothing is sent
//! ```
//!
//! Nothing in the code belongs to one system call: what is copied comes from descriptors ([`capture`](crate::capture)).
//! What nobody asked for is left out when the programs are made.

pub mod chunks;
pub mod code;
mod events;
pub mod layout;

use skep_ir::{MapDecl, MapRef, Module};
use skep_isa::MapType;
use skep_object::Object;

use layout::{CALLS, DESCRIPTOR, HELD, lost, stat, work};

pub use events::TRACED;

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;
/// Threads that are known at a time.
const THREADS: u32 = 1 << 16;
/// Calls that are held at a time.
const HELD_CALLS: u32 = 1 << 13;

/// Which calls are sent by their result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// All.
    #[default]
    Any,
    /// Those that succeed.
    Success,
    /// Those that fail.
    Failure,
}

/// What the programs are made for.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The process whose calls are never traced: this one.
    pub own: u32,
    /// Whether only threads in the map `threads` are traced.
    pub threads: bool,
    /// Whether threads that those make are traced too.
    pub follow: bool,
    /// The name that a thread must have, filled up with zeros.
    pub name: Option<[u8; 16]>,
    /// Whether only processes below the control group in the map `groups` are traced.
    pub group: bool,
    /// Which results are wanted.
    pub status: Status,
    /// Whether records are sent.
    pub send: bool,
    /// Whether calls are counted.
    pub count: bool,
    /// Whether signals are sent.
    pub signals: bool,
    /// Whether the stack of the user is captured.
    pub stack: bool,
    /// Bytes of the ring buffer, a power of two and a multiple of the page size.
    pub ring: u32,
    /// Offsets of the kernel's `task_struct`.
    pub task: TaskOffsets,
}

/// Where fields of the kernel's `task_struct` are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskOffsets {
    /// Number of the thread.
    pub pid: u32,
    /// Number of the process.
    pub tgid: u32,
    /// Status at the end.
    pub exit_code: u32,
}

/// Names of the maps.
pub mod maps {
    /// Records.
    pub const EVENTS: &str = "events";
    /// Descriptors.
    pub const CALLS: &str = "calls";
    /// Threads that are traced.
    pub const THREADS: &str = "threads";
    /// Control groups.
    pub const GROUPS: &str = "groups";
    /// Counts.
    pub const STATS: &str = "stats";
    /// What is lost.
    pub const LOST: &str = "lost";
}

/// Names of the programs and the raw tracepoints that they belong to.
// TABLE
pub const PROGRAMS: [(&str, &str); 6] = [
    ("strace_enter", "sys_enter"),
    ("strace_exit", "sys_exit"),
    ("strace_fork", "sched_process_fork"),
    ("strace_end", "sched_process_exit"),
    ("strace_signal", "signal_deliver"),
    ("strace_ignored", "signal_generate"),
];

/// The maps of a module.
#[derive(Debug, Clone, Copy)]
struct Maps {
    events: MapRef,
    calls: MapRef,
    threads: MapRef,
    groups: MapRef,
    stats: MapRef,
    lost: MapRef,
    scratch: MapRef,
    again: MapRef,
    held: MapRef,
    started: MapRef,
}

/// The programs in the intermediate representation.
pub fn module(shape: &Shape) -> Module {
    let mut module = Module::new("GPL");
    let mut map = |name: &str, kind, key, value, entries, flags| {
        let mut decl = MapDecl::new(name, kind, key, value, entries);
        decl.flags = flags;
        module.add_map(decl)
    };
    let held = if shape.status == Status::Any { 1 } else { HELD_CALLS };
    let started = if shape.count { THREADS } else { 1 };
    let maps = Maps {
        events: map(maps::EVENTS, MapType::Ringbuf, 0, 0, shape.ring, 0),
        calls: map(maps::CALLS, MapType::Array, 4, DESCRIPTOR, CALLS, 0),
        threads: map(maps::THREADS, MapType::Hash, 4, 8, THREADS, NO_PREALLOC),
        groups: map(maps::GROUPS, MapType::CgroupArray, 4, 4, 1, 0),
        stats: map(maps::STATS, MapType::PercpuArray, 4, stat::SIZE, CALLS, 0),
        lost: map(maps::LOST, MapType::PercpuArray, 4, lost::SIZE, 1, 0),
        scratch: map("scratch", MapType::PercpuArray, 4, work::SIZE, 1, 0),
        again: map("again", MapType::LruHash, 4, 8, 1 << 12, 0),
        held: map("held", MapType::Hash, 4, HELD, held, NO_PREALLOC),
        started: map("started", MapType::LruHash, 4, 16, started, 0),
    };
    events::add(&mut module, &maps, shape);
    module
}

/// The programs, compiled.
///
/// # Errors
/// What the compiler has to say, which is a defect of this crate.
pub fn object(shape: &Shape) -> Result<Object, String> {
    let mut module = module(shape);
    skep_opt::optimise(&mut module, &skep_opt::Options::default());
    skep_codegen::compile(&module, &skep_codegen::Options::default()).map_err(|error| error.to_string())
}
