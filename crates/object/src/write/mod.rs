//! From an [`Object`] to an ELF file that libbpf and [`Object::from_elf`] read.
//!
//! ```text
//! Object --code--> functions, each once --+
//!        --maps--> .maps, .data, ... -----+--file--> bytes
//!        --types--> .BTF, .BTF.ext -------+
//! ```

mod code;
pub(crate) mod file;
mod maps;
mod tables;
pub(crate) mod types;

use std::collections::{HashMap, HashSet};

use skep_btf::{Btf, Kind, Linkage, TypeId};
use skep_isa::ebpf::{Callee, Endian, Imm64, Insn, Op, decode_program, to_bytes};
use skep_isa::sections::SECTIONS;

use crate::{AttachPoint, ExternKind, MapIdx, Object, ObjectError, ProgFlags, Program, Side};
use code::Parts;
use file::{OutFile, OutRelocation, OutSection, OutSymbol, binding, section_flag, section_type, symbol_type};
use types::{Extra, Types};

/// Relocations of a 64-bit immediate load and of a call.
const R_BPF_64_64: u32 = 1;
const R_BPF_64_32: u32 = 10;
/// Section of subprograms.
const TEXT: &str = ".text";

/// An ELF file in the making.
struct Writer<'o> {
    object: &'o Object,
    btf: Option<&'o Btf>,
    types: Types,
    extra: Extra,
    file: OutFile,
    /// The symbol of each map: its own, or that of its section.
    map_symbols: Vec<Option<usize>>,
    /// Maps with entries, and tables: the map, the section, and where the entries start.
    map_places: Vec<(usize, usize, u64)>,
    /// The arena with variables, and the symbol of their section.
    arena_symbol: Option<(usize, usize)>,
    program_symbols: Vec<Option<usize>>,
    extern_symbols: Vec<usize>,
}

impl Object {
    /// Writes an ELF file as clang would: for libbpf, bpftool and [`from_elf`](Self::from_elf).
    ///
    /// Subprograms that several programs share are written once. Maps get type information if the object has none.
    /// Programs come in the order of their sections, maps in the order of definitions, variables, tables, settings; an
    /// object that has them in this order, as one read from a file does, is read back as it was.
    ///
    /// # Errors
    /// [`ObjectError::Write`] for what files cannot say: first contents of maps other than variables, maps that are
    /// frozen without being constants, references that lead nowhere, names that are not unique, and for everything that
    /// [`from_elf`](Self::from_elf) would refuse: what is written can be read. [`ObjectError::Types`] for damaged types.
    pub fn to_elf(&self) -> Result<Vec<u8>, ObjectError> {
        self.validate_structure()?;
        let damaged = |error: skep_btf::BtfError| ObjectError::Types(error.to_string());
        let btf = match self.btf.is_empty() {
            true => None,
            false => Some(Btf::parse(self.btf.clone()).map_err(damaged)?),
        };
        let mut writer = Writer {
            object: self,
            btf: btf.as_ref(),
            types: Types::new(&self.btf),
            extra: Extra::default(),
            file: OutFile::default(),
            map_symbols: vec![None; self.maps.len()],
            map_places: Vec::new(),
            arena_symbol: None,
            program_symbols: vec![None; self.programs.len()],
            extern_symbols: Vec::new(),
        };
        writer.write_externs();
        writer.write_maps()?;
        writer.write_variables()?;
        writer.write_arena();
        writer.write_tables()?;
        writer.write_code()?;
        writer.write_entries()?;
        writer.write_rest();
        if let Some(name) = writer.file.ambiguous_name() {
            return Err(ObjectError::Write(format!(
                "several global things are called `{name}`; a file tells them apart by name"
            )));
        }
        let too_large = || ObjectError::Write("the object has more sections than a file can have".to_owned());
        let file = writer.file.build().ok_or_else(too_large)?;
        // Types are copied as they are. What is damaged in them, and names that mean two things, show when they are read.
        match Self::from_elf(&file) {
            Ok(_) => Ok(file),
            Err(error) => Err(ObjectError::Write(format!("the file could not be read back: {error}"))),
        }
    }
}

impl Writer<'_> {
    fn write_externs(&mut self) {
        for external in &self.object.externs {
            let symbol = OutSymbol {
                name: external.name.clone(),
                kind: symbol_type::NONE,
                binding: if external.weak { binding::WEAK } else { binding::GLOBAL },
                ..OutSymbol::default()
            };
            let symbol = self.file.add_symbol(symbol);
            self.extern_symbols.push(symbol);
        }
    }

    /// The setting at a place of the map of settings.
    fn extern_at(&self, map: MapIdx, offset: u32) -> Option<(usize, u32)> {
        let externs = self.object.externs.iter().zip(&self.extern_symbols);
        let found = externs.filter_map(|(external, symbol)| match external.kind {
            ExternKind::Config { map: place, offset: start, form } => {
                let distance = offset.checked_sub(start)?;
                (place == map && distance <= form.size()).then_some((*symbol, distance))
            }
            _ => None,
        });
        found.into_iter().min_by_key(|(_, distance)| *distance)
    }

    fn section_symbol(&mut self, section: usize) -> usize {
        let (kind, section) = (symbol_type::SECTION, Some(section));
        self.file.add_symbol(OutSymbol { kind, section, ..OutSymbol::default() })
    }

    fn write_code(&mut self) -> Result<(), ObjectError> {
        let parts = Parts::new(self.object)?;
        // Where each part goes: the programs in the order of their sections, then the subprograms.
        let mut names: Vec<String> = Vec::new();
        let mut sections: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, part) in parts.list.iter().enumerate().filter(|(index, _)| parts.first[*index] == *index) {
            let name = match part.main {
                true => section_name(&self.object.programs[part.program])?,
                false => TEXT.to_owned(),
            };
            let list = sections.entry(name.clone()).or_default();
            if list.is_empty() {
                names.push(name);
            }
            list.push(index);
        }
        // The symbol of each part, and how far behind it the part starts, in bytes.
        let mut symbols = vec![None; parts.list.len()];
        let mut taken: HashSet<&str> = self.object.programs.iter().map(|program| program.name.as_str()).collect();
        let mut places = Vec::new();
        for name in &names {
            let section = self.file.add_section(OutSection {
                name: name.clone(),
                kind: section_type::PROGBITS,
                flags: section_flag::ALLOC | section_flag::CODE,
                align: 8,
                ..OutSection::default()
            });
            let mut start = 0u64;
            let whole = self.section_symbol(section);
            for index in &sections[name] {
                let part = &parts.list[*index];
                let size = 8 * part.insns.len() as u64;
                let global = part.main || (self.is_global(part.ty) && taken.insert(&part.name));
                let symbol = self.file.add_symbol(OutSymbol {
                    name: part.name.to_string(),
                    kind: symbol_type::FUNC,
                    binding: if global { binding::GLOBAL } else { binding::LOCAL },
                    section: Some(section),
                    value: start,
                    size,
                    ..OutSymbol::default()
                });
                // As clang does: what others cannot see is found by its place in the section.
                symbols[*index] = Some(if global { (symbol, 0) } else { (whole, start) });
                if part.main {
                    self.program_symbols[part.program] = Some(symbol);
                }
                places.push((*index, section, start));
                start += size;
            }
        }
        let typed = parts.list.iter().all(|part| part.ty.is_some());
        for (index, section, start) in places {
            let part = &parts.list[index];
            let target = |reference: usize| symbols[parts.first[reference]];
            self.write_part(part, section, start, target)?;
            self.describe(part, section, start, typed);
        }
        Ok(())
    }

    /// Whether the type of a function says that others can see it.
    fn is_global(&self, ty: Option<u32>) -> bool {
        let kind = self.btf.zip(ty).map(|(btf, ty)| btf.kind(TypeId(ty)));
        matches!(kind, Some(Ok(Kind::Func { linkage: Linkage::Global, .. })))
    }

    /// Writes the instructions of a function and what they refer to.
    fn write_part(
        &mut self,
        part: &code::Part,
        section: usize,
        start: u64,
        target: impl Fn(usize) -> Option<(usize, u64)>,
    ) -> Result<(), ObjectError> {
        let program = &self.object.programs[part.program];
        let mut insns = part.insns.clone();
        let ops = decode_program(&insns).map_err(|error| ObjectError::Code { program: program.name.clone(), error })?;
        let mut relocations = Vec::new();
        for (at, op) in ops {
            let slot = at.index();
            let own = part.references.iter().find(|(place, _)| *place == at.0).and_then(|(_, part)| target(*part));
            let external = part.externs.iter().find(|used| used.at == at);
            let external = external.and_then(|used| self.extern_symbols.get(used.target.index()).copied());
            let (symbol, kind) = match op {
                Op::LoadImm { value: Imm64::MapFd(map), .. } => {
                    let symbol = usize::try_from(map).ok().and_then(|map| self.map_symbols.get(map).copied().flatten());
                    set_load(&mut insns, slot, 0);
                    (symbol, R_BPF_64_64)
                }
                Op::LoadImm { value: Imm64::MapFdValue { fd, offset }, .. } => {
                    let place = u32::try_from(fd).ok().and_then(|map| self.place_in_map(MapIdx(map), offset));
                    set_load(&mut insns, slot, place.map_or(0, |(_, distance)| distance.cast_signed()));
                    (place.map(|(symbol, _)| symbol), R_BPF_64_64)
                }
                Op::LoadImm { value: Imm64::Func(_), .. } => {
                    set_load(&mut insns, slot, own.map_or(0, |(_, distance)| distance as i32));
                    (own.map(|(symbol, _)| symbol), R_BPF_64_64)
                }
                Op::Call(Callee::Local(_)) => {
                    insns[slot].imm = own.map_or(0, |(_, distance)| (distance / 8) as i32) - 1;
                    (own.map(|(symbol, _)| symbol), R_BPF_64_32)
                }
                Op::LoadImm { .. } if external.is_some() => (external, R_BPF_64_64),
                Op::Call(Callee::Kfunc { .. }) if external.is_some() => {
                    insns[slot] = Insn { src: 1, off: 0, imm: -1, ..insns[slot] };
                    (external, R_BPF_64_32)
                }
                _ => continue,
            };
            let lost = || {
                let problem =
                    format!("program `{}`, function `{}`: instruction {at} refers to", program.name, part.name);
                ObjectError::Write(format!("{problem} something that a file cannot name"))
            };
            let symbol = symbol.ok_or_else(lost)?;
            relocations.push(OutRelocation { offset: start + 8 * u64::from(at.0), kind, symbol });
        }
        let section = &mut self.file.sections[section];
        section.data.extend(to_bytes(&insns, Endian::Little));
        section.size = section.data.len() as u64;
        section.relocations.extend(relocations);
        Ok(())
    }

    /// Writes what is known about the instructions of a function.
    fn describe(&mut self, part: &code::Part, section: usize, start: u64, typed: bool) {
        let name = self.types.name(&self.file.sections[section].name);
        let start = start as u32;
        let place = |at: skep_isa::ebpf::InsnIdx| start + 8 * at.0;
        let functions = part.ty.filter(|_| typed).map(|ty| [start, ty]);
        add(&mut self.extra.functions, name, functions);
        for line in &part.lines {
            let (file, text) = (self.types.name(&line.file), self.types.name(&line.text));
            let column = u32::from(line.column.min(1023));
            add(&mut self.extra.lines, name, [[place(line.at), file, text, line.line << 10 | column]]);
        }
        for relocation in &part.relocations {
            let access = self.types.name(&relocation.access);
            add(&mut self.extra.relocations, name, [[place(relocation.at), relocation.ty, access, relocation.kind]]);
        }
    }

    /// Licence, version, types.
    fn write_rest(&mut self) {
        let license = [self.object.license.as_bytes(), b"\0"].concat();
        let version = self.object.kernel_version.to_le_bytes().to_vec();
        let sections = [("license", license), ("version", version)];
        for (name, data) in sections.into_iter().filter(|(name, data)| *name == "license" || *data != [0; 4]) {
            let size = data.len() as u64;
            let section = self.file.add_section(OutSection {
                name: name.to_owned(),
                kind: section_type::PROGBITS,
                flags: section_flag::ALLOC | section_flag::WRITE,
                align: 1,
                data,
                size,
                relocations: Vec::new(),
            });
            self.name_section_variables(name, section, size);
        }
        let (types, extra) = (self.types.build(), self.extra.build());
        for (name, data) in [(".BTF", types), (".BTF.ext", extra)] {
            if !data.is_empty() {
                let (name, kind, size) = (name.to_owned(), section_type::PROGBITS, data.len() as u64);
                let section = OutSection { name, kind, align: 4, data, size, ..OutSection::default() };
                self.file.add_section(section);
            }
        }
    }

    /// Gives the only variable of a section a symbol if the type information lists one: loaders look for it.
    fn name_section_variables(&mut self, name: &str, section: usize, size: u64) {
        let Some(btf) = self.btf else { return };
        let Some(ty) = btf.find_where(name, |kind| matches!(kind, Kind::Datasec { .. })) else { return };
        let Ok(Kind::Datasec { vars, .. }) = btf.kind(ty) else { return };
        for var in vars.iter() {
            let Ok(name) = btf.name(var.ty) else { continue };
            // Damaged type information may place it outside.
            let Some(room) = size.checked_sub(var.offset.into()) else { continue };
            self.file.add_symbol(OutSymbol {
                name: name.to_owned(),
                kind: symbol_type::OBJECT,
                binding: binding::GLOBAL,
                section: Some(section),
                value: var.offset.into(),
                size: room.min(var.size.into()),
                ..OutSymbol::default()
            });
        }
    }
}

/// Makes a 64-bit load one of a number, which a relocation is going to replace.
fn set_load(insns: &mut [Insn], slot: usize, number: i32) {
    if let Some(insn) = insns.get_mut(slot) {
        (insn.src, insn.imm) = (0, number);
    }
    if let Some(second) = insns.get_mut(slot + 1) {
        second.imm = 0;
    }
}

fn add<const N: usize>(
    sections: &mut Vec<(u32, Vec<[u32; N]>)>,
    name: u32,
    records: impl IntoIterator<Item = [u32; N]>,
) {
    match sections.last_mut().filter(|(last, _)| *last == name) {
        Some((_, list)) => list.extend(records),
        None => sections.push((name, records.into_iter().collect())),
    }
}

/// The name of a program's section: its own, or the one that says what it is.
fn section_name(program: &Program) -> Result<String, ObjectError> {
    if !program.section.is_empty() {
        return Ok(program.section.clone());
    }
    let rest = rest_of(&program.attach);
    let return_side = matches!(
        program.attach,
        AttachPoint::Function { side: Side::Return, .. }
            | AttachPoint::FunctionPattern { side: Side::Return, .. }
            | AttachPoint::Syscall { side: Side::Return, .. }
            | AttachPoint::Binary { side: Side::Return, .. }
            | AttachPoint::BinaryPattern { side: Side::Return, .. }
    );
    let fits = |row: &&'static skep_isa::sections::Section| {
        let flag = |set: bool, flag: ProgFlags| if set { flag.0 } else { 0 };
        let flags = flag(row.sleepable, ProgFlags::SLEEPABLE) | flag(row.frags, ProgFlags::XDP_FRAGS);
        let side = row.prog_type != skep_isa::ProgType::Kprobe || rest.is_none() || row.at_return == return_side;
        row.prog_type == program.prog_type
            && (row.attach_type == program.attach_type || (program.attach_type.is_none() && row.attach_type_optional))
            && flags == program.flags.0
            && side
            && rest.as_ref().is_none_or(|rest| reads_back(row, rest, &program.attach))
    };
    let row = SECTIONS.iter().find(fits).ok_or_else(|| {
        let ProgFlags(flags) = program.flags;
        let problem = format!("no section's name stands for type {} with flags {flags:#x}", program.prog_type);
        ObjectError::Write(format!("program `{}`: {problem}; set its `section`", program.name))
    })?;
    let question = if program.autoload { "" } else { "?" };
    Ok(match rest {
        Some(rest) => format!("{question}{}/{rest}", row.prefix),
        None => format!("{question}{}", row.prefix),
    })
}

/// Whether a name made of a row and a rest means this point.
fn reads_back(row: &'static skep_isa::sections::Section, rest: &str, point: &AttachPoint) -> bool {
    let name = skep_isa::sections::SectionName { section: row, rest: Some(rest), autoload: true };
    AttachPoint::parse(&name).as_ref() == Ok(point)
}

/// What stands behind the slash for a point, `None` if nothing does.
fn rest_of(point: &AttachPoint) -> Option<String> {
    let plus = |offset: u64| if offset == 0 { String::new() } else { format!("+{offset}") };
    Some(match point {
        AttachPoint::Unspecified => return None,
        AttachPoint::Function { name, offset, .. } => format!("{name}{}", plus(*offset)),
        AttachPoint::FunctionPattern { pattern: name, .. } | AttachPoint::Syscall { name, .. } => name.clone(),
        AttachPoint::Binary { path, symbol, offset, .. } if symbol.is_empty() => format!("{path}:{offset:#x}"),
        AttachPoint::Binary { path, symbol, offset, .. } => format!("{path}:{symbol}{}", plus(*offset)),
        AttachPoint::BinaryPattern { path, pattern, .. } => format!("{path}:{pattern}"),
        AttachPoint::Usdt { path, provider, name } => format!("{path}:{provider}:{name}"),
        AttachPoint::Tracepoint { category, name } => format!("{category}/{name}"),
        AttachPoint::TypedFunction { module: Some(module), name } => format!("{module}:{name}"),
        AttachPoint::TypedFunction { module: None, name }
        | AttachPoint::RawTracepoint(name)
        | AttachPoint::LsmHook(name)
        | AttachPoint::Iterator(name)
        | AttachPoint::Operation(name)
        | AttachPoint::ProgramFunction(name) => name.clone(),
    })
}
