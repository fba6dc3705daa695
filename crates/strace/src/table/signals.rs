//! Signals: names, sets, and what comes with them (`asm/signal.h`, `asm-generic/siginfo.h`).

use std::fmt::Write as _;

use crate::decode::text::{Bytes, address};

// TABLE
const NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH",
    "IO", "PWR", "SYS",
];

/// `SIGRTMIN` of the kernel.
const FIRST_REAL_TIME: u64 = 32;
/// `_NSIG`
const COUNT: u64 = 64;

/// Writes a signal: `SIGINT`, `SIGRT_3`, or the number.
pub fn name(number: u64, out: &mut String) {
    match number {
        1..=31 => drop(write!(out, "SIG{}", NAMES[number as usize])),
        FIRST_REAL_TIME => out.push_str("SIGRTMIN"),
        33..=COUNT => drop(write!(out, "SIGRT_{}", number - FIRST_REAL_TIME)),
        _ => drop(write!(out, "{}", number as u32 as i32)),
    }
}

/// The number of a signal by its name, with or without `SIG`.
pub fn number(name: &str) -> Option<u64> {
    let name = name.strip_prefix("SIG").unwrap_or(name);
    let plain = NAMES.iter().position(|&known| known == name && !name.is_empty()).map(|number| number as u64);
    plain.or_else(|| match name {
        "RTMIN" => Some(FIRST_REAL_TIME),
        _ => name.strip_prefix("RT_")?.parse().ok().map(|number: u64| number.saturating_add(FIRST_REAL_TIME)),
    })
}

/// Writes a set: `[INT TERM]`, or what is not in it if that is shorter.
pub fn set(mask: u64, out: &mut String) {
    let inverted = mask.count_ones() >= 2 * 64 / 3;
    let shown = if inverted { !mask } else { mask };
    out.push_str(if inverted { "~[" } else { "[" });
    let mut separator = "";
    for number in 1..=COUNT {
        if shown & 1 << (number - 1) != 0 {
            out.push_str(separator);
            separator = " ";
            let at = out.len();
            name(number, out);
            out.replace_range(at..at + 3, "");
        }
    }
    out.push(']');
}

// TABLE: codes that say who has sent a signal.
const SENDERS: &[(i32, &str)] = &[
    (0, "SI_USER"),
    (0x80, "SI_KERNEL"),
    (-1, "SI_QUEUE"),
    (-2, "SI_TIMER"),
    (-3, "SI_MESGQ"),
    (-4, "SI_ASYNCIO"),
    (-5, "SI_SIGIO"),
    (-6, "SI_TKILL"),
    (-60, "SI_ASYNCNL"),
];

// TABLE: codes of single signals.
const CODES: &[(u64, i32, &str)] = &[
    (17, 1, "CLD_EXITED"),
    (17, 2, "CLD_KILLED"),
    (17, 3, "CLD_DUMPED"),
    (17, 4, "CLD_TRAPPED"),
    (17, 5, "CLD_STOPPED"),
    (17, 6, "CLD_CONTINUED"),
    (11, 1, "SEGV_MAPERR"),
    (11, 2, "SEGV_ACCERR"),
    (11, 3, "SEGV_BNDERR"),
    (11, 4, "SEGV_PKUERR"),
    (8, 1, "FPE_INTDIV"),
    (8, 2, "FPE_INTOVF"),
    (8, 3, "FPE_FLTDIV"),
    (7, 1, "BUS_ADRALN"),
    (7, 2, "BUS_ADRERR"),
    (7, 3, "BUS_OBJERR"),
    (4, 1, "ILL_ILLOPC"),
    (4, 2, "ILL_ILLOPN"),
    (5, 1, "TRAP_BRKPT"),
    (5, 2, "TRAP_TRACE"),
    (31, 1, "SYS_SECCOMP"),
];

/// Writes a `siginfo_t`.
pub fn info(bytes: Bytes<'_>, out: &mut String) {
    let (signal, errno, code) = (u64::from(bytes.u32(0)), bytes.u32(4), bytes.i32(8));
    out.push_str("{si_signo=");
    name(signal, out);
    let sender = SENDERS.iter().find(|row| row.0 == code).map(|row| row.1);
    let special = CODES.iter().find(|row| row.0 == signal && row.1 == code).map(|row| row.2);
    match sender.or(special) {
        Some(name) => drop(write!(out, ", si_code={name}")),
        None => drop(write!(out, ", si_code={code:#x}")),
    }
    if errno != 0 {
        let known = u16::try_from(errno).ok().and_then(skep_isa::errno::name);
        let _ = match known {
            Some(name) => write!(out, ", si_errno={name}"),
            None => write!(out, ", si_errno={errno}"),
        };
    }
    match (signal, code) {
        (17, 1..=6) => child(bytes, code, out),
        (4 | 5 | 7 | 8 | 11, 1..) => {
            out.push_str(", si_addr=");
            address(bytes.u64(16), out);
        }
        (31, 1) => {
            out.push_str(", si_call_addr=");
            address(bytes.u64(16), out);
            let _ = write!(out, ", si_syscall={}", bytes.i32(24));
        }
        (_, -2) => {
            let _ = write!(out, ", si_timerid={:#x}, si_overrun={}", bytes.u32(16), bytes.i32(20));
            value(bytes, 24, out);
        }
        (_, 0x80) => {}
        (_, -1) => {
            let _ = write!(out, ", si_pid={}, si_uid={}", bytes.i32(16), bytes.i32(20));
            value(bytes, 24, out);
        }
        _ => drop(write!(out, ", si_pid={}, si_uid={}", bytes.i32(16), bytes.i32(20))),
    }
    out.push('}');
}

fn value(bytes: Bytes<'_>, at: usize, out: &mut String) {
    if bytes.u64(at) != 0 {
        let _ = write!(out, ", si_int={}, si_ptr=", bytes.i32(at));
        address(bytes.u64(at), out);
    }
}

fn child(bytes: Bytes<'_>, code: i32, out: &mut String) {
    let _ = write!(out, ", si_pid={}, si_uid={}, si_status=", bytes.i32(16), bytes.i32(20));
    match code {
        1 => drop(write!(out, "{}", bytes.i32(24))),
        _ => name(u64::from(bytes.u32(24)), out),
    }
    let _ = write!(out, ", si_utime={}, si_stime={}", bytes.i64(32), bytes.i64(40));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sets() {
        let text = |mask| {
            let mut out = String::new();
            set(mask, &mut out);
            out
        };
        assert_eq!(text(0), "[]");
        assert_eq!(text(1 << 14 | 1 << 33), "[TERM RT_2]");
        assert_eq!(text(!(0b11 << 31)), "~[RTMIN RT_1]");
        assert_eq!(
            (number("SIGCHLD"), number("USR1"), number("RT_2"), number("")),
            (Some(17), Some(10), Some(34), None)
        );
    }
}
