//! Assembly among statements: each register is a variable, each instruction what the representation has for it.

use std::collections::HashMap;

use skep_ir::{AtomicOp, Binary, Block, Callee, Cond, Entity, FuncKind, InstData, Space, Type, Unary, Value, Width};
use skep_isa::ebpf::{self, AluOp, Imm64, JmpOp, Op, Order, Reg, Size, Src};

use super::is_memory;
use super::text::Assembled;
use crate::konst::Symbol;
use crate::lower::Lower;
use crate::lower::func::{Local, PTR};
use crate::parse::Parsed;
use crate::parse::ast::Asm;
use crate::source::{Diag, Loc};

/// The registers that assembly can use: the frame pointer is the compiler's.
const REGISTERS: usize = 10;

/// `bpf_map_lookup_elem`
const MAP_LOOKUP_ELEM: u32 = 1;

/// Assembly that becomes instructions.
struct Body<'a> {
    registers: [Local; REGISTERS],
    assembled: &'a Assembled,
    blocks: HashMap<u32, Block>,
    loc: Loc,
}

/// The registers that a text names itself. What conditions of the assembler compare with is no use of them.
fn named_registers(text: &str) -> [bool; REGISTERS] {
    let mut named = [false; REGISTERS];
    let lines = text.split(['\n', ';']).filter(|line| !line.trim_start().starts_with(".ifc"));
    let text = lines.collect::<Vec<_>>().join("\n");
    let bytes = text.as_bytes();
    for (at, pair) in bytes.windows(2).enumerate() {
        let word = |at: Option<usize>| {
            at.and_then(|at| bytes.get(at)).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_')
        };
        if matches!(pair[0], b'r' | b'w') && pair[1].is_ascii_digit() && !word(at.checked_sub(1)) && !word(Some(at + 2))
        {
            named[usize::from(pair[1] - b'0')] = true;
        }
    }
    named
}

/// Whether an operand is in a register.
fn in_register(constraint: &str) -> bool {
    constraint.contains(['r', 'w', 'g', 'p']) || constraint.trim().starts_with(|c: char| c.is_ascii_digit() || c == '[')
}

impl Lower<'_> {
    pub(super) fn inline_asm(&mut self, asm: &Asm) -> Parsed<()> {
        let numbers = self.place_operands(asm)?;
        let registers: [Local; REGISTERS] = std::array::from_fn(|_| self.f().new_local(Type::I64));
        // Values first, writing them last: operands may have calls in them.
        let mut values = Vec::new();
        for (at, operand) in asm.outputs.iter().chain(&asm.inputs).enumerate() {
            if let Some(number) = numbers[at].filter(|_| is_memory(operand)) {
                let addr = self.addr(&operand.expr)?;
                let ptr = self.accessed(addr);
                let address = self.f().make_int(ptr);
                values.push((number, address));
            }
        }
        for (at, output) in asm.outputs.iter().enumerate() {
            if let (Some(number), Some(value)) = (numbers[at], self.through(asm, output)?) {
                values.push((number, self.opened(value, output.expr.ty)));
            }
        }
        for (at, input) in asm.inputs.iter().enumerate() {
            let tied = input.constraint.trim().starts_with(|c: char| c.is_ascii_digit() || c == '[');
            if let Some(number) = numbers[asm.outputs.len() + at].filter(|_| !tied && !is_memory(input)) {
                let expr = self.uncut(&input.expr);
                let value = self.value(expr)?;
                values.push((number, self.opened(value, expr.ty)));
            }
        }
        for (number, value) in values {
            self.f().write(registers[usize::from(number)], value);
        }
        let assembled = self.assemble(&[asm], &|at| numbers.get(at).copied().flatten())?;
        self.at(asm.loc);
        let mut body = Body { registers, assembled: &assembled, blocks: HashMap::new(), loc: asm.loc };
        self.asm_blocks(asm, &mut body)?;
        for (at, output) in asm.outputs.iter().enumerate() {
            if let Some(number) = numbers[at].filter(|_| !is_memory(output)) {
                let value = self.f().read(registers[usize::from(number)]);
                let made = self.closed(value, output.expr.ty);
                let place = self.place(&output.expr)?;
                self.write(&place, output.expr.ty, made)?;
            }
        }
        Ok(())
    }

    /// A register for each operand that is in one.
    fn place_operands(&mut self, asm: &Asm) -> Parsed<Vec<Option<u8>>> {
        let named = named_registers(&asm.text);
        let mut free = (0..REGISTERS as u8).rev().filter(|&number| !named[usize::from(number)]);
        let mut numbers: Vec<Option<u8>> = Vec::new();
        for operand in asm.outputs.iter().chain(&asm.inputs) {
            let output = asm
                .outputs
                .iter()
                .position(|output| Self::tied(asm, output).is_some_and(|of| std::ptr::eq(of, operand)));
            let number = match output {
                Some(output) => numbers.get(output).copied().flatten(),
                None if !is_memory(operand) && !in_register(&operand.constraint) => None,
                None => {
                    let Some(number) = free.next() else {
                        return self.error(asm.loc, "the assembly has more operands than there are registers");
                    };
                    Some(number)
                }
            };
            numbers.push(number);
        }
        Ok(numbers)
    }

    fn asm_blocks(&mut self, asm: &Asm, body: &mut Body<'_>) -> Parsed<()> {
        let end = body.assembled.end;
        let mut targets = vec![end];
        for (at, op) in body.assembled.ops.iter().filter(|(at, _)| at.0 < end) {
            targets.extend(target(at.0, op));
        }
        for &slot in &targets {
            let block = match slot.checked_sub(end + 1).and_then(|at| asm.labels.get(at as usize)) {
                Some(&label) => self.label(label),
                None => self.f().new_block(),
            };
            body.blocks.insert(slot, block);
        }
        let behind = body.blocks[&end];
        for (at, op) in body.assembled.ops.iter().filter(|(at, _)| at.0 < end) {
            if let Some(&block) = body.blocks.get(&at.0) {
                self.f().jump(block);
                self.f().block = block;
            }
            self.asm_op(body, at.0, *op)?;
        }
        self.f().jump(behind);
        for (&slot, &block) in &body.blocks {
            if slot <= end {
                self.f().seal(block);
            }
        }
        self.f().block = behind;
        Ok(())
    }

    fn asm_read(&mut self, body: &Body<'_>, register: Reg) -> Parsed<Value> {
        match body.registers.get(usize::from(register.number())) {
            Some(&local) => Ok(self.f().read(local)),
            None => self.push(
                Diag::error(
                    body.loc,
                    "the assembly uses `r10`: in a function with other statements the stack is the compiler's",
                )
                .with_help("pass the address of a variable, or make a `__naked` function of it"),
            ),
        }
    }

    fn asm_write(&mut self, body: &Body<'_>, register: Reg, value: Value) {
        if let Some(&local) = body.registers.get(usize::from(register.number())) {
            self.f().write(local, value);
        }
    }

    fn asm_source(&mut self, body: &Body<'_>, source: Src) -> Parsed<Value> {
        match source {
            Src::Reg(register) => self.asm_read(body, register),
            Src::Imm(number) => Ok(self.f().number(number.into(), Type::I64)),
        }
    }

    /// The lower half if an operation has 32 bits.
    fn low(&mut self, value: Value, width: ebpf::Width) -> Value {
        if width == ebpf::Width::W64 { value } else { self.f().unary(Unary::Truncate, value) }
    }

    fn full(&mut self, value: Value) -> Value {
        if self.f().ty(value) == Type::I32 { self.f().unary(Unary::Extend, value) } else { value }
    }

    fn asm_op(&mut self, body: &Body<'_>, slot: u32, op: Op) -> Parsed<()> {
        match op {
            Op::Alu { width, op: AluOp::Mov, dst, src } => {
                let value = self.asm_source(body, src)?;
                let value = self.low(value, width);
                let value = self.full(value);
                self.asm_write(body, dst, value);
            }
            Op::Alu { width, op, dst, src } => {
                let (left, right) = (self.asm_read(body, dst)?, self.asm_source(body, src)?);
                let (left, right) = (self.low(left, width), self.low(right, width));
                let op = Binary::ALL.iter().copied().find(|binary| binary.alu() == op).unwrap_or(Binary::Add);
                let value = self.f().binary(op, left, right);
                let value = self.full(value);
                self.asm_write(body, dst, value);
            }
            Op::MovSx { width, from, dst, src } => {
                let value = self.asm_read(body, src)?;
                let value = if from == Size::W { value } else { self.low(value, width) };
                let op = match from {
                    Size::B => Unary::Sext8,
                    Size::H => Unary::Sext16,
                    _ => Unary::Sext32,
                };
                let value = self.f().unary(op, value);
                let value = self.full(value);
                self.asm_write(body, dst, value);
            }
            Op::Neg { width, dst } => {
                let value = self.asm_read(body, dst)?;
                let value = self.low(value, width);
                let value = self.f().unary(Unary::Neg, value);
                let value = self.full(value);
                self.asm_write(body, dst, value);
            }
            Op::Swap { order, size, dst } => {
                let value = self.asm_read(body, dst)?;
                let value = match (order, size) {
                    (Order::Little, Size::H) => self.f().binary_number(Binary::And, value, 0xffff),
                    (Order::Little, Size::W) => self.f().binary_number(Binary::And, value, 0xffff_ffff),
                    (Order::Little, _) => value,
                    (_, Size::H) => self.f().unary(Unary::Swap16, value),
                    (_, Size::W) => self.f().unary(Unary::Swap32, value),
                    _ => self.f().unary(Unary::Swap64, value),
                };
                self.asm_write(body, dst, value);
            }
            Op::AddrSpaceCast { dst, src, to_arena } => {
                let value = self.asm_read(body, src)?;
                let value = self.f().space_cast(if to_arena { Space::User } else { Space::Kernel }, value);
                let value = self.f().make_int(value);
                self.asm_write(body, dst, value);
            }
            _ => return self.asm_memory(body, slot, op),
        }
        Ok(())
    }

    /// Loads, stores, constants; everything else goes on.
    fn asm_memory(&mut self, body: &Body<'_>, slot: u32, op: Op) -> Parsed<()> {
        match op {
            Op::Load { size, signed, dst, base, off } => {
                let base = self.asm_read(body, base)?;
                let ptr = self.f().make_ptr(base);
                let data = InstData::Load { width: memory_width(size), signed, ptr, off, volatile: true };
                let value = self.f().value(data, Type::I64);
                self.asm_write(body, dst, value);
            }
            Op::Store { size, base, off, src } => {
                let (base, value) = (self.asm_read(body, base)?, self.asm_source(body, src)?);
                let ptr = self.f().make_ptr(base);
                self.f().inst(InstData::Store { width: memory_width(size), ptr, off, value, volatile: true }, &[]);
            }
            Op::Atomic { width, op, fetch, base, off, src } => {
                return self.asm_atomic(body, width, op, fetch, (base, off), src);
            }
            Op::LoadImm { dst, value: Imm64::Value(number) } => {
                let value = match body.assembled.references.iter().find(|(at, ..)| *at == slot) {
                    Some((_, symbol, off)) => self.asm_symbol(symbol, *off, body.loc)?,
                    None => self.f().number(number.cast_signed(), Type::I64),
                };
                self.asm_write(body, dst, value);
            }
            Op::LdAbs { size, k } => {
                let offset = self.f().number(k.into(), Type::I32);
                let value = self.packet_load(memory_width(size), offset);
                self.asm_write(body, Reg::R0, value);
            }
            _ => return self.asm_control(body, slot, op),
        }
        Ok(())
    }

    /// Jumps and calls.
    fn asm_control(&mut self, body: &Body<'_>, slot: u32, op: Op) -> Parsed<()> {
        let at = |distance: i64| {
            body.blocks.get(&u32::try_from(i64::from(slot) + 1 + distance).unwrap_or(u32::MAX)).copied()
        };
        match op {
            Op::Goto { off } => {
                if let Some(block) = at(off.into()) {
                    self.f().jump(block);
                }
            }
            Op::GotoLong { off } => {
                if let Some(block) = at(off.into()) {
                    self.f().jump(block);
                }
            }
            Op::JumpIf { width, op, dst, src, off } => {
                let (left, right) = (self.asm_read(body, dst)?, self.asm_source(body, src)?);
                let (left, right) = (self.low(left, width), self.low(right, width));
                let Some(yes) = at(off.into()) else { return Ok(()) };
                let no = self.f().new_block();
                self.f().branch(condition(op), left, right, yes, no);
                self.f().enter_sealed(no);
            }
            Op::MayGoto { off } => {
                let Some(done) = at(off.into()) else { return Ok(()) };
                let next = self.f().new_block();
                self.f().may_goto(next, done);
                self.f().enter_sealed(next);
            }
            Op::Call(ebpf::Callee::Helper(id)) => return self.asm_helper(body, id.cast_unsigned()),
            Op::Call(ebpf::Callee::Local(_)) => return self.asm_call(body, slot),
            Op::Exit => return self.asm_exit(body),
            _ => return self.error(body.loc, "the assembly has an instruction that is not supported among statements"),
        }
        Ok(())
    }

    fn asm_symbol(&mut self, symbol: &Symbol, off: i64, loc: Loc) -> Parsed<Value> {
        let base = match symbol {
            Symbol::Var(var) => {
                let addr = self.global_addr(*var, loc)?;
                self.pointer_value(addr)
            }
            Symbol::Func(func) => self.func_address(*func, loc)?,
            Symbol::Str(text) => {
                let global = self.string(text);
                self.f().value(InstData::GlobalAddr(global), Type::ptr(skep_ir::Memory::Global(global)))
            }
        };
        let ptr = self.f().make_ptr(base);
        let ptr = self.f().add_bytes(ptr, off);
        Ok(self.f().make_int(ptr))
    }

    fn asm_atomic(
        &mut self,
        body: &Body<'_>,
        size: ebpf::Width,
        op: ebpf::AtomicOp,
        fetch: bool,
        (base, off): (Reg, i16),
        src: Reg,
    ) -> Parsed<()> {
        let (base, value) = (self.asm_read(body, base)?, self.asm_read(body, src)?);
        let ptr = self.f().make_ptr(base);
        let value = self.low(value, size);
        let (ty, width) = if size == ebpf::Width::W64 { (Type::I64, Width::W64) } else { (Type::I32, Width::W32) };
        let Some(&op) = AtomicOp::ALL.iter().find(|known| known.isa() == op) else {
            let expected = self.asm_read(body, Reg::R0)?;
            let expected = self.low(expected, size);
            let old = self.f().value(InstData::CompareExchange { width, ptr, off, expected, value }, ty);
            let old = self.full(old);
            self.asm_write(body, Reg::R0, old);
            return Ok(());
        };
        let data = InstData::Atomic { op, width, ptr, off, value };
        if fetch {
            let old = self.f().value(data, ty);
            let old = self.full(old);
            self.asm_write(body, src, old);
        } else {
            self.f().inst(data, &[]);
        }
        Ok(())
    }

    /// The first arguments of a call.
    fn asm_arguments(&mut self, body: &Body<'_>, count: usize) -> Vec<Value> {
        let locals: Vec<Local> = body.registers[1..].iter().take(count.min(5)).copied().collect();
        let f = self.f();
        let mut values: Vec<Value> = locals.into_iter().map(|local| f.read(local)).collect();
        for value in &mut values {
            if let Some(InstData::PtrToInt(inner)) = f.function.def_inst(*value) {
                *value = *inner;
            }
        }
        values
    }

    fn asm_helper(&mut self, body: &Body<'_>, id: u32) -> Parsed<()> {
        let Some(helper) = skep_isa::helpers::by_id(id) else {
            return self.error(body.loc, format!("there is no helper with the number {id}"));
        };
        self.check_helper(id, body.loc);
        let count = helper.signatures.iter().map(|signature| signature.args.len()).max().unwrap_or(5);
        let mut args = self.asm_arguments(body, count);
        if let (MAP_LOOKUP_ELEM, Some(map)) = (id, args.first_mut()) {
            *map = self.f().make_ptr(*map);
        }
        let value = self.f().value(InstData::Call(Callee::Helper(id), args), Type::I64);
        self.asm_write(body, Reg::R0, value);
        Ok(())
    }

    fn asm_call(&mut self, body: &Body<'_>, slot: u32) -> Parsed<()> {
        let found = body.assembled.references.iter().find(|(at, ..)| *at == slot).map(|(_, symbol, _)| symbol.clone());
        let Some(Symbol::Func(id)) = found else {
            return self.error(body.loc, "the assembly calls something that is no function");
        };
        let program = std::rc::Rc::clone(&self.program);
        let func = program.func(id);
        let params = self.types.as_func(func.ty).map_or(0, |ty| ty.params.len());
        let mut args = self.asm_arguments(body, params);
        if func.body.is_none() {
            let kfunc = self.kfunc_ref(id);
            let value = self.f().value(InstData::Call(Callee::Kfunc(kfunc), args), Type::I64);
            self.asm_write(body, Reg::R0, value);
            return Ok(());
        }
        let number = self.function_ref(id, false)?;
        let callee = &self.module.functions[number.index()];
        let (types, result): (Vec<Type>, _) = match callee.kind {
            // Its parameters are there before it is lowered.
            FuncKind::Static | FuncKind::Global => {
                (callee.params().iter().map(|&param| callee.ty(param)).collect(), callee.result)
            }
            _ => return self.error(body.loc, format!("`{}` is a program: only the kernel calls it", func.name)),
        };
        for (arg, ty) in args.iter_mut().zip(types) {
            *arg = if ty.is_int() {
                let wide = self.f().make_int(*arg);
                if ty == Type::I32 { self.f().unary(Unary::Truncate, wide) } else { wide }
            } else {
                self.f().make_ptr(*arg)
            };
        }
        match result {
            Some(ty) => {
                let value = self.f().value(InstData::Call(Callee::Func(number), args), ty);
                let value = if ty == PTR { self.f().make_int(value) } else { self.full(value) };
                self.asm_write(body, Reg::R0, value);
            }
            None => {
                self.f().inst(InstData::Call(Callee::Func(number), args), &[]);
            }
        }
        Ok(())
    }

    fn asm_exit(&mut self, body: &Body<'_>) -> Parsed<()> {
        if self.f().frames.len() > 1 {
            return self.push(
                Diag::error(body.loc, "the assembly leaves a function that has become part of another")
                    .with_help("jump to a label of `asm goto`, or make the function `__noinline`"),
            );
        }
        let value = self.asm_read(body, Reg::R0)?;
        let value = match self.f().function.result {
            None => None,
            Some(Type::I32) => Some(self.f().unary(Unary::Truncate, value)),
            Some(Type::I64) => Some(value),
            Some(_) => Some(self.f().make_ptr(value)),
        };
        self.f().ret(value);
        Ok(())
    }
}

/// Where an instruction jumps, as a slot.
fn target(slot: u32, op: &Op) -> Option<u32> {
    let distance = match op {
        Op::Goto { off } | Op::JumpIf { off, .. } | Op::MayGoto { off } => i64::from(*off),
        Op::GotoLong { off } => i64::from(*off),
        _ => return None,
    };
    u32::try_from(i64::from(slot) + 1 + distance).ok()
}

fn condition(op: JmpOp) -> Cond {
    Cond::ALL.iter().copied().find(|cond| cond.jump() == op).unwrap_or(Cond::Ne)
}

const fn memory_width(size: Size) -> Width {
    match size {
        Size::B => Width::W8,
        Size::H => Width::W16,
        Size::W => Width::W32,
        Size::DW => Width::W64,
    }
}
