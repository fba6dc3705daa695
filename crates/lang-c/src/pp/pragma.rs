//! Pragmas.

use std::rc::Rc;

use super::Preprocessor;
use super::output;
use crate::lex::lexer::lex_text;
use crate::lex::literals;
use crate::lex::raw::{RawKind, RawToken};
use crate::lex::{PackPragma, Pragma, Punct};
use crate::source::Sym;

/// What the first words of a pragma ask for.
enum Asked {
    /// A token for the parser.
    Token(Pragma),
    /// Nothing more: it was obeyed, or means nothing here.
    Done,
    /// Nobody knows it.
    Unknown,
    /// It is not written as it should be.
    Malformed(&'static str),
}

impl Preprocessor<'_> {
    /// `#pragma` and the rest of its line.
    pub(super) fn pragma(&mut self, line: &[RawToken], hash: RawToken) {
        if let Some(token) = self.obey(line, hash) {
            self.frames.push(super::MacroFrame { tokens: vec![token], at: 0, name: None });
        }
    }

    /// `_Pragma("...")`, whose first word was read: the token it makes, if any.
    pub(super) fn pragma_operator(&mut self, word: RawToken) -> Option<RawToken> {
        let (open, text) = (self.next_raw(), self.next_raw());
        let RawKind::Str(sym) = text.kind else {
            self.diags.error(word.loc, "'_Pragma' takes a string in parentheses");
            return None;
        };
        if !open.is(Punct::LParen) || !self.next_raw().is(Punct::RParen) {
            self.diags.error(word.loc, "'_Pragma' takes a string in parentheses");
            return None;
        }
        let body = literals::split(self.sources.text(sym)).1.replace("\\\"", "\"").replace("\\\\", "\\");
        let line = lex_text(self.sources, &body, word.loc);
        self.obey(&line, word)
    }

    fn obey(&mut self, line: &[RawToken], at: RawToken) -> Option<RawToken> {
        let words: Vec<String> = line.iter().take(4).map(|token| self.word(*token)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let asked = match words[..] {
            [] => Asked::Done,
            ["once", ..] => {
                self.once();
                Asked::Done
            }
            ["unroll", ..] => Asked::Token(Pragma::Unroll(self.count(&line[1..]))),
            ["nounroll", ..] => Asked::Token(Pragma::NoUnroll),
            ["GCC", "unroll", ..] => Asked::Token(Pragma::Unroll(self.count(&line[2..]))),
            ["clang", "loop", ..] => self.loop_pragma(&line[2..]),
            ["pack", ..] => self.pack(&line[1..]),
            ["clang", "attribute", ..] => self.attribute(&line[2..], at),
            ["push_macro", ..] | ["pop_macro", ..] => self.saved_macro(words[0] == "push_macro", &line[1..]),
            ["GCC" | "clang", "poison", ..] => {
                self.poisoned.extend(line[2..].iter().filter_map(|token| token.name()));
                Asked::Done
            }
            ["GCC" | "clang", "error", ..] => {
                self.diags.error(at.loc, format!("#pragma {}", self.text_of(line)));
                Asked::Done
            }
            ["GCC" | "clang", "warning", ..] | ["message", ..] => {
                self.diags.warning(at.loc, format!("#pragma {}", self.text_of(line)));
                Asked::Done
            }
            ["skep", "helpers"] => Asked::Token(Pragma::Helpers),
            ["skep", "types", "relocatable"] => Asked::Token(Pragma::KernelTypes { relocatable: true }),
            ["skep", "types", "plain"] => Asked::Token(Pragma::KernelTypes { relocatable: false }),
            ["GCC" | "clang" | "STDC" | "region" | "endregion" | "ident" | "weak" | "mark" | "comment", ..] => {
                Asked::Done
            }
            _ => Asked::Unknown,
        };
        match asked {
            Asked::Token(pragma) => {
                self.pragmas.push(pragma);
                let kind = RawKind::Pragma(self.pragmas.len() as u32 - 1);
                return Some(RawToken { kind, loc: at.loc, flags: at.flags });
            }
            Asked::Done => {}
            Asked::Unknown => {
                let text = format!("unknown pragma '{}' is ignored", words.first().unwrap_or(&""));
                self.diags.warning(at.loc, text);
            }
            Asked::Malformed(form) => self.diags.error(at.loc, format!("this pragma is written '#pragma {form}'")),
        }
        None
    }

    fn word(&self, token: RawToken) -> String {
        let mut word = String::new();
        token.spell(self.sources, &mut word);
        word
    }

    fn text_of(&self, line: &[RawToken]) -> String {
        let words: Vec<_> = line.iter().map(|token| self.word(*token)).collect();
        words.join(" ")
    }

    /// A number, alone or in parentheses, with macros expanded.
    fn count(&mut self, line: &[RawToken]) -> Option<u32> {
        let line = self.expand_list(line.to_vec());
        let number = line.iter().find(|token| matches!(token.kind, RawKind::Number(_)))?;
        self.word(*number).parse().ok()
    }

    fn loop_pragma(&mut self, line: &[RawToken]) -> Asked {
        let Some(&what) = line.first() else { return Asked::Malformed("clang loop unroll(full)") };
        match self.word(what).as_str() {
            "unroll" => match line.get(2).map(|token| self.word(*token)).as_deref() {
                Some("disable") => Asked::Token(Pragma::NoUnroll),
                Some("full" | "enable") => Asked::Token(Pragma::Unroll(None)),
                _ => Asked::Malformed("clang loop unroll(full)"),
            },
            "unroll_count" => match self.count(&line[1..]) {
                Some(count) => Asked::Token(Pragma::Unroll(Some(count))),
                None => Asked::Malformed("clang loop unroll_count(N)"),
            },
            _ => Asked::Done,
        }
    }

    fn pack(&mut self, line: &[RawToken]) -> Asked {
        const FORM: &str = "pack(N), pack(push, N) or pack(pop)";
        let words: Vec<String> = line.iter().map(|token| self.word(*token)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let number = |text: &str| text.parse::<u32>().ok().filter(|count| matches!(count, 1 | 2 | 4 | 8 | 16));
        let pack = match words[..] {
            ["(", ")"] => PackPragma::Set(None),
            ["(", "pop", ")"] => PackPragma::Pop,
            ["(", "push", ")"] => PackPragma::Push(None),
            ["(", count, ")"] if number(count).is_some() => PackPragma::Set(number(count)),
            ["(", "push", ",", count, ")"] if number(count).is_some() => PackPragma::Push(number(count)),
            _ => return Asked::Malformed(FORM),
        };
        Asked::Token(Pragma::Pack(pack))
    }

    /// `clang attribute push (__attribute__((...)), apply_to = ...)` and `pop`; the word may have a name space.
    fn attribute(&mut self, line: &[RawToken], at: RawToken) -> Asked {
        let words: Vec<String> = line.iter().map(|token| self.word(*token)).collect();
        let Some(action) = words.iter().position(|word| matches!(word.as_str(), "push" | "pop")) else {
            return Asked::Malformed("clang attribute push (__attribute__((NAME)), apply_to = record)");
        };
        if words[action] == "pop" {
            return Asked::Token(Pragma::AttributePop);
        }
        let start = words
            .windows(3)
            .position(|three| three[0].starts_with("__attribute") && three[1] == "(" && three[2] == "(");
        let Some(start) = start.map(|start| start + 3) else {
            return Asked::Malformed("clang attribute push (__attribute__((NAME)), apply_to = record)");
        };
        let mut nesting = 0i32;
        let end = words[start..].iter().position(|word| {
            nesting += i32::from(word == "(") - i32::from(word == ")");
            nesting < 0
        });
        let end = end.map_or(line.len(), |end| start + end);
        let mut inner = line[start..end].to_vec();
        inner.push(RawToken { kind: RawKind::Eof, ..at });
        let tokens = output::tokens(&inner, &[], self.sources, self.diags);
        Asked::Token(Pragma::AttributePush(Rc::from(tokens)))
    }

    fn saved_macro(&mut self, push: bool, line: &[RawToken]) -> Asked {
        let name: Option<Sym> = line.iter().find_map(|token| match token.kind {
            RawKind::Str(sym) => {
                let text = literals::split(self.sources.text(sym)).1.to_owned();
                Some(self.sources.intern(&text))
            }
            _ => None,
        });
        let Some(name) = name else { return Asked::Malformed("push_macro(\"NAME\") or pop_macro(\"NAME\")") };
        if push {
            let now = self.macros.get(&name).cloned();
            self.saved.entry(name).or_default().push(now);
        } else if let Some(saved) = self.saved.get_mut(&name).and_then(Vec::pop) {
            match saved {
                Some(found) => self.macros.insert(name, found),
                None => self.macros.remove(&name),
            };
        }
        Asked::Done
    }
}
