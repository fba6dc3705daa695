//! Every pair of registers in every form, with all other registers checked afterwards: finds code generators that use a
//! register of the program as scratch.

use skep_isa::ebpf::{AluOp, JmpOp, Op, Reg, Src, Width};

use super::Cases;
use super::alu::{form, kernel_refuses};
use super::asm::{EXTENSIONS, R0, R10, REGS, W64, WIDTHS, alu, alui, binary, group, jump_if, unary};
use super::script::{Home, Script};
use super::values::{any, any_immediate};
use crate::Rng;

/// All pairs of registers, the same one twice included.
pub(super) fn register_pairs() -> impl Iterator<Item = (Reg, Reg)> {
    REGS.into_iter().flat_map(|dst| REGS.map(|src| (dst, src)))
}

/// Arithmetic, moves and conditional jumps.
pub(super) fn cases() -> Cases {
    Box::new(Home::ALL.into_iter().flat_map(|home| {
        let operators = binary().map(move |(width, op)| {
            let name = format!("registers {} {}", form(width, op), home.name());
            case(name, home, register_pairs().map(|(dst, src)| alu(width, op, dst, src)))
        });
        let extensions = EXTENSIONS.into_iter().map(move |(width, from)| {
            let name = format!("registers movsx {} to {} {}", 8 * from.bytes(), width.bits(), home.name());
            case(name, home, register_pairs().map(|(dst, src)| Op::MovSx { width, from, dst, src }))
        });
        let in_place = [case(
            format!("registers in place {}", home.name()),
            home,
            REGS.into_iter().flat_map(|reg| unary(reg, reg)).filter(|op| !matches!(op, Op::MovSx { .. })),
        )];
        let constants = binary().map(move |(width, op)| {
            let name = format!("registers {} imm {}", form(width, op), home.name());
            let mut rng = Rng::new(0x1339);
            case(name, home, REGS.into_iter().flat_map(|reg| [reg; 4]).map(|dst| allowed(&mut rng, width, op, dst)))
        });
        operators.chain(extensions).chain(in_place).chain(constants).chain(jumps(home))
    }))
}

/// The operator with a constant that the kernel accepts.
fn allowed(rng: &mut Rng, width: Width, op: AluOp, dst: Reg) -> Op {
    loop {
        let imm = any_immediate(rng);
        if kernel_refuses(width, op, imm).is_none() {
            return alui(width, op, dst, imm);
        }
    }
}

fn case(name: String, home: Home, ops: impl Iterator<Item = Op>) -> super::Case {
    let mut rng = Rng::new(0x4e6);
    let mut script = Script::new(home, &mut rng);
    let mut about = Op::Exit;
    for op in ops {
        script.set_all(&mut rng);
        script.run(op);
        script.check_all();
        about = op;
    }
    script.case(name, group(about))
}

/// Conditional jumps, taken or not, which must change no register at all. Register 10 is an operand as well.
fn jumps(home: Home) -> impl Iterator<Item = super::Case> {
    WIDTHS.into_iter().flat_map(move |width| {
        JmpOp::ALL.iter().map(move |&op| {
            let mut rng = Rng::new(0x1f);
            let mut script = Script::new(home, &mut rng);
            for (dst, src) in register_pairs() {
                script.set_all(&mut rng);
                if dst != src && rng.percent(30) {
                    let value = script.value(dst);
                    script.set(src, value);
                }
                script.check_jump(width, op, dst, Src::Reg(src));
                script.check_jump(width, op, src, Src::Reg(dst));
                let imm = any_immediate(&mut rng);
                script.check_jump(width, op, dst, Src::Imm(imm));
                script.check_all();
            }
            // Addresses are checked relative to the window, which is on the stack at one of the homes.
            if width == W64 && home == Home::Stack {
                frame_pointer(&mut script, &mut rng, op);
            }
            let name = format!("registers if {op:?} {} {}", width.bits(), home.name());
            script.case(name, group(jump_if(width, op, R0, Src::Reg(R0))))
        })
    })
}

/// A copy of the frame pointer compares as equal to it; the test of common bits holds, since no address is zero.
fn frame_pointer(script: &mut Script, rng: &mut Rng, op: JmpOp) {
    for reg in REGS {
        script.set_all(rng);
        let other = any(rng);
        script.set(reg, other);
        script.run(Op::mov(reg, R10));
        script.check_jump(W64, op, reg, Src::Reg(R10));
        script.check_jump(W64, op, R10, Src::Reg(reg));
        script.check_all();
    }
}
