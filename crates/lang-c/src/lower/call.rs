//! Calls: of helpers, kernel functions, functions of the program, and functions that become part of their callers.

use std::rc::Rc;

use skep_ir::{Callee, InstData, Kfunc, Memory, Type, Unary, Value};

use super::Lower;
use super::expr::Val;
use super::func::{Home, PTR};
use crate::konst::{Const, Eval};
use crate::parse::ast::{Expr, ExprKind, FuncId, Storage};
use crate::parse::{Parsed, Reported};
use crate::source::{Diag, Loc};
use crate::types::{FuncTy, IntTy, QTy, Types};

/// Most functions on a chain of inlined calls.
const DEEPEST: usize = 64;

/// `bpf_loop`, which returns how many rounds there were.
const LOOP: u32 = 181;

/// What is called.
#[derive(Debug, Clone, Copy)]
pub enum Called {
    Func(FuncId),
    Helper(u32),
}

impl Lower<'_> {
    fn called(&mut self, callee: &Expr) -> Parsed<Called> {
        if let Some(called) = self.known_callee(callee)? {
            return Ok(called);
        }
        self.push(
            Diag::error(callee.loc, "BPF has no calls through pointers: what is called must be known")
                .with_help("call the function by its name, or choose with `if` or `switch`"),
        )
    }

    /// The function or helper that an expression always is: by name, as a constant, or through a variable that nothing
    /// assigns to, which may be a parameter of a function that becomes part of its caller.
    fn known_callee(&mut self, callee: &Expr) -> Parsed<Option<Called>> {
        let mut expr = callee;
        loop {
            match &expr.kind {
                ExprKind::Decay(inner) | ExprKind::Cast(inner) | ExprKind::Deref(inner) | ExprKind::AddrOf(inner) => {
                    expr = inner;
                }
                ExprKind::Func(func) => return Ok(Some(Called::Func(*func))),
                ExprKind::Int(number) => return self.helper_number(*number, expr.loc).map(Some),
                ExprKind::Var(var) => {
                    if let Some(known) = self.f().frames.iter().find_map(|frame| frame.callees.get(var)) {
                        return Ok(Some(*known));
                    }
                    let program = Rc::clone(&self.program);
                    let item = program.var(*var);
                    let eval = Eval { types: &self.types, program: &program, variables: false };
                    let known = item.init.as_ref().filter(|_| !item.assigned || item.storage != Storage::Local);
                    let value = known.and_then(|init| eval.eval(&init.entries.last()?.expr));
                    match value {
                        Some(Const::Int(number)) => return self.helper_number(number, expr.loc).map(Some),
                        Some(Const::Addr(crate::konst::Symbol::Func(func), 0)) => return Ok(Some(Called::Func(func))),
                        _ => return Ok(None),
                    }
                }
                _ => return Ok(None),
            }
        }
    }

    fn helper_number(&mut self, number: i64, loc: Loc) -> Parsed<Called> {
        match u32::try_from(number).ok().filter(|&id| skep_isa::helpers::by_id(id).is_some()) {
            Some(id) => Ok(Called::Helper(id)),
            None => self.error(loc, format!("there is no helper with the number {number}")),
        }
    }

    /// A call.
    pub fn call(&mut self, callee: &Expr, args: &[Expr], expr: &Expr) -> Parsed<Val> {
        match self.called(callee)? {
            Called::Helper(id) => {
                let name = skep_isa::helpers::by_id(id).map_or("?", |helper| helper.name);
                let values = self.arguments(args, &format!("bpf_{name}"), expr.loc, false)?;
                self.at(expr.loc);
                self.check_helper(id, expr.loc);
                // A callback that is never called is dead code, which Linux 6.18 removes and then misses (EFAULT).
                if id == LOOP
                    && [0, 3].iter().all(|&at| values.get(at).is_some_and(|&v| self.f().constant(v) == Some(0)))
                {
                    let register = self.register(expr.ty);
                    return Ok(Val::Value(self.f().number(0, register)));
                }
                let result = self.finish_call(Callee::Helper(id), values, expr.ty, false);
                if let Val::Value(value) = result
                    && super::warn::may_be_null(id)
                {
                    self.lookups.push(super::warn::Lookup { result: value, helper: id, loc: expr.loc });
                }
                Ok(result)
            }
            Called::Func(id) => self.call_function(id, args, expr),
        }
    }

    /// Values of arguments; those of 128 bits take two registers where this is said to be `wide`.
    fn arguments(&mut self, args: &[Expr], name: &str, loc: Loc, wide: bool) -> Parsed<Vec<Value>> {
        let registers = args.iter().map(|arg| if wide { self.registers(arg.ty) } else { 1 }).sum::<usize>();
        if registers > 5 {
            return self
                .error(loc, format!("`{name}` is called with {registers} arguments, a call of BPF has at most five"));
        }
        let mut values = Vec::new();
        for arg in args {
            if wide && self.is_wide(arg.ty) {
                let value = self.halves(arg)?;
                values.extend([value.low, value.high]);
                continue;
            }
            if !self.types.is_register(arg.ty) {
                let shown = self.types.show(arg.ty);
                return self.push(
                    Diag::error(arg.loc, format!("a `{shown}` is passed to `{name}` by value"))
                        .with_help("pass a pointer to it, or make the function `static __always_inline`"),
                );
            }
            values.push(self.value(arg)?);
        }
        Ok(values)
    }

    fn finish_call(&mut self, callee: Callee, args: Vec<Value>, ret: QTy, normalise: bool) -> Val {
        if self.types.is_void(ret) {
            self.f().inst(InstData::Call(callee, args), &[]);
            return Val::Void;
        }
        let ty = self.register(ret);
        let value = self.f().value(InstData::Call(callee, args), ty);
        match self.types.as_int(ret).filter(|int| normalise && int.size() < 4) {
            // Others leave anything in the bits that the type does not have.
            Some(IntTy::Bool) => {
                let low = self.f().binary_number(skep_ir::Binary::And, value, 0xff);
                Val::Value(self.convert(low, Types::int(IntTy::Int), ret))
            }
            Some(_) => Val::Value(self.convert(value, Types::int(IntTy::Int), ret)),
            None => Val::Value(value),
        }
    }

    fn call_function(&mut self, id: FuncId, args: &[Expr], expr: &Expr) -> Parsed<Val> {
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        if let Some(name) = &func.asm_name {
            let width = match &**name {
                "llvm.bpf.load.byte" => Some(skep_ir::Width::W8),
                "llvm.bpf.load.half" => Some(skep_ir::Width::W16),
                "llvm.bpf.load.word" => Some(skep_ir::Width::W32),
                _ => None,
            };
            if let (Some(width), [_, offset]) = (width, args) {
                let offset = self.value(offset)?;
                return Ok(Val::Value(self.packet_load(width, offset)));
            }
        }
        if func.body.is_none() {
            if super::program_section(func).is_some()
                || func.section.as_deref() != Some(".ksyms") && func.storage == Storage::Static
            {
                return self.error(expr.loc, format!("`{}` is declared, but not defined", func.name));
            }
            let values = self.arguments(args, &func.name, expr.loc, false)?;
            self.at(expr.loc);
            let kfunc = self.kfunc_ref(id);
            return Ok(self.finish_call(Callee::Kfunc(kfunc), values, expr.ty, true));
        }
        let by_value = !self.types.is_register(expr.ty) && !self.types.is_void(expr.ty)
            || args.iter().any(|arg| !self.types.is_register(arg.ty) && !self.is_wide(arg.ty));
        let many = args.iter().map(|arg| self.registers(arg.ty)).sum::<usize>() > 5;
        let wanted = func.always_inline || func.inline || by_value || many;
        let own = func.storage == Storage::Static || func.inline || by_value || many;
        let inline = own && !func.noinline && wanted || func.always_inline;
        if inline {
            return self.inline(id, args, expr);
        }
        if super::program_section(func).is_some() {
            return self.push(
                Diag::error(expr.loc, format!("`{}` is a program: only the kernel calls it", func.name))
                    .with_help("move its body into a `static` function that both call"),
            );
        }
        let mut values = self.arguments(args, &func.name, expr.loc, true)?;
        self.at(expr.loc);
        for value in &mut values {
            if !self.f().ty(*value).is_int() {
                *value = self.f().make_ptr(*value);
            }
        }
        let number = self.function_ref(id, false)?;
        // Whoever calls a function with too few arguments has not seen its prototype.
        let registers = |ty: Rc<FuncTy>| ty.params.iter().map(|&param| self.registers(param)).sum();
        let wanted = self.types.as_func(func.ty).map_or(0, registers);
        values.truncate(wanted);
        let global = !super::is_own(func);
        Ok(self.finish_call(Callee::Func(number), values, expr.ty, global))
    }

    /// The number of a kernel function in the module.
    pub fn kfunc_ref(&mut self, id: FuncId) -> skep_ir::KfuncRef {
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        let known = self.module.kfuncs.len();
        let kfunc = self.module.add_kfunc(Kfunc::function(&func.name, func.weak));
        if let Some(ty) = self.types.as_func(func.ty).filter(|_| self.module.kfuncs.len() > known) {
            // Loaders compare the type with that of the kernel's function.
            for &ty in ty.params.iter().chain([&ty.ret]) {
                if let Some(id) = self.types.pointee(ty).and_then(|to| self.types.as_record(to)) {
                    self.types.complete(self.provider.btf(), id);
                }
            }
            let params: Vec<(Rc<str>, QTy)> = ty.params.iter().map(|&param| ("".into(), param)).collect();
            self.btf.func(&self.types, &func.name, ty.ret, &params, skep_btf::Linkage::Extern);
        }
        kfunc
    }

    /// A function becomes part of its caller.
    fn inline(&mut self, id: FuncId, args: &[Expr], expr: &Expr) -> Parsed<Val> {
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        if self.f().frames.iter().any(|frame| frame.func == id) {
            return self.error(expr.loc, format!("`{}` calls itself, which BPF forbids", func.name));
        }
        if self.f().frames.len() >= DEEPEST {
            return self.error(expr.loc, format!("more than {DEEPEST} functions call each other"));
        }
        self.bounded(expr.loc)?;
        let (Some(body), Some(ty)) = (func.body.clone(), self.types.as_func(func.ty)) else { return Err(Reported) };
        let (mut values, mut callees) = (Vec::new(), Vec::new());
        for (at, arg) in args.iter().enumerate() {
            values.push(self.rvalue(arg)?);
            let param = func.params.get(at).filter(|&&param| {
                let item = program.var(param);
                !item.assigned && self.types.pointee(item.ty).is_some_and(|to| self.types.as_func(to).is_some())
            });
            if let Some(&param) = param
                && let Some(callee) = self.known_callee(arg)?
            {
                callees.push((param, callee));
            }
        }
        let home = if self.types.is_void(ty.ret) {
            None
        } else if self.types.is_register(ty.ret) {
            let register = self.register(ty.ret);
            Some(Home::Value(self.f().new_local(register)))
        } else if self.is_wide(ty.ret) {
            Some(Home::Pair(self.new_pair()))
        } else {
            let size = self.types.size(ty.ret).unwrap_or(1);
            let align = self.types.align(ty.ret);
            Some(Home::Slot(self.slot(&func.name, size, align)))
        };
        let behind = self.f().new_block();
        self.enter_frame(id, ty.ret, Some((behind, home)));
        if let Some(frame) = self.f().frame() {
            frame.callees.extend(callees);
        }
        let mut result = Ok(());
        for (&param, value) in func.params.iter().zip(values) {
            result = self.parameter(param, value).and(result);
        }
        result = result.and_then(|()| self.statements(&body));
        self.f().jump(behind);
        self.leave_frame();
        self.f().enter_sealed(behind);
        result?;
        self.at(expr.loc);
        Ok(match home {
            None => Val::Void,
            Some(Home::Value(local)) => Val::Value(self.f().read(local)),
            Some(Home::Pair(pair)) => Val::Wide(self.read_pair(pair)),
            Some(Home::Slot(slot)) => {
                let base = self.f().value(InstData::SlotAddr(slot), Type::ptr(Memory::Stack));
                let align = self.types.align(ty.ret).clamp(1, 8);
                Val::Memory(super::place::Addr::new(base, align))
            }
        })
    }

    /// The address of a function, for helpers that call it back; of a kernel function whether there is one.
    pub fn func_address(&mut self, id: FuncId, loc: Loc) -> Parsed<Value> {
        let program = Rc::clone(&self.program);
        let func = program.func(id);
        if func.body.is_some() {
            let number = self.function_ref(id, true)?;
            return Ok(self.f().value(InstData::FuncAddr(number), Type::ptr(Memory::Function)));
        }
        if func.storage == Storage::Extern {
            let there = self.kernel_has(&func.name);
            return Ok(self.f().number(there.into(), PTR));
        }
        self.error(loc, format!("`{}` is declared, but not defined", func.name))
    }

    /// A legacy packet load, as a 64-bit number.
    pub fn packet_load(&mut self, width: skep_ir::Width, offset: Value) -> Value {
        let offset = if self.f().ty(offset) == Type::I64 { self.f().unary(Unary::Truncate, offset) } else { offset };
        let known = self.f().constant(offset).and_then(|known| i32::try_from(known).ok());
        let (base, k) = match known {
            Some(known) => (None, known),
            None => (Some(offset), 0),
        };
        let value = self.f().value(InstData::PacketLoad { width, base, k }, Type::I32);
        self.f().unary(Unary::Extend, value)
    }
}
