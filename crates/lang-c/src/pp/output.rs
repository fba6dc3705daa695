//! From the preprocessor's tokens to those of the parser, and to text.

use std::collections::HashMap;
use std::rc::Rc;

use crate::lex::literals;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{CharTy, Keyword, PackPragma, Pragma, Punct, Token, TokenFlags, TokenKind};
use crate::source::{Diags, Sources, Sym};

/// The bytes of one string literal, after joining.
const MAX_STRING: usize = 1 << 20;

/// Tells keywords from names, decodes constants, and joins strings.
pub(super) fn tokens(raw: &[RawToken], pragmas: &[Pragma], sources: &mut Sources, diags: &mut Diags) -> Vec<Token> {
    let keywords: HashMap<Sym, Keyword> =
        Keyword::ALL.iter().map(|&(keyword, spelling)| (sources.intern(spelling), keyword)).collect();
    let mut out = Vec::with_capacity(raw.len());
    let mut index = 0;
    while index < raw.len() {
        let token = raw[index];
        index += 1;
        let kind = match token.kind {
            RawKind::Ident(name) => {
                keywords.get(&name).map_or(TokenKind::Ident(name), |&word| TokenKind::Keyword(word))
            }
            RawKind::Number(sym) => TokenKind::Number(sym),
            RawKind::Char(sym) => {
                let (ty, body) = literals::split(sources.text(sym));
                let value = literals::character(body, ty).unwrap_or_else(|message| {
                    diags.error(token.loc, message);
                    0
                });
                TokenKind::Char { value, ty }
            }
            RawKind::Str(_) => {
                let more = raw[index..].iter().take_while(|next| matches!(next.kind, RawKind::Str(_))).count();
                let kind = string(&raw[index - 1..index + more], sources, diags);
                index += more;
                kind
            }
            RawKind::Punct(punct) | RawKind::Digraph(punct) => TokenKind::Punct(punct),
            RawKind::Pragma(number) => match pragmas.get(number as usize) {
                Some(pragma) => TokenKind::Pragma(pragma.clone()),
                None => continue,
            },
            RawKind::Other(c) => TokenKind::Stray(c),
            RawKind::Placemarker => continue,
            RawKind::Eof => TokenKind::Eof,
        };
        out.push(Token { kind, loc: token.loc, flags: token.flags });
    }
    out
}

/// Adjacent strings as one: the prefix of any is that of all.
fn string(parts: &[RawToken], sources: &Sources, diags: &mut Diags) -> TokenKind {
    let mut ty = CharTy::Plain;
    let text = |part: &RawToken| match part.kind {
        RawKind::Str(sym) => literals::split(sources.text(sym)),
        _ => (CharTy::Plain, ""),
    };
    for part in parts {
        let (prefix, _) = text(part);
        if prefix != CharTy::Plain && ty != CharTy::Plain && prefix != ty {
            diags.error(part.loc, format!("strings with '{}' and '{}' cannot be joined", ty.prefix(), prefix.prefix()));
        }
        if prefix != CharTy::Plain {
            ty = prefix;
        }
    }
    let mut bytes = Vec::new();
    for part in parts {
        match literals::string(text(part).1, ty) {
            Ok(more) => bytes.extend(more),
            Err(message) => diags.error(part.loc, message),
        }
        if bytes.len() > MAX_STRING {
            diags.error(part.loc, format!("a string is longer than {MAX_STRING} bytes"));
            break;
        }
    }
    TokenKind::Str { bytes: Rc::from(bytes), ty }
}

/// The tokens as text, with the lines of the source as far as possible.
pub(super) fn text(raw: &[RawToken], pragmas: &[Pragma], sources: &Sources) -> String {
    let mut out = String::new();
    let mut spelled = String::new();
    let mut last: Option<RawToken> = None;
    for &token in raw {
        if let RawKind::Pragma(number) = token.kind {
            if let Some(line) = pragmas.get(number as usize).and_then(|pragma| pragma_text(pragma, sources)) {
                if !out.is_empty() && !out.ends_with('\n') {
                    out.push('\n');
                }
                out.push_str(&line);
                out.push('\n');
            }
            last = None;
            continue;
        }
        spelled.clear();
        token.spell(sources, &mut spelled);
        if token.starts_line() && !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        } else if let Some(last) = last
            && (token.flags.has(TokenFlags::SPACE) || would_join(last, token, sources))
            && !out.ends_with('\n')
        {
            out.push(' ');
        }
        out.push_str(&spelled);
        last = Some(token);
    }
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

/// True if two tokens without white space between them would be read as something else.
fn would_join(last: RawToken, next: RawToken, sources: &Sources) -> bool {
    let wordy = |token: RawToken| {
        matches!(token.kind, RawKind::Ident(_) | RawKind::Number(_) | RawKind::Char(_) | RawKind::Str(_))
    };
    if wordy(last) && wordy(next) {
        return true;
    }
    let number = |token: RawToken| matches!(token.kind, RawKind::Number(_));
    if number(last) && (next.is(Punct::Plus) || next.is(Punct::Minus) || next.is(Punct::Dot)) {
        return true;
    }
    if last.is(Punct::Dot) && number(next) {
        return true;
    }
    let mark = |token: RawToken| matches!(token.kind, RawKind::Punct(_) | RawKind::Digraph(_));
    if !(mark(last) && mark(next)) {
        return false;
    }
    let mut text = String::new();
    last.spell(sources, &mut text);
    let length = text.len();
    next.spell(sources, &mut text);
    text.starts_with("//")
        || text.starts_with("/*")
        || text.starts_with("..")
        || Punct::ALL.iter().any(|(_, spelling)| spelling.len() > length && text.starts_with(spelling))
}

fn pragma_text(pragma: &Pragma, sources: &Sources) -> Option<String> {
    Some(match pragma {
        Pragma::Unroll(None) => "#pragma unroll".to_owned(),
        Pragma::Unroll(Some(count)) => format!("#pragma unroll {count}"),
        Pragma::NoUnroll => "#pragma nounroll".to_owned(),
        Pragma::Pack(pack) => {
            let number = |count: &Option<u32>| count.map_or_else(String::new, |count| count.to_string());
            match pack {
                PackPragma::Set(count) => format!("#pragma pack({})", number(count)),
                PackPragma::Push(None) => "#pragma pack(push)".to_owned(),
                PackPragma::Push(count) => format!("#pragma pack(push, {})", number(count)),
                PackPragma::Pop => "#pragma pack(pop)".to_owned(),
            }
        }
        Pragma::AttributePush(tokens) => {
            let names = tokens.iter().filter_map(|token| match token.kind {
                TokenKind::Ident(name) => Some(sources.text(name)),
                _ => None,
            });
            let names: Vec<_> = names.collect();
            format!("#pragma clang attribute push (__attribute__(({})), apply_to = record)", names.join(", "))
        }
        Pragma::AttributePop => "#pragma clang attribute pop".to_owned(),
        Pragma::Helpers => "#pragma skep helpers".to_owned(),
        Pragma::KernelTypes { relocatable: true } => "#pragma skep types relocatable".to_owned(),
        Pragma::KernelTypes { relocatable: false } => "#pragma skep types plain".to_owned(),
    })
}
