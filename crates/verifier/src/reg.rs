//! What is known about one register or spilled value (`struct bpf_reg_state`).

use std::fmt;

use skep_domain::Scalar;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Never written on this path.
    Unset,
    /// A number.
    Number,
    /// The context.
    Context,
    /// A map itself, as helpers take it: its index in the object.
    Map(u32),
    /// The value of an entry of a map.
    Value(u32),
    /// The stack of the function at this depth of calls.
    Stack(u8),
    /// The packet.
    Packet,
    /// The metadata in front of the packet.
    PacketMeta,
    /// The end of the packet.
    PacketEnd,
    /// A full socket.
    Socket,
    /// A socket of any kind.
    SockCommon,
    /// The TCP part of a socket.
    TcpSock,
    /// A socket of AF_XDP.
    XdpSock,
    /// The keys that a flow dissector fills.
    FlowKeys,
    /// Memory of so many bytes, such as a record of a ring buffer.
    Memory(u32),
    /// A function of the program.
    Function(u32),
    /// A structure of the kernel with a type that is not known here.
    Typed,
    /// A structure of the kernel: its number in the kernel's types.
    Struct(u32, Trust),
    /// Memory of the kernel that is no structure; loads from it may fail and give zero then
    /// (`PTR_TO_MEM | MEM_RDONLY | PTR_UNTRUSTED`).
    Foreign,
    /// Memory whose size is compared with what the program reaches when it is attached (`PTR_TO_BUF`).
    Buffer,
    /// The record of a tracepoint that programs write, as `Buffer` but not for helpers (`PTR_TO_TP_BUFFER`).
    Record,
    /// Memory of an arena, at whatever distance: accesses that miss it fail at run time (`PTR_TO_ARENA`).
    Arena,
    /// A variable that each processor has, whose type has this number in the kernel's types: helpers find the one of a
    /// processor.
    PerCpu(u32),
    /// An object of the program: its number in the program's own types.
    Object(u32, Hold),
    /// The key of an entry of a map.
    Key(u32),
    /// A dynptr of the caller.
    Dynptr(DynptrKind),
    /// What a slot of the stack is part of.
    Special(Special),
}

/// How far a pointer to a structure of the kernel can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trust {
    /// It is valid as long as the program runs, or as its reference is held (`PTR_TRUSTED`).
    Trusted,
    /// It is valid as long as the RCU read lock is held (`MEM_RCU`).
    Rcu,
    /// Old programs pass it to helpers.
    Plain,
    /// It is only read, by loads that may fail (`PTR_UNTRUSTED`).
    Untrusted,
    /// It is one of a process or of each processor.
    Elsewhere,
}

/// What the program has of an object of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hold {
    /// All of it (`MEM_ALLOC`).
    Owned,
    /// It is in a list or tree whose lock is held (`NON_OWN_REF`).
    Shared,
    /// It was read from a map under the RCU read lock.
    Rcu,
    /// It is not valid any more, or may not be.
    Untrusted,
    /// An object of each processor.
    PerCpu,
}

/// What a dynptr stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DynptrKind {
    /// Memory of the program.
    Local,
    /// A record of a ring buffer.
    Record,
    /// A packet.
    Packet,
    /// A frame of XDP.
    Frame,
    /// The metadata of a packet.
    Metadata,
}

/// What the kernel keeps on the stack of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Special {
    /// An iterator.
    Iterator {
        /// The number of its structure in the kernel's types.
        kind: u32,
        /// Whether it is the slot at the lowest address.
        first: bool,
        /// Whether it is at its end.
        drained: bool,
        /// How far it can be relied on.
        trust: Trust,
    },
    /// A dynptr.
    Dynptr {
        /// What it stands for.
        kind: DynptrKind,
        /// Whether it is the slot at the lowest address.
        first: bool,
    },
    /// Whether interrupts were on.
    Interrupts,
}

impl Kind {
    /// Whether numbers may be added to it.
    pub fn takes_arithmetic(self) -> bool {
        matches!(
            self,
            Self::Context
                | Self::Value(_)
                | Self::Stack(_)
                | Self::Packet
                | Self::PacketMeta
                | Self::Memory(_)
                | Self::Buffer
                | Self::Record
                | Self::FlowKeys
                | Self::Typed
                | Self::Struct(..)
                | Self::Object(..)
                | Self::Key(_)
        )
    }

    /// Whether it points into the packet.
    pub fn is_packet(self) -> bool {
        matches!(self, Self::Packet | Self::PacketMeta)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unset => "nothing",
            Self::Number => "a number",
            Self::Context => "the context",
            Self::Map(_) => "a map",
            Self::Value(_) => "a map value",
            Self::Stack(_) => "the stack",
            Self::Packet => "the packet",
            Self::PacketMeta => "the packet's metadata",
            Self::PacketEnd => "the end of the packet",
            Self::Socket => "a socket",
            Self::SockCommon => "a socket of any kind",
            Self::TcpSock => "a TCP socket",
            Self::XdpSock => "an XDP socket",
            Self::FlowKeys => "the flow keys",
            Self::Memory(_) => "memory",
            Self::Function(_) => "a function",
            Self::Typed | Self::Struct(..) => "a structure of the kernel",
            Self::Foreign => "memory of the kernel",
            Self::Buffer => "a buffer",
            Self::Record => "the record of the tracepoint",
            Self::Arena => "memory of an arena",
            Self::PerCpu(_) => "a variable of each processor",
            Self::Object(..) => "an object of the program",
            Self::Key(_) => "a map key",
            Self::Dynptr(_) => "a dynptr",
            Self::Special(_) => "an iterator or dynptr on the stack",
        })
    }
}

/// The range of a packet pointer that is not in front of the packet's end (`AT_PKT_END`).
pub const AT_END: u32 = u32::MAX - 1;
/// The range of one that is behind the packet's end (`BEYOND_PKT_END`).
pub const BEYOND_END: u32 = u32::MAX;

/// What is known about a value.
///
/// A pointer points `off` plus the number `num` bytes behind the start of what it points to. Values with the same nonzero
/// `id` are copies of one another: what is found out about one holds for all. A number that is such a copy plus a constant
/// has `delta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reg {
    /// What it is.
    pub kind: Kind,
    /// Whether a pointer may be null.
    pub nullable: bool,
    /// Fixed part of a pointer's distance from the start, in bytes.
    pub off: i32,
    /// A number, or the variable part of a pointer's distance.
    pub num: Scalar,
    /// Bytes behind the start of the packet pointer with this id that are known to be in the packet; or [`AT_END`] or
    /// [`BEYOND_END`], for which there are none ([`Reg::known_bytes`]).
    pub range: u32,
    /// Who it is a copy of; 0 for nobody.
    pub id: u32,
    /// Constant that was added to the copy; only with an id, only for numbers.
    pub delta: Option<i32>,
    /// The reference that it stands for, which has to be given back; 0 for none.
    pub reference: u32,
    /// Whether something was decided because of this number, so that states with another one are not the same.
    pub precise: bool,
    /// Whether memory may only be read.
    pub read_only: bool,
    /// The dynptr that memory is a part of; 0 for none. For a dynptr its own number.
    pub slice: u32,
}

impl Reg {
    /// Never written.
    pub const UNSET: Self = Self {
        kind: Kind::Unset,
        nullable: false,
        off: 0,
        num: Scalar::UNKNOWN,
        range: 0,
        id: 0,
        delta: None,
        reference: 0,
        precise: false,
        read_only: false,
        slice: 0,
    };

    /// What a pointer in a structure of the kernel is that leads to no structure: a number before 6.17, and then memory that can
    /// be read (`WALK_PTR_UNTRUSTED`).
    pub fn loose(kernel: crate::Kernel) -> Self {
        if kernel >= crate::Kernel::V6_18 { Self::pointer(Kind::Foreign) } else { Self::UNKNOWN }
    }

    /// A number.
    pub const fn number(num: Scalar) -> Self {
        Self { kind: Kind::Number, num, ..Self::UNSET }
    }

    /// A number that is known.
    pub const fn constant(value: u64) -> Self {
        Self::number(Scalar::constant(value))
    }

    /// Any number.
    pub const UNKNOWN: Self = Self::number(Scalar::UNKNOWN);

    /// A pointer to the start of something.
    pub const fn pointer(kind: Kind) -> Self {
        Self { kind, num: Scalar::constant(0), ..Self::UNSET }
    }

    /// A pointer that may be null; `id` tells its copies.
    pub const fn nullable(kind: Kind, id: u32) -> Self {
        Self { nullable: true, id, ..Self::pointer(kind) }
    }

    /// Bytes behind the start that are known to be in the packet.
    pub fn known_bytes(&self) -> u32 {
        if self.range < AT_END { self.range } else { 0 }
    }

    /// Whether it is a number.
    pub fn is_number(&self) -> bool {
        self.kind == Kind::Number
    }

    /// Whether it is a pointer of any kind.
    pub fn is_pointer(&self) -> bool {
        !matches!(self.kind, Kind::Number | Kind::Unset)
    }

    /// The number, if it is one and known.
    pub fn as_constant(&self) -> Option<u64> {
        if self.is_number() { self.num.as_constant() } else { None }
    }

    /// Whether it is the number 0.
    pub fn is_zero(&self) -> bool {
        self.as_constant() == Some(0)
    }

    /// Forgets whose copy it is.
    pub fn unlink(&mut self) {
        self.id = 0;
        self.delta = None;
    }

    /// The distance of a pointer from the start, if it is known.
    pub fn fixed_offset(&self) -> Option<i64> {
        let variable = self.num.as_constant()?.cast_signed();
        i64::from(self.off).checked_add(variable)
    }
}
