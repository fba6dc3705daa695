//! Pinning: names for programs, maps and links in a BPF file system, so that they outlive the process.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::errors::{KernelError, describe};
use crate::features::Capability;
use crate::ids::OpenLink;
use crate::map::LoadedMap;
use crate::prog::LoadedProgram;
use crate::sys::attr::flag;
use crate::sys::object;

/// The magic number of BPF file systems (`BPF_FS_MAGIC` in `linux/magic.h`).
const BPF_FS_MAGIC: libc::c_long = 0xcafe_4a11;
/// Where a BPF file system usually is.
pub const BPFFS: &str = "/sys/fs/bpf";

/// What a pinned object may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rights {
    /// Everything that the permissions of the file allow.
    #[default]
    All,
    /// Only reading (`BPF_F_RDONLY`).
    Read,
    /// Only writing (`BPF_F_WRONLY`).
    Write,
}

impl Rights {
    /// The flag of `BPF_OBJ_GET`.
    const fn flags(self) -> u32 {
        match self {
            Self::All => 0,
            Self::Read => flag::F_RDONLY as u32,
            Self::Write => flag::F_WRONLY as u32,
        }
    }
}

/// Whether a path lies in a BPF file system; the last component need not exist.
pub fn is_on_bpffs(path: &Path) -> bool {
    let existing = path.ancestors().find(|path| path.as_os_str().is_empty() || path.exists());
    let existing = existing.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(name) = CString::new(existing.as_os_str().as_bytes()) else { return false };
    // SAFETY: a C structure of integers, for which zero is a value.
    let mut facts: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the name is a C string and the kernel writes to the structure; both live through the call.
    let result = unsafe { libc::statfs(name.as_ptr(), &raw mut facts) };
    result == 0 && facts.f_type == BPF_FS_MAGIC
}

/// The BPF file systems that this process sees, out of `/proc/self/mounts`.
pub fn bpf_mounts() -> Vec<PathBuf> {
    mounts(&fs::read_to_string("/proc/self/mounts").unwrap_or_default())
}

fn mounts(text: &str) -> Vec<PathBuf> {
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let place = words.next()?;
        (words.next() == Some("bpf")).then(|| PathBuf::from(place.replace("\\040", " ")))
    });
    lines.collect()
}

/// Pins a program, a map or a link under a path, whose directories must exist. Linux 4.4.
///
/// # Errors
/// [`KernelError::Pin`] if the path is taken, not in a BPF file system or without its directory,
/// [`KernelError::NotPermitted`].
pub fn pin(object: impl AsFd, path: impl AsRef<Path>) -> Result<(), KernelError> {
    const ACTION: &str = "pin something at";
    let path = path.as_ref();
    let name = c_string(ACTION, path)?;
    object::pin(object.as_fd(), &name).map_err(|errno| match errno {
        libc::EEXIST => problem(ACTION, path, "something is there already; remove it first, or choose another name"),
        libc::ENOENT => problem(ACTION, path, "the directory does not exist; create it with `mkdir -p`"),
        libc::EPERM | libc::EACCES if is_on_bpffs(path) && bad_name(path) => {
            problem(ACTION, path, "names with a dot are reserved in a BPF file system; leave the dot out")
        }
        libc::EPERM if is_on_bpffs(path) => {
            KernelError::not_permitted(ACTION, &[Capability::Bpf, Capability::SysAdmin])
        }
        libc::EPERM | libc::EINVAL if !is_on_bpffs(path) => not_mounted(ACTION, path),
        errno => problem(ACTION, path, &describe(errno)),
    })
}

/// Whether the last component has a dot, which the kernel refuses (`bpf_lookup` in `kernel/bpf/inode.c`).
fn bad_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_bytes().contains(&b'.'))
}

/// Removes the name of something pinned. What it names lives on as long as something else uses it. `false` if there is
/// nothing at the path.
///
/// # Errors
/// [`KernelError::Pin`] if the path is not in a BPF file system (nothing is removed then) or may not be removed.
pub fn unpin(path: impl AsRef<Path>) -> Result<bool, KernelError> {
    const ACTION: &str = "unpin";
    let path = path.as_ref();
    let Ok(kind) = fs::symlink_metadata(path) else { return Ok(false) };
    // The directory is asked, not what a symbolic link may lead to.
    if !is_on_bpffs(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))) {
        return Err(problem(ACTION, path, "it is not in a BPF file system, so it is not something pinned; left alone"));
    }
    if kind.is_dir() {
        return Err(problem(ACTION, path, "it is a directory; unpin what is in there and remove it with `rmdir`"));
    }
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(problem(ACTION, path, &describe(error.raw_os_error().unwrap_or(0)))),
    }
}

/// What is pinned at a path, whatever it is.
fn get(path: &Path, rights: Rights) -> Result<OwnedFd, KernelError> {
    const ACTION: &str = "open what is pinned at";
    let name = c_string(ACTION, path)?;
    object::get(&name, rights.flags()).map_err(|errno| match errno {
        libc::ENOENT => problem(ACTION, path, "there is nothing; `ls` shows what its directory has"),
        libc::EPERM | libc::EACCES if !is_on_bpffs(path) => not_mounted(ACTION, path),
        libc::EPERM | libc::EACCES if path.is_dir() => problem(ACTION, path, "it is a directory"),
        libc::EPERM | libc::EACCES => KernelError::not_permitted(ACTION, &[Capability::Bpf, Capability::SysAdmin]),
        libc::EINVAL => not_mounted(ACTION, path),
        errno => problem(ACTION, path, &describe(errno)),
    })
}

/// What kind of BPF object a descriptor is, by the name that the kernel gives its file.
pub(crate) fn kind(fd: &OwnedFd) -> Option<String> {
    use std::os::fd::AsRawFd;
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    Some(link.to_str()?.strip_prefix("anon_inode:")?.trim_matches(['[', ']']).to_owned())
}

/// Opens and makes sure of the kind, because the kernel would answer questions about another one with nonsense.
fn get_kind(path: &Path, rights: Rights, expected: &str, noun: &str) -> Result<OwnedFd, KernelError> {
    let fd = get(path, rights)?;
    match kind(&fd) {
        Some(found) if found.replace('_', "-") != expected => {
            Err(problem("open what is pinned at", path, &format!("it is no {noun} but `{found}`")))
        }
        // Without procfs the caller has to know.
        _ => Ok(fd),
    }
}

impl LoadedProgram {
    /// Opens a pinned program.
    ///
    /// # Errors
    /// [`KernelError::Pin`] if there is none, [`KernelError::NotPermitted`].
    pub fn pinned(path: impl AsRef<Path>) -> Result<Self, KernelError> {
        Self::from_fd(get_kind(path.as_ref(), Rights::All, "bpf-prog", "program")?)
    }
}

impl LoadedMap {
    /// Opens a pinned map.
    ///
    /// # Errors
    /// [`KernelError::Pin`] if there is none, [`KernelError::NotPermitted`].
    pub fn pinned(path: impl AsRef<Path>, rights: Rights) -> Result<Self, KernelError> {
        Self::from_fd(get_kind(path.as_ref(), rights, "bpf-map", "map")?)
    }
}

impl OpenLink {
    /// Opens a pinned link.
    ///
    /// # Errors
    /// [`KernelError::Pin`] if there is none, [`KernelError::NotPermitted`].
    pub fn pinned(path: impl AsRef<Path>) -> Result<Self, KernelError> {
        get_kind(path.as_ref(), Rights::All, "bpf-link", "link").map(Self::from_fd)
    }
}

fn c_string(action: &'static str, path: &Path) -> Result<CString, KernelError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| problem(action, path, "the path contains a NUL character"))
}

fn problem(action: &'static str, path: &Path, problem: &str) -> KernelError {
    KernelError::Pin { action, path: path.to_owned(), problem: problem.to_owned() }
}

/// Says what to do where there is no BPF file system.
fn not_mounted(action: &'static str, path: &Path) -> KernelError {
    let mounted = bpf_mounts();
    let advice = mounted.first().map_or_else(
        || format!("none is mounted; mount one with `mount -t bpf bpf {BPFFS}`"),
        |place| format!("use a path below {}", place.display()),
    );
    problem(action, path, &format!("it is not in a BPF file system; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found() {
        let text = "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw,mode=700 0 0\nnone /a\\040b bpf rw 0 0\n";
        assert_eq!(mounts(text), [Path::new("/sys/fs/bpf"), Path::new("/a b")]);
        assert!(!is_on_bpffs(Path::new("/proc/self/status")) && !is_on_bpffs(Path::new("nothing/here")));
    }
}
