//! What `/proc/self/fdinfo` tells about descriptors of ours, as far as no command of `bpf(2)` does.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

/// Facts about an object of BPF. What the kernel does not tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FdFacts {
    /// Bytes of memory, as the kernel counts them (`memlock`).
    pub(super) memory: Option<u64>,
    /// Whether a map is frozen (Linux 5.2).
    pub(super) frozen: Option<bool>,
}

impl FdFacts {
    /// Reads them.
    pub(super) fn of(object: impl AsFd) -> Self {
        let path = format!("/proc/self/fdinfo/{}", object.as_fd().as_raw_fd());
        Self::parse(&fs::read_to_string(path).unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u64>().ok())
        };
        Self { memory: field("memlock"), frozen: field("frozen").map(|frozen| frozen != 0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let facts = FdFacts::parse("pos:\t0\nmap_type:\t1\nmemlock:\t4096\nmap_id:\t7\nfrozen:\t1\n");
        assert_eq!(facts, FdFacts { memory: Some(4096), frozen: Some(true) });
        assert_eq!(FdFacts::parse("pos:\t0\nprog_memlock:\t1\n"), FdFacts::default());
    }
}
