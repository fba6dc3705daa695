//! Tracepoints of the kernel whose arguments may be null or errors (`raw_tp_null_args`, and parameters that end in
//! `__nullable`). Every tracepoint with types that Linux 6.18 has was asked by a load for each argument; those of parts that
//! Debian builds as modules are as in Linux 6.12. All other arguments are never null; `tests/tracepoints.rs` asks again.
//!
//! The other facts about typed hooks are in [`crate::hooks`].

use crate::Kernel;

/// What is to be known about an argument before it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Nothing: it is valid.
    None,
    /// It may be null.
    Null,
    /// It may be an error in place of an address.
    Error,
}

/// What an argument of a tracepoint, counted from 0, may be. Linux before 6.12 takes all for valid.
pub fn doubt(kernel: Kernel, tracepoint: &str, argument: usize) -> Doubt {
    if kernel < Kernel::V6_12 || kernel >= Kernel::V6_18 && NO_LONGER.contains(&(tracepoint, argument)) {
        return Doubt::None;
    }
    let marks = |table: &[(&str, u16)]| {
        let found = table.iter().find(|(name, _)| *name == tracepoint);
        found.is_some_and(|(_, mask)| argument < 16 && mask & (1 << argument) != 0)
    };
    match () {
        () if marks(ERRORS) => Doubt::Error,
        () if marks(NULL) => Doubt::Null,
        () => Doubt::None,
    }
}

/// Arguments that may be null in Linux 6.12 and are valid in 6.18.
const NO_LONGER: &[(&str, usize)] = &[("sched_process_wait", 0)];

// TABLE
/// Tracepoints, and a bit for each argument that may be an error.
const ERRORS: &[(&str, u16)] =
    &[("cachefiles_lookup", 0b100), ("mr_integ_alloc", 0b1000), ("signal_deliver", 0b10), ("signal_generate", 0b10)];

// TABLE
/// Tracepoints, and a bit for each argument that may be null.
const NULL: &[(&str, u16)] = &[
    ("afs_flock_ev", 0b10),
    ("afs_make_fs_call", 0b10),
    ("afs_make_fs_call1", 0b10),
    ("afs_make_fs_call2", 0b10),
    ("afs_make_fs_calli", 0b10),
    ("afs_protocol_error", 0b1),
    ("break_lease_block", 0b10),
    ("break_lease_noblock", 0b10),
    ("break_lease_unblock", 0b10),
    ("cachefiles_io_error", 0b1),
    ("cachefiles_lookup", 0b1),
    ("cachefiles_mark_active", 0b1),
    ("cachefiles_mark_failed", 0b1),
    ("cachefiles_mark_inactive", 0b1),
    ("cachefiles_ondemand_close", 0b1),
    ("cachefiles_ondemand_copen", 0b1),
    ("cachefiles_ondemand_cread", 0b1),
    ("cachefiles_ondemand_fd_release", 0b1),
    ("cachefiles_ondemand_fd_write", 0b1),
    ("cachefiles_ondemand_open", 0b1),
    ("cachefiles_ondemand_read", 0b1),
    ("cachefiles_prep_read", 0b1),
    ("cachefiles_rename", 0b1),
    ("cachefiles_unlink", 0b1),
    ("cachefiles_vfs_error", 0b1),
    ("device_pm_callback_start", 0b10),
    ("ext4_mballoc_discard", 0b10),
    ("ext4_mballoc_free", 0b10),
    ("fcntl_setlk", 0b10),
    ("fib_table_lookup", 0b100),
    ("flock_lock_inode", 0b10),
    ("folio_wait_writeback", 0b10),
    ("generic_delete_lease", 0b10),
    ("host1x_cdma_push_gather", 0b10000),
    ("hugetlbfs_alloc_inode", 0b10),
    ("kfree_skb", 0b1000),
    ("locks_remove_posix", 0b10),
    ("mm_collapse_huge_page_isolate", 0b1),
    ("mm_khugepaged_collapse_file", 0b10),
    ("mm_khugepaged_scan_file", 0b10),
    ("mm_khugepaged_scan_pmd", 0b10),
    ("mm_page_alloc", 0b1),
    ("mm_page_alloc_zone_locked", 0b1),
    ("mm_page_pcpu_drain", 0b1),
    ("netfs_failure", 0b10),
    ("posix_lock_inode", 0b10),
    ("qdisc_dequeue", 0b1000),
    ("rxrpc_recvdata", 0b1),
    ("rxrpc_resend", 0b10),
    ("sched_pi_setprio", 0b10),
    ("sched_process_wait", 0b1),
    ("sched_stick_numa", 0b100),
    ("sched_swap_numa", 0b100),
    ("tcp_send_reset", 0b11),
    ("tcp_sendmsg_locked", 0b100),
    ("tegra_dma_tx_status", 0b100),
    ("time_out_leases", 0b10),
    ("tmigr_update_events", 0b1),
    ("writeback_dirty_folio", 0b10),
    ("xfs_blockgc_flush_all", 0b1),
    ("xfs_blockgc_free_space", 0b10),
    ("xfs_blockgc_start", 0b1),
    ("xfs_blockgc_stop", 0b1),
    ("xfs_blockgc_worker", 0b1),
    ("xfs_btree_overlapped_query_range", 0b100),
    ("xfs_btree_updkeys", 0b100),
    ("xfs_defer_add_item", 0b1),
    ("xfs_defer_cancel_item", 0b1),
    ("xfs_defer_cancel_list", 0b1),
    ("xfs_defer_create_intent", 0b1),
    ("xfs_defer_finish_item", 0b1),
    ("xfs_defer_isolate_paused", 0b1),
    ("xfs_defer_item_pause", 0b1),
    ("xfs_defer_item_unpause", 0b1),
    ("xfs_defer_pending_abort", 0b1),
    ("xfs_defer_pending_finish", 0b1),
    ("xfs_defer_relog_intent", 0b1),
    ("xfs_fs_sync_fs", 0b1),
    ("xfs_inodegc_flush", 0b1),
    ("xfs_inodegc_push", 0b1),
    ("xfs_inodegc_queue", 0b1),
    ("xfs_inodegc_start", 0b1),
    ("xfs_inodegc_stop", 0b1),
    ("xfs_inodegc_throttle", 0b1),
    ("xfs_ioc_free_eofblocks", 0b10),
    ("xfs_map_blocks_alloc", 0b10000),
    ("xfs_map_blocks_found", 0b10000),
    ("xprt_get_cong", 0b10),
    ("xprt_put_cong", 0b10),
    ("xprt_release_cong", 0b10),
    ("xprt_reserve_cong", 0b10),
    ("xs_stream_read_data", 0b1),
];
