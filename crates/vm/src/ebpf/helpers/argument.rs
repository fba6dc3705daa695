//! What helpers take, as their rows in the table say: checked in one place before a helper is called.

use crate::ebpf::fault::FaultKind;
use crate::ebpf::layout::function_step;
use crate::ebpf::machine::Machine;

/// One argument of a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// A number, or something that the helper checks itself.
    Any,
    /// The context.
    Context,
    /// The handle of a map.
    Map,
    /// Memory that is read: the argument with this index, from 0, is its size in bytes, the lower 32 bits of it.
    In(usize),
    /// Memory that is written: the argument with this index is its size.
    Out(usize),
    /// Memory that is read and written, of so many bytes.
    Fixed(u32),
    /// Memory of 8 bytes that is written.
    OutNumber,
    /// The address of a function.
    Function,
}

impl Argument {
    /// Refuses what the helper must not get.
    #[inline(always)]
    pub(super) fn check(self, machine: &Machine, index: usize, values: &[u64; 5]) -> Result<(), FaultKind> {
        let value = values[index];
        match self {
            Self::Any => Ok(()),
            Self::Context => machine.expect_context(value),
            Self::Map => machine.map(value).map(drop),
            Self::In(size) => machine.check_read(value, length(values[size])),
            Self::Out(size) => machine.check_write(value, length(values[size])),
            Self::Fixed(size) => machine.check_write(value, size),
            Self::OutNumber => machine.check_write(value, 8),
            Self::Function => function_step(value).map(drop).ok_or(FaultKind::NotAFunction(value)),
        }
    }
}

/// A size in a register: the kernel's helpers take 32 bits of it.
const fn length(register: u64) -> u32 {
    register as u32
}
