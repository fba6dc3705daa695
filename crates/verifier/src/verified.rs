//! Objects with a token for each program that an engine in user space may run without checks of its addresses.
//!
//! A program is *confined* if it is accepted and reaches memory only in ways that hold in any engine that lays memory out as
//! the kernel does: its stack, the context, the packet, values of maps of the object, and records of ring buffers. Only
//! programs whose context is `struct __sk_buff` or `struct xdp_md` are: the addresses of packets in these have 32 bits, so
//! that even a wrong one leads nowhere but into the address space of the program. What rests on anything else - sockets and
//! structures of the kernel, maps in maps, keys given to callbacks, constants in maps that a kernel would have frozen - is
//! not confined, whatever the verdict.

use skep_isa::{MapType, ProgType};
use skep_object::Object;

use crate::reg::Kind;
use crate::{Kernel, Terms, prepare};

/// An object, and which of its programs are confined. There is no other way to make one than [`Verified::new`].
#[derive(Debug, Clone)]
pub struct Verified<'a> {
    object: &'a Object,
    confined: Vec<bool>,
}

impl<'a> Verified<'a> {
    /// Verifies the programs of an object by the rules of the youngest kernel.
    pub fn new(object: &'a Object) -> Self {
        let nested = |kind| matches!(kind, MapType::ArrayOfMaps | MapType::HashOfMaps);
        let plain = !object.maps.iter().any(|map| nested(map.map_type));
        let confined = (0..object.programs.len()).map(|program| plain && is_confined(object, program)).collect();
        Self { object, confined }
    }

    /// The object.
    pub fn object(&self) -> &'a Object {
        self.object
    }

    /// Whether a program is confined, by its index in the object; `false` for an index that there is not.
    pub fn is_confined(&self, program: usize) -> bool {
        self.confined.get(program).copied().unwrap_or(false)
    }
}

/// Whether the context has addresses of 32 bits.
fn has_short_addresses(prog_type: ProgType) -> bool {
    use ProgType::{CgroupSkb, LwtIn, LwtOut, LwtSeg6local, LwtXmit, SchedAct, SchedCls, SkSkb, SocketFilter, Xdp};
    matches!(
        prog_type,
        SocketFilter | SchedCls | SchedAct | CgroupSkb | SkSkb | LwtIn | LwtOut | LwtXmit | LwtSeg6local | Xdp
    )
}

fn is_confined(object: &Object, program: usize) -> bool {
    let program = &object.programs[program];
    if !has_short_addresses(program.prog_type) {
        return false;
    }
    let verifier = prepare(object, program, Kernel::newest(), &Terms::default());
    verifier.is_ok_and(|mut verifier| {
        let accepted = verifier.run().and_then(|()| verifier.check_stacks()).is_ok();
        accepted && !verifier.leans_on_kernel
    })
}

/// Whether an access through such a pointer is of memory that is the same in every engine.
pub(crate) const fn is_common(kind: Kind) -> bool {
    matches!(kind, Kind::Stack(_) | Kind::Context | Kind::Packet | Kind::PacketMeta | Kind::Value(_) | Kind::Memory(_))
}
