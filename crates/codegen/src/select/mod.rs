//! Selection: from the intermediate representation to BPF instructions over virtual registers.
//!
//! What costs at most one instruction and reads nothing that changes (numbers, addresses, a pointer plus a constant) is
//! made anew in front of each use, or disappears in the operand of the use: nothing of it is kept in a register for long.
//! Everything else is made where it stands, if somebody reads it. A 32-bit value has zeros in the upper half of its
//! register, so that widening it is no instruction; only where all readers look at the lower half may it have others.

mod control;
mod int;
mod memory;
mod needs;

use skep_ir::{Entity, FuncKind, Function, GlobalRef, InstData, Loc, Module, Space, Type, Unary, Value};
use skep_isa::ebpf::{AluOp, Cpu, Imm64, Width};

use crate::Options;
use crate::maps::Layout;
use crate::mir::{Base, Block, BlockId, Inst, MirFunc, Rhs, Symbol, VReg};
pub use memory::context;
use needs::Needs;
pub use needs::callees;

/// Selects instructions for a function that follows the rules of the representation and of [`crate::check`].
pub fn select(module: &Module, func: &Function, layout: &Layout, options: &Options) -> MirFunc {
    let needs = Needs::of(func, options.cpu);
    let mut selector = Selector {
        module,
        func,
        layout,
        options,
        needs,
        out: MirFunc::default(),
        current: BlockId(0),
        loc: Loc::default(),
        regs: vec![None; func.value_count()],
        same_as: vec![None; func.value_count()],
        block_of: vec![BlockId(0); func.block_count()],
        symbols: Vec::new(),
    };
    selector.run();
    selector.out.sort_blocks();
    selector.out
}

struct Selector<'a> {
    module: &'a Module,
    func: &'a Function,
    layout: &'a Layout,
    options: &'a Options,
    needs: Needs,
    out: MirFunc,
    current: BlockId,
    loc: Loc,
    /// The register of each value that has one.
    regs: Vec<Option<VReg>>,
    /// The value that a value is another name of.
    same_as: Vec<Option<Value>>,
    block_of: Vec<BlockId>,
    /// Values that took more than a short instruction in this block, since the last call.
    symbols: Vec<(Value, VReg)>,
}

/// The register width of a type.
const fn width(ty: Type) -> Width {
    if matches!(ty, Type::I32) { Width::W32 } else { Width::W64 }
}

impl Selector<'_> {
    fn run(&mut self) {
        let order = self.needs.order.clone();
        let mut handed_on = vec![Vec::new(); self.func.block_count()];
        let start = self.new_block();
        for &block in &order {
            self.block_of[block.index()] = self.new_block();
        }
        self.switch_to(start);
        self.start();
        for &block in &order {
            self.switch_to(self.block_of[block.index()]);
            self.symbols = std::mem::take(&mut handed_on[block.index()]);
            for inst in self.func[block].insts.clone() {
                if self.needs.inst(inst) {
                    self.loc = self.func[inst].loc;
                    // Where only this block leads to, its registers are as good.
                    let alone = |next: &skep_ir::Block| self.needs.edges_to[next.index()] == 1;
                    for next in self.func[inst].data.edges().map(|edge| edge.block).filter(alone) {
                        handed_on[next.index()].clone_from(&self.symbols);
                    }
                    self.inst(inst);
                }
            }
        }
    }

    /// Takes the arguments and goes to the entry.
    fn start(&mut self) {
        let func = self.func;
        let (entry, first) = (func.entry(), self.needs.order.first().and_then(|&block| func[block].insts.first()));
        self.loc = first.map_or(Loc::default(), |&inst| func[inst].loc);
        for &block in &self.needs.order.clone() {
            // Only the entry of a loop needs its parameters to be those of a block.
            if block == entry && self.needs.edges_to[entry.index()] == 0 {
                continue;
            }
            for &param in &func[block].params {
                let reg = self.new_reg();
                self.regs[param.index()] = Some(reg);
                let id = self.block_of[block.index()];
                self.out.blocks[id.index()].params.push(reg);
            }
        }
        let mut args: Vec<VReg> = func.params().iter().map(|_| self.new_reg()).collect();
        self.emit(Inst::Params(args.clone()));
        let replaces = matches!(&func.kind, FuncKind::Program(info) if info.prog_type == skep_isa::ProgType::Ext);
        if replaces || matches!(func.kind, FuncKind::Global | FuncKind::Callback) {
            // Nobody promises anything about the upper halves.
            for (arg, &param) in args.iter_mut().zip(func.params()) {
                if func.ty(param) == Type::I32 {
                    *arg = self.copy(Width::W32, *arg);
                }
            }
        }
        let to = self.block_of[entry.index()];
        if self.needs.edges_to[entry.index()] == 0 {
            for (arg, &param) in args.iter().zip(func.params()) {
                self.regs[param.index()] = Some(*arg);
            }
            args.clear();
        }
        self.emit(Inst::Jump(to, args));
    }

    fn inst(&mut self, inst: skep_ir::Inst) {
        let node = &self.func[inst];
        let result = node.results.first().copied();
        match &node.data {
            InstData::Unary(op, value) => self.unary(*op, *value, result),
            InstData::Binary(op, [left, right]) => self.binary(*op, *left, *right, result),
            InstData::Compare(cond, args) => self.compare(*cond, *args, result),
            InstData::Select(cond, args) => self.select_one(*cond, *args, result),
            InstData::PtrAdd(ptr, offset) => {
                if self.constant_i32(*offset).is_none() && self.relocated(*offset).is_none() {
                    self.alu(AluOp::Add, Width::W64, *ptr, *offset, result);
                }
            }
            InstData::PtrDiff(left, right) => self.alu(AluOp::Sub, Width::W64, *left, *right, result),
            InstData::PtrToInt(value) | InstData::Cast(value) | InstData::Opaque(value) => self.rename(result, *value),
            InstData::SpaceCast(space, value) => {
                let src = self.reg(*value);
                let dst = self.result(result);
                self.emit(Inst::SpaceCast { to_arena: *space == Space::User, dst, src });
            }
            InstData::Load { .. }
            | InstData::Store { .. }
            | InstData::Atomic { .. }
            | InstData::CompareExchange { .. }
            | InstData::Copy { .. }
            | InstData::Fill { .. }
            | InstData::PacketLoad { .. } => self.memory(&node.data, result),
            // Made where it is used.
            InstData::Const(_)
            | InstData::PtrAddConst(..)
            | InstData::SlotAddr(_)
            | InstData::MapAddr(_)
            | InstData::GlobalAddr(_)
            | InstData::FuncAddr(_)
            | InstData::KernelAddr(_)
            | InstData::Core(_) => {}
            InstData::Call(callee, args) => self.call(*callee, args, result),
            InstData::Jump(_)
            | InstData::Branch { .. }
            | InstData::Switch { .. }
            | InstData::MayGoto { .. }
            | InstData::Return(_)
            | InstData::Unreachable => self.terminator(inst),
        }
    }

    fn new_reg(&mut self) -> VReg {
        self.out.vregs += 1;
        VReg(self.out.vregs - 1)
    }

    fn new_block(&mut self) -> BlockId {
        self.out.blocks.push(Block::default());
        BlockId(u32::try_from(self.out.blocks.len() - 1).unwrap_or(u32::MAX))
    }

    fn switch_to(&mut self, block: BlockId) {
        self.current = block;
        self.symbols.clear();
    }

    fn emit(&mut self, inst: Inst) {
        self.out.blocks[self.current.index()].insts.push((inst, self.loc));
    }

    /// The register that a result is made in.
    fn result(&mut self, result: Option<Value>) -> VReg {
        let reg = self.new_reg();
        if let Some(value) = result {
            self.regs[value.index()] = Some(reg);
        }
        reg
    }

    fn rename(&mut self, result: Option<Value>, value: Value) {
        if let Some(result) = result {
            self.same_as[result.index()] = Some(self.root(value));
        }
    }

    fn root(&self, mut value: Value) -> Value {
        while let Some(next) = self.same_as[value.index()] {
            value = next;
        }
        value
    }

    /// The number that a value is, as its register would hold it.
    fn constant(&self, value: Value) -> Option<i64> {
        let value = self.root(value);
        let number = self.func.constant(value)?;
        Some(if self.func.ty(value) == Type::I32 { i64::from(number as u32) } else { number })
    }

    /// The number if a 64-bit instruction can hold it.
    fn constant_i32(&self, value: Value) -> Option<i32> {
        i32::try_from(self.constant(value)?).ok()
    }

    /// The second operand of an operation of a width.
    fn rhs(&mut self, value: Value, width: Width) -> Rhs {
        let imm = match width {
            Width::W32 => self.constant(value).map(|number| number as i32),
            Width::W64 => self.constant_i32(value),
        };
        imm.map_or_else(|| Rhs::Reg(self.reg(value)), Rhs::Imm)
    }

    /// The register that holds a value; what is made where it is used is made now.
    fn reg(&mut self, value: Value) -> VReg {
        let value = self.root(value);
        if let Some(reg) = self.regs[value.index()] {
            return reg;
        }
        if let Some((_, reg)) = self.symbols.iter().find(|(known, _)| *known == value) {
            return *reg;
        }
        let (root, off) = self.pointer(value);
        if root != value {
            return self.address(root, off);
        }
        if let Some(InstData::PtrAdd(ptr, offset)) = self.func.def_inst(value) {
            // A member whose place is relocated, and that is more than read or written.
            let (ptr, offset) = (self.reg(*ptr), self.reg(*offset));
            let reg = self.emit_alu(Width::W64, AluOp::Add, ptr, Rhs::Reg(offset));
            self.symbols.push((value, reg));
            return reg;
        }
        let reg = self.new_reg();
        match self.func.def_inst(value) {
            Some(InstData::SlotAddr(slot)) => self.emit(Inst::SlotAddr { dst: reg, slot: *slot, off: 0 }),
            Some(InstData::MapAddr(map)) => self.symbol(value, reg, Symbol::Map(Imm64::MapFd(map.0 as i32))),
            Some(InstData::GlobalAddr(global)) => self.symbol(value, reg, self.global(*global)),
            Some(InstData::FuncAddr(func)) => self.emit(Inst::Symbol { dst: reg, symbol: Symbol::Func(*func) }),
            Some(InstData::KernelAddr(kfunc)) => self.symbol(value, reg, Symbol::Kernel(*kfunc)),
            Some(InstData::Core(core)) => {
                let info = &self.module.cores[core.index()];
                let symbol = Symbol::Core {
                    core: core.0,
                    value: info.local,
                    width: width(self.func.ty(value)),
                    wide: info.kind == skep_ir::CoreKind::EnumValue,
                };
                self.emit(Inst::Symbol { dst: reg, symbol });
            }
            // The rules leave nothing but numbers.
            _ => {
                let number = self.constant(value).unwrap_or(0);
                self.emit(Inst::Const { dst: reg, value: number });
                if i32::try_from(number).is_err() && u32::try_from(number).is_err() {
                    self.symbols.push((value, reg));
                }
            }
        }
        reg
    }

    fn symbol(&mut self, value: Value, dst: VReg, symbol: Symbol) {
        self.symbols.push((value, dst));
        self.emit(Inst::Symbol { dst, symbol });
    }

    fn global(&self, global: GlobalRef) -> Symbol {
        let place = self.layout.globals[global.index()];
        Symbol::Map(place.map.load_value(place.offset))
    }

    /// The pointer that a pointer was made of by adding constants, and their sum.
    fn pointer(&self, value: Value) -> (Value, i64) {
        let (mut value, mut sum) = (self.root(value), 0i64);
        while self.regs[value.index()].is_none() {
            let (base, off) = match self.func.def_inst(value) {
                Some(InstData::PtrAddConst(base, off)) => (*base, i64::from(*off)),
                Some(InstData::PtrAdd(base, off)) => match self.constant_i32(*off) {
                    Some(off) => (*base, i64::from(off)),
                    None => break,
                },
                _ => break,
            };
            // A sum that no instruction can hold is made step by step.
            let Ok(next) = i32::try_from(sum + off) else { break };
            (value, sum) = (self.root(base), i64::from(next));
        }
        (value, sum)
    }

    /// A pointer plus a constant in a register.
    fn address(&mut self, root: Value, off: i64) -> VReg {
        let off = off as i32;
        if let Some(InstData::SlotAddr(slot)) = self.func.def_inst(root)
            && self.regs[root.index()].is_none()
        {
            let dst = self.new_reg();
            self.emit(Inst::SlotAddr { dst, slot: *slot, off });
            return dst;
        }
        let base = self.reg(root);
        if off == 0 { base } else { self.emit_alu(Width::W64, AluOp::Add, base, Rhs::Imm(off)) }
    }

    /// The number of the constant that an offset is, if it is the relocated place of a member that fits into an access.
    fn relocated(&self, offset: Value) -> Option<(u32, i16)> {
        let Some(InstData::Core(core)) = self.func.def_inst(self.root(offset)) else { return None };
        let info = &self.module.cores[core.index()];
        let off = i16::try_from(info.local).ok()?;
        (info.kind == skep_ir::CoreKind::FieldOffset).then_some((core.0, off))
    }

    /// The same for a pointer that is a member of what another points to.
    fn member(&self, ptr: Value) -> Option<(Value, u32, i16)> {
        let Some(InstData::PtrAdd(base, offset)) = self.func.def_inst(self.root(ptr)) else { return None };
        let (core, off) = self.relocated(*offset)?;
        Some((*base, core, off))
    }

    /// How a read or write reaches `off` bytes behind a pointer: as [`place`](Self::place), or relocated itself.
    fn place_or_member(&mut self, ptr: Value, off: i16) -> (Base, i16) {
        match self.member(ptr) {
            Some((base, core, local)) if off == 0 => (Base::Core(self.reg(base), core), local),
            _ => self.place(ptr, off),
        }
    }

    /// How an access reaches `off` bytes behind a pointer.
    fn place(&mut self, ptr: Value, off: i16) -> (Base, i16) {
        let (root, sum) = self.pointer(ptr);
        let total = sum + i64::from(off);
        let slot = match self.func.def_inst(root) {
            Some(InstData::SlotAddr(slot)) if self.regs[root.index()].is_none() => Some(*slot),
            _ => None,
        };
        match (slot, i16::try_from(total)) {
            // The place of the object comes on top.
            (Some(slot), Ok(total)) if total.unsigned_abs() < 0x4000 => (Base::Slot(slot), total),
            (None, Ok(total)) => (Base::Reg(self.reg(root)), total),
            _ => (Base::Reg(self.reg(ptr)), off),
        }
    }

    fn copy(&mut self, width: Width, src: VReg) -> VReg {
        let dst = self.new_reg();
        self.emit(Inst::Copy { width, dst, src });
        dst
    }

    fn number(&mut self, value: i64) -> VReg {
        let dst = self.new_reg();
        self.emit(Inst::Const { dst, value });
        dst
    }

    fn emit_alu(&mut self, width: Width, op: AluOp, lhs: VReg, rhs: Rhs) -> VReg {
        let dst = self.new_reg();
        self.emit(Inst::Alu { width, op, dst, lhs, rhs });
        dst
    }

    /// Gives a result a register that exists already.
    fn bind(&mut self, result: Option<Value>, reg: VReg) {
        if let Some(value) = result {
            self.regs[value.index()] = Some(reg);
        }
    }

    /// Whether the upper half of a 32-bit result must be zero.
    fn is_wide(&self, result: Option<Value>) -> bool {
        result.is_none_or(|value| self.needs.wide[value.index()])
    }

    fn has(&self, cpu: Cpu) -> bool {
        self.options.cpu >= cpu
    }

    /// Whether the upper half of the register of a 64-bit value is known to be zero.
    fn is_clean(&self, value: Value) -> bool {
        let value = self.root(value);
        if self.func.ty(value) == Type::I32 {
            return self.is_wide(Some(value));
        }
        match self.func.def_inst(value) {
            Some(InstData::Const(number)) => u32::try_from(*number).is_ok(),
            Some(InstData::Load { width, signed: false, .. }) => width.bytes() < 8,
            Some(InstData::Compare(..) | InstData::Unary(Unary::Swap16 | Unary::Swap32, _)) => true,
            Some(InstData::Binary(skep_ir::Binary::And, args)) => {
                args.iter().any(|&arg| self.constant(arg).is_some_and(|number| u32::try_from(number).is_ok()))
            }
            Some(InstData::Binary(skep_ir::Binary::Lshr, [_, count])) => {
                self.constant(*count).is_some_and(|count| count & 63 >= 32)
            }
            _ => false,
        }
    }
}
