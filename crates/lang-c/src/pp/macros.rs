//! Definitions of macros.

use std::rc::Rc;

use super::Preprocessor;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{Punct, TokenFlags};
use crate::source::{Diag, Loc, Sym};

/// A macro.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Macro {
    /// Where its name is defined.
    pub(super) loc: Loc,
    /// What it stands for.
    pub(super) body: Body,
}

/// What a macro stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// The parameters of one that is used like a function.
    pub(super) params: Option<Params>,
    /// The tokens.
    pub(super) tokens: Vec<RawToken>,
    /// For each token, the parameter it names.
    pub(super) uses: Vec<Option<u16>>,
}

/// The parameters of a macro. The variable one, if any, is the last of the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Params {
    /// The names.
    pub(super) names: Vec<Sym>,
    /// The last one takes all that is left.
    pub(super) variadic: bool,
}

/// Macros without a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `__FILE__`
    File,
    /// `__FILE_NAME__`
    FileName,
    /// `__BASE_FILE__`
    BaseFile,
    /// `__LINE__`
    Line,
    /// `__COUNTER__`
    Counter,
    /// `__INCLUDE_LEVEL__`
    IncludeLevel,
    /// `__DATE__`: always the same day, so that equal sources give equal objects.
    Date,
    /// `__TIME__`
    Time,
    /// `__TIMESTAMP__`
    Timestamp,
}

impl Preprocessor<'_> {
    /// `#define`, without these words: the rest of the line.
    pub(super) fn define(&mut self, line: &[RawToken], at: Loc) {
        let Some((&first, rest)) = line.split_first() else {
            self.diags.error(at, "the name of a macro has to follow '#define'");
            return;
        };
        let Some(name) = self.macro_name(first) else { return };
        let function = rest.first().is_some_and(|token| token.is(Punct::LParen) && !token.flags.has(TokenFlags::SPACE));
        let (params, body) = if function {
            let Some((params, used)) = self.params(&rest[1..], first.loc) else { return };
            (Some(params), &rest[1 + used..])
        } else {
            if let Some(token) = rest.first()
                && !token.flags.has(TokenFlags::SPACE)
            {
                self.diags.warning(token.loc, "white space has to follow the name of a macro");
            }
            (None, rest)
        };
        let Some(body) = self.body(params, body) else { return };
        let new = Macro { loc: first.loc, body };
        let old = self.macros.get(&name);
        let changed = old.is_some_and(|old| !same(&old.body, &new.body)) || self.words.builtins.contains_key(&name);
        if changed && !self.sources.is_system(first.loc) {
            let text = format!("macro '{}' is defined anew with another meaning", self.sources.text(name));
            let mut diag = Diag::warning(first.loc, text).with_help("say '#undef' first if that is meant");
            if let Some(old) = old {
                diag = diag.with_note(old.loc, "the earlier definition is here");
            }
            self.diags.push(diag);
        }
        self.macros.insert(name, Rc::new(new));
    }

    /// The name of a macro, if it may be one.
    pub(super) fn macro_name(&mut self, token: RawToken) -> Option<Sym> {
        let Some(name) = token.name() else {
            self.diags.error(token.loc, "the name of a macro has to be an identifier");
            return None;
        };
        if name == self.words.defined {
            self.diags.error(token.loc, "'defined' is an operator of '#if' and cannot be the name of a macro");
            return None;
        }
        Some(name)
    }

    /// Reads parameters behind the opening parenthesis: with how many tokens they take.
    fn params(&mut self, tokens: &[RawToken], at: Loc) -> Option<(Params, usize)> {
        let mut params = Params { names: Vec::new(), variadic: false };
        let mut index = 0;
        if tokens.first().is_some_and(|token| token.is(Punct::RParen)) {
            return Some((params, 1));
        }
        loop {
            let Some(&token) = tokens.get(index) else {
                self.diags.error(at, "the list of parameters of this macro does not end: ')' is missing");
                return None;
            };
            index += 1;
            if token.is(Punct::Ellipsis) {
                params.names.push(self.words.va_args);
                params.variadic = true;
            } else if let Some(name) = token.name() {
                if name == self.words.va_args || params.names.contains(&name) {
                    let text = format!("'{}' cannot be a parameter here", self.sources.text(name));
                    self.diags.push(Diag::error(token.loc, text).with_help("each parameter has a name of its own"));
                    return None;
                }
                params.names.push(name);
                if tokens.get(index).is_some_and(|next| next.is(Punct::Ellipsis)) {
                    params.variadic = true;
                    index += 1;
                }
            } else {
                self.diags.error(token.loc, "a parameter of a macro has to be an identifier or '...'");
                return None;
            }
            if params.names.len() > usize::from(u16::MAX) {
                self.diags.error(token.loc, "too many parameters");
                return None;
            }
            match tokens.get(index) {
                Some(next) if next.is(Punct::RParen) => return Some((params, index + 1)),
                Some(next) if next.is(Punct::Comma) && !params.variadic => index += 1,
                Some(next) => {
                    self.diags.error(next.loc, "',' or ')' has to follow a parameter of a macro");
                    return None;
                }
                None => {}
            }
        }
    }

    fn body(&mut self, params: Option<Params>, tokens: &[RawToken]) -> Option<Body> {
        let place = |name: Sym| params.as_ref()?.names.iter().position(|&param| param == name);
        let uses: Vec<_> = tokens.iter().map(|token| token.name().and_then(place).map(|at| at as u16)).collect();
        for (index, token) in tokens.iter().enumerate() {
            if token.is(Punct::HashHash) && (index == 0 || index + 1 == tokens.len()) {
                self.diags.error(token.loc, "'##' cannot be at the beginning or the end of a macro");
                return None;
            }
            let stringify = token.is(Punct::Hash) && params.is_some();
            let va_opt = tokens.get(index + 1).and_then(|next| next.name()) == Some(self.words.va_opt);
            if stringify && !va_opt && uses.get(index + 1).is_none_or(Option::is_none) {
                self.diags.error(token.loc, "a parameter has to follow '#' in a macro");
                return None;
            }
            let variadic = params.as_ref().is_some_and(|params| params.variadic);
            if !variadic && token.name() == Some(self.words.va_args) {
                self.diags.warning(token.loc, "'__VA_ARGS__' means something only in a macro with '...'");
            }
        }
        let mut tokens = tokens.to_vec();
        if let Some(first) = tokens.first_mut() {
            first.flags = first.flags.without(TokenFlags::SPACE);
        }
        Some(Body { params, tokens, uses })
    }
}

/// True if two bodies mean the same: equal tokens with white space in the same places.
fn same(old: &Body, new: &Body) -> bool {
    let equal = |(a, b): (&RawToken, &RawToken)| {
        a.kind == b.kind && a.flags.has(TokenFlags::SPACE) == b.flags.has(TokenFlags::SPACE)
    };
    let (from, to) = (&old.tokens, &new.tokens);
    old.params == new.params && from.len() == to.len() && from.iter().zip(to).all(equal)
}

/// A string literal of a text.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

impl Preprocessor<'_> {
    /// What a macro without a definition stands for at `at`.
    pub(super) fn builtin(&mut self, which: Builtin, at: RawToken) -> RawToken {
        let place = self.sources.place(at.loc);
        let name = place.as_ref().map_or("", |place| place.name).to_owned();
        let line = place.map_or(0, |place| place.line);
        let text = match which {
            Builtin::File => quote(&name),
            Builtin::FileName => quote(name.rsplit('/').next().unwrap_or("")),
            Builtin::BaseFile => quote(self.sources.name_of(crate::source::FileId(0))),
            Builtin::Line => line.to_string(),
            Builtin::Counter => {
                self.counter += 1;
                (self.counter - 1).to_string()
            }
            Builtin::IncludeLevel => self.files.len().saturating_sub(1).to_string(),
            Builtin::Date => "\"Jan  1 1970\"".to_owned(),
            Builtin::Time => "\"00:00:00\"".to_owned(),
            Builtin::Timestamp => "\"Thu Jan  1 00:00:00 1970\"".to_owned(),
        };
        let sym = self.sources.intern(&text);
        let kind = if text.starts_with('"') { RawKind::Str(sym) } else { RawKind::Number(sym) };
        RawToken { kind, loc: at.loc, flags: at.flags }
    }
}
