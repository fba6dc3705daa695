//! From records to the texts of arguments and results, as strace writes them.
//!
//! A line comes in two parts, because a call may be interrupted by others: what is known when it begins, and the rest.

pub mod files;
pub mod ipc;
pub mod kernel;
pub mod machine;
pub mod net;
pub mod numbers;
mod rest;
mod result;
mod special;
pub mod text;
pub mod values;

use std::fmt::Write as _;

use crate::program::layout::{op, part};
use crate::record::View;
use crate::table::kind::Kind;
use crate::table::structs::Struct;
use crate::table::{Call, sets, signals};
use text::{Bytes, Style, address, hex};
use values::flags;

pub use result::{error_text, result};

/// Knows what descriptors stand for.
pub trait Names {
    /// What is written behind a descriptor of a process, between `<` and `>`.
    fn fd(&mut self, process: u32, fd: i32) -> Option<String>;

    /// The working directory of a process.
    fn cwd(&mut self, process: u32) -> Option<String>;
}

/// Knows nothing.
#[derive(Debug, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn fd(&mut self, _: u32, _: i32) -> Option<String> {
        None
    }

    fn cwd(&mut self, _: u32) -> Option<String> {
        None
    }
}

/// `AT_FDCWD`
const CWD: i32 = -100;

/// Texts of arguments: those that are known when the call begins, the others.
#[derive(Debug, Default)]
pub struct Parts {
    /// Known at the beginning.
    pub before: Vec<String>,
    /// Known at the end.
    pub after: Vec<String>,
    /// Whether the last of `before` is not followed by a comma when the call is interrupted.
    pub tight: bool,
}

impl Parts {
    /// The text when the call begins.
    pub fn first(&self) -> String {
        let mut text = self.before.join(", ");
        if !self.tight && !self.before.is_empty() && !self.after.is_empty() {
            text.push_str(", ");
        }
        text
    }

    /// The text when it ends.
    pub fn second(&self) -> String {
        let text = self.after.join(", ");
        if self.tight && !self.after.is_empty() { format!(", {text}") } else { text }
    }

    /// All arguments.
    pub fn all(self) -> impl Iterator<Item = String> {
        self.before.into_iter().chain(self.after)
    }
}

/// The arguments of a call.
pub fn arguments(call: &Call, view: &View<'_>, style: Style, names: &mut dyn Names) -> Parts {
    let mut writer = Writer { view, style, names, out: String::new() };
    let mut parts = Parts::default();
    let mut late = false;
    let (mut kinds, mut first) = (call.args.as_slice(), 0_usize);
    while let Some((&kind, rest)) = kinds.split_first() {
        let number = first;
        (kinds, first) = (rest, first + 1);
        if let Kind::By(choice) = kind {
            // What follows depends on the argument in front.
            (kinds, first) = (choice.pick(view.arg(number.wrapping_sub(1))), number);
            continue;
        }
        if kind.is_rest() {
            rest::write(&mut writer, kind, number, &mut parts);
            return parts;
        }
        late |= kind.at_end();
        if !writer.write(call, kind, number) {
            continue;
        }
        let text = std::mem::take(&mut writer.out);
        if late { parts.after.push(text) } else { parts.before.push(text) }
    }
    parts
}

/// The arguments of a call that has no row: its registers.
pub fn plain(view: &View<'_>) -> Parts {
    let text = |number| {
        let mut out = String::new();
        hex(view.arg(number), &mut out);
        out
    };
    Parts { before: (0..6).map(text).collect(), ..Parts::default() }
}

/// Writes the arguments of one call.
pub(crate) struct Writer<'w, 'r> {
    pub(crate) view: &'w View<'r>,
    pub(crate) style: Style,
    pub(crate) names: &'w mut dyn Names,
    pub(crate) out: String,
}

impl Writer<'_, '_> {
    /// An argument as a signed number of 32 bits.
    pub(crate) fn int(&self, number: usize) -> i32 {
        self.view.arg(number) as u32 as i32
    }

    fn add(&mut self, text: impl std::fmt::Display) {
        // Writing to a string succeeds.
        let _ = write!(self.out, "{text}");
    }

    /// Writes a descriptor.
    pub(crate) fn descriptor(&mut self, fd: i32) {
        self.add(fd);
        if fd >= 0
            && let Some(name) = self.names.fd(self.view.first().process, fd)
        {
            self.add(format_args!("<{name}>"));
        }
    }

    fn directory(&mut self, fd: i32) {
        if fd != CWD {
            return self.descriptor(fd);
        }
        self.add("AT_FDCWD");
        if let Some(name) = self.names.cwd(self.view.first().process) {
            self.add(format_args!("<{name}>"));
        }
    }

    /// Writes a structure, or the address if it is not known.
    pub(crate) fn structure(&mut self, one: &Struct, bytes: Option<&[u8]>, at: u64) {
        match bytes {
            Some(bytes) if bytes.len() >= usize::from(one.size) => {
                (one.write)(Bytes(bytes), self.style, &mut self.out);
            }
            _ => address(at, &mut self.out),
        }
    }

    pub(crate) fn bytes(&mut self, bytes: Option<&[u8]>, full: u64, at: u64) {
        match bytes {
            Some(bytes) => {
                let shown = &bytes[..bytes.len().min(self.style.most)];
                text::quote(shown, full > shown.len() as u64, self.style, &mut self.out);
            }
            None => address(at, &mut self.out),
        }
    }

    pub(crate) fn array(&mut self, one: &Struct, bytes: Option<&[u8]>, count: u64, at: u64) {
        let Some(bytes) = bytes else {
            return if count == 0 && at != 0 { self.add("[]") } else { address(at, &mut self.out) };
        };
        self.add('[');
        let shown = usize::try_from(count).unwrap_or(usize::MAX).min(self.style.elements());
        let mut written = 0;
        for element in bytes.chunks_exact(usize::from(one.size)).take(shown) {
            if written > 0 {
                self.add(", ");
            }
            (one.write)(Bytes(element), self.style, &mut self.out);
            written += 1;
        }
        text::end_array(written, count, &mut self.out);
    }

    /// Writes an argument. False if it is not shown.
    fn write(&mut self, call: &Call, kind: Kind, number: usize) -> bool {
        let (view, raw) = (self.view, self.view.arg(number));
        match kind {
            Kind::Skip => return false,
            Kind::ModeIf => return self.mode_if_made(number, raw),
            Kind::IfMade(one) => {
                if !self.makes(number.saturating_sub(2)) {
                    return false;
                }
                self.structure(one, view.bytes_before(number), raw);
            }
            Kind::MremapAddr if view.arg(3) & 6 == 0 => return false,
            Kind::Dev if number > 0 && matches!(call.args.get(number - 1), Some(Kind::MknodMode)) => {
                if !matches!(view.arg(number - 1) & 0o170_000, 0o020_000 | 0o060_000) {
                    return false;
                }
                files::device(raw & 0xffff_ffff, &mut self.out);
            }
            Kind::Int
            | Kind::Uint
            | Kind::Long
            | Kind::Ulong
            | Kind::Hex
            | Kind::Addr
            | Kind::MremapAddr
            | Kind::Key
            | Kind::Id
            | Kind::Dev
            | Kind::Mode
            | Kind::MknodMode
            | Kind::ShortHex
            | Kind::Serial => self.number(kind, raw),
            Kind::Fd => self.descriptor(raw as u32 as i32),
            Kind::MarkFd if raw as u32 == u32::MAX => self.add("FAN_NOFD"),
            Kind::DirFd | Kind::MarkFd => self.directory(raw as u32 as i32),
            Kind::Number(form) => (form.write)(raw, &mut self.out),
            Kind::Flags(set) => set.flags(raw & 0xffff_ffff, &mut self.out),
            Kind::LongFlags(set) => set.flags(raw, &mut self.out),
            Kind::Value(set) => set.value(raw & 0xffff_ffff, &mut self.out),
            Kind::Signal => signals::name(raw & 0xffff_ffff, &mut self.out),
            Kind::OpenFlags => files::open_flags(raw, &mut self.out),
            Kind::OpenOnly => self.open_only(raw),
            Kind::SockType => self.socket_type(raw),
            Kind::Protocol => self.protocol(call, raw),
            Kind::SockOpt => net::option_name(view.arg(number - 1), raw, call.name == "setsockopt", &mut self.out),
            Kind::Path
            | Kind::Name
            | Kind::Text
            | Kind::In(_)
            | Kind::Argv
            | Kind::Envp
            | Kind::Struct(_)
            | Kind::Array(..)
            | Kind::Vector(_)
            | Kind::Message
            | Kind::SockAddr(_)
            | Kind::SigSet(_)
            | Kind::Cpus(_)
            | Kind::OptVal(_)
            | Kind::Offset
            | Kind::PollFds(_)
            | Kind::PpollFds(_) => self.filled_before(kind, number, raw),
            other => self.special(other, number, raw),
        }
        true
    }

    fn number(&mut self, kind: Kind, raw: u64) {
        match kind {
            Kind::Int => self.add(raw as u32 as i32),
            Kind::Uint => self.add(raw as u32),
            Kind::Long => self.add(raw.cast_signed()),
            Kind::Ulong => self.add(raw),
            Kind::Hex => hex(raw, &mut self.out),
            Kind::Key if raw as u32 == 0 => self.add("IPC_PRIVATE"),
            Kind::Key => self.add(format_args!("{:#x}", raw as u32)),
            Kind::Id if raw as u32 == u32::MAX => self.add("-1"),
            Kind::Id => self.add(raw as u32),
            Kind::Dev => files::device(raw & 0xffff_ffff, &mut self.out),
            Kind::Mode => text::mode(raw & 0xffff, &mut self.out),
            Kind::MknodMode => files::file_mode(raw & 0xffff, &mut self.out),
            Kind::ShortHex => hex(raw & 0xffff_ffff, &mut self.out),
            Kind::Serial => ipc::serial(raw as u32, &mut self.out),
            _ => address(raw, &mut self.out),
        }
    }

    /// The mode of a file that a call may make: flags are in front of it.
    fn mode_if_made(&mut self, number: usize, raw: u64) -> bool {
        let made = self.makes(number.saturating_sub(1));
        if made {
            text::mode(raw & 0xffff, &mut self.out);
        }
        made
    }

    /// Whether flags of `open` make a file.
    fn makes(&self, number: usize) -> bool {
        const MAKES: u64 = 0x40;
        const TEMPORARY: u64 = 0x41_0000;
        let bits = self.view.arg(number);
        bits & MAKES != 0 || bits & TEMPORARY == TEMPORARY
    }

    /// Flags of `open` for calls that have no way to access.
    fn open_only(&mut self, raw: u64) {
        flags("open", raw & 0xffff_ffff, &mut self.out);
    }

    fn socket_type(&mut self, raw: u64) {
        const TYPE: u64 = 0xf;
        let name = sets::find("socktype").and_then(|set| set.name_of(raw & TYPE));
        let bits = raw & 0xffff_ffff & !TYPE;
        match name {
            None => flags("sockflags", raw & 0xffff_ffff, &mut self.out),
            Some(name) if bits == 0 => self.add(name),
            Some(name) => {
                self.add(format_args!("{name}|"));
                flags("sockflags", bits, &mut self.out);
            }
        }
    }

    /// The protocol of a socket, by its family.
    fn protocol(&mut self, call: &Call, raw: u64) {
        // A pair of sockets needs none, and strace shows a number.
        if call.name == "socket" {
            net::protocol(self.view.arg(0), raw, &mut self.out);
        } else {
            self.add(raw);
        }
    }

    /// What is in memory when the call begins.
    fn filled_before(&mut self, kind: Kind, number: usize, raw: u64) {
        let view = self.view;
        let what = match kind {
            Kind::Path | Kind::Name | Kind::Text => op::TEXT,
            Kind::Envp => op::COUNT,
            _ => op::BYTES,
        };
        let chunk = view.captured(what, number, false);
        let bytes = chunk.and_then(|chunk| chunk.bytes);
        let full = chunk.map_or(0, |chunk| chunk.full);
        match kind {
            Kind::Path | Kind::Name => match bytes {
                Some(path) => text::quote(path, false, self.style, &mut self.out),
                None => address(raw, &mut self.out),
            },
            Kind::Text => match bytes {
                Some(bytes) => text::text(bytes, self.style.most, self.style, &mut self.out),
                None => address(raw, &mut self.out),
            },
            Kind::In(_) => self.bytes(bytes, full, raw),
            Kind::Argv => self.texts(number, raw),
            Kind::Envp if self.style.full => self.texts(number, raw),
            Kind::Envp => {
                address(raw, &mut self.out);
                // What could not be read ends the count.
                if let Some(chunk) = chunk.filter(|chunk| chunk.bytes.is_some() || chunk.full > 0) {
                    let plural = if chunk.full == 1 { "" } else { "s" };
                    let end = if chunk.bytes.is_some() { "" } else { ", unterminated" };
                    self.add(format_args!(" /* {} var{plural}{end} */", chunk.full));
                }
            }
            Kind::Struct(one) => self.structure(one, bytes, raw),
            Kind::Array(one, count, most) => match view.arg(count.into()) {
                count if count & 0xffff_ffff > most.into() => address(raw, &mut self.out),
                count => self.array(one, bytes, count, raw),
            },
            Kind::Vector(count) => {
                let get = |part| view.before(number, part);
                net::vector(raw, view.arg(count.into()), &get, self.style, &mut self.out);
            }
            Kind::Message => net::message(view, number, false, None, self.style, &mut self.out),
            Kind::SockAddr(_) => match bytes {
                Some(bytes) if bytes.len() >= 2 => net::sockaddr(bytes, self.style, &mut self.out),
                _ => address(raw, &mut self.out),
            },
            Kind::SigSet(size) => self.signals(bytes, view.arg(size.into()), raw),
            Kind::Cpus(_) => self.cpus(bytes, raw),
            Kind::OptVal(_) => match bytes {
                Some(bytes) => net::option(view.arg(1), view.arg(2), bytes, full, self.style, &mut self.out),
                None => address(raw, &mut self.out),
            },
            Kind::Offset => match bytes {
                Some(bytes) => self.add(format_args!("[{}]", Bytes(bytes).i64(0))),
                None => address(raw, &mut self.out),
            },
            _ => self.poll_fds(bytes, raw),
        }
    }

    /// What the call fills.
    pub(crate) fn filled_after(&mut self, kind: Kind, number: usize, raw: u64) {
        let view = self.view;
        let what = if matches!(kind, Kind::OutText) { op::TEXT } else { op::BYTES };
        let chunk = view.captured(what, number, true).filter(|_| !view.failed());
        let bytes = chunk.and_then(|chunk| chunk.bytes);
        let full = chunk.map_or(0, |chunk| chunk.full);
        match kind {
            Kind::OutHex => {
                self.style.hex = 2;
                self.bytes(bytes, full, raw);
            }
            Kind::OutText => match bytes {
                Some(path) => text::quote(path, false, self.style, &mut self.out),
                None => address(raw, &mut self.out),
            },
            Kind::OutStruct(one) => self.structure(one, bytes, raw),
            Kind::Rem(one) => {
                // Only an interrupted call fills it, and has no success that would have captured it.
                let _ = one;
                address(raw, &mut self.out);
            }
            Kind::ResultArray(_) if view.failed() => address(raw, &mut self.out),
            Kind::ResultArray(one) => self.array(one, bytes, u64::try_from(view.result()).unwrap_or(0), raw),
            // What has failed has filled nothing.
            Kind::OutVector(count) if view.failed() => self.special(Kind::AddressVector(count), number, raw),
            Kind::OutVector(count) => {
                let get = |part| view.after(number, part);
                net::vector(raw, view.arg(count.into()), &get, self.style, &mut self.out);
            }
            Kind::OutMessage if view.failed() => match view.bytes_before(number).filter(|bytes| bytes.len() >= 12) {
                Some(bytes) => self.add(format_args!("{{msg_namelen={}}}", Bytes(bytes).i32(8))),
                None => address(raw, &mut self.out),
            },
            Kind::OutMessage => {
                let old = view.bytes_before(number).map(|bytes| Bytes(bytes).i32(8));
                net::message(view, number, true, old, self.style, &mut self.out);
            }
            Kind::OutSockAddr => match bytes {
                Some(bytes) if bytes.len() >= 2 => net::sockaddr(bytes, self.style, &mut self.out),
                _ => address(raw, &mut self.out),
            },
            Kind::SockLen => self.length_in_memory(number, raw),
            Kind::OutSigSet(size) => self.signals(bytes, view.arg(size.into()), raw),
            Kind::OutCpus => self.cpus(bytes, raw),
            Kind::OutOptVal => match bytes {
                Some(bytes) => net::option(view.arg(1), view.arg(2), bytes, full, self.style, &mut self.out),
                None => address(raw, &mut self.out),
            },
            Kind::SendOffset => match (view.bytes_before(number), bytes) {
                (Some(old), Some(new)) if old != new => {
                    self.add(format_args!("[{}] => [{}]", Bytes(old).i64(0), Bytes(new).i64(0)));
                }
                (Some(old), _) => self.add(format_args!("[{}]", Bytes(old).i64(0))),
                _ => address(raw, &mut self.out),
            },
            Kind::Wstatus => match bytes.filter(|_| view.result() > 0) {
                Some(bytes) => {
                    self.add('[');
                    values::wait_status(Bytes(bytes).u32(0), &mut self.out);
                    self.add(']');
                }
                None => address(raw, &mut self.out),
            },
            Kind::Dirents | Kind::Dirents32 => {
                address(raw, &mut self.out);
                let head = if matches!(kind, Kind::Dirents) { 19 } else { 18 };
                if let Some(bytes) = bytes.filter(|bytes| bytes.len() as u64 == full) {
                    let count = files::entries(bytes, head);
                    let plural = if count == 1 { "y" } else { "ies" };
                    self.add(format_args!(" /* {count} entr{plural} */"));
                }
            }
            _ => self.bytes(bytes, full, raw),
        }
    }

    /// A set of signals, whose size must be that of the kernel's.
    fn signals(&mut self, bytes: Option<&[u8]>, size: u64, raw: u64) {
        match bytes.filter(|_| size == 8) {
            Some(bytes) => signals::set(Bytes(bytes).u64(0), &mut self.out),
            None => address(raw, &mut self.out),
        }
    }

    /// A length that the call changes: `[16]`, `[128 => 16]`.
    fn length_in_memory(&mut self, number: usize, raw: u64) {
        let old = self.view.bytes_before(number).map(|bytes| Bytes(bytes).i32(0));
        let new = self.view.bytes_after(number).filter(|_| !self.view.failed()).map(|bytes| Bytes(bytes).i32(0));
        match (old, new) {
            (Some(old), Some(new)) if old != new => self.add(format_args!("[{old} => {new}]")),
            (Some(one), _) | (None, Some(one)) => self.add(format_args!("[{one}]")),
            _ => address(raw, &mut self.out),
        }
    }

    /// `["a", "b"]`
    fn texts(&mut self, number: usize, raw: u64) {
        if self.view.before(number, 0).is_none() && self.view.before(number, part::WHOLE).is_some() || raw == 0 {
            return address(raw, &mut self.out);
        }
        self.add('[');
        for element in 0..u16::MAX {
            let Some(chunk) = self.view.before(number, element) else { break };
            if element > 0 {
                self.add(", ");
            }
            if usize::from(element) >= self.style.elements() {
                self.add("...");
                break;
            }
            match chunk.bytes {
                Some(bytes) => text::text(bytes, self.style.most, self.style, &mut self.out),
                None => self.add("???"),
            }
        }
        self.add(']');
    }

    fn cpus(&mut self, bytes: Option<&[u8]>, raw: u64) {
        let Some(bytes) = bytes else { return address(raw, &mut self.out) };
        let set = |cpu: &usize| bytes.get(cpu / 8).is_some_and(|byte| byte & 1 << (cpu % 8) != 0);
        let list: Vec<String> = (0..bytes.len() * 8).filter(set).map(|cpu| cpu.to_string()).collect();
        self.add(format_args!("[{}]", list.join(" ")));
    }

    fn poll_fds(&mut self, bytes: Option<&[u8]>, raw: u64) {
        let Some(bytes) = bytes else { return address(raw, &mut self.out) };
        self.add('[');
        let entries = bytes.as_chunks::<8>().0;
        let entries = &entries[..entries.len().min(self.style.elements())];
        for (number, entry) in entries.iter().enumerate() {
            let entry = Bytes(entry);
            self.add(if number > 0 { ", {fd=" } else { "{fd=" });
            self.descriptor(entry.i32(0));
            if entry.i32(0) >= 0 {
                self.add(", events=");
                flags("poll", entry.u16(4).into(), &mut self.out);
            }
            self.add('}');
        }
        text::end_array(entries.len(), self.view.arg(1) & 0xffff_ffff, &mut self.out);
    }
}
