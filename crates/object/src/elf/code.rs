//! Functions: where they are, and what their instructions refer to.

use std::collections::HashMap;

use skep_isa::ebpf::{Callee, Endian, Imm64, Insn, InsnIdx, Op, Reg, decode_program, from_bytes};

use super::error::{ElfError, ElfProblem};
use super::file::{Relocation, Section, Symbol};
use super::{Context, Role};
use crate::{ExternIdx, ExternKind};

/// Relocation of a 64-bit immediate load: the address of a map, a variable or a function.
const R_BPF_64_64: u32 = 1;
/// Relocation of a call.
const R_BPF_64_32: u32 = 10;

/// Bytes in a slot.
const SLOT: u64 = 8;

/// All functions of a file.
pub(super) struct Functions<'a> {
    /// In the order of sections and offsets.
    pub(super) list: Vec<Function<'a>>,
    starts: HashMap<(usize, u64), usize>,
}

/// A function: its instructions with references to maps filled in, and the references to other functions.
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) section: usize,
    /// Where it starts in the section, in slots.
    pub(super) start: u32,
    /// Whether other files can see it.
    pub(super) global: bool,
    pub(super) insns: Vec<Insn>,
    /// In the order of the instructions.
    pub(super) references: Vec<FunctionReference>,
    /// Instructions that refer to what only the kernel has, in their order.
    pub(super) externs: Vec<(InsnIdx, ExternIdx)>,
}

/// An instruction that refers to a function.
#[derive(Clone, Copy)]
pub(super) struct FunctionReference {
    /// The instruction.
    pub(super) at: InsnIdx,
    /// The function's position in the list.
    pub(super) function: usize,
}

/// Where a function lies.
struct Extent<'a> {
    name: &'a str,
    global: bool,
    start: u64,
    end: u64,
}

impl<'a> Functions<'a> {
    /// Finds all functions and resolves what they refer to.
    pub(super) fn read(context: &Context<'a>) -> Result<Self, ElfError> {
        let mut found = Vec::new();
        for (index, section) in context.file.sections.iter().enumerate() {
            if context.roles[index] == Role::Code {
                let symbols = context.symbols_of(index).iter().filter(|symbol| symbol.is_function());
                found.extend(extents(section, symbols.copied().collect())?.into_iter().map(|extent| (index, extent)));
            }
        }
        let starts = found.iter().enumerate().map(|(function, (index, extent))| ((*index, extent.start), function));
        let mut functions = Self { list: Vec::with_capacity(found.len()), starts: starts.collect() };
        // One table of relocations serves all functions of a section.
        let mut table = (usize::MAX, Vec::new());
        for (index, extent) in found {
            if table.0 != index {
                table = (index, context.file.relocations(index)?);
            }
            let function = functions.function(context, index, &extent, &table.1)?;
            functions.list.push(function);
        }
        Ok(functions)
    }

    /// The function that starts at an offset of a section.
    pub(super) fn at(&self, section: usize, offset: u64) -> Option<usize> {
        self.starts.get(&(section, offset)).copied()
    }

    fn function(
        &self,
        context: &Context<'a>,
        index: usize,
        extent: &Extent<'a>,
        relocations: &[Relocation],
    ) -> Result<Function<'a>, ElfError> {
        let section = &context.file.sections[index];
        let locate = |at: InsnIdx, error: ElfError| ElfError {
            section: Some(section.name.to_owned()),
            offset: Some(extent.start + u64::from(at.0) * SLOT),
            ..error
        };
        let (start, end) = (extent.start as usize, extent.end as usize);
        let mut insns = from_bytes(&section.data[start..end], Endian::Little).unwrap_or_default();
        let ops = decode_program(&insns)
            .map_err(|error| locate(error.at, ElfError::new(ElfProblem::Code(error.error)).about(extent.name)))?;
        let range = |offset: u64| relocations.partition_point(|relocation| relocation.offset < offset);
        let mut pending = relocations[range(extent.start)..range(extent.end)].iter().peekable();
        let mut references = Vec::new();
        let mut externs = Vec::new();
        for (at, op) in ops {
            let offset = extent.start + u64::from(at.0) * SLOT;
            let relocation = pending.next_if(|relocation| relocation.offset == offset);
            let target = Reader { functions: self, context, section: index, extent, at }
                .target(op, relocation)
                .map_err(|error| locate(at, error))?;
            match target {
                Target::Function(function) => references.push(FunctionReference { at, function }),
                Target::Value(op, target) => {
                    externs.extend(target.map(|target| (at, target)));
                    let encoded = op.encode();
                    let slots = std::iter::once(encoded.first).chain(encoded.second);
                    insns.iter_mut().skip(at.index()).zip(slots).for_each(|(slot, new)| *slot = new);
                }
                Target::Nothing => {}
            }
        }
        if let Some(relocation) = pending.next() {
            let error = ElfError::in_section(section.name, ElfProblem::Relocation(relocation.kind));
            return Err(error.at(relocation.offset).about(context.symbol(relocation.symbol).name));
        }
        let start = u32::try_from(extent.start / SLOT);
        let start = start.map_err(|_| ElfError::in_section(section.name, ElfProblem::TooLarge))?;
        Ok(Function { name: extent.name, section: index, start, global: extent.global, insns, references, externs })
    }
}

/// Where the functions of a section lie. They never overlap.
fn extents<'a>(section: &Section<'a>, mut symbols: Vec<Symbol<'a>>) -> Result<Vec<Extent<'a>>, ElfError> {
    let error = |offset, problem| Err(ElfError::in_section(section.name, problem).at(offset));
    let len = section.data.len() as u64;
    if !len.is_multiple_of(SLOT) {
        return error(len, ElfProblem::Unaligned);
    }
    // Of several names for one place the global one counts.
    symbols.sort_by_key(|symbol| (symbol.value, !symbol.is_global()));
    symbols.dedup_by_key(|symbol| symbol.value);
    if symbols.is_empty() {
        // Hand-written code may have no symbols at all.
        return Ok(vec![Extent { name: section.name, global: true, start: 0, end: len }]);
    }
    let mut extents = Vec::with_capacity(symbols.len());
    for (position, symbol) in symbols.iter().enumerate() {
        let next = symbols.get(position + 1).map_or(len, |next| next.value);
        // Assembly often gives no sizes.
        let end = if symbol.size == 0 { next } else { next.min(symbol.value.saturating_add(symbol.size)) };
        if !symbol.value.is_multiple_of(SLOT) || !end.is_multiple_of(SLOT) {
            return error(symbol.value, ElfProblem::Unaligned).map_err(|error| error.about(symbol.name));
        }
        if symbol.value >= end || end > len {
            return error(symbol.value, ElfProblem::Truncated("a function")).map_err(|error| error.about(symbol.name));
        }
        let (name, global) = (symbol.name, symbol.is_global());
        extents.push(Extent { name, global, start: symbol.value, end });
    }
    Ok(extents)
}

/// What an instruction refers to.
enum Target {
    /// Nothing, or something within the function.
    Nothing,
    /// A function; the distance is known when the program is put together.
    Function(usize),
    /// This replaces the instruction, and the kernel may have to give its value.
    Value(Op, Option<ExternIdx>),
}

/// Finds out what one instruction refers to.
struct Reader<'r, 'a> {
    functions: &'r Functions<'a>,
    context: &'r Context<'a>,
    section: usize,
    extent: &'r Extent<'a>,
    at: InsnIdx,
}

impl Reader<'_, '_> {
    fn target(&self, op: Op, relocation: Option<&Relocation>) -> Result<Target, ElfError> {
        let Some(relocation) = relocation else { return self.without_relocation(op) };
        let symbol = self.context.symbol(relocation.symbol);
        let unexpected = || ElfError::new(ElfProblem::Relocation(relocation.kind)).about(symbol.name);
        match (op, relocation.kind) {
            (Op::LoadImm { dst, value: Imm64::Value(value) }, R_BPF_64_64) => {
                // The low half carries the distance from the symbol.
                let addend = i64::from(value as u32 as i32);
                if let Some(index) = self.context.externs.get(&relocation.symbol) {
                    return self.external(dst, *index, addend).map_err(|error| error.about(symbol.name));
                }
                match self.address(&symbol, addend)? {
                    Address::Function(function) => Ok(Target::Function(function)),
                    Address::Value(value) => Ok(Target::Value(Op::LoadImm { dst, value }, None)),
                }
            }
            (Op::Call(Callee::Local(distance)), R_BPF_64_32) => {
                if let Some(index) = self.context.externs.get(&relocation.symbol) {
                    let ExternKind::Function { .. } = self.context.kinds[index.index()] else {
                        let problem = ElfProblem::Extern("is called, but declared as a variable");
                        return Err(ElfError::new(problem).about(symbol.name));
                    };
                    return Ok(Target::Value(Op::Call(Callee::Kfunc { id: 0, module: 0 }), Some(*index)));
                }
                let (section, _) = self.context.section_of(&symbol)?;
                // Calls of functions hold -1, calls of sections the target's slot minus 1.
                let offset = (i64::from(distance) + 1) * SLOT as i64;
                let offset = symbol.value.wrapping_add_signed(offset);
                self.function_at(section, offset, symbol.name).map(Target::Function)
            }
            (Op::Call(_), R_BPF_64_32) => {
                self.context.section_of(&symbol)?;
                Err(unexpected())
            }
            _ => Err(unexpected()),
        }
    }

    /// The load of an extern's address: of a place in the map of settings, or of 0 until the kernel is known.
    fn external(&self, dst: Reg, index: ExternIdx, addend: i64) -> Result<Target, ElfError> {
        if let ExternKind::Config { map, offset, form } = self.context.kinds[index.index()] {
            let within = i64::from(offset).checked_add(addend);
            let within = within.filter(|_| (0..=i64::from(form.size())).contains(&addend));
            let within = within.and_then(|within| u32::try_from(within).ok());
            let within = within.ok_or(ElfError::new(ElfProblem::OutsideData))?;
            return Ok(Target::Value(Op::LoadImm { dst, value: map.load_value(within) }, None));
        }
        if addend != 0 {
            let problem = "is used at a distance, which loaders do not add; take the address first";
            return Err(ElfError::new(ElfProblem::Extern(problem)));
        }
        Ok(Target::Value(Op::LoadImm { dst, value: Imm64::Value(0) }, Some(index)))
    }

    fn without_relocation(&self, op: Op) -> Result<Target, ElfError> {
        if let Some(distance) = op.jump_distance() {
            let len = (self.extent.end - self.extent.start) / SLOT;
            let inside = self.at.target(distance).is_some_and(|target| u64::from(target.0) < len);
            return match inside {
                true => Ok(Target::Nothing),
                false => Err(ElfError::new(ElfProblem::JumpOutside(distance)).about(self.extent.name)),
            };
        }
        let (Op::Call(Callee::Local(distance)) | Op::LoadImm { value: Imm64::Func(distance), .. }) = op else {
            return Ok(Target::Nothing);
        };
        // Within one section the compiler knows the distance.
        let slots = i64::from(self.at.0) + 1 + i64::from(distance);
        let offset = self.extent.start.wrapping_add_signed(slots * SLOT as i64);
        self.function_at(self.section, offset, "").map(Target::Function)
    }

    fn function_at(&self, section: usize, offset: u64, name: &str) -> Result<usize, ElfError> {
        let function = self.functions.at(section, offset);
        function.ok_or_else(|| ElfError::new(ElfProblem::NoFunction(offset)).about(name))
    }

    fn address(&self, symbol: &Symbol<'_>, addend: i64) -> Result<Address, ElfError> {
        let error = |problem| Err(ElfError::new(problem).about(symbol.name));
        let (section, role) = self.context.section_of(symbol)?;
        let offset = symbol.value.wrapping_add_signed(addend);
        match role {
            Role::Code => self.function_at(section, offset, symbol.name).map(Address::Function),
            Role::Maps => match self.context.map_at(section, offset) {
                Some(map) => Ok(Address::Value(map.load())),
                None => error(ElfProblem::NoMap(offset)),
            },
            Role::Data(_) if self.context.file.is_relocated(section) => error(ElfProblem::Pointers),
            Role::Data(map) => match u32::try_from(offset) {
                // The address behind the last byte is fine as long as nobody uses it.
                Ok(within) if offset <= self.context.file.sections[section].size => {
                    Ok(Address::Value(map.load_value(within)))
                }
                _ => error(ElfProblem::OutsideData),
            },
            Role::Other => error(ElfProblem::Unreachable(self.context.file.sections[section].name.to_owned())),
        }
    }
}

/// What an address is one of.
enum Address {
    Function(usize),
    Value(Imm64),
}
