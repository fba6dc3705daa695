//! Statements and blocks.

use skep_diag::{Diagnostic, Span};

use super::{Failed, Parse, Parser};
use crate::ast::{BinaryOp, Expr, ExprKind, Spanned, Stmt, StmtKind};
use crate::lex::Kind;
use crate::words;

/// The contents of a block.
pub(super) struct Body {
    /// Its statements.
    pub stmts: Vec<Stmt>,
    /// The expression at its end that has no semicolon, where the value of the block is wanted.
    pub value: Option<Expr>,
    /// The place, braces included.
    pub span: Span,
}

impl Body {
    /// As one expression.
    fn into_expr(self) -> Expr {
        match self.value {
            Some(value) if self.stmts.is_empty() => value,
            value => Spanned::new(ExprKind::Block { body: self.stmts, value: value.map(Box::new) }, self.span),
        }
    }

    /// As statements: the value is not used.
    fn into_stmts(mut self) -> Vec<Stmt> {
        self.stmts.extend(self.value.map(to_stmt));
        self.stmts
    }
}

/// An expression at the end of a block as the statement that it is if nobody wants its value.
fn to_stmt(expr: Expr) -> Stmt {
    let span = expr.span;
    let node = match expr.node {
        ExprKind::If { cond, comptime, yes, no } => {
            StmtKind::If { cond: *cond, comptime, yes: to_stmts(*yes), no: to_stmts(*no) }
        }
        ExprKind::Block { body, value } => {
            let mut body = body;
            body.extend(value.map(|value| to_stmt(*value)));
            StmtKind::Block(body)
        }
        node => StmtKind::Expr(Spanned::new(node, span)),
    };
    Spanned::new(node, span)
}

fn to_stmts(expr: Expr) -> Vec<Stmt> {
    let stmt = to_stmt(expr);
    match stmt.node {
        StmtKind::Block(body) => body,
        _ => vec![stmt],
    }
}

/// Whether an expression gives a value in all its branches.
pub(crate) fn has_value(expr: &Expr) -> bool {
    match &expr.node {
        ExprKind::Block { value, .. } => value.is_some(),
        ExprKind::If { yes, no, .. } => has_value(yes) && has_value(no),
        _ => true,
    }
}

/// What a statement turned out to be.
enum Parsed {
    Stmt(Stmt),
    /// The value of the block.
    Value(Expr),
}

impl Parser<'_> {
    /// A block with its braces. If a value is wanted, an expression at the end without a semicolon is it.
    pub(super) fn block(&mut self, value: bool) -> Parse<Body> {
        let open = self.expect("{")?;
        let predicate = std::mem::take(&mut self.predicate);
        let mut body = Body { stmts: Vec::new(), value: None, span: open };
        while !self.at("}") {
            if self.token.kind == Kind::End {
                return self.unclosed(open);
            }
            if self.eat(";") {
                continue;
            }
            match self.nested(Self::stmt) {
                Ok(Parsed::Stmt(stmt)) => body.stmts.push(stmt),
                Ok(Parsed::Value(expr)) if value => body.value = Some(expr),
                Ok(Parsed::Value(expr)) => body.stmts.push(to_stmt(expr)),
                Err(Failed) => self.skip_statement(),
            }
        }
        self.advance();
        self.predicate = predicate;
        body.span = self.since(open.start);
        Ok(body)
    }

    fn stmts(&mut self) -> Parse<Vec<Stmt>> {
        Ok(self.block(false)?.into_stmts())
    }

    fn stmt(&mut self) -> Parse<Parsed> {
        let start = self.token.span.start;
        let node = match self.word() {
            Some("if") => return self.if_stmt(),
            Some("for") => self.for_stmt()?,
            Some("while") => {
                self.advance();
                StmtKind::While { cond: self.expr()?, body: self.stmts()? }
            }
            Some("unroll") => {
                self.advance();
                StmtKind::Unroll { count: self.expr()?, body: self.stmts()? }
            }
            Some(_) => return self.simple_stmt(),
            None if self.at("{") => {
                let body = self.block(true)?;
                if body.value.is_some() && self.at("}") {
                    let node = ExprKind::Block { body: body.stmts, value: body.value.map(Box::new) };
                    return Ok(Parsed::Value(Spanned::new(node, body.span)));
                }
                StmtKind::Block(body.into_stmts())
            }
            None => return self.simple_stmt(),
        };
        Ok(Parsed::Stmt(Spanned::new(node, self.since(start))))
    }

    /// A statement that ends with a semicolon.
    fn simple_stmt(&mut self) -> Parse<Parsed> {
        let start = self.token.span.start;
        let node = match self.word() {
            Some("let") => self.let_stmt()?,
            Some("break") => self.lone(StmtKind::Break),
            Some("continue") => self.lone(StmtKind::Continue),
            Some("return") => {
                self.advance();
                let empty = self.at(";") || self.at("}");
                StmtKind::Return(if empty { None } else { Some(self.expr()?) })
            }
            Some("import") if matches!(self.second().kind, Kind::Text(_)) => {
                self.advance();
                StmtKind::Import(self.expect_text("a path in quotes")?)
            }
            Some("_") if self.second().kind == Kind::Punct("=") => {
                self.advance();
                self.advance();
                StmtKind::Discard(self.expr()?)
            }
            _ => {
                let expr = self.expr()?;
                if self.at("}") {
                    return Ok(Parsed::Value(expr));
                }
                self.assignment(expr)?
            }
        };
        let span = self.since(start);
        self.end_of_stmt(&node)?;
        Ok(Parsed::Stmt(Spanned::new(node, span)))
    }

    fn lone(&mut self, node: StmtKind) -> StmtKind {
        self.advance();
        node
    }

    fn end_of_stmt(&mut self, node: &StmtKind) -> Parse<()> {
        if self.at("}") || self.eat(";") {
            return Ok(());
        }
        let word = match node {
            StmtKind::Expr(Spanned { node: ExprKind::Call { name, .. }, .. }) => Some(&name.node),
            StmtKind::Expr(Spanned { node: ExprKind::Ident(name), .. }) => Some(name),
            _ => None,
        };
        let likely = word.and_then(|word| words::nearest(word, words::STATEMENTS.iter().copied()));
        self.expected(
            "`;`",
            match likely {
                Some(likely) => format!("did you mean `{likely}`?"),
                None => "statements are separated by semicolons".into(),
            },
        );
        // What follows is usually another statement: it is read as one, unless nothing can be made of it.
        if self.token.kind == Kind::Word || matches!(self.token.kind, Kind::Variable | Kind::Map) {
            return Ok(());
        }
        Err(Failed)
    }

    fn let_stmt(&mut self) -> Parse<StmtKind> {
        self.advance();
        if self.token.kind != Kind::Variable {
            let help = match self.token.kind {
                Kind::Map => "maps are declared outside of probes, and need not be declared",
                _ => "variables begin with `$`",
            };
            self.expected("a variable", help);
            return Err(Failed);
        }
        let name = self.take_name();
        let ty = if self.eat(":") { Some(self.type_expr()?) } else { None };
        let value = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(StmtKind::Let { name, ty, value })
    }

    fn assignment(&mut self, target: Expr) -> Parse<StmtKind> {
        let Kind::Punct(punct) = self.token.kind else { return Ok(StmtKind::Expr(target)) };
        let op = match punct.strip_suffix('=') {
            Some("") => None,
            Some(op) if !matches!(op, "=" | "<" | ">" | "!") => {
                BinaryOp::ALL.iter().find(|known| known.text() == op).copied()
            }
            _ => return Ok(StmtKind::Expr(target)),
        };
        let assignable = match &target.node {
            ExprKind::Variable(_) | ExprKind::Map(_) => true,
            ExprKind::Index { base, .. } => matches!(base.node, ExprKind::Map(_)),
            _ => false,
        };
        if !assignable {
            let error = Diagnostic::error(target.span, "nothing can be assigned to this");
            let help = match &target.node {
                ExprKind::Ident(name) => format!("variables begin with `$`, maps with `@`: `${name}` or `@{name}`"),
                _ => "assign to a variable, a map or an entry of a map: `$x`, `@x`, `@x[key]`".into(),
            };
            self.report(error.with_help(help));
        }
        self.advance();
        Ok(StmtKind::Assign { target, op, value: self.expr()? })
    }

    fn for_stmt(&mut self) -> Parse<StmtKind> {
        self.advance();
        let paren = self.eat("(");
        if self.token.kind != Kind::Variable {
            let help = "loops are written as `for $kv : @map { }` and `for $i : 0..10 { }`";
            self.expected("a variable", help);
            return Err(Failed);
        }
        let name = self.take_name();
        self.expect(":")?;
        let first = self.expr()?;
        if self.eat("..") {
            let end = self.expr()?;
            if paren {
                self.expect(")")?;
            }
            return Ok(StmtKind::ForRange { name, start: first, end, body: self.stmts()? });
        }
        let ExprKind::Map(map) = first.node else {
            let error = Diagnostic::error(first.span, "a loop runs over a map or a range");
            self.report(error.with_help("write `for $kv : @map { }` or `for $i : 0..10 { }`"));
            return Err(Failed);
        };
        if paren {
            self.expect(")")?;
        }
        Ok(StmtKind::ForMap { name, map: Spanned::new(map, first.span), body: self.stmts()? })
    }

    /// An `if`, which is the value of the block if it stands at its end and all its branches have values.
    fn if_stmt(&mut self) -> Parse<Parsed> {
        let start = self.token.span.start;
        self.advance();
        let (comptime, cond) = self.condition()?;
        let yes = self.block(true)?.into_expr();
        let no = if self.eat_word("else") { Some(self.else_branch()?) } else { None };
        let span = self.since(start);
        match no {
            Some(no) if self.at("}") && has_value(&yes) && has_value(&no) => {
                let node = ExprKind::If { cond: Box::new(cond), comptime, yes: Box::new(yes), no: Box::new(no) };
                Ok(Parsed::Value(Spanned::new(node, span)))
            }
            no => {
                let no = no.map(to_stmts).unwrap_or_default();
                Ok(Parsed::Stmt(Spanned::new(StmtKind::If { cond, comptime, yes: to_stmts(yes), no }, span)))
            }
        }
    }

    /// What follows `else`: a block or another `if`, which may lack its own `else`.
    fn else_branch(&mut self) -> Parse<Expr> {
        if !self.at_word("if") {
            return Ok(self.block(true)?.into_expr());
        }
        Ok(match self.nested(Self::if_stmt)? {
            Parsed::Value(expr) => expr,
            Parsed::Stmt(stmt) => {
                let span = stmt.span;
                Spanned::new(ExprKind::Block { body: vec![stmt], value: None }, span)
            }
        })
    }

    /// The condition of an `if`, and whether it is `comptime`.
    pub(super) fn condition(&mut self) -> Parse<(bool, Expr)> {
        let comptime = self.eat_word("comptime");
        Ok((comptime, self.expr()?))
    }

    /// An `if` where an expression is wanted.
    pub(super) fn if_expr(&mut self) -> Parse<Expr> {
        let start = self.advance().span.start;
        let (comptime, cond) = self.condition()?;
        let yes = self.block(true)?.into_expr();
        if !self.eat_word("else") {
            self.expected("`else`", "an `if` whose value is used has a value in both cases");
            return Err(Failed);
        }
        let no = if self.at_word("if") { self.nested(Self::if_expr)? } else { self.block(true)?.into_expr() };
        let node = ExprKind::If { cond: Box::new(cond), comptime, yes: Box::new(yes), no: Box::new(no) };
        Ok(Spanned::new(node, self.since(start)))
    }
}
