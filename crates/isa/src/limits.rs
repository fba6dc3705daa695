//! Limits of the kernel: how large, how deep, how many.
//!
//! Sources: `linux/bpf.h`, `linux/bpf_verifier.h`, `linux/filter.h`, `kernel/bpf/*.c`, `net/core/filter.c`.

use crate::Release;

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// A short name, words joined by `-`.
    pub name: &'static str,
    /// The value with its unit.
    pub value: &'static str,
    /// Release since which it has this value.
    pub since: Release,
    /// What is limited, why, and what it was before.
    pub about: &'static str,
}

/// The limit with this name.
pub fn by_name(name: &str) -> Option<&'static Limit> {
    LIMITS.iter().find(|limit| limit.name == name)
}

const fn limit(name: &'static str, value: &'static str, major: u8, minor: u8, about: &'static str) -> Limit {
    Limit { name, value, since: Release::new(major, minor), about }
}

// TABLE
/// The limits.
#[rustfmt::skip]
pub static LIMITS: &[Limit] = &[
    limit("instructions", "1,000,000 instructions", 5, 2, "Instructions of a program that a process with CAP_BPF loads, and instructions that the verifier walks through on all paths together (BPF_COMPLEXITY_LIMIT_INSNS). Before, programs had at most 4,096, and the walk 32,768, then 65,536, 98,304 and 131,072."),
    limit("instructions-unprivileged", "4,096 instructions", 3, 18, "Instructions of a program that a process without CAP_BPF loads (BPF_MAXINSNS)."),
    limit("classic-instructions", "4,096 instructions", 2, 2, "Instructions of a classic filter on a socket."),
    limit("classic-memory", "net.core.optmem_max, by default 128 KiB", 6, 8, "Memory charged to a socket, its filter included. The default was 20 KiB before Linux 6.8."),
    limit("stack", "512 bytes", 3, 18, "Stack of a function and, since 4.16, of a chain of calls together (MAX_BPF_STACK). Since 6.13 some tracing programs get a stack of their own for each function, which must still keep to 512 bytes."),
    limit("call-depth", "8 functions", 4, 16, "Functions on a chain of calls, the main one included (MAX_CALL_FRAMES)."),
    limit("functions", "256 functions", 4, 16, "Functions of a program (BPF_MAX_SUBPROGS)."),
    limit("tail-calls", "33 jumps", 5, 16, "Tail calls in one run (MAX_TAIL_CALL_CNT). Interpreter and compilers disagreed between 32 and 33 before."),
    limit("stack-with-tail-calls", "256 bytes", 5, 10, "Stack of the functions that are on the chain when one of them makes a tail call."),
    limit("jump-sequence", "8,192 branches", 5, 2, "Branches that the verifier keeps for later on one path (BPF_COMPLEXITY_LIMIT_JMP_SEQ); 1,024 before."),
    limit("states", "64 states", 5, 0, "States that the verifier keeps for one instruction before it becomes lazier (BPF_COMPLEXITY_LIMIT_STATES)."),
    limit("used-maps", "64 maps", 3, 18, "Maps that a program refers to (MAX_USED_MAPS)."),
    limit("kfuncs-per-program", "256 functions", 5, 13, "Kfuncs that a program calls (MAX_KFUNC_DESCS)."),
    limit("kfunc-modules", "256 modules", 5, 17, "Modules whose kfuncs a program calls (MAX_KFUNC_BTFS)."),
    limit("loop-helper", "8,388,608 rounds", 5, 17, "Rounds of the helper loop (BPF_MAX_LOOPS)."),
    limit("may-goto", "8,388,608 rounds", 6, 9, "Rounds of a loop with may_goto; since 6.15 also 250 milliseconds where the compiler of the processor counts time."),
    limit("verifier-log", "1 GiB", 5, 2, "Buffer for the verifier's log; 16 MiB before. A log that does not fit fails the load with ENOSPC, except that since 6.4 its end is kept."),
    limit("object-name", "15 characters", 4, 15, "Name of a program or map (BPF_OBJ_NAME_LEN includes the NUL)."),
    limit("key-size", "512 bytes", 3, 19, "Key of a hash table in a program, since it is built on the stack (MAX_BPF_STACK)."),
    limit("value-size", "4 MiB in a hash table, 2 GiB in an array, 32 KiB per CPU", 3, 19, "Value of a map: less than the largest piece that the allocator behind it gives out (KMALLOC_MAX_SIZE, INT_MAX, PCPU_MIN_UNIT_SIZE)."),
    limit("map-entries", "4,294,967,295", 3, 19, "Entries of a map; memory ends earlier. Before 5.11 it was charged to RLIMIT_MEMLOCK, since then to the control group."),
    limit("ring-record", "1,073,741,823 bytes", 5, 8, "Record in a ring buffer: two bits of its 32-bit length are flags."),
    limit("ring-size", "2,147,483,648 bytes", 5, 8, "Size of a ring buffer, a power of two and a multiple of the page size."),
    limit("arena-size", "4 GiB", 6, 9, "Memory of an arena."),
    limit("programs-per-cgroup", "64 programs", 4, 15, "Programs that are attached to a control group at one place (BPF_CGROUP_MAX_PROGS)."),
    limit("tcx-programs", "63 programs", 6, 6, "Programs on one side of a device in tcx or netkit (BPF_MPROG_MAX is 64, of which one is kept)."),
    limit("trampoline-programs", "38 programs", 5, 12, "fentry, fexit and fmod_ret programs at one function together, on x86-64 (BPF_MAX_TRAMP_LINKS); 40 before 5.12."),
    limit("traced-arguments", "12 arguments", 5, 5, "Arguments of a function that a trampoline can pass on (MAX_BPF_FUNC_ARGS); processors may allow less, x86-64 had 6 before 6.6."),
    limit("raw-tracepoint-arguments", "12 arguments", 4, 17, "Arguments of a raw tracepoint."),
    limit("multi-attach", "1,048,576 functions", 6, 7, "Functions of one kprobe or uprobe multi link (MAX_KPROBE_MULTI_CNT, MAX_UPROBE_MULTI_CNT)."),
    limit("map-in-map-depth", "1 level", 4, 12, "A map of maps cannot hold maps of maps."),
    limit("printk-arguments", "3 values", 4, 1, "Values of trace_printk; trace_vprintk, snprintf and seq_printf take 12."),
    limit("test-run-packet", "one page less headers", 4, 12, "Packet of BPF_PROG_TEST_RUN; since 5.18 XDP programs with fragments take more."),
    limit("socket-storage", "65,535 bytes less the header", 5, 2, "Value of storage that hangs on sockets, inodes, tasks and control groups (BPF_LOCAL_STORAGE_MAX_VALUE_SIZE)."),
    limit("btf-size", "16 MiB", 4, 18, "BTF that is loaded with a program (BTF_MAX_SIZE)."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for limit in LIMITS {
            assert_eq!(by_name(limit.name), Some(limit));
            assert!(limit.about.ends_with('.'), "{}", limit.name);
        }
    }
}
