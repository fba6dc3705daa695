//! Chains of calls: no recursion, at most eight frames, at most 512 bytes of objects.

use super::Violation;
use super::check::Check;
use crate::analysis::Places;
use crate::entity::{Entity, FuncRef};
use crate::function::Function;
use crate::inst::{Callee, InstData};
use crate::module::Module;

/// Most frames on a chain of calls (`MAX_CALL_FRAMES` of the kernel's verifier).
const MOST_FRAMES: usize = 8;
/// Most bytes of stack on a chain of calls (`MAX_BPF_STACK`).
const MOST_BYTES: u32 = 512;

/// The functions that a function calls or hands to helpers, each once.
fn callees(function: &Function, addresses: bool) -> Vec<usize> {
    let insts = function.blocks.iter().flat_map(|&block| &function[block].insts);
    let written = function.assembly.iter().flat_map(|assembly| assembly.functions());
    let mut callees: Vec<usize> = insts
        .filter_map(|&inst| match function[inst].data {
            InstData::Call(Callee::Func(callee), _) => Some(callee),
            InstData::FuncAddr(callee) if addresses => Some(callee),
            _ => None,
        })
        .chain(written)
        .map(Entity::index)
        .collect();
    callees.sort_unstable();
    callees.dedup();
    callees
}

/// Checks the chains of calls of a module.
pub fn check(module: &Module, violations: &mut Vec<Violation>) {
    let calls = |addresses| module.functions.iter().map(|of| callees(of, addresses)).collect::<Vec<_>>();
    let mut calls_made = calls(true);
    let mut order = callees_first(&calls_made);
    if order.is_none() {
        // What a timer calls may set the timer again: that is no recursion.
        calls_made = calls(false);
        order = callees_first(&calls_made);
    }
    let calls = calls_made;
    let Some(order) = order else {
        let cycle = cycle(&calls);
        let names: Vec<&str> = cycle.iter().map(|&at| module.functions[at].name.as_str()).collect();
        let at = cycle.first().copied().unwrap_or(0);
        let mut check = Check::new(module, FuncRef::new(at), &module.functions[at], violations);
        return check.report(None, format!("the function calls itself, which BPF forbids: {}", names.join(" -> ")));
    };
    let called: Vec<bool> = {
        let mut called = vec![false; calls.len()];
        calls.iter().flatten().for_each(|&callee| called[callee] = true);
        called
    };
    // For each function the deepest chain and the one with most bytes that start there.
    let mut deepest: Vec<(usize, Option<usize>)> = vec![(0, None); calls.len()];
    let mut largest: Vec<(u32, Option<usize>)> = vec![(0, None); calls.len()];
    for &at in &order {
        let below = calls[at].iter().copied();
        let deep = below.clone().max_by_key(|&callee| deepest[callee].0);
        deepest[at] = (1 + deep.map_or(0, |callee| deepest[callee].0), deep);
        let large = below.max_by_key(|&callee| largest[callee].0);
        largest[at] = (
            Places::new(&module.functions[at]).size.saturating_add(large.map_or(0, |callee| largest[callee].0)),
            large,
        );
    }
    for (at, function) in module.functions.iter().enumerate() {
        // A chain is reported where it begins.
        if called[at] {
            continue;
        }
        let mut check = Check::new(module, FuncRef::new(at), function, violations);
        let frames = deepest[at].0;
        if frames > MOST_FRAMES {
            let chain = names(module, at, &deepest);
            check.report(None, format!("{frames} functions call each other, at most {MOST_FRAMES} may: {chain}"));
        }
        let bytes = largest[at].0;
        if bytes > MOST_BYTES {
            let chain = chain(at, &largest);
            let objects = largest_objects(module, &chain);
            let chain = names(module, at, &largest);
            check
                .report(None, format!("objects on the stack take {bytes} bytes of {MOST_BYTES} in {chain}: {objects}"));
        }
    }
}

/// The functions in an order where callees come first; `None` if there is recursion.
fn callees_first(calls: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut callers = vec![Vec::new(); calls.len()];
    for (at, callees) in calls.iter().enumerate() {
        callees.iter().for_each(|&callee| callers[callee].push(at));
    }
    let mut waiting: Vec<usize> = calls.iter().map(Vec::len).collect();
    let mut order: Vec<usize> = (0..calls.len()).filter(|&at| waiting[at] == 0).collect();
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        for &caller in &callers[at] {
            waiting[caller] -= 1;
            if waiting[caller] == 0 {
                order.push(caller);
            }
        }
    }
    (order.len() == calls.len()).then_some(order)
}

/// A cycle of calls, with its first function again at the end. There must be one.
fn cycle(calls: &[Vec<usize>]) -> Vec<usize> {
    // Functions that reach no cycle are left out, then every way leads into one.
    let mut alive = vec![true; calls.len()];
    let mut changed = true;
    while changed {
        changed = false;
        for at in 0..calls.len() {
            if alive[at] && !calls[at].iter().any(|&callee| alive[callee]) {
                alive[at] = false;
                changed = true;
            }
        }
    }
    let mut path: Vec<usize> = Vec::new();
    let mut next = alive.iter().position(|&alive| alive);
    while let Some(at) = next {
        let seen = path.iter().position(|&other| other == at);
        path.push(at);
        if let Some(start) = seen {
            return path.split_off(start);
        }
        next = calls[at].iter().copied().find(|&callee| alive[callee]);
    }
    path
}

/// The functions of a chain.
fn chain<T>(start: usize, next: &[(T, Option<usize>)]) -> Vec<usize> {
    std::iter::successors(Some(start), |&at| next[at].1).collect()
}

fn names<T>(module: &Module, start: usize, next: &[(T, Option<usize>)]) -> String {
    let names: Vec<&str> = chain(start, next).into_iter().map(|at| module.functions[at].name.as_str()).collect();
    names.join(" -> ")
}

/// The three largest objects of some functions, largest first.
fn largest_objects(module: &Module, functions: &[usize]) -> String {
    let mut objects: Vec<(u32, String)> = Vec::new();
    for &at in functions {
        let function = &module.functions[at];
        for (number, slot) in function.slots.iter().enumerate() {
            let name = if slot.name.is_empty() { format!("s{number}") } else { format!("`{}`", slot.name) };
            objects.push((slot.size, format!("{name} of `{}` has {} bytes", function.name, slot.size)));
        }
    }
    objects.sort_by_key(|object| std::cmp::Reverse(object.0));
    let texts: Vec<String> = objects.into_iter().take(3).map(|object| object.1).collect();
    texts.join(", ")
}
