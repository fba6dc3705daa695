//! Performance events as far as the perf buffer needs them: an event that programs write to, and its ring.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::layout::{constants, plain};
use crate::errors::last_errno;

plain! {
    /// `struct perf_event_attr` up to its third version, which has what is needed here (`linux/perf_event.h`).
    struct OutputEvent = "perf_event_attr" {
        r#type: u32,
        size: u32,
        config: u64,
        sample_period: u64,
        sample_type: u64,
        read_format: u64,
        bits_disabled: u64,
        wakeup_events: u32,
        bp_type: u32,
        config1: u64,
        config2: u64,
        branch_sample_type: u64,
        sample_regs_user: u64,
        sample_stack_user: u32,
        clockid: i32,
    }

    /// `struct perf_event_header`, with which every record begins.
    struct RecordHeader = "perf_event_header" {
        r#type: u32,
        misc: u16,
        size: u16,
    }

    /// The end of `struct perf_event_mmap_page`; the data of the ring begin at `data_offset`.
    struct RingControl = "perf_event_mmap_page" {
        pad: [[u64; 32]; 4],
        data_head: u64,
        data_tail: u64,
        data_offset: u64,
        data_size: u64,
    }
}

constants! {
    /// Numbers of `linux/perf_event.h`.
    mod perf: u32 = "PERF_" {
        TYPE_SOFTWARE = 1,
        COUNT_SW_BPF_OUTPUT = 10,
        SAMPLE_RAW = 1024,
        RECORD_LOST = 2,
        RECORD_SAMPLE = 9,
    }
}

/// Opens an event on a processor to which programs can write records (`bpf_perf_event_output`). The reader is woken after
/// `wakeup` records.
pub(crate) fn open_output(cpu: u32, wakeup: u32) -> Result<OwnedFd, i32> {
    let attr = OutputEvent {
        r#type: perf::TYPE_SOFTWARE,
        size: size_of::<OutputEvent>() as u32,
        config: perf::COUNT_SW_BPF_OUTPUT.into(),
        sample_period: 1,
        sample_type: perf::SAMPLE_RAW.into(),
        wakeup_events: wakeup,
        ..OutputEvent::default()
    };
    /// `PERF_FLAG_FD_CLOEXEC`
    const FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
    let cpu = i32::try_from(cpu).map_err(|_| libc::EINVAL)?;
    // SAFETY: the kernel reads `size` bytes of the structure, which lives through the call; the others are numbers.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(&attr), -1 as libc::pid_t, cpu, -1, FLAG_FD_CLOEXEC)
    };
    match i32::try_from(fd) {
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last_errno()),
    }
}

/// Lets the event take records.
pub(crate) fn enable(event: BorrowedFd<'_>) -> Result<(), i32> {
    /// `PERF_EVENT_IOC_ENABLE`: `_IO('$', 0)`.
    const ENABLE: libc::Ioctl = 0x2400;
    // SAFETY: the command takes a number and no address.
    if unsafe { libc::ioctl(event.as_raw_fd(), ENABLE, 0) } == 0 { Ok(()) } else { Err(last_errno()) }
}
