// Relocations that end in instructions which the verifier refuses: what is missing is not asked for before.
#include "skep.h"

// The kernel's are signed, so a load of another size would read another number.
struct task_struct {
    u64 pid;
    u8 exit_state;
    int of_no_kernel;
} __core;

u64 out[4];

SEC("tp_btf/sched_switch") int unguarded(u64 *ctx)
{
    struct task_struct *task = (void *)ctx[1];
    out[0] = task->exit_state;
    out[1] = task->pid;
    out[2] = task->of_no_kernel;
    return 0;
}
