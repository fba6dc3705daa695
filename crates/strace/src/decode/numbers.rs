//! Numbers that are several things in one: a type with flags, a command in parts, a value beside flags.

use std::fmt::Write as _;

use super::files;
use super::text::{address, hex, mode};
use super::values::{self, flags, value};
use crate::table::sets;

/// How a number is written.
#[derive(Debug)]
pub struct Number {
    /// By which rows of calls refer to it.
    name: &'static str,
    /// Writes it.
    pub write: fn(u64, &mut String),
}

/// The form with a name.
pub fn find(name: &str) -> Option<&'static Number> {
    NUMBERS.iter().find(|number| number.name == name)
}

macro_rules! rows {
    ($(($name:literal, $write:expr),)+) => {
        &[$(Number { name: $name, write: $write },)+]
    };
}

// TABLE
static NUMBERS: &[Number] = rows![
    ("map", map),
    ("memfd", memfd),
    ("shm", shm),
    ("ipc", ipc),
    ("semcmd", |raw, out| ipc_command("sem_cmd", raw, out)),
    ("shmcmd", |raw, out| ipc_command("shm_cmd", raw, out)),
    ("msgcmd", |raw, out| ipc_command("msg_cmd", raw, out)),
    ("statx", statx),
    ("swap", swap),
    ("fanotify", |raw, out| typed("fan_class", 0xc, "fan_init", raw & INT, out)),
    ("kexec", |raw, out| typed("kexec_arch", 0xffff_0000, "kexec", raw, out)),
    ("mpol", |raw, out| policy(raw & INT, out)),
    ("longmpol", policy),
    ("personality", personality),
    ("ioprio", io_priority),
    ("quotactl", quota_command),
    ("device", |raw, out| files::device(raw & INT, out)),
    ("syslog", |raw, out| remarked("syslog", raw, out)),
    ("loglevel", |raw, out| remarked("loglevel", raw, out)),
    ("pid_type", pid_type),
    ("key_request", key_request),
    ("errno", errno),
    ("capability", capability),
    ("ptracer", ptracer),
    ("pr_sve", vector_length),
    ("pr_tagged", tagged),
];

/// The bits of an `int`.
const INT: u64 = 0xffff_ffff;
/// Where the binary logarithm of the size of huge pages stands: six bits from here on.
const HUGE_SHIFT: u32 = 26;
const HUGE: u64 = 0x3f << HUGE_SHIFT;

/// Flags, with a remark if none has a name, behind a type in the bits of `mask`.
fn typed(kind: &str, mask: u64, set: &str, raw: u64, out: &mut String) {
    value(kind, raw & mask, out);
    if raw & !mask != 0 {
        out.push('|');
        flags(set, raw & !mask, out);
    }
}

/// Flags that have names and the rest, behind what is there.
fn more(set: &str, raw: u64, out: &mut String) {
    if let Some(set) = sets::find(set) {
        set.more_flags(raw, out);
    }
}

fn huge(name: &str, raw: u64, out: &mut String) {
    if raw & HUGE != 0 {
        // Writing to a string succeeds.
        let _ = write!(out, "|{}<<{name}_HUGE_SHIFT", (raw & HUGE) >> HUGE_SHIFT);
    }
}

/// `MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT`
fn map(raw: u64, out: &mut String) {
    const TYPE: u64 = 0xf;
    value("map_type", raw & TYPE, out);
    more("map", raw & INT & !TYPE & !HUGE, out);
    huge("MAP", raw, out);
}

/// `MFD_CLOEXEC|MFD_HUGETLB|21<<MFD_HUGE_SHIFT`
fn memfd(raw: u64, out: &mut String) {
    let (bits, at) = (raw & INT & !HUGE, out.len());
    if bits != 0 || raw & HUGE == 0 {
        flags("memfd", bits, out);
    }
    huge("MFD", raw, out);
    if bits == 0 && raw & HUGE != 0 {
        out.remove(at);
    }
}

/// Permissions behind flags: `IPC_CREAT|0600`.
fn permissions(set: &str, bits: u64, raw: u64, out: &mut String) {
    let at = out.len();
    more(set, bits, out);
    if raw & HUGE != 0 && set == "shm_flags" {
        huge("SHM", raw, out);
    }
    out.push('|');
    mode(raw & 0o777, out);
    out.remove(at);
}

fn ipc(raw: u64, out: &mut String) {
    permissions("ipc", raw & INT & !0o777, raw, out);
}

fn shm(raw: u64, out: &mut String) {
    permissions("shm_flags", raw & INT & !HUGE & !0o777, raw, out);
}

/// `IPC_STAT`, with `IPC_64|` in front if that is said.
fn ipc_command(set: &str, raw: u64, out: &mut String) {
    const IPC_64: u64 = 0x100;
    if raw & IPC_64 != 0 {
        out.push_str("IPC_64|");
    }
    value(set, raw & INT & !IPC_64, out);
}

/// `AT_STATX_SYNC_AS_STAT|AT_EMPTY_PATH`
fn statx(raw: u64, out: &mut String) {
    const SYNC: u64 = 0x6000;
    flags("statx_flags", raw & SYNC, out);
    more("at", raw & INT & !SYNC, out);
}

/// `SWAP_FLAG_PREFER|5`: the priority in the lowest bits.
fn swap(raw: u64, out: &mut String) {
    const PRIORITY: u64 = 0x7fff;
    let bits = raw & INT & !PRIORITY;
    if bits != 0 {
        flags("swap", bits, out);
        out.push('|');
    }
    let _ = write!(out, "{}", raw & PRIORITY);
}

/// `MPOL_BIND|MPOL_F_STATIC_NODES`
fn policy(raw: u64, out: &mut String) {
    let Some((modes, bits)) = sets::find("mpol").zip(sets::find("mpol_flags")) else { return hex(raw, out) };
    let all = bits.rows.iter().fold(0, |all, row| all | row.0);
    match modes.name_of(raw & !all) {
        Some(name) => {
            out.push_str(name);
            bits.more_flags(raw & all, out);
        }
        None => bits.flags(raw, out),
    }
}

/// `PER_LINUX|ADDR_NO_RANDOMIZE`; all bits ask for what is set.
pub fn personality(raw: u64, out: &mut String) {
    const TYPE: u64 = 0xff;
    let raw = raw & INT;
    if raw == INT {
        return hex(raw, out);
    }
    value("per", raw & TYPE, out);
    more("per_flags", raw & !TYPE, out);
}

/// `IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4)`
pub fn io_priority(raw: u64, out: &mut String) {
    const SHIFT: u32 = 13;
    let raw = raw & INT;
    out.push_str("IOPRIO_PRIO_VALUE(");
    value("ioprio_class", raw >> SHIFT, out);
    let _ = write!(out, ", {})", raw & ((1 << SHIFT) - 1));
}

/// `QCMD(Q_GETQUOTA, USRQUOTA)`
fn quota_command(raw: u64, out: &mut String) {
    out.push_str("QCMD(");
    value("quota", (raw & INT) >> 8, out);
    out.push_str(", ");
    value("quota_type", raw & 0xff, out);
    out.push(')');
}

/// A number and behind it what it means: `3 /* SYSLOG_ACTION_READ_ALL */`.
fn remarked(set: &str, raw: u64, out: &mut String) {
    let Some(set) = sets::find(set) else { return };
    let _ = write!(out, "{} /* {} */", raw as u32 as i32, set.name_of(raw & INT).unwrap_or(set.unknown));
}

/// `0x1 /* PIDTYPE_TGID */`
fn pid_type(raw: u64, out: &mut String) {
    let Some(set) = sets::find("pid_type") else { return };
    hex(raw & INT, out);
    let _ = write!(out, " /* {} */", set.name_of(raw & INT).unwrap_or(set.unknown));
}

/// Where a key that is asked for goes.
fn key_request(raw: u64, out: &mut String) {
    match sets::find("key_request").and_then(|set| set.name_of(raw & INT)) {
        Some(name) => out.push_str(name),
        None => remarked("key_request", raw, out),
    }
}

/// An error as an argument: `ESRCH`.
fn errno(raw: u64, out: &mut String) {
    match u16::try_from(raw & INT).ok().and_then(skep_isa::errno::name) {
        Some(name) => out.push_str(name),
        None => drop(write!(out, "{}", raw as u32)),
    }
}

/// `CAP_NET_RAW`
fn capability(raw: u64, out: &mut String) {
    match values::capability(raw) {
        Some(name) => drop(write!(out, "CAP_{name}")),
        None => drop(write!(out, "{raw:#x} /* CAP_??? */")),
    }
}

/// Who may trace: a process, or everybody.
fn ptracer(raw: u64, out: &mut String) {
    match raw as u32 as i32 {
        -1 => out.push_str("PR_SET_PTRACER_ANY"),
        process => drop(write!(out, "{process}")),
    }
}

/// Flags and a length in the lower half: `PR_SVE_VL_INHERIT|0x20`.
fn vector_length(raw: u64, out: &mut String) {
    const LENGTH: u64 = 0xffff;
    let bits = raw & INT & !LENGTH;
    let at = out.len();
    if bits != 0 {
        more("pr_sve", bits, out);
        out.push('|');
        out.remove(at);
    }
    hex(raw & LENGTH, out);
}

/// How tagged addresses are treated, the mode of checks, and the tags that are made.
fn tagged(raw: u64, out: &mut String) {
    const ENABLE: u64 = 1;
    const TAGS: u64 = 0xffff << 3;
    const CHECKS: [&str; 4] = ["NONE", "SYNC", "ASYNC", "MASK"];
    let not = if raw & ENABLE == 0 { "!" } else { "" };
    let _ = write!(out, "{not}PR_TAGGED_ADDR_ENABLE|PR_MTE_TCF_{}", CHECKS[(raw >> 1 & 3) as usize]);
    if raw & TAGS != 0 {
        let _ = write!(out, "|{:#x}<<PR_MTE_TAG_SHIFT", (raw & TAGS) >> 3);
    }
    let rest = raw & !TAGS & !7;
    if rest != 0 {
        out.push('|');
        address(rest, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let text = |name: &str, raw: u64| {
            let mut out = String::from("x");
            (find(name).unwrap_or_else(|| panic!("{name}")).write)(raw, &mut out);
            out.split_off(1)
        };
        // What strace 6.1 prints of the same numbers.
        for (name, raw, expected) in [
            ("map", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
            ("map", 0x40, "MAP_FILE|MAP_32BIT"),
            ("map", 0x40022 | 21 << 26, "MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT"),
            ("map", 7, "0x7 /* MAP_??? */"),
            ("memfd", 0, "0"),
            ("memfd", 21 << 26, "21<<MFD_HUGE_SHIFT"),
            ("memfd", u64::MAX, "MFD_CLOEXEC|MFD_ALLOW_SEALING|MFD_HUGETLB|0x3fffff8|63<<MFD_HUGE_SHIFT"),
            ("shm", 0, "000"),
            ("shm", 0o5600 | 21 << 26, "IPC_CREAT|SHM_HUGETLB|21<<SHM_HUGE_SHIFT|0600"),
            ("shm", 0xffff_0000, "0x3ff0000|63<<SHM_HUGE_SHIFT|000"),
            ("ipc", 0o1600, "IPC_CREAT|0600"),
            ("semcmd", 0x102, "IPC_64|IPC_STAT"),
            ("shmcmd", 4, "0x4 /* SHM_??? */"),
            ("statx", 0x1900, "AT_STATX_SYNC_AS_STAT|AT_SYMLINK_NOFOLLOW|AT_NO_AUTOMOUNT|AT_EMPTY_PATH"),
            ("statx", 0x6000, "AT_STATX_FORCE_SYNC|AT_STATX_DONT_SYNC"),
            ("swap", 5, "5"),
            ("swap", 0x8005, "SWAP_FLAG_PREFER|5"),
            ("fanotify", 3, "FAN_CLASS_NOTIF|FAN_CLOEXEC|FAN_NONBLOCK"),
            ("kexec", 0x3e_0001, "KEXEC_ARCH_X86_64|KEXEC_ON_CRASH"),
            ("mpol", 0x8002, "MPOL_BIND|MPOL_F_STATIC_NODES"),
            ("mpol", 0x8006, "MPOL_F_STATIC_NODES|0x6"),
            ("mpol", 6, "0x6 /* MPOL_??? */"),
            ("personality", 0x4_0000, "PER_LINUX|ADDR_NO_RANDOMIZE"),
            ("personality", u64::MAX, "0xffffffff"),
            ("ioprio", 0x4005, "IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 5)"),
            ("quotactl", 0x8000_0702, "QCMD(Q_GETQUOTA, PRJQUOTA)"),
            ("syslog", 3, "3 /* SYSLOG_ACTION_READ_ALL */"),
            ("syslog", u64::MAX, "-1 /* SYSLOG_ACTION_??? */"),
            ("pid_type", 0, "0 /* PIDTYPE_PID */"),
            ("key_request", u64::MAX - 2, "-3 /* KEY_REQKEY_DEFL_??? */"),
            ("key_request", u64::MAX, "KEY_REQKEY_DEFL_NO_CHANGE"),
            ("errno", 3, "ESRCH"),
            ("capability", 13, "CAP_NET_RAW"),
            ("ptracer", 5, "5"),
            ("pr_sve", 0x6_0010, "PR_SVE_SET_VL_ONEXEC|PR_SVE_VL_INHERIT|0x10"),
            ("pr_tagged", 3, "PR_TAGGED_ADDR_ENABLE|PR_MTE_TCF_SYNC"),
            ("device", 0x801, "makedev(0x8, 0x1)"),
        ] {
            assert_eq!(text(name, raw), expected, "{name} {raw:#x}");
        }
        for number in NUMBERS {
            for raw in [0, 1, u64::MAX, i64::MIN.cast_unsigned(), 0xffff_ffff, 0x8000_0000] {
                assert!(!text(number.name, raw).is_empty(), "{}", number.name);
            }
        }
    }
}
