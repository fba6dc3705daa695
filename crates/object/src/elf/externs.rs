//! What the running kernel has to give: the undefined symbols that type information puts into `.kconfig` and `.ksyms`.

use std::collections::HashMap;

use skep_btf::{Btf, Kind, TypeId};
use skep_isa::MapType;

use super::Context;
use super::error::{ElfError, ElfProblem};
use super::file::Place;
use crate::{ConfigForm, Extern, ExternIdx, ExternKind, MapFlags, MapIdx, MapSpec, Object, Purpose};

/// Section of settings and the name of their map.
pub(super) const KCONFIG: &str = ".kconfig";
/// Section of kernel symbols.
pub(super) const KSYMS: &str = ".ksyms";

/// A declaration before its place is known.
struct Declared {
    symbol: usize,
    name: String,
    weak: bool,
    what: What,
}

/// What is declared. The order is libbpf's: symbols by name, then settings by falling alignment and rising size.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Symbol,
    Config { falling_align: std::cmp::Reverse<u32>, size: u32 },
}

/// Finds the externs, gives settings a map, and returns the extern of each symbol.
pub(super) fn declare(context: &Context<'_>, object: &mut Object) -> Result<HashMap<usize, ExternIdx>, ElfError> {
    let Some(btf) = &context.btf else { return Ok(HashMap::new()) };
    let declarations = declarations(btf)?;
    let mut kinds = HashMap::new();
    let mut found = Vec::new();
    for (symbol, it) in context.file.symbols.iter().enumerate() {
        if it.place != Place::Undefined || !it.is_global() || it.name.is_empty() {
            continue;
        }
        let Some(&(ty, config)) = declarations.get(it.name) else { continue };
        let about = |error: ElfError| error.about(it.name);
        let kind = if config { config_kind(btf, ty) } else { symbol_kind(btf, ty) }.map_err(about)?;
        let what = match &kind {
            ExternKind::Config { form, .. } => {
                What::Config { falling_align: std::cmp::Reverse(form.align()), size: form.size() }
            }
            _ => What::Symbol,
        };
        kinds.insert(symbol, kind);
        found.push(Declared { symbol, name: it.name.to_owned(), weak: it.is_weak(), what });
    }
    found.sort_by(|a, b| (&a.what, &a.name).cmp(&(&b.what, &b.name)));
    let map = MapIdx(u32::try_from(object.maps.len()).unwrap_or(u32::MAX));
    let mut end = 0u32;
    let mut indices = HashMap::new();
    for declared in found {
        let Some(mut kind) = kinds.remove(&declared.symbol) else { continue };
        if let ExternKind::Config { map: place, offset, form } = &mut kind {
            *place = map;
            let too_large = || ElfError::in_section(KCONFIG, ElfProblem::VariablesTooLarge).about(&declared.name);
            *offset = end.checked_next_multiple_of(form.align()).ok_or_else(too_large)?;
            end = offset.checked_add(form.size()).ok_or_else(too_large)?;
        }
        let index = ExternIdx(u32::try_from(object.externs.len()).unwrap_or(u32::MAX));
        indices.insert(declared.symbol, index);
        object.externs.push(Extern { name: declared.name, weak: declared.weak, kind });
    }
    if end != 0 {
        let mut spec = MapSpec::new(KCONFIG, MapType::Array, 4, end, 1);
        spec.flags = MapFlags::READ_ONLY_FOR_PROGRAMS;
        spec.frozen = true;
        spec.purpose = Purpose::Config;
        object.add_map(spec);
    }
    Ok(indices)
}

/// The names in the two sections with their types; true for settings.
fn declarations(btf: &Btf) -> Result<HashMap<&str, (TypeId, bool)>, ElfError> {
    let mut found = HashMap::new();
    for id in btf.ids() {
        let Kind::Datasec { vars, .. } = btf.kind(id)? else { continue };
        let config = match btf.name(id)? {
            KCONFIG => true,
            KSYMS => false,
            _ => continue,
        };
        for var in vars.iter() {
            found.insert(btf.name(var.ty)?, (var.ty, config));
        }
    }
    Ok(found)
}

fn symbol_kind(btf: &Btf, id: TypeId) -> Result<ExternKind, ElfError> {
    Ok(match btf.kind(id)? {
        Kind::Func { proto, .. } => ExternKind::Function { ty: proto.0 },
        Kind::Var { ty, .. } => match btf.resolved(ty)? {
            Kind::Void => ExternKind::Address,
            _ => ExternKind::Variable { ty: ty.0 },
        },
        _ => return Err(ElfError::in_section(KSYMS, ElfProblem::Extern("is neither a variable nor a function"))),
    })
}

fn config_kind(btf: &Btf, id: TypeId) -> Result<ExternKind, ElfError> {
    let wrong = ElfProblem::Extern(
        "a setting is declared as bool, char, an integer, `enum libbpf_tristate` or an array of char",
    );
    let Kind::Var { ty, .. } = btf.kind(id)? else { return Err(ElfError::in_section(KCONFIG, wrong)) };
    let form = config_form(btf, ty)?.ok_or_else(|| ElfError::in_section(KCONFIG, wrong))?;
    Ok(ExternKind::Config { map: MapIdx(0), offset: 0, form })
}

fn config_form(btf: &Btf, ty: TypeId) -> Result<Option<ConfigForm>, ElfError> {
    let id = btf.resolve(ty)?;
    Ok(match btf.kind(id)? {
        Kind::Int(int) if int.bool => (int.size == 1).then_some(ConfigForm::Bool),
        Kind::Int(int) => match int.size {
            1 => Some(ConfigForm::Char),
            2 | 4 | 8 => Some(ConfigForm::Int { size: int.size as u8, signed: int.signed }),
            _ => None,
        },
        Kind::Enum(values) => (values.size == 4 && btf.name(id)? == "libbpf_tristate").then_some(ConfigForm::Tristate),
        Kind::Array(array) => {
            let chars = matches!(btf.resolved(array.element)?, Kind::Int(int) if int.size == 1 && !int.bool);
            (chars && array.len != 0).then_some(ConfigForm::Text { size: array.len })
        }
        _ => None,
    })
}
