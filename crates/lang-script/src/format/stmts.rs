//! Statements, probes, macros and functions as text.

use super::Printer;
use super::exprs::{begins_statement, quoted};
use crate::ast::{AttachPoint, Function, Macro, MapDecl, Param, Probe, Stmt, StmtKind};
use crate::providers;

impl Printer<'_> {
    pub(super) fn map_declaration(&mut self, map: &MapDecl) {
        self.line(&format!("let {} = {}({});", map.name.node, map.kind.node, map.entries.node));
        self.comments_behind(map.entries.span.end);
    }

    pub(super) fn macro_definition(&mut self, definition: &Macro) {
        let mut head = format!("macro {}", definition.name.node);
        if let Some(params) = &definition.params {
            let list: Vec<&str> = params
                .iter()
                .map(|(Param::Variable(name) | Param::Map(name) | Param::Expr(name))| &*name.node)
                .collect();
            head.push_str(&format!("({})", list.join(", ")));
        }
        self.line(&format!("{head} {{"));
        self.indent += 1;
        self.stmts(&definition.body);
        if let Some(value) = &definition.value {
            self.comments_before(value.span.start);
            let text = self.value(value);
            self.line(&text);
            self.comments_behind(value.span.end);
        }
        self.indent -= 1;
        self.line("}");
    }

    pub(super) fn function(&mut self, function: &Function) {
        let params: Vec<String> =
            function.params.iter().map(|(name, ty)| format!("{} : {}", name.node, self.type_expr(ty))).collect();
        let result = self.type_expr(&function.result);
        self.line(&format!("fn {}({}) : {result} {{", function.name.node, params.join(", ")));
        self.body(&function.body, 0);
    }

    pub(super) fn probe(&mut self, probe: &Probe) {
        for (index, point) in probe.points.iter().enumerate() {
            let name = probe.name.as_ref().filter(|_| index == 0);
            let name = name.map(|name| format!("{}=", name.node)).unwrap_or_default();
            let last = index + 1 == probe.points.len();
            let text = format!("{name}{}{}", attach_point(&point.node), if last { "" } else { "," });
            self.comments_before(point.span.start);
            self.line(&text);
            self.comments_behind(point.span.end);
        }
        if let Some(predicate) = &probe.predicate {
            self.comments_before(predicate.span.start);
            let text = self.expr(predicate);
            // A `/*` would begin a comment.
            let space = if text.starts_with(['*', '/']) { " " } else { "" };
            self.line(&format!("/{space}{text}/"));
            self.comments_behind(predicate.span.end);
        }
        self.line("{");
        let end = probe.span.end.saturating_sub(1);
        self.indent += 1;
        self.stmts(&probe.body);
        if probe.span.end > 0 {
            self.comments_before(end);
        }
        self.indent -= 1;
        self.line("}");
        self.comments_behind(probe.span.end);
    }

    /// The rest of a block whose first line is printed, with the comments before its end.
    fn body(&mut self, body: &[Stmt], end: u32) {
        self.indent += 1;
        self.stmts(body);
        self.comments_before(end.saturating_sub(1));
        self.indent -= 1;
        self.line("}");
    }

    pub(super) fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.comments_before(stmt.span.start);
            if self.blank_before(stmt.span.start) {
                self.gap();
            }
            self.stmt(stmt);
            self.comments_behind(stmt.span.end);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let text = match &stmt.node {
            StmtKind::Expr(expr) if begins_statement(expr) => format!("({})", self.expr(expr)),
            StmtKind::Expr(expr) => self.expr(expr),
            StmtKind::Let { name, ty, value } => {
                let mut text = format!("let {}", name.node);
                if let Some(ty) = ty {
                    text.push_str(&format!(" : {}", self.type_expr(ty)));
                }
                if let Some(value) = value {
                    text.push_str(&format!(" = {}", self.expr(value)));
                }
                text
            }
            StmtKind::Assign { target, op, value } => {
                format!("{} {}= {}", self.expr(target), op.map_or("", |op| op.text()), self.expr(value))
            }
            StmtKind::Discard(expr) => format!("_ = {}", self.expr(expr)),
            StmtKind::Break => "break".into(),
            StmtKind::Continue => "continue".into(),
            StmtKind::Return(None) => "return".into(),
            StmtKind::Return(Some(expr)) => format!("return {}", self.expr(expr)),
            StmtKind::Import(path) => format!("import {}", quoted(&path.node)),
            _ => return self.compound(stmt),
        };
        self.line(&format!("{text};"));
    }

    /// Statements with blocks.
    fn compound(&mut self, stmt: &Stmt) {
        let close = stmt.span.end;
        match &stmt.node {
            StmtKind::If { .. } => self.if_stmt("", stmt),
            StmtKind::ForMap { name, map, body } => {
                self.line(&format!("for ({} : {}) {{", name.node, map.node));
                self.body(body, close);
            }
            StmtKind::ForRange { name, start, end, body } => {
                self.line(&format!("for ({} : {}..{}) {{", name.node, self.expr(start), self.expr(end)));
                self.body(body, close);
            }
            StmtKind::While { cond, body } => {
                self.line(&format!("while {} {{", self.condition(cond)));
                self.body(body, close);
            }
            StmtKind::Unroll { count, body } => {
                self.line(&format!("unroll {} {{", self.condition(count)));
                self.body(body, close);
            }
            StmtKind::Block(body) => {
                self.line("{");
                self.body(body, close);
            }
            _ => {}
        }
    }

    fn if_stmt(&mut self, before: &str, stmt: &Stmt) {
        let StmtKind::If { cond, comptime, yes, no } = &stmt.node else { return };
        let comptime = if *comptime { "comptime " } else { "" };
        self.line(&format!("{before}if {comptime}{} {{", self.condition(cond)));
        self.indent += 1;
        self.stmts(yes);
        if no.is_empty() {
            self.comments_before(stmt.span.end.saturating_sub(1));
        }
        self.indent -= 1;
        match &no[..] {
            [] => self.line("}"),
            [other @ Stmt { node: StmtKind::If { .. }, .. }] => self.if_stmt("} else ", other),
            _ => {
                self.line("} else {");
                self.body(no, stmt.span.end);
            }
        }
    }
}

/// An attach point; parts with characters that would end it stand in quotes.
fn attach_point(point: &AttachPoint) -> String {
    let path = providers::find(&point.provider).and_then(|provider| provider.path);
    let mut text = point.provider.to_string();
    for (index, part) in point.parts.iter().enumerate() {
        let slash = path != Some(index + 1) && part.contains('/');
        let special = |c: char| c.is_whitespace() || c.is_ascii_control() || ":,{};\"".contains(c);
        text.push(':');
        text.push_str(&if slash || part.contains(special) { quoted(part) } else { part.to_string() });
    }
    text
}
