//! Names of bpf(2), perf_event_open(2), io_uring, and of what requests of `ioctl` fill (`linux/perf_event.h`,
//! `linux/io_uring.h`, `linux/if.h`, `linux/loop.h`).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "bpf_update", unknown: "BPF_???", rows: &[
        (0, "BPF_ANY"), (1, "BPF_NOEXIST"), (2, "BPF_EXIST"), (4, "BPF_F_LOCK"),
    ] },
    Set { name: "perf_type", unknown: "PERF_TYPE_???", rows: &[
        (0, "PERF_TYPE_HARDWARE"), (1, "PERF_TYPE_SOFTWARE"), (2, "PERF_TYPE_TRACEPOINT"), (3, "PERF_TYPE_HW_CACHE"),
        (4, "PERF_TYPE_RAW"), (5, "PERF_TYPE_BREAKPOINT"),
    ] },
    Set { name: "perf_size", unknown: "PERF_ATTR_SIZE_???", rows: &[
        (64, "PERF_ATTR_SIZE_VER0"), (72, "PERF_ATTR_SIZE_VER1"), (80, "PERF_ATTR_SIZE_VER2"),
        (96, "PERF_ATTR_SIZE_VER3"), (104, "PERF_ATTR_SIZE_VER4"), (112, "PERF_ATTR_SIZE_VER5"),
        (120, "PERF_ATTR_SIZE_VER6"), (128, "PERF_ATTR_SIZE_VER7"), (136, "PERF_ATTR_SIZE_VER8"),
    ] },
    Set { name: "perf_hardware", unknown: "PERF_COUNT_HW_???", rows: &[
        (0, "PERF_COUNT_HW_CPU_CYCLES"), (1, "PERF_COUNT_HW_INSTRUCTIONS"), (2, "PERF_COUNT_HW_CACHE_REFERENCES"),
        (3, "PERF_COUNT_HW_CACHE_MISSES"), (4, "PERF_COUNT_HW_BRANCH_INSTRUCTIONS"),
        (5, "PERF_COUNT_HW_BRANCH_MISSES"), (6, "PERF_COUNT_HW_BUS_CYCLES"),
        (7, "PERF_COUNT_HW_STALLED_CYCLES_FRONTEND"), (8, "PERF_COUNT_HW_STALLED_CYCLES_BACKEND"),
        (9, "PERF_COUNT_HW_REF_CPU_CYCLES"),
    ] },
    Set { name: "perf_software", unknown: "PERF_COUNT_SW_???", rows: &[
        (0, "PERF_COUNT_SW_CPU_CLOCK"), (1, "PERF_COUNT_SW_TASK_CLOCK"), (2, "PERF_COUNT_SW_PAGE_FAULTS"),
        (3, "PERF_COUNT_SW_CONTEXT_SWITCHES"), (4, "PERF_COUNT_SW_CPU_MIGRATIONS"),
        (5, "PERF_COUNT_SW_PAGE_FAULTS_MIN"), (6, "PERF_COUNT_SW_PAGE_FAULTS_MAJ"),
        (7, "PERF_COUNT_SW_ALIGNMENT_FAULTS"), (8, "PERF_COUNT_SW_EMULATION_FAULTS"), (9, "PERF_COUNT_SW_DUMMY"),
        (10, "PERF_COUNT_SW_BPF_OUTPUT"), (11, "PERF_COUNT_SW_CGROUP_SWITCHES"),
    ] },
    Set { name: "perf_cache", unknown: "PERF_COUNT_HW_CACHE_???", rows: &[
        (0, "PERF_COUNT_HW_CACHE_L1D"), (1, "PERF_COUNT_HW_CACHE_L1I"), (2, "PERF_COUNT_HW_CACHE_LL"),
        (3, "PERF_COUNT_HW_CACHE_DTLB"), (4, "PERF_COUNT_HW_CACHE_ITLB"), (5, "PERF_COUNT_HW_CACHE_BPU"),
        (6, "PERF_COUNT_HW_CACHE_NODE"),
    ] },
    Set { name: "perf_cache_op", unknown: "PERF_COUNT_HW_CACHE_OP_???", rows: &[
        (0, "PERF_COUNT_HW_CACHE_OP_READ"), (1, "PERF_COUNT_HW_CACHE_OP_WRITE"), (2, "PERF_COUNT_HW_CACHE_OP_PREFETCH"),
    ] },
    Set { name: "perf_cache_result", unknown: "PERF_COUNT_HW_CACHE_RESULT_???", rows: &[
        (0, "PERF_COUNT_HW_CACHE_RESULT_ACCESS"), (1, "PERF_COUNT_HW_CACHE_RESULT_MISS"),
    ] },
    Set { name: "perf_breakpoint", unknown: "HW_BREAKPOINT_???", rows: &[
        (0, "HW_BREAKPOINT_EMPTY"), (1, "HW_BREAKPOINT_R"), (2, "HW_BREAKPOINT_W"), (3, "HW_BREAKPOINT_RW"),
        (4, "HW_BREAKPOINT_X"), (7, "HW_BREAKPOINT_INVALID"),
    ] },
    Set { name: "perf_sample", unknown: "PERF_SAMPLE_???", rows: &[
        (1, "PERF_SAMPLE_IP"), (2, "PERF_SAMPLE_TID"), (4, "PERF_SAMPLE_TIME"), (8, "PERF_SAMPLE_ADDR"),
        (0x10, "PERF_SAMPLE_READ"), (0x20, "PERF_SAMPLE_CALLCHAIN"), (0x40, "PERF_SAMPLE_ID"),
        (0x80, "PERF_SAMPLE_CPU"), (0x100, "PERF_SAMPLE_PERIOD"), (0x200, "PERF_SAMPLE_STREAM_ID"),
        (0x400, "PERF_SAMPLE_RAW"), (0x800, "PERF_SAMPLE_BRANCH_STACK"), (0x1000, "PERF_SAMPLE_REGS_USER"),
        (0x2000, "PERF_SAMPLE_STACK_USER"), (0x4000, "PERF_SAMPLE_WEIGHT"), (0x8000, "PERF_SAMPLE_DATA_SRC"),
        (0x10000, "PERF_SAMPLE_IDENTIFIER"), (0x20000, "PERF_SAMPLE_TRANSACTION"), (0x40000, "PERF_SAMPLE_REGS_INTR"),
        (0x80000, "PERF_SAMPLE_PHYS_ADDR"), (0x0010_0000, "PERF_SAMPLE_AUX"), (0x0020_0000, "PERF_SAMPLE_CGROUP"),
        (0x0040_0000, "PERF_SAMPLE_DATA_PAGE_SIZE"), (0x0080_0000, "PERF_SAMPLE_CODE_PAGE_SIZE"),
        (0x0100_0000, "PERF_SAMPLE_WEIGHT_STRUCT"),
    ] },
    Set { name: "perf_format", unknown: "PERF_FORMAT_???", rows: &[
        (1, "PERF_FORMAT_TOTAL_TIME_ENABLED"), (2, "PERF_FORMAT_TOTAL_TIME_RUNNING"), (4, "PERF_FORMAT_ID"),
        (8, "PERF_FORMAT_GROUP"), (0x10, "PERF_FORMAT_LOST"),
    ] },
    Set { name: "perf_open", unknown: "PERF_FLAG_???", rows: &[
        (1, "PERF_FLAG_FD_NO_GROUP"), (2, "PERF_FLAG_FD_OUTPUT"), (4, "PERF_FLAG_PID_CGROUP"),
        (8, "PERF_FLAG_FD_CLOEXEC"),
    ] },
    Set { name: "io_uring_setup", unknown: "IORING_SETUP_???", rows: &[
        (1, "IORING_SETUP_IOPOLL"), (2, "IORING_SETUP_SQPOLL"), (4, "IORING_SETUP_SQ_AFF"), (8, "IORING_SETUP_CQSIZE"),
        (0x10, "IORING_SETUP_CLAMP"), (0x20, "IORING_SETUP_ATTACH_WQ"), (0x40, "IORING_SETUP_R_DISABLED"),
        (0x80, "IORING_SETUP_SUBMIT_ALL"), (0x100, "IORING_SETUP_COOP_TASKRUN"), (0x200, "IORING_SETUP_TASKRUN_FLAG"),
        (0x400, "IORING_SETUP_SQE128"), (0x800, "IORING_SETUP_CQE32"), (0x1000, "IORING_SETUP_SINGLE_ISSUER"),
        (0x2000, "IORING_SETUP_DEFER_TASKRUN"), (0x4000, "IORING_SETUP_NO_MMAP"),
        (0x8000, "IORING_SETUP_REGISTERED_FD_ONLY"), (0x10000, "IORING_SETUP_NO_SQARRAY"),
    ] },
    Set { name: "io_uring_features", unknown: "IORING_FEAT_???", rows: &[
        (1, "IORING_FEAT_SINGLE_MMAP"), (2, "IORING_FEAT_NODROP"), (4, "IORING_FEAT_SUBMIT_STABLE"),
        (8, "IORING_FEAT_RW_CUR_POS"), (0x10, "IORING_FEAT_CUR_PERSONALITY"), (0x20, "IORING_FEAT_FAST_POLL"),
        (0x40, "IORING_FEAT_POLL_32BITS"), (0x80, "IORING_FEAT_SQPOLL_NONFIXED"), (0x100, "IORING_FEAT_EXT_ARG"),
        (0x200, "IORING_FEAT_NATIVE_WORKERS"), (0x400, "IORING_FEAT_RSRC_TAGS"), (0x800, "IORING_FEAT_CQE_SKIP"),
        (0x1000, "IORING_FEAT_LINKED_FILE"), (0x2000, "IORING_FEAT_REG_REG_RING"),
        (0x4000, "IORING_FEAT_RECVSEND_BUNDLE"), (0x8000, "IORING_FEAT_MIN_TIMEOUT"),
    ] },
    Set { name: "io_uring_enter", unknown: "IORING_ENTER_???", rows: &[
        (1, "IORING_ENTER_GETEVENTS"), (2, "IORING_ENTER_SQ_WAKEUP"), (4, "IORING_ENTER_SQ_WAIT"),
        (8, "IORING_ENTER_EXT_ARG"), (0x10, "IORING_ENTER_REGISTERED_RING"),
    ] },
    Set { name: "io_uring_register", unknown: "IORING_REGISTER_???", rows: &[
        (0, "IORING_REGISTER_BUFFERS"), (1, "IORING_UNREGISTER_BUFFERS"), (2, "IORING_REGISTER_FILES"),
        (3, "IORING_UNREGISTER_FILES"), (4, "IORING_REGISTER_EVENTFD"), (5, "IORING_UNREGISTER_EVENTFD"),
        (6, "IORING_REGISTER_FILES_UPDATE"), (7, "IORING_REGISTER_EVENTFD_ASYNC"), (8, "IORING_REGISTER_PROBE"),
        (9, "IORING_REGISTER_PERSONALITY"), (0xa, "IORING_UNREGISTER_PERSONALITY"),
        (0xb, "IORING_REGISTER_RESTRICTIONS"), (0xc, "IORING_REGISTER_ENABLE_RINGS"),
        (0xd, "IORING_REGISTER_FILES2"), (0xe, "IORING_REGISTER_FILES_UPDATE2"), (0xf, "IORING_REGISTER_BUFFERS2"),
        (0x10, "IORING_REGISTER_BUFFERS_UPDATE"), (0x11, "IORING_REGISTER_IOWQ_AFF"),
        (0x12, "IORING_UNREGISTER_IOWQ_AFF"), (0x13, "IORING_REGISTER_IOWQ_MAX_WORKERS"),
        (0x14, "IORING_REGISTER_RING_FDS"), (0x15, "IORING_UNREGISTER_RING_FDS"), (0x16, "IORING_REGISTER_PBUF_RING"),
        (0x17, "IORING_UNREGISTER_PBUF_RING"), (0x18, "IORING_REGISTER_SYNC_CANCEL"),
        (0x19, "IORING_REGISTER_FILE_ALLOC_RANGE"),
    ] },
    Set { name: "iff", unknown: "IFF_???", rows: &[
        (1, "IFF_UP"), (2, "IFF_BROADCAST"), (4, "IFF_DEBUG"), (8, "IFF_LOOPBACK"), (0x10, "IFF_POINTOPOINT"),
        (0x20, "IFF_NOTRAILERS"), (0x40, "IFF_RUNNING"), (0x80, "IFF_NOARP"), (0x100, "IFF_PROMISC"),
        (0x200, "IFF_ALLMULTI"), (0x400, "IFF_MASTER"), (0x800, "IFF_SLAVE"), (0x1000, "IFF_MULTICAST"),
        (0x2000, "IFF_PORTSEL"), (0x4000, "IFF_AUTOMEDIA"), (0x8000, "IFF_DYNAMIC"),
    ] },
    Set { name: "loop", unknown: "LO_FLAGS_???", rows: &[
        (1, "LO_FLAGS_READ_ONLY"), (4, "LO_FLAGS_AUTOCLEAR"), (8, "LO_FLAGS_PARTSCAN"), (0x10, "LO_FLAGS_DIRECT_IO"),
    ] },
];
