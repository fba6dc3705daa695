//! Socket options, datagram pairs, sending and receiving.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use skep_isa::classic::Insn;

use crate::errors::last_errno;

/// Sets a socket option of level `SOL_SOCKET` to a value of plain integers.
fn set_option<T: Copy>(fd: BorrowedFd<'_>, option: c_int, value: &T) -> Result<(), i32> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer and the length describe `value`, which lives through the call; the kernel only reads it.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, std::ptr::from_ref(value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sets an integer option of level `SOL_SOCKET`.
pub(crate) fn set_int(fd: BorrowedFd<'_>, option: c_int, value: c_int) -> Result<(), i32> {
    set_option(fd, option, &value)
}

/// Reads an integer option of level `SOL_SOCKET`.
pub(crate) fn get_int(fd: BorrowedFd<'_>, option: c_int) -> Result<c_int, i32> {
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `value` and the new length to `len`; both live through the call.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, (&raw mut value).cast(), &raw mut len) };
    if result == 0 { Ok(value) } else { Err(last_errno()) }
}

/// `SO_ATTACH_FILTER` with a program whose length fits the kernel's 16-bit field.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, insns: &[Insn]) -> Result<(), i32> {
    let Ok(len) = u16::try_from(insns.len()) else { return Err(libc::EINVAL) };
    // `Insn` is `repr(C)` with the fields of `struct sock_filter`, which a test compares; the kernel only reads it.
    let program = libc::sock_fprog { len, filter: insns.as_ptr().cast_mut().cast() };
    set_option(fd, libc::SO_ATTACH_FILTER, &program)
}

/// A connected pair of Unix datagram sockets.
pub(crate) fn datagram_pair() -> Result<(OwnedFd, OwnedFd), i32> {
    let mut fds: [c_int; 2] = [-1; 2];
    // SAFETY: the kernel writes two integers to `fds`.
    let result = unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) };
    if result != 0 {
        return Err(last_errno());
    }
    // SAFETY: the call succeeded, so both are open and belong to nobody else.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Sends one datagram, waiting if the queue is full.
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), i32> {
    loop {
        // SAFETY: pointer and length describe `bytes`, which the kernel only reads.
        let sent = unsafe { libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        if sent >= 0 {
            return Ok(());
        }
        match last_errno() {
            libc::EINTR => {}
            errno => return Err(errno),
        }
    }
}

/// The length of the next datagram, `None` if there is none. The bytes are thrown away.
pub(crate) fn receive_length(fd: BorrowedFd<'_>) -> Result<Option<usize>, i32> {
    let mut byte = 0u8;
    loop {
        // SAFETY: the kernel writes at most one byte to `byte`; MSG_TRUNC makes it return the whole length.
        let length =
            unsafe { libc::recv(fd.as_raw_fd(), (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT | libc::MSG_TRUNC) };
        if let Ok(length) = usize::try_from(length) {
            return Ok(Some(length));
        }
        match last_errno() {
            libc::EINTR => {}
            libc::EAGAIN => return Ok(None),
            errno => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{align_of, offset_of};

    #[test]
    fn classic_instructions_have_the_layout_of_the_kernel() {
        assert_eq!(size_of::<Insn>(), size_of::<libc::sock_filter>());
        assert_eq!(align_of::<Insn>(), align_of::<libc::sock_filter>());
        assert_eq!(offset_of!(Insn, code), offset_of!(libc::sock_filter, code));
        assert_eq!(offset_of!(Insn, jt), offset_of!(libc::sock_filter, jt));
        assert_eq!(offset_of!(Insn, jf), offset_of!(libc::sock_filter, jf));
        assert_eq!(offset_of!(Insn, k), offset_of!(libc::sock_filter, k));
    }
}
