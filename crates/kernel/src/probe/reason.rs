//! Why something is missing: release, configuration, capabilities, policy.

use std::fmt;
use std::fs;
use std::path::Path;

use skep_isa::Release;

use super::Prober;
use crate::features::{Capability, confinement, has_capability, lockdown, running_release, sysctl};

/// Why something is missing, the most likely cause first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The kernel is older than the feature.
    TooOld {
        /// First release that has it.
        since: Release,
        /// Release of the running kernel.
        running: Release,
    },
    /// The kernel was built without.
    Configuration {
        /// Options that are off; one of them would have to be on.
        options: Vec<String>,
    },
    /// The process lacks capabilities.
    Capabilities {
        /// All of these are needed and missing.
        missing: Vec<Capability>,
    },
    /// The kernel refuses although release, configuration and capabilities are right.
    Policy {
        /// What may be behind it, one phrase each.
        suspects: Vec<String>,
    },
    /// Programs of this type have no use for it.
    NotForProgram,
    /// Another cause, in words.
    Other(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOld { since, running } => write!(f, "came with Linux {since}, this is {running}"),
            Self::Configuration { options } => write!(f, "the kernel was built without {}", options.join(" or ")),
            Self::Capabilities { missing } => {
                let names: Vec<String> = missing.iter().map(Capability::to_string).collect();
                write!(f, "this process lacks {}", names.join(" and "))
            }
            Self::Policy { suspects } => write!(f, "refused by policy; possible reasons: {}", suspects.join(", ")),
            Self::NotForProgram => f.write_str("not for programs of this type"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// What a feature needs, as its table says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs<'a> {
    pub(super) since: Release,
    pub(super) config: &'a [&'a str],
    pub(super) capabilities: &'a [Capability],
}

/// The reason for an attempt that ended with `errno`.
pub(super) fn of_failure(prober: &Prober, errno: i32, needs: Needs<'_>) -> Reason {
    if let Some(running) = running_release().filter(|running| needs.since > *running) {
        return Reason::TooOld { since: needs.since, running };
    }
    // Capabilities are looked at before anything else, so a refusal says nothing about the configuration.
    let refused = matches!(errno, libc::EPERM | libc::EACCES);
    let missing = missing(needs.capabilities);
    if refused && !missing.is_empty() {
        return Reason::Capabilities { missing };
    }
    let options: Vec<String> =
        needs.config.iter().flat_map(|need| prober.config().missing(need)).map(str::to_owned).collect();
    if !options.is_empty() {
        return Reason::Configuration { options };
    }
    if refused {
        return Reason::Policy { suspects: suspects() };
    }
    match errno {
        libc::ENOSYS => Reason::Configuration { options: vec!["CONFIG_BPF_SYSCALL".to_owned()] },
        libc::ENOMEM => Reason::Other("there was not enough memory to try".to_owned()),
        libc::EMFILE | libc::ENFILE => Reason::Other("there were too many open files to try".to_owned()),
        _ if prober.config().is_empty() && !needs.config.is_empty() => Reason::Other(format!(
            "the kernel does not know it; it needs {}, and this kernel does not tell its configuration",
            needs.config.join(", ")
        )),
        _ => Reason::Other(format!(
            "the kernel does not know it, although Linux {} brought it; the distribution may have taken it out",
            needs.since
        )),
    }
}

/// Those of the capabilities that the process lacks.
fn missing(capabilities: &[Capability]) -> Vec<Capability> {
    let all = has_capability(Capability::SysAdmin);
    capabilities.iter().copied().filter(|capability| !all && !has_capability(*capability)).collect()
}

/// Everything on this machine that is known to refuse privileged processes.
fn suspects() -> Vec<String> {
    let mut suspects: Vec<String> = confinement().into_iter().map(str::to_owned).collect();
    if let Some(mode) = lockdown().filter(|mode| *mode != "none") {
        suspects.push(format!("lockdown is in mode {mode}"));
    }
    if sysctl("kernel.unprivileged_bpf_disabled").is_some_and(|value| value != 0)
        && !has_capability(Capability::Bpf)
        && !has_capability(Capability::SysAdmin)
    {
        suspects.push("kernel.unprivileged_bpf_disabled is set".to_owned());
    }
    if let Some(modules) = security_modules() {
        suspects.push(format!("a security module ({modules})"));
    }
    if !Path::new("/sys/kernel/security/lsm").exists() {
        suspects
            .push("lockdown or a security module, which show themselves only when securityfs is mounted".to_owned());
    }
    if suspects.is_empty() {
        suspects.push("a change that the vendor made to the kernel".to_owned());
    }
    suspects
}

/// The security modules that may refuse operations, without the one that only knows capabilities.
pub(super) fn security_modules() -> Option<String> {
    let list = fs::read_to_string("/sys/kernel/security/lsm").ok()?;
    let modules: Vec<&str> = list.trim().split(',').filter(|module| !["", "capability"].contains(module)).collect();
    (!modules.is_empty()).then(|| modules.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_come_before_everything_else() {
        let prober = Prober::new();
        let needs = Needs { since: Release::new(99, 0), config: &[], capabilities: &[] };
        let reason = of_failure(&prober, libc::EPERM, needs);
        assert!(matches!(reason, Reason::TooOld { .. }), "{reason}");
        assert!(reason.to_string().starts_with("came with Linux 99.0, this is "), "{reason}");
    }

    #[test]
    fn options_that_are_off_are_named() {
        let prober = Prober::new();
        prober.config.set(KernelConfig::parse("CONFIG_BPF=y\n# CONFIG_NET is not set\n")).unwrap();
        let needs = Needs { since: Release::new(3, 18), config: &["CONFIG_NET"], capabilities: &[] };
        let reason = of_failure(&prober, libc::EINVAL, needs);
        assert_eq!(reason.to_string(), "the kernel was built without CONFIG_NET");
        let needs = Needs { config: &["CONFIG_BPF"], ..needs };
        assert!(of_failure(&prober, libc::EINVAL, needs).to_string().contains("distribution"));
        assert!(!suspects().is_empty());
    }

    use super::super::KernelConfig;
}
