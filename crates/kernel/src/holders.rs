//! Which processes hold programs, maps and links: what `/proc/PID/fdinfo` says about their descriptors.

use std::fs;

/// A descriptor of a process that keeps something of BPF alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// Its name (`/proc/PID/comm`), at most 15 bytes.
    pub command: String,
    /// The number of the descriptor.
    pub fd: u32,
    /// What it is.
    pub object: Held,
}

/// What a descriptor refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// A program, by its number.
    Program(u32),
    /// A map, by its number.
    Map(u32),
    /// A link, by its number, and the number of its program (0 if it has none).
    Link {
        /// The link.
        link: u32,
        /// Its program.
        program: u32,
    },
    /// BTF, by its number.
    Btf(u32),
}

/// Looks through the descriptors of all processes that this one may look at (all with `CAP_SYS_PTRACE`). Processes and
/// descriptors that go away meanwhile are left out.
///
/// This reads a few files for each descriptor of BPF in the system and one link for every other.
pub fn holders() -> Vec<Holder> {
    let mut all = Vec::new();
    for pid in numbers("/proc") {
        let found = held_by(pid);
        if found.is_empty() {
            continue;
        }
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
        all.extend(found.into_iter().map(|(fd, object)| Holder { pid, command: command.clone(), fd, object }));
    }
    all
}

/// What the descriptors of one process refer to, by their numbers.
pub fn held_by(pid: u32) -> Vec<(u32, Held)> {
    let mut found = Vec::new();
    for fd in numbers(&format!("/proc/{pid}/fd")) {
        let Ok(target) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
        if !target.to_str().is_some_and(is_bpf) {
            continue;
        }
        let text = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
        found.extend(held(&text).map(|object| (fd, object)));
    }
    found
}

/// Whether the name of a descriptor's file is one that `kernel/bpf` gives.
fn is_bpf(name: &str) -> bool {
    let name = name.strip_prefix("anon_inode:").map(|name| name.trim_matches(['[', ']']));
    name.is_some_and(|name| matches!(name, "bpf-prog" | "bpf-map" | "bpf_link" | "bpf-link" | "btf"))
}

/// Reads the text of an `fdinfo`.
fn held(text: &str) -> Option<Held> {
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<u32>().ok())
    };
    // Links name their program too, so they come first.
    if let Some(link) = field("link_id") {
        return Some(Held::Link { link, program: field("prog_id").unwrap_or(0) });
    }
    let map = field("map_id").map(Held::Map);
    map.or_else(|| field("prog_id").map(Held::Program)).or_else(|| field("btf_id").map(Held::Btf))
}

/// The entries of a directory that are numbers, in ascending order.
pub(crate) fn numbers(directory: &str) -> Vec<u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel() {
        assert_eq!(held("pos:\t0\nprog_type:\t3\nprog_id:\t12\n"), Some(Held::Program(12)));
        assert_eq!(held("map_type:\t1\nmap_id:\t7\nfrozen:\t0\n"), Some(Held::Map(7)));
        let link = "link_type:\traw_tracepoint\nlink_id:\t4\nprog_tag:\tabc\nprog_id:\t9\n";
        assert_eq!(held(link), Some(Held::Link { link: 4, program: 9 }));
        assert_eq!(held("btf_id:\t3\n"), Some(Held::Btf(3)));
        assert_eq!(held("pos:\t0\nflags:\t02\n"), None);
        assert!(is_bpf("anon_inode:bpf-map") && is_bpf("anon_inode:[bpf_link]") && !is_bpf("/bpf-map"));
    }
}
