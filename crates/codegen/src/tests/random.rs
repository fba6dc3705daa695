//! Random functions: they end, read only what was written, and keep their accesses inside in ways that the verifier can
//! follow.

use skep_ir::{
    AtomicOp, Binary, Builder, Callee, Cond, Edge, FuncKind, FuncRef, Function, Global, GlobalRef, InstData, Memory,
    Module, Slot, Type, Unary, Value, Width,
};
use skep_isa::ProgType;
use skep_isa::ebpf::Cpu;
use skep_random::{Result, Unstructured};

/// Bytes of the variable that functions work on.
pub const BYTES: u32 = 64;
/// Bytes of the object in the frame.
const SLOT_BYTES: u32 = 32;

const INTS: [Type; 2] = [Type::I32, Type::I64];

/// A random module: a program, a static function, a variable.
pub fn module(u: &mut Unstructured<'_>, cpu: Cpu) -> Result<Module> {
    let mut module = Module::new("GPL");
    let bytes: [u8; BYTES as usize] = u.arbitrary()?;
    let bytes = bytes.to_vec();
    module.add_global(Global { name: "state".into(), section: ".data".into(), bytes, align: 8, ty: 0 });
    let mut params = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        params.push(*u.choose(&INTS)?);
    }
    let mut helper = Function::new("helper", FuncKind::Static, &params, Some(*u.choose(&INTS)?));
    let mut generator = Generator::new(&mut helper, cpu, None);
    generator.start();
    generator.statements(u, 2)?;
    generator.finish(u)?;
    let callee = (helper.params().iter().map(|&param| helper.ty(param)).collect(), helper.result.unwrap_or(Type::I64));
    let func = module.add_function(helper);
    let context = [Type::ptr(Memory::Context)];
    let mut main = Function::new("main", super::info(ProgType::SocketFilter), &context, Some(Type::I32));
    let mut generator = Generator::new(&mut main, cpu, Some((func, callee)));
    generator.start();
    generator.statements(u, 3)?;
    generator.finish(u)?;
    module.add_function(main);
    Ok(module)
}

type Signature = (Vec<Type>, Type);

struct Generator<'f> {
    b: Builder<'f>,
    cpu: Cpu,
    /// Integers that can be read here.
    pool: Vec<Value>,
    slot: Slot,
    callee: Option<(FuncRef, Signature)>,
    /// How much may still be made.
    left: u32,
    /// Whether the current place is in a loop.
    in_loop: bool,
}

impl<'f> Generator<'f> {
    fn new(function: &'f mut Function, cpu: Cpu, callee: Option<(FuncRef, Signature)>) -> Self {
        let slot = function.add_slot("scratch", SLOT_BYTES, 8);
        let pool = function.params().iter().copied().filter(|&param| function.ty(param).is_int()).collect();
        Self { b: Builder::new(function), cpu, pool, slot, callee, left: 60, in_loop: false }
    }

    fn start(&mut self) {
        let slot = self.b.slot_addr(self.slot);
        self.b.fill(slot, SLOT_BYTES, 0x5a, 8);
        let global = self.b.global_addr(GlobalRef(0));
        for off in [0, 8] {
            self.pool.push(self.b.load_as(Type::I64, Width::W64, false, global, off));
        }
        self.pool.push(self.b.load(Width::W32, global, 16));
    }

    fn finish(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let result = self.b.function.result.unwrap_or(Type::I64);
        let mut sum = self.int(u, Type::I64)?;
        for value in self.pool.clone() {
            let value = self.convert(value, Type::I64);
            let mixed = self.b.binary_const(Binary::Mul, sum, 31);
            sum = self.b.binary(Binary::Add, mixed, value);
        }
        if result == Type::I32 {
            let high = self.b.binary_const(Binary::Lshr, sum, 32);
            sum = self.b.binary(Binary::Xor, sum, high);
        }
        let sum = self.convert(sum, result);
        self.b.ret(Some(sum));
        Ok(())
    }

    fn convert(&mut self, value: Value, ty: Type) -> Value {
        match (self.b.function.ty(value), ty) {
            (Type::I32, Type::I64) => self.b.unary(Unary::Extend, value),
            (Type::I64, Type::I32) => self.b.unary(Unary::Truncate, value),
            _ => value,
        }
    }

    fn number(&mut self, u: &mut Unstructured<'_>, ty: Type) -> Result<Value> {
        let interesting =
            [0, 1, -1, 2, 7, 31, 63, 64, 255, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, i64::MIN, i64::MAX, 1 << 32];
        let number = if u.arbitrary()? { *u.choose(&interesting)? } else { u.arbitrary()? };
        let inst = self.b.inst(InstData::Const(if ty == Type::I32 { number & 0xffff_ffff } else { number }), &[ty]);
        Ok(self.b.function[inst].results[0])
    }

    /// Some integer of a type.
    fn int(&mut self, u: &mut Unstructured<'_>, ty: Type) -> Result<Value> {
        if self.pool.is_empty() || u.ratio(1, 4)? {
            return self.number(u, ty);
        }
        let value = *u.choose(&self.pool)?;
        Ok(self.convert(value, ty))
    }

    fn statements(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        for _ in 0..u.int_in_range(1..=8)? {
            if self.left == 0 {
                return Ok(());
            }
            self.left -= 1;
            match u.int_in_range(0..=19)? {
                0..=5 => self.binary(u)?,
                6 | 7 => self.unary(u)?,
                8 => self.choice(u)?,
                9 | 10 => self.memory(u)?,
                11 => self.indexed(u)?,
                12 => self.atomic(u)?,
                13 => self.call(u)?,
                14 | 15 if depth > 0 => self.branch(u, depth - 1)?,
                16 if depth > 0 => self.switch(u, depth - 1)?,
                17 if depth > 0 && !self.in_loop => self.counted(u, depth - 1)?,
                18 => self.blocks_of_bytes(u)?,
                _ => self.checked(u)?,
            }
        }
        Ok(())
    }

    fn binary(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (ty, op) = (*u.choose(&INTS)?, *u.choose(Binary::ALL)?);
        let (left, right) = (self.int(u, ty)?, self.int(u, ty)?);
        let value = self.b.binary(op, left, right);
        self.pool.push(value);
        Ok(())
    }

    fn unary(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let op = *u.choose(Unary::ALL)?;
        let ty = match op {
            Unary::Extend => Type::I32,
            Unary::Truncate | Unary::Swap64 => Type::I64,
            _ => *u.choose(&INTS)?,
        };
        let value = self.int(u, ty)?;
        let value = self.b.unary(op, value);
        self.pool.push(value);
        Ok(())
    }

    fn choice(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (ty, cond, result) = (*u.choose(&INTS)?, *u.choose(Cond::ALL)?, *u.choose(&INTS)?);
        let (left, right) = (self.int(u, ty)?, self.int(u, ty)?);
        let value = if u.arbitrary()? {
            self.b.compare(cond, left, right)
        } else {
            let (yes, no) = (self.int(u, result)?, self.int(u, result)?);
            self.b.select(cond, left, right, yes, no)
        };
        self.pool.push(value);
        Ok(())
    }

    /// A place with a constant offset that suits the width.
    fn place(&mut self, u: &mut Unstructured<'_>, width: Width) -> Result<(Value, i16)> {
        let in_frame = u.arbitrary()?;
        let (base, size) = if in_frame {
            (self.b.slot_addr(self.slot), SLOT_BYTES)
        } else {
            (self.b.global_addr(GlobalRef(0)), BYTES)
        };
        let off = u.int_in_range(0..=size / width.bytes() - 1)? * width.bytes();
        let part = u.int_in_range(0..=off)?;
        let base = self.b.ptr_add_const(base, part as i32);
        Ok((base, (off - part) as i16))
    }

    fn memory(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let width = *u.choose(Width::ALL)?;
        let (ptr, off) = self.place(u, width)?;
        if u.arbitrary()? {
            let ty = if width == Width::W64 { Type::I64 } else { *u.choose(&INTS)? };
            let signed = width != Width::W64 && u.arbitrary()?;
            let value = self.b.load_as(ty, width, signed, ptr, off);
            self.pool.push(value);
        } else {
            let ty = if width == Width::W64 { Type::I64 } else { *u.choose(&INTS)? };
            let value = self.int(u, ty)?;
            self.b.store(width, ptr, off, value);
        }
        Ok(())
    }

    /// An access whose index is masked.
    fn indexed(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let index = self.int(u, Type::I64)?;
        let index = self.b.binary_const(Binary::And, index, i64::from(BYTES) - 1);
        self.byte_at(u, index)
    }

    fn byte_at(&mut self, u: &mut Unstructured<'_>, index: Value) -> Result<()> {
        let base = self.b.global_addr(GlobalRef(0));
        let ptr = self.b.ptr_add(base, index);
        if u.arbitrary()? {
            let value = self.b.load_as(Type::I64, Width::W8, u.arbitrary()?, ptr, 0);
            self.pool.push(value);
        } else {
            let value = self.int(u, Type::I32)?;
            self.b.store(Width::W8, ptr, 0, value);
        }
        Ok(())
    }

    /// An access whose index is compared first, by names that are known to have been compared.
    fn checked(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let narrow = u.arbitrary()?;
        let (ty, width) = if narrow { (Type::I32, Width::W32) } else { (Type::I64, Width::W64) };
        // A loaded number, for the verifier also forbids what large constants were added to, whatever it is compared with.
        let (ptr, off) = self.place(u, width)?;
        let mut index = self.b.load_as(ty, width, false, ptr, off);
        if u.arbitrary()? {
            index = self.b.binary_const(Binary::Add, index, u.int_in_range(-9..=9)?);
        }
        let inst = self.b.inst(InstData::Const(i64::from(BYTES) - 1), &[ty]);
        let last = self.b.function[inst].results[0];
        let (out, inside) = (self.b.block(&[]), self.b.block(&[]));
        let checked = self.b.branch_refining(Cond::Ugt, index, last, out, inside);
        let outer = self.pool.clone();
        self.b.switch_to(inside);
        if u.ratio(1, 3)? {
            self.b.call_void(Callee::Helper(5), &[]);
        }
        let checked = if narrow { self.b.unary(Unary::Extend, checked) } else { checked };
        self.byte_at(u, checked)?;
        self.b.jump(out, &[]);
        self.b.switch_to(out);
        self.pool = outer;
        Ok(())
    }

    fn atomic(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let width = *u.choose(&[Width::W32, Width::W64])?;
        let ty = if width == Width::W64 { Type::I64 } else { Type::I32 };
        let (ptr, off) = self.place(u, width)?;
        let value = self.int(u, ty)?;
        if self.cpu < Cpu::V3 {
            self.b.atomic(AtomicOp::Add, width, ptr, off, value);
            return Ok(());
        }
        let op = *u.choose(AtomicOp::ALL)?;
        let data = if u.ratio(1, 4)? {
            let expected = self.int(u, ty)?;
            InstData::CompareExchange { width, ptr, off, expected, value }
        } else {
            InstData::Atomic { op, width, ptr, off, value }
        };
        let inst = self.b.inst(data, &[ty]);
        if u.arbitrary()? {
            let old = self.b.function[inst].results[0];
            self.pool.push(old);
        }
        Ok(())
    }

    fn call(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let Some((func, (params, result))) = self.callee.clone().filter(|_| !self.in_loop) else {
            self.b.call_void(Callee::Helper(5), &[]);
            return Ok(());
        };
        let mut args = Vec::new();
        for ty in params {
            args.push(self.int(u, ty)?);
        }
        let value = self.b.call(Callee::Func(func), &args, result);
        self.pool.push(value);
        Ok(())
    }

    /// Statements on several ways, which give values to the parameters of the block where they meet.
    fn ways(&mut self, u: &mut Unstructured<'_>, depth: u32, starts: &[skep_ir::Block]) -> Result<()> {
        let mut types = Vec::new();
        for _ in 0..u.int_in_range(0..=3)? {
            types.push(*u.choose(&INTS)?);
        }
        let join = self.b.block(&types);
        let outer = self.pool.clone();
        for &start in starts {
            self.b.switch_to(start);
            self.pool.clone_from(&outer);
            self.statements(u, depth)?;
            let mut args = Vec::new();
            for &ty in &types {
                args.push(self.int(u, ty)?);
            }
            self.b.jump(join, &args);
        }
        self.b.switch_to(join);
        self.pool = outer;
        self.pool.extend((0..types.len()).map(|number| self.b.param(join, number)));
        Ok(())
    }

    fn branch(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        let (ty, cond) = (*u.choose(&INTS)?, *u.choose(Cond::ALL)?);
        let (left, right) = (self.int(u, ty)?, self.int(u, ty)?);
        let (yes, no) = (self.b.block(&[]), self.b.block(&[]));
        match u.int_in_range(0..=2)? {
            0 => {
                let fused = self.b.compare(cond, left, right);
                let zero = self.b.i64(0);
                self.b.branch(*u.choose(&[Cond::Eq, Cond::Ne])?, fused, zero, yes, no);
            }
            1 => self.b.branch(cond, left, right, yes, no),
            _ => {
                let edges = [yes, no].map(Edge::to);
                let [yes, no] = edges;
                let inst = self.b.inst(InstData::Branch { cond, args: [left, right], yes, no }, &[ty, ty]);
                let names = self.b.function[inst].results.clone();
                self.pool.extend(names);
            }
        }
        self.ways(u, depth, &[yes, no])
    }

    fn switch(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        let ty = *u.choose(&INTS)?;
        let value = self.int(u, ty)?;
        let value = if u.arbitrary()? { self.b.binary_const(Binary::And, value, 7) } else { value };
        let default = self.b.block(&[]);
        let (mut cases, mut starts) = (Vec::new(), vec![default]);
        for number in 0..u.int_in_range(0..=7)? {
            let number = if u.ratio(1, 8)? { i64::from(u.arbitrary::<i32>()?) } else { number };
            let number = if ty == Type::I32 { number & 0xffff_ffff } else { number };
            if cases.iter().all(|(known, _)| *known != number) {
                let shared = u.ratio(1, 3)?;
                let block = if shared { *u.choose(&starts)? } else { self.b.block(&[]) };
                if !shared {
                    starts.push(block);
                }
                cases.push((number, Edge::to(block)));
            }
        }
        self.b.inst(InstData::Switch { value, cases, default: Edge::to(default) }, &[]);
        self.ways(u, depth, &starts)
    }

    /// A loop of a few rounds that carries values.
    fn counted(&mut self, u: &mut Unstructured<'_>, depth: u32) -> Result<()> {
        let mut types = vec![Type::I64];
        for _ in 0..u.int_in_range(0..=3)? {
            types.push(*u.choose(&INTS)?);
        }
        let (head, body, exit) = (self.b.block(&types), self.b.block(&[]), self.b.block(&[]));
        let mut args = vec![self.b.i64(0)];
        for &ty in &types[1..] {
            args.push(self.int(u, ty)?);
        }
        self.b.jump(head, &args);
        self.b.switch_to(head);
        self.pool.extend((0..types.len()).map(|number| self.b.param(head, number)));
        let outer = self.pool.clone();
        let index = self.b.param(head, 0);
        let rounds = self.b.i64(u.int_in_range(1..=4)?);
        self.b.branch(Cond::Ult, index, rounds, body, exit);
        self.b.switch_to(body);
        self.in_loop = true;
        self.statements(u, depth.min(1))?;
        self.in_loop = false;
        let mut args = vec![self.b.binary_const(Binary::Add, index, 1)];
        for &ty in &types[1..] {
            args.push(self.int(u, ty)?);
        }
        self.b.jump(head, &args);
        self.b.switch_to(exit);
        self.pool = outer;
        Ok(())
    }

    fn blocks_of_bytes(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        let (slot, global) = (self.b.slot_addr(self.slot), self.b.global_addr(GlobalRef(0)));
        let len = u.int_in_range(0..=SLOT_BYTES)?;
        match u.int_in_range(0..=2)? {
            0 => self.b.fill(global, len, u.arbitrary()?, *u.choose(&[1, 4, 8])?),
            1 => self.b.copy(slot, global, len, *u.choose(&[1, 2, 8])?),
            _ => self.b.copy(global, slot, len, *u.choose(&[1, 2, 8])?),
        }
        Ok(())
    }
}
