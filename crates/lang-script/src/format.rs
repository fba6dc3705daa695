//! The formatter: a syntax tree as canonical text, which parses to the same tree.
//!
//! Two spaces for each level, one statement in a line, parentheses only where they are needed, numbers and texts in one
//! notation. [`format_text`] keeps the comments of a text: each stays before or behind the statement, member or part
//! that it was written at; comments inside of an expression move behind its statement.

use skep_diag::{Diagnostic, Severity};

use crate::ast::{Expr, Probe, Script, Spanned};
use crate::lex::Comment;
use crate::parse::parse_with_comments;

mod defs;
mod exprs;
mod stmts;

/// The text of a tree, without comments.
pub fn format(script: &Script) -> String {
    let mut printer = Printer::new("", Vec::new());
    printer.script(script);
    printer.out
}

pub use exprs::quoted;

/// The text of an expression.
pub fn format_expr(expr: &Expr) -> String {
    Printer::new("", Vec::new()).expr(expr)
}

/// The canonical text of a script, comments kept.
///
/// # Errors
/// What is wrong with the script.
pub fn format_text(text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse_with_comments(text);
    if parsed.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        return Err(parsed.diagnostics);
    }
    let mut printer = Printer::new(text, parsed.comments);
    if let Some(line) = text.lines().next().filter(|line| line.starts_with("#!")) {
        printer.line(line.trim_end());
    }
    printer.script(&parsed.script);
    printer.comments_before(u32::MAX);
    Ok(printer.out)
}

/// The output so far.
struct Printer<'t> {
    /// The text that was parsed, for blank lines; empty if there is none.
    text: &'t str,
    out: String,
    indent: usize,
    /// Comments that were not printed yet, the last one first.
    comments: Vec<Comment>,
}

/// The parts of a script in the order of the text, as far as the order is free.
enum Item<'s> {
    Map(&'s crate::ast::MapDecl),
    Macro(&'s crate::ast::Macro),
    Function(&'s crate::ast::Function),
    Probe(&'s Probe),
}

impl Item<'_> {
    fn start(&self) -> u32 {
        match self {
            Self::Map(map) => map.name.span.start,
            Self::Macro(definition) => definition.name.span.start,
            Self::Function(function) => function.name.span.start,
            Self::Probe(probe) => probe.span.start,
        }
    }
}

impl<'t> Printer<'t> {
    fn new(text: &'t str, mut comments: Vec<Comment>) -> Self {
        comments.reverse();
        Self { text, out: String::new(), indent: 0, comments }
    }

    fn line(&mut self, text: &str) {
        if !text.is_empty() {
            self.out.extend(std::iter::repeat_n("  ", self.indent));
            self.out.push_str(text);
        }
        self.out.push('\n');
    }

    /// An empty line, unless there is one or the text begins.
    fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") && !self.out.ends_with("{\n") {
            self.out.push('\n');
        }
    }

    /// Comments that stand before an offset of the text.
    fn comments_before(&mut self, offset: u32) {
        while let Some(comment) = self.comments.pop_if(|comment| comment.span.start < offset) {
            if !comment.trailing && self.blank_before(comment.span.start) {
                self.gap();
            }
            self.comment(&comment);
        }
    }

    fn comment(&mut self, comment: &Comment) {
        let text = self.text.get(comment.span.range()).unwrap_or_default();
        for line in text.lines() {
            let line = if line.starts_with(char::is_whitespace) {
                format!(" {}", line.trim())
            } else {
                line.trim_end().into()
            };
            self.line(&line);
        }
    }

    /// Comments behind something in its last line.
    fn comments_behind(&mut self, offset: u32) {
        let end = offset as usize;
        let rest = self.text.get(end..).unwrap_or_default();
        let line_end = u32::try_from(end + rest.find('\n').unwrap_or(rest.len())).unwrap_or(u32::MAX);
        while let Some(comment) = self.comments.pop_if(|comment| comment.span.start < line_end && comment.trailing) {
            let text = self.text.get(comment.span.range()).unwrap_or_default();
            if text.contains('\n') {
                self.comment(&comment);
                continue;
            }
            let open = self.out.pop() == Some('\n');
            self.out.push_str(if self.out.ends_with(char::is_whitespace) { "" } else { " " });
            self.out.push_str(text);
            self.out.push_str(if open { "\n" } else { "" });
        }
    }

    /// Whether an empty line stands before this offset of the text.
    fn blank_before(&self, offset: u32) -> bool {
        let before = self.text.get(..offset as usize).unwrap_or_default();
        let blank = &before[before.trim_end().len()..];
        blank.bytes().filter(|b| *b == b'\n').count() > 1
    }

    fn script(&mut self, script: &Script) {
        for definition in &script.definitions {
            let apart = matches!(
                definition.node,
                crate::ast::Definition::Composite { .. } | crate::ast::Definition::Enum { .. }
            );
            if apart {
                self.gap();
            }
            self.comments_before(definition.span.start);
            if self.blank_before(definition.span.start) {
                self.gap();
            }
            self.definition(&definition.node);
            self.comments_behind(definition.span.end);
        }
        self.head(script);
        let mut items: Vec<Item<'_>> = script.maps.iter().map(Item::Map).collect();
        items.extend(script.macros.iter().map(Item::Macro));
        items.extend(script.functions.iter().map(Item::Function));
        items.extend(script.probes.iter().map(Item::Probe));
        items.sort_by_key(Item::start);
        let mut after_map = false;
        for item in &items {
            let map = matches!(item, Item::Map(_));
            if !(map && after_map) {
                self.gap();
            }
            after_map = map;
            self.comments_before(item.start());
            if self.blank_before(item.start()) {
                self.gap();
            }
            match item {
                Item::Map(map) => self.map_declaration(map),
                Item::Macro(definition) => self.macro_definition(definition),
                Item::Function(function) => self.function(function),
                Item::Probe(probe) => self.probe(probe),
            }
        }
    }

    fn head(&mut self, script: &Script) {
        if let Some((first, _)) = script.config.first() {
            self.gap();
            // Comments of the block that stand before its first setting go into it.
            self.line("config = {");
            self.indent += 1;
            self.comments_before(first.span.start);
            for (name, value) in &script.config {
                self.comments_before(name.span.start);
                let text = self.setting(value);
                self.line(&format!("{} = {text};", name.node));
                self.comments_behind(value.span.end);
            }
            self.indent -= 1;
            self.line("}");
        }
        if !script.imports.is_empty() {
            self.gap();
        }
        for Spanned { node, span } in &script.imports {
            self.comments_before(span.start);
            self.line(&format!("import {};", exprs::quoted(node)));
            self.comments_behind(span.end);
        }
    }
}

#[cfg(test)]
mod tests;
