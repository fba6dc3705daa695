//! Values of per-CPU maps, one for each processor.

use crate::errors::KernelError;
use crate::map::{LoadedMap, Update};

/// The values that one entry of a per-CPU map has on the processors.
///
/// The kernel rounds each up to 8 bytes; this view hides that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuValues {
    bytes: Vec<u8>,
    each: usize,
}

impl CpuValues {
    /// Bytes from one value to the next.
    const fn stride(&self) -> usize {
        self.each.next_multiple_of(8)
    }

    /// Number of processors that the machine can have.
    pub fn len(&self) -> usize {
        self.bytes.len().checked_div(self.stride()).unwrap_or(0)
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value on a processor, `None` if there is no such processor.
    pub fn on(&self, cpu: usize) -> Option<&[u8]> {
        let start = cpu.checked_mul(self.stride())?;
        self.bytes.get(start..start.checked_add(self.each)?)
    }

    /// The values of all processors.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|cpu| self.on(cpu))
    }

    /// The sum over all processors if values are unsigned integers of 8 bytes or fewer; `None` if they are longer. It
    /// wraps around at 2^64.
    pub fn sum(&self) -> Option<u64> {
        if self.each > 8 {
            return None;
        }
        let number = |value: &[u8]| {
            let mut word = [0; 8];
            let at = if cfg!(target_endian = "little") { 0 } else { 8 - value.len() };
            word[at..at + value.len()].copy_from_slice(value);
            u64::from_ne_bytes(word)
        };
        Some(self.iter().map(number).fold(0, u64::wrapping_add))
    }
}

impl LoadedMap {
    /// The values for a key of a per-CPU map, `None` if there is none.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the key has the wrong length or the map has one value for all processors.
    pub fn get_per_cpu(&self, key: &[u8]) -> Result<Option<CpuValues>, KernelError> {
        let each = self.cpu_value_size()?;
        Ok(self.get(key)?.map(|bytes| CpuValues { bytes, each }))
    }

    /// Takes the bytes of an entry of a per-CPU map apart, as [`entries`](Self::entries) gives them.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the map has one value for all processors.
    pub fn per_cpu(&self, bytes: Vec<u8>) -> Result<CpuValues, KernelError> {
        Ok(CpuValues { bytes, each: self.cpu_value_size()? })
    }

    /// Stores a value for each processor, which are all that the machine can have.
    ///
    /// # Errors
    /// As for [`get_per_cpu`](Self::get_per_cpu) and [`set`](Self::set), and if number or lengths of the values are wrong.
    pub fn set_per_cpu(&self, key: &[u8], values: &[impl AsRef<[u8]>], update: Update) -> Result<(), KernelError> {
        let each = self.cpu_value_size()?;
        let stride = each.next_multiple_of(8);
        let wrong = values.iter().find(|value| value.as_ref().len() != each);
        if wrong.is_some() || values.len() * stride != self.value_size() {
            return Err(KernelError::Invalid {
                action: "store an entry in a map",
                problem: format!(
                    "map `{}` takes {} values of {each} bytes, one for each processor that the machine can have",
                    self.name(),
                    self.value_size() / stride.max(1)
                ),
            });
        }
        let mut bytes = Vec::with_capacity(self.value_size());
        for value in values {
            bytes.extend_from_slice(value.as_ref());
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        self.set(key, &bytes, update)
    }

    /// Bytes of the value on one processor.
    fn cpu_value_size(&self) -> Result<usize, KernelError> {
        self.cpu_value().ok_or_else(|| KernelError::Invalid {
            action: "use a map",
            problem: format!("map `{}` has one value for all processors; use `get` and `set`", self.name()),
        })
    }
}
