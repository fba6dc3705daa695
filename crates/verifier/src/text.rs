//! Formats of texts: what of them is checked before a program runs (`check_bpf_snprintf_call`, `bpf_bprintf_prepare`).

use crate::reg::Kind;
use crate::reject::{Reason, Step};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;

impl Verifier<'_> {
    /// The format and the arguments of `snprintf`: both have to be known.
    pub fn format(&self, state: &State) -> Step<()> {
        let (format, length) = (state.reg(3), state.reg(5));
        let bytes = length.num.bits().value();
        let Kind::Value(map) = format.kind else { return Ok(()) };
        let start = format.fixed_offset().and_then(|off| usize::try_from(off).ok()).unwrap_or(0);
        let contents = self.maps[map as usize].contents.first().and_then(|(_, bytes)| bytes.get(start..));
        let text = contents.and_then(|bytes| bytes.split(|byte| *byte == 0).next()).unwrap_or(&[]);
        match conversions(text) {
            Some(count) if bytes % 8 == 0 && count <= bytes / 8 => Ok(()),
            _ => Err(Reason::Rule(&rules::TEXT_FORMAT).into()),
        }
    }
}

/// How many arguments a format takes; `None` if the kernel does not know it.
fn conversions(text: &[u8]) -> Option<u64> {
    let mut count = 0;
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if !(first.is_ascii_graphic() || first.is_ascii_whitespace() || *first == 0x0b) {
            return None;
        }
        if *first != b'%' {
            continue;
        }
        if let Some(behind) = rest.strip_prefix(b"%") {
            rest = behind;
            continue;
        }
        count += 1;
        rest = conversion(rest)?;
    }
    Some(count)
}

/// What is behind one conversion, whose `%` was read.
fn conversion(text: &[u8]) -> Option<&[u8]> {
    let skip = |text: &'_ [u8], is: fn(&u8) -> bool| text.iter().take_while(|byte| is(byte)).count();
    let text = &text[skip(text, |byte| b"0+- ".contains(byte))..];
    let text = &text[skip(text, u8::is_ascii_digit)..];
    let (kind, behind) = text.split_first()?;
    match kind {
        b'p' => match behind {
            [b'k' | b'u', b's', rest @ ..] => Some(rest),
            [b'i' | b'I', b'4' | b'6', rest @ ..] => Some(rest),
            [b'K' | b'x' | b's' | b'S' | b'B', rest @ ..] => Some(rest),
            [] => Some(behind),
            [next, ..] if next.is_ascii_whitespace() || next.is_ascii_punctuation() => Some(behind),
            _ => None,
        },
        b's' | b'c' => Some(behind),
        _ => {
            let text = text.strip_prefix(b"ll").or_else(|| text.strip_prefix(b"l")).unwrap_or(text);
            let (last, behind) = text.split_first()?;
            b"iduxX".contains(last).then_some(behind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::conversions;

    #[test]
    fn formats() {
        assert_eq!(conversions(b"%d %5llu %-08lx %%"), Some(3));
        assert_eq!(conversions(b"%pI4 %pi6 %ps %pks %p, %p %s %c"), Some(8));
        for wrong in [&b"%"[..], b"%y", b"%pM", b"\x01", b"%lls", b"a\xff"] {
            assert_eq!(conversions(wrong), None, "{wrong:?}");
        }
    }
}
