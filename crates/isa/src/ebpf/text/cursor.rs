//! A position in one line of assembly text, with the small readers that statements are built from.

use super::super::{Reg, Size, Width};

/// What is wrong, and at which byte of the line.
pub type Fault = (usize, String);

/// The rest of a line.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

/// A register with the width its letter names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    pub width: Width,
    pub reg: Reg,
}

/// A number as written: its value and whether it was hexadecimal.
#[derive(Clone, Copy)]
pub struct Number {
    pub value: i128,
    pub hex: bool,
    pub at: usize,
}

impl<'a> Cursor<'a> {
    pub fn new(line: &'a str) -> Self {
        Self { line, at: 0 }
    }

    pub fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or("")
    }

    pub fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// Byte of the line at which the next token starts.
    pub fn position(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    pub fn fault<T>(&mut self, reason: impl Into<String>) -> Result<T, Fault> {
        Err((self.position(), reason.into()))
    }

    /// Complains that `what` was expected here.
    pub fn expected<T>(&mut self, what: &str) -> Result<T, Fault> {
        self.skip_space();
        let found: String = self.rest().chars().take_while(|c| !c.is_whitespace()).take(20).collect();
        match found.as_str() {
            "" => self.fault(format!("expected {what}, found the end of the line")),
            found => {
                let reason = format!("expected {what}, found `{found}`");
                self.fault(reason)
            }
        }
    }

    /// Consumes `text` after white space if it is there.
    pub fn eat(&mut self, text: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub fn expect(&mut self, text: &str) -> Result<(), Fault> {
        if self.eat(text) { Ok(()) } else { self.expected(&format!("`{text}`")) }
    }

    /// Consumes a whole word, not the start of a longer one.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = *self;
        let found = ahead.word() == Some(word);
        if found {
            *self = ahead;
        }
        found
    }

    /// A word of letters, digits and underscores that does not start with a digit.
    pub fn word(&mut self) -> Option<&'a str> {
        self.skip_space();
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let word = rest.get(..end).filter(|word| word.starts_with(|c: char| !c.is_ascii_digit()))?;
        if word.is_empty() {
            return None;
        }
        self.at += end;
        Some(word)
    }

    /// The longest of `symbols` that comes next.
    pub fn symbol<T: Copy>(&mut self, all: &[T], symbol: impl Fn(T) -> &'static str) -> Option<T> {
        self.skip_space();
        let rest = self.rest();
        let longest = all
            .iter()
            .copied()
            .filter(|&candidate| rest.starts_with(symbol(candidate)))
            .max_by_key(|&candidate| symbol(candidate).len())?;
        self.at += symbol(longest).len();
        Some(longest)
    }

    /// A register such as `r1` or `w10`, `None` (and nothing consumed) if there is none.
    pub fn operand(&mut self) -> Option<Operand> {
        let mut ahead = *self;
        let word = ahead.word()?;
        let width = match word.as_bytes().first()? {
            b'r' => Width::W64,
            b'w' => Width::W32,
            _ => return None,
        };
        let digits = word.get(1..)?;
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let reg = Reg::new(digits.parse().ok()?)?;
        *self = ahead;
        Some(Operand { width, reg })
    }

    pub fn expect_operand(&mut self) -> Result<Operand, Fault> {
        match self.operand() {
            Some(operand) => Ok(operand),
            None => self.expected("a register (r0 to r10, w0 to w10)"),
        }
    }

    /// A register that has to be written with `r`.
    pub fn expect_reg(&mut self) -> Result<Reg, Fault> {
        let mut ahead = *self;
        match ahead.operand() {
            Some(Operand { width: Width::W64, reg }) => {
                *self = ahead;
                Ok(reg)
            }
            _ => self.expected("a register (r0 to r10)"),
        }
    }

    /// A number with optional sign, decimal or with `0x`.
    pub fn number(&mut self) -> Option<Number> {
        let mut ahead = *self;
        let at = ahead.position();
        let negative = ahead.eat("-");
        if !negative {
            ahead.eat("+");
        }
        ahead.skip_space();
        let hex = ahead.rest().starts_with("0x");
        if hex {
            ahead.at += 2;
        }
        let rest = ahead.rest();
        let end = rest.find(|c: char| !c.is_ascii_hexdigit() || !(hex || c.is_ascii_digit())).unwrap_or(rest.len());
        let digits = rest.get(..end)?;
        let value = i128::from_str_radix(digits, if hex { 16 } else { 10 }).ok()?;
        ahead.at += end;
        *self = ahead;
        Some(Number { value: if negative { -value } else { value }, hex, at })
    }

    pub fn expect_number(&mut self) -> Result<Number, Fault> {
        match self.number() {
            Some(number) => Ok(number),
            None => self.expected("a number"),
        }
    }

    /// A number of a certain type; `what` names it in the error.
    pub fn ranged<T: TryFrom<i128>>(&mut self, what: &str) -> Result<T, Fault> {
        let number = self.expect_number()?;
        T::try_from(number.value).map_err(|_| (number.at, format!("{} does not fit {what}", number.value)))
    }

    /// A type in a memory access, `u8` to `u64` or `s8` to `s64`: its size and whether it has a sign.
    pub fn access_type(&mut self) -> Result<(Size, bool), Fault> {
        let mut ahead = *self;
        let word = ahead.word().unwrap_or("");
        let found = Size::ALL.iter().find_map(|&size| match word {
            _ if word == size.symbol() => Some((size, false)),
            _ if word == size.signed_symbol() => Some((size, true)),
            _ => None,
        });
        match found {
            Some(found) => {
                *self = ahead;
                Ok(found)
            }
            None => self.expected("a type (u8, u16, u32, u64, s8, s16 or s32)"),
        }
    }

    /// An address such as `(r1 +4)`, `(r1 + 4)`, `(r1 - 4)` or `(r1)`.
    pub fn address(&mut self) -> Result<(Reg, i16), Fault> {
        self.expect("(")?;
        let place = self.place()?;
        self.expect(")")?;
        Ok(place)
    }

    /// An address without parentheses.
    pub fn place(&mut self) -> Result<(Reg, i16), Fault> {
        let base = self.expect_reg()?;
        self.skip_space();
        if !self.rest().starts_with(['+', '-']) {
            return Ok((base, 0));
        }
        // LLVM prints negative offsets as `+ -4`.
        let mut ahead = *self;
        if ahead.eat("+") && ahead.rest().trim_start().starts_with('-') {
            *self = ahead;
        }
        let off = self.ranged("the 16-bit offset of a memory access")?;
        Ok((base, off))
    }

    /// A typed address such as `(u32 *)(r1 +4)`.
    pub fn typed_address(&mut self) -> Result<(Size, Reg, i16), Fault> {
        let at = self.position();
        self.expect("(")?;
        let (size, signed) = self.access_type()?;
        if signed {
            return Err((at, "expected an unsigned type; only loads can be signed".to_owned()));
        }
        self.expect("*")?;
        self.expect(")")?;
        let (base, off) = self.address()?;
        Ok((size, base, off))
    }

    pub fn expect_end(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.rest().is_empty() { Ok(()) } else { self.expected("the end of the line") }
    }
}
