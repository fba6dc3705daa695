//! CO-RE: ways to members that are relocated, and the builtins that ask about the kernel's types.

use skep_ir::{Core, CoreKind, Type, Unary, Value};

use super::Lower;
use crate::parse::Parsed;
use crate::parse::ast::{Builtin, CoreAsk, Expr, ExprKind};
use crate::source::Diag;
use crate::types::{IntTy, Kind, QTy, Quals};

/// A way from a record to a member.
#[derive(Debug, Clone)]
pub struct CoreWay {
    /// The record, under the name that the program has for it: one without a tag may have a `typedef`.
    pub root: QTy,
    /// As relocations spell it: `0:3:1`.
    pub access: String,
    /// Bytes by the types of the program.
    pub local: i64,
    /// Bit offset from the root and width of a bit-field.
    pub bits: Option<(u64, u32)>,
    /// The type of the member.
    pub ty: QTy,
}

/// Without the operators around an lvalue that do not matter for which one it is.
fn bare(mut expr: &Expr) -> &Expr {
    loop {
        expr = match &expr.kind {
            ExprKind::Cast(inner) | ExprKind::Decay(inner) | ExprKind::AddrOf(inner) => inner,
            ExprKind::Builtin(Builtin::Preserve, args) if args.len() == 1 => &args[0],
            _ => return expr,
        };
    }
}

impl Lower<'_> {
    /// A CO-RE builtin.
    pub fn core_builtin(&mut self, ask: CoreAsk, kind: u32, arg: &Expr, ty: QTy) -> Parsed<Value> {
        let core = match ask {
            CoreAsk::Field => self.field_info(kind, arg)?,
            CoreAsk::Type => self.type_info(kind, arg)?,
            CoreAsk::TypeId => {
                let (root, _) = self.asked_type(arg)?;
                let kind = if kind == 0 { CoreKind::TypeIdLocal } else { CoreKind::TypeIdTarget };
                Core { kind, ty: root, access: "0".into(), local: root.into() }
            }
            CoreAsk::EnumValue => self.enum_value(kind, arg)?,
        };
        let core = self.module.add_core(core);
        let value = self.f().core(core);
        Ok(if self.register(ty) == Type::I32 { self.f().unary(Unary::Truncate, value) } else { value })
    }

    /// The number of the record that a way begins at. The kernel's is found by the tag, or else by the name of the type.
    pub fn root_btf(&mut self, root: QTy) -> u32 {
        let named = self.types.as_record(root).filter(|&record| !self.types.record(record).tag.is_empty());
        match named {
            Some(record) => self.record_btf(record),
            None => self.btf_of(QTy { quals: Quals::NONE, ..root }),
        }
    }

    fn field_info(&mut self, kind: u32, arg: &Expr) -> Parsed<Core> {
        let place = bare(arg);
        if !place.is_lvalue() {
            return self.error(arg.loc, "the first argument is an access to a member: `ptr->member`");
        }
        let addr = self.addr(place)?;
        let Some(way) = addr.core else {
            return self.push(
                Diag::error(arg.loc, "this is no access to a member of a structure")
                    .with_help("write `ptr->member`, or `((struct name *)0)->member`"),
            );
        };
        let int = self.types.as_int(way.ty);
        let size = self.types.size(way.ty).unwrap_or(0);
        let (unit_start, unit) = self.unit_of(&way);
        let start = unit_start.cast_unsigned();
        let (bit, width) = way.bits.map_or((way.local.cast_unsigned() * 8, 8 * size), |(at, bits)| (at, bits.into()));
        let shift = |bits: u64| 64u64.saturating_sub(bits).cast_signed();
        let (kind, local) = match kind {
            0 => (CoreKind::FieldOffset, if way.bits.is_some() { start.cast_signed() } else { way.local }),
            1 => (CoreKind::FieldSize, if way.bits.is_some() { unit } else { size }.cast_signed()),
            2 => (CoreKind::FieldExists, 1),
            3 => (CoreKind::FieldSigned, int.is_some_and(IntTy::signed).into()),
            4 if way.bits.is_some() => (CoreKind::FieldLshift, shift(bit + width - 8 * start)),
            4 => (CoreKind::FieldLshift, shift(8 * size)),
            _ if way.bits.is_some() => (CoreKind::FieldRshift, shift(width)),
            _ => (CoreKind::FieldRshift, shift(8 * size)),
        };
        let ty = self.root_btf(way.root);
        Ok(Core { kind, ty, access: way.access.into(), local })
    }

    /// The unit that a bit-field is read in: where it begins, and its bytes. It has the size of the field's type, or as
    /// much more as it takes to have all of the field.
    pub fn unit_of(&self, way: &CoreWay) -> (i64, u64) {
        let mut unit = self.types.size(way.ty).unwrap_or(0).max(1);
        let Some((bit, width)) = way.bits else { return (way.local, unit) };
        let mut start = bit / 8 / unit * unit;
        while bit + u64::from(width) - 8 * start > 8 * unit && unit < 8 {
            unit *= 2;
            start = bit / 8 / unit * unit;
        }
        (start.cast_signed(), unit)
    }

    /// The number of the type that an argument like `*(type *)0` is of, and the type.
    fn asked_type(&mut self, arg: &Expr) -> Parsed<(u32, QTy)> {
        let ty = match &arg.kind {
            ExprKind::Cast(inner) if inner.is_lvalue() => inner.ty,
            _ => arg.ty,
        };
        // A type that is asked about has to be there with its members.
        if let Some(record) = self.types.as_record(ty) {
            self.types.complete(self.provider.btf(), record);
        }
        let id = self.btf_of(ty);
        if id == 0 {
            let shown = self.types.show(ty);
            return self.error(arg.loc, format!("`{shown}` is no type that the kernel could have"));
        }
        Ok((id, ty))
    }

    fn type_info(&mut self, kind: u32, arg: &Expr) -> Parsed<Core> {
        let (root, ty) = self.asked_type(arg)?;
        let (kind, local) = match kind {
            0 => (CoreKind::TypeExists, 1),
            1 => (CoreKind::TypeSize, self.types.size(ty).unwrap_or(0).cast_signed()),
            _ => (CoreKind::TypeMatches, 1),
        };
        Ok(Core { kind, ty: root, access: "0".into(), local })
    }

    fn enum_value(&mut self, kind: u32, arg: &Expr) -> Parsed<Core> {
        let mut ty = arg.ty;
        let mut inner = arg;
        loop {
            match &inner.kind {
                ExprKind::Cast(next) => inner = next,
                ExprKind::Deref(next) => {
                    ty = inner.ty;
                    inner = next;
                }
                _ => break,
            }
        }
        let (value, kind_of) = (inner.literal(), self.types.kind(ty).clone());
        let (Some(value), Kind::Enum(id)) = (value, kind_of) else {
            return self.error(arg.loc, "an enumerator of an enumeration is expected: `*(typeof(enum name) *)VALUE`");
        };
        let Some(index) = self.types.enumeration(id).values.iter().position(|item| item.1 == value) else {
            let shown = self.types.show(ty);
            return self.error(arg.loc, format!("`{shown}` has no enumerator with the value {value}"));
        };
        let (kind, local) = if kind == 0 { (CoreKind::EnumExists, 1) } else { (CoreKind::EnumValue, value) };
        let ty = self.btf_of(ty);
        Ok(Core { kind, ty, access: index.to_string().into(), local })
    }
}
