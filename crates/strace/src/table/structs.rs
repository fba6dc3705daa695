//! Structures that arguments point to: their sizes on x86-64, and who writes them.

use crate::decode::files;
use crate::decode::kernel;
use crate::decode::text::{Bytes, Style};
use crate::decode::values;

/// A structure.
#[derive(Debug)]
pub struct Struct {
    /// By which rows of calls refer to it.
    pub name: &'static str,
    /// Bytes.
    pub size: u16,
    /// Writes it.
    pub write: fn(Bytes<'_>, Style, &mut String),
}

/// The structure with a name.
pub fn find(name: &str) -> Option<&'static Struct> {
    STRUCTS.iter().find(|one| one.name == name)
}

macro_rules! rows {
    ($(($name:literal, $size:literal, $write:path),)+) => {
        &[$(Struct { name: $name, size: $size, write: $write },)+]
    };
}

// TABLE
static STRUCTS: &[Struct] = rows![
    ("stat", 144, files::stat),
    ("statx", 256, files::statx),
    ("statfs", 120, files::statfs),
    ("open_how", 24, files::open_how),
    ("flock", 32, files::flock),
    ("timespec", 16, values::timespec),
    ("timeval", 16, values::timeval),
    ("timevals", 32, values::timevals),
    ("utimes", 32, values::utimes),
    ("timezone", 8, values::timezone),
    ("itimerval", 32, values::itimerval),
    ("itimerspec", 32, values::itimerspec),
    ("sigaction", 32, values::sigaction),
    ("stack", 24, values::stack),
    ("siginfo", 48, values::siginfo),
    ("rlimit", 16, values::rlimit),
    ("rusage", 144, values::rusage),
    ("utsname", 390, values::utsname),
    ("sysinfo", 112, values::sysinfo),
    ("tms", 32, values::tms),
    ("schedparam", 4, values::bracketed_int),
    ("caphead", 8, values::capability_head),
    ("capdata", 24, values::capabilities),
    ("pipe", 8, values::pipe),
    ("int", 4, values::bracketed_int),
    ("uint", 4, values::bracketed_uint),
    ("long", 8, values::bracketed_long),
    ("ulonghex", 8, values::bracketed_hex),
    ("gid", 4, values::plain_int),
    ("sembuf", 6, values::sembuf),
    ("epoll_event", 12, values::epoll_event),
    ("winsize", 8, values::winsize),
    ("termios", 36, values::termios),
    ("perf_event_attr", 64, kernel::perf_event_attr),
    ("io_uring_params", 120, kernel::io_uring_params),
    ("u64", 8, kernel::bracketed_u64),
    ("ifreq", 40, kernel::ifreq_name),
    ("ifreq_index", 40, kernel::ifreq_index),
    ("ifreq_mtu", 40, kernel::ifreq_mtu),
    ("ifreq_queue", 40, kernel::ifreq_queue),
    ("ifreq_flags", 40, kernel::ifreq_flags),
    ("ifreq_address", 40, kernel::ifreq_address),
    ("loop_info", 56, kernel::loop_info),
];
