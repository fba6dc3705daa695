//! Macros: checked, chosen by their parameters, and put in place of their calls.
//!
//! Macros are hygienic: their own variables get names that a script cannot write (`$x#1`), and they cannot reach
//! variables and maps of the caller but through parameters. Arguments are expanded before they are put in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::constants::count;
use super::{Budget, Desugared, MAX_HEIGHT, Options};
use crate::ast::{Expr, ExprKind, Macro, Name, Param, Spanned, Stmt, StmtKind, TypeExpr, TypeKind, TypeOrExpr};
use crate::visit::{self, Visitor, walk_expr, walk_macro, walk_script, walk_stmt, walk_type};

/// Macros inside of macros.
const MAX_NESTING: usize = 100;

/// Checks the definitions of macros, used or not.
pub(super) fn check(work: &mut Desugared) {
    let mut diagnostics = Vec::new();
    let mut signatures = HashSet::new();
    for definition in &mut work.script.macros {
        if !signatures.insert((definition.name.node.clone(), signature(definition))) {
            let error = Diagnostic::error(
                definition.name.span,
                format!("there is a macro `{}` like this already", definition.name.node),
            );
            diagnostics
                .push(error.with_help("macros of one name differ in the number or the kinds of their parameters"));
        }
        let mut own = Own::default();
        for param in params(definition) {
            own.names.insert(name_of(param).node.clone());
        }
        if own.names.len() < params(definition).len() {
            let error = Diagnostic::error(definition.name.span, "two parameters have the same name");
            diagnostics.push(error.with_help("rename one of them"));
        }
        walk_macro(&mut own, definition);
        let mut foreign = Foreign { own: &own.names, found: Vec::new() };
        walk_macro(&mut foreign, definition);
        for (name, span) in foreign.found {
            let error = Diagnostic::error(span, format!("`{name}` is not the macro's own"));
            diagnostics.push(error.with_help(format!("make it a parameter: `macro {}({name})`", definition.name.node)));
        }
    }
    work.diagnostics.extend(diagnostics);
}

fn params(definition: &Macro) -> &[Param] {
    definition.params.as_deref().unwrap_or_default()
}

fn name_of(param: &Param) -> &Name {
    let (Param::Variable(name) | Param::Map(name) | Param::Expr(name)) = param;
    name
}

/// The kinds of the parameters: `$`, `@` or `.` for each.
fn signature(definition: &Macro) -> String {
    let kind = |param: &Param| match param {
        Param::Variable(_) => '$',
        Param::Map(_) => '@',
        Param::Expr(_) => '.',
    };
    params(definition).iter().map(kind).collect()
}

/// Collects the variables that a macro declares.
#[derive(Default)]
struct Own {
    names: HashSet<Arc<str>>,
}

impl Visitor for Own {
    fn stmt(&mut self, stmt: &mut Stmt) {
        match &stmt.node {
            StmtKind::Let { name, .. } | StmtKind::ForMap { name, .. } | StmtKind::ForRange { name, .. } => {
                self.names.insert(name.node.clone());
            }
            StmtKind::Assign { target: Spanned { node: ExprKind::Variable(name), .. }, op: None, .. } => {
                self.names.insert(name.clone());
            }
            _ => {}
        }
        walk_stmt(self, stmt);
    }
}

/// Finds variables and maps that a macro uses without having them.
struct Foreign<'n> {
    own: &'n HashSet<Arc<str>>,
    found: Vec<(Arc<str>, Span)>,
}

impl Visitor for Foreign<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Variable(name) | ExprKind::Map(name) = &expr.node
            && !self.own.contains(name)
        {
            self.found.push((name.clone(), expr.span));
        }
        walk_expr(self, expr);
    }
    fn name(&mut self, name: &mut Name) {
        if name.node.starts_with(['@', '$']) && !self.own.contains(&name.node) {
            self.found.push((name.node.clone(), name.span));
        }
    }
}

/// A macro with its size.
struct Known {
    definition: Macro,
    nodes: usize,
}

struct Expander<'o> {
    known: HashMap<Arc<str>, Vec<Known>>,
    options: &'o Options<'o>,
    sources: &'o super::Sources,
    /// The macros that are being expanded: name, number of the overload, place of the call.
    stack: Vec<(Arc<str>, usize, Span)>,
    /// Expansions so far.
    serial: u32,
    depth: u32,
    budget: Budget,
    diagnostics: Vec<Diagnostic>,
}

/// Replaces calls of macros by their bodies, and removes the macros.
pub(super) fn expand(work: &mut Desugared, options: &Options<'_>) {
    let mut known: HashMap<_, Vec<_>> = HashMap::new();
    for mut definition in std::mem::take(&mut work.script.macros) {
        let mut body = body_of(&definition, definition.name.span);
        // Called with arguments in mind: each parameter may be used in several places.
        let nodes = count(&mut body);
        definition.name.span = body.span;
        known.entry(definition.name.node.clone()).or_default().push(Known { definition, nodes });
    }
    if known.is_empty() {
        return;
    }
    let mut expander = Expander {
        known,
        options,
        sources: &work.sources,
        stack: Vec::new(),
        serial: 0,
        depth: 0,
        budget: Budget::new(),
        diagnostics: Vec::new(),
    };
    walk_script(&mut expander, &mut work.script);
    let diagnostics = expander.diagnostics;
    work.diagnostics.extend(diagnostics);
}

/// The body of a macro as an expression: the value itself if there is nothing else.
fn body_of(definition: &Macro, span: Span) -> Expr {
    match &definition.value {
        Some(value) if definition.body.is_empty() => (**value).clone(),
        value => Spanned::new(ExprKind::Block { body: definition.body.clone(), value: value.clone() }, span),
    }
}

impl Expander<'_> {
    /// Replaces a call. The arguments are expanded already.
    fn call(&mut self, expr: &mut Expr, name: &Arc<str>, args: Option<&[Expr]>) {
        let Some(overloads) = self.known.get(name) else { return };
        let fits = |(_, known): &(usize, &Known)| match args {
            Some(args) => known.definition.params.is_some() && fits(&known.definition, args),
            None => params(&known.definition).is_empty(),
        };
        let concrete = |known: &Known| signature(&known.definition).matches(['$', '@']).count();
        let chosen = overloads
            .iter()
            .enumerate()
            .filter(fits)
            .max_by_key(|(index, known)| (concrete(known), usize::MAX - index));
        let Some((index, known)) = chosen else {
            if !(self.options.builtin)(name) && args.is_some() {
                self.no_overload(name, expr.span);
            }
            return;
        };
        if self.stack.iter().any(|(other, overload, _)| other == name && *overload == index) {
            let error = Diagnostic::error(expr.span, format!("the macro `{name}` uses itself"));
            return self.fail(
                expr,
                error.with_help("macros are replaced by their bodies and cannot repeat: use a loop or a function"),
            );
        }
        let nodes = known.nodes + self.cost(&known.definition, args.unwrap_or_default(), known.nodes);
        if self.stack.len() >= MAX_NESTING || !self.budget.take(nodes) {
            self.diagnostics.extend(self.budget.error(expr.span));
            expr.node = ExprKind::Int { value: 0, unsigned: false };
            return;
        }
        self.serial += 1;
        let span = expr.span;
        *expr = instantiate(&known.definition, args.unwrap_or_default(), self.serial, span);
        self.stack.push((name.clone(), index, span));
        self.expr(expr);
        self.stack.pop();
    }

    /// How many nodes the arguments add: each use of a parameter is a copy.
    fn cost(&self, definition: &Macro, args: &[Expr], nodes: usize) -> usize {
        let sizes = params(definition).iter().zip(args).filter(|(param, _)| matches!(param, Param::Expr(_)));
        let largest = sizes.map(|(_, arg)| count(&mut arg.clone())).max().unwrap_or(0);
        // The exact number is not worth a walk when this bound is small.
        let bound = largest.saturating_mul(nodes);
        if bound <= 1_000 { bound } else { uses(definition).saturating_mul(largest) }
    }

    fn no_overload(&mut self, name: &str, span: Span) {
        let forms: Vec<String> = self.known[name]
            .iter()
            .map(|known| {
                let list: Vec<&str> = params(&known.definition).iter().map(|param| &*name_of(param).node).collect();
                if known.definition.params.is_some() {
                    format!("`{name}({})`", list.join(", "))
                } else {
                    format!("`{name}`")
                }
            })
            .collect();
        let error = Diagnostic::error(span, format!("no macro `{name}` fits these arguments"));
        let error = error.with_help(format!("there is {}; `$x` takes a variable, `@x` a map", forms.join(", ")));
        let error = self.traced(error);
        self.diagnostics.push(error);
    }

    /// Reports an error and goes on without the call.
    fn fail(&mut self, expr: &mut Expr, error: Diagnostic) {
        let error = self.traced(error);
        self.diagnostics.push(error);
        expr.node = ExprKind::Int { value: 0, unsigned: false };
    }

    /// The diagnostic with the calls that led there.
    fn traced(&self, diagnostic: Diagnostic) -> Diagnostic {
        self.stack.iter().rev().fold(diagnostic, |diagnostic, (name, _, span)| {
            let (line, column) = self.sources.position(*span);
            diagnostic.with_help(format!("in the macro `{name}`, used at {line}:{column}"))
        })
    }
}

/// How often a macro uses its parameters that stand for expressions.
fn uses(definition: &Macro) -> usize {
    struct Uses<'m>(HashSet<&'m str>, usize);
    impl Visitor for Uses<'_> {
        fn expr(&mut self, expr: &mut Expr) {
            if let ExprKind::Ident(name) = &expr.node {
                self.1 += usize::from(self.0.contains(&**name));
            }
            walk_expr(self, expr);
        }
        fn type_expr(&mut self, ty: &mut TypeExpr) {
            if let TypeKind::Named(name) = &ty.node {
                self.1 += usize::from(self.0.contains(&**name));
            }
            walk_type(self, ty);
        }
    }
    let names = params(definition).iter().map(|param| &*name_of(param).node).collect();
    let mut uses = Uses(names, 0);
    uses.expr(&mut body_of(definition, Span::default()));
    uses.1
}

/// Whether the arguments are of the kinds that the macro wants.
fn fits(definition: &Macro, args: &[Expr]) -> bool {
    let params = params(definition);
    params.len() == args.len()
        && params.iter().zip(args).all(|(param, arg)| match param {
            Param::Variable(_) => matches!(arg.node, ExprKind::Variable(_)),
            Param::Map(_) => matches!(arg.node, ExprKind::Map(_)),
            Param::Expr(_) => true,
        })
}

impl Visitor for Expander<'_> {
    fn expr(&mut self, expr: &mut Expr) {
        if self.depth >= MAX_HEIGHT {
            self.diagnostics.extend(self.budget.error(expr.span));
            expr.node = ExprKind::Int { value: 0, unsigned: false };
            return;
        }
        self.depth += 1;
        walk_expr(self, expr);
        match &mut expr.node {
            ExprKind::Call { name, args } if self.known.contains_key(&name.node) => {
                let (name, args) = (name.node.clone(), std::mem::take(args));
                self.call(expr, &name, Some(&args));
                if let ExprKind::Call { args: left, .. } = &mut expr.node
                    && left.is_empty()
                {
                    *left = args;
                }
            }
            ExprKind::Ident(name) if self.known.contains_key(name) => {
                let name = name.clone();
                self.call(expr, &name, None);
            }
            _ => {}
        }
        self.depth -= 1;
    }

    fn stmt(&mut self, stmt: &mut Stmt) {
        if self.depth >= MAX_HEIGHT {
            self.diagnostics.extend(self.budget.error(stmt.span));
            stmt.node = StmtKind::Block(Vec::new());
            return;
        }
        self.depth += 1;
        walk_stmt(self, stmt);
        self.depth -= 1;
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        // `sizeof(name)` looks like a type, and the name may be a macro.
        if let TypeOrExpr::Type(Spanned { node: TypeKind::Named(name), span }) = of
            && self.known.contains_key(name)
        {
            *of = TypeOrExpr::Expr(Spanned::new(ExprKind::Ident(name.clone()), *span));
        }
        visit::walk_type_or_expr(self, of);
    }
}

/// The body of a macro with its arguments, at the place of the call.
fn instantiate(definition: &Macro, args: &[Expr], serial: u32, span: Span) -> Expr {
    let args = params(definition).iter().map(name_of).map(|name| name.node.clone()).zip(args.iter().cloned()).collect();
    let mut body = body_of(definition, span);
    Substitution { args, serial, span }.expr(&mut body);
    body
}

/// Puts arguments in place of parameters, and gives other variables new names.
struct Substitution {
    args: HashMap<Arc<str>, Expr>,
    serial: u32,
    span: Span,
}

impl Substitution {
    /// What a variable or map of the macro is called in the script.
    fn renamed(&self, name: &Arc<str>) -> Arc<str> {
        match self.args.get(name).map(|arg| &arg.node) {
            Some(ExprKind::Variable(other) | ExprKind::Map(other)) => other.clone(),
            _ if name.starts_with('$') => format!("{name}#{}", self.serial).into(),
            _ => name.clone(),
        }
    }
}

impl Visitor for Substitution {
    fn span(&mut self, span: &mut Span) {
        *span = self.span;
    }

    fn name(&mut self, name: &mut Name) {
        name.span = self.span;
        if name.node.starts_with(['$', '@']) {
            name.node = self.renamed(&name.node);
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        match &mut expr.node {
            ExprKind::Variable(name) | ExprKind::Map(name) => {
                *name = self.renamed(name);
                expr.span = self.span;
            }
            ExprKind::Ident(name) if self.args.contains_key(name) => *expr = self.args[name].clone(),
            _ => walk_expr(self, expr),
        }
    }

    fn type_expr(&mut self, ty: &mut TypeExpr) {
        let TypeKind::Named(name) = &ty.node else { return walk_type(self, ty) };
        ty.span = self.span;
        let Some(arg) = self.args.get(name) else { return };
        ty.node = match &arg.node {
            ExprKind::Type(other) => other.node.clone(),
            ExprKind::Ident(other) => TypeKind::Named(other.clone()),
            _ => TypeKind::Typeof(Box::new(TypeOrExpr::Expr(arg.clone()))),
        };
    }

    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        if let TypeOrExpr::Type(Spanned { node: TypeKind::Named(name), .. }) = of
            && let Some(arg) = self.args.get(name)
            && !matches!(arg.node, ExprKind::Ident(_) | ExprKind::Type(_))
        {
            *of = TypeOrExpr::Expr(arg.clone());
            return;
        }
        visit::walk_type_or_expr(self, of);
    }
}
