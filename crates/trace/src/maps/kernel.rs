//! Maps in the kernel as the source of what is printed.

use skep_kernel::{KernelError, LoadedMap, Update};

use super::{MapEntry, MapSource, SourceError};

/// The maps of a script in the kernel.
#[derive(Debug)]
pub struct KernelMaps<'a> {
    maps: Vec<&'a LoadedMap>,
}

impl<'a> KernelMaps<'a> {
    /// These maps, in the order of [`Plan::maps`](skep_lang_script::plan::Plan::maps).
    pub fn new(maps: Vec<&'a LoadedMap>) -> Self {
        Self { maps }
    }

    fn map(&self, map: usize) -> Result<&'a LoadedMap, SourceError> {
        let missing = || format!("the plan has a map with number {map}, of {} that are loaded", self.maps.len());
        self.maps.get(map).copied().ok_or_else(|| missing().into())
    }

    /// One value for each processor, or one.
    fn values(map: &LoadedMap, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, KernelError> {
        if is_per_cpu(map) {
            let values = map.get_per_cpu(key)?;
            return Ok(values.map(|values| values.iter().map(<[u8]>::to_vec).collect()));
        }
        Ok(map.get(key)?.map(|value| vec![value]))
    }
}

fn is_per_cpu(map: &LoadedMap) -> bool {
    use skep_isa::MapType::{LruPercpuHash, PercpuArray, PercpuHash};
    matches!(map.map_type(), Some(PercpuHash | LruPercpuHash | PercpuArray))
}

/// Entries of arrays cannot be removed.
fn is_array(map: &LoadedMap) -> bool {
    use skep_isa::MapType::{Array, PercpuArray};
    matches!(map.map_type(), Some(Array | PercpuArray))
}

impl MapSource for KernelMaps<'_> {
    fn entries(&mut self, map: usize) -> Result<Vec<MapEntry>, SourceError> {
        let map = self.map(map)?;
        // Programs that change the map meanwhile may make an entry appear twice, or vanish.
        let mut keys = map.entries().map(|entry| entry.map(|(key, _)| key)).collect::<Result<Vec<_>, _>>()?;
        keys.sort_unstable();
        keys.dedup();
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(values) = Self::values(map, &key)? {
                entries.push(MapEntry { key, values });
            }
        }
        Ok(entries)
    }

    fn entry(&mut self, map: usize, key: &[u8]) -> Result<Option<Vec<Vec<u8>>>, SourceError> {
        Ok(Self::values(self.map(map)?, key)?)
    }

    fn clear(&mut self, map: usize) -> Result<(), SourceError> {
        let index = map;
        let map = self.map(index)?;
        if is_array(map) {
            return self.zero(index);
        }
        map.remove_all(&map.keys()?)?;
        Ok(())
    }

    fn zero(&mut self, map: usize) -> Result<(), SourceError> {
        let map = self.map(map)?;
        let zeros = vec![0; map.value_size()];
        for key in map.keys()? {
            // An entry that was removed meanwhile must not come back.
            let gone = || map.get(&key).is_ok_and(|value| value.is_none());
            match map.set(&key, &zeros, Update::Replace) {
                Err(_) if gone() => {}
                result => result?,
            }
        }
        Ok(())
    }
}
