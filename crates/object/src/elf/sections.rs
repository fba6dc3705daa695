//! What the name of a section says about the programs in it: the convention of libbpf (`SEC("...")`).

use skep_isa::{AttachType, ProgType};

use crate::ProgFlags;

/// What a section's name says about its programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionKind {
    /// The part of the name that says it.
    pub prefix: &'static str,
    /// Type of the programs.
    pub prog_type: ProgType,
    /// Where they attach, if the kernel wants to know that when it loads them.
    pub attach_type: Option<AttachType>,
    /// Flags of loading.
    pub flags: ProgFlags,
}

const fn row(
    prefix: &'static str,
    prog_type: ProgType,
    attach_type: Option<AttachType>,
    flags: ProgFlags,
) -> SectionKind {
    SectionKind { prefix, prog_type, attach_type, flags }
}

/// The kind of a section, `None` for a name without meaning.
///
/// The longest row decides that is the whole name or is followed by `/`, or, as older loaders had it, by `_` or a digit.
/// A `?` in front, which asks loaders to leave the program out unless told otherwise, does not matter.
///
/// ```
/// use skep_isa::{AttachType, ProgType};
/// use skep_object::section_kind;
///
/// let kind = section_kind("cgroup_skb/egress").ok_or("unknown")?;
/// assert_eq!((kind.prog_type, kind.attach_type), (ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress)));
/// assert_eq!(section_kind("kprobe/do_nanosleep").map(|kind| kind.prefix), Some("kprobe"));
/// assert_eq!(section_kind("tcp"), None);
/// # Ok::<(), &str>(())
/// ```
pub fn section_kind(section: &str) -> Option<SectionKind> {
    let name = section.strip_prefix('?').unwrap_or(section);
    let matches = |row: &&SectionKind| {
        let rest = name.strip_prefix(row.prefix);
        rest.is_some_and(|rest| rest.chars().next().is_none_or(|c| c == '/' || c == '_' || c.is_ascii_digit()))
    };
    ROWS.iter().filter(matches).max_by_key(|row| row.prefix.len()).copied()
}

// TABLE
#[rustfmt::skip]
const ROWS: &[SectionKind] = &[
    row("socket", ProgType::SocketFilter, None, ProgFlags::NONE),
    row("sk_reuseport", ProgType::SkReuseport, Some(AttachType::SkReuseportSelect), ProgFlags::NONE),
    row("sk_reuseport/migrate", ProgType::SkReuseport, Some(AttachType::SkReuseportSelectOrMigrate), ProgFlags::NONE),
    row("kprobe", ProgType::Kprobe, None, ProgFlags::NONE),
    row("kretprobe", ProgType::Kprobe, None, ProgFlags::NONE),
    row("ksyscall", ProgType::Kprobe, None, ProgFlags::NONE),
    row("kretsyscall", ProgType::Kprobe, None, ProgFlags::NONE),
    row("uprobe", ProgType::Kprobe, None, ProgFlags::NONE),
    row("uretprobe", ProgType::Kprobe, None, ProgFlags::NONE),
    row("usdt", ProgType::Kprobe, None, ProgFlags::NONE),
    row("uprobe.s", ProgType::Kprobe, None, ProgFlags::SLEEPABLE),
    row("uretprobe.s", ProgType::Kprobe, None, ProgFlags::SLEEPABLE),
    row("usdt.s", ProgType::Kprobe, None, ProgFlags::SLEEPABLE),
    row("kprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), ProgFlags::NONE),
    row("kretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceKprobeMulti), ProgFlags::NONE),
    row("kprobe.session", ProgType::Kprobe, Some(AttachType::TraceKprobeSession), ProgFlags::NONE),
    row("uprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), ProgFlags::NONE),
    row("uretprobe.multi", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), ProgFlags::NONE),
    row("uprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), ProgFlags::SLEEPABLE),
    row("uretprobe.multi.s", ProgType::Kprobe, Some(AttachType::TraceUprobeMulti), ProgFlags::SLEEPABLE),
    row("uprobe.session", ProgType::Kprobe, Some(AttachType::TraceUprobeSession), ProgFlags::NONE),
    row("uprobe.session.s", ProgType::Kprobe, Some(AttachType::TraceUprobeSession), ProgFlags::SLEEPABLE),
    row("tc", ProgType::SchedCls, None, ProgFlags::NONE),
    row("classifier", ProgType::SchedCls, None, ProgFlags::NONE),
    row("action", ProgType::SchedAct, None, ProgFlags::NONE),
    row("tc/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress), ProgFlags::NONE),
    row("tc/egress", ProgType::SchedCls, Some(AttachType::TcxEgress), ProgFlags::NONE),
    row("tcx/ingress", ProgType::SchedCls, Some(AttachType::TcxIngress), ProgFlags::NONE),
    row("tcx/egress", ProgType::SchedCls, Some(AttachType::TcxEgress), ProgFlags::NONE),
    row("netkit/primary", ProgType::SchedCls, Some(AttachType::NetkitPrimary), ProgFlags::NONE),
    row("netkit/peer", ProgType::SchedCls, Some(AttachType::NetkitPeer), ProgFlags::NONE),
    row("tracepoint", ProgType::Tracepoint, None, ProgFlags::NONE),
    row("tp", ProgType::Tracepoint, None, ProgFlags::NONE),
    row("raw_tracepoint", ProgType::RawTracepoint, None, ProgFlags::NONE),
    row("raw_tp", ProgType::RawTracepoint, None, ProgFlags::NONE),
    row("raw_tracepoint.w", ProgType::RawTracepointWritable, None, ProgFlags::NONE),
    row("raw_tp.w", ProgType::RawTracepointWritable, None, ProgFlags::NONE),
    row("tp_btf", ProgType::Tracing, Some(AttachType::TraceRawTp), ProgFlags::NONE),
    row("fentry", ProgType::Tracing, Some(AttachType::TraceFentry), ProgFlags::NONE),
    row("fexit", ProgType::Tracing, Some(AttachType::TraceFexit), ProgFlags::NONE),
    row("fmod_ret", ProgType::Tracing, Some(AttachType::ModifyReturn), ProgFlags::NONE),
    row("iter", ProgType::Tracing, Some(AttachType::TraceIter), ProgFlags::NONE),
    row("fentry.s", ProgType::Tracing, Some(AttachType::TraceFentry), ProgFlags::SLEEPABLE),
    row("fexit.s", ProgType::Tracing, Some(AttachType::TraceFexit), ProgFlags::SLEEPABLE),
    row("fmod_ret.s", ProgType::Tracing, Some(AttachType::ModifyReturn), ProgFlags::SLEEPABLE),
    row("iter.s", ProgType::Tracing, Some(AttachType::TraceIter), ProgFlags::SLEEPABLE),
    row("freplace", ProgType::Ext, None, ProgFlags::NONE),
    row("lsm", ProgType::Lsm, Some(AttachType::LsmMac), ProgFlags::NONE),
    row("lsm.s", ProgType::Lsm, Some(AttachType::LsmMac), ProgFlags::SLEEPABLE),
    row("lsm_cgroup", ProgType::Lsm, Some(AttachType::LsmCgroup), ProgFlags::NONE),
    row("struct_ops", ProgType::StructOps, None, ProgFlags::NONE),
    row("struct_ops.s", ProgType::StructOps, None, ProgFlags::SLEEPABLE),
    row("syscall", ProgType::Syscall, None, ProgFlags::SLEEPABLE),
    row("xdp", ProgType::Xdp, Some(AttachType::Xdp), ProgFlags::NONE),
    row("xdp.frags", ProgType::Xdp, Some(AttachType::Xdp), ProgFlags::XDP_FRAGS),
    row("xdp/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap), ProgFlags::NONE),
    row("xdp.frags/devmap", ProgType::Xdp, Some(AttachType::XdpDevmap), ProgFlags::XDP_FRAGS),
    row("xdp/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap), ProgFlags::NONE),
    row("xdp.frags/cpumap", ProgType::Xdp, Some(AttachType::XdpCpumap), ProgFlags::XDP_FRAGS),
    row("perf_event", ProgType::PerfEvent, None, ProgFlags::NONE),
    row("lwt_in", ProgType::LwtIn, None, ProgFlags::NONE),
    row("lwt_out", ProgType::LwtOut, None, ProgFlags::NONE),
    row("lwt_xmit", ProgType::LwtXmit, None, ProgFlags::NONE),
    row("lwt_seg6local", ProgType::LwtSeg6local, None, ProgFlags::NONE),
    row("sockops", ProgType::SockOps, Some(AttachType::CgroupSockOps), ProgFlags::NONE),
    row("sk_skb", ProgType::SkSkb, None, ProgFlags::NONE),
    row("sk_skb/stream_parser", ProgType::SkSkb, Some(AttachType::SkSkbStreamParser), ProgFlags::NONE),
    row("sk_skb/stream_verdict", ProgType::SkSkb, Some(AttachType::SkSkbStreamVerdict), ProgFlags::NONE),
    row("sk_skb/verdict", ProgType::SkSkb, Some(AttachType::SkSkbVerdict), ProgFlags::NONE),
    row("sk_msg", ProgType::SkMsg, Some(AttachType::SkMsgVerdict), ProgFlags::NONE),
    row("sk_lookup", ProgType::SkLookup, Some(AttachType::SkLookup), ProgFlags::NONE),
    row("lirc_mode2", ProgType::LircMode2, Some(AttachType::LircMode2), ProgFlags::NONE),
    row("flow_dissector", ProgType::FlowDissector, Some(AttachType::FlowDissector), ProgFlags::NONE),
    row("netfilter", ProgType::Netfilter, Some(AttachType::Netfilter), ProgFlags::NONE),
    row("cgroup_skb/ingress", ProgType::CgroupSkb, Some(AttachType::CgroupInetIngress), ProgFlags::NONE),
    row("cgroup_skb/egress", ProgType::CgroupSkb, Some(AttachType::CgroupInetEgress), ProgFlags::NONE),
    row("cgroup/skb", ProgType::CgroupSkb, None, ProgFlags::NONE),
    row("cgroup/sock_create", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), ProgFlags::NONE),
    row("cgroup/sock_release", ProgType::CgroupSock, Some(AttachType::CgroupInetSockRelease), ProgFlags::NONE),
    row("cgroup/sock", ProgType::CgroupSock, Some(AttachType::CgroupInetSockCreate), ProgFlags::NONE),
    row("cgroup/post_bind4", ProgType::CgroupSock, Some(AttachType::CgroupInet4PostBind), ProgFlags::NONE),
    row("cgroup/post_bind6", ProgType::CgroupSock, Some(AttachType::CgroupInet6PostBind), ProgFlags::NONE),
    row("cgroup/bind4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Bind), ProgFlags::NONE),
    row("cgroup/bind6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Bind), ProgFlags::NONE),
    row("cgroup/connect4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Connect), ProgFlags::NONE),
    row("cgroup/connect6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Connect), ProgFlags::NONE),
    row("cgroup/getpeername4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getpeername), ProgFlags::NONE),
    row("cgroup/getpeername6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getpeername), ProgFlags::NONE),
    row("cgroup/getsockname4", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet4Getsockname), ProgFlags::NONE),
    row("cgroup/getsockname6", ProgType::CgroupSockAddr, Some(AttachType::CgroupInet6Getsockname), ProgFlags::NONE),
    row("cgroup/sendmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Sendmsg), ProgFlags::NONE),
    row("cgroup/sendmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Sendmsg), ProgFlags::NONE),
    row("cgroup/recvmsg4", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp4Recvmsg), ProgFlags::NONE),
    row("cgroup/recvmsg6", ProgType::CgroupSockAddr, Some(AttachType::CgroupUdp6Recvmsg), ProgFlags::NONE),
    row("cgroup/connect_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixConnect), ProgFlags::NONE),
    row("cgroup/sendmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixSendmsg), ProgFlags::NONE),
    row("cgroup/recvmsg_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixRecvmsg), ProgFlags::NONE),
    row("cgroup/getpeername_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetpeername), ProgFlags::NONE),
    row("cgroup/getsockname_unix", ProgType::CgroupSockAddr, Some(AttachType::CgroupUnixGetsockname), ProgFlags::NONE),
    row("cgroup/sysctl", ProgType::CgroupSysctl, Some(AttachType::CgroupSysctl), ProgFlags::NONE),
    row("cgroup/getsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupGetsockopt), ProgFlags::NONE),
    row("cgroup/setsockopt", ProgType::CgroupSockopt, Some(AttachType::CgroupSetsockopt), ProgFlags::NONE),
    row("cgroup/dev", ProgType::CgroupDevice, Some(AttachType::CgroupDevice), ProgFlags::NONE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_own_names() {
        for row in ROWS {
            assert_eq!(section_kind(row.prefix), Some(*row));
            assert_eq!(section_kind(&format!("?{}", row.prefix)), Some(*row));
        }
    }

    #[test]
    fn the_longest_row_decides() {
        let prefix = |section| section_kind(section).map(|kind| kind.prefix);
        assert_eq!(prefix("xdp.frags/devmap"), Some("xdp.frags/devmap"));
        assert_eq!(prefix("xdp/other"), Some("xdp"));
        assert_eq!(prefix("xdp_prog1"), Some("xdp"));
        assert_eq!(prefix("socket1"), Some("socket"));
        assert_eq!(prefix("lsm_cgroup/socket_bind"), Some("lsm_cgroup"));
        assert_eq!(prefix("uprobe.s/libc:malloc"), Some("uprobe.s"));
        assert_eq!(prefix("tracepoint/syscalls/sys_enter_openat"), Some("tracepoint"));
        assert_eq!(prefix("cgroup"), None);
        assert_eq!(prefix("socketpair"), None);
        assert_eq!(prefix(""), None);
    }
}
