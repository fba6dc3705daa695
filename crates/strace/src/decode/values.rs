//! Structures with times, limits, signals and counts.

use std::fmt::Write as _;

use super::text::{Bytes, Style, address, hex, quote};
use crate::table::{sets, signals};

/// `RLIM_INFINITY`
const UNLIMITED: u64 = u64::MAX;
/// `UTIME_NOW` and `UTIME_OMIT`
const NOW: i64 = (1 << 30) - 1;
const OMIT: i64 = (1 << 30) - 2;

/// Writes flags of a set.
pub fn flags(set: &str, value: u64, out: &mut String) {
    match sets::find(set) {
        Some(set) => set.flags(value, out),
        None => hex(value, out),
    }
}

/// Writes a value of a set.
pub fn value(set: &str, value: u64, out: &mut String) {
    match sets::find(set) {
        Some(set) => set.value(value, out),
        None => hex(value, out),
    }
}

/// `{tv_sec=1, tv_nsec=0}`
pub fn timespec(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{tv_sec={}, tv_nsec={}}}", bytes.i64(0), bytes.i64(8));
}

/// `{tv_sec=1, tv_usec=0}`
pub fn timeval(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{tv_sec={}, tv_usec={}}}", bytes.i64(0), bytes.i64(8));
}

/// A moment behind seconds since 1970, as a comment; the fraction of a second has so many digits.
pub fn comment(seconds: i64, fraction: i64, digits: usize, out: &mut String) {
    let Some((date, time)) = date(seconds) else { return };
    let _ = write!(out, " /* {date}T{time}");
    if fraction != 0 {
        let _ = write!(out, ".{fraction:0digits$}");
    }
    out.push_str("+0000 */");
}

/// Day and time in Coordinated Universal Time, `None` for 0 and what is out of the range of four digits.
pub fn date(seconds: i64) -> Option<(String, String)> {
    const DAY: i64 = 86_400;
    if seconds == 0 || !(-62_135_596_800..253_402_300_800).contains(&seconds) {
        return None;
    }
    let (days, rest) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    // Years begin in March here, so the day that is sometimes missing is the last one; 400 years have 146,097 days.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    Some((format!("{year:04}-{month:02}-{day:02}"), format!("{hour:02}:{minute:02}:{second:02}")))
}

/// Two `timeval`.
pub fn timevals(bytes: Bytes<'_>, _: Style, out: &mut String) {
    for (at, before) in [(0, "["), (16, ", ")] {
        out.push_str(before);
        let _ = write!(out, "{{tv_sec={}, tv_usec={}}}", bytes.i64(at), bytes.i64(at + 8));
        comment(bytes.i64(at), bytes.i64(at + 8), 6, out);
    }
    out.push(']');
}

/// Two `timespec` for `utimensat`.
pub fn utimes(bytes: Bytes<'_>, _: Style, out: &mut String) {
    for (at, before) in [(0, "["), (16, ", ")] {
        out.push_str(before);
        match bytes.i64(at + 8) {
            NOW => out.push_str("UTIME_NOW"),
            OMIT => out.push_str("UTIME_OMIT"),
            nanoseconds => {
                let _ = write!(out, "{{tv_sec={}, tv_nsec={nanoseconds}}}", bytes.i64(at));
                comment(bytes.i64(at), nanoseconds, 9, out);
            }
        }
    }
    out.push(']');
}

/// `{tz_minuteswest=0, tz_dsttime=0}`
pub fn timezone(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{tz_minuteswest={}, tz_dsttime={}}}", bytes.i32(0), bytes.i32(4));
}

fn pair(bytes: Bytes<'_>, style: Style, out: &mut String, write: fn(Bytes<'_>, Style, &mut String)) {
    out.push_str("{it_interval=");
    write(bytes, style, out);
    out.push_str(", it_value=");
    write(bytes.from(16), style, out);
    out.push('}');
}

/// `struct itimerval`
pub fn itimerval(bytes: Bytes<'_>, style: Style, out: &mut String) {
    pair(bytes, style, out, timeval);
}

/// `struct itimerspec`
pub fn itimerspec(bytes: Bytes<'_>, style: Style, out: &mut String) {
    pair(bytes, style, out, timespec);
}

/// The kernel's `struct sigaction`: handler, flags, restorer, mask.
pub fn sigaction(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const RESTORER: u64 = 0x0400_0000;
    out.push_str("{sa_handler=");
    match bytes.u64(0) {
        0 => out.push_str("SIG_DFL"),
        1 => out.push_str("SIG_IGN"),
        u64::MAX => out.push_str("SIG_ERR"),
        handler => address(handler, out),
    }
    out.push_str(", sa_mask=");
    signals::set(bytes.u64(24), out);
    out.push_str(", sa_flags=");
    flags("sa", bytes.u64(8) & 0xffff_ffff, out);
    if bytes.u64(8) & RESTORER != 0 {
        out.push_str(", sa_restorer=");
        address(bytes.u64(16), out);
    }
    out.push('}');
}

/// `stack_t`
pub fn stack(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{ss_sp=");
    address(bytes.u64(0), out);
    out.push_str(", ss_flags=");
    flags("sigaltstack", bytes.u32(8).into(), out);
    let _ = write!(out, ", ss_size={}}}", bytes.u64(16));
}

/// `siginfo_t`
pub fn siginfo(bytes: Bytes<'_>, _: Style, out: &mut String) {
    signals::info(bytes, out);
}

/// `struct rlimit64`
pub fn rlimit(bytes: Bytes<'_>, _: Style, out: &mut String) {
    for (at, before) in [(0, "{rlim_cur="), (8, ", rlim_max=")] {
        out.push_str(before);
        let value = bytes.u64(at);
        let _ = match value {
            UNLIMITED => write!(out, "RLIM64_INFINITY"),
            value if value > 1024 && value % 1024 == 0 => write!(out, "{}*1024", value / 1024),
            value => write!(out, "{value}"),
        };
    }
    out.push('}');
}

/// `struct rusage`
pub fn rusage(bytes: Bytes<'_>, style: Style, out: &mut String) {
    out.push_str("{ru_utime=");
    timeval(bytes, style, out);
    out.push_str(", ru_stime=");
    timeval(bytes.from(16), style, out);
    if style.full {
        const NAMES: [&str; 14] = [
            "maxrss", "ixrss", "idrss", "isrss", "minflt", "majflt", "nswap", "inblock", "oublock", "msgsnd", "msgrcv",
            "nsignals", "nvcsw", "nivcsw",
        ];
        for (name, at) in NAMES.into_iter().zip((32..).step_by(8)) {
            let _ = write!(out, ", ru_{name}={}", bytes.i64(at));
        }
        out.push('}');
    } else {
        out.push_str(", ...}");
    }
}

/// `struct new_utsname`
pub fn utsname(bytes: Bytes<'_>, style: Style, out: &mut String) {
    let names: &[&str] = &["sysname", "nodename", "release", "version", "machine", "domainname"];
    let shown = if style.full { names } else { &names[..2] };
    for (number, name) in shown.iter().enumerate() {
        let _ = write!(out, "{}{name}=", if number == 0 { "{" } else { ", " });
        quote(bytes.field(number * 65, 65), false, style, out);
    }
    out.push_str(if style.full { "}" } else { ", ...}" });
}

/// `struct sysinfo`
pub fn sysinfo(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{{uptime={}, loads=[{}, {}, {}]", bytes.i64(0), bytes.u64(8), bytes.u64(16), bytes.u64(24));
    let names = ["totalram", "freeram", "sharedram", "bufferram", "totalswap", "freeswap"];
    for (name, at) in names.into_iter().zip((32..).step_by(8)) {
        let _ = write!(out, ", {name}={}", bytes.u64(at));
    }
    let _ = write!(
        out,
        ", procs={}, totalhigh={}, freehigh={}, mem_unit={}}}",
        bytes.u16(80),
        bytes.u64(88),
        bytes.u64(96),
        bytes.u32(104)
    );
}

/// `struct tms`
pub fn tms(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(
        out,
        "{{tms_utime={}, tms_stime={}, tms_cutime={}, tms_cstime={}}}",
        bytes.i64(0),
        bytes.i64(8),
        bytes.i64(16),
        bytes.i64(24)
    );
}

/// `struct __user_cap_header_struct`
pub fn capability_head(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let version = match bytes.u32(0) {
        0x1998_0330 => "_LINUX_CAPABILITY_VERSION_1",
        CAPABILITIES_2 => "_LINUX_CAPABILITY_VERSION_2",
        0x2008_0522 => "_LINUX_CAPABILITY_VERSION_3",
        other => {
            out.push_str("{version=");
            hex(other.into(), out);
            let _ = write!(out, " /* _LINUX_CAPABILITY_VERSION_??? */, pid={}}}", bytes.i32(4));
            return;
        }
    };
    let _ = write!(out, "{{version={version}, pid={}}}", bytes.i32(4));
}

// TABLE: `linux/capability.h`
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The name of a capability, without `CAP_`.
pub fn capability(number: u64) -> Option<&'static str> {
    CAPABILITIES.get(usize::try_from(number).ok()?).copied()
}

/// Two `struct __user_cap_data_struct`, of which the second has the upper halves.
pub fn capabilities(bytes: Bytes<'_>, _: Style, out: &mut String) {
    sets_of_capabilities(CAPABILITIES_2, bytes, out);
}

/// The second version of sets of capabilities, of twice 32.
const CAPABILITIES_2: u32 = 0x2007_1026;

/// Sets of capabilities in a version: only the second and the third have more than 32.
pub fn sets_of_capabilities(version: u32, bytes: Bytes<'_>, out: &mut String) {
    let wide = matches!(version, CAPABILITIES_2 | 0x2008_0522);
    for (at, before) in [(0, "{effective="), (4, ", permitted="), (8, ", inheritable=")] {
        out.push_str(before);
        let upper = if wide { bytes.u32(at + 12) } else { 0 };
        let mask = u64::from(bytes.u32(at)) | u64::from(upper) << 32;
        let mut separator = "";
        for (number, name) in CAPABILITIES.iter().enumerate() {
            if mask & 1 << number != 0 {
                let _ = write!(out, "{separator}1<<CAP_{name}");
                separator = "|";
            }
        }
        match mask >> CAPABILITIES.len() {
            0 if mask == 0 => out.push('0'),
            0 => {}
            rest => drop(write!(out, "{separator}{:#x}", rest << CAPABILITIES.len())),
        }
    }
    out.push('}');
}

/// `[5]`
pub fn bracketed_int(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "[{}]", bytes.i32(0));
}

/// `[5]`
pub fn bracketed_uint(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "[{}]", bytes.u32(0));
}

/// `[5]`
pub fn bracketed_long(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "[{}]", bytes.i64(0));
}

/// `[0x5]`
pub fn bracketed_hex(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push('[');
    hex(bytes.u64(0), out);
    out.push(']');
}

/// `5`
pub fn plain_int(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(out, "{}", bytes.i32(0));
}

/// `struct sembuf`
pub fn sembuf(bytes: Bytes<'_>, _: Style, out: &mut String) {
    const NAMES: [(u16, &str); 2] = [(0o10000, "SEM_UNDO"), (0o4000, "IPC_NOWAIT")];
    let (op, bits) = (bytes.u16(2).cast_signed(), bytes.u16(4));
    let names: Vec<&str> = NAMES.iter().filter(|row| bits & row.0 != 0).map(|row| row.1).collect();
    let names = if names.is_empty() { format!("{bits}") } else { names.join("|") };
    let _ = write!(out, "{{sem_num={}, sem_op={op}, sem_flg={names}}}", bytes.u16(0));
}

/// `struct epoll_event`, which has no gap on x86-64.
pub fn epoll_event(bytes: Bytes<'_>, _: Style, out: &mut String) {
    out.push_str("{events=");
    flags("epoll", bytes.u32(0).into(), out);
    let _ = write!(out, ", data={{u32={}, u64={}}}}}", bytes.u32(4), bytes.u64(4));
}

/// `struct winsize`
pub fn winsize(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(
        out,
        "{{ws_row={}, ws_col={}, ws_xpixel={}, ws_ypixel={}}}",
        bytes.u16(0),
        bytes.u16(2),
        bytes.u16(4),
        bytes.u16(6)
    );
}

/// The kernel's `struct termios`.
pub fn termios(bytes: Bytes<'_>, _: Style, out: &mut String) {
    let _ = write!(
        out,
        "{{c_iflags={:#x}, c_oflags={:#x}, c_cflags={:#x}, c_lflags={:#x}, ...}}",
        bytes.u32(0),
        bytes.u32(4),
        bytes.u32(8),
        bytes.u32(12)
    );
}

/// What `wait(2)` says about the end of a process.
pub fn wait_status(status: u32, out: &mut String) {
    let (signal, core) = (status & 0x7f, status & 0x80 != 0);
    let mut named = |before: &str, number: u32| {
        out.push_str(before);
        signals::name(number.into(), out);
        out.push('}');
    };
    match status {
        0xffff => out.push_str("{WIFCONTINUED(s)}"),
        _ if status & 0xff == 0x7f => named("{WIFSTOPPED(s) && WSTOPSIG(s) == ", status >> 8 & 0xff),
        _ if signal != 0 && core => {
            named("{WIFSIGNALED(s) && WTERMSIG(s) == ", signal);
            out.pop();
            out.push_str(" && WCOREDUMP(s)}");
        }
        _ if signal != 0 => named("{WIFSIGNALED(s) && WTERMSIG(s) == ", signal),
        _ => drop(write!(out, "{{WIFEXITED(s) && WEXITSTATUS(s) == {}}}", status >> 8 & 0xff)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let text = |seconds| date(seconds).map(|(day, time)| format!("{day} {time}"));
        assert_eq!(text(1_795_805_310).as_deref(), Some("2026-11-27 18:48:30"));
        assert_eq!(text(951_782_400).as_deref(), Some("2000-02-29 00:00:00"));
        assert_eq!(text(-1).as_deref(), Some("1969-12-31 23:59:59"));
        assert_eq!(text(i64::MAX), None);
    }

    #[test]
    fn ends_of_processes() {
        let text = |status| {
            let mut out = String::new();
            wait_status(status, &mut out);
            out
        };
        assert_eq!(text(0x300), "{WIFEXITED(s) && WEXITSTATUS(s) == 3}");
        assert_eq!(text(9), "{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}");
        assert_eq!(text(0x8b), "{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}");
        assert_eq!(text(0x137f), "{WIFSTOPPED(s) && WSTOPSIG(s) == SIGSTOP}");
    }
}
