//! What is printed: `"format", value, value`, as a format and values of the script language.

use skep_diag::Diagnostic;
use skep_lang_script::ast::{Expr, ExprKind};
use skep_lang_script::{format_expr, parse_expr};

use crate::expr::{self, Scope};
use crate::flags;
use crate::text;

/// A format with its values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action {
    /// The format, escapes still in it, without quotes.
    pub format: String,
    /// The values as expressions.
    pub values: Vec<String>,
}

/// Letters that end a conversion.
const CONVERSIONS: &[u8] = b"scdiuxXopKUr";

/// Translates an action.
///
/// # Errors
/// What is wrong, with places in `source`.
pub fn translate(scope: &Scope<'_>, source: &str, (start, end): (usize, usize)) -> Result<Action, Vec<Diagnostic>> {
    let Some(quote) = text::quote_end(source, start, b'"').filter(|quote| *quote < end) else {
        let error = Diagnostic::error(crate::span(start, start + 1), "this format is never closed");
        return Err(vec![error.with_help("add the quote that belongs to it")]);
    };
    // Escapes are those of scripts; what is no escape is told at its place.
    parse_expr(&format!("{}{}", " ".repeat(start), &source[start..=quote]))?;
    let format = Format { source, start: start + 1, end: quote };
    let (after, _) = text::trim(source, (quote + 1, end));
    let values = match source[after..end].chars().next() {
        None => Vec::new(),
        Some(',') => text::split(source, after + 1, end, b','),
        Some(_) => {
            let error = Diagnostic::error(crate::span(after, end), "a comma is expected behind the format");
            return Err(vec![error.with_help("write `\"%d %s\", arg1, arg2`")]);
        }
    };
    let pieces = format.pieces()?;
    let conversions = pieces.iter().filter(|piece| matches!(piece, Piece::Conversion { .. })).count();
    if conversions != values.len() {
        let text = format!("the format has {conversions} conversions, and {} values follow", values.len());
        let error = Diagnostic::error(crate::span(start, quote + 1), text);
        return Err(vec![error.with_help("each conversion prints one value; `%%` is a percent sign")]);
    }
    let (mut action, mut errors, mut values) = (Action::default(), Vec::new(), values.into_iter());
    for piece in pieces {
        let (flags, letter) = match piece {
            Piece::Text(text) => {
                action.format.push_str(text);
                continue;
            }
            Piece::Conversion { flags, letter } => (flags, letter),
        };
        let Some(range) = values.next() else { break };
        match scope.tree_for(source, range) {
            Ok(value) => action.push(scope, flags, letter, &value),
            Err(list) => errors.extend(list),
        }
    }
    if errors.is_empty() { Ok(action) } else { Err(errors) }
}

/// A value of a format.
#[derive(Debug)]
pub enum Value {
    /// An expression.
    Plain(Expr),
    /// A set of flags by name.
    Flags(&'static flags::Set, Expr),
    /// A socket address by its pointer.
    Socket(Expr),
}

impl Scope<'_> {
    /// A value: an expression, or one of the functions that only a format can print.
    fn tree_for(&self, source: &str, range: (usize, usize)) -> Result<Value, Vec<Diagnostic>> {
        let (start, end) = text::trim(source, range);
        let open = source[start..end].find('(').map_or(end, |at| start + at);
        let name = &source[start..open];
        let set = flags::find(name);
        let whole = text::closing(source, open.min(source.len())).is_some_and(|close| close + 1 == end);
        if (set.is_none() && name != "SOCKADDR") || !whole {
            return self.tree(source, range).map(Value::Plain);
        }
        let inner = self.tree(source, (open + 1, end - 1))?;
        Ok(match set {
            Some(set) => Value::Flags(set, inner),
            None => Value::Socket(inner),
        })
    }
}

impl Action {
    fn push(&mut self, scope: &Scope<'_>, flags: &str, letter: &str, value: &Value) {
        let mut add = |format: &str, value: String| {
            self.format.push_str(format);
            self.values.push(value);
        };
        match value {
            Value::Flags(set, value) => expr::flag_texts(set, value).into_iter().for_each(|piece| add("%s", piece)),
            Value::Socket(pointer) => {
                let pointer = format_expr(pointer);
                let family = format!("((struct sockaddr*)({pointer}))->sa_family");
                let address = format!(
                    "({family} == 10 ? ntop(((struct sockaddr_in6*)({pointer}))->sin6_addr.in6_u.u6_addr8) : \
                     ntop(((struct sockaddr_in*)({pointer}))->sin_addr.s_addr))"
                );
                add("%s", address);
                add(":%d", format!("bswap(((struct sockaddr_in*)({pointer}))->sin_port)"));
            }
            Value::Plain(value) => {
                let shown = format_expr(value);
                let (letter, shown) = match letter {
                    "K" => ("s", format!("ksym({shown})")),
                    "U" => ("s", format!("usym({shown})")),
                    "s" if !expr::is_text(value) && !matches!(value.node, ExprKind::Call { .. }) => {
                        ("s", format!("str({shown}, {})", scope.string_size))
                    }
                    other => (other, shown),
                };
                add(&format!("%{flags}{letter}"), shown);
            }
        }
    }
}

/// A piece of a format.
enum Piece<'s> {
    Text(&'s str),
    Conversion { flags: &'s str, letter: &'s str },
}

struct Format<'s> {
    source: &'s str,
    start: usize,
    end: usize,
}

impl<'s> Format<'s> {
    fn pieces(&self) -> Result<Vec<Piece<'s>>, Vec<Diagnostic>> {
        let (bytes, mut pieces, mut errors) = (self.source.as_bytes(), Vec::new(), Vec::new());
        let (mut from, mut at) = (self.start, self.start);
        while at < self.end {
            if bytes[at] != b'%' {
                at += 1;
                continue;
            }
            if bytes.get(at + 1) == Some(&b'%') {
                at += 2;
                continue;
            }
            pieces.push(Piece::Text(&self.source[from..at]));
            let flags_at = at + 1;
            let mut letter_at = flags_at;
            while letter_at < self.end && b"-+ #0123456789.".contains(&bytes[letter_at]) {
                letter_at += 1;
            }
            let mut last = letter_at;
            while last < self.end && b"hlLqjzt".contains(&bytes[last]) {
                last += 1;
            }
            match bytes[last..self.end].first() {
                Some(letter) if CONVERSIONS.contains(letter) => {
                    // `%rx` and `%rh` are the two with a letter behind.
                    let more = usize::from(*letter == b'r' && last + 1 < self.end && b"xh".contains(&bytes[last + 1]));
                    let (flags, letter) = (&self.source[flags_at..letter_at], &self.source[letter_at..=last + more]);
                    pieces.push(Piece::Conversion { flags, letter });
                    at = last + 1 + more;
                }
                _ => {
                    let end = (last + 1).min(self.end);
                    let span = crate::span(at, if self.source.is_char_boundary(end) { end } else { self.end });
                    let error = Diagnostic::error(span, "there is no such conversion");
                    errors.push(
                        error.with_help(
                            "there are %s %c %d %u %x %p %ld %llu ..., %K and %U for symbols, %rh for bytes",
                        ),
                    );
                    at = last.max(at + 1);
                }
            }
            from = at;
        }
        pieces.push(Piece::Text(&self.source[from..self.end]));
        if errors.is_empty() { Ok(pieces) } else { Err(errors) }
    }
}
