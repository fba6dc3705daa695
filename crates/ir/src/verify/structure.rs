//! Shape of functions: everything that is referred to exists, blocks end, edges fit.

use std::collections::HashSet;

use super::Violation;
use super::check::{Check, fits};
use crate::entity::{Block, Entity, Inst, Value};
use crate::function::{Loc, ValueDef};
use crate::inst::{Callee, Edge, InstData};
use crate::module::Module;
use crate::types::{Memory, Type};

/// Alignments that objects may have.
pub const ALIGNMENTS: [u32; 4] = [1, 2, 4, 8];

/// What a module declares outside of functions.
pub fn declarations(module: &Module, violations: &mut Vec<Violation>) {
    let mut report = |message: String| {
        violations.push(Violation {
            function: None,
            name: String::new(),
            block: None,
            inst: None,
            loc: Loc::default(),
            message,
        });
    };
    for global in &module.globals {
        if !ALIGNMENTS.contains(&global.align) {
            report(format!(
                "variable `{}` has an alignment of {}, which is not 1, 2, 4 or 8",
                global.name, global.align
            ));
        }
    }
    let mut names = HashSet::new();
    for function in &module.functions {
        if !names.insert(&function.name) {
            report(format!("two functions have the name `{}`", function.name));
        }
    }
}

/// Reports what is wrong with the shape of a function.
pub fn check(check: &mut Check<'_>) {
    let function = check.function;
    for (at, slot) in function.slots.iter().enumerate() {
        if !(1..=512).contains(&slot.size) || !ALIGNMENTS.contains(&slot.align.into()) {
            let message = format!("object s{at} has {} bytes with alignment {}", slot.size, slot.align);
            check.report(None, format!("{message}; expected 1 to 512 bytes with alignment 1, 2, 4 or 8"));
        }
    }
    let mut blocks = HashSet::new();
    for &block in &function.blocks {
        if block.index() >= function.block_count() {
            return check.report(None, format!("{block} does not exist"));
        }
        if !blocks.insert(block) {
            return check.report(Some(block), "the block stands in the function twice");
        }
    }
    if function.blocks.is_empty() {
        return check.report(None, "the function has no block");
    }
    let types = function.result.into_iter().chain((0..function.value_count()).map(|at| function.ty(Value::new(at))));
    if let Some(ty) = types.into_iter().find(|&ty| !type_exists(check.module, ty)) {
        return check.report(None, format!("type `{ty}` refers to something that the module does not have"));
    }
    let mut seen = HashSet::new();
    for &block in &function.blocks {
        check_block(check, block, &blocks, &mut seen);
    }
}

fn type_exists(module: &Module, ty: Type) -> bool {
    let Type::Ptr(pointer) = ty else { return true };
    match pointer.to {
        Memory::MapValue(map) | Memory::Map(map) | Memory::InnerMap(map) => map.index() < module.maps.len(),
        Memory::Global(global) => global.index() < module.globals.len(),
        _ => true,
    }
}

fn check_block(check: &mut Check<'_>, block: Block, blocks: &HashSet<Block>, seen: &mut HashSet<Inst>) {
    let function = check.function;
    let data = &function[block];
    for (number, &param) in (0..).zip(&data.params) {
        if param.index() >= function.value_count() || function.def(param) != ValueDef::Param(block, number) {
            check.report(Some(block), format!("parameter {param} is defined somewhere else"));
        }
    }
    for (at, &inst) in data.insts.iter().enumerate() {
        if inst.index() >= function.inst_count() || !seen.insert(inst) {
            check.report(Some(block), format!("instruction {inst} does not exist or stands in the function twice"));
            continue;
        }
        // An instruction with operands that do not exist can be printed, its results can not.
        let defined = (0..).zip(&function[inst].results).all(|(number, &result)| {
            result.index() < function.value_count() && function.def(result) == ValueDef::Result(inst, number)
        });
        if !defined {
            check.report(Some(block), format!("results of {inst} are defined somewhere else"));
            continue;
        }
        let last = at + 1 == data.insts.len();
        if function[inst].data.is_terminator() != last {
            let message =
                if last { "the block does not end here" } else { "nothing may stand behind the end of a block" };
            check.report_inst(block, inst, message);
        }
        if let Err(message) = references(check, inst, blocks) {
            check.report_inst(block, inst, message);
        }
    }
    if data.insts.is_empty() {
        check.report(Some(block), "the block is empty");
    }
}

/// What an instruction refers to must exist.
fn references(check: &Check<'_>, inst: Inst, blocks: &HashSet<Block>) -> Result<(), String> {
    let (module, function) = (check.module, check.function);
    let data = &function[inst].data;
    let mut missing = None;
    data.for_each_operand(|value| {
        if value.index() >= function.value_count() {
            missing = Some(value);
        }
    });
    if let Some(value) = missing {
        return Err(format!("{value} does not exist"));
    }
    let exists = match data {
        InstData::SlotAddr(slot) => slot.index() < function.slots.len(),
        InstData::MapAddr(map) => map.index() < module.maps.len(),
        InstData::GlobalAddr(global) => global.index() < module.globals.len(),
        InstData::FuncAddr(callee) | InstData::Call(Callee::Func(callee), _) => callee.index() < module.functions.len(),
        InstData::Core(core) => core.index() < module.cores.len(),
        InstData::KernelAddr(kfunc) | InstData::Call(Callee::Kfunc(kfunc), _) => kfunc.index() < module.kfuncs.len(),
        _ => true,
    };
    if !exists {
        return Err("what it refers to does not exist in the module".to_owned());
    }
    data.edges().try_for_each(|edge| edge_fits(check, edge, blocks))
}

fn edge_fits(check: &Check<'_>, edge: &Edge, blocks: &HashSet<Block>) -> Result<(), String> {
    let function = check.function;
    let target = edge.block;
    if !blocks.contains(&target) {
        return Err(format!("{target} is no block of the function"));
    }
    if target == function.entry() {
        return Err(format!("{target} is the entry, which nothing leads to"));
    }
    let params = &function[target].params;
    if params.len() != edge.args.len() {
        return Err(format!("{target} has {} parameters, the edge has {} arguments", params.len(), edge.args.len()));
    }
    for (&param, &arg) in params.iter().zip(&edge.args) {
        if param.index() < function.value_count() && !fits(function.ty(arg), function.ty(param)) {
            let (given, expected) = (function.ty(arg), function.ty(param));
            return Err(format!("{arg} is of type {given}, parameter {param} of {target} is of type {expected}"));
        }
    }
    Ok(())
}
