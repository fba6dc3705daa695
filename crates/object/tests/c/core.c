// Relocations of the kernel's types of every kind.
#include "skep.h"

#define FIELD_BYTE_OFFSET 0
#define FIELD_BYTE_SIZE 1
#define FIELD_EXISTS 2
#define FIELD_SIGNED 3
#define FIELD_LSHIFT_U64 4
#define FIELD_RSHIFT_U64 5
#define field_info(field, what) __builtin_preserve_field_info(field, what)
#define type_exists(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)
#define type_size(type) __builtin_preserve_type_info(*(typeof(type) *)0, 1)
#define type_id_local(type) __builtin_btf_type_id(*(typeof(type) *)0, 0)
#define type_id_kernel(type) __builtin_btf_type_id(*(typeof(type) *)0, 1)
#define enum_exists(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)
#define enum_value(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)

struct list_head {
    struct list_head *next, *prev;
} __core;

// The order of the members is not the kernel's.
struct task_struct {
    int tgid;
    int pid;
    char comm[16];
    struct task_struct *group_leader;
    struct list_head tasks;
    unsigned in_execve : 1;
    unsigned sched_reset_on_fork : 1;
    int of_no_kernel;
} __core;

// A flavour with another size of a member: loads have to change theirs.
struct task_struct___wide {
    u64 pid;
    u64 flags;
    u8 exit_state;
} __core;

struct task_struct___other {
    struct { int x; } pid;
} __core;

struct no_such_struct {
    int x;
} __core;

struct sk_buff {
    u32 len;
    u8 pkt_type : 3;
    u8 cloned : 1;
    u16 protocol;
    union {
        u32 mark;
        u32 reserved_tailroom;
    };
} __core;

enum bpf_map_type {
    BPF_MAP_TYPE_UNSPEC = 90,
    BPF_MAP_TYPE_RINGBUF = 91,
    BPF_MAP_TYPE_NONE = 92,
};
enum no_such_enum { NO_SUCH_VALUE = 3 };

typedef int no_such_typedef;

u64 out[32];

SEC("raw_tp/sched_switch") int members(void *ctx)
{
    struct task_struct *task = get_current_task();
    struct task_struct___wide *wide = (void *)task;
    probe_read_kernel(&out[0], 4, &task->pid);
    probe_read_kernel(&out[1], 4, &task->tgid);
    probe_read_kernel(&out[2], 8, &task->comm[3]);
    probe_read_kernel(&out[3], 8, &task->group_leader);
    probe_read_kernel(&out[4], 8, &task->tasks.prev);
    probe_read_kernel(&out[5], 4, &wide->exit_state);
    out[6] = field_info(wide->pid, FIELD_BYTE_SIZE);
    out[7] = field_info(task->pid, FIELD_SIGNED);
    out[8] = field_info(task->comm, FIELD_BYTE_SIZE);
    return 0;
}

SEC("raw_tp/sched_switch") int existence(void *ctx)
{
    struct task_struct *task = get_current_task();
    struct task_struct___other *other = (void *)task;
    struct no_such_struct *none = (void *)task;
    out[0] = field_info(task->of_no_kernel, FIELD_EXISTS);
    out[1] = field_info(task->pid, FIELD_EXISTS);
    out[2] = field_info(other->pid, FIELD_EXISTS);
    out[3] = type_exists(struct task_struct);
    out[4] = type_exists(struct no_such_struct);
    out[5] = type_exists(no_such_typedef);
    out[6] = type_exists(enum bpf_map_type);
    if (field_info(none->x, FIELD_EXISTS))
        probe_read_kernel(&out[7], 4, &none->x);
    if (field_info(task->of_no_kernel, FIELD_EXISTS))
        probe_read_kernel(&out[8], field_info(task->of_no_kernel, FIELD_BYTE_SIZE), &task->of_no_kernel);
    return 0;
}

SEC("raw_tp/sched_switch") int bitfields(void *ctx)
{
    struct task_struct *task = get_current_task();
    struct sk_buff *skb = (void *)task;
    out[0] = field_info(task->in_execve, FIELD_BYTE_OFFSET);
    out[1] = field_info(task->in_execve, FIELD_BYTE_SIZE);
    out[2] = field_info(task->in_execve, FIELD_LSHIFT_U64);
    out[3] = field_info(task->in_execve, FIELD_RSHIFT_U64);
    out[4] = field_info(task->in_execve, FIELD_SIGNED);
    out[5] = field_info(skb->pkt_type, FIELD_LSHIFT_U64);
    out[6] = field_info(skb->cloned, FIELD_RSHIFT_U64);
    out[7] = field_info(skb->protocol, FIELD_LSHIFT_U64);
    out[8] = field_info(skb->mark, FIELD_RSHIFT_U64);
    out[9] = field_info(task->sched_reset_on_fork, FIELD_BYTE_OFFSET);
    return 0;
}

SEC("raw_tp/sched_switch") int types(void *ctx)
{
    out[0] = type_size(struct task_struct);
    out[1] = type_size(struct list_head);
    out[2] = type_size(struct no_such_struct);
    out[3] = type_id_local(struct list_head);
    out[4] = type_id_kernel(struct list_head);
    out[5] = type_id_kernel(struct task_struct);
    return 0;
}

SEC("raw_tp/sched_switch") int enums(void *ctx)
{
    out[0] = enum_exists(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF);
    out[1] = enum_exists(enum bpf_map_type, BPF_MAP_TYPE_NONE);
    out[2] = enum_value(enum bpf_map_type, BPF_MAP_TYPE_RINGBUF);
    out[3] = enum_exists(enum no_such_enum, NO_SUCH_VALUE);
    if (enum_exists(enum bpf_map_type, BPF_MAP_TYPE_NONE))
        out[4] = enum_value(enum bpf_map_type, BPF_MAP_TYPE_NONE);
    return 0;
}

// Loads and stores of members: offsets and sizes change within the instruction.
SEC("tp_btf/sched_switch") int accesses(u64 *ctx)
{
    struct task_struct *task = (void *)ctx[1];
    struct task_struct___wide *wide = (void *)ctx[2];
    out[0] = task->pid;
    out[1] = task->group_leader->tgid;
    out[2] = wide->flags;
    out[4] = (u64)task->tasks.next;
    return 0;
}
