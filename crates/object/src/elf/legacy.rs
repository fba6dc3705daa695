//! Maps defined as structures in `maps` (`struct bpf_map_def`), as loaders had it before BTF.
//!
//! The first five numbers are the same everywhere: type, sizes of key and value, entries, flags. What follows depends on
//! whose structure it is: the type information says so by the names of the members; without it, nine numbers are the
//! structure of iproute2 (`struct bpf_elf_map`), and anything else has to be 0.

use skep_btf::{Btf, Kind};
use skep_isa::MapType;

use super::Context;
use super::error::ElfError;
use super::file::Symbol;
use super::maps::map_problem;
use crate::{MapFlags, MapIdx, MapSpec, Object, Reference};

/// What a number of a definition means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Type,
    KeySize,
    ValueSize,
    MaxEntries,
    Flags,
    NumaNode,
    /// A number for the map, which others name as what their maps are like.
    Id,
    /// 0 for no, 1 and 2 for two places of iproute2.
    Pinning,
    /// The number of the map that the entries are like.
    InnerId,
    /// The entry of that map where this one is from the start.
    InnerIndex,
    /// The position of the map that the entries are like, in the section.
    InnerPosition,
}

// TABLE
/// Names of members in the structures of libbpf, iproute2, bcc and the kernel's samples.
const NAMES: &[(&str, Field)] = &[
    ("type", Field::Type),
    ("key_size", Field::KeySize),
    ("size_key", Field::KeySize),
    ("value_size", Field::ValueSize),
    ("size_value", Field::ValueSize),
    ("max_entries", Field::MaxEntries),
    ("max_elem", Field::MaxEntries),
    ("map_flags", Field::Flags),
    ("flags", Field::Flags),
    ("numa_node", Field::NumaNode),
    ("id", Field::Id),
    ("pinning", Field::Pinning),
    ("inner_id", Field::InnerId),
    ("inner_idx", Field::InnerIndex),
    ("inner_map_idx", Field::InnerPosition),
];

/// The structure of iproute2.
const IPROUTE: [Field; 9] = [
    Field::Type,
    Field::KeySize,
    Field::ValueSize,
    Field::MaxEntries,
    Field::Flags,
    Field::Id,
    Field::Pinning,
    Field::InnerId,
    Field::InnerIndex,
];

/// A definition, and what it says about other maps.
struct Definition {
    spec: MapSpec,
    id: u32,
    inner_id: u32,
    inner_index: Option<u32>,
    inner_position: Option<u32>,
}

/// Reads the maps of one section.
pub(super) fn define(context: &mut Context<'_>, index: usize, object: &mut Object) -> Result<(), ElfError> {
    let section = &context.file.sections[index];
    let symbols = context.symbols_of(index).iter();
    let symbols = symbols.filter(|symbol| symbol.is_object() && !symbol.name.is_empty());
    let mut symbols: Vec<_> = symbols.copied().collect();
    symbols.sort_by_key(|symbol| symbol.value);
    symbols.dedup_by_key(|symbol| symbol.value);
    let error = |symbol: &Symbol<'_>, text: &str| {
        ElfError::in_section(section.name, map_problem(text)).at(symbol.value).about(symbol.name)
    };
    let mut definitions = Vec::with_capacity(symbols.len());
    for (position, symbol) in symbols.iter().enumerate() {
        let end = symbols.get(position + 1).map_or(section.data.len() as u64, |next| next.value);
        let range = (usize::try_from(symbol.value), usize::try_from(end));
        let bytes = if let (Ok(start), Ok(end)) = range { section.data.get(start..end) } else { None };
        let (words, _) = bytes.unwrap_or_default().as_chunks::<4>();
        let words: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        let fields = context.btf.as_ref().and_then(|btf| fields(btf, symbol.name));
        let definition = read(symbol.name, &words, fields).map_err(|text| error(symbol, &text))?;
        definitions.push(definition);
    }
    // Every map is known now, so those that others are like can be found.
    let first = object.maps.len();
    let specs: Vec<(u32, MapSpec)> = definitions.iter().map(|it| (it.id, it.spec.clone())).collect();
    for (definition, symbol) in definitions.into_iter().zip(&symbols) {
        let mut spec = definition.spec;
        if spec.holds_maps() {
            let position = match definition.inner_position {
                Some(position) => usize::try_from(position).ok().filter(|position| *position < specs.len()),
                None => specs.iter().position(|(id, _)| *id == definition.inner_id && *id != 0),
            };
            let inner = position.ok_or_else(|| {
                error(
                    symbol,
                    "does not say what the maps in it are like; define it in `.maps` with `__array(values, ...)`",
                )
            })?;
            spec.inner = Some(Box::new(MapSpec { pinned: false, ..specs[inner].1.clone() }));
            if let Some(entry) = definition.inner_index {
                let map = u32::try_from(first + inner).unwrap_or(u32::MAX);
                spec.references.push((entry, Reference::Map(MapIdx(map))));
            }
        }
        let map = object.add_map(spec);
        context.map_places.push((index, symbol.value, map));
    }
    Ok(())
}

/// What the numbers of a definition mean by the names of the structure's members; `None` without type information.
/// A member that is no number or has an unknown name is a number without meaning.
fn fields(btf: &Btf, name: &str) -> Option<Vec<Option<Field>>> {
    let variable = btf.find_where(name, |kind| matches!(kind, Kind::Var { .. }))?;
    let Ok(Kind::Var { ty, .. }) = btf.kind(variable) else { return None };
    let Ok(Kind::Struct(composite)) = btf.resolved(ty) else { return None };
    let mut fields = vec![None; (composite.size as usize / 4).min(64)];
    for member in composite.members() {
        let known = NAMES.iter().find(|(name, _)| btf.string(member.name) == Ok(name));
        let is_word = matches!(btf.size_of(member.ty), Ok(4)) && member.bit_offset % 32 == 0;
        if let (Some((_, field)), true, Some(place)) = (known, is_word, fields.get_mut(member.bit_offset as usize / 32))
        {
            *place = Some(*field);
        }
    }
    fields.contains(&Some(Field::Type)).then_some(fields)
}

fn read(name: &str, words: &[u32], named: Option<Vec<Option<Field>>>) -> Result<Definition, String> {
    if words.len() < 5 {
        return Err(
            "a map definition has at least 20 bytes: type, key_size, value_size, max_entries, map_flags".to_owned()
        );
    }
    let fields = named.unwrap_or_else(|| match words.len() {
        9 => IPROUTE.map(Some).to_vec(),
        _ => IPROUTE[..5].iter().copied().map(Some).collect(),
    });
    let mut spec = MapSpec::new(name, MapType::Hash, 0, 0, 0);
    let mut definition = Definition { id: 0, inner_id: 0, inner_index: None, inner_position: None, spec: spec.clone() };
    for (position, word) in words.iter().copied().enumerate() {
        match fields.get(position).copied().flatten() {
            Some(Field::Type) => {
                spec.map_type = MapType::from_number(word).ok_or(format!("map type {word} does not exist"))?;
            }
            Some(Field::KeySize) => spec.key_size = word,
            Some(Field::ValueSize) => spec.value_size = word,
            Some(Field::MaxEntries) => spec.max_entries = word,
            Some(Field::Flags) => spec.flags = MapFlags(word),
            Some(Field::NumaNode) => spec.numa_node = word,
            Some(Field::Id) => definition.id = word,
            Some(Field::Pinning) if word <= 2 => spec.pinned = word != 0,
            Some(Field::Pinning) => return Err(format!("pinning {word} is unknown; 0, 1 and 2 exist")),
            Some(Field::InnerId) => definition.inner_id = word,
            // iproute2 gives -1 to maps that are nobody's entry.
            Some(Field::InnerIndex) => definition.inner_index = Some(word).filter(|word| *word != u32::MAX),
            Some(Field::InnerPosition) => definition.inner_position = Some(word),
            None if word == 0 => {}
            None => {
                return Err(format!(
                    "only the first five numbers of a definition are known, and number {} is {word}; compile with `-g`, \
                     or define the map in `.maps`",
                    position + 1
                ));
            }
        }
    }
    definition.spec = spec;
    Ok(definition)
}
