//! Where variables lie: clang leaves that open in BTF, and the symbols of the file tell.
//!
//! Who looks for a variable in the value of a map, the kernel among them, needs it.

use skep_btf::{Btf, BtfError, Kind};

use super::Context;
use super::file::Section;

/// The blob with the size of each section and the place of each variable filled in. Sections and variables that the file
/// does not have stay as they are.
pub(super) fn fill(context: &Context<'_>, btf: &Btf) -> Result<Vec<u8>, BtfError> {
    let mut bytes = btf.bytes().to_vec();
    let word = |at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
    // `Btf::parse` has checked the header.
    let mut at = word(4) as usize + word(8) as usize;
    let mut records: Vec<(usize, u32, Vec<[u32; 3]>)> = Vec::new();
    for id in btf.ids() {
        let kind = btf.kind(id)?;
        if let Kind::Datasec { .. } = kind
            && let Some((index, section)) = find(context, btf.name(id)?)
            && let Ok(size) = u32::try_from(section.size)
        {
            records.push((at, size, variables(context, btf, index, kind)?));
        }
        at += 12 + 4 * words_of(kind);
    }
    for (at, size, variables) in records {
        let words = std::iter::once(size).chain(variables.into_iter().flatten());
        for (index, value) in words.enumerate() {
            let at = at + 8 + 4 * index;
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&value.to_le_bytes());
            }
        }
    }
    Ok(bytes)
}

fn find<'c, 'a>(context: &'c Context<'a>, name: &str) -> Option<(usize, &'c Section<'a>)> {
    context.file.sections.iter().enumerate().find(|(_, section)| section.name == name)
}

/// The records of the variables of a section, in the order of their places: type, place, size.
fn variables(context: &Context<'_>, btf: &Btf, section: usize, kind: Kind<'_>) -> Result<Vec<[u32; 3]>, BtfError> {
    let Kind::Datasec { vars, .. } = kind else { return Ok(Vec::new()) };
    let symbols = context.symbols_of(section);
    let mut variables = Vec::with_capacity(vars.iter().len());
    for var in vars.iter() {
        let name = btf.name(var.ty)?;
        let symbol = symbols.iter().find(|symbol| symbol.name == name);
        let place = symbol.and_then(|symbol| u32::try_from(symbol.value).ok()).unwrap_or(var.offset);
        variables.push([var.ty.0, place, var.size]);
    }
    variables.sort_by_key(|[_, place, _]| *place);
    Ok(variables)
}

/// Words of a type after the first three.
fn words_of(kind: Kind<'_>) -> usize {
    match kind {
        Kind::Int(_) | Kind::Var { .. } | Kind::DeclTag(_) => 1,
        Kind::Array(_) => 3,
        Kind::Struct(all) | Kind::Union(all) => 3 * all.members().len(),
        Kind::Datasec { vars, .. } => 3 * vars.iter().len(),
        Kind::Enum64(all) => 3 * all.values().len(),
        Kind::Enum(all) => 2 * all.values().len(),
        Kind::FuncProto(proto) => 2 * proto.params().len(),
        _ => 0,
    }
}
