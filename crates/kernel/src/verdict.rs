//! What the kernel itself says about a packet: verdicts of socket filters without a network.
//!
//! Two ways. A Unix datagram socket runs its filter on exactly the bytes that are sent to it; no privilege is needed
//! for classic programs. `BPF_PROG_TEST_RUN` also tells the exact result of the program.

use std::os::fd::{AsFd, OwnedFd};

use skep_isa::classic::Insn;

use crate::attach::{attach_classic, attach_program};
use crate::errors::KernelError;
use crate::prog::LoadedProgram;
use crate::sys::socket;

/// Room for the largest packet in the send queue, in bytes; the kernel caps it at `net.core.wmem_max`.
const SEND_BUFFER: i32 = 4 << 20;
/// Length of the Ethernet header that a test run takes off.
const ETHERNET: usize = 14;

/// A filter attached to a Unix datagram socket: asks the kernel about many packets in little time.
///
/// The packets have no link header, no device and no protocol: ancillary words such as `proto` are 0, and a load of
/// the interface ends the program.
#[derive(Debug)]
pub struct Verdicts {
    to: OwnedFd,
    from: OwnedFd,
}

const ACTION: &str = "ask the kernel for a verdict";

impl Verdicts {
    fn pair() -> Result<Self, KernelError> {
        let (to, from) = socket::datagram_pair().map_err(|errno| KernelError::system(ACTION, errno))?;
        // A failure only lowers the longest packet.
        let _ = socket::set_int(to.as_fd(), libc::SO_SNDBUFFORCE, SEND_BUFFER)
            .or_else(|_| socket::set_int(to.as_fd(), libc::SO_SNDBUF, SEND_BUFFER));
        Ok(Self { to, from })
    }

    /// Attaches a classic program.
    ///
    /// # Errors
    /// As for [`attach_classic`].
    pub fn classic(insns: &[Insn]) -> Result<Self, KernelError> {
        let pair = Self::pair()?;
        attach_classic(&pair.from, insns)?;
        Ok(pair)
    }

    /// Attaches a loaded socket filter.
    ///
    /// # Errors
    /// As for [`attach_program`].
    pub fn program(program: &LoadedProgram) -> Result<Self, KernelError> {
        let pair = Self::pair()?;
        attach_program(&pair.from, program)?;
        Ok(pair)
    }

    /// Replaces the filter by another classic program.
    ///
    /// # Errors
    /// As for [`attach_classic`]; the old filter stays then.
    pub fn replace_classic(&mut self, insns: &[Insn]) -> Result<(), KernelError> {
        attach_classic(&self.from, insns)
    }

    /// Sends a packet through the filter: `None` if it is rejected, otherwise the number of bytes kept, which is the
    /// smaller of the program's result and the length of the packet.
    ///
    /// # Errors
    /// [`KernelError::System`] if the packet is longer than the socket takes (about 208 KiB without privilege).
    pub fn of(&self, packet: &[u8]) -> Result<Option<u32>, KernelError> {
        socket::send(self.to.as_fd(), packet).map_err(|errno| KernelError::system(ACTION, errno))?;
        let kept = socket::receive_length(self.from.as_fd()).map_err(|errno| KernelError::system(ACTION, errno))?;
        Ok(kept.and_then(|kept| u32::try_from(kept).ok()))
    }
}

/// The kernel's verdict about one packet: bytes kept, `None` if rejected. For many packets use [`Verdicts`].
///
/// # Errors
/// As for [`Verdicts::classic`] and [`Verdicts::of`].
pub fn verdict_classic(insns: &[Insn], packet: &[u8]) -> Result<Option<u32>, KernelError> {
    Verdicts::classic(insns)?.of(packet)
}

/// The exact result of a loaded socket filter for a packet, by `BPF_PROG_TEST_RUN` (Linux 4.12).
///
/// The kernel takes an Ethernet header off before it runs a socket filter. One of zeros is put in front of `packet`,
/// so offset 0 of the program is byte 0 of `packet`, as with [`Verdicts`]. The packet's protocol is 0, its device is
/// the loopback device. `packet` must not be empty and must be shorter than a page less about 400 bytes.
///
/// # Errors
/// As for [`LoadedProgram::test_run`].
pub fn test_verdict(program: &LoadedProgram, packet: &[u8]) -> Result<u32, KernelError> {
    let mut data = vec![0; ETHERNET];
    data.extend_from_slice(packet);
    Ok(program.test_run(&data, 1)?.result)
}
