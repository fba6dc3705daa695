//! Functions of the script: calls, and `return`.

use std::collections::HashMap;

use skep_diag::Span;

use super::tree::{Expr, Kind, Stmt, StmtKind, Var};
use super::{Checker, Returns};
use crate::ast;
use crate::infer::Growing;
use crate::types::Type;

/// Functions that stand in place of their calls, one inside of the other.
const DEEPEST: usize = 32;

impl Checker<'_> {
    /// A call of a function of the script.
    pub(super) fn call_function(&mut self, index: usize, args: &[ast::Expr], span: Span) -> Expr {
        let signature = self.functions[index].clone();
        if signature.params.len() != args.len() {
            let message =
                format!("`{}` takes {} arguments, not {}", signature.name, signature.params.len(), args.len());
            return self.error(span, message);
        }
        let values: Vec<Expr> = args.iter().map(|arg| self.expr(arg)).collect();
        if signature.inline {
            return self.inline_call(index, values, span);
        }
        let mut coerced = Vec::new();
        for (value, ty) in values.into_iter().zip(&signature.params) {
            if value.ty != Type::Unknown && value.ty.scalar().is_none() {
                let message = format!("the parameter is of type {ty}, the value of type {}", value.ty);
                return self.error(value.span, message);
            }
            coerced.push(self.coerce(value, ty));
        }
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        Expr::new(Kind::Function(number, coerced), signature.result, span)
    }

    /// A function in place of its call: its parameters become variables, its body statements.
    fn inline_call(&mut self, index: usize, values: Vec<Expr>, span: Span) -> Expr {
        let signature = self.functions[index].clone();
        if self.state.inlining.contains(&index) || self.state.inlining.len() >= DEEPEST {
            return self.error(span, format!("`{}` is nested too deeply in calls", signature.name));
        }
        let bodies = self.bodies;
        let Some(function) = bodies.get(index) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        // The function sees nothing of its caller but its parameters.
        let scopes = std::mem::replace(&mut self.state.scopes, vec![HashMap::new()]);
        let loops = std::mem::take(&mut self.state.loops);
        let result = (signature.result != Type::Void).then(|| {
            let var = self.declare_unnamed(span);
            self.growing(var, Growing::declared(signature.result.clone()));
            var
        });
        let returns = std::mem::replace(&mut self.state.returns, Returns::Inline(result));
        self.state.inlining.push(index);
        let mut body: Vec<Stmt> = Vec::new();
        for (((name, _), ty), value) in function.params.iter().zip(&signature.params).zip(values) {
            let var = self.declare(&name.node);
            self.growing(var, Growing::declared(ty.clone()));
            let value = self.learn_var(var, &name.node, value);
            body.push(Stmt { span: value.span, kind: StmtKind::SetVar(var, value) });
        }
        body.extend(result.map(|var| Stmt { kind: StmtKind::Clear(var), span }));
        body.extend(self.block(&function.body));
        self.state.inlining.pop();
        self.state.returns = returns;
        self.state.loops = loops;
        self.state.scopes = scopes;
        Expr::new(Kind::Inline(body, result), signature.result, span)
    }

    /// `return`
    pub(super) fn return_stmt(&mut self, value: Option<&ast::Expr>, span: Span) -> StmtKind {
        let value = value.map(|value| self.expr(value));
        match (self.state.returns.clone(), value) {
            (Returns::Probe, value) => StmtKind::Return(value.map(|value| self.number(value, "a probe returns"))),
            (Returns::Function(Type::Void), None) => StmtKind::Return(None),
            (Returns::Inline(None), None) => StmtKind::Finish(None),
            (Returns::Function(Type::Void) | Returns::Inline(None), Some(value)) => {
                self.error(value.span, "the function returns nothing");
                StmtKind::Return(None)
            }
            (Returns::Function(ty), None) => self.no_result(&ty, span),
            (Returns::Inline(Some(var)), None) => {
                let ty = self.var_type(var);
                self.no_result(&ty, span)
            }
            (Returns::Function(ty), Some(value)) => {
                if value.ty != Type::Unknown && value.ty.scalar().is_none() {
                    self.error(value.span, format!("the function returns {ty}, the value is of type {}", value.ty));
                    return StmtKind::Return(None);
                }
                StmtKind::Return(Some(self.coerce(value, &ty)))
            }
            (Returns::Inline(Some(var)), Some(value)) => self.result(var, value),
        }
    }

    fn no_result(&mut self, ty: &Type, span: Span) -> StmtKind {
        self.error(span, format!("the function returns a value of type {ty}"));
        StmtKind::Return(None)
    }

    fn result(&mut self, var: Var, value: Expr) -> StmtKind {
        let value = self.learn_var(var, "the result", value);
        StmtKind::Finish(Some((var, value)))
    }
}
