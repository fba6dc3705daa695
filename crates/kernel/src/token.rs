//! Tokens: rights that a BPF file system delegates to a user namespace (Linux 6.9).

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use skep_isa::Release;

use crate::errors::KernelError;
use crate::features::Capability;
use crate::sys::object;

/// A token. Loading something with it counts the rights that the file system was mounted with (`delegate_cmds`,
/// `delegate_maps`, `delegate_progs`, `delegate_attachs`).
#[derive(Debug)]
pub struct Token {
    fd: OwnedFd,
}

impl Token {
    /// Makes a token of the BPF file system that is mounted at `mount` (`BPF_TOKEN_CREATE`).
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if this is no such mount, or one that delegates nothing, or one of the first user
    /// namespace, which has no use for tokens; [`KernelError::NotPermitted`], [`KernelError::Unsupported`].
    pub fn create(mount: impl AsRef<Path>) -> Result<Self, KernelError> {
        const ACTION: &str = "make a token";
        let mount = mount.as_ref();
        let invalid = |problem: String| KernelError::Invalid { action: ACTION, problem };
        let directory =
            File::open(mount).map_err(|error| invalid(format!("cannot open `{}`: {error}", mount.display())))?;
        object::token_create(directory.as_fd()).map(|fd| Self { fd }).map_err(|errno| match errno {
            libc::EINVAL if crate::running_release().is_some_and(|release| release < Release::new(6, 9)) => {
                KernelError::unsupported("tokens (BPF_TOKEN_CREATE)", Release::new(6, 9))
            }
            libc::EINVAL => invalid(format!("`{}` is not where a BPF file system is mounted", mount.display())),
            libc::EOPNOTSUPP => invalid(
                "tokens are for other user namespaces than the first one; here the process needs none, its capabilities \
                 count"
                    .to_owned(),
            ),
            libc::ENOENT => invalid(format!(
                "the BPF file system at `{}` delegates nothing; mount it with options such as `delegate_cmds=any`",
                mount.display()
            )),
            libc::EPERM => KernelError::not_permitted(ACTION, &[Capability::Bpf]),
            errno => KernelError::system(ACTION, errno),
        })
    }
}

impl AsFd for Token {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
