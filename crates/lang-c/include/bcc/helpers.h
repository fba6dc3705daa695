// The dialect of BCC: macros that declare maps with the functions that are called as their methods, names of probes, and
// what its programs expect to be there. `map.method(a, b)` calls the function `map___method_2`.
#pragma once
#include "vmlinux.h"
#include <linux/errno.h>
#include <linux/pkt_cls.h>
#include <linux/socket.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_endian.h>

#ifndef KBUILD_MODNAME
#define KBUILD_MODNAME "bcc"
#endif
#define BPF_LICENSE(text) char ___bcc_license[] SEC("license") = #text
#define TASK_COMM_LEN 16
#define NAME_MAX 255
#define PATH_MAX 4096
#define DNAME_INLINE_LEN 32
#define ETH_ALEN 6
#define ETH_HLEN 14
#define ETH_P_IP 0x0800
#define ETH_P_ARP 0x0806
#define ETH_P_IPV6 0x86DD
#define ETH_P_8021Q 0x8100
#define IFNAMSIZ 16
#define __user
#define __force
#define ntohs(x) bpf_ntohs(x)
#define htons(x) bpf_htons(x)
#define ntohl(x) bpf_ntohl(x)
#define htonl(x) bpf_htonl(x)
#define be16_to_cpu(x) bpf_ntohs(x)
#define be32_to_cpu(x) bpf_ntohl(x)
#define be64_to_cpu(x) bpf_be64_to_cpu(x)
#define cpu_to_be16(x) bpf_htons(x)
#define cpu_to_be32(x) bpf_htonl(x)
#define cpu_to_be64(x) bpf_cpu_to_be64(x)
#define min(a, b) ({ __auto_type ___a = (a); __auto_type ___b = (b); ___a < ___b ? ___a : ___b; })
#define max(a, b) ({ __auto_type ___a = (a); __auto_type ___b = (b); ___a > ___b ? ___a : ___b; })
#define lock_xadd(ptr, val) ((void)__sync_fetch_and_add(ptr, val))
#define bpf_trace_printk(fmt, args...) ({ static const char ____fmt[] = fmt; \
	(bpf_trace_printk)(____fmt, sizeof(____fmt), ##args); })

#define htonll(x) bpf_cpu_to_be64(x)
#define ntohll(x) bpf_be64_to_cpu(x)

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
unsigned long long load_half(void *skb, unsigned long long off) asm("llvm.bpf.load.half");
unsigned long long load_word(void *skb, unsigned long long off) asm("llvm.bpf.load.word");
#define load_dword(skb, off) (load_word(skb, off) << 32 | load_word(skb, (off) + 4))

/* Checksums follow a number that changes, at the address of the checksum in a header. */
static __always_inline __u64 ___bcc_network(__u64 number, unsigned int bytes)
{
	return bytes == 2 ? htons(number) : bytes == 4 ? htonl(number) : htonll(number);
}
#define incr_cksum_l3(at, from, to) bpf_l3_csum_replace(__builtin_bcc_context(), (__u64)(at), \
	___bcc_network(from, sizeof(to)), ___bcc_network(to, sizeof(to)), sizeof(to))
#define incr_cksum_l4(at, from, to, is_pseudo) bpf_l4_csum_replace(__builtin_bcc_context(), (__u64)(at), \
	___bcc_network(from, sizeof(to)), ___bcc_network(to, sizeof(to)), ((is_pseudo) & 1) << 4 | sizeof(to))

/* Where a header begins; the cursor goes behind it. */
#define cursor_advance(cursor, bytes) ({ void *___at = (cursor); (cursor) += (bytes); ___at; })

static __always_inline unsigned int bpf_log2(unsigned int v)
{
	unsigned int r, shift;

	r = (v > 0xFFFF) << 4; v >>= r;
	shift = (v > 0xFF) << 3; v >>= shift; r |= shift;
	shift = (v > 0xF) << 2; v >>= shift; r |= shift;
	shift = (v > 0x3) << 1; v >>= shift; r |= shift;
	return r | v >> 1;
}

/* One more than the logarithm, as histograms of powers of two count their slots. */
static __always_inline unsigned int bpf_log2l(unsigned long v)
{
	unsigned int high = v >> 32;

	return high ? bpf_log2(high) + 32 + 1 : bpf_log2(v) + 1;
}

/* A parameter of a probed function. What a program declares behind its context gets its value from here. */
static __always_inline unsigned long ___bcc_parameter(struct pt_regs *ctx, int number)
{
	switch (number) {
	case 1: return PT_REGS_PARM1(ctx);
	case 2: return PT_REGS_PARM2(ctx);
	case 3: return PT_REGS_PARM3(ctx);
	case 4: return PT_REGS_PARM4(ctx);
	case 5: return PT_REGS_PARM5(ctx);
	default: return PT_REGS_PARM6(ctx);
	}
}

/* A parameter of a system call, whose function gets the registers of the caller. */
static __always_inline unsigned long ___bcc_syscall_parameter(struct pt_regs *ctx, int number)
{
	struct pt_regs *regs = PT_REGS_SYSCALL_REGS(ctx);

	switch (number) {
	case 1: return PT_REGS_PARM1_CORE_SYSCALL(regs);
	case 2: return PT_REGS_PARM2_CORE_SYSCALL(regs);
	case 3: return PT_REGS_PARM3_CORE_SYSCALL(regs);
	case 4: return PT_REGS_PARM4_CORE_SYSCALL(regs);
	case 5: return PT_REGS_PARM5_CORE_SYSCALL(regs);
	default: return PT_REGS_PARM6_CORE_SYSCALL(regs);
	}
}

#define TRACEPOINT_PROBE(category, event) int tracepoint__##category##__##event(struct tracepoint__##category##__##event *args)
#define RAW_TRACEPOINT_PROBE(event) int raw_tracepoint__##event(struct bpf_raw_tracepoint_args *ctx)
#define BPF_ITER(target) int bpf_iter__##target(struct bpf_iter__##target *ctx)
#define KFUNC_PROBE(event, args...) int BPF_PROG(kfunc__##event, ##args)
#define KRETFUNC_PROBE(event, args...) int BPF_PROG(kretfunc__##event, ##args)
#define MODULE_KFUNC_PROBE(module, event, args...) int BPF_PROG(kfunc__##module##__in_module__##event, ##args)
#define MODULE_KRETFUNC_PROBE(module, event, args...) int BPF_PROG(kretfunc__##module##__in_module__##event, ##args)
#define KMOD_RET(event, args...) int BPF_PROG(kmod_ret__##event, ##args)
#define LSM_PROBE(event, args...) int BPF_PROG(lsm__##event, ##args)
#define TP_DATA_LOC_READ_CONST(dst, field, length) do { \
	bpf_probe_read((void *)(dst), length, (char *)args + (args->data_loc_##field & 0xFFFF)); \
} while (0)
#define TP_DATA_LOC_READ(dst, field) do { \
	bpf_probe_read((void *)(dst), (args->data_loc_##field >> 16) & 0xFFFF, (char *)args + (args->data_loc_##field & 0xFFFF)); \
} while (0)
#define TP_DATA_LOC_READ_STR(dst, field, length) do { \
	bpf_probe_read_str((void *)(dst), length, (char *)args + (args->data_loc_##field & 0xFFFF)); \
} while (0)

/* Numbers are added to whatever integer a value is. */
#define ___bcc_add(at, by, size) do { \
	if ((size) == 8) *(__u64 *)(at) += (by); \
	else if ((size) == 4) *(__u32 *)(at) += (by); \
	else if ((size) == 2) *(__u16 *)(at) += (by); \
	else *(__u8 *)(at) += (by); \
} while (0)
#define ___bcc_atomic_add(at, by, size) do { \
	if ((size) == 8) __sync_fetch_and_add((__u64 *)(at), (by)); \
	else __sync_fetch_and_add((__u32 *)(at), (by)); \
} while (0)

#define ___bcc_first(name, key, leaf, by, size) do { \
	__typeof__(leaf) ___first; \
	__builtin_memset(&___first, 0, sizeof(___first)); \
	___bcc_add(&___first, by, size); \
	bpf_map_update_elem(&name, key, &___first, BPF_NOEXIST); \
} while (0)

#define ___bcc_methods(name, key_type, leaf_type) \
static __always_inline __typeof__(leaf_type) *name##___lookup_1(const void *key) \
{ \
	return bpf_map_lookup_elem(&name, key); \
} \
static __always_inline int name##___update_2(const void *key, const void *leaf) \
{ \
	return bpf_map_update_elem(&name, key, leaf, BPF_ANY); \
} \
static __always_inline int name##___insert_2(const void *key, const void *leaf) \
{ \
	return bpf_map_update_elem(&name, key, leaf, BPF_NOEXIST); \
} \
static __always_inline int name##___delete_1(const void *key) \
{ \
	return bpf_map_delete_elem(&name, key); \
} \
static __always_inline __typeof__(leaf_type) *name##___lookup_or_try_init_2(const void *key, const void *leaf) \
{ \
	void *found = bpf_map_lookup_elem(&name, key); \
	if (found) \
		return found; \
	bpf_map_update_elem(&name, key, leaf, BPF_NOEXIST); \
	return bpf_map_lookup_elem(&name, key); \
} \
static __always_inline __typeof__(leaf_type) *name##___lookup_or_init_2(const void *key, const void *leaf) \
{ \
	return name##___lookup_or_try_init_2(key, leaf); \
} \
static __always_inline void name##___increment_2(__typeof__(key_type) key, __u64 by) \
{ \
	void *found = bpf_map_lookup_elem(&name, &key); \
	if (found) \
		___bcc_add(found, by, sizeof(leaf_type)); \
	else \
		___bcc_first(name, &key, leaf_type, by, sizeof(leaf_type)); \
} \
static __always_inline void name##___increment_1(__typeof__(key_type) key) \
{ \
	name##___increment_2(key, 1); \
} \
static __always_inline void name##___atomic_increment_2(__typeof__(key_type) key, __u64 by) \
{ \
	void *found = bpf_map_lookup_elem(&name, &key); \
	if (found) \
		___bcc_atomic_add(found, by, sizeof(leaf_type)); \
	else \
		___bcc_first(name, &key, leaf_type, by, sizeof(leaf_type)); \
} \
static __always_inline void name##___atomic_increment_1(__typeof__(key_type) key) \
{ \
	name##___atomic_increment_2(key, 1); \
}

#define ___bcc_map(map_type, key_type, leaf_type, name, size, flags) \
struct { \
	__uint(type, map_type); \
	__uint(max_entries, size); \
	__uint(map_flags, flags); \
	__type(key, key_type); \
	__type(value, leaf_type); \
} name SEC(".maps"); \
___bcc_methods(name, key_type, leaf_type)

/* One without a description of keys and values. */
#define ___bcc_plain_map(map_type, name, size, key_bytes, value_bytes) \
struct { \
	__uint(type, map_type); \
	__uint(max_entries, size); \
	__uint(key_size, key_bytes); \
	__uint(value_size, value_bytes); \
} name SEC(".maps");

#define ___bcc_is(text, word) !__builtin_strcmp(text, word)
#define ___bcc_type(text, key_type) ( \
	___bcc_is(text, "hash") ? BPF_MAP_TYPE_HASH : \
	___bcc_is(text, "array") ? BPF_MAP_TYPE_ARRAY : \
	___bcc_is(text, "percpu_hash") ? BPF_MAP_TYPE_PERCPU_HASH : \
	___bcc_is(text, "percpu_array") ? BPF_MAP_TYPE_PERCPU_ARRAY : \
	___bcc_is(text, "lru_hash") ? BPF_MAP_TYPE_LRU_HASH : \
	___bcc_is(text, "lru_percpu_hash") ? BPF_MAP_TYPE_LRU_PERCPU_HASH : \
	___bcc_is(text, "lpm_trie") ? BPF_MAP_TYPE_LPM_TRIE : \
	___bcc_is(text, "histogram") ? ___bcc_histogram_type(key_type) : 0)
#define ___bcc_histogram_type(key_type) \
	(__builtin_types_compatible_p(key_type, int) || __builtin_types_compatible_p(key_type, unsigned int) ? \
	 BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_HASH)
#define ___bcc_table_type(text, key_type) (___bcc_type(text, key_type) + !___bcc_type(text, key_type))
#define BPF_F_TABLE(type, key_type, leaf_type, name, size, flags) \
	_Static_assert(___bcc_type(type, key_type), "a table is a hash, array, percpu_hash, percpu_array, lru_hash, " \
		"lru_percpu_hash, lpm_trie or histogram; other maps have macros of their own, as BPF_PROG_ARRAY(name, size)"); \
	___bcc_map(___bcc_table_type(type, key_type), key_type, leaf_type, name, size, \
		   ___bcc_is(type, "lpm_trie") ? (flags) | BPF_F_NO_PREALLOC : (flags))
#define BPF_TABLE(type, key_type, leaf_type, name, size) BPF_F_TABLE(type, key_type, leaf_type, name, size, 0)
#define BPF_TABLE_PUBLIC(type, key_type, leaf_type, name, size) BPF_TABLE(type, key_type, leaf_type, name, size)

/* Shared by name, in the directory that the loader is told: /sys/fs/bpf if none. */
#define ___bcc_shared_table(text, key_type, leaf_type, name, size) \
struct { \
	__uint(type, ___bcc_table_type(text, key_type)); \
	__uint(max_entries, size); \
	__uint(map_flags, ___bcc_is(text, "lpm_trie") ? BPF_F_NO_PREALLOC : 0); \
	__uint(pinning, LIBBPF_PIN_BY_NAME); \
	__type(key, key_type); \
	__type(value, leaf_type); \
} name SEC(".maps"); \
___bcc_methods(name, key_type, leaf_type)
#define BPF_TABLE_SHARED(type, key_type, leaf_type, name, size) ___bcc_shared_table(type, key_type, leaf_type, name, size)
#define BPF_TABLE_PINNED(type, key_type, leaf_type, name, size, path) \
	_Static_assert(___bcc_is(path, "/sys/fs/bpf/" #name), "a pinned table lies at /sys/fs/bpf under its own name"); \
	___bcc_shared_table(type, key_type, leaf_type, name, size)

/* Macros with fewer arguments than the last of them has. */
#define ___bcc_name1(_1, ...) _1
#define ___bcc_pick(_1, _2, _3, _4, macro, ...) macro

#define ___bcc_hash1(t, name) ___bcc_map(t, u64, u64, name, 10240, 0)
#define ___bcc_hash2(t, name, key) ___bcc_map(t, key, u64, name, 10240, 0)
#define ___bcc_hash3(t, name, key, leaf) ___bcc_map(t, key, leaf, name, 10240, 0)
#define ___bcc_hash4(t, name, key, leaf, size) ___bcc_map(t, key, leaf, name, size, 0)
#define ___bcc_hash(t, ...) ___bcc_pick(__VA_ARGS__, ___bcc_hash4, ___bcc_hash3, ___bcc_hash2, ___bcc_hash1)(t, __VA_ARGS__)
#define BPF_HASH(...) ___bcc_hash(BPF_MAP_TYPE_HASH, __VA_ARGS__)
#define BPF_PERCPU_HASH(...) ___bcc_hash(BPF_MAP_TYPE_PERCPU_HASH, __VA_ARGS__)
#define BPF_LRU_HASH(...) ___bcc_hash(BPF_MAP_TYPE_LRU_HASH, __VA_ARGS__)
#define BPF_LRU_PERCPU_HASH(...) ___bcc_hash(BPF_MAP_TYPE_LRU_PERCPU_HASH, __VA_ARGS__)

#define ___bcc_array1(t, name) ___bcc_map(t, int, u64, name, 10240, 0)
#define ___bcc_array2(t, name, leaf) ___bcc_map(t, int, leaf, name, 10240, 0)
#define ___bcc_array3(t, name, leaf, size) ___bcc_map(t, int, leaf, name, size, 0)
#define ___bcc_array(t, ...) ___bcc_pick(__VA_ARGS__, , ___bcc_array3, ___bcc_array2, ___bcc_array1)(t, __VA_ARGS__)
#define BPF_ARRAY(...) ___bcc_array(BPF_MAP_TYPE_ARRAY, __VA_ARGS__)
#define BPF_PERCPU_ARRAY(...) ___bcc_array(BPF_MAP_TYPE_PERCPU_ARRAY, __VA_ARGS__)

#define ___bcc_hist1(name) ___bcc_map(BPF_MAP_TYPE_ARRAY, int, u64, name, 64, 0)
#define ___bcc_hist2(name, key) ___bcc_map(___bcc_histogram_type(key), key, u64, name, 64, 0)
#define ___bcc_hist3(name, key, size) ___bcc_map(___bcc_histogram_type(key), key, u64, name, size, 0)
#define BPF_HISTOGRAM(...) ___bcc_pick(__VA_ARGS__, , ___bcc_hist3, ___bcc_hist2, ___bcc_hist1)(__VA_ARGS__)

#define ___bcc_trie1(name) ___bcc_map(BPF_MAP_TYPE_LPM_TRIE, u64, u64, name, 10240, BPF_F_NO_PREALLOC)
#define ___bcc_trie2(name, key) ___bcc_map(BPF_MAP_TYPE_LPM_TRIE, key, u64, name, 10240, BPF_F_NO_PREALLOC)
#define ___bcc_trie3(name, key, leaf) ___bcc_map(BPF_MAP_TYPE_LPM_TRIE, key, leaf, name, 10240, BPF_F_NO_PREALLOC)
#define ___bcc_trie4(name, key, leaf, size) ___bcc_map(BPF_MAP_TYPE_LPM_TRIE, key, leaf, name, size, BPF_F_NO_PREALLOC)
#define BPF_LPM_TRIE(...) ___bcc_pick(__VA_ARGS__, ___bcc_trie4, ___bcc_trie3, ___bcc_trie2, ___bcc_trie1)(__VA_ARGS__)

#define BPF_PERF_OUTPUT(name) \
___bcc_plain_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, name, 0, 4, 4) \
static __always_inline int name##___perf_submit_3(void *ctx, void *data, __u64 size) \
{ \
	return bpf_perf_event_output(ctx, &name, BPF_F_CURRENT_CPU, data, size); \
} \
static __always_inline int name##___perf_submit_skb_4(void *ctx, __u32 packet, void *data, __u64 size) \
{ \
	return bpf_perf_event_output(ctx, &name, BPF_F_CURRENT_CPU | (__u64)packet << 32, data, size); \
}

#define BPF_PERF_ARRAY(name, size) \
___bcc_plain_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, name, size, 4, 4) \
static __always_inline __u64 name##___perf_read_1(__u64 index) \
{ \
	return bpf_perf_event_read(&name, index); \
} \
static __always_inline int name##___perf_counter_value_3(__u64 index, void *value, __u32 bytes) \
{ \
	return bpf_perf_event_read_value(&name, index, value, bytes); \
}

#define BPF_RINGBUF_OUTPUT(name, pages) \
struct { \
	__uint(type, BPF_MAP_TYPE_RINGBUF); \
	__uint(max_entries, (pages) * 4096); \
} name SEC(".maps"); \
static __always_inline int name##___ringbuf_output_3(void *data, __u64 size, __u64 flags) \
{ \
	return bpf_ringbuf_output(&name, data, size, flags); \
} \
static __always_inline void *name##___ringbuf_reserve_1(__u64 size) \
{ \
	return bpf_ringbuf_reserve(&name, size, 0); \
} \
static __always_inline void name##___ringbuf_submit_2(void *data, __u64 flags) \
{ \
	bpf_ringbuf_submit(data, flags); \
} \
static __always_inline void name##___ringbuf_discard_2(void *data, __u64 flags) \
{ \
	bpf_ringbuf_discard(data, flags); \
} \
static __always_inline __u64 name##___ringbuf_query_1(__u64 flags) \
{ \
	return bpf_ringbuf_query(&name, flags); \
}

#define BPF_STACK_TRACE(name, size) \
___bcc_plain_map(BPF_MAP_TYPE_STACK_TRACE, name, size, 4, 127 * 8) \
static __always_inline int name##___get_stackid_2(void *ctx, __u64 flags) \
{ \
	return bpf_get_stackid(ctx, &name, flags); \
}

#define BPF_STACK_TRACE_BUILDID(name, size) \
struct { \
	__uint(type, BPF_MAP_TYPE_STACK_TRACE); \
	__uint(max_entries, size); \
	__uint(map_flags, BPF_F_STACK_BUILD_ID); \
	__uint(key_size, 4); \
	__uint(value_size, 127 * sizeof(struct bpf_stack_build_id)); \
} name SEC(".maps"); \
static __always_inline int name##___get_stackid_2(void *ctx, __u64 flags) \
{ \
	return bpf_get_stackid(ctx, &name, flags); \
}

#define BPF_PROG_ARRAY(name, size) \
___bcc_plain_map(BPF_MAP_TYPE_PROG_ARRAY, name, size, 4, 4) \
static __always_inline void name##___call_2(void *ctx, __u32 index) \
{ \
	bpf_tail_call(ctx, &name, index); \
}

#define BPF_CGROUP_ARRAY(name, size) \
___bcc_plain_map(BPF_MAP_TYPE_CGROUP_ARRAY, name, size, 4, 4) \
static __always_inline int name##___check_current_task_1(__u32 index) \
{ \
	return bpf_current_task_under_cgroup(&name, index); \
}

#define ___bcc_redirect(map_type, name, size) \
___bcc_plain_map(map_type, name, size, 4, 4) \
static __always_inline int name##___redirect_map_2(__u32 index, __u64 flags) \
{ \
	return bpf_redirect_map(&name, index, flags); \
}
/* What programs of one control group keep. */
#define ___bcc_cgroup_storage(map_type, name, leaf_type) \
struct { \
	__uint(type, map_type); \
	__type(key, struct bpf_cgroup_storage_key); \
	__type(value, leaf_type); \
} name SEC(".maps"); \
static __always_inline __typeof__(leaf_type) *name##___get_local_storage_1(__u64 flags) \
{ \
	return bpf_get_local_storage(&name, flags); \
}
#define BPF_CGROUP_STORAGE(name, leaf) ___bcc_cgroup_storage(BPF_MAP_TYPE_CGROUP_STORAGE, name, leaf)
#define BPF_PERCPU_CGROUP_STORAGE(name, leaf) ___bcc_cgroup_storage(BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, name, leaf)

/* The inner maps are like the one whose name is given as a string; the host fills the outer one. */
#define ___bcc_outer(map_type, name, key_type, inner, size) \
struct { \
	__uint(type, map_type); \
	__uint(max_entries, size); \
	__type(key, key_type); \
	__array(values, __typeof__(__builtin_bcc_map(inner))); \
} name SEC(".maps"); \
static __always_inline void *name##___lookup_1(const void *key) \
{ \
	return bpf_map_lookup_elem(&name, key); \
}
#define BPF_ARRAY_OF_MAPS(name, inner, size) ___bcc_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, name, int, inner, size)
#define ___bcc_outer3(name, inner, size) ___bcc_outer(BPF_MAP_TYPE_HASH_OF_MAPS, name, int, inner, size)
#define ___bcc_outer4(name, key, inner, size) ___bcc_outer(BPF_MAP_TYPE_HASH_OF_MAPS, name, key, inner, size)
#define BPF_HASH_OF_MAPS(...) ___bcc_pick(__VA_ARGS__, ___bcc_outer4, ___bcc_outer3, , )(__VA_ARGS__)

#define BPF_SOCKMAP(name, size) \
struct { \
	__uint(type, BPF_MAP_TYPE_SOCKMAP); \
	__uint(max_entries, size); \
	__type(key, __u32); \
	__type(value, __u32); \
} name SEC(".maps"); \
static __always_inline int name##___sock_map_update_3(struct bpf_sock_ops *ctx, void *key, __u64 flags) \
{ \
	return bpf_sock_map_update(ctx, &name, key, flags); \
} \
static __always_inline int name##___msg_redirect_map_3(struct sk_msg_md *ctx, __u32 key, __u64 flags) \
{ \
	return bpf_msg_redirect_map(ctx, &name, key, flags); \
} \
static __always_inline int name##___sk_redirect_map_3(struct __sk_buff *ctx, __u32 key, __u64 flags) \
{ \
	return bpf_sk_redirect_map(ctx, &name, key, flags); \
}

#define ___bcc_sockhash3(name, key_type, size) \
struct { \
	__uint(type, BPF_MAP_TYPE_SOCKHASH); \
	__uint(max_entries, size); \
	__type(key, key_type); \
	__type(value, __u32); \
} name SEC(".maps"); \
static __always_inline int name##___sock_hash_update_3(struct bpf_sock_ops *ctx, void *key, __u64 flags) \
{ \
	return bpf_sock_hash_update(ctx, &name, key, flags); \
} \
static __always_inline int name##___msg_redirect_hash_3(struct sk_msg_md *ctx, void *key, __u64 flags) \
{ \
	return bpf_msg_redirect_hash(ctx, &name, key, flags); \
} \
static __always_inline int name##___sk_redirect_hash_3(struct __sk_buff *ctx, void *key, __u64 flags) \
{ \
	return bpf_sk_redirect_hash(ctx, &name, key, flags); \
}
#define ___bcc_sockhash2(name, key_type) ___bcc_sockhash3(name, key_type, 10240)
#define ___bcc_sockhash1(name) ___bcc_sockhash3(name, __u32, 10240)
#define BPF_SOCKHASH(...) ___bcc_pick(__VA_ARGS__, , ___bcc_sockhash3, ___bcc_sockhash2, ___bcc_sockhash1)(__VA_ARGS__)

#define BPF_DEVMAP(name, size) ___bcc_redirect(BPF_MAP_TYPE_DEVMAP, name, size)
#define BPF_CPUMAP(name, size) ___bcc_redirect(BPF_MAP_TYPE_CPUMAP, name, size)
#define BPF_XSKMAP(name, size) ___bcc_redirect(BPF_MAP_TYPE_XSKMAP, name, size) \
static __always_inline struct bpf_xdp_sock *name##___lookup_1(const void *key) \
{ \
	return bpf_map_lookup_elem(&name, key); \
}

#define ___bcc_queue(map_type, name, leaf_type, size) \
struct { \
	__uint(type, map_type); \
	__uint(max_entries, size); \
	__type(value, leaf_type); \
} name SEC(".maps"); \
static __always_inline int name##___push_2(const void *leaf, __u64 flags) \
{ \
	return bpf_map_push_elem(&name, leaf, flags); \
} \
static __always_inline int name##___pop_1(void *leaf) \
{ \
	return bpf_map_pop_elem(&name, leaf); \
} \
static __always_inline int name##___peek_1(void *leaf) \
{ \
	return bpf_map_peek_elem(&name, leaf); \
}
#define BPF_QUEUE(name, leaf, size...) ___bcc_queue(BPF_MAP_TYPE_QUEUE, name, leaf, size)
#define BPF_STACK(name, leaf, size...) ___bcc_queue(BPF_MAP_TYPE_STACK, name, leaf, size)

#define ___bcc_storage(map_type, helper, name, leaf_type, owner) \
struct { \
	__uint(type, map_type); \
	__uint(map_flags, BPF_F_NO_PREALLOC); \
	__type(key, int); \
	__type(value, leaf_type); \
} name SEC(".maps"); \
static __always_inline __typeof__(leaf_type) *name##___##helper##_get_3(owner *of, void *leaf, __u64 flags) \
{ \
	return bpf_##helper##_get(&name, of, leaf, flags); \
} \
static __always_inline int name##___##helper##_delete_1(owner *of) \
{ \
	return bpf_##helper##_delete(&name, of); \
}
#define BPF_SK_STORAGE(name, leaf) ___bcc_storage(BPF_MAP_TYPE_SK_STORAGE, sk_storage, name, leaf, void)
#define BPF_TASK_STORAGE(name, leaf) ___bcc_storage(BPF_MAP_TYPE_TASK_STORAGE, task_storage, name, leaf, struct task_struct)
#define BPF_INODE_STORAGE(name, leaf) ___bcc_storage(BPF_MAP_TYPE_INODE_STORAGE, inode_storage, name, leaf, void)
