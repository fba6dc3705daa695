//! The maps of an object: created and filled, or found where others have left them.

use std::os::fd::AsFd;
use std::path::Path;

use skep_isa::{MapType, Release};
use skep_object::{MapIdx, MapSpec, Purpose, Table};

use super::types::ObjectTypes;
use super::{LoadError, tables};
use crate::errors::KernelError;
use crate::features::{possible_cpus, running_release};
use crate::map::{LoadedMap, MapDefinition, MapOptions, MapTypes};
use crate::pin::Rights;
use crate::sys::memory::page_size;

/// The values can be mapped into the memory of processes (`BPF_F_MMAPABLE`, Linux 5.5).
const MAPPABLE: u32 = 1 << 10;

/// Where maps come from.
pub(super) struct MapSources<'a> {
    pub(super) types: Option<&'a ObjectTypes>,
    pub(super) given: &'a [(&'a str, &'a LoadedMap)],
    pub(super) pins: Option<&'a Path>,
    pub(super) tables: &'a [Table],
}

impl MapSources<'_> {
    /// The map, and whether it was there before.
    pub(super) fn open_or_create(&self, index: MapIdx, spec: &MapSpec) -> Result<(LoadedMap, bool), LoadError> {
        let wrong = |error| LoadError::Map { map: spec.name.clone(), error };
        match self.existing(spec).map_err(wrong)? {
            Some(map) => Ok((map, true)),
            None if spec.map_type == MapType::StructOps => {
                let table = self.tables.iter().find(|table| table.map == index);
                tables::create(spec, table, self.types).map(|map| (map, false)).map_err(wrong)
            }
            None => create(spec, self.types).map(|map| (map, false)).map_err(wrong),
        }
    }

    fn existing(&self, spec: &MapSpec) -> Result<Option<LoadedMap>, KernelError> {
        if let Some((_, map)) = self.given.iter().find(|(name, _)| *name == spec.name) {
            let fd = map.as_fd().try_clone_to_owned();
            let fd = fd.map_err(|error| KernelError::system(REUSE, error.raw_os_error().unwrap_or(libc::EMFILE)))?;
            let map = LoadedMap::from_fd(fd)?;
            check(spec, &map, "the map that was given")?;
            return Ok(Some(map));
        }
        let Some(directory) = self.pins.filter(|_| spec.pinned) else { return Ok(None) };
        let path = directory.join(&spec.name);
        if std::fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        let map = LoadedMap::pinned(&path, Rights::All)?;
        check(spec, &map, &format!("the map pinned at {}", path.display()))?;
        Ok(Some(map))
    }
}

const REUSE: &str = "use a map that exists already";

/// Makes sure that a map is what an object would have created.
fn check(spec: &MapSpec, map: &LoadedMap, which: &str) -> Result<(), KernelError> {
    let found = map.info()?;
    let expected = definition(spec);
    let numbers = [
        ("keys of", found.key_size, expected.key_size, "bytes"),
        ("values of", found.value_size, expected.value_size, "bytes"),
        ("room for", found.max_entries, expected.max_entries, "entries"),
    ];
    let mut differences: Vec<String> = Vec::new();
    if found.type_number != expected.map_type.number() {
        let name = found.map_type.map_or_else(|| format!("number {}", found.type_number), |kind| kind.to_string());
        differences.push(format!("type {name}, not {}", expected.map_type));
    }
    let unequal = numbers.into_iter().filter(|(_, found, expected, _)| found != expected);
    differences.extend(unequal.map(|(what, found, expected, unit)| format!("{what} {found} {unit}, not {expected}")));
    if (found.flags ^ expected.flags) & !MAPPABLE != 0 {
        differences.push(format!("flags {:#x}, not {:#x}", found.flags, expected.flags));
    }
    if found.extra != spec.extra {
        differences.push(format!("`map_extra` {}, not {}", found.extra, spec.extra));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let problem = format!(
        "{which} has {}; remove it if nobody needs it any more, or give this one another name",
        differences.join(", ")
    );
    Err(KernelError::Invalid { action: REUSE, problem })
}

/// What a map is created with.
fn definition(spec: &MapSpec) -> MapDefinition<'_> {
    let max_entries = match (spec.map_type, spec.max_entries) {
        (MapType::PerfEventArray, 0) => possible_cpus().unwrap_or(0),
        // The kernel wants pages, and a power of 2 of them; libbpf rounds up as well.
        (MapType::Ringbuf | MapType::UserRingbuf, bytes) => whole_pages(bytes),
        (_, entries) => entries,
    };
    // Definitions may name the type of the records of a buffer, which the kernel does not want to know.
    let (key_size, value_size) = match spec.map_type {
        MapType::Ringbuf | MapType::UserRingbuf => (0, 0),
        MapType::PerfEventArray => (4, 4),
        _ => (spec.key_size, spec.value_size),
    };
    MapDefinition { name: &spec.name, map_type: spec.map_type, key_size, value_size, max_entries, flags: spec.flags.0 }
}

/// The least power of 2 of pages that holds so many bytes; 0 and what is too large stay as they are.
fn whole_pages(bytes: u32) -> u32 {
    let page = u32::try_from(page_size()).unwrap_or(4096);
    let pages = bytes.div_ceil(page).checked_next_power_of_two().filter(|_| bytes > 0);
    pages.and_then(|pages| pages.checked_mul(page)).unwrap_or(bytes)
}

/// Whether processes may be given the memory of a map: it holds variables that are not private to their file.
fn is_mappable(spec: &MapSpec) -> bool {
    let visible = match &spec.purpose {
        Purpose::Variables(variables) => variables.iter().any(|variable| variable.global),
        _ => false,
    };
    visible && spec.map_type == MapType::Array && running_release().is_some_and(|release| release >= Release::new(5, 5))
}

fn create(spec: &MapSpec, types: Option<&ObjectTypes>) -> Result<LoadedMap, KernelError> {
    // The kernel copies the properties of the inner map; it is not needed for longer than this call.
    let inner = spec.inner.as_deref().map(|inner| create(inner, types)).transpose()?;
    let definition = definition(spec);
    let mappable = MapDefinition { flags: definition.flags | MAPPABLE, ..definition };
    let inner = inner.as_ref().map(AsFd::as_fd);
    let plain = MapOptions { inner, numa_node: spec.numa_node, extra: spec.extra, ..MapOptions::default() };
    let known = types.and_then(|types| {
        let (key, value) = types.of_map(spec)?;
        Some(MapOptions { types: Some(MapTypes { btf: types.loaded.as_fd(), key, value }), ..plain })
    });
    // Types that do not fit a map stop nobody who does not need them: who does is told by the verifier.
    let definitions = if is_mappable(spec) { &[mappable, definition][..] } else { &[definition] };
    let tries = known.into_iter().flat_map(|options| definitions.iter().map(move |definition| (definition, options)));
    let typed = tries.into_iter().find_map(|(definition, options)| LoadedMap::create_with(definition, &options).ok());
    let map = match typed {
        Some(map) => map,
        None => LoadedMap::create_with(&definition, &plain)?,
    };
    if spec.map_type == MapType::Arena {
        // Before programs are loaded: what they refer to are addresses of this mapping.
        map.arena()?;
        if let Purpose::Arena(image) = &spec.purpose {
            let room = map.memory()?;
            room.write(0, &image.bytes).ok_or_else(|| KernelError::Invalid {
                action: "fill an arena",
                problem: format!(
                    "the variables in arena `{}` have {} bytes, the arena {}; raise max_entries, which counts pages",
                    spec.name,
                    image.bytes.len(),
                    room.len()
                ),
            })?;
        }
        return Ok(map);
    }
    let declared = usize::try_from(spec.value_size).ok();
    if declared == Some(map.value_size()) {
        map.fill(&spec.contents)?;
    } else {
        // A per-CPU map starts with the same value on every processor, each in a slot of a multiple of 8 bytes.
        let slot = spec.value_size.next_multiple_of(8) as usize;
        let spread = |value: &[u8]| {
            let mut padded = value.to_vec();
            padded.resize(slot, 0);
            padded.repeat(map.value_size() / slot.max(1))
        };
        let contents: Vec<_> = spec.contents.iter().map(|(key, value)| (key.clone(), spread(value))).collect();
        map.fill(&contents)?;
    }
    // Older kernels cannot freeze; then programs read the values where they would have taken them for constants.
    if spec.frozen && running_release().is_none_or(|release| release >= Release::new(5, 2)) {
        map.freeze()?;
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ring_buffers_have_whole_pages() {
        let page = u32::try_from(page_size()).unwrap();
        let cases = [(0, 0), (8, page), (page, page), (page + 1, 2 * page), (3 * page, 4 * page), (u32::MAX, u32::MAX)];
        for (bytes, expected) in cases {
            assert_eq!(whole_pages(bytes), expected, "{bytes}");
        }
    }
}
