//! The code around all programs: how one is entered, left and stopped. Made once for a process.

use std::mem::offset_of;

use skep_isa::ebpf::Reg as BpfReg;

use super::lower::{BASE, FRAME, FUEL, STATE, VALUE, field, host, reg};
use super::{AddImm, Address, Code, EncodeError, Extend, Landing, Load, PairMode, Reg, SP, Size, Width, ZR};
use crate::ebpf::layout::FRAME_BYTES;
use crate::ebpf::space::STATE_DISTANCE;
use crate::ebpf::state::State;

/// Positions of the stubs.
#[derive(Debug, Clone)]
pub(crate) struct Stubs {
    pub(crate) code: Vec<u8>,
    /// `extern "C" fn(base, code, registers: *const [u64; 6]) -> Outcome`
    pub(crate) enter: usize,
    /// Called to stop.
    pub(crate) stop: usize,
    /// Jumped to by the signal handler to stop.
    pub(crate) stop_access: usize,
}

/// Registers of the caller that are kept (AAPCS64), in the order of saving.
const KEPT: [(Reg, Reg); 6] = [
    (Reg::FRAME, Reg::LINK),
    (reg(19), reg(20)),
    (reg(21), reg(22)),
    (reg(23), reg(24)),
    (reg(25), reg(26)),
    (reg(27), reg(28)),
];

/// Generates the stubs.
///
/// # Errors
/// None: the distances and offsets are constants.
pub(crate) fn stubs() -> Result<Stubs, EncodeError> {
    let double = Load::Unsigned(Size::Double);
    let mut code = Code::new();
    let enter = code.here();
    code.bti(Landing::Call);
    for pair in KEPT {
        code.stp(Width::X, pair, PairMode::Pre, (SP, -16))?;
    }
    code.mov(Width::X, BASE, reg(0));
    code.load_immediate(STATE, STATE_DISTANCE as u64);
    code.arith(super::Arith::Sub, Width::X, STATE, BASE, STATE);
    code.mov(Width::X, reg(16), reg(1));
    code.mov(Width::X, VALUE, reg(2));
    // The run around this one, if this is a callback.
    code.load(double, reg(10), field!(saved_sp))?;
    code.stp(Width::X, (reg(10), ZR), PairMode::Pre, (SP, -16))?;
    code.mov_sp(reg(10), SP);
    code.store(Size::Double, reg(10), field!(saved_sp))?;
    code.load(double, FUEL, field!(fuel))?;
    let frame_end = host(BpfReg::R10);
    for (to, index) in [reg(0), reg(1), reg(2), reg(3), reg(4), frame_end].into_iter().zip(0..) {
        code.load(double, to, Address::Offset(VALUE.into(), 8 * index))?;
    }
    code.add_extended(Width::X, FRAME, BASE, (frame_end, Extend::Uxtw, 0))?;
    if let Some(bytes) = AddImm::new(FRAME_BYTES.into()) {
        code.sub_imm(Width::X, FRAME, FRAME, bytes);
    }
    code.blr(reg(16));
    code.mov(Width::X, reg(0), host(BpfReg::R0));
    code.mov(Width::X, reg(1), ZR);
    let leave = code.here();
    code.store(Size::Double, FUEL, field!(fuel))?;
    code.ldp(Width::X, (reg(10), reg(11)), PairMode::Post, (SP, 16))?;
    code.store(Size::Double, reg(10), field!(saved_sp))?;
    for pair in KEPT.into_iter().rev() {
        code.ldp(Width::X, pair, PairMode::Post, (SP, 16))?;
    }
    code.ret(Reg::LINK);

    let stop = code.here();
    code.bti(Landing::Call);
    code.store(Size::Double, Reg::LINK, field!(stop_pc))?;
    code.load_immediate(reg(1), 1);
    let to_exit = code.b();
    let stop_access = code.here();
    code.load_immediate(reg(1), 2);
    let exit = code.here();
    code.patch(to_exit, exit)?;
    code.load(double, reg(10), field!(saved_sp))?;
    code.mov_sp(SP, reg(10));
    let back = code.b();
    code.patch(back, leave)?;
    let bytes = code.words().iter().flat_map(|word| word.to_le_bytes()).collect();
    Ok(Stubs { code: bytes, enter: 4 * enter.0, stop: 4 * stop.0, stop_access: 4 * stop_access.0 })
}

// Offsets of the fields are multiples of eight.
const _: () = assert!(offset_of!(State, saved_sp).is_multiple_of(8) && offset_of!(State, stop_pc).is_multiple_of(8));
