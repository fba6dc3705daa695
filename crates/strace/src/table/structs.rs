//! Structures that arguments point to: their sizes on x86-64, and who writes them.

use crate::decode::files;
use crate::decode::ipc;
use crate::decode::kernel;
use crate::decode::machine;
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
    ("open_how", 24, machine::open_how),
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
    ("io_uring_asked", 28, kernel::io_uring_asked),
    ("io_uring_params", 120, kernel::io_uring_params),
    ("u64", 8, kernel::bracketed_u64),
    ("ifreq", 40, kernel::ifreq_name),
    ("ifreq_index", 40, kernel::ifreq_index),
    ("ifreq_mtu", 40, kernel::ifreq_mtu),
    ("ifreq_queue", 40, kernel::ifreq_queue),
    ("ifreq_flags", 40, kernel::ifreq_flags),
    ("ifreq_address", 40, kernel::ifreq_address),
    ("loop_info", 56, kernel::loop_info),
    ("semid_set", 104, ipc::semid_set),
    ("semid", 104, ipc::semid),
    ("seminfo", 40, ipc::seminfo),
    ("shmid_set", 112, ipc::shmid_set),
    ("shmid", 112, ipc::shmid),
    ("shminfo", 72, ipc::shminfo),
    ("shm_info", 48, ipc::shm_info),
    ("msqid_set", 120, ipc::msqid_set),
    ("msqid", 120, ipc::msqid),
    ("msginfo", 32, ipc::msginfo),
    ("mq_attr", 64, ipc::mq_attr),
    ("mq_attr_open", 64, ipc::mq_attr_open),
    ("sigevent", 64, ipc::sigevent),
    ("key_dh", 12, ipc::key_dh),
    ("key_pkey", 12, ipc::key_pkey),
    ("key_verify", 12, ipc::key_verify),
    ("timex", 208, machine::timex),
    ("utimbuf", 16, machine::utimbuf),
    ("seconds", 8, machine::seconds),
    ("quota_format", 4, machine::quota_format),
    ("quota_info", 24, machine::quota_info),
    ("quota", 72, machine::quota),
    ("quota_next", 72, machine::quota_next),
    ("xfs_quota", 112, machine::xfs_quota),
    ("xfs_flags", 4, machine::xfs_flags),
    ("xfs_types", 4, machine::xfs_types),
    ("mount_attr", 32, machine::mount_attr),
    ("landlock_rules", 8, machine::landlock_rules),
    ("landlock_path", 12, machine::landlock_path),
    ("user_desc", 16, machine::user_desc),
    ("user_desc_asked", 4, machine::user_desc_asked),
    ("sysctl", 80, machine::sysctl),
    ("sched_attr", 56, machine::sched_attr),
    ("sock_fprog", 16, machine::sock_fprog),
    ("seccomp_ret", 4, machine::seccomp_ret),
    ("seccomp_sizes", 6, machine::seccomp_sizes),
    ("kexec_segment", 32, machine::kexec_segment),
    ("kcmp_slot", 12, machine::kcmp_slot),
    ("futex_waitv", 24, machine::futex_waitv),
    ("iocb", 64, machine::iocb),
    ("io_event", 32, machine::io_event),
    ("policy", 4, machine::policy),
    ("signal", 4, machine::signal),
    ("pr_tsc", 4, machine::time_stamps),
    ("pointer", 8, machine::pointer),
    ("page_status", 4, machine::page_status),
    ("ulong", 8, kernel::bracketed_u64),
];
