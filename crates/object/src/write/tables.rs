//! Tables of operations: their sections, which hold them one after the other.

use skep_btf::{Kind, TypeId};
use skep_isa::MapType;

use super::Writer;
use super::file::{OutSection, OutSymbol, binding, section_flag, section_type, symbol_type};
use crate::{MapFlags, MapSpec, ObjectError};

impl Writer<'_> {
    /// Writes the sections with tables; what their members refer to follows with the entries of other maps.
    pub(super) fn write_tables(&mut self) -> Result<(), ObjectError> {
        let mut sections: Vec<(&'static str, Vec<usize>)> = Vec::new();
        let maps = self.object.maps.iter().enumerate();
        for (index, spec) in maps.filter(|(_, spec)| spec.map_type == MapType::StructOps) {
            let name = section_of(spec)?;
            match sections.iter_mut().find(|(known, _)| *known == name) {
                Some((_, list)) => list.push(index),
                None => sections.push((name, vec![index])),
            }
        }
        for (name, maps) in sections {
            let places = match self.known_tables(name, &maps) {
                Some(places) => places,
                None => self.define_tables(name, &maps)?,
            };
            self.write_section(name, &maps, &places)?;
        }
        Ok(())
    }

    fn write_section(&mut self, name: &str, maps: &[usize], places: &[u32]) -> Result<(), ObjectError> {
        let object = self.object;
        let end = |(map, place): (&usize, &u32)| place.checked_add(object.maps[*map].value_size);
        let size = maps.iter().zip(places).map(end).collect::<Option<Vec<u32>>>();
        let size = size.and_then(|ends| ends.into_iter().max()).unwrap_or(u32::MAX);
        let mut data = vec![0; size as usize];
        for (map, place) in maps.iter().zip(places) {
            let spec = &object.maps[*map];
            let start = *place as usize;
            let room = data.get_mut(start..start + spec.value_size as usize);
            if let (Some(room), Some((_, bytes))) = (room, spec.contents.first()) {
                room.copy_from_slice(bytes);
            }
        }
        let section = self.file.add_section(OutSection {
            name: name.to_owned(),
            kind: section_type::PROGBITS,
            flags: section_flag::ALLOC | section_flag::WRITE,
            align: 8,
            data,
            size: size.into(),
            relocations: Vec::new(),
        });
        for (map, place) in maps.iter().zip(places) {
            let symbol = self.file.add_symbol(OutSymbol {
                name: object.maps[*map].name.clone(),
                kind: symbol_type::OBJECT,
                binding: binding::GLOBAL,
                section: Some(section),
                value: u64::from(*place),
                size: object.maps[*map].value_size.into(),
                ..OutSymbol::default()
            });
            self.map_symbols[*map] = Some(symbol);
            self.map_places.push((*map, section, u64::from(*place)));
        }
        Ok(())
    }

    /// Where the tables are if the type information of the object says so.
    fn known_tables(&self, name: &str, maps: &[usize]) -> Option<Vec<u32>> {
        let btf = self.btf?;
        let section = btf.find_where(name, |kind| matches!(kind, Kind::Datasec { .. }))?;
        let Ok(Kind::Datasec { vars, .. }) = btf.kind(section) else { return None };
        let mut end = 0;
        let mut places = Vec::new();
        for map in maps {
            let spec = &self.object.maps[*map];
            let var = vars.iter().find(|var| btf.name(var.ty) == Ok(spec.name.as_str()))?;
            let Ok(Kind::Var { ty, .. }) = btf.kind(var.ty) else { return None };
            if btf.resolve(ty).ok()? != TypeId(spec.value_type?) || var.size != spec.value_size || var.offset < end {
                return None;
            }
            end = var.offset.checked_add(var.size)?;
            places.push(var.offset);
        }
        (vars.iter().len() == maps.len() && end <= MOST_BYTES).then_some(places)
    }

    /// Adds the section to the type information.
    fn define_tables(&mut self, name: &str, maps: &[usize]) -> Result<Vec<u32>, ObjectError> {
        if let Some(btf) = self.btf
            && let Some(old) = btf.find_where(name, |kind| matches!(kind, Kind::Datasec { .. }))
        {
            self.types.rename(btf.bytes(), old.0, &format!("{name}_replaced"));
        }
        let mut places = Vec::new();
        let mut vars = Vec::new();
        let mut end = 0u32;
        for map in maps {
            let spec = &self.object.maps[*map];
            let ty = spec.value_type.ok_or_else(|| wrong(spec, "a table of operations needs a type (`value_type`)"))?;
            vars.push((self.types.variable(&spec.name, ty), end, spec.value_size));
            places.push(end);
            let next = end.checked_add(spec.value_size).and_then(|end| end.checked_next_multiple_of(8));
            end = next.filter(|end| *end <= MOST_BYTES).ok_or_else(|| wrong(spec, "the tables are too large"))?;
        }
        self.types.section(name, end, &vars);
        Ok(places)
    }
}

/// Most bytes of a section of tables; those of kernels have some hundred.
const MOST_BYTES: u32 = 16 << 20;

/// The section that a table belongs to.
fn section_of(spec: &MapSpec) -> Result<&'static str, ObjectError> {
    if spec.name.is_empty() || spec.name.contains('\0') {
        return Err(wrong(spec, "a map needs a name of its own"));
    }
    match (spec.flags, spec.optional) {
        (MapFlags::LINK, false) => Ok(".struct_ops.link"),
        (MapFlags::LINK, true) => Ok("?.struct_ops.link"),
        (MapFlags(0), false) => Ok(".struct_ops"),
        (MapFlags(0), true) => Ok("?.struct_ops"),
        _ => Err(wrong(spec, "a file can give a table of operations no flag but that of links")),
    }
}

fn wrong(spec: &MapSpec, problem: &str) -> ObjectError {
    ObjectError::Write(format!("map `{}`: {problem}", spec.name))
}
