//! Functions that are computed while the script is compiled.

use std::net::IpAddr;
use std::sync::Arc;

use skep_diag::Span;

use super::Checker;
use super::tree::{Expr, Kind};
use crate::ast;
use crate::builtins::{Builtin, Row};
use crate::types::Type;

impl Checker<'_> {
    /// The value of such a function.
    pub(super) fn constant_call(&mut self, row: &Row, args: &[ast::Expr], span: Span) -> Expr {
        let Some(first) = args.first() else { return Expr::number(0, Type::Unknown, span) };
        let truth = |value: bool| Expr::number(value.into(), Type::Bool, span);
        match row.builtin {
            Builtin::Kaddr | Builtin::Cgroupid | Builtin::Pton => {
                let Some(text) = self.text_argument(first) else { return Expr::number(0, Type::Unknown, span) };
                self.asked(row, &text, span)
            }
            Builtin::KfuncExist | Builtin::KfuncAllowed => {
                let Some(name) = self.text_argument(first) else { return Expr::number(0, Type::Unknown, span) };
                let exists = self.types.source().function("", &name).is_some();
                truth(exists && (row.builtin == Builtin::KfuncExist || self.may_call(&name)))
            }
            Builtin::Getopt => self.named_argument(args, span),
            Builtin::Fail | Builtin::StaticAssert => self.error(span, format!("`{}` is a statement", row.name)),
            _ => {
                let value = self.expr(first);
                if value.ty == Type::Unknown {
                    return value;
                }
                match row.builtin {
                    Builtin::IsArray => truth(matches!(value.ty, Type::Array(..))),
                    Builtin::IsInteger => truth(matches!(value.ty, Type::Int { .. })),
                    Builtin::IsUnsigned => truth(matches!(value.ty, Type::Int { signed: false, .. })),
                    Builtin::IsPtr => truth(matches!(value.ty, Type::Pointer(..))),
                    Builtin::IsStr => truth(matches!(value.ty, Type::Text(_))),
                    Builtin::IsLiteral => truth(matches!(value.kind, Kind::Int(_) | Kind::Text(_))),
                    Builtin::Strcap => match value.ty {
                        Type::Text(bytes) => Expr::number(bytes.into(), Type::U64, span),
                        other => self.error(span, format!("a value of type {other} is no text")),
                    },
                    _ => self.error(span, format!("`{}` is no constant", row.name)),
                }
            }
        }
    }

    /// A format and its arguments as a text while the script is compiled: `%d`, `%u`, `%x`, `%s` with `l` before them, `%%`.
    pub(super) fn constant_message(&mut self, args: &[ast::Expr]) -> Option<String> {
        let format = self.text_argument(args.first()?)?;
        let mut values = args[1..].iter();
        let mut message = String::new();
        let mut rest = &*format;
        while let Some((before, after)) = rest.split_once('%') {
            message.push_str(before);
            let conversion = after.trim_start_matches('l').chars().next();
            let length = after.len() - after.trim_start_matches('l').len() + conversion.map_or(0, char::len_utf8);
            rest = &after[length..];
            if conversion == Some('%') {
                message.push('%');
                continue;
            }
            let Some(arg) = values.next() else {
                self.error(args[0].span, "the text has more conversions than there are values");
                return None;
            };
            let value = self.expr(arg);
            match (conversion, &value.kind, value.constant()) {
                (Some('s'), Kind::Text(text), _) => message.push_str(text),
                (Some('d'), _, Some(number)) => message.push_str(&number.to_string()),
                (Some('u'), _, Some(number)) => message.push_str(&number.cast_unsigned().to_string()),
                (Some('x'), _, Some(number)) => message.push_str(&format!("{number:x}")),
                (Some('s' | 'd' | 'u' | 'x'), ..) => {
                    self.error(value.span, "this is not known while the script is compiled, or of another type");
                    return None;
                }
                _ => {
                    self.error(args[0].span, "texts made while the script is compiled have %d, %u, %x, %s and %% only");
                    return None;
                }
            }
        }
        message.push_str(rest);
        Some(message)
    }

    /// `getopt(name, default)`: the default says of which type the value is; without one it is whether it was given.
    fn named_argument(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let Some(name) = self.text_argument(&args[0]) else { return Expr::number(0, Type::Unknown, span) };
        let given = self.env.named.iter().find(|named| named.0 == *name).map(|named| named.1.as_str());
        let default = match args.get(1) {
            Some(arg) => self.expr(arg),
            None => Expr::number(0, Type::Bool, span),
        };
        let Some(given) = given else { return default };
        match (&default.kind, &default.ty) {
            (Kind::Text(_), _) => super::expr::literal(given, span),
            (_, Type::Bool) => match given {
                "" | "true" | "1" => Expr::number(1, Type::Bool, span),
                "false" | "0" => Expr::number(0, Type::Bool, span),
                _ => self.error(span, format!("`--{name}` is `true` or `false`, not `{given}`")),
            },
            (_, Type::Int { .. }) => match given.parse::<i64>() {
                Ok(value) => Expr::number(value, Type::I64, span),
                Err(_) => self.error(span, format!("`--{name}` is a number, not `{given}`")),
            },
            _ => self.error(span, "the default must be a number, a text, or `true` or `false`"),
        }
    }

    /// What only the machine knows, and addresses.
    fn asked(&mut self, row: &Row, text: &str, span: Span) -> Expr {
        if row.builtin == Builtin::Pton {
            return match text.parse::<IpAddr>() {
                Ok(IpAddr::V4(address)) => bytes(address.octets().to_vec(), span),
                Ok(IpAddr::V6(address)) => bytes(address.octets().to_vec(), span),
                Err(_) => self.error(span, format!("`{text}` is no IPv4 or IPv6 address")),
            };
        }
        let answer = if row.builtin == Builtin::Kaddr {
            self.env.facts.kernel_symbol(text)
        } else {
            self.env.facts.cgroup_id(text)
        };
        match answer {
            Ok(value) => Expr::number(value.cast_signed(), Type::U64, span),
            Err(why) => self.error_with_help(span, format!("`{text}` cannot be looked up"), why),
        }
    }
}

fn bytes(bytes: Vec<u8>, span: Span) -> Expr {
    let len = u32::try_from(bytes.len()).unwrap_or(0);
    Expr::new(Kind::Bytes(bytes), Type::Array(Arc::new(Type::int(1, false)), len), span)
}
