//! Commands of `bpf(2)` that attach: links, programs at hooks without links, raw tracepoints, iterators.

use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::cmd;
use super::bpf::{address, bpf, owned, raw};
use super::info::{LinkHead, info_raw};
use super::layout::{Plain, plain};

/// Flags of attaching, `linux/bpf.h`.
pub(crate) mod flag {
    /// The program may be overridden in descendants.
    pub(crate) const ALLOW_OVERRIDE: u32 = 1;
    /// The program is one of several.
    pub(crate) const ALLOW_MULTI: u32 = 2;
    /// Only in place of a given program.
    pub(crate) const REPLACE: u32 = 4;
    /// In front of a program or link, or of all.
    pub(crate) const BEFORE: u32 = 8;
    /// Behind a program or link, or behind all.
    pub(crate) const AFTER: u32 = 16;
    /// The relative is a link.
    pub(crate) const LINK: u32 = 1 << 13;
}

plain! {
    /// What all forms of `BPF_LINK_CREATE` begin with.
    struct LinkCreate = "bpf_attr.link_create" {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        pad_tail: [u64; 6],
    }
}

plain! {
    /// The rest of it for tracing: a function of the target, a cookie.
    struct Tracing = "bpf_attr.link_create.tracing" at 16 {
        target_btf_id: u32,
        pad: u32,
        cookie: u64,
    }

    /// For iterators.
    struct Iter = "bpf_attr.link_create" {
        pad_head: [u64; 2],
        iter_info: u64,
        iter_info_len: u32,
        pad: u32,
    }

    /// For perf events.
    struct Perf = "bpf_attr.link_create.perf_event" at 16 {
        bpf_cookie: u64,
    }

    /// For many kernel functions.
    struct KprobeMulti = "bpf_attr.link_create.kprobe_multi" at 16 {
        flags: u32,
        cnt: u32,
        syms: u64,
        addrs: u64,
        cookies: u64,
    }

    /// For netfilter.
    struct Netfilter = "bpf_attr.link_create.netfilter" at 16 {
        pf: u32,
        hooknum: u32,
        priority: i32,
        flags: u32,
    }

    /// For lists with an order: tcx, netkit (and control groups, Linux 6.15).
    struct Relative = "bpf_attr.link_create.tcx" at 16 {
        relative_fd: u32,
        pad: u32,
        expected_revision: u64,
    }

    /// For many places in a file.
    struct UprobeMulti = "bpf_attr.link_create.uprobe_multi" at 16 {
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        cnt: u32,
        flags: u32,
        pid: u32,
        pad: u32,
    }
}

plain! {
    /// `BPF_LINK_UPDATE`
    struct LinkUpdate = "bpf_attr.link_update" {
        link_fd: u32,
        new_prog_fd: u32,
        flags: u32,
        old_prog_fd: u32,
    }
}

plain! {
    /// `BPF_LINK_DETACH`
    struct LinkDetach = "bpf_attr.link_detach" {
        link_fd: u32,
    }
}

plain! {
    /// `BPF_ITER_CREATE`
    struct IterCreate = "bpf_attr.iter_create" {
        link_fd: u32,
        flags: u32,
    }
}

plain! {
    /// `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`
    struct ProgAttach = "bpf_attr" {
        target_fd: u32,
        attach_bpf_fd: u32,
        attach_type: u32,
        attach_flags: u32,
        replace_bpf_fd: u32,
    }
}

plain! {
    /// `BPF_PROG_QUERY`. The kernel writes the revision (Linux 6.6) whatever size it is told: the structure has to be whole.
    struct ProgQuery = "bpf_attr.query" {
        target_fd: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        prog_ids: u64,
        prog_cnt: u32,
        pad: u32,
        prog_attach_flags: u64,
        link_ids: u64,
        link_attach_flags: u64,
        revision: u64,
    }
}

plain! {
    /// `BPF_RAW_TRACEPOINT_OPEN`
    struct RawTracepoint = "bpf_attr.raw_tracepoint" {
        name: u64,
        prog_fd: u32,
        pad: u32,
        cookie: u64,
    }
}

/// What a kind of link needs beside program, target and attach type.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Extra<'a> {
    /// Nothing.
    None,
    /// A function of the target by its BTF id, and a cookie.
    Tracing { btf_id: u32, cookie: u64 },
    /// A `union bpf_iter_link_info`.
    Iter(&'a [u8]),
    /// The cookie of a perf event.
    Perf { cookie: u64 },
    /// Kernel functions: by names or by addresses.
    KprobeMulti { flags: u32, symbols: &'a [CString], addresses: &'a [u64], cookies: &'a [u64] },
    /// A hook of netfilter.
    Netfilter { family: u32, hook: u32, priority: i32, flags: u32 },
    /// A place among other programs, which only counts while the list has the revision (0: any).
    Relative { fd_or_id: u32, revision: u64 },
    /// Places in a file.
    UprobeMulti {
        path: &'a CStr,
        offsets: &'a [u64],
        ref_ctr_offsets: &'a [u64],
        cookies: &'a [u64],
        flags: u32,
        pid: u32,
    },
}

/// The address of a list that may be absent.
fn list<T>(values: &[T]) -> u64 {
    if values.is_empty() { 0 } else { address(values.as_ptr()) }
}

/// The number of elements, if every optional list has it too.
fn count(length: usize, optional: &[usize]) -> Result<u32, i32> {
    if optional.iter().any(|&other| other != 0 && other != length) {
        return Err(libc::EINVAL);
    }
    u32::try_from(length).map_err(|_| libc::E2BIG)
}

/// A structure as words of eight bytes; behind its end there are zeros.
fn words(bytes: &[u8]) -> [u64; 6] {
    let mut words = [0; 6];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

impl Extra<'_> {
    /// What follows the flags. `names` holds the addresses of the symbols.
    fn tail(&self, names: &[u64]) -> Result<[u64; 6], i32> {
        Ok(match *self {
            Self::None => [0; 6],
            Self::Tracing { btf_id, cookie } => {
                words(Tracing { target_btf_id: btf_id, cookie, ..Tracing::default() }.as_bytes())
            }
            Self::Iter(info) => {
                let iter_info_len = u32::try_from(info.len()).map_err(|_| libc::E2BIG)?;
                words(&Iter { iter_info: list(info), iter_info_len, ..Iter::default() }.as_bytes()[16..])
            }
            Self::Perf { cookie } => words(Perf { bpf_cookie: cookie }.as_bytes()),
            Self::KprobeMulti { flags, addresses, cookies, .. } => {
                let cnt = count(names.len().max(addresses.len()), &[names.len(), addresses.len(), cookies.len()])?;
                let (syms, addrs, cookies) = (list(names), list(addresses), list(cookies));
                words(KprobeMulti { flags, cnt, syms, addrs, cookies }.as_bytes())
            }
            Self::Netfilter { family, hook, priority, flags } => {
                words(Netfilter { pf: family, hooknum: hook, priority, flags }.as_bytes())
            }
            Self::Relative { fd_or_id, revision } => {
                words(Relative { relative_fd: fd_or_id, pad: 0, expected_revision: revision }.as_bytes())
            }
            Self::UprobeMulti { path, offsets, ref_ctr_offsets, cookies, flags, pid } => {
                let cnt = count(offsets.len(), &[ref_ctr_offsets.len(), cookies.len()])?;
                let (path, refs, cookies) = (address(path.as_ptr()), list(ref_ctr_offsets), list(cookies));
                let offsets = list(offsets);
                words(UprobeMulti { path, offsets, ref_ctr_offsets: refs, cookies, cnt, flags, pid, pad: 0 }.as_bytes())
            }
        })
    }
}

/// What a link joins a program, or a map of an operations table, to: a descriptor or the index of an interface.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    /// None, or implied by the program.
    None,
    /// A control group, namespace, map, perf event or program.
    Fd(BorrowedFd<'a>),
    /// An interface.
    Interface(u32),
}

impl Target<'_> {
    fn number(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Fd(fd) => raw(fd),
            Self::Interface(index) => index,
        }
    }
}

/// `BPF_LINK_CREATE` (Linux 5.7). `program` is a map for operations tables.
pub(crate) fn link_create(
    program: BorrowedFd<'_>,
    target: Target<'_>,
    attach_type: u32,
    flags: u32,
    extra: &Extra<'_>,
) -> Result<OwnedFd, i32> {
    let names: Vec<u64> = match extra {
        Extra::KprobeMulti { symbols, .. } => symbols.iter().map(|symbol| address(symbol.as_ptr())).collect(),
        _ => Vec::new(),
    };
    let pad_tail = extra.tail(&names)?;
    let mut attr = LinkCreate { prog_fd: raw(program), target_fd: target.number(), attach_type, flags, pad_tail };
    // SAFETY: every address in `pad_tail` is that of a slice or C string borrowed by `extra` or of `names`, all of which
    // live through the call; `tail` gives the kernel their lengths in bytes or elements. The kernel only reads them.
    // The meaning of the words belongs to the program's type; a mix-up would make the kernel read an address that is
    // not mapped or not meant, which it checks, and it never writes.
    unsafe { bpf(cmd::LINK_CREATE, &mut attr) }.map(owned)
}

/// `BPF_LINK_UPDATE`: another program in place of the one that the link has, or only of `expected`.
pub(crate) fn link_update(
    link: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    expected: Option<BorrowedFd<'_>>,
) -> Result<(), i32> {
    let mut attr = LinkUpdate {
        link_fd: raw(link),
        new_prog_fd: raw(program),
        flags: if expected.is_some() { flag::REPLACE } else { 0 },
        old_prog_fd: expected.map_or(0, raw),
    };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::LINK_UPDATE, &mut attr) }.map(drop)
}

/// `BPF_LINK_DETACH` (Linux 5.9): the link stays, without effect.
pub(crate) fn link_detach(link: BorrowedFd<'_>) -> Result<(), i32> {
    let mut attr = LinkDetach { link_fd: raw(link) };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::LINK_DETACH, &mut attr) }.map(drop)
}

/// `BPF_ITER_CREATE`: something to read the output of an iterator from.
pub(crate) fn iter_create(link: BorrowedFd<'_>) -> Result<OwnedFd, i32> {
    let mut attr = IterCreate { link_fd: raw(link), flags: 0 };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::ITER_CREATE, &mut attr) }.map(owned)
}

/// The part of a link's properties that all kinds share.
pub(crate) fn link_info(link: BorrowedFd<'_>) -> Result<LinkHead, i32> {
    let mut info = LinkHead::default();
    // SAFETY: the kernel reads and writes at most the size of `info`, for which every bit pattern is a value and which
    // holds no addresses.
    unsafe { info_raw(link, (&raw mut info).cast(), size_of::<LinkHead>()) }?;
    Ok(info)
}

/// `BPF_PROG_ATTACH`: a program at a hook that has no links here.
pub(crate) fn prog_attach(
    target: Option<BorrowedFd<'_>>,
    program: BorrowedFd<'_>,
    attach_type: u32,
    flags: u32,
    replace: Option<BorrowedFd<'_>>,
) -> Result<(), i32> {
    let mut attr = ProgAttach {
        target_fd: target.map_or(0, raw),
        attach_bpf_fd: raw(program),
        attach_type,
        attach_flags: flags | if replace.is_some() { flag::REPLACE } else { 0 },
        replace_bpf_fd: replace.map_or(0, raw),
    };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::PROG_ATTACH, &mut attr) }.map(drop)
}

/// `BPF_PROG_DETACH`
pub(crate) fn prog_detach(
    target: Option<BorrowedFd<'_>>,
    program: BorrowedFd<'_>,
    attach_type: u32,
) -> Result<(), i32> {
    let mut attr = ProgAttach {
        target_fd: target.map_or(0, raw),
        attach_bpf_fd: raw(program),
        attach_type,
        ..ProgAttach::default()
    };
    // SAFETY: the structure holds no addresses.
    unsafe { bpf(cmd::PROG_DETACH, &mut attr) }.map(drop)
}

/// `BPF_PROG_QUERY`: ids of the programs at a hook, in the order in which they run, at most 64.
pub(crate) fn prog_query(target: Target<'_>, attach_type: u32) -> Result<Vec<u32>, i32> {
    let mut ids = vec![0u32; 64];
    let mut attr = ProgQuery {
        target_fd: target.number(),
        attach_type,
        prog_ids: address(ids.as_mut_ptr().cast_const()),
        prog_cnt: u32::try_from(ids.len()).map_err(|_| libc::E2BIG)?,
        ..ProgQuery::default()
    };
    // SAFETY: the kernel writes at most `prog_cnt` numbers to `ids`, which has so many, and fields of the structure, of
    // which none is missing.
    match unsafe { bpf(cmd::PROG_QUERY, &mut attr) } {
        // More than there was room for: the first ones were stored.
        Ok(_) | Err(libc::ENOSPC) => {}
        Err(errno) => return Err(errno),
    }
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// `BPF_RAW_TRACEPOINT_OPEN`: without a name for programs that were loaded for one place.
pub(crate) fn raw_tracepoint_open(program: BorrowedFd<'_>, name: Option<&CStr>, cookie: u64) -> Result<OwnedFd, i32> {
    let mut attr =
        RawTracepoint { name: name.map_or(0, |name| address(name.as_ptr())), prog_fd: raw(program), pad: 0, cookie };
    // SAFETY: the address is 0 or that of a C string that lives through the call.
    unsafe { bpf(cmd::RAW_TRACEPOINT_OPEN, &mut attr) }.map(owned)
}
