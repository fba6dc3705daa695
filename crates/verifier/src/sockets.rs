//! Fields of sockets, and of maps, as programs read them (`bpf_sock_is_valid_access`, `check_ptr_to_map_access`).

use skep_isa::MapType;

use crate::memory::Access;
use crate::reg::{Kind, Reg, Trust};
use crate::reject::{Reason, Step, Stop};
use crate::rules;
use crate::search::Verifier;
use crate::types::{self, Place};

/// Bytes of `struct bpf_sock` that may be read in parts: first, and behind the last.
const PARTS: &[(i64, i64)] = &[
    (4, 5),   // family
    (8, 9),   // type
    (12, 13), // protocol
    (24, 28), // src_ip4
    (28, 44), // src_ip6
    (44, 45), // src_port
    (52, 56), // dst_ip4
    (56, 72), // dst_ip6
    (72, 73), // state
    (76, 77), // rx_queue_mapping
];
/// Size of `struct bpf_sock`.
const SOCK: i64 = 80;
/// Where its port of the other side is, which has two bytes and two that are nothing.
const PORT: i64 = 48;
/// Fields that only full sockets have: type, protocol, mark, priority.
const FULL: (i64, i64) = (8, 24);
/// Size of `struct bpf_tcp_sock`, and where its fields of eight bytes are.
const TCP: i64 = 112;
const TCP_LONG: [i64; 2] = [80, 88];

/// Structures of the kernel that maps are.
const MAPS: &[(MapType, &str)] = &[
    (MapType::Array, "bpf_array"),
    (MapType::PercpuArray, "bpf_array"),
    (MapType::ProgArray, "bpf_array"),
    (MapType::PerfEventArray, "bpf_array"),
    (MapType::CgroupArray, "bpf_array"),
    (MapType::ArrayOfMaps, "bpf_array"),
    (MapType::Hash, "bpf_htab"),
    (MapType::PercpuHash, "bpf_htab"),
    (MapType::LruHash, "bpf_htab"),
    (MapType::LruPercpuHash, "bpf_htab"),
    (MapType::HashOfMaps, "bpf_htab"),
    (MapType::Arena, "bpf_arena"),
];

impl Verifier<'_> {
    /// Fields of sockets.
    pub fn load_socket(&self, pointer: &Reg, access: Access) -> Step<Reg> {
        if pointer.nullable {
            return Err(Reason::NullableAccess(access.reg, pointer.kind).into());
        }
        let wrong = || Stop::Reject(Reason::NoAccess(access.reg, pointer.kind));
        let off = pointer.fixed_offset().map(|off| off + access.off).ok_or_else(wrong)?;
        let size = i64::from(access.size);
        if off < 0 || off % size != 0 {
            return Err(wrong());
        }
        if pointer.kind == Kind::XdpSock {
            // There is the number of the queue and nothing else (`struct bpf_xdp_sock`).
            return if (off, size) == (0, 4) { Ok(Reg::UNKNOWN) } else { Err(wrong()) };
        }
        if pointer.kind == Kind::TcpSock {
            let whole = if TCP_LONG.contains(&off) { 8 } else { 4 };
            // The second half of a long field cannot be read by itself.
            let half = TCP_LONG.contains(&(off - 4));
            return if off < TCP && size == whole && !half { Ok(Reg::UNKNOWN) } else { Err(wrong()) };
        }
        if pointer.kind == Kind::SockCommon && (FULL.0..FULL.1).contains(&off) {
            return Err(wrong());
        }
        let fits = match off {
            _ if off >= SOCK => false,
            PORT => size == 4 || size <= 2,
            _ if (PORT..PORT + 4).contains(&off) => off == PORT + 1 && size == 1,
            _ if PARTS.iter().any(|(first, end)| (*first..*end).contains(&off)) => size <= 4,
            _ => size == 4,
        };
        if fits { Ok(Reg::UNKNOWN) } else { Err(wrong()) }
    }

    /// Fields of a map itself.
    pub fn load_map(&self, pointer: &Reg, map: u32, access: Access) -> Step<Reg> {
        let wrong = || Stop::Reject(Reason::NoAccess(access.reg, pointer.kind));
        if access.write {
            return Err(wrong());
        }
        if pointer.nullable {
            return Err(Reason::NullableAccess(access.reg, pointer.kind).into());
        }
        self.may_see_structs()?;
        let kernel = self.types.kernel.as_ref().ok_or(Stop::Undecided("the types of the kernel"))?;
        let map_type = self.maps[map as usize].map_type;
        let Some((_, name)) = MAPS.iter().find(|(known, _)| *known == map_type) else {
            return Err(Stop::Undecided("fields of maps of this type"));
        };
        if !self.gpl {
            return Err(Reason::Rule(&rules::STRUCT_LICENCE).into());
        }
        let ty = skep_btf::TypeId(self.kernel_structure(name)?);
        let off = pointer.fixed_offset().and_then(|off| u32::try_from(off + access.off).ok()).ok_or_else(wrong)?;
        match types::walk(kernel, ty, off, access.size) {
            Some(Place::Number) => Ok(Reg::UNKNOWN),
            Some(Place::Loose) => Ok(Reg::loose(self.kernel)),
            Some(Place::Pointer(member)) => {
                let trust = if member.user || member.percpu { Trust::Elsewhere } else { Trust::Plain };
                Ok(Reg::pointer(Kind::Struct(member.ty.0, trust)))
            }
            None => Err(Reason::Rule(&rules::STRUCT_FIELD).into()),
        }
    }
}
