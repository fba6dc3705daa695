//! Why a program was stopped while it ran.

use std::fmt;

use skep_isa::ebpf::InsnIdx;

use super::space::Access;

/// Part of the address space of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// The first MiB: null pointers and numbers that were taken for pointers.
    Null,
    /// What register 1 points to on entry.
    Context,
    /// The frames of the active functions, 512 bytes each.
    Stack,
    /// What a helper lent to a callback.
    Scratch,
    /// The bytes of the packet.
    Packet,
    /// Handles of maps: for helpers only.
    MapHandle,
    /// Addresses of functions: for calls only.
    Function,
    /// The values of the map with this index.
    MapValues(u32),
    /// Nothing is there.
    Unmapped,
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("the null region"),
            Self::Context => f.write_str("the context"),
            Self::Stack => f.write_str("the stack"),
            Self::Scratch => f.write_str("what a helper lent to a callback"),
            Self::Packet => f.write_str("the packet"),
            Self::MapHandle => f.write_str("a map handle, which only helpers take"),
            Self::Function => f.write_str("the code, which can only be called"),
            Self::MapValues(index) => write!(f, "the values of map {index}"),
            Self::Unmapped => f.write_str("an address where nothing is"),
        }
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// An access that is not entirely inside one object.
    OutOfBounds {
        /// First byte of the access.
        address: u64,
        /// Bytes of the access.
        size: u32,
        /// Read or write.
        access: Access,
        /// The part of the address space that `address` lies in.
        region: Region,
    },
    /// An atomic access at an address that is no multiple of its size.
    Misaligned {
        /// The address.
        address: u64,
        /// Bytes of the access.
        size: u32,
    },
    /// The program used up its fuel.
    OutOfFuel,
    /// More than 8 functions were active at once.
    TooManyFrames,
    /// An indirect call to something that is neither a function nor a known helper; the value of the register.
    BadCallTarget(u64),
    /// A helper got something that is not a map handle where it needs one; the argument.
    NotAMap(u64),
    /// A helper or packet load got something that is not the context where it needs it; the value.
    NotTheContext(u64),
    /// A helper got the address of something that is no function where it needs a callback; the value.
    NotAFunction(u64),
    /// A helper got something else than it works on.
    WrongArgument {
        /// The argument.
        value: u64,
        /// What it must be.
        expected: &'static str,
    },
    /// A spin lock was not released by its holder for so long that it never will be; its address.
    DeadLock(u64),
    /// A registered helper panicked; the panic goes on in the thread that started the run.
    HelperPanicked,
    /// A map that the program reached at run time could not be mapped; the machine has no address space left for it.
    NoRoomForMap,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { address, size, access, region } => {
                let (verb, preposition) = match access {
                    Access::Read => ("reads", "from"),
                    Access::Write => ("writes", "to"),
                };
                write!(
                    f,
                    "{verb} {size} bytes {preposition} address {address:#x}, which is not inside an object ({region}); \
                     check the pointer against null and its bounds first"
                )
            }
            Self::Misaligned { address, size } => write!(
                f,
                "accesses {size} bytes at address {address:#x} atomically, which is not a multiple of {size}; align \
                 the data"
            ),
            Self::OutOfFuel => f.write_str("used up its fuel; the program loops or needs a higher limit"),
            Self::TooManyFrames => f.write_str("calls more than 8 functions deep"),
            Self::BadCallTarget(value) => write!(f, "calls {value:#x}, which is no function and no helper"),
            Self::NotAMap(value) => write!(f, "gives a helper {value:#x} where it expects a map"),
            Self::NotTheContext(value) => write!(f, "uses {value:#x} where it needs the context"),
            Self::NotAFunction(value) => write!(f, "gives a helper {value:#x} where it expects a function"),
            Self::WrongArgument { value, expected } => {
                write!(f, "gives a helper {value:#x} where it expects {expected}")
            }
            Self::DeadLock(address) => {
                write!(f, "waits for the spin lock at {address:#x} that nobody releases; release it on every way out")
            }
            Self::HelperPanicked => f.write_str("calls a helper that panicked"),
            Self::NoRoomForMap => f.write_str("reaches a map for which there are no addresses left; use fewer maps"),
        }
    }
}

/// A program was stopped: where and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Index of the program in its machine: after a tail call not the one that was started.
    pub program: usize,
    /// The instruction, counted in slots from 0.
    pub at: InsnIdx,
    /// What it did.
    pub kind: FaultKind,
    /// What was left of the fuel.
    pub fuel: u64,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instruction {} {}", self.at, self.kind)
    }
}

impl std::error::Error for Fault {}
