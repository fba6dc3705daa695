//! The limit on locked memory, to which kernels before 5.11 charge maps and programs.
//!
//! Its usual value of 64 KiB holds next to nothing, and exceeding it looks like a missing permission. So the commands that
//! create something raise it when such a kernel refuses, and [`raised_memory_limit`] says so.

use std::sync::OnceLock;

use skep_isa::Release;

use crate::errors::{KernelError, last_errno};
use crate::features::running_release;

/// First release that charges memory to control groups instead (commit d5299b67dd59).
const CHARGES_CGROUPS: Release = Release::new(5, 11);

static RAISED: OnceLock<u64> = OnceLock::new();

/// What `RLIMIT_MEMLOCK` was in bytes before this process raised it; `None` if it did not have to.
pub fn raised_memory_limit() -> Option<u64> {
    RAISED.get().copied()
}

/// Raises `RLIMIT_MEMLOCK` of this process to unlimited, or as far as the hard limit goes without `CAP_SYS_RESOURCE`.
/// Returns the value before, in bytes (`u64::MAX` for unlimited).
///
/// # Errors
/// [`KernelError::System`] if the kernel refuses both.
pub fn raise_memory_limit() -> Result<u64, KernelError> {
    const ACTION: &str = "raise the limit on locked memory";
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes to the structure, which lives through the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return Err(KernelError::system(ACTION, last_errno()));
    }
    let before = limit.rlim_cur;
    for wanted in [libc::RLIM_INFINITY, limit.rlim_max] {
        let new = libc::rlimit { rlim_cur: wanted, rlim_max: wanted.max(limit.rlim_max) };
        // SAFETY: the kernel reads the structure, which lives through the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const new) } == 0 {
            return Ok(before);
        }
    }
    Err(KernelError::system(ACTION, last_errno()))
}

/// Whether a kernel of this release says `EPERM` when the limit is exceeded.
fn charges_the_limit(release: Option<Release>) -> bool {
    release.is_some_and(|release| release < CHARGES_CGROUPS)
}

/// Issues a command again with a higher limit if that may be what it failed for.
pub(crate) fn with_memory<T>(command: impl FnMut() -> Result<T, i32>) -> Result<T, i32> {
    retry(running_release(), command)
}

fn retry<T>(release: Option<Release>, mut command: impl FnMut() -> Result<T, i32>) -> Result<T, i32> {
    match command() {
        Err(libc::EPERM) if raised_memory_limit().is_none() && charges_the_limit(release) => {
            let Ok(before) = raise_memory_limit() else { return Err(libc::EPERM) };
            let _ = RAISED.set(before);
            command()
        }
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_kernels_get_a_second_attempt_with_a_higher_limit() {
        let attempts = |release, answers: &[i32]| {
            let mut made = 0;
            let result = retry(Some(release), || {
                made += 1;
                match answers.get(made - 1) {
                    Some(errno) => Err(*errno),
                    None => Ok(()),
                }
            });
            (made, result)
        };
        assert_eq!(attempts(Release::new(5, 15), &[libc::EPERM]), (1, Err(libc::EPERM)));
        assert_eq!(attempts(Release::new(5, 4), &[libc::EINVAL]), (1, Err(libc::EINVAL)));
        assert_eq!(raised_memory_limit(), None);
        assert_eq!(attempts(Release::new(5, 4), &[libc::EPERM]), (2, Ok(())));
        assert!(raised_memory_limit().is_some());
        assert_eq!(attempts(Release::new(5, 4), &[libc::EPERM]), (1, Err(libc::EPERM)), "once is enough");
    }
}
