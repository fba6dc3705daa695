//! Names of numbers around processes, memory and the machine (`linux/prctl.h`, `linux/ptrace.h`, `linux/personality.h`,
//! `linux/mempolicy.h`, `linux/kexec.h`, `linux/reboot.h`, `linux/timex.h`).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "prctl", unknown: "PR_???", rows: &[
        (1, "PR_SET_PDEATHSIG"), (2, "PR_GET_PDEATHSIG"), (3, "PR_GET_DUMPABLE"), (4, "PR_SET_DUMPABLE"),
        (5, "PR_GET_UNALIGN"), (6, "PR_SET_UNALIGN"), (7, "PR_GET_KEEPCAPS"), (8, "PR_SET_KEEPCAPS"),
        (9, "PR_GET_FPEMU"), (0xa, "PR_SET_FPEMU"), (0xb, "PR_GET_FPEXC"), (0xc, "PR_SET_FPEXC"),
        (0xd, "PR_GET_TIMING"), (0xe, "PR_SET_TIMING"), (0xf, "PR_SET_NAME"), (0x10, "PR_GET_NAME"),
        (0x13, "PR_GET_ENDIAN"), (0x14, "PR_SET_ENDIAN"), (0x15, "PR_GET_SECCOMP"), (0x16, "PR_SET_SECCOMP"),
        (0x17, "PR_CAPBSET_READ"), (0x18, "PR_CAPBSET_DROP"), (0x19, "PR_GET_TSC"), (0x1a, "PR_SET_TSC"),
        (0x1b, "PR_GET_SECUREBITS"), (0x1c, "PR_SET_SECUREBITS"), (0x1d, "PR_SET_TIMERSLACK"),
        (0x1e, "PR_GET_TIMERSLACK"), (0x1f, "PR_TASK_PERF_EVENTS_DISABLE"), (0x20, "PR_TASK_PERF_EVENTS_ENABLE"),
        (0x21, "PR_MCE_KILL"), (0x22, "PR_MCE_KILL_GET"), (0x23, "PR_SET_MM"), (0x24, "PR_SET_CHILD_SUBREAPER"),
        (0x25, "PR_GET_CHILD_SUBREAPER"), (0x26, "PR_SET_NO_NEW_PRIVS"), (0x27, "PR_GET_NO_NEW_PRIVS"),
        (0x28, "PR_GET_TID_ADDRESS"), (0x29, "PR_SET_THP_DISABLE"), (0x2a, "PR_GET_THP_DISABLE"),
        (0x2b, "PR_MPX_ENABLE_MANAGEMENT"), (0x2c, "PR_MPX_DISABLE_MANAGEMENT"), (0x2d, "PR_SET_FP_MODE"),
        (0x2e, "PR_GET_FP_MODE"), (0x2f, "PR_CAP_AMBIENT"), (0x32, "PR_SVE_SET_VL"), (0x33, "PR_SVE_GET_VL"),
        (0x34, "PR_GET_SPECULATION_CTRL"), (0x35, "PR_SET_SPECULATION_CTRL"), (0x36, "PR_PAC_RESET_KEYS"),
        (0x37, "PR_SET_TAGGED_ADDR_CTRL"), (0x38, "PR_GET_TAGGED_ADDR_CTRL"), (0x39, "PR_SET_IO_FLUSHER"),
        (0x3a, "PR_GET_IO_FLUSHER"), (0x3b, "PR_SET_SYSCALL_USER_DISPATCH"), (0x3c, "PR_PAC_SET_ENABLED_KEYS"),
        (0x3d, "PR_PAC_GET_ENABLED_KEYS"), (0x3e, "PR_SCHED_CORE"), (0x3f, "PR_SME_SET_VL"), (0x40, "PR_SME_GET_VL"),
        (0x53564d41, "PR_SET_VMA"), (0x59616d61, "PR_SET_PTRACER"),
    ] },
    Set { name: "pr_mm", unknown: "PR_SET_MM_???", rows: &[
        (1, "PR_SET_MM_START_CODE"), (2, "PR_SET_MM_END_CODE"), (3, "PR_SET_MM_START_DATA"),
        (4, "PR_SET_MM_END_DATA"), (5, "PR_SET_MM_START_STACK"), (6, "PR_SET_MM_START_BRK"), (7, "PR_SET_MM_BRK"),
        (8, "PR_SET_MM_ARG_START"), (9, "PR_SET_MM_ARG_END"), (0xa, "PR_SET_MM_ENV_START"),
        (0xb, "PR_SET_MM_ENV_END"), (0xc, "PR_SET_MM_AUXV"), (0xd, "PR_SET_MM_EXE_FILE"), (0xe, "PR_SET_MM_MAP"),
        (0xf, "PR_SET_MM_MAP_SIZE"),
    ] },
    Set { name: "pr_spec", unknown: "PR_SPEC_???", rows: &[
        (0, "PR_SPEC_STORE_BYPASS"), (1, "PR_SPEC_INDIRECT_BRANCH"), (2, "PR_SPEC_L1D_FLUSH"),
    ] },
    Set { name: "pr_spec_set", unknown: "PR_SPEC_???", rows: &[
        (2, "PR_SPEC_ENABLE"), (4, "PR_SPEC_DISABLE"), (8, "PR_SPEC_FORCE_DISABLE"), (0x10, "PR_SPEC_DISABLE_NOEXEC"),
    ] },
    Set { name: "pr_mce", unknown: "PR_MCE_KILL_???", rows: &[
        (0, "PR_MCE_KILL_CLEAR"), (1, "PR_MCE_KILL_SET"),
    ] },
    Set { name: "pr_mce_set", unknown: "PR_MCE_KILL_???", rows: &[
        (0, "PR_MCE_KILL_LATE"), (1, "PR_MCE_KILL_EARLY"), (2, "PR_MCE_KILL_DEFAULT"),
    ] },
    Set { name: "pr_ambient", unknown: "PR_CAP_AMBIENT_???", rows: &[
        (1, "PR_CAP_AMBIENT_IS_SET"), (2, "PR_CAP_AMBIENT_RAISE"), (3, "PR_CAP_AMBIENT_LOWER"),
        (4, "PR_CAP_AMBIENT_CLEAR_ALL"),
    ] },
    Set { name: "pr_dispatch", unknown: "PR_SYS_DISPATCH_???", rows: &[
        (0, "PR_SYS_DISPATCH_OFF"), (1, "PR_SYS_DISPATCH_ON"),
    ] },
    Set { name: "pr_core", unknown: "PR_SCHED_CORE_???", rows: &[
        (0, "PR_SCHED_CORE_GET"), (1, "PR_SCHED_CORE_CREATE"), (2, "PR_SCHED_CORE_SHARE_TO"),
        (3, "PR_SCHED_CORE_SHARE_FROM"),
    ] },
    Set { name: "pid_type", unknown: "PIDTYPE_???", rows: &[
        (0, "PIDTYPE_PID"), (1, "PIDTYPE_TGID"), (2, "PIDTYPE_PGID"), (3, "PIDTYPE_SID"),
    ] },
    Set { name: "pr_vma", unknown: "PR_SET_VMA_???", rows: &[
        (0, "PR_SET_VMA_ANON_NAME"),
    ] },
    Set { name: "pr_seccomp", unknown: "SECCOMP_MODE_???", rows: &[
        (0, "SECCOMP_MODE_DISABLED"), (1, "SECCOMP_MODE_STRICT"), (2, "SECCOMP_MODE_FILTER"),
    ] },
    Set { name: "pr_tsc", unknown: "PR_TSC_???", rows: &[
        (1, "PR_TSC_ENABLE"), (2, "PR_TSC_SIGSEGV"),
    ] },
    Set { name: "pr_dump", unknown: "SUID_DUMP_???", rows: &[
        (0, "SUID_DUMP_DISABLE"), (1, "SUID_DUMP_USER"), (2, "SUID_DUMP_ROOT"),
    ] },
    Set { name: "pr_securebits", unknown: "SECBIT_???", rows: &[
        (1, "SECBIT_NOROOT"), (2, "SECBIT_NOROOT_LOCKED"), (4, "SECBIT_NO_SETUID_FIXUP"),
        (8, "SECBIT_NO_SETUID_FIXUP_LOCKED"), (0x10, "SECBIT_KEEP_CAPS"), (0x20, "SECBIT_KEEP_CAPS_LOCKED"),
        (0x40, "SECBIT_NO_CAP_AMBIENT_RAISE"), (0x80, "SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED"),
    ] },
    Set { name: "pr_pac", unknown: "PR_PAC_???", rows: &[
        (1, "PR_PAC_APIAKEY"), (2, "PR_PAC_APIBKEY"), (4, "PR_PAC_APDAKEY"), (8, "PR_PAC_APDBKEY"),
        (0x10, "PR_PAC_APGAKEY"),
    ] },
    Set { name: "pr_fp", unknown: "PR_FP_MODE_???", rows: &[
        (1, "PR_FP_MODE_FR"), (2, "PR_FP_MODE_FRE"),
    ] },
    Set { name: "pr_unalign", unknown: "PR_UNALIGN_???", rows: &[
        (1, "PR_UNALIGN_NOPRINT"), (2, "PR_UNALIGN_SIGBUS"),
    ] },
    Set { name: "pr_sve", unknown: "PR_SVE_???", rows: &[
        (0x40000, "PR_SVE_SET_VL_ONEXEC"), (0x20000, "PR_SVE_VL_INHERIT"),
    ] },
    Set { name: "pr_spec_result", unknown: "PR_SPEC_???", rows: &[
        (1, "PR_SPEC_PRCTL"), (2, "PR_SPEC_ENABLE"), (4, "PR_SPEC_DISABLE"), (8, "PR_SPEC_FORCE_DISABLE"),
        (0x10, "PR_SPEC_DISABLE_NOEXEC"),
    ] },
    Set { name: "arch_prctl", unknown: "ARCH_???", rows: &[
        (0x1001, "ARCH_SET_GS"), (0x1002, "ARCH_SET_FS"), (0x1003, "ARCH_GET_FS"), (0x1004, "ARCH_GET_GS"),
        (0x1011, "ARCH_GET_CPUID"), (0x1012, "ARCH_SET_CPUID"), (0x1021, "ARCH_GET_XCOMP_SUPP"),
        (0x1022, "ARCH_GET_XCOMP_PERM"), (0x1023, "ARCH_REQ_XCOMP_PERM"), (0x1024, "ARCH_GET_XCOMP_GUEST_PERM"),
        (0x1025, "ARCH_REQ_XCOMP_GUEST_PERM"), (0x2001, "ARCH_MAP_VDSO_X32"), (0x2002, "ARCH_MAP_VDSO_32"),
        (0x2003, "ARCH_MAP_VDSO_64"),
    ] },
    Set { name: "ptrace", unknown: "PTRACE_???", rows: &[
        (0, "PTRACE_TRACEME"), (1, "PTRACE_PEEKTEXT"), (2, "PTRACE_PEEKDATA"), (3, "PTRACE_PEEKUSER"),
        (4, "PTRACE_POKETEXT"), (5, "PTRACE_POKEDATA"), (6, "PTRACE_POKEUSER"), (7, "PTRACE_CONT"),
        (8, "PTRACE_KILL"), (9, "PTRACE_SINGLESTEP"), (0xc, "PTRACE_GETREGS"), (0xd, "PTRACE_SETREGS"),
        (0xe, "PTRACE_GETFPREGS"), (0xf, "PTRACE_SETFPREGS"), (0x10, "PTRACE_ATTACH"), (0x11, "PTRACE_DETACH"),
        (0x12, "PTRACE_GETFPXREGS"), (0x13, "PTRACE_SETFPXREGS"), (0x15, "PTRACE_OLDSETOPTIONS"),
        (0x18, "PTRACE_SYSCALL"), (0x19, "PTRACE_GET_THREAD_AREA"), (0x1a, "PTRACE_SET_THREAD_AREA"),
        (0x1e, "PTRACE_ARCH_PRCTL"), (0x1f, "PTRACE_SYSEMU"), (0x20, "PTRACE_SYSEMU_SINGLESTEP"),
        (0x21, "PTRACE_SINGLEBLOCK"), (0x4200, "PTRACE_SETOPTIONS"), (0x4201, "PTRACE_GETEVENTMSG"),
        (0x4202, "PTRACE_GETSIGINFO"), (0x4203, "PTRACE_SETSIGINFO"), (0x4204, "PTRACE_GETREGSET"),
        (0x4205, "PTRACE_SETREGSET"), (0x4206, "PTRACE_SEIZE"), (0x4207, "PTRACE_INTERRUPT"),
        (0x4208, "PTRACE_LISTEN"), (0x4209, "PTRACE_PEEKSIGINFO"), (0x420a, "PTRACE_GETSIGMASK"),
        (0x420b, "PTRACE_SETSIGMASK"), (0x420c, "PTRACE_SECCOMP_GET_FILTER"), (0x420d, "PTRACE_SECCOMP_GET_METADATA"),
        (0x420e, "PTRACE_GET_SYSCALL_INFO"), (0x420f, "PTRACE_GET_RSEQ_CONFIGURATION"),
    ] },
    Set { name: "ptrace_options", unknown: "PTRACE_O_???", rows: &[
        (1, "PTRACE_O_TRACESYSGOOD"), (2, "PTRACE_O_TRACEFORK"), (4, "PTRACE_O_TRACEVFORK"),
        (8, "PTRACE_O_TRACECLONE"), (0x10, "PTRACE_O_TRACEEXEC"), (0x20, "PTRACE_O_TRACEVFORKDONE"),
        (0x40, "PTRACE_O_TRACEEXIT"), (0x80, "PTRACE_O_TRACESECCOMP"), (0x100000, "PTRACE_O_EXITKILL"),
        (0x200000, "PTRACE_O_SUSPEND_SECCOMP"),
    ] },
    Set { name: "per", unknown: "PER_???", rows: &[
        (0, "PER_LINUX"), (6, "PER_BSD"), (8, "PER_LINUX32"), (0xc, "PER_RISCOS"), (0xf, "PER_OSF4"),
        (0x10, "PER_HPUX"), (0xff, "PER_MASK"),
    ] },
    Set { name: "per_flags", unknown: "PER_???", rows: &[
        (0x20000, "UNAME26"), (0x40000, "ADDR_NO_RANDOMIZE"), (0x80000, "FDPIC_FUNCPTRS"),
        (0x100000, "MMAP_PAGE_ZERO"), (0x200000, "ADDR_COMPAT_LAYOUT"), (0x400000, "READ_IMPLIES_EXEC"),
        (0x800000, "ADDR_LIMIT_32BIT"), (0x1000000, "SHORT_INODE"), (0x2000000, "WHOLE_SECONDS"),
        (0x4000000, "STICKY_TIMEOUTS"), (0x8000000, "ADDR_LIMIT_3GB"),
    ] },
    Set { name: "unshare", unknown: "CLONE_???", rows: &[
        (0x80, "CLONE_NEWTIME"), (0x100, "CLONE_VM"), (0x200, "CLONE_FS"), (0x400, "CLONE_FILES"),
        (0x800, "CLONE_SIGHAND"), (0x10000, "CLONE_THREAD"), (0x20000, "CLONE_NEWNS"), (0x40000, "CLONE_SYSVSEM"),
        (0x2000000, "CLONE_NEWCGROUP"), (0x4000000, "CLONE_NEWUTS"), (0x8000000, "CLONE_NEWIPC"),
        (0x10000000, "CLONE_NEWUSER"), (0x20000000, "CLONE_NEWPID"), (0x40000000, "CLONE_NEWNET"),
    ] },
    Set { name: "setns", unknown: "CLONE_NEW???", rows: &[
        (0x80, "CLONE_NEWTIME"), (0x20000, "CLONE_NEWNS"), (0x2000000, "CLONE_NEWCGROUP"),
        (0x4000000, "CLONE_NEWUTS"), (0x8000000, "CLONE_NEWIPC"), (0x10000000, "CLONE_NEWUSER"),
        (0x20000000, "CLONE_NEWPID"), (0x40000000, "CLONE_NEWNET"),
    ] },
    Set { name: "kcmp", unknown: "KCMP_???", rows: &[
        (0, "KCMP_FILE"), (1, "KCMP_VM"), (2, "KCMP_FILES"), (3, "KCMP_FS"), (4, "KCMP_SIGHAND"), (5, "KCMP_IO"),
        (6, "KCMP_SYSVSEM"), (7, "KCMP_EPOLL_TFD"),
    ] },
    Set { name: "seccomp", unknown: "SECCOMP_SET_MODE_???", rows: &[
        (0, "SECCOMP_SET_MODE_STRICT"), (1, "SECCOMP_SET_MODE_FILTER"), (2, "SECCOMP_GET_ACTION_AVAIL"),
        (3, "SECCOMP_GET_NOTIF_SIZES"),
    ] },
    Set { name: "seccomp_flags", unknown: "SECCOMP_FILTER_FLAG_???", rows: &[
        (1, "SECCOMP_FILTER_FLAG_TSYNC"), (2, "SECCOMP_FILTER_FLAG_LOG"), (4, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"),
        (8, "SECCOMP_FILTER_FLAG_NEW_LISTENER"), (0x10, "SECCOMP_FILTER_FLAG_TSYNC_ESRCH"),
        (0x20, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
    ] },
    Set { name: "seccomp_ret", unknown: "SECCOMP_RET_???", rows: &[
        (0, "SECCOMP_RET_KILL_THREAD"), (0x80000000, "SECCOMP_RET_KILL_PROCESS"), (0x30000, "SECCOMP_RET_TRAP"),
        (0x50000, "SECCOMP_RET_ERRNO"), (0x7fc00000, "SECCOMP_RET_USER_NOTIF"), (0x7ff00000, "SECCOMP_RET_TRACE"),
        (0x7ffc0000, "SECCOMP_RET_LOG"), (0x7fff0000, "SECCOMP_RET_ALLOW"),
    ] },
    Set { name: "ioprio_who", unknown: "IOPRIO_WHO_???", rows: &[
        (1, "IOPRIO_WHO_PROCESS"), (2, "IOPRIO_WHO_PGRP"), (3, "IOPRIO_WHO_USER"),
    ] },
    Set { name: "ioprio_class", unknown: "IOPRIO_CLASS_???", rows: &[
        (0, "IOPRIO_CLASS_NONE"), (1, "IOPRIO_CLASS_RT"), (2, "IOPRIO_CLASS_BE"), (3, "IOPRIO_CLASS_IDLE"),
    ] },
    Set { name: "sched_flags", unknown: "SCHED_FLAG_???", rows: &[
        (1, "SCHED_FLAG_RESET_ON_FORK"), (2, "SCHED_FLAG_RECLAIM"), (4, "SCHED_FLAG_DL_OVERRUN"),
        (8, "SCHED_FLAG_KEEP_POLICY"), (0x10, "SCHED_FLAG_KEEP_PARAMS"), (0x20, "SCHED_FLAG_UTIL_CLAMP_MIN"),
        (0x40, "SCHED_FLAG_UTIL_CLAMP_MAX"),
    ] },
    Set { name: "futex2", unknown: "FUTEX_???", rows: &[
        (2, "FUTEX_32"), (0x80, "FUTEX_PRIVATE_FLAG"),
    ] },
    Set { name: "membarrier", unknown: "MEMBARRIER_CMD_???", rows: &[
        (0, "MEMBARRIER_CMD_QUERY"), (1, "MEMBARRIER_CMD_GLOBAL"), (2, "MEMBARRIER_CMD_GLOBAL_EXPEDITED"),
        (4, "MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED"), (8, "MEMBARRIER_CMD_PRIVATE_EXPEDITED"),
        (0x10, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED"), (0x20, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE"),
        (0x40, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE"),
        (0x80, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ"), (0x100, "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ"),
    ] },
    Set { name: "membarrier_flags", unknown: "MEMBARRIER_CMD_FLAG_???", rows: &[
        (1, "MEMBARRIER_CMD_FLAG_CPU"),
    ] },
    Set { name: "mpol", unknown: "MPOL_???", rows: &[
        (0, "MPOL_DEFAULT"), (1, "MPOL_PREFERRED"), (2, "MPOL_BIND"), (3, "MPOL_INTERLEAVE"), (4, "MPOL_LOCAL"),
        (5, "MPOL_PREFERRED_MANY"),
    ] },
    Set { name: "mpol_flags", unknown: "MPOL_???", rows: &[
        (0x8000, "MPOL_F_STATIC_NODES"), (0x4000, "MPOL_F_RELATIVE_NODES"), (0x2000, "MPOL_F_NUMA_BALANCING"),
    ] },
    Set { name: "mpol_mf", unknown: "MPOL_???", rows: &[
        (1, "MPOL_MF_STRICT"), (2, "MPOL_MF_MOVE"), (4, "MPOL_MF_MOVE_ALL"),
    ] },
    Set { name: "mpol_mf_pages", unknown: "MPOL_???", rows: &[
        (2, "MPOL_MF_MOVE"), (4, "MPOL_MF_MOVE_ALL"),
    ] },
    Set { name: "mpol_get", unknown: "MPOL_???", rows: &[
        (1, "MPOL_F_NODE"), (2, "MPOL_F_ADDR"), (4, "MPOL_F_MEMS_ALLOWED"),
    ] },
    Set { name: "pkey", unknown: "PKEY_???", rows: &[
        (1, "PKEY_DISABLE_ACCESS"), (2, "PKEY_DISABLE_WRITE"), (4, "PKEY_DISABLE_EXECUTE"),
    ] },
    Set { name: "kexec", unknown: "KEXEC_???", rows: &[
        (1, "KEXEC_ON_CRASH"), (2, "KEXEC_PRESERVE_CONTEXT"),
    ] },
    Set { name: "kexec_arch", unknown: "KEXEC_ARCH_???", rows: &[
        (0, "KEXEC_ARCH_DEFAULT"), (0x30000, "KEXEC_ARCH_386"), (0x40000, "KEXEC_ARCH_68K"),
        (0x80000, "KEXEC_ARCH_MIPS"), (0xa0000, "KEXEC_ARCH_MIPS_LE"), (0xf0000, "KEXEC_ARCH_PARISC"),
        (0x140000, "KEXEC_ARCH_PPC"), (0x150000, "KEXEC_ARCH_PPC64"), (0x160000, "KEXEC_ARCH_S390"),
        (0x280000, "KEXEC_ARCH_ARM"), (0x2a0000, "KEXEC_ARCH_SH"), (0x320000, "KEXEC_ARCH_IA_64"),
        (0x3e0000, "KEXEC_ARCH_X86_64"), (0xb70000, "KEXEC_ARCH_AARCH64"), (0xf30000, "KEXEC_ARCH_RISCV"),
        (0x1020000, "KEXEC_ARCH_LOONGARCH"),
    ] },
    Set { name: "kexec_file", unknown: "KEXEC_FILE_???", rows: &[
        (1, "KEXEC_FILE_UNLOAD"), (2, "KEXEC_FILE_ON_CRASH"), (4, "KEXEC_FILE_NO_INITRAMFS"),
    ] },
    Set { name: "delete_module", unknown: "O_???", rows: &[
        (0x800, "O_NONBLOCK"), (0x200, "O_TRUNC"),
    ] },
    Set { name: "module_init", unknown: "MODULE_INIT_???", rows: &[
        (1, "MODULE_INIT_IGNORE_MODVERSIONS"), (2, "MODULE_INIT_IGNORE_VERMAGIC"), (4, "MODULE_INIT_COMPRESSED_FILE"),
    ] },
    Set { name: "reboot_magic", unknown: "LINUX_REBOOT_MAGIC_???", rows: &[
        (0xfee1dead, "LINUX_REBOOT_MAGIC1"), (0x28121969, "LINUX_REBOOT_MAGIC2"), (0x5121996, "LINUX_REBOOT_MAGIC2A"),
        (0x16041998, "LINUX_REBOOT_MAGIC2B"), (0x20112000, "LINUX_REBOOT_MAGIC2C"),
    ] },
    Set { name: "reboot_cmd", unknown: "LINUX_REBOOT_CMD_???", rows: &[
        (0, "LINUX_REBOOT_CMD_CAD_OFF"), (0x1234567, "LINUX_REBOOT_CMD_RESTART"),
        (0x4321fedc, "LINUX_REBOOT_CMD_POWER_OFF"), (0x45584543, "LINUX_REBOOT_CMD_KEXEC"),
        (0x89abcdef, "LINUX_REBOOT_CMD_CAD_ON"), (0xa1b2c3d4, "LINUX_REBOOT_CMD_RESTART2"),
        (0xcdef0123, "LINUX_REBOOT_CMD_HALT"), (0xd000fce2, "LINUX_REBOOT_CMD_SW_SUSPEND"),
    ] },
    Set { name: "syslog", unknown: "SYSLOG_ACTION_???", rows: &[
        (0, "SYSLOG_ACTION_CLOSE"), (1, "SYSLOG_ACTION_OPEN"), (2, "SYSLOG_ACTION_READ"),
        (3, "SYSLOG_ACTION_READ_ALL"), (4, "SYSLOG_ACTION_READ_CLEAR"), (5, "SYSLOG_ACTION_CLEAR"),
        (6, "SYSLOG_ACTION_CONSOLE_OFF"), (7, "SYSLOG_ACTION_CONSOLE_ON"), (8, "SYSLOG_ACTION_CONSOLE_LEVEL"),
        (9, "SYSLOG_ACTION_SIZE_UNREAD"), (0xa, "SYSLOG_ACTION_SIZE_BUFFER"),
    ] },
    Set { name: "loglevel", unknown: "LOGLEVEL_???", rows: &[
        (0, "LOGLEVEL_EMERG"), (1, "LOGLEVEL_ALERT"), (2, "LOGLEVEL_CRIT"), (3, "LOGLEVEL_ERR"),
        (4, "LOGLEVEL_WARNING"), (5, "LOGLEVEL_NOTICE"), (6, "LOGLEVEL_INFO"), (7, "LOGLEVEL_DEBUG"),
    ] },
    Set { name: "timex_modes", unknown: "ADJ_???", rows: &[
        (0xa001, "ADJ_OFFSET_SS_READ"), (0x8001, "ADJ_OFFSET_SINGLESHOT"), (1, "ADJ_OFFSET"), (2, "ADJ_FREQUENCY"),
        (4, "ADJ_MAXERROR"), (8, "ADJ_ESTERROR"), (0x10, "ADJ_STATUS"), (0x20, "ADJ_TIMECONST"), (0x80, "ADJ_TAI"),
        (0x100, "ADJ_SETOFFSET"), (0x1000, "ADJ_MICRO"), (0x2000, "ADJ_NANO"), (0x4000, "ADJ_TICK"),
    ] },
    Set { name: "timex_status", unknown: "STA_???", rows: &[
        (1, "STA_PLL"), (2, "STA_PPSFREQ"), (4, "STA_PPSTIME"), (8, "STA_FLL"), (0x10, "STA_INS"), (0x20, "STA_DEL"),
        (0x40, "STA_UNSYNC"), (0x80, "STA_FREQHOLD"), (0x100, "STA_PPSSIGNAL"), (0x200, "STA_PPSJITTER"),
        (0x400, "STA_PPSWANDER"), (0x800, "STA_PPSERROR"), (0x1000, "STA_CLOCKERR"), (0x2000, "STA_NANO"),
        (0x4000, "STA_MODE"), (0x8000, "STA_CLK"),
    ] },
    Set { name: "timex_state", unknown: "TIME_???", rows: &[
        (0, "TIME_OK"), (1, "TIME_INS"), (2, "TIME_DEL"), (3, "TIME_OOP"), (4, "TIME_WAIT"), (5, "TIME_ERROR"),
    ] },
    Set { name: "iocb", unknown: "IOCB_CMD_???", rows: &[
        (0, "IOCB_CMD_PREAD"), (1, "IOCB_CMD_PWRITE"), (2, "IOCB_CMD_FSYNC"), (3, "IOCB_CMD_FDSYNC"),
        (4, "IOCB_CMD_PREADX"), (5, "IOCB_CMD_POLL"), (6, "IOCB_CMD_NOOP"), (7, "IOCB_CMD_PREADV"),
        (8, "IOCB_CMD_PWRITEV"),
    ] },
];
