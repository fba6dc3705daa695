//! Numbers of the kernel that have names: one table for each kind, which heads of tools name as the form of a column.
//! Those of signals and capabilities are the tables of `skep_strace`.

use skep_strace::decode::values::capability;
use skep_strace::table::signals;

/// A kind of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Capabilities (capabilities(7)).
    Capability,
    /// Signals (signal(7)); 0 has no name.
    Signal,
    /// States of TCP connections (`enum` of `net/tcp_states.h`).
    TcpState,
    /// Deferred interrupts (`enum` of `linux/interrupt.h`).
    Softirq,
}

// TABLE: from 0 on, in the order of the kernel; 0 is no state.
const TCP_STATES: &[&str] = &[
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

// TABLE: from 0 on, in the order of the kernel.
const SOFTIRQS: &[&str] =
    &["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];

impl Named {
    /// The name of a number; the number itself if it has none.
    pub fn name(self, number: i128) -> String {
        let listed =
            |names: &[&str]| usize::try_from(number).ok().and_then(|at| names.get(at).map(|&name| name.to_owned()));
        let name = match self {
            Self::Capability => u64::try_from(number).ok().and_then(capability).map(|name| format!("CAP_{name}")),
            Self::Signal if number == 0 => Some(String::new()),
            Self::Signal => u64::try_from(number).ok().map(|number| {
                let mut name = String::new();
                signals::name(number, &mut name);
                name
            }),
            Self::TcpState => listed(TCP_STATES),
            Self::Softirq => listed(SOFTIRQS),
        };
        name.unwrap_or_else(|| number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_numbers() {
        // TABLE: from the headers of the kernel.
        for (kind, number, expected) in [
            (Named::Capability, 0, "CAP_CHOWN"),
            (Named::Capability, 21, "CAP_SYS_ADMIN"),
            (Named::Capability, 40, "CAP_CHECKPOINT_RESTORE"),
            (Named::Capability, 41, "41"),
            (Named::Signal, 0, ""),
            (Named::Signal, 9, "SIGKILL"),
            (Named::Signal, 35, "SIGRT_3"),
            (Named::TcpState, 0, ""),
            (Named::TcpState, 1, "ESTABLISHED"),
            (Named::TcpState, 10, "LISTEN"),
            (Named::TcpState, -1, "-1"),
            (Named::Softirq, 3, "net_rx"),
            (Named::Softirq, 9, "rcu"),
        ] {
            assert_eq!(kind.name(number), expected);
        }
    }
}
