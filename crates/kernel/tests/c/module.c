// Functions of a module of the kernel (nf_conntrack).
#include "../../../object/tests/c/skep.h"

struct __sk_buff {
    u32 len;
};
struct nf_conn {
    u32 mark;
};
struct bpf_sock_tuple {
    u32 addresses[2];
    u16 ports[2];
};
struct bpf_ct_opts {
    s32 netns_id;
    s32 error;
    u8 l4proto;
    u8 dir;
    u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, u32 size,
                                         struct bpf_ct_opts *opts, u32 opts_size) __ksym;
extern void bpf_ct_release(struct nf_conn *connection) __ksym;

int error;

SEC("tc") int look(struct __sk_buff *skb)
{
    struct bpf_sock_tuple tuple = {};
    struct bpf_ct_opts opts = { .netns_id = -1, .l4proto = 17 };
    struct nf_conn *found = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple), &opts, sizeof(opts));
    error = opts.error;
    if (found)
        bpf_ct_release(found);
    return 5;
}
