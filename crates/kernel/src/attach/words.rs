//! What the kinds of attachments have in common when they fail: capabilities, releases, similar names.

use std::ffi::CString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use skep_isa::Release;
use skep_isa::near::distance;

use crate::errors::KernelError;
use crate::features::{Capability, running_release};

/// The kernel's own number for "not supported", which has no name in user space (`ENOTSUPP`).
pub(super) const ENOTSUPP: i32 = 524;

/// What attaching to the network needs.
pub(super) const NETWORK: &[Capability] = &[Capability::NetAdmin, Capability::SysAdmin];
/// What tracing needs.
pub(super) const TRACING: &[Capability] = &[Capability::Perfmon, Capability::SysAdmin];

/// Adds `detach`, `leave` and dropping to a type with a field `armed` and a method `undo`.
macro_rules! slot {
    ($name:ident) => {
        impl $name {
            /// Detaches and tells whether that worked; dropping does the same and ignores failures.
            ///
            /// # Errors
            /// [`KernelError::System`] and the errors of the kind, for example when somebody else has removed the
            /// program.
            pub fn detach(mut self) -> Result<(), KernelError> {
                self.armed = false;
                self.undo()
            }

            /// Leaves it attached when this process ends; nothing detaches it from here any more.
            pub fn leave(mut self) {
                self.armed = false;
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                if self.armed {
                    // Nobody is left to tell; `detach` is for those who want to know.
                    let _ = self.undo();
                }
            }
        }
    };
}
pub(super) use slot;

/// A second descriptor for what somebody else may close before we detach.
pub(super) fn keep(action: &'static str, fd: BorrowedFd<'_>) -> Result<OwnedFd, KernelError> {
    fd.try_clone_to_owned().map_err(|error| KernelError::system(action, error.raw_os_error().unwrap_or(libc::EMFILE)))
}

/// A way of attaching: how it is called in errors, since when the kernel has it, what it needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    /// What is done: "attach an XDP program".
    pub(super) action: &'static str,
    /// What the kernel lacks when it refuses to know it: "links for XDP".
    pub(super) what: &'static str,
    /// First release that has it.
    pub(super) since: Release,
    /// Any of these capabilities allows it.
    pub(super) needs: &'static [Capability],
}

impl Way {
    /// The caller's values do not fit together.
    pub(super) fn invalid(&self, problem: impl Into<String>) -> KernelError {
        KernelError::Invalid { action: self.action, problem: problem.into() }
    }

    /// The kernel does not have it, because of its age or because of how it was built.
    pub(super) fn unsupported(&self) -> KernelError {
        self.lacks(self.what)
    }

    /// The kernel was built without something.
    pub(super) fn lacks(&self, what: impl Into<String>) -> KernelError {
        KernelError::Unsupported { what: what.into(), since: Some(self.since), running: running_release() }
    }

    /// Whether the running kernel is older than this way. A kernel whose release cannot be read counts as new.
    pub(super) fn too_old(&self) -> bool {
        running_release().is_some_and(|running| running < self.since)
    }

    /// Words for the error numbers that mean the same everywhere; `EINVAL` and the like become `problem`.
    pub(super) fn error(&self, errno: i32, problem: impl FnOnce() -> String) -> KernelError {
        match errno {
            libc::EPERM | libc::EACCES => KernelError::not_permitted(self.action, self.needs),
            libc::ENOSYS => self.unsupported(),
            libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP | ENOTSUPP if self.too_old() => self.unsupported(),
            libc::EOPNOTSUPP | ENOTSUPP => self.lacks(format!("{} (built without it?)", self.what)),
            libc::EINVAL | libc::E2BIG => self.invalid(problem()),
            errno => KernelError::system(self.action, errno),
        }
    }
}

/// Whether the kernel's answer may mean that it does not know the command or this use of it, so that an older way is
/// worth a try.
pub(super) fn unknown(errno: i32) -> bool {
    matches!(errno, libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP | libc::ENOSYS | ENOTSUPP)
}

/// A path or name for a system call.
pub(super) fn c_string(action: &'static str, text: &[u8]) -> Result<CString, KernelError> {
    CString::new(text).map_err(|_| KernelError::Invalid {
        action,
        problem: format!("`{}` contains a NUL character", String::from_utf8_lossy(text).escape_default()),
    })
}

/// A path for a system call.
pub(super) fn c_path(action: &'static str, path: &Path) -> Result<CString, KernelError> {
    c_string(action, path.as_os_str().as_bytes())
}

/// ": did you mean `a` or `b`?" with up to three similar names, nothing if none is similar.
pub(super) fn suggestion<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    // A third of the name may be wrong before a proposal looks silly.
    let limit = (wanted.chars().count() / 3).clamp(1, 4);
    let mut near: Vec<(usize, &str)> = names
        .filter(|name| name.len().abs_diff(wanted.len()) <= limit)
        .map(|name| (distance(wanted, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .collect();
    near.sort_unstable();
    near.dedup();
    let names: Vec<String> = near.iter().take(3).map(|(_, name)| format!("`{name}`")).collect();
    if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names() {
        let names = ["sys_enter_openat", "sys_enter_open", "sys_exit_openat", "sched_switch"];
        assert_eq!(suggestion("sched_swich", names.into_iter()), "; did you mean `sched_switch`?");
        let text = suggestion("sys_enter_opena", names.into_iter());
        assert_eq!(text, "; did you mean `sys_enter_open` or `sys_enter_openat`?");
        assert_eq!(suggestion("nothing", names.into_iter()), "");
    }

    #[test]
    fn numbers_become_words() {
        const WAY: Way = Way { action: "attach a program", what: "links", since: Release::new(5, 7), needs: NETWORK };
        assert!(matches!(WAY.error(libc::EPERM, String::new), KernelError::NotPermitted { .. }));
        assert!(matches!(WAY.error(libc::ENOSYS, String::new), KernelError::Unsupported { .. }));
        let future = Way { since: Release::new(99, 0), ..WAY };
        assert!(future.error(libc::EINVAL, String::new).to_string().contains("it came with Linux 99.0"));
        let error = WAY.error(libc::EINVAL, || "the type is wrong".to_owned());
        assert_eq!(error.to_string(), "cannot attach a program: the type is wrong");
    }
}
