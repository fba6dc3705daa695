//! Builtin values.

use std::sync::Arc;

use skep_diag::Span;

use super::access::word;
use super::expr::literal;
use super::tree::{Call, Expr, Kind, Word};
use super::{Arguments, Checker};
use crate::ast;
use crate::builtins::{Builtin, Role};
use crate::plan::{Shape, StackMode};
use crate::providers::{Data, Kind as ProviderKind};
use crate::types::{Space, Tag, Type};

/// `bpf_ktime_get_ns`
pub const KTIME_GET_NS: u32 = 5;
/// `bpf_ktime_get_boot_ns`
pub const KTIME_GET_BOOT_NS: u32 = 125;
/// `bpf_ktime_get_tai_ns`
pub const KTIME_GET_TAI_NS: u32 = 208;

impl Checker<'_> {
    /// The builtin value with a name, if it is one.
    pub(super) fn value(&mut self, name: &Arc<str>, span: Span) -> Option<Expr> {
        let bare = name.strip_prefix("__builtin_").unwrap_or(name);
        if let Some(number) = bare.strip_prefix("sarg").and_then(|digits| digits.parse::<u32>().ok()) {
            return Some(self.stack_argument(number, span));
        }
        if let Some(number) = bare.strip_prefix("arg").and_then(|digits| digits.parse::<u32>().ok()) {
            return Some(self.numbered_argument(number, span));
        }
        let row = self.builtin(name).filter(|row| row.role == Role::Value)?;
        if let Some(needed) = row.needs.filter(|&needed| !self.state.site.has(needed)) {
            return Some(self.not_here(row.name, needed, span));
        }
        let plain = |ty| Some(Expr::new(Kind::Builtin(Call::Value(row.builtin)), ty, span));
        use Builtin as B;
        match row.builtin {
            B::Pid | B::Tid | B::Uid | B::Gid | B::Cpu | B::Rand | B::Numaid | B::Cpid => plain(Type::U32),
            B::Ppid => Some(self.parent(span)),
            B::Pcomm => Some(self.of_task("pcomm", &["real_parent", "comm"], span)),
            B::LeaderComm => Some(self.of_task("leader_comm", &["group_leader", "comm"], span)),
            B::LeaderTid => {
                let leader = self.of_task("leader_tid", &["group_leader", "pid"], span);
                Some(self.coerce(leader, &Type::U32))
            }
            B::Cgroup | B::Elapsed | B::Jiffies | B::Ncpus => plain(Type::U64),
            B::Nsecs => Some(clock(KTIME_GET_BOOT_NS, span)),
            B::HasCpid => plain(Type::Bool),
            B::Usermode => match self.env.arch {
                crate::registers::Arch::X86_64 => plain(Type::Bool),
                crate::registers::Arch::Aarch64 => Some(self.error(span, "`usermode` is only available on x86-64")),
            },
            B::Comm => plain(Type::Text(16)),
            B::Username => plain(Type::Host(Shape::User)),
            B::Curtask => {
                let task = self.types.find(Tag::Struct, "task_struct").unwrap_or(Type::Void);
                plain(task.pointer(Space::Kernel))
            }
            B::Ctx => {
                let regs = self.types.find(Tag::Struct, "pt_regs").unwrap_or(Type::Void);
                plain(regs.pointer(Space::Kernel))
            }
            B::Func => {
                if let Some(routed) = self.routed_function(span) {
                    return Some(routed);
                }
                let user = matches!(
                    self.state.site.provider.map(|provider| provider.kind),
                    Some(ProviderKind::Uprobe | ProviderKind::Uretprobe)
                );
                // A process may have ended before its symbols are looked up; the name in the probe stays.
                if let Some(name) = user.then(|| self.named_function()).flatten() {
                    self.state.depends = true;
                    return Some(literal(&name, span));
                }
                plain(Type::Host(if user { Shape::UserSymbol } else { Shape::KernelSymbol }))
            }
            B::Retval => Some(self.retval(span)),
            B::Probe => {
                self.state.depends = true;
                let name = self.state.site.name.clone();
                Some(literal(&name, span))
            }
            B::Config => {
                let (names, values): (Vec<_>, Vec<Expr>) = self
                    .settings
                    .values()
                    .into_iter()
                    .map(|(name, value)| (Arc::from(name), setting(&value, span)))
                    .unzip();
                let types = names.into_iter().zip(values.iter().map(|value| value.ty.clone())).collect();
                Some(Expr::new(Kind::Tuple(values), Type::Record(types), span))
            }
            B::Probetype => {
                let name = self.state.site.provider.map_or("", |provider| provider.name);
                Some(literal(name, span))
            }
            B::Kstack => Some(self.stack(true, None, None, span)),
            B::Ustack => Some(self.stack(false, None, None, span)),
            B::DwUstack => Some(self.unwound_stack(None, None, span)),
            B::Args => Some(self.error_with_help(
                span,
                "`args` as a whole has no value",
                "write `args.NAME`; `skep list -v` shows the names",
            )),
            _ => None,
        }
    }

    /// `curtask->real_parent->tgid`
    fn parent(&mut self, span: Span) -> Expr {
        let parent = self.of_task("ppid", &["real_parent", "tgid"], span);
        self.coerce(parent, &Type::U32)
    }

    /// The function in the name of a user probe: `uprobe:binary:function+16`.
    fn named_function(&self) -> Option<String> {
        let name = self.state.site.name.rsplit(':').next()?.split('+').next()?;
        (!name.is_empty() && !name.starts_with("0x")).then(|| name.trim_matches('"').to_owned())
    }

    /// Reports that a value does not exist at this type of probe.
    pub(super) fn not_here(&mut self, name: &str, needed: Data, span: Span) -> Expr {
        let message = format!("there is no `{name}` in {}", self.site_name());
        let with: Vec<&str> = crate::providers::PROVIDERS
            .iter()
            .filter(|provider| provider.has(needed))
            .map(|provider| provider.name)
            .collect();
        self.error_with_help(span, message, format!("it exists in {} probes", with.join(", ")))
    }

    fn numbered_argument(&mut self, number: u32, span: Span) -> Expr {
        if !self.state.site.has(Data::ArgN) {
            return self.not_here(&format!("arg{number}"), Data::ArgN, span);
        }
        if let Some(routed) = self.routed_argument(number, span) {
            return routed;
        }
        match self.state.site.provider.map(|provider| provider.kind) {
            Some(ProviderKind::RawTracepoint) => Expr::new(Kind::Argument(Word::Number(number)), Type::U64, span),
            Some(ProviderKind::Usdt) => self.usdt_argument(number, span),
            _ => self.register_argument(number, span),
        }
    }

    /// An argument of a function, in a register or on the stack.
    pub(super) fn register_argument(&mut self, number: u32, span: Span) -> Expr {
        let arch = self.env.arch;
        let word = match arch.argument(number) {
            Some(register) => Word::Register(register.to_owned()),
            None => Word::StackWord(number - arch.register_arguments() + arch.first_stack_word()),
        };
        Expr::new(Kind::Argument(word), Type::U64, span)
    }

    fn stack_argument(&mut self, number: u32, span: Span) -> Expr {
        if !self.state.site.has(Data::ArgN)
            || self.state.site.provider.is_none_or(|p| p.kind == ProviderKind::RawTracepoint)
        {
            return self.not_here(&format!("sarg{number}"), Data::Reg, span);
        }
        let word = Word::StackWord(number.saturating_add(self.env.arch.first_stack_word()));
        Expr::new(Kind::Argument(word), Type::U64, span)
    }

    fn retval(&mut self, span: Span) -> Expr {
        if let Arguments::Function { binary, function } = self.state.site.arguments.clone() {
            self.state.depends |= self.types.source().user_function(binary.as_deref(), &function).is_ok();
            return self.user_result(binary.as_deref(), &function, span);
        }
        if let Some(routed) = self.routed_result(span) {
            return routed;
        }
        if self.state.site.provider.is_none_or(|provider| provider.kind != ProviderKind::Fexit) {
            let register = self.env.arch.result().to_owned();
            return Expr::new(Kind::Argument(Word::Register(register)), Type::U64, span);
        }
        self.state.depends = true;
        match self.state.site.arguments.clone() {
            Arguments::Words(prototype) if prototype.result == Type::Void => {
                self.error(span, "the function returns nothing")
            }
            Arguments::Words(prototype) => {
                let number = u32::try_from(prototype.params.len()).unwrap_or(u32::MAX);
                word(number, prototype.result, span)
            }
            Arguments::None(why) => self.error_with_help(span, "the type of the result is not known", why),
            _ => self.error(span, "the type of the result is not known"),
        }
    }

    /// A stack trace.
    pub(super) fn stack(&self, kernel: bool, mode: Option<StackMode>, limit: Option<u32>, span: Span) -> Expr {
        let mode = mode.unwrap_or(self.settings.stack_mode);
        let limit = limit.unwrap_or(crate::plan::StackKey::MAX_FRAMES);
        Expr::new(Kind::Builtin(Call::Stack), Type::Host(Shape::Stack { kernel, dwarf: false, mode, limit }), span)
    }

    /// A stack trace that the host finds in a copy of the stack.
    pub(super) fn unwound_stack(&mut self, mode: Option<StackMode>, limit: Option<u32>, span: Span) -> Expr {
        if self.env.arch != crate::registers::Arch::X86_64 {
            return self.error_with_help(
                span,
                "`dw_ustack` is only available on x86-64",
                "`ustack` follows frame pointers",
            );
        }
        // The kernel's types list the helpers that it has.
        if self.types.enumerator("BPF_FUNC_loop").is_none() {
            return self.error_with_help(
                span,
                "programs of this kernel cannot copy the stack of the process",
                "`dw_ustack` needs Linux 5.17; `ustack` follows frame pointers",
            );
        }
        let mode = mode.unwrap_or(match self.settings.stack_mode {
            StackMode::BuildId => StackMode::Bpftrace,
            mode => mode,
        });
        let limit = limit.unwrap_or(crate::plan::StackKey::MAX_FRAMES);
        let field = |checker: &mut Self, name: &str| {
            let value = checker.of_task("dw_ustack", &["mm", name], span);
            checker.coerce(value, &Type::U64)
        };
        let code = [field(self, "start_code"), field(self, "end_code"), field(self, "mmap_base")];
        if let Some(unknown) = code.iter().find(|value| value.ty == Type::Unknown) {
            return unknown.clone();
        }
        let shape = Shape::Stack { kernel: false, dwarf: true, mode, limit };
        Expr::new(Kind::Builtin(Call::Unwind(Box::new(code))), Type::Host(shape), span)
    }
}

/// The value of a setting.
fn setting(value: &ast::Setting, span: Span) -> Expr {
    match value {
        ast::Setting::Bool(value) => Expr::number((*value).into(), Type::Bool, span),
        ast::Setting::Int(number) => Expr::number(i64::try_from(*number).unwrap_or(i64::MAX), Type::I64, span),
        ast::Setting::Text(text) => literal(text, span),
    }
}

/// `name.a.b`
pub(super) fn named(name: &str, way: &[&str], span: Span) -> ast::Expr {
    let node = |kind| ast::Spanned::new(kind, span);
    way.iter().fold(node(ast::ExprKind::Ident(name.into())), |base, field| {
        node(ast::ExprKind::Field { base: Box::new(base), field: ast::Spanned::new((*field).into(), span) })
    })
}

/// Nanoseconds of the clock that a helper reads.
pub(super) const fn clock(helper: u32, span: Span) -> Expr {
    Expr::new(Kind::Builtin(Call::Clock(helper)), Type::U64, span)
}
