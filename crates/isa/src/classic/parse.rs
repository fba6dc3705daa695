//! Reading classic programs from the text that tcpdump prints: `-d`, `-dd`, `-ddd`, and xt_bpf's one line.
//!
//! The readers are lenient about white space (both libpcap releases) and strict about everything else. They do not
//! judge the program; that is [`super::check()`].

use std::fmt;

use super::{FORMS, Insn, Operand, ancillary_by_name};

/// A line of a listing that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Number of the line, counted from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub reason: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ParseError {}

/// Reads a listing as printed by `tcpdump -d`. Empty lines are skipped.
///
/// # Errors
/// The first line that is no instruction, or whose index in parentheses is not its position.
pub fn parse_listing(text: &str) -> Result<Vec<Insn>, ParseError> {
    parse_lines(text, |line, index| {
        let (number, rest) = line
            .strip_prefix('(')
            .and_then(|rest| rest.split_once(')'))
            .ok_or_else(|| format!("expected `({index:03})` at the start of the line"))?;
        if number.parse() != Ok(index) {
            return Err(format!("found `({number})` where instruction ({index:03}) was expected; are lines missing?"));
        }
        parse_insn(rest, index)
    })
}

/// Reads initialisers as printed by `tcpdump -dd`. Empty lines are skipped.
///
/// # Errors
/// The first line that is not of the form `{ 0x28, 0, 0, 0x0000000c },`.
pub fn parse_c_array(text: &str) -> Result<Vec<Insn>, ParseError> {
    parse_lines(text, |line, _| {
        let inner = line
            .strip_prefix('{')
            .and_then(|rest| rest.trim_end_matches(',').trim_end().strip_suffix('}'))
            .ok_or("expected `{ code, jt, jf, k },`")?;
        let fields: Vec<&str> = inner.split(',').map(str::trim).collect();
        insn_of_fields(&fields)
    })
}

/// Reads a program as printed by `tcpdump -ddd`, or the one line of xt_bpf with commas instead of newlines.
///
/// # Errors
/// The first line (or piece between commas) that is not four numbers, or a count that does not agree.
pub fn parse_decimal(text: &str) -> Result<Vec<Insn>, ParseError> {
    let mut rows = text
        .split(['\n', ','])
        .map(str::trim)
        .enumerate()
        .map(|(index, row)| (index + 1, row))
        .filter(|(_, row)| !row.is_empty());
    let Some((line, first)) = rows.next() else {
        return Err(ParseError { line: 1, reason: "expected the number of instructions, found nothing".to_owned() });
    };
    let count: usize = first
        .parse()
        .map_err(|_| ParseError { line, reason: format!("expected the number of instructions, found `{first}`") })?;
    let mut insns = Vec::new();
    for (line, row) in rows {
        let fields: Vec<&str> = row.split_whitespace().collect();
        insns.push(insn_of_fields(&fields).map_err(|reason| ParseError { line, reason })?);
    }
    if insns.len() != count {
        let reason = format!("the program claims {count} instructions but has {}", insns.len());
        return Err(ParseError { line, reason });
    }
    Ok(insns)
}

/// Applies `parse` to every line that is not empty, together with the index of the instruction.
fn parse_lines(
    text: &str,
    mut parse: impl FnMut(&str, usize) -> Result<Insn, String>,
) -> Result<Vec<Insn>, ParseError> {
    let mut insns = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if !line.is_empty() {
            let insn = parse(line, insns.len()).map_err(|reason| ParseError { line: number + 1, reason })?;
            insns.push(insn);
        }
    }
    Ok(insns)
}

fn insn_of_fields(fields: &[&str]) -> Result<Insn, String> {
    let &[code, jt, jf, k] = fields else {
        return Err(format!("expected the four numbers code, jt, jf and k, found {}", fields.len()));
    };
    Ok(Insn { code: ranged(code, "code")?, jt: ranged(jt, "jt")?, jf: ranged(jf, "jf")?, k: ranged(k, "k")? })
}

fn ranged<T: TryFrom<u32>>(text: &str, field: &str) -> Result<T, String> {
    unsigned(text)
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| format!("`{text}` is no valid number for the field {field}"))
}

/// A number without sign, decimal or with `0x`.
fn unsigned(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A number as printed by `%d` or `%u`.
fn signed_or_unsigned(text: &str) -> Option<u32> {
    match text.strip_prefix('-') {
        Some(_) => text.parse::<i32>().ok().map(|value| value as u32),
        None => unsigned(text),
    }
}

/// Parses mnemonic, operand and jump targets of the instruction at `index`.
fn parse_insn(text: &str, index: usize) -> Result<Insn, String> {
    let text = text.trim();
    let (mnemonic, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let (operand, targets) = match rest.split_once("jt ") {
        Some((operand, targets)) => (operand.trim(), Some(targets)),
        None => (rest.trim(), None),
    };
    if mnemonic == "unimp" {
        return finish(mnemonic, ranged(operand, "code")?, 0, targets, index);
    }
    let mut named = FORMS.iter().filter(|form| form.mnemonic == mnemonic).peekable();
    if named.peek().is_none() {
        return Err(format!("there is no instruction `{mnemonic}`"));
    }
    let (form, k) = named
        .find_map(|form| parse_operand(form.operand, operand, index).map(|k| (form, k)))
        .ok_or_else(|| format!("`{operand}` is no operand of `{mnemonic}`"))?;
    finish(mnemonic, form.code(), k, targets, index)
}

fn finish(mnemonic: &str, code: u16, k: u32, targets: Option<&str>, index: usize) -> Result<Insn, String> {
    let insn = Insn { code, jt: 0, jf: 0, k };
    match (insn.is_conditional(), targets) {
        (false, None) => Ok(insn),
        (false, Some(_)) => Err(format!("`{mnemonic}` has no jump targets")),
        (true, None) => Err("expected `jt N` and `jf N` after the operand".to_owned()),
        (true, Some(targets)) => {
            let (yes, no) = targets.split_once("jf ").ok_or("expected `jf N` after `jt N`")?;
            Ok(Insn { jt: distance(yes, index)?, jf: distance(no, index)?, ..insn })
        }
    }
}

/// The distance from the instruction at `index` to the target of a conditional jump.
fn distance(target: &str, index: usize) -> Result<u8, String> {
    let target = target.trim();
    let number: usize = target.parse().map_err(|_| format!("`{target}` is no index of an instruction"))?;
    number
        .checked_sub(index + 1)
        .and_then(|distance| u8::try_from(distance).ok())
        .ok_or_else(|| format!("target {number} is not 0 to 255 instructions behind instruction {index}"))
}

/// The value of `k` if `text` is an operand in this notation.
fn parse_operand(operand: Operand, text: &str, index: usize) -> Option<u32> {
    let between = |prefix, suffix| -> Option<&str> { Some(text.strip_prefix(prefix)?.strip_suffix(suffix)?.trim()) };
    match operand {
        Operand::None => text.is_empty().then_some(0),
        Operand::X => (text == "x").then_some(0),
        Operand::Len => (text == "#pktlen").then_some(0),
        Operand::Hex | Operand::Dec => signed_or_unsigned(text.strip_prefix('#')?),
        Operand::Abs => {
            let inner = between("[", "]")?;
            ancillary_by_name(inner).map(|word| word.k()).or_else(|| signed_or_unsigned(inner))
        }
        Operand::Ind => signed_or_unsigned(between("[x", "]")?.strip_prefix('+')?.trim()),
        Operand::Mem => signed_or_unsigned(between("M[", "]")?),
        Operand::Msh => signed_or_unsigned(between("4*([", "]&0xf)")?),
        Operand::Target => {
            // Wraps as the printer does, so that even senseless distances round-trip.
            let next = u32::try_from(index).ok()?.checked_add(1)?;
            Some(signed_or_unsigned(text)?.wrapping_sub(next))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classic::{PadStyle, listing};

    #[track_caller]
    fn rejects(text: &str, expected: &str) {
        assert_eq!(parse_listing(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn bad_lines_are_named() {
        rejects("ldh [12]", "line 1: expected `(000)` at the start of the line");
        rejects(
            "(000) ldh [12]\n\n(002) tax",
            "line 3: found `(002)` where instruction (001) was expected; are lines missing?",
        );
        rejects("(000) foo", "line 1: there is no instruction `foo`");
        rejects("(000) tax x", "line 1: `x` is no operand of `tax`");
        rejects("(000) jeq x", "line 1: expected `jt N` and `jf N` after the operand");
        rejects("(000) jeq x jt 2 jf 300", "line 1: target 300 is not 0 to 255 instructions behind instruction 0");
        rejects("(000) ld #1 jt 1 jf 2", "line 1: `ld` has no jump targets");
        rejects("(000) ld #0x1ffffffff", "line 1: `#0x1ffffffff` is no operand of `ld`");
        assert!(parse_decimal("3\n6 0 0 0").unwrap_err().reason.contains("claims 3"));
        assert!(parse_decimal("").is_err());
        assert!(parse_decimal("1\n6 0 256 0").unwrap_err().reason.contains("jf"));
        assert!(parse_c_array("{ 0x6, 0, 0 },").unwrap_err().reason.contains("four numbers"));
    }

    #[test]
    fn every_form_round_trips_in_both_styles() {
        for style in [PadStyle::V1_10, PadStyle::V1_11] {
            for k in [0, 1, 12, 0x7fff_ffff, 0x8000_0000, 0xffff_f004, u32::MAX] {
                for form in &FORMS {
                    let insn = Insn { code: form.code(), jt: 7, jf: 255, k }.decode().unwrap().encode();
                    let text = listing(&[insn], style);
                    assert_eq!(parse_listing(&text), Ok(vec![insn]), "{text}");
                }
            }
        }
    }
}
