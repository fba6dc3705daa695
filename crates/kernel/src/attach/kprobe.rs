//! Kernel probes: a program at an instruction of the kernel, or at the return of a function (type kprobe).

use std::os::fd::{AsFd, OwnedFd};

use skep_isa::Release;

use super::many::Attachment;
use super::perf::{Definition, PerfProbe, join, not_permitted, single};
use super::pmu::{Pmu, unique_name};
use super::tracefs::Tracefs;
use super::tracepoint::open_event;
use super::words::{TRACING, Way, c_string};
use crate::errors::KernelError;
use crate::sys::perf::{self, PerfAttr};

const PMU: Way = Way {
    action: "attach a kprobe",
    what: "kprobes (CONFIG_KPROBES and CONFIG_KPROBE_EVENTS; /sys/bus/event_source/devices/kprobe is missing)",
    since: Release::new(4, 17),
    needs: TRACING,
};
const EVENT: Way = Way {
    what: "kprobes (CONFIG_KPROBES and CONFIG_KPROBE_EVENTS; `kprobe_events` is missing in the tracing file system)",
    since: Release::new(4, 1),
    ..PMU
};

/// A place in the kernel's code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelPlace<'a> {
    /// A function by its name in `/proc/kallsyms`, and bytes from its start.
    Function {
        /// The name; `module:name` chooses among functions of that name.
        name: &'a str,
        /// Distance from the start in bytes; must be that of an instruction, and 0 for returns.
        offset: u64,
    },
    /// An address of the kernel.
    Address(u64),
}

impl KernelPlace<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Function { name, offset: 0 } => format!("`{name}`"),
            Self::Function { name, offset } => format!("`{name}+{offset:#x}`"),
            Self::Address(address) => format!("{address:#x}"),
        }
    }
}

/// Whether the kernel has kprobes; nothing is tried.
pub fn has_kprobes() -> bool {
    let by_text = || Tracefs::find().is_ok_and(|tracefs| tracefs.root().join("kprobe_events").exists());
    Pmu::find("kprobe").is_some() || PMU.too_old() && by_text()
}

/// Attaches a program to a place in the kernel, or to the return of the function there. Takes the performance event
/// `kprobe` (Linux 4.17) or a definition by text on older kernels.
///
/// `cookie` is what `bpf_get_attach_cookie` returns (Linux 5.15; 0 on older kernels).
///
/// # Errors
/// [`KernelError::Unsupported`] if the kernel was built without kprobes; [`KernelError::Invalid`] if there is no such
/// function, it must not be probed, its name is that of several, or the offset is not that of an instruction;
/// [`KernelError::NotPermitted`] without CAP_PERFMON or under a lockdown.
pub fn attach_kprobe(
    program: impl AsFd,
    place: KernelPlace<'_>,
    at_return: bool,
    cookie: u64,
) -> Result<Attachment, KernelError> {
    let Some(pmu) = Pmu::find("kprobe") else {
        if PMU.too_old() {
            return attach_kprobe_event(program, place, at_return).map(Attachment::Perf);
        }
        return Err(PMU.unsupported());
    };
    let event = open(&pmu, place, at_return)?;
    single(&PMU, event, program.as_fd(), cookie)
}

fn open(pmu: &Pmu, place: KernelPlace<'_>, at_return: bool) -> Result<OwnedFd, KernelError> {
    let (name, offset) = match place {
        KernelPlace::Function { name, offset } => (Some(c_string(PMU.action, name.as_bytes())?), offset),
        KernelPlace::Address(address) => (None, address),
    };
    let config = if at_return { pmu.return_bit } else { 0 };
    let attr = PerfAttr { r#type: pmu.number, config, config2: offset, ..PerfAttr::default() };
    perf::open(attr, name.as_deref(), -1, 0).map_err(|errno| refused(&PMU, errno, place, at_return))
}

/// Attaches a program through a definition by text (`kprobe_events` in the tracing file system, Linux 4.1). The
/// definition is removed behind the program; if the process is killed, the definition stays without effect.
///
/// # Errors
/// As for [`attach_kprobe`], and [`KernelError::Invalid`] if the tracing file system is not mounted.
pub fn attach_kprobe_event(
    program: impl AsFd,
    place: KernelPlace<'_>,
    at_return: bool,
) -> Result<PerfProbe, KernelError> {
    let target = match place {
        KernelPlace::Function { name, offset } => format!("{name}+{offset:#x}"),
        KernelPlace::Address(address) => format!("{address:#x}"),
    };
    if target.contains(|letter: char| letter.is_whitespace() || letter == '\0') {
        return Err(EVENT.invalid(format!("{} is no name of a function", place.shown())));
    }
    let tracefs = Tracefs::find()?;
    let name = unique_name();
    let kind = if at_return { 'r' } else { 'p' };
    tracefs.define("kprobe_events", &format!("{kind}:{name} {target}\n")).map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound && !tracefs.root().join("kprobe_events").exists() {
            return EVENT.unsupported();
        }
        refused(&EVENT, error.raw_os_error().unwrap_or(libc::EIO), place, at_return)
    })?;
    let definition = Definition { tracefs, file: "kprobe_events", name };
    let event = open_event(&EVENT, definition.event_id()?, -1)?;
    Ok(PerfProbe::new(vec![join(&EVENT, event, program.as_fd(), 0)?]).with_definition(definition))
}

fn refused(way: &Way, errno: i32, place: KernelPlace<'_>, at_return: bool) -> KernelError {
    let shown = place.shown();
    match errno {
        libc::ENOENT => way.invalid(format!(
            "the kernel has no function {shown} (`grep -w NAME /proc/kallsyms`; it may have been inlined, or renamed by \
             the compiler)"
        )),
        libc::EADDRNOTAVAIL => way.invalid(format!("the name {shown} belongs to several functions; give the address")),
        libc::EILSEQ => way.invalid(format!("{shown} is not the first byte of an instruction")),
        libc::EINVAL if at_return => way.invalid(format!(
            "{shown} must not be probed (it is on the kernel's list of exceptions), or is not the start of a function, \
             where returns are probed"
        )),
        libc::EINVAL | libc::EOPNOTSUPP => way.invalid(format!(
            "{shown} must not be probed: it is on the kernel's list of exceptions, or the offset is not that of an \
             instruction"
        )),
        libc::EPERM | libc::EACCES => not_permitted(way.action),
        errno => KernelError::system(way.action, errno),
    }
}
