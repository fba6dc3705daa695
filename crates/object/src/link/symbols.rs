//! Which symbol of which file is which symbol of the result.

use std::collections::HashMap;

use skep_btf::core::types_are_compatible;
use skep_btf::{Btf, Kind, TypeId};

use super::{Input, LinkError, LinkProblem, section_symbol};
use crate::MapSpec;
use crate::elf::file::{Place, Symbol};
use crate::elf::read_definition;
use crate::write::file::{OutFile, OutSymbol, binding};

/// The symbols of all files in the result.
pub(super) struct Symbols {
    /// For each file and symbol the new one.
    new: Vec<Vec<Option<usize>>>,
    /// For each global name: the file and symbol that define it, if any does.
    globals: HashMap<String, Global>,
}

/// A name that all files share.
struct Global {
    symbol: usize,
    /// The file and its symbol that count: the definition, or else the first declaration.
    file: usize,
    index: usize,
    defined: bool,
}

impl Symbols {
    /// Merges the symbols of all files.
    pub(super) fn merge(inputs: &[Input<'_>], out: &mut OutFile) -> Result<Self, LinkError> {
        let mut merged = Self { new: Vec::new(), globals: HashMap::new() };
        let sections: Vec<usize> = (0..out.sections.len()).map(|index| out.add_symbol(section_symbol(index))).collect();
        for (file, input) in inputs.iter().enumerate() {
            let mut new = Vec::with_capacity(input.file.symbols.len());
            for (index, symbol) in input.file.symbols.iter().enumerate() {
                new.push(match place(input, symbol) {
                    Some((section, _)) if symbol.is_section() => Some(sections[section]),
                    _ if symbol.name.is_empty() => None,
                    place if symbol.is_global() => merged.global(inputs, file, index, place, out)?,
                    Some(place) => Some(out.add_symbol(moved(symbol, Some(place)))),
                    None => None,
                });
            }
            merged.new.push(new);
        }
        Ok(merged)
    }

    /// The new symbol of a symbol of a file.
    pub(super) fn of(&self, file: usize, symbol: usize) -> Option<usize> {
        *self.new.get(file)?.get(symbol)?
    }

    /// By how much the section was moved that a symbol stands for.
    pub(super) fn shift(&self, input: &Input<'_>, symbol: usize) -> u64 {
        place(input, &input.file.symbols[symbol]).map_or(0, |(_, start)| start)
    }

    /// The file and symbol that define a global name.
    pub(super) fn definition(&self, name: &str) -> Option<(usize, usize)> {
        self.globals.get(name).filter(|global| global.defined).map(|global| (global.file, global.index))
    }

    /// Adds a global symbol, or compares it with the one of that name.
    fn global(
        &mut self,
        inputs: &[Input<'_>],
        file: usize,
        index: usize,
        place: Option<(usize, u64)>,
        out: &mut OutFile,
    ) -> Result<Option<usize>, LinkError> {
        let input = &inputs[file];
        let symbol = &input.file.symbols[index];
        if !matches!(symbol.place, Place::Undefined) && place.is_none() {
            return Ok(None);
        }
        let defined = place.is_some();
        let Some(known) = self.globals.get_mut(symbol.name) else {
            let new = out.add_symbol(moved(symbol, place));
            self.globals.insert(symbol.name.to_owned(), Global { symbol: new, file, index, defined });
            return Ok(Some(new));
        };
        let other = &inputs[known.file];
        // The licence is the same text in all files, so it may have one name.
        let shared = place.is_some_and(|(section, _)| super::COMMON.contains(&out.sections[section].name.as_str()));
        if shared && known.defined {
            return Ok(Some(known.symbol));
        }
        agree((input, symbol), (other, &other.file.symbols[known.index]))?;
        let old = &mut out.symbols[known.symbol];
        old.visibility = old.visibility.max(symbol.visibility);
        match (known.defined, defined) {
            (true, true) if old.binding != binding::WEAK && !symbol.is_weak() => {
                return Err(input.error(Some(symbol.name), LinkProblem::Twice(other.name.to_owned())));
            }
            (true, true) if old.binding == binding::WEAK && !symbol.is_weak() => {}
            (false, true) => {}
            // A declaration that must be met makes all of them so.
            (false, false) if !symbol.is_weak() => {
                old.binding = binding::GLOBAL;
                return Ok(Some(known.symbol));
            }
            _ => return Ok(Some(known.symbol)),
        }
        let visibility = old.visibility;
        *old = OutSymbol { visibility, ..moved(symbol, place) };
        (known.file, known.index, known.defined) = (file, index, true);
        Ok(Some(known.symbol))
    }
}

/// Where a symbol goes: the section and where the symbol's own section starts in it.
fn place(input: &Input<'_>, symbol: &Symbol<'_>) -> Option<(usize, u64)> {
    match symbol.place {
        Place::Section(section) => input.places.get(section).copied().flatten(),
        _ => None,
    }
}

/// A symbol at its new place.
fn moved(symbol: &Symbol<'_>, place: Option<(usize, u64)>) -> OutSymbol {
    OutSymbol {
        name: symbol.name.to_owned(),
        kind: symbol.info & 15,
        binding: symbol.info >> 4,
        visibility: symbol.visibility,
        section: place.map(|(section, _)| section),
        value: place.map_or(0, |(_, start)| start.saturating_add(symbol.value)),
        size: symbol.size,
    }
}

/// Checks that two files mean the same by a name, as far as their types say.
fn agree(one: (&Input<'_>, &Symbol<'_>), other: (&Input<'_>, &Symbol<'_>)) -> Result<(), LinkError> {
    let name = one.1.name;
    let differs = |how: &str| one.0.error(Some(name), LinkProblem::Differs(other.0.name.to_owned(), how.to_owned()));
    let (Some(here), Some(there)) = (&one.0.btf, &other.0.btf) else { return Ok(()) };
    let (Some(a), Some(b)) = (declaration(here, name), declaration(there, name)) else { return Ok(()) };
    match (here.kind(a), there.kind(b)) {
        (Ok(Kind::Func { proto: a, .. }), Ok(Kind::Func { proto: b, .. })) => {
            match types_are_compatible(here, a, there, b) {
                Ok(true) => Ok(()),
                _ => Err(differs("the functions have other parameters or results")),
            }
        }
        (Ok(Kind::Var { ty: a, .. }), Ok(Kind::Var { ty: b, .. })) => {
            let maps = (is_map(here, name), is_map(there, name));
            if maps.0 != maps.1 {
                return Err(differs("one is a map, the other a variable"));
            }
            if maps.0 {
                let definitions = (read_definition(here, name, a), read_definition(there, name, b));
                let (Ok((a, _)), Ok((b, _))) = definitions else { return Ok(()) };
                let plain = |map: MapSpec| MapSpec { key_type: None, value_type: None, inner: None, ..map };
                return if plain(a) == plain(b) { Ok(()) } else { Err(differs("the definitions of the map differ")) };
            }
            // An array without length is a declaration of any length.
            let (a, b) = (here.size_of(a).unwrap_or(0), there.size_of(b).unwrap_or(0));
            if a == b || a == 0 || b == 0 { Ok(()) } else { Err(differs("the variables have different sizes")) }
        }
        (Ok(Kind::Func { .. }), Ok(Kind::Var { .. })) | (Ok(Kind::Var { .. }), Ok(Kind::Func { .. })) => {
            Err(differs("one is a function, the other a variable"))
        }
        _ => Ok(()),
    }
}

/// The function or variable with this name.
pub(super) fn declaration(btf: &Btf, name: &str) -> Option<TypeId> {
    btf.find_where(name, |kind| matches!(kind, Kind::Func { .. } | Kind::Var { .. }))
}

/// Whether a variable lies in the section of maps.
fn is_map(btf: &Btf, name: &str) -> bool {
    let section = btf.find_where(".maps", |kind| matches!(kind, Kind::Datasec { .. }));
    match section.map(|section| btf.kind(section)) {
        Some(Ok(Kind::Datasec { vars, .. })) => vars.iter().any(|var| btf.name(var.ty) == Ok(name)),
        _ => false,
    }
}
