//! Helpers: the numbered functions of the kernel that programs call.
//!
//! The table is closed: since Linux 6.2 the kernel adds functions as kfuncs, by name and BTF id.

use crate::Release;

/// One helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Helper {
    /// Number in the call instruction (`enum bpf_func_id`), from 1.
    pub id: u32,
    /// Name without the `bpf_` prefix.
    pub name: &'static str,
    /// First release that has it for some program type.
    pub since: Release,
}

const fn helper(id: u32, name: &'static str, major: u8, minor: u8) -> Helper {
    Helper { id, name, since: Release::new(major, minor) }
}

/// The helper with this number.
pub fn by_id(id: u32) -> Option<&'static Helper> {
    let index = usize::try_from(id.checked_sub(1)?).ok()?;
    HELPERS.get(index)
}

/// The helper with this name, with or without `bpf_`.
pub fn by_name(name: &str) -> Option<&'static Helper> {
    let name = name.strip_prefix("bpf_").unwrap_or(name);
    HELPERS.iter().find(|helper| helper.name == name)
}

// TABLE
/// Every helper in the order of the numbers (`linux/bpf.h`); releases from the history of that file.
#[rustfmt::skip]
pub static HELPERS: [Helper; 211] = [
    helper(1, "map_lookup_elem", 3, 19),
    helper(2, "map_update_elem", 3, 19),
    helper(3, "map_delete_elem", 3, 19),
    helper(4, "probe_read", 4, 1),
    helper(5, "ktime_get_ns", 4, 1),
    helper(6, "trace_printk", 4, 1),
    helper(7, "get_prandom_u32", 4, 1),
    helper(8, "get_smp_processor_id", 4, 1),
    helper(9, "skb_store_bytes", 4, 1),
    helper(10, "l3_csum_replace", 4, 1),
    helper(11, "l4_csum_replace", 4, 1),
    helper(12, "tail_call", 4, 2),
    helper(13, "clone_redirect", 4, 2),
    helper(14, "get_current_pid_tgid", 4, 2),
    helper(15, "get_current_uid_gid", 4, 2),
    helper(16, "get_current_comm", 4, 2),
    helper(17, "get_cgroup_classid", 4, 3),
    helper(18, "skb_vlan_push", 4, 3),
    helper(19, "skb_vlan_pop", 4, 3),
    helper(20, "skb_get_tunnel_key", 4, 3),
    helper(21, "skb_set_tunnel_key", 4, 3),
    helper(22, "perf_event_read", 4, 3),
    helper(23, "redirect", 4, 4),
    helper(24, "get_route_realm", 4, 4),
    helper(25, "perf_event_output", 4, 4),
    helper(26, "skb_load_bytes", 4, 5),
    helper(27, "get_stackid", 4, 6),
    helper(28, "csum_diff", 4, 6),
    helper(29, "skb_get_tunnel_opt", 4, 6),
    helper(30, "skb_set_tunnel_opt", 4, 6),
    helper(31, "skb_change_proto", 4, 8),
    helper(32, "skb_change_type", 4, 8),
    helper(33, "skb_under_cgroup", 4, 8),
    helper(34, "get_hash_recalc", 4, 8),
    helper(35, "get_current_task", 4, 8),
    helper(36, "probe_write_user", 4, 8),
    helper(37, "current_task_under_cgroup", 4, 9),
    helper(38, "skb_change_tail", 4, 9),
    helper(39, "skb_pull_data", 4, 9),
    helper(40, "csum_update", 4, 9),
    helper(41, "set_hash_invalid", 4, 9),
    helper(42, "get_numa_node_id", 4, 10),
    helper(43, "skb_change_head", 4, 10),
    helper(44, "xdp_adjust_head", 4, 10),
    helper(45, "probe_read_str", 4, 11),
    helper(46, "get_socket_cookie", 4, 12),
    helper(47, "get_socket_uid", 4, 12),
    helper(48, "set_hash", 4, 13),
    helper(49, "setsockopt", 4, 13),
    helper(50, "skb_adjust_room", 4, 13),
    helper(51, "redirect_map", 4, 14),
    helper(52, "sk_redirect_map", 4, 14),
    helper(53, "sock_map_update", 4, 14),
    helper(54, "xdp_adjust_meta", 4, 15),
    helper(55, "perf_event_read_value", 4, 15),
    helper(56, "perf_prog_read_value", 4, 15),
    helper(57, "getsockopt", 4, 15),
    helper(58, "override_return", 4, 16),
    helper(59, "sock_ops_cb_flags_set", 4, 16),
    helper(60, "msg_redirect_map", 4, 17),
    helper(61, "msg_apply_bytes", 4, 17),
    helper(62, "msg_cork_bytes", 4, 17),
    helper(63, "msg_pull_data", 4, 17),
    helper(64, "bind", 4, 17),
    helper(65, "xdp_adjust_tail", 4, 18),
    helper(66, "skb_get_xfrm_state", 4, 18),
    helper(67, "get_stack", 4, 18),
    helper(68, "skb_load_bytes_relative", 4, 18),
    helper(69, "fib_lookup", 4, 18),
    helper(70, "sock_hash_update", 4, 18),
    helper(71, "msg_redirect_hash", 4, 18),
    helper(72, "sk_redirect_hash", 4, 18),
    helper(73, "lwt_push_encap", 4, 18),
    helper(74, "lwt_seg6_store_bytes", 4, 18),
    helper(75, "lwt_seg6_adjust_srh", 4, 18),
    helper(76, "lwt_seg6_action", 4, 18),
    helper(77, "rc_repeat", 4, 18),
    helper(78, "rc_keydown", 4, 18),
    helper(79, "skb_cgroup_id", 4, 18),
    helper(80, "get_current_cgroup_id", 4, 18),
    helper(81, "get_local_storage", 4, 19),
    helper(82, "sk_select_reuseport", 4, 19),
    helper(83, "skb_ancestor_cgroup_id", 4, 19),
    helper(84, "sk_lookup_tcp", 4, 20),
    helper(85, "sk_lookup_udp", 4, 20),
    helper(86, "sk_release", 4, 20),
    helper(87, "map_push_elem", 4, 20),
    helper(88, "map_pop_elem", 4, 20),
    helper(89, "map_peek_elem", 4, 20),
    helper(90, "msg_push_data", 4, 20),
    helper(91, "msg_pop_data", 5, 0),
    helper(92, "rc_pointer_rel", 5, 0),
    helper(93, "spin_lock", 5, 1),
    helper(94, "spin_unlock", 5, 1),
    helper(95, "sk_fullsock", 5, 1),
    helper(96, "tcp_sock", 5, 1),
    helper(97, "skb_ecn_set_ce", 5, 1),
    helper(98, "get_listener_sock", 5, 1),
    helper(99, "skc_lookup_tcp", 5, 2),
    helper(100, "tcp_check_syncookie", 5, 2),
    helper(101, "sysctl_get_name", 5, 2),
    helper(102, "sysctl_get_current_value", 5, 2),
    helper(103, "sysctl_get_new_value", 5, 2),
    helper(104, "sysctl_set_new_value", 5, 2),
    helper(105, "strtol", 5, 2),
    helper(106, "strtoul", 5, 2),
    helper(107, "sk_storage_get", 5, 2),
    helper(108, "sk_storage_delete", 5, 2),
    helper(109, "send_signal", 5, 3),
    helper(110, "tcp_gen_syncookie", 5, 3),
    helper(111, "skb_output", 5, 5),
    helper(112, "probe_read_user", 5, 5),
    helper(113, "probe_read_kernel", 5, 5),
    helper(114, "probe_read_user_str", 5, 5),
    helper(115, "probe_read_kernel_str", 5, 5),
    helper(116, "tcp_send_ack", 5, 6),
    helper(117, "send_signal_thread", 5, 6),
    helper(118, "jiffies64", 5, 6),
    helper(119, "read_branch_records", 5, 7),
    helper(120, "get_ns_current_pid_tgid", 5, 7),
    helper(121, "xdp_output", 5, 7),
    helper(122, "get_netns_cookie", 5, 7),
    helper(123, "get_current_ancestor_cgroup_id", 5, 7),
    helper(124, "sk_assign", 5, 7),
    helper(125, "ktime_get_boot_ns", 5, 8),
    helper(126, "seq_printf", 5, 8),
    helper(127, "seq_write", 5, 8),
    helper(128, "sk_cgroup_id", 5, 8),
    helper(129, "sk_ancestor_cgroup_id", 5, 8),
    helper(130, "ringbuf_output", 5, 8),
    helper(131, "ringbuf_reserve", 5, 8),
    helper(132, "ringbuf_submit", 5, 8),
    helper(133, "ringbuf_discard", 5, 8),
    helper(134, "ringbuf_query", 5, 8),
    helper(135, "csum_level", 5, 8),
    helper(136, "skc_to_tcp6_sock", 5, 9),
    helper(137, "skc_to_tcp_sock", 5, 9),
    helper(138, "skc_to_tcp_timewait_sock", 5, 9),
    helper(139, "skc_to_tcp_request_sock", 5, 9),
    helper(140, "skc_to_udp6_sock", 5, 9),
    helper(141, "get_task_stack", 5, 9),
    helper(142, "load_hdr_opt", 5, 10),
    helper(143, "store_hdr_opt", 5, 10),
    helper(144, "reserve_hdr_opt", 5, 10),
    helper(145, "inode_storage_get", 5, 10),
    helper(146, "inode_storage_delete", 5, 10),
    helper(147, "d_path", 5, 10),
    helper(148, "copy_from_user", 5, 10),
    helper(149, "snprintf_btf", 5, 10),
    helper(150, "seq_printf_btf", 5, 10),
    helper(151, "skb_cgroup_classid", 5, 10),
    helper(152, "redirect_neigh", 5, 10),
    helper(153, "per_cpu_ptr", 5, 10),
    helper(154, "this_cpu_ptr", 5, 10),
    helper(155, "redirect_peer", 5, 10),
    helper(156, "task_storage_get", 5, 11),
    helper(157, "task_storage_delete", 5, 11),
    helper(158, "get_current_task_btf", 5, 11),
    helper(159, "bprm_opts_set", 5, 11),
    helper(160, "ktime_get_coarse_ns", 5, 11),
    helper(161, "ima_inode_hash", 5, 11),
    helper(162, "sock_from_file", 5, 11),
    helper(163, "check_mtu", 5, 12),
    helper(164, "for_each_map_elem", 5, 13),
    helper(165, "snprintf", 5, 13),
    helper(166, "sys_bpf", 5, 14),
    helper(167, "btf_find_by_name_kind", 5, 14),
    helper(168, "sys_close", 5, 14),
    helper(169, "timer_init", 5, 15),
    helper(170, "timer_set_callback", 5, 15),
    helper(171, "timer_start", 5, 15),
    helper(172, "timer_cancel", 5, 15),
    helper(173, "get_func_ip", 5, 15),
    helper(174, "get_attach_cookie", 5, 15),
    helper(175, "task_pt_regs", 5, 15),
    helper(176, "get_branch_snapshot", 5, 16),
    helper(177, "trace_vprintk", 5, 16),
    helper(178, "skc_to_unix_sock", 5, 16),
    helper(179, "kallsyms_lookup_name", 5, 16),
    helper(180, "find_vma", 5, 17),
    helper(181, "loop", 5, 17),
    helper(182, "strncmp", 5, 17),
    helper(183, "get_func_arg", 5, 17),
    helper(184, "get_func_ret", 5, 17),
    helper(185, "get_func_arg_cnt", 5, 17),
    helper(186, "get_retval", 5, 18),
    helper(187, "set_retval", 5, 18),
    helper(188, "xdp_get_buff_len", 5, 18),
    helper(189, "xdp_load_bytes", 5, 18),
    helper(190, "xdp_store_bytes", 5, 18),
    helper(191, "copy_from_user_task", 5, 18),
    helper(192, "skb_set_tstamp", 5, 18),
    helper(193, "ima_file_hash", 5, 18),
    helper(194, "kptr_xchg", 5, 19),
    helper(195, "map_lookup_percpu_elem", 5, 19),
    helper(196, "skc_to_mptcp_sock", 5, 19),
    helper(197, "dynptr_from_mem", 5, 19),
    helper(198, "ringbuf_reserve_dynptr", 5, 19),
    helper(199, "ringbuf_submit_dynptr", 5, 19),
    helper(200, "ringbuf_discard_dynptr", 5, 19),
    helper(201, "dynptr_read", 5, 19),
    helper(202, "dynptr_write", 5, 19),
    helper(203, "dynptr_data", 5, 19),
    helper(204, "tcp_raw_gen_syncookie_ipv4", 6, 0),
    helper(205, "tcp_raw_gen_syncookie_ipv6", 6, 0),
    helper(206, "tcp_raw_check_syncookie_ipv4", 6, 0),
    helper(207, "tcp_raw_check_syncookie_ipv6", 6, 0),
    helper(208, "ktime_get_tai_ns", 6, 1),
    helper(209, "user_ringbuf_drain", 6, 1),
    helper(210, "cgrp_storage_get", 6, 2),
    helper(211, "cgrp_storage_delete", 6, 2),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_number() {
        for helper in &HELPERS {
            assert_eq!(by_id(helper.id), Some(helper));
            assert_eq!(by_name(helper.name), Some(helper));
            assert_eq!(by_name(&format!("bpf_{}", helper.name)), Some(helper));
        }
        assert_eq!(by_id(0), None);
        assert_eq!(by_id(212), None);
        assert_eq!(by_name("unspec"), None);
        assert!(HELPERS.is_sorted_by_key(|helper| helper.since));
    }
}
