//! Paths of control groups by their ids: the inode numbers of their directories (`cgroups(7)`).

use std::collections::HashMap;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Directories that are looked at for one id at most, so that a wrong id on a huge machine does not hang the output.
const MOST_DIRECTORIES: usize = 1 << 20;

/// Paths by id and pattern.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    hierarchies: Option<Vec<Hierarchy>>,
    paths: HashMap<(u64, String), String>,
}

/// A mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    /// `unified`, or the controllers.
    name: String,
    mount: PathBuf,
}

impl Cgroups {
    /// `NAME:PATH` for each hierarchy in which the group is, with commas between. Empty if it is gone.
    pub(super) fn paths(&mut self, id: u64, pattern: &str) -> &str {
        let hierarchies = self
            .hierarchies
            .get_or_insert_with(|| hierarchies(&std::fs::read_to_string("/proc/self/mounts").unwrap_or_default()));
        self.paths.entry((id, pattern.to_owned())).or_insert_with(|| {
            let found = hierarchies
                .iter()
                .filter(|hierarchy| matches(pattern, &hierarchy.name))
                .filter_map(|hierarchy| find(&hierarchy.mount, id).map(|path| format!("{}:{path}", hierarchy.name)));
            found.collect::<Vec<_>>().join(",")
        })
    }
}

/// The hierarchies in the text of `/proc/mounts`: version 2 first.
fn hierarchies(mounts: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, mount, kind, ..] = fields[..] else { continue };
        let mount = PathBuf::from(mount);
        let name = match kind {
            "cgroup2" => "unified".to_owned(),
            "cgroup" => mount.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            _ => continue,
        };
        found.push(Hierarchy { name, mount });
    }
    found.sort_by_key(|hierarchy| hierarchy.name != "unified");
    found
}

/// Path below the mount of the directory with this inode, breadth first.
fn find(mount: &Path, id: u64) -> Option<String> {
    if mount.metadata().is_ok_and(|metadata| metadata.ino() == id) {
        return Some("/".to_owned());
    }
    let mut queue = std::collections::VecDeque::from([mount.to_owned()]);
    let mut looked_at = 0;
    while let Some(directory) = queue.pop_front() {
        looked_at += 1;
        if looked_at > MOST_DIRECTORIES {
            return None;
        }
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            if entry.ino() == id {
                let path = entry.path();
                let below = path.strip_prefix(mount).ok()?;
                return Some(format!("/{}", below.display()));
            }
            queue.push_back(entry.path());
        }
    }
    None
}

/// Whether a text matches a pattern in which `*` stands for anything; an empty pattern matches everything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern.is_empty() || pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return text.ends_with(part);
        }
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_patterns() {
        let mounts = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw 0 0\nproc /proc proc rw 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\nshort\n";
        let found: Vec<String> = hierarchies(mounts).into_iter().map(|hierarchy| hierarchy.name).collect();
        assert_eq!(found, ["unified", "cpu,cpuacct"]);
        for (pattern, yes, no) in [("", "x", ""), ("cpu", "cpu", "cpuset"), ("c*t", "cpuset", "cpu"), ("*", "a", "")] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(no.is_empty() || !matches(pattern, no), "{pattern} {no}");
        }
        assert!(matches("a*b*c", "aXbYc") && !matches("a*b*c", "aXcYb") && !matches("ab*ba", "aba"));
    }

    #[test]
    fn directories_are_found_by_inode() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        let inode = |path: &Path| path.metadata().unwrap().ino();
        assert_eq!(find(root.path(), inode(&inner)).as_deref(), Some("/a/b"));
        assert_eq!(find(root.path(), inode(root.path())).as_deref(), Some("/"));
        assert_eq!(find(root.path(), u64::MAX), None);
    }
}
