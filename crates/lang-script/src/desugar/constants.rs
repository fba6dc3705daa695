//! Constants of `#define`: replaced by their values where they are used.

use std::collections::HashMap;
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::{Budget, Desugared, MAX_HEIGHT};
use crate::ast::{Definition, Expr, ExprKind, Name, Script, TypeExpr, TypeKind, TypeOrExpr};
use crate::visit::{self, Visitor, walk_expr, walk_script, walk_type};
use crate::{parse_expr, parse_type};

/// A constant.
pub(super) struct Constant {
    span: Span,
    text: Arc<str>,
    /// Its value as an expression, with its number of nodes.
    expr: Option<(Expr, usize)>,
    /// Its value as a type.
    ty: Option<TypeExpr>,
}

/// The constants of a script. A later one replaces an earlier one of the same name.
pub(super) fn collect(script: &Script) -> HashMap<Arc<str>, Constant> {
    let mut constants = HashMap::new();
    for definition in &script.definitions {
        let Definition::Constant { name, value } = &definition.node else { continue };
        let expr = parse_expr(value).ok().map(|mut expr| {
            let nodes = count(&mut expr);
            (expr, nodes)
        });
        let ty = parse_type(value).ok();
        constants.insert(name.node.clone(), Constant { span: name.span, text: value.clone(), expr, ty });
    }
    constants
}

/// How many nodes an expression has.
pub(super) fn count(expr: &mut Expr) -> usize {
    struct Counter(usize);
    impl Visitor for Counter {
        fn span(&mut self, _: &mut Span) {
            self.0 += 1;
        }
    }
    let mut counter = Counter(0);
    counter.expr(expr);
    counter.0
}

struct Replacer<'c> {
    constants: &'c HashMap<Arc<str>, Constant>,
    /// Names of the constants that are being replaced: in their own values they mean nothing.
    active: Vec<Arc<str>>,
    budget: Budget,
    depth: u32,
    diagnostics: Vec<Diagnostic>,
}

/// Replaces constants by their values.
pub(super) fn replace(work: &mut Desugared, constants: &HashMap<Arc<str>, Constant>) {
    if constants.is_empty() {
        return;
    }
    let mut replacer =
        Replacer { constants, active: Vec::new(), budget: Budget::new(), depth: 0, diagnostics: Vec::new() };
    walk_script(&mut replacer, &mut work.script);
    work.diagnostics.extend(replacer.diagnostics);
}

impl Replacer<'_> {
    /// The value of a constant, at the place where it is used.
    fn value(&mut self, name: &Arc<str>, span: Span) -> Option<Expr> {
        let constant = self.constants.get(name).filter(|_| !self.active.contains(name))?;
        let Some((value, nodes)) = &constant.expr else {
            let what = if constant.text.is_empty() { "nothing".into() } else { format!("`{}`", constant.text) };
            let error = Diagnostic::error(span, format!("`{name}` stands for {what}, which is not an expression"));
            self.diagnostics.push(error.with_help("define it as a number, a text or an expression in parentheses"));
            return None;
        };
        if !self.budget.take(*nodes) {
            self.diagnostics.extend(self.budget.error(span));
            return None;
        }
        if matches!(value.node, ExprKind::Binary { .. } | ExprKind::Ternary { .. }) && !constant.text.starts_with('(') {
            let warning = Diagnostic::warning(constant.span, format!("`{name}` is used as one value"));
            self.diagnostics
                .push(warning.with_help(format!("put it into parentheses: `#define {name} ({})`", constant.text)));
        }
        let mut value = value.clone();
        visit::set_spans(span, |setter| walk_expr(setter, &mut value));
        Some(value)
    }

    fn inside(&mut self, name: Arc<str>, replace: impl FnOnce(&mut Self)) {
        self.active.push(name);
        replace(self);
        self.active.pop();
    }
}

impl Visitor for Replacer<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        if self.depth >= MAX_HEIGHT {
            self.diagnostics.extend(self.budget.error(expr.span));
            return;
        }
        self.depth += 1;
        if let ExprKind::Ident(name) = &expr.node
            && let name = name.clone()
            && let Some(value) = self.value(&name, expr.span)
        {
            *expr = value;
            self.inside(name, |replacer| replacer.expr(expr));
        } else {
            walk_expr(self, expr);
        }
        self.depth -= 1;
    }

    fn name(&mut self, name: &mut Name) {
        // The name of a function may be a constant that stands for another name.
        let Some(constant) = self.constants.get(&name.node) else { return };
        if let Some((Expr { node: ExprKind::Ident(other), .. }, _)) = &constant.expr
            && constant.span != name.span
        {
            name.node = other.clone();
        }
    }

    fn type_expr(&mut self, ty: &mut TypeExpr) {
        if let TypeKind::Named(name) = &ty.node
            && !self.active.contains(name)
            && let Some(Constant { ty: Some(value), .. }) = self.constants.get(name)
            && self.budget.take(1)
        {
            let (name, span) = (name.clone(), ty.span);
            *ty = value.clone();
            visit::set_spans(span, |setter| walk_type(setter, ty));
            self.inside(name, |replacer| replacer.type_expr(ty));
        } else {
            walk_type(self, ty);
        }
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        // `sizeof(NAME)` looks like a type, and NAME may stand for a number.
        if let TypeOrExpr::Type(TypeExpr { node: TypeKind::Named(name), span }) = of
            && let Some(Constant { ty: None, expr: Some(_), .. }) = self.constants.get(name)
        {
            *of = TypeOrExpr::Expr(Expr::new(ExprKind::Ident(name.clone()), *span));
        }
        visit::walk_type_or_expr(self, of);
    }
}
