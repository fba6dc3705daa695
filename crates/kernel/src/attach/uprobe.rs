//! User probes: a program at an instruction of a file, or at the return of a function (type kprobe).

use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use skep_isa::Release;

use super::many::Attachment;
use super::perf::{Definition, PerfProbe, join, not_permitted, single};
use super::pmu::{Pmu, unique_name};
use super::tracefs::Tracefs;
use super::tracepoint::open_event;
use super::words::{TRACING, Way, c_path};
use crate::errors::KernelError;
use crate::sys::perf::{self, PerfAttr};

const PMU: Way = Way {
    action: "attach a uprobe",
    what: "uprobes (CONFIG_UPROBES and CONFIG_UPROBE_EVENTS; /sys/bus/event_source/devices/uprobe is missing)",
    since: Release::new(4, 17),
    needs: TRACING,
};
const EVENT: Way = Way {
    what: "uprobes (CONFIG_UPROBE_EVENTS; `uprobe_events` is missing in the tracing file system)",
    since: Release::new(4, 1),
    ..PMU
};
const COUNTER: Way = Way { what: "counters of user probes", since: Release::new(4, 20), ..PMU };

/// A place in an executable file or library. Offsets count bytes of the file, not addresses; `skep-sym` finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserPlace {
    /// Offset of the first byte of an instruction in the file.
    pub offset: u64,
    /// Offset of a counter of two bytes that the kernel raises while the probe is attached: the semaphore of a USDT
    /// probe (Linux 4.20). 0: none.
    pub counter: u64,
    /// What `bpf_get_attach_cookie` returns (Linux 5.15; 0 on older kernels).
    pub cookie: u64,
}

impl UserPlace {
    /// The place at an offset, without counter and cookie.
    pub const fn at(offset: u64) -> Self {
        Self { offset, counter: 0, cookie: 0 }
    }
}

/// Attaches a program to a place in a file, or to the return of the function there; in one process or in all, also those
/// that start later. Takes the performance event `uprobe` (Linux 4.17) or a definition by text on older kernels.
///
/// # Errors
/// [`KernelError::Invalid`] if the file does not exist, the offset is outside of it or not that of an instruction, or the
/// process does not exist; [`KernelError::Unsupported`] without uprobes; [`KernelError::NotPermitted`].
pub fn attach_uprobe(
    program: impl AsFd,
    file: impl AsRef<Path>,
    place: UserPlace,
    at_return: bool,
    process: Option<u32>,
) -> Result<Attachment, KernelError> {
    let file = file.as_ref();
    let Some(pmu) = Pmu::find("uprobe") else {
        if PMU.too_old() {
            return attach_uprobe_event(program, file, place, at_return, process).map(Attachment::Perf);
        }
        return Err(PMU.unsupported());
    };
    let mut config = if at_return { pmu.return_bit } else { 0 };
    if place.counter != 0 {
        let shift = pmu.counter_shift.ok_or_else(|| COUNTER.unsupported())?;
        if place.counter > u64::from(u32::MAX) {
            return Err(PMU.invalid(format!("the counter at {:#x} lies behind 4 GiB of the file", place.counter)));
        }
        config |= place.counter << shift;
    }
    let attr = PerfAttr { r#type: pmu.number, config, config2: place.offset, ..PerfAttr::default() };
    let (pid, cpu) = scope(process)?;
    let event = perf::open(attr, Some(&c_path(PMU.action, file)?), pid, cpu)
        .map_err(|errno| refused(&PMU, errno, file, place, process))?;
    single(&PMU, event, program.as_fd(), place.cookie)
}

/// Process and processor for `perf_event_open`.
fn scope(process: Option<u32>) -> Result<(i32, i32), KernelError> {
    match process {
        None => Ok((-1, 0)),
        Some(pid) => match i32::try_from(pid) {
            Ok(pid) if pid > 0 => Ok((pid, -1)),
            _ => Err(PMU.invalid(format!("{pid} is no number of a process"))),
        },
    }
}

/// Attaches a program through a definition by text (`uprobe_events` in the tracing file system, Linux 4.1). The
/// definition is removed behind the program; if the process is killed, the definition stays without effect.
///
/// # Errors
/// As for [`attach_uprobe`]; also if the path contains blanks or a colon, which a definition cannot hold.
pub fn attach_uprobe_event(
    program: impl AsFd,
    file: impl AsRef<Path>,
    place: UserPlace,
    at_return: bool,
    process: Option<u32>,
) -> Result<PerfProbe, KernelError> {
    let file = file.as_ref();
    let bytes = file.as_os_str().as_bytes();
    if bytes.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b':' | 0)) {
        return Err(EVENT.invalid(format!("`{}`: blanks and colons cannot be part of a definition", file.display())));
    }
    let tracefs = Tracefs::find()?;
    let name = unique_name();
    let kind = if at_return { 'r' } else { 'p' };
    let counter = if place.counter == 0 { String::new() } else { format!("({:#x})", place.counter) };
    let line = format!("{kind}:{name} {}:{:#x}{counter}\n", file.display(), place.offset);
    tracefs.define("uprobe_events", &line).map_err(|error| {
        if !tracefs.root().join("uprobe_events").exists() {
            return EVENT.unsupported();
        }
        refused(&EVENT, error.raw_os_error().unwrap_or(libc::EIO), file, place, process)
    })?;
    let definition = Definition { tracefs, file: "uprobe_events", name };
    let (pid, _) = scope(process)?;
    let event = open_event(&EVENT, definition.event_id()?, pid)?;
    Ok(PerfProbe::new(vec![join(&EVENT, event, program.as_fd(), place.cookie)?]).with_definition(definition))
}

fn refused(way: &Way, errno: i32, file: &Path, place: UserPlace, process: Option<u32>) -> KernelError {
    let shown = file.display();
    match errno {
        libc::ENOENT | libc::ENOTDIR => way.invalid(format!("the file `{shown}` does not exist")),
        libc::EACCES | libc::EPERM => not_permitted(way.action),
        libc::ESRCH => way.invalid(format!("there is no process {}", process.unwrap_or(0))),
        libc::EINVAL | libc::EIO | libc::ENOTSUP | libc::ENOEXEC | libc::EILSEQ => {
            way.invalid(wrong_place(file, place))
        }
        errno => KernelError::system(way.action, errno),
    }
}

/// Why a place in a file is not accepted, as far as the file tells.
pub(super) fn wrong_place(file: &Path, place: UserPlace) -> String {
    let (shown, offset) = (file.display(), place.offset);
    match std::fs::metadata(file) {
        Err(_) => format!("the file `{shown}` does not exist"),
        Ok(facts) if !facts.is_file() => format!("`{shown}` is no ordinary file"),
        Ok(facts) if facts.len() <= offset => {
            format!("offset {offset:#x} is behind the end of `{shown}`, which has {:#x} bytes", facts.len())
        }
        Ok(_) => format!(
            "`{shown}`: offset {offset:#x} is not that of an instruction that can be probed, or its file system does not \
             allow it; offsets count from the start of the file, they are no addresses"
        ),
    }
}
