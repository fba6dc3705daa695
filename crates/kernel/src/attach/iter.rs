//! Iterators: programs that run for every object of a kind and write text (Linux 5.8).

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::words::{TRACING, Way};
use crate::errors::KernelError;
use crate::sys::layout::{Plain, plain};
use crate::sys::link::{Extra, Target, iter_create, link_create};

const WAY: Way =
    Way { action: "attach an iterator", what: "iterators of this kind", since: Release::new(5, 8), needs: TRACING };

plain! {
    /// Which map: a part of `union bpf_iter_link_info`.
    struct IterMap = "bpf_iter_link_info.map" {
        map_fd: u32,
    }

    /// Which control groups.
    struct IterCgroup = "bpf_iter_link_info.cgroup" {
        order: u32,
        cgroup_fd: u32,
        cgroup_id: u64,
    }

    /// Which tasks.
    struct IterTask = "bpf_iter_link_info.task" {
        tid: u32,
        pid: u32,
        pid_fd: u32,
    }
}

/// The way in which an iterator walks control groups (`enum bpf_cgroup_iter_order`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum CgroupOrder {
    /// Only the group itself.
    SelfOnly = 1,
    /// The group, then those below it.
    DescendantsPre = 2,
    /// Those below the group, then itself.
    DescendantsPost = 3,
    /// The group and those above it.
    AncestorsUp = 4,
}

/// What an iterator walks over.
#[derive(Debug, Clone, Copy, Default)]
pub enum IterTarget<'a> {
    /// Everything of its kind.
    #[default]
    All,
    /// The elements of a map.
    Map(BorrowedFd<'a>),
    /// Control groups, from the one given by its directory (Linux 6.1).
    Cgroup(BorrowedFd<'a>, CgroupOrder),
    /// One task (Linux 6.1).
    Task(u32),
    /// The tasks of a process (Linux 6.1).
    Process(u32),
    /// The tasks of the process of a pidfd (Linux 6.1).
    PidFd(BorrowedFd<'a>),
}

/// An attached iterator. It does nothing until it is read.
#[derive(Debug)]
pub struct Iter {
    link: Link,
}

impl Iter {
    /// The link, to pin it: reading the pinned file runs the iterator.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Starts a run. Reading the result runs the program on one object after the other and gives what it writes; an
    /// error of the program ends with an error of reading.
    ///
    /// # Errors
    /// [`KernelError::System`] if there are too many open files.
    pub fn open(&self) -> Result<File, KernelError> {
        iter_create(self.link.as_fd())
            .map(File::from)
            .map_err(|errno| WAY.error(errno, || "the link is not that of an iterator".to_owned()))
    }
}

impl From<Iter> for Link {
    fn from(iter: Iter) -> Self {
        iter.link
    }
}

/// Attaches an iterator (type tracing, loaded for `bpf_iter_KIND`).
///
/// # Errors
/// [`KernelError::Invalid`] if the target does not fit the kind of iterator (iterators over elements need a map of the
/// right type) or the process does not exist, [`KernelError::Unsupported`], [`KernelError::NotPermitted`].
pub fn attach_iter(program: impl AsFd, target: IterTarget<'_>) -> Result<Iter, KernelError> {
    let raw = |fd: BorrowedFd<'_>| fd.as_raw_fd().cast_unsigned();
    let bytes = match target {
        IterTarget::All => Vec::new(),
        IterTarget::Map(map) => IterMap { map_fd: raw(map) }.as_bytes().to_vec(),
        IterTarget::Cgroup(cgroup, order) => {
            IterCgroup { order: order as u32, cgroup_fd: raw(cgroup), cgroup_id: 0 }.as_bytes().to_vec()
        }
        IterTarget::Task(tid) => IterTask { tid, ..IterTask::default() }.as_bytes().to_vec(),
        IterTarget::Process(pid) => IterTask { pid, ..IterTask::default() }.as_bytes().to_vec(),
        IterTarget::PidFd(fd) => IterTask { pid_fd: raw(fd), ..IterTask::default() }.as_bytes().to_vec(),
    };
    let attach_type = AttachType::TraceIter.number();
    link_create(program.as_fd(), Target::None, attach_type, 0, &Extra::Iter(&bytes))
        .map(|fd| Iter { link: Link::new(fd) })
        .map_err(|errno| match errno {
            libc::EBADF => WAY.invalid(
                "iterators over the elements of a map or socket map need that map, those over control groups a group",
            ),
            libc::ESRCH => WAY.invalid("there is no such process or task"),
            errno => WAY.error(errno, || {
                format!("the program is not an iterator, or its kind cannot be limited to {target:?}")
            }),
        })
}
