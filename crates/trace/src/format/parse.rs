//! From the text of a format to segments.

use super::{Conversion, FormatError, Kind, Segment};

/// A width beyond this is taken as this; nobody wants longer lines, and a typing error must not fill the memory.
const MAX_WIDTH: u32 = 4096;

// TABLE
/// The letters of conversions; longer ones first.
const KINDS: &[(&str, Option<Kind>)] = &[
    ("rx", Some(Kind::BufferEscaped)),
    ("rh", Some(Kind::BufferHex)),
    ("gr", Some(Kind::AllocationFlags)),
    ("d", Some(Kind::Signed)),
    ("i", Some(Kind::Signed)),
    ("u", Some(Kind::Unsigned)),
    ("o", Some(Kind::Octal)),
    ("x", Some(Kind::Hex)),
    ("X", Some(Kind::UpperHex)),
    ("c", Some(Kind::Char)),
    ("s", Some(Kind::Text)),
    ("p", Some(Kind::Pointer)),
    ("r", Some(Kind::Buffer)),
    ("a", None),
    ("A", None),
    ("e", None),
    ("E", None),
    ("f", None),
    ("F", None),
    ("g", None),
    ("G", None),
];

// TABLE
/// Lengths with their number of bytes; longer ones first.
const LENGTHS: &[(&str, u8)] =
    &[("hh", 1), ("h", 2), ("ll", 8), ("l", 8), ("j", 8), ("z", 8), ("t", 8), ("L", 8), ("", 4)];

pub(super) fn segments(text: &str) -> Result<Vec<Segment>, FormatError> {
    let mut segments = Vec::new();
    let mut literal = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        literal.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let (conversion, after) = match conversion(rest) {
            Some((Letters::Conversion(conversion), after)) => (conversion, after),
            Some((Letters::Unsupported, after)) => {
                let spelled = rest[..rest.len() - after.len()].to_owned();
                return Err(FormatError::Unsupported { text: spelled, at: text.len() - rest.len() });
            }
            Some((Letters::Percent, after)) => {
                literal.push(b'%');
                rest = after;
                continue;
            }
            None => {
                literal.push(b'%');
                rest = &rest[1..];
                continue;
            }
        };
        if !literal.is_empty() {
            segments.push(Segment::Literal(std::mem::take(&mut literal).into()));
        }
        segments.push(Segment::Conversion(conversion));
        rest = after;
    }
    literal.extend_from_slice(rest.as_bytes());
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal.into()));
    }
    Ok(segments)
}

/// What a `%` with everything behind it turned out to be.
enum Letters {
    Conversion(Conversion),
    /// `%%`, also with flags and a width between.
    Percent,
    /// Known, but the language has no such values.
    Unsupported,
}

/// A conversion and what follows.
fn conversion(text: &str) -> Option<(Letters, &str)> {
    let mut rest = text.strip_prefix('%')?;
    let mut flag = |flag: char| match rest.strip_prefix(flag) {
        Some(after) => {
            rest = after;
            true
        }
        None => false,
    };
    let (left, plus, _space, alternate, zero) = (flag('-'), flag('+'), flag(' '), flag('#'), flag('0'));
    let width;
    (width, rest) = match rest.strip_prefix('*') {
        Some(after) => (0, after),
        None => number(rest),
    };
    if let Some(after) = rest.strip_prefix('.') {
        rest = after.strip_prefix('*').unwrap_or_else(|| number(after).1);
    }
    if let Some(after) = rest.strip_prefix('%') {
        return Some((Letters::Percent, after));
    }
    let bytes;
    (bytes, rest) = LENGTHS.iter().find_map(|(length, bytes)| Some((*bytes, rest.strip_prefix(length)?)))?;
    let (kind, rest) = KINDS.iter().find_map(|(letters, kind)| Some((*kind, rest.strip_prefix(letters)?)))?;
    let conversion = kind.map(|kind| Conversion { kind, bytes, width, left, plus, alternate, zero });
    Some((conversion.map_or(Letters::Unsupported, Letters::Conversion), rest))
}

/// Digits as a number, and what follows.
fn number(text: &str) -> (u32, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(digits);
    let value = digits.bytes().fold(0, |value: u32, digit| (value * 10 + u32::from(digit - b'0')).min(MAX_WIDTH));
    (value, rest)
}
