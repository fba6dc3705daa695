//! Map types: what each is for, what its keys and values are, and what works on it.
//!
//! Sources: `linux/bpf.h`, `kernel/bpf/verifier.c` (`check_map_func_compatibility`), the `alloc_check` functions of the
//! map types, `linux/bpf_types.h` (configuration).

use crate::programs::Privileges;
use crate::{MapType, ProgSet, ProgType};

/// What a map accepts as its size of a key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// Any size in bytes from 1.
    Any,
    /// Exactly so many bytes.
    Exactly(u32),
    /// One of two sizes in bytes.
    Either(u32, u32),
    /// Between two sizes, both included.
    Between(u32, u32),
    /// A multiple of 8 bytes.
    Words,
    /// None: 0 has to be given.
    None,
    /// That of a structure of the kernel.
    Kernel,
}

/// What is known about a map type.
#[derive(Debug, PartialEq, Eq)]
pub struct MapFacts {
    /// The type.
    pub map_type: MapType,
    /// Size of the keys.
    pub key_size: Size,
    /// What the keys are.
    pub key: &'static str,
    /// Size of the values.
    pub value_size: Size,
    /// What the values are.
    pub value: &'static str,
    /// What `max_entries` means, or has to be.
    pub entries: &'static str,
    /// Whether every processor has a value of its own under each key.
    pub per_cpu: bool,
    /// Flags of creation that it takes (`BPF_F_` left out). `NUMA_NODE` and the access flags are named as well.
    pub flags: &'static [&'static str],
    /// Helpers that work on it, by name without `bpf_`.
    pub helpers: &'static [&'static str],
    /// What works from user space: commands of `bpf(2)` and `mmap(2)`, in small letters. Every map but those of
    /// operations tables can also be frozen.
    pub user: &'static [&'static str],
    /// Program types that cannot use it at all.
    pub excluded: ProgSet,
    /// What making one needs (`map_create` in `kernel/bpf/syscall.c`).
    pub privileges: Privileges,
    /// Options of the kernel's configuration that it needs besides `CONFIG_BPF_SYSCALL`.
    pub config: &'static [&'static str],
    /// What it is for, in one paragraph.
    pub about: &'static str,
}

/// What is known about a map type.
pub fn facts(map_type: MapType) -> &'static MapFacts {
    // Rows are in the order of the numbers, which begin with 1; a test holds them to that.
    &MAPS[map_type.number() as usize - 1]
}

const ELEMENTS: &[&str] = &["map_lookup_elem", "map_update_elem", "map_delete_elem", "for_each_map_elem"];
const ELEMENTS_PER_CPU: &[&str] =
    &["map_lookup_elem", "map_update_elem", "map_delete_elem", "for_each_map_elem", "map_lookup_percpu_elem"];
const HASH_USER: &[&str] = &["lookup", "update", "delete", "next_key", "lookup_and_delete", "batch", "iterate"];
const STORAGE_FLAGS: &[&str] = &["NO_PREALLOC (required)", "CLONE"];
const STORAGE_USER: &[&str] = &["lookup", "update", "delete"];
const HASH_FLAGS: &[&str] =
    &["NO_PREALLOC", "NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "ZERO_SEED"];
const LRU_FLAGS: &[&str] =
    &["NO_COMMON_LRU", "NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "ZERO_SEED"];
const HASH_FLAGS_PER_CPU: &[&str] = &["NO_PREALLOC", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "ZERO_SEED"];
const LRU_FLAGS_PER_CPU: &[&str] = &["NO_COMMON_LRU", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "ZERO_SEED"];
const REDIRECT_FLAGS: &[&str] = &["NUMA_NODE", "RDONLY", "WRONLY"];
const NOBODY: ProgSet = ProgSet::NONE;
const ALL_BUT_CGROUP: ProgSet = ProgSet::ALL.without(ProgSet::of(&[
    ProgType::CgroupSkb,
    ProgType::CgroupSock,
    ProgType::SockOps,
    ProgType::CgroupDevice,
    ProgType::CgroupSockAddr,
    ProgType::CgroupSysctl,
    ProgType::CgroupSockopt,
    ProgType::Lsm,
]));

// TABLE
#[rustfmt::skip]
static MAPS: [MapFacts; 33] = [
    MapFacts {
        map_type: MapType::Hash, privileges: Privileges::Unprivileged, key_size: Size::Any, key: "any bytes", value_size: Size::Any, value: "any bytes",
        entries: "most entries", per_cpu: false, flags: HASH_FLAGS, helpers: ELEMENTS, user: HASH_USER, excluded: NOBODY, config: &[],
        about: "The general table: any key to any value. Memory for all entries is taken at once unless BPF_F_NO_PREALLOC is given, which saves memory and costs time per insertion. Updating a value replaces it for readers that come later; changing it in place through the pointer of a lookup is visible to all at once, so counters use atomic instructions or the per-CPU form. When it is full, insertion fails.",
    },
    MapFacts {
        map_type: MapType::Array, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Any, value: "any bytes; all zero at first",
        entries: "number of entries", per_cpu: false, flags: &["MMAPABLE", "NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "INNER_MAP"],
        helpers: &["map_lookup_elem", "map_update_elem", "for_each_map_elem"], user: &["lookup", "update", "next_key", "batch", "iterate", "mmap"], excluded: NOBODY, config: &[],
        about: "A fixed number of values by index, the fastest map: the verifier turns lookups into arithmetic. Entries exist from the start and cannot be deleted. With one entry it holds a program's global variables, which user space can map into its memory (BPF_F_MMAPABLE) or freeze to make them constants.",
    },
    MapFacts {
        map_type: MapType::ProgArray, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Exactly(4), value: "descriptor of a program when written, its id when read",
        entries: "number of slots", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY"], helpers: &["tail_call"], user: &["lookup", "update", "delete", "next_key"], excluded: NOBODY, config: &[],
        about: "Programs for tail_call: jumping into one replaces the running program, so large programs are cut into pieces and dispatch by protocol becomes a table. All programs have to be of one type and alike in what they need. When the last reference from user space goes away the slots are emptied, unless the map is pinned.",
    },
    MapFacts {
        map_type: MapType::PerfEventArray, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "processor", value_size: Size::Exactly(4), value: "descriptor of a perf event",
        entries: "number of slots; more than there are processors is of no use", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "PRESERVE_ELEMS"],
        helpers: &["perf_event_output", "perf_event_read", "perf_event_read_value", "skb_output", "xdp_output"], user: &["update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_PERF_EVENTS"],
        about: "One buffer per processor through which programs send records to user space, or one counter per processor that they read. User space opens the events, puts them in and maps the buffers. A ring buffer map does the same with less memory and keeps the order across processors; this one remains for kernels before 5.8 and for payloads of packets.",
    },
    MapFacts {
        map_type: MapType::PercpuHash, privileges: Privileges::Unprivileged, key_size: Size::Any, key: "any bytes", value_size: Size::Any, value: "any bytes, one value for each processor",
        entries: "most entries", per_cpu: true, flags: HASH_FLAGS_PER_CPU, helpers: ELEMENTS_PER_CPU, user: HASH_USER, excluded: NOBODY, config: &[],
        about: "A hash table whose entries have a value for each processor, so programs count without atomics and without disturbing each other. User space reads and writes all of them at once, each padded to a multiple of 8 bytes, and adds them up.",
    },
    MapFacts {
        map_type: MapType::PercpuArray, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Between(1, 32768), value: "any bytes, one value for each processor",
        entries: "number of entries", per_cpu: true, flags: &["RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"],
        helpers: &["map_lookup_elem", "map_update_elem", "for_each_map_elem", "map_lookup_percpu_elem"], user: &["lookup", "update", "next_key", "batch", "iterate"], excluded: NOBODY, config: &[],
        about: "An array whose entries have a value for each processor. Besides counters it is the usual place for structures that are too large for the stack of 512 bytes: entry 0 serves as scratch memory. A value has at most 32 KiB, the largest piece that the per-CPU allocator gives out.",
    },
    MapFacts {
        map_type: MapType::StackTrace, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "number that get_stackid returned", value_size: Size::Words, value: "addresses of 8 bytes, or build ids with offsets of 32 bytes",
        entries: "number of slots; rounded up to a power of two", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "STACK_BUILD_ID"], helpers: &["get_stackid"], user: &["lookup", "delete", "next_key", "lookup_and_delete"], excluded: NOBODY, config: &["CONFIG_PERF_EVENTS"],
        about: "Keeps each distinct stack once and gives it a number, so that profiles count numbers instead of copying stacks. The number comes from a hash; when two stacks meet, get_stackid fails or, with BPF_F_REUSE_STACKID, drops the older one.",
    },
    MapFacts {
        map_type: MapType::CgroupArray, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Exactly(4), value: "descriptor of a directory of cgroup2",
        entries: "number of slots", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY"], helpers: &["skb_under_cgroup", "current_task_under_cgroup"], user: &["update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_CGROUPS"],
        about: "References to control groups, for asking whether the current task or a packet's socket belongs to one.",
    },
    MapFacts {
        map_type: MapType::LruHash, privileges: Privileges::Bpf, key_size: Size::Any, key: "any bytes", value_size: Size::Any, value: "any bytes",
        entries: "most entries", per_cpu: false, flags: LRU_FLAGS, helpers: ELEMENTS, user: HASH_USER, excluded: NOBODY, config: &[],
        about: "A hash table that never refuses an insertion: when it is full it drops entries that were not used for long. Suited to caches and connection tables that strangers can fill. The order is approximate and kept in batches per processor, so small maps (below some hundred entries per processor) drop entries earlier than their size suggests; BPF_F_NO_COMMON_LRU gives each processor a list of its own, faster and less exact. Lookups by user space do not count as use.",
    },
    MapFacts {
        map_type: MapType::LruPercpuHash, privileges: Privileges::Bpf, key_size: Size::Any, key: "any bytes", value_size: Size::Any, value: "any bytes, one value for each processor",
        entries: "most entries", per_cpu: true, flags: LRU_FLAGS_PER_CPU, helpers: ELEMENTS_PER_CPU, user: HASH_USER, excluded: NOBODY, config: &[],
        about: "The table that drops the least recently used entries, with a value for each processor under each key: counters per flow that strangers cannot exhaust.",
    },
    MapFacts {
        map_type: MapType::LpmTrie, privileges: Privileges::Bpf, key_size: Size::Between(5, 260), key: "length of the prefix in bits (4 bytes), then up to 256 bytes in network byte order", value_size: Size::Any, value: "any bytes",
        entries: "most entries", per_cpu: false, flags: &["NO_PREALLOC (required)", "NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["map_lookup_elem", "map_update_elem", "map_delete_elem"], user: &["lookup", "update", "delete", "next_key", "batch"], excluded: NOBODY, config: &[],
        about: "Prefixes such as 10.0.0.0/8: a lookup finds the longest that covers the key. The lookup key carries the full length (32 for IPv4). It is the map for routes, for lists of networks and, with a field in front, for rules per interface or tenant. A lookup walks a tree, so it takes longer than in a hash table.",
    },
    MapFacts {
        map_type: MapType::ArrayOfMaps, privileges: Privileges::Unprivileged, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Exactly(4), value: "descriptor of a map when written, its id when read",
        entries: "number of slots", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY"], helpers: &["map_lookup_elem"], user: &["lookup", "update", "delete", "next_key", "batch"], excluded: NOBODY, config: &[],
        about: "An array of maps that are all built like a template given at creation. A program looks an inner map up and then uses it; user space exchanges whole tables in one step, which makes an update of many entries atomic.",
    },
    MapFacts {
        map_type: MapType::HashOfMaps, privileges: Privileges::Unprivileged, key_size: Size::Any, key: "any bytes", value_size: Size::Exactly(4), value: "descriptor of a map when written, its id when read",
        entries: "most entries", per_cpu: false, flags: &["NO_PREALLOC", "NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG", "ZERO_SEED"], helpers: &["map_lookup_elem"], user: &["lookup", "update", "delete", "next_key", "batch"], excluded: NOBODY, config: &[],
        about: "The same by key: a table per tenant, interface or container.",
    },
    MapFacts {
        map_type: MapType::Devmap, privileges: Privileges::NetAdmin, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Either(4, 8), value: "index of a network device, and perhaps the descriptor of an XDP program to run there",
        entries: "number of slots", per_cpu: false, flags: REDIRECT_FLAGS, helpers: &["redirect_map", "map_lookup_elem"], user: &["lookup", "update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "Network devices as targets of redirect_map in XDP programs. Packets are sent in bulk, which plain redirect cannot. With BPF_F_BROADCAST a packet goes to all of them.",
    },
    MapFacts {
        map_type: MapType::Sockmap, privileges: Privileges::NetAdmin, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Either(4, 8), value: "descriptor of a socket when written; its cookie when read, if values have 8 bytes",
        entries: "number of slots", per_cpu: false, flags: REDIRECT_FLAGS, helpers: &["sk_redirect_map", "sock_map_update", "msg_redirect_map", "sk_select_reuseport", "map_lookup_elem", "map_update_elem", "map_delete_elem"], user: &["lookup", "update", "delete", "next_key", "iterate"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "Sockets by index. Programs attached to the map handle what its sockets receive (sk_skb) and send (sk_msg) and move data between them inside the kernel. A socket leaves the map when it closes.",
    },
    MapFacts {
        map_type: MapType::Cpumap, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "processor", value_size: Size::Either(4, 8), value: "length of the queue, and perhaps the descriptor of an XDP program to run there",
        entries: "highest processor plus 1", per_cpu: false, flags: &["NUMA_NODE"], helpers: &["redirect_map"], user: &["lookup", "update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "Processors as targets of redirect_map in XDP programs: the packet crosses to another processor before it gets a buffer, which spreads load that the card's own hashing cannot spread.",
    },
    MapFacts {
        map_type: MapType::Xskmap, privileges: Privileges::NetAdmin, key_size: Size::Exactly(4), key: "index from 0, usually the receive queue", value_size: Size::Exactly(4), value: "descriptor of an AF_XDP socket",
        entries: "number of slots", per_cpu: false, flags: REDIRECT_FLAGS, helpers: &["redirect_map", "map_lookup_elem"], user: &["update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_XDP_SOCKETS"],
        about: "AF_XDP sockets as targets of redirect_map: the packet goes to user space past the network stack, without a copy where the driver can. The socket has to be bound to the queue that the packet came from.",
    },
    MapFacts {
        map_type: MapType::Sockhash, privileges: Privileges::NetAdmin, key_size: Size::Between(1, 512), key: "any bytes", value_size: Size::Either(4, 8), value: "descriptor of a socket when written; its cookie when read, if values have 8 bytes",
        entries: "most entries", per_cpu: false, flags: REDIRECT_FLAGS, helpers: &["sk_redirect_hash", "sock_hash_update", "msg_redirect_hash", "sk_select_reuseport", "map_lookup_elem", "map_update_elem", "map_delete_elem"], user: &["lookup", "update", "delete", "next_key", "iterate"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "Sockets by key, for example by addresses and ports; else as a sockmap.",
    },
    MapFacts {
        map_type: MapType::CgroupStorage, privileges: Privileges::Unprivileged, key_size: Size::Either(8, 16), key: "number of a control group, or that with the attach type", value_size: Size::Between(1, 32768), value: "any bytes",
        entries: "0", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["get_local_storage"], user: &["lookup", "update", "next_key"], excluded: ALL_BUT_CGROUP, config: &["CONFIG_CGROUP_BPF"],
        about: "A value for each control group that the program is attached to, made and freed with the attachment; get_local_storage finds it without a key. Superseded by cgrp_storage, which any program can use for any control group.",
    },
    MapFacts {
        map_type: MapType::ReuseportSockarray, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "index from 0", value_size: Size::Either(4, 8), value: "descriptor of a socket when written; its cookie when read, if values have 8 bytes",
        entries: "number of slots", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["sk_select_reuseport"], user: &["lookup", "update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_INET"],
        about: "Sockets of SO_REUSEPORT groups, for sk_reuseport programs to choose from.",
    },
    MapFacts {
        map_type: MapType::PercpuCgroupStorage, privileges: Privileges::Unprivileged, key_size: Size::Either(8, 16), key: "number of a control group, or that with the attach type", value_size: Size::Between(1, 32768), value: "any bytes, one value for each processor",
        entries: "0", per_cpu: true, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["get_local_storage"], user: &["lookup", "update", "next_key"], excluded: ALL_BUT_CGROUP, config: &["CONFIG_CGROUP_BPF"],
        about: "The storage per control group with a value for each processor.",
    },
    MapFacts {
        map_type: MapType::Queue, privileges: Privileges::Bpf, key_size: Size::None, key: "none", value_size: Size::Any, value: "any bytes",
        entries: "most values", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["map_push_elem", "map_pop_elem", "map_peek_elem"], user: &["lookup", "update", "lookup_and_delete"], excluded: NOBODY, config: &[],
        about: "First in, first out: a pool of free ports, work for user space. Pushing to a full one fails unless BPF_EXIST lets the oldest go. It takes a lock, so it is not for high rates.",
    },
    MapFacts {
        map_type: MapType::Stack, privileges: Privileges::Bpf, key_size: Size::None, key: "none", value_size: Size::Any, value: "any bytes",
        entries: "most values", per_cpu: false, flags: &["NUMA_NODE", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["map_push_elem", "map_pop_elem", "map_peek_elem"], user: &["lookup", "update", "lookup_and_delete"], excluded: NOBODY, config: &[],
        about: "Last in, first out; else as a queue.",
    },
    MapFacts {
        map_type: MapType::SkStorage, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "descriptor of a socket", value_size: Size::Any, value: "any bytes; needs BTF",
        entries: "0", per_cpu: false, flags: STORAGE_FLAGS, helpers: &["sk_storage_get", "sk_storage_delete", "kptr_xchg"], user: &["lookup", "update", "delete", "iterate"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "A value that hangs on a socket: found without a table, freed with the socket, in any number of sockets. With BPF_F_CLONE an accepted connection inherits that of its listener.",
    },
    MapFacts {
        map_type: MapType::DevmapHash, privileges: Privileges::NetAdmin, key_size: Size::Exactly(4), key: "any number, usually the index of the device", value_size: Size::Either(4, 8), value: "index of a network device, and perhaps the descriptor of an XDP program to run there",
        entries: "most entries", per_cpu: false, flags: REDIRECT_FLAGS, helpers: &["redirect_map", "map_lookup_elem"], user: &["lookup", "update", "delete", "next_key"], excluded: NOBODY, config: &["CONFIG_NET"],
        about: "Network devices by any number instead of a slot, so the index of the device itself can be the key without a large array.",
    },
    MapFacts {
        map_type: MapType::StructOps, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "0", value_size: Size::Kernel, value: "the table with its state (bpf_struct_ops_NAME); functions are descriptors of programs",
        entries: "1", per_cpu: false, flags: &["LINK", "VTYPE_BTF_OBJ_FD"], helpers: &[], user: &["lookup", "update", "delete"], excluded: ProgSet::ALL, config: &["CONFIG_BPF_JIT", "CONFIG_DEBUG_INFO_BTF"],
        about: "A table of functions of the kernel whose members are programs; writing it (or making a link of it, with BPF_F_LINK) registers the table, for example as a TCP congestion control. No program uses it as a map.",
    },
    MapFacts {
        map_type: MapType::Ringbuf, privileges: Privileges::Unprivileged, key_size: Size::None, key: "none", value_size: Size::None, value: "records of any size",
        entries: "size in bytes: a power of two and a multiple of the page size", per_cpu: false, flags: &["NUMA_NODE"],
        helpers: &["ringbuf_output", "ringbuf_reserve", "ringbuf_query", "ringbuf_reserve_dynptr", "ringbuf_submit_dynptr", "ringbuf_discard_dynptr"], user: &["mmap"], excluded: NOBODY, config: &[],
        about: "A ring for records to user space that all processors share: less memory than a buffer per processor, in order, woken by epoll. A program reserves room, writes in place and submits, so nothing is copied twice; if it is full, the reservation fails and the program counts the loss. User space maps the data read-only and the consumer position writable.",
    },
    MapFacts {
        map_type: MapType::InodeStorage, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "descriptor of a file", value_size: Size::Any, value: "any bytes; needs BTF",
        entries: "0", per_cpu: false, flags: STORAGE_FLAGS, helpers: &["inode_storage_get", "inode_storage_delete", "kptr_xchg"], user: STORAGE_USER, excluded: NOBODY, config: &["CONFIG_BPF_LSM"],
        about: "A value that hangs on an inode and is freed with it: labels for files in security programs.",
    },
    MapFacts {
        map_type: MapType::TaskStorage, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "descriptor of a process (pidfd)", value_size: Size::Any, value: "any bytes; needs BTF",
        entries: "0", per_cpu: false, flags: STORAGE_FLAGS, helpers: &["task_storage_get", "task_storage_delete", "kptr_xchg"], user: STORAGE_USER, excluded: NOBODY, config: &[],
        about: "A value that hangs on a thread: state between two probes without a hash table by thread number, and freed when the thread ends.",
    },
    MapFacts {
        map_type: MapType::BloomFilter, privileges: Privileges::Bpf, key_size: Size::None, key: "none", value_size: Size::Any, value: "any bytes",
        entries: "how many values are expected", per_cpu: false, flags: &["NUMA_NODE", "ZERO_SEED", "RDONLY", "WRONLY", "RDONLY_PROG", "WRONLY_PROG"], helpers: &["map_push_elem", "map_peek_elem"], user: &["lookup", "update"], excluded: NOBODY, config: &[],
        about: "A set that answers \"certainly not\" or \"perhaps\" and cannot forget. In front of a hash table it spares the lookups that would fail. map_extra says how many hash functions it uses: 1 to 15, by default 5.",
    },
    MapFacts {
        map_type: MapType::UserRingbuf, privileges: Privileges::Unprivileged, key_size: Size::None, key: "none", value_size: Size::None, value: "records of any size",
        entries: "size in bytes: a power of two and a multiple of the page size", per_cpu: false, flags: &["NUMA_NODE"], helpers: &["user_ringbuf_drain"], user: &["mmap"], excluded: NOBODY, config: &[],
        about: "The ring the other way round: user space writes records, a program drains them through a callback, each as a dynptr.",
    },
    MapFacts {
        map_type: MapType::CgrpStorage, privileges: Privileges::Bpf, key_size: Size::Exactly(4), key: "descriptor of a directory of cgroup2", value_size: Size::Any, value: "any bytes; needs BTF",
        entries: "0", per_cpu: false, flags: STORAGE_FLAGS, helpers: &["cgrp_storage_get", "cgrp_storage_delete", "kptr_xchg"], user: STORAGE_USER, excluded: NOBODY, config: &["CONFIG_CGROUPS"],
        about: "A value that hangs on a control group, for programs of any type that can get hold of the control group.",
    },
    MapFacts {
        map_type: MapType::Arena, privileges: Privileges::Perfmon, key_size: Size::None, key: "none", value_size: Size::None, value: "pages",
        entries: "most pages", per_cpu: false, flags: &["MMAPABLE (required)", "SEGV_ON_FAULT", "NO_USER_CONV"], helpers: &[], user: &["mmap"], excluded: NOBODY, config: &["CONFIG_MMU", "CONFIG_64BIT", "a JIT that supports it: x86-64, arm64"],
        about: "Up to 4 GiB of memory that program and user space share at addresses both understand, allocated by pages with bpf_arena_alloc_pages. Pointers inside are ordinary pointers, followed without checks, so data structures such as lists, trees and hash tables are written in C by the program itself. Needs CAP_PERFMON besides CAP_BPF.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_the_numbers() {
        assert_eq!(MAPS.len(), MapType::ALL.len());
        for map_type in MapType::ALL {
            let facts = facts(*map_type);
            assert_eq!(facts.map_type, *map_type);
            assert!(facts.about.ends_with('.') && facts.about.len() > 20, "{map_type}");
            assert_eq!(facts.per_cpu, map_type.name().contains("percpu"), "{map_type}");
            for helper in facts.helpers {
                assert!(crate::helpers::by_name(helper).is_some(), "{map_type}: {helper}");
            }
        }
    }
}
