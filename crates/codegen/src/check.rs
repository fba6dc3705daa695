//! What code generation demands of a module before it begins: the rules of the representation, and what the chosen
//! instruction set can do.

use skep_ir::verify::Violation;
use skep_ir::{AtomicOp, Entity, FuncRef, Function, InstData, Module};
use skep_isa::ebpf::Cpu;

use crate::error::{Error, Problem};
use crate::select::{callees, context};

/// Checks a module against the rules.
///
/// # Errors
/// The first rule that is broken.
pub fn rules(module: &Module) -> Result<(), Error> {
    skep_ir::verify::verify(module).map_err(|violations| {
        let more = violations.len().saturating_sub(1);
        let Some(Violation { name, inst, loc, message, .. }) = violations.into_iter().next() else {
            return Error::in_function("", Problem::Internal("a rule is broken that nobody names".to_owned()));
        };
        Error::in_function(&name, Problem::Rule { inst, message, more }).at(loc, &module.sources)
    })
}

/// Checks whether a function can be compiled for an instruction set.
///
/// # Errors
/// The first instruction that cannot.
pub fn function(module: &Module, func: &Function, cpu: Cpu) -> Result<(), Error> {
    for &inst in func.blocks.iter().flat_map(|&block| &func[block].insts) {
        let node = &func[inst];
        if let Err(problem) = instruction(func, &node.data, !node.results.is_empty(), cpu) {
            return Err(Error::in_function(&func.name, problem).at(node.loc, &module.sources));
        }
    }
    Ok(())
}

fn instruction(func: &Function, data: &InstData, has_result: bool, cpu: Cpu) -> Result<(), Problem> {
    let needs = |what, needs| if cpu >= needs { Ok(()) } else { Err(Problem::NeedsCpu { what, needs, has: cpu }) };
    match data {
        InstData::Atomic { op: AtomicOp::Add, .. } if !has_result => Ok(()),
        InstData::Atomic { op: AtomicOp::Xchg, .. } => needs("an atomic exchange", Cpu::V3),
        InstData::Atomic { .. } if has_result => needs("an atomic operation with a result", Cpu::V3),
        InstData::Atomic { .. } => needs("an atomic operation other than addition", Cpu::V3),
        InstData::CompareExchange { .. } => needs("compare and exchange", Cpu::V3),
        InstData::PacketLoad { .. } if context(func).is_none() => Err(Problem::NoContext),
        _ => Ok(()),
    }
}

/// The functions of a program: itself, then what it calls, in the order in which calls occur. The rules exclude recursion.
pub fn functions_of(module: &Module, program: FuncRef) -> Vec<FuncRef> {
    let mut order = vec![program];
    let mut stack = vec![callees(&module.functions[program.index()]).into_iter()];
    while let Some(next) = stack.last_mut() {
        match next.next() {
            Some(callee) if order.contains(&callee) => {}
            Some(callee) => {
                order.push(callee);
                stack.push(callees(&module.functions[callee.index()]).into_iter());
            }
            None => {
                stack.pop();
            }
        }
    }
    order
}
