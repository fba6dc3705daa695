//! Numbers and texts as they are written.

/// Units of durations in nanoseconds.
// TABLE
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// Letters that C allows behind a number, and whether they make it unsigned.
// TABLE
const SUFFIXES: &[(&str, bool)] =
    &[("u", true), ("l", false), ("ul", true), ("lu", true), ("ll", false), ("ull", true), ("llu", true)];

/// Why something is not a number, and what to write.
type Reason = (&'static str, &'static str);

const TOO_LARGE: Reason = ("too large", "numbers go up to 18446744073709551615, which is 2^64 - 1");
const FORMS: Reason = (
    "what follows the digits is not known",
    "write 42, 0x2a, 052, 0b101010, 1e6 or 1_000, perhaps with a unit: 10ms, or `u`, `l`, `ull`",
);

/// Reads a number: decimal, `0x`, `0b`, octal with a leading `0`, `1e6`, `_` between digits, a suffix of C, or a unit of
/// time, which gives nanoseconds. Also says whether it was a duration or unsigned.
///
/// # Errors
/// What is wrong, and what to write instead.
pub(crate) fn number(text: &str) -> Result<(u64, bool), (&'static str, &'static str)> {
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = lower.strip_prefix("0b") {
        return radix(digits, 2);
    }
    let length = lower.bytes().take_while(|b| b.is_ascii_digit() || *b == b'_').count();
    let (digits, behind) = lower.split_at(length);
    if let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == behind) {
        let value = parse(digits, 10)?.checked_mul(*unit).ok_or(TOO_LARGE)?;
        return Ok((value, true));
    }
    if let Some(exponent) = behind.strip_prefix('e') {
        return scientific(digits, exponent);
    }
    let base = if digits.len() > 1 && digits.starts_with('0') { 8 } else { 10 };
    suffixed(digits, behind, base)
}

fn radix(text: &str, base: u32) -> Result<(u64, bool), Reason> {
    let length = text.chars().take_while(|c| c.is_digit(base) || *c == '_').count();
    let (digits, behind) = text.split_at(length);
    suffixed(digits, behind, base)
}

fn suffixed(digits: &str, behind: &str, base: u32) -> Result<(u64, bool), Reason> {
    let value = parse(digits, base)?;
    if behind.is_empty() {
        return Ok((value, false));
    }
    let suffix = SUFFIXES.iter().find(|(name, _)| *name == behind).ok_or(FORMS)?;
    Ok((value, suffix.1))
}

fn parse(digits: &str, base: u32) -> Result<u64, Reason> {
    let digits = digits.replace('_', "");
    if digits.is_empty() {
        return Err(("digits are missing", FORMS.1));
    }
    u64::from_str_radix(&digits, base).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => TOO_LARGE,
        _ => ("a number with a leading 0 is octal", "use the digits 0 to 7, or leave the leading 0 out"),
    })
}

fn scientific(digits: &str, exponent: &str) -> Result<(u64, bool), Reason> {
    let length = exponent.bytes().take_while(u8::is_ascii_digit).count();
    let (exponent, behind) = exponent.split_at(length);
    let coefficient = parse(digits, 10)?;
    if !(1..=9).contains(&coefficient) || digits.len() != 1 {
        return Err(("one digit from 1 to 9 stands before the `e`", "write 1e6, 5e9, or the number in full"));
    }
    let exponent: u32 = exponent.parse().map_err(|_| FORMS)?;
    let value = 10u64.checked_pow(exponent).and_then(|power| power.checked_mul(coefficient)).ok_or(TOO_LARGE)?;
    suffixed(&value.to_string(), behind, 10)
}

/// A text as far as it goes.
pub(super) struct Scanned {
    /// Its contents, unless something is wrong with it.
    pub text: Option<String>,
    /// Bytes behind the first quote, the last quote included.
    pub length: usize,
    /// Where something is wrong, what, and what to write.
    pub errors: Vec<(usize, usize, String, &'static str)>,
}

const ESCAPES: &str = "known are \\n \\t \\r \\\" \\\\ \\0 to \\377 and \\x00 to \\xff";

/// Messages about one text.
const MAX_MESSAGES: usize = 5;

/// Reads a text behind its first quote.
pub(super) fn text(source: &str) -> Scanned {
    let (mut bytes, mut errors, mut at) = (Vec::new(), Vec::new(), 0);
    let closed = loop {
        match source.as_bytes().get(at) {
            None | Some(b'\n') => break false,
            Some(b'"') => {
                at += 1;
                break true;
            }
            Some(b'\\') => match escape(&source[at + 1..]) {
                Some((byte, length)) => {
                    bytes.push(byte);
                    at += 1 + length;
                }
                None if errors.len() < MAX_MESSAGES => {
                    let next = source[at + 1..].chars().next().filter(|c| *c != '\n').map_or(0, char::len_utf8);
                    let written = &source[at..at + 1 + next];
                    errors.push((at, at + 1 + next, format!("`{}` is not a known escape", written), ESCAPES));
                    at += 1 + next;
                }
                None => at += 1,
            },
            Some(byte) => {
                bytes.push(*byte);
                at += 1;
            }
        }
    };
    if !closed {
        errors.push((
            0,
            at,
            "this text does not end in its line".into(),
            "close it with `\"`; write a line end as \\n",
        ));
    }
    let text = String::from_utf8(bytes).ok();
    if text.is_none() {
        let help = "bytes above \\x7f must make up characters in UTF-8; compare with a buffer for other bytes";
        errors.push((0, at, "this text is not valid UTF-8".into(), help));
    }
    Scanned { text: text.filter(|_| errors.is_empty()), length: at, errors }
}

/// The byte of an escape, and how long it is without its backslash.
fn escape(text: &str) -> Option<(u8, usize)> {
    let bytes = text.as_bytes();
    let simple = match bytes.first()? {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'"' => b'"',
        b'\\' => b'\\',
        b'x' => {
            let length = bytes[1..].iter().take(2).take_while(|b| b.is_ascii_hexdigit()).count();
            return Some((u8::from_str_radix(&text[1..=length], 16).ok()?, 1 + length));
        }
        _ => {
            let length = bytes.iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
            return Some((u8::from_str_radix(&text[..length], 8).ok()?, length));
        }
    };
    Some((simple, 1))
}
