//! The tracing file system: where it is mounted, tracepoints and their numbers, probes defined by text.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::words::{TRACING, suggestion};
use crate::errors::KernelError;
use crate::features::running_release;
use crate::sys::mount;

const ACTION: &str = "use the tracing file system";

/// The mounted tracing file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracefs {
    root: PathBuf,
}

/// A tracepoint with an event: `sched:sched_switch`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TracepointName {
    /// The subsystem: `sched`, `syscalls`.
    pub category: String,
    /// The event: `sched_switch`, `sys_enter_openat`.
    pub name: String,
}

impl Tracefs {
    /// Looks for it in the mounts of this process. If it is mounted nowhere, this process gets one for itself that no other
    /// process sees (Linux 5.2).
    ///
    /// # Errors
    /// [`KernelError::Invalid`] with the command that mounts it if it is not mounted,
    /// [`KernelError::Unsupported`] if the kernel was built without tracing.
    pub fn find() -> Result<Self, KernelError> {
        let mounts = fs::read_to_string("/proc/thread-self/mounts")
            .map_err(|error| KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EIO)))?;
        if let Some(root) = mounted(&mounts) {
            return Ok(Self { root });
        }
        if let Some(root) = own() {
            return Ok(Self { root });
        }
        let known = fs::read_to_string("/proc/filesystems")
            .is_ok_and(|all| all.lines().any(|line| line.ends_with("\ttracefs")));
        if !known {
            return Err(KernelError::Unsupported {
                what: "tracing (CONFIG_FTRACE and CONFIG_EVENT_TRACING)".to_owned(),
                since: None,
                running: running_release(),
            });
        }
        Err(KernelError::Invalid {
            action: ACTION,
            problem: "it is not mounted; mount it: `mount -t tracefs tracefs /sys/kernel/tracing`".to_owned(),
        })
    }

    /// The directory on which it is mounted, or a path that only this process can use.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The number of a tracepoint's event.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] with similar names if there is no such tracepoint, [`KernelError::NotPermitted`] if the
    /// directory must not be read.
    pub fn event_id(&self, category: &str, name: &str) -> Result<u64, KernelError> {
        const ACTION: &str = "find a tracepoint";
        let plain = |part: &str| !part.is_empty() && !part.contains('/') && part != "." && part != "..";
        if !plain(category) || !plain(name) {
            return Err(KernelError::Invalid {
                action: ACTION,
                problem: format!("`{category}:{name}` is no name of a tracepoint; write it as `sched:sched_switch`"),
            });
        }
        match fs::read_to_string(self.root.join("events").join(category).join(name).join("id")) {
            Ok(id) => id.trim().parse().map_err(|_| KernelError::system(ACTION, libc::EPROTO)),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err(KernelError::not_permitted(ACTION, TRACING))
            }
            Err(_) => Err(KernelError::Invalid { action: ACTION, problem: self.unknown(category, name) }),
        }
    }

    /// There is no such tracepoint; what there is.
    fn unknown(&self, category: &str, name: &str) -> String {
        let text = format!("there is no tracepoint `{category}:{name}`");
        let all = self.tracepoints();
        if !all.iter().any(|each| each.category == category) {
            // Perhaps the name exists elsewhere.
            let near: Vec<&str> = all.iter().map(|each| each.category.as_str()).collect();
            let other = all.iter().find(|each| each.name == name);
            return match other {
                Some(other) => format!("{text}; did you mean `{}:{name}`?", other.category),
                None => format!("{text}, nor a category `{category}`{}", suggestion(category, near.into_iter())),
            };
        }
        let names = all.iter().filter(|each| each.category == category).map(|each| each.name.as_str());
        format!("{text}{}", suggestion(name, names))
    }

    /// All tracepoints that have events, sorted. Empty if the directory cannot be read.
    pub fn tracepoints(&self) -> Vec<TracepointName> {
        let mut found = Vec::new();
        for category in directories(&self.root.join("events")) {
            found.extend(
                directories(&self.root.join("events").join(&category))
                    .into_iter()
                    .map(|name| TracepointName { category: category.clone(), name }),
            );
        }
        found.sort();
        found
    }

    /// The functions that the function tracer can reach, a line each: name and `[module]`.
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] if the kernel has no function tracer, [`KernelError::NotPermitted`].
    pub fn traceable_functions(&self) -> Result<String, KernelError> {
        const ACTION: &str = "list the functions that can be traced";
        fs::read_to_string(self.root.join("available_filter_functions")).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KernelError::Unsupported {
                what: "tracing of functions (CONFIG_FUNCTION_TRACER and CONFIG_DYNAMIC_FTRACE)".to_owned(),
                since: None,
                running: running_release(),
            },
            io::ErrorKind::PermissionDenied => KernelError::not_permitted(ACTION, TRACING),
            _ => KernelError::system(ACTION, error.raw_os_error().unwrap_or(libc::EIO)),
        })
    }

    /// Adds a line to `kprobe_events` or `uprobe_events`.
    pub(super) fn define(&self, file: &str, line: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.root.join(file))?;
        file.write_all(line.as_bytes())
    }
}

/// The tracing file system of this process alone, made when it is first needed and kept until the process ends.
fn own() -> Option<PathBuf> {
    static OWN: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let fd = OWN.get_or_init(|| mount::detached(c"tracefs").ok()).as_ref()?;
    Some(PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())))
}

/// Names of the directories in a directory.
fn directories(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// The first mount of tracefs, or of debugfs with tracefs in it, among lines of `/proc/self/mounts`.
fn mounted(mounts: &str) -> Option<PathBuf> {
    let points = |wanted: &'static str| {
        mounts.lines().filter_map(move |line| {
            let mut fields = line.split(' ');
            let (point, kind) = (fields.nth(1)?, fields.next()?);
            (kind == wanted).then(|| PathBuf::from(unescaped(point)))
        })
    };
    let inside = |point: PathBuf| Some(point.join("tracing")).filter(|path| path.join("events").is_dir());
    points("tracefs").next().or_else(|| points("debugfs").find_map(inside))
}

/// Blanks and backslashes in mount points are octal escapes.
fn unescaped(field: &str) -> String {
    field.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found() {
        let text = "proc /proc proc rw 0 0\nnodev /sys/kernel/tracing tracefs rw 0 0\n";
        assert_eq!(mounted(text), Some(PathBuf::from("/sys/kernel/tracing")));
        assert_eq!(mounted("t /mnt/a\\040b tracefs rw 0 0\n"), Some(PathBuf::from("/mnt/a b")));
        assert_eq!(mounted("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn odd_names_are_refused() {
        let tracefs = Tracefs { root: PathBuf::from("/nonexistent") };
        for (category, name) in [("..", "x"), ("sched", "a/b"), ("", "x")] {
            assert!(tracefs.event_id(category, name).unwrap_err().to_string().contains("no name of a tracepoint"));
        }
        assert_eq!(tracefs.tracepoints(), []);
    }
}
