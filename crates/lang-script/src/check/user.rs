//! Arguments in programs: those of USDT probes by the notes of their places, those of functions by debug information.

use skep_diag::Span;

use super::tree::{Base, Call, Expr, Kind, Place, Word};
use super::{Arguments, Checker};
use crate::ast::{self, BinaryOp};
use crate::builtins::Builtin;
use crate::providers::Kind as ProviderKind;
use crate::types::user::{Home, UsdtArgument, UsdtLocation};
use crate::types::{Space, Type};

impl Checker<'_> {
    /// `arg0`, `arg1`, ... of a USDT probe, with 64 bits.
    pub(super) fn usdt_argument(&mut self, number: u32, span: Span) -> Expr {
        self.state.depends = true;
        let name = self.state.site.name.clone();
        let arguments = match &self.state.site.arguments {
            Arguments::Usdt(arguments) => arguments.clone(),
            Arguments::None(why) => {
                let why = why.clone();
                return self.error_with_help(span, format!("the arguments of `{name}` are not known"), why);
            }
            _ => return self.error(span, format!("the arguments of `{name}` are not known")),
        };
        match arguments.get(number as usize) {
            Some(Ok(argument)) => usdt_value(*argument, span),
            Some(Err(why)) => {
                self.error_with_help(span, format!("`arg{number}` of `{name}` cannot be read"), why.clone())
            }
            None => {
                let message = format!("`{name}` has no `arg{number}`");
                self.error_with_help(span, message, format!("it has {} arguments, counted from 0", arguments.len()))
            }
        }
    }

    /// `args.NAME` at the start of a function of a program.
    pub(super) fn user_argument(&mut self, binary: Option<&str>, function: &str, field: &ast::Name) -> Expr {
        let span = field.span;
        let known = match self.types.source().user_function(binary, function) {
            Ok(known) => known,
            Err(why) => {
                let message = format!("the arguments of `{function}` are not known: {why}");
                return self.error_with_help(span, message, "`arg0`, `arg1`, ... are the arguments as numbers");
            }
        };
        let Some((parameter, home)) = known.params.iter().find(|(parameter, _)| parameter.name == field.node) else {
            let names: Vec<&str> = known.params.iter().map(|(parameter, _)| &*parameter.name).collect();
            return self.not_a_name(field, "the argument", &names);
        };
        self.at_home(&parameter.ty, home, span)
    }

    /// `retval` of a function of a program: of the type that its debug information gives, else 64 bits.
    pub(super) fn user_result(&mut self, binary: Option<&str>, function: &str, span: Span) -> Expr {
        let register = self.env.arch.result();
        let known = self.types.source().user_function(binary, function);
        let plain = Expr::new(Kind::Argument(Word::Register(register.to_owned())), Type::U64, span);
        match known {
            Ok(known) if known.result == Type::Void => {
                self.warn(span, format!("`{function}` returns nothing"), "`retval` is what the register holds");
                plain
            }
            Ok(known) => match &known.result_home {
                Home::Nowhere(why) => self.error_with_help(span, "the result cannot be read", *why),
                Home::Address(_) => {
                    let base = Base::Address(Box::new(plain), Space::User);
                    let place = Place { base, offset: 0, index: None, bits: None };
                    Expr::new(Kind::Memory(place), known.result.clone(), span)
                }
                Home::Register(_) | Home::Stack(_) => self.in_register(&known.result, register, span),
            },
            Err(_) => plain,
        }
    }

    /// `(number)retval` of a function of a program: what the register holds. Whoever says the type needs no debug
    /// information, which may have hundreds of megabytes, and the script means the same with and without it.
    pub(super) fn result_as_number(&self, ty: &Type, operand: &ast::Expr) -> Option<Expr> {
        let ast::ExprKind::Ident(name) = &operand.node else { return None };
        let named = matches!(&**name, "retval" | "__builtin_retval");
        let here = matches!(self.state.site.arguments, Arguments::Function { .. })
            && self.state.site.has(crate::providers::Data::Retval);
        let raw = Word::Register(self.env.arch.result().to_owned());
        (named && here && matches!(ty, Type::Int { .. }))
            .then(|| Expr::new(Kind::Argument(raw), Type::U64, operand.span))
    }

    /// `uaddr("name")`: known at once for programs that are always at the same place, else by the distance from the function
    /// that is traced.
    pub(super) fn user_address(&mut self, name: &str, span: Span) -> Expr {
        let site = self.state.site.clone();
        let kind = site.provider.map(|provider| provider.kind);
        if !matches!(kind, Some(ProviderKind::Uprobe | ProviderKind::Uretprobe | ProviderKind::Usdt)) {
            return self.error_with_help(
                span,
                "there is no program here",
                "`uaddr` is for uprobe, uretprobe and usdt probes",
            );
        }
        self.state.depends = true;
        let parts: Vec<&str> = site.name.split(':').collect();
        let (binary, function) = match &site.arguments {
            Arguments::Function { binary, function } => (binary.clone(), Some(function.clone())),
            // `usdt:name` and `uprobe:address` with -p name no binary.
            _ => (parts.get(1).filter(|_| parts.len() > 2).map(|name| (*name).to_owned()), None),
        };
        let symbol = match self.env.facts.user_symbol(binary.as_deref(), name) {
            Ok(symbol) => symbol,
            Err(why) => return self.error_with_help(span, format!("`{name}` cannot be looked up"), why),
        };
        let ty = match symbol.bytes {
            bytes @ (1 | 2 | 4 | 8) => Type::int(bytes as u8, false).pointer(Space::User),
            _ => Type::Void.pointer(Space::User),
        };
        if let Some(base) = symbol.base {
            return Expr::number(symbol.address.wrapping_add(base).cast_signed(), ty, span);
        }
        let start = function.and_then(|function| self.env.facts.user_symbol(binary.as_deref(), &function).ok());
        let Some(start) = start else {
            let message = format!("where `{name}` is in the process is not known");
            return self.error_with_help(span, message, "`-p PID` says which process it is");
        };
        let here = match kind {
            Some(ProviderKind::Uprobe) => Kind::Argument(Word::Register("ip".to_owned())),
            _ => Kind::Builtin(Call::Value(Builtin::Func)),
        };
        let here = Expr::new(here, Type::U64, span);
        let distance = Expr::number(symbol.address.wrapping_sub(start.address).cast_signed(), Type::U64, span);
        Expr::new(Kind::Binary(BinaryOp::Add, Box::new(here), Box::new(distance)), ty, span)
    }

    fn at_home(&mut self, ty: &Type, home: &Home, span: Span) -> Expr {
        let arch = self.env.arch;
        let memory = |address: Expr, offset| {
            let base = Base::Address(Box::new(address), Space::User);
            Expr::new(Kind::Memory(Place { base, offset, index: None, bits: None }), ty.clone(), span)
        };
        let register = |name: &str| Expr::new(Kind::Argument(Word::Register(name.to_owned())), Type::U64, span);
        match home {
            Home::Register(number) => match arch.argument(*number) {
                Some(name) => self.in_register(ty, name, span),
                None => self.error(span, "there is no register for this argument"),
            },
            Home::Address(number) => match arch.argument(*number) {
                Some(name) => memory(register(name), 0),
                None => self.error(span, "there is no register for this argument"),
            },
            Home::Stack(bytes) => memory(register("sp"), arch.first_stack_word() * 8 + bytes),
            Home::Nowhere(why) => self.error_with_help(span, "this argument cannot be read", *why),
        }
    }

    /// A value in a register: numbers and addresses by their own width, structures as the bytes that the context keeps.
    fn in_register(&mut self, ty: &Type, name: &str, span: Span) -> Expr {
        let raw = Expr::new(Kind::Argument(Word::Register(name.to_owned())), Type::U64, span);
        match (ty.scalar(), self.env.arch.register(name)) {
            (Some((8, _)), _) => Expr { ty: ty.clone(), ..raw },
            (Some(_), _) => Expr::new(Kind::Convert(Box::new(raw)), ty.clone(), span),
            (None, Some(offset)) if matches!(ty, Type::Composite(_)) => {
                let place = Place { base: Base::Context, offset, index: None, bits: None };
                Expr::new(Kind::Memory(place), ty.clone(), span)
            }
            _ => raw,
        }
    }
}

/// The value of an argument of a USDT probe: the bytes that the note names, extended to 64 bits by their sign.
fn usdt_value(argument: UsdtArgument, span: Span) -> Expr {
    let wide = if argument.signed { Type::I64 } else { Type::U64 };
    let narrow = Type::int(argument.bytes, argument.signed);
    let word = |context: u32| Expr::new(Kind::Argument(Word::Context(context)), Type::U64, span);
    let number = |value: i64| Expr::number(value, Type::U64, span);
    let binary = |op, left, right| Expr::new(Kind::Binary(op, Box::new(left), Box::new(right)), Type::U64, span);
    let value = match argument.location {
        UsdtLocation::Constant(value) => {
            let shift = 64 - 8 * u32::from(argument.bytes.clamp(1, 8));
            let value = if argument.signed {
                (value << shift) >> shift
            } else {
                ((value.cast_unsigned() << shift) >> shift).cast_signed()
            };
            return Expr::number(value, wide, span);
        }
        UsdtLocation::Register { context, first: 0 } => word(context),
        UsdtLocation::Register { context, first } => binary(BinaryOp::Shr, word(context), number(i64::from(first) * 8)),
        UsdtLocation::Memory { base, index, displacement } => {
            let mut address = binary(BinaryOp::Add, word(base), number(displacement));
            if let Some((register, factor)) = index {
                let scaled = binary(BinaryOp::Mul, word(register), number(factor.into()));
                address = binary(BinaryOp::Add, address, scaled);
            }
            let base = Base::Address(Box::new(address), Space::User);
            Expr::new(Kind::Memory(Place { base, offset: 0, index: None, bits: None }), narrow.clone(), span)
        }
    };
    if argument.bytes == 8 {
        return Expr { ty: wide, ..value };
    }
    let value = if value.ty == narrow { value } else { Expr::new(Kind::Convert(Box::new(value)), narrow, span) };
    Expr::new(Kind::Convert(Box::new(value)), wide, span)
}
