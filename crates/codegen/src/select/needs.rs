//! What of a function has to be computed at all, and which values somebody reads all 64 bits of.

use skep_ir::{
    Binary, Block, Callee, Cond, Entity, FuncKind, Function, Inst, InstData, Type, Unary, Value, ValueDef, Width,
};
use skep_isa::ebpf::Cpu;

/// The findings.
#[derive(Debug)]
pub struct Needs {
    /// How often each value is read by what is needed.
    pub uses: Vec<u32>,
    /// Whether somebody reads the upper half of the register of each value.
    pub wide: Vec<bool>,
    /// The blocks that can be reached, each behind those that dominate it.
    pub order: Vec<Block>,
    /// Number of edges that lead to each block.
    pub edges_to: Vec<u32>,
    insts: Vec<bool>,
}

impl Needs {
    /// Looks at a function that is compiled for a version of the instruction set.
    pub fn of(func: &Function, cpu: Cpu) -> Self {
        let order = reverse_postorder(func);
        let mut edges_to = vec![0; func.block_count()];
        let mut work = Vec::new();
        for &block in &order {
            for next in func.successors(block) {
                edges_to[next.index()] += 1;
            }
            work.extend(func[block].insts.iter().copied().filter(|&inst| func[inst].data.has_effect()));
        }
        let mut needs = Self {
            uses: vec![0; func.value_count()],
            wide: vec![false; func.value_count()],
            order,
            edges_to,
            insts: vec![false; func.inst_count()],
        };
        work.iter().for_each(|inst| needs.insts[inst.index()] = true);
        let mut visited = Vec::new();
        while let Some(inst) = work.pop() {
            visited.push(inst);
            for_each_read(func, inst, |value| {
                needs.uses[value.index()] += 1;
                if let ValueDef::Result(from, _) = func.def(value)
                    && !std::mem::replace(&mut needs.insts[from.index()], true)
                {
                    work.push(from);
                }
            });
        }
        visited.iter().for_each(|&inst| needs.look_at_widths(func, inst, cpu));
        needs
    }

    /// Whether an instruction has to be there.
    pub fn inst(&self, inst: Inst) -> bool {
        self.insts[inst.index()]
    }

    /// Whether somebody reads a value.
    pub fn used(&self, value: Value) -> bool {
        self.uses[value.index()] > 0
    }

    fn look_at_widths(&mut self, func: &Function, inst: Inst, cpu: Cpu) {
        let node = &func[inst];
        let unread = !node.results.iter().any(|&value| self.used(value));
        let fused = fused_compare(func, inst).map(|fused| fused.args);
        // The operands of which only the lower half counts.
        let narrow: &[Value] = match &node.data {
            // Before 32-bit jumps the sign of a dividend is looked for in all bits from 31 on.
            InstData::Binary(Binary::Sdiv | Binary::Srem, _) if cpu < Cpu::V3 => &[],
            InstData::Binary(_, args) if func.ty(args[0]) == Type::I32 => args,
            InstData::Unary(Unary::Extend | Unary::Swap64, _) => &[],
            InstData::Unary(Unary::Neg, arg) if func.ty(*arg) != Type::I32 => &[],
            InstData::Unary(_, arg) => std::slice::from_ref(arg),
            InstData::Store { width, value, .. } if *width != Width::W64 => std::slice::from_ref(value),
            InstData::Atomic { width: Width::W32, value, .. } => std::slice::from_ref(value),
            InstData::Return(Some(value)) if matches!(func.kind, FuncKind::Program(_)) => std::slice::from_ref(value),
            InstData::Compare(_, args) if cpu >= Cpu::V3 && func.ty(args[0]) == Type::I32 => args,
            InstData::Branch { args, .. } if cpu >= Cpu::V3 && unread => {
                let args = fused.as_ref().unwrap_or(args);
                if func.ty(args[0]) == Type::I32 { args } else { &[] }
            }
            _ => &[],
        };
        let edge_args: Vec<Value> = node.data.edges().flat_map(|edge| edge.args.iter().copied()).collect();
        let wide = &mut self.wide;
        for_each_read(func, inst, |value| wide[value.index()] |= !narrow.contains(&value));
        edge_args.iter().for_each(|value| wide[value.index()] = true);
    }
}

/// A comparison whose result is only asked whether it is 0.
#[derive(Debug, Clone, Copy)]
pub struct Fused {
    /// The comparison.
    pub cond: Cond,
    /// Its operands.
    pub args: [Value; 2],
    /// Whether the branch goes to its first block when the comparison does not hold.
    pub inverted: bool,
}

/// The comparison that a branch without results can do itself.
pub fn fused_compare(func: &Function, inst: Inst) -> Option<Fused> {
    let InstData::Branch { cond, args: [value, zero], .. } = &func[inst].data else { return None };
    let inverted = match cond {
        Cond::Ne => false,
        Cond::Eq => true,
        _ => return None,
    };
    if func.constant(*zero) != Some(0) || !func[inst].results.is_empty() {
        return None;
    }
    let mut value = *value;
    while let Some(InstData::Unary(Unary::Extend | Unary::Truncate, inner)) = func.def_inst(value) {
        value = *inner;
    }
    match func.def_inst(value)? {
        InstData::Compare(cond, args) => Some(Fused { cond: *cond, args: *args, inverted }),
        _ => None,
    }
}

/// Calls a function with every value that the selected instruction reads.
fn for_each_read(func: &Function, inst: Inst, mut visit: impl FnMut(Value)) {
    match fused_compare(func, inst) {
        Some(fused) => {
            fused.args.into_iter().for_each(&mut visit);
            for edge in func[inst].data.edges() {
                edge.args.iter().copied().for_each(&mut visit);
            }
        }
        None => func[inst].data.for_each_operand(visit),
    }
}

/// The blocks that can be reached from the entry, in reverse postorder.
fn reverse_postorder(func: &Function) -> Vec<Block> {
    let mut seen = vec![false; func.block_count()];
    let mut order = Vec::new();
    let entry = func.entry();
    let mut stack = vec![(entry, func.successors(entry))];
    seen[entry.index()] = true;
    while let Some((block, targets)) = stack.last_mut() {
        let Some(target) = targets.next() else {
            order.push(*block);
            stack.pop();
            continue;
        };
        if !std::mem::replace(&mut seen[target.index()], true) {
            stack.push((target, func.successors(target)));
        }
    }
    order.reverse();
    order
}

/// The functions that a function calls or hands to helpers, in the order in which they occur, each once.
pub fn callees(func: &Function) -> Vec<skep_ir::FuncRef> {
    let mut found: Vec<skep_ir::FuncRef> = func.assembly.iter().flat_map(|assembly| assembly.functions()).collect();
    for block in reverse_postorder(func) {
        for &inst in &func[block].insts {
            let callee = match &func[inst].data {
                InstData::Call(Callee::Func(callee), _) | InstData::FuncAddr(callee) => *callee,
                _ => continue,
            };
            if !found.contains(&callee) {
                found.push(callee);
            }
        }
    }
    found
}
