//! Functions of the kernel that have had several names: what scripts call them, what they are called elsewhere, and what
//! of their arguments is still the same.
//!
//! Sources: the history of the kernel's files that are named with the rows.

/// A function under another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renamed {
    /// The name that a script may use.
    pub name: &'static str,
    /// The name that the kernel may have instead.
    pub other: &'static str,
    /// For each argument of the first its place among those of the second; what is not listed has no equal.
    pub args: &'static [Option<u32>],
}

/// All arguments are the same.
const SAME: &[Option<u32>] = &[Some(0), Some(1), Some(2), Some(3), Some(4), Some(5)];

const fn row(name: &'static str, other: &'static str, args: &'static [Option<u32>]) -> Renamed {
    Renamed { name, other, args }
}

// TABLE: by the name that scripts use; of several rows for a name the first counts whose function the kernel has.
/// All of them.
pub const RENAMED: &[Renamed] = &[
    // block/blk-core.c, block/blk-mq.c: 4.x, 5.16, 6.5.
    row("blk_account_io_start", "__blk_account_io_start", SAME),
    row("__blk_account_io_start", "blk_account_io_start", SAME),
    row("blk_account_io_done", "__blk_account_io_done", SAME),
    row("__blk_account_io_done", "blk_account_io_done", SAME),
    row("blk_start_request", "blk_mq_start_request", SAME),
    // fs/open.c: 5.6 put the flags and the mode into a structure.
    row("do_sys_open", "do_sys_openat2", &[Some(0), Some(1)]),
    row("do_sys_openat2", "do_sys_open", &[Some(0), Some(1)]),
    // kernel/fork.c: 4.2, 5.10.
    row("do_fork", "kernel_clone", &[]),
    row("_do_fork", "kernel_clone", &[]),
    row("kernel_clone", "_do_fork", &[]),
    // mm/page_io.c: 6.8 takes a folio.
    row("swap_readpage", "swap_read_folio", &[]),
    row("swap_read_folio", "swap_readpage", &[]),
    // mm/swap.c, mm/filemap.c, fs/buffer.c: folios in place of pages, 5.16 to 6.0.
    row("mark_page_accessed", "folio_mark_accessed", SAME),
    row("folio_mark_accessed", "mark_page_accessed", SAME),
    row("account_page_dirtied", "folio_account_dirtied", SAME),
    row("folio_account_dirtied", "account_page_dirtied", SAME),
    row("add_to_page_cache_lru", "filemap_add_folio", &[Some(1), Some(0), Some(2), Some(3)]),
    row("filemap_add_folio", "add_to_page_cache_lru", &[Some(1), Some(0), Some(2), Some(3)]),
    row("__do_page_cache_readahead", "page_cache_ra_unbounded", &[]),
    row("do_page_cache_ra", "__do_page_cache_readahead", &[]),
    // fs/read_write.c: 5.10 merged the two.
    row("__vfs_read", "vfs_read", SAME),
    row("__vfs_write", "vfs_write", SAME),
    // net/core/skbuff.c: 5.17, 6.11 put the socket in front.
    row("kfree_skb", "kfree_skb_reason", SAME),
    row("kfree_skb", "sk_skb_reason_drop", &[Some(1)]),
    row("kfree_skb_reason", "sk_skb_reason_drop", &[Some(1), Some(2)]),
    row("kfree_skb_reason", "kfree_skb", &[Some(0)]),
    // net/core/dev.c: the first is inline since 5.18.
    row("dev_queue_xmit", "__dev_queue_xmit", SAME),
    // kernel/signal.c: 4.20, 5.1.
    row("send_signal", "send_signal_locked", SAME),
    row("__send_signal", "__send_signal_locked", SAME),
];

/// Endings that compilers give to a version of a function that stands for it: with other parameters (`.isra`) or with
/// constants in place of some (`.constprop`). Parts (`.part`, `.cold`) do not stand for the whole.
pub const VERSIONS: &[&str] = &[".isra.", ".constprop.", ".llvm."];

/// Other names for a function, in the order in which they are to be tried.
pub fn others(name: &str) -> impl Iterator<Item = &'static Renamed> {
    RENAMED.iter().filter(move |row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_lead_somewhere_else() {
        for row in RENAMED {
            assert_ne!(row.name, row.other);
            assert!(row.args.iter().flatten().all(|&place| place < 6), "{}", row.name);
            assert_eq!(RENAMED.iter().filter(|other| (other.name, other.other) == (row.name, row.other)).count(), 1);
        }
        assert_eq!(others("kfree_skb").count(), 2);
        assert_eq!(others("vfs_reed").count(), 0);
    }
}
