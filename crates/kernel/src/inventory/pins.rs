//! What is pinned in BPF file systems.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::ids::OpenLink;
use crate::map::LoadedMap;
use crate::pin::{bpf_mounts, kind};
use crate::prog::LoadedProgram;
use crate::sys::attr::flag;
use crate::sys::object;

/// Deepest directory that is looked at.
const DEPTH: usize = 32;
/// Most files that are opened.
const MOST: usize = 1 << 16;

/// What a file in a BPF file system refers to, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// A program.
    Program(u32),
    /// A map.
    Map(u32),
    /// A link.
    Link(u32),
}

/// A file in a BPF file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Where it is.
    pub path: PathBuf,
    /// What it refers to.
    pub object: Pinned,
}

/// Opens every file in the BPF file systems that this process can see. Empty without privilege.
pub fn pins() -> Vec<Pin> {
    let mut found = Vec::new();
    let mut left = MOST;
    for mount in bpf_mounts() {
        walk(&mount, 0, &mut left, &mut found);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup();
    found
}

fn walk(directory: &Path, depth: usize, left: &mut usize, found: &mut Vec<Pin>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(file_type) = entry.file_type() else { continue };
        let path = entry.path();
        if file_type.is_dir() && depth < DEPTH {
            walk(&path, depth + 1, left, found);
        } else if file_type.is_file() && *left > 0 {
            *left -= 1;
            found.extend(open(&path).map(|object| Pin { path, object }));
        }
    }
}

fn open(path: &Path) -> Option<Pinned> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // A map that others may only read or write can still be looked at with those rights; programs and links take none.
    let fd = object::get(&name, 0).or_else(|_| object::get(&name, flag::F_RDONLY as u32)).ok()?;
    let kind = kind(&fd)?.replace('_', "-");
    match kind.as_str() {
        "bpf-prog" => Some(Pinned::Program(LoadedProgram::from_fd(fd).ok()?.info().ok()?.id)),
        "bpf-map" => Some(Pinned::Map(LoadedMap::from_fd(fd).ok()?.id())),
        "bpf-link" => Some(Pinned::Link(OpenLink::from_fd(fd).info().ok()?.id)),
        _ => None,
    }
}
