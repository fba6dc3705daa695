//! Functions of texts and bytes: comparing, searching, joining.

use std::sync::Arc;

use skep_diag::Span;

use super::Checker;
use super::calls::builtin;
use super::expr::literal;
use super::tree::{Base, Call, Expr, Kind, Place};
use crate::types::{Space, Type};

impl Checker<'_> {
    /// Whether both are texts; reports the first that is none.
    fn are_texts(&mut self, left: &Expr, right: &Expr) -> bool {
        for text in [left, right] {
            if !matches!(text.ty, Type::Text(_)) {
                let message = format!("a value of type {} is no text", text.ty);
                let help = "`str(pointer)` is the text at an address";
                self.error_with_help(text.span, message, help);
                return false;
            }
        }
        true
    }

    /// `strncmp`
    pub(super) fn strncmp(&mut self, mut rest: Vec<Expr>, len: Expr, span: Span) -> Expr {
        let (Some(right), Some(left)) = (rest.pop(), rest.pop()) else { return len };
        if !self.are_texts(&left, &right) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let Some(len) = len.constant().and_then(|len| u32::try_from(len).ok()) else {
            return self.error(len.span, "the number of bytes to compare must be known, and not negative");
        };
        if let (Kind::Text(a), Kind::Text(b)) = (&left.kind, &right.kind) {
            let cut = |text: &str| text.bytes().take(len as usize).collect::<Vec<u8>>();
            return Expr::number((cut(a) != cut(b)).into(), Type::U64, span);
        }
        let kind = Kind::Equal { left: Box::new(left), right: Box::new(right), len: Some(len), negated: true };
        let differs = Expr::new(kind, Type::Bool, span);
        Expr::new(Kind::Convert(Box::new(differs)), Type::U64, span)
    }

    /// `strcontains`: short texts that are known are looked for in registers.
    pub(super) fn strcontains(&mut self, mut rest: Vec<Expr>, part: Expr, span: Span) -> Expr {
        /// Bytes that the search keeps in registers.
        const LONGEST: usize = 64;
        let Some(text) = rest.pop() else { return part };
        if !self.are_texts(&text, &part) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        if let Kind::Text(known) = &part.kind {
            if let Kind::Text(whole) = &text.kind {
                return Expr::number(whole.contains(&**known).into(), Type::Bool, span);
            }
            if known.is_empty() {
                return Expr::number(1, Type::Bool, span);
            }
            if known.len() <= LONGEST {
                return builtin(Call::Contains(Box::new(text), known.clone()), Type::Bool, span);
            }
        }
        let place = builtin(Call::Search(Box::new(text), Box::new(part)), Type::I64, span);
        let zero = Expr::number(0, Type::I64, span);
        let kind = Kind::Compare(crate::ast::BinaryOp::Ge, Box::new(place), Box::new(zero), true);
        Expr::new(kind, Type::Bool, span)
    }

    /// `strstr`
    pub(super) fn strstr(&mut self, mut rest: Vec<Expr>, part: Expr, span: Span) -> Expr {
        let Some(text) = rest.pop() else { return part };
        if !self.are_texts(&text, &part) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        if let (Kind::Text(text), Kind::Text(part)) = (&text.kind, &part.kind) {
            let found = text.find(&**part).and_then(|found| i64::try_from(found).ok());
            return Expr::number(found.unwrap_or(-1), Type::I64, span);
        }
        builtin(Call::Search(Box::new(text), Box::new(part)), Type::I64, span)
    }

    /// `str_concat`: both texts, and one zero; no more than texts may have.
    pub(super) fn str_concat(&mut self, mut rest: Vec<Expr>, right: Expr, span: Span) -> Expr {
        let Some(left) = rest.pop() else { return right };
        if !self.are_texts(&left, &right) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        if let (Kind::Text(a), Kind::Text(b)) = (&left.kind, &right.kind) {
            return literal(&format!("{a}{b}"), span);
        }
        let (Type::Text(a), Type::Text(b)) = (&left.ty, &right.ty) else { return left };
        // The zero of the left text gives way to the right one.
        let bytes = a.saturating_add(*b).saturating_sub(1).min(self.settings.max_strlen.max(*a).max(*b));
        builtin(Call::Concat(Box::new(left), Box::new(right)), Type::Text(bytes), span)
    }

    /// `memcmp`: pointers stand for the memory that they lead to.
    pub(super) fn memcmp(&mut self, mut rest: Vec<Expr>, len: Expr, span: Span) -> Expr {
        let (Some(right), Some(left)) = (rest.pop(), rest.pop()) else { return len };
        let len = self.number(len, "a length is");
        let (left, right) = (self.bytes_operand(left, &len), self.bytes_operand(right, &len));
        if left.ty == Type::Unknown || right.ty == Type::Unknown {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        // Behind the end of a text are zeros, as many as are wanted.
        let is_text = |value: &Expr| matches!(value.ty, Type::Text(_));
        let (a, b) = (self.types.size_and_align(&left.ty).0, self.types.size_and_align(&right.ty).0);
        let texts = is_text(&left) && is_text(&right);
        let room = match (is_text(&left), is_text(&right)) {
            (true, true) => a.max(b),
            (true, false) => b,
            (false, true) => a,
            (false, false) => a.min(b),
        };
        if let Some(known) = len.constant().filter(|&known| known < 0 || (known > room.into() && !texts)) {
            let message = format!("{known} bytes cannot be compared: the value has {room}");
            return self.error(len.span, message);
        }
        let len = self.coerce(len, &Type::U64);
        let call = Call::CompareBytes(Box::new(left), Box::new(right), Box::new(len), room);
        builtin(call, Type::int(4, true), span)
    }

    /// A value as bytes; for a pointer as many as are asked for, from where it leads.
    pub(super) fn bytes_operand(&mut self, value: Expr, len: &Expr) -> Expr {
        let most = self.settings.max_strlen;
        match &value.ty {
            Type::Pointer(_, space) => {
                let bytes = match len.constant() {
                    Some(known) => u32::try_from(known).unwrap_or(u32::MAX).clamp(1, most),
                    None => most,
                };
                let (space, span) =
                    (if *space == Space::Unknown { self.state.site.space() } else { *space }, value.span);
                let place = Place { base: Base::Address(Box::new(value), space), offset: 0, index: None, bits: None };
                Expr::new(Kind::Memory(place), Type::Array(Arc::new(Type::int(1, false)), bytes), span)
            }
            Type::Void => self.error(value.span, "this has no value"),
            _ => value,
        }
    }
}
