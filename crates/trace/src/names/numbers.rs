//! Texts of numbers: errors, signals, system calls.

use std::collections::HashMap;

use skep_isa::{errno, syscalls::Arch};

// TABLE
/// What `strsignal(3)` says about the signals from 1 to 31 (numbers of x86, Arm and RISC-V, `asm-generic/signal.h`), in
/// the words that the reference prints.
#[rustfmt::skip]
const SIGNALS: [&str; 31] = [
    "Hangup", "Interrupt", "Quit", "Illegal instruction", "Trace/breakpoint trap", "Aborted", "Bus error",
    "Floating point exception", "Killed", "User defined signal 1", "Segmentation fault", "User defined signal 2",
    "Broken pipe", "Alarm clock", "Terminated", "Stack fault", "Child exited", "Continued", "Stopped (signal)",
    "Stopped", "Stopped (tty input)", "Stopped (tty output)", "Urgent I/O condition", "CPU time limit exceeded",
    "File size limit exceeded", "Virtual timer expired", "Profiling timer expired", "Window changed", "I/O possible",
    "Power failure", "Bad system call",
];

/// The first signal that programs may use for real time (`SIGRTMIN` of the C library) and the last.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// What a signal is called.
pub(crate) fn signal_text(number: i32) -> std::borrow::Cow<'static, str> {
    let known = usize::try_from(number).ok().and_then(|number| SIGNALS.get(number.checked_sub(1)?));
    match known {
        Some(&text) => text.into(),
        None if REAL_TIME.contains(&number) => format!("Real-time signal {}", number - REAL_TIME.start()).into(),
        None if (32..34).contains(&number) => format!("Unknown signal {number}").into(),
        None => "N/A".into(),
    }
}

/// The name of a system call of this architecture.
pub(crate) fn syscall_name(number: u64) -> &'static str {
    let number = u32::try_from(number).ok();
    number.zip(Arch::native()).and_then(|(number, arch)| arch.syscall(number)).unwrap_or("Unknown syscall")
}

/// Texts of error numbers, from the C library.
#[derive(Debug, Default)]
pub(super) struct Errors {
    texts: HashMap<i32, String>,
}

impl Errors {
    /// The text without the number.
    pub(super) fn text(&mut self, number: i32) -> &str {
        self.texts.entry(number).or_insert_with(|| error_text(number))
    }
}

/// The text of an error number; `Success` for 0.
pub(crate) fn error_text(number: i32) -> String {
    if number != 0 && u16::try_from(number).ok().and_then(errno::name).is_none() {
        return "Unknown error".to_owned();
    }
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.rsplit_once(" (os error").map_or(text.as_str(), |(text, _)| text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The expected texts are what bpftrace 0.27.1 printed for the same numbers.
    #[test]
    fn as_the_reference_says() {
        for (number, text) in [(1, "Hangup"), (9, "Killed"), (31, "Bad system call"), (32, "Unknown signal 32")] {
            assert_eq!(signal_text(number), text);
        }
        assert_eq!(signal_text(34), "Real-time signal 0");
        assert_eq!(signal_text(64), "Real-time signal 30");
        for number in [0, -1, 65, 99, i32::MIN] {
            assert_eq!(signal_text(number), "N/A");
        }
        let mut errors = Errors::default();
        for (number, text) in [(0, "Success"), (2, "No such file or directory"), (9999, "Unknown error")] {
            assert_eq!(errors.text(number), text);
        }
        assert_eq!(errors.text(i32::MIN), "Unknown error");
        assert_eq!((syscall_name(600), syscall_name(u64::MAX)), ("Unknown syscall", "Unknown syscall"));
        if Arch::native() == Some(Arch::X86_64) {
            assert_eq!(syscall_name(1), "write");
        }
    }
}
