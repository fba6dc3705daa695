//! Sections of global variables: each becomes an array with one value. Says what the remaining sections are for.

use std::collections::{HashMap, HashSet};

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::sections::ARENA;

use super::error::{ElfError, ElfProblem};
use super::file::Section;
use super::{Context, Role};
use crate::btf_edit::{self, SectionLayout};
use crate::{Image, MapFlags, MapIdx, MapSpec, Object, Purpose, Variable};

/// Most bytes of variables in an arena that the file only counts, because they are zero.
const MOST_ZEROS: usize = 1 << 24;

/// Makes maps of the sections with variables and finds those with code. In the object's type information the sections
/// get the sizes and places that compilers leave to loaders.
pub(super) fn define(context: &mut Context<'_>, object: &mut Object) -> Result<(), ElfError> {
    let types = match &context.btf {
        Some(btf) => sections_of(btf)?,
        None => HashMap::new(),
    };
    for index in 0..context.file.sections.len() {
        let section = &context.file.sections[index];
        if section.is_code() {
            context.roles[index] = Role::Code;
        }
        if section.name == ARENA && section.is_allocated() {
            let ty = types.get(section.name).copied();
            context.roles[index] = arena(context, index, ty, object)?;
            continue;
        }
        let Some(base) = base_of(section).filter(|_| context.roles[index] == Role::Other) else { continue };
        let size = u32::try_from(section.size);
        let size = size.map_err(|_| ElfError::in_section(section.name, ElfProblem::VariablesTooLarge))?;
        let mut map = MapSpec::new(section.name, skep_isa::MapType::Array, 4, size, 1);
        if base == ".rodata" {
            map.flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
            map.frozen = true;
        }
        if !section.is_zeros() {
            map.contents = vec![(vec![0; 4], section.data.to_vec())];
        }
        let ty = types.get(section.name).copied();
        map.value_type = ty.map(|ty| ty.0);
        map.purpose = Purpose::Variables(without_declarations(context, variables(context, index, ty)?));
        context.roles[index] = Role::Data(object.add_map(map));
    }
    let layouts = layouts(context, &types)?;
    if !layouts.is_empty() {
        btf_edit::lay_out(&mut object.btf, &layouts);
    }
    Ok(())
}

/// Puts the variables of an arena into the arena of the object.
fn arena(context: &Context<'_>, index: usize, ty: Option<TypeId>, object: &mut Object) -> Result<Role, ElfError> {
    let section = &context.file.sections[index];
    let Some(at) = object.maps.iter().position(|map| map.map_type == skep_isa::MapType::Arena) else {
        return Err(ElfError::in_section(section.name, ElfProblem::NoArena));
    };
    let variables = without_declarations(context, variables(context, index, ty)?);
    let size = usize::try_from(section.size).ok().filter(|size| size.saturating_sub(section.data.len()) <= MOST_ZEROS);
    let size = size.ok_or_else(|| ElfError::in_section(section.name, ElfProblem::VariablesTooLarge))?;
    let mut bytes = section.data.to_vec();
    bytes.resize(size, 0);
    object.maps[at].purpose = Purpose::Arena(Image { variables, bytes });
    Ok(Role::Data(MapIdx(at as u32)))
}

/// Where the variables of all sections lie that the type information describes, those of maps and the licence included.
fn layouts(context: &Context<'_>, types: &HashMap<&str, TypeId>) -> Result<Vec<SectionLayout>, ElfError> {
    let mut layouts = Vec::new();
    let mut seen = HashSet::new();
    for (index, section) in context.file.sections.iter().enumerate() {
        let Some(ty) = types.get(section.name).copied() else { continue };
        let Ok(size) = u32::try_from(section.size) else { continue };
        if !seen.insert(ty) {
            continue;
        }
        let variables = variables(context, index, Some(ty))?;
        let vars = variables.iter().filter_map(|variable| Some((variable.ty?, variable.offset, variable.size)));
        layouts.push(SectionLayout { section: ty.0, size, vars: vars.collect() });
    }
    Ok(layouts)
}

/// Which of the three kinds of variables a section holds.
fn base_of(section: &Section<'_>) -> Option<&'static str> {
    let bases = [".data", ".rodata", ".bss"].into_iter();
    let base = bases.into_iter().find(|base| {
        let rest = section.name.strip_prefix(base);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    base.filter(|_| section.is_allocated())
}

/// The sections that the type information describes; of several with one name the first.
fn sections_of(btf: &Btf) -> Result<HashMap<&str, TypeId>, ElfError> {
    let mut found = HashMap::new();
    for id in btf.ids() {
        if let Kind::Datasec { .. } = btf.kind(id)? {
            found.entry(btf.name(id)?).or_insert(id);
        }
    }
    Ok(found)
}

/// The variables of any section with their types, in the order of their places.
pub(super) fn section_variables(context: &Context<'_>, index: usize) -> Result<Vec<Variable>, ElfError> {
    let types = context.btf.as_ref().map(sections_of).transpose()?.unwrap_or_default();
    let ty = types.get(context.file.sections[index].name).copied();
    Ok(without_declarations(context, variables(context, index, ty)?))
}

/// The variables of a section in the order of their places. Their `ty` is the number of the declaration here.
fn variables(context: &Context<'_>, index: usize, ty: Option<TypeId>) -> Result<Vec<Variable>, ElfError> {
    let mut declarations: HashMap<&str, TypeId> = HashMap::new();
    if let (Some(btf), Some(ty)) = (&context.btf, ty)
        && let Kind::Datasec { vars, .. } = btf.kind(ty)?
    {
        for var in vars.iter() {
            if let Kind::Var { .. } = btf.kind(var.ty)? {
                declarations.insert(btf.name(var.ty)?, var.ty);
            }
        }
    }
    let size = context.file.sections[index].size;
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    for symbol in context.symbols_of(index).iter().filter(|symbol| symbol.is_object() && !symbol.name.is_empty()) {
        let end = symbol.value.checked_add(symbol.size).filter(|end| *end <= size);
        let (Some(_), Ok(offset), Ok(size)) = (end, u32::try_from(symbol.value), u32::try_from(symbol.size)) else {
            let section = context.file.sections[index].name;
            return Err(ElfError::in_section(section, ElfProblem::OutsideData).at(symbol.value).about(symbol.name));
        };
        if !seen.insert((symbol.name, offset)) {
            continue;
        }
        found.push(Variable {
            name: symbol.name.to_owned(),
            offset,
            size,
            global: symbol.is_global(),
            weak: symbol.is_weak(),
            ty: declarations.get(symbol.name).map(|id| id.0),
        });
    }
    found.sort_by(|a, b| (a.offset, &a.name).cmp(&(b.offset, &b.name)));
    Ok(found)
}

/// The same with the types of the variables in place of their declarations.
fn without_declarations(context: &Context<'_>, mut variables: Vec<Variable>) -> Vec<Variable> {
    for variable in &mut variables {
        let kind = context.btf.as_ref().zip(variable.ty).map(|(btf, id)| btf.kind(TypeId(id)));
        variable.ty = match kind {
            Some(Ok(Kind::Var { ty, .. })) => Some(ty.0),
            _ => None,
        };
    }
    variables
}
