//! What `BPF_OBJ_GET_INFO_BY_FD` tells, numbers of objects, and descriptors from numbers.

use std::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::{Id, NAME_LEN, ObjInfo, cmd};
use super::bpf::{address, bpf, owned, raw};
use super::layout::{Plain, constants, plain};

constants! {
    /// `enum bpf_link_type`
    mod link_type: u32 = "BPF_LINK_TYPE_" {
        RAW_TRACEPOINT = 1,
        TRACING = 2,
        CGROUP = 3,
        ITER = 4,
        NETNS = 5,
        XDP = 6,
        PERF_EVENT = 7,
        KPROBE_MULTI = 8,
        STRUCT_OPS = 9,
        NETFILTER = 10,
        TCX = 11,
        UPROBE_MULTI = 12,
        NETKIT = 13,
        SOCKMAP = 14,
    }
}

constants! {
    /// `enum bpf_perf_event_type`
    mod perf_event_type: u32 = "BPF_PERF_EVENT_" {
        UPROBE = 1,
        URETPROBE = 2,
        KPROBE = 3,
        KRETPROBE = 4,
        TRACEPOINT = 5,
        EVENT = 6,
    }
}

plain! {
    /// `struct bpf_prog_info`
    struct ProgInfo = "bpf_prog_info" {
        r#type: u32,
        id: u32,
        tag: [u8; 8],
        jited_prog_len: u32,
        xlated_prog_len: u32,
        jited_prog_insns: u64,
        xlated_prog_insns: u64,
        load_time: u64,
        created_by_uid: u32,
        nr_map_ids: u32,
        map_ids: u64,
        name: [u8; NAME_LEN],
        ifindex: u32,
        bits_gpl_compatible: u32,
        netns_dev: u64,
        netns_ino: u64,
        nr_jited_ksyms: u32,
        nr_jited_func_lens: u32,
        jited_ksyms: u64,
        jited_func_lens: u64,
        btf_id: u32,
        func_info_rec_size: u32,
        func_info: u64,
        nr_func_info: u32,
        nr_line_info: u32,
        line_info: u64,
        jited_line_info: u64,
        nr_jited_line_info: u32,
        line_info_rec_size: u32,
        jited_line_info_rec_size: u32,
        nr_prog_tags: u32,
        prog_tags: u64,
        run_time_ns: u64,
        run_cnt: u64,
        recursion_misses: u64,
        verified_insns: u32,
        attach_btf_obj_id: u32,
        attach_btf_id: u32,
        pad: u32,
    }

    /// `struct bpf_map_info`
    struct MapInfo = "bpf_map_info" {
        r#type: u32,
        id: u32,
        key_size: u32,
        value_size: u32,
        max_entries: u32,
        map_flags: u32,
        name: [u8; NAME_LEN],
        ifindex: u32,
        btf_vmlinux_value_type_id: u32,
        netns_dev: u64,
        netns_ino: u64,
        btf_id: u32,
        btf_key_type_id: u32,
        btf_value_type_id: u32,
        btf_vmlinux_id: u32,
        map_extra: u64,
    }

    /// `struct bpf_btf_info`
    struct BtfInfo = "bpf_btf_info" {
        btf: u64,
        btf_size: u32,
        id: u32,
        name: u64,
        name_len: u32,
        kernel_btf: u32,
    }

    /// The beginning of `struct bpf_link_info`; the part that depends on the type follows.
    struct LinkHead = "bpf_link_info" {
        r#type: u32,
        id: u32,
        prog_id: u32,
        pad: u32,
    }

    /// Raw tracepoints.
    struct LinkRawTracepoint = "bpf_link_info.raw_tracepoint" at 16 {
        tp_name: u64,
        tp_name_len: u32,
        pad: u32,
        cookie: u64,
    }

    /// `fentry`, `fexit`, extensions, LSM.
    struct LinkTracing = "bpf_link_info.tracing" at 16 {
        attach_type: u32,
        target_obj_id: u32,
        target_btf_id: u32,
        pad: u32,
        cookie: u64,
    }

    /// Control groups.
    struct LinkCgroup = "bpf_link_info.cgroup" at 16 {
        cgroup_id: u64,
        attach_type: u32,
        pad: u32,
    }

    /// Iterators.
    struct LinkIter = "bpf_link_info.iter" at 16 {
        target_name: u64,
        target_name_len: u32,
        pad: u32,
    }

    /// Iterators over an element of a map.
    struct LinkIterMap = "bpf_link_info.iter.map" at 28 {
        map_id: u32,
    }

    /// Iterators over control groups.
    struct LinkIterCgroup = "bpf_link_info.iter.cgroup" at 32 {
        cgroup_id: u64,
        order: u32,
        pad: u32,
    }

    /// Iterators over tasks.
    struct LinkIterTask = "bpf_link_info.iter.task" at 32 {
        tid: u32,
        pid: u32,
    }

    /// Network namespaces.
    struct LinkNetns = "bpf_link_info.netns" at 16 {
        netns_ino: u32,
        attach_type: u32,
    }

    /// XDP.
    struct LinkXdp = "bpf_link_info.xdp" at 16 {
        ifindex: u32,
    }

    /// Operations of the kernel.
    struct LinkStructOps = "bpf_link_info.struct_ops" at 16 {
        map_id: u32,
    }

    /// Netfilter hooks.
    struct LinkNetfilter = "bpf_link_info.netfilter" at 16 {
        pf: u32,
        hooknum: u32,
        priority: i32,
        flags: u32,
    }

    /// Many kprobes.
    struct LinkKprobeMulti = "bpf_link_info.kprobe_multi" at 16 {
        addrs: u64,
        count: u32,
        flags: u32,
        missed: u64,
        cookies: u64,
    }

    /// Many uprobes.
    struct LinkUprobeMulti = "bpf_link_info.uprobe_multi" at 16 {
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        path_size: u32,
        count: u32,
        flags: u32,
        pid: u32,
    }

    /// Performance events: which of the following parts counts.
    struct LinkPerfEvent = "bpf_link_info.perf_event" at 16 {
        r#type: u32,
        pad: u32,
    }

    /// A uprobe.
    struct LinkPerfUprobe = "bpf_link_info.perf_event.uprobe" at 24 {
        file_name: u64,
        name_len: u32,
        offset: u32,
        cookie: u64,
        ref_ctr_offset: u64,
    }

    /// A kprobe.
    struct LinkPerfKprobe = "bpf_link_info.perf_event.kprobe" at 24 {
        func_name: u64,
        name_len: u32,
        offset: u32,
        addr: u64,
        missed: u64,
        cookie: u64,
    }

    /// A tracepoint.
    struct LinkPerfTracepoint = "bpf_link_info.perf_event.tracepoint" at 24 {
        tp_name: u64,
        name_len: u32,
        pad: u32,
        cookie: u64,
    }

    /// Another event.
    struct LinkPerfPlain = "bpf_link_info.perf_event.event" at 24 {
        config: u64,
        r#type: u32,
        pad: u32,
        cookie: u64,
    }

    /// Traffic control (tcx).
    struct LinkTcx = "bpf_link_info.tcx" at 16 {
        ifindex: u32,
        attach_type: u32,
    }

    /// Netkit devices.
    struct LinkNetkit = "bpf_link_info.netkit" at 16 {
        ifindex: u32,
        attach_type: u32,
    }

    /// Socket maps.
    struct LinkSockmap = "bpf_link_info.sockmap" at 16 {
        map_id: u32,
        attach_type: u32,
    }
}

/// Bytes of the largest `struct bpf_link_info` that this crate understands, with room for more.
pub(crate) const LINK_INFO: usize = 128;
/// Where the part of `struct bpf_link_info` begins that depends on the type.
pub(crate) const LINK_PART: usize = 16;

/// Kinds of objects with numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Program,
    Map,
    Link,
    Btf,
}

impl Object {
    /// The commands that give the next number and a descriptor.
    const fn commands(self) -> (c_int, c_int) {
        match self {
            Self::Program => (cmd::PROG_GET_NEXT_ID, cmd::PROG_GET_FD_BY_ID),
            Self::Map => (cmd::MAP_GET_NEXT_ID, cmd::MAP_GET_FD_BY_ID),
            Self::Link => (cmd::LINK_GET_NEXT_ID, cmd::LINK_GET_FD_BY_ID),
            Self::Btf => (cmd::BTF_GET_NEXT_ID, cmd::BTF_GET_FD_BY_ID),
        }
    }
}

/// The smallest number above `after` that an object has, `None` if there is none.
pub(crate) fn next_id(kind: Object, after: u32) -> Result<Option<u32>, i32> {
    let mut attr = Id { start_id: after, ..Id::default() };
    // SAFETY: the structure holds no addresses.
    match unsafe { bpf(kind.commands().0, &mut attr) } {
        Ok(_) => Ok(Some(attr.next_id)),
        Err(libc::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// A new descriptor of the object with a number.
pub(crate) fn fd_by_id(kind: Object, id: u32, flags: u32) -> Result<OwnedFd, i32> {
    let mut attr = Id { start_id: id, open_flags: flags, ..Id::default() };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(kind.commands().1, &mut attr) }.map(owned)
}

/// Reads and writes `length` bytes of `info`. Returns how many bytes the kernel filled in.
///
/// # Safety
/// `info` must have `length` bytes, and every address with a length in it must describe memory to which the kernel may
/// write, in the way of the object that `fd` refers to.
pub(crate) unsafe fn info_raw(fd: BorrowedFd<'_>, info: *mut u8, length: usize) -> Result<usize, i32> {
    let mut attr = ObjInfo {
        bpf_fd: raw(fd),
        info_len: u32::try_from(length).map_err(|_| libc::E2BIG)?,
        info: address(info.cast_const()),
    };
    // SAFETY: the caller vouches for `info` and what it points to.
    unsafe { bpf(cmd::OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(attr.info_len as usize)
}

/// Facts about an object, as far as they need no further memory.
fn info<T: Plain>(fd: BorrowedFd<'_>) -> Result<T, i32> {
    let mut info = T::default();
    // SAFETY: the kernel reads and writes at most the size of `info`, for which every bit pattern is a value. The
    // addresses inside are 0 with lengths of 0, so it follows none of them.
    unsafe { info_raw(fd, (&raw mut info).cast(), size_of::<T>()) }?;
    Ok(info)
}

pub(crate) fn prog_info(fd: BorrowedFd<'_>) -> Result<ProgInfo, i32> {
    info(fd)
}

pub(crate) fn map_info(fd: BorrowedFd<'_>) -> Result<MapInfo, i32> {
    info(fd)
}
