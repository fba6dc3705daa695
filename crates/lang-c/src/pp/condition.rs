//! The expressions of `#if`.

use super::Preprocessor;
use super::builtin::Query;
use crate::lex::literals;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{CharTy, Punct};
use crate::source::{Diag, Loc, Sym};

/// A condition that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition {
    /// Where it begins.
    pub(super) opened: Loc,
    /// True once a branch of it was read.
    pub(super) taken: bool,
    /// True behind its `#else`.
    pub(super) has_else: bool,
}

/// How deeply an expression may be nested.
const MAX_NESTING: u32 = 200;

/// A value of 64 bits; operations are without sign if one side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Value {
    bits: u64,
    unsigned: bool,
}

impl Value {
    const fn signed(value: i64) -> Self {
        Self { bits: value as u64, unsigned: false }
    }

    const fn truth(value: bool) -> Self {
        Self::signed(value as i64)
    }
}

impl Preprocessor<'_> {
    /// True if a name is a macro.
    pub(super) fn has_macro(&self, name: Sym) -> bool {
        self.macros.contains_key(&name)
            || self.words.builtins.contains_key(&name)
            || self.words.queries.contains_key(&name)
    }

    /// The value of the line after `#if`. False after an error.
    pub(super) fn evaluate_condition(&mut self, line: &[RawToken], word: RawToken) -> bool {
        if line.is_empty() {
            self.diags.error(word.loc, "an expression has to follow");
            return false;
        }
        let outer = std::mem::replace(&mut self.in_condition, true);
        let tokens = self.expand_list(line.to_vec());
        self.in_condition = outer;
        let mut eval = Eval { pp: self, tokens: &tokens, at: 0, end: word.loc, nesting: 0 };
        match eval.whole() {
            Ok(value) => value.bits != 0,
            Err((loc, message)) => {
                self.diags.push(Diag::error(loc, message));
                false
            }
        }
    }

    /// `defined NAME` or `defined(NAME)`, whose first word was read.
    pub(super) fn defined(&mut self, word: RawToken) -> RawToken {
        let mut token = self.next_raw();
        let parenthesis = token.is(Punct::LParen);
        if parenthesis {
            token = self.next_raw();
        }
        let is = token.name().map(|name| self.has_macro(name));
        if is.is_none() || (parenthesis && !self.next_raw().is(Punct::RParen)) {
            self.diags.error(word.loc, "'defined' takes a name: 'defined NAME' or 'defined(NAME)'");
        }
        self.number(is == Some(true), word)
    }

    fn number(&mut self, value: bool, at: RawToken) -> RawToken {
        let sym = self.sources.intern(if value { "1" } else { "0" });
        RawToken { kind: RawKind::Number(sym), ..at }
    }

    /// `__has_include(...)` and its like, whose first word was read.
    pub(super) fn query(&mut self, query: Query, word: RawToken) -> RawToken {
        let mut inner = Vec::new();
        let mut nesting = 0;
        let open = self.next_raw();
        if open.is(Punct::LParen) {
            loop {
                let token = self.next_raw();
                if token.is_eof() || (token.is(Punct::RParen) && nesting == 0) {
                    break;
                }
                nesting += i32::from(token.is(Punct::LParen)) - i32::from(token.is(Punct::RParen));
                inner.push(token);
            }
        }
        if inner.is_empty() {
            let mut name = String::new();
            word.spell(self.sources, &mut name);
            self.diags.error(word.loc, format!("'{name}' takes what it asks for in parentheses"));
            return self.number(false, word);
        }
        let answer = match query {
            Query::Include | Query::IncludeNext => {
                let header = self.header_name(&inner);
                header.is_some_and(|header| self.find_header(&header, query == Query::IncludeNext, word.loc).is_some())
            }
            _ => inner[0].name().is_some_and(|name| query.answer(self.sources.text(name))),
        };
        self.number(answer, word)
    }
}

type Answer = Result<Value, (Loc, String)>;

struct Eval<'a, 'b> {
    pp: &'a mut Preprocessor<'b>,
    tokens: &'a [RawToken],
    at: usize,
    end: Loc,
    nesting: u32,
}

/// The binary operators with their precedence.
const BINARY: &[(Punct, u8)] = &[
    (Punct::OrOr, 1),
    (Punct::AndAnd, 2),
    (Punct::Pipe, 3),
    (Punct::Caret, 4),
    (Punct::Amp, 5),
    (Punct::EqEq, 6),
    (Punct::Ne, 6),
    (Punct::Lt, 7),
    (Punct::Gt, 7),
    (Punct::Le, 7),
    (Punct::Ge, 7),
    (Punct::Shl, 8),
    (Punct::Shr, 8),
    (Punct::Plus, 9),
    (Punct::Minus, 9),
    (Punct::Star, 10),
    (Punct::Slash, 10),
    (Punct::Percent, 10),
];

impl Eval<'_, '_> {
    fn whole(&mut self) -> Answer {
        let value = self.conditional(true)?;
        match self.tokens.get(self.at) {
            None => Ok(value),
            Some(token) => Err((token.loc, "an operator is missing in the condition".to_owned())),
        }
    }

    fn peek(&self) -> Option<RawToken> {
        self.tokens.get(self.at).copied()
    }

    fn here(&self) -> Loc {
        self.peek().map_or(self.end, |token| token.loc)
    }

    fn take(&mut self, punct: Punct) -> bool {
        let found = self.peek().is_some_and(|token| token.is(punct));
        self.at += usize::from(found);
        found
    }

    /// `live` is false where the value is not used, so that dividing by zero there is no error.
    fn conditional(&mut self, live: bool) -> Answer {
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err((self.here(), format!("the condition is nested more than {MAX_NESTING} deep")));
        }
        let condition = self.binary(0, live)?;
        let mut result = condition;
        if self.take(Punct::Question) {
            let holds = condition.bits != 0;
            let yes = self.conditional(live && holds)?;
            if !self.take(Punct::Colon) {
                return Err((self.here(), "':' is missing after '?'".to_owned()));
            }
            let no = self.conditional(live && !holds)?;
            let bits = if holds { yes.bits } else { no.bits };
            result = Value { bits, unsigned: yes.unsigned || no.unsigned };
        }
        self.nesting -= 1;
        Ok(result)
    }

    fn binary(&mut self, least: u8, live: bool) -> Answer {
        let mut left = self.unary(live)?;
        loop {
            let Some(token) = self.peek() else { return Ok(left) };
            let Some(&(punct, precedence)) = BINARY.iter().find(|(punct, _)| token.is(*punct)) else { return Ok(left) };
            if precedence <= least {
                return Ok(left);
            }
            self.at += 1;
            let needed = match punct {
                Punct::OrOr => live && left.bits == 0,
                Punct::AndAnd => live && left.bits != 0,
                _ => live,
            };
            let right = self.binary(precedence, needed)?;
            left = operate(punct, left, right, live).map_err(|message| (token.loc, message))?;
        }
    }

    fn unary(&mut self, live: bool) -> Answer {
        let Some(token) = self.peek() else {
            return Err((self.end, "the condition ends where a value is expected".to_owned()));
        };
        self.at += 1;
        self.nesting += 1;
        if self.nesting > MAX_NESTING {
            return Err((token.loc, format!("the condition is nested more than {MAX_NESTING} deep")));
        }
        let value = match token.kind {
            RawKind::Punct(Punct::Bang) => Value::truth(self.unary(live)?.bits == 0),
            RawKind::Punct(Punct::Plus) => self.unary(live)?,
            RawKind::Punct(Punct::Minus) => {
                let value = self.unary(live)?;
                Value { bits: value.bits.wrapping_neg(), ..value }
            }
            RawKind::Punct(Punct::Tilde) => {
                let value = self.unary(live)?;
                Value { bits: !value.bits, ..value }
            }
            RawKind::Punct(Punct::LParen) => {
                let value = self.conditional(live)?;
                if !self.take(Punct::RParen) {
                    return Err((self.here(), "')' is missing in the condition".to_owned()));
                }
                value
            }
            RawKind::Number(sym) => {
                let text = self.pp.sources.text(sym);
                number(text).map_err(|message| (token.loc, message))?
            }
            RawKind::Char(sym) => {
                let (ty, body) = literals::split(self.pp.sources.text(sym));
                let value = literals::character(body, ty).map_err(|message| (token.loc, message))?;
                Value { bits: value as u64, unsigned: matches!(ty, CharTy::Utf16 | CharTy::Utf32) }
            }
            RawKind::Ident(name) => {
                if self.peek().is_some_and(|next| next.is(Punct::LParen)) && live {
                    let name = self.pp.sources.text(name);
                    return Err((token.loc, format!("'{name}' is no macro that takes arguments")));
                }
                Value::signed(0)
            }
            _ => {
                let mut spelled = String::new();
                token.spell(self.pp.sources, &mut spelled);
                return Err((token.loc, format!("a value is expected in the condition, here is '{spelled}'")));
            }
        };
        self.nesting -= 1;
        Ok(value)
    }
}

fn operate(punct: Punct, left: Value, right: Value, live: bool) -> Result<Value, String> {
    let unsigned = left.unsigned || right.unsigned;
    let (a, b) = (left.bits, right.bits);
    let (x, y) = (a as i64, b as i64);
    let compare = |signed: bool, other: bool| Value::truth(if unsigned { other } else { signed });
    let bits = match punct {
        Punct::OrOr => return Ok(Value::truth(a != 0 || b != 0)),
        Punct::AndAnd => return Ok(Value::truth(a != 0 && b != 0)),
        Punct::EqEq => return Ok(Value::truth(a == b)),
        Punct::Ne => return Ok(Value::truth(a != b)),
        Punct::Lt => return Ok(compare(x < y, a < b)),
        Punct::Gt => return Ok(compare(x > y, a > b)),
        Punct::Le => return Ok(compare(x <= y, a <= b)),
        Punct::Ge => return Ok(compare(x >= y, a >= b)),
        Punct::Pipe => a | b,
        Punct::Caret => a ^ b,
        Punct::Amp => a & b,
        Punct::Shl | Punct::Shr => return Ok(shift(punct == Punct::Shl, left, right)),
        Punct::Plus => a.wrapping_add(b),
        Punct::Minus => a.wrapping_sub(b),
        Punct::Star => a.wrapping_mul(b),
        _ if b == 0 => {
            if live {
                return Err("the condition divides by zero".to_owned());
            }
            0
        }
        Punct::Slash if unsigned => a / b,
        Punct::Slash => x.wrapping_div(y) as u64,
        _ if unsigned => a % b,
        _ => x.wrapping_rem(y) as u64,
    };
    Ok(Value { bits, unsigned })
}

/// Shifts by a negative number go the other way; what is shifted out is gone.
fn shift(to_left: bool, value: Value, by: Value) -> Value {
    let negative = !by.unsigned && (by.bits as i64) < 0;
    let count = if negative { by.bits.wrapping_neg() } else { by.bits };
    let to_left = to_left != negative;
    let bits = match (count > 63, to_left, value.unsigned) {
        (true, false, false) => ((value.bits as i64) >> 63) as u64,
        (true, ..) => 0,
        (false, true, _) => value.bits << count,
        (false, false, true) => value.bits >> count,
        (false, false, false) => ((value.bits as i64) >> count) as u64,
    };
    Value { bits, ..value }
}

/// An integer constant.
fn number(text: &str) -> Result<Value, String> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, &*lower)
    };
    let end = digits.find(|c: char| !c.is_digit(radix)).unwrap_or(digits.len());
    let (digits, suffix) = digits.split_at(end);
    let unsigned = match suffix {
        "" | "l" | "ll" => false,
        "u" | "ul" | "ull" | "lu" | "llu" => true,
        _ if suffix.starts_with('.') || (radix == 10 && suffix.starts_with('e')) => {
            return Err(format!("'{text}' is no integer: conditions know no floating-point numbers"));
        }
        _ => return Err(format!("'{text}' is no integer")),
    };
    if digits.is_empty() && radix != 8 {
        return Err(format!("'{text}' has no digits"));
    }
    let digits = if digits.is_empty() { "0" } else { digits };
    let bits = u64::from_str_radix(digits, radix).map_err(|_| format!("'{text}' does not fit into 64 bits"))?;
    Ok(Value { bits, unsigned: unsigned || bits > i64::MAX as u64 })
}
