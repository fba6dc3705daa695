//! From an ELF object as clang makes it for BPF to an [`Object`].
//!
//! ```text
//! bytes --file--> sections, symbols --maps--> maps, roles of sections --code--> functions --link--> programs
//!                                                                                 debug --^ lines, relocations
//! ```
//!
//! What lives here: the order of the steps, and what each section is for. The conventions are those of libbpf, because
//! sources and compilers follow it.

mod code;
mod debug;
mod error;
mod externs;
pub(crate) mod file;
mod globals;
mod legacy;
mod link;
mod maps;
mod sections;
mod tables;

use std::collections::{HashMap, HashSet};

use skep_btf::{Btf, Kind, Linkage, TypeId};

pub use error::{ElfError, ElfProblem};
pub use file::elf_section;
pub(crate) use maps::read_definition;
pub use sections::{SectionKind, section_kind};

use code::Functions;
use debug::Debug;
use file::{File, Place, Symbol};

use crate::{ExternIdx, ExternKind, MapIdx, Object};

/// What a section is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Instructions.
    Code,
    /// Definitions of maps, by types or as structures.
    Maps,
    /// Variables, which are the only value of this map.
    Data(MapIdx),
    /// The compiler's and linker's own.
    Other,
}

/// Everything that the steps share.
struct Context<'a> {
    file: File<'a>,
    btf: Option<Btf>,
    roles: Vec<Role>,
    /// The symbols that each section defines, in the order of the file.
    symbols_of: HashMap<usize, Vec<Symbol<'a>>>,
    /// Where each map is defined: section, offset, and the map.
    map_places: Vec<(usize, u64, MapIdx)>,
    /// The extern of each undefined symbol that the kernel has to give.
    externs: HashMap<usize, ExternIdx>,
    /// What each extern is.
    kinds: Vec<ExternKind>,
}

impl Object {
    /// Reads an object file that clang made for BPF (`clang -O2 -g -target bpf -c`).
    ///
    /// * Every global function in a section of code becomes a program; [`section_kind`] tells its type and where it
    ///   attaches from the name of the section. Names without meaning give socket filters, the type with the fewest
    ///   rights; those that look like slips of the pen are errors. Functions in `.text` are subprograms, unless there is no other code: then they are socket filters, too.
    /// * Subprograms are appended to every program that calls them, directly or not, in the order of the first calls; then
    ///   the function that exceptions of the program end in, which a tag of its declaration names.
    /// * Maps come from `.maps` (which needs `-g`) and from `maps`, in this order, then each section of global variables
    ///   (`.data`, `.rodata`, `.bss`, and those whose names begin so with a further point) as an array with one value.
    /// * Variables of `.addr_space.1` are the first bytes of the arena that the file defines.
    /// * Variables of `.struct_ops` and `.struct_ops.link` become maps of type struct_ops, as the file lays them out.
    /// * Settings and symbols of the kernel become [`Object::externs`], relocations of its types
    ///   [`Program::core_relocations`](crate::Program::core_relocations); [`Object::resolve`] applies them.
    /// * Source lines and names of functions are kept as data.
    ///
    /// The result passes [`Object::validate_structure`], and once it is resolved [`Object::validate`].
    ///
    /// # Errors
    /// Files that are no such object, are damaged, or refer to what only the running kernel has.
    ///
    /// ```
    /// use skep_object::Object;
    ///
    /// let error = Object::from_elf(b"#!/bin/sh\n").unwrap_err();
    /// assert!(error.to_string().contains("not an ELF file"), "{error}");
    /// ```
    pub fn from_elf(bytes: &[u8]) -> Result<Self, ElfError> {
        let file = File::parse(bytes)?;
        let mut object = Self::new(&license(&file)?);
        if let Some(version) = file.section("version").and_then(|section| section.data.first_chunk()) {
            object.kernel_version = u32::from_le_bytes(*version);
        }
        let btf = match file.section(".BTF") {
            Some(section) => Some(Btf::parse(section.data.to_vec())?),
            None => None,
        };
        if let Some(btf) = &btf {
            object.btf = btf.bytes().to_vec();
        }
        let roles = vec![Role::Other; file.sections.len()];
        let mut symbols_of: HashMap<usize, Vec<Symbol<'_>>> = HashMap::new();
        for symbol in &file.symbols {
            if let Place::Section(section) = symbol.place {
                symbols_of.entry(section).or_default().push(*symbol);
            }
        }
        let mut context = Context {
            file,
            btf,
            roles,
            symbols_of,
            map_places: Vec::new(),
            externs: HashMap::new(),
            kinds: Vec::new(),
        };
        let with_entries = maps::define(&mut context, &mut object)?;
        globals::define(&mut context, &mut object)?;
        let tables = tables::define(&context, &mut object)?;
        context.externs = externs::declare(&context, &mut object)?;
        context.kinds = object.externs.iter().map(|external| external.kind.clone()).collect();
        let functions = Functions::read(&context)?;
        let debug = Debug::read(&context)?;
        let programs = link::link(&context, &functions, &debug, &mut object)?;
        maps::fill(&context, &with_entries, &functions, &programs, &mut object)?;
        tables::fill(&context, &tables, &functions, &programs, &mut object)?;
        hide(&context, &mut object);
        object.validate_structure().map_err(|error| ElfError::new(ElfProblem::Object(Box::new(error))))?;
        Ok(object)
    }
}

/// Makes functions static that other files cannot see (`__hidden`). The kernel checks functions that are not for whatever
/// they could be given, instead of what they are given.
fn hide(context: &Context<'_>, object: &mut Object) {
    let Some(btf) = &context.btf else { return };
    let hidden = context.file.symbols.iter().filter(|symbol| symbol.is_function() && symbol.is_hidden());
    let hidden: HashSet<&str> = hidden.map(|symbol| symbol.name).collect();
    if hidden.is_empty() {
        return;
    }
    let is_hidden = |id: &TypeId| {
        let name = btf.name(*id).unwrap_or_default();
        let global = matches!(btf.kind(*id), Ok(Kind::Func { linkage: Linkage::Global, .. }));
        global && hidden.contains(name) && object.program(name).is_none()
    };
    let functions: Vec<TypeId> = btf.ids().filter(is_hidden).collect();
    crate::btf_edit::make_static(&mut object.btf, &functions);
}

/// The text of section `license`, empty if there is none.
fn license(file: &File<'_>) -> Result<String, ElfError> {
    let Some(section) = file.section("license") else { return Ok(String::new()) };
    let text = section.data.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = std::str::from_utf8(text).map_err(|_| ElfError::in_section(section.name, ElfProblem::Name))?;
    Ok(text.to_owned())
}

impl<'a> Context<'a> {
    /// The symbols that a section defines.
    fn symbols_of(&self, section: usize) -> &[Symbol<'a>] {
        self.symbols_of.get(&section).map_or(&[], Vec::as_slice)
    }

    /// The symbol of a relocation.
    fn symbol(&self, index: usize) -> Symbol<'a> {
        self.file.symbols[index]
    }

    /// The section that a symbol is defined in and what it is for.
    fn section_of(&self, symbol: &Symbol<'_>) -> Result<(usize, Role), ElfError> {
        match symbol.place {
            Place::Section(section) => Ok((section, self.roles[section])),
            Place::Common => Err(ElfError::new(ElfProblem::Common).about(symbol.name)),
            Place::Absolute => Err(ElfError::new(ElfProblem::Undefined).about(symbol.name)),
            Place::Undefined => Err(ElfError::new(ElfProblem::Undefined).about(symbol.name)),
        }
    }

    /// The map that is defined at an offset of a section.
    fn map_at(&self, section: usize, offset: u64) -> Option<MapIdx> {
        let place = self.map_places.binary_search_by_key(&(section, offset), |place| (place.0, place.1));
        place.ok().map(|index| self.map_places[index].2)
    }
}
