//! Decoders of infrared remote controls: programs that see each pulse and each space that a receiver measures.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use skep_isa::{AttachType, Release};

use super::words::{NETWORK, Way, keep, slot};
use crate::errors::KernelError;
use crate::sys::link::{prog_attach, prog_detach};

const WAY: Way = Way {
    action: "attach a decoder to a receiver of infrared signals",
    what: "decoders of infrared signals (CONFIG_BPF_LIRC_MODE2)",
    since: Release::new(4, 18),
    needs: NETWORK,
};

/// A decoder at a receiver. Dropping it detaches.
#[derive(Debug)]
pub struct InfraredSlot {
    program: OwnedFd,
    device: OwnedFd,
    armed: bool,
}

slot!(InfraredSlot);

impl InfraredSlot {
    fn undo(&mut self) -> Result<(), KernelError> {
        let way = Way { action: "detach a decoder from a receiver of infrared signals", ..WAY };
        prog_detach(Some(self.device.as_fd()), self.program.as_fd(), AttachType::LircMode2.number()).map_err(|errno| {
            match errno {
                libc::ENOENT => way.invalid("the receiver does not have this program"),
                errno => refused(&way, errno),
            }
        })
    }
}

/// Opens a receiver, `/dev/lircN`, so that programs can be attached to it: the kernel wants it to be writable.
///
/// # Errors
/// [`KernelError::Invalid`] if it cannot be opened.
pub fn open_infrared(path: impl AsRef<Path>) -> Result<File, KernelError> {
    let path = path.as_ref();
    OpenOptions::new().read(true).write(true).open(path).map_err(|error| KernelError::Invalid {
        action: "open a receiver of infrared signals",
        problem: match error.kind() {
            std::io::ErrorKind::NotFound => {
                format!("there is no {}; receivers are /dev/lirc0 and so on", path.display())
            }
            kind => format!("{} cannot be opened for reading and writing: {kind}", path.display()),
        },
    })
}

/// Attaches a program of type lirc_mode2 (Linux 4.18) to a receiver that measures raw signals, behind those that it has:
/// at most 64. The program gets each pulse and space, in microseconds with the kind in the highest byte (lirc(4)).
///
/// # Errors
/// [`KernelError::Invalid`] if `device` is no such receiver, was not opened for writing, or has this program already;
/// [`KernelError::Unsupported`]; [`KernelError::NotPermitted`] without CAP_NET_ADMIN.
pub fn attach_infrared(program: impl AsFd, device: impl AsFd) -> Result<InfraredSlot, KernelError> {
    let (program, device) = (keep(WAY.action, program.as_fd())?, keep(WAY.action, device.as_fd())?);
    prog_attach(Some(device.as_fd()), program.as_fd(), AttachType::LircMode2.number(), 0, None)
        .map_err(|errno| refused(&WAY, errno))?;
    Ok(InfraredSlot { program, device, armed: true })
}

fn refused(way: &Way, errno: i32) -> KernelError {
    match errno {
        libc::EEXIST => way.invalid("the receiver has this program already"),
        libc::E2BIG => way.invalid("the receiver has as many programs as it can have (64)"),
        libc::ENODEV => way.invalid("the receiver is gone"),
        errno => way.error(errno, || {
            "the file is no receiver of infrared signals (/dev/lircN) that measures raw ones, or the program is not of type \
             lirc_mode2"
                .to_owned()
        }),
    }
}
