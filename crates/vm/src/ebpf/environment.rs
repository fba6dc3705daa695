//! What a machine tells programs about the outside: the task, the time, routes; and what they leave for the host.
//!
//! Nothing here comes from the host by itself except the clocks, and those only until [`Clock::fixed`] replaces them: a
//! run can be repeated.

use std::collections::VecDeque;
use std::sync::Arc;

use super::fib::FibTable;
use super::maps::Map;
use super::timers::Timers;

/// Lines of `bpf_trace_printk` that a worker keeps; later ones are dropped and counted until the host takes some.
pub const MAX_PRINTED_LINES: usize = 1 << 16;

/// Nanoseconds of a jiffy: programs see 250 in a second (`CONFIG_HZ`), counted from the start of the machine.
pub(crate) const NANOSECONDS_PER_JIFFY: u64 = 4_000_000;

/// The task that a program believes to run for (`get_current_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Number of the thread, what user space calls its thread id.
    pub pid: u32,
    /// Number of the process.
    pub tgid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Name of the thread; at most 15 bytes are shown (`TASK_COMM_LEN` in `linux/sched.h`).
    pub comm: String,
}

impl Default for Task {
    /// A task that is the same everywhere: thread 1001 of process 1000, user and group 1000, called `skep-task`.
    fn default() -> Self {
        Self { pid: 1001, tgid: 1000, uid: 1000, gid: 1000, comm: "skep-task".to_owned() }
    }
}

/// What the time helpers read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Monotonic nanoseconds, `None` for the clocks of the host.
    fixed: Option<u64>,
    /// Nanoseconds that were added by [`Worker::advance_time`](super::Worker::advance_time).
    advanced: u64,
}

/// The clocks of `clock_gettime(2)` that programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockKind {
    Monotonic,
    Coarse,
    Boot,
    Tai,
}

impl Clock {
    /// The clocks of the host.
    pub const fn host() -> Self {
        Self { fixed: None, advanced: 0 }
    }

    /// All clocks stand at so many nanoseconds until they are advanced.
    pub const fn fixed(nanoseconds: u64) -> Self {
        Self { fixed: Some(nanoseconds), advanced: 0 }
    }

    pub(crate) const fn advance(&mut self, nanoseconds: u64) {
        self.advanced = self.advanced.saturating_add(nanoseconds);
    }

    /// Nanoseconds of a clock.
    pub(crate) fn now(&self, kind: ClockKind) -> u64 {
        let base = self.fixed.unwrap_or_else(|| {
            host_clock(match kind {
                ClockKind::Monotonic => libc::CLOCK_MONOTONIC,
                ClockKind::Coarse => libc::CLOCK_MONOTONIC_COARSE,
                ClockKind::Boot => libc::CLOCK_BOOTTIME,
                ClockKind::Tai => libc::CLOCK_TAI,
            })
        });
        base.saturating_add(self.advanced)
    }
}

fn host_clock(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one structure, which is ours. These clocks exist on every Linux; if not, the time is 0.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Where a program wants the packet to go.
#[derive(Debug, Clone)]
pub enum Redirect {
    /// To a device (`bpf_redirect`).
    Device {
        /// Index of the interface.
        ifindex: u32,
        /// Into its receive side (`BPF_F_INGRESS`) instead of out of it.
        ingress: bool,
    },
    /// To the peer of a device in another namespace (`bpf_redirect_peer`); the index of the interface.
    Peer(u32),
    /// To a neighbour on a device (`bpf_redirect_neigh`).
    Neighbour {
        /// Index of the interface.
        ifindex: u32,
        /// `struct bpf_redir_neigh` as the program gave it, empty for the routing table's answer.
        parameters: Vec<u8>,
    },
    /// To an entry of a map of devices, CPUs or sockets (`bpf_redirect_map`).
    Map {
        /// The map.
        map: Arc<Map>,
        /// The key, an index for all but `DEVMAP_HASH`.
        key: u32,
        /// Its flags: an action for missing entries, `BPF_F_BROADCAST`, `BPF_F_EXCLUDE_INGRESS`.
        flags: u64,
    },
}

/// A copy of the packet that `bpf_clone_redirect` sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClonedPacket {
    /// Index of the interface.
    pub ifindex: u32,
    /// Into its receive side instead of out of it.
    pub ingress: bool,
    /// The packet as it was then.
    pub packet: Vec<u8>,
}

/// What helpers ask and what they leave.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) task: Task,
    pub(crate) clock: Clock,
    pub(crate) fib: Arc<FibTable>,
    pub(crate) numa_node: u32,
    pub(crate) printed: VecDeque<String>,
    pub(crate) printed_lost: u64,
    pub(crate) redirect: Option<Redirect>,
    pub(crate) clones: Vec<ClonedPacket>,
    pub(crate) timers: Timers,
    /// Address of the lock that the running program holds.
    pub(crate) held_lock: Option<u64>,
}

impl Environment {
    pub(crate) fn new() -> Self {
        Self {
            task: Task::default(),
            clock: Clock::host(),
            fib: Arc::default(),
            numa_node: 0,
            printed: VecDeque::new(),
            printed_lost: 0,
            redirect: None,
            clones: Vec::new(),
            timers: Timers::default(),
            held_lock: None,
        }
    }

    /// Keeps a line for the host.
    pub(crate) fn print(&mut self, line: String) {
        if self.printed.len() < MAX_PRINTED_LINES {
            self.printed.push_back(line);
        } else {
            self.printed_lost += 1;
        }
    }
}
