// Objects of our own in a tree in order of time, and in lists: first in, first out.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define __contains(name, node) __attribute__((btf_decl_tag("contains:" #name ":" #node)))
#define private(name) SEC(".bss." #name) __hidden __attribute__((aligned(8)))

extern void *bpf_obj_new_impl(__u64 local_type_id, void *meta) __ksym;
extern void bpf_obj_drop_impl(void *kptr, void *meta) __ksym;
extern void *bpf_refcount_acquire_impl(void *kptr, void *meta) __ksym;
extern int bpf_list_push_back_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern int bpf_list_push_front_impl(struct bpf_list_head *head, struct bpf_list_node *node, void *meta, __u64 off) __ksym;
extern struct bpf_list_node *bpf_list_pop_front(struct bpf_list_head *head) __ksym;
extern int bpf_rbtree_add_impl(struct bpf_rb_root *root, struct bpf_rb_node *node,
			       bool(less)(struct bpf_rb_node *a, const struct bpf_rb_node *b), void *meta, __u64 off) __ksym;
extern struct bpf_rb_node *bpf_rbtree_first(struct bpf_rb_root *root) __ksym;
extern struct bpf_rb_node *bpf_rbtree_remove(struct bpf_rb_root *root, struct bpf_rb_node *node) __ksym;

#define bpf_obj_new(type) ((type *)bpf_obj_new_impl(bpf_core_type_id_local(type), NULL))
#define bpf_obj_drop(kptr) bpf_obj_drop_impl(kptr, NULL)

struct job {
	u64 deadline;
	u32 id;
	struct bpf_rb_node node;
};

struct entry {
	struct bpf_list_node node;
	u32 number;
};

private(A) struct bpf_spin_lock tree_lock;
private(A) struct bpf_rb_root jobs __contains(job, node);
private(B) struct bpf_spin_lock list_lock;
private(B) struct bpf_list_head entries __contains(entry, node);

u32 order[8];
u32 taken, next_id;
u64 numbers;

static bool earlier(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct job, node)->deadline < container_of(b, struct job, node)->deadline;
}

static int add_job(u64 deadline)
{
	struct job *job = bpf_obj_new(struct job);

	if (!job)
		return -12;
	job->deadline = deadline;
	job->id = ++next_id;
	bpf_spin_lock(&tree_lock);
	bpf_rbtree_add_impl(&jobs, &job->node, earlier, NULL, 0);
	bpf_spin_unlock(&tree_lock);
	return 0;
}

static struct job *first_job(void)
{
	struct bpf_rb_node *node;

	bpf_spin_lock(&tree_lock);
	node = bpf_rbtree_first(&jobs);
	if (node)
		node = bpf_rbtree_remove(&jobs, node);
	bpf_spin_unlock(&tree_lock);
	return node ? container_of(node, struct job, node) : NULL;
}

SEC("tc")
int schedule(struct __sk_buff *skb)
{
	struct job *job;

	for (u32 i = 0; i < 4; i++)
		if (add_job((skb->len * 7 + i * 13) % 10 * 4 + i))
			return -1;
	for (u32 i = 0; i < 4; i++) {
		job = first_job();
		if (!job)
			break;
		order[taken++ & 7] = job->deadline;
		bpf_obj_drop(job);
	}
	return taken;
}

SEC("tc")
int line_up(struct __sk_buff *skb)
{
	struct bpf_list_node *node;
	struct entry *entry;

	for (u32 i = 0; i < 3; i++) {
		entry = bpf_obj_new(struct entry);
		if (!entry)
			return -1;
		entry->number = skb->len + i;
		bpf_spin_lock(&list_lock);
		if (i == 1)
			bpf_list_push_front_impl(&entries, &entry->node, NULL, 0);
		else
			bpf_list_push_back_impl(&entries, &entry->node, NULL, 0);
		bpf_spin_unlock(&list_lock);
	}
	for (u32 i = 0; i < 3; i++) {
		bpf_spin_lock(&list_lock);
		node = bpf_list_pop_front(&entries);
		bpf_spin_unlock(&list_lock);
		if (!node)
			return -2;
		entry = container_of(node, struct entry, node);
		numbers = numbers * 31 + entry->number;
		bpf_obj_drop(entry);
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
