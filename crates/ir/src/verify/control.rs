//! Types of every instruction; those of control flow are judged here, others in the files next to this.

use std::collections::HashSet;

use skep_isa::ProgType;

use super::check::{Check, ensure, fits};
use super::{arithmetic, calls, memory};
use crate::entity::{Block, Inst, Value};
use crate::inst::InstData;
use crate::module::FuncKind;
use crate::op::Cond;
use crate::types::{Memory, Type};

/// What a rule says about an instruction.
pub type Judged = Result<(), String>;

/// Checks the types of all instructions of a function, and its signature.
pub fn check(check: &mut Check<'_>) {
    let function = check.function;
    if let Err(message) = signature(check) {
        check.report(None, message);
    }
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            if let Err(message) = judge(check, inst) {
                check.report_inst(block, inst, message);
            }
        }
        if block != function.entry() {
            context_params(check, block);
        }
    }
}

fn signature(check: &Check<'_>) -> Judged {
    let function = check.function;
    let params = function.params();
    match &function.kind {
        FuncKind::Program(info) if info.prog_type == ProgType::Ext => {
            // Those of the function that it replaces.
            ensure(params.len() <= 5, || format!("a function has at most five parameters, not {}", params.len()))?;
            ensure(function.result.is_some_and(Type::is_int), || "a program returns an integer".to_owned())
        }
        FuncKind::Program(_) => {
            ensure(params.len() <= 1, || format!("a program has one parameter, the context, not {}", params.len()))?;
            ensure(params.iter().all(|&param| check.ty(param) == Type::ptr(Memory::Context)), || {
                "the parameter of a program is `ptr<ctx>`".to_owned()
            })?;
            ensure(function.result.is_some_and(Type::is_int), || "a program returns an integer".to_owned())
        }
        FuncKind::Static | FuncKind::Global | FuncKind::Callback => {
            ensure(params.len() <= 5, || format!("a function has at most five parameters, not {}", params.len()))
        }
    }
}

/// The context is what the function was given, not one of several.
fn context_params(check: &mut Check<'_>, block: Block) {
    let is_context = |param: &Value| check.ty(*param).pointer().is_some_and(|pointer| pointer.to == Memory::Context);
    if let Some(param) = check.function[block].params.iter().copied().find(is_context) {
        check.report(Some(block), format!("{param} is a context, which only the parameter of the function is"));
    }
}

fn judge(check: &Check<'_>, inst: Inst) -> Judged {
    let function = check.function;
    let node = &function[inst];
    let results: Vec<Type> = node.results.iter().map(|&result| check.ty(result)).collect();
    match &node.data {
        InstData::Load { .. }
        | InstData::Store { .. }
        | InstData::Atomic { .. }
        | InstData::CompareExchange { .. }
        | InstData::Copy { .. }
        | InstData::Fill { .. }
        | InstData::PacketLoad { .. } => memory::judge(check, &node.data, &results),
        InstData::Call(callee, args) => calls::judge(check, *callee, args, &results),
        InstData::Branch { cond, args, .. } => branch(check, inst, *cond, *args, &results),
        InstData::Switch { value, cases, .. } => {
            no_result(&results)?;
            ensure(check.ty(*value).is_int(), || format!("{value} is not an integer"))?;
            let mut seen = HashSet::new();
            match cases.iter().find(|case| !seen.insert(case.0)) {
                Some((number, _)) => Err(format!("there are two cases for {number}")),
                None => Ok(()),
            }
        }
        InstData::Return(value) => {
            no_result(&results)?;
            match (value, function.result) {
                (None, None) => Ok(()),
                (Some(value), Some(expected)) => ensure(fits(check.ty(*value), expected), || {
                    format!("{value} is of type {}, the function returns {expected}", check.ty(*value))
                }),
                (None, Some(expected)) => Err(format!("the function returns {expected}")),
                (Some(_), None) => Err("the function returns nothing".to_owned()),
            }
        }
        InstData::Jump(_) | InstData::MayGoto { .. } | InstData::Unreachable => no_result(&results),
        data => arithmetic::judge(check, data, &results),
    }
}

/// There must be no result.
pub fn no_result(results: &[Type]) -> Judged {
    ensure(results.is_empty(), || "it has no result".to_owned())
}

fn branch(check: &Check<'_>, inst: Inst, cond: Cond, args: [Value; 2], results: &[Type]) -> Judged {
    arithmetic::comparable(check, cond, args)?;
    ensure(results.len() <= 2, || "a branch has at most two results, one for each operand".to_owned())?;
    for (number, (&result, &arg)) in results.iter().zip(&args).enumerate() {
        if result == check.ty(arg) {
            continue;
        }
        ensure(super::dominance::refined_non_null(check.function, inst, number).is_some(), || {
            format!("result {number} is of type {result}, its operand of type {}", check.ty(arg))
        })?;
        ensure(fits(result, check.ty(arg)), || format!("{result} is another memory than that of {arg}"))?;
        let other = args[1 - number];
        ensure(matches!(cond, Cond::Eq | Cond::Ne) && check.function.constant(other) == Some(0), || {
            format!("only eq and ne with the constant 0 say that {arg} is not null")
        })?;
    }
    Ok(())
}
