//! Numbers of the helpers that programs of scripts call.

use skep_isa::helpers::number;

/// `bpf_map_lookup_elem`
pub const MAP_LOOKUP: u32 = number("map_lookup_elem");
/// `bpf_map_update_elem`
pub const MAP_UPDATE: u32 = number("map_update_elem");
/// `bpf_map_delete_elem`
pub const MAP_DELETE: u32 = number("map_delete_elem");
/// `bpf_probe_read`
pub const PROBE_READ: u32 = number("probe_read");
/// `bpf_trace_printk`
pub const TRACE_PRINTK: u32 = number("trace_printk");
/// `bpf_get_prandom_u32`
pub const GET_RANDOM: u32 = number("get_prandom_u32");
/// `bpf_get_smp_processor_id`
pub const PROCESSOR: u32 = number("get_smp_processor_id");
/// `bpf_tail_call`
pub const TAIL_CALL: u32 = number("tail_call");
/// `bpf_get_current_pid_tgid`
pub const PID_TGID: u32 = number("get_current_pid_tgid");
/// `bpf_get_current_uid_gid`
pub const UID_GID: u32 = number("get_current_uid_gid");
/// `bpf_get_current_comm`
pub const COMM: u32 = number("get_current_comm");
/// `bpf_probe_write_user`
pub const PROBE_WRITE_USER: u32 = number("probe_write_user");
/// `bpf_get_numa_node_id`
pub const NUMA_NODE: u32 = number("get_numa_node_id");
/// `bpf_get_current_task`
pub const CURRENT_TASK: u32 = number("get_current_task");
/// `bpf_probe_read_str`
pub const PROBE_READ_STR: u32 = number("probe_read_str");
/// `bpf_get_socket_cookie`
pub const SOCKET_COOKIE: u32 = number("get_socket_cookie");
/// `bpf_override_return`
pub const OVERRIDE_RETURN: u32 = number("override_return");
/// `bpf_get_stack`
pub const GET_STACK: u32 = number("get_stack");
/// `bpf_get_current_cgroup_id`
pub const CGROUP_ID: u32 = number("get_current_cgroup_id");
/// `bpf_probe_read_user`
pub const PROBE_READ_USER: u32 = number("probe_read_user");
/// `bpf_probe_read_kernel`
pub const PROBE_READ_KERNEL: u32 = number("probe_read_kernel");
/// `bpf_probe_read_user_str`
pub const PROBE_READ_USER_STR: u32 = number("probe_read_user_str");
/// `bpf_probe_read_kernel_str`
pub const PROBE_READ_KERNEL_STR: u32 = number("probe_read_kernel_str");
/// `bpf_jiffies64`
pub const JIFFIES: u32 = number("jiffies64");
/// `bpf_get_ns_current_pid_tgid`
pub const NS_PID_TGID: u32 = number("get_ns_current_pid_tgid");
/// `bpf_ktime_get_boot_ns`
pub const BOOT_NS: u32 = number("ktime_get_boot_ns");
/// `bpf_get_current_task_btf`
pub const CURRENT_TASK_BTF: u32 = number("get_current_task_btf");
/// `bpf_ringbuf_reserve`
pub const RINGBUF_RESERVE: u32 = number("ringbuf_reserve");
/// `bpf_ringbuf_submit`
pub const RINGBUF_SUBMIT: u32 = number("ringbuf_submit");
/// `bpf_d_path`
pub const D_PATH: u32 = number("d_path");
/// `bpf_for_each_map_elem`
pub const FOR_EACH: u32 = number("for_each_map_elem");
/// `bpf_get_func_ip`
pub const GET_FUNC_IP: u32 = number("get_func_ip");
/// `bpf_task_pt_regs`
pub const TASK_REGISTERS: u32 = number("task_pt_regs");
/// `bpf_loop`
pub const LOOP: u32 = number("loop");
/// `bpf_get_func_arg`
pub const GET_FUNC_ARG: u32 = number("get_func_arg");
/// `bpf_get_func_ret`
pub const GET_FUNC_RET: u32 = number("get_func_ret");
/// `bpf_map_lookup_percpu_elem`
pub const LOOKUP_PERCPU: u32 = number("map_lookup_percpu_elem");
