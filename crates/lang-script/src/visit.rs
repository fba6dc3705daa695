//! Walking over a syntax tree and changing it on the way.
//!
//! A pass implements [`Visitor`] for what it changes and calls the `walk_` function of the same kind to go deeper.

use crate::ast::{
    AttachPoint, Definition, Expr, ExprKind, Function, Macro, MapDecl, Member, Name, Param, Probe, Script, Span,
    Spanned, Stmt, StmtKind, TypeExpr, TypeKind, TypeOrExpr,
};

/// What is done at the nodes of a tree. By default nothing but to go deeper.
pub trait Visitor {
    /// An expression.
    fn expr(&mut self, expr: &mut Expr) {
        walk_expr(self, expr);
    }
    /// A statement.
    fn stmt(&mut self, stmt: &mut Stmt) {
        walk_stmt(self, stmt);
    }
    /// Statements that share a scope.
    fn stmts(&mut self, stmts: &mut Vec<Stmt>) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }
    /// A type.
    fn type_expr(&mut self, ty: &mut TypeExpr) {
        walk_type(self, ty);
    }
    /// The argument of `sizeof` and its like.
    fn type_or_expr(&mut self, of: &mut TypeOrExpr) {
        walk_type_or_expr(self, of);
    }
    /// A name that is declared or used: of variables with the `$`, of maps with the `@`.
    fn name(&mut self, name: &mut Name) {
        self.span(&mut name.span);
    }
    /// An attach point.
    fn point(&mut self, point: &mut Spanned<AttachPoint>) {
        self.span(&mut point.span);
    }
    /// The place of a node.
    fn span(&mut self, _span: &mut Span) {}
}

/// Visits everything in a script.
pub fn walk_script<V: Visitor + ?Sized>(visitor: &mut V, script: &mut Script) {
    for definition in &mut script.definitions {
        visitor.span(&mut definition.span);
        walk_definition(visitor, &mut definition.node);
    }
    for (name, setting) in &mut script.config {
        visitor.name(name);
        visitor.span(&mut setting.span);
    }
    for import in &mut script.imports {
        visitor.span(&mut import.span);
    }
    for MapDecl { name, kind, entries } in &mut script.maps {
        visitor.name(name);
        visitor.name(kind);
        visitor.span(&mut entries.span);
    }
    for definition in &mut script.macros {
        walk_macro(visitor, definition);
    }
    for Function { name, params, result, body } in &mut script.functions {
        visitor.name(name);
        for (name, ty) in params {
            visitor.name(name);
            visitor.type_expr(ty);
        }
        visitor.type_expr(result);
        visitor.stmts(body);
    }
    for Probe { name, points, predicate, body, span } in &mut script.probes {
        visitor.span(span);
        if let Some(name) = name {
            visitor.name(name);
        }
        for point in points {
            visitor.point(point);
        }
        if let Some(predicate) = predicate {
            visitor.expr(predicate);
        }
        visitor.stmts(body);
    }
}

/// Visits the parts of a macro.
pub fn walk_macro<V: Visitor + ?Sized>(visitor: &mut V, definition: &mut Macro) {
    visitor.name(&mut definition.name);
    for param in definition.params.iter_mut().flatten() {
        let (Param::Variable(name) | Param::Map(name) | Param::Expr(name)) = param;
        visitor.name(name);
    }
    visitor.stmts(&mut definition.body);
    if let Some(value) = &mut definition.value {
        visitor.expr(value);
    }
}

fn walk_definition<V: Visitor + ?Sized>(visitor: &mut V, definition: &mut Definition) {
    match definition {
        Definition::Include { .. } | Definition::Directive(_) => {}
        Definition::Constant { name, .. } => visitor.name(name),
        Definition::Composite { name, members, .. } => {
            visitor.name(name);
            walk_members(visitor, members);
        }
        Definition::Enum { name, values } => {
            if let Some(name) = name {
                visitor.name(name);
            }
            for (name, value) in values {
                visitor.name(name);
                if let Some(value) = value {
                    visitor.expr(value);
                }
            }
        }
        Definition::Typedef { name, ty } => {
            visitor.name(name);
            visitor.type_expr(ty);
        }
    }
}

fn walk_members<V: Visitor + ?Sized>(visitor: &mut V, members: &mut [Member]) {
    for Member { name, ty, inner, .. } in members {
        if let Some(name) = name {
            visitor.name(name);
        }
        visitor.type_expr(ty);
        if let Some((_, members)) = inner {
            walk_members(visitor, members);
        }
    }
}

/// Visits the parts of a statement.
pub fn walk_stmt<V: Visitor + ?Sized>(visitor: &mut V, stmt: &mut Stmt) {
    visitor.span(&mut stmt.span);
    match &mut stmt.node {
        StmtKind::Break | StmtKind::Continue => {}
        StmtKind::Expr(expr) | StmtKind::Discard(expr) | StmtKind::Return(Some(expr)) => visitor.expr(expr),
        StmtKind::Return(None) => {}
        StmtKind::Let { name, ty, value } => {
            if let Some(ty) = ty {
                visitor.type_expr(ty);
            }
            if let Some(value) = value {
                visitor.expr(value);
            }
            visitor.name(name);
        }
        StmtKind::Assign { target, op: _, value } => {
            visitor.expr(value);
            visitor.expr(target);
        }
        StmtKind::If { cond, comptime: _, yes, no } => {
            visitor.expr(cond);
            visitor.stmts(yes);
            visitor.stmts(no);
        }
        StmtKind::ForMap { name, map, body } => {
            visitor.name(map);
            visitor.name(name);
            visitor.stmts(body);
        }
        StmtKind::ForRange { name, start, end, body } => {
            visitor.expr(start);
            visitor.expr(end);
            visitor.name(name);
            visitor.stmts(body);
        }
        StmtKind::While { cond, body } => {
            visitor.expr(cond);
            visitor.stmts(body);
        }
        StmtKind::Unroll { count, body } => {
            visitor.expr(count);
            visitor.stmts(body);
        }
        StmtKind::Block(body) => visitor.stmts(body),
        StmtKind::Import(path) => visitor.span(&mut path.span),
    }
}

/// Visits the parts of an expression.
pub fn walk_expr<V: Visitor + ?Sized>(visitor: &mut V, expr: &mut Expr) {
    visitor.span(&mut expr.span);
    match &mut expr.node {
        ExprKind::Int { .. }
        | ExprKind::Text(_)
        | ExprKind::Bool(_)
        | ExprKind::Positional(_)
        | ExprKind::PositionalCount
        | ExprKind::Variable(_)
        | ExprKind::Map(_)
        | ExprKind::Ident(_) => {}
        ExprKind::Index { base, keys } => {
            visitor.expr(base);
            walk_exprs(visitor, keys);
        }
        ExprKind::Call { name, args } => {
            visitor.name(name);
            walk_exprs(visitor, args);
        }
        ExprKind::Field { base, field } => {
            visitor.expr(base);
            visitor.span(&mut field.span);
        }
        ExprKind::TupleField { base: operand, index: _ }
        | ExprKind::Unary { op: _, operand }
        | ExprKind::Step { target: operand, .. }
        | ExprKind::Comptime(operand) => visitor.expr(operand),
        ExprKind::Binary { op: _, left, right } => {
            visitor.expr(left);
            visitor.expr(right);
        }
        ExprKind::Ternary { cond, yes, no } => {
            visitor.expr(cond);
            if let Some(yes) = yes {
                visitor.expr(yes);
            }
            visitor.expr(no);
        }
        ExprKind::If { cond, comptime: _, yes, no } => {
            visitor.expr(cond);
            visitor.expr(yes);
            visitor.expr(no);
        }
        ExprKind::Block { body, value } => {
            visitor.stmts(body);
            if let Some(value) = value {
                visitor.expr(value);
            }
        }
        ExprKind::Cast { ty, operand } => {
            visitor.type_expr(ty);
            visitor.expr(operand);
        }
        ExprKind::Tuple(items) => walk_exprs(visitor, items),
        ExprKind::Record(fields) => {
            for (name, value) in fields {
                visitor.span(&mut name.span);
                visitor.expr(value);
            }
        }
        ExprKind::Sizeof(of) | ExprKind::Typeinfo(of) => visitor.type_or_expr(of),
        ExprKind::Offsetof { of, path } => {
            visitor.type_or_expr(of);
            for name in path {
                visitor.span(&mut name.span);
            }
        }
        ExprKind::Type(ty) => visitor.type_expr(ty),
    }
}

fn walk_exprs<V: Visitor + ?Sized>(visitor: &mut V, exprs: &mut [Expr]) {
    for expr in exprs {
        visitor.expr(expr);
    }
}

/// Visits the parts of a type.
pub fn walk_type<V: Visitor + ?Sized>(visitor: &mut V, ty: &mut TypeExpr) {
    visitor.span(&mut ty.span);
    match &mut ty.node {
        TypeKind::Named(_) | TypeKind::Struct(_) | TypeKind::Union(_) | TypeKind::Enum(_) => {}
        TypeKind::Pointer(inner) => visitor.type_expr(inner),
        TypeKind::Array(inner, size) => {
            visitor.type_expr(inner);
            if let Some(size) = size {
                visitor.expr(size);
            }
        }
        TypeKind::Tuple(items) => {
            for item in items {
                visitor.type_expr(item);
            }
        }
        TypeKind::Typeof(of) => visitor.type_or_expr(of),
    }
}

/// Visits the type or the expression.
pub fn walk_type_or_expr<V: Visitor + ?Sized>(visitor: &mut V, of: &mut TypeOrExpr) {
    match of {
        TypeOrExpr::Type(ty) => visitor.type_expr(ty),
        TypeOrExpr::Expr(expr) => visitor.expr(expr),
    }
}

/// Makes all places the same, so that trees of different texts can be compared.
pub fn clear_spans(script: &mut Script) {
    set_spans(Span::default(), |visitor| walk_script(visitor, script));
}

/// Moves what `walk` visits to one place.
pub fn set_spans(span: Span, walk: impl FnOnce(&mut dyn Visitor)) {
    struct Setter(Span);
    impl Visitor for Setter {
        fn span(&mut self, span: &mut Span) {
            *span = self.0;
        }
    }
    walk(&mut Setter(span));
}
