//! `#` and `##`.

use super::Preprocessor;
use crate::lex::lexer::lex_text;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{Punct, TokenFlags};
use crate::source::{Diag, Loc, Sym};

impl Preprocessor<'_> {
    /// The tokens of an argument as a string, in place of the operator.
    pub(super) fn stringify(&mut self, tokens: &[RawToken], operator: RawToken, at: Loc) -> RawToken {
        let mut text = String::from("\"");
        let mut spelled = String::new();
        for (index, token) in tokens.iter().enumerate() {
            let space = TokenFlags::SPACE;
            if index > 0 && (token.flags.has(space) || token.starts_line()) {
                text.push(' ');
            }
            spelled.clear();
            token.spell(self.sources, &mut spelled);
            let escape = matches!(token.kind, RawKind::Str(_) | RawKind::Char(_));
            for c in spelled.chars() {
                if escape && matches!(c, '"' | '\\') {
                    text.push('\\');
                }
                text.push(c);
            }
        }
        text.push('"');
        self.expanded += text.len() / 8;
        let mut made = lex_text(self.sources, &text, at);
        match (made.pop(), made.is_empty()) {
            (Some(string), true) if matches!(string.kind, RawKind::Str(_)) => {
                RawToken { kind: string.kind, loc: at, flags: operator.flags }
            }
            _ => {
                self.diags.error(at, "'#' makes no valid string here: a '\\' or a quote is alone");
                let empty = self.sources.intern("\"\"");
                RawToken { kind: RawKind::Str(empty), loc: at, flags: operator.flags }
            }
        }
    }

    /// Two tokens as one; both if that is no token.
    pub(super) fn paste(
        &mut self,
        left: RawToken,
        right: RawToken,
        operator: Loc,
        at: Loc,
        name: Sym,
    ) -> Vec<RawToken> {
        if right.kind == RawKind::Placemarker {
            return vec![left];
        }
        if left.kind == RawKind::Placemarker {
            return vec![RawToken { flags: left.flags, ..right }];
        }
        let mut text = String::new();
        left.spell(self.sources, &mut text);
        right.spell(self.sources, &mut text);
        self.expanded += text.len() / 8;
        let loc = self.sources.expand(operator, at, name);
        let made = lex_text(self.sources, &text, loc);
        if let [one] = made[..]
            && !matches!(one.kind, RawKind::Other(_))
        {
            return vec![RawToken { flags: left.flags.without(TokenFlags::NO_EXPAND), ..one }];
        }
        let text = format!("'##' makes '{text}', which is no token");
        self.diags
            .push(Diag::error(loc, text).with_help("'##' joins parts of names and numbers; leave it out otherwise"));
        vec![left, right]
    }

    /// Obeys each `##` in the tokens of a macro without parameters.
    pub(super) fn paste_all(&mut self, tokens: &[RawToken], at: Loc, name: Sym) -> Vec<RawToken> {
        let mut out: Vec<RawToken> = Vec::new();
        let mut tokens = tokens.iter().copied();
        while let Some(token) = tokens.next() {
            match (token.is(Punct::HashHash), out.pop()) {
                (true, Some(left)) => match tokens.next() {
                    Some(right) => out.extend(self.paste(left, right, self.sources.spelling(token.loc), at, name)),
                    None => out.push(left),
                },
                (_, last) => {
                    out.extend(last);
                    out.push(token);
                }
            }
        }
        out
    }
}
