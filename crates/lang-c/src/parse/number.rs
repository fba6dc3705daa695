//! Integer constants as they are spelled.

use super::{Parsed, Parser};
use crate::source::{Diag, Loc, Sym};
use crate::types::Int;

impl Parser<'_> {
    /// The value and type of a number.
    pub(super) fn number(&mut self, sym: Sym, loc: Loc) -> Parsed<(i64, Int)> {
        let text = self.name_of(sym);
        match read(&text) {
            Ok(found) => Ok(found),
            Err(message) => self.fail(Diag::error(loc, format!("`{text}`: {message}"))),
        }
    }
}

fn read(text: &str) -> Result<(i64, Int), String> {
    let lower = text.to_ascii_lowercase().replace('\'', "");
    let (base, digits) = match lower.strip_prefix("0x") {
        Some(rest) => (16, rest),
        None => match lower.strip_prefix("0b") {
            Some(rest) => (2, rest),
            None if lower.starts_with('0') && lower.len() > 1 => (8, &lower[1..]),
            None => (10, lower.as_str()),
        },
    };
    let exponent = base != 16 && lower.contains('e') || base == 16 && lower.contains('p');
    if lower.contains('.') || exponent {
        return Err("BPF has no floating-point numbers; use integers, for example in thousandths".to_owned());
    }
    let end = digits.find(|c: char| !c.is_digit(16.min(base.max(10)))).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(end);
    let digits = if digits.is_empty() && base == 8 { "0" } else { digits };
    if digits.is_empty() {
        return Err("a number with no digits".to_owned());
    }
    let value = u64::from_str_radix(digits, base).map_err(|_| match base {
        8 if digits.contains(['8', '9']) => "a digit that octal numbers, which begin with 0, do not have".to_owned(),
        2 if digits.contains(|c| c > '1') => "a digit that binary numbers do not have".to_owned(),
        _ => "the number does not fit into 64 bits".to_owned(),
    })?;
    let unsigned = suffix.contains('u');
    let longs = suffix.matches('l').count();
    if !matches!(suffix.replacen('u', "", 1).as_str(), "" | "l" | "ll") {
        return Err(format!("the suffix `{suffix}` is none of `u`, `l`, `ll` and combinations"));
    }
    let fits = |int: Int| match int {
        Int::Int => i32::try_from(value).is_ok(),
        Int::UInt => u32::try_from(value).is_ok(),
        Int::Long | Int::LongLong => i64::try_from(value).is_ok(),
        _ => true,
    };
    let ladder: &[Int] = match longs {
        0 => &[Int::Int, Int::UInt, Int::Long, Int::ULong],
        1 => &[Int::Long, Int::ULong],
        _ => &[Int::LongLong, Int::ULongLong],
    };
    // Decimal numbers without `u` stay signed; unsigned ones have `u`, or need it in another base.
    let allowed = |int: &&Int| if unsigned { !int.signed() } else { int.signed() || base != 10 };
    let int = ladder.iter().filter(allowed).copied().find(|&int| fits(int)).unwrap_or(Int::ULongLong);
    Ok((value.cast_signed(), int))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_type_that_the_standard_says() {
        let table = [
            ("0", 0, Int::Int),
            ("017", 15, Int::Int),
            ("0xffffffff", 0xffff_ffff, Int::UInt),
            ("4294967295", 0xffff_ffff, Int::Long),
            ("0b101", 5, Int::Int),
            ("1ull", 1, Int::ULongLong),
            ("1LU", 1, Int::ULong),
            ("0xffffffffffffffff", -1, Int::ULong),
            ("18446744073709551615", -1, Int::ULongLong),
        ];
        for (text, value, int) in table {
            assert_eq!(read(text), Ok((value, int)), "{text}");
        }
        for text in ["1.5", "1e3", "0x", "099", "0b12", "1q", "99999999999999999999"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
