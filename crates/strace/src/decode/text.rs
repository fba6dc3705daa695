//! Texts, bytes and addresses as strace writes them.

use std::fmt::Write as _;

/// How things are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether structures are shown in full (`-v`).
    pub full: bool,
    /// Most bytes of a text, and most elements of an array (`-s`).
    pub most: usize,
    /// Hexadecimal texts: 0 never, 1 if there are characters that cannot be printed, 2 always (`-x`, `-xx`).
    pub hex: u8,
}

impl Style {
    /// Most elements of an array that are shown: with `-v` all that are captured.
    pub fn elements(self) -> usize {
        if self.full { self.most.max(MOST_ELEMENTS) } else { self.most }
    }
}

/// Elements of an array that are captured when all are wanted.
const MOST_ELEMENTS: usize = 64;

impl Default for Style {
    fn default() -> Self {
        Self { full: false, most: 32, hex: 0 }
    }
}

/// Writes bytes between quotes. `more` says that there are more bytes than these.
pub fn quote(bytes: &[u8], more: bool, style: Style, out: &mut String) {
    let space = |byte: u8| matches!(byte, 9..=13);
    let plain = |byte: u8| matches!(byte, 0x20..=0x7e);
    let hex = match style.hex {
        0 => false,
        1 => !bytes.iter().all(|&byte| plain(byte) || space(byte)),
        _ => true,
    };
    out.push('"');
    for (at, &byte) in bytes.iter().enumerate() {
        if hex {
            let _ = write!(out, "\\x{byte:02x}");
            continue;
        }
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b'\t' => out.push_str("\\t"),
            b'\n' => out.push_str("\\n"),
            0x0b => out.push_str("\\v"),
            0x0c => out.push_str("\\f"),
            b'\r' => out.push_str("\\r"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                // A digit that follows must not be taken for a part of the number.
                let digit = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
                let _ = if digit { write!(out, "\\{byte:03o}") } else { write!(out, "\\{byte:o}") };
            }
        }
    }
    out.push('"');
    if more {
        out.push_str("...");
    }
}

/// Writes a text that has been captured with more than `most` bytes if it is longer.
pub fn text(bytes: &[u8], most: usize, style: Style, out: &mut String) {
    quote(&bytes[..bytes.len().min(most)], bytes.len() > most, style, out);
}

/// Ends an array of which so many of `count` elements were written.
pub fn end_array(written: usize, count: u64, out: &mut String) {
    if count > written as u64 {
        out.push_str(if written == 0 { "..." } else { ", ..." });
    }
    out.push(']');
}

/// Writes an address; 0 is `NULL`.
pub fn address(value: u64, out: &mut String) {
    if value == 0 {
        out.push_str("NULL");
    } else {
        let _ = write!(out, "{value:#x}");
    }
}

/// Writes a number in hexadecimal; 0 is `0`.
pub fn hex(value: u64, out: &mut String) {
    let _ = if value == 0 { write!(out, "0") } else { write!(out, "{value:#x}") };
}

/// Writes permissions: at least three digits of base 8.
pub fn mode(value: u64, out: &mut String) {
    let _ = if value < 0o100 { write!(out, "{value:03o}") } else { write!(out, "0{value:o}") };
}

/// Bytes of a structure. What is missing reads as zero.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'b>(pub &'b [u8]);

impl<'b> Bytes<'b> {
    /// The bytes from a place on.
    pub fn from(self, at: usize) -> Self {
        Self(self.0.get(at..).unwrap_or_default())
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        let part = at.checked_add(N).and_then(|end| self.0.get(at..end));
        part.and_then(|part| part.try_into().ok()).unwrap_or([0; N])
    }

    /// One byte.
    pub fn u8(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    /// Two bytes.
    pub fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    /// Two bytes in network order.
    pub fn net16(self, at: usize) -> u16 {
        u16::from_be_bytes(self.array(at))
    }

    /// Four bytes.
    pub fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// Four bytes with sign.
    pub fn i32(self, at: usize) -> i32 {
        i32::from_le_bytes(self.array(at))
    }

    /// Eight bytes.
    pub fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    /// Eight bytes with sign.
    pub fn i64(self, at: usize) -> i64 {
        i64::from_le_bytes(self.array(at))
    }

    /// A text that fills a field and may end earlier with NUL.
    pub fn field(self, at: usize, len: usize) -> &'b [u8] {
        let part = self.0.get(at..).unwrap_or_default();
        let part = &part[..part.len().min(len)];
        part.iter().position(|&byte| byte == 0).map_or(part, |end| &part[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(bytes: &[u8], hex: u8) -> String {
        let mut out = String::new();
        quote(bytes, false, Style { hex, ..Style::default() }, &mut out);
        out
    }

    #[test]
    fn texts() {
        assert_eq!(quoted(b"hello\tworld\n\x01\x023\xff", 0), r#""hello\tworld\n\1\0023\377""#);
        assert_eq!(quoted(b"a\"\\", 0), r#""a\"\\""#);
        assert_eq!(quoted(b"a\n", 1), r#""a\n""#);
        assert_eq!(quoted(b"a\x01", 1), r#""\x61\x01""#);
        assert_eq!(quoted(b"a", 2), r#""\x61""#);
    }

    #[test]
    fn numbers() {
        let text = |write: fn(u64, &mut String), value| {
            let mut out = String::new();
            write(value, &mut out);
            out
        };
        assert_eq!([0, 0o22, 0o644, 0o4711].map(|value| text(mode, value)), ["000", "022", "0644", "04711"]);
        assert_eq!([0, 255].map(|value| text(address, value)), ["NULL", "0xff"]);
        assert_eq!([0, 255].map(|value| text(hex, value)), ["0", "0xff"]);
        let end = |written, count| {
            let mut out = String::new();
            end_array(written, count, &mut out);
            out
        };
        assert_eq!([end(0, 0), end(2, 2), end(0, 5), end(2, 5)], ["]", "]", "...]", ", ...]"]);
    }
}
