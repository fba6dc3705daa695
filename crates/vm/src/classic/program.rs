//! A checked classic program, ready to run.

use std::fmt;

use skep_isa::classic::{CheckError, Insn};

use super::exec;
use super::metadata::Metadata;
use super::op::Code;

/// Most instructions in a program of this interpreter. The kernel's own limit, 4,096, does not apply here.
pub const MAX_INSNS: usize = 1 << 20;

/// Why a program cannot be run. Indices count instructions from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadError {
    /// The program breaks a rule of the instruction set: an unknown opcode, a jump out of the program, no `ret` at
    /// the end and so on.
    Malformed(CheckError),
    /// More than [`MAX_INSNS`] instructions; the number of them.
    TooLong(usize),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::TooLong(len) => write!(
                f,
                "the program has {len} instructions and the interpreter takes at most {MAX_INSNS}; \
                 use a shorter filter or a set of addresses in a map"
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// A classic program that was checked and decoded.
///
/// All jumps go forward and the last instruction ends the program, so every run ends after at most as many steps as
/// there are instructions. Running needs no memory and never fails.
#[derive(Debug, Clone)]
pub struct Program {
    code: Code,
}

impl Program {
    /// Checks and decodes a program of at most [`MAX_INSNS`] instructions.
    ///
    /// Scratch words may be read before they are written and are 0 then; the kernel refuses such programs.
    ///
    /// # Errors
    /// When the program is too long or breaks one of the structural rules of [`skep_isa::classic::check_structure`].
    pub fn new(insns: &[Insn]) -> Result<Self, LoadError> {
        if insns.len() > MAX_INSNS {
            return Err(LoadError::TooLong(insns.len()));
        }
        Code::new(insns).map(|code| Self { code }).map_err(LoadError::Malformed)
    }

    /// Number of instructions.
    #[allow(clippy::len_without_is_empty)] // An empty program does not pass the checks.
    pub fn len(&self) -> usize {
        self.code.get().len()
    }

    /// Runs the filter on the captured bytes of a packet that had `wire_len` bytes on the wire.
    ///
    /// The result is the number of bytes to keep, 0 to reject the packet; it may be larger than the packet.
    /// Semantics are the Linux kernel's (`bpf_convert_filter` in `net/core/filter.c`): a load that is not entirely
    /// inside `packet` and a division by an X of 0 end the program with 0, shift counts are taken modulo 32,
    /// `ld #pktlen` is `wire_len`. Bytes of `packet` after the first 2^31 - 1 are out of reach.
    #[inline]
    pub fn run(&self, packet: &[u8], wire_len: u32, meta: &Metadata) -> u32 {
        exec::run(&self.code, packet, wire_len, meta)
    }
}
