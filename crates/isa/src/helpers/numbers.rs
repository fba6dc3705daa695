//! Numbers of the helpers that our compilers call, by short names. Each is the number of its row in the table of helpers; a
//! test holds them against it.

macro_rules! helpers {
    ($($name:ident = $number:literal, $text:literal;)+) => {
        $(#[doc = concat!("`bpf_", $text, "`")] pub const $name: u32 = $number;)+

        /// All of them with their names.
        #[cfg(test)]
        const ALL: &[(u32, &str)] = &[$(($number, $text),)+];
    };
}

// TABLE
helpers! {
    MAP_LOOKUP = 1, "map_lookup_elem";
    MAP_UPDATE = 2, "map_update_elem";
    MAP_DELETE = 3, "map_delete_elem";
    PROBE_READ = 4, "probe_read";
    TRACE_PRINTK = 6, "trace_printk";
    GET_RANDOM = 7, "get_prandom_u32";
    PROCESSOR = 8, "get_smp_processor_id";
    TAIL_CALL = 12, "tail_call";
    PID_TGID = 14, "get_current_pid_tgid";
    UID_GID = 15, "get_current_uid_gid";
    COMM = 16, "get_current_comm";
    CURRENT_TASK = 35, "get_current_task";
    PROBE_WRITE_USER = 36, "probe_write_user";
    UNDER_CGROUP = 37, "current_task_under_cgroup";
    NUMA_NODE = 42, "get_numa_node_id";
    PROBE_READ_STR = 45, "probe_read_str";
    SOCKET_COOKIE = 46, "get_socket_cookie";
    OVERRIDE_RETURN = 58, "override_return";
    GET_STACK = 67, "get_stack";
    CGROUP_ID = 80, "get_current_cgroup_id";
    PROBE_READ_USER = 112, "probe_read_user";
    PROBE_READ_KERNEL = 113, "probe_read_kernel";
    PROBE_READ_USER_STR = 114, "probe_read_user_str";
    PROBE_READ_KERNEL_STR = 115, "probe_read_kernel_str";
    JIFFIES = 118, "jiffies64";
    NS_PID_TGID = 120, "get_ns_current_pid_tgid";
    BOOT_NS = 125, "ktime_get_boot_ns";
    RINGBUF_OUTPUT = 130, "ringbuf_output";
    RINGBUF_RESERVE = 131, "ringbuf_reserve";
    RINGBUF_SUBMIT = 132, "ringbuf_submit";
    D_PATH = 147, "d_path";
    CURRENT_TASK_BTF = 158, "get_current_task_btf";
    FOR_EACH = 164, "for_each_map_elem";
    GET_FUNC_IP = 173, "get_func_ip";
    LOOP = 181, "loop";
    GET_FUNC_ARG = 183, "get_func_arg";
    GET_FUNC_RET = 184, "get_func_ret";
    LOOKUP_PERCPU = 195, "map_lookup_percpu_elem";
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_and_names_agree() {
        assert!(super::ALL.is_sorted_by_key(|row| row.0));
        for (number, name) in super::ALL {
            assert_eq!(crate::helpers::by_id(*number).unwrap().name, *name);
        }
    }
}
