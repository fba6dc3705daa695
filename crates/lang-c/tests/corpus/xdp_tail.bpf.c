// Encapsulates: room at the head, a header in front, and adjustments of the end.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

SEC("xdp")
int encapsulate(struct xdp_md *ctx)
{
	struct ethhdr *outer, *inner;
	void *data, *data_end;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(struct ethhdr)))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	data_end = (void *)(long)ctx->data_end;
	outer = data;
	inner = data + sizeof(*outer);
	if ((void *)(inner + 1) > data_end)
		return XDP_ABORTED;
	*outer = *inner;
	outer->h_proto = bpf_htons(ETH_P_MPLS_UC);
	outer->h_dest[0] |= 2;
	return XDP_PASS;
}

SEC("xdp")
int trim(struct xdp_md *ctx)
{
	int over = (int)(ctx->data_end - ctx->data) - 60;

	if (over > 0 && bpf_xdp_adjust_tail(ctx, -over) < 0)
		return XDP_ABORTED;
	return ctx->data_end - ctx->data == 60 ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
