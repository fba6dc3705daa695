//! Tables of operations of the kernel that are implemented by programs (struct_ops).

use std::os::fd::{AsFd, OwnedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::words::{NETWORK, Way, slot};
use crate::errors::KernelError;
use crate::map::{LoadedMap, Update};
use crate::sys::link::{Extra, Target, link_create};

const LINK: Way = Way {
    action: "register a table of operations",
    what: "links for tables of operations",
    since: Release::new(6, 4),
    needs: NETWORK,
};
const VALUE: Way = Way { what: "tables of operations", since: Release::new(5, 6), ..LINK };

/// Registers the table in a map (type struct_ops, made with `BPF_F_LINK`, its value set) as a link (Linux 6.4).
///
/// # Errors
/// [`KernelError::Invalid`] if the map has no value yet, was made without `BPF_F_LINK` or the table's name is taken;
/// [`KernelError::Unsupported`] before Linux 6.4: use [`attach_struct_ops_value`].
pub fn attach_struct_ops(map: impl AsFd) -> Result<Link, KernelError> {
    link_create(map.as_fd(), Target::None, AttachType::StructOps.number(), 0, &Extra::None)
        .map(Link::new)
        .map_err(|errno| refused(&LINK, errno))
}

/// A table that was registered by setting the map's value. Dropping it deletes the value, which unregisters the table.
#[derive(Debug)]
pub struct TableSlot {
    map: LoadedMap,
    armed: bool,
}

slot!(TableSlot);

impl TableSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        self.map.remove(&0u32.to_ne_bytes()).map(drop)
    }
}

/// Registers a table by setting the value of a map that was made without `BPF_F_LINK` (Linux 5.6). `value` is that of
/// the kernel's `struct bpf_struct_ops_NAME` with descriptors of programs in place of functions.
///
/// # Errors
/// As for [`attach_struct_ops`].
pub fn attach_struct_ops_value(map: OwnedFd, value: &[u8]) -> Result<TableSlot, KernelError> {
    let map = LoadedMap::from_fd(map)?;
    set_table(&map, value)?;
    Ok(TableSlot { map, armed: true })
}

/// Sets the value of a table, which registers it unless its map was made with `BPF_F_LINK`.
pub(crate) fn set_table(map: &LoadedMap, value: &[u8]) -> Result<(), KernelError> {
    let problem = "the part of the kernel that uses the table does not take it: a function that it needs is missing, or a \
                   member has a value that is not allowed; the kernel's log (`dmesg`) may say which";
    map.set_with(&0u32.to_ne_bytes(), value, Update::Any, |errno| match errno {
        libc::EINVAL => VALUE.invalid(problem),
        errno => refused(&VALUE, errno),
    })
}

fn refused(way: &Way, errno: i32) -> KernelError {
    match errno {
        libc::EEXIST => {
            VALUE.invalid("a table with this name is registered already; rename it or unregister the other")
        }
        libc::EBUSY => VALUE.invalid("the table is registered already; unregister it first, or load the object again"),
        errno => way.error(errno, || {
            "the map is not of type struct_ops, was made without BPF_F_LINK, or has no complete value".to_owned()
        }),
    }
}
