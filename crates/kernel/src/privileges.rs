//! Giving up privileges once the sockets are open.

use std::ffi::{CStr, CString};
use std::fmt;
use std::io;

use crate::errors::describe;

/// Why privileges could not be given up. The process should end then: its state may be half changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivilegeError {
    /// No such user.
    UnknownUser(String),
    /// The user database could not be read; the reason in words.
    Database(String),
    /// The kernel refused to change the user or the groups; the step and the reason in words.
    Refused {
        /// What was to be done.
        step: &'static str,
        /// The kernel's reason.
        reason: String,
    },
    /// The change went through, but the process could change back.
    NotPermanent,
}

impl fmt::Display for PrivilegeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUser(name) => {
                write!(f, "there is no user `{name}`; `getent passwd` lists those that exist")
            }
            Self::Database(reason) => write!(f, "cannot read the user database: {reason}"),
            Self::Refused { step, reason } => {
                write!(f, "cannot {step}: {reason}; start as root, or leave the user as it is")
            }
            Self::NotPermanent => f.write_str("the user was changed, but root could be had back; giving up"),
        }
    }
}

impl std::error::Error for PrivilegeError {}

/// The numbers of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    uid: libc::uid_t,
    gid: libc::gid_t,
}

/// Becomes another user for good: supplementary groups, group, user, and with them all capabilities.
///
/// Open files and sockets stay usable. Nothing happens if the process already runs as that user without privileges.
///
/// # Errors
/// [`PrivilegeError`]; only [`UnknownUser`](PrivilegeError::UnknownUser) and [`Database`](PrivilegeError::Database)
/// leave the process as it was.
pub fn drop_privileges(user: &str) -> Result<(), PrivilegeError> {
    let name = CString::new(user).map_err(|_| PrivilegeError::UnknownUser(user.replace('\0', "")))?;
    let target = look_up(&name)?.ok_or_else(|| PrivilegeError::UnknownUser(user.to_owned()))?;
    let refused = |step| move |errno| PrivilegeError::Refused { step, reason: describe(errno) };
    // SAFETY: no pointers are involved.
    let (uid, euid) = unsafe { (libc::getuid(), libc::geteuid()) };
    if (uid, euid) == (target.uid, target.uid) && uid != 0 {
        return Ok(());
    }
    // SAFETY: `name` is a C string that lives through the call.
    check(unsafe { libc::initgroups(name.as_ptr(), target.gid) }).map_err(refused("set the groups"))?;
    // SAFETY: no pointers are involved. All three numbers change, so none can be restored from a saved one.
    check(unsafe { libc::setresgid(target.gid, target.gid, target.gid) }).map_err(refused("set the group"))?;
    // SAFETY: as above.
    check(unsafe { libc::setresuid(target.uid, target.uid, target.uid) }).map_err(refused("set the user"))?;
    // SAFETY: no pointers are involved.
    if target.uid != 0 && unsafe { libc::setuid(0) } == 0 {
        return Err(PrivilegeError::NotPermanent);
    }
    Ok(())
}

fn check(result: libc::c_int) -> Result<(), i32> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)) }
}

/// Finds a user by name in the system's database, `None` if there is none.
fn look_up(name: &CStr) -> Result<Option<User>, PrivilegeError> {
    const LARGEST: usize = 1 << 20;
    let mut buffer: Vec<libc::c_char> = vec![0; 4096];
    loop {
        // SAFETY: `passwd` is a C structure of integers and pointers, for which zero is a value.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found: *mut libc::passwd = std::ptr::null_mut();
        // SAFETY: all pointers are valid for the call and the length is that of the buffer. Only the numbers of
        // `entry` are read afterwards, not the strings in the buffer.
        let result = unsafe {
            libc::getpwnam_r(name.as_ptr(), &raw mut entry, buffer.as_mut_ptr(), buffer.len(), &raw mut found)
        };
        match result {
            0 if found.is_null() => return Ok(None),
            0 => return Ok(Some(User { uid: entry.pw_uid, gid: entry.pw_gid })),
            libc::ERANGE if buffer.len() < LARGEST => buffer.resize(buffer.len() * 2, 0),
            libc::EINTR => {}
            // getpwnam(3): these also stand for "not found", depending on the library.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            errno => return Err(PrivilegeError::Database(describe(errno))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        assert_eq!(look_up(c"root"), Ok(Some(User { uid: 0, gid: 0 })));
        assert_eq!(look_up(c"no-such-user-here"), Ok(None));
        let error = drop_privileges("no-such-user-here").unwrap_err();
        assert_eq!(error.to_string(), "there is no user `no-such-user-here`; `getent passwd` lists those that exist");
        assert_eq!(drop_privileges("a\0b"), Err(PrivilegeError::UnknownUser("ab".to_owned())));
    }
}
