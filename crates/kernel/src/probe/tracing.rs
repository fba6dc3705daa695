//! What tracing programs can rely on: one small question each, answered by the least program that needs it. A function is
//! asked about by attaching a program that does nothing, for a moment.

use std::os::fd::AsFd as _;

use skep_isa::{AttachType, ProgType};

use super::programs::{attempt_kept, least_program};
use super::{Prober, Status};
use crate::attach::{
    KernelPlace, KernelPlaces, MultiMode, UserPlace, attach_kprobe, attach_kprobe_multi, attach_tracing,
    attach_uprobe_multi, has_kprobes,
};
use crate::errors::KernelError;

/// The kernel's own number for "not supported", which has no name in user space (`ENOTSUPP`).
const ENOTSUPP: i32 = 524;

impl Prober {
    /// Whether there are kprobes. Whether this process may use them shows when it attaches one.
    ///
    /// # Errors
    /// Why there are none.
    pub fn kprobes(&self) -> Result<(), String> {
        if has_kprobes() { Ok(()) } else { Err("this kernel has no kprobes (CONFIG_KPROBES)".to_owned()) }
    }

    /// Whether a kprobe can be put on the start of a function: not if the function tracer leaves it alone and its first
    /// instruction is one that the kernel rewrites itself.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn kprobe_at(&self, name: &str) -> Result<(), String> {
        let program = attempt_kept(ProgType::Kprobe, None, &least_program(None), 0).map_err(|attempt| attempt.log)?;
        let place = KernelPlace::Function { name, offset: 0 };
        attach_kprobe(program.as_fd(), place, false, 0).map(drop).map_err(|error| error.to_string())
    }

    /// Whether one link can hold a program at many functions of the kernel.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn kprobe_links(&self) -> Result<(), String> {
        self.kprobes()?;
        let kind = AttachType::TraceKprobeMulti;
        let program =
            attempt_kept(ProgType::Kprobe, Some(kind), &least_program(None), 0).map_err(|attempt| attempt.log)?;
        // A kernel that knows such links complains about the name.
        let places = KernelPlaces::Names(&["skep no such function"]);
        known(attach_kprobe_multi(program.as_fd(), places, &[], MultiMode::Entry).map(drop))
    }

    /// Whether one link can hold a program at many places of a file.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn uprobe_links(&self) -> Result<(), String> {
        let kind = AttachType::TraceUprobeMulti;
        let program =
            attempt_kept(ProgType::Kprobe, Some(kind), &least_program(None), 0).map_err(|attempt| attempt.log)?;
        // A kernel that knows such links complains about the file.
        let file = "/proc/skep/no/such/file";
        known(attach_uprobe_multi(program.as_fd(), file, &[UserPlace::at(1)], MultiMode::Entry, None).map(drop))
    }

    /// Whether programs can be attached to a function of the kernel with its types (fentry, or fexit with `at_return`). The
    /// number is that of the function in the kernel's own types.
    ///
    /// # Errors
    /// Why they cannot.
    pub fn function(&self, number: u32, at_return: bool) -> Result<(), String> {
        let kind = if at_return { AttachType::TraceFexit } else { AttachType::TraceFentry };
        let what = if at_return { "fexit" } else { "fentry" };
        let loaded = attempt_kept(ProgType::Tracing, Some(kind), &least_program(None), number);
        let program = loaded.map_err(|attempt| {
            let said = attempt.log.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
            match attempt.errno.unwrap_or(0) {
                libc::EPERM => format!("this kernel refuses {what} (not permitted, or forbidden by its owner)"),
                ENOTSUPP => format!("this kernel was built without {what}"),
                _ if said.is_empty() => format!("this kernel refuses {what} here"),
                _ => format!("this kernel refuses {what} here: {said}"),
            }
        })?;
        attach_tracing(program.as_fd(), kind, 0).map(drop).map_err(|error| error.to_string())
    }

    /// Whether loops can be bounded by the kernel (`may_goto`).
    ///
    /// # Errors
    /// Why they cannot.
    pub fn bounded_loops(&self) -> Result<(), String> {
        match super::insns::by_name(self, "may-goto") {
            Some(Status::Present | Status::Value(_)) => Ok(()),
            Some(Status::Missing(reason)) => Err(reason.to_string()),
            None => Err("it is no instruction".to_owned()),
        }
    }
}

/// Only a kernel that does not know the kind of link says that.
fn known(result: Result<(), KernelError>) -> Result<(), String> {
    match result {
        Err(error @ (KernelError::Unsupported { .. } | KernelError::NotPermitted { .. })) => Err(error.to_string()),
        _ => Ok(()),
    }
}
