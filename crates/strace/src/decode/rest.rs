//! Calls whose arguments depend on one of them: `ioctl`, `fcntl`, `clone`, `futex`, `select`.

use std::fmt::Write as _;

use super::text::{Bytes, address, hex};
use super::values::{flags, value};
use super::{Parts, Writer, files};
use crate::record::View;
use crate::table::kind::Kind;
use crate::table::structs::{self, Struct};
use crate::table::{sets, signals};

/// Writes all arguments from `number` on.
pub(super) fn write(writer: &mut Writer<'_, '_>, kind: Kind, number: usize, parts: &mut Parts) {
    match kind {
        Kind::Ioctl => ioctl(writer, number, parts),
        Kind::Fcntl => fcntl(writer, number, parts),
        Kind::Clone => clone(writer.view, parts),
        Kind::Clone3 => clone3(writer.view, parts),
        Kind::Futex => futex(writer, parts),
        Kind::Bpf => bpf(writer, parts),
        Kind::ArchPrctl => arch_prctl(writer.view, parts),
        Kind::Select(time) => select(writer, time, parts),
        _ => sigreturn(writer.view, parts),
    }
}

fn text(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    write(&mut out);
    out
}

/// How a request uses what its argument points to.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    /// It is read.
    In,
    /// It is filled.
    Out,
    /// It begins with a name, by which the rest is filled.
    Asked,
    /// It is a number itself.
    Number,
    /// There is none.
    None,
}

// TABLE: requests of `ioctl` whose argument is known.
const IOCTLS: &[(&str, Use, &str)] = &[
    ("TCGETS", Use::Out, "termios"),
    ("TCSETS", Use::In, "termios"),
    ("TCSETSW", Use::In, "termios"),
    ("TCSETSF", Use::In, "termios"),
    ("TIOCGWINSZ", Use::Out, "winsize"),
    ("TIOCSWINSZ", Use::In, "winsize"),
    ("FIONREAD", Use::Out, "int"),
    ("FIONBIO", Use::In, "int"),
    ("FIOASYNC", Use::In, "int"),
    ("TIOCGPGRP", Use::Out, "int"),
    ("TIOCSPGRP", Use::In, "int"),
    ("TIOCGSID", Use::Out, "int"),
    ("TIOCOUTQ", Use::Out, "int"),
    ("TIOCGPTN", Use::Out, "uint"),
    ("TIOCSPTLCK", Use::In, "int"),
    ("TIOCSCTTY", Use::Number, ""),
    ("TIOCGPTPEER", Use::Number, ""),
    ("FICLONE", Use::Number, ""),
    ("FIOCLEX", Use::None, ""),
    ("FIONCLEX", Use::None, ""),
    ("TIOCNOTTY", Use::None, ""),
    ("TIOCEXCL", Use::None, ""),
    ("TIOCNXCL", Use::None, ""),
    ("SIOCGIFINDEX", Use::Asked, "ifreq_index"),
    ("SIOCGIFMTU", Use::Asked, "ifreq_mtu"),
    ("SIOCGIFTXQLEN", Use::Asked, "ifreq_queue"),
    ("SIOCGIFFLAGS", Use::Asked, "ifreq_flags"),
    ("SIOCGIFADDR", Use::Asked, "ifreq_address"),
    ("SIOCSIFMTU", Use::In, "ifreq_mtu"),
    ("SIOCSIFFLAGS", Use::In, "ifreq_flags"),
    ("SIOCSIFADDR", Use::In, "ifreq_address"),
    ("SIOCGIFNAME", Use::Out, "ifreq_index"),
    ("BLKGETSIZE64", Use::Out, "u64"),
    ("BLKGETSIZE", Use::Out, "u64"),
    ("BLKSSZGET", Use::Out, "int"),
    ("BLKROGET", Use::Out, "int"),
    ("BLKROSET", Use::In, "int"),
    ("BLKFLSBUF", Use::None, ""),
    ("BLKRRPART", Use::None, ""),
    ("LOOP_SET_FD", Use::Number, ""),
    ("LOOP_CLR_FD", Use::None, ""),
    ("LOOP_CTL_GET_FREE", Use::None, ""),
    ("LOOP_GET_STATUS64", Use::Out, "loop_info"),
    ("LOOP_SET_STATUS64", Use::In, "loop_info"),
];

fn ioctl(writer: &mut Writer<'_, '_>, number: usize, parts: &mut Parts) {
    let (view, request) = (writer.view, writer.view.arg(number) & 0xffff_ffff);
    let name = sets::find("ioctl").and_then(|set| set.name_of(request));
    parts.before.push(name.map_or_else(|| text(|out| request_number(request, out)), str::to_owned));
    let (at, arg) = (view.arg(number + 1), number + 1);
    let row = name.and_then(|name| IOCTLS.iter().find(|row| row.0 == name));
    let Some(&(_, direction, one)) = row else { return parts.before.push(text(|out| hex(at, out))) };
    let one = structs::find(one);
    match (direction, one) {
        (Use::None, _) => {}
        (Use::Out, Some(one)) => {
            let bytes = view.bytes_after(arg).filter(|_| !view.failed());
            writer.structure(one, bytes, at);
            parts.after.push(std::mem::take(&mut writer.out));
        }
        (Use::Asked, Some(one)) => {
            let bytes = view.bytes_after(arg).filter(|_| !view.failed());
            let name = structs::find("ifreq").filter(|_| bytes.is_none());
            writer.structure(name.unwrap_or(one), bytes.or(view.bytes_before(arg)), at);
            parts.after.push(std::mem::take(&mut writer.out));
        }
        (Use::In, Some(one)) => {
            writer.structure(one, view.bytes_before(arg), at);
            parts.before.push(std::mem::take(&mut writer.out));
        }
        _ => parts.before.push((at as i32).to_string()),
    }
}

/// A request without a name: its parts (`asm-generic/ioctl.h`).
fn request_number(request: u64, out: &mut String) {
    let direction = ["_IOC_NONE", "_IOC_WRITE", "_IOC_READ", "_IOC_READ|_IOC_WRITE"][(request >> 30 & 3) as usize];
    let _ = write!(out, "_IOC({direction}, ");
    hex(request >> 8 & 0xff, out);
    out.push_str(", ");
    hex(request & 0xff, out);
    out.push_str(", ");
    hex(request >> 16 & 0x3fff, out);
    out.push(')');
}

/// The argument of bpf(2), as its command reads it.
fn bpf(writer: &mut Writer<'_, '_>, parts: &mut Parts) {
    let (view, command) = (writer.view, writer.view.arg(0) & 0xffff_ffff);
    parts.before.push(text(|out| value("bpf", command, out)));
    let style = writer.style;
    parts.before.push(text(|out| {
        let known = view.bytes_before(1).is_some_and(|bytes| super::kernel::bpf(command, bytes, style, out));
        if !known {
            address(view.arg(1), out);
        }
    }));
    parts.before.push((view.arg(2) & 0xffff_ffff).to_string());
}

fn fcntl(writer: &mut Writer<'_, '_>, number: usize, parts: &mut Parts) {
    let (view, command) = (writer.view, writer.view.arg(number) & 0xffff_ffff);
    parts.before.push(text(|out| value("fcntl", command, out)));
    let (raw, arg) = (view.arg(number + 1), number + 1);
    let lock = |bytes: Option<&[u8]>, process: bool| {
        text(|out| match bytes {
            Some(bytes) => files::lock(Bytes(bytes), process, out),
            None => address(raw, out),
        })
    };
    match command {
        // What is asked without an argument: F_GETFD, F_GETFL, F_GETOWN, F_GETSIG, F_GETLEASE, F_GETPIPE_SZ, F_GET_SEALS.
        1 | 3 | 9 | 11 | 1025 | 1032 | 1034 => {}
        2 => parts.before.push(text(|out| flags("fdflags", raw & 0xffff_ffff, out))),
        4 => parts.before.push(text(|out| files::open_flags(raw, out))),
        // F_GETLK, F_OFD_GETLK
        5 | 36 => parts.after.push(lock(view.bytes_after(arg).filter(|_| !view.failed()), true)),
        // F_SETLK, F_SETLKW and those of open descriptions
        6 | 7 | 37 | 38 => parts.before.push(lock(view.bytes_before(arg), false)),
        10 => parts.before.push(text(|out| signals::name(raw & 0xffff_ffff, out))),
        1024 => parts.before.push(text(|out| value("lock", raw & 0xffff_ffff, out))),
        1033 => parts.before.push(text(|out| flags("seals", raw & 0xffff_ffff, out))),
        // F_DUPFD, F_DUPFD_CLOEXEC, F_SETOWN, F_SETPIPE_SZ
        0 | 8 | 1030 | 1031 => parts.before.push((raw as i32).to_string()),
        _ => parts.before.push(text(|out| hex(raw, out))),
    }
}

/// Bits of `clone(2)` that say which arguments are used.
mod cloned {
    pub const SETTLS: u64 = 0x8_0000;
    pub const PARENT: u64 = 0x10_0000;
    pub const PIDFD: u64 = 0x1000;
    pub const CHILD: u64 = 0x120_0000;
}

fn clone_flags(bits: u64, signal: u64, out: &mut String) {
    if bits != 0 {
        flags("clone", bits, out);
    }
    if signal != 0 {
        out.push_str(if bits == 0 { "" } else { "|" });
        signals::name(signal, out);
    } else if bits == 0 {
        out.push('0');
    }
}

fn clone(view: &View<'_>, parts: &mut Parts) {
    let (bits, signal) = (view.arg(0) & 0xffff_ffff & !0xff, view.arg(0) & 0xff);
    parts.tight = true;
    parts.before.push(text(|out| {
        out.push_str("child_stack=");
        address(view.arg(1), out);
    }));
    parts.before.push(text(|out| {
        out.push_str("flags=");
        clone_flags(bits, signal, out);
    }));
    if bits & (cloned::PARENT | cloned::PIDFD) != 0 {
        let name = if bits & cloned::PIDFD != 0 { "pidfd" } else { "parent_tid" };
        parts.after.push(match view.bytes_after(2).filter(|_| !view.failed()) {
            Some(bytes) => format!("{name}=[{}]", Bytes(bytes).i32(0)),
            None => text(|out| {
                let _ = write!(out, "{name}=");
                address(view.arg(2), out);
            }),
        });
    }
    let pointer = |name: &str, at: u64| {
        text(|out| {
            out.push_str(name);
            address(at, out);
        })
    };
    if bits & cloned::SETTLS != 0 {
        parts.after.push(pointer("tls=", view.arg(4)));
    }
    if bits & cloned::CHILD != 0 {
        parts.after.push(pointer("child_tidptr=", view.arg(3)));
    }
}

fn clone3(view: &View<'_>, parts: &mut Parts) {
    let size = view.arg(1).to_string();
    let Some(known) = view.bytes_before(0).map(Bytes) else {
        parts.before.push(text(|out| address(view.arg(0), out)));
        return parts.before.push(size);
    };
    let bits = known.u64(0);
    let mut shown = text(|out| {
        out.push_str("{flags=");
        if bits == 0 { out.push('0') } else { flags("clone", bits, out) }
    });
    let mut field = |name: &str, at: u64, used: bool| {
        if used {
            let _ = write!(shown, ", {name}=");
            address(at, &mut shown);
        }
    };
    field("pidfd", known.u64(8), bits & cloned::PIDFD != 0);
    field("child_tid", known.u64(16), bits & cloned::CHILD != 0);
    field("parent_tid", known.u64(24), bits & cloned::PARENT != 0);
    shown.push_str(", exit_signal=");
    match known.u64(32) {
        0 => shown.push('0'),
        signal => signals::name(signal, &mut shown),
    }
    shown.push_str(", stack=");
    address(known.u64(40), &mut shown);
    shown.push_str(", stack_size=");
    hex(known.u64(48), &mut shown);
    if bits & cloned::SETTLS != 0 {
        shown.push_str(", tls=");
        address(known.u64(56), &mut shown);
    }
    shown.push('}');
    // The number of the new thread is what is written there, and what the call returns.
    if bits & cloned::PARENT != 0 && view.result() > 0 {
        let _ = write!(shown, " => {{parent_tid=[{}]}}", view.result());
    }
    parts.before.push(shown);
    parts.before.push(size);
}

fn futex(writer: &mut Writer<'_, '_>, parts: &mut Parts) {
    const PRIVATE: u64 = 128;
    const REALTIME: u64 = 256;
    let view = writer.view;
    let operation = view.arg(1) & 0xffff_ffff;
    let command = operation & !(PRIVATE | REALTIME);
    parts.before.push(text(|out| address(view.arg(0), out)));
    parts.before.push(text(|out| {
        if sets::find("futex").is_some_and(|set| set.name_of(command).is_none()) {
            return value("futex", operation, out);
        }
        value("futex", command, out);
        out.push_str(if operation & PRIVATE != 0 { "_PRIVATE" } else { "" });
        out.push_str(if operation & REALTIME != 0 { "|FUTEX_CLOCK_REALTIME" } else { "" });
    }));
    let number = |arg: usize| (view.arg(arg) as u32).to_string();
    let pointer = |arg: usize| text(|out| address(view.arg(arg), out));
    let bits = |arg: usize| match view.arg(arg) as u32 {
        u32::MAX => "FUTEX_BITSET_MATCH_ANY".to_owned(),
        other => text(|out| hex(other.into(), out)),
    };
    let mut time = || {
        match structs::find("timespec") {
            Some(one) => writer.structure(one, view.bytes_before(3), view.arg(3)),
            None => address(view.arg(3), &mut writer.out),
        }
        std::mem::take(&mut writer.out)
    };
    let rest = match command {
        0 => vec![number(2), time()],
        1 | 2 => vec![number(2)],
        9 => vec![number(2), time(), bits(5)],
        10 => vec![number(2), bits(5)],
        3 => vec![number(2), number(3), pointer(4)],
        4 | 12 => vec![number(2), number(3), pointer(4), number(5)],
        5 => vec![number(2), number(3), pointer(4), text(|out| wake_operation(view.arg(5), out))],
        6 | 13 => vec![time()],
        7 | 8 => vec![],
        11 => vec![number(2), time(), pointer(4)],
        _ => vec![number(2), pointer(3), pointer(4), text(|out| hex(view.arg(5) & 0xffff_ffff, out))],
    };
    parts.before.extend(rest);
}

/// The last argument of `FUTEX_WAKE_OP` (futex(2)).
fn wake_operation(word: u64, out: &mut String) {
    const OPERATIONS: [&str; 5] = ["FUTEX_OP_SET", "FUTEX_OP_ADD", "FUTEX_OP_OR", "FUTEX_OP_ANDN", "FUTEX_OP_XOR"];
    const COMPARISONS: [&str; 6] = [
        "FUTEX_OP_CMP_EQ",
        "FUTEX_OP_CMP_NE",
        "FUTEX_OP_CMP_LT",
        "FUTEX_OP_CMP_LE",
        "FUTEX_OP_CMP_GT",
        "FUTEX_OP_CMP_GE",
    ];
    let (operation, comparison) = (word >> 28 & 7, word >> 24 & 0xf);
    let name = OPERATIONS.get(operation as usize).copied().unwrap_or("FUTEX_OP_???");
    let shift = if word >> 31 & 1 == 1 { "FUTEX_OP_OPARG_SHIFT<<28|" } else { "" };
    out.push('{');
    out.push_str(shift);
    let _ = write!(out, "{name}<<28|");
    hex(word >> 12 & 0xfff, out);
    let name = COMPARISONS.get(comparison as usize).copied().unwrap_or("FUTEX_OP_CMP_???");
    let _ = write!(out, "<<12|{name}<<24|");
    hex(word & 0xfff, out);
    out.push('}');
}

fn arch_prctl(view: &View<'_>, parts: &mut Parts) {
    const GET: [u64; 2] = [0x1003, 0x1004];
    let code = view.arg(0) & 0xffff_ffff;
    parts.before.push(text(|out| value("arch_prctl", code, out)));
    if GET.contains(&code) {
        parts.after.push(text(|out| match view.bytes_after(1).filter(|_| !view.failed()) {
            Some(bytes) => {
                out.push('[');
                hex(Bytes(bytes).u64(0), out);
                out.push(']');
            }
            None => address(view.arg(1), out),
        }));
    } else {
        parts.before.push(text(|out| hex(view.arg(1), out)));
    }
}

/// Descriptors below a number that are in a set: `[3 4]`.
pub(super) fn set_of_descriptors(bytes: &[u8], below: u64, out: &mut String) {
    out.push('[');
    let mut separator = "";
    let below = usize::try_from(below).unwrap_or(usize::MAX).min(bytes.len() * 8);
    for fd in (0..below).filter(|fd| bytes[fd / 8] & 1 << (fd % 8) != 0) {
        let _ = write!(out, "{separator}{fd}");
        separator = " ";
    }
    out.push(']');
}

fn select(writer: &mut Writer<'_, '_>, time: &Struct, parts: &mut Parts) {
    /// Descriptors whose bits are captured.
    const MOST: u64 = 1024;
    let view = writer.view;
    parts.before.push(writer.int(0).to_string());
    for set in 1..4 {
        // More than is captured would be told as none.
        let few = u64::from(view.arg(0) as u32) <= MOST;
        parts.before.push(text(|out| match view.bytes_before(set).filter(|_| few) {
            Some(bytes) => set_of_descriptors(bytes, view.arg(0), out),
            None => address(view.arg(set), out),
        }));
    }
    writer.structure(time, view.bytes_before(4), view.arg(4));
    parts.before.push(std::mem::take(&mut writer.out));
    // Only `pselect6` has a sixth argument.
    if time.name == "timespec" {
        parts.before.push(text(|out| address(view.arg(5), out)));
    }
}

fn sigreturn(view: &View<'_>, parts: &mut Parts) {
    /// Of the mask in `struct ucontext`.
    const MASK: usize = 296;
    parts.before.push(text(|out| match view.bytes_before(6) {
        Some(bytes) if bytes.len() >= MASK + 8 => {
            out.push_str("{mask=");
            signals::set(Bytes(bytes).u64(MASK), out);
            out.push('}');
        }
        _ => {}
    }));
}
