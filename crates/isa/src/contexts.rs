//! Contexts: the structures that register 1 points to when a program starts.
//!
//! Layouts are those of `linux/bpf.h`. Which program type may read and write a field was asked of Linux 6.18, one load
//! each. Some hooks allow less than their program type: `user_ip6` exists only at hooks of IPv6, for example.

use crate::ProgType::{
    CgroupDevice, CgroupSkb, CgroupSock, CgroupSockAddr, CgroupSockopt, CgroupSysctl, FlowDissector, LwtIn, LwtOut,
    LwtSeg6local, LwtXmit, Netfilter, PerfEvent, SchedAct, SchedCls, SkLookup, SkMsg, SkReuseport, SkSkb, SockOps,
    SocketFilter, Xdp,
};
use crate::{ProgSet, ProgType, Release};

/// A structure that programs see as their context.
#[derive(Debug, PartialEq, Eq)]
pub struct Context {
    /// Its name in C, without `struct`.
    pub name: &'static str,
    /// Its size in bytes.
    pub size: u32,
    /// Its fields in the order of their offsets, without padding.
    pub fields: &'static [Field],
}

/// A field of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name in C.
    pub name: &'static str,
    /// Distance from the start in bytes.
    pub offset: u32,
    /// Size in bytes. Pointers into packets have 4 in `__sk_buff` and `xdp_md`: the kernel replaces the load.
    pub size: u32,
    /// First release that has it.
    pub since: Release,
    /// Program types that may read it, at one of their hooks at least.
    pub readable: ProgSet,
    /// Program types that may write it, or a part of it, at one of their hooks at least.
    pub writable: ProgSet,
    /// What it holds.
    pub about: &'static str,
}

impl Context {
    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Every context of the tables.
pub static CONTEXTS: &[&Context] = &[
    &SK_BUFF,
    &XDP_MD,
    &SOCK_OPS,
    &SOCK,
    &SOCK_ADDR,
    &SK_MSG,
    &SK_REUSEPORT,
    &SK_LOOKUP,
    &SYSCTL,
    &SOCKOPT,
    &CGROUP_DEV,
    &NETFILTER,
    &PERF_EVENT,
];

/// The program types with a packet buffer, apart from flow dissectors, which see three of its fields.
const BUFFERS: ProgSet =
    set(&[SocketFilter, SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, SkSkb, LwtSeg6local]);

const fn set(types: &[ProgType]) -> ProgSet {
    ProgSet::of(types)
}

#[allow(clippy::too_many_arguments)] // A row of the tables.
const fn field(
    name: &'static str,
    offset: u32,
    size: u32,
    major: u8,
    minor: u8,
    readable: ProgSet,
    writable: ProgSet,
    about: &'static str,
) -> Field {
    Field { name, offset, size, since: Release::new(major, minor), readable, writable, about }
}

// TABLE
/// `struct __sk_buff`.
#[rustfmt::skip]
pub static SK_BUFF: Context = Context {
    name: "__sk_buff",
    size: 192,
    fields: &[
        field("len", 0, 4, 4, 1, BUFFERS, ProgSet::NONE, "Bytes in the packet."),
        field("pkt_type", 4, 4, 4, 1, BUFFERS, ProgSet::NONE, "For this host (0), broadcast (1), multicast (2), another host (3), outgoing (4)."),
        field("mark", 8, 4, 4, 1, set(&[SocketFilter, SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local]), set(&[SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local]), "Mark that filters and routing use."),
        field("queue_mapping", 12, 4, 4, 1, BUFFERS, set(&[SchedCls, SchedAct]), "Transmit queue; on reception the queue plus 1."),
        field("protocol", 16, 4, 4, 1, BUFFERS, ProgSet::NONE, "EtherType in network byte order."),
        field("vlan_present", 20, 4, 4, 1, BUFFERS, ProgSet::NONE, "Whether a VLAN tag was taken off."),
        field("vlan_tci", 24, 4, 4, 1, BUFFERS, ProgSet::NONE, "Tag control information of that tag."),
        field("vlan_proto", 28, 4, 4, 1, BUFFERS, ProgSet::NONE, "EtherType of that tag in network byte order."),
        field("priority", 32, 4, 4, 2, BUFFERS, set(&[SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, SkSkb, LwtSeg6local]), "Priority for queueing."),
        field("ingress_ifindex", 36, 4, 4, 2, BUFFERS, ProgSet::NONE, "Index of the device that received the packet."),
        field("ifindex", 40, 4, 4, 2, BUFFERS, ProgSet::NONE, "Index of the device that the packet is at."),
        field("tc_index", 44, 4, 4, 2, BUFFERS, set(&[SchedCls, SchedAct, SkSkb]), "Class index of traffic control."),
        field("cb", 48, 20, 4, 2, BUFFERS, set(&[SocketFilter, SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, LwtSeg6local]), "Five words for the programs that handle the packet one after the other."),
        field("hash", 68, 4, 4, 3, BUFFERS, ProgSet::NONE, "Flow hash; 0 if not computed."),
        field("tc_classid", 72, 4, 4, 3, set(&[SchedCls, SchedAct]), set(&[SchedCls, SchedAct]), "Class that the verdict chooses."),
        field("data", 76, 4, 4, 7, set(&[SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, SkSkb, LwtSeg6local, FlowDissector]), ProgSet::NONE, "Start of the accessible packet."),
        field("data_end", 80, 4, 4, 7, set(&[SchedCls, SchedAct, CgroupSkb, LwtIn, LwtOut, LwtXmit, SkSkb, LwtSeg6local, FlowDissector]), ProgSet::NONE, "End of the accessible packet."),
        field("napi_id", 84, 4, 4, 12, BUFFERS, ProgSet::NONE, "Number of the receive queue for busy polling."),
        field("family", 88, 4, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Address family of the socket."),
        field("remote_ip4", 92, 4, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Remote IPv4 address of the socket, network byte order."),
        field("local_ip4", 96, 4, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Local IPv4 address, network byte order."),
        field("remote_ip6", 100, 16, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Remote IPv6 address."),
        field("local_ip6", 116, 16, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Local IPv6 address."),
        field("remote_port", 132, 4, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Remote port, network byte order."),
        field("local_port", 136, 4, 4, 14, set(&[CgroupSkb, SkSkb]), ProgSet::NONE, "Local port, host byte order."),
        field("data_meta", 140, 4, 4, 15, set(&[SchedCls, SchedAct]), ProgSet::NONE, "Start of the metadata in front of the packet."),
        field("flow_keys", 144, 8, 4, 20, set(&[FlowDissector]), ProgSet::NONE, "Pointer to the bpf_flow_keys that a flow dissector fills."),
        field("tstamp", 152, 8, 5, 0, set(&[SchedCls, SchedAct, CgroupSkb]), set(&[SchedCls, SchedAct, CgroupSkb]), "Time stamp in nanoseconds: of reception, or when to send."),
        field("wire_len", 160, 4, 5, 0, set(&[SchedCls, SchedAct]), ProgSet::NONE, "Length on the wire, for segmentation offload more than len."),
        field("gso_segs", 164, 4, 5, 1, BUFFERS, ProgSet::NONE, "Number of segments that the packet will become."),
        field("sk", 168, 8, 5, 1, BUFFERS, ProgSet::NONE, "Pointer to the bpf_sock of the packet or null."),
        field("gso_size", 176, 4, 5, 7, BUFFERS, ProgSet::NONE, "Payload of each segment."),
        field("tstamp_type", 180, 1, 5, 18, set(&[SchedCls, SchedAct]), ProgSet::NONE, "Which clock tstamp is of."),
        field("hwtstamp", 184, 8, 5, 16, set(&[SchedCls, SchedAct, CgroupSkb]), ProgSet::NONE, "Time stamp of the hardware."),
    ],
};

/// `struct xdp_md`.
#[rustfmt::skip]
pub static XDP_MD: Context = Context {
    name: "xdp_md",
    size: 24,
    fields: &[
        field("data", 0, 4, 4, 8, set(&[Xdp]), ProgSet::NONE, "Start of the packet."),
        field("data_end", 4, 4, 4, 8, set(&[Xdp]), ProgSet::NONE, "End of the packet, or of its first buffer."),
        field("data_meta", 8, 4, 4, 15, set(&[Xdp]), ProgSet::NONE, "Start of the metadata in front of the packet."),
        field("ingress_ifindex", 12, 4, 4, 16, set(&[Xdp]), ProgSet::NONE, "Index of the device that received the packet."),
        field("rx_queue_index", 16, 4, 4, 16, set(&[Xdp]), ProgSet::NONE, "Receive queue."),
        field("egress_ifindex", 20, 4, 5, 8, ProgSet::NONE, ProgSet::NONE, "Index of the device it goes to, for programs in a device map."),
    ],
};

/// `struct bpf_sock_ops`.
#[rustfmt::skip]
pub static SOCK_OPS: Context = Context {
    name: "bpf_sock_ops",
    size: 224,
    fields: &[
        field("op", 0, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Which event: BPF_SOCK_OPS_*."),
        field("args", 4, 16, 4, 13, set(&[SockOps]), set(&[SockOps]), "Up to four arguments of the event; the first word is the reply."),
        field("family", 20, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Address family."),
        field("remote_ip4", 24, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Remote IPv4 address, network byte order."),
        field("local_ip4", 28, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Local IPv4 address, network byte order."),
        field("remote_ip6", 32, 16, 4, 13, set(&[SockOps]), ProgSet::NONE, "Remote IPv6 address."),
        field("local_ip6", 48, 16, 4, 13, set(&[SockOps]), ProgSet::NONE, "Local IPv6 address."),
        field("remote_port", 64, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Remote port, network byte order."),
        field("local_port", 68, 4, 4, 13, set(&[SockOps]), ProgSet::NONE, "Local port, host byte order."),
        field("is_fullsock", 72, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Whether the fields below are valid."),
        field("snd_cwnd", 76, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Congestion window in segments."),
        field("srtt_us", 80, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Smoothed round trip time, microseconds times 8."),
        field("bpf_sock_ops_cb_flags", 84, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "The events that are asked for."),
        field("state", 88, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "State of the connection, BPF_TCP_*."),
        field("rtt_min", 92, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Least round trip time in microseconds."),
        field("snd_ssthresh", 96, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Slow start threshold."),
        field("rcv_nxt", 100, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Next sequence number expected."),
        field("snd_nxt", 104, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Next sequence number to send."),
        field("snd_una", 108, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "First unacknowledged sequence number."),
        field("mss_cache", 112, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Maximum segment size in use."),
        field("ecn_flags", 116, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "State of congestion notification."),
        field("rate_delivered", 120, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Packets of the last rate sample."),
        field("rate_interval_us", 124, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Duration of that sample."),
        field("packets_out", 128, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments in flight."),
        field("retrans_out", 132, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Retransmitted segments in flight."),
        field("total_retrans", 136, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Retransmissions of the connection."),
        field("segs_in", 140, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments received."),
        field("data_segs_in", 144, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments with data received."),
        field("segs_out", 148, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments sent."),
        field("data_segs_out", 152, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments with data sent."),
        field("lost_out", 156, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments taken for lost."),
        field("sacked_out", 160, 4, 4, 16, set(&[SockOps]), ProgSet::NONE, "Segments acknowledged selectively."),
        field("sk_txhash", 164, 4, 4, 16, set(&[SockOps]), set(&[SockOps]), "Hash that chooses the transmit queue."),
        field("bytes_received", 168, 8, 4, 16, set(&[SockOps]), ProgSet::NONE, "Bytes received."),
        field("bytes_acked", 176, 8, 4, 16, set(&[SockOps]), ProgSet::NONE, "Bytes acknowledged by the peer."),
        field("sk", 184, 8, 5, 3, set(&[SockOps]), ProgSet::NONE, "Pointer to the bpf_sock or null."),
        field("skb_data", 192, 8, 5, 10, set(&[SockOps]), ProgSet::NONE, "Start of the TCP header, for events with a packet."),
        field("skb_data_end", 200, 8, 5, 10, set(&[SockOps]), ProgSet::NONE, "End of what can be read of it."),
        field("skb_len", 208, 4, 5, 10, set(&[SockOps]), ProgSet::NONE, "Length of the packet."),
        field("skb_tcp_flags", 212, 4, 5, 10, set(&[SockOps]), ProgSet::NONE, "Flags of the TCP header."),
        field("skb_hwtstamp", 216, 8, 6, 2, set(&[SockOps]), ProgSet::NONE, "Time stamp of the hardware."),
    ],
};

/// `struct bpf_sock`.
#[rustfmt::skip]
pub static SOCK: Context = Context {
    name: "bpf_sock",
    size: 80,
    fields: &[
        field("bound_dev_if", 0, 4, 4, 10, set(&[CgroupSock]), set(&[CgroupSock]), "Index of the device the socket is bound to, 0 for none."),
        field("family", 4, 4, 4, 10, set(&[CgroupSock]), ProgSet::NONE, "Address family."),
        field("type", 8, 4, 4, 10, set(&[CgroupSock]), ProgSet::NONE, "Socket type."),
        field("protocol", 12, 4, 4, 10, set(&[CgroupSock]), ProgSet::NONE, "Protocol number."),
        field("mark", 16, 4, 4, 14, set(&[CgroupSock]), set(&[CgroupSock]), "Mark for its packets."),
        field("priority", 20, 4, 4, 14, set(&[CgroupSock]), set(&[CgroupSock]), "Priority for its packets."),
        field("src_ip4", 24, 4, 4, 17, set(&[CgroupSock]), ProgSet::NONE, "Local IPv4 address, network byte order."),
        field("src_ip6", 28, 16, 4, 17, set(&[CgroupSock]), ProgSet::NONE, "Local IPv6 address."),
        field("src_port", 44, 4, 4, 17, set(&[CgroupSock]), ProgSet::NONE, "Local port, host byte order."),
        field("dst_port", 48, 2, 5, 1, set(&[CgroupSock]), ProgSet::NONE, "Remote port, network byte order."),
        field("dst_ip4", 52, 4, 5, 1, set(&[CgroupSock]), ProgSet::NONE, "Remote IPv4 address."),
        field("dst_ip6", 56, 16, 5, 1, set(&[CgroupSock]), ProgSet::NONE, "Remote IPv6 address."),
        field("state", 72, 4, 5, 1, set(&[CgroupSock]), ProgSet::NONE, "State of the connection."),
        field("rx_queue_mapping", 76, 4, 5, 8, set(&[CgroupSock]), ProgSet::NONE, "Receive queue, -1 if unknown."),
    ],
};

/// `struct bpf_sock_addr`.
#[rustfmt::skip]
pub static SOCK_ADDR: Context = Context {
    name: "bpf_sock_addr",
    size: 72,
    fields: &[
        field("user_family", 0, 4, 4, 17, set(&[CgroupSockAddr]), ProgSet::NONE, "Address family that the process gave."),
        field("user_ip4", 4, 4, 4, 17, set(&[CgroupSockAddr]), set(&[CgroupSockAddr]), "IPv4 address that it gave, network byte order."),
        field("user_ip6", 8, 16, 4, 17, set(&[CgroupSockAddr]), set(&[CgroupSockAddr]), "IPv6 address that it gave."),
        field("user_port", 24, 4, 4, 17, set(&[CgroupSockAddr]), set(&[CgroupSockAddr]), "Port that it gave, network byte order."),
        field("family", 28, 4, 4, 17, set(&[CgroupSockAddr]), ProgSet::NONE, "Address family of the socket."),
        field("type", 32, 4, 4, 17, set(&[CgroupSockAddr]), ProgSet::NONE, "Socket type."),
        field("protocol", 36, 4, 4, 17, set(&[CgroupSockAddr]), ProgSet::NONE, "Protocol number."),
        field("msg_src_ip4", 40, 4, 4, 18, set(&[CgroupSockAddr]), set(&[CgroupSockAddr]), "Source IPv4 address of a message."),
        field("msg_src_ip6", 44, 16, 4, 18, set(&[CgroupSockAddr]), set(&[CgroupSockAddr]), "Source IPv6 address of a message."),
        field("sk", 64, 8, 5, 3, set(&[CgroupSockAddr]), ProgSet::NONE, "Pointer to the bpf_sock."),
    ],
};

/// `struct sk_msg_md`.
#[rustfmt::skip]
pub static SK_MSG: Context = Context {
    name: "sk_msg_md",
    size: 80,
    fields: &[
        field("data", 0, 8, 4, 17, set(&[SkMsg]), ProgSet::NONE, "Start of the accessible message."),
        field("data_end", 8, 8, 4, 17, set(&[SkMsg]), ProgSet::NONE, "End of it."),
        field("family", 16, 4, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Address family."),
        field("remote_ip4", 20, 4, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Remote IPv4 address, network byte order."),
        field("local_ip4", 24, 4, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Local IPv4 address, network byte order."),
        field("remote_ip6", 28, 16, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Remote IPv6 address."),
        field("local_ip6", 44, 16, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Local IPv6 address."),
        field("remote_port", 60, 4, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Remote port, network byte order."),
        field("local_port", 64, 4, 4, 18, set(&[SkMsg]), ProgSet::NONE, "Local port, host byte order."),
        field("size", 68, 4, 5, 0, set(&[SkMsg]), ProgSet::NONE, "Bytes in the message."),
        field("sk", 72, 8, 5, 8, set(&[SkMsg]), ProgSet::NONE, "Pointer to the bpf_sock."),
    ],
};

/// `struct sk_reuseport_md`.
#[rustfmt::skip]
pub static SK_REUSEPORT: Context = Context {
    name: "sk_reuseport_md",
    size: 56,
    fields: &[
        field("data", 0, 8, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "Start of the transport header."),
        field("data_end", 8, 8, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "End of what can be read directly."),
        field("len", 16, 4, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "Length of the packet from the transport header."),
        field("eth_protocol", 20, 4, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "EtherType in network byte order."),
        field("ip_protocol", 24, 4, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "Protocol number."),
        field("bind_inany", 28, 4, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "Whether the sockets are bound to any address."),
        field("hash", 32, 4, 4, 19, set(&[SkReuseport]), ProgSet::NONE, "Hash of the addresses and ports."),
        field("sk", 40, 8, 5, 14, set(&[SkReuseport]), ProgSet::NONE, "Pointer to the bpf_sock of the group."),
        field("migrating_sk", 48, 8, 5, 14, set(&[SkReuseport]), ProgSet::NONE, "Pointer to the socket that closes, null for a new connection."),
    ],
};

/// `struct bpf_sk_lookup`.
#[rustfmt::skip]
pub static SK_LOOKUP: Context = Context {
    name: "bpf_sk_lookup",
    size: 72,
    fields: &[
        field("sk", 0, 8, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Pointer to the socket chosen so far or null."),
        field("family", 8, 4, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Address family."),
        field("protocol", 12, 4, 5, 9, set(&[SkLookup]), ProgSet::NONE, "TCP or UDP."),
        field("remote_ip4", 16, 4, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Remote IPv4 address, network byte order."),
        field("remote_ip6", 20, 16, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Remote IPv6 address."),
        field("remote_port", 36, 2, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Remote port, network byte order; a word of four bytes before 5.18."),
        field("local_ip4", 40, 4, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Local IPv4 address, network byte order."),
        field("local_ip6", 44, 16, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Local IPv6 address."),
        field("local_port", 60, 4, 5, 9, set(&[SkLookup]), ProgSet::NONE, "Local port, host byte order."),
        field("ingress_ifindex", 64, 4, 5, 17, set(&[SkLookup]), ProgSet::NONE, "Index of the device that received the packet."),
    ],
};

/// `struct bpf_sysctl`.
#[rustfmt::skip]
pub static SYSCTL: Context = Context {
    name: "bpf_sysctl",
    size: 8,
    fields: &[
        field("write", 0, 4, 5, 2, set(&[CgroupSysctl]), ProgSet::NONE, "1 for a write, 0 for a read."),
        field("file_pos", 4, 4, 5, 2, set(&[CgroupSysctl]), set(&[CgroupSysctl]), "Position in the file."),
    ],
};

/// `struct bpf_sockopt`.
#[rustfmt::skip]
pub static SOCKOPT: Context = Context {
    name: "bpf_sockopt",
    size: 40,
    fields: &[
        field("sk", 0, 8, 5, 3, set(&[CgroupSockopt]), ProgSet::NONE, "Pointer to the bpf_sock."),
        field("optval", 8, 8, 5, 3, set(&[CgroupSockopt]), ProgSet::NONE, "Start of the value."),
        field("optval_end", 16, 8, 5, 3, set(&[CgroupSockopt]), ProgSet::NONE, "End of the value."),
        field("level", 24, 4, 5, 3, set(&[CgroupSockopt]), set(&[CgroupSockopt]), "Level of the option."),
        field("optname", 28, 4, 5, 3, set(&[CgroupSockopt]), set(&[CgroupSockopt]), "Number of the option."),
        field("optlen", 32, 4, 5, 3, set(&[CgroupSockopt]), set(&[CgroupSockopt]), "Length of the value."),
        field("retval", 36, 4, 5, 3, set(&[CgroupSockopt]), set(&[CgroupSockopt]), "Result of getsockopt(2)."),
    ],
};

/// `struct bpf_cgroup_dev_ctx`.
#[rustfmt::skip]
pub static CGROUP_DEV: Context = Context {
    name: "bpf_cgroup_dev_ctx",
    size: 12,
    fields: &[
        field("access_type", 0, 4, 4, 15, set(&[CgroupDevice]), ProgSet::NONE, "What is asked (upper half: create 1, read 2, write 4) of what (lower half: block 1, character 2)."),
        field("major", 4, 4, 4, 15, set(&[CgroupDevice]), ProgSet::NONE, "Major number."),
        field("minor", 8, 4, 4, 15, set(&[CgroupDevice]), ProgSet::NONE, "Minor number."),
    ],
};

/// `struct bpf_nf_ctx`.
#[rustfmt::skip]
pub static NETFILTER: Context = Context {
    name: "bpf_nf_ctx",
    size: 16,
    fields: &[
        field("state", 0, 8, 6, 4, set(&[Netfilter]), ProgSet::NONE, "Pointer to the nf_hook_state: hook, family, devices."),
        field("skb", 8, 8, 6, 4, set(&[Netfilter]), ProgSet::NONE, "Pointer to the sk_buff."),
    ],
};

/// `struct bpf_perf_event_data`.
#[rustfmt::skip]
pub static PERF_EVENT: Context = Context {
    name: "bpf_perf_event_data",
    size: 184,
    fields: &[
        field("regs", 0, 168, 4, 9, set(&[PerfEvent]), ProgSet::NONE, "Registers of the interrupted code; layout and length are those of the processor."),
        field("sample_period", 168, 8, 4, 9, set(&[PerfEvent]), ProgSet::NONE, "Period of the sample."),
        field("addr", 176, 8, 4, 17, set(&[PerfEvent]), ProgSet::NONE, "Address that the sample is about, if the event has one."),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_lie_inside_and_in_order() {
        for context in CONTEXTS {
            let mut end = 0;
            for field in context.fields {
                assert!(field.offset >= end && field.about.ends_with('.'), "{}.{}", context.name, field.name);
                end = field.offset + field.size;
                assert_eq!(context.field(field.name), Some(field));
            }
            assert!(end <= context.size, "{}", context.name);
        }
        assert_eq!(XDP_MD.field("nosuch"), None);
    }
}
