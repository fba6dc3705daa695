//! Arenas: memory that the program shares with processes, at addresses that each side converts (`PTR_TO_ARENA`).

use skep_isa::MapType;
use skep_isa::ebpf::{Imm64, Op, Reg as Register};

use crate::profile::Kernel;
use crate::reg::{Kind, Reg};
use crate::reject::{Reason, Step};
use crate::rules;
use crate::search::Verifier;
use crate::state::State;

impl Verifier<'_> {
    /// Whether a map is an arena.
    pub fn is_arena(&self, map: u32) -> bool {
        self.maps[map as usize].map_type == MapType::Arena
    }

    /// `dst = addr_space_cast(src, ...)`: an address of the arena as programs use it, or as processes do.
    ///
    /// # Errors
    /// If the program uses no arena.
    pub fn cast(&mut self, state: &mut State, dst: Register, src: Register, to_arena: bool) -> Step<()> {
        let uses = self.code.ops.iter().flatten().any(|op| match op {
            Op::LoadImm { value: Imm64::MapFd(map) | Imm64::MapFdValue { fd: map, .. }, .. } => {
                u32::try_from(*map).is_ok_and(|map| (map as usize) < self.maps.len() && self.is_arena(map))
            }
            _ => false,
        });
        if !uses {
            return Err(Reason::Rule(&rules::ARENA_MISSING).into());
        }
        self.read(state, src)?;
        self.writable(dst)?;
        state.set(dst.index(), if to_arena { Reg::UNKNOWN } else { Reg::pointer(Kind::Arena) });
        Ok(())
    }

    /// Loads with a sign from arenas are there since 6.18.
    ///
    /// # Errors
    /// On kernels before.
    pub fn loads_signed_from_arena(&self) -> Step<()> {
        if self.kernel >= Kernel::V6_18 { Ok(()) } else { Err(Reason::Rule(&rules::ARENA_SIGNED).into()) }
    }
}
