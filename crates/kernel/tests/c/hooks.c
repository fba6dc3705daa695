// A program for each hook of sockets, routes and control groups; each counts its runs.
#include "../../../object/tests/c/skep.h"

u64 counts[23];
// The thread whose calls two programs change; set before loading.
const volatile u32 thread = 0;

#define HOOK(number, section, name, result)                                                                            \
	SEC(section) int name(void *ctx)                                                                               \
	{                                                                                                              \
		__sync_fetch_and_add(&counts[number], 1);                                                              \
		return result;                                                                                         \
	}

HOOK(0, "cgroup/sock_create", created, 1)
HOOK(1, "cgroup/sock_release", released, 1)
HOOK(2, "sockops", operated, 1)
HOOK(3, "cgroup/dev", opened, 1)
HOOK(4, "cgroup/sysctl", asked, 1)
HOOK(5, "cgroup/setsockopt", configured, 1)
HOOK(6, "cgroup/connect4", connecting, 1)
HOOK(7, "cgroup_skb/ingress", received, 1)
HOOK(8, "sk_msg", message, 1)
HOOK(9, "sk_skb/stream_verdict", stream, 1)
HOOK(10, "flow_dissector", dissected, 0)
HOOK(11, "sk_reuseport", chosen, 1)
HOOK(12, "lwt_out", leaving, 0)
HOOK(13, "lwt_xmit", transmitted, 0)
HOOK(14, "syscall", called, 7)
HOOK(15, "socket", filtered, -1)
HOOK(16, "lwt_in", arriving, 0)
HOOK(17, "action", acted, 0)
HOOK(18, "lwt_seg6local", segment, 0)
HOOK(19, "lsm_cgroup/socket_connect", refused, 0)
HOOK(20, "lirc_mode2", remote, 0)

// What the thread opens is refused (-EACCES).
SEC("fmod_ret/security_file_open") int modified(void *ctx)
{
	__sync_fetch_and_add(&counts[21], 1);
	return (u32)get_current_pid_tgid() == thread ? -13 : 0;
}

// Test runs of the thread fail (-EDOM).
SEC("raw_tp.w/bpf_test_finish") int finished(u64 *ctx)
{
	int *error = (int *)ctx[0];

	__sync_fetch_and_add(&counts[22], 1);
	if ((u32)get_current_pid_tgid() == thread && *error == 0)
		*error = -33;
	return 0;
}
