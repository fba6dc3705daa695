//! Maps, and the sections of variables, which are maps too.

use skep_btf::{Btf, Kind};
use skep_ir::{Global, MapDecl, Module};
use skep_isa::MapType;
use skep_isa::sections::ARENA;
use skep_object::{Image, MapFlags, MapIdx, MapSpec, Object, Purpose, Variable};

use crate::error::{Error, Problem};

/// Where a variable lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The map of its section, or the arena.
    pub map: MapIdx,
    /// Bytes from the start of the map's value, or of the arena.
    pub offset: u32,
}

/// Where all variables lie.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// The places in the order of `Module::globals`.
    pub globals: Vec<Place>,
}

/// Adds the maps of a module to an object: those that it declares under their numbers, then one for each section of
/// variables, in the order in which sections first occur.
///
/// # Errors
/// A variable in `.bss` that is not zero, sections of more than 4 GiB, variables of an arena that does not exist.
pub fn define(module: &Module, btf: Option<&Btf>, object: &mut Object) -> Result<Layout, Error> {
    for map in &module.maps {
        object.add_map(spec(map));
    }
    let mut layout = Layout { globals: vec![Place { map: MapIdx(0), offset: 0 }; module.globals.len()] };
    let mut sections: Vec<&str> = Vec::new();
    for global in &module.globals {
        if !sections.contains(&global.section.as_str()) {
            sections.push(&global.section);
        }
    }
    for section in sections {
        define_section(module, section, btf, object, &mut layout)?;
    }
    Ok(layout)
}

fn spec(map: &MapDecl) -> MapSpec {
    let mut spec = MapSpec::new(&map.name, map.map_type, map.key_size, map.value_size, map.max_entries);
    spec.flags = MapFlags(map.flags);
    spec.contents.clone_from(&map.contents);
    spec.inner = map.inner.as_deref().map(|inner| Box::new(self::spec(inner)));
    let [key, value] = map.types.map(|ty| (ty != 0).then_some(ty));
    (spec.key_type, spec.value_type) = (key, value);
    spec
}

fn define_section(
    module: &Module,
    section: &str,
    btf: Option<&Btf>,
    object: &mut Object,
    layout: &mut Layout,
) -> Result<(), Error> {
    let arena = object.maps.iter().position(|map| map.map_type == MapType::Arena).filter(|_| section == ARENA);
    if section == ARENA && arena.is_none() {
        let first = module.globals.iter().find(|global| global.section == section);
        return Err(Error::in_function(
            "",
            Problem::NoArena(first.map(|global| global.name.clone()).unwrap_or_default()),
        ));
    }
    let map = MapIdx(u32::try_from(arena.unwrap_or(object.maps.len())).unwrap_or(u32::MAX));
    let mut bytes: Vec<u8> = Vec::new();
    let mut variables = Vec::new();
    for (index, global) in module.globals.iter().enumerate().filter(|(_, global)| global.section == section) {
        bytes.resize(bytes.len().next_multiple_of(global.align.clamp(1, 4096) as usize), 0);
        let too_large = || Error::in_function("", Problem::TooLarge(section.to_owned()));
        let offset = u32::try_from(bytes.len()).map_err(|_| too_large())?;
        let size = u32::try_from(global.bytes.len()).map_err(|_| too_large())?;
        if section.starts_with(".bss") && global.bytes.iter().any(|&byte| byte != 0) {
            return Err(Error::in_function("", Problem::NotZero(global.name.clone())));
        }
        layout.globals[index] = Place { map, offset };
        variables.push(variable(global, offset, size));
        bytes.extend(&global.bytes);
    }
    if let Some(arena) = arena {
        object.maps[arena].purpose = Purpose::Arena(Image { variables, bytes });
        return Ok(());
    }
    // A map without bytes does not exist.
    bytes.resize(bytes.len().max(1), 0);
    let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mut spec = MapSpec::new(section, MapType::Array, 4, size, 1);
    if section.starts_with(".rodata") {
        spec.flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
        spec.frozen = true;
    }
    spec.value_type =
        btf.and_then(|btf| btf.find_where(section, |kind| matches!(kind, Kind::Datasec { .. }))).map(|ty| ty.0);
    spec.purpose = Purpose::Variables(variables);
    if !section.starts_with(".bss") {
        spec.contents = vec![(vec![0; 4], bytes)];
    }
    object.add_map(spec);
    Ok(())
}

fn variable(global: &Global, offset: u32, size: u32) -> Variable {
    let ty = (global.ty != 0).then_some(global.ty);
    Variable { name: global.name.clone(), offset, size, global: true, weak: false, ty }
}
