//! Programs, maps and links with everything that belongs to them, as rows of a list.

use std::path::PathBuf;

use skep_btf::{Btf, Kind, TypeId};

use super::attachments::Attachment;
use super::fdinfo::FdFacts;
use super::pins::Pinned;
use super::survey::Survey;
use super::types::KernelTypes;
use crate::errors::KernelError;
use crate::ids::{map_ids, program_ids};
use crate::link_info::LinkInfo;
use crate::map::LoadedMap;
use crate::map_info::MapInfo;
use crate::prog::LoadedProgram;
use crate::prog_info::ProgramInfo;

/// A program.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProgramRow {
    /// What the kernel tells.
    pub info: ProgramInfo,
    /// The name of its main function in whole if its types tell it, else the short one.
    pub name: String,
    /// Bytes of memory; `None` if the kernel does not tell.
    pub memory: Option<u64>,
    /// Where it runs.
    pub places: Vec<Attachment>,
    /// The processes that hold it, by number and name.
    pub holders: Vec<(u32, String)>,
    /// Where it is pinned.
    pub pins: Vec<PathBuf>,
}

impl ProgramRow {
    /// All programs in the order of their numbers. Those that go away meanwhile are left out.
    ///
    /// # Errors
    /// [`KernelError::NotPermitted`] if they cannot be listed.
    pub fn all(survey: &Survey) -> Result<Vec<Self>, KernelError> {
        let mut rows = Vec::new();
        for id in program_ids() {
            rows.extend(LoadedProgram::by_id(id?).ok().and_then(|program| Self::of(&program, survey)));
        }
        Ok(rows)
    }

    /// One program.
    fn of(program: &LoadedProgram, survey: &Survey) -> Option<Self> {
        let info = program.info().ok()?;
        Some(Self {
            name: full_name(program, &info, survey.types()).unwrap_or_else(|| info.name.clone()),
            memory: FdFacts::of(program).memory,
            places: survey.places_of(info.id),
            holders: survey.holders_of_program(info.id),
            pins: survey.pins_of(Pinned::Program(info.id)),
            info,
        })
    }

    /// The type's name, or its number.
    pub fn type_name(&self) -> String {
        self.info.prog_type.map_or_else(|| self.info.type_number.to_string(), |kind| kind.name().to_owned())
    }

    /// Whether a text is part of the name, the whole one or the kernel's.
    pub fn is_named(&self, text: &str) -> bool {
        self.name.contains(text) || self.info.name.contains(text)
    }
}

/// The name of the main function.
pub(super) fn full_name(program: &LoadedProgram, info: &ProgramInfo, types: &KernelTypes) -> Option<String> {
    if info.btf_id == 0 {
        return None;
    }
    let main = program.dump().ok()?.functions.first().map(|function| TypeId(function.ty))?;
    // Not kept: programs mostly have types of their own.
    let (_, btf) = types.by_id(info.btf_id).ok()?;
    function_name(&btf, main)
}

/// The name of a function.
pub(super) fn function_name(btf: &Btf, id: TypeId) -> Option<String> {
    matches!(btf.kind(id).ok()?, Kind::Func { .. }).then(|| btf.name(id).ok().map(str::to_owned))?
}

/// A map.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MapRow {
    /// What the kernel tells.
    pub info: MapInfo,
    /// Bytes of memory; `None` if the kernel does not tell.
    pub memory: Option<u64>,
    /// Whether only programs may change it; `None` if the kernel does not tell.
    pub frozen: Option<bool>,
    /// Entries that it has, if they were counted.
    pub entries: Option<u64>,
    /// The programs that use it.
    pub programs: Vec<u32>,
    /// The processes that hold it, by number and name.
    pub holders: Vec<(u32, String)>,
    /// Where it is pinned.
    pub pins: Vec<PathBuf>,
}

impl MapRow {
    /// All maps in the order of their numbers; `programs` are all programs. With `count`, the entries of each are counted,
    /// which takes time for large ones.
    ///
    /// # Errors
    /// [`KernelError::NotPermitted`] if they cannot be listed.
    pub fn all(survey: &Survey, programs: &[ProgramInfo], count: bool) -> Result<Vec<Self>, KernelError> {
        let mut rows = Vec::new();
        for id in map_ids() {
            let Ok(map) = LoadedMap::by_id(id?) else { continue };
            rows.extend(Self::of(&map, survey, programs, count).ok());
        }
        Ok(rows)
    }

    /// One map.
    ///
    /// # Errors
    /// Those of [`LoadedMap::info`].
    pub fn of(map: &LoadedMap, survey: &Survey, programs: &[ProgramInfo], count: bool) -> Result<Self, KernelError> {
        let info = map.info()?;
        let facts = FdFacts::of(map);
        let uses = programs.iter().filter(|program| program.map_ids.contains(&info.id));
        Ok(Self {
            memory: facts.memory,
            frozen: facts.frozen,
            entries: if count { entries(map) } else { None },
            programs: uses.map(|program| program.id).collect(),
            holders: survey.holders_of_map(info.id),
            pins: survey.pins_of(Pinned::Map(info.id)),
            info,
        })
    }

    /// The type's name, or its number.
    pub fn type_name(&self) -> String {
        self.info.map_type.map_or_else(|| self.info.type_number.to_string(), |kind| kind.name().to_owned())
    }
}

/// Walks through the keys of a map; `None` if it has none that could be listed.
fn entries(map: &LoadedMap) -> Option<u64> {
    if map.key_size() == 0 {
        return None;
    }
    let (mut key, mut next) = (None::<Vec<u8>>, vec![0; map.key_size()]);
    let mut count = 0;
    // A map that changes all the time would not end otherwise.
    while count < 2 * u64::from(map.max_entries()) && map.next_key_into(key.as_deref(), &mut next).ok()? {
        count += 1;
        key.get_or_insert_with(|| next.clone()).copy_from_slice(&next);
    }
    Some(count)
}

/// A link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LinkRow {
    /// What the kernel tells.
    pub info: LinkInfo,
    /// Where its program runs.
    pub place: Attachment,
    /// The name of its program; empty if it has none.
    pub program_name: String,
    /// The processes that hold it, by number and name.
    pub holders: Vec<(u32, String)>,
    /// Where it is pinned.
    pub pins: Vec<PathBuf>,
}

impl LinkRow {
    /// All links in the order of their numbers.
    pub fn all(survey: &Survey) -> Vec<Self> {
        let rows = survey.links().map(|(info, place)| {
            let program = LoadedProgram::by_id(info.program).ok();
            let name = program.and_then(|program| {
                let facts = program.info().ok()?;
                full_name(&program, &facts, survey.types()).or(Some(facts.name))
            });
            Self {
                info: info.clone(),
                place: place.clone(),
                program_name: name.unwrap_or_default(),
                holders: survey.holders_of_link(info.id),
                pins: survey.pins_of(Pinned::Link(info.id)),
            }
        });
        rows.collect()
    }
}
