//! Why a program is refused: the reason as data, and in words.

use std::fmt;

use skep_isa::Release;
use skep_isa::ebpf::InsnError;
use skep_isa::helpers::Arg;

use crate::reg::Kind;
use crate::rules::{self, Rule};

/// A refusal at an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The slot of the instruction.
    pub at: u32,
    /// Why.
    pub reason: Reason,
    /// The branches on the way there, from the start: slot and whether the jump was taken.
    pub path: Vec<(u32, bool)>,
}

impl Rejection {
    /// A refusal without a path.
    pub fn at(at: u32, reason: Reason) -> Self {
        Self { at, reason, path: Vec::new() }
    }
}

/// Why a step is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No instructions.
    Empty,
    /// No instruction of the set.
    Malformed(InsnError),
    /// A jump or call leads to where no instruction begins.
    JumpOutside,
    /// A jump leaves its function.
    JumpOutOfFunction,
    /// A function ends without an exit or a jump.
    FallsOffTheEnd,
    /// More than 256 functions.
    TooManyFunctions,
    /// An instruction that is never reached.
    Unreachable,
    /// A loop whose state does not change.
    InfiniteLoop,
    /// More instructions on all paths than the kernel looks at.
    TooComplex,
    /// More branches on one path than the kernel keeps.
    TooManyBranches,
    /// A register that was never written on this path.
    Unwritten(u8),
    /// The frame pointer is written.
    FramePointer,
    /// Arithmetic with a pointer that may be null.
    NullableArithmetic(Kind),
    /// Arithmetic that this kind of pointer does not take.
    PointerArithmetic(Kind),
    /// An operation that pointers do not take.
    PointerOperation(&'static str),
    /// A number that may be anything is added to a pointer.
    Unbounded {
        /// What it is added to.
        kind: Kind,
        /// Whether it is the lower bound that is missing.
        lower: bool,
    },
    /// A pointer is out of what the kernel counts with.
    OffsetRange(i64),
    /// A division by the constant 0.
    DivisionByZero,
    /// A shift by a constant of the width or more.
    Shift(i32),
    /// A number is used as an address.
    NumberAsAddress(u8),
    /// An address that may be null.
    NullableAccess(u8, Kind),
    /// Something that cannot be read or written.
    NoAccess(u8, Kind),
    /// The least address is before the start.
    BelowStart {
        /// The register.
        reg: u8,
        /// What it points to.
        kind: Kind,
        /// The least distance from the start.
        least: i64,
    },
    /// The greatest address is behind the end.
    BehindEnd {
        /// The register.
        reg: u8,
        /// What it points to.
        kind: Kind,
        /// The greatest distance of the last byte plus 1.
        most: i64,
        /// The size of what it points to.
        size: u32,
    },
    /// An access to the packet that is not known to be in it.
    OutsidePacket {
        /// The register.
        reg: u8,
        /// The distance.
        off: i64,
        /// The size.
        size: u32,
        /// What is known to be there.
        range: u32,
    },
    /// Bytes of the stack that were never written.
    StackUnwritten(i64),
    /// Stack outside of the 512 bytes.
    StackRange(i64, u32),
    /// A spilled pointer is read in another size.
    SpillSize(i64),
    /// A field of the context that does not exist or not so.
    Context {
        /// The distance.
        off: i64,
        /// The size.
        size: u32,
        /// Whether it is a write.
        write: bool,
    },
    /// A context pointer that was moved.
    MovedContext,
    /// An address that is not a multiple of the size.
    Misaligned {
        /// The distance.
        off: i64,
        /// The size.
        size: u32,
    },
    /// A write to a map that programs only read, or a read of one that they only write.
    MapAccess {
        /// The map.
        map: u32,
        /// Whether it is a write.
        write: bool,
    },
    /// A pointer would become visible in a map or packet.
    Leak(Kind),
    /// A pointer would become visible to a process without `CAP_PERFMON`.
    Shown(Kind),
    /// The size of an atomic operation or what it works on.
    Atomic,
    /// A helper that does not exist.
    NoHelper(i32),
    /// A helper that this type of program cannot call.
    HelperRefused(u32),
    /// A helper that asks for another licence.
    Licence(u32),
    /// An argument is not what the helper takes.
    Argument {
        /// The helper.
        helper: u32,
        /// The register.
        reg: u8,
        /// What it takes.
        wanted: Arg,
        /// What it got.
        found: Kind,
        /// Whether that may be null.
        nullable: bool,
    },
    /// A size that may be negative or too large.
    Size {
        /// The register.
        reg: u8,
        /// Whether it may be negative.
        negative: bool,
    },
    /// A size that may be 0.
    ZeroSize(u8),
    /// A map that the helper does not work on.
    MapKind {
        /// The helper.
        helper: u32,
        /// The map.
        map: u32,
    },
    /// A reference is not given back.
    Unreleased(u32),
    /// Something is given back that is not held.
    NotHeld(u8),
    /// The result of the program is not one of those that count.
    Result {
        /// The least.
        least: i64,
        /// The greatest.
        most: i64,
    },
    /// The result of a function or program is no number.
    ResultKind(Kind),
    /// Too many calls inside of one another.
    TooDeep,
    /// A function calls itself.
    Recursion,
    /// The stacks of functions together are too large.
    StackTogether(u32),
    /// A function takes the address of a caller's stack with it.
    ReturnsStack,
    /// One instruction accesses the context, a socket or a structure of the kernel on one path and something else on another.
    MixedAccess,
    /// A rule without figures.
    Rule(&'static Rule),
    /// A function of the kernel that this type of program cannot call.
    KfuncRefused(Box<str>),
    /// An argument of a function of the kernel, the register, and what is wrong with it.
    KfuncArgument(Box<str>, u8, &'static Rule),
    /// An argument of a global function.
    GlobalArgument(u8),
    /// Something for which the process that loads the program has too few capabilities.
    Capability {
        /// What it is, in the plural.
        what: String,
        /// `CAP_BPF`
        capability: &'static str,
    },
    /// Something that only later releases have.
    Later {
        /// What it is.
        what: String,
        /// The first release that has it.
        since: Release,
    },
}

impl Reason {
    /// What to do about it, in a sentence.
    pub fn help(&self) -> &'static str {
        match self {
            Self::SpillSize(_) => "keep it in a variable of 8 bytes, and read that as a whole",
            Self::Unwritten(_) | Self::StackUnwritten(_) => "give it a value on every path that leads here",
            Self::NumberAsAddress(_) => {
                "pointers are lost by 32-bit operations and by arithmetic with other pointers; memory of the kernel is read with probe_read_kernel"
            }
            Self::NullableAccess(..) | Self::NullableArithmetic(_) => {
                "compare it with null first, and use it only where it is not"
            }
            Self::BelowStart { .. } | Self::Unbounded { lower: true, .. } => {
                "make it unsigned, or compare it with 0 first"
            }
            Self::BehindEnd { .. } | Self::Unbounded { lower: false, .. } => {
                "compare it with the size, or mask it, before it is added"
            }
            Self::OutsidePacket { .. } => "compare the address plus the size with the end of the packet on this path",
            Self::Size { negative: true, .. } => "make the size unsigned, or compare it with 0 first",
            Self::Size { .. } => "compare the size with that of the memory first",
            Self::ZeroSize(_) => "compare it with 0 first",
            Self::Unreleased(_) => "give it back on every path, or test it for null",
            Self::Result { .. } => "return one of the values that this type of program may return",
            Self::InfiniteLoop => "change something in each round that the condition tests",
            Self::TooComplex | Self::TooManyBranches => "make loops shorter or use bpf_loop",
            Self::Unreachable => "remove what is never reached",
            Self::HelperRefused(_) => "`skep help helper NAME` lists the types of programs that may call it",
            Self::Licence(_) => "declare a licence that is compatible with the GPL",
            Self::Rule(rule) | Self::KfuncArgument(_, _, rule) => rule.remedy,
            Self::KfuncRefused(_) => rules::KFUNC_REFUSED.remedy,
            Self::GlobalArgument(_) => rules::GLOBAL_ARGUMENT.remedy,
            Self::Leak(_) => "store a number in place of the pointer",
            Self::Shown(_) => "use a number in place of the pointer, or load the program with CAP_PERFMON",
            Self::Capability { .. } => "load the program with this capability",
            _ => "",
        }
    }
}

fn helper(id: u32) -> &'static str {
    skep_isa::helpers::by_id(id).map_or("an unknown helper", |helper| helper.name)
}

/// `1 byte`, `4 bytes`.
fn bytes(size: u32) -> String {
    format!("{size} byte{}", if size == 1 { "" } else { "s" })
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the program has no instructions"),
            Self::Malformed(error) => write!(f, "{error}"),
            Self::JumpOutside => f.write_str("the jump leads to where no instruction begins"),
            Self::JumpOutOfFunction => f.write_str("the jump leads out of its function"),
            Self::FallsOffTheEnd => f.write_str("the function must end with `exit` or a jump"),
            Self::TooManyFunctions => f.write_str("the program has more than 256 functions"),
            Self::Unreachable => f.write_str("this instruction is never reached"),
            Self::InfiniteLoop => f.write_str("this loop never ends: nothing changes from one round to the next"),
            Self::TooComplex => {
                f.write_str("the paths through the program have more than 1,000,000 instructions together")
            }
            Self::TooManyBranches => f.write_str("more than 8,192 branches are open on one path"),
            Self::Unwritten(reg) => write!(f, "r{reg} was never written on this path"),
            Self::FramePointer => f.write_str("r10 cannot be written"),
            Self::NullableArithmetic(kind) => write!(f, "arithmetic with a pointer to {kind} that may be null"),
            Self::PointerArithmetic(kind) => write!(f, "a pointer to {kind} takes no arithmetic"),
            Self::PointerOperation(what) => write!(f, "pointers cannot be operands of {what}"),
            Self::Unbounded { kind, lower } => {
                write!(
                    f,
                    "a number without {} bound is added to a pointer to {kind}",
                    if *lower { "a lower" } else { "an upper" }
                )
            }
            Self::OffsetRange(off) => write!(f, "{off} bytes are further away than pointers may be moved"),
            Self::DivisionByZero => f.write_str("division by 0"),
            Self::Shift(count) => write!(f, "a shift by {count}"),
            Self::NumberAsAddress(reg) => write!(f, "r{reg} is a number and not an address"),
            Self::NullableAccess(reg, kind) => write!(f, "r{reg} may be null: it is {kind} that was not tested"),
            Self::NoAccess(reg, kind) => write!(f, "r{reg} is {kind}, which cannot be accessed so"),
            Self::BelowStart { reg, kind, least } => {
                write!(f, "r{reg} may point {} bytes before the start of {kind}", least.unsigned_abs())
            }
            Self::BehindEnd { reg, kind, most, size } => {
                write!(f, "the access by r{reg} may reach byte {most} of {kind}, which has {size} bytes")
            }
            Self::OutsidePacket { reg, off, size, range } => {
                let (size, are) = (bytes(*size), if *size == 1 { "is" } else { "are" });
                write!(f, "{size} at {off} behind r{reg} {are} not known to be in the packet; {range} bytes are")
            }
            Self::StackUnwritten(off) => write!(f, "the byte at r10{off:+} was never written on this path"),
            Self::StackRange(off, size) => {
                let are = if *size == 1 { "is" } else { "are" };
                write!(f, "{} at r10{off:+} {are} not in the 512 bytes of stack", bytes(*size))
            }
            Self::SpillSize(off) => write!(f, "a pointer at r10{off:+} is stored or read in part; it has 8 bytes"),
            Self::Context { off, size, write } => {
                write!(
                    f,
                    "{} at {off} of the context cannot be {}",
                    bytes(*size),
                    if *write { "written" } else { "read" }
                )
            }
            Self::MovedContext => f.write_str("the pointer to the context was moved"),
            Self::Misaligned { off, size } => write!(f, "{size} bytes at {off} are not aligned"),
            Self::MapAccess { write, .. } => {
                write!(f, "programs cannot {} this map", if *write { "write" } else { "read" })
            }
            Self::Leak(kind) => write!(f, "a pointer to {kind} would become visible"),
            Self::Atomic => f.write_str("atomic operations work on 4 or 8 bytes of the stack, map values and the like"),
            Self::NoHelper(id) => write!(f, "there is no helper {id}"),
            Self::HelperRefused(id) => write!(f, "this type of program cannot call {}", helper(*id)),
            Self::Licence(id) => write!(f, "{} is for programs under the GPL", helper(*id)),
            Self::Argument { helper: id, reg, wanted, found, nullable } => {
                let null = if *nullable { " or null" } else { "" };
                write!(f, "{} takes {wanted} in r{reg}, which is {found}{null}", helper(*id))
            }
            Self::Size { reg, negative } => {
                write!(f, "the size in r{reg} may be {}", if *negative { "negative" } else { "too large" })
            }
            Self::ZeroSize(reg) => write!(f, "the size in r{reg} may be 0"),
            Self::MapKind { helper: id, .. } => write!(f, "{} does not work on a map of this type", helper(*id)),
            Self::Unreleased(at) => write!(f, "what was taken at instruction {at} is not given back"),
            Self::NotHeld(reg) => write!(f, "r{reg} is nothing that has to be given back"),
            Self::Result { least, most } => write!(f, "the result may be from {least} to {most}"),
            Self::ResultKind(kind) => write!(f, "the result is {kind} and not a number"),
            Self::TooDeep => f.write_str("more than 8 functions call one another"),
            Self::Recursion => f.write_str("the function calls itself"),
            Self::StackTogether(bytes) => {
                write!(f, "the stacks of the functions on the way have {bytes} bytes together, more than 512")
            }
            Self::ReturnsStack => f.write_str("a function cannot return a pointer to its stack"),
            Self::Rule(rule) => f.write_str(rule.headline),
            Self::KfuncRefused(name) => write!(f, "programs of this type cannot call {name}"),
            Self::KfuncArgument(name, reg, rule) => write!(f, "r{reg} of {name}: {}", rule.headline),
            Self::GlobalArgument(reg) => write!(f, "r{reg}: {}", rules::GLOBAL_ARGUMENT.headline),
            Self::Shown(kind) => write!(f, "a pointer to {kind} would become visible to a process without CAP_PERFMON"),
            Self::Capability { what, capability } => write!(f, "{what} need {capability}"),
            Self::Later { what, since } => write!(f, "Linux {since} is the first with {what}"),
            Self::MixedAccess => {
                f.write_str("one instruction accesses one kind of memory on one path and another kind on another")
            }
        }
    }
}

/// What ends the verification without a verdict, or with one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// The program is refused.
    Reject(Reason),
    /// A rule that is not known here is needed.
    Undecided(&'static str),
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Reject(reason)
    }
}

/// The result of a step.
pub type Step<T> = Result<T, Stop>;
