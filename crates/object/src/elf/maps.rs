//! Definitions of maps: by the types of variables in `.maps`, and as structures in `maps`.

use std::collections::HashMap;

use skep_btf::{Btf, Composite, Kind, Member, TypeId};
use skep_isa::MapType;

use super::code::Functions;
use super::error::{ElfError, ElfProblem};
use super::link::Programs;
use super::{Context, Role, legacy};
use crate::{MapFlags, MapIdx, MapSpec, Object, Reference};

/// Section with definitions by types.
const BY_TYPE: &str = ".maps";
/// Relocation that stands for a whole address.
const R_BPF_64_ABS64: u32 = 2;
/// The same from compilers before LLVM 13.
const R_BPF_64_64: u32 = 1;

/// A map whose first entries relocations may give.
pub(super) struct WithEntries {
    section: usize,
    /// Where its definition starts.
    start: u64,
    /// Where its entries start.
    values: Option<u64>,
    map: MapIdx,
}

/// Reads all definitions. Returns the maps of `.maps` in the order of their offsets.
pub(super) fn define(context: &mut Context<'_>, object: &mut Object) -> Result<Vec<WithEntries>, ElfError> {
    let mut with_entries = Vec::new();
    for index in 0..context.file.sections.len() {
        let section = &context.file.sections[index];
        let by_type = section.name == BY_TYPE;
        let is_maps = by_type || section.name == "maps" || section.name.starts_with("maps/");
        if !is_maps || !section.is_allocated() {
            continue;
        }
        context.roles[index] = Role::Maps;
        if by_type && !with_entries.is_empty() {
            return Err(ElfError::in_section(BY_TYPE, ElfProblem::Duplicate("sections with maps")));
        }
        if by_type {
            with_entries.extend(define_by_type(context, index, object)?);
        } else {
            legacy::define(context, index, object)?;
        }
    }
    context.map_places.sort_unstable();
    with_entries.sort_by_key(|map| (map.section, map.start));
    Ok(with_entries)
}

fn define_by_type(
    context: &mut Context<'_>,
    section: usize,
    object: &mut Object,
) -> Result<Vec<WithEntries>, ElfError> {
    let error = |problem| ElfError::in_section(BY_TYPE, problem);
    let btf = context.btf.as_ref().ok_or_else(|| error(ElfProblem::NoBtf))?;
    let vars = match btf.ids().find(|id| btf.name(*id) == Ok(BY_TYPE) && is_section(btf, *id)).map(|id| btf.kind(id)) {
        Some(Ok(Kind::Datasec { vars, .. })) => vars,
        _ => return Err(error(ElfProblem::NoBtf)),
    };
    let symbols = context.symbols_of(section).iter();
    let starts: HashMap<&str, u64> =
        symbols.filter(|symbol| symbol.is_object()).map(|symbol| (symbol.name, symbol.value)).collect();
    let mut defined = Vec::new();
    for var in vars.iter() {
        let name = btf.name(var.ty)?;
        let about = |error: ElfError| ElfError { section: Some(BY_TYPE.to_owned()), ..error }.about(name);
        let Kind::Var { ty, .. } = btf.kind(var.ty)? else {
            return Err(about(error(map_problem("is no variable"))));
        };
        let start = *starts.get(name).ok_or_else(|| about(error(map_problem("has no symbol; compile again"))))?;
        let definition = Definition::read(btf, name, ty, true).map_err(about)?;
        let values = definition.values.map(|offset| start.saturating_add(offset));
        defined.push((start, values, definition.spec));
    }
    defined.sort_by_key(|(start, ..)| *start);
    let mut with_entries = Vec::new();
    for (start, values, spec) in defined {
        let map = object.add_map(spec);
        context.map_places.push((section, start, map));
        with_entries.push(WithEntries { section, start, values, map });
    }
    Ok(with_entries)
}

fn is_section(btf: &Btf, id: TypeId) -> bool {
    matches!(btf.kind(id), Ok(Kind::Datasec { .. }))
}

pub(super) fn map_problem(text: impl Into<String>) -> ElfProblem {
    ElfProblem::Map(text.into())
}

/// A definition by type: each member's type carries a number, a type, or what the entries are like.
struct Definition {
    spec: MapSpec,
    /// Where the entries start, relative to the definition.
    values: Option<u64>,
}

impl Definition {
    fn read(btf: &Btf, name: &str, ty: TypeId, may_hold_maps: bool) -> Result<Self, ElfError> {
        let Kind::Struct(composite) = btf.resolved(ty)? else {
            return Err(ElfError::new(map_problem(
                "a map is defined by a structure: struct { __uint(type, ...); ... }",
            )));
        };
        let mut definition = Self { spec: MapSpec::new(name, MapType::Hash, 0, 0, 0), values: None };
        let map_type = number_of(btf, composite, "type")?
            .ok_or_else(|| ElfError::new(map_problem("the map has no type; add `__uint(type, BPF_MAP_TYPE_...)`")))?;
        definition.spec.map_type = MapType::from_number(map_type)
            .ok_or_else(|| ElfError::new(map_problem(format!("map type {map_type} does not exist"))))?;
        for member in composite.members() {
            definition.member(btf, member, may_hold_maps)?;
        }
        Ok(definition)
    }

    fn member(&mut self, btf: &Btf, member: Member, may_hold_maps: bool) -> Result<(), ElfError> {
        let spec = &mut self.spec;
        match btf.string(member.name)? {
            "type" => {}
            "max_entries" => spec.max_entries = number(btf, member)?,
            "map_flags" => spec.flags = MapFlags(number(btf, member)?),
            "numa_node" => spec.numa_node = number(btf, member)?,
            "map_extra" => spec.extra = wide_number(btf, member)?,
            "pinning" => match number(btf, member)? {
                0 => {}
                1 => spec.pinned = true,
                other => {
                    let text = format!("pinning {other} is unknown; use 1 (LIBBPF_PIN_BY_NAME)");
                    return Err(ElfError::new(map_problem(text)));
                }
            },
            "key_size" => set_size("key", &mut spec.key_size, number(btf, member)?)?,
            "value_size" => set_size("value", &mut spec.value_size, number(btf, member)?)?,
            "key" => {
                let ty = target(btf, member)?;
                spec.key_type = Some(ty.0);
                set_size("key", &mut spec.key_size, btf.size_of(ty)?)?;
            }
            "value" => {
                let ty = target(btf, member)?;
                spec.value_type = Some(ty.0);
                set_size("value", &mut spec.value_size, btf.size_of(ty)?)?;
            }
            "values" => {
                set_size("value", &mut spec.value_size, 4)?;
                self.values = Some(u64::from(member.bit_offset / 8));
                let element = entry_type(btf, member)?;
                if spec.holds_maps() && may_hold_maps {
                    let inner = Self::read(btf, &format!("{}.inner", spec.name), element, false)?.spec;
                    spec.inner = Some(Box::new(inner));
                } else if spec.map_type != MapType::ProgArray {
                    let text = "only maps of maps (once) and arrays of programs have `values`";
                    return Err(ElfError::new(map_problem(text)));
                }
            }
            other => {
                let text = format!(
                    "`{other}` is no property of maps; known are type, max_entries, map_flags, numa_node, \
                    map_extra, pinning, key, key_size, value, value_size and values"
                );
                return Err(ElfError::new(map_problem(text)));
            }
        }
        Ok(())
    }
}

/// Reads the definition of a map by its type, and where its entries start relative to it.
pub(crate) fn read_definition(btf: &Btf, name: &str, ty: TypeId) -> Result<(MapSpec, Option<u64>), ElfError> {
    let definition = Definition::read(btf, name, ty, true)?;
    Ok((definition.spec, definition.values))
}

/// Sets a size that may be given twice if both agree.
fn set_size(what: &str, size: &mut u32, new: u32) -> Result<(), ElfError> {
    if *size != 0 && *size != new {
        let text = format!("the size of a {what} is {size} bytes in one place and {new} in another");
        return Err(ElfError::new(map_problem(text)));
    }
    *size = new;
    Ok(())
}

/// The number of the member with this name.
fn number_of(btf: &Btf, composite: Composite<'_>, name: &str) -> Result<Option<u32>, ElfError> {
    match composite.members().find(|member| btf.string(member.name) == Ok(name)) {
        Some(member) => number(btf, member).map(Some),
        None => Ok(None),
    }
}

/// A number in a type: `int (*name)[NUMBER]`, or the value of the only constant of an enumeration.
fn wide_number(btf: &Btf, member: Member) -> Result<u64, ElfError> {
    match btf.resolved(member.ty)? {
        Kind::Ptr(target) => {
            if let Kind::Array(array) = btf.resolved(target)? {
                return Ok(array.len.into());
            }
        }
        Kind::Enum(values) | Kind::Enum64(values) => {
            let mut values = values.values();
            if let (Some(only), None) = (values.next(), values.next()) {
                return Ok(only.value.cast_unsigned());
            }
        }
        _ => {}
    }
    Err(ElfError::new(map_problem(format!("`{}` must be given with `__uint`", btf.string(member.name)?))))
}

fn number(btf: &Btf, member: Member) -> Result<u32, ElfError> {
    let number = wide_number(btf, member)?;
    let too_large = || map_problem(format!("the number {number} does not fit in 32 bits"));
    u32::try_from(number).map_err(|_| ElfError::new(too_large()))
}

/// A type in a type: `TYPE *name`.
fn target(btf: &Btf, member: Member) -> Result<TypeId, ElfError> {
    if let Kind::Ptr(target) = btf.resolved(member.ty)? {
        return Ok(target);
    }
    Err(ElfError::new(map_problem(format!("`{}` must be given with `__type`", btf.string(member.name)?))))
}

/// The type of entries: `TYPE *values[]`.
fn entry_type(btf: &Btf, member: Member) -> Result<TypeId, ElfError> {
    if let Kind::Array(array) = btf.resolved(member.ty)?
        && let Kind::Ptr(target) = btf.resolved(array.element)?
    {
        return Ok(target);
    }
    Err(ElfError::new(map_problem("`values` must be given with `__array`")))
}

/// What an address that a relocation puts into a section refers to.
pub(super) struct StoredAddress<'a> {
    /// The section that it refers to, and what that is for.
    pub(super) section: usize,
    pub(super) role: Role,
    /// The place there.
    pub(super) address: u64,
    stored_in: &'a str,
    offset: u64,
    symbol: &'a str,
}

impl<'a> StoredAddress<'a> {
    /// Looks an address up that lies in section `index`.
    pub(super) fn read(
        context: &Context<'a>,
        index: usize,
        relocation: &super::file::Relocation,
    ) -> Result<Self, ElfError> {
        let (section, symbol) = (&context.file.sections[index], context.symbol(relocation.symbol));
        let mut stored = Self {
            section: 0,
            role: context.roles[index],
            address: 0,
            stored_in: section.name,
            offset: relocation.offset,
            symbol: symbol.name,
        };
        if !matches!(relocation.kind, R_BPF_64_ABS64 | R_BPF_64_64) {
            return Err(stored.error(ElfProblem::Relocation(relocation.kind)));
        }
        let place = usize::try_from(relocation.offset).ok();
        let addend = place.and_then(|place| section.data.get(place..)?.first_chunk().copied());
        let addend = u64::from_le_bytes(addend.ok_or_else(|| stored.error(ElfProblem::Truncated("an address")))?);
        stored.address = symbol.value.wrapping_add(addend);
        (stored.section, stored.role) = context.section_of(&symbol).map_err(|error| stored.locate(error))?;
        Ok(stored)
    }

    fn locate(&self, error: ElfError) -> ElfError {
        ElfError { section: Some(self.stored_in.to_owned()), offset: Some(self.offset), ..error }
    }

    /// An error about the address.
    pub(super) fn error(&self, problem: ElfProblem) -> ElfError {
        self.locate(ElfError::new(problem).about(self.symbol))
    }
}

/// Gives the maps of `.maps` the entries that relocations refer to.
pub(super) fn fill(
    context: &Context<'_>,
    maps: &[WithEntries],
    functions: &Functions<'_>,
    programs: &Programs,
    object: &mut Object,
) -> Result<(), ElfError> {
    for (index, section) in context.file.sections.iter().enumerate() {
        if context.roles[index] != Role::Maps || section.name != BY_TYPE {
            continue;
        }
        for relocation in context.file.relocations(index)? {
            let stored = StoredAddress::read(context, index, &relocation)?;
            let (target_section, target) = (stored.section, stored.address);
            let error = |problem| stored.error(problem);
            let reference = match stored.role {
                Role::Maps => context
                    .map_at(target_section, target)
                    .map(Reference::Map)
                    .ok_or_else(|| error(ElfProblem::NoMap(target)))?,
                Role::Code => functions
                    .at(target_section, target)
                    .and_then(|function| programs.of_function(function))
                    .map(Reference::Program)
                    .ok_or_else(|| error(ElfProblem::NotAProgram))?,
                _ => return Err(error(map_problem("entries are maps or programs"))),
            };
            let (map, entry) = entry_at(maps, index, relocation.offset)
                .ok_or_else(|| error(map_problem("only `values` can refer to something")))?;
            object.maps[map.index()].references.push((entry, reference));
        }
    }
    Ok(())
}

/// The map and the entry whose address is stored at an offset.
fn entry_at(maps: &[WithEntries], section: usize, offset: u64) -> Option<(MapIdx, u32)> {
    let after = maps.partition_point(|map| (map.section, map.start) <= (section, offset));
    let map = maps.get(after.checked_sub(1)?).filter(|map| map.section == section)?;
    let distance = offset.checked_sub(map.values?)?;
    let entry = u32::try_from(distance / 8).ok().filter(|_| distance.is_multiple_of(8))?;
    Some((map.map, entry))
}
