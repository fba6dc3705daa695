//! Calls of functions with a value.

use std::sync::Arc;

use skep_diag::Span;

use super::tree::{Base, Call, Expr, Kind, Place, Stmt, StmtKind};
use super::values::{KTIME_GET_BOOT_NS, KTIME_GET_NS, KTIME_GET_TAI_NS, clock};
use super::{Checker, expr::literal};
use crate::ast::{self, ExprKind, Name};
use crate::builtins::{self, Builtin, Role, Row};
use crate::infer::KnownValue;
use crate::plan::{Shape, StackKey, StackMode};
use crate::settings::stack_mode;
use crate::types::{Space, Type};

/// `bpf_send_signal`
const SEND_SIGNAL: u32 = 109;
/// `bpf_send_signal_thread`
const SEND_SIGNAL_THREAD: u32 = 117;

impl Checker<'_> {
    /// A call that is used as a value.
    pub(super) fn call(&mut self, name: &Name, args: &[ast::Expr], span: Span) -> Expr {
        if let Some(index) = self.functions.iter().position(|function| function.name == name.node) {
            return self.call_function(index, args, span);
        }
        let Some(row) = self.builtin(&name.node) else {
            let known: Vec<Arc<str>> = self.functions.iter().map(|function| function.name.clone()).collect();
            let known: Vec<&str> =
                builtins::BUILTINS.iter().map(|row| row.name).chain(known.iter().map(|name| &**name)).collect();
            return self.not_a_name(name, "the function", &known);
        };
        if !self.has_arguments(row, args, span) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        match row.role {
            Role::Aggregate => self.error_with_help(
                span,
                format!("`{}` is assigned to a map and has no value of its own", row.name),
                format!("write `{}`", row.signature),
            ),
            Role::Action => self.error(span, format!("`{}` has no value: it is a statement", row.name)),
            Role::Constant => self.constant_call(row, args, span),
            Role::Value => match (row.builtin, args) {
                (_, []) => {
                    self.value(&Arc::from(row.name), span).unwrap_or_else(|| Expr::number(0, Type::Unknown, span))
                }
                _ => self.value_with_arguments(row, args, span),
            },
            Role::Function => self.function_call(row, args, span),
        }
    }

    /// Checks the number of arguments, the probe type and whether the builtin is allowed.
    pub(super) fn has_arguments(&mut self, row: &'static Row, args: &[ast::Expr], span: Span) -> bool {
        let (least, most) = row.args;
        if args.len() < least || args.len() > most {
            let count = match (least, most) {
                (a, b) if a == b => format!("{a}"),
                (a, 127) => format!("at least {a}"),
                (a, b) => format!("{a} to {b}"),
            };
            let message = format!("`{}` takes {count} arguments, not {}", row.name, args.len());
            self.error_with_help(span, message, format!("write `{}`", row.signature));
            return false;
        }
        if row.dangerous && !self.env.allow_unsafe {
            self.error_with_help(span, format!("`{}` changes what is traced", row.name), "`--unsafe` allows it");
            return false;
        }
        if let Some(needed) = row.needs.filter(|&needed| !self.state.site.has(needed)) {
            self.not_here(row.name, needed, span);
            return false;
        }
        true
    }

    /// `nsecs(clock)`, `kstack(mode, limit)`, `pid(namespace)`
    fn value_with_arguments(&mut self, row: &Row, args: &[ast::Expr], span: Span) -> Expr {
        let word = |arg: &ast::Expr| match &arg.node {
            ExprKind::Ident(word) => Some(word.clone()),
            ExprKind::Text(word) => Some(word.clone()),
            _ => None,
        };
        match row.builtin {
            Builtin::Nsecs => match word(&args[0]).as_deref() {
                Some("boot") => clock(KTIME_GET_BOOT_NS, span),
                Some("monotonic") => clock(KTIME_GET_NS, span),
                Some("tai") => clock(KTIME_GET_TAI_NS, span),
                Some("sw_tai") => builtin(Call::SoftTai, Type::U64, span),
                _ => self.error_with_help(
                    args[0].span,
                    "there is no such clock",
                    "boot, monotonic, tai and sw_tai can be read",
                ),
            },
            Builtin::Kstack | Builtin::Ustack | Builtin::DwUstack => {
                let (mut mode, mut limit) = (None, None);
                for arg in args {
                    if let Some(named) = word(arg).and_then(|word| stack_mode(&word)) {
                        mode = Some(named);
                        continue;
                    }
                    let value = self.expr(arg);
                    let frames = value.constant().and_then(|value| u32::try_from(value).ok());
                    match frames.filter(|frames| (1..=StackKey::MAX_FRAMES).contains(frames)) {
                        Some(frames) => limit = Some(frames),
                        None => {
                            return self.error_with_help(
                                arg.span,
                                "this is neither a way of printing stack traces nor a number of frames",
                                "the ways are bpftrace, perf, raw and build_id; the number is from 1 to 127",
                            );
                        }
                    }
                }
                if mode == Some(StackMode::BuildId) && row.builtin == Builtin::Kstack {
                    return self.error(span, "the kernel's stack traces have no build ids");
                }
                if row.builtin == Builtin::DwUstack {
                    if mode == Some(StackMode::BuildId) {
                        return self.error_with_help(
                            span,
                            "stack traces that are unwound have no build ids",
                            "`ustack(build_id)` has them; `dw_ustack(perf)` prints files",
                        );
                    }
                    return self.unwound_stack(mode, limit, span);
                }
                self.stack(row.builtin == Builtin::Kstack, mode, limit, span)
            }
            Builtin::Pid | Builtin::Tid => match word(&args[0]).as_deref() {
                Some("init" | "curr_ns") => Expr::new(Kind::Builtin(Call::Value(row.builtin)), Type::U32, span),
                _ => self.error_with_help(args[0].span, "there is no such namespace", "`init` and `curr_ns` are"),
            },
            Builtin::Comm => self.name_of(&args[0], span),
            _ => self.error(span, format!("`{}` takes no arguments", row.name)),
        }
    }

    fn function_call(&mut self, row: &'static Row, args: &[ast::Expr], span: Span) -> Expr {
        use Builtin as B;
        match row.builtin {
            B::Find => return self.find(args, span),
            B::ContainerOf => return self.container_of(args, span),
            B::PercpuKaddr => return self.percpu_kaddr(args, span),
            B::Skboutput => return self.skboutput(args, span),
            B::Delete | B::HasKey | B::Len => return self.map_function(row, args, span),
            B::Strftime => return self.strftime(args, span),
            B::Reg => return self.register(args, span),
            B::Uaddr => {
                return match self.text_argument(&args[0]) {
                    Some(name) => self.user_address(&name, span),
                    None => Expr::number(0, Type::Unknown, span),
                };
            }
            B::CgroupPath => return self.cgroup_path(args, span),
            B::Signal | B::SignalThread => return self.signal(row, args, span),
            B::Str if self.positional_text(&args[0]).is_some() => {
                let text = self.positional_text(&args[0]).unwrap_or_default();
                return literal(&text, span);
            }
            _ => {}
        }
        let mut values: Vec<Expr> = args.iter().map(|arg| self.expr(arg)).collect();
        if values.iter().any(|value| value.ty == Type::Unknown) {
            return Expr::new(Kind::Int(0), Type::Unknown, span);
        }
        let last = values.pop().unwrap_or_else(|| Expr::number(0, Type::Unknown, span));
        match row.builtin {
            B::Str => self.str(values, last, span),
            B::Buf => self.buf(values, last, span),
            B::Ntop => self.ntop(values, last, span),
            B::Macaddr => {
                if self.types.size_and_align(&last.ty).0 < 6 || last.ty.scalar().is_some() {
                    return self.error(last.span, format!("a value of type {} has no 6 bytes", last.ty));
                }
                builtin(Call::Raw(Box::new(last)), Type::Host(Shape::Mac), span)
            }
            B::Ksym => self.as_shape(last, Shape::KernelSymbol, &Type::U64, span),
            B::SyscallName => self.as_shape(last, Shape::SyscallName, &Type::U64, span),
            B::Strerror => self.as_shape(last, Shape::ErrorText, &Type::int(4, true), span),
            B::SignalName => self.as_shape(last, Shape::SignalName, &Type::int(4, true), span),
            B::Usym => {
                let address = self.number(last, "an address is");
                let address = self.coerce(address, &Type::U64);
                builtin(Call::UserSymbol(Box::new(address)), Type::Host(Shape::UserSymbol), span)
            }
            B::Kptr | B::Uptr => {
                let space = if row.builtin == B::Kptr { Space::Kernel } else { Space::User };
                match last.ty.clone() {
                    Type::Pointer(to, _) => Expr { ty: Type::Pointer(to, space), ..last },
                    Type::Int { .. } => {
                        let value = self.coerce(last, &Type::U64);
                        Expr { ty: Type::Void.pointer(space), ..value }
                    }
                    other => self.error(span, format!("a value of type {other} is no pointer")),
                }
            }
            B::Bswap => match last.ty {
                Type::Int { bytes, .. } => {
                    let ty = Type::int(bytes, false);
                    builtin(Call::Swap(Box::new(last)), ty, span)
                }
                _ => self.error(span, format!("a value of type {} has no order of bytes", last.ty)),
            },
            B::Strlen => match &last.ty {
                Type::Text(_) => builtin(Call::Length(Box::new(last)), Type::U64, span),
                other => {
                    let message = format!("a value of type {other} is no text");
                    self.error(span, message)
                }
            },
            B::Strncmp => self.strncmp(values, last, span),
            B::Strcontains => self.strcontains(values, last, span),
            B::Override => {
                let value = self.number(last, "the value is");
                let value = self.coerce(value, &Type::U64);
                builtin(Call::Override(Box::new(value)), Type::Void, span)
            }
            B::Strstr => self.strstr(values, last, span),
            B::StrConcat => self.str_concat(values, last, span),
            B::Memcmp => self.memcmp(values, last, span),
            B::IsErr => self.is_err(last, span),
            B::Path => self.path(values, last, span),
            B::SocketCookie => self.socket_cookie(last, span),
            B::WriteUser => self.write_user(values, last, span),
            _ => self.error(span, format!("`{}` is no function", row.name)),
        }
    }

    fn as_shape(&mut self, value: Expr, shape: Shape, through: &Type, span: Span) -> Expr {
        let value = self.number(value, "it is made from");
        let value = self.coerce(value, through);
        builtin(Call::As(Box::new(value)), Type::Host(shape), span)
    }

    fn map_function(&mut self, row: &Row, args: &[ast::Expr], span: Span) -> Expr {
        let (name, keys, at) = match (&args[0].node, &args[1..]) {
            (ExprKind::Map(name), keys) => (name.clone(), keys.to_vec(), args[0].span),
            // The older form: delete(@m[k])
            (ExprKind::Index { base, keys }, []) if matches!(base.node, ExprKind::Map(_)) => match &base.node {
                ExprKind::Map(name) => (name.clone(), keys.clone(), base.span),
                _ => return self.error(args[0].span, "this is no map"),
            },
            _ if row.builtin == Builtin::Len => {
                let value = self.expr(&args[0]);
                return match &value.ty {
                    Type::Unknown => value,
                    Type::Host(Shape::Stack { dwarf: true, .. }) => self.error_with_help(
                        span,
                        "how many frames `dw_ustack` has is not known before it is printed",
                        "`len(ustack)` counts those that frame pointers lead to",
                    ),
                    Type::Host(Shape::Stack { .. }) => builtin(Call::Frames(Box::new(value)), Type::U64, span),
                    Type::Array(_, count) => Expr::number((*count).into(), Type::U64, span),
                    other => {
                        let message = format!("a value of type {other} has no number of entries or frames");
                        self.error(span, message)
                    }
                };
            }
            _ => return self.error(args[0].span, format!("`{}` takes a map", row.name)),
        };
        let map = self.map(&name, at);
        if matches!(&self.known.get(map).value, KnownValue::Aggregate(held) if held.is_spread()) {
            let most = crate::plan::MapValue::INTERVALS_AT_ONCE;
            return self.error_with_help(
                at,
                format!("a series with more than {most} intervals is kept in pieces"),
                "it can be printed and cleared as a whole",
            );
        }
        if row.builtin == Builtin::Len {
            return builtin(Call::Entries(map), Type::U64, span);
        }
        let key = self.key(map, &keys, at);
        let call = if row.builtin == Builtin::Delete { Call::Delete(map, key) } else { Call::Has(map, key) };
        builtin(call, Type::Bool, span)
    }

    /// `find(@map, key, $value)`: the variable exists from here on.
    fn find(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let ExprKind::Map(name) = &args[0].node else { return self.error(args[0].span, "`find` takes a map") };
        let ExprKind::Variable(out) = &args[2].node else {
            return self.error(args[2].span, "what the entry holds goes into a variable: `find(@map, key, $value)`");
        };
        let map = self.map(name, args[0].span);
        let key = self.key(map, std::slice::from_ref(&args[1]), args[0].span);
        let entry = self.entry(map, key.clone(), args[0].span);
        let var = match self.lookup(out) {
            Some(var) => var,
            None => self.declare(out),
        };
        let entry = Expr { span: args[2].span, ..entry };
        let value = self.learn_var(var, out, entry);
        if value.ty == Type::Unknown {
            return value;
        }
        builtin(Call::Find(map, key, var), Type::Bool, span)
    }

    fn strftime(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let ExprKind::Text(format) = &args[0].node else {
            return self.error(args[0].span, "the format must be written here, as a text");
        };
        let value = self.expr(&args[1]);
        let value = self.number(value, "a time is");
        let value = self.coerce(value, &Type::U64);
        builtin(Call::As(Box::new(value)), Type::Host(Shape::Time(format.clone())), span)
    }

    fn register(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let ExprKind::Text(name) = &args[0].node else {
            return self.error(args[0].span, "the name of the register must be written here, as a text");
        };
        if self.env.arch.register(name).is_none() {
            let names = self.env.arch.names();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return self.not_a_name(&Name::new(name.clone(), args[0].span), "the register", &names);
        }
        builtin(Call::Register(name.to_string()), Type::U64, span)
    }

    fn cgroup_path(&mut self, args: &[ast::Expr], span: Span) -> Expr {
        let pattern: Arc<str> = match args.get(1).map(|arg| (&arg.node, arg.span)) {
            None => "".into(),
            Some((ExprKind::Text(pattern), _)) => pattern.clone(),
            Some((_, at)) => return self.error(at, "the pattern must be written here, as a text"),
        };
        let id = self.expr(&args[0]);
        self.as_shape(id, Shape::CgroupPath(pattern), &Type::U64, span)
    }

    fn signal(&mut self, row: &Row, args: &[ast::Expr], span: Span) -> Expr {
        let number = match &args[0].node {
            ExprKind::Text(name) => match signal_number(name) {
                Some(number) => Expr::number(number, Type::U32, args[0].span),
                None => return self.error(args[0].span, format!("there is no signal `{name}`")),
            },
            _ => {
                let value = self.expr(&args[0]);
                let value = self.number(value, "a signal is");
                self.coerce(value, &Type::U32)
            }
        };
        let helper = if row.builtin == Builtin::Signal { SEND_SIGNAL } else { SEND_SIGNAL_THREAD };
        builtin(Call::Signal(helper, Box::new(number)), Type::Void, span)
    }

    /// The address that `str` and `buf` read from, with its space; `None` for a value that is there already.
    fn source(&self, value: &Expr) -> Option<(Expr, Space)> {
        let default = self.state.site.space();
        match &value.ty {
            Type::Pointer(_, space) => Some((value.clone(), if *space == Space::Unknown { default } else { *space })),
            Type::Int { .. } => Some((value.clone(), default)),
            Type::Text(_) | Type::Array(..) | Type::Composite(_) => match &value.kind {
                Kind::Memory(Place { base: Base::Address(_, space), bits: None, .. }) => {
                    let ty = Type::Void.pointer(*space);
                    let address = Expr::new(Kind::Address(Box::new(value.clone()), 0), ty, value.span);
                    Some((address, *space))
                }
                Kind::Memory(Place { base: Base::Context, bits: None, .. }) => {
                    let ty = Type::Void.pointer(Space::Kernel);
                    Some((Expr::new(Kind::Address(Box::new(value.clone()), 0), ty, value.span), Space::Kernel))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// The address of a value that has none, in a variable without a name.
    fn kept(&mut self, value: &Expr) -> Option<(Expr, Space)> {
        if value.ty.scalar().is_some() || matches!(value.ty, Type::Unknown | Type::Void | Type::Host(_)) {
            return None;
        }
        let span = value.span;
        let var = self.declare_unnamed(span);
        let value = self.learn_var(var, "the value", value.clone());
        let set = Stmt { kind: StmtKind::SetVar(var, value), span };
        let ty = Type::Void.pointer(Space::Kernel);
        let address = Expr::new(Kind::VarAddress(var), ty.clone(), span);
        Some((Expr::new(Kind::Block(vec![set], Box::new(address)), ty, span), Space::Kernel))
    }

    fn str(&mut self, mut rest: Vec<Expr>, last: Expr, span: Span) -> Expr {
        let (pointer, len) = match rest.pop() {
            Some(pointer) => (pointer, Some(last)),
            None => (last, None),
        };
        if matches!(pointer.ty, Type::Text(_)) && len.is_none() {
            return pointer;
        }
        let Some((address, space)) = self.source(&pointer).or_else(|| self.kept(&pointer)) else {
            let message = format!("there is no text at a value of type {}", pointer.ty);
            return self.error(pointer.span, message);
        };
        let most = self.settings.max_strlen;
        let len = len.map(|len| self.number(len, "a length is"));
        // One byte more, for the zero.
        let known = len.as_ref().and_then(Expr::constant).map(|len| u32::try_from(len.saturating_add(1)).unwrap_or(0));
        let (bytes, len) = match (known, len) {
            (Some(known), _) if known > 0 => {
                if known > most {
                    self.warn(
                        span,
                        format!("the text is cut at {most} bytes"),
                        "`config = { max_strlen = ...; }` sets a larger limit",
                    );
                }
                (known.min(most), None)
            }
            (Some(_), _) => return self.error(span, "a length is not negative"),
            (None, len) => {
                let natural = match &pointer.ty {
                    Type::Array(_, count) if *count > 0 => (*count).min(most),
                    _ => most,
                };
                (natural, len.map(|len| Box::new(self.coerce(len, &Type::U64))))
            }
        };
        builtin(Call::Str(Box::new(address), len, space), Type::Text(bytes), span)
    }

    fn buf(&mut self, mut rest: Vec<Expr>, last: Expr, span: Span) -> Expr {
        let (pointer, len) = match rest.pop() {
            Some(pointer) => (pointer, Some(self.number(last, "a length is"))),
            None => (last, None),
        };
        let most = self.settings.max_strlen;
        let whole = self.types.size_and_align(&pointer.ty).0;
        let is_value = pointer.ty.scalar().is_none();
        let Some((address, space)) = self.source(&pointer).or_else(|| self.kept(&pointer)) else {
            return self.error(pointer.span, format!("there are no bytes at a value of type {}", pointer.ty));
        };
        let known = len.as_ref().and_then(Expr::constant).map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        let (bytes, len) = match (known, len) {
            (Some(known), _) => (known.min(most), None),
            (None, Some(len)) => (most, Some(Box::new(self.coerce(len, &Type::U64)))),
            (None, None) if is_value && whole > 0 => (whole.min(most), None),
            (None, None) => {
                return self.error_with_help(span, "the number of bytes is not known", "write `buf(pointer, length)`");
            }
        };
        if bytes == 0 {
            return self.error(span, "a buffer has at least one byte");
        }
        builtin(Call::Buf(Box::new(address), len, space), Type::Host(Shape::Buffer(bytes)), span)
    }

    fn ntop(&mut self, mut rest: Vec<Expr>, address: Expr, span: Span) -> Expr {
        let family = rest.pop().map(|family| {
            let family = self.number(family, "an address family is");
            Box::new(self.coerce(family, &Type::U32))
        });
        let bytes = self.types.size_and_align(&address.ty).0;
        let fits = matches!(
            (&address.ty, bytes),
            (Type::Int { .. }, _) | (Type::Array(..) | Type::Text(_) | Type::Composite(_), 4 | 16)
        );
        if !fits {
            return self.error_with_help(
                address.span,
                format!("a value of type {} is no address of the network", address.ty),
                "it is a number, or has 4 or 16 bytes",
            );
        }
        builtin(Call::Inet(family, Box::new(address)), Type::Host(Shape::Inet), span)
    }
}

pub(super) fn builtin(call: Call, ty: Type, span: Span) -> Expr {
    Expr::new(Kind::Builtin(call), ty, span)
}

// TABLE
/// Signals and their numbers on x86-64 and AArch64 (`signal(7)`).
const SIGNALS: &[&str] = &[
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

fn signal_number(name: &str) -> Option<i64> {
    let upper = name.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let position = SIGNALS.iter().position(|signal| *signal == name)?;
    i64::try_from(position + 1).ok()
}
