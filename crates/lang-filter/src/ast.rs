//! The syntax tree of a filter expression.
//!
//! Nodes stand in one vector, children before parents and in the order of the text. That order is part of the
//! language: `vlan`, `mpls`, `pppoes`, `geneve` and `vxlan` shift the offsets of everything written after them.
//! Passes walk the vector and need no recursion, so fifty thousand terms or ten thousand parentheses cost no stack.

use skep_diag::Span;

/// A whole expression. An empty one accepts every packet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ast {
    /// All nodes; children precede their parents.
    pub nodes: Vec<Node>,
    /// The outermost node; `None` for the empty expression.
    pub root: Option<NodeId>,
}

/// Index into [`Ast::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A node and the text that it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it was written.
    pub span: Span,
}

/// Boolean operators and primitives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// Both, left first.
    And(NodeId, NodeId),
    /// Either, left first.
    Or(NodeId, NodeId),
    /// Not.
    Not(NodeId),
    /// A test.
    Primitive(Primitive),
}

/// Protocol words, as qualifier, as primitive of their own or before `[`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the protocol of its name")]
pub enum Proto {
    /// `link` and its synonyms `ether`, `ppp`, `slip`, `fddi`, `tr`, `wlan`.
    Link,
    Ip,
    Arp,
    Rarp,
    Sctp,
    Tcp,
    Udp,
    Icmp,
    Igmp,
    Igrp,
    Pim,
    Vrrp,
    Carp,
    Ah,
    Esp,
    Ip6,
    Icmp6,
    Atalk,
    Aarp,
    Decnet,
    Lat,
    Sca,
    Moprc,
    Mopdl,
    Iso,
    Clnp,
    Esis,
    Isis,
    IsisL1,
    IsisL2,
    IsisIih,
    IsisLsp,
    IsisSnp,
    IsisCsnp,
    IsisPsnp,
    Stp,
    Ipx,
    Netbeui,
    /// The radio header before an 802.11 frame.
    Radio,
}

/// Direction qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dir {
    /// None written: either.
    Default,
    /// `src`
    Src,
    /// `dst`
    Dst,
    /// `src or dst`, `dst or src`
    SrcOrDst,
    /// `src and dst`, `dst and src`
    SrcAndDst,
    /// 802.11 receiver address.
    Ra,
    /// 802.11 transmitter address.
    Ta,
    /// 802.11 first address.
    Addr1,
    /// 802.11 second address.
    Addr2,
    /// 802.11 third address.
    Addr3,
    /// 802.11 fourth address.
    Addr4,
}

/// Type qualifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// None written: a host.
    Default,
    /// `host`
    Host,
    /// `net`
    Net,
    /// `port`
    Port,
    /// `portrange`
    PortRange,
    /// `proto`
    Proto,
    /// `protochain`
    ProtoChain,
    /// `gateway`
    Gateway,
}

/// The qualifiers in front of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quals {
    /// Protocol, if written.
    pub proto: Option<Proto>,
    /// Direction.
    pub dir: Dir,
    /// Type.
    pub kind: Kind,
}

/// A dotted number of one to four parts, e.g. `10.1` as in `net 10.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dotted {
    /// The parts as written, the unused ones 0. Each is at most 255 (checked by the parser).
    pub parts: [u8; 4],
    /// How many were written: 2 to 4 (a single number is [`Id::Number`]; before `/` or `mask` it may be 1).
    pub len: u8,
}

impl Dotted {
    /// The parts that were written, accumulated as one number: `10.1` is 0x0a01.
    pub fn value(self) -> u32 {
        self.parts[..usize::from(self.len)].iter().fold(0, |v, &p| v << 8 | u32::from(p))
    }
    /// How many bits were written: 8 per part.
    pub fn bits(self) -> u32 {
        u32::from(self.len) * 8
    }
}

/// What a qualified primitive names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id {
    /// A bare number.
    Number(u32),
    /// A dotted IPv4 address or prefix (or a DECnet `AREA.NODE`).
    V4(Dotted),
    /// `X/len`; `len` is at most 32 (checked by the parser).
    V4Len(Dotted, u32),
    /// `X mask M`
    V4Mask(Dotted, Dotted),
    /// An IPv6 address.
    V6([u8; 16]),
    /// An IPv6 prefix; the length is at most 128 (checked by the parser).
    V6Len([u8; 16], u32),
    /// A 48-bit hardware address.
    Mac([u8; 6]),
    /// `$xx`: an 8-bit ARCnet address.
    Mac8(u8),
    /// A name to be looked up: host, network, port, protocol, port range `a-b`.
    Name(String),
    /// `@FILE`: a named set, one id a line, read through the resolver.
    Set(String),
}

/// A test without boolean operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Primitive {
    /// `[proto] [dir] [type] id`. Ids that inherit their qualifiers (`port 80 or 443`) are expanded to this.
    Qualified(Quals, Id),
    /// A protocol word alone.
    Proto(Proto),
    /// `A relop B`
    Relation(RelOp, Arith, Arith),
    /// `[proto] broadcast`
    Broadcast(Option<Proto>),
    /// `[proto] multicast`
    Multicast(Option<Proto>),
    /// `less N`: `len <= N`
    Less(u32),
    /// `greater N`: `len >= N`
    Greater(u32),
    /// `byte I op V`
    Byte {
        /// Offset from the link header in bytes.
        index: u32,
        /// Comparison or mask.
        op: ByteOp,
        /// Second operand; may be larger than a byte, which then never holds for `=` and `>`.
        value: u32,
    },
    /// `inbound`
    Inbound,
    /// `outbound`
    Outbound,
    /// `ifindex N`
    IfIndex(u32),
    /// `vlan [id]`
    Vlan(Option<u32>),
    /// `mpls [label]`
    Mpls(Option<u32>),
    /// `pppoed`
    Pppoed,
    /// `pppoes [session]`
    Pppoes(Option<u32>),
    /// `geneve [vni]`
    Geneve(Option<u32>),
    /// `vxlan [vni]` (1.11)
    Vxlan(Option<u32>),
    /// `llc`, `llc i` and so on
    Llc(Option<LlcType>),
    /// 802.11 `type T`: value already shifted into the frame control byte (`mgt` 0, `ctl` 4, `data` 8)
    WlanType(u32),
    /// 802.11 `type T subtype S` or `subtype S`, as in the frame control byte
    WlanTypeSubtype {
        /// Type and subtype bits.
        value: u32,
        /// The bits that are compared.
        mask: u32,
    },
    /// 802.11 `dir D`: 0 to 3 are directions; larger numbers may be written and never match.
    WlanDir(u32),
    /// pf: `ifname NAME`
    PfIfname(String),
    /// pf: `rset NAME`
    PfRuleset(String),
    /// pf: `rnr N`
    PfRule(u32),
    /// pf: `srnr N`
    PfSubrule(u32),
    /// pf: `reason R`
    PfReason(u32),
    /// pf: `action A`
    PfAction(u32),
    /// ATM circuit classes
    Atm(AtmType),
    /// `vpi`, `vci` with relation
    AtmField(AtmField, RelOp, u32),
    /// SS7 signal unit classes
    Mtp2(Mtp2Type),
    /// SS7 fields with relation
    Mtp3(Mtp3Field, RelOp, u32),
    /// `ip6 chain PROTO`-style word of ours: the upper protocol behind any extension headers
    Ip6Chain(Proto),
}

/// Operators of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the operator of its name")]
pub enum RelOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Operators of the `byte` primitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the operator of its name")]
pub enum ByteOp {
    Eq,
    Lt,
    Gt,
    And,
    Or,
}

/// An arithmetic expression; 32 bits, unsigned. The parser bounds its depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arith {
    /// A number or a named constant.
    Number(u32),
    /// `len`
    Len,
    /// `proto[offset:size]`; size is 1, 2 or 4.
    Load {
        /// Whose header.
        proto: Accessor,
        /// Offset in that header in bytes.
        offset: Box<Arith>,
        /// 1, 2 or 4 bytes.
        size: u32,
        /// Place of the whole load.
        span: Span,
    },
    /// Two operands.
    Binary(skep_isa::classic::AluOp, Box<Arith>, Box<Arith>, Span),
    /// `-x`
    Neg(Box<Arith>),
    /// A word of the kernel's about the packet (live captures only).
    Meta(MetaWord, Span),
}

/// What stands before `[`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Accessor {
    /// A protocol word.
    Proto(Proto),
    /// `tcp6`: behind IPv6, extension headers included
    Tcp6,
    /// `udp6`
    Udp6,
    /// `sctp6`
    Sctp6,
}

/// What the kernel knows about a packet besides its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the SKF_AD word of its name")]
pub enum MetaWord {
    Mark,
    Queue,
    Rxhash,
    Cpu,
    Hatype,
    Random,
}

/// `llc` frame classes and types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the LLC frame type of its name")]
pub enum LlcType {
    I,
    S,
    U,
    Rr,
    Rnr,
    Rej,
    Ui,
    Ua,
    Disc,
    Dm,
    Sabme,
    Test,
    Xid,
    Frmr,
}

/// ATM circuit classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the pcap-filter word of its name")]
pub enum AtmType {
    Lane,
    Llc,
    Metac,
    Bcc,
    Oam,
    Oamf4,
    Oamf4sc,
    Oamf4ec,
    Sc,
    Ilmic,
    Connectmsg,
    Metaconnect,
}

/// ATM numeric fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the pcap-filter word of its name")]
pub enum AtmField {
    Vpi,
    Vci,
}

/// SS7 signal unit classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the pcap-filter word of its name")]
pub enum Mtp2Type {
    Fisu,
    Lssu,
    Msu,
    Hfisu,
    Hlssu,
    Hmsu,
}

/// SS7 numeric fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is the pcap-filter word of its name")]
pub enum Mtp3Field {
    Sio,
    Opc,
    Dpc,
    Sls,
    Hsio,
    Hopc,
    Hdpc,
    Hsls,
}
