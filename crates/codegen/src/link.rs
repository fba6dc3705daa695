//! Putting functions together to programs, and programs and maps to an object.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use skep_btf::{Btf, Kind};
use skep_ir::{Assembly, Entity, FuncRef, Function, KfuncRef, Loc, Module, ProgramInfo, Referred};
use skep_isa::ebpf::{Callee, Imm64, InsnIdx, Op, decode_program};
use skep_object::{
    AttachPoint, CoreRelocation, Extern, ExternIdx, ExternKind, ExternUse, Line, Object, ProgFlags, Program,
};

use crate::code::{Insn, Link};
use crate::error::{Error, Problem};
use crate::frame::{Frame, STACK};
use crate::maps::Layout;
use crate::{Options, check, emit, maps, regalloc, relax, select, types};

/// How many objects of frames a message names.
const OBJECTS_NAMED: usize = 5;

/// A function with its final instructions, without places of other functions.
struct Compiled {
    insns: Vec<Insn>,
    frame: Frame,
}

/// Compiles all functions that programs reach and makes an object of them.
///
/// # Errors
/// The first thing that cannot be compiled.
pub fn link(module: &Module, options: &Options) -> Result<Object, Error> {
    check::rules(module)?;
    let mut object = Object::new(&module.license);
    let broken = |problem: String| Error::in_function("", Problem::Types(problem));
    let btf = match module.btf.is_empty() {
        true => None,
        false => Some(Btf::parse(module.btf.clone()).map_err(|error| broken(error.to_string()))?),
    };
    let types = types::describe(module, btf.as_ref()).map_err(|error| broken(error.to_string()))?;
    object.btf = types.btf;
    let layout = maps::define(module, btf.as_ref(), &mut object)?;
    let mut linker = Linker {
        module,
        options,
        layout,
        types: types.functions,
        compiled: HashMap::new(),
        failed: HashMap::new(),
        externs: HashMap::new(),
        btf,
    };
    linker.compile_all();
    for (func, info) in module.programs() {
        let program = linker.program(func, info, &mut object)?;
        object.add_program(program);
    }
    Ok(object)
}

struct Linker<'a> {
    module: &'a Module,
    options: &'a Options,
    layout: Layout,
    /// The type of each function.
    types: Vec<u32>,
    /// What became of each function that is reached.
    compiled: HashMap<FuncRef, Compiled>,
    /// The functions that cannot be compiled.
    failed: HashMap<FuncRef, Error>,
    externs: HashMap<KfuncRef, ExternIdx>,
    btf: Option<Btf>,
}

impl Linker<'_> {
    fn function(&self, func: FuncRef) -> &Function {
        &self.module.functions[func.index()]
    }

    /// The functions that a program is made of: those that it reaches, and where its exceptions end.
    fn functions_of(&self, main: FuncRef) -> Vec<FuncRef> {
        let mut functions = check::functions_of(self.module, main);
        let tags = self.btf.as_ref().map_or_else(Vec::new, skep_object::exception_callbacks);
        let ty = self.function(main).ty;
        let tag = tags.iter().find(|(target, _)| target.0 == ty && ty != 0);
        if let Some(callback) = tag.and_then(|(_, name)| self.module.function(name)) {
            let more = check::functions_of(self.module, callback);
            let new: Vec<FuncRef> = more.into_iter().filter(|func| !functions.contains(func)).collect();
            functions.extend(new);
        }
        functions
    }

    /// Compiles all functions that programs reach, each by itself.
    fn compile_all(&mut self) {
        let mut seen = HashSet::new();
        let programs = self.module.programs();
        let all: Vec<FuncRef> =
            programs.flat_map(|(main, _)| self.functions_of(main)).filter(|func| seen.insert(*func)).collect();
        let size = |func: &FuncRef| self.function(*func).inst_count();
        for (func, result) in skep_ir::parallel::map(all, size, |func| (func, self.compile(func))) {
            match result {
                Ok(compiled) => drop(self.compiled.insert(func, compiled)),
                Err(error) => drop(self.failed.insert(func, error)),
            }
        }
    }

    fn program(&mut self, main: FuncRef, info: &ProgramInfo, object: &mut Object) -> Result<Program, Error> {
        let functions = self.functions_of(main);
        if let Some(error) = functions.iter().find_map(|func| self.failed.remove(func)) {
            return Err(error);
        }
        self.check_stack(main)?;
        let mut starts = HashMap::new();
        let mut slots = 0;
        for &func in &functions {
            starts.insert(func, slots);
            slots += self.compiled[&func].insns.iter().map(|insn| insn.op.slots()).sum::<u32>();
        }
        let mut program = Program::new(&self.function(main).name, info.prog_type, Vec::with_capacity(slots as usize));
        self.describe(&mut program, info)?;
        let mut lines = Lines::new(self.module);
        for &func in &functions {
            let at = InsnIdx::new(program.insns.len());
            let name: Arc<str> = self.function(func).name.as_str().into();
            let ty = Some(self.types[func.index()]);
            program.functions.push(skep_object::Function { at, name, ty });
            lines.begin_function();
            for index in 0..self.compiled[&func].insns.len() {
                let insn = self.compiled[&func].insns[index];
                lines.add(insn.loc, &mut program);
                self.place(insn, &starts, &mut program, object);
            }
        }
        Ok(program)
    }

    fn describe(&self, program: &mut Program, info: &ProgramInfo) -> Result<(), Error> {
        program.attach_type = info.attach_type;
        program.flags = ProgFlags(info.flags);
        program.section.clone_from(&info.section);
        if !info.section.is_empty() {
            let kind = skep_object::section_kind(&info.section)
                .map_err(|error| Error::in_function(&program.name, Problem::Section(error.to_string())))?;
            program.autoload = kind.autoload;
            program.attach = if kind.prog_type == info.prog_type { kind.attach } else { AttachPoint::Unspecified };
        }
        Ok(())
    }

    fn compile(&self, func: FuncRef) -> Result<Compiled, Error> {
        let function = self.function(func);
        check::function(self.module, function, self.options.cpu)?;
        if let Some(assembly) = &function.assembly {
            return self.assembly(&function.name, assembly);
        }
        let mir = select::select(self.module, function, &self.layout, self.options);
        let allocation = regalloc::allocate(&mir)
            .map_err(|error| Error::in_function(&function.name, Problem::Internal(format!("{error:?}"))))?;
        let frame = Frame::new(function, &mir, allocation.spills);
        if frame.size > STACK {
            // Nothing in it could be addressed; say so before emission.
            return Err(self.too_much_stack(vec![(func, frame)]));
        }
        let insns = relax::relax(emit::emit(&mir, &allocation, &frame), self.options.cpu);
        Ok(Compiled { insns, frame })
    }

    /// Takes instructions as they are written; they share the stack as the kernel finds when it loads them.
    fn assembly(&self, name: &str, assembly: &Assembly) -> Result<Compiled, Error> {
        let ops = decode_program(&assembly.insns).map_err(|error| {
            Error::in_function(name, Problem::Assembly(error.to_string())).at(assembly.loc, &self.module.sources)
        })?;
        let insns = ops.into_iter().map(|(at, op)| {
            let mut insn = Insn::new(op, assembly.loc);
            match assembly.references.iter().find(|(slot, _)| *slot == at.0).map(|(_, referred)| *referred) {
                None => {}
                Some(Referred::Map(map)) => set_symbol(&mut insn.op, Imm64::MapFd(map.0.cast_signed())),
                Some(Referred::Global(global, offset)) => {
                    let place = self.layout.globals[global.index()];
                    set_symbol(&mut insn.op, place.map.load_value(place.offset.saturating_add(offset)));
                }
                Some(Referred::Func(func)) => insn.link = Link::Func(func),
                Some(Referred::Kfunc(kfunc)) => {
                    insn.op = Op::Call(Callee::Kfunc { id: 0, module: 0 });
                    insn.link = Link::Kfunc(kfunc);
                }
            }
            insn
        });
        Ok(Compiled { insns: insns.collect(), frame: Frame::default() })
    }

    /// Checks the most expensive chain of calls.
    fn check_stack(&self, main: FuncRef) -> Result<(), Error> {
        let mut worst = HashMap::new();
        let chain = self.deepest(main, &mut worst);
        let total: u32 = chain.iter().map(|func| self.compiled[func].frame.size).sum();
        if total <= STACK {
            return Ok(());
        }
        Err(self.too_much_stack(chain.iter().map(|func| (*func, self.compiled[func].frame.clone())).collect()))
    }

    fn too_much_stack(&self, chain: Vec<(FuncRef, Frame)>) -> Error {
        let total = chain.iter().fold(0u32, |sum, (_, frame)| sum.saturating_add(frame.size));
        let mut objects: Vec<_> = chain.iter().flat_map(|(func, frame)| frame.objects(self.function(*func))).collect();
        objects.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.name.cmp(&b.name)));
        objects.truncate(OBJECTS_NAMED);
        let names = chain.iter().map(|(func, frame)| (self.function(*func).name.clone(), frame.size)).collect();
        let name = chain.first().map(|(func, _)| self.function(*func).name.clone()).unwrap_or_default();
        let loc = objects.first().map(|object| object.loc).unwrap_or_default();
        let problem = Problem::Stack { total, chain: names, objects };
        Error::in_function(&name, problem).at(loc, &self.module.sources)
    }

    /// The chain of calls from a function on whose frames are the largest.
    fn deepest(&self, func: FuncRef, known: &mut HashMap<FuncRef, Vec<FuncRef>>) -> Vec<FuncRef> {
        if let Some(chain) = known.get(&func) {
            return chain.clone();
        }
        // What a timer calls may set the timer again.
        known.insert(func, Vec::new());
        let size = |chain: &Vec<FuncRef>| chain.iter().map(|func| self.compiled[func].frame.size).sum::<u32>();
        let callees = select::callees(self.function(func));
        let mut chain = vec![func];
        let below = callees.into_iter().map(|callee| self.deepest(callee, known)).max_by_key(size);
        chain.extend(below.unwrap_or_default());
        known.insert(func, chain.clone());
        chain
    }

    /// Appends an instruction to a program and fills in what it refers to.
    fn place(&mut self, insn: Insn, starts: &HashMap<FuncRef, u32>, program: &mut Program, object: &mut Object) {
        let at = InsnIdx::new(program.insns.len());
        let mut op = insn.op;
        match insn.link {
            Link::None => {}
            Link::Func(func) => {
                let distance = i64::from(starts[&func]) - i64::from(at.0) - 1;
                let distance = i32::try_from(distance).unwrap_or(0);
                match &mut op {
                    Op::Call(callee) => *callee = Callee::Local(distance),
                    Op::LoadImm { value, .. } => *value = Imm64::Func(distance),
                    _ => {}
                }
            }
            Link::Kfunc(kfunc) => {
                let target = self.external(kfunc, object);
                program.externs.push(ExternUse { at, target });
            }
            Link::Core(core) => {
                let core = &self.module.cores[core as usize];
                let access = Arc::clone(&core.access);
                program.core_relocations.push(CoreRelocation { at, kind: core.kind.number(), ty: core.ty, access });
            }
        }
        op.emit(&mut program.insns);
    }

    /// The entry of a kernel function among the externs of the object, made at its first use.
    fn external(&mut self, kfunc: KfuncRef, object: &mut Object) -> ExternIdx {
        let info = &self.module.kfuncs[kfunc.index()];
        let btf = self.btf.as_ref();
        *self.externs.entry(kfunc).or_insert_with(|| {
            let declaration = btf.and_then(|btf| {
                let id = btf.find_function(&info.name)?;
                match btf.kind(id) {
                    Ok(Kind::Func { proto, .. }) => Some(proto.0),
                    _ => None,
                }
            });
            let kind = match info.variable {
                None => ExternKind::Function { ty: declaration.unwrap_or(0) },
                Some(0) => ExternKind::Address,
                Some(ty) => ExternKind::Variable { ty },
            };
            object.externs.push(Extern { name: info.name.clone(), weak: info.weak, kind });
            ExternIdx(u32::try_from(object.externs.len() - 1).unwrap_or(u32::MAX))
        })
    }
}

/// Makes a 64-bit constant load one of something else.
const fn set_symbol(op: &mut Op, symbol: Imm64) {
    if let Op::LoadImm { value, .. } = op {
        *value = symbol;
    }
}

/// Makes the line records of a program: one where the place changes, and one at the start of every function.
struct Lines<'a> {
    module: &'a Module,
    /// Start and end of each line of each source.
    starts: Vec<Option<Vec<Arc<str>>>>,
    last: Option<Loc>,
}

impl<'a> Lines<'a> {
    fn new(module: &'a Module) -> Self {
        Self { module, starts: vec![None; module.sources.len()], last: None }
    }

    const fn begin_function(&mut self) {
        self.last = None;
    }

    fn add(&mut self, loc: Loc, program: &mut Program) {
        // The start of a function has a record in any case, as soon as there are any.
        let known = self.module.sources.get(loc.source as usize).map(|source| (source, loc));
        let Some((source, loc)) = known.or_else(|| Some((self.module.sources.first()?, Loc::default()))) else {
            return;
        };
        if self.last == Some(loc) || loc.line == 0 && self.last.is_some() {
            return;
        }
        self.last = Some(loc);
        let text = self.starts[loc.source as usize]
            .get_or_insert_with(|| source.text.lines().map(|line| cut(line).into()).collect())
            .get((loc.line as usize).wrapping_sub(1))
            .cloned();
        program.lines.push(Line {
            at: InsnIdx::new(program.insns.len()),
            file: Arc::clone(&source.name),
            line: loc.line,
            column: loc.column,
            text: text.unwrap_or_default(),
        });
    }
}

/// A line, cut at 1,024 bytes.
fn cut(line: &str) -> &str {
    let mut end = line.len().min(1024);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}
