//! Values as text, as `%s` and `print()` show them.

use std::io::Write;
use std::net::IpAddr;

use skep_lang_script::plan::StackMode;

use super::{Renderer, Value};
use crate::names::{BuildIdFrame, StackId};

/// Columns before the frames of a stack trace.
const INDENT: &str = "        ";

impl Renderer<'_> {
    /// Appends the text of a value.
    pub fn text(&mut self, value: &Value<'_>, out: &mut Vec<u8>) {
        match *value {
            Value::Missing => out.extend_from_slice(b"<missing>"),
            Value::Void => {}
            Value::Signed(number) => push_signed(number, out),
            Value::Unsigned(number) => push_unsigned(number, out),
            Value::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
            Value::Enum { number, enumeration } => match self.enumerator(number, enumeration) {
                Some(name) => out.extend_from_slice(name.as_bytes()),
                None => push_signed(number, out),
            },
            Value::Pointer(address) => push_format(out, format_args!("0x{address:x}")),
            Value::Text { bytes, cut } => {
                out.extend_from_slice(bytes);
                if cut || bytes.len() + 1 == self.full as usize {
                    out.extend_from_slice(self.truncation.as_bytes());
                }
            }
            Value::Buffer(bytes) => buffer_text(bytes, out),
            Value::Inet(Some(IpAddr::V4(address))) => push_format(out, format_args!("{address}")),
            Value::Inet(Some(IpAddr::V6(address))) => push_format(out, format_args!("{address}")),
            Value::Inet(None) => {}
            Value::Mac([a, b, c, d, e, f]) => {
                push_format(out, format_args!("{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{f:02X}"));
            }
            Value::KernelSymbol(address) => match self.names.symbols().kernel(address) {
                Some(symbol) => out.extend_from_slice(symbol.name.as_bytes()),
                None => push_address(address, out),
            },
            Value::UserSymbol { address, pid } => match self.names.symbols().user(pid, address) {
                Some(symbol) => out.extend_from_slice(symbol.name.as_bytes()),
                None => push_address(address, out),
            },
            Value::Stack { id, mode, limit } => self.stack(id, mode, limit, INDENT, out),
            Value::User(uid) => out.extend_from_slice(self.names.user(uid).as_bytes()),
            Value::Time { boot, format } => self.names.clock().boot_time(boot, format, out),
            Value::CgroupPath { id, pattern } => out.extend_from_slice(self.names.cgroup(id, pattern).as_bytes()),
            Value::ErrorText(number) => out.extend_from_slice(self.names.error(number).as_bytes()),
            Value::SignalName(number) => out.extend_from_slice(crate::names::signal_text(number).as_bytes()),
            Value::SyscallName(number) => out.extend_from_slice(crate::names::syscall_name(number).as_bytes()),
            Value::Tuple(tuple) => {
                out.push(b'(');
                self.list(tuple.values(), b", ", out);
                out.push(b')');
            }
            Value::Record(record) => {
                out.extend_from_slice(b"{ ");
                for (index, (name, value)) in record.values().enumerate() {
                    out.extend_from_slice(if index > 0 { b", ." } else { b"." });
                    out.extend_from_slice(name.as_bytes());
                    out.extend_from_slice(b" = ");
                    self.text(&value, out);
                }
                out.extend_from_slice(b" }");
            }
            Value::Array(array) => {
                out.push(b'[');
                self.list(array.values(), b",", out);
                out.push(b']');
            }
        }
    }

    /// Appends values with a separator between them.
    pub(crate) fn list<'v>(&mut self, values: impl Iterator<Item = Value<'v>>, separator: &[u8], out: &mut Vec<u8>) {
        for (index, value) in values.enumerate() {
            if index > 0 {
                out.extend_from_slice(separator);
            }
            self.text(&value, out);
        }
    }

    /// Appends a line end and then a line for each frame.
    pub(crate) fn stack(&mut self, id: StackId, mode: StackMode, limit: u32, indent: &str, out: &mut Vec<u8>) {
        out.push(b'\n');
        if mode == StackMode::BuildId {
            return self.build_ids(id, limit, out);
        }
        let mut addresses = self.names.take_frames();
        self.names.symbols().stack(id, &mut addresses);
        for &address in addresses.iter().take(limit as usize) {
            self.frame(id, mode, address, indent, out);
            out.push(b'\n');
        }
        self.names.give_frames(addresses);
    }

    /// A line for each frame with its build id and the offset in the file.
    fn build_ids(&mut self, id: StackId, limit: u32, out: &mut Vec<u8>) {
        let symbols = self.names.symbols();
        let mut frames = Vec::new();
        symbols.build_ids(id, &mut frames);
        for frame in frames.into_iter().take(limit as usize) {
            match frame {
                BuildIdFrame::File { build_id, offset } => {
                    build_id.iter().for_each(|byte| push_format(out, format_args!("{byte:02x}")));
                    push_format(out, format_args!(" 0x{offset:x}"));
                }
                BuildIdFrame::Address(address) => match symbols.build_id(id.pid, address) {
                    Some((build_id, offset)) => push_format(out, format_args!("{build_id} 0x{offset:x}")),
                    None => push_format(out, format_args!("{address:x}")),
                },
            }
            out.push(b'\n');
        }
    }

    fn frame(&mut self, id: StackId, mode: StackMode, address: u64, indent: &str, out: &mut Vec<u8>) {
        let symbols = self.names.symbols();
        match mode {
            StackMode::Raw => push_format(out, format_args!("{address:x}")),
            StackMode::BuildId => {}
            StackMode::Bpftrace | StackMode::Perf => {
                let symbol = if id.kernel { symbols.kernel(address) } else { symbols.user(id.pid, address) };
                if mode == StackMode::Perf {
                    push_format(out, format_args!("\t{address:x} "));
                } else {
                    out.extend_from_slice(indent.as_bytes());
                }
                match &symbol {
                    Some(symbol) => push_format(out, format_args!("{}+{}", symbol.name, symbol.offset)),
                    None => push_format(out, format_args!("0x{address:x}")),
                }
                if mode == StackMode::Perf {
                    match symbol.map(|symbol| symbol.module) {
                        Some(module) if !module.is_empty() => push_format(out, format_args!(" ({module})")),
                        _ if id.kernel => {}
                        _ => out.extend_from_slice(b" ([unknown])"),
                    }
                }
            }
        }
    }
}

/// Bytes as ASCII, others as `\xNN`; a backslash stays as it is.
pub(crate) fn buffer_text(bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        match byte {
            0x20..0x7f => out.push(byte),
            _ => push_format(out, format_args!("\\x{byte:02x}")),
        }
    }
}

/// An address without a symbol. The reference prints zero without `0x`.
fn push_address(address: u64, out: &mut Vec<u8>) {
    if address == 0 {
        out.push(b'0');
    } else {
        push_format(out, format_args!("0x{address:x}"));
    }
}

/// Appends formatted text.
pub(crate) fn push_format(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector cannot fail.
    let _ = out.write_fmt(text);
}

/// Appends a decimal number; several times faster than the formatting machinery of the standard library.
pub(crate) fn push_unsigned(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a decimal number with its sign.
pub(crate) fn push_signed(number: i64, out: &mut Vec<u8>) {
    if number < 0 {
        out.push(b'-');
    }
    push_unsigned(number.unsigned_abs(), out);
}
