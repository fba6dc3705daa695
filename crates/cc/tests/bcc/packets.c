// Packets by protocol and port: a filter of sockets, and one for the driver.
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/in.h>

BPF_HASH(protocols, u32, u64, 256);
BPF_ARRAY(lengths, u64, 16);
BPF_PERCPU_HASH(cpus, u32, u64, 16);

int classify(struct xdp_md *ctx)
{
    void *data = (void *)(long)ctx->data;
    void *data_end = (void *)(long)ctx->data_end;
    struct ethhdr *eth = data;
    u32 proto = 0;
    u64 nh_off = sizeof(*eth);
    struct iphdr *iph;

    if (data + nh_off > data_end)
        return XDP_DROP;
    bpf_probe_read_kernel(&proto, 2, &eth->h_proto);
    if (ntohs(proto) != ETH_P_IP)
        return XDP_PASS;
    iph = data + nh_off;
    if ((void *)&iph[1] > data_end)
        return XDP_DROP;
    protocols.increment(iph->protocol);
    lengths.increment((data_end - data) >> 7 & 15);
    cpus.increment(0);
    return iph->ttl > 1 ? XDP_PASS : XDP_DROP;
}

int filter(struct __sk_buff *skb)
{
    u32 key = 1000 + load_byte(skb, 9);

    if (load_byte(skb, 0) >> 4 != 4)
        return 0;
    protocols.increment(key);
    return load_half(skb, 2);
}
