//! What `/proc` tells about the process of a row: program, user, container, pod. Looked up when a process is first seen,
//! and kept.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Processes that are kept; beyond that they are forgotten and looked up again.
const MOST: usize = 16 * 1024;
/// Letters of the identity of a container (64 hexadecimal digits) that are shown.
const SHORT: usize = 12;

/// What is known about a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// User number; `None` if the process was gone.
    pub uid: Option<u32>,
    /// Path of its program; empty if it was gone or is a thread of the kernel.
    pub exe: String,
    /// Short identity of its container; empty without one.
    pub container: String,
    /// Identity of its Kubernetes pod; empty without one.
    pub pod: String,
}

/// Processes by number and name: a number that is used again belongs to another name most of the time.
#[derive(Debug)]
pub struct Processes {
    root: PathBuf,
    known: HashMap<(u32, String), Process>,
}

impl Default for Processes {
    fn default() -> Self {
        Self { root: PathBuf::from("/proc"), known: HashMap::new() }
    }
}

impl Processes {
    /// What is known about a process.
    pub fn get(&mut self, pid: u32, comm: &str) -> &Process {
        if self.known.len() >= MOST {
            self.known.clear();
        }
        let root = &self.root;
        self.known.entry((pid, comm.to_owned())).or_insert_with(|| {
            let directory = root.join(pid.to_string());
            let (container, pod) =
                fs::read_to_string(directory.join("cgroup")).map(|text| identities(&text)).unwrap_or_default();
            let exe = fs::read_link(directory.join("exe")).map(|path| path.display().to_string()).unwrap_or_default();
            let uid = fs::metadata(&directory).ok().map(|facts| facts.uid());
            Process { uid, exe, container, pod }
        })
    }
}

/// Container and pod in the text of `/proc/PID/cgroup`.
///
/// Runtimes name the group of a container by its identity of 64 hexadecimal digits, with or without a word in front
/// (`docker-ID.scope`, `cri-containerd-ID.scope`, `/docker/ID`); the kubelet names that of a pod `podUID`, where systemd
/// wants `_` for `-`.
fn identities(text: &str) -> (String, String) {
    let (mut container, mut pod) = (String::new(), String::new());
    for part in text.lines().flat_map(|line| line.rsplit('/')) {
        let part = part.trim_end_matches(".scope").trim_end_matches(".slice");
        if container.is_empty()
            && let Some(id) = part.rsplit(['-', ':']).next().and_then(container_identity)
        {
            container = id.to_owned();
        }
        if pod.is_empty()
            && let Some(uid) = part.rfind("pod").map(|at| part[at + 3..].replace('_', "-"))
            && uid.len() == 36
            && uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        {
            pod = uid;
        }
    }
    (container, pod)
}

/// The short form of a container's identity.
fn container_identity(text: &str) -> Option<&str> {
    (text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| &text[..SHORT])
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn containers_and_pods() {
        let uid = "11111111-2222-3333-4444-555555555555";
        // TABLE
        for (text, container, pod) in [
            (format!("0::/system.slice/docker-{ID}.scope\n"), "0123456789ab", ""),
            (format!("4:memory:/docker/{ID}\n0::/x\n"), "0123456789ab", ""),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{ID}.scope\n",
                    uid.replace('-', "_")
                ),
                "0123456789ab",
                uid,
            ),
            (format!("0::/kubepods/burstable/pod{uid}/{ID}\n"), "0123456789ab", uid),
            ("0::/user.slice/user-0.slice/session-1.scope\n".to_owned(), "", ""),
            (String::new(), "", ""),
        ] {
            assert_eq!(identities(&text), (container.to_owned(), pod.to_owned()), "{text}");
        }
    }

    #[test]
    fn this_process() {
        let mut processes = Processes::default();
        let pid = std::process::id();
        let known = processes.get(pid, "test").clone();
        assert_eq!(known.exe, fs::read_link("/proc/self/exe").unwrap().display().to_string());
        assert_eq!(known.uid, Some(fs::metadata("/proc/self").unwrap().uid()));
        assert_eq!(processes.get(u32::MAX, "none"), &Process::default());
    }
}
