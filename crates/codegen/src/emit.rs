//! Emission: from instructions with allocated registers to code with labels.
//!
//! Blocks that do nothing but go on are jumped over, blocks that nothing leads to are left out (the verifier refuses
//! unreachable code), and a block that comes next is entered without a jump.

use skep_ir::Loc;
use skep_isa::ebpf::{AluOp, Callee, Imm64, JmpOp, Op, Reg, Size, Src, Width};

use crate::code::{Code, Insn, Item, Label, Link};
use crate::frame::Frame;
use crate::mir::{Base, BlockId, Inst, MirFunc, Rhs, Symbol, Target};
use crate::regalloc::{Allocation, Move};
use crate::{polish, spills, ways};

/// A block with registers.
pub struct Block {
    /// Instructions that do not jump.
    pub body: Vec<Insn>,
    /// What comes then.
    pub end: End,
    /// Where the end comes from.
    pub loc: Loc,
}

/// How a block ends.
#[derive(Clone, Copy)]
pub enum End {
    /// Another block.
    Goto(BlockId),
    /// One of two.
    If {
        /// Width of the comparison.
        width: Width,
        /// Condition.
        op: JmpOp,
        /// First operand.
        dst: Reg,
        /// Second operand.
        src: Src,
        /// Where to if it holds.
        yes: BlockId,
        /// Where to if not.
        no: BlockId,
    },
    /// The loop or what is behind it.
    MayGoto {
        /// The loop.
        next: BlockId,
        /// Behind it.
        done: BlockId,
    },
    /// The caller.
    Exit,
}

impl End {
    fn map(self, to: impl Fn(BlockId) -> BlockId) -> Self {
        match self {
            Self::Goto(block) => Self::Goto(to(block)),
            Self::If { yes, no, .. } if to(yes) == to(no) => Self::Goto(to(yes)),
            Self::If { width, op, dst, src, yes, no } => Self::If { width, op, dst, src, yes: to(yes), no: to(no) },
            Self::MayGoto { next, done } => Self::MayGoto { next: to(next), done: to(done) },
            Self::Exit => Self::Exit,
        }
    }

    /// The blocks that may come next.
    pub fn targets(self) -> [Option<BlockId>; 2] {
        match self {
            Self::Goto(block) => [Some(block), None],
            Self::If { yes, no, .. } => [Some(yes), Some(no)],
            Self::MayGoto { next, done } => [Some(next), Some(done)],
            Self::Exit => [None, None],
        }
    }
}

/// Emits a function.
pub fn emit(mir: &MirFunc, allocation: &Allocation, frame: &Frame) -> Code {
    let mut blocks = lower(mir, allocation, frame);
    spills::reuse(&mut blocks, frame);
    polish::polish(&mut blocks);
    thread(&mut blocks);
    ways::share(&mut blocks);
    thread(&mut blocks);
    exit_early(&mut blocks);
    let order = order(&blocks);
    let mut code = Code::default();
    let labels: Vec<Label> = blocks.iter().map(|_| code.label()).collect();
    for (at, block) in order.iter().enumerate() {
        code.items.push(Item::Label(labels[block.index()]));
        let block = &blocks[block.index()];
        code.items.extend(block.body.iter().copied().map(Item::Insn));
        end(&mut code, block, order.get(at + 1).copied(), &labels);
    }
    code
}

fn end(code: &mut Code, block: &Block, next: Option<BlockId>, labels: &[Label]) {
    let label = |block: BlockId| labels[block.index()];
    let mut jump = |op, to| code.items.push(Item::Insn(Insn::jump(op, label(to), block.loc)));
    let goto = Op::Goto { off: 0 };
    match block.end {
        End::Exit => code.items.push(Item::Insn(Insn::new(Op::Exit, block.loc))),
        End::Goto(to) => {
            if next != Some(to) {
                jump(goto, to);
            }
        }
        End::MayGoto { next: again, done } => {
            jump(Op::MayGoto { off: 0 }, done);
            if next != Some(again) {
                jump(goto, again);
            }
        }
        End::If { width, op, dst, src, yes, no } => {
            let (op, yes, no) = match op.inverse() {
                Some(inverse) if next == Some(yes) => (inverse, no, yes),
                _ => (op, yes, no),
            };
            jump(Op::JumpIf { width, op, dst, src, off: 0 }, yes);
            if next != Some(no) {
                jump(goto, no);
            }
        }
    }
}

/// Leads every jump past blocks that only go on.
fn thread(blocks: &mut [Block]) {
    let forward: Vec<BlockId> = (0..blocks.len())
        .map(|start| {
            let mut to = BlockId(start as u32);
            // An endless loop of empty blocks ends the search after a round.
            for _ in 0..blocks.len() {
                match &blocks[to.index()] {
                    Block { body, end: End::Goto(next), .. } if body.is_empty() => to = *next,
                    _ => break,
                }
            }
            to
        })
        .collect();
    for block in blocks {
        block.end = block.end.map(|to| forward[to.index()]);
    }
}

/// Ends blocks that would jump to an exit with one of their own.
fn exit_early(blocks: &mut [Block]) {
    let order = order(blocks);
    for (at, &block) in order.iter().enumerate() {
        if let End::Goto(to) = blocks[block.index()].end
            && order.get(at + 1) != Some(&to)
            && blocks[to.index()].body.is_empty()
            && matches!(blocks[to.index()].end, End::Exit)
        {
            blocks[block.index()].end = End::Exit;
        }
    }
}

/// The blocks that can be reached in reverse postorder: each behind those that lead to it, except at loops, and where there
/// are two ways the one that is taken without a jump next.
fn order(blocks: &[Block]) -> Vec<BlockId> {
    let targets = |block: BlockId| match blocks[block.index()].end {
        End::MayGoto { next, done } => [Some(done), Some(next)],
        end => end.targets(),
    };
    let mut seen = vec![false; blocks.len()];
    let mut order = Vec::new();
    let mut stack = vec![(BlockId(0), targets(BlockId(0)).into_iter().flatten())];
    seen[0] = true;
    while let Some((block, rest)) = stack.last_mut() {
        let Some(target) = rest.next() else {
            order.push(*block);
            stack.pop();
            continue;
        };
        if !std::mem::replace(&mut seen[target.index()], true) {
            stack.push((target, targets(target).into_iter().flatten()));
        }
    }
    order.reverse();
    order
}

fn lower(mir: &MirFunc, allocation: &Allocation, frame: &Frame) -> Vec<Block> {
    // A place that is never read need not be written.
    let mut filled = vec![false; allocation.spills as usize];
    for (_, edit) in &allocation.moves {
        if let Move::Fill { from, .. } = edit {
            filled[*from as usize] = true;
        }
    }
    let mut moves = allocation.moves.iter().peekable();
    let mut number = 0;
    let mut blocks = Vec::with_capacity(mir.blocks.len());
    for block in &mir.blocks {
        let mut lowering = Lowering { body: Vec::new(), frame, loc: Loc::default() };
        let mut end = End::Exit;
        for (inst, loc) in &block.insts {
            lowering.loc = *loc;
            while let Some((_, edit)) = moves.next_if(|(at, _)| *at as usize <= number) {
                if !matches!(edit, Move::Spill { to, .. } if !filled[*to as usize]) {
                    lowering.edit(*edit);
                }
            }
            match lowering.inst(inst, allocation.operands(number)) {
                Some(found) => end = found,
                None => lowering.drop_useless(),
            }
            number += 1;
        }
        blocks.push(Block { body: lowering.body, end, loc: lowering.loc });
    }
    blocks
}

struct Lowering<'a> {
    body: Vec<Insn>,
    frame: &'a Frame,
    loc: Loc,
}

impl Lowering<'_> {
    fn push(&mut self, op: Op) {
        self.body.push(Insn::new(op, self.loc));
    }

    fn push_linked(&mut self, op: Op, link: Link) {
        self.body.push(Insn { link, ..Insn::new(op, self.loc) });
    }

    fn edit(&mut self, edit: Move) {
        let place = |number| self.frame.spill(number) as i16;
        let size = Size::DW;
        let op = match edit {
            Move::Copy { to, from } => Op::mov(to, from),
            Move::Spill { to, from } => Op::Store { size, base: Reg::R10, off: place(to), src: Src::Reg(from) },
            Move::Fill { to, from } => Op::Load { size, signed: false, dst: to, base: Reg::R10, off: place(from) },
        };
        // What was just stored from this register is still in it.
        if let (
            Some(Insn { op: Op::Store { size: Size::DW, base, off, src: Src::Reg(src) }, .. }),
            Move::Fill { to, .. },
        ) = (self.body.last(), edit)
            && *base == Reg::R10
            && *off == place_of(&op)
            && *src == to
        {
            return;
        }
        self.push(op);
    }

    /// Takes back an instruction that changes nothing.
    fn drop_useless(&mut self) {
        if let Some(Insn { op: Op::Alu { width: Width::W64, op: AluOp::Mov, dst, src: Src::Reg(src) }, .. }) =
            self.body.last()
            && dst == src
        {
            self.body.pop();
        }
    }

    /// Emits an instruction, or says how it ends the block.
    fn inst(&mut self, inst: &Inst, regs: &[Reg]) -> Option<End> {
        match inst {
            Inst::Params(_) => {}
            Inst::Const { value, .. } => self.push(constant(regs[0], *value)),
            Inst::Symbol { symbol, .. } => self.symbol(regs[0], *symbol),
            Inst::SlotAddr { slot, off, .. } => {
                self.push(Op::mov(regs[0], Reg::R10));
                let imm = self.frame.slot(*slot).saturating_add(*off);
                self.push(Op::Alu { width: Width::W64, op: AluOp::Add, dst: regs[0], src: Src::Imm(imm) });
            }
            Inst::Copy { width, .. } => {
                self.push(Op::Alu { width: *width, op: AluOp::Mov, dst: regs[1], src: Src::Reg(regs[0]) });
            }
            Inst::Alu { width, op, rhs, .. } => {
                let src = match rhs {
                    Rhs::Imm(imm) => Src::Imm(*imm),
                    // One register serves for both if they are the same.
                    Rhs::Reg(_) => Src::Reg(regs.get(2).copied().unwrap_or(regs[1])),
                };
                self.push(Op::Alu { width: *width, op: *op, dst: regs[1], src });
            }
            Inst::Neg { width, .. } => self.push(Op::Neg { width: *width, dst: regs[1] }),
            Inst::Swap { order, size, .. } => self.push(Op::Swap { order: *order, size: *size, dst: regs[1] }),
            Inst::MovSx { width, from, .. } => {
                self.push(Op::MovSx { width: *width, from: *from, dst: regs[1], src: regs[0] });
            }
            Inst::SpaceCast { to_arena, .. } => {
                self.push(Op::AddrSpaceCast { dst: regs[1], src: regs[0], to_arena: *to_arena });
            }
            Inst::Load { .. } | Inst::Store { .. } | Inst::Atomic { .. } | Inst::CompareExchange { .. } => {
                self.memory(inst, regs);
            }
            Inst::PacketLoad { size, base: None, k, .. } => self.push(Op::LdAbs { size: *size, k: *k }),
            Inst::PacketLoad { size, base: Some(_), k, .. } => {
                self.push(Op::LdInd { size: *size, src: regs[2], k: *k });
            }
            Inst::Call { target, args, .. } => {
                match target {
                    Target::Helper(id) => self.push(Op::Call(Callee::Helper(id.cast_signed()))),
                    Target::Kfunc(kfunc) => {
                        self.push_linked(Op::Call(Callee::Kfunc { id: 0, module: 0 }), Link::Kfunc(*kfunc));
                    }
                    Target::Func(func) => self.push_linked(Op::Call(Callee::Local(0)), Link::Func(*func)),
                }
                if let Some(call) = self.body.last_mut() {
                    call.arguments = args.len() as u8;
                }
            }
            Inst::Jump(to, _) => return Some(End::Goto(*to)),
            Inst::MayGoto(next, done) => return Some(End::MayGoto { next: *next, done: *done }),
            Inst::Return(_) => return Some(End::Exit),
            Inst::Branch(branch) => {
                let src = match branch.rhs {
                    Rhs::Imm(imm) => Src::Imm(imm),
                    Rhs::Reg(_) => Src::Reg(regs[1]),
                };
                let (width, op, dst) = (branch.width, branch.op, regs[0]);
                return Some(End::If { width, op, dst, src, yes: branch.yes, no: branch.no });
            }
        }
        None
    }

    fn symbol(&mut self, dst: Reg, symbol: Symbol) {
        match symbol {
            Symbol::Map(value) => self.push(Op::LoadImm { dst, value }),
            Symbol::Func(func) => self.push_linked(Op::LoadImm { dst, value: Imm64::Func(0) }, Link::Func(func)),
            Symbol::Kernel(kfunc) => self.push_linked(Op::LoadImm { dst, value: Imm64::Value(0) }, Link::Kfunc(kfunc)),
            Symbol::Core { core, value, width, wide } => {
                let op = match i32::try_from(value) {
                    Ok(imm) if !wide => Op::Alu { width, op: AluOp::Mov, dst, src: Src::Imm(imm) },
                    _ => Op::LoadImm { dst, value: Imm64::Value(value.cast_unsigned()) },
                };
                self.push_linked(op, Link::Core(core));
            }
        }
    }

    fn memory(&mut self, inst: &Inst, regs: &[Reg]) {
        // The address is the last operand.
        let place = |base: Base, off: i16| match base {
            Base::Reg(_) | Base::Core(..) => (regs.last().copied().unwrap_or(Reg::R10), off),
            Base::Slot(slot) => (Reg::R10, self.frame.slot(slot).saturating_add(off.into()) as i16),
        };
        let op = match *inst {
            Inst::Load { size, signed, base, off, .. } => {
                let (base, off) = place(base, off);
                Op::Load { size, signed, dst: regs[0], base, off }
            }
            Inst::Store { size, base, off, src } => {
                let (base, off) = place(base, off);
                let src = match src {
                    Rhs::Imm(imm) => Src::Imm(imm),
                    Rhs::Reg(_) => Src::Reg(regs[0]),
                };
                Op::Store { size, base, off, src }
            }
            Inst::Atomic { width, op, base, off, dst, .. } => {
                let (base, off) = place(base, off);
                // The operand's register is also the result's.
                Op::Atomic { width, op, fetch: dst.is_some(), base, off, src: regs[usize::from(dst.is_some())] }
            }
            Inst::CompareExchange { width, base, off, .. } => {
                let (base, off) = place(base, off);
                let op = skep_isa::ebpf::AtomicOp::CmpXchg;
                Op::Atomic { width, op, fetch: true, base, off, src: regs[2] }
            }
            _ => return,
        };
        let link = match *inst {
            Inst::Load { base: Base::Core(_, core), .. } | Inst::Store { base: Base::Core(_, core), .. } => {
                Link::Core(core)
            }
            _ => Link::None,
        };
        self.push_linked(op, link);
    }
}

const fn place_of(op: &Op) -> i16 {
    match op {
        Op::Load { off, .. } | Op::Store { off, .. } => *off,
        _ => 0,
    }
}

/// The shortest instruction for a number.
fn constant(dst: Reg, value: i64) -> Op {
    if let Ok(imm) = i32::try_from(value) {
        return Op::mov_imm(dst, imm);
    }
    match u32::try_from(value) {
        Ok(imm) => Op::Alu { width: Width::W32, op: AluOp::Mov, dst, src: Src::Imm(imm.cast_signed()) },
        Err(_) => Op::LoadImm { dst, value: Imm64::Value(value.cast_unsigned()) },
    }
}
