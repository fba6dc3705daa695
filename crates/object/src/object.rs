//! The container of programs and maps, and the checks that tie them together.

use std::fmt;

use skep_isa::ebpf::{self, DecodeError, Imm64, InsnIdx, Op};

use crate::{MapIdx, MapSpec, Program};

/// Programs, the maps they share and the licence they are under.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// The programs.
    pub programs: Vec<Program>,
    /// The maps, which code refers to by [`MapIdx`].
    pub maps: Vec<MapSpec>,
    /// Licence for the kernel; some helpers demand one compatible with the GPL.
    pub license: String,
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

    /// Adds a program.
    pub fn add_program(&mut self, program: Program) {
        self.programs.push(program);
    }

    /// Checks the structure of every program and map and the references between them.
    ///
    /// # Errors
    /// The first thing that no executor could load.
    pub fn validate(&self) -> Result<(), ObjectError> {
        self.maps.iter().try_for_each(check_contents)?;
        self.programs.iter().try_for_each(|program| self.check_program(program))
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
