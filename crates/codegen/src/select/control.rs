//! Selection of what changes the flow of control: branches, selections, calls, ends of blocks.

use skep_ir::{Callee, Cond, Edge, FuncKind, InstData, Type, Value};
use skep_ir::{Entity, Inst as IrInst};
use skep_isa::ebpf::{Cpu, JmpOp, Width};

use super::needs::fused_compare;
use super::{Selector, width};
use crate::mir::{BlockId, Branch, Inst, Rhs, Target, VReg};

/// The sign bit of 32 bits; extended by its sign, all bits from there on.
const SIGN32: i32 = i32::MIN;

/// From so many cases on a switch is a search tree.
const TREE_FROM: usize = 5;

impl Selector<'_> {
    /// 1 or 0. The value is there before the branch, so that only one way has an instruction.
    pub(super) fn compare(&mut self, cond: Cond, args: [Value; 2], result: Option<Value>) {
        // All readers may be branches that compare themselves.
        let (one, join) = (self.number(1), self.new_block());
        let param = self.result(result);
        self.out.blocks[join.index()].params.push(param);
        let (yes, no) = (self.new_block(), self.new_block());
        self.branch_on(cond, args, [None; 2], [yes, no]);
        self.switch_to(yes);
        self.emit(Inst::Jump(join, vec![one]));
        self.switch_to(no);
        let zero = self.number(0);
        self.emit(Inst::Jump(join, vec![zero]));
        self.switch_to(join);
    }

    /// One of two values, by a branch: the verifier follows that, and no arithmetic with masks.
    pub(super) fn select_one(&mut self, cond: Cond, args: [Value; 4], result: Option<Value>) {
        let [left, right, if_yes, if_no] = args;
        let (taken, join) = (self.reg(if_yes), self.new_block());
        let param = self.result(result);
        self.out.blocks[join.index()].params.push(param);
        let (yes, no) = (self.new_block(), self.new_block());
        self.branch_on(cond, [left, right], [None; 2], [yes, no]);
        self.switch_to(yes);
        self.emit(Inst::Jump(join, vec![taken]));
        self.switch_to(no);
        let other = self.reg(if_no);
        self.emit(Inst::Jump(join, vec![other]));
        self.switch_to(join);
    }

    /// Ends the block with a comparison. `names` are the values that name the operands anew.
    fn branch_on(&mut self, cond: Cond, args: [Value; 2], names: [Option<Value>; 2], to: [BlockId; 2]) {
        let ([mut left, mut right], [mut left_name, mut right_name], mut cond) = (args, names, cond);
        if self.constant(left).is_some() && self.constant(right).is_none() {
            (left, right, left_name, right_name) = (right, left, right_name, left_name);
            cond = cond.swapped();
        }
        let narrow = width(self.func.ty(left)) == Width::W32;
        let op = cond.jump();
        let width = if narrow && self.has(Cpu::V3) { Width::W32 } else { Width::W64 };
        let mut lhs = self.reg(left);
        let rhs = if narrow && width == Width::W64 && op.is_signed() {
            // No instruction compares what the registers hold, so the operands keep their names.
            self.rename(left_name, left);
            self.rename(right_name, right);
            (left_name, right_name) = (None, None);
            lhs = self.extend_sign(lhs);
            match self.constant(right) {
                Some(number) => Rhs::Imm(number as i32),
                None => {
                    let reg = self.reg(right);
                    Rhs::Reg(self.extend_sign(reg))
                }
            }
        } else {
            self.rhs(right, width)
        };
        if right_name.is_some() && (matches!(rhs, Rhs::Imm(_)) || self.root(left) == self.root(right)) {
            let same = if matches!(rhs, Rhs::Imm(_)) { Some(right) } else { None };
            match same {
                Some(number) => self.rename(right_name, number),
                None => self.bind(right_name, lhs),
            }
            right_name = None;
        }
        let refined = [left_name, right_name].map(|name| name.map(|name| self.result(Some(name))));
        self.branch(width, op, lhs, rhs, refined, to);
    }

    /// Ends the block with a conditional jump of the instruction set.
    pub(super) fn branch(
        &mut self,
        width: Width,
        op: JmpOp,
        lhs: VReg,
        rhs: Rhs,
        refined: [Option<VReg>; 2],
        [yes, no]: [BlockId; 2],
    ) {
        let mut branch = Branch { width, op, lhs, rhs, refined, yes, no };
        if !self.has(Cpu::V2) && matches!(op, JmpOp::Lt | JmpOp::Le | JmpOp::SLt | JmpOp::SLe) {
            match rhs {
                Rhs::Reg(reg) => {
                    branch.op = match op {
                        JmpOp::Lt => JmpOp::Gt,
                        JmpOp::Le => JmpOp::Ge,
                        JmpOp::SLt => JmpOp::SGt,
                        _ => JmpOp::SGe,
                    };
                    (branch.lhs, branch.rhs) = (reg, Rhs::Reg(lhs));
                    branch.refined.reverse();
                }
                Rhs::Imm(_) => {
                    branch.op = op.inverse().unwrap_or(op);
                    (branch.yes, branch.no) = (no, yes);
                }
            }
        }
        self.emit(Inst::Branch(branch));
    }

    /// Ends the block with a branch on the sign of a register.
    pub(super) fn branch_on_sign(&mut self, width: Width, reg: VReg, negative: BlockId, positive: BlockId) {
        let (width, op, imm) = match width {
            Width::W32 if !self.has(Cpu::V3) => (Width::W64, JmpOp::Set, SIGN32),
            width => (width, JmpOp::SLt, 0),
        };
        self.branch(width, op, reg, Rhs::Imm(imm), [None; 2], [negative, positive]);
    }

    /// The block of an edge if nothing else leads there, so that a conditional jump may.
    fn direct(&self, edge: &Edge) -> Option<BlockId> {
        let alone = self.needs.edges_to[edge.block.index()] == 1 && edge.block != self.func.entry();
        (alone && edge.args.is_empty()).then(|| self.block_of[edge.block.index()])
    }

    /// The block that a conditional jump leads to for an edge: the edge's, or one on the way there.
    fn way(&mut self, edge: &Edge) -> BlockId {
        self.direct(edge).unwrap_or_else(|| {
            let (between, from) = (self.new_block(), self.current);
            self.switch_to(between);
            self.jump(edge);
            self.switch_to(from);
            between
        })
    }

    fn jump(&mut self, edge: &Edge) {
        let args = edge.args.iter().map(|&arg| self.reg(arg)).collect();
        self.emit(Inst::Jump(self.block_of[edge.block.index()], args));
    }

    pub(super) fn terminator(&mut self, inst: IrInst) {
        let func = self.func;
        match &func[inst].data {
            InstData::Jump(edge) => self.jump(edge),
            InstData::Branch { cond, args, yes, no } => {
                let results = &func[inst].results;
                let name = |at: usize| results.get(at).copied().filter(|&value| self.needs.used(value));
                let names = [name(0), name(1)];
                let (mut cond, mut args, mut edges) = (*cond, *args, [yes, no]);
                if let Some(fused) = fused_compare(func, inst) {
                    (cond, args) = (fused.cond, fused.args);
                    if fused.inverted {
                        edges.reverse();
                    }
                }
                // New names may be arguments of the edges: the ways are made once the names are known.
                let direct = edges.map(|edge| self.direct(edge));
                let to = direct.map(|block| block.unwrap_or_else(|| self.new_block()));
                self.branch_on(cond, args, names, to);
                for ((block, direct), edge) in to.into_iter().zip(direct).zip(edges) {
                    if direct.is_none() {
                        self.switch_to(block);
                        self.jump(edge);
                    }
                }
            }
            InstData::Switch { value, cases, default } => self.switch(*value, cases, default),
            InstData::MayGoto { next, done } => {
                let (next, done) = (self.way(next), self.way(done));
                self.emit(Inst::MayGoto(next, done));
            }
            InstData::Return(value) => self.ret(*value),
            _ => {
                // The verifier has to see that control never gets here; that the code ends here must be visible to it
                // in any case.
                let zero = self.number(0);
                self.emit(Inst::Return(Some(zero)));
            }
        }
    }

    fn ret(&mut self, value: Option<Value>) {
        let reg = match value {
            Some(value) => Some(self.reg(value)),
            // A static function without result may leave anything in `r0`, others may not.
            None if self.func.kind == FuncKind::Static => None,
            None => Some(self.number(0)),
        };
        self.emit(Inst::Return(reg));
    }

    fn switch(&mut self, value: Value, cases: &[(i64, Edge)], default: &Edge) {
        let narrow = self.func.ty(value) == Type::I32;
        let number = |case: i64| if narrow { u64::from(case as u32) } else { case as u64 };
        let mut cases: Vec<(u64, &Edge)> = cases.iter().map(|(case, edge)| (number(*case), edge)).collect();
        cases.sort_by_key(|case| case.0);
        cases.dedup_by_key(|case| case.0);
        let reg = self.reg(value);
        let width = if narrow && self.has(Cpu::V3) { Width::W32 } else { Width::W64 };
        self.search(reg, width, &cases, default);
    }

    /// Finds the case of a register: by halves, the last few one after the other.
    fn search(&mut self, reg: VReg, width: Width, cases: &[(u64, &Edge)], default: &Edge) {
        if cases.len() >= TREE_FROM {
            let (low, high) = cases.split_at(cases.len() / 2);
            let (below, above) = (self.new_block(), self.new_block());
            let pivot = self.case_operand(high[0].0, width);
            self.branch(width, JmpOp::Ge, reg, pivot, [None; 2], [above, below]);
            self.switch_to(below);
            self.search(reg, width, low, default);
            self.switch_to(above);
            self.search(reg, width, high, default);
            return;
        }
        for (case, edge) in cases {
            let operand = self.case_operand(*case, width);
            let (found, next) = (self.way(edge), self.new_block());
            self.branch(width, JmpOp::Eq, reg, operand, [None; 2], [found, next]);
            self.switch_to(next);
        }
        self.jump(default);
    }

    fn case_operand(&mut self, case: u64, width: Width) -> Rhs {
        match width {
            Width::W32 => Rhs::Imm(case as u32 as i32),
            Width::W64 => match i32::try_from(case.cast_signed()) {
                Ok(imm) => Rhs::Imm(imm),
                Err(_) => Rhs::Reg(self.number(case.cast_signed())),
            },
        }
    }

    pub(super) fn call(&mut self, callee: Callee, args: &[Value], result: Option<Value>) {
        let args = args.iter().map(|&arg| self.reg(arg)).collect();
        let result = result.filter(|&value| self.needs.used(value));
        let (target, clean) = match callee {
            Callee::Helper(id) => (Target::Helper(id), false),
            Callee::Kfunc(kfunc) => (Target::Kfunc(kfunc), false),
            // The verifier forgets what a global function returns.
            Callee::Func(func) => (Target::Func(func), self.module.functions[func.index()].kind == FuncKind::Static),
        };
        let dst = result.map(|_| self.new_reg());
        self.emit(Inst::Call { target, args, dst });
        self.symbols.clear();
        if let (Some(value), Some(reg)) = (result, dst) {
            let narrow = self.func.ty(value) == Type::I32;
            let reg = if narrow && !clean && self.is_wide(result) { self.copy(Width::W32, reg) } else { reg };
            self.bind(Some(value), reg);
        }
    }
}
