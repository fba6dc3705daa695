//! What a map is made from, and which combinations of type, sizes and flags the kernel takes.
//!
//! The rules are those of the `map_alloc_check` functions of Linux 6.18. Only what user space cannot know is left out:
//! limits that depend on how a kernel was configured are the ones of x86-64 distributions.

use skep_isa::MapType;

use super::error::MapError;

/// Most bytes that the keys and values of one map may take: 1 GiB.
pub const MAX_MAP_BYTES: u64 = 1 << 30;
/// Longest key in bytes. The kernel's own limit is that key and value together stay below 4 MiB.
pub const MAX_KEY_BYTES: u32 = 1 << 16;
/// Most bytes of the value for one CPU in a per-CPU map (`PCPU_MIN_UNIT_SIZE`).
pub const MAX_PERCPU_VALUE_BYTES: u32 = 32 << 10;
/// Most CPUs that a map may have values for.
pub const MAX_CPUS: u32 = 8192;
/// `KMALLOC_MAX_SIZE` on x86-64.
const KMALLOC_MAX_BYTES: u64 = 4 << 20;
/// Bytes of `struct htab_elem` without key and value.
const HASH_ELEMENT_BYTES: u64 = 48;
/// Bytes of a page; rings consist of whole ones.
pub(super) const PAGE_BYTES: u32 = 4096;
/// Bytes of the prefix length in front of the data of a trie's key.
pub(super) const PREFIX_BYTES: u32 = 4;

/// What a map is: everything that `BPF_MAP_CREATE` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Most entries; for an array the number of entries, for a ring buffer the bytes of its data.
    pub max_entries: u32,
    /// `BPF_F_*` flags of the map, see [`flag`].
    pub flags: u32,
}

/// Flags of map creation (`BPF_F_*` in `linux/bpf.h`).
pub mod flag {
    /// Entries are allocated when they are needed.
    pub const NO_PREALLOC: u32 = 1 << 0;
    /// Each CPU of an LRU map has its own list of entries.
    pub const NO_COMMON_LRU: u32 = 1 << 1;
    /// The map lives on one memory node; accepted and ignored.
    pub const NUMA_NODE: u32 = 1 << 2;
    /// The user side may only read.
    pub const RDONLY: u32 = 1 << 3;
    /// The user side may only write.
    pub const WRONLY: u32 = 1 << 4;
    /// The hash function has seed 0.
    pub const ZERO_SEED: u32 = 1 << 6;
    /// Programs may only read.
    pub const RDONLY_PROG: u32 = 1 << 7;
    /// Programs may only write.
    pub const WRONLY_PROG: u32 = 1 << 8;
    /// The user side may map the values.
    pub const MMAPABLE: u32 = 1 << 10;
    /// Perf events stay when the descriptor that stored them is closed.
    pub const PRESERVE_ELEMS: u32 = 1 << 11;
    /// As an inner map it may have another number of entries.
    pub const INNER_MAP: u32 = 1 << 12;
    /// Read and write permissions of both sides (`BPF_F_ACCESS_MASK`).
    pub const ACCESS: u32 = RDONLY | WRONLY | RDONLY_PROG | WRONLY_PROG;
}

const ARRAY_FLAGS: u32 = flag::NUMA_NODE | flag::MMAPABLE | flag::ACCESS | flag::PRESERVE_ELEMS | flag::INNER_MAP;
const HASH_FLAGS: u32 = flag::NO_PREALLOC | flag::NO_COMMON_LRU | flag::NUMA_NODE | flag::ACCESS | flag::ZERO_SEED;

/// Whether each CPU has a value of its own.
pub(super) const fn is_per_cpu(kind: MapType) -> bool {
    matches!(kind, MapType::PercpuHash | MapType::PercpuArray | MapType::LruPercpuHash)
}

/// Whether old entries make room for new ones.
pub(super) const fn is_lru(kind: MapType) -> bool {
    matches!(kind, MapType::LruHash | MapType::LruPercpuHash)
}

impl Shape {
    /// The shape as the kernel keeps it, or why it refuses to make such a map.
    pub(super) fn checked(mut self, kind: MapType, cpus: u32) -> Result<Self, MapError> {
        if cpus == 0 || cpus > MAX_CPUS {
            return Err(MapError::Invalid("a map has values for 1 to 8192 CPUs"));
        }
        match kind {
            MapType::Array | MapType::PercpuArray => self.check_array(kind)?,
            MapType::ProgArray | MapType::PerfEventArray | MapType::ArrayOfMaps => {
                self.check_value_is_number()?;
                if self.flags & (flag::RDONLY_PROG | flag::WRONLY_PROG) != 0 {
                    return Err(MapError::Invalid("access of programs to this type of map cannot be restricted"));
                }
                self.check_array(kind)?;
            }
            MapType::Hash | MapType::PercpuHash | MapType::LruHash | MapType::LruPercpuHash => self.check_hash(kind)?,
            MapType::HashOfMaps => {
                self.check_value_is_number()?;
                self.check_hash(kind)?;
            }
            MapType::LpmTrie => self.check_trie()?,
            MapType::Queue | MapType::Stack => self.check_queue()?,
            MapType::BloomFilter => self.check_bloom()?,
            MapType::Ringbuf => self.check_ring()?,
            MapType::Devmap | MapType::DevmapHash | MapType::Cpumap | MapType::Xskmap => self.check_redirect(kind)?,
            _ => return Err(MapError::Unsupported(kind)),
        }
        if is_lru(kind) && self.flags & flag::NO_COMMON_LRU != 0 {
            // Every CPU gets the same number of entries and at least one.
            let rounded = self.max_entries.div_ceil(cpus).checked_mul(cpus);
            self.max_entries = rounded.unwrap_or(self.max_entries / cpus * cpus);
        }
        let bytes = self.bytes(kind, cpus);
        if bytes > MAX_MAP_BYTES { Err(MapError::TooLarge(bytes)) } else { Ok(self) }
    }

    /// Bytes of keys and values that a full map of this shape holds.
    fn bytes(self, kind: MapType, cpus: u32) -> u64 {
        let each = u64::from(self.value_size).next_multiple_of(8);
        let values = if is_per_cpu(kind) { each * u64::from(cpus) } else { each };
        let entries = u64::from(self.max_entries);
        match kind {
            MapType::Ringbuf => entries,
            // The filter counts bits; its constructor checks them.
            MapType::BloomFilter => 0,
            // The keys of arrays are not stored.
            MapType::Hash
            | MapType::PercpuHash
            | MapType::LruHash
            | MapType::LruPercpuHash
            | MapType::LpmTrie
            | MapType::DevmapHash => (values + u64::from(self.key_size).next_multiple_of(8)) * entries,
            _ => values * entries,
        }
    }

    fn check_flags(self, allowed: u32) -> Result<(), MapError> {
        const BOTH: u32 = flag::RDONLY | flag::WRONLY;
        const BOTH_PROG: u32 = flag::RDONLY_PROG | flag::WRONLY_PROG;
        if self.flags & !allowed != 0 {
            Err(MapError::Invalid("a flag of the map does not exist for its type"))
        } else if self.flags & BOTH == BOTH || self.flags & BOTH_PROG == BOTH_PROG {
            Err(MapError::Invalid("a map cannot be read-only and write-only for the same side"))
        } else {
            Ok(())
        }
    }

    fn check_present(self) -> Result<(), MapError> {
        if self.max_entries == 0 || self.key_size == 0 || self.value_size == 0 {
            return Err(MapError::Invalid("key_size, value_size and max_entries of a map must not be 0"));
        }
        Ok(())
    }

    fn check_index_key(self) -> Result<(), MapError> {
        if self.key_size != 4 {
            return Err(MapError::Invalid("the key of this type of map is an index of 4 bytes"));
        }
        self.check_present()
    }

    fn check_value_is_number(self) -> Result<(), MapError> {
        if self.value_size != 4 {
            return Err(MapError::Invalid("the value of this type of map has 4 bytes"));
        }
        Ok(())
    }

    fn check_array(self, kind: MapType) -> Result<(), MapError> {
        self.check_index_key()?;
        self.check_flags(ARRAY_FLAGS)?;
        if kind != MapType::Array && self.flags & (flag::MMAPABLE | flag::INNER_MAP) != 0 {
            return Err(MapError::Invalid("BPF_F_MMAPABLE and BPF_F_INNER_MAP are for plain arrays only"));
        }
        if kind != MapType::PerfEventArray && self.flags & flag::PRESERVE_ELEMS != 0 {
            return Err(MapError::Invalid("BPF_F_PRESERVE_ELEMS is for arrays of perf events only"));
        }
        self.check_value_bytes(kind, u64::from(i32::MAX.unsigned_abs()))
    }

    fn check_value_bytes(self, kind: MapType, most: u64) -> Result<(), MapError> {
        let bytes = u64::from(self.value_size);
        if bytes > most || (is_per_cpu(kind) && bytes.next_multiple_of(8) > u64::from(MAX_PERCPU_VALUE_BYTES)) {
            return Err(MapError::TooLarge(bytes));
        }
        Ok(())
    }

    fn check_hash(self, kind: MapType) -> Result<(), MapError> {
        self.check_flags(HASH_FLAGS)?;
        if !is_lru(kind) && self.flags & flag::NO_COMMON_LRU != 0 {
            return Err(MapError::Invalid("BPF_F_NO_COMMON_LRU is for LRU maps only"));
        }
        if is_lru(kind) && self.flags & flag::NO_PREALLOC != 0 {
            return Err(MapError::NotSupported("entries of LRU maps are always allocated in advance"));
        }
        let one_node = is_per_cpu(kind) || self.flags & flag::NO_COMMON_LRU != 0;
        if one_node && self.flags & flag::NUMA_NODE != 0 {
            return Err(MapError::Invalid("a map with parts for each CPU cannot be on one memory node"));
        }
        self.check_present()?;
        let bytes = u64::from(self.key_size) + u64::from(self.value_size);
        if bytes >= KMALLOC_MAX_BYTES - HASH_ELEMENT_BYTES || self.key_size > MAX_KEY_BYTES {
            return Err(MapError::TooLarge(bytes));
        }
        self.check_value_bytes(kind, KMALLOC_MAX_BYTES)
    }

    fn check_trie(self) -> Result<(), MapError> {
        self.check_present()?;
        if self.flags & flag::NO_PREALLOC == 0 {
            return Err(MapError::Invalid("a trie needs the flag BPF_F_NO_PREALLOC"));
        }
        self.check_flags(flag::NO_PREALLOC | flag::NUMA_NODE | flag::ACCESS)?;
        if self.key_size <= PREFIX_BYTES || self.key_size > PREFIX_BYTES + 256 {
            return Err(MapError::Invalid("the key of a trie has 4 bytes of prefix length and 1 to 256 bytes of data"));
        }
        if u64::from(self.value_size) > KMALLOC_MAX_BYTES - 256 - HASH_ELEMENT_BYTES {
            return Err(MapError::Invalid("a value of a trie has less than 4 MiB"));
        }
        Ok(())
    }

    fn check_queue(self) -> Result<(), MapError> {
        if self.max_entries == 0 || self.key_size != 0 || self.value_size == 0 {
            return Err(MapError::Invalid("a queue or stack has entries with values and no keys"));
        }
        self.check_flags(flag::NUMA_NODE | flag::ACCESS)?;
        if u64::from(self.value_size) > KMALLOC_MAX_BYTES || self.max_entries >= u32::MAX / self.value_size {
            return Err(MapError::TooLarge(u64::from(self.value_size) * u64::from(self.max_entries)));
        }
        Ok(())
    }

    fn check_bloom(self) -> Result<(), MapError> {
        if u64::from(self.value_size) > KMALLOC_MAX_BYTES {
            return Err(MapError::TooLarge(self.value_size.into()));
        }
        if self.max_entries == 0 || self.key_size != 0 || self.value_size == 0 {
            return Err(MapError::Invalid("a Bloom filter has entries with values and no keys"));
        }
        self.check_flags(flag::NUMA_NODE | flag::ZERO_SEED | flag::ACCESS)
    }

    fn check_ring(self) -> Result<(), MapError> {
        self.check_flags(flag::NUMA_NODE)?;
        let whole_pages = self.max_entries.is_power_of_two() && self.max_entries.is_multiple_of(PAGE_BYTES);
        if self.key_size != 0 || self.value_size != 0 || !whole_pages {
            return Err(MapError::Invalid(
                "a ring buffer has neither keys nor values, and its size is a power of two of at least 4096 bytes",
            ));
        }
        Ok(())
    }

    fn check_redirect(&mut self, kind: MapType) -> Result<(), MapError> {
        self.check_index_key()?;
        let (flags, sizes): (u32, &[u32]) = match kind {
            MapType::Cpumap => (flag::NUMA_NODE, &[4, 8]),
            MapType::Xskmap => (flag::NUMA_NODE | flag::RDONLY | flag::WRONLY, &[4]),
            _ => (flag::NUMA_NODE | flag::RDONLY | flag::WRONLY, &[4, 8]),
        };
        self.check_flags(flags)?;
        if !sizes.contains(&self.value_size) {
            return Err(MapError::Invalid(
                "the value is a number of 4 bytes, followed by a program of 4 where allowed",
            ));
        }
        if kind == MapType::Cpumap && self.max_entries > MAX_CPUS {
            return Err(MapError::TooLarge(self.max_entries.into()));
        }
        if matches!(kind, MapType::Devmap | MapType::DevmapHash) {
            // Look-ups return the address of the kernel's own copy, so programs may not write.
            self.flags |= flag::RDONLY_PROG;
        }
        Ok(())
    }
}
