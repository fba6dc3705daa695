//! Errors of live capture, in words for the person at the terminal.

use std::fmt;
use std::io;

use skep_isa::near::distance;

/// Why a live capture could not be opened or could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaptureError {
    /// The process may not open packet sockets.
    NotPermitted,
    /// There is no such interface.
    NoSuchInterface {
        /// The name or number that was asked for.
        name: String,
        /// Interfaces with a similar name, nearest first; all of them if none is similar.
        candidates: Vec<String>,
    },
    /// The interface is down, or was taken down during the capture.
    InterfaceDown {
        /// Its name.
        name: String,
    },
    /// The interface was removed during the capture.
    InterfaceGone {
        /// Its name.
        name: String,
    },
    /// The kernel has no memory for the ring.
    RingMemory {
        /// Bytes asked for last.
        bytes: usize,
    },
    /// The kernel has no packet sockets, or no rings of version 3.
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
    /// An option has a value that makes no sense.
    Option {
        /// What was given, what was expected and how to put it right.
        problem: String,
    },
    /// The ring holds a record that cannot be.
    DamagedRing,
    /// Anything else.
    System {
        /// What was attempted.
        action: &'static str,
        /// The kernel's reason in words.
        reason: String,
    },
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str(
                "no permission to capture packets; it needs CAP_NET_RAW: run it with sudo, or once `sudo setcap \
                 cap_net_raw+ep PATH-OF-THE-PROGRAM`",
            ),
            Self::NoSuchInterface { name, candidates } => {
                write!(f, "there is no interface `{name}`")?;
                match candidates.as_slice() {
                    [] => f.write_str("; there are no others either"),
                    [one] => write!(f, "; did you mean `{one}`?"),
                    several => write!(f, "; there are {}", several.join(", ")),
                }
            }
            Self::InterfaceDown { name } => {
                write!(f, "interface `{name}` is down; bring it up with `ip link set dev {name} up`")
            }
            Self::InterfaceGone { name } => write!(f, "interface `{name}` was removed during the capture"),
            Self::RingMemory { bytes } => {
                write!(f, "the kernel has no memory for a capture buffer of {bytes} bytes; ask for a smaller one")
            }
            Self::Unsupported { what } => write!(f, "this kernel has no {what}; live capture needs Linux 3.2 with it"),
            Self::Option { problem } => f.write_str(problem),
            Self::DamagedRing => {
                f.write_str("the capture buffer shared with the kernel is damaged; start the capture again")
            }
            Self::System { action, reason } => write!(f, "cannot {action}: {reason}"),
        }
    }
}

impl std::error::Error for CaptureError {}

impl CaptureError {
    /// The failure of the system call that was just made, without a story of its own.
    pub(super) fn last(action: &'static str) -> Self {
        Self::system(action, last_errno())
    }

    /// A failure with an error number.
    pub(super) fn system(action: &'static str, errno: i32) -> Self {
        match errno {
            libc::EPERM | libc::EACCES => Self::NotPermitted,
            errno => Self::System { action, reason: describe(errno) },
        }
    }
}

/// The error number of the system call that has just failed.
pub(super) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The text of an error number without the number.
fn describe(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

/// Names similar to `wanted`, nearest first, at most three; all names, up to ten, if none is similar.
pub(super) fn nearest(wanted: &str, names: &[String]) -> Vec<String> {
    let mut rated: Vec<(usize, &String)> = names.iter().map(|name| (distance(wanted, name), name)).collect();
    rated.sort();
    // Half of the name may be wrong before a proposal looks silly.
    let limit = (wanted.chars().count() / 2).clamp(1, 3);
    let similar: Vec<String> =
        rated.iter().filter(|(distance, _)| *distance <= limit).take(3).map(|(_, name)| (*name).clone()).collect();
    if similar.is_empty() { names.iter().take(10).cloned().collect() } else { similar }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals() {
        let names: Vec<String> = ["any", "eth0", "eth1", "lo"].map(str::to_owned).to_vec();
        assert_eq!(nearest("eth2", &names), ["eth0", "eth1"]);
        assert_eq!(nearest("eht0", &names), ["eth0", "eth1"]);
        assert_eq!(nearest("wlp3s0", &names), names);
        let error = CaptureError::NoSuchInterface { name: "ethO".to_owned(), candidates: vec!["eth0".to_owned()] };
        assert_eq!(error.to_string(), "there is no interface `ethO`; did you mean `eth0`?");
    }
}
