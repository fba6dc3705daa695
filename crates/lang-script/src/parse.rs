//! The parser: text of a script in, syntax tree and diagnostics out.
//!
//! Recursive descent with precedence climbing. It goes on after an error, at the next statement or the next probe, so
//! one run shows several errors. Nesting is bounded, and so is the height of trees that loops build (`a + b + c + ...`),
//! because everything that walks a tree later does so recursively. The time is linear in the length of the text.

use std::collections::HashSet;
use std::sync::Arc;

use skep_diag::{Diagnostic, Severity, Span};

use crate::ast::{Name, Script, Spanned};
use crate::lex::{Comment, Kind, Lexer, Token};

mod cdefs;
mod exprs;
mod items;
mod points;
mod stmts;
mod types;

pub(crate) use stmts::has_value;

/// Brackets, operators and statements that may be inside of one another.
pub const MAX_DEPTH: u32 = 150;
/// Operators that may be on top of one another in a tree, such as in `1 + 1 + ...`.
pub const MAX_HEIGHT: u32 = 500;
/// Errors after which the parser gives up.
pub const MAX_ERRORS: usize = 50;
/// Bytes of the longest script.
pub const MAX_LENGTH: usize = 16 << 20;

/// What a script and its comments are parsed to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The tree; without what could not be understood, if there are errors.
    pub script: Script,
    /// Errors and warnings in the order of their places.
    pub diagnostics: Vec<Diagnostic>,
    /// The comments.
    pub comments: Vec<Comment>,
}

/// Parses a script. The tree is complete if none of the diagnostics is an error; otherwise it lacks what could not be
/// understood.
pub fn parse(text: &str) -> (Script, Vec<Diagnostic>) {
    let parsed = parse_with_comments(text);
    (parsed.script, parsed.diagnostics)
}

/// Parses a script and keeps its comments.
pub fn parse_with_comments(text: &str) -> Parsed {
    if text.len() > MAX_LENGTH {
        let message = format!("the script has {} bytes, and {MAX_LENGTH} is the limit", text.len());
        let error = Diagnostic::error(Span::new(0, 0), message).with_help("divide it with `import`");
        return Parsed { diagnostics: vec![error], ..Parsed::default() };
    }
    let mut parser = Parser::new(text);
    let script = parser.script();
    let comments = parser.lexer.comments.take().unwrap_or_default();
    Parsed { script, diagnostics: parser.into_diagnostics(), comments }
}

/// Parses a text that is one expression, such as the value of a `#define`.
///
/// # Errors
/// What is wrong with it; places count from the start of `text`.
pub fn parse_expr(text: &str) -> Result<crate::ast::Expr, Vec<Diagnostic>> {
    let mut parser = Parser::new(text);
    let expr = parser.expr();
    parser.whole(expr)
}

/// Parses a text that is one type.
///
/// # Errors
/// What is wrong with it; places count from the start of `text`.
pub fn parse_type(text: &str) -> Result<crate::ast::TypeExpr, Vec<Diagnostic>> {
    let mut parser = Parser::new(text);
    let ty = parser.type_expr();
    parser.whole(ty)
}

/// Whether a text, such as the argument of `sizeof`, is read as a type where both types and expressions can stand.
pub(crate) fn reads_as_type(text: &str) -> bool {
    let parser = Parser::new(text);
    let mut ahead = parser.lexer.fork(0);
    parser.scan_type(&mut ahead, 0).is_some_and(|scanned| scanned.next.kind == Kind::End)
}

/// The sign that something could not be parsed and that a diagnostic says so.
#[derive(Debug)]
struct Failed;

type Parse<T> = Result<T, Failed>;

/// The state of the parser.
struct Parser<'t> {
    text: &'t str,
    lexer: Lexer<'t>,
    /// The token that is looked at.
    token: Token,
    /// End of the token before it.
    before: u32,
    /// How many things the token is inside of.
    depth: u32,
    /// Height of the highest tree that was parsed in the current expression.
    height: u32,
    /// Whether a slash before a brace ends the expression.
    predicate: bool,
    /// Whether the parser has given up; nothing more is reported.
    stopped: bool,
    /// Names that the C part made types.
    types: HashSet<Arc<str>>,
    /// Names that stand for expressions: constants, macros, their parameters.
    values: HashSet<Arc<str>>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let mut lexer = Lexer::new(text);
        lexer.comments = Some(Vec::new());
        let token = lexer.token();
        Self {
            text,
            lexer,
            token,
            before: 0,
            depth: 0,
            height: 0,
            predicate: false,
            stopped: false,
            types: HashSet::new(),
            values: HashSet::new(),
        }
    }

    fn whole<T>(mut self, parsed: Parse<T>) -> Result<T, Vec<Diagnostic>> {
        if parsed.is_ok() && self.token.kind != Kind::End {
            self.expected("the end", "one expression or type is wanted");
        }
        match (parsed, self.into_diagnostics()) {
            (Ok(parsed), diagnostics) if diagnostics.is_empty() => Ok(parsed),
            (_, diagnostics) => Err(diagnostics),
        }
    }

    fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut diagnostics = self.lexer.diagnostics;
        diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
        diagnostics.dedup();
        diagnostics
    }

    /// The text of a span.
    fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The token, if it is a word.
    fn word(&self) -> Option<&'t str> {
        (self.token.kind == Kind::Word).then(|| self.slice(self.token.span))
    }

    fn at_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    fn at(&self, punct: &str) -> bool {
        matches!(self.token.kind, Kind::Punct(found) if found == punct)
    }

    fn advance(&mut self) -> Token {
        self.before = self.token.span.end;
        let next = if self.stopped { self.end_token() } else { self.lexer.token() };
        let bad = next.kind == Kind::Bad;
        let token = std::mem::replace(&mut self.token, next);
        if bad && self.too_many() {
            self.give_up(self.token.span);
        }
        token
    }

    fn end_token(&self) -> Token {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        Token { kind: Kind::End, span: Span::new(end, end) }
    }

    /// Consumes the punctuation if it is there.
    fn eat(&mut self, punct: &str) -> bool {
        let found = self.at(punct);
        if found {
            self.advance();
        }
        found
    }

    /// Consumes the word if it is there.
    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn expect(&mut self, punct: &str) -> Parse<Span> {
        if self.at(punct) {
            return Ok(self.advance().span);
        }
        let help = match punct {
            ";" => "statements and declarations end with a semicolon",
            "{" => "a block in braces follows: `{ ... }`",
            ")" => "close the parenthesis",
            "]" => "close the bracket",
            "(" => "what follows stands in parentheses",
            "=" => "a value is given as `name = value`",
            "," => "another argument follows",
            _ => "look at what stands before it",
        };
        self.expected(&format!("`{punct}`"), help);
        Err(Failed)
    }

    /// Consumes a name that is no keyword.
    fn expect_name(&mut self, what: &str) -> Parse<Name> {
        match self.word() {
            Some(word) if !crate::words::KEYWORDS.contains(&word) => Ok(self.take_name()),
            Some(word) => {
                let error = Diagnostic::error(self.token.span, format!("`{word}` is a keyword and cannot be {what}"));
                self.report(error.with_help("choose another name"));
                Err(Failed)
            }
            None => {
                self.expected(what, "names are made of letters, digits and `_`");
                Err(Failed)
            }
        }
    }

    /// Consumes the token as a name, whatever it is.
    fn take_name(&mut self) -> Name {
        let span = self.advance().span;
        Spanned::new(self.slice(span).into(), span)
    }

    /// Consumes a text in quotes.
    fn expect_text(&mut self, what: &str) -> Parse<Name> {
        if let Kind::Text(text) = &self.token.kind {
            let name = Spanned::new(text.clone(), self.token.span);
            self.advance();
            return Ok(name);
        }
        self.expected(what, "write it as \"text\"");
        Err(Failed)
    }

    /// The span from an offset to the end of the last token that was consumed.
    fn since(&self, start: u32) -> Span {
        Span::new(start, self.before.max(start))
    }

    /// What the token after the current one is.
    fn second(&self) -> Token {
        self.lexer.fork(self.token.span.end).token()
    }

    /// How messages call the current token.
    fn found(&self) -> String {
        match &self.token.kind {
            Kind::End => "the end of the script".into(),
            Kind::Text(_) => "a text".into(),
            _ => format!("`{}`", self.slice(self.token.span).chars().take(40).collect::<String>()),
        }
    }

    /// Reports that something else should be here, with a remedy.
    fn expected(&mut self, what: &str, help: impl Into<String>) {
        if self.token.kind == Kind::Bad {
            return;
        }
        let error = Diagnostic::error(self.token.span, format!("expected {what}, found {}", self.found()));
        self.report(error.with_label(format!("expected {what}")).with_help(help));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.stopped {
            return;
        }
        if diagnostic.severity == Severity::Error && self.too_many() {
            self.give_up(diagnostic.span);
            return;
        }
        self.lexer.diagnostics.push(diagnostic);
    }

    fn too_many(&self) -> bool {
        let errors = self.lexer.diagnostics.iter().filter(|found| found.severity == Severity::Error);
        errors.take(MAX_ERRORS).count() == MAX_ERRORS
    }

    fn give_up(&mut self, span: Span) {
        let error = Diagnostic::error(span, "too many errors; the rest of the script was not read");
        self.lexer.diagnostics.push(error.with_help("correct the errors above first"));
        self.stop();
    }

    /// Goes to the end of the text and reports nothing more.
    fn stop(&mut self) {
        self.stopped = true;
        self.token = self.end_token();
    }

    /// Parses something inside of something.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth >= MAX_DEPTH {
            let error = Diagnostic::error(self.token.span, "this is nested too deeply");
            self.report(error.with_help(format!("{MAX_DEPTH} levels are the limit: use variables for parts of it")));
            self.stop();
            return Err(Failed);
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Notes that a node was put on top of what was parsed.
    fn grow(&mut self) -> Parse<()> {
        self.height += 1;
        if self.height <= MAX_HEIGHT {
            return Ok(());
        }
        let error = Diagnostic::error(self.token.span, "this expression has too many operators");
        self.report(error.with_help(format!("{MAX_HEIGHT} are the limit: use variables for parts of it")));
        self.stop();
        Err(Failed)
    }

    /// Skips to the end of a statement that was not understood: behind its semicolon or braces, or before the brace
    /// that ends what it stands in.
    fn skip_statement(&mut self) {
        let mut open = 0u32;
        loop {
            match self.token.kind {
                Kind::End => return,
                Kind::Punct(";") if open == 0 => {
                    self.advance();
                    return;
                }
                Kind::Punct("{") => open += 1,
                Kind::Punct("}") if open == 0 => return,
                Kind::Punct("}") => {
                    open -= 1;
                    if open == 0 {
                        self.advance();
                        return;
                    }
                }
                _ => {}
            }
            self.advance();
        }
    }
}

#[cfg(test)]
mod tests;
