//! The plan: everything that the host needs to run a compiled script, as plain data.
//!
//! A compiled script is an object (programs and maps) and a plan. The plan says where each program is attached, what the
//! maps hold, and what to do with each record that programs send. Layouts are stated here once: code generation writes
//! records by them, the host reads records by them.

use std::sync::Arc;

mod buckets;
mod flags;
mod layouts;
mod shape;

pub use buckets::Buckets;
pub use flags::allocation_flags;
pub use layouts::{HostInfo, LostInfo, PacketRecord, UnwindRecord};
pub use shape::{Field, Shape, StackKey, StackMode, lay_out};

/// Everything that the host has to know about a script.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// What is attached, in the order of the script.
    pub probes: Vec<Probe>,
    /// The maps of the script, in the order in which they first occur.
    pub maps: Vec<ScriptMap>,
    /// What records ask for: the first word of a record is an index into this list.
    pub actions: Vec<Action>,
    /// Enumerations whose values are printed by name.
    pub enums: Vec<Enumeration>,
    /// Programs that hand every system call on to the program of a table that its number says.
    pub call_tables: Vec<CallTable>,
    /// Flags of memory allocations (`%gr`): bits and names, those that stand for several others first; empty if nothing
    /// prints them.
    pub allocation_flags: Vec<(u64, Arc<str>)>,
    /// Settings that matter to the host.
    pub settings: Settings,
}

/// A table with a program for each system call that is traced, and the program that calls them: at `sys_enter` or
/// `sys_exit` it costs each system call the same, however many are traced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTable {
    /// Whether at the end of system calls.
    pub ret: bool,
    /// The program that is attached to the raw tracepoint.
    pub program: String,
    /// The map of programs by the number of the system call.
    pub object_map: String,
}

/// Names of the maps that every script has besides its own.
pub mod system_maps {
    /// Ring buffer that records go through.
    pub const EVENTS: &str = "skep_events";
    /// Variable: what programs could not send because the ring buffer had no room ([`LostInfo`](super::LostInfo)). Programs
    /// reach variables without a look-up, so little code is enough.
    pub const LOST: &str = ".bss.lost";
    /// Variable that the host fills before programs run: [`HostInfo`](super::HostInfo).
    pub const HOST: &str = ".data.host";
    /// Processes that the host was told about, hash from their numbers to nothing that matters.
    pub const PROCESSES: &str = "skep_processes";
    /// Stack traces of the kernel, hash by [`StackKey`](super::StackKey).
    pub const STACKS: &str = "skep_stacks";
    /// Copies of stacks that the host has, hash from their hash ([`UnwindRecord`](super::UnwindRecord)) to nothing that
    /// matters.
    pub const UNWOUND: &str = "skep_unwound";
}

/// One attached program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The name that the builtin `probe` gives and messages use: `tracepoint:syscalls:sys_enter_openat`.
    pub name: Arc<str>,
    /// Name of the program in the object.
    pub program: String,
    /// Where it is attached.
    pub attach: Attach,
    /// Line of the script.
    pub line: u32,
    /// Which way was taken instead of the one that is written, and why; empty if none.
    pub route: Arc<str>,
    /// Whether the program is one for links of many places, be it one place only.
    pub many: bool,
}

/// A place to attach to, after wildcards are resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attach {
    /// Runs once before all others are attached.
    Begin,
    /// Runs once after all others are detached.
    End,
    /// Runs when the process of the script gets a signal.
    Signal {
        /// `SIGUSR1`
        name: String,
    },
    /// Runs only with `--test`.
    Test {
        /// Its name.
        name: String,
    },
    /// Runs only with `--bench`.
    Bench {
        /// Its name.
        name: String,
    },
    /// Entry or return of kernel functions; several at once where the kernel can.
    KernelFunction {
        /// `module:function` or `function`.
        functions: Vec<String>,
        /// Bytes behind the start.
        offset: u64,
        /// Whether at the return.
        ret: bool,
    },
    /// An instruction at an address of the kernel.
    KernelAddress {
        /// The address.
        address: u64,
        /// Whether at the return of the function that begins there.
        ret: bool,
    },
    /// Entry or return of another BPF program (fentry, fexit).
    Program {
        /// Its id; without one the program with that name.
        id: Option<u32>,
        /// Its name, in full as its types have it.
        name: String,
        /// Whether at the return.
        ret: bool,
    },
    /// Entry or return of a kernel function with typed arguments (fentry, fexit).
    Typed {
        /// Module, empty for the kernel itself.
        module: String,
        /// The function.
        function: String,
        /// Whether at the return.
        ret: bool,
    },
    /// Raw tracepoint with typed arguments.
    RawTracepoint {
        /// Its name.
        event: String,
    },
    /// Start or end of one system call: a place in a [`CallTable`].
    SystemCall {
        /// Whether at the end.
        ret: bool,
        /// Its number.
        number: u32,
        /// Index into [`Plan::call_tables`].
        table: u32,
    },
    /// Tracepoint with a record.
    Tracepoint {
        /// Directory below `events` in tracefs.
        category: String,
        /// Its name.
        event: String,
    },
    /// On every processor, again and again.
    Profile(Period),
    /// On one processor, again and again.
    Interval(Period),
    /// A software event of `perf_event_open(2)`.
    Software {
        /// `PERF_COUNT_SW_*`
        event: u64,
        /// Once in so many events.
        count: u64,
    },
    /// A hardware event.
    Hardware {
        /// `PERF_COUNT_HW_*`, or a cache event as `perf_event_open(2)` encodes it.
        event: u64,
        /// Whether it is a cache event.
        cache: bool,
        /// Once in so many events.
        count: u64,
    },
    /// Functions of a binary.
    UserFunction {
        /// Path of the binary or library; empty for the process of `-p`.
        binary: String,
        /// What in it.
        target: UserTarget,
        /// Whether at the return.
        ret: bool,
    },
    /// A probe that programs declare themselves.
    Usdt {
        /// Path of the binary or library; empty for the process of `-p`.
        binary: String,
        /// Provider, empty for any.
        provider: String,
        /// Its name.
        name: String,
        /// Offsets in the file of the places that are meant; empty for all that have the name. The program reads the
        /// arguments as the notes of these places say.
        places: Vec<u64>,
    },
    /// An access to an address.
    Watchpoint {
        /// The address.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        len: u8,
        /// Reads.
        read: bool,
        /// Writes.
        write: bool,
        /// Execution.
        execute: bool,
    },
    /// An iterator, which the host reads.
    Iterator {
        /// `task`, `task_file`, ...
        kind: String,
        /// Where to pin it instead of reading it.
        pin: Option<String>,
    },
}

/// Which instructions of a binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserTarget {
    /// Functions by their symbols.
    Functions(Vec<String>),
    /// Bytes behind a symbol.
    SymbolOffset(String, u64),
    /// An address in the binary.
    Address(u64),
    /// Several of them, each with the same program: the code of a line of the source.
    Addresses(Vec<u64>),
}

/// How often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// So many times a second.
    Hertz(u64),
    /// Every so many nanoseconds.
    Nanoseconds(u64),
}

/// A map of the script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptMap {
    /// Its name with the `@`.
    pub name: Arc<str>,
    /// Name of its map in the object.
    pub object_map: String,
    /// The parts of its key; empty for a map that holds one value, whose key is 4 zero bytes.
    pub key: Vec<Field>,
    /// What it holds.
    pub value: MapValue,
    /// Whether there is a value for each processor.
    pub per_cpu: bool,
}

/// What a map holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapValue {
    /// A value that was assigned.
    Plain(Shape),
    /// `count()`: 8 bytes.
    Count,
    /// `sum()`: 8 bytes.
    Sum {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `min()`: 8 bytes value, 8 bytes that are not 0 if it was set.
    Min {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `max()`: as [`Min`](Self::Min).
    Max {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `avg()`: 8 bytes total, 8 bytes count.
    Avg {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `stats()`: 8 bytes total, 8 bytes count.
    Stats {
        /// Whether it has a sign.
        signed: bool,
    },
    /// `hist()`: a counter of 8 bytes for each bucket ([`Buckets`]).
    Hist {
        /// Each power of two has 2^bits buckets, 0 to 5.
        bits: u32,
    },
    /// `lhist()`: a counter of 8 bytes for each bucket: below, inside, above.
    LinearHist {
        /// Start of the first bucket inside.
        min: i64,
        /// End of the last one.
        max: i64,
        /// Width of a bucket.
        step: i64,
    },
    /// `tseries()`: for each interval 8 bytes value (of `Avg` the total), 8 bytes count (of `Last` the boot-clock nanoseconds
    /// of the value; 0 if there is no value), 8 bytes number of the interval since 1970
    /// ([`HostInfo::WALL_OFFSET`]). The interval with number n is in place n modulo `count`. A series that
    /// [`is_spread`](Self::is_spread) has an entry for each interval: its place, 8 bytes, is the end of the key.
    Series {
        /// Nanoseconds in an interval.
        interval: u64,
        /// How many are kept.
        count: u32,
        /// How values of an interval come together.
        how: SeriesKind,
        /// Whether values have a sign.
        signed: bool,
    },
}

impl MapValue {
    /// Most intervals of a series in one value.
    pub const INTERVALS_AT_ONCE: u32 = 1000;

    /// Whether it is a series with an entry for each interval.
    pub const fn is_spread(&self) -> bool {
        matches!(self, Self::Series { count, .. } if *count > Self::INTERVALS_AT_ONCE)
    }

    /// Bytes of the keys in the kernel of a map whose keys in the script have so many.
    pub const fn key_size(&self, own: u32) -> u32 {
        if self.is_spread() { own.next_multiple_of(8) + 8 } else { own }
    }
}

/// How the values in an interval of a series come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeriesKind {
    /// The last one stays.
    Last,
    /// Their average.
    Avg,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their sum.
    Sum,
}

/// What a record asks the host to do. Offsets count from the start of the record, whose first 8 bytes are the action's
/// index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// `printf` and its kin.
    Print {
        /// Where to.
        to: PrintTo,
        /// The format, as the script has it.
        format: Arc<str>,
        /// The arguments.
        args: Vec<Field>,
    },
    /// `print` of a value.
    PrintValue {
        /// The value.
        value: Field,
    },
    /// `print` of a map.
    PrintMap {
        /// Index into [`Plan::maps`].
        map: u32,
        /// Only the largest; 0 for all.
        top: u32,
        /// Numbers are divided by this; 0 for not.
        div: u64,
    },
    /// `print` of one entry of a map.
    PrintEntry {
        /// Index into [`Plan::maps`].
        map: u32,
        /// The key, laid out as in the map.
        key: Field,
        /// The value at that time, if the map holds plain values.
        value: Option<Field>,
    },
    /// `clear`: all entries go.
    Clear {
        /// Index into [`Plan::maps`].
        map: u32,
    },
    /// `zero`: all values become zero.
    Zero {
        /// Index into [`Plan::maps`].
        map: u32,
    },
    /// `time`: the wall-clock time in this format.
    Time {
        /// Format of `strftime(3)`.
        format: Arc<str>,
    },
    /// `join`: texts with a separator between them.
    Join {
        /// Between the texts.
        separator: Arc<str>,
        /// The array of texts; empty ones at the end are left out.
        texts: Field,
    },
    /// `cat`: the contents of a file.
    Cat {
        /// Format of the path.
        format: Arc<str>,
        /// The arguments.
        args: Vec<Field>,
    },
    /// `system`: a command line for the shell.
    System {
        /// Format of the command.
        format: Arc<str>,
        /// The arguments.
        args: Vec<Field>,
    },
    /// `skboutput`: bytes of a packet for a capture file ([`PacketRecord`]).
    Packet {
        /// The file.
        file: Arc<str>,
        /// Most bytes that the record holds.
        room: u32,
    },
    /// `exit`: nothing that comes later is looked at.
    Exit {
        /// Offset of the exit status, 4 bytes.
        status: u32,
    },
    /// Takes note of a process whose addresses will have to be named: it may have ended when they are printed.
    Learn {
        /// Offset of its number, 4 bytes.
        pid: u32,
    },
    /// `dw_ustack`: registers and a copy of the stack, to be unwound ([`UnwindRecord`]).
    Unwind {
        /// Most bytes of the stack.
        room: u32,
    },
    /// A warning at run time: division by zero, an index outside of an array.
    Warning {
        /// What happened.
        text: Arc<str>,
        /// Where in the script: line and column from 1.
        at: (u32, u32),
    },
    /// A helper failed: 4 bytes at this offset are its negative error number.
    HelperError {
        /// The helper.
        helper: Arc<str>,
        /// Offset of the number.
        error: u32,
        /// Where in the script.
        at: (u32, u32),
    },
}

/// Where printed text goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrintTo {
    /// The output.
    Output,
    /// Standard error as a warning, with the place in the script.
    Warning((u32, u32)),
    /// Standard error as an error, with the place in the script.
    Error((u32, u32)),
}

/// An enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enumeration {
    /// Its name.
    pub name: Arc<str>,
    /// Names of values.
    pub values: Vec<(i64, Arc<str>)>,
}

/// Settings of the `config` block and the environment that matter to the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a file that `cat` prints at most.
    pub max_cat_bytes: u64,
    /// Whether maps are printed at the end.
    pub print_maps_on_exit: bool,
    /// What is put behind texts that were cut.
    pub truncation: Arc<str>,
    /// Bytes of the texts that `str` reads, with the zero: a text that fills them was cut, as far as anybody knows.
    pub max_strlen: u32,
    /// Whether C++ names are made readable.
    pub demangle: bool,
    /// Bytes of the ring buffer; 0 lets the host choose.
    pub ring_bytes: u64,
    /// What happens with probes that cannot be attached.
    pub missing_probes: MissingProbes,
}

/// What happens with probes that do not exist or cannot be attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingProbes {
    /// The script does not run.
    #[default]
    Error,
    /// There is a warning.
    Warn,
    /// Nothing.
    Ignore,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_cat_bytes: 10_240,
            print_maps_on_exit: true,
            truncation: "..".into(),
            max_strlen: 1024,
            demangle: true,
            ring_bytes: 0,
            missing_probes: MissingProbes::Error,
        }
    }
}
