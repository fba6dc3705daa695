//! Positional parameters: `$1` in attach points and expressions, `$#`.

use skep_diag::{Diagnostic, Span};

use super::{Desugared, Options};
use crate::ast::{AttachPoint, BinaryOp, Expr, ExprKind, Spanned, UnaryOp};
use crate::visit::{Visitor, walk_expr, walk_script};

struct Replacer<'o> {
    params: &'o [String],
    diagnostics: Vec<Diagnostic>,
}

/// Replaces parameters by the arguments of the script.
pub(super) fn replace(work: &mut Desugared, options: &Options<'_>) {
    let mut replacer = Replacer { params: options.params, diagnostics: Vec::new() };
    walk_script(&mut replacer, &mut work.script);
    work.diagnostics.extend(replacer.diagnostics);
}

impl Replacer<'_> {
    fn param(&self, number: u32) -> Option<&str> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.params.get(index).map(String::as_str)
    }

    /// Outside of `str`, an argument is a number if it can be one; one that is missing is 0.
    fn value(&self, number: u32, span: Span) -> ExprKind {
        let Some(text) = self.param(number) else { return ExprKind::Int { value: 0, unsigned: false } };
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        if !digits.starts_with(|c: char| c.is_ascii_digit()) {
            return ExprKind::Text(text.into());
        }
        let Ok((value, unsigned)) = crate::lex::number(digits) else { return ExprKind::Text(text.into()) };
        let value = ExprKind::Int { value, unsigned };
        if negative {
            return ExprKind::Unary { op: UnaryOp::Neg, operand: Box::new(Spanned::new(value, span)) };
        }
        value
    }

    /// `$1` or `$1 + 3` in `str`: the text, or the text behind its first bytes; one that is missing is empty.
    fn text(&self, expr: &Expr) -> Option<String> {
        match &expr.node {
            ExprKind::Positional(number) => Some(self.param(*number).unwrap_or_default().to_owned()),
            ExprKind::Binary { op: BinaryOp::Add, left, right } => match (&left.node, &right.node) {
                (ExprKind::Positional(number), ExprKind::Int { value, .. })
                | (ExprKind::Int { value, .. }, ExprKind::Positional(number)) => {
                    let text = self.param(*number).unwrap_or_default();
                    let skip = usize::try_from(*value).unwrap_or(usize::MAX).min(text.len());
                    Some(String::from_utf8_lossy(&text.as_bytes()[skip..]).into_owned())
                }
                _ => None,
            },
            _ => None,
        }
    }
}

impl Visitor for Replacer<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.node {
            ExprKind::Call { name, args } if &*name.node == "str" && !args.is_empty() => {
                if let Some(text) = self.text(&args[0]) {
                    let text = ExprKind::Text(text.into());
                    if args.len() == 1 {
                        expr.node = text;
                        return;
                    }
                    args[0].node = text;
                }
                walk_expr(self, expr);
            }
            ExprKind::Positional(number) => expr.node = self.value(*number, expr.span),
            ExprKind::PositionalCount => {
                expr.node = ExprKind::Int { value: self.params.len() as u64, unsigned: false };
            }
            _ => walk_expr(self, expr),
        }
    }

    fn point(&mut self, point: &mut Spanned<AttachPoint>) {
        for part in &mut point.node.parts {
            if !part.contains('$') {
                continue;
            }
            let mut out = String::new();
            let mut rest = &**part;
            while let Some(at) = rest.find('$') {
                out.push_str(&rest[..at]);
                rest = &rest[at + 1..];
                let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                let Ok(index) = rest[..digits].parse::<u32>() else {
                    out.push('$');
                    continue;
                };
                rest = &rest[digits..];
                match self.param(index) {
                    Some(text) => out.push_str(text),
                    None => {
                        let error = Diagnostic::error(point.span, format!("the script has no argument {index}"));
                        let count = self.params.len();
                        self.diagnostics
                            .push(error.with_help(format!("it was started with {count}; give more behind its name")));
                    }
                }
            }
            out.push_str(rest);
            *part = out.into();
        }
    }
}
