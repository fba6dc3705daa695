//! What the kernel tells about a map (`struct bpf_map_info`).

use std::os::fd::AsFd;

use skep_isa::MapType;

use crate::errors::KernelError;
use crate::map::LoadedMap;
use crate::sys::attr::name_text;
use crate::sys::info;

/// Facts about a map. What a kernel does not tell is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapInfo {
    /// The number under which `bpftool map show id` finds the map.
    pub id: u32,
    /// The type, `None` if it is newer than our table.
    pub map_type: Option<MapType>,
    /// The type as a number.
    pub type_number: u32,
    /// The name that the kernel keeps, at most 15 bytes.
    pub name: String,
    /// Bytes in a key.
    pub key_size: u32,
    /// Bytes in a value (on each processor, for per-CPU maps).
    pub value_size: u32,
    /// Most entries; bytes for ring buffers.
    pub max_entries: u32,
    /// `BPF_F_*` of creating maps.
    pub flags: u32,
    /// The number whose meaning depends on the type (Linux 5.16).
    pub extra: u64,
    /// The network device that holds it, 0 for memory.
    pub ifindex: u32,
    /// Device and inode of the network namespace of that device.
    pub netns: (u64, u64),
    /// The number of the BTF with the types of keys and values, 0 for none (Linux 4.18).
    pub btf_id: u32,
    /// The type of the keys there.
    pub key_type: u32,
    /// The type of the values there.
    pub value_type: u32,
    /// For operations of the kernel: the type of the values in the BTF [`kernel_btf_id`](Self::kernel_btf_id).
    pub kernel_value_type: u32,
    /// The number of the kernel's or a module's BTF (Linux 6.9).
    pub kernel_btf_id: u32,
}

impl LoadedMap {
    /// Asks the kernel about the map.
    ///
    /// # Errors
    /// [`KernelError::System`].
    pub fn info(&self) -> Result<MapInfo, KernelError> {
        let raw = info::map_info(self.as_fd())
            .map_err(|errno| KernelError::system("ask for the properties of a map", errno))?;
        Ok(MapInfo {
            id: raw.id,
            map_type: MapType::from_number(raw.r#type),
            type_number: raw.r#type,
            name: name_text(&raw.name),
            key_size: raw.key_size,
            value_size: raw.value_size,
            max_entries: raw.max_entries,
            flags: raw.map_flags,
            extra: raw.map_extra,
            ifindex: raw.ifindex,
            netns: (raw.netns_dev, raw.netns_ino),
            btf_id: raw.btf_id,
            key_type: raw.btf_key_type_id,
            value_type: raw.btf_value_type_id,
            kernel_value_type: raw.btf_vmlinux_value_type_id,
            kernel_btf_id: raw.btf_vmlinux_id,
        })
    }
}
