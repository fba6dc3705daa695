//! Texts of specifications: brackets, quotes, lists.

pub use skep_lang_script::format::quoted;

/// Where the bracket that opens at `start` is closed. Quotes hide brackets.
pub fn closing(text: &str, start: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            quote @ (b'"' | b'\'') => at = quote_end(text, at, quote)?,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the quote that opens at `start` is closed.
pub fn quote_end(text: &str, start: usize, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The parts of `text[start..end]` between separators that are in no brackets and no quotes, as ranges.
pub fn split(text: &str, start: usize, end: usize, separator: u8) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let (mut parts, mut from, mut at, mut depth) = (Vec::new(), start, start, 0usize);
    while at < end {
        match bytes[at] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            quote @ (b'"' | b'\'') => at = quote_end(text, at, quote).unwrap_or(end),
            byte if byte == separator && depth == 0 => {
                parts.push((from, at));
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push((from.min(end), end));
    parts
}

/// The range without blanks at its ends.
pub fn trim(text: &str, (start, end): (usize, usize)) -> (usize, usize) {
    let part = &text[start..end];
    let front = part.len() - part.trim_start().len();
    let length = part.trim().len();
    (start + front, start + front + length)
}

/// Whether the text is a name of C.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|byte| byte == b'_' || byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
}
