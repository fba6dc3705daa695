//! Many probes with one link: kernel functions (Linux 5.18) and places in a file (Linux 6.6).

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::uprobe::{UserPlace, wrong_place};
use super::words::{ENOTSUPP, TRACING, Way, c_path, c_string};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create};

const KPROBES: Way = Way {
    action: "attach many kprobes",
    what: "links of many kprobes (CONFIG_FPROBE)",
    since: Release::new(5, 18),
    needs: TRACING,
};
const UPROBES: Way = Way {
    action: "attach many uprobes",
    what: "links of many uprobes (CONFIG_UPROBES)",
    since: Release::new(6, 6),
    needs: TRACING,
};

const KPROBE_SESSIONS: Way =
    Way { what: "sessions of kprobes: programs at entry and return", since: Release::new(6, 10), ..KPROBES };
const UPROBE_SESSIONS: Way =
    Way { what: "sessions of uprobes: programs at entry and return", since: Release::new(6, 13), ..UPROBES };

/// `BPF_F_KPROBE_MULTI_RETURN` and `BPF_F_UPROBE_MULTI_RETURN`
const RETURN: u32 = 1;

/// When the program of many probes runs. It must have been loaded for this attach type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MultiMode {
    /// At the places.
    Entry,
    /// At the returns of the functions.
    Return,
    /// At both; the program decides at the entry whether it sees the return (Linux 6.10, for files 6.13).
    Session,
}

/// Kernel functions for [`attach_kprobe_multi`].
#[derive(Debug, Clone, Copy)]
pub enum KernelPlaces<'a> {
    /// Names from `available_filter_functions`; the kernel looks them up.
    Names(&'a [&'a str]),
    /// Addresses of function entries.
    Addresses(&'a [u64]),
}

/// Attaches a program to many kernel functions at once. `cookies` is empty or has one for each function.
///
/// # Errors
/// [`KernelError::Unsupported`] before Linux 5.18 or without CONFIG_FPROBE; [`KernelError::Invalid`] if one of the
/// functions does not exist or cannot be traced (then none is attached), or the numbers of places and cookies differ;
/// [`KernelError::NotPermitted`].
pub fn attach_kprobe_multi(
    program: impl AsFd,
    places: KernelPlaces<'_>,
    cookies: &[u64],
    mode: MultiMode,
) -> Result<Link, KernelError> {
    let (names, addresses): (&[&str], &[u64]) = match places {
        KernelPlaces::Names(names) => (names, &[]),
        KernelPlaces::Addresses(addresses) => (&[], addresses),
    };
    let total = names.len() + addresses.len();
    check_counts(&KPROBES, total, cookies.len())?;
    let symbols: Vec<CString> =
        names.iter().map(|name| c_string(KPROBES.action, name.as_bytes())).collect::<Result<_, _>>()?;
    let (attach_type, flags) = match mode {
        MultiMode::Entry => (AttachType::TraceKprobeMulti, 0),
        MultiMode::Return => (AttachType::TraceKprobeMulti, RETURN),
        MultiMode::Session => (AttachType::TraceKprobeSession, 0),
    };
    let extra = Extra::KprobeMulti { flags, symbols: &symbols, addresses, cookies };
    link_create(program.as_fd(), Target::None, attach_type.number(), 0, &extra).map(Link::new).map_err(|errno| {
        match errno {
            libc::ESRCH | libc::ENOENT => KPROBES.invalid(format!(
                "one of the {total} functions does not exist or cannot be traced; take names from \
                 `available_filter_functions` in the tracing file system"
            )),
            libc::EADDRNOTAVAIL => KPROBES.invalid("one of the names belongs to several functions; give addresses"),
            libc::EINVAL if mode == MultiMode::Session && KPROBE_SESSIONS.too_old() => KPROBE_SESSIONS.unsupported(),
            errno => KPROBES.error(errno, || {
                "the program was not loaded for many kprobes (type kprobe, attach type trace_kprobe_multi or \
                 trace_kprobe_session), or a function cannot be traced"
                    .to_owned()
            }),
        }
    })
}

fn check_counts(way: &Way, places: usize, cookies: usize) -> Result<(), KernelError> {
    if places == 0 {
        return Err(way.invalid("no place is given"));
    }
    if cookies != 0 && cookies != places {
        return Err(way.invalid(format!("there are {cookies} cookies for {places} places; give one each, or none")));
    }
    Ok(())
}

/// Attaches a program to many places of a file at once, in one process or in all.
///
/// # Errors
/// [`KernelError::Unsupported`] before Linux 6.6; [`KernelError::Invalid`] if the file or the process does not exist or
/// one of the places cannot be probed (then none is attached); [`KernelError::NotPermitted`].
pub fn attach_uprobe_multi(
    program: impl AsFd,
    file: impl AsRef<Path>,
    places: &[UserPlace],
    mode: MultiMode,
    process: Option<u32>,
) -> Result<Link, KernelError> {
    let file = file.as_ref();
    check_counts(&UPROBES, places.len(), 0)?;
    let path = c_path(UPROBES.action, file)?;
    let list = |value: fn(&UserPlace) -> u64| -> Vec<u64> {
        let values: Vec<u64> = places.iter().map(value).collect();
        if values.iter().all(|&value| value == 0) { Vec::new() } else { values }
    };
    let (attach_type, flags) = match mode {
        MultiMode::Entry => (AttachType::TraceUprobeMulti, 0),
        MultiMode::Return => (AttachType::TraceUprobeMulti, RETURN),
        MultiMode::Session => (AttachType::TraceUprobeSession, 0),
    };
    let offsets: Vec<u64> = places.iter().map(|place| place.offset).collect();
    let (counters, cookies) = (list(|place| place.counter), list(|place| place.cookie));
    let extra = Extra::UprobeMulti {
        path: &path,
        offsets: &offsets,
        ref_ctr_offsets: &counters,
        cookies: &cookies,
        flags,
        pid: process.unwrap_or(0),
    };
    link_create(program.as_fd(), Target::None, attach_type.number(), 0, &extra).map(Link::new).map_err(|errno| {
        match errno {
            libc::ENOENT | libc::EBADF | libc::ENOTDIR => {
                UPROBES.invalid(format!("the file `{}` does not exist", file.display()))
            }
            libc::ESRCH => UPROBES.invalid(format!("there is no process {}", process.unwrap_or(0))),
            libc::EINVAL if mode == MultiMode::Session && UPROBE_SESSIONS.too_old() => UPROBE_SESSIONS.unsupported(),
            libc::EOPNOTSUPP | ENOTSUPP if !UPROBES.too_old() => UPROBES.invalid(format!(
                "the kernel cannot put a probe on the instruction there, or at one of {} places in `{}`: it has a prefix \
                 such as `lock`",
                places.len(),
                file.display()
            )),
            errno => UPROBES.error(errno, || {
                let length = std::fs::metadata(file).map_or(0, |facts| facts.len());
                match places.iter().find(|place| place.offset >= length) {
                    Some(place) => wrong_place(file, *place),
                    None => format!(
                        "the program was not loaded for many uprobes (type kprobe, attach type trace_uprobe_multi or \
                         trace_uprobe_session), or one of the {} offsets in `{}` is not that of an instruction",
                        places.len(),
                        file.display()
                    ),
                }
            }),
        }
    })
}
