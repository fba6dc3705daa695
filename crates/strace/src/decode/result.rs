//! Results.

use std::fmt::Write as _;

use super::text::{Bytes, Style, hex};
use super::values::flags;
use super::{Names, Writer, files, numbers, rest};
use crate::record::{View, is_error};
use crate::table::kind::{Kind, Result};
use crate::table::{Call, sets, signals, structs};

// TABLE: results that are no errors for the program: the kernel begins the call anew (`linux/errno.h`).
const RESTARTS: &[(i64, &str, &str)] = &[
    (-512, "ERESTARTSYS", "To be restarted if SA_RESTART is set"),
    (-513, "ERESTARTNOINTR", "To be restarted"),
    (-514, "ERESTARTNOHAND", "To be restarted if no handler"),
    (-516, "ERESTART_RESTARTBLOCK", "Interrupted by signal"),
];

/// What an error number means, as the C library says it.
pub fn error_text(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.rsplit_once(" (os error").map_or(text.clone(), |(front, _)| front.to_owned())
}

/// The result of a call behind `= `.
pub fn result(call: Option<&Call>, view: &View<'_>, style: Style, names: &mut dyn Names) -> String {
    let mut out = String::new();
    let Some(exit) = view.exit() else { return "?".to_owned() };
    if let Some((_, name, text)) = RESTARTS.iter().find(|row| row.0 == exit.result) {
        return format!("? {name} ({text})");
    }
    if is_error(exit.result) {
        let number = exit.result.unsigned_abs() as u16;
        let name = skep_isa::errno::name(number).map_or_else(|| format!("{number}"), str::to_owned);
        return format!("-1 {name} ({})", error_text(number.into()));
    }
    let value = exit.result;
    match call.map_or(Result::Long, |call| call.result) {
        Result::Int => drop(write!(out, "{}", value as i32)),
        Result::Uint => drop(write!(out, "{}", value as u32)),
        Result::Hex => hex(value.cast_unsigned(), &mut out),
        Result::Mode => super::text::mode(value.cast_unsigned(), &mut out),
        Result::Fd => {
            let mut writer = Writer { view, style, names, out };
            writer.descriptor(value as i32);
            out = writer.out;
        }
        Result::Fcntl => fcntl(view, value, style, names, &mut out),
        Result::Poll => {
            let _ = write!(out, "{value}");
            poll(view, style, &mut out);
        }
        Result::Sched => {
            let name = sets::find("sched").and_then(|set| set.name_of(value.cast_unsigned()));
            let _ = write!(out, "{value}{}", name.map_or(String::new(), |name| format!(" ({name})")));
        }
        Result::Personality => {
            hex(value.cast_unsigned(), &mut out);
            out.push_str(" (");
            numbers::personality(value.cast_unsigned(), &mut out);
            out.push(')');
        }
        Result::Ldt => {
            let _ = write!(out, "{value}");
            let number = (value as i32).checked_neg().and_then(|number| u16::try_from(number).ok());
            if let Some((number, name)) = number.and_then(|number| Some((number, skep_isa::errno::name(number)?))) {
                let _ = write!(out, " {name} ({})", error_text(number.into()));
            }
        }
        Result::Never => out.push('?'),
        Result::Long => {
            let _ = write!(out, "{value}");
            more(call, view, value, style, &mut out);
        }
    }
    out
}

fn fcntl(view: &View<'_>, value: i64, style: Style, names: &mut dyn Names, out: &mut String) {
    let bits = value.cast_unsigned();
    match view.arg(1) & 0xffff_ffff {
        0 | 1030 => {
            let mut writer = Writer { view, style, names, out: std::mem::take(out) };
            writer.descriptor(value as i32);
            *out = writer.out;
        }
        1 => {
            hex(bits, out);
            if bits != 0 {
                out.push_str(" (flags ");
                flags("fdflags", bits, out);
                out.push(')');
            }
        }
        3 => {
            hex(bits, out);
            out.push_str(" (flags ");
            files::open_flags(bits, out);
            out.push(')');
        }
        1034 => {
            hex(bits, out);
            if bits != 0 {
                out.push_str(" (seals ");
                flags("seals", bits, out);
                out.push(')');
            }
        }
        _ => drop(write!(out, "{value}")),
    }
}

/// What `poll` has found.
fn poll(view: &View<'_>, style: Style, out: &mut String) {
    if view.result() == 0 {
        return out.push_str(" (Timeout)");
    }
    let Some(bytes) = view.bytes_after(0) else { return };
    out.push_str(" ([");
    let mut separator = "";
    for entry in bytes.as_chunks::<8>().0 {
        let entry = Bytes(entry);
        if entry.u16(6) != 0 {
            let _ = write!(out, "{separator}{{fd={}, revents=", entry.i32(0));
            flags("poll", entry.u16(6).into(), out);
            out.push('}');
            separator = ", ";
        }
    }
    out.push(']');
    left(view, 2, "timespec", style, out);
    out.push(')');
}

/// The time that is left, if the call has written it.
fn left(view: &View<'_>, arg: usize, name: &str, style: Style, out: &mut String) {
    if let (Some(bytes), Some(one)) = (view.bytes_after(arg), structs::find(name))
        && bytes.len() >= 16
    {
        out.push_str(", left ");
        (one.write)(Bytes(bytes), style, out);
    }
}

/// What is said behind some numbers.
fn more(call: Option<&Call>, view: &View<'_>, value: i64, style: Style, out: &mut String) {
    let Some(call) = call else { return };
    match (call.name, call.args.first()) {
        (_, Some(Kind::Select(time))) => select(view, time.name, style, out),
        ("rt_sigtimedwait", _) => {
            out.push_str(" (");
            signals::name(value.cast_unsigned(), out);
            out.push(')');
        }
        ("time", _) => {
            if let Some((day, time)) = super::values::date(value) {
                let _ = write!(out, " ({day}T{time}+0000)");
            }
        }
        ("prctl", _) => prctl(view, value.cast_unsigned(), out),
        ("ioprio_get", _) => {
            out.push_str(" (");
            numbers::io_priority(value.cast_unsigned(), out);
            out.push(')');
        }
        ("adjtimex" | "clock_adjtime", _) => {
            if let Some(name) = sets::find("timex_state").and_then(|set| set.name_of(value.cast_unsigned())) {
                let _ = write!(out, " ({name})");
            }
        }
        ("recvmmsg", _) => {
            if let (Some(bytes), Some(one)) = (view.bytes_after(4), structs::find("timespec")) {
                out.push_str(" (left ");
                (one.write)(Bytes(bytes), style, out);
                out.push(')');
            }
        }
        ("membarrier", _) if view.arg(0) == 0 => {
            out.clear();
            hex(value.cast_unsigned(), out);
            out.push_str(" (");
            flags("membarrier", value.cast_unsigned(), out);
            out.push(')');
        }
        _ => {}
    }
}

/// What some options of prctl(2) give as a number.
fn prctl(view: &View<'_>, value: u64, out: &mut String) {
    // TABLE: options, the set of their results, whether those are flags, which are hexadecimal.
    const RESULTS: [(u64, &str, bool); 5] = [
        (3, "pr_dump", false),
        (0x15, "pr_seccomp", false),
        (0x1b, "pr_securebits", true),
        (0x22, "pr_mce_set", false),
        (0x34, "pr_spec_result", true),
    ];
    let option = view.arg(0) & 0xffff_ffff;
    let Some((_, set, are_flags)) = RESULTS.into_iter().find(|row| row.0 == option) else { return };
    if are_flags && value != 0 {
        out.clear();
        hex(value, out);
        out.push_str(" (");
        flags(set, value, out);
        out.push(')');
    } else if let Some(name) = sets::find(set).and_then(|set| set.name_of(value)).filter(|_| value != 0 || option == 3)
    {
        let _ = write!(out, " ({name})");
    }
}

fn select(view: &View<'_>, time: &str, style: Style, out: &mut String) {
    if view.result() == 0 {
        return out.push_str(" (Timeout)");
    }
    out.push_str(" (");
    let mut separator = "";
    for (arg, name) in [(1, "in"), (2, "out"), (3, "except")] {
        let Some(bytes) = view.bytes_after(arg) else { continue };
        let any = bytes.iter().any(|byte| *byte != 0);
        if any {
            let _ = write!(out, "{separator}{name} ");
            rest::set_of_descriptors(bytes, view.arg(0), out);
            separator = ", ";
        }
    }
    left(view, 4, time, style, out);
    out.push(')');
}
