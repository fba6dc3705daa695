//! Tables of operations (`struct_ops`): their maps, what their programs belong to, and their values.

use std::os::fd::{AsFd, AsRawFd};

use skep_isa::{MapType, ProgType, Release};
use skep_object::{MapFlags, MapIdx, MapSpec, Object, Program, Reference, Table};

use super::target::Target;
use super::types::ObjectTypes;
use super::{LoadError, Loaded, module_btf};
use crate::attach::{Attachment, attach_struct_ops, attach_struct_ops_value, set_table};
use crate::errors::KernelError;
use crate::features::running_release;
use crate::map::{LoadedMap, MapDefinition, MapOptions, MapTypes};
use crate::prog::LoadedProgram;

/// A table of operations whose programs are all loaded; it is not registered yet.
#[derive(Debug, Clone)]
pub struct LoadedTable {
    map: MapIdx,
    name: String,
    linked: bool,
    programs: Vec<String>,
    value: Vec<u8>,
}

impl LoadedTable {
    /// The map of the object that holds it.
    pub fn map(&self) -> MapIdx {
        self.map
    }

    /// The name of its map.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a link registers it (section `.struct_ops.link`); otherwise setting its value does.
    pub fn is_linked(&self) -> bool {
        self.linked
    }

    /// Its value as the kernel takes it: `struct bpf_struct_ops_NAME` with the descriptors of the programs, which count
    /// as long as `Loaded` lives.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// Whether a program of this name is in it.
    pub(crate) fn has(&self, program: &str) -> bool {
        self.programs.iter().any(|name| name == program)
    }

    /// Registers it with the part of the kernel that uses such tables. `loaded` is what it came from.
    ///
    /// # Errors
    /// As for [`attach_struct_ops`]; [`KernelError::Invalid`] if `loaded` does not have it.
    pub fn attach(&self, loaded: &Loaded) -> Result<Attachment, KernelError> {
        let map = loaded.map(self.map).filter(|map| map.map_type() == Some(MapType::StructOps));
        let map = map.ok_or_else(|| KernelError::Invalid {
            action: "register a table of operations",
            problem: format!("`{}` is of another object; give the object that it was loaded with", self.name),
        })?;
        if self.linked {
            return attach_struct_ops(map).map(Attachment::Link);
        }
        let fd = map.as_fd().try_clone_to_owned();
        let fd = fd.map_err(|error| {
            KernelError::system("register a table of operations", error.raw_os_error().unwrap_or(libc::EMFILE))
        })?;
        attach_struct_ops_value(fd, &self.value).map(Attachment::Table)
    }
}

/// Puts an empty map in the place of each optional table of which no program was asked for, so that the positions of other
/// maps stay, and leaves out programs that are in no other table.
pub(super) fn leave_out(object: &mut Object, asked: Option<&[&str]>) -> Vec<MapIdx> {
    let programs = |spec: &MapSpec| -> Vec<usize> {
        let program = |(_, reference): &(u32, Reference)| match reference {
            Reference::Program(program) => Some(program.index()),
            Reference::Map(_) => None,
        };
        spec.references.iter().filter_map(program).collect()
    };
    let is_asked = |spec: &MapSpec| {
        let name = |index: usize| object.programs.get(index).map(|program| program.name.as_str());
        programs(spec).into_iter().filter_map(name).any(|name| asked.is_some_and(|asked| asked.contains(&name)))
    };
    let is_table = |spec: &MapSpec| spec.map_type == MapType::StructOps;
    let maps = (0..).map(MapIdx).zip(&object.maps);
    let left: Vec<MapIdx> =
        maps.filter(|(_, spec)| is_table(spec) && spec.optional && !is_asked(spec)).map(|(index, _)| index).collect();
    for index in &left {
        let Some(spec) = object.maps.get_mut(index.index()) else { continue };
        let unused = programs(spec);
        *spec = MapSpec::new(&spec.name, MapType::Array, 4, 4, 1);
        for program in unused {
            if !object.maps.iter().any(|other| is_table(other) && programs(other).contains(&program)) {
                object.programs[program].autoload = false;
            }
        }
    }
    left
}

/// Tables need all their programs, also those that are not loaded on their own.
pub(super) fn want_programs(object: &mut Object) {
    let tables = object.maps.iter().filter(|spec| spec.map_type == MapType::StructOps);
    for (_, reference) in tables.flat_map(|spec| &spec.references) {
        if let Reference::Program(program) = reference
            && let Some(program) = object.programs.get_mut(program.index())
        {
            program.autoload = true;
        }
    }
}

/// Makes the map of a table. Its value is set when the programs are there.
pub(super) fn create(
    spec: &MapSpec,
    table: Option<&Table>,
    types: Option<&ObjectTypes>,
) -> Result<LoadedMap, KernelError> {
    let invalid = |problem: &str| KernelError::Invalid { action: "create a map", problem: problem.to_owned() };
    let table = table.ok_or_else(|| invalid("the object has no types that describe this table of operations"))?;
    let types = types.ok_or_else(|| invalid("the kernel did not take the object's types, which tables need"))?;
    if spec.flags.contains(MapFlags::LINK) && running_release().is_some_and(|release| release < Release::new(6, 4)) {
        let what = "tables of operations that links register; put the table into section `.struct_ops`";
        return Err(KernelError::unsupported(what, Release::new(6, 4)));
    }
    let module = table.module.as_deref().map(module_btf).transpose()?;
    let definition = MapDefinition {
        name: &spec.name,
        map_type: MapType::StructOps,
        key_size: 4,
        value_size: u32::try_from(table.value.len()).unwrap_or(u32::MAX),
        max_entries: 1,
        flags: spec.flags.0,
    };
    let options = MapOptions {
        kernel_value_type: table.value_type,
        kernel_value_btf: module.as_ref().map(AsFd::as_fd),
        // The kernel wants some types here, but no numbers: the value has a type of its own.
        types: Some(MapTypes { btf: types.loaded.as_fd(), key: 0, value: 0 }),
        ..MapOptions::default()
    };
    LoadedMap::create_with(&definition, &options)
}

/// The member of a kernel's structure that a program belongs to.
#[derive(Debug)]
pub(super) struct Belongs {
    pub(super) member: u32,
    ty: u32,
    module: Option<String>,
}

impl Belongs {
    pub(super) fn target(&self) -> Target {
        Target { id: self.ty, module: self.module.clone() }
    }
}

/// Where a program is in the tables; `None` if it is no program of tables.
pub(super) fn belongs(tables: &[Table], program: &Program, index: usize) -> Result<Option<Belongs>, KernelError> {
    if program.prog_type != ProgType::StructOps {
        return Ok(None);
    }
    for table in tables {
        if let Some(found) = table.programs.iter().find(|found| found.program.index() == index) {
            return Ok(Some(Belongs { member: found.member, ty: table.ty, module: table.module.clone() }));
        }
    }
    let problem = "no table of operations refers to it; give it to a member of a variable in section \
                   `.struct_ops.link` or `.struct_ops`";
    Err(KernelError::Invalid { action: "load a program", problem: problem.to_owned() })
}

/// Puts the programs into the values, and sets those that a link will register.
pub(super) fn fill(
    object: &Object,
    tables: &[Table],
    maps: &[LoadedMap],
    reused: &[bool],
    programs: &[Option<LoadedProgram>],
) -> Result<Vec<LoadedTable>, LoadError> {
    let mut all = Vec::new();
    for table in tables {
        let index = table.map.index();
        let (Some(spec), Some(map)) = (object.maps.get(index), maps.get(index)) else { continue };
        let linked = spec.flags.contains(MapFlags::LINK);
        let mut new = LoadedTable {
            map: table.map,
            name: spec.name.clone(),
            linked,
            programs: Vec::new(),
            value: table.value.clone(),
        };
        for entry in &table.programs {
            let Some(Some(program)) = programs.get(entry.program.index()) else { break };
            let descriptor = i64::from(program.as_fd().as_raw_fd()).to_ne_bytes();
            let offset = entry.offset as usize;
            let Some(place) = new.value.get_mut(offset..offset + descriptor.len()) else { break };
            place.copy_from_slice(&descriptor);
            new.programs.push(program.name().to_owned());
        }
        if new.programs.len() != table.programs.len() {
            continue;
        }
        if linked && !reused.get(index).copied().unwrap_or(false) {
            set_table(map, &new.value).map_err(|error| LoadError::Map { map: spec.name.clone(), error })?;
        }
        all.push(new);
    }
    Ok(all)
}
