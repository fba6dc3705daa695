//! Expressions: precedence climbing, and what a parenthesis begins.

use skep_diag::{Diagnostic, Span};

use super::{Failed, Parse, Parser};
use crate::ast::{BinaryOp, Expr, ExprKind, Name, Spanned, TypeOrExpr, UnaryOp};
use crate::lex::{Kind, Token};
use crate::words;

/// Signs in front of an operand.
// TABLE
const UNARY: &[(&str, UnaryOp)] =
    &[("-", UnaryOp::Neg), ("!", UnaryOp::Not), ("~", UnaryOp::BitNot), ("*", UnaryOp::Deref), ("&", UnaryOp::Address)];

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

impl Parser<'_> {
    /// An expression.
    pub(super) fn expr(&mut self) -> Parse<Expr> {
        let outer = std::mem::take(&mut self.height);
        let expr = self.nested(Self::conditional);
        self.height = self.height.max(outer);
        expr
    }

    fn conditional(&mut self) -> Parse<Expr> {
        let start = self.token.span.start;
        if self.eat_word("comptime") {
            let expr = self.expr()?;
            self.grow()?;
            return Ok(Spanned::new(ExprKind::Comptime(boxed(expr)), self.since(start)));
        }
        let cond = self.binary(1)?;
        if !self.eat("?") {
            return Ok(cond);
        }
        let yes = if self.at(":") { None } else { Some(boxed(self.expr()?)) };
        self.expect(":")?;
        let no = self.expr()?;
        self.grow()?;
        Ok(Spanned::new(ExprKind::Ternary { cond: boxed(cond), yes, no: boxed(no) }, self.since(start)))
    }

    /// Operators that bind at least as tightly as `level`.
    fn binary(&mut self, level: u8) -> Parse<Expr> {
        let start = self.token.span.start;
        let mut left = self.unary()?;
        while let Some(op) = self.binary_op().filter(|op| op.level() >= level) {
            self.advance();
            let height = std::mem::take(&mut self.height);
            let right = self.binary(op.level() + 1)?;
            self.height = self.height.max(height);
            self.grow()?;
            left = Spanned::new(ExprKind::Binary { op, left: boxed(left), right: boxed(right) }, self.since(start));
        }
        Ok(left)
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        let Kind::Punct(punct) = self.token.kind else { return None };
        if punct == "/" && self.predicate && self.second().kind == Kind::Punct("{") {
            return None;
        }
        BinaryOp::ALL.iter().find(|op| op.text() == punct).copied()
    }

    fn unary(&mut self) -> Parse<Expr> {
        let start = self.token.span.start;
        let Kind::Punct(punct) = self.token.kind else { return self.postfix() };
        if punct == "++" || punct == "--" {
            self.advance();
            let target = self.nested(Self::unary)?;
            self.grow()?;
            return Ok(self.step(target, punct, false, start));
        }
        if punct == "+" {
            let error = Diagnostic::error(self.token.span, "there is no sign `+` in front of an operand");
            self.report(error.with_help("leave it out"));
            self.advance();
            return self.nested(Self::unary);
        }
        let Some((_, op)) = UNARY.iter().find(|(sign, _)| *sign == punct) else { return self.postfix() };
        self.advance();
        let operand = self.nested(Self::unary)?;
        self.grow()?;
        Ok(Spanned::new(ExprKind::Unary { op: *op, operand: boxed(operand) }, self.since(start)))
    }

    fn step(&mut self, target: Expr, sign: &str, postfix: bool, start: u32) -> Expr {
        let changeable = match &target.node {
            ExprKind::Variable(_) | ExprKind::Map(_) => true,
            ExprKind::Index { base, .. } => matches!(base.node, ExprKind::Map(_)),
            _ => false,
        };
        if !changeable {
            let error = Diagnostic::error(target.span, format!("`{sign}` cannot change this"));
            self.report(error.with_help("it changes a variable, a map or an entry of a map: `$x`, `@x`, `@x[key]`"));
        }
        Spanned::new(ExprKind::Step { target: boxed(target), up: sign == "++", postfix }, self.since(start))
    }

    fn postfix(&mut self) -> Parse<Expr> {
        let start = self.token.span.start;
        let mut expr = self.primary()?;
        while let Kind::Punct(punct) = self.token.kind {
            match punct {
                "." | "->" => {
                    self.advance();
                    expr = self.field(expr, start)?;
                }
                "[" => {
                    let open = self.advance().span;
                    let keys = self.list("]")?;
                    if keys.is_empty() {
                        let error =
                            Diagnostic::error(self.since(open.start), "an index is missing between the brackets");
                        self.report(error.with_help("write `@map[key]`, or the map without brackets"));
                        return Err(Failed);
                    }
                    expr = Spanned::new(ExprKind::Index { base: boxed(expr), keys }, self.since(start));
                }
                "++" | "--" => {
                    self.advance();
                    expr = self.step(expr, punct, true, start);
                }
                _ => break,
            }
            self.grow()?;
        }
        Ok(expr)
    }

    fn field(&mut self, base: Expr, start: u32) -> Parse<Expr> {
        if let (ExprKind::Int { .. }, Kind::Int { .. }) = (&base.node, &self.token.kind) {
            let error =
                Diagnostic::error(self.since(start).to(self.token.span), "there are no numbers with a fraction");
            self.report(
                error.with_help("use a smaller unit: 1500 thousandths instead of 1.5, 1500us instead of 1.5ms"),
            );
        }
        let base = boxed(base);
        let node = match self.token.kind {
            Kind::Word => ExprKind::Field { base, field: self.take_name() },
            Kind::Int { value, .. } if self.slice(self.token.span).bytes().all(|b| b.is_ascii_digit()) => {
                self.advance();
                ExprKind::TupleField { base, index: u32::try_from(value).unwrap_or(u32::MAX) }
            }
            _ => {
                self.expected("a field", "a name follows, or a number for tuples: `args.fd`, `$t.0`");
                return Err(Failed);
            }
        };
        Ok(Spanned::new(node, self.since(start)))
    }

    /// Expressions separated by commas up to a closing bracket, which is consumed. A slash between brackets is a division.
    fn list(&mut self, close: &str) -> Parse<Vec<Expr>> {
        let predicate = std::mem::take(&mut self.predicate);
        let mut list = Vec::new();
        if !self.at(close) {
            loop {
                list.push(self.expr()?);
                if !self.eat(",") {
                    break;
                }
            }
        }
        self.close(close)?;
        self.predicate = predicate;
        Ok(list)
    }

    fn close(&mut self, close: &str) -> Parse<()> {
        if self.eat(close) {
            return Ok(());
        }
        let what = if close == ")" { "`,` or `)`" } else { "`,` or `]`" };
        self.expected(what, "separate with commas, and close what was opened");
        Err(Failed)
    }

    fn primary(&mut self) -> Parse<Expr> {
        let span = self.token.span;
        let name = |p: &Self| p.slice(span).into();
        let node = match &self.token.kind {
            Kind::Int { value, unsigned } => ExprKind::Int { value: *value, unsigned: *unsigned },
            Kind::Text(text) => ExprKind::Text(text.clone()),
            Kind::Variable => ExprKind::Variable(name(self)),
            Kind::Map => ExprKind::Map(name(self)),
            Kind::Positional(number) => ExprKind::Positional(*number),
            Kind::PositionalCount => ExprKind::PositionalCount,
            Kind::Word => return self.word_expr(),
            Kind::Punct("(") => return self.paren(),
            Kind::Punct("{") => {
                let body = self.block(true)?;
                self.grow()?;
                let node = ExprKind::Block { body: body.stmts, value: body.value.map(Box::new) };
                return Ok(Spanned::new(node, body.span));
            }
            _ => {
                let help = "write a value, such as `pid`, `$x`, `@m[tid]`, `args.fd`, `\"text\"` or `1`";
                self.expected("an expression", help);
                return Err(Failed);
            }
        };
        self.advance();
        Ok(Spanned::new(node, span))
    }

    fn word_expr(&mut self) -> Parse<Expr> {
        let span = self.token.span;
        let word = self.slice(span);
        let node = match word {
            "true" | "false" => {
                self.advance();
                ExprKind::Bool(word == "true")
            }
            "if" => {
                let expr = self.if_expr()?;
                self.grow()?;
                return Ok(expr);
            }
            "sizeof" | "typeinfo" => {
                self.advance();
                self.expect("(")?;
                let of = Box::new(self.type_or_expr()?);
                self.close(")")?;
                if word == "sizeof" { ExprKind::Sizeof(of) } else { ExprKind::Typeinfo(of) }
            }
            "offsetof" => self.offsetof()?,
            "typeof" | "struct" | "union" | "enum" => ExprKind::Type(Box::new(self.type_expr()?)),
            _ => {
                let name = self.expect_name("an expression")?;
                if self.eat("(") { ExprKind::Call { name, args: self.list(")")? } } else { ExprKind::Ident(name.node) }
            }
        };
        self.grow()?;
        Ok(Spanned::new(node, self.since(span.start)))
    }

    fn offsetof(&mut self) -> Parse<ExprKind> {
        self.advance();
        self.expect("(")?;
        let of = Box::new(self.type_or_expr()?);
        self.expect(",")?;
        let mut path = vec![self.field_name()?];
        while self.eat(".") {
            path.push(self.field_name()?);
        }
        self.expect(")")?;
        Ok(ExprKind::Offsetof { of, path })
    }

    fn field_name(&mut self) -> Parse<Name> {
        if self.token.kind == Kind::Word {
            return Ok(self.take_name());
        }
        self.expected("the name of a field", "name it as the type does: `offsetof(struct s, field)`");
        Err(Failed)
    }

    /// The argument of `sizeof` and its like: a type if it can be one.
    pub(super) fn type_or_expr(&mut self) -> Parse<TypeOrExpr> {
        let predicate = std::mem::take(&mut self.predicate);
        let mut ahead = self.lexer.fork(self.token.span.start);
        let scanned = self.scan_type(&mut ahead, 0);
        let is_type = scanned.is_some_and(|scanned| matches!(scanned.next.kind, Kind::Punct(")" | ",") | Kind::End));
        let parsed = if is_type { self.type_expr().map(TypeOrExpr::Type) } else { self.expr().map(TypeOrExpr::Expr) };
        self.predicate = predicate;
        parsed
    }

    /// What a parenthesis begins: a cast, a tuple, a record, or an expression in parentheses.
    fn paren(&mut self) -> Parse<Expr> {
        let start = self.token.span.start;
        let predicate = std::mem::take(&mut self.predicate);
        if self.is_cast() {
            self.advance();
            let ty = self.type_expr()?;
            self.expect(")")?;
            self.predicate = predicate;
            let operand = self.nested(Self::unary)?;
            self.grow()?;
            return Ok(Spanned::new(ExprKind::Cast { ty, operand: boxed(operand) }, self.since(start)));
        }
        self.advance();
        let mut expr = self.paren_inner()?;
        self.predicate = predicate;
        expr.span = self.since(start);
        Ok(expr)
    }

    /// What is between parentheses, the closing one included.
    fn paren_inner(&mut self) -> Parse<Expr> {
        let here = |node| Spanned::new(node, Span::default());
        if self.eat(")") {
            return Ok(here(ExprKind::Tuple(Vec::new())));
        }
        if self.token.kind == Kind::Word && self.second().kind == Kind::Punct("=") {
            let fields = self.record_fields()?;
            self.grow()?;
            return Ok(here(ExprKind::Record(fields)));
        }
        let first = self.expr()?;
        if self.eat(")") {
            return Ok(first);
        }
        if !self.at(",") {
            self.close(")")?;
        }
        let mut items = vec![first];
        while self.eat(",") && !self.at(")") {
            items.push(self.expr()?);
        }
        self.close(")")?;
        self.grow()?;
        Ok(here(ExprKind::Tuple(items)))
    }

    fn record_fields(&mut self) -> Parse<Vec<(Name, Expr)>> {
        let mut fields: Vec<(Name, Expr)> = Vec::new();
        loop {
            let name = self.field_name()?;
            if fields.iter().any(|(other, _)| other.node == name.node) {
                let error = Diagnostic::error(name.span, format!("the record has a field `{}` already", name.node));
                self.report(error.with_help("give it another name"));
            }
            self.expect("=")?;
            fields.push((name, self.expr()?));
            if !self.eat(",") || self.at(")") {
                break;
            }
        }
        self.close(")")?;
        Ok(fields)
    }

    /// Whether the parenthesis here holds the type of a cast. A name that is not known to be a type is one if what
    /// follows the parenthesis can only be an operand, or begins with `*` and the name was not made an expression.
    fn is_cast(&self) -> bool {
        let mut ahead = self.lexer.fork(self.token.span.end);
        let Some(scanned) = self.scan_type(&mut ahead, 0) else { return false };
        if scanned.next.kind != Kind::Punct(")") {
            return false;
        }
        let behind = ahead.token();
        scanned.certain || is_operand(&behind, self) && !(scanned.value && behind.kind == Kind::Punct("*"))
    }
}

/// Whether a token begins an operand and cannot be an operator between two.
fn is_operand(token: &Token, parser: &Parser<'_>) -> bool {
    match &token.kind {
        Kind::Word => !words::STATEMENTS.contains(&parser.slice(token.span)) || parser.slice(token.span) == "if",
        Kind::Punct(punct) => matches!(*punct, "(" | "*" | "!" | "~"),
        Kind::Bad | Kind::End => false,
        _ => true,
    }
}
