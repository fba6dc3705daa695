//! Links: attachments that the kernel represents by a descriptor.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use skep_isa::Release;

use super::words::{Way, c_path};
use crate::errors::KernelError;
use crate::features::Capability;
use crate::sys::{link, object};

const WAY: Way = Way {
    action: "change a link",
    what: "links",
    since: Release::new(5, 7),
    needs: &[Capability::Bpf, Capability::SysAdmin],
};

/// A program at its hook. The attachment ends with the last descriptor of the link: when this value is dropped, unless
/// the link is pinned or another process holds it.
#[derive(Debug)]
pub struct Link {
    fd: OwnedFd,
}

impl Link {
    /// Takes over a link that was opened elsewhere, for example from a path where it was pinned.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if it is no link.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, KernelError> {
        if !super::perf::is_link(&fd) || link::link_info(fd.as_fd()).is_err() {
            return Err(WAY.invalid("the descriptor is not a link"));
        }
        Ok(Self { fd })
    }

    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// The number under which `bpftool link show id` finds the link.
    ///
    /// # Errors
    /// [`KernelError::System`] before Linux 5.8.
    pub fn id(&self) -> Result<u32, KernelError> {
        link::link_info(self.as_fd())
            .map(|info| info.id)
            .map_err(|errno| KernelError::system("ask for the properties of a link", errno))
    }

    /// The number of the program that is attached now.
    ///
    /// # Errors
    /// As for [`id`](Self::id).
    pub fn program_id(&self) -> Result<u32, KernelError> {
        link::link_info(self.as_fd())
            .map(|info| info.prog_id)
            .map_err(|errno| KernelError::system("ask for the properties of a link", errno))
    }

    /// Puts another program in place of the attached one, without a moment in which none is attached. With `expected`
    /// only if that is the attached one.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] for kinds whose program cannot be replaced (tracing, perf events before none), and
    /// [`KernelError::Invalid`] if the program is of another type or another one than `expected` is attached.
    pub fn update(&self, program: impl AsFd, expected: Option<BorrowedFd<'_>>) -> Result<(), KernelError> {
        link::link_update(self.as_fd(), program.as_fd(), expected).map_err(|errno| match errno {
            libc::EPERM if expected.is_some() => {
                WAY.invalid("another program than the expected one is attached now; ask for it again")
            }
            libc::ENOLINK => WAY.invalid("what it was attached to is gone"),
            libc::EINVAL => WAY.invalid(
                "the program is not of the type of the attached one, or links of this kind keep their program",
            ),
            errno => WAY.error(errno, String::new),
        })
    }

    /// Detaches now, even if the link is pinned or other processes hold it (Linux 5.9). The link then does nothing.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] for kinds that end only with their last descriptor: tracing, kprobes, tracepoints.
    /// Drop the value for them.
    pub fn detach(self) -> Result<(), KernelError> {
        link::link_detach(self.as_fd()).map_err(|errno| match errno {
            libc::EOPNOTSUPP | libc::EINVAL => {
                WAY.lacks("detaching links of this kind by force; close every descriptor and pin of it")
            }
            errno => WAY.error(errno, String::new),
        })
    }

    /// Gives the link a name in a BPF file system (usually below `/sys/fs/bpf`), which keeps the program attached when
    /// this process ends. Removing the file detaches.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the directory is missing or on another file system, or the name is taken.
    pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), KernelError> {
        const ACTION: &str = "pin a link";
        let path = path.as_ref();
        let invalid = |problem: String| KernelError::Invalid { action: ACTION, problem };
        object::pin(self.as_fd(), &c_path(ACTION, path)?).map_err(|errno| {
            let shown = path.display();
            match errno {
                libc::EEXIST => invalid(format!("`{shown}` exists already; remove it first")),
                libc::ENOENT => invalid(format!("the directory of `{shown}` does not exist; make it first")),
                libc::EPERM | libc::EINVAL if !on_bpffs(path) => {
                    invalid(format!("`{shown}` is not on a BPF file system; mount one: `mount -t bpf bpf /sys/fs/bpf`"))
                }
                libc::EINVAL => invalid(format!("`{shown}`: the last part of the path must not contain a dot")),
                libc::EPERM | libc::EACCES => KernelError::not_permitted(ACTION, WAY.needs),
                errno => KernelError::system(ACTION, errno),
            }
        })
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Link> for OwnedFd {
    fn from(link: Link) -> Self {
        link.fd
    }
}

/// Whether the directory of a path lies on a BPF file system, as `/proc/self/mounts` has it: the longest mount point
/// that is a prefix counts.
fn on_bpffs(path: &Path) -> bool {
    let parent = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
    let (Some(parent), Ok(mounts)) = (parent, fs::read_to_string("/proc/self/mounts")) else { return false };
    let kinds = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        parent.starts_with(point).then_some((point.len(), kind))
    });
    kinds.max_by_key(|(length, _)| *length).is_some_and(|(_, kind)| kind == "bpf")
}
