//! What the machine knows and values need: symbols, users, control groups, clocks, texts of numbers.
//!
//! Symbols come from the caller through [`Symbols`]. The rest is read when it is first asked for.

mod cgroups;
mod clock;
mod numbers;
mod users;

use std::fmt;

pub use clock::Clock;

pub(crate) use numbers::{error_text, signal_text, syscall_name};

/// Identity of a stack trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId {
    /// Of the kernel, or of a process.
    pub kernel: bool,
    /// Hash of its addresses, or of the copy of the stack that it is unwound from.
    pub hash: u64,
    /// Number of its addresses; [`StackKey::UNWOUND`](skep_lang_script::plan::StackKey::UNWOUND) if it is unwound.
    pub frames: u32,
    /// The process, 0 for the kernel.
    pub pid: u32,
}

/// What an address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol<'a> {
    /// Name of the function or variable.
    pub name: &'a str,
    /// Bytes behind its start.
    pub offset: u64,
    /// The kernel module or the file; empty for the kernel itself.
    pub module: &'a str,
}

/// A frame of a stack trace that was taken with build ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildIdFrame {
    /// The kernel has found the file.
    File {
        /// Its build id, filled up with zeros.
        build_id: [u8; 20],
        /// Offset in the file.
        offset: u64,
    },
    /// The kernel has not found it.
    Address(u64),
}

/// Registers of a process and a copy of its stack, from which a stack trace is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StackCopy<'a> {
    /// The process.
    pub pid: u32,
    /// What the copy is known by in [`StackId`].
    pub hash: u64,
    /// `struct pt_regs` of the process.
    pub registers: &'a [u8],
    /// Address of the first byte of the copy.
    pub base: u64,
    /// The copy.
    pub stack: &'a [u8],
}

/// Where symbols and stack traces come from.
pub trait Symbols: fmt::Debug {
    /// The symbol at an address of the kernel.
    fn kernel(&mut self, address: u64) -> Option<Symbol<'_>>;

    /// The symbol at an address of a process.
    fn user(&mut self, pid: u32, address: u64) -> Option<Symbol<'_>>;

    /// A process was seen for the first time: what is needed to name its addresses later is best read now.
    fn learn(&mut self, _pid: u32) {}

    /// Appends the addresses of a stack trace, innermost first; nothing if it is not known.
    fn stack(&mut self, id: StackId, addresses: &mut Vec<u64>);

    /// Finds the stack trace of a copy, for [`stack`](Self::stack).
    fn unwind(&mut self, _copy: StackCopy<'_>) {}

    /// The hash that stands for all copies of stacks with the same stack trace: that of one of them.
    fn same_trace(&mut self, hash: u64) -> u64 {
        hash
    }

    /// Appends the frames of a stack trace that was taken with build ids, innermost first.
    fn build_ids(&mut self, id: StackId, frames: &mut Vec<BuildIdFrame>) {
        let mut addresses = Vec::new();
        self.stack(id, &mut addresses);
        frames.extend(addresses.into_iter().map(BuildIdFrame::Address));
    }

    /// Build id (hexadecimal) of the file that an address of a process belongs to, and the offset in that file.
    fn build_id(&mut self, pid: u32, address: u64) -> Option<(&str, u64)>;
}

/// Knows no symbols: addresses are printed.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSymbols;

impl Symbols for NoSymbols {
    fn kernel(&mut self, _address: u64) -> Option<Symbol<'_>> {
        None
    }
    fn user(&mut self, _pid: u32, _address: u64) -> Option<Symbol<'_>> {
        None
    }
    fn stack(&mut self, _id: StackId, _addresses: &mut Vec<u64>) {}
    fn build_id(&mut self, _pid: u32, _address: u64) -> Option<(&str, u64)> {
        None
    }
}

/// Everything that values are named by.
#[derive(Debug)]
pub struct Names {
    symbols: Box<dyn Symbols>,
    users: users::Users,
    cgroups: cgroups::Cgroups,
    errors: numbers::Errors,
    clock: Clock,
    /// Kept from one stack trace to the next, so that they cost no allocation.
    frames: Vec<u64>,
    text: Vec<u8>,
}

impl Names {
    /// Names from this machine, with these symbols.
    pub fn new(symbols: Box<dyn Symbols>, clock: Clock) -> Self {
        Self {
            symbols,
            users: users::Users::default(),
            cgroups: cgroups::Cgroups::default(),
            errors: numbers::Errors::default(),
            clock,
            frames: Vec::new(),
            text: Vec::new(),
        }
    }

    /// The symbols.
    pub fn symbols(&mut self) -> &mut dyn Symbols {
        &mut *self.symbols
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The name of a user, the number if there is none.
    pub fn user(&mut self, uid: u32) -> &str {
        self.users.name(uid)
    }

    /// Path of a control group in all hierarchies that match the pattern: `unified:/user.slice`.
    pub fn cgroup(&mut self, id: u64, pattern: &str) -> &str {
        self.cgroups.paths(id, pattern)
    }

    /// The text of an error number (`strerror(3)`).
    pub fn error(&mut self, number: i32) -> &str {
        self.errors.text(number)
    }

    /// The buffer for addresses, empty. To be given back.
    pub(crate) fn take_frames(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.frames)
    }

    pub(crate) fn give_frames(&mut self, mut frames: Vec<u64>) {
        frames.clear();
        self.frames = frames;
    }

    /// A buffer for text, empty. To be given back.
    pub(crate) fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    pub(crate) fn give_text(&mut self, mut text: Vec<u8>) {
        text.clear();
        self.text = text;
    }
}
