//! `BPF_MAP_TYPE_ARRAY`: all entries always exist (`kernel/bpf/arraymap.c`).

use super::{MapError, Shape, Slot, UpdateFlag, Values};

#[derive(Debug, Clone)]
pub(super) struct Array {
    pub(super) values: Values,
    entries: u32,
}

impl Array {
    pub(super) fn new(shape: Shape) -> Result<Self, MapError> {
        if shape.key_size != 4 {
            return Err(MapError::Invalid("the key of an array has 4 bytes"));
        }
        let mut values = Values::new(shape.value_size);
        values.bytes = vec![0; values.stride * shape.max_entries as usize];
        Ok(Self { values, entries: shape.max_entries })
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<Slot> {
        let index = u32::from_ne_bytes(key.try_into().ok()?);
        (index < self.entries).then_some(Slot(index))
    }

    pub(super) fn update(&mut self, key: &[u8], value: &[u8], flag: UpdateFlag) -> Result<(), MapError> {
        let slot = self.find(key).ok_or(MapError::Full)?;
        if flag == UpdateFlag::NoExist {
            return Err(MapError::Exists);
        }
        self.values.get_mut(slot).copy_from_slice(value);
        Ok(())
    }

    pub(super) fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        (0..self.entries).map(|index| (index.to_ne_bytes().to_vec(), self.values.get(Slot(index)).to_vec())).collect()
    }
}
