//! What the running kernel and this process are allowed to do: release, capabilities, sysctls, confinement.
//!
//! Only reading and explaining; nothing here changes anything.

use std::fmt;
use std::fs;
use std::sync::OnceLock;

use skep_isa::Release;

/// A capability of capabilities(7) that some operation of this crate needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// Change the network configuration, and attach programs to it.
    NetAdmin,
    /// Open packet sockets and raw sockets.
    NetRaw,
    /// Trace processes of other users.
    SysPtrace,
    /// Override resource limits.
    SysResource,
    /// The catch-all; before Linux 5.8 it was needed for `bpf(2)`.
    SysAdmin,
    /// Change the user of the process.
    SetUid,
    /// Change the groups of the process.
    SetGid,
    /// Read performance counters and let programs read kernel memory (Linux 5.8).
    Perfmon,
    /// Use `bpf(2)` (Linux 5.8).
    Bpf,
}

// TABLE
/// Capability, bit number in `linux/capability.h`, name as `setcap` takes it.
const CAPABILITIES: [(Capability, u32, &str); 9] = [
    (Capability::SetGid, 6, "cap_setgid"),
    (Capability::SetUid, 7, "cap_setuid"),
    (Capability::NetAdmin, 12, "cap_net_admin"),
    (Capability::NetRaw, 13, "cap_net_raw"),
    (Capability::SysPtrace, 19, "cap_sys_ptrace"),
    (Capability::SysAdmin, 21, "cap_sys_admin"),
    (Capability::SysResource, 24, "cap_sys_resource"),
    (Capability::Perfmon, 38, "cap_perfmon"),
    (Capability::Bpf, 39, "cap_bpf"),
];

impl Capability {
    fn row(self) -> (u32, &'static str) {
        CAPABILITIES.iter().find(|row| row.0 == self).map_or((63, "unknown"), |row| (row.1, row.2))
    }

    /// Bit number in a capability set, 0 to 63.
    pub fn bit(self) -> u32 {
        self.row().0
    }

    /// Name in lower case, as `setcap` takes it: `cap_net_raw`.
    pub fn name(self) -> &'static str {
        self.row().1
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name().to_ascii_uppercase())
    }
}

/// Whether the capability is in the effective set of the calling thread. `false` when `/proc` cannot be read.
///
/// Inside a user namespace the set only counts for things that the namespace owns; see [`confinement`].
pub fn has_capability(capability: Capability) -> bool {
    fs::read_to_string("/proc/thread-self/status")
        .ok()
        .and_then(|status| effective_set(&status))
        .is_some_and(|set| set & (1 << capability.bit()) != 0)
}

/// The effective capability set out of the text of `/proc/PID/status`.
fn effective_set(status: &str) -> Option<u64> {
    u64::from_str_radix(status_field(status, "CapEff:")?, 16).ok()
}

pub(crate) fn status_field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The release of the running kernel, `None` when `/proc/sys/kernel/osrelease` cannot be read. It is read once.
pub fn running_release() -> Option<Release> {
    static FOUND: OnceLock<Release> = OnceLock::new();
    if let Some(release) = FOUND.get() {
        return Some(*release);
    }
    let release = Release::parse(&fs::read_to_string("/proc/sys/kernel/osrelease").ok()?)?;
    Some(*FOUND.get_or_init(|| release))
}

/// The value of an integer sysctl by its dotted name (`net.core.optmem_max`), `None` if it is absent or no integer.
///
/// Dots become slashes, so names with a dot in one component (an interface `eth0.5`) cannot be asked for.
pub fn sysctl(name: &str) -> Option<i64> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return None;
    }
    fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?.trim().parse().ok()
}

/// How far the kernel is locked down: `none`, `integrity` or `confidentiality` (Linux 5.4). `None` if it has no lockdown
/// or securityfs is not mounted.
pub fn lockdown() -> Option<String> {
    locked_mode(&fs::read_to_string("/sys/kernel/security/lockdown").ok()?)
}

/// The mode in brackets out of `none [integrity] confidentiality`.
fn locked_mode(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// Reasons outside of capabilities why the kernel may refuse this process: a user namespace, a system call filter.
///
/// One sentence each; empty on an ordinary machine.
pub fn confinement() -> Vec<&'static str> {
    let mut remarks = Vec::new();
    let whole_range = |map: String| map.split_whitespace().eq(["0", "0", "4294967295"]);
    if fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| !whole_range(map)) {
        remarks.push(
            "this process is in a user namespace (a rootless container?), where capabilities do not reach the \
             network and the BPF of the host",
        );
    }
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    if status_field(&status, "Seccomp:").is_some_and(|mode| mode != "0") {
        remarks.push(
            "a seccomp filter is active (a container's default profile?), which may forbid bpf(2) and packet sockets",
        );
    }
    remarks
}

/// Number of processors that the machine can ever have: the values in one entry of a per-CPU map.
///
/// `None` when `/sys/devices/system/cpu/possible` cannot be read.
pub fn possible_cpus() -> Option<u32> {
    cpus_in_list(&fs::read_to_string("/sys/devices/system/cpu/possible").ok()?)
}

/// One more than the highest number in a list such as `0-3,8`.
fn cpus_in_list(list: &str) -> Option<u32> {
    let last = list.trim().rsplit([',', '-']).next()?;
    last.parse::<u32>().ok()?.checked_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_sets() {
        assert_eq!(effective_set("Name:\tx\nCapEff:\t0000000000002000\n"), Some(0x2000));
        assert_eq!(effective_set("Name:\tx\n"), None);
        assert_eq!(1u64 << Capability::NetRaw.bit(), 0x2000);
        assert_eq!(Capability::Bpf.to_string(), "CAP_BPF");
    }

    #[test]
    fn every_capability_has_a_row() {
        for (capability, bit, name) in CAPABILITIES {
            assert_eq!((capability.bit(), capability.name()), (bit, name));
        }
        assert_ne!(Capability::SetUid.name(), "unknown");
    }

    #[test]
    fn modes_of_lockdown() {
        assert_eq!(locked_mode("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(locked_mode("[none] integrity confidentiality\n").as_deref(), Some("none"));
        assert_eq!(locked_mode(""), None);
    }

    #[test]
    fn sysctls_and_processors() {
        assert!(running_release().is_some());
        assert!(sysctl("kernel.pid_max").is_some_and(|max| max > 0));
        assert_eq!(sysctl("no.such.thing"), None);
        assert_eq!(sysctl("../../etc/passwd"), None);
        assert_eq!(cpus_in_list("0-3,8\n"), Some(9));
        assert_eq!(cpus_in_list("0\n"), Some(1));
        assert_eq!(cpus_in_list("4294967295"), None);
        assert_eq!(cpus_in_list(""), None);
    }
}
