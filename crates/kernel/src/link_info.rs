//! What the kernel tells about a link (`struct bpf_link_info`): what runs where.

use std::os::fd::{AsFd, BorrowedFd};

use skep_isa::AttachType;

use crate::errors::KernelError;
use crate::ids::OpenLink;
use crate::sys::bpf::address;
use crate::sys::info::{
    self, LINK_INFO, LINK_PART, LinkCgroup, LinkHead, LinkIter, LinkIterCgroup, LinkIterMap, LinkIterTask,
    LinkKprobeMulti, LinkNetfilter, LinkNetkit, LinkNetns, LinkPerfEvent, LinkPerfKprobe, LinkPerfPlain,
    LinkPerfTracepoint, LinkPerfUprobe, LinkRawTracepoint, LinkSockmap, LinkStructOps, LinkTcx, LinkTracing,
    LinkUprobeMulti, LinkXdp, link_type, perf_event_type,
};
use crate::sys::layout::Plain;

/// Longest name or path that is asked for, with its NUL (`PATH_MAX`).
const LONGEST_NAME: usize = 4096;
/// Most places of a link that are read back.
const MOST_PLACES: u32 = 1 << 20;
/// Where the parts about iterated maps, other iterated things and performance events begin.
const ITER_MAP_PART: usize = 28;
const ITER_PART: usize = 32;
const PERF_PART: usize = 24;

/// Facts about a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The number under which `bpftool link show id` finds the link.
    pub id: u32,
    /// The number of its program; 0 for links without one (operations of the kernel).
    pub program: u32,
    /// The type as a number (`enum bpf_link_type`).
    pub type_number: u32,
    /// Where the program runs.
    pub target: LinkTarget,
}

/// Where the program of a link runs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkTarget {
    /// A raw tracepoint.
    RawTracepoint {
        /// Its name.
        name: String,
        /// What `bpf_get_attach_cookie` gives (Linux 6.10); 0 also on kernels that do not tell.
        cookie: u64,
    },
    /// A function of the kernel or of another program, or a hook of the security modules.
    Tracing {
        /// The place.
        attach_type: Attach,
        /// The number of the BTF, or of the program, to which `btf_id` belongs.
        object: u32,
        /// The function there.
        btf_id: u32,
        /// What `bpf_get_attach_cookie` gives.
        cookie: u64,
    },
    /// A control group.
    Cgroup {
        /// Its number, which is the inode of its directory; 0 if it is gone.
        cgroup: u64,
        /// The place.
        attach_type: Attach,
    },
    /// Something to iterate over.
    Iter {
        /// What: `task`, `bpf_map_elem`, `cgroup` and so on.
        name: String,
        /// What it is limited to.
        limit: IterLimit,
    },
    /// A network namespace.
    Netns {
        /// Its inode; 0 if it is gone.
        netns: u32,
        /// The place.
        attach_type: Attach,
    },
    /// The driver of a network device.
    Xdp {
        /// The device; 0 if it is gone.
        ifindex: u32,
    },
    /// Operations of the kernel.
    StructOps {
        /// The map with the operations.
        map: u32,
    },
    /// A netfilter hook.
    Netfilter {
        /// `NFPROTO_*`: 2 for IPv4, 10 for IPv6.
        protocol: u32,
        /// `NF_INET_*`: 0 for before routing to 4 for after it.
        hook: u32,
        /// Lower ones run first.
        priority: i32,
        /// `BPF_F_NETFILTER_IP_DEFRAG`
        flags: u32,
    },
    /// Many functions of the kernel.
    KprobeMulti {
        /// Their addresses; 0 where the process may not know.
        addresses: Vec<u64>,
        /// What `bpf_get_attach_cookie` gives for each (Linux 6.9); empty if there are none.
        cookies: Vec<u64>,
        /// Runs that were left out.
        missed: u64,
        /// `BPF_F_KPROBE_MULTI_*`: 1 for when the functions return.
        flags: u32,
    },
    /// Many places of a program or library.
    UprobeMulti {
        /// The file.
        path: String,
        /// Bytes from its start.
        offsets: Vec<u64>,
        /// Where the counters are that say whether somebody observes the place; 0 for none.
        counters: Vec<u64>,
        /// What `bpf_get_attach_cookie` gives for each.
        cookies: Vec<u64>,
        /// The process, 0 for all.
        pid: u32,
        /// `BPF_F_UPROBE_MULTI_*`: 1 for when the functions return.
        flags: u32,
    },
    /// A performance event (Linux 5.15; what it is since 6.6).
    PerfEvent(PerfTarget),
    /// Traffic control of a network device.
    Tcx {
        /// The device; 0 if it is gone.
        ifindex: u32,
        /// The place.
        attach_type: Attach,
    },
    /// A netkit device.
    Netkit {
        /// The device; 0 if it is gone.
        ifindex: u32,
        /// The place.
        attach_type: Attach,
    },
    /// A map of sockets.
    Sockmap {
        /// The map.
        map: u32,
        /// The place.
        attach_type: Attach,
    },
    /// Something newer than our table.
    Other,
}

/// A place of attachment, also one that is newer than our table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// The number (`enum bpf_attach_type`).
    pub number: u32,
    /// The row of our table.
    pub known: Option<AttachType>,
}

/// What an iterator is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IterLimit {
    /// Nothing, or something newer than our table.
    None,
    /// The elements of a map.
    Map(u32),
    /// A control group and an order (`enum bpf_cgroup_iter_order`).
    Cgroup {
        /// Its number.
        cgroup: u64,
        /// 1 for itself only, 2 and 3 for its descendants, 4 for its ancestors.
        order: u32,
    },
    /// A thread or a process; 0 where it is not limited.
    Task {
        /// The thread.
        tid: u32,
        /// The process.
        pid: u32,
    },
}

/// A performance event.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PerfTarget {
    /// A place in the kernel.
    Kprobe {
        /// The function; empty if it was given by its address.
        function: String,
        /// Bytes from its start.
        offset: u32,
        /// The address; 0 where the process may not know.
        address: u64,
        /// Runs that were left out (Linux 6.7).
        missed: u64,
        /// What `bpf_get_attach_cookie` gives (Linux 6.9).
        cookie: u64,
        /// Whether it runs when the function returns.
        on_return: bool,
    },
    /// A place in a program or library.
    Uprobe {
        /// The file.
        file: String,
        /// Bytes from its start.
        offset: u32,
        /// What `bpf_get_attach_cookie` gives (Linux 6.9).
        cookie: u64,
        /// Where the counter is that says whether somebody observes the place; 0 for none.
        counter: u64,
        /// Whether it runs when the function returns.
        on_return: bool,
    },
    /// A tracepoint.
    Tracepoint {
        /// Its name.
        name: String,
        /// What `bpf_get_attach_cookie` gives (Linux 6.9).
        cookie: u64,
    },
    /// Another event.
    Event {
        /// `PERF_TYPE_*`
        kind: u32,
        /// Which one of that type.
        config: u64,
        /// What `bpf_get_attach_cookie` gives (Linux 6.9).
        cookie: u64,
    },
    /// The kernel does not say.
    Unknown,
}

/// The buffer that the kernel fills, aligned as its structure.
#[derive(Clone)]
struct Buffer([u64; LINK_INFO / 8]);

impl Buffer {
    const fn new() -> Self {
        Self([0; LINK_INFO / 8])
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    /// A part of the structure.
    fn part<T: Plain>(&self, at: usize) -> T {
        T::from_prefix(&self.bytes()[at..])
    }

    /// Sets a part of the structure.
    fn set(&mut self, at: usize, part: &impl Plain) {
        let mut bytes = self.bytes();
        bytes[at..at + part.as_bytes().len()].copy_from_slice(part.as_bytes());
        for (word, bytes) in self.0.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_ne_bytes(*bytes);
        }
    }

    /// Lets the kernel fill the buffer.
    ///
    /// # Safety
    /// Every address in the buffer has a length next to it that its memory has.
    unsafe fn ask(&mut self, link: BorrowedFd<'_>) -> Result<(), KernelError> {
        // SAFETY: the buffer has this size; for the addresses in it the caller vouches.
        unsafe { info::info_raw(link, self.0.as_mut_ptr().cast(), LINK_INFO) }
            .map(drop)
            .map_err(|errno| KernelError::system("ask for the properties of a link", errno))
    }
}

/// Room for a name, and the name afterwards.
struct Name(Vec<u8>);

impl Name {
    fn new() -> Self {
        Self(vec![0; LONGEST_NAME])
    }

    fn address(&mut self) -> u64 {
        address(self.0.as_mut_ptr().cast_const())
    }

    fn text(&self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }
}

impl OpenLink {
    /// Asks the kernel about the link (Linux 5.8).
    ///
    /// # Errors
    /// [`KernelError::System`] if the descriptor is not one of a link.
    pub fn info(&self) -> Result<LinkInfo, KernelError> {
        link_info(self.as_fd())
    }
}

/// What the kernel tells about a link, whoever opened it.
///
/// # Errors
/// [`KernelError::System`] if the descriptor is not one of a link.
pub fn link_info(link: BorrowedFd<'_>) -> Result<LinkInfo, KernelError> {
    let mut first = Buffer::new();
    // SAFETY: all addresses are 0 and have a length of 0.
    unsafe { first.ask(link) }?;
    let head: LinkHead = first.part(0);
    let attach = |number| Attach { number, known: AttachType::from_number(number) };
    let target = match head.r#type {
        link_type::RAW_TRACEPOINT => raw_tracepoint(link)?,
        link_type::TRACING => {
            let part: LinkTracing = first.part(LINK_PART);
            LinkTarget::Tracing {
                attach_type: attach(part.attach_type),
                object: part.target_obj_id,
                btf_id: part.target_btf_id,
                cookie: part.cookie,
            }
        }
        link_type::CGROUP => {
            let part: LinkCgroup = first.part(LINK_PART);
            LinkTarget::Cgroup { cgroup: part.cgroup_id, attach_type: attach(part.attach_type) }
        }
        link_type::ITER => iterator(link)?,
        link_type::NETNS => {
            let part: LinkNetns = first.part(LINK_PART);
            LinkTarget::Netns { netns: part.netns_ino, attach_type: attach(part.attach_type) }
        }
        link_type::XDP => LinkTarget::Xdp { ifindex: first.part::<LinkXdp>(LINK_PART).ifindex },
        link_type::PERF_EVENT => LinkTarget::PerfEvent(perf_event(link, &first)?),
        link_type::KPROBE_MULTI => kprobe_multi(link, &first)?,
        link_type::STRUCT_OPS => LinkTarget::StructOps { map: first.part::<LinkStructOps>(LINK_PART).map_id },
        link_type::NETFILTER => {
            let part: LinkNetfilter = first.part(LINK_PART);
            LinkTarget::Netfilter { protocol: part.pf, hook: part.hooknum, priority: part.priority, flags: part.flags }
        }
        link_type::TCX => {
            let part: LinkTcx = first.part(LINK_PART);
            LinkTarget::Tcx { ifindex: part.ifindex, attach_type: attach(part.attach_type) }
        }
        link_type::UPROBE_MULTI => uprobe_multi(link, &first)?,
        link_type::NETKIT => {
            let part: LinkNetkit = first.part(LINK_PART);
            LinkTarget::Netkit { ifindex: part.ifindex, attach_type: attach(part.attach_type) }
        }
        link_type::SOCKMAP => {
            let part: LinkSockmap = first.part(LINK_PART);
            LinkTarget::Sockmap { map: part.map_id, attach_type: attach(part.attach_type) }
        }
        _ => LinkTarget::Other,
    };
    Ok(LinkInfo { id: head.id, program: head.prog_id, type_number: head.r#type, target })
}

fn raw_tracepoint(link: BorrowedFd<'_>) -> Result<LinkTarget, KernelError> {
    let mut name = Name::new();
    let mut buffer = Buffer::new();
    let ask = LinkRawTracepoint { tp_name: name.address(), tp_name_len: LONGEST_NAME as u32, ..Default::default() };
    buffer.set(LINK_PART, &ask);
    // SAFETY: the name has the length that stands next to it.
    unsafe { buffer.ask(link) }?;
    let cookie = buffer.part::<LinkRawTracepoint>(LINK_PART).cookie;
    Ok(LinkTarget::RawTracepoint { name: name.text(), cookie })
}

fn iterator(link: BorrowedFd<'_>) -> Result<LinkTarget, KernelError> {
    let mut text = Name::new();
    let mut buffer = Buffer::new();
    let ask = LinkIter { target_name: text.address(), target_name_len: LONGEST_NAME as u32, pad: 0 };
    buffer.set(LINK_PART, &ask);
    // SAFETY: the name has the length that stands next to it.
    unsafe { buffer.ask(link) }?;
    let name = text.text();
    let limit = match name.as_str() {
        "bpf_map_elem" | "bpf_sk_storage_map" | "sockmap" => {
            IterLimit::Map(buffer.part::<LinkIterMap>(ITER_MAP_PART).map_id)
        }
        "cgroup" => {
            let part: LinkIterCgroup = buffer.part(ITER_PART);
            IterLimit::Cgroup { cgroup: part.cgroup_id, order: part.order }
        }
        "task" | "task_file" | "task_vma" => match buffer.part::<LinkIterTask>(ITER_PART) {
            LinkIterTask { tid: 0, pid: 0 } => IterLimit::None,
            LinkIterTask { tid, pid } => IterLimit::Task { tid, pid },
        },
        _ => IterLimit::None,
    };
    Ok(LinkTarget::Iter { name, limit })
}

fn kprobe_multi(link: BorrowedFd<'_>, first: &Buffer) -> Result<LinkTarget, KernelError> {
    let known: LinkKprobeMulti = first.part(LINK_PART);
    let count = known.count.min(MOST_PLACES);
    let mut addresses = vec![0u64; count as usize];
    let mut cookies = vec![0u64; count as usize];
    if count > 0 {
        let mut buffer = Buffer::new();
        let ask = LinkKprobeMulti {
            addrs: address(addresses.as_mut_ptr().cast_const()),
            cookies: address(cookies.as_mut_ptr().cast_const()),
            count,
            ..Default::default()
        };
        buffer.set(LINK_PART, &ask);
        // SAFETY: both lists have `count` entries of eight bytes.
        unsafe { buffer.ask(link) }?;
    }
    Ok(LinkTarget::KprobeMulti { addresses, cookies, missed: known.missed, flags: known.flags })
}

fn uprobe_multi(link: BorrowedFd<'_>, first: &Buffer) -> Result<LinkTarget, KernelError> {
    let known: LinkUprobeMulti = first.part(LINK_PART);
    let count = known.count.min(MOST_PLACES);
    let mut path = Name::new();
    let mut lists = [0, 1, 2].map(|_| vec![0u64; count as usize]);
    let [offsets, counters, cookies] = lists.each_mut().map(|list| address(list.as_mut_ptr().cast_const()));
    let mut buffer = Buffer::new();
    let mut ask = LinkUprobeMulti { path: path.address(), path_size: LONGEST_NAME as u32, ..Default::default() };
    if count > 0 {
        ask = LinkUprobeMulti { offsets, ref_ctr_offsets: counters, cookies, count, ..ask };
    }
    buffer.set(LINK_PART, &ask);
    // SAFETY: the path has the length that stands next to it and the three lists `count` entries of eight bytes.
    unsafe { buffer.ask(link) }?;
    let [offsets, counters, cookies] = lists;
    let (pid, flags) = (known.pid, known.flags);
    Ok(LinkTarget::UprobeMulti { path: path.text(), offsets, counters, cookies, pid, flags })
}

fn perf_event(link: BorrowedFd<'_>, first: &Buffer) -> Result<PerfTarget, KernelError> {
    let kind = first.part::<LinkPerfEvent>(LINK_PART).r#type;
    let mut name = Name::new();
    let (start, name_len) = (name.address(), LONGEST_NAME as u32);
    let mut buffer = Buffer::new();
    match kind {
        perf_event_type::KPROBE | perf_event_type::KRETPROBE => {
            buffer.set(PERF_PART, &LinkPerfKprobe { func_name: start, name_len, ..Default::default() });
        }
        perf_event_type::UPROBE | perf_event_type::URETPROBE => {
            buffer.set(PERF_PART, &LinkPerfUprobe { file_name: start, name_len, ..Default::default() });
        }
        perf_event_type::TRACEPOINT => {
            buffer.set(PERF_PART, &LinkPerfTracepoint { tp_name: start, name_len, ..Default::default() });
        }
        perf_event_type::EVENT => {
            let part: LinkPerfPlain = first.part(PERF_PART);
            return Ok(PerfTarget::Event { kind: part.r#type, config: part.config, cookie: part.cookie });
        }
        _ => return Ok(PerfTarget::Unknown),
    }
    // SAFETY: the name has the length that stands next to it.
    unsafe { buffer.ask(link) }?;
    Ok(match kind {
        perf_event_type::TRACEPOINT => {
            let cookie = buffer.part::<LinkPerfTracepoint>(PERF_PART).cookie;
            PerfTarget::Tracepoint { name: name.text(), cookie }
        }
        perf_event_type::KPROBE | perf_event_type::KRETPROBE => {
            let part: LinkPerfKprobe = buffer.part(PERF_PART);
            PerfTarget::Kprobe {
                function: name.text(),
                offset: part.offset,
                address: part.addr,
                missed: part.missed,
                cookie: part.cookie,
                on_return: kind == perf_event_type::KRETPROBE,
            }
        }
        _ => {
            let part: LinkPerfUprobe = buffer.part(PERF_PART);
            PerfTarget::Uprobe {
                file: name.text(),
                offset: part.offset,
                cookie: part.cookie,
                counter: part.ref_ctr_offset,
                on_return: kind == perf_event_type::URETPROBE,
            }
        }
    })
}
