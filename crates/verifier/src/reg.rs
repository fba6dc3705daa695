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
    /// The keys that a flow dissector fills.
    FlowKeys,
    /// Memory of so many bytes, such as a record of a ring buffer.
    Memory(u32),
    /// A function of the program.
    Function(u32),
    /// A structure of the kernel with a type that has to be looked up.
    Typed,
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
                | Self::FlowKeys
                | Self::Typed
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
            Self::FlowKeys => "the flow keys",
            Self::Memory(_) => "memory",
            Self::Function(_) => "a function",
            Self::Typed => "a structure of the kernel",
        })
    }
}

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
    /// Bytes behind the start of the packet pointer with this id that are known to be in the packet.
    pub range: u32,
    /// Who it is a copy of; 0 for nobody.
    pub id: u32,
    /// Constant that was added to the copy; only with an id, only for numbers.
    pub delta: Option<i32>,
    /// The reference that it stands for, which has to be given back; 0 for none.
    pub reference: u32,
    /// Whether something was decided because of this number, so that states with another one are not the same.
    pub precise: bool,
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
    };

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
