//! Registers whose values may still be read (`compute_live_registers`): what is not read any more does not tell states
//! apart.

use skep_isa::ebpf::{AtomicOp, Callee, Op, Src};

use crate::code::{Code, Next};

/// Registers 0 to 5.
const CALLER_SAVED: u16 = 0x3f;
/// Registers 1 to 5.
const ARGUMENTS: u16 = 0x3e;

fn bit(reg: skep_isa::ebpf::Reg) -> u16 {
    1 << reg.index()
}

fn source(src: Src) -> u16 {
    match src {
        Src::Reg(reg) => bit(reg),
        Src::Imm(_) => 0,
    }
}

/// What an instruction reads and what it overwrites.
fn uses(op: Op) -> (u16, u16) {
    match op {
        Op::Alu { op: skep_isa::ebpf::AluOp::Mov, dst, src, .. } => (source(src), bit(dst)),
        Op::Alu { dst, src, .. } => (bit(dst) | source(src), bit(dst)),
        Op::MovSx { dst, src, .. } | Op::AddrSpaceCast { dst, src, .. } => (bit(src), bit(dst)),
        Op::Neg { dst, .. } | Op::Swap { dst, .. } => (bit(dst), bit(dst)),
        Op::Load { dst, base, .. } | Op::LoadAcquire { dst, base, .. } => (bit(base), bit(dst)),
        Op::Store { base, src, .. } => (bit(base) | source(src), 0),
        Op::StoreRelease { base, src, .. } => (bit(base) | bit(src), 0),
        Op::Atomic { op: AtomicOp::CmpXchg, base, src, .. } => (bit(base) | bit(src) | 1, 1),
        Op::Atomic { fetch, base, src, .. } => (bit(base) | bit(src), if fetch { bit(src) } else { 0 }),
        Op::LoadImm { dst, .. } => (0, bit(dst)),
        // The context is in register 6.
        Op::LdAbs { .. } => (1 << 6, CALLER_SAVED),
        Op::LdInd { src, .. } => (1 << 6 | bit(src), CALLER_SAVED),
        Op::Goto { .. } | Op::GotoLong { .. } | Op::MayGoto { .. } => (0, 0),
        Op::JumpIf { dst, src, .. } => (bit(dst) | source(src), 0),
        Op::Call(Callee::Helper(id)) => {
            let helper = u32::try_from(id).ok().and_then(skep_isa::helpers::by_id);
            let count = helper.and_then(|helper| helper.signatures.iter().map(|one| one.args.len()).max());
            let args = count.map_or(ARGUMENTS, |count| ((1u16 << (count + 1)) - 1) & ARGUMENTS);
            (args, CALLER_SAVED)
        }
        Op::Call(_) => (ARGUMENTS, CALLER_SAVED),
        Op::Exit => (1, 0),
    }
}

/// For each slot the registers that are read behind its start before they are written.
pub fn live(code: &Code) -> Vec<u16> {
    let mut before = vec![0u16; code.ops.len()];
    // Going backwards reaches the fixed point in few rounds; loops take one more for each level.
    loop {
        let mut changed = false;
        for at in (0..code.slots()).rev() {
            let Some(op) = code.op(at) else { continue };
            let after = match code.next(at) {
                Ok(Next::To(next)) => before.get(next as usize).copied().unwrap_or(0),
                Ok(Next::Branch(one, two)) => {
                    before.get(one as usize).copied().unwrap_or(0) | before.get(two as usize).copied().unwrap_or(0)
                }
                Ok(Next::Exit) | Err(_) => 0,
            };
            let (reads, writes) = uses(op);
            let now = (after & !writes) | reads;
            changed |= std::mem::replace(&mut before[at as usize], now) != now;
        }
        if !changed {
            return before;
        }
    }
}
