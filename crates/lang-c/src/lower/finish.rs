//! What is done with a function when all of it is there: blocks that cannot be reached and parameters of blocks that have
//! one value go, addresses reach their accesses, and what nothing reads is dropped.

use std::collections::HashMap;

use skep_ir::analysis::reverse_postorder;
use skep_ir::{Callee, Entity, Function, Inst, InstData, Memory, Value, Width};

/// Finishes a function.
pub fn finish(function: &mut Function) {
    let reached = reverse_postorder(function);
    function.blocks.retain(|block| reached.contains(block));
    single_values(function);
    addresses(function);
    drop_unread(function);
}

/// Replaces parameters that always have one value.
fn single_values(function: &mut Function) {
    loop {
        let mut incoming: HashMap<(skep_ir::Block, usize), Option<Value>> = HashMap::new();
        for &block in &function.blocks {
            let Some(inst) = function.terminator(block) else { continue };
            for edge in function[inst].data.edges() {
                let params = &function[edge.block].params;
                for (at, &arg) in edge.args.iter().enumerate() {
                    if params.get(at) == Some(&arg) {
                        continue;
                    }
                    incoming
                        .entry((edge.block, at))
                        .and_modify(|known| {
                            if *known != Some(arg) {
                                *known = None;
                            }
                        })
                        .or_insert(Some(arg));
                }
            }
        }
        let mut renames: HashMap<Value, Value> = HashMap::new();
        let mut removed: HashMap<skep_ir::Block, Vec<bool>> = HashMap::new();
        let entry = function.entry();
        for &block in &function.blocks {
            if block == entry {
                continue;
            }
            let params = function[block].params.clone();
            for (at, &param) in params.iter().enumerate() {
                if let Some(Some(only)) = incoming.get(&(block, at)) {
                    renames.insert(param, *only);
                    removed.entry(block).or_insert_with(|| vec![true; params.len()])[at] = false;
                }
            }
        }
        if renames.is_empty() {
            return;
        }
        let root = |mut value: Value| {
            // A circle of parameters that only have each other's value has no root; it is left when it comes round.
            for _ in 0..=renames.len() {
                match renames.get(&value) {
                    Some(&next) => value = next,
                    None => return value,
                }
            }
            value
        };
        let targets: HashMap<Value, Value> = renames.keys().map(|&value| (value, root(value))).collect();
        function.replace_operands(|value| targets.get(&value).copied().unwrap_or(value));
        for (block, keep) in removed {
            function.retain_params(block, |at, _| keep.get(at).copied().unwrap_or(true));
        }
    }
}

/// What a pointer is: another pointer whose class is known, and constant bytes from there.
fn origin(function: &Function, ptr: Value) -> Option<(Value, i64)> {
    let (mut value, mut off, mut forgot) = (ptr, 0i64, None);
    for _ in 0..1000 {
        match function.def_inst(value) {
            Some(InstData::PtrAddConst(base, step)) => {
                off += i64::from(*step);
                value = *base;
            }
            Some(InstData::Cast(inner)) if !function.ty(*inner).is_int() => {
                value = *inner;
                forgot = Some(());
            }
            _ => break,
        }
    }
    (forgot.is_some() || value != ptr).then_some((value, off))
}

/// Whether an access through a pointer of a known class keeps the rules of that class.
fn allowed(function: &Function, root: Value, off: i64, bytes: u32, natural: bool) -> bool {
    let Some(pointer) = function.ty(root).pointer() else { return false };
    let aligned = !natural || off.rem_euclid(bytes.max(1).into()) == 0;
    match (pointer.to, function.def_inst(root)) {
        (Memory::Any | Memory::Arena, _) => true,
        (Memory::Stack, Some(InstData::SlotAddr(slot))) => {
            let size = i64::from(function.slots[slot.index()].size);
            aligned && off >= 0 && off + i64::from(bytes) <= size
        }
        (Memory::Context, _) => aligned && off >= 0,
        // Bounds of variables are checked by those who know them.
        (Memory::Global(_), _) => false,
        (Memory::Map(_) | Memory::Function, _) => false,
        _ => off == 0,
    }
}

fn addresses(function: &mut Function) {
    for block in function.blocks.clone() {
        let mut insts: Vec<Inst> = Vec::new();
        for inst in std::mem::take(&mut function[block].insts) {
            let mut made = Vec::new();
            let mut data = function[inst].data.clone();
            match &mut data {
                InstData::Load { width, ptr, off, .. } | InstData::Store { width, ptr, off, .. } => {
                    access(function, *width, ptr, off);
                }
                InstData::Atomic { width, ptr, off, .. } | InstData::CompareExchange { width, ptr, off, .. } => {
                    access(function, *width, ptr, off);
                }
                InstData::Copy { to, from, len, .. } => {
                    for ptr in [to, from] {
                        whole(function, ptr, *len, &mut made);
                    }
                }
                InstData::Fill { to, len, .. } => whole(function, to, *len, &mut made),
                InstData::Call(callee, args) if !matches!(callee, Callee::Func(_)) => {
                    for arg in args {
                        argument(function, arg, &mut made);
                    }
                }
                _ => {}
            }
            function[inst].data = data;
            insts.append(&mut made);
            insts.push(inst);
        }
        function[block].insts = insts;
    }
}

fn access(function: &Function, width: Width, ptr: &mut Value, off: &mut i16) {
    let Some((root, more)) = origin(function, *ptr) else { return };
    let total = more + i64::from(*off);
    if let Ok(short) = i16::try_from(total)
        && allowed(function, root, total, width.bytes(), true)
    {
        (*ptr, *off) = (root, short);
    }
}

fn whole(function: &mut Function, ptr: &mut Value, len: u32, made: &mut Vec<Inst>) {
    let Some((root, off)) = origin(function, *ptr) else { return };
    if function.ty(root).pointer().is_some_and(|pointer| pointer.to == Memory::Context) {
        return;
    }
    if allowed(function, root, off, len, false) {
        *ptr = step(function, root, off, made).unwrap_or(*ptr);
    }
}

/// Arguments of helpers have the class that they have.
fn argument(function: &mut Function, arg: &mut Value, made: &mut Vec<Inst>) {
    if function.ty(*arg).is_int() {
        return;
    }
    let Some((root, off)) = origin(function, *arg) else { return };
    let class = function.ty(root).pointer().map(|pointer| pointer.to);
    let plain = off == 0;
    match class {
        Some(Memory::Stack | Memory::Global(_)) => *arg = step(function, root, off, made).unwrap_or(*arg),
        Some(Memory::Map(_) | Memory::Context | Memory::Function) if plain => *arg = root,
        _ => {}
    }
}

fn step(function: &mut Function, root: Value, off: i64, made: &mut Vec<Inst>) -> Option<Value> {
    if off == 0 {
        return Some(root);
    }
    let ty = function.ty(root);
    let loc = skep_ir::Loc::default();
    let inst = function.make_inst(InstData::PtrAddConst(root, i32::try_from(off).ok()?), &[ty], loc);
    made.push(inst);
    Some(function[inst].results[0])
}

/// Drops what only computes and is not read.
fn drop_unread(function: &mut Function) {
    let mut read = vec![false; function.value_count()];
    let mut work: Vec<Value> = Vec::new();
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            if function[inst].data.has_effect() {
                function[inst].data.for_each_operand(|value| work.push(value));
            }
        }
    }
    while let Some(value) = work.pop() {
        if std::mem::replace(&mut read[value.index()], true) {
            continue;
        }
        if let Some(data) = function.def_inst(value) {
            data.for_each_operand(|operand| work.push(operand));
        }
    }
    for block in function.blocks.clone() {
        let mut insts = std::mem::take(&mut function[block].insts);
        insts.retain(|&inst| {
            let node = &function[inst];
            node.data.has_effect() || node.results.iter().any(|value| read[value.index()])
        });
        function[block].insts = insts;
    }
}
