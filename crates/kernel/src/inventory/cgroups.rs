//! Control groups: paths by number, and the programs of each.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use skep_isa::{AttachType, LinkType};

use super::attachments::{Attachment, Where};
use crate::sys::link::{Target, prog_query};

/// Deepest directory below a mount point that is looked at.
const DEPTH: usize = 64;

/// The control groups of the unified hierarchy that this process can see.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    /// Paths below the mount point by inode: `/` for its root.
    paths: HashMap<u64, String>,
    /// Places of the directories.
    directories: Vec<(u64, PathBuf)>,
}

impl Cgroups {
    /// Walks through all mounts of the hierarchy.
    pub(super) fn read() -> Self {
        let mut all = Self::default();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        for point in mount_points(&mounts) {
            all.walk(&point, &point, 0);
        }
        all
    }

    fn walk(&mut self, root: &Path, directory: &Path, depth: usize) {
        let Ok(metadata) = fs::symlink_metadata(directory) else { return };
        if !metadata.is_dir() || depth > DEPTH || self.paths.contains_key(&metadata.ino()) {
            return;
        }
        let below = directory.strip_prefix(root).unwrap_or(directory);
        self.paths.insert(metadata.ino(), format!("/{}", below.display()));
        self.directories.push((metadata.ino(), directory.to_owned()));
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.walk(root, &entry.path(), depth + 1);
            }
        }
    }

    /// What a group is called: its path, or its number if it cannot be seen from here.
    pub(super) fn name(&self, cgroup: u64) -> String {
        match (cgroup, self.paths.get(&cgroup)) {
            (0, _) => "a removed control group".to_owned(),
            (_, Some(path)) => path.clone(),
            (_, None) => format!("control group number {cgroup}"),
        }
    }

    /// The programs that are attached to the groups themselves, with and without links.
    pub(super) fn attachments(&self) -> Vec<Attachment> {
        let hooks: Vec<AttachType> =
            AttachType::ALL.iter().copied().filter(|hook| hook.link_type() == Some(LinkType::Cgroup)).collect();
        let mut found = Vec::new();
        for (cgroup, directory) in &self.directories {
            let Ok(file) = File::open(directory) else { continue };
            for hook in &hooks {
                for program in prog_query(Target::Fd(file.as_fd()), hook.number()).unwrap_or_default() {
                    let place = self.name(*cgroup);
                    found.push(Attachment::new(program, hook.name(), place, Where::Cgroup(*cgroup)));
                }
            }
        }
        found
    }
}

/// The mount points of the unified hierarchy.
fn mount_points(mounts: &str) -> Vec<PathBuf> {
    let lines = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(point.replace("\\040", " ")))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found() {
        let text = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/a\\040b cgroup2 rw 0 0\n";
        assert_eq!(mount_points(text), [Path::new("/sys/fs/cgroup/a b")]);
        assert_eq!(Cgroups::default().name(7), "control group number 7");
    }
}
