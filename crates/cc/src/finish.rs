//! What an object says to loaders beyond code and maps: pinning, entries of maps of maps, settings of the kernel.

use skep_btf::{Btf, Kind, TypeId};
use skep_ir::Entity as _;
use skep_lang_c::unit::{MapExtra, Unit};
use skep_object::{ConfigForm, Extern, ExternKind, MapIdx, Object, ProgIdx, Purpose, Reference};

/// The section of settings.
const CONFIG: &str = ".kconfig";

/// Adds it to an object that was generated from the module of `unit`.
///
/// # Errors
/// A message about what refers to nothing.
pub(crate) fn finish(object: &mut Object, unit: &Unit) -> Result<(), String> {
    for extra in &unit.maps {
        describe(object, extra)?;
    }
    for map in &mut object.maps {
        if let Purpose::Variables(variables) = &mut map.purpose {
            // Variables of functions and texts have a dot in their names: they are nobody else's.
            variables.iter_mut().for_each(|variable| variable.global = !variable.name.contains('.'));
        }
    }
    let Some(index) = object.maps.iter().position(|map| map.name == CONFIG) else { return Ok(()) };
    let Purpose::Variables(variables) = std::mem::replace(&mut object.maps[index].purpose, Purpose::Config) else {
        return Ok(());
    };
    object.maps[index].frozen = true;
    object.maps[index].flags = skep_object::MapFlags::READ_ONLY_FOR_PROGRAMS;
    object.maps[index].contents.clear();
    let btf = Btf::parse(object.btf.clone()).map_err(|error| error.to_string())?;
    for variable in variables {
        let form = variable.ty.and_then(|ty| form(&btf, TypeId(ty)));
        let Some(form) = form else {
            return Err(format!(
                "`{}` has a type that no setting of the kernel has: expected bool, enum libbpf_tristate, an integer or an array of char",
                variable.name
            ));
        };
        let weak = unit.externs.iter().any(|external| external.name == variable.name && external.weak);
        let kind = ExternKind::Config { map: MapIdx(index as u32), offset: variable.offset, form };
        object.externs.push(Extern { name: variable.name, weak, kind });
    }
    Ok(())
}

fn describe(object: &mut Object, extra: &MapExtra) -> Result<(), String> {
    let mut references = Vec::new();
    for (index, name) in &extra.values {
        let map = object.maps.iter().position(|map| map.name == *name).map(|at| Reference::Map(MapIdx(at as u32)));
        let program = || {
            let at = object.programs.iter().position(|program| program.name == *name)?;
            Some(Reference::Program(ProgIdx(at as u32)))
        };
        let found = map.or_else(program).ok_or_else(|| format!("there is no map or program `{name}`"))?;
        references.push((*index, found));
    }
    let Some(map) = object.maps.get_mut(extra.map.index()) else { return Ok(()) };
    map.pinned = extra.pinning != 0;
    map.extra = extra.map_extra;
    map.numa_node = extra.numa_node.unwrap_or(0);
    map.references = references;
    Ok(())
}

/// What values of a setting look like, from the type of the variable.
fn form(btf: &Btf, ty: TypeId) -> Option<ConfigForm> {
    let ty = match btf.kind(ty).ok()? {
        Kind::Var { ty, .. } => ty,
        _ => ty,
    };
    let resolved = btf.resolve(ty).ok()?;
    match btf.kind(resolved).ok()? {
        Kind::Int(int) if int.bool => Some(ConfigForm::Bool),
        Kind::Int(int) if int.size == 1 => Some(ConfigForm::Char),
        Kind::Int(int) => Some(ConfigForm::Int { size: u8::try_from(int.size).ok()?, signed: int.signed }),
        Kind::Enum(_) | Kind::Enum64(_) => Some(ConfigForm::Tristate),
        Kind::Array(array) => Some(ConfigForm::Text { size: array.len }),
        _ => None,
    }
}
