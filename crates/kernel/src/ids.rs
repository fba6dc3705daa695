//! Everything of a kind that exists in the kernel, by number.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::errors::KernelError;
use crate::features::Capability;
use crate::loaded_btf::LoadedBtf;
use crate::map::LoadedMap;
use crate::prog::LoadedProgram;
use crate::sys::info::{self, Object};

/// A link in the kernel, opened by its number. Closing it leaves the link in place: somebody else holds it.
#[derive(Debug)]
pub struct OpenLink {
    fd: OwnedFd,
}

impl OpenLink {
    /// Opens a link by its number (Linux 5.8).
    ///
    /// # Errors
    /// [`KernelError::NoSuchId`], [`KernelError::NotPermitted`].
    pub fn by_id(id: u32) -> Result<Self, KernelError> {
        open(Object::Link, id, 0).map(|fd| Self { fd })
    }

    /// Takes over a descriptor of a link.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl AsFd for OpenLink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The numbers of all objects of a kind, in ascending order. What comes or goes meanwhile may or may not appear.
///
/// The iterator ends at the first error, which it returns.
#[derive(Debug)]
pub struct Ids<T> {
    kind: Object,
    last: Option<u32>,
    item: PhantomData<fn() -> T>,
}

/// The numbers of the programs.
pub type ProgramIds = Ids<LoadedProgram>;
/// The numbers of the maps.
pub type MapIds = Ids<LoadedMap>;
/// The numbers of the links.
pub type LinkIds = Ids<OpenLink>;
/// The numbers of loaded BTF, the kernel's and its modules' included.
pub type BtfIds = Ids<LoadedBtf>;

impl<T> Ids<T> {
    const fn of(kind: Object) -> Self {
        Self { kind, last: Some(0), item: PhantomData }
    }
}

/// The numbers of all programs (Linux 4.13, `CAP_SYS_ADMIN`).
pub const fn program_ids() -> ProgramIds {
    Ids::of(Object::Program)
}

/// The numbers of all maps (Linux 4.13, `CAP_SYS_ADMIN`).
pub const fn map_ids() -> MapIds {
    Ids::of(Object::Map)
}

/// The numbers of all links (Linux 5.8, `CAP_SYS_ADMIN`).
pub const fn link_ids() -> LinkIds {
    Ids::of(Object::Link)
}

/// The numbers of all loaded BTF (Linux 5.4, `CAP_SYS_ADMIN`).
pub const fn btf_ids() -> BtfIds {
    Ids::of(Object::Btf)
}

impl<T> Iterator for Ids<T> {
    type Item = Result<u32, KernelError>;

    fn next(&mut self) -> Option<Self::Item> {
        let after = self.last?;
        match info::next_id(self.kind, after) {
            Ok(id) => {
                self.last = id;
                id.map(Ok)
            }
            Err(errno) => {
                self.last = None;
                Some(Err(match errno {
                    libc::EPERM => KernelError::not_permitted("list what is loaded", &[Capability::SysAdmin]),
                    errno => KernelError::system("list what is loaded", errno),
                }))
            }
        }
    }
}

/// What an object of a kind is called.
const fn noun(kind: Object) -> &'static str {
    match kind {
        Object::Program => "program",
        Object::Map => "map",
        Object::Link => "link",
        Object::Btf => "BTF object",
    }
}

/// A new descriptor of an object.
pub(crate) fn open(kind: Object, id: u32, flags: u32) -> Result<OwnedFd, KernelError> {
    info::fd_by_id(kind, id, flags).map_err(|errno| match errno {
        libc::ENOENT => KernelError::NoSuchId { kind: noun(kind), id },
        libc::EPERM => KernelError::not_permitted("open what another process has loaded", &[Capability::SysAdmin]),
        errno => KernelError::system("open what another process has loaded", errno),
    })
}
