//! Expressions and types as text.

use std::fmt::Write as _;

use super::Printer;
use crate::ast::{Expr, ExprKind, Setting, Span, Spanned, Stmt, TypeExpr, TypeKind, TypeOrExpr, UnaryOp};
use crate::parse::reads_as_type;

/// Binding of what is not a binary operator: those have 1 to 10.
const LOOSE: u8 = 0;
const UNARY: u8 = 11;
const POSTFIX: u8 = 12;
const PRIMARY: u8 = 13;

/// A text in quotes, with what cannot stand in it escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_ascii_control() => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

/// How tightly an expression binds.
fn binding(expr: &Expr) -> u8 {
    match &expr.node {
        ExprKind::Comptime(_) | ExprKind::Ternary { .. } | ExprKind::If { .. } | ExprKind::Block { .. } => LOOSE,
        ExprKind::Binary { op, .. } => op.level(),
        ExprKind::Unary { .. } | ExprKind::Cast { .. } | ExprKind::Step { postfix: false, .. } => UNARY,
        ExprKind::Index { .. } | ExprKind::Field { .. } | ExprKind::TupleField { .. } | ExprKind::Step { .. } => {
            POSTFIX
        }
        _ => PRIMARY,
    }
}

/// An expression that begins with a brace or an `if` would be a statement of its own.
pub(super) fn begins_statement(expr: &Expr) -> bool {
    matches!(expr.node, ExprKind::If { .. } | ExprKind::Block { .. })
}

impl Printer<'_> {
    /// The value of a setting.
    pub(super) fn setting(&self, setting: &Spanned<Setting>) -> String {
        match &setting.node {
            Setting::Int(value) => {
                let mut out = String::from(if *value < 0 { "-" } else { "" });
                let size = u64::try_from(value.unsigned_abs()).unwrap_or(u64::MAX);
                self.put_number(&mut out, setting.span, size, false);
                out
            }
            Setting::Bool(value) => value.to_string(),
            Setting::Text(text) if is_word(text) && !matches!(&**text, "true" | "false") => text.to_string(),
            Setting::Text(text) => quoted(text),
        }
    }

    /// The text of an expression; blocks in it take several lines.
    pub(super) fn expr(&self, expr: &Expr) -> String {
        let mut out = String::new();
        self.put(&mut out, expr);
        out
    }

    /// An operand, in parentheses if it binds less tightly than needed.
    fn operand(&self, out: &mut String, expr: &Expr, needed: u8) {
        if binding(expr) < needed {
            out.push('(');
            self.put(out, expr);
            out.push(')');
        } else {
            self.put(out, expr);
        }
    }

    /// A number as it was written, if there is a text where it was.
    fn put_number(&self, out: &mut String, span: Span, value: u64, unsigned: bool) {
        let written = self.text.get(span.range()).unwrap_or_default();
        let written = written.trim_matches(|c: char| "()".contains(c) || c.is_whitespace());
        match crate::lex::number(written) {
            Ok(number) if number == (value, unsigned) => out.push_str(written),
            _ => _ = write!(out, "{value}{}", if unsigned { "u" } else { "" }),
        }
    }

    fn list(&self, out: &mut String, items: &[Expr]) {
        for (index, item) in items.iter().enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            self.put(out, item);
        }
    }

    fn put(&self, out: &mut String, expr: &Expr) {
        match &expr.node {
            ExprKind::Int { value, unsigned } => self.put_number(out, expr.span, *value, *unsigned),
            ExprKind::Text(text) => out.push_str(&quoted(text)),
            ExprKind::Bool(value) => _ = write!(out, "{value}"),
            ExprKind::Positional(number) => _ = write!(out, "${number}"),
            ExprKind::PositionalCount => out.push_str("$#"),
            ExprKind::Variable(name) | ExprKind::Map(name) | ExprKind::Ident(name) => out.push_str(name),
            ExprKind::Index { base, keys } => {
                self.operand(out, base, POSTFIX);
                out.push('[');
                self.list(out, keys);
                out.push(']');
            }
            ExprKind::Call { name, args } => {
                _ = write!(out, "{}(", name.node);
                self.list(out, args);
                out.push(')');
            }
            ExprKind::Field { base, field } => {
                self.operand(out, base, POSTFIX);
                _ = write!(out, ".{}", field.node);
            }
            ExprKind::TupleField { base, index } => {
                self.operand(out, base, POSTFIX);
                _ = write!(out, ".{index}");
            }
            ExprKind::Tuple(items) => {
                out.push('(');
                self.list(out, items);
                out.push_str(if items.len() == 1 { ",)" } else { ")" });
            }
            ExprKind::Record(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    _ = write!(out, "{}{} = ", if index > 0 { ", " } else { "(" }, name.node);
                    self.put(out, value);
                }
                out.push(')');
            }
            ExprKind::Sizeof(of) => _ = write!(out, "sizeof({})", self.type_or_expr(of)),
            ExprKind::Typeinfo(of) => _ = write!(out, "typeinfo({})", self.type_or_expr(of)),
            ExprKind::Offsetof { of, path } => {
                let path: Vec<&str> = path.iter().map(|name| &*name.node).collect();
                _ = write!(out, "offsetof({}, {})", self.type_or_expr(of), path.join("."));
            }
            ExprKind::Type(ty) => out.push_str(&self.type_expr(ty)),
            _ => self.put_operator(out, expr),
        }
    }

    fn put_operator(&self, out: &mut String, expr: &Expr) {
        match &expr.node {
            ExprKind::Unary { op, operand } => {
                let sign = match op {
                    UnaryOp::Neg => "-",
                    UnaryOp::Not => "!",
                    UnaryOp::BitNot => "~",
                    UnaryOp::Deref => "*",
                    UnaryOp::Address => "&",
                };
                out.push_str(sign);
                let start = out.len();
                self.operand(out, operand, UNARY);
                // `--x` and `&&x` would be other operators.
                if matches!(sign, "-" | "&") && out[start..].starts_with(sign) {
                    out.insert(start, ' ');
                }
            }
            ExprKind::Step { target, up, postfix } => {
                let sign = if *up { "++" } else { "--" };
                out.push_str(if *postfix { "" } else { sign });
                self.operand(out, target, if *postfix { POSTFIX } else { UNARY });
                out.push_str(if *postfix { sign } else { "" });
            }
            ExprKind::Binary { op, left, right } => {
                self.operand(out, left, op.level());
                _ = write!(out, " {} ", op.text());
                self.operand(out, right, op.level() + 1);
            }
            ExprKind::Ternary { cond, yes, no } => {
                self.operand(out, cond, 1);
                out.push_str(" ?");
                if let Some(yes) = yes {
                    out.push(' ');
                    self.put(out, yes);
                    out.push(' ');
                }
                out.push_str(": ");
                self.put(out, no);
            }
            ExprKind::Cast { ty, operand } => {
                _ = write!(out, "({})", self.type_expr(ty));
                // What could be an operator behind the parenthesis goes into one of its own.
                let ambiguous = match &operand.node {
                    ExprKind::Unary { op, .. } => matches!(op, UnaryOp::Neg | UnaryOp::Address),
                    ExprKind::Step { postfix, .. } => !postfix,
                    _ => false,
                };
                self.operand(out, operand, if ambiguous { PRIMARY } else { UNARY });
            }
            ExprKind::Comptime(inner) => {
                out.push_str("comptime ");
                self.put(out, inner);
            }
            ExprKind::Block { body, value } => self.braces(out, body, value.as_deref()),
            ExprKind::If { cond, comptime, yes, no } => {
                out.push_str(if *comptime { "if comptime " } else { "if " });
                out.push_str(&self.condition(cond));
                out.push(' ');
                self.branch(out, yes);
                out.push_str(" else ");
                if matches!(no.node, ExprKind::If { .. }) && crate::parse::has_value(no) {
                    self.put(out, no);
                } else {
                    self.branch(out, no);
                }
            }
            _ => {}
        }
    }

    /// A condition in parentheses, unless those would make it a cast.
    pub(super) fn condition(&self, cond: &Expr) -> String {
        let text = self.expr(cond);
        if reads_as_type(&text) { text } else { format!("({text})") }
    }

    /// A branch of an `if` that is an expression.
    fn branch(&self, out: &mut String, expr: &Expr) {
        match &expr.node {
            ExprKind::Block { body, value } if !(body.is_empty() && value.is_some()) => {
                self.braces(out, body, value.as_deref());
            }
            _ => self.braces(out, &[], Some(expr)),
        }
    }

    /// Statements and a value in braces: in one line if there is only a value.
    fn braces(&self, out: &mut String, body: &[Stmt], value: Option<&Expr>) {
        if body.is_empty() {
            match value {
                Some(value) => _ = write!(out, "{{ {} }}", self.value(value)),
                None => out.push_str("{ }"),
            }
            return;
        }
        let mut inner = Printer::new(self.text, Vec::new());
        inner.indent = self.indent + 1;
        inner.stmts(body);
        if let Some(value) = value {
            let value = inner.value(value);
            inner.line(&value);
        }
        out.push_str("{\n");
        out.push_str(&inner.out);
        out.extend(std::iter::repeat_n("  ", self.indent));
        out.push('}');
    }

    /// The value at the end of a block. Without parentheses, branches that have no value would make it a statement.
    pub(super) fn value(&self, value: &Expr) -> String {
        let text = self.expr(value);
        if begins_statement(value) && !crate::parse::has_value(value) { format!("({text})") } else { text }
    }

    fn type_or_expr(&self, of: &TypeOrExpr) -> String {
        match of {
            TypeOrExpr::Type(ty) => self.type_expr(ty),
            TypeOrExpr::Expr(expr) => {
                let text = self.expr(expr);
                if reads_as_type(&text) { format!("({text})") } else { text }
            }
        }
    }

    /// The text of a type.
    pub(super) fn type_expr(&self, ty: &TypeExpr) -> String {
        match &ty.node {
            TypeKind::Named(name) => name.to_string(),
            TypeKind::Struct(name) => format!("struct {name}"),
            TypeKind::Union(name) => format!("union {name}"),
            TypeKind::Enum(name) => format!("enum {name}"),
            TypeKind::Pointer(inner) => {
                let inner = self.type_expr(inner);
                if inner.ends_with('*') { format!("{inner}*") } else { format!("{inner} *") }
            }
            TypeKind::Array(inner, size) => {
                let size = size.as_ref().map(|size| self.expr(size)).unwrap_or_default();
                format!("{}[{size}]", self.type_expr(inner))
            }
            TypeKind::Tuple(items) => {
                let list: Vec<String> = items.iter().map(|item| self.type_expr(item)).collect();
                format!("({}{})", list.join(", "), if items.len() == 1 { "," } else { "" })
            }
            TypeKind::Typeof(of) => format!("typeof({})", self.type_or_expr(of)),
        }
    }
}
