//! Where things are: in records, in the working memory of a processor, in descriptors. Programs write by these numbers,
//! `record` and `capture` read and write by them.

/// Kinds of records.
pub mod kind {
    /// A system call begins.
    pub const ENTER: u32 = 1;
    /// A system call ends.
    pub const EXIT: u32 = 2;
    /// A thread was made; its number is in the first argument, its process in the second.
    pub const FORK: u32 = 3;
    /// A thread has ended; its status as `wait(2)` gives it is in the first argument.
    pub const END: u32 = 4;
    /// A signal is delivered; its number is in the first argument, 48 bytes of `siginfo_t` follow.
    pub const SIGNAL: u32 = 5;
    /// A signal was ignored; as for [`SIGNAL`], and the record belongs to the thread that would have got it.
    pub const IGNORED: u32 = 6;
}

/// Fields of a record. All are present in every record.
pub mod field {
    /// What it is (`kind`), 4 bytes.
    pub const KIND: i16 = 0;
    /// Number of the system call, 4 bytes; bit 31 for calls of the 32-bit table.
    pub const NUMBER: i16 = 4;
    /// Nanoseconds since boot.
    pub const TIME: i16 = 8;
    /// Thread, 4 bytes.
    pub const THREAD: i16 = 16;
    /// Process, 4 bytes.
    pub const PROCESS: i16 = 20;
    /// Name of the thread, 16 bytes.
    pub const NAME: i16 = 24;
    /// What the call returned.
    pub const RESULT: i16 = 40;
    /// Six arguments.
    pub const ARGS: i16 = 48;
    /// The stack pointer of the user, which operations name as argument 6; in records that are held their bytes.
    pub const LENGTH: i16 = 96;
    /// Where captured data begin.
    pub const CHUNKS: i16 = 104;
}

/// Set in the number of a call of the 32-bit table.
pub const NARROW: u32 = 1 << 31;

/// Captured data: a head of 16 bytes, then the bytes, filled up to a multiple of 8.
pub mod chunk {
    /// What was captured (`op`), with [`AGAIN`] if it was captured when the call ended, 1 byte.
    pub const KIND: i16 = 0;
    /// Number of the argument is the next byte; then 2 bytes: which part of it.
    /// Bytes that follow, 4 bytes signed; negative if memory could not be read.
    pub const GOT: i16 = 4;
    /// Bytes that there are, or a count.
    pub const FULL: i16 = 8;
    /// Bytes of the head.
    pub const HEAD: i64 = 16;
    /// The moment is the end, although it belongs to the beginning.
    pub const AGAIN: u8 = 0x80;
}

/// Parts of an argument.
pub mod part {
    /// The argument itself.
    pub const WHOLE: u16 = 0xffff;
    /// Name of a message.
    pub const NAME: u16 = 0xfffe;
    /// Control data of a message.
    pub const CONTROL: u16 = 0xfffd;
    /// Vector of a message.
    pub const VECTOR: u16 = 0xfffc;
}

/// Operations of descriptors.
pub mod op {
    /// A text that ends with NUL.
    pub const TEXT: u8 = 1;
    /// Bytes.
    pub const BYTES: u8 = 2;
    /// An array of texts that ends with a null pointer.
    pub const TEXTS: u8 = 3;
    /// The number of pointers in such an array.
    pub const COUNT: u8 = 4;
    /// An array of `iovec`, and what it points to.
    pub const VECTOR: u8 = 5;
    /// A `msghdr`, and what it points to.
    pub const MESSAGE: u8 = 6;
    /// An array of `mmsghdr`, each as if it were [`MESSAGE`] of the argument with its number above the bits of the
    /// argument ([`MESSAGE_STEP`](super::MESSAGE_STEP)).
    pub const MESSAGES: u8 = 9;
    /// The user's stack; not in descriptors.
    pub const STACK: u8 = 7;
    /// A `siginfo_t`; not in descriptors.
    pub const SIGNAL: u8 = 8;
}

/// Where the length of an operation comes from.
pub mod length {
    /// Always the most.
    pub const MOST: u8 = 0;
    /// Argument 0 to 5, from here on.
    pub const ARG: u8 = 1;
    /// The result.
    pub const RESULT: u8 = 7;
    /// The number of 4 bytes that argument 0 to 5 points to, from here on.
    pub const BEHIND: u8 = 16;
    /// Argument 0 to 5, from here on, as the bits of a set of memory nodes, of which one more is counted: 8 bytes for
    /// each begun 64.
    pub const NODES: u8 = 24;
}

/// Messages of an array that are looked at.
pub const MESSAGES: i64 = 16;
/// Where the number of a message stands in the number of the argument of its chunks.
pub const MESSAGE_STEP: u32 = 3;

/// Operations for one moment.
pub const OPS: i64 = 8;
/// Bytes of a descriptor: flags, operations at the beginning, operations at the end.
pub const DESCRIPTOR: u32 = 8 + 16 * OPS as u32;
/// Numbers of system calls that have a descriptor. The last one stands for all others.
pub const CALLS: u32 = 512;

/// Working memory: numbers that are not sent, then the record.
pub mod work {
    /// Bytes of the record so far.
    pub const CURSOR: i16 = 0;
    /// How many reads have failed.
    pub const FAILED: i16 = 8;
    /// The result as a number of bytes.
    pub const RESULT: i16 = 16;
    /// Added to the kind of every chunk.
    pub const MARK: i16 = 24;
    /// The registers of the user (`struct pt_regs`).
    pub const REGS: i16 = 32;
    /// The record.
    pub const RECORD: i16 = 32 + 168 + 8;
    /// No chunk begins behind this byte of the record.
    pub const LIMIT: i64 = 16 << 10;
    /// Most bytes of one chunk.
    pub const MOST: i64 = 8 << 10;
    /// Bytes altogether.
    pub const SIZE: u32 = RECORD as u32 + LIMIT as u32 + MOST as u32 + 64;
}

/// Offsets in `struct pt_regs` of x86-64 (`asm/ptrace.h`).
pub mod regs {
    /// All of it.
    pub const SIZE: i64 = 168;
    /// The six arguments: rdi, rsi, rdx, r10, r8, r9.
    pub const ARGS: [i16; 6] = [112, 104, 96, 56, 72, 64];
    /// Number of the call.
    pub const NUMBER: i16 = 120;
    /// Code segment.
    pub const CS: i16 = 136;
    /// Stack pointer.
    pub const SP: i16 = 152;
    /// Number of `rt_sigreturn`.
    pub const SIGRETURN: i64 = 15;
    /// Code segment of 32-bit programs.
    pub const CS_NARROW: i64 = 0x23;
    /// The six arguments of 32-bit programs: rbx, rcx, rdx, rsi, rdi, rbp.
    pub const NARROW_ARGS: [i16; 6] = [40, 88, 96, 104, 112, 32];
}

/// Bytes of a record that is held until the call ends.
pub const HELD: u32 = 8 << 10;

/// What is counted for each system call.
pub mod stat {
    /// Calls that have ended.
    pub const CALLS: i16 = 0;
    /// Calls that failed.
    pub const ERRORS: i16 = 8;
    /// Nanoseconds altogether.
    pub const TOTAL: i16 = 16;
    /// Shortest.
    pub const SHORTEST: i16 = 24;
    /// Longest.
    pub const LONGEST: i16 = 32;
    /// Calls by the binary logarithm of their nanoseconds.
    pub const BUCKETS: i16 = 40;
    /// Number of buckets.
    pub const BUCKET_COUNT: i64 = 40;
    /// Bytes altogether.
    pub const SIZE: u32 = BUCKETS as u32 + 8 * BUCKET_COUNT as u32;
}

/// What is lost, counted on each processor.
pub mod lost {
    /// Beginnings.
    pub const ENTER: i16 = 0;
    /// Ends.
    pub const EXIT: i16 = 8;
    /// Other records.
    pub const OTHER: i16 = 16;
    /// Calls whose beginning was not seen, which are not counted.
    pub const UNPAIRED: i16 = 24;
    /// Bytes altogether.
    pub const SIZE: u32 = 32;
}

/// Bytes of a stack: 64 addresses.
pub const STACK_BYTES: i64 = 512;
/// Bytes of a `siginfo_t` that matter.
pub const CHUNK_SIGNAL_BYTES: i64 = 48;
