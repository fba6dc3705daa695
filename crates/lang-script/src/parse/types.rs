//! Types, and looking ahead whether something is one.

use super::{Failed, Parse, Parser};
use crate::ast::{Spanned, TypeExpr, TypeKind};
use crate::lex::{Kind, Lexer, Token};
use crate::words;

/// Tuples in tuples that are looked at before it is decided that something is no type.
const MAX_SCAN: u32 = 16;

/// Tokens in brackets that are looked at before it is decided that something is no type.
const MAX_AHEAD: u32 = 250;

/// What looks like a type.
pub(super) struct Scanned {
    /// The first token behind it.
    pub next: Token,
    /// Whether it can be nothing else.
    pub certain: bool,
    /// Whether it is a name that was made an expression.
    pub value: bool,
}

impl Parser<'_> {
    /// A type.
    pub(super) fn type_expr(&mut self) -> Parse<TypeExpr> {
        let start = self.token.span.start;
        let outer = std::mem::take(&mut self.height);
        let base = self.nested(Self::base_type)?;
        let ty = self.type_suffix(base, start);
        self.height = self.height.max(outer);
        ty
    }

    /// Stars and brackets, from left to right.
    fn type_suffix(&mut self, mut ty: TypeExpr, start: u32) -> Parse<TypeExpr> {
        loop {
            while self.word().is_some_and(|word| words::C_QUALIFIERS.contains(&word)) {
                self.advance();
            }
            let node = if self.eat("*") {
                TypeKind::Pointer(Box::new(ty))
            } else if self.eat("[") {
                let size = if self.at("]") { None } else { Some(Box::new(self.expr()?)) };
                self.expect("]")?;
                TypeKind::Array(Box::new(ty), size)
            } else {
                return Ok(ty);
            };
            self.grow()?;
            ty = Spanned::new(node, self.since(start));
        }
    }

    /// A type without stars and brackets.
    pub(super) fn base_type(&mut self) -> Parse<TypeExpr> {
        while self.word().is_some_and(|word| words::C_QUALIFIERS.contains(&word)) {
            self.advance();
        }
        let start = self.token.span.start;
        let node = match self.word() {
            Some(word @ ("struct" | "union" | "enum")) => {
                self.advance();
                let name = self.expect_name("the name of a type")?.node;
                match word {
                    "struct" => TypeKind::Struct(name),
                    "union" => TypeKind::Union(name),
                    _ => TypeKind::Enum(name),
                }
            }
            Some("typeof") => {
                self.advance();
                self.expect("(")?;
                let of = self.type_or_expr()?;
                self.expect(")")?;
                TypeKind::Typeof(Box::new(of))
            }
            Some(word) if words::C_TYPE_WORDS.contains(&word) => self.c_integer()?,
            Some(_) => TypeKind::Named(self.expect_name("a type")?.node),
            None if self.eat("(") => {
                let mut items = Vec::new();
                while !self.at(")") {
                    items.push(self.type_expr()?);
                    if !self.eat(",") {
                        break;
                    }
                }
                self.expect(")")?;
                TypeKind::Tuple(items)
            }
            None => {
                self.expected("a type", "types are `uint64`, `string[16]`, `struct name *` and the like");
                return Err(Failed);
            }
        };
        Ok(Spanned::new(node, self.since(start)))
    }

    /// An integer type of C, written with several words in any order.
    fn c_integer(&mut self) -> Parse<TypeKind> {
        let start = self.token.span.start;
        let (mut unsigned, mut signed, mut longs, mut base) = (false, false, 0u32, "int");
        while let Some(word) = self.word() {
            match word {
                "unsigned" => unsigned = true,
                "signed" => signed = true,
                "long" => longs = longs.saturating_add(1),
                "int" => {}
                // Two of these make no type, which the match below finds out.
                "char" | "short" | "double" | "float" if base != "int" => longs = u32::MAX / 2,
                "char" | "short" | "double" | "float" => base = if word == "short" { "short" } else { word },
                _ if words::C_QUALIFIERS.contains(&word) => {}
                _ => break,
            }
            self.advance();
        }
        let name = match (base, longs) {
            ("int", 0) => "int",
            ("int", 1) => "long",
            ("int", 2) => "long long",
            ("double", 0 | 1) | ("char" | "short" | "float", 0) => base,
            _ => {
                let error = skep_diag::Diagnostic::error(self.since(start), "C has no such integer type");
                self.report(
                    error.with_help("write `unsigned long`, `unsigned long long`, `short`, `char`, or `uint64`"),
                );
                return Err(Failed);
            }
        };
        Ok(TypeKind::Named(match (unsigned, signed && base == "char") {
            (true, _) => format!("unsigned {name}").into(),
            (_, true) => "signed char".into(),
            _ => name.into(),
        }))
    }

    /// Reads ahead over what looks like a type. Never looks further than its end and one token.
    pub(super) fn scan_type(&self, ahead: &mut Lexer<'_>, depth: u32) -> Option<Scanned> {
        let mut token = ahead.token();
        let (mut certain, mut value, mut next) = (false, false, None);
        loop {
            match &token.kind {
                Kind::Word => match self.slice(token.span) {
                    "struct" | "union" | "enum" => {
                        certain = true;
                        if ahead.token().kind != Kind::Word {
                            return None;
                        }
                    }
                    "typeof" => {
                        certain = true;
                        if ahead.token().kind != Kind::Punct("(") {
                            return None;
                        }
                        skip_to(ahead, ")")?;
                    }
                    word if words::C_QUALIFIERS.contains(&word) => {
                        token = ahead.token();
                        continue;
                    }
                    word if words::C_TYPE_WORDS.contains(&word) => {
                        certain = true;
                        next = Some(self.skip_c_words(ahead));
                    }
                    word if words::is_value(word) || words::KEYWORDS.contains(&word) => return None,
                    word => {
                        certain = words::is_type(word) || self.types.contains(word);
                        value = self.values.contains(word);
                    }
                },
                Kind::Punct("(") if depth < MAX_SCAN => self.scan_tuple(ahead, depth)?,
                _ => return None,
            }
            break;
        }
        loop {
            let token = next.take().unwrap_or_else(|| ahead.token());
            match token.kind {
                // `(a * b)` is no type: what follows tells.
                Kind::Punct("*") => {}
                Kind::Punct("[") => skip_to(ahead, "]")?,
                Kind::Word if words::C_QUALIFIERS.contains(&self.slice(token.span)) => {}
                _ => return Some(Scanned { next: token, certain, value }),
            }
        }
    }

    fn skip_c_words(&self, ahead: &mut Lexer<'_>) -> Token {
        loop {
            let token = ahead.token();
            if token.kind != Kind::Word || !words::C_TYPE_WORDS.contains(&self.slice(token.span)) {
                return token;
            }
        }
    }

    /// The rest of a tuple of types, which has a comma.
    fn scan_tuple(&self, ahead: &mut Lexer<'_>, depth: u32) -> Option<()> {
        let mut comma = false;
        loop {
            match self.scan_type(ahead, depth + 1)?.next.kind {
                Kind::Punct(",") => comma = true,
                Kind::Punct(")") if comma => return Some(()),
                _ => return None,
            }
            // `(int8,)` is a tuple as well.
            let mut fork = ahead.fork(ahead.offset());
            if fork.token().kind == Kind::Punct(")") {
                ahead.seek(fork.offset());
                return Some(());
            }
        }
    }
}

/// Skips to behind the bracket that closes the one that was just read; `None` if there is none in the statement, or if
/// it is far away: looking ahead must not take long.
fn skip_to(ahead: &mut Lexer<'_>, close: &str) -> Option<()> {
    let mut open = 0u32;
    for _ in 0..MAX_AHEAD {
        match ahead.token().kind {
            Kind::Punct(punct) if punct == close && open == 0 => return Some(()),
            Kind::Punct("(" | "[") => open += 1,
            Kind::Punct(")" | "]") => open = open.checked_sub(1)?,
            Kind::Punct("{" | "}" | ";") | Kind::End | Kind::Bad => return None,
            _ => {}
        }
    }
    None
}
