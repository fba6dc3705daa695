//! Names of program sections: what `SEC("...")` says, by the convention of libbpf (`section_defs` in its `libbpf.c`).

use crate::{AttachType, ProgType};

/// The section of variables in an arena: that of address space 1.
pub const ARENA: &str = ".addr_space.1";

/// What a program of a section attaches to, and with that what the rest of the section's name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttachWay {
    /// Nothing: it runs when user space asks for it.
    Nothing,
    /// A socket, by `setsockopt(2)`. No rest.
    Socket,
    /// A kernel function by kprobe: the rest is `FUNCTION` or `FUNCTION+OFFSET` (bytes; decimal or `0x`).
    Function,
    /// All kernel functions that match: the rest is a pattern with `*` and `?`.
    FunctionPattern,
    /// A system call: the rest is its name without the prefix of the architecture (`openat`).
    Syscall,
    /// A function in a file: the rest is `PATH:FUNCTION`, `PATH:FUNCTION+OFFSET` or `PATH:OFFSET`.
    Binary,
    /// All functions of a file that match: the rest is `PATH:PATTERN`.
    BinaryPattern,
    /// A marker that the authors of a program placed: the rest is `PATH:PROVIDER:NAME`.
    Usdt,
    /// A tracepoint with its formatted record: the rest is `CATEGORY/NAME`.
    Tracepoint,
    /// A tracepoint with its arguments: the rest is `NAME`.
    RawTracepoint,
    /// A kernel function known to BTF: the rest is its name, or `MODULE:NAME`.
    TypedFunction,
    /// A security hook: the rest is its name without `bpf_lsm_`.
    LsmHook,
    /// An iterator: the rest is its target (`task`, `bpf_map_elem`, ...).
    Iterator,
    /// A member of an operations table of the kernel: the rest is a name for people; the map says which member.
    OperationsTable,
    /// A function of another program: the rest is its name.
    ProgramFunction,
    /// A network device, by netlink or a link. No rest.
    Interface,
    /// An entry of a device map or processor map, as part of its value. No rest.
    MapEntry,
    /// A map of sockets. No rest.
    SocketMap,
    /// A control group. No rest.
    Cgroup,
    /// A network name space. No rest.
    NetworkNamespace,
    /// A netfilter hook; family, hook and priority are given when attaching. No rest.
    NetfilterHook,
    /// An event of `perf_event_open(2)`. No rest.
    PerfEvent,
    /// A route, by `ip route ... encap bpf` or `seg6local`. No rest.
    Route,
    /// An infrared device. No rest.
    Infrared,
}

/// What the name of a section says about the programs in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// The name, or with [`takes_rest`](Self::takes_rest) what stands in front of the slash.
    pub prefix: &'static str,
    /// Type of the programs.
    pub prog_type: ProgType,
    /// `expected_attach_type` of loading, `None` for 0.
    pub attach_type: Option<AttachType>,
    /// Whether kernels that do not know the attach type take the program without it.
    pub attach_type_optional: bool,
    /// What the programs attach to.
    pub way: AttachWay,
    /// Whether `prefix/REST` is allowed too, and REST says where to attach. Otherwise the name is exact.
    pub takes_rest: bool,
    /// Whether the programs run at the return of the function.
    pub at_return: bool,
    /// Whether one program attaches to many functions.
    pub multi: bool,
    /// Whether programs may sleep (`BPF_F_SLEEPABLE`).
    pub sleepable: bool,
    /// Whether programs handle packets in several buffers (`BPF_F_XDP_HAS_FRAGS`).
    pub frags: bool,
}

const fn section(
    prefix: &'static str,
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    way: AttachWay,
) -> Section {
    Section {
        prefix,
        prog_type,
        attach_type,
        attach_type_optional: false,
        way,
        takes_rest: false,
        at_return: false,
        multi: false,
        sleepable: false,
        frags: false,
    }
}

impl Section {
    const fn with_rest(self) -> Self {
        Self { takes_rest: true, ..self }
    }

    const fn at_return(self) -> Self {
        Self { at_return: true, ..self }
    }

    const fn multi(self) -> Self {
        Self { multi: true, ..self }
    }

    const fn sleepable(self) -> Self {
        Self { sleepable: true, ..self }
    }

    const fn frags(self) -> Self {
        Self { frags: true, ..self }
    }

    const fn attach_type_optional(self) -> Self {
        Self { attach_type_optional: true, ..self }
    }
}

/// A section's name taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionName<'a> {
    /// The row of the table.
    pub section: &'static Section,
    /// What follows the slash, `None` if nothing does. An empty rest is `Some("")`.
    pub rest: Option<&'a str>,
    /// Whether loaders load the program unless told otherwise: false if the name begins with `?`.
    pub autoload: bool,
}

/// Takes the name of a section apart, `None` if libbpf does not know it.
///
/// Sections that programs of other loaders use, such as `xdp_prog1` or `socket1`, are unknown here.
///
/// ```
/// use skep_isa::sections::{AttachWay, parse};
///
/// let name = parse("uretprobe.s//usr/lib/libc.so.6:malloc").ok_or("unknown")?;
/// assert_eq!((name.section.way, name.rest), (AttachWay::Binary, Some("/usr/lib/libc.so.6:malloc")));
/// assert!(name.section.at_return && name.section.sleepable);
/// assert_eq!(parse("xdp_prog1"), None);
/// # Ok::<(), &str>(())
/// ```
pub fn parse(name: &str) -> Option<SectionName<'_>> {
    let autoload = !name.starts_with('?');
    let name = name.strip_prefix('?').unwrap_or(name);
    SECTIONS.iter().find_map(|section| {
        let rest = match name.strip_prefix(section.prefix)? {
            "" => None,
            rest if section.takes_rest => Some(rest.strip_prefix('/')?),
            _ => return None,
        };
        Some(SectionName { section, rest, autoload })
    })
}

/// The rows for a program type, in the order of the table.
pub fn of_prog_type(prog_type: ProgType) -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().filter(move |section| section.prog_type == prog_type)
}

// TABLE
/// Every name that libbpf knows.
#[rustfmt::skip]
pub static SECTIONS: &[Section] = &[
    // Packets of sockets.
    section("socket", ProgType::SocketFilter, None, AttachWay::Socket),
    section("sk_reuseport/migrate", ProgType::SkReuseport, Some(AttachType::SkReuseportSelectOrMigrate), AttachWay::Socket),
    section("sk_reuseport", ProgType::SkReuseport, Some(AttachType::SkReuseportSelect), AttachWay::Socket),
    // Functions of the kernel and of user space.
    section("kprobe", ProgType::Kprobe, None, AttachWay::Function).with_rest(),
    section("kretprobe", ProgType::Kprobe, None, AttachWay::Function).with_rest().at_return(),
    section("kprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), AttachWay::FunctionPattern).with_rest().multi(),
    section("kretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), AttachWay::FunctionPattern).with_rest().multi().at_return(),
    section("kprobe.session", ProgType::Kprobe, Some(AttachType::TraceKprobeSession), AttachWay::FunctionPattern).with_rest().multi(),
    section("ksyscall", ProgType::Kprobe, None, AttachWay::Syscall).with_rest(),
    section("kretsyscall", ProgType::Kprobe, None, AttachWay::Syscall).with_rest().at_return(),
    section("uprobe", ProgType::Kprobe, None, AttachWay::Binary).with_rest(),
    section("uretprobe", ProgType::Kprobe, None, AttachWay::Binary).with_rest().at_return(),
    section("uprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), AttachWay::BinaryPattern).with_rest().multi(),
    section("uretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), AttachWay::BinaryPattern).with_rest().multi().at_return(),
    section("uprobe.session", ProgType::Kprobe, Some(AttachType::TraceUprobeSession), AttachWay::BinaryPattern).with_rest().multi(),
    section("usdt", ProgType::Kprobe, None, AttachWay::Usdt).with_rest(),
    section("uprobe.s", ProgType::Kprobe, None, AttachWay::Binary).with_rest().sleepable(),
    section("uretprobe.s", ProgType::Kprobe, None, AttachWay::Binary).with_rest().sleepable().at_return(),
    section("uprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), AttachWay::BinaryPattern).with_rest().sleepable().multi(),
    section("uretprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), AttachWay::BinaryPattern).with_rest().sleepable().multi().at_return(),
    section("uprobe.session.s", ProgType::Kprobe, Some(AttachType::TraceUprobeSession), AttachWay::BinaryPattern).with_rest().sleepable().multi(),
    section("usdt.s", ProgType::Kprobe, None, AttachWay::Usdt).with_rest().sleepable(),
    // Traffic control and devices.
    section("tc/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress), AttachWay::Interface),
    section("tc/egress", ProgType::SchedCls, Some(AttachType::TcxEgress), AttachWay::Interface),
    section("tcx/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress), AttachWay::Interface),
    section("tcx/egress", ProgType::SchedCls, Some(AttachType::TcxEgress), AttachWay::Interface),
    section("tc", ProgType::SchedCls, None, AttachWay::Interface),
    section("classifier", ProgType::SchedCls, None, AttachWay::Interface),
    section("action", ProgType::SchedAct, None, AttachWay::Interface),
    section("netkit/primary", ProgType::SchedCls, Some(AttachType::NetkitPrimary), AttachWay::Interface),
    section("netkit/peer", ProgType::SchedCls, Some(AttachType::NetkitPeer), AttachWay::Interface),
    section("xdp.frags/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap), AttachWay::MapEntry).frags(),
    section("xdp/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap), AttachWay::MapEntry),
    section("xdp.frags/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap), AttachWay::MapEntry).frags(),
    section("xdp/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap), AttachWay::MapEntry),
    section("xdp.frags", ProgType::Xdp, Some(AttachType::Xdp), AttachWay::Interface).frags(),
    section("xdp", ProgType::Xdp, Some(AttachType::Xdp), AttachWay::Interface).attach_type_optional(),
    // Tracepoints and typed functions.
    section("tracepoint", ProgType::Tracepoint, None, AttachWay::Tracepoint).with_rest(),
    section("tp", ProgType::Tracepoint, None, AttachWay::Tracepoint).with_rest(),
    section("raw_tracepoint", ProgType::RawTracepoint, None, AttachWay::RawTracepoint).with_rest(),
    section("raw_tp", ProgType::RawTracepoint, None, AttachWay::RawTracepoint).with_rest(),
    section("raw_tracepoint.w", ProgType::RawTracepointWritable, None, AttachWay::RawTracepoint).with_rest(),
    section("raw_tp.w", ProgType::RawTracepointWritable, None, AttachWay::RawTracepoint).with_rest(),
    section("tp_btf", ProgType::Tracing, Some(AttachType::TraceRawTp), AttachWay::RawTracepoint).with_rest(),
    section("fentry", ProgType::Tracing, Some(AttachType::TraceFentry), AttachWay::TypedFunction).with_rest(),
    section("fexit", ProgType::Tracing, Some(AttachType::TraceFexit), AttachWay::TypedFunction).with_rest().at_return(),
    section("fmod_ret", ProgType::Tracing, Some(AttachType::ModifyReturn), AttachWay::TypedFunction).with_rest(),
    section("iter", ProgType::Tracing, Some(AttachType::TraceIter), AttachWay::Iterator).with_rest(),
    section("lsm", ProgType::Lsm, Some(AttachType::LsmMac), AttachWay::LsmHook).with_rest(),
    section("struct_ops", ProgType::StructOps, None, AttachWay::OperationsTable).with_rest(),
    section("fentry.s", ProgType::Tracing, Some(AttachType::TraceFentry), AttachWay::TypedFunction).with_rest().sleepable(),
    section("fexit.s", ProgType::Tracing, Some(AttachType::TraceFexit), AttachWay::TypedFunction).with_rest().sleepable().at_return(),
    section("fmod_ret.s", ProgType::Tracing, Some(AttachType::ModifyReturn), AttachWay::TypedFunction).with_rest().sleepable(),
    section("iter.s", ProgType::Tracing, Some(AttachType::TraceIter), AttachWay::Iterator).with_rest().sleepable(),
    section("lsm.s", ProgType::Lsm, Some(AttachType::LsmMac), AttachWay::LsmHook).with_rest().sleepable(),
    section("struct_ops.s", ProgType::StructOps, None, AttachWay::OperationsTable).with_rest().sleepable(),
    section("freplace", ProgType::Ext, None, AttachWay::ProgramFunction).with_rest(),
    section("lsm_cgroup", ProgType::Lsm, Some(AttachType::LsmCgroup), AttachWay::LsmHook).with_rest(),
    section("syscall", ProgType::Syscall, None, AttachWay::Nothing).sleepable(),
    section("perf_event", ProgType::PerfEvent, None, AttachWay::PerfEvent),
    // Routes, streams, name spaces.
    section("lwt_in", ProgType::LwtIn, None, AttachWay::Route),
    section("lwt_out", ProgType::LwtOut, None, AttachWay::Route),
    section("lwt_xmit", ProgType::LwtXmit, None, AttachWay::Route),
    section("lwt_seg6local", ProgType::LwtSeg6local, None, AttachWay::Route),
    section("sk_skb/stream_parser", ProgType::SkSkb, Some(AttachType::SkSkbStreamParser), AttachWay::SocketMap).attach_type_optional(),
    section("sk_skb/stream_verdict", ProgType::SkSkb, Some(AttachType::SkSkbStreamVerdict), AttachWay::SocketMap).attach_type_optional(),
    section("sk_skb/verdict", ProgType::SkSkb, Some(AttachType::SkSkbVerdict), AttachWay::SocketMap).attach_type_optional(),
    section("sk_skb", ProgType::SkSkb, None, AttachWay::SocketMap),
    section("sk_msg", ProgType::SkMsg, Some(AttachType::SkMsgVerdict), AttachWay::SocketMap).attach_type_optional(),
    section("sk_lookup", ProgType::SkLookup, Some(AttachType::SkLookup), AttachWay::NetworkNamespace),
    section("flow_dissector", ProgType::FlowDissector, Some(AttachType::FlowDissector), AttachWay::NetworkNamespace).attach_type_optional(),
    section("netfilter", ProgType::Netfilter, Some(AttachType::Netfilter), AttachWay::NetfilterHook),
    section("lirc_mode2", ProgType::LircMode2, Some(AttachType::LircMode2), AttachWay::Infrared).attach_type_optional(),
    // Control groups.
    section("sockops", ProgType::SockOps, Some(AttachType::CgroupSockOps), AttachWay::Cgroup).attach_type_optional(),
    section("cgroup_skb/ingress", ProgType::CgroupSkb, Some(AttachType::CgroupInetIngress), AttachWay::Cgroup).attach_type_optional(),
    section("cgroup_skb/egress", ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress), AttachWay::Cgroup).attach_type_optional(),
    section("cgroup/skb", ProgType::CgroupSkb, None, AttachWay::Cgroup),
    section("cgroup/sock_create", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), AttachWay::Cgroup),
    section("cgroup/sock_release", ProgType::CgroupSock, Some(AttachType::CgroupInetSockRelease), AttachWay::Cgroup),
    section("cgroup/sock", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), AttachWay::Cgroup).attach_type_optional(),
    section("cgroup/post_bind4", ProgType::CgroupSock, Some(AttachType::CgroupInet4PostBind), AttachWay::Cgroup),
    section("cgroup/post_bind6", ProgType::CgroupSock, Some(AttachType::CgroupInet6PostBind), AttachWay::Cgroup),
    section("cgroup/bind4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Bind), AttachWay::Cgroup),
    section("cgroup/bind6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Bind), AttachWay::Cgroup),
    section("cgroup/connect4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect), AttachWay::Cgroup),
    section("cgroup/connect6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Connect), AttachWay::Cgroup),
    section("cgroup/connect_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixConnect), AttachWay::Cgroup),
    section("cgroup/sendmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Sendmsg), AttachWay::Cgroup),
    section("cgroup/sendmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Sendmsg), AttachWay::Cgroup),
    section("cgroup/sendmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixSendmsg), AttachWay::Cgroup),
    section("cgroup/recvmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Recvmsg), AttachWay::Cgroup),
    section("cgroup/recvmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Recvmsg), AttachWay::Cgroup),
    section("cgroup/recvmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixRecvmsg), AttachWay::Cgroup),
    section("cgroup/getpeername4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getpeername), AttachWay::Cgroup),
    section("cgroup/getpeername6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getpeername), AttachWay::Cgroup),
    section("cgroup/getpeername_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetpeername), AttachWay::Cgroup),
    section("cgroup/getsockname4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getsockname), AttachWay::Cgroup),
    section("cgroup/getsockname6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getsockname), AttachWay::Cgroup),
    section("cgroup/getsockname_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetsockname), AttachWay::Cgroup),
    section("cgroup/sysctl", ProgType::CgroupSysctl, Some(AttachType::CgroupSysctl), AttachWay::Cgroup),
    section("cgroup/getsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupGetsockopt), AttachWay::Cgroup),
    section("cgroup/setsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupSetsockopt), AttachWay::Cgroup),
    section("cgroup/dev", ProgType::CgroupDevice, Some(AttachType::CgroupDevice), AttachWay::Cgroup).attach_type_optional(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_own_names() {
        for row in SECTIONS {
            assert_eq!(parse(row.prefix), Some(SectionName { section: row, rest: None, autoload: true }));
            let question = format!("?{}", row.prefix);
            assert_eq!(parse(&question).map(|name| (name.section, name.autoload)), Some((row, false)));
            let more = format!("{}/x", row.prefix);
            // Some names with a slash are rows of their own; none of those ends with x.
            assert_eq!(parse(&more).and_then(|name| name.rest).is_some(), row.takes_rest, "{more}");
        }
        for prog_type in ProgType::ALL {
            assert!(of_prog_type(*prog_type).count() > 0, "{prog_type} has no section");
        }
        for attach_type in AttachType::ALL {
            let rows = SECTIONS.iter().filter(|row| row.attach_type == Some(*attach_type)).count();
            // The kernel derives these two from the program type.
            let derived = [AttachType::PerfEvent, AttachType::StructOps].contains(attach_type);
            assert_eq!(rows == 0, derived, "{attach_type}");
        }
    }

    #[test]
    fn names_are_taken_apart() {
        let parts = |name| parse(name).map(|name| (name.section.prefix, name.rest));
        assert_eq!(parts("tp/syscalls/sys_enter_openat"), Some(("tp", Some("syscalls/sys_enter_openat"))));
        assert_eq!(parts("kprobe.multi/tcp_*"), Some(("kprobe.multi", Some("tcp_*"))));
        assert_eq!(parts("kprobe/"), Some(("kprobe", Some(""))));
        assert_eq!(parts("xdp.frags/devmap"), Some(("xdp.frags/devmap", None)));
        for unknown in ["", "?", "xdp/other", "kprobes", "socket1", "cgroup", "tc/", "lsm_cgroups/x"] {
            assert_eq!(parts(unknown), None, "{unknown}");
        }
    }
}
