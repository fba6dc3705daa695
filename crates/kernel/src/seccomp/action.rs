//! What a seccomp filter tells the kernel to do with a system call.

use std::fmt;

use skep_isa::errno;

/// The verdict of a filter (`SECCOMP_RET_*` in `linux/seccomp.h`), the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Ends the process. Unknown actions do the same.
    KillProcess,
    /// Ends the thread.
    KillThread,
    /// Sends SIGSYS with this number as `si_errno`.
    Trap(u16),
    /// The call fails with this error number, at most 4095.
    Errno(u16),
    /// Another process decides (`SECCOMP_RET_USER_NOTIF`).
    Notify,
    /// A tracer decides; without one the call fails with ENOSYS. The number is for the tracer.
    Trace(u16),
    /// The call is written to the log and runs.
    Log,
    /// The call runs.
    Allow,
}

impl Action {
    /// The action in a filter's result.
    pub const fn of(result: u32) -> Self {
        let data = result as u16;
        match result & 0xffff_0000 {
            0x0000_0000 => Self::KillThread,
            0x0003_0000 => Self::Trap(data),
            0x0005_0000 => Self::Errno(if data > 4095 { 4095 } else { data }),
            0x7fc0_0000 => Self::Notify,
            0x7ff0_0000 => Self::Trace(data),
            0x7ffc_0000 => Self::Log,
            0x7fff_0000 => Self::Allow,
            _ => Self::KillProcess,
        }
    }

    /// How severe it is without its data: the kernel takes the most severe action of all filters.
    const fn severity(self) -> u8 {
        match self {
            Self::KillProcess => 0,
            Self::KillThread => 1,
            Self::Trap(_) => 2,
            Self::Errno(_) => 3,
            Self::Notify => 4,
            Self::Trace(_) => 5,
            Self::Log => 6,
            Self::Allow => 7,
        }
    }

    /// What becomes of a call when a newer filter says `self` and an older one `older`.
    #[must_use]
    pub const fn with_older(self, older: Self) -> Self {
        if older.severity() < self.severity() { older } else { self }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::KillProcess => f.write_str("kill process"),
            Self::KillThread => f.write_str("kill thread"),
            Self::Trap(0) => f.write_str("trap"),
            Self::Trap(data) => write!(f, "trap {data}"),
            Self::Errno(0) => f.write_str("pretend success"),
            Self::Errno(number) => match errno::name(number) {
                Some(name) => write!(f, "fail with {name}"),
                None => write!(f, "fail with error {number}"),
            },
            Self::Notify => f.write_str("ask supervisor"),
            Self::Trace(0) => f.write_str("ask tracer"),
            Self::Trace(data) => write!(f, "ask tracer ({data})"),
            Self::Log => f.write_str("allow and log"),
            Self::Allow => f.write_str("allow"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_become_actions() {
        assert_eq!(Action::of(0x7fff_0000), Action::Allow);
        assert_eq!(Action::of(0x0005_0001).to_string(), "fail with EPERM");
        assert_eq!(Action::of(0x0005_ffff), Action::Errno(4095));
        assert_eq!(Action::of(0x1234_5678), Action::KillProcess);
    }

    #[test]
    fn the_most_severe_action_wins_and_the_newest_among_equals() {
        assert_eq!(Action::Allow.with_older(Action::Errno(1)), Action::Errno(1));
        assert_eq!(Action::Errno(2).with_older(Action::Errno(1)), Action::Errno(2));
        assert_eq!(Action::KillThread.with_older(Action::KillProcess), Action::KillProcess);
    }
}
