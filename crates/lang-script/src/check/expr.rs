//! Expressions.

use std::sync::Arc;

use skep_diag::Span;

use super::Checker;
use super::tree::{Base, Expr, Kind, Map, Place, Target};
use crate::ast::{self, ExprKind, TypeOrExpr, UnaryOp};
use crate::builtins::Role;
use crate::infer::KnownValue;
use crate::plan::MapValue;
use crate::types::definitions::Constant;
use crate::types::{Space, Type};

impl Checker<'_> {
    /// Checks an expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Expr {
        let span = expr.span;
        match &expr.node {
            ExprKind::Int { value, unsigned } => {
                let ty = if *unsigned || *value > i64::MAX.cast_unsigned() { Type::U64 } else { Type::I64 };
                Expr::number(value.cast_signed(), ty, span)
            }
            ExprKind::Text(text) => literal(text, span),
            ExprKind::Bool(value) => Expr::number((*value).into(), Type::Bool, span),
            ExprKind::Positional(number) => self.positional(*number, span),
            ExprKind::PositionalCount => {
                let count = i64::try_from(self.env.positional.len()).unwrap_or(i64::MAX);
                Expr::number(count, Type::I64, span)
            }
            ExprKind::Variable(name) => match self.lookup(name) {
                Some(var) => Expr::new(Kind::Var(var), self.var_type(var), span),
                None => self.unknown_variable(name, span),
            },
            ExprKind::Map(name) => {
                let map = self.map(name, span);
                let key = self.key(map, &[], span);
                self.entry(map, key, span)
            }
            ExprKind::Index { base, keys } => self.index(base, keys, span),
            ExprKind::Ident(name) => self.ident(name, span),
            ExprKind::Call { name, args } => self.call(name, args, span),
            ExprKind::Field { base, field } => self.field(base, field, span),
            ExprKind::TupleField { base, index } => {
                let base = self.expr(base);
                self.tuple_part(base, *index as usize)
            }
            ExprKind::Unary { op, operand } => self.unary(*op, operand, span),
            ExprKind::Step { target, up, postfix } => self.step(target, *up, *postfix, span),
            ExprKind::Binary { op, left, right } => {
                let left = self.expr(left);
                let right = self.expr(right);
                self.binary(*op, left, right, span)
            }
            ExprKind::Ternary { cond, yes, no } => self.ternary(cond, yes.as_deref(), no, span),
            ExprKind::If { cond, comptime, yes, no } => self.if_expr(cond, *comptime, yes, no, span),
            ExprKind::Block { body, value } => self.block_expr(body, value.as_deref(), span),
            ExprKind::Cast { ty, operand } => match self.written_type(ty) {
                Some(ty) => {
                    let operand = match self.result_as_number(&ty, operand) {
                        Some(raw) => raw,
                        None => self.expr(operand),
                    };
                    self.cast(ty, operand, span)
                }
                None => Expr::new(Kind::Int(0), Type::Unknown, span),
            },
            ExprKind::Tuple(parts) => self.tuple(parts, span),
            ExprKind::Record(parts) => self.record(parts, span),
            ExprKind::Comptime(inner) => {
                let inner = self.expr(inner);
                if inner.constant().is_none() && !matches!(inner.kind, Kind::Text(_)) && inner.ty != Type::Unknown {
                    return self.error(span, "this is not known while the script is compiled");
                }
                inner
            }
            ExprKind::Sizeof(of) => {
                let Some(ty) = self.type_of(of) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
                Expr::number(self.types.size_and_align(&ty).0.into(), Type::U64, span)
            }
            ExprKind::Offsetof { of, path } => self.offset_of(of, path, span),
            ExprKind::Typeinfo(of) => self.type_info(of, span),
            ExprKind::Type(_) => self.error(span, "a type has no value"),
        }
    }

    fn positional(&mut self, number: u32, span: Span) -> Expr {
        let text = usize::try_from(number).ok().and_then(|number| self.env.positional.get(number.checked_sub(1)?));
        let Some(text) = text else { return Expr::number(0, Type::I64, span) };
        let (negative, digits) = text.strip_prefix('-').map_or((false, &text[..]), |rest| (true, rest));
        let value = match digits.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16),
            None => digits.parse(),
        };
        match value {
            Ok(value) => {
                let value = value.cast_signed();
                Expr::number(if negative { value.wrapping_neg() } else { value }, Type::I64, span)
            }
            Err(_) => literal(&text[..], span),
        }
    }

    /// The text of a positional parameter, also if it is a number.
    pub(super) fn positional_text(&self, expr: &ast::Expr) -> Option<Arc<str>> {
        let ExprKind::Positional(number) = expr.node else { return None };
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        Some(self.env.positional.get(index).map_or("", |text| text).into())
    }

    pub(super) fn unknown_variable(&mut self, name: &Arc<str>, span: Span) -> Expr {
        let known: Vec<Arc<str>> = self.state.scopes.iter().flat_map(|scope| scope.keys().cloned()).collect();
        let near = crate::words::nearest(name, known.iter().map(|known| &**known));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "a variable exists from its first assignment to the end of that block; `let {name};` in front of the \
                 block makes it exist longer"
            ),
        };
        self.error_with_help(span, format!("there is no variable `{name}` here"), help)
    }

    /// The type that was written.
    pub(crate) fn written_type(&mut self, ty: &ast::TypeExpr) -> Option<Type> {
        if let ast::TypeKind::Typeof(of) = &ty.node {
            return self.type_of(of);
        }
        match self.types.resolve(ty) {
            Ok(ty) => Some(ty),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    pub(super) fn type_of(&mut self, of: &TypeOrExpr) -> Option<Type> {
        match of {
            TypeOrExpr::Type(ty) => self.written_type(ty),
            TypeOrExpr::Expr(expr) => {
                // A name can be that of a type.
                if let ExprKind::Ident(name) = &expr.node
                    && self.builtin(name).is_none()
                    && let Ok(ty) =
                        self.types.resolve(&ast::Spanned::new(ast::TypeKind::Named(name.clone()), expr.span))
                {
                    return Some(ty);
                }
                let ty = self.expr(expr).ty;
                (ty != Type::Unknown).then_some(ty)
            }
        }
    }

    fn offset_of(&mut self, of: &TypeOrExpr, path: &[ast::Name], span: Span) -> Expr {
        let Some(ty) = self.type_of(of) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        match self.offset_in(&ty, path) {
            Some(offset) => Expr::number(offset, Type::U64, span),
            None => Expr::new(Kind::Int(0), Type::Unknown, span),
        }
    }

    /// Bytes from the start of a structure to a member of a member.
    pub(super) fn offset_in(&mut self, whole: &Type, path: &[ast::Name]) -> Option<i64> {
        let mut ty = whole.clone();
        let mut offset = 0i64;
        for name in path {
            let Type::Composite(id) = ty else {
                self.error(name.span, format!("{ty} has no fields"));
                return None;
            };
            let Some(member) = self.types.member(id, &name.node) else {
                self.no_field(id, name);
                return None;
            };
            offset += i64::from(member.offset);
            ty = member.ty;
        }
        Some(offset)
    }

    /// A name: a builtin value, a constant of the C part, an enumerator.
    fn ident(&mut self, name: &Arc<str>, span: Span) -> Expr {
        match self.types.constant(name) {
            Some(Constant::Int(value)) => return Expr::number(value, Type::I64, span),
            Some(Constant::Text(text)) => return literal(&text, span),
            None => {}
        }
        if let Some(value) = self.value(name, span) {
            return value;
        }
        if let Some((value, ty)) = self.types.enumerator(name) {
            return Expr::number(value, ty, span);
        }
        if let Some(row) = self.builtin(name) {
            return self.error_with_help(span, format!("`{name}` is a function"), format!("write `{}`", row.signature));
        }
        let known: Vec<&str> =
            crate::builtins::BUILTINS.iter().filter(|row| row.role == Role::Value).map(|row| row.name).collect();
        self.not_a_name(&ast::Spanned::new(name.clone(), span), "the name", &known)
    }

    /// The type of the entries of a map, as values. `each` if the map is gone over.
    pub(super) fn entry_type(&mut self, map: Map, span: Span, each: bool) -> Type {
        match &self.known.get(map).value {
            KnownValue::Plain(growing) => growing.ty.clone(),
            KnownValue::Aggregate(value) => match value {
                MapValue::Count => Type::U64,
                MapValue::Sum { signed }
                | MapValue::Min { signed }
                | MapValue::Max { signed }
                | MapValue::Avg { signed }
                | MapValue::Stats { signed } => Type::int(8, *signed),
                other => {
                    let what = crate::infer::describe(other);
                    let help = if each { "its entries can only be printed" } else { "it can only be printed" };
                    self.error_with_help(span, format!("what {what} has collected is not one number"), help);
                    Type::Unknown
                }
            },
        }
    }

    /// An entry of a map as a value.
    pub(super) fn entry(&mut self, map: Map, key: Vec<Expr>, span: Span) -> Expr {
        let ty = self.entry_type(map, span, false);
        let kind = match self.known.get(map).value {
            KnownValue::Plain(_) => Kind::Entry(map, key),
            KnownValue::Aggregate(_) => Kind::Aggregate(map, key),
        };
        Expr::new(kind, ty, span)
    }

    fn unary(&mut self, op: UnaryOp, operand: &ast::Expr, span: Span) -> Expr {
        if op == UnaryOp::Address {
            return self.address_of(operand, span);
        }
        let value = self.expr(operand);
        match op {
            UnaryOp::Deref => self.deref(value, span),
            UnaryOp::Not => {
                let value = self.condition(value);
                match value.constant() {
                    Some(number) => Expr::number((number == 0).into(), Type::Bool, span),
                    None => Expr::new(Kind::Not(Box::new(value)), Type::Bool, span),
                }
            }
            UnaryOp::Neg => {
                let value = self.number(value, "`-` is applied to");
                match value.constant() {
                    Some(number) => Expr::number(number.wrapping_neg(), Type::I64, span),
                    None => Expr::new(Kind::Neg(Box::new(value)), Type::I64, span),
                }
            }
            UnaryOp::BitNot | UnaryOp::Address => {
                let value = self.number(value, "`~` is applied to");
                let ty = if value.ty.is_signed() { Type::I64 } else { Type::U64 };
                match value.constant() {
                    Some(number) => Expr::number(!number, ty, span),
                    None => Expr::new(Kind::Complement(Box::new(value)), ty, span),
                }
            }
        }
    }

    fn step(&mut self, target: &ast::Expr, up: bool, postfix: bool, span: Span) -> Expr {
        let Some((target, old)) = self.target(target) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        let ty = match (&old.ty, up) {
            (Type::Unknown | Type::Bool | Type::Enum { .. }, _) | (Type::Int { .. }, false) => Type::I64,
            (Type::Int { signed, .. }, true) => Type::int(8, *signed),
            (Type::Pointer(..), _) => old.ty.clone(),
            (other, _) => return self.error(span, format!("a value of type {other} cannot be counted up or down")),
        };
        let by = match &ty {
            Type::Pointer(to, _) => i64::from(self.types.size_and_align(to).0.max(1)),
            _ => 1,
        };
        let sample = Expr::new(Kind::Neg(Box::new(old)), ty, span);
        let learnt = match &target {
            Target::Var(var) => Some(self.learn_var(*var, "the variable", sample)),
            Target::Entry(map, _) => self.learn_entry(*map, sample),
        };
        let ty = learnt.map_or(Type::Unknown, |learnt| learnt.ty);
        Expr::new(Kind::Step { target, by: if up { by } else { -by }, postfix }, ty, span)
    }

    fn ternary(&mut self, cond: &ast::Expr, yes: Option<&ast::Expr>, no: &ast::Expr, span: Span) -> Expr {
        let first = self.expr(cond);
        let Some(yes) = yes else { return self.first_or(first, no, span) };
        let yes = self.expr(yes);
        let cond = self.condition(first);
        let no = self.expr(no);
        self.choose(cond, yes, no, span)
    }

    /// `first ?: no`: the first value is computed once, into a variable that has no name.
    fn first_or(&mut self, first: Expr, no: &ast::Expr, span: Span) -> Expr {
        let var = self.declare_unnamed(span);
        let value = self.learn_var(var, "the value", first);
        let yes = Expr::new(Kind::Var(var), self.var_type(var), span);
        let cond = self.condition(yes.clone());
        let no = self.expr(no);
        let chosen = self.choose(cond, yes, no, span);
        let ty = chosen.ty.clone();
        let set = super::Stmt { kind: super::StmtKind::SetVar(var, value), span };
        Expr::new(Kind::Block(vec![set], Box::new(chosen)), ty, span)
    }

    fn if_expr(&mut self, cond: &ast::Expr, comptime: bool, yes: &ast::Expr, no: &ast::Expr, span: Span) -> Expr {
        let cond = self.expr(cond);
        let cond = self.condition(cond);
        if comptime {
            return match cond.constant() {
                Some(value) => self.expr(if value != 0 { yes } else { no }),
                None if cond.ty == Type::Unknown => cond,
                None => self.error(cond.span, "this is not known while the script is compiled"),
            };
        }
        let yes = self.expr(yes);
        let no = self.expr(no);
        self.choose(cond, yes, no, span)
    }

    fn choose(&mut self, cond: Expr, yes: Expr, no: Expr, span: Span) -> Expr {
        let Some(ty) = self.common(&yes, &no, span) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        let yes = self.coerce(yes, &ty);
        let no = self.coerce(no, &ty);
        match cond.constant() {
            Some(0) => no,
            Some(_) => yes,
            None => Expr::new(Kind::Choose(Box::new(cond), Box::new(yes), Box::new(no)), ty, span),
        }
    }

    fn block_expr(&mut self, body: &[ast::Stmt], value: Option<&ast::Expr>, span: Span) -> Expr {
        self.in_scope(|check| {
            let body = check.inner_stmts(body);
            match value {
                Some(value) => {
                    let value = check.expr(value);
                    let ty = value.ty.clone();
                    Expr::new(Kind::Block(body, Box::new(value)), ty, span)
                }
                None => {
                    let nothing = Expr::new(Kind::Int(0), Type::Void, span);
                    Expr::new(Kind::Block(body, Box::new(nothing)), Type::Void, span)
                }
            }
        })
    }

    fn tuple(&mut self, parts: &[ast::Expr], span: Span) -> Expr {
        let parts: Vec<Expr> = parts.iter().map(|part| self.expr(part)).collect();
        if let Some(bad) = parts.iter().find(|part| part.ty == Type::Void) {
            return self.error(bad.span, "this has no value");
        }
        if parts.iter().any(|part| part.ty == Type::Unknown) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let ty = Type::Tuple(parts.iter().map(|part| part.ty.clone()).collect());
        Expr::new(Kind::Tuple(parts), ty, span)
    }

    fn record(&mut self, parts: &[(ast::Name, ast::Expr)], span: Span) -> Expr {
        let mut names: Vec<Arc<str>> = Vec::new();
        for (name, _) in parts {
            if names.contains(&name.node) {
                return self.error(name.span, format!("there are two fields `{}`", name.node));
            }
            names.push(name.node.clone());
        }
        let values: Vec<Expr> = parts.iter().map(|part| self.expr(&part.1)).collect();
        if values.iter().any(|value| matches!(value.ty, Type::Unknown | Type::Void)) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let ty = Type::Record(names.into_iter().zip(values.iter().map(|value| value.ty.clone())).collect());
        Expr::new(Kind::Tuple(values), ty, span)
    }

    /// A part of a tuple or record by its number.
    pub(super) fn tuple_part(&mut self, base: Expr, index: usize) -> Expr {
        let span = base.span;
        if let Type::Pointer(to, _) = &base.ty
            && matches!(**to, Type::Tuple(_) | Type::Record(_))
        {
            let whole = self.deref(base, span);
            return self.tuple_part(whole, index);
        }
        let types: Vec<Type> = match &base.ty {
            Type::Tuple(types) => types.clone(),
            Type::Record(parts) => parts.iter().map(|part| part.1.clone()).collect(),
            Type::Unknown => return base,
            other => return self.error(span, format!("a value of type {other} has no numbered parts")),
        };
        if index >= types.len() {
            return self.error(span, format!("there is no part {index}: the tuple has {} parts", types.len()));
        }
        if let Kind::Tuple(parts) = base.kind {
            return parts.into_iter().nth(index).unwrap_or_else(|| Expr::number(0, Type::Unknown, span));
        }
        let offset = self.offsets(&types)[index];
        let ty = types[index].clone();
        let place = match base.kind {
            Kind::Memory(place @ Place { bits: None, .. }) => {
                Place { offset: place.offset.saturating_add(offset), ..place }
            }
            _ => Place { base: Base::Local(Box::new(base)), offset, index: None, bits: None },
        };
        Expr::new(Kind::Memory(place), ty, span)
    }

    /// Where the parts of a tuple begin.
    pub(super) fn offsets(&self, types: &[Type]) -> Vec<u32> {
        let mut next = 0u32;
        let place = |ty: &Type| {
            let (size, align) = self.types.size_and_align(ty);
            let offset = next.next_multiple_of(align.max(1));
            next = offset.saturating_add(size);
            offset
        };
        types.iter().map(place).collect()
    }

    fn cast(&mut self, ty: Type, operand: Expr, span: Span) -> Expr {
        if operand.ty == Type::Unknown {
            return operand;
        }
        match (&ty, &operand.ty) {
            (Type::Pointer(to, Space::Unknown), from) => {
                let space = match from {
                    Type::Pointer(_, space) => *space,
                    _ => self.state.site.space(),
                };
                let operand = self.number(operand, "a pointer is made from");
                Expr { ty: Type::Pointer(to.clone(), space), span, ..self.coerce(operand, &Type::U64) }
            }
            (target, _) if target.is_number() => {
                // An array of bytes is taken as the number that they are.
                if let (Some((bytes, _)), Type::Array(..) | Type::Host(_), None) =
                    (target.scalar(), &operand.ty, operand.ty.scalar())
                {
                    return self.reinterpret(operand, ty.clone(), u32::from(bytes), span);
                }
                let operand = self.number(operand, "a number is made from");
                Expr { span, ..self.coerce(operand, &ty) }
            }
            (Type::Array(element, _), from) if element.is_number() && from.is_number() => {
                self.number_as_bytes(&ty, operand, span)
            }
            (Type::Text(_), Type::Text(_)) => self.coerce(operand, &ty),
            (same, other) if same == other => operand,
            (target, other) => self.error(span, format!("a value of type {other} cannot be taken as {target}")),
        }
    }

    /// A number as the array of its bytes, the lowest first.
    fn number_as_bytes(&mut self, ty: &Type, operand: Expr, span: Span) -> Expr {
        let bytes = self.types.size_and_align(ty).0;
        if bytes == 0 || bytes > 8 {
            return self.error(span, format!("a number has 8 bytes, {ty} has {bytes}"));
        }
        let number = self.coerce(operand, &Type::U64);
        let place = Place { base: Base::Local(Box::new(number)), offset: 0, index: None, bits: None };
        Expr::new(Kind::Memory(place), ty.clone(), span)
    }

    /// The first bytes of a value as a number.
    fn reinterpret(&mut self, operand: Expr, ty: Type, bytes: u32, span: Span) -> Expr {
        if self.types.size_and_align(&operand.ty).0 < bytes {
            let message = format!("a value of type {} has too few bytes for {ty}", operand.ty);
            return self.error(span, message);
        }
        let kind = match operand.kind {
            Kind::Memory(place) => Kind::Memory(place),
            _ => Kind::Memory(Place { base: Base::Local(Box::new(operand)), offset: 0, index: None, bits: None }),
        };
        Expr::new(kind, ty, span)
    }
}

/// A text of the script.
pub(super) fn literal(text: &str, span: Span) -> Expr {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX).saturating_add(1);
    Expr::new(Kind::Text(text.into()), Type::Text(len), span)
}
