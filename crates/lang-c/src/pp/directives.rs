//! Directives, without includes and pragmas.

use super::Preprocessor;
use super::condition::Condition;
use crate::lex::Punct;
use crate::lex::raw::{RawKind, RawToken};
use crate::source::Diag;

/// How deeply conditions may be nested in a file.
const MAX_CONDITIONS: usize = 1000;

/// Words of directives.
const WORDS: &[&str] = &[
    "define",
    "undef",
    "include",
    "include_next",
    "import",
    "if",
    "ifdef",
    "ifndef",
    "elif",
    "elifdef",
    "elifndef",
    "else",
    "endif",
    "line",
    "error",
    "warning",
    "pragma",
    "ident",
    "sccs",
    "assert",
    "unassert",
];

impl Preprocessor<'_> {
    /// The rest of the line in the current file.
    pub(super) fn rest_of_line(&mut self) -> Vec<RawToken> {
        let Some(file) = self.files.last_mut() else { return Vec::new() };
        let rest = &file.tokens[file.at..];
        let length = rest.iter().take_while(|token| !token.starts_line()).count();
        file.at += length;
        rest[..length].to_vec()
    }

    /// Obeys the directive whose `#` was read.
    pub(super) fn directive(&mut self, hash: RawToken) {
        let line = self.rest_of_line();
        let Some((&word, rest)) = line.split_first() else { return };
        if let RawKind::Number(_) = word.kind {
            self.line(&line, word);
            return;
        }
        let name = word.name().map_or_else(String::new, |name| self.sources.text(name).to_owned());
        match name.as_str() {
            "define" => self.define(rest, word.loc),
            "undef" => self.undef(rest, word),
            "include" | "import" | "include_next" => self.include(&name, rest, word),
            "if" => {
                let holds = self.evaluate_condition(rest, word);
                self.open_condition(holds, word);
            }
            "ifdef" | "ifndef" => {
                let holds = self.is_defined(rest, word).is_some_and(|is| is == (name == "ifdef"));
                self.open_condition(holds, word);
            }
            "elif" | "elifdef" | "elifndef" | "else" => self.next_branch(&name, rest, word),
            "endif" => self.end_condition(rest, word),
            "line" => {
                let expanded = self.expand_list(rest.to_vec());
                self.line(&expanded, word);
            }
            "error" => {
                let text = self.line_after(word);
                self.diags.error(word.loc, format!("#error {text}"));
                self.stopped = true;
            }
            "warning" => {
                let text = self.line_after(word);
                self.diags.warning(word.loc, format!("#warning {text}"));
            }
            "pragma" => self.pragma(rest, hash),
            "ident" | "sccs" | "assert" | "unassert" => {}
            _ => {
                let mut spelled = String::new();
                word.spell(self.sources, &mut spelled);
                let mut diag = Diag::error(word.loc, format!("unknown directive '#{spelled}'"));
                if let Some(near) = WORDS.iter().find(|known| differ_by_one(known, &spelled)) {
                    diag = diag.with_help(format!("did you mean '#{near}'?"));
                }
                self.diags.push(diag);
            }
        }
    }

    /// The text of the line after a word, as it is written.
    fn line_after(&self, word: RawToken) -> String {
        let Some(place) = self.sources.spelling_place(word.loc) else { return String::new() };
        let text = self.sources.text_of(place.file);
        let rest = text.get(place.offset as usize..).unwrap_or("");
        let line = rest.split('\n').next().unwrap_or("");
        line.trim_start_matches(|c: char| c.is_alphanumeric()).trim().to_owned()
    }

    fn undef(&mut self, rest: &[RawToken], word: RawToken) {
        let Some(&first) = rest.first() else {
            self.diags.error(word.loc, "the name of a macro has to follow '#undef'");
            return;
        };
        if let Some(name) = self.macro_name(first) {
            self.macros.remove(&name);
            self.extra(&rest[1..]);
        }
    }

    /// Warns of what is left on the line of a directive.
    fn extra(&mut self, rest: &[RawToken]) {
        if let Some(first) = rest.first()
            && !self.sources.is_system(first.loc)
        {
            self.diags.warning(first.loc, "nothing may follow on the line of this directive");
        }
    }

    /// The name after `#ifdef`: whether it is defined.
    fn is_defined(&mut self, rest: &[RawToken], word: RawToken) -> Option<bool> {
        let Some(&first) = rest.first() else {
            self.diags.error(word.loc, "the name of a macro has to follow");
            return None;
        };
        let name = self.macro_name(first)?;
        self.extra(&rest[1..]);
        Some(self.has_macro(name))
    }

    /// `#line`, and the form `# 12 "name"` of preprocessed text.
    fn line(&mut self, rest: &[RawToken], word: RawToken) {
        let number = match rest.first().map(|token| token.kind) {
            Some(RawKind::Number(sym)) => self.sources.text(sym).parse::<u32>().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.diags.error(word.loc, "a line number has to follow '#line'");
            return;
        };
        let name = match rest.get(1).map(|token| token.kind) {
            Some(RawKind::Str(sym)) => {
                let body = crate::lex::literals::split(self.sources.text(sym)).1;
                body.replace("\\\\", "\\")
            }
            None => self.sources.place(word.loc).map_or_else(String::new, |place| place.name.to_owned()),
            Some(_) => {
                self.diags.error(rest[1].loc, "the name of a file in quotes has to follow the line number");
                return;
            }
        };
        self.sources.renumber(word.loc, number, &name);
    }

    fn open_condition(&mut self, holds: bool, word: RawToken) {
        let Some(file) = self.files.last_mut() else { return };
        if file.conditions.len() >= MAX_CONDITIONS {
            self.diags.error(word.loc, format!("conditions are nested more than {MAX_CONDITIONS} deep"));
            self.stopped = true;
            return;
        }
        file.conditions.push(Condition { opened: word.loc, taken: holds, has_else: false });
        if !holds {
            self.skip();
        }
    }

    /// `#elif` and `#else` at the end of a part that was read.
    fn next_branch(&mut self, name: &str, rest: &[RawToken], word: RawToken) {
        let condition = self.files.last_mut().and_then(|file| file.conditions.last_mut());
        let Some(condition) = condition else {
            self.diags.error(word.loc, format!("'#{name}' without '#if'"));
            return;
        };
        if condition.has_else {
            let opened = condition.opened;
            let diag = Diag::error(word.loc, format!("'#{name}' after '#else'"));
            self.diags.push(diag.with_note(opened, "the condition begins here"));
        } else if name == "else" {
            condition.has_else = true;
            self.extra(rest);
        }
        self.skip();
    }

    fn end_condition(&mut self, rest: &[RawToken], word: RawToken) {
        match self.files.last_mut().and_then(|file| file.conditions.pop()) {
            Some(_) => self.extra(rest),
            None => self.diags.error(word.loc, "'#endif' without '#if'"),
        }
    }

    /// Skips to the branch of the innermost condition that is to be read, or behind its end.
    fn skip(&mut self) {
        let mut nested = 0usize;
        loop {
            let Some(file) = self.files.last_mut() else { return };
            let rest = &file.tokens[file.at..];
            // The last token of a file begins a line, so there is one.
            let ahead = rest.iter().position(|token| token.is_eof() || (token.starts_line() && token.is(Punct::Hash)));
            file.at += ahead.unwrap_or(0);
            if file.tokens[file.at].is_eof() {
                return;
            }
            file.at += 1;
            let line = self.rest_of_line();
            let Some((&word, rest)) = line.split_first() else { continue };
            let Some(name) = word.name() else { continue };
            let name = self.sources.text(name).to_owned();
            match name.as_str() {
                "if" | "ifdef" | "ifndef" => nested += 1,
                "endif" if nested > 0 => nested -= 1,
                "endif" => {
                    self.end_condition(rest, word);
                    return;
                }
                "else" | "elif" | "elifdef" | "elifndef" if nested == 0 => {
                    if self.branch_while_skipping(&name, rest, word) {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// A branch of the condition whose last part was skipped: whether it is to be read.
    fn branch_while_skipping(&mut self, name: &str, rest: &[RawToken], word: RawToken) -> bool {
        let Some(condition) = self.files.last_mut().and_then(|file| file.conditions.last_mut()) else { return true };
        if condition.has_else {
            let opened = condition.opened;
            let diag = Diag::error(word.loc, format!("'#{name}' after '#else'"));
            self.diags.push(diag.with_note(opened, "the condition begins here"));
            return false;
        }
        if name == "else" {
            condition.has_else = true;
        }
        if condition.taken {
            return false;
        }
        let holds = match name {
            "else" => {
                self.extra(rest);
                true
            }
            "elif" => self.evaluate_condition(rest, word),
            _ => self.is_defined(rest, word).is_some_and(|is| is == (name == "elifdef")),
        };
        if let Some(condition) = self.files.last_mut().and_then(|file| file.conditions.last_mut()) {
            condition.taken = holds;
        }
        holds
    }

    /// The end of a file: its conditions have to be closed.
    pub(super) fn end_file(&mut self, end: RawToken) {
        let Some(file) = self.files.pop() else { return };
        for condition in file.conditions {
            let diag = Diag::error(condition.opened, "this condition does not end: '#endif' is missing");
            self.diags.push(diag.with_note(end.loc, "the file ends here"));
        }
    }
}

/// True if one word becomes the other by changing, adding or leaving out one letter.
fn differ_by_one(known: &str, word: &str) -> bool {
    let (a, b) = (known.as_bytes(), word.as_bytes());
    let head = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let tail = a[head..].iter().rev().zip(b[head..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (left, right) = (a.len() - head - tail, b.len() - head - tail);
    left <= 1 && right <= 1 && left + right > 0
}
