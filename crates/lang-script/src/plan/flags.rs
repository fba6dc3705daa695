//! Flags of memory allocations (`%gr`): names and bits as `include/trace/events/mmflags.h` and `include/linux/gfp_types.h`
//! of the kernel have them.

use std::sync::Arc;

/// How the bit of a flag is called in the kernel's types, where it has been there by default, and the flag's name, in the
/// order in which the kernel prints them.
// TABLE
const FLAGS: &[(&str, u32, &str)] = &[
    ("___GFP_DMA_BIT", 0, "__GFP_DMA"),
    ("___GFP_HIGHMEM_BIT", 1, "__GFP_HIGHMEM"),
    ("___GFP_DMA32_BIT", 2, "__GFP_DMA32"),
    ("___GFP_MOVABLE_BIT", 3, "__GFP_MOVABLE"),
    ("___GFP_RECLAIMABLE_BIT", 4, "__GFP_RECLAIMABLE"),
    ("___GFP_HIGH_BIT", 5, "__GFP_HIGH"),
    ("___GFP_IO_BIT", 6, "__GFP_IO"),
    ("___GFP_FS_BIT", 7, "__GFP_FS"),
    ("___GFP_ZERO_BIT", 8, "__GFP_ZERO"),
    ("___GFP_DIRECT_RECLAIM_BIT", 10, "__GFP_DIRECT_RECLAIM"),
    ("___GFP_KSWAPD_RECLAIM_BIT", 11, "__GFP_KSWAPD_RECLAIM"),
    ("___GFP_WRITE_BIT", 12, "__GFP_WRITE"),
    ("___GFP_NOWARN_BIT", 13, "__GFP_NOWARN"),
    ("___GFP_RETRY_MAYFAIL_BIT", 14, "__GFP_RETRY_MAYFAIL"),
    ("___GFP_NOFAIL_BIT", 15, "__GFP_NOFAIL"),
    ("___GFP_NORETRY_BIT", 16, "__GFP_NORETRY"),
    ("___GFP_MEMALLOC_BIT", 17, "__GFP_MEMALLOC"),
    ("___GFP_COMP_BIT", 18, "__GFP_COMP"),
    ("___GFP_NOMEMALLOC_BIT", 19, "__GFP_NOMEMALLOC"),
    ("___GFP_HARDWALL_BIT", 20, "__GFP_HARDWALL"),
    ("___GFP_THISNODE_BIT", 21, "__GFP_THISNODE"),
    ("___GFP_ACCOUNT_BIT", 22, "__GFP_ACCOUNT"),
    ("___GFP_ZEROTAGS_BIT", 23, "__GFP_ZEROTAGS"),
];

/// Names for several flags at once, those of more flags first; each with whether only kernels without the types of the
/// bits (before Linux 6.9) may mean it so.
// TABLE
const SETS: &[(&str, bool, &[&str])] = &[
    ("GFP_TRANSHUGE", false, &["LIGHT", "DIRECT_RECLAIM"]),
    ("GFP_TRANSHUGE_LIGHT", false, &["LIGHT"]),
    ("GFP_HIGHUSER_MOVABLE", false, &["RECLAIM", "IO", "FS", "HARDWALL", "HIGHMEM", "MOVABLE"]),
    ("GFP_HIGHUSER", false, &["RECLAIM", "IO", "FS", "HARDWALL", "HIGHMEM"]),
    ("GFP_USER", false, &["RECLAIM", "IO", "FS", "HARDWALL"]),
    ("GFP_KERNEL_ACCOUNT", false, &["RECLAIM", "IO", "FS", "ACCOUNT"]),
    ("GFP_KERNEL", false, &["RECLAIM", "IO", "FS"]),
    ("GFP_NOFS", false, &["RECLAIM", "IO"]),
    ("GFP_ATOMIC", true, &["HIGH", "UNUSED", "KSWAPD_RECLAIM"]),
    ("GFP_ATOMIC", false, &["HIGH", "KSWAPD_RECLAIM"]),
    ("GFP_NOIO", false, &["RECLAIM"]),
    ("GFP_NOWAIT", false, &["KSWAPD_RECLAIM", "NOWARN"]),
    ("GFP_NOWAIT", true, &["KSWAPD_RECLAIM"]),
    ("GFP_DMA", false, &["DMA"]),
    ("GFP_DMA32", false, &["DMA32"]),
];

/// Bits and names, in the order in which they are looked for. `bit` gives the bit of a flag by the name that the kernel's
/// types have for it.
pub fn allocation_flags(bit: impl Fn(&str) -> Option<i64>) -> Vec<(u64, Arc<str>)> {
    let known = FLAGS.iter().any(|flag| bit(flag.0).is_some());
    let mask = |name: &str, default: u32| match bit(name).and_then(|bit| u32::try_from(bit).ok()) {
        Some(bit) if bit < 64 => 1u64 << bit,
        None if !known => 1 << default,
        _ => 0,
    };
    let single = |short: &str| {
        let flag = FLAGS.iter().find(|flag| flag.2.strip_prefix("__GFP_") == Some(short));
        // The bit that `__GFP_ATOMIC` had before Linux 6.3.
        flag.map_or(1 << 9, |flag| mask(flag.0, flag.1))
    };
    let part = |name: &str| match name {
        "RECLAIM" => single("DIRECT_RECLAIM") | single("KSWAPD_RECLAIM"),
        "LIGHT" => ["IO", "FS", "HARDWALL", "HIGHMEM", "MOVABLE", "COMP", "NOMEMALLOC", "NOWARN"]
            .into_iter()
            .fold(0, |all, short| all | single(short)),
        short => single(short),
    };
    let sets = SETS
        .iter()
        .filter(|set| !(known && set.1))
        .map(|(name, _, parts)| (parts.iter().fold(0, |all, name| all | part(name)), Arc::from(*name)));
    let singles = FLAGS.iter().map(|flag| (mask(flag.0, flag.1), Arc::from(flag.2)));
    sets.chain(singles).filter(|flag| flag.0 != 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_made_of_the_bits_that_the_kernel_says() {
        let find = |flags: &[(u64, Arc<str>)], name: &str| flags.iter().find(|flag| &*flag.1 == name).unwrap().0;
        let old = allocation_flags(|_| None);
        assert_eq!((find(&old, "GFP_KERNEL"), find(&old, "GFP_ATOMIC")), (0xcc0, 0xa20));
        assert_eq!((find(&old, "GFP_TRANSHUGE_LIGHT"), find(&old, "GFP_USER")), (0x1c20ca, 0x100cc0));
        // Another kernel: every bit one place higher.
        let moved = allocation_flags(|name| {
            let flag = FLAGS.iter().find(|flag| flag.0 == name)?;
            Some(i64::from(flag.1) + 1)
        });
        assert_eq!((find(&moved, "GFP_KERNEL"), find(&moved, "GFP_ATOMIC")), (0xcc0 << 1, 0x820 << 1));
    }
}
