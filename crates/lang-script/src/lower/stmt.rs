//! Statements.

use super::body::Body;
use crate::check::tree::{Expr, Stmt, StmtKind};
use crate::types::Type;

impl Body<'_, '_, '_> {
    /// Statements one after the other, up to one that leads somewhere else.
    pub fn stmts(&mut self, body: &[Stmt]) {
        for stmt in body {
            if self.b.is_closed() {
                return;
            }
            let mark = self.mark();
            self.at(stmt.span);
            self.stmt(stmt);
            self.release(mark);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Expr(expr) => self.effect(expr),
            StmtKind::SetVar(var, value) => self.set_var(var.0, value),
            StmtKind::Clear(var) => {
                let ty = self.checked.vars[var.0 as usize].clone();
                let home = self.home(var.0);
                if self.has_loop && ty.scalar().is_some() {
                    let zero = self.b.i64(0);
                    let zero = self.unforeseen(zero);
                    self.store_scalar(&ty, home, zero);
                } else {
                    let size = self.size(&ty).next_multiple_of(8);
                    self.fill(home, size);
                }
            }
            StmtKind::SetEntry(map, key, value) => self.set_entry(*map, key, value, stmt.span),
            StmtKind::Update(map, key, op, value) => self.update_entry(*map, key, *op, value),
            StmtKind::Aggregate(map, key, value) => self.collect(*map, key, value.as_ref(), stmt.span),
            StmtKind::If(cond, yes, no) => self.if_stmt(cond, yes, no),
            StmtKind::ForMap(var, map, body) => self.for_map(*var, *map, body),
            StmtKind::ForRange(var, start, end, body) => self.for_range(*var, start, end, body),
            StmtKind::While(cond, body) => self.while_stmt(cond, body, stmt.span),
            StmtKind::Unroll(count, body) => self.unroll(*count, body),
            StmtKind::Block(body) => self.stmts(body),
            StmtKind::Break | StmtKind::Continue => self.jump_in_loop(matches!(stmt.kind, StmtKind::Break)),
            StmtKind::Return(value) => {
                let value = value.as_ref().map(|value| self.scalar(value));
                self.leave(value);
            }
            StmtKind::Finish(result) => self.finish(result.as_ref()),
            StmtKind::Debug(format, args) => self.debug(format, args),
            StmtKind::Send(request, args) => self.send(request, args, stmt.span),
            StmtKind::Exit(status) => {
                self.send_exit(status, stmt.span);
                self.leave(None);
            }
        }
    }

    /// An expression whose value nobody wants.
    fn effect(&mut self, expr: &Expr) {
        if expr.ty.scalar().is_some() || expr.ty == Type::Void {
            self.scalar(expr);
        } else {
            self.bytes_of(expr);
        }
    }

    pub fn set_var(&mut self, var: u32, value: &Expr) {
        let ty = self.checked.vars[var as usize].clone();
        if ty.scalar().is_some() {
            let known = value.constant().is_some();
            let mut value = self.scalar(value);
            if known && self.has_loop {
                value = self.unforeseen(value);
            }
            let home = self.home(var);
            self.store_scalar(&ty, home, value);
            return;
        }
        // The value may be made of the variable itself.
        let mut reads_itself = false;
        value.visit(&mut |inner| {
            reads_itself |= matches!(inner.kind, crate::check::tree::Kind::Var(read) if read.0 == var);
        });
        let size = self.size(&ty);
        let home = self.home(var);
        if matches!(value.kind, crate::check::tree::Kind::Var(read) if read.0 == var) {
            return;
        }
        if reads_itself {
            let from = self.temp(size);
            self.fill(from, size);
            self.write(value, from, true);
            self.copy(home, from, size);
            return;
        }
        self.clear_gaps(&ty, home, size.next_multiple_of(8));
        self.write(value, home, true);
    }

    fn if_stmt(&mut self, cond: &Expr, yes: &[Stmt], no: &[Stmt]) {
        let (on_yes, on_no, join) = (self.b.block(&[]), self.b.block(&[]), self.b.block(&[]));
        let mark = self.mark();
        self.cond(cond, on_yes, on_no);
        self.release(mark);
        let mut reached = false;
        for (block, body) in [(on_yes, yes), (on_no, no)] {
            self.b.switch_to(block);
            self.stmts(body);
            if !self.b.is_closed() {
                self.b.jump(join, &[]);
                reached = true;
            }
        }
        if reached {
            self.b.switch_to(join);
        } else {
            self.b.function.blocks.retain(|&block| block != join);
        }
    }
}
