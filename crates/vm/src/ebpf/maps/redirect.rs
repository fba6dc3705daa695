//! `BPF_MAP_TYPE_PROG_ARRAY`, `DEVMAP`, `CPUMAP` and `XSKMAP`: entries by index that may be missing.
//!
//! In the kernel they refer to programs, devices, CPUs and sockets. Here they keep the numbers that the user side stored,
//! with the kernel's checks; whoever runs the program decides what the numbers mean.

use std::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Release},
};

use skep_isa::MapType;

use super::array::index;
use super::error::{MapError, UpdateFlag};
use super::shape::Shape;
use super::shared::zeroed_bytes;
use super::values::Values;

/// Longest queue of a CPU in a `CPUMAP`.
const MAX_QUEUE: u32 = 16_384;

/// Array with gaps.
#[derive(Debug)]
pub(super) struct Sparse {
    kind: MapType,
    values: Values,
    present: Box<[AtomicU8]>,
    cpus: u32,
}

/// The number at the beginning of a value.
fn number(value: &[u8], at: usize) -> u32 {
    value.get(at..at + 4).and_then(<[u8]>::as_array).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

impl Sparse {
    /// An array without entries; `shape` was checked.
    pub(super) fn new(kind: MapType, shape: Shape, cpus: u32) -> Result<Self, MapError> {
        let values = Values::new(shape.value_size, shape.max_entries, 1)?;
        Ok(Self { kind, values, present: zeroed_bytes(shape.max_entries as usize), cpus })
    }

    pub(super) const fn values(&self) -> &Values {
        &self.values
    }

    fn present(&self, key: &[u8]) -> Option<(u32, &AtomicU8)> {
        let index = index(key)?;
        Some((index, self.present.get(index as usize)?))
    }

    pub(super) fn len(&self) -> usize {
        self.present.iter().filter(|present| present.load(Acquire) != 0).count()
    }

    /// Offset of the value; for an array of programs not for programs to read.
    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let (slot, present) = self.present(key)?;
        (present.load(Acquire) != 0).then(|| self.values.offset_single(slot))
    }

    pub(super) fn read(&self, key: &[u8], value: &mut [u8]) -> Result<(), MapError> {
        if self.kind == MapType::Xskmap {
            return Err(MapError::NoOperation);
        }
        let (slot, present) = self.present(key).ok_or(MapError::NotFound)?;
        if present.load(Acquire) == 0 {
            return Err(MapError::NotFound);
        }
        self.values.read(slot, 0, value);
        Ok(())
    }

    pub(super) fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), MapError> {
        let flag = if self.kind == MapType::ProgArray {
            if flags != UpdateFlag::Any.bits() {
                return Err(MapError::Invalid("entries of an array of programs are stored with BPF_ANY"));
            }
            UpdateFlag::Any
        } else {
            UpdateFlag::from_number(flags)?
        };
        let (slot, present) = self.present(key).ok_or(MapError::Full)?;
        let exists = present.load(Acquire) != 0;
        match self.kind {
            MapType::Xskmap => flag.check(exists)?,
            _ if flag == UpdateFlag::NoExist => return Err(MapError::Exists),
            _ => {}
        }
        let first = number(value, 0);
        match self.kind {
            MapType::Devmap if first == 0 && number(value, 4).cast_signed() > 0 => {
                return Err(MapError::Invalid("an entry without a device cannot have a program"));
            }
            MapType::Cpumap if first > MAX_QUEUE => return Err(MapError::Overflow),
            MapType::Cpumap if slot >= self.cpus => return Err(MapError::NoDevice),
            _ => {}
        }
        // Number 0 stands for no device and for no queue.
        let stays = first != 0 || matches!(self.kind, MapType::ProgArray | MapType::Xskmap);
        if stays {
            self.values.write(slot, 0, value);
        }
        present.store(u8::from(stays), Release);
        Ok(())
    }

    pub(super) fn delete(&self, key: &[u8]) -> Result<(), MapError> {
        const OUTSIDE: MapError = MapError::Invalid("the index is not below the number of entries");
        let programs = self.kind == MapType::ProgArray;
        let (_, present) = self.present(key).ok_or(if programs { MapError::Full } else { OUTSIDE })?;
        let existed = present.swap(0, AcqRel) != 0;
        if programs && !existed { Err(MapError::NotFound) } else { Ok(()) }
    }
}

/// What a `DEVMAP_HASH` demands of an update; the flag for the hash map.
pub(super) fn device_flag(value: &[u8], flags: u64) -> Result<UpdateFlag, MapError> {
    let flag = UpdateFlag::from_number(flags)?;
    if number(value, 0) == 0 {
        return Err(MapError::Invalid("an entry needs the number of a device"));
    }
    // The kernel does not ask whether an entry exists that is to be replaced.
    Ok(if flag == UpdateFlag::Exist { UpdateFlag::Any } else { flag })
}
