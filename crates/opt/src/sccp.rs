//! Propagates constants along the ways that can be taken (Wegman and Zadeck, "Constant Propagation with Conditional
//! Branches", 1991).
//!
//! A value is a constant if it is one on all ways that can be taken. Branches on constants stay; `blocks` folds them.

use skep_ir::{Binary, Block, Entity, Function, Inst, InstData, Type, Value, ValueDef};

use crate::Ctx;
use crate::fold;
use crate::util::{Renames, insert, normal};

/// What is known about a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing that defines it was reached.
    Unseen,
    /// It is this number.
    Number(i64),
    /// It may be anything.
    Any,
}

struct Solver<'f> {
    function: &'f Function,
    states: Vec<State>,
    reached: Vec<bool>,
    users: Vec<Vec<Inst>>,
    places: Vec<Option<Block>>,
    /// Instructions to look at again.
    work: Vec<Inst>,
}

/// The pass.
pub fn sccp(function: &mut Function, _ctx: &Ctx) -> bool {
    let mut solver = Solver::new(function);
    solver.solve();
    let Solver { states, reached, .. } = solver;
    replace(function, &states, &reached)
}

impl<'f> Solver<'f> {
    fn new(function: &'f Function) -> Self {
        let mut users = vec![Vec::new(); function.value_count()];
        for &block in &function.blocks {
            for &inst in &function[block].insts {
                function[inst].data.for_each_operand(|value| users[value.index()].push(inst));
            }
        }
        Self {
            function,
            states: vec![State::Unseen; function.value_count()],
            reached: vec![false; function.block_count()],
            users,
            places: skep_ir::analysis::inst_blocks(function),
            work: Vec::new(),
        }
    }

    fn solve(&mut self) {
        for &param in self.function.params() {
            self.states[param.index()] = State::Any;
        }
        self.reach(self.function.entry());
        while let Some(inst) = self.work.pop() {
            if self.places[inst.index()].is_some_and(|block| self.reached[block.index()]) {
                self.visit(inst);
            }
        }
    }

    fn reach(&mut self, block: Block) {
        if !std::mem::replace(&mut self.reached[block.index()], true) {
            self.work.extend(self.function[block].insts.iter().rev());
        }
    }

    fn state(&self, value: Value) -> State {
        self.states[value.index()]
    }

    /// Learns about a value; knowledge only ever goes down.
    fn lower(&mut self, value: Value, state: State) {
        let old = self.state(value);
        let new = match (old, state) {
            (_, State::Unseen) => return,
            (State::Unseen, new) => new,
            (State::Number(a), State::Number(b)) if a == b => return,
            (State::Any, _) => return,
            _ => State::Any,
        };
        self.states[value.index()] = new;
        self.work.extend(&self.users[value.index()]);
    }

    fn visit(&mut self, inst: Inst) {
        let node = &self.function[inst];
        if node.data.is_terminator() {
            if let InstData::Branch { args, .. } = &node.data {
                for (&result, &operand) in node.results.iter().zip(args) {
                    self.lower(result, self.state(operand));
                }
            }
            for at in self.ways(&node.data) {
                self.take(inst, at);
            }
            return;
        }
        for &result in &node.results {
            let state = self.evaluate(&node.data, self.function.ty(result));
            self.lower(result, state);
        }
    }

    /// The numbers of the edges that can be taken.
    fn ways(&self, data: &InstData) -> Vec<usize> {
        let all = || (0..data.edges().count()).collect();
        match data {
            InstData::Branch { cond, args, .. } => match self.compare(*cond, *args) {
                State::Unseen => Vec::new(),
                State::Number(0) => vec![1],
                State::Number(_) => vec![0],
                State::Any => all(),
            },
            InstData::Switch { value, cases, .. } => match self.state(*value) {
                State::Unseen => Vec::new(),
                State::Number(number) => {
                    let ty = self.function.ty(*value);
                    let found = cases.iter().position(|case| normal(case.0, ty) == number);
                    vec![found.unwrap_or(cases.len())]
                }
                State::Any => all(),
            },
            _ => all(),
        }
    }

    fn take(&mut self, inst: Inst, at: usize) {
        let function = self.function;
        let Some(edge) = function[inst].data.edges().nth(at) else { return };
        let params = &function[edge.block].params;
        for (&param, &arg) in params.iter().zip(&edge.args) {
            self.lower(param, self.state(arg));
        }
        self.reach(edge.block);
    }

    fn compare(&self, cond: skep_ir::Cond, [left, right]: [Value; 2]) -> State {
        if left == right
            && let Some(known) = fold::compare_same(cond)
        {
            return State::Number(known.into());
        }
        match (self.state(left), self.state(right)) {
            (State::Number(a), State::Number(b)) => {
                State::Number(fold::compare(cond, a, b, self.function.ty(left)).into())
            }
            (State::Unseen, _) | (_, State::Unseen) => State::Unseen,
            _ => State::Any,
        }
    }

    fn evaluate(&self, data: &InstData, ty: Type) -> State {
        match data {
            InstData::Const(number) => State::Number(normal(*number, ty)),
            InstData::Unary(op, value) => match self.state(*value) {
                State::Number(number) => State::Number(fold::unary(*op, number, self.function.ty(*value), ty)),
                other => other,
            },
            InstData::Binary(op, [left, right]) => match (self.state(*left), self.state(*right)) {
                (State::Number(a), State::Number(b)) => State::Number(fold::binary(*op, a, b, ty)),
                (State::Number(0), State::Any) | (State::Any, State::Number(0))
                    if matches!(op, Binary::And | Binary::Mul) =>
                {
                    State::Number(0)
                }
                (State::Unseen, _) | (_, State::Unseen) => State::Unseen,
                _ => State::Any,
            },
            InstData::Compare(cond, args) => self.compare(*cond, *args),
            InstData::Select(cond, [left, right, yes, no]) => match self.compare(*cond, [*left, *right]) {
                State::Number(0) => self.state(*no),
                State::Number(_) => self.state(*yes),
                State::Unseen => State::Unseen,
                State::Any => match (self.state(*yes), self.state(*no)) {
                    (State::Number(a), State::Number(b)) if a == b => State::Number(a),
                    (State::Unseen, _) | (_, State::Unseen) => State::Unseen,
                    _ => State::Any,
                },
            },
            _ => State::Any,
        }
    }
}

/// Puts the constants in.
fn replace(function: &mut Function, states: &[State], reached: &[bool]) -> bool {
    let mut renames = Renames::new(function);
    let mut changed = false;
    for block in function.blocks.clone() {
        if !reached[block.index()] {
            continue;
        }
        for inst in function[block].insts.clone() {
            let node = &function[inst];
            if matches!(node.data, InstData::Const(_)) || !node.data.is_pure() || node.results.len() != 1 {
                continue;
            }
            if let State::Number(number) = states[node.results[0].index()] {
                function[inst].data = InstData::Const(number);
                changed = true;
            }
        }
        for param in function[block].params.clone() {
            let ty = function.ty(param);
            let may = ty.is_int() || ty.pointer().is_some_and(|pointer| pointer.nullable);
            if let State::Number(number) = states[param.index()]
                && may
                && matches!(function.def(param), ValueDef::Param(..))
            {
                let value = insert(function, block, 0, InstData::Const(number), ty, skep_ir::Loc::default());
                renames.set(param, value);
            }
        }
    }
    // A parameter that was replaced is read by nobody; its arguments go with it.
    let replaced = renames.apply(function);
    if replaced {
        let entry = function.entry();
        function.retain_all_params(|block, _, param| block == entry || renames.get(param) == param);
    }
    changed || replaced
}
