//! Memory as regions that are far from each other.

use std::fmt;

/// An access that is not inside of a region, or that writes a read-only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfBounds {
    /// The address.
    pub address: u64,
    /// Bytes of the access.
    pub bytes: usize,
    /// Whether it was a write.
    pub write: bool,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.write { "write" } else { "read" };
        write!(f, "{kind} of {} bytes at {:#x}, where none may be", self.bytes, self.address)
    }
}

/// Bits of an address below the number of the region.
const REGION_BITS: u32 = 32;
/// Where a region starts within its range of addresses: what is a little off on either side is in no other region.
const START: u64 = 1 << 30;

#[derive(Debug, Clone)]
struct Region {
    bytes: Vec<u8>,
    writable: bool,
}

/// All memory of a run.
///
/// Every region has a range of addresses of its own; addresses are never used again.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    regions: Vec<Option<Region>>,
}

impl Memory {
    /// A new region with these bytes; its address.
    pub fn add(&mut self, bytes: Vec<u8>, writable: bool) -> u64 {
        self.regions.push(Some(Region { bytes, writable }));
        (self.regions.len() as u64) << REGION_BITS | START
    }

    /// Ends the life of the region with an address.
    pub fn remove(&mut self, address: u64) {
        if let Some(region) = Self::index(address).and_then(|index| self.regions.get_mut(index)) {
            *region = None;
        }
    }

    fn index(address: u64) -> Option<usize> {
        usize::try_from((address >> REGION_BITS).checked_sub(1)?).ok()
    }

    /// The bytes of the region with an address, all of them.
    pub fn region(&self, address: u64) -> Option<&[u8]> {
        Some(&self.regions.get(Self::index(address)?)?.as_ref()?.bytes)
    }

    /// Some bytes.
    ///
    /// # Errors
    /// If they are not all in one region.
    pub fn slice(&self, address: u64, bytes: usize) -> Result<&[u8], OutOfBounds> {
        let find = || {
            let start = usize::try_from((address & u64::from(u32::MAX)).checked_sub(START)?).ok()?;
            self.region(address)?.get(start..start.checked_add(bytes)?)
        };
        find().ok_or(OutOfBounds { address, bytes, write: false })
    }

    /// Some bytes, to be written.
    ///
    /// # Errors
    /// If they are not all in one region that can be written.
    pub fn slice_mut(&mut self, address: u64, bytes: usize) -> Result<&mut [u8], OutOfBounds> {
        let error = OutOfBounds { address, bytes, write: true };
        let region = Self::index(address).and_then(|index| self.regions.get_mut(index)?.as_mut());
        let start = (address & u64::from(u32::MAX)).checked_sub(START).and_then(|start| usize::try_from(start).ok());
        let (Some(region), Some(start)) = (region.filter(|region| region.writable), start) else { return Err(error) };
        region.bytes.get_mut(start..start.saturating_add(bytes)).ok_or(error)
    }

    /// Writes the first bytes of the region with an address, read-only ones too. Whether they fit.
    pub(super) fn overwrite(&mut self, address: u64, bytes: &[u8]) -> bool {
        let region = Self::index(address).and_then(|index| self.regions.get_mut(index)?.as_mut());
        let Some(target) = region.and_then(|region| region.bytes.get_mut(..bytes.len())) else { return false };
        target.copy_from_slice(bytes);
        true
    }

    /// A little-endian number of up to eight bytes.
    ///
    /// # Errors
    /// As those of [`slice`](Self::slice).
    pub fn read(&self, address: u64, bytes: u32) -> Result<u64, OutOfBounds> {
        let slice = self.slice(address, bytes as usize)?;
        Ok(slice.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Writes the lowest bytes of a number, the lowest first.
    ///
    /// # Errors
    /// As those of [`slice_mut`](Self::slice_mut).
    pub fn write(&mut self, address: u64, bytes: u32, value: u64) -> Result<(), OutOfBounds> {
        let slice = self.slice_mut(address, bytes as usize)?;
        slice.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to = from);
        Ok(())
    }
}
