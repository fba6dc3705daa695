//! BTF in the kernel: loading it, and what the kernel knows about it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use skep_isa::Release;

use crate::errors::{KernelError, describe};
use crate::features::{Capability, running_release};
use crate::log::VerifierLog;
use crate::memlock::with_memory;
use crate::sys::bpf::address;
use crate::sys::info::{self, BtfInfo as RawInfo};
use crate::sys::object;

/// First size of the buffer for the kernel's reasons.
const FIRST_LOG: usize = 64 << 10;
/// Largest one.
const LARGEST_LOG: usize = 16 << 20;
/// Longest name that is asked for, with its NUL (`MODULE_NAME_LEN` and more).
const LONGEST_NAME: usize = 256;
/// Largest blob that is read back, in bytes; the kernel's own has a few million.
const LARGEST: u32 = 256 << 20;

/// Type information in the kernel. It lives as long as this value, a map or program that uses it or another descriptor.
#[derive(Debug)]
pub struct LoadedBtf {
    fd: OwnedFd,
}

/// Facts about loaded BTF (`struct bpf_btf_info`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BtfInfo {
    /// The number under which `bpftool btf show id` finds it.
    pub id: u32,
    /// Bytes of the blob.
    pub size: u32,
    /// `vmlinux`, the name of a module, or empty for what was loaded through `bpf(2)`. Linux 5.11.
    pub name: String,
    /// Whether it describes the kernel or one of its modules. Linux 5.11.
    pub kernel: bool,
}

impl LoadedBtf {
    /// Loads a blob (`BPF_BTF_LOAD`, Linux 4.18). It must suit the running kernel: see [`crate::BtfSupport`].
    ///
    /// # Errors
    /// [`KernelError::BtfRejected`] with the kernel's reason, [`KernelError::NotPermitted`],
    /// [`KernelError::Unsupported`] on kernels without BTF.
    pub fn load(btf: &[u8]) -> Result<Self, KernelError> {
        Self::load_with(btf, None)
    }

    /// The same for those who have another blob: without reasons.
    pub(crate) fn try_load(btf: &[u8]) -> Option<Self> {
        with_memory(|| object::btf_load(btf, None, &mut [])).ok().map(Self::from_fd)
    }

    /// As [`load`](Self::load) with the rights of a token (Linux 6.9).
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_with(btf: &[u8], token: Option<BorrowedFd<'_>>) -> Result<Self, KernelError> {
        const ACTION: &str = "load type information (BTF)";
        let errno = match with_memory(|| object::btf_load(btf, token, &mut [])) {
            Ok(fd) => return Ok(Self { fd }),
            Err(errno) => errno,
        };
        match errno {
            libc::EPERM => return Err(KernelError::not_permitted(ACTION, &[Capability::Bpf, Capability::SysAdmin])),
            libc::EMFILE | libc::ENFILE | libc::ENOMEM => return Err(KernelError::system(ACTION, errno)),
            libc::EINVAL if running_release().is_some_and(|release| release < Release::new(4, 18)) => {
                return Err(KernelError::unsupported("type information (BTF)", Release::new(4, 18)));
            }
            _ => {}
        }
        let mut log = vec![0; FIRST_LOG];
        loop {
            log.fill(0);
            match object::btf_load(btf, token, &mut log) {
                Ok(fd) => return Ok(Self { fd }),
                Err(libc::ENOSPC) if log.len() < LARGEST_LOG => log = vec![0; log.len() * 4],
                Err(again) => {
                    let log = VerifierLog::new(&log, again == libc::ENOSPC);
                    return Err(KernelError::BtfRejected { reason: describe(errno), log });
                }
            }
        }
    }

    /// Opens what the kernel has under a number; see [`crate::BtfIds`]. Linux 4.19.
    ///
    /// # Errors
    /// [`KernelError::NoSuchId`], [`KernelError::NotPermitted`].
    pub fn by_id(id: u32) -> Result<Self, KernelError> {
        crate::ids::open(info::Object::Btf, id, 0).map(Self::from_fd)
    }

    /// Takes over a descriptor that some other part of the program opened.
    pub fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Asks the kernel about it.
    ///
    /// # Errors
    /// [`KernelError::System`] if the descriptor is not one of BTF.
    pub fn info(&self) -> Result<BtfInfo, KernelError> {
        let mut name = [0u8; LONGEST_NAME];
        let mut raw = RawInfo {
            name: address(name.as_mut_ptr().cast_const()),
            name_len: LONGEST_NAME as u32,
            ..RawInfo::default()
        };
        self.ask(&mut raw)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        Ok(BtfInfo {
            id: raw.id,
            size: raw.btf_size,
            name: String::from_utf8_lossy(&name[..end]).into_owned(),
            kernel: raw.kernel_btf != 0,
        })
    }

    /// The blob. That of a module continues the numbers and strings of the kernel's.
    ///
    /// # Errors
    /// As for [`info`](Self::info).
    pub fn bytes(&self) -> Result<Vec<u8>, KernelError> {
        let size = self.info()?.size.min(LARGEST);
        let mut bytes = vec![0u8; size as usize];
        let mut raw = RawInfo { btf: address(bytes.as_mut_ptr().cast_const()), btf_size: size, ..RawInfo::default() };
        self.ask(&mut raw)?;
        Ok(bytes)
    }

    fn ask(&self, raw: &mut RawInfo) -> Result<(), KernelError> {
        // SAFETY: the two addresses in `raw` come from its callers just above, which pass buffers of the lengths that
        // stand next to them, or are 0 with a length of 0.
        unsafe { info::info_raw(self.as_fd(), std::ptr::from_mut(raw).cast(), size_of::<RawInfo>()) }
            .map(drop)
            .map_err(|errno| KernelError::system("ask for the properties of type information (BTF)", errno))
    }
}

impl AsFd for LoadedBtf {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
