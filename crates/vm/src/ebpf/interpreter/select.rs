//! From decoded instructions to cells: which handler, with which operands.

use skep_isa::ebpf::{AluOp, AtomicOp, Callee, Imm64, JmpOp, Op, Order, Reg, Size, Src, Width};

use super::{Cell, Handler, Mode, access, arith, control};
use crate::ebpf::helpers::{Helpers, Kind};
use crate::ebpf::layout::FRAME_BYTES;
use crate::ebpf::program::{Program, Step};

/// Byte offset of register 10 in the state.
pub(super) const R10: u16 = 80;

/// Handlers of arithmetic, indexed by operator.
macro_rules! alu_row {
    ($width:literal, $imm:literal, $($op:literal)+) => { [$(arith::alu::<D, $width, $op, $imm> as Handler),+] };
}

/// Handlers of conditional jumps, indexed by condition.
macro_rules! jump_row {
    ($width:literal, $imm:literal, $back:literal, $($op:literal)+) => {
        [$(control::jump_if::<D, $width, $op, $imm, $back> as Handler),+]
    };
}

/// Handlers of atomic operations, indexed by operation.
macro_rules! atomic_row {
    ($width:literal, $fetch:literal, $($op:literal)+) => {
        [$(access::atomic::<D, $width, $op, $fetch> as Handler),+]
    };
}

/// Handlers of accesses, indexed by size in the order of [`arith::SIZES`].
macro_rules! size_row {
    ($module:ident :: $name:ident, $($rest:literal)?) => {
        [
            $module::$name::<D, 0 $(, $rest)?> as Handler,
            $module::$name::<D, 1 $(, $rest)?> as Handler,
            $module::$name::<D, 2 $(, $rest)?> as Handler,
            $module::$name::<D, 3 $(, $rest)?> as Handler,
        ]
    };
}

const _: () = assert!(AluOp::ALL.len() == 14 && JmpOp::ALL.len() == 11 && AtomicOp::ALL.len() == 6);

/// The position of a size in [`arith::SIZES`].
const fn position(size: Size) -> usize {
    size.bytes().trailing_zeros() as usize
}

fn alu<D: Mode>(width: Width, op: AluOp, imm: bool) -> Handler {
    let row = match (width, imm) {
        (Width::W32, false) => alu_row!(0, false, 0 1 2 3 4 5 6 7 8 9 10 11 12 13),
        (Width::W32, true) => alu_row!(0, true, 0 1 2 3 4 5 6 7 8 9 10 11 12 13),
        (Width::W64, false) => alu_row!(1, false, 0 1 2 3 4 5 6 7 8 9 10 11 12 13),
        (Width::W64, true) => alu_row!(1, true, 0 1 2 3 4 5 6 7 8 9 10 11 12 13),
    };
    row[op as usize]
}

fn jump<D: Mode>(width: Width, op: JmpOp, imm: bool, back: bool) -> Handler {
    let row = match (width, imm, back) {
        (Width::W32, false, false) => jump_row!(0, false, false, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W32, false, true) => jump_row!(0, false, true, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W32, true, false) => jump_row!(0, true, false, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W32, true, true) => jump_row!(0, true, true, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W64, false, false) => jump_row!(1, false, false, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W64, false, true) => jump_row!(1, false, true, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W64, true, false) => jump_row!(1, true, false, 0 1 2 3 4 5 6 7 8 9 10),
        (Width::W64, true, true) => jump_row!(1, true, true, 0 1 2 3 4 5 6 7 8 9 10),
    };
    row[op as usize]
}

fn atomic<D: Mode>(width: Width, op: AtomicOp, fetch: bool) -> Handler {
    let row = match (width, fetch) {
        (Width::W32, false) => atomic_row!(0, false, 0 1 2 3 4 5),
        (Width::W32, true) => atomic_row!(0, true, 0 1 2 3 4 5),
        (Width::W64, false) => atomic_row!(1, false, 0 1 2 3 4 5),
        (Width::W64, true) => atomic_row!(1, true, 0 1 2 3 4 5),
    };
    row[op as usize]
}

fn load<D: Mode>(size: Size, signed: bool, frame: bool) -> Handler {
    let row = match (signed, frame) {
        (false, false) => size_row!(access::load, false),
        (true, false) => size_row!(access::load, true),
        (false, true) => size_row!(access::load_frame, false),
        (true, true) => size_row!(access::load_frame, true),
    };
    row[position(size)]
}

fn store<D: Mode>(size: Size, imm: bool, frame: bool) -> Handler {
    let row = match (imm, frame) {
        (false, false) => size_row!(access::store, false),
        (true, false) => size_row!(access::store, true),
        (false, true) => size_row!(access::store_frame, false),
        (true, true) => size_row!(access::store_frame, true),
    };
    row[position(size)]
}

fn swap<D: Mode>(order: Order, size: Size) -> Handler {
    macro_rules! row {
        ($order:literal) => {
            [
                arith::swap::<D, $order, 0> as Handler,
                arith::swap::<D, $order, 1> as Handler,
                arith::swap::<D, $order, 2> as Handler,
                arith::swap::<D, $order, 3> as Handler,
            ]
        };
    }
    let row = match order {
        Order::Little => row!(0),
        Order::Big => row!(1),
        Order::Swap => row!(2),
    };
    row[position(size)]
}

fn move_signed<D: Mode>(width: Width, from: Size) -> Handler {
    macro_rules! row {
        ($width:literal) => {
            [
                arith::move_signed::<D, $width, 0> as Handler,
                arith::move_signed::<D, $width, 1> as Handler,
                arith::move_signed::<D, $width, 2> as Handler,
            ]
        };
    }
    let row = match width {
        Width::W32 => row!(0),
        Width::W64 => row!(1),
    };
    // The instruction set has no extension of 8 bytes.
    row[position(from).min(2)]
}

fn packet<D: Mode>(size: Size, indirect: bool) -> Handler {
    match (size, indirect) {
        (Size::B, false) => control::load_packet::<D, 1, false>,
        (Size::B, true) => control::load_packet::<D, 1, true>,
        (Size::H, false) => control::load_packet::<D, 2, false>,
        (Size::H, true) => control::load_packet::<D, 2, true>,
        (_, false) => control::load_packet::<D, 4, false>,
        (_, true) => control::load_packet::<D, 4, true>,
    }
}

/// Whether an access at a constant distance from the frame pointer stays inside of its frame.
pub(crate) const fn inside_frame(off: i16, size: Size) -> bool {
    off >= -(FRAME_BYTES as i16) && off as i32 + size.bytes() as i32 <= 0
}

/// The cells of a program.
pub(super) fn cells<D: Mode>(program: &Program, helpers: &Helpers) -> Box<[Cell]> {
    (0..).zip(&program.steps).map(|(at, step)| cell::<D>(program, helpers, at, step)).collect()
}

fn offset(reg: Reg) -> u16 {
    u16::from(reg.number()) * 8
}

/// The operands of a source as (register offset, immediate).
fn source(src: Src) -> (u16, u64) {
    match src {
        Src::Reg(reg) => (offset(reg), 0),
        Src::Imm(imm) => (0, crate::ebpf::semantics::immediate(imm)),
    }
}

fn cell<D: Mode>(program: &Program, helpers: &Helpers, at: u32, step: &Step) -> Cell {
    // Steps are fewer than a million, so distances fit.
    let distance = step.target as i32 - at as i32;
    let back = distance <= 0;
    let cell = |run, dst: Reg, (src, imm): (u16, u64), off: i32| Cell { run, imm, off, dst: offset(dst), src };
    let none = (0, 0);
    match step.op {
        Op::Alu { width, op, dst, src } => cell(alu::<D>(width, op, matches!(src, Src::Imm(_))), dst, source(src), 0),
        Op::MovSx { width, from, dst, src } => cell(move_signed::<D>(width, from), dst, (offset(src), 0), 0),
        Op::Neg { width: Width::W32, dst } => cell(arith::negate::<D, 0>, dst, none, 0),
        Op::Neg { width: Width::W64, dst } => cell(arith::negate::<D, 1>, dst, none, 0),
        Op::Swap { order, size, dst } => cell(swap::<D>(order, size), dst, none, 0),
        Op::LoadImm { dst, value } => {
            let Imm64::Value(value) = value else { unreachable!("loading has resolved the immediate") };
            cell(arith::load_imm::<D>, dst, (0, value), 0)
        }
        Op::Load { size, base: Reg::R10, off, .. } if !inside_frame(off, size) => {
            cell(access::outside_frame::<D, false>, Reg::R0, (0, size.bytes().into()), off.into())
        }
        Op::Store { size, base: Reg::R10, off, .. } if !inside_frame(off, size) => {
            cell(access::outside_frame::<D, true>, Reg::R0, (0, size.bytes().into()), off.into())
        }
        Op::Load { size, signed, dst, base, off } => {
            cell(load::<D>(size, signed, base == Reg::R10), dst, (offset(base), 0), off.into())
        }
        Op::Store { size, base, off, src } => {
            let run = store::<D>(size, matches!(src, Src::Imm(_)), base == Reg::R10);
            cell(run, base, source(src), off.into())
        }
        Op::LoadAcquire { size, dst, base, off } => {
            cell(size_row!(access::load_acquire,)[position(size)], dst, (offset(base), 0), off.into())
        }
        Op::StoreRelease { size, base, off, src } => {
            cell(size_row!(access::store_release,)[position(size)], base, (offset(src), 0), off.into())
        }
        Op::Atomic { width, op, fetch, base, off, src } => {
            cell(atomic::<D>(width, op, fetch), base, (offset(src), 0), off.into())
        }
        Op::LdAbs { size, k } => cell(packet::<D>(size, false), Reg::R0, source(Src::Imm(k)), 0),
        Op::LdInd { size, src, k } => cell(packet::<D>(size, true), Reg::R0, (offset(src), source(Src::Imm(k)).1), 0),
        Op::Goto { .. } | Op::GotoLong { .. } => {
            let run = if back { control::goto::<D, true> as Handler } else { control::goto::<D, false> };
            cell(run, Reg::R0, none, distance)
        }
        Op::MayGoto { .. } => {
            let run = if back { control::may_goto::<D, true> as Handler } else { control::may_goto::<D, false> };
            cell(run, Reg::R0, none, distance)
        }
        Op::JumpIf { width, op, dst, src, .. } => {
            cell(jump::<D>(width, op, matches!(src, Src::Imm(_)), back), dst, source(src), distance)
        }
        Op::Call(Callee::Local(_)) => {
            let cost = program.function_at(step.target).map_or(1, |function| function.len());
            cell(control::call_local::<D>, Reg::R0, (0, cost.into()), distance)
        }
        Op::Call(Callee::Reg(reg)) => cell(control::call_indirect::<D>, reg, none, 0),
        Op::Call(_) => {
            let Some(helper) = helpers.at(step.target) else { unreachable!("loading has found the helper") };
            let run = if helper.kind == Kind::TailCall { control::tail_call::<D> } else { control::call_helper::<D> };
            cell(run, Reg::R0, (0, helper.entry as usize as u64), step.target as i32)
        }
        Op::Exit => cell(control::exit::<D>, Reg::R0, none, 0),
        Op::AddrSpaceCast { .. } => unreachable!("loading refuses casts between address spaces"),
    }
}
