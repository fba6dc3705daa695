//! Programs: a main function with the subprograms that it needs, and everything known about their instructions.

use std::collections::HashMap;
use std::sync::Arc;

use skep_isa::ebpf::{Insn, InsnIdx};

use super::code::{Function, Functions};
use super::debug::Debug;
use super::error::{ElfError, ElfProblem};
use super::{Context, Role, section_kind};
use crate::exceptions::exception_callbacks;
use crate::{CoreRelocation, ExternUse, Function as Named, Line, Object, ProgIdx, Program};

/// Most slots in one program, the kernel's limit (`BPF_COMPLEXITY_LIMIT_INSNS`).
const MOST_SLOTS: usize = 1_000_000;
/// Most slots in all programs together: shared subprograms could otherwise make much out of a small file.
const MOST_SLOTS_IN_ALL: usize = 4_000_000;

/// Which functions are programs.
pub(super) struct Programs(HashMap<usize, ProgIdx>);

impl Programs {
    /// The program whose main function is the given one.
    pub(super) fn of_function(&self, function: usize) -> Option<ProgIdx> {
        self.0.get(&function).copied()
    }
}

/// Puts all programs together.
pub(super) fn link(
    context: &Context<'_>,
    functions: &Functions<'_>,
    debug: &Debug,
    object: &mut Object,
) -> Result<Programs, ElfError> {
    let section_of = |function: &Function<'_>| context.file.sections[function.section].name;
    let code = context.file.sections.iter().zip(&context.roles).filter(|(_, role)| **role == Role::Code);
    let only_text = code.into_iter().all(|(section, _)| section.name == ".text");
    let names: Vec<Arc<str>> = functions.list.iter().map(|function| function.name.into()).collect();
    let callbacks = context.btf.as_ref().map_or_else(Vec::new, exception_callbacks);
    let mut programs = HashMap::new();
    let mut slots = 0;
    for (main, function) in functions.list.iter().enumerate() {
        let section = section_of(function);
        if !function.global || (section == ".text" && !only_text) {
            continue;
        }
        let too_large = || ElfError::in_section(section, ElfProblem::TooLarge).about(function.name);
        let mut tagged =
            callbacks.iter().filter(|(main, _)| Some(main.0) == debug.type_of(function)).map(|(_, name)| *name);
        // Of several the kernel takes none.
        let callback = tagged.next().filter(|_| tagged.next().is_none());
        let callback = callback.and_then(|name| functions.list.iter().position(|one| one.name == name && one.global));
        let layout = Layout::new(functions, main, callback).ok_or_else(too_large)?;
        slots += layout.slots;
        if slots > MOST_SLOTS_IN_ALL {
            return Err(too_large());
        }
        let unclear = |error| ElfError::in_section(section, ElfProblem::Section(error)).about(function.name);
        let kind = section_kind(section).map_err(unclear)?;
        let mut program = Program::new(function.name, kind.prog_type, layout.insns(functions));
        program.attach_type = kind.attach_type;
        program.flags = kind.flags;
        program.attach = kind.attach;
        program.autoload = kind.autoload;
        program.section = section.to_owned();
        layout.describe(functions, &names, debug, &mut program);
        programs.insert(main, object.add_program(program));
    }
    Ok(Programs(programs))
}

/// The functions of one program and where they start.
struct Layout {
    /// Positions in the list of functions, in the order of the code.
    order: Vec<usize>,
    /// The first slot of each.
    starts: HashMap<usize, usize>,
    /// Slots in all of them.
    slots: usize,
}

impl Layout {
    /// The main function, then each function where it is first referred to, its own subprograms before those that the
    /// caller refers to later, and at the end the one that exceptions end in: libbpf's order. `None` if that is too much.
    fn new(functions: &Functions<'_>, main: usize, exceptions: Option<usize>) -> Option<Self> {
        let mut layout = Self { order: Vec::new(), starts: HashMap::new(), slots: 0 };
        layout.append_all(functions, main)?;
        if let Some(callback) = exceptions.filter(|callback| !layout.starts.contains_key(callback)) {
            layout.append_all(functions, callback)?;
        }
        Some(layout)
    }

    /// A function and what it refers to.
    fn append_all(&mut self, functions: &Functions<'_>, first: usize) -> Option<()> {
        self.append(functions, first)?;
        // Functions on the way from the first one, and how many of their references were followed.
        let mut path = vec![(first, 0)];
        while let Some((function, followed)) = path.last_mut() {
            let Some(reference) = functions.list[*function].references.get(*followed) else {
                path.pop();
                continue;
            };
            *followed += 1;
            if !self.starts.contains_key(&reference.function) {
                self.append(functions, reference.function)?;
                path.push((reference.function, 0));
            }
        }
        Some(())
    }

    fn append(&mut self, functions: &Functions<'_>, function: usize) -> Option<()> {
        self.order.push(function);
        self.starts.insert(function, self.slots);
        self.slots += functions.list[function].insns.len();
        (self.slots <= MOST_SLOTS).then_some(())
    }

    fn parts<'f, 'a>(
        &self,
        functions: &'f Functions<'a>,
    ) -> impl Iterator<Item = (usize, usize, &'f Function<'a>)> + use<'f, 'a, '_> {
        self.order.iter().map(|function| (*function, self.starts[function], &functions.list[*function]))
    }

    /// The code with the distances between functions filled in.
    fn insns(&self, functions: &Functions<'_>) -> Vec<Insn> {
        let mut insns = Vec::with_capacity(self.slots);
        for (_, start, function) in self.parts(functions) {
            insns.extend_from_slice(&function.insns);
            for reference in &function.references {
                let at = start + reference.at.index();
                let insn: &mut Insn = &mut insns[at];
                if insn.code == LOAD_IMM {
                    insn.src = PSEUDO_FUNC;
                    // What the compiler stored beside it was only meant for the linker.
                    insns[at + 1].imm = 0;
                }
                // Both fit: a program has at most a million slots.
                insns[at].imm = self.starts[&reference.function] as i32 - at as i32 - 1;
            }
        }
        insns
    }

    /// Names of functions, source lines and relocations.
    fn describe(&self, functions: &Functions<'_>, names: &[Arc<str>], debug: &Debug, program: &mut Program) {
        for (index, start, function) in self.parts(functions) {
            let place = |slot: u32| InsnIdx::new(start + slot as usize);
            program.functions.push(Named { at: place(0), name: names[index].clone(), ty: debug.type_of(function) });
            program.lines.extend(debug.lines(function).map(|(slot, line)| Line {
                at: place(slot),
                file: debug.text(line.file),
                line: line.line,
                column: line.column,
                text: debug.text(line.text),
            }));
            program.core_relocations.extend(debug.relocations(function).map(|(slot, relocation)| CoreRelocation {
                at: place(slot),
                kind: relocation.kind,
                ty: relocation.ty.0,
                access: debug.text(relocation.access),
            }));
            let used = function.externs.iter().map(|(at, target)| ExternUse { at: place(at.0), target: *target });
            program.externs.extend(used);
        }
    }
}

/// Opcode of a 64-bit immediate load, and the source field that makes it the address of a function (RFC 9669, 5.4).
const LOAD_IMM: u8 = 0x18;
const PSEUDO_FUNC: u8 = 4;
