//! Packet sockets: the system calls of packet(7), each behind a safe function.

use std::ffi::c_int;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use skep_isa::classic::Insn;

use super::error::{CaptureError, last_errno};

/// Shape of a ring: bytes in a block, number of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) block: usize,
    pub(super) count: usize,
}

/// What the kernel has counted since the last question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Packets that passed the filter, with those dropped.
    pub(super) packets: u32,
    /// Of these, dropped because the ring was full.
    pub(super) drops: u32,
}

/// Opens a packet socket that receives nothing until it is bound. `cooked`: without link headers.
pub(super) fn open(cooked: bool) -> Result<OwnedFd, CaptureError> {
    let kind = if cooked { libc::SOCK_DGRAM } else { libc::SOCK_RAW };
    // SAFETY: no pointers are involved.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(match last_errno() {
            libc::EAFNOSUPPORT => CaptureError::Unsupported { what: "packet sockets (CONFIG_PACKET)" },
            errno => CaptureError::system("open a packet socket", errno),
        });
    }
    // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets an option to a value of plain integers; gives the error number.
fn set<T: Copy>(fd: BorrowedFd<'_>, level: c_int, option: c_int, value: &T) -> Result<(), i32> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length describe `value`, which lives through the call; the kernel only reads it.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Sets an integer option of packet sockets.
pub(super) fn set_int(fd: BorrowedFd<'_>, option: c_int, value: c_int) -> Result<(), i32> {
    set(fd, libc::SOL_PACKET, option, &value)
}

/// Chooses rings of version 3.
pub(super) fn use_version_3(fd: BorrowedFd<'_>) -> Result<(), CaptureError> {
    set_int(fd, libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V3 as c_int)
        .map_err(|_| CaptureError::Unsupported { what: "packet rings of version 3" })
}

/// Makes the ring. Gives the error number, because a smaller one may do.
pub(super) fn make_ring(fd: BorrowedFd<'_>, shape: Shape, retire_millis: u32) -> Result<(), i32> {
    let number = |value: usize| u32::try_from(value).map_err(|_| libc::EINVAL);
    // Frames of version 3 have no fixed size; the kernel only checks that this one divides the block.
    const FRAME: usize = 2048;
    let request = libc::tpacket_req3 {
        tp_block_size: number(shape.block)?,
        tp_block_nr: number(shape.count)?,
        tp_frame_size: number(FRAME)?,
        tp_frame_nr: number(shape.block / FRAME * shape.count)?,
        tp_retire_blk_tov: retire_millis,
        tp_sizeof_priv: 0,
        tp_feature_req_word: libc::TP_FT_REQ_FILL_RXHASH,
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)
}

/// Attaches a filter made of checked constants.
pub(super) fn attach_filter(fd: BorrowedFd<'_>, insns: &[Insn]) -> Result<(), CaptureError> {
    const ACTION: &str = "attach a filter to the packet socket";
    let len = u16::try_from(insns.len()).map_err(|_| CaptureError::system(ACTION, libc::EINVAL))?;
    // `Insn` has the layout of `struct sock_filter`, which a test compares; the kernel only reads it.
    let program = libc::sock_fprog { len, filter: insns.as_ptr().cast_mut().cast() };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program).map_err(|errno| CaptureError::system(ACTION, errno))
}

/// Starts delivery of all protocols from the interface with this number, or from all if it is 0. Gives the error
/// number.
pub(super) fn bind(fd: BorrowedFd<'_>, index: u32) -> Result<(), i32> {
    // SAFETY: `sockaddr_ll` is a C structure of integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = c_int::try_from(index).map_err(|_| libc::ENODEV)?;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: pointer and length describe `address`, which the kernel only reads.
    if unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), len) } != 0 {
        return Err(last_errno());
    }
    // An interface that is down is reported here and not by bind(2).
    match pending_error(fd) {
        0 => Ok(()),
        errno => Err(errno),
    }
}

/// Takes the error that happened to the socket, 0 if none.
pub(super) fn pending_error(fd: BorrowedFd<'_>) -> i32 {
    let mut errno: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `errno`, both live through the call.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_ERROR, (&raw mut errno).cast(), &raw mut len)
    };
    if result == 0 { errno } else { last_errno() }
}

/// Asks the interface to receive packets for others too, as long as the socket is open.
pub(super) fn join_promiscuous(fd: BorrowedFd<'_>, index: u32) -> Result<(), CaptureError> {
    let request = libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
        .map_err(|errno| CaptureError::system("put the interface into promiscuous mode", errno))
}

/// Takes the kernel's counts; they start from zero again.
pub(super) fn take_counts(fd: BorrowedFd<'_>) -> Result<Counts, CaptureError> {
    let mut stats = libc::tpacket_stats_v3 { tp_packets: 0, tp_drops: 0, tp_freeze_q_cnt: 0 };
    let mut len = size_of::<libc::tpacket_stats_v3>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `stats`, both live through the call.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut stats).cast(),
            &raw mut len,
        )
    };
    if result == 0 {
        Ok(Counts { packets: stats.tp_packets, drops: stats.tp_drops })
    } else {
        Err(CaptureError::last("ask for the statistics of the packet socket"))
    }
}

/// What a wait ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Polled {
    /// A block may be ready.
    pub(super) packets: bool,
    /// The socket has an error to be taken.
    pub(super) error: bool,
    /// The event was set.
    pub(super) woken: bool,
}

/// Waits until a block is ready, the socket has an error, the event is set, or the time is over (-1: for ever). A
/// signal ends the wait too, with nothing set.
pub(super) fn poll(fd: BorrowedFd<'_>, event: BorrowedFd<'_>, millis: c_int) -> Result<Polled, CaptureError> {
    let entry = |fd: BorrowedFd<'_>| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries = [entry(fd), entry(event)];
    // SAFETY: pointer and number describe `entries`.
    let result = unsafe { libc::poll(entries.as_mut_ptr(), 2, millis) };
    if result < 0 && last_errno() != libc::EINTR {
        return Err(CaptureError::last("wait for packets"));
    }
    let [socket, event] = entries.map(|entry| if result < 0 { 0 } else { entry.revents });
    Ok(Polled {
        packets: socket & libc::POLLIN != 0,
        error: socket & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0,
        woken: event != 0,
    })
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
