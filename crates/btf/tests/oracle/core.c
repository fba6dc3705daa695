// Relocations of every kind against the running kernel's types, found and missing.
#define SEC(n) __attribute__((section(n), used))
#define ACC __attribute__((preserve_access_index))
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct list_head { struct list_head *next; } ACC;
typedef struct { int counter; } ACC atomic_t;
struct task_struct { int tgid; int pid; char comm[16]; struct task_struct *group_leader; int no_such_member; } ACC;
struct task_struct___flavour { int exit_code; struct list_head tasks; u32 in_iowait : 1; u32 sched_reset_on_fork : 1; } ACC;
// Members that are inside of anonymous structures and unions in the kernel.
struct sk_buff { struct list_head list; u32 len; u8 pkt_type : 3; u8 cloned : 1; u16 vlan_tci; u16 protocol; u8 cb[48]; } ACC;
struct iphdr { u8 ihl : 4; u8 version : 4; u8 tos; u16 tot_len; } ACC;
struct sock___other { u16 sk_protocol; u8 sk_type___no; } ACC;
// Twice in some kernels, and a member of another type than here.
struct page { u64 flags; } ACC;
struct no_such_struct { int a; } ACC;
union bpf_attr { u32 map_type; u64 no_such_size; } ACC;
enum bpf_map_type { BPF_MAP_TYPE_ARRAY = 77, BPF_MAP_TYPE_HASH___other = 78, BPF_MAP_TYPE_MISSING = 79 };
enum no_such_enum { NOWHERE = 5 };
struct qspinlock { int a; } ACC;
typedef u64 sector_t;
typedef int no_such_typedef;
struct sk_buff___short { u32 len; } ACC;
typedef int (*initcall_t)(void);
typedef u32 (*initcall_t___other)(u32);

#define OFFSET(t, f) ((long)&((t *)ctx)->f)
#define FIELD(t, f, kind) __builtin_preserve_field_info(((t *)ctx)->f, kind)
#define TYPE(t, kind) __builtin_preserve_type_info(*(t *)0, kind)
#define VALUE(e, v, kind) __builtin_preserve_enum_value(*(e *)v, kind)

SEC("socket") int offsets(void *ctx) {
	long sum = OFFSET(struct task_struct, pid) + OFFSET(struct task_struct, comm[3]);
	sum += OFFSET(struct task_struct___flavour, exit_code) + OFFSET(struct task_struct___flavour, tasks.next);
	sum += OFFSET(struct sk_buff, len) + OFFSET(struct sk_buff, vlan_tci) + OFFSET(struct sk_buff, protocol);
	sum += OFFSET(struct sk_buff, cb[7]) + OFFSET(struct iphdr, tot_len) + OFFSET(struct sock___other, sk_protocol);
	sum += OFFSET(union bpf_attr, map_type) + OFFSET(atomic_t, counter);
	return sum;
}

SEC("socket") int fields(void *ctx) {
	long sum = FIELD(struct task_struct, pid, 1) + FIELD(struct task_struct, comm, 1);
	sum += FIELD(struct task_struct, pid, 2) * 3 + FIELD(struct task_struct, no_such_member, 2) * 5;
	sum += FIELD(struct no_such_struct, a, 2) * 7 + FIELD(struct sk_buff, list, 2) * 9;
	sum += FIELD(struct task_struct, pid, 3) + FIELD(struct sk_buff, len, 3) * 11;
	sum += FIELD(struct sk_buff, cloned, 0) + FIELD(struct sk_buff, cloned, 1) * 3;
	sum += FIELD(struct sk_buff, cloned, 4) + FIELD(struct sk_buff, cloned, 5) * 3;
	sum += FIELD(struct sk_buff, pkt_type, 4) + FIELD(struct sk_buff, pkt_type, 5) * 3;
	sum += FIELD(struct iphdr, version, 4) + FIELD(struct iphdr, version, 5) + FIELD(struct iphdr, version, 3);
	sum += FIELD(struct task_struct___flavour, sched_reset_on_fork, 0);
	sum += FIELD(struct task_struct___flavour, in_iowait, 4) + FIELD(struct task_struct___flavour, in_iowait, 1);
	sum += FIELD(struct page, flags, 1) * 13;
	return sum;
}

SEC("socket") int types(void *ctx) {
	long sum = TYPE(struct task_struct, 0) + TYPE(struct no_such_struct, 0) * 3 + TYPE(sector_t, 0) * 5;
	sum += TYPE(struct task_struct, 1) + TYPE(struct no_such_struct, 1) + TYPE(struct sk_buff___short, 1);
	sum += TYPE(no_such_typedef, 0) + TYPE(initcall_t, 0) + TYPE(initcall_t___other, 0) * 7;
	sum += __builtin_btf_type_id(*(struct task_struct *)0, 0) + __builtin_btf_type_id(*(struct task_struct *)0, 1);
	sum += __builtin_btf_type_id(*(struct no_such_struct *)0, 1);
	return sum;
}

SEC("socket") int constants(void *ctx) {
	long sum = VALUE(enum bpf_map_type, BPF_MAP_TYPE_ARRAY, 0) + VALUE(enum bpf_map_type, BPF_MAP_TYPE_ARRAY, 1);
	sum += VALUE(enum bpf_map_type, BPF_MAP_TYPE_HASH___other, 1);
	sum += VALUE(enum bpf_map_type, BPF_MAP_TYPE_MISSING, 0) + VALUE(enum no_such_enum, NOWHERE, 0);
	return sum;
}

// Nothing fits: the instructions have to become ones that cannot be run.
SEC("socket") int missing(void *ctx) {
	long sum = OFFSET(struct task_struct, no_such_member) + OFFSET(struct no_such_struct, a);
	sum += VALUE(enum bpf_map_type, BPF_MAP_TYPE_MISSING, 1) + FIELD(struct sk_buff, list, 1);
	return sum;
}
