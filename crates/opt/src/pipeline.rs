//! The list of passes, and the run of them over a module.

use std::time::{Duration, Instant};

use skep_ir::{Callee, Entity, FuncKind, FuncRef, Function, Global, InstData, MapDecl, Module};

use crate::stack::Calls;
use crate::{blocks, cse, dce, dse, equal, inline, narrow, range, refine, sccp, simplify, slots, unroll};

/// What may be done, and for which machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Version of the instruction set, 1 to 4 (`-mcpu` of other compilers). From 4 on there are instructions that extend
    /// by the sign and divide signed numbers.
    pub cpu: u8,
    /// Static functions of at most so many instructions become part of their callers; those with one call do whatever
    /// their size.
    pub inline_size: usize,
    /// Larger ones do where they are called once, up to so many: each program has copies of the functions that it calls.
    pub inline_once: usize,
    /// No function grows beyond so many instructions by inlining or unrolling.
    pub max_size: usize,
    /// Loops that are known to go round at most so often are unrolled; 0 for none.
    pub unroll: u32,
    /// Of these loops those that become at most so many instructions, apart from what is computed from their counters.
    pub unroll_size: usize,
    /// Whether the machine has the highest byte of a number in front: read-only variables are read while compiling.
    pub big_endian: bool,
    /// Whether the second look-up of a key in a map gives what the first one gave, as long as the program itself changes
    /// nothing in between.
    pub merge_lookups: bool,
    /// Whether the rules of the representation are checked behind every pass. A violation is a defect of the pass, and a
    /// panic that names it.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cpu: 3,
            inline_size: 40,
            inline_once: 200,
            max_size: 20_000,
            unroll: 0,
            unroll_size: 4_000,
            big_endian: false,
            merge_lookups: false,
            verify: cfg!(debug_assertions),
        }
    }
}

impl Options {
    /// For code that is generated and not written: functions stay functions unless they are called once, and what
    /// programs look up twice is looked up once.
    pub fn compact() -> Self {
        Self { inline_size: 8, merge_lookups: true, ..Self::default() }
    }
}

/// What a pass knows besides the function that it changes.
#[derive(Debug, Clone, Copy)]
pub struct Ctx<'m> {
    /// Maps of the module.
    pub maps: &'m [MapDecl],
    /// Variables of the module.
    pub globals: &'m [Global],
    /// Functions of the module; in the place of the one that is changed stands an empty one.
    pub functions: &'m [Function],
    /// Who calls whom, as it was in front of the first pass over the one that is changed.
    pub(crate) calls: &'m Calls,
    /// The one that is changed.
    pub(crate) at: FuncRef,
    /// What may be done.
    pub options: &'m Options,
}

impl<'m> Ctx<'m> {
    fn new(module: &'m Module, calls: &'m Calls, at: FuncRef, options: &'m Options) -> Self {
        Self { maps: &module.maps, globals: &module.globals, functions: &module.functions, calls, at, options }
    }
}

/// A pass.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Its name, as options take it.
    pub name: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Changes a function and says whether it did.
    pub run: fn(&mut Function, &Ctx) -> bool,
}

macro_rules! pass {
    ($name:literal, $run:path, $about:literal) => {
        Pass { name: $name, about: $about, run: $run }
    };
}

// TABLE: one row for each run of a pass, in order.
static PIPELINE: &[Pass] = &[
    pass!("inline", inline::inline, "Puts small static functions, and those with one call, into their callers"),
    pass!("copies", slots::split, "Splits copies of structures into the members that are read and written"),
    pass!("slots", slots::promote, "Makes values of objects on the stack whose address stays here"),
    pass!("simplify", simplify::simplify, "Folds constants, simplifies arithmetic, and makes comparisons uniform"),
    pass!("sccp", sccp::sccp, "Propagates constants along the ways that can be taken"),
    pass!("blocks", blocks::clean, "Removes unreachable blocks, merges and skips blocks"),
    pass!("cse", cse::cse, "Computes and loads once what is computed and loaded twice"),
    pass!("simplify", simplify::simplify, "Folds what became equal"),
    pass!("unroll", unroll::unroll, "Unrolls loops that run a constant number of times, where asked"),
    pass!("sccp", sccp::sccp, "Propagates the counters of unrolled loops"),
    pass!("simplify", simplify::simplify, "Folds their arithmetic"),
    pass!("blocks", blocks::clean, "Removes what is left of them"),
    pass!("dce", dce::dce, "Removes addresses that nothing reads"),
    pass!("slots", slots::promote, "Makes values of the members that unrolled loops went through"),
    pass!("refine", refine::refine, "Gives compared values a new name behind their comparison"),
    pass!("range", range::range, "Removes masks and branches that the verifier can see to be redundant"),
    pass!("blocks", blocks::clean, "Removes the ways not taken"),
    pass!("narrow", narrow::narrow, "Drops extensions and truncations that cancel"),
    pass!("equal", equal::equal, "Compares loaded bytes without their signs"),
    pass!("cse", cse::cse, "Merges what became equal"),
    pass!("simplify", simplify::simplify, "Folds what became equal"),
    pass!("dse", dse::dse, "Removes writes to the stack that nothing reads"),
    pass!("dce", dce::dce, "Removes values that nothing reads"),
    pass!("blocks", blocks::clean, "Merges blocks that became empty"),
];

/// The passes in the order in which they run. Some run more than once.
pub fn pipeline() -> &'static [Pass] {
    PIPELINE
}

/// One run of a pass, over all functions.
#[derive(Debug, Clone, Copy)]
pub struct PassReport {
    /// Name of the pass.
    pub name: &'static str,
    /// How many functions it changed.
    pub changed: usize,
    /// How long it took, over all functions.
    pub time: Duration,
}

/// What happened to a module.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The passes, in the order of [`pipeline`].
    pub passes: Vec<PassReport>,
    /// Instructions of all functions before.
    pub before: usize,
    /// Instructions of all functions behind.
    pub after: usize,
}

impl Report {
    /// Before anything has run.
    fn new() -> Self {
        let row = |pass: &Pass| PassReport { name: pass.name, changed: 0, time: Duration::ZERO };
        Self { passes: PIPELINE.iter().map(row).collect(), ..Self::default() }
    }

    /// One run of a pass.
    fn add(&mut self, index: usize, time: Duration, changed: bool) {
        let entry = &mut self.passes[index];
        entry.time += time;
        entry.changed += usize::from(changed);
    }
}

/// A function behind a pass, for those who want to watch.
#[derive(Debug)]
pub struct Step<'f> {
    /// The pass.
    pub pass: &'static Pass,
    /// Its place in the list.
    pub index: usize,
    /// The function.
    pub function: &'f Function,
    /// Whether the pass changed it.
    pub changed: bool,
}

/// Runs all passes over all functions of a module: first over those that others call, then over those that nobody calls,
/// on all processors.
///
/// # Panics
/// If a pass broke the rules of the representation and [`Options::verify`] asks to look, for which the functions wait for one
/// another.
pub fn optimise(module: &mut Module, options: &Options) -> Report {
    if options.verify {
        return optimise_with(module, options, &mut |_| {});
    }
    let (mut report, calls, roots) = optimise_called(module, options, &mut |_| {});
    let taken: Vec<(FuncRef, Function)> = roots.into_iter().map(|at| (at, take(module, at))).collect();
    let done = {
        let module = &*module;
        let work = |(at, mut function): (FuncRef, Function)| {
            let mut report = Report::new();
            for (index, pass) in PIPELINE.iter().enumerate() {
                let start = Instant::now();
                let changed = (pass.run)(&mut function, &Ctx::new(module, &calls, at, options));
                report.add(index, start.elapsed(), changed);
            }
            (at, function, report)
        };
        skep_ir::parallel::map(taken, |(_, function)| size(function), work)
    };
    for (at, function, part) in done {
        module.functions[at.index()] = function;
        for (index, pass) in part.passes.iter().enumerate() {
            report.passes[index].time += pass.time;
            report.passes[index].changed += pass.changed;
        }
    }
    report.after = module.functions.iter().map(size).sum();
    report
}

/// Like [`optimise`], and shows every function behind every pass to `watch`.
///
/// # Panics
/// As [`optimise`].
pub fn optimise_with(module: &mut Module, options: &Options, watch: &mut dyn FnMut(&Step)) -> Report {
    let (mut report, calls, roots) = optimise_called(module, options, watch);
    for at in roots {
        run_on(module, at, &calls, options, &mut report, watch);
    }
    report.after = module.functions.iter().map(size).sum();
    report
}

/// Runs all passes over the functions that others call. What came of it, who calls whom behind it, and the other functions:
/// none of them matters to another.
fn optimise_called(
    module: &mut Module,
    options: &Options,
    watch: &mut dyn FnMut(&Step),
) -> (Report, Calls, Vec<FuncRef>) {
    let mut report = Report::new();
    report.before = module.functions.iter().map(size).sum();
    let mut calls = Calls::new(module);
    let is_called: Vec<bool> = calls.references.iter().map(|&count| count > 0).collect();
    let (called, roots): (Vec<_>, Vec<_>) = callees_first(module).into_iter().partition(|at| is_called[at.index()]);
    for at in called {
        run_on(module, at, &calls, options, &mut report, watch);
        calls.update(at, &module.functions[at.index()]);
    }
    (report, calls, roots)
}

/// Runs one pass of the list, found by its name, over all functions. False if there is none of this name.
///
/// # Panics
/// As [`optimise`].
pub fn run_pass(module: &mut Module, name: &str, options: &Options) -> bool {
    let Some(pass) = PIPELINE.iter().find(|pass| pass.name == name) else { return false };
    let mut calls = Calls::new(module);
    for at in callees_first(module) {
        run_one(module, at, pass, &calls, options, &mut |_, _| {});
        calls.update(at, &module.functions[at.index()]);
    }
    true
}

/// Takes a function out of its module; an empty one stands in its place.
fn take(module: &mut Module, at: FuncRef) -> Function {
    std::mem::replace(&mut module.functions[at.index()], Function::new("", FuncKind::Static, &[], None))
}

/// Runs a pass over one function and shows it to `watch`, with whether it has changed.
fn run_one(
    module: &mut Module,
    at: FuncRef,
    pass: &Pass,
    calls: &Calls,
    options: &Options,
    watch: &mut dyn FnMut(&Function, bool),
) -> bool {
    let mut function = take(module, at);
    let changed = (pass.run)(&mut function, &Ctx::new(module, calls, at, options));
    watch(&function, changed);
    module.functions[at.index()] = function;
    if options.verify && changed {
        check(module, pass.name);
    }
    changed
}

fn run_on(
    module: &mut Module,
    at: FuncRef,
    calls: &Calls,
    options: &Options,
    report: &mut Report,
    watch: &mut dyn FnMut(&Step),
) {
    for (index, pass) in PIPELINE.iter().enumerate() {
        let start = Instant::now();
        let mut time = Duration::ZERO;
        let changed = run_one(module, at, pass, calls, options, &mut |function, changed| {
            time = start.elapsed();
            watch(&Step { pass, index, function, changed });
        });
        report.add(index, time, changed);
    }
}

fn check(module: &Module, pass: &str) {
    if let Err(violations) = skep_ir::verify(module) {
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        panic!("pass `{pass}` broke the rules:\n{}\n{module}", list.join("\n"));
    }
}

/// Instructions of a function.
pub(crate) fn size(function: &Function) -> usize {
    function.blocks.iter().map(|&block| function[block].insts.len()).sum()
}

/// The functions that a function calls or takes the address of.
pub(crate) fn called(function: &Function) -> Vec<FuncRef> {
    let mut found: Vec<FuncRef> = function.assembly.iter().flat_map(|assembly| assembly.functions()).collect();
    for &block in &function.blocks {
        for &inst in &function[block].insts {
            match &function[inst].data {
                InstData::Call(Callee::Func(callee), _) | InstData::FuncAddr(callee) => found.push(*callee),
                _ => {}
            }
        }
    }
    found
}

/// The functions of a module, each behind those that it calls, as far as there is no recursion.
fn callees_first(module: &Module) -> Vec<FuncRef> {
    let mut order = Vec::new();
    let mut seen = vec![false; module.functions.len()];
    for root in 0..module.functions.len() {
        if seen[root] {
            continue;
        }
        seen[root] = true;
        let mut stack = vec![(root, called(&module.functions[root]))];
        while let Some((function, rest)) = stack.last_mut() {
            let Some(next) = rest.pop() else {
                order.push(FuncRef::new(*function));
                stack.pop();
                continue;
            };
            if seen.get(next.index()) == Some(&false) {
                seen[next.index()] = true;
                stack.push((next.index(), called(&module.functions[next.index()])));
            }
        }
    }
    order
}
