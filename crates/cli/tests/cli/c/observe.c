// A program of each kind that can be attached without devices, and maps with and without types.
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;

enum colour { RED = 1, GREEN = 2 };

struct place {
	u32 port;
	unsigned char name[4];
};

struct facts {
	u64 count;
	enum colour colour;
	int pair[2];
	char text[12];
	unsigned flag : 1;
	unsigned level : 3;
};

struct {
	__uint(type, 1);
	__uint(max_entries, 8);
	__type(key, struct place);
	__type(value, struct facts);
} obs_typed SEC(".maps");

struct {
	__uint(type, 6);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, u64);
} obs_percpu SEC(".maps");

struct {
	__uint(type, 2);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__uint(value_size, 8);
} obs_plain SEC(".maps");

struct {
	__uint(type, 22);
	__uint(max_entries, 3);
	__uint(value_size, 4);
} obs_queue SEC(".maps");

u32 obs_counter = 5;
const volatile int obs_limit = 7;

static __attribute__((noinline)) int helper_function(u32 number)
{
	u32 key = number & 1;
	u64 *value = bpf_map_lookup_elem(&obs_percpu, &key);

	return value ? (int)*value : -1;
}

SEC("tc") int observed_classifier_with_a_long_name(void *context)
{
	struct place place = {};

	obs_counter += obs_limit;
	if (bpf_map_lookup_elem(&obs_typed, &place))
		return helper_function(obs_counter);
	u32 zero = 0;
	return bpf_map_lookup_elem(&obs_plain, &zero) ? 0 : 1;
}

SEC("xdp") int obs_xdp(void *context)
{
	return 2;
}

SEC("raw_tp/sched_switch") int obs_raw(void *context)
{
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpid") int obs_tracepoint(void *context)
{
	return 0;
}

SEC("perf_event") int obs_perf(void *context)
{
	return 0;
}

SEC("cgroup_skb/egress") int obs_egress(void *context)
{
	return 1;
}

SEC("cgroup/connect4") int obs_connect(void *context)
{
	return 1;
}

SEC("flow_dissector") int obs_dissector(void *context)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
