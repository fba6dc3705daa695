//! Errors: what was attempted, why the kernel refused, and what to do about it.
//!
//! The numbers that system calls return end here; no text shows one.

use std::fmt;
use std::io;
use std::path::PathBuf;

use skep_isa::{Release, classic};

use crate::features::{Capability, confinement, has_capability, lockdown, running_release, sysctl};
use crate::log::VerifierLog;

/// Why the kernel did not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum KernelError {
    /// The process may not do that.
    NotPermitted {
        /// What was attempted: "attach a program to a socket".
        action: &'static str,
        /// Any of these capabilities allows it. Those that the process has did not suffice.
        needs: &'static [Capability],
        /// Further circumstances, one sentence each.
        remarks: Vec<String>,
    },
    /// A classic program breaks a rule of the instruction set.
    Program(classic::CheckError),
    /// A classic program is well formed for us, yet this kernel refused it.
    ProgramRefused {
        /// Release of the running kernel, if known.
        running: Option<Release>,
    },
    /// The memory that may be charged to a socket does not hold the program.
    SocketMemory {
        /// Number of instructions in the program; 0 if not known.
        insns: usize,
        /// Current value of `net.core.optmem_max` in bytes, if it can be read.
        limit: Option<u64>,
    },
    /// The filter of the socket was locked and cannot be changed.
    FilterLocked,
    /// The socket has no filter that could be removed.
    NoFilter,
    /// The verifier refused the program.
    Rejected {
        /// Name of the program.
        program: String,
        /// The kernel's reason in words, as far as its error number tells.
        reason: String,
        /// What the verifier said; may be empty.
        log: VerifierLog,
    },
    /// The kernel did not take type information (BTF).
    BtfRejected {
        /// The kernel's reason in words, as far as its error number tells.
        reason: String,
        /// What the kernel said; may be empty.
        log: VerifierLog,
    },
    /// The kernel shows no type information (BTF) of itself or of a module.
    NoKernelTypes {
        /// `vmlinux` or the name of the module.
        name: String,
    },
    /// Nothing has this number, any more.
    NoSuchId {
        /// "program", "map", "link" or "BTF object".
        kind: &'static str,
        /// The number.
        id: u32,
    },
    /// A path is not what pinning takes.
    Pin {
        /// What was attempted.
        action: &'static str,
        /// The path.
        path: PathBuf,
        /// What is wrong and how to put it right.
        problem: String,
    },
    /// The kernel has no such command, map type, program type or option.
    Unsupported {
        /// What is missing: "`BPF_MAP_UPDATE_BATCH`".
        what: String,
        /// First release that has it, if known.
        since: Option<Release>,
        /// Release of the running kernel, if known.
        running: Option<Release>,
    },
    /// The caller's values do not fit together, for example a key of the wrong length.
    Invalid {
        /// What was attempted.
        action: &'static str,
        /// What was given, what was expected and how to put it right.
        problem: String,
    },
    /// Anything else.
    System {
        /// What was attempted.
        action: &'static str,
        /// The kernel's reason in words.
        reason: String,
        /// What may help; empty if nothing is known.
        remedy: &'static str,
    },
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted { action, needs, remarks } => write_not_permitted(f, action, needs, remarks),
            Self::Program(error) => write!(f, "the filter program is invalid: {error}"),
            Self::ProgramRefused { running } => {
                f.write_str("the kernel refused the filter program although it is well formed")?;
                if let Some(release) = running {
                    write!(f, "; Linux {release} may lack one of the extensions it uses")?;
                }
                f.write_str("; filter in user space instead")
            }
            Self::SocketMemory { insns, limit } => write_socket_memory(f, *insns, *limit),
            Self::FilterLocked => {
                f.write_str("the filter of this socket is locked and stays as it is; open a new socket to change it")
            }
            Self::NoFilter => f.write_str("the socket has no filter that could be removed"),
            Self::Rejected { program, reason, log } => {
                write!(f, "the kernel's verifier refused program `{program}`: ")?;
                if log.is_empty() { f.write_str(reason) } else { write!(f, "{log}") }
            }
            Self::BtfRejected { reason, log } => {
                f.write_str("the kernel refused the type information (BTF): ")?;
                if log.is_empty() { f.write_str(reason) } else { write!(f, "{log}") }
            }
            Self::NoKernelTypes { name } => write_no_types(f, name),
            Self::NoSuchId { kind, id } => {
                write!(f, "there is no {kind} with the number {id}; it may have been removed meanwhile")
            }
            Self::Pin { action, path, problem } => write!(f, "cannot {action} `{}`: {problem}", path.display()),
            Self::Unsupported { what, since, running } => {
                write!(f, "this kernel does not support {what}")?;
                if let Some(since) = since {
                    write!(f, "; it came with Linux {since}")?;
                }
                running.map_or(Ok(()), |release| write!(f, "; the running kernel is {release}"))
            }
            Self::Invalid { action, problem } => write!(f, "cannot {action}: {problem}"),
            Self::System { action, reason, remedy } => {
                write!(f, "cannot {action}: {reason}")?;
                if remedy.is_empty() { Ok(()) } else { write!(f, "; {remedy}") }
            }
        }
    }
}

impl std::error::Error for KernelError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Program(error) => Some(error),
            _ => None,
        }
    }
}

fn write_no_types(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if name == "vmlinux" {
        f.write_str(
            "the kernel shows no type information (BTF) in /sys/kernel/btf/vmlinux; it needs CONFIG_DEBUG_INFO_BTF \
             (Linux 5.4), or sysfs is not mounted at /sys",
        )
    } else {
        write!(
            f,
            "there is no type information (BTF) of a module `{name}` in /sys/kernel/btf; load it with `modprobe {name}`, \
             and the kernel needs CONFIG_DEBUG_INFO_BTF_MODULES (Linux 5.11)"
        )
    }
}

fn write_not_permitted(
    f: &mut fmt::Formatter<'_>,
    action: &str,
    needs: &[Capability],
    remarks: &[String],
) -> fmt::Result {
    write!(f, "no permission to {action}")?;
    if !needs.is_empty() {
        f.write_str("; it needs ")?;
        for (at, capability) in needs.iter().enumerate() {
            write!(f, "{}{capability}", if at == 0 { "" } else { " or " })?;
        }
        if let Some(first) = needs.first() {
            write!(f, ": run it with sudo, or once `sudo setcap {}+ep PATH-OF-THE-PROGRAM`", first.name())?;
        }
    }
    remarks.iter().try_for_each(|remark| write!(f, "; {remark}"))
}

fn write_socket_memory(f: &mut fmt::Formatter<'_>, insns: usize, limit: Option<u64>) -> fmt::Result {
    f.write_str("the filter program ")?;
    if insns != 0 {
        write!(f, "of {insns} instructions ")?;
    }
    f.write_str("does not fit into the memory that the kernel grants to options of one socket")?;
    if let Some(limit) = limit {
        // The limit covers the translated program with room for a copy during the translation.
        let proposal = limit.saturating_mul(8).max(1 << 20);
        write!(f, " (net.core.optmem_max is {limit} bytes); raise it: `sysctl -w net.core.optmem_max={proposal}`")?;
    }
    f.write_str(", or filter in user space")
}

/// The text of an error number without the number.
pub(crate) fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

/// The error of the system call that has just failed, as a number.
pub(crate) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

impl KernelError {
    /// The process may not do `action`; collects the circumstances.
    pub(crate) fn not_permitted(action: &'static str, needs: &'static [Capability]) -> Self {
        let mut remarks: Vec<String> = confinement().into_iter().map(str::to_owned).collect();
        if needs.contains(&Capability::Bpf) {
            remarks.extend(unprivileged_bpf_remark());
        }
        if needs.iter().any(|&capability| has_capability(capability)) {
            let locked = lockdown().filter(|mode| mode != "none");
            remarks.push(locked.map_or_else(
                || {
                    "the process has the capability, so a security module or a policy of this machine refused"
                        .to_owned()
                },
                |mode| {
                    format!(
                        "the process has the capability, but the kernel is locked down ({mode}): /sys/kernel/security/\
                         lockdown; it stays so until a boot with `lockdown=none` (and without Secure Boot)"
                    )
                },
            ));
        }
        Self::NotPermitted { action, needs, remarks }
    }

    /// The running kernel lacks something.
    pub(crate) fn unsupported(what: &str, since: Release) -> Self {
        Self::Unsupported { what: what.to_owned(), since: Some(since), running: running_release() }
    }

    /// An error without a story of its own.
    pub(crate) fn system(action: &'static str, errno: i32) -> Self {
        let remedy = match errno {
            libc::EMFILE => "close files, or raise the limit with `ulimit -n`",
            libc::ENFILE => "the whole system is out of file handles; raise fs.file-max",
            libc::ENOMEM => "free some memory, or use a smaller map or program",
            _ => "",
        };
        Self::System { action, reason: describe(errno), remedy }
    }
}

/// What `kernel.unprivileged_bpf_disabled` means for a process that was refused.
fn unprivileged_bpf_remark() -> Option<String> {
    let value = sysctl("kernel.unprivileged_bpf_disabled")?;
    (value != 0).then(|| format!("kernel.unprivileged_bpf_disabled is {value}, so only capabilities help"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_name_the_remedy_and_hide_numbers() {
        let error = KernelError::SocketMemory { insns: 4000, limit: Some(131_072) };
        assert_eq!(
            error.to_string(),
            "the filter program of 4000 instructions does not fit into the memory that the kernel grants to options \
             of one socket (net.core.optmem_max is 131072 bytes); raise it: `sysctl -w \
             net.core.optmem_max=1048576`, or filter in user space"
        );
        let error =
            KernelError::NotPermitted { action: "load a program", needs: &[Capability::Bpf], remarks: Vec::new() };
        assert_eq!(
            error.to_string(),
            "no permission to load a program; it needs CAP_BPF: run it with sudo, or once `sudo setcap cap_bpf+ep \
             PATH-OF-THE-PROGRAM`"
        );
        assert_eq!(describe(libc::ENOENT), "no such file or directory");
        assert!(!KernelError::system("create a map", libc::EMFILE).to_string().contains("24"));
    }
}
