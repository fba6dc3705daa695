//! The container of programs and maps, and the checks that tie them together.

use std::collections::HashSet;
use std::fmt;

use skep_isa::MapType;
use skep_isa::ebpf::{self, DecodeError, Imm64, InsnIdx, Op};

use crate::{Extern, MapIdx, MapSpec, ProgIdx, Program, Reference};

/// Programs, the maps they share and the licence they are under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// The programs.
    pub programs: Vec<Program>,
    /// The maps, which code refers to by [`MapIdx`].
    pub maps: Vec<MapSpec>,
    /// Licence for the kernel; some helpers demand one compatible with the GPL.
    pub license: String,
    /// The type information that came with the programs (BTF, as in section `.BTF`); empty if there is none.
    pub btf: Vec<u8>,
    /// What programs take from the running kernel, until [`resolve`](Self::resolve) has put it in.
    pub externs: Vec<Extern>,
    /// The release of the kernel that the programs were made for, as `KERNEL_VERSION` packs it (section `version`); 0
    /// if they do not say. Only kernels before 5.0 compare it, for kprobes.
    pub kernel_version: u32,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectError {
    /// A program has no valid structure.
    Code {
        /// Name of the program.
        program: String,
        /// The instruction and the reason.
        error: DecodeError,
    },
    /// A program refers to a map that the object does not have.
    NoSuchMap {
        /// Name of the program.
        program: String,
        /// The referring instruction.
        at: InsnIdx,
        /// The number it holds.
        map: i32,
        /// Number of maps in the object.
        maps: usize,
    },
    /// An initial key or value does not have the size that the map declares.
    ContentSize {
        /// Name of the map.
        map: String,
        /// Position in its contents.
        entry: usize,
        /// `"key"` or `"value"`.
        part: &'static str,
        /// Its size in bytes.
        found: usize,
        /// The declared size in bytes.
        expected: u32,
    },
    /// A map starts with more entries than it can hold.
    TooManyEntries {
        /// Name of the map.
        map: String,
        /// Number of entries.
        found: usize,
        /// The declared maximum.
        max_entries: u32,
    },
    /// A map of maps does not say what its maps are like, or another kind of map does.
    Inner {
        /// Name of the map.
        map: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// Programs refer to something that only the running kernel has.
    Unresolved {
        /// Its name.
        name: String,
    },
    /// Something that only the kernel has cannot be had from it.
    Extern {
        /// Its name.
        name: String,
        /// The reason and what may help.
        problem: String,
    },
    /// An instruction cannot be fitted to the kernel's types.
    Relocation {
        /// Name of the program.
        program: String,
        /// The instruction.
        at: InsnIdx,
        /// What it asks for.
        what: String,
        /// The reason.
        problem: String,
    },
    /// A table of operations cannot be fitted to the kernel's.
    Table {
        /// Name of the map.
        map: String,
        /// The member, the reason and what may help.
        problem: String,
    },
    /// The type information is damaged.
    Types(String),
    /// A file cannot say this.
    Write(String),
    /// An entry refers to something that it cannot refer to.
    Reference {
        /// Name of the map.
        map: String,
        /// Index of the entry.
        entry: u32,
        /// What is wrong.
        problem: &'static str,
    },
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code { program, error } => write!(f, "program `{program}`: {error}"),
            Self::NoSuchMap { program, at, map, maps } => {
                write!(f, "program `{program}`: instruction {at} refers to map {map}, but the object has {maps} maps")
            }
            Self::ContentSize { map, entry, part, found, expected } => {
                write!(f, "map `{map}`: the {part} of entry {entry} has {found} bytes, the map declares {expected}")
            }
            Self::TooManyEntries { map, found, max_entries } => {
                write!(f, "map `{map}`: {found} entries do not fit; raise max_entries ({max_entries})")
            }
            Self::Unresolved { name } => write!(
                f,
                "`{name}` is something that only the running kernel has, and the object was not fitted to one \
                 (`Object::resolve`)"
            ),
            Self::Extern { name, problem } => write!(f, "`{name}`: {problem}"),
            Self::Relocation { program, at, what, problem } => {
                write!(f, "program `{program}`, instruction {at}, {what}: {problem}")
            }
            Self::Table { map, problem } => write!(f, "table of operations `{map}`: {problem}"),
            Self::Write(problem) => write!(f, "cannot be written as a file: {problem}"),
            Self::Types(problem) => write!(f, "the type information is damaged: {problem}"),
            Self::Inner { map, problem } => write!(f, "map `{map}`: {problem}"),
            Self::Reference { map, entry, problem } => write!(f, "map `{map}`: entry {entry} {problem}"),
        }
    }
}

impl std::error::Error for ObjectError {}

impl Object {
    /// An object without programs and maps.
    pub fn new(license: &str) -> Self {
        Self { license: license.to_owned(), ..Self::default() }
    }

    /// Adds a map and returns the index that code refers to it by.
    pub fn add_map(&mut self, map: MapSpec) -> MapIdx {
        let index = MapIdx(u32::try_from(self.maps.len()).unwrap_or(u32::MAX));
        self.maps.push(map);
        index
    }

    /// Adds a program and returns the index that entries of maps refer to it by.
    pub fn add_program(&mut self, program: Program) -> ProgIdx {
        let index = ProgIdx(u32::try_from(self.programs.len()).unwrap_or(u32::MAX));
        self.programs.push(program);
        index
    }

    /// The program with this name.
    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    /// Checks the structure of every program and map and the references between them, and that nothing is left that only
    /// the running kernel has: what an executor needs.
    ///
    /// # Errors
    /// The first thing that no executor could load.
    pub fn validate(&self) -> Result<(), ObjectError> {
        if let Some(external) = self.externs.first() {
            return Err(ObjectError::Unresolved { name: external.name.clone() });
        }
        self.validate_structure()
    }

    /// The same for objects that have not met a kernel yet.
    ///
    /// # Errors
    /// The first thing that is wrong in itself.
    pub fn validate_structure(&self) -> Result<(), ObjectError> {
        for map in &self.maps {
            check_contents(map)?;
            check_inner(map)?;
            self.check_references(map)?;
        }
        self.programs.iter().try_for_each(|program| self.check_program(program))
    }

    fn check_references(&self, map: &MapSpec) -> Result<(), ObjectError> {
        let mut entries = HashSet::new();
        for (entry, reference) in &map.references {
            let exists = match reference {
                Reference::Map(target) => target.index() < self.maps.len(),
                Reference::Program(target) => target.index() < self.programs.len(),
            };
            let fits = match reference {
                Reference::Map(_) => map.holds_maps(),
                Reference::Program(_) => matches!(map.map_type, MapType::ProgArray | MapType::StructOps),
            };
            let table = map.map_type == MapType::StructOps;
            let problem = match (exists, fits) {
                (false, _) => "refers to something that the object does not have",
                (_, false) => "refers to something that maps of this type do not hold",
                _ if table && entry.checked_add(8).is_none_or(|end| end > map.value_size) => {
                    "is beyond the end of the table"
                }
                _ if map.key_size != 4 => "is given by its index, but the keys do not have 4 bytes",
                // A hash map takes any key as long as there is room.
                _ if !table && map.map_type != MapType::HashOfMaps && *entry >= map.max_entries => {
                    "is beyond the end; raise max_entries"
                }
                _ if !entries.insert(*entry) => "is given twice",
                _ => continue,
            };
            return Err(ObjectError::Reference { map: map.name.clone(), entry: *entry, problem });
        }
        let all_fit = u32::try_from(entries.len()).is_ok_and(|found| found <= map.max_entries);
        if all_fit || map.map_type == MapType::StructOps {
            return Ok(());
        }
        let (found, max_entries) = (entries.len(), map.max_entries);
        Err(ObjectError::TooManyEntries { map: map.name.clone(), found, max_entries })
    }

    fn check_program(&self, program: &Program) -> Result<(), ObjectError> {
        let name = || program.name.clone();
        let ops = ebpf::validate(&program.insns).map_err(|error| ObjectError::Code { program: name(), error })?;
        for (at, op) in ops {
            let map = match op {
                Op::LoadImm { value: Imm64::MapFd(map), .. } => map,
                Op::LoadImm { value: Imm64::MapFdValue { fd: map, .. }, .. } => map,
                _ => continue,
            };
            if usize::try_from(map).is_ok_and(|map| map < self.maps.len()) {
                continue;
            }
            return Err(ObjectError::NoSuchMap { program: name(), at, map, maps: self.maps.len() });
        }
        Ok(())
    }
}

fn check_inner(map: &MapSpec) -> Result<(), ObjectError> {
    let problem = match &map.inner {
        Some(_) if !map.holds_maps() => "has an inner map, but its type holds no maps",
        None if map.holds_maps() => "its type holds maps; say what they are like with `inner`",
        Some(inner) if inner.holds_maps() || inner.inner.is_some() => "its inner map must not hold maps itself",
        _ => return Ok(()),
    };
    Err(ObjectError::Inner { map: map.name.clone(), problem })
}

fn check_contents(map: &MapSpec) -> Result<(), ObjectError> {
    if u32::try_from(map.contents.len()).is_ok_and(|found| found <= map.max_entries) {
        for (entry, (key, value)) in map.contents.iter().enumerate() {
            for (part, bytes, expected) in [("key", key, map.key_size), ("value", value, map.value_size)] {
                if u32::try_from(bytes.len()) != Ok(expected) {
                    let (map, found) = (map.name.clone(), bytes.len());
                    return Err(ObjectError::ContentSize { map, entry, part, found, expected });
                }
            }
        }
        return Ok(());
    }
    let (map, found, max_entries) = (map.name.clone(), map.contents.len(), map.max_entries);
    Err(ObjectError::TooManyEntries { map, found, max_entries })
}

#[cfg(test)]
mod tests {
    use super::*;
    use skep_isa::ebpf::Reg;
    use skep_isa::{MapType, ProgType};

    fn object_loading(value: Imm64) -> Object {
        let mut insns = Vec::new();
        Op::LoadImm { dst: Reg::R1, value }.emit(&mut insns);
        Op::Exit.emit(&mut insns);
        let mut object = Object::new("GPL");
        object.add_map(MapSpec::new("set", MapType::Hash, 4, 1, 2));
        object.add_program(Program::new("f", ProgType::SocketFilter, insns));
        object
    }

    #[test]
    fn references_must_exist() {
        assert_eq!(object_loading(MapIdx(0).load()).validate(), Ok(()));
        assert_eq!(object_loading(Imm64::Value(77)).validate(), Ok(()));
        for value in [MapIdx(1).load(), MapIdx(1).load_value(0), Imm64::MapFd(-1)] {
            let error = object_loading(value).validate().unwrap_err();
            assert!(matches!(error, ObjectError::NoSuchMap { at: InsnIdx(0), maps: 1, .. }), "{error}");
        }
    }

    #[test]
    fn code_must_have_structure() {
        let mut object = object_loading(Imm64::Value(0));
        object.programs[0].insns.pop();
        let error = object.validate().unwrap_err();
        assert!(error.to_string().starts_with("program `f`: instruction 0: "), "{error}");
    }

    #[test]
    fn maps_of_maps_and_programs() {
        let mut object = object_loading(MapIdx(0).load());
        let mut outer = MapSpec::new("outer", MapType::ArrayOfMaps, 4, 4, 2);
        let problem = |object: &Object| object.validate().unwrap_err().to_string();
        object.add_map(outer.clone());
        assert_eq!(problem(&object), "map `outer`: its type holds maps; say what they are like with `inner`");
        outer.inner = Some(Box::new(outer.clone()));
        object.maps[1] = outer.clone();
        assert_eq!(problem(&object), "map `outer`: its inner map must not hold maps itself");
        outer.inner = Some(Box::new(object.maps[0].clone()));
        outer.references = vec![(1, Reference::Map(MapIdx(0)))];
        object.maps[1] = outer;
        assert_eq!(object.validate(), Ok(()));
        let cases = [
            (vec![(2, Reference::Map(MapIdx(0)))], "entry 2 is beyond the end; raise max_entries"),
            (vec![(0, Reference::Map(MapIdx(7)))], "entry 0 refers to something that the object does not have"),
            (
                vec![(0, Reference::Program(ProgIdx(0)))],
                "entry 0 refers to something that maps of this type do not hold",
            ),
            (vec![(1, Reference::Map(MapIdx(0))); 2], "entry 1 is given twice"),
        ];
        for (references, message) in cases {
            object.maps[1].references = references;
            assert_eq!(problem(&object), format!("map `outer`: {message}"));
        }
        object.maps[1].map_type = MapType::ProgArray;
        object.maps[1].references = vec![(0, Reference::Program(ProgIdx(0)))];
        assert_eq!(problem(&object), "map `outer`: has an inner map, but its type holds no maps");
        object.maps[1].inner = None;
        assert_eq!(object.validate(), Ok(()));
    }

    #[test]
    fn contents_must_fit() {
        let mut object = object_loading(MapIdx(0).load());
        let entry = (vec![0; 4], vec![0; 1]);
        object.maps[0].contents = vec![entry.clone(); 2];
        assert_eq!(object.validate(), Ok(()));
        object.maps[0].contents = vec![entry.clone(); 3];
        assert!(matches!(object.validate(), Err(ObjectError::TooManyEntries { found: 3, max_entries: 2, .. })));
        object.maps[0].contents = vec![(vec![0; 4], vec![0; 2])];
        let error = object.validate().unwrap_err();
        assert_eq!(error.to_string(), "map `set`: the value of entry 0 has 2 bytes, the map declares 1");
    }
}
