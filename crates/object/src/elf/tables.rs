//! Tables of operations of the kernel (`struct_ops`): each variable of their sections becomes a map.

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::MapType;

use super::code::Functions;
use super::error::{ElfError, ElfProblem};
use super::link::Programs;
use super::maps::{StoredAddress, map_problem};
use super::{Context, Role};
use crate::{MapFlags, MapIdx, MapSpec, Object, Reference};

/// What the names of their sections begin with.
const SECTION: &str = ".struct_ops";
/// Tables that a link registers.
const LINKED: &str = ".struct_ops.link";

/// A table in its section.
pub(super) struct Table {
    section: usize,
    start: u64,
    size: u64,
    map: MapIdx,
}

/// Makes a map of every table, with the bytes that the file has of it.
pub(super) fn define(context: &Context<'_>, object: &mut Object) -> Result<Vec<Table>, ElfError> {
    let mut tables = Vec::new();
    for index in 0..context.file.sections.len() {
        let section = &context.file.sections[index];
        let optional = section.name.starts_with('?');
        let flags = match section.name.strip_prefix('?').unwrap_or(section.name) {
            LINKED => MapFlags::LINK,
            SECTION => MapFlags::default(),
            name if name.starts_with(SECTION) => {
                let text = "tables of operations belong into section `.struct_ops` or `.struct_ops.link`";
                return Err(ElfError::in_section(section.name, map_problem(text)));
            }
            _ => continue,
        };
        if !section.is_allocated() {
            continue;
        }
        if context.roles[index] == Role::Code {
            return Err(ElfError::in_section(section.name, map_problem("tables of operations are no code")));
        }
        let error = |problem| ElfError::in_section(section.name, problem);
        let btf = context.btf.as_ref().ok_or_else(|| error(ElfProblem::NoBtf))?;
        for variable in super::globals::section_variables(context, index)? {
            let about = |problem| error(problem).at(variable.offset.into()).about(&variable.name);
            let ty = structure(btf, variable.ty.map(TypeId)).map_err(about)?;
            if btf.size_of(ty)? != variable.size {
                return Err(about(map_problem("its size is not that of its type; compile again")));
            }
            let (start, size) = (u64::from(variable.offset), u64::from(variable.size));
            let mut spec = MapSpec::new(&variable.name, MapType::StructOps, 4, variable.size, 1);
            let place = variable.offset as usize..(start + size) as usize;
            let bytes = match section.is_zeros() {
                true => vec![0; variable.size as usize],
                false => section.data.get(place).ok_or_else(|| about(ElfProblem::OutsideData))?.to_vec(),
            };
            spec.contents = vec![(vec![0; 4], bytes)];
            spec.flags = flags;
            spec.optional = optional;
            spec.value_type = Some(ty.0);
            tables.push(Table { section: index, start, size, map: object.add_map(spec) });
        }
    }
    Ok(tables)
}

/// The structure that a variable of this type is.
fn structure(btf: &Btf, ty: Option<TypeId>) -> Result<TypeId, ElfProblem> {
    let ty = ty.ok_or_else(|| map_problem("section `.BTF` does not say what it is like; compile with `-g`"))?;
    let id = btf.resolve(ty)?;
    match btf.kind(id)? {
        Kind::Struct(_) if !btf.name(id)?.is_empty() => Ok(id),
        _ => Err(map_problem("a table of operations is a structure with the name that the kernel has for it")),
    }
}

/// Gives the tables the programs that relocations refer to.
pub(super) fn fill(
    context: &Context<'_>,
    tables: &[Table],
    functions: &Functions<'_>,
    programs: &Programs,
    object: &mut Object,
) -> Result<(), ElfError> {
    let mut sections: Vec<usize> = tables.iter().map(|table| table.section).collect();
    sections.dedup();
    for index in sections {
        for relocation in context.file.relocations(index)? {
            let stored = StoredAddress::read(context, index, &relocation)?;
            let error = |problem| stored.error(problem);
            let program = match stored.role {
                Role::Code => {
                    functions.at(stored.section, stored.address).and_then(|found| programs.of_function(found))
                }
                _ => return Err(error(map_problem("members of tables of operations refer to programs only"))),
            };
            let program = program.ok_or_else(|| error(ElfProblem::NotAProgram))?;
            let table = tables.iter().find(|table| {
                let distance = relocation.offset.checked_sub(table.start);
                table.section == index && distance.is_some_and(|distance| distance < table.size)
            });
            let table = table.ok_or_else(|| error(map_problem("lies in no table of operations")))?;
            let spec = &mut object.maps[table.map.index()];
            // Smaller than the size of the table, which has 32 bits.
            let offset = (relocation.offset - table.start) as u32;
            // The distance of a function of a file without symbols of its own is no value of the member.
            let value = spec.contents[0].1.get_mut(offset as usize..offset as usize + 8);
            value.ok_or_else(|| error(ElfProblem::Truncated("an address")))?.fill(0);
            spec.references.push((offset, Reference::Program(program)));
        }
    }
    Ok(())
}
