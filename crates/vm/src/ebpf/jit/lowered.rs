//! What a code generator produces: bytes, and the tables that tell what happened where.

use crate::ebpf::space::Access as Kind;

/// Machine code of one program, not yet at its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lowered {
    pub(crate) code: Vec<u8>,
    /// Where calls of each function of the program lead. A run starts at the first byte of the code.
    pub(crate) functions: Vec<u32>,
    /// Where each step of the program starts.
    pub(crate) steps: Vec<u32>,
    /// Ordered by position.
    pub(crate) stops: Vec<Stop>,
    /// Ordered by position.
    pub(crate) accesses: Vec<Access>,
    /// Calls of what lies outside.
    pub(crate) calls: Vec<(u32, Call)>,
}

/// What code calls outside of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    /// The stop stub.
    Stop,
    /// The entry of the helper at this index.
    Helper(u32),
    /// Goes on in another program: gives its code, or 0.
    OtherProgram,
    /// Finds the target of an indirect call.
    Indirect,
    /// Loads from the packet where the fast path does not.
    PacketLoad,
}

/// Why code stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    OutOfFuel,
    TooManyFrames,
    /// A helper has left the fault in the state.
    Helper,
    /// The target of an indirect call, in the first stop register, is none.
    BadCallTarget,
    /// Register 6, in the first stop register, is not the context.
    NotTheContext,
    /// The access at this distance from the frame pointer (in the first stop register) is outside of the frame.
    OutsideFrame {
        off: i16,
        size: u32,
        access: Kind,
    },
    /// The address of the host in the first stop register is no multiple of the size.
    Misaligned {
        size: u32,
    },
}

/// A call of the stop stub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stop {
    /// The return address.
    pub(crate) at: u32,
    pub(crate) step: u32,
    pub(crate) reason: Reason,
}

/// Where an access finds its address when it has faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this address.
    Fixed(u32),
    /// At a distance from a register of the processor, cut to 32 bits.
    Register { number: u8, off: i32 },
    /// At the address of the host in a register of the processor.
    Host { number: u8 },
}

/// An access that may fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Access {
    /// Where the machine instruction starts.
    pub(crate) at: u32,
    pub(crate) step: u32,
    pub(crate) place: Place,
    pub(crate) size: u32,
    pub(crate) access: Kind,
    /// For an instruction that reads and then writes: the step that writes. `step` is the one that reads.
    pub(crate) writer: Option<u32>,
}
