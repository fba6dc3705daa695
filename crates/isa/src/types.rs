//! Program types, map types and attach types: numbers, names and the release they came with.

use std::fmt;

use crate::Release;

/// Declares an enumeration of the kernel from rows of variant, number, name and release.
macro_rules! kernel_enum {
    ($(#[$meta:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $text:literal, $major:literal, $minor:literal;)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl $name {
            /// Every type, in the order of the numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number in `bpf(2)`.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The type with this number.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }

            /// Its name: that of the constant in `linux/bpf.h`, in small letters and without prefix.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The type with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }

            /// What it is, in a sentence.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// First release that has it.
            pub const fn since(self) -> Release {
                match self { $(Self::$variant => Release::new($major, $minor),)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

// TABLE
kernel_enum! {
    /// Program types (`enum bpf_prog_type`).
    ProgType {
        /// Decides how much of a packet a socket receives.
        SocketFilter = 1, "socket_filter", 3, 19;
        /// Runs at a kernel or user function (kprobe, uprobe).
        Kprobe = 2, "kprobe", 4, 1;
        /// Classifies packets in traffic control.
        SchedCls = 3, "sched_cls", 4, 1;
        /// Acts on packets in traffic control.
        SchedAct = 4, "sched_act", 4, 1;
        /// Runs at a tracepoint with its formatted record.
        Tracepoint = 5, "tracepoint", 4, 7;
        /// Runs in the network driver before a packet buffer exists.
        Xdp = 6, "xdp", 4, 8;
        /// Runs when a performance counter overflows.
        PerfEvent = 7, "perf_event", 4, 9;
        /// Filters packets of a control group.
        CgroupSkb = 8, "cgroup_skb", 4, 10;
        /// Runs when a control group creates or releases a socket.
        CgroupSock = 9, "cgroup_sock", 4, 10;
        /// Runs on a route for incoming packets.
        LwtIn = 10, "lwt_in", 4, 10;
        /// Runs on a route for outgoing packets.
        LwtOut = 11, "lwt_out", 4, 10;
        /// Runs on a route before transmission.
        LwtXmit = 12, "lwt_xmit", 4, 10;
        /// Runs at events of TCP connections.
        SockOps = 13, "sock_ops", 4, 13;
        /// Parses and redirects streams in a socket map.
        SkSkb = 14, "sk_skb", 4, 14;
        /// Controls device access of a control group.
        CgroupDevice = 15, "cgroup_device", 4, 15;
        /// Decides about messages sent through a socket map.
        SkMsg = 16, "sk_msg", 4, 17;
        /// Runs at a tracepoint with its raw arguments.
        RawTracepoint = 17, "raw_tracepoint", 4, 17;
        /// Runs at bind, connect and the like of a control group.
        CgroupSockAddr = 18, "cgroup_sock_addr", 4, 17;
        /// Runs as an action of IPv6 segment routing.
        LwtSeg6local = 19, "lwt_seg6local", 4, 18;
        /// Decodes infrared signals.
        LircMode2 = 20, "lirc_mode2", 4, 18;
        /// Chooses a socket of a reuseport group.
        SkReuseport = 21, "sk_reuseport", 4, 19;
        /// Dissects flow keys of packets.
        FlowDissector = 22, "flow_dissector", 4, 20;
        /// Controls sysctl access of a control group.
        CgroupSysctl = 23, "cgroup_sysctl", 5, 2;
        /// Raw tracepoint whose buffer may be written.
        RawTracepointWritable = 24, "raw_tracepoint_writable", 5, 2;
        /// Runs at socket options of a control group.
        CgroupSockopt = 25, "cgroup_sockopt", 5, 3;
        /// Runs at entry or exit of functions, iterators and typed tracepoints.
        Tracing = 26, "tracing", 5, 5;
        /// Implements a function of a kernel operations table.
        StructOps = 27, "struct_ops", 5, 6;
        /// Replaces a function of another program.
        Ext = 28, "ext", 5, 6;
        /// Runs at a security hook.
        Lsm = 29, "lsm", 5, 7;
        /// Chooses the socket for a packet.
        SkLookup = 30, "sk_lookup", 5, 9;
        /// Runs when user space asks for it; may call bpf(2).
        Syscall = 31, "syscall", 5, 14;
        /// Runs at a netfilter hook.
        Netfilter = 32, "netfilter", 6, 4;
    }
}

// TABLE
kernel_enum! {
    /// Map types (`enum bpf_map_type`).
    MapType {
        /// Hash table.
        Hash = 1, "hash", 3, 19;
        /// Array of values, never deleted.
        Array = 2, "array", 3, 19;
        /// Programs for tail calls.
        ProgArray = 3, "prog_array", 4, 2;
        /// Performance event buffers and counters.
        PerfEventArray = 4, "perf_event_array", 4, 3;
        /// Hash table with a value per processor.
        PercpuHash = 5, "percpu_hash", 4, 6;
        /// Array with a value per processor.
        PercpuArray = 6, "percpu_array", 4, 6;
        /// Stack traces by number.
        StackTrace = 7, "stack_trace", 4, 6;
        /// References to control groups.
        CgroupArray = 8, "cgroup_array", 4, 8;
        /// Hash table that drops the least recently used entry.
        LruHash = 9, "lru_hash", 4, 10;
        /// The same with a value per processor.
        LruPercpuHash = 10, "lru_percpu_hash", 4, 10;
        /// Longest prefix match.
        LpmTrie = 11, "lpm_trie", 4, 11;
        /// Array of maps.
        ArrayOfMaps = 12, "array_of_maps", 4, 12;
        /// Hash table of maps.
        HashOfMaps = 13, "hash_of_maps", 4, 12;
        /// Network devices for redirection.
        Devmap = 14, "devmap", 4, 14;
        /// Sockets by index.
        Sockmap = 15, "sockmap", 4, 14;
        /// Processors for redirection.
        Cpumap = 16, "cpumap", 4, 15;
        /// AF_XDP sockets for redirection.
        Xskmap = 17, "xskmap", 4, 18;
        /// Sockets by key.
        Sockhash = 18, "sockhash", 4, 18;
        /// Values per control group and program.
        CgroupStorage = 19, "cgroup_storage", 4, 19;
        /// Sockets of a reuseport group.
        ReuseportSockarray = 20, "reuseport_sockarray", 4, 19;
        /// The same with a value per processor.
        PercpuCgroupStorage = 21, "percpu_cgroup_storage", 4, 20;
        /// First in, first out.
        Queue = 22, "queue", 4, 20;
        /// Last in, first out.
        Stack = 23, "stack", 4, 20;
        /// Values attached to sockets.
        SkStorage = 24, "sk_storage", 5, 2;
        /// Network devices by key.
        DevmapHash = 25, "devmap_hash", 5, 4;
        /// An operations table of the kernel.
        StructOps = 26, "struct_ops", 5, 6;
        /// Ring buffer to user space.
        Ringbuf = 27, "ringbuf", 5, 8;
        /// Values attached to inodes.
        InodeStorage = 28, "inode_storage", 5, 10;
        /// Values attached to tasks.
        TaskStorage = 29, "task_storage", 5, 11;
        /// Set with false positives.
        BloomFilter = 30, "bloom_filter", 5, 16;
        /// Ring buffer from user space.
        UserRingbuf = 31, "user_ringbuf", 6, 1;
        /// Values attached to control groups.
        CgrpStorage = 32, "cgrp_storage", 6, 2;
        /// Memory shared with user space.
        Arena = 33, "arena", 6, 9;
    }
}

// TABLE
kernel_enum! {
    /// Places where programs attach (`enum bpf_attach_type`).
    AttachType {
        /// Packets that enter a control group.
        CgroupInetIngress = 0, "cgroup_inet_ingress", 4, 10;
        /// Packets that leave a control group.
        CgroupInetEgress = 1, "cgroup_inet_egress", 4, 10;
        /// Creation of a socket in a control group.
        CgroupInetSockCreate = 2, "cgroup_inet_sock_create", 4, 10;
        /// Events of TCP connections in a control group.
        CgroupSockOps = 3, "cgroup_sock_ops", 4, 13;
        /// Finding messages in a stream of a socket map.
        SkSkbStreamParser = 4, "sk_skb_stream_parser", 4, 14;
        /// Verdict on a message of a stream parser.
        SkSkbStreamVerdict = 5, "sk_skb_stream_verdict", 4, 14;
        /// Access to a device.
        CgroupDevice = 6, "cgroup_device", 4, 15;
        /// Verdict on a sent message.
        SkMsgVerdict = 7, "sk_msg_verdict", 4, 17;
        /// bind(2) with IPv4.
        CgroupInet4Bind = 8, "cgroup_inet4_bind", 4, 17;
        /// bind(2) with IPv6.
        CgroupInet6Bind = 9, "cgroup_inet6_bind", 4, 17;
        /// connect(2) with IPv4.
        CgroupInet4Connect = 10, "cgroup_inet4_connect", 4, 17;
        /// connect(2) with IPv6.
        CgroupInet6Connect = 11, "cgroup_inet6_connect", 4, 17;
        /// After bind(2) with IPv4.
        CgroupInet4PostBind = 12, "cgroup_inet4_post_bind", 4, 17;
        /// After bind(2) with IPv6.
        CgroupInet6PostBind = 13, "cgroup_inet6_post_bind", 4, 17;
        /// sendmsg(2) over UDP and IPv4.
        CgroupUdp4Sendmsg = 14, "cgroup_udp4_sendmsg", 4, 18;
        /// sendmsg(2) over UDP and IPv6.
        CgroupUdp6Sendmsg = 15, "cgroup_udp6_sendmsg", 4, 18;
        /// Infrared signals.
        LircMode2 = 16, "lirc_mode2", 4, 18;
        /// Dissection of flow keys.
        FlowDissector = 17, "flow_dissector", 4, 20;
        /// Access to a sysctl.
        CgroupSysctl = 18, "cgroup_sysctl", 5, 2;
        /// recvmsg(2) over UDP and IPv4.
        CgroupUdp4Recvmsg = 19, "cgroup_udp4_recvmsg", 5, 2;
        /// recvmsg(2) over UDP and IPv6.
        CgroupUdp6Recvmsg = 20, "cgroup_udp6_recvmsg", 5, 2;
        /// getsockopt(2).
        CgroupGetsockopt = 21, "cgroup_getsockopt", 5, 3;
        /// setsockopt(2).
        CgroupSetsockopt = 22, "cgroup_setsockopt", 5, 3;
        /// A raw tracepoint with typed arguments.
        TraceRawTp = 23, "trace_raw_tp", 5, 5;
        /// Entry of a function.
        TraceFentry = 24, "trace_fentry", 5, 5;
        /// Exit of a function.
        TraceFexit = 25, "trace_fexit", 5, 5;
        /// Instead of a function, with its result.
        ModifyReturn = 26, "modify_return", 5, 7;
        /// A security hook.
        LsmMac = 27, "lsm_mac", 5, 7;
        /// An iterator.
        TraceIter = 28, "trace_iter", 5, 8;
        /// getpeername(2) with IPv4.
        CgroupInet4Getpeername = 29, "cgroup_inet4_getpeername", 5, 8;
        /// getpeername(2) with IPv6.
        CgroupInet6Getpeername = 30, "cgroup_inet6_getpeername", 5, 8;
        /// getsockname(2) with IPv4.
        CgroupInet4Getsockname = 31, "cgroup_inet4_getsockname", 5, 8;
        /// getsockname(2) with IPv6.
        CgroupInet6Getsockname = 32, "cgroup_inet6_getsockname", 5, 8;
        /// Packets redirected by a device map.
        XdpDevmap = 33, "xdp_devmap", 5, 8;
        /// Release of a socket in a control group.
        CgroupInetSockRelease = 34, "cgroup_inet_sock_release", 5, 9;
        /// Packets redirected by a processor map.
        XdpCpumap = 35, "xdp_cpumap", 5, 9;
        /// Lookup of the socket for a packet.
        SkLookup = 36, "sk_lookup", 5, 9;
        /// Packets in the network driver.
        Xdp = 37, "xdp", 5, 9;
        /// Verdict on a stream without parser.
        SkSkbVerdict = 38, "sk_skb_verdict", 5, 13;
        /// Choice of a socket of a reuseport group.
        SkReuseportSelect = 39, "sk_reuseport_select", 5, 14;
        /// Choice of a socket of a reuseport group, also for one that closes.
        SkReuseportSelectOrMigrate = 40, "sk_reuseport_select_or_migrate", 5, 14;
        /// Overflow of a performance counter.
        PerfEvent = 41, "perf_event", 5, 15;
        /// Many kernel functions at once.
        TraceKprobeMulti = 42, "trace_kprobe_multi", 5, 18;
        /// A security hook in a control group.
        LsmCgroup = 43, "lsm_cgroup", 6, 0;
        /// A function of an operations table.
        StructOps = 44, "struct_ops", 6, 4;
        /// A netfilter hook.
        Netfilter = 45, "netfilter", 6, 4;
        /// Incoming packets of a device in traffic control.
        TcxIngress = 46, "tcx_ingress", 6, 6;
        /// Outgoing packets of a device in traffic control.
        TcxEgress = 47, "tcx_egress", 6, 6;
        /// Many user functions at once.
        TraceUprobeMulti = 48, "trace_uprobe_multi", 6, 6;
        /// connect(2) with Unix sockets.
        CgroupUnixConnect = 49, "cgroup_unix_connect", 6, 7;
        /// sendmsg(2) with Unix sockets.
        CgroupUnixSendmsg = 50, "cgroup_unix_sendmsg", 6, 7;
        /// recvmsg(2) with Unix sockets.
        CgroupUnixRecvmsg = 51, "cgroup_unix_recvmsg", 6, 7;
        /// getpeername(2) with Unix sockets.
        CgroupUnixGetpeername = 52, "cgroup_unix_getpeername", 6, 7;
        /// getsockname(2) with Unix sockets.
        CgroupUnixGetsockname = 53, "cgroup_unix_getsockname", 6, 7;
        /// Packets of the primary device of a netkit pair.
        NetkitPrimary = 54, "netkit_primary", 6, 7;
        /// Packets of the peer device of a netkit pair.
        NetkitPeer = 55, "netkit_peer", 6, 7;
        /// Entry and exit of many kernel functions.
        TraceKprobeSession = 56, "trace_kprobe_session", 6, 10;
        /// Entry and exit of many user functions.
        TraceUprobeSession = 57, "trace_uprobe_session", 6, 13;
    }
}

// TABLE
kernel_enum! {
    /// Links, the objects that hold an attachment (`enum bpf_link_type`).
    LinkType {
        /// Holds a program at a raw tracepoint; goes back to BPF_RAW_TRACEPOINT_OPEN.
        RawTracepoint = 1, "raw_tracepoint", 5, 7;
        /// Holds a tracing, security or replacement program at its function.
        Tracing = 2, "tracing", 5, 7;
        /// Holds a program at a control group.
        Cgroup = 3, "cgroup", 5, 7;
        /// Holds an iterator, from which files are made.
        Iter = 4, "iter", 5, 8;
        /// Holds a flow dissector or socket lookup program at a network name space.
        Netns = 5, "netns", 5, 8;
        /// Holds an XDP program at a device.
        Xdp = 6, "xdp", 5, 9;
        /// Holds a program at an event of perf_event_open(2): kprobe, uprobe, tracepoint, counter.
        PerfEvent = 7, "perf_event", 5, 15;
        /// Holds a program at many kernel functions.
        KprobeMulti = 8, "kprobe_multi", 5, 18;
        /// Holds a table of functions that programs implement.
        StructOps = 9, "struct_ops", 6, 4;
        /// Holds a program at a netfilter hook.
        Netfilter = 10, "netfilter", 6, 4;
        /// Holds a program at a device in traffic control, in an order with others.
        Tcx = 11, "tcx", 6, 6;
        /// Holds a program at many places of a file.
        UprobeMulti = 12, "uprobe_multi", 6, 6;
        /// Holds a program at a netkit device.
        Netkit = 13, "netkit", 6, 7;
        /// Holds a program at a map of sockets.
        Sockmap = 14, "sockmap", 6, 10;
    }
}

impl AttachType {
    /// The kind of link that holds a program here, `None` if there is none and `BPF_PROG_ATTACH` has to do.
    pub const fn link_type(self) -> Option<LinkType> {
        Some(match self {
            Self::SkSkbStreamParser | Self::SkSkbStreamVerdict | Self::SkSkbVerdict | Self::SkMsgVerdict => {
                LinkType::Sockmap
            }
            Self::LircMode2 | Self::SkReuseportSelect | Self::SkReuseportSelectOrMigrate => return None,
            // These programs live in the values of maps.
            Self::XdpDevmap | Self::XdpCpumap => return None,
            Self::FlowDissector | Self::SkLookup => LinkType::Netns,
            Self::TraceRawTp | Self::TraceFentry | Self::TraceFexit | Self::ModifyReturn | Self::LsmMac => {
                LinkType::Tracing
            }
            Self::TraceIter => LinkType::Iter,
            Self::Xdp => LinkType::Xdp,
            Self::PerfEvent => LinkType::PerfEvent,
            Self::TraceKprobeMulti | Self::TraceKprobeSession => LinkType::KprobeMulti,
            Self::TraceUprobeMulti | Self::TraceUprobeSession => LinkType::UprobeMulti,
            Self::StructOps => LinkType::StructOps,
            Self::Netfilter => LinkType::Netfilter,
            Self::TcxIngress | Self::TcxEgress => LinkType::Tcx,
            Self::NetkitPrimary | Self::NetkitPeer => LinkType::Netkit,
            // All others are places of control groups.
            _ => LinkType::Cgroup,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_inverse() {
        for &kind in ProgType::ALL {
            assert_eq!(ProgType::from_number(kind.number()), Some(kind));
            assert_eq!(ProgType::from_name(kind.name()), Some(kind));
        }
        for &kind in MapType::ALL {
            assert_eq!(MapType::from_number(kind.number()), Some(kind));
            assert_eq!(MapType::from_name(kind.name()), Some(kind));
        }
        for &kind in AttachType::ALL {
            assert_eq!(AttachType::from_number(kind.number()), Some(kind));
            assert_eq!(AttachType::from_name(kind.name()), Some(kind));
        }
        for &kind in LinkType::ALL {
            assert_eq!(LinkType::from_number(kind.number()), Some(kind));
            assert_eq!(LinkType::from_name(kind.name()), Some(kind));
        }
        for &kind in AttachType::ALL {
            let cgroup = kind.name().starts_with("cgroup_") || kind == AttachType::LsmCgroup;
            assert_eq!(kind.link_type() == Some(LinkType::Cgroup), cgroup, "{kind}");
            assert!(kind.about().ends_with('.') && !kind.about().starts_with(' '));
        }
        assert_eq!(ProgType::from_number(0), None);
        assert_eq!(MapType::from_number(34), None);
        assert_eq!(MapType::LpmTrie.to_string(), "lpm_trie");
    }
}
