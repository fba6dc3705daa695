//! Settings and file systems that BPF depends on: privileges, compilers, types, mounts, event sources.

use std::fs;
use std::path::Path;

use skep_isa::Release;

use super::reason::{Needs, of_failure, security_modules};
use super::{Finding, Group, Prober, Reason, Status};
use crate::KernelBtf;
use crate::features::{Capability, confinement, has_capability, lockdown, running_release, sysctl};

/// The capabilities that loading and attaching programs can need.
const CAPABILITIES: [Capability; 5] =
    [Capability::Bpf, Capability::Perfmon, Capability::NetAdmin, Capability::NetRaw, Capability::SysAdmin];

/// Everything about the machine that is not a row of a table.
pub(super) fn probe(prober: &Prober) -> Vec<Finding> {
    let mut list = privileges();
    list.extend(compiler(prober));
    list.extend(kernel_types(prober));
    list.extend(mounts(prober));
    list.extend(event_sources(prober));
    list
}

fn finding(name: &str, status: Status) -> Finding {
    Finding { group: Group::System, name: name.to_owned(), since: None, status }
}

fn other(text: &str) -> Status {
    Status::Missing(Reason::Other(text.to_owned()))
}

fn privileges() -> Vec<Finding> {
    let release = running_release();
    let release = release.map_or_else(
        || other("/proc/sys/kernel/osrelease cannot be read"),
        |release| Status::Value(format!("Linux {release}")),
    );
    let held: Vec<String> =
        CAPABILITIES.iter().filter(|capability| has_capability(**capability)).map(Capability::to_string).collect();
    let capabilities = if held.is_empty() {
        Status::Missing(Reason::Capabilities { missing: vec![Capability::Bpf] })
    } else {
        Status::Value(held.join(", "))
    };
    let unprivileged = match sysctl("kernel.unprivileged_bpf_disabled") {
        Some(0) => Status::Value("allowed (kernel.unprivileged_bpf_disabled is 0)".to_owned()),
        Some(1) => other("kernel.unprivileged_bpf_disabled is 1, until the next boot"),
        Some(2) => other("kernel.unprivileged_bpf_disabled is 2, which the administrator can change"),
        _ => other("the kernel has no kernel.unprivileged_bpf_disabled"),
    };
    let lockdown = lockdown().unwrap_or_else(|| "not in this kernel, or securityfs is not mounted".to_owned());
    let modules = security_modules().unwrap_or_else(|| "none known".to_owned());
    let confinement = confinement();
    let confinement =
        if confinement.is_empty() { Status::Value("none".to_owned()) } else { Status::Value(confinement.join("; ")) };
    vec![
        finding("kernel", release),
        finding("capabilities", capabilities),
        finding("unprivileged-bpf", unprivileged),
        finding("lockdown", Status::Value(lockdown)),
        finding("security-modules", Status::Value(modules)),
        finding("confinement", confinement),
    ]
}

fn compiler(prober: &Prober) -> Vec<Finding> {
    let words = |name: &str, words: &[&str]| match sysctl(name) {
        Some(value) => {
            let word = usize::try_from(value).ok().and_then(|value| words.get(value)).copied().unwrap_or("unknown");
            Status::Value(format!("{word} ({name} is {value})"))
        }
        None => match prober.config().is_on("CONFIG_BPF_JIT") {
            Some(false) => Status::Missing(Reason::Configuration { options: vec!["CONFIG_BPF_JIT".to_owned()] }),
            _ => other("the sysctl cannot be read; that needs root"),
        },
    };
    let enable = match sysctl("net.core.bpf_jit_enable") {
        Some(0) => other("net.core.bpf_jit_enable is 0: programs are interpreted; set it to 1"),
        _ => words("net.core.bpf_jit_enable", &["off", "on", "on, with its code in the kernel's log"]),
    };
    let limit = sysctl("net.core.bpf_jit_limit");
    let limit = limit.map_or_else(
        || other("the sysctl cannot be read; that needs root"),
        |bytes| Status::Value(format!("{bytes} bytes for unprivileged programs")),
    );
    vec![
        finding("jit", enable),
        finding(
            "jit-harden",
            words("net.core.bpf_jit_harden", &["off", "for unprivileged programs", "for all programs"]),
        ),
        finding("jit-limit", limit),
        finding("jit-kallsyms", words("net.core.bpf_jit_kallsyms", &["hidden", "shown to root"])),
        finding("statistics", words("kernel.bpf_stats_enabled", &["off", "on"])),
    ]
}

fn kernel_types(prober: &Prober) -> Vec<Finding> {
    let needs = |major, minor, option| Needs { since: Release::new(major, minor), config: option, capabilities: &[] };
    let names = KernelBtf::names();
    let vmlinux = if names.iter().any(|name| name == "vmlinux") {
        Status::Present
    } else {
        Status::Missing(of_failure(prober, libc::ENOENT, needs(5, 4, &["CONFIG_DEBUG_INFO_BTF"])))
    };
    let modules = names.iter().filter(|name| *name != "vmlinux").count();
    let modules = if modules > 0 {
        Status::Value(format!("of {modules} modules"))
    } else if prober.config().is_on("CONFIG_MODULES") == Some(false) {
        Status::Missing(Reason::Configuration { options: vec!["CONFIG_MODULES".to_owned()] })
    } else if prober.config().is_on("CONFIG_DEBUG_INFO_BTF_MODULES") == Some(false) {
        Status::Missing(Reason::Configuration { options: vec!["CONFIG_DEBUG_INFO_BTF_MODULES".to_owned()] })
    } else {
        other("no module with types is loaded")
    };
    let config = if prober.config().is_empty() {
        other("neither /proc/config.gz nor a file under /boot or /lib/modules can be read")
    } else {
        Status::Present
    };
    vec![finding("kernel-types", vmlinux), finding("module-types", modules), finding("kernel-config", config)]
}

/// Name, kind of file system in `/proc/mounts`, where it belongs, option that it needs.
const FILE_SYSTEMS: [(&str, &str, &str, &str); 4] = [
    ("bpffs", "bpf", "/sys/fs/bpf", "CONFIG_BPF_SYSCALL"),
    ("tracefs", "tracefs", "/sys/kernel/tracing", "CONFIG_TRACING"),
    ("cgroup2", "cgroup2", "/sys/fs/cgroup", "CONFIG_CGROUPS"),
    ("securityfs", "securityfs", "/sys/kernel/security", "CONFIG_SECURITYFS"),
];

fn mounts(prober: &Prober) -> Vec<Finding> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    FILE_SYSTEMS
        .iter()
        .map(|(name, kind, usual, option)| {
            let status = match mount_point(&table, kind) {
                Some(place) => Status::Value(format!("mounted at {place}")),
                None if prober.config().is_on(option) == Some(false) => {
                    Status::Missing(Reason::Configuration { options: vec![(*option).to_owned()] })
                }
                None => other(&format!("not mounted; as root: mount -t {kind} {kind} {usual}")),
            };
            finding(name, status)
        })
        .collect()
}

/// Where a file system of a kind is mounted, out of the text of `/proc/mounts`.
fn mount_point<'a>(table: &'a str, kind: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let place = words.next()?;
        (words.next()? == kind).then_some(place)
    })
}

/// Event source, option that it needs, first release.
const EVENT_SOURCES: [(&str, &str, Release); 4] = [
    ("kprobe", "CONFIG_KPROBE_EVENTS", Release::new(4, 17)),
    ("uprobe", "CONFIG_UPROBE_EVENTS", Release::new(4, 17)),
    ("tracepoint", "CONFIG_PERF_EVENTS", Release::new(2, 6)),
    ("cpu", "CONFIG_PERF_EVENTS", Release::new(2, 6)),
];

fn event_sources(prober: &Prober) -> Vec<Finding> {
    let source = |(name, option, since): &(&str, &'static str, Release)| {
        let path = Path::new("/sys/bus/event_source/devices").join(name);
        let status = match fs::read_to_string(path.join("type")) {
            Ok(number) => Status::Value(format!("number {}", number.trim())),
            // Counters of hybrid processors have other names.
            Err(_) if *name == "cpu" && Path::new("/sys/bus/event_source/devices/cpu_core").exists() => Status::Present,
            Err(_) if *name == "cpu" => other("no hardware counters; virtual machines often have none"),
            Err(_) => {
                let needs = Needs { since: *since, config: &[option], capabilities: &[] };
                Status::Missing(of_failure(prober, libc::ENOENT, needs))
            }
        };
        finding(&format!("perf-{name}"), status)
    };
    let mut list: Vec<Finding> = EVENT_SOURCES.iter().map(source).collect();
    if let Some(level) = sysctl("kernel.perf_event_paranoid") {
        list.push(finding("perf-paranoid", Status::Value(format!("kernel.perf_event_paranoid is {level}"))));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_kind() {
        let table = "proc /proc proc rw 0 0\nnone /sys/fs/bpf bpf rw,mode=700 0 0\n";
        assert_eq!(mount_point(table, "bpf"), Some("/sys/fs/bpf"));
        assert_eq!(mount_point(table, "tracefs"), None);
        assert_eq!(mount_point("broken", "bpf"), None);
    }
}
