//! Programs of control groups: packets, sockets, addresses, options, devices, sysctls, events of TCP.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::many::Attachment;
use super::tcx::Order;
use super::words::{NETWORK, Way, keep, slot, unknown};
use crate::errors::KernelError;
use crate::features::{Capability, has_capability};
use crate::sys::info::prog_info;
use crate::sys::link::{Target, flag, link_create, prog_attach, prog_detach, prog_query};

const LINK: Way = Way {
    action: "attach a program to a control group",
    what: "links for control groups (CONFIG_CGROUP_BPF)",
    since: Release::new(5, 7),
    needs: NETWORK,
};
const SLOT: Way = Way { what: "programs of control groups (CONFIG_CGROUP_BPF)", since: Release::new(4, 10), ..LINK };

/// Opens a control group of the unified hierarchy (version 2), for example `/sys/fs/cgroup/system.slice`.
///
/// # Errors
/// [`KernelError::Invalid`] if the path is no directory of that hierarchy; names where it is mounted.
pub fn open_cgroup(path: impl AsRef<Path>) -> Result<OwnedFd, KernelError> {
    const ACTION: &str = "open a control group";
    let path = path.as_ref();
    let invalid = |problem: String| KernelError::Invalid { action: ACTION, problem };
    let file = File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => invalid(format!("`{}` does not exist{}", path.display(), mounted())),
        _ => KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EIO)),
    })?;
    // Every directory of version 2, and none of version 1, has this file.
    if !path.join("cgroup.controllers").exists() {
        return Err(invalid(format!(
            "`{}` is no control group of the unified hierarchy (version 2){}",
            path.display(),
            mounted()
        )));
    }
    Ok(file.into())
}

/// Where the unified hierarchy is mounted, or how to mount it.
fn mounted() -> String {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let point = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (point, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| point.to_owned())
    });
    match point {
        Some(point) => format!("; it is mounted on {point}"),
        None => "; it is not mounted: `mount -t cgroup2 none /sys/fs/cgroup`".to_owned(),
    }
}

/// How a program joins those of a control group.
#[derive(Debug, Clone, Copy, Default)]
pub struct CgroupOptions<'a> {
    /// Its place among them (Linux 6.16).
    pub order: Order<'a>,
    /// Run it before those of descendants instead of after them (Linux 6.15).
    pub first_in_tree: bool,
}

/// `BPF_F_PREORDER`
const PREORDER: u32 = 64;

/// Attaches a program to a control group and all below it: as a link (Linux 5.7), or as one of several programs without
/// link on older kernels. The group is given by a descriptor of its directory ([`open_cgroup`]).
///
/// `attach_type` is the one the program was loaded for: any that begins with `Cgroup`, and `LsmCgroup`.
///
/// # Errors
/// [`KernelError::Invalid`] if the group is not of version 2, the program does not fit the attach type, or another
/// program was attached exclusively; [`KernelError::Unsupported`]; [`KernelError::NotPermitted`].
pub fn attach_cgroup(
    program: impl AsFd,
    cgroup: impl AsFd,
    attach_type: AttachType,
    options: CgroupOptions<'_>,
) -> Result<Attachment, KernelError> {
    let (mut flags, extra) = options.order.arguments();
    if options.first_in_tree {
        flags |= PREORDER;
    }
    match link_create(program.as_fd(), Target::Fd(cgroup.as_fd()), attach_type.number(), flags, &extra) {
        Ok(fd) => Ok(Link::new(fd).into()),
        Err(errno) if unknown(errno) && LINK.too_old() && flags == 0 => {
            attach_cgroup_slot(program, cgroup, attach_type, None).map(Attachment::Cgroup)
        }
        Err(errno) => Err(refused(&LINK, errno, attach_type, cgroup.as_fd())),
    }
}

/// A program of a control group that was attached without a link. Dropping it detaches.
#[derive(Debug)]
pub struct CgroupSlot {
    program: OwnedFd,
    cgroup: OwnedFd,
    attach_type: AttachType,
    armed: bool,
}

slot!(CgroupSlot);

impl CgroupSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        let way = Way { action: "detach a program from a control group", ..SLOT };
        prog_detach(Some(self.cgroup.as_fd()), self.program.as_fd(), self.attach_type.number()).map_err(|errno| {
            match errno {
                libc::ENOENT => way.invalid("the program is not attached there any more"),
                errno => refused(&way, errno, self.attach_type, self.cgroup.as_fd()),
            }
        })
    }
}

/// Attaches a program to a control group without a link (`BPF_PROG_ATTACH`), beside those that are there. With `replace`
/// in place of that program (Linux 5.6). Before Linux 4.15, which has one program for each place, it may be overridden
/// below.
///
/// # Errors
/// As for [`attach_cgroup`].
pub fn attach_cgroup_slot(
    program: impl AsFd,
    cgroup: impl AsFd,
    attach_type: AttachType,
    replace: Option<BorrowedFd<'_>>,
) -> Result<CgroupSlot, KernelError> {
    let (program, cgroup) = (keep(SLOT.action, program.as_fd())?, keep(SLOT.action, cgroup.as_fd())?);
    let several = Way { since: Release::new(4, 15), ..SLOT };
    let flags = if several.too_old() { flag::ALLOW_OVERRIDE } else { flag::ALLOW_MULTI };
    prog_attach(Some(cgroup.as_fd()), program.as_fd(), attach_type.number(), flags, replace).map_err(|errno| {
        let there = prog_query(Target::Fd(cgroup.as_fd()), attach_type.number()).unwrap_or_default();
        match prog_info(program.as_fd()) {
            Ok(own) if errno == libc::EINVAL && there.contains(&own.id) => {
                SLOT.invalid("the program is attached to the group already")
            }
            _ => refused(&SLOT, errno, attach_type, cgroup.as_fd()),
        }
    })?;
    Ok(CgroupSlot { program, cgroup, attach_type, armed: true })
}

fn refused(way: &Way, errno: i32, attach_type: AttachType, cgroup: BorrowedFd<'_>) -> KernelError {
    match errno {
        libc::EBADF => way.invalid(format!(
            "the descriptor is not a control group of the unified hierarchy (version 2){}",
            mounted()
        )),
        // An exclusive program above or here also gives this number, in spite of all capabilities.
        libc::EPERM if has_capability(Capability::NetAdmin) => {
            let others = prog_query(Target::Fd(cgroup), attach_type.number()).unwrap_or_default();
            if others.is_empty() {
                KernelError::not_permitted(way.action, way.needs)
            } else {
                let ids: Vec<String> = others.iter().map(u32::to_string).collect();
                way.invalid(format!(
                    "the group has a program for {attach_type} that allows no other (number {}); detach it first, or \
                     attach it so that others are allowed",
                    ids.join(", ")
                ))
            }
        }
        libc::EEXIST => way.invalid("the program is attached to the group already"),
        libc::E2BIG => way.invalid(format!("the group has as many programs for {attach_type} as it can have (64)")),
        libc::ENOENT => way.invalid("the program to replace, or the one that gives the place, is not attached there"),
        errno => way.error(errno, || {
            format!("the program was not loaded for {attach_type}, or this kernel does not have that place")
        }),
    }
}
