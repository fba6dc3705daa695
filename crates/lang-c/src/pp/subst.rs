//! Putting arguments into the body of a macro.

use super::Preprocessor;
use super::expand::Given;
use super::macros::{Body, Macro, Params};
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{Punct, TokenFlags};
use crate::source::{Loc, Sym};

/// The arguments of one use: as they are written, and expanded once that is needed.
struct Args<'a> {
    written: &'a [Vec<RawToken>],
    expanded: Vec<Option<Vec<RawToken>>>,
}

/// A use of a macro while its body is filled.
struct Use<'a> {
    tokens: &'a [RawToken],
    uses: &'a [Option<u16>],
    params: &'a Params,
    /// As in [`Given`].
    elided: bool,
    at: Loc,
    name: Sym,
}

const PLACEMARKER: RawToken = RawToken { kind: RawKind::Placemarker, loc: Loc(0), flags: TokenFlags::NONE };

impl Preprocessor<'_> {
    /// The body of a macro with its arguments.
    pub(super) fn substitute(
        &mut self,
        found: &Macro,
        params: &Params,
        given: &Given,
        at: Loc,
        name: Sym,
    ) -> Vec<RawToken> {
        let Body { tokens, uses, .. } = &found.body;
        let mut args = Args { written: &given.args, expanded: vec![None; given.args.len()] };
        let of = Use { tokens, uses, params, elided: given.elided, at, name };
        let mut out = self.fill(&of, 0, tokens.len(), &mut args);
        out.retain(|token| token.kind != RawKind::Placemarker);
        out
    }

    /// Fills the part `from..to` of the body. Empty arguments next to `##` leave placemarkers.
    fn fill(&mut self, of: &Use<'_>, from: usize, to: usize, args: &mut Args<'_>) -> Vec<RawToken> {
        let mut out: Vec<RawToken> = Vec::new();
        let mut paste = None;
        let mut index = from;
        while index < to && !self.stopped {
            let token = of.tokens[index];
            if token.is(Punct::HashHash) && index > from {
                paste = Some(token.loc);
                index += 1;
                continue;
            }
            let pasted_after = index + 1 < to && of.tokens[index + 1].is(Punct::HashHash);
            let (mut part, used) = self.part(of, index, to, args, paste.is_some() || pasted_after);
            if let Some(first) = part.first_mut() {
                first.flags = first.flags.without(TokenFlags::SPACE.with(TokenFlags::LINE_START));
                if token.flags.has(TokenFlags::SPACE) {
                    first.flags = first.flags.with(TokenFlags::SPACE);
                }
            }
            if let Some(operator) = paste.take() {
                self.join(of, index, operator, &mut out, part);
            } else {
                out.extend(part);
            }
            index += used;
        }
        out
    }

    /// What the token at `index` of the body becomes, with how many tokens of the body that takes.
    fn part(
        &mut self,
        of: &Use<'_>,
        index: usize,
        to: usize,
        args: &mut Args<'_>,
        pasted: bool,
    ) -> (Vec<RawToken>, usize) {
        let token = of.tokens[index];
        let va_opt = self.words.va_opt;
        let is_va_opt = |at: usize| of.params.variadic && of.tokens[at].name() == Some(va_opt);
        if token.is(Punct::Hash) && index + 1 < to {
            if let Some(param) = of.uses[index + 1] {
                return (vec![self.stringify(&args.written[usize::from(param)], token, of.at)], 2);
            }
            if is_va_opt(index + 1)
                && let Some(end) = closing(of.tokens, index + 2, to)
            {
                let inner = self.optional(of, index + 3, end, args);
                return (vec![self.stringify(&inner, token, of.at)], end + 1 - index);
            }
        }
        if is_va_opt(index) {
            if let Some(end) = closing(of.tokens, index + 1, to) {
                let inner = self.optional(of, index + 2, end, args);
                return (or_placemarker(inner), end + 1 - index);
            }
            self.diags.error(token.loc, "'(' and ')' have to follow '__VA_OPT__'");
            return (Vec::new(), 1);
        }
        let Some(param) = of.uses[index].map(usize::from) else {
            return (vec![self.at_use(token, of.at, of.name)], 1);
        };
        if pasted {
            return (or_placemarker(args.written[param].clone()), 1);
        }
        (self.expanded_arg(args, param), 1)
    }

    fn expanded_arg(&mut self, args: &mut Args<'_>, param: usize) -> Vec<RawToken> {
        if args.expanded[param].is_none() {
            let written = args.written[param].clone();
            args.expanded[param] = Some(if written.iter().any(|token| token.name().is_some()) {
                self.expand_list(written)
            } else {
                written
            });
        }
        let tokens = args.expanded[param].clone().unwrap_or_default();
        self.expanded += tokens.len();
        if self.expanded > super::MAX_EXPANDED {
            self.stopped = true;
            let at = tokens.first().map_or_else(Loc::default, |token| self.sources.outermost(token.loc));
            self.diags.error(at, format!("macros make more than {} tokens", super::MAX_EXPANDED));
        }
        tokens
    }

    /// The content of `__VA_OPT__`: nothing if the variable argument is empty.
    fn optional(&mut self, of: &Use<'_>, from: usize, to: usize, args: &mut Args<'_>) -> Vec<RawToken> {
        let last = args.written.len().saturating_sub(1);
        if args.written.is_empty() || self.expanded_arg(args, last).is_empty() {
            return Vec::new();
        }
        self.fill(of, from, to, args)
    }

    /// Joins what is there with `part` across `##`.
    fn join(&mut self, of: &Use<'_>, index: usize, operator: Loc, out: &mut Vec<RawToken>, part: Vec<RawToken>) {
        let variable = of.params.variadic && of.uses[index].map(usize::from) == Some(of.params.names.len() - 1);
        if variable && out.last().is_some_and(|last| last.is(Punct::Comma)) && of.tokens[index - 2].is(Punct::Comma) {
            // The comma before a variable argument that is not there goes away; before another it stays as it is.
            if of.elided {
                out.pop();
            } else {
                out.extend(part);
            }
            return;
        }
        let mut part = part.into_iter();
        let (left, right) = (out.pop().unwrap_or(PLACEMARKER), part.next().unwrap_or(PLACEMARKER));
        out.extend(self.paste(left, right, operator, of.at, of.name));
        out.extend(part);
    }
}

fn or_placemarker(tokens: Vec<RawToken>) -> Vec<RawToken> {
    if tokens.is_empty() { vec![PLACEMARKER] } else { tokens }
}

/// The index of the parenthesis that closes the one at `open`.
fn closing(tokens: &[RawToken], open: usize, to: usize) -> Option<usize> {
    if open >= to || !tokens[open].is(Punct::LParen) {
        return None;
    }
    let mut nesting = 0;
    for (index, token) in tokens.iter().enumerate().take(to).skip(open) {
        if token.is(Punct::LParen) {
            nesting += 1;
        } else if token.is(Punct::RParen) {
            nesting -= 1;
            if nesting == 0 {
                return Some(index);
            }
        }
    }
    None
}
