//! Maps: definitions by type in `.maps`, sections of variables, and their contents.

use skep_btf::Kind;
use skep_isa::MapType;
use skep_isa::sections::ARENA;

use super::Writer;
use super::file::{OutRelocation, OutSection, OutSymbol, binding, section_flag, section_type, symbol_type};
use crate::elf::read_definition;
use crate::{MapFlags, MapIdx, MapSpec, ObjectError, Purpose, Reference, Variable};

/// Section of definitions.
const MAPS: &str = ".maps";
/// Relocation that stands for a whole address.
const R_BPF_64_ABS64: u32 = 2;

/// Where a map's definition goes.
struct Place {
    map: usize,
    offset: u32,
    size: u32,
    /// Where its entries start in the definition.
    values: Option<u32>,
}

impl Writer<'_> {
    /// Writes the definitions of all maps that programs define.
    pub(super) fn write_maps(&mut self) -> Result<(), ObjectError> {
        let maps = self.object.maps.iter().enumerate();
        let ordinary: Vec<usize> = maps
            .filter(|(_, map)| map.is_defined() && map.map_type != MapType::StructOps)
            .map(|(index, _)| index)
            .collect();
        if ordinary.is_empty() {
            return Ok(());
        }
        for map in ordinary.iter().map(|index| &self.object.maps[*index]) {
            let problem = match map {
                _ if map.name.is_empty() || map.name.contains('\0') => "a map needs a name of its own",
                _ if !map.contents.is_empty() => {
                    "a file cannot give first contents to this map; only variables have them"
                }
                _ if map.frozen => "a file cannot say that a map is frozen; only constants are",
                _ => continue,
            };
            return Err(ObjectError::Write(format!("map `{}`: {problem}", map.name)));
        }
        let places = match self.known_places(&ordinary) {
            Some(places) => places,
            None => self.define_maps(&ordinary),
        };
        let size = places.iter().map(|place| u64::from(place.offset) + u64::from(place.size)).max().unwrap_or(0);
        let section = self.file.add_section(OutSection {
            name: MAPS.to_owned(),
            kind: section_type::PROGBITS,
            flags: section_flag::ALLOC | section_flag::WRITE,
            align: 8,
            data: vec![0; size as usize],
            size,
            relocations: Vec::new(),
        });
        for place in &places {
            let symbol = self.file.add_symbol(OutSymbol {
                name: self.object.maps[place.map].name.clone(),
                kind: symbol_type::OBJECT,
                binding: binding::GLOBAL,
                section: Some(section),
                value: place.offset.into(),
                size: place.size.into(),
                ..OutSymbol::default()
            });
            self.map_symbols[place.map] = Some(symbol);
        }
        let with_entries = places
            .iter()
            .filter_map(|place| Some((place.map, section, u64::from(place.offset) + u64::from(place.values?))));
        self.map_places.extend(with_entries);
        Ok(())
    }

    /// The places of the maps if the type information of the object defines them all as they are.
    fn known_places(&self, maps: &[usize]) -> Option<Vec<Place>> {
        let btf = self.btf?;
        let section = btf.find_where(MAPS, |kind| matches!(kind, Kind::Datasec { .. }))?;
        let Ok(Kind::Datasec { vars, .. }) = btf.kind(section) else { return None };
        let mut places = Vec::new();
        for map in maps {
            let spec = &self.object.maps[*map];
            let var = vars.iter().find(|var| btf.name(var.ty) == Ok(spec.name.as_str()))?;
            let Ok(Kind::Var { ty, .. }) = btf.kind(var.ty) else { return None };
            let (defined, values) = read_definition(btf, &spec.name, ty).ok()?;
            let plain = MapSpec { references: Vec::new(), purpose: Purpose::Ordinary, ..spec.clone() };
            if defined != plain || var.size == 0 {
                return None;
            }
            let values = values.and_then(|values| u32::try_from(values).ok());
            places.push(Place { map: *map, offset: var.offset, size: var.size, values });
        }
        // Every variable of the section needs a symbol.
        (vars.iter().len() == maps.len()).then_some(places)
    }

    /// Adds definitions of the maps to the type information.
    fn define_maps(&mut self, maps: &[usize]) -> Vec<Place> {
        if let Some(btf) = self.btf
            && let Some(old) = btf.find_where(MAPS, |kind| matches!(kind, Kind::Datasec { .. }))
        {
            self.types.rename(btf.bytes(), old.0, ".maps_replaced");
        }
        let mut places = Vec::new();
        let mut vars = Vec::new();
        let mut end = 0u32;
        for map in maps {
            let spec = &self.object.maps[*map];
            let (ty, size, values) = self.define_map(spec);
            let entries = spec.references.iter().map(|(entry, _)| entry + 1).max().unwrap_or(0);
            let size = size + 8 * entries;
            let var = self.types.variable(&spec.name, ty);
            vars.push((var, end, size));
            places.push(Place { map: *map, offset: end, size, values });
            end += size.next_multiple_of(8);
        }
        self.types.section(MAPS, end, &vars);
        places
    }

    /// The structure that defines a map, its size without entries, and where the entries start.
    fn define_map(&mut self, map: &MapSpec) -> (u32, u32, Option<u32>) {
        let mut members = Vec::new();
        let MapFlags(flags) = map.flags;
        let numbers = [
            ("type", map.map_type.number().into(), true),
            ("key_size", map.key_size.into(), map.key_type.is_none() && map.key_size != 0),
            ("value_size", map.value_size.into(), map.value_type.is_none() && map.value_size != 0),
            ("max_entries", map.max_entries.into(), map.max_entries != 0),
            ("map_flags", flags.into(), flags != 0),
            ("numa_node", map.numa_node.into(), map.numa_node != 0),
            ("map_extra", map.extra, map.extra != 0),
            ("pinning", 1, map.pinned),
        ];
        for (name, number, wanted) in numbers {
            if wanted {
                members.push((name, self.types.number(number), 8));
            }
        }
        for (name, ty) in [("key", map.key_type), ("value", map.value_type)] {
            if let Some(ty) = ty {
                members.push((name, self.types.pointer(ty), 8));
            }
        }
        let element = match &map.inner {
            Some(inner) => Some(self.define_map(inner).0),
            None if !map.references.is_empty() => Some(self.types.program()),
            None => None,
        };
        let values = element.map(|element| {
            let pointer = self.types.pointer(element);
            let array = self.types.array(pointer, 0);
            members.push(("values", array, 0));
            8 * (members.len() as u32 - 1)
        });
        let (ty, size) = self.types.structure(&members);
        (ty, size, values)
    }

    /// Writes what the first entries of maps refer to.
    pub(super) fn write_entries(&mut self) -> Result<(), ObjectError> {
        for (map, section, values) in std::mem::take(&mut self.map_places) {
            for (entry, reference) in &self.object.maps[map].references {
                let symbol = match reference {
                    Reference::Map(target) => self.map_symbols.get(target.index()).copied().flatten(),
                    Reference::Program(target) => self.program_symbols.get(target.index()).copied().flatten(),
                };
                // Entries are addresses one after the other; members of tables are given by their offset.
                let step = if self.object.maps[map].map_type == MapType::StructOps { 1 } else { 8 };
                let offset = values + step * u64::from(*entry);
                let section = &mut self.file.sections[section];
                let Some(symbol) = symbol.filter(|_| offset + 8 <= section.size) else {
                    let name = &self.object.maps[map].name;
                    return Err(ObjectError::Write(format!("map `{name}`: entry {entry} has no place in the file")));
                };
                section.relocations.push(OutRelocation { offset, kind: R_BPF_64_ABS64, symbol });
            }
        }
        Ok(())
    }

    /// Writes the sections of variables.
    pub(super) fn write_variables(&mut self) -> Result<(), ObjectError> {
        for (index, map) in self.object.maps.iter().enumerate() {
            let Purpose::Variables(variables) = &map.purpose else { continue };
            let zeros = map.name.starts_with(".bss");
            let data = match map.contents.first() {
                Some((_, value)) => value.clone(),
                None if zeros => Vec::new(),
                None => vec![0; map.value_size as usize],
            };
            let nobits = zeros && map.contents.is_empty();
            let section = self.file.add_section(OutSection {
                name: map.name.clone(),
                kind: if nobits { section_type::NOBITS } else { section_type::PROGBITS },
                flags: section_flag::ALLOC | if map.frozen { 0 } else { section_flag::WRITE },
                align: 8,
                size: map.value_size.into(),
                data,
                relocations: Vec::new(),
            });
            self.map_symbols[index] = Some(self.section_symbol(section));
            for variable in variables {
                let symbol = symbol_of(variable, section);
                self.file.add_symbol(symbol);
            }
        }
        Ok(())
    }

    /// Writes the section of variables in an arena.
    pub(super) fn write_arena(&mut self) {
        for (index, map) in self.object.maps.iter().enumerate() {
            let Purpose::Arena(image) = &map.purpose else { continue };
            let section = self.file.add_section(OutSection {
                name: ARENA.to_owned(),
                kind: section_type::PROGBITS,
                flags: section_flag::ALLOC | section_flag::WRITE,
                align: 8,
                size: image.bytes.len() as u64,
                data: image.bytes.clone(),
                relocations: Vec::new(),
            });
            self.arena_symbol = Some((index, self.section_symbol(section)));
            for variable in &image.variables {
                self.file.add_symbol(symbol_of(variable, section));
            }
        }
    }

    /// The symbol and the distance from it of a place in a map's value.
    pub(super) fn place_in_map(&self, map: MapIdx, offset: u32) -> Option<(usize, u32)> {
        if let Some(spec) = self.object.maps.get(map.index())
            && spec.purpose == Purpose::Config
        {
            return self.extern_at(map, offset);
        }
        if let Some((arena, symbol)) = self.arena_symbol
            && arena == map.index()
        {
            return Some((symbol, offset));
        }
        let spec = self.object.maps.get(map.index()).filter(|spec| !spec.is_defined());
        spec.and(self.map_symbols.get(map.index()).copied().flatten()).map(|symbol| (symbol, offset))
    }
}

fn symbol_of(variable: &Variable, section: usize) -> OutSymbol {
    OutSymbol {
        name: variable.name.clone(),
        kind: symbol_type::OBJECT,
        binding: match (variable.global, variable.weak) {
            (false, _) => binding::LOCAL,
            (true, false) => binding::GLOBAL,
            (true, true) => binding::WEAK,
        },
        section: Some(section),
        value: variable.offset.into(),
        size: variable.size.into(),
        ..OutSymbol::default()
    }
}
