//! Statements.

use std::sync::Arc;

use skep_diag::Span;

use super::Checker;
use super::tree::{Expr, Kind, Map, Stmt, StmtKind, Target};
use crate::ast::{self, BinaryOp, ExprKind};
use crate::builtins::{self, Role};
use crate::infer::{Growing, KnownValue, Misfit};
use crate::types::Type;

impl Checker<'_> {
    /// Statements with a scope of their own.
    pub(super) fn block(&mut self, body: &[ast::Stmt]) -> Vec<Stmt> {
        self.in_scope(|check| check.stmts(body))
    }

    fn stmts(&mut self, body: &[ast::Stmt]) -> Vec<Stmt> {
        body.iter().filter_map(|stmt| Some(Stmt { kind: self.stmt(stmt)?, span: stmt.span })).collect()
    }

    /// Statements of a block expression, in the scope that is open.
    pub(super) fn inner_stmts(&mut self, body: &[ast::Stmt]) -> Vec<Stmt> {
        self.stmts(body)
    }

    fn stmt(&mut self, stmt: &ast::Stmt) -> Option<StmtKind> {
        use ast::StmtKind as S;
        match &stmt.node {
            S::Expr(expr) => self.expr_stmt(expr),
            S::Discard(expr) => Some(StmtKind::Expr(self.expr(expr))),
            S::Let { name, ty, value } => self.declaration(name, ty.as_ref(), value.as_ref()),
            S::Assign { target, op, value } => self.assign(target, *op, value, stmt.span),
            S::If { cond, comptime, yes, no } => self.if_stmt(cond, *comptime, yes, no),
            S::ForMap { name, map, body } => self.for_map(name, map, body),
            S::ForRange { name, start, end, body } => self.for_range(name, start, end, body),
            S::While { cond, body } => {
                let cond = self.expr(cond);
                let cond = self.condition(cond);
                Some(StmtKind::While(cond, self.loop_body(body)))
            }
            S::Unroll { count, body } => self.unroll(count, body),
            S::Break | S::Continue => {
                if self.state.loops == 0 {
                    self.error(stmt.span, "there is no loop around this");
                }
                Some(if matches!(stmt.node, S::Break) { StmtKind::Break } else { StmtKind::Continue })
            }
            S::Return(value) => Some(self.return_stmt(value.as_ref(), stmt.span)),
            S::Block(body) => Some(StmtKind::Block(self.block(body))),
            S::Import(name) => {
                self.error(name.span, "an import stands at the start of the script, not in a block");
                None
            }
        }
    }

    fn expr_stmt(&mut self, expr: &ast::Expr) -> Option<StmtKind> {
        if let ExprKind::Call { name, args } = &expr.node
            && let Some(row) = self.builtin(&name.node)
        {
            match row.role {
                Role::Action => return self.action(row, name, args, expr.span),
                Role::Aggregate => {
                    self.error_with_help(
                        expr.span,
                        format!("`{}` is assigned to a map", row.name),
                        format!("write `{}`", row.signature),
                    );
                    return None;
                }
                Role::Constant => return self.compile_time(row, args, expr.span),
                Role::Value | Role::Function => {}
            }
        }
        let value = self.expr(expr);
        let useful = matches!(
            value.kind,
            Kind::Step { .. } | Kind::Function(..) | Kind::Inline(..) | Kind::Block(..) | Kind::Builtin(_)
        ) || value.ty == Type::Unknown;
        if !useful {
            self.warn(expr.span, "nothing is done with this value", "write `_ = ...` if that is meant");
        }
        Some(StmtKind::Expr(value))
    }

    /// The row of a builtin, unless a function of the script has its name.
    pub(super) fn builtin(&self, name: &str) -> Option<&'static builtins::Row> {
        if self.functions.iter().any(|function| &*function.name == name) {
            return None;
        }
        builtins::find(name)
    }

    fn declaration(
        &mut self,
        name: &ast::Name,
        ty: Option<&ast::TypeExpr>,
        value: Option<&ast::Expr>,
    ) -> Option<StmtKind> {
        let value = value.map(|value| self.expr(value));
        let declared = ty.and_then(|ty| self.written_type(ty));
        if self.lookup(&name.node).is_some() {
            self.error(name.span, format!("`{}` exists here already", name.node));
        }
        let var = self.declare(&name.node);
        if let Some(ty) = declared {
            self.growing(var, Growing::declared(ty));
        }
        match value {
            Some(value) => {
                let value = self.learn_var(var, &name.node, value);
                Some(StmtKind::SetVar(var, value))
            }
            None => Some(StmtKind::Clear(var)),
        }
    }

    fn assign(&mut self, target: &ast::Expr, op: Option<BinaryOp>, value: &ast::Expr, span: Span) -> Option<StmtKind> {
        match &target.node {
            ExprKind::Variable(name) => self.assign_var(name, target.span, op, value, span),
            ExprKind::Map(name) => self.assign_map(name, target.span, &[], op, value, span),
            ExprKind::Index { base, keys } => match &base.node {
                ExprKind::Map(name) => self.assign_map(name, base.span, keys, op, value, span),
                _ => self.not_assignable(target.span),
            },
            _ => self.not_assignable(target.span),
        }
    }

    fn not_assignable(&mut self, span: Span) -> Option<StmtKind> {
        self.error_with_help(span, "this cannot be assigned to", "variables (`$name`) and maps (`@name`) can");
        None
    }

    fn assign_var(
        &mut self,
        name: &Arc<str>,
        at: Span,
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let mut new = self.expr(value);
        if new.ty == Type::Void {
            self.error(value.span, "this has no value");
            return None;
        }
        let var = match (self.lookup(name), op) {
            (Some(var), _) => var,
            (None, None) => self.declare(name),
            (None, Some(_)) => {
                self.unknown_variable(name, at);
                return None;
            }
        };
        if let Some(op) = op {
            // A variable that was only declared is a zero of the kind that comes first.
            let ty = match self.var_type(var) {
                Type::Unknown if new.ty.is_number() => new.ty.clone(),
                known => known,
            };
            let old = Expr::new(Kind::Var(var), ty, at);
            new = self.binary(op, old, new, span);
        }
        let new = self.learn_var(var, name, new);
        Some(StmtKind::SetVar(var, new))
    }

    fn assign_map(
        &mut self,
        name: &Arc<str>,
        at: Span,
        keys: &[ast::Expr],
        op: Option<BinaryOp>,
        value: &ast::Expr,
        span: Span,
    ) -> Option<StmtKind> {
        let map = self.map(name, at);
        let key = self.key(map, keys, at);
        if let ExprKind::Call { name, args } = &value.node
            && let Some(row) = self.builtin(&name.node)
            && row.role == Role::Aggregate
        {
            if op.is_some() {
                self.error(span, format!("`{}` stands behind a plain `=`", row.name));
                return None;
            }
            return self.aggregate(map, key, row, args, value.span);
        }
        let new = self.expr(value);
        if new.ty == Type::Void {
            self.error(value.span, "this has no value");
            return None;
        }
        match op {
            None => {
                let new = self.learn_entry(map, new)?;
                Some(StmtKind::SetEntry(map, key, new))
            }
            Some(op) => self.update(map, key, op, new, span),
        }
    }

    /// `@map op= value`
    fn update(&mut self, map: Map, key: Vec<Expr>, op: BinaryOp, value: Expr, span: Span) -> Option<StmtKind> {
        let old = self.entry(map, key.clone(), span);
        let fresh = old.ty == Type::Unknown;
        // A map that is only changed this way holds numbers.
        let old_type = if fresh { Type::I64 } else { old.ty.clone() };
        let new = self.binary(op, Expr { ty: old_type.clone(), ..old }, value.clone(), span);
        let learnt = self.learn_entry(map, new)?;
        let atomic = matches!(op, BinaryOp::Add | BinaryOp::Sub) && matches!(learnt.ty, Type::Int { bytes: 8, .. });
        if atomic && !fresh {
            let value = self.coerce(value, &Type::I64);
            return Some(StmtKind::Update(map, key, op, value));
        }
        // The key is used twice here: to read and to write.
        let (mut before, mut parts) = (Vec::new(), Vec::new());
        for part in key {
            let (set, part) = self.once(part);
            before.extend(set);
            parts.push(part);
        }
        let old = Expr { ty: old_type, ..self.entry(map, parts.clone(), span) };
        let new = self.binary(op, old, value, span);
        let new = self.learn_entry(map, new)?;
        before.push(Stmt { kind: StmtKind::SetEntry(map, parts, new), span });
        Some(StmtKind::Block(before))
    }

    /// Takes in that a value is assigned to a map, and makes it one of the map's type.
    pub(super) fn learn_entry(&mut self, map: Map, value: Expr) -> Option<Expr> {
        if let Err((message, misfit)) = self.known.learn_value(map, &value) {
            match misfit {
                Misfit::Never => {
                    self.error(value.span, message);
                    return None;
                }
                Misfit::Sign => self.warn(value.span, message, "both are taken as 64 bits with a sign"),
            }
        }
        let KnownValue::Plain(growing) = &self.known.get(map).value else { return None };
        let ty = growing.ty.clone();
        Some(self.coerce(value, &ty))
    }

    /// The key of a map, of the types that its parts have in the map.
    pub(super) fn key(&mut self, map: Map, keys: &[ast::Expr], at: Span) -> Vec<Expr> {
        let mut key: Vec<Expr> = keys.iter().map(|key| self.expr(key)).collect();
        // It may turn out to be a tuple, which is a key of several parts.
        if let [Expr { ty: Type::Unknown, .. }] = &key[..] {
            return key;
        }
        // `@m[(a, b)]` is `@m[a, b]`.
        if let [Expr { kind: Kind::Tuple(_), ty: Type::Tuple(_), .. }] = &key[..]
            && let Some(Expr { kind: Kind::Tuple(parts), .. }) = key.pop()
        {
            key = parts;
        } else if let [Expr { ty: Type::Tuple(types), .. }] = &key[..] {
            let parts = types.len();
            let (set, tuple) = self.once(key.remove(0));
            key = (0..parts).map(|index| self.tuple_part(tuple.clone(), index)).collect();
            if let (Some(set), Some(first)) = (set, key.first_mut()) {
                let inner = first.clone();
                let (ty, span) = (inner.ty.clone(), inner.span);
                *first = Expr::new(Kind::Block(vec![set], Box::new(inner)), ty, span);
            }
        }
        for part in &key {
            if part.ty == Type::Void || matches!(part.ty, Type::Composite(_)) {
                self.problems.push(skep_diag::Diagnostic::error(part.span, "this cannot be a part of a key"));
            }
        }
        if let Err(message) = self.known.learn_key(map, &key) {
            let span = key.first().map_or(at, |first| first.span);
            self.error(span, message);
            return key;
        }
        let types: Vec<Type> = self.known.get(map).key.iter().flatten().map(|part| part.ty.clone()).collect();
        key.into_iter().zip(types).map(|(part, ty)| self.coerce(part, &ty)).collect()
    }

    fn if_stmt(&mut self, cond: &ast::Expr, comptime: bool, yes: &[ast::Stmt], no: &[ast::Stmt]) -> Option<StmtKind> {
        let cond = self.expr(cond);
        let cond = self.condition(cond);
        if comptime && cond.constant().is_none() && cond.ty != Type::Unknown {
            self.error(cond.span, "this is not known while the script is compiled");
        }
        if let Some(value) = cond.constant().filter(|_| comptime) {
            return Some(StmtKind::Block(self.block(if value != 0 { yes } else { no })));
        }
        Some(StmtKind::If(cond, self.block(yes), self.block(no)))
    }

    fn loop_body(&mut self, body: &[ast::Stmt]) -> Vec<Stmt> {
        self.state.loops += 1;
        let body = self.block(body);
        self.state.loops -= 1;
        body
    }

    fn unroll(&mut self, count: &ast::Expr, body: &[ast::Stmt]) -> Option<StmtKind> {
        const MOST: i64 = 100;
        let count = self.expr(count);
        let number = count.constant();
        if number.is_none_or(|number| !(1..=MOST).contains(&number)) && count.ty != Type::Unknown {
            self.error_with_help(
                count.span,
                format!("the number of repetitions must be known, from 1 to {MOST}"),
                "`for ($i : 0..n)` repeats any number of times",
            );
        }
        let body = self.loop_body(body);
        let number = number.and_then(|number| u32::try_from(number.clamp(0, MOST)).ok()).unwrap_or(1);
        Some(StmtKind::Unroll(number, body))
    }

    fn for_range(
        &mut self,
        name: &ast::Name,
        start: &ast::Expr,
        end: &ast::Expr,
        body: &[ast::Stmt],
    ) -> Option<StmtKind> {
        let start = self.expr(start);
        let start = self.number(start, "a range goes over");
        let end = self.expr(end);
        let end = self.number(end, "a range goes over");
        self.in_scope(|check| {
            if check.lookup(&name.node).is_some() {
                check.error(name.span, format!("`{}` exists here already", name.node));
            }
            let var = check.declare(&name.node);
            check.growing(var, Growing::declared(Type::I64));
            let body = check.loop_body(body);
            Some(StmtKind::ForRange(var, start, end, body))
        })
    }

    fn for_map(&mut self, name: &ast::Name, map: &ast::Name, body: &[ast::Stmt]) -> Option<StmtKind> {
        let number = self.map(&map.node, map.span);
        if self.known.get(number).key.as_ref().is_some_and(Vec::is_empty) {
            self.error(map.span, format!("`{}` has no key, so there is nothing to go over", map.node));
            return None;
        }
        let key: Vec<Type> = self.known.get(number).key.iter().flatten().map(|part| part.ty.clone()).collect();
        let key = match key.len() {
            0 => Type::Unknown,
            1 => key.into_iter().next().unwrap_or(Type::Unknown),
            _ => Type::Tuple(key),
        };
        let value = self.entry_type(number, map.span, true);
        self.in_scope(|check| {
            let var = check.declare(&name.node);
            let pair = if key == Type::Unknown { Type::Unknown } else { Type::Tuple(vec![key, value]) };
            check.growing(var, Growing::declared(pair));
            let body = check.loop_body(body);
            Some(StmtKind::ForMap(var, number, body))
        })
    }

    /// What is changed by `++` and its kin.
    pub(super) fn target(&mut self, target: &ast::Expr) -> Option<(Target, Expr)> {
        match &target.node {
            ExprKind::Variable(name) => {
                let Some(var) = self.lookup(name) else {
                    self.unknown_variable(name, target.span);
                    return None;
                };
                Some((Target::Var(var), Expr::new(Kind::Var(var), self.var_type(var), target.span)))
            }
            ExprKind::Map(name) => {
                let map = self.map(name, target.span);
                let key = self.key(map, &[], target.span);
                Some((Target::Entry(map, key.clone()), self.entry(map, key, target.span)))
            }
            ExprKind::Index { base, keys } if matches!(base.node, ExprKind::Map(_)) => {
                let ExprKind::Map(name) = &base.node else { return None };
                let map = self.map(name, base.span);
                let key = self.key(map, keys, base.span);
                Some((Target::Entry(map, key.clone()), self.entry(map, key, target.span)))
            }
            _ => {
                self.not_assignable(target.span);
                None
            }
        }
    }
}
