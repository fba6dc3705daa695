//! Map types: creates the least map of each.

use std::os::fd::{AsRawFd, OwnedFd};

use skep_isa::MapType;
use skep_isa::maps::{Size, facts};

use super::reason::{Needs, of_failure};
use super::{Finding, Group, Prober, Status};
use crate::sys::attr::{MapCreate, object_name};
use crate::sys::map::map_create;
use crate::sys::memory::page_size;
use crate::sys::object::btf_load;

/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1 << 0;
/// `BPF_F_MMAPABLE`
const MMAPABLE: u32 = 1 << 10;
/// What the kernel says to operations tables of an unknown type; it has no name in user space.
const ENOTSUPP: i32 = 524;

/// Every map type.
pub(super) fn probe(prober: &Prober) -> Vec<Finding> {
    let finding = |map_type: &MapType| Finding {
        group: Group::Maps,
        name: map_type.name().to_owned(),
        since: Some(map_type.since()),
        status: try_type(prober, *map_type),
    };
    MapType::ALL.iter().map(finding).collect()
}

fn try_type(prober: &Prober, map_type: MapType) -> Status {
    let errno = match create(map_type, 0) {
        Ok(_) => return Status::Present,
        // The type is known; the table that was asked for is not one.
        Err(ENOTSUPP) if map_type == MapType::StructOps => return Status::Present,
        Err(errno) => errno,
    };
    let facts = facts(map_type);
    let capabilities = super::programs::capabilities(facts.privileges);
    let needs = Needs { since: map_type.since(), config: facts.config, capabilities };
    Status::Missing(of_failure(prober, errno, needs))
}

const fn least(size: Size) -> u32 {
    match size {
        Size::Any => 4,
        Size::Exactly(size) => size,
        // The second of two sizes of keys of control group storage holds the attach type too.
        Size::Either(first, _) | Size::Between(first, _) => first,
        Size::Words => 8,
        Size::None => 0,
        Size::Kernel => 0,
    }
}

/// Creates the least map of a type, with these flags besides those that it must have.
fn create(map_type: MapType, flags: u32) -> Result<OwnedFd, i32> {
    let facts = facts(map_type);
    let mut attr = MapCreate {
        map_type: map_type.number(),
        key_size: least(facts.key_size),
        value_size: least(facts.value_size),
        max_entries: 1,
        map_name: object_name("skep_probe"),
        ..MapCreate::default()
    };
    // Descriptors that have to live until the map exists.
    let mut inner = None;
    let mut types = None;
    match map_type {
        MapType::LpmTrie => attr.map_flags = NO_PREALLOC,
        MapType::Arena => attr.map_flags = MMAPABLE,
        MapType::Ringbuf | MapType::UserRingbuf => attr.max_entries = u32::try_from(page_size()).unwrap_or(4096),
        MapType::CgroupStorage | MapType::PercpuCgroupStorage => attr.max_entries = 0,
        MapType::StructOps => attr.btf_vmlinux_value_type_id = 1,
        MapType::ArrayOfMaps | MapType::HashOfMaps => inner = Some(create(MapType::Array, 0)?),
        MapType::SkStorage | MapType::InodeStorage | MapType::TaskStorage | MapType::CgrpStorage => {
            attr.map_flags = NO_PREALLOC;
            attr.max_entries = 0;
            types = Some(btf_load(&int_type(), None, &mut [])?);
            (attr.btf_key_type_id, attr.btf_value_type_id) = (1, 1);
        }
        _ => {}
    }
    if let Some(inner) = &inner {
        attr.inner_map_fd = inner.as_raw_fd().cast_unsigned();
    }
    if let Some(types) = &types {
        attr.btf_fd = types.as_raw_fd().cast_unsigned();
    }
    attr.map_flags |= flags;
    map_create(attr)
}

/// BTF with one type, `int`.
fn int_type() -> Vec<u8> {
    let mut blob = 0xeb9f_u16.to_ne_bytes().to_vec();
    blob.extend([1, 0]);
    // Header: its length, types, strings. The type: name, kind INT, size, signed with 32 bits.
    for word in [24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32_u32] {
        blob.extend(word.to_ne_bytes());
    }
    blob.extend(b"\0int\0");
    blob
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Capability, has_capability, running_release};

    /// Flags of creation that change what a map is (`linux/bpf.h`).
    const FLAGS: [(&str, u32); 14] = [
        ("NO_PREALLOC", 1 << 0),
        ("NO_COMMON_LRU", 1 << 1),
        ("NUMA_NODE", 1 << 2),
        ("RDONLY", 1 << 3),
        ("WRONLY", 1 << 4),
        ("ZERO_SEED", 1 << 6),
        ("RDONLY_PROG", 1 << 7),
        ("WRONLY_PROG", 1 << 8),
        ("CLONE", 1 << 9),
        ("MMAPABLE", 1 << 10),
        ("PRESERVE_ELEMS", 1 << 11),
        ("INNER_MAP", 1 << 12),
        ("SEGV_ON_FAULT", 1 << 17),
        ("NO_USER_CONV", 1 << 18),
    ];

    #[test]
    fn maps_take_the_flags_of_the_table() {
        if !has_capability(Capability::Bpf) {
            crate::skip("creating maps needs CAP_BPF");
            return;
        }
        // Older kernels know fewer flags.
        if running_release().is_none_or(|running| running < skep_isa::Release::new(6, 12)) {
            crate::skip("the flags are those of Linux 6.12 and later");
            return;
        }
        for map_type in MapType::ALL.iter().copied().filter(|map_type| *map_type != MapType::StructOps) {
            if create(map_type, 0).is_err() {
                continue;
            }
            for (name, flag) in FLAGS {
                let listed = facts(map_type).flags.iter().any(|flag| flag.split(' ').next() == Some(name));
                let taken = create(map_type, flag);
                assert_eq!(taken.is_ok(), listed, "{map_type} and BPF_F_{name}: {taken:?}");
            }
        }
    }
}
