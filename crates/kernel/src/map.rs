//! Maps: create, read, write.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use skep_isa::{MapType, Release};

use crate::errors::KernelError;
use crate::features::{Capability, possible_cpus, running_release};
use crate::memlock::{raised_memory_limit, with_memory};
use crate::sys::attr::{MapCreate, flag, name_text, object_name};
use crate::sys::info::{self, Object};
use crate::sys::map::{self, ElemSize};
use crate::sys::memory::{Mapping, page_size};

/// Capabilities of which one lets a process use maps and programs.
const NEEDS_BPF: &[Capability] = &[Capability::Bpf, Capability::SysAdmin];

/// Most pairs handed to the kernel in one batch; bounds the memory for their copies.
const BATCH: usize = 4096;

/// What a map is to be like: the arguments of `BPF_MAP_CREATE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapDefinition<'a> {
    /// Name shown by tools; cut to 15 bytes.
    pub name: &'a str,
    /// Type.
    pub map_type: MapType,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value (on each processor, for per-CPU maps).
    pub value_size: u32,
    /// Most entries.
    pub max_entries: u32,
    /// `BPF_F_*`
    pub flags: u32,
}

/// What only some maps need.
#[derive(Debug, Clone, Copy, Default)]
pub struct MapOptions<'a> {
    /// For maps of maps: a map like those that it will hold.
    pub inner: Option<BorrowedFd<'a>>,
    /// The memory node; counts only with `BPF_F_NUMA_NODE` among the flags.
    pub numa_node: u32,
    /// The number whose meaning depends on the type (`map_extra`, Linux 5.16): hash functions of a Bloom filter, address
    /// of an arena.
    pub extra: u64,
    /// The types of keys and values (Linux 4.18). Values with spin locks, timers, lists or pointers to objects of the
    /// kernel need it.
    pub types: Option<MapTypes<'a>>,
    /// For operations of the kernel (`struct_ops`, Linux 5.6): the structure `bpf_struct_ops_NAME` of the kernel's BTF that
    /// values have; 0 for other maps. The kernel wants [`types`](Self::types) with some BTF and without numbers then.
    pub kernel_value_type: u32,
    /// The BTF of the module in which `kernel_value_type` counts (Linux 6.9).
    pub kernel_value_btf: Option<BorrowedFd<'a>>,
    /// The network device that is to hold the map, 0 for memory.
    pub device: u32,
    /// A token whose rights count beside those of the process (Linux 6.9).
    pub token: Option<BorrowedFd<'a>>,
}

/// The types of keys and values as numbers in loaded BTF.
#[derive(Debug, Clone, Copy)]
pub struct MapTypes<'a> {
    /// BTF that is loaded: a [`LoadedBtf`](crate::LoadedBtf).
    pub btf: BorrowedFd<'a>,
    /// Type of the keys; 0 for maps without keys and for global variables.
    pub key: u32,
    /// Type of the values.
    pub value: u32,
}

/// Whether an update may create or must replace an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Update {
    /// Create or replace (`BPF_ANY`).
    #[default]
    Any,
    /// Only create (`BPF_NOEXIST`).
    Create,
    /// Only replace (`BPF_EXIST`).
    Replace,
}

impl Update {
    /// The flag of `bpf(2)`.
    pub(crate) const fn flags(self) -> u64 {
        match self {
            Self::Any => flag::ANY,
            Self::Create => flag::NOEXIST,
            Self::Replace => flag::EXIST,
        }
    }
}

/// A map in the kernel. It lives as long as this value, a program that uses it or another descriptor.
#[derive(Debug)]
pub struct LoadedMap {
    fd: OwnedFd,
    name: String,
    map_type: u32,
    id: u32,
    size: ElemSize,
    max_entries: u32,
    /// For per-CPU maps, the bytes of the value on one processor.
    per_cpu: Option<usize>,
    /// For an arena, its memory in this process, once it is mapped.
    arena: Mutex<Option<Arc<Mapping>>>,
}

// TABLE
/// Map types whose values the kernel hands out once per processor.
const PER_CPU: [MapType; 4] =
    [MapType::PercpuHash, MapType::PercpuArray, MapType::LruPercpuHash, MapType::PercpuCgroupStorage];

impl LoadedMap {
    /// Creates a map.
    ///
    /// # Errors
    /// [`KernelError::NotPermitted`], [`KernelError::Invalid`] if type, sizes and flags do not fit together,
    /// [`KernelError::System`] otherwise.
    pub fn create(definition: &MapDefinition<'_>) -> Result<Self, KernelError> {
        Self::create_with(definition, &MapOptions::default())
    }

    /// Creates a map with what only some types need.
    ///
    /// # Errors
    /// As for [`create`](Self::create).
    pub fn create_with(definition: &MapDefinition<'_>, options: &MapOptions<'_>) -> Result<Self, KernelError> {
        let number = |fd: Option<BorrowedFd<'_>>| fd.map_or(0, |fd| fd.as_raw_fd());
        let types = options.types;
        let mut map_flags = definition.flags;
        if options.kernel_value_btf.is_some() {
            map_flags |= flag::F_VTYPE_BTF_OBJ_FD as u32;
        }
        if options.token.is_some() {
            map_flags |= flag::F_TOKEN_FD as u32;
        }
        let attr = MapCreate {
            map_type: definition.map_type.number(),
            key_size: definition.key_size,
            value_size: definition.value_size,
            max_entries: definition.max_entries,
            map_flags,
            map_name: object_name(definition.name),
            inner_map_fd: number(options.inner).cast_unsigned(),
            numa_node: options.numa_node,
            map_ifindex: options.device,
            btf_fd: number(types.map(|types| types.btf)).cast_unsigned(),
            btf_key_type_id: types.map_or(0, |types| types.key),
            btf_value_type_id: types.map_or(0, |types| types.value),
            btf_vmlinux_value_type_id: options.kernel_value_type,
            map_extra: options.extra,
            value_type_btf_obj_fd: number(options.kernel_value_btf),
            map_token_fd: number(options.token),
        };
        let fd = with_memory(|| map::map_create(attr)).map_err(|errno| create_error(errno, definition))?;
        Self::from_fd(fd)
    }

    /// Takes over a map that some other part of the program opened.
    ///
    /// # Errors
    /// [`KernelError::System`] if `fd` is not a map or the kernel is older than 4.13.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, KernelError> {
        const ACTION: &str = "ask for the properties of a map";
        let info = info::map_info(fd.as_fd()).map_err(|errno| KernelError::system(ACTION, errno))?;
        let per_cpu = PER_CPU.iter().any(|kind| kind.number() == info.r#type);
        let value = if per_cpu {
            let cpus = possible_cpus().ok_or_else(|| KernelError::Invalid {
                action: ACTION,
                problem: "the number of processors is unknown; mount sysfs at /sys".to_owned(),
            })?;
            u64::from(info.value_size).next_multiple_of(8).saturating_mul(cpus.into())
        } else {
            info.value_size.into()
        };
        let bytes = |len: u64| usize::try_from(len).map_err(|_| KernelError::system(ACTION, libc::E2BIG));
        Ok(Self {
            fd,
            name: name_text(&info.name),
            map_type: info.r#type,
            id: info.id,
            size: ElemSize { key: bytes(info.key_size.into())?, value: bytes(value)? },
            max_entries: info.max_entries,
            per_cpu: per_cpu.then(|| bytes(info.value_size.into())).transpose()?,
            arena: Mutex::new(None),
        })
    }

    /// The memory of an arena. It is mapped once: pointers in it hold the addresses that it gets.
    pub(crate) fn arena(&self) -> Result<Arc<Mapping>, KernelError> {
        const ACTION: &str = "map an arena";
        let mut known = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = &*known {
            return Ok(Arc::clone(mapping));
        }
        let info = self.info()?;
        let pages = usize::try_from(info.max_entries).unwrap_or(0);
        let (length, address) = (pages.checked_mul(page_size()), usize::try_from(info.extra).ok());
        let (Some(length), Some(address)) = (length, address) else {
            return Err(KernelError::system(ACTION, libc::E2BIG));
        };
        let mapping = Mapping::at_address(self.as_fd(), length, address).map_err(|errno| match errno {
            libc::EEXIST => KernelError::Invalid {
                action: ACTION,
                problem: format!(
                    "this process has other memory at {address:#x}, where arena `{}` is to be; choose another `map_extra`, or 0",
                    self.name
                ),
            },
            errno => KernelError::system(ACTION, errno),
        })?;
        Ok(Arc::clone(known.insert(Arc::new(mapping))))
    }

    /// Opens a map by its number; see [`map_ids`](crate::map_ids). Linux 4.13.
    ///
    /// # Errors
    /// [`KernelError::NoSuchId`], [`KernelError::NotPermitted`].
    pub fn by_id(id: u32) -> Result<Self, KernelError> {
        crate::ids::open(Object::Map, id, 0).and_then(Self::from_fd)
    }

    /// The name that the kernel keeps, at most 15 bytes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type, `None` if it is newer than our table.
    pub fn map_type(&self) -> Option<MapType> {
        MapType::from_number(self.map_type)
    }

    /// The number under which `bpftool map show id` finds the map.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Bytes in a key.
    pub fn key_size(&self) -> usize {
        self.size.key
    }

    /// Bytes in a value as [`get`](Self::get) returns it and [`set`](Self::set) takes it. For per-CPU maps this
    /// covers all possible processors, each rounded up to 8 bytes.
    pub fn value_size(&self) -> usize {
        self.size.value
    }

    /// Most entries.
    pub fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// The value for a key, `None` if there is none.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the key has the wrong length.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, KernelError> {
        self.check_key(key)?;
        let mut value = vec![0; self.size.value];
        match map::map_lookup(self.as_fd(), self.size, key, &mut value) {
            Ok(()) => Ok(Some(value)),
            Err(libc::ENOENT) => Ok(None),
            Err(errno) => Err(self.access_error("read an entry of a map", errno)),
        }
    }

    /// Stores a value.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if a length is wrong, the map is full, or `update` forbids it.
    pub fn set(&self, key: &[u8], value: &[u8], update: Update) -> Result<(), KernelError> {
        self.set_with(key, value, update, |errno| self.access_error("store an entry in a map", errno))
    }

    /// As [`set`](Self::set), with the caller's words for the kernel's refusal.
    pub(crate) fn set_with(
        &self,
        key: &[u8],
        value: &[u8],
        update: Update,
        refused: impl FnOnce(i32) -> KernelError,
    ) -> Result<(), KernelError> {
        self.check_key(key)?;
        self.check_value(value)?;
        map::map_update(self.as_fd(), self.size, key, value, update.flags()).map_err(refused)
    }

    /// Stores many pairs, in batches where the kernel can (Linux 5.6) and one at a time otherwise.
    ///
    /// Returns after the last one or the first failure; pairs before it are in the map then.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn fill(&self, pairs: &[(Vec<u8>, Vec<u8>)]) -> Result<(), KernelError> {
        for (key, value) in pairs {
            self.check_key(key)?;
            self.check_value(value)?;
        }
        for chunk in pairs.chunks(BATCH) {
            let mut done = 0;
            if chunk.len() > 1 {
                let keys: Vec<u8> = chunk.iter().flat_map(|pair| pair.0.iter().copied()).collect();
                let values: Vec<u8> = chunk.iter().flat_map(|pair| pair.1.iter().copied()).collect();
                let count = u32::try_from(chunk.len()).unwrap_or(0);
                match map::map_update_batch(self.as_fd(), self.size, count, &keys, &values) {
                    Ok(()) => done = chunk.len(),
                    // Whatever stopped the batch, storing one at a time gets further or tells the reason.
                    Err((_, stored)) => done = usize::try_from(stored).unwrap_or(0),
                }
            }
            for (key, value) in chunk.iter().skip(done) {
                self.set(key, value, Update::Any)?;
            }
        }
        Ok(())
    }

    /// Keeps everybody but programs from changing the map from now on (Linux 5.2).
    ///
    /// # Errors
    /// [`KernelError::Unsupported`] on older kernels, [`KernelError::Invalid`] if the map is in use in a way that forbids
    /// it.
    pub fn freeze(&self) -> Result<(), KernelError> {
        match map::map_freeze(self.as_fd()) {
            Ok(()) => Ok(()),
            Err(libc::EINVAL) if running_release().is_some_and(|release| release < Release::new(5, 2)) => {
                Err(KernelError::Unsupported {
                    what: "freezing of maps".to_owned(),
                    since: Some(Release::new(5, 2)),
                    running: running_release(),
                })
            }
            Err(errno) => Err(self.access_error("freeze a map", errno)),
        }
    }

    /// Removes an entry. `false` if there was none.
    ///
    /// # Errors
    /// [`KernelError::Invalid`] if the key has the wrong length or entries of this kind of map cannot be removed.
    pub fn remove(&self, key: &[u8]) -> Result<bool, KernelError> {
        self.check_key(key)?;
        match map::map_delete(self.as_fd(), self.size, key) {
            Ok(()) => Ok(true),
            Err(libc::ENOENT) => Ok(false),
            Err(errno) => Err(self.access_error("remove an entry of a map", errno)),
        }
    }

    /// All keys. Entries that come or go meanwhile may be missing or appear twice; the list ends in any case after
    /// twice the size of the map.
    ///
    /// # Errors
    /// [`KernelError::System`] if maps of this type have no order of keys.
    pub fn keys(&self) -> Result<Vec<Vec<u8>>, KernelError> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        let mut next = vec![0; self.size.key];
        let limit = usize::try_from(self.max_entries).unwrap_or(usize::MAX).saturating_mul(2);
        while keys.len() < limit
            && map::map_next_key(self.as_fd(), self.size, keys.last().map(Vec::as_slice), &mut next)
                .map_err(|errno| self.access_error("list the keys of a map", errno))?
        {
            keys.push(next.clone());
        }
        Ok(keys)
    }

    /// Bytes of the value on one processor, `None` if the map has one value for all.
    pub(crate) fn cpu_value(&self) -> Option<usize> {
        self.per_cpu
    }

    /// The lengths that the kernel copies.
    pub(crate) fn sizes(&self) -> ElemSize {
        self.size
    }

    pub(crate) fn check_key(&self, key: &[u8]) -> Result<(), KernelError> {
        self.check_length("key", key.len(), self.size.key)
    }

    pub(crate) fn check_value(&self, value: &[u8]) -> Result<(), KernelError> {
        self.check_length("value", value.len(), self.size.value)
    }

    fn check_length(&self, what: &str, given: usize, expected: usize) -> Result<(), KernelError> {
        if given == expected {
            return Ok(());
        }
        let name = &self.name;
        Err(KernelError::Invalid {
            action: "use a map",
            problem: format!("a {what} of {given} bytes was given, map `{name}` has {what}s of {expected}"),
        })
    }

    pub(crate) fn access_error(&self, action: &'static str, errno: i32) -> KernelError {
        let name = &self.name;
        let problem = match errno {
            libc::E2BIG => format!("map `{name}` is full ({} entries) or has no such index", self.max_entries),
            libc::EEXIST => format!("map `{name}` already has an entry with this key"),
            libc::ENOENT => format!("map `{name}` has no entry with this key"),
            libc::ENOSPC => format!("map `{name}` is full ({} entries)", self.max_entries),
            libc::EINVAL => format!("map `{name}` does not allow this, or the key is not valid for its type"),
            libc::EPERM => return KernelError::not_permitted(action, NEEDS_BPF),
            errno => return KernelError::system(action, errno),
        };
        KernelError::Invalid { action, problem }
    }
}

impl AsFd for LoadedMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn create_error(errno: i32, definition: &MapDefinition<'_>) -> KernelError {
    const ACTION: &str = "create a map";
    let MapDefinition { name, map_type, key_size, value_size, max_entries, flags } = definition;
    match errno {
        // Before Linux 5.11 memory of maps is charged to RLIMIT_MEMLOCK, and exceeding it also gives EPERM.
        libc::EPERM if running_release().is_some_and(|release| release < Release::new(5, 11)) => {
            let mut error = KernelError::not_permitted(ACTION, NEEDS_BPF);
            if let KernelError::NotPermitted { remarks, .. } = &mut error {
                remarks.push(if raised_memory_limit().is_some() {
                    "the limit on locked memory, to which kernels before 5.11 charge maps, was raised, which did not help"
                        .to_owned()
                } else {
                    "the limit on locked memory may be too low and could not be raised: `ulimit -l unlimited`".to_owned()
                });
            }
            error
        }
        libc::EPERM => KernelError::not_permitted(ACTION, NEEDS_BPF),
        libc::EINVAL if running_release().is_some_and(|release| release < map_type.since()) => {
            KernelError::Unsupported {
                what: format!("maps of type {map_type}"),
                since: Some(map_type.since()),
                running: running_release(),
            }
        }
        libc::EINVAL | libc::E2BIG => KernelError::Invalid {
            action: ACTION,
            problem: format!(
                "the kernel does not accept a map of type {map_type} with keys of {key_size} bytes, values of {value_size} \
                 bytes, {max_entries} entries and flags {flags:#x} for `{name}`"
            ),
        },
        libc::ENOSYS => KernelError::Unsupported {
            what: "bpf(2), which needs CONFIG_BPF_SYSCALL".to_owned(),
            since: Some(Release::new(3, 18)),
            running: running_release(),
        },
        errno => KernelError::system(ACTION, errno),
    }
}
