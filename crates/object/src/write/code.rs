//! Functions: programs taken apart again, so that what several of them share is written once.

use std::collections::HashMap;
use std::sync::Arc;

use skep_isa::ebpf::{Callee, Imm64, Insn, InsnIdx, Op, decode_program};

use crate::{CoreRelocation, ExternUse, Line, Object, ObjectError, Program};

/// A function of a program.
pub(super) struct Part {
    /// Position of the program in the object.
    pub(super) program: usize,
    pub(super) name: Arc<str>,
    pub(super) ty: Option<u32>,
    /// Whether it is the main function.
    pub(super) main: bool,
    /// The instructions; those that refer to functions hold nothing.
    pub(super) insns: Vec<Insn>,
    /// Instructions that refer to functions, and the functions' positions among the parts.
    pub(super) references: Vec<(u32, usize)>,
    pub(super) externs: Vec<ExternUse>,
    pub(super) lines: Vec<Line>,
    pub(super) relocations: Vec<CoreRelocation>,
}

/// All functions of all programs, and which of them are the same.
pub(super) struct Parts {
    pub(super) list: Vec<Part>,
    /// For each part the first that is the same.
    pub(super) first: Vec<usize>,
}

impl Parts {
    /// Takes the programs of an object apart.
    pub(super) fn new(object: &Object) -> Result<Self, ObjectError> {
        let mut list = Vec::new();
        for (index, program) in object.programs.iter().enumerate() {
            take_apart(index, program, &mut list)?;
        }
        let first = same(&list);
        Ok(Self { list, first })
    }
}

fn take_apart(index: usize, program: &Program, list: &mut Vec<Part>) -> Result<(), ObjectError> {
    let damaged = |error| ObjectError::Code { program: program.name.clone(), error };
    let ops = decode_program(&program.insns).map_err(damaged)?;
    let target = |at: InsnIdx, op: &Op| match op {
        Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. } => at.target(*distance),
        _ => None,
    };
    let starts = starts(program, &ops, target);
    let base = list.len();
    let wrong = |at: InsnIdx| {
        let problem = format!("program `{}`: instruction {at} refers to the middle of a function", program.name);
        ObjectError::Write(problem)
    };
    for (position, (start, name, ty)) in starts.iter().enumerate() {
        let end = starts.get(position + 1).map_or(program.insns.len(), |next| next.0.index());
        let insns = program.insns.get(start.index()..end).unwrap_or_default().to_vec();
        let inside = |at: InsnIdx| at >= *start && at.index() < end;
        let place = |at: InsnIdx| InsnIdx(at.0 - start.0);
        let mut part = Part {
            program: index,
            name: Arc::clone(name),
            ty: *ty,
            main: position == 0,
            insns,
            references: Vec::new(),
            externs: Vec::new(),
            lines: Vec::new(),
            relocations: Vec::new(),
        };
        for (at, op) in ops.iter().filter(|(at, _)| inside(*at)) {
            let Some(target) = target(*at, op) else { continue };
            let callee = starts.binary_search_by_key(&target, |start| start.0).map_err(|_| wrong(*at))?;
            part.references.push((place(*at).0, base + callee));
            if let Some(insn) = part.insns.get_mut(place(*at).index()) {
                insn.imm = 0;
            }
        }
        let lines = program.lines.iter().filter(|line| inside(line.at));
        part.lines.extend(lines.map(|line| Line { at: place(line.at), ..line.clone() }));
        let externs = program.externs.iter().filter(|used| inside(used.at));
        part.externs.extend(externs.map(|used| ExternUse { at: place(used.at), ..*used }));
        let relocations = program.core_relocations.iter().filter(|relocation| inside(relocation.at));
        part.relocations.extend(relocations.map(|r| CoreRelocation { at: place(r.at), ..r.clone() }));
        list.push(part);
    }
    Ok(())
}

/// Where functions start, with their names and types. What is not known about them is found out from calls.
fn starts(
    program: &Program,
    ops: &[(InsnIdx, Op)],
    target: impl Fn(InsnIdx, &Op) -> Option<InsnIdx>,
) -> Vec<(InsnIdx, Arc<str>, Option<u32>)> {
    let mut starts: Vec<_> = program.functions.iter().map(|f| (f.at, Arc::clone(&f.name), f.ty)).collect();
    if starts.is_empty() {
        let mut found: Vec<InsnIdx> = ops.iter().filter_map(|(at, op)| target(*at, op)).collect();
        found.push(InsnIdx(0));
        found.sort_unstable();
        found.dedup();
        let name = |at: InsnIdx| match at.0 {
            0 => program.name.as_str().into(),
            at => format!("{}_{at}", program.name).into(),
        };
        starts = found.into_iter().map(|at| (at, name(at), None)).collect();
    }
    if let Some(main) = starts.first_mut().filter(|main| main.0 == InsnIdx(0)) {
        main.1 = program.name.as_str().into();
    } else {
        starts.insert(0, (InsnIdx(0), program.name.as_str().into(), None));
    }
    starts
}

/// For each part the first that is the same: equal in itself, and with references to parts that are the same. Starts
/// from "equal in itself" and splits until nothing changes.
fn same(list: &[Part]) -> Vec<usize> {
    let mut classes: HashMap<_, usize> = HashMap::new();
    let mut class: Vec<usize> = Vec::with_capacity(list.len());
    for (index, part) in list.iter().enumerate() {
        let own = if part.main { Some(index) } else { None };
        let key = (own, &part.name, part.ty, &part.insns, shape(part));
        class.push(*classes.entry(key).or_insert(index));
    }
    loop {
        let mut classes: HashMap<(usize, Vec<usize>), usize> = HashMap::new();
        let mut next = Vec::with_capacity(list.len());
        for (index, part) in list.iter().enumerate() {
            let references = part.references.iter().map(|(_, target)| class[*target]).collect();
            next.push(*classes.entry((class[index], references)).or_insert(index));
        }
        if next == class {
            return class;
        }
        class = next;
    }
}

/// Everything about a part that is no instruction, as numbers and texts to compare.
fn shape(part: &Part) -> Vec<(u32, u32, u32, Arc<str>)> {
    let none: Arc<str> = "".into();
    let lines = part.lines.iter().map(|line| (line.at.0, line.line, line.column.into(), Arc::clone(&line.text)));
    let relocations = part.relocations.iter().map(|r| (r.at.0, r.kind, r.ty, Arc::clone(&r.access)));
    let externs = part.externs.iter().map(|used| (used.at.0, used.target.0, u32::MAX, Arc::clone(&none)));
    let references = part.references.iter().map(|(at, _)| (*at, u32::MAX, u32::MAX, Arc::clone(&none)));
    lines.chain(relocations).chain(externs).chain(references).collect()
}
