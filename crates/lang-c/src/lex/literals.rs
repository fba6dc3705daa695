//! The values of character constants and strings.

use super::token::CharTy;

/// A literal taken apart: prefix and what is between the quotes. The text has both quotes.
pub fn split(spelling: &str) -> (CharTy, &str) {
    let quote = spelling.find(['"', '\'']).unwrap_or(0);
    let ty = match &spelling[..quote] {
        "u8" => CharTy::Utf8,
        "u" => CharTy::Utf16,
        "U" => CharTy::Utf32,
        "L" => CharTy::Wide,
        _ => CharTy::Plain,
    };
    (ty, spelling.get(quote + 1..spelling.len().saturating_sub(1)).unwrap_or(""))
}

/// One element of a literal: a character of Unicode, or a number from an escape, which is stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Char(char),
    Value(u32),
}

/// The elements of the text between quotes.
///
/// # Errors
/// A message about the first escape that means nothing.
fn units(body: &str, size: usize) -> Result<Vec<Unit>, String> {
    let mut units = Vec::new();
    let mut rest = body.chars().peekable();
    while let Some(c) = rest.next() {
        if c != '\\' {
            units.push(Unit::Char(c));
            continue;
        }
        let escape = rest.next().ok_or("an escape has to follow '\\'")?;
        let value = match escape {
            'n' => 10,
            't' => 9,
            'r' => 13,
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'v' => 11,
            'e' | 'E' => 27,
            '\\' | '\'' | '"' | '?' => escape as u32,
            '0'..='7' => {
                let mut value = escape as u32 - '0' as u32;
                for _ in 0..2 {
                    let Some(digit) = rest.peek().and_then(|c| c.to_digit(8)) else { break };
                    value = value * 8 + digit;
                    rest.next();
                }
                value
            }
            'x' => {
                let mut value: Option<u32> = None;
                while let Some(digit) = rest.peek().and_then(|c| c.to_digit(16)) {
                    let shifted = value.unwrap_or(0).checked_mul(16).ok_or("a hexadecimal escape is too large")?;
                    value = Some(shifted | digit);
                    rest.next();
                }
                value.ok_or("hexadecimal digits have to follow '\\x'")?
            }
            'u' | 'U' => {
                let count = if escape == 'u' { 4 } else { 8 };
                let mut value: u32 = 0;
                for _ in 0..count {
                    let digit = rest.next().and_then(|c| c.to_digit(16));
                    let digit =
                        digit.ok_or_else(|| format!("{count} hexadecimal digits have to follow '\\{escape}'"))?;
                    value = value.checked_mul(16).ok_or("no character has such a number")? | digit;
                }
                units.push(Unit::Char(char::from_u32(value).ok_or("no character has such a number")?));
                continue;
            }
            other => return Err(format!("unknown escape '\\{other}'")),
        };
        let max = if size >= 4 { u32::MAX } else { (1 << (8 * size)) - 1 };
        if value > max {
            return Err("an escape is too large for its character".to_owned());
        }
        units.push(Unit::Value(value));
    }
    Ok(units)
}

/// The bytes of a string without its terminating zero: each character as `ty` says, in little-endian order.
///
/// # Errors
/// A message about an escape that means nothing.
pub fn string(body: &str, ty: CharTy) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(body.len());
    for unit in units(body, ty.size())? {
        match (ty.size(), unit) {
            (1, Unit::Char(c)) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            (1, Unit::Value(value)) => bytes.push(value as u8),
            (2, Unit::Char(c)) => {
                for half in c.encode_utf16(&mut [0; 2]) {
                    bytes.extend_from_slice(&half.to_le_bytes());
                }
            }
            (2, Unit::Value(value)) => bytes.extend_from_slice(&(value as u16).to_le_bytes()),
            (_, Unit::Char(c)) => bytes.extend_from_slice(&(c as u32).to_le_bytes()),
            (_, Unit::Value(value)) => bytes.extend_from_slice(&value.to_le_bytes()),
        }
    }
    Ok(bytes)
}

/// The value of a character constant. Several plain characters are the bytes of an `int`, the last one lowest.
///
/// # Errors
/// A message if it is empty, too long, or holds an escape that means nothing.
pub fn character(body: &str, ty: CharTy) -> Result<i64, String> {
    let bytes = string(body, ty)?;
    let size = ty.size();
    if bytes.is_empty() {
        return Err("a character constant holds at least one character".to_owned());
    }
    if ty == CharTy::Plain {
        return match *bytes {
            [one] => Ok(i64::from(one as i8)),
            _ if bytes.len() <= 4 => {
                let value = bytes.iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
                Ok(i64::from(value as i32))
            }
            _ => Err("a character constant holds at most four bytes".to_owned()),
        };
    }
    if bytes.len() != size {
        return Err("a character constant with a prefix holds one character".to_owned());
    }
    let value = bytes.iter().rev().fold(0u32, |value, &byte| value << 8 | u32::from(byte));
    Ok(if ty == CharTy::Wide { i64::from(value as i32) } else { i64::from(value) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_have_the_values_of_c() {
        let value = |spelling: &str| {
            let (ty, body) = split(spelling);
            character(body, ty)
        };
        assert_eq!(value("'a'"), Ok(97));
        assert_eq!(value("'\\377'"), Ok(-1));
        assert_eq!(value("'ab'"), Ok(0x6162));
        assert_eq!(value("'\\xff\\xff\\xff\\xff'"), Ok(-1));
        assert_eq!(value("L'\\xffffffff'"), Ok(-1));
        assert_eq!(value("U'\\xffffffff'"), Ok(0xffff_ffff));
        assert_eq!(value("u'\u{e9}'"), Ok(0xe9));
        assert!(value("''").is_err() && value("'abcde'").is_err() && value("'\\q'").is_err());
        assert!(value("'\\x'").is_err() && value("'\\u12'").is_err() && value("'\\400'").is_err());
    }

    #[test]
    fn strings_are_bytes() {
        assert_eq!(string("a\\0b\\x41\\n", CharTy::Plain).as_deref(), Ok(&b"a\0bA\n"[..]));
        assert_eq!(string("\u{1f600}", CharTy::Utf16).as_deref(), Ok(&[0x3d, 0xd8, 0x00, 0xde][..]));
        assert_eq!(string("\\u00e9", CharTy::Plain).as_deref(), Ok("\u{e9}".as_bytes()));
    }
}
