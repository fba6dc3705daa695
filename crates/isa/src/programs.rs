//! Program types: what each is for, what it sees, what it may answer, where it attaches and what it needs.
//!
//! Sources: `linux/bpf.h`, `kernel/bpf/syscall.c` (privileges), `kernel/bpf/verifier.c` (results, sleeping),
//! `linux/bpf_types.h` (configuration), and `SEC()` names from [`sections`](crate::sections).

use crate::contexts::{self, Context};
use crate::{AttachType, ProgType};

/// What a process needs, apart from `CAP_BPF`, to load programs of a type or to make maps of one. `CAP_SYS_ADMIN` includes
/// `CAP_BPF` and `CAP_PERFMON`, and before Linux 5.8 it was the only way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privileges {
    /// Nothing at all if `kernel.unprivileged_bpf_disabled` is 0, else `CAP_BPF`.
    Unprivileged,
    /// Nothing more.
    Bpf,
    /// `CAP_NET_ADMIN`.
    NetAdmin,
    /// `CAP_PERFMON`.
    Perfmon,
    /// `CAP_NET_ADMIN` and `CAP_PERFMON`.
    NetAdminAndPerfmon,
}

impl Privileges {
    /// In words.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Unprivileged => "none if kernel.unprivileged_bpf_disabled is 0, else CAP_BPF",
            Self::Bpf => "CAP_BPF",
            Self::NetAdmin => "CAP_BPF and CAP_NET_ADMIN",
            Self::Perfmon => "CAP_BPF and CAP_PERFMON",
            Self::NetAdminAndPerfmon => "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
        }
    }

    /// Whether `CAP_NET_ADMIN` is among it.
    pub const fn net_admin(self) -> bool {
        matches!(self, Self::NetAdmin | Self::NetAdminAndPerfmon)
    }

    /// Whether `CAP_PERFMON` is among it.
    pub const fn perfmon(self) -> bool {
        matches!(self, Self::Perfmon | Self::NetAdminAndPerfmon)
    }
}

/// Whether programs of a type may sleep (`BPF_F_SLEEPABLE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sleepable {
    /// They run where sleeping is impossible.
    Never,
    /// At these attachments.
    At(&'static str),
    /// They have to be loaded as sleepable.
    Always,
}

/// A result of a program and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The value in register 0, with its name if it has one.
    pub value: &'static str,
    /// What the kernel does.
    pub meaning: &'static str,
}

/// What is known about a program type.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramFacts {
    /// The type.
    pub prog_type: ProgType,
    /// Its context, if that is a structure of its own.
    pub context: Option<&'static Context>,
    /// What register 1 points to.
    pub argument: &'static str,
    /// What its results mean.
    pub verdicts: &'static [Verdict],
    /// The attach types that it may be loaded for; empty if it is loaded without one.
    pub attach_types: &'static [AttachType],
    /// What loading it needs.
    pub privileges: Privileges,
    /// Whether it may sleep.
    pub sleepable: Sleepable,
    /// Options of the kernel's configuration that it needs besides `CONFIG_BPF_SYSCALL`.
    pub config: &'static [&'static str],
    /// How it is attached.
    pub attaching: &'static str,
    /// What it is for, in one paragraph.
    pub about: &'static str,
}

/// What is known about a program type.
pub fn facts(prog_type: ProgType) -> &'static ProgramFacts {
    // Rows are in the order of the numbers, which begin with 1; a test holds them to that.
    &PROGRAMS[prog_type.number() as usize - 1]
}

const fn verdict(value: &'static str, meaning: &'static str) -> Verdict {
    Verdict { value, meaning }
}

const PASS_OR_DENY: &[Verdict] = &[verdict("0", "refuse: the system call fails with EPERM"), verdict("1", "allow")];
const IGNORED: &[Verdict] = &[verdict("any", "ignored; return 0")];
const TRAFFIC: &[Verdict] = &[
    verdict("-1 TC_ACT_UNSPEC", "go on with the next filter or program"),
    verdict("0 TC_ACT_OK", "accept the packet and end the chain"),
    verdict("1 TC_ACT_RECLASSIFY", "begin classification anew"),
    verdict("2 TC_ACT_SHOT", "drop the packet"),
    verdict("3 TC_ACT_PIPE", "go on with the next action"),
    verdict("4 TC_ACT_STOLEN", "consume the packet without counting a drop"),
    verdict("7 TC_ACT_REDIRECT", "send it where redirect() said"),
];
const ROUTE: &[Verdict] = &[
    verdict("0 BPF_OK", "go on"),
    verdict("2 BPF_DROP", "drop the packet"),
    verdict("128 BPF_LWT_REROUTE", "the destination was changed, look up the route again"),
];

// TABLE
#[rustfmt::skip]
static PROGRAMS: [ProgramFacts; 32] = [
    ProgramFacts {
        prog_type: ProgType::SocketFilter, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *",
        verdicts: &[verdict("0", "the socket does not get the packet"), verdict("n", "the socket gets the first n bytes")],
        attach_types: &[], privileges: Privileges::Unprivileged, sleepable: Sleepable::Never, config: &["CONFIG_NET"],
        attaching: "setsockopt(2) with SO_ATTACH_BPF, or SO_ATTACH_REUSEPORT_EBPF, where the result is the index of a socket",
        about: "The oldest type, successor of the classic filters of tcpdump. It runs for each packet that reaches a socket and says how much of it the socket receives; the packet itself goes its way unchanged. On a packet socket it is the capture filter; on a TCP or UDP socket it sees the packet from the transport header on. It reads the packet with the absolute loads of the instruction set or skb_load_bytes, not through data pointers, and it is one of two types that unprivileged processes may load where the administrator allows that.",
    },
    ProgramFacts {
        prog_type: ProgType::Kprobe, context: None, argument: "struct pt_regs *: the registers at the probed instruction, as the processor has them",
        verdicts: &[verdict("0", "done; for kprobe sessions: run at the return as well"), verdict("1", "for kprobe and uprobe sessions: leave the return out; else ignored by links")],
        attach_types: &[AttachType::TraceKprobeMulti, AttachType::TraceKprobeSession, AttachType::TraceUprobeMulti, AttachType::TraceUprobeSession],
        privileges: Privileges::Perfmon, sleepable: Sleepable::At("uprobes and their multi and session forms"), config: &["CONFIG_BPF_EVENTS", "CONFIG_KPROBE_EVENTS or CONFIG_UPROBE_EVENTS"],
        attaching: "perf_event_open(2) with the kprobe or uprobe PMU and a perf link or PERF_EVENT_IOC_SET_BPF; a multi link attaches to many functions at once",
        about: "Runs when the kernel (kprobe) or a process (uprobe) reaches an instruction: the entry of a function, its return, or an offset inside. It sees the registers, so arguments are taken by calling convention, and follows pointers with probe_read_kernel and probe_read_user. USDT markers, system calls by name (ksyscall) and override_return are forms of it. Functions can be renamed or inlined by any new kernel; where BTF is there, fentry is faster and typed, and tracepoints are steadier.",
    },
    ProgramFacts {
        prog_type: ProgType::SchedCls, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *", verdicts: TRAFFIC,
        attach_types: &[AttachType::TcxIngress, AttachType::TcxEgress, AttachType::NetkitPrimary, AttachType::NetkitPeer],
        privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_NET_CLS_BPF or CONFIG_NET_XGRESS"],
        attaching: "a tcx or netkit link (Linux 6.6, 6.7), or netlink: tc filter add dev DEV ingress bpf direct-action object-file FILE",
        about: "The work horse of packet processing in the stack: it runs for every packet that enters or leaves a device, after the buffer exists and before protocols see it. It may read and rewrite all of the packet, encapsulate it, redirect it to devices, sockets or the other end of a veth pair, set marks, queues and time stamps. In direct-action mode, which tcx always uses, its result is the verdict; otherwise it is a class. Container networks and load balancers are made of it; where the packet can be judged without a buffer, XDP is faster.",
    },
    ProgramFacts {
        prog_type: ProgType::SchedAct, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *", verdicts: TRAFFIC,
        attach_types: &[], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_NET_ACT_BPF"],
        attaching: "netlink: tc action add action bpf object-file FILE, then a filter that uses the action",
        about: "An action of traffic control: a filter of another kind has matched, and the program says what becomes of the packet. It may do what sched_cls programs may. Since those can act by themselves (direct-action), there is little reason to write one today.",
    },
    ProgramFacts {
        prog_type: ProgType::Tracepoint, context: None, argument: "the record of the tracepoint as its format file describes it; the first 8 bytes cannot be read",
        verdicts: &[verdict("0", "do not hand the record to perf"), verdict("1", "hand it on")],
        attach_types: &[], privileges: Privileges::Perfmon, sleepable: Sleepable::Never, config: &["CONFIG_BPF_EVENTS"],
        attaching: "perf_event_open(2) with PERF_TYPE_TRACEPOINT and the number in tracefs, then a perf link or PERF_EVENT_IOC_SET_BPF",
        about: "Runs at a tracepoint, one of the marked places that kernel developers keep stable: system calls, scheduling, block requests, and a few thousand more. It sees the formatted record, whose fields and offsets stand in events/CATEGORY/NAME/format of tracefs. Making the record costs something; raw_tracepoint and tp_btf programs get the arguments instead.",
    },
    ProgramFacts {
        prog_type: ProgType::Xdp, context: Some(&contexts::XDP_MD), argument: "struct xdp_md *",
        verdicts: &[
            verdict("0 XDP_ABORTED", "drop, and report through the tracepoint xdp_exception: something went wrong"),
            verdict("1 XDP_DROP", "drop the packet"), verdict("2 XDP_PASS", "hand it to the stack"),
            verdict("3 XDP_TX", "send it out of the device it came from"), verdict("4 XDP_REDIRECT", "send it where redirect() or redirect_map() said"),
        ],
        attach_types: &[AttachType::Xdp, AttachType::XdpDevmap, AttachType::XdpCpumap],
        privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET"],
        attaching: "an XDP link (Linux 5.9) or netlink: ip link set dev DEV xdp object FILE; in the driver, in the card, or generic for every device",
        about: "Runs in the driver for each received packet, before the kernel allocates a buffer, which makes it the fastest place to drop, rewrite or forward: tens of millions of packets a second and core. It sees the packet between data and data_end, every access checked against the end, may move both and put metadata in front. Without support in the driver, the generic mode runs it later, with a buffer. Packets in several buffers (jumbo frames) need a program loaded with BPF_F_XDP_HAS_FRAGS. It runs for received packets only, except in entries of device and processor maps.",
    },
    ProgramFacts {
        prog_type: ProgType::PerfEvent, context: Some(&contexts::PERF_EVENT), argument: "struct bpf_perf_event_data *",
        verdicts: &[verdict("0", "do not store the sample"), verdict("1", "store it")],
        attach_types: &[AttachType::PerfEvent], privileges: Privileges::Perfmon, sleepable: Sleepable::Never, config: &["CONFIG_BPF_EVENTS", "CONFIG_PERF_EVENTS"],
        attaching: "perf_event_open(2) for a counter or a clock, then a perf link or PERF_EVENT_IOC_SET_BPF",
        about: "Runs when a performance counter overflows or a clock of perf ticks, in the context of whatever was interrupted. With 99 ticks a second on every processor and get_stackid it is a profiler; with hardware events it finds who causes cache misses. It sees the registers of the interrupted code and the period of the sample.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupSkb, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *",
        verdicts: &[verdict("0", "drop the packet"), verdict("1", "let it pass"), verdict("2", "egress only: drop, and tell TCP of congestion"), verdict("3", "egress only: pass, and tell TCP of congestion")],
        attach_types: &[AttachType::CgroupInetIngress, AttachType::CgroupInetEgress], privileges: Privileges::Unprivileged, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Filters and counts the IP packets of the sockets of a control group: what its processes send and what is received for them, from the network header on. It cannot change packets. Unlike a firewall it knows whose traffic it is, so it suits accounting and limits per service; systemd's IPAddressAllow and IPAccounting are such programs.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupSock, context: Some(&contexts::SOCK), argument: "struct bpf_sock *", verdicts: PASS_OR_DENY,
        attach_types: &[AttachType::CgroupInetSockCreate, AttachType::CgroupInet4PostBind, AttachType::CgroupInet6PostBind, AttachType::CgroupInetSockRelease],
        privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Runs when a process of a control group creates an IP socket, after it was bound, or when it is released. It may refuse the socket (raw sockets for a container, say), or set the device it is bound to, its mark and its priority before the first packet: that is how services are put into a VRF.",
    },
    ProgramFacts {
        prog_type: ProgType::LwtIn, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *", verdicts: ROUTE,
        attach_types: &[], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_LWTUNNEL_BPF"],
        attaching: "a route: ip route add PREFIX encap bpf in obj FILE section NAME dev DEV",
        about: "Belongs to a route and runs for received packets that the route was chosen for, before they are delivered or forwarded. It sees the packet from the network header on and may not change it, except by wrapping it with lwt_push_encap. Useful for policy by destination where device hooks would see too much.",
    },
    ProgramFacts {
        prog_type: ProgType::LwtOut, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *", verdicts: ROUTE,
        attach_types: &[], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_LWTUNNEL_BPF"],
        attaching: "a route: ip route add PREFIX encap bpf out obj FILE section NAME dev DEV",
        about: "Belongs to a route and runs for packets that the machine itself sends along it, in the output path of the network layer. It may judge them and read their socket's class and control group, not change them.",
    },
    ProgramFacts {
        prog_type: ProgType::LwtXmit, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *",
        verdicts: &[verdict("0 BPF_OK", "go on"), verdict("2 BPF_DROP", "drop the packet"), verdict("7 BPF_REDIRECT", "send it where redirect() said"), verdict("128 BPF_LWT_REROUTE", "the destination was changed, look up the route again")],
        attach_types: &[], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_LWTUNNEL_BPF"],
        attaching: "a route: ip route add PREFIX encap bpf xmit obj FILE section NAME dev DEV",
        about: "Belongs to a route and runs last, just before a packet leaves along it. Of the programs on routes it is the one that may rewrite: change headers, add an encapsulation, redirect to another device.",
    },
    ProgramFacts {
        prog_type: ProgType::SockOps, context: Some(&contexts::SOCK_OPS), argument: "struct bpf_sock_ops *",
        verdicts: &[verdict("0 or 1", "the answer to the event stands in the field reply, -1 for none")],
        attach_types: &[AttachType::CgroupSockOps], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF", "CONFIG_INET"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Runs at events in the life of the TCP connections of a control group: connecting, established at either end, timeouts, retransmissions, changes of state, header options. It tunes connections (initial window, congestion control, timeouts by setsockopt), reads their figures without polling, writes options of its own into headers, and puts sockets into sockmaps for the programs that redirect streams. Most events must be asked for with sock_ops_cb_flags_set.",
    },
    ProgramFacts {
        prog_type: ProgType::SkSkb, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *",
        verdicts: &[verdict("0 SK_DROP", "verdict: drop the data"), verdict("1 SK_PASS", "verdict: deliver it, or send it where sk_redirect_map() said"), verdict("n", "parser: length of the message, 0 for more data needed, negative for an error")],
        attach_types: &[AttachType::SkSkbStreamParser, AttachType::SkSkbStreamVerdict, AttachType::SkSkbVerdict], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_BPF_STREAM_PARSER for parsers"],
        attaching: "a sockmap link (Linux 6.10) or BPF_PROG_ATTACH to a sockmap or sockhash",
        about: "Handles the data that sockets in a sockmap receive, before a process reads it. A parser finds where a message ends, a verdict program drops it, lets it through or hands it to another socket without a copy to user space: a proxy in the kernel. SK_SKB_VERDICT (5.13) needs no parser and works for UDP and Unix sockets too.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupDevice, context: Some(&contexts::CGROUP_DEV), argument: "struct bpf_cgroup_dev_ctx *", verdicts: PASS_OR_DENY,
        attach_types: &[AttachType::CgroupDevice], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Decides whether a process of a control group may open or create a device file, by kind, numbers and access. It is what took the place of the device controller of cgroup1; container managers and systemd's DeviceAllow make such programs.",
    },
    ProgramFacts {
        prog_type: ProgType::SkMsg, context: Some(&contexts::SK_MSG), argument: "struct sk_msg_md *",
        verdicts: &[verdict("0 SK_DROP", "drop the message"), verdict("1 SK_PASS", "send it, or to where msg_redirect_map() said")],
        attach_types: &[AttachType::SkMsgVerdict], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_BPF_STREAM_PARSER"],
        attaching: "a sockmap link (Linux 6.10) or BPF_PROG_ATTACH to a sockmap or sockhash",
        about: "Runs when a process sends on a socket in a sockmap, with the message before it becomes packets. It may drop it, change it, wait for more bytes, or put it straight into the receive queue of another socket of the same machine, past the whole network stack.",
    },
    ProgramFacts {
        prog_type: ProgType::RawTracepoint, context: None, argument: "struct bpf_raw_tracepoint_args *: up to 12 arguments of the tracepoint, 8 bytes each, as numbers", verdicts: IGNORED,
        attach_types: &[], privileges: Privileges::Perfmon, sleepable: Sleepable::Never, config: &["CONFIG_BPF_EVENTS"],
        attaching: "BPF_RAW_TRACEPOINT_OPEN or a link, by name",
        about: "Runs at a tracepoint and gets the arguments that the kernel's code passes to it, instead of the formatted record: cheaper, and more than the record tells, but pointers have to be followed with probe_read_kernel. A tracing program at the same place (tp_btf) has typed arguments.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupSockAddr, context: Some(&contexts::SOCK_ADDR), argument: "struct bpf_sock_addr *",
        verdicts: &[verdict("0", "refuse: the system call fails with EPERM (not at recvmsg, getpeername, getsockname)"), verdict("1", "go on with the address as it is now"), verdict("2, 3", "bind only: as 0 and 1, and let it take a privileged port")],
        attach_types: &[
            AttachType::CgroupInet4Bind, AttachType::CgroupInet6Bind, AttachType::CgroupInet4Connect, AttachType::CgroupInet6Connect,
            AttachType::CgroupUdp4Sendmsg, AttachType::CgroupUdp6Sendmsg, AttachType::CgroupUdp4Recvmsg, AttachType::CgroupUdp6Recvmsg,
            AttachType::CgroupInet4Getpeername, AttachType::CgroupInet6Getpeername, AttachType::CgroupInet4Getsockname, AttachType::CgroupInet6Getsockname,
            AttachType::CgroupUnixConnect, AttachType::CgroupUnixSendmsg, AttachType::CgroupUnixRecvmsg, AttachType::CgroupUnixGetpeername, AttachType::CgroupUnixGetsockname,
        ],
        privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF", "CONFIG_INET"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Runs in bind, connect, sendmsg, recvmsg, getpeername and getsockname of a control group and may change the address that the process gave or gets. Rewriting the destination in connect makes a load balancer that costs nothing per packet; the hooks for getpeername and recvmsg undo the change for the eyes of the process. It may also refuse, or open privileged ports.",
    },
    ProgramFacts {
        prog_type: ProgType::LwtSeg6local, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *",
        verdicts: &[verdict("0 BPF_OK", "look up the next segment and go on"), verdict("2 BPF_DROP", "drop the packet"), verdict("7 BPF_REDIRECT", "the route was set by lwt_seg6_action, do not look it up")],
        attach_types: &[], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET", "CONFIG_IPV6_SEG6_BPF"],
        attaching: "a route: ip -6 route add SID encap seg6local action End.BPF endpoint obj FILE section NAME dev DEV",
        about: "A segment of IPv6 segment routing made programmable (End.BPF): it runs for packets whose active segment is the route's address, after the next segment became active. It may edit the flags and TLVs of the segment routing header and apply the standard actions.",
    },
    ProgramFacts {
        prog_type: ProgType::LircMode2, context: None, argument: "unsigned int *: one infrared sample, kind and duration", verdicts: IGNORED,
        attach_types: &[AttachType::LircMode2], privileges: Privileges::Bpf, sleepable: Sleepable::Never, config: &["CONFIG_BPF_LIRC_MODE2"],
        attaching: "BPF_PROG_ATTACH to a device /dev/lircN",
        about: "Decodes the pulses and pauses of an infrared remote control that the kernel has no decoder for. It runs for every sample, keeps its state in maps, and reports keys and movements with rc_keydown, rc_repeat and rc_pointer_rel.",
    },
    ProgramFacts {
        prog_type: ProgType::SkReuseport, context: Some(&contexts::SK_REUSEPORT), argument: "struct sk_reuseport_md *",
        verdicts: &[verdict("0 SK_DROP", "drop the packet"), verdict("1 SK_PASS", "take the socket that sk_select_reuseport() chose, else one by hash")],
        attach_types: &[AttachType::SkReuseportSelect, AttachType::SkReuseportSelectOrMigrate], privileges: Privileges::Bpf, sleepable: Sleepable::Never, config: &["CONFIG_INET"],
        attaching: "setsockopt(2) with SO_ATTACH_REUSEPORT_EBPF on one socket of the group",
        about: "Chooses which of the sockets that share a port (SO_REUSEPORT) gets a new connection or datagram: by connection id for QUIC, by version during a restart, by processor. The sockets lie in a reuseport array. Loaded for SELECT_OR_MIGRATE it is also asked where the pending connections of a closing listener go.",
    },
    ProgramFacts {
        prog_type: ProgType::FlowDissector, context: Some(&contexts::SK_BUFF), argument: "struct __sk_buff *, of which only data, data_end and flow_keys are there",
        verdicts: &[verdict("0 BPF_OK", "the keys are filled in"), verdict("2 BPF_DROP", "the packet cannot be parsed"), verdict("129 BPF_FLOW_DISSECTOR_CONTINUE", "let the kernel's own dissector do it (Linux 6.1)")],
        attach_types: &[AttachType::FlowDissector], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NET"],
        attaching: "a network name space link or BPF_PROG_ATTACH, one per name space",
        about: "Takes the place of the kernel's parser that finds addresses and ports of a packet for hashing and steering. It fills struct bpf_flow_keys: offsets of headers, addresses, ports, fragment flags. Useful for encapsulations that the kernel does not know, and because a verified parser cannot be crashed by a packet.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupSysctl, context: Some(&contexts::SYSCTL), argument: "struct bpf_sysctl *", verdicts: PASS_OR_DENY,
        attach_types: &[AttachType::CgroupSysctl], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF", "CONFIG_SYSCTL"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Runs when a process of a control group reads or writes a file under /proc/sys. It may refuse, see the name, the old and the new value, and replace what is written: a way to let a container set some sysctls within limits.",
    },
    ProgramFacts {
        prog_type: ProgType::RawTracepointWritable, context: None, argument: "as raw_tracepoint; the first argument points to a buffer that the tracepoint lets programs write", verdicts: IGNORED,
        attach_types: &[], privileges: Privileges::Perfmon, sleepable: Sleepable::Never, config: &["CONFIG_BPF_EVENTS"],
        attaching: "BPF_RAW_TRACEPOINT_OPEN or a link, by name; only tracepoints declared writable",
        about: "A raw tracepoint program that may change what the tracepoint passes. Only a handful of tracepoints offer a buffer for that, those of the network block device for example.",
    },
    ProgramFacts {
        prog_type: ProgType::CgroupSockopt, context: Some(&contexts::SOCKOPT), argument: "struct bpf_sockopt *",
        verdicts: &[verdict("0", "refuse: the system call fails with EPERM"), verdict("1", "go on; an optlen of -1 in setsockopt leaves the kernel's handler out")],
        attach_types: &[AttachType::CgroupGetsockopt, AttachType::CgroupSetsockopt], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_CGROUP_BPF"],
        attaching: "a cgroup link or BPF_PROG_ATTACH to a directory of cgroup2",
        about: "Runs in setsockopt(2), before the kernel handles it, and in getsockopt(2), after. It may refuse an option, change the value on its way in or out, or implement options of its own that the kernel never sees.",
    },
    ProgramFacts {
        prog_type: ProgType::Tracing, context: None, argument: "the arguments of the function, tracepoint or iterator as an array of 8 bytes each, typed by BTF",
        verdicts: &[verdict("0", "fentry, fexit: the only result; iter: go on"), verdict("1", "iter: show this element again"), verdict("n", "fmod_ret: nonzero keeps the function from running and is its result")],
        attach_types: &[AttachType::TraceRawTp, AttachType::TraceFentry, AttachType::TraceFexit, AttachType::ModifyReturn, AttachType::TraceIter],
        privileges: Privileges::Perfmon, sleepable: Sleepable::At("fentry, fexit, fmod_ret and iter"), config: &["CONFIG_BPF_EVENTS", "CONFIG_DEBUG_INFO_BTF", "CONFIG_FUNCTION_TRACER for functions"],
        attaching: "a tracing or iterator link; what to attach to is fixed when it is loaded",
        about: "The typed successor of kprobe and raw_tracepoint programs: the verifier knows the types of the arguments from the kernel's BTF, so pointers are followed by ordinary loads. fentry and fexit run at the ends of a function, at the cost of a call; fexit sees arguments and result. tp_btf runs at a tracepoint, fmod_ret replaces the result of functions that allow it, and iter programs print kernel objects (tasks, maps, sockets) when a file is read.",
    },
    ProgramFacts {
        prog_type: ProgType::StructOps, context: None, argument: "the arguments of the member as an array of 8 bytes each, typed by BTF",
        verdicts: &[verdict("n", "the result of the member")],
        attach_types: &[AttachType::StructOps], privileges: Privileges::Perfmon, sleepable: Sleepable::At("members that the kernel calls where it may sleep"), config: &["CONFIG_BPF_JIT", "CONFIG_DEBUG_INFO_BTF"],
        attaching: "a struct_ops map that holds the table, updated or attached by a link (Linux 6.4)",
        about: "Implements a member of a table of functions that a part of the kernel calls: a TCP congestion control, a CPU scheduler (sched_ext, 6.12), fixes for input devices (HID), a queueing discipline (6.16). The programs of a table are loaded first, then a map of type struct_ops ties them together and registers the table. Which members and helpers there are is up to that part of the kernel.",
    },
    ProgramFacts {
        prog_type: ProgType::Ext, context: None, argument: "the arguments of the function that it replaces", verdicts: &[verdict("n", "the result of the function")],
        attach_types: &[], privileges: Privileges::NetAdminAndPerfmon, sleepable: Sleepable::Never, config: &["CONFIG_BPF_JIT", "CONFIG_DEBUG_INFO_BTF"],
        attaching: "a tracing link to a loaded program, by the BTF number of its function",
        about: "Replaces a global function of a program that is loaded and perhaps running, and may do what that program may. The replaced function is usually an empty place for plug-ins; libxdp runs several XDP programs on one device that way.",
    },
    ProgramFacts {
        prog_type: ProgType::Lsm, context: None, argument: "the arguments of the hook as an array of 8 bytes each, typed by BTF",
        verdicts: &[verdict("0", "allow, as far as this program is concerned"), verdict("-errno", "refuse with this error; for lsm_cgroup: 0 refuses, 1 allows")],
        attach_types: &[AttachType::LsmMac, AttachType::LsmCgroup], privileges: Privileges::Perfmon, sleepable: Sleepable::At("hooks that are called where sleeping is possible, not lsm_cgroup"), config: &["CONFIG_BPF_LSM", "CONFIG_DEBUG_INFO_BTF", "bpf in the boot parameter lsm="],
        attaching: "a tracing link, or a cgroup link for lsm_cgroup",
        about: "A security policy as a program: it runs at the hooks of the Linux Security Modules (opening files, executing, sockets, mounts, bpf itself) with typed arguments and may refuse what the other modules allow, never the reverse. lsm_cgroup (6.0) applies to the processes of a control group.",
    },
    ProgramFacts {
        prog_type: ProgType::SkLookup, context: Some(&contexts::SK_LOOKUP), argument: "struct bpf_sk_lookup *",
        verdicts: &[verdict("0 SK_DROP", "drop the packet"), verdict("1 SK_PASS", "take the socket that sk_assign() chose, else look it up as usual")],
        attach_types: &[AttachType::SkLookup], privileges: Privileges::Bpf, sleepable: Sleepable::Never, config: &["CONFIG_INET"],
        attaching: "a network name space link; attaching needs CAP_NET_ADMIN",
        about: "Runs when the stack looks for the listening TCP or the unconnected UDP socket of a packet, and may name one regardless of the address it is bound to. So one socket serves thousands of addresses or all ports without binding each, and services are moved between sockets at run time.",
    },
    ProgramFacts {
        prog_type: ProgType::Syscall, context: None, argument: "the bytes that user space passes to BPF_PROG_TEST_RUN", verdicts: &[verdict("n", "given back to user space")],
        attach_types: &[], privileges: Privileges::Bpf, sleepable: Sleepable::Always, config: &[],
        attaching: "nothing: it runs by BPF_PROG_TEST_RUN",
        about: "Runs only when user space asks for it, may sleep, and may issue bpf(2) itself (sys_bpf). It was made for light skeletons: a loader that is itself a program, so that a signature can cover what it loads. Since it may call many kfuncs, it also serves as a way to call into the kernel for tests and setup.",
    },
    ProgramFacts {
        prog_type: ProgType::Netfilter, context: Some(&contexts::NETFILTER), argument: "struct bpf_nf_ctx *",
        verdicts: &[verdict("0 NF_DROP", "drop the packet"), verdict("1 NF_ACCEPT", "let it go on")],
        attach_types: &[AttachType::Netfilter], privileges: Privileges::NetAdmin, sleepable: Sleepable::Never, config: &["CONFIG_NETFILTER_BPF_LINK"],
        attaching: "a netfilter link with family, hook and priority",
        about: "Runs at a hook of netfilter (prerouting, input, forward, output, postrouting of IPv4 and IPv6), between the chains of nftables and iptables by priority. It sees the hook's state and the packet buffer as typed pointers; the packet is read through a dynptr (bpf_dynptr_from_skb) and cannot be changed. With the defragmentation flag it gets whole packets.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_the_numbers() {
        assert_eq!(PROGRAMS.len(), ProgType::ALL.len());
        for prog_type in ProgType::ALL {
            let facts = facts(*prog_type);
            assert_eq!(facts.prog_type, *prog_type);
            assert!(facts.about.len() > 100 && facts.about.ends_with('.'), "{prog_type}");
            assert!(!facts.verdicts.is_empty(), "{prog_type}");
            // The section names of the type say the same about where it attaches.
            for section in crate::sections::of_prog_type(*prog_type) {
                assert!(section.attach_type.is_none_or(|attach| facts.attach_types.contains(&attach)), "{prog_type}");
                assert!(!section.sleepable || facts.sleepable != Sleepable::Never, "{prog_type}");
            }
        }
    }

    #[test]
    fn every_attach_type_belongs_to_a_program_type() {
        for attach_type in AttachType::ALL {
            assert!(PROGRAMS.iter().any(|facts| facts.attach_types.contains(attach_type)), "{attach_type}");
        }
    }
}
