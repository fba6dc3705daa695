// One program for every way of attaching that its section describes; each counts its runs for one process.
#include "../../../object/tests/c/skep.h"

// The process that counts; set before loading.
const volatile u32 process = 0;
u64 counts[24];

static __always_inline int count(u32 index)
{
    if (get_current_pid_tgid() >> 32 == process)
        __sync_fetch_and_add(&counts[index], 1);
    return 0;
}

SEC("tp/raw_syscalls/sys_enter") int tracepoint(void *ctx) { return count(0); }
SEC("raw_tp/sys_enter") int raw(void *ctx) { return count(1); }
SEC("tp_btf/sys_enter") int typed(void *ctx) { return count(2); }
SEC("ksyscall/getppid") int call(void *ctx) { return count(3); }
SEC("kretsyscall/getppid") int call_return(void *ctx) { return count(4); }
SEC("kprobe/__x64_sys_getppid") int function(void *ctx) { return count(5); }
SEC("kretprobe/__x64_sys_getppid") int function_return(void *ctx) { return count(6); }
SEC("kprobe.multi/__x64_sys_getpp*") int pattern(void *ctx) { return count(7); }
SEC("fentry/do_nanosleep") int entry(void *ctx) { return count(8); }
SEC("fexit/do_nanosleep") int leave(void *ctx) { return count(9); }
SEC("lsm/file_open") int hook(void *ctx) { return count(10); }
SEC("uprobe//proc/self/exe:probed") int file(void *ctx) { return count(11); }
SEC("uretprobe//proc/self/exe:probed") int file_return(void *ctx) { return count(12); }
SEC("uprobe.multi//proc/self/exe:prob*") int file_pattern(void *ctx) { return count(13); }
SEC("usdt//proc/self/exe:skep:probed") int marker(void *ctx) { return count(14); }
SEC("iter/task") int each_task(void *ctx) { return count(15); }
SEC("perf_event") int sample(void *ctx) { return count(16); }

// In the network there is no process: anybody who uses these interfaces is the test.
SEC("xdp") int driver(void *ctx) { __sync_fetch_and_add(&counts[17], 1); return 2; }
SEC("tc") int arriving(void *ctx) { __sync_fetch_and_add(&counts[18], 1); return 0; }
SEC("tcx/egress") int leaving(void *ctx) { __sync_fetch_and_add(&counts[19], 1); return 0; }
SEC("cgroup_skb/egress") int group(void *ctx) { __sync_fetch_and_add(&counts[20], 1); return 1; }
SEC("sk_lookup") int lookup(void *ctx) { __sync_fetch_and_add(&counts[21], 1); return 1; }

// Not loaded unless somebody asks for it.
SEC("?raw_tp/sys_exit") int optional(void *ctx) { return count(22); }
// Nothing says where these belong.
SEC("socket") int filter(void *ctx) { return 0; }
SEC("netfilter") int firewall(void *ctx) { return 1; }
