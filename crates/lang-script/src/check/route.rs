//! Values of a probe that is attached in another way than it is written: the same values from other places.

use skep_diag::Span;

use super::tree::{Base, Expr, Kind, Place, Word};
use super::{Arguments, Checker};
use crate::ast::BinaryOp;
use crate::plan::Shape;
use crate::providers::equivalents::{Source, Test};
use crate::registers::Arch;
use crate::types::{Member, Prototype, Space, Type};

/// Where the values of a probe come from.
#[derive(Debug, Clone, Default)]
pub enum Access {
    /// From where this type of probe has them.
    #[default]
    Usual,
    /// Those of a kprobe from the context of fentry and fexit, which knows this prototype.
    Words(Prototype),
    /// Those of fentry and fexit from the registers of a kprobe.
    Registers,
    /// From a function with another name and other places of arguments.
    Moved {
        /// Its name.
        name: String,
        /// For each argument its place; what is not listed has none.
        args: &'static [Option<u32>],
        /// Where they are then.
        inner: Box<Self>,
    },
    /// From an event.
    Event(Mapped),
}

/// An event that stands for a function.
#[derive(Debug, Clone)]
pub struct Mapped {
    /// The probe as it is written.
    pub instead_of: String,
    /// The function that it stands for.
    pub function: String,
    /// What the event is called.
    pub what: String,
    /// Where arguments come from; those that are not listed are missing.
    pub args: Vec<Source>,
    /// Where the result comes from.
    pub result: Source,
    /// When the event counts: of each list one test has to hold.
    pub when: Vec<Vec<Test>>,
    /// Whether the event is that of a system call and `args` the record of its tracepoint.
    pub call: Option<CallSide>,
}

/// Start or end of a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallSide {
    /// The raw tracepoint `sys_enter`: registers, number.
    Enter,
    /// The raw tracepoint `sys_exit`: registers, result.
    Exit,
}

impl CallSide {
    /// What the raw tracepoint says instead of a field of the record, by the field's offset. Records of system calls have
    /// 8 bytes in front, then the number, then arguments or result in 8 bytes each.
    pub fn field(self, offset: u32, arch: Arch) -> Source {
        const NUMBER: u32 = 8;
        const FIRST: u32 = 16;
        match (self, offset) {
            (Self::Enter, NUMBER) => Source::Word(1),
            (Self::Exit, NUMBER) => Source::CallNumber,
            (Self::Exit, FIRST) => Source::Word(1),
            (Self::Enter, FIRST..) if offset.is_multiple_of(8) => {
                arch.call_argument((offset - FIRST) / 8).map_or(Source::Missing, Source::Register)
            }
            _ => Source::Missing,
        }
    }

    /// The name of the raw tracepoint.
    pub const fn event(self) -> &'static str {
        match self {
            Self::Enter => "sys_enter",
            Self::Exit => "sys_exit",
        }
    }
}

impl Checker<'_> {
    /// Argument with a number, if it is not where arguments usually are.
    pub(super) fn routed_argument(&mut self, number: u32, span: Span) -> Option<Expr> {
        match self.state.site.access.clone() {
            Access::Usual | Access::Registers => None,
            access => Some(self.argument_by(&access, number, span)),
        }
    }

    fn argument_by(&mut self, access: &Access, number: u32, span: Span) -> Expr {
        match access {
            Access::Usual | Access::Registers => self.register_argument(number, span),
            Access::Words(prototype) => match prototype.params.get(number as usize) {
                Some(param) if matches!(param.ty, Type::Pointer(..)) => {
                    Expr::new(Kind::Argument(Word::Typed(number)), Type::U64, span)
                }
                Some(_) => Expr::new(Kind::Argument(Word::Number(number)), Type::U64, span),
                None => self.error(span, format!("the function has only {} arguments", prototype.params.len())),
            },
            Access::Moved { name, args, inner } => match args.get(number as usize).copied().flatten() {
                Some(place) => self.argument_by(inner, place, span),
                None => self.error_with_help(
                    span,
                    format!("`{name}`, which this kernel has instead, does not have `arg{number}`"),
                    format!("name the function of this kernel and its arguments: `kprobe:{name}`"),
                ),
            },
            Access::Event(mapped) => {
                let source = mapped.args.get(number as usize).copied().unwrap_or(Source::Missing);
                let value = self.value_of_event(mapped, source, &format!("arg{number}"), span);
                // As in all functions: a number, of which only the script knows what it is.
                if matches!(value.ty, Type::Pointer(..)) { Expr { ty: Type::U64, ..value } } else { value }
            }
        }
    }

    /// The result of a function, if it is not where it usually is.
    pub(super) fn routed_result(&mut self, span: Span) -> Option<Expr> {
        let access = match &self.state.site.access {
            Access::Moved { inner, .. } => (**inner).clone(),
            access => access.clone(),
        };
        match access {
            Access::Usual | Access::Moved { .. } => None,
            Access::Words(_) => Some(Expr::new(Kind::Argument(Word::Result), Type::U64, span)),
            Access::Registers => {
                let register = self.env.arch.result().to_owned();
                let raw = Expr::new(Kind::Argument(Word::Register(register)), Type::U64, span);
                Some(match self.state.site.arguments.clone() {
                    Arguments::Words(prototype) => self.of_type(raw, prototype.result, span),
                    _ => raw,
                })
            }
            Access::Event(mapped) => Some(self.value_of_event(&mapped, mapped.result, "retval", span)),
        }
    }

    /// An argument by its name in a probe with registers instead of typed arguments, or with an event.
    pub(super) fn routed_named(&mut self, index: u32, ty: Type, span: Span) -> Option<Expr> {
        let raw = match self.state.site.access.clone() {
            Access::Registers => self.register_argument(index, span),
            Access::Event(mapped) => {
                let source = mapped.args.get(index as usize).copied().unwrap_or(Source::Missing);
                self.value_of_event(&mapped, source, "this argument", span)
            }
            _ => return None,
        };
        Some(self.of_type(raw, ty, span))
    }

    /// A word as a value of a type.
    fn of_type(&mut self, raw: Expr, ty: Type, span: Span) -> Expr {
        match ty.scalar() {
            Some((8, _)) => Expr { ty, ..raw },
            Some(_) => Expr::new(Kind::Convert(Box::new(raw)), ty, span),
            None => self.error(span, "a value of this type is not in a register"),
        }
    }

    /// A field of the record of a system call's tracepoint, if a raw tracepoint serves it.
    pub(super) fn routed_field(&mut self, member: &Member, span: Span) -> Option<Expr> {
        let Access::Event(mapped) = self.state.site.access.clone() else { return None };
        let source = mapped.call?.field(member.offset, self.env.arch);
        let raw = self.value_of_event(&mapped, source, &format!("`args.{}`", member.name), span);
        Some(self.of_type(raw, member.ty.clone(), span))
    }

    /// The function that is traced, if only an event tells about it.
    pub(super) fn routed_function(&mut self, span: Span) -> Option<Expr> {
        let Access::Event(mapped) = self.state.site.access.clone() else { return None };
        let ty = Type::Host(Shape::KernelSymbol);
        Some(match self.env.facts.kernel_symbol(&mapped.function) {
            Ok(address) => Expr::number(address.cast_signed(), ty, span),
            Err(why) => {
                let message = format!("`func` is not known where `{}` serves `{}`", mapped.what, mapped.instead_of);
                self.error_with_help(span, message, why)
            }
        })
    }

    /// When the program is to run at all; `None` if always.
    pub(super) fn routed_condition(&mut self, span: Span) -> Option<Expr> {
        let Access::Event(mapped) = self.state.site.access.clone() else { return None };
        let mut all: Option<Expr> = None;
        for list in &mapped.when {
            let mut any: Option<Expr> = None;
            for test in list {
                let value = self.value_of_event(&mapped, test.source, "its condition", span);
                let op = if test.equal { BinaryOp::Eq } else { BinaryOp::Ne };
                let wanted = Expr::number(test.value, Type::I64, span);
                let value = self.coerce(value, &Type::I64);
                let holds = Kind::Compare(op, Box::new(value), Box::new(wanted), true);
                let holds = Expr::new(holds, Type::Bool, span);
                any = Some(match any {
                    Some(other) => Expr::new(Kind::Or(Box::new(other), Box::new(holds)), Type::Bool, span),
                    None => holds,
                });
            }
            all = match (all, any) {
                (Some(all), Some(any)) => Some(Expr::new(Kind::And(Box::new(all), Box::new(any)), Type::Bool, span)),
                (all, any) => all.or(any),
            };
        }
        all
    }

    fn value_of_event(&mut self, mapped: &Mapped, source: Source, what: &str, span: Span) -> Expr {
        let missing = |checker: &mut Self| {
            checker.error_with_help(
                span,
                format!("`{}` serves `{}` on this kernel and does not tell {what}", mapped.what, mapped.instead_of),
                "a kernel with kprobes (CONFIG_KPROBES) or fentry has it; leave it out, or use the event's own fields",
            )
        };
        let first = || Expr::new(Kind::Argument(Word::Number(0)), Type::U64, span);
        let behind = |offset: u32, ty: Type| {
            let place =
                Place { base: Base::Address(Box::new(first()), Space::Kernel), offset, index: None, bits: None };
            Expr::new(Kind::Memory(place), ty, span)
        };
        match source {
            Source::Missing => missing(self),
            Source::Word(number) => Expr::new(Kind::Argument(Word::Number(number)), Type::U64, span),
            Source::Number(value) => Expr::number(value, Type::I64, span),
            Source::Register(name) => match self.env.arch.register(name) {
                Some(offset) => behind(offset, Type::U64),
                None => missing(self),
            },
            Source::CallNumber => {
                let (offset, bytes) = self.env.arch.call_number();
                behind(offset, Type::int(bytes, true))
            }
            Source::Field(field) => {
                let member = match self.state.site.arguments {
                    Arguments::Record(id) => self.types.member(id, field),
                    _ => None,
                };
                match member {
                    Some(member) if member.ty.scalar().is_some() => self.field_of_context(&member, span),
                    _ => missing(self),
                }
            }
        }
    }
}
