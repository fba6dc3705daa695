//! Error numbers that helpers return (`asm-generic/errno-base.h`, `asm-generic/errno.h`, `linux/errno.h`), as register
//! values.

const fn errno(number: i64) -> u64 {
    (-number).cast_unsigned()
}

pub(super) const EPERM: u64 = errno(1);
pub(super) const E2BIG: u64 = errno(7);
pub(super) const ENOMEM: u64 = errno(12);
pub(super) const EACCES: u64 = errno(13);
pub(super) const EFAULT: u64 = errno(14);
pub(super) const ENODEV: u64 = errno(19);
pub(super) const EBUSY: u64 = errno(16);
pub(super) const EINVAL: u64 = errno(22);
pub(super) const ERANGE: u64 = errno(34);
pub(super) const EDEADLK: u64 = errno(35);
pub(super) const EAFNOSUPPORT: u64 = errno(97);
pub(super) const ENOTSUPP: u64 = errno(524);
