//! Domain names as they are in a message: labels and compression pointers, case preserved.

use super::error::{DnsError, DnsErrorKind};
use std::fmt;

/// A name within a message. It has been checked: every label and pointer is sound.
///
/// Equality compares labels without regard to ASCII case, as RFC 4343 has it.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    message: &'a [u8],
    at: usize,
}

/// Most bytes of a name on the wire, the root's zero included (RFC 1035, 2.3.4).
pub const MOST_NAME: usize = 255;

impl<'a> Name<'a> {
    /// The root.
    pub const ROOT: Name<'static> = Name { message: &[0], at: 0 };

    /// Reads a name at `at` in a message; returns it and the offset of what follows it.
    ///
    /// Pointers have to point before the place where the piece of the name that holds them began; so every name ends.
    ///
    /// # Errors
    /// [`DnsError`] with the offset of the bad byte.
    pub fn parse(message: &'a [u8], at: usize) -> Result<(Self, usize), DnsError> {
        let name = Self { message, at };
        let (mut here, mut piece, mut after) = (at, at, None);
        let mut length = 0;
        loop {
            let error = |kind| DnsError { offset: here, kind };
            let first = *message.get(here).ok_or(error(DnsErrorKind::Truncated))?;
            match first {
                0 => return Ok((name, after.unwrap_or(here + 1))),
                1..=63 => {
                    length += usize::from(first) + 1;
                    if length >= MOST_NAME {
                        return Err(error(DnsErrorKind::NameTooLong));
                    }
                    here += usize::from(first) + 1;
                    if here > message.len() {
                        return Err(DnsError { offset: message.len(), kind: DnsErrorKind::Truncated });
                    }
                }
                0xc0.. => {
                    let second = *message.get(here + 1).ok_or(error(DnsErrorKind::Truncated))?;
                    let target = usize::from(u16::from_be_bytes([first & 0x3f, second]));
                    if target >= piece {
                        return Err(error(DnsErrorKind::ForwardPointer));
                    }
                    after.get_or_insert(here + 2);
                    (here, piece) = (target, target);
                }
                _ => return Err(error(DnsErrorKind::LabelType(first))),
            }
        }
    }

    /// The labels, the leftmost first, without the root.
    #[must_use]
    pub fn labels(&self) -> Labels<'a> {
        Labels { message: self.message, at: self.at, left: MOST_NAME }
    }

    /// True for the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.labels().next().is_none()
    }

    /// Appends the name as text without a dot at the end (the root is `.`); bytes that are not printable, dots and
    /// backslashes within labels are escaped as in zone files.
    pub fn write(&self, out: &mut Vec<u8>) {
        let before = out.len();
        for label in self.labels() {
            if out.len() > before {
                out.push(b'.');
            }
            write_label(out, label);
        }
        if out.len() == before {
            out.push(b'.');
        }
    }

    /// The same in lower case: the form that names are compared in.
    pub fn write_lower(&self, out: &mut Vec<u8>) {
        let before = out.len();
        self.write(out);
        if let Some(written) = out.get_mut(before..) {
            written.make_ascii_lowercase();
        }
    }
}

/// Appends a label as text: printable characters, others as `\DDD`.
pub fn write_label(out: &mut Vec<u8>, label: &[u8]) {
    for &byte in label {
        match byte {
            b'.' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'!'..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'0' + byte / 100, b'0' + byte / 10 % 10, b'0' + byte % 10]),
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.labels(), other.labels());
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.eq_ignore_ascii_case(b) => {}
                _ => return false,
            }
        }
    }
}

impl Eq for Name<'_> {}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.write(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Iterator over the labels of a name.
#[derive(Debug, Clone, Copy)]
pub struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// Bytes that the name may still have: a second guard against endless names.
    left: usize,
}

impl<'a> Iterator for Labels<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let first = *self.message.get(self.at)?;
            match first {
                0 => return None,
                1..=63 => {
                    let start = self.at + 1;
                    let end = start + usize::from(first);
                    self.left = self.left.checked_sub(usize::from(first) + 1)?;
                    self.at = end;
                    return self.message.get(start..end);
                }
                _ => {
                    let second = *self.message.get(self.at + 1)?;
                    let target = usize::from(u16::from_be_bytes([first & 0x3f, second]));
                    if target >= self.at {
                        return None;
                    }
                    self.at = target;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_followed_and_case_is_kept() {
        let message = b"\x03Www\x07Example\x03COM\x00\x04mail\xc0\x04\xc0\x11";
        let (first, next) = Name::parse(message, 0).unwrap();
        assert_eq!((first.to_string().as_str(), next), ("Www.Example.COM", 17));
        let (second, next) = Name::parse(message, 17).unwrap();
        assert_eq!((second.to_string().as_str(), next), ("mail.Example.COM", 24));
        let (third, next) = Name::parse(message, 24).unwrap();
        assert_eq!((third == second, third == first, next), (true, false, 26));
        let other = Name::parse(b"\x03wWW\x07eXAMPLE\x03com\x00", 0).unwrap().0;
        assert!(first == other);
        let mut lower = Vec::new();
        first.write_lower(&mut lower);
        assert_eq!(lower, b"www.example.com");
    }

    #[test]
    fn bad_names_are_errors_with_their_offset() {
        let error = |message: &[u8], at: usize| Name::parse(message, at).unwrap_err();
        assert_eq!(error(b"\xc0\x00", 0), DnsError { offset: 0, kind: DnsErrorKind::ForwardPointer });
        assert_eq!(error(b"\x01a\xc0\x00", 0), DnsError { offset: 2, kind: DnsErrorKind::ForwardPointer });
        assert_eq!(error(b"\x01a\xc0\x04\xc0\x00", 4).kind, DnsErrorKind::ForwardPointer);
        assert_eq!(error(b"\x05ab", 0), DnsError { offset: 3, kind: DnsErrorKind::Truncated });
        assert_eq!(error(b"\x41", 0).kind, DnsErrorKind::LabelType(0x41));
        assert_eq!(error(&b"\x3f".repeat(64 * 5), 0).kind, DnsErrorKind::NameTooLong);
        assert_eq!(error(b"", 0).kind, DnsErrorKind::Truncated);
    }

    #[test]
    fn strange_labels_are_escaped() {
        assert_eq!(Name::parse(b"\x05a.b\\\x1b\x00", 0).unwrap().0.to_string(), "a\\.b\\\\\\027");
        assert_eq!(Name::ROOT.to_string(), ".");
        assert!(Name::ROOT.is_root());
    }
}
