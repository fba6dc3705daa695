//! Packet pointers end with calls that may move the packet.

use super::Violation;
use super::arithmetic::is_packet;
use super::check::Check;
use crate::analysis::reverse_postorder;
use crate::entity::{Block, Entity, FuncRef, Value};
use crate::function::Function;
use crate::inst::{Callee, InstData};
use crate::module::Module;

/// Checks all functions.
pub fn check(module: &Module, violations: &mut Vec<Violation>) {
    let moving = moving_functions(module);
    for (at, function) in module.functions.iter().enumerate() {
        let mut check = Check::new(module, FuncRef::new(at), function, violations);
        check_function(&mut check, &moving);
    }
}

/// Whether an instruction may move the packet, given which functions do.
fn moves(data: &InstData, functions: &[bool]) -> bool {
    match data {
        InstData::Call(Callee::Func(callee), _) => functions[callee.index()],
        InstData::Call(callee, _) => callee.moves_packet(),
        // Passed to a helper that calls it.
        InstData::FuncAddr(callee) => functions[callee.index()],
        _ => false,
    }
}

/// For each function whether it, or one that it calls, may move the packet.
fn moving_functions(module: &Module) -> Vec<bool> {
    let mut moving = vec![false; module.functions.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for (at, function) in module.functions.iter().enumerate() {
            let insts = || function.blocks.iter().flat_map(|&block| &function[block].insts);
            if !moving[at] && insts().any(|&inst| moves(&function[inst].data, &moving)) {
                moving[at] = true;
                changed = true;
            }
        }
    }
    moving
}

/// The packet pointers that are worth nothing, by value.
type Stale = Vec<bool>;

fn check_function(check: &mut Check<'_>, moving: &[bool]) {
    let function = check.function;
    let is_pointer = |value| function.ty(value).pointer().is_some_and(|pointer| is_packet(pointer.to));
    let pointers: Vec<Value> = (0..function.value_count()).map(Value::new).filter(|&value| is_pointer(value)).collect();
    let order = reverse_postorder(function);
    let insts = || order.iter().flat_map(|&block| &function[block].insts);
    if pointers.is_empty() || !insts().any(|&inst| moves(&function[inst].data, moving)) {
        return;
    }
    // What is stale at the start of each block: grows until nothing changes.
    let mut at_start: Vec<Stale> = vec![vec![false; function.value_count()]; function.block_count()];
    let mut changed = true;
    while changed {
        changed = false;
        for &block in &order {
            let mut stale = at_start[block.index()].clone();
            walk(function, block, &pointers, moving, &mut stale, |_, _| {});
            for next in function.successors(block) {
                for &value in &pointers {
                    if stale[value.index()] && !std::mem::replace(&mut at_start[next.index()][value.index()], true) {
                        changed = true;
                    }
                }
            }
        }
    }
    for &block in &order {
        let mut found = Vec::new();
        let mut stale = at_start[block.index()].clone();
        walk(function, block, &pointers, moving, &mut stale, |inst, value| found.push((inst, value)));
        for (inst, value) in found {
            let message =
                format!("{value} points into the packet as it was before a call that may have moved it: load it again");
            check.report_inst(block, inst, message);
        }
    }
}

/// Goes through a block and calls `used` for each read of a stale pointer.
fn walk(
    function: &Function,
    block: Block,
    pointers: &[Value],
    moving: &[bool],
    stale: &mut Stale,
    mut used: impl FnMut(crate::entity::Inst, Value),
) {
    function[block].params.iter().for_each(|param| stale[param.index()] = false);
    for &inst in &function[block].insts {
        let node = &function[inst];
        node.data.for_each_operand(|value| {
            if stale[value.index()] {
                used(inst, value);
            }
        });
        if moves(&node.data, moving) && !matches!(node.data, InstData::FuncAddr(_))
            || calls_back(function, &node.data, moving)
        {
            pointers.iter().for_each(|value| stale[value.index()] = true);
        }
        node.results.iter().for_each(|result| stale[result.index()] = false);
    }
}

/// Whether a call hands a function to a helper that moves the packet when it is called back.
fn calls_back(function: &Function, data: &InstData, moving: &[bool]) -> bool {
    let InstData::Call(_, args) = data else { return false };
    args.iter().any(|&arg| matches!(function.def_inst(arg), Some(InstData::FuncAddr(callee)) if moving[callee.index()]))
}
