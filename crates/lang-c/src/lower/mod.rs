//! Lowering: from the typed tree to the intermediate representation.
//!
//! All pointers have one class, [`Memory::Any`], except where an address is formed: of variables, maps, the context.
//! Behind a function, what those are is carried to the accesses again ([`finish`]), so that passes see objects of the
//! stack. Functions that ask for it become part of their callers here. Variables without address are values.

mod asm;
mod bcc;
mod builtin;
mod call;
mod core;
mod expr;
mod finish;
mod func;
mod globals;
mod maps;
mod packet;
mod place;
mod stmt;
mod truth;
mod warn;
mod wide;

use std::collections::HashMap;
use std::rc::Rc;

use skep_btf::Linkage;
use skep_ir::{Entity, FuncKind, FuncRef, Function, GlobalRef, Inlining, MapRef, Memory, Module, ProgramInfo, Type};
use skep_isa::{ProgType, sections};

use crate::Options;
use crate::lex::{Token, TokenKind};
use crate::parse::ast::{Func, FuncId, Program, Storage, VarId};
use crate::parse::{Parsed, Parser, Reported};
use crate::provider::{NameKind, TypeSource};
use crate::source::{Diag, Diags, FileId, Loc, Sources};
use crate::types::emit::BtfOut;
use crate::types::{QTy, RecordId, Types};
use crate::unit::{self, Unit};
use func::{Fn, Home, PTR};

// TABLE
/// Contexts, and the type that a program has which takes one and whose section tells nothing.
const CONTEXTS: &[(&str, ProgType)] = &[
    ("__sk_buff", ProgType::SchedCls),
    ("xdp_md", ProgType::Xdp),
    ("sk_msg_md", ProgType::SkMsg),
    ("bpf_sock_ops", ProgType::SockOps),
    ("bpf_sysctl", ProgType::CgroupSysctl),
    ("bpf_sockopt", ProgType::CgroupSockopt),
    ("bpf_perf_event_data", ProgType::PerfEvent),
];

/// Most instructions of one function before optimisation.
const LARGEST: usize = 200_000;
/// `BPF_F_SLEEPABLE`, as `BPF_PROG_LOAD` takes it.
const SLEEPABLE: u32 = 1 << 4;
/// `BPF_F_XDP_HAS_FRAGS`
const XDP_FRAGS: u32 = 1 << 5;

/// Compiles a preprocessed translation unit. `None` if there are errors.
pub fn compile(
    tokens: &[Token],
    sources: &Sources,
    provider: &mut dyn TypeSource,
    options: &Options,
    diags: &mut Diags,
) -> Option<Unit> {
    let mut met = vec![false; sources.name_count()];
    let names = tokens.iter().filter_map(|token| match token.kind {
        TokenKind::Ident(sym) if !std::mem::replace(met.get_mut(sym.0 as usize)?, true) => Some(sources.text(sym)),
        _ => None,
    });
    provider.expect(&mut { names });
    let (types, program) = Parser::new(tokens, sources, provider, diags, options.bcc).run();
    if diags.has_errors() {
        return None;
    }
    let mut lower = Lower {
        types,
        program: Rc::new(program),
        sources,
        provider,
        diags,
        module: Module::new(""),
        unit: Unit::default(),
        btf: BtfOut::new(),
        current: None,
        files: HashMap::new(),
        maps: HashMap::new(),
        globals: HashMap::new(),
        strings: HashMap::new(),
        functions: HashMap::new(),
        queue: Vec::new(),
        place_now: Loc::default(),
        failed: false,
        lookups: Vec::new(),
        target_kernel: options.target_kernel,
        bcc: options.bcc,
    };
    let result = lower.unit();
    if result.is_err() || lower.failed || lower.diags.has_errors() {
        if !lower.diags.has_errors() {
            lower.diags.error(Loc::default(), "the program could not be compiled");
        }
        return None;
    }
    let Lower { types, btf, mut module, mut unit, diags, .. } = lower;
    match btf.finish(&types) {
        Some(bytes) => module.btf = bytes,
        None => {
            diags.error(Loc::default(), "a type of the program does not fit into BTF: a name or a number is too large");
            return None;
        }
    }
    unit.module = module;
    Some(unit)
}

/// The state of lowering.
pub struct Lower<'a> {
    types: Types,
    program: Rc<Program>,
    sources: &'a Sources,
    provider: &'a mut dyn TypeSource,
    diags: &'a mut Diags,
    module: Module,
    unit: Unit,
    btf: BtfOut,
    current: Option<Fn>,
    files: HashMap<FileId, u32>,
    maps: HashMap<VarId, MapRef>,
    globals: HashMap<VarId, GlobalRef>,
    strings: HashMap<Rc<[u8]>, GlobalRef>,
    /// Functions by whether they are called back.
    functions: HashMap<(FuncId, bool), FuncRef>,
    queue: Vec<(FuncId, FuncRef)>,
    /// Where what is being lowered stands.
    place_now: Loc,
    failed: bool,
    /// Calls of the current function whose results may be null.
    lookups: Vec<warn::Lookup>,
    target_kernel: Option<skep_isa::Release>,
    /// Whether the dialect of BCC is compiled: memory of the kernel is read by a helper.
    bcc: bool,
}

impl Lower<'_> {
    fn f(&mut self) -> &mut Fn {
        self.current.get_or_insert_with(|| Fn::new(Function::new("", FuncKind::Static, &[], None)))
    }

    fn error<T>(&mut self, loc: Loc, message: impl Into<String>) -> Parsed<T> {
        self.push(Diag::error(loc, message))
    }

    fn push<T>(&mut self, diag: Diag) -> Parsed<T> {
        self.diags.push(diag);
        Err(Reported)
    }

    /// Says where the coming instructions come from.
    fn at(&mut self, loc: Loc) {
        if loc == self.place_now || loc == Loc::default() {
            return;
        }
        self.place_now = loc;
        let made = self.ir_loc(loc);
        self.f().loc = made;
    }

    fn ir_loc(&mut self, loc: Loc) -> skep_ir::Loc {
        let Some(place) = self.sources.place(self.sources.outermost(loc)) else { return skep_ir::Loc::default() };
        let (file, line, column) = (place.file, place.line, place.column);
        let name = place.name.to_owned();
        let source = match self.files.get(&file) {
            Some(&source) => source,
            None => {
                let text = self.sources.text_of(file);
                self.module.sources.push(skep_ir::Source { name: name.into(), text: (&*text).into() });
                let source = u32::try_from(self.module.sources.len() - 1).unwrap_or(u32::MAX);
                self.files.insert(file, source);
                source
            }
        };
        skep_ir::Loc { source, line, column: u16::try_from(column).unwrap_or(u16::MAX) }
    }

    fn bounded(&mut self, loc: Loc) -> Parsed<()> {
        if self.f().function.inst_count() <= LARGEST {
            return Ok(());
        }
        self.push(
            Diag::error(loc, format!("the function has more than {LARGEST} instructions with all that is inlined"))
                .with_help("`__noinline` keeps functions out of their callers"),
        )
    }

    fn record_btf(&mut self, id: RecordId) -> u32 {
        self.btf.record(&self.types, id).0
    }

    fn btf_of(&mut self, ty: QTy) -> u32 {
        self.btf.id(&self.types, ty).0
    }

    /// Whether the kernel has a function of this name, as far as is known.
    fn kernel_has(&mut self, name: &str) -> bool {
        self.provider.find(name, NameKind::Func).is_some()
    }

    fn unit(&mut self) -> Parsed<()> {
        let program = Rc::clone(&self.program);
        let mut result = self.license();
        for (id, var) in (0..).map(VarId).zip(&program.vars) {
            if var.section.as_deref() == Some(".maps") && var.storage != Storage::Extern {
                result = self.map(id).map(|_| ()).and(result);
            }
        }
        for (id, func) in (0..).map(FuncId).zip(&program.funcs) {
            if func.body.is_none() {
                continue;
            }
            let is_program = program_section(func).is_some();
            if !is_program && func.storage == Storage::Global && self.takes_objects(func) {
                // It can only become part of its callers. Its type is told to whoever looks for it.
                let params = named_params(&program, func);
                let ret = self.types.as_func(func.ty).map_or(Types::void(), |ty| ty.ret);
                self.btf.func(&self.types, &func.name, ret, &params, Linkage::Global);
                continue;
            }
            if is_program || matches!(func.storage, Storage::Global) && !func.always_inline {
                result = self.function_ref(id, false).map(|_| ()).and(result);
            }
        }
        while let Some((func, number)) = self.queue.pop() {
            result = self.function(func, number).and(result);
            if self.diags.is_full() {
                break;
            }
        }
        for (id, var) in (0..).map(VarId).zip(&program.vars) {
            if is_table(var.section.as_deref()) && var.storage != Storage::Extern {
                result = self.table(id).and(result);
            }
        }
        // What loaders set by name stays, even if nothing reads it.
        for (id, var) in (0..).map(VarId).zip(&program.vars) {
            let defined = var.storage == Storage::Global
                && !matches!(var.section.as_deref(), Some("license" | "version" | ".maps"))
                && !is_table(var.section.as_deref());
            if defined {
                result = self.global(id).map(|_| ()).and(result);
            }
        }
        self.unit.programs.sort_by_key(|program| program.func);
        result
    }

    fn kind(&mut self, func: &Func, callback: bool) -> Parsed<FuncKind> {
        if callback {
            return Ok(FuncKind::Callback);
        }
        let Some(section) = program_section(func) else {
            return Ok(if is_own(func) { FuncKind::Static } else { FuncKind::Global });
        };
        let Some(name) = sections::parse(section) else {
            if let Some(prog_type) = self.type_by_context(func, section) {
                let section = section.to_owned();
                return Ok(FuncKind::Program(ProgramInfo { prog_type, attach_type: None, flags: 0, section }));
            }
            let mut diag = Diag::error(func.loc, format!("no type of program has a section `{section}`"));
            if let Some(near) = near_section(section) {
                diag = diag.with_help(format!("did you mean `{near}`?"));
            }
            return self.push(diag);
        };
        let row = name.section;
        let flags = (u32::from(row.sleepable) * SLEEPABLE) | (u32::from(row.frags) * XDP_FRAGS);
        Ok(FuncKind::Program(ProgramInfo {
            prog_type: row.prog_type,
            attach_type: row.attach_type,
            flags,
            section: section.to_owned(),
        }))
    }

    /// The type of a program in a section of the author's own, by the context that it takes. Loaders like `tc` and `ip` find
    /// such sections by their names and know the type from where they attach them.
    fn type_by_context(&mut self, func: &Func, section: &str) -> Option<ProgType> {
        let ty = self.types.as_func(func.ty)?;
        let context = self.types.pointee(*ty.params.first()?)?;
        let tag = &self.types.record(self.types.as_record(context)?).tag;
        let (_, prog_type) = CONTEXTS.iter().find(|(name, _)| **name == **tag)?;
        if near_section(section).is_some() {
            return None;
        }
        let text = format!(
            "no section is called `{section}`: `{}` is a program of type {prog_type} by its context",
            func.name
        );
        let help = "whoever loads the object has to know the type";
        self.diags.push(Diag::warning(func.loc, text).with_help(help));
        Some(*prog_type)
    }

    /// Whether a pointer leads to the context of a program.
    fn is_context(&self, ty: QTy) -> bool {
        let record = self.types.pointee(ty).and_then(|to| self.types.as_record(to));
        let tag = record.map(|id| &self.types.record(id).tag);
        tag.is_some_and(|tag| CONTEXTS.iter().any(|(name, _)| **name == **tag))
    }

    /// Whether it takes or returns structures by value, which no call of BPF can.
    fn takes_objects(&self, func: &Func) -> bool {
        let object = |ty: QTy| !self.types.is_register(ty) && !self.types.is_void(ty);
        self.types.as_func(func.ty).is_some_and(|ty| object(ty.ret) || ty.params.iter().any(|&param| object(param)))
    }

    /// The number of a function in the module; it is lowered later.
    fn function_ref(&mut self, id: FuncId, callback: bool) -> Parsed<FuncRef> {
        if let Some(&known) = self.functions.get(&(id, callback)) {
            return Ok(known);
        }
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        let Some(ty) = self.types.as_func(func.ty) else { return Err(Reported) };
        let kind = self.kind(func, callback)?;
        let is_program = matches!(kind, FuncKind::Program(_));
        // A program that replaces a function has the parameters of that function.
        let replaces = matches!(&kind, FuncKind::Program(info) if info.prog_type == ProgType::Ext);
        let mut params = Vec::new();
        for (at, &param) in ty.params.iter().enumerate() {
            if self.is_wide(param) && !is_program {
                params.extend([Type::I64; 2]);
                continue;
            }
            if !self.types.is_register(param) {
                let shown = self.types.show(param);
                return self.push(
                    Diag::error(func.loc, format!("parameter {} of `{}` is a `{shown}` by value", at + 1, func.name))
                        .with_help("pass a pointer to it, or make the function `static __always_inline`"),
                );
            }
            let context = is_program && at == 0 && self.types.is_ptr(param) && (!replaces || self.is_context(param));
            params.push(if context { Type::ptr(Memory::Context) } else { self.register(param) });
        }
        if params.len() > 5 {
            return self.error(
                func.loc,
                format!(
                    "`{}` has parameters for {} registers, a function of BPF at most five",
                    func.name,
                    params.len()
                ),
            );
        }
        let result = if self.types.is_void(ty.ret) {
            (is_program || callback).then_some(Type::I32)
        } else if self.types.is_register(ty.ret) {
            Some(self.register(ty.ret))
        } else {
            let shown = self.types.show(ty.ret);
            return self.push(
                Diag::error(func.loc, format!("`{}` returns a `{shown}` by value", func.name))
                    .with_help("return it through a pointer, or make the function `static __always_inline`"),
            );
        };
        // The same function may be called by the program and by the kernel: these are two.
        let twin = self.functions.contains_key(&(id, !callback));
        let name = if twin {
            format!("{}__{}", func.name, if callback { "callback" } else { "called" })
        } else {
            func.name.to_string()
        };
        let mut made = Function::new(&name, kind, &params, result);
        let named = named_params(&program, func);
        let linkage = if is_own(func) && !is_program || callback { Linkage::Static } else { Linkage::Global };
        let described = self.btf.func(&self.types, &name, ty.ret, &named, linkage);
        func.tags.iter().for_each(|(component, text)| self.btf.tag(text, described, *component));
        made.ty = described.0;
        if func.noinline {
            made.inlining = Inlining::Never;
        }
        let number = self.module.add_function(made);
        self.functions.insert((id, callback), number);
        self.queue.push((id, number));
        if let Some(section) = program_section(func) {
            let autoload = !section.starts_with('?');
            let item = unit::Program { func: number, section: section.to_owned(), autoload, loc: func.loc };
            if is_program {
                self.unit.programs.push(item);
            }
        }
        Ok(number)
    }

    /// Lowers a function into its place in the module.
    fn function(&mut self, id: FuncId, number: FuncRef) -> Parsed<()> {
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        let (Some(body), Some(ty)) = (func.body.clone(), self.types.as_func(func.ty)) else { return Ok(()) };
        let empty = Function::new("", FuncKind::Static, &[], None);
        let made = std::mem::replace(&mut self.module.functions[number.index()], empty);
        let params = made.params().to_vec();
        if func.naked {
            self.module.functions[number.index()] = made.clone();
            if self.naked(&body, number, func.loc)? {
                let function = &mut self.module.functions[number.index()];
                let entry = function.entry();
                let value = function.result.map(|ty| {
                    let zero = function.make_inst(skep_ir::InstData::Const(0), &[ty], skep_ir::Loc::default());
                    function[entry].insts.push(zero);
                    function[zero].results[0]
                });
                let end = function.make_inst(skep_ir::InstData::Return(value), &[], skep_ir::Loc::default());
                function[entry].insts.push(end);
                return Ok(());
            }
        }
        self.current = Some(Fn::new(made));
        self.place_now = Loc::default();
        self.at(func.loc);
        self.enter_frame(id, ty.ret, None);
        let mut result = Ok(());
        let mut params = params.into_iter();
        for &param in &func.params {
            let Some(value) = params.next() else { break };
            if self.is_wide(self.program.var(param).ty)
                && let Some(high) = params.next()
            {
                let halves = wide::Halves { low: value, high };
                result = self.parameter(param, expr::Val::Wide(halves)).and(result);
                continue;
            }
            let value = if self.f().ty(value).is_int() { value } else { self.f().make_ptr(value) };
            result = self.parameter(param, expr::Val::Value(value)).and(result);
        }
        result = result.and_then(|()| self.statements(&body));
        if !self.types.is_void(ty.ret) && self.f().reachable() && func.name.as_ref() != "main" && !func.naked {
            self.diags
                .warning(func.loc, format!("`{}` can end without returning a value: it returns 0 then", func.name));
        }
        let end = self.f().function.result.map(|ty| self.f().number(0, ty));
        self.f().ret(end);
        self.leave_frame();
        let Some(mut made) = self.current.take() else { return result };
        made.seal_all();
        let mut function = made.function;
        finish::finish(&mut function);
        let lookups = std::mem::take(&mut self.lookups);
        self.check_lookups(&function, &lookups);
        let frame = function.slots.iter().fold(0u32, |sum, slot| sum.saturating_add(slot.size.next_multiple_of(8)));
        self.unit.frames.push((number, frame, func.loc));
        self.module.functions[number.index()] = function;
        result
    }

    /// A parameter gets its home and its value.
    fn parameter(&mut self, var: VarId, value: expr::Val) -> Parsed<()> {
        self.declare(var, None)?;
        let ty = self.program.var(var).ty;
        let home = self.f().frame().and_then(|frame| frame.homes.get(&var).copied());
        match (home, value) {
            (Some(Home::Value(local)), expr::Val::Value(value)) => {
                let value = if self.register(ty) == PTR { self.f().make_ptr(value) } else { value };
                self.f().write(local, value);
            }
            (Some(Home::Pair(pair)), expr::Val::Wide(value)) => self.write_pair(pair, value),
            (Some(Home::Slot(slot)), value) => {
                let base = self.f().value(skep_ir::InstData::SlotAddr(slot), Type::ptr(Memory::Stack));
                let align = self.types.align(ty).clamp(1, 8);
                let addr = place::Addr::new(base, align);
                match value {
                    expr::Val::Value(value) => self.store(&addr, ty, value)?,
                    expr::Val::Wide(value) => self.store_wide(&addr, value)?,
                    expr::Val::Memory(from) => {
                        let size = self.types.size(ty).unwrap_or(0);
                        self.copy(addr, from, size);
                    }
                    expr::Val::Void => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn enter_frame(&mut self, func: FuncId, ret: QTy, result: Option<(skep_ir::Block, Option<Home>)>) {
        let frame = func::Frame {
            func,
            homes: HashMap::new(),
            callees: HashMap::new(),
            labels: HashMap::new(),
            exits: Vec::new(),
            switches: Vec::new(),
            result,
            ret,
            slots: Vec::new(),
        };
        self.f().frames.push(frame);
    }

    /// Ends a frame: no more jumps lead to its labels.
    fn leave_frame(&mut self) {
        if let Some(frame) = self.f().frames.pop() {
            self.f().free.extend(frame.slots);
            let mut labels: Vec<skep_ir::Block> = frame.labels.into_values().collect();
            labels.sort_unstable();
            for block in labels {
                self.f().seal(block);
            }
        }
    }
}

/// The section of a program; other functions have none.
fn program_section(func: &Func) -> Option<&str> {
    func.section.as_deref().filter(|section| !section.starts_with('.') && func.body.is_some())
}

/// Whether a function is of no concern to others, so that it is verified where it is called: it is `static`, hidden, or may
/// become part of its callers, as clang does with all that are neither `noinline` nor `weak`.
fn is_own(func: &Func) -> bool {
    func.storage == Storage::Static || func.hidden || !func.noinline && !func.weak
}

/// The known section whose name is nearly that of another.
fn near_section(section: &str) -> Option<&'static str> {
    let all = ProgType::ALL.iter().flat_map(|&ty| sections::of_prog_type(ty));
    let mut names: Vec<&'static str> = all.map(|row| row.prefix).collect();
    names.sort_unstable();
    names.dedup();
    crate::parse::nearest(section.split('/').next().unwrap_or(section), names.into_iter())
}

fn named_params(program: &Program, func: &Func) -> Vec<(Rc<str>, QTy)> {
    func.params.iter().map(|&param| (program.var(param).name.clone(), program.var(param).ty)).collect()
}

/// Whether a section is one of tables of operations of the kernel.
fn is_table(section: Option<&str>) -> bool {
    section.is_some_and(|name| name.trim_start_matches('?').starts_with(".struct_ops"))
}
