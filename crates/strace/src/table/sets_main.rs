//! Names of numbers in arguments of system calls (`linux/*.h`, `asm-generic/*.h`, x86-64).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "open", unknown: "O_???", rows: &[
        (0x40, "O_CREAT"), (0x80, "O_EXCL"), (0x100, "O_NOCTTY"), (0x200, "O_TRUNC"), (0x400, "O_APPEND"),
        (0x800, "O_NONBLOCK"), (0x101000, "O_SYNC"), (0x1000, "O_DSYNC"), (0x100000, "__O_SYNC"),
        (0x4000, "O_DIRECT"), (0x8000, "O_LARGEFILE"), (0x20000, "O_NOFOLLOW"), (0x40000, "O_NOATIME"),
        (0x80000, "O_CLOEXEC"), (0x200000, "O_PATH"), (0x410000, "O_TMPFILE"), (0x10000, "O_DIRECTORY"),
        (0x400000, "__O_TMPFILE"), (0x2000, "FASYNC"),
    ] },
    Set { name: "access", unknown: "?_OK", rows: &[
        (0, "F_OK"), (4, "R_OK"), (2, "W_OK"), (1, "X_OK"),
    ] },
    Set { name: "prot", unknown: "PROT_???", rows: &[
        (0, "PROT_NONE"), (1, "PROT_READ"), (2, "PROT_WRITE"), (4, "PROT_EXEC"), (8, "PROT_SEM"),
        (0x1000000, "PROT_GROWSDOWN"), (0x2000000, "PROT_GROWSUP"),
    ] },
    Set { name: "map", unknown: "MAP_???", rows: &[
        (0x10, "MAP_FIXED"), (0x20, "MAP_ANONYMOUS"), (0x40, "MAP_32BIT"), (0x4000, "MAP_NORESERVE"),
        (0x8000, "MAP_POPULATE"), (0x10000, "MAP_NONBLOCK"), (0x100, "MAP_GROWSDOWN"), (0x800, "MAP_DENYWRITE"),
        (0x1000, "MAP_EXECUTABLE"), (0x2000, "MAP_LOCKED"), (0x20000, "MAP_STACK"), (0x40000, "MAP_HUGETLB"),
        (0x80000, "MAP_SYNC"), (0x100000, "MAP_FIXED_NOREPLACE"),
    ] },
    Set { name: "map_type", unknown: "MAP_???", rows: &[
        (0, "MAP_FILE"), (1, "MAP_SHARED"), (2, "MAP_PRIVATE"), (3, "MAP_SHARED_VALIDATE"),
    ] },
    Set { name: "mremap", unknown: "MREMAP_???", rows: &[
        (1, "MREMAP_MAYMOVE"), (2, "MREMAP_FIXED"), (4, "MREMAP_DONTUNMAP"),
    ] },
    Set { name: "msync", unknown: "MS_???", rows: &[
        (4, "MS_SYNC"), (1, "MS_ASYNC"), (2, "MS_INVALIDATE"),
    ] },
    Set { name: "madvise", unknown: "MADV_???", rows: &[
        (0, "MADV_NORMAL"), (1, "MADV_RANDOM"), (2, "MADV_SEQUENTIAL"), (3, "MADV_WILLNEED"), (4, "MADV_DONTNEED"),
        (8, "MADV_FREE"), (9, "MADV_REMOVE"), (0xa, "MADV_DONTFORK"), (0xb, "MADV_DOFORK"), (0xc, "MADV_MERGEABLE"),
        (0xd, "MADV_UNMERGEABLE"), (0xe, "MADV_HUGEPAGE"), (0xf, "MADV_NOHUGEPAGE"), (0x10, "MADV_DONTDUMP"),
        (0x11, "MADV_DODUMP"), (0x12, "MADV_WIPEONFORK"), (0x13, "MADV_KEEPONFORK"), (0x14, "MADV_COLD"),
        (0x15, "MADV_PAGEOUT"), (0x16, "MADV_POPULATE_READ"), (0x17, "MADV_POPULATE_WRITE"),
        (0x18, "MADV_DONTNEED_LOCKED"), (0x19, "MADV_COLLAPSE"), (0x64, "MADV_HWPOISON"), (0x65, "MADV_SOFT_OFFLINE"),
    ] },
    Set { name: "mlock2", unknown: "MLOCK_???", rows: &[
        (1, "MLOCK_ONFAULT"),
    ] },
    Set { name: "mlockall", unknown: "MCL_???", rows: &[
        (1, "MCL_CURRENT"), (2, "MCL_FUTURE"), (4, "MCL_ONFAULT"),
    ] },
    Set { name: "whence", unknown: "SEEK_???", rows: &[
        (0, "SEEK_SET"), (1, "SEEK_CUR"), (2, "SEEK_END"), (3, "SEEK_DATA"), (4, "SEEK_HOLE"),
    ] },
    Set { name: "at", unknown: "AT_???", rows: &[
        (0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_REMOVEDIR"), (0x400, "AT_SYMLINK_FOLLOW"),
        (0x800, "AT_NO_AUTOMOUNT"), (0x1000, "AT_EMPTY_PATH"), (0x8000, "AT_RECURSIVE"),
    ] },
    Set { name: "faccessat", unknown: "AT_???", rows: &[
        (0x100, "AT_SYMLINK_NOFOLLOW"), (0x200, "AT_EACCESS"), (0x1000, "AT_EMPTY_PATH"),
    ] },
    Set { name: "statx_flags", unknown: "AT_???", rows: &[
        (0, "AT_STATX_SYNC_AS_STAT"), (0x2000, "AT_STATX_FORCE_SYNC"), (0x4000, "AT_STATX_DONT_SYNC"),
    ] },
    Set { name: "statx_mask", unknown: "STATX_???", rows: &[
        (0xfff, "STATX_ALL"), (0x7ff, "STATX_BASIC_STATS"), (1, "STATX_TYPE"), (2, "STATX_MODE"), (4, "STATX_NLINK"),
        (8, "STATX_UID"), (0x10, "STATX_GID"), (0x20, "STATX_ATIME"), (0x40, "STATX_MTIME"), (0x80, "STATX_CTIME"),
        (0x100, "STATX_INO"), (0x200, "STATX_SIZE"), (0x400, "STATX_BLOCKS"), (0x800, "STATX_BTIME"),
        (0x1000, "STATX_MNT_ID"), (0x2000, "STATX_DIOALIGN"),
    ] },
    Set { name: "statx_attr", unknown: "STATX_ATTR_???", rows: &[
        (4, "STATX_ATTR_COMPRESSED"), (0x10, "STATX_ATTR_IMMUTABLE"), (0x20, "STATX_ATTR_APPEND"),
        (0x40, "STATX_ATTR_NODUMP"), (0x800, "STATX_ATTR_ENCRYPTED"), (0x1000, "STATX_ATTR_AUTOMOUNT"),
        (0x2000, "STATX_ATTR_MOUNT_ROOT"), (0x100000, "STATX_ATTR_VERITY"), (0x200000, "STATX_ATTR_DAX"),
    ] },
    Set { name: "clone", unknown: "CLONE_???", rows: &[
        (0x100, "CLONE_VM"), (0x200, "CLONE_FS"), (0x400, "CLONE_FILES"), (0x800, "CLONE_SIGHAND"),
        (0x1000, "CLONE_PIDFD"), (0x2000, "CLONE_PTRACE"), (0x4000, "CLONE_VFORK"), (0x8000, "CLONE_PARENT"),
        (0x10000, "CLONE_THREAD"), (0x20000, "CLONE_NEWNS"), (0x40000, "CLONE_SYSVSEM"), (0x80000, "CLONE_SETTLS"),
        (0x100000, "CLONE_PARENT_SETTID"), (0x200000, "CLONE_CHILD_CLEARTID"), (0x400000, "CLONE_DETACHED"),
        (0x800000, "CLONE_UNTRACED"), (0x1000000, "CLONE_CHILD_SETTID"), (0x2000000, "CLONE_NEWCGROUP"),
        (0x4000000, "CLONE_NEWUTS"), (0x8000000, "CLONE_NEWIPC"), (0x10000000, "CLONE_NEWUSER"),
        (0x20000000, "CLONE_NEWPID"), (0x40000000, "CLONE_NEWNET"), (0x80000000, "CLONE_IO"),
        (0, "CLONE_CLEAR_SIGHAND"), (0, "CLONE_INTO_CGROUP"),
    ] },
    Set { name: "wait", unknown: "W???", rows: &[
        (1, "WNOHANG"), (4, "WEXITED"), (2, "WSTOPPED"), (8, "WCONTINUED"), (0x1000000, "WNOWAIT"),
        (0x80000000, "__WCLONE"), (0x40000000, "__WALL"), (0x20000000, "__WNOTHREAD"),
    ] },
    Set { name: "waitid", unknown: "P_???", rows: &[
        (0, "P_ALL"), (1, "P_PID"), (2, "P_PGID"), (3, "P_PIDFD"),
    ] },
    Set { name: "sighow", unknown: "SIG_???", rows: &[
        (0, "SIG_BLOCK"), (1, "SIG_UNBLOCK"), (2, "SIG_SETMASK"),
    ] },
    Set { name: "sa", unknown: "SA_???", rows: &[
        (0x4000000, "SA_RESTORER"), (1, "SA_NOCLDSTOP"), (2, "SA_NOCLDWAIT"), (4, "SA_SIGINFO"),
        (0x8000000, "SA_ONSTACK"), (0x10000000, "SA_RESTART"), (0x40000000, "SA_NODEFER"),
        (0x80000000, "SA_RESETHAND"),
    ] },
    Set { name: "sigaltstack", unknown: "SS_???", rows: &[
        (1, "SS_ONSTACK"), (2, "SS_DISABLE"), (0x80000000, "SS_AUTODISARM"),
    ] },
    Set { name: "fcntl", unknown: "F_???", rows: &[
        (0, "F_DUPFD"), (1, "F_GETFD"), (2, "F_SETFD"), (3, "F_GETFL"), (4, "F_SETFL"), (5, "F_GETLK"),
        (6, "F_SETLK"), (7, "F_SETLKW"), (8, "F_SETOWN"), (9, "F_GETOWN"), (0xa, "F_SETSIG"), (0xb, "F_GETSIG"),
        (0xf, "F_SETOWN_EX"), (0x10, "F_GETOWN_EX"), (0x11, "F_GETOWNER_UIDS"), (0x24, "F_OFD_GETLK"),
        (0x25, "F_OFD_SETLK"), (0x26, "F_OFD_SETLKW"), (0x400, "F_SETLEASE"), (0x401, "F_GETLEASE"),
        (0x402, "F_NOTIFY"), (0x405, "F_CANCELLK"), (0x406, "F_DUPFD_CLOEXEC"), (0x407, "F_SETPIPE_SZ"),
        (0x408, "F_GETPIPE_SZ"), (0x409, "F_ADD_SEALS"), (0x40a, "F_GET_SEALS"), (0x40b, "F_GET_RW_HINT"),
        (0x40c, "F_SET_RW_HINT"), (0x40d, "F_GET_FILE_RW_HINT"), (0x40e, "F_SET_FILE_RW_HINT"),
    ] },
    Set { name: "fdflags", unknown: "FD_???", rows: &[
        (1, "FD_CLOEXEC"),
    ] },
    Set { name: "lock", unknown: "F_???", rows: &[
        (0, "F_RDLCK"), (1, "F_WRLCK"), (2, "F_UNLCK"),
    ] },
    Set { name: "seals", unknown: "F_SEAL_???", rows: &[
        (1, "F_SEAL_SEAL"), (2, "F_SEAL_SHRINK"), (4, "F_SEAL_GROW"), (8, "F_SEAL_WRITE"),
        (0x10, "F_SEAL_FUTURE_WRITE"), (0x20, "F_SEAL_EXEC"),
    ] },
    Set { name: "flock", unknown: "LOCK_???", rows: &[
        (1, "LOCK_SH"), (2, "LOCK_EX"), (4, "LOCK_NB"), (8, "LOCK_UN"), (0x20, "LOCK_MAND"), (0xc0, "LOCK_RW"),
        (0x40, "LOCK_READ"), (0x80, "LOCK_WRITE"),
    ] },
    Set { name: "epoll_ctl", unknown: "EPOLL_CTL_???", rows: &[
        (1, "EPOLL_CTL_ADD"), (2, "EPOLL_CTL_DEL"), (3, "EPOLL_CTL_MOD"),
    ] },
    Set { name: "epoll", unknown: "EPOLL???", rows: &[
        (1, "EPOLLIN"), (2, "EPOLLPRI"), (4, "EPOLLOUT"), (8, "EPOLLERR"), (0x10, "EPOLLHUP"), (0x40, "EPOLLRDNORM"),
        (0x80, "EPOLLRDBAND"), (0x100, "EPOLLWRNORM"), (0x200, "EPOLLWRBAND"), (0x400, "EPOLLMSG"),
        (0x2000, "EPOLLRDHUP"), (0x10000000, "EPOLLEXCLUSIVE"), (0x20000000, "EPOLLWAKEUP"),
        (0x40000000, "EPOLLONESHOT"), (0x80000000, "EPOLLET"),
    ] },
    Set { name: "epoll_create", unknown: "EPOLL_???", rows: &[
        (0x80000, "EPOLL_CLOEXEC"),
    ] },
    Set { name: "poll", unknown: "POLL???", rows: &[
        (1, "POLLIN"), (2, "POLLPRI"), (4, "POLLOUT"), (8, "POLLERR"), (0x10, "POLLHUP"), (0x20, "POLLNVAL"),
        (0x40, "POLLRDNORM"), (0x80, "POLLRDBAND"), (0x100, "POLLWRNORM"), (0x200, "POLLWRBAND"), (0x400, "POLLMSG"),
        (0x1000, "POLLREMOVE"), (0x2000, "POLLRDHUP"),
    ] },
    Set { name: "futex", unknown: "FUTEX_???", rows: &[
        (0, "FUTEX_WAIT"), (1, "FUTEX_WAKE"), (2, "FUTEX_FD"), (3, "FUTEX_REQUEUE"), (4, "FUTEX_CMP_REQUEUE"),
        (5, "FUTEX_WAKE_OP"), (6, "FUTEX_LOCK_PI"), (7, "FUTEX_UNLOCK_PI"), (8, "FUTEX_TRYLOCK_PI"),
        (9, "FUTEX_WAIT_BITSET"), (0xa, "FUTEX_WAKE_BITSET"), (0xb, "FUTEX_WAIT_REQUEUE_PI"),
        (0xc, "FUTEX_CMP_REQUEUE_PI"), (0xd, "FUTEX_LOCK_PI2"),
    ] },
    Set { name: "futex_flags", unknown: "FUTEX_???", rows: &[
        (0x80, "FUTEX_PRIVATE_FLAG"), (0x100, "FUTEX_CLOCK_REALTIME"),
    ] },
    Set { name: "clock", unknown: "CLOCK_???", rows: &[
        (0, "CLOCK_REALTIME"), (1, "CLOCK_MONOTONIC"), (2, "CLOCK_PROCESS_CPUTIME_ID"),
        (3, "CLOCK_THREAD_CPUTIME_ID"), (4, "CLOCK_MONOTONIC_RAW"), (5, "CLOCK_REALTIME_COARSE"),
        (6, "CLOCK_MONOTONIC_COARSE"), (7, "CLOCK_BOOTTIME"), (8, "CLOCK_REALTIME_ALARM"),
        (9, "CLOCK_BOOTTIME_ALARM"), (0xa, "CLOCK_SGI_CYCLE"), (0xb, "CLOCK_TAI"),
    ] },
    Set { name: "timer", unknown: "TIMER_???", rows: &[
        (1, "TIMER_ABSTIME"),
    ] },
    Set { name: "timerfd", unknown: "TFD_???", rows: &[
        (1, "TFD_TIMER_ABSTIME"), (2, "TFD_TIMER_CANCEL_ON_SET"), (0x80000, "TFD_CLOEXEC"), (0x800, "TFD_NONBLOCK"),
    ] },
    Set { name: "itimer", unknown: "ITIMER_???", rows: &[
        (0, "ITIMER_REAL"), (1, "ITIMER_VIRTUAL"), (2, "ITIMER_PROF"),
    ] },
    Set { name: "rlimit", unknown: "RLIMIT_???", rows: &[
        (0, "RLIMIT_CPU"), (1, "RLIMIT_FSIZE"), (2, "RLIMIT_DATA"), (3, "RLIMIT_STACK"), (4, "RLIMIT_CORE"),
        (5, "RLIMIT_RSS"), (6, "RLIMIT_NPROC"), (7, "RLIMIT_NOFILE"), (8, "RLIMIT_MEMLOCK"), (9, "RLIMIT_AS"),
        (0xa, "RLIMIT_LOCKS"), (0xb, "RLIMIT_SIGPENDING"), (0xc, "RLIMIT_MSGQUEUE"), (0xd, "RLIMIT_NICE"),
        (0xe, "RLIMIT_RTPRIO"), (0xf, "RLIMIT_RTTIME"),
    ] },
    Set { name: "rusage", unknown: "RUSAGE_???", rows: &[
        (0, "RUSAGE_SELF"), (0xffffffff, "RUSAGE_CHILDREN"), (1, "RUSAGE_THREAD"),
    ] },
    Set { name: "prio", unknown: "PRIO_???", rows: &[
        (0, "PRIO_PROCESS"), (1, "PRIO_PGRP"), (2, "PRIO_USER"),
    ] },
    Set { name: "grnd", unknown: "GRND_???", rows: &[
        (1, "GRND_NONBLOCK"), (2, "GRND_RANDOM"), (4, "GRND_INSECURE"),
    ] },
    Set { name: "eventfd", unknown: "EFD_???", rows: &[
        (1, "EFD_SEMAPHORE"), (0x80000, "EFD_CLOEXEC"), (0x800, "EFD_NONBLOCK"),
    ] },
    Set { name: "signalfd", unknown: "SFD_???", rows: &[
        (0x80000, "SFD_CLOEXEC"), (0x800, "SFD_NONBLOCK"),
    ] },
    Set { name: "inotify_init", unknown: "IN_???", rows: &[
        (0x800, "IN_NONBLOCK"), (0x80000, "IN_CLOEXEC"),
    ] },
    Set { name: "inotify", unknown: "IN_???", rows: &[
        (1, "IN_ACCESS"), (2, "IN_MODIFY"), (4, "IN_ATTRIB"), (8, "IN_CLOSE_WRITE"), (0x10, "IN_CLOSE_NOWRITE"),
        (0x20, "IN_OPEN"), (0x40, "IN_MOVED_FROM"), (0x80, "IN_MOVED_TO"), (0x100, "IN_CREATE"), (0x200, "IN_DELETE"),
        (0x400, "IN_DELETE_SELF"), (0x800, "IN_MOVE_SELF"), (0x2000, "IN_UNMOUNT"), (0x4000, "IN_Q_OVERFLOW"),
        (0x8000, "IN_IGNORED"), (0x1000000, "IN_ONLYDIR"), (0x2000000, "IN_DONT_FOLLOW"),
        (0x4000000, "IN_EXCL_UNLINK"), (0x10000000, "IN_MASK_CREATE"), (0x20000000, "IN_MASK_ADD"),
        (0x40000000, "IN_ISDIR"), (0x80000000, "IN_ONESHOT"),
    ] },
    Set { name: "memfd", unknown: "MFD_???", rows: &[
        (1, "MFD_CLOEXEC"), (2, "MFD_ALLOW_SEALING"), (4, "MFD_HUGETLB"),
    ] },
    Set { name: "rename", unknown: "RENAME_??", rows: &[
        (1, "RENAME_NOREPLACE"), (2, "RENAME_EXCHANGE"), (4, "RENAME_WHITEOUT"),
    ] },
    Set { name: "xattr", unknown: "XATTR_???", rows: &[
        (1, "XATTR_CREATE"), (2, "XATTR_REPLACE"),
    ] },
    Set { name: "fallocate", unknown: "FALLOC_FL_???", rows: &[
        (1, "FALLOC_FL_KEEP_SIZE"), (2, "FALLOC_FL_PUNCH_HOLE"), (4, "FALLOC_FL_NO_HIDE_STALE"),
        (8, "FALLOC_FL_COLLAPSE_RANGE"), (0x10, "FALLOC_FL_ZERO_RANGE"), (0x20, "FALLOC_FL_INSERT_RANGE"),
        (0x40, "FALLOC_FL_UNSHARE_RANGE"),
    ] },
    Set { name: "fadvise", unknown: "POSIX_FADV_???", rows: &[
        (0, "POSIX_FADV_NORMAL"), (1, "POSIX_FADV_RANDOM"), (2, "POSIX_FADV_SEQUENTIAL"), (3, "POSIX_FADV_WILLNEED"),
        (4, "POSIX_FADV_DONTNEED"), (5, "POSIX_FADV_NOREUSE"),
    ] },
    Set { name: "splice", unknown: "SPLICE_F_???", rows: &[
        (1, "SPLICE_F_MOVE"), (2, "SPLICE_F_NONBLOCK"), (4, "SPLICE_F_MORE"), (8, "SPLICE_F_GIFT"),
    ] },
    Set { name: "sync_file_range", unknown: "SYNC_FILE_RANGE_???", rows: &[
        (1, "SYNC_FILE_RANGE_WAIT_BEFORE"), (2, "SYNC_FILE_RANGE_WRITE"), (4, "SYNC_FILE_RANGE_WAIT_AFTER"),
    ] },
    Set { name: "sched", unknown: "SCHED_???", rows: &[
        (0, "SCHED_OTHER"), (1, "SCHED_FIFO"), (2, "SCHED_RR"), (3, "SCHED_BATCH"), (4, "SCHED_ISO"),
        (5, "SCHED_IDLE"), (6, "SCHED_DEADLINE"),
    ] },
    Set { name: "rseq", unknown: "RSEQ_FLAG_???", rows: &[
        (1, "RSEQ_FLAG_UNREGISTER"),
    ] },
    Set { name: "bpf", unknown: "BPF_???", rows: &[
        (0, "BPF_MAP_CREATE"), (1, "BPF_MAP_LOOKUP_ELEM"), (2, "BPF_MAP_UPDATE_ELEM"), (3, "BPF_MAP_DELETE_ELEM"),
        (4, "BPF_MAP_GET_NEXT_KEY"), (5, "BPF_PROG_LOAD"), (6, "BPF_OBJ_PIN"), (7, "BPF_OBJ_GET"),
        (8, "BPF_PROG_ATTACH"), (9, "BPF_PROG_DETACH"), (0xa, "BPF_PROG_TEST_RUN"), (0xb, "BPF_PROG_GET_NEXT_ID"),
        (0xc, "BPF_MAP_GET_NEXT_ID"), (0xd, "BPF_PROG_GET_FD_BY_ID"), (0xe, "BPF_MAP_GET_FD_BY_ID"),
        (0xf, "BPF_OBJ_GET_INFO_BY_FD"), (0x10, "BPF_PROG_QUERY"), (0x11, "BPF_RAW_TRACEPOINT_OPEN"),
        (0x12, "BPF_BTF_LOAD"), (0x13, "BPF_BTF_GET_FD_BY_ID"), (0x14, "BPF_TASK_FD_QUERY"),
        (0x15, "BPF_MAP_LOOKUP_AND_DELETE_ELEM"), (0x16, "BPF_MAP_FREEZE"), (0x17, "BPF_BTF_GET_NEXT_ID"),
        (0x18, "BPF_MAP_LOOKUP_BATCH"), (0x19, "BPF_MAP_LOOKUP_AND_DELETE_BATCH"), (0x1a, "BPF_MAP_UPDATE_BATCH"),
        (0x1b, "BPF_MAP_DELETE_BATCH"), (0x1c, "BPF_LINK_CREATE"), (0x1d, "BPF_LINK_UPDATE"),
        (0x1e, "BPF_LINK_GET_FD_BY_ID"), (0x1f, "BPF_LINK_GET_NEXT_ID"), (0x20, "BPF_ENABLE_STATS"),
        (0x21, "BPF_ITER_CREATE"), (0x22, "BPF_LINK_DETACH"), (0x23, "BPF_PROG_BIND_MAP"),
    ] },
    Set { name: "ipc_cmd", unknown: "IPC_???", rows: &[
        (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"),
    ] },
    Set { name: "close_range", unknown: "CLOSE_RANGE_???", rows: &[
        (2, "CLOSE_RANGE_UNSHARE"), (4, "CLOSE_RANGE_CLOEXEC"),
    ] },
    Set { name: "pidfd_open", unknown: "PIDFD_???", rows: &[
        (0x800, "PIDFD_NONBLOCK"),
    ] },
    Set { name: "mode_type", unknown: "S_???", rows: &[
        (0xc000, "S_IFSOCK"), (0xa000, "S_IFLNK"), (0x8000, "S_IFREG"), (0x6000, "S_IFBLK"), (0x4000, "S_IFDIR"),
        (0x2000, "S_IFCHR"), (0x1000, "S_IFIFO"),
    ] },
];
