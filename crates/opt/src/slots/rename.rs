//! Replaces the accesses to cells by values: block parameters where ways with different values meet, then a walk through
//! the tree of dominators (Cytron and others, "Efficiently Computing Static Single Assignment Form", 1991).

use skep_ir::analysis::Dominators;
use skep_ir::{Binary, Block, Entity, Function, Inst, InstData, Loc, Memory, Type, Unary, Value, Width};

use super::cells::{self, Cell, Part};
use crate::util::{Renames, insert, normal};

/// The values of all cells at one place, `None` where nothing was written yet.
type State = Vec<Option<Value>>;

/// Whether a cell can be given up, and the blocks that need a parameter for it.
struct Plan {
    cells: Vec<Cell>,
    /// For each block the numbers of the cells for which it has a parameter, in the order of the parameters.
    params: Vec<Vec<usize>>,
}

/// Replaces the accesses. False if none could be.
pub fn rename(function: &mut Function, cells: &[Cell]) -> bool {
    let dominators = Dominators::new(function);
    let frontier = frontiers(function, &dominators);
    let mut plan = Plan { cells: Vec::new(), params: vec![Vec::new(); function.block_count()] };
    for cell in cells {
        let one = std::slice::from_ref(cell);
        let blocks = needed(function, one, &frontier);
        let possible = blocks.is_some_and(|blocks| {
            let context = cell.ty.pointer().is_some_and(|pointer| pointer.to == Memory::Context);
            if context && !blocks.is_empty() {
                return false;
            }
            for block in blocks {
                plan.params[block.index()].push(plan.cells.len());
            }
            true
        });
        if possible {
            plan.cells.push(*cell);
        }
    }
    if plan.cells.is_empty() {
        return false;
    }
    Walk::new(function, plan).run(&dominators);
    true
}

/// The blocks where ways meet behind a block, for each block.
fn frontiers(function: &Function, dominators: &Dominators) -> Vec<Vec<Block>> {
    let mut frontiers = vec![Vec::new(); function.block_count()];
    let predecessors = function.predecessors();
    for &block in dominators.order() {
        if predecessors[block.index()].len() < 2 {
            continue;
        }
        let stop = dominators.immediate(block);
        for &before in &predecessors[block.index()] {
            let mut runner = Some(before);
            while let Some(at) = runner.filter(|_| runner != stop) {
                if !frontiers[at.index()].contains(&block) {
                    frontiers[at.index()].push(block);
                }
                runner = dominators.immediate(at);
            }
        }
    }
    frontiers
}

/// The blocks that need a parameter for a cell: where different values meet and one is read. `None` if a pointer that
/// cannot be null may be read before it is written.
fn needed(function: &Function, cell: &[Cell], frontier: &[Vec<Block>]) -> Option<Vec<Block>> {
    let (writes, live) = read_first(function, cell);
    let nullable = cell[0].ty.pointer().is_none_or(|pointer| pointer.nullable);
    if live[function.entry().index()] && !nullable {
        return None;
    }
    let mut blocks = Vec::new();
    let mut work = writes;
    while let Some(block) = work.pop() {
        for &meeting in &frontier[block.index()] {
            if live[meeting.index()] && !blocks.contains(&meeting) {
                blocks.push(meeting);
                work.push(meeting);
            }
        }
    }
    blocks.sort_unstable();
    // A way from the start on which nothing is written leads to a meeting too: it brings zero.
    Some(blocks)
}

/// The blocks that write a cell; and for each block whether the cell may be read from its start on before it is written.
fn read_first(function: &Function, cell: &[Cell]) -> (Vec<Block>, Vec<bool>) {
    let mut writes = Vec::new();
    let mut live = vec![false; function.block_count()];
    let mut covered = vec![false; function.block_count()];
    let mut work = Vec::new();
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            let part = cells::of(function, cell, inst).map(|(_, part)| part);
            let accessed = part.is_some();
            let written = accessed && cells::operand(function, inst).is_some();
            // Who writes a part reads the rest.
            if part.is_some_and(|part| part.width != cell[0].width) && !covered[block.index()] && !live[block.index()] {
                live[block.index()] = true;
                work.push(block);
            }
            if written || !cells::filled(function, cell, inst).is_empty() {
                if !covered[block.index()] {
                    writes.push(block);
                }
                covered[block.index()] = true;
            } else if accessed && !covered[block.index()] && !live[block.index()] {
                live[block.index()] = true;
                work.push(block);
            }
        }
    }
    let predecessors = function.predecessors();
    while let Some(block) = work.pop() {
        for &before in &predecessors[block.index()] {
            if !covered[before.index()] && !std::mem::replace(&mut live[before.index()], true) {
                work.push(before);
            }
        }
    }
    (writes, live)
}

struct Walk<'f> {
    function: &'f mut Function,
    plan: Plan,
    renames: Renames,
    /// For each cell the value that stands for "not written yet".
    zeros: State,
    out: Vec<Inst>,
    loc: Loc,
}

impl<'f> Walk<'f> {
    fn new(function: &'f mut Function, plan: Plan) -> Self {
        let zeros = vec![None; plan.cells.len()];
        Self { renames: Renames::new(function), function, plan, zeros, out: Vec::new(), loc: Loc::default() }
    }

    fn run(mut self, dominators: &Dominators) {
        let mut params: Vec<Vec<Value>> = vec![Vec::new(); self.function.block_count()];
        for block in self.function.blocks.clone() {
            for &cell in &self.plan.params[block.index()] {
                let param = self.function.add_param(block, self.plan.cells[cell].ty);
                params[block.index()].push(param);
            }
        }
        let children = dominators.children();
        let mut stack = vec![(self.function.entry(), vec![None; self.plan.cells.len()])];
        while let Some((block, mut state)) = stack.pop() {
            for (&cell, &param) in self.plan.params[block.index()].iter().zip(&params[block.index()]) {
                state[cell] = Some(param);
            }
            self.block(block, &mut state);
            for &child in &children[block.index()] {
                stack.push((child, state.clone()));
            }
        }
        self.renames.apply(self.function);
    }

    fn block(&mut self, block: Block, state: &mut State) {
        for inst in std::mem::take(&mut self.function[block].insts) {
            self.renames.apply_to(&mut self.function[inst].data);
            self.loc = self.function[inst].loc;
            for (cell, byte) in cells::filled(self.function, &self.plan.cells, inst) {
                let Cell { ty, .. } = self.plan.cells[cell];
                let number = normal(i64::from_ne_bytes([byte; 8]), ty);
                state[cell] = Some(self.emit(InstData::Const(number), ty));
            }
            let Some((cell, part)) = cells::of(self.function, &self.plan.cells, inst) else {
                self.out.push(inst);
                continue;
            };
            if let Some(value) = cells::operand(self.function, inst) {
                state[cell] = Some(self.written(cell, part, value, state));
            } else {
                let value = self.current(cell, state);
                let result = self.function[inst].results[0];
                let value = self.read(inst, cell, part, value);
                self.renames.set(result, value);
            }
        }
        let out = std::mem::take(&mut self.out);
        self.function[block].insts.extend(out);
        self.arguments(block, state);
    }

    fn arguments(&mut self, block: Block, state: &State) {
        let Some(end) = self.function.terminator(block) else { return };
        let successors: Vec<Block> = self.function.successors(block).collect();
        for (at, next) in successors.into_iter().enumerate() {
            let cells = self.plan.params[next.index()].clone();
            let values: Vec<Value> = cells.into_iter().map(|cell| self.current(cell, state)).collect();
            if let Some(edge) = self.function[end].data.edges_mut().nth(at) {
                edge.args.extend(values);
            }
        }
    }

    fn emit(&mut self, data: InstData, ty: Type) -> Value {
        let inst = self.function.make_inst(data, &[ty], self.loc);
        self.out.push(inst);
        self.function[inst].results[0]
    }

    fn current(&mut self, cell: usize, state: &State) -> Value {
        if let Some(value) = state[cell].or(self.zeros[cell]) {
            return self.renames.get(value);
        }
        // Zero, at the start of the function.
        let ty = self.plan.cells[cell].ty;
        let entry = self.function.entry();
        let value = insert(self.function, entry, 0, InstData::Const(0), ty, Loc::default());
        self.zeros[cell] = Some(value);
        value
    }

    /// The value of a cell behind a store. Bits above its width do not matter: they are cut when it is read.
    fn written(&mut self, cell: usize, part: Part, value: Value, state: &State) -> Value {
        let Cell { ty, width, .. } = self.plan.cells[cell];
        let value = match (self.function.ty(value), ty) {
            (Type::I64, Type::I32) => self.emit(InstData::Unary(Unary::Truncate, value), Type::I32),
            (Type::I32, Type::I64) => self.emit(InstData::Unary(Unary::Extend, value), Type::I64),
            _ => value,
        };
        if part.width == width {
            return value;
        }
        // The others of its bits stay.
        let by = 8 * i64::from(part.offset);
        let mask = (1 << (8 * part.width.bytes())) - 1;
        let value = self.binary(Binary::And, value, mask, ty);
        let value = self.binary(Binary::Shl, value, by, ty);
        let old = self.current(cell, state);
        let rest = self.binary(Binary::And, old, !(mask << by), ty);
        self.emit(InstData::Binary(Binary::Or, [rest, value]), ty)
    }

    fn binary(&mut self, op: Binary, value: Value, number: i64, ty: Type) -> Value {
        let number = self.emit(InstData::Const(normal(number, ty)), ty);
        self.emit(InstData::Binary(op, [value, number]), ty)
    }

    /// What a load of a part of a cell gives.
    fn read(&mut self, inst: Inst, cell: usize, part: Part, value: Value) -> Value {
        let InstData::Load { width, signed, .. } = self.function[inst].data else { return value };
        let ty = self.function.ty(self.function[inst].results[0]);
        let cell = self.plan.cells[cell];
        if !cell.ty.is_int() {
            return value;
        }
        let mut value = value;
        if part.width != cell.width {
            value = self.binary(Binary::Lshr, value, 8 * i64::from(part.offset), cell.ty);
            if cell.ty == Type::I64 {
                value = self.emit(InstData::Unary(Unary::Truncate, value), Type::I32);
            }
        } else if cell.ty == Type::I64 {
            return if ty == Type::I32 { self.emit(InstData::Unary(Unary::Truncate, value), ty) } else { value };
        }
        let short = match (width, signed) {
            (Width::W8, true) => self.emit(InstData::Unary(Unary::Sext8, value), Type::I32),
            (Width::W16, true) => self.emit(InstData::Unary(Unary::Sext16, value), Type::I32),
            (Width::W8, false) => self.mask(value, 0xff),
            (Width::W16, false) => self.mask(value, 0xffff),
            _ => value,
        };
        match (ty, signed) {
            (Type::I64, true) => self.emit(InstData::Unary(Unary::Sext32, short), ty),
            (Type::I64, false) => self.emit(InstData::Unary(Unary::Extend, short), ty),
            _ => short,
        }
    }

    fn mask(&mut self, value: Value, mask: i64) -> Value {
        self.binary(Binary::And, value, mask, Type::I32)
    }
}
