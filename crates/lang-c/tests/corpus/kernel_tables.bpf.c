// Tables of the kernel as text: connections, open files, programs, symbols, entries of a map.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u64);
} sums SEC(".maps");

static const char *const states[] = {
	"UNUSED", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT",
	"CLOSE", "CLOSE_WAIT", "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
};

u64 entries, entry_sum;

SEC("iter/tcp")
int dump_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;
	struct seq_file *seq = ctx->meta->seq;
	struct tcp_sock *tcp;
	u32 queued = 0;

	if (!common)
		return 0;
	if (ctx->meta->seq_num == 0)
		BPF_SEQ_PRINTF(seq, "%-6s %-22s %-22s %s\n", "uid", "local", "remote", "state");
	if (common->skc_family != 2)
		return 0;
	tcp = bpf_skc_to_tcp_sock(common);
	if (tcp)
		queued = tcp->write_seq - tcp->snd_una;
	BPF_SEQ_PRINTF(seq, "%-6u %pI4:%u %pI4:%u %d %u\n", ctx->uid, &common->skc_rcv_saddr, common->skc_num,
		       &common->skc_daddr, bpf_ntohs(common->skc_dport), common->skc_state, queued);
	return 0;
}

SEC("iter/udp")
int dump_udp(struct bpf_iter__udp *ctx)
{
	struct udp_sock *udp = ctx->udp_sk;
	struct inet_sock *inet;

	if (!udp)
		return 0;
	inet = &udp->inet;
	BPF_SEQ_PRINTF(ctx->meta->seq, "%5u: %08X:%04X\n", ctx->bucket, inet->sk.__sk_common.skc_rcv_saddr,
		       inet->sk.__sk_common.skc_num);
	return 0;
}

SEC("iter/task_file")
int dump_files(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	if (!task || !file)
		return 0;
	if (task->tgid == task->pid)
		BPF_SEQ_PRINTF(ctx->meta->seq, "%s %d %d %lx %ld\n", task->comm, task->tgid, ctx->fd, (long)file->f_op,
			       file->f_inode->i_ino);
	return 0;
}

SEC("iter/bpf_prog")
int dump_programs(struct bpf_iter__bpf_prog *ctx)
{
	struct bpf_prog *prog = ctx->prog;
	struct bpf_prog_aux *aux;

	if (!prog)
		return 0;
	aux = prog->aux;
	BPF_SEQ_PRINTF(ctx->meta->seq, "%4u %-16s %6u %s\n", aux->id, aux->name, prog->len,
		       prog->jited ? "compiled" : "interpreted");
	return 0;
}

SEC("iter/bpf_map_elem")
int sum_entries(struct bpf_iter__bpf_map_elem *ctx)
{
	u32 *key = ctx->key;
	u64 *value = ctx->value;

	if (!key || !value)
		return 0;
	entries++;
	entry_sum += *key * *value;
	*value = 0;
	return 0;
}

SEC("iter.s/task")
int dump_commands(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	char head[8] = {};
	void *start;
	u32 state;

	if (!task || !task->mm)
		return 0;
	start = (void *)task->mm->arg_start;
	if (bpf_copy_from_user_task(head, sizeof(head), start, task, 0))
		return 0;
	head[sizeof(head) - 1] = 0;
	state = task->__state & 0x7f;
	BPF_SEQ_PRINTF(ctx->meta->seq, "%d %s %s %u\n", task->tgid, task->comm, head, state);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
