//! Statements that send records: `printf`, `print`, `exit` and their kin.

use std::sync::Arc;

use skep_diag::{Diagnostic, Span};

use super::Checker;
use super::formats::conversions;
use super::tree::{Expr, Kind, Request, StmtKind};
use crate::ast::{self, ExprKind, Name};
use crate::builtins::{Builtin, Row};
use crate::infer::KnownValue;
use crate::plan::{PrintTo, Shape};
use crate::types::{Space, Type};

impl Checker<'_> {
    /// A statement that sends a record.
    pub(super) fn action(
        &mut self,
        row: &'static Row,
        name: &Name,
        args: &[ast::Expr],
        span: Span,
    ) -> Option<StmtKind> {
        if !self.has_arguments(row, args, span) {
            return None;
        }
        use Builtin as B;
        match row.builtin {
            B::Printf => self.print_formatted(PrintTo::Output, args),
            B::Errorf => {
                let at = self.env.text.place(name.span);
                self.print_formatted(PrintTo::Error(at), args)
            }
            B::Warnf => {
                let at = self.env.text.place(name.span);
                self.print_formatted(PrintTo::Warning(at), args)
            }
            B::Cat => {
                let (format, args) = self.formatted(args)?;
                Some(StmtKind::Send(Request::Cat(format), args))
            }
            B::System => {
                let (format, args) = self.formatted(args)?;
                Some(StmtKind::Send(Request::System(format), args))
            }
            B::Print => self.print(args, span),
            B::Clear | B::Zero => self.clear(row, args),
            B::Time => {
                let format = match args.first() {
                    None => Arc::from("%H:%M:%S\n"),
                    Some(arg) => self.text_argument(arg)?,
                };
                Some(StmtKind::Send(Request::Time(format), Vec::new()))
            }
            B::Join => self.join(args),
            B::Exit => self.exit(args, span),
            B::Assert => self.assert(args, span),
            B::Debugf => self.debugf(args),
            _ => {
                self.error(span, format!("`{}` is no statement", row.name));
                None
            }
        }
    }

    /// `debugf`: the kernel itself formats, and knows fewer conversions.
    fn debugf(&mut self, args: &[ast::Expr]) -> Option<StmtKind> {
        let (format, values) = self.formatted(args)?;
        let found = conversions(&format).unwrap_or_default();
        for (conversion, value) in found.iter().zip(&values) {
            let text = &format[conversion.range.clone()];
            let known = matches!(&*conversion.letters, "d" | "i" | "u" | "x" | "c" | "p" | "s");
            let is_text = matches!(value.ty, Type::Text(_));
            if !known || (conversion.letters == "s") != is_text {
                self.error_with_help(
                    args[0].span,
                    format!("the kernel does not print a value of type {} with `{text}`", value.ty),
                    "it prints numbers with `%d %u %x %c %p` and their lengths, and texts with `%s`",
                );
                return None;
            }
        }
        Some(StmtKind::Debug(format, values))
    }

    /// An argument that must be a text which is written there.
    pub(super) fn text_argument(&mut self, arg: &ast::Expr) -> Option<Arc<str>> {
        let value = self.expr(arg);
        match value.kind {
            Kind::Text(text) => Some(text),
            _ if value.ty == Type::Unknown => None,
            _ => {
                self.error(arg.span, "this must be written here, as a text");
                None
            }
        }
    }

    fn print_formatted(&mut self, to: PrintTo, args: &[ast::Expr]) -> Option<StmtKind> {
        let (format, args) = self.formatted(args)?;
        Some(StmtKind::Send(Request::Print(to, format), args))
    }

    fn formatted(&mut self, args: &[ast::Expr]) -> Option<(Arc<str>, Vec<Expr>)> {
        let (first, rest) = args.split_first()?;
        let format = self.text_argument(first)?;
        let found = match conversions(&format) {
            Ok(found) => found,
            Err((range, why)) => {
                let part = &format[range];
                self.error(first.span, format!("{why}: `{part}`"));
                return None;
            }
        };
        if found.len() != rest.len() {
            let message = format!("the format has {} conversions, there are {} values", found.len(), rest.len());
            self.error(first.span, message);
            return None;
        }
        let mut values = Vec::new();
        for (conversion, arg) in found.iter().zip(rest) {
            let value = self.printed(arg)?;
            let number = matches!(&*conversion.letters, "d" | "i" | "u" | "o" | "x" | "X" | "c" | "p" | "gr");
            if number && value.ty.scalar().is_none() {
                let text = &format[conversion.range.clone()];
                self.error_with_help(
                    arg.span,
                    format!("`{text}` prints a number, this is of type {}", value.ty),
                    "`%s` prints any value",
                );
                return None;
            }
            if conversion.letters.starts_with('r') && !matches!(value.ty, Type::Host(Shape::Buffer(_))) {
                let text = &format[conversion.range.clone()];
                self.error(arg.span, format!("`{text}` prints a buffer, this is of type {}", value.ty));
                return None;
            }
            values.push(value);
        }
        Some((format, values))
    }

    /// A value that is going to be printed.
    fn printed(&mut self, arg: &ast::Expr) -> Option<Expr> {
        let value = self.expr(arg);
        match &value.ty {
            Type::Unknown => None,
            Type::Void => {
                self.error(arg.span, "this has no value");
                None
            }
            Type::Array(element, 0) => {
                let message = format!("the number of elements of `{element}[]` is not known");
                self.error_with_help(arg.span, message, "`buf(pointer, length)` takes so many bytes");
                None
            }
            _ => Some(value),
        }
    }

    fn print(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let first = args.first()?;
        match &first.node {
            ExprKind::Map(name) => {
                let map = self.map(name, first.span);
                let mut numbers = [0u64; 2];
                for (slot, arg) in numbers.iter_mut().zip(&args[1..]) {
                    let value = self.expr(arg);
                    match value.constant().and_then(|value| u64::try_from(value).ok()) {
                        Some(number) => *slot = number,
                        None if value.ty == Type::Unknown => {}
                        None => {
                            self.error(arg.span, "this must be a number that is known, and not negative");
                        }
                    }
                }
                let top = u32::try_from(numbers[0]).unwrap_or(u32::MAX);
                Some(StmtKind::Send(Request::Map(map, top, numbers[1]), Vec::new()))
            }
            ExprKind::Index { base, keys } if matches!(base.node, ExprKind::Map(_)) && args.len() == 1 => {
                let ExprKind::Map(name) = &base.node else { return None };
                let map = self.map(name, base.span);
                let mut key = self.key(map, keys, base.span);
                let plain = matches!(self.known.get(map).value, KnownValue::Plain(_));
                if plain {
                    let value = self.entry(map, key.clone(), first.span);
                    if value.ty == Type::Unknown {
                        return None;
                    }
                    key.push(value);
                }
                Some(StmtKind::Send(Request::Entry(map, plain), key))
            }
            _ if args.len() > 1 => {
                self.error_with_help(span, "only maps are printed in part", "write `print(@map, top, divisor)`");
                None
            }
            _ => {
                let value = self.printed(first)?;
                Some(StmtKind::Send(Request::Value, vec![value]))
            }
        }
    }

    fn clear(&mut self, row: &Row, args: &[ast::Expr]) -> Option<StmtKind> {
        let first = args.first()?;
        let ExprKind::Map(name) = &first.node else {
            self.error_with_help(
                first.span,
                format!("`{}` takes a whole map", row.name),
                "`delete(@map, key)` removes one entry",
            );
            return None;
        };
        let map = self.map(name, first.span);
        let request = if row.builtin == Builtin::Clear { Request::Clear(map) } else { Request::Zero(map) };
        Some(StmtKind::Send(request, Vec::new()))
    }

    fn join(&mut self, args: &[ast::Expr]) -> Option<StmtKind> {
        let separator = match args.get(1) {
            Some(arg) => self.text_argument(arg)?,
            None => " ".into(),
        };
        let first = args.first()?;
        let value = self.expr(first);
        let space = match &value.ty {
            Type::Unknown => return None,
            Type::Pointer(_, space) if *space != Space::Unknown => *space,
            Type::Pointer(..) | Type::Int { .. } => self.state.site.space(),
            other => {
                let message = format!("an array of texts is at an address, this is of type {other}");
                self.error(first.span, message);
                return None;
            }
        };
        let value = self.coerce(value, &Type::U64);
        Some(StmtKind::Send(Request::Join(separator, space), vec![value]))
    }

    fn exit(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let status = match args.first() {
            Some(arg) => {
                let value = self.expr(arg);
                self.number(value, "an exit status is")
            }
            None => Expr::number(0, Type::int(4, true), span),
        };
        let status = self.coerce(status, &Type::int(4, true));
        Some(StmtKind::Exit(status))
    }

    /// `assert(condition, message)`
    fn assert(&mut self, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        let first = args.first()?;
        let message = match args.get(1) {
            Some(arg) => self.text_argument(arg)?,
            None => "assertion failed".into(),
        };
        let cond = self.expr(first);
        let cond = self.condition(cond);
        let to = PrintTo::Error(self.env.text.place(span));
        let format: Arc<str> = format!("{}\n", message.replace('%', "%%")).into();
        let print = super::Stmt { kind: StmtKind::Send(Request::Print(to, format), Vec::new()), span };
        let status = Expr::number(1, Type::int(4, true), span);
        let end = super::Stmt { kind: StmtKind::Exit(status), span };
        Some(StmtKind::If(cond, Vec::new(), vec![print, end]))
    }

    /// A statement that only matters while the script is compiled.
    pub(super) fn compile_time(&mut self, row: &'static Row, args: &[ast::Expr], span: Span) -> Option<StmtKind> {
        if !self.has_arguments(row, args, span) {
            return None;
        }
        match row.builtin {
            Builtin::Fail => {
                let message = self.constant_message(args)?;
                self.problems.push(Diagnostic::error(span, message));
            }
            Builtin::StaticAssert => {
                let value = self.expr(args.first()?);
                let message = match args.get(1) {
                    Some(arg) => self.text_argument(arg)?.to_string(),
                    None => "this does not hold".to_owned(),
                };
                match value.constant() {
                    Some(0) => {
                        self.error(span, message);
                    }
                    Some(_) => {}
                    None if value.ty == Type::Unknown => {}
                    None => {
                        self.error(value.span, "this is not known while the script is compiled");
                    }
                }
            }
            _ => {
                let value = self.expr(&ast::Spanned::new(
                    ExprKind::Call { name: ast::Spanned::new(row.name.into(), span), args: args.to_vec() },
                    span,
                ));
                self.warn(span, "nothing is done with this value", "");
                return Some(StmtKind::Expr(value));
            }
        }
        None
    }
}
