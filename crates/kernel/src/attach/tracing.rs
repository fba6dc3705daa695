//! Raw tracepoints, functions of the kernel, security hooks, replaced functions: programs that know their place by
//! name or by a BTF id.

use std::os::fd::{AsFd, BorrowedFd};

use skep_isa::{AttachType, Release};

use super::link::Link;
use super::tracefs::Tracefs;
use super::words::{TRACING, Way, c_string, suggestion};
use crate::errors::KernelError;
use crate::sys::link::{Extra, Target, link_create, raw_tracepoint_open};

const RAW: Way = Way {
    action: "attach a program to a raw tracepoint",
    what: "raw tracepoints",
    since: Release::new(4, 17),
    needs: TRACING,
};
const TYPED: Way = Way {
    action: "attach a program to its function",
    what: "programs at functions (CONFIG_DEBUG_INFO_BTF, CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS)",
    since: Release::new(5, 5),
    needs: TRACING,
};
const TYPED_COOKIE: Way = Way { what: "cookies of programs at functions", since: Release::new(6, 0), ..TYPED };
const RAW_COOKIE: Way = Way { what: "cookies of raw tracepoints", since: Release::new(6, 10), ..RAW };
const REPLACE: Way = Way {
    action: "replace a function of a program",
    what: "programs that replace functions",
    since: Release::new(5, 6),
    needs: TRACING,
};

/// Attaches a program (type raw_tracepoint or raw_tracepoint_writable) to a tracepoint by its name without category, for
/// example `sched_switch`. `cookie` is what `bpf_get_attach_cookie` returns (Linux 6.10; give 0 on older kernels).
///
/// # Errors
/// [`KernelError::Invalid`] with similar names if there is no such tracepoint, [`KernelError::NotPermitted`] without
/// CAP_PERFMON, [`KernelError::Unsupported`].
pub fn attach_raw_tracepoint(program: impl AsFd, name: &str, cookie: u64) -> Result<Link, KernelError> {
    let text = c_string(RAW.action, name.as_bytes())?;
    raw_tracepoint_open(program.as_fd(), Some(&text), cookie).map(Link::new).map_err(|errno| match errno {
        libc::ENOENT => RAW.invalid(unknown_tracepoint(name)),
        libc::EINVAL if cookie != 0 && RAW_COOKIE.too_old() => RAW_COOKIE.unsupported(),
        // Since there are cookies, each attachment counts for itself.
        libc::EEXIST => RAW.invalid(format!(
            "the program is attached to `{name}` already, where kernels before {} have each program once; detach it first, \
             or load it twice",
            RAW_COOKIE.since
        )),
        errno => RAW.error(errno, || {
            format!(
                "the program is not of type raw_tracepoint, or it reads more arguments than `{name}` has, or writes \
                 where that is not allowed"
            )
        }),
    })
}

/// There is no such raw tracepoint.
fn unknown_tracepoint(name: &str) -> String {
    let text = format!("there is no tracepoint `{name}`");
    if let Some((_, plain)) = name.split_once([':', '/']) {
        return format!("{text}; raw tracepoints are named without category: `{plain}`");
    }
    let Ok(tracefs) = Tracefs::find() else { return text };
    let all = tracefs.tracepoints();
    // System calls have events, but the raw tracepoints behind them are only these two.
    if name.starts_with("sys_enter_") || name.starts_with("sys_exit_") {
        return format!("{text}; system calls share `sys_enter` and `sys_exit`, the number is the second argument");
    }
    format!("{text}{}", suggestion(name, all.iter().map(|each| each.name.as_str())))
}

/// Attaches a program to the place that it was loaded for: entry or exit of a function (fentry, fexit, fmod_ret), a
/// tracepoint with typed arguments (tp_btf), a security hook (LSM).
///
/// `attach_type` is the one it was loaded with; it counts only when `cookie` is not 0 (Linux 6.0), which
/// `bpf_get_attach_cookie` returns.
///
/// # Errors
/// [`KernelError::Invalid`] if the function cannot be traced now or the program is not of type tracing or LSM,
/// [`KernelError::NotPermitted`] without CAP_PERFMON or where a lockdown forbids it, [`KernelError::Unsupported`].
pub fn attach_tracing(program: impl AsFd, attach_type: AttachType, cookie: u64) -> Result<Link, KernelError> {
    let result = if cookie == 0 {
        raw_tracepoint_open(program.as_fd(), None, 0)
    } else {
        let extra = Extra::Tracing { btf_id: 0, cookie };
        link_create(program.as_fd(), Target::None, attach_type.number(), 0, &extra)
    };
    result.map(Link::new).map_err(|errno| match errno {
        libc::EBUSY => TYPED.invalid(
            "the function is patched by somebody else now (another tracer, a live patch), or the program is attached \
             already",
        ),
        libc::E2BIG => TYPED.invalid("as many programs as can be (38) are attached to this function already"),
        libc::ENOENT | libc::ENODEV => TYPED.invalid("the function has gone with its module, or cannot be traced"),
        libc::EINVAL if cookie != 0 && TYPED_COOKIE.too_old() => TYPED_COOKIE.unsupported(),
        errno => TYPED.error(errno, || {
            format!(
                "the program was not loaded for a function, tracepoint or security hook (attach type {attach_type})"
            )
        }),
    })
}

/// Puts a program (type ext) in place of a global function of another program. With `target` a program and the BTF id of
/// one of its functions, otherwise the one that it was loaded for.
///
/// # Errors
/// [`KernelError::Invalid`] if the functions do not have the same prototype, or another program replaces it already;
/// [`KernelError::Unsupported`], [`KernelError::NotPermitted`].
pub fn attach_freplace(program: impl AsFd, target: Option<(BorrowedFd<'_>, u32)>) -> Result<Link, KernelError> {
    let result = match target {
        Some((target, btf_id)) => {
            let extra = Extra::Tracing { btf_id, cookie: 0 };
            link_create(program.as_fd(), Target::Fd(target), 0, 0, &extra)
        }
        None => raw_tracepoint_open(program.as_fd(), None, 0),
    };
    result.map(Link::new).map_err(|errno| match errno {
        libc::EBUSY | libc::EEXIST => REPLACE.invalid("the function is replaced or traced by another program already"),
        libc::ENOENT => REPLACE.invalid("the target has no function with this BTF id"),
        errno => REPLACE.error(errno, || {
            "the prototypes of the two functions differ, the function is not global, or the program is not of type ext"
                .to_owned()
        }),
    })
}
