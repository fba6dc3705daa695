//! Fields, elements, addresses: the ways into memory.

use std::sync::Arc;

use skep_diag::Span;

use super::tree::{Base, Call, Expr, Kind, Place, Word};
use super::{Arguments, Checker};
use crate::ast::{self, BinaryOp, ExprKind};
use crate::providers::{Data, Kind as ProviderKind};
use crate::types::{CompositeId, Member, Space, Tag, Type};

impl Checker<'_> {
    /// `base.field`, `base->field`
    pub(super) fn field(&mut self, base: &ast::Expr, field: &ast::Name, span: Span) -> Expr {
        if let ExprKind::Ident(name) = &base.node {
            let name = name.strip_prefix("__builtin_").unwrap_or(name);
            if name == "args" {
                return self.argument(field, span);
            }
            if name == "ctx" && self.state.site.provider.is_some_and(|provider| provider.kind == ProviderKind::Iter) {
                return self.context_field(field, span);
            }
        }
        let base = self.expr(base);
        self.field_of(base, field, span)
    }

    fn field_of(&mut self, base: Expr, field: &ast::Name, span: Span) -> Expr {
        match &base.ty {
            Type::Unknown => base,
            Type::Record(parts) => match parts.iter().position(|part| part.0 == field.node) {
                Some(index) => self.tuple_part(base, index),
                None => {
                    let names: Vec<Arc<str>> = parts.iter().map(|part| part.0.clone()).collect();
                    let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                    self.not_a_name(field, "the field", &names)
                }
            },
            Type::Composite(id) => {
                let id = *id;
                self.member(base, id, field, span)
            }
            Type::Pointer(to, _) => match **to {
                Type::Record(_) => {
                    let whole = self.deref(base, span);
                    self.field_of(whole, field, span)
                }
                Type::Composite(id) => {
                    let whole = self.deref(base, span);
                    self.member(whole, id, field, span)
                }
                _ => {
                    let message = format!("a value of type {} has no field `{}`", base.ty, field.node);
                    self.error_with_help(span, message, "a cast says what it points to: `((struct name *)p)->field`")
                }
            },
            Type::Int { .. } => {
                let message = format!("a number has no field `{}`", field.node);
                self.error_with_help(span, message, "a cast says what it points to: `((struct name *)n)->field`")
            }
            other => {
                let message = format!("a value of type {other} has no field `{}`", field.node);
                self.error(span, message)
            }
        }
    }

    pub(super) fn no_field(&mut self, id: CompositeId, field: &ast::Name) -> Expr {
        let names = self.types.member_names(id);
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let of = self.types.composite(id).map(|composite| composite.name.clone()).unwrap_or_default();
        let what = if of.is_empty() { "the field".to_owned() } else { format!("in `{of}` the field") };
        self.not_a_name(field, &what, &names)
    }

    fn member(&mut self, whole: Expr, id: CompositeId, field: &ast::Name, span: Span) -> Expr {
        let Some(member) = self.types.member(id, &field.node) else { return self.no_field(id, field) };
        let (base, before, index) = match whole.kind {
            Kind::Memory(Place { base, offset, index, bits: None }) => (base, offset, index),
            _ => (Base::Local(Box::new(whole)), 0, None),
        };
        self.part(base, before, index, &member, span)
    }

    fn part(
        &mut self,
        base: Base,
        before: u32,
        index: Option<(Box<Expr>, u32, u32)>,
        member: &Member,
        span: Span,
    ) -> Expr {
        let ty = match (&member.ty, &base) {
            // What user memory points to is user memory.
            (Type::Pointer(to, _), Base::Address(_, space)) if *space != Space::Unknown => {
                Type::Pointer(to.clone(), *space)
            }
            (ty, _) => ty.clone(),
        };
        let offset = before.saturating_add(member.offset);
        Expr::new(Kind::Memory(Place { base, offset, index, bits: member.bits }), ty, span)
    }

    /// `*pointer`
    pub(super) fn deref(&mut self, pointer: Expr, span: Span) -> Expr {
        match &pointer.ty {
            Type::Unknown => pointer,
            Type::Pointer(to, _) if **to == Type::Void => {
                self.error_with_help(span, "it is not known what this points to", "a cast says it: `*(uint64 *)p`")
            }
            Type::Pointer(to, space) => {
                let (to, space) = ((**to).clone(), *space);
                if let Kind::Address(whole, offset) = &pointer.kind
                    && let Kind::Memory(place) = &whole.kind
                {
                    let place = Place { offset: place.offset.saturating_add(*offset), ..place.clone() };
                    return Expr::new(Kind::Memory(place), to, span);
                }
                let base = Base::Address(Box::new(pointer), space);
                Expr::new(Kind::Memory(Place { base, offset: 0, index: None, bits: None }), to, span)
            }
            // A number is the address of a number of 8 bytes.
            Type::Int { .. } => {
                let space = self.state.site.space();
                let address = self.coerce(pointer, &Type::U64);
                let base = Base::Address(Box::new(address), space);
                Expr::new(Kind::Memory(Place { base, offset: 0, index: None, bits: None }), Type::U64, span)
            }
            other => {
                let message = format!("a value of type {other} is no pointer");
                self.error(span, message)
            }
        }
    }

    /// `&value`
    pub(super) fn address_of(&mut self, operand: &ast::Expr, span: Span) -> Expr {
        if let ExprKind::Map(name) = &operand.node {
            let map = self.map(name, operand.span);
            let ty = self.types.find(Tag::Struct, "bpf_map").unwrap_or(Type::Void).pointer(Space::Kernel);
            return Expr::new(Kind::MapAddress(map), ty, span);
        }
        let value = self.expr(operand);
        if value.ty == Type::Unknown {
            return value;
        }
        match &value.kind {
            Kind::Var(var) => Expr::new(Kind::VarAddress(*var), value.ty.pointer(Space::Kernel), span),
            Kind::Memory(Place { base: Base::Address(_, space), bits: None, .. }) => {
                let ty = value.ty.clone().pointer(*space);
                Expr::new(Kind::Address(Box::new(value), 0), ty, span)
            }
            Kind::Memory(Place { base: Base::Context, .. }) => {
                let ty = value.ty.clone().pointer(Space::Kernel);
                Expr::new(Kind::Address(Box::new(value), 0), ty, span)
            }
            _ => self.error_with_help(
                span,
                "this has no address",
                "variables, maps and what a pointer leads to have one: `&$x`, `&@m`, `&p->field`",
            ),
        }
    }

    /// `base[keys]`: an entry of a map, an element of an array, a byte of a text.
    pub(super) fn index(&mut self, base: &ast::Expr, keys: &[ast::Expr], span: Span) -> Expr {
        if let ExprKind::Map(name) = &base.node {
            let map = self.map(name, base.span);
            let key = self.key(map, keys, base.span);
            return self.entry(map, key, span);
        }
        let base = self.expr(base);
        let [index] = keys else { return self.error(span, "an element has one number") };
        let index = self.expr(index);
        let index = self.number(index, "the number of an element is");
        if base.ty == Type::Unknown || index.ty == Type::Unknown {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let (element, count) = match &base.ty {
            Type::Array(element, count) => ((**element).clone(), *count),
            Type::Text(len) => (Type::int(1, true), *len),
            Type::Tuple(_) => match index.constant().and_then(|index| usize::try_from(index).ok()) {
                Some(index) => return self.tuple_part(base, index),
                None => return self.error(index.span, "the number of a part of a tuple must be known"),
            },
            Type::Pointer(to, _) => {
                if **to == Type::Void {
                    return self.deref(base, span);
                }
                let at = self.binary(BinaryOp::Add, base, index, span);
                return self.deref(at, span);
            }
            other => {
                let message = format!("a value of type {other} has no elements");
                return self.error(span, message);
            }
        };
        self.element(base, element, count, index, span)
    }

    fn element(&mut self, base: Expr, element: Type, count: u32, index: Expr, span: Span) -> Expr {
        let size = self.types.size_and_align(&element).0;
        // The arrays at the ends of structures have no length.
        let known = index.constant().filter(|&index| index >= 0 && (count == 0 || index < i64::from(count)));
        if index.constant().is_some() && known.is_none() {
            return self.error(index.span, format!("there is no such element: the array has {count}"));
        }
        let (inner, offset, old) = match base.kind {
            Kind::Memory(Place { base, offset, index, bits: None }) => (base, offset, index),
            _ => (Base::Local(Box::new(base)), 0, None),
        };
        if let Some(known) = known {
            let step = u32::try_from(known).unwrap_or(u32::MAX).saturating_mul(size);
            let offset = offset.saturating_add(step);
            return Expr::new(Kind::Memory(Place { base: inner, offset, index: old, bits: None }), element, span);
        }
        match inner {
            Base::Local(_) if old.is_some() => self.error_with_help(
                span,
                "two numbers that are not known choose an element of this",
                "copy the inner array to a variable first",
            ),
            Base::Local(local) => {
                let index = Some((Box::new(index), size, count));
                Expr::new(Kind::Memory(Place { base: Base::Local(local), offset, index, bits: None }), element, span)
            }
            // Memory behind an address, and the context by its address.
            outer => {
                let space = match &outer {
                    Base::Address(_, space) => *space,
                    _ => Space::Kernel,
                };
                let whole = Place { base: outer, offset, index: old, bits: None };
                let whole = Expr::new(Kind::Memory(whole), Type::Array(Arc::new(element.clone()), count), span);
                let start = Expr::new(Kind::Address(Box::new(whole), 0), element.clone().pointer(space), span);
                let at = self.binary(BinaryOp::Add, start, index, span);
                self.deref(at, span)
            }
        }
    }

    /// `args.field`
    fn argument(&mut self, field: &ast::Name, span: Span) -> Expr {
        if !self.state.site.has(Data::Args) {
            let site = &self.state.site;
            let message = format!("there is no `args` in {}", self.site_name());
            let help = match site.provider.map(|provider| provider.kind) {
                Some(ProviderKind::Kprobe) => "`arg0`, `arg1`, ... are the arguments; `fentry` has them by name",
                Some(ProviderKind::Kretprobe | ProviderKind::Uretprobe) => "`retval` is what the function returned",
                Some(ProviderKind::Usdt) => "`arg0`, `arg1`, ... are the arguments",
                _ => "tracepoints, raw tracepoints, fentry and fexit have `args`",
            };
            return self.error_with_help(span, message, help);
        }
        self.state.depends = true;
        match self.state.site.arguments.clone() {
            Arguments::None(why) => {
                let message = format!("the arguments of {} are not known", self.site_name());
                self.error_with_help(span, message, why)
            }
            Arguments::Record(id) => {
                let Some(member) = self.types.member(id, &field.node) else { return self.no_field(id, field) };
                if member.indirect {
                    return self.indirect(&member, span);
                }
                if let Some(routed) = self.routed_field(&member, span) {
                    return routed;
                }
                self.part(Base::Context, 0, None, &member, span)
            }
            Arguments::Function { binary, function } => self.user_argument(binary.as_deref(), &function, field),
            Arguments::Usdt(_) => self.error(span, "arguments of USDT probes have no names: `arg0`, `arg1`, ..."),
            Arguments::Words(prototype) => {
                let Some(index) = prototype.params.iter().position(|param| param.name == field.node) else {
                    if &*field.node == "ret" || &*field.node == "retval" {
                        return self
                            .value(&Arc::from("retval"), span)
                            .unwrap_or_else(|| Expr::number(0, Type::Unknown, span));
                    }
                    let names: Vec<&str> = prototype.params.iter().map(|param| &*param.name).collect();
                    return self.not_a_name(field, "the argument", &names);
                };
                let number = u32::try_from(index).unwrap_or(u32::MAX);
                let ty = prototype.params[index].ty.clone();
                self.routed_named(number, ty.clone(), span).unwrap_or_else(|| word(number, ty, span))
            }
        }
    }

    /// A field of a tracepoint's record with a length that differs from event to event.
    fn indirect(&mut self, member: &Member, span: Span) -> Expr {
        let ty = match member.ty {
            Type::Text(_) => Type::Text(self.settings.max_strlen),
            _ => Type::U32,
        };
        if ty == Type::U32 {
            // The address of the elements.
            let address = Expr::new(Kind::Indirect(member.offset), Type::U64, span);
            return Expr { ty: Type::int(1, false).pointer(Space::Kernel), ..address };
        }
        let address = Expr::new(Kind::Indirect(member.offset), Type::int(1, true).pointer(Space::Kernel), span);
        let call = super::tree::Call::Str(Box::new(address), None, Space::Kernel);
        Expr::new(Kind::Builtin(call), ty, span)
    }

    /// A field of the record that is the context.
    pub(super) fn field_of_context(&mut self, member: &Member, span: Span) -> Expr {
        self.part(Base::Context, 0, None, member, span)
    }

    /// A field of the context of an iterator.
    fn context_field(&mut self, field: &ast::Name, span: Span) -> Expr {
        self.state.depends = true;
        let kind = self.state.site.name.split(':').nth(1).unwrap_or("").to_owned();
        match self.types.find(Tag::Struct, &format!("bpf_iter__{kind}")) {
            Some(Type::Composite(id)) => match self.types.member(id, &field.node) {
                Some(member) => {
                    let value = self.part(Base::Context, 0, None, &member, span);
                    if !matches!(value.ty, Type::Pointer(..)) {
                        return value;
                    }
                    // The kernel says in the context itself that there is nothing more.
                    let ty = value.ty.clone();
                    Expr::new(Kind::Builtin(Call::Object(Box::new(value))), ty, span)
                }
                None => self.no_field(id, field),
            },
            _ => self.error(span, format!("the kernel's types have no iterator `{kind}`")),
        }
    }

    /// What a message calls the place of the program.
    pub(super) fn site_name(&self) -> String {
        match self.state.site.provider {
            Some(provider) => format!("{} probes", provider.name),
            None => "functions".to_owned(),
        }
    }
}

/// A word of the context as a value of a type.
pub(super) fn word(number: u32, ty: Type, span: Span) -> Expr {
    let raw = Expr::new(Kind::Argument(Word::Number(number)), Type::U64, span);
    match ty.scalar() {
        Some((8, _)) => Expr { ty, ..raw },
        Some(_) => Expr::new(Kind::Convert(Box::new(raw)), ty, span),
        None => raw,
    }
}
