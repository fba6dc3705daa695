//! `perf_event_open(2)` and the controls of its descriptors, as far as programs are attached to them.

use std::ffi::{CStr, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::layout::plain;
use crate::errors::last_errno;

/// Kinds of events that have a fixed number (`enum perf_type_id`).
pub(crate) mod kind {
    pub(crate) const HARDWARE: u32 = 0;
    pub(crate) const SOFTWARE: u32 = 1;
    pub(crate) const TRACEPOINT: u32 = 2;
    pub(crate) const HW_CACHE: u32 = 3;
    pub(crate) const RAW: u32 = 4;
    pub(crate) const BREAKPOINT: u32 = 5;
}

/// Bits of the word of flags in `struct perf_event_attr`.
pub(crate) mod bit {
    pub(crate) const FREQ: u64 = 1 << 10;
}

/// `PERF_FLAG_FD_CLOEXEC`
const CLOEXEC: libc::c_ulong = 8;
/// `PERF_EVENT_IOC_ENABLE`
const ENABLE: libc::Ioctl = 0x2400;
/// `PERF_EVENT_IOC_SET_BPF`
const SET_BPF: libc::Ioctl = 0x4004_2408;

plain! {
    /// `struct perf_event_attr` of version 5 (Linux 4.1, 112 bytes), which holds all that is needed here.
    struct PerfAttr = "perf_event_attr" {
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
        sample_regs_intr: u64,
        aux_watermark: u32,
        pad: u32,
    }
}

/// Opens an event for a process (-1: all) on a processor (-1: any). `name` is what `config1` is to point to: the
/// function or file of a probe.
pub(crate) fn open(mut attr: PerfAttr, name: Option<&CStr>, pid: i32, cpu: i32) -> Result<OwnedFd, i32> {
    attr.size = u32::try_from(size_of::<PerfAttr>()).map_err(|_| libc::E2BIG)?;
    if let Some(name) = name {
        attr.config1 = name.as_ptr().expose_provenance() as u64;
    }
    let no_group: c_int = -1;
    // SAFETY: `attr` is valid for reads of `size` bytes. `config1` is read as a pointer for probes only, and then the
    // kernel checks what it reads; `name` lives through the call.
    let fd = unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, no_group, CLOEXEC) };
    match c_int::try_from(fd) {
        // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(last_errno()),
    }
}

fn control(event: BorrowedFd<'_>, request: libc::Ioctl, argument: c_int) -> Result<(), i32> {
    // SAFETY: the requests used here take a number, not an address.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Lets the event count and fire.
pub(crate) fn enable(event: BorrowedFd<'_>) -> Result<(), i32> {
    control(event, ENABLE, 0)
}

/// Runs a program when the event fires (Linux 4.1). An event has one program; it cannot be taken away.
pub(crate) fn set_program(event: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), i32> {
    control(event, SET_BPF, program.as_raw_fd())
}
