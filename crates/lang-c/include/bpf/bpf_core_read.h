// Reads of the kernel's memory that are relocated to the kernel that runs.
#pragma once
#include <bpf/bpf_helpers.h>

enum bpf_field_info_kind {
	BPF_FIELD_BYTE_OFFSET = 0,
	BPF_FIELD_BYTE_SIZE = 1,
	BPF_FIELD_EXISTS = 2,
	BPF_FIELD_SIGNED = 3,
	BPF_FIELD_LSHIFT_U64 = 4,
	BPF_FIELD_RSHIFT_U64 = 5,
};

enum bpf_type_id_kind {
	BPF_TYPE_ID_LOCAL = 0,
	BPF_TYPE_ID_TARGET = 1,
};

enum bpf_type_info_kind {
	BPF_TYPE_EXISTS = 0,
	BPF_TYPE_SIZE = 1,
	BPF_TYPE_MATCHES = 2,
};

enum bpf_enum_value_kind {
	BPF_ENUMVAL_EXISTS = 0,
	BPF_ENUMVAL_VALUE = 1,
};

#define __CORE_RELO(src, field, info) __builtin_preserve_field_info((src)->field, BPF_FIELD_##info)

#define BPF_CORE_READ_BITFIELD_PROBED(s, field) ({ \
	unsigned long long ___bits = 0; \
	bpf_probe_read_kernel(&___bits, __CORE_RELO(s, field, BYTE_SIZE), \
		(const void *)(s) + __CORE_RELO(s, field, BYTE_OFFSET)); \
	___bits <<= __CORE_RELO(s, field, LSHIFT_U64); \
	if (__CORE_RELO(s, field, SIGNED)) \
		___bits = ((long long)___bits) >> __CORE_RELO(s, field, RSHIFT_U64); \
	else \
		___bits = ___bits >> __CORE_RELO(s, field, RSHIFT_U64); \
	___bits; \
})

#define BPF_CORE_READ_BITFIELD(s, field) ({ \
	const void *___at = (const void *)(s) + __CORE_RELO(s, field, BYTE_OFFSET); \
	unsigned long long ___bits; \
	switch (__CORE_RELO(s, field, BYTE_SIZE)) { \
	case 1: ___bits = *(const unsigned char *)___at; break; \
	case 2: ___bits = *(const unsigned short *)___at; break; \
	case 4: ___bits = *(const unsigned int *)___at; break; \
	case 8: ___bits = *(const unsigned long long *)___at; break; \
	default: ___bits = 0; break; \
	} \
	___bits <<= __CORE_RELO(s, field, LSHIFT_U64); \
	if (__CORE_RELO(s, field, SIGNED)) \
		___bits = ((long long)___bits) >> __CORE_RELO(s, field, RSHIFT_U64); \
	else \
		___bits = ___bits >> __CORE_RELO(s, field, RSHIFT_U64); \
	___bits; \
})

#define ___bpf_field_ref1(field) (field)
#define ___bpf_field_ref2(type, field) (((__typeof__(type) *)0)->field)
#define ___bpf_field_ref(args...) ___bpf_apply(___bpf_field_ref, ___bpf_narg(args))(args)

#define bpf_core_field_exists(field...) __builtin_preserve_field_info(___bpf_field_ref(field), BPF_FIELD_EXISTS)
#define bpf_core_field_size(field...) __builtin_preserve_field_info(___bpf_field_ref(field), BPF_FIELD_BYTE_SIZE)
#define bpf_core_field_offset(field...) __builtin_preserve_field_info(___bpf_field_ref(field), BPF_FIELD_BYTE_OFFSET)

#define bpf_core_type_id_local(type) __builtin_btf_type_id(*(__typeof__(type) *)0, BPF_TYPE_ID_LOCAL)
#define bpf_core_type_id_kernel(type) __builtin_btf_type_id(*(__typeof__(type) *)0, BPF_TYPE_ID_TARGET)
#define bpf_core_type_exists(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_EXISTS)
#define bpf_core_type_matches(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_MATCHES)
#define bpf_core_type_size(type) __builtin_preserve_type_info(*(__typeof__(type) *)0, BPF_TYPE_SIZE)
#define bpf_core_enum_value_exists(enum_type, enum_value) \
	__builtin_preserve_enum_value(*(__typeof__(enum_type) *)enum_value, BPF_ENUMVAL_EXISTS)
#define bpf_core_enum_value(enum_type, enum_value) \
	__builtin_preserve_enum_value(*(__typeof__(enum_type) *)enum_value, BPF_ENUMVAL_VALUE)

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;
#define bpf_core_cast(ptr, type) \
	((__typeof__(type) *)bpf_rdonly_cast((ptr), bpf_core_type_id_kernel(type)))

#define bpf_core_read(dst, sz, src) \
	bpf_probe_read_kernel(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_user(dst, sz, src) \
	bpf_probe_read_user(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_str(dst, sz, src) \
	bpf_probe_read_kernel_str(dst, sz, (const void *)__builtin_preserve_access_index(src))
#define bpf_core_read_user_str(dst, sz, src) \
	bpf_probe_read_user_str(dst, sz, (const void *)__builtin_preserve_access_index(src))

// A chain of reads: all pointers on the way into ___at, and what the last one points to into d.
#define ___core_head(f, s, m) f(&___at, sizeof(___at), &(s)->m);
#define ___core_step(f, path, m) f(&___at, sizeof(___at), &((__typeof__(path))___at)->m);
#define ___core_tail(l, d, path, m) l(d, sizeof(*(d)), &((__typeof__(path))___at)->m)
#define ___core_chain1(rd, last, dst, src, m1) last(dst, sizeof(*(dst)), &(src)->m1)
#define ___core_chain2(rd, last, dst, src, m1, m2) ___core_head(rd, src, m1) ___core_tail(last, dst, (src)->m1, m2)
#define ___core_chain3(rd, last, dst, src, m1, m2, m3) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_tail(last, dst, (src)->m1->m2, m3)
#define ___core_chain4(rd, last, dst, src, m1, m2, m3, m4) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_tail(last, dst, (src)->m1->m2->m3, m4)
#define ___core_chain5(rd, last, dst, src, m1, m2, m3, m4, m5) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_step(rd, (src)->m1->m2->m3, m4) ___core_tail(last, dst, (src)->m1->m2->m3->m4, m5)
#define ___core_chain6(rd, last, dst, src, m1, m2, m3, m4, m5, m6) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_step(rd, (src)->m1->m2->m3, m4) ___core_step(rd, (src)->m1->m2->m3->m4, m5) ___core_tail(last, dst, (src)->m1->m2->m3->m4->m5, m6)
#define ___core_chain7(rd, last, dst, src, m1, m2, m3, m4, m5, m6, m7) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_step(rd, (src)->m1->m2->m3, m4) ___core_step(rd, (src)->m1->m2->m3->m4, m5) ___core_step(rd, (src)->m1->m2->m3->m4->m5, m6) ___core_tail(last, dst, (src)->m1->m2->m3->m4->m5->m6, m7)
#define ___core_chain8(rd, last, dst, src, m1, m2, m3, m4, m5, m6, m7, m8) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_step(rd, (src)->m1->m2->m3, m4) ___core_step(rd, (src)->m1->m2->m3->m4, m5) ___core_step(rd, (src)->m1->m2->m3->m4->m5, m6) ___core_step(rd, (src)->m1->m2->m3->m4->m5->m6, m7) ___core_tail(last, dst, (src)->m1->m2->m3->m4->m5->m6->m7, m8)
#define ___core_chain9(rd, last, dst, src, m1, m2, m3, m4, m5, m6, m7, m8, m9) ___core_head(rd, src, m1) ___core_step(rd, (src)->m1, m2) ___core_step(rd, (src)->m1->m2, m3) ___core_step(rd, (src)->m1->m2->m3, m4) ___core_step(rd, (src)->m1->m2->m3->m4, m5) ___core_step(rd, (src)->m1->m2->m3->m4->m5, m6) ___core_step(rd, (src)->m1->m2->m3->m4->m5->m6, m7) ___core_step(rd, (src)->m1->m2->m3->m4->m5->m6->m7, m8) ___core_tail(last, dst, (src)->m1->m2->m3->m4->m5->m6->m7->m8, m9)
#define ___core_path1(src, m1) (src)->m1
#define ___core_path2(src, m1, m2) (src)->m1->m2
#define ___core_path3(src, m1, m2, m3) (src)->m1->m2->m3
#define ___core_path4(src, m1, m2, m3, m4) (src)->m1->m2->m3->m4
#define ___core_path5(src, m1, m2, m3, m4, m5) (src)->m1->m2->m3->m4->m5
#define ___core_path6(src, m1, m2, m3, m4, m5, m6) (src)->m1->m2->m3->m4->m5->m6
#define ___core_path7(src, m1, m2, m3, m4, m5, m6, m7) (src)->m1->m2->m3->m4->m5->m6->m7
#define ___core_path8(src, m1, m2, m3, m4, m5, m6, m7, m8) (src)->m1->m2->m3->m4->m5->m6->m7->m8
#define ___core_path9(src, m1, m2, m3, m4, m5, m6, m7, m8, m9) (src)->m1->m2->m3->m4->m5->m6->m7->m8->m9
#define ___core_chain(f, l, d, s, args...) \
	({ const void *___at; (void)___at; ___bpf_apply(___core_chain, ___bpf_narg(args))(f, l, d, s, args); })
#define ___core_type(s, args...) __typeof__(___bpf_apply(___core_path, ___bpf_narg(args))(s, args))

#define BPF_CORE_READ_INTO(dst, src, a, ...) ___core_chain(bpf_core_read, bpf_core_read, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER_INTO(dst, src, a, ...) \
	___core_chain(bpf_core_read_user, bpf_core_read_user, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_INTO(dst, src, a, ...) \
	___core_chain(bpf_probe_read_kernel, bpf_probe_read_kernel, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER_INTO(dst, src, a, ...) \
	___core_chain(bpf_probe_read_user, bpf_probe_read_user, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_STR_INTO(dst, src, a, ...) \
	___core_chain(bpf_core_read, bpf_core_read_str, dst, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER_STR_INTO(dst, src, a, ...) \
	___core_chain(bpf_core_read_user, bpf_core_read_user_str, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_STR_INTO(dst, src, a, ...) \
	___core_chain(bpf_probe_read_kernel, bpf_probe_read_kernel_str, dst, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER_STR_INTO(dst, src, a, ...) \
	___core_chain(bpf_probe_read_user, bpf_probe_read_user_str, dst, src, a, ##__VA_ARGS__)

#define ___core_value(into, src, a, ...) \
	({ ___core_type((src), a, ##__VA_ARGS__) ___value; into(&___value, (src), a, ##__VA_ARGS__); ___value; })
#define BPF_CORE_READ(src, a, ...) ___core_value(BPF_CORE_READ_INTO, src, a, ##__VA_ARGS__)
#define BPF_CORE_READ_USER(src, a, ...) ___core_value(BPF_CORE_READ_USER_INTO, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ(src, a, ...) ___core_value(BPF_PROBE_READ_INTO, src, a, ##__VA_ARGS__)
#define BPF_PROBE_READ_USER(src, a, ...) ___core_value(BPF_PROBE_READ_USER_INTO, src, a, ##__VA_ARGS__)
