//! What the rules of the representation allow and code generation cannot do: found before it begins, with a place.

use skep_ir::{AtomicOp, Callee, Entity, FuncRef, Function, InstData, Module};
use skep_isa::ebpf::Cpu;

use crate::error::{Error, Problem};
use crate::select::{callees, context};

/// Most arguments of a call.
const MOST_ARGUMENTS: usize = 5;
/// Most functions that call each other (`MAX_CALL_FRAMES` in `linux/bpf_verifier.h`).
const MOST_FRAMES: usize = 8;

/// Checks a function by itself.
///
/// # Errors
/// The first instruction that cannot be compiled.
pub fn function(module: &Module, func: &Function, cpu: Cpu) -> Result<(), Error> {
    let params = func.params().len();
    if params > MOST_ARGUMENTS {
        return Err(Error::in_function(&func.name, Problem::Arguments(params)));
    }
    for &block in &func.blocks {
        let place = func[block].insts.last().map(|&inst| func[inst].loc).unwrap_or_default();
        if func.terminator(block).is_none() {
            let problem = Problem::Missing(format!("end of block {block}"));
            return Err(Error::in_function(&func.name, problem).at(place, &module.sources));
        }
        for &inst in &func[block].insts {
            let node = &func[inst];
            if let Err(problem) = instruction(module, func, &node.data, !node.results.is_empty(), cpu) {
                return Err(Error::in_function(&func.name, problem).at(node.loc, &module.sources));
            }
        }
    }
    Ok(())
}

fn instruction(module: &Module, func: &Function, data: &InstData, has_result: bool, cpu: Cpu) -> Result<(), Problem> {
    let exists = |what: &str, index: usize, count: usize| {
        if index < count { Ok(()) } else { Err(Problem::Missing(format!("{what} number {index}"))) }
    };
    let needs = |what, needs| if cpu >= needs { Ok(()) } else { Err(Problem::NeedsCpu { what, needs, has: cpu }) };
    match data {
        InstData::Atomic { op: AtomicOp::Add, .. } if !has_result => Ok(()),
        InstData::Atomic { op: AtomicOp::Xchg, .. } => needs("an atomic exchange", Cpu::V3),
        InstData::Atomic { .. } if has_result => needs("an atomic operation with a result", Cpu::V3),
        InstData::Atomic { .. } => needs("an atomic operation other than addition", Cpu::V3),
        InstData::CompareExchange { .. } => needs("compare and exchange", Cpu::V3),
        InstData::PacketLoad { .. } if context(func).is_none() => Err(Problem::NoContext),
        InstData::SlotAddr(slot) => exists("stack object", slot.index(), func.slots.len()),
        InstData::MapAddr(map) => exists("map", map.index(), module.maps.len()),
        InstData::GlobalAddr(global) => exists("variable", global.index(), module.globals.len()),
        InstData::FuncAddr(callee) => exists("function", callee.index(), module.functions.len()),
        InstData::Core(core) => exists("constant", core.index(), module.cores.len()),
        InstData::Call(callee, args) => {
            if args.len() > MOST_ARGUMENTS {
                return Err(Problem::Arguments(args.len()));
            }
            match callee {
                Callee::Func(callee) => exists("function", callee.index(), module.functions.len()),
                Callee::Kfunc(kfunc) => exists("kernel function", kfunc.index(), module.kfuncs.len()),
                Callee::Helper(_) => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The functions of a program: itself, then what it calls, in the order in which calls occur.
///
/// # Errors
/// Recursion, or more functions that call each other than the kernel allows.
pub fn call_graph(module: &Module, program: FuncRef) -> Result<Vec<FuncRef>, Error> {
    let mut order = Vec::new();
    let mut chain = Vec::new();
    visit(module, program, &mut chain, &mut order)?;
    Ok(order)
}

fn visit(module: &Module, func: FuncRef, chain: &mut Vec<FuncRef>, order: &mut Vec<FuncRef>) -> Result<(), Error> {
    let name = |func: FuncRef| module.functions[func.index()].name.clone();
    if let Some(start) = chain.iter().position(|&known| known == func) {
        let names = chain[start..].iter().copied().chain([func]).map(name).collect();
        return Err(Error::in_function(&name(func), Problem::Recursion(names)));
    }
    chain.push(func);
    if chain.len() > MOST_FRAMES {
        return Err(Error::in_function(&name(chain[0]), Problem::Depth(chain.len())));
    }
    let known = order.contains(&func);
    if !known {
        order.push(func);
    }
    for callee in callees(&module.functions[func.index()]) {
        visit(module, callee, chain, order)?;
    }
    chain.pop();
    Ok(())
}
