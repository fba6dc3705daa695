//! Reading tokens with macros expanded.

use std::rc::Rc;

use super::macros::{Body, Macro, Params};
use super::{MAX_DEPTH, MAX_EXPANDED, MacroFrame, Preprocessor};
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{Punct, TokenFlags};
use crate::source::{Diag, Loc, Sym};

/// The arguments of one use of a macro.
#[derive(Debug)]
pub(super) struct Given {
    /// As they are written, one for each parameter.
    pub(super) args: Vec<Vec<RawToken>>,
    /// True if there is nothing for the variable one, not even a comma in front of it.
    pub(super) elided: bool,
}

impl Preprocessor<'_> {
    /// The next token as it is, with directives obeyed.
    pub(super) fn next_raw(&mut self) -> RawToken {
        loop {
            while let Some(frame) = self.frames.last_mut() {
                if let Some(&token) = frame.tokens.get(frame.at) {
                    frame.at += 1;
                    return token;
                }
                let ended = frame.name;
                self.frames.pop();
                self.leave(ended);
            }
            if self.isolated {
                return RawToken { kind: RawKind::Eof, loc: Loc::default(), flags: TokenFlags::NONE };
            }
            let Some(file) = self.files.last_mut() else {
                return RawToken { kind: RawKind::Eof, loc: Loc::default(), flags: TokenFlags::LINE_START };
            };
            let token = file.tokens[file.at];
            if token.is_eof() {
                self.end_file(token);
                if self.files.is_empty() {
                    return token;
                }
                continue;
            }
            file.at += 1;
            if token.starts_line() && token.is(Punct::Hash) {
                self.directive(token);
                if self.stopped {
                    return RawToken { kind: RawKind::Eof, ..token };
                }
                continue;
            }
            return token;
        }
    }

    fn leave(&mut self, name: Option<Sym>) {
        if let Some(name) = name
            && let Some(count) = self.active.get_mut(&name)
        {
            *count -= 1;
            if *count == 0 {
                self.active.remove(&name);
            }
        }
    }

    /// The next token after expansion.
    pub(super) fn next_expanded(&mut self) -> RawToken {
        loop {
            let token = self.next_raw();
            let Some(name) = token.name() else { return token };
            if self.in_condition {
                if name == self.words.defined {
                    return self.defined(token);
                }
                if let Some(&query) = self.words.queries.get(&name) {
                    return self.query(query, token);
                }
            }
            if name == self.words.pragma && !self.isolated {
                match self.pragma_operator(token) {
                    Some(token) => return token,
                    None => continue,
                }
            }
            if !self.poisoned.is_empty() && self.poisoned.contains(&name) {
                let text = format!("'{}' was poisoned by '#pragma GCC poison'", self.sources.text(name));
                self.diags.error(token.loc, text);
            }
            if token.flags.has(TokenFlags::NO_EXPAND) {
                return token;
            }
            if let Some(&builtin) = self.words.builtins.get(&name)
                && !self.macros.contains_key(&name)
            {
                return self.builtin(builtin, token);
            }
            let Some(found) = self.macros.get(&name) else { return token };
            if self.active.contains_key(&name) {
                return RawToken { flags: token.flags.with(TokenFlags::NO_EXPAND), ..token };
            }
            let found = Rc::clone(found);
            if !self.enter(token, name, &found) {
                return token;
            }
            if self.stopped {
                return RawToken { kind: RawKind::Eof, ..token };
            }
        }
    }

    /// Expands a use of a macro: its tokens come next. False if it is none, because no parenthesis follows.
    fn enter(&mut self, token: RawToken, name: Sym, found: &Macro) -> bool {
        let Body { params, tokens, .. } = &found.body;
        let mut made: Vec<RawToken> = match params {
            None => tokens.iter().map(|&part| self.at_use(part, token.loc, name)).collect(),
            Some(params) => {
                if !self.parenthesis_follows() {
                    return false;
                }
                let Some(args) = self.arguments(token, name, params, found.loc) else { return true };
                self.substitute(found, params, &args, token.loc, name)
            }
        };
        // Pasting cannot happen without parameters except through this: `##` in an object-like macro.
        if params.is_none() && tokens.iter().any(|part| part.is(Punct::HashHash)) {
            made = self.paste_all(&made, token.loc, name);
        }
        self.expanded += made.len() + 1;
        if self.expanded > MAX_EXPANDED {
            let text = format!("macros make more than {MAX_EXPANDED} tokens");
            self.diags.push(
                Diag::error(self.sources.outermost(token.loc), text).with_help("a macro doubles itself at each level"),
            );
            self.stopped = true;
            return true;
        }
        if let Some(first) = made.first_mut() {
            let before = TokenFlags::NONE.with(TokenFlags::SPACE).with(TokenFlags::LINE_START);
            first.flags = first.flags.without(before);
            if token.flags.has(TokenFlags::SPACE) {
                first.flags = first.flags.with(TokenFlags::SPACE);
            }
            if token.starts_line() {
                first.flags = first.flags.with(TokenFlags::LINE_START);
            }
        }
        *self.active.entry(name).or_insert(0) += 1;
        self.frames.push(MacroFrame { tokens: made, at: 0, name: Some(name) });
        true
    }

    /// A token of the body of a macro, at a use of it.
    pub(super) fn at_use(&mut self, part: RawToken, at: Loc, name: Sym) -> RawToken {
        RawToken { loc: self.sources.expand(part.loc, at, name), ..part }
    }

    /// True if the next token is an opening parenthesis. Nothing is read.
    fn parenthesis_follows(&self) -> bool {
        for frame in self.frames.iter().rev() {
            if let Some(token) = frame.tokens.get(frame.at) {
                return token.is(Punct::LParen);
            }
        }
        if self.isolated {
            return false;
        }
        self.files.last().is_some_and(|file| file.tokens[file.at].is(Punct::LParen))
    }

    /// Reads the arguments of a use. Nothing after an error.
    fn arguments(&mut self, token: RawToken, name: Sym, params: &Params, defined: Loc) -> Option<Given> {
        let files = self.files.len();
        self.next_raw();
        let mut args: Vec<Vec<RawToken>> = vec![Vec::new()];
        let mut nesting = 0usize;
        loop {
            let mut next = self.next_raw();
            if next.is_eof() || self.files.len() < files {
                let text = format!("the use of macro '{}' does not end: ')' is missing", self.sources.text(name));
                self.diags.push(Diag::error(token.loc, text).with_note(defined, "the macro is defined here"));
                return None;
            }
            if next.is(Punct::LParen) {
                nesting += 1;
            } else if next.is(Punct::RParen) {
                if nesting == 0 {
                    break;
                }
                nesting -= 1;
            } else if next.is(Punct::Comma) && nesting == 0 && !(params.variadic && args.len() >= params.names.len()) {
                args.push(Vec::new());
                continue;
            }
            if next.starts_line() {
                next.flags = next.flags.without(TokenFlags::LINE_START).with(TokenFlags::SPACE);
            }
            // A name whose macro is being expanded here stays what it is, wherever it goes.
            if let Some(name) = next.name()
                && self.active.contains_key(&name)
            {
                next.flags = next.flags.with(TokenFlags::NO_EXPAND);
            }
            args.last_mut()?.push(next);
            self.expanded += 1;
        }
        self.check_count(args, token, name, params, defined)
    }

    fn check_count(
        &mut self,
        mut args: Vec<Vec<RawToken>>,
        token: RawToken,
        name: Sym,
        params: &Params,
        defined: Loc,
    ) -> Option<Given> {
        let wanted = params.names.len();
        if wanted == 0 && args.len() == 1 && args[0].is_empty() {
            return Some(Given { args: Vec::new(), elided: false });
        }
        let elided = params.variadic && (args.len() + 1 == wanted || (wanted == 1 && args[0].is_empty()));
        if args.len() < wanted && elided {
            args.push(Vec::new());
        }
        if args.len() == wanted {
            return Some(Given { args, elided });
        }
        let least = if params.variadic { format!("at least {}", wanted - 1) } else { wanted.to_string() };
        let text = format!("macro '{}' takes {least} arguments, here are {}", self.sources.text(name), args.len());
        self.diags.push(Diag::error(token.loc, text).with_note(defined, "the macro is defined here"));
        None
    }

    /// Expands a list of tokens by itself: an argument, or the line of a directive.
    pub(super) fn expand_list(&mut self, tokens: Vec<RawToken>) -> Vec<RawToken> {
        if self.depth >= MAX_DEPTH {
            if let Some(first) = tokens.first() {
                let text = format!("arguments of macros are nested more than {MAX_DEPTH} deep");
                self.diags.error(first.loc, text);
            }
            self.stopped = true;
            return tokens;
        }
        let frames = std::mem::replace(&mut self.frames, vec![MacroFrame { tokens, at: 0, name: None }]);
        let isolated = std::mem::replace(&mut self.isolated, true);
        self.depth += 1;
        let mut out = Vec::new();
        loop {
            let token = self.next_expanded();
            if token.is_eof() || self.stopped {
                break;
            }
            out.push(token);
        }
        self.depth -= 1;
        // What is left after a stop is given back, so that no macro stays marked.
        while let Some(frame) = self.frames.pop() {
            self.leave(frame.name);
        }
        self.frames = frames;
        self.isolated = isolated;
        out
    }
}
