//! `typeinfo`: what a type is called, as a value.

use skep_diag::Span;

use super::Checker;
use super::expr::literal;
use super::tree::{Expr, Kind};
use crate::ast::TypeOrExpr;
use crate::settings::Allowed;
use crate::types::{CompositeId, Type, host_name};

impl Checker<'_> {
    /// `typeinfo(type or expression)`: a record with the number of the type in the kernel's BTF (0 for what is none of
    /// the kernel's), its kind, and its name.
    pub(super) fn type_info(&mut self, of: &TypeOrExpr, span: Span) -> Expr {
        match self.settings.typeinfo {
            Allowed::Yes => {}
            Allowed::Warned => self.warn(span, "`typeinfo` may change", ""),
            Allowed::No => {
                return self.error_with_help(
                    span,
                    "`typeinfo` may change, so it has to be allowed",
                    "write `config = { unstable_typeinfo = enable }`",
                );
            }
        }
        let Some(ty) = self.type_of(of) else { return Expr::new(Kind::Int(0), Type::Unknown, span) };
        let id = match &ty {
            Type::Composite(CompositeId::Kernel(id)) => i64::from(*id),
            _ => 0,
        };
        let full = self.type_name(&ty);
        let parts = vec![Expr::number(id, Type::U64, span), literal(base_name(&ty), span), literal(&full, span)];
        let names = ["btf_id", "base_type", "full_type"];
        let ty = Type::Record(names.iter().zip(&parts).map(|(name, part)| ((*name).into(), part.ty.clone())).collect());
        Expr::new(Kind::Tuple(parts), ty, span)
    }

    /// The name of a type, with the names of structures.
    fn type_name(&self, ty: &Type) -> String {
        match ty {
            Type::Composite(id) => {
                let name = self.types.composite(*id).map(|composite| composite.name.clone()).unwrap_or_default();
                format!("struct {name}")
            }
            Type::Pointer(to, _) => format!("{}*", self.type_name(to)),
            Type::Array(element, count) => format!("{}[{count}]", self.type_name(element)),
            other => other.to_string(),
        }
    }
}

/// The kind of a type.
const fn base_name(ty: &Type) -> &'static str {
    match ty {
        Type::Unknown | Type::Void => "void",
        Type::Bool => "bool",
        Type::Int { .. } => "int",
        Type::Enum { .. } => "enum",
        Type::Pointer(..) => "pointer",
        Type::Composite(_) => "struct",
        Type::Array(..) => "array",
        Type::Text(_) => "string",
        Type::Tuple(_) => "tuple",
        Type::Record(_) => "record",
        Type::Host(shape) => host_name(shape),
    }
}
