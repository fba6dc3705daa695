/*
 * nflat: Time that packets spend in the hooks of netfilter, which is what rules of iptables and nftables take
 *
 * Question: How much time do firewall rules cost each packet?
 * Topic: network
 *
 * About:
 *   Two programs stand at each hook, one in front of everything and one behind; between them are all tables. With --around
 *   they stand around one priority: 0 is that of the filters of iptables, -200 of connection tracking. It needs Linux 6.4
 *   with CONFIG_NETFILTER_BPF_LINK. Chains of nftables at devices (ingress) are not hooks of this kind.
 *
 * Columns:
 *   hook         HOOK         <12     always  prerouting, input, forward, output or postrouting.
 *   ip           IP           <2      always  4 or 6.
 *   packets      PACKETS      >9      always  Packets that came out of the hook and were timed.
 *   mean_ns      AVG(ns)      >9      always  Their time in the hook on average.
 *   p50_ns       P50(ns)      >9      always  Half of them took less than this power of two.
 *   p99_ns       P99(ns)      >9      always  99 of 100 took less than this power of two.
 *   max_ns       MAX(ns)      >10     always  The longest.
 *   total_ns     TOTAL(ms)    >10 ms  always  All of them together.
 *   dropped      DROPPED      >8      always  Packets that did not come out: dropped, or taken by somebody.
 *   untimed      UNTIMED      >8      wide    Packets that came out, but were changed or overtaken, so that they have no time.
 *
 * Options:
 *   --netns PID|PATH       set netns    In this network namespace: of a process, a path, a name of `ip netns`.
 *   --hook HOOK            set hook     Only this hook.
 *   --around PRIORITY      set around   Only what has this priority.
 *   -4, --ipv4             where ip == 4   Only IPv4.
 *   -6, --ipv6             where ip == 6   Only IPv6.
 *
 * Order: -total_ns
 *
 * Arguments: interval count
 *
 * Example:
 *   $ sudo skep nflat 1 1
 *   HOOK         IP   PACKETS   AVG(ns)   P50(ns)   P99(ns)    MAX(ns)  TOTAL(ms)  DROPPED
 *   input        4       2000     13371     16384     32768     183020      26.74        0
 *   output       4       2000       271       512      1024      21080       0.54        0
 */
# HOOK is the number of the hook, 5 times 0 (IPv4) or 1 (IPv6) plus its number in the kernel; map 0 has a value for each, by
# processor: 0 when the packet came, 8 its address, 16 how many came, 24 how many left, 32 how many were timed, 40 their
# time, 48 the longest, 56 how many by powers of two.

# before
r6 = *(u64 *)(r1 +8)
*(u32 *)(r10 -4) = HOOK
r2 = r10
r2 += -4
r1 = map[fd:0] ll
call bpf_map_lookup_elem
if r0 == 0 goto out
r7 = r0
r1 = *(u64 *)(r7 +16)
r1 += 1
*(u64 *)(r7 +16) = r1
*(u64 *)(r7 +8) = r6
call bpf_ktime_get_ns
*(u64 *)(r7 +0) = r0
out:
r0 = 1
exit

# after
r6 = *(u64 *)(r1 +8)
call bpf_ktime_get_ns
r8 = r0
*(u32 *)(r10 -4) = HOOK
r2 = r10
r2 += -4
r1 = map[fd:0] ll
call bpf_map_lookup_elem
if r0 == 0 goto out
r7 = r0
r1 = *(u64 *)(r7 +24)
r1 += 1
*(u64 *)(r7 +24) = r1
r1 = *(u64 *)(r7 +8)
if r1 != r6 goto out
r1 = *(u64 *)(r7 +0)
r8 -= r1
r1 = 0
*(u64 *)(r7 +8) = r1
r1 = *(u64 *)(r7 +32)
r1 += 1
*(u64 *)(r7 +32) = r1
r1 = *(u64 *)(r7 +40)
r1 += r8
*(u64 *)(r7 +40) = r1
r1 = *(u64 *)(r7 +48)
if r1 >= r8 goto bits
*(u64 *)(r7 +48) = r8
bits:
r3 = 0
r2 = 4294967295 ll
if r2 >= r8 goto small
r8 = r2
small:
if r8 < 65536 goto bits8
r3 += 16
r8 >>= 16
bits8:
if r8 < 256 goto bits4
r3 += 8
r8 >>= 8
bits4:
if r8 < 16 goto bits2
r3 += 4
r8 >>= 4
bits2:
if r8 < 4 goto bits1
r3 += 2
r8 >>= 2
bits1:
if r8 < 2 goto add
r3 += 1
add:
r3 &= 31
r3 <<= 3
r7 += r3
r1 = *(u64 *)(r7 +56)
r1 += 1
*(u64 *)(r7 +56) = r1
out:
r0 = 1
exit
