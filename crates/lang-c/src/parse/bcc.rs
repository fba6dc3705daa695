//! What the dialect of BCC adds to the grammar: methods of maps, sections that follow from names and contexts, and
//! parameters of probed functions behind the context.

use std::rc::Rc;

use skep_isa::{ProgType, helpers};

use super::ast::{Expr, ExprKind, FuncId, Init, InitEntry, Stmt, StmtKind, Storage, VarId};
use super::{Parsed, Parser};
use crate::source::{Diag, Loc, Sym};
use crate::types::{FuncTy, IntTy, Kind, QTy, Types};

// TABLE
/// What names of programs begin with, and the sections that this stands for.
const PREFIXES: &[(&str, &str)] = &[
    ("kprobe__", "kprobe"),
    ("kretprobe__", "kretprobe"),
    ("syscall__", "ksyscall"),
    ("tracepoint__", "tracepoint"),
    ("raw_tracepoint__", "raw_tp"),
    ("kfunc__", "fentry"),
    ("kretfunc__", "fexit"),
    ("lsm__", "lsm"),
    ("kmod_ret__", "fmod_ret"),
    ("bpf_iter__", "iter"),
];

// TABLE
/// Contexts of programs whose names say nothing, and their sections.
const CONTEXTS: &[(&str, &str)] = &[
    ("pt_regs", "kprobe"),
    ("__sk_buff", "socket"),
    ("xdp_md", "xdp"),
    ("bpf_perf_event_data", "perf_event"),
    ("bpf_raw_tracepoint_args", "raw_tp"),
    ("bpf_sock_ops", "sockops"),
    ("sk_msg_md", "sk_msg"),
    ("bpf_cgroup_dev_ctx", "cgroup/dev"),
];

/// The section of a program by its name.
fn section_by_name(name: &str) -> Option<String> {
    let (prefix, section) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix))?;
    let target = &name[prefix.len()..];
    Some(match *section {
        "tracepoint" => format!("{section}/{}", target.replacen("__", "/", 1)),
        "fentry" | "fexit" => format!("{section}/{}", target.replacen("__in_module__", ":", 1)),
        _ => format!("{section}/{target}"),
    })
}

impl Parser<'_> {
    /// `map.method(...)`, behind the name of the method: the function of the map with this name and as many arguments.
    /// Nothing if it is no method.
    pub(super) fn method(&mut self, base: &Expr, name: Sym, loc: Loc) -> Parsed<Option<Expr>> {
        let ExprKind::Var(var) = base.kind else { return Ok(None) };
        let item = self.program.var(var);
        if !self.bcc || item.section.as_deref() != Some(".maps") {
            return Ok(None);
        }
        let map = Rc::clone(&item.name);
        self.next();
        let args = self.arguments()?;
        let method = self.name_of(name);
        let found = self.program.functions.get(format!("{map}___{method}_{}", args.len()).as_str()).copied();
        let Some(id) = found else {
            let start = format!("{map}___");
            let mut known: Vec<&str> = self
                .program
                .functions
                .keys()
                .filter_map(|name| name.strip_prefix(&start)?.rsplit_once('_'))
                .map(|(name, _)| name)
                .collect();
            known.sort_unstable();
            known.dedup();
            let diag =
                Diag::error(loc, format!("the map `{map}` has no method `{method}` with {} arguments", args.len()))
                    .with_help(format!("it has {}", known.join(", ")));
            return self.fail(diag);
        };
        let ty = self.program.func(id).ty;
        self.call(Expr::new(ExprKind::Func(id), ty, loc), args, loc).map(Some)
    }

    /// Whether a function that is being defined may be a program: it is visible, and has a context.
    fn may_be_program(&self, id: FuncId) -> bool {
        let func = self.program.func(id);
        let part = func.storage == Storage::Static || func.inline || func.always_inline || func.weak;
        self.bcc && !part && func.section.is_none()
    }

    /// The record that the first parameter points to.
    fn context_of(&self, ty: &FuncTy) -> Option<Rc<str>> {
        let record = self.types.as_record(self.types.pointee(*ty.params.first()?)?)?;
        Some(Rc::clone(&self.types.record(record).tag))
    }

    /// Parameters of a probed function behind the context become variables: what gives them their values.
    pub(super) fn probe_parameters(&mut self, id: FuncId, params: &mut Vec<VarId>, loc: Loc) -> Parsed<Vec<Stmt>> {
        let func = self.program.func(id);
        let (Some(ty), name) = (self.types.as_func(func.ty), Rc::clone(&func.name)) else { return Ok(Vec::new()) };
        let registers = self.context_of(&ty).is_some_and(|tag| &*tag == "pt_regs");
        if !self.may_be_program(id) || params.len() < 2 || !registers {
            return Ok(Vec::new());
        }
        let reader = if name.starts_with("syscall__") { "___bcc_syscall_parameter" } else { "___bcc_parameter" };
        let Some(&reader) = self.program.functions.get(reader) else { return Ok(Vec::new()) };
        let mut statements = Vec::new();
        for (number, &param) in (1..).zip(&params[1..]) {
            let context = Expr::new(ExprKind::Var(params[0]), self.program.var(params[0]).ty, loc);
            let number = Expr::new(ExprKind::Int(number), Types::int(IntTy::Int), loc);
            let callee = Expr::new(ExprKind::Func(reader), self.program.func(reader).ty, loc);
            let value = self.call(callee, vec![context, number], loc)?;
            let ty = self.program.var(param).ty;
            let expr = self.convert(value, QTy { quals: crate::types::Quals::NONE, ..ty });
            let init = Init { entries: vec![InitEntry { offset: 0, ty, bits: None, expr }], whole: true };
            statements.push(Stmt { kind: StmtKind::Decl(param, Some(Rc::new(init))), loc });
        }
        params.truncate(1);
        let alone = FuncTy { params: ty.params[..1].to_vec(), ret: ty.ret, variadic: false };
        self.program.funcs[id.0 as usize].ty = self.types.plain(Kind::Func(Rc::new(alone)));
        Ok(statements)
    }

    /// A function and all that it calls.
    fn reached(&self, start: FuncId) -> Vec<FuncId> {
        let mut reached = vec![start];
        let mut at = 0;
        while let Some(&caller) = reached.get(at) {
            for (_, callee) in self.calls.iter().filter(|(from, _)| *from == caller) {
                if !reached.contains(callee) {
                    reached.push(*callee);
                }
            }
            at += 1;
        }
        reached
    }

    /// Whether a function does what filters of sockets may not: writes to packets, or is a helper that they do not have.
    fn is_beyond_filters(&self, id: FuncId) -> bool {
        let helper = self.program.func(id).name.strip_prefix("bpf_").and_then(helpers::by_name);
        self.writers.contains(&id) || helper.is_some_and(|helper| helper.signature(ProgType::SocketFilter).is_none())
    }

    /// Notes that a place is written.
    pub(crate) fn note_written(&mut self, place: &Expr) {
        let mut base = place;
        while let ExprKind::Member(inner, ..) | ExprKind::Index(inner, _) = &base.kind {
            base = inner;
        }
        let record = matches!(base.kind, ExprKind::Deref(_)).then(|| self.types.as_record(base.ty)).flatten();
        if let (Some(here), Some(record)) = (&self.here, record)
            && self.types.record(record).packet
        {
            self.writers.insert(here.func);
        }
    }

    /// Gives programs without a section one: by their names, or by their contexts if nothing calls them.
    pub(super) fn place_programs(&mut self) {
        for id in (0..self.program.funcs.len()).map(|at| FuncId(at as u32)) {
            let func = self.program.func(id);
            if func.body.is_none() || func.section.is_some() {
                continue;
            }
            if !self.may_be_program(id) {
                // These become part of their callers, as with BCC: packets are read in programs only.
                self.program.funcs[id.0 as usize].always_inline |= self.bcc && !func.noinline && !func.weak;
                continue;
            }
            let by_context = || {
                let ty = self.types.as_func(func.ty)?;
                let tag = self.context_of(&ty);
                let reached = self.reached(id);
                if reached.iter().any(|&id| *self.program.func(id).name == *"___bcc_usdt_argument") {
                    return Some("usdt".to_owned());
                }
                if tag.as_deref() == Some("__sk_buff") && reached.iter().any(|&id| self.is_beyond_filters(id)) {
                    return Some("tc".to_owned());
                }
                if let Some(section) = tag.as_ref().and_then(|tag| section_by_name(tag)) {
                    return Some(section);
                }
                match tag {
                    Some(tag) => {
                        CONTEXTS.iter().find(|(name, _)| **name == *tag).map(|(_, section)| (*section).to_owned())
                    }
                    // `int hello(void *ctx)` is put to a function of the kernel.
                    None => {
                        ty.params.first().filter(|&&ty| self.types.pointee(ty).is_some()).map(|_| "kprobe".to_owned())
                    }
                }
            };
            let section = section_by_name(&func.name).or_else(|| by_context().filter(|_| !self.called.contains(&id)));
            let func = &mut self.program.funcs[id.0 as usize];
            func.section = section.map(Into::into);
            func.always_inline |= func.section.is_none() && !func.noinline;
        }
    }
}
