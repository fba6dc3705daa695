//! Why operations on maps fail, each with the kernel's number, and the flags of updates.

use std::fmt;

use skep_isa::MapType;

use super::shape::MAX_MAP_BYTES;

/// Flags of update operations (`BPF_ANY` and so on); `update` takes the sum of such numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateFlag {
    /// Create or replace, 0.
    Any,
    /// Create only, 1.
    NoExist,
    /// Replace only, 2. For queues and stacks: drop the oldest entry if there is no room.
    Exist,
}

impl UpdateFlag {
    /// `BPF_F_LOCK`: update under the spin lock inside the value. Maps whose values have none refuse it, and no map
    /// here has one.
    pub const LOCK: u64 = 4;

    /// The number in `linux/bpf.h`.
    pub const fn bits(self) -> u64 {
        match self {
            Self::Any => 0,
            Self::NoExist => 1,
            Self::Exist => 2,
        }
    }

    /// The flag with this number.
    ///
    /// # Errors
    /// [`MapError::Invalid`] for every other number.
    pub const fn from_number(flags: u64) -> Result<Self, MapError> {
        match flags {
            0 => Ok(Self::Any),
            1 => Ok(Self::NoExist),
            2 => Ok(Self::Exist),
            _ => Err(MapError::Invalid("the update flag must be BPF_ANY, BPF_NOEXIST or BPF_EXIST")),
        }
    }

    /// Whether an entry may be stored that exists already, or does not.
    pub(super) const fn check(self, exists: bool) -> Result<(), MapError> {
        match (self, exists) {
            (Self::NoExist, true) => Err(MapError::Exists),
            (Self::Exist, false) => Err(MapError::NotFound),
            _ => Ok(()),
        }
    }
}

/// Why an operation on a map failed; each is one error number of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError {
    /// The map is frozen or was made for reading or writing only (`EPERM`).
    NotPermitted,
    /// The key is not in the map (`ENOENT`).
    NotFound,
    /// The map is full, or the index is outside the array (`E2BIG`).
    Full,
    /// No entry of an LRU map could be evicted, or there is no memory (`ENOMEM`).
    NoMemory,
    /// There is no room in the ring buffer now (`EAGAIN`).
    Again,
    /// The key is in the map already (`EEXIST`).
    Exists,
    /// The CPU does not exist (`ENODEV`).
    NoDevice,
    /// The request makes no sense for this map (`EINVAL`); the reason.
    Invalid(&'static str),
    /// The trie or the perf buffer is full (`ENOSPC`).
    NoSpace,
    /// A number in the value is too large (`EOVERFLOW`).
    Overflow,
    /// This type of map has no such operation (`EOPNOTSUPP`).
    NoOperation,
    /// The kernel does not support this (`ENOTSUPP`, 524); the reason.
    NotSupported(&'static str),
    /// Keys and values would take too many bytes, most often more than [`MAX_MAP_BYTES`]; the bytes (`E2BIG`).
    TooLarge(u64),
    /// This type of map does not exist in user space (`EINVAL`).
    Unsupported(MapType),
    /// The operating system refused memory; its error number.
    System(i32),
}

impl MapError {
    /// The negative error number that a helper returns.
    pub const fn errno(self) -> i64 {
        match self {
            Self::NotPermitted => -1,
            Self::NotFound => -2,
            Self::Full | Self::TooLarge(_) => -7,
            Self::Again => -11,
            Self::NoMemory => -12,
            Self::Exists => -17,
            Self::NoDevice => -19,
            Self::Invalid(_) | Self::Unsupported(_) => -22,
            Self::NoSpace => -28,
            Self::Overflow => -75,
            Self::NoOperation => -95,
            Self::NotSupported(_) => -524,
            Self::System(errno) => -(errno as i64),
        }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("the map is frozen, or was made for reading or writing only"),
            Self::NotFound => f.write_str("the key is not in the map"),
            Self::Full => f.write_str("the map is full or the index is not below its number of entries"),
            Self::Again => f.write_str("the ring buffer has no room until records are consumed"),
            Self::NoMemory => f.write_str("no entry of the map could be evicted to make room"),
            Self::Exists => f.write_str("the key is in the map already"),
            Self::NoDevice => f.write_str("there is no CPU with this number"),
            Self::Invalid(reason) | Self::NotSupported(reason) => f.write_str(reason),
            Self::NoSpace => f.write_str("the trie or the buffer is full"),
            Self::Overflow => f.write_str("a queue for a CPU has at most 16384 places"),
            Self::NoOperation => f.write_str("this type of map does not have the operation"),
            Self::TooLarge(bytes) => write!(
                f,
                "keys and values of the map would take {bytes} bytes, which is more than its type or the limit of \
                 {MAX_MAP_BYTES} allows; reduce max_entries, key_size or value_size"
            ),
            Self::Unsupported(kind) => write!(
                f,
                "maps of type {kind} refer to objects of the kernel and exist there only; run the program in the \
                 kernel, or use a hash or an array"
            ),
            Self::System(errno) => {
                write!(f, "memory for the map: {}", std::io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for MapError {}
