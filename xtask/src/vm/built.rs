//! Kernels with settings that no packaged kernel has, built here from Debian's source package when they are named.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::vm::host;

/// Settings that packaged kernels lack.
pub struct Settings {
    /// What stands behind the release: `6.12+infrared`.
    pub name: &'static str,
    /// Options on top of [`BASE`], without `CONFIG_`.
    options: &'static [&'static str],
}

// TABLE
/// The sets of settings that can be named.
pub const SETTINGS: &[Settings] = &[Settings {
    // BPF_LIRC_MODE2 demands RC_CORE=y; the loopback driver is a receiver that hears what is sent with it.
    name: "infrared",
    options: &["INPUT", "RC_CORE", "LIRC", "BPF_LIRC_MODE2", "RC_DEVICES", "RC_LOOPBACK"],
}];

// TABLE
/// What the machine and our tests need, on top of the kernel's smallest settings.
#[rustfmt::skip]
const BASE: &[&str] = &[
    // The machine: processors, serial line, initial file system, turning off.
    "64BIT", "SMP", "PRINTK", "BUG", "TTY", "SERIAL_8250", "SERIAL_8250_CONSOLE", "UNIX98_PTYS", "PCI", "ACPI",
    "BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT", "MODULES",
    // File systems that the first process mounts.
    "DEVTMPFS", "PROC_FS", "PROC_SYSCTL", "SYSFS", "SHMEM", "TMPFS", "DEBUG_FS", "CGROUPS",
    // What programs of today expect of a kernel.
    "MULTIUSER", "FUTEX", "EPOLL", "EVENTFD", "SIGNALFD", "TIMERFD", "ADVISE_SYSCALLS", "MEMBARRIER", "FILE_LOCKING",
    "POSIX_TIMERS", "HIGH_RES_TIMERS", "NAMESPACES", "NET", "INET", "UNIX", "PACKET", "KALLSYMS",
    // BPF.
    "BPF_SYSCALL", "BPF_JIT", "PERF_EVENTS", "CGROUP_BPF",
];

/// The settings with a name.
///
/// # Errors
/// A message with the names that there are.
pub fn find(name: &str) -> Result<&'static Settings, String> {
    SETTINGS.iter().find(|settings| settings.name == name).ok_or_else(|| {
        let names: Vec<&str> = SETTINGS.iter().map(|settings| settings.name).collect();
        format!("`+{name}`: there are no such settings; expected {}", names.join(", "))
    })
}

/// Name of the source package of a release.
pub fn package(release: &str) -> String {
    format!("linux-source-{release}")
}

/// Builds the kernel of an unpacked source package below `kept/root`, as a package with an image would look. It takes
/// some minutes of all processors.
///
/// # Errors
/// A message with the step that failed, or with settings that this release does not have.
pub fn build(work: &Path, unpacked: &Path, release: &str, settings: &Settings, root: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("cannot write {}: {error}", path.display());
    let archive = unpacked.join("usr/src").join(format!("{}.tar.xz", package(release)));
    host::output(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(work))?;
    let tree = work.join(package(release));
    let make = |target: &str| {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut command = Command::new("make");
        command.arg("--silent").arg(format!("--jobs={jobs}")).arg("--directory").arg(&tree).arg(target);
        host::output(&mut command)
    };
    make("tinyconfig")?;
    let wanted = || BASE.iter().chain(settings.options);
    let config = tree.join(".config");
    let mut file = File::options().append(true).open(&config).map_err(|error| failed(&config, error))?;
    for option in wanted() {
        // The last line counts.
        writeln!(file, "CONFIG_{option}=y").map_err(|error| failed(&config, error))?;
    }
    make("olddefconfig")?;
    let text = fs::read_to_string(&config).map_err(|error| format!("cannot read {}: {error}", config.display()))?;
    if let Some(missing) = wanted().find(|option| !text.contains(&format!("CONFIG_{option}=y\n"))) {
        return Err(format!("Linux {release} does not take CONFIG_{missing}=y"));
    }
    make("bzImage")?;
    let version = make("kernelrelease")?;
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let boot = root.join("boot");
    for directory in [&boot, &root.join("lib/modules").join(&version).join("kernel")] {
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    }
    let image = tree.join("arch/x86/boot/bzImage");
    for (from, to) in [(image, format!("vmlinuz-{version}")), (config, format!("config-{version}"))] {
        let to: PathBuf = boot.join(to);
        fs::copy(&from, &to).map_err(|error| failed(&to, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_settings_are_named() {
        assert_eq!(find("infrared").unwrap().name, "infrared");
        assert_eq!(find("fast").err().unwrap(), "`+fast`: there are no such settings; expected infrared");
    }
}
