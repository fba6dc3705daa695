//! `#if` and its kin: which definitions of the C part count.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::{Desugared, Options};
use crate::ast::{Definition, Expr, ExprKind, Spanned};
use crate::{consts, parse_expr};

/// An `#if` that is not closed yet.
struct Open {
    span: Span,
    /// Whether what surrounds it counts.
    outer: bool,
    /// Whether one of its branches counted already.
    taken: bool,
    /// Whether the current branch counts.
    active: bool,
    /// Whether `#else` came.
    last: bool,
}

struct Conditions {
    names: HashMap<Arc<str>, Arc<str>>,
    open: Vec<Open>,
    diagnostics: Vec<Diagnostic>,
}

/// Removes directives and what they leave out.
pub(super) fn apply(work: &mut Desugared, options: &Options<'_>) {
    let names = options.defined.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))).collect();
    let mut conditions = Conditions { names, open: Vec::new(), diagnostics: Vec::new() };
    let definitions = std::mem::take(&mut work.script.definitions);
    for definition in definitions {
        let active = conditions.open.last().is_none_or(|open| open.active);
        match &definition.node {
            Definition::Directive(text) => {
                if let Some(name) = conditions.directive(text, definition.span, active) {
                    // A constant that ends here has no value any more.
                    work.script.definitions.retain(
                        |other| !matches!(&other.node, Definition::Constant { name: n, .. } if *n.node == *name),
                    );
                }
            }
            _ if !active => {}
            Definition::Constant { name, value } => {
                conditions.names.insert(name.node.clone(), value.clone());
                work.script.definitions.push(definition);
            }
            _ => work.script.definitions.push(definition),
        }
    }
    for open in &conditions.open {
        let error = Diagnostic::error(open.span, "this `#if` is not closed").with_label("opened here");
        conditions.diagnostics.push(error.with_help("add `#endif`"));
    }
    work.diagnostics.extend(conditions.diagnostics);
}

impl Conditions {
    /// Obeys a line; gives the name that it undefines.
    fn directive(&mut self, text: &str, span: Span, active: bool) -> Option<String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match word {
            "ifdef" | "ifndef" => {
                let found = self.names.contains_key(rest);
                self.begin(span, active, found == (word == "ifdef"));
            }
            "if" => {
                let value = active && self.condition(rest, span);
                self.begin(span, active, value);
            }
            "elif" | "else" => self.branch(word, rest, span),
            "endif" => {
                if self.open.pop().is_none() {
                    self.stray(span, "endif");
                }
            }
            "undef" if active => {
                self.names.remove(rest);
                return Some(rest.to_owned());
            }
            "error" if active => {
                let error = Diagnostic::error(span, format!("the script says: {rest}"));
                self.diagnostics
                    .push(error.with_help("an `#error` line counts here; look at the conditions around it"));
            }
            "" | "undef" | "error" | "pragma" | "warning" | "line" => {}
            _ if !active => {}
            _ => {
                let error = Diagnostic::error(span, format!("`#{word}` is not known"));
                self.diagnostics.push(
                    error.with_help("known are #include, #define, #undef, #if, #ifdef, #ifndef, #elif, #else, #endif"),
                );
            }
        }
        None
    }

    fn begin(&mut self, span: Span, outer: bool, value: bool) {
        let active = outer && value;
        self.open.push(Open { span, outer, taken: active, active, last: false });
    }

    fn branch(&mut self, word: &str, rest: &str, span: Span) {
        let wanted = self.open.last().is_some_and(|open| open.outer && !open.taken);
        let value = wanted && (word == "else" || self.condition(rest, span));
        match self.open.last_mut() {
            Some(open) if !open.last => {
                open.active = value;
                open.taken |= value;
                open.last = word == "else";
            }
            _ => self.stray(span, word),
        }
    }

    fn stray(&mut self, span: Span, word: &str) {
        let error = Diagnostic::error(span, format!("this `#{word}` has no `#if`"));
        self.diagnostics.push(error.with_help("remove it, or add `#if`, `#ifdef` or `#ifndef` before it"));
    }

    fn condition(&mut self, text: &str, span: Span) -> bool {
        let value = parse_expr(text).map_err(|errors| errors[0].message.clone()).and_then(|expr| self.value(&expr, 0));
        value.unwrap_or_else(|reason| {
            let error = Diagnostic::error(span, format!("this condition has no value: {reason}"));
            self.diagnostics.push(error.with_help("write numbers, `defined(NAME)` and operators"));
            0
        }) != 0
    }

    /// The value of a condition: names that are not defined are 0, as in C.
    fn value(&self, expr: &Expr, depth: u32) -> Result<i128, String> {
        let lookup = |expr: &Expr| match &expr.node {
            ExprKind::Call { name, args } if &*name.node == "defined" => match &args[..] {
                [Spanned { node: ExprKind::Ident(name), .. }] => Some(Ok(i128::from(self.names.contains_key(name)))),
                _ => Some(Err("`defined` needs a name in parentheses".into())),
            },
            ExprKind::Ident(name) => Some(match self.names.get(name) {
                Some(_) if depth >= 32 => Err(format!("`{name}` is defined by itself")),
                Some(value) => {
                    let parsed = parse_expr(value).map_err(|_| format!("`{name}` is not a number"));
                    parsed.and_then(|value| self.value(&value, depth + 1))
                }
                None => Ok(0),
            }),
            _ => None,
        };
        consts::evaluate(expr, &lookup).map_err(|(_, message)| message)
    }
}
