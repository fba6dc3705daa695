// Questions whether types match. The compiler is asked whether they exist, because older ones know no other question; the
// test changes the question.
#define SEC(n) __attribute__((section(n), used))
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct list_head { struct list_head *next, *prev; };
struct list_head___less { struct list_head *prev; };
struct list_head___wrong { struct hlist_head *next; };
struct list_head___value { u64 next; };
union bpf_attr { u32 map_fd; };
struct bpf_insn { u8 code; u8 dst_reg : 4; u8 src_reg : 4; short off; int imm; };
struct bpf_insn___sign { u8 code; u32 imm; };
struct sk_buff { u32 len; u32 data_len; };
struct sk_buff___mismatch { u64 len; };
struct no_such_struct { int a; };
enum bpf_map_type { BPF_MAP_TYPE_ARRAY = 77, BPF_MAP_TYPE_HASH___other = 78 };
enum bpf_map_type___more { BPF_MAP_TYPE_LRU_HASH = 1, BPF_MAP_TYPE_NOTHING = 2 };
enum tcp_ca_event { CA_EVENT_TX_START };
struct task_struct { char comm[16]; void *stack; struct mm_struct *mm; };
struct task_struct___array { char comm[15]; };
typedef u64 sector_t;
typedef int sector_t___wrong;
typedef int (*initcall_t)(void);
typedef int (*initcall_t___param)(int);
typedef void (*exitcall_t)(void);
typedef int (*exitcall_t___result)(void);
struct file_operations { int (*open)(struct inode *, struct file *); };
struct file_operations___other { int (*open)(struct file *, struct file *); };

#define TYPE(t) sum += __builtin_preserve_type_info(*(t *)0, 0) * ++n

SEC("socket") int matches(void *ctx) {
	long sum = 0, n = 0;
	TYPE(struct list_head);
	TYPE(struct list_head___less);
	TYPE(struct list_head___wrong);
	TYPE(struct list_head___value);
	TYPE(union bpf_attr);
	TYPE(struct bpf_insn);
	TYPE(struct bpf_insn___sign);
	TYPE(struct sk_buff);
	TYPE(struct sk_buff___mismatch);
	TYPE(struct no_such_struct);
	TYPE(enum bpf_map_type);
	TYPE(enum bpf_map_type___more);
	TYPE(enum tcp_ca_event);
	TYPE(struct task_struct);
	TYPE(struct task_struct___array);
	TYPE(sector_t);
	TYPE(sector_t___wrong);
	TYPE(initcall_t);
	TYPE(initcall_t___param);
	TYPE(exitcall_t);
	TYPE(exitcall_t___result);
	TYPE(struct file_operations);
	TYPE(struct file_operations___other);
	return sum;
}
