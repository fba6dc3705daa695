//! The interpreter loop.

use skep_isa::classic::{AluOp, JmpOp, SCRATCH_WORDS};

use super::ancillary::header_bytes;
use super::metadata::Metadata;
use super::op::{Code, Op};

/// Offsets from 2^31 on are negative for the kernel: ancillary area, network header, link-layer header.
pub(crate) const MAX_PACKET: usize = i32::MAX as usize;

#[inline(always)]
fn word(packet: &[u8], off: u32) -> Option<u32> {
    let bytes = packet.get(off as usize..off as usize + 4)?;
    Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

#[inline(always)]
fn half(packet: &[u8], off: u32) -> Option<u32> {
    let bytes = packet.get(off as usize..off as usize + 2)?;
    Some(u32::from(u16::from_be_bytes([bytes[0], bytes[1]])))
}

#[inline(always)]
fn byte(packet: &[u8], off: u32) -> Option<u32> {
    packet.get(off as usize).map(|byte| u32::from(*byte))
}

/// A load that is not inside the packet: `None` unless a header-relative offset finds its bytes.
#[cold]
#[inline(never)]
fn outside(packet: &[u8], off: u32, size: usize, meta: &Metadata) -> Option<u32> {
    let bytes = header_bytes(packet, off, size, meta)?;
    Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
}

/// `size` bytes (4, 2 or 1) at `offset`, in network byte order; offsets from 2^31 on count from a header.
#[inline]
pub(crate) fn packet_load(packet: &[u8], offset: u32, size: u32, meta: &Metadata) -> Option<u32> {
    let packet = packet.get(..MAX_PACKET).unwrap_or(packet);
    let inside = match size {
        4 => word(packet, offset),
        2 => half(packet, offset),
        _ => byte(packet, offset),
    };
    inside.or_else(|| outside(packet, offset, size as usize, meta))
}

/// Runs a program on a packet.
#[allow(clippy::too_many_lines)] // One line for each operation.
pub(super) fn run(code: &Code, packet: &[u8], wire_len: u32, meta: &Metadata) -> u32 {
    let ops = code.get();
    let packet = packet.get(..MAX_PACKET).unwrap_or(packet);
    let mut a: u32 = 0;
    let mut x: u32 = 0;
    let mut scratch = [0u32; SCRATCH_WORDS as usize];
    let mut random = meta.random;
    let mut pc: usize = 0;

    // Each macro is one family of operations; all of them leave `pc` at the next operation.
    macro_rules! load {
        ($get:ident, $off:expr) => {{
            let off: u32 = $off;
            match $get(packet, off) {
                Some(value) => value,
                None => match outside(packet, off, load!(@size $get), meta) {
                    Some(value) => value,
                    None => return 0,
                },
            }
        }};
        (@size word) => { 4 };
        (@size half) => { 2 };
        (@size byte) => { 1 };
    }
    macro_rules! branch {
        ($op:expr, $k:expr, $jump:expr) => {
            pc = if $op.eval(a, $k) { $jump.jt } else { $jump.jf } as usize
        };
    }
    // A fused load has an offset below 2^16, so an absolute one is never relative to a header.
    macro_rules! abs_branch {
        ($get:ident, $op:expr, $pair:expr) => {{
            match $get(packet, u32::from($pair.off)) {
                Some(value) => a = value,
                None => return 0,
            }
            branch!($op, $pair.k, $pair)
        }};
    }
    macro_rules! ind_branch {
        ($get:ident, $op:expr, $pair:expr) => {{
            a = load!($get, x.wrapping_add(u32::from($pair.off)));
            branch!($op, $pair.k, $pair)
        }};
    }
    macro_rules! and_branch {
        ($op:expr, $pair:expr) => {{
            a &= $pair.mask;
            pc += usize::from(if $op.eval(a, $pair.k) { $pair.jt } else { $pair.jf })
        }};
    }
    macro_rules! next {
        ($set:ident = $value:expr) => {{
            $set = $value;
            pc += 1
        }};
    }
    macro_rules! alu {
        ($op:expr, $k:expr) => {
            match $op.eval(a, $k) {
                Some(value) => next!(a = value),
                None => return 0,
            }
        };
    }

    loop {
        debug_assert!(pc < ops.len());
        // SAFETY: `Code::get` promises that every target is inside the program and that its last operation ends the
        // run, so neither a jump nor stepping to the next operation can pass the end.
        match unsafe { *ops.get_unchecked(pc) } {
            Op::AbsW(k) => next!(a = load!(word, k)),
            Op::AbsH(k) => next!(a = load!(half, k)),
            Op::AbsB(k) => next!(a = load!(byte, k)),
            Op::IndW(k) => next!(a = load!(word, x.wrapping_add(k))),
            Op::IndH(k) => next!(a = load!(half, x.wrapping_add(k))),
            Op::IndB(k) => next!(a = load!(byte, x.wrapping_add(k))),
            Op::AbsWEq(pair) => abs_branch!(word, JmpOp::Eq, pair),
            Op::AbsWGt(pair) => abs_branch!(word, JmpOp::Gt, pair),
            Op::AbsWGe(pair) => abs_branch!(word, JmpOp::Ge, pair),
            Op::AbsWSet(pair) => abs_branch!(word, JmpOp::Set, pair),
            Op::AbsHEq(pair) => abs_branch!(half, JmpOp::Eq, pair),
            Op::AbsHGt(pair) => abs_branch!(half, JmpOp::Gt, pair),
            Op::AbsHGe(pair) => abs_branch!(half, JmpOp::Ge, pair),
            Op::AbsHSet(pair) => abs_branch!(half, JmpOp::Set, pair),
            Op::AbsBEq(pair) => abs_branch!(byte, JmpOp::Eq, pair),
            Op::AbsBGt(pair) => abs_branch!(byte, JmpOp::Gt, pair),
            Op::AbsBGe(pair) => abs_branch!(byte, JmpOp::Ge, pair),
            Op::AbsBSet(pair) => abs_branch!(byte, JmpOp::Set, pair),
            Op::IndWEq(pair) => ind_branch!(word, JmpOp::Eq, pair),
            Op::IndHEq(pair) => ind_branch!(half, JmpOp::Eq, pair),
            Op::IndHGt(pair) => ind_branch!(half, JmpOp::Gt, pair),
            Op::IndHGe(pair) => ind_branch!(half, JmpOp::Ge, pair),
            Op::IndBEq(pair) => ind_branch!(byte, JmpOp::Eq, pair),
            Op::IndBSet(pair) => ind_branch!(byte, JmpOp::Set, pair),
            Op::AndEq(pair) => and_branch!(JmpOp::Eq, pair),
            Op::AndGt(pair) => and_branch!(JmpOp::Gt, pair),
            Op::AndGe(pair) => and_branch!(JmpOp::Ge, pair),
            Op::JEq(jump) => branch!(JmpOp::Eq, jump.k, jump),
            Op::JGt(jump) => branch!(JmpOp::Gt, jump.k, jump),
            Op::JGe(jump) => branch!(JmpOp::Ge, jump.k, jump),
            Op::JSet(jump) => branch!(JmpOp::Set, jump.k, jump),
            Op::JEqX(jump) => branch!(JmpOp::Eq, x, jump),
            Op::JGtX(jump) => branch!(JmpOp::Gt, x, jump),
            Op::JGeX(jump) => branch!(JmpOp::Ge, x, jump),
            Op::JSetX(jump) => branch!(JmpOp::Set, x, jump),
            Op::Ja(target) => pc = target as usize,
            Op::Msh(k) => next!(x = (load!(byte, k) & 0xf) << 2),
            Op::Anc(word) => match word.load(a, x, packet, meta, &mut random) {
                Some(value) => next!(a = value),
                None => return a,
            },
            Op::Imm(k) => next!(a = k),
            Op::Mem(k) => next!(a = scratch[usize::from(k % 16)]),
            Op::Len => next!(a = wire_len),
            Op::XImm(k) => next!(x = k),
            Op::XMem(k) => next!(x = scratch[usize::from(k % 16)]),
            Op::XLen => next!(x = wire_len),
            Op::St(k) => {
                scratch[usize::from(k % 16)] = a;
                pc += 1;
            }
            Op::Stx(k) => {
                scratch[usize::from(k % 16)] = x;
                pc += 1;
            }
            Op::AddK(k) => alu!(AluOp::Add, k),
            Op::SubK(k) => alu!(AluOp::Sub, k),
            Op::MulK(k) => alu!(AluOp::Mul, k),
            Op::DivK(k) => alu!(AluOp::Div, k),
            Op::OrK(k) => alu!(AluOp::Or, k),
            Op::AndK(k) => alu!(AluOp::And, k),
            Op::LshK(k) => alu!(AluOp::Lsh, k),
            Op::RshK(k) => alu!(AluOp::Rsh, k),
            Op::ModK(k) => alu!(AluOp::Mod, k),
            Op::XorK(k) => alu!(AluOp::Xor, k),
            Op::AddX => alu!(AluOp::Add, x),
            Op::SubX => alu!(AluOp::Sub, x),
            Op::MulX => alu!(AluOp::Mul, x),
            Op::DivX => alu!(AluOp::Div, x),
            Op::OrX => alu!(AluOp::Or, x),
            Op::AndX => alu!(AluOp::And, x),
            Op::LshX => alu!(AluOp::Lsh, x),
            Op::RshX => alu!(AluOp::Rsh, x),
            Op::ModX => alu!(AluOp::Mod, x),
            Op::XorX => alu!(AluOp::Xor, x),
            Op::Neg => next!(a = a.wrapping_neg()),
            Op::Tax => next!(x = a),
            Op::Txa => next!(a = x),
            Op::RetK(k) => return k,
            Op::RetA => return a,
        }
    }
}
